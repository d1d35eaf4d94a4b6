-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/dataset
CREATE TABLE dataset_about (
    no             INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: chunk numbers hold it
    name           TEXT NOT NULL UNIQUE,
    owner_kind     TEXT NOT NULL,             -- 'team' or 'user'
    owner          TEXT NOT NULL,
    purpose        TEXT NOT NULL,
    source         TEXT NOT NULL,
    label          INTEGER NOT NULL,          -- enum secrecy
    listed         INTEGER NOT NULL,          -- strangers see that it is there, and may ask for it
    retention_days INTEGER NOT NULL,          -- 0: documents are kept
    review_at      INTEGER NOT NULL,          -- 0: never
    created_at     INTEGER NOT NULL,
    created_by     TEXT NOT NULL,
    updated_at     INTEGER NOT NULL,
    model          TEXT NOT NULL DEFAULT '',  -- sha256 of the model of its vectors
    chunk_next     INTEGER NOT NULL DEFAULT 1 -- a chunk's number is never given twice
);

-- owner: answer/dataset
CREATE TABLE dataset_grant (
    id         BLOB PRIMARY KEY,
    dataset    INTEGER NOT NULL REFERENCES dataset_about (no) ON DELETE CASCADE,
    kind       TEXT NOT NULL,                 -- 'team' or 'user'
    name       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL DEFAULT 0,
    revoked_by TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX dataset_grant_by ON dataset_grant (kind, name, dataset);
CREATE INDEX dataset_grant_of ON dataset_grant (dataset);

-- owner: answer/dataset
CREATE TABLE dataset_request (
    id         BLOB PRIMARY KEY,
    dataset    INTEGER NOT NULL REFERENCES dataset_about (no) ON DELETE CASCADE,
    kind       TEXT NOT NULL,                 -- for whom: 'team' or 'user'
    name       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    asked_by   TEXT NOT NULL,
    asked_at   INTEGER NOT NULL,
    state      TEXT NOT NULL,                 -- 'open', 'granted', 'refused'
    decided_by TEXT NOT NULL DEFAULT '',
    decided_at INTEGER NOT NULL DEFAULT 0,
    note       TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX dataset_request_of ON dataset_request (dataset, state);

-- Who may read what, from when until when: the one place where a grant is read.
CREATE VIEW dataset_reader AS
    SELECT no AS dataset, owner_kind AS kind, owner AS name, 0 AS from_at,
           9223372036854775807 AS until_at
    FROM dataset_about
    UNION ALL
    SELECT dataset, kind, name, granted_at, ends_at FROM dataset_grant WHERE revoked_at = 0;

-- owner: answer/dataset
CREATE TABLE dataset_file (
    no         INTEGER PRIMARY KEY AUTOINCREMENT,
    dataset    INTEGER NOT NULL REFERENCES dataset_about (no) ON DELETE CASCADE,
    path       TEXT NOT NULL,                 -- as the folder had it: what tells documents apart
    title      TEXT NOT NULL,
    media      TEXT NOT NULL,
    hash       BLOB NOT NULL,                 -- sha256 of the bytes that came
    bytes      INTEGER NOT NULL,
    chunks     INTEGER NOT NULL,
    article    TEXT NOT NULL DEFAULT '',      -- the id of the article that drafts are made from
    updated_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,              -- 0: never
    UNIQUE (dataset, path)
);
CREATE INDEX dataset_file_expires ON dataset_file (expires_at) WHERE expires_at > 0;

-- owner: answer/dataset
CREATE TABLE dataset_chunk (
    no      INTEGER PRIMARY KEY,              -- dataset << 32 | running number
    id      BLOB NOT NULL,                    -- of dataset, path and text: the same text keeps it
    file    INTEGER NOT NULL REFERENCES dataset_file (no) ON DELETE CASCADE,
    seq     INTEGER NOT NULL,                 -- position in the document, from 0
    at      INTEGER NOT NULL,                 -- bytes in the document's text
    page    INTEGER NOT NULL,                 -- 0: it has none
    heading TEXT NOT NULL,
    text    TEXT NOT NULL
);
CREATE INDEX dataset_chunk_of ON dataset_chunk (file, seq);
CREATE INDEX dataset_chunk_id ON dataset_chunk (id);

-- owner: answer/dataset
CREATE TABLE dataset_chunk_vector (
    chunk  INTEGER PRIMARY KEY REFERENCES dataset_chunk (no) ON DELETE CASCADE,
    vector BLOB NOT NULL                      -- float32, unit length, of the dataset's model
);

-- Stems of a chunk with its headings, under the chunk's number.
-- owner: answer/dataset
CREATE VIRTUAL TABLE dataset_word USING fts5 (stems, tokenize = 'unicode61 remove_diacritics 0');
INSERT INTO dataset_word (dataset_word, rank) VALUES ('secure-delete', 1);

-- owner: answer/dataset
CREATE VIRTUAL TABLE dataset_word_count USING fts5vocab ('dataset_word', 'row');
