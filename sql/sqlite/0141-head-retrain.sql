-- SPDX-License-Identifier: Apache-2.0
-- Heads that were taken away because somebody they were taught with was erased: to be learned again.
-- owner: answer/task
CREATE TABLE head_retrain (
    workflow TEXT    NOT NULL,
    field    TEXT    NOT NULL,
    release  TEXT    NOT NULL, -- of the head that went
    at       INTEGER NOT NULL,
    PRIMARY KEY (workflow, field)
);
