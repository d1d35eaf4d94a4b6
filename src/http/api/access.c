/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/v1/access: the access review. Who can read a dataset, what somebody can read, who is in
 * a team: accounts and keys that could act now, each with the way by which it may. Reads the store
 * and walks all accounts and keys: crunch.
 */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include "answer/dataset/dataset.h"
#include "base/clock/clock.h"

enum about { ABOUT_DATASET, ABOUT_USER, ABOUT_TEAM };

struct review {
    struct api *a;
    enum about about;
    char name[KEYRING_NAME_SIZE];
    struct jn_writer *w;
    int64_t now;
    /* the one way in that is being spelled out */
    struct dataset_subject who;
    bool owner;
    int64_t ends_at;
    char granted_by[KEYRING_NAME_SIZE], reason[DATASET_TEXT_SIZE];
};

/* ---- rows ---- */

static void row(struct review *v, const char *kind, const char *name, const char *team,
                enum keyring_role role, int64_t last_use_at, int64_t ends_at)
{
    struct jn_writer *w = v->w;
    jn_object_begin(w);
    jn_kv_str(w, "kind", kind);
    jn_kv_str(w, "name", name);
    jn_kv_str(w, "team", team[0] != '\0' ? team : NULL);
    jn_kv_str(w, "role", role < KEYRING_ROLE_COUNT ? keyring_role_name(role) : NULL);
    if (v->about == ABOUT_DATASET) {
        char by[KEYRING_NAME_SIZE + 16];
        (void)snprintf(by, sizeof(by), "%s %s", dataset_who_name(v->who.kind), v->who.name);
        jn_kv_str(w, "by", v->owner ? "owner" : "grant");
        jn_kv_str(w, "through", by);
        jn_kv_str(w, "granted_by", v->granted_by[0] != '\0' ? v->granted_by : NULL);
        jn_kv_str(w, "reason", v->reason[0] != '\0' ? v->reason : NULL);
    }
    api_put_time(w, "ends_at",
                 v->ends_at != 0 && (ends_at == 0 || v->ends_at < ends_at) ? v->ends_at : ends_at);
    api_put_time(w, "last_use_at", last_use_at);
    jn_object_end(w);
}

static const char *kind_of(const struct keyring_account *a)
{
    return a->kind == KEYRING_ACCOUNT_SERVICE ? "service" : "person";
}

static void row_account(void *arg, const struct keyring_account *a)
{
    struct review *v = arg;
    if (a->disabled_at != 0) {
        return;
    }
    if (v->who.kind == DATASET_USER) {
        if (strcmp(a->name, v->who.name) == 0) {
            row(v, kind_of(a), a->name, "", KEYRING_ROLE_COUNT, a->last_login_at, 0);
        }
        return;
    }
    for (size_t i = 0; i < a->members_len; i++) {
        if (strcmp(a->members[i].team, v->who.name) == 0) {
            row(v, kind_of(a), a->name, v->who.name, a->members[i].role, a->last_login_at, 0);
        }
    }
}

/* Can this key act now, and is the dataset among those it is confined to? */
static bool key_counts(const struct review *v, const struct keyring_key *k)
{
    struct principal p = {.limits = k->limits};
    bool live = k->revoked_at == 0 && !k->dead && (k->expires_at == 0 || k->expires_at > v->now);
    return live && (v->about != ABOUT_DATASET ||
                    keyring_limits_allow(&p, KEYRING_LIMIT_DATASETS, v->name));
}

static void row_key(void *arg, const struct keyring_key *k)
{
    struct review *v = arg;
    const char *acts = k->owner[0] != '\0' ? k->owner : k->name;
    bool mine = v->who.kind == DATASET_TEAM ? strcmp(k->team, v->who.name) == 0
                                            : strcmp(acts, v->who.name) == 0;
    if (mine && key_counts(v, k)) {
        row(v, "key", k->name, k->team, k->role, k->last_use_at, k->expires_at);
    }
}

static void everybody_of(struct review *v)
{
    keyring_account_list(v->a->h.keyring, row_account, v);
    keyring_list(v->a->h.keyring, row_key, v);
}

static void row_reader(void *arg, const struct dataset_subject *who,
                       const struct dataset_grant *grant)
{
    struct review *v = arg;
    v->who = *who;
    v->owner = grant == NULL;
    v->ends_at = grant != NULL ? grant->ends_at : 0;
    (void)text_copy(v->granted_by, sizeof(v->granted_by), grant != NULL ? grant->granted_by : "");
    (void)text_copy(v->reason, sizeof(v->reason), grant != NULL ? grant->reason : "");
    everybody_of(v);
}

