/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Learning, as stages: embed (workers), train (a crunch thread), measure (the models on a sample,
 * as ordinary tasks), store (one write with its leaf), activate. One job at a time a workflow; the
 * old heads serve until the new ones stand.
 */
#include <stdio.h>
#include <string.h>

#include "answer/autonomy/autonomy.h"
#include "answer/task/learn_job_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"
#include "trust/guard/guard.h"

#define EMBED_CHUNK 32
#define EMBED_TEXT 8192

static void job_free(struct learn_job *j)
{
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        if (j->trained[i]) {
            learn_report_done(&j->reports[i]);
        }
        extract_report_done(&j->found[i]);
    }
    j->desk->learning--;
    ladder_form_unref(j->form);
    shelf_unref(j->shelf);
    shelf_unref(j->fresh);
    learn_head_free(j->article_head);
    buf_done(&j->article_blob);
    headset_unref(j->heads);
    mem_free(j->vectors);
    trials_free(j->trials);
    buf_done(&j->report);
    arena_free(j->arena);
    mem_free(j);
}

static void job_end(struct learn_job *j)
{
    if (j->code != FAIL_NONE) {
        j->done(j->arg, j->code, &j->why, NULL, 0);
    } else {
        j->done(j->arg, FAIL_NONE, NULL, j->report.data, j->report.len);
    }
    job_free(j);
}

void learn_job_fail(struct learn_job *j, const struct fault *why)
{
    j->why = *why;
    j->code = why->code;
    job_end(j);
}

/* ---- embed ---- */

static size_t all_inputs(const struct learn_job *j)
{
    return j->n + j->extra + j->traffic;
}

static void train_start(struct learn_job *j);
static void embed_next(struct learn_job *j);

static void on_vectors(void *arg, const struct fleet_answer *a)
{
    struct learn_job *j = arg;
    const struct fleet_vectors *v = a->vectors;
    if (a->code != FAIL_NONE || v == NULL) {
        struct fault why;
        FAULT(&why, a->code, "the examples could not be embedded: %.200s",
              a->why != NULL ? a->why->message : "no answer");
        learn_job_fail(j, &why);
        return;
    }
    if (j->vectors == NULL) {
        j->dim = v->dim;
        j->vectors = mem_alloc_array(all_inputs(j), v->dim * sizeof(float));
        memcpy(j->embed, a->sha256, sizeof(j->embed));
    }
    if (v->dim != j->dim || strcmp(a->sha256, j->embed) != 0) {
        struct fault why;
        FAULT(&why, FAIL_MODEL_UNAVAILABLE,
              "the embedding model was replaced while the examples were embedded");
        fail_hint(&why, "Learn again: the new model embeds them.");
        learn_job_fail(j, &why);
        return;
    }
    ASSERT(j->embedded + v->n <= all_inputs(j)); /* the fleet counts them */
    memcpy(j->vectors + j->embedded * j->dim, v->data, v->n * v->dim * sizeof(float));
    j->embedded += v->n;
    j->progress(j->arg, "embed", j->embedded, all_inputs(j));
    embed_next(j);
}

static void embed_next(struct learn_job *j)
{
    size_t all = all_inputs(j);
    if (j->embedded == all) {
        trials_cost(j->trials, LADDER_LEARNED, clock_ms_since(j->stage_us) / (double)all);
        train_start(j);
        return;
    }
    const char *texts[EMBED_CHUNK];
    struct buf masked[EMBED_CHUNK], body;
    char domain[128];
    struct fault why;
    if (gate_work(j->desk, &j->who, j->workflow, &why) != FAIL_NONE) {
        learn_job_fail(j, &why);
        return;
    }
    size_t n = all - j->embedded < EMBED_CHUNK ? all - j->embedded : EMBED_CHUNK;
    desk_domain(&j->who, j->form->dataset, domain, sizeof(domain));
    buf_init(&body, IPC_FRAME_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *input = j->inputs[j->embedded + i];
        size_t len = strlen(input);
        buf_init(&masked[i], 4 * EMBED_TEXT - 256); /* so that all of them fit a frame */
        len = len > EMBED_TEXT ? text_utf8_cut(input, EMBED_TEXT) : len;
        bool ok = guard_mask(input, len, NULL, &masked[i], NULL);
        texts[i] = ok && masked[i].len > 0 ? masked[i].data : " ";
    }
    bool ok = fleet_embed_body(&body, IPC_BATCH, false, domain, texts, n);
    ASSERT(ok); /* 32 x 32 KiB at most fits a frame */
    struct fleet_ask ask = {.role = FLEET_EMBED, .type = IPC_EMBED, .flags = IPC_FLAG_BULK,
                            .body = body.data, .len = body.len, .team = j->who.team,
                            .class = IPC_BATCH, .done = on_vectors, .arg = j};
    fleet_ask(j->desk->house.fleet, &ask);
    for (size_t i = 0; i < n; i++) {
        buf_done(&masked[i]);
    }
    buf_done(&body);
}

