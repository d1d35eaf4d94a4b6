-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- Why a form was answered where it was: facts and decision (answer/task/explain.c), '' for others.
ALTER TABLE task ADD COLUMN route TEXT NOT NULL DEFAULT '';
