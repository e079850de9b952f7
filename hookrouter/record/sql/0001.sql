CREATE TABLE calls (
    id INTEGER PRIMARY KEY,       -- rises with time: the order of the lists
    call_id TEXT NOT NULL,
    asterisk TEXT NOT NULL,
    app TEXT NOT NULL,
    route TEXT NOT NULL,
    tenant TEXT NOT NULL,
    caller TEXT NOT NULL,
    called TEXT NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,                -- NULL: live
    outcome TEXT NOT NULL,        -- live, good, failed
    reason TEXT NOT NULL,         -- how it ended: hangup, left, …
    sentence TEXT NOT NULL,       -- why it failed, in one sentence
    tags TEXT NOT NULL,           -- JSON
    words BLOB,                   -- what the index of words has of it: text, compressed where it is long
    bytes INTEGER NOT NULL,       -- of all its parts
    left_out INTEGER NOT NULL     -- entries that were not kept
);
CREATE INDEX calls_call_id ON calls (call_id);
CREATE INDEX calls_outcome ON calls (outcome, id);
CREATE INDEX calls_route ON calls (route, id);
CREATE INDEX calls_caller ON calls (caller, id);
CREATE INDEX calls_called ON calls (called, id);
CREATE INDEX calls_tenant ON calls (tenant, id);
CREATE INDEX calls_started ON calls (started_at);
CREATE TABLE parts (
    call INTEGER NOT NULL,
    number INTEGER NOT NULL,
    packed INTEGER NOT NULL,      -- 1: made by `pack`
    data BLOB NOT NULL,
    PRIMARY KEY (call, number)
);
CREATE VIRTUAL TABLE word_index USING fts5 (text, content = '', tokenize = 'unicode61 remove_diacritics 2', detail = none);
