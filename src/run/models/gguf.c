/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GGUF header checker: reads the header of a hostile file and believes nothing in it.
 *
 * Layout (little-endian): "GGUF", u32 version, i64 tensors, i64 keys, then the keys (string, u32
 * type, value), then the tensor table (string, u32 dimensions, i64 each, u32 type, u64 offset),
 * then the data, aligned. Strings are u64 length + bytes.
 * The file is read with pread through a window, never mapped: a file cut short while it is read
 * gives an error here and not a SIGBUS. Tensors must follow one another exactly as the engine lays
 * them out, so none overlaps and all end inside the file.
 *
 * Owns: nothing after return. Threads: pure but for reading fd.
 * Limits: the constants below; they are far above every model known and far below what hurts.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "run/models/models_internal.h"

#define WINDOW 65536u
#define KEYS_MAX 4096u
#define KEY_BYTES_MAX 128u
#define TENSORS_MAX 32768u
#define TENSOR_NAME_MAX 63u
#define STRING_MAX (1u << 20)
#define ARRAY_MAX (UINT64_C(1) << 23)
#define HEADER_MAX (UINT64_C(1) << 29)
#define ALIGNMENT_MAX (1u << 20)
#define LAYERS_MAX 512u
#define DIMS_MAX 4u

enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_STRING,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_COUNT
};

/* Bytes of one value in the file; 0 for those that carry their own length. */
static const uint8_t value_bytes[VALUE_COUNT] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* One key as far as later checks need it. */
struct key {
    char name[KEY_BYTES_MAX + 1];
    char text[128]; /* a string value, cut */
    uint32_t type;
    uint32_t item_type; /* of an array */
    uint64_t number;    /* an integer or bool value; for an array or a string, its length */
};

struct reader {
    int fd; /* -1: bytes */
    const uint8_t *bytes;
    uint64_t size;
    uint64_t at;
    uint64_t window_at;
    size_t window_len;
    uint8_t *window;
    const char *what;
    struct key *keys;
    size_t n_keys;
    uint64_t *hashes; /* of the tensors' names */
};

static enum fail cut_off(const struct reader *r, const char *where, struct fault *why)
{
    FAULT(why, FAIL_BAD_REQUEST, "%.120s: the GGUF file is cut off at byte %" PRIu64 ", in %s",
          r->what, r->size, where);
    return fail_hint(why, "Fetch the file again and compare its sha256 with the publisher's.");
}

static enum fail fill(struct reader *r, struct fault *why)
{
    size_t want = r->size - r->at < WINDOW ? (size_t)(r->size - r->at) : WINDOW;
    r->window_at = r->at;
    r->window_len = 0;
    while (r->window_len < want) {
        ssize_t n = pread(r->fd, r->window + r->window_len, want - r->window_len,
                          (off_t)(r->at + r->window_len));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return FAULT_ERRNO(why, FAIL_INTERNAL, "%.120s: cannot be read", r->what);
        }
        if (n == 0) {
            return FAULT(why, FAIL_BAD_REQUEST, "%.120s: the file shrank while it was read",
                         r->what);
        }
        r->window_len += (size_t)n;
    }
    return FAIL_NONE;
}

/* Reads n bytes into out. where says in a message what is being read. */
static enum fail get(struct reader *r, void *out, size_t n, const char *where, struct fault *why)
{
    if (n > r->size - r->at) {
        return cut_off(r, where, why);
    }
    uint8_t *to = out;
    while (n > 0) {
        const uint8_t *from;
        size_t have;
        if (r->fd < 0) {
            from = r->bytes + r->at;
            have = n;
        } else {
            if (r->at < r->window_at || r->at - r->window_at >= r->window_len) {
                enum fail f = fill(r, why);
                if (f != FAIL_NONE) {
                    return f;
                }
            }
            from = r->window + (r->at - r->window_at);
            have = r->window_len - (size_t)(r->at - r->window_at);
        }
        size_t step = have < n ? have : n;
        memcpy(to, from, step);
        to += step;
        r->at += step;
        n -= step;
    }
    return FAIL_NONE;
}

