/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Articles come in: checked first, all or none stored, then the dataset is read anew on a crunch
 * thread, what lacks a vector is embedded, and the new shelf replaces the old one, which serves
 * until then.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"

#define EMBED_CHUNK 64

/* ---- rebuilding a shelf ---- */

struct fresh {
    size_t unit;
    uint8_t key[32];
};

struct rebuild {
    struct task_desk *desk;
    struct principal who;
    char dataset[64];
    char model[65];
    task_learn_progress_fn progress;
    void *progress_arg;
    shelf_done_fn done;
    void *arg;
    struct shelf *shelf;
    uint64_t order;
    struct fresh *fresh; /* units without a vector */
    size_t fresh_len, embedded, chunk;
    float *vectors;
    size_t dim;
    enum fail code;
    struct fault why;
};

static void rebuild_end(struct rebuild *r)
{
    if (r->code == FAIL_NONE) {
        shelf_seal(r->shelf);
        r->shelf->order = r->order;
        if (!desk_shelf_put(r->desk, shelf_ref(r->shelf))) {
            r->code = FAULT(&r->why, FAIL_TOO_LARGE, "a server holds at most %zu datasets",
                            COUNT_OF(r->desk->shelves));
        }
    }
    if (r->code == FAIL_NONE) {
        r->done(r->arg, r->shelf, NULL);
    } else {
        r->done(r->arg, NULL, &r->why);
    }
    shelf_unref(r->shelf);
    mem_free(r->fresh);
    mem_free(r->vectors);
    mem_free(r);
}

static enum fail write_vectors(struct store_tx *tx, void *arg, struct fault *why)
{
    struct rebuild *r = arg;
    struct store_conn *conn = store_tx_conn(tx);
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < r->fresh_len && f == FAIL_NONE && r->vectors != NULL; i++) {
        AUTO_STMT struct store_stmt *s = store_query(
            conn,
            "INSERT OR REPLACE INTO dataset_vector (dataset, hash, vector) VALUES (?1, ?2, ?3)");
        store_bind_text(s, 1, r->dataset);
        store_bind_blob(s, 2, r->fresh[i].key, 32);
        store_bind_blob(s, 3, r->vectors + i * r->dim, r->dim * sizeof(float));
        f = store_run(s, why);
    }
    bool same = false;
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT 1 FROM dataset WHERE name = ?1 AND model = ?2");
        store_bind_text(s, 1, r->dataset);
        store_bind_text(s, 2, r->model);
        f = store_step(s, &same, why);
    }
    if (f == FAIL_NONE && !same) { /* its head was taught on another model's vectors */
        f = head_bytes_drop(tx, HEAD_OF_ARTICLES, r->dataset, why);
    }
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s = store_query(
            conn,
            "INSERT INTO dataset (name, model, updated_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) "
            "DO UPDATE SET model = excluded.model, updated_at = excluded.updated_at");
        store_bind_text(s, 1, r->dataset);
        store_bind_text(s, 2, r->model);
        store_bind_int(s, 3, clock_now_us());
        f = store_run(s, why);
    }
    return f;
}

static void on_written(void *arg, enum fail code, const struct fault *why)
{
    struct rebuild *r = arg;
    if (code != FAIL_NONE) {
        r->code = code;
        r->why = *why;
    }
    rebuild_end(r);
}

static void embed_next(struct rebuild *r);

static void on_vectors(void *arg, const struct fleet_answer *a)
{
    struct rebuild *r = arg;
    const struct fleet_vectors *v = a->vectors;
    if (a->code != FAIL_NONE || v == NULL) {
        r->code = FAULT(&r->why, a->code, "the articles could not be embedded: %.200s",
                        a->why != NULL ? a->why->message : "no answer");
        rebuild_end(r);
        return;
    }
    if (r->vectors == NULL) {
        r->dim = v->dim;
        r->vectors = mem_alloc_array(r->fresh_len, r->dim * sizeof(float));
    }
    if (v->dim != r->dim || strcmp(a->sha256, r->model) != 0) {
        r->code = FAULT(&r->why, FAIL_MODEL_UNAVAILABLE,
                        "the embedding model was replaced while the articles were embedded");
        fail_hint(&r->why, "Put them again: they are stored, and the new model embeds them.");
        rebuild_end(r);
        return;
    }
    ASSERT(v->n == r->chunk); /* the fleet counts them */
    memcpy(r->vectors + r->embedded * r->dim, v->data, v->n * v->dim * sizeof(float));
    for (size_t i = 0; i < v->n && r->code == FAIL_NONE; i++) {
        r->code = knowledge_unit_set_vector(r->shelf->knowledge, r->fresh[r->embedded + i].unit,
                                            v->data + i * v->dim, v->dim, &r->why);
    }
    if (r->code != FAIL_NONE) {
        rebuild_end(r);
        return;
    }
    r->embedded += v->n;
    r->progress(r->progress_arg, "embed", r->embedded, r->fresh_len);
    embed_next(r);
}

