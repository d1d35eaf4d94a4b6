/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Test reports of every dialect as one: suites, cases, and values below them; a zip of reports is
 * read member by member. What the report claims (its counts) and what it lists (its cases) are both
 * said; work/qa compares them.
 * Owns: the lists. Threads: one. Limits: the sink's; SUITES_MAX, CASES_MAX; a zip unpacks to at
 * most the limit of input bytes.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <zip.h>

#include "base/text/text.h"
#include "worker/formats/tests_internal.h"

#define SUITES_MAX 200000u
#define CASES_MAX 1000000u
#define ATTEMPTS_MAX 200u
#define ARENA_MAX ((size_t)1 << 30)
#define RATIO_MAX 500
#define RATIO_FROM (1u << 20)
#define SECONDS_MAX 1e9

static const char *const field_names[] = {
#define TESTS_FIELD(name, path) path,
#include "run/document/document_tests.def"
#undef TESTS_FIELD
};
enum field {
#define TESTS_FIELD(name, path) FIELD_##name,
#include "run/document/document_tests.def"
#undef TESTS_FIELD
};

static const char *const state_names[] = {"passed", "failed", "error", "skipped"};

/* ---- filling ---- */

static void *grow(void *list, size_t *room, size_t len, size_t size)
{
    if (len < *room) {
        return list;
    }
    *room = *room == 0 ? 64 : *room * 2;
    return mem_realloc(list, *room * size);
}

uint32_t tests_add_suite(struct tests *t, uint32_t parent, const char *name, uint32_t at_line)
{
    if (t->suites_len >= SUITES_MAX) {
        (void)sink_fail(t->out, FAIL_TOO_LARGE, "Split the report.",
                        "the report has more than %u suites", SUITES_MAX);
        return parent;
    }
    t->suites = grow(t->suites, &t->suites_room, t->suites_len, sizeof(*t->suites));
    t->suites[t->suites_len] = (struct tests_suite){.name = name,
                                                    .parent = parent,
                                                    .claim = {-1, -1, -1, -1, -1},
                                                    .us = -1,
                                                    .at_line = at_line,
                                                    .part = t->out->part};
    return (uint32_t)t->suites_len++;
}

struct tests_case *tests_add_case(struct tests *t, uint32_t suite, const char *name,
                                  uint32_t at_line)
{
    if (t->cases_len >= CASES_MAX) {
        (void)sink_fail(t->out, FAIL_TOO_LARGE, "Split the report.",
                        "the report has more than %u test cases", CASES_MAX);
        t->cases_len--; /* the last one is written over: nothing of it is said */
    }
    t->cases = grow(t->cases, &t->cases_room, t->cases_len, sizeof(*t->cases));
    struct tests_case *c = &t->cases[t->cases_len++];
    *c = (struct tests_case){.name = name, .suite = suite, .at_line = at_line, .us = -1};
    return c;
}

struct tests_attempt *tests_add_attempt(struct tests *t, struct tests_case *c,
                                        enum tests_state state)
{
    if (c->attempts_len >= ATTEMPTS_MAX) {
        (void)sink_fail(t->out, FAIL_TOO_LARGE, "No test is tried that often.",
                        "line %u: a test has more than %u attempts", c->at_line, ATTEMPTS_MAX);
        c->attempts_len--;
    }
    c->attempts = grow(c->attempts, &c->attempts_room, c->attempts_len, sizeof(*c->attempts));
    struct tests_attempt *a = &c->attempts[c->attempts_len++];
    *a = (struct tests_attempt){.state = state, .us = -1};
    return a;
}

static const char *keep(struct tests *t, const char *text, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL && text[len - 1] != '\0') {
        len--;
    }
    while (len > 0 && (*text == '\n' || *text == '\r' || *text == '\0')) {
        text++;
        len--;
    }
    if (len == 0 || t->out->failed != FAIL_NONE) {
        return NULL;
    }
    if (!arena_has_room(t->arena, len * 3 + 64)) {
        (void)sink_fail(t->out, FAIL_TOO_LARGE, "Split the report.",
                        "the report's texts need more than %zu bytes", ARENA_MAX);
        return NULL;
    }
    struct buf b;
    buf_init(&b, len * 3 + 64);
    (void)clean_add(&b, text, len);
    const char *kept = b.len == 0 ? NULL : arena_dup_strn(t->arena, b.data, b.len);
    buf_done(&b);
    return kept;
}

