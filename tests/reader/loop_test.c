/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two hundred documents, most of them made to hurt, asked of one process that goes on: run/reader
 * beside a loop with the real inhouse-reader. Each ends in its own answer, and the next one is read
 * as if nothing had been. Needs INHOUSE_BUILD; exits 77 without inhouse-reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop/loop.h"
#include "run/reader/reader.h"

#define ROUNDS 20
#define REPEATED 30000

static char path[4096];
static struct loop *loop;
static int waiting;

/* What is asked, and what must come of it: a first block's text, or a failure that says why. */
struct example {
    const char *format, *text;
    const char *repeat;            /* after text, REPEATED times; may be NULL */
    const char *first;             /* NULL: it fails */
    const char *says;
    struct document_limits limits;
    enum fail code;
};
static const struct example examples[] = {
    {.format = "text", .text = "plain text", .first = "plain text"},
    {.format = "html", .text = "<p>page", .first = "page"},
    {.format = "html", .text = "", .repeat = "<div>", .code = FAIL_TOO_LARGE, .says = "nested"},
    {.format = "xml",
     .text = "<!DOCTYPE a [<!ENTITY b 'c'><!ENTITY d '&b;&b;'>]><a>&d;</a>",
     .code = FAIL_UNSUPPORTED,
     .says = "entity"},
    {.format = "xml", .text = "<a>", .code = FAIL_BAD_REQUEST, .says = "line 1"},
    {.format = "docx", .text = "PK\3\4", .repeat = "x", .code = FAIL_BAD_REQUEST, .says = "zip"},
    {.format = "json", .text = "", .repeat = "[", .code = FAIL_TOO_LARGE, .says = "nested"},
    {.format = "csv",
     .text = "a,\"b",
     .repeat = "\n",
     .code = FAIL_BAD_REQUEST,
     .says = "quoted cell"},
    {.format = "text",
     .text = "",
     .repeat = "x\n\n",
     .limits = {.blocks = 1000},
     .code = FAIL_TOO_LARGE,
     .says = "1000 blocks"},
    {.format = "html",
     .text = "",
     .repeat = "<p>text of a page",
     .limits = {.memory_bytes = 1 << 20},
     .code = FAIL_WORKER_DIED,
     .says = "inhouse-reader"},
};

struct answer {
    const struct example *example;
    bool came, right;
    char said[400];
};

static void hear(void *ctx, struct document *d, const struct fault *why)
{
    struct answer *a = ctx;
    const struct example *e = a->example;
    a->came = true;
    if (d != NULL) {
        a->right =
            e->first != NULL && d->blocks_len > 0 && strcmp(d->blocks[0].text, e->first) == 0;
        (void)snprintf(a->said, sizeof(a->said), "%zu blocks", d->blocks_len);
    } else {
        a->right =
            e->first == NULL && why->code == e->code && strstr(why->message, e->says) != NULL;
        (void)snprintf(a->said, sizeof(a->said), "%s: %s", fail_name(why->code), why->message);
    }
    document_free(d);
    if (--waiting == 0) {
        loop_stop(loop);
    }
}

static void ask(struct readers *r, struct answer *a)
{
    struct fault why = {0};
    struct buf text;
    buf_init(&text, 1 << 20);
    (void)buf_add_str(&text, a->example->text);
    for (int i = 0; a->example->repeat != NULL && i < REPEATED; i++) {
        (void)buf_add_str(&text, a->example->repeat);
    }
    struct reader_ask question = {.data = text.len > 0 ? text.data : "", .len = text.len,
                                  .format = a->example->format, .limits = a->example->limits,
                                  .deadline_ms = 60000};
    assert_int_equal(readers_ask(r, &question, hear, a, NULL, &why), FAIL_NONE);
    buf_done(&text);
    waiting++;
}

static void each_document_ends_in_its_own_answer(void **state)
{
    (void)state;
    struct fault why = {0};
    const struct reader_programs programs = {.reader = path};
    const size_t n = COUNT_OF(examples) * ROUNDS;
    struct answer *answers = mem_alloc_array(n, sizeof(*answers));
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    struct readers *r = readers_new(loop, &programs, 2);
    for (size_t i = 0; i < n; i++) {
        answers[i].example = &examples[i % COUNT_OF(examples)];
        ask(r, &answers[i]);
    }
    loop_run(loop);
    for (size_t i = 0; i < n; i++) {
        if (!answers[i].came || !answers[i].right) {
            fail_msg("document %zu (%s): %s", i, answers[i].example->format, answers[i].said);
        }
    }
    readers_free(r);
    loop_free(loop);
    mem_free(answers);
}

int main(void)
{
    const char *build = getenv("INHOUSE_BUILD");
    (void)snprintf(path, sizeof(path), "%s/bin/inhouse-reader", build == NULL ? "." : build);
    if (access(path, X_OK) != 0) {
        printf("skipped: %s is not built\n", path);
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_document_ends_in_its_own_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
