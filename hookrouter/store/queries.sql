-- Every statement of the SQLite store, by name; `hookrouter/store/queries.py` reads this file.

-- name: save_call
INSERT INTO calls (call_id, asterisk, saved_at, snapshot) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (call_id) DO UPDATE SET asterisk = ?2, saved_at = ?3, snapshot = ?4;

-- name: drop_call
DELETE FROM calls WHERE call_id = ?;

-- name: load_calls
SELECT call_id, asterisk, snapshot, saved_at FROM calls WHERE asterisk = ? OR ? = '' ORDER BY saved_at, rowid;

-- name: put_meta
INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2;

-- name: drop_meta
DELETE FROM meta WHERE key = ?;

-- name: load_meta
SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1;

-- name: add_finished
INSERT INTO finished (call_id, asterisk, ended_at, summary) VALUES (?, ?, ?, ?);

-- name: recent_calls
SELECT call_id, asterisk, ended_at, summary FROM finished ORDER BY seq DESC LIMIT ?;

-- name: add_timeline
INSERT INTO timeline (call_id, at, kind, detail) VALUES (?, ?, ?, ?);

-- name: timeline
SELECT at, kind, detail FROM timeline WHERE call_id = ? ORDER BY seq;

-- name: add_delivery
INSERT INTO deliveries (id, lane, route, url, call, type, created_at, next_at, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, lane) DO NOTHING;

-- name: last_untried_of_call
SELECT id FROM deliveries
WHERE lane = ? AND call = ? AND status = 'pending' AND call <> '' AND seq < ? AND first_at IS NULL
ORDER BY seq DESC LIMIT 1;

-- name: last_pending_of_call
SELECT id FROM deliveries
WHERE lane = ? AND call = ? AND status = 'pending' AND call <> '' AND seq < ?
ORDER BY seq DESC LIMIT 1;

-- name: record_delivered
UPDATE deliveries SET status = 'delivered', attempts = ?, first_at = ?, next_at = ?, reason = ?, body = x''
WHERE id = ? AND lane = ?;

-- name: record_failed
UPDATE deliveries SET status = ?, attempts = ?, first_at = ?, next_at = ?, reason = ?
WHERE id = ? AND lane = ?;

-- name: add_attempt
INSERT OR REPLACE INTO attempts (delivery, number, at, reason, status, seconds, detail)
SELECT seq, ?, ?, ?, ?, ?, ? FROM deliveries WHERE id = ? AND lane = ?;

-- name: history
SELECT a.number, a.at, a.reason, a.status, a.seconds, a.detail
FROM attempts AS a JOIN deliveries AS d ON d.seq = a.delivery
WHERE d.id = ? AND d.lane = ? ORDER BY number;

-- name: mark_lane
INSERT INTO lanes (lane, stopped_url, paused_until) VALUES (?1, ?2, ?3)
ON CONFLICT (lane) DO UPDATE SET stopped_url = ?2, paused_until = ?3;

-- name: unmark_lane
DELETE FROM lanes WHERE lane = ?;

-- name: lane_marks
SELECT lane, stopped_url, paused_until FROM lanes;

-- name: backlog
SELECT lane, count(*) FROM deliveries WHERE status = 'pending' GROUP BY lane;

-- name: due
SELECT seq, id FROM deliveries WHERE lane = ?1 AND status = 'pending' AND next_at <= ?2
ORDER BY next_at, seq LIMIT ?3;

-- name: due_strict
SELECT seq, id FROM deliveries AS d WHERE lane = ?1 AND status = 'pending' AND next_at <= ?2
AND NOT EXISTS (
    SELECT 1 FROM deliveries AS e
    WHERE e.lane = ?1 AND e.call = d.call AND e.call <> '' AND e.status = 'pending' AND e.seq < d.seq
    AND (e.first_at IS NULL OR e.first_at > ?4)
)
ORDER BY next_at, seq LIMIT ?3;

-- name: next_due
SELECT min(next_at) FROM deliveries WHERE lane = ? AND status = 'pending' AND next_at > ?;

