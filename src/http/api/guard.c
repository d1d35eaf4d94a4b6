/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /api/v1/guard: a text held against rules of what may pass; the rules that serve, a set proposed
 * and approved. /v1/moderations: OpenAI's shape, for the kinds of harm that have a detector.
 * Threads: texts on crunch threads, reading rules on http threads, writes through the store.
 */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/check/check.h"
#include "trust/screen/screen.h"
#include "trust/verdict/verdict.h"

#define TEXT_BYTES ((size_t)512 * 1024)
#define TEXTS_MAX 32

static const char *keep(struct wire_request *r, const char *s)
{
    size_t n = s != NULL ? strlen(s) + 1 : 0;
    return n > 0 ? memcpy(wire_alloc(r, n), s, n) : NULL;
}

/* ---- a text against rules ---- */

struct checking {
    const char *text, *team, *workflow;
    bool out;
    const char *yaml; /* instead of the active rules */
    const char *sources[CHECK_MAX_SOURCES];
    size_t sources_len;
};

/* The first claim that no source supports. */
static bool grounded(void *arg, const char *text, size_t n, size_t *from, size_t *to)
{
    const struct checking *c = arg;
    struct check_claim claims[CHECK_MAX_CLAIMS];
    size_t count = 0;
    struct check_support in = {.reply = text, .reply_len = n, .sources = c->sources,
                               .source_count = c->sources_len};
    bool ok = check_support(&in, claims, COUNT_OF(claims), &count);
    for (size_t i = 0; !ok && i < count && i < COUNT_OF(claims); i++) {
        if (claims[i].verdict == CHECK_UNSUPPORTED) {
            *from = (size_t)claims[i].at;
            *to = (size_t)claims[i].at + (size_t)claims[i].len;
            return false;
        }
    }
    *from = 0;
    *to = n;
    return ok;
}

static enum fail rules_for(struct api *a, const struct checking *c, struct verdict_rules **out,
                           struct fault *why)
{
    if (c->yaml != NULL) {
        struct config_faults *faults = mem_alloc(sizeof(*faults));
        enum fail f = verdict_rules_read(c->yaml, strlen(c->yaml), "rules", out, faults, why);
        mem_free(faults);
        return f;
    }
    struct store_conn *conn = api_reader_take(a, why);
    if (conn == NULL) {
        return why->code;
    }
    enum fail f = verdict_release_active(conn, out, why);
    api_reader_give(a, conn);
    return f;
}

static void check_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct checking *c = arg;
    struct verdict_rules *rules = NULL;
    struct verdict_result v;
    struct jn_writer w;
    struct buf body;
    struct buf redacted;
    struct fault why;
    enum fail f = rules_for(a, c, &rules, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct verdict_ask ask = {.side = c->out ? VERDICT_OUT : VERDICT_IN,
                              .team = c->team,
                              .workflow = c->workflow,
                              .text = c->text,
                              .n = strlen(c->text),
                              .sources = c->sources,
                              .sources_n = c->sources_len,
                              .grounded = c->sources_len > 0 ? grounded : NULL,
                              .arg = c};
    bool read = verdict_check(rules, &ask, &v);
    ASSERT(read); /* TEXT_BYTES is far below the limit */
    buf_init(&redacted, 2 * TEXT_BYTES);
    api_open(&w, &body);
    jn_kv_str(&w, "release", verdict_rules_release(rules));
    jn_key(&w, "result");
    verdict_put(&w, &v);
    bool some = v.verdict != VERDICT_BLOCK && verdict_redact(&v, c->text, ask.n, &redacted);
    jn_kv_str(&w, "text", some && redacted.data != NULL ? redacted.data : NULL);
    api_send(r, 200, &w);
    buf_done(&redacted);
    verdict_result_done(&v);
    verdict_rules_unref(rules);
}

static enum fail read_sources(struct wire_request *r, const json_t *body, struct checking *c,
                              struct fault *why)
{
    json_t *sources = NULL;
    enum fail f = jn_array(body, "sources", false, CHECK_MAX_SOURCES, &sources, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(sources); i++) {
        const char *s = json_string_value(json_array_get(sources, i));
        if (s == NULL) {
            f = FAULT(why, FAIL_BAD_REQUEST, "source %zu is not a string", i + 1);
            return fail_param(why, "sources");
        }
        c->sources[c->sources_len++] = keep(r, s);
    }
    return f;
}

