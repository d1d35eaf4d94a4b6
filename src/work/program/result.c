/* SPDX-License-Identifier: Apache-2.0 */
/* The artifact as JSON (docs/reference/programs.md). */
#include "base/json/json.h"
#include "work/program/program_internal.h"

static void put_maybe(struct jn_writer *w, const char *key, const char *value)
{
    if (value != NULL) {
        jn_kv_str(w, key, value);
    }
}

static void put_fields(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "fields");
    jn_array_begin(w);
    for (size_t i = 0; i < r->fields_len; i++) {
        const struct program_field *f = &r->fields[i];
        jn_object_begin(w);
        jn_kv_str(w, "name", f->name);
        jn_kv_str(w, "type", f->type);
        jn_kv_str(w, "value", f->value);
        jn_kv_real(w, "confidence", f->confidence, 4);
        jn_kv_str(w, "rung", ladder_rung_name(f->rung));
        jn_kv_bool(w, "open", f->open);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_sections(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "sections");
    jn_array_begin(w);
    for (size_t i = 0; i < r->sections_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "name", r->sections[i].name);
        jn_kv_str(w, "title", r->sections[i].title);
        jn_kv_str(w, "text", r->sections[i].text);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_items(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "items");
    jn_array_begin(w);
    for (size_t i = 0; i < r->items_len; i++) {
        const struct program_item *t = &r->items[i];
        jn_object_begin(w);
        jn_kv_str(w, "id", t->id);
        put_maybe(w, "group", t->group);
        put_maybe(w, "source", t->source);
        jn_kv_str(w, "value", t->value);
        put_maybe(w, "note", t->note);
        put_maybe(w, "by", t->by);
        jn_kv_real(w, "confidence", t->confidence, 4);
        jn_kv_str(w, "rung", ladder_rung_name(t->rung));
        jn_kv_bool(w, "open", t->open);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_checks(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "checks");
    jn_array_begin(w);
    for (size_t i = 0; i < r->checks_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "name", r->checks[i].name);
        jn_kv_bool(w, "ok", r->checks[i].ok);
        put_maybe(w, "note", r->checks[i].note);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_findings(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "findings");
    jn_array_begin(w);
    for (size_t i = 0; i < r->findings_len; i++) {
        const struct program_finding *f = &r->findings[i];
        jn_object_begin(w);
        jn_kv_str(w, "code", f->code);
        jn_kv_str(w, "level", program_level_name(f->level));
        put_maybe(w, "where", f->where);
        if (f->len > 0) {
            jn_kv_int(w, "at", f->at);
            jn_kv_int(w, "len", f->len);
        }
        put_maybe(w, "quote", f->quote);
        jn_kv_str(w, "message", f->message);
        put_maybe(w, "suggest", f->suggest);
        put_maybe(w, "source", f->source);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_outputs(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "outputs");
    jn_array_begin(w);
    for (size_t i = 0; i < r->outputs_len; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "name", r->outputs[i].name);
        jn_kv_str(w, "type", r->outputs[i].type);
        jn_kv_int(w, "bytes", (int64_t)r->outputs[i].len);
        jn_kv_bool(w, "main", r->outputs[i].main);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_steps(struct jn_writer *w, const struct program_result *r)
{
    jn_key(w, "steps");
    jn_array_begin(w);
    for (size_t i = 0; i < r->steps_len; i++) {
        const struct program_step_done *s = &r->steps[i];
        jn_object_begin(w);
        jn_kv_str(w, "name", s->name);
        jn_kv_real(w, "ms", s->ms, 1);
        jn_kv_int(w, "asks", s->asks);
        jn_kv_int(w, "tokens_in", s->tokens_in);
        jn_kv_int(w, "tokens_cached", s->tokens_cached);
        jn_kv_int(w, "tokens_out", s->tokens_out);
        jn_kv_real(w, "cost", (double)s->cost / 1e9, 9);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_head(struct jn_writer *w, const struct program_run *run,
                     const struct program_result *r)
{
    jn_kv_str(w, "workflow", run->definition->name);
    jn_kv_str(w, "program", run->definition->ops->name);
    jn_kv_str(w, "release", run->definition->release);
    jn_kv_str(w, "title", r->title);
    jn_kv_int(w, "open", (int64_t)r->open);
}

enum fail program_result_json(const struct program_run *run, struct buf *json, struct fault *why)
{
    struct program_result r;
    struct jn_writer w;
    program_result(run, &r);
    jn_begin(&w, json, false);
    jn_object_begin(&w);
    put_head(&w, run, &r);
    put_sections(&w, &r);
    put_fields(&w, &r);
    put_items(&w, &r);
    put_checks(&w, &r);
    put_findings(&w, &r);
    put_outputs(&w, &r);
    put_steps(&w, &r);
    jn_object_end(&w);
    return json->overflow ? FAULT(why, FAIL_TOO_LARGE, "the artifact has over %zu MiB as JSON",
                                  json->cap >> 20)
                          : FAIL_NONE;
}

enum fail program_result_brief(const struct program_run *run, const struct id *job,
                               struct buf *json, struct fault *why)
{
    for (int cut = 0; cut < 3; cut++) {
        struct program_result r;
        struct jn_writer w;
        char shown[TEXT_ID_SIZE];
        program_result(run, &r);
        r.items_len = cut < 1 ? r.items_len : 0;
        r.findings_len = cut < 1 ? r.findings_len : 0;
        r.sections_len = cut < 2 ? r.sections_len : 0;
        r.checks_len = cut < 2 ? r.checks_len : 0;
        buf_clear(json);
        json->overflow = false;
        jn_begin(&w, json, false);
        jn_object_begin(&w);
        jn_kv_str(&w, "job", text_id_show(job, "job", shown));
        jn_kv_bool(&w, "cut", cut > 0);
        put_head(&w, run, &r);
        put_sections(&w, &r);
        put_fields(&w, &r);
        put_items(&w, &r);
        put_checks(&w, &r);
        put_findings(&w, &r);
        put_outputs(&w, &r);
        jn_object_end(&w);
        if (!json->overflow) {
            return FAIL_NONE;
        }
    }
    return FAULT(why, FAIL_TOO_LARGE, "the artifact has fields over %zu KiB", json->cap >> 10);
}
