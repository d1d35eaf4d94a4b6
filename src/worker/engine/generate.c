/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: chat and raw completion. Messages go through the model's own template;
 * special tokens inside their contents are read as plain text. Text streams in whole characters and
 * never shows a part of a stop string.
 * With a JSON schema the bytes that must come (keys, punctuation) are written as tokens at once
 * and decoded together with the last one. Owns: a task's writing, prompt, grammar and mask.
 * Threads: one. Limits: max_tokens.
 */
#include "worker/engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

#define PIECE_MAX 256

/* Writing. */

void writing_begin(struct writing *w, int first, size_t cap)
{
    writing_done(w);
    *w = (struct writing){.first = first};
    buf_init(&w->raw, cap);
    buf_init(&w->text, cap * 3 + 8);
}

void writing_done(struct writing *w)
{
    buf_done(&w->raw);
    buf_done(&w->text);
    mem_free(w->ends);
    w->ends = NULL;
}

void writing_add(struct llama_engine *e, struct writing *w, llama_token token, double logprob)
{
    char piece[PIECE_MAX];
    int n = engine_piece(e, token, piece, sizeof piece);
    bool fits = n == 0 || buf_add(&w->raw, piece, (size_t)n);
    ASSERT(fits);
    if (w->n_ends == w->room_ends) {
        w->room_ends = w->room_ends * 2 + 32;
        w->ends = mem_realloc(w->ends, (size_t)w->room_ends * sizeof *w->ends);
    }
    w->ends[w->n_ends++] = w->raw.len;
    w->logprob_sum += logprob;
    w->logprob_min = w->n_ends == 1 || logprob < w->logprob_min ? logprob : w->logprob_min;
}

void writing_settle(struct writing *w, size_t limit, bool all)
{
    while (w->raw_done < limit) {
        const char *at = w->raw.data + w->raw_done;
        size_t left = limit - w->raw_done;
        size_t good = text_utf8_valid_prefix(at, left);
        const char *nul = good > 0 ? memchr(at, '\0', good) : NULL;
        good = nul != NULL ? (size_t)(nul - at) : good;
        if (good > 0) {
            (void)buf_add(&w->text, at, good);
            w->raw_done += good;
        } else if (nul == NULL && left < 4 && !all) {
            return; /* perhaps the start of a character */
        } else {
            (void)buf_add_str(&w->text, "\xef\xbf\xbd"); /* U+FFFD for a byte that is none */
            w->raw_done++;
        }
    }
}

size_t writing_stop(const struct writing *w, const char *const *stops, size_t n)
{
    size_t best = SIZE_MAX;
    size_t last = w->n_ends >= 2 ? w->ends[w->n_ends - 2] : 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(stops[i]);
        size_t from = last >= len ? last - len + 1 : 0;
        const char *hit = w->raw.len > from ? memmem(w->raw.data + from, w->raw.len - from,
                                                     stops[i], len)
                                            : NULL;
        if (hit != NULL && (size_t)(hit - w->raw.data) < best) {
            best = (size_t)(hit - w->raw.data);
        }
    }
    return best;
}

size_t writing_held(const struct writing *w, const char *const *stops, size_t n)
{
    size_t held = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(stops[i]) - 1;
        len = len < w->raw.len ? len : w->raw.len;
        for (; len > held; len--) {
            if (memcmp(w->raw.data + w->raw.len - len, stops[i], len) == 0) {
                held = len;
            }
        }
    }
    return held;
}

enum fail writing_rewind(struct llama_engine *e, struct task *t, size_t keep, struct fault *why)
{
    struct writing *w = &t->writing;
    int n = 0;
    while (n < w->n_ends && w->ends[n] <= keep) {
        n++;
    }
    size_t whole = n > 0 ? w->ends[n - 1] : 0;
    t->tokens.n = w->first + n;
    if (t->n_past > t->tokens.n) {
        llama_memory_seq_rm(llama_get_memory(e->context), t->seq, t->tokens.n, -1);
        t->n_past = t->tokens.n;
    }
    w->n_ends = n;
    enum fail failed = FAIL_NONE;
    if (keep > whole) {
        failed = engine_tokenize(e, w->raw.data + whole, keep - whole, false, &t->tokens, why);
    }
    w->raw.len = keep;
    if (w->raw.data != NULL) {
        w->raw.data[keep] = '\0';
    }
    return failed;
}

