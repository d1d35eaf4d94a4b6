/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets through a workflow: `flight` requests at a time over one client, answers handed on in
 * input order, failures that may pass retried with back-off, and a server that died in the middle
 * started again (the idempotency key of each ticket makes asking twice safe).
 *
 * Limits: WINDOW tickets between the oldest unanswered and the newest sent. Threads: the caller's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "answer/ladder/ladder.h"
#include "cli/command/command_internal.h"

#define WINDOW 512
#define MAX_TRIES 7
#define FIRST_WAIT_MS 250
#define LONGEST_WAIT_MS 20000
#define MAX_REVIVALS 3 /* without an answer in between */
#define TICKET_TIMEOUT_MS 900000

enum item_state { ITEM_FREE, ITEM_WAITING, ITEM_FLYING, ITEM_DONE, ITEM_FAILED };

struct item {
    enum item_state state;
    int64_t seq;
    struct ticket ticket;
    json_t *keep; /* what the ticket borrows from */
    int tries;
    int64_t due_us;
    json_t *result;
    struct fault why;
};

struct runner {
    struct cli *cli;
    const struct run_options *o;
    struct client *client;
    struct progress *bar;
    struct run_counts *counts;
    struct item items[WINDOW];
    int64_t next, written; /* sequence numbers */
    bool ended, lost;
    int revivals;
    char run_id[33];
};

static struct item *item_of(struct runner *r, int64_t seq)
{
    return &r->items[seq % WINDOW];
}

/* ---- one request ---- */

static char *body_of(const struct runner *r, const struct ticket *t, size_t *len)
{
    struct buf b;
    struct jn_writer w;
    buf_init(&b, (size_t)4 * 1024 * 1024);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "workflow", r->o->workflow);
    jn_key(&w, "input");
    jn_object_begin(&w);
    jn_kv_str(&w, "id", t->id);
    if (t->subject != NULL) {
        jn_kv_str(&w, "subject", t->subject);
    }
    jn_kv_str(&w, "text", t->text);
    jn_object_end(&w);
    jn_kv_str(&w, "class", r->o->class);
    if (r->o->rungs != NULL) {
        jn_key(&w, "rungs");
        jn_array_begin(&w);
        for (const char *p = r->o->rungs; *p != '\0';) {
            size_t n = strcspn(p, ",");
            if (n > 0) {
                jn_put_strn(&w, p, n);
            }
            p += n + (p[n] == ',' ? 1 : 0);
        }
        jn_array_end(&w);
    }
    if (r->o->no_draft) {
        jn_kv_bool(&w, "draft", false);
    }
    if (r->o->no_artifact) {
        jn_kv_bool(&w, "artifact", false);
    }
    jn_object_end(&w);
    *len = b.len;
    return buf_take(&b);
}

static void send_item(struct runner *r, struct item *it)
{
    char key[64];
    size_t len;
    AUTO_FREE char *body = body_of(r, &it->ticket, &len);
    (void)snprintf(key, sizeof(key), "run-%s-%lld", r->run_id, (long long)it->seq);
    struct client_ask ask = {.method = "POST", .path = "/api/v1/tasks", .body = body, .len = len,
                             .idempotency_key = key, .timeout_ms = TICKET_TIMEOUT_MS};
    if (client_send(r->client, &ask, it)) {
        it->state = ITEM_FLYING;
        it->tries++;
    }
}

static bool may_pass(enum fail code)
{
    return code == FAIL_WORKER_DIED || code == FAIL_QUEUE_FULL || code == FAIL_RATE_LIMITED ||
           code == FAIL_STOPPED || code == FAIL_MODEL_UNAVAILABLE ||
           code == FAIL_RECORD_UNAVAILABLE;
}

static void wait_again(struct runner *r, struct item *it, int64_t asked_ms)
{
    int64_t ms = FIRST_WAIT_MS << (it->tries > 0 ? it->tries - 1 : 0);
    ms = ms > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : ms;
    ms += ms * (it->seq % 7) / 14; /* not all at once */
    it->state = ITEM_WAITING;
    it->due_us = clock_monotonic_us() + 1000 * (asked_ms > ms ? asked_ms : ms);
    r->counts->retried++;
}

static void on_answer(void *arg, const struct client_answer *a)
{
    struct runner *r = arg;
    struct item *it = a->tag;
    if (a->connection) {
        it->state = ITEM_WAITING; /* not its fault: tried again as soon as a server is there */
        it->tries--;
        it->due_us = 0;
        r->lost = true;
        return;
    }
    r->revivals = 0;
    it->why = a->why;
    r->counts->worker_deaths += a->code == FAIL_WORKER_DIED ? 1 : 0;
    if (a->code == FAIL_NONE) {
        it->state =
            jn_parse(a->body, a->len, "the server's answer", &it->result, &it->why) == FAIL_NONE
                ? ITEM_DONE
                : ITEM_FAILED;
    } else if (may_pass(a->code) && it->tries < MAX_TRIES) {
        wait_again(r, it, a->retry_after_ms);
    } else {
        it->state = ITEM_FAILED;
    }
}