/* ---- train ---- */

struct tick {
    struct learn_job *job;
    char stage[64];
    int done, total;
};

static void on_tick(void *arg)
{
    struct tick *k = arg;
    k->job->progress(k->job->arg, k->stage, (size_t)k->done, (size_t)k->total);
    mem_free(k);
}

/* On the crunch thread: the loop runs ticks before the job's own end, so the job outlives them. */
static bool on_train_progress(void *arg, int done, int total)
{
    struct learn_job *j = arg;
    struct tick *k = mem_alloc(sizeof(*k));
    k->job = j;
    snprintf(k->stage, sizeof(k->stage), "train %s", j->form->fields[j->training_field].name);
    k->done = done;
    k->total = total;
    loop_post(j->desk->house.loop, on_tick, k);
    return true;
}

static bool has_label(const struct learn_example *examples, size_t n, const char *label)
{
    for (size_t i = 0; i < n; i++) {
        if (examples[i].label != NULL && strcmp(examples[i].label, label) == 0) {
            return true;
        }
    }
    return false;
}

static struct learn_example input_at(const struct learn_job *j, size_t i)
{
    return (struct learn_example){
        .text = j->inputs[i], .text_len = strlen(j->inputs[i]),
        .embedding = j->vectors != NULL ? j->vectors + i * j->dim : NULL};
}

/* What hints at one of this field's labels: its name, and the paragraphs of articles that name it
   as their queue. They teach and are never counted: evidence comes from what people decided
   alone. */
static size_t gather_hints(const struct learn_job *j, size_t field, struct learn_example *out,
                           size_t n)
{
    size_t more = 0;
    for (size_t k = 0; k < j->extra; k++) {
        const struct hint *h = &j->hints[k];
        if ((h->field >= 0 && h->field != (int)field) || !has_label(out, n, h->label)) {
            continue;
        }
        out[n + more] = input_at(j, j->n + k);
        out[n + more].label = h->label;
        out[n + more++].extra = true;
    }
    return more;
}

static size_t gather(struct learn_job *j, size_t field, struct learn_example *out)
{
    const struct ladder_field *f = &j->form->fields[field];
    size_t n = 0;
    size_t decided = 0;
    for (size_t i = 0; i < j->n; i++) {
        const char *label = j->examples[i].values[field];
        if (label == NULL || label[0] == '\0') {
            continue;
        }
        if (!f->labels_learned && strcmp(label, LEARN_NONE) != 0 &&
            ladder_label_find(f, label) < 0) {
            j->left_out[field]++;
            continue;
        }
        if (strcmp(label, LEARN_NONE) != 0) {
            j->told[field][i] = (uint32_t)++decided;
        }
        out[n] = input_at(j, i);
        out[n].label = label;
        out[n].lang = j->langs[i];
        out[n++].ref = j->examples[i].id;
    }
    if (n == 0) {
        return 0;
    }
    n += gather_hints(j, field, out, n);
    for (size_t i = 0; i < j->traffic; i++) {
        out[n++] = input_at(j, j->n + j->extra + i);
    }
    return n;
}

