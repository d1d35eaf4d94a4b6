/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log's key changes. The record that names the old key and the new one is covered by a
 * checkpoint of the old key; from the next checkpoint on the new one signs. So who knows any key of
 * the chain can follow it. The new key is in keys.db before that record and the old secret is gone
 * after it: a crash in between is settled at the next start by looking for the record.
 */
#include <string.h>

#include "base/json/json.h"
#include "trust/audit/audit_internal.h"

struct rotation {
    struct audit *audit;
    const char *actor, *team;
    char vkeys[2][AUDIT_VKEY_SIZE];
    bool in_use; /* the second record: the first that the new key signs */
};

static enum fail write_rotation(struct store_tx *tx, void *arg, struct fault *why)
{
    struct rotation *r = arg;
    const char *releases[] = {r->vkeys[0], r->vkeys[1]};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_LOG_KEY_CHANGED,
                              .actor = r->actor,
                              .team = r->team,
                              .releases = releases,
                              .releases_len = r->in_use ? 0 : 2,
                              .verdict = r->in_use ? "in_use" : "changed"};
    r->audit->rotates_now = !r->in_use;
    return audit_append(tx, r->audit, &leaf, NULL, NULL, why);
}

enum fail audit_key_rotate(struct audit *a, const char *actor, const char *team, struct fault *why)
{
    struct rotation r = {.audit = a, .actor = actor, .team = team};
    struct store_conn *c = NULL;
    if (__atomic_test_and_set(&a->rotating, __ATOMIC_ACQUIRE)) {
        return FAULT(why, FAIL_CONFLICT, "the log's key is being changed already");
    }
    enum fail f = store_reader_open(a->data, &c, why);
    int64_t size = f == FAIL_NONE ? audit_size(c) : 0;
    store_reader_close(c);
    f = f != FAIL_NONE ? f : audit_keys_next(a->keys, a->verifier.origin, size, why);
    bool found = false;
    f = f != FAIL_NONE ? f : audit_keys_pending(a->keys, &a->next_verifier, a->next_secret, &size,
                                                &found, why);
    if (f == FAIL_NONE) {
        (void)text_copy(r.vkeys[0], sizeof(r.vkeys[0]), audit_vkey(a));
        audit_vkey_write(&a->next_verifier, r.vkeys[1]);
        f = store_write_wait(a->data, write_rotation, &r, why);
        if (f == FAIL_NONE) {
            f = audit_keys_promote(a->keys, why);
        } else {
            struct fault ignored; /* the next start settles it too */
            if (audit_keys_drop_next(a->keys, &ignored) != FAIL_NONE) {
                f = why->code;
            }
        }
    }
    r.in_use = true;
    f = f != FAIL_NONE ? f : store_write_wait(a->data, write_rotation, &r, why);
    __atomic_clear(&a->rotating, __ATOMIC_RELEASE);
    return f;
}

/* ---- a change that was cut off ---- */

static bool names_it(void *arg, int64_t seq, const char *body, size_t n)
{
    struct rotation *r = arg;
    (void)seq;
    if (memmem(body, n, r->vkeys[1], strlen(r->vkeys[1])) != NULL) {
        r->in_use = true;
    }
    return !r->in_use;
}

enum fail audit_rotation_settle(struct audit *a, struct store_conn *c, struct fault *why)
{
    struct rotation r = {.audit = a};
    struct audit_query q = {.kind = audit_kind_name(AUDIT_KIND_LOG_KEY_CHANGED), .scan = true};
    int64_t from = 0, next;
    bool found = false;
    enum fail f =
        audit_keys_pending(a->keys, &a->next_verifier, a->next_secret, &from, &found, why);
    if (f != FAIL_NONE || !found) {
        return f;
    }
    audit_vkey_write(&a->next_verifier, r.vkeys[1]);
    f = audit_search(c, &q, from, INT64_MAX, names_it, &r, &next, why);
    if (f != FAIL_NONE) {
        return f;
    }
    return r.in_use ? audit_keys_promote(a->keys, why) : audit_keys_drop_next(a->keys, why);
}

/* ---- the chain, as verification follows it ---- */

bool audit_rotation_read(const char *body, size_t n, char old_key[AUDIT_VKEY_SIZE],
                         char new_key[AUDIT_VKEY_SIZE])
{
    static const char mark[] = "\"kind\":\"log_key_changed\"";
    struct fault why;
    json_t *leaf AUTO_JSON = NULL;
    if (memmem(body, n, mark, sizeof(mark) - 1) == NULL ||
        jn_parse(body, n, "a record", &leaf, &why) != FAIL_NONE) {
        return false;
    }
    const json_t *releases = json_object_get(leaf, "releases");
    const char *kind = json_string_value(json_object_get(leaf, "kind"));
    const char *a = json_string_value(json_array_get(releases, 0));
    const char *b = json_string_value(json_array_get(releases, 1));
    if (kind == NULL || strcmp(kind, "log_key_changed") != 0 || json_array_size(releases) != 2 ||
        a == NULL || b == NULL) {
        return false;
    }
    (void)text_copy(old_key, AUDIT_VKEY_SIZE, a);
    (void)text_copy(new_key, AUDIT_VKEY_SIZE, b);
    return true;
}