static void embed_next(struct rebuild *r)
{
    const char *texts[EMBED_CHUNK];
    struct buf body;
    char domain[128];
    if (r->embedded == r->fresh_len) {
        r->code = store_write(r->desk->house.store, write_vectors, r, on_written,
                              r->desk->house.loop, &r->why);
        if (r->code != FAIL_NONE) {
            rebuild_end(r);
        }
        return;
    }
    r->code = gate_work(r->desk, &r->who, NULL, &r->why);
    if (r->code != FAIL_NONE) {
        rebuild_end(r);
        return;
    }
    size_t bytes = 0;
    r->chunk = 0;
    while (r->chunk < EMBED_CHUNK && r->embedded + r->chunk < r->fresh_len) {
        const char *text = knowledge_unit_text(r->shelf->knowledge,
                                               r->fresh[r->embedded + r->chunk].unit);
        bytes += strlen(text) + 4;
        if (r->chunk > 0 && bytes > IPC_FRAME_MAX / 2) {
            break;
        }
        texts[r->chunk++] = text[0] != '\0' ? text : " ";
    }
    desk_domain(&r->who, r->dataset, domain, sizeof(domain));
    buf_init(&body, IPC_FRAME_MAX);
    if (!fleet_embed_body(&body, IPC_BATCH, false, domain, texts, r->chunk)) {
        r->code = FAULT(&r->why, FAIL_TOO_LARGE, "a sentence is too large to embed");
        buf_done(&body);
        rebuild_end(r);
        return;
    }
    struct fleet_ask ask = {.role = FLEET_EMBED, .type = IPC_EMBED, .flags = IPC_FLAG_BULK,
                            .body = body.data, .len = body.len, .team = r->who.team,
                            .class = IPC_BATCH, .done = on_vectors, .arg = r};
    fleet_ask(r->desk->house.fleet, &ask);
    buf_done(&body);
}

static void rebuild_work(void *arg)
{
    struct rebuild *r = arg;
    struct store_conn *conn = NULL;
    r->code = store_reader_open(r->desk->house.store, &conn, &r->why);
    if (r->code == FAIL_NONE) {
        r->code = shelf_read(conn, r->dataset, r->model, &r->shelf, &r->why);
        store_reader_close(conn);
    }
    if (r->code != FAIL_NONE || r->model[0] == '\0') {
        return;
    }
    size_t units = knowledge_unit_count(r->shelf->knowledge);
    r->fresh = mem_alloc_array(units + 1, sizeof(*r->fresh));
    for (size_t u = 0; u < units; u++) {
        if (!knowledge_unit_has_vector(r->shelf->knowledge, u)) {
            struct fresh *f = &r->fresh[r->fresh_len++];
            f->unit = u;
            shelf_vector_key(r->model, knowledge_unit_text(r->shelf->knowledge, u), f->key);
        }
    }
}

static void rebuild_read(void *arg)
{
    struct rebuild *r = arg;
    if (r->code != FAIL_NONE) {
        rebuild_end(r);
    } else {
        embed_next(r);
    }
}

void shelf_rebuild(struct task_desk *desk, const struct principal *who, const char *dataset,
                   task_learn_progress_fn progress, void *progress_arg, shelf_done_fn done,
                   void *arg)
{
    struct rebuild *r = mem_alloc(sizeof(*r));
    struct fleet_model m;
    r->desk = desk;
    r->order = ++desk->rebuilds;
    r->who = *who;
    r->progress = progress;
    r->progress_arg = progress_arg;
    r->done = done;
    r->arg = arg;
    text_copy(r->dataset, sizeof(r->dataset), dataset);
    fleet_model_get(desk->house.fleet, FLEET_EMBED, &m);
    if (m.state == FLEET_READY) {
        memcpy(r->model, m.sha256, sizeof(r->model));
    }
    struct fault why; /* r belongs to the crunch thread from here on, unless it was refused */
    if (pool_submit(desk->house.crunch, rebuild_work, r, desk->house.loop, rebuild_read, &why) !=
        FAIL_NONE) {
        r->why = why;
        r->code = why.code;
        rebuild_end(r);
    }
}

/* ---- articles in ---- */

struct article_job {
    struct task_desk *desk;
    struct arena *arena;
    struct principal who;
    const char *dataset;
    struct task_article *articles;
    char (*ids)[128];
    size_t n;
    task_learn_progress_fn progress;
    task_learn_done_fn done;
    void *arg;
    enum fail code;
    struct fault why;
};

static void article_job_end(struct article_job *j, const char *report, size_t len)
{
    j->done(j->arg, j->code, j->code != FAIL_NONE ? &j->why : NULL, report, len);
    arena_free(j->arena);
    mem_free(j);
}

