/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/governance: what no listing of its own says, for the governance file (prove/govern). */
#include <string.h>

#include "answer/dataset/dataset.h"
#include "base/clock/clock.h"
#include "http/api/api_internal.h"
#include "trust/guard/guard.h"
#include "trust/release/release.h"
#include "trust/verdict/verdict.h"

#define HALTS_MAX 256
#define DAY_US ((int64_t)24 * 3600 * 1000000)

static void put_who(struct jn_writer *w, const char *key, const struct dataset_subject *who)
{
    char text[KEYRING_NAME_SIZE + 16];
    (void)snprintf(text, sizeof(text), "%s %s", dataset_who_name(who->kind), who->name);
    jn_kv_str(w, key, text);
}

/* ---- datasets, and who reads them now ---- */

struct names {
    struct arena *arena;
    const char *list[DATASET_MAX];
    size_t n;
    struct jn_writer *w;
    const char *dataset;
};

static void put_dataset(void *arg, const struct dataset_about *d, unsigned rights)
{
    struct names *x = arg;
    (void)rights;
    jn_object_begin(x->w);
    jn_kv_str(x->w, "name", d->name);
    put_who(x->w, "owner", &d->owner);
    jn_kv_str(x->w, "label", secrecy_name(d->label));
    jn_kv_str(x->w, "purpose", d->purpose);
    jn_kv_str(x->w, "source", d->source);
    jn_kv_int(x->w, "retention_days", d->retention_days);
    api_put_time(x->w, "review_at", d->review_at);
    jn_object_end(x->w);
    if (x->n < DATASET_MAX) {
        x->list[x->n++] = arena_dup_str(x->arena, d->name);
    }
}

static void put_reader(void *arg, const struct dataset_subject *who,
                       const struct dataset_grant *grant)
{
    struct names *x = arg;
    jn_object_begin(x->w);
    jn_kv_str(x->w, "dataset", x->dataset);
    put_who(x->w, "who", who);
    jn_kv_str(x->w, "how", grant != NULL ? "grant" : "owner");
    jn_kv_str(x->w, "reason", grant != NULL ? grant->reason : "");
    jn_kv_str(x->w, "granted_by", grant != NULL ? grant->granted_by : "");
    api_put_time(x->w, "ends_at", grant != NULL ? grant->ends_at : 0);
    jn_object_end(x->w);
}

static enum fail put_datasets(struct jn_writer *w, struct store_conn *c, const struct principal *by,
                              struct fault *why)
{
    struct arena *arena = arena_new((size_t)1 << 20);
    struct names *x = mem_alloc(sizeof(*x));
    int64_t now = clock_now_us();
    *x = (struct names){.arena = arena, .w = w};
    jn_key(w, "datasets");
    jn_array_begin(w);
    enum fail f = dataset_each(c, by, now, put_dataset, x, why);
    jn_array_end(w);
    jn_key(w, "readers");
    jn_array_begin(w);
    for (size_t i = 0; i < x->n && f == FAIL_NONE; i++) {
        x->dataset = x->list[i];
        f = dataset_readers(c, x->dataset, now, put_reader, x, why);
    }
    jn_array_end(w);
    mem_free(x);
    arena_free(arena);
    return f;
}

/* ---- what is in force ---- */

static void put_limit(struct jn_writer *w, const char *key, int64_t limit)
{
    if (limit != POLICY_NO_LIMIT) {
        jn_kv_int(w, key, limit);
    }
}

static void put_policy(void *arg, const struct policy_row *row)
{
    struct jn_writer *w = arg;
    if (!row->is_set && !row->has_label) {
        return; /* counted lately, under the defaults */
    }
    jn_object_begin(w);
    jn_kv_str(w, "kind", policy_kind_name(row->kind));
    jn_kv_str(w, "name", row->name);
    put_limit(w, "requests", row->limits.requests);
    put_limit(w, "tokens", row->limits.tokens);
    put_limit(w, "parallel", row->limits.parallel);
    put_limit(w, "day", row->limits.day);
    put_limit(w, "month", row->limits.month);
    if (row->has_label) {
        jn_kv_str(w, "label", secrecy_name(row->label));
    }
    jn_object_end(w);
}

