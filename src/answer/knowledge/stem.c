/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Light stems and stop words of English and German.
 *
 * Light on purpose: a stem that is too short makes strangers meet. The English rules are the first
 * steps of Porter's; the German ones follow Savoy's light stemmer (suffixes only, umlauts removed).
 * Owns: nothing. Threads: pure.
 */
#include <string.h>

#include "answer/knowledge/knowledge_internal.h"

static const char *const stop_en[] = {
    "a",      "about",   "after",   "again",   "all",       "also",    "am",      "an",
    "and",    "any",     "are",     "as",      "at",        "be",      "because", "been",
    "before", "being",   "but",     "by",      "can",       "cannot",  "could",   "did",
    "do",     "does",    "doing",   "don't",   "during",    "each",    "either",  "for",
    "from",   "further", "get",     "got",     "had",       "has",     "have",    "having",
    "he",     "hello",   "her",     "here",    "hers",      "hi",      "him",     "his",
    "how",    "i",       "i'd",     "i'll",    "i'm",       "i've",    "if",      "in",
    "into",   "is",      "it",      "it's",    "its",       "just",    "like",    "may",
    "me",     "might",   "more",    "most",    "must",      "my",      "need",    "no",
    "not",    "now",     "of",      "off",     "on",        "once",    "only",    "or",
    "other",  "our",     "ours",    "out",     "over",      "own",     "please",  "same",
    "shall",  "she",     "should",  "since",   "so",        "some",    "such",    "than",
    "thank",  "thanks",  "that",    "the",     "their",     "theirs",  "them",    "then",
    "there",  "these",   "they",    "this",    "those",     "through", "to",      "too",
    "under",  "until",   "up",      "upon",    "us",        "very",    "was",     "we",
    "were",   "what",    "when",    "where",   "whether",   "which",   "while",   "who",
    "whom",   "why",     "will",    "with",    "within",    "would",   "yet",     "you",
    "your",   "yours",   "dear",    "regards", "kind",      "best",    "cheers",  "hey",
    "thx",    "pls",     "every",   "between", "sometimes", "around",  "along",   "via",
    "per",    "many",    "much",    "several", "even",      "ever",    "though",  "although",
    "unless", "still",   "already", "always",
};

static const char *const stop_de[] = {
    "aber",   "alle",    "allem",        "allen",       "aller",  "alles",    "als",     "also",
    "am",     "an",      "andere",       "anderen",     "auch",   "auf",      "aus",     "bei",
    "beim",   "bin",     "bis",          "bitte",       "bitten", "da",       "dabei",   "dadurch",
    "dafür",  "damit",   "dann",         "darf",        "das",    "dass",     "dazu",    "dein",
    "dem",    "den",     "denn",         "der",         "des",    "die",      "dies",    "diese",
    "diesem", "diesen",  "dieser",       "dieses",      "doch",   "dort",     "durch",   "ein",
    "eine",   "einem",   "einen",        "einer",       "eines",  "er",       "es",      "etwas",
    "euch",   "für",     "ganz",         "gegen",       "gibt",   "grüße",    "grüssen", "grüßen",
    "guten",  "hab",     "habe",         "haben",       "hallo",  "hat",      "hatte",   "hier",
    "ich",    "ihm",     "ihn",          "ihnen",       "ihr",    "ihre",     "ihrem",   "ihren",
    "ihrer",  "im",      "in",           "ins",         "ist",    "ja",       "jede",    "jeden",
    "jeder",  "jedes",   "jetzt",        "kann",        "kein",   "keine",    "keinen",  "können",
    "könnte", "könnten", "liebe",        "man",         "mein",   "meine",    "meinem",  "meinen",
    "meiner", "mir",     "mit",          "mich",        "möchte", "muss",     "müssen",  "nach",
    "nicht",  "noch",    "nun",          "nur",         "ob",     "oder",     "ohne",    "schon",
    "sehr",   "sein",    "seine",        "seit",        "sich",   "sie",      "sind",    "so",
    "soll",   "sonst",   "tag",          "über",        "um",     "und",      "uns",     "unser",
    "unsere", "unter",   "vielen",       "dank",        "viele",  "vom",      "von",     "vor",
    "war",    "waren",   "warum",        "was",         "wegen",  "weil",     "wenn",    "wer",
    "werden", "wie",     "wieder",       "will",        "wir",    "wird",     "wo",      "worden",
    "wurde",  "wurden",  "zu",           "zum",         "zur",    "zwischen", "mfg",     "geehrte",
    "damen",  "herren",  "freundlichen", "freundliche",
};