static void on_shelf(void *arg, struct shelf *shelf, const struct fault *why)
{
    struct article_job *j = arg;
    struct buf b;
    struct jn_writer w;
    buf_init(&b, 4096);
    if (why != NULL) {
        j->why = *why;
        j->code = why->code;
    } else {
        size_t units = knowledge_unit_count(shelf->knowledge), with = 0;
        for (size_t u = 0; u < units; u++) {
            with += knowledge_unit_has_vector(shelf->knowledge, u);
        }
        jn_begin(&w, &b, false);
        jn_object_begin(&w);
        jn_kv_str(&w, "dataset", shelf->name);
        jn_kv_int(&w, "received", (int64_t)j->n);
        jn_kv_int(&w, "articles", (int64_t)knowledge_article_count(shelf->knowledge));
        jn_kv_int(&w, "sentences", (int64_t)units);
        jn_kv_int(&w, "embedded", (int64_t)with);
        jn_kv_str(&w, "release", shelf->release);
        jn_object_end(&w);
    }
    article_job_end(j, b.data, b.len);
    buf_done(&b);
}

static enum fail write_articles(struct store_tx *tx, void *arg, struct fault *why)
{
    struct article_job *j = arg;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < j->n && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx),
                        "INSERT OR REPLACE INTO dataset_article (dataset, id, file, markdown, "
                        "updated_at) VALUES (?1, ?2, ?3, ?4, ?5)");
        store_bind_text(s, 1, j->dataset);
        store_bind_text(s, 2, j->ids[i]);
        store_bind_text(s, 3, j->articles[i].name);
        store_bind_textn(s, 4, j->articles[i].markdown, j->articles[i].len);
        store_bind_int(s, 5, clock_now_us());
        f = store_run(s, why);
    }
    struct audit_leaf leaf = {.kind = AUDIT_KIND_KNOWLEDGE_CHANGED, .actor = j->who.name,
                              .team = j->who.team, .task = j->dataset, .verdict = "articles_put"};
    return f != FAIL_NONE ? f : audit_append(tx, j->desk->house.audit, &leaf, NULL, NULL, why);
}

static void on_articles_written(void *arg, enum fail code, const struct fault *why)
{
    struct article_job *j = arg;
    if (code != FAIL_NONE) {
        j->code = code;
        j->why = *why;
        article_job_end(j, NULL, 0);
        return;
    }
    shelf_rebuild(j->desk, &j->who, j->dataset, j->progress, j->arg, on_shelf, j);
}

/* Reads each article alone first: the first bad one stops the job and nothing is stored. */
static void check_work(void *arg)
{
    struct article_job *j = arg;
    for (size_t i = 0; i < j->n && j->code == FAIL_NONE; i++) {
        struct knowledge *k = knowledge_new();
        j->code = knowledge_add_markdown(k, j->articles[i].name, j->articles[i].markdown,
                                         j->articles[i].len, &j->why);
        if (j->code == FAIL_NONE) {
            text_copy(j->ids[i], sizeof(j->ids[i]), knowledge_article_at(k, 0)->id);
        }
        knowledge_free(k);
    }
}

static void on_checked(void *arg)
{
    struct article_job *j = arg;
    if (j->code == FAIL_NONE) {
        j->code = store_write(j->desk->house.store, write_articles, j, on_articles_written,
                              j->desk->house.loop, &j->why);
    }
    if (j->code != FAIL_NONE) {
        article_job_end(j, NULL, 0);
    }
}

static void articles_now(void *arg)
{
    struct article_job *j = arg;
    if (!text_is_name(j->dataset)) {
        j->code =
            FAULT(&j->why, FAIL_BAD_REQUEST, "\"%.64s\" cannot be a dataset's name", j->dataset);
    } else if (desk_shelf_find(j->desk, j->dataset) == NULL &&
               j->desk->shelves_len == COUNT_OF(j->desk->shelves)) {
        j->code = FAULT(&j->why, FAIL_TOO_LARGE, "a server holds at most %zu datasets",
                        COUNT_OF(j->desk->shelves));
    } else {
        struct fault why; /* j belongs to the crunch thread from here on, unless it was refused */
        if (pool_submit(j->desk->house.crunch, check_work, j, j->desk->house.loop, on_checked,
                        &why) == FAIL_NONE) {
            return;
        }
        j->why = why;
        j->code = why.code;
    }
    if (j->code != FAIL_NONE) {
        article_job_end(j, NULL, 0);
    }
}

void task_articles_put(struct task_desk *desk, const struct principal *who, const char *dataset,
                       const struct task_article *articles, size_t n,
                       task_learn_progress_fn progress, task_learn_done_fn done, void *arg)
{
    struct article_job *j = mem_alloc(sizeof(*j));
    j->desk = desk;
    j->arena = arena_new((size_t)256 << 20);
    j->who = *who;
    j->dataset = arena_dup_str(j->arena, dataset);
    j->n = n;
    j->progress = progress;
    j->done = done;
    j->arg = arg;
    j->articles = arena_alloc(j->arena, (n + 1) * sizeof(*j->articles));
    j->ids = arena_alloc(j->arena, (n + 1) * sizeof(*j->ids));
    for (size_t i = 0; i < n; i++) {
        j->articles[i] = (struct task_article){
            .name = arena_dup_str(j->arena, articles[i].name),
            .markdown = arena_dup_strn(j->arena, articles[i].markdown, articles[i].len),
            .len = articles[i].len};
    }
    loop_post(desk->house.loop, articles_now, j);
}
