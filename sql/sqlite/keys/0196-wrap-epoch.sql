-- SPDX-License-Identifier: Apache-2.0
-- Which master key's wrap these rows are under: written with them, so that a change of the master key that was cut
-- off is told from one that happened.

-- owner: trust/audit
CREATE TABLE wrap_epoch (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BLOB    NOT NULL -- 32 bytes; names the key, opens nothing
) STRICT;
