/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a file, one at a time: JSON lines, or CSV as RFC 4180 has it (quoted fields with line
 * breaks, doubled quotes, a byte order mark, comma, semicolon or tab). A row that is wrong is
 * skipped and named; the next one is read.
 *
 * Limits: a row is at most 2 MiB, a CSV has at most 256 columns. Memory: one row. Threads: the
 * caller's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define ROW_MAX ((size_t)2 * 1024 * 1024)
#define CHUNK ((size_t)64 * 1024)
#define COLUMNS_MAX 256
#define TEXT_MAX_BYTES ((size_t)256 * 1024)

struct rows {
    char *path;
    int fd;
    bool csv, ended;
    char separator;
    struct buf held; /* read and not yet used */
    size_t at;       /* used bytes of held */
    int64_t line;    /* of the next byte */
    int64_t row_line;
    int64_t bytes, size; /* read; of the file, 0 unknown */
    char *columns[COLUMNS_MAX];
    size_t columns_len;
};

/* ---- bytes ---- */

static char *rest(struct rows *r)
{
    return r->held.data + r->at;
}

static size_t rest_len(const struct rows *r)
{
    return r->held.len - r->at;
}

/* Reads more; false at the end of the file or when a row's worth is held. */
static bool more(struct rows *r, struct fault *why, bool *broken)
{
    char chunk[CHUNK];
    if (r->at > 0) {
        buf_consume(&r->held, r->at);
        r->at = 0;
    }
    if (r->ended || r->held.len + CHUNK > r->held.cap) {
        return false;
    }
    ssize_t n = read(r->fd, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR && cli_interrupted == 0) {
        return true;
    }
    if (n < 0) {
        FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot read %s", r->path);
        *broken = true;
    }
    if (n <= 0) {
        r->ended = true;
        return false;
    }
    r->bytes += n;
    return buf_add(&r->held, chunk, (size_t)n);
}

static void use(struct rows *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        r->line += rest(r)[i] == '\n' ? 1 : 0;
    }
    r->at += n;
}

/* Drops bytes up to and with the next line break, however far it is. */
static void skip_line(struct rows *r, struct fault *why, bool *broken)
{
    for (;;) {
        char *end = rest_len(r) > 0 ? memchr(rest(r), '\n', rest_len(r)) : NULL;
        if (end != NULL) {
            use(r, (size_t)(end - rest(r)) + 1);
            return;
        }
        r->at = r->held.len;
        if (!more(r, why, broken)) {
            return;
        }
    }
}

/* ---- opening ---- */

static void guess_separator(struct rows *r)
{
    size_t counts[3] = {0};
    static const char separators[] = ",;\t";
    for (size_t i = 0; i < rest_len(r) && rest(r)[i] != '\n'; i++) {
        const char *s = strchr(separators, rest(r)[i]);
        if (s != NULL && *s != '\0') {
            counts[s - separators]++;
        }
    }
    r->separator = counts[2] > counts[0] && counts[2] > counts[1] ? '\t'
                   : counts[1] > counts[0]                        ? ';'
                                                                  : ',';
}

static enum fail read_header(struct rows *r, struct fault *why);

enum fail rows_open(const char *path, struct rows **out, struct fault *why)
{
    struct stat st;
    bool broken = false;
    *out = NULL;
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot open %s", path);
        return fail_hint(why, "Give a file of JSON lines or CSV, or - for standard input.");
    }
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        FAULT(why, FAIL_BAD_REQUEST, "%s is a folder", path);
        return fail_hint(why, "Give a file of JSON lines or CSV.");
    }
    struct rows *r = mem_alloc(sizeof(*r));
    r->fd = fd;
    r->path = mem_dup_str(path);
    r->line = 1;
    r->size = S_ISREG(st.st_mode) ? st.st_size : 0;
    buf_init(&r->held, ROW_MAX + 2 * CHUNK);
    while (rest_len(r) < 4096 && more(r, why, &broken)) {
    }
    if (rest_len(r) >= 3 && memcmp(rest(r), "\xEF\xBB\xBF", 3) == 0) {
        r->at += 3;
    }
    size_t i = 0;
    while (i < rest_len(r) && strchr(" \t\r\n", rest(r)[i]) != NULL) {
        i++;
    }
    bool named = text_ends_with(path, ".csv") || text_ends_with(path, ".tsv");
    r->csv = i < rest_len(r) && (named || rest(r)[i] != '{') && !text_ends_with(path, ".jsonl");
    enum fail f = broken ? why->code : FAIL_NONE;
    if (f == FAIL_NONE && r->csv) {
        guess_separator(r);
        f = read_header(r, why);
    }
    if (f != FAIL_NONE) {
        rows_close(r);
        return f;
    }
    *out = r;
    return FAIL_NONE;
}

