/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mask: one pass over the text; wherever a word begins, the matchers are asked in turn.
 *
 * Owns nothing. Threads: pure. Limits: GUARD_MAX_TEXT; every matcher reads a bounded stretch, so
 * the time is linear.
 */
#include "trust/guard/guard_internal.h"

#include <string.h>

static const char *const placeholders[GUARD_KIND_COUNT] = {
    [GUARD_KIND_EMAIL] = "[EMAIL]", [GUARD_KIND_LINK] = "[LINK]", [GUARD_KIND_PHONE] = "[PHONE]",
    [GUARD_KIND_IBAN] = "[IBAN]", [GUARD_KIND_CARD] = "[CARD]", [GUARD_KIND_ID] = "[ID]",
    [GUARD_KIND_NUMBER] = "[NUMBER]", [GUARD_KIND_NAME] = "[NAME]",
};

const char *guard_placeholder(enum guard_kind kind)
{
    return placeholders[kind];
}

struct masking {
    const char *s;
    size_t n;
    bool names;
    struct buf *out;
    size_t out_start;
    struct guard_spans spans;
    size_t room;
    size_t done; /* input copied so far */
};

static void replace(struct masking *m, enum guard_kind kind, size_t from, size_t to)
{
    buf_add(m->out, m->s + m->done, from - m->done);
    size_t at = m->out->len - m->out_start;
    buf_add_str(m->out, placeholders[kind]);
    if (m->spans.n == m->room) {
        m->room = m->room == 0 ? 16 : m->room * 2;
        m->spans.items = mem_realloc(m->spans.items, m->room * sizeof(*m->spans.items));
    }
    m->spans.items[m->spans.n++] = (struct guard_span){
        .kind = kind, .from = from, .to = to, .out_from = at,
        .out_to = at + strlen(placeholders[kind])};
    m->done = to;
}

/* The value at s[0..n), where a word begins; *skip is what stands before it and stays. */
static size_t match(const struct masking *m, const char *s, size_t n, int line_start,
                    enum guard_kind *kind, size_t *skip)
{
    size_t len;
    *skip = 0;
    if (guard_is_digit(s[0]) || s[0] == '+' || s[0] == '(') {
        len = guard_email(s, n);
        if (len > 0) {
            *kind = GUARD_KIND_EMAIL;
            return len;
        }
        len = guard_digits(s, n, kind);
        if (len > 0) {
            return len;
        }
    }
    *kind = GUARD_KIND_ID;
    if (!guard_is_word(s[0])) {
        return s[0] == '#' ? guard_id(s, n) : 0;
    }
    if ((len = guard_link(s, n)) > 0) {
        *kind = GUARD_KIND_LINK;
    } else if ((len = guard_email(s, n)) > 0) {
        *kind = GUARD_KIND_EMAIL;
    } else if ((len = guard_iban(s, n)) > 0) {
        *kind = GUARD_KIND_IBAN;
    } else if ((len = guard_id(s, n)) == 0 && m->names) {
        *kind = GUARD_KIND_NAME;
        len = guard_name(s, n, line_start > 0, skip);
        if (len == 0 && line_start > 1) {
            *skip = 0;
            len = guard_last_line(s, n);
        }
    }
    return len;
}

/* True when a value may begin at i: its predecessor is not part of a word or address. */
static bool may_begin(const char *s, size_t i)
{
    if (i == 0) {
        return true;
    }
    char before = s[i - 1];
    return !guard_is_word(before) && (before == 0 || strchr("@%_", before) == NULL) &&
           !(strchr(".-+", before) != NULL && before != 0 && i > 1 && guard_is_word(s[i - 2]));
}


bool guard_mask(const char *text, size_t n, const struct guard_options *options, struct buf *out,
                struct guard_spans *spans)
{
    struct masking m = {.s = text, .n = n, .names = options == NULL || options->names, .out = out,
                        .out_start = out->len};
    if (n > GUARD_MAX_TEXT || out->overflow) {
        return false;
    }
    size_t i = 0;
    int line_start = 1; /* ends of line since the last other character: 0 within a line */
    while (i < n) {
        enum guard_kind kind;
        size_t skip = 0;
        size_t len = may_begin(text, i) ? match(&m, text + i, n - i, line_start, &kind, &skip) : 0;
        if (len > 0) {
            replace(&m, kind, i + skip, i + skip + len);
            i += skip + len;
            line_start = 0;
            continue;
        }
        if (text[i] == '\n') {
            line_start = line_start < 2 ? line_start + 1 : line_start;
        } else if (strchr(" \t\r", text[i]) == NULL || text[i] == 0) {
            line_start = 0;
        }
        i++;
    }
    buf_add(out, text + m.done, n - m.done);
    if (out->overflow) {
        out->len = m.out_start;
        mem_free(m.spans.items);
        return false;
    }
    if (spans != NULL) {
        *spans = m.spans;
    } else {
        mem_free(m.spans.items);
    }
    return true;
}
