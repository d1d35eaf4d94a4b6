-- SPDX-License-Identifier: Apache-2.0
-- Which rung may answer which field alone, and the outcomes that say so.

-- owner: answer/certify
CREATE TABLE certificate (
    id            BLOB    PRIMARY KEY, -- UUIDv7
    workflow      TEXT    NOT NULL,
    field         TEXT    NOT NULL,
    rung          TEXT    NOT NULL,
    model         TEXT    NOT NULL,    -- the releases it depends on, '' for none
    prompt        TEXT    NOT NULL,
    head          TEXT    NOT NULL,
    class         INTEGER NOT NULL,    -- enum certify_class
    state         INTEGER NOT NULL,    -- enum certify_state
    threshold     REAL    NOT NULL,
    n             INTEGER NOT NULL,
    accepted      INTEGER NOT NULL,
    errors        INTEGER NOT NULL,
    target        REAL    NOT NULL,
    delta         REAL    NOT NULL,
    error_upper   REAL    NOT NULL,
    traffic_upper REAL    NOT NULL,
    issued_at     INTEGER NOT NULL,
    confirmed_at  INTEGER NOT NULL,    -- 0: not
    ended_at      INTEGER NOT NULL,    -- 0: live
    detail        TEXT    NOT NULL,
    record        INTEGER NOT NULL,    -- its leaf
    -- the watch: struct certify_watch
    cash          REAL    NOT NULL,
    live          REAL    NOT NULL,
    step          REAL    NOT NULL,
    seen          REAL    NOT NULL,
    wrong         REAL    NOT NULL,
    draws         INTEGER NOT NULL,
    draw_errors   INTEGER NOT NULL,
    season_at     INTEGER NOT NULL,
    -- since its issue: what confirms it
    audited       INTEGER NOT NULL,
    audit_errors  INTEGER NOT NULL,
    looks         INTEGER NOT NULL,
    -- the draw
    audit_rate    REAL    NOT NULL,
    per_day       REAL    NOT NULL,
    find_days     REAL    NOT NULL,
    rate_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificate_rung ON certificate (workflow, field, rung, state);

-- What a rung proposed, until a person decided it. No text: a hash that says equal or not.
-- owner: answer/certify
CREATE TABLE certify_said (
    task       BLOB    NOT NULL,
    field      TEXT    NOT NULL,
    rung       TEXT    NOT NULL,
    workflow   TEXT    NOT NULL,
    score      REAL    NOT NULL,
    value      BLOB,             -- 16 bytes over task, field and value; NULL: nobody will decide it, or somebody has
    kind       INTEGER NOT NULL, -- 1 pilot, 2 drawn for audit, 3 answered alone, 4 below its threshold
    at         INTEGER NOT NULL,
    is_right   INTEGER,          -- NULL: not decided
    decided_at INTEGER NOT NULL,
    PRIMARY KEY (task, field, rung)
) STRICT, WITHOUT ROWID;
CREATE INDEX certify_said_rung ON certify_said (workflow, field, rung, at);

-- The pilot of a field and rung under its present releases.
-- owner: answer/certify
CREATE TABLE certify_track (
    workflow TEXT    NOT NULL,
    field    TEXT    NOT NULL,
    rung     TEXT    NOT NULL,
    model    TEXT    NOT NULL,
    prompt   TEXT    NOT NULL,
    head     TEXT    NOT NULL,
    target   REAL    NOT NULL,
    delta    REAL    NOT NULL,
    since_at INTEGER NOT NULL, -- outcomes of what was said before do not count
    reviewed INTEGER NOT NULL,
    errors   INTEGER NOT NULL,
    looks    INTEGER NOT NULL, -- tests done
    PRIMARY KEY (workflow, field, rung)
) STRICT, WITHOUT ROWID;
