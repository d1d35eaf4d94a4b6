/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/serve, asks: JSON and bulk bodies into the engine's structs, every limit checked, every
 * unknown key refused.
 * Owns: an ask's arena until it is handed over; the JSON tree lives as long as the arena. Threads:
 * one.
 * Limits: docs/protocol/worker.md.
 */
#include "worker/serve/serve_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"

#define ASK_BYTES_MAX (16u * 1024 * 1024)
#define DOMAIN_MAX 128
#define MESSAGES_MAX 512
#define TOOLS_MAX 64
#define SCHEMA_BYTES_MAX (64u * 1024)
#define SCHEMA_NESTING_MAX 56 /* inside a frame, which may be 64 deep */
#define GRAMMAR_BYTES_MAX (8u * 1024)
#define NOW_MAX 253402300799ll /* the end of 9999 */

#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum fail failed_ = (call);                                                                \
        if (failed_ != FAIL_NONE) {                                                                \
            return failed_;                                                                        \
        }                                                                                          \
    } while (0)

static enum fail bad(struct fault *why, const char *param, const char *problem)
{
    (void)FAULT(why, FAIL_BAD_REQUEST, "%s %s", param, problem);
    return fail_param(why, param);
}

static bool is_sha256(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* LOAD. */

static enum fail read_kv(const json_t *tree, const char *key, enum engine_kv *out,
                         struct fault *why)
{
    const char *word = "f16";
    TRY(jn_str(tree, key, false, 8, &word, why));
    if (strcmp(word, "f16") != 0 && strcmp(word, "q8_0") != 0) {
        return bad(why, key, "must be f16 or q8_0");
    }
    *out = word[0] == 'q' ? ENGINE_KV_Q8_0 : ENGINE_KV_F16;
    return FAIL_NONE;
}

enum fail ask_read_load(const json_t *tree, struct engine_load *load, bool *turns,
                        struct fault *why)
{
    static const char *const keys[] = {"model",     "sha256",  "kind",     "n_ctx",
                                       "n_seq",     "n_threads", "n_batch",  "n_ubatch",
                                       "flash",     "type_k",  "type_v",   "gpu_layers",
                                       "turns",     "template", "speculate", "prefix_cells",
                                       "prefix_ram_mb", NULL};
    const char *sha256 = NULL;
    const char *kind = NULL;
    const char *flash = "auto";
    int64_t n_ctx = 0;
    int64_t n_seq = 0;
    int64_t n_threads = 1;
    int64_t n_batch = 512;
    int64_t n_ubatch = 0;
    int64_t gpu_layers = -1;
    int64_t idle_cells = ENGINE_IDLE_CELLS_MAX;
    int64_t stash_mb = 0;
    *load = (struct engine_load){.speculate = true};
    *turns = false;
    TRY(jn_only(tree, keys, why));
    TRY(jn_str(tree, "model", true, 128, &load->model, why));
    TRY(jn_str(tree, "sha256", true, 64, &sha256, why));
    TRY(jn_str(tree, "kind", true, 16, &kind, why));
    TRY(jn_int(tree, "n_ctx", false, 256, 131072, &n_ctx, why));
    TRY(jn_int(tree, "n_seq", false, 0, ENGINE_SEQ_MAX, &n_seq, why));
    TRY(jn_int(tree, "n_threads", false, 1, 64, &n_threads, why));
    TRY(jn_int(tree, "n_batch", false, 16, 2048, &n_batch, why));
    TRY(jn_int(tree, "n_ubatch", false, 16, n_batch, &n_ubatch, why));
    TRY(jn_int(tree, "gpu_layers", false, -1, 1024, &gpu_layers, why));
    TRY(jn_str(tree, "flash", false, 8, &flash, why));
    TRY(read_kv(tree, "type_k", &load->type_k, why));
    TRY(read_kv(tree, "type_v", &load->type_v, why));
    TRY(jn_bool(tree, "turns", false, turns, why));
    TRY(jn_int(tree, "prefix_cells", false, 1, ENGINE_IDLE_CELLS_MAX, &idle_cells, why));
    TRY(jn_int(tree, "prefix_ram_mb", false, 0, ENGINE_STASH_MB_MAX, &stash_mb, why));
    TRY(jn_str(tree, "template", false, IPC_JSON_MAX, &load->chat_template, why));
    TRY(jn_bool(tree, "speculate", false, &load->speculate, why));
    if (!is_sha256(sha256)) {
        return bad(why, "sha256", "must be 64 hex digits");
    }
    if (strcmp(kind, "generate") != 0 && strcmp(kind, "embed") != 0) {
        return bad(why, "kind", "must be generate or embed");
    }
    if (strcmp(flash, "auto") != 0 && strcmp(flash, "on") != 0 && strcmp(flash, "off") != 0) {
        return bad(why, "flash", "must be auto, on or off");
    }
    load->sha256 = sha256;
    load->kind = kind[0] == 'e' ? ENGINE_EMBED : ENGINE_GENERATE;
    load->flash = flash[0] == 'a'              ? ENGINE_FLASH_AUTO
                  : strcmp(flash, "on") == 0 ? ENGINE_FLASH_ON
                                             : ENGINE_FLASH_OFF;
    if (load->flash == ENGINE_FLASH_OFF && load->type_v != ENGINE_KV_F16) {
        return bad(why, "type_v", "must be f16 with flash off");
    }
    load->n_ubatch = (unsigned)n_ubatch;
    load->gpu_layers = (int)gpu_layers;
    load->n_ctx = (unsigned)n_ctx;
    load->n_seq = (unsigned)n_seq;
    load->n_threads = (unsigned)n_threads;
    load->n_batch = (unsigned)n_batch;
    load->idle_cells = (unsigned)idle_cells;
    load->stash_mb = (unsigned)stash_mb;
    return FAIL_NONE;
}

/* STATE. */

enum fail ask_read_state(const json_t *tree, struct state_ask *out, struct fault *why)
{
    static const char *const keys[] = {"op", "prefix", "domain", "bytes", NULL};
    const char *op = NULL;
    *out = (struct state_ask){0};
    TRY(jn_only(tree, keys, why));
    TRY(jn_str(tree, "op", true, 8, &op, why));
    TRY(jn_int(tree, "bytes", true, 1, INT32_MAX, &out->bytes, why));
    if (strcmp(op, "take") != 0 && strcmp(op, "give") != 0) {
        return bad(why, "op", "must be take or give");
    }
    out->take = op[0] == 't';
    TRY(jn_str(tree, "prefix", out->take, 64, &out->prefix, why));
    return jn_str(tree, "domain", !out->take, DOMAIN_MAX, &out->domain, why);
}

enum fail ask_read_adapter(const json_t *tree, struct engine_adapter *out, struct fault *why)
{
    static const char *const keys[] = {"adapter", "sha256", NULL};
    TRY(jn_only(tree, keys, why));
    TRY(jn_str(tree, "adapter", true, 128, &out->name, why));
    TRY(jn_str(tree, "sha256", true, 64, &out->sha256, why));
    return is_sha256(out->sha256) ? FAIL_NONE : bad(why, "sha256", "must be 64 hex digits");
}

/* Messages. */

static enum fail read_tool_choice(const json_t *choice, json_t *request, struct fault *why)
{
    const char *word = json_string_value(choice);
    if (word != NULL && (strcmp(word, "auto") == 0 || strcmp(word, "none") == 0 ||
                         strcmp(word, "required") == 0)) {
        json_object_set(request, "tool_choice", (json_t *)choice);
        return FAIL_NONE;
    }
    /* One named tool: only that one is shown, and it is required. */
    const char *name =
        json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    size_t i;
    json_t *tool;
    json_array_foreach(json_object_get(request, "tools"), i, tool) {
        const char *own =
            json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (name != NULL && own != NULL && strcmp(name, own) == 0) {
            json_t *only = json_array();
            json_array_append(only, tool);
            json_object_set_new(request, "tools", only);
            json_object_set_new(request, "tool_choice", json_string("required"));
            return FAIL_NONE;
        }
    }
    return bad(why, "tool_choice", "must be auto, none, required or the name of a given tool");
}

static enum fail build_request(const json_t *tree, json_t *request, bool *tools, struct fault *why)
{
    json_t *messages = NULL;
    json_t *list = NULL;
    json_t *vars = NULL;
    int64_t now = 0;
    TRY(jn_array(tree, "messages", true, MESSAGES_MAX, &messages, why));
    TRY(jn_array(tree, "tools", false, TOOLS_MAX, &list, why));
    TRY(jn_object(tree, "template_vars", false, &vars, why));
    TRY(jn_int(tree, "now", false, 0, NOW_MAX, &now, why));
    if (json_array_size(messages) == 0) {
        return bad(why, "messages", "must not be empty");
    }
    json_object_set(request, "messages", messages);
    *tools = json_array_size(list) > 0;
    if (*tools) {
        json_object_set(request, "tools", list);
        const json_t *choice = json_object_get(tree, "tool_choice");
        if (choice != NULL) {
            TRY(read_tool_choice(choice, request, why));
        }
    }
    if (vars != NULL) {
        json_object_set(request, "template_vars", vars);
    }
    if (now != 0) {
        json_object_set_new(request, "now", json_integer(now));
    }
    return FAIL_NONE;
}

enum fail ask_read_messages(const json_t *tree, struct arena *arena, const char **out, bool *tools,
                            struct fault *why)
{
    AUTO_JSON json_t *request = json_object();
    TRY(build_request(tree, request, tools, why));
    char *text = json_dumps(request, JSON_COMPACT);
    *out = arena_dup_str(arena, text);
    /* tidy: memory: jansson made it */
    free(text);
    return FAIL_NONE;
}

/* GENERATE. */

static int depth_of(const json_t *node)
{
    int deepest = 0;
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)node, key, value) {
        int d = depth_of(value);
        deepest = d > deepest ? d : deepest;
    }
    json_array_foreach(node, i, value) {
        int d = depth_of(value);
        deepest = d > deepest ? d : deepest;
    }
    return deepest + 1;
}

