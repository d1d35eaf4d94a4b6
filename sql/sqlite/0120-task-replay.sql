-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- What a reproducible task needs to be asked again (answer/task/replay.c), '' for others.
ALTER TABLE task ADD COLUMN replay TEXT NOT NULL DEFAULT '';
