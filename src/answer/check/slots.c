/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: a draft made from a past reply says nothing of the past case.
 *
 * Values are found three ways: by their form (values.c), by the guard's rules and tagger, and from
 * the caller's list of the past case. Each has to stand in a text of the present case.
 * Owns: nothing. Threads: pure. Limits: CHECK_MAX_VALUES values a draft.
 */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"
#include "trust/guard/guard.h"

/* ---- open slots ---- */

static bool is_slot_name(const char *s, size_t n, const char *also)
{
    size_t letters = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!isalnum(c) && c < 0x80 && c != '_' && c != ' ' && strchr(also, c) == NULL) {
            return false;
        }
        letters += isalpha(c) || c >= 0x80;
    }
    return letters >= 2 && n <= 60;
}

/* {name}, {{name}}, [ORDER NUMBER], <customer name>, %name%, ${name}; never a link of Markdown. */
static size_t bracket_slot(const char *s, size_t len, size_t i)
{
    static const char opens[] = "{[<%", closes[] = "}]>%";
    const char *kind = s[i] != '\0' ? strchr(opens, s[i]) : NULL;
    if (kind == NULL) {
        return 0;
    }
    size_t from = i + 1;
    while (from < len && s[from] == s[i] && s[i] == '{') {
        from++;
    }
    const char *end = memchr(s + from, closes[kind - opens], len - from);
    size_t n = end != NULL ? (size_t)(end - s) - from : 0;
    if (end == NULL || !is_slot_name(s + from, n, s[i] == '{' ? ".:|-" : "-")) {
        return 0;
    }
    size_t past = (size_t)(end - s) + 1;
    bool blank = memchr(s + from, ' ', n) != NULL;
    if (s[i] == '[' && past < len && (s[past] == '(' || s[past] == '[' || s[past] == ':')) {
        return 0;
    }
    if (s[i] == '%' && (blank || n < 3)) {
        return 0;
    }
    return past - i;
}

static size_t blank_slot(const char *s, size_t len, size_t i)
{
    size_t n = 0;
    while (i + n < len && s[i + n] == s[i] && (s[i] == '_' || s[i] == 'X')) {
        n++;
    }
    bool alone = (i == 0 || !isalnum((unsigned char)s[i - 1])) &&
                 (i + n >= len || !isalnum((unsigned char)s[i + n]));
    return n >= 3 && alone ? n : 0;
}

static struct check_result find_open(const struct check_slots *in)
{
    for (size_t i = 0; i < in->len; i++) {
        size_t n = bracket_slot(in->text, in->len, i);
        n = n > 0 ? n : blank_slot(in->text, in->len, i);
        if (n > 0) {
            return check_wrong(CHECK_REASON_SLOT, in->text, i, n);
        }
    }
    return check_passed();
}

/* ---- values of somebody else ---- */

