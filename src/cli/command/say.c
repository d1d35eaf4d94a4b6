/* SPDX-License-Identifier: Apache-2.0 */
/* What people see: errors, tables, wrapped text, progress; and the talk with the server that
   every command shares. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/config/config.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define BAR_COLUMNS 24
#define BAR_EVERY_US 100000
#define LINE_EVERY_US 10000000
#define JOB_POLL_US 100000

/* ---- failing ---- */

static int exit_of(enum fail code)
{
    switch ((int)code) {
    case FAIL_NONE:
        return COMMAND_OK;
    case FAIL_BAD_REQUEST:
    case FAIL_UNKNOWN_PARAMETER:
    case FAIL_UNSUPPORTED:
    case FAIL_TOO_LARGE:
    case FAIL_DISK_FULL:
        return COMMAND_INPUT;
    case FAIL_UPSTREAM_FAILED:
    case FAIL_STOPPED:
    case FAIL_INTERNAL:
    case FAIL_DEADLINE:
        return COMMAND_SERVER;
    default:
        return COMMAND_REFUSED;
    }
}

int cli_fail(struct cli *cli, const struct fault *why)
{
    if (cli->json) {
        json_t *j = json_pack("{s:{s:s,s:s,s:s,s:s}}", "error", "code", fail_name(why->code),
                              "message", why->message, "hint", why->hint, "param", why->param);
        if (j != NULL) {
            (void)json_dumpf(j, stderr, JSON_COMPACT);
            fputc('\n', stderr);
            json_decref(j);
            return exit_of(why->code);
        }
    }
    fflush(stdout);
    fprintf(stderr, "inhouse: %s\n", why->message);
    if (why->hint[0] != '\0') {
        fprintf(stderr, "  %s\n", why->hint);
    }
    return exit_of(why->code);
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "inhouse %s: ", cli->command->name);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n  usage: inhouse %s %s\n  `inhouse %s --help` says more.\n",
            cli->command->name, cli->command->words, cli->command->name);
    return COMMAND_USAGE;
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
    va_list ap;
    if (cli->quiet) {
        return;
    }
    fflush(stdout);
    va_start(ap, fmt);
    (void)vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* ---- printing ---- */

