/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases of rules: a text proposed, a version approved, the versions listed. What a kind's text
 * means is in its struct api_release. Threads: reading on http threads, writes through the store.
 */
#include "http/api/api_internal.h"

#include <string.h>

struct change {
    struct api *a;
    struct wire_request *r;
    const struct api_release *kind;
    struct principal who;
    void *rules; /* proposed, or approved once it is */
    char release[TEXT_SHA256_HEX_SIZE], before[TEXT_SHA256_HEX_SIZE];
    bool approve;
};

static enum fail change_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *c = arg;
    const struct api_release *k = c->kind;
    /* The machine's own user is one person with every role; a key is somebody among others. */
    bool four_eyes = c->who.kind != PRINCIPAL_KIND_LOCAL;
    enum fail f = c->approve ? release_approve(tx, k->kind, c->release, c->who.name, four_eyes,
                                               c->before, why)
                             : release_propose(tx, k->kind, k->release(c->rules),
                                               k->text(c->rules), c->who.name, why);
    if (f == FAIL_NONE && c->approve) {
        f = k->active(store_tx_conn(tx), &c->rules, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    const char *releases[] = {k->release(c->rules), c->before};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = c->who.name,
                              .team = c->who.team,
                              .task = k->kind,
                              .releases = releases,
                              .releases_len = c->before[0] != '\0' ? 2 : 1,
                              .verdict = c->approve ? "active" : "candidate"};
    return audit_append(tx, c->a->h.audit, &leaf, NULL, NULL, why);
}

static void change_done(void *arg, enum fail code, const struct fault *why)
{
    struct change *c = arg;
    struct jn_writer w;
    struct buf body;
    if (code == FAIL_NONE && c->approve) {
        c->kind->serve(c->a->h.desk, c->rules);
    }
    if (code == FAIL_NONE) {
        api_open(&w, &body);
        jn_kv_str(&w, "release", c->kind->release(c->rules));
        jn_kv_str(&w, "state", c->approve ? "active" : "candidate");
        jn_kv_str(&w, "before", c->before[0] != '\0' ? c->before : NULL);
        api_send(c->r, c->approve ? 200 : 201, &w);
    } else {
        wire_fail(c->r, code, why);
    }
    c->kind->unref(c->rules);
}

static void change_start(struct change *c)
{
    struct fault why;
    enum fail f = store_write(c->a->h.store, change_write, c, change_done, c->a->h.loop, &why);
    if (f != FAIL_NONE) {
        c->kind->unref(c->rules);
        wire_fail(c->r, f, &why);
    }
}

void api_release_propose(struct wire_request *r, struct api *a, const struct api_release *kind)
{
    struct fault why;
    size_t len;
    const char *text = wire_body(r, &len);
    struct change *c = wire_alloc(r, sizeof(*c));
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    *c = (struct change){.a = a, .r = r, .kind = kind, .who = *api_who(r)};
    enum fail f = kind->read(text, len, &c->rules, faults, &why);
    if (f != FAIL_NONE) {
        api_faults(r, faults, &why);
    } else {
        change_start(c);
    }
    mem_free(faults);
}

void api_release_approve(struct wire_request *r, struct api *a, const struct api_release *kind)
{
    struct change *c = wire_alloc(r, sizeof(*c));
    *c = (struct change){.a = a, .r = r, .kind = kind, .who = *api_who(r), .approve = true};
    (void)text_copy(c->release, sizeof(c->release), wire_param(r, "release"));
    change_start(c);
}

static void put_version(void *arg, const struct release_version *v)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    jn_kv_str(w, "release", v->release);
    jn_kv_str(w, "state", v->state);
    jn_kv_str(w, "proposed_by", v->proposed_by);
    api_put_time(w, "proposed_at", v->proposed_at);
    jn_kv_str(w, "approved_by", v->approved_by[0] != '\0' ? v->approved_by : NULL);
    api_put_time(w, "approved_at", v->approved_at);
    jn_object_end(w);
}

enum fail api_releases_put(struct jn_writer *w, struct store_conn *conn, const char *kind,
                           struct fault *why)
{
    jn_key(w, "releases");
    jn_array_begin(w);
    enum fail f = release_each(conn, kind, put_version, w, why);
    jn_array_end(w);
    return f;
}
