/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learning and articles: a large body becomes a job. The body is decoded on a crunch thread (tens
 * of megabytes), handed to the task room on the core thread, and answered 202 with the job's id.
 *
 * One example a line: {"id","at"?,"subject"?,"text","reply"?,"article"?,"expected":{field:value}}.
 * The value "none_of_these" says that no label of the field fits; a line without expected values is
 * unlabelled traffic. A line that cannot be used is skipped and reported with its number: years of
 * past tickets always hold a few. `article` and `answerable` inside expected go where they belong.
 */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include "answer/dataset/dataset.h"
#include "answer/learn/learn.h"
#include "base/clock/clock.h"
#include "work/workflow/workflow.h"

#define LEARN_MAX_LINES 200000
#define LEARN_MAX_NOTES 50 /* reported lines; the rest are counted */
#define LEARN_ARENA_BYTES (256u * 1024u * 1024u)
#define ARTICLES_MAX 20000

struct note {
    size_t line;
    char message[200];
};

struct learning {
    struct api *a;
    struct wire_request *r;
    const char *workflow;
    struct principal who;
    bool measure, reviewed; /* reviewed: what people decided here teaches too */
    struct ladder_form *form; /* NULL: to be made from the examples */
    bool made;                /* form was made from the examples */
    struct arena *arena;
    struct task_example *examples;
    size_t n, used, unlabelled, outcomes, lines, skipped; /* used: lines */
    struct note notes[LEARN_MAX_NOTES];
    struct errand *errand;
};

static void learning_free(struct learning *l)
{
    ladder_form_unref(l->form);
    mem_free(l->examples);
    if (l->arena != NULL) {
        arena_free(l->arena);
    }
    mem_free(l);
}

static void note_line(struct learning *l, const char *message)
{
    if (l->skipped < LEARN_MAX_NOTES) {
        l->notes[l->skipped].line = l->lines;
        (void)text_copy(l->notes[l->skipped].message, sizeof(l->notes[0].message), message);
    }
    l->skipped++;
}

/* ---- one line ---- */

static const char *keep(struct learning *l, const char *s)
{
    return s ? arena_dup_str(l->arena, s) : NULL;
}

/* A value as the form spells it; numbers and booleans as their text; NULL when it is none. */
static const char *value_text(struct learning *l, const json_t *v)
{
    if (json_is_string(v)) {
        return arena_dup_str(l->arena, json_string_value(v));
    }
    if (json_is_boolean(v)) {
        return json_is_true(v) ? "true" : "false";
    }
    if (json_is_integer(v)) {
        return arena_printf(l->arena, "%lld", (long long)json_integer_value(v));
    }
    if (json_is_real(v)) {
        return arena_printf(l->arena, "%.15g", json_real_value(v));
    }
    return NULL;
}

static bool is_extra(const char *key)
{
    return strcmp(key, "article") == 0 || strcmp(key, "answerable") == 0 ||
           strcmp(key, "reply") == 0;
}