/* Prompts. */

static bool has_special(struct llama_engine *e, const char *text, size_t len)
{
    struct tokens list = {0};
    bool found = false;
    if (engine_tokenize(e, text, len, true, &list, NULL) == FAIL_NONE) {
        for (int i = 0; i < list.n && !found; i++) {
            enum llama_token_attr attr = llama_vocab_get_attr(e->vocab, list.at[i]);
            found = (attr & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_USER_DEFINED)) != 0;
        }
    }
    tokens_done(&list);
    return found;
}

void generate_add_bos(struct llama_engine *e, struct tokens *list)
{
    llama_token bos = llama_vocab_bos(e->vocab);
    if (llama_vocab_get_add_bos(e->vocab) && bos != LLAMA_TOKEN_NULL &&
        (list->n == 0 || list->at[0] != bos)) {
        tokens_add(list, &bos, 1);
        memmove(list->at + 1, list->at, (size_t)(list->n - 1) * sizeof *list->at);
        list->at[0] = bos;
    }
}

enum fail generate_tokenize(struct llama_engine *e, const char *text, const char *const *marks,
                            const char *const *contents, size_t n, struct tokens *out,
                            struct fault *why)
{
    enum fail failed = FAIL_NONE;
    for (size_t i = 0; i < n && failed == FAIL_NONE; i++) {
        const char *at = strstr(text, marks[i]);
        if (at == NULL) {
            continue; /* the template leaves this message out */
        }
        failed = engine_tokenize(e, text, (size_t)(at - text), true, out, why);
        if (failed == FAIL_NONE) {
            failed = engine_tokenize(e, contents[i], strlen(contents[i]), false, out, why);
        }
        text = at + strlen(marks[i]);
    }
    if (failed == FAIL_NONE) {
        failed = engine_tokenize(e, text, strlen(text), true, out, why);
    }
    if (failed == FAIL_NONE) {
        generate_add_bos(e, out);
    }
    return failed;
}

#define MARKS_MAX 512
struct marked {
    const char *marks[MARKS_MAX];
    const char *contents[MARKS_MAX];
    size_t n;
};

/* Puts a mark in the place of a text that holds special tokens. */
static void mark_text(struct llama_engine *e, json_t *holder, const char *key, struct arena *arena,
                      struct marked *m)
{
    const json_t *value = json_object_get(holder, key);
    if (!json_is_string(value) || m->n == MARKS_MAX ||
        !has_special(e, json_string_value(value), json_string_length(value))) {
        return;
    }
    m->contents[m->n] = arena_dup_str(arena, json_string_value(value));
    m->marks[m->n] = arena_printf(arena, "[[text %zu of %zu, not yet read]]", m->n,
                                  (size_t)json_string_length(value));
    (void)json_object_set_new(holder, key, json_string(m->marks[m->n]));
    m->n++;
}

static void mark_messages(struct llama_engine *e, json_t *request, struct arena *arena,
                          struct marked *m)
{
    size_t i;
    json_t *message;
    json_array_foreach(json_object_get(request, "messages"), i, message) {
        json_t *content = json_object_get(message, "content");
        size_t k;
        json_t *part;
        mark_text(e, message, "content", arena, m);
        json_array_foreach(content, k, part) {
            mark_text(e, part, "text", arena, m);
        }
    }
}

