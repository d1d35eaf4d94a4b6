/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A company's own past tickets, as its desk exported them: which column is what, times in the
 * shapes desks write, HTML as text, the sent reply, and what people decided. Everything is guessed
 * from names and said; NAME=COLUMN overrules.
 * Limits: `limit` tickets, 256 MiB of text. Threads: the caller's.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define OLDER_SHARE 0.7
#define MAX_LABELS 64
#define MIN_REPEATS 3
#define LOOK_ROWS 200
#define MAX_TEXT ((size_t)200 * 1024)
#define ARENA_BYTES ((size_t)256 << 20)
#define FEWEST 40

/* What a column may be called, best first. Compared without case, spaces, dashes and
   underscores. */
static const char *const names_of[TRY_COLUMNS][14] = {
    [TRY_ID] = {"id", "ticketid", "number", "ticketnumber", "key", "issuekey", "caseid", "ref"},
    [TRY_AT] = {"createdat", "created", "at", "opened", "openedat", "date", "timestamp", "time"},
    [TRY_SUBJECT] = {"subject", "title", "summary", "betreff", "titel"},
    [TRY_TEXT] = {"text", "body", "description", "message", "content", "contenthtml", "html",
                  "bodyhtml", "question", "beschreibung", "nachricht"},
    [TRY_REPLY] = {"reply", "response", "firstreply", "firstresponse", "answer", "solution",
                   "resolution", "answers", "antwort"},
};
static const char *const field_names[] = {"queue",      "group",     "category",      "topic",
                                          "department", "team",      "assignedgroup", "component",
                                          "priority",   "severity",  "urgency",       "type",
                                          "issuetype",  "kategorie", "gruppe",        "priorität"};

static void plain_name(const char *s, char out[64])
{
    size_t n = 0;
    for (; *s != '\0' && n < 63; s++) {
        if (strchr(" -_.", *s) == NULL) {
            out[n++] = (char)tolower((unsigned char)*s);
        }
    }
    out[n] = '\0';
}

/* ---- what the columns are ---- */

static bool has_column(const json_t *seen, const char *plain, char out[64])
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)seen, key, v) {
        char mine[64];
        plain_name(key, mine);
        if (strcmp(mine, plain) == 0) {
            (void)text_copy(out, 64, key);
            return true;
        }
    }
    return false;
}

static void add_field(struct try_set *s, const char *name, const char *column)
{
    for (size_t i = 0; i < s->fields_len; i++) {
        if (strcmp(s->fields[i].column, column) == 0 || strcmp(s->fields[i].name, name) == 0) {
            return;
        }
    }
    if (s->fields_len < TRY_MAX_FIELDS) {
        struct try_field *f = &s->fields[s->fields_len++];
        size_t n = 0;
        for (; *name != '\0' && n < sizeof(f->name) - 1; name++) {
            char c = (char)tolower((unsigned char)*name);
            f->name[n++] = isalnum((unsigned char)c) ? c : '_';
        }
        f->name[n] = '\0';
        (void)text_copy(f->column, sizeof(f->column), column);
    }
}

static void guess_columns(struct try_set *s, const json_t *seen)
{
    char column[64];
    for (int c = 0; c < TRY_COLUMNS; c++) {
        for (size_t i = 0;
             s->columns[c][0] == '\0' && i < COUNT_OF(names_of[c]) && names_of[c][i] != NULL; i++) {
            if (has_column(seen, names_of[c][i], column)) {
                (void)text_copy(s->columns[c], sizeof(s->columns[c]), column);
            }
        }
    }
    const char *key;
    json_t *v;
    json_object_foreach(json_object_get(seen, "expected"), key, v) {
        if (strcmp(key, "language") != 0 && strcmp(key, "article") != 0 &&
            strcmp(key, "answerable") != 0) {
            char whole[64];
            (void)snprintf(whole, sizeof(whole), "expected.%.50s", key);
            add_field(s, key, whole);
        }
    }
    json_object_foreach((json_t *)seen, key, v) {
        if (text_starts_with(key, "expected_") && strcmp(key, "expected_language") != 0) {
            add_field(s, key + 9, key);
        }
    }
    for (size_t i = 0; i < COUNT_OF(field_names); i++) {
        if (has_column(seen, field_names[i], column) &&
            strcmp(column, s->columns[TRY_SUBJECT]) != 0) {
            add_field(s, column, column);
        }
    }
    if (s->fields_len == 0 && has_column(seen, "tags", column)) {
        add_field(s, "tag", column);
    }
}

