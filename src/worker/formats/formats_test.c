/* SPDX-License-Identifier: Apache-2.0 */
/* worker/formats without its process: which format a document is, the limits, and the table that
   run/document promises. What each parser finds is tried in tests/reader. */
#include "worker/formats/formats.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static enum fail read_text(const char *format, const char *text, size_t len,
                           struct document_limits limits, struct fault *why)
{
    struct formats_ask ask = {.format = format, .limits = limits, .out = -1};
    document_limits_fill(&ask.limits);
    *why = (struct fault){0};
    return formats_read(text, len, &ask, why);
}

static void the_format_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *name, *type, *found;
    } cases[] = {{"junk %PDF-1.4", "a.txt", NULL, "pdf"},
                 {"PK\3\4....", NULL, "text/plain", "docx"},
                 {"Received: x\r\nFrom: y\r\n\r\n", NULL, NULL, "mail"},
                 {"Note: this\nis text", NULL, NULL, "text"},
                 {" \n<!DOCTYPE HTML>", NULL, NULL, "html"},
                 {"<html>", "x.xml", NULL, "xml"},
                 {"<?xml version='1.0'?>", NULL, NULL, "xml"},
                 {"x", "A.CSV", NULL, "csv"},
                 {"x", "x.csv", "text/html; charset=utf-8", "html"},
                 {"x", "x.md", "text/plain", "markdown"},
                 {"{\"a\": {}}", "x.json", NULL, "json"},
                 {"{\"a\":\n{}}", "x.json", NULL, "json"},
                 {"{\"a\":1}\r\n{\"a\":2}", "x.json", NULL, "jsonl"},
                 {"x", "x.unknown", "application/x-odd", "text"},
                 {"", NULL, NULL, "text"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_string_equal(formats_find(cases[i].bytes, strlen(cases[i].bytes), cases[i].name,
                                         cases[i].type),
                            cases[i].found);
    }
}

static void every_promised_format_is_read(void **state)
{
    (void)state;
    static const char *const names[] = {
#define FORMAT(name) #name,
#include "run/document/document_formats.def"
#undef FORMAT
    };
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct fault why;
        enum fail f = read_text(names[i], "x", 1, (struct document_limits){0}, &why);
        assert_true(f == FAIL_NONE || f == FAIL_BAD_REQUEST);
    }
    struct fault why;
    assert_int_equal(read_text("xlsx", "x", 1, (struct document_limits){0}, &why),
                     FAIL_UNSUPPORTED);
}

static void each_limit_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *format, *text, *says;
        struct document_limits limits;
    } cases[] = {
        {"text", "a long text", "longer than 5 bytes", {.input_bytes = 5}},
        {"text", "a long enough text", "bytes of text", {.text_bytes = 10}},
        {"html", "<p>a<p>b<p>c", "2 blocks", {.blocks = 2}},
        {"html", "<b><i><b><i><b><i>x", "nested more than 4", {.depth = 4}},
        {"xml", "<a><a><a><a><a/></a></a></a></a>", "nested more than 4", {.depth = 4}},
        {"json", "[[[[[1]]]]]", "nested more than 4", {.depth = 4}},
        {"html", "<a href=x>1</a> <a href=y>2</a>", "1 links", {.links = 1}},
        {"mail",
         "From: a\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\na\n--b\n\nb\n--b\n\nc\n",
         "2 parts",
         {.parts = 2}},
        {"mail",
         "From: a\nContent-Type: application/pdf\nContent-Disposition: attachment\n\n12345678\n",
         "bytes of attachments",
         {.attachment_bytes = 4}}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fault why;
        enum fail f = read_text(cases[i].format, cases[i].text, strlen(cases[i].text),
                                cases[i].limits, &why);
        if (f != FAIL_TOO_LARGE || strstr(why.message, cases[i].says) == NULL) {
            fail_msg("case %zu: %s: %s", i, fail_name(f), why.message);
        }
    }
}

/* A text over a block's length is several blocks, and a link stays with its piece. */
static void a_long_text_is_several_blocks(void **state)
{
    (void)state;
    size_t n = DOCUMENT_TEXT_MAX * 2 + 100;
    char *page = mem_alloc(n + 200), *at = page;
    memcpy(at, "<p>", 3);
    at += 3;
    for (size_t i = 0; i < n; i += 10) {
        memcpy(at, "123456789 ", 10);
        at += 10;
    }
    memcpy(at, "<a href=z>end</a>", 17);
    struct formats_ask ask = {.format = "html", .out = memfd_create("x", MFD_CLOEXEC)};
    struct fault why = {0};
    struct document *d = NULL;
    document_limits_fill(&ask.limits);
    assert_int_equal(formats_read(page, (size_t)(at - page) + 17, &ask, &why), FAIL_NONE);
    struct document_taker *t = document_taker_new(&ask.limits);
    static char chunk[65536];
    assert_int_equal(lseek(ask.out, 0, SEEK_SET), 0);
    for (ssize_t k; (k = read(ask.out, chunk, sizeof(chunk))) > 0;) {
        assert_int_equal(document_taker_feed(t, chunk, (size_t)k, &why), FAIL_NONE);
    }
    assert_int_equal(document_taker_end(t, &d, &why), FAIL_NONE);
    assert_int_equal(d->blocks_len, 3);
    const struct document_block *last = &d->blocks[2];
    assert_int_equal(last->links_len, 1);
    assert_memory_equal(last->text + last->links[0].begin, "end", 3);
    document_free(d);
    document_taker_free(t);
    close(ask.out);
    mem_free(page);
}

int main(void)
{
    formats_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format_is_found),
        cmocka_unit_test(every_promised_format_is_read),
        cmocka_unit_test(each_limit_refuses),
        cmocka_unit_test(a_long_text_is_several_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
