/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test reports: each name, count and message of a sentence is in the report.
 * Owns: nothing. Threads: pure; time grows with the report (a name that is none is looked for in
 * every message). Limits: CHECK_MAX_VALUES names and numbers a sentence.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

#define MAX_NAMED 64

/* What is said of tests, with the words for it. */
enum said {
    SAID_TESTS,
    SAID_PASSED,
    SAID_FAILED,
    SAID_ERRORED,
    SAID_SKIPPED,
    SAID_NEW,
    SAID_FIXED,
    SAID_PERSISTENT,
    SAID_FLAKY,
    SAID_SLOWER,
    SAID_COUNT
};

static const char *const said_words[SAID_COUNT] = {
    " test tests case cases testcase testcases testfall testf\xC3\xA4lle testf\xC3\xA4llen "
    "tests total insgesamt ",
    " passed passes passing pass succeeded successful green bestanden erfolgreich gr\xC3\xBCn "
    "bestandene ",
    " failed failing fails fail failure failures red broken fehlgeschlagen fehlgeschlagene "
    "fehlgeschlagenen fehlschl\xC3\xA4ge fehlschlag schlug schlugen scheiterten scheiterte ",
    " error errors errored fehler fehlern abgebrochen ",
    " skipped ignored skip skips disabled \xC3\xBC"
    "bersprungen \xC3\xBC"
    "bersprungene ausgelassen ",
    " new newly neu neue neuen neuer regression regressions regressionen ",
    " fixed resolved recovered behoben behobene behobenen repariert ",
    " persistent still persistently weiterhin bestehende anhaltend anhaltende known bekannte ",
    " flaky unstable intermittent instabil instabile wackelig ",
    " slower slow slowed langsamer langsam verlangsamt "};

struct sentence {
    const struct check_tests *in;
    struct knowledge_words words;
    int64_t counts[SAID_COUNT];
    struct check_value names[CHECK_MAX_VALUES];
    size_t name_count;
    const struct check_test *named[MAX_NAMED];
    size_t named_count;
};

static bool has(const char *s)
{
    return s != NULL && s[0] != '\0';
}

static bool is_said(const struct check_test *t, enum said what)
{
    bool red = t->outcome == CHECK_FAILED || t->outcome == CHECK_ERRORED;
    switch (what) {
    case SAID_TESTS:
        return true;
    case SAID_PASSED:
        return t->outcome == CHECK_PASSED;
    case SAID_FAILED:
        return red;
    case SAID_ERRORED:
        return t->outcome == CHECK_ERRORED;
    case SAID_SKIPPED:
        return t->outcome == CHECK_SKIPPED;
    case SAID_NEW:
        return (t->change & CHECK_CHANGE_NEW) != 0;
    case SAID_FIXED:
        return (t->change & CHECK_CHANGE_FIXED) != 0;
    case SAID_PERSISTENT:
        return (t->change & CHECK_CHANGE_PERSISTENT) != 0;
    case SAID_FLAKY:
        return (t->change & CHECK_CHANGE_FLAKY) != 0;
    case SAID_SLOWER:
        return (t->change & CHECK_CHANGE_SLOWER) != 0;
    case SAID_COUNT:
        break;
    }
    return false;
}

static bool listed(const char *list, const char *folded)
{
    char key[KNOWLEDGE_WORD_SIZE + 3];
    snprintf(key, sizeof(key), " %s ", folded);
    return strstr(list, key) != NULL;
}

/* ---- names and messages ---- */

/* "test_login", "LoginTest.testX", "a::b", "src/x.c", "shouldRefuse": no word of a sentence. */
static bool looks_like_code(const char *s, size_t n)
{
    bool mark = false, inner = false, letter = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        letter = letter || isalpha(c);
        mark = mark || c == '_' || c == '#' || c == '[' || c == '(' || c == '$' || c == '\\' ||
               (c == ':' && i + 2 < n && s[i + 1] == ':') ||
               ((c == '.' || c == '/') && i > 0 && i + 1 < n && isalpha((unsigned char)s[i + 1]) &&
                isalnum((unsigned char)s[i - 1]));
        inner = inner || (i > 0 && isupper(c) && islower((unsigned char)s[i - 1]));
    }
    return letter && (mark || inner);
}

