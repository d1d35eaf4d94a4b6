/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Typed questions: from the request to what each asks and which labels it may be answered with,
 * and from the labels' probabilities back to answers. A choice's labels are its options' names, a
 * score's are its levels' numbers, yes and no count in both spellings.
 * Limits: TASK_QUESTIONS_MAX questions, OPTIONS_MAX options, 2 to 10 levels, TEXT_MAX of words a
 * question, STATE_MAX of state.
 */
#include "http/openai/openai.h"

#include <math.h>
#include <string.h>

#include "base/json/json.h"
#include "run/form/form.h"

#define OPTIONS_MAX FORM_LABELS_MAX
#define LEVELS_MAX 10
#define TEXT_MAX (64u * 1024u)
#define STATE_MAX (256u * 1024u)
#define NAME_MAX_BYTES 256
#define ARENA_MAX ((size_t)16 * 1024 * 1024)

static const char *const levels[LEVELS_MAX] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
/* Models begin an answer either way; both count for it. */
static const char *const yes_no[] = {"yes", "no", "Yes", "No"};

static enum fail refuse(struct fault *why, enum fail code, const char *name, const char *what)
{
    FAULT(why, code, "question \"%.100s\": %s", name, what);
    return fail_param(why, "questions");
}

static int add_bytes(const char *bytes, size_t n, void *out)
{
    return buf_add(out, bytes, n) ? 0 : -1;
}

/* A string as it is, anything else as its JSON text. */
static void put_text(struct buf *b, const json_t *value)
{
    if (json_is_string(value)) {
        buf_add(b, json_string_value(value), json_string_length(value));
    } else {
        (void)json_dump_callback(value, add_bytes, b, JSON_COMPACT | JSON_ENCODE_ANY);
    }
}

static bool is_said(const json_t *value)
{
    return value != NULL && !json_is_null(value) &&
           !(json_is_string(value) && json_string_length(value) == 0);
}

/* ---- questions ---- */

static enum fail read_choice(struct openai_decide_ask *a, size_t i, struct buf *b,
                             struct fault *why)
{
    const json_t *criteria = a->criteria[i];
    size_t n = json_is_object(criteria) ? json_object_size(criteria) : 0;
    const char *name;
    json_t *about;
    if (n < 2 || n > OPTIONS_MAX) {
        FAULT(why, FAIL_BAD_REQUEST,
              "question \"%.100s\": a choice needs criteria of 2 to %d options with a description "
              "or null each, not %zu",
              a->names[i], OPTIONS_MAX, n);
        return fail_param(why, "questions");
    }
    const char **labels = arena_alloc(a->arena, n * sizeof(*labels));
    size_t k = 0;
    (void)buf_add_str(b, "\nOptions:\n");
    json_object_foreach((json_t *)criteria, name, about) {
        size_t len = strlen(name);
        if (len == 0 || len > FORM_LABEL_BYTES_MAX) {
            return refuse(why, FAIL_BAD_REQUEST, a->names[i],
                          "an option's name must have 1 to 128 bytes");
        }
        labels[k++] = name;
        (void)buf_printf(b, "- %s", name);
        if (is_said(about)) {
            (void)buf_add_str(b, ": ");
            put_text(b, about);
        }
        (void)buf_add_char(b, '\n');
    }
    (void)buf_add_str(b, "Answer with the name of one option and nothing else.");
    a->questions[i].labels = labels;
    a->questions[i].labels_len = n;
    return FAIL_NONE;
}

