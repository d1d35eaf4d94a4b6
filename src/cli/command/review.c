/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse review: what waits for a person, shown on 80 columns, and decided one by one. Threads:
   one. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "cli/command/review_internal.h"

#define PAGE 200
#define MAX_PAGES 50
#define MAX_DRAFT ((size_t)256 * 1024)

static size_t page_width(const struct cli *cli)
{
    return cli->width < 80 ? cli->width : 80;
}

/* ---- finding by a short prefix ---- */

static bool has_prefix(const char *id, const char *given)
{
    const char *bare = strchr(id, '_') != NULL ? strchr(id, '_') + 1 : id;
    const char *want = text_starts_with(given, "art_") ? given + 4 : given;
    size_t n = strlen(want), m = strlen(bare);
    /* The first characters of a UUIDv7 are time and the same for neighbours: the last ones tell
       them apart. */
    return n > 0 &&
           (strncasecmp(bare, want, n) == 0 || (n <= m && strcasecmp(bare + m - n, want) == 0));
}

static const char *short_id(const char *id)
{
    size_t n = strlen(id);
    return n > 8 ? id + n - 8 : id;
}

/* Pages through the artifacts of a filter; fn returns false to stop. */
static enum fail each_artifact(struct cli *cli, const char *query,
                               bool (*fn)(void *arg, const json_t *a), void *arg, struct fault *why)
{
    char after[TEXT_ID_SIZE] = "";
    for (int page = 0; page < MAX_PAGES; page++) {
        char path[512];
        json_t *j AUTO_JSON = NULL, *a;
        size_t i;
        (void)snprintf(path, sizeof(path), "/api/v1/artifacts?limit=%d%s%s%s%s", PAGE,
                       query[0] != '\0' ? "&" : "", query, after[0] != '\0' ? "&after=" : "",
                       after);
        enum fail f = cli_send(cli, "GET", path, NULL, NULL, 0, &j, why);
        if (f != FAIL_NONE) {
            return f;
        }
        json_array_foreach(json_object_get(j, "artifacts"), i, a) {
            if (!fn(arg, a)) {
                return FAIL_NONE;
            }
        }
        (void)text_copy(after, sizeof(after), cli_str(j, "next"));
        if (after[0] == '\0') {
            break;
        }
    }
    return FAIL_NONE;
}

struct search {
    const char *given;
    char found[TEXT_ID_SIZE];
    int n;
};

static bool try_one(void *arg, const json_t *a)
{
    struct search *s = arg;
    if (has_prefix(cli_str(a, "artifact"), s->given)) {
        s->n++;
        (void)text_copy(s->found, sizeof(s->found), cli_str(a, "artifact"));
    }
    return s->n < 2;
}

enum fail review_find_id(struct cli *cli, const char *given, char out[TEXT_ID_SIZE],
                         struct fault *why)
{
    struct search s = {.given = given};
    bool whole = text_starts_with(given, "art_") && strlen(given) == 4 + 26;
    enum fail f = FAIL_NONE;
    out[0] = '\0';
    if (whole) {
        (void)text_copy(s.found, sizeof(s.found), given);
    } else {
        f = each_artifact(cli, "", try_one, &s, why);
        if (f == FAIL_NONE && s.n != 1) {
            FAULT(why, FAIL_NOT_FOUND,
                  s.n == 0 ? "no artifact's id starts or ends with \"%.40s\""
                           : "several artifacts' ids start or end with \"%.40s\"",
                  given);
            return fail_hint(why, "`inhouse review list` shows them; its short ids are enough.");
        }
    }
    (void)text_copy(out, TEXT_ID_SIZE, s.found);
    return f;
}

/* The whole artifact that a person means by `given`; looking marks it as opened. */
static enum fail find_artifact(struct cli *cli, const char *given, bool open, json_t **out,
                               struct fault *why)
{
    char path[160], id[TEXT_ID_SIZE];
    enum fail f = review_find_id(cli, given, id, why);
    (void)snprintf(path, sizeof(path), "/api/v1/artifacts/%s%s", id, open ? "" : "?open=0");
    return f == FAIL_NONE ? cli_send(cli, "GET", path, NULL, NULL, 0, out, why) : f;
}

/* ---- list ---- */

struct listing {
    struct measure_table *table; /* NULL: the JSON list */
    json_t *list;
    int64_t left, beyond;
};

static bool add_row(void *arg, const json_t *a)
{
    struct listing *l = arg;
    struct measure_table *t = l->table;
    if (l->left-- <= 0) {
        l->beyond++;
        return true;
    }
    if (t == NULL) {
        (void)json_array_append(l->list, (json_t *)a);
        return true;
    }
    char open[160] = "", first[160] = "";
    size_t i;
    json_t *field;
    json_array_foreach(json_object_get(a, "fields"), i, field) {
        size_t n = strlen(open);
        if (i == 0) {
            char sure[CLI_SURE_SIZE];
            const char *value = cli_str(field, "value");
            (void)snprintf(first, sizeof(first), "%s%s%s", value, value[0] != '\0' ? " " : "",
                           cli_sure(field, sure));
        }
        if (json_is_true(json_object_get(field, "open")) && n < sizeof(open) - 1) {
            (void)snprintf(open + n, sizeof(open) - n, "%s%s", n > 0 ? "," : "",
                           cli_str(field, "name"));
        }
    }
    const char *cells[] = {short_id(cli_str(a, "artifact")), cli_str(a, "state"),
                           cli_str(a, "title"), first, open};
    measure_table_row(t, cells);
    return true;
}

