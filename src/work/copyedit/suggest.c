/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suggestions by rule: what an alert would write, and whether it may stand.
 *
 * A replacement takes over the capitals of what it replaces and sets "a" or "an" before it right.
 * It is applied when its rule weighs enough, nothing overlaps it, and the paragraph with it has the
 * numbers, links, quotations and code that it had.
 * Owns: a result's strings. Threads: pure.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "work/copyedit/copyedit_internal.h"

const char *copyedit_state_name(enum copyedit_state s)
{
    static const char *const names[] = {"applied", "offered", "noted", "covered"};
    return names[s];
}

static void suggestion_done(struct copyedit_suggestion *s)
{
    mem_free(s->quote);
    mem_free(s->replacement);
    mem_free(s->message);
    mem_free(s->link);
}

void copyedit_result_done(struct copyedit_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        suggestion_done(&r->items[i]);
    }
    mem_free(r->items);
    *r = (struct copyedit_result){0};
}

static void place(const char *text, size_t at, int *line, int *column)
{
    size_t start = 0;
    *line = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            (*line)++;
            start = i + 1;
        }
    }
    *column = (int)text_utf8_count(text + start, at - start) + 1;
}

struct copyedit_suggestion *copyedit_add(struct copyedit_result *r, size_t at, size_t len)
{
    if (r->n == COPYEDIT_MAX_SUGGESTIONS) {
        r->dropped++;
        return NULL;
    }
    r->items = mem_realloc(r->items, (r->n + 1) * sizeof(*r->items));
    struct copyedit_suggestion *s = &r->items[r->n++];
    *s = (struct copyedit_suggestion){.at = at, .len = len, .state = COPYEDIT_NOTED};
    s->quote = mem_dup_strn(r->text + at, len);
    place(r->text, at, &s->line, &s->column);
    return s;
}

static int by_place(const void *a, const void *b)
{
    const struct copyedit_suggestion *x = a, *y = b;
    if (x->at != y->at) {
        return x->at < y->at ? -1 : 1;
    }
    return x->len != y->len ? (x->len > y->len ? -1 : 1) : strcmp(x->rule, y->rule);
}

void copyedit_sort(struct copyedit_result *r)
{
    if (r->n > 1) {
        qsort(r->items, r->n, sizeof(*r->items), by_place);
    }
}

/* ---- what to write ---- */

static bool starts_upper(const char *s, size_t len)
{
    uint32_t c = 0;
    return text_utf8_decode(s, len, &c) > 0 &&
           ((c < 0x80 && isupper((int)c)) || (c >= 0xC0 && c <= 0xDE && c != 0xD7));
}

static bool all_upper(const char *s)
{
    size_t capitals = 0;
    for (; *s != '\0'; s++) {
        if (islower((unsigned char)*s)) {
            return false;
        }
        capitals += isupper((unsigned char)*s) != 0;
    }
    return capitals >= 2;
}

static void raise_first(struct buf *b)
{
    unsigned char *d = (unsigned char *)b->data;
    if (b->len > 0 && d[0] < 0x80) {
        d[0] = (unsigned char)toupper(d[0]);
    } else if (b->len > 1 && d[0] == 0xC3 && d[1] >= 0xA0 && d[1] != 0xB7) {
        d[1] = (unsigned char)(d[1] - 0x20);
    }
}

static bool opens_with_vowel(const char *s)
{
    return *s != '\0' && strchr("aeiouAEIOU", *s) != NULL && strncmp(s, "use", 3) != 0 &&
           strncmp(s, "uni", 3) != 0 && strncmp(s, "one", 3) != 0;
}