void rows_close(struct rows *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->columns_len; i++) {
        mem_free(r->columns[i]);
    }
    close(r->fd);
    buf_done(&r->held);
    mem_free(r->path);
    mem_free(r);
}

int64_t rows_line(const struct rows *r)
{
    return r->row_line;
}

const char *rows_path(const struct rows *r)
{
    return r->path;
}

double rows_share(const struct rows *r)
{
    return r->size > 0 ? (double)(r->bytes - (int64_t)rest_len(r)) / (double)r->size : -1;
}

/* ---- JSON lines ---- */

static enum rows_state too_long(struct rows *r, struct fault *why)
{
    bool broken = false;
    FAULT(why, FAIL_TOO_LARGE, "%s:%lld: the row is longer than 2 MiB; it was skipped", r->path,
          (long long)r->row_line);
    fail_hint(why,
              "A ticket's text may have 256 KiB: cut attachments and quoted history out of it.");
    skip_line(r, why, &broken);
    return ROWS_BAD;
}

static enum rows_state next_json(struct rows *r, json_t **row, struct fault *why)
{
    for (;;) {
        bool broken = false;
        size_t from = 0;
        char *end = NULL;
        r->row_line = r->line;
        while ((end = rest_len(r) > from ? memchr(rest(r) + from, '\n', rest_len(r) - from)
                                         : NULL) == NULL) {
            from = rest_len(r);
            if (from > ROW_MAX) {
                return too_long(r, why);
            }
            if (!more(r, why, &broken)) {
                break;
            }
        }
        if (broken) {
            return ROWS_BAD;
        }
        size_t n = end != NULL ? (size_t)(end - rest(r)) : rest_len(r);
        if (n == 0 && end == NULL) {
            return ROWS_END;
        }
        AUTO_FREE char *line = mem_dup_strn(rest(r), n);
        use(r, n + (end != NULL ? 1 : 0));
        if (n > ROW_MAX) {
            FAULT(why, FAIL_TOO_LARGE, "%s:%lld: the row is longer than 2 MiB; it was skipped",
                  r->path, (long long)r->row_line);
            return ROWS_BAD;
        }
        if (strspn(line, " \t\r") == n) {
            continue;
        }
        struct fault bad;
        if (jn_parse(line, n, "line", row, &bad) != FAIL_NONE) {
            FAULT(why, FAIL_BAD_REQUEST, "%s:%lld: not JSON: %s; the line was skipped", r->path,
                  (long long)r->row_line, bad.message);
            fail_hint(why, "Each line must be one JSON object in UTF-8.");
            return ROWS_BAD;
        }
        if (!json_is_object(*row)) {
            json_decref(*row);
            *row = NULL;
            FAULT(why, FAIL_BAD_REQUEST, "%s:%lld: not a JSON object; the line was skipped",
                  r->path, (long long)r->row_line);
            return ROWS_BAD;
        }
        return ROWS_ROW;
    }
}

/* ---- CSV ---- */

/* One record of held bytes: its length with the line break, 0 when its end is not held yet. */
static size_t record_length(const char *s, size_t n, char separator, bool at_end)
{
    bool quoted = false, start = true;
    for (size_t i = 0; i < n; i++) {
        if (quoted) {
            quoted = s[i] != '"';
        } else if (s[i] == '"' && (start || s[i - 1] == '"')) {
            quoted = true;
        } else if (s[i] == '\n') {
            return i + 1;
        }
        start = !quoted && s[i] == separator;
    }
    return at_end && !quoted ? n : 0;
}

