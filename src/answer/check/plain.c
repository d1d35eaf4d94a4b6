/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain checks: summaries, citations, links, and the reasons as words.
 * Owns: nothing. Threads: pure.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

static const struct {
    const char *name, *text;
} reasons[CHECK_REASON_COUNT] = {
    [CHECK_REASON_NONE] = {"none", "Every check passed."},
    [CHECK_REASON_NUMBER] = {"number", "The source does not say this number or duration here."},
    [CHECK_REASON_NEGATION] = {"negation",
                               "The source says the contrary: a \"not\" too many or too few."},
    [CHECK_REASON_MODALITY] = {"modality",
                               "The source is less or more firm: can, may and must are exchanged."},
    [CHECK_REASON_OPPOSITE] = {"opposite", "The source says the opposite word."},
    [CHECK_REASON_NAME] = {"name", "The source does not say this name, product, code or day here."},
    [CHECK_REASON_MENU] = {"menu", "The source does not show this menu path."},
    [CHECK_REASON_LINK] = {"link", "The source does not give this link or address."},
    [CHECK_REASON_CONDITION] = {"condition",
                                "The source limits this by a condition that is missing here."},
    [CHECK_REASON_CONTENT] = {"content", "The source does not say this word or a word like it."},
    [CHECK_REASON_NO_SOURCE] = {"no_source", "No source sentence is about this."},
    [CHECK_REASON_LIMIT] = {"limit", "The text is too long to be checked."},
    [CHECK_REASON_LANGUAGE] = {"language", "The text is in another language than the ticket."},
    [CHECK_REASON_LENGTH] = {"length", "The text is empty, too long, or more than one line."},
    [CHECK_REASON_INSTRUCTION] = {"instruction",
                                  "The text answers or obeys instead of summing up."},
    [CHECK_REASON_CITATION] = {"citation",
                               "The cited article is not one of those that were given."},
    [CHECK_REASON_CELL] = {"cell", "No cell of the table says or gives this number."},
    [CHECK_REASON_TEST] = {"test", "The test report does not hold this name, count or message."},
    [CHECK_REASON_SLOT] = {"slot", "A slot is open, or a value is not this ticket's."},
    [CHECK_REASON_PLACEHOLDER] = {"placeholder",
                                  "A placeholder is missing, altered or not in the original."},
    [CHECK_REASON_PLURAL] = {"plural", "The language needs other plural forms than these."},
    [CHECK_REASON_ICU] = {"icu", "The message has a mistake in its ICU form, or other arguments."},
    [CHECK_REASON_MARKUP] = {"markup", "A tag or a link is missing, altered or badly nested."},
    [CHECK_REASON_GLOSSARY] = {"glossary", "A term is not used as the glossary says."},
    [CHECK_REASON_SPACING] = {"spacing", "White space, line ends or access keys differ."},
    [CHECK_REASON_QUOTE] = {"quote", "Quoted words were changed."},
    [CHECK_REASON_CODE] = {"code", "Code was changed."},
};

const char *check_reason_name(enum check_reason r)
{
    return r < CHECK_REASON_COUNT ? reasons[r].name : "none";
}

const char *check_reason_text(enum check_reason r)
{
    return r < CHECK_REASON_COUNT ? reasons[r].text : "";
}

struct check_result check_passed(void)
{
    return (struct check_result){.ok = true};
}

struct check_result check_missing(enum check_reason reason, const char *what, size_t len)
{
    struct check_result r = {.reason = reason};
    len = text_utf8_cut(what, len < sizeof(r.detail) ? len : sizeof(r.detail) - 1);
    if (len > 0) {
        memcpy(r.detail, what, len);
    }
    return r;
}

struct check_result check_wrong(enum check_reason reason, const char *text, size_t at, size_t len)
{
    struct check_result r = check_missing(reason, text + at, len);
    r.at = (uint32_t)at;
    r.len = (uint32_t)len;
    return r;
}

static const struct check_result passed = {.ok = true};

