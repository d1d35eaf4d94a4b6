/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse review: what waits for a person, shown on 80 columns, and decided. Threads: one. */
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

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

/* The whole artifact that a person means by `given`; looking marks it as opened. */
static enum fail find_artifact(struct cli *cli, const char *given, bool open, json_t **out,
                               struct fault *why)
{
    char path[160];
    struct search s = {.given = given};
    bool whole = text_starts_with(given, "art_") && strlen(given) == 4 + 26;
    enum fail f = FAIL_NONE;
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
    (void)snprintf(path, sizeof(path), "/api/v1/artifacts/%s%s", s.found, open ? "" : "?open=0");
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
                        const char *draft, const char *reason, int64_t review_ms, struct fault *why)
{
    char path[160];
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
    if (review_ms > 0) {
        (void)json_object_set_new(ask, "review_ms", json_integer(review_ms));
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
        decide(cli, a, action, fields, draft, reason, 0, &why) != FAIL_NONE) {
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

/* ---- working through the queue ---- */

static int read_key(void)
{
    struct termios old, raw;
    char c = 'q';
    if (tcgetattr(STDIN_FILENO, &old) == 0) {
        raw = old;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    ssize_t n = read(STDIN_FILENO, &c, 1);
    if (isatty(STDIN_FILENO) == 1) {
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &old);
    }
    return n == 1 ? c : 'q';
}

struct collecting {
    char ids[PAGE][TEXT_ID_SIZE];
    size_t n;
};

static bool keep_id(void *arg, const json_t *a)
{
    struct collecting *c = arg;
    (void)text_copy(c->ids[c->n++], TEXT_ID_SIZE, cli_str(a, "artifact"));
    return c->n < PAGE;
}

/* A line typed for a question; "" when nothing was, or at the end of the input. */
static const char *ask_line(const char *question, char *line, size_t room)
{
    printf("%s", question);
    fflush(stdout);
    if (fgets(line, (int)room, stdin) == NULL) {
        line[0] = '\0';
    }
    return text_trim(line);
}

/* FIELD=VALUE, a line each, to an empty one. NULL when nothing was changed. */
static json_t *ask_changes(void)
{
    char line[1024];
    json_t *fields = json_object();
    printf(
        "FIELD=VALUE, one a line; an empty line ends it, and everything else stays as proposed.\n");
    for (const char *typed; *(typed = ask_line("> ", line, sizeof(line))) != '\0';) {
        const char *eq = strchr(typed, '=');
        if (eq == NULL || eq == typed) {
            printf("\"%s\" is no FIELD=VALUE\n", typed);
        } else {
            (void)json_object_setn_new(fields, typed, (size_t)(eq - typed), json_string(eq + 1));
        }
    }
    if (json_object_size(fields) == 0) {
        json_decref(fields);
        return NULL;
    }
    return fields;
}

enum next { NEXT_AGAIN, NEXT_GO_ON, NEXT_QUIT };

/* One key, and what it asks for. A decision that is refused is said, and the same one stays. */
static enum next take_key(struct cli *cli, const json_t *a, int64_t seen_us, struct fault *why)
{
    static const char *const actions[] = {"approve", "edit", "reject", "escalate"};
    static const char keys[] = "acre";
    char line[1024];
    printf("\n[a]pprove  [c]hange  [r]eject  [e]scalate  [s]kip  [q]uit\n");
    fflush(stdout);
    int key = read_key();
    if (key == 's') {
        return NEXT_GO_ON;
    }
    if (key == 'q' || cli_interrupted != 0) {
        return NEXT_QUIT;
    }
    const char *at = strchr(keys, key);
    if (at == NULL || *at == '\0') {
        return NEXT_AGAIN;
    }
    const char *action = actions[at - keys], *reason = NULL;
    json_t *fields AUTO_JSON = key == 'c' ? ask_changes() : NULL;
    if (key == 'r' || key == 'e') {
        reason = ask_line(key == 'r' ? "What is wrong with it? " : "What does it need? ", line,
                          sizeof(line));
    }
    if ((key == 'c' && fields == NULL) || (reason != NULL && *reason == '\0')) {
        printf("Nothing was decided.\n");
        return cli_interrupted != 0 ? NEXT_QUIT : NEXT_AGAIN;
    }
    int64_t ms = (clock_monotonic_us() - seen_us) / 1000;
    if (decide(cli, a, action, fields, NULL, reason, ms, why) == FAIL_NONE) {
        return NEXT_GO_ON;
    }
    (void)cli_fail(cli, why);
    return why->code == FAIL_CONFLICT ? NEXT_GO_ON : NEXT_AGAIN;
}

int command_review_next(struct cli *cli)
{
    struct fault why;
    struct collecting *c = mem_alloc(sizeof(*c));
    enum fail f = each_artifact(cli, "state=in_review", keep_id, c, &why);
    enum next next = NEXT_GO_ON;
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* keys are read beside it */
    for (size_t i = 0; f == FAIL_NONE && next != NEXT_QUIT && i < c->n; i++) {
        json_t *a AUTO_JSON = NULL;
        int64_t seen = clock_monotonic_us();
        f = find_artifact(cli, c->ids[i], true, &a, &why);
        if (f != FAIL_NONE) {
            break;
        }
        printf("\n%zu of %zu\n", i + 1, c->n);
        show_artifact(cli, a);
        struct fault refused;
        do {
            next = take_key(cli, a, seen, &refused);
        } while (next == NEXT_AGAIN);
    }
    if (f == FAIL_NONE && next != NEXT_QUIT) {
        printf(c->n == 0 ? "Nothing waits.\n" : "That was the last one.\n");
    }
    mem_free(c);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}
