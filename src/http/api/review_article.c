/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked often and has no article: shown, and made into a draft of one that waits for a
 * person like any other artifact (workflow "article-draft"). Also what the room does by itself:
 * late escalations move on, and such drafts are made once an hour.
 *
 * Owns nothing. Threads: comparing on a crunch thread; the timer on the core thread, which reads
 * one row of an index.
 * Limits: DRAFTS_MAX drafts a round.
 */
#include "http/api/review_internal.h"

#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

#define SWEEP_MS 1000
#define DRAFT_MS (3600 * 1000)
#define DRAFTS_MAX 20
#define SINCE_US (180LL * 86400 * 1000000)

/* ---- finding and drafting ---- */

struct drafting {
    struct api *a;
    struct wire_request *r; /* NULL: by itself */
    struct principal who;
    bool make;
    struct review_often groups[DRAFTS_MAX];
    size_t n;
    struct arena *arena;
    struct review_artifact made[DRAFTS_MAX]; /* id zero: its answers share nothing */
    size_t sentences[DRAFTS_MAX];
};

static bool keep_group(void *arg, const struct review_often *o)
{
    struct drafting *d = arg;
    d->groups[d->n++] = *o;
    return d->n < DRAFTS_MAX;
}

/* The words people sent, each with whom they went to. */
static size_t read_replies(struct drafting *d, struct store_conn *c, const struct review_often *o,
                           struct review_reply *out)
{
    size_t n = 0;
    for (size_t i = 0; i < o->n; i++) {
        struct review_artifact x;
        struct review_ticket t;
        struct fault gone;
        bool found = false;
        if (!arena_has_room(d->arena, (size_t)4 << 20) ||
            review_get(c, d->arena, &o->artifacts[i], &d->who, &x, &gone) != FAIL_NONE ||
            review_ticket_get(c, d->arena, &o->artifacts[i], &found, &t, &gone) != FAIL_NONE ||
            x.sent == NULL) {
            continue;
        }
        out[n++] = (struct review_reply){
            .text = x.sent,
            .requester = arena_printf(d->arena, "%s/%s", x.actor, found ? t.ticket : "")};
    }
    return n;
}

/* Front matter and the sentences; the title is the first of them until somebody gives another. */
static void draft_article(struct drafting *d, size_t at, const char *team, const char *body)
{
    static const struct review_field none[1];
    struct buf text;
    struct id id = text_id_new();
    char shown[TEXT_ID_SIZE];
    size_t line = strcspn(body, "\n");
    line = text_utf8_cut(body, line < 100 ? line : 100);
    buf_init(&text, REVIEW_TEXT_MAX);
    (void)buf_printf(&text, "---\nid: %s\ntitle: %.*s\n---\n%s",
                     text_id_show(&id, "article", shown), (int)line, body, body);
    d->made[at] = (struct review_artifact){
        .id = id, .task = text_id_new(), .workflow = "article-draft",
        .team = arena_dup_str(d->arena, team), .actor = "system",
        .title = arena_printf(d->arena, "asked %zu times and no article: %.*s",
                              d->groups[at].n, (int)line, body),
        .result = "{}", .draft = text.overflow ? NULL : arena_dup_str(d->arena, text.data),
        .fields = none};
    buf_done(&text);
}

static enum fail draft_all(struct drafting *d, struct store_conn *c, struct fault *why)
{
    enum fail f = review_often(c, &d->who, clock_now_us() - SINCE_US, keep_group, d, why);
    for (size_t i = 0; i < d->n && f == FAIL_NONE; i++) {
        struct review_reply replies[COUNT_OF(d->groups[i].artifacts)];
        struct buf body;
        size_t n = read_replies(d, c, &d->groups[i], replies);
        buf_init(&body, REVIEW_TEXT_MAX / 2);
        f = review_article(replies, n, &body, &d->sentences[i], why);
        if (f == FAIL_NONE && d->sentences[i] > 0) {
            draft_article(d, i, d->who.team, body.data);
        }
        buf_done(&body);
    }
    return f;
}

static enum fail drafts_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct drafting *d = arg;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < d->n && f == FAIL_NONE; i++) {
        if (text_id_is_zero(&d->made[i].id)) {
            continue;
        }
        f = review_create(tx, &d->made[i], true, why);
        f = f == FAIL_NONE ? review_often_drafted(tx, &d->groups[i], why) : f;
    }
    return f;
}