static bool is_in(const char *const *list, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], word) == 0) {
            return true;
        }
    }
    return false;
}

bool knowledge_is_stop_word(const char *folded, enum knowledge_lang lang)
{
    if (lang == KNOWLEDGE_LANG_DE) {
        return is_in(stop_de, COUNT_OF(stop_de), folded);
    }
    if (lang == KNOWLEDGE_LANG_EN) {
        return is_in(stop_en, COUNT_OF(stop_en), folded);
    }
    return is_in(stop_en, COUNT_OF(stop_en), folded) || is_in(stop_de, COUNT_OF(stop_de), folded);
}

static bool ends(const char *w, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    return n > m && memcmp(w + n - m, suffix, m) == 0;
}

static bool has_vowel(const char *w, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("aeiouy", w[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static size_t undouble(const char *w, size_t n)
{
    if (n > 3 && w[n - 1] == w[n - 2] && strchr("bdfgklmnprtz", w[n - 1]) != NULL) {
        return n - 1;
    }
    return n;
}

static void stem_english(char *w)
{
    size_t n = strlen(w);
    if (ends(w, n, "'s") || ends(w, n, "s'")) {
        n -= 2;
    }
    if (n > 4 && ends(w, n, "ies")) {
        n -= 2; /* parties -> parti, met by party -> parti below */
    } else if (n > 4 && (ends(w, n, "sses") || ends(w, n, "xes") || ends(w, n, "ches") ||
                         ends(w, n, "shes"))) {
        n -= 2;
    } else if (n > 3 && w[n - 1] == 's' && strchr("su", w[n - 2]) == NULL && !ends(w, n, "is")) {
        n -= 1;
    }
    if (n > 9 && ends(w, n, "ation")) {
        n = undouble(w, n - 5);
    } else if (n > 6 && ends(w, n, "ment")) {
        n -= 4;
    } else if (n > 5 && ends(w, n, "ing") && has_vowel(w, n - 3)) {
        n = undouble(w, n - 3);
    } else if (n > 4 && ends(w, n, "ed") && has_vowel(w, n - 2)) {
        n = undouble(w, n - 2);
    } else if (n > 5 && ends(w, n, "ly")) {
        n -= 2;
    }
    if (n > 3 && w[n - 1] == 'e') {
        n -= 1;
    }
    if (n > 3 && w[n - 1] == 'y') {
        w[n - 1] = 'i';
    }
    if (n > 6 && w[n - 1] == 'i') {
        n -= 1; /* delivery and delivered */
    }
    w[n] = '\0';
}

static size_t without_umlauts(char *w)
{
    size_t o = 0;
    for (size_t i = 0; w[i] != '\0'; i++) {
        unsigned char c = (unsigned char)w[i];
        unsigned char d = (unsigned char)w[i + 1];
        if (c == 0xC3 && (d == 0xA4 || d == 0xB6 || d == 0xBC)) {
            w[o++] = d == 0xA4 ? 'a' : d == 0xB6 ? 'o' : 'u';
            i++;
        } else {
            w[o++] = w[i];
        }
    }
    w[o] = '\0';
    return o;
}

static void stem_german(char *w)
{
    size_t n = without_umlauts(w);
    if (n > 7 && ends(w, n, "ungen")) {
        n -= 5;
    } else if (n > 6 && ends(w, n, "ung")) {
        n -= 3;
    } else {
        if (n > 6 && (ends(w, n, "ern") || ends(w, n, "est") || ends(w, n, "tet"))) {
            n -= ends(w, n, "tet") ? 2 : 3;
        } else if (n > 4 &&
                   (ends(w, n, "em") || ends(w, n, "en") || ends(w, n, "er") || ends(w, n, "es"))) {
            n -= 2;
        } else if (n > 4 && w[n - 1] == 's' && strchr("bdfghklmnt", w[n - 2]) != NULL) {
            n -= 1;
        } else if (n > 4 && w[n - 1] == 'n' && strchr("rl", w[n - 2]) != NULL) {
            n -= 1;
        }
        if (n > 3 && w[n - 1] == 'e') {
            n -= 1;
        }
    }
    w[n] = '\0';
}

void knowledge_stem(char *folded, enum knowledge_lang lang)
{
    for (const char *p = folded; *p != '\0'; p++) {
        if (*p >= '0' && *p <= '9') {
            return; /* numbers and ids stay whole */
        }
    }
    if (lang == KNOWLEDGE_LANG_DE) {
        stem_german(folded);
    } else {
        stem_english(folded);
    }
}
