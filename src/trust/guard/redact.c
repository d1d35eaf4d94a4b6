/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction: what a scan finds becomes numbered placeholders that can be put back. The same
 * value gets the same placeholder, so that a model can still tell two customers apart.
 *
 * What already looks like a placeholder in a text is kept as a value of its own: it returns as it
 * was, and its number is never given to another value.
 */
#include "trust/guard/guard.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TAIL_MAX 24 /* bytes of the longest thing that may still become a placeholder */
#define NUMBER_MAX 999999

struct entry {
    enum guard_kind kind;
    int number; /* 0: without one, "[NAME]" */
    char *value;
    size_t len;
    bool reserved; /* it was in the text as a placeholder already */
};

struct guard_redaction {
    const struct guard_lists *lists;
    struct entry *entries;
    size_t len, room;
    size_t found; /* of them, values that were replaced */
    int next[GUARD_KIND_COUNT];
};

struct guard_redaction *guard_redaction_new(void)
{
    return mem_alloc(sizeof(struct guard_redaction));
}

void guard_redaction_free(struct guard_redaction *r)
{
    for (size_t i = 0; r != NULL && i < r->len; i++) {
        explicit_bzero(r->entries[i].value, r->entries[i].len);
        mem_free(r->entries[i].value);
    }
    if (r != NULL) {
        mem_free(r->entries);
    }
    mem_free(r);
}

size_t guard_redaction_count(const struct guard_redaction *r)
{
    return r->found;
}

static bool add(struct guard_redaction *r, enum guard_kind kind, int number, const char *value,
                size_t n)
{
    if (r->len == GUARD_REDACT_MAX) {
        return false;
    }
    if (r->len == r->room) {
        r->room = r->room == 0 ? 16 : r->room * 2;
        r->entries = mem_realloc(r->entries, r->room * sizeof(*r->entries));
    }
    r->entries[r->len++] = (struct entry){kind, number, mem_dup_strn(value, n), n, false};
    return true;
}

static const struct entry *find(const struct guard_redaction *r, enum guard_kind kind, int number)
{
    for (size_t i = 0; i < r->len; i++) {
        if (r->entries[i].kind == kind && r->entries[i].number == number) {
            return &r->entries[i];
        }
    }
    return NULL;
}

/* ---- reading placeholders ---- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* s[0] is '['. Length of the placeholder that begins there, 0: none does. Models change case and
   the sign before the number: those count too. *open: it may still become one. */
static size_t read_placeholder(const char *s, size_t n, enum guard_kind *kind, int *number,
                               bool *open)
{
    size_t i = 1;
    *number = 0;
    *open = false;
    while (i < n && is_letter(s[i])) {
        i++;
    }
    size_t word = i - 1;
    if (i < n && (s[i] == '_' || s[i] == ' ' || s[i] == '-')) {
        i++;
    }
    for (; i < n && s[i] >= '0' && s[i] <= '9' && *number <= NUMBER_MAX; i++) {
        *number = *number * 10 + (s[i] - '0');
    }
    if (i == n) {
        *open = n < TAIL_MAX;
        return 0;
    }
    if (s[i] != ']' || *number > NUMBER_MAX) {
        return 0;
    }
    for (int k = 0; k < GUARD_KIND_COUNT; k++) {
        const char *name = guard_placeholder((enum guard_kind)k) + 1;
        if (strlen(name) == word + 1 && strncasecmp(name, s + 1, word) == 0) {
            *kind = (enum guard_kind)k;
            return i + 1;
        }
    }
    return 0;
}

bool guard_redact_reserve(struct guard_redaction *r, const char *text, size_t n)
{
    const char *end = text + n;
    for (const char *p = text; (p = memchr(p, '[', (size_t)(end - p))) != NULL; p++) {
        enum guard_kind kind;
        int number;
        bool open;
        size_t len = read_placeholder(p, (size_t)(end - p), &kind, &number, &open);
        if (len > 0 && find(r, kind, number) == NULL) {
            if (!add(r, kind, number, p, len)) {
                return false;
            }
            r->entries[r->len - 1].reserved = true;
        }
    }
    return true;
}

/* ---- out ---- */

static int number_of(struct guard_redaction *r, enum guard_kind kind, const char *value, size_t n)
{
    for (size_t i = 0; i < r->len; i++) {
        const struct entry *e = &r->entries[i];
        if (e->kind == kind && e->number > 0 && e->len == n && memcmp(e->value, value, n) == 0) {
            return e->number;
        }
    }
    do {
        r->next[kind]++;
    } while (find(r, kind, r->next[kind]) != NULL);
    if (r->next[kind] > NUMBER_MAX || !add(r, kind, r->next[kind], value, n)) {
        return 0;
    }
    r->found++;
    return r->next[kind];
}

