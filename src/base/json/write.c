/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: RFC 8259 output, RFC 8785 when canonical. */
#include "base/json/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"

void jn_begin(struct jn_writer *w, struct buf *out, bool canonical)
{
    memset(w, 0, sizeof(*w));
    w->out = out;
    w->canonical = canonical;
}

static void before_value(struct jn_writer *w)
{
    if (w->need_comma) {
        buf_add_char(w->out, ',');
    }
    w->need_comma = true;
}

static void open_level(struct jn_writer *w, char c)
{
    before_value(w);
    buf_add_char(w->out, c);
    ASSERT(w->depth < JN_MAX_DEPTH);
    w->last_key[w->depth++][0] = '\0';
    w->need_comma = false;
}

static void close_level(struct jn_writer *w, char c)
{
    ASSERT(w->depth > 0);
    w->depth--;
    buf_add_char(w->out, c);
    w->need_comma = true;
}

void jn_object_begin(struct jn_writer *w)
{
    open_level(w, '{');
}

void jn_object_end(struct jn_writer *w)
{
    close_level(w, '}');
}

void jn_array_begin(struct jn_writer *w)
{
    open_level(w, '[');
}

void jn_array_end(struct jn_writer *w)
{
    close_level(w, ']');
}

static void add_escaped(struct buf *b, const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        size_t start = i;
        while (i < n && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\' &&
               (unsigned char)s[i] < 0x80) {
            i++;
        }
        buf_add(b, s + start, i - start);
        if (i == n) {
            break;
        }
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x80) {
            uint32_t cp;
            size_t len = text_utf8_decode(s + i, n - i, &cp);
            buf_add(b, len > 0 ? s + i : "\xef\xbf\xbd", len > 0 ? len : 3);
            i += len > 0 ? len : 1;
            continue;
        }
        static const char named[] = "\bb\tt\nn\ff\rr\"\"\\\\";
        const char *p = NULL;
        for (const char *k = named; *k != '\0'; k += 2) {
            if (*k == (char)c) {
                p = k + 1;
            }
        }
        if (p != NULL) {
            char esc[2] = {'\\', *p};
            buf_add(b, esc, 2);
        } else {
            buf_printf(b, "\\u%04x", c);
        }
        i++;
    }
}

void jn_key(struct jn_writer *w, const char *key)
{
    if (w->need_comma) {
        buf_add_char(w->out, ',');
    }
    if (w->canonical) {
        char *last = w->last_key[w->depth - 1];
        ASSERT(strlen(key) < sizeof(w->last_key[0]) && strcmp(last, key) < 0);
        memcpy(last, key, strlen(key) + 1);
    }
    buf_add_char(w->out, '"');
    add_escaped(w->out, key, strlen(key));
    buf_add(w->out, "\":", 2);
    w->need_comma = false;
}

void jn_put_strn(struct jn_writer *w, const char *s, size_t n)
{
    before_value(w);
    buf_add_char(w->out, '"');
    add_escaped(w->out, s, n);
    buf_add_char(w->out, '"');
}

void jn_put_str(struct jn_writer *w, const char *s)
{
    if (s == NULL) {
        jn_put_null(w);
    } else {
        jn_put_strn(w, s, strlen(s));
    }
}

void jn_put_int(struct jn_writer *w, int64_t v)
{
    before_value(w);
    buf_printf(w->out, "%lld", (long long)v);
}

void jn_put_real(struct jn_writer *w, double v, int decimals)
{
    ASSERT(!w->canonical);
    before_value(w);
    if (isfinite(v)) {
        buf_printf(w->out, "%.*f", decimals, v);
    } else {
        buf_add_str(w->out, "null");
    }
}

void jn_put_bool(struct jn_writer *w, bool v)
{
    before_value(w);
    buf_add_str(w->out, v ? "true" : "false");
}

void jn_put_null(struct jn_writer *w)
{
    before_value(w);
    buf_add_str(w->out, "null");
}

void jn_put_raw(struct jn_writer *w, const char *json, size_t n)
{
    before_value(w);
    buf_add(w->out, json, n);
}

void jn_kv_str(struct jn_writer *w, const char *key, const char *s)
{
    jn_key(w, key);
    jn_put_str(w, s);
}

void jn_kv_int(struct jn_writer *w, const char *key, int64_t v)
{
    jn_key(w, key);
    jn_put_int(w, v);
}

void jn_kv_real(struct jn_writer *w, const char *key, double v, int decimals)
{
    jn_key(w, key);
    jn_put_real(w, v, decimals);
}

void jn_kv_bool(struct jn_writer *w, const char *key, bool v)
{
    jn_key(w, key);
    jn_put_bool(w, v);
}

void jn_kv_null(struct jn_writer *w, const char *key)
{
    jn_key(w, key);
    jn_put_null(w);
}
