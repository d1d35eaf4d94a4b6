/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan: one pass over the text in which, wherever a word begins, the matchers are asked in
 * turn; then the tagger's findings are laid into the gaps.
 *
 * Owns nothing. Threads: pure. Limits: GUARD_MAX_TEXT; every matcher reads a bounded stretch, so
 * the time is linear.
 */
#include "trust/guard/guard_internal.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    const char *placeholder;
} kinds[GUARD_KIND_COUNT] = {
    [GUARD_KIND_EMAIL] = {"email", "[EMAIL]"}, [GUARD_KIND_LINK] = {"link", "[LINK]"},
    [GUARD_KIND_PHONE] = {"phone", "[PHONE]"}, [GUARD_KIND_IBAN] = {"iban", "[IBAN]"},
    [GUARD_KIND_CARD] = {"card", "[CARD]"}, [GUARD_KIND_ID] = {"id", "[ID]"},
    [GUARD_KIND_NUMBER] = {"number", "[NUMBER]"}, [GUARD_KIND_NAME] = {"name", "[NAME]"},
    [GUARD_KIND_NATIONAL_ID] = {"national_id", "[PERSONID]"},
    [GUARD_KIND_VAT_ID] = {"vat_id", "[VATID]"}, [GUARD_KIND_IMEI] = {"imei", "[IMEI]"},
    [GUARD_KIND_IP] = {"ip", "[IP]"}, [GUARD_KIND_MAC] = {"mac", "[MAC]"},
    [GUARD_KIND_SECRET] = {"secret", "[SECRET]"},
    [GUARD_KIND_PASSWORD] = {"password", "[PASSWORD]"},
    [GUARD_KIND_USERNAME] = {"username", "[USERNAME]"},
    [GUARD_KIND_BIRTHDATE] = {"birthdate", "[BIRTHDATE]"},
    [GUARD_KIND_ADDRESS] = {"address", "[ADDRESS]"}, [GUARD_KIND_TERM] = {"term", "[TERM]"},
    [GUARD_KIND_PLACE] = {"place", "[PLACE]"},
    [GUARD_KIND_ORGANIZATION] = {"organization", "[ORGANIZATION]"},
    [GUARD_KIND_DATE] = {"date", "[DATE]"}, [GUARD_KIND_AGE] = {"age", "[AGE]"},
    [GUARD_KIND_GROUP] = {"group", "[GROUP]"}, [GUARD_KIND_TITLE] = {"title", "[TITLE]"},
    [GUARD_KIND_CODE] = {"code", "[CODE]"},
};

const char *guard_placeholder(enum guard_kind kind)
{
    return kinds[kind].placeholder;
}

const char *guard_kind_name(enum guard_kind kind)
{
    return kinds[kind].name;
}

enum guard_kind guard_kind_find(const char *name)
{
    for (int k = 0; k < GUARD_KIND_COUNT; k++) {
        if (strcmp(kinds[k].name, name) == 0) {
            return (enum guard_kind)k;
        }
    }
    return GUARD_KIND_COUNT;
}

void guard_findings_add(struct guard_findings *f, enum guard_kind kind, size_t from, size_t to,
                        const char *rule)
{
    if (f->n == f->room) {
        f->room = f->room == 0 ? 16 : f->room * 2;
        f->items = mem_realloc(f->items, f->room * sizeof(*f->items));
    }
    f->items[f->n++] = (struct guard_finding){kind, from, to, rule};
}

void guard_findings_done(struct guard_findings *f)
{
    mem_free(f->items);
    *f = (struct guard_findings){0};
}

/* ---- by form ---- */

struct hit {
    enum guard_kind kind;
    const char *rule;
    size_t skip; /* what stands before the value and stays */
    size_t len;
};

static bool set(struct hit *h, enum guard_kind kind, const char *rule, size_t len)
{
    *h = (struct hit){kind, rule, 0, len};
    return len > 0;
}