static enum fail read_expected(struct learning *l, json_t *expected, struct task_example *x,
                               struct fault *why)
{
    const struct ladder_form *form = l->form;
    const char **values = arena_alloc(l->arena, form->fields_len * sizeof(*values));
    const char *key;
    json_t *v;
    x->values = values;
    json_object_foreach(expected, key, v)
    {
        int i = ladder_field_find(form, key);
        if (i < 0 && is_extra(key)) {
            continue;
        }
        if (i < 0) {
            FAULT(why, FAIL_BAD_REQUEST, "\"expected\" has \"%.60s\", which is no field of %s", key,
                  form->name);
            return FAIL_BAD_REQUEST;
        }
        bool empty = json_is_string(v) && json_string_length(v) == 0;
        if (json_is_null(v) ||
            (empty && (form->fields[i].type != LADDER_CHOICE || form->fields[i].labels_learned))) {
            continue;
        }
        values[i] = value_text(l, v);
        if (values[i] == NULL) {
            return FAULT(why, FAIL_BAD_REQUEST, "field \"%.60s\" is not a text", key);
        }
        if (form->fields[i].type == LADDER_CHOICE && !form->fields[i].labels_learned &&
            strcmp(values[i], LEARN_NONE) != 0 &&
            ladder_label_find(&form->fields[i], values[i]) < 0) {
            return FAULT(why, FAIL_BAD_REQUEST, "\"%.60s\" is no label of field \"%.60s\"",
                         values[i], key);
        }
    }
    /* A value that a person did not name is not in the text. */
    for (size_t i = 0; i < form->fields_len; i++) {
        if (values[i] == NULL && ladder_type_is_found(form->fields[i].type)) {
            values[i] = "";
        }
    }
    const json_t *article = json_object_get(expected, "article");
    const json_t *answerable = json_object_get(expected, "answerable");
    if (x->article == NULL && json_is_string(article)) {
        x->article = keep(l, json_string_value(article));
    }
    if (json_is_false(answerable)) {
        x->article = NULL; /* no article answers it */
    }
    return FAIL_NONE;
}

static bool finds_values(const struct ladder_form *form)
{
    size_t i = 0;
    while (i < form->fields_len && !ladder_type_is_found(form->fields[i].type)) {
        i++;
    }
    return i < form->fields_len;
}

/* That a past reply may serve others is an approver's word. */
static enum fail read_approved(const struct learning *l, const json_t *row, struct task_example *x,
                               struct fault *why)
{
    enum fail f = jn_bool(row, "approved", false, &x->approved, why);
    bool may = l->who.role == KEYRING_ROLE_APPROVER || l->who.role == KEYRING_ROLE_ADMIN;
    if (f != FAIL_NONE || !x->approved || may) {
        return f;
    }
    FAULT(why, FAIL_FORBIDDEN, "that a reply may serve others is an approver's to say");
    return fail_hint(why, "Leave out `approved`, or let an approver send these lines.");
}

static enum fail read_example(struct learning *l, const json_t *row, struct task_example *x,
                              struct fault *why)
{
    static const char *const keys[] = {"id",    "at",      "subject",  "text",
                                       "reply", "article", "expected", "customer",
                                       "approved", NULL};
    json_t *expected = NULL;
    enum fail f = jn_only(row, keys, why);
    const struct {
        const char *key;
        bool required;
        size_t max;
        const char **out;
    } texts[] = {{"id", true, 200, &x->id},
                 {"at", false, 40, &x->at},
                 {"subject", false, 4096, &x->subject},
                 {"text", true, TASK_MAX_TEXT, &x->text},
                 {"reply", false, TASK_MAX_TEXT, &x->reply},
                 {"article", false, 200, &x->article},
                 {"customer", false, 200, &x->customer}};
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(texts); i++) {
        f = jn_str(row, texts[i].key, texts[i].required, texts[i].max, texts[i].out, why);
        if (f == FAIL_NONE) {
            *texts[i].out = keep(l, *texts[i].out);
        }
    }
    f = f != FAIL_NONE ? f : read_approved(l, row, x, why);
    if (f == FAIL_NONE) {
        f = jn_object(row, "expected", false, &expected, why);
    }
    /* {} says of values that are found that the text has none; of labels it says nothing. */
    bool says = expected != NULL && (json_object_size(expected) > 0 || finds_values(l->form));
    if (f == FAIL_NONE && !says) {
        l->unlabelled++; /* traffic: what texts look like, not what they are */
        x->values = arena_alloc(l->arena, l->form->fields_len * sizeof(*x->values));
        return FAIL_NONE;
    }
    return f == FAIL_NONE ? read_expected(l, expected, x, why) : f;
}

/* Calls fn for each line that is not empty; lines counts from 1. */
typedef bool (*line_fn)(struct learning *l, const char *line, size_t n, void *arg);

