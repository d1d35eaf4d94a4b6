/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may go out: rules, asked once of an answer before its record; of a stream, piece by piece.
 * A chat that is blocked fails and names the rule. Of a form each line that a model wrote is looked
 * at and so is the draft: a redacted line is replaced, one for review sends the task to a person, a
 * blocked one is taken away too; of a draft that a model wrote the composed one takes the place if
 * that one may pass, else there is none (a draft with a hole in it is none).
 *
 * Support (`ungrounded`): a draft's sentences by those of the articles it was made from, a chat's
 * by the other texts of its conversation. Where there is none, nobody can say, and the rule is not
 * held against the answer.
 *
 * Owns: nothing beside the task's. Threads: core; answers over VERDICT_QUICK_BYTES, and those that
 * a brand rule or support is asked of, are read on a crunch thread, a stream's pieces always on
 * core, without support. Limits: CHECK_MAX_SOURCES sentences.
 */
#include <string.h>

#include "answer/check/check.h"
#include "answer/task/task_internal.h"
#include "base/json/json.h"
#include "trust/verdict/verdict.h"

#define DEPTH_MAX 16
#define DRAFTS 2 /* the one that stands, and the composed one behind a rewritten */

struct out_text {
    const char *text;
    bool supported; /* support is asked of it */
    enum verdict verdict;
    char rule[65], why[201], found[96];
    char *changed; /* redacted, NULL: as it was, or it does not fit */
};

struct out_job {
    struct task *t;
    task_step_fn go;
    struct verdict_rules *rules;
    char team[KEYRING_NAME_SIZE];
    const char *workflow;
    struct out_text texts[LADDER_MAX_FIELDS + DRAFTS];
    int field[LADDER_MAX_FIELDS + DRAFTS]; /* -1: a draft, or a chat's answer */
    size_t n;
    const char *const *links; /* what the answer may link to */
    size_t links_n;
    const char **sources; /* sentences; those of a chat are cut on the other thread */
    size_t sources_n;
    struct arena *arena;
    struct draft_frame frame;
    enum knowledge_lang lang;
};

static bool asks_out(const struct task *t, const char *workflow)
{
    return verdict_rules_apply(t->desk->guard, VERDICT_OUT, t->who.team, workflow);
}

/* ---- support ---- */

static void add_sentences(struct out_job *j, const char *text)
{
    struct knowledge_span spans[CHECK_MAX_SOURCES];
    size_t room = CHECK_MAX_SOURCES - j->sources_n;
    size_t n = strlen(text) <= CHECK_MAX_REPLY && room > 0
                   ? knowledge_split(text, strlen(text), KNOWLEDGE_LANG_OTHER, spans, room)
                   : 0;
    for (size_t i = 0; i < n; i++) {
        const char *s = text + spans[i].at;
        if (spans[i].len > 0 && s[spans[i].len - 1] != '?') { /* a question says nothing */
            j->sources[j->sources_n++] = arena_dup_strn(j->arena, s, spans[i].len);
        }
    }
}

static void add_texts(struct out_job *j, const json_t *v, int depth)
{
    size_t i;
    const char *key;
    json_t *member;
    if (json_is_string(v)) {
        add_sentences(j, json_string_value(v));
    }
    if (depth > DEPTH_MAX) {
        return;
    }
    json_array_foreach(v, i, member) {
        add_texts(j, member, depth + 1);
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, member) {
        if (strcmp(key, "role") != 0 && strcmp(key, "type") != 0) {
            add_texts(j, member, depth + 1);
        }
    }
}

/* A chat's sources: what its messages say. */
static void read_conversation(struct out_job *j)
{
    AUTO_JSON json_t *ask = NULL;
    if (jn_parse(j->t->ask_json, j->t->ask_len, "a chat", &ask, NULL) == FAIL_NONE) {
        add_texts(j, json_object_get(ask, "messages"), 0);
    }
}

static bool grounded(void *arg, const char *text, size_t n, size_t *from, size_t *to)
{
    struct out_job *j = arg;
    struct check_claim claims[CHECK_MAX_CLAIMS];
    size_t count = 0;
    struct check_support in = {.reply = text,
                               .reply_len = n,
                               .lang = j->lang,
                               .sources = j->sources,
                               .source_count = j->sources_n,
                               .ticket = j->t->input,
                               .ticket_len = j->t->input_len,
                               .frame = j->frame.line,
                               .frame_count = j->frame.len};
    bool ok = check_support(&in, claims, COUNT_OF(claims), &count);
    *from = 0;
    *to = n;
    for (size_t i = 0; !ok && i < count && i < COUNT_OF(claims); i++) {
        if (claims[i].verdict == CHECK_UNSUPPORTED) {
            *from = claims[i].at;
            *to = (size_t)claims[i].at + claims[i].len;
            break;
        }
    }
    return ok;
}

