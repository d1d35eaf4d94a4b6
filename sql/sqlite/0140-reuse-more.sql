-- SPDX-License-Identifier: Apache-2.0
-- Reuse beyond the exact request: repeated documents, requests that say the same, what was reused from what, what was revoked.

-- Whose answer it is, and in which trust domain; '' in rows from before.
-- owner: answer/reuse
ALTER TABLE reuse ADD COLUMN domain TEXT NOT NULL DEFAULT '';
-- owner: answer/reuse
ALTER TABLE reuse ADD COLUMN team TEXT NOT NULL DEFAULT '';
-- owner: answer/reuse
ALTER TABLE reuse ADD COLUMN actor TEXT NOT NULL DEFAULT '';
-- owner: answer/reuse
ALTER TABLE reuse ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0; -- to the day
CREATE INDEX reuse_by_task ON reuse (task);
CREATE INDEX reuse_by_use ON reuse (used_at);
CREATE INDEX reuse_by_actor ON reuse (team, actor);

-- A document that was answered: its values here, its text where content is (answer/task writes it).
-- owner: answer/reuse
CREATE TABLE reuse_example (
    task       BLOB    PRIMARY KEY,
    domain     TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    release    TEXT    NOT NULL, -- of the definition
    team       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    fields     BLOB    NOT NULL, -- names and values, length-prefixed
    reviewed   INTEGER NOT NULL, -- 1: a person decided it
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reuse_example_stream ON reuse_example (domain, workflow, release, created_at);
CREATE INDEX reuse_example_actor ON reuse_example (team, actor);

-- owner: answer/reuse
CREATE TABLE reuse_template (
    id         BLOB    PRIMARY KEY,
    domain     TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    release    TEXT    NOT NULL,
    hash       TEXT    NOT NULL, -- of its layout: its name as a release
    bytes      BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    used_at    INTEGER NOT NULL,
    UNIQUE (domain, workflow, release, hash)
) WITHOUT ROWID;

-- The documents a template was learned from.
-- owner: answer/reuse
CREATE TABLE reuse_source (
    template BLOB NOT NULL,
    task     BLOB NOT NULL,
    team     TEXT NOT NULL,
    actor    TEXT NOT NULL,
    PRIMARY KEY (template, task)
) WITHOUT ROWID;
CREATE INDEX reuse_source_task ON reuse_source (task);
CREATE INDEX reuse_source_actor ON reuse_source (team, actor);

-- Answers that another request with the same meaning may get, where a workflow asks for it.
-- owner: answer/reuse
CREATE TABLE reuse_semantic (
    task       BLOB    PRIMARY KEY,
    domain     TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    release    TEXT    NOT NULL, -- of everything that took part, one digest
    team       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    vector     BLOB    NOT NULL, -- int8, 127 x a unit vector
    fields     BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX reuse_semantic_stream ON reuse_semantic (domain, workflow, release, created_at);
CREATE INDEX reuse_semantic_actor ON reuse_semantic (team, actor);

-- What was reused from what: `source` is a task, or a template's id.
-- owner: answer/reuse
CREATE TABLE reuse_hit (
    task       BLOB    NOT NULL,
    field      TEXT    NOT NULL, -- '' for all of them
    how        INTEGER NOT NULL, -- enum reuse_how
    source     BLOB    NOT NULL,
    similarity REAL    NOT NULL,
    team       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (task, field)
) WITHOUT ROWID;
CREATE INDEX reuse_hit_source ON reuse_hit (source);
CREATE INDEX reuse_hit_actor ON reuse_hit (team, actor);

-- Answers that were taken back, and with which one.
-- owner: answer/reuse
CREATE TABLE reuse_revoked (
    task       BLOB    PRIMARY KEY,
    root       BLOB    NOT NULL,
    revoked_at INTEGER NOT NULL
) WITHOUT ROWID;
