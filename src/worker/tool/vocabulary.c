/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The WordPiece vocabulary in the form llama.cpp reads.
 *
 * vocab.txt marks the pieces that continue a word ("##ing"); llama.cpp marks those that begin one,
 * with U+2581 in front
 * ("\u2581play"), so that a whole word with that mark before it is matched piece by piece in one
 * table. Special tokens stay as they are and are typed as control, so that a text that spells one
 * out does not get it. Owns: bert->tokens and bert->token_types. Threads: one. Limits: 1,048,576
 * tokens of at most 1,024 bytes.
 */
#include "worker/tool/tool_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "llama.h"

#define TOKEN_BYTES_MAX 1024u

static const char word_mark[] = "\xe2\x96\x81";

/* The special tokens: the key in tokenizer_config.json, BERT's own spelling, and which id of struct
 * tool_bert it is. */
struct special {
    const char *key;
    const char *usual;
    bool required;
    int64_t *id;
};

static enum fail find_special(const struct tool_bert *bert, const struct special *s,
                              const json_t *tokenizer, const char *file, struct fault *why)
{
    const json_t *v = json_object_get(tokenizer, s->key);
    if (json_is_object(v)) {
        v = json_object_get(v, "content");
    }
    const char *text = json_is_string(v) ? json_string_value(v) : s->usual;
    *s->id = -1;
    for (uint32_t i = 0; i < bert->vocab_size && *s->id < 0; i++) {
        if (bert->tokens[i] != NULL && strcmp(bert->tokens[i], text) == 0) {
            *s->id = i;
        }
    }
    if (*s->id < 0 && s->required) {
        FAULT(why, FAIL_BAD_REQUEST, "%s: it has no line %.40s, which the %s must be", file, text,
              s->key);
        return fail_hint(why, "Only WordPiece vocabularies of BERT models can be imported.");
    }
    return FAIL_NONE;
}

static enum fail read_lines(struct tool_bert *bert, const struct tool_file *vocab,
                            struct fault *why)
{
    const char *p = (const char *)vocab->data;
    const char *end = p + vocab->size;
    uint32_t n = 0;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        const char *next = stop == NULL ? end : stop + 1;
        stop = stop == NULL ? end : stop;
        if (stop > p && stop[-1] == '\r') {
            stop--;
        }
        size_t len = (size_t)(stop - p);
        if (n >= bert->vocab_size) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%s: line %" PRIu32 ": config.json says the vocabulary has %" PRIu32
                         " tokens",
                         vocab->name, n + 1, bert->vocab_size);
        }
        if (len == 0 || len > TOKEN_BYTES_MAX || !text_utf8_is_valid(p, len) ||
            memchr(p, 0, len) != NULL) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%s: line %" PRIu32 ": not a token of 1 to %u bytes of UTF-8", vocab->name,
                         n + 1, TOKEN_BYTES_MAX);
        }
        bert->tokens[n++] = mem_dup_strn(p, len);
        p = next;
    }
    return FAIL_NONE;
}

static char *to_engine_form(const char *token)
{
    if (text_starts_with(token, "##") && token[2] != '\0') {
        return mem_dup_str(token + 2);
    }
    size_t len = strlen(token);
    char *out = mem_alloc(len + sizeof(word_mark));
    memcpy(out, word_mark, sizeof(word_mark) - 1);
    memcpy(out + sizeof(word_mark) - 1, token, len);
    return out;
}

static void convert_tokens(struct tool_bert *bert)
{
    for (uint32_t i = 0; i < bert->vocab_size; i++) {
        bool special =
            i == bert->unk || i == bert->sep || i == bert->pad || i == bert->cls || i == bert->mask;
        char *old = bert->tokens[i];
        if (old == NULL) {
            /* The embedding matrix has more rows than vocab.txt has lines: names nothing can match.
             */
            char name[24];
            snprintf(name, sizeof(name), "[PAD%" PRIu32 "]", i);
            bert->tokens[i] = mem_dup_str(name);
            bert->token_types[i] = LLAMA_TOKEN_TYPE_UNUSED;
        } else if (special) {
            bert->token_types[i] = LLAMA_TOKEN_TYPE_CONTROL;
        } else {
            bert->tokens[i] = to_engine_form(old);
            bert->token_types[i] = LLAMA_TOKEN_TYPE_NORMAL;
            mem_free(old);
        }
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* llama.cpp aborts on a vocabulary that names one token twice, so that is an error here. */
static enum fail check_unique(const struct tool_bert *bert, const char *file, struct fault *why)
{
    AUTO_FREE char **sorted = mem_dup(bert->tokens, bert->vocab_size * sizeof(*sorted));
    qsort(sorted, bert->vocab_size, sizeof(*sorted), by_text);
    for (uint32_t i = 1; i < bert->vocab_size; i++) {
        if (strcmp(sorted[i - 1], sorted[i]) == 0) {
            return FAULT(why, FAIL_BAD_REQUEST, "%s: the token %.60s is there twice", file,
                         sorted[i]);
        }
    }
    return FAIL_NONE;
}

enum fail tool_vocabulary_read(struct tool_bert *bert, const struct tool_file *vocab,
                               json_t *tokenizer, struct fault *why)
{
    if (vocab->data == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "%s: the folder has no such file", vocab->name);
        return fail_hint(
            why,
            "Only models with a WordPiece vocab.txt can be imported; give a GGUF file for others.");
    }
    bert->tokens = mem_alloc_array(bert->vocab_size, sizeof(*bert->tokens));
    bert->token_types = mem_alloc_array(bert->vocab_size, sizeof(*bert->token_types));
    enum fail f = read_lines(bert, vocab, why);
    const struct special specials[] = {
        {"unk_token", "[UNK]", true, &bert->unk},     {"sep_token", "[SEP]", true, &bert->sep},
        {"cls_token", "[CLS]", true, &bert->cls},     {"pad_token", "[PAD]", false, &bert->pad},
        {"mask_token", "[MASK]", false, &bert->mask},
    };
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(specials); i++) {
        f = find_special(bert, &specials[i], tokenizer, vocab->name, why);
    }
    if (f == FAIL_NONE) {
        convert_tokens(bert);
        f = check_unique(bert, vocab->name, why);
    }
    return f;
}
