/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query of a source as the table, and a dashboard's queries tried on it before anybody sees them.
 * Owns: nothing. Threads: the run's. Limits: the source's; PANELS_MAX queries are tried.
 */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/json/json.h"
#include "trust/keyring/keyring.h"
#include "work/report/program_internal.h"
#include "work/source/source.h"

struct taking {
    struct program_run *run;
    struct report_grid *grid; /* NULL: rows are dropped */
    uint32_t row;
};

static enum fail take_column(void *arg, const char *name, struct fault *why)
{
    struct taking *t = arg;
    return t->grid == NULL ? FAIL_NONE : report_grid_column(t->grid, name, why);
}

static enum fail take_row(void *arg, const char *const *cells, size_t n, struct fault *why)
{
    struct taking *t = arg;
    uint32_t lines[SOURCE_COLUMNS_MAX] = {0};
    t->row++;
    return t->grid == NULL ? FAIL_NONE
                           : report_grid_row(t->grid, t->row, cells, lines, n, why);
}

static bool is_cancelled(void *arg)
{
    return program_is_cancelled(((struct taking *)arg)->run);
}

enum fail report_read_source(struct program_run *run, const char *source, const char *query,
                             struct report_grid *grid, struct report_dashboard *from,
                             struct fault *why)
{
    struct taking t = {run, grid, 0};
    struct source_take take = {&t, take_column, take_row, is_cancelled};
    bool postgres = false;
    const char *team = program_who(run)->team;
    const char *name = arena_printf(program_arena(run), "query of %s", source);
    struct report_file file = {name, "sql", ""};
    enum fail f = report_grid_file(grid, &file, why);
    f = f != FAIL_NONE ? f : source_ask(source, team, query, &take, why);
    (void)source_find(source, team, &postgres);
    *from = (struct report_dashboard){postgres ? REPORT_FROM_POSTGRES : REPORT_FROM_SQLITE, source,
                                      query};
    if (f == FAIL_NONE && t.row == 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "the query of \"%.60s\" gives no row", source);
    }
    return f;
}

static enum fail try_one(struct program_run *run, const json_t *panel, const char *source,
                         struct fault *why)
{
    struct taking t = {run, NULL, 0};
    struct source_take take = {&t, take_column, take_row, is_cancelled};
    const json_t *target = json_array_get(json_object_get(panel, "targets"), 0);
    const char *sql = json_string_value(json_object_get(target, "rawSql"));
    sql = sql != NULL ? sql : json_string_value(json_object_get(target, "queryText"));
    return sql == NULL ? FAIL_NONE : source_ask(source, program_who(run)->team, sql, &take, why);
}

enum fail report_try_panels(struct program_run *run, const struct buf *dashboard, struct fault *why)
{
    const char *source = program_param(run, "source");
    AUTO_JSON json_t *root = NULL;
    size_t i;
    json_t *panel;
    enum fail f = source == NULL
                      ? FAIL_NONE
                      : jn_parse(dashboard->data, dashboard->len, "dashboard", &root, why);
    json_array_foreach(json_object_get(root, "panels"), i, panel) {
        f = f != FAIL_NONE ? f : try_one(run, panel, source, why);
    }
    return f;
}