static enum fail read_score(struct openai_decide_ask *a, size_t i, struct buf *b,
                            struct fault *why)
{
    const json_t *criteria = a->criteria[i];
    size_t n = json_is_array(criteria) ? json_array_size(criteria) : 0;
    if (n < 2 || n > LEVELS_MAX) {
        return refuse(why, FAIL_BAD_REQUEST, a->names[i],
                      "a score needs criteria of 2 to 10 levels, the lowest first");
    }
    (void)buf_add_str(b, "\nLevels:\n");
    for (size_t k = 0; k < n; k++) {
        if (!is_said(json_array_get(criteria, k))) {
            return refuse(why, FAIL_BAD_REQUEST, a->names[i], "a level without a description");
        }
        (void)buf_printf(b, "%zu: ", k);
        put_text(b, json_array_get(criteria, k));
        (void)buf_add_char(b, '\n');
    }
    (void)buf_add_str(b, "Answer with the number of one level and nothing else.");
    a->questions[i].labels = levels;
    a->questions[i].labels_len = n;
    return FAIL_NONE;
}

static enum fail read_yes_no(struct openai_decide_ask *a, size_t i, struct buf *b,
                             struct fault *why)
{
    const json_t *criteria = a->criteria[i];
    if (criteria != NULL && !json_is_null(criteria) && !json_is_object(criteria)) {
        return refuse(why, FAIL_BAD_REQUEST, a->names[i],
                      "the criteria of yes and no are an object with true, false or both");
    }
    (void)buf_add_char(b, '\n');
    for (int k = 0; k < 2; k++) {
        const json_t *about = json_object_get(criteria, k == 0 ? "true" : "false");
        if (is_said(about)) {
            (void)buf_printf(b, "%s means: ", yes_no[k]);
            put_text(b, about);
            (void)buf_add_char(b, '\n');
        }
    }
    (void)buf_add_str(b, "Answer yes or no and nothing else.");
    a->questions[i].labels = yes_no;
    a->questions[i].labels_len = COUNT_OF(yes_no);
    return FAIL_NONE;
}

static enum fail read_type(struct openai_decide_ask *a, size_t i, const json_t *q,
                           struct fault *why)
{
    static const struct {
        const char *name;
        enum openai_question type;
    } types[] = {{"choice", OPENAI_CHOICE},
                 {"score", OPENAI_SCORE},
                 {"noul", OPENAI_NOUL},
                 {"boolean", OPENAI_NOUL}};
    const char *word = json_string_value(json_object_get(q, "type"));
    for (size_t k = 0; word != NULL && k < COUNT_OF(types); k++) {
        if (strcmp(types[k].name, word) == 0) {
            a->types[i] = types[k].type;
            return FAIL_NONE;
        }
    }
    return refuse(why, word == NULL ? FAIL_BAD_REQUEST : FAIL_UNSUPPORTED, a->names[i],
                  "its type must be one of choice, score, noul, boolean");
}