static enum fail get_u32(struct reader *r, uint32_t *out, const char *where, struct fault *why)
{
    uint8_t b[4] = {0};
    enum fail f = get(r, b, sizeof(b), where, why);
    *out = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return f;
}

static enum fail get_u64(struct reader *r, uint64_t *out, const char *where, struct fault *why)
{
    uint32_t low = 0, high = 0;
    enum fail f = get_u32(r, &low, where, why);
    if (f == FAIL_NONE) {
        f = get_u32(r, &high, where, why);
    }
    *out = (uint64_t)high << 32 | low;
    return f;
}

static enum fail skip(struct reader *r, uint64_t n, const char *where, struct fault *why)
{
    if (n > r->size - r->at) {
        return cut_off(r, where, why);
    }
    r->at += n;
    return FAIL_NONE;
}

/* A string: the first room - 1 bytes land in out, the rest is passed over. */
static enum fail get_string(struct reader *r, char *out, size_t room, uint64_t max, uint64_t *len,
                            const char *where, struct fault *why)
{
    enum fail f = get_u64(r, len, where, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (*len > max) {
        return FAULT(why, FAIL_TOO_LARGE,
                     "%.120s: %s: a string claims %" PRIu64 " bytes; the limit is %" PRIu64,
                     r->what, where, *len, max);
    }
    size_t keep = *len < room ? (size_t)*len : room - 1;
    f = get(r, out, keep, where, why);
    out[f == FAIL_NONE ? keep : 0] = '\0';
    return f != FAIL_NONE ? f : skip(r, *len - keep, where, why);
}

/* --- the keys ----------------------------------------------------------------------------------
 */

static enum fail read_array(struct reader *r, struct key *k, const char *where, struct fault *why)
{
    enum fail f = get_u32(r, &k->item_type, where, why);
    if (f == FAIL_NONE) {
        f = get_u64(r, &k->number, where, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    if (k->item_type >= VALUE_COUNT || k->item_type == VALUE_ARRAY) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: a list of unknown type %" PRIu32, r->what,
                     where, k->item_type);
    }
    if (k->number > ARRAY_MAX) {
        return FAULT(why, FAIL_TOO_LARGE,
                     "%.120s: %s: a list claims %" PRIu64 " items; the limit is %" PRIu64, r->what,
                     where, k->number, (uint64_t)ARRAY_MAX);
    }
    if (k->item_type != VALUE_STRING) {
        return skip(r, k->number * value_bytes[k->item_type], where, why);
    }
    for (uint64_t i = 0; f == FAIL_NONE && i < k->number; i++) {
        char ignored[1];
        uint64_t len = 0;
        f = get_string(r, ignored, sizeof(ignored), STRING_MAX, &len, where, why);
    }
    return f;
}

static enum fail read_value(struct reader *r, struct key *k, const char *where, struct fault *why)
{
    uint8_t raw[8] = {0};
    enum fail f = get_u32(r, &k->type, where, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (k->type >= VALUE_COUNT) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: unknown value type %" PRIu32, r->what,
                     where, k->type);
    }
    if (k->type == VALUE_STRING) {
        return get_string(r, k->text, sizeof(k->text), STRING_MAX, &k->number, where, why);
    }
    if (k->type == VALUE_ARRAY) {
        return read_array(r, k, where, why);
    }
    f = get(r, raw, value_bytes[k->type], where, why);
    for (int i = 7; i >= 0; i--) {
        k->number = k->number << 8 | raw[i];
    }
    if (f == FAIL_NONE && k->type == VALUE_BOOL && k->number > 1) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: neither true nor false", r->what, where);
    }
    return f;
}

