/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the small files of a sentence-transformers folder say: config.json (shape),
 * tokenizer_config.json (case, accents), sentence_bert_config.json (where texts are cut),
 * modules.json and 1_Pooling/config.json (how a vector is made), README.md (name and licence).
 * Anything that would make the vectors differ from the original model's is refused by name, never
 * ignored. Owns: struct tool_bert. Threads: one. Limits: 512 layers, 65,536 wide, 1,048,576 tokens.
 */
#include "worker/tool/tool_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "llama.h"

/* Prefixes the file's name to what jn_* said about a key. */
static enum fail in_file(const struct tool_file *file, enum fail f, struct fault *why)
{
    if (f != FAIL_NONE && why != NULL) {
        char said[sizeof(why->message)];
        text_copy(said, sizeof(said), why->message);
        snprintf(why->message, sizeof(why->message), "%s: %.250s", file->name, said);
    }
    return f;
}

static enum fail want_text(const struct tool_file *file, const json_t *obj, const char *key,
                           const char *want, struct fault *why)
{
    const char *have = want;
    enum fail f = in_file(file, jn_str(obj, key, false, 256, &have, why), why);
    if (f == FAIL_NONE && strcmp(have, want) != 0) {
        FAULT(why, FAIL_UNSUPPORTED, "%s: %s is \"%.60s\"; only \"%s\" can be imported", file->name,
              key, have, want);
        f = fail_hint(
            why,
            "Convert this model with llama.cpp's convert_hf_to_gguf.py and add the GGUF file.");
    }
    return f;
}

static enum fail want_count(const struct tool_file *file, const json_t *obj, const char *key,
                            int64_t max, uint32_t *out, struct fault *why)
{
    int64_t v = 0;
    enum fail f = in_file(file, jn_int(obj, key, true, 1, max, &v, why), why);
    *out = (uint32_t)v;
    return f;
}

static enum fail read_config(struct tool_bert *b, const struct tool_file *file, struct fault *why)
{
    AUTO_JSON json_t *conf = NULL;
    enum fail f = tool_file_json(file, &conf, why);
    if (f == FAIL_NONE && conf == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "%s: the folder has no such file", file->name);
        f = fail_hint(why,
                      "Give the folder that holds config.json, model.safetensors and vocab.txt.");
    }
    const struct {
        const char *key;
        const char *want;
    } fixed[] = {
        {"model_type", "bert"}, {"hidden_act", "gelu"}, {"position_embedding_type", "absolute"}};
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(fixed); i++) {
        f = want_text(file, conf, fixed[i].key, fixed[i].want, why);
    }
    const struct {
        const char *key;
        int64_t max;
        uint32_t *out;
    } counts[] = {{"num_hidden_layers", 512, &b->layers},
                  {"num_attention_heads", 1024, &b->heads},
                  {"hidden_size", 65536, &b->width},
                  {"intermediate_size", 1048576, &b->inner},
                  {"max_position_embeddings", 1048576, &b->positions},
                  {"vocab_size", 1048576, &b->vocab_size}};
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(counts); i++) {
        f = want_count(file, conf, counts[i].key, counts[i].max, counts[i].out, why);
    }
    int64_t types = 2;
    double eps = 1e-12;
    if (f == FAIL_NONE) {
        f = in_file(file, jn_int(conf, "type_vocab_size", false, 1, 1024, &types, why), why);
    }
    if (f == FAIL_NONE) {
        f = in_file(file, jn_real(conf, "layer_norm_eps", false, 0.0, 1.0, &eps, why), why);
    }
    if (f == FAIL_NONE && b->width % b->heads != 0) {
        f = FAULT(why, FAIL_BAD_REQUEST,
                  "%s: hidden_size %u is not a multiple of num_attention_heads %u", file->name,
                  b->width, b->heads);
    }
    b->types = (uint32_t)types;
    b->norm_eps = (float)eps;
    return f;
}

