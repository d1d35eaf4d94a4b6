/* SPDX-License-Identifier: Apache-2.0 */
/* The form's lifetime: references, deep copies, labels, and the phrases that go to a person. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "answer/ladder/ladder.h"

struct ladder_form *ladder_form_ref(struct ladder_form *f)
{
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

static void free_labels(struct ladder_field *field)
{
    for (size_t k = 0; k < field->labels_len; k++) {
        mem_free(field->labels[k].name);
        mem_free(field->labels[k].describe);
    }
    mem_free(field->labels);
    field->labels = NULL;
    field->labels_len = 0;
}

/* The strings of a frame, in one place for free and dup. */
#define FRAME_TEXTS(f)                                                                             \
    {&(f)->greeting, &(f)->greeting_plain, &(f)->opening, &(f)->sources, &(f)->closing,            \
     &(f)->sign_off}
#define FORM_TEXTS(f)                                                                              \
    {&(f)->title, &(f)->dataset, &(f)->system, &(f)->prefix, &(f)->suffix, &(f)->source_yaml}

void ladder_form_unref(struct ladder_form *f)
{
    if (f == NULL || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (size_t i = 0; i < f->fields_len; i++) {
        free_labels(&f->fields[i]);
        mem_free(f->fields[i].instruct);
    }
    for (size_t i = 0; i < f->frames_len; i++) {
        char **const texts[] = FRAME_TEXTS(&f->frames[i]);
        for (size_t k = 0; k < COUNT_OF(texts); k++) {
            mem_free(*texts[k]);
        }
    }
    for (size_t i = 0; i < f->always_person_len; i++) {
        mem_free(f->always_person[i]);
    }
    char **const texts[] = FORM_TEXTS(f);
    for (size_t k = 0; k < COUNT_OF(texts); k++) {
        mem_free(*texts[k]);
    }
    mem_free(f);
}

struct ladder_form *ladder_form_dup(const struct ladder_form *from)
{
    struct ladder_form *f = mem_dup(from, sizeof(*from));
    f->refs = 1;
    for (size_t i = 0; i < f->fields_len; i++) {
        struct ladder_field *field = &f->fields[i];
        field->instruct = mem_dup_str(field->instruct);
        field->labels = mem_alloc_array(field->labels_len, sizeof(*field->labels));
        for (size_t k = 0; k < field->labels_len; k++) {
            field->labels[k].name = mem_dup_str(from->fields[i].labels[k].name);
            field->labels[k].describe = mem_dup_str(from->fields[i].labels[k].describe);
        }
    }
    for (size_t i = 0; i < f->frames_len; i++) {
        char **const texts[] = FRAME_TEXTS(&f->frames[i]);
        for (size_t k = 0; k < COUNT_OF(texts); k++) {
            *texts[k] = mem_dup_str(*texts[k]);
        }
    }
    for (size_t i = 0; i < f->always_person_len; i++) {
        f->always_person[i] = mem_dup_str(from->always_person[i]);
    }
    char **const texts[] = FORM_TEXTS(f);
    for (size_t k = 0; k < COUNT_OF(texts); k++) {
        *texts[k] = mem_dup_str(*texts[k]);
    }
    return f;
}

void ladder_labels_set(struct ladder_field *field, const char *const *names, size_t n)
{
    struct ladder_label *labels = mem_alloc_array(n, sizeof(*labels));
    for (size_t i = 0; i < n; i++) {
        int known = ladder_label_find(field, names[i]);
        labels[i].name = mem_dup_str(names[i]);
        labels[i].describe = known < 0 ? NULL : mem_dup_str(field->labels[known].describe);
    }
    free_labels(field);
    field->labels = labels;
    field->labels_len = n;
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

const char *ladder_stake_find(const struct ladder_form *f, const char *text)
{
    for (size_t i = 0; i < f->always_person_len; i++) {
        const char *phrase = f->always_person[i];
        size_t n = strlen(phrase);
        for (const char *at = strcasestr(text, phrase); at != NULL;
             at = strcasestr(at + 1, phrase)) {
            if ((at == text || !is_word_byte(at[-1])) && !is_word_byte(at[n])) {
                return phrase;
            }
        }
    }
    return NULL;
}
