/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sentence against the facts: its names are found first (longest first), then its numbers, then
 * each word that is left means something we can check, or the sentence is refused.
 * Threads: pure. Limits: CLAIM_BYTES, CLAIM_TOKENS a sentence: what is longer is refused.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "work/report/claim_internal.h"

/* ---- names ---- */

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '_';
}

/* Is `name` at s + at, as whole words, capitals and _ aside? */
static bool name_at(const char *s, size_t n, size_t at, const char *name, size_t len)
{
    if (len == 0 || at + len > n || (at > 0 && is_letter(s[at - 1]) && is_letter(name[0])) ||
        (at + len < n && is_letter(s[at + len]) && is_letter(name[len - 1]))) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char a = s[at + i] == '_' ? ' ' : (char)tolower((unsigned char)s[at + i]);
        char b = name[i] == '_' ? ' ' : (char)tolower((unsigned char)name[i]);
        if (a != b) {
            return false;
        }
    }
    return true;
}

struct best_name {
    size_t len;
    bool metric;
    const char *name;
};

static void try_name(const struct claim *c, size_t at, const char *name, const char *means,
                     bool metric, struct best_name *best)
{
    size_t len = strlen(name);
    if (len > best->len && name_at(c->s, c->n, at, name, len)) {
        *best = (struct best_name){len, metric, means};
    }
}

/* "num questions" is also called "questions", where nothing else is. */
static const char *short_name(const struct report *r, const char *name)
{
    static const char *const starts[] = {"num ", "number of ", "count of ", "total ", "anzahl "};
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        size_t n = strlen(starts[i]);
        if (strncasecmp(name, starts[i], n) != 0 || name[n] == '\0') {
            continue;
        }
        for (size_t p = 0; p < r->parts_len; p++) {
            for (size_t k = 0; k < r->parts[p].lines_len; k++) {
                const char *other = r->parts[p].lines[k].name;
                size_t olen = strlen(other), len = strlen(name + n);
                if (strcasecmp(other, name) != 0 && olen >= len &&
                    strcasecmp(other + olen - len, name + n) == 0) {
                    return "";
                }
            }
        }
        return name + n;
    }
    return "";
}

static struct best_name longest_name(const struct claim *c, size_t at)
{
    struct best_name best = {0};
    const struct report *r = c->r;
    for (size_t p = 0; p < r->parts_len; p++) {
        for (size_t i = 0; i < r->parts[p].lines_len; i++) {
            const struct report_line *l = &r->parts[p].lines[i];
            if (l->missing == NULL) {
                try_name(c, at, l->name, l->name, true, &best);
                try_name(c, at, short_name(r, l->name), l->name, true, &best);
            }
        }
    }
    for (size_t i = 0; i < r->values_len; i++) {
        if (r->values[i].how == REPORT_HOW_LABEL) {
            try_name(c, at, r->values[i].shown, r->values[i].shown, false, &best);
        }
    }
    return best;
}

/* ---- tokens ---- */

static struct token *add(struct claim *c, enum token_kind kind, size_t at, size_t len)
{
    static struct token spare;
    if (c->tokens_len == CLAIM_TOKENS) {
        c->too_long = true;
        return &spare;
    }
    struct token *t = &c->tokens[c->tokens_len++];
    *t = (struct token){.kind = kind, .at = at, .len = len, .metric = -1, .label = -1};
    return t;
}

static size_t unit_after(const struct claim *c, size_t at, char unit[8])
{
    static const struct {
        const char *text, *unit;
    } words[] = {{"percentage points", "pp"}, {"percentage point", "pp"}, {"Prozentpunkte", "pp"},
                 {"Prozentpunkten", "pp"},    {"percent", "%"},           {"Prozent", "%"},
                 {"pp", "pp"}};
    size_t from = at;
    at += at < c->n && c->s[at] == ' ' ? 1 : 0;
    unit[0] = '\0';
    if (at < c->n && c->s[at] == '%') {
        (void)text_copy(unit, 8, "%");
        return at + 1 - from;
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (name_at(c->s, c->n, at, words[i].text, strlen(words[i].text))) {
            (void)text_copy(unit, 8, words[i].unit);
            return at + strlen(words[i].text) - from;
        }
    }
    for (size_t i = 0; i < c->r->values_len; i++) {
        const char *u = c->r->values[i].unit;
        if (c->r->values[i].is_number && u[0] != '\0' && name_at(c->s, c->n, at, u, strlen(u)) &&
            strncmp(c->s + at, u, strlen(u)) == 0) {
            (void)text_copy(unit, 8, u);
            return at + strlen(u) - from;
        }
    }
    return 0;
}

