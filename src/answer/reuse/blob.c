/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A template as bytes and back. Little-endian, a format number first; reading trusts no byte: every
 * count is held against its limit and every place against what was read before.
 * Owns: templates made here are the caller's. Threads: pure. Limits: REUSE_TEMPLATE_BYTES.
 */
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/text/text.h"

#define FORMAT 1u

void reuse_elems_free(struct tline *line)
{
    for (size_t e = 0; e < line->n; e++) {
        mem_free(line->elems[e].text);
    }
    mem_free(line->elems);
}

void reuse_template_free(struct reuse_template *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->n; i++) {
        reuse_elems_free(&t->lines[i]);
    }
    for (size_t i = 0; i < t->fields_len; i++) {
        mem_free(t->fields[i].name);
    }
    mem_free(t->lines);
    mem_free(t->sources);
    mem_free(t);
}

size_t reuse_template_sources(const struct reuse_template *t)
{
    return t->sources_len;
}

struct id reuse_template_source(const struct reuse_template *t, size_t i)
{
    return t->sources[i];
}

size_t reuse_template_fields(const struct reuse_template *t)
{
    return t->fields_len;
}

const char *reuse_template_field(const struct reuse_template *t, size_t i)
{
    return t->fields[i].name;
}

/* ---- writing ---- */

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_add(b, bytes, sizeof(bytes));
}

static void put_text(struct buf *b, const char *s)
{
    put_u32(b, (uint32_t)strlen(s));
    buf_add_str(b, s);
}

static void put_anchor(struct buf *b, const struct anchor *a)
{
    put_u32(b, a->line);
    put_u32(b, a->from);
    put_u32(b, a->to);
    put_u32(b, (uint32_t)a->rule.transform | (uint32_t)a->rule.mark << 8 |
                   (uint32_t)a->rule.form << 16 | (uint32_t)a->rule.order << 24);
    put_u32(b, a->confirmed);
    put_u32(b, a->classes);
    for (size_t i = 0; i < 4; i++) {
        put_u32(b, a->puncts[i]);
    }
    put_u32(b, a->most_tokens);
}

static void write_layout(const struct reuse_template *t, struct buf *b)
{
    put_u32(b, FORMAT);
    put_u32(b, (uint32_t)t->n);
    for (size_t i = 0; i < t->n; i++) {
        const struct tline *line = &t->lines[i];
        put_u32(b, line->kind);
        put_u32(b, line->seen);
        put_u32(b, line->most);
        put_u32(b, (uint32_t)line->label);
        put_u32(b, (uint32_t)line->n);
        for (size_t e = 0; e < line->n; e++) {
            const struct elem *x = &line->elems[e];
            put_u32(b, (x->text == NULL ? 1u : 0) | (x->empty ? 2u : 0) | (x->open ? 4u : 0));
            put_text(b, x->text != NULL ? x->text : "");
        }
    }
    put_u32(b, (uint32_t)t->fields_len);
    for (size_t i = 0; i < t->fields_len; i++) {
        put_text(b, t->fields[i].name);
        put_u32(b, (uint32_t)t->fields[i].n);
        for (size_t k = 0; k < t->fields[i].n; k++) {
            put_anchor(b, &t->fields[i].anchors[k]);
        }
    }
}

bool reuse_template_write(const struct reuse_template *t, struct buf *out)
{
    write_layout(t, out);
    put_u32(out, (uint32_t)t->sources_len);
    for (size_t i = 0; i < t->sources_len; i++) {
        buf_add(out, t->sources[i].bytes, sizeof(t->sources[i].bytes));
    }
    return !out->overflow;
}

void reuse_template_hash(const struct reuse_template *t, char hex[65])
{
    struct buf b;
    uint8_t hash[32];
    buf_init(&b, (size_t)4 * REUSE_TEMPLATE_BYTES);
    write_layout(t, &b);
    text_sha256(b.data, b.len, hash);
    text_hex(hash, sizeof(hash), hex);
    buf_done(&b);
}

/* ---- reading ---- */

struct reader {
    const uint8_t *data;
    size_t n, at;
    bool bad;
};

static uint32_t take_u32(struct reader *r, uint32_t max)
{
    if (r->bad || r->n - r->at < 4) {
        r->bad = true;
        return 0;
    }
    const uint8_t *p = r->data + r->at;
    uint32_t v = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    r->at += 4;
    r->bad = v > max;
    return r->bad ? 0 : v;
}

static char *take_text(struct reader *r)
{
    uint32_t n = take_u32(r, REUSE_DOC_BYTES);
    if (r->bad || n > r->n - r->at || memchr(r->data + r->at, 0, n) != NULL) {
        r->bad = true;
        return mem_dup_str("");
    }
    r->at += n;
    return mem_dup_strn((const char *)r->data + r->at - n, n);
}

