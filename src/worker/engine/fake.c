/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, fake: the same ops without a model. Answers come from the words and hashes of the
 * prompt, so the same ask always gets the same answer, in microseconds. A text with %%crash%%,
 * %%hang%%, %%badframe%%, %%error%% or %%slow:MS%% makes it misbehave, which is how the server's
 * supervision is tested.
 * Owns: its queue of asks. Threads: one. Limits: ENGINE_QUEUE_MAX asks; a token is a word with the
 * space before it.
 */
#include "worker/engine/engine.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"

#define DIM 384
#define N_CTX 32768
#define ECHO_BYTES 400
#define SCHEMA_DEPTH 32

struct fake_task {
    struct fake_task *next;
    struct engine_ask *ask;
    int64_t at_submit;
    int64_t ready_at;
    bool begun;
    bool over;
    char *text; /* a chat's whole answer */
    size_t sent;
    int64_t tokens_out;
};

#define STATES_MAX 16

/* A released prompt that it has seen, or was given. */
struct fake_state {
    char *domain;
    char *text;
    char prefix[65];
};

struct fake_engine {
    struct engine base;
    struct fake_state states[STATES_MAX];
    int n_states;
    struct fake_task *first;
    int n_tasks;
    char adapters[ENGINE_ADAPTERS_MAX][65];
    int n_adapters;
};

static struct fake_engine *fake_of(struct engine *engine)
{
    return (struct fake_engine *)engine;
}

/* FNV-1a, 64 bits. */
static uint64_t hash_of(const char *s, size_t n, uint64_t seed)
{
    uint64_t h = 0xcbf29ce484222325ull ^ seed;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3ull;
    }
    return h ^ (h >> 29);
}

static int64_t count_words(const char *s, size_t n)
{
    int64_t words = 0;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        bool space = isspace((unsigned char)s[i]) != 0;
        words += !space && !inside ? 1 : 0;
        inside = !space;
    }
    return words;
}

/* Misbehaviour on demand. */

static enum fail misbehave(const char *text, int64_t *delay_ms, struct fault *why)
{
    const char *slow = strstr(text, "%%slow:");
    if (strstr(text, "%%crash%%") != NULL) {
        abort();
    }
    if (strstr(text, "%%hang%%") != NULL) {
        for (;;) {
            struct timespec hour = {.tv_sec = 3600};
            (void)nanosleep(&hour, NULL);
        }
    }
    if (strstr(text, "%%badframe%%") != NULL) {
        static const char garbage[] = "this is no frame, whatever the header says";
        (void)!write(IPC_WORKER_FD, garbage, sizeof garbage);
    }
    if (strstr(text, "%%error%%") != NULL) {
        return FAULT(why, FAIL_INTERNAL, "the fake engine was told to fail");
    }
    if (slow != NULL) {
        *delay_ms = strtol(slow + 7, NULL, 10);
        *delay_ms = *delay_ms < 0 || *delay_ms > 60000 ? 60000 : *delay_ms;
    }
    return FAIL_NONE;
}

/* Chat. */

