/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record as a file: JSONL that verifies by itself, and the lines that a SIEM reads. CEF is
 * ArcSight's format 0 (Implementing CEF, revision 25), syslog RFC 5424, OTLP the JSON of
 * ExportLogsServiceRequest, one a line. Resumable: PATH.state says how far the file is good.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "trust/audit/audit_internal.h"

#define PATH_ROOM 4096
#define SCAN_MAX INT64_MAX
#define SAVE_EVERY 8192
#define LINE_BYTES ((size_t)6 * AUDIT_LEAF_MAX + 8192)
#define ENTERPRISE "32473" /* RFC 5612: reserved for documentation; we have no number of our own */

static const char *const formats[] = {"jsonl", "cef", "syslog", "otlp"};

bool audit_format_find(const char *name, enum audit_format *out)
{
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (strcmp(name, formats[i]) == 0) {
            *out = (enum audit_format)i;
            return true;
        }
    }
    return false;
}

struct export {
    const struct audit_export_options *o;
    struct audit_exported *done;
    struct store_conn *conn;
    FILE *file;
    struct audit_tree *tree;
    struct audit_note note;
    struct buf note_text, line;
    bool narrow;   /* a query: each line proves itself */
    int64_t from;  /* the first leaf of the file */
    int64_t bytes; /* of the file that are good */
    enum fail code;
    struct fault *why;
};

static enum fail fault_file(const struct export *x, struct fault *why)
{
    FAULT_ERRNO(why, fail_from_write_errno(errno), "could not write %s", x->o->path);
    return fail_hint(why, "Make room and run the same command with --resume.");
}

static bool put_line(struct export *x)
{
    buf_add_char(&x->line, '\n');
    ASSERT(!x->line.overflow);
    if (fwrite(x->line.data, 1, x->line.len, x->file) != x->line.len) {
        x->code = fault_file(x, x->why);
        return false;
    }
    x->bytes += (int64_t)x->line.len;
    return true;
}

/* ---- state ---- */

static void state_path(const struct export *x, char out[PATH_ROOM])
{
    (void)snprintf(out, PATH_ROOM, "%s.state", x->o->path);
}

/* The file up to `bytes` first, then what says so. */
static enum fail save(struct export *x, struct fault *why)
{
    char path[PATH_ROOM], draft[PATH_ROOM + 8];
    if (fflush(x->file) != 0 || fdatasync(fileno(x->file)) != 0) {
        return fault_file(x, why);
    }
    state_path(x, path);
    (void)snprintf(draft, sizeof(draft), "%s.tmp", path);
    FILE *f = fopen(draft, "we");
    if (f == NULL) {
        return fault_file(x, why);
    }
    bool good = fprintf(f, "%s %s %lld %lld %lld\n", formats[x->o->format], x->note.origin,
                        (long long)x->from, (long long)x->done->next, (long long)x->bytes) > 0;
    good = fflush(f) == 0 && fdatasync(fileno(f)) == 0 && good;
    good = fclose(f) == 0 && good;
    return good && rename(draft, path) == 0 ? FAIL_NONE : fault_file(x, why);
}

static enum fail fault_state(const struct export *x, struct fault *why)
{
    FAULT(why, FAIL_CONFLICT, "%s cannot be gone on with: its .state is missing, damaged, of "
          "another format or of another log", x->o->path);
    return fail_hint(why, "Export into a new file.");
}

static enum fail resume(struct export *x, struct fault *why)
{
    char path[PATH_ROOM], format[16], origin[AUDIT_ORIGIN_SIZE];
    long long from = -1, next = -1, bytes = -1;
    state_path(x, path);
    FILE *f = fopen(path, "re");
    int n = f != NULL ? fscanf(f, "%15s %63s %lld %lld %lld", format, origin, &from, &next, &bytes)
                      : 0;
    if (f != NULL) {
        fclose(f);
    }
    if (n != 5 || strcmp(format, formats[x->o->format]) != 0 ||
        strcmp(origin, x->note.origin) != 0 || from < 0 || next < from || bytes < 0 ||
        next > x->note.size) {
        return fault_state(x, why);
    }
    x->file = fopen(x->o->path, "r+e");
    if (x->file == NULL || fseek(x->file, 0, SEEK_END) != 0 || ftell(x->file) < bytes) {
        return fault_state(x, why);
    }
    if (ftruncate(fileno(x->file), bytes) != 0 || fseek(x->file, bytes, SEEK_SET) != 0) {
        return fault_file(x, why);
    }
    x->from = from;
    x->done->next = next;
    x->bytes = bytes;
    return FAIL_NONE;
}