static enum fail read_keys(struct reader *r, uint64_t n, struct fault *why)
{
    r->keys = mem_alloc_array((size_t)n + 1, sizeof(*r->keys));
    for (uint64_t i = 0; i < n; i++) {
        struct key *k = &r->keys[i];
        char where[KEY_BYTES_MAX + 32];
        uint64_t len = 0;
        snprintf(where, sizeof(where), "key %" PRIu64 " of %" PRIu64, i + 1, n);
        enum fail f = get_string(r, k->name, sizeof(k->name), KEY_BYTES_MAX, &len, where, why);
        if (f == FAIL_NONE && (len == 0 || strlen(k->name) != len)) {
            f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: its name is not a name", r->what, where);
        }
        if (f == FAIL_NONE) {
            /* The name is hostile too: only printable ASCII goes into a message. */
            bool plain = true;
            for (const char *c = k->name; *c != '\0'; c++) {
                plain = plain && *c > ' ' && *c < 127;
            }
            if (plain) {
                snprintf(where, sizeof(where), "key %s", k->name);
            }
            f = read_value(r, k, where, why);
        }
        if (f == FAIL_NONE && r->at > HEADER_MAX) {
            f = FAULT(why, FAIL_TOO_LARGE, "%.120s: the header is larger than %" PRIu64 " bytes",
                      r->what, (uint64_t)HEADER_MAX);
        }
        for (size_t j = 0; f == FAIL_NONE && j < i; j++) {
            if (strcmp(r->keys[j].name, k->name) == 0) {
                f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s is there twice", r->what, where);
            }
        }
        if (f != FAIL_NONE) {
            return f;
        }
        r->n_keys++;
    }
    return FAIL_NONE;
}

static const struct key *find_key(const struct reader *r, const char *prefix, const char *name)
{
    char full[KEY_BYTES_MAX + 1];
    snprintf(full, sizeof(full), "%s%s%s", prefix, prefix[0] == '\0' ? "" : ".", name);
    for (size_t i = 0; i < r->n_keys; i++) {
        if (strcmp(r->keys[i].name, full) == 0) {
            return &r->keys[i];
        }
    }
    return NULL;
}

static void copy_text(char *out, size_t room, const struct key *k)
{
    if (k != NULL && k->type == VALUE_STRING) {
        /* A value cut at our buffer's end may end inside a character. */
        size_t good = text_utf8_valid_prefix(k->text, strlen(k->text));
        char whole[sizeof(k->text)];
        memcpy(whole, k->text, good);
        whole[good] = '\0';
        for (char *c = whole; *c != '\0'; c++) {
            *c = (unsigned char)*c < ' ' || *c == 127 ? ' ' : *c;
        }
        text_copy(out, room, whole);
    }
}

/* An unsigned count under the architecture's name, in 1..max; 0 when it is not said. */
static enum fail count_of(const struct reader *r, const char *arch, const char *name, uint64_t max,
                          uint32_t *out, struct fault *why)
{
    const struct key *k = find_key(r, arch, name);
    *out = 0;
    if (k == NULL || k->type == VALUE_ARRAY) {
        return FAIL_NONE;
    }
    bool whole = k->type == VALUE_U32 || k->type == VALUE_I32 || k->type == VALUE_U64 ||
                 k->type == VALUE_U16;
    if (!whole || k->number == 0 || k->number > max) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "%.120s: key %s.%s must be a whole number from 1 to %" PRIu64, r->what, arch,
                     name, max);
    }
    *out = (uint32_t)k->number;
    return FAIL_NONE;
}

/* A LoRA brings no sizes and no tokenizer of its own. */
static enum fail check_adapter(const struct reader *r, struct models_facts *out, struct fault *why)
{
    const struct key *type = find_key(r, "", "adapter.type");
    const struct key *alpha = find_key(r, "", "adapter.lora.alpha");
    out->is_adapter = true;
    if (type == NULL || type->type != VALUE_STRING || strcmp(type->text, "lora") != 0) {
        return FAULT(why, FAIL_UNSUPPORTED, "%.120s: key adapter.type must be \"lora\"", r->what);
    }
    if (alpha == NULL || alpha->type != VALUE_F32) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: key adapter.lora.alpha must be a float",
                     r->what);
    }
    return FAIL_NONE;
}

