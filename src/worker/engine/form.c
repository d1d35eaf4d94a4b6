/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: walking a form. Literals join the pending tokens; at a hole the logits of
 * the last token choose (choice.c), write (a text) or pick digits through a mask. What follows the
 * last hole is never decoded. Null-prompt correction: the same form over an empty input is run once
 * per domain, prompt and plan (a "null run"), and its label scores are taken out of those of every
 * later one.
 * Owns: a task's form state, the table of null scores. Threads: one. Limits: the plan's; MAX_NULLS
 * forms remembered.
 */
#include "worker/engine/engine_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define PIECE_MAX 256

static bool is_choice(const struct form_piece *piece)
{
    return piece->kind == FORM_CHOICE || piece->kind == FORM_BOOLEAN;
}

/* Preparing. */

/* Stands for the suffix in a rendered prompt whose suffix is data. */
static const char suffix_mark[] = "[[the question about it]]";

static char *render_request(const struct engine_form *ask, const char *mark, struct arena *arena)
{
    json_t *messages = json_array();
    if (ask->system != NULL && ask->system[0] != '\0') {
        json_array_append_new(messages,
                              json_pack("{s:s,s:s}", "role", "system", "content", ask->system));
    }
    char *user = arena_printf(arena, "%s%s%s", ask->prefix, mark,
                              ask->share_input ? suffix_mark : ask->suffix);
    json_array_append_new(messages, json_pack("{s:s,s:s}", "role", "user", "content", user));
    json_t *request = json_pack("{s:o}", "messages", messages);
    if (ask->now != 0) {
        json_object_set_new(request, "now", json_integer(ask->now));
    }
    char *text = json_dumps(request, JSON_COMPACT);
    char *copy = arena_dup_str(arena, text == NULL ? "" : text);
    /* tidy: memory: jansson made it */
    free(text);
    json_decref(request);
    return copy;
}

/* What follows an input that is kept for other asks: their suffixes differ. */
static enum fail tokenize_shared(struct llama_engine *e, struct task *t, const char *tail,
                                 struct fault *why)
{
    static const char *const marks[] = {suffix_mark};
    t->head = t->tokens.n;
    enum fail failed =
        generate_tokenize(e, tail, marks, &t->form_ask->suffix, 1, &t->tokens, why);
    t->n_prompt = t->tokens.n;
    return failed;
}

static enum fail tokenize_prompt(struct llama_engine *e, struct task *t, const char *text,
                                 const char *mark, const char *input, struct fault *why)
{
    const char *at = strstr(text, mark);
    if (at == NULL || strstr(at + 1, mark) != NULL) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "the chat template does not show the user's message once");
    }
    enum fail failed =
        memo_tokenize(e, t->domain, text, (size_t)(at - text), true, &t->tokens, why);
    generate_add_bos(e, &t->tokens);
    t->head = t->tokens.n;
    const char *tail = at + strlen(mark);
    if (failed == FAIL_NONE) {
        failed = engine_tokenize(e, input, strlen(input), false, &t->tokens, why);
    }
    if (failed == FAIL_NONE && t->form_ask->share_input) {
        return tokenize_shared(e, t, tail, why);
    }
    if (failed == FAIL_NONE) {
        failed = memo_tokenize(e, t->domain, tail, strlen(tail), true, &t->tokens, why);
    }
    t->n_prompt = t->tokens.n;
    return failed;
}

