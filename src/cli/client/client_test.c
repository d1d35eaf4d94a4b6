/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of cli/client without a server: paths, escaping, and the errors when nobody answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/client/client.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    memcpy(folder, "/tmp/inhouse-client-XXXXXX", 27);
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int drop_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"sock", "start.lock", "lock", "inhoused.log"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static void no_server_says_how_to_start_one(void **state)
{
    (void)state;
    struct client *c = NULL;
    struct fault why = {0};
    struct client_options o = {.home = folder};
    assert_int_equal(client_open(&o, &c, &why), FAIL_STOPPED);
    assert_non_null(strstr(why.hint, "inhouse serve"));
    assert_null(c);
}

static void missing_program_is_named(void **state)
{
    (void)state;
    struct client *c = NULL;
    struct fault why = {0};
    struct client_options o = {.home = folder, .start = true, .server = "/nowhere/inhoused"};
    assert_int_equal(client_open(&o, &c, &why), FAIL_INTERNAL);
    assert_non_null(strstr(why.message, "/nowhere/inhoused"));
}

static void server_that_ends_while_starting_is_an_error(void **state)
{
    (void)state;
    struct client *c = NULL;
    struct fault why = {0};
    struct client_options o = {.home = folder, .start = true, .server = "/bin/false"};
    assert_int_equal(client_open(&o, &c, &why), FAIL_INTERNAL);
    assert_non_null(strstr(why.message, "status 1"));
    assert_non_null(strstr(why.hint, "inhoused.log"));
}

static void unreachable_url_names_the_variable(void **state)
{
    (void)state;
    struct client *c = NULL;
    struct fault why = {0};
    struct client_options o = {.home = folder, .url = "http://127.0.0.1:1/"};
    assert_int_equal(client_open(&o, &c, &why), FAIL_UPSTREAM_FAILED);
    assert_non_null(strstr(why.hint, "INHOUSE_URL"));
}

static void path_segments_are_escaped(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    client_escape(&b, "a/b ?\xC3\xBC.-_~");
    assert_string_equal(b.data, "a%2Fb%20%3F%C3%BC.-_~");
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_server_says_how_to_start_one),
        cmocka_unit_test(missing_program_is_named),
        cmocka_unit_test(server_that_ends_while_starting_is_an_error),
        cmocka_unit_test(unreachable_url_names_the_variable),
        cmocka_unit_test(path_segments_are_escaped),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
