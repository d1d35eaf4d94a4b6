/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON and JSON lines (RFC 8259, RFC 6901): one value per number, string, true, false and null,
 * with its pointer and its bytes; a number as it is written, because a report quotes it so.
 * Threads: one. Limits: depth; the sink's. Recursion: as deep as depth.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

struct json {
    struct sink *out;
    struct lines lines;
    const char *text;
    size_t at, end;
    struct buf path, value;
    unsigned depth;
    uint32_t row;
    size_t key;         /* where the last key began */
    json_found_fn each; /* NULL: values become blocks */
    void *ctx;
};

static void read_value(struct json *j);

static void wrong(struct json *j, const char *what)
{
    (void)sink_fail(j->out, FAIL_BAD_REQUEST, "Have the program that wrote it write it again.",
                    "line %u: this is not JSON: %s", lines_at(&j->lines, j->at), what);
}

static bool failed(const struct json *j)
{
    return j->out->failed != FAIL_NONE;
}

static void skip_space(struct json *j)
{
    while (j->at < j->end && (j->text[j->at] == ' ' || j->text[j->at] == '\t' ||
                              j->text[j->at] == '\n' || j->text[j->at] == '\r')) {
        j->at++;
    }
}

static char peek(const struct json *j)
{
    return j->at < j->end ? j->text[j->at] : '\0';
}

static bool take(struct json *j, char c)
{
    bool there = j->at < j->end && j->text[j->at] == c;
    j->at += there ? 1 : 0;
    return there;
}

/* Four hex digits; UINT32_MAX: they are not. */
static uint32_t hex4(struct json *j)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = peek(j);
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16) {
            return UINT32_MAX;
        }
        v = v * 16 + d;
        j->at++;
    }
    return v;
}

/* After "\u": half a pair without the other becomes U+FFFD. */
static void add_escape(struct json *j, struct buf *out)
{
    char utf8[4];
    uint32_t cp = hex4(j);
    if (cp == UINT32_MAX) {
        wrong(j, "a \\u needs four hexadecimal digits");
        return;
    }
    if (cp >= 0xD800 && cp < 0xDC00 && j->end - j->at >= 6 && j->text[j->at] == '\\' &&
        j->text[j->at + 1] == 'u') {
        size_t back = j->at;
        j->at += 2;
        uint32_t low = hex4(j);
        if (low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        } else {
            j->at = back;
        }
    }
    cp = cp >= 0xD800 && cp < 0xE000 ? 0xFFFD : cp;
    (void)clean_add(out, utf8, text_utf8_encode(cp, utf8));
}

static void read_string(struct json *j, struct buf *out)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    j->at++;
    while (!failed(j)) {
        size_t run = j->at;
        while (run < j->end && j->text[run] != '"' && j->text[run] != '\\' &&
               (unsigned char)j->text[run] >= 0x20) {
            run++;
        }
        if (!clean_add(out, j->text + j->at, run - j->at)) {
            (void)sink_fail(j->out, FAIL_TOO_LARGE, NULL, "a string is longer than %llu bytes",
                            (unsigned long long)j->out->limits.text_bytes);
        }
        j->at = run;
        if (run >= j->end) {
            wrong(j, "a string does not end");
        } else if (take(j, '"')) {
            return;
        } else if (!take(j, '\\')) {
            wrong(j, "a string holds a control character");
        } else if (take(j, 'u')) {
            add_escape(j, out);
        } else {
            const char *known = peek(j) == '\0' ? NULL : strchr(letters, peek(j));
            if (known == NULL) {
                wrong(j, "there is no such escape");
                return;
            }
            (void)clean_add(out, &means[known - letters], 1);
            j->at++;
        }
    }
}

static bool digits(struct json *j)
{
    size_t before = j->at;
    while (peek(j) >= '0' && peek(j) <= '9') {
        j->at++;
    }
    return j->at > before;
}

static void read_number(struct json *j)
{
    size_t begin = j->at;
    bool ok;
    (void)take(j, '-');
    ok = take(j, '0') || digits(j);
    if (take(j, '.')) {
        ok = digits(j) && ok;
    }
    if (take(j, 'e') || take(j, 'E')) {
        if (!take(j, '+')) {
            (void)take(j, '-');
        }
        ok = digits(j) && ok;
    }
    if (!ok) {
        wrong(j, "a value is neither string, number, object, array, true, false nor null");
    }
    (void)buf_add(&j->value, j->text + begin, j->at - begin);
}

static void put(struct json *j, size_t begin, bool string)
{
    if (j->each != NULL && !failed(j)) {
        struct json_found v = {.path = j->path.data == NULL ? "" : j->path.data,
                               .text = j->value.data == NULL ? "" : j->value.data,
                               .len = j->value.len, .key = j->key, .begin = begin,
                               .end = j->at, .string = string};
        j->each(j->ctx, &v);
        return;
    }
    struct document_block b = {.kind = DOCUMENT_VALUE,
                               .row = j->row,
                               .path = j->path.data == NULL ? "" : j->path.data,
                               .text = j->value.data == NULL ? "" : j->value.data,
                               .len = j->value.len,
                               .begin = begin,
                               .end = j->at,
                               .line = lines_at(&j->lines, begin)};
    if (!failed(j)) {
        (void)sink_block(j->out, &b);
    }
}