static void each_line(struct learning *l, const char *text, size_t len, line_fn fn, void *arg)
{
    l->lines = 0;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t n = end ? (size_t)(end - text) - at : len - at;
        l->lines++;
        size_t blank = strspn(text + at, " \t\r");
        if (blank < n && !fn(l, text + at, n, arg)) {
            return;
        }
        at += n + 1;
    }
}

static bool take_line(struct learning *l, const char *line, size_t n, void *arg)
{
    struct fault why;
    (void)arg;
    AUTO_JSON json_t *row = NULL;
    struct task_example x = {0};
    if (l->n == LEARN_MAX_LINES || !arena_has_room(l->arena, 8 * n + 65536)) {
        note_line(l, "this line and those after it are over the limit of one request");
        return false;
    }
    enum fail f = jn_parse(line, n, "the line", &row, &why);
    if (f == FAIL_NONE && !json_is_object(row)) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "the line is not a JSON object");
    }
    if (f == FAIL_NONE) {
        f = read_example(l, row, &x, &why);
    }
    if (f != FAIL_NONE) {
        note_line(l, why.message);
        return true;
    }
    l->examples[l->n++] = x;
    return true;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 1;
    for (const char *p = text; (p = memchr(p, '\n', len - (size_t)(p - text))) != NULL; p++) {
        n++;
    }
    return n < LEARN_MAX_LINES ? n : LEARN_MAX_LINES;
}

/* ---- a workflow made from its examples ---- */

struct guess {
    struct workflow_example *list;
    size_t n, room;
};

static bool take_guess(struct learning *l, const char *line, size_t n, void *arg)
{
    struct fault why;
    AUTO_JSON json_t *row = NULL;
    struct guess *g = arg;
    if (g->n == g->room || !arena_has_room(l->arena, 4 * n + 65536)) {
        return false;
    }
    if (jn_parse(line, n, "the line", &row, &why) != FAIL_NONE) {
        return true; /* reported when the examples are read */
    }
    json_t *expected = json_object_get(row, "expected");
    size_t fields = json_object_size(expected);
    if (!json_is_object(expected)) {
        return true; /* traffic: it says nothing of any field, not even that it has none */
    }
    /* Short names take more room than their bytes: two pointers and two copies each. */
    if (!arena_has_room(l->arena, 4 * n + 96 * fields + 65536)) {
        return false;
    }
    const char **names = arena_alloc(l->arena, (fields + 1) * sizeof(*names));
    const char **values = arena_alloc(l->arena, (fields + 1) * sizeof(*values));
    const char *subject = json_string_value(json_object_get(row, "subject"));
    const char *body = json_string_value(json_object_get(row, "text"));
    subject = subject != NULL ? subject : "";
    body = body != NULL ? body : "";
    size_t used = 0;
    const char *key;
    json_t *v;
    json_object_foreach(expected, key, v)
    {
        const char *value = is_extra(key) ? NULL : value_text(l, v);
        if (value != NULL && strcmp(value, LEARN_NONE) != 0) {
            names[used] = arena_dup_str(l->arena, key);
            values[used++] = value;
        }
    }
    g->list[g->n++] = (struct workflow_example){
        .n = used, .names = names, .values = values,
        .text = arena_printf(l->arena, "%s%s%s", subject, subject[0] != '\0' ? "\n\n" : "", body)};
    return true;
}

static enum fail form_from_body(struct learning *l, const char *text, size_t len, struct fault *why)
{
    struct guess g = {.room = count_lines(text, len)};
    struct buf yaml;
    struct config_faults faults;
    g.list = mem_alloc_array(g.room, sizeof(*g.list));
    buf_init(&yaml, WORKFLOW_MAX_BYTES);
    each_line(l, text, len, take_guess, &g);
    enum fail f = workflow_from_examples(l->workflow, g.list, g.n, &yaml, why);
    if (f == FAIL_NONE) {
        f = workflow_read(yaml.data, yaml.len, "the definition made from the examples", &l->form,
                          &faults, why);
        l->made = f == FAIL_NONE;
        f = f != FAIL_NONE ? f : api_form_room(l->a, l->workflow, why);
    }
    buf_done(&yaml);
    mem_free(g.list);
    return f;
}

