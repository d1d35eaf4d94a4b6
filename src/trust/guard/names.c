/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: after a greeting or a title, after "my name is", and alone on the line below a sign-off.
 * English and German. Only capitalised words are names; words that address nobody in particular
 * ("Team", "Sir", "Damen") are not.
 *
 * Owns nothing. Threads: pure. Limits: a name is at most four words and 80 bytes.
 */
#include "trust/guard/guard_internal.h"

#include <pthread.h>
#include <string.h>
#include <strings.h>

#include <unicode/uchar.h>

#include "base/text/text.h"

#define MAX_NAME 80
#define MAX_WORDS 4

enum lead_kind {
    LEAD_GREETING, /* the name must end at punctuation or the line's end */
    LEAD_TITLE,    /* what follows is a name wherever it stands */
    LEAD_SIGNOFF   /* the name stands alone on the next line */
};

static const struct lead {
    const char *text;
    enum lead_kind kind;
} leads[] = {
    {"dear", LEAD_GREETING}, {"hi", LEAD_GREETING}, {"hello", LEAD_GREETING},
    {"hey", LEAD_GREETING}, {"good morning", LEAD_GREETING}, {"good afternoon", LEAD_GREETING},
    {"hallo", LEAD_GREETING}, {"liebe", LEAD_GREETING}, {"lieber", LEAD_GREETING},
    {"guten tag", LEAD_GREETING}, {"guten morgen", LEAD_GREETING}, {"moin", LEAD_GREETING},
    {"sehr geehrte", LEAD_GREETING}, {"sehr geehrter", LEAD_GREETING},
    {"mr", LEAD_TITLE}, {"mrs", LEAD_TITLE}, {"ms", LEAD_TITLE}, {"mx", LEAD_TITLE},
    {"dr", LEAD_TITLE}, {"prof", LEAD_TITLE}, {"herr", LEAD_TITLE}, {"herrn", LEAD_TITLE},
    {"frau", LEAD_TITLE}, {"my name is", LEAD_TITLE}, {"mein name ist", LEAD_TITLE},
    {"ich hei\xc3\x9f" "e", LEAD_TITLE},
    {"regards", LEAD_SIGNOFF}, {"best regards", LEAD_SIGNOFF}, {"kind regards", LEAD_SIGNOFF},
    {"best wishes", LEAD_SIGNOFF}, {"best", LEAD_SIGNOFF}, {"thanks", LEAD_SIGNOFF},
    {"many thanks", LEAD_SIGNOFF}, {"thank you", LEAD_SIGNOFF}, {"cheers", LEAD_SIGNOFF},
    {"sincerely", LEAD_SIGNOFF}, {"yours sincerely", LEAD_SIGNOFF}, {"yours", LEAD_SIGNOFF},
    {"mit freundlichen gr\xc3\xbc\xc3\x9f" "en", LEAD_SIGNOFF},
    {"mit freundlichen gruessen", LEAD_SIGNOFF}, {"mfg", LEAD_SIGNOFF}, {"lg", LEAD_SIGNOFF},
    {"vg", LEAD_SIGNOFF}, {"viele gr\xc3\xbc\xc3\x9f" "e", LEAD_SIGNOFF},
    {"beste gr\xc3\xbc\xc3\x9f" "e", LEAD_SIGNOFF}, {"liebe gr\xc3\xbc\xc3\x9f" "e", LEAD_SIGNOFF},
    {"gr\xc3\xbc\xc3\x9f" "e", LEAD_SIGNOFF}, {"gru\xc3\x9f", LEAD_SIGNOFF},
    {"danke", LEAD_SIGNOFF}, {"vielen dank", LEAD_SIGNOFF},
};

static const char *const nobody[] = {
    "team", "support", "sir", "madam", "all", "everyone", "everybody", "there", "customer",
    "service", "damen", "herren", "und", "kundenservice", "kundendienst", "zusammen", "leute",
    "folks", "guys", "help", "helpdesk", "desk", "sirs", "hiring", "manager", "i", "the", "my",
    "thanks", "thank", "danke", "bitte", "please",
};

static size_t blanks(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && (s[i] == ' ' || s[i] == '\t')) {
        i++;
    }
    return i;
}

/* Length of a capitalised word at s: letters, marks, inner hyphens and apostrophes; else 0. */
static size_t name_word(const char *s, size_t n)
{
    size_t end = 0;
    bool first = true;
    while (end < n && end < MAX_NAME) {
        uint32_t cp;
        size_t len = text_utf8_decode(s + end, n - end, &cp);
        bool joint = !first && (cp == '-' || cp == '\'' || cp == 0x2019) && end + 1 < n &&
                     guard_is_word(s[end + len]);
        if (len == 0 || (first && !u_isUUppercase((UChar32)cp)) ||
            (!joint && !u_isUAlphabetic((UChar32)cp) && u_charType((UChar32)cp) !=
             U_NON_SPACING_MARK)) {
            break;
        }
        first = false;
        end += len;
    }
    for (size_t i = 0; i < COUNT_OF(nobody); i++) {
        if (strlen(nobody[i]) == end && strncasecmp(s, nobody[i], end) == 0) {
            return 0;
        }
    }
    return end;
}

