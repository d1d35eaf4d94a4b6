-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- Heads over a dataset's articles stand with the others, as those of "/datasets": in pieces, too.
INSERT INTO head (workflow, field, release, created_at)
    SELECT '/datasets', name, '', updated_at FROM dataset WHERE head IS NOT NULL;
INSERT INTO head_part (workflow, field, part, bytes)
    SELECT '/datasets', name, 0, head FROM dataset WHERE head IS NOT NULL;
ALTER TABLE dataset DROP COLUMN head;
