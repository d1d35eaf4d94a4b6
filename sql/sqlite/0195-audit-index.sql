-- SPDX-License-Identifier: Apache-2.0
-- What is derived from the record, so that finding and proving need not read all of it. Made in the background,
-- a block of 256 leaves at a time; nothing here is trusted: a hit is compared with its leaf, a proof with the signed root.

-- owner: trust/audit
CREATE TABLE leaf_block (
    block  INTEGER PRIMARY KEY, -- leaves 256 * block to 256 * block + 255
    hash   BLOB    NOT NULL,    -- root of their subtree
    at_min INTEGER NOT NULL,    -- the earliest and latest `at` in it, µs UTC
    at_max INTEGER NOT NULL
) STRICT;

-- owner: trust/audit
CREATE TABLE leaf_term (
    term INTEGER NOT NULL, -- the first 8 bytes of SHA-256("member=value")
    seq  INTEGER NOT NULL,
    PRIMARY KEY (term, seq)
) STRICT, WITHOUT ROWID;
