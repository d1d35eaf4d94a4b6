/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report_dump TEMPLATE.yaml OUT FILE...: the report of the files as one table, in every format,
 * into the folder OUT. The template is a whole definition; its `options` are read. With `--check
 * REPORT` as the last two arguments, the findings of a written report instead, one a line, to
 * standard output.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/reader/reader.h"
#include "work/report/report.h"

static int fail(const char *what, const struct fault *why)
{
    fprintf(stderr, "%s: %s: %s %s\n", what, fail_name(why->code), why->message, why->hint);
    return 1;
}

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static enum fail open_document(const char *path, struct document **out, struct fault *why)
{
    char reader[4096];
    const char *build = getenv("INHOUSE_BUILD");
    snprintf(reader, sizeof(reader), "%s/bin/inhouse-reader", build == NULL ? "build" : build);
    struct reader_programs programs = {reader, NULL};
    struct reader_ask ask = {.fd = open(path, O_RDONLY | O_CLOEXEC), .name = base(path)};
    enum fail f = ask.fd < 0 ? FAULT_ERRNO(why, FAIL_NOT_FOUND, "\"%s\" cannot be opened", path)
                             : reader_read(&programs, &ask, out, why);
    if (ask.fd >= 0) {
        close(ask.fd);
    }
    return f;
}

static struct report_template *open_template(const char *path)
{
    static char text[1 << 18];
    static struct config_faults faults;
    struct config_tree *tree = NULL;
    struct report_template *t = NULL;
    FILE *f = fopen(path, "r");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text), f);
    if (f != NULL) {
        fclose(f);
    }
    config_faults_init(&faults, base(path));
    if (config_yaml_parse(text, n, base(path), &tree, &faults) == FAIL_NONE) {
        const struct config_node *root = config_tree_root(tree);
        const struct config_node *options = config_node_find(root, "options");
        t = report_template_read(options == NULL ? root : options, &faults);
        config_tree_free(tree);
    }
    struct buf said;
    buf_init(&said, 1 << 16);
    config_faults_show(&faults, &said);
    fputs(said.data == NULL ? "" : said.data, stderr);
    buf_done(&said);
    return t;
}

static void save(const char *folder, const char *name, struct buf *b)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (f != NULL) {
        fwrite(b->data == NULL ? "" : b->data, 1, b->len, f);
        fclose(f);
    }
    buf_clear(b);
}

static void write_dashboard(const struct report *r, const char *folder, struct buf *b)
{
    struct report_dashboard from = {REPORT_FROM_FILES, r->table->files[0].name, NULL};
    (void)report_write_grafana(r, &from, b);
    save(folder, "dashboard.json", b);
}

static int write_all(const struct report *r, const char *folder)
{
    struct buf b;
    char detail[160] = "";
    buf_init(&b, (size_t)64 << 20);
    bool ok = report_write_markdown(r, &b);
    save(folder, "report.md", &b);
    ok = report_write_html(r, &b) && ok;
    save(folder, "report.html", &b);
    ok = report_write_json(r, &b) && ok;
    save(folder, "report.json", &b);
    for (size_t i = 0; i < report_charts(r); i++) {
        char name[32];
        report_chart_name(i, name);
        ok = report_write_svg(r, report_chart_get(r, i), &b) && ok;
        save(folder, name, &b);
    }
    write_dashboard(r, folder, &b);
    size_t untraced = report_untraced(r, detail, sizeof(detail));
    if (untraced > 0) {
        fprintf(stderr, "untraced: %zu, first: %s\n", untraced, detail);
    }
    buf_done(&b);
    return ok && untraced == 0 ? 0 : 1;
}

static void put_finding(void *arg, const struct report_finding *f)
{
    (void)arg;
    printf("%s\t%u\t%s\t%s\n", report_verdict_name(f->verdict), f->line, f->number, f->detail);
}

static void check_written(const struct report *r, const char *path)
{
    struct document *d = NULL;
    struct fault why = {0};
    enum fail f = open_document(path, &d, &why);
    f = f != FAIL_NONE ? f : report_check_document(r->table, d, put_finding, NULL, &why);
    if (f != FAIL_NONE) {
        (void)fail(path, &why);
    }
    document_free(d);
    putchar('\n');
}

static void check_sentences(const struct report *r)
{
    char line[4096], detail[80];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '@') {
            check_written(r, line + 1);
            continue;
        }
        enum report_verdict v =
            report_check_sentence(r, line, strlen(line), detail, sizeof(detail));
        printf("%s\t%s\n", report_verdict_name(v), detail);
    }
}

int main(int argc, char **argv)
{
    struct fault why = {0};
    struct report_table *table = NULL;
    struct report *r = NULL;
    struct report_reading how;
    if (argc < 4) {
        fprintf(stderr, "report_dump TEMPLATE.yaml OUT FILE...\n");
        return 2;
    }
    struct report_template *t = open_template(argv[1]);
    if (t == NULL) {
        return 1;
    }
    struct report_grid *g = report_grid_new();
    enum fail f = FAIL_NONE;
    for (int i = 3; i < argc && f == FAIL_NONE; i++) {
        struct document *d = NULL;
        struct report_file file = {base(argv[i]), NULL, NULL};
        f = open_document(argv[i], &d, &why);
        f = f != FAIL_NONE ? f : report_grid_document(g, &file, d, &why);
        document_free(d);
    }
    report_template_reading(t, &how);
    f = f != FAIL_NONE ? f : report_table_make(g, &how, &table, &why);
    f = f != FAIL_NONE ? f : report_make(t, table, &r, &why);
    int rc = f == FAIL_NONE ? write_all(r, argv[2]) : fail(argv[3], &why);
    if (r != NULL) {
        check_sentences(r);
    }
    report_free(r);
    report_table_free(table);
    report_grid_free(g);
    report_template_free(t);
    return rc;
}
