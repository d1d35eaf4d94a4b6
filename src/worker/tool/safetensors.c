/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The safetensors reader: u64 header length, a JSON object of tensors, then their bytes.
 * The file is hostile: every length, type and offset is checked against the file before a byte of
 * it is used, and the tensors must lie one after the other without a gap, as the format's own
 * reader demands. Owns: the parsed header and the tensor table. Threads: one. Limits:
 * TOOL_HEADER_MAX, 65,536 tensors, 4 dimensions.
 */
#include "worker/tool/tool_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "ggml.h"
#include "worker/tool/tool.h"

#define TENSORS_MAX 65536u

static uint64_t dtype_bytes(const char *name, enum tool_dtype *out)
{
    static const struct {
        const char *name;
        uint64_t bytes;
        enum tool_dtype dtype;
    } known[] = {
        {"F32", 4, TOOL_DTYPE_F32},   {"F16", 2, TOOL_DTYPE_F16},   {"BF16", 2, TOOL_DTYPE_BF16},
        {"F64", 8, TOOL_DTYPE_OTHER}, {"I64", 8, TOOL_DTYPE_OTHER}, {"U64", 8, TOOL_DTYPE_OTHER},
        {"I32", 4, TOOL_DTYPE_OTHER}, {"U32", 4, TOOL_DTYPE_OTHER}, {"I16", 2, TOOL_DTYPE_OTHER},
        {"U16", 2, TOOL_DTYPE_OTHER}, {"I8", 1, TOOL_DTYPE_OTHER},  {"U8", 1, TOOL_DTYPE_OTHER},
        {"BOOL", 1, TOOL_DTYPE_OTHER}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(name, known[i].name) == 0) {
            *out = known[i].dtype;
            return known[i].bytes;
        }
    }
    return 0;
}

static bool is_count(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

/* The shape: at most 4 counts whose product stays far from overflow. */
static enum fail read_shape(struct tool_tensor *t, const char *file, const json_t *shape,
                            uint64_t *elements, struct fault *why)
{
    if (!json_is_array(shape) || json_array_size(shape) > TOOL_DIMS_MAX) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "%s: tensor %s: the shape is not a list of at most %d numbers", file, t->name,
                     TOOL_DIMS_MAX);
    }
    uint64_t product = 1;
    t->n_dims = (unsigned)json_array_size(shape);
    for (unsigned i = 0; i < t->n_dims; i++) {
        const json_t *v = json_array_get(shape, i);
        uint64_t size = is_count(v) ? (uint64_t)json_integer_value(v) : UINT64_MAX;
        if (size > (UINT64_C(1) << 40) || (size != 0 && product > (UINT64_C(1) << 44) / size)) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%s: tensor %s: dimension %u of the shape is not a size", file, t->name,
                         i);
        }
        t->shape[i] = size;
        product *= size;
    }
    *elements = product;
    return FAIL_NONE;
}

static enum fail read_tensor(struct tool_tensor *t, const char *file, const char *key,
                             const json_t *entry, uint64_t data_bytes, struct fault *why)
{
    t->name = text_starts_with(key, "bert.") ? key + 5 : key;
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (dtype == NULL) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s: tensor %.100s: it has no dtype", file, key);
    }
    uint64_t unit = dtype_bytes(dtype, &t->dtype);
    if (unit == 0) {
        return FAULT(why, FAIL_UNSUPPORTED, "%s: tensor %.100s: unknown dtype %.20s", file, key,
                     dtype);
    }
    t->dtype_name = dtype;
    uint64_t elements = 0;
    enum fail f = read_shape(t, file, json_object_get(entry, "shape"), &elements, why);
    if (f != FAIL_NONE) {
        return f;
    }
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !is_count(begin) || !is_count(end)) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "%s: tensor %.100s: data_offsets is not a pair of offsets", file, key);
    }
    t->begin = (uint64_t)json_integer_value(begin);
    t->end = (uint64_t)json_integer_value(end);
    if (t->begin > t->end || t->end > data_bytes) {
        FAULT(why, FAIL_BAD_REQUEST,
              "%s: tensor %.100s: its bytes %" PRIu64 "..%" PRIu64
              " do not lie in the file's %" PRIu64,
              file, key, t->begin, t->end, data_bytes);
        return fail_hint(why,
                         "The file is cut off or damaged: fetch it again and compare its sha256.");
    }
    if (t->end - t->begin != elements * unit) {
        return FAULT(why, FAIL_BAD_REQUEST,
                     "%s: tensor %.100s: its shape needs %" PRIu64 " bytes and it has %" PRIu64,
                     file, key, elements * unit, t->end - t->begin);
    }
    return FAIL_NONE;
}