/* The most tokens that the plan can add to the context. */
static enum fail count_cells(struct llama_engine *e, struct task *t, struct fault *why)
{
    const struct form_plan *plan = t->form_ask->plan;
    int cells = 0;
    for (size_t i = 0; i < plan->n_pieces; i++) {
        const struct form_piece *piece = &plan->pieces[i];
        const char *before = i > 0 && plan->pieces[i - 1].text != NULL ? plan->pieces[i - 1].text
                                                                       : "";
        struct tokens list = {0};
        enum fail failed = FAIL_NONE;
        switch (piece->kind) {
        case FORM_LITERAL:
            failed = memo_tokenize(e, t->domain, piece->text, strlen(piece->text), false, &list,
                                   why);
            break;
        case FORM_CHOICE:
        case FORM_BOOLEAN:
            for (size_t k = 0; k < piece->n_labels && failed == FAIL_NONE; k++) {
                failed = choice_label_tokens(e, t->domain, before, piece->labels[k], &list, why);
                if (failed == FAIL_NONE && cells + list.n > e->base.info.n_ctx) {
                    failed = FAULT(why, FAIL_TOO_LARGE,
                                   "the labels up to %s have more tokens than the context of %d",
                                   piece->name, e->base.info.n_ctx);
                }
            }
            break;
        case FORM_TEXT:
            cells += (int)piece->max_chars / 2 + 24;
            break;
        case FORM_NUMBER:
        case FORM_DATE:
            cells += 24;
            for (int d = 0; d < 12; d++) {
                if (e->digit[d] < 0) {
                    failed = FAULT(why, FAIL_UNSUPPORTED,
                                   "this model has no tokens of single digits");
                }
            }
            break;
        case FORM_KIND_COUNT:
            break;
        }
        cells += list.n;
        tokens_done(&list);
        if (failed != FAIL_NONE) {
            return failed;
        }
    }
    t->max_new = cells;
    return FAIL_NONE;
}

static char *null_key(const struct task *t, const char *rendered)
{
    struct buf key;
    buf_init(&key, 16u * IPC_FRAME_MAX);
    (void)buf_printf(&key, "%s%c%s%c", t->domain, 1, rendered, 1);
    if (t->form_ask->share_input) {
        (void)buf_printf(&key, "%s%c", t->form_ask->suffix, 1);
    }
    struct jn_writer writer;
    jn_begin(&writer, &key, false);
    form_plan_write(&writer, t->form_ask->plan);
    uint8_t hash[32];
    char hex[2 * sizeof hash + 1];
    text_sha256(key.data, key.len, hash);
    text_hex(hash, sizeof hash, hex);
    buf_done(&key);
    return mem_dup_str(hex);
}

static double *dup_scores(const double *from, size_t n)
{
    return from == NULL ? NULL : mem_dup(from, n * sizeof *from);
}

/* Scores that were given to us must have the plan's shape to be used. */
static bool has_shape(const struct null_scores *scores, const struct form_plan *plan)
{
    for (size_t i = 0; i < plan->n_pieces; i++) {
        const struct form_piece *piece = &plan->pieces[i];
        bool wanted = is_choice(piece) && piece->gamma > 0;
        if ((wanted && scores->logp[i] == NULL) ||
            (scores->logp[i] != NULL && scores->n_logp[i] != piece->n_labels)) {
            return false;
        }
    }
    return true;
}

static struct null_scores *null_find(struct llama_engine *e, const char *key,
                                     const struct form_plan *plan)
{
    for (int i = 0; i < MAX_NULLS; i++) {
        if (e->nulls[i].key != NULL && strcmp(e->nulls[i].key, key) == 0 &&
            has_shape(&e->nulls[i], plan)) {
            return &e->nulls[i];
        }
    }
    return NULL;
}

static enum fail walk(struct llama_engine *e, struct task *t, struct fault *why);

static enum fail new_null_run(struct llama_engine *e, struct task *t, const char *rendered,
                              const char *mark, int last_hole, struct task **out,
                              struct fault *why)
{
    struct task *n = task_new(e, NULL);
    n->job = ENGINE_JOB_FORM;
    n->own_domain = mem_dup_str(t->domain);
    n->domain = n->own_domain;
    n->adapter = t->adapter;
    task_enroll(e, n, t->class);
    n->own_plan = form_plan_new();
    for (size_t i = 0; i < t->form_ask->plan->n_pieces; i++) {
        enum fail copied = form_plan_add(n->own_plan, &t->form_ask->plan->pieces[i], why);
        ASSERT(copied == FAIL_NONE);
    }
    n->own_form.plan = n->own_plan;
    if (t->form_ask->share_input) {
        n->own_form.share_input = true;
        n->own_form.suffix = n->own_suffix = mem_dup_str(t->form_ask->suffix);
    }
    n->form_ask = &n->own_form;
    n->form = mem_alloc(sizeof *n->form);
    n->form->is_null = true;
    n->form->last_hole = last_hole;
    n->form->null_key = mem_dup_str(t->form->null_key);
    enum fail failed = tokenize_prompt(e, n, rendered, mark, "", why);
    n->max_new = t->max_new;
    if (failed == FAIL_NONE) {
        failed = walk(e, n, why);
    }
    if (failed == FAIL_NONE && n->n_prompt + n->max_new > e->base.info.n_ctx) {
        failed = FAULT(why, FAIL_TOO_LARGE, "a form of %d tokens in a context of %d",
                       n->n_prompt + n->max_new, e->base.info.n_ctx);
    }
    if (failed != FAIL_NONE) {
        n->state = TASK_ENDED;
        return failed;
    }
    *out = n;
    return FAIL_NONE;
}

