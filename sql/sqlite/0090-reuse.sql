-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/reuse
CREATE TABLE reuse (
    key        BLOB PRIMARY KEY,      -- sha256 of the canonical request
    task       BLOB NOT NULL,         -- the task it was first answered in
    fields     BLOB NOT NULL,         -- names and values, length-prefixed
    draft      TEXT NOT NULL,         -- JSON of the draft, '' when none
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
