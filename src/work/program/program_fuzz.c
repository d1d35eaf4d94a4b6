/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of work/program: bytes as a definition of a program, its options and Jinja prompts.
 * What is accepted keeps what the rooms above rely on; what is not says why, with lines of the
 * text.
 */
#include <string.h>

#include "work/program/program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *options_new(const struct config_node *node, struct config_faults *faults)
{
    static const char *const keys[] = {"times", "word", NULL};
    int64_t *times = mem_alloc(sizeof(*times));
    if (node != NULL) {
        config_node_only(node, keys, faults);
        config_node_int(node, "times", false, 1, 9, times, faults);
    }
    return times;
}

static enum fail never(struct program_run *run, const void *options, struct fault *why)
{
    (void)run;
    (void)options;
    return FAULT(why, FAIL_INTERNAL, "it is not run");
}

static const struct program_role roles[] = {{"new", "a text", 1, 1}};
static const char *const prompts[] = {"summary", "title", NULL};
static const struct program_ops ops = {.name = "echo", .title = "", .roles = roles, .roles_len = 1,
                                       .prompts = prompts, .options = options_new,
                                       .options_free = mem_free, .run = never};
static const struct program_ops *const table[] = {&ops};

/* At most so many lines: YAML also breaks them at NEL, LS and PS. */
static int lines_of(const uint8_t *data, size_t size)
{
    int n = 2;
    for (size_t i = 0; i < size; i++) {
        n += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 ||
             data[i] == 0xa9;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_faults faults;
    struct program_definition *d = NULL;
    struct fault why;
    char *text = mem_dup_strn((const char *)data, size);
    if (program_definition_read(text, size, "input", table, 1, &d, &faults, &why) == FAIL_NONE) {
        ASSERT(text_is_name(d->name) && d->ops == &ops && d->options != NULL);
        ASSERT(d->label < SECRECY_COUNT && d->deadline_s >= 1 && d->deadline_s <= 86400);
        ASSERT(d->prompts_len <= 2 && strlen(d->release) == 64);
        program_definition_unref(d);
    } else {
        ASSERT(d == NULL && faults.count > 0 && why.message[0] != '\0');
        for (size_t i = 0; i < faults.count && i < CONFIG_MAX_FAULTS; i++) {
            ASSERT(faults.list[i].line <= lines_of(data, size));
        }
    }
    mem_free(text);
    return 0;
}
