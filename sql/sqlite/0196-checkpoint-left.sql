-- SPDX-License-Identifier: Apache-2.0
-- Where checkpoints left this machine to.

-- owner: trust/audit
CREATE TABLE checkpoint_left (
    target   TEXT    PRIMARY KEY, -- an address, a mailbox, a folder
    kind     TEXT    NOT NULL,    -- witness, mail, note, note-here: on the same device as the data
    size     INTEGER NOT NULL,    -- leaves covered by the newest that left
    at       INTEGER NOT NULL,    -- when it left, µs UTC; 0: never yet
    tried_at INTEGER NOT NULL,
    note     TEXT    NOT NULL,    -- with the witness's cosignature
    fault    TEXT    NOT NULL     -- of the newest try, '' when it went well
) STRICT;