/* Finds the null scores this form needs, or the run that makes them, or starts that run. */
static enum fail want_null(struct llama_engine *e, struct task *t, const char *rendered,
                           const char *mark, struct fault *why)
{
    const struct form_plan *plan = t->form_ask->plan;
    int last = -1;
    for (size_t i = 0; i < plan->n_pieces; i++) {
        if (is_choice(&plan->pieces[i]) && plan->pieces[i].gamma > 0) {
            last = (int)i;
        }
    }
    if (last < 0) {
        return FAIL_NONE;
    }
    t->form->null_key = null_key(t, rendered);
    struct null_scores *known = null_find(e, t->form->null_key, plan);
    if (known != NULL) {
        known->used_at = clock_monotonic_us();
        for (int i = 0; i < FORM_PIECES_MAX; i++) {
            t->form->null_logp[i] = dup_scores(known->logp[i], known->n_logp[i]);
        }
        return FAIL_NONE;
    }
    for (struct task *r = e->first; r != NULL; r = r->next) {
        if (r->state != TASK_ENDED && r->form != NULL && r->form->is_null &&
            strcmp(r->form->null_key, t->form->null_key) == 0) {
            if (t->class < r->class) {
                task_enroll(e, r, t->class);
            }
            t->form->waits_for = r;
            return FAIL_NONE;
        }
    }
    return new_null_run(e, t, rendered, mark, last, &t->form->waits_for, why);
}

