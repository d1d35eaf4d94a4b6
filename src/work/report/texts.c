/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts with spans: words whose braces are values. Digits that the words themselves hold are a
 * value too: the template says them, at that line.
 * Threads: one. Limits: 4 KiB a text.
 */
#include <ctype.h>
#include <string.h>

#include "work/report/report_internal.h"

#define TEXT_MAX 4096
#define SPANS_MAX 64

struct filling {
    struct maker *m;
    struct buf text;
    struct report_span spans[SPANS_MAX];
    size_t n;
    int line;
};

static void put_value(struct filling *f, uint32_t value)
{
    const char *s = value_at(f->m, value)->shown;
    uint32_t begin = (uint32_t)f->text.len;
    if (f->n < SPANS_MAX && buf_add_str(&f->text, s)) {
        f->spans[f->n++] = (struct report_span){begin, (uint32_t)f->text.len, value};
    } else {
        f->m->overflow = true;
    }
}

/* Literal words; a run of digits with its marks is what the template says. */
static void put_words(struct filling *f, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && !isdigit((unsigned char)s[i])) {
            i++;
        }
        (void)buf_add(&f->text, s + from, i - from);
        from = i;
        while (i < n && (isdigit((unsigned char)s[i]) || (i + 1 < n && strchr(".,", s[i]) != NULL &&
                                                          isdigit((unsigned char)s[i + 1])))) {
            i++;
        }
        if (i > from) {
            AUTO_FREE char *digits = mem_dup_strn(s + from, i - from);
            put_value(f, value_text(f->m, REPORT_HOW_TEMPLATE, digits, f->line));
        }
    }
}

static struct report_text finish(struct filling *f)
{
    struct report_text t = {.spans_len = f->n};
    t.text = arena_dup_str(f->m->arena, f->text.data == NULL ? "" : f->text.data);
    t.spans = arena_dup(f->m->arena, f->spans, f->n * sizeof(*f->spans));
    buf_done(&f->text);
    return t;
}

struct report_text text_fill(struct maker *m, const char *words, int line, const struct slot *slots,
                             size_t n)
{
    struct filling f = {.m = m, .line = line};
    buf_init(&f.text, TEXT_MAX);
    for (const char *p = words; *p != '\0';) {
        size_t len = strcspn(p, "{");
        const char *end = p[len] == '{' ? strchr(p + len, '}') : NULL;
        if (end == NULL) {
            put_words(&f, p, strlen(p));
            break;
        }
        uint32_t value = NONE;
        for (size_t i = 0; i < n; i++) {
            bool same = strlen(slots[i].name) == (size_t)(end - p) - len - 1 &&
                        strncmp(slots[i].name, p + len + 1, strlen(slots[i].name)) == 0;
            value = same ? slots[i].value : value;
        }
        bool bracket = value == NONE && len >= 2 && p[len - 1] == '(' && p[len - 2] == ' ' &&
                       end[1] == ')';
        put_words(&f, p, bracket ? len - 2 : len);
        if (value != NONE) {
            put_value(&f, value);
        }
        p = end + (bracket ? 2 : 1);
    }
    return finish(&f);
}

struct report_text text_of_value(struct maker *m, uint32_t value)
{
    static const struct report_text none;
    struct slot slot = {"v", value};
    return value == NONE ? none : text_fill(m, "{v}", 0, &slot, 1);
}

struct report_text text_word(struct maker *m, const struct template_line *l, enum word w)
{
    bool own = l != NULL && l->words[w] != NULL;
    return text_fill(m, own ? l->words[w] : m->t->words[w], own ? l->line : m->t->words_line[w],
                     NULL, 0);
}