/* ---- the window ---- */

static void release(struct item *it)
{
    if (it->result != NULL) {
        json_decref(it->result);
    }
    if (it->keep != NULL) {
        json_decref(it->keep);
    }
    if (it->ticket.expected != NULL) {
        json_decref(it->ticket.expected);
    }
    *it = (struct item){.state = ITEM_FREE};
}

static void hand_on(struct runner *r)
{
    while (r->written < r->next) {
        struct item *it = item_of(r, r->written);
        if (it->state != ITEM_DONE && it->state != ITEM_FAILED) {
            return;
        }
        bool ok = it->state == ITEM_DONE;
        r->counts->answered += ok ? 1 : 0;
        r->counts->failed += ok ? 0 : 1;
        r->o->on_result(r->o->arg, &it->ticket, it->result, ok ? NULL : &it->why);
        release(it);
        r->written++;
    }
}

/* Sends what is due and reads new tickets while there is room; the time until the next one is
   due. */
static int fill(struct runner *r)
{
    int64_t now = clock_monotonic_us(), soonest = now + 200000;
    for (int64_t s = r->written; s < r->next; s++) {
        struct item *it = item_of(r, s);
        if (it->state == ITEM_WAITING && it->due_us <= now) {
            if (client_in_flight(r->client) < (size_t)r->o->flight) {
                send_item(r, it);
            }
        } else if (it->state == ITEM_WAITING && it->due_us < soonest) {
            soonest = it->due_us;
        }
    }
    while (!r->ended && client_in_flight(r->client) < (size_t)r->o->flight &&
           r->next - r->written < WINDOW) {
        struct item *it = item_of(r, r->next);
        enum rows_state state = r->o->next(r->o->arg, &it->ticket, &it->keep);
        if (state == ROWS_END) {
            r->ended = true;
        } else if (state == ROWS_ROW) {
            it->seq = r->next++;
            it->state = ITEM_WAITING;
            r->counts->given++;
            send_item(r, it);
        }
    }
    return (int)((soonest - now) / 1000) + 1;
}

static void show(struct runner *r)
{
    r->bar->done = r->counts->answered + r->counts->failed;
    r->bar->failed = r->counts->failed;
    r->bar->total = r->o->total;
    if (r->o->share != NULL) {
        /* What was read less what is still being answered. */
        double read = r->o->share(r->o->arg);
        int64_t known = r->next > 0 ? r->next : 1;
        r->bar->share = read < 0 ? -1 : read * (double)r->bar->done / (double)known;
    }
    progress_show(r->bar, false);
}

static enum fail revive(struct runner *r, struct fault *why)
{
    progress_end(r->bar);
    client_drop(r->client);
    for (int64_t s = r->written; s < r->next; s++) {
        struct item *it = item_of(r, s);
        if (it->state == ITEM_FLYING) {
            it->state = ITEM_WAITING;
            it->tries--;
            it->due_us = 0;
        }
    }
    r->lost = false;
    if (++r->revivals > MAX_REVIVALS) {
        FAULT(why, FAIL_UPSTREAM_FAILED, "the server went away %d times in a row", r->revivals);
        return fail_hint(why, "See inhoused.log in the data folder.");
    }
    cli_note(r->cli, "the server went away; going on with a new one");
    r->counts->revived++;
    return client_revive(r->client, why);
}

/* How often a model's process died since the server started; -1 when this caller may not know. */
static int64_t deaths_of(struct client *c)
{
    struct fault bad;
    json_t *j AUTO_JSON = NULL, *role;
    const char *name;
    int64_t sum = 0;
    struct client_ask ask = {.method = "GET", .path = "/api/v1/status", .timeout_ms = 5000};
    if (client_call(c, &ask, &j, &bad) != FAIL_NONE) {
        return -1;
    }
    json_object_foreach(json_object_get(j, "roles"), name, role) {
        sum += json_integer_value(json_object_get(role, "deaths"));
    }
    return sum;
}

