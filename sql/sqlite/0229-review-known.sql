-- SPDX-License-Identifier: Apache-2.0
-- What is known of an artifact beside its own text: what it resembles, how it ended, where its
-- ticket stands.

-- The text as sketches: words cannot be read back from them.
-- owner: work/review
CREATE TABLE review_sketch (
    artifact     BLOB    PRIMARY KEY REFERENCES artifact (id),
    team         TEXT    NOT NULL,
    workflow     TEXT    NOT NULL,
    sketch       BLOB    NOT NULL, -- 128 minima of hashed words and pairs, u32 little-endian
    vector       BLOB    NOT NULL, -- the task's embedding as int8; empty: none
    model        TEXT    NOT NULL, -- of the vector
    corrected_at INTEGER NOT NULL, -- an edit or a rejection; 0: neither
    unanswered   INTEGER NOT NULL  -- 1: nothing was found to draft a reply from
) STRICT, WITHOUT ROWID;
CREATE INDEX review_sketch_corrected ON review_sketch (team, workflow, corrected_at);
CREATE INDEX review_sketch_unanswered ON review_sketch (team, unanswered, artifact);

-- owner: work/review
CREATE TABLE review_outcome (
    id       INTEGER PRIMARY KEY,
    artifact BLOB    NOT NULL REFERENCES artifact (id),
    kind     TEXT    NOT NULL, -- reopened, solved, csat
    value    REAL    NOT NULL, -- csat: 0..1; else 1, or 0 when taken back
    at       INTEGER NOT NULL,
    source   TEXT    NOT NULL,
    noted_at INTEGER NOT NULL,
    UNIQUE (artifact, kind, at)
) STRICT;

-- The desk's ticket behind an artifact, as it was when the artifact was made and as it is now.
-- owner: work/review
CREATE TABLE review_ticket (
    artifact   BLOB    PRIMARY KEY REFERENCES artifact (id),
    team       TEXT    NOT NULL,
    ticket     TEXT    NOT NULL, -- the caller's own id of it
    version    TEXT    NOT NULL, -- that the artifact was made from
    now        TEXT    NOT NULL, -- the newest one heard of
    now_text   TEXT,             -- its text; NULL: the same
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX review_ticket_name ON review_ticket (team, ticket);

-- Artifacts whose answer is known, shown as practice.
-- owner: work/review
CREATE TABLE review_known (
    artifact BLOB    PRIMARY KEY REFERENCES artifact (id),
    team     TEXT    NOT NULL,
    added_by TEXT    NOT NULL,
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX review_known_team ON review_known (team);
