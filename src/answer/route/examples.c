/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences with what they are: "[stake language]" opens a list, "[-stake language]" one of
   sentences near it, "[none language]" one of any other; one sentence a line, # begins a
   comment. */
#include <string.h>

#include "answer/route/route_internal.h"

#define SENTENCES_MAX 20000
#define SENTENCES_ARENA ((size_t)32 << 20)

static const char *const stakes[] = {"legal_threat", "danger", "data_subject_request", "press",
                                     "refund_above"};

const char *route_stake_name(enum route_stake stake)
{
    return (size_t)stake < COUNT_OF(stakes) ? stakes[stake] : "none";
}

enum route_stake route_stake_find(const char *name)
{
    unsigned i = 0;
    while (i < ROUTE_STAKE_COUNT && strcmp(stakes[i], name) != 0) {
        i++;
    }
    return (enum route_stake)i;
}

/* "[-press de]": into *out, whose text is left. */
static bool read_heading(const char *line, size_t len, struct route_sentence *out)
{
    char word[64];
    if (len < 6 || len > sizeof(word) || line[len - 1] != ']') {
        return false;
    }
    memcpy(word, line + 1, len - 2);
    word[len - 2] = '\0';
    char *lang = strchr(word, ' ');
    if (lang == NULL) {
        return false;
    }
    *lang++ = '\0';
    out->near = word[0] == '-';
    out->stake = route_stake_find(word + (out->near ? 1 : 0));
    return text_copy(out->lang, sizeof(out->lang), lang) &&
           (out->stake != ROUTE_STAKE_COUNT || strcmp(word, "none") == 0);
}

enum fail route_sentences_read(const char *text, size_t len, const char *file,
                               struct route_sentences *out, struct fault *why)
{
    struct route_sentence now = {.stake = ROUTE_STAKE_COUNT};
    int line = 0;
    bool opened = false;
    *out = (struct route_sentences){.arena = arena_new(SENTENCES_ARENA)};
    out->list = arena_alloc(out->arena, SENTENCES_MAX * sizeof(*out->list));
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < len && f == FAIL_NONE;) {
        const char *start = text + i, *end = memchr(start, '\n', len - i);
        size_t n = end != NULL ? (size_t)(end - start) : len - i;
        i += n + 1;
        line++;
        if (n == 0 || *start == '#') {
            continue;
        }
        if (*start == '[') {
            opened = read_heading(start, n, &now);
            f = opened ? FAIL_NONE
                       : FAULT(why, FAIL_BAD_REQUEST, "%s line %d: not a stake and a language",
                               file, line);
        } else if (!opened || out->n == SENTENCES_MAX) {
            f = FAULT(why, FAIL_BAD_REQUEST, "%s line %d: %s", file, line,
                      opened ? "too many sentences" : "a sentence before the first heading");
        } else {
            out->list[out->n] = now;
            out->list[out->n++].text = arena_dup_strn(out->arena, start, n);
        }
    }
    if (f != FAIL_NONE) {
        route_sentences_done(out);
    }
    return f;
}

void route_sentences_done(struct route_sentences *s)
{
    arena_free(s->arena);
    *s = (struct route_sentences){0};
}
