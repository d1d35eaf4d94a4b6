/* SPDX-License-Identifier: Apache-2.0 */
/* run/child against children that are shell scripts: what they say, how they end, and being
   stopped.
   Threads: one. */
#include "run/child/child.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/mem.h"

#include <cmocka.h>

static char worker[] = "/tmp/inhouse-job-XXXXXX";

static void write_script(const char *text)
{
    int fd = open(worker, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

struct heard {
    char events[200];
    const char *stop_at; /* the event that is refused */
};

static enum fail hear(void *ctx, const char *event, const json_t *line, struct fault *why)
{
    struct heard *h = ctx;
    size_t n = strlen(h->events);
    (void)snprintf(h->events + n, sizeof(h->events) - n, "%s:%d ", event,
                   (int)json_integer_value(json_object_get(line, "n")));
    return h->stop_at != NULL && strcmp(h->stop_at, event) == 0
               ? FAULT(why, FAIL_STOPPED, "enough")
               : FAIL_NONE;
}

static enum fail run_script(const char *script, struct heard *h, int timeout_ms, struct fault *why)
{
    static const char *const words[] = {"measure", "--in", "a b", NULL};
    const struct child job = {.what = "the file", .words = words, .worker_path = worker,
                            .timeout_ms = timeout_ms, .on_line = h != NULL ? hear : NULL,
                            .ctx = h};
    write_script(script);
    *why = (struct fault){0};
    return child_run(&job, why);
}

static void lines_come_in_order_with_the_words_passed(void **state)
{
    (void)state;
    struct heard h = {0};
    struct fault why;
    assert_int_equal(run_script("#!/bin/sh\n[ \"$1 $2 $3 $4\" = \"--tool measure --in a b\" ] || "
                                "exit 3\nenv | grep -q HOME && exit 4\n"
                                "echo '{\"event\":\"one\",\"n\":1}'\n"
                                "printf '{\"event\":\"two\",'\nsleep 0.1\necho '\"n\":2}'\n"
                                "echo '{\"event\":\"done\"}'\n",
                                &h, 0, &why),
                     FAIL_NONE);
    assert_string_equal(h.events, "one:1 two:2 done:0 ");
}

static void every_bad_end_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *script, *says;
        int timeout_ms;
        enum fail code;
    } ends[] = {
        {"#!/bin/sh\nexit 0\n", "unsaid", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\necho '{\"event\":\"done\"}'\nexit 1\n", "status 1", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\nexec sleep 20\n", "longer than", 100, FAIL_WORKER_DIED},
        {"#!/bin/sh\nkill -SEGV $$\n", "signal 11", 0, FAIL_WORKER_DIED},
        {"#!/bin/sh\necho nonsense\n", "not valid JSON", 0, FAIL_BAD_REQUEST},
        {"#!/bin/sh\nhead -c 70000 /dev/zero | tr '\\0' x\n", "without an end", 0,
         FAIL_WORKER_DIED},
        {"#!/bin/sh\necho '{\"event\":\"error\",\"code\":\"unsupported\",\"message\":\"odd\","
         "\"hint\":\"Do x.\"}'\nexit 1\n",
         "the file: odd", 0, FAIL_UNSUPPORTED}};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct fault why;
        assert_int_equal(run_script(ends[i].script, NULL, ends[i].timeout_ms, &why), ends[i].code);
        if (strstr(why.message, ends[i].says) == NULL) {
            fail_msg("child %zu: %s", i, why.message);
        }
    }
}

static void who_listens_can_stop_it(void **state)
{
    (void)state;
    struct heard h = {.stop_at = "one"};
    struct fault why;
    assert_int_equal(run_script("#!/bin/sh\necho '{\"event\":\"one\"}'\nexec sleep 20\n", &h, 0,
                                &why),
                     FAIL_STOPPED);
    assert_string_equal(why.message, "enough");
}

static void a_missing_worker_is_said(void **state)
{
    (void)state;
    static const char *const words[] = {"check", NULL};
    const struct child job = {.what = "x", .words = words, .worker_path = "/nonexistent/worker"};
    struct fault why = {0};
    assert_int_equal(child_run(&job, &why), FAIL_NOT_FOUND);
    assert_non_null(strstr(why.message, "/nonexistent/worker"));
}

int main(void)
{
    int fd = mkstemp(worker);
    if (fd < 0 || fchmod(fd, 0700) != 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_in_order_with_the_words_passed),
        cmocka_unit_test(every_bad_end_is_said),
        cmocka_unit_test(who_listens_can_stop_it),
        cmocka_unit_test(a_missing_worker_is_said),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(worker);
    return failed;
}
