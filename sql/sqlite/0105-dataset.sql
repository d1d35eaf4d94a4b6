-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
CREATE TABLE dataset (
    name       TEXT PRIMARY KEY,
    model      TEXT NOT NULL,         -- sha256 of the embedding model of its vectors, '' for none
    compose    BLOB,                  -- struct compose_model fitted on past tickets; NULL: defaults
    updated_at INTEGER NOT NULL
);

-- owner: answer/task
CREATE TABLE dataset_article (
    dataset    TEXT NOT NULL,
    id         TEXT NOT NULL,
    file       TEXT NOT NULL,
    markdown   TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (dataset, id)
);

-- owner: answer/task
CREATE TABLE dataset_vector (
    dataset TEXT NOT NULL,
    hash    BLOB NOT NULL,            -- sha256 of model and text
    vector  BLOB NOT NULL,            -- float32, unit length
    PRIMARY KEY (dataset, hash)
) WITHOUT ROWID;

-- owner: answer/task
CREATE TABLE dataset_question (
    dataset TEXT NOT NULL,
    key     TEXT NOT NULL,            -- the past ticket's id
    article TEXT NOT NULL,
    text    TEXT NOT NULL,            -- guard-masked
    vector  BLOB,
    PRIMARY KEY (dataset, key)
);
