/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /api/v1/models/{model}/adopt: a person's decision about a model's measured candidate
 * (run/models models_propose). Read fresh from the manifest, recorded, and only then carried out
 * and loaded; the sha256 that was recorded is the one that is adopted, whatever happens meanwhile.
 * Threads: core; manifests on the crunch pool.
 */
#include "http/api/api_internal.h"

#include <string.h>

#include "run/models/models.h"
#include "run/roster/roster.h"

struct adopt {
    struct api *a;
    struct wire_request *r;
    bool back;
    char asked[MODELS_NAME_SIZE];
    char wanted[TEXT_SHA256_HEX_SIZE]; /* "": whatever the candidate is */
    char team[KEYRING_NAME_SIZE], actor[KEYRING_NAME_SIZE];
    struct models_entry entry;
    char from[TEXT_SHA256_HEX_SIZE], to[TEXT_SHA256_HEX_SIZE];
    enum fail failed;
    struct fault why;
};

static void fail_now(struct adopt *o, const struct fault *why)
{
    wire_fail(o->r, why->code, why);
}

static void answer(void *arg, int loading, const struct fault *why)
{
    struct adopt *o = arg;
    struct models_serving s;
    struct jn_writer w;
    struct buf body;
    (void)loading;
    models_serving_get(&o->entry, &s);
    api_open(&w, &body);
    jn_kv_str(&w, "model", o->entry.name);
    jn_kv_str(&w, "sha256", s.sha256);
    jn_kv_str(&w, "quant", s.quant);
    jn_key(&w, "run");
    jn_object_begin(&w);
    models_run_put(&w, &s.run);
    jn_object_end(&w);
    jn_kv_bool(&w, "original", !o->entry.active.there);
    jn_kv_str(&w, "problem", why != NULL && why->code != FAIL_CONFLICT ? why->message : NULL);
    api_send(o->r, 200, &w);
}

static void adopt_ended(void *arg)
{
    struct adopt *o = arg;
    if (o->failed != FAIL_NONE) {
        fail_now(o, &o->why);
    } else {
        roster_scan(o->a->h.roster, answer, o);
    }
}

static void adopt_stored(void *arg)
{
    struct adopt *o = arg;
    struct models *m = NULL;
    o->failed = models_open(o->a->h.home, &m, &o->why);
    if (o->failed == FAIL_NONE) {
        o->failed = models_adopt(m, o->entry.name, o->back, o->back ? o->from : o->to, &o->entry,
                                 &o->why);
    }
    models_close(m);
}

static void recorded(void *arg, enum fail code, const struct fault *fault)
{
    struct adopt *o = arg;
    struct fault why;
    if (code != FAIL_NONE) {
        FAULT(&why, FAIL_RECORD_UNAVAILABLE, "the decision could not be recorded: %.200s",
              fault->message);
        fail_now(o, &why);
    } else if (pool_submit(o->a->h.crunch, adopt_stored, o, o->a->h.loop, adopt_ended, &why) !=
               FAIL_NONE) {
        fail_now(o, &why);
    }
}

static enum fail record(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct adopt *o = arg;
    const char *releases[] = {o->to, o->from};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = o->actor,
                              .team = o->team,
                              .task = o->entry.name,
                              .releases = releases,
                              .releases_len = 2, /* what serves now, what served before */
                              .verdict = o->back ? "went_back" : "adopted"};
    return audit_append(tx, o->a->h.audit, &leaf, NULL, NULL, why);
}

static void found(void *arg)
{
    struct adopt *o = arg;
    struct fault why;
    if (o->failed != FAIL_NONE) {
        fail_now(o, &o->why);
    } else if (store_write(o->a->h.store, record, o, recorded, o->a->h.loop, &why) != FAIL_NONE) {
        fail_now(o, &why);
    }
}

/* What would change, from the manifest. */
static void find(void *arg)
{
    struct adopt *o = arg;
    struct models *m = NULL;
    const struct models_entry *e = NULL;
    struct models_serving s;
    o->failed = models_open(o->a->h.home, &m, &o->why);
    if (o->failed == FAIL_NONE) {
        o->failed = models_get(m, o->asked, &e, &o->why);
    }
    if (o->failed == FAIL_NONE) {
        o->entry = *e;
        models_serving_get(e, &s);
        const struct models_release *meant = o->back ? &e->active : &e->candidate;
        (void)text_copy(o->from, sizeof(o->from), s.sha256);
        (void)text_copy(o->to, sizeof(o->to), o->back ? e->sha256 : meant->sha256);
        if (!meant->there || (o->wanted[0] != '\0' && strcmp(o->wanted, meant->sha256) != 0)) {
            FAULT(&o->why, FAIL_CONFLICT, "the model %s has no such %s", e->name,
                  o->back ? "adopted release" : "candidate");
            fail_hint(&o->why, o->back ? "Its original file serves already."
                                       : "`inhouse models tune NAME` measures and proposes one.");
            o->failed = FAIL_CONFLICT;
        }
    }
    models_close(m);
}

static void start(struct api *a, struct wire_request *r, void *arg)
{
    struct fault why;
    if (pool_submit(a->h.crunch, find, arg, a->h.loop, found, &why) != FAIL_NONE) {
        wire_fail(r, why.code, &why);
    }
}

void api_model_adopt(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"back", "sha256", NULL};
    struct fault why;
    const char *wanted = "";
    struct adopt *o = wire_alloc(r, sizeof(*o));
    AUTO_JSON json_t *body = api_body(r, keys, true);
    if (body == NULL) {
        return;
    }
    o->a = arg;
    o->r = r;
    enum fail f = jn_bool(body, "back", false, &o->back, &why);
    if (f == FAIL_NONE) {
        f = jn_str(body, "sha256", false, TEXT_SHA256_HEX_SIZE - 1, &wanted, &why);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    (void)text_copy(o->wanted, sizeof(o->wanted), wanted);
    (void)text_copy(o->asked, sizeof(o->asked), wire_param(r, "model"));
    (void)text_copy(o->actor, sizeof(o->actor), api_who(r)->name);
    (void)text_copy(o->team, sizeof(o->team), api_who(r)->team);
    api_on_core(arg, r, start, o);
}