enum fail run_tickets(struct cli *cli, const struct run_options *o, struct progress *bar,
                      struct run_counts *counts, struct fault *why)
{
    enum fail f = FAIL_NONE;
    struct id id = text_id_new();
    struct runner *r = mem_alloc(sizeof(*r));
    *r = (struct runner){
        .cli = cli, .o = o, .client = cli_client(cli), .bar = bar, .counts = counts};
    text_hex(id.bytes, sizeof(id.bytes), r->run_id);
    if (r->client == NULL) {
        *why = cli->why;
        f = why->code;
    }
    int64_t deaths = f == FAIL_NONE ? deaths_of(r->client) : -1;
    while (f == FAIL_NONE && cli_interrupted == 0 && (!r->ended || r->written < r->next)) {
        int wait_ms = fill(r);
        client_wait(r->client, wait_ms, on_answer, r);
        hand_on(r);
        show(r);
        if (r->lost && cli_interrupted == 0) {
            f = revive(r, why);
        }
    }
    progress_end(bar);
    counts->interrupted = cli_interrupted != 0;
    if (f == FAIL_NONE && deaths >= 0 && counts->revived == 0 && !counts->interrupted) {
        /* Most deaths never show in an answer: the server asks again by itself. */
        int64_t now = deaths_of(r->client) - deaths;
        counts->worker_deaths = now > counts->worker_deaths ? now : counts->worker_deaths;
    }
    if (r->client != NULL) {
        client_drop(r->client);
    }
    for (size_t i = 0; i < WINDOW; i++) {
        release(&r->items[i]);
    }
    mem_free(r);
    return f;
}

/* ---- what an answer says ---- */

const json_t *result_field(const json_t *result, const char *name)
{
    size_t i;
    json_t *field;
    json_array_foreach(json_object_get(result, "fields"), i, field) {
        if (strcmp(cli_str(field, "name"), name) == 0) {
            return field;
        }
    }
    return NULL;
}

const char *result_draft(const json_t *result)
{
    const json_t *draft = json_object_get(result, "draft");
    const char *text = json_is_string(draft) ? json_string_value(draft)
                                             : json_string_value(json_object_get(draft, "text"));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* What the person expects of a field, as the answer would be written if it is the same value: found
   values may stand in `expected` as they do in the text, and one that is left out is none. */
const char *run_expected(const struct ticket *t, const json_t *field, char *room, size_t size)
{
    enum ladder_type type = ladder_type_find(cli_str(field, "type"));
    const char *expected = json_string_value(json_object_get(t->expected, cli_str(field, "name")));
    const char *value = json_string_value(json_object_get(field, "value"));
    bool aid = json_is_true(json_object_get(field, "aid"));
    if (t->expected == NULL || type == LADDER_TYPE_COUNT || !ladder_type_is_found(type) ||
        (aid && expected == NULL)) {
        return expected;
    }
    expected = expected != NULL ? expected : "";
    if (value == NULL || extract_same(ladder_type_kind(type), value, expected)) {
        return value == NULL ? expected : value;
    }
    size_t at = (size_t)json_integer_value(json_object_get(field, "at"));
    size_t len = (size_t)json_integer_value(json_object_get(field, "len"));
    size_t subject = t->subject != NULL ? strlen(t->subject) : 0;
    subject += subject > 0 ? 2 : 0; /* an empty line is between it and the text */
    if (at >= subject && len > 0 && at - subject + len <= strlen(t->text) && len < size) {
        memcpy(room, t->text + at - subject, len);
        room[len] = '\0';
        return extract_same(EXTRACT_SPAN, room, expected) ? value : expected;
    }
    return expected;
}

void run_measure(struct measure_run *m, const struct ticket *t, const json_t *result)
{
    size_t i, k;
    json_t *field, *candidate;
    bool person = false;
    json_array_foreach(json_object_get(result, "fields"), i, field) {
        char stretch[512];
        const char *first[3];
        size_t first_len = 0;
        json_array_foreach(json_object_get(field, "candidates"), k, candidate) {
            if (first_len < COUNT_OF(first)) {
                first[first_len++] = cli_str(candidate, "value");
            }
        }
        const char *name = cli_str(field, "name");
        bool open = strcmp(cli_str(field, "rung"), "person") == 0;
        person = person || open;
        struct measure_answer a = {
            .field = name,
            .value = json_string_value(json_object_get(field, "value")),
            .proposed_by = json_string_value(json_object_get(field, "proposed_by")),
            .decided = !open,
            .expected = run_expected(t, field, stretch, sizeof(stretch)),
            .first = first,
            .first_len = first_len};
        measure_add(m, &a);
    }
    measure_task(m, json_number_value(json_object_get(result, "ms")),
                 json_integer_value(json_object_get(result, "tokens_in")),
                 json_integer_value(json_object_get(result, "tokens_cached")),
                 json_integer_value(json_object_get(result, "tokens_out")), person);
}
