/* SPDX-License-Identifier: Apache-2.0 */
/* run/reader with children that are shell scripts: what they write, how they end, being stopped.
   The real inhouse-reader is tried in tests/reader. Threads: a loop's pool. */
#include "run/reader/reader.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/loop/loop.h"

static char script[] = "/tmp/inhouse-reader-XXXXXX";
static const struct reader_programs programs = {script, "/bin/false"};
/* START "text", one paragraph "hello", END. */
#define GOOD                                                                                       \
    "printf '\\5\\0\\0\\0\\1\\0\\0\\0\\4text'\n"                                                   \
    "printf '\\065\\0\\0\\0\\3\\0\\0\\0'; head -c 48 /dev/zero; printf hello\n"                    \
    "printf '\\10\\0\\0\\0\\7\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0'\n"

static void write_script(const char *text)
{
    int fd = open(script, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void a_document_goes_in_and_its_blocks_come_out(void **state)
{
    (void)state;
    struct document *d = NULL;
    struct fault why = {0};
    write_script("#!/bin/sh\n[ \"$(cat)\" = in ] || exit 9\nenv | grep -q HOME && exit 8\n"
                 "[ \"$1 $2 $3 $4\" = \"--format text --name x.txt\" ] || exit 7\n" GOOD);
    struct reader_ask ask = {.data = "in", .len = 2, .format = "text", .name = "x.txt"};
    assert_int_equal(reader_read(&programs, &ask, &d, &why), FAIL_NONE);
    assert_int_equal(d->blocks_len, 1);
    assert_string_equal(d->blocks[0].text, "hello");
    document_free(d);
}

/* From a file, and from a memfd that cannot change: read whole from its start, though its position
   is elsewhere. */
static void a_descriptor_is_read_from_its_start(void **state)
{
    (void)state;
    write_script("#!/bin/sh\n[ \"$(cat)\" = inside ] || exit 9\n" GOOD);
    for (int sealed = 0; sealed < 2; sealed++) {
        struct document *d = NULL;
        struct fault why = {0};
        struct reader_ask ask = {.fd = memfd_create("d", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
        assert_int_equal(write(ask.fd, "inside", 6), 6);
        if (sealed == 1) {
            assert_int_equal(
                fcntl(ask.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
        }
        for (int again = 0; again < 2; again++) {
            assert_int_equal(reader_read(&programs, &ask, &d, &why), FAIL_NONE);
            assert_string_equal(d->blocks[0].text, "hello");
            document_free(d);
        }
        close(ask.fd);
    }
}

static void every_bad_end_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *script, *says;
        int deadline_ms;
        enum fail code;
    } ends[] = {
        {"#!/bin/sh\nexit 0\n", "last one is missing", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\nexit 3\n", "status 3", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\nexec sleep 20\n", "too long", 150, FAIL_DEADLINE},
        {"#!/bin/sh\nkill -SEGV $$\n", "signal 11", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\nkill -XCPU $$\n", "used up its time", 0, FAIL_DEADLINE},
        {"#!/bin/sh\necho nonsense, and more of it\n", "wrong frame", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\nexec cat /dev/zero\n", "wrong frame", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\n" GOOD "echo more\n", "wrong frame", 0, FAIL_WORKER_DIED}};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct fault why = {0};
        struct document *d = NULL;
        struct reader_ask ask = {.data = "x", .len = 1, .deadline_ms = ends[i].deadline_ms};
        write_script(ends[i].script);
        enum fail f = reader_read(&programs, &ask, &d, &why);
        if (f != ends[i].code || strstr(why.message, ends[i].says) == NULL || d != NULL) {
            fail_msg("child %zu: %s: %s", i, fail_name(f), why.message);
        }
    }
}

/* Of two children that work in a row the one that knows why speaks. */
static void of_a_pdfs_two_children_the_right_one_speaks(void **state)
{
    (void)state;
    static const struct {
        const char *helper, *reader, *says;
        enum fail code;
    } ends[] = {
        {"echo text; exit 0", "cat >/dev/null\n" GOOD, NULL, FAIL_NONE},
        {"exit 1", "cat >/dev/null\n" GOOD, "cannot open this PDF", FAIL_BAD_REQUEST},
        {"exit 4", "cat >/dev/null\n", "cannot be sealed", FAIL_UNSUPPORTED},
        {"kill -XCPU $$", "cat >/dev/null\n" GOOD, "used up its time", FAIL_DEADLINE},
        /* ERROR too_large "m", before all is read: the helper's pipe breaks. */
        {"exec yes", "printf '\\015\\0\\0\\0\\10\\0\\0\\0\\11too_large\\0m\\0'\n", "m",
         FAIL_TOO_LARGE}};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct fault why = {0};
        struct document *d = NULL;
        char text[1000];
        static const struct reader_programs with_helper = {script, "/bin/true"};
        struct reader_ask ask = {.data = "%PDF-1.4", .len = 8};
        (void)snprintf(text, sizeof(text),
                       "#!/bin/sh\nif [ \"$1\" = --pdftotext ]; then %s; fi\n%s", ends[i].helper,
                       ends[i].reader);
        write_script(text);
        enum fail f = reader_read(&with_helper, &ask, &d, &why);
        if (f != ends[i].code || (f == FAIL_NONE) != (d != NULL) ||
            (f != FAIL_NONE && strstr(why.message, ends[i].says) == NULL)) {
            fail_msg("pair %zu: %s: %s", i, fail_name(f), why.message);
        }
        document_free(d);
    }
}

static void what_is_not_installed_is_said(void **state)
{
    (void)state;
    struct fault why = {0};
    struct document *d = NULL;
    struct reader_ask ask = {.data = "%PDF-1.7", .len = 8};
    static const struct reader_programs none = {"/nonexistent/reader", NULL};
    static const struct reader_programs no_pdf = {script, "/nonexistent/pdftotext"};
    assert_int_equal(reader_read(&none, &ask, &d, &why), FAIL_NOT_FOUND);
    assert_int_equal(reader_read(&no_pdf, &ask, &d, &why), FAIL_NOT_FOUND);
    assert_non_null(strstr(why.hint, "poppler-utils"));
    ask.limits.input_bytes = 4;
    assert_int_equal(reader_read(&programs, &ask, &d, &why), FAIL_TOO_LARGE);
}

/* ---- beside a loop ---- */

struct heard {
    struct loop *loop;
    int answered, stopped, expected;
    char text[32];
};

static void hear(void *ctx, struct document *d, const struct fault *why)
{
    struct heard *h = ctx;
    if (d != NULL) {
        (void)snprintf(h->text, sizeof(h->text), "%s", d->blocks[0].text);
    }
    h->stopped += d == NULL && why->code == FAIL_STOPPED ? 1 : 0;
    document_free(d);
    if (++h->answered == h->expected) {
        loop_stop(h->loop);
    }
}

static void many_are_read_a_few_at_once(void **state)
{
    (void)state;
    struct fault why = {0};
    struct heard h = {.expected = 12};
    assert_int_equal(loop_new(&h.loop, &why), FAIL_NONE);
    write_script("#!/bin/sh\ncat > /dev/null\n" GOOD);
    struct readers *r = readers_new(h.loop, &programs, 3);
    for (int i = 0; i < h.expected; i++) {
        struct reader_ask ask = {.data = "abc", .len = 3, .name = "a.txt"};
        assert_int_equal(readers_ask(r, &ask, hear, &h, NULL, &why), FAIL_NONE);
    }
    assert_int_equal(h.answered, 0);
    loop_run(h.loop);
    assert_int_equal(h.answered, 12);
    assert_int_equal(h.stopped, 0);
    assert_string_equal(h.text, "hello");
    readers_free(r);
    loop_free(h.loop);
}

static void cancelled_and_stopped_ones_end_at_once(void **state)
{
    (void)state;
    struct fault why = {0};
    struct heard h = {.expected = 100};
    uint64_t first = 0;
    assert_int_equal(loop_new(&h.loop, &why), FAIL_NONE);
    write_script("#!/bin/sh\nexec sleep 100\n");
    struct readers *r = readers_new(h.loop, &programs, 2);
    for (int i = 0; i < 4; i++) {
        struct reader_ask ask = {.data = "abc", .len = 3, .deadline_ms = 90000};
        assert_int_equal(readers_ask(r, &ask, hear, &h, i == 0 ? &first : NULL, &why), FAIL_NONE);
    }
    readers_cancel(r, first);
    readers_cancel(r, 999);
    readers_free(r);
    assert_int_equal(h.answered, 3); /* the first was cancelled */
    assert_int_equal(h.stopped, 3);
    loop_free(h.loop);
}

int main(void)
{
    int fd = mkstemp(script);
    if (fd < 0 || fchmod(fd, 0700) != 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_goes_in_and_its_blocks_come_out),
        cmocka_unit_test(a_descriptor_is_read_from_its_start),
        cmocka_unit_test(every_bad_end_is_said),
        cmocka_unit_test(of_a_pdfs_two_children_the_right_one_speaks),
        cmocka_unit_test(what_is_not_installed_is_said),
        cmocka_unit_test(many_are_read_a_few_at_once),
        cmocka_unit_test(cancelled_and_stopped_ones_end_at_once),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(script);
    return failed;
}