static void take_line(struct reader *r, struct tline *line)
{
    line->kind = (uint8_t)take_u32(r, LINE_FREE);
    line->seen = take_u32(r, UINT32_MAX);
    line->most = take_u32(r, REUSE_DOC_LINES);
    line->label = take_u32(r, REUSE_LINE_ELEMS);
    size_t n = take_u32(r, REUSE_LINE_ELEMS);
    line->elems = mem_alloc_array(n + 1, sizeof(*line->elems));
    for (size_t e = 0; e < n && !r->bad; e++) {
        uint32_t flags = take_u32(r, 7);
        char *text = take_text(r);
        line->elems[e] = (struct elem){.empty = (flags & 2) != 0, .open = (flags & 4) != 0};
        line->n = e + 1;
        if ((flags & 1) == 0 && text[0] != '\0') {
            line->elems[e].text = text;
        } else {
            r->bad = r->bad || (flags & 1) == 0;
            mem_free(text);
        }
    }
    r->bad = r->bad || line->label > line->n;
}

static void take_anchor(struct reader *r, const struct reuse_template *t, struct anchor *a)
{
    a->line = take_u32(r, t->n > 0 ? (uint32_t)t->n - 1 : 0);
    a->from = take_u32(r, REUSE_LINE_ELEMS);
    a->to = take_u32(r, REUSE_LINE_ELEMS);
    uint32_t rule = take_u32(r, UINT32_MAX);
    a->rule = (struct value_rule){(uint8_t)rule, (uint8_t)(rule >> 8), (uint8_t)(rule >> 16),
                                  (uint8_t)(rule >> 24)};
    a->confirmed = take_u32(r, UINT32_MAX);
    a->classes = take_u32(r, UINT32_MAX);
    for (size_t i = 0; i < 4; i++) {
        a->puncts[i] = take_u32(r, UINT32_MAX);
    }
    a->most_tokens = take_u32(r, REUSE_LINE_TOKENS);
    r->bad = r->bad || t->n == 0 || t->lines[a->line].kind > LINE_OPTIONAL || a->from > a->to ||
             a->to >= t->lines[a->line].n || a->rule.transform >= REUSE_TRANSFORM_COUNT ||
             a->rule.form >= VALUE_FORM_COUNT || a->rule.order > VALUE_ORDER_COUNT;
}

static void take_all(struct reader *r, struct reuse_template *t)
{
    r->bad = r->n > REUSE_TEMPLATE_BYTES || take_u32(r, FORMAT) != FORMAT;
    size_t lines = take_u32(r, REUSE_DOC_LINES);
    t->lines = mem_alloc_array(lines + 1, sizeof(*t->lines));
    for (size_t i = 0; i < lines && !r->bad; i++) {
        take_line(r, &t->lines[i]);
        t->n = i + 1;
    }
    size_t fields = take_u32(r, REUSE_MAX_FIELDS);
    for (size_t i = 0; i < fields && !r->bad; i++) {
        struct tfield *f = &t->fields[i];
        f->name = take_text(r);
        t->fields_len = i + 1;
        f->n = take_u32(r, REUSE_ANCHORS);
        for (size_t k = 0; k < f->n && !r->bad; k++) {
            take_anchor(r, t, &f->anchors[k]);
        }
    }
    size_t sources = take_u32(r, REUSE_LEARN_DOCS);
    t->sources = mem_alloc_array(sources + 1, sizeof(*t->sources));
    for (size_t i = 0; i < sources && !r->bad; i++) {
        if (r->n - r->at < sizeof(t->sources[i].bytes)) {
            r->bad = true;
            break;
        }
        memcpy(t->sources[i].bytes, r->data + r->at, sizeof(t->sources[i].bytes));
        r->at += sizeof(t->sources[i].bytes);
        t->sources_len = i + 1;
    }
    r->bad = r->bad || r->at != r->n;
}

enum fail reuse_template_read(const void *bytes, size_t n, struct reuse_template **out,
                              struct fault *why)
{
    struct reader r = {.data = bytes, .n = n};
    struct reuse_template *t = mem_alloc(sizeof(*t));
    take_all(&r, t);
    if (r.bad) {
        reuse_template_free(t);
        *out = NULL;
        FAULT(why, FAIL_INTERNAL, "a stored template is damaged near byte %zu", r.at);
        fail_hint(why, "Its documents go through the climb; the next ones teach it anew.");
        return FAIL_INTERNAL;
    }
    *out = t;
    return FAIL_NONE;
}
