-- SPDX-License-Identifier: Apache-2.0
-- Who may call: API keys. Of a key only its keyed hash is here.

-- owner: trust/keyring
CREATE TABLE api_key (
    id          BLOB    PRIMARY KEY, -- 16 bytes
    name        TEXT    NOT NULL UNIQUE,
    team        TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,        -- names, space between
    hash        BLOB    NOT NULL UNIQUE, -- HMAC-SHA256 of the whole key, 32 bytes
    created_at  INTEGER NOT NULL,
    created_by  TEXT    NOT NULL,
    expires_at  INTEGER NOT NULL,        -- 0: never
    last_use_at INTEGER NOT NULL,        -- 0: never used; to the minute
    revoked_at  INTEGER NOT NULL         -- 0: not revoked
) STRICT, WITHOUT ROWID;