/* ---- JSONL ---- */

static void put_hashes(struct jn_writer *w, const char *key, const uint8_t (*hashes)[32], int n)
{
    char b64[48];
    jn_key(w, key);
    jn_array_begin(w);
    for (int i = 0; i < n; i++) {
        text_base64(hashes[i], AUDIT_HASH_SIZE, b64);
        jn_put_str(w, b64);
    }
    jn_array_end(w);
}

static enum fail put_head(struct export *x)
{
    struct jn_writer w;
    struct audit_edge left = {0};
    enum fail f = x->narrow ? FAIL_NONE : audit_tree_edges(x->tree, 0, x->from, &left, x->why);
    if (f != FAIL_NONE) {
        return f;
    }
    buf_clear(&x->line);
    jn_begin(&w, &x->line, true);
    jn_object_begin(&w);
    if (!x->narrow) {
        jn_kv_int(&w, "from", x->from);
    }
    jn_kv_int(&w, "inhouse_audit", 1);
    jn_kv_str(&w, "key", x->o->vkey);
    if (!x->narrow) {
        put_hashes(&w, "left", (const uint8_t (*)[32])left.hashes, left.len);
    }
    jn_object_end(&w);
    return put_line(x) ? FAIL_NONE : x->code;
}

static void put_note(struct export *x, struct jn_writer *w)
{
    jn_key(w, "checkpoint");
    jn_put_strn(w, x->note_text.data, x->note_text.len);
}

static enum fail put_end(struct export *x)
{
    struct jn_writer w;
    struct audit_edge right;
    enum fail f = audit_tree_edges(x->tree, x->done->next, x->note.size, &right, x->why);
    if (f != FAIL_NONE) {
        return f;
    }
    buf_clear(&x->line);
    jn_begin(&w, &x->line, true);
    jn_object_begin(&w);
    put_note(x, &w);
    put_hashes(&w, "right", (const uint8_t (*)[32])right.hashes, right.len);
    jn_kv_int(&w, "to", x->done->next);
    jn_object_end(&w);
    return put_line(x) ? FAIL_NONE : x->code;
}

/* Before the records of one run of a narrow export: what their proofs lead to. */
static enum fail put_ground(struct export *x)
{
    struct jn_writer w;
    buf_clear(&x->line);
    jn_begin(&w, &x->line, true);
    jn_object_begin(&w);
    put_note(x, &w);
    jn_object_end(&w);
    return put_line(x) ? FAIL_NONE : x->code;
}

/* The log's own checkpoint at this size: it narrows down what a changed leaf leaves open. */
static bool put_stride(struct export *x, int64_t size)
{
    AUTO_STMT struct store_stmt *s =
        store_query(x->conn, "SELECT note FROM checkpoint WHERE size = ?1");
    store_bind_int(s, 1, size);
    bool row = false;
    x->code = store_step(s, &row, x->why);
    if (x->code != FAIL_NONE || !row) {
        return x->code == FAIL_NONE;
    }
    struct jn_writer w;
    buf_clear(&x->line);
    jn_begin(&w, &x->line, true);
    jn_object_begin(&w);
    jn_kv_str(&w, "checkpoint", store_col_text(s, 0));
    jn_object_end(&w);
    return put_line(x);
}

static bool put_jsonl(struct export *x, int64_t seq, const char *body, size_t n)
{
    if (!x->narrow) {
        if (seq > x->from && !put_stride(x, seq)) {
            return false;
        }
        buf_clear(&x->line);
        buf_add(&x->line, body, n);
        return put_line(x);
    }
    buf_clear(&x->line);
    struct audit_proof p;
    struct jn_writer w;
    x->code = audit_tree_inclusion(x->tree, seq, &p, x->why);
    if (x->code != FAIL_NONE) {
        return false;
    }
    jn_begin(&w, &x->line, true);
    jn_object_begin(&w);
    put_hashes(&w, "proof", (const uint8_t (*)[32])p.hashes, p.hashes_len);
    jn_key(&w, "record");
    jn_put_raw(&w, body, n);
    jn_object_end(&w);
    return put_line(x);
}

