/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The typed-slot guard: do two requests say the same? Cosine cannot tell "enable" from "disable",
 * so nothing is taken for equal because it is near. Both texts become a kind of question and a list
 * of words; words that say nothing here are dropped, variants of spelling become one; what remains
 * must be equal, word for word and in order. So whatever is not known to be harmless refuses.
 * Owns: nothing. Threads: pure. Limits: REUSE_GUARD_TEXT bytes, MAX_WORDS words a text.
 */
#include <stdio.h>
#include <string.h>

#include "answer/knowledge/knowledge.h"
#include "answer/reuse/reuse.h"

#define MAX_WORDS 256
#define WORD_ROOM 32

static const char *const verdict_names[REUSE_VERDICT_COUNT] = {
    "same",   "language", "number", "polarity", "question",
    "person", "time",     "words",  "order",    "short"};

const char *reuse_verdict_name(enum reuse_verdict v)
{
    return v < REUSE_VERDICT_COUNT ? verdict_names[v] : "none";
}

struct said {
    char word[MAX_WORDS][WORD_ROOM];
    size_t n;
    size_t at;      /* words before it are the frame */
    char question[WORD_ROOM]; /* "", "how", "can", "yes", "what", "how many", ... */
    bool too_long;
};

/* ---- words ---- */

/* Written otherwise, meaning the same. Nothing is here that could mean another thing elsewhere. */
static const char *const variants[][2] = {
    {"pls", "please"}, {"plz", "please"}, {"thx", "thanks"}, {"u", "you"}, {"ur", "your"},
    {"dont", "do not"}, {"doesnt", "does not"}, {"didnt", "did not"}, {"isnt", "is not"},
    {"arent", "are not"}, {"wasnt", "was not"}, {"werent", "were not"}, {"cant", "can not"},
    {"cannot", "can not"}, {"wont", "will not"}, {"couldnt", "could not"},
    {"wouldnt", "would not"}, {"shouldnt", "should not"}, {"hasnt", "has not"},
    {"havent", "have not"}, {"hadnt", "had not"}, {"im", "i am"}, {"ive", "i have"},
    {"whats", "what is"}, {"wheres", "where is"}, {"hows", "how is"}, {"whos", "who is"},
    {"whens", "when is"}, {"thats", "that is"}, {"theres", "there is"}, {"gonna", "going to"},
    {"wanna", "want to"}, {"i'm", "i am"}, {"can't", "can not"}, {"won't", "will not"},
    {"shan't", "shall not"}, {"let's", "let us"}, {"i'd", "i would"}, {"e-mail", "email"},
    {"e-mails", "emails"}, {"top-up", "topup"}, {"top-ups", "topups"}, {"tv", "television"},
    {"telephone", "phone"}, {"cellphone", "mobile phone"}, {"purchase", "buy"},
    {"film", "movie"}, {"begin", "start"}, {"acct", "account"}, {"info", "information"},
    {"canceled", "cancelled"}, {"canceling", "cancelling"}, {"color", "colour"},
    {"favorite", "favourite"}, {"traveling", "travelling"}, {"traveled", "travelled"},
    {"usd", "dollars"}, {"dollar", "dollars"}, {"eur", "euros"}, {"euro", "euros"},
    {"gbp", "pounds"}, {"pound", "pounds"}, {"mum", "mom"}, {"center", "centre"},
    {"zero", "0"}, {"one", "1"}, {"two", "2"}, {"three", "3"}, {"four", "4"}, {"five", "5"},
    {"six", "6"}, {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}, {"eleven", "11"},
    {"twelve", "12"}, {"could", "can"}, {"does", "do"}, {"are", "is"}, {"were", "was"},
    {"has", "have"}, {"might", "may"}, {"an", "a"}};

/* Says nothing wherever it stands (English; "the" tells nothing apart that the words do not). */
static const char *const idle[] = {"please", "hi", "hello", "hey", "thanks", "kindly", "a", "the",
                                   "ok", "okay", "um", "sir", "madam", "i", "my", "we", "our",
                                   "is"};
static const char *const idle_de[] = {"bitte", "hallo", "danke", "guten", "tag", "moin"};

