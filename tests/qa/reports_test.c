/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every test report of INHOUSE_DATA/test_reports through the sealed reader and work/qa: the counts
 * are those that the reports' own repositories publish (X.results.json beside X.xml, and dorny's
 * Markdown summaries); what is malformed or declares an entity is refused with what and where; and
 * of what is said of each run against the one before it, every test name is a report's, while
 * sentences with a planted name or number are refused. Prints how many of each.
 * Needs INHOUSE_BUILD and the data; exits 77 without.
 */
#include <fts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json/json.h"
#include "base/text/text.h"
#include "run/reader/reader.h"
#include "work/qa/qa.h"

#define FILES_MAX 2000
#define BYTES_MAX ((size_t)16 << 20)

static char root[3000], reader_path[3000], workflow_path[3000];
static char *paths[FILES_MAX];
static size_t paths_len;
static struct {
    int parsed, compared, right, refused, wrongly_read, wrongly_refused;
    int sentences, held, names, invented, planted, others, caught;
} tally;

/* ---- files ---- */

static char *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return NULL;
    }
    char *bytes = mem_alloc(BYTES_MAX);
    *len = fread(bytes, 1, BYTES_MAX - 1, f);
    fclose(f);
    return bytes;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool is_report(const char *path)
{
    return !text_ends_with(path, ".results.json") && strstr(path, "/expected/") == NULL &&
           strstr(path, "/schema/") == NULL &&
           (text_ends_with(path, ".xml") || text_ends_with(path, ".trx") ||
            text_ends_with(path, ".json"));
}

static void find_files(void)
{
    char *const roots[] = {root, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *e; fts != NULL && (e = fts_read(fts)) != NULL;) {
        if (e->fts_info == FTS_F && paths_len < FILES_MAX && is_report(e->fts_path)) {
            paths[paths_len++] = mem_dup_str(e->fts_path);
        }
    }
    if (fts != NULL) {
        fts_close(fts);
    }
}

static struct qa_run *read_run(const char *path, struct fault *why)
{
    size_t len;
    struct document *d = NULL;
    struct qa_run *run = NULL;
    AUTO_FREE char *bytes = read_file(path, &len);
    const struct reader_programs programs = {.reader = reader_path};
    const struct reader_ask ask = {.data = bytes, .len = len, .format = "tests",
                                   .name = strrchr(path, '/') + 1};
    if (reader_read(&programs, &ask, &d, why) == FAIL_NONE) {
        run = qa_run_new(strrchr(path, '/') + 1);
        assert_int_equal(qa_run_add(run, d, run->name, why), FAIL_NONE);
        assert_int_equal(qa_run_end(run, false, why), FAIL_NONE);
        document_free(d);
    }
    return run;
}

/* ---- what was expected ---- */

/* X.results.json beside X.EXT; NULL: there is none. */
static json_t *expected_of(const char *path)
{
    char other[4000];
    size_t len;
    struct fault why;
    json_t *j = NULL;
    const char *dot = strrchr(path, '.');
    (void)snprintf(other, sizeof(other), "%.*s.results.json", (int)(dot - path), path);
    AUTO_FREE char *text = read_file(other, &len);
    if (text != NULL) {
        assert_int_equal(jn_parse(text, len, other, &j, &why), FAIL_NONE);
    }
    return j;
}

static void same(const char *path, const char *what, int64_t want, int64_t got, bool *right)
{
    if (want != got) {
        print_message("%s: %s is %lld, expected %lld\n", path + strlen(root), what, (long long)got,
                      (long long)want);
        *right = false;
    }
}

static void compare_json(const char *path, const struct qa_run *run, const json_t *expected)
{
    const json_t *stats = json_object_get(expected, "stats");
    const struct {
        const char *key;
        int64_t got;
    } counts[] = {{"suites", run->counts.suites},      {"tests", run->counts.tests},
                  {"tests_succ", run->counts.passed},  {"tests_skip", run->counts.skipped},
                  {"tests_fail", run->counts.failed},  {"tests_error", run->counts.errors}};
    bool right = true;
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        same(path, counts[i].key, json_integer_value(json_object_get(stats, counts[i].key)),
             counts[i].got, &right);
    }
    tally.compared++;
    tally.right += right ? 1 : 0;
}