static enum fail check_kind(const struct reader *r, struct models_facts *out, struct fault *why)
{
    const struct key *arch = find_key(r, "", "general.architecture");
    if (arch == NULL || arch->type != VALUE_STRING || arch->number == 0 ||
        arch->number >= sizeof(out->arch)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: key general.architecture is missing or wrong",
                     r->what);
    }
    for (const char *c = arch->text; *c != '\0'; c++) {
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", *c) == NULL) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%.120s: key general.architecture is not a lower-case name", r->what);
        }
    }
    text_copy(out->arch, sizeof(out->arch), arch->text);
    const struct key *type = find_key(r, "", "general.type");
    if (type != NULL && type->type == VALUE_STRING && strcmp(type->text, "adapter") == 0) {
        return check_adapter(r, out, why);
    }
    if (type != NULL && type->type == VALUE_STRING && strcmp(type->text, "model") != 0) {
        char kind[24] = "";
        copy_text(kind, sizeof(kind), type);
        FAULT(why, FAIL_UNSUPPORTED, "%.120s: this GGUF holds a %s, not a model", r->what, kind);
        return fail_hint(why, "Give the file of the model itself.");
    }
    const struct key *split = find_key(r, "", "split.count");
    if (split != NULL && split->number > 1) {
        FAULT(why, FAIL_UNSUPPORTED, "%.120s: this is one of %" PRIu64 " parts of a split model",
              r->what, split->number);
        return fail_hint(why,
                         "Merge the parts first: llama-gguf-split --merge FIRST_PART OUT.gguf");
    }
    return FAIL_NONE;
}

/* Lists the engine reads side by side must be of one length. */
static enum fail check_tokenizer(const struct reader *r, struct models_facts *out,
                                 struct fault *why)
{
    const struct key *tokens = find_key(r, "tokenizer.ggml", "tokens");
    copy_text(out->tokenizer, sizeof(out->tokenizer), find_key(r, "tokenizer.ggml", "model"));
    if (tokens != NULL) {
        if (tokens->type != VALUE_ARRAY || tokens->item_type != VALUE_STRING) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%.120s: key tokenizer.ggml.tokens is not a list of strings", r->what);
        }
        out->vocabulary = tokens->number;
    }
    static const char *const beside[] = {"token_type", "scores"};
    for (size_t i = 0; i < COUNT_OF(beside); i++) {
        const struct key *k = find_key(r, "tokenizer.ggml", beside[i]);
        if (k != NULL && (k->type != VALUE_ARRAY || k->number != out->vocabulary ||
                          value_bytes[k->item_type] != 4)) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%.120s: key tokenizer.ggml.%s does not fit the %" PRIu64 " tokens",
                         r->what, beside[i], out->vocabulary);
        }
    }
    const struct key *chat = find_key(r, "tokenizer", "chat_template");
    out->chat_template = chat != NULL && chat->type == VALUE_STRING && chat->number > 0;
    return FAIL_NONE;
}