static const char *const negations[] = {"not", "no", "never", "without", "none", "nobody",
                                        "nothing", "neither", "nor", "nicht", "kein", "keine",
                                        "keinen", "nie", "ohne", "unable", "stop"};
static const char *const persons[] = {"you", "your", "yours", "he", "she", "him", "her", "his",
                                      "hers", "they", "them", "their", "me", "us", "mine", "it",
                                      "its", "someone", "somebody", "anyone"};
static const char *const times[] = {"was", "did", "had", "will", "shall", "would", "must", "should",
                                    "can", "may", "have", "been", "going", "yet", "already",
                                    "still", "again", "ago", "before", "after", "until", "since"};

static bool is_in(const char *const *list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], word) == 0) {
            return true;
        }
    }
    return false;
}
#define IS_IN(list, word) is_in(list, COUNT_OF(list), word)

static void add_word(struct said *s, const char *word, size_t n)
{
    if (s->n == MAX_WORDS || n >= WORD_ROOM) {
        s->too_long = true;
        return;
    }
    memcpy(s->word[s->n], word, n);
    s->word[s->n++][n] = '\0';
}

static void add_words(struct said *s, const char *words)
{
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        add_word(s, words, n);
        words += n + (words[n] == ' ');
    }
}

static void put_word(struct said *s, char *w, bool english);

static void put_words(struct said *s, const char *words)
{
    while (*words != '\0') {
        char w[WORD_ROOM];
        size_t n = strcspn(words, " ");
        snprintf(w, sizeof(w), "%.*s", (int)n, words);
        put_word(s, w, true);
        words += n + (words[n] == ' ');
    }
}

/* "it's" and "doesn't" as two words each; else the variant, or the word itself. */
static void put_word(struct said *s, char *w, bool english)
{
    static const char *const tails[][2] = {{"n't", "not"},  {"'s", "is"},    {"'re", "is"},
                                           {"'ve", "have"}, {"'ll", "will"}, {"'d", "would"}};
    for (size_t i = 0; english && i < COUNT_OF(variants); i++) {
        if (strcmp(variants[i][0], w) == 0) {
            put_words(s, variants[i][1]); /* no variant leads back to itself */
            return;
        }
    }
    size_t n = strlen(w);
    static const char *const contracted[] = {"it", "what", "where", "how", "who", "when", "that",
                                             "there", "he", "she"};
    for (size_t i = 0; english && i < COUNT_OF(tails); i++) {
        size_t m = strlen(tails[i][0]);
        if (n <= m || strcmp(w + n - m, tails[i][0]) != 0) {
            continue;
        }
        w[n - m] = '\0';
        if (i == 1 && !IS_IN(contracted, w)) {
            add_word(s, w, n - m); /* a possessive: a word of its own kind */
            add_word(s, "'s", 2);
            return;
        }
        put_word(s, w, english);
        add_words(s, tails[i][1]);
        return;
    }
    add_word(s, w, n);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0;
}

/* Lower case in ASCII and Latin-1; a typographic apostrophe is one. Returns the new length. */
static size_t fold(const char *s, size_t n, char *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 'A' && c <= 'Z') {
            out[k++] = (char)(c + 32);
        } else if (c == 0xc3 && i + 1 < n && (unsigned char)s[i + 1] >= 0x80 &&
                   (unsigned char)s[i + 1] <= 0x9e && (unsigned char)s[i + 1] != 0x97) {
            out[k++] = s[i++];
            out[k++] = (char)((unsigned char)s[i] + 32);
        } else if (c == 0xe2 && i + 2 < n && (unsigned char)s[i + 1] == 0x80 &&
                   ((unsigned char)s[i + 2] == 0x99 || (unsigned char)s[i + 2] == 0x98)) {
            out[k++] = '\'';
            i += 2;
        } else {
            out[k++] = s[i];
        }
    }
    return k;
}

