/* SPDX-License-Identifier: Apache-2.0 */
/* What a model is told of a form before it reads the text. */
#include "answer/task/task_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct ladder_form form;
static char said[65536];

static const char *prefix_for(enum ladder_rung rung)
{
    struct buf b;
    buf_init(&b, sizeof(said));
    form_ask_prefix(&form, rung, &b);
    assert_false(b.overflow);
    memcpy(said, b.data, b.len + 1);
    buf_done(&b);
    return said;
}

static void set_labels(const char *const *names, size_t n)
{
    form.fields_len = 1;
    form.fields[0].type = LADDER_CHOICE;
    (void)text_copy(form.fields[0].name, sizeof(form.fields[0].name), "queue");
    ladder_labels_set(&form.fields[0], names, n);
}

/* Only described labels were listed: a model had to guess the rest. */
static void labels_are_listed_with_and_without_descriptions(void **state)
{
    (void)state;
    static const char *const names[] = {"billing", "account", "other"};
    set_labels(names, 3);
    assert_non_null(strstr(prefix_for(LADDER_HEAVY),
                           "queue: choose one\nOne of: billing, account, other\n"));
    form.fields[0].labels[0].describe = mem_dup_str("money");
    assert_non_null(strstr(prefix_for(LADDER_HEAVY), "- billing: money\n- account\n- other\n"));
    assert_null(strstr(prefix_for(LADDER_LIGHT), "billing")); /* a small model is not given it */
}

static void a_list_that_is_too_long_is_left_out_whole(void **state)
{
    (void)state;
    static char text[LADDER_MAX_LABELS][48];
    const char *names[LADDER_MAX_LABELS];
    for (size_t i = 0; i < LADDER_MAX_LABELS; i++) {
        snprintf(text[i], sizeof(text[i]), "label number %zu with quite a long name", i);
        names[i] = text[i];
    }
    set_labels(names, LADDER_MAX_LABELS);
    assert_null(strstr(prefix_for(LADDER_HEAVY), "label number"));
    set_labels(names, 8);
    char long_text[5000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    form.fields[0].labels[7].describe = mem_dup_str(long_text);
    assert_non_null(strstr(prefix_for(LADDER_HEAVY), "One of: label number 0"));
    assert_null(strstr(prefix_for(LADDER_HEAVY), "xxxx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_listed_with_and_without_descriptions),
        cmocka_unit_test(a_list_that_is_too_long_is_left_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
