-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- What a threshold was certified on: none, history, provisional or reviewed.
ALTER TABLE evidence ADD COLUMN class TEXT NOT NULL DEFAULT 'history';