/* "|[fixtures/PATH](#x)|1 <mark>|4 <mark>||4s|": passed, failed, skipped cases */
static bool read_row(const char *markdown, char *path, size_t room, int64_t out[3])
{
    const char *at = strstr(markdown, "|[fixtures/");
    const char *end = at == NULL ? NULL : strchr(at, ']');
    if (end == NULL || (size_t)(end - at) >= room) {
        return false;
    }
    (void)snprintf(path, room, "%.*s", (int)(end - at - 11), at + 11);
    const char *cell = strchr(end, '|');
    for (int i = 0; i < 3 && cell != NULL; i++) {
        out[i] = strtol(cell + 1, NULL, 10);
        cell = strchr(cell + 1, '|');
    }
    return cell != NULL;
}

static void count_cases(const struct qa_run *run, int64_t out[3])
{
    out[0] = out[1] = out[2] = 0;
    for (size_t i = 0; i < run->cases_len; i++) {
        enum qa_state s = run->cases[i].state;
        out[s == QA_PASSED ? 0 : s == QA_SKIPPED ? 2 : 1]++;
    }
}

static void compare_markdown(const char *summary)
{
    char path[4000], name[1000];
    int64_t want[3], got[3];
    size_t len;
    struct fault why;
    bool right = true;
    AUTO_FREE char *text = read_file(summary, &len);
    if (text == NULL || !read_row(text, name, sizeof(name), want)) {
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/dorny/%s", root, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        return; /* the report itself is larger than what was taken over */
    }
    fclose(f);
    struct qa_run *run = read_run(path, &why);
    assert_non_null(run);
    count_cases(run, got);
    same(path, "passed cases", want[0], got[0], &right);
    same(path, "failed cases", want[1], got[1], &right);
    same(path, "skipped cases", want[2], got[2], &right);
    tally.compared++;
    tally.right += right ? 1 : 0;
    qa_run_free(run);
}

/* ---- tests ---- */

/* Is this one to be refused: declared broken by its repository, or with an entity? */
static bool is_bad(const char *path, const json_t *expected)
{
    size_t len;
    AUTO_FREE char *text = read_file(path, &len);
    bool entity = memmem(text, len, "<!ENTITY", 8) != NULL;
    bool enricomi = strstr(path, "/enricomi/") != NULL;
    return entity || (enricomi && expected == NULL && strstr(path, "/dart/") == NULL) ||
           json_array_size(json_object_get(json_object_get(expected, "stats"), "errors")) > 0;
}

static void every_report_has_the_counts_that_are_published(void **state)
{
    (void)state;
    for (size_t i = 0; i < paths_len; i++) {
        struct fault why = {0};
        json_t *expected = expected_of(paths[i]);
        bool bad = is_bad(paths[i], expected);
        struct qa_run *run = read_run(paths[i], &why);
        if (run == NULL) {
            tally.refused++;
            tally.wrongly_refused += bad ? 0 : 1;
            bool clear = (why.code == FAIL_BAD_REQUEST || why.code == FAIL_UNSUPPORTED) &&
                         (strstr(why.message, "line ") != NULL ||
                          strstr(why.message, "empty") != NULL) &&
                         why.hint[0] != '\0';
            if (!bad || !clear) {
                fail_msg("%s: %s", paths[i], why.message);
            }
        } else {
            tally.parsed++;
            if (bad) {
                tally.wrongly_read++;
                fail_msg("%s was read", paths[i]);
            }
            if (expected != NULL) {
                compare_json(paths[i], run, expected);
            }
        }
        qa_run_free(run);
        json_decref(expected);
    }
}