static void put_group(struct jn_writer *w, const struct drafting *d, size_t i)
{
    char shown[TEXT_ID_SIZE];
    jn_object_begin(w);
    jn_kv_int(w, "asked", (int64_t)d->groups[i].n);
    jn_kv_int(w, "people", d->groups[i].people);
    jn_kv_int(w, "sentences", (int64_t)d->sentences[i]);
    jn_kv_str(w, "draft", d->made[i].draft);
    jn_kv_str(w, "artifact", d->make && !text_id_is_zero(&d->made[i].id)
                                 ? text_id_show(&d->made[i].id, "art", shown) : NULL);
    jn_key(w, "artifacts");
    jn_array_begin(w);
    for (size_t k = 0; k < d->groups[i].n; k++) {
        jn_put_str(w, text_id_show(&d->groups[i].artifacts[k], "art", shown));
    }
    jn_array_end(w);
    jn_object_end(w);
}

static enum fail work(struct drafting *d, struct fault *why)
{
    d->arena = arena_new((size_t)512 << 20);
    struct store_conn *c = api_reader_take(d->a, why);
    enum fail f = c == NULL ? why->code : draft_all(d, c, why);
    if (c != NULL) {
        api_reader_give(d->a, c);
    }
    if (f == FAIL_NONE && d->make && d->n > 0) {
        f = store_write_wait(d->a->h.store, drafts_write, d, why);
    }
    return f;
}

static void articles_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct drafting *d = arg;
    struct fault why;
    d->a = a;
    enum fail f = work(d, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        struct jn_writer w;
        struct buf body;
        api_open(&w, &body);
        jn_key(&w, "questions");
        jn_array_begin(&w);
        for (size_t i = 0; i < d->n; i++) {
            put_group(&w, d, i);
        }
        jn_array_end(&w);
        api_send(r, 200, &w);
    }
    arena_free(d->arena);
    mem_free(d);
}

static void articles(struct api *a, struct wire_request *r, bool make)
{
    struct drafting *d = mem_alloc(sizeof(*d));
    d->who = *api_who(r);
    d->make = make;
    d->r = r;
    api_on_crunch(a, r, articles_on_crunch, d);
}

void api_review_articles(struct wire_request *r, void *arg)
{
    static const char *const names[] = {NULL};
    if (api_query_ok(r, names)) {
        articles(arg, r, false);
    }
}

void api_review_articles_make(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    json_t *body = api_body(r, keys, false);
    if (body != NULL) {
        json_decref(body);
        articles(arg, r, true);
    }
}

/* ---- by itself ---- */

static void draft_teams(void *arg)
{
    struct api *a = arg;
    struct fault why;
    char teams[64][KEYRING_NAME_SIZE];
    size_t n = 0;
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code : review_often_teams(c, teams, COUNT_OF(teams), &n, &why);
    if (c != NULL) {
        api_reader_give(a, c);
    }
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        struct drafting *d = mem_alloc(sizeof(*d));
        d->a = a;
        d->make = true;
        d->who = (struct principal){.kind = PRINCIPAL_KIND_LOCAL, .name = "system",
                                    .role = KEYRING_ROLE_REVIEWER};
        (void)text_copy(d->who.team, sizeof(d->who.team), teams[i]);
        f = work(d, &why);
        arena_free(d->arena);
        mem_free(d);
    }
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "review.articles_failed", &why);
    }
}

static void draft_later(void *arg)
{
    struct api *a = arg;
    struct fault why;
    /* A full pool has other work: the next hour will do. */
    (void)!pool_submit(a->h.crunch, draft_teams, a, a->h.loop, NULL, &why);
    (void)loop_timer_add(a->h.loop, DRAFT_MS, draft_later, a);
}

static enum fail sweep_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct api *a = arg;
    int64_t moved;
    return review_sweep(tx, a->h.audit, clock_now_us(), &moved, why);
}

static void sweep_done(void *arg, enum fail code, const struct fault *why)
{
    (void)arg;
    if (code != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "review.sweep_failed", why);
    }
}

/* A write only when something is late: an idle server commits nothing. */
static void sweep(void *arg)
{
    struct api *a = arg;
    struct fault why;
    bool late = false;
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code : review_is_late(c, clock_now_us(), &late, &why);
    if (c != NULL) {
        api_reader_give(a, c);
    }
    if (f == FAIL_NONE && late) {
        f = store_write(a->h.store, sweep_write, a, sweep_done, a->h.loop, &why);
    }
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "review.sweep_failed", &why);
    }
    (void)loop_timer_add(a->h.loop, SWEEP_MS, sweep, a);
}

void api_review_begin(struct api *a)
{
    (void)loop_timer_add(a->h.loop, SWEEP_MS, sweep, a);
    (void)loop_timer_add(a->h.loop, DRAFT_MS, draft_later, a);
}