/* Cuts a record into fields; each is handed to fn. False when a quote is out of place. */
typedef void (*field_fn)(void *arg, size_t index, const char *text, size_t len);
static bool cut_record(const char *s, size_t n, char separator, field_fn fn, void *arg,
                       size_t *fields)
{
    struct buf b;
    bool ok = true;
    buf_init(&b, n + 1);
    *fields = 0;
    for (size_t i = 0; ok;) {
        buf_clear(&b);
        if (i < n && s[i] == '"') {
            for (i++; i < n && (s[i] != '"' || (i + 1 < n && s[i + 1] == '"')); i++) {
                i += s[i] == '"' ? 1 : 0;
                (void)buf_add_char(&b, s[i]);
            }
            i++;
            ok = i >= n || s[i] == separator;
        } else {
            for (; i < n && s[i] != separator; i++) {
                (void)buf_add_char(&b, s[i]);
            }
        }
        if (ok) {
            fn(arg, (*fields)++, b.len > 0 ? b.data : "", b.len);
        }
        if (i >= n) {
            break;
        }
        i++;
    }
    buf_done(&b);
    return ok;
}

/* The next record as a copy (line break off), or NULL: *state says end or bad. */
static char *next_record(struct rows *r, size_t *len, enum rows_state *state, struct fault *why)
{
    bool broken = false;
    size_t n;
    r->row_line = r->line;
    while ((n = record_length(rest(r), rest_len(r), r->separator, r->ended)) == 0 &&
           more(r, why, &broken)) {
    }
    if (n == 0) { /* the end of the file was met by more() */
        n = record_length(rest(r), rest_len(r), r->separator, r->ended);
    }
    if (broken || (n == 0 && rest_len(r) == 0)) {
        *state = broken ? ROWS_BAD : ROWS_END;
        return NULL;
    }
    if (n == 0 || n > ROW_MAX) {
        FAULT(why, FAIL_BAD_REQUEST,
              n == 0 && r->ended ? "%s:%lld: a quote is opened in this row and never "
                                   "closed; the line was skipped"
                                 : "%s:%lld: the row is longer than 2 MiB, or a quote "
                                   "in it is never closed; the line was skipped",
              r->path, (long long)r->row_line);
        fail_hint(why, "Double the quotes inside a quoted field, and shorten texts to 256 KiB.");
        skip_line(r, why, &broken);
        *state = ROWS_BAD;
        return NULL;
    }
    *len = n;
    while (*len > 0 && (rest(r)[*len - 1] == '\n' || rest(r)[*len - 1] == '\r')) {
        (*len)--;
    }
    char *copy = mem_dup_strn(rest(r), *len);
    use(r, n);
    *state = ROWS_ROW;
    return copy;
}

static void keep_column(void *arg, size_t index, const char *text, size_t len)
{
    struct rows *r = arg;
    (void)index;
    if (r->columns_len < COLUMNS_MAX) {
        char *name = mem_dup_strn(text, len);
        char *trimmed = text_trim(name);
        r->columns[r->columns_len++] = mem_dup_str(trimmed);
        mem_free(name);
    }
}

static enum fail read_header(struct rows *r, struct fault *why)
{
    enum rows_state state;
    size_t n, fields;
    AUTO_FREE char *record = next_record(r, &n, &state, why);
    if (record == NULL) {
        return state == ROWS_END ? FAULT(why, FAIL_BAD_REQUEST, "%s is empty", r->path) : why->code;
    }
    if (memchr(record, '\0', n) != NULL || !text_utf8_is_valid(record, n) ||
        !cut_record(record, n, r->separator, keep_column, r, &fields) || fields > COLUMNS_MAX ||
        fields < 2) {
        FAULT(why, FAIL_BAD_REQUEST,
              "%s:1: this is no CSV header with at least two columns, nor a JSON line", r->path);
        return fail_hint(
            why, "The first row must name the columns: id,subject,text. The file must be UTF-8.");
    }
    return FAIL_NONE;
}