/* "queue=Gruppe": one of ours, or a field. */
static enum fail use_map(struct try_set *s, const char *map, struct fault *why)
{
    static const char *const ours[TRY_COLUMNS] = {"id", "at", "subject", "text", "reply"};
    char name[64];
    const char *eq = strchr(map, '=');
    size_t n = eq != NULL ? (size_t)(eq - map) : 0;
    if (n == 0 || n >= sizeof(name) || eq[1] == '\0') {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" is no NAME=COLUMN", map);
        return fail_hint(why,
                         "NAME is id, at, subject, text, reply, or the field that people decided.");
    }
    memcpy(name, map, n);
    name[n] = '\0';
    for (int c = 0; c < TRY_COLUMNS; c++) {
        if (strcmp(ours[c], name) == 0) {
            (void)text_copy(s->columns[c], sizeof(s->columns[c]), eq + 1);
            return FAIL_NONE;
        }
    }
    add_field(s, name, eq + 1);
    return FAIL_NONE;
}

/* ---- values ---- */

static const json_t *cell(const json_t *row, const char *column)
{
    if (text_starts_with(column, "expected.")) {
        return json_object_get(json_object_get(row, "expected"), column + 9);
    }
    return json_object_get(row, column);
}

/* "31.12.2024 19:04" as "2024-12-31 19:04"; anything else as it is. */
static const char *dotted_date(const char *s, char out[48])
{
    size_t n = s != NULL ? strlen(s) : 0;
    if (n < 10 || n > 40 || s[2] != '.' || s[5] != '.' || strspn(s + 6, "0123456789") != 4) {
        return s;
    }
    (void)snprintf(out, 48, "%.4s-%.2s-%.2s%s", s + 6, s + 3, s, n == 10 ? " 00:00" : s + 10);
    return out;
}

/* "2024-12-31 19:04:29 -0800", "31.12.2024 19:04", RFC 3339, a date, or seconds since 1970. */
static int64_t read_time(const json_t *v)
{
    int64_t at = 0;
    char t[48], dotted[48];
    const char *s = dotted_date(json_string_value(v), dotted);
    if (json_is_integer(v)) {
        int64_t n = json_integer_value(v);
        return n > 100000000 && n < 100000000000         ? n * 1000000
               : n > 100000000000 && n < 100000000000000 ? n * 1000
                                                         : 0;
    }
    if (s == NULL || clock_read(s, &at)) {
        return s == NULL ? 0 : at;
    }
    size_t n = strlen(s);
    if (n < 16 || n > 40 || s[10] != ' ') {
        return 0;
    }
    (void)text_copy(t, sizeof(t) - 4, s);
    t[10] = 'T';
    char *zone = strpbrk(t + 16, " +-Z");
    if (zone == NULL) {
        zone = t + n;
    }
    char offset[8] = "Z";
    const char *digits = zone + strspn(zone, " ");
    if ((*digits == '+' || *digits == '-') && strlen(digits) >= 5) {
        (void)snprintf(offset, sizeof(offset), "%.3s:%.2s", digits,
                       digits[3] == ':' ? digits + 4 : digits + 3);
    }
    *zone = '\0';
    (void)snprintf(zone, 16, "%s%s", strlen(t) == 16 ? ":00" : "", offset);
    return clock_read(t, &at) ? at : 0;
}

