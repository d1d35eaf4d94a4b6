-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/route
-- Rule sets: at most one is active; without one the shipped rows serve.
CREATE TABLE route_rules (
    release     TEXT PRIMARY KEY,  -- sha256 hex of yaml
    yaml        TEXT NOT NULL,
    state       TEXT NOT NULL,     -- candidate | active | retired
    proposed_by TEXT NOT NULL,
    proposed_at INTEGER NOT NULL,  -- µs UTC
    approved_by TEXT NOT NULL,     -- '' for a candidate
    approved_at INTEGER NOT NULL   -- 0 for a candidate
);

-- owner: answer/route
-- Tasks an hour, for four weeks.
CREATE TABLE route_traffic (
    workflow TEXT NOT NULL,
    hour     INTEGER NOT NULL,     -- since 1970 UTC
    tasks    INTEGER NOT NULL,
    reused   INTEGER NOT NULL,     -- of them, answered by reuse
    PRIMARY KEY (workflow, hour)
);