static bool text_says(const struct check_slots *in, const char *word)
{
    for (size_t i = 0; i < in->allowed_count; i++) {
        if (in->allowed[i] != NULL &&
            check_find_word(in->allowed[i], strlen(in->allowed[i]), 0, word) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

static bool number_stands(const struct check_slots *in, const struct check_value *v,
                          struct check_value *theirs)
{
    unsigned kinds = CHECK_KEEP_ALL & ~(CHECK_KEEP(CHECK_VALUE_NAME) |
                                        CHECK_KEEP(CHECK_VALUE_QUOTE) |
                                        CHECK_KEEP(CHECK_VALUE_CODE));
    for (size_t i = 0; i < in->allowed_count; i++) {
        const char *text = in->allowed[i];
        size_t n = text == NULL ? 0
                                : check_find_values(text, strlen(text), in->lang, kinds, theirs,
                                                    CHECK_MAX_VALUES);
        n = n < CHECK_MAX_VALUES ? n : CHECK_MAX_VALUES;
        for (size_t k = 0; k < n; k++) {
            bool kind = theirs[k].kind == v->kind ||
                        (theirs[k].kind <= CHECK_VALUE_MONEY && v->kind <= CHECK_VALUE_MONEY);
            if (kind && theirs[k].number > 0 &&
                fabs(theirs[k].number - v->number) <= 1e-9 * (1 + fabs(v->number))) {
                return true;
            }
        }
    }
    return false;
}

static bool value_stands(const struct check_slots *in, const struct check_value *v,
                         struct check_value *theirs)
{
    char word[256];
    const char *s = in->text + v->at;
    bool written = s[0] >= '0' && s[0] <= '9';
    if (v->kind == CHECK_VALUE_NUMBER && !written && v->number <= 12) {
        return true;
    }
    if (v->kind == CHECK_VALUE_NAME) {
        for (size_t i = 0; i < v->len;) {
            size_t n = 0;
            while (i + n < v->len && s[i + n] != ' ') {
                n++;
            }
            size_t keep = n < sizeof(word) ? n : sizeof(word) - 1;
            memcpy(word, s + i, keep);
            word[keep] = '\0';
            if (n > 0 && !text_says(in, word)) {
                return false;
            }
            i += n + 1;
        }
        return true;
    }
    if (v->kind <= CHECK_VALUE_TIME && v->number != 0 && number_stands(in, v, theirs)) {
        return true;
    }
    if (v->len >= sizeof(word)) {
        return false;
    }
    memcpy(word, s, v->len);
    word[v->len] = '\0';
    return text_says(in, word);
}

static struct check_result find_strangers(const struct check_slots *in)
{
    AUTO_FREE struct check_value *values =
        mem_alloc_array((size_t)2 * CHECK_MAX_VALUES, sizeof(*values));
    unsigned kinds = CHECK_KEEP_ALL &
                     ~(CHECK_KEEP(CHECK_VALUE_QUOTE) | CHECK_KEEP(CHECK_VALUE_CODE));
    size_t n = check_find_values(in->text, in->len, in->lang, kinds, values, CHECK_MAX_VALUES);
    if (n > CHECK_MAX_VALUES) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < n; i++) {
        if (!value_stands(in, &values[i], values + CHECK_MAX_VALUES)) {
            return check_wrong(CHECK_REASON_SLOT, in->text, values[i].at, values[i].len);
        }
    }
    return check_passed();
}

/* What the guard takes for somebody's: every word of it has to stand in an allowed text. */
static struct check_result find_personal(const struct check_slots *in)
{
    struct guard_findings found = {0};
    struct guard_scan scan = {.kinds = GUARD_SCAN_ALL, .tagged = GUARD_TAGGED_WHO};
    struct check_result r = check_passed();
    if (!guard_scan(in->text, in->len, &scan, &found)) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < found.n && r.ok; i++) {
        struct check_value v = {.at = (uint32_t)found.items[i].from,
                                .len = (uint32_t)(found.items[i].to - found.items[i].from),
                                .kind = CHECK_VALUE_NAME};
        if (!value_stands(in, &v, NULL)) {
            r = check_wrong(CHECK_REASON_SLOT, in->text, v.at, v.len);
        }
    }
    guard_findings_done(&found);
    return r;
}

static struct check_result find_past(const struct check_slots *in)
{
    for (size_t i = 0; i < in->past_count; i++) {
        const char *word = in->past[i];
        size_t at = word == NULL || word[0] == '\0' ? SIZE_MAX
                                                    : check_find_word(in->text, in->len, 0, word);
        if (at != SIZE_MAX && !text_says(in, word)) {
            return check_wrong(CHECK_REASON_SLOT, in->text, at, strlen(word));
        }
    }
    return check_passed();
}

struct check_result check_slots(const struct check_slots *in)
{
    if (in->len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    struct check_result r = find_open(in);
    r = r.ok ? find_past(in) : r;
    r = r.ok ? find_strangers(in) : r;
    return r.ok ? find_personal(in) : r;
}