static char *as_text(struct try_set *s, const json_t *v)
{
    const char *t = json_string_value(v);
    struct buf b;
    if (t == NULL || t[0] == '\0') {
        return NULL;
    }
    buf_init(&b, MAX_TEXT);
    if (html_looks_like(t)) {
        html_text(t, &b);
    } else {
        (void)buf_add(&b, t, text_utf8_cut(t, strlen(t) < MAX_TEXT ? strlen(t) : MAX_TEXT - 1));
    }
    char *out = b.len > 0 ? arena_dup_strn(s->arena, b.data, b.len) : NULL;
    buf_done(&b);
    return out;
}

/* The reply that was sent: text, or the best of a list of answers (the accepted one, else the
   first by another). */
static char *reply_of(struct try_set *s, const json_t *v)
{
    size_t i;
    json_t *a, *best = NULL;
    if (!json_is_array(v)) {
        return as_text(s, v);
    }
    json_array_foreach((json_t *)v, i, a) {
        bool asker = strcmp(cli_str(a, "role"), "requester") == 0 ||
                     strcmp(cli_str(a, "role"), "customer") == 0;
        if (json_is_true(json_object_get(a, "is_solution"))) {
            best = a;
            break;
        }
        best = best == NULL && !asker ? a : best;
    }
    static const char *const keys[] = {"text", "body", "content", "content_html", "html"};
    for (i = 0; best != NULL && i < COUNT_OF(keys); i++) {
        if (json_is_string(json_object_get(best, keys[i]))) {
            return as_text(s, json_object_get(best, keys[i]));
        }
    }
    return NULL;
}

static const char *value_of(struct try_set *s, const json_t *v)
{
    char number[32];
    v = json_is_array(v) ? json_array_get(v, 0) : v;
    const char *t = json_string_value(v);
    if (json_is_object(v)) {
        t = json_string_value(json_object_get(v, "name"));
    } else if (json_is_integer(v)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(v));
        t = number;
    }
    return t == NULL || t[0] == '\0' || strlen(t) > 120 ? NULL : arena_dup_str(s->arena, t);
}

static bool keep_ticket(struct try_set *s, const struct rows *rows, const json_t *row)
{
    struct try_ticket t = {0};
    const json_t *id = cell(row, s->columns[TRY_ID]);
    bool any = false;
    if (json_is_string(id) && json_string_length(id) > 0 && json_string_length(id) <= 200) {
        (void)text_copy(t.id, sizeof(t.id), json_string_value(id));
    } else if (json_is_integer(id)) {
        (void)snprintf(t.id, sizeof(t.id), "%lld", (long long)json_integer_value(id));
    } else {
        (void)snprintf(t.id, sizeof(t.id), "line-%lld", (long long)rows_line(rows));
    }
    t.at_us = read_time(cell(row, s->columns[TRY_AT]));
    t.subject = as_text(s, cell(row, s->columns[TRY_SUBJECT]));
    if (t.subject != NULL && strlen(t.subject) > 4000) {
        t.subject[text_utf8_cut(t.subject, 4000)] = '\0';
    }
    t.text = as_text(s, cell(row, s->columns[TRY_TEXT]));
    t.reply =
        s->columns[TRY_REPLY][0] != '\0' ? reply_of(s, cell(row, s->columns[TRY_REPLY])) : NULL;
    for (size_t i = 0; i < s->fields_len; i++) {
        t.values[i] = value_of(s, cell(row, s->fields[i].column));
        any = any || t.values[i] != NULL;
    }
    if ((t.text == NULL && t.subject == NULL) || !any) {
        return false;
    }
    if (s->n == s->room) {
        s->room = s->room == 0 ? 1024 : s->room * 2;
        s->tickets = mem_realloc(s->tickets, s->room * sizeof(*s->tickets));
    }
    s->replies += t.reply != NULL ? 1 : 0;
    s->tickets[s->n++] = t;
    return true;
}

/* ---- the two parts ---- */

static int by_time(const void *a, const void *b)
{
    const struct try_ticket *x = a, *y = b;
    return (x->at_us > y->at_us) - (x->at_us < y->at_us);
}

struct label {
    const char *value;
    size_t n;
};

static int by_count(const void *a, const void *b)
{
    const struct label *x = a, *y = b;
    return (x->n < y->n) - (x->n > y->n);
}