/* ---- for a SIEM ---- */

struct leaf_view {
    const char *kind, *actor, *team, *task, *rung, *verdict;
    int64_t at;
    bool warn;
    char hash[65];
};

static const char *text_of(const json_t *leaf, const char *key)
{
    const char *s = json_string_value(json_object_get(leaf, key));
    return s != NULL ? s : "";
}

static void view(const json_t *leaf, const char *body, size_t n, struct leaf_view *v)
{
    static const char *const loud[] = {"failed", "cut", "refused", "revoked", "erased"};
    uint8_t hash[AUDIT_HASH_SIZE];
    *v = (struct leaf_view){.kind = text_of(leaf, "kind"),
                            .actor = text_of(leaf, "actor"),
                            .team = text_of(leaf, "team"),
                            .task = text_of(leaf, "task"),
                            .rung = text_of(leaf, "rung"),
                            .verdict = text_of(leaf, "verdict"),
                            .at = json_integer_value(json_object_get(leaf, "at"))};
    for (size_t i = 0; i < COUNT_OF(loud); i++) {
        v->warn = v->warn || strcmp(v->kind, loud[i]) == 0;
    }
    audit_leaf_hash(body, n, hash);
    text_hex(hash, sizeof(hash), v->hash);
}

/* CEF escapes: in the head "\" and "|", in an extension "\", "=" and line ends. */
static void put_escaped(struct buf *out, const char *s, size_t n, char special)
{
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n' || s[i] == '\r') {
            buf_add_str(out, s[i] == '\n' ? "\\n" : "\\r");
            continue;
        }
        if (s[i] == '\\' || s[i] == special) {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, s[i]);
    }
}

static void put_extension(struct buf *out, const char *key, const char *label, const char *value)
{
    if (value[0] == '\0') {
        return;
    }
    if (label != NULL) {
        buf_printf(out, " %sLabel=%s", key, label);
    }
    buf_printf(out, " %s=", key);
    put_escaped(out, value, strlen(value), '=');
}

static void put_cef(struct buf *out, int64_t seq, const struct leaf_view *v, const char *body,
                    size_t n)
{
    buf_add_str(out, "CEF:0|inhouse|inhouse|1|");
    put_escaped(out, v->kind, strlen(v->kind), '|');
    buf_printf(out, "|inhouse ");
    put_escaped(out, v->kind, strlen(v->kind), '|');
    buf_printf(out, "|%d|rt=%lld externalId=%lld", v->warn ? 6 : 3, (long long)(v->at / 1000),
               (long long)seq);
    put_extension(out, "suser", NULL, v->actor);
    put_extension(out, "cs1", "team", v->team);
    put_extension(out, "cs2", "task", v->task);
    put_extension(out, "cs3", "rung", v->rung);
    put_extension(out, "cs4", "verdict", v->verdict);
    put_extension(out, "cs5", "leafHash", v->hash);
    buf_add_str(out, " msg=");
    put_escaped(out, body, n, '=');
}

static void put_syslog(struct buf *out, int64_t seq, const struct leaf_view *v, const char *body,
                       size_t n)
{
    char at[CLOCK_RFC3339_SIZE], host[65] = "-";
    if (gethostname(host, sizeof(host)) != 0 || host[0] == '\0') {
        (void)text_copy(host, sizeof(host), "-");
    }
    host[sizeof(host) - 1] = '\0';
    /* facility 13, log audit */
    buf_printf(out, "<%d>1 %s %s inhouse - %.32s [inhouse@" ENTERPRISE " seq=\"%lld\" "
               "leaf=\"%s\"] ",
               13 * 8 + (v->warn ? 4 : 6), clock_show(v->at, at), host, v->kind, (long long)seq,
               v->hash);
    put_cef(out, seq, v, body, n);
}