static json_t *minimal(const json_t *root, const json_t *schema, int depth)
{
    const json_t *value = json_object_get(schema, "const");
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    if (depth > SCHEMA_DEPTH) {
        return json_null();
    }
    if (value != NULL) {
        return json_deep_copy(value);
    }
    if (ref != NULL && text_starts_with(ref, "#/")) {
        char *path = mem_dup_str(ref + 2);
        const json_t *at = root;
        char *save = NULL;
        for (char *part = strtok_r(path, "/", &save); part != NULL;
             part = strtok_r(NULL, "/", &save)) {
            at = json_object_get(at, part);
        }
        mem_free(path);
        return minimal(root, at, depth + 1);
    }
    static const char *const unions[] = {"enum", "anyOf", "oneOf", "allOf"};
    for (size_t i = 0; i < COUNT_OF(unions); i++) {
        const json_t *first = json_array_get(json_object_get(schema, unions[i]), 0);
        if (first != NULL) {
            return i == 0 ? json_deep_copy(first) : minimal(root, first, depth + 1);
        }
    }
    const json_t *type = json_object_get(schema, "type");
    type = json_is_array(type) ? json_array_get(type, 0) : type;
    const char *name = json_is_string(type) ? json_string_value(type) : "object";
    json_int_t least = json_integer_value(json_object_get(schema, "minimum"));
    if (strcmp(name, "string") == 0) {
        char text[65] = "";
        json_int_t len = json_integer_value(json_object_get(schema, "minLength"));
        memset(text, 'x', (size_t)(len < 0 ? 0 : len > 64 ? 64 : len));
        return json_string(text);
    }
    if (strcmp(name, "integer") == 0 || strcmp(name, "number") == 0) {
        return json_integer(least);
    }
    if (strcmp(name, "boolean") == 0) {
        return json_false();
    }
    if (strcmp(name, "null") == 0) {
        return json_null();
    }
    if (strcmp(name, "array") == 0) {
        json_t *array = json_array();
        json_int_t n = json_integer_value(json_object_get(schema, "minItems"));
        for (json_int_t i = 0; i < n && i < 64; i++) {
            json_array_append_new(array,
                                  minimal(root, json_object_get(schema, "items"), depth + 1));
        }
        return array;
    }
    json_t *object = json_object();
    const json_t *properties = json_object_get(schema, "properties");
    size_t i;
    const json_t *key;
    json_array_foreach(json_object_get(schema, "required"), i, key) {
        const char *member = json_string_value(key);
        if (member != NULL) {
            json_object_set_new(object, member,
                                minimal(root, json_object_get(properties, member), depth + 1));
        }
    }
    return object;
}

/* What the last user message says. */
static void last_content(const char *request, struct buf *out)
{
    AUTO_JSON json_t *tree = json_loads(request, 0, NULL);
    const json_t *messages = json_object_get(tree, "messages");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *content = json_object_get(last, "content");
    if (json_is_string(content)) {
        (void)buf_add_str(out, json_string_value(content));
    }
    size_t i;
    const json_t *part;
    json_array_foreach(content, i, part) {
        const char *text = json_string_value(json_object_get(part, "text"));
        (void)buf_add_str(out, text == NULL ? "" : text);
    }
}

static char *answer_chat(const struct engine_generate *ask, const char *adapter)
{
    if (ask->schema != NULL) {
        AUTO_JSON json_t *schema = json_loads(ask->schema, 0, NULL);
        AUTO_JSON json_t *value = minimal(schema, schema, 0);
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        char *copy = mem_dup_str(text == NULL ? "{}" : text);
        /* tidy: memory: jansson made it */
        free(text);
        return copy;
    }
    struct buf said;
    buf_init(&said, 2u * IPC_FRAME_MAX);
    if (ask->request != NULL) {
        last_content(ask->request, &said);
    } else {
        (void)buf_add_str(&said, ask->prompt);
    }
    char *whole = buf_take(&said);
    size_t cut = text_utf8_cut(whole, strlen(whole) < ECHO_BYTES ? strlen(whole) : ECHO_BYTES);
    whole[cut] = '\0';
    struct buf out;
    buf_init(&out, ECHO_BYTES * 2);
    if (adapter != NULL) {
        (void)buf_printf(&out, "[%.8s] ", adapter);
    }
    (void)buf_printf(&out, "You said: %s", whole);
    mem_free(whole);
    return buf_take(&out);
}

static struct engine_usage usage_of(const struct fake_task *t, int64_t tokens_in)
{
    return (struct engine_usage){.tokens_in = tokens_in,
                                 .tokens_out = t->tokens_out,
                                 .ms_queue = 0.1,
                                 .ms_prefill = 0.1,
                                 .ms_decode = clock_ms_since(t->at_submit)};
}

static void finish_chat(struct fake_engine *f, struct fake_task *t, const char *reason)
{
    const struct engine_generate *ask = &t->ask->generate;
    const char *in = ask->request != NULL ? ask->request : ask->prompt;
    t->text[t->sent] = '\0';
    struct engine_generated result = {.finish_reason = reason,
                                      .text = t->text,
                                      .usage = usage_of(t, count_words(in, strlen(in))),
                                      .logprob_mean = -0.25,
                                      .logprob_min = -1.5};
    f->base.sink->generated(f->base.sink->self, t->ask->id, &result);
    t->over = true;
}