/* A minus and a currency before the number at `from`: said behind it, as "5 euros" does. */
static void take_sign(struct said *s, const char *t, size_t from)
{
    static const char *const signs[][2] = {
        {"$", "dollars"}, {"\xc2\xa3", "pounds"}, {"\xe2\x82\xac", "euros"}};
    bool minus = from > 0 && t[from - 1] == '-' &&
                 (from < 2 || (!is_letter(t[from - 2]) && !is_digit(t[from - 2])));
    size_t at = minus ? from - 1 : from;
    const char *currency = NULL;
    for (size_t i = 0; i < COUNT_OF(signs) && currency == NULL; i++) {
        size_t n = strlen(signs[i][0]);
        if (at >= n && memcmp(t + at - n, signs[i][0], n) == 0) {
            currency = signs[i][1];
            at -= n;
        }
    }
    if (minus || (at < from && at > 0 && t[at - 1] == '-')) {
        add_words(s, "minus");
    }
    if (currency != NULL) {
        add_words(s, currency);
    }
}

/* "1,234.50" -> "1234.50"; its sign and currency follow it as words. */
static size_t take_number(struct said *s, const char *t, size_t n, size_t i)
{
    char digits[WORD_ROOM];
    size_t k = 0, from = i;
    while (i < n && (is_digit(t[i]) || is_letter(t[i]) ||
                     (strchr(".,:/-", t[i]) != NULL && i + 1 < n && is_digit(t[i + 1])))) {
        bool grouping = t[i] == ',' && i + 3 < n && is_digit(t[i + 1]) && is_digit(t[i + 2]) &&
                        is_digit(t[i + 3]) && (i + 4 == n || !is_digit(t[i + 4]));
        if (!grouping && k + 1 < sizeof(digits)) {
            digits[k++] = t[i];
        } else if (!grouping) {
            s->too_long = true;
        }
        i++;
    }
    add_word(s, digits, k);
    take_sign(s, t, from);
    return i;
}

static void read_words(struct said *s, const char *t, size_t n, bool english)
{
    for (size_t i = 0; i < n;) {
        char w[WORD_ROOM * 2];
        size_t from = i;
        if (is_digit(t[i])) {
            i = take_number(s, t, n, i);
            continue;
        }
        if (!is_letter(t[i])) {
            /* Signs that stand for a word; the rest is punctuation. */
            if (strchr("%+=<>&@#*~^", t[i]) != NULL) {
                add_word(s, t + i, 1);
            }
            i++;
            continue;
        }
        if ((n - i >= 2 && memcmp(t + i, "\xc2\xa3", 2) == 0) ||
            (n - i >= 3 && memcmp(t + i, "\xe2\x82\xac", 3) == 0)) {
            size_t sign = t[i] == '\xc2' ? 2 : 3;
            if (i + sign >= n || !is_digit(t[i + sign])) {
                add_words(s, sign == 2 ? "pounds" : "euros");
            }
            i += sign;
            continue;
        }
        while (i < n && (is_letter(t[i]) || is_digit(t[i]) ||
                         ((t[i] == '\'' || t[i] == '-') && i + 1 < n && is_letter(t[i + 1])))) {
            i++;
        }
        if (i - from >= WORD_ROOM) {
            s->too_long = true;
            return;
        }
        memcpy(w, t + from, i - from);
        w[i - from] = '\0';
        put_word(s, w, english);
    }
}

/* ---- the frame of a question ---- */

struct frame {
    const char *words; /* '|' between alternatives of one word, '?' behind one that may lack */
    const char *question; /* NULL: what follows says it; "": no question */
};
/* The first that fits is taken off, again and again until a question is known. */
static const struct frame frames_en[] = {
    {"can|would|will you please? tell|show|explain me|to? me? know? about?", NULL},
    {"can|would|will you please? let me know", NULL},
    {"can|would|will you please? tell|show me", NULL},
    {"can|would|will you please? explain to me", NULL},
    {"i want|need|wish to know", NULL},
    {"i would like to know", NULL},
    {"please? tell|show me", NULL},
    {"please? let me know", NULL},
    {"how can|do|would|should i|we", "how"},
    {"how to", "how"},
    {"how many|much|long|often|far|old|soon|fast|late|big|high|low", "*"},
    {"how come", "why"},
    {"is it possible to", "can"},
    {"is it possible for me to", "can"},
    {"am i able to", "can"},
    {"can|may i|we", "can"},
    {"i|we want|need|wish to", ""},
    {"i|we would like to", ""},
    {"i am trying to", ""},
    {"can|would|will you please? help me to?", ""},
    {"can|would|will you please", ""},
    {"can|would|will you", ""},
    {"please? help me to?", ""},
    {"what|where|when|why|who|whom|whose|which|how is|do?", "*"},
    {"is|do|did|was|have|will|would|should|must|can|may|shall", "yes"}};
