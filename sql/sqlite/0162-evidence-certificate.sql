-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- The certificate of the threshold ('': measured before there were certificates).
ALTER TABLE evidence ADD COLUMN certificate TEXT NOT NULL DEFAULT '';