/* ---- the job ---- */

static void put_notes(struct jn_writer *w, const struct learning *l)
{
    jn_kv_int(w, "lines", (int64_t)l->lines);
    jn_kv_int(w, "used", (int64_t)l->used);
    jn_kv_int(w, "unlabelled", (int64_t)l->unlabelled);
    jn_kv_int(w, "reviewed", (int64_t)l->outcomes);
    jn_kv_int(w, "skipped", (int64_t)l->skipped);
    jn_key(w, "skipped_lines");
    jn_array_begin(w);
    for (size_t i = 0; i < l->skipped && i < LEARN_MAX_NOTES; i++) {
        jn_object_begin(w);
        jn_kv_int(w, "line", (int64_t)l->notes[i].line);
        jn_kv_str(w, "message", l->notes[i].message);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void learn_progress(void *arg, const char *stage, size_t done, size_t total)
{
    struct learning *l = arg;
    errand_progress(l->errand, stage, done, total);
}

static void learn_done(void *arg, enum fail code, const struct fault *why, const char *report,
                       size_t len)
{
    struct learning *l = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    put_notes(&w, l);
    jn_key(&w, "report");
    if (report != NULL) {
        jn_put_raw(&w, report, len);
    } else {
        jn_put_null(&w);
    }
    jn_object_end(&w);
    errand_end(l->errand, code, why, body.data, body.len);
    buf_done(&body);
    learning_free(l);
}

static void learn_begin(struct learning *l)
{
    struct fault why;
    struct wire_request *r = l->r;
    l->errand = errand_new(l->a, "learn", l->workflow, &l->who);
    if (l->errand == NULL) {
        FAULT(&why, FAIL_QUEUE_FULL, "%d jobs already run", API_MAX_ERRANDS);
        learning_free(l);
        wire_fail(r, FAIL_QUEUE_FULL, &why);
        return;
    }
    const char *workflow = arena_dup_str(l->arena, l->workflow);
    errand_reply(r, l->errand); /* the request's own memory ends here */
    l->r = NULL;
    l->workflow = workflow;
    task_learn(l->a->h.desk, &l->who, workflow, l->examples, l->n, l->form->fields_len, l->measure,
               learn_progress, learn_done, l);
}

static enum fail store_made_form(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct learning *l = arg;
    return workflow_put(tx, l->form, l->who.name, why);
}

static void made_form_stored(void *arg, enum fail code, const struct fault *why)
{
    struct learning *l = arg;
    struct wire_request *r = l->r;
    struct fault full;
    if (code == FAIL_NONE) {
        code = api_form_set(l->a, l->form, &full);
        why = &full;
    }
    if (code != FAIL_NONE) {
        learning_free(l);
        wire_fail(r, code, why);
        return;
    }
    learn_begin(l); /* task_form_set was posted before; task_learn comes after it on this loop */
}

static void learn_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct learning *l = arg;
    struct fault why;
    (void)r;
    if (!l->made) {
        learn_begin(l);
        return;
    }
    enum fail f = store_write(a->h.store, store_made_form, l, made_form_stored, a->h.loop, &why);
    if (f != FAIL_NONE) {
        learning_free(l);
        wire_fail(r, f, &why);
    }
}

static void learn_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct learning *l = arg;
    struct fault why;
    enum fail f = FAIL_NONE;
    size_t len;
    const char *text = wire_body(r, &len);
    l->arena = arena_new(LEARN_ARENA_BYTES);
    l->form = api_form_find(a, l->workflow);
    if (l->form == NULL) {
        f = form_from_body(l, text, len, &why);
    }
    if (f == FAIL_NONE) {
        size_t room = count_lines(text, len) + LEARN_REVIEWED_MAX;
        l->examples = mem_alloc_array(room, sizeof(*l->examples));
        each_line(l, text, len, take_line, NULL);
        l->used = l->n;
        if (l->reviewed && !l->made) {
            f = learn_add_reviewed(a, &l->who, l->form, l->arena, l->examples, &l->n,
                                   l->used + LEARN_REVIEWED_MAX, &l->outcomes, &why);
        }
    }
    if (f == FAIL_NONE) {
        if (l->n == l->unlabelled) {
            f = FAULT(&why, FAIL_BAD_REQUEST, "no line is a usable example; line %zu: %s",
                      l->skipped ? l->notes[0].line : 1,
                      l->skipped         ? l->notes[0].message
                      : l->unlabelled > 0 ? "it has no expected value"
                                         : "it is empty");
        }
    }
    if (f != FAIL_NONE) {
        learning_free(l);
        wire_fail(r, f, &why);
        return;
    }
    api_on_core(a, r, learn_on_core, l);
}