/* Which values the older part holds often enough to learn; a field without two of them is left
   out. */
static void weigh_field(struct try_set *s, size_t f)
{
    struct try_field *field = &s->fields[f];
    struct label *labels = mem_alloc_array(s->older + 1, sizeof(*labels));
    size_t n = 0, usable = 0, kept = 0, had = 0, newer = 0;
    for (size_t i = 0; i < s->older; i++) {
        const char *v = s->tickets[i].values[f];
        size_t k = 0;
        while (v != NULL && k < n && strcmp(labels[k].value, v) != 0) {
            k++;
        }
        if (v != NULL && k == n) {
            labels[n++] = (struct label){v, 0};
        }
        if (v != NULL) {
            labels[k].n++;
            had++;
        }
    }
    qsort(labels, n, sizeof(*labels), by_count);
    while (usable < n && usable < MAX_LABELS && labels[usable].n >= MIN_REPEATS) {
        kept += labels[usable++].n;
    }
    field->given = had;
    field->values = usable;
    if (usable < 2) {
        (void)snprintf(field->why_not, sizeof(field->why_not), n < 2 ? "it has one value only"
                                                                     : "its values hardly repeat");
    } else if (2 * kept < had) {
        (void)snprintf(field->why_not, sizeof(field->why_not),
                       "its values hardly repeat: %zu different ones", n);
    }
    field->first_value = n > 0 ? labels[0].value : NULL;
    for (size_t i = 0; i < s->n; i++) {
        const char *v = s->tickets[i].values[f];
        if (i >= s->older && v != NULL) {
            newer++;
            field->majority +=
                field->first_value != NULL && strcmp(v, field->first_value) == 0 ? 1 : 0;
        } else if (v != NULL) {
            bool common = false;
            for (size_t k = 0; !common && k < usable; k++) {
                common = strcmp(labels[k].value, v) == 0;
            }
            /* too rare to learn; in the newer part it stays, and counts */
            s->tickets[i].values[f] = common ? v : NULL;
        }
    }
    field->majority = newer > 0 ? field->majority / (double)newer : 0;
    mem_free(labels);
}

static void split(struct try_set *s)
{
    s->dated = true;
    for (size_t i = 0; i < s->n; i++) {
        s->dated = s->dated && s->tickets[i].at_us > 0;
    }
    if (s->dated) {
        qsort(s->tickets, s->n, sizeof(*s->tickets), by_time);
    }
    s->older = (size_t)(OLDER_SHARE * (double)s->n);
    for (size_t f = 0; f < s->fields_len; f++) {
        weigh_field(s, f);
        s->fields[f].confidence = mem_alloc_array(s->n + 1, sizeof(float));
        s->fields[f].right = mem_alloc_array(s->n + 1, sizeof(bool));
    }
}

/* ---- reading ---- */

static void column_names(const json_t *seen, char out[200])
{
    const char *key;
    json_t *v;
    size_t n = 0;
    out[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)seen, key, v) {
        char cut[31], name[40];
        (void)text_copy(cut, sizeof(cut), key);
        (void)snprintf(name, sizeof(name), "%s%s", n > 0 ? ", " : "", cut);
        n += text_copy(out + n, 200 - n, name) ? strlen(name) : 0;
    }
}

