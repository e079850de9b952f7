-- Every statement of the PostgreSQL store but its functions, by name; `hookrouter/store/queries.py` reads this file.

-- name: load_calls
SELECT call_id, asterisk, snapshot, saved_at FROM hookrouter.calls WHERE asterisk = %s OR %s = '' ORDER BY saved_at, call_id;

-- name: load_meta
SELECT key, value FROM hookrouter.meta WHERE starts_with(key, %s);

-- name: recent_calls
SELECT call_id, asterisk, ended_at, summary FROM hookrouter.finished ORDER BY seq DESC LIMIT %s;

-- name: timeline
SELECT at, kind, detail FROM hookrouter.timeline WHERE call_id = %s ORDER BY seq;

-- name: history
SELECT a.number, a.at, a.reason, a.status, a.seconds, a.detail
FROM hookrouter.attempts AS a JOIN hookrouter.deliveries AS d ON d.seq = a.delivery
WHERE d.id = %s AND d.lane = %s ORDER BY number;

-- name: lane_marks
SELECT lane, stopped_url, paused_until FROM hookrouter.lanes;

-- name: backlog
SELECT lane, count(*) FROM hookrouter.deliveries WHERE status = 'pending' GROUP BY lane;

-- Each entry's part by the index, in its order.

-- name: due
SELECT x.seq, x.id FROM unnest(%(entries)s::text[]) AS w(entry) CROSS JOIN LATERAL (
SELECT d.seq, d.id, d.next_at FROM hookrouter.deliveries AS d
WHERE d.entry = w.entry AND lane = %(lane)s AND status = 'pending' AND next_at <= %(now)s
AND (%(since)s::float8 IS NULL OR NOT EXISTS (
    SELECT FROM hookrouter.deliveries AS e
    WHERE e.lane = %(lane)s AND e.call = d.call AND e.call <> '' AND e.status = 'pending' AND e.seq < d.seq
    AND (e.first_at IS NULL OR e.first_at > %(since)s::float8)
))
ORDER BY d.next_at, d.seq LIMIT %(span)s
) AS x ORDER BY x.next_at, x.seq LIMIT %(span)s;

-- name: next_due
SELECT min(x.at) FROM unnest(%s::text[]) AS w(entry) CROSS JOIN LATERAL (
    SELECT min(next_at) AS at FROM hookrouter.deliveries AS d
    WHERE d.entry = w.entry AND lane = %s AND status = 'pending' AND next_at > %s
) AS x;

-- name: deliveries
SELECT d.id, d.route, d.type, d.body, d.created_at, d.call, d.url, d.attempts, d.replayed, d.first_at, d.next_at, d.status, d.reason
FROM unnest(%s::bigint[]) WITH ORDINALITY AS w(seq, n) JOIN hookrouter.deliveries AS d USING (seq) ORDER BY w.n;

-- name: expire
UPDATE hookrouter.deliveries SET status = 'dead', reason = 'expired', next_at = %s WHERE seq IN (
    SELECT seq FROM hookrouter.deliveries WHERE entry = ANY (%s) AND lane = %s AND status = 'pending' AND next_at < %s LIMIT 1000
);

-- name: find
SELECT id, route, type, body, created_at, call, url, attempts, replayed, first_at, next_at, status, reason
FROM hookrouter.deliveries WHERE {terms} ORDER BY seq DESC LIMIT %(limit)s OFFSET %(offset)s;

-- name: revive
UPDATE hookrouter.deliveries SET status = 'pending', replayed = attempts, first_at = NULL, next_at = %(now)s
WHERE status = 'dead' AND {terms} RETURNING lane;

-- name: leases
SELECT l.entry, l.epoch, l.router, coalesce(r.name, ''), coalesce(r.address, ''),
    greatest(-1e9, extract(epoch FROM l.expires_at - clock_timestamp())::float8), l.released,
    coalesce(NOT hookrouter.lives_v1(r.backend, r.begun), true), hookrouter.offered_v1(l.epoch, l.offers),
    extract(epoch FROM l.expires_at)::float8, l.format
FROM hookrouter.leases AS l LEFT JOIN hookrouter.routers AS r ON r.word = l.router WHERE l.epoch > 0;

-- name: owners
SELECT l.entry, CASE WHEN l.released THEN '' ELSE coalesce(r.name, '') END, coalesce(r.address, ''), l.epoch,
    extract(epoch FROM clock_timestamp() - l.since)::float8, NOT l.released AND l.expires_at > clock_timestamp()
FROM hookrouter.leases AS l LEFT JOIN hookrouter.routers AS r ON r.word = l.router WHERE l.epoch > 0 ORDER BY l.entry;

-- name: routers
SELECT name, address, version, extract(epoch FROM clock_timestamp() - seen_at)::float8 FROM hookrouter.routers ORDER BY name;

-- Whose old snapshot keeps rows alive that have been replaced since; of other users only those are shown that this one may see.

-- name: oldest_snapshot
SELECT * FROM (
    SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds, pid, coalesce(usename, ''),
        coalesce(application_name, ''), coalesce(host(client_addr), ''), coalesce(state, '')
    FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
        AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND xact_start IS NOT NULL
    UNION ALL
    SELECT extract(epoch FROM clock_timestamp() - prepared)::float8, 0, owner, gid, '', 'prepared'
    FROM pg_prepared_xacts WHERE database = current_database()
) AS x ORDER BY seconds DESC LIMIT 1;

-- name: newest
SELECT version FROM hookrouter.routers WHERE version <> %s ORDER BY seen_at DESC LIMIT 1;

-- name: others
SELECT name, address, hookrouter.lives_v1(backend, begun) FROM hookrouter.routers
WHERE word <> %s AND seen_at > clock_timestamp() - interval '15 seconds' ORDER BY name;

-- The oldest thousand are looked at in one go: they are in order of time, so what is left is younger.

-- name: trim_timeline
DELETE FROM hookrouter.timeline WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM hookrouter.timeline ORDER BY seq LIMIT 1000) AS t
    WHERE at < %s OR seq <= coalesce((SELECT seq FROM hookrouter.timeline ORDER BY seq DESC LIMIT 1 OFFSET %s), 0)
);

-- name: trim_finished
DELETE FROM hookrouter.finished WHERE seq IN (
    SELECT seq FROM (SELECT seq, ended_at FROM hookrouter.finished ORDER BY seq LIMIT 1000) AS t
    WHERE ended_at < %s OR seq <= coalesce((SELECT seq FROM hookrouter.finished ORDER BY seq DESC LIMIT 1 OFFSET %s), 0)
);

-- name: trim_done
WITH gone AS (
    DELETE FROM hookrouter.deliveries WHERE seq IN (
        SELECT seq FROM (
            SELECT seq, next_at FROM hookrouter.deliveries WHERE status = %(status)s AND status <> 'pending' ORDER BY seq LIMIT 1000
        ) AS t
        WHERE next_at < %(before)s OR seq <= coalesce((
            SELECT seq FROM hookrouter.deliveries WHERE status = %(status)s AND status <> 'pending'
            ORDER BY seq DESC LIMIT 1 OFFSET %(most)s
        ), 0)
    ) RETURNING seq
), theirs AS (
    DELETE FROM hookrouter.attempts WHERE delivery IN (SELECT seq FROM gone)
)
SELECT count(*) FROM gone;