/* One word a step. */
static void step_chat(struct fake_engine *f, struct fake_task *t)
{
    const struct engine_generate *ask = &t->ask->generate;
    if (t->text == NULL) {
        t->text = answer_chat(ask, t->ask->adapter);
        for (size_t i = 0; i < ask->n_stops; i++) {
            char *stop = strstr(t->text, ask->stops[i]);
            if (stop != NULL) {
                *stop = '\0';
            }
        }
    }
    size_t len = strlen(t->text);
    size_t end = t->sent;
    if (end < len) {
        end++;
        while (end < len && t->text[end] != ' ') {
            end++;
        }
        if (ask->stream) {
            f->base.sink->text(f->base.sink->self, t->ask->id, t->text + t->sent, end - t->sent);
        }
        t->sent = end;
        t->tokens_out++;
    }
    if (end >= len) {
        finish_chat(f, t, "stop");
    } else if (t->tokens_out >= ask->max_tokens) {
        finish_chat(f, t, "length");
    }
}

/* Forms. */

static bool has_word(const char *input, const char *word, size_t n)
{
    for (const char *at = input; *at != '\0'; at++) {
        bool starts = at == input || !isalnum((unsigned char)at[-1]);
        if (starts && strncasecmp(at, word, n) == 0) {
            return true;
        }
    }
    return false;
}

/* 1 for each word of the label that begins a word of the input (compared by its first 5
   letters). */
static double label_score(const char *label, const char *input)
{
    double score = 0;
    for (const char *at = label; *at != '\0';) {
        size_t n = 0;
        while (isalnum((unsigned char)at[n])) {
            n++;
        }
        if (n >= 3 && has_word(input, at, n > 5 ? 5 : n)) {
            score += 1;
        }
        at += n > 0 ? n : 1;
    }
    return score;
}

static void fill_choice(const struct form_piece *piece, const char *input,
                        struct form_result *result)
{
    double probs[FORM_LABELS_MAX];
    double sum = 0;
    size_t best = 0;
    for (size_t i = 0; i < piece->n_labels; i++) {
        uint64_t h = hash_of(input, strlen(input),
                             hash_of(piece->labels[i], strlen(piece->labels[i]), 0));
        double noise = (double)(h >> 40) / (double)(1u << 24);
        probs[i] = exp((3 * label_score(piece->labels[i], input) + noise) / piece->temperature);
        sum += probs[i];
        best = probs[i] > probs[best] ? i : best;
    }
    for (size_t i = 0; i < piece->n_labels; i++) {
        probs[i] /= sum;
    }
    struct form_field field = {.name = piece->name,
                               .kind = piece->kind,
                               .value = piece->labels[best],
                               .logprob = log(probs[best]),
                               .mass = piece->mass ? 0.5 + 0.5 * probs[best] : 0,
                               .probs = probs,
                               .n_probs = piece->n_labels};
    form_result_add(result, &field);
}

static void fill_text(const struct form_piece *piece, const char *input,
                      struct form_result *result)
{
    size_t n = strlen(input);
    for (size_t i = 0; i < piece->n_stops; i++) {
        const char *stop = strstr(input, piece->stops[i]);
        n = stop != NULL && (size_t)(stop - input) < n ? (size_t)(stop - input) : n;
    }
    n = piece->single_line && strcspn(input, "\r\n") < n ? strcspn(input, "\r\n") : n;
    size_t at = 0;
    unsigned chars = 0;
    for (; at < n && chars < piece->max_chars; chars++) {
        uint32_t cp;
        size_t step = text_utf8_decode(input + at, n - at, &cp);
        if (step == 0) {
            break;
        }
        at += step;
    }
    char *value = mem_dup_strn(input, at);
    struct form_field field = {.name = piece->name,
                               .kind = FORM_TEXT,
                               .value = text_trim(value),
                               .logprob = -0.5,
                               .cut = at < n};
    form_result_add(result, &field);
    mem_free(value);
}