static enum fail read_schema(const json_t *tree, struct engine_ask *ask, struct fault *why)
{
    json_t *schema = NULL;
    TRY(jn_object(tree, "json_schema", false, &schema, why));
    TRY(jn_str(tree, "grammar", false, GRAMMAR_BYTES_MAX, &ask->generate.grammar, why));
    TRY(jn_bool(tree, "convert_schema", false, &ask->generate.convert_schema, why));
    if (schema == NULL) {
        return FAIL_NONE;
    }
    if (ask->generate.grammar != NULL || ask->generate.tools) {
        return bad(why, "json_schema", "cannot be combined with a grammar or tools");
    }
    if (depth_of(schema) > SCHEMA_NESTING_MAX) {
        return bad(why, "json_schema", "is nested more than 56 deep");
    }
    char *text = json_dumps(schema, JSON_COMPACT);
    bool fits = strlen(text) <= SCHEMA_BYTES_MAX;
    ask->generate.schema = fits ? arena_dup_str(ask->arena, text) : NULL;
    /* tidy: memory: jansson made it */
    free(text);
    return fits ? FAIL_NONE : bad(why, "json_schema", "is larger than 64 KiB");
}

static enum fail read_generate(const json_t *tree, struct engine_ask *ask, struct fault *why)
{
    static const char *const keys[] = {
        "domain", "class",    "messages",    "prompt",  "max_tokens",    "temperature",
        "top_p",  "seed",     "stop",        "stream",  "logprobs",      "json_schema",
        "tools",  "grammar",  "tool_choice", "now",     "template_vars", "reproducible",
        "adapter", "convert_schema", NULL};
    struct engine_generate *g = &ask->generate;
    int64_t max_tokens = 256;
    int64_t seed = 0;
    int64_t logprobs = 0;
    json_t *stops = NULL;
    g->top_p = 1;
    TRY(jn_only(tree, keys, why));
    TRY(jn_int(tree, "max_tokens", false, 1, 131072, &max_tokens, why));
    TRY(jn_real(tree, "temperature", false, 0, 2, &g->temperature, why));
    TRY(jn_real(tree, "top_p", false, 0, 1, &g->top_p, why));
    TRY(jn_int(tree, "seed", false, INT64_MIN, INT64_MAX, &seed, why));
    TRY(jn_int(tree, "logprobs", false, 0, ENGINE_LOGPROBS_MAX, &logprobs, why));
    TRY(jn_bool(tree, "stream", false, &g->stream, why));
    TRY(jn_array(tree, "stop", false, ENGINE_STOPS_MAX, &stops, why));
    TRY(jn_str(tree, "prompt", false, IPC_FRAME_MAX, &g->prompt, why));
    g->max_tokens = (int)max_tokens;
    g->seed = (uint64_t)seed;
    g->logprobs = (unsigned)logprobs;
    for (size_t i = 0; i < json_array_size(stops); i++) {
        const char *stop = json_string_value(json_array_get(stops, i));
        if (stop == NULL || *stop == '\0' || strlen(stop) > 64) {
            return bad(why, "stop", "must hold strings of 1 to 64 bytes");
        }
        g->stops[g->n_stops++] = stop;
    }
    bool chat = json_object_get(tree, "messages") != NULL;
    if (chat == (g->prompt != NULL)) {
        return bad(why, "messages", "or prompt: exactly one of them must be given");
    }
    if (chat) {
        TRY(ask_read_messages(tree, ask->arena, &g->request, &g->tools, why));
    }
    /* The clock is not part of the ask. */
    if (ask->reproducible && chat && json_object_get(tree, "now") == NULL) {
        return bad(why, "now", "must be given for a reproducible answer");
    }
    return read_schema(tree, ask, why);
}