static bool holds(const char *text, const char *s, size_t n)
{
    return has(text) && memmem(text, strlen(text), s, n) != NULL;
}

/* A whole name, suite or file, or its last parts: "testX" of "a.b.C.testX". */
static bool is_name_of(const char *name, const char *s, size_t n)
{
    size_t len = has(name) ? strlen(name) : 0;
    if (len < n || n == 0) {
        return false;
    }
    if (len == n) {
        return memcmp(name, s, n) == 0;
    }
    const char *hit = memmem(name, len, s, n);
    while (hit != NULL) {
        size_t at = (size_t)(hit - name);
        bool left = at == 0 || !isalnum((unsigned char)name[at - 1]);
        bool right = at + n == len || !isalnum((unsigned char)name[at + n]);
        if (left && right && n >= 3) {
            return true;
        }
        hit = memmem(hit + 1, len - at - 1, s, n);
    }
    return false;
}

/* "Suite.name", "Suite::name", "Suite > name", the suite whole or its last parts. */
static bool is_joined(const struct check_test *t, const char *s, size_t n)
{
    size_t a = has(t->suite) ? strlen(t->suite) : 0, b = has(t->name) ? strlen(t->name) : 0;
    if (a == 0 || b == 0 || n < b + 2 || memcmp(s + n - b, t->name, b) != 0) {
        return false;
    }
    size_t head = n - b;
    while (head > 0 && strchr(".:#/> ", s[head - 1]) != NULL) {
        head--;
    }
    bool gap = head < n - b && head > 0 && head <= a;
    return gap && memcmp(t->suite + a - head, s, head) == 0 &&
           (head == a || !isalnum((unsigned char)t->suite[a - head - 1]));
}

static bool is_given(const struct check_tests *in, const char *s, size_t n)
{
    for (size_t i = 0; i < in->given_count; i++) {
        if (holds(in->given[i], s, n)) {
            return true;
        }
    }
    return false;
}

static bool note_name(struct sentence *st, const char *s, size_t n)
{
    const struct check_tests *in = st->in;
    bool found = false;
    for (size_t i = 0; i < in->item_count; i++) {
        const struct check_test *t = &in->items[i];
        bool whole = (has(t->name) && strlen(t->name) == n && memcmp(t->name, s, n) == 0) ||
                     is_joined(t, s, n);
        if (whole && st->named_count < MAX_NAMED) {
            st->named[st->named_count++] = t;
        }
        found = found || whole || is_name_of(t->name, s, n) || is_name_of(t->suite, s, n) ||
                is_name_of(t->file, s, n);
    }
    for (size_t i = 0; i < in->item_count && !found; i++) {
        found = n >= 3 && holds(in->items[i].message, s, n);
    }
    return found || is_given(in, s, n);
}

static struct check_result check_name(struct sentence *st, size_t at, size_t n)
{
    const char *s = st->in->text;
    while (n > 0 && strchr(".,;:!?", s[at + n - 1]) != NULL) {
        n--;
    }
    struct check_value v = {.at = (uint32_t)at, .len = (uint32_t)n};
    if (!note_name(st, s + at, n)) {
        return check_wrong(CHECK_REASON_TEST, s, at, n);
    }
    if (st->name_count < CHECK_MAX_VALUES) {
        st->names[st->name_count] = v;
    }
    st->name_count++;
    return check_passed();
}

static bool inside_name(const struct sentence *st, size_t at)
{
    for (size_t i = 0; i < st->name_count && i < CHECK_MAX_VALUES; i++) {
        if (at >= st->names[i].at && at < st->names[i].at + st->names[i].len) {
            return true;
        }
    }
    return false;
}

