/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Glossary: terms that a translation must use, must not use, or must leave as they are.
 *
 * Terms are found as runs of words, inflected as the language does (the header says how); in
 * languages written without blanks they are found as they stand. A term inside a longer one of the
 * same glossary ("file" in "file manager") does not count.
 * Owns: nothing. Threads: pure. Limits: MAX_TERM_WORDS words a term; text as everywhere.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

#define MAX_TERM_WORDS 12

struct text_words {
    const char *s;
    size_t len;
    const char *code;
    enum knowledge_lang lang;
    bool dense; /* written without blanks between words */
    struct knowledge_words words;
};

static bool is_code(const char *code, const char *list)
{
    char key[8];
    size_t n = code != NULL ? strcspn(code, "-_") : 0;
    if (n < 2 || n > 3) {
        return false;
    }
    snprintf(key, sizeof(key), " %.*s ", (int)n, code);
    return strstr(list, key) != NULL;
}

static void open_words(struct text_words *w, const char *s, size_t len, const char *code)
{
    *w = (struct text_words){.s = s, .len = len, .code = code};
    w->lang = knowledge_lang_from_code(code);
    w->dense = is_code(code, " zh ja th km lo my bo ");
    knowledge_words_init(&w->words, s, len, w->lang);
}

static bool same_ending(const char *a, const char *b, size_t most)
{
    size_t n = 0, la = strlen(a), lb = strlen(b);
    while (a[n] != '\0' && a[n] == b[n]) {
        n++;
    }
    while (n > 0 && ((unsigned char)a[n] & 0xC0) == 0x80) {
        n--;
    }
    size_t letters = text_utf8_count(a, n);
    return letters >= 4 && text_utf8_count(a + n, la - n) <= most &&
           text_utf8_count(b + n, lb - n) <= most;
}

/* Does the text's word agree with the term's? last: the term's last word, which may be the head of
   a compound in German. */
static bool agrees(const struct text_words *w, const struct knowledge_word *t,
                   const struct knowledge_word *word, bool exact)
{
    if (strcmp(t->folded, word->folded) == 0) {
        return true;
    }
    if (exact) {
        size_t n = strlen(t->folded);
        return strncmp(t->folded, word->folded, n) == 0 && strcmp(word->folded + n, "s") == 0;
    }
    if (w->lang != KNOWLEDGE_LANG_OTHER && strcmp(t->stem, word->stem) == 0) {
        return true;
    }
    size_t n = strlen(t->stem), m = strlen(word->stem);
    if (w->lang == KNOWLEDGE_LANG_DE) {
        bool compound = n >= 4 && m > n &&
                        (strcmp(word->stem + m - n, t->stem) == 0 ||
                         strncmp(word->stem, t->stem, n) == 0);
        return compound || same_ending(t->folded, word->folded, 2);
    }
    return w->lang == KNOWLEDGE_LANG_OTHER && same_ending(t->folded, word->folded, 3);
}

struct place {
    size_t at, len;
};

/* The term from word `from` on; false when it does not stand there. */
static bool stands_at(const struct text_words *w, const struct knowledge_words *term, size_t from,
                      bool exact, bool match_case, const char *as, struct place *p)
{
    if (term->count == 0 || term->count > MAX_TERM_WORDS || from + term->count > w->words.count) {
        return false;
    }
    for (size_t i = 0; i < term->count; i++) {
        if (!agrees(w, &term->items[i], &w->words.items[from + i], exact)) {
            return false;
        }
    }
    const struct knowledge_word *a = &w->words.items[from];
    const struct knowledge_word *b = &w->words.items[from + term->count - 1];
    p->at = a->at;
    p->len = b->at + b->len - a->at;
    return !match_case ||
           (strlen(as) <= w->len - p->at && memcmp(w->s + p->at, as, strlen(as)) == 0);
}

