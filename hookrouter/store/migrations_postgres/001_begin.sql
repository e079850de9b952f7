-- The first schema. A migration is never edited once released: add the next number instead.
-- A function is never replaced either, but gets a new name, so that an older router goes on while a newer one starts.

-- Snapshots change all the time: room in each page keeps their updates off the index, and bodies stay in the row.
CREATE TABLE hookrouter.calls (
    call_id  text PRIMARY KEY,
    asterisk text NOT NULL,
    saved_at float8 NOT NULL,
    epoch    bigint NOT NULL,
    version  bigint NOT NULL,
    snapshot bytea NOT NULL
) WITH (fillfactor = 60, toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE hookrouter.calls ALTER COLUMN snapshot SET STORAGE EXTERNAL;

CREATE TABLE hookrouter.meta (
    key   text PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE hookrouter.finished (
    seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id  text NOT NULL,
    asterisk text NOT NULL,
    ended_at float8 NOT NULL,
    summary  bytea NOT NULL
);
CREATE INDEX finished_by_call ON hookrouter.finished (call_id);

CREATE TABLE hookrouter.timeline (
    seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id text NOT NULL,
    at      float8 NOT NULL,
    kind    text NOT NULL,
    detail  bytea NOT NULL
);
CREATE INDEX timeline_by_call ON hookrouter.timeline (call_id);

CREATE TABLE hookrouter.deliveries (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL,
    lane       text NOT NULL,
    route      text NOT NULL,
    url        text NOT NULL,
    call       text NOT NULL,
    type       text NOT NULL,
    created_at float8 NOT NULL,
    attempts   integer NOT NULL DEFAULT 0,
    replayed   integer NOT NULL DEFAULT 0,
    first_at   float8,
    next_at    float8 NOT NULL,
    status     text NOT NULL DEFAULT 'pending',
    reason     text NOT NULL DEFAULT '',
    body       bytea NOT NULL,
    entry      text NOT NULL,  -- where it goes when another router takes an Asterisk over
    UNIQUE (id, lane)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX deliveries_due ON hookrouter.deliveries (entry, lane, next_at, seq) WHERE status = 'pending';
CREATE INDEX deliveries_of_call ON hookrouter.deliveries (lane, call, seq) WHERE status = 'pending' AND call <> '';
CREATE INDEX deliveries_done ON hookrouter.deliveries (status, seq) WHERE status <> 'pending';

CREATE TABLE hookrouter.attempts (
    delivery bigint NOT NULL,
    number   integer NOT NULL,
    at       float8 NOT NULL,
    reason   text NOT NULL,
    status   integer,
    seconds  float8 NOT NULL,
    detail   text NOT NULL,
    PRIMARY KEY (delivery, number)
);

CREATE TABLE hookrouter.lanes (
    lane         text PRIMARY KEY,
    stopped_url  text NOT NULL,
    paused_until float8 NOT NULL
);

-- Several routers: who owns which Asterisk. An `entry` is an [asterisk.NAME]; `~house` is what belongs to none.

-- One row for each router. `word` is of one start of it; `backend` and `begun` are its writing session.
CREATE TABLE hookrouter.routers (
    name    text PRIMARY KEY,
    word    text NOT NULL,
    address text NOT NULL,
    version text NOT NULL,
    backend integer NOT NULL,
    begun   timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 20);

-- Whose an entry is: `router` is the word of a start. The epoch grows with each owner, also where rows have been lost:
-- it never falls behind the clock.
CREATE TABLE hookrouter.leases (
    entry      text PRIMARY KEY,
    epoch      bigint NOT NULL,
    router     text NOT NULL,
    since      timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    released   boolean NOT NULL
) WITH (fillfactor = 20);

CREATE FUNCTION hookrouter.lives_v1(pid integer, begun timestamptz) RETURNS boolean
LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM pg_stat_activity AS a WHERE a.pid = $1 AND a.backend_start = $2) $$;

-- Makes this session the writing one of the router `called` in its start `start`; says who is in the way, NULL: nobody.
-- What an earlier start of the same router held is given back: its session has ended.
CREATE FUNCTION hookrouter.enter_v1(called text, start text, place text, release text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    had hookrouter.routers%ROWTYPE;
BEGIN
    INSERT INTO hookrouter.routers VALUES (called, start, place, release, 0, '-infinity', clock_timestamp())
    ON CONFLICT (name) DO NOTHING;
    SELECT * INTO had FROM hookrouter.routers WHERE name = called FOR UPDATE;
    IF had.backend <> pg_backend_pid() AND hookrouter.lives_v1(had.backend, had.begun) THEN
        IF had.word <> start THEN
            RETURN called;
        ELSIF NOT pg_terminate_backend(had.backend, 3000) THEN
            RAISE EXCEPTION 'the session that the router had before (%) does not end', had.backend;
        END IF;
    END IF;
    UPDATE hookrouter.routers SET word = start, address = place, version = release, seen_at = clock_timestamp(),
        backend = pg_backend_pid(),
        begun = (SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid())
    WHERE name = called;
    UPDATE hookrouter.leases SET released = true WHERE router = had.word AND had.word <> start;
    RETURN NULL;
END $$;

-- Raises HR001 where one of the leases is no longer what the writer thinks; `detail` names the entries, a line each.
CREATE FUNCTION hookrouter.fence_v1(entries text[], epochs bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    held text[];
BEGIN
    IF cardinality(entries) = 0 THEN
        RETURN;
    END IF;
    SELECT array_agg(x.entry) INTO held FROM (
        SELECT l.entry FROM hookrouter.leases AS l JOIN unnest(entries, epochs) AS u(e, n) ON l.entry = u.e AND l.epoch = u.n
        ORDER BY l.entry FOR SHARE OF l
    ) AS x;
    IF coalesce(cardinality(held), 0) < cardinality(entries) THEN
        RAISE EXCEPTION USING ERRCODE = 'HR001', MESSAGE = 'another router has taken what this one writes for', DETAIL =
            (SELECT string_agg(u.e, E'\n') FROM unnest(entries) AS u(e) WHERE u.e <> ALL (coalesce(held, '{}')));
    END IF;
END $$;

-- Another `seconds` for the leases that are still those of this start.
CREATE FUNCTION hookrouter.renew_v1(start text, entries text[], epochs bigint[], seconds float8) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE hookrouter.routers SET seen_at = clock_timestamp() WHERE word = start;
    IF cardinality(entries) > 0 THEN
        PERFORM 1 FROM hookrouter.leases AS l JOIN unnest(entries, epochs) AS u(e, n) ON l.entry = u.e AND l.epoch = u.n
        ORDER BY l.entry FOR NO KEY UPDATE OF l;
        UPDATE hookrouter.leases AS l SET expires_at = clock_timestamp() + make_interval(secs => seconds)
        FROM unnest(entries, epochs) AS u(e, n)
        WHERE l.entry = u.e AND l.epoch = u.n AND l.router = start AND NOT l.released;
    END IF;
END $$;

-- The new epoch where the lease was free and its epoch the one that was seen (0: there was none), else NULL.
-- `suspected`: it is known that its holder's process is no more.
CREATE FUNCTION hookrouter.take_v1(start text, wanted text, seen bigint, seconds float8, suspected boolean) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '700ms' AS $$
DECLARE
    had hookrouter.leases%ROWTYPE;
    granted bigint;
BEGIN
    INSERT INTO hookrouter.leases VALUES (wanted, 0, '', '-infinity', '-infinity', true) ON CONFLICT (entry) DO NOTHING;
    FOR attempt IN 1..2 LOOP
        BEGIN
            SELECT * INTO had FROM hookrouter.leases WHERE entry = wanted FOR UPDATE;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN  -- a session of its holder's hangs in the middle of a batch
            SELECT * INTO had FROM hookrouter.leases WHERE entry = wanted;
            IF attempt = 2 OR had.epoch <> seen OR had.expires_at > clock_timestamp() THEN
                RETURN NULL;
            END IF;
            -- Not waited for: who asks for the row now has it before the holder can have connected again.
            PERFORM pg_terminate_backend(r.backend) FROM hookrouter.routers AS r
            WHERE r.word = had.router AND hookrouter.lives_v1(r.backend, r.begun);
        END;
    END LOOP;
    IF had.epoch <> seen OR NOT (had.released OR suspected OR had.expires_at <= clock_timestamp()) THEN
        RETURN NULL;
    END IF;
    granted := greatest(had.epoch + 1, extract(epoch FROM clock_timestamp())::bigint);
    UPDATE hookrouter.leases SET epoch = granted, router = start, since = clock_timestamp(), released = false,
        expires_at = clock_timestamp() + make_interval(secs => seconds)
    WHERE entry = wanted;
    RETURN granted;
END $$;

CREATE FUNCTION hookrouter.release_v1(start text, entries text[], epochs bigint[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE hookrouter.leases AS l SET released = true FROM unnest(entries, epochs) AS u(e, n)
    WHERE l.entry = u.e AND l.epoch = u.n AND l.router = start
$$;

-- One batch, one transaction. `again`: rows without a key of their own may be there already.
-- Says which deliveries are new, by their place in the arrays, and what holds each up.
CREATE FUNCTION hookrouter.write_v1(
    entries text[], epochs bigint[], batch bigint, again boolean, now float8,
    c_id text[], c_asterisk text[], c_snapshot bytea[], dropped text[],
    m_key text[], m_value bytea[],
    f_call text[], f_asterisk text[], f_at float8[], f_summary bytea[],
    t_call text[], t_at float8[], t_kind text[], t_detail bytea[],
    d_id text[], d_lane text[], d_route text[], d_url text[], d_call text[], d_type text[], d_at float8[], d_body bytea[],
    d_strict boolean[], d_entry text[],
    p_id text[], p_lane text[], p_status text[], p_attempts integer[], p_first float8[], p_next float8[], p_reason text[],
    e_number integer[], e_at float8[], e_reason text[], e_status integer[], e_seconds float8[], e_detail text[],
    l_lane text[], l_url text[], l_until float8[]
) RETURNS TABLE (place bigint, predecessor text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    newest bigint;
BEGIN
    PERFORM hookrouter.fence_v1(entries, epochs);
    IF cardinality(c_id) > 0 THEN
        INSERT INTO hookrouter.calls AS c (call_id, asterisk, saved_at, epoch, version, snapshot)
        SELECT u.i, u.a, write_v1.now, e.n, batch, u.s FROM unnest(c_id, c_asterisk, c_snapshot) AS u(i, a, s)
        JOIN unnest(entries, epochs) AS e(a, n) ON e.a = u.a
        ON CONFLICT (call_id) DO UPDATE SET asterisk = excluded.asterisk, saved_at = excluded.saved_at,
            epoch = excluded.epoch, version = excluded.version, snapshot = excluded.snapshot
        WHERE (c.epoch, c.version) < (excluded.epoch, excluded.version);
    END IF;
    IF cardinality(dropped) > 0 THEN
        DELETE FROM hookrouter.calls WHERE call_id = ANY (dropped);
    END IF;
    IF cardinality(f_call) > 0 THEN
        INSERT INTO hookrouter.finished (call_id, asterisk, ended_at, summary)
        SELECT u.c, u.a, u.e, u.s FROM unnest(f_call, f_asterisk, f_at, f_summary) WITH ORDINALITY AS u(c, a, e, s, n)
        WHERE NOT again OR NOT EXISTS (
            SELECT FROM hookrouter.finished AS f WHERE f.call_id = u.c AND f.ended_at = u.e AND f.summary = u.s)
        ORDER BY u.n;
    END IF;
    IF cardinality(t_call) > 0 THEN
        INSERT INTO hookrouter.timeline (call_id, at, kind, detail)
        SELECT u.c, u.a, u.k, u.d FROM unnest(t_call, t_at, t_kind, t_detail) WITH ORDINALITY AS u(c, a, k, d, n)
        WHERE NOT again OR NOT EXISTS (
            SELECT FROM hookrouter.timeline AS t
            WHERE t.call_id = u.c AND t.at = u.a AND t.kind = u.k AND t.detail = u.d)
        ORDER BY u.n;
    END IF;
    IF cardinality(m_key) > 0 THEN
        DELETE FROM hookrouter.meta WHERE key IN (SELECT u.k FROM unnest(m_key, m_value) AS u(k, v) WHERE u.v IS NULL);
        INSERT INTO hookrouter.meta (key, value)
        SELECT u.k, u.v FROM unnest(m_key, m_value) AS u(k, v) WHERE u.v IS NOT NULL
        ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    END IF;
    IF cardinality(d_id) > 0 THEN
        SELECT coalesce(max(seq), 0) INTO newest FROM hookrouter.deliveries;
        INSERT INTO hookrouter.deliveries (id, lane, route, url, call, type, created_at, next_at, body, entry)
        SELECT u.i, u.l, u.r, u.u, u.c, u.t, u.a, u.a, u.b, u.e
        FROM unnest(d_id, d_lane, d_route, d_url, d_call, d_type, d_at, d_body, d_entry) WITH ORDINALITY
            AS u(i, l, r, u, c, t, a, b, e, n)
        ORDER BY u.n
        ON CONFLICT (id, lane) DO NOTHING;
    END IF;
    IF cardinality(p_id) > 0 THEN
        UPDATE hookrouter.deliveries AS d SET status = u.s, attempts = u.a, first_at = u.f, next_at = u.x, reason = u.r,
            body = CASE WHEN u.s = 'delivered' THEN ''::bytea ELSE d.body END
        FROM (
            SELECT DISTINCT ON (v.i, v.l) v.*
            FROM unnest(p_id, p_lane, p_status, p_attempts, p_first, p_next, p_reason) WITH ORDINALITY
                AS v(i, l, s, a, f, x, r, n)
            ORDER BY v.i, v.l, v.n DESC
        ) AS u
        WHERE d.id = u.i AND d.lane = u.l AND d.entry = ANY (entries);
        INSERT INTO hookrouter.attempts AS a (delivery, number, at, reason, status, seconds, detail)
        SELECT DISTINCT ON (d.seq, u.n) d.seq, u.n, u.a, u.r, u.s, u.x, u.t
        FROM unnest(p_id, p_lane, e_number, e_at, e_reason, e_status, e_seconds, e_detail) WITH ORDINALITY
            AS u(i, l, n, a, r, s, x, t, o)
        JOIN hookrouter.deliveries AS d ON d.id = u.i AND d.lane = u.l AND d.entry = ANY (entries)
        WHERE u.n IS NOT NULL
        ORDER BY d.seq, u.n, u.o DESC
        ON CONFLICT (delivery, number) DO UPDATE SET at = excluded.at, reason = excluded.reason,
            status = excluded.status, seconds = excluded.seconds, detail = excluded.detail;
    END IF;
    IF cardinality(l_lane) > 0 THEN
        DELETE FROM hookrouter.lanes WHERE lane IN (
            SELECT u.l FROM unnest(l_lane, l_url, l_until) AS u(l, a, t) WHERE u.a = '' AND u.t <= write_v1.now);
        INSERT INTO hookrouter.lanes (lane, stopped_url, paused_until)
        SELECT u.l, u.a, u.t FROM unnest(l_lane, l_url, l_until) AS u(l, a, t) WHERE u.a <> '' OR u.t > write_v1.now
        ON CONFLICT (lane) DO UPDATE SET stopped_url = excluded.stopped_url, paused_until = excluded.paused_until;
    END IF;
    IF cardinality(d_id) > 0 THEN
        RETURN QUERY
        SELECT u.n, (
            SELECT e.id FROM hookrouter.deliveries AS e
            WHERE e.lane = d.lane AND e.call = d.call AND e.call <> '' AND e.status = 'pending' AND e.seq < d.seq
                AND (u.s OR e.first_at IS NULL)
            ORDER BY e.seq DESC LIMIT 1)
        FROM (
            SELECT v.i, v.l, min(v.n) AS n, (array_agg(v.s ORDER BY v.n))[1] AS s
            FROM unnest(d_id, d_lane, d_strict) WITH ORDINALITY AS v(i, l, s, n) GROUP BY v.i, v.l
        ) AS u
        JOIN hookrouter.deliveries AS d ON d.id = u.i AND d.lane = u.l
        WHERE d.seq > newest;
    END IF;
END $$;