/* FORM. */

static void free_plan(void *plan)
{
    form_plan_free(plan);
}

static enum fail read_form(const json_t *tree, struct engine_ask *ask, struct fault *why)
{
    static const char *const keys[] = {"share_input", "domain", "class", "system", "prefix",
                                       "input",
                                       "suffix", "plan",  "now",    "seed",   "reproducible",
                                       "released", "adapter", NULL};
    int64_t seed = 0;
    struct engine_form *f = &ask->form;
    struct form_plan *plan = NULL;
    f->system = "";
    f->prefix = "";
    f->suffix = "";
    TRY(jn_only(tree, keys, why));
    TRY(jn_str(tree, "system", false, IPC_FRAME_MAX, &f->system, why));
    TRY(jn_str(tree, "prefix", false, IPC_FRAME_MAX, &f->prefix, why));
    TRY(jn_str(tree, "input", true, IPC_FRAME_MAX, &f->input, why));
    TRY(jn_str(tree, "suffix", false, IPC_FRAME_MAX, &f->suffix, why));
    TRY(jn_bool(tree, "share_input", false, &f->share_input, why));
    TRY(jn_int(tree, "now", false, 0, NOW_MAX, &f->now, why));
    TRY(jn_int(tree, "seed", false, INT64_MIN, INT64_MAX, &seed, why));
    TRY(jn_bool(tree, "released", false, &f->released, why));
    if (f->released && ask->adapter != NULL) {
        return bad(why, "released", "is of the model alone, without an adapter");
    }
    f->seed = (uint64_t)seed;
    if (ask->reproducible && f->now == 0) {
        return bad(why, "now", "must be given for a reproducible answer");
    }
    TRY(form_plan_read(json_object_get(tree, "plan"), &plan, why));
    arena_defer(ask->arena, free_plan, plan);
    f->plan = plan;
    return FAIL_NONE;
}