static void fill_digits(const struct form_piece *piece, const char *input,
                        struct form_result *result)
{
    char value[32] = "";
    uint64_t h = hash_of(input, strlen(input), 7);
    for (size_t len = 0; len + 1 < sizeof value; len++, h = h * 6364136223846793005ull + 1) {
        unsigned next = form_next(piece, value);
        if ((next & FORM_NEXT_END) != 0) {
            break;
        }
        unsigned pick = (unsigned)(h >> 33) % (unsigned)__builtin_popcount(next);
        int c = __builtin_ctz(next);
        for (; pick > 0; pick--) {
            next &= next - 1;
            c = __builtin_ctz(next);
        }
        value[len] = "0123456789-."[c];
        value[len + 1] = '\0';
    }
    struct form_field field = {
        .name = piece->name, .kind = piece->kind, .value = value, .logprob = -0.7};
    form_result_add(result, &field);
}

/* States: a prompt's text stands for its KV, its words for its tokens. */

static void prompt_id(const char *domain, const char *text, char hex[65])
{
    struct buf all;
    uint8_t hash[32];
    buf_init(&all, 3u * IPC_FRAME_MAX);
    (void)buf_add(&all, domain, strlen(domain) + 1);
    (void)buf_add_str(&all, text);
    text_sha256(all.data, all.len, hash);
    text_hex(hash, sizeof hash, hex);
    buf_done(&all);
}

static struct fake_state *state_find(struct fake_engine *f, const char *prefix)
{
    for (int i = 0; i < f->n_states; i++) {
        if (strcmp(f->states[i].prefix, prefix) == 0) {
            return &f->states[i];
        }
    }
    return NULL;
}

static struct fake_state *state_add(struct fake_engine *f, const char *domain, const char *text)
{
    char prefix[65];
    prompt_id(domain, text, prefix);
    struct fake_state *s = state_find(f, prefix);
    if (s == NULL && f->n_states < STATES_MAX) {
        s = &f->states[f->n_states++];
        s->domain = mem_dup_str(domain);
        s->text = mem_dup_str(text);
        memcpy(s->prefix, prefix, sizeof prefix);
    }
    return s;
}

static struct ipc_state state_of(const struct fake_state *s)
{
    static const int32_t token = 7;
    return (struct ipc_state){.tokens = &token,
                              .n_tokens = 1,
                              .kv = (const uint8_t *)s->text,
                              .kv_bytes = strlen(s->text)};
}

static void keep_form(struct fake_engine *f, const struct fake_task *t)
{
    const struct engine_form *ask = &t->ask->form;
    char *text = arena_printf(t->ask->arena, "%s\n%s", ask->system, ask->prefix);
    struct fake_state *s = ask->released ? state_add(f, t->ask->domain, text) : NULL;
    if (s != NULL && f->base.sink->kept != NULL) {
        struct ipc_state state = state_of(s);
        struct engine_kept kept = {.prefix = s->prefix,
                                   .tokens = 1,
                                   .bytes = ipc_state_size(&state)};
        f->base.sink->kept(f->base.sink->self, t->ask->id, &kept);
    }
}

static enum fail fake_state_take(struct engine *engine, const char *prefix, uint8_t *out,
                                 size_t bytes, struct fault *why)
{
    struct fake_state *s = state_find(fake_of(engine), prefix);
    if (s == NULL) {
        return FAULT(why, FAIL_NOT_FOUND, "no such prefix is kept any more");
    }
    struct ipc_state state = state_of(s);
    if (ipc_state_size(&state) != bytes) {
        return FAULT(why, FAIL_CONFLICT, "the prefix has another size");
    }
    ipc_state_put(&state, out);
    return FAIL_NONE;
}

static enum fail fake_state_give(struct engine *engine, const char *domain, const uint8_t *bytes,
                                 size_t len, int64_t *tokens, struct fault *why)
{
    struct arena *arena = arena_new(len + 8u * 1024 * 1024);
    struct ipc_state state;
    enum fail failed = ipc_state_get(&state, bytes, len, arena, why);
    if (failed == FAIL_NONE) {
        *tokens = state.n_tokens;
        (void)state_add(fake_of(engine), domain,
                        arena_dup_strn(arena, (const char *)state.kv, (size_t)state.kv_bytes));
    }
    arena_free(arena);
    return failed;
}

