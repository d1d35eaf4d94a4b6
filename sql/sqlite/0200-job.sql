-- SPDX-License-Identifier: Apache-2.0
-- Jobs: batches of tasks that outlive the request that made them.

-- owner: work/job
CREATE TABLE job (
    id          BLOB    PRIMARY KEY, -- UUIDv7: in order of creation
    kind        TEXT    NOT NULL,    -- program, batch, stream
    workflow    TEXT    NOT NULL,
    release     TEXT    NOT NULL,    -- of the definition it began with
    state       TEXT    NOT NULL,
    before      TEXT    NOT NULL,    -- state to go back to from paused; '' otherwise
    team        TEXT    NOT NULL,
    actor       TEXT    NOT NULL,    -- who asked: the subject of its content
    who_kind    INTEGER NOT NULL,    -- the principal its tasks are made for
    who_id      BLOB    NOT NULL,
    who_user    BLOB    NOT NULL,
    who_key     TEXT    NOT NULL,
    who_label   INTEGER NOT NULL,
    who_role    INTEGER NOT NULL,
    who_scopes  INTEGER NOT NULL,
    who_given   INTEGER NOT NULL,    -- which lists of names hold it, as bits
    who_limits  TEXT    NOT NULL,    -- those lists, a line each
    label       INTEGER NOT NULL,    -- at least
    format      TEXT    NOT NULL,    -- as asked for, '' for the program's first
    params      TEXT    NOT NULL,    -- NAME=VALUE, each ended by a unit separator
    rungs       INTEGER NOT NULL,    -- of a batch's tasks, as bits; 0: all
    no_draft    INTEGER NOT NULL,
    no_artifact INTEGER NOT NULL,
    title       TEXT    NOT NULL,
    closed      INTEGER NOT NULL,    -- a stream that takes no more items; others 1
    created_at  INTEGER NOT NULL,
    now_at      INTEGER NOT NULL,    -- what it says the time is: a replay's is the first one's
    updated_at  INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,    -- of the newest attempt, 0: never
    ended_at    INTEGER NOT NULL,
    deadline_s  INTEGER NOT NULL,    -- of time leased
    due_at      INTEGER NOT NULL,    -- of the attempt; 0 while it is not leased
    not_before  INTEGER NOT NULL,    -- back-off
    attempts    INTEGER NOT NULL,    -- leases taken since it was made, resumed or replayed
    lease       INTEGER NOT NULL,    -- number of the newest lease: what an older one writes is void
    lease_until INTEGER NOT NULL,
    lease_by    BLOB,                -- the process that has it
    share       REAL    NOT NULL,    -- done, 0..1
    stage       TEXT    NOT NULL,
    note        TEXT    NOT NULL,
    code        TEXT    NOT NULL,    -- why it failed, or was tried again
    message     TEXT    NOT NULL,
    hint        TEXT    NOT NULL,
    artifact    BLOB,                -- of a program, once done
    replay_of   BLOB,
    items       INTEGER NOT NULL,
    items_done  INTEGER NOT NULL,
    items_failed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_state ON job (state, not_before);
CREATE INDEX job_team ON job (team, id);

-- A definition that some job began with, so that it goes on with it and can be replayed.
-- owner: work/job
CREATE TABLE job_definition (
    release TEXT PRIMARY KEY,
    name    TEXT NOT NULL,
    yaml    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Inputs (side 0) and outputs (side 1).
-- owner: work/job
CREATE TABLE job_file (
    job    BLOB    NOT NULL REFERENCES job (id),
    side   INTEGER NOT NULL,
    place  INTEGER NOT NULL,
    role   TEXT    NOT NULL, -- of an input
    name   TEXT    NOT NULL,
    type   TEXT    NOT NULL,
    bytes  INTEGER NOT NULL,
    sha256 TEXT    NOT NULL,
    main   INTEGER NOT NULL,
    PRIMARY KEY (job, side, place)
) STRICT, WITHOUT ROWID;

-- Their bytes, in pieces of content (trust/audit) under the key of the job's subject.
-- owner: work/job
CREATE TABLE job_piece (
    job     BLOB    NOT NULL,
    side    INTEGER NOT NULL,
    place   INTEGER NOT NULL,
    piece   INTEGER NOT NULL,
    content BLOB    NOT NULL,
    PRIMARY KEY (job, side, place, piece)
) STRICT, WITHOUT ROWID;

-- owner: work/job
CREATE TABLE job_step (
    job           BLOB    NOT NULL REFERENCES job (id),
    lease         INTEGER NOT NULL,
    place         INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    ms            REAL    NOT NULL,
    asks          INTEGER NOT NULL,
    tokens_in     INTEGER NOT NULL,
    tokens_cached INTEGER NOT NULL,
    tokens_out    INTEGER NOT NULL,
    cost          INTEGER NOT NULL, -- nano-units
    ended_at      INTEGER NOT NULL,
    leaf          INTEGER NOT NULL, -- its record
    PRIMARY KEY (job, lease, place)
) STRICT, WITHOUT ROWID;

-- Items of a batch or stream, in order. The text is a stretch of input `place`.
-- owner: work/job
CREATE TABLE job_item (
    job      BLOB    NOT NULL REFERENCES job (id),
    item     INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    len      INTEGER NOT NULL,
    name     TEXT    NOT NULL, -- the caller's id
    state    TEXT    NOT NULL, -- queued, done, failed
    tries    INTEGER NOT NULL,
    task     BLOB,
    artifact BLOB,
    code     TEXT    NOT NULL,
    message  TEXT    NOT NULL,
    ms       REAL    NOT NULL,
    tokens   INTEGER NOT NULL,
    cost     INTEGER NOT NULL,
    PRIMARY KEY (job, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_item_state ON job_item (job, state);
