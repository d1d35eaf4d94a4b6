/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets as the store has them: articles, the past tickets they answered, and vectors by the
   hash of model and text, so that an unchanged sentence is never embedded twice. */
#include <stdio.h>
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/log/log.h"

void shelf_vector_key(const char *model, const char *text, uint8_t out[32])
{
    const char *parts[] = {model, text};
    struct reuse_key key;
    reuse_key_make(parts, COUNT_OF(parts), &key);
    memcpy(out, key.bytes, 32);
}

static enum fail read_articles(struct store_conn *conn, struct shelf *s, struct buf *all,
                               struct fault *why)
{
    AUTO_STMT struct store_stmt *q = store_query(
        conn, "SELECT file, markdown FROM dataset_article WHERE dataset = ?1 ORDER BY id");
    store_bind_text(q, 1, s->name);
    bool row;
    enum fail f;
    while ((f = store_step(q, &row, why)) == FAIL_NONE && row) {
        const char *markdown = store_col_text(q, 1);
        f = knowledge_add_markdown(s->knowledge, store_col_text(q, 0), markdown, strlen(markdown),
                                   why);
        if (f != FAIL_NONE) {
            return f;
        }
        uint8_t hash[32];
        text_sha256(markdown, strlen(markdown), hash);
        buf_add(all, hash, sizeof(hash));
    }
    return f;
}

static enum fail read_vectors(struct store_conn *conn, struct shelf *s, const char *model,
                              struct fault *why)
{
    for (size_t u = 0; u < knowledge_unit_count(s->knowledge) && model[0] != '\0'; u++) {
        AUTO_STMT struct store_stmt *q = store_query(
            conn, "SELECT vector FROM dataset_vector WHERE dataset = ?1 AND hash = ?2");
        uint8_t key[32];
        bool row;
        size_t n = 0;
        shelf_vector_key(model, knowledge_unit_text(s->knowledge, u), key);
        store_bind_text(q, 1, s->name);
        store_bind_blob(q, 2, key, sizeof(key));
        enum fail f = store_step(q, &row, why);
        if (f == FAIL_NONE && row) {
            const float *v = store_col_blob(q, 0, &n);
            f = knowledge_unit_set_vector(s->knowledge, u, v, n / sizeof(float), why);
        }
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return FAIL_NONE;
}

static enum fail read_questions(struct store_conn *conn, struct shelf *s, const char *model,
                                struct buf *all, struct fault *why)
{
    AUTO_STMT struct store_stmt *q = store_query(
        conn,
        "SELECT article, key, text, vector FROM dataset_question WHERE dataset = ?1 ORDER BY key");
    store_bind_text(q, 1, s->name);
    bool row;
    enum fail f;
    while ((f = store_step(q, &row, why)) == FAIL_NONE && row) {
        size_t n = 0;
        const float *v = model[0] != '\0' ? store_col_blob(q, 3, &n) : NULL;
        struct fault unknown;
        /* A question whose article is gone is no error: the article was taken back. */
        if (knowledge_add_question(s->knowledge, store_col_text(q, 0), store_col_text(q, 1),
                                   store_col_text(q, 2), n > 0 ? v : NULL, n / sizeof(float),
                                   &unknown) == FAIL_NONE) {
            buf_add_str(all, store_col_text(q, 1));
        }
    }
    return f;
}

/* One that cannot be read, or of another model's vectors, is as good as none: drafts go on
   without. */
static void read_head(struct store_conn *conn, struct shelf *s)
{
    struct fault why;
    struct buf bytes;
    buf_init(&bytes, LEARN_MAX_BLOB);
    enum fail f = head_bytes_get(conn, HEAD_OF_ARTICLES, s->name, &bytes, &why);
    if (f == FAIL_NONE && bytes.len > 0) {
        f = learn_load(bytes.data, bytes.len, &s->head, &why);
    }
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "dataset.head_damaged", &why);
    }
    buf_done(&bytes);
}

static enum fail read_model(struct store_conn *conn, struct shelf *s, bool vectors, bool questions,
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *q =
        store_query(conn, "SELECT compose, model FROM dataset WHERE name = ?1");
    store_bind_text(q, 1, s->name);
    bool row;
    size_t n = 0;
    s->model = compose_default_model(vectors, questions);
    enum fail f = store_step(q, &row, why);
    if (f == FAIL_NONE && row) {
        const void *blob = store_col_blob(q, 0, &n);
        if (n == sizeof(s->model)) {
            memcpy(&s->model, blob, n);
        }
        if (strcmp(store_col_text(q, 1), s->embed) == 0) {
            read_head(conn, s);
        }
    }
    return f;
}

enum fail shelf_read(struct store_conn *conn, const char *dataset, const char *model,
                     struct shelf **out, struct fault *why)
{
    struct shelf *s = mem_alloc(sizeof(*s));
    struct buf all;
    uint8_t hash[32];
    s->refs = 1;
    s->knowledge = knowledge_new();
    text_copy(s->name, sizeof(s->name), dataset);
    text_copy(s->embed, sizeof(s->embed), model);
    buf_init(&all, (size_t)64 << 20);
    buf_add_str(&all, model);
    enum fail f = read_articles(conn, s, &all, why);
    f = f != FAIL_NONE ? f : read_vectors(conn, s, model, why);
    size_t before = all.len;
    f = f != FAIL_NONE ? f : read_questions(conn, s, model, &all, why);
    bool questions = all.len > before;
    f = f != FAIL_NONE ? f : past_replies_read(conn, s, &all, why);
    f = f != FAIL_NONE ? f : read_model(conn, s, model[0] != '\0', questions, why);
    buf_add(&all, &s->model, sizeof(s->model));
    if (s->head != NULL) {
        learn_head_hash(s->head, hash);
        buf_add(&all, hash, sizeof(hash));
    }
    text_sha256(all.data, all.len, hash);
    text_hex(hash, sizeof(hash), s->release);
    buf_done(&all);
    if (f != FAIL_NONE) {
        shelf_unref(s);
        return f;
    }
    if (s->replies != NULL) { /* slow: not the core thread's. Later vectors seal the rest again. */
        knowledge_seal(s->knowledge);
        reply_bank_seal(s->replies, s->knowledge);
    }
    *out = s;
    return FAIL_NONE;
}

void shelf_seal(struct shelf *s)
{
    knowledge_seal(s->knowledge);
}

enum fail shelves_load(struct task_desk *desk, struct fault *why)
{
    AUTO_STMT struct store_stmt *q =
        store_query(desk->reader, "SELECT name, model FROM dataset ORDER BY name LIMIT 64");
    bool row;
    enum fail f;
    while ((f = store_step(q, &row, why)) == FAIL_NONE && row) {
        struct shelf *s = NULL;
        struct fault bad;
        if (shelf_read(desk->reader, store_col_text(q, 0), store_col_text(q, 1), &s, &bad) !=
            FAIL_NONE) {
            log_fault(LOG_LEVEL_ERROR, "dataset.load_failed", &bad);
            continue;
        }
        shelf_seal(s);
        (void)desk_shelf_put(desk, s); /* at most 64 are read */
    }
    return f;
}