static enum fail prepare_chat(struct llama_engine *e, struct task *t, struct fault *why)
{
    const struct engine_generate *ask = &t->ask->generate;
    AUTO_JSON json_t *request = NULL;
    enum fail failed = jn_parse(ask->request, strlen(ask->request), "messages", &request, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    struct arena *arena = arena_new(8u * IPC_FRAME_MAX);
    struct marked *m = arena_alloc(arena, sizeof *m);
    mark_messages(e, request, arena, m);
    char *marked = json_dumps(request, JSON_COMPACT);
    failed = shim_chat_render(e->chat, marked, &t->prompt, why);
    /* tidy: memory: jansson made it */
    free(marked);
    if (failed == FAIL_NONE) {
        failed = generate_tokenize(e, shim_prompt_text(t->prompt), m->marks, m->contents, m->n,
                                   &t->tokens, why);
        for (size_t i = 0; i < shim_prompt_stops(t->prompt) && i < ENGINE_STOPS_MAX; i++) {
            if (*shim_prompt_stop(t->prompt, i) != '\0') {
                t->stops[t->n_stops++] = shim_prompt_stop(t->prompt, i);
            }
        }
    }
    arena_free(arena);
    return failed;
}

static int piece_of(void *self, int token, char *out, int room)
{
    struct llama_engine *e = self;
    return llama_vocab_is_eog(e->vocab, token) ? 0 : engine_piece(e, token, out, room);
}

/* A schema that our machine cannot keep, as llama.cpp's converter understands it. */
static enum fail convert_schema(struct llama_engine *e, struct task *t, struct fault *why)
{
    char *gbnf = NULL;
    enum fail failed = shim_schema_grammar(t->ask->generate.schema, &gbnf, why);
    if (failed == FAIL_NONE) {
        failed = shim_grammar_open(e->vocab, gbnf, &t->grammar, why);
    }
    shim_free(gbnf);
    return failed;
}

static enum fail prepare_grammar(struct llama_engine *e, struct task *t, struct fault *why)
{
    const struct engine_generate *ask = &t->ask->generate;
    if (ask->grammar != NULL) {
        return shim_grammar_open(e->vocab, ask->grammar, &t->grammar, why);
    }
    if (ask->schema == NULL) {
        return ask->tools && shim_prompt_has_grammar(t->prompt)
                   ? shim_prompt_grammar(t->prompt, e->vocab, &t->grammar, why)
                   : FAIL_NONE;
    }
    if (e->masks == NULL) {
        e->masks = masks_new(e->n_vocab, piece_of, e);
    }
    enum fail failed = mask_open(e->masks, ask->schema, &t->mask, why);
    if (failed == FAIL_UNSUPPORTED && ask->convert_schema) {
        failed = convert_schema(e, t, why);
    }
    return failed == FAIL_NONE ? failed : fail_param(why, "json_schema");
}

/* Where a text may end so that what the model writes next begins with a token of its own: after
   punctuation. A space belongs to the token that follows it. */
static size_t last_seam(const char *text, size_t n)
{
    while (n > 0 && strchr("{}[],:\"", text[n - 1]) == NULL) {
        n--;
    }
    return n;
}

/* The tokens of the bytes that must come next; none when their text would read differently. */
static void forced_tokens(struct llama_engine *e, struct task *t, struct tokens *out)
{
    char text[MASK_FORCED_MAX];
    char piece[PIECE_MAX];
    size_t n = mask_forced(t->mask, text);
    size_t at = 0;
    n = last_seam(text, n);
    if (n == 0 || engine_tokenize(e, text, n, false, out, NULL) != FAIL_NONE) {
        out->n = 0;
        return;
    }
    for (int i = 0; i < out->n; i++) {
        int len = engine_piece(e, out->at[i], piece, sizeof piece);
        bool same = len > 0 && (size_t)len <= n - at && memcmp(piece, text + at, (size_t)len) == 0;
        at += same ? (size_t)len : 0;
        if (!same) {
            out->n = 0; /* a tokenizer that adds a space, say */
        }
    }
    out->n = at == n ? out->n : 0;
}

static bool write_forced(struct llama_engine *e, struct task *t, bool may_end);

enum fail generate_prepare(struct llama_engine *e, struct task *t, struct fault *why)
{
    const struct engine_generate *ask = &t->ask->generate;
    enum fail failed = ask->request != NULL
                           ? prepare_chat(e, t, why)
                           : generate_tokenize(e, ask->prompt, NULL, NULL, 0, &t->tokens, why);
    if (failed == FAIL_NONE) {
        failed = prepare_grammar(e, t, why);
    }
    if (failed == FAIL_NONE && t->tokens.n == 0) {
        failed = FAULT(why, FAIL_BAD_REQUEST, "the prompt is empty");
    }
    if (failed != FAIL_NONE) {
        return failed;
    }
    for (size_t i = 0; i < ask->n_stops; i++) {
        t->stops[t->n_stops++] = ask->stops[i];
    }
    t->n_prompt = t->tokens.n;
    t->head = t->n_prompt - 1;
    t->max_new = ask->max_tokens;
    t->random = ask->seed;
    writing_begin(&t->writing, t->n_prompt, (size_t)(t->max_new + 1) * PIECE_MAX);
    write_forced(e, t, false);
    return FAIL_NONE;
}

/* Answers. */

/* With tools nothing is shown before the end: what looks like text may turn out to be a call. */
static void stream(struct llama_engine *e, struct task *t)
{
    struct writing *w = &t->writing;
    if (t->ask->generate.stream && !t->ask->generate.tools && w->text.len > t->streamed) {
        e->base.sink->text(e->base.sink->self, t->id, w->text.data + t->streamed,
                           w->text.len - t->streamed);
        t->streamed = w->text.len;
    }
}

static const char *parse_tools(struct task *t, json_t **parsed, struct engine_generated *result)
{
    char *json = NULL;
    struct fault why;
    if (shim_prompt_parse(t->prompt, result->text, &json, &why) == FAIL_NONE &&
        jn_parse(json, strlen(json), "answer", parsed, &why) == FAIL_NONE) {
        const json_t *calls = json_object_get(*parsed, "tool_calls");
        const char *content = json_string_value(json_object_get(*parsed, "content"));
        if (json_array_size(calls) > 0) {
            result->text = content == NULL ? "" : content;
            result->finish_reason = "tool_calls";
            shim_free(json);
            return json_dumps(calls, JSON_COMPACT);
        }
    }
    shim_free(json);
    return NULL;
}

void generate_finish(struct llama_engine *e, struct task *t, const char *reason)
{
    struct writing *w = &t->writing;
    writing_settle(w, w->raw.len, true);
    stream(e, t);
    struct engine_generated result = {
        .finish_reason = reason,
        .text = w->text.data == NULL ? "" : w->text.data,
        .logprob_mean = t->tokens_out > t->n_forced
                            ? w->logprob_sum / (double)(t->tokens_out - t->n_forced)
                            : 0,
        .logprob_min = w->logprob_min,
        .logprobs = t->logprobs,
        .n_logprobs = t->n_logprobs,
    };
    task_usage(t, &result.usage);
    AUTO_JSON json_t *parsed = NULL;
    if (t->ask->generate.tools && t->prompt != NULL && strcmp(reason, "cancelled") != 0) {
        result.tool_calls = parse_tools(t, &parsed, &result);
    }
    if (t->ask->generate.stream && t->ask->generate.tools && result.text[0] != '\0') {
        e->base.sink->text(e->base.sink->self, t->id, result.text, strlen(result.text));
    }
    e->base.sink->generated(e->base.sink->self, t->id, &result);
    /* tidy: memory: jansson made it */
    free((void *)result.tool_calls);
    if (t->state == TASK_RUNNING) {
        prefix_keep(e, t, t->n_past); /* the next turn of this chat begins with all of it */
    }
    task_end(e, t);
}

static const char *token_text(struct llama_engine *e, struct task *t, llama_token token)
{
    char piece[PIECE_MAX];
    int n = engine_piece(e, token, piece, sizeof piece);
    size_t good = text_utf8_valid_prefix(piece, (size_t)n);
    return good == (size_t)n ? arena_dup_strn(t->ask->arena, piece, good) : "\xef\xbf\xbd";
}

static struct engine_logprob *logprob_row(struct task *t)
{
    if (t->logprobs == NULL) {
        t->logprobs = arena_alloc(t->ask->arena, ENGINE_LOGPROB_TOKENS_MAX * sizeof *t->logprobs);
    }
    return &t->logprobs[t->n_logprobs++];
}

static void note_logprobs(struct llama_engine *e, struct task *t, const float *logits,
                          llama_token token, double logprob)
{
    unsigned top = t->ask->generate.logprobs;
    if (top == 0 || t->n_logprobs == ENGINE_LOGPROB_TOKENS_MAX) {
        return;
    }
    struct engine_logprob *row = logprob_row(t);
    row->chosen = (struct engine_token){token_text(e, t, token), logprob};
    double total = (double)logits[token] - logprob;
    llama_token best[ENGINE_LOGPROBS_MAX];
    int n = 0;
    for (int i = 0; i < e->n_vocab; i++) {
        int at = n;
        while (at > 0 && logits[i] > logits[best[at - 1]]) {
            at--;
        }
        if (at >= (int)top) {
            continue;
        }
        n = n < (int)top ? n + 1 : n;
        memmove(best + at + 1, best + at, (size_t)(n - at - 1) * sizeof *best);
        best[at] = i;
    }
    for (int i = 0; i < n; i++) {
        row->top[row->n_top++] =
            (struct engine_token){token_text(e, t, best[i]), (double)logits[best[i]] - total};
    }
}

/* One more token of the answer; true when that ended it. Without `may_end` (in a prompt being
   made) an end is left to the next call. */
static bool write_token(struct llama_engine *e, struct task *t, llama_token token, double logprob,
                        bool may_end)
{
    struct writing *w = &t->writing;
    t->tokens_out++;
    tokens_add(&t->tokens, &token, 1);
    writing_add(e, w, token, logprob);
    size_t stop = may_end ? writing_stop(w, t->stops, t->n_stops) : SIZE_MAX;
    if (stop != SIZE_MAX) {
        w->raw.len = stop > w->raw_done ? stop : w->raw_done;
        generate_finish(e, t, "stop");
        return true;
    }
    if (may_end && t->mask != NULL && mask_over(t->mask)) {
        generate_finish(e, t, "stop");
        return true;
    }
    if (may_end && t->tokens_out >= t->max_new) {
        generate_finish(e, t, "length");
        return true;
    }
    return false;
}

static void note_forced(struct llama_engine *e, struct task *t, llama_token token)
{
    if (t->ask->generate.logprobs > 0 && t->n_logprobs < ENGINE_LOGPROB_TOKENS_MAX) {
        logprob_row(t)->chosen = (struct engine_token){token_text(e, t, token), 0};
    }
}

/* What must come: keys, punctuation, constants. They are decoded with the next step. */
static bool write_forced(struct llama_engine *e, struct task *t, bool may_end)
{
    struct tokens list = {0};
    bool over = false;
    if (t->mask != NULL) {
        forced_tokens(e, t, &list);
    }
    for (int i = 0; i < list.n && !over && (may_end || t->tokens_out + 1 < t->max_new); i++) {
        if (!mask_allows(t->mask, list.at[i])) {
            break; /* a token the mask's table leaves out: an end of text, or one too long for it */
        }
        mask_accept(t->mask, list.at[i]);
        note_forced(e, t, list.at[i]);
        t->n_forced++;
        over = write_token(e, t, list.at[i], 0, may_end);
    }
    tokens_done(&list);
    return over;
}

void generate_advance(struct llama_engine *e, struct task *t, const float *logits)
{
    const struct engine_generate *ask = &t->ask->generate;
    struct writing *w = &t->writing;
    llama_token token = 0;
    double logprob = 0;
    struct fault why = {0};
    if (t->mask != NULL && mask_over(t->mask)) { /* all of it was forced */
        generate_finish(e, t, "stop");
        return;
    }
    if (sample_token(e, t, logits, ask->temperature, ask->top_p, &token, &logprob, &why) !=
        FAIL_NONE) {
        task_fail(e, t, &why);
        return;
    }
    if (llama_vocab_is_eog(e->vocab, token)) {
        generate_finish(e, t, "stop");
        return;
    }
    note_logprobs(e, t, logits, token, logprob);
    if (write_token(e, t, token, logprob, true) || write_forced(e, t, true)) {
        return;
    }
    writing_settle(w, w->raw.len - writing_held(w, t->stops, t->n_stops), false);
    stream(e, t);
}