void learn_job_prove(struct learn_job *j, size_t field, enum ladder_rung rung, const double *score,
                     const bool *right, size_t n)
{
    struct certify_result *proof = &j->proof[field][rung];
    struct ladder_evidence *e = &j->evidence[field][rung];
    struct certify_rule rule = {.target = j->form->fields[field].target_error, .delta = j->delta,
                                .basis = CERTIFY_OF_ANSWERS};
    certify_test(score, right, n, &rule, proof);
    e->threshold = proof->certified ? proof->threshold : LADDER_UNCERTIFIED;
    e->coverage = proof->certified ? (double)proof->accepted / (double)n : 0;
}

static enum fail train_field(struct learn_job *j, size_t field, struct fault *why)
{
    const struct ladder_field *f = &j->form->fields[field];
    struct learn_options o = learn_defaults();
    struct learn_progress progress = {on_train_progress, j};
    struct learn_example *examples = mem_alloc_array(all_inputs(j), sizeof(*examples));
    size_t n = gather(j, field, examples);
    o.dim = (int)j->dim;
    o.target_error = f->target_error;
    o.delta = j->delta;
    enum fail failed = FAIL_NONE;
    if (n > 0) {
        failed = learn_train(examples, n, &o, &progress, &j->heads->head[field], &j->reports[field],
                             why);
        j->trained[field] = failed == FAIL_NONE;
    }
    mem_free(examples);
    if (!j->trained[field]) {
        return failed;
    }
    uint8_t hash[32];
    const struct learn_report *r = &j->reports[field];
    learn_head_hash(j->heads->head[field], hash);
    memcpy(j->heads->embed[field], j->embed, sizeof(j->heads->embed[field]));
    text_hex(hash, sizeof(hash), j->heads->release[field]);
    j->evidence[field][LADDER_LEARNED] = (struct ladder_evidence){
        .n = (int)r->n,
        .accuracy = r->accuracy,
        .slope = 1,
        .offset = 0,
        .class = LADDER_PROVISIONAL,
        .threshold = r->certificate.certified ? r->certificate.threshold : LADDER_UNCERTIFIED,
        .coverage = r->certificate.certified ? r->certificate.coverage : 0};
    double *score = mem_alloc_array(r->n, sizeof(*score));
    bool *right = mem_alloc_array(r->n, sizeof(*right));
    for (size_t i = 0; i < r->n; i++) {
        score[i] = (double)r->oof[i].confidence;
        right[i] = r->oof[i].answered == r->oof[i].truth;
    }
    learn_job_prove(j, field, LADDER_LEARNED, score, right, r->n);
    mem_free(score);
    mem_free(right);
    return FAIL_NONE;
}

static void train_work(void *arg)
{
    struct learn_job *j = arg;
    j->heads = mem_alloc(sizeof(*j->heads));
    j->heads->refs = 1;
    j->langs = arena_alloc(j->arena, (j->n + 1) * sizeof(*j->langs));
    for (size_t i = 0; i < j->n; i++) {
        j->langs[i] = heads_language(j->arena, j->inputs[i]);
    }
    for (size_t i = 0; i < j->form->fields_len && j->code == FAIL_NONE; i++) {
        struct learn_progress progress = {on_train_progress, j};
        j->training_field = (int)i;
        if (j->form->fields[i].type == LADDER_CHOICE) {
            j->code = train_field(j, i, &j->why);
        } else if (ladder_type_is_found(j->form->fields[i].type)) {
            j->code = found_learn(j, i, &progress, &j->why);
        }
    }
}

static void train_done(void *arg)
{
    struct learn_job *j = arg;
    bool any = false;
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        any = any || j->trained[i] || j->trained_found[i];
    }
    if (j->code == FAIL_NONE && !any) {
        j->code = FAULT(&j->why, FAIL_BAD_REQUEST,
                        "no example has a value for a field of \"%s\" that learns", j->form->name);
        fail_hint(&j->why, "Give them as \"expected\": {\"%s\": \"…\"}.", j->form->fields[0].name);
    }
    if (j->code != FAIL_NONE) {
        job_end(j);
        return;
    }
    for (size_t i = 0; i < j->form->fields_len; i++) {
        if (j->trained[i]) {
            heads_give_labels(j->heads->head[i], &j->form->fields[i]);
        }
    }
    learn_job_measure(j);
}

