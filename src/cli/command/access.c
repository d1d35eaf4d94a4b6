/* SPDX-License-Identifier: Apache-2.0 */
/* The access review: as a table, Markdown, CSV or JSON. Threads: one. */
#include <string.h>

#include "cli/command/command_internal.h"

enum form { FORM_TABLE, FORM_MARKDOWN, FORM_CSV };

/* One cell, so that nothing in it ends the cell, the row, or starts a formula in a spreadsheet. */
static void cell(enum form form, const char *text, bool first)
{
    if (form == FORM_MARKDOWN) {
        printf("%s", first ? "| " : " | ");
        for (const char *p = text; *p != '\0'; p++) {
            printf(*p == '|' ? "\\|" : (unsigned char)*p < 0x20 ? " " : "%c", *p);
        }
        return;
    }
    printf("%s\"%s", first ? "" : ",", text[0] != '\0' && strchr("=+-@\t\r", text[0]) ? "'" : "");
    for (const char *p = text; *p != '\0'; p++) {
        printf(*p == '"' ? "\"\"" : "%c", *p);
    }
    printf("\"");
}

static void print_row(enum form form, const char *const *cells, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cell(form, cells[i] != NULL ? cells[i] : "", i == 0);
    }
    printf(form == FORM_MARKDOWN ? " |\n" : "\r\n");
}

static void print_list(struct cli *cli, enum form form, const json_t *rows,
                       const char *const *keys, const char *const *columns, size_t n)
{
    size_t i;
    const json_t *row;
    const char *cells[10];
    struct measure_table *t = form == FORM_TABLE ? measure_table_new(columns, n) : NULL;
    for (size_t k = 0; k < n; k++) {
        cells[k] = columns[k] + (columns[k][0] == '*');
    }
    if (t == NULL) {
        print_row(form, cells, n);
    }
    for (size_t k = 0; form == FORM_MARKDOWN && k < n; k++) {
        printf(k + 1 < n ? "|---" : "|---|\n");
    }
    json_array_foreach(rows, i, row) {
        for (size_t k = 0; k < n; k++) {
            cells[k] = json_string_value(json_object_get(row, keys[k]));
        }
        if (t != NULL) {
            measure_table_row(t, cells);
        } else {
            print_row(form, cells, n);
        }
    }
    if (t != NULL) {
        cli_print_table(cli, t);
    }
}

static void print_review(struct cli *cli, enum form form, const json_t *j)
{
    static const char *const who[] = {"kind", "name", "team", "role", "by", "through",
                                      "granted_by", "reason", "ends_at", "last_use_at"};
    static const char *const who_columns[] = {"kind", "*name", "team", "role", "by", "*through",
                                              "granted by", "*reason", "until", "last used"};
    static const char *const in[] = {"kind", "name", "team", "role", "ends_at", "last_use_at"};
    static const char *const in_columns[] = {"kind", "*name", "team", "role", "until", "last used"};
    static const char *const what[] = {"name", "label", "through"};
    static const char *const what_columns[] = {"*dataset", "label", "*through"};
    const char *about = cli_str(j, "about");
    if (form == FORM_MARKDOWN) {
        printf("## Access review: %s %s, %s\n\n", about, cli_str(j, "name"), cli_str(j, "at"));
    }
    if (strcmp(about, "dataset") == 0) {
        print_list(cli, form, json_object_get(j, "readers"), who, who_columns, COUNT_OF(who));
        return;
    }
    const json_t *people = json_object_get(j, strcmp(about, "team") == 0 ? "members" : "keys");
    print_list(cli, form, people, in, in_columns, COUNT_OF(in));
    printf(form == FORM_CSV ? "\r\n" : "\n");
    print_list(cli, form, json_object_get(j, "datasets"), what, what_columns, COUNT_OF(what));
}

int command_access_review(struct cli *cli)
{
    static const char *const abouts[] = {"dataset", "user", "team"};
    struct fault why;
    struct buf path;
    json_t *j AUTO_JSON = NULL;
    int given = 0;
    buf_init(&path, 1024);
    for (size_t i = 0; i < COUNT_OF(abouts); i++) {
        const char *value = cli_option(cli, abouts[i]);
        if (value != NULL) {
            given++;
            (void)buf_printf(&path, "/api/v1/access?%s=", abouts[i]);
            client_escape(&path, value);
        }
    }
    if (given != 1 || path.overflow ||
        (cli_option(cli, "markdown") != NULL && cli_option(cli, "csv") != NULL)) {
        buf_done(&path);
        return cli_usage(cli, "name one of --dataset, --user and --team, and at most one form");
    }
    enum fail f = cli_send(cli, "GET", path.data, NULL, NULL, 0, &j, &why);
    buf_done(&path);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else {
        print_review(cli,
                     cli_option(cli, "markdown") != NULL ? FORM_MARKDOWN
                     : cli_option(cli, "csv") != NULL    ? FORM_CSV
                                                         : FORM_TABLE,
                     j);
    }
    return COMMAND_OK;
}
