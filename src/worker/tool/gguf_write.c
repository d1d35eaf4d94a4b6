/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GGUF of an imported BERT: metadata and tensor table through ggml's gguf API, then the tensors
 * one by one.
 *
 * Names and key meanings are llama.cpp's (arch "bert"): a layer is attn_{q,k,v}, attn_output,
 * attn_output_norm, ffn_up, ffn_down, layer_output_norm. Biases, norms, positions and token types
 * stay F32; matrices are F16 unless asked for F32. Order and content depend on the folder alone, so
 * the same folder gives the same bytes. Positions past `context` are left out: llama.cpp then knows
 * where texts must be cut from the file itself. Owns: nothing after return. Threads: one. Limits:
 * reads through 256 KiB at a time.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem/mem.h"
#include "ggml.h"
#include "gguf.h"
#include "llama.h"

#define CHUNK 65536u
#define F16_MAX 65504.0f

/* One tensor to write: where it comes from and the shape it must have, outermost first. */
struct part {
    char from[96];
    char to[64];
    uint64_t rows; /* 0: a vector */
    uint64_t columns;
    uint64_t rows_kept; /* <= rows */
    bool full;          /* stays F32 whatever was asked for */
};

struct parts {
    struct part *list;
    size_t n;
};

static void add_part(struct parts *p, const char *from, const char *to, uint64_t rows,
                     uint64_t columns)
{
    struct part *part = &p->list[p->n++];
    snprintf(part->from, sizeof(part->from), "%s", from);
    snprintf(part->to, sizeof(part->to), "%s", to);
    part->rows = rows;
    part->rows_kept = rows;
    part->columns = columns;
    part->full = rows == 0;
}

static void add_layer(struct parts *p, const struct tool_bert *b, uint32_t layer)
{
    const struct {
        const char *from;
        const char *to;
        uint64_t rows;
        uint64_t columns;
        bool norm;
    } table[] = {
        {"attention.self.query", "attn_q", b->width, b->width, false},
        {"attention.self.key", "attn_k", b->width, b->width, false},
        {"attention.self.value", "attn_v", b->width, b->width, false},
        {"attention.output.dense", "attn_output", b->width, b->width, false},
        {"attention.output.LayerNorm", "attn_output_norm", 0, b->width, true},
        {"intermediate.dense", "ffn_up", b->inner, b->width, false},
        {"output.dense", "ffn_down", b->width, b->inner, false},
        {"output.LayerNorm", "layer_output_norm", 0, b->width, true},
    };
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        char from[96], to[64];
        snprintf(from, sizeof(from), "encoder.layer.%" PRIu32 ".%s.weight", layer, table[i].from);
        snprintf(to, sizeof(to), "blk.%" PRIu32 ".%s.weight", layer, table[i].to);
        add_part(p, from, to, table[i].rows, table[i].columns);
        snprintf(from, sizeof(from), "encoder.layer.%" PRIu32 ".%s.bias", layer, table[i].from);
        snprintf(to, sizeof(to), "blk.%" PRIu32 ".%s.bias", layer, table[i].to);
        add_part(p, from, to, 0, table[i].norm ? b->width : table[i].rows);
    }
}

static void list_parts(struct parts *p, const struct tool_bert *b)
{
    p->list = mem_alloc_array(5 + 16 * (size_t)b->layers, sizeof(*p->list));
    add_part(p, "embeddings.word_embeddings.weight", "token_embd.weight", b->vocab_size, b->width);
    add_part(p, "embeddings.position_embeddings.weight", "position_embd.weight", b->positions,
             b->width);
    p->list[1].rows_kept = b->context;
    p->list[1].full = true;
    add_part(p, "embeddings.token_type_embeddings.weight", "token_types.weight", b->types,
             b->width);
    p->list[2].full = true;
    add_part(p, "embeddings.LayerNorm.weight", "token_embd_norm.weight", 0, b->width);
    add_part(p, "embeddings.LayerNorm.bias", "token_embd_norm.bias", 0, b->width);
    for (uint32_t i = 0; i < b->layers; i++) {
        add_layer(p, b, i);
    }
}

static enum fail check_part(const struct part *part, const struct tool_safetensors *st,
                            struct fault *why)
{
    const struct tool_tensor *t = tool_safetensors_find(st, part->from);
    if (t == NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "%s: tensor %s is missing", st->file, part->from);
        return fail_hint(why, "The file does not hold the whole model that config.json describes.");
    }
    if (t->dtype == TOOL_DTYPE_OTHER) {
        return FAULT(why, FAIL_UNSUPPORTED,
                     "%s: tensor %s: its dtype is %s; F32, F16 and BF16 can be imported", st->file,
                     part->from, t->dtype_name);
    }
    unsigned dims = part->rows == 0 ? 1 : 2;
    uint64_t outer = dims == 1 ? 1 : part->rows;
    if (t->n_dims != dims || t->shape[dims - 1] != part->columns ||
        (dims == 2 && t->shape[0] != outer)) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "%s: tensor %s: its shape does not fit config.json, which asks for %" PRIu64
                     " x %" PRIu64,
                     st->file, part->from, outer, part->columns);
    }
    return FAIL_NONE;
}