static enum fail read_case(struct tool_bert *b, const struct tool_file *file, const json_t *conf,
                           struct fault *why)
{
    bool lower = true, cjk = true;
    enum fail f = in_file(file, jn_bool(conf, "do_lower_case", false, &lower, why), why);
    if (f == FAIL_NONE) {
        f = in_file(file, jn_bool(conf, "tokenize_chinese_chars", false, &cjk, why), why);
    }
    if (f == FAIL_NONE && !cjk) {
        f = FAULT(
            why, FAIL_UNSUPPORTED,
            "%s: tokenize_chinese_chars is false; the engine always splits Chinese characters",
            file->name);
    }
    const json_t *strip = json_object_get(conf, "strip_accents");
    if (f == FAIL_NONE && strip != NULL && !json_is_null(strip) && !json_is_boolean(strip)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s: strip_accents must be true, false or null",
                  file->name);
    }
    b->lower = lower;
    b->strip_accents = json_is_boolean(strip) ? json_is_true(strip) : lower;
    return f;
}

static enum fail read_sentence(struct tool_bert *b, const struct tool_file *file, struct fault *why)
{
    AUTO_JSON json_t *conf = NULL;
    int64_t limit = b->positions;
    bool lower = false;
    enum fail f = tool_file_json(file, &conf, why);
    if (f == FAIL_NONE && conf != NULL && !json_is_null(json_object_get(conf, "max_seq_length"))) {
        f = in_file(file, jn_int(conf, "max_seq_length", false, 8, 1048576, &limit, why), why);
    }
    if (f == FAIL_NONE && conf != NULL) {
        f = in_file(file, jn_bool(conf, "do_lower_case", false, &lower, why), why);
    }
    b->lower = b->lower || lower;
    b->context = limit < b->positions ? (uint32_t)limit : b->positions;
    return f;
}

/* The pipeline must be transformer, pooling and perhaps normalise: a dense layer behind them
 * changes the vectors. */
static enum fail read_modules(const struct tool_file *file, struct fault *why)
{
    if (file->data == NULL) {
        return FAIL_NONE;
    }
    AUTO_JSON json_t *list = NULL;
    enum fail f = jn_parse((const char *)file->data, file->size, file->name, &list, why);
    size_t i;
    json_t *module;
    json_array_foreach(list, i, module)
    {
        const char *type = json_string_value(json_object_get(module, "type"));
        const char *dot = type == NULL ? NULL : strrchr(type, '.');
        dot = dot == NULL ? "?" : dot + 1;
        if (f == FAIL_NONE && strcmp(dot, "Transformer") != 0 && strcmp(dot, "Pooling") != 0 &&
            strcmp(dot, "Normalize") != 0) {
            FAULT(why, FAIL_UNSUPPORTED, "%s: module %zu is a %.60s, which GGUF cannot hold",
                  file->name, i, dot);
            f = fail_hint(why, "Only Transformer, Pooling and Normalize modules can be imported.");
        }
    }
    return f;
}

