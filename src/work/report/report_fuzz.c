/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of work/report: the first line as a number and a date, the rest as a template over a
 * small table. What is accepted makes a report in which nothing is untraced.
 */
#include <string.h>

#include "base/text/text.h"
#include "work/report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct report_table *small_table(const char *cell)
{
    static const char *const rows[][3] = {
        {"2025-01", "a", "5"}, {"2025-02", "b", "1,250.5"}, {"2025-03", "a", "-3"}};
    struct report_grid *g = report_grid_new();
    struct report_file file = {"f.csv", "csv", ""};
    struct report_table *t = NULL;
    struct fault why;
    uint32_t lines[4] = {1, 1, 1, 1};
    enum fail f = report_grid_file(g, &file, &why);
    f = f != FAIL_NONE ? f : report_grid_column(g, "month", &why);
    f = f != FAIL_NONE ? f : report_grid_column(g, "team", &why);
    f = f != FAIL_NONE ? f : report_grid_column(g, "n", &why);
    f = f != FAIL_NONE ? f : report_grid_column(g, "x", &why);
    for (uint32_t i = 0; i < 3 && f == FAIL_NONE; i++) {
        const char *cells[4] = {rows[i][0], rows[i][1], rows[i][2], cell};
        f = report_grid_row(g, i + 2, cells, lines, 4, &why);
    }
    f = f != FAIL_NONE ? f : report_table_make(g, NULL, &t, &why);
    ASSERT(f == FAIL_NONE);
    report_grid_free(g);
    return t;
}

static void check_number(const char *s, size_t n)
{
    struct report_number v;
    struct report_date d;
    char shown[REPORT_NUMBER_SIZE];
    for (int mark = REPORT_MARK_DOT; mark <= REPORT_MARK_COMMA; mark++) {
        if (report_number_read(s, n, (enum report_mark)mark, &v)) {
            struct report_number again;
            ASSERT(v.value.scale <= REPORT_DECIMALS_MAX);
            report_decimal_show(v.value, v.value.scale, '.', '\0', shown);
            ASSERT(report_number_read(shown, strlen(shown), REPORT_MARK_DOT, &again));
            ASSERT(report_decimal_compare(again.value, v.value) == 0);
        }
    }
    if (report_date_read(s, n, REPORT_ORDER_DMY, true, &d)) {
        ASSERT(d.grain > REPORT_GRAIN_NONE && d.grain <= REPORT_GRAIN_YEAR);
    }
}

static void check_template(const char *yaml, size_t n, const char *cell)
{
    static struct config_faults faults;
    struct config_tree *tree = NULL;
    struct report *r = NULL;
    struct fault why;
    char detail[80];
    config_faults_init(&faults, "input");
    if (config_yaml_parse(yaml, n, "input", &tree, &faults) != FAIL_NONE) {
        return;
    }
    struct report_template *t = report_template_read(config_tree_root(tree), &faults);
    config_tree_free(tree);
    if (t != NULL) {
        struct report_table *table = small_table(cell);
        if (report_make(t, table, &r, &why) == FAIL_NONE) {
            struct buf out;
            buf_init(&out, (size_t)8 << 20);
            ASSERT(report_untraced(r, detail, sizeof(detail)) == 0);
            ASSERT(report_write_markdown(r, &out) && report_write_json(r, &out));
            buf_done(&out);
        }
        report_free(r);
        report_table_free(table);
    } else {
        ASSERT(faults.count > 0);
    }
    report_template_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *text = mem_dup_strn((const char *)data, size);
    if (strlen(text) != size || !text_utf8_is_valid(text, size)) {
        return 0;
    }
    size_t line = strcspn(text, "\n");
    check_number(text, line);
    if (text[line] == '\n') {
        text[line] = '\0';
        check_template(text + line + 1, size - line - 1, text);
    }
    return 0;
}