/* A number at c->s + at: its length, 0 where there is none. */
static size_t take_number(struct claim *c, size_t at)
{
    struct report_number v;
    char point = c->r->made_by->point;
    size_t i = at;
    bool sign = false;
    if (c->s[i] == '+' || c->s[i] == '-') {
        sign = true;
        i++;
    } else if (c->n - i > 3 && memcmp(c->s + i, "\xe2\x88\x92", 3) == 0) {
        sign = true;
        i += 3;
    }
    if (i >= c->n || !isdigit((unsigned char)c->s[i]) ||
        (sign && at > 0 && is_letter(c->s[at - 1]))) {
        return 0;
    }
    while (i < c->n && (isdigit((unsigned char)c->s[i]) ||
                        (i + 1 < c->n && strchr(".,'", c->s[i]) != NULL &&
                         isdigit((unsigned char)c->s[i + 1])))) {
        i++;
    }
    struct token *t = add(c, TOKEN_NUMBER, at, i - at);
    t->readable = (i >= c->n || !is_letter(c->s[i])) &&
                  report_number_read(c->s + at, i - at,
                                     point == ',' ? REPORT_MARK_COMMA : REPORT_MARK_DOT, &v);
    t->number = v.value;
    t->sign = sign;
    t->len += unit_after(c, i, t->unit);
    /* a letter right behind it that is no unit: it is no number of ours */
    t->readable = t->readable ||
                  (t->unit[0] != '\0' &&
                   report_number_read(c->s + at, i - at,
                                      point == ',' ? REPORT_MARK_COMMA : REPORT_MARK_DOT, &v));
    t->number = v.value;
    return t->len;
}

static void tokenise(struct claim *c)
{
    for (size_t i = 0; i < c->n && !c->too_long;) {
        struct best_name name = longest_name(c, i);
        if (name.len > 0) {
            struct token *t = add(c, name.metric ? TOKEN_METRIC : TOKEN_LABEL, i, name.len);
            t->name = name.name;
            i += name.len;
            continue;
        }
        size_t len = take_number(c, i);
        if (len > 0) {
            i += len;
            continue;
        }
        size_t from = i;
        while (i < c->n && is_letter(c->s[i])) {
            i++;
        }
        if (i > from) {
            add(c, TOKEN_WORD, from, i - from);
        } else {
            i++;
        }
    }
}

/* ---- words ---- */

static const struct {
    enum meaning meaning;
    const char *words;
} lexicon[] = {
#define SAYS(meaning, words) {MEANS_##meaning, words},
#include "work/report/lexicon.def"
#undef SAYS
};

static enum meaning meaning_of(const struct claim *c, const struct token *t)
{
    for (size_t i = 0; i < COUNT_OF(lexicon); i++) {
        for (const char *p = lexicon[i].words; *p != '\0';) {
            size_t n = strcspn(p, " ");
            if (n == t->len && strncasecmp(p, c->s + t->at, n) == 0) {
                return lexicon[i].meaning;
            }
            p += n + (p[n] == ' ' ? 1 : 0);
        }
    }
    return MEANS_UNKNOWN;
}

static bool any(const struct claim *c, enum meaning m)
{
    for (size_t i = 0; i < c->tokens_len; i++) {
        if (c->tokens[i].kind == TOKEN_WORD && c->tokens[i].meaning == m) {
            return true;
        }
    }
    return false;
}

/* ---- what belongs to what ---- */

static void bind_metrics(struct claim *c)
{
    for (size_t i = 0; i < c->tokens_len; i++) {
        struct token *t = &c->tokens[i];
        for (size_t k = i; k-- > 0 && t->metric < 0;) {
            t->metric = c->tokens[k].kind == TOKEN_METRIC ? (int)k : -1;
        }
        for (size_t k = i + 1; k < c->tokens_len && t->metric < 0; k++) {
            t->metric = c->tokens[k].kind == TOKEN_METRIC ? (int)k : -1;
        }
    }
}

/* Is there nothing between a and b but brackets with numbers, punctuation of the kind, and one of
   in, for, on, at, im? */
static bool binds_forward(const struct claim *c, size_t number, size_t label)
{
    static const char *const joins[] = {"in", "for", "on", "at", "im"};
    size_t words = 0;
    for (size_t k = number + 1; k < label; k++) {
        const struct token *t = &c->tokens[k];
        if (t->kind == TOKEN_WORD) {
            bool join = false;
            for (size_t j = 0; j < COUNT_OF(joins); j++) {
                join = join || (t->len == strlen(joins[j]) &&
                                strncasecmp(joins[j], c->s + t->at, t->len) == 0);
            }
            words++;
            if (!join || words > 1) {
                return false;
            }
        } else if (t->kind != TOKEN_NUMBER || t->at == 0 || c->s[t->at - 1] != '(') {
            return false;
        }
    }
    for (size_t i = c->tokens[number].at + c->tokens[number].len; i < c->tokens[label].at; i++) {
        if (strchr(",;.:", c->s[i]) != NULL && !isdigit((unsigned char)c->s[i + 1])) {
            return false;
        }
    }
    return words == 1;
}