enum fail form_prepare(struct llama_engine *e, struct task *t, struct fault *why)
{
    static const char *const marks[] = {"[[the text to read]]", "[[4f1c the text to read]]"};
    t->form_ask = &t->ask->form;
    t->form = mem_alloc(sizeof *t->form);
    t->form->result = form_result_new();
    const struct engine_form *ask = t->form_ask;
    struct arena *arena = t->ask->arena;
    const char *mark = strstr(ask->prefix, marks[0]) == NULL &&
                               strstr(ask->suffix, marks[0]) == NULL &&
                               (ask->system == NULL || strstr(ask->system, marks[0]) == NULL)
                           ? marks[0]
                           : marks[1];
    const char *rendered = NULL;
    enum fail failed =
        memo_render(e, t->domain, render_request(ask, mark, arena), &rendered, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    failed = tokenize_prompt(e, t, rendered, mark, ask->input, why);
    if (failed == FAIL_NONE) {
        failed = count_cells(e, t, why);
    }
    if (failed == FAIL_NONE) {
        failed = want_null(e, t, rendered, mark, why);
    }
    if (failed == FAIL_NONE) {
        uint8_t hash[32];
        text_sha256(ask->input, strlen(ask->input), hash);
        memcpy(&t->random, hash, sizeof t->random); /* the same input draws the same text */
        t->random ^= ask->seed;
        failed = walk(e, t, why);
    }
    return failed;
}

void form_free(struct task *t)
{
    if (t->form == NULL) {
        return;
    }
    for (int i = 0; i < FORM_PIECES_MAX; i++) {
        mem_free(t->form->choice_logp[i]);
        mem_free(t->form->null_logp[i]);
    }
    form_result_free(t->form->result);
    mem_free(t->form->null_key);
    mem_free(t->form);
    t->form = NULL;
}

/* Null runs. */

void form_nulls_free(struct llama_engine *e)
{
    for (int i = 0; i < MAX_NULLS; i++) {
        for (int k = 0; k < FORM_PIECES_MAX; k++) {
            mem_free(e->nulls[i].logp[k]);
        }
        mem_free(e->nulls[i].key);
        e->nulls[i] = (struct null_scores){0};
    }
}

void form_null_put(struct llama_engine *e, const char *key, const char *prefix,
                   double *logp[FORM_PIECES_MAX], const size_t n[FORM_PIECES_MAX])
{
    struct null_scores *slot = &e->nulls[0];
    for (int i = 0; i < MAX_NULLS; i++) {
        if (e->nulls[i].key == NULL) {
            slot = &e->nulls[i];
            break;
        }
        slot = e->nulls[i].used_at < slot->used_at ? &e->nulls[i] : slot;
    }
    mem_free(slot->key);
    slot->key = mem_dup_str(key);
    (void)text_copy(slot->prefix, sizeof slot->prefix, prefix);
    slot->used_at = clock_monotonic_us();
    for (size_t i = 0; i < FORM_PIECES_MAX; i++) {
        mem_free(slot->logp[i]);
        slot->logp[i] = logp[i];
        slot->n_logp[i] = n[i];
    }
}

static void remember(struct llama_engine *e, const struct task *run)
{
    const struct form_plan *plan = run->form_ask->plan;
    double *logp[FORM_PIECES_MAX] = {0};
    size_t n[FORM_PIECES_MAX] = {0};
    char prefix[65];
    for (size_t i = 0; i < plan->n_pieces; i++) {
        n[i] = plan->pieces[i].n_labels;
        logp[i] = dup_scores(run->form->choice_logp[i], n[i]);
    }
    state_prefix_id(run->domain, run->tokens.at, run->head, prefix);
    form_null_put(e, run->form->null_key, prefix, logp, n);
}

void form_null_over(struct llama_engine *e, struct task *run, const struct fault *why)
{
    const struct form_plan *plan = run->form_ask->plan;
    if (why == NULL) {
        remember(e, run);
    }
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state == TASK_ENDED || t->form == NULL || t->form->waits_for != run) {
            continue;
        }
        t->form->waits_for = NULL;
        if (why != NULL) {
            task_fail(e, t, why);
            continue;
        }
        for (size_t i = 0; i < plan->n_pieces; i++) {
            t->form->null_logp[i] =
                dup_scores(run->form->choice_logp[i], plan->pieces[i].n_labels);
        }
    }
}

/* Walking. */

static llama_token token_after(struct llama_engine *e, const struct task *t, size_t hole)
{
    const struct form_plan *plan = t->form_ask->plan;
    llama_token token = llama_vocab_eot(e->vocab);
    token = token == LLAMA_TOKEN_NULL ? llama_vocab_eos(e->vocab) : token;
    if (hole + 1 < plan->n_pieces && plan->pieces[hole + 1].kind == FORM_LITERAL) {
        struct tokens list = {0};
        const char *text = plan->pieces[hole + 1].text;
        if (memo_tokenize(e, t->domain, text, strlen(text), false, &list, NULL) == FAIL_NONE &&
            list.n > 0) {
            token = list.at[0];
        }
        tokens_done(&list);
    }
    return token;
}

static bool holes_left(const struct task *t)
{
    const struct form_plan *plan = t->form_ask->plan;
    if (t->form->is_null) {
        return (int)t->form->piece <= t->form->last_hole;
    }
    for (size_t i = t->form->piece; i < plan->n_pieces; i++) {
        if (plan->pieces[i].kind != FORM_LITERAL) {
            return true;
        }
    }
    return false;
}

/* Takes in the literals up to the next hole. With no hole left nothing more is decoded. */
static enum fail walk(struct llama_engine *e, struct task *t, struct fault *why)
{
    const struct form_plan *plan = t->form_ask->plan;
    while (holes_left(t)) {
        const struct form_piece *piece = &plan->pieces[t->form->piece];
        bool skipped = t->form->is_null && !is_choice(piece) && piece->kind != FORM_LITERAL;
        if (piece->kind == FORM_LITERAL) {
            enum fail failed = memo_tokenize(e, t->domain, piece->text, strlen(piece->text), false,
                                             &t->tokens, why);
            if (failed != FAIL_NONE) {
                return failed;
            }
        } else if (!skipped) {
            break;
        }
        t->form->piece++; /* a null run leaves texts and numbers empty */
    }
    return FAIL_NONE;
}