static enum fail check_keys(const struct reader *r, struct models_facts *out, struct fault *why)
{
    enum fail f = check_kind(r, out, why);
    const struct {
        const char *name;
        uint64_t max;
        uint32_t *to;
    } counts[] = {{"block_count", LAYERS_MAX, &out->layers},
                  {"embedding_length", 1u << 20, &out->width},
                  {"context_length", 1u << 30, &out->context},
                  {"attention.head_count", 1u << 16, &out->heads},
                  {"attention.head_count_kv", 1u << 16, &out->heads_kv},
                  {"attention.key_length", 1u << 16, &out->key_length},
                  {"attention.value_length", 1u << 16, &out->value_length},
                  {"feed_forward_length", 1u << 24, &out->feed_forward}};
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(counts); i++) {
        f = count_of(r, out->arch, counts[i].name, counts[i].max, counts[i].to, why);
    }
    if (f == FAIL_NONE && !out->is_adapter && (out->layers == 0 || out->width == 0)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: key %s.%s is missing", r->what, out->arch,
                  out->layers == 0 ? "block_count" : "embedding_length");
    }
    /* Per-layer lists: the engine copies them into tables of 512. */
    size_t arch_len = strlen(out->arch);
    for (size_t i = 0; f == FAIL_NONE && i < r->n_keys; i++) {
        const struct key *k = &r->keys[i];
        if (k->type == VALUE_ARRAY && k->item_type != VALUE_STRING && k->number > LAYERS_MAX &&
            strncmp(k->name, out->arch, arch_len) == 0 && k->name[arch_len] == '.') {
            f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: key %s lists more than %u numbers", r->what,
                      k->name, LAYERS_MAX);
        }
    }
    if (f == FAIL_NONE) {
        f = check_tokenizer(r, out, why);
    }
    const struct key *align = find_key(r, "", "general.alignment");
    out->alignment = 32;
    if (f == FAIL_NONE && align != NULL) {
        uint64_t v = align->number;
        if (align->type != VALUE_U32 || v < 8 || v > ALIGNMENT_MAX || (v & (v - 1)) != 0) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%.120s: key general.alignment must be a power of two from 8 to %u",
                         r->what, ALIGNMENT_MAX);
        }
        out->alignment = (uint32_t)v;
    }
    copy_text(out->name, sizeof(out->name), find_key(r, "", "general.name"));
    copy_text(out->licence, sizeof(out->licence), find_key(r, "", "general.license"));
    out->embeds = find_key(r, out->arch, "pooling_type") != NULL;
    return f;
}

/* --- the tensors -------------------------------------------------------------------------------
 */

struct tensor {
    char name[TENSOR_NAME_MAX + 1];
    uint64_t elements;
    uint64_t bytes;
    uint64_t offset;
    uint32_t type;
    uint32_t dims;
};

static enum fail read_shape(struct reader *r, struct tensor *t, const char *where,
                            struct fault *why)
{
    uint64_t first = 1;
    enum fail f = get_u32(r, &t->dims, where, why);
    if (f == FAIL_NONE && (t->dims == 0 || t->dims > DIMS_MAX)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: %" PRIu32 " dimensions; 1 to %u are possible",
                  r->what, where, t->dims, DIMS_MAX);
    }
    t->elements = 1;
    for (uint32_t i = 0; f == FAIL_NONE && i < t->dims; i++) {
        uint64_t size = 0;
        f = get_u64(r, &size, where, why);
        if (f == FAIL_NONE &&
            (size == 0 || size > (UINT64_C(1) << 40) || t->elements > (UINT64_C(1) << 44) / size)) {
            f = FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: dimension %" PRIu32 " is not a size",
                      r->what, where, i);
        }
        t->elements *= f == FAIL_NONE ? size : 1;
        first = i == 0 ? size : first;
    }
    if (f == FAIL_NONE) {
        f = get_u32(r, &t->type, where, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    const struct gguf_type_info *type = gguf_type_find(t->type);
    if (type == NULL) {
        FAULT(why, FAIL_UNSUPPORTED, "%.120s: %s: unknown weight type %" PRIu32, r->what, where,
              t->type);
        return fail_hint(why, "The file was made for another version of the engine.");
    }
    if (first % type->elements != 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: rows of %" PRIu64 " do not fit type %s",
                     r->what, where, first, type->name);
    }
    t->bytes = t->elements / type->elements * type->bytes;
    return get_u64(r, &t->offset, where, why);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum fail read_tensor(struct reader *r, uint64_t i, uint64_t n, struct tensor *t,
                             struct fault *why)
{
    char where[TENSOR_NAME_MAX + 64];
    uint64_t len = 0;
    snprintf(where, sizeof(where), "tensor %" PRIu64 " of %" PRIu64, i + 1, n);
    enum fail f = get_string(r, t->name, sizeof(t->name), TENSOR_NAME_MAX, &len, where, why);
    if (f != FAIL_NONE) {
        return f;
    }
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *c = t->name; *c != '\0'; c++) {
        if (*c <= ' ' || *c >= 127) {
            len = 0;
        }
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    }
    if (len == 0 || strlen(t->name) != len) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: %s: its name is not a name", r->what, where);
    }
    r->hashes[i] = hash;
    snprintf(where, sizeof(where), "tensor %s", t->name);
    return read_shape(r, t, where, why);
}