static void put_attribute(struct jn_writer *w, const char *key, const char *value)
{
    if (value[0] == '\0') {
        return;
    }
    jn_object_begin(w);
    jn_kv_str(w, "key", key);
    jn_key(w, "value");
    jn_object_begin(w);
    jn_kv_str(w, "stringValue", value);
    jn_object_end(w);
    jn_object_end(w);
}

static void put_otlp_record(struct jn_writer *w, int64_t seq, const struct leaf_view *v,
                            const char *body, size_t n)
{
    char number[32];
    (void)snprintf(number, sizeof(number), "%lld000", (long long)v->at);
    jn_object_begin(w);
    jn_kv_str(w, "timeUnixNano", number);
    jn_kv_str(w, "observedTimeUnixNano", number);
    jn_kv_int(w, "severityNumber", v->warn ? 13 : 9);
    jn_kv_str(w, "severityText", v->warn ? "WARN" : "INFO");
    jn_key(w, "body");
    jn_object_begin(w);
    jn_key(w, "stringValue");
    jn_put_strn(w, body, n);
    jn_object_end(w);
    jn_key(w, "attributes");
    jn_array_begin(w);
    (void)snprintf(number, sizeof(number), "%lld", (long long)seq);
    put_attribute(w, "inhouse.audit.seq", number);
    put_attribute(w, "inhouse.audit.kind", v->kind);
    put_attribute(w, "inhouse.audit.leaf_hash", v->hash);
    put_attribute(w, "inhouse.team", v->team);
    put_attribute(w, "inhouse.task", v->task);
    put_attribute(w, "inhouse.rung", v->rung);
    put_attribute(w, "inhouse.verdict", v->verdict);
    put_attribute(w, "enduser.id", v->actor);
    jn_array_end(w);
    jn_object_end(w);
}

static void put_otlp(struct buf *out, int64_t seq, const struct leaf_view *v, const char *body,
                     size_t n)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_key(&w, "resourceLogs");
    jn_array_begin(&w);
    jn_object_begin(&w);
    jn_key(&w, "resource");
    jn_object_begin(&w);
    jn_key(&w, "attributes");
    jn_array_begin(&w);
    put_attribute(&w, "service.name", "inhouse");
    jn_array_end(&w);
    jn_object_end(&w);
    jn_key(&w, "scopeLogs");
    jn_array_begin(&w);
    jn_object_begin(&w);
    jn_key(&w, "scope");
    jn_object_begin(&w);
    jn_kv_str(&w, "name", "inhouse.audit");
    jn_object_end(&w);
    jn_key(&w, "logRecords");
    jn_array_begin(&w);
    put_otlp_record(&w, seq, v, body, n);
    jn_array_end(&w);
    jn_object_end(&w);
    jn_array_end(&w);
    jn_object_end(&w);
    jn_array_end(&w);
    jn_object_end(&w);
}

static bool put_event(struct export *x, int64_t seq, const char *body, size_t n)
{
    json_t *leaf AUTO_JSON = NULL;
    struct leaf_view v;
    x->code = jn_parse(body, n, "a record", &leaf, x->why);
    if (x->code != FAIL_NONE) {
        return false;
    }
    view(leaf, body, n, &v);
    buf_clear(&x->line);
    if (x->o->format == AUDIT_FORMAT_CEF) {
        put_cef(&x->line, seq, &v, body, n);
    } else if (x->o->format == AUDIT_FORMAT_SYSLOG) {
        put_syslog(&x->line, seq, &v, body, n);
    } else {
        put_otlp(&x->line, seq, &v, body, n);
    }
    return put_line(x);
}

/* The checkpoint beside a file that has no place for it. */
static enum fail put_checkpoint(struct export *x)
{
    char path[PATH_ROOM];
    (void)snprintf(path, sizeof(path), "%s.checkpoint", x->o->path);
    FILE *f = fopen(path, "we");
    bool good = f != NULL &&
                fwrite(x->note_text.data, 1, x->note_text.len, f) == x->note_text.len;
    good = f != NULL && fclose(f) == 0 && good;
    return good ? FAIL_NONE : fault_file(x, x->why);
}

/* ---- the run ---- */

