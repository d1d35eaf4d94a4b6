/* SPDX-License-Identifier: Apache-2.0 */
/* run/document: what is put comes back the same in any pieces, and nothing else is taken. */
#include "run/document/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put_all(struct buf *b)
{
    static const struct document_link links[] = {{0, 5, "http://a.example/"}, {6, 6, "mailto:x"}};
    struct document_block block = {.kind = DOCUMENT_CELL,
                                   .level = 3,
                                   .header = true,
                                   .page = 1,
                                   .part = 2,
                                   .line = 3,
                                   .table = 4,
                                   .row = 5,
                                   .column = 6,
                                   .begin = 7,
                                   .end = 1ull << 40,
                                   .path = "/a/b",
                                   .text = "hello w\xC3\xB6rld",
                                   .len = 12,
                                   .links = links,
                                   .links_len = 2};
    struct document_attachment a = {"n.pdf", "application/pdf", "<1>", true, 4,
                                    (const uint8_t *)"a\0b", 3};
    document_put_start(b, "html", "UTF-8");
    document_put_warning(b, "odd");
    document_put_meta(b, DOCUMENT_META_TITLE, "A title");
    document_put_block(b, &block);
    block = (struct document_block){.kind = DOCUMENT_PARAGRAPH, .text = "", .len = 0};
    document_put_block(b, &block);
    document_put_attachment(b, &a);
}

static void check_all(const struct document *d)
{
    const struct document_block *b = &d->blocks[0];
    assert_string_equal(d->format, "html");
    assert_string_equal(d->charset, "UTF-8");
    assert_int_equal(d->blocks_len, 2);
    assert_string_equal(document_kind_name(b->kind), "cell");
    assert_true(b->level == 3 && b->header && b->page == 1 && b->part == 2 && b->line == 3);
    assert_true(b->table == 4 && b->row == 5 && b->column == 6 && b->begin == 7);
    assert_true(b->end == 1ull << 40);
    assert_string_equal(b->path, "/a/b");
    assert_string_equal(b->text, "hello w\xC3\xB6rld");
    assert_int_equal(b->links_len, 2);
    assert_string_equal(b->links[1].target, "mailto:x");
    assert_int_equal(b->links[0].end, 5);
    assert_int_equal(d->blocks[1].links_len, 0);
    assert_string_equal(document_meta_find(d, DOCUMENT_META_TITLE), "A title");
    assert_string_equal(document_meta_find(d, DOCUMENT_META_FROM), "");
    assert_int_equal(d->attachments_len, 1);
    assert_memory_equal(d->attachments[0].bytes, "a\0b", 3);
    assert_string_equal(d->attachments[0].type, "application/pdf");
    assert_int_equal(d->warnings_len, 1);
    assert_string_equal(d->warnings[0], "odd");
}

static enum fail take(const struct buf *b, size_t piece, const struct document_limits *asked,
                      struct document **out, struct fault *why)
{
    struct document_limits limits = *asked;
    document_limits_fill(&limits);
    struct document_taker *t = document_taker_new(&limits);
    enum fail f = FAIL_NONE;
    for (size_t at = 0; f == FAIL_NONE && at < b->len; at += piece) {
        f = document_taker_feed(t, b->data + at, b->len - at < piece ? b->len - at : piece, why);
    }
    f = f == FAIL_NONE ? document_taker_end(t, out, why) : f;
    document_taker_free(t);
    return f;
}

static void what_is_put_comes_back_in_any_pieces(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    put_all(&b);
    document_put_end(&b, 2, 1);
    for (size_t piece = 1; piece <= b.len; piece = piece < 70 ? piece + 1 : piece * 2) {
        struct document *d = NULL;
        struct fault why = {0};
        assert_int_equal(take(&b, piece, &(struct document_limits){0}, &d, &why), FAIL_NONE);
        check_all(d);
        document_free(d);
    }
    buf_done(&b);
}

static void what_a_reader_says_is_wrong_comes_back(void **state)
{
    (void)state;
    struct buf b;
    struct document *d = NULL;
    struct fault why = {0}, said = {0};
    buf_init(&b, 1 << 20);
    FAULT(&said, FAIL_BAD_REQUEST, "line 3 is broken");
    fail_hint(&said, "Mend it.");
    document_put_start(&b, "xml", "");
    document_put_error(&b, &said);
    assert_int_equal(take(&b, 7, &(struct document_limits){0}, &d, &why), FAIL_BAD_REQUEST);
    assert_string_equal(why.message, "line 3 is broken");
    assert_string_equal(why.hint, "Mend it.");
    /* But it does not speak for the server. */
    buf_clear(&b);
    FAULT(&said, FAIL_UNAUTHENTICATED, "who are you");
    document_put_error(&b, &said);
    assert_int_equal(take(&b, 1000, &(struct document_limits){0}, &d, &why), FAIL_WORKER_DIED);
    buf_done(&b);
}

static void wrong_frames_are_refused(void **state)
{
    (void)state;
    struct buf b, whole;
    buf_init(&whole, 1 << 20);
    put_all(&whole);
    document_put_end(&whole, 2, 1);
    static const struct document_limits few[] = {
        {.blocks = 1}, {.text_bytes = 20}, {.links = 1}, {.attachment_bytes = 2}};
    struct document *d = NULL;
    struct fault why;
    for (size_t i = 0; i < COUNT_OF(few); i++) {
        assert_int_equal(take(&whole, 64, &few[i], &d, &why), FAIL_WORKER_DIED);
    }
    /* Each cut leaves a document without its end. */
    buf_init(&b, 1 << 20);
    for (size_t n = 0; n < whole.len; n++) {
        buf_clear(&b);
        (void)buf_add(&b, whole.data, n);
        assert_int_equal(take(&b, 4096, &few[0], &d, &why), FAIL_WORKER_DIED);
    }
    /* Bytes after the end; counts that are not so; control characters; no START. */
    buf_clear(&b);
    (void)buf_add(&b, whole.data, whole.len);
    (void)buf_add(&b, "x", 1);
    assert_int_equal(take(&b, 4096, &(struct document_limits){0}, &d, &why), FAIL_WORKER_DIED);
    buf_clear(&b);
    put_all(&b);
    document_put_end(&b, 3, 1);
    assert_int_equal(take(&b, 4096, &(struct document_limits){0}, &d, &why), FAIL_WORKER_DIED);
    buf_clear(&b);
    document_put_start(&b, "html", "");
    document_put_meta(&b, DOCUMENT_META_TITLE, "\x1b[2J");
    document_put_end(&b, 0, 0);
    assert_int_equal(take(&b, 4096, &(struct document_limits){0}, &d, &why), FAIL_WORKER_DIED);
    buf_clear(&b);
    document_put_end(&b, 0, 0);
    assert_int_equal(take(&b, 4096, &(struct document_limits){0}, &d, &why), FAIL_WORKER_DIED);
    assert_null(d);
    buf_done(&b);
    buf_done(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_back_in_any_pieces),
        cmocka_unit_test(what_a_reader_says_is_wrong_comes_back),
        cmocka_unit_test(wrong_frames_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
