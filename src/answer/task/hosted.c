/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hosted rung: the open fields as one call to the pool that the decision rules named, answered
 * as a JSON object, held to the same checks as a local model's answer. What leaves is redacted and
 * refused by run/upstream, the last gate; whether anything leaves at all was decided before.
 * Owns: nothing. Threads: core. Limits: a prompt of ASK_BYTES, an answer of ANSWER_BYTES.
 */
#include <string.h>

#include "answer/route/route.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "run/upstream/upstream.h"
#include "trust/verdict/verdict.h"

#define ASK_BYTES ((size_t)512 * 1024)
#define ANSWER_BYTES ((size_t)64 * 1024)
#define ANSWER_TOKENS 1024
#define BYTES_A_TOKEN 3 /* for the reserve; settled with what the server counted */
#define DRAFT_CHARS 3000
/* A hosted server gives no probability: what is known is that it said this, and whether the learned
   rung says the same. Three scores, all that an unproven rung may claim, for certificates to tell
   apart. */
#define RAW_SAME 0.5
#define RAW_ALONE 0.47
#define RAW_OTHER 0.44

/* ---- the ask ---- */

static bool asks_for(const struct task *t, size_t i)
{
    const struct ladder_field *f = &t->form->fields[i];
    if (f->type == LADDER_DRAFT) {
        return t->call_rung == LADDER_HOSTED && t->form->rewrite && draft_is_rewritable(t);
    }
    bool kind = f->type == LADDER_CHOICE ? f->labels_len >= 2
                : f->type == LADDER_LINE ? !t->choices_only
                                         : ladder_type_is_found(f->type);
    return kind && ladder_could_improve(&t->climb, i, t->call_rung);
}

static void add_draft(struct buf *b, const struct task *t, const struct ladder_field *f)
{
    buf_printf(b,
               "%s: the reply below, edited so that it reads well. Keep its language, greeting, "
               "sign-off, and every number, name, menu and condition. Add nothing that it or "
               "these sentences do not say.\n",
               f->name);
    for (size_t k = 0; k < t->draft->sentence_count; k++) {
        buf_printf(b, "- %s\n", t->draft->sentences[k].text);
    }
    buf_printf(b, "The reply:\n\"\"\"\n%s\n\"\"\"\n", t->draft->text);
}

static void add_field(struct buf *b, const struct task *t, const struct ladder_field *f)
{
    if (f->type == LADDER_DRAFT) {
        add_draft(b, t, f);
        return;
    }
    buf_printf(b, "%s: %s\n", f->name, f->instruct != NULL ? f->instruct : "choose one");
    for (size_t k = 0; f->type == LADDER_CHOICE && k < f->labels_len; k++) {
        const struct ladder_label *l = &f->labels[k];
        buf_printf(b, "- %s%s%s\n", l->name, l->describe != NULL ? ": " : "",
                   l->describe != NULL ? l->describe : "");
    }
    if (ladder_type_is_found(f->type)) {
        buf_add_str(b, "- copied from the text as it stands there, or empty if it has none\n");
    }
}

static void write_property(struct jn_writer *w, const struct ladder_field *f)
{
    jn_key(w, f->name);
    jn_object_begin(w);
    jn_kv_str(w, "type", "string");
    if (f->type == LADDER_CHOICE) {
        jn_key(w, "enum");
        jn_array_begin(w);
        for (size_t k = 0; k < f->labels_len; k++) {
            jn_put_str(w, f->labels[k].name);
        }
        jn_array_end(w);
    } else if (f->type == LADDER_LINE) {
        jn_kv_int(w, "maxLength", f->max_chars);
    } else if (f->type == LADDER_DRAFT) {
        jn_kv_int(w, "maxLength", DRAFT_CHARS);
    }
    jn_object_end(w);
}

