-- SPDX-License-Identifier: Apache-2.0
-- owner: run/upstream
CREATE TABLE upstream_call (
    id            BLOB PRIMARY KEY,
    task          BLOB,             -- what it was made for
    team          TEXT NOT NULL,
    pool          TEXT NOT NULL,    -- model_name
    upstream      TEXT NOT NULL,    -- that answered, or was asked first
    model         TEXT NOT NULL,    -- as that server calls it
    label         TEXT NOT NULL,
    rule          TEXT NOT NULL,    -- that let it out, '' when none was needed
    redacted      INTEGER NOT NULL, -- values replaced before sending
    state         TEXT NOT NULL,    -- open, settled, lost (the process died: all of it counts)
    reserved      INTEGER NOT NULL, -- nano-units
    cost          INTEGER NOT NULL,
    uncertain     INTEGER NOT NULL, -- of attempts that may have been billed and never answered
    tokens_in     INTEGER NOT NULL,
    tokens_cached INTEGER NOT NULL,
    tokens_out    INTEGER NOT NULL,
    outcome       TEXT NOT NULL,
    attempts      TEXT NOT NULL,    -- JSON, no text of the task
    created_at    INTEGER NOT NULL, -- µs UTC
    settled_at    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX upstream_call_created ON upstream_call (created_at);
CREATE INDEX upstream_call_task ON upstream_call (task);