static enum fail look(struct try_set *s, const char *path, const char *const *maps,
                      struct fault *why)
{
    struct rows *rows = NULL;
    json_t *seen AUTO_JSON = json_object();
    enum fail f = rows_open(path, &rows, why);
    enum rows_state state = ROWS_ROW;
    for (int i = 0; f == FAIL_NONE && i < LOOK_ROWS && state != ROWS_END; i++) {
        json_t *row AUTO_JSON = NULL;
        struct fault bad;
        state = rows_next(rows, &row, &bad);
        if (state == ROWS_ROW) {
            json_t *expected = json_object_get(seen, "expected");
            if (json_is_object(expected) && json_is_object(json_object_get(row, "expected"))) {
                (void)json_object_update_missing(expected, json_object_get(row, "expected"));
            }
            (void)json_object_update_missing(seen, row);
        }
    }
    rows_close(rows);
    for (size_t i = 0; f == FAIL_NONE && maps[i] != NULL; i++) {
        f = use_map(s, maps[i], why);
        const char *column = f == FAIL_NONE ? strchr(maps[i], '=') + 1 : "";
        if (f == FAIL_NONE && json_object_size(seen) > 0 && cell(seen, column) == NULL) {
            char names[200];
            column_names(seen, names);
            FAULT(why, FAIL_BAD_REQUEST, "%s has no column \"%.80s\"", path, column);
            f = fail_hint(why, "It has: %s.", names);
        }
    }
    if (f == FAIL_NONE) {
        guess_columns(s, seen);
    }
    if (f == FAIL_NONE && (s->columns[TRY_TEXT][0] == '\0' || s->fields_len == 0)) {
        char names[200];
        if (json_object_size(seen) == 0) {
            FAULT(why, FAIL_BAD_REQUEST, "%s holds no row that can be read", path);
            return fail_hint(why, "Give CSV with a first row of column names, or JSON lines.");
        }
        column_names(seen, names);
        FAULT(why, FAIL_BAD_REQUEST, "%s: no column found for %s among: %s", path,
              s->columns[TRY_TEXT][0] == '\0' ? "the ticket's text"
                                              : "what people decided (queue, group, priority, …)",
              names);
        f = fail_hint(why, "Say it after the file: text=COLUMN queue=COLUMN.");
    }
    return f;
}

enum fail try_read(struct cli *cli, const char *path, const char *const *maps, size_t limit,
                   struct try_set **out, struct fault *why)
{
    struct rows *rows = NULL;
    struct try_set *s = mem_alloc(sizeof(*s));
    s->arena = arena_new(ARENA_BYTES);
    enum fail f = strcmp(path, "-") == 0
                      ? FAULT(why, FAIL_BAD_REQUEST,
                              "try reads its file twice: give a file, not standard input")
                      : look(s, path, maps, why);
    f = f == FAIL_NONE ? rows_open(path, &rows, why) : f;
    for (enum rows_state state = ROWS_ROW; f == FAIL_NONE && state != ROWS_END;) {
        json_t *row AUTO_JSON = NULL;
        struct fault bad = {0};
        state = rows_next(rows, &row, &bad);
        if (state == ROWS_ROW && (s->n >= limit || !arena_has_room(s->arena, (size_t)4 << 20))) {
            s->beyond++;
        } else if (state == ROWS_BAD) {
            s->skipped++;
            if (s->skipped <= 5) {
                cli_note(cli, "%s", bad.message);
            }
        } else if (state == ROWS_ROW && !keep_ticket(s, rows, row)) {
            s->skipped++;
        }
        f = cli_interrupted != 0 ? FAULT(why, FAIL_STOPPED, "stopped") : f;
    }
    rows_close(rows);
    if (f == FAIL_NONE && s->n < FEWEST) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s holds %zu usable tickets; try needs at least %d", path,
                  s->n, FEWEST);
        fail_hint(why, "A usable ticket has a text and at least one value that a person decided.");
    }
    if (f == FAIL_NONE) {
        split(s);
        size_t usable = 0;
        for (size_t i = 0; i < s->fields_len; i++) {
            usable += s->fields[i].why_not[0] == '\0' ? 1 : 0;
        }
        if (usable == 0) {
            f = FAULT(why, FAIL_BAD_REQUEST,
                      "%s: no field has values that repeat often enough to learn", path);
            fail_hint(why, "%.60s: %.120s. Name another: FIELD=COLUMN.", s->fields[0].name,
                      s->fields[0].why_not);
        }
    }
    if (f != FAIL_NONE) {
        try_free(s);
        return f;
    }
    *out = s;
    return FAIL_NONE;
}

void try_free(struct try_set *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->fields_len; i++) {
        mem_free(s->fields[i].confidence);
        mem_free(s->fields[i].right);
    }
    mem_free(s->tickets);
    arena_free(s->arena);
    mem_free(s);
}
