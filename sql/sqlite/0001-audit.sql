-- SPDX-License-Identifier: Apache-2.0
-- The record: an RFC 6962 tree of leaves, its signed checkpoints, and the content that leaves speak of.

-- owner: trust/audit
CREATE TABLE leaf (
    seq  INTEGER PRIMARY KEY, -- position in the tree, from 0
    body BLOB NOT NULL,       -- RFC 8785 JSON, at most 8 KiB
    hash BLOB NOT NULL        -- SHA-256(0x00 || body)
) STRICT;

-- The newest one, and the last of every 64 leaves.
-- owner: trust/audit
CREATE TABLE checkpoint (
    size INTEGER PRIMARY KEY, -- leaves covered
    root BLOB NOT NULL,
    note TEXT NOT NULL        -- C2SP tlog-checkpoint with its signature
) STRICT;

-- The right edge of the tree, so that a start need not read every leaf.
-- owner: trust/audit
CREATE TABLE tree_edge (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    size   INTEGER NOT NULL,
    hashes BLOB    NOT NULL -- roots of the full subtrees, left to right, 32 bytes each
) STRICT;

-- Input and output text, encrypted under the subject's key. Erased by erasing that key; the leaves stay.
-- owner: trust/audit
CREATE TABLE content (
    id         BLOB    NOT NULL, -- of the task
    part       INTEGER NOT NULL, -- enum audit_part
    subject    INTEGER NOT NULL, -- subject_key.id in keys.db
    nonce      BLOB    NOT NULL,
    box        BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id, part)
) STRICT;
CREATE INDEX content_subject ON content (subject);