/* EMBED. */

static enum fail read_embed(const json_t *tree, struct engine_ask *ask, struct fault *why)
{
    static const char *const keys[] = {"domain", "class", "texts", "reproducible", NULL};
    json_t *texts = NULL;
    TRY(jn_only(tree, keys, why));
    TRY(jn_array(tree, "texts", true, ENGINE_EMBED_MAX, &texts, why));
    size_t n = json_array_size(texts);
    if (n == 0) {
        return bad(why, "texts", "must not be empty");
    }
    const char **list = arena_alloc(ask->arena, n * sizeof *list);
    size_t *lens = arena_alloc(ask->arena, n * sizeof *lens);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(texts, i);
        if (!json_is_string(item)) {
            return bad(why, "texts", "must hold strings");
        }
        list[i] = json_string_value(item);
        lens[i] = json_string_length(item);
    }
    ask->embed = (struct engine_embed){.texts = list, .lens = lens, .n = n};
    return FAIL_NONE;
}

static uint32_t number_at(const uint8_t *at, size_t bytes)
{
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint32_t)at[i] << (8 * i);
    }
    return value;
}

static enum fail read_embed_bulk(const struct ipc_frame *frame, struct engine_ask *ask,
                                 struct fault *why)
{
    const uint8_t *at = frame->body;
    size_t left = frame->head.len;
    if (left < 8) {
        return bad(why, "texts", "bulk body without its header");
    }
    uint32_t n = number_at(at, 4);
    uint32_t class = number_at(at + 4, 1);
    uint32_t flags = number_at(at + 5, 1);
    uint32_t domain = number_at(at + 6, 2);
    at += 8;
    left -= 8;
    if (n < 1 || n > ENGINE_EMBED_MAX || class >= IPC_CLASS_COUNT || flags > 1 ||
        domain > DOMAIN_MAX ||
        domain < 1 || domain > left || memchr(at, '\0', domain) != NULL) {
        return bad(why, "texts", "bulk header out of bounds");
    }
    ask->class = (enum ipc_class)class;
    ask->reproducible = flags == 1;
    ask->domain = arena_dup_strn(ask->arena, (const char *)at, domain);
    at += domain;
    left -= domain;
    const char **list = arena_alloc(ask->arena, n * sizeof *list);
    size_t *lens = arena_alloc(ask->arena, n * sizeof *lens);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t len = left >= 4 ? number_at(at, 4) : UINT32_MAX;
        if (left < 4 || len > left - 4 || !text_utf8_is_valid((const char *)at + 4, len)) {
            return bad(why, "texts", "bulk text out of bounds or not UTF-8");
        }
        list[i] = arena_dup_strn(ask->arena, (const char *)at + 4, len);
        lens[i] = len;
        at += 4 + len;
        left -= 4 + len;
    }
    ask->embed = (struct engine_embed){.texts = list, .lens = lens, .n = n};
    return left == 0 ? FAIL_NONE : bad(why, "texts", "bulk body with bytes left over");
}