void cli_print_json(const json_t *j)
{
    (void)json_dumpf(j, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', stdout);
}

void cli_print_table(struct cli *cli, struct measure_table *t)
{
    struct buf out;
    buf_init(&out, (size_t)64 * 1024 * 1024);
    measure_table_show(t, cli->tty ? cli->width : 0, &out);
    fputs(out.len > 0 ? out.data : "", stdout);
    buf_done(&out);
    measure_table_free(t);
}

/* Bytes up to the end of a word, and how many columns it takes. */
static size_t word_at(const char *s, size_t *columns)
{
    size_t n = strcspn(s, " \t\r\n");
    *columns = text_utf8_count(s, text_utf8_valid_prefix(s, n));
    return n;
}

static void put_clean(const char *s, size_t n)
{
    struct buf b;
    AUTO_FREE char *copy = mem_dup_strn(s, n);
    buf_init(&b, 4 * n + 16);
    (void)measure_cut(&b, copy, 4 * n + 4);
    fputs(b.len > 0 ? b.data : "", stdout);
    buf_done(&b);
}

void cli_print_wrapped(const char *text, size_t indent, size_t width)
{
    size_t at = 0;
    for (const char *p = text; *p != '\0';) {
        if (*p == '\n') {
            fputc('\n', stdout);
            at = 0;
            p++;
        } else if (*p == ' ' || *p == '\t' || *p == '\r') {
            p++;
        } else {
            size_t columns, n = word_at(p, &columns);
            if (at > 0 && indent + at + 1 + columns > width) {
                fputc('\n', stdout);
                at = 0;
            }
            printf("%*s", at == 0 ? (int)indent : 1, "");
            put_clean(p, n);
            at += columns + (at == 0 ? 0 : 1);
            p += n;
        }
    }
    if (at > 0) {
        fputc('\n', stdout);
    }
}

const char *cli_bytes(int64_t n, char out[24])
{
    if (n < 10000) {
        (void)snprintf(out, 24, "%lld B", (long long)n);
    } else if (n < 10000000) {
        (void)snprintf(out, 24, "%.0f kB", (double)n / 1e3);
    } else if (n < 1000000000) {
        (void)snprintf(out, 24, "%.0f MB", (double)n / 1e6);
    } else {
        (void)snprintf(out, 24, "%.1f GB", (double)n / 1e9);
    }
    return out;
}

const char *cli_duration(double seconds, char out[24])
{
    long s = lround(seconds < 0 ? 0 : seconds > 1e9 ? 1e9 : seconds);
    if (s >= 3600) {
        (void)snprintf(out, 24, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    } else {
        (void)snprintf(out, 24, "%ld:%02ld", s / 60, s % 60);
    }
    return out;
}

/* ---- progress ---- */

void progress_begin(struct progress *p, struct cli *cli, const char *what)
{
    *p = (struct progress){
        .cli = cli, .what = what, .share = -1, .started_us = clock_monotonic_us()};
    p->drawn_us = p->started_us;
}

static void draw_bar(struct progress *p, double share, const char *counts)
{
    char bar[BAR_COLUMNS * 3 + 1];
    size_t n = 0;
    for (int i = 0; i < BAR_COLUMNS; i++) {
        const char *cell = share * BAR_COLUMNS >= i + 0.5 ? "\xE2\x96\x88" : "\xE2\x96\x91";
        memcpy(bar + n, cell, 3);
        n += 3;
    }
    bar[n] = '\0';
    fprintf(stderr, "\r\x1b[K%s %s %s", p->what, bar, counts);
    p->drawn = true;
}

void progress_show(struct progress *p, bool now)
{
    int64_t at = clock_monotonic_us();
    int64_t every = p->cli->tty_err ? BAR_EVERY_US : LINE_EVERY_US;
    if (p->cli->quiet || (!now && at - p->drawn_us < every) || (now && !p->cli->tty_err)) {
        return;
    }
    p->drawn_us = at;
    double s = (double)(at - p->started_us) / 1e6;
    double share = p->total > 0 ? (double)p->done / (double)p->total : p->share;
    double rate = s > 0.2 ? (double)p->done / s : 0;
    char counts[160], eta[24], total[32] = "", failed[40] = "";
    if (p->total > 0) {
        (void)snprintf(total, sizeof(total), "/%lld", (long long)p->total);
    }
    if (p->failed > 0) {
        (void)snprintf(failed, sizeof(failed), ", %lld failed", (long long)p->failed);
    }
    bool known = share > 0.01 && share <= 1 && s > 1;
    (void)snprintf(counts, sizeof(counts), "%lld%s, %.1f/s%s%s%s", (long long)p->done, total, rate,
                   failed, known ? ", left " : "", known ? cli_duration(s / share - s, eta) : "");
    if (p->cli->tty_err) {
        draw_bar(p, share < 0 ? 0 : share, counts);
    } else {
        fprintf(stderr, "%s: %s\n", p->what, counts);
    }
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->drawn) {
        fputs("\r\x1b[K", stderr);
        fflush(stderr);
        p->drawn = false;
    }
}

/* ---- the server ---- */

static void say_note(void *arg, const char *line)
{
    cli_note(arg, "%s", line);
}

static struct client *open_client(struct cli *cli, bool start)
{
    if (cli->client == NULL) {
        struct client_options o = {.home = cli->home,
                                   .url = cli->url,
                                   .key = cli->key,
                                   .start = start,
                                   .note = say_note,
                                   .arg = cli,
                                   .stop = &cli_interrupted};
        if (client_open(&o, &cli->client, &cli->why) != FAIL_NONE) {
            return NULL;
        }
    }
    return cli->client;
}

struct client *cli_client(struct cli *cli)
{
    return open_client(cli, true);
}

struct client *cli_client_running(struct cli *cli)
{
    return open_client(cli, false);
}

const char *cli_sure(const json_t *field, char out[CLI_SURE_SIZE])
{
    if (cli_str(field, "value")[0] == '\0') {
        return "-";
    }
    (void)snprintf(out, CLI_SURE_SIZE, "%.2f",
                   json_number_value(json_object_get(field, "confidence")));
    return out;
}

const char *cli_str(const json_t *obj, const char *key)
{
    const char *s = json_string_value(json_object_get(obj, key));
    return s != NULL ? s : "";
}

enum fail cli_send(struct cli *cli, const char *method, const char *path, const char *type,
                   const void *body, size_t len, json_t **out, struct fault *why)
{
    struct client *c = cli_client(cli);
    if (c == NULL) {
        *why = cli->why;
        return why->code;
    }
    struct client_ask ask = {.method = method, .path = path, .type = type, .body = body, .len = len,
                             .timeout_ms = 600000};
    return client_call(c, &ask, out, why);
}

/* What a job's poll says: bar moved, or ended. */
static enum fail job_step(struct progress *bar, json_t *j, char stage[64], json_t **result,
                          bool *ended, struct fault *why)
{
    const char *state = cli_str(j, "state");
    if (strcmp(stage, cli_str(j, "stage")) != 0 && cli_str(j, "stage")[0] != '\0') {
        progress_end(bar);
        (void)text_copy(stage, 64, cli_str(j, "stage"));
        progress_begin(bar, bar->cli, stage);
    }
    bar->done = json_integer_value(json_object_get(j, "done"));
    bar->total = json_integer_value(json_object_get(j, "total"));
    progress_show(bar, false);
    if (strcmp(state, "done") == 0) {
        *ended = true;
        *result = json_incref(json_object_get(j, "result"));
    } else if (strcmp(state, "failed") == 0) {
        const json_t *e = json_object_get(j, "error");
        *ended = true;
        FAULT(why, fail_from_name(cli_str(e, "code")), "%s", cli_str(e, "message"));
        return fail_hint(why, "%s", cli_str(e, "hint"));
    }
    return FAIL_NONE;
}

enum fail cli_follow(struct cli *cli, const json_t *job, const char *what, json_t **result,
                     struct fault *why)
{
    char id[TEXT_ID_SIZE], stage[64];
    struct progress bar;
    bool ended = false;
    enum fail f = FAIL_NONE;
    *result = NULL;
    (void)text_copy(id, sizeof(id), cli_str(job, "job"));
    (void)text_copy(stage, sizeof(stage), what);
    progress_begin(&bar, cli, stage);
    while (f == FAIL_NONE && !ended) {
        json_t *j AUTO_JSON = NULL;
        f = client_get(cli_client(cli), &j, why, "/api/v1/jobs/%s", id);
        if (f == FAIL_NONE) {
            f = job_step(&bar, j, stage, result, &ended, why);
        }
        if (f == FAIL_NONE && !ended) {
            usleep(JOB_POLL_US);
            if (cli_interrupted != 0) {
                f = FAULT(why, FAIL_STOPPED, "stopped watching; the server goes on with it");
            }
        }
    }
    progress_end(&bar);
    return f;
}

enum fail cli_read_file(const char *path, struct buf *out, struct fault *why)
{
    char chunk[65536];
    struct stat st;
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot open %s", path);
    }
    ssize_t n = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? -2 : 1;
    while (n > 0 && (n = read(fd, chunk, sizeof(chunk))) > 0) {
        if (!buf_add(out, chunk, (size_t)n)) {
            close(fd);
            return FAULT(why, FAIL_TOO_LARGE, "%s is larger than %zu bytes", path, out->cap);
        }
    }
    enum fail f =
        n == -2 ? FAULT(why, FAIL_BAD_REQUEST, "%s is a folder", path)
        : n < 0 ? FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot read %s", path)
                : FAIL_NONE;
    close(fd);
    return f;
}

void cli_say_faults(const struct config_faults *faults)
{
    struct buf b;
    buf_init(&b, (size_t)256 * 1024);
    config_faults_show(faults, &b);
    fputs(b.len > 0 ? b.data : "", stderr);
    if (b.len > 0 && b.data[b.len - 1] != '\n') {
        fputc('\n', stderr);
    }
    buf_done(&b);
}