static void write_schema(struct jn_writer *w, const struct task *t)
{
    jn_object_begin(w);
    jn_kv_str(w, "type", "object");
    jn_kv_bool(w, "additionalProperties", false);
    jn_key(w, "required");
    jn_array_begin(w);
    for (size_t h = 0; h < t->plan_holes; h++) {
        jn_put_str(w, t->form->fields[t->plan_field[h]].name);
    }
    jn_array_end(w);
    jn_key(w, "properties");
    jn_object_begin(w);
    for (size_t h = 0; h < t->plan_holes; h++) {
        write_property(w, &t->form->fields[t->plan_field[h]]);
    }
    jn_object_end(w);
    jn_object_end(w);
}

static void write_message(struct jn_writer *w, const char *role, const char *content)
{
    jn_object_begin(w);
    jn_kv_str(w, "role", role);
    jn_kv_str(w, "content", content);
    jn_object_end(w);
}

/* False when nothing is to be asked, or it would be too large. */
static bool build(struct task *t, struct buf *body)
{
    struct buf user;
    struct jn_writer w;
    size_t len = t->input_len;
    t->plan_holes = 0;
    buf_init(&user, ASK_BYTES);
    for (size_t i = 0; i < t->form->fields_len; i++) {
        if (asks_for(t, i)) {
            t->plan_field[t->plan_holes++] = (int)i;
            add_field(&user, t, &t->form->fields[i]);
        }
    }
    if (len > TASK_MODEL_TEXT) {
        len = text_utf8_cut(t->input, TASK_MODEL_TEXT);
    }
    buf_printf(&user, "\n%s", t->form->prefix != NULL ? t->form->prefix : "");
    buf_add(&user, t->input, len);
    buf_printf(&user, "%s\n\nAnswer with one JSON object that has exactly these fields, and "
                      "nothing else.",
               t->form->suffix != NULL ? t->form->suffix : "");
    jn_begin(&w, body, false);
    jn_object_begin(&w);
    jn_key(&w, "messages");
    jn_array_begin(&w);
    if (t->form->system != NULL) {
        write_message(&w, "system", t->form->system);
    }
    write_message(&w, "user", user.data);
    jn_array_end(&w);
    jn_kv_int(&w, "max_tokens", ANSWER_TOKENS);
    jn_kv_real(&w, "temperature", 0, 1);
    jn_key(&w, "json_schema");
    write_schema(&w, t);
    jn_object_end(&w);
    bool whole = !user.overflow && !body->overflow;
    buf_done(&user);
    return whole && t->plan_holes > 0;
}

/* ---- the answer ---- */

static double raw_of(const struct task *t, size_t i, const char *value)
{
    const struct ladder_heard *learned = &t->climb.heard[i][LADDER_LEARNED];
    return learned->value == NULL               ? RAW_ALONE
           : strcmp(learned->value, value) == 0 ? RAW_SAME
                                                : RAW_OTHER;
}

static bool offer(struct task *t, size_t i, const char *value)
{
    const struct ladder_field *f = &t->form->fields[i];
    if (f->type == LADDER_LINE) {
        return form_ask_offer_line(t, i, t->call_rung, value);
    }
    if (f->type == LADDER_DRAFT) {
        return draft_rewrite(t, value);
    }
    if (f->type != LADDER_CHOICE) {
        return found_offer_text(t, i, t->call_rung, value, raw_of(t, i, value));
    }
    int label = ladder_label_find(f, value);
    if (label < 0) {
        t->refused = arena_printf(t->arena, "%s refused: what was answered is no label of it",
                                  f->name);
        return false;
    }
    struct ladder_proposal p = {.rung = t->call_rung, .value = f->labels[label].name,
                                .raw = raw_of(t, i, value)};
    heads_check_language(t, i, &p);
    return ladder_offer(&t->climb, i, &p);
}

