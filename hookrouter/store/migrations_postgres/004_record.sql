-- The record of calls: what happened in each of them, for people. Nothing of it is needed for a call to go on.

-- `id` rises with time, and no two routers give the same one: it holds the slot of who began the call. `epoch`: under which the
-- call is written now; what comes with a lower one is of a router that was taken over, and is not taken.
CREATE TABLE hookrouter.record_calls (
    id         bigint PRIMARY KEY,
    epoch      bigint NOT NULL,
    call_id    text NOT NULL,
    asterisk   text NOT NULL,
    app        text NOT NULL,
    route      text NOT NULL,
    tenant     text NOT NULL,
    caller     text NOT NULL,
    called     text NOT NULL,
    started_at float8 NOT NULL,
    ended_at   float8,                          -- NULL: live
    outcome    text NOT NULL DEFAULT 'live',    -- live, good, failed
    reason     text NOT NULL DEFAULT '',
    sentence   text NOT NULL DEFAULT '',
    tags       text NOT NULL DEFAULT '{}',      -- JSON
    bytes      bigint NOT NULL DEFAULT 0,       -- of all its parts, as they were before they were packed
    left_out   integer NOT NULL DEFAULT 0,      -- entries that were not kept
    words      tsvector                         -- of a call that is over
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX record_calls_by_call ON hookrouter.record_calls (call_id);
CREATE INDEX record_calls_by_outcome ON hookrouter.record_calls (outcome, id);
CREATE INDEX record_calls_by_route ON hookrouter.record_calls (route, id);
CREATE INDEX record_calls_by_caller ON hookrouter.record_calls (caller, id);
CREATE INDEX record_calls_by_called ON hookrouter.record_calls (called, id);
CREATE INDEX record_calls_by_tenant ON hookrouter.record_calls (tenant, id);
CREATE INDEX record_calls_by_words ON hookrouter.record_calls USING gin (words) WITH (gin_pending_list_limit = 1024);

CREATE TABLE hookrouter.record_parts (
    call   bigint NOT NULL,
    number integer NOT NULL,
    packed boolean NOT NULL,
    data   bytea NOT NULL,
    words  text NOT NULL,                       -- those that it added to the call's, while that goes on
    PRIMARY KEY (call, number)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE hookrouter.record_parts ALTER COLUMN data SET STORAGE EXTERNAL;

-- One row for each router that writes, by its slot. `batch`: its last one, so that none is written twice; `bytes`: what it has
-- added less what it has taken away, so that the sum of all is the size of the record.
CREATE TABLE hookrouter.record_writers (
    slot    integer PRIMARY KEY,
    batch   bigint NOT NULL,
    bytes   bigint NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 20);
CREATE SEQUENCE hookrouter.record_slots;

-- A slot that nobody has used for an hour, and the last batch that was written by it.
CREATE FUNCTION hookrouter.enter_record_v1() RETURNS TABLE (slot integer, batch bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    free integer;
BEGIN
    FOR attempt IN 1..1024 LOOP
        free := nextval('hookrouter.record_slots') % 1024;
        RETURN QUERY
        INSERT INTO hookrouter.record_writers AS w VALUES (free, 0, 0, clock_timestamp())
        ON CONFLICT (slot) DO UPDATE SET seen_at = excluded.seen_at
        WHERE w.seen_at < clock_timestamp() - interval '1 hour'
        RETURNING w.slot, w.batch;
        IF FOUND THEN
            RETURN;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'all 1024 slots of routers that write a record have been used within the last hour';
END $$;

-- What the row of a call that is over counts for, beside its parts.
CREATE FUNCTION hookrouter.record_weight_v1(words tsvector) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT 400 + 20 * coalesce(length(words), 0)::bigint $$;

-- One batch, one transaction; false: it was written before. `m_…`: all calls that it is of, and the epochs that it is written
-- under. What it says of a call that another router goes on with is not taken; nor is what it says of one that was erased.
CREATE FUNCTION hookrouter.write_record_v1(
    me integer, this bigint,
    m_id bigint[], m_epoch bigint[],
    n_id bigint[], n_epoch bigint[], n_call text[], n_asterisk text[], n_app text[], n_route text[], n_tenant text[],
    n_caller text[], n_called text[], n_at float8[],
    unpacked bigint[],
    x_id bigint[], x_number integer[], x_entries integer[],
    p_id bigint[], p_number integer[], p_packed boolean[], p_data bytea[], p_words text[],
    t_id bigint[], t_tags text[],
    e_id bigint[], e_at float8[], e_outcome text[], e_reason text[], e_sentence text[], e_tags text[], e_words text[],
    e_bytes bigint[],
    unkept bigint[],
    l_id bigint[], l_data bytea[], l_bytes bigint[]
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
    ours bigint[];
    added bigint := 0;
    delta bigint;
BEGIN
    SELECT w.batch INTO last FROM hookrouter.record_writers AS w WHERE w.slot = me FOR UPDATE;
    IF last >= this THEN
        RETURN false;
    END IF;
    IF cardinality(n_id) > 0 THEN
        INSERT INTO hookrouter.record_calls AS c
            (id, epoch, call_id, asterisk, app, route, tenant, caller, called, started_at)
        SELECT * FROM unnest(n_id, n_epoch, n_call, n_asterisk, n_app, n_route, n_tenant, n_caller, n_called, n_at)
        ON CONFLICT (id) DO NOTHING;
    END IF;
    SELECT coalesce(array_agg(x.id), '{}') INTO ours FROM (
        SELECT c.id FROM hookrouter.record_calls AS c JOIN unnest(m_id, m_epoch) AS u(i, e) ON c.id = u.i AND c.epoch <= u.e
        ORDER BY c.id FOR SHARE OF c
    ) AS x;
    IF cardinality(unpacked) > 0 THEN
        WITH gone AS (
            DELETE FROM hookrouter.record_parts AS p USING unnest(unpacked) AS u(i)
            WHERE p.call = u.i AND NOT p.packed AND u.i = ANY (ours) RETURNING octet_length(p.data) AS bytes
        ) SELECT coalesce(sum(g.bytes), 0) INTO delta FROM gone AS g;
        added := added - delta;
    END IF;
    IF cardinality(x_id) > 0 THEN
        WITH gone AS (
            DELETE FROM hookrouter.record_parts AS p USING unnest(x_id, x_number) AS u(i, n)
            WHERE p.call = u.i AND p.number = u.n AND u.i = ANY (ours) RETURNING octet_length(p.data) AS bytes
        ) SELECT coalesce(sum(g.bytes), 0) INTO delta FROM gone AS g;
        added := added - delta;
        UPDATE hookrouter.record_calls AS c SET left_out = c.left_out + u.n
        FROM (SELECT v.i, sum(v.e)::integer AS n FROM unnest(x_id, x_entries) AS v(i, e) GROUP BY v.i) AS u
        WHERE c.id = u.i AND c.id = ANY (ours);
    END IF;
    IF cardinality(p_id) > 0 THEN
        WITH come AS (
            INSERT INTO hookrouter.record_parts (call, number, packed, data, words)
            SELECT u.i, u.n, u.p, u.d, u.w FROM unnest(p_id, p_number, p_packed, p_data, p_words) AS u(i, n, p, d, w)
            WHERE u.i = ANY (ours)
            ON CONFLICT (call, number) DO NOTHING RETURNING octet_length(data) AS bytes
        ) SELECT coalesce(sum(g.bytes), 0) INTO delta FROM come AS g;
        added := added + delta;
    END IF;
    IF cardinality(t_id) > 0 THEN
        UPDATE hookrouter.record_calls AS c SET tags = u.t FROM unnest(t_id, t_tags) AS u(i, t)
        WHERE c.id = u.i AND c.id = ANY (ours);
    END IF;
    IF cardinality(e_id) > 0 THEN
        WITH ended AS (
            UPDATE hookrouter.record_calls AS c SET ended_at = u.a, outcome = u.o, reason = u.r, sentence = u.s, tags = u.t,
                words = array_to_tsvector(string_to_array(u.w, ' ')), bytes = u.b
            FROM unnest(e_id, e_at, e_outcome, e_reason, e_sentence, e_tags, e_words, e_bytes) AS u(i, a, o, r, s, t, w, b)
            WHERE c.id = u.i AND c.id = ANY (ours) AND c.outcome = 'live'
            RETURNING hookrouter.record_weight_v1(c.words) AS bytes
        ) SELECT coalesce(sum(g.bytes), 0) INTO delta FROM ended AS g;
        added := added + delta;
        UPDATE hookrouter.record_parts AS p SET words = '' FROM unnest(e_id) AS u(i)
        WHERE p.call = u.i AND u.i = ANY (ours) AND p.words <> '';
    END IF;
    IF cardinality(unkept) > 0 THEN
        WITH gone AS (
            DELETE FROM hookrouter.record_parts AS p USING unnest(unkept) AS u(i)
            WHERE p.call = u.i AND u.i = ANY (ours) RETURNING octet_length(p.data) AS bytes
        ) SELECT coalesce(sum(g.bytes), 0) INTO delta FROM gone AS g;
        added := added - delta;
        DELETE FROM hookrouter.record_calls AS c USING unnest(unkept) AS u(i) WHERE c.id = u.i AND c.id = ANY (ours);
    END IF;
    IF cardinality(l_id) > 0 THEN
        WITH known AS (
            UPDATE hookrouter.record_calls AS c SET bytes = c.bytes + u.b FROM unnest(l_id, l_bytes) AS u(i, b)
            WHERE c.id = u.i RETURNING c.id
        ), come AS (
            INSERT INTO hookrouter.record_parts (call, number, packed, data, words)
            SELECT u.i, (SELECT coalesce(max(p.number), -1) + 1 FROM hookrouter.record_parts AS p WHERE p.call = u.i), true, u.d, ''
            FROM unnest(l_id, l_data) AS u(i, d) JOIN known ON known.id = u.i
            RETURNING octet_length(data) AS bytes
        ) SELECT coalesce(sum(g.bytes), 0) INTO delta FROM come AS g;
        added := added + delta;
    END IF;
    UPDATE hookrouter.record_writers AS w SET batch = this, bytes = w.bytes + added, seen_at = clock_timestamp()
    WHERE w.slot = me;
    RETURN true;
END $$;

-- Calls and all that is kept of them go; how many there were. `me`: whose account it goes to.
CREATE FUNCTION hookrouter.forget_record_v1(me integer, ids bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    parts bigint;
    weight bigint;
    found bigint;
BEGIN
    WITH gone AS (
        DELETE FROM hookrouter.record_parts AS p WHERE p.call = ANY (ids) RETURNING octet_length(p.data) AS bytes
    ) SELECT coalesce(sum(g.bytes), 0) INTO parts FROM gone AS g;
    WITH gone AS (
        DELETE FROM hookrouter.record_calls AS c WHERE c.id = ANY (ids)
        RETURNING CASE WHEN c.ended_at IS NULL THEN 0 ELSE hookrouter.record_weight_v1(c.words) END AS bytes
    ) SELECT coalesce(sum(g.bytes), 0), count(*) INTO weight, found FROM gone AS g;
    INSERT INTO hookrouter.record_writers AS w VALUES (me, 0, -parts - weight, clock_timestamp())
    ON CONFLICT (slot) DO UPDATE SET bytes = w.bytes + excluded.bytes, seen_at = excluded.seen_at;
    RETURN found;
END $$;
