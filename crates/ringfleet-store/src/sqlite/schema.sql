-- The embedded store. Each table is a key family of the Lua scripts; times are ms since 1970, 0 = none in a message.
-- Rows of waiting and flying messages are small and stand apart from the texts, so that a claim or an intent writes
-- a few pages however long the texts are.

CREATE TABLE store (
    one          INTEGER PRIMARY KEY CHECK (one = 1),
    token        INTEGER NOT NULL,  -- the last lease or slot token given out; grows for ever
    wake         INTEGER NOT NULL,  -- grows when work comes in; other processes watch it
    gate_stopped INTEGER NOT NULL,
    gate_until   INTEGER,
    gate_reason  TEXT NOT NULL,  -- of the stop
    gate_why     TEXT NOT NULL DEFAULT ''  -- of the penalty
) STRICT;
INSERT INTO store VALUES (1, 0, 0, 0, NULL, '', '');

CREATE TABLE counters (state INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT;
INSERT INTO counters VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0), (14, 0);

CREATE TABLE lanes (
    n             INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    penalty       INTEGER NOT NULL DEFAULT 0,
    paused        INTEGER NOT NULL DEFAULT 0,
    parked        TEXT,
    probe         INTEGER NOT NULL DEFAULT 0,  -- one message alone, until it was answered
    in_flight     INTEGER NOT NULL DEFAULT 0,
    claims        INTEGER NOT NULL DEFAULT 0,  -- slots ever taken
    heard         INTEGER NOT NULL DEFAULT 0,  -- the latest claim whose answer was listened to
    learnt_limit  INTEGER,
    learnt_window INTEGER,
    slots         BLOB NOT NULL DEFAULT x'',   -- see slots.rs
    waiting       INTEGER NOT NULL DEFAULT 0,  -- rows in queue
    look_at       INTEGER,                     -- when its unknown sends are looked up next; NULL = it has none
    looked_at     INTEGER NOT NULL DEFAULT 0,  -- until when somebody does that now
    report_look   INTEGER,                     -- when its delivery reports are looked for next; NULL = none is waited for
    report_locked INTEGER NOT NULL DEFAULT 0,  -- until when somebody does that now
    report_since  INTEGER,                     -- the earliest `since` of its reports_due
    oldest_due    INTEGER,                     -- NULL = nothing waits
    ready_at      INTEGER                      -- first instant at which it may send; NULL = not in the ready index
) STRICT;
CREATE INDEX lanes_ready ON lanes (ready_at, name) WHERE ready_at IS NOT NULL;
CREATE INDEX lanes_due ON lanes (oldest_due, name) WHERE oldest_due IS NOT NULL;
CREATE INDEX lanes_look ON lanes (look_at, name) WHERE look_at IS NOT NULL;
CREATE INDEX lanes_report_look ON lanes (report_look, name) WHERE report_look IS NOT NULL;
CREATE INDEX lanes_report_since ON lanes (report_since, name) WHERE report_since IS NOT NULL;

-- A waiting message has state 2 (ready); a row in schedule makes it scheduled, one in flight claimed or sending.
CREATE TABLE messages (
    n           INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE,
    lane        INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    priority    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL DEFAULT 0,
    recoveries  INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    send_at     INTEGER NOT NULL,
    send_by     INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    sender      TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    code        TEXT NOT NULL DEFAULT '',
    provider_id TEXT NOT NULL DEFAULT '',
    token       INTEGER NOT NULL DEFAULT 0,    -- of the lease that ended it, or the last whose story is closed
    ended       INTEGER,                       -- NULL while it waits, or the end of the quiet hours that it was put off to; since when its fate is unknown
    on_unknown  INTEGER NOT NULL,
    intent      INTEGER NOT NULL DEFAULT 0,    -- of the send whose fate is or was unknown
    reads       INTEGER NOT NULL DEFAULT 0,    -- of the provider's message store, without finding it
    expire_at   INTEGER,                       -- when reap looks at its send_by; NULL = never
    reported    INTEGER,                       -- when the provider's word on its delivery came
    report      TEXT NOT NULL DEFAULT '',      -- the code of that
    text        TEXT NOT NULL
) STRICT;
CREATE INDEX messages_expiry ON messages (expire_at, id) WHERE expire_at IS NOT NULL;
-- Of an older program, which works beside this one; the next schema needs it no more: see `make_indexes` in reap.rs.
CREATE INDEX messages_finished ON messages (ended, id) WHERE state IN (5, 6, 7, 8, 9, 12, 13, 14);
CREATE INDEX messages_looked_at ON messages (state, ended, id) WHERE state IN (9, 10, 11);
CREATE INDEX messages_unknown ON messages (lane, ended, id) WHERE state = 11;
CREATE INDEX messages_credited ON messages (provider_id) WHERE provider_id <> '';