static struct check_result names_stand(struct sentence *st)
{
    const struct check_tests *in = st->in;
    struct check_value quoted[64];
    size_t n = check_find_values(in->text, in->len, in->lang,
                                 CHECK_KEEP(CHECK_VALUE_QUOTE) | CHECK_KEEP(CHECK_VALUE_CODE),
                                 quoted, COUNT_OF(quoted));
    if (n > COUNT_OF(quoted)) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < n; i++) {
        struct check_result r = check_name(st, quoted[i].at, quoted[i].len);
        if (!r.ok) {
            return r;
        }
    }
    for (size_t i = 0; i < in->len;) {
        size_t len = 0;
        while (i + len < in->len && !isspace((unsigned char)in->text[i + len])) {
            len++;
        }
        size_t at = i, end = i + len;
        while (at < end && strchr("(\"'`*", in->text[at]) != NULL) {
            at++;
        }
        while (end > at && strchr(".,;:!?\"'`*)", in->text[end - 1]) != NULL &&
               !(in->text[end - 1] == ')' && memchr(in->text + at, '(', end - at) != NULL)) {
            end--;
        }
        if (end > at && !inside_name(st, at) && looks_like_code(in->text + at, end - at)) {
            struct check_result r = check_name(st, at, end - at);
            if (!r.ok) {
                return r;
            }
        }
        i += len + 1;
    }
    return check_passed();
}

/* ---- counts ---- */

/* Tests that all of `bits` are true of. */
static int64_t count_tests(const struct check_tests *in, unsigned bits)
{
    int64_t n = 0;
    for (size_t i = 0; i < in->item_count; i++) {
        bool all = true;
        for (int k = 0; k < SAID_COUNT && all; k++) {
            all = !(bits & (1u << k)) || is_said(&in->items[i], (enum said)k);
        }
        n += all;
    }
    return n;
}

/* Does the count of what stands beside the number (words from..to) agree? asked: something there
   is counted. */
static bool counts_agree(const struct sentence *st, size_t from, size_t to, double value,
                         bool *asked)
{
    unsigned bits = 0;
    for (size_t i = from; i < to; i++) {
        const char *w = st->words.items[i].folded;
        for (size_t c = 0; c < st->in->count_count; c++) {
            char list[128];
            snprintf(list, sizeof(list), " %s ", st->in->counts[c].words);
            if (listed(list, w) || listed(list, st->words.items[i].stem)) {
                *asked = true;
                if (fabs((double)st->in->counts[c].value - value) < 0.5) {
                    return true;
                }
            }
        }
        for (int k = 0; k < SAID_COUNT; k++) {
            bits |= listed(said_words[k], w) ? 1u << k : 0;
        }
    }
    if (bits == 0) {
        return false;
    }
    *asked = true;
    if (fabs((double)count_tests(st->in, bits) - value) < 0.5) {
        return true;
    }
    unsigned errors = (bits & ~(1u << SAID_ERRORED)) | (1u << SAID_FAILED);
    bool loose = (bits & (1u << SAID_ERRORED)) != 0 && !(bits & (1u << SAID_FAILED));
    return loose && fabs((double)count_tests(st->in, errors) - value) < 0.5;
}

static size_t word_at(const struct sentence *st, size_t at)
{
    size_t i = 0;
    while (i < st->words.count && st->words.items[i].at + st->words.items[i].len <= at) {
        i++;
    }
    return i;
}

