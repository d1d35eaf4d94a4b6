/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches and streams: JSON lines cut into items, and the loop that puts each through its form.
 * What is over is written down a lot at a time; after a crash the tasks of the lot that was lost
 * are found again under their idempotency keys, so no item has two.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "work/job/job_internal.h"

#define ITEM_TRIES 10 /* with the rests between them about a minute and a half */
#define REST_MS 250   /* after a miss, doubled with each further one */
#define REST_DOUBLED 7
#define LOOK_MS 100
#define STOP_WAIT_MS 3000
#define LINE_BYTES ((size_t)1 << 20)

/* ---- lines ---- */

struct line {
    const char *id, *subject, *text; /* of the tree */
    json_t *tree;
};

/* The next line that is not empty; false at the end. */
static bool next_line(const char *lines, size_t len, size_t *at, size_t *begin, size_t *n,
                      int64_t *number)
{
    while (*at < len) {
        const char *end = memchr(lines + *at, '\n', len - *at);
        *begin = *at;
        *n = end != NULL ? (size_t)(end - lines) - *at : len - *at;
        *at += *n + 1;
        ++*number;
        while (*n > 0 && (lines[*begin + *n - 1] == '\r' || lines[*begin + *n - 1] == ' ')) {
            --*n;
        }
        if (*n > 0) {
            return true;
        }
    }
    return false;
}

static enum fail line_read(const char *s, size_t n, int64_t number, struct line *out,
                           struct fault *why)
{
    static const char *const keys[] = {"id", "subject", "text", "expected", NULL};
    struct fault bad = {0};
    *out = (struct line){0};
    enum fail f = n > LINE_BYTES ? FAULT(&bad, FAIL_TOO_LARGE, "it has over 1 MiB")
                                 : jn_parse(s, n, "the line", &out->tree, &bad);
    if (f == FAIL_NONE && !json_is_object(out->tree)) {
        f = FAULT(&bad, FAIL_BAD_REQUEST, "it is no object");
    }
    f = f != FAIL_NONE ? f : jn_only(out->tree, keys, &bad);
    f = f != FAIL_NONE ? f : jn_str(out->tree, "id", false, 200, &out->id, &bad);
    f = f != FAIL_NONE ? f : jn_str(out->tree, "subject", false, 4096, &out->subject, &bad);
    f = f != FAIL_NONE ? f : jn_str(out->tree, "text", true, TASK_MAX_TEXT, &out->text, &bad);
    if (f != FAIL_NONE) {
        json_decref(out->tree);
        out->tree = NULL;
        FAULT(why, f, "line %lld is no item: %.200s", (long long)number, bad.message);
        return fail_hint(why, "One object a line: {\"id\":\"1\",\"subject\":\"...\","
                              "\"text\":\"...\"}.");
    }
    return FAIL_NONE;
}

enum fail job_items_check(const char *lines, size_t len, int64_t *n, struct fault *why)
{
    size_t at = 0, begin, size;
    int64_t number = 0;
    *n = 0;
    while (next_line(lines, len, &at, &begin, &size, &number)) {
        struct line l;
        enum fail f = line_read(lines + begin, size, number, &l, why);
        if (f != FAIL_NONE) {
            return f;
        }
        json_decref(l.tree);
        if (++*n > JOB_ITEMS_MAX) {
            return FAULT(why, FAIL_TOO_LARGE, "a job takes at most %d items", JOB_ITEMS_MAX);
        }
    }
    return *n > 0 ? FAIL_NONE : FAULT(why, FAIL_BAD_REQUEST, "there are no items: no line has one");
}

enum fail job_items_put(struct store_tx *tx, const struct id *job, int64_t place, int64_t item,
                        const char *lines, size_t len, struct fault *why)
{
    size_t at = 0, begin, size;
    int64_t number = 0;
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE && next_line(lines, len, &at, &begin, &size, &number)) {
        struct line l;
        char own[32];
        f = line_read(lines + begin, size, number, &l, why);
        if (f != FAIL_NONE) {
            break;
        }
        (void)snprintf(own, sizeof(own), "%lld", (long long)item + 1);
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "INSERT INTO job_item (job, item, place, at, len, name, state, tries, task, artifact, "
            "code, message, ms, tokens, cost) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', 0, NULL, "
            "NULL, '', '', 0, 0, 0)");
        store_bind_id(s, 1, job);
        store_bind_int(s, 2, item++);
        store_bind_int(s, 3, place);
        store_bind_int(s, 4, (int64_t)begin);
        store_bind_int(s, 5, (int64_t)size);
        store_bind_text(s, 6, l.id != NULL ? l.id : own);
        f = store_run(s, why);
        json_decref(l.tree);
    }
    return f;
}

