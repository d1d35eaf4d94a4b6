/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/upstreams: other servers, their health and spend; and the calls made to them. */
#include "http/api/api_internal.h"

#define CALLS_MAX 1000

static void list_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    (void)arg;
    api_open(&w, &body);
    upstream_put(a->h.upstream, &w);
    api_send(r, 200, &w);
}

void api_upstreams(struct wire_request *r, void *arg)
{
    api_on_core(arg, r, list_on_core, NULL);
}

void api_upstream_calls(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"task", "limit", NULL};
    struct api *a = arg;
    struct fault why;
    struct id task;
    const char *shown = wire_query(r, "task");
    int64_t limit = 100;
    if (!api_query_ok(r, names) || !api_query_int(r, "limit", 1, CALLS_MAX, &limit)) {
        return;
    }
    if (shown != NULL && !text_id_read(shown, "tsk", &task)) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"task\" must be an id that begins with tsk_");
        fail_param(&why, "task");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    enum fail f = upstream_calls_put(c, shown != NULL ? &task : NULL, NULL, limit, &w, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
        return;
    }
    api_send(r, 200, &w);
}
