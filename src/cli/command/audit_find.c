/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse audit search and export: records out of the data folder by what they hold. Needs no
   server and works beside one. Threads: one. */
#include <errno.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "run/models/models.h"
#include "trust/audit/audit.h"
#include "work/workflow/workflow.h"

#define RELEASES_MAX 256

struct asked {
    struct audit_query q;
    char found[RELEASES_MAX][TEXT_SHA256_HEX_SIZE];
    const char *releases[RELEASES_MAX];
    size_t len;
};

/* The model's file, and the files made from it that served. */
static enum fail add_model(struct cli *cli, const char *name, struct asked *a, struct fault *why)
{
    struct models *m = NULL;
    enum fail f = models_open(cli->home, &m, why);
    const struct models_entry *e = f == FAIL_NONE ? models_find(m, name) : NULL;
    if (f == FAIL_NONE && e == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "there is no model \"%.60s\"", name);
        f = fail_hint(why, "`inhouse models list` names them; --release takes a sha256.");
    }
    if (f == FAIL_NONE) {
        (void)text_copy(a->found[a->len++], TEXT_SHA256_HEX_SIZE, e->sha256);
    }
    models_close(m);
    return f;
}

static bool read_time(struct cli *cli, const char *option, int64_t *at)
{
    const char *text = cli_option(cli, option);
    *at = 0;
    if (text != NULL && !clock_read(text, at)) {
        cli_usage(cli, "--%s takes a date or a time as RFC 3339, like 2026-11-22", option);
        return false;
    }
    return true;
}

/* What the options ask for. */
static int read_query(struct cli *cli, struct store_conn *conn, struct asked *a)
{
    struct fault why;
    size_t n = 0;
    const char *workflow = cli_option(cli, "workflow");
    const char *model = cli_option(cli, "model");
    const char *release = cli_option(cli, "release");
    a->q = (struct audit_query){.actor = cli_option(cli, "actor"),
                                .kind = cli_option(cli, "kind"),
                                .rung = cli_option(cli, "rung"),
                                .task = cli_option(cli, "task"),
                                .team = cli_option(cli, "team"),
                                .verdict = cli_option(cli, "verdict"),
                                .scan = cli_option(cli, "scan") != NULL};
    if (!read_time(cli, "since", &a->q.since) || !read_time(cli, "until", &a->q.until)) {
        return COMMAND_USAGE;
    }
    if ((workflow != NULL) + (model != NULL) + (release != NULL) > 1) {
        return cli_usage(cli, "give one of --workflow, --model and --release");
    }
    enum fail f = FAIL_NONE;
    if (workflow != NULL) {
        f = workflow_releases(conn, workflow, a->found, RELEASES_MAX, &n, &why);
        a->len = n;
        if (f == FAIL_NONE && n == 0) {
            f = FAULT(&why, FAIL_NOT_FOUND, "there is no workflow \"%.60s\"", workflow);
        }
    } else if (model != NULL) {
        f = add_model(cli, model, a, &why);
    } else if (release != NULL) {
        a->releases[a->q.releases_len++] = release;
    }
    for (size_t i = 0; i < a->len; i++) {
        a->releases[a->q.releases_len++] = a->found[i];
    }
    a->q.releases = a->releases;
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

static enum fail open_data(struct cli *cli, struct store_conn **conn, struct fault *why)
{
    char path[CLIENT_PATH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/data.db", cli->home);
    return store_file_open(path, conn, why);
}

/* ---- search ---- */

struct showing {
    struct cli *cli;
    struct measure_table *table;
    int64_t shown, limit;
};

static const char *or_dash(const json_t *leaf, const char *key)
{
    const char *s = cli_str(leaf, key);
    return s[0] != '\0' ? s : "-";
}

static bool show_leaf(void *arg, int64_t seq, const char *body, size_t n)
{
    struct showing *x = arg;
    struct fault why;
    char at[CLOCK_RFC3339_SIZE], number[24];
    json_t *leaf AUTO_JSON = NULL;
    x->shown++;
    if (x->cli->json) {
        printf("%.*s\n", (int)n, body);
    } else if (jn_parse(body, n, "a record", &leaf, &why) == FAIL_NONE) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)seq);
        const char *cells[] = {number,
                               clock_show(json_integer_value(json_object_get(leaf, "at")), at),
                               or_dash(leaf, "kind"), or_dash(leaf, "team"),
                               or_dash(leaf, "actor"), or_dash(leaf, "rung"),
                               or_dash(leaf, "verdict"), or_dash(leaf, "task")};
        measure_table_row(x->table, cells);
    }
    return x->shown < x->limit && !cli_interrupted;
}