static bool take(void *arg, int64_t seq, const char *body, size_t n)
{
    struct export *x = arg;
    if (seq >= x->note.size) {
        return false;
    }
    bool jsonl = x->o->format == AUDIT_FORMAT_JSONL;
    if (!(jsonl ? put_jsonl(x, seq, body, n) : put_event(x, seq, body, n))) {
        return false;
    }
    x->done->next = seq + 1;
    x->done->written++;
    if (x->done->written % SAVE_EVERY == 0) {
        x->code = save(x, x->why);
    }
    bool go_on = x->code == FAIL_NONE && x->done->written < x->o->limit;
    if (go_on && x->o->progress != NULL && x->done->written % 512 == 0) {
        go_on = x->o->progress(x->o->arg, seq + 1, x->note.size);
    }
    x->done->stopped = !go_on;
    return go_on;
}

static enum fail begin(struct export *x, struct fault *why)
{
    const struct audit_export_options *o = x->o;
    if (o->resume) {
        return resume(x, why);
    }
    x->file = fopen(o->path, "wxe");
    if (x->file == NULL && errno == EEXIST) {
        FAULT(why, FAIL_CONFLICT, "%s is there already", o->path);
        return fail_hint(why, "Take another name, or --resume to go on with it.");
    }
    if (x->file == NULL) {
        return fault_file(x, why);
    }
    if (o->from > x->note.size) {
        return FAULT(why, FAIL_NOT_FOUND, "the record has %lld leaves; there is none to export "
                     "from %lld on", (long long)x->note.size, (long long)o->from);
    }
    x->from = x->done->next = o->from;
    return o->format == AUDIT_FORMAT_JSONL ? put_head(x) : FAIL_NONE;
}

static enum fail run(struct export *x, struct fault *why)
{
    struct audit_verifier nobody = {0};
    const struct audit_query *q = &x->o->query;
    bool jsonl = x->o->format == AUDIT_FORMAT_JSONL;
    x->narrow = q->actor != NULL || q->kind != NULL || q->rung != NULL || q->task != NULL ||
                q->team != NULL || q->verdict != NULL || q->releases_len > 0 || q->since != 0 ||
                q->until != 0;
    enum fail f = audit_checkpoint_get(x->conn, &x->note_text, why);
    if (f == FAIL_NONE &&
        !audit_note_read(x->note_text.data, x->note_text.len, &nobody, &x->note)) {
        f = FAULT(why, FAIL_INTERNAL, "the newest checkpoint is malformed");
    }
    f = f != FAIL_NONE ? f : audit_tree_open(x->conn, x->note.size, &x->tree, why);
    x->done->size = x->note.size;
    f = f != FAIL_NONE ? f : begin(x, why);
    f = f == FAIL_NONE && jsonl && x->narrow ? put_ground(x) : f;
    int64_t next = 0;
    f = f != FAIL_NONE ? f
                       : audit_search(x->conn, q, x->done->next, SCAN_MAX, take, x, &next, why);
    f = f != FAIL_NONE ? f : x->code;
    if (f == FAIL_NONE && !x->done->stopped) {
        x->done->next = x->note.size; /* the rest did not match */
    }
    f = f != FAIL_NONE ? f : save(x, why);
    if (f == FAIL_NONE && !x->narrow && jsonl) {
        f = put_end(x);
    } else if (f == FAIL_NONE && !jsonl) {
        f = put_checkpoint(x);
    }
    return f;
}

enum fail audit_export(struct store_conn *conn, const struct audit_export_options *o,
                       struct audit_exported *out, struct fault *why)
{
    struct export x = {.o = o, .done = out, .conn = conn, .why = why};
    memset(out, 0, sizeof(*out));
    if (strlen(o->path) + 32 > PATH_ROOM) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the export is too long");
    }
    buf_init(&x.note_text, AUDIT_NOTE_MAX + 1);
    buf_init(&x.line, LINE_BYTES);
    enum fail f = run(&x, why);
    if (x.file != NULL && fclose(x.file) != 0 && f == FAIL_NONE) {
        f = fault_file(&x, why);
    }
    audit_tree_free(x.tree);
    buf_done(&x.note_text);
    buf_done(&x.line);
    return f;
}
