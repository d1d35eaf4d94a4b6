/* SPDX-License-Identifier: Apache-2.0 */
/* The form's lifetime: references, deep copies, labels, and the phrases that go to a person. */
#include <ctype.h>
#include <string.h>

#include "answer/ladder/ladder.h"
#include "base/text/text.h"

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
    {&(f)->title,  &(f)->dataset,     &(f)->system, &(f)->prefix,                              \
     &(f)->suffix, &(f)->source_yaml, &(f)->choice, &(f)->agents}

void ladder_form_unref(struct ladder_form *f)
{
    if (f == NULL || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    for (size_t i = 0; i < f->fields_len; i++) {
        free_labels(&f->fields[i]);
        mem_free(f->fields[i].instruct);
        mem_free(f->fields[i].pattern);
        mem_free(f->fields[i].min);
        mem_free(f->fields[i].max);
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
        field->pattern = mem_dup_str(field->pattern);
        field->min = mem_dup_str(field->min);
        field->max = mem_dup_str(field->max);
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

/* ---- phrases that go to a person ---- */

/* Mail wraps lines and word processors turn quotes; neither may hide a phrase. What a character is
   for comparing: spaces of all kinds are one space, what cannot be seen is nothing, the letters of
   ASCII and Latin-1 are small. */
#define NOTHING 0u

static uint32_t folded(uint32_t cp)
{
    bool upper = (cp >= 'A' && cp <= 'Z') || (cp >= 0xc0 && cp <= 0xde && cp != 0xd7);
    bool space = cp <= 0x20 || cp == 0xa0 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
                 cp == 0x2029 || cp == 0x202f || cp == 0x3000;
    bool hidden = cp == 0xad || (cp >= 0x200b && cp <= 0x200f) || cp == 0x2060 || cp == 0xfeff;
    return hidden ? NOTHING : space ? ' ' : upper ? cp + 0x20 : cp;
}

static bool is_word(uint32_t cp)
{
    if (cp < 0x80) {
        return isalnum((int)cp);
    }
    bool mark = (cp >= 0xa1 && cp <= 0xbf && cp != 0xaa && cp != 0xb5 && cp != 0xba) ||
                (cp >= 0x2010 && cp <= 0x206f) || (cp >= 0x3001 && cp <= 0x303f);
    return !mark;
}

/* The next character that counts, folded; a run of spaces is one. 0 at the end. */
static uint32_t next_folded(const char **at)
{
    uint32_t got = NOTHING;
    while (**at != '\0') {
        uint32_t cp = (unsigned char)**at;
        size_t n = text_utf8_decode(*at, strnlen(*at, 4), &cp);
        uint32_t c = folded(cp);
        if (got == ' ' && c != ' ' && c != NOTHING) {
            return got;
        }
        *at += n > 0 ? n : 1;
        if (c != NOTHING && c != ' ') {
            return c;
        }
        got = c == ' ' ? c : got;
    }
    return got;
}

static bool stands_at(const char *text, const char *phrase)
{
    uint32_t want = next_folded(&phrase);
    while (want != NOTHING) {
        if (next_folded(&text) != want) {
            return false;
        }
        want = next_folded(&phrase);
    }
    return !is_word(next_folded(&text));
}

const char *ladder_stake_find(const struct ladder_form *f, const char *text)
{
    uint32_t first[LADDER_MAX_STAKES]; /* of each phrase: most characters begin none */
    bool inside = false;               /* of a word */
    for (size_t i = 0; i < f->always_person_len; i++) {
        const char *phrase = f->always_person[i];
        first[i] = next_folded(&phrase);
    }
    while (f->always_person_len > 0 && *text != '\0') {
        uint32_t cp = (unsigned char)*text;
        size_t n = text_utf8_decode(text, strnlen(text, 4), &cp);
        uint32_t c = folded(cp);
        for (size_t i = 0; i < f->always_person_len && !inside; i++) {
            if (first[i] == c && c != NOTHING && stands_at(text, f->always_person[i])) {
                return f->always_person[i];
            }
        }
        inside = c == NOTHING ? inside : is_word(c);
        text += n > 0 ? n : 1;
    }
    return NULL;
}