static void step_form(struct fake_engine *f, struct fake_task *t)
{
    const struct engine_form *ask = &t->ask->form;
    struct form_result *result = form_result_new();
    for (size_t i = 0; i < ask->plan->n_pieces; i++) {
        const struct form_piece *piece = &ask->plan->pieces[i];
        switch (piece->kind) {
        case FORM_CHOICE:
        case FORM_BOOLEAN:
            fill_choice(piece, ask->input, result);
            break;
        case FORM_TEXT:
            fill_text(piece, ask->input, result);
            t->tokens_out += 5;
            break;
        case FORM_NUMBER:
        case FORM_DATE:
            fill_digits(piece, ask->input, result);
            break;
        case FORM_LITERAL:
        case FORM_KIND_COUNT:
            break;
        }
    }
    int64_t shared = count_words(ask->prefix, strlen(ask->prefix));
    struct engine_usage usage =
        usage_of(t, shared + count_words(ask->input, strlen(ask->input)));
    result->tokens_in = usage.tokens_in;
    result->tokens_cached = shared;
    result->tokens_out = usage.tokens_out;
    result->ms_queue = usage.ms_queue;
    result->ms_prefill = usage.ms_prefill;
    result->ms_decode = usage.ms_decode;
    keep_form(f, t);
    f->base.sink->formed(f->base.sink->self, t->ask->id, result);
    form_result_free(result);
    t->over = true;
}

/* Embeddings: each word and each of its three-letter parts votes for one dimension. */

static void vote(float *row, const char *s, size_t n, float weight)
{
    uint64_t h = hash_of(s, n, 3);
    row[h % DIM] += (h >> 60) & 1 ? weight : -weight;
}

static int embed_text(const char *text, size_t len, float *row)
{
    int words = 0;
    char word[64];
    size_t n = 0;
    memset(row, 0, DIM * sizeof *row);
    for (size_t i = 0; i <= len; i++) {
        unsigned char c = i < len ? (unsigned char)text[i] : ' ';
        if ((isalnum(c) || c >= 0x80) && n < sizeof word) {
            word[n++] = (char)tolower(c);
            continue;
        }
        if (n > 0) {
            vote(row, word, n, 1.0f);
            for (size_t k = 0; n > 3 && k + 3 <= n; k++) {
                vote(row, word + k, 3, 0.3f);
            }
            words++;
        }
        n = 0;
    }
    double sum = 0;
    for (int i = 0; i < DIM; i++) {
        sum += (double)row[i] * (double)row[i];
    }
    if (sum <= 0) {
        row[0] = 1;
        return words;
    }
    for (int i = 0; i < DIM; i++) {
        row[i] = (float)((double)row[i] / sqrt(sum));
    }
    return words;
}

static void step_embed(struct fake_engine *f, struct fake_task *t)
{
    const struct engine_embed *ask = &t->ask->embed;
    float *rows = mem_alloc_array(ask->n * DIM, sizeof *rows);
    int *tokens = mem_alloc_array(ask->n, sizeof *tokens);
    bool *cut = mem_alloc_array(ask->n, sizeof *cut);
    for (size_t i = 0; i < ask->n; i++) {
        tokens[i] = embed_text(ask->texts[i], ask->lens[i], rows + i * DIM);
    }
    struct engine_embedded result = {
        .n = ask->n, .dim = DIM, .rows = rows, .tokens = tokens, .cut = cut};
    f->base.sink->embedded(f->base.sink->self, t->ask->id, &result);
    mem_free(rows);
    mem_free(tokens);
    mem_free(cut);
    t->over = true;
}

/* The ops. */

static void sweep(struct fake_engine *f)
{
    for (struct fake_task **at = &f->first; *at != NULL;) {
        struct fake_task *t = *at;
        if (!t->over) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        f->n_tasks--;
        arena_free(t->ask->arena);
        mem_free(t->text);
        mem_free(t);
    }
}

