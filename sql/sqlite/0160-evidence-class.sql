-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- What a threshold was certified on (none, history, provisional or reviewed), and the weights of the
-- two further signals of a confidence.
ALTER TABLE evidence ADD COLUMN class TEXT NOT NULL DEFAULT 'history';
ALTER TABLE evidence ADD COLUMN by_margin REAL NOT NULL DEFAULT 0;
ALTER TABLE evidence ADD COLUMN by_agree REAL NOT NULL DEFAULT 0;