static const struct frame frames_de[] = {
    {"k\xc3\xb6nnen|k\xc3\xb6nnten sie mir bitte? sagen", NULL},
    {"wie kann|k\xc3\xb6nnte ich", "how"},
    {"wie viel|viele|lange|oft|weit|hoch", "*"},
    {"ich m\xc3\xb6""chte|will", ""},
    {"ich w\xc3\xbcrde gern|gerne", ""},
    {"was|wo|wann|warum|wieso|wer|wem|wen|wessen|wie|welche|welcher|welches|wohin|woher", "*"},
    {"ist|sind|kann|k\xc3\xb6nnen|darf|muss|wird|werden|hat|haben|war|gibt", "yes"}};

/* One word of a pattern against one said; *pattern moves behind it. */
static bool one_fits(const char **pattern, const char *word, bool *optional)
{
    size_t n = strcspn(*pattern, " "), len = strlen(word);
    const char *p = *pattern, *end = p + n;
    bool is = false;
    *optional = n > 0 && end[-1] == '?';
    while (p < end) {
        size_t m = strcspn(p, "| ?");
        is = is || (m == len && memcmp(p, word, m) == 0);
        p += m + 1;
    }
    *pattern = *end == ' ' ? end + 1 : end;
    return is;
}

/* Words that the frame takes at s->at; 0 when it does not fit. */
static size_t frame_fits(const struct said *s, const struct frame *f)
{
    const char *p = f->words;
    size_t i = s->at;
    while (*p != '\0') {
        bool optional = false;
        bool is = one_fits(&p, i < s->n ? s->word[i] : "", &optional);
        if (is) {
            i++;
        } else if (!optional) {
            return 0;
        }
    }
    return i - s->at;
}

static bool is_greeting(const char *w, bool english)
{
    static const char *const en[] = {"please", "hi", "hello", "hey", "thanks", "kindly", "ok",
                                     "okay", "um", "so", "well", "sir", "madam"};
    return english ? IS_IN(en, w) : IS_IN(idle_de, w);
}

static void take_frames(struct said *s, enum knowledge_lang lang)
{
    bool english = lang == KNOWLEDGE_LANG_EN;
    const struct frame *all = english ? frames_en : frames_de;
    size_t n = lang == KNOWLEDGE_LANG_OTHER ? 0
               : english                    ? COUNT_OF(frames_en)
                                            : COUNT_OF(frames_de);
    bool asked = false;
    s->question[0] = '\0';
    for (int round = 0; round < 4; round++) {
        while (s->at < s->n && n > 0 && is_greeting(s->word[s->at], english)) {
            s->at++;
        }
        size_t taken = 0;
        for (size_t i = 0; i < n && taken == 0; i++) {
            taken = frame_fits(s, &all[i]);
            if (taken == 0) {
                continue;
            }
            const char *q = all[i].question;
            if (q != NULL && q[0] == '*') {
                bool two = strcmp(s->word[s->at], "how") == 0 || strcmp(s->word[s->at], "wie") == 0;
                two = two && taken > 1 && strcmp(s->word[s->at + 1], "is") != 0 &&
                      strcmp(s->word[s->at + 1], "do") != 0;
                snprintf(s->question, sizeof(s->question), "%.15s%s%.14s", s->word[s->at],
                         two ? " " : "", two ? s->word[s->at + 1] : "");
            } else if (q != NULL) {
                snprintf(s->question, sizeof(s->question), "%s", q);
            }
            if (q != NULL && strcmp(q, "yes") == 0 && strcmp(s->word[s->at], "is") != 0 &&
                strcmp(s->word[s->at], "do") != 0) {
                taken--; /* its tense counts */
            }
            asked = asked || q == NULL;
            s->at += taken;
            if (q != NULL) {
                return;
            }
        }
        if (taken == 0) {
            break;
        }
    }
    if (asked) { /* "tell me my balance" asks what it is */
        snprintf(s->question, sizeof(s->question), "what");
    }
}