static bool find_dense(const struct text_words *w, const char *term, size_t from, struct place *p)
{
    size_t n = strlen(term);
    const char *hit = n > 0 && from < w->len ? memmem(w->s + from, w->len - from, term, n) : NULL;
    if (hit == NULL) {
        return false;
    }
    *p = (struct place){(size_t)(hit - w->s), n};
    return true;
}

/* Terms without a letter or digit ("C++" has some), and dense scripts, are found as bytes. */
static bool find_term(const struct text_words *w, const char *term, bool exact, bool match_case,
                      size_t from, struct place *p)
{
    struct knowledge_words words;
    bool found = false;
    knowledge_words_init(&words, term, strlen(term), w->lang);
    if (w->dense || words.count == 0) {
        found = find_dense(w, term, from, p);
    }
    for (size_t i = 0; i < w->words.count && !found; i++) {
        found = w->words.items[i].at >= from &&
                stands_at(w, &words, i, exact, match_case, term, p);
    }
    knowledge_words_done(&words);
    return found;
}

/* One of the alternatives behind "|". */
static bool find_any(const struct text_words *w, const char *terms, bool exact, bool match_case,
                     struct place *p)
{
    for (const char *s = terms; s != NULL && *s != '\0';) {
        size_t n = strcspn(s, "|");
        AUTO_FREE char *one = mem_dup_strn(s, n);
        if (find_term(w, text_trim(one), exact, match_case, 0, p)) {
            return true;
        }
        s += n + (s[n] == '|');
    }
    return false;
}

/* Where the source says the term, outside of every longer term of the glossary. */
static bool source_says(const struct text_words *w, const struct check_term *terms, size_t count,
                        size_t which)
{
    const struct check_term *t = &terms[which];
    struct place p;
    bool exact = t->kind == CHECK_TERM_KEEP;
    for (size_t from = 0; find_term(w, t->source, exact, t->match_case, from, &p);
         from = p.at + 1) {
        bool covered = false;
        for (size_t k = 0; k < count && !covered; k++) {
            struct place q = {0, 0};
            if (k == which || strlen(terms[k].source) <= strlen(t->source)) {
                continue;
            }
            for (size_t f = 0; find_term(w, terms[k].source, false, terms[k].match_case, f, &q) &&
                               !covered;
                 f = q.at + 1) {
                covered = q.at <= p.at && q.at + q.len >= p.at + p.len && q.len > p.len;
            }
        }
        if (!covered) {
            return true;
        }
    }
    return false;
}

static struct check_result one_term(const struct text_words *source,
                                    const struct text_words *target,
                                    const struct check_term *terms, size_t count, size_t i)
{
    const struct check_term *t = &terms[i];
    struct place p = {0, 0};
    bool asked = t->source == NULL || t->source[0] == '\0' || source_says(source, terms, count, i);
    if (!asked) {
        return check_passed();
    }
    if (t->kind == CHECK_TERM_NOT) {
        return find_any(target, t->target, false, t->match_case, &p)
                   ? check_wrong(CHECK_REASON_GLOSSARY, target->s, p.at, p.len)
                   : check_passed();
    }
    if (t->kind == CHECK_TERM_KEEP) {
        return find_term(target, t->source, true, true, 0, &p)
                   ? check_passed()
                   : check_missing(CHECK_REASON_GLOSSARY, t->source, strlen(t->source));
    }
    return find_any(target, t->target, false, t->match_case, &p)
               ? check_passed()
               : check_missing(CHECK_REASON_GLOSSARY, t->target, strlen(t->target));
}

struct check_result check_glossary(const struct check_string *s, const struct check_term *terms,
                                   size_t count)
{
    if (s->source_len > CHECK_MAX_REPLY || s->target_len > CHECK_MAX_REPLY) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    struct text_words source, target;
    struct check_result r = check_passed();
    open_words(&source, s->source, s->source_len, s->source_lang);
    open_words(&target, s->target, s->target_len, s->target_lang);
    for (size_t i = 0; i < count && r.ok; i++) {
        r = one_term(&source, &target, terms, count, i);
    }
    knowledge_words_done(&source.words);
    knowledge_words_done(&target.words);
    return r;
}
