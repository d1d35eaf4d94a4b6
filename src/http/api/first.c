/* SPDX-License-Identifier: Apache-2.0 */
/* The first run: a token in a file, never a default password. And the record of what the keyring
   changes. */
#include "http/api/api_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <sodium.h>

#include "base/config/config.h"
#include "base/log/log.h"

#define FIRST_TTL_S (24 * 3600)

enum fail api_record_keyring(struct store_tx *tx, void *arg, const struct keyring_event *e,
                             struct fault *why)
{
    static const enum audit_kind kinds[KEYRING_EVENT_COUNT] = {
        [KEYRING_EVENT_KEY_ADDED] = AUDIT_KIND_KEY_ADDED,
        [KEYRING_EVENT_KEY_CHANGED] = AUDIT_KIND_KEY_CHANGED,
        [KEYRING_EVENT_KEY_REVOKED] = AUDIT_KIND_KEY_REVOKED,
        [KEYRING_EVENT_USER_ADDED] = AUDIT_KIND_USER_ADDED,
        [KEYRING_EVENT_USER_CHANGED] = AUDIT_KIND_USER_CHANGED,
        [KEYRING_EVENT_TEAM_CHANGED] = AUDIT_KIND_TEAM_CHANGED,
        [KEYRING_EVENT_SIGNED_IN] = AUDIT_KIND_SIGNED_IN,
        [KEYRING_EVENT_SIGNED_OUT] = AUDIT_KIND_SIGNED_OUT,
        [KEYRING_EVENT_SIGN_IN_REFUSED] = AUDIT_KIND_SIGN_IN_REFUSED,
    };
    struct audit_leaf leaf = {.kind = kinds[e->kind],
                              .actor = e->actor,
                              .team = e->team,
                              .task = e->object,
                              .verdict = e->what};
    return audit_append(tx, arg, &leaf, NULL, NULL, why);
}

/* Whole or not at all, and only for this user's eyes. */
static enum fail write_token(const char *path, const char *token, struct fault *why)
{
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", path);
    }
    bool good = dprintf(fd, "%s\n", token) > 0 && fsync(fd) == 0;
    int seen = errno;
    close(fd);
    errno = seen;
    return good ? FAIL_NONE
                : FAULT_ERRNO(why, fail_from_write_errno(seen), "could not write %s", path);
}

enum fail api_first_run(struct keyring *k, const char *home, struct fault *why)
{
    char path[CONFIG_HOME_SIZE + 16], token[KEYRING_TOKEN_SIZE];
    (void)snprintf(path, sizeof(path), "%s/setup.token", home);
    if (keyring_has_admin(k)) {
        (void)unlink(path);
        return FAIL_NONE;
    }
    enum fail f = keyring_token_new(k, NULL, FIRST_TTL_S, NULL, token, why);
    if (f == FAIL_NONE) {
        f = write_token(path, token, why);
        sodium_memzero(token, sizeof(token));
    }
    if (f == FAIL_NONE) {
        log_write(LOG_LEVEL_INFO, "server.no_users_yet",
                  LOG_FIELDS(LOG_TEXT("token_file", path), LOG_NUM("good_for_hours", 24),
                             LOG_TEXT("use", "inhouse users setup NAME")));
    }
    return f;
}
