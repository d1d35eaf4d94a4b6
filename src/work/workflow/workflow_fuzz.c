/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of work/workflow: bytes as a definition. What is accepted keeps the limits that the
 * rooms below rely on: names, labels, lengths and frames.
 */
#include <string.h>

#include "work/workflow/workflow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_field(const struct ladder_field *f)
{
    ASSERT(f->name[0] != '\0' && f->type < LADDER_TYPE_COUNT);
    ASSERT(f->max_chars >= 8 && f->max_chars <= 4000);
    ASSERT(f->target_error > 0 && f->target_error <= 0.5);
    ASSERT(f->labels_len <= LADDER_MAX_LABELS);
    for (size_t k = 0; k < f->labels_len; k++) {
        size_t n = strlen(f->labels[k].name);
        ASSERT(n >= 1 && n <= 128 && text_utf8_is_valid(f->labels[k].name, n));
    }
    if (f->type == LADDER_CHOICE) {
        ASSERT(f->labels_learned || f->labels_len >= 2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_faults faults;
    struct ladder_form *form = NULL;
    struct fault why;
    char *text = mem_dup_strn((const char *)data, size);
    if (workflow_read(text, size, "input", &form, &faults, &why) == FAIL_NONE) {
        ASSERT(form->fields_len >= 1 && form->fields_len <= LADDER_MAX_FIELDS);
        for (size_t i = 0; i < form->fields_len; i++) {
            check_field(&form->fields[i]);
        }
        struct ladder_form *copy = ladder_form_dup(form);
        (void)ladder_stake_find(copy, text);
        ladder_form_unref(copy);
        ladder_form_unref(form);
    } else {
        ASSERT(form == NULL && why.code != FAIL_NONE && why.message[0] != '\0');
    }
    mem_free(text);
    return 0;
}
