-- SPDX-License-Identifier: Apache-2.0
-- keys.db: wrapped with the master key, and backed up apart from data.db. Without this file the log
-- still verifies, and the content can no longer be read.

-- owner: trust/audit
CREATE TABLE subject_key (
    id         INTEGER PRIMARY KEY,
    subject    BLOB    NOT NULL, -- keyed hash of team and requester: names nobody
    nonce      BLOB    NOT NULL,
    wrapped    BLOB,             -- 32 bytes + 16 of tag; NULL once erased
    created_at INTEGER NOT NULL,
    erased_at  INTEGER
) STRICT;
CREATE UNIQUE INDEX subject_key_live ON subject_key (subject) WHERE erased_at IS NULL;

-- The log's own identity: a copy of data.db alone cannot sign for it.
-- owner: trust/audit
CREATE TABLE log_key (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    origin     TEXT    NOT NULL,
    public     BLOB    NOT NULL,
    nonce      BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL, -- Ed25519 seed, 32 bytes + 16 of tag
    created_at INTEGER NOT NULL
) STRICT;