static void train_start(struct learn_job *j)
{
    struct fault why;
    if (pool_submit(j->desk->house.crunch, train_work, j, j->desk->house.loop, train_done, &why) !=
        FAIL_NONE) {
        learn_job_fail(j, &why);
    }
}

/* ---- store and activate ---- */

/* Past tickets that an article answered, masked: the search finds the article through them too. */
static enum fail write_questions(struct store_tx *tx, struct learn_job *j, struct fault *why)
{
    enum fail f = FAIL_NONE;
    struct buf masked;
    buf_init(&masked, (size_t)2 << 20);
    for (size_t i = 0; i < j->n && f == FAIL_NONE && j->shelf != NULL; i++) {
        const struct task_example *x = &j->examples[i];
        if (x->article == NULL || x->id[0] == '\0' ||
            knowledge_article_find(j->shelf->knowledge, x->article) == NULL) {
            continue;
        }
        buf_clear(&masked);
        guard_mask(j->inputs[i], strlen(j->inputs[i]), NULL, &masked, NULL);
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx),
                        "INSERT OR REPLACE INTO dataset_question (dataset, key, article, text, "
                        "vector) VALUES (?1, ?2, ?3, ?4, ?5)");
        store_bind_text(s, 1, j->form->dataset);
        store_bind_text(s, 2, x->id);
        store_bind_text(s, 3, x->article);
        store_bind_text(s, 4, masked.data != NULL ? masked.data : "");
        store_bind_blob(s, 5, j->vectors != NULL ? j->vectors + i * j->dim : NULL,
                        j->dim * sizeof(float));
        f = store_run(s, why);
        j->questions++;
    }
    buf_done(&masked);
    return f;
}

/* Tests become certificates, and what they replace ends. */
static enum fail issue(struct store_tx *tx, struct learn_job *j, struct fault *why)
{
    enum fail f = FAIL_NONE;
    struct ladder_form *form = ladder_form_dup(j->form);
    memcpy(form->evidence, j->evidence, sizeof(form->evidence));
    for (size_t i = 0; i < form->fields_len; i++) {
        for (int r = 0; f == FAIL_NONE && r < LADDER_RUNG_COUNT; r++) {
            struct licence_releases of;
            if (j->evidence[i][r].n == 0) {
                continue;
            }
            licence_releases(form, i, (enum ladder_rung)r,
                             r == LADDER_LEARNED ? j->embed : j->measured[r],
                             r == LADDER_LEARNED ? j->heads->release[i] : "", &of);
            f = licence_issue(tx, j->desk->house.audit, form, i, (enum ladder_rung)r, &of,
                              &j->proof[i][r], &j->who, &j->evidence[i][r], why);
        }
    }
    ladder_form_unref(form);
    return f;
}

