-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
CREATE TABLE task (
    id         BLOB PRIMARY KEY,      -- 16 bytes
    kind       TEXT NOT NULL,         -- form | chat | embed
    workflow   TEXT NOT NULL,         -- '' unless kind is form
    team       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    input_id   TEXT NOT NULL,         -- the caller's id of the item, may be ''
    state      TEXT NOT NULL,
    result     TEXT NOT NULL,         -- JSON as answered, '' unless kind is form
    leaf       INTEGER NOT NULL,      -- sequence number of its record
    idem_key   BLOB UNIQUE,           -- sha256 of principal, route and Idempotency-Key; NULL: none given
    idem_input BLOB,                  -- sha256 of what was asked under that key
    created_at INTEGER NOT NULL,      -- µs UTC
    done_at    INTEGER NOT NULL
);
CREATE INDEX task_by_team ON task (team, created_at);

-- owner: answer/task
CREATE TABLE head (
    workflow   TEXT NOT NULL,
    field      TEXT NOT NULL,
    release    TEXT NOT NULL,         -- sha256 hex of the bytes
    bytes      BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (workflow, field)
);

-- owner: answer/task
CREATE TABLE evidence (
    workflow     TEXT NOT NULL,
    field        TEXT NOT NULL,
    rung         TEXT NOT NULL,
    releases     TEXT NOT NULL,       -- what was measured: changed releases void it
    n            INTEGER NOT NULL,
    accuracy     REAL NOT NULL,
    threshold    REAL NOT NULL,
    coverage     REAL NOT NULL,
    slope        REAL NOT NULL,
    intercept    REAL NOT NULL,
    from_history INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (workflow, field, rung)
);
