/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse guard: brand rules on files, here, without a server. Threads: one. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/config.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "trust/style/style.h"

#define RULE_BYTES ((size_t)1 << 20)

static int is_rule(const struct dirent *d)
{
    return text_ends_with(d->d_name, ".yml") || text_ends_with(d->d_name, ".yaml");
}

static const char *last_part(const char *path, char *out, size_t room)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    size_t from = n;
    while (from > 0 && path[from - 1] != '/') {
        from--;
    }
    snprintf(out, room, "%.*s", (int)(n - from), path + from);
    return out;
}

static enum fail add_file(struct style *s, const char *dir, const char *name, struct fault *why)
{
    char path[CLIENT_PATH_SIZE];
    char rule[128];
    struct buf text;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    snprintf(rule, sizeof(rule), "%.*s", (int)(strrchr(name, '.') - name), name);
    config_faults_init(faults, path);
    buf_init(&text, RULE_BYTES);
    enum fail f = cli_read_file(path, &text, why);
    if (f == FAIL_NONE) {
        f = style_add(s, rule, text.len > 0 ? text.data : "", text.len, faults, why);
        cli_say_faults(faults);
    }
    buf_done(&text);
    mem_free(faults);
    return f;
}

/* The rules of a folder, in the order of their names. */
static enum fail read_style(struct cli *cli, const char *dir, struct style **out, struct fault *why)
{
    char name[64];
    struct dirent **list;
    int n = scandir(dir, &list, is_rule, alphasort);
    enum fail f = FAIL_NONE;
    *out = style_new(last_part(dir, name, sizeof(name)));
    if (n < 0) {
        return FAULT_ERRNO(why, FAIL_NOT_FOUND, "cannot read the folder %s: %s", dir,
                           strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        f = f == FAIL_NONE ? add_file(*out, dir, list[i]->d_name, why) : f;
        free(list[i]); /* tidy: memory: scandir's */
    }
    free(list); /* tidy: memory: scandir's */
    if (f == FAIL_NONE && n == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "there are no rules (*.yml) in %s", dir);
        f = fail_hint(why, "Name the folder of one style, as styles/Google.");
    }
    for (size_t i = 0; f == FAIL_NONE && style_unsupported(*out, i) != NULL; i++) {
        cli_note(cli, "not checked: %s", style_unsupported(*out, i));
    }
    return f;
}

static void print_alerts(const struct cli *cli, const char *file, const struct style_alerts *a)
{
    for (size_t i = 0; i < a->n && !cli->json; i++) {
        const struct style_alert *one = &a->items[i];
        printf("%s:%d:%d:%s:%s:%s\n", file, one->line, one->column, style_level_name(one->level),
               one->rule, one->message);
    }
    for (size_t i = 0; i < a->n && cli->json; i++) {
        const struct style_alert *one = &a->items[i];
        struct jn_writer w;
        struct buf line;
        buf_init(&line, 65536);
        jn_begin(&w, &line, false);
        jn_object_begin(&w);
        jn_kv_str(&w, "file", file);
        jn_kv_int(&w, "line", one->line);
        jn_kv_int(&w, "column", one->column);
        jn_kv_int(&w, "from", (int64_t)one->from);
        jn_kv_int(&w, "to", (int64_t)one->to);
        jn_kv_str(&w, "level", style_level_name(one->level));
        jn_kv_str(&w, "rule", one->rule);
        jn_kv_str(&w, "message", one->message);
        jn_kv_str(&w, "instead", one->instead[0] != '\0' ? one->instead : NULL);
        jn_kv_str(&w, "link", one->link[0] != '\0' ? one->link : NULL);
        jn_object_end(&w);
        printf("%s\n", line.data);
        buf_done(&line);
    }
}

static enum fail lint(struct cli *cli, const struct style *s, const char *file, size_t *errors,
                      struct fault *why)
{
    struct buf text;
    struct style_alerts a = {0};
    buf_init(&text, STYLE_MAX_TEXT + 1);
    enum fail f = cli_read_file(file, &text, why);
    if (f == FAIL_NONE && !text_utf8_is_valid(text.data != NULL ? text.data : "", text.len)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s is not UTF-8 text", file);
    }
    bool markdown = text_ends_with(file, ".md") || text_ends_with(file, ".markdown");
    if (f == FAIL_NONE && !style_check(s, text.data != NULL ? text.data : "", text.len, markdown,
                                       &a)) {
        f = FAULT(why, FAIL_TOO_LARGE, "%s is over %zu bytes", file, STYLE_MAX_TEXT);
    }
    print_alerts(cli, file, &a);
    for (size_t i = 0; i < a.n; i++) {
        *errors += a.items[i].level == STYLE_ERROR ? 1 : 0;
    }
    if (a.given_up > 0 || a.dropped > 0) {
        cli_note(cli, "%s: %zu matches given up, %zu alerts left out", file, a.given_up, a.dropped);
    }
    style_alerts_done(&a);
    buf_done(&text);
    return f;
}

int command_guard_lint(struct cli *cli)
{
    struct fault why = {0};
    struct style *s = NULL;
    size_t errors = 0;
    const char *dir = cli_option(cli, "style");
    if (dir == NULL) {
        return cli_usage(cli, "guard lint needs --style DIR, a folder of rules");
    }
    enum fail f = read_style(cli, dir, &s, &why);
    for (int i = 0; i < cli->words_len && f == FAIL_NONE; i++) {
        f = lint(cli, s, cli->words[i], &errors, &why);
    }
    style_free(s);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return errors > 0 ? 1 : 0;
}