static enum fail read_question(struct openai_decide_ask *a, size_t i, const json_t *q,
                               struct fault *why)
{
    static enum fail (*const readers[])(struct openai_decide_ask *, size_t, struct buf *,
                                        struct fault *) = {read_choice, read_score, read_yes_no};
    const json_t *what = json_object_get(q, "instructions");
    size_t name = strlen(a->names[i]);
    if (!json_is_object(q) || name == 0 || name > NAME_MAX_BYTES) {
        return refuse(why, FAIL_BAD_REQUEST, a->names[i],
                      "each question is an object under a name of 1 to 256 bytes");
    }
    enum fail f = read_type(a, i, q, why);
    if (f == FAIL_NONE && (!is_said(what) || json_is_boolean(what) || json_is_number(what))) {
        f = refuse(why, FAIL_BAD_REQUEST, a->names[i], "it has no instructions");
    }
    if (f == FAIL_NONE) {
        f = jn_real(q, "correction", false, 0, 1, &a->questions[i].correction, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    struct buf b;
    buf_init(&b, TEXT_MAX);
    (void)buf_add_str(&b, "\n\nQuestion: ");
    put_text(&b, what);
    a->criteria[i] = json_object_get(q, "criteria");
    f = readers[a->types[i]](a, i, &b, why);
    if (f == FAIL_NONE && b.overflow) {
        f = refuse(why, FAIL_TOO_LARGE, a->names[i], "it has more than 64 KiB of words");
    }
    if (f == FAIL_NONE) {
        a->questions[i].ask = arena_dup_strn(a->arena, b.data, b.len);
    }
    buf_done(&b);
    return f;
}

/* ---- the request ---- */

static bool has_media(const json_t *state)
{
    const json_t *messages = json_is_array(state) ? state : json_object_get(state, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *content = json_object_get(json_array_get(messages, i), "content");
        for (size_t k = 0; k < json_array_size(content); k++) {
            const char *type =
                json_string_value(json_object_get(json_array_get(content, k), "type"));
            if (type != NULL &&
                (strcmp(type, "image_url") == 0 || strcmp(type, "input_audio") == 0)) {
                return true;
            }
        }
    }
    return false;
}

static enum fail check_whole(const json_t *root, struct fault *why)
{
    static const char *const media[] = {"files", "images"};
    const json_t *state = json_object_get(root, "state");
    for (size_t i = 0; i < COUNT_OF(media); i++) {
        if (json_array_size(json_object_get(root, media[i])) > 0) {
            FAULT(why, FAIL_UNSUPPORTED, "\"%s\" is not supported: the models here read text",
                  media[i]);
            return fail_param(why, media[i]);
        }
    }
    if (json_is_true(json_object_get(root, "stream"))) {
        FAULT(why, FAIL_UNSUPPORTED, "\"stream\" is not supported: decisions come as a whole");
        return fail_param(why, "stream");
    }
    if (has_media(state)) {
        FAULT(why, FAIL_UNSUPPORTED, "\"state\" has a part that is not text");
        return fail_param(why, "state");
    }
    if (!is_said(state) || json_is_boolean(state) || json_is_number(state)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"state\" must be a text, an object or an array");
        return fail_param(why, "state");
    }
    return FAIL_NONE;
}

static enum fail read_texts(struct openai_decide_ask *a, struct fault *why)
{
    const json_t *intro = json_object_get(a->tree, "instructions");
    const char *model = "auto";
    struct buf b;
    enum fail f = jn_str(a->tree, "model", false, sizeof(a->model) - 1, &model, why);
    if (f != FAIL_NONE) {
        return f;
    }
    (void)text_copy(a->model, sizeof(a->model), model);
    buf_init(&b, STATE_MAX);
    put_text(&b, json_object_get(a->tree, "state"));
    if (b.overflow) {
        FAULT(why, FAIL_TOO_LARGE, "\"state\" is larger than %u bytes", STATE_MAX);
        buf_done(&b);
        return fail_param(why, "state");
    }
    a->state = arena_dup_strn(a->arena, b.data, b.len);
    buf_done(&b);
    buf_init(&b, TEXT_MAX);
    if (is_said(intro)) {
        put_text(&b, intro);
        (void)buf_add_str(&b, "\n\n");
    }
    (void)buf_add_str(&b, "Read this:\n\n");
    if (b.overflow) {
        FAULT(why, FAIL_TOO_LARGE, "\"instructions\" is larger than %u bytes", TEXT_MAX);
        buf_done(&b);
        return fail_param(why, "instructions");
    }
    a->intro = arena_dup_strn(a->arena, b.data, b.len);
    buf_done(&b);
    return FAIL_NONE;
}

static enum fail read_questions(struct openai_decide_ask *a, struct fault *why)
{
    json_t *questions = NULL;
    const char *name;
    json_t *q;
    enum fail f = jn_object(a->tree, "questions", true, &questions, why);
    size_t n = json_object_size(questions);
    if (f == FAIL_NONE && (n == 0 || n > TASK_QUESTIONS_MAX)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"questions\" must hold 1 to %d questions, not %zu",
              TASK_QUESTIONS_MAX, n);
        f = fail_param(why, "questions");
    }
    if (f != FAIL_NONE) {
        return f;
    }
    json_object_foreach(questions, name, q) {
        a->names[a->n] = name;
        f = read_question(a, a->n, q, why);
        if (f != FAIL_NONE) {
            return f;
        }
        a->n++;
    }
    return FAIL_NONE;
}