int command_review_list(struct cli *cli)
{
    static const char *const columns[] = {"id", "state", "*ticket", "*proposed", "*to decide"};
    struct fault why;
    char query[256];
    const char *state = cli_option(cli, "state"), *workflow = cli_option(cli, "workflow");
    state = state != NULL ? state : "in_review";
    (void)snprintf(
        query, sizeof(query), "%s%.40s%s%.80s",
        strcmp(state, "all") == 0 ? "" : "state=", strcmp(state, "all") == 0 ? "" : state,
        workflow != NULL ? "&workflow=" : "", workflow != NULL ? workflow : "");
    const char *q = query[0] == '&' ? query + 1 : query;
    json_t *list AUTO_JSON = json_array();
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    struct listing l = {.table = cli->json ? NULL : t, .list = list};
    if (!cli_number(cli, "limit", 1, 10000, 500, &l.left)) {
        measure_table_free(t);
        return COMMAND_USAGE;
    }
    enum fail f = each_artifact(cli, q, add_row, &l, &why);
    if (f != FAIL_NONE || cli->json) {
        measure_table_free(t);
        if (f != FAIL_NONE) {
            return cli_fail(cli, &why);
        }
        cli_print_json(list);
        return COMMAND_OK;
    }
    struct cli narrow = *cli;
    narrow.tty = true;
    narrow.width = cli->tty ? cli->width : 80;
    cli_print_table(&narrow, t);
    cli_note(cli,
             "\n`inhouse review show ID` for one, `inhouse review next` to work through them.");
    return COMMAND_OK;
}

/* ---- show ---- */

static void show_sources(const json_t *draft, size_t width)
{
    size_t i;
    json_t *s;
    struct buf b;
    buf_init(&b, 8192);
    json_array_foreach(json_object_get(draft, "sources"), i, s) {
        buf_clear(&b);
        (void)buf_printf(&b, "[%zu] %.100s: %.300s", i + 1, cli_str(s, "article"),
                         cli_str(s, "title"));
        cli_print_wrapped(b.data, 2, width);
    }
    buf_done(&b);
}

static void show_fields(struct cli *cli, const json_t *a)
{
    static const char *const columns[] = {"field", "*proposed", ">sure", "by", "*else", ""};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    size_t i, k;
    json_t *field, *candidate;
    const json_t *result = json_object_get(a, "result");
    json_array_foreach(json_object_get(a, "fields"), i, field) {
        char sure[CLI_SURE_SIZE], others[200] = "";
        const char *decided = json_string_value(json_object_get(field, "decided"));
        const json_t *r = result_field(result, cli_str(field, "name"));
        json_array_foreach(json_object_get(r, "candidates"), k, candidate) {
            size_t n = strlen(others);
            if (strcmp(cli_str(candidate, "value"), cli_str(field, "value")) != 0 && n < 60) {
                (void)snprintf(others + n, sizeof(others) - n, "%s%.40s %.2f", n > 0 ? ", " : "",
                               cli_str(candidate, "value"),
                               json_number_value(json_object_get(candidate, "p")));
            }
        }
        const char *by = json_string_value(json_object_get(r, "proposed_by"));
        const char *cells[] = {cli_str(field, "name"),
                               cli_str(field, "value"),
                               cli_sure(field, sure),
                               by != NULL ? by : cli_str(field, "rung"),
                               others,
                               decided != NULL                                ? decided
                               : json_is_true(json_object_get(field, "open")) ? "decide"
                                                                              : ""};
        measure_table_row(t, cells);
    }
    struct cli narrow = *cli;
    narrow.tty = true;
    narrow.width = page_width(cli);
    cli_print_table(&narrow, t);
}

static void show_artifact(struct cli *cli, const json_t *a)
{
    size_t width = page_width(cli);
    const char *draft = json_string_value(json_object_get(a, "draft"));
    printf("%s  %s  %s, version %lld\n\n", short_id(cli_str(a, "artifact")), cli_str(a, "workflow"),
           cli_str(a, "state"), (long long)json_integer_value(json_object_get(a, "version")));
    cli_print_wrapped(cli_str(a, "input"), 2, width);
    printf("\n");
    show_fields(cli, a);
    if (draft != NULL && draft[0] != '\0') {
        printf("\nDraft:\n");
        cli_print_wrapped(draft, 2, width);
        show_sources(json_object_get(json_object_get(a, "result"), "draft"), width);
    } else {
        const char *reason =
            cli_str(json_object_get(json_object_get(a, "result"), "draft"), "reason");
        printf("\nNo draft%s%s\n", reason[0] != '\0' ? ": " : "", reason);
    }
    const json_t *d = json_object_get(a, "decision");
    if (json_is_object(d)) {
        printf("\n%s by %s at %s%s%s\n", cli_str(d, "action"), cli_str(d, "by"), cli_str(d, "at"),
               cli_str(d, "reason")[0] != '\0' ? ": " : "", cli_str(d, "reason"));
    }
}

