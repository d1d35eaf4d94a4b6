/* SPDX-License-Identifier: Apache-2.0 */
/* A result for programs: all of it as JSON (docs/reference/qa-regression.md). Threads: none. */
#include <string.h>

#include "base/json/json.h"
#include "work/qa/qa_internal.h"

static void put_counts(struct jn_writer *w, const struct qa_run *run)
{
    const struct qa_counts *n = &run->counts;
    jn_object_begin(w);
    jn_kv_str(w, "name", run->name);
    jn_kv_int(w, "reports", (int64_t)run->reports_len);
    jn_kv_int(w, "suites", n->suites);
    jn_kv_int(w, "tests", n->tests);
    jn_kv_int(w, "passed", n->passed);
    jn_kv_int(w, "failed", n->failed);
    jn_kv_int(w, "errors", n->errors);
    jn_kv_int(w, "skipped", n->skipped);
    jn_kv_int(w, "flaky", n->flaky);
    jn_kv_int(w, "cases", n->cases);
    jn_kv_int(w, "duration_us", n->us);
    jn_kv_bool(w, "counts_only", n->claimed);
    jn_object_end(w);
}

static void put_change(struct jn_writer *w, const struct qa_change *c)
{
    const struct qa_test *t = c->now != NULL ? c->now : c->before;
    jn_object_begin(w);
    jn_kv_str(w, "test", t->shown);
    jn_kv_str(w, "name", t->name);
    jn_kv_str(w, "class_name", t->class_name);
    jn_kv_str(w, "class", qa_class_name(c->class));
    if (c->now != NULL) {
        jn_kv_str(w, "state", qa_state_name(c->now->state));
        jn_kv_int(w, "duration_us", c->now->us);
        jn_kv_int(w, "line_of_report", c->now->worst->at_line);
    }
    jn_kv_bool(w, "flaky", c->flaky);
    jn_kv_str(w, "flaky_why", c->flaky_why);
    jn_kv_str(w, "headline", c->headline);
    jn_kv_str(w, "file", c->place.file);
    jn_kv_int(w, "line", c->place.line);
    jn_kv_str(w, "owner", c->owner);
    jn_kv_str(w, "owner_why", c->owner_why);
    jn_kv_int(w, "runs_before", c->runs);
    jn_kv_int(w, "failures_before", c->failures);
    if (c->usual_us > 0) {
        jn_kv_int(w, "usual_us", c->usual_us);
        jn_kv_int(w, "limit_us", c->limit_us);
    }
    jn_kv_int(w, "group", c->group == UINT32_MAX ? -1 : (int64_t)c->group);
    jn_object_end(w);
}

static void put_group(struct jn_writer *w, const struct qa_result *r, const struct qa_group *g)
{
    jn_object_begin(w);
    jn_kv_str(w, "cause", g->cause);
    jn_kv_str(w, "name", g->name);
    jn_kv_str(w, "rule", g->rule);
    jn_kv_str(w, "said", g->said);
    jn_kv_str(w, "fingerprint", g->fingerprint);
    jn_kv_str(w, "headline", g->headline);
    jn_kv_bool(w, "new", g->is_new);
    jn_kv_str(w, "owner", g->owner);
    jn_key(w, "tests");
    jn_array_begin(w);
    for (size_t i = 0; i < g->count; i++) {
        jn_put_str(w, r->changes[g->changes[i]].now->shown);
    }
    jn_array_end(w);
    jn_object_end(w);
}

static void put_sentences(struct jn_writer *w, const struct qa_page *p)
{
    jn_key(w, "sentences");
    jn_array_begin(w);
    for (size_t i = 0; i < p->sentences_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "text", p->sentences[i].text);
        jn_kv_bool(w, "kept", p->sentences[i].ok);
        jn_kv_str(w, "by", p->sentences[i].by);
        jn_kv_str(w, "why_not", p->sentences[i].detail);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_doubts(struct jn_writer *w, const struct qa_result *r)
{
    jn_key(w, "failed_themselves");
    jn_array_begin(w);
    for (size_t i = 0; i < r->broken_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "suite", r->broken[i]->name);
        jn_kv_str(w, "message", r->broken[i]->message);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_key(w, "disagreements");
    jn_array_begin(w);
    for (size_t i = 0; i < r->now->disagreements_len; i++) {
        const struct qa_disagreement *d = &r->now->disagreements[i];
        jn_object_begin(w);
        jn_kv_str(w, "suite", d->suite->name);
        jn_kv_int(w, "line_of_report", d->suite->at_line);
        jn_kv_str(w, "what", d->what);
        jn_kv_int(w, "claimed", d->claimed);
        jn_kv_int(w, "cases", d->held);
        jn_object_end(w);
    }
    jn_array_end(w);
}

void qa_put_json(const struct qa_page *p, struct buf *out)
{
    struct jn_writer w;
    const struct qa_result *r = p->result;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "verdict", qa_verdict_name(r->verdict));
    jn_key(&w, "reasons");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->reasons_len; i++) {
        jn_put_str(&w, r->reasons[i]);
    }
    jn_array_end(&w);
    jn_key(&w, "run");
    put_counts(&w, r->now);
    jn_key(&w, "before");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->before_len; i++) {
        put_counts(&w, r->before[i]);
    }
    jn_array_end(&w);
    jn_key(&w, "classes");
    jn_object_begin(&w);
    for (int i = 0; i < QA_CLASS_COUNT; i++) {
        jn_kv_int(&w, qa_class_name((enum qa_class)i), (int64_t)r->classes[i]);
    }
    jn_object_end(&w);
    jn_kv_real(&w, "pace", r->pace, 3);
    put_sentences(&w, p);
    jn_key(&w, "groups");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->groups_len; i++) {
        put_group(&w, r, &r->groups[i]);
    }
    jn_array_end(&w);
    jn_key(&w, "changes");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->changes_len && r->changes[i].class != QA_SAME; i++) {
        put_change(&w, &r->changes[i]);
    }
    jn_array_end(&w);
    put_doubts(&w, r);
    jn_object_end(&w);
    (void)buf_add_char(out, '\n');
}
