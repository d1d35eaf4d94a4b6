/* SPDX-License-Identifier: Apache-2.0 */
/* What both dialects share: a reply's parts, events of a stream, embeddings. All of it hostile. */
#include <math.h>
#include <string.h>

#include "run/upstream/upstream_internal.h"

#define REPLY_DIM_MAX 8192

void reply_init(struct reply *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->text, UPSTREAM_REPLY_BYTES);
}

void reply_done(struct reply *r)
{
    buf_done(&r->text);
    for (size_t i = 0; i < r->tools_len; i++) {
        buf_done(&r->tools[i].arguments);
    }
    mem_free(r->vectors);
    memset(r, 0, sizeof(*r));
}

struct reply_tool *reply_tool_at(struct reply *r, size_t index)
{
    if (index > r->tools_len || index >= REPLY_MAX_TOOLS) {
        return NULL;
    }
    if (index == r->tools_len) {
        memset(&r->tools[index], 0, sizeof(r->tools[index]));
        buf_init(&r->tools[index].arguments, REPLY_LINE_BYTES);
        r->tools_len++;
    }
    return &r->tools[index];
}

bool reply_add(struct buf *b, const json_t *text)
{
    return json_is_string(text) && buf_add(b, json_string_value(text), json_string_length(text));
}

int64_t reply_count(const json_t *usage, const char *key)
{
    const json_t *n = json_object_get(usage, key);
    int64_t v = json_is_integer(n) ? (int64_t)json_integer_value(n) : 0;
    return v < 0 || v > 100000000 ? 0 : v;
}

static int add_bytes(const char *bytes, size_t n, void *out)
{
    return buf_add(out, bytes, n) ? 0 : -1;
}

void reply_put_tree(struct jn_writer *w, const char *key, const json_t *tree)
{
    jn_key(w, key);
    jn_put_raw(w, "", 0);
    (void)json_dump_callback(tree, add_bytes, w->out, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* ---- embeddings ---- */

static bool read_row(const json_t *row, float *out, size_t dim)
{
    double sum = 0;
    if (!json_is_array(row) || json_array_size(row) != dim) {
        return false;
    }
    for (size_t i = 0; i < dim; i++) {
        const json_t *v = json_array_get(row, i);
        double x = json_number_value(v);
        if (!json_is_number(v) || !isfinite(x) || fabs(x) > 1e6) {
            return false;
        }
        out[i] = (float)x;
        sum += x * x;
    }
    float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (size_t i = 0; i < dim; i++) {
        out[i] *= scale;
    }
    return sum > 0;
}

bool reply_vectors(const json_t *root, size_t n, struct reply *r)
{
    const json_t *data = json_object_get(root, "data");
    if (!json_is_array(data) || json_array_size(data) != n || n == 0) {
        return false;
    }
    r->dim = json_array_size(json_object_get(json_array_get(data, 0), "embedding"));
    if (r->dim == 0 || r->dim > REPLY_DIM_MAX) {
        return false;
    }
    r->vectors = mem_alloc_array(n, r->dim * sizeof(float));
    r->vectors_len = n;
    bool *seen = mem_alloc(n);
    bool good = true;
    for (size_t i = 0; good && i < n; i++) {
        const json_t *row = json_array_get(data, i);
        const json_t *at = json_object_get(row, "index");
        size_t index = json_is_integer(at) ? (size_t)json_integer_value(at) : i;
        good = index < n && !seen[index] &&
               read_row(json_object_get(row, "embedding"), r->vectors + index * r->dim, r->dim);
        if (good) {
            seen[index] = true;
        }
    }
    mem_free(seen);
    const json_t *usage = json_object_get(root, "usage");
    r->usage = json_is_object(usage);
    r->tokens_in = reply_count(usage, "prompt_tokens");
    r->ended = good;
    return good;
}

/* ---- server-sent events (WHATWG HTML, "Server-sent events") ---- */

/* One line off the front, without its end; false when it has no end yet. */
static bool next_line(const struct buf *bytes, size_t from, bool at_end, size_t *len, size_t *next)
{
    const char *s = bytes->data + from;
    size_t left = bytes->len - from;
    size_t i = 0;
    while (i < left && s[i] != '\n' && s[i] != '\r') {
        i++;
    }
    bool cut = i == left || (s[i] == '\r' && i + 1 == left); /* a line feed may follow */
    if (cut && (!at_end || left == 0)) {
        return false;
    }
    *len = i;
    *next = i == left ? bytes->len
                      : from + i + (s[i] == '\r' && i + 1 < left && s[i + 1] == '\n' ? 2 : 1);
    return true;
}

int sse_next(struct buf *bytes, bool at_end, struct buf *data)
{
    size_t at = 0;
    size_t len;
    size_t next;
    bool some = false;
    buf_clear(data);
    while (at < bytes->len && next_line(bytes, at, at_end, &len, &next)) {
        const char *s = bytes->data + at;
        at = next;
        if (len == 0 && some) {
            buf_consume(bytes, at);
            return 1;
        }
        if (len >= 5 && memcmp(s, "data:", 5) == 0) {
            size_t skip = len > 5 && s[5] == ' ' ? 6 : 5;
            if ((some && !buf_add_char(data, '\n')) || !buf_add(data, s + skip, len - skip)) {
                return -1;
            }
            some = true;
        } else if (len > 0 && s[0] != ':' && memchr(s, ':', len) == NULL) {
            return -1; /* every field has a colon where anybody speaks this */
        }
        if (!some) {
            buf_consume(bytes, at);
            at = 0;
        }
    }
    if (at_end && some) {
        buf_consume(bytes, at);
        return 1;
    }
    return bytes->len > REPLY_LINE_BYTES ? -1 : 0;
}
