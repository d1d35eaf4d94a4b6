-- SPDX-License-Identifier: Apache-2.0
-- The log's key changes: old public keys stay, to verify old checkpoints; their secret halves go.

-- owner: trust/audit
CREATE TABLE log_key_all (
    id         INTEGER PRIMARY KEY, -- the newest signs
    origin     TEXT    NOT NULL,
    public     BLOB    NOT NULL,
    nonce      BLOB    NOT NULL,
    wrapped    BLOB,                -- Ed25519 seed, 32 bytes + 16 of tag; NULL once retired
    created_at INTEGER NOT NULL,
    retired_at INTEGER NOT NULL     -- 0: not
) STRICT;
INSERT INTO log_key_all SELECT id, origin, public, nonce, wrapped, created_at, 0 FROM log_key;
DROP TABLE log_key;
ALTER TABLE log_key_all RENAME TO log_key;

-- Made before the record that names it, and in use after: what a crash in between leaves.
-- owner: trust/audit
CREATE TABLE log_key_next (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    origin     TEXT    NOT NULL,
    public     BLOB    NOT NULL,
    nonce      BLOB    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    from_size  INTEGER NOT NULL -- leaves when it was made
) STRICT;