const char *tests_keep(struct tests *t, const char *text, size_t len)
{
    if (len > TESTS_KEEP) {
        t->cut++;
        len = TESTS_KEEP;
        while (len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80) {
            len--;
        }
    }
    return keep(t, text, len);
}

const char *tests_keep_str(struct tests *t, const char *text)
{
    return text == NULL ? NULL : tests_keep(t, text, strlen(text));
}

const char *tests_tail(struct tests *t, const char *text, size_t len)
{
    size_t from = len > TESTS_OUTPUT ? len - TESTS_OUTPUT : 0;
    while (from < len && ((unsigned char)text[from] & 0xC0) == 0x80) {
        from++;
    }
    return keep(t, text + from, len - from);
}

const char *tests_join(struct tests *t, const char *a, const char *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    struct buf both;
    buf_init(&both, 4 * TESTS_KEEP);
    (void)(buf_add_str(&both, a) && buf_add_char(&both, '\n') && buf_add_str(&both, b));
    const char *kept = tests_keep(t, both.data, both.len);
    buf_done(&both);
    return kept;
}

/* ---- numbers ---- */

/* A comma stands between thousands where a point follows, or three digits do; else it is the
   point of languages that write one so. */
int64_t tests_seconds(const char *text)
{
    char plain[64];
    size_t n = 0;
    double v;
    if (text == NULL) {
        return -1;
    }
    bool point = strchr(text, '.') != NULL;
    for (const char *p = text; *p != '\0' && n < sizeof(plain) - 1; p++) {
        bool thousands = *p == ',' && (point || (strspn(p + 1, "0123456789") == 3 &&
                                                 strchr(p + 1, ',') == NULL && p != text &&
                                                 *text != '0'));
        if (!thousands && *p != ' ' && !(*p == 's' && p[1] == '\0')) {
            plain[n++] = *p == ',' ? '.' : *p;
        }
    }
    plain[n] = '\0';
    return text_read_double(plain, &v) && v >= 0 && v <= SECONDS_MAX ? (int64_t)llround(v * 1e6)
                                                                     : -1;
}

int64_t tests_from_ms(double ms)
{
    return isfinite(ms) && ms >= 0 && ms <= SECONDS_MAX * 1e3 ? (int64_t)llround(ms * 1e3) : -1;
}

int64_t tests_number(const char *text)
{
    int64_t v;
    return text != NULL && text_read_int(text, 0, INT32_MAX, &v) ? v : -1;
}

/* ---- saying it ---- */

struct place {
    uint32_t suite, row;
    unsigned level;
    uint32_t line, part;
};

static void put(struct tests *t, const struct place *at, enum field field, const char *text)
{
    struct document_block b = {.kind = DOCUMENT_VALUE,
                               .level = at->level,
                               .table = at->suite,
                               .row = at->row,
                               .line = at->line,
                               .part = at->part,
                               .path = field_names[field]};
    if (text != NULL) {
        b.text = text;
        b.len = strlen(text);
        (void)sink_block(t->out, &b);
    }
}

static void put_int(struct tests *t, const struct place *at, enum field field, int64_t v)
{
    char text[24];
    if (v >= 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)v);
        put(t, at, field, text);
    }
}

static void put_claim(struct tests *t, const struct place *at, const struct tests_claim *c)
{
    put_int(t, at, FIELD_TESTS, c->tests);
    put_int(t, at, FIELD_FAILURES, c->failures);
    put_int(t, at, FIELD_ERRORS, c->errors);
    put_int(t, at, FIELD_SKIPPED, c->skipped);
    put_int(t, at, FIELD_DISABLED, c->disabled);
}

static void put_suite(struct tests *t, uint32_t number)
{
    const struct tests_suite *s = &t->suites[number];
    struct place at = {.suite = number, .line = s->at_line, .part = s->part};
    struct document_block b = {.kind = DOCUMENT_SUITE,
                               .table = number,
                               .line = s->at_line,
                               .part = s->part,
                               .text = s->name == NULL ? "" : s->name};
    b.len = strlen(b.text);
    if (number > 0) {
        (void)sink_block(t->out, &b);
    }
    put_int(t, &at, FIELD_PARENT, s->parent > 0 ? (int64_t)s->parent : -1);
    put_claim(t, &at, &s->claim);
    put_int(t, &at, FIELD_DURATION, s->us);
    put(t, &at, FIELD_FILE, s->file);
    put(t, &at, FIELD_MESSAGE, s->message);
    put(t, &at, FIELD_TRACE, s->trace);
}