/* ---- the loop ---- */

struct item_slot {
    struct item_lot *lot;
    int64_t item, tries;
    uint64_t handle;
    bool busy, done; /* done: answered, not yet written */
    enum fail code;
    char message[320];
    struct id task, artifact;
    double ms;
    int64_t tokens_in, tokens_cached, tokens_out, cost;
};

struct item_lot {
    pthread_mutex_t lock;
    pthread_cond_t done;
    int holders;
    struct item_slot slots[JOB_FLIGHT];
};

struct items {
    struct jobs *jobs;
    struct job_work *work;
    const struct job_taken *taken;
    struct item_lot *lot;
    int64_t place; /* of the input in `text`, -1: none */
    struct buf text;
    int64_t next; /* items below were started in this lease */
    int64_t rest_until_us; /* a model that is being loaded is not asked again at once */
    int misses;            /* looks in a row that met one */
    int64_t total, written, failed;
    struct program_step_done step;
    int64_t began_us;
};

static void lot_leave(struct item_lot *l)
{
    pthread_mutex_lock(&l->lock);
    bool last = --l->holders == 0;
    pthread_mutex_unlock(&l->lock);
    if (last) {
        pthread_cond_destroy(&l->done);
        pthread_mutex_destroy(&l->lock);
        mem_free(l);
    }
}

/* Core thread. */
static void on_item(void *arg, const struct task_result *r)
{
    struct item_slot *s = arg;
    struct item_lot *l = s->lot;
    pthread_mutex_lock(&l->lock);
    s->code = r->code;
    (void)text_copy(s->message, sizeof(s->message),
                    r->code != FAIL_NONE && r->why != NULL ? r->why->message : "");
    s->task = r->task;
    s->artifact = r->artifact;
    s->ms = r->ms;
    s->tokens_in = r->tokens_in;
    s->tokens_cached = r->tokens_cached;
    s->tokens_out = r->tokens_out;
    s->cost = r->cost;
    s->done = true;
    pthread_cond_signal(&l->done);
    pthread_mutex_unlock(&l->lock);
    lot_leave(l);
}

struct next_item {
    int64_t item, place, at, len, tries;
    char name[208];
};

static enum fail find_next(struct items *x, struct next_item *n, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        x->work->reader, "SELECT item, place, at, len, tries, name FROM job_item WHERE job = ?1 "
                         "AND state = 'queued' AND item >= ?2 ORDER BY item LIMIT 1");
    store_bind_id(s, 1, &x->taken->id);
    store_bind_int(s, 2, x->next);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        n->item = store_col_int(s, 0);
        n->place = store_col_int(s, 1);
        n->at = store_col_int(s, 2);
        n->len = store_col_int(s, 3);
        n->tries = store_col_int(s, 4);
        (void)text_copy(n->name, sizeof(n->name), store_col_text(s, 5));
    }
    return f;
}

/* The text of the item's input, read once. */
static enum fail load_place(struct items *x, int64_t place, struct fault *why)
{
    if (x->place == place) {
        return FAIL_NONE;
    }
    buf_clear(&x->text);
    x->place = -1;
    enum fail f = job_file_get(x->jobs->house.audit, x->work->reader, &x->taken->id, JOB_INPUT,
                               place, &x->text, why);
    x->place = f == FAIL_NONE ? place : -1;
    return f;
}

static enum fail start_item(struct items *x, struct item_slot *s, const struct next_item *n,
                            struct fault *why)
{
    const struct job_taken *t = x->taken;
    struct line l;
    char key[80], shown[TEXT_ID_SIZE];
    enum fail f = load_place(x, n->place, why);
    if (f == FAIL_NONE && (size_t)(n->at + n->len) > x->text.len) {
        f = FAULT(why, FAIL_INTERNAL, "an item of the job is not where it was stored");
    }
    f = f != FAIL_NONE ? f : line_read(x->text.data + n->at, (size_t)n->len, n->item + 1, &l, why);
    if (f != FAIL_NONE) {
        return f;
    }
    (void)snprintf(key, sizeof(key), "%s:%lld:%lld", text_id_show(&t->id, "job", shown),
                   (long long)n->item, (long long)n->tries);
    *s = (struct item_slot){.lot = x->lot, .item = n->item, .tries = n->tries, .busy = true};
    struct task_request r = {.kind = TASK_FORM,
                             .who = t->who,
                             .class = IPC_BATCH,
                             .label = t->label,
                             .workflow = t->workflow,
                             .input_id = n->name,
                             .subject = l.subject,
                             .text = l.text,
                             .rungs = t->rungs,
                             .no_draft = t->no_draft,
                             .no_artifact = t->no_artifact,
                             .idempotency_key = key,
                             .on_done = on_item,
                             .arg = s};
    pthread_mutex_lock(&x->lot->lock);
    x->lot->holders++;
    pthread_mutex_unlock(&x->lot->lock);
    s->handle = task_submit(x->jobs->house.desk, &r);
    json_decref(l.tree);
    return FAIL_NONE;
}