static int by_begin(const void *a, const void *b)
{
    const struct tool_tensor *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->end < y->end ? -1 : x->end > y->end;
}

static enum fail check_layout(const struct tool_safetensors *st, uint64_t data_bytes,
                              struct fault *why)
{
    uint64_t at = 0;
    for (size_t i = 0; i < st->n; i++) {
        if (st->tensors[i].begin != at) {
            return FAULT(why, FAIL_BAD_REQUEST,
                         "%s: tensor %.100s: starts at byte %" PRIu64
                         " but the one before it ends at %" PRIu64,
                         st->file, st->tensors[i].name, st->tensors[i].begin, at);
        }
        at = st->tensors[i].end;
    }
    if (at != data_bytes) {
        FAULT(why, FAIL_BAD_REQUEST,
              "%s: its tensors end at byte %" PRIu64 " and the data at %" PRIu64, st->file, at,
              data_bytes);
        return fail_hint(why, "The file is damaged: fetch it again and compare its sha256.");
    }
    return FAIL_NONE;
}

static enum fail read_header(struct tool_safetensors *st, const struct tool_file *file,
                             uint64_t *data_at, struct fault *why)
{
    if (file->size < 8) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s: %zu bytes are too few for a safetensors file",
                     st->file, file->size);
    }
    uint64_t size = 0;
    for (int i = 7; i >= 0; i--) {
        size = size << 8 | file->data[i];
    }
    if (size > TOOL_HEADER_MAX || size > file->size - 8) {
        FAULT(why, FAIL_BAD_REQUEST,
              "%s: the header claims %" PRIu64 " bytes; the file has %zu and the limit is %u",
              st->file, size, file->size, TOOL_HEADER_MAX);
        return fail_hint(why, "This is not a safetensors file, or it is damaged: fetch it again.");
    }
    char what[96];
    snprintf(what, sizeof(what), "%s: header", st->file);
    enum fail f = jn_parse((const char *)file->data + 8, (size_t)size, what, &st->header, why);
    if (f == FAIL_NONE && !json_is_object(st->header)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s: the header is not a JSON object of tensors",
                  st->file);
    }
    *data_at = 8 + size;
    return f;
}

enum fail tool_safetensors_open(struct tool_safetensors *st, const struct tool_file *file,
                                struct fault *why)
{
    memset(st, 0, sizeof(*st));
    st->file = file->name;
    uint64_t data_at = 0;
    enum fail f = read_header(st, file, &data_at, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (json_object_size(st->header) > TENSORS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "%s: %zu tensors; the limit is %u", st->file,
                     json_object_size(st->header), TENSORS_MAX);
    }
    st->tensors = mem_alloc_array(json_object_size(st->header) + 1, sizeof(*st->tensors));
    const char *key;
    json_t *entry;
    json_object_foreach(st->header, key, entry)
    {
        if (strcmp(key, "__metadata__") == 0) {
            continue;
        }
        struct tool_tensor *t = &st->tensors[st->n];
        f = read_tensor(t, st->file, key, entry, file->size - data_at, why);
        if (f != FAIL_NONE) {
            return f;
        }
        t->data = file->data + data_at + t->begin;
        st->n++;
    }
    qsort(st->tensors, st->n, sizeof(*st->tensors), by_begin);
    return check_layout(st, file->size - data_at, why);
}

void tool_safetensors_done(struct tool_safetensors *st)
{
    mem_free(st->tensors);
    json_decref(st->header);
    memset(st, 0, sizeof(*st));
}

const struct tool_tensor *tool_safetensors_find(const struct tool_safetensors *st, const char *name)
{
    for (size_t i = 0; i < st->n; i++) {
        if (strcmp(st->tensors[i].name, name) == 0) {
            return &st->tensors[i];
        }
    }
    return NULL;
}

bool tool_tensor_read(const struct tool_tensor *t, uint64_t at, size_t n, float *out)
{
    ASSERT(t->dtype != TOOL_DTYPE_OTHER);
    bool finite = true;
    if (t->dtype == TOOL_DTYPE_F32) {
        memcpy(out, t->data + at * sizeof(float), n * sizeof(float));
    }
    for (size_t i = 0; i < n; i++) {
        if (t->dtype != TOOL_DTYPE_F32) {
            uint16_t bits;
            memcpy(&bits, t->data + (at + i) * sizeof(bits), sizeof(bits));
            if (t->dtype == TOOL_DTYPE_F16) {
                out[i] = ggml_fp16_to_fp32(bits);
            } else {
                uint32_t wide = (uint32_t)bits << 16;
                memcpy(&out[i], &wide, sizeof(wide));
            }
        }
        finite = finite && isfinite(out[i]);
    }
    return finite;
}
