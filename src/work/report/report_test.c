/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and dates as people write them, types of columns, templates, and what a report says. */
#include "work/report/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void number_is(const char *s, enum report_mark mark, const char *shown, const char *unit)
{
    struct report_number n;
    char out[REPORT_NUMBER_SIZE] = "none";
    if (report_number_read(s, strlen(s), mark, &n)) {
        report_decimal_show(n.value, n.value.scale, '.', '\0', out);
        assert_string_equal(n.unit, unit);
    }
    if (strcmp(out, shown) != 0) {
        fail_msg("\"%s\" was read as %s, not %s", s, out, shown);
    }
}

static void numbers_are_read_under_both_conventions(void **state)
{
    (void)state;
    const enum report_mark dot = REPORT_MARK_DOT, comma = REPORT_MARK_COMMA;
    number_is("1,234.50", dot, "1234.50", "");
    number_is("1.234,50", comma, "1234.50", "");
    number_is("1.234", dot, "1.234", "");
    number_is("1.234", comma, "1234", "");
    number_is("1,23", dot, "none", "");
    number_is("12,345,67", dot, "none", "");
    number_is("1,234,567", dot, "1234567", "");
    number_is("1 234 567,8", comma, "1234567.8", "");
    number_is("1\xe2\x80\xaf""234", comma, "1234", "");
    number_is("1'234.5", dot, "1234.5", "");
    number_is("-12.5 %", dot, "-12.5", "%");
    number_is("\xe2\x88\x92""3", dot, "-3", "");
    number_is("(1,200)", dot, "-1200", "");
    number_is("\xe2\x82\xac 9.99", dot, "9.99", "EUR");
    number_is("9,99 \xe2\x82\xac", comma, "9.99", "EUR");
    number_is("$-5", dot, "-5", "USD");
    number_is("250ms", dot, "250", "ms");
    number_is("1e3", dot, "1000", "");
    number_is("1.5E-3", dot, "0.0015", "");
    number_is("94.79799999999999", dot, "94.79799999999999", "");
    number_is("0", dot, "0", "");
    number_is("007", dot, "7", "");
    static const char *const none[] = {"",     "x",    "1x",      "--1",  "1..2", "1.",  ".5",  "%",
                                       "1 2",  "1e",   "(5",      "5)",   "12;13", "+-1", "1,2,3",
                                       "1e99", "3rd",  "12345678901234567890", "0x10", "1/2"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        number_is(none[i], dot, "none", "");
    }
}