/* ---- looking ---- */

static void look(struct out_job *j, struct out_text *x)
{
    struct verdict_result v;
    size_t n = strlen(x->text);
    struct verdict_ask ask = {.side = VERDICT_OUT,
                              .team = j->team,
                              .workflow = j->workflow,
                              .text = x->text,
                              .n = n,
                              .sources = j->links,
                              .sources_n = j->links_n,
                              .grounded = x->supported && j->sources_n > 0 ? grounded : NULL,
                              .arg = j};
    bool read = verdict_check(j->rules, &ask, &v);
    x->verdict = read ? v.verdict : VERDICT_BLOCK;
    (void)text_copy(x->rule, sizeof(x->rule), "unreadable");
    (void)text_copy(x->found, sizeof(x->found), "too long");
    for (size_t i = 0; i < v.n; i++) {
        if (v.items[i].verdict == v.verdict) {
            (void)text_copy(x->rule, sizeof(x->rule), v.items[i].rule);
            (void)text_copy(x->why, sizeof(x->why), v.items[i].why);
            (void)text_copy(x->found, sizeof(x->found), v.items[i].found);
            break;
        }
    }
    if (x->verdict == VERDICT_REDACT) {
        struct buf out;
        buf_init(&out, 2 * n + 65536);
        if (verdict_redact(&v, x->text, n, &out)) {
            x->changed = buf_take(&out);
        } else {
            x->verdict = VERDICT_BLOCK;
        }
        buf_done(&out);
    }
    verdict_result_done(&v);
}

static void out_work(void *arg)
{
    struct out_job *j = arg;
    bool support = j->workflow[0] == '\0' && verdict_rules_slow(j->rules, VERDICT_OUT, j->team, "");
    if (support) {
        read_conversation(j);
    }
    for (size_t i = 0; i < j->n; i++) {
        look(j, &j->texts[i]);
    }
}

static struct out_job *job_new(struct task *t, const char *workflow, task_step_fn go)
{
    struct out_job *j = mem_alloc(sizeof(*j));
    j->t = t;
    j->go = go;
    j->rules = verdict_rules_ref(t->desk->guard);
    j->workflow = workflow;
    j->lang = KNOWLEDGE_LANG_OTHER;
    j->arena = arena_new((size_t)2 << 20);
    j->sources = arena_alloc(j->arena, CHECK_MAX_SOURCES * sizeof(*j->sources));
    (void)text_copy(j->team, sizeof(j->team), t->who.team);
    return j;
}

static void job_free(struct out_job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        mem_free(j->texts[i].changed);
    }
    verdict_rules_unref(j->rules);
    arena_free(j->arena);
    mem_free(j);
}

static void add(struct out_job *j, const char *text, int field, bool supported)
{
    j->field[j->n] = field;
    j->texts[j->n++] = (struct out_text){.text = text, .supported = supported};
}

/* Looks now, or beside the core thread; done(j) is next. */
static void begin(struct out_job *j, loop_call_fn done)
{
    struct task *t = j->t;
    struct fault why;
    size_t size = 0;
    for (size_t i = 0; i < j->n; i++) {
        size += strlen(j->texts[i].text);
    }
    if (size <= VERDICT_QUICK_BYTES &&
        !verdict_rules_slow(j->rules, VERDICT_OUT, j->team, j->workflow)) {
        out_work(j);
        done(j);
    } else if (pool_submit(t->desk->house.crunch, out_work, j, t->desk->house.loop, done, &why) !=
               FAIL_NONE) {
        job_free(j);
        task_fail(t, &why);
    }
}

/* ---- chats ---- */

static void chat_looked(void *arg)
{
    struct out_job *j = arg;
    struct task *t = j->t;
    struct out_text *x = &j->texts[0];
    struct fault why = {0};
    task_step_fn go = j->go;
    bool blocked = x->verdict >= VERDICT_REVIEW;
    if (blocked) {
        pass_say_blocked(&why, false, x->rule, x->why, x->found);
    } else if (x->changed != NULL) {
        t->generated.text = arena_dup_str(t->arena, x->changed);
    }
    job_free(j);
    if (t->cancelled || t->late) { /* while it was looked at */
        direct_stopped(t, NULL);
    } else if (t->halted) {
        gate_why(t, &why);
        task_fail(t, &why);
    } else if (blocked) {
        task_fail(t, &why);
    } else {
        go(t);
    }
}

void pass_out_chat(struct task *t, task_step_fn go)
{
    const char *text = t->generated.text;
    if (t->stream) { /* its tail; what was sent cannot be taken back, and ends with the reason */
        if (!pass_out_piece(t, "", 0, true)) {
            t->generated.finish_reason = "content_filter";
        }
        go(t);
        return;
    }
    if (text == NULL || text[0] == '\0' || !asks_out(t, "")) {
        go(t);
        return;
    }
    struct out_job *j = job_new(t, "", go);
    j->links = &t->ask_json;
    j->links_n = 1;
    add(j, text, -1, true);
    begin(j, chat_looked);
}

