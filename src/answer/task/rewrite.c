/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rewriting in the background: one draft at a time, batch class, newest waits last. A rewrite
 * replaces the composed draft only if every claim in it is supported by the chosen sentences and
 * nobody has opened the artifact meanwhile.
 */
#include <string.h>

#include "answer/check/check.h"
#include "answer/task/task_internal.h"
#include "base/json/json.h"

#define WAITING_MAX 500
#define TICKET_MAX (64u * 1024u) /* longer ones are not rewritten: 500 of them wait in memory */
#define ANSWER_TOKENS 260

struct rewrite {
    struct rewrite *next;
    struct rewriter *owner;
    struct arena *arena;
    struct id artifact, task;
    struct principal who;
    const char *draft, *ticket, *dataset;
    enum knowledge_lang lang;
    const char **sources;
    size_t sources_len;
    struct draft_frame frame;
    const char *text; /* the accepted rewrite */
    char model_sha256[65];
    int tokens_in, tokens_out;
};

struct rewriter {
    struct task_desk *desk;
    struct rewrite *first, **last;
    struct rewrite *running;
    struct task_rewrite_counts counts;
    bool paused;
};

struct rewriter *rewriter_new(struct task_desk *desk)
{
    struct rewriter *r = mem_alloc(sizeof(*r));
    r->desk = desk;
    r->last = &r->first;
    return r;
}

static void rewrite_free(struct rewrite *w)
{
    arena_free(w->arena);
    mem_free(w);
}

void rewriter_free(struct rewriter *r)
{
    while (r != NULL && r->first != NULL) {
        struct rewrite *w = r->first;
        r->first = w->next;
        rewrite_free(w);
    }
    mem_free(r);
}

static void next_rewrite(struct rewriter *r);

static void end_rewrite(struct rewrite *w, bool replaced)
{
    struct rewriter *r = w->owner;
    r->running = NULL;
    r->counts.running = 0;
    if (replaced) {
        r->counts.replaced++;
    } else {
        r->counts.refused++;
    }
    rewrite_free(w);
    next_rewrite(r);
}

static enum fail write_redraft(struct store_tx *tx, void *arg, struct fault *why)
{
    struct rewrite *w = arg;
    struct task_desk *d = w->owner->desk;
    char shown[TEXT_ID_SIZE];
    const char *releases[] = {w->model_sha256};
    struct audit_leaf leaf = {.kind = AUDIT_KIND_ANSWERED,
                              .actor = "rewriter",
                              .team = w->who.team,
                              .requester = w->who.name,
                              .task = text_id_show(&w->task, "tsk", shown),
                              .releases = releases,
                              .releases_len = 1,
                              .rung = "heavy",
                              .verdict = "rewritten",
                              .input = w->draft,
                              .input_len = strlen(w->draft),
                              .output = w->text,
                              .output_len = strlen(w->text),
                              .tokens_in = w->tokens_in,
                              .tokens_out = w->tokens_out};
    enum fail f = d->house.sink.redraft(tx, d->house.sink.arg, &w->artifact, w->text, why);
    return f != FAIL_NONE ? f : audit_append(tx, d->house.audit, &leaf, NULL, NULL, why);
}

static void on_redrafted(void *arg, enum fail code, const struct fault *why)
{
    (void)why;
    end_rewrite(arg, code == FAIL_NONE);
}

static bool is_supported(const struct rewrite *w, const char *text)
{
    struct check_claim claims[CHECK_MAX_CLAIMS];
    size_t n = 0;
    struct check_support in = {.reply = text, .reply_len = strlen(text), .lang = w->lang,
                               .sources = w->sources, .source_count = w->sources_len,
                               .ticket = w->ticket, .ticket_len = strlen(w->ticket),
                               .frame = w->frame.line, .frame_count = w->frame.len};
    return check_support(&in, claims, COUNT_OF(claims), &n);
}

static void on_rewritten(void *arg, const struct fleet_answer *a)
{
    struct rewrite *w = arg;
    struct fault why;
    const struct fleet_generated *g = a->generated;
    if (a->code != FAIL_NONE || g == NULL || strcmp(g->finish_reason, "stop") != 0) {
        end_rewrite(w, false);
        return;
    }
    char *text = text_trim(arena_dup_str(w->arena, g->text));
    w->tokens_in = g->tokens_in;
    w->tokens_out = g->tokens_out;
    w->text = text;
    if (strcmp(text, w->draft) == 0 || !is_supported(w, text) ||
        store_write(w->owner->desk->house.store, write_redraft, w, on_redrafted,
                    w->owner->desk->house.loop, &why) != FAIL_NONE) {
        end_rewrite(w, false);
    }
}

