-- SPDX-License-Identifier: Apache-2.0
-- What waits for people, and what they decided.

-- owner: work/review
CREATE TABLE artifact (
    id         BLOB    PRIMARY KEY, -- UUIDv7: in order of creation
    task       BLOB    NOT NULL,
    workflow   TEXT    NOT NULL,
    team       TEXT    NOT NULL,
    actor      TEXT    NOT NULL,    -- who asked: the subject
    state      TEXT    NOT NULL,
    version    INTEGER NOT NULL,    -- grows with every change a reviewer could have missed
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,    -- 0: nobody has looked yet
    opened_by  TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    result     TEXT    NOT NULL,    -- JSON as the task produced it
    draft      TEXT                 -- as proposed last; NULL: none
) STRICT, WITHOUT ROWID;
CREATE INDEX artifact_state ON artifact (state, id);
CREATE INDEX artifact_actor ON artifact (team, actor);

-- owner: work/review
CREATE TABLE artifact_field (
    artifact   BLOB    NOT NULL REFERENCES artifact (id),
    place      INTEGER NOT NULL, -- in the form, from 0
    name       TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    value      TEXT    NOT NULL, -- as proposed
    confidence REAL    NOT NULL,
    rung       TEXT    NOT NULL,
    is_open    INTEGER NOT NULL, -- 1: a person decides it
    decided    TEXT,             -- NULL until a person did
    PRIMARY KEY (artifact, place)
) STRICT, WITHOUT ROWID;

-- owner: work/review
CREATE TABLE decision (
    id            INTEGER PRIMARY KEY,
    artifact      BLOB    NOT NULL REFERENCES artifact (id),
    version       INTEGER NOT NULL, -- of the artifact that was decided on
    actor         TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    draft         TEXT,             -- as sent; NULL: unchanged or none
    edit_distance REAL    NOT NULL, -- 0..1 of the draft
    review_ms     INTEGER NOT NULL, -- -1: unknown
    decided_at    INTEGER NOT NULL,
    leaf          INTEGER NOT NULL, -- its record
    UNIQUE (artifact, version)
) STRICT;
CREATE INDEX decision_time ON decision (decided_at);