/* The original folder must hold nothing that we would leave out unseen. */
static enum fail check_rest(const struct parts *p, const struct tool_safetensors *st,
                            struct fault *why)
{
    static const char *const unused[] = {"embeddings.position_ids", "pooler.", "cls."};
    for (size_t i = 0; i < st->n; i++) {
        const char *name = st->tensors[i].name;
        bool known = false;
        for (size_t k = 0; k < COUNT_OF(unused) && !known; k++) {
            known = strncmp(name, unused[k], strlen(unused[k])) == 0;
        }
        for (size_t k = 0; k < p->n && !known; k++) {
            known = strcmp(name, p->list[k].from) == 0;
        }
        if (!known) {
            FAULT(why, FAIL_UNSUPPORTED, "%s: tensor %.100s has no place in a BERT encoder",
                  st->file, name);
            return fail_hint(
                why,
                "The model is not a plain BERT encoder: convert it with llama.cpp's own script.");
        }
    }
    return FAIL_NONE;
}

static void put_tokens(struct gguf_context *g, const struct tool_bert *b)
{
    gguf_set_val_str(g, "tokenizer.ggml.model", "bert");
    gguf_set_val_str(g, "tokenizer.ggml.pre", "bert-bge");
    gguf_set_val_u32(g, "tokenizer.ggml.token_type_count", b->types);
    gguf_set_arr_str(g, "tokenizer.ggml.tokens", (const char **)b->tokens, b->vocab_size);
    gguf_set_arr_data(g, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, b->token_types,
                      b->vocab_size);
    gguf_set_val_u32(g, "tokenizer.ggml.bos_token_id", (uint32_t)b->cls);
    gguf_set_val_u32(g, "tokenizer.ggml.cls_token_id", (uint32_t)b->cls);
    gguf_set_val_u32(g, "tokenizer.ggml.unknown_token_id", (uint32_t)b->unk);
    gguf_set_val_u32(g, "tokenizer.ggml.seperator_token_id",
                     (uint32_t)b->sep); /* spelled so by the format */
    if (b->pad >= 0) {
        gguf_set_val_u32(g, "tokenizer.ggml.padding_token_id", (uint32_t)b->pad);
    }
    if (b->mask >= 0) {
        gguf_set_val_u32(g, "tokenizer.ggml.mask_token_id", (uint32_t)b->mask);
    }
    gguf_set_val_bool(g, "tokenizer.ggml.normalizer.lowercase", b->lower);
    gguf_set_val_bool(g, "tokenizer.ggml.normalizer.strip_accents", b->strip_accents);
}

static void put_metadata(struct gguf_context *g, const struct tool_bert *b, bool half)
{
    gguf_set_val_str(g, "general.architecture", "bert");
    gguf_set_val_str(g, "general.type", "model");
    if (b->name[0] != '\0') {
        gguf_set_val_str(g, "general.name", b->name);
    }
    if (b->licence[0] != '\0') {
        gguf_set_val_str(g, "general.license", b->licence);
    }
    gguf_set_val_u32(g, "general.file_type", half ? LLAMA_FTYPE_MOSTLY_F16 : LLAMA_FTYPE_ALL_F32);
    gguf_set_val_u32(g, "general.quantization_version", GGML_QNT_VERSION);
    gguf_set_val_u32(g, "bert.block_count", b->layers);
    gguf_set_val_u32(g, "bert.context_length", b->context);
    gguf_set_val_u32(g, "bert.embedding_length", b->width);
    gguf_set_val_u32(g, "bert.feed_forward_length", b->inner);
    gguf_set_val_u32(g, "bert.attention.head_count", b->heads);
    gguf_set_val_f32(g, "bert.attention.layer_norm_epsilon", b->norm_eps);
    gguf_set_val_bool(g, "bert.attention.causal", false);
    gguf_set_val_u32(g, "bert.pooling_type", b->pooling);
    put_tokens(g, b);
}

static bool is_half(const struct part *part, bool half)
{
    return half && !part->full;
}

/* The tensor table. ggml wants a ggml_tensor to copy name, type and shape from; no data is
 * attached. */
static void put_table(struct gguf_context *g, const struct parts *p, bool half)
{
    struct ggml_init_params params = {(p->n + 1) * ggml_tensor_overhead(), NULL, true};
    struct ggml_context *ctx = ggml_init(params);
    ASSERT(ctx != NULL);
    for (size_t i = 0; i < p->n; i++) {
        const struct part *part = &p->list[i];
        enum ggml_type type = is_half(part, half) ? GGML_TYPE_F16 : GGML_TYPE_F32;
        struct ggml_tensor *t =
            part->rows == 0
                ? ggml_new_tensor_1d(ctx, type, (int64_t)part->columns)
                : ggml_new_tensor_2d(ctx, type, (int64_t)part->columns, (int64_t)part->rows_kept);
        ggml_set_name(t, part->to);
        gguf_add_tensor(g, t);
    }
    ggml_free(ctx);
}