static void quotients_round_half_away_from_zero(void **state)
{
    (void)state;
    static const struct {
        int64_t units;
        unsigned scale, decimals;
        const char *shown;
    } cases[] = {{25, 1, 0, "3"},      {-25, 1, 0, "-3"},     {24999, 4, 0, "2"},
                 {105, 2, 1, "1.1"},   {1234567, 0, 0, "1,234,567"}, {5, 0, 2, "5.00"},
                 {-4, 1, 0, "0"},      {999999, 3, 0, "1,000"}, {1, 2, 1, "0.0"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char out[REPORT_NUMBER_SIZE];
        report_decimal_show((struct report_decimal){cases[i].units, cases[i].scale},
                            cases[i].decimals, '.', ',', out);
        assert_string_equal(out, cases[i].shown);
    }
}

static void date_is(const char *s, enum report_order order, int64_t at, enum report_grain grain)
{
    struct report_date d = {0};
    bool ok = report_date_read(s, strlen(s), order, false, &d);
    if (!ok || d.at != at || d.grain != grain) {
        fail_msg("\"%s\": %d, %lld, grain %d", s, ok, (long long)d.at, (int)d.grain);
    }
}

static void dates_are_read(void **state)
{
    (void)state;
    const int64_t day = 1735689600; /* 2025-01-01 */
    date_is("2025-01-01", REPORT_ORDER_AUTO, day, REPORT_GRAIN_DAY);
    date_is("2025-01", REPORT_ORDER_AUTO, day, REPORT_GRAIN_MONTH);
    date_is("2025-Q1", REPORT_ORDER_AUTO, day, REPORT_GRAIN_QUARTER);
    date_is("Q1 2025", REPORT_ORDER_AUTO, day, REPORT_GRAIN_QUARTER);
    date_is("2025-W01", REPORT_ORDER_AUTO, day - 2 * 86400, REPORT_GRAIN_WEEK);
    date_is("1.1.2025", REPORT_ORDER_AUTO, day, REPORT_GRAIN_DAY);
    date_is("01/13/2025", REPORT_ORDER_AUTO, day + 12 * 86400, REPORT_GRAIN_DAY);
    date_is("13/01/2025", REPORT_ORDER_AUTO, day + 12 * 86400, REPORT_GRAIN_DAY);
    date_is("02/01/2025", REPORT_ORDER_DMY, day + 86400, REPORT_GRAIN_DAY);
    date_is("01/02/2025", REPORT_ORDER_MDY, day + 86400, REPORT_GRAIN_DAY);
    date_is("Jan 2025", REPORT_ORDER_AUTO, day, REPORT_GRAIN_MONTH);
    date_is("January 1, 2025", REPORT_ORDER_AUTO, day, REPORT_GRAIN_DAY);
    date_is("1 M\xc3\xa4rz 2025", REPORT_ORDER_AUTO, day + 59 * 86400, REPORT_GRAIN_DAY);
    date_is("2025-01-01 14:30:00", REPORT_ORDER_AUTO, day + 52200, REPORT_GRAIN_TIME);
    date_is("2025-01-01T14:30:00.250Z", REPORT_ORDER_AUTO, day + 52200, REPORT_GRAIN_TIME);
    date_is("2025-01-01T14:30:00+02:00", REPORT_ORDER_AUTO, day + 45000, REPORT_GRAIN_TIME);
    static const char *const none[] = {"2025-13-01", "2025-02-30", "01/02/2025", "2025", "12", "x",
                                       "2025-01-01 25:00", "1.2", "2025-1", "1/2", "May",
                                       "2025-01-01 12:00 x", "20250101"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        struct report_date d;
        if (report_date_read(none[i], strlen(none[i]), REPORT_ORDER_AUTO, false, &d)) {
            fail_msg("\"%s\" is no date", none[i]);
        }
    }
}

/* ---- tables ---- */

/* Rows parted by '\n', cells by '|', the first row is the header. */
static struct report_table *table_of(const char *text, const struct report_reading *how)
{
    struct report_grid *g = report_grid_new();
    struct report_table *t = NULL;
    struct fault why = {0};
    struct report_file file = {"t.csv", "csv", ""};
    AUTO_FREE char *copy = mem_dup_str(text);
    const char *cells[16];
    uint32_t lines[16], row = 1;
    assert_int_equal(report_grid_file(g, &file, &why), FAIL_NONE);
    for (char *p = copy; *p != '\0'; row++) {
        size_t n = 0;
        bool end = false;
        while (!end && n < 16) {
            size_t len = strcspn(p, "|\n");
            end = p[len] != '|';
            bool last = p[len] == '\0';
            p[len] = '\0';
            lines[n] = row;
            cells[n++] = p;
            p += len + (last ? 0 : 1);
        }
        for (size_t i = 0; i < n && row == 1; i++) {
            assert_int_equal(report_grid_column(g, cells[i], &why), FAIL_NONE);
        }
        assert_true(row == 1 || report_grid_row(g, row, cells, lines, n, &why) == FAIL_NONE);
    }
    assert_int_equal(report_table_make(g, how, &t, &why), FAIL_NONE);
    report_grid_free(g);
    return t;
}

static void columns_get_one_type(void **state)
{
    (void)state;
    struct report_table *t = table_of("day|n|ids|rate|price|mixed|note\n"
                                      "2025-01-01|1,200|17|3.5%|1.50 EUR|1|a\n"
                                      "2025-01-02|NA|18;19|4%|2 EUR|x|\n",
                                      NULL);
    static const enum report_kind kinds[] = {REPORT_DATE, REPORT_NUMBER, REPORT_TEXT, REPORT_NUMBER,
                                             REPORT_NUMBER, REPORT_TEXT, REPORT_TEXT};
    for (size_t i = 0; i < t->columns_len; i++) {
        assert_int_equal(t->columns[i].kind, kinds[i]);
    }
    assert_true(t->columns[2].is_id && !t->columns[1].is_id && t->columns[3].percent);
    assert_string_equal(t->columns[4].unit, "EUR");
    assert_int_equal(report_table_cell(t, 1, 1)->kind, REPORT_EMPTY);
    assert_int_equal(report_table_cell(t, 0, 1)->number.units, 1200);
    assert_int_equal(report_table_cell(t, 1, 1)->line, 3);
    report_table_free(t);
}

static void one_clear_column_decides_for_those_that_are_not(void **state)
{
    (void)state;
    struct report_table *t = table_of("a|b\n1.234|1,5\n2.345|2,25\n", NULL);
    assert_int_equal(report_table_cell(t, 0, 0)->number.units, 1234);
    assert_int_equal(t->columns[1].mark, REPORT_MARK_COMMA);
    assert_int_equal(t->notes_len, 0);
    report_table_free(t);
    t = table_of("a\n1.234\n", NULL);
    assert_int_equal(report_table_cell(t, 0, 0)->number.scale, 3);
    assert_int_equal(t->notes_len, 1); /* and it says so */
    report_table_free(t);
    struct report_reading how = {.mark = REPORT_MARK_COMMA};
    t = table_of("a\n1.234\n", &how);
    assert_int_equal(report_table_cell(t, 0, 0)->number.units, 1234);
    report_table_free(t);
    t = table_of("d\n01/02/2025\n03/04/2025\n", NULL);
    assert_int_equal(t->columns[0].kind, REPORT_TEXT);
    assert_int_equal(t->notes_len, 1);
    report_table_free(t);
    t = table_of("d\n01/02/2025\n23/04/2025\n", NULL);
    assert_int_equal(t->columns[0].kind, REPORT_DATE);
    report_table_free(t);
}

/* ---- templates and reports ---- */

static struct report_template *template_of(const char *yaml, struct config_faults *faults)
{
    struct config_tree *tree = NULL;
    config_faults_init(faults, "t.yaml");
    if (config_yaml_parse(yaml, strlen(yaml), "t.yaml", &tree, faults) != FAIL_NONE) {
        return NULL;
    }
    struct report_template *t = report_template_read(config_tree_root(tree), faults);
    config_tree_free(tree);
    return t;
}

static void a_wrong_template_says_every_line(void **state)
{
    (void)state;
    static struct config_faults faults;
    assert_null(template_of("title: \"{nobody}\"\n"
                            "sections:\n"
                            "  - name: a b\n"
                            "    title: A\n"
                            "    rows:\n"
                            "      - column: x\n"
                            "        aggregate: average\n"
                            "        target: many\n"
                            "        rules:\n"
                            "          - {when: value about 3, say: x}\n"
                            "          - {when: value > 3, say: \"{cause}\"}\n"
                            "        words: {up: \"{metric} {target}\"}\n",
                            &faults));
    static const int lines[] = {1, 3, 7, 8, 10, 11, 12};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        bool found = false;
        for (size_t k = 0; k < faults.count; k++) {
            found = found || faults.list[k].line == lines[i];
        }
        if (!found) {
            fail_msg("nothing is said of line %d", lines[i]);
        }
    }
    assert_int_equal(faults.count, COUNT_OF(lines));
}