static void finish(struct llama_engine *e, struct task *t)
{
    if (t->form->is_null) {
        form_null_over(e, t, NULL);
        task_end(e, t);
        return;
    }
    if (t->form_ask->released) {
        state_keep(e, t);
    }
    struct engine_usage usage;
    task_usage(t, &usage);
    struct form_result *result = t->form->result;
    result->tokens_in = usage.tokens_in;
    result->tokens_cached = usage.tokens_cached;
    result->tokens_out = usage.tokens_out;
    result->ms_queue = usage.ms_queue;
    result->ms_prefill = usage.ms_prefill;
    result->ms_decode = usage.ms_decode;
    e->base.sink->formed(e->base.sink->self, t->id, result);
    task_end(e, t);
}

/* A hole is filled: on to the next, or the end. */
static void next_piece(struct llama_engine *e, struct task *t)
{
    struct fault why = {0};
    t->form->piece++;
    t->form->started = false;
    if (walk(e, t, &why) != FAIL_NONE) {
        task_fail(e, t, &why);
    } else if (!holes_left(t)) {
        finish(e, t);
    } else {
        /* A hole right behind a hole without a token between them reads the same logits again. */
        ASSERT(t->n_past <= t->tokens.n);
        if (t->n_past == t->tokens.n) {
            t->n_past--;
            llama_memory_seq_rm(llama_get_memory(e->context), t->seq, t->n_past, -1);
        }
    }
}

/* Choices. */

static void correct(const struct form_piece *piece, const double *logp, const double *null_logp,
                    double *probs)
{
    double max = -INFINITY;
    for (size_t i = 0; i < piece->n_labels; i++) {
        double null_part = null_logp == NULL ? 0 : piece->gamma * null_logp[i];
        probs[i] = (logp[i] - null_part) / piece->temperature;
        max = probs[i] > max ? probs[i] : max;
    }
    double sum = 0;
    for (size_t i = 0; i < piece->n_labels; i++) {
        probs[i] = exp(probs[i] - max);
        sum += probs[i];
    }
    for (size_t i = 0; i < piece->n_labels; i++) {
        probs[i] /= sum;
    }
}

const double *form_null_scores(const struct task *t)
{
    const struct form_piece *piece = &t->form_ask->plan->pieces[t->form->piece];
    return t->form->is_null || piece->gamma <= 0 ? NULL : t->form->null_logp[t->form->piece];
}

void form_choice_scored(struct llama_engine *e, struct task *t, const double *logp)
{
    const struct form_plan *plan = t->form_ask->plan;
    size_t at = t->form->piece;
    const struct form_piece *piece = &plan->pieces[at];
    double probs[FORM_LABELS_MAX];
    correct(piece, logp, form_null_scores(t), probs);
    size_t best = 0;
    for (size_t i = 1; i < piece->n_labels; i++) {
        best = probs[i] > probs[best] ? i : best;
    }
    if (t->form->is_null) {
        t->form->choice_logp[at] = mem_dup(logp, piece->n_labels * sizeof *logp);
    } else {
        struct form_field field = {.name = piece->name,
                                   .kind = piece->kind,
                                   .value = piece->labels[best],
                                   .logprob = log(probs[best]),
                                   .mass = t->form->mass,
                                   .probs = probs,
                                   .n_probs = piece->n_labels};
        form_result_add(t->form->result, &field);
    }
    struct fault why = {0};
    const char *before = at > 0 && plan->pieces[at - 1].text != NULL ? plan->pieces[at - 1].text
                                                                     : "";
    if (choice_label_tokens(e, t->domain, before, piece->labels[best], &t->tokens, &why) !=
        FAIL_NONE) {
        task_fail(e, t, &why);
        return;
    }
    choice_adopt(e, t, (int)best);
    choice_free(e, t);
    next_piece(e, t);
}

/* Texts. */