static enum fail fake_load(struct engine *engine, int fd, const struct engine_load *load,
                           struct engine_loaded *out, struct fault *why)
{
    (void)fd;
    if (strstr(load->model, "unloadable") != NULL) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "the fake engine cannot load this file");
    }
    *out = (struct engine_loaded){.arch = "fake",
                                  .desc = "deterministic answers without a model",
                                  .kind = load->kind,
                                  .n_params = 1,
                                  .bytes = 1,
                                  .n_ctx = N_CTX,
                                  .n_ctx_train = N_CTX,
                                  .n_embd = DIM,
                                  .n_vocab = 256,
                                  .n_seq = load->n_seq > 0 ? (int)load->n_seq : 8,
                                  .has_template = true,
                                  .build = INHOUSE_VERSION " fake"};
    uint64_t print = load->sha256 == NULL ? 0 : hash_of(load->sha256, strlen(load->sha256), 0);
    (void)snprintf(out->fingerprint, sizeof out->fingerprint, "fp_%016" PRIx64, print);
    engine->info = *out;
    engine->loaded = true;
    return FAIL_NONE;
}

static enum fail fake_submit(struct engine *engine, struct engine_ask *ask, struct fault *why)
{
    struct fake_engine *f = fake_of(engine);
    if (!engine->loaded) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "no model is loaded");
    }
    if ((ask->job == ENGINE_JOB_EMBED) != (engine->info.kind == ENGINE_EMBED)) {
        return FAULT(why, FAIL_UNSUPPORTED, "this model does not do that");
    }
    bool there = ask->adapter == NULL;
    for (int i = 0; i < f->n_adapters && !there; i++) {
        there = strcmp(f->adapters[i], ask->adapter) == 0;
    }
    if (!there) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "the adapter %.16s is not loaded here",
                     ask->adapter);
    }
    if (f->n_tasks >= ENGINE_QUEUE_MAX) {
        return FAULT(why, FAIL_QUEUE_FULL, "%d asks already wait for this model", f->n_tasks);
    }
    struct fake_task *t = mem_alloc(sizeof *t);
    t->ask = ask;
    t->at_submit = clock_monotonic_us();
    struct fake_task **end = &f->first;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = t;
    f->n_tasks++;
    return FAIL_NONE;
}

static void fake_fail(struct fake_engine *f, struct fake_task *t, const struct fault *why)
{
    f->base.sink->failed(f->base.sink->self, t->ask->id, why);
    t->over = true;
}

static void fake_cancel(struct engine *engine, uint64_t id)
{
    struct fake_engine *f = fake_of(engine);
    for (struct fake_task *t = f->first; t != NULL; t = t->next) {
        if (t->ask->id != id || t->over) {
            continue;
        }
        struct fault why = {0};
        (void)FAULT(&why, FAIL_STOPPED, "cancelled");
        if (t->ask->job == ENGINE_JOB_GENERATE) {
            t->text = t->text == NULL ? mem_dup_str("") : t->text;
            finish_chat(f, t, "cancelled");
        } else {
            fake_fail(f, t, &why);
        }
    }
    sweep(f);
}

static bool fake_forecast(struct engine *engine, struct engine_step *out)
{
    struct fake_engine *f = fake_of(engine);
    *out = (struct engine_step){.us = 10, .tokens = 1, .class = IPC_BATCH};
    for (const struct fake_task *t = f->first; t != NULL; t = t->next) {
        out->class = t->ask->class < out->class ? t->ask->class : out->class;
    }
    return f->first != NULL;
}

static void begin(struct fake_engine *f, struct fake_task *t)
{
    const struct engine_ask *ask = t->ask;
    struct fault why = {0};
    int64_t delay_ms = 0;
    enum fail failed = FAIL_NONE;
    t->begun = true;
    if (ask->job == ENGINE_JOB_GENERATE) {
        failed = misbehave(ask->generate.request != NULL ? ask->generate.request
                                                         : ask->generate.prompt,
                           &delay_ms, &why);
    } else if (ask->job == ENGINE_JOB_FORM) {
        failed = misbehave(ask->form.input, &delay_ms, &why);
    }
    for (size_t i = 0; ask->job == ENGINE_JOB_EMBED && i < ask->embed.n && failed == FAIL_NONE;
         i++) {
        failed = misbehave(ask->embed.texts[i], &delay_ms, &why);
    }
    if (failed != FAIL_NONE) {
        fake_fail(f, t, &why);
    }
    t->ready_at = clock_monotonic_us() + delay_ms * 1000;
}