struct fixture {
    struct report_template *t;
    struct report_table *table;
    struct report *r;
};

static void make(struct fixture *x, const char *yaml, const char *table)
{
    static struct config_faults faults;
    struct report_reading how;
    struct fault why = {0};
    char detail[160] = "";
    x->t = template_of(yaml, &faults);
    if (x->t == NULL) {
        fail_msg("line %d: %s", faults.list[0].line, faults.list[0].message);
    }
    report_template_reading(x->t, &how);
    x->table = table_of(table, &how);
    assert_int_equal(report_make(x->t, x->table, &x->r, &why), FAIL_NONE);
    assert_int_equal(report_untraced(x->r, detail, sizeof(detail)), 0);
}

static void done(struct fixture *x)
{
    report_free(x->r);
    report_table_free(x->table);
    report_template_free(x->t);
}

static void says(const struct fixture *x, size_t line, size_t sentence, const char *text)
{
    const struct report_line *l = &x->r->parts[0].lines[line];
    assert_true(sentence < l->sentences_len);
    assert_string_equal(l->sentences[sentence].text, text);
}

#define MONTHS                                                                                     \
    "month|tickets|solved|rate|team\n"                                                             \
    "2024-12|90|45|50.0%|a\n"                                                                      \
    "2025-11|1,000|200|20.0%|a\n"                                                                  \
    "2025-12|1,023|237|23.2%|a\n"

static void a_row_is_compared_by_code(void **state)
{
    (void)state;
    struct fixture x;
    make(&x,
         "title: Support\n"
         "sections:\n"
         "  - name: s\n"
         "    title: Tickets\n"
         "    rows:\n"
         "      - {metric: Tickets, column: tickets, compare: [previous, year_ago], target: 1000}\n"
         "      - {metric: Solved, column: solved, per: tickets, compare: previous, decimals: 1}\n"
         "      - column: rate\n"
         "        compare: previous\n"
         "        rules:\n"
         "          - {when: change >= 3, say: \"{metric} jumped to {value}.\"}\n"
         "          - {when: value < 20, say: no}\n"
         "      - {column: gone, required: false}\n"
         "      - {column: tickets, aggregate: sum, over: all}\n",
         MONTHS);
    says(&x, 0, 0, "Tickets rose from 1,000 in 2025-11 to 1,023 in 2025-12, by 23 (2.3%).");
    says(&x, 0, 1, "Tickets was 1,023 in 2025-12, 933 (1,036.7%) above 2024-12.");
    says(&x, 0, 2, "Tickets is 1,023 and above its target of 1,000, by 23.");
    says(&x, 1, 0, "Solved rose from 20.0% in 2025-11 to 23.2% in 2025-12, by 3.2 pp.");
    says(&x, 2, 0, "rate rose from 20.0% in 2025-11 to 23.2% in 2025-12, by 3.2 pp.");
    says(&x, 2, 1, "rate jumped to 23.2%.");
    assert_int_equal(x.r->parts[0].lines[2].sentences_len, 2);
    assert_string_equal(x.r->parts[0].lines[3].missing, "there is no such column");
    assert_int_equal(x.r->missing_required, 0);
    says(&x, 4, 0, "tickets: 2,113 in all.");
    done(&x);
}