-- name: delivery
SELECT id, route, type, body, created_at, call, url, attempts, replayed, first_at, next_at, status, reason
FROM deliveries WHERE seq = ?;

-- name: expire
UPDATE deliveries SET status = 'dead', reason = 'expired', next_at = ?3 WHERE seq IN (
    SELECT seq FROM deliveries WHERE lane = ?1 AND status = 'pending' AND next_at < ?2 LIMIT 1000
);

-- name: find_all
SELECT id, route, type, body, created_at, call, url, attempts, replayed, first_at, next_at, status, reason
FROM deliveries
WHERE (:status IS NULL OR status = :status) AND (:route = '' OR route = :route)
AND (:routes IS NULL OR route IN (SELECT value FROM json_each(:routes))) AND (:call = '' OR call = :call)
AND (:type = '' OR type = :type) AND (:reason = '' OR reason = :reason)
AND (:after IS NULL OR created_at >= :after) AND (:before IS NULL OR created_at < :before)
ORDER BY seq DESC LIMIT :limit OFFSET :offset;

-- name: find_done
SELECT id, route, type, body, created_at, call, url, attempts, replayed, first_at, next_at, status, reason
FROM deliveries
WHERE status <> 'pending' AND status = :status AND (:route = '' OR route = :route)
AND (:routes IS NULL OR route IN (SELECT value FROM json_each(:routes))) AND (:call = '' OR call = :call)
AND (:type = '' OR type = :type) AND (:reason = '' OR reason = :reason)
AND (:after IS NULL OR created_at >= :after) AND (:before IS NULL OR created_at < :before)
ORDER BY seq DESC LIMIT :limit OFFSET :offset;

-- name: find_ids
SELECT id, route, type, body, created_at, call, url, attempts, replayed, first_at, next_at, status, reason
FROM deliveries
WHERE id IN (SELECT value FROM json_each(:ids))
AND (:status IS NULL OR status = :status) AND (:route = '' OR route = :route)
AND (:routes IS NULL OR route IN (SELECT value FROM json_each(:routes))) AND (:call = '' OR call = :call)
AND (:type = '' OR type = :type) AND (:reason = '' OR reason = :reason)
AND (:after IS NULL OR created_at >= :after) AND (:before IS NULL OR created_at < :before)
ORDER BY seq DESC LIMIT :limit OFFSET :offset;

-- name: revive
UPDATE deliveries SET status = 'pending', replayed = attempts, first_at = NULL, next_at = :now
WHERE status = 'dead' AND status <> 'pending'
AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
AND (:route = '' OR route = :route)
AND (:routes IS NULL OR route IN (SELECT value FROM json_each(:routes))) AND (:call = '' OR call = :call)
AND (:type = '' OR type = :type) AND (:reason = '' OR reason = :reason)
AND (:after IS NULL OR created_at >= :after) AND (:before IS NULL OR created_at < :before)
RETURNING lane;

-- The oldest thousand are looked at in one go: they are in order of time, so what is left is younger.

-- name: trim_timeline
DELETE FROM timeline WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM timeline ORDER BY seq LIMIT 1000)
    WHERE at < ?1 OR seq <= (SELECT max(seq) FROM timeline) - ?2
);

-- name: trim_finished
DELETE FROM finished WHERE seq IN (
    SELECT seq FROM (SELECT seq, ended_at FROM finished ORDER BY seq LIMIT 1000)
    WHERE ended_at < ?1 OR seq <= (SELECT max(seq) FROM finished) - ?2
);

-- name: trim_done
DELETE FROM deliveries WHERE seq IN (
    SELECT seq FROM (
        SELECT seq, next_at FROM deliveries WHERE status = ?1 AND status <> 'pending' ORDER BY seq LIMIT 1000
    )
    WHERE next_at < ?2 OR seq <= coalesce((
        SELECT seq FROM deliveries WHERE status = ?1 AND status <> 'pending' ORDER BY seq DESC LIMIT 1 OFFSET ?3
    ), 0)
);
