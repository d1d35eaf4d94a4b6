-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- Which model rungs a workflow's climb leaves out, as measured: another definition or model voids it.
CREATE TABLE climb_choice (
    workflow   TEXT PRIMARY KEY,
    release    TEXT NOT NULL,         -- sha256 hex of the definition it was measured under
    skip       INTEGER NOT NULL,      -- bits 1 << rung
    report     TEXT NOT NULL,         -- JSON: docs/reference/learn.md
    created_at INTEGER NOT NULL
);