static void cut_path(struct json *j, size_t len)
{
    if (j->path.data != NULL) {
        j->path.len = len;
        j->path.data[len] = '\0';
    }
}

/* A key as RFC 6901 writes it in a pointer. */
static void add_key(struct json *j, const char *key, size_t len)
{
    (void)buf_add_char(&j->path, '/');
    for (size_t i = 0; i < len; i++) {
        char c = key[i] == '\n' || key[i] == '\t' ? ' ' : key[i];
        (void)(c == '~'   ? buf_add_str(&j->path, "~0")
               : c == '/' ? buf_add_str(&j->path, "~1")
                          : buf_add_char(&j->path, c));
    }
}

static void read_members(struct json *j, bool object)
{
    size_t path = j->path.len;
    struct buf key;
    buf_init(&key, DOCUMENT_VALUE_MAX * 4);
    for (uint64_t i = 0; !failed(j); i++) {
        skip_space(j);
        if (i == 0 && take(j, object ? '}' : ']')) {
            break;
        }
        if (object) {
            buf_clear(&key);
            if (peek(j) != '"') {
                wrong(j, "a key in quotes is missing");
                break;
            }
            size_t quote = j->at;
            read_string(j, &key);
            skip_space(j);
            if (!failed(j) && !take(j, ':')) {
                wrong(j, "a colon is missing");
            }
            add_key(j, key.data == NULL ? "" : key.data, key.len);
            j->key = quote;
        } else {
            skip_space(j);
            j->key = j->at;
            (void)buf_printf(&j->path, "/%llu", (unsigned long long)i);
        }
        if (!failed(j)) {
            read_value(j);
        }
        cut_path(j, path);
        skip_space(j);
        if (!failed(j) && take(j, object ? '}' : ']')) {
            break;
        }
        if (!failed(j) && !take(j, ',')) {
            wrong(j, "a comma or the end is missing");
        }
    }
    buf_done(&key);
}

static void read_word(struct json *j)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        size_t n = strlen(words[i]);
        if (j->end - j->at >= n && memcmp(j->text + j->at, words[i], n) == 0) {
            (void)buf_add(&j->value, words[i], n);
            j->at += n;
            return;
        }
    }
    read_number(j);
}

static void read_value(struct json *j)
{
    skip_space(j);
    size_t begin = j->at;
    buf_clear(&j->value);
    char c = peek(j);
    if (c == '{' || c == '[') {
        if (++j->depth > j->out->limits.depth) {
            (void)sink_fail(j->out, FAIL_TOO_LARGE,
                            "No file that programs exchange is built like this.",
                            "values are nested more than %u deep", j->out->limits.depth);
            return;
        }
        j->at++;
        read_members(j, c == '{');
        j->depth--;
        return;
    }
    if (c == '"') {
        read_string(j, &j->value);
    } else {
        read_word(j);
    }
    put(j, begin, c == '"');
}

static void begin(struct json *j, struct sink *out, const char *text, size_t len)
{
    *j = (struct json){.out = out, .text = text, .end = len};
    lines_begin(&j->lines, text, len);
    buf_init(&j->path, (size_t)out->limits.text_bytes + DOCUMENT_VALUE_MAX);
    buf_init(&j->value, (size_t)out->limits.text_bytes + 16);
    j->at = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

static enum fail done(struct json *j)
{
    buf_done(&j->path);
    buf_done(&j->value);
    return j->out->failed;
}

static enum fail read_one(struct sink *out, const char *text, size_t len)
{
    struct json j;
    begin(&j, out, text, len);
    read_value(&j);
    skip_space(&j);
    if (!failed(&j) && j.at < j.end) {
        wrong(&j, "something follows the value");
    }
    return done(&j);
}

enum fail json_walk(struct sink *out, const char *text, size_t len, json_found_fn each, void *ctx)
{
    struct json j;
    begin(&j, out, text, len);
    j.each = each;
    j.ctx = ctx;
    read_value(&j);
    skip_space(&j);
    if (!failed(&j) && j.at < j.end) {
        wrong(&j, "something follows the value");
    }
    return done(&j);
}

static enum fail read_lines(struct sink *out, const char *text, size_t len)
{
    struct json j;
    begin(&j, out, text, len);
    while (j.at < len && !failed(&j)) {
        const char *nl = memchr(text + j.at, '\n', len - j.at);
        size_t line = j.at;
        j.end = nl == NULL ? len : (size_t)(nl - text);
        skip_space(&j);
        if (j.at < j.end) {
            j.row++;
            read_value(&j);
            skip_space(&j);
            if (!failed(&j) && j.at < j.end) {
                wrong(&j, "something follows the value on its line");
            }
        }
        j.at = nl == NULL ? len : j.end + 1;
        ASSERT(j.at > line || nl == NULL);
    }
    return done(&j);
}

static enum fail read_as(const struct source *in, struct sink *out, const char *format,
                         enum fail (*read)(struct sink *, const char *, size_t))
{
    struct decoded d;
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, format, d.charset)) == FAIL_NONE) {
        f = read(out, d.text, d.len);
    }
    charset_done(&d);
    return f;
}

enum fail json_read(const struct source *in, struct sink *out)
{
    return read_as(in, out, "json", read_one);
}

enum fail jsonl_read(const struct source *in, struct sink *out)
{
    return read_as(in, out, "jsonl", read_lines);
}
