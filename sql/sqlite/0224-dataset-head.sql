-- SPDX-License-Identifier: Apache-2.0
-- owner: answer/task
-- A head over the dataset's articles, taught on past tickets: what it says helps to choose the article of a draft.
ALTER TABLE dataset ADD COLUMN head BLOB;