struct filling {
    struct rows *r;
    json_t *row;
    bool overflow;
};

static void fill(void *arg, size_t index, const char *text, size_t len)
{
    struct filling *f = arg;
    if (index >= f->r->columns_len) {
        f->overflow = f->overflow || len > 0;
        return;
    }
    (void)json_object_set_new(f->row, f->r->columns[index], json_stringn(text, len));
}

static enum rows_state next_csv(struct rows *r, json_t **row, struct fault *why)
{
    for (;;) {
        enum rows_state state;
        size_t n, fields;
        AUTO_FREE char *record = next_record(r, &n, &state, why);
        if (record == NULL) {
            return state;
        }
        if (n == 0) {
            continue;
        }
        const char *bad = NULL;
        struct filling f = {.r = r, .row = json_object()};
        if (!text_utf8_is_valid(record, n)) {
            bad = "not valid UTF-8";
        } else if (memchr(record, '\0', n) != NULL) {
            bad = "it holds a NUL byte";
        } else if (!cut_record(record, n, r->separator, fill, &f, &fields)) {
            bad = "a quote stands inside a field";
        } else if (f.overflow) {
            bad = "it has more fields than the header names";
        }
        if (bad == NULL) {
            *row = f.row;
            return ROWS_ROW;
        }
        json_decref(f.row);
        FAULT(why, FAIL_BAD_REQUEST, "%s:%lld: %s; the row was skipped", r->path,
              (long long)r->row_line, bad);
        fail_hint(why,
                  "Save the file as UTF-8 CSV with fields quoted where they hold a separator.");
        return ROWS_BAD;
    }
}

enum rows_state rows_next(struct rows *r, json_t **row, struct fault *why)
{
    *row = NULL;
    return r->csv ? next_csv(r, row, why) : next_json(r, row, why);
}

/* ---- tickets ---- */

static void keep_expected(json_t *into, const char *field, const json_t *value)
{
    char number[48];
    const char *s = json_string_value(value);
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        s = number;
    } else if (json_is_boolean(value)) {
        s = json_is_true(value) ? "true" : "false";
    } else if (json_is_real(value)) {
        (void)snprintf(number, sizeof(number), "%.15g", json_real_value(value));
        s = number;
    }
    if (s != NULL && s[0] != '\0') {
        (void)json_object_set_new(into, field, json_string(s));
    }
}

static json_t *expected_of(const json_t *row)
{
    json_t *out = json_object();
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(row, "expected"), key, value) {
        keep_expected(out, key, value);
    }
    json_object_foreach((json_t *)row, key, value) {
        if ((text_starts_with(key, "expected_") || text_starts_with(key, "expected.")) &&
            key[9] != '\0') {
            keep_expected(out, key + 9, value);
        }
    }
    /* {} says that nothing is there to be found; no `expected` at all says nothing */
    if (json_object_size(out) == 0 && !json_is_object(json_object_get(row, "expected"))) {
        json_decref(out);
        return NULL;
    }
    return out;
}