static enum fail write_learned(struct store_tx *tx, void *arg, struct fault *why)
{
    struct learn_job *j = arg;
    struct head_row heads[LADDER_MAX_FIELDS];
    struct evidence_row rows[LADDER_MAX_FIELDS * LADDER_RUNG_COUNT];
    const char *releases[AUDIT_RELEASES_MAX];
    size_t heads_len = 0, rows_len = 0, releases_len = 0;
    size_t fell;
    enum fail f = issue(tx, j, why);
    f = f != FAIL_NONE ? f
                       : autonomy_ended(tx, j->desk->house.audit, j->workflow, j->who.team, &fell,
                                        why);
    if (f != FAIL_NONE) {
        return f;
    }
    releases[releases_len++] = j->form->release;
    for (size_t i = 0; i < j->form->fields_len; i++) {
        const char *name = j->form->fields[i].name;
        if (j->trained[i] || j->trained_found[i]) {
            heads[heads_len] = (struct head_row){.field = name, .head = j->heads->head[i],
                                                 .found = j->heads->found[i]};
            memcpy(heads[heads_len++].release, j->heads->release[i], 65);
            releases[releases_len++] = j->heads->release[i];
        }
        for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
            if (j->evidence[i][r].n > 0) {
                rows[rows_len++] = (struct evidence_row){
                    .field = name, .rung = (enum ladder_rung)r, .e = j->evidence[i][r],
                    .releases = heads_releases(
                        j->arena, (enum ladder_rung)r,
                        r == LADDER_LEARNED ? j->heads->release[i] : j->measured[r], j->embed,
                        j->form, i)};
            }
        }
    }
    f = heads_store(tx, j->workflow, heads, heads_len, rows, rows_len, why);
    f = f != FAIL_NONE ? f : choice_store(tx, j->form, why);
    f = f != FAIL_NONE ? f : write_questions(tx, j, why);
    f = f != FAIL_NONE ? f : past_replies_write(tx, j, why);
    struct audit_leaf leaf = {.kind = AUDIT_KIND_LEARNED, .actor = j->who.name,
                              .team = j->who.team, .task = j->workflow, .releases = releases,
                              .releases_len = releases_len};
    return f != FAIL_NONE ? f : audit_append(tx, j->desk->house.audit, &leaf, NULL, NULL, why);
}

static void write_evidence(struct jn_writer *w, const struct ladder_evidence *e)
{
    jn_object_begin(w);
    jn_kv_int(w, "n", e->n);
    jn_kv_real(w, "accuracy", e->accuracy, 4);
    jn_kv_bool(w, "certified", e->threshold <= 1);
    jn_kv_real(w, "threshold", e->threshold <= 1 ? e->threshold : 0, 4);
    jn_kv_real(w, "coverage", e->coverage, 4);
    jn_kv_str(w, "class", ladder_class_name(e->class));
    jn_kv_bool(w, "from_history", e->class == LADDER_HISTORY);
    jn_object_end(w);
}

static void write_report(struct learn_job *j)
{
    struct jn_writer w;
    struct buf one;
    buf_init(&one, (size_t)1 << 20);
    jn_begin(&w, &j->report, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "workflow", j->workflow);
    jn_kv_int(&w, "examples", (int64_t)j->n);
    jn_kv_int(&w, "unlabelled", (int64_t)j->traffic);
    jn_kv_bool(&w, "embeddings", j->vectors != NULL);
    jn_kv_real(&w, "ms", clock_ms_since(j->started_us), 1);
    jn_key(&w, "fields");
    jn_array_begin(&w);
    for (size_t i = 0; i < j->form->fields_len; i++) {
        if (!j->trained[i] && !j->trained_found[i]) {
            continue;
        }
        jn_object_begin(&w);
        jn_kv_str(&w, "name", j->form->fields[i].name);
        jn_kv_str(&w, "release", j->heads->release[i]);
        jn_kv_real(&w, "target_error", j->form->fields[i].target_error, 4);
        jn_kv_int(&w, "left_out", (int64_t)j->left_out[i]);
        buf_clear(&one);
        if (j->trained[i]) {
            learn_report_json(&j->reports[i], &one);
        } else {
            extract_report_json(&j->found[i], &one);
        }
        jn_key(&w, "report");
        jn_put_raw(&w, one.data, one.len);
        jn_key(&w, "rungs");
        jn_object_begin(&w);
        for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
            if (j->evidence[i][r].n > 0) {
                jn_key(&w, ladder_rung_name((enum ladder_rung)r));
                write_evidence(&w, &j->evidence[i][r]);
            }
        }
        jn_object_end(&w);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_key(&w, "climb");
    if (j->form->choice != NULL) {
        jn_put_raw(&w, j->form->choice, strlen(j->form->choice));
    } else {
        jn_put_null(&w);
    }
    jn_key(&w, "drafts");
    if (j->calibrated) {
        jn_object_begin(&w);
        jn_kv_int(&w, "past_tickets", j->fit.used);
        jn_kv_int(&w, "answerable", j->fit.answerable);
        jn_kv_int(&w, "unanswerable", j->fit.unanswerable);
        jn_kv_int(&w, "offered", j->fit.offered);
        jn_kv_int(&w, "right", j->fit.right);
        jn_kv_int(&w, "offered_unanswerable", j->fit.offered_unanswerable);
        jn_object_end(&w);
    } else {
        jn_put_null(&w);
    }
    jn_object_end(&w);
    buf_done(&one);
}

