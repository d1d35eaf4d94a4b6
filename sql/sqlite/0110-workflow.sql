-- SPDX-License-Identifier: Apache-2.0
-- owner: work/workflow
CREATE TABLE workflow (
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    yaml       TEXT NOT NULL,
    release    TEXT NOT NULL,   -- sha256 hex of yaml
    actor      TEXT NOT NULL,
    created_at INTEGER NOT NULL, -- µs UTC
    PRIMARY KEY (name, version)
);
