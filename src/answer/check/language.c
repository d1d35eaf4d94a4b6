/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Language of a text: cld2 where it is reliable, our stop words where the text is short.
 * Owns: nothing. Threads: pure. Limits: the first 16 KiB decide.
 */
#include <string.h>

#include "answer/check/check_internal.h"
#include "base/text/text.h"

#define ENOUGH ((size_t)16 << 10)

struct counts {
    size_t en, de, words;
};

static struct counts count_stop_words(const char *text, size_t len)
{
    struct knowledge_words w;
    struct counts c = {0};
    knowledge_words_init(&w, text, len, KNOWLEDGE_LANG_OTHER);
    for (size_t i = 0; i < w.count; i++) {
        const char *f = w.items[i].folded;
        c.en += knowledge_is_stop_word(f, KNOWLEDGE_LANG_EN);
        c.de += knowledge_is_stop_word(f, KNOWLEDGE_LANG_DE);
        c.de += strstr(f, "\xC3\xBC") != NULL || strstr(f, "\xC3\xB6") != NULL ||
                strstr(f, "\xC3\xA4") != NULL;
    }
    c.words = w.count;
    knowledge_words_done(&w);
    return c;
}

struct check_language check_language(const char *text, size_t len)
{
    struct check_language r = {.code = "und"};
    if (len > ENOUGH) {
        len = text_utf8_cut(text, ENOUGH);
    }
    struct counts c = count_stop_words(text, len);
    if (c.words == 0) {
        return r;
    }
    char code[8] = "";
    double percent = 0;
    bool reliable = false, found = check_cld2(text, (int)len, code, &percent, &reliable);
    /* Stop words first for the two languages they know: more than a third of the words, clearly
       ahead. */
    size_t most = c.en > c.de ? c.en : c.de, least = c.en > c.de ? c.de : c.en;
    bool clear = most * 3 >= c.words && most >= 2 && most >= 2 * least;
    const char *ours = c.en > c.de ? "en" : "de";
    if (found && reliable && (!clear || strcmp(code, ours) == 0 || c.words >= 40)) {
        text_copy(r.code, sizeof(r.code), code);
        r.reliable = percent > 0 ? percent : 0.5;
    } else if (clear || most > least) {
        text_copy(r.code, sizeof(r.code), ours);
        r.reliable = clear ? 0.8 : 0.5;
    } else if (found) {
        text_copy(r.code, sizeof(r.code), code);
        r.reliable = 0.3;
    }
    return r;
}