/* ---- drafts: when to offer one, fitted to the past tickets ---- */

static void job_report(struct learn_job *j)
{
    write_report(j);
    job_end(j);
}

static enum fail write_compose(struct store_tx *tx, void *arg, struct fault *why)
{
    struct learn_job *j = arg;
    const char *dataset = j->form->dataset;
    uint8_t hash[32];
    char release[TEXT_SHA256_HEX_SIZE];
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "UPDATE dataset SET compose = ?2 WHERE name = ?1");
    store_bind_text(s, 1, dataset);
    store_bind_blob(s, 2, &j->model, sizeof(j->model));
    enum fail f = store_run(s, why);
    if (f != FAIL_NONE || j->article_head == NULL) {
        return f != FAIL_NONE ? f : head_bytes_drop(tx, HEAD_OF_ARTICLES, dataset, why);
    }
    learn_head_hash(j->article_head, hash);
    text_hex(hash, sizeof(hash), release);
    return head_bytes_put(tx, HEAD_OF_ARTICLES, dataset, release, &j->article_blob, why);
}

static void on_compose_written(void *arg, enum fail code, const struct fault *why)
{
    struct learn_job *j = arg;
    if (code != FAIL_NONE) {
        learn_job_fail(j, why);
        return;
    }
    /* The model is part of the dataset's release: reuse and records must see the change. Tasks and
       the store's thread hold the old shelf: the change is a new one over the same knowledge. */
    struct shelf *shelf = mem_dup(j->fresh, sizeof(*shelf));
    uint8_t hash[32];
    struct buf b;
    shelf->refs = 1;
    shelf->base = shelf_ref(j->fresh);
    shelf->head = j->article_head;
    j->article_head = NULL;
    buf_init(&b, 4096);
    buf_add_str(&b, shelf->release);
    buf_add(&b, &j->model, sizeof(j->model));
    if (shelf->head != NULL) {
        learn_head_hash(shelf->head, hash);
        buf_add(&b, hash, sizeof(hash));
    }
    text_sha256(b.data, b.len, hash);
    text_hex(hash, sizeof(hash), shelf->release);
    shelf->model = j->model;
    buf_done(&b);
    (void)desk_shelf_put(j->desk, shelf); /* its name is there; a later reading has the new model */
    job_report(j);
}

static void calibrate_work(void *arg)
{
    struct learn_job *j = arg;
    size_t n = 0;
    struct compose_past *past = mem_alloc_array(j->n, sizeof(*past));
    struct fault why;
    for (size_t i = 0; i < j->n; i++) {
        const struct task_example *x = &j->examples[i];
        past[n++] =
            (struct compose_past){.key = x->id,
                                  .subject = x->subject,
                                  .text = x->text,
                                  .vector = j->vectors != NULL ? j->vectors + i * j->dim : NULL,
                                  .dim = j->dim,
                                  .article = x->article};
    }
    j->model = j->fresh->model;
    buf_init(&j->article_blob, LEARN_MAX_BLOB);
    if (compose_teach(j->fresh->knowledge, past, n, &j->article_head, &why) != FAIL_NONE ||
        learn_save(j->article_head, &j->article_blob, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "draft.head_failed", &why); /* the search alone, then */
        learn_head_free(j->article_head);
        j->article_head = NULL;
        buf_clear(&j->article_blob);
        for (size_t i = 0; i < n; i++) {
            past[i].opinion.len = 0;
        }
    }
    j->calibrated = compose_calibrate(j->fresh->knowledge, past, n, 0.85, 0.10, &j->model, &j->fit,
                                      &why) == FAIL_NONE;
    mem_free(past);
}