enum fail openai_decide_decode(const char *body, size_t len, struct openai_decide_ask *out,
                               struct fault *why)
{
    memset(out, 0, sizeof(*out));
    enum fail f = jn_parse(body, len, "the request body", &out->tree, why);
    if (f == FAIL_NONE && !json_is_object(out->tree)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "the request body must be an object");
    }
    out->arena = arena_new(ARENA_MAX);
    f = f != FAIL_NONE ? f : check_whole(out->tree, why);
    f = f != FAIL_NONE ? f : read_texts(out, why);
    f = f != FAIL_NONE ? f : read_questions(out, why);
    if (f != FAIL_NONE) {
        openai_decide_ask_done(out);
    }
    return f;
}

void openai_decide_ask_done(struct openai_decide_ask *ask)
{
    json_decref(ask->tree);
    arena_free(ask->arena);
    ask->tree = NULL;
    ask->arena = NULL;
}

/* ---- answers ---- */

static size_t likeliest(const double *p, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++) {
        best = p[i] > p[best] ? i : best;
    }
    return best;
}

static double clamp(double x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

static void put_choice(struct jn_writer *w, const struct task_question *q, const double *p)
{
    size_t n = q->labels_len, best = likeliest(p, n);
    double even = 1.0 / (double)n;
    jn_kv_str(w, "choice", q->labels[best]);
    jn_key(w, "probabilities");
    jn_object_begin(w);
    for (size_t k = 0; k < n; k++) {
        jn_kv_real(w, q->labels[k], p[k], 4);
    }
    jn_object_end(w);
    jn_kv_real(w, "confidence", clamp((p[best] - even) / (1 - even)), 4);
}

static void put_score(struct jn_writer *w, const struct task_question *q, const json_t *criteria,
                      const double *p)
{
    size_t n = q->labels_len, best = likeliest(p, n);
    double mean = 0, off = 0, even = 0;
    jn_key(w, "legend");
    jn_object_begin(w);
    for (size_t k = 0; k < n; k++) {
        const json_t *level = json_array_get(criteria, k);
        struct buf b;
        buf_init(&b, TEXT_MAX);
        put_text(&b, level);
        jn_kv_str(w, levels[k], b.data);
        buf_done(&b);
        mean += (double)k * p[k];
        off += fabs((double)k - (double)best) * p[k];
        even += fabs((double)k - (double)(n - 1) / 2) / (double)n;
    }
    jn_object_end(w);
    jn_kv_real(w, "score", mean, 4);
    jn_key(w, "probabilities");
    jn_object_begin(w);
    for (size_t k = 0; k < n; k++) {
        jn_kv_real(w, levels[k], p[k], 4);
    }
    jn_object_end(w);
    jn_kv_real(w, "confidence", clamp(1 - off / even), 4);
}

static void put_yes_no(struct jn_writer *w, const double *p)
{
    double yes = clamp(p[0] + p[2]);
    jn_kv_real(w, "noul", yes, 4);
    jn_key(w, "probabilities");
    jn_object_begin(w);
    jn_kv_real(w, "yes", yes, 4);
    jn_kv_real(w, "no", 1 - yes, 4);
    jn_object_end(w);
    jn_kv_real(w, "confidence", fabs(2 * yes - 1), 4);
}

void openai_put_answers(struct jn_writer *w, const struct openai_decide_ask *ask,
                        const struct task_decided *decided)
{
    static const char *const types[] = {"choice", "score", "noul"};
    jn_object_begin(w);
    for (size_t i = 0; i < ask->n; i++) {
        const double *p = decided[i].probs;
        jn_key(w, ask->names[i]);
        jn_object_begin(w);
        jn_kv_str(w, "type", types[ask->types[i]]);
        if (ask->types[i] == OPENAI_CHOICE) {
            put_choice(w, &ask->questions[i], p);
        } else if (ask->types[i] == OPENAI_SCORE) {
            put_score(w, &ask->questions[i], ask->criteria[i], p);
        } else {
            put_yes_no(w, p);
        }
        jn_object_end(w);
    }
    jn_object_end(w);
}
