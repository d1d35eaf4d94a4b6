/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comments: what a model is told, and what is taken of what it says.
 * Threads: one. Limits: COMMENTS_MAX sentences a section; FACTS_BYTES are told.
 */
#include <ctype.h>
#include <string.h>

#include "work/report/report_internal.h"

#define COMMENTS_MAX 32
#define FACTS_BYTES 4000

void report_comment_facts(const struct report *r, size_t part, struct buf *out)
{
    const struct report_part *p = &r->parts[part];
    for (size_t i = 0; i < p->lines_len; i++) {
        for (size_t k = 0; k < p->lines[i].sentences_len; k++) {
            if (out->len + strlen(p->lines[i].sentences[k].text) < FACTS_BYTES) {
                (void)buf_printf(out, "%s\n", p->lines[i].sentences[k].text);
            }
        }
    }
}

/* Where the sentence that begins at s[0] ends: behind . ! ? before a space, or at a line's end. */
static size_t sentence_end(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool stop = strchr(".!?", s[i]) != NULL && (i + 1 == n || isspace((unsigned char)s[i + 1]));
        if (s[i] == '\n') {
            return i;
        }
        if (stop) {
            return i + 1;
        }
    }
    return n;
}

static bool is_said(const struct report_part *p, const char *s)
{
    for (size_t i = 0; i < p->comments_len; i++) {
        if (strcmp(p->comments[i].text.text, s) == 0) {
            return true;
        }
    }
    return false;
}

/* A sentence that was verified gets its spans: each digit run is the value that shows it. */
static struct report_text with_spans(struct report *r, const char *s)
{
    struct report_span spans[64];
    struct report_text t = {.text = s};
    size_t n = strlen(s);
    for (size_t i = 0; i < n && t.spans_len < COUNT_OF(spans);) {
        size_t best = 0;
        uint32_t value = 0;
        for (uint32_t v = 0; v < r->values_len; v++) {
            size_t len = strlen(r->values[v].shown);
            bool whole = len > best && i + len <= n &&
                         memcmp(s + i, r->values[v].shown, len) == 0 &&
                         strpbrk(r->values[v].shown, "0123456789") != NULL &&
                         (i == 0 || !isalnum((unsigned char)s[i - 1])) &&
                         !isdigit((unsigned char)s[i + len]);
            if (whole) {
                best = len;
                value = v;
            }
        }
        if (best > 0) {
            spans[t.spans_len++] = (struct report_span){(uint32_t)i, (uint32_t)(i + best), value};
            i += best;
        } else {
            i++;
        }
    }
    t.spans = arena_dup(r->arena, spans, t.spans_len * sizeof(*spans));
    return t;
}

static bool digits_are_traced(const struct report_text *t)
{
    size_t k = 0;
    for (size_t i = 0; t->text[i] != '\0'; i++) {
        while (k < t->spans_len && t->spans[k].end <= i) {
            k++;
        }
        if (isdigit((unsigned char)t->text[i]) && (k == t->spans_len || i < t->spans[k].begin)) {
            return false;
        }
    }
    return true;
}

size_t report_comment_take(struct report *r, size_t part, const char *text, size_t n)
{
    struct report_part *p = &r->parts[part];
    size_t taken = 0;
    if (p->comments == NULL) {
        p->comments = arena_alloc(r->arena, COMMENTS_MAX * sizeof(*p->comments));
    }
    for (size_t at = 0; at < n && p->comments_len < COMMENTS_MAX;) {
        at += strspn(text + at, " \t\r\n-*");
        size_t len = at < n ? sentence_end(text + at, n - at) : 0;
        if (len == 0) {
            break;
        }
        char detail[80] = "";
        const char *s = arena_dup_strn(r->arena, text + at, len);
        at += len;
        if (is_said(p, s)) {
            continue;
        }
        struct report_comment c = {.text = {.text = s}};
        c.verdict = report_check_sentence(r, s, len, detail, sizeof(detail));
        if (c.verdict == REPORT_CLAIM_OK) {
            c.text = with_spans(r, s);
            /* rounded otherwise than any value is shown: right, but without a place to point to */
            c.verdict = digits_are_traced(&c.text) ? REPORT_CLAIM_OK : REPORT_CLAIM_ROUNDING;
        }
        c.detail = arena_dup_str(r->arena, detail);
        p->comments[p->comments_len++] = c;
        taken += c.verdict == REPORT_CLAIM_OK ? 1 : 0;
    }
    return taken;
}