/* From the first brace to the last: some servers wrap the object. */
static json_t *read_object(const char *text)
{
    struct fault why;
    json_t *object = NULL;
    const char *from = text != NULL ? strchr(text, '{') : NULL;
    const char *to = from != NULL ? strrchr(from, '}') : NULL;
    if (to == NULL || (size_t)(to - from) >= ANSWER_BYTES ||
        jn_parse(from, (size_t)(to - from) + 1, "a hosted answer", &object, &why) != FAIL_NONE) {
        return NULL;
    }
    return object;
}

/* Returns why nothing of it can be used, NULL when something could be. */
static const char *take(struct task *t, const char *text, bool *better)
{
    AUTO_JSON json_t *object = read_object(text);
    size_t given = 0;
    if (object == NULL) {
        return "the answer is no JSON object";
    }
    for (size_t h = 0; h < t->plan_holes; h++) {
        size_t i = (size_t)t->plan_field[h];
        const char *value =
            json_string_value(json_object_get(object, t->form->fields[i].name));
        if (value != NULL) {
            given++;
            *better = offer(t, i, arena_dup_str(t->arena, value)) || *better;
        }
    }
    return given > 0 ? NULL : "the answer has none of the fields that were asked for";
}

/* "a: too_slow, b: rate_limited 429": what each attempt met. */
static const char *attempts_text(struct task *t, const struct upstream_answer *a)
{
    const char *all = NULL;
    for (size_t i = 0; i < a->attempts_len; i++) {
        const struct upstream_attempt *x = &a->attempts[i];
        const char *one = arena_printf(t->arena, "%s: %s", x->upstream,
                                       upstream_outcome_name(x->outcome));
        if (x->status > 0) {
            one = arena_printf(t->arena, "%s %d", one, x->status);
        }
        all = all == NULL ? one : arena_printf(t->arena, "%s, %s", all, one);
    }
    return all;
}

static void on_hosted(void *arg, const struct upstream_answer *a)
{
    struct task *t = arg;
    struct ladder_step s = {.rung = t->call_rung, .ms = clock_ms_since(t->step_us),
                            .tokens_in = a->tokens_in, .tokens_cached = a->tokens_cached,
                            .tokens_out = a->tokens_out, .attempts = (int)a->attempts_len,
                            .cost = a->cost_nano, .by = ""};
    const char *met = attempts_text(t, a);
    bool better = false;
    t->call = 0;
    t->refused = NULL;
    if (a->upstream != NULL && a->upstream[0] != '\0') {
        s.by = arena_printf(t->arena, "%s/%s", a->upstream, a->model);
    }
    t->tokens_in += s.tokens_in;
    t->tokens_cached += s.tokens_cached;
    t->tokens_out += s.tokens_out;
    t->cost += s.cost;
    if (a->code != FAIL_NONE) {
        s.verdict = LADDER_FAILED;
        s.note = t->late     ? "the deadline has passed"
                 : met != NULL ? met
                               : arena_dup_str(t->arena, a->why->message);
    } else {
        t->remote[s.rung] = arena_printf(t->arena, "%s: %s", t->call_pool, a->model);
        t->hosted_by = s.rung == LADDER_HOSTED ? s.by : t->hosted_by;
        licence_remote(t, s.rung);
        s.note = take(t, a->text, &better);
        s.verdict = s.note != NULL ? LADDER_FAILED : better ? LADDER_ANSWERED : LADDER_ABSTAINED;
        s.note = s.note != NULL ? s.note : t->refused;
        if (s.note == NULL && a->redacted > 0) {
            s.note = arena_printf(t->arena, "%d values were redacted before it left", a->redacted);
        }
    }
    ladder_step_add(&t->climb, &s);
    if (s.rung == LADDER_HOSTED) {
        climb_after_hosted(t, s.verdict != LADDER_FAILED);
    } else {
        climb_after_role(t, s.verdict != LADDER_FAILED);
    }
}

/* ---- whether ---- */

