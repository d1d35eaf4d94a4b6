/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain sides of a translated string: length, white space, access keys; and all checks at once.
 * Owns: nothing. Threads: pure.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

static size_t blank_at(const char *s, size_t len, size_t i)
{
    if (i < len && strchr(" \t\r\n", s[i]) != NULL && s[i] != '\0') {
        return 1;
    }
    if (i + 2 <= len && memcmp(s + i, "\xC2\xA0", 2) == 0) {
        return 2;
    }
    return i + 3 <= len && (memcmp(s + i, "\xE2\x80\xAF", 3) == 0 ||
                            memcmp(s + i, "\xE3\x80\x80", 3) == 0)
               ? 3
               : 0;
}

static size_t head_of(const char *s, size_t len)
{
    size_t i = 0, n;
    while ((n = blank_at(s, len, i)) > 0) {
        i += n;
    }
    return i;
}

static size_t tail_of(const char *s, size_t len)
{
    size_t i = len;
    while (i > 0) {
        if (blank_at(s, i, i - 1) == 1) {
            i--;
        } else if (i >= 2 && blank_at(s, i, i - 2) == 2) {
            i -= 2;
        } else if (i >= 3 && blank_at(s, i, i - 3) == 3) {
            i -= 3;
        } else {
            break;
        }
    }
    return len - i;
}

struct check_result check_length(const struct check_string *s)
{
    bool source = head_of(s->source, s->source_len) < s->source_len;
    bool target = head_of(s->target, s->target_len) < s->target_len;
    if (source && !target) {
        return check_missing(CHECK_REASON_LENGTH, "empty", 5);
    }
    size_t n = text_utf8_count(s->target, s->target_len);
    if (s->max_chars > 0 && n > s->max_chars) {
        char text[48];
        int m = snprintf(text, sizeof(text), "%zu characters, at most %u", n, s->max_chars);
        struct check_result r = check_missing(CHECK_REASON_LENGTH, text, (size_t)m);
        r.len = (uint32_t)s->target_len;
        return r;
    }
    return check_passed();
}

/* ---- white space ---- */

static bool same_blanks(const char *a, size_t n, const char *b, size_t m)
{
    size_t lines[2] = {0, 0}, tabs[2] = {0, 0};
    for (size_t i = 0; i < n; i++) {
        lines[0] += a[i] == '\n';
        tabs[0] += a[i] == '\t';
    }
    for (size_t i = 0; i < m; i++) {
        lines[1] += b[i] == '\n';
        tabs[1] += b[i] == '\t';
    }
    return (n > 0) == (m > 0) && lines[0] == lines[1] && tabs[0] == tabs[1];
}

static size_t count_byte(const char *s, size_t len, char c)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        n += s[i] == c;
    }
    return n;
}

static size_t find_control(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7F) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Two blanks inside a line, not after a full stop; SIZE_MAX when there are none. */
static size_t find_doubled(const char *s, size_t len)
{
    for (size_t i = 1; i + 2 < len; i++) {
        if (s[i] == ' ' && s[i + 1] == ' ' && !isspace((unsigned char)s[i - 1]) &&
            s[i + 2] != ' ' && strchr(".!?:", s[i - 1]) == NULL) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* ---- access keys ---- */

static bool is_letter_byte(const char *s, size_t len, size_t i)
{
    return i < len && (isalnum((unsigned char)s[i]) || (unsigned char)s[i] >= 0x80);
}

/* "&File", "_File", "E_xit"; no entity, no "A & B", no snake_case. */
static size_t count_keys(const char *s, size_t len, char mark)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] != mark) {
            continue;
        }
        if (i + 1 < len && s[i + 1] == mark) {
            i++;
            continue;
        }
        if (!is_letter_byte(s, len, i + 1)) {
            continue;
        }
        size_t end = i + 1;
        while (end < len && end < i + 16 && isalnum((unsigned char)s[end])) {
            end++;
        }
        bool entity = mark == '&' && end < len && s[end] == ';';
        size_t start = i;
        while (start > 0 && (isalnum((unsigned char)s[start - 1]) || s[start - 1] == '_' ||
                             s[start - 1] == '.' || s[start - 1] == '/')) {
            start--;
        }
        bool inside = mark == '_' && start < i && !isupper((unsigned char)s[start]);
        bool more = mark == '_' && end < len && s[end] == '_';
        bool query = mark == '&' && end < len && s[end] == '=';
        n += !entity && !inside && !more && !query;
    }
    return n;
}

static struct check_result keys_agree(const struct check_string *s)
{
    static const char marks[] = "&_";
    for (size_t m = 0; m < 2; m++) {
        size_t theirs = count_keys(s->source, s->source_len, marks[m]);
        size_t mine = count_keys(s->target, s->target_len, marks[m]);
        if (theirs == 1 && s->source_len < 120 && mine != 1) {
            return check_missing(CHECK_REASON_SPACING, marks + m, 1);
        }
    }
    return check_passed();
}

struct check_result check_spacing(const struct check_string *s)
{
    if (s->source_len > CHECK_MAX_REPLY || s->target_len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    size_t h = head_of(s->source, s->source_len), head = head_of(s->target, s->target_len);
    size_t t = tail_of(s->source, s->source_len), tail = tail_of(s->target, s->target_len);
    if (!same_blanks(s->source, h, s->target, head)) {
        struct check_result r = check_missing(CHECK_REASON_SPACING, "start", 5);
        r.len = (uint32_t)head;
        return r;
    }
    if (!same_blanks(s->source + s->source_len - t, t, s->target + s->target_len - tail, tail)) {
        struct check_result r = check_missing(CHECK_REASON_SPACING, "end", 3);
        r.at = (uint32_t)(s->target_len - tail);
        r.len = (uint32_t)tail;
        return r;
    }
    bool lines = count_byte(s->source, s->source_len, '\n') > 0;
    if (lines != (count_byte(s->target, s->target_len, '\n') > 0)) {
        return check_missing(CHECK_REASON_SPACING, "line ends", 9);
    }
    if (count_byte(s->source, s->source_len, '\t') != count_byte(s->target, s->target_len, '\t')) {
        return check_missing(CHECK_REASON_SPACING, "tabs", 4);
    }
    size_t control = find_control(s->target, s->target_len);
    if (control != SIZE_MAX && find_control(s->source, s->source_len) == SIZE_MAX) {
        struct check_result r = check_missing(CHECK_REASON_SPACING, "control character", 17);
        r.at = (uint32_t)control;
        r.len = 1;
        return r;
    }
    size_t doubled = find_doubled(s->target, s->target_len);
    if (doubled != SIZE_MAX && find_doubled(s->source, s->source_len) == SIZE_MAX) {
        return check_wrong(CHECK_REASON_SPACING, s->target, doubled, 2);
    }
    return keys_agree(s);
}

size_t check_string(const struct check_string *s, const struct check_term *terms, size_t count,
                    struct check_result *out, size_t max)
{
    size_t n = 0;
    struct check_result all[6];
    all[0] = check_placeholders(s);
    all[1] = check_icu(s);
    all[2] = check_markup(s);
    all[3] = check_length(s);
    all[4] = check_spacing(s);
    all[5] = check_glossary(s, terms, count);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (!all[i].ok) {
            if (n < max) {
                out[n] = all[i];
            }
            n++;
        }
    }
    return n;
}