static void groups_are_summed_and_shared(void **state)
{
    (void)state;
    struct fixture x;
    make(&x,
         "sections:\n"
         "  - name: s\n"
         "    title: T\n"
         "    rows:\n"
         "      - {metric: questions, column: n, group: provider, top: 2, chart: bar}\n",
         "provider|n\nGmail|9\nOther|8\nYahoo|6\nOffice365|1\n");
    const struct report_grid_text *t = x.r->parts[0].lines[0].table;
    says(&x, 0, 1, "Gmail has the most questions: 9 of 24 (37.5%).");
    assert_int_equal(t->rows, 3);
    assert_string_equal(t->cells[6].text, "all others");
    assert_string_equal(t->cells[7].text, "7");
    assert_string_equal(t->cells[8].text, "29.2%");
    assert_int_equal(report_charts(x.r), 1);
    done(&x);
}

static void an_odd_month_is_flagged_and_a_dull_series_is_not(void **state)
{
    (void)state;
    static const int dull[] = {100, 103, 98, 101, 99, 102, 100, 97, 103, 101, 100, 99};
    const char *yaml = "sections:\n  - name: s\n    title: T\n    rows:\n"
                       "      - {column: n, anomalies: true, range: true, chart: line}\n";
    for (int odd = 0; odd < 2; odd++) {
        char text[512] = "month|n\n";
        size_t n = strlen(text);
        for (int i = 0; i < 12; i++) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "2025-%02d|%d\n", i + 1,
                                  odd && i == 6 ? 180 : dull[i]);
        }
        struct fixture x;
        make(&x, yaml, text);
        assert_int_equal(x.r->odd_len, odd);
        if (odd) {
            says(&x, 0, 1,
                 "Over 12 periods n was lowest in 2025-08 (97) and highest in 2025-07 (180).");
            assert_string_equal(x.r->values[x.r->odd[0].period].shown, "2025-07");
        } else {
            says(&x, 0, 2, "None of the 12 periods of n is outside its usual range.");
        }
        done(&x);
    }
}

static void what_is_written_is_the_same_each_time_and_escaped(void **state)
{
    (void)state;
    struct buf a, b;
    const char *yaml = "title: \"<Report> {file}\"\nsections:\n  - name: s\n    title: T\n"
                       "    rows:\n      - {column: n, group: g, chart: bar}\n";
    const char *table = "g|n\n<b>|x*y|3\n";
    (void)table;
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 2; i++) {
        struct fixture x;
        make(&x, yaml, "g|n\n<script>&|3\n[x](y)|2\n");
        struct buf *to = i == 0 ? &a : &b;
        assert_true(report_write_html(x.r, to) && report_write_markdown(x.r, to) &&
                    report_write_json(x.r, to) &&
                    report_write_svg(x.r, report_chart_get(x.r, 0), to));
        done(&x);
    }
    assert_string_equal(a.data, b.data);
    assert_null(strstr(a.data, "<script>&amp;"));
    assert_non_null(strstr(a.data, "&lt;script&gt;&amp;"));
    assert_non_null(strstr(a.data, "\\[x\\](y)"));
    assert_null(strstr(a.data, "<b>"));
    buf_done(&a);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_under_both_conventions),
        cmocka_unit_test(quotients_round_half_away_from_zero),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(columns_get_one_type),
        cmocka_unit_test(one_clear_column_decides_for_those_that_are_not),
        cmocka_unit_test(a_wrong_template_says_every_line),
        cmocka_unit_test(a_row_is_compared_by_code),
        cmocka_unit_test(groups_are_summed_and_shared),
        cmocka_unit_test(an_odd_month_is_flagged_and_a_dull_series_is_not),
        cmocka_unit_test(what_is_written_is_the_same_each_time_and_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