static void fake_step(struct engine *engine, uint32_t lease_us)
{
    (void)lease_us;
    struct fake_engine *f = fake_of(engine);
    bool waited_only = true;
    for (struct fake_task *t = f->first; t != NULL; t = t->next) {
        if (!t->begun) {
            begin(f, t);
        }
        if (t->over || clock_monotonic_us() < t->ready_at) {
            continue;
        }
        waited_only = false;
        switch (t->ask->job) {
        case ENGINE_JOB_GENERATE:
            step_chat(f, t);
            break;
        case ENGINE_JOB_FORM:
            step_form(f, t);
            break;
        case ENGINE_JOB_EMBED:
            step_embed(f, t);
            break;
        }
    }
    if (waited_only && f->first != NULL) {
        struct timespec nap = {.tv_nsec = 2000000};
        (void)nanosleep(&nap, NULL);
    }
    sweep(f);
}

/* {{ name }} is all the Jinja it knows. */
static enum fail fake_render(struct engine *engine, const char *text, const char *vars, int64_t now,
                             struct buf *out, struct fault *why)
{
    (void)engine;
    (void)now;
    AUTO_JSON json_t *tree = json_loads(vars, 0, NULL);
    while (*text != '\0') {
        const char *open = strstr(text, "{{");
        const char *close = open == NULL ? NULL : strstr(open, "}}");
        if (close == NULL) {
            (void)buf_add_str(out, text);
            break;
        }
        (void)buf_add(out, text, (size_t)(open - text));
        char *name = mem_dup_strn(open + 2, (size_t)(close - open - 2));
        const char *value = json_string_value(json_object_get(tree, text_trim(name)));
        (void)buf_add_str(out, value == NULL ? "" : value);
        mem_free(name);
        text = close + 2;
    }
    return out->overflow ? FAULT(why, FAIL_TOO_LARGE, "a rendered text of over 1 MiB") : FAIL_NONE;
}

static enum fail fake_count_text(struct engine *engine, const char *text, size_t len,
                                 int64_t *tokens, struct fault *why)
{
    (void)engine;
    (void)why;
    *tokens = count_words(text, len);
    return FAIL_NONE;
}

static enum fail fake_count_messages(struct engine *engine, const char *request, int64_t *tokens,
                                     struct fault *why)
{
    return fake_count_text(engine, request, strlen(request), tokens, why);
}

static void fake_stats(struct engine *engine, struct engine_stats *out)
{
    *out = (struct engine_stats){.running = fake_of(engine)->n_tasks, .kv_cells = N_CTX,
                                 .stashed = fake_of(engine)->n_states};
}

static void fake_free(struct engine *engine)
{
    struct fake_engine *f = fake_of(engine);
    for (struct fake_task *t = f->first; t != NULL; t = t->next) {
        t->over = true;
    }
    sweep(f);
    for (int i = 0; i < f->n_states; i++) {
        mem_free(f->states[i].domain);
        mem_free(f->states[i].text);
    }
    mem_free(f);
}

/* Any file will do; asks name it and the answer shows it. */
static enum fail fake_adapter(struct engine *engine, int fd, const struct engine_adapter *adapter,
                              struct fault *why)
{
    struct fake_engine *f = fake_of(engine);
    (void)fd;
    if (!engine->loaded) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "no model is loaded");
    }
    if (strstr(adapter->name, "bad") != NULL) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "this adapter is bad");
    }
    if (f->n_adapters == ENGINE_ADAPTERS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "too many adapters");
    }
    (void)text_copy(f->adapters[f->n_adapters++], 65, adapter->sha256);
    return FAIL_NONE;
}

struct engine *engine_fake_new(const struct engine_sink *sink)
{
    static const struct engine_ops ops = {
        .name = "fake",
        .load = fake_load,
        .adapter = fake_adapter,
        .submit = fake_submit,
        .cancel = fake_cancel,
        .forecast = fake_forecast,
        .step = fake_step,
        .render = fake_render,
        .count_text = fake_count_text,
        .count_messages = fake_count_messages,
        .state_take = fake_state_take,
        .state_give = fake_state_give,
        .stats = fake_stats,
        .free = fake_free,
    };
    struct fake_engine *f = mem_alloc(sizeof *f);
    f->base.ops = &ops;
    f->base.sink = sink;
    return &f->base;
}
