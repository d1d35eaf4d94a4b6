/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traces in memory and in the table, and the search over those of one team.
 * Owns: what the header says. Threads: as there.
 */
#include "answer/related/related.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "answer/related/related_internal.h"
#include "base/clock/clock.h"
#include "base/mem/mem.h"

#define DAY_US ((int64_t)24 * 3600 * 1000000)

/* As kept: what a search compares. Vectors lie in one block, `dim` bytes each. */
struct row {
    struct id task;
    uint64_t team; /* hash; compared first */
    int64_t at;
    uint64_t model;
    uint64_t ids[RELATED_IDS];
    uint32_t sketch[RELATED_SKETCH];
    uint8_t ids_len;
    bool gone, empty;
    uint16_t dim;
    float scale;
    int8_t *vector;
};

struct related {
    struct row *rows; /* a ring: the oldest is written over */
    size_t n, next;
};

const char *related_kind_name(enum related_kind k)
{
    static const char *const names[RELATED_KIND_COUNT] = {"duplicate", "related"};
    return k < RELATED_KIND_COUNT ? names[k] : "none";
}

static void row_done(struct row *r)
{
    mem_free(r->vector);
    memset(r, 0, sizeof(*r));
}

void related_free(struct related *r)
{
    for (size_t i = 0; r != NULL && i < r->n; i++) {
        row_done(&r->rows[i]);
    }
    if (r != NULL) {
        mem_free(r->rows);
    }
    mem_free(r);
}

size_t related_count(const struct related *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        n += !r->rows[i].gone;
    }
    return n;
}

void related_add(struct related *r, const struct related_trace *t)
{
    struct row *x = &r->rows[r->next];
    row_done(x);
    x->task = t->task;
    x->team = related_hash(t->team, strlen(t->team));
    x->at = t->at;
    x->model = related_hash(t->model, strlen(t->model));
    x->empty = t->empty;
    memcpy(x->sketch, t->sketch, sizeof(x->sketch));
    memcpy(x->ids, t->ids, t->ids_len * sizeof(*t->ids));
    x->ids_len = (uint8_t)t->ids_len;
    x->dim = (uint16_t)t->dim;
    x->scale = t->scale;
    x->vector = t->dim > 0 ? mem_dup(t->vector, t->dim) : NULL;
    r->next = (r->next + 1) % RELATED_KEPT;
    r->n = r->n < RELATED_KEPT ? r->n + 1 : r->n;
}

/* ---- the table ---- */

static enum fail read_row(struct store_stmt *s, struct related_trace *t)
{
    size_t n = 0;
    memset(t, 0, offsetof(struct related_trace, vector));
    store_col_id(s, 0, &t->task);
    (void)text_copy(t->team, sizeof(t->team), store_col_text(s, 1));
    t->at = store_col_int(s, 2);
    const void *sketch = store_col_blob(s, 3, &n);
    if (n == sizeof(t->sketch)) {
        memcpy(t->sketch, sketch, n);
    } else {
        t->empty = true;
    }
    const void *ids = store_col_blob(s, 4, &n);
    t->ids_len = n / sizeof(*t->ids) < RELATED_IDS ? n / sizeof(*t->ids) : RELATED_IDS;
    if (t->ids_len > 0) {
        memcpy(t->ids, ids, t->ids_len * sizeof(*t->ids));
    }
    (void)text_copy(t->model, sizeof(t->model), store_col_text(s, 5));
    t->scale = (float)store_col_real(s, 6);
    const void *vector = store_col_blob(s, 7, &n);
    t->dim = n <= RELATED_DIM ? n : 0;
    if (t->dim > 0) {
        memcpy(t->vector, vector, t->dim);
    }
    return FAIL_NONE;
}

enum fail related_open(struct store_conn *conn, struct related **out, struct fault *why)
{
    struct related *r = mem_alloc(sizeof(*r));
    AUTO_FREE struct related_trace *t = mem_alloc(sizeof(*t));
    r->rows = mem_alloc_array(RELATED_KEPT, sizeof(*r->rows));
    bool row = false;
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "SELECT task, team, at, sketch, ids, model, scale, vector FROM (SELECT * FROM "
                  "ticket_trace ORDER BY at DESC LIMIT ?1) AS newest ORDER BY at");
        store_bind_int(s, 1, RELATED_KEPT);
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
            (void)read_row(s, t);
            related_add(r, t);
        }
    }
    if (f != FAIL_NONE) {
        related_free(r);
        return f;
    }
    *out = r;
    return FAIL_NONE;
}

static enum fail drop_old(struct store_tx *tx, int64_t now, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM ticket_trace WHERE at < ?1");
    store_bind_int(s, 1, now - RELATED_DAYS * DAY_US);
    return store_run(s, why);
}