static bool numbers(const char *text, size_t n, size_t at, struct hit *h)
{
    const char *s = text + at;
    const char *rule = "";
    enum guard_kind kind = GUARD_KIND_NUMBER;
    size_t len;
    if (set(h, GUARD_KIND_EMAIL, "email", guard_email(s, n - at)) ||
        set(h, GUARD_KIND_MAC, "mac", guard_mac(s, n - at)) ||
        set(h, GUARD_KIND_IP, "ip", guard_ip(s, n - at)) ||
        set(h, GUARD_KIND_BIRTHDATE, "birthdate", guard_birthdate(text, n, at)) ||
        set(h, GUARD_KIND_CARD, "card", guard_card(text, n, at)) ||
        set(h, GUARD_KIND_IMEI, "imei", guard_imei(text, n, at))) {
        return true;
    }
    len = guard_national_id(text, n, at, &rule);
    if (set(h, GUARD_KIND_NATIONAL_ID, rule, len) ||
        set(h, GUARD_KIND_ADDRESS, "street", guard_address(text, n, at))) {
        return true;
    }
    len = guard_digits(text, n, at, &kind);
    return set(h, kind, kind == GUARD_KIND_PHONE ? "phone" : "digits", len);
}

/* In the word at s, its joints included; "DE 123" and "ABC-1" count. */
static bool has_digit_or_colon(const char *s, size_t n)
{
    size_t i = 0;
    for (; i < n && (guard_is_word(s[i]) || (i > 0 && (s[i] == '-' || s[i] == '_'))); i++) {
        if (guard_is_digit(s[i])) {
            return true;
        }
    }
    return i + 1 < n && (s[i] == ':' || (s[i] == ' ' && i <= 4 && guard_is_digit(s[i + 1])));
}

static bool letters(const char *text, size_t n, size_t at, struct hit *h)
{
    const char *s = text + at;
    size_t left = n - at;
    const char *rule = "";
    size_t len = 0;
    if (has_digit_or_colon(s, left)) { /* few words: what follows is for them */
        len = guard_national_id(text, n, at, &rule);
        if (set(h, GUARD_KIND_NATIONAL_ID, rule, len)) {
            return true;
        }
        len = guard_vat_id(text, n, at, &rule);
        if (set(h, GUARD_KIND_VAT_ID, rule, len) ||
            set(h, GUARD_KIND_IBAN, "iban", guard_iban(s, left)) ||
            set(h, GUARD_KIND_MAC, "mac", guard_mac(s, left)) ||
            set(h, GUARD_KIND_IP, "ip", guard_ip(s, left)) ||
            set(h, GUARD_KIND_ID, "id", guard_id(s, left))) {
            return true;
        }
    }
    return set(h, GUARD_KIND_BIRTHDATE, "birthdate", guard_birthdate(text, n, at)) ||
           set(h, GUARD_KIND_ADDRESS, "street", guard_address(text, n, at));
}

static bool called(const char *s, size_t n, int line_start, struct hit *h)
{
    h->kind = GUARD_KIND_NAME;
    h->rule = "greeting";
    h->skip = 0;
    h->len = guard_name(s, n, line_start > 0, &h->skip);
    if (h->len == 0 && line_start > 1) {
        h->skip = 0;
        h->len = guard_last_line(s, n);
    }
    return h->len > 0;
}

/* The value at text[at], where a word begins. */
static bool match(const char *text, size_t n, size_t at, const struct guard_scan *o,
                  int line_start, struct hit *h)
{
    const char *s = text + at;
    size_t left = n - at;
    enum guard_list which = GUARD_LIST_ALLOWED;
    const char *rule = "";
    size_t len = guard_lists_match(o->lists, s, left, &which);
    if (len > 0 && which != GUARD_LIST_ALLOWED) {
        return set(h, which == GUARD_LIST_NAME ? GUARD_KIND_NAME : GUARD_KIND_TERM, "list", len);
    }
    if (s[0] == '-' || guard_is_word(s[0])) {
        len = guard_secret(s, left, &rule);
        if (set(h, GUARD_KIND_SECRET, rule, len)) {
            return true;
        }
    }
    if (guard_is_digit(s[0]) || s[0] == '+' || s[0] == '(') {
        if (numbers(text, n, at, h)) {
            return true;
        }
    }
    if (!guard_is_word(s[0])) {
        return s[0] == '#' && set(h, GUARD_KIND_ID, "id", guard_id(s, left));
    }
    if (set(h, GUARD_KIND_LINK, "link", guard_link(s, left)) ||
        set(h, GUARD_KIND_EMAIL, "email", guard_email(s, left)) || letters(text, n, at, h)) {
        return true;
    }
    enum guard_kind kind = GUARD_KIND_COUNT;
    size_t skip = 0;
    len = guard_credential(s, left, &skip, &kind);
    if (len > 0) {
        *h = (struct hit){kind, "announced", skip, len};
        return true;
    }
    return (o->kinds & GUARD_BIT(GUARD_KIND_NAME)) != 0 && called(s, left, line_start, h);
}