static void calibrate_done(void *arg)
{
    struct learn_job *j = arg;
    struct fault why;
    if (!j->calibrated) {
        job_report(j); /* too few past tickets with an article: the defaults stay */
        return;
    }
    enum fail f = store_write(j->desk->house.store, write_compose, j, on_compose_written,
                              j->desk->house.loop, &why);
    if (f != FAIL_NONE) {
        learn_job_fail(j, &why);
    }
}

static void on_shelf(void *arg, struct shelf *shelf, const struct fault *why)
{
    struct learn_job *j = arg;
    struct fault full;
    if (why != NULL) {
        learn_job_fail(j, why);
        return;
    }
    j->fresh = shelf_ref(shelf);
    j->progress(j->arg, "drafts", 0, 1);
    if (pool_submit(j->desk->house.crunch, calibrate_work, j, j->desk->house.loop, calibrate_done,
                    &full) != FAIL_NONE) {
        learn_job_fail(j, &full);
    }
}

static void on_stored(void *arg, enum fail code, const struct fault *why)
{
    struct learn_job *j = arg;
    if (code != FAIL_NONE) {
        learn_job_fail(j, why);
        return;
    }
    struct entry *e = desk_entry_find(j->desk, j->workflow);
    if (e != NULL && strcmp(e->form->release, j->form->release) != 0) {
        /* Another definition came meanwhile and stays: it gets what of this fits it. */
        struct ladder_form *form = ladder_form_dup(e->form);
        struct fault bad;
        ladder_form_unref(e->form);
        e->form = form;
        headset_unref(e->heads);
        e->heads = NULL;
        if (heads_load(j->desk, e, &bad) != FAIL_NONE) {
            log_fault(LOG_LEVEL_ERROR, "heads.load_failed", &bad);
        }
    } else if (e != NULL) {
        for (size_t i = 0; i < j->form->fields_len; i++) {
            memcpy(j->form->evidence[i], j->evidence[i], sizeof(j->evidence[i]));
        }
        ladder_form_unref(e->form);
        e->form = ladder_form_ref(j->form);
        headset_unref(e->heads);
        e->heads = headset_ref(j->heads);
        memcpy(e->measured, j->measured, sizeof(e->measured));
        e->licence_stale = true; /* levels rest on certificates that were replaced */
    }
    if (j->questions + j->replies > 0) {
        shelf_rebuild(j->desk, &j->who, j->form->dataset, j->progress, j->arg, on_shelf, j);
        return;
    }
    job_report(j);
}

void learn_job_store(struct learn_job *j)
{
    struct fault why;
    j->questions = 0;
    enum fail f = store_write(j->desk->house.store, write_learned, j, on_stored,
                              j->desk->house.loop, &why);
    if (f != FAIL_NONE) {
        learn_job_fail(j, &why);
    }
}

/* ---- start ---- */

/* What teaches beside the examples, behind them in j->inputs; then the traffic. */
static void take_hints(struct learn_job *j)
{
    const char **before = j->inputs;
    j->extra = hints_take(j->arena, j->form, j->shelf != NULL ? j->shelf->knowledge : NULL,
                          j->examples, j->n, &j->hints);
    j->inputs = arena_alloc(j->arena, (all_inputs(j) + 1) * sizeof(*j->inputs));
    memcpy(j->inputs, before, j->n * sizeof(*j->inputs));
    for (size_t i = 0; i < j->extra; i++) {
        j->inputs[j->n + i] = j->hints[i].text;
    }
    memcpy(j->inputs + j->n + j->extra, before + j->n, j->traffic * sizeof(*j->inputs));
}

static bool measure_is_ready(const struct learn_job *j, enum fleet_role role)
{
    return j->measure_models && fleet_is_ready(j->desk->house.fleet, role);
}