static void every_summary_has_the_counts_that_are_published(void **state)
{
    (void)state;
    char folder[3100];
    (void)snprintf(folder, sizeof(folder), "%s/dorny/expected", root);
    char *const roots[] = {folder, NULL};
    FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    for (FTSENT *e; fts != NULL && (e = fts_read(fts)) != NULL;) {
        if (e->fts_info == FTS_F && text_ends_with(e->fts_path, ".md")) {
            compare_markdown(e->fts_path);
        }
    }
    if (fts != NULL) {
        fts_close(fts);
    }
    assert_int_equal(tally.right, tally.compared);
    assert_true(tally.compared > 0);
}

/* Is it, letter by letter, a test, class, suite or file of one of the two runs? */
static bool is_name(const struct qa_run *run, const char *s, size_t n)
{
    for (size_t i = 0; run != NULL && i < run->tests_len; i++) {
        if (strlen(run->tests[i].shown) == n && memcmp(run->tests[i].shown, s, n) == 0) {
            return true;
        }
    }
    return false;
}

static void check_names(const struct qa_sentence *s, const struct qa_run *now,
                        const struct qa_run *before)
{
    for (const char *at = strchr(s->text, '`'); at != NULL; at = strchr(at, '`')) {
        const char *end = strchr(at + 1, '`');
        if (end == NULL) {
            return;
        }
        size_t n = (size_t)(end - at - 1);
        tally.names++;
        tally.invented += is_name(now, at + 1, n) || is_name(before, at + 1, n) ? 0 : 1;
        at = end + 1;
    }
}

enum planted { PLANT_NUMBER, PLANT_NAME, PLANT_OTHER_TEST };

/* A test of the run that stands otherwise: of another class, failing where this one does not. */
static const char *other_test(const struct qa_result *r, const char *name, size_t n)
{
    const struct qa_change *self = NULL;
    for (size_t i = 0; i < r->changes_len; i++) {
        const struct qa_test *t = r->changes[i].now;
        if (t != NULL && strlen(t->shown) == n && memcmp(t->shown, name, n) == 0) {
            self = &r->changes[i];
        }
    }
    for (size_t i = 0; self != NULL && i < r->changes_len; i++) {
        const struct qa_change *c = &r->changes[i];
        if (c->now != NULL && c->class != self->class && !c->flaky &&
            qa_is_failing(c->now->state) != qa_is_failing(self->now->state) &&
            strpbrk(c->now->shown, "`\n") == NULL && c->now->name[0] != '\0') {
            return c->now->shown;
        }
    }
    return NULL;
}

/* The sentence with its first name made one that there is not, or another test's, or with its first
   number changed; NULL: it has none. */
static char *plant(const struct qa_result *r, const char *text, enum planted what)
{
    const char *tick = strchr(text, '`');
    const char *end = tick == NULL ? NULL : strchr(tick + 1, '`');
    const char *digit = strpbrk(text, "0123456789");
    struct buf b;
    buf_init(&b, 20000);
    if (what == PLANT_NUMBER && digit != NULL && (tick == NULL || digit < tick)) {
        char *rest;
        long v = strtol(digit, &rest, 10);
        (void)buf_printf(&b, "%.*s%ld%s", (int)(digit - text), text, v + 7, rest);
    } else if (what == PLANT_NAME && end != NULL) {
        (void)buf_printf(&b, "%.*s`Zq%s", (int)(tick - text), text, tick + 1);
    } else if (what == PLANT_OTHER_TEST && end != NULL) {
        const char *other = other_test(r, tick + 1, (size_t)(end - tick - 1));
        if (other != NULL && strstr(text, other) == NULL) {
            (void)buf_printf(&b, "%.*s`%s%s", (int)(tick - text), text, other, end);
        }
    }
    char *made = b.len > 0 ? buf_take(&b) : NULL;
    buf_done(&b);
    return made;
}

static void check_planted(struct qa_result *r, const struct qa_sentence *s, const char *const *all,
                          size_t n)
{
    for (int what = PLANT_NUMBER; what <= PLANT_OTHER_TEST; what++) {
        const char *detail;
        AUTO_FREE char *changed = plant(r, s->text, (enum planted)what);
        if (changed != NULL) {
            bool ok = qa_check_sentence(r, changed, all, n, &detail);
            tally.planted++;
            tally.others += what == PLANT_OTHER_TEST ? 1 : 0;
            tally.caught += ok ? 0 : 1;
            if (ok) {
                print_message("kept: %s\n", changed);
            }
        }
    }
}