/* All three. */

static enum fail read_common(const json_t *tree, struct engine_ask *ask, struct fault *why)
{
    const char *class = "interactive";
    TRY(jn_str(tree, "domain", true, DOMAIN_MAX, &ask->domain, why));
    TRY(jn_str(tree, "class", false, 16, &class, why));
    TRY(jn_bool(tree, "reproducible", false, &ask->reproducible, why));
    TRY(jn_str(tree, "adapter", false, 64, &ask->adapter, why));
    if (ask->adapter != NULL) {
        if (!is_sha256(ask->adapter)) {
            return bad(why, "adapter", "must be 64 hex digits");
        }
        /* What was decoded under it is never shared with what was not. */
        struct buf domain;
        buf_init(&domain, 2 * DOMAIN_MAX);
        (void)buf_printf(&domain, "%s/adapter:%s", ask->domain, ask->adapter);
        ask->domain = arena_dup_str(ask->arena, domain.data);
        buf_done(&domain);
    }
    ask->class = ipc_class_find(class);
    if (ask->class == IPC_CLASS_COUNT) {
        return bad(why, "class", "must be interactive, workflow or batch");
    }
    return FAIL_NONE;
}

static void free_tree(void *tree)
{
    json_decref(tree);
}

static enum fail read_json(const struct ipc_frame *frame, struct engine_ask *ask,
                           struct fault *why)
{
    json_t *tree = NULL;
    TRY(jn_parse((const char *)frame->body, frame->head.len, "ask", &tree, why));
    arena_defer(ask->arena, free_tree, tree);
    if (!json_is_object(tree)) {
        return FAULT(why, FAIL_BAD_REQUEST, "an ask must be a JSON object");
    }
    TRY(read_common(tree, ask, why));
    switch (ask->job) {
    case ENGINE_JOB_GENERATE:
        return read_generate(tree, ask, why);
    case ENGINE_JOB_FORM:
        return read_form(tree, ask, why);
    case ENGINE_JOB_EMBED:
        return read_embed(tree, ask, why);
    }
    return FAIL_NONE;
}

enum fail ask_read(const struct ipc_frame *frame, struct engine_ask **out, struct fault *why)
{
    struct arena *arena = arena_new(ASK_BYTES_MAX);
    struct engine_ask *ask = arena_alloc(arena, sizeof *ask);
    ask->arena = arena;
    ask->id = frame->head.id;
    ask->job = frame->head.type == IPC_GENERATE ? ENGINE_JOB_GENERATE
               : frame->head.type == IPC_FORM   ? ENGINE_JOB_FORM
                                                : ENGINE_JOB_EMBED;
    enum fail failed = (frame->head.flags & IPC_FLAG_BULK) != 0
                           ? read_embed_bulk(frame, ask, why)
                           : read_json(frame, ask, why);
    if (failed != FAIL_NONE) {
        arena_free(arena);
        return failed;
    }
    *out = ask;
    return FAIL_NONE;
}