bool pass_out_piece(struct task *t, const char *text, size_t n, bool last)
{
    struct buf out;
    if (!asks_out(t, "")) {
        if (n > 0) {
            t->on_text(t->arg, text, n);
        }
        return true;
    }
    if (t->tail == NULL) {
        t->tail = arena_alloc(t->arena, sizeof(*t->tail));
        verdict_stream_init(t->tail);
    }
    struct verdict_ask ask = {.side = VERDICT_OUT, .team = t->who.team, .workflow = "",
                              .sources = &t->ask_json, .sources_n = 1};
    buf_init(&out, (size_t)2 << 20);
    bool open = verdict_stream_feed(t->tail, t->desk->guard, &ask, text, n, last, &out);
    if (open && out.len > 0) {
        t->on_text(t->arg, out.data, out.len);
    }
    buf_done(&out);
    return open;
}

void pass_free(struct task *t)
{
    if (t->tail != NULL) {
        verdict_stream_done(t->tail);
    }
}

/* ---- forms ---- */

static void to_person(struct task *t, const struct out_text *x)
{
    if (t->stake == NULL) {
        t->stake_name = "guard";
        t->stake_p = 1;
        t->stake = arena_printf(t->arena, "the rule \"%s\" (%s)", x->rule, x->found);
    }
}

static void take_line(struct task *t, size_t i, const struct out_text *x)
{
    struct ladder_proposal *p = &t->climb.held[i];
    if (x->verdict == VERDICT_REDACT) {
        p->value = arena_dup_str(t->arena, x->changed);
    } else if (x->verdict == VERDICT_BLOCK) {
        *p = (struct ladder_proposal){0};
    }
    if (x->verdict >= VERDICT_REVIEW) {
        to_person(t, x);
    }
}

static void note_draft(struct task *t, const struct out_text *x, bool composed)
{
    struct ladder_step s = {
        .rung = t->draft_rewritten && !composed ? LADDER_HOSTED : LADDER_RULE,
        .verdict = LADDER_FAILED,
        .note = arena_printf(t->arena, "the draft may not pass: the rule \"%s\" (%s)", x->rule,
                             x->found)};
    if (t->climb.steps_len < LADDER_MAX_STEPS) {
        ladder_step_add(&t->climb, &s);
    }
}

/* The first of the drafts that may pass. */
static void take_draft(struct task *t, const struct out_job *j)
{
    bool first = true;
    for (size_t i = 0; i < j->n; i++) {
        const struct out_text *x = &j->texts[i];
        if (j->field[i] >= 0) {
            continue;
        }
        if (x->verdict == VERDICT_ALLOW) {
            if (!first) {
                draft_back(t);
            }
            return;
        }
        note_draft(t, x, !first || !t->draft_rewritten);
        first = false;
    }
    if (!first) {
        t->draft_text = NULL;
        t->draft_json = NULL;
    }
}

static void form_looked(void *arg)
{
    struct out_job *j = arg;
    struct task *t = j->t;
    task_step_fn go = j->go;
    for (size_t i = 0; i < j->n; i++) {
        if (j->field[i] >= 0) {
            take_line(t, (size_t)j->field[i], &j->texts[i]);
        }
    }
    take_draft(t, j);
    job_free(j);
    go(t);
}

static void add_draft_sources(struct out_job *j)
{
    const struct compose_result *d = j->t->draft;
    if (d == NULL || d->text == NULL) {
        return;
    }
    for (size_t i = 0; i < d->sentence_count && j->sources_n < CHECK_MAX_SOURCES; i++) {
        j->sources[j->sources_n++] = d->sentences[i].text;
    }
    j->lang = d->article_lang;
    draft_frame_take(j->t->form, knowledge_lang_code(d->article_lang), d->text, j->arena,
                     &j->frame);
}

void pass_out_form(struct task *t, task_step_fn go)
{
    if (t->own_form || !asks_out(t, t->model)) {
        go(t);
        return;
    }
    struct out_job *j = job_new(t, t->model, go);
    j->links = &t->input;
    j->links_n = 1;
    for (size_t i = 0; i < t->form->fields_len; i++) {
        const struct ladder_proposal *p = &t->climb.held[i];
        if (t->form->fields[i].type == LADDER_LINE && p->set && p->value[0] != '\0') {
            add(j, p->value, (int)i, false);
        }
    }
    if (t->draft_text != NULL && t->draft_text[0] != '\0') {
        add_draft_sources(j);
        add(j, t->draft_text, -1, true);
        if (t->draft_rewritten && t->draft != NULL && t->draft->text != NULL) {
            add(j, t->draft->text, -1, true);
        }
    }
    begin(j, form_looked);
}