/* ---- writing down what is over ---- */

struct item_write {
    const struct items *items;
    struct item_slot over[JOB_FLIGHT];
    size_t n;
};

static enum fail write_item(struct store_conn *c, const struct job_taken *t,
                            const struct item_slot *s, struct fault *why)
{
    bool good = s->code == FAIL_NONE;
    bool again = !good && fail_is_retryable(s->code) && s->tries + 1 < ITEM_TRIES;
    AUTO_STMT struct store_stmt *u = store_query(
        c, "UPDATE job_item SET state = ?3, tries = tries + ?4, task = ?5, artifact = ?6, "
           "code = ?7, message = ?8, ms = ?9, tokens = ?10, cost = ?11 WHERE job = ?1 AND "
           "item = ?2 AND state = 'queued'");
    store_bind_id(u, 1, &t->id);
    store_bind_int(u, 2, s->item);
    store_bind_text(u, 3, good ? "done" : again ? "queued" : "failed");
    store_bind_int(u, 4, again);
    store_bind_id(u, 5, good ? &s->task : NULL);
    store_bind_id(u, 6, good && !text_id_is_zero(&s->artifact) ? &s->artifact : NULL);
    store_bind_text(u, 7, good ? "" : fail_name(s->code));
    store_bind_text(u, 8, s->message);
    store_bind_real(u, 9, s->ms);
    store_bind_int(u, 10, s->tokens_in + s->tokens_out);
    store_bind_int(u, 11, s->cost);
    return store_run(u, why);
}

static enum fail items_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct item_write *w = arg;
    const struct job_taken *t = w->items->taken;
    struct store_conn *c = store_tx_conn(tx);
    {
        /* An older lease writes nothing: another thread has these items now. */
        AUTO_STMT struct store_stmt *s = store_query(
            c, "SELECT 1 FROM job WHERE id = ?1 AND lease = ?2 AND state IN ('leased', 'paused')");
        bool row = false;
        store_bind_id(s, 1, &t->id);
        store_bind_int(s, 2, t->lease);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row) {
            return f != FAIL_NONE ? f : FAULT(why, FAIL_CONFLICT, "the job was taken by another");
        }
    }
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < w->n; i++) {
        f = write_item(c, t, &w->over[i], why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *u = store_query(
        c, "UPDATE job SET items_done = (SELECT count(*) FROM job_item WHERE job = ?1 AND "
           "state = 'done'), items_failed = (SELECT count(*) FROM job_item WHERE job = ?1 AND "
           "state = 'failed'), updated_at = ?2 WHERE id = ?1");
    store_bind_id(u, 1, &t->id);
    store_bind_int(u, 2, clock_now_us());
    return store_run(u, why);
}

/* Waits until something is over (or LOOK_MS), writes it, frees its slots. */
static enum fail collect(struct items *x, struct fault *why)
{
    struct item_write w = {.items = x};
    struct item_lot *l = x->lot;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&l->lock);
    for (int pass = 0; pass < 2 && w.n == 0; pass++) {
        for (size_t i = 0; i < JOB_FLIGHT; i++) {
            if (l->slots[i].busy && l->slots[i].done) {
                w.over[w.n++] = l->slots[i];
                l->slots[i].busy = false;
            }
        }
        if (w.n == 0 && pass == 0) {
            (void)pthread_cond_timedwait(&l->done, &l->lock, &until);
        }
    }
    pthread_mutex_unlock(&l->lock);
    size_t kept = 0; /* what was cancelled stays queued */
    size_t missed = 0;
    for (size_t i = 0; i < w.n; i++) {
        struct item_slot *s = &w.over[i];
        bool cut = s->code == FAIL_STOPPED;
        if (s->code != FAIL_NONE && !cut && fail_is_retryable(s->code)) {
            x->next = s->item < x->next ? s->item : x->next; /* it is found again */
            missed++;
        }
        x->step.asks += !cut;
        x->step.tokens_in += s->tokens_in;
        x->step.tokens_cached += s->tokens_cached;
        x->step.tokens_out += s->tokens_out;
        x->step.cost += s->cost;
        if (!cut) {
            w.over[kept++] = *s;
        }
    }
    if (w.n > 0) {
        x->misses = missed == 0 ? 0 : x->misses < REST_DOUBLED ? x->misses + 1 : REST_DOUBLED;
        x->rest_until_us =
            missed == 0 ? 0 : clock_monotonic_us() + ((int64_t)REST_MS * 500 << x->misses);
    }
    w.n = kept;
    return w.n > 0 ? store_write_wait(x->jobs->house.store, items_write, &w, why) : FAIL_NONE;
}

