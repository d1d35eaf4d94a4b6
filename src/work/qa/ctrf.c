/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run as CTRF 1.0.0 (ctrf.io, schema/ctrf.schema.json), with what the comparison found as
 * insights and the run before as baseline. What CTRF has no word for stands under `extra`.
 * Rates are shares from 0 to 1, durations milliseconds.
 * Threads: none.
 */
#include <stdio.h>
#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define ATTEMPTS_SHOWN 50

static const char *status_of(enum qa_state s)
{
    return s == QA_PASSED ? "passed" : s == QA_SKIPPED ? "skipped" : "failed";
}

static int64_t ms_of(int64_t us)
{
    return us < 0 ? 0 : (us + 500) / 1000;
}

static void kv_text(struct jn_writer *w, const char *key, const char *text)
{
    if (text[0] != '\0') {
        jn_kv_str(w, key, text);
    }
}

/* A share now and before. baseline below 0: there is none. */
static void put_delta(struct jn_writer *w, const char *key, double now, double before, int decimals)
{
    jn_key(w, key);
    jn_object_begin(w);
    jn_kv_real(w, "current", now, decimals);
    if (before >= 0) {
        jn_kv_real(w, "baseline", before, decimals);
        jn_kv_real(w, "change", now - before, decimals);
    }
    jn_object_end(w);
}

/* ---- a test ---- */

static void put_insights(struct jn_writer *w, const struct qa_change *c)
{
    double runs = c->runs, before = runs > 0 ? c->failures / runs : -1;
    double failing = qa_is_failing(c->now->state) ? 1 : 0;
    jn_key(w, "insights");
    jn_object_begin(w);
    if (c->now->state != QA_SKIPPED) {
        double with = (c->failures + failing) / (runs + 1);
        put_delta(w, "passRate", 1 - with, before < 0 ? -1 : 1 - before, 4);
        put_delta(w, "failRate", with, before, 4);
    }
    if (c->now->us >= 0) {
        put_delta(w, "averageTestDuration", (double)c->now->us / 1e3,
                  c->usual_us > 0 ? (double)c->usual_us / 1e3 : -1, 3);
    }
    jn_kv_int(w, "executedInRuns", (int64_t)c->runs + (c->now->state != QA_SKIPPED ? 1 : 0));
    jn_key(w, "extra");
    jn_object_begin(w);
    jn_kv_str(w, "class", qa_class_name(c->class));
    kv_text(w, "flakyWhy", c->flaky_why);
    kv_text(w, "owner", c->owner);
    kv_text(w, "ownerWhy", c->owner_why);
    jn_object_end(w);
    jn_object_end(w);
}