enum fail related_put(struct store_tx *tx, const struct related_trace *t, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT OR REPLACE INTO ticket_trace (task, team, actor, at, sketch, "
                           "ids, model, scale, vector) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)");
    store_bind_id(s, 1, &t->task);
    store_bind_text(s, 2, t->team);
    store_bind_text(s, 3, t->actor);
    store_bind_int(s, 4, t->at);
    store_bind_blob(s, 5, t->sketch, t->empty ? 0 : sizeof(t->sketch));
    store_bind_blob(s, 6, t->ids, t->ids_len * sizeof(*t->ids));
    store_bind_text(s, 7, t->model);
    store_bind_real(s, 8, (double)t->scale);
    store_bind_blob(s, 9, t->dim > 0 ? t->vector : NULL, t->dim);
    enum fail f = store_run(s, why);
    return f != FAIL_NONE ? f : drop_old(tx, t->at, why);
}

enum fail related_forget(struct store_tx *tx, const char *team, const char *actor, int64_t *n,
                         struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "DELETE FROM ticket_trace WHERE team = ?1 AND actor = ?2");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, actor);
    enum fail f = store_run(s, why);
    *n = f == FAIL_NONE ? store_changes(store_tx_conn(tx)) : 0;
    return f;
}

/* Is the row still there, and this team's? */
static bool stands(struct store_conn *conn, const struct id *task, const char *team)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT 1 FROM ticket_trace WHERE task = ?1 AND team = ?2");
    struct fault why;
    bool row = false;
    store_bind_id(s, 1, task);
    store_bind_text(s, 2, team);
    return store_step(s, &row, &why) == FAIL_NONE && row;
}

/* ---- the search ---- */

struct found {
    struct related_hit hit;
    struct row *row;
};

static double cosine(const struct related_trace *t, uint64_t model, const struct row *r)
{
    int64_t sum = 0;
    if (t->dim == 0 || t->dim != r->dim || model != r->model) {
        return -1;
    }
    for (size_t i = 0; i < t->dim; i++) {
        sum += (int)t->vector[i] * (int)r->vector[i];
    }
    return (double)sum * (double)t->scale * (double)r->scale;
}

static void share_ids(const struct related_trace *t, const struct row *r, struct related_hit *hit)
{
    for (size_t i = 0; i < t->ids_len; i++) {
        bool has = false;
        for (size_t k = 0; k < r->ids_len; k++) {
            has = has || r->ids[k] == t->ids[i];
        }
        if (has) {
            hit->shared[hit->shared_len++] = i;
        }
    }
}

static bool compare(const struct related_trace *t, uint64_t model, const struct row *r,
                    struct related_hit *hit)
{
    double near = cosine(t, model, r);
    size_t same = 0;
    for (size_t i = 0; i < RELATED_SKETCH; i++) {
        same += t->sketch[i] == r->sketch[i];
    }
    *hit = (struct related_hit){.task = r->task, .at = r->at};
    hit->wording = t->empty || r->empty ? 0 : (double)same / RELATED_SKETCH;
    hit->match = fmin(1, near < 0 ? hit->wording : near);
    share_ids(t, r, hit);
    bool with_id = hit->shared_len > 0;
    bool duplicate = hit->wording >= RELATED_WORDING || near >= RELATED_SAME ||
                     (with_id && (near >= RELATED_SAME_WITH_ID ||
                                  hit->wording >= RELATED_WORDING_WITH_ID));
    hit->kind = duplicate ? RELATED_DUPLICATE : RELATED_RELATED;
    return duplicate || with_id || near >= RELATED_NEAR;
}

/* Duplicates first, then what shares an identifier, then by match. */
static double order(const struct related_hit *h)
{
    return (h->kind == RELATED_DUPLICATE ? 4 : 0) + (h->shared_len > 0 ? 2 : 0) + h->match;
}

size_t related_find(struct related *r, struct store_conn *conn, const struct related_trace *t,
                    struct related_hit out[RELATED_FOUND])
{
    struct found best[RELATED_FOUND * 2];
    size_t n = 0, kept = 0;
    uint64_t team = related_hash(t->team, strlen(t->team));
    uint64_t model = related_hash(t->model, strlen(t->model));
    for (size_t i = 0; i < r->n; i++) {
        struct row *x = &r->rows[i];
        struct found f = {.row = x};
        if (x->gone || x->team != team || text_id_equal(&x->task, &t->task) ||
            !compare(t, model, x, &f.hit)) {
            continue;
        }
        size_t at = n < COUNT_OF(best) ? n++ : COUNT_OF(best);
        for (; at > 0 && order(&best[at - 1].hit) < order(&f.hit); at--) {
            if (at < COUNT_OF(best)) {
                best[at] = best[at - 1];
            }
        }
        if (at < COUNT_OF(best)) {
            best[at] = f;
        }
    }
    for (size_t i = 0; i < n && kept < RELATED_FOUND; i++) {
        if (stands(conn, &best[i].hit.task, t->team)) {
            out[kept++] = best[i].hit;
        } else {
            best[i].row->gone = true;
            mem_free(best[i].row->vector);
            best[i].row->vector = NULL;
        }
    }
    return kept;
}
