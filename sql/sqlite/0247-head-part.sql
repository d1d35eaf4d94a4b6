-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- A head's bytes in pieces: one of many labels and many examples is larger than a value may be.
CREATE TABLE head_part (
    workflow TEXT    NOT NULL,
    field    TEXT    NOT NULL,
    part     INTEGER NOT NULL,         -- from 0; together they are the bytes
    bytes    BLOB    NOT NULL,
    PRIMARY KEY (workflow, field, part)
);
INSERT INTO head_part (workflow, field, part, bytes) SELECT workflow, field, 0, bytes FROM head;
ALTER TABLE head DROP COLUMN bytes;
