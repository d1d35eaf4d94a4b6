-- SPDX-License-Identifier: Apache-2.0
-- How what waits for people is worked on: who has it, until when, for whom it is.

-- One look at an artifact. 'first' decides it; 'second' looks at one that was decided, blind;
-- 'practice' shows one person an artifact whose answer is known. Neither of the last two changes
-- the artifact.
-- owner: work/review
CREATE TABLE review_item (
    id          INTEGER PRIMARY KEY,
    artifact    BLOB    NOT NULL REFERENCES artifact (id),
    kind        TEXT    NOT NULL,
    person      TEXT    NOT NULL, -- second: who may not; practice: for whom; first: ''
    team        TEXT    NOT NULL,
    workflow    TEXT    NOT NULL,
    queue       TEXT    NOT NULL, -- '' when the artifact names none
    language    TEXT    NOT NULL,
    urgency     INTEGER NOT NULL, -- 0 low .. 3 urgent; 4 escalated
    confidence  REAL    NOT NULL, -- of its least sure open field
    waiting     INTEGER NOT NULL, -- 1: somebody has to look
    created_at  INTEGER NOT NULL,
    holder      TEXT    NOT NULL, -- '' when nobody has it
    lease_until INTEGER NOT NULL,
    forced      INTEGER NOT NULL, -- 1: the proposals are withheld until the reviewer has answered
    target      TEXT    NOT NULL, -- escalated to: a name or 'role:ROLE'; ''
    deadline_at INTEGER NOT NULL, -- of the target; 0: none
    chain       TEXT    NOT NULL, -- the next targets, a line each: TARGET SECONDS
    decided_by  TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    agrees      INTEGER NOT NULL, -- second: with the first; practice: with the answer; -1: open
    decided_at  INTEGER NOT NULL,
    UNIQUE (artifact, kind, person)
) STRICT;
CREATE INDEX review_item_urgency ON review_item (waiting, urgency DESC, id);
CREATE INDEX review_item_age ON review_item (waiting, id);
CREATE INDEX review_item_unsure ON review_item (waiting, confidence, id);
CREATE INDEX review_item_holder ON review_item (holder, lease_until);
CREATE INDEX review_item_deadline ON review_item (deadline_at);

INSERT INTO review_item (artifact, kind, person, team, workflow, queue, language, urgency,
                         confidence, waiting, created_at, holder, lease_until, forced, target,
                         deadline_at, chain, decided_by, action, agrees, decided_at)
    SELECT id, 'first', '', team, workflow, '', '', 1, 0.0,
           CASE WHEN state IN ('in_review', 'escalated') THEN 1 ELSE 0 END, created_at, '', 0, 0,
           '', 0, '', '', '', -1, 0
    FROM artifact ORDER BY id;

-- What a person takes; without a row of a kind, anything of that kind.
-- owner: work/review
CREATE TABLE review_skill (
    team   TEXT NOT NULL,
    person TEXT NOT NULL,
    kind   TEXT NOT NULL, -- workflow, language, queue
    value  TEXT NOT NULL,
    PRIMARY KEY (team, person, kind, value)
) STRICT, WITHOUT ROWID;

-- owner: work/review
CREATE TABLE review_setting (
    team           TEXT    PRIMARY KEY,
    lease_s        INTEGER NOT NULL,
    second_share   REAL    NOT NULL,
    practice_share REAL    NOT NULL,
    forced_share   REAL    NOT NULL,
    sort           TEXT    NOT NULL, -- urgency, age, confidence
    reasons        TEXT    NOT NULL, -- a line each, for keys 1 to 9
    chain          TEXT    NOT NULL, -- escalation targets, a line each: TARGET SECONDS
    often          INTEGER NOT NULL  -- so many alike without an article make an article's draft
) STRICT, WITHOUT ROWID;

-- A reviewer's unfinished work: theirs, also after the lease is lost.
-- owner: work/review
CREATE TABLE review_working (
    artifact BLOB    NOT NULL REFERENCES artifact (id),
    person   TEXT    NOT NULL,
    version  INTEGER NOT NULL, -- of the artifact it was begun on
    draft    TEXT,             -- NULL: as proposed
    fields   TEXT    NOT NULL, -- JSON: what the person has set so far
    chosen   INTEGER NOT NULL, -- sentences that are on, as bits; -1: as proposed
    saved_at INTEGER NOT NULL,
    PRIMARY KEY (artifact, person)
) STRICT, WITHOUT ROWID;