void api_guard_check(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"text", "side", "workflow", "sources", "rules", NULL};
    struct fault why;
    const char *side = NULL;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct checking *c = wire_alloc(r, sizeof(*c));
    memset(c, 0, sizeof(*c));
    enum fail f = jn_str(body, "text", true, TEXT_BYTES, &c->text, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "side", false, 3, &side, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "workflow", false, 64, &c->workflow, &why);
    f = f != FAIL_NONE ? f : jn_str(body, "rules", false, VERDICT_MAX_BYTES, &c->yaml, &why);
    f = f != FAIL_NONE ? f : read_sources(r, body, c, &why);
    if (f == FAIL_NONE && side != NULL && strcmp(side, "in") != 0 && strcmp(side, "out") != 0) {
        FAULT(&why, FAIL_BAD_REQUEST, "side must be in or out");
        f = fail_param(&why, "side");
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    c->out = side != NULL && strcmp(side, "out") == 0;
    c->text = keep(r, c->text);
    c->workflow = c->workflow != NULL ? keep(r, c->workflow) : "";
    c->yaml = keep(r, c->yaml);
    c->team = keep(r, api_who(r)->team);
    api_on_crunch(arg, r, check_on_crunch, c);
}

/* ---- moderation ---- */

struct moderation {
    const char *texts[TEXTS_MAX];
    size_t n;
};

/* OpenAI's categories; harm: the detector that says so, COUNT: there is none. whole: the detector
   decides it both ways; else it only proves it. */
static const struct {
    const char *name;
    enum screen_harm harm;
    bool whole;
} categories[] = {
    {"harassment", SCREEN_HARM_THREAT, false},
    {"harassment/threatening", SCREEN_HARM_THREAT, true},
    {"hate", SCREEN_HARM_COUNT, false},
    {"hate/threatening", SCREEN_HARM_COUNT, false},
    {"illicit", SCREEN_HARM_WEAPON, false},
    {"illicit/violent", SCREEN_HARM_WEAPON, true},
    {"self-harm", SCREEN_HARM_SELF_HARM, false},
    {"self-harm/instructions", SCREEN_HARM_COUNT, false},
    {"self-harm/intent", SCREEN_HARM_SELF_HARM, true},
    {"sexual", SCREEN_HARM_COUNT, false},
    {"sexual/minors", SCREEN_HARM_COUNT, false},
    {"violence", SCREEN_HARM_THREAT, false},
    {"violence/graphic", SCREEN_HARM_COUNT, false},
};

/* 1: it is, 0: it is not, -1: nobody can say. */
static int assessed(size_t i, unsigned found)
{
    if (categories[i].harm != SCREEN_HARM_COUNT && (found >> categories[i].harm & 1) != 0) {
        return 1;
    }
    return categories[i].whole ? 0 : -1;
}

static void put_moderated(struct jn_writer *w, unsigned found)
{
    jn_object_begin(w);
    jn_kv_bool(w, "flagged", found != 0);
    jn_key(w, "categories");
    jn_object_begin(w);
    for (size_t i = 0; i < COUNT_OF(categories); i++) {
        int is = assessed(i, found);
        if (is < 0) {
            jn_kv_str(w, categories[i].name, NULL); /* null: not assessed, never false */
        } else {
            jn_kv_bool(w, categories[i].name, is == 1);
        }
    }
    jn_object_end(w);
    jn_key(w, "category_scores");
    jn_object_begin(w);
    for (size_t i = 0; i < COUNT_OF(categories); i++) {
        int is = assessed(i, found);
        if (is < 0) {
            jn_kv_str(w, categories[i].name, NULL);
        } else {
            jn_kv_int(w, categories[i].name, is);
        }
    }
    jn_object_end(w);
    jn_key(w, "not_assessed");
    jn_array_begin(w);
    for (size_t i = 0; i < COUNT_OF(categories); i++) {
        if (assessed(i, found) < 0) {
            jn_put_str(w, categories[i].name);
        }
    }
    jn_array_end(w);
    jn_object_end(w);
}