static void add_text(struct task *t, const struct form_piece *piece, bool cut)
{
    struct writing *w = &t->writing;
    char *text = mem_dup_str(w->text.data == NULL ? "" : w->text.data);
    struct form_field field = {.name = piece->name,
                               .kind = FORM_TEXT,
                               .value = text_trim(text),
                               .logprob = w->n_ends > 0 ? w->logprob_sum / w->n_ends : 0,
                               .cut = cut};
    form_result_add(t->form->result, &field);
    mem_free(text);
}

/* Ends the text after `keep` raw bytes. */
static void end_text(struct llama_engine *e, struct task *t, const struct form_piece *piece,
                     size_t keep, bool cut)
{
    struct writing *w = &t->writing;
    struct fault why = {0};
    writing_settle(w, keep, true);
    add_text(t, piece, cut);
    if (writing_rewind(e, t, keep, &why) != FAIL_NONE) {
        task_fail(e, t, &why);
        return;
    }
    next_piece(e, t);
}

/* Where to cut raw so that at most max_chars characters stay: at a space when one is near. */
static size_t cut_at(const struct writing *w, unsigned max_chars)
{
    size_t good = text_utf8_valid_prefix(w->raw.data, w->raw.len);
    size_t at = 0;
    for (unsigned n = 0; n < max_chars && at < good; n++) {
        uint32_t cp;
        at += text_utf8_decode(w->raw.data + at, good - at, &cp);
    }
    for (size_t i = at; i > at - at / 3; i--) {
        if (w->raw.data[i - 1] == ' ') {
            return i - 1;
        }
    }
    return at;
}

#define FIRST_TRIES 8

static bool says_nothing(struct llama_engine *e, llama_token token)
{
    char piece[PIECE_MAX];
    int n = engine_piece(e, token, piece, sizeof piece);
    bool blank = true;
    for (int i = 0; i < n; i++) {
        blank =
            blank && (piece[i] == ' ' || piece[i] == '\n' || piece[i] == '\r' || piece[i] == '\t');
    }
    return blank || llama_vocab_is_eog(e->vocab, token);
}

/* The first token of a text: the likeliest one that says something, for an empty answer fills no
   form. After FIRST_TRIES blanks the model has nothing to say and the text stays empty. */
static enum fail first_token(struct llama_engine *e, struct task *t, const float *logits,
                             double temperature, llama_token *token, double *logprob,
                             struct fault *why)
{
    float *copy = mem_dup(logits, (size_t)e->n_vocab * sizeof *copy);
    enum fail failed = FAIL_NONE;
    for (int i = 0; i < FIRST_TRIES; i++) {
        failed = sample_token(e, t, copy, temperature, 1.0, token, logprob, why);
        if (failed != FAIL_NONE || !says_nothing(e, *token)) {
            break;
        }
        copy[*token] = -INFINITY;
    }
    mem_free(copy);
    return failed;
}

static void text_advance(struct llama_engine *e, struct task *t, const struct form_piece *piece,
                         const float *logits)
{
    struct writing *w = &t->writing;
    const char *stops[FORM_STOPS_MAX + 2];
    size_t n_stops = piece->n_stops;
    memcpy(stops, piece->stops, n_stops * sizeof *stops);
    if (piece->single_line) {
        stops[n_stops++] = "\n";
        stops[n_stops++] = "\r";
    }
    if (!t->form->started) {
        t->form->started = true;
        t->form->token_cap = piece->max_chars / 2 + 16;
        writing_begin(w, t->tokens.n, (t->form->token_cap + 1) * PIECE_MAX);
    }
    llama_token token = 0;
    double logprob = 0;
    struct fault why = {0};
    enum fail failed =
        w->n_ends == 0
            ? first_token(e, t, logits, piece->temperature, &token, &logprob, &why)
            : sample_token(e, t, logits, piece->temperature, 1.0, &token, &logprob, &why);
    if (failed != FAIL_NONE) {
        task_fail(e, t, &why);
        return;
    }
    t->tokens_out++;
    if (llama_vocab_is_eog(e->vocab, token)) {
        end_text(e, t, piece, w->raw.len, false);
        return;
    }
    tokens_add(&t->tokens, &token, 1);
    writing_add(e, w, token, logprob);
    size_t stop = writing_stop(w, stops, n_stops);
    size_t chars = text_utf8_count(
        w->raw.data, text_utf8_valid_prefix(w->raw.data, stop < w->raw.len ? stop : w->raw.len));
    if (chars > piece->max_chars || (stop == SIZE_MAX && (size_t)w->n_ends >= t->form->token_cap)) {
        end_text(e, t, piece, cut_at(w, piece->max_chars), true);
    } else if (stop != SIZE_MAX) {
        end_text(e, t, piece, stop, false);
    }
}

