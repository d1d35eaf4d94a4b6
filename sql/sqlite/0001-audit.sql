-- SPDX-License-Identifier: Apache-2.0
-- The record: an RFC 6962 tree of leaves, its signed checkpoints, and the content that leaves speak of.

-- owner: trust/audit
CREATE TABLE leaf (
    seq  INTEGER PRIMARY KEY, -- position in the tree, from 0
    body BLOB NOT NULL,       -- RFC 8785 JSON, at most 8 KiB
    hash BLOB NOT NULL        -- SHA-256(0x00 || body)
) STRICT;

-- owner: trust/audit
CREATE TABLE checkpoint (
    size       INTEGER PRIMARY KEY, -- leaves covered
    root       BLOB    NOT NULL,
    note       TEXT    NOT NULL,    -- C2SP tlog-checkpoint with its signature
    created_at INTEGER NOT NULL
) STRICT;

-- Erased by deleting the subject's key in keys.db and these rows; the leaves stay.
-- owner: trust/audit
CREATE TABLE content (
    id         BLOB    NOT NULL UNIQUE,
    subject    INTEGER NOT NULL, -- subject_key.id in keys.db
    nonce      BLOB    NOT NULL,
    box        BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX content_subject ON content (subject);