int command_audit_search(struct cli *cli)
{
    static const char *const columns[] = {"record", "at",   "kind",    "team",
                                          "actor",  "rung", "verdict", "task"};
    struct fault why;
    struct store_conn *conn = NULL;
    struct asked *a = mem_alloc(sizeof(*a));
    struct showing x = {.cli = cli};
    int64_t from, next = -1;
    enum fail f = FAIL_NONE;
    int status = cli_number(cli, "from", 0, INT64_MAX, 0, &from) &&
                         cli_number(cli, "limit", 1, INT64_MAX, 100, &x.limit)
                     ? COMMAND_OK
                     : COMMAND_USAGE;
    if (status == COMMAND_OK && (f = open_data(cli, &conn, &why)) != FAIL_NONE) {
        status = cli_fail(cli, &why);
    }
    status = status == COMMAND_OK ? read_query(cli, conn, a) : status;
    if (status == COMMAND_OK) {
        x.table = cli->json ? NULL : measure_table_new(columns, COUNT_OF(columns));
        f = audit_search(conn, &a->q, from, INT64_MAX, show_leaf, &x, &next, &why);
        if (f == FAIL_NONE && !cli->json) {
            cli_print_table(cli, x.table);
        }
        status = f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
    }
    if (status == COMMAND_OK && next >= 0 && x.shown == x.limit) {
        cli_note(cli, "Shown: %lld; go on with --from %lld", (long long)x.shown, (long long)next);
    } else if (status == COMMAND_OK && x.shown == 0) {
        cli_note(cli, "No record is like that.");
    }
    store_reader_close(conn);
    mem_free(a);
    return cli_interrupted ? COMMAND_INTERRUPTED : status;
}

/* ---- export ---- */

static bool on_export(void *arg, int64_t done, int64_t total)
{
    struct progress *bar = arg;
    bar->done = done;
    bar->total = total;
    progress_show(bar, false);
    return !cli_interrupted;
}

static int run_export(struct cli *cli, struct store_conn *conn, struct audit_export_options *o)
{
    struct fault why;
    struct progress bar;
    struct audit_exported done;
    char vkey[AUDIT_VKEY_SIZE];
    enum fail f = audit_key_read(cli->home, vkey, &why);
    progress_begin(&bar, cli, "exporting");
    o->vkey = vkey;
    o->progress = on_export;
    o->arg = &bar;
    f = f != FAIL_NONE ? f : audit_export(conn, o, &done, &why);
    progress_end(&bar);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:s,s:I,s:I,s:I,s:b}", "file", o->path, "written",
                                        (json_int_t)done.written, "next", (json_int_t)done.next,
                                        "size", (json_int_t)done.size, "stopped", done.stopped);
        cli_print_json(j);
    } else {
        printf("%lld records in %s; %s%lld of %lld\n", (long long)done.written, o->path,
               done.stopped ? "stopped before " : "read ", (long long)done.next,
               (long long)done.size);
    }
    if (done.stopped) {
        cli_note(cli, "Go on with --resume.");
    }
    return cli_interrupted ? COMMAND_INTERRUPTED : COMMAND_OK;
}

int command_audit_export(struct cli *cli)
{
    struct fault why;
    struct store_conn *conn = NULL;
    const char *format = cli_option(cli, "format");
    struct audit_export_options o = {.path = cli_option(cli, "out"),
                                     .resume = cli_option(cli, "resume") != NULL};
    if (o.path == NULL) {
        return cli_usage(cli, "say where to: --out FILE");
    }
    if (format != NULL && !audit_format_find(format, &o.format)) {
        return cli_usage(cli, "\"%.20s\" is no format: jsonl, cef, syslog or otlp", format);
    }
    if (!cli_number(cli, "from", 0, INT64_MAX, 0, &o.from) ||
        !cli_number(cli, "limit", 1, INT64_MAX, INT64_MAX, &o.limit)) {
        return COMMAND_USAGE;
    }
    struct asked *a = mem_alloc(sizeof(*a));
    int status = open_data(cli, &conn, &why) == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
    status = status == COMMAND_OK ? read_query(cli, conn, a) : status;
    if (status == COMMAND_OK) {
        o.query = a->q;
        status = run_export(cli, conn, &o);
    }
    store_reader_close(conn);
    mem_free(a);
    return status;
}