static void ask_rewrite(struct rewrite *w)
{
    struct buf body;
    struct jn_writer j;
    char domain[128];
    desk_domain(&w->who, w->dataset, domain, sizeof(domain));
    buf_init(&body, IPC_FRAME_MAX);
    jn_begin(&j, &body, false);
    jn_object_begin(&j);
    jn_kv_str(&j, "domain", domain);
    jn_kv_str(&j, "class", ipc_class_name(IPC_BATCH));
    jn_key(&j, "messages");
    jn_array_begin(&j);
    jn_object_begin(&j);
    jn_kv_str(&j, "role", "system");
    jn_kv_str(&j, "content",
              "You edit replies of a help desk so that they read well. Keep the language, the "
              "greeting, the sign-off, every number, name, menu and condition. Add nothing and "
              "leave nothing out. Answer with the edited reply and nothing else.");
    jn_object_end(&j);
    jn_object_begin(&j);
    jn_kv_str(&j, "role", "user");
    jn_kv_str(&j, "content", w->draft);
    jn_object_end(&j);
    jn_array_end(&j);
    jn_kv_int(&j, "max_tokens", ANSWER_TOKENS);
    jn_kv_real(&j, "temperature", 0, 1);
    jn_object_end(&j);
    struct fleet_model m;
    fleet_model_get(w->owner->desk->house.fleet, FLEET_HEAVY, &m);
    memcpy(w->model_sha256, m.sha256, sizeof(w->model_sha256));
    struct fleet_ask ask = {.role = FLEET_HEAVY, .type = IPC_GENERATE, .body = body.data,
                            .len = body.len, .team = w->who.team, .class = IPC_BATCH,
                            .max_tokens = ANSWER_TOKENS, .done = on_rewritten, .arg = w};
    fleet_ask(w->owner->desk->house.fleet, &ask);
    buf_done(&body);
}

static void next_rewrite(struct rewriter *r)
{
    if (r->running != NULL || r->first == NULL || r->paused || r->desk->draining ||
        !fleet_is_ready(r->desk->house.fleet, FLEET_HEAVY)) {
        return;
    }
    struct fault why;
    struct rewrite *w = r->first;
    r->first = w->next;
    if (r->first == NULL) {
        r->last = &r->first;
    }
    r->running = w;
    r->counts.waiting--;
    r->counts.running = 1;
    if (gate_role_is_off(r->desk, FLEET_HEAVY) ||
        gate_work(r->desk, &w->who, NULL, &why) != FAIL_NONE) {
        end_rewrite(w, false); /* the composed draft stays */
    } else {
        ask_rewrite(w);
    }
}

void rewriter_add(struct rewriter *r, const struct task *t)
{
    const struct compose_result *d = t->draft;
    if (d->text == NULL || !t->form->rewrite || t->draft_rewritten ||
        r->counts.waiting >= WAITING_MAX || t->input_len > TICKET_MAX ||
        r->desk->house.sink.redraft == NULL) {
        return;
    }
    struct rewrite *w = mem_alloc(sizeof(*w));
    w->owner = r;
    w->arena = arena_new((size_t)8 << 20);
    w->artifact = t->artifact;
    w->task = t->id;
    w->who = t->who;
    w->draft = arena_dup_str(w->arena, d->text);
    w->ticket = arena_dup_str(w->arena, t->input);
    w->dataset = arena_dup_str(w->arena, t->form->dataset);
    w->lang = d->article_lang;
    w->sources = arena_alloc(w->arena, (d->sentence_count + 1) * sizeof(*w->sources));
    for (size_t i = 0; i < d->sentence_count; i++) {
        if (d->sentences[i].chosen) {
            w->sources[w->sources_len++] = arena_dup_str(w->arena, d->sentences[i].text);
        }
    }
    draft_frame_take(t->form, knowledge_lang_code(w->lang), w->draft, w->arena, &w->frame);
    *r->last = w;
    r->last = &w->next;
    r->counts.waiting++;
    next_rewrite(r);
}

void rewriter_kick(struct rewriter *r)
{
    next_rewrite(r);
}

struct pause {
    struct rewriter *rewriter;
    bool paused;
};

static void pause_now(void *arg)
{
    struct pause *p = arg;
    p->rewriter->paused = p->paused;
    next_rewrite(p->rewriter);
    mem_free(p);
}

void task_rewrite_pause(struct task_desk *desk, bool paused)
{
    struct pause *p = mem_alloc(sizeof(*p));
    p->rewriter = desk->rewriter;
    p->paused = paused;
    loop_post(desk->house.loop, pause_now, p);
}

void task_rewrite_counts(const struct task_desk *desk, struct task_rewrite_counts *out)
{
    *out = desk->rewriter->counts;
}
