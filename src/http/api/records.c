/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/audit: the newest signed checkpoint, and leaves as they are stored. */
#include "http/api/api_internal.h"

#include <string.h>

#include "base/clock/clock.h"
#include "work/workflow/workflow.h"

#define RECORDS_MAX 1000
#define RECORDS_SCAN 200000 /* leaves beyond the index that one request looks at */
#define RELEASES_MAX 64

void api_checkpoint(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    struct buf note;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    buf_init(&note, 4 * AUDIT_NOTE_MAX);
    enum fail f = audit_checkpoint_get(c, &note, &why);
    int64_t size = audit_size(c);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&note);
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "checkpoint", note.data);
    jn_kv_str(&w, "key", audit_vkey(a->h.audit));
    jn_kv_int(&w, "records", size);
    api_send(r, 200, &w);
    buf_done(&note);
}

struct reading {
    struct jn_writer w;
    struct buf body;
    struct audit_query q;
    const char *workflow;
    char (*found)[TEXT_SHA256_HEX_SIZE]; /* releases of it */
    const char **releases;
    int64_t found_len, limit, next;
};

static bool put_leaf(void *arg, int64_t seq, const char *leaf, size_t n)
{
    struct reading *x = arg;
    (void)seq;
    jn_put_raw(&x->w, leaf, n);
    x->found_len++;
    return x->found_len < x->limit && !x->body.overflow;
}

/* The name of a workflow as the releases that records hold. */
static enum fail resolve(struct store_conn *c, struct reading *x, struct fault *why)
{
    size_t n = 0;
    enum fail f = x->workflow != NULL
                      ? workflow_releases(c, x->workflow, x->found, RELEASES_MAX, &n, why)
                      : FAIL_NONE;
    for (size_t i = 0; i < n; i++) {
        x->releases[i] = x->found[i];
    }
    x->q.releases_len += n;
    if (f == FAIL_NONE && x->workflow != NULL && n == 0) {
        f = FAULT(why, FAIL_NOT_FOUND, "there is no workflow of that name");
    }
    return f;
}

static void read_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct reading *x = arg;
    struct fault why;
    int64_t from = x->next;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&x->w, &x->body);
    jn_key(&x->w, "records");
    jn_array_begin(&x->w);
    enum fail f = resolve(c, x, &why);
    f = f != FAIL_NONE ? f
                       : audit_search(c, &x->q, from, RECORDS_SCAN, put_leaf, x, &x->next, &why);
    int64_t size = audit_size(c);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&x->body);
        wire_fail(r, f, &why);
        return;
    }
    jn_array_end(&x->w);
    jn_key(&x->w, "next");
    if (x->next >= 0) {
        jn_put_int(&x->w, x->next);
    } else {
        jn_put_null(&x->w);
    }
    jn_kv_int(&x->w, "size", size);
    api_send(r, 200, &x->w);
}

static bool time_ok(struct wire_request *r, const char *name, int64_t *at)
{
    struct fault why;
    const char *text = wire_query(r, name);
    if (text == NULL || clock_read(text, at)) {
        return true;
    }
    FAULT(&why, FAIL_BAD_REQUEST, "\"%s\" must be a time as RFC 3339", name);
    fail_param(&why, name);
    wire_fail(r, FAIL_BAD_REQUEST, &why);
    return false;
}

void api_records(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"task",    "team",     "actor",   "kind",  "rung",
                                        "verdict", "workflow", "release", "since", "until",
                                        "from",    "limit",    NULL};
    struct reading *x = wire_alloc(r, sizeof(*x));
    struct id id;
    x->limit = 100;
    if (!api_query_ok(r, names) || !api_query_int(r, "from", 0, INT64_MAX, &x->next) ||
        !api_query_int(r, "limit", 1, RECORDS_MAX, &x->limit) ||
        !time_ok(r, "since", &x->q.since) || !time_ok(r, "until", &x->q.until)) {
        return;
    }
    x->q.task = wire_query(r, "task");
    x->q.team = wire_query(r, "team");
    x->q.actor = wire_query(r, "actor");
    x->q.kind = wire_query(r, "kind");
    x->q.rung = wire_query(r, "rung");
    x->q.verdict = wire_query(r, "verdict");
    x->workflow = wire_query(r, "workflow");
    x->found = wire_alloc(r, RELEASES_MAX * sizeof(*x->found));
    x->releases = wire_alloc(r, RELEASES_MAX * sizeof(*x->releases));
    x->q.releases = x->releases;
    if (wire_query(r, "release") != NULL && x->workflow == NULL) {
        x->releases[x->q.releases_len++] = wire_query(r, "release");
    }
    if (x->q.task != NULL && !text_id_read(x->q.task, "tsk", &id)) {
        struct fault why;
        FAULT(&why, FAIL_BAD_REQUEST, "\"task\" must be a task's id, tsk_...");
        fail_param(&why, "task");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    api_on_crunch(arg, r, read_on_crunch, x);
}

static void rotate_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const struct principal *by = arg;
    struct fault why;
    enum fail f = audit_key_rotate(a->h.audit, by->name, by->team, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "key", audit_vkey(a->h.audit));
    api_send(r, 200, &w);
}

void api_log_key_rotate(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body != NULL) {
        api_on_crunch(arg, r, rotate_on_crunch, (void *)wire_who(r));
    }
}