int command_review_show(struct cli *cli)
{
    struct fault why;
    json_t *a AUTO_JSON = NULL;
    if (find_artifact(cli, cli->words[0], true, &a, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(a);
    } else {
        show_artifact(cli, a);
    }
    return COMMAND_OK;
}

/* ---- decide ---- */

static enum fail decide(struct cli *cli, const json_t *a, const char *action, json_t *fields,
                        const char *draft, const char *reason, struct fault *why)
{
    char path[160];
    int64_t within = 0;
    json_t *made AUTO_JSON = NULL;
    json_t *ask AUTO_JSON =
        json_pack("{s:O,s:s}", "version", json_object_get(a, "version"), "action", action);
    if (json_object_size(fields) > 0) {
        (void)json_object_set(ask, "fields", fields);
    }
    if (draft != NULL) {
        (void)json_object_set_new(ask, "draft", json_string(draft));
    }
    if (reason != NULL) {
        (void)json_object_set_new(ask, "reason", json_string(reason));
    }
    if (strcmp(action, "escalate") == 0) {
        if (cli_option(cli, "to") != NULL) {
            (void)json_object_set_new(ask, "to", json_string(cli_option(cli, "to")));
        }
        if (cli_option(cli, "then") != NULL) {
            (void)json_object_set_new(ask, "then", json_string(cli_option(cli, "then")));
        }
        if (cli_option(cli, "within") != NULL &&
            text_read_int(cli_option(cli, "within"), 1, INT32_MAX, &within)) {
            (void)json_object_set_new(ask, "within_s", json_integer(within));
        }
    }
    char *body = json_dumps(ask, JSON_COMPACT);
    (void)snprintf(path, sizeof(path), "/api/v1/artifacts/%s/decision", cli_str(a, "artifact"));
    enum fail f = cli_send(cli, "POST", path, NULL, body, strlen(body), &made, why);
    free(body); /* tidy: memory: jansson's own */
    if (f == FAIL_NONE && cli->json) {
        cli_print_json(made);
    } else if (f == FAIL_NONE) {
        printf("%s is now %s (record %lld)\n", short_id(cli_str(a, "artifact")),
               cli_str(made, "state"),
               (long long)json_integer_value(json_object_get(made, "record")));
    }
    return f;
}

static int decide_word(struct cli *cli, const char *action, json_t *fields, const char *draft,
                       const char *reason)
{
    struct fault why;
    json_t *a AUTO_JSON = NULL;
    if (find_artifact(cli, cli->words[0], false, &a, &why) != FAIL_NONE ||
        decide(cli, a, action, fields, draft, reason, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    return COMMAND_OK;
}

int command_review_approve(struct cli *cli)
{
    return decide_word(cli, "approve", NULL, NULL, NULL);
}

int command_review_edit(struct cli *cli)
{
    struct fault why;
    struct buf draft;
    const char *file = cli_option(cli, "draft");
    json_t *fields AUTO_JSON = json_object();
    for (int i = 1; i < cli->words_len; i++) {
        const char *eq = strchr(cli->words[i], '=');
        if (eq == NULL || eq == cli->words[i]) {
            return cli_usage(cli, "\"%s\" is no FIELD=VALUE", cli->words[i]);
        }
        (void)json_object_setn_new(fields, cli->words[i], (size_t)(eq - cli->words[i]),
                                   json_string(eq + 1));
    }
    if (cli->words_len == 1 && file == NULL) {
        return cli_usage(cli, "nothing to change: give FIELD=VALUE or --draft FILE");
    }
    buf_init(&draft, MAX_DRAFT);
    if (file != NULL && cli_read_file(file, &draft, &why) != FAIL_NONE) {
        buf_done(&draft);
        return cli_fail(cli, &why);
    }
    int status =
        decide_word(cli, "edit", fields, file != NULL ? (draft.len > 0 ? draft.data : "") : NULL,
                    cli_option(cli, "reason"));
    buf_done(&draft);
    return status;
}

int command_review_reject(struct cli *cli)
{
    const char *reason = cli_option(cli, "reason");
    return reason == NULL ? cli_usage(cli, "--reason is missing: say what was wrong")
                          : decide_word(cli, "reject", NULL, NULL, reason);
}

int command_review_escalate(struct cli *cli)
{
    const char *reason = cli_option(cli, "reason");
    return reason == NULL ? cli_usage(cli, "--reason is missing: say what it needs")
                          : decide_word(cli, "escalate", NULL, NULL, reason);
}