static struct qa_options *read_options(void)
{
    size_t len;
    struct config_faults faults;
    struct config_tree *tree = NULL;
    AUTO_FREE char *text = read_file(workflow_path, &len);
    config_faults_init(&faults, "workflow");
    assert_non_null(text);
    assert_int_equal(config_yaml_parse(text, len, "workflow", &tree, &faults), FAIL_NONE);
    struct qa_options *o =
        qa_options_read(config_node_find(config_tree_root(tree), "options"), &faults);
    assert_int_equal(faults.count, 0);
    config_tree_free(tree);
    return o;
}

static void nothing_said_of_a_run_is_invented(void **state)
{
    (void)state;
    struct fault why;
    struct qa_run *before = NULL;
    struct qa_options *o = read_options();
    for (size_t i = 0; i < paths_len; i++) {
        struct qa_run *now = read_run(paths[i], &why);
        if (now == NULL) {
            continue;
        }
        struct qa_sentence s[64];
        const char *all[64];
        const struct qa_run *runs[] = {before};
        struct qa_result *r = qa_compare(now, runs, before == NULL ? 0 : 1, o, NULL);
        size_t n = qa_sentences(r, s, COUNT_OF(s));
        for (size_t k = 0; k < n; k++) {
            all[k] = s[k].text;
            tally.sentences++;
            tally.held += s[k].ok ? 1 : 0;
            if (s[k].ok) {
                check_names(&s[k], now, before);
            } else {
                print_message("%s: refused \"%s\" (%s)\n", now->name, s[k].text, s[k].detail);
            }
        }
        for (size_t k = 0; k < n; k++) {
            check_planted(r, &s[k], all, n);
        }
        qa_result_free(r);
        qa_run_free(before);
        before = now;
    }
    qa_run_free(before);
    qa_options_free(o);
    assert_int_equal(tally.invented, 0);
    assert_true(tally.held * 100 >= tally.sentences * 98);
    assert_int_equal(tally.caught, tally.planted);
}

static int print_tally(void **state)
{
    (void)state;
    print_message("reports: %zu files, %d parsed, %d refused (%d of them wrongly, %d wrongly "
                  "read); counts right in %d of %d that are published\n",
                  paths_len, tally.parsed, tally.refused, tally.wrongly_refused,
                  tally.wrongly_read, tally.right, tally.compared);
    print_message("said: %d sentences offered, %d held; %d test names in them, %d invented; %d "
                  "planted names, numbers and other tests (%d), %d caught\n",
                  tally.sentences, tally.held, tally.names, tally.invented, tally.planted,
                  tally.others, tally.caught);
    return 0;
}

int main(void)
{
    const char *build = getenv("INHOUSE_BUILD"), *data = getenv("INHOUSE_DATA");
    const char *source = getenv("INHOUSE_SOURCE");
    (void)snprintf(root, sizeof(root), "%s/test_reports",
                   data != NULL && data[0] != '\0' ? data : "../shared/data");
    (void)snprintf(reader_path, sizeof(reader_path), "%s/bin/inhouse-reader",
                   build != NULL ? build : ".");
    (void)snprintf(workflow_path, sizeof(workflow_path), "%s/workflows/qa-regression.yaml",
                   source != NULL ? source : ".");
    find_files();
    if (paths_len == 0 || build == NULL) {
        print_message("skipped: there are no test reports in %s, or INHOUSE_BUILD is not set\n",
                      root);
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_report_has_the_counts_that_are_published),
        cmocka_unit_test(every_summary_has_the_counts_that_are_published),
        cmocka_unit_test(nothing_said_of_a_run_is_invented),
    };
    return cmocka_run_group_tests(tests, NULL, print_tally);
}