/* Up to `most` capitalised words with one blank between them; an initial may have its full stop. */
static size_t name_words(const char *s, size_t n, int most)
{
    size_t end = 0;
    for (int i = 0; i < most; i++) {
        size_t gap = i == 0 ? 0 : blanks(s + end, n - end);
        if (i > 0 && gap != 1) {
            break;
        }
        size_t len = name_word(s + end + gap, n - end - gap);
        if (len == 0) {
            break;
        }
        end += gap + len;
        if (len == 1 && end + 1 < n && s[end] == '.' && s[end + 1] == ' ') {
            end++;
        }
    }
    return end;
}

static size_t title_length(const char *s, size_t n)
{
    for (size_t i = 0; i < COUNT_OF(leads); i++) {
        size_t len = strlen(leads[i].text);
        if (leads[i].kind == LEAD_TITLE && n > len && strncasecmp(s, leads[i].text, len) == 0 &&
            !guard_is_word(s[len])) {
            len += s[len] == '.' ? 1 : 0;
            return len + blanks(s + len, n - len);
        }
    }
    return 0;
}

static bool ends_address(const char *s, size_t n)
{
    size_t gap = blanks(s, n);
    return gap >= n || strchr(",!.:;\r\n", s[gap]) != NULL ||
           (s[gap] == '-' && gap > 0);
}

/* After the sign-off come punctuation, at most two line ends, and the name up to its line's end. */
static size_t signed_name(const char *s, size_t n, size_t *skip)
{
    size_t i = *skip;
    int lines = 0;
    while (i < n && strchr(" \t,.!;-\r\n", s[i]) != NULL && s[i] != 0 && lines < 3) {
        lines += s[i] == '\n' ? 1 : 0;
        i++;
    }
    if (lines >= 3) {
        return 0;
    }
    size_t len = name_words(s + i, n - i, MAX_WORDS);
    size_t after = i + len + blanks(s + i + len, n - i - len);
    *skip = i;
    return after >= n || s[after] == '\n' || s[after] == '\r' ? len : 0;
}

/* The longest lead at s whose last byte ends a word. */
static const struct lead *lead_find(const char *s, size_t n, size_t *len)
{
    const struct lead *best = NULL;
    *len = 0;
    for (size_t i = 0; i < COUNT_OF(leads); i++) {
        if (leads[i].text[0] != (s[0] | 32) || n < 2 || (leads[i].text[1] ^ s[1]) & ~32) {
            continue;
        }
        size_t l = strlen(leads[i].text);
        if (l > *len && n > l && strncasecmp(s, leads[i].text, l) == 0 && !guard_is_word(s[l])) {
            best = &leads[i];
            *len = l;
        }
    }
    return best;
}

size_t guard_last_line(const char *s, size_t n)
{
    size_t len = name_words(s, n, MAX_WORDS);
    size_t end = len;
    while (end < n && strchr(" \t\r\n.", s[end]) != NULL && s[end] != 0) {
        end++;
    }
    return end == n ? len : 0;
}

static struct guard_pairs pairs;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (size_t i = 0; i < COUNT_OF(leads); i++) {
        guard_pairs_add(&pairs, leads[i].text);
    }
}

size_t guard_name(const char *s, size_t n, bool line_start, size_t *skip)
{
    pthread_once(&once, fill);
    if ((s[0] & 0x80) != 0 || !guard_pairs_has(&pairs, s, n)) {
        return 0;
    }
    size_t len;
    const struct lead *l = lead_find(s, n, &len);
    if (l == NULL || (l->kind == LEAD_SIGNOFF && !line_start)) {
        return 0;
    }
    *skip = len;
    if (l->kind == LEAD_SIGNOFF) {
        return signed_name(s, n, skip);
    }
    *skip += s[*skip] == '.' && l->kind == LEAD_TITLE ? 1 : 0;
    size_t gap = blanks(s + *skip, n - *skip);
    *skip += gap;
    if (gap == 0) {
        return 0;
    }
    if (l->kind == LEAD_TITLE) {
        return name_words(s + *skip, n - *skip, MAX_WORDS);
    }
    size_t title = title_length(s + *skip, n - *skip);
    size_t second = title == 0 ? 0 : title_length(s + *skip + title, n - *skip - title);
    *skip += title + second;
    size_t found = name_words(s + *skip, n - *skip, MAX_WORDS);
    return title > 0 || ends_address(s + *skip + found, n - *skip - found) ? found : 0;
}