/* Numbers and dates. */

static void end_digits(struct llama_engine *e, struct task *t, const struct form_piece *piece)
{
    struct writing *w = &t->writing;
    struct form_field field = {.name = piece->name,
                               .kind = piece->kind,
                               .value = t->form->digits,
                               .logprob = w->n_ends > 0 ? w->logprob_sum / w->n_ends : 0};
    form_result_add(t->form->result, &field);
    next_piece(e, t);
}

/* Appends character c (an index into digit[]); the mask allowed it. */
static void put_digit(struct llama_engine *e, struct task *t, int c)
{
    size_t len = strlen(t->form->digits);
    ASSERT(len + 1 < sizeof t->form->digits);
    t->form->digits[len] = "0123456789-."[c];
    t->form->digits[len + 1] = '\0';
    tokens_add(&t->tokens, &e->digit[c], 1);
}

/* The only character that may follow, or -1. FORM_NEXT_END alone gives 12. */
static int only_one(unsigned next)
{
    return (next & (next - 1)) == 0 ? __builtin_ctz(next) : -1;
}

static void digits_advance(struct llama_engine *e, struct task *t, const struct form_piece *piece,
                           const float *logits)
{
    struct writing *w = &t->writing;
    if (!t->form->started) {
        t->form->started = true;
        t->form->digits[0] = '\0';
        writing_begin(w, t->tokens.n, PIECE_MAX);
    }
    unsigned next = form_next(piece, t->form->digits);
    llama_token end = token_after(e, t, t->form->piece);
    if (end < 0) { /* a vocabulary without an end: what follows a last hole has no token */
        next = next == FORM_NEXT_END ? next : next & ~FORM_NEXT_END;
        end = 0;
    }
    float scores[13];
    int which[13];
    int n = 0;
    int best = 0;
    for (int c = 0; c < 13; c++) {
        if ((next & 1u << c) != 0) {
            which[n] = c;
            scores[n] = logits[c == 12 ? end : e->digit[c]];
            best = scores[n] > scores[best] ? n : best;
            n++;
        }
    }
    ASSERT(n > 0);
    w->logprob_sum += (double)scores[best] - sample_logsumexp(scores, n);
    w->logprob_sum = w->logprob_sum > 0 ? 0 : w->logprob_sum;
    w->n_ends++; /* only counts here */
    if (which[best] == 12) {
        end_digits(e, t, piece);
        return;
    }
    t->tokens_out++;
    put_digit(e, t, which[best]);
    /* What has no alternative needs no pass of its own. */
    for (int c = only_one(form_next(piece, t->form->digits)); c >= 0;
         c = only_one(form_next(piece, t->form->digits))) {
        if (c == 12) {
            end_digits(e, t, piece);
            return;
        }
        put_digit(e, t, c);
    }
}

void form_advance(struct llama_engine *e, struct task *t, const float *logits)
{
    const struct form_plan *plan = t->form_ask->plan;
    if (!holes_left(t)) {
        finish(e, t);
        return;
    }
    t->form->mass = choice_mass(e, t, logits);
    size_t at = t->form->piece;
    const struct form_piece *piece = &plan->pieces[at];
    switch (piece->kind) {
    case FORM_CHOICE:
    case FORM_BOOLEAN:
        choice_begin(e, t, piece,
                     at > 0 && plan->pieces[at - 1].text != NULL ? plan->pieces[at - 1].text : "",
                     token_after(e, t, at), logits);
        break;
    case FORM_TEXT:
        text_advance(e, t, piece, logits);
        break;
    case FORM_NUMBER:
    case FORM_DATE:
        digits_advance(e, t, piece, logits);
        break;
    case FORM_LITERAL:
    case FORM_KIND_COUNT:
        break;
    }
}
