-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/related
-- What is kept of a ticket to find those like it: hashes and a rounded vector, no text.
CREATE TABLE ticket_trace (
    task   BLOB PRIMARY KEY,
    team   TEXT NOT NULL,
    actor  TEXT NOT NULL,
    at     INTEGER NOT NULL,
    sketch BLOB NOT NULL,          -- 32 minimal hashes, u32
    ids    BLOB NOT NULL,          -- identifiers, u64 each
    model  TEXT NOT NULL,          -- of the vector, '' for none
    scale  REAL NOT NULL,
    vector BLOB                    -- int8
);
CREATE INDEX ticket_trace_at ON ticket_trace (at);
CREATE INDEX ticket_trace_who ON ticket_trace (team, actor);
