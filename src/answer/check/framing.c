/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Openings that frame a statement and say nothing themselves: "Please note that ...".
 * Owns: nothing. Threads: pure.
 */
#include <string.h>

#include "answer/check/check_internal.h"

static const char *const frames_en[] = {
    "please note that",
    "please note:",
    "please also note that",
    "note that",
    "note:",
    "please keep in mind that",
    "keep in mind that",
    "please remember that",
    "remember that",
    "please be aware that",
    "be aware that",
    "please be advised that",
    "please bear in mind that",
    "bear in mind that",
    "it is important to note that",
    "it is worth noting that",
    "as a reminder,",
    "just a reminder:",
    "for your information,",
    "for information:",
    "to answer your question,",
    "to answer your question:",
    "in short,",
    "in general,",
    "in other words,",
    "as mentioned,",
    "we would like to inform you that",
    "we can confirm that",
    "i can confirm that",
    "rest assured that",
    "the good news is that",
    "unfortunately,",
    "fortunately,",
    "also,",
    "in addition,",
    "additionally,",
    "furthermore,",
    "moreover,",
    "of course,",
    "yes,",
};

static const char *const frames_de[] = {
    "bitte beachten sie, dass",
    "bitte beachten sie:",
    "bitte beachten sie auch:",
    "beachten sie bitte, dass",
    "beachten sie bitte:",
    "beachten sie, dass",
    "bitte denken sie daran, dass",
    "denken sie bitte daran, dass",
    "denken sie daran:",
    "bitte bedenken sie, dass",
    "hinweis:",
    "wichtig:",
    "wichtiger hinweis:",
    "zur erinnerung:",
    "zur information:",
    "zu ihrer information:",
    "kurz gesagt:",
    "zu ihrer frage:",
    "gut zu wissen:",
    "\xC3\xBC"
    "brigens:",
    "ja,",
};

static size_t longest(const char *const *frames, size_t count, const char *text, size_t len)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(frames[i]);
        if (n > best && n < len && check_starts_folded(text, len, frames[i]) &&
            (text[n] == ' ' || text[n - 1] == ':')) {
            best = n;
        }
    }
    return best;
}

size_t check_frame_length(const char *text, size_t len, enum knowledge_lang lang)
{
    size_t n = lang == KNOWLEDGE_LANG_DE ? longest(frames_de, COUNT_OF(frames_de), text, len)
                                         : longest(frames_en, COUNT_OF(frames_en), text, len);
    while (n > 0 && n < len && text[n] == ' ') {
        n++;
    }
    return len - n >= 12 ? n : 0;
}
