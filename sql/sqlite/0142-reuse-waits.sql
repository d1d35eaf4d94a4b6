-- SPDX-License-Identifier: Apache-2.0
-- An answer that waits for a person: reused once it is decided, with the values as decided.
-- owner: answer/reuse
ALTER TABLE reuse ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
-- owner: answer/reuse
ALTER TABLE reuse_semantic ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