static size_t count_busy(struct item_lot *l)
{
    size_t n = 0;
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < JOB_FLIGHT; i++) {
        n += l->slots[i].busy;
    }
    pthread_mutex_unlock(&l->lock);
    return n;
}

static struct item_slot *free_slot(struct items *x, int64_t item)
{
    struct item_slot *found = NULL;
    pthread_mutex_lock(&x->lot->lock);
    for (size_t i = 0; i < JOB_FLIGHT; i++) {
        struct item_slot *s = &x->lot->slots[i];
        if (s->busy && s->item == item) { /* asked for again while it is still open */
            found = NULL;
            break;
        }
        found = found == NULL && !s->busy ? s : found;
    }
    pthread_mutex_unlock(&x->lot->lock);
    return found;
}

/* Starts items until the flight is full; *all: none is left to start. */
static enum fail fill(struct items *x, bool *all, struct fault *why)
{
    enum fail f = FAIL_NONE;
    *all = false;
    while (f == FAIL_NONE && count_busy(x->lot) < JOB_FLIGHT) {
        struct next_item n;
        bool found = false;
        f = find_next(x, &n, &found, why);
        *all = f == FAIL_NONE && !found;
        struct item_slot *slot = f == FAIL_NONE && found ? free_slot(x, n.item) : NULL;
        if (slot == NULL) {
            break;
        }
        f = start_item(x, slot, &n, why);
        x->next = n.item + 1;
    }
    return f;
}

/* Cancels what is in flight and waits a little for it. */
static void stop_items(struct items *x)
{
    struct fault why;
    pthread_mutex_lock(&x->lot->lock);
    for (size_t i = 0; i < JOB_FLIGHT; i++) {
        struct item_slot *s = &x->lot->slots[i];
        if (s->busy && !s->done) {
            task_cancel(x->jobs->house.desk, s->handle);
        }
    }
    pthread_mutex_unlock(&x->lot->lock);
    int64_t until = clock_monotonic_us() + (int64_t)STOP_WAIT_MS * 1000;
    while (count_busy(x->lot) > 0 && clock_monotonic_us() < until) {
        if (collect(x, &why) != FAIL_NONE) {
            break;
        }
    }
}

static enum fail run_items(struct items *x, struct fault *why)
{
    bool all = false;
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE) {
        if (job_is_stopped(x->work)) {
            stop_items(x);
            return FAULT(why, FAIL_STOPPED, "the job was told to stop");
        }
        bool rest = clock_monotonic_us() < x->rest_until_us;
        all = false;
        f = rest ? FAIL_NONE : fill(x, &all, why);
        if (f == FAIL_NONE && all && count_busy(x->lot) == 0) {
            break;
        }
        f = f != FAIL_NONE ? f : collect(x, why);
    }
    if (f != FAIL_NONE) {
        stop_items(x);
    }
    return f;
}

enum fail job_items_run(struct jobs *j, struct job_work *w, const struct job_taken *t,
                        struct fault *why)
{
    struct items x = {.jobs = j, .work = w, .taken = t, .place = -1};
    struct program_host host;
    buf_init(&x.text, PROGRAM_INPUT_BYTES + 1);
    x.lot = mem_alloc(sizeof(*x.lot));
    x.lot->holders = 1;
    ASSERT(pthread_mutex_init(&x.lot->lock, NULL) == 0 &&
           pthread_cond_init(&x.lot->done, NULL) == 0);
    x.began_us = clock_monotonic_us();
    enum fail f = run_items(&x, why);
    x.step.name = "items";
    x.step.ms = (double)(clock_monotonic_us() - x.began_us) / 1000;
    job_host(j, w, t, t->label, &host);
    if (x.step.asks > 0) {
        host.step(host.arg, &x.step);
    }
    mem_free(host.arg);
    lot_leave(x.lot);
    buf_done(&x.text);
    return f;
}