enum fail ticket_read(const struct rows *r, const json_t *row, struct ticket *out,
                      struct fault *why)
{
    const json_t *id = json_object_get(row, "id"), *text = json_object_get(row, "text");
    const json_t *subject = json_object_get(row, "subject");
    const char *bad = NULL;
    *out = (struct ticket){.text = json_string_value(text), .subject = json_string_value(subject)};
    if (json_is_integer(id)) {
        (void)snprintf(out->id, sizeof(out->id), "%lld", (long long)json_integer_value(id));
    } else if (json_is_string(id) && json_string_length(id) > 0) {
        if (json_string_length(id) > 200) {
            bad = "\"id\" is longer than 200 bytes";
        }
        (void)text_copy(out->id, sizeof(out->id), json_string_value(id));
    } else if (id == NULL || json_is_null(id) || json_is_string(id)) {
        (void)snprintf(out->id, sizeof(out->id), "line-%lld", (long long)rows_line(r));
    } else {
        bad = "\"id\" must be text or a whole number";
    }
    if (out->text == NULL && out->subject != NULL && (text == NULL || json_is_null(text))) {
        out->text = "";
    }
    if (out->text == NULL) {
        bad = text == NULL ? "it has no \"text\"" : "\"text\" must be text";
    } else if (json_string_length(text) > TEXT_MAX_BYTES) {
        FAULT(why, FAIL_TOO_LARGE,
              "%s:%lld: the text of %s is %zu bytes, over 256 KiB; it was skipped", rows_path(r),
              (long long)rows_line(r), out->id, json_string_length(text));
        return fail_hint(why, "Cut attachments and quoted history out of the text.");
    } else if (out->subject != NULL && json_string_length(subject) > 4096) {
        bad = "\"subject\" is longer than 4,096 bytes";
    }
    if (bad != NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "%s:%lld: %s; the row was skipped", rows_path(r),
              (long long)rows_line(r), bad);
        return fail_hint(
            why, "A ticket is {\"id\": ..., \"subject\": ..., \"text\": ...}, or a CSV with these "
                 "columns.");
    }
    out->expected = expected_of(row);
    return FAIL_NONE;
}

static bool has_column(const struct rows *r, const char *name)
{
    for (size_t i = 0; i < r->columns_len; i++) {
        if (strcmp(r->columns[i], name) == 0) {
            return true;
        }
    }
    return false;
}

enum fail rows_open_tickets(const char *path, struct rows **out, struct fault *why)
{
    enum fail f = rows_open(path, out, why);
    if (f != FAIL_NONE || !(*out)->csv || has_column(*out, "text") ||
        has_column(*out, "subject")) {
        return f;
    }
    struct buf names;
    buf_init(&names, 400);
    for (size_t i = 0; i < (*out)->columns_len; i++) {
        char cut[31];
        (void)text_copy(cut, sizeof(cut), (*out)->columns[i]);
        (void)buf_printf(&names, "%s%s", i > 0 ? ", " : "", cut);
    }
    FAULT(why, FAIL_BAD_REQUEST, "%s has no column \"text\"; it has: %s", path,
          names.len > 0 ? names.data : "");
    buf_done(&names);
    rows_close(*out);
    *out = NULL;
    return fail_hint(why, "Name the columns id, subject, text and expected.FIELD in its first row; "
                          "only `inhouse try` recognises other names.");
}

/* ---- ids seen: open addressing over 64-bit FNV-1a ---- */

struct seen {
    uint64_t *slots;
    size_t room, len;
};

struct seen *seen_new(void)
{
    struct seen *s = mem_alloc(sizeof(*s));
    s->room = 1024;
    s->slots = mem_alloc_array(s->room, sizeof(*s->slots));
    return s;
}

void seen_free(struct seen *s)
{
    if (s != NULL) {
        mem_free(s->slots);
        mem_free(s);
    }
}

static bool put_hash(struct seen *s, uint64_t h)
{
    size_t i = (size_t)h & (s->room - 1);
    while (s->slots[i] != 0) {
        if (s->slots[i] == h) {
            return false;
        }
        i = (i + 1) & (s->room - 1);
    }
    s->slots[i] = h;
    s->len++;
    return true;
}

bool seen_add(struct seen *s, const char *id)
{
    uint64_t h = 14695981039346656037u;
    for (; *id != '\0'; id++) {
        h = (h ^ (unsigned char)*id) * 1099511628211u;
    }
    if (2 * s->len > s->room) {
        uint64_t *old = s->slots;
        size_t n = s->room;
        s->room *= 2;
        s->len = 0;
        s->slots = mem_alloc_array(s->room, sizeof(*s->slots));
        for (size_t i = 0; i < n; i++) {
            if (old[i] != 0) {
                (void)put_hash(s, old[i]);
            }
        }
        mem_free(old);
    }
    return put_hash(s, h == 0 ? 1 : h);
}
