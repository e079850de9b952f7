-- In which format an owner has written its calls: a router that reads only older ones takes nothing whose calls it cannot read.

ALTER TABLE hookrouter.leases ADD COLUMN format integer NOT NULL DEFAULT 0;

-- As take_v1, and NULL where calls are there that were written by who knows newer formats than `known`.
-- What it knows is what is written from now on. Raises HR002 where such a call came in this moment.
CREATE FUNCTION hookrouter.take_v2(
    start text, wanted text, seen bigint, seconds float8, suspected boolean, known integer
) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '700ms' AS $$
DECLARE
    granted bigint;
BEGIN
    IF hookrouter.newer_v1(wanted, known) THEN
        RETURN NULL;
    END IF;
    granted := hookrouter.take_v1(start, wanted, seen, seconds, suspected);
    IF granted IS NOT NULL THEN
        IF hookrouter.newer_v1(wanted, known) THEN
            RAISE EXCEPTION USING ERRCODE = 'HR002', MESSAGE = 'its calls are written in a newer format';
        END IF;
        UPDATE hookrouter.leases SET format = known WHERE entry = wanted;
    END IF;
    RETURN granted;
END $$;

-- As take_offered_v1.
CREATE FUNCTION hookrouter.take_offered_v2(
    start text, wanted text, seen bigint, seconds float8, known integer
) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '700ms' AS $$
BEGIN
    PERFORM 1 FROM hookrouter.leases AS l
    WHERE l.entry = wanted AND l.epoch = seen AND hookrouter.offered_v1(l.epoch, l.offers) FOR UPDATE;
    RETURN CASE WHEN FOUND THEN hookrouter.take_v2(start, wanted, seen, seconds, true, known) END;
END $$;

-- Whether calls of the entry are there that may be written in a newer format than `known`.
CREATE FUNCTION hookrouter.newer_v1(wanted text, known integer) RETURNS boolean
LANGUAGE sql AS $$
    SELECT EXISTS (SELECT FROM hookrouter.leases AS l WHERE l.entry = wanted AND l.format > known)
        AND EXISTS (SELECT FROM hookrouter.calls AS c WHERE c.asterisk = wanted)
$$;
