/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/audit: the newest signed checkpoint, and leaves as they are stored. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#define RECORDS_MAX 1000
#define RECORDS_SCAN 200000 /* leaves looked at for one task in one request */

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
    const char *needle; /* NULL: all */
    int64_t found, limit, next;
};

static bool put_leaf(void *arg, int64_t seq, const char *leaf, size_t n)
{
    struct reading *x = arg;
    x->next = seq + 1;
    if (x->needle == NULL || memmem(leaf, n, x->needle, strlen(x->needle)) != NULL) {
        jn_put_raw(&x->w, leaf, n);
        x->found++;
    }
    return x->found < x->limit && !x->body.overflow;
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
    enum fail f = audit_leaf_each(c, from, x->needle ? RECORDS_SCAN : x->limit, put_leaf, x, &why);
    int64_t size = audit_size(c);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&x->body);
        wire_fail(r, f, &why);
        return;
    }
    jn_array_end(&x->w);
    jn_key(&x->w, "next");
    if (x->next < size) {
        jn_put_int(&x->w, x->next);
    } else {
        jn_put_null(&x->w);
    }
    jn_kv_int(&x->w, "size", size);
    api_send(r, 200, &x->w);
}

void api_records(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"task", "from", "limit", NULL};
    struct reading *x = wire_alloc(r, sizeof(*x));
    const char *task = wire_query(r, "task");
    struct id id;
    x->limit = 100;
    if (!api_query_ok(r, names) || !api_query_int(r, "from", 0, INT64_MAX, &x->next) ||
        !api_query_int(r, "limit", 1, RECORDS_MAX, &x->limit)) {
        return;
    }
    if (task != NULL) {
        if (!text_id_read(task, "tsk", &id)) {
            struct fault why;
            FAULT(&why, FAIL_BAD_REQUEST, "\"task\" must be a task's id, tsk_...");
            fail_param(&why, "task");
            wire_fail(r, FAIL_BAD_REQUEST, &why);
            return;
        }
        char *needle = wire_alloc(r, TEXT_ID_SIZE + 16);
        (void)snprintf(needle, TEXT_ID_SIZE + 16, "\"task\":\"%s\"", task);
        x->needle = needle;
    }
    api_on_crunch(arg, r, read_on_crunch, x);
}
