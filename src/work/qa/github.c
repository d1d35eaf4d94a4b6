/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of "Create a check run" of GitHub's REST API (docs.github.com, checks/runs): summary and
 * text of at most 65,535 bytes, at most 50 annotations a request, start_line from 1.
 * Threads: none.
 */
#include <stdio.h>
#include <string.h>

#include "base/json/json.h"
#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define SUMMARY_MAX 65535u
#define ANNOTATIONS_MAX 50
#define MESSAGE_MAX 4000
#define RAW_MAX 8000
#define TITLE_MAX 200

static const char *conclusion_of(enum qa_verdict v)
{
    return v == QA_BLOCKED ? "failure" : v == QA_ATTENTION ? "neutral" : "success";
}

/* At most n bytes of whole characters. */
static void kv_cut(struct jn_writer *w, const char *key, const char *text, size_t n)
{
    size_t len = strlen(text);
    jn_key(w, key);
    jn_put_strn(w, text, text_utf8_cut(text, len < n ? len : n));
}

static void put_annotation(struct jn_writer *w, struct arena *a, const struct qa_result *r,
                           const struct qa_change *c)
{
    const struct qa_case *k = c->now->worst;
    bool bad = c->class == QA_NEW_FAILURE || c->class == QA_FAILING;
    int64_t line = c->place.line > 0 ? c->place.line : 1;
    const struct qa_group *g = c->group == UINT32_MAX ? NULL : &r->groups[c->group];
    jn_object_begin(w);
    kv_cut(w, "path", c->place.file[0] != '\0' ? c->place.file : ".github", 1000);
    jn_kv_int(w, "start_line", line);
    jn_kv_int(w, "end_line", line);
    jn_kv_str(w, "annotation_level", bad ? "failure" : "warning");
    kv_cut(w, "title",
           qa_one_line(a, arena_printf(a, "%s: %.150s", qa_class_name(c->class), c->now->shown),
                       TITLE_MAX), 255);
    kv_cut(w, "message",
           arena_printf(a, "%s%s%s%s%s",
                        c->headline[0] != '\0' ? c->headline : "it failed without a message",
                        g == NULL ? "" : "\ncause: ", g == NULL ? "" : g->cause,
                        c->flaky ? "\n" : "", c->flaky ? c->flaky_why : ""),
           MESSAGE_MAX);
    if (k->trace[0] != '\0' || k->message[0] != '\0') {
        kv_cut(w, "raw_details", k->trace[0] != '\0' ? k->trace : k->message, RAW_MAX);
    }
    jn_object_end(w);
}

/* First what can be shown in the code, new failures before old ones. */
static void put_annotations(struct jn_writer *w, struct arena *a, const struct qa_result *r)
{
    size_t n = 0;
    jn_key(w, "annotations");
    jn_array_begin(w);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < r->changes_len && n < ANNOTATIONS_MAX; i++) {
            const struct qa_change *c = &r->changes[i];
            bool placed = c->place.file[0] != '\0' && c->place.line > 0;
            if (c->now != NULL && (qa_is_failing(c->now->state) || c->flaky) &&
                placed == (round == 0)) {
                put_annotation(w, a, r, c);
                n++;
            }
        }
    }
    jn_array_end(w);
}

void qa_put_github(const struct qa_page *p, struct buf *out)
{
    const struct qa_result *r = p->result;
    struct arena *a = arena_new((size_t)64 << 20);
    struct jn_writer w;
    struct buf summary;
    buf_init(&summary, 2 * SUMMARY_MAX);
    qa_put_markdown(p, SUMMARY_MAX, &summary);
    const char *first = p->sentences_len > 0 && p->sentences[0].ok ? p->sentences[0].text : "";
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "name", "qa-regression");
    jn_kv_str(&w, "status", "completed");
    jn_kv_str(&w, "conclusion", conclusion_of(r->verdict));
    jn_key(&w, "output");
    jn_object_begin(&w);
    kv_cut(&w, "title", arena_printf(a, "%s. %.150s", qa_verdict_name(r->verdict), first), 255);
    kv_cut(&w, "summary", summary.data == NULL ? "" : summary.data, SUMMARY_MAX);
    put_annotations(&w, a, r);
    jn_object_end(&w);
    jn_object_end(&w);
    (void)buf_add_char(out, '\n');
    buf_done(&summary);
    arena_free(a);
}
