/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentences of plain text: ICU's boundaries, corrected by rules ICU does not have.
 * A line break ends a sentence when the line is short, blank, or the next one starts a list; after
 * an abbreviation or a German ordinal nothing ends. Owns: nothing. Threads: pure.
 */
#include <string.h>

#include <unicode/ubrk.h>
#include <unicode/utext.h>

#include "answer/knowledge/knowledge_internal.h"

#define SHORT_LINE 50

static const char *const abbreviations[] = {
    "z.b.",  "z. b.", "d.h.",  "d. h.", "u.a.",  "u. a.", "bzw.", "ca.",     "nr.",  "str.",
    "evtl.", "ggf.",  "inkl.", "zzgl.", "max.",  "min.",  "usw.", "sog.",    "vgl.", "tel.",
    "hr.",   "fr.",   "dr.",   "prof.", "st.",   "e.g.",  "i.e.", "approx.", "no.",  "mr.",
    "ms.",   "mrs.",  "vs.",   "incl.", "excl.", "dept.", "fig.", "jan.",    "feb.", "aug.",
    "sept.", "oct.",  "okt.",  "nov.",  "dec.",  "dez.",
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* "z." of "z. B.", and initials: one letter with a stop. */
static bool ends_with_letter(const char *s, size_t n)
{
    return n >= 2 && s[n - 1] == '.' && lower(s[n - 2]) >= 'a' && lower(s[n - 2]) <= 'z' &&
           (n == 2 || s[n - 3] == ' ' || s[n - 3] == '.');
}

static bool ends_with_abbreviation(const char *s, size_t n)
{
    if (ends_with_letter(s, n)) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(abbreviations); i++) {
        size_t m = strlen(abbreviations[i]);
        if (n < m || (n > m && (lower(s[n - m - 1]) >= 'a' && lower(s[n - m - 1]) <= 'z'))) {
            continue;
        }
        size_t k = 0;
        while (k < m && lower(s[n - m + k]) == abbreviations[i][k]) {
            k++;
        }
        if (k == m) {
            return true;
        }
    }
    return false;
}

static const char *const months_de[] = {
    "Januar",  "Februar",  "M\xC3\xA4rz", "April", "Mai", "Juni",    "Juli",  "August", "September",
    "Oktober", "November", "Dezember",    "Tag",   "Mal", "Auflage", "Etage", "Stock",
};

/* "am 3. Mai", and a bare "2." at the start of a line (a list number). */
static bool ends_with_ordinal(const char *s, size_t n, const char *rest, size_t rest_len)
{
    if (n < 2 || s[n - 1] != '.' || s[n - 2] < '0' || s[n - 2] > '9') {
        return false;
    }
    if (n <= 3) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(months_de); i++) {
        size_t m = strlen(months_de[i]);
        if (rest_len >= m && memcmp(rest, months_de[i], m) == 0) {
            return true;
        }
    }
    return rest_len > 0 && rest[0] >= 'a' && rest[0] <= 'z';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool starts_list(const char *s, size_t n)
{
    if (n > 2 && (s[0] == '-' || s[0] == '*') && s[1] == ' ') {
        return true;
    }
    size_t i = 0;
    while (i < n && i < 3 && s[i] >= '0' && s[i] <= '9') {
        i++;
    }
    return i > 0 && i + 1 < n && (s[i] == '.' || s[i] == ')') && s[i + 1] == ' ';
}

/* End of the block that starts at `at`: a line that really ends something. */
static size_t block_end(const char *text, size_t n, size_t at)
{
    size_t line = at;
    for (size_t i = at; i < n; i++) {
        if (text[i] != '\n') {
            continue;
        }
        bool short_line = i - line < SHORT_LINE;
        size_t next = i + 1;
        while (next < n && (text[next] == ' ' || text[next] == '\t' || text[next] == '\r')) {
            next++;
        }
        bool blank = next >= n || text[next] == '\n';
        if (short_line || blank || starts_list(text + next, n - next)) {
            return i;
        }
        line = next;
    }
    return n;
}

struct splitter {
    const char *text;
    UBreakIterator *breaks;
    struct knowledge_span *out;
    size_t count, max;
};

static void put(struct splitter *s, size_t from, size_t to)
{
    while (from < to && is_space(s->text[from])) {
        from++;
    }
    while (to > from && is_space(s->text[to - 1])) {
        to--;
    }
    if (to > from && s->count < s->max) {
        s->out[s->count++] = (struct knowledge_span){(uint32_t)from, (uint32_t)(to - from)};
    }
}

static void split_block(struct splitter *s, size_t from, size_t to)
{
    UErrorCode status = U_ZERO_ERROR;
    UText ut = UTEXT_INITIALIZER;
    utext_openUTF8(&ut, s->text + from, (int64_t)(to - from), &status);
    if (s->breaks == NULL || U_FAILURE(status)) {
        put(s, from, to);
        return;
    }
    ubrk_setUText(s->breaks, &ut, &status);
    size_t start = from;
    int32_t b = U_FAILURE(status) ? UBRK_DONE : ubrk_first(s->breaks);
    while (b != UBRK_DONE && (b = ubrk_next(s->breaks)) != UBRK_DONE) {
        size_t end = from + (size_t)b, trimmed = end;
        while (trimmed > start && is_space(s->text[trimmed - 1])) {
            trimmed--;
        }
        bool goes_on = end < to && (ends_with_abbreviation(s->text + start, trimmed - start) ||
                                    ends_with_ordinal(s->text + start, trimmed - start,
                                                      s->text + end, to - end));
        /* a hard-wrapped line is a space to us, a boundary to ICU */
        bool wrapped =
            end < to && trimmed > start && strchr(".!?:\"')", s->text[trimmed - 1]) == NULL;
        if (!goes_on && !wrapped) {
            put(s, start, end);
            start = end;
        }
    }
    put(s, start, to);
    utext_close(&ut);
}

size_t knowledge_split(const char *text, size_t n, enum knowledge_lang lang,
                       struct knowledge_span *out, size_t max)
{
    UErrorCode status = U_ZERO_ERROR;
    struct splitter s = {.text = text, .out = out, .max = max};
    s.breaks = ubrk_open(UBRK_SENTENCE, lang == KNOWLEDGE_LANG_DE ? "de" : "en", NULL, 0, &status);
    if (U_FAILURE(status)) {
        s.breaks = NULL;
    }
    for (size_t at = 0; at < n && s.count < max;) {
        size_t end = block_end(text, n, at);
        split_block(&s, at, end);
        at = end + 1;
    }
    if (s.breaks != NULL) {
        ubrk_close(s.breaks);
    }
    return s.count;
}
