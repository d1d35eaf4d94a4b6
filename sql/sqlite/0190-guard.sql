-- SPDX-License-Identifier: Apache-2.0
-- owner: trust/verdict
-- Rules of what may pass: at most one set is active; without one the shipped rules serve.
CREATE TABLE guard_rules (
    release     TEXT PRIMARY KEY,  -- sha256 hex of yaml
    yaml        TEXT NOT NULL,
    state       TEXT NOT NULL,     -- candidate | active | retired
    proposed_by TEXT NOT NULL,
    proposed_at INTEGER NOT NULL,  -- µs UTC
    approved_by TEXT NOT NULL,     -- '' for a candidate
    approved_at INTEGER NOT NULL   -- 0 for a candidate
);