static void moderate_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    const struct moderation *m = arg;
    struct jn_writer w;
    struct buf body;
    struct id id = text_id_new();
    (void)a;
    api_open(&w, &body);
    api_put_id(&w, "id", "modr", &id);
    jn_kv_str(&w, "model", "inhouse-lists");
    jn_key(&w, "results");
    jn_array_begin(&w);
    for (size_t i = 0; i < m->n; i++) {
        struct screen_marks marks = {0};
        put_moderated(&w, screen_harmful(m->texts[i], strlen(m->texts[i]), &marks));
        screen_marks_done(&marks);
    }
    jn_array_end(&w);
    api_send(r, 200, &w);
}

static bool take_text(struct wire_request *r, struct moderation *m, const json_t *v)
{
    const json_t *text = json_is_object(v) ? json_object_get(v, "text") : v;
    if (!json_is_string(text) || m->n == TEXTS_MAX || json_string_length(text) > TEXT_BYTES) {
        return false;
    }
    m->texts[m->n++] = keep(r, json_string_value(text));
    return true;
}

void api_moderations(struct wire_request *r, void *arg)
{
    struct fault why;
    size_t len;
    AUTO_JSON json_t *body = NULL;
    const char *text = wire_body(r, &len);
    if (jn_parse(text, len, "the request body", &body, &why) != FAIL_NONE) {
        wire_fail(r, why.code, &why);
        return;
    }
    struct moderation *m = wire_alloc(r, sizeof(*m));
    memset(m, 0, sizeof(*m));
    const json_t *input = json_object_get(body, "input");
    bool good = json_is_array(input) ? json_array_size(input) > 0 : take_text(r, m, input);
    for (size_t i = 0; good && i < json_array_size(input); i++) {
        good = take_text(r, m, json_array_get(input, i));
    }
    if (!good) {
        FAULT(&why, FAIL_BAD_REQUEST,
              "\"input\" must be a text or 1 to %d texts of at most %zu bytes", TEXTS_MAX,
              TEXT_BYTES);
        fail_param(&why, "input");
        fail_hint(&why, "Images are not assessed here.");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    api_on_crunch(arg, r, moderate_on_crunch, m);
}

/* ---- which rules there are ---- */

void api_guard_rules(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    struct verdict_rules *rules = NULL;
    struct jn_writer w;
    struct buf body;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    enum fail f = verdict_release_active(c, &rules, &why);
    if (f == FAIL_NONE) {
        api_open(&w, &body);
        jn_kv_str(&w, "release", verdict_rules_release(rules));
        jn_kv_int(&w, "rules", (int64_t)verdict_rules_count(rules));
        jn_kv_str(&w, "yaml", verdict_rules_text(rules));
        f = api_releases_put(&w, c, VERDICT_RELEASES, &why);
    }
    api_reader_give(a, c);
    if (f == FAIL_NONE) {
        api_send(r, 200, &w);
    } else {
        if (rules != NULL) {
            buf_done(&body);
        }
        wire_fail(r, f, &why);
    }
    verdict_rules_unref(rules);
}

/* ---- a new rule set ---- */

static enum fail read_rules(const char *text, size_t len, void **out, struct config_faults *faults,
                            struct fault *why)
{
    struct verdict_rules *rules = NULL;
    enum fail f = verdict_rules_read(text, len, "guard.yaml", &rules, faults, why);
    *out = rules;
    return f;
}

static enum fail active_rules(struct store_conn *conn, void **out, struct fault *why)
{
    struct verdict_rules *rules = NULL;
    enum fail f = verdict_release_active(conn, &rules, why);
    *out = rules;
    return f;
}

static const char *rules_release(const void *rules)
{
    return verdict_rules_release(rules);
}

static const char *rules_text(const void *rules)
{
    return verdict_rules_text(rules);
}

static void serve_rules(struct task_desk *desk, void *rules)
{
    task_guard_set(desk, rules);
}

static void unref_rules(void *rules)
{
    verdict_rules_unref(rules);
}

static const struct api_release rules_kind = {.kind = VERDICT_RELEASES,
                                              .read = read_rules,
                                              .active = active_rules,
                                              .release = rules_release,
                                              .text = rules_text,
                                              .serve = serve_rules,
                                              .unref = unref_rules};

void api_guard_propose(struct wire_request *r, void *arg)
{
    api_release_propose(r, arg, &rules_kind);
}

void api_guard_approve(struct wire_request *r, void *arg)
{
    api_release_approve(r, arg, &rules_kind);
}