/* "a blacklist" to "an ...": takes the article in front into the span when it has to change. */
static void set_article(struct copyedit_result *r, struct copyedit_suggestion *s, struct buf *out)
{
    const char *t = r->text;
    size_t n = s->at >= 3 && t[s->at - 1] == ' ' && t[s->at - 2] == 'n' ? 3 : 2;
    if (r->lang != KNOWLEDGE_LANG_EN || s->at < n || t[s->at - 1] != ' ' ||
        (t[s->at - n] != 'a' && t[s->at - n] != 'A') ||
        (s->at > n && !isspace((unsigned char)t[s->at - n - 1])) || out->len == 0) {
        return;
    }
    bool an = n == 3, wants = opens_with_vowel(out->data);
    if (an == wants) {
        return;
    }
    AUTO_FREE char *word = mem_dup_str(out->data);
    buf_clear(out);
    (void)buf_printf(out, "%c%s %s", t[s->at - n], wants ? "n" : "", word);
    s->at -= n;
    s->len += n;
}

/* Does a sentence begin at `at`? Marks of lists, quotations and headings go before it. */
static bool opens_sentence(const char *t, size_t at)
{
    while (at > 0 && strchr(" \t-*>#", t[at - 1]) != NULL && t[at - 1] != '\0') {
        at--;
    }
    return at == 0 || strchr(".!?:\n", t[at - 1]) != NULL;
}

/* Taking a word out takes a blank along, the comma of "Basically, ..." or ", basically, ...", and
   raises what then opens the sentence. */
static void widen_removal(const struct copyedit_result *r, struct copyedit_suggestion *s,
                          struct buf *out)
{
    const char *t = r->text;
    size_t end = s->at + s->len, from = s->at;
    bool opens = opens_sentence(t, s->at);
    bool commas = from >= 2 && t[from - 1] == ' ' && t[from - 2] == ',';
    if (end < r->len && t[end] == ',' && (opens || commas)) {
        end++;
    }
    if (end < r->len && t[end] == ' ') {
        end++;
        if (opens && starts_upper(t + s->at, s->len) && end < r->len) {
            uint32_t c = 0;
            size_t n = text_utf8_decode(t + end, r->len - end, &c);
            (void)buf_add(out, t + end, n);
            raise_first(out);
            end += n;
        }
    } else if (from > 0 && t[from - 1] == ' ') {
        from -= commas ? 2 : 1;
    }
    s->at = from;
    s->len = end - from;
}

static void decide_words(struct copyedit_result *r, struct copyedit_suggestion *s,
                         const struct style_alert *a)
{
    struct buf out;
    if (a->instead[0] == '\0' && !a->remove) {
        return;
    }
    buf_init(&out, 4096);
    (void)buf_add_str(&out, a->instead);
    if (a->remove) {
        widen_removal(r, s, &out);
    } else if (all_upper(s->quote) && strlen(s->quote) > 4 && !all_upper(a->instead)) {
        for (size_t i = 0; i < out.len; i++) {
            out.data[i] = (char)toupper((unsigned char)out.data[i]);
        }
    } else if (starts_upper(s->quote, strlen(s->quote))) {
        raise_first(&out);
    }
    set_article(r, s, &out);
    mem_free(s->quote);
    s->quote = mem_dup_strn(r->text + s->at, s->len);
    s->replacement = mem_dup_strn(out.data != NULL ? out.data : "", out.len);
    s->state = COPYEDIT_OFFERED;
    buf_done(&out);
}

/* ---- may it stand ---- */

static bool overlaps(const struct copyedit_suggestion *a, const struct copyedit_suggestion *b)
{
    return a->at < b->at + b->len && b->at < a->at + a->len;
}

static void paragraph_of(const struct copyedit_result *r, const struct copyedit_suggestion *s,
                         size_t *from, size_t *to)
{
    *from = s->at;
    *to = s->at + s->len;
    while (*from > 0 &&
           !(r->text[*from - 1] == '\n' && (*from < 2 || r->text[*from - 2] == '\n'))) {
        (*from)--;
    }
    while (*to < r->len &&
           !(r->text[*to] == '\n' && (*to + 1 == r->len || r->text[*to + 1] == '\n'))) {
        (*to)++;
    }
}

