-- The first schema. A migration is never edited once released: add the next number instead.

CREATE TABLE calls (
    call_id  TEXT PRIMARY KEY,
    asterisk TEXT NOT NULL,
    saved_at REAL NOT NULL,
    snapshot BLOB NOT NULL
);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE finished (
    seq      INTEGER PRIMARY KEY,
    call_id  TEXT NOT NULL,
    asterisk TEXT NOT NULL,
    ended_at REAL NOT NULL,
    summary  BLOB NOT NULL
);

CREATE TABLE timeline (
    seq     INTEGER PRIMARY KEY,
    call_id TEXT NOT NULL,
    at      REAL NOT NULL,
    kind    TEXT NOT NULL,
    detail  BLOB NOT NULL
);
CREATE INDEX timeline_by_call ON timeline (call_id);

-- body comes last: a scan for what is due does not follow its overflow pages
CREATE TABLE deliveries (
    seq        INTEGER PRIMARY KEY,
    id         TEXT NOT NULL,
    lane       TEXT NOT NULL,
    route      TEXT NOT NULL,
    url        TEXT NOT NULL,
    call       TEXT NOT NULL,
    type       TEXT NOT NULL,
    created_at REAL NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    replayed   INTEGER NOT NULL DEFAULT 0,
    first_at   REAL,
    next_at    REAL NOT NULL,
    status     TEXT NOT NULL DEFAULT 'pending',
    reason     TEXT NOT NULL DEFAULT '',
    body       BLOB NOT NULL,
    UNIQUE (id, lane)
);
CREATE INDEX deliveries_due ON deliveries (lane, next_at, seq) WHERE status = 'pending';
CREATE INDEX deliveries_of_call ON deliveries (lane, call, seq) WHERE status = 'pending' AND call <> '';
CREATE INDEX deliveries_done ON deliveries (status, seq) WHERE status <> 'pending';

CREATE TABLE attempts (
    delivery INTEGER NOT NULL REFERENCES deliveries (seq) ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    at       REAL NOT NULL,
    reason   TEXT NOT NULL,
    status   INTEGER,
    seconds  REAL NOT NULL,
    detail   TEXT NOT NULL,
    PRIMARY KEY (delivery, number)
) WITHOUT ROWID;

CREATE TABLE lanes (
    lane         TEXT PRIMARY KEY,
    stopped_url  TEXT NOT NULL,
    paused_until REAL NOT NULL
) WITHOUT ROWID;