static bool clause_ends(const struct sentence *st, size_t from, size_t to)
{
    for (size_t i = from; i < to && i < st->in->len; i++) {
        if (strchr(",;:()", st->in->text[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* "after 30 s", as the message of a test that the sentence names has it. */
static bool named_says(const struct sentence *st, const struct check_value *v)
{
    char word[40];
    if (v->len >= sizeof(word)) {
        return false;
    }
    memcpy(word, st->in->text + v->at, v->len);
    word[v->len] = '\0';
    for (size_t i = 0; i < st->named_count; i++) {
        const char *m = st->named[i]->message;
        if (has(m) && check_find_word(m, strlen(m), 0, word) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

/* The words beside a number: up to the next number or the clause's end, behind it and, where that
   counts nothing, before it. */
static bool number_agrees(const struct sentence *st, const struct check_value *v)
{
    size_t self = word_at(st, v->at), to = self + 1;
    bool asked = false;
    while (to < st->words.count && to < self + 7 &&
           !clause_ends(st, v->at + v->len, st->words.items[to].at)) {
        double other;
        const struct knowledge_word *w = &st->words.items[to];
        if (w->digit || check_number_word(w->folded, st->in->lang, &other)) {
            break;
        }
        to++;
    }
    if (counts_agree(st, self + 1, to, v->number, &asked)) {
        return true;
    }
    if (asked) {
        return false;
    }
    size_t from = self;
    while (from > 0 && from + 5 > self && !clause_ends(st, st->words.items[from - 1].at, v->at)) {
        from--;
    }
    bool right = counts_agree(st, from, self, v->number, &asked);
    return right || named_says(st, v);
}

static struct check_result numbers_stand(struct sentence *st)
{
    const struct check_tests *in = st->in;
    struct check_value values[128];
    unsigned kinds = CHECK_KEEP_ALL & ~(CHECK_KEEP(CHECK_VALUE_QUOTE) |
                                        CHECK_KEEP(CHECK_VALUE_CODE) |
                                        CHECK_KEEP(CHECK_VALUE_NAME));
    size_t n = check_find_values(in->text, in->len, in->lang, kinds, values, COUNT_OF(values));
    if (n > COUNT_OF(values)) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < n; i++) {
        const struct check_value *v = &values[i];
        char c = in->text[v->at];
        bool one = fabs(v->number - 1) < 1e-9 && !(c >= '0' && c <= '9');
        if (inside_name(st, v->at) || one || is_given(in, in->text + v->at, v->len)) {
            continue;
        }
        bool counts = v->kind == CHECK_VALUE_NUMBER || (v->kind == CHECK_VALUE_ID && v->number > 0);
        if (!counts || !number_agrees(st, v)) {
            return check_wrong(CHECK_REASON_TEST, in->text, v->at, v->len);
        }
    }
    return check_passed();
}

/* ---- what is said of the tests it names ---- */

static struct check_result verbs_agree(const struct sentence *st)
{
    bool negated = false;
    for (size_t i = 0; i < st->words.count; i++) {
        const struct knowledge_word *w = &st->words.items[i];
        negated = negated || (check_word_classes(w->folded, w->stem, st->in->lang) & WORD_NEGATION);
    }
    for (size_t i = 0; i < st->words.count && st->named_count > 0; i++) {
        const struct knowledge_word *w = &st->words.items[i];
        for (int k = SAID_PASSED; k < SAID_COUNT && !inside_name(st, w->at); k++) {
            bool any = !listed(said_words[k], w->folded);
            for (size_t t = 0; t < st->named_count && !any; t++) {
                any = is_said(st->named[t], (enum said)k) ||
                      (k == SAID_ERRORED && is_said(st->named[t], SAID_FAILED));
            }
            if (!any && !negated) {
                return check_wrong(CHECK_REASON_TEST, st->in->text, w->at, w->len);
            }
        }
    }
    return check_passed();
}

struct check_result check_tests(const struct check_tests *in)
{
    if (in->len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    AUTO_FREE struct sentence *st = mem_alloc(sizeof(*st));
    st->in = in;
    knowledge_words_init(&st->words, in->text, in->len, in->lang);
    struct check_result r = names_stand(st);
    r = r.ok ? numbers_stand(st) : r;
    r = r.ok ? verbs_agree(st) : r;
    if (r.ok && st->name_count > CHECK_MAX_VALUES) {
        r = check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    knowledge_words_done(&st->words);
    return r;
}