struct check_result check_citation(const char *const *ids, size_t count, const char *const *allowed,
                                   size_t allowed_count)
{
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (size_t k = 0; k < allowed_count && !found; k++) {
            found = strcmp(ids[i], allowed[k]) == 0;
        }
        if (!found) {
            return check_missing(CHECK_REASON_CITATION, ids[i], strlen(ids[i]));
        }
    }
    return passed;
}

/* ---- links ---- */

static bool is_host(const char *s, size_t n)
{
    size_t label = 0, labels = 0;
    bool letters = true;
    for (size_t i = 0; i <= n; i++) {
        if (i == n || s[i] == '.') {
            if (label < 2) {
                return false;
            }
            labels++;
            if (i < n) {
                label = 0;
                letters = true;
            }
        } else if ((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '-') {
            label++;
            letters = letters && s[i] >= 'a';
        } else {
            return false;
        }
    }
    return labels >= 2 && letters;
}

bool check_is_link(const char *s, size_t n)
{
    if (memmem(s, n, "://", 3) != NULL || (n > 4 && strncasecmp(s, "www.", 4) == 0)) {
        return true;
    }
    const char *at = memchr(s, '@', n);
    if (at != NULL && at > s && at + 1 < s + n) {
        return true;
    }
    const char *slash = memchr(s, '/', n);
    return is_host(s, slash != NULL ? (size_t)(slash - s) : n);
}

/* The next blank-separated piece without brackets, quotes and final punctuation. */
static bool next_piece(const char *text, size_t len, size_t *pos, size_t *at, size_t *n)
{
    static const char edge[] = "()<>[]{}\"'.,;:!?*_`|";
    size_t i = *pos;
    while (i < len && isspace((unsigned char)text[i])) {
        i++;
    }
    size_t start = i;
    while (i < len && !isspace((unsigned char)text[i])) {
        i++;
    }
    *pos = i;
    size_t end = i;
    while (start < end && strchr(edge, text[start]) != NULL) {
        start++;
    }
    while (end > start && strchr(edge, text[end - 1]) != NULL) {
        end--;
    }
    *at = start;
    *n = end - start;
    return i > start || *n > 0 || i < len;
}

static void bare_link(const char **s, size_t *n)
{
    static const char *const heads[] = {"https://", "http://", "mailto:", "www."};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        size_t m = strlen(heads[i]);
        if (*n > m && strncasecmp(*s, heads[i], m) == 0) {
            *s += m;
            *n -= m;
        }
    }
    while (*n > 0 && (*s)[*n - 1] == '/') {
        (*n)--;
    }
}

static bool text_has_link(const char *text, const char *link, size_t n)
{
    size_t pos = 0, at, len, all = strlen(text);
    while (pos < all && next_piece(text, all, &pos, &at, &len)) {
        const char *s = text + at;
        size_t m = len;
        if (m > 0 && check_is_link(s, m)) {
            bare_link(&s, &m);
            if (m == n && strncasecmp(s, link, n) == 0) {
                return true;
            }
        }
    }
    return false;
}

struct check_result check_links(const char *text, size_t len, const char *const *allowed,
                                size_t allowed_count)
{
    size_t pos = 0, at, n;
    while (pos < len && next_piece(text, len, &pos, &at, &n)) {
        if (n == 0 || !check_is_link(text + at, n)) {
            continue;
        }
        const char *link = text + at;
        size_t bare = n;
        bare_link(&link, &bare);
        bool found = false;
        for (size_t i = 0; i < allowed_count && !found; i++) {
            found = allowed[i] != NULL && text_has_link(allowed[i], link, bare);
        }
        if (!found) {
            return check_wrong(CHECK_REASON_LINK, text, at, n);
        }
    }
    return passed;
}

/* ---- summaries ---- */