/* "2025-12 (97)", "Gmail: 9" */
static bool binds_backward(const struct claim *c, size_t label, size_t number)
{
    size_t at = c->tokens[label].at + c->tokens[label].len;
    size_t gap = c->tokens[number].at - at;
    return label + 1 == number && ((gap == 2 && memcmp(c->s + at, " (", 2) == 0) ||
                                   (gap == 2 && memcmp(c->s + at, ": ", 2) == 0));
}

static void bind_labels(struct claim *c)
{
    for (size_t i = 0; i < c->tokens_len; i++) {
        struct token *t = &c->tokens[i];
        if (t->kind != TOKEN_NUMBER) {
            continue;
        }
        if (i > 0 && c->tokens[i - 1].kind == TOKEN_LABEL && binds_backward(c, i - 1, i)) {
            t->label = (int)i - 1;
        }
        for (size_t k = i + 1; k < c->tokens_len && t->label < 0; k++) {
            if (c->tokens[k].kind == TOKEN_LABEL) {
                t->label = binds_forward(c, i, k) ? (int)k : -1;
                break;
            }
        }
        if (t->label >= 0) {
            c->tokens[t->label].bound = true;
        }
    }
}

/* ---- verdicts ---- */

static enum report_verdict say_at(struct claim *c, enum report_verdict v, const struct token *t)
{
    size_t n = t->len < 63 ? t->len : 63;
    char word[64];
    memcpy(word, c->s + t->at, n);
    word[text_utf8_valid_prefix(word, n)] = '\0';
    if (c->room > 0) {
        (void)text_copy(c->detail, c->room, word);
    }
    return v;
}

static enum report_verdict check_words(struct claim *c)
{
    for (size_t i = 0; i < c->tokens_len; i++) {
        struct token *t = &c->tokens[i];
        if (t->kind == TOKEN_WORD) {
            t->meaning = meaning_of(c, t);
            if (t->meaning == MEANS_UNKNOWN) {
                return say_at(c, REPORT_CLAIM_WORD, t);
            }
        }
    }
    bool outside = any(c, MEANS_OUTSIDE);
    for (size_t i = 0; i < c->tokens_len; i++) {
        const struct token *t = &c->tokens[i];
        if (t->kind == TOKEN_WORD && t->meaning == MEANS_NONE && !outside) {
            return say_at(c, REPORT_CLAIM_WORD, t); /* what is denied cannot be checked */
        }
    }
    return REPORT_CLAIM_OK;
}

static enum report_verdict check_all(struct claim *c)
{
    enum report_verdict v = check_words(c);
    bool claims = false;
    bind_metrics(c);
    bind_labels(c);
    c->has_target = any(c, MEANS_TARGET);
    for (size_t i = 0; i < c->tokens_len && v == REPORT_CLAIM_OK; i++) {
        struct token *t = &c->tokens[i];
        if (t->kind == TOKEN_NUMBER) {
            claims = true;
            v = t->metric < 0 ? REPORT_CLAIM_CONTEXT : claim_number(c, t);
        }
        if (v != REPORT_CLAIM_OK) {
            (void)say_at(c, v, t);
        }
    }
    for (size_t i = 0; i < c->tokens_len && v == REPORT_CLAIM_OK; i++) {
        struct token *t = &c->tokens[i];
        if (t->kind == TOKEN_WORD && t->meaning > MEANS_NOTHING) {
            claims = true;
            v = t->metric < 0 ? REPORT_CLAIM_CONTEXT : claim_word(c, i);
        }
        if (v != REPORT_CLAIM_OK) {
            (void)say_at(c, v, t);
        }
    }
    return v == REPORT_CLAIM_OK && !claims ? REPORT_CLAIM_EMPTY : v;
}

enum report_verdict report_check_sentence(const struct report *r, const char *s, size_t n,
                                          char *detail, size_t room)
{
    struct claim *c = mem_alloc(sizeof(*c));
    *c = (struct claim){.r = r, .s = s, .n = n, .detail = detail, .room = room};
    enum report_verdict v = REPORT_CLAIM_CONTEXT;
    if (room > 0) {
        detail[0] = '\0';
    }
    if (n <= CLAIM_BYTES && text_utf8_is_valid(s, n)) {
        tokenise(c);
        v = c->too_long ? REPORT_CLAIM_CONTEXT : check_all(c);
    }
    mem_free(c);
    return v;
}

const char *report_verdict_name(enum report_verdict v)
{
    static const char *const names[] = {
#define VERDICT(name, text, sentence) text,
#include "work/report/verdicts.def"
#undef VERDICT
    };
    return names[v];
}

const char *report_verdict_text(enum report_verdict v)
{
    static const char *const texts[] = {
#define VERDICT(name, text, sentence) sentence,
#include "work/report/verdicts.def"
#undef VERDICT
    };
    return texts[v];
}