static void learn_now(void *arg)
{
    struct learn_job *j = arg;
    struct fault why;
    struct entry *e = desk_entry_find(j->desk, j->workflow);
    j->desk->learning++;
    if (e == NULL) {
        FAULT(&why, FAIL_NOT_FOUND, "there is no workflow \"%.64s\"", j->workflow);
        learn_job_fail(j, &why);
        return;
    }
    if (j->n < 4) {
        FAULT(&why, FAIL_BAD_REQUEST, "%zu examples are too few to learn from", j->n);
        fail_hint(&why, "Give at least 4; a few hundred make a useful head.");
        learn_job_fail(j, &why);
        return;
    }
    j->form = ladder_form_dup(e->form);
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        for (size_t r = 0; r < LADDER_RUNG_COUNT; r++) {
            j->form->evidence[i][r] = (struct ladder_evidence){.threshold = LADDER_UNCERTIFIED};
            j->evidence[i][r].threshold = LADDER_UNCERTIFIED;
        }
    }
    bool light = measure_is_ready(j, FLEET_LIGHT), heavy = measure_is_ready(j, FLEET_HEAVY);
    j->delta = CERTIFY_DELTA / (1 + light + heavy); /* of the rungs that will have evidence */
    j->form->skip = 0; /* every rung is measured */
    for (size_t i = 0; i < j->form->fields_len; i++) {
        j->told[i] = arena_alloc(j->arena, j->n * sizeof(*j->told[i]));
    }
    j->shelf = shelf_ref(desk_shelf_find(j->desk, j->form->dataset));
    take_hints(j);
    j->stage_us = clock_monotonic_us();
    if (fleet_is_ready(j->desk->house.fleet, FLEET_EMBED)) {
        embed_next(j);
    } else {
        train_start(j);
    }
}

static void copy_example(struct arena *a, struct task_example *to, const struct task_example *from,
                         size_t fields)
{
    const char **values = arena_alloc(a, LADDER_MAX_FIELDS * sizeof(*values));
    *to = (struct task_example){.id = arena_dup_str(a, from->id != NULL ? from->id : ""),
                                .at = arena_dup_str(a, from->at),
                                .subject =
                                    arena_dup_str(a, from->subject != NULL ? from->subject : ""),
                                .text = arena_dup_str(a, from->text != NULL ? from->text : ""),
                                .reply = arena_dup_str(a, from->reply),
                                .article = arena_dup_str(a, from->article),
                                .customer = arena_dup_str(a, from->customer),
                                .approved = from->approved,
                                .values = values};
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        values[i] = i < fields ? arena_dup_str(a, from->values[i]) : NULL;
    }
}

static bool has_value(const struct task_example *x, size_t fields)
{
    for (size_t i = 0; i < fields; i++) {
        if (x->values[i] != NULL) { /* '': the text has none */
            return true;
        }
    }
    return x->article != NULL; /* it says which article answers */
}

void task_learn(struct task_desk *desk, const struct principal *who, const char *workflow,
                const struct task_example *examples, size_t n, size_t fields, bool measure_models,
                task_learn_progress_fn progress, task_learn_done_fn done, void *arg)
{
    struct learn_job *j = mem_alloc(sizeof(*j));
    j->arena = arena_new((size_t)1 << 30);
    j->desk = desk;
    j->who = *who;
    j->workflow = arena_dup_str(j->arena, workflow);
    j->measure_models = measure_models;
    j->progress = progress;
    j->done = done;
    j->arg = arg;
    j->started_us = clock_monotonic_us();
    j->trials = trials_new();
    buf_init(&j->report, (size_t)8 << 20);
    j->examples = arena_alloc(j->arena, (n + 1) * sizeof(*j->examples));
    j->inputs = arena_alloc(j->arena, (n + 1) * sizeof(*j->inputs));
    j->n = 0;
    for (int labelled = 1; labelled >= 0; labelled--) {
        for (size_t i = 0; i < n; i++) {
            if (has_value(&examples[i], fields) == (labelled == 1)) {
                struct task_example *x = &j->examples[j->n + j->traffic];
                copy_example(j->arena, x, &examples[i], fields);
                j->inputs[j->n + j->traffic] =
                    arena_printf(j->arena, "%s%s%s", x->subject,
                                 x->subject[0] != '\0' ? "\n\n" : "", x->text);
                *(labelled == 1 ? &j->n : &j->traffic) += 1;
            }
        }
    }
    loop_post(desk->house.loop, learn_now, j);
}
