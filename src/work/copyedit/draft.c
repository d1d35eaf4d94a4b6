/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drafts from notes: a model's sentences where the notes support them, the other notes as they are.
 * Owns: nothing. Threads: pure. Limits: CHECK_MAX_SOURCES notes.
 */
#include <ctype.h>
#include <string.h>

#include "base/text/text.h"
#include "work/copyedit/copyedit_internal.h"

#define SHARE_SAID 0.6

struct notes {
    char *items[CHECK_MAX_SOURCES];
    bool said[CHECK_MAX_SOURCES];
    size_t n;
};

/* A note as a sentence: without its mark, with a capital and a full stop. */
static char *sentence_of(const char *s, size_t n)
{
    struct buf b;
    while (n > 0 && (strchr(" \t-*\xE2", s[0]) != NULL || (n > 1 && isdigit((unsigned char)s[0]) &&
                                                           (s[1] == '.' || s[1] == ')')))) {
        size_t skip = (unsigned char)s[0] == 0xE2 && n >= 3 ? 3
                      : isdigit((unsigned char)s[0])        ? 2
                                                            : 1;
        s += skip;
        n -= skip;
    }
    while (n > 0 && isspace((unsigned char)s[n - 1])) {
        n--;
    }
    buf_init(&b, n + 4);
    (void)buf_add(&b, s, n);
    if (n > 0) {
        b.data[0] = (char)(islower((unsigned char)b.data[0]) ? toupper((unsigned char)b.data[0])
                                                             : b.data[0]);
        if (strchr(".!?:", b.data[n - 1]) == NULL) {
            (void)buf_add_char(&b, '.');
        }
    }
    return n > 0 ? buf_take(&b) : NULL;
}

static void read_notes(const char *text, size_t len, struct notes *out)
{
    for (size_t i = 0; i < len && out->n < CHECK_MAX_SOURCES;) {
        const char *nl = memchr(text + i, '\n', len - i);
        size_t end = nl != NULL ? (size_t)(nl - text) : len;
        char *s = text[i] != '#' ? sentence_of(text + i, end - i) : NULL;
        if (s != NULL) {
            out->items[out->n++] = s;
        }
        i = end + 1;
    }
}

/* Notes that the sentence says nearly whole need not be said again. */
static void mark_said(struct notes *n, const char *s, size_t len, enum knowledge_lang lang)
{
    AUTO_FREE char *words = mem_dup_strn(s, len);
    const char *sources[1] = {words};
    for (size_t i = 0; i < n->n; i++) {
        struct check_claim c;
        check_claim(n->items[i], strlen(n->items[i]), lang, sources, 1, NULL, 0, &c);
        n->said[i] = n->said[i] || (c.verdict == CHECK_SUPPORTED && c.overlap >= SHARE_SAID);
    }
}

void copyedit_put_draft(const char *notes, size_t len, const char *words, enum knowledge_lang lang,
                        struct copyedit_draft *counts, struct buf *out)
{
    struct notes *n = mem_alloc(sizeof(*n));
    struct knowledge_span spans[CHECK_MAX_CLAIMS];
    size_t all = words != NULL ? strlen(words) : 0;
    *counts = (struct copyedit_draft){0};
    read_notes(notes, len, n);
    size_t count = all > 0 && all <= CHECK_MAX_REPLY
                       ? knowledge_split(words, all, lang, spans, COUNT_OF(spans))
                       : 0;
    for (size_t i = 0; i < count && i < COUNT_OF(spans); i++) {
        struct check_claim c;
        const char *s = words + spans[i].at;
        check_claim(s, spans[i].len, lang, (const char *const *)n->items, n->n, NULL, 0, &c);
        if (c.verdict == CHECK_SUPPORTED) {
            (void)buf_printf(out, "%s%.*s", out->len > 0 ? " " : "", (int)spans[i].len, s);
            mark_said(n, s, spans[i].len, lang);
        } else {
            counts->refused++;
        }
    }
    for (size_t i = 0; i < n->n; i++) {
        counts->said += n->said[i];
        if (!n->said[i]) {
            (void)buf_printf(out, "%s%s", out->len > 0 ? " " : "", n->items[i]);
        }
    }
    (void)buf_add_char(out, '\n');
    counts->notes = n->n;
    for (size_t i = 0; i < n->n; i++) {
        mem_free(n->items[i]);
    }
    mem_free(n);
}
