-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- Past replies as templates: names, ids, amounts, dates, links and addresses are slots before they come here.
CREATE TABLE past_reply (
    dataset  TEXT NOT NULL,
    key      TEXT NOT NULL,            -- the past ticket's id
    customer TEXT NOT NULL,            -- hash of who it was sent to, '' when not known
    article  TEXT NOT NULL,            -- that it came from, '' for none
    subject  TEXT NOT NULL,            -- guard-masked, as the text
    text     TEXT NOT NULL,
    reply    TEXT NOT NULL,
    approved INTEGER NOT NULL,         -- an approver said that it may serve others
    vector   BLOB,                     -- of the ticket
    model    TEXT NOT NULL,            -- of the vector
    at       INTEGER NOT NULL,
    PRIMARY KEY (dataset, key)
);
