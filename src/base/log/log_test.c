/* SPDX-License-Identifier: Apache-2.0 */
/* A log line is one JSON object whatever its values hold, and levels are kept. */
#include "base/log/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static size_t captured(char *out, size_t room, void (*fn)(void))
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    int saved = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    ssize_t n = read(fds[0], out, room - 1);
    close(fds[0]);
    out[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

static void write_hostile(void)
{
    log_write(LOG_LEVEL_DEBUG, "not.shown", NULL);
    log_write(LOG_LEVEL_WARN, "a.b", LOG_FIELDS(LOG_TEXT("t", "x\"\n\\\xff"), LOG_NUM("n", -3)));
}

static void lines_are_escaped_and_filtered(void **state)
{
    (void)state;
    char out[4096];
    captured(out, sizeof(out), write_hostile);
    assert_null(strstr(out, "not.shown"));
    assert_non_null(strstr(out, "\"t\":\"x\\\"\\u000a\\\\\",\"n\":-3}\n"));
}

static void a_terminal_gets_plain_lines(void **state)
{
    (void)state;
    char out[4096];
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    int saved = dup(STDERR_FILENO);
    dup2(slave, STDERR_FILENO);
    log_write(LOG_LEVEL_INFO, "server.listening",
              LOG_FIELDS(LOG_TEXT("address", "127.0.0.1"), LOG_NUM("port", 8460),
                         LOG_TEXT("note", "a b\x1b[2J"), LOG_TEXT("none", "")));
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(master, out, sizeof(out) - 1);
    assert_true(n > 10);
    out[n] = '\0';
    assert_non_null(strstr(out, "Z server.listening address=127.0.0.1 port=8460 "
                                "note=\"a b\\u001b[2J\" none=\"\"\r\n"));
    close(slave);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_are_escaped_and_filtered),
                                       cmocka_unit_test(a_terminal_gets_plain_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