static void put_case(struct tests *t, uint32_t row)
{
    const struct tests_case *c = &t->cases[row - 1];
    struct place at = {.suite = c->suite, .row = row, .line = c->at_line,
                       .part = t->suites[c->suite].part};
    struct document_block b = {.kind = DOCUMENT_CASE,
                               .table = c->suite,
                               .row = row,
                               .line = c->at_line,
                               .part = at.part,
                               .begin = c->begin,
                               .end = c->end,
                               .text = c->name == NULL ? "" : c->name};
    b.len = strlen(b.text);
    (void)sink_block(t->out, &b);
    put(t, &at, FIELD_STATE, state_names[c->state]);
    put(t, &at, FIELD_CLASS, c->class_name);
    put(t, &at, FIELD_DISPLAY, c->display);
    put_int(t, &at, FIELD_DURATION, c->us);
    put(t, &at, FIELD_FILE, c->file);
    put_int(t, &at, FIELD_LINE, c->line > 0 ? c->line : -1);
    put(t, &at, FIELD_TYPE, c->type);
    put(t, &at, FIELD_MESSAGE, c->message);
    put(t, &at, FIELD_TRACE, c->trace);
    put(t, &at, FIELD_OUTPUT, c->output);
    put(t, &at, FIELD_FLAKY, c->flaky ? "true" : NULL);
    for (size_t i = 0; i < c->attempts_len; i++) {
        const struct tests_attempt *a = &c->attempts[i];
        at.level = (unsigned)i + 1;
        put(t, &at, FIELD_STATE, state_names[a->state]);
        put_int(t, &at, FIELD_DURATION, a->us);
        put(t, &at, FIELD_TYPE, a->type);
        put(t, &at, FIELD_MESSAGE, a->message);
        put(t, &at, FIELD_TRACE, a->trace);
    }
}

static enum fail put_all(struct tests *t)
{
    const struct place run = {0};
    put(t, &run, FIELD_DIALECT, t->dialect);
    put(t, &run, FIELD_TOOL, t->tool);
    put(t, &run, FIELD_STARTED, t->started);
    for (size_t i = 0; i < t->suites_len; i++) {
        put_suite(t, (uint32_t)i);
    }
    for (size_t i = 1; i <= t->cases_len; i++) {
        put_case(t, (uint32_t)i);
    }
    if (t->cut > 0) {
        sink_warn(t->out, "%u long texts were cut to %u bytes", t->cut, TESTS_KEEP);
    }
    return t->out->failed;
}

/* ---- one report ---- */

static enum fail read_decoded(struct tests *t, const char *text, size_t len)
{
    size_t at = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    while (at < len && strchr(" \t\r\n", text[at]) != NULL && text[at] != '\0') {
        at++;
    }
    if (at == len) {
        return sink_fail(t->out, FAIL_BAD_REQUEST, "Was the run stopped before it wrote it?",
                         "the test report is empty");
    }
    if (text[at] == '<') {
        return tests_read_xml(t, text, len);
    }
    bool is_any = false;
    if (text[at] != '{' && text[at] != '[' &&
        (tests_read_lines(t, text, len, &is_any) != FAIL_NONE || !is_any)) {
        return sink_fail(t->out, FAIL_BAD_REQUEST,
                         "docs/reference/qa-regression.md lists what is read.",
                         "line 1: this is neither XML nor JSON: no test report begins like this");
    }
    return text[at] == '{' || text[at] == '[' ? tests_read_json(t, text, len) : t->out->failed;
}

static enum fail read_report(struct tests *t, const char *bytes, size_t len, const char *charset)
{
    struct decoded d;
    char declared[64];
    xml_find_charset(bytes, len, declared);
    enum fail f = charset_decode(t->out, bytes, len, charset,
                                 declared[0] != '\0' ? declared : NULL, &d);
    if (f == FAIL_NONE && !t->out->started) {
        f = sink_start(t->out, "tests", d.charset);
    }
    if (f == FAIL_NONE) {
        f = read_decoded(t, d.text, d.len);
    }
    charset_done(&d);
    return f;
}

/* ---- a zip of them ---- */

static bool is_report_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash == NULL ? name : slash + 1;
    return base[0] != '.' && base[0] != '\0' &&
           (text_ends_with(base, ".xml") || text_ends_with(base, ".trx") ||
            text_ends_with(base, ".json") || text_ends_with(base, ".jsonl"));
}