/* ---- comparing ---- */

static bool counts(const char *w, enum knowledge_lang lang)
{
    return lang == KNOWLEDGE_LANG_EN ? !IS_IN(idle, w)
           : lang == KNOWLEDGE_LANG_DE ? !IS_IN(idle_de, w)
                                       : true;
}

static void drop_idle(struct said *s, enum knowledge_lang lang)
{
    size_t n = 0;
    for (size_t i = s->at; i < s->n; i++) {
        bool you = strcmp(s->word[i], "thank") == 0 && i + 1 < s->n &&
                   strcmp(s->word[i + 1], "you") == 0;
        if (you && lang == KNOWLEDGE_LANG_EN) {
            i++;
        } else if (counts(s->word[i], lang)) {
            memmove(s->word[n++], s->word[i], WORD_ROOM);
        }
    }
    s->n = n;
    s->at = 0;
}

static bool has_digit(const char *w)
{
    return strpbrk(w, "0123456789") != NULL;
}

static enum reuse_verdict kind_of(const char *a, const char *b)
{
    if (has_digit(a) || has_digit(b)) {
        return REUSE_NOT_NUMBER;
    }
    if (IS_IN(times, a) || IS_IN(times, b)) {
        return REUSE_NOT_TIME;
    }
    if (IS_IN(persons, a) || IS_IN(persons, b)) {
        return REUSE_NOT_PERSON;
    }
    return REUSE_NOT_WORDS;
}

static bool same_bag(const struct said *a, const struct said *b)
{
    bool used[MAX_WORDS] = {false};
    for (size_t i = 0; i < a->n; i++) {
        size_t k = 0;
        while (k < b->n && (used[k] || strcmp(a->word[i], b->word[k]) != 0)) {
            k++;
        }
        if (k == b->n) {
            return false;
        }
        used[k] = true;
    }
    return a->n == b->n;
}

static size_t negated(const struct said *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        n += IS_IN(negations, s->word[i]);
    }
    return n;
}

static enum reuse_verdict compare(const struct said *a, const struct said *b)
{
    size_t i = 0;
    while (i < a->n && i < b->n && strcmp(a->word[i], b->word[i]) == 0) {
        i++;
    }
    if (negated(a) != negated(b)) {
        return REUSE_NOT_POLARITY;
    }
    if (i < a->n || i < b->n) {
        return same_bag(a, b) ? REUSE_NOT_ORDER
                              : kind_of(i < a->n ? a->word[i] : "", i < b->n ? b->word[i] : "");
    }
    return strcmp(a->question, b->question) != 0 ? REUSE_NOT_QUESTION : REUSE_SAME;
}

static void read_said(struct said *s, const char *text, size_t n, enum knowledge_lang lang)
{
    char folded[REUSE_GUARD_TEXT];
    s->n = s->at = 0;
    s->too_long = false;
    read_words(s, folded, fold(text, n, folded), lang == KNOWLEDGE_LANG_EN);
    take_frames(s, lang);
    drop_idle(s, lang);
}

enum reuse_verdict reuse_guard(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct said x, y;
    if (a_len > REUSE_GUARD_TEXT || b_len > REUSE_GUARD_TEXT) {
        return REUSE_NOT_SHORT;
    }
    enum knowledge_lang one = knowledge_guess_lang(a, a_len), two = knowledge_guess_lang(b, b_len);
    if (one != two && one != KNOWLEDGE_LANG_OTHER && two != KNOWLEDGE_LANG_OTHER) {
        return REUSE_NOT_LANGUAGE;
    }
    enum knowledge_lang lang = one != KNOWLEDGE_LANG_OTHER ? one : two;
    read_said(&x, a, a_len, lang);
    read_said(&y, b, b_len, lang);
    if (x.too_long || y.too_long || x.n == 0 || y.n == 0) {
        return REUSE_NOT_SHORT;
    }
    return compare(&x, &y);
}
