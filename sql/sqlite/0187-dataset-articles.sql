-- SPDX-License-Identifier: Apache-2.0
-- Datasets from before they had owners: their articles are drafts' sources as before; the search
-- finds them once they are ingested.
INSERT INTO dataset_about (name, owner_kind, owner, purpose, source, label, listed, retention_days,
                           review_at, created_at, created_by, updated_at)
    SELECT name, 'team', 'default', 'articles for drafts', '', 1, 1, 0, 0, updated_at, 'system',
           updated_at
    FROM dataset WHERE TRUE
    ON CONFLICT (name) DO NOTHING;
