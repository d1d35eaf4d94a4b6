/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hints: what says something about a label beside the examples that have it: its own name, and the
 * articles that name it as their queue.
 *
 * Owns nothing: all is the arena's. Threads: the caller's. Limits: HINTS_TOPICS paragraphs,
 * LEARN_MAX_LABELS names a field.
 */
#include <stdlib.h>
#include <string.h>

#include "answer/task/task_internal.h"

#define HINTS_TOPICS 2000
#define NAME_SHORTEST 3 /* letters: "P1" says nothing */

#define NAME_FORMS 3
#define NAME_CLAUSES 8
#define LANGUAGE_SAMPLE 50

struct taking {
    struct arena *arena;
    const char *asks; /* how people begin in the examples' language, NULL: unknown */
    struct hint *hints;
    size_t n;
};

/* Words of a label's name: "card_not_working" -> "card not working"; NULL when it says nothing. */
static const char *name_words(struct taking *t, const char *label, const char *describe)
{
    char *text = arena_dup_str(t->arena, label);
    size_t letters = 0;
    for (char *p = text; *p != '\0'; p++) {
        *p = *p == '_' || *p == '-' || *p == '/' ? ' ' : *p;
        letters += (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p & 0x80) != 0;
    }
    if (letters < NAME_SHORTEST) {
        return NULL;
    }
    return describe == NULL || describe[0] == '\0'
               ? text
               : arena_printf(t->arena, "%s: %s", text, describe);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What a description says between semicolons, each by itself: "cannot send; stuck outside". */
static void take_clauses(struct taking *t, const char *describe, const char *label, int field)
{
    size_t taken = 0;
    while (describe != NULL && strchr(describe, ';') != NULL && *describe != '\0' &&
           taken < NAME_CLAUSES) {
        size_t n = strcspn(describe, ";");
        char *clause = text_trim(arena_dup_strn(t->arena, describe, n));
        if (clause[0] != '\0') {
            t->hints[t->n++] = (struct hint){clause, label, field};
            taken++;
        }
        describe += n + (describe[n] == ';');
        if (describe[0] != '\0' && strchr(describe, ';') == NULL && taken < NAME_CLAUSES) {
            clause = text_trim(arena_dup_str(t->arena, describe)); /* the last one */
            t->hints[t->n++] = (struct hint){clause, label, field};
            break;
        }
    }
}

/* The names of a choice's labels, of those that its examples have. */
static void take_names(struct taking *t, const struct ladder_form *form, size_t field,
                       const struct task_example *examples, size_t n_examples)
{
    const struct ladder_field *f = &form->fields[field];
    const char **all = mem_alloc_array(n_examples + 1, sizeof(*all));
    size_t n = 0;
    for (size_t i = 0; i < n_examples; i++) {
        const char *label = examples[i].values[field];
        if (label != NULL && label[0] != '\0' && strcmp(label, LEARN_NONE) != 0) {
            all[n++] = label;
        }
    }
    qsort(all, n, sizeof(*all), compare_names);
    for (size_t i = 0, taken = 0; i < n && taken < LEARN_MAX_LABELS; i++) {
        if (i > 0 && strcmp(all[i - 1], all[i]) == 0) {
            continue;
        }
        int known = ladder_label_find(f, all[i]);
        const char *text = name_words(t, all[i], known < 0 ? NULL : f->labels[known].describe);
        if (text == NULL) {
            continue;
        }
        taken++;
        t->hints[t->n++] = (struct hint){text, all[i], (int)field};
        take_clauses(t, known < 0 ? NULL : f->labels[known].describe, all[i], (int)field);
        t->hints[t->n++] = (struct hint){arena_printf(t->arena, "%s?", text), all[i], (int)field};
        if (t->asks != NULL) {
            text = arena_printf(t->arena, "%s %s", t->asks, text);
            t->hints[t->n++] = (struct hint){text, all[i], (int)field};
        }
    }
    mem_free(all);
}

/* Paragraphs of the dataset's articles with the queue their front matter names. */
static void take_topics(struct taking *t, const struct knowledge *k)
{
    for (size_t a = 0; k != NULL && a < knowledge_article_count(k); a++) {
        const struct knowledge_article *x = knowledge_article_at(k, a);
        size_t i = 0;
        while (x->queue[0] != '\0' && i < x->sentence_count && t->n < HINTS_TOPICS) {
            const char *text = x->title;
            uint16_t paragraph = x->sentences[i].paragraph;
            for (; i < x->sentence_count && x->sentences[i].paragraph == paragraph; i++) {
                text = arena_printf(t->arena, "%s%s%s", text, text == x->title ? "\n" : " ",
                                    x->sentences[i].text);
            }
            t->hints[t->n++] = (struct hint){text, arena_dup_str(t->arena, x->queue), -1};
        }
    }
}

/* From a spread sample of the examples: the language that more than half are in. */
static const char *asks_of(struct arena *arena, const struct task_example *examples, size_t n)
{
    static const char *const asks[][2] = {{"en", "I have a question about"},
                                          {"de", "Ich habe eine Frage zu"}};
    size_t sample = n < LANGUAGE_SAMPLE ? n : LANGUAGE_SAMPLE;
    size_t votes[COUNT_OF(asks)] = {0};
    for (size_t i = 0; i < sample; i++) {
        const char *lang = heads_language(arena, examples[i * n / sample].text);
        for (size_t k = 0; k < COUNT_OF(asks); k++) {
            votes[k] += strcmp(lang, asks[k][0]) == 0 ? 1 : 0;
        }
    }
    for (size_t k = 0; k < COUNT_OF(asks); k++) {
        if (2 * votes[k] > sample) {
            return asks[k][1];
        }
    }
    return NULL;
}

size_t hints_take(struct arena *arena, const struct ladder_form *form, const struct knowledge *k,
                  const struct task_example *examples, size_t n, struct hint **out)
{
    struct taking t = {.arena = arena, .asks = asks_of(arena, examples, n)};
    size_t room = HINTS_TOPICS + 1;
    for (size_t f = 0; f < form->fields_len; f++) {
        size_t names = n < LEARN_MAX_LABELS ? n : LEARN_MAX_LABELS;
        room += form->fields[f].type == LADDER_CHOICE ? (NAME_FORMS + NAME_CLAUSES) * names : 0;
    }
    t.hints = arena_alloc(arena, room * sizeof(*t.hints));
    take_topics(&t, k);
    for (size_t f = 0; f < form->fields_len; f++) {
        if (form->fields[f].type == LADDER_CHOICE) {
            take_names(&t, form, f, examples, n);
        }
    }
    *out = t.hints;
    return t.n;
}
