-- SPDX-License-Identifier: Apache-2.0
-- keys.db: the keys of subjects, wrapped with the master key. Backed up apart from data.db: without
-- this file the log still verifies and the content can no longer be read.

-- owner: trust/audit
CREATE TABLE subject_key (
    id         INTEGER PRIMARY KEY,
    subject    BLOB    NOT NULL UNIQUE, -- HMAC-SHA256 of team, NUL, requester under a key of its own purpose
    nonce      BLOB    NOT NULL,
    wrapped    BLOB,                    -- 32 bytes + 16 of tag; NULL once erased
    created_at INTEGER NOT NULL,
    erased_at  INTEGER
) STRICT;

-- The log's own identity: a fresh clone of data.db cannot sign for it.
-- owner: trust/audit
CREATE TABLE log_key (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    origin     TEXT    NOT NULL,
    public     BLOB    NOT NULL,
    nonce      BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL, -- Ed25519 seed, 32 bytes + 16 of tag
    created_at INTEGER NOT NULL
) STRICT;