static enum fail read_member(struct tests *t, zip_t *zip, const zip_stat_t *st, size_t number)
{
    struct sink *out = t->out;
    if ((st->valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && st->encryption_method != ZIP_EM_NONE) {
        return sink_fail(out, FAIL_UNSUPPORTED, "Pack it without a password.",
                         "member %zu of the zip is encrypted", number);
    }
    if (st->size > out->limits.input_bytes ||
        (st->size > RATIO_FROM &&
         (st->comp_size == 0 || st->size / st->comp_size > RATIO_MAX))) {
        return sink_fail(out, FAIL_TOO_LARGE, "No test report is packed like this.",
                         "member %zu of the zip unpacks to %llu bytes", number,
                         (unsigned long long)st->size);
    }
    char *bytes = mem_alloc(st->size + 1);
    zip_file_t *file = zip_fopen_index(zip, st->index, 0);
    zip_int64_t n = file == NULL ? -1 : zip_fread(file, bytes, st->size);
    if (file != NULL) {
        zip_fclose(file);
    }
    if (n < 0 || (zip_uint64_t)n != st->size) {
        (void)sink_fail(out, FAIL_BAD_REQUEST, "Pack it again.",
                        "member %zu of the zip cannot be unpacked", number);
    } else {
        out->part = (uint32_t)number;
        if (read_report(t, bytes, st->size, NULL) != FAIL_NONE) {
            char said[200];
            (void)text_copy(said, sizeof(said), out->why.message);
            (void)FAULT(&out->why, out->failed, "member %zu of the zip: %s", number, said);
        }
    }
    mem_free(bytes);
    return out->failed;
}

static enum fail read_zip(struct tests *t, const char *bytes, size_t len)
{
    struct sink *out = t->out;
    zip_error_t e;
    uint64_t sum = 0;
    size_t reports = 0;
    zip_error_init(&e);
    zip_source_t *source = zip_source_buffer_create(bytes, len, 0, &e);
    zip_t *zip = source == NULL ? NULL : zip_open_from_source(source, ZIP_RDONLY, &e);
    if (zip == NULL) {
        zip_source_free(source);
        zip_error_fini(&e);
        return sink_fail(out, FAIL_BAD_REQUEST, "Pack it again.", "this is no whole zip");
    }
    zip_int64_t members = zip_get_num_entries(zip, 0);
    if (members > (zip_int64_t)out->limits.parts) {
        (void)sink_fail(out, FAIL_TOO_LARGE, "Split the zip.",
                        "the zip has more than %u members", out->limits.parts);
    }
    for (zip_int64_t i = 0; i < members && out->failed == FAIL_NONE; i++) {
        zip_stat_t st;
        if (zip_stat_index(zip, (zip_uint64_t)i, 0, &st) != 0 || st.name == NULL ||
            !is_report_name(st.name)) {
            continue;
        }
        reports++;
        sum += st.size;
        if (sum > out->limits.input_bytes) {
            (void)sink_fail(out, FAIL_TOO_LARGE, "Split the zip, or raise this limit.",
                            "the zip unpacks to more than %llu bytes",
                            (unsigned long long)out->limits.input_bytes);
        } else {
            (void)read_member(t, zip, &st, (size_t)i + 1);
        }
    }
    out->part = 0;
    if (out->failed == FAIL_NONE && reports == 0) {
        (void)sink_fail(out, FAIL_BAD_REQUEST, "Reports end in .xml, .trx, .json or .jsonl.",
                        "the zip holds no test report");
    }
    zip_discard(zip);
    zip_error_fini(&e);
    return out->failed;
}

enum fail tests_read(const struct source *in, struct sink *out)
{
    struct tests t = {.out = out, .arena = arena_new(ARENA_MAX)};
    (void)tests_add_suite(&t, 0, NULL, 0); /* the run */
    bool zipped = in->len > 3 && memcmp(in->bytes, "PK\3\4", 4) == 0;
    enum fail f = zipped ? read_zip(&t, in->bytes, in->len)
                         : read_report(&t, in->bytes, in->len, in->charset);
    if (f == FAIL_NONE && !out->started) {
        f = sink_start(out, "tests", "");
    }
    if (f == FAIL_NONE) {
        f = put_all(&t);
    }
    for (size_t i = 0; i < t.cases_len; i++) {
        mem_free(t.cases[i].attempts);
    }
    mem_free(t.cases);
    mem_free(t.suites);
    arena_free(t.arena);
    return f;
}