static void put_halts(struct api *a, struct jn_writer *w)
{
    struct policy_halt *list = mem_alloc_array(HALTS_MAX, sizeof(*list));
    size_t n = policy_halts(a->h.policy, list, HALTS_MAX);
    for (size_t i = 0; i < n && i < HALTS_MAX; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "kind", policy_kind_name(list[i].kind));
        jn_kv_str(w, "name", list[i].name);
        jn_kv_str(w, "halted", list[i].reason[0] != '\0' ? list[i].reason : "yes");
        jn_object_end(w);
    }
    mem_free(list);
}

static void put_roles(struct jn_writer *w)
{
    jn_key(w, "roles");
    jn_array_begin(w);
    for (int i = 0; i < KEYRING_ROLE_COUNT; i++) {
        char scopes[160];
        keyring_scopes_show(keyring_role_scopes((enum keyring_role)i), scopes, sizeof(scopes));
        jn_object_begin(w);
        jn_kv_str(w, "role", keyring_role_name((enum keyring_role)i));
        jn_kv_str(w, "scopes", scopes);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_key(w, "guard");
    jn_array_begin(w);
    for (int i = 0; i < GUARD_KIND_COUNT; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "kind", guard_kind_name((enum guard_kind)i));
        jn_kv_str(w, "does",
                  (GUARD_CHECKED & GUARD_BIT(i)) != 0 ? "found by form and checksum"
                                                      : "found by form, words or tagger");
        jn_object_end(w);
    }
    jn_array_end(w);
}

/* The roles that have a scope. */
static void put_who_may(struct jn_writer *w, uint32_t scope)
{
    jn_key(w, "who");
    jn_array_begin(w);
    for (int i = 0; i < KEYRING_ROLE_COUNT; i++) {
        if ((keyring_role_scopes((enum keyring_role)i) & scope) != 0) {
            jn_put_str(w, keyring_role_name((enum keyring_role)i));
        }
    }
    jn_array_end(w);
}

/* What the routes themselves say: where one that proposes has one that approves beside it, another
   person is needed. */
static const char *second_person(const struct wire_route *all, size_t n, const char *pattern)
{
    size_t len = strlen(pattern);
    if (len > 8 && strcmp(pattern + len - 8, "/approve") == 0) {
        return "yes: not who proposed it; the server's own local user is one person";
    }
    if (strstr(pattern, "dataset-requests/decide") != NULL) {
        return "yes: not who asked";
    }
    for (size_t i = 0; i < n; i++) {
        const char *other = all[i].pattern;
        if (strncmp(other, pattern, len) == 0 && other[len] == '/' && other[len + 1] == '{' &&
            strlen(other) > len + 8 && strcmp(other + strlen(other) - 8, "/approve") == 0) {
            return "proposed only: it serves once another approves it";
        }
    }
    return "no";
}

/* Every change that the server takes, out of its table of routes: who may, whether another must
   agree. Each is a record. */
static void put_approvals(struct jn_writer *w)
{
    size_t n;
    const struct wire_route *all = api_routes(&n);
    jn_key(w, "approvals");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        char route[160];
        if (strcmp(all[i].audit, "change") != 0 || all[i].scope == 0) {
            continue;
        }
        (void)snprintf(route, sizeof(route), "%s %s", all[i].method, all[i].pattern);
        jn_object_begin(w);
        jn_kv_str(w, "change", all[i].summary);
        put_who_may(w, all[i].scope);
        jn_kv_str(w, "second", second_person(all, n, all[i].pattern));
        jn_kv_str(w, "route", route);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_version(void *arg, const struct release_version *v)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "kind", v->kind);
    jn_kv_str(w, "release", v->release);
    jn_kv_str(w, "state", v->state);
    jn_kv_str(w, "proposed_by", v->proposed_by);
    jn_kv_str(w, "approved_by", v->approved_by);
    api_put_time(w, "at", v->approved_at != 0 ? v->approved_at : v->proposed_at);
    jn_object_end(w);
}