-- New messages go to the end, those given back before the first: `place` grows at one end and shrinks at the other.
CREATE TABLE queue (
    lane     INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    message  INTEGER NOT NULL UNIQUE,
    due      INTEGER NOT NULL,
    PRIMARY KEY (lane, priority, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule (
    due     INTEGER NOT NULL,
    id      BLOB NOT NULL,
    message INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (due, id)
) STRICT, WITHOUT ROWID;

-- `lane` and `send_by` are copies of what never changes, so that an intent need not touch the message.
CREATE TABLE flight (
    id          BLOB PRIMARY KEY,
    message     INTEGER NOT NULL,
    lane        INTEGER NOT NULL,
    send_by     INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    token       INTEGER NOT NULL,
    since       INTEGER NOT NULL,
    claim       INTEGER NOT NULL,  -- which claim of its lane it was
    used        INTEGER NOT NULL,  -- slots in use then, its own among them
    lease_until INTEGER NOT NULL,
    worker      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX flight_lease ON flight (lease_until, id);

-- Of the messages between one sender and one recipient only one is in flight or of unknown fate; more only where late
-- evidence told of a second one.
CREATE TABLE pairs (
    sender    TEXT NOT NULL,
    recipient TEXT NOT NULL,
    message   INTEGER NOT NULL,
    PRIMARY KEY (sender, recipient, message)
) STRICT, WITHOUT ROWID;

-- Texts of the provider that were sent beside the one that a message is credited with, and those of messages whose record
-- is gone.
CREATE TABLE spare_credits (
    provider_id TEXT PRIMARY KEY,
    lane        INTEGER NOT NULL,
    at          INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who wants no texts. No extension = of every one, sender '*' = any number.
CREATE TABLE opt_outs (
    extension TEXT NOT NULL,
    sender    TEXT NOT NULL,
    recipient TEXT NOT NULL,
    rev       INTEGER NOT NULL UNIQUE,  -- from the same counter as the tokens
    PRIMARY KEY (extension, sender, recipient)
) STRICT, WITHOUT ROWID;

-- Sent texts whose delivery report is waited for. The message is named by its id: a row may come back as another one.
CREATE TABLE reports_due (
    lane        INTEGER NOT NULL,
    provider_id TEXT NOT NULL,
    message     BLOB NOT NULL,
    since       INTEGER NOT NULL,  -- before this time it was not sent
    PRIMARY KEY (lane, provider_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reports_due_since ON reports_due (lane, since, provider_id);

-- Those whose report has come, of the last hour.
CREATE TABLE reports_told (
    lane        INTEGER NOT NULL,
    provider_id TEXT NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (lane, provider_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reports_told_at ON reports_told (at);

CREATE TABLE sessions (
    extension  TEXT PRIMARY KEY,
    generation INTEGER NOT NULL DEFAULT 0,
    sealed     BLOB,
    expires    INTEGER NOT NULL DEFAULT 0,
    renewer    TEXT,
    locked     INTEGER NOT NULL DEFAULT 0,
    renew      INTEGER NOT NULL DEFAULT 0,
    refused    TEXT NOT NULL DEFAULT '',  -- a line each: fingerprint of a credential that was refused for good, its reason
    resumed    INTEGER NOT NULL DEFAULT 0  -- the newest token when its lane was let go on last
) STRICT, WITHOUT ROWID;

-- Documents. A removed one stays without its body, so that those who have a copy hear of it.
CREATE TABLE docs (
    n       INTEGER PRIMARY KEY,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    rev     INTEGER NOT NULL,      -- from the same counter as the tokens
    changed INTEGER NOT NULL,
    ends    INTEGER,               -- when it vanishes by itself; NULL = never
    body    BLOB,                  -- NULL = removed
    UNIQUE (kind, key)
) STRICT;
CREATE INDEX docs_changes ON docs (kind, rev);
CREATE INDEX docs_ending ON docs (ends) WHERE ends IS NOT NULL;
CREATE INDEX docs_gone ON docs (rev) WHERE body IS NULL;

-- The greatest revision of a removal that is forgotten.
CREATE TABLE doc_floors (kind TEXT PRIMARY KEY, rev INTEGER NOT NULL) STRICT, WITHOUT ROWID;
