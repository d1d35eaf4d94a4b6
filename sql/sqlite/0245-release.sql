-- SPDX-License-Identifier: Apache-2.0
-- owner: trust/release
-- Versions of what changes behaviour: of each kind at most one is active; without one, what is
-- shipped serves.
CREATE TABLE release_version (
    kind        TEXT NOT NULL,     -- 'route', 'guard', ...
    release     TEXT NOT NULL,     -- sha256 hex of body
    body        TEXT NOT NULL,
    state       TEXT NOT NULL,     -- candidate | active | retired
    proposed_by TEXT NOT NULL,
    proposed_at INTEGER NOT NULL,  -- µs UTC
    approved_by TEXT NOT NULL,     -- '' for a candidate
    approved_at INTEGER NOT NULL,  -- 0 for a candidate
    PRIMARY KEY (kind, release)
);
INSERT INTO release_version (kind, release, body, state, proposed_by, proposed_at, approved_by,
                             approved_at)
    SELECT 'route', release, yaml, state, proposed_by, proposed_at, approved_by, approved_at
    FROM route_rules;
INSERT INTO release_version (kind, release, body, state, proposed_by, proposed_at, approved_by,
                             approved_at)
    SELECT 'guard', release, yaml, state, proposed_by, proposed_at, approved_by, approved_at
    FROM guard_rules;
DROP TABLE route_rules;
DROP TABLE guard_rules;