/* True when a value may begin at i: its predecessor is not part of a word or address. */
static bool may_begin(const char *s, size_t i)
{
    if (i == 0) {
        return true;
    }
    char before = s[i - 1];
    return !guard_is_word(before) && (before == 0 || strchr("@%_", before) == NULL) &&
           !(before != 0 && strchr(".-+", before) != NULL && i > 1 && guard_is_word(s[i - 2]));
}

static void by_form(const char *text, size_t n, const struct guard_scan *o,
                    struct guard_findings *out)
{
    size_t i = 0;
    int line_start = 1; /* ends of line since the last other character: 0 within a line */
    while (i < n) {
        struct hit h = {GUARD_KIND_COUNT, "", 0, 0};
        char c = text[i];
        bool first = guard_is_word(c) || c == '+' || c == '(' || c == '#' || c == '-';
        if (first && may_begin(text, i) && match(text, n, i, o, line_start, &h) &&
            (o->kinds & GUARD_BIT(h.kind)) != 0 &&
            !guard_lists_allows(o->lists, text + i + h.skip, h.len)) {
            guard_findings_add(out, h.kind, i + h.skip, i + h.skip + h.len, h.rule);
            i += h.skip + h.len;
            line_start = 0;
            continue;
        }
        if (c == '\n') {
            line_start = line_start < 2 ? line_start + 1 : line_start;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            line_start = 0;
        }
        i++;
    }
}

/* ---- together ---- */

/* What was found by form stays; of the tagger's, what does not touch it. */
static void lay(const char *text, const struct guard_scan *o, const struct guard_findings *form,
                const struct guard_findings *words, struct guard_findings *out)
{
    size_t f = 0;
    for (size_t w = 0; w < words->n; w++) {
        const struct guard_finding *one = &words->items[w];
        while (f < form->n && form->items[f].to <= one->from) {
            const struct guard_finding *k = &form->items[f++];
            guard_findings_add(out, k->kind, k->from, k->to, k->rule);
        }
        bool touches = f < form->n && form->items[f].from < one->to;
        if (!touches && !guard_lists_allows(o->lists, text + one->from, one->to - one->from)) {
            guard_findings_add(out, one->kind, one->from, one->to, one->rule);
        }
    }
    for (; f < form->n; f++) {
        const struct guard_finding *k = &form->items[f];
        guard_findings_add(out, k->kind, k->from, k->to, k->rule);
    }
}

bool guard_scan(const char *text, size_t n, const struct guard_scan *options,
                struct guard_findings *out)
{
    struct guard_scan o = {GUARD_SCAN_ALL, GUARD_TAGGED_WHO, NULL, NULL};
    o = options != NULL ? *options : o;
    if (n > GUARD_MAX_TEXT) {
        return false;
    }
    if ((o.tagged & o.kinds) == 0) {
        by_form(text, n, &o, out);
        return true;
    }
    struct guard_findings form = {0};
    struct guard_findings words = {0};
    by_form(text, n, &o, &form);
    const struct guard_tagger *t = o.tagger != NULL ? o.tagger : guard_tagger_shipped();
    guard_tag(t, text, n, o.tagged & o.kinds, &words);
    lay(text, &o, &form, &words, out);
    guard_findings_done(&form);
    guard_findings_done(&words);
    return true;
}