bool guard_redact(struct guard_redaction *r, const char *text, size_t n, struct buf *out)
{
    struct guard_scan o = {GUARD_SCAN_ALL, GUARD_TAGGED_WHO, NULL, r->lists};
    struct guard_findings found = {0};
    size_t before = out->len;
    size_t at = 0;
    bool good = guard_scan(text, n, &o, &found);
    for (size_t i = 0; good && i < found.n; i++) {
        const struct guard_finding *f = &found.items[i];
        const char *name = guard_placeholder(f->kind);
        int number = number_of(r, f->kind, text + f->from, f->to - f->from);
        good = number > 0 && buf_add(out, text + at, f->from - at) &&
               buf_printf(out, "%.*s_%d]", (int)strlen(name) - 1, name, number);
        at = f->to;
    }
    good = good && buf_add(out, text + at, n - at);
    if (!good) {
        out->len = before;
        if (out->data != NULL) {
            out->data[before] = '\0';
        }
    }
    guard_findings_done(&found);
    return good;
}

void guard_redaction_lists(struct guard_redaction *r, const struct guard_lists *lists)
{
    r->lists = lists;
}

/* ---- back ---- */

static bool put_json(struct buf *out, const char *s, size_t n)
{
    bool good = true;
    for (size_t i = 0; good && i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            good = buf_printf(out, "\\%c", c);
        } else {
            good = c < ' ' ? buf_printf(out, "\\u%04x", c) : buf_add_char(out, (char)c);
        }
    }
    return good;
}

static bool stands(const char *answer, size_t n, const struct entry *e, bool json)
{
    struct buf escaped;
    bool found = memmem(answer, n, e->value, e->len) != NULL;
    if (!found && json) {
        buf_init(&escaped, 8 * e->len + 16);
        found = put_json(&escaped, e->value, e->len) &&
                memmem(answer, n, escaped.data, escaped.len) != NULL;
        if (escaped.data != NULL) {
            explicit_bzero(escaped.data, escaped.len);
        }
        buf_done(&escaped);
    }
    return found;
}

size_t guard_redaction_lost(const struct guard_redaction *r, const char *of, const char *answer,
                            size_t n, bool json)
{
    size_t lost = 0;
    for (size_t i = 0; i < r->len; i++) {
        const struct entry *e = &r->entries[i];
        bool wanted = !e->reserved && (of == NULL || memmem(of, strlen(of), e->value, e->len));
        lost += wanted && !stands(answer, n, e, json) ? 1 : 0;
    }
    return lost;
}

/* s[0] begins a word: the placeholder's name, "_" (or "-" behind capitals) and a number that was
   sent. Not "card 1", which is plain speech. */
static bool is_bare(const struct guard_redaction *r, const char *s, size_t n, size_t *len)
{
    size_t word = 0;
    size_t capitals = 0;
    for (; word < n && is_letter(s[word]); word++) {
        capitals += s[word] >= 'A' && s[word] <= 'Z' ? 1 : 0;
    }
    size_t i = word;
    *len = word;
    if (i == n || (s[i] != '_' && (s[i] != '-' || capitals < word))) {
        return false;
    }
    int number = 0;
    for (i++; i < n && s[i] >= '0' && s[i] <= '9' && number <= NUMBER_MAX; i++) {
        number = number * 10 + (s[i] - '0');
    }
    if (i == word + 1 || (i < n && (is_letter(s[i]) || s[i] == '_'))) {
        return false;
    }
    *len = i;
    for (int k = 0; k < GUARD_KIND_COUNT; k++) {
        const char *name = guard_placeholder((enum guard_kind)k) + 1;
        if (strlen(name) == word + 1 && strncasecmp(name, s, word) == 0) {
            const struct entry *e = find(r, (enum guard_kind)k, number);
            return e != NULL && !e->reserved;
        }
    }
    return false;
}

bool guard_redaction_altered(const struct guard_redaction *r, const char *answer, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = 1;
        bool begins = is_letter(answer[i]) &&
                      (i == 0 || (!is_letter(answer[i - 1]) && answer[i - 1] != '_'));
        if (begins && is_bare(r, answer + i, n - i, &len)) {
            bool whole = i > 0 && answer[i - 1] == '[' && i + len < n && answer[i + len] == ']';
            if (!whole) {
                return true;
            }
        }
        i += len > 0 ? len : 1;
    }
    return false;
}

enum guard_restored guard_restore(const struct guard_redaction *r, struct buf *held,
                                  const char *text, size_t n, bool last, bool json, struct buf *out)
{
    if (!buf_add(held, text, n)) {
        return GUARD_RESTORED_TOO_LARGE;
    }
    size_t at = 0;
    bool good = true;
    while (good && at < held->len) {
        const char *s = held->data + at;
        size_t left = held->len - at;
        const char *bracket = memchr(s, '[', left);
        size_t plain = bracket != NULL ? (size_t)(bracket - s) : left;
        good = buf_add(out, s, plain);
        at += plain;
        if (bracket == NULL) {
            break;
        }
        enum guard_kind kind;
        int number;
        bool open;
        size_t len = read_placeholder(bracket, left - plain, &kind, &number, &open);
        if (len == 0 && open && !last) {
            break;
        }
        if (len == 0) {
            good = good && buf_add_char(out, '[');
            at++;
            continue;
        }
        const struct entry *e = find(r, kind, number);
        if (e == NULL) {
            return GUARD_RESTORED_UNKNOWN;
        }
        good = good && (json ? put_json(out, e->value, e->len) : buf_add(out, e->value, e->len));
        at += len;
    }
    buf_consume(held, at);
    return good ? GUARD_RESTORED : GUARD_RESTORED_TOO_LARGE;
}