const char *hosted_why_not(struct task *t)
{
    struct upstream_pool_state pool;
    const char *why_not = NULL;
    const struct task_hosted *h = &t->desk->house.hosted;
    if (t->route == NULL || t->route->go != ROUTE_HOSTED) {
        return t->route == NULL ? "no decision rule sends it out"
                                : arena_printf(t->arena, "rule %s: %s", t->route->name,
                                               route_go_name(t->route->go));
    }
    if (route_may_leave(t->route, t->label) == ROUTE_NEVER) {
        return arena_printf(t->arena, "%s text does not leave", secrecy_name(t->label));
    }
    if (h->call == NULL) {
        return "no upstream is configured";
    }
    if (t->reproducible) {
        return "a reproducible task stays here";
    }
    if (t->late || t->cancelled) {
        return "the deadline has passed";
    }
    h->check(h->arg, t->route_pool, (int64_t)(t->input_len / BYTES_A_TOKEN), ANSWER_TOKENS, &pool);
    if (!pool.usable) {
        return arena_dup_str(t->arena, pool.why_not);
    }
    return ladder_wants(&t->climb, LADDER_HOSTED, &why_not) ? NULL : why_not;
}

/* One call for t->call_rung to t->call_pool; false when nothing is to be asked. */
static bool send_out(struct task *t, struct upstream_ask *ask)
{
    bool drafts = false;
    struct buf body;
    const struct task_hosted *h = &t->desk->house.hosted;
    buf_init(&body, ASK_BYTES);
    bool ok = build(t, &body);
    if (ok) {
        ask->model = t->call_pool;
        ask->work = UPSTREAM_CHAT;
        ask->body = body.data;
        ask->len = body.len;
        ask->max_tokens = ANSWER_TOKENS;
        for (size_t i = 0; i < t->plan_holes; i++) {
            drafts = drafts || t->form->fields[t->plan_field[i]].type == LADDER_DRAFT;
        }
        ask->keep = drafts ? t->draft->text : NULL; /* a rewrite keeps every value */
        ask->lists = verdict_rules_lists(t->desk->guard, t->who.team, t->form->name);
        ask->label = t->label;
        ask->team = t->who.team;
        ask->caller = policy_caller(&t->who);
        ask->workflow = t->form->name;
        ask->task = t->id;
        ask->deadline_us = t->due_us;
        ask->done = on_hosted;
        ask->arg = t;
        t->call = h->call(h->arg, ask);
    }
    buf_done(&body);
    return ok;
}

bool hosted_ask(struct task *t)
{
    struct upstream_ask ask = {
        .redact = route_may_leave(t->route, t->label) == ROUTE_REDACTED, .rule = t->route->name};
    t->call_rung = LADDER_HOSTED;
    t->call_pool = t->route_pool;
    return send_out(t, &ask);
}

/* ---- local roles on other machines of the house ---- */

static const char *role_pool(const struct task *t, enum ladder_rung rung)
{
    const struct task_hosted *h = &t->desk->house.hosted;
    const char *pool = rung == LADDER_LIGHT ? h->light : h->heavy;
    return pool != NULL && pool[0] != '\0' && h->call != NULL ? pool : NULL;
}

bool hosted_serves(const struct task *t, enum ladder_rung rung)
{
    struct upstream_pool_state pool;
    const struct task_hosted *h = &t->desk->house.hosted;
    const char *name = role_pool(t, rung);
    if (name == NULL || t->reproducible) {
        return false;
    }
    h->check(h->arg, name, (int64_t)(t->input_len / BYTES_A_TOKEN), ANSWER_TOKENS, &pool);
    return pool.usable && pool.on_prem && (t->label < SECRECY_RESTRICTED || pool.restricted);
}

bool hosted_ask_role(struct task *t, enum ladder_rung rung)
{
    struct upstream_ask ask = {.local_role = true};
    t->call_rung = rung;
    t->call_pool = role_pool(t, rung);
    return send_out(t, &ask);
}