/* Openings of an answer: a summary speaks about the customer, not to one. */
static const char *const answer_openings[] = {
    "sure",
    "certainly",
    "of course",
    "here is",
    "here's",
    "hello",
    "hi ",
    "hi,",
    "dear",
    "thank you",
    "thanks",
    "i'm sorry",
    "i am sorry",
    "sorry",
    "as an ai",
    "i cannot",
    "i can't",
    "i'm unable",
    "please ",
    "you can",
    "you should",
    "ignore",
    "ok,",
    "okay",
    "yes,",
    "no,",
    "understood",
    "we are sorry",
    "we will",
    "we apologi",
    "summary:",
    "answer:",
    "nat\xC3\xBCrlich",
    "gerne",
    "hier ist",
    "hallo",
    "guten tag",
    "sehr geehrte",
    "vielen dank",
    "danke",
    "es tut mir",
    "leider",
    "bitte ",
    "sie k\xC3\xB6nnen",
    "zusammenfassung:",
    "antwort:",
    "system:",
    "assistant:",
};

static bool known_word(const struct knowledge_words *source, const struct knowledge_word *w)
{
    for (size_t i = 0; i < source->count; i++) {
        if (strcmp(source->items[i].folded, w->folded) == 0 ||
            strcmp(source->items[i].stem, w->stem) == 0) {
            return true;
        }
    }
    return false;
}

static struct check_result words_known(const char *summary, size_t len, const char *source,
                                       size_t source_len, enum knowledge_lang lang)
{
    struct knowledge_words mine, theirs;
    struct check_result r = passed;
    knowledge_words_init(&mine, summary, len, lang);
    knowledge_words_init(&theirs, source, source_len, lang);
    size_t content = 0, known = 0;
    for (size_t i = 0; i < mine.count && r.ok; i++) {
        const struct knowledge_word *w = &mine.items[i];
        double value, factor;
        bool number = w->digit ||
                      (lang != KNOWLEDGE_LANG_OTHER && check_number_word(w->folded, lang, &value));
        bool calendar =
            (check_word_classes(w->folded, w->stem, lang) & WORD_CALENDAR) && w->capital;
        bool name = lang != KNOWLEDGE_LANG_DE && w->capital && i > 0 && !w->stop &&
                    check_unit(w->folded, &factor) == UNIT_NONE;
        bool is_known = known_word(&theirs, w);
        if (!is_known && (number || calendar)) {
            r = check_wrong(CHECK_REASON_NUMBER, summary, w->at, w->len);
        } else if (!is_known && name) {
            r = check_wrong(CHECK_REASON_NAME, summary, w->at, w->len);
        }
        content += !w->stop;
        known += !w->stop && is_known;
    }
    if (r.ok && content > 0 && known == 0) {
        r = check_wrong(CHECK_REASON_CONTENT, summary, 0, len);
    }
    knowledge_words_done(&mine);
    knowledge_words_done(&theirs);
    return r;
}

struct check_result check_summary(const char *summary, size_t len, const char *source,
                                  size_t source_len, size_t max_chars)
{
    size_t start = 0;
    while (start < len && isspace((unsigned char)summary[start])) {
        start++;
    }
    if (start == len || !text_utf8_is_valid(summary, len) ||
        text_utf8_count(summary, len) > max_chars || memchr(summary, '\n', len) != NULL ||
        memchr(summary, '\0', len) != NULL) {
        return check_missing(CHECK_REASON_LENGTH, "", 0);
    }
    for (size_t i = 0; i < COUNT_OF(answer_openings); i++) {
        size_t n = strlen(answer_openings[i]);
        if (len - start >= n && strncasecmp(summary + start, answer_openings[i], n) == 0) {
            return check_wrong(CHECK_REASON_INSTRUCTION, summary, start, n);
        }
    }
    AUTO_FREE char *copy = mem_dup_strn(source, source_len);
    const char *allowed[1] = {copy};
    struct check_result r = check_links(summary, len, allowed, 1);
    if (!r.ok) {
        return r;
    }
    struct check_language theirs = check_language(source, source_len);
    enum knowledge_lang lang = knowledge_lang_from_code(theirs.code);
    enum knowledge_lang mine = knowledge_guess_lang(summary, len);
    if (mine != KNOWLEDGE_LANG_OTHER && lang != KNOWLEDGE_LANG_OTHER && mine != lang) {
        return check_missing(CHECK_REASON_LANGUAGE, knowledge_lang_code(mine), 2);
    }
    return words_known(summary, len, source, source_len, lang);
}