/* A file's own word for its quantisation, else the type that holds most bytes. */
static void name_quant(const struct reader *r, const uint64_t *bytes_of, struct models_facts *out)
{
    const struct key *k = find_key(r, "", "general.file_type");
    const char *name = k == NULL || k->type == VALUE_ARRAY ? NULL : gguf_file_type_name(k->number);
    uint32_t best = 0;
    for (uint32_t i = 1; i < GGUF_TENSOR_TYPES; i++) {
        best = bytes_of[i] > bytes_of[best] ? i : best;
    }
    text_copy(out->quant, sizeof(out->quant), name != NULL ? name : gguf_type_find(best)->name);
}

static enum fail read_tensors(struct reader *r, uint64_t n, struct models_facts *out,
                              struct fault *why)
{
    uint64_t end = 0; /* of the data so far, padded, from the data's start */
    uint64_t bytes_of[GGUF_TENSOR_TYPES] = {0};
    r->hashes = mem_alloc_array((size_t)n, sizeof(*r->hashes));
    for (uint64_t i = 0; i < n; i++) {
        struct tensor t = {0};
        enum fail f = read_tensor(r, i, n, &t, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (t.offset != end) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%.120s: tensor %s starts at %" PRIu64 " and not at %" PRIu64
                         ", where the one before it ends",
                         r->what, t.name, t.offset, end);
        }
        /* n * 2^46 stays far below 2^64. */
        end = (t.offset + t.bytes + out->alignment - 1) & ~(uint64_t)(out->alignment - 1);
        if (t.offset + t.bytes > r->size) {
            FAULT(why, FAIL_BAD_REQUEST,
                  "%.120s: tensor %s ends at byte %" PRIu64
                  " of the data, past the file's %" PRIu64,
                  r->what, t.name, t.offset + t.bytes, r->size);
            return fail_hint(why, "The file is cut off: fetch it again and compare its sha256.");
        }
        out->parameters += t.elements;
        bytes_of[t.type] += t.bytes;
        if (i + 1 == n) {
            uint64_t start = (r->at + out->alignment - 1) & ~(uint64_t)(out->alignment - 1);
            if (start + t.offset + t.bytes > r->size) {
                FAULT(why, FAIL_BAD_REQUEST,
                      "%.120s: the file is cut off: its tensors need %" PRIu64
                      " bytes and it has %" PRIu64,
                      r->what, start + t.offset + t.bytes, r->size);
                return fail_hint(why, "Fetch the file again and compare its sha256.");
            }
        }
    }
    qsort(r->hashes, (size_t)n, sizeof(*r->hashes), by_value);
    for (uint64_t i = 1; i < n; i++) {
        if (r->hashes[i] == r->hashes[i - 1]) {
            return FAULT(why, FAIL_BAD_REQUEST, "%.120s: two tensors have the same name", r->what);
        }
    }
    name_quant(r, bytes_of, out);
    return FAIL_NONE;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