void api_learn(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"measure", "reviewed", NULL};
    const char *workflow = wire_param(r, "workflow");
    struct fault why;
    int64_t measure = 1;
    int64_t reviewed = 1;
    if (!api_query_ok(r, names) || !api_query_int(r, "measure", 0, 1, &measure) ||
        !api_query_int(r, "reviewed", 0, 1, &reviewed)) {
        return;
    }
    if (!text_is_name(workflow)) {
        FAULT(&why, FAIL_BAD_REQUEST, "a workflow's name is lower-case letters, digits, . _ -");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    struct learning *l = mem_alloc(sizeof(*l));
    l->a = arg;
    l->r = r;
    l->workflow = workflow;
    l->who = *api_who(r);
    l->measure = measure != 0;
    l->reviewed = reviewed != 0;
    api_on_crunch(arg, r, learn_on_crunch, l);
}

/* ---- articles ---- */

struct shelving {
    struct api *a;
    struct principal who;
    const char *dataset;
    json_t *body; /* the texts live in it */
    struct task_article *articles;
    size_t n;
    struct errand *errand;
    struct dataset_about about;
    char *report;
    enum fail code;
    struct fault why;
};

static void shelving_free(struct shelving *s)
{
    mem_free(s->articles);
    json_decref(s->body);
    mem_free(s->report);
    mem_free(s);
}

static void shelve_progress(void *arg, const char *stage, size_t done, size_t total)
{
    errand_progress(((struct shelving *)arg)->errand, stage, done, total);
}

/* The articles are documents of their dataset too: searches find them, and what removes a document
   removes them. Their rows stand already, so the drafts are not made anew. */
static void take_articles(void *arg)
{
    struct shelving *s = arg;
    struct dataset_doc *docs = mem_alloc_array(s->n, sizeof(*docs));
    struct dataset_taken *taken = mem_alloc_array(s->n, sizeof(*taken));
    for (size_t i = 0; i < s->n; i++) {
        docs[i] = (struct dataset_doc){.path = s->articles[i].name,
                                       .media = "text/markdown",
                                       .data = s->articles[i].markdown,
                                       .len = s->articles[i].len};
    }
    s->code = datasets_take(s->a->h.datasets, &s->who, &s->about, docs, s->n, taken, &s->why);
    mem_free(docs);
    mem_free(taken);
}

static void articles_taken(void *arg)
{
    struct shelving *s = arg;
    errand_end(s->errand, s->code, &s->why, s->report, strlen(s->report));
    shelving_free(s);
}

static void shelve_done(void *arg, enum fail code, const struct fault *why, const char *report,
                        size_t len)
{
    struct shelving *s = arg;
    if (code == FAIL_NONE) {
        s->report = report != NULL ? mem_dup_strn(report, len) : mem_dup_str("null");
        code = pool_submit(s->a->h.crunch, take_articles, s, s->a->h.loop, articles_taken, &s->why);
        why = &s->why;
    }
    if (code != FAIL_NONE) {
        errand_end(s->errand, code, why, "null", 4);
        shelving_free(s);
    }
}