static void hold(struct copyedit_result *r, struct copyedit_suggestion *s)
{
    unsigned kinds = CHECK_KEEP_ALL & ~CHECK_KEEP(CHECK_VALUE_NAME);
    size_t from, to;
    struct buf after;
    paragraph_of(r, s, &from, &to);
    buf_init(&after, CHECK_MAX_REPLY + 4096);
    (void)buf_add(&after, r->text + from, s->at - from);
    (void)buf_add_str(&after, s->replacement);
    (void)buf_add(&after, r->text + s->at + s->len, to - s->at - s->len);
    struct check_result c = check_kept(r->text + from, to - from, after.data, after.len, r->lang,
                                       kinds);
    s->held = after.overflow ? CHECK_REASON_LIMIT : c.reason;
    buf_done(&after);
}

static void apply(struct copyedit_result *r, enum style_level least)
{
    for (int level = STYLE_ERROR; level >= (int)least; level--) {
        for (size_t i = 0; i < r->n; i++) {
            struct copyedit_suggestion *s = &r->items[i];
            bool free = s->state == COPYEDIT_OFFERED && (int)s->level == level && !s->by_model;
            for (size_t k = 0; k < r->n && free; k++) {
                free = k == i || r->items[k].state != COPYEDIT_APPLIED ||
                       !overlaps(s, &r->items[k]);
            }
            if (free && !s->choose && s->held == CHECK_REASON_NONE) {
                s->state = COPYEDIT_APPLIED;
            }
        }
    }
}

void copyedit_put_range(const struct copyedit_result *r, size_t from, size_t to, bool rewrites,
                        struct buf *out)
{
    size_t at = from;
    for (size_t i = 0; i < r->n; i++) {
        const struct copyedit_suggestion *s = &r->items[i];
        bool in = s->at >= at && s->at + s->len <= to && s->state == COPYEDIT_APPLIED;
        if (in && (rewrites || !s->by_model)) {
            (void)buf_add(out, r->text + at, s->at - at);
            (void)buf_add_str(out, s->replacement);
            at = s->at + s->len;
        }
    }
    (void)buf_add(out, r->text + at, to - at);
}

enum fail copyedit_check(const struct copyedit_policy *p, const char *text, size_t len,
                         const struct copyedit_options *o, struct copyedit_result *out,
                         struct fault *why)
{
    struct style_alerts alerts;
    *out = (struct copyedit_result){.text = text, .len = len, .lang = o->lang};
    if (!text_utf8_is_valid(text, len) || memchr(text, '\0', len) != NULL) {
        return FAULT(why, FAIL_BAD_REQUEST, "the text is no valid UTF-8");
    }
    if (o->lang == KNOWLEDGE_LANG_OTHER) {
        out->lang = knowledge_lang_from_code(check_language(text, len).code);
    }
    if (!copyedit_alerts(p, out->lang, text, len, o->markdown, &alerts)) {
        return FAULT(why, FAIL_TOO_LARGE, "the text is over %zu bytes", STYLE_MAX_TEXT);
    }
    for (size_t i = 0; i < alerts.n; i++) {
        const struct style_alert *a = &alerts.items[i];
        struct copyedit_suggestion *s = copyedit_add(out, a->from, a->to - a->from);
        if (s == NULL) {
            continue;
        }
        (void)text_copy(s->rule, sizeof(s->rule), a->rule);
        s->message = mem_dup_str(a->message);
        s->link = mem_dup_str(a->link);
        s->level = a->level;
        decide_words(out, s, a);
        if (s->replacement != NULL) {
            hold(out, s);
        }
        s->choose = a->several;
    }
    out->dropped += alerts.dropped;
    style_alerts_done(&alerts);
    copyedit_sort(out);
    apply(out, o->apply);
    if (o->ask != NULL) {
        copyedit_rewrite(p, o, out);
        copyedit_sort(out);
    }
    return FAIL_NONE;
}