static void put_attempts(struct jn_writer *w, const struct qa_case *k)
{
    if (k->attempts_len == 0) {
        return;
    }
    jn_kv_int(w, "retries", (int64_t)k->attempts_len - 1);
    jn_key(w, "retryAttempts");
    jn_array_begin(w);
    for (size_t i = 0; i < k->attempts_len && i < ATTEMPTS_SHOWN; i++) {
        const struct qa_attempt *t = &k->attempts[i];
        jn_object_begin(w);
        jn_kv_int(w, "attempt", (int64_t)i + 1);
        jn_kv_str(w, "status", status_of(t->state));
        if (t->us >= 0) {
            jn_kv_int(w, "duration", ms_of(t->us));
        }
        kv_text(w, "message", t->message);
        kv_text(w, "trace", t->trace);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_test(struct jn_writer *w, const struct qa_result *r, const struct qa_change *c)
{
    const struct qa_case *k = c->now->worst;
    jn_object_begin(w);
    jn_kv_str(w, "name", c->now->name[0] != '\0' ? c->now->name : c->now->shown);
    jn_kv_str(w, "status", status_of(c->now->state));
    jn_kv_int(w, "duration", ms_of(c->now->us));
    if (c->now->class_name[0] != '\0') {
        jn_key(w, "suite");
        jn_array_begin(w);
        jn_put_str(w, c->now->class_name);
        jn_array_end(w);
    }
    kv_text(w, "message", k->message[0] != '\0' ? k->message : c->headline);
    kv_text(w, "trace", k->trace);
    if (c->place.line > 0) {
        jn_kv_int(w, "line", c->place.line);
    }
    jn_kv_str(w, "rawStatus", qa_state_name(c->now->state));
    kv_text(w, "filePath", c->place.file[0] != '\0' ? c->place.file : k->file);
    put_attempts(w, k);
    if (c->flaky) {
        jn_kv_bool(w, "flaky", true);
    }
    put_insights(w, c);
    if (c->group != UINT32_MAX) {
        const struct qa_group *g = &r->groups[c->group];
        jn_key(w, "extra");
        jn_object_begin(w);
        jn_kv_str(w, "cause", g->cause);
        kv_text(w, "rule", g->rule);
        jn_kv_str(w, "fingerprint", g->fingerprint);
        jn_object_end(w);
    }
    jn_object_end(w);
}

/* ---- the report ---- */

static void put_summary(struct jn_writer *w, const struct qa_page *p)
{
    const struct qa_counts *n = &p->result->now->counts;
    int64_t stop = p->now / 1000;
    jn_key(w, "summary");
    jn_object_begin(w);
    jn_kv_int(w, "tests", n->tests);
    jn_kv_int(w, "passed", n->passed);
    jn_kv_int(w, "failed", n->failed + n->errors);
    jn_kv_int(w, "skipped", n->skipped);
    jn_kv_int(w, "pending", 0);
    jn_kv_int(w, "other", 0);
    jn_kv_int(w, "flaky", n->flaky);
    jn_kv_int(w, "suites", n->suites);
    /* Reports seldom say when: the run is taken to end when it was looked at. */
    jn_kv_int(w, "start", stop - ms_of(n->us) < 0 ? 0 : stop - ms_of(n->us));
    jn_kv_int(w, "stop", stop);
    jn_kv_int(w, "duration", ms_of(n->us));
    jn_object_end(w);
}

struct rates {
    double pass, fail, flaky, run_ms, test_ms;
};

static struct rates rates_of(const struct qa_run *run)
{
    const struct qa_counts *n = &run->counts;
    double ran = (double)(n->tests - n->skipped);
    ran = ran > 0 ? ran : 1;
    return (struct rates){(double)n->passed / ran, (double)(n->failed + n->errors) / ran,
                          (double)n->flaky / ran, (double)n->us / 1e3, (double)n->us / 1e3 / ran};
}

static void put_run_insights(struct jn_writer *w, const struct qa_result *r)
{
    struct rates now = rates_of(r->now);
    struct rates was = {-1, -1, -1, -1, -1};
    if (r->before_len > 0) {
        was = rates_of(r->before[r->before_len - 1]);
    }
    jn_key(w, "insights");
    jn_object_begin(w);
    put_delta(w, "passRate", now.pass, was.pass, 4);
    put_delta(w, "failRate", now.fail, was.fail, 4);
    put_delta(w, "flakyRate", now.flaky, was.flaky, 4);
    put_delta(w, "averageRunDuration", now.run_ms, was.run_ms, 3);
    put_delta(w, "averageTestDuration", now.test_ms, was.test_ms, 3);
    jn_kv_int(w, "runsAnalyzed", (int64_t)r->before_len + 1);
    jn_key(w, "extra");
    jn_object_begin(w);
    jn_kv_str(w, "verdict", qa_verdict_name(r->verdict));
    jn_kv_real(w, "pace", r->pace, 3);
    jn_key(w, "classes");
    jn_object_begin(w);
    for (int i = 0; i < QA_CLASS_COUNT; i++) {
        jn_kv_int(w, qa_class_name((enum qa_class)i), (int64_t)r->classes[i]);
    }
    jn_object_end(w);
    jn_object_end(w);
    jn_object_end(w);
}

/* A UUID out of what the report is about, so that the same run gets the same one. */
static void put_id(struct jn_writer *w, const char *key, const struct qa_run *run)
{
    uint8_t hash[32];
    char hex[33], id[40];
    struct buf b;
    buf_init(&b, (size_t)256 << 20);
    (void)buf_add_str(&b, run->name);
    for (size_t i = 0; i < run->tests_len; i++) {
        (void)buf_printf(&b, "\n%s %d %lld", run->tests[i].shown, (int)run->tests[i].state,
                         (long long)run->tests[i].us);
    }
    text_sha256(b.data, b.len, hash);
    buf_done(&b);
    hash[6] = (uint8_t)((hash[6] & 0x0F) | 0x80); /* RFC 9562: version 8, variant 10 */
    hash[8] = (uint8_t)((hash[8] & 0x3F) | 0x80);
    text_hex(hash, 16, hex);
    (void)snprintf(id, sizeof(id), "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16,
                   hex + 20);
    jn_kv_str(w, key, id);
}

void qa_put_ctrf(const struct qa_page *p, struct buf *out)
{
    struct jn_writer w;
    const struct qa_result *r = p->result;
    const char *tool = r->now->reports_len > 0 ? r->now->reports[0].tool : "";
    const char *dialect = r->now->reports_len > 0 ? r->now->reports[0].dialect : "";
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "reportFormat", "CTRF");
    jn_kv_str(&w, "specVersion", "1.0.0");
    put_id(&w, "reportId", r->now);
    jn_kv_str(&w, "generatedBy", "inhouse qa-regression");
    jn_key(&w, "results");
    jn_object_begin(&w);
    jn_key(&w, "tool");
    jn_object_begin(&w);
    jn_kv_str(&w, "name", tool[0] != '\0' ? tool : dialect[0] != '\0' ? dialect : "unknown");
    jn_object_end(&w);
    put_summary(&w, p);
    jn_key(&w, "tests");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->changes_len; i++) {
        if (r->changes[i].now != NULL) {
            put_test(&w, r, &r->changes[i]);
        }
    }
    jn_array_end(&w);
    jn_object_end(&w);
    put_run_insights(&w, r);
    if (r->before_len > 0) {
        jn_key(&w, "baseline");
        jn_object_begin(&w);
        put_id(&w, "reportId", r->before[r->before_len - 1]);
        jn_kv_str(&w, "source", r->before[r->before_len - 1]->name);
        jn_object_end(&w);
    }
    jn_object_end(&w);
    (void)buf_add_char(out, '\n');
}