static void shelve_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct shelving *s = arg;
    struct fault why;
    struct errand *errand = errand_new(a, "articles", s->dataset, &s->who);
    if (errand == NULL) {
        FAULT(&why, FAIL_QUEUE_FULL, "%d jobs already run", API_MAX_ERRANDS);
        shelving_free(s);
        wire_fail(r, FAIL_QUEUE_FULL, &why);
        return;
    }
    s->errand = errand;
    errand_reply(r, errand);
    task_articles_put(a->h.desk, &s->who, s->about.name, s->articles, s->n, shelve_progress,
                      shelve_done, s);
}

static enum fail about_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct shelving *s = arg;
    return dataset_add(tx, s->a->h.audit, &s->who, &s->about, why);
}

/* The dataset, which the caller owns; made for the caller's team when there is none. */
static enum fail about_get(struct shelving *s, struct fault *why)
{
    struct store_conn *c = api_reader_take(s->a, why);
    if (c == NULL) {
        return why->code;
    }
    bool there = dataset_find(c, s->dataset, &s->about, why) == FAIL_NONE;
    enum fail f = FAIL_NONE;
    if (!there) {
        s->about = (struct dataset_about){.label = SECRECY_INTERNAL, .listed = true};
        (void)text_copy(s->about.name, sizeof(s->about.name), s->dataset);
        (void)text_copy(s->about.owner.name, sizeof(s->about.owner.name), s->who.team);
        (void)text_copy(s->about.purpose, sizeof(s->about.purpose), "articles for drafts");
        f = store_write_wait(s->a->h.store, about_write, s, why);
    }
    f = f != FAIL_NONE ? f
                       : dataset_get(c, s->dataset, &s->who, DATASET_OWNS, clock_now_us(),
                                     &s->about, why);
    api_reader_give(s->a, c);
    return f;
}

static enum fail read_article(const json_t *row, struct task_article *out, struct fault *why)
{
    static const char *const keys[] = {"name", "markdown", NULL};
    if (!json_is_object(row)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"articles\" must hold {\"name\", \"markdown\"}");
        return fail_param(why, "articles");
    }
    enum fail f = jn_only(row, keys, why);
    if (f == FAIL_NONE) {
        f = jn_str(row, "name", true, 200, &out->name, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(row, "markdown", true, 1024 * 1024, &out->markdown, why);
    }
    out->len = f == FAIL_NONE ? strlen(out->markdown) : 0;
    return f;
}

static void shelve_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"articles", NULL};
    struct shelving *s = arg;
    struct fault why;
    json_t *list = NULL;
    s->body = api_body(r, keys, false);
    if (s->body == NULL) {
        shelving_free(s);
        return;
    }
    enum fail f = jn_array(s->body, "articles", true, ARTICLES_MAX, &list, &why);
    if (f == FAIL_NONE && json_array_size(list) == 0) {
        FAULT(&why, FAIL_BAD_REQUEST, "\"articles\" is empty");
        f = fail_param(&why, "articles");
    }
    s->n = json_array_size(list);
    s->articles = mem_alloc_array(s->n + 1, sizeof(*s->articles));
    for (size_t i = 0; f == FAIL_NONE && i < s->n; i++) {
        f = read_article(json_array_get(list, i), &s->articles[i], &why);
    }
    f = f != FAIL_NONE ? f : about_get(s, &why);
    if (f != FAIL_NONE) {
        shelving_free(s);
        wire_fail(r, f, &why);
        return;
    }
    api_on_core(a, r, shelve_on_core, s);
}

void api_articles_put(struct wire_request *r, void *arg)
{
    struct fault why;
    const char *dataset = wire_param(r, "dataset");
    if (!text_is_name(dataset)) {
        FAULT(&why, FAIL_BAD_REQUEST, "a dataset's name is lower-case letters, digits, . _ -");
        wire_fail(r, FAIL_BAD_REQUEST, &why);
        return;
    }
    struct shelving *s = mem_alloc(sizeof(*s));
    s->a = arg;
    s->who = *api_who(r);
    s->dataset = dataset;
    api_on_crunch(arg, r, shelve_on_crunch, s);
}
