-- What an owner that does not reach its Asterisk offers to the others.

-- The owner counts: odd, its lease is offered, even, it is not; a question that comes late has a lower number than the row.
ALTER TABLE hookrouter.leases ADD COLUMN offers bigint NOT NULL DEFAULT 0;

-- Of its own epoch alone: what a former owner has offered counts no more.
CREATE FUNCTION hookrouter.offered_v1(epoch bigint, offers bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT offers / 1048576 = epoch AND offers % 2 = 1 $$;

-- False: the lease is no longer what its owner thinks, or the number is lower than the last one.
CREATE FUNCTION hookrouter.offer_v1(start text, wanted text, held bigint, number bigint) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '700ms' AS $$
BEGIN
    UPDATE hookrouter.leases SET offers = held * 1048576 + number
    WHERE entry = wanted AND epoch = held AND router = start AND NOT released AND offers <= held * 1048576 + number;
    RETURN FOUND;
END $$;

-- The new epoch where the lease that was seen is offered still, else NULL.
CREATE FUNCTION hookrouter.take_offered_v1(start text, wanted text, seen bigint, seconds float8) RETURNS bigint
LANGUAGE plpgsql SET lock_timeout = '700ms' AS $$
BEGIN
    PERFORM 1 FROM hookrouter.leases AS l
    WHERE l.entry = wanted AND l.epoch = seen AND hookrouter.offered_v1(l.epoch, l.offers) FOR UPDATE;
    RETURN CASE WHEN FOUND THEN hookrouter.take_v1(start, wanted, seen, seconds, true) END;
END $$;