/* ---- the other way round ---- */

static void row_dataset(void *arg, const struct dataset_about *d)
{
    struct review *v = arg;
    char by[KEYRING_NAME_SIZE + 16];
    (void)snprintf(by, sizeof(by), "%s %s", dataset_who_name(v->who.kind), v->who.name);
    jn_object_begin(v->w);
    jn_kv_str(v->w, "name", d->name);
    jn_kv_str(v->w, "label", secrecy_name(d->label));
    jn_kv_str(v->w, "through", by);
    jn_object_end(v->w);
}

static enum fail datasets_of(struct review *v, struct store_conn *c, enum dataset_who kind,
                             const char *name, struct fault *why)
{
    v->who.kind = kind;
    (void)text_copy(v->who.name, sizeof(v->who.name), name);
    return dataset_of_subject(c, &v->who, v->now, row_dataset, v, why);
}

static enum fail about_dataset(struct review *v, struct store_conn *c, struct fault *why)
{
    jn_key(v->w, "readers");
    jn_array_begin(v->w);
    enum fail f = dataset_readers(c, v->name, v->now, row_reader, v, why);
    jn_array_end(v->w);
    return f;
}

static enum fail about_team(struct review *v, struct store_conn *c, struct fault *why)
{
    struct keyring_team t;
    if (!keyring_team_find(v->a->h.keyring, v->name, &t)) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such team");
    }
    jn_kv_str(v->w, "label", secrecy_name(t.label));
    v->who.kind = DATASET_TEAM;
    (void)text_copy(v->who.name, sizeof(v->who.name), v->name);
    jn_key(v->w, "members");
    jn_array_begin(v->w);
    everybody_of(v);
    jn_array_end(v->w);
    jn_key(v->w, "datasets");
    jn_array_begin(v->w);
    enum fail f = datasets_of(v, c, DATASET_TEAM, v->name, why);
    jn_array_end(v->w);
    return f;
}

static enum fail about_user(struct review *v, struct store_conn *c, struct fault *why)
{
    struct keyring_account a;
    if (!keyring_account_find(v->a->h.keyring, v->name, &a)) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such user");
    }
    api_put_account(v->w, &a);
    v->who.kind = DATASET_USER;
    (void)text_copy(v->who.name, sizeof(v->who.name), a.name);
    jn_key(v->w, "keys");
    jn_array_begin(v->w);
    keyring_list(v->a->h.keyring, row_key, v);
    jn_array_end(v->w);
    jn_key(v->w, "datasets");
    jn_array_begin(v->w);
    enum fail f = FAIL_NONE;
    if (a.disabled_at == 0) {
        f = datasets_of(v, c, DATASET_USER, a.name, why);
        for (size_t i = 0; f == FAIL_NONE && i < a.members_len; i++) {
            f = datasets_of(v, c, DATASET_TEAM, a.members[i].team, why);
        }
    }
    jn_array_end(v->w);
    return f;
}

/* ---- the request ---- */

static void review_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const abouts[] = {"dataset", "user", "team"};
    static enum fail (*const steps[])(struct review *, struct store_conn *, struct fault *) = {
        about_dataset, about_user, about_team};
    struct review *v = arg;
    struct fault why;
    struct jn_writer w;
    struct buf body;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    v->a = a;
    v->w = &w;
    v->now = clock_now_us();
    api_open(&w, &body);
    jn_kv_str(&w, "about", abouts[v->about]);
    jn_kv_str(&w, v->about == ABOUT_USER ? "asked" : "name", v->name);
    api_put_time(&w, "at", v->now);
    enum fail f = steps[v->about](v, c, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &w);
}

void api_access(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"dataset", "user", "team", NULL};
    struct fault why;
    int given = 0;
    if (!api_query_ok(r, names)) {
        return;
    }
    struct review *v = wire_alloc(r, sizeof(*v));
    memset(v, 0, sizeof(*v));
    for (int i = 0; names[i] != NULL; i++) {
        const char *value = wire_query(r, names[i]);
        if (value != NULL) {
            given++;
            v->about = (enum about)i;
            if (!text_copy(v->name, sizeof(v->name), value)) {
                v->name[0] = '\0'; /* longer than any: nothing is called so */
            }
        }
    }
    if (given != 1) {
        FAULT(&why, FAIL_BAD_REQUEST, "the query names one of dataset, user and team");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    api_on_crunch(arg, r, review_on_crunch, v);
}
