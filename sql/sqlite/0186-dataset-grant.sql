-- SPDX-License-Identifier: Apache-2.0
-- Grants that were revoked stay for the review; no search should pass over them.
DROP INDEX dataset_grant_by;
CREATE INDEX dataset_grant_now_by ON dataset_grant (kind, name, dataset) WHERE revoked_at = 0;
CREATE INDEX dataset_grant_now_of ON dataset_grant (dataset, kind, name) WHERE revoked_at = 0;
-- Frequencies are counted over what the asker may read.
DROP TABLE dataset_word_count;