static enum fail read_pooling(struct tool_bert *b, const struct tool_file *file, struct fault *why)
{
    AUTO_JSON json_t *conf = NULL;
    enum fail f = tool_file_json(file, &conf, why);
    if (f != FAIL_NONE || conf == NULL) {
        b->pooling =
            LLAMA_POOLING_TYPE_MEAN; /* what sentence-transformers takes for a bare BERT folder */
        return f;
    }
    const struct {
        const char *key;
        int64_t type; /* -1: the engine has no such pooling */
    } modes[] = {{"pooling_mode_mean_tokens", LLAMA_POOLING_TYPE_MEAN},
                 {"pooling_mode_cls_token", LLAMA_POOLING_TYPE_CLS},
                 {"pooling_mode_lasttoken", LLAMA_POOLING_TYPE_LAST},
                 {"pooling_mode_max_tokens", -1},
                 {"pooling_mode_mean_sqrt_len_tokens", -1},
                 {"pooling_mode_weightedmean_tokens", -1}};
    /* Newer folders name the mode in one key instead of one key a mode. */
    const char *named = json_string_value(json_object_get(conf, "pooling_mode"));
    int n = 0;
    if (named != NULL) {
        bool mean = strcmp(named, "mean") == 0, cls = strcmp(named, "cls") == 0;
        b->pooling = mean  ? LLAMA_POOLING_TYPE_MEAN
                     : cls ? LLAMA_POOLING_TYPE_CLS
                           : LLAMA_POOLING_TYPE_LAST;
        n = mean || cls || strcmp(named, "lasttoken") == 0 ? 1 : 2;
    }
    for (size_t i = 0; named == NULL && i < COUNT_OF(modes); i++) {
        if (json_is_true(json_object_get(conf, modes[i].key))) {
            b->pooling = (uint32_t)modes[i].type;
            n += modes[i].type < 0 ? 2 : 1;
        }
    }
    if (n != 1) {
        f = FAULT(why, FAIL_UNSUPPORTED,
                  "%s: exactly one of mean, cls or last-token pooling must be on", file->name);
    }
    return f;
}

static void copy_line(char *out, size_t room, const char *from, const char *end)
{
    AUTO_FREE char *line = mem_dup_strn(from, (size_t)(end - from));
    char *text = text_trim(line);
    if (!text_utf8_is_valid(text, strlen(text)) || !text_copy(out, room, text)) {
        out[0] = '\0';
    }
}

/* `license: x` of the front matter and the first `# heading`; both only inform, so a README without
 * them is fine. */
static void read_readme(struct tool_bert *b, const struct tool_file *file)
{
    const char *p = (const char *)file->data;
    const char *end = p == NULL ? NULL : p + file->size;
    int fences = 0;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop == NULL ? end : stop;
        size_t len = (size_t)(stop - p);
        fences += len >= 3 && memcmp(p, "---", 3) == 0;
        if (fences == 1 && len > 8 && memcmp(p, "license:", 8) == 0) {
            copy_line(b->licence, sizeof(b->licence), p + 8, stop);
        } else if (fences != 1 && len > 2 && memcmp(p, "# ", 2) == 0) {
            copy_line(b->name, sizeof(b->name), p + 2, stop);
            return;
        }
        p = stop == end ? end : stop + 1;
    }
}

enum fail tool_bert_read(struct tool_bert *b, struct tool_file *files, struct fault *why)
{
    memset(b, 0, sizeof(*b));
    AUTO_JSON json_t *tokenizer = NULL;
    enum fail f = read_config(b, &files[TOOL_INPUT_CONFIG], why);
    if (f == FAIL_NONE) {
        f = tool_file_json(&files[TOOL_INPUT_TOKENIZER], &tokenizer, why);
    }
    if (f == FAIL_NONE) {
        f = read_case(b, &files[TOOL_INPUT_TOKENIZER], tokenizer, why);
    }
    if (f == FAIL_NONE) {
        f = read_sentence(b, &files[TOOL_INPUT_SENTENCE], why);
    }
    if (f == FAIL_NONE) {
        f = read_modules(&files[TOOL_INPUT_MODULES], why);
    }
    if (f == FAIL_NONE) {
        f = read_pooling(b, &files[TOOL_INPUT_POOLING], why);
    }
    if (f == FAIL_NONE) {
        read_readme(b, &files[TOOL_INPUT_README]);
        f = tool_vocabulary_read(b, &files[TOOL_INPUT_VOCAB], tokenizer, why);
    }
    return f;
}

void tool_bert_done(struct tool_bert *b)
{
    for (uint32_t i = 0; b->tokens != NULL && i < b->vocab_size; i++) {
        mem_free(b->tokens[i]);
    }
    mem_free(b->tokens);
    mem_free(b->token_types);
    memset(b, 0, sizeof(*b));
}
