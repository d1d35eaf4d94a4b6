/* SPDX-License-Identifier: Apache-2.0 */
/* A SQLite source gives its rows to the teams it names, and does nothing but SELECT. */
#include "work/source/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem/mem.h"

static char path[] = "/tmp/inhouse-source-XXXXXX";

static int open_house(void **state)
{
    static struct config_faults faults;
    struct config *c = NULL;
    sqlite3 *db = NULL;
    char yaml[512];
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE m(month TEXT, n INTEGER);"
                                  "INSERT INTO m VALUES('2025-01', 5), ('2025-02', NULL)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    snprintf(
        yaml, sizeof(yaml),
        "sources:\n  - {name: sales, path: %s, teams: [support], rows: 100, timeout_ms: 300}\n",
        path);
    config_faults_init(&faults, "t");
    assert_int_equal(config_read(yaml, strlen(yaml), "t", &c, &faults), FAIL_NONE);
    sources_use(c);
    config_unref(c);
    return 0;
}

static int close_house(void **state)
{
    (void)state;
    sources_use(NULL);
    unlink(path);
    return 0;
}

struct got {
    struct buf text;
};

static enum fail take_column(void *arg, const char *name, struct fault *why)
{
    (void)why;
    (void)buf_printf(&((struct got *)arg)->text, "%s|", name);
    return FAIL_NONE;
}

static enum fail take_row(void *arg, const char *const *cells, size_t n, struct fault *why)
{
    (void)why;
    for (size_t i = 0; i < n; i++) {
        (void)buf_printf(&((struct got *)arg)->text, "%s,", cells[i] == NULL ? "-" : cells[i]);
    }
    return FAIL_NONE;
}

static enum fail ask(const char *team, const char *query, struct got *g, struct fault *why)
{
    struct source_take take = {g, take_column, take_row, NULL};
    buf_clear(&g->text);
    return source_ask("sales", team, query, &take, why);
}

static void rows_come_to_the_teams_that_are_named(void **state)
{
    struct got g;
    struct fault why = {0}, other = {0};
    (void)state;
    buf_init(&g.text, 1 << 16);
    assert_int_equal(ask("support", "SELECT month, n FROM m ORDER BY 1;", &g, &why), FAIL_NONE);
    assert_string_equal(g.text.data, "month|n|2025-01,5,2025-02,-,");
    assert_int_equal(ask("sales", "SELECT 1", &g, &why), FAIL_NOT_FOUND);
    struct source_take take = {&g, take_column, take_row, NULL};
    assert_int_equal(source_ask("saleX", "support", "SELECT 1", &take, &other), FAIL_NOT_FOUND);
    assert_string_equal(why.hint, other.hint);
    buf_done(&g.text);
}

static void all_but_a_select_is_refused(void **state)
{
    static const char *const bad[] = {
        "INSERT INTO m VALUES('x', 1)", "DELETE FROM m", "UPDATE m SET n = 1", "DROP TABLE m",
        "CREATE TABLE x(a)", "ATTACH '/tmp/x.db' AS x", "PRAGMA journal_mode=DELETE",
        "PRAGMA table_info(m)", "VACUUM INTO '/tmp/x.db'", "SELECT 1; DELETE FROM m",
        "SELECT load_extension('x')", "SELECT readfile('/etc/passwd')", "BEGIN", "", ";",
        "SELECT * FROM gone", "SELECT writefile('/tmp/x', 'y')", "SELECT zeroblob(1000000000)",
        "EXPLAIN DELETE FROM m", "CREATE TEMP TABLE t AS SELECT 1", "REINDEX m",
        "SELECT * FROM pragma_table_info('m')", "SELECT ?1"};
    struct got g;
    (void)state;
    buf_init(&g.text, 1 << 16);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct fault why = {0};
        enum fail f = ask("support", bad[i], &g, &why);
        if (f != FAIL_FORBIDDEN && f != FAIL_BAD_REQUEST) {
            fail_msg("\"%s\": %s", bad[i], fail_name(f));
        }
        assert_true(why.message[0] != '\0');
    }
    struct fault why = {0};
    assert_int_equal(ask("support", "SELECT count(*) FROM m", &g, &why), FAIL_NONE);
    assert_string_equal(g.text.data, "count(*)|2,");
    buf_done(&g.text);
}

static void what_takes_too_long_or_is_too_much_ends(void **state)
{
    struct got g;
    struct fault why = {0};
    (void)state;
    buf_init(&g.text, 1 << 16);
    assert_int_equal(ask("support",
                         "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
                         "SELECT count(*) FROM c",
                         &g, &why),
                     FAIL_TOO_LARGE);
    assert_int_equal(ask("support",
                         "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
                         "SELECT x FROM c",
                         &g, &why),
                     FAIL_TOO_LARGE);
    assert_int_equal(ask("support", "SELECT printf('%.*c', 9000000, 'x')", &g, &why),
                     FAIL_TOO_LARGE);
    buf_done(&g.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_come_to_the_teams_that_are_named),
                                       cmocka_unit_test(all_but_a_select_is_refused),
                                       cmocka_unit_test(what_takes_too_long_or_is_too_much_ends)};
    return cmocka_run_group_tests(tests, open_house, close_house);
}