/* What people give by mistake, told by its first bytes. */
static enum fail not_gguf(const struct reader *r, const uint8_t *head, size_t n, struct fault *why)
{
    static const struct {
        const char *start;
        const char *is;
    } known[] = {{"<!", "an HTML page: the download gave an error page"},
                 {"<h", "an HTML page: the download gave an error page"},
                 {"version https://git-lfs", "a Git LFS pointer: fetch the file it stands for"},
                 {"PK", "a ZIP archive: unpack it first"},
                 {"\x1f\x8b", "gzip data: unpack it first"},
                 {"ggjt", "a GGML file from before GGUF: convert or download a newer one"},
                 {"FUGG", "a big-endian GGUF file: fetch the little-endian one"},
                 {"{", "JSON text"}};
    FAULT(why, FAIL_BAD_REQUEST, "%.120s: this is not a GGUF file", r->what);
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        size_t len = strlen(known[i].start);
        if (n >= len && memcmp(head, known[i].start, len) == 0) {
            FAULT(why, FAIL_BAD_REQUEST, "%.120s: this is not a GGUF file but %s", r->what,
                  known[i].is);
        }
    }
    return fail_hint(why,
                     "Give a .gguf file, or a sentence-transformers folder to `models import`.");
}

static enum fail read_head(struct reader *r, uint64_t *tensors, uint64_t *keys,
                           struct models_facts *out, struct fault *why)
{
    uint8_t head[32] = {0};
    size_t n = r->size < sizeof(head) ? (size_t)r->size : sizeof(head);
    enum fail f = get(r, head, n, "its start", why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (n < 4 || memcmp(head, "GGUF", 4) != 0) {
        return not_gguf(r, head, n, why);
    }
    r->at = 4;
    f = get_u32(r, &out->version, "its start", why);
    if (f == FAIL_NONE && out->version != 2 && out->version != 3) {
        FAULT(why, FAIL_UNSUPPORTED, "%.120s: GGUF version %" PRIu32 "%s; 2 and 3 can be read",
              r->what, out->version,
              (out->version & 0xffff) == 0 && out->version != 0 ? " (a big-endian file?)" : "");
        f = fail_hint(why, "Fetch or convert a newer file of the same model.");
    }
    if (f == FAIL_NONE) {
        f = get_u64(r, tensors, "its start", why);
    }
    if (f == FAIL_NONE) {
        f = get_u64(r, keys, "its start", why);
    }
    if (f == FAIL_NONE && (*keys > KEYS_MAX || *tensors > TENSORS_MAX)) {
        f = FAULT(why, FAIL_TOO_LARGE,
                  "%.120s: it claims %" PRIu64 " keys and %" PRIu64
                  " tensors; the limits are %u and %u",
                  r->what, *keys, *tensors, KEYS_MAX, TENSORS_MAX);
    }
    return f;
}

static enum fail check(struct reader *r, struct models_facts *out, struct fault *why)
{
    uint64_t keys = 0;
    memset(out, 0, sizeof(*out));
    enum fail f = read_head(r, &out->tensors, &keys, out, why);
    if (f == FAIL_NONE) {
        f = read_keys(r, keys, why);
    }
    if (f == FAIL_NONE) {
        f = check_keys(r, out, why);
    }
    if (f == FAIL_NONE && out->tensors == 0) {
        FAULT(why, FAIL_UNSUPPORTED, "%.120s: it holds no weights, only a vocabulary", r->what);
        f = fail_hint(why, "Give the file of the model itself.");
    }
    if (f == FAIL_NONE) {
        f = read_tensors(r, out->tensors, out, why);
    }
    out->header_bytes = r->at;
    out->bytes = r->size;
    mem_free(r->keys);
    mem_free(r->hashes);
    return f;
}

enum fail models_gguf_check(int fd, const char *what, struct models_facts *out, struct fault *why)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.120s: not a regular file", what);
    }
    AUTO_FREE uint8_t *window = mem_alloc(WINDOW);
    struct reader r = {.fd = fd, .size = (uint64_t)st.st_size, .window = window, .what = what};
    return check(&r, out, why);
}

enum fail models_gguf_check_bytes(const void *data, size_t size, const char *what,
                                  struct models_facts *out, struct fault *why)
{
    struct reader r = {.fd = -1, .bytes = data, .size = size, .what = what};
    return check(&r, out, why);
}
