-- SPDX-License-Identifier: Apache-2.0
-- People and service accounts, their teams, sessions of browsers, one-time tokens; and what a key
-- is confined to. Of passwords, sessions and tokens only hashes are here.

-- owner: trust/keyring
CREATE TABLE team (
    name       TEXT    PRIMARY KEY,
    label      TEXT    NOT NULL,    -- base/secrecy: public, internal, confidential, restricted
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO team (name, label, created_at, created_by) VALUES ('default', 'internal', 0, 'system');
INSERT INTO team (name, label, created_at, created_by)
    SELECT DISTINCT team, 'internal', 0, 'system' FROM api_key WHERE team <> 'default';

-- owner: trust/keyring
CREATE TABLE account (
    id            BLOB    PRIMARY KEY, -- 16 bytes
    name          TEXT    NOT NULL UNIQUE,
    kind          TEXT    NOT NULL,    -- person, service
    origin        TEXT    NOT NULL,    -- local, or the directory that vouches: oidc:ISSUER, ldap:URL
    subject       TEXT    NOT NULL,    -- the account there, '' for local
    password      TEXT    NOT NULL,    -- Argon2id in its own notation, '' none
    created_at    INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    disabled_at   INTEGER NOT NULL,    -- 0: not
    last_login_at INTEGER NOT NULL,    -- 0: never
    checked_at    INTEGER NOT NULL     -- when the directory last vouched; 0: never
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX account_subject ON account (origin, subject) WHERE subject <> '';

-- owner: trust/keyring
CREATE TABLE membership (
    account    BLOB    NOT NULL,
    team       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    source     TEXT    NOT NULL, -- local, or directory: replaced by what it says at each sign-in
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    PRIMARY KEY (account, team)
) STRICT, WITHOUT ROWID;

-- owner: trust/keyring
CREATE TABLE session (
    hash       BLOB    PRIMARY KEY, -- HMAC-SHA256 of the cookie's value
    id         BLOB    NOT NULL UNIQUE,
    account    BLOB    NOT NULL,
    team       TEXT    NOT NULL,    -- acted for when a request names none
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,    -- to the minute
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- owner: trust/keyring
CREATE TABLE setup_token (
    hash       BLOB    PRIMARY KEY, -- HMAC-SHA256 of the token
    account    BLOB    NOT NULL,    -- whose password it sets; zero: the first administrator's
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- owner: trust/keyring
ALTER TABLE api_key ADD COLUMN owner BLOB;     -- account; NULL: nobody's
ALTER TABLE api_key ADD COLUMN parent BLOB;    -- the key that made it, and whose end is its end
ALTER TABLE api_key ADD COLUMN models TEXT;    -- names, space between; NULL: all
ALTER TABLE api_key ADD COLUMN datasets TEXT;
ALTER TABLE api_key ADD COLUMN workflows TEXT;
ALTER TABLE api_key ADD COLUMN old_hash BLOB;  -- the secret before the last rotation
ALTER TABLE api_key ADD COLUMN old_until INTEGER NOT NULL DEFAULT 0; -- good until then