static enum fail write_bytes(FILE *out, const void *data, size_t n, struct fault *why)
{
    if (n != 0 && fwrite(data, 1, n, out) != n) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "writing the GGUF file failed");
    }
    return FAIL_NONE;
}

static bool fits_half(const float *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fabsf(v[i]) > F16_MAX) {
            return false;
        }
    }
    return true;
}

static uint64_t size_of(const struct part *part, bool half)
{
    return part->columns * (part->rows == 0 ? 1 : part->rows_kept) *
           (is_half(part, half) ? sizeof(ggml_fp16_t) : sizeof(float));
}

static uint64_t padded_size(const struct part *part, bool half)
{
    return (size_of(part, half) + GGUF_DEFAULT_ALIGNMENT - 1) / GGUF_DEFAULT_ALIGNMENT *
           GGUF_DEFAULT_ALIGNMENT;
}

static enum fail write_part(const struct part *part, const struct tool_safetensors *st, bool half,
                            FILE *out, float *wide, ggml_fp16_t *narrow, struct fault *why)
{
    static const uint8_t zeros[GGUF_DEFAULT_ALIGNMENT];
    const struct tool_tensor *t = tool_safetensors_find(st, part->from);
    uint64_t elements = part->columns * (part->rows == 0 ? 1 : part->rows_kept);
    size_t unit = half ? sizeof(*narrow) : sizeof(*wide);
    enum fail f = FAIL_NONE;
    for (uint64_t at = 0; f == FAIL_NONE && at < elements; at += CHUNK) {
        size_t n = elements - at < CHUNK ? (size_t)(elements - at) : CHUNK;
        if (!tool_tensor_read(t, at, n, wide)) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%s: tensor %s: it holds a value that is not a finite number", st->file,
                         part->from);
        }
        if (half && !fits_half(wide, n)) {
            FAULT(why, FAIL_UNSUPPORTED, "%s: tensor %s: a value does not fit F16", st->file,
                  part->from);
            return fail_hint(why, "Import it with --type f32.");
        }
        if (half) {
            ggml_fp32_to_fp16_row(wide, narrow, (int64_t)n);
        }
        f = write_bytes(out, half ? (const void *)narrow : (const void *)wide, n * unit, why);
    }
    size_t over = (size_t)(elements * unit % GGUF_DEFAULT_ALIGNMENT);
    if (f == FAIL_NONE && over != 0) {
        f = write_bytes(out, zeros, GGUF_DEFAULT_ALIGNMENT - over, why);
    }
    return f;
}

static enum fail write_all(const struct parts *p, struct gguf_context *g,
                           const struct tool_safetensors *st, bool half, FILE *out, uint64_t *bytes,
                           struct fault *why)
{
    size_t head_size = gguf_get_meta_size(g);
    AUTO_FREE uint8_t *head = mem_alloc(head_size);
    AUTO_FREE float *wide = mem_alloc_array(CHUNK, sizeof(*wide));
    AUTO_FREE ggml_fp16_t *narrow = mem_alloc_array(CHUNK, sizeof(*narrow));
    gguf_get_meta_data(g, head);
    enum fail f = write_bytes(out, head, head_size, why);
    uint64_t total = 0, done = 0;
    for (size_t i = 0; i < p->n; i++) {
        total += tool_safetensors_find(st, p->list[i].from)->end -
                 tool_safetensors_find(st, p->list[i].from)->begin;
    }
    for (size_t i = 0; f == FAIL_NONE && i < p->n; i++) {
        const struct tool_tensor *t = tool_safetensors_find(st, p->list[i].from);
        f = write_part(&p->list[i], st, is_half(&p->list[i], half), out, wide, narrow, why);
        done += t->end - t->begin;
        tool_say_progress(done, total);
    }
    if (f == FAIL_NONE && fflush(out) != 0) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "writing the GGUF file failed");
    }
    *bytes = head_size;
    for (size_t i = 0; i < p->n; i++) {
        *bytes += padded_size(&p->list[i], half);
    }
    return f;
}

enum fail tool_gguf_write(const struct tool_bert *b, const struct tool_safetensors *st, bool half,
                          FILE *out, uint64_t *bytes, struct fault *why)
{
    struct parts p = {0};
    list_parts(&p, b);
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < p.n; i++) {
        f = check_part(&p.list[i], st, why);
    }
    if (f == FAIL_NONE) {
        f = check_rest(&p, st, why);
    }
    if (f == FAIL_NONE) {
        struct gguf_context *g = gguf_init_empty();
        put_metadata(g, b, half);
        put_table(g, &p, half);
        f = write_all(&p, g, st, half, out, bytes, why);
        gguf_free(g);
    }
    mem_free(p.list);
    return f;
}
