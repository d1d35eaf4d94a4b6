-- SPDX-License-Identifier: Apache-2.0
-- How much each may: limits, what was used of them, and what is switched off.

-- owner: trust/policy
CREATE TABLE policy_limit (
    kind       TEXT    NOT NULL, -- key, team, workflow, everything
    name       TEXT    NOT NULL,
    requests   INTEGER NOT NULL, -- in 60 s, -1: the default
    tokens     INTEGER NOT NULL,
    parallel   INTEGER NOT NULL,
    day        INTEGER NOT NULL, -- nano-units
    month      INTEGER NOT NULL,
    label      TEXT    NOT NULL, -- '' for none
    changed_at INTEGER NOT NULL,
    changed_by TEXT    NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- owner: trust/policy
CREATE TABLE policy_use (
    kind     TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    at       INTEGER NOT NULL, -- µs UTC: the 60 s before it
    requests INTEGER NOT NULL,
    tokens   INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- owner: trust/policy
CREATE TABLE policy_spend (
    kind    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    period  TEXT    NOT NULL, -- day, month
    from_at INTEGER NOT NULL, -- µs UTC
    spent   INTEGER NOT NULL, -- nano-units, settled
    PRIMARY KEY (kind, name, period)
) STRICT, WITHOUT ROWID;

-- owner: trust/policy
CREATE TABLE policy_hold (
    id       BLOB    PRIMARY KEY,
    caller   TEXT    NOT NULL,
    team     TEXT    NOT NULL,
    workflow TEXT    NOT NULL,
    amount   INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- owner: trust/policy
CREATE TABLE policy_halt (
    kind   TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    reason TEXT    NOT NULL,
    by     TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