/* Versions of all that needs approval, and the rules of what may pass that serve now. */
static enum fail put_versions(struct jn_writer *w, struct store_conn *c, struct fault *why)
{
    struct verdict_rules *rules = NULL;
    jn_key(w, "versions");
    jn_array_begin(w);
    enum fail f = release_each(c, NULL, put_version, w, why);
    jn_array_end(w);
    f = f != FAIL_NONE ? f : verdict_release_active(c, &rules, why);
    if (f == FAIL_NONE) {
        jn_kv_str(w, "guard_release", verdict_rules_release(rules));
        jn_key(w, "guard_rules");
        verdict_rules_put(w, rules);
    }
    verdict_rules_unref(rules);
    return f;
}

/* ---- the record ---- */

static void put_left(void *arg, const struct audit_left *x)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "target", x->target);
    jn_kv_str(w, "kind", x->kind);
    jn_kv_int(w, "size", x->size);
    api_put_time(w, "at", x->at);
    jn_kv_str(w, "fault", x->fault);
    jn_kv_bool(w, "outside", strcmp(x->kind, "note-here") != 0);
    jn_kv_bool(w, "fresh", clock_now_us() - x->at < AUDIT_LEFT_MAX_US);
    jn_object_end(w);
}

static bool take_first(void *arg, int64_t seq, const char *body, size_t n)
{
    struct fault why;
    json_t *leaf AUTO_JSON = NULL;
    (void)seq;
    if (jn_parse(body, n, "a record", &leaf, &why) == FAIL_NONE) {
        *(int64_t *)arg = json_integer_value(json_object_get(leaf, "at"));
    }
    return false;
}

static enum fail put_record(struct api *a, struct jn_writer *w, struct store_conn *c,
                            struct fault *why)
{
    struct buf note;
    int64_t counts[AUDIT_KIND_COUNT], size = 0, first = clock_now_us();
    uint8_t root[AUDIT_HASH_SIZE];
    char hex[2 * AUDIT_HASH_SIZE + 1], at[CLOCK_RFC3339_SIZE];
    buf_init(&note, AUDIT_NOTES_MAX);
    enum fail f = audit_kind_counts(c, counts, why);
    f = f != FAIL_NONE ? f : audit_leaf_each(c, 0, 1, take_first, &first, why);
    f = f != FAIL_NONE ? f : audit_checkpoint_get(c, &note, why);
    f = f != FAIL_NONE ? f : audit_checkpoint_read(note.data, note.len, NULL, &size, root, why);
    if (f == FAIL_NONE) {
        text_hex(root, sizeof(root), hex);
        jn_kv_str(w, "at", clock_show(clock_now_us(), at));
        jn_kv_str(w, "version", INHOUSE_VERSION);
        jn_kv_int(w, "records", audit_size(c));
        jn_kv_int(w, "oldest_days", (clock_now_us() - first) / DAY_US);
        jn_kv_str(w, "key", audit_vkey(a->h.audit));
        jn_kv_int(w, "checkpoint.size", size);
        jn_kv_str(w, "checkpoint.root", hex);
        note.data[strcspn(note.data, "\n")] = '\0';
        jn_kv_str(w, "origin", note.data);
        jn_key(w, "counts");
        jn_array_begin(w);
        for (int i = 0; i < AUDIT_KIND_COUNT; i++) {
            if (counts[i] > 0) {
                jn_object_begin(w);
                jn_kv_str(w, "kind", audit_kind_name((enum audit_kind)i));
                jn_kv_int(w, "n", counts[i]);
                jn_object_end(w);
            }
        }
        jn_array_end(w);
        jn_key(w, "left");
        jn_array_begin(w);
        f = audit_left_each(c, put_left, w, why);
        jn_array_end(w);
    }
    buf_done(&note);
    return f;
}

static void govern_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const struct principal *by = arg;
    struct jn_writer w;
    struct buf body;
    struct fault why;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&w, &body);
    jn_kv_str(&w, "by", by->name);
    enum fail f = put_record(a, &w, c, &why);
    f = f != FAIL_NONE ? f : put_datasets(&w, c, by, &why);
    f = f != FAIL_NONE ? f : put_versions(&w, c, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    put_roles(&w);
    put_approvals(&w);
    jn_key(&w, "limits");
    jn_array_begin(&w);
    policy_each(a->h.policy, put_policy, &w);
    put_halts(a, &w);
    jn_array_end(&w);
    api_send(r, 200, &w);
}

void api_governance(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, govern_on_crunch, (void *)wire_who(r));
}
