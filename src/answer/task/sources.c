/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What drafts are made from, kept in step with the datasets: an article that comes or goes with its
 * document, its sentences' vectors and what was reused from it go with it, and a shelf whose
 * embedding model came later, or was replaced, is read anew.
 * Owns: nothing. Threads: the hooks' (dataset.h); the rest core.
 */
#include <string.h>

#include "answer/dataset/dataset.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"

/* ---- inside the write ---- */

static enum fail vector_drop(struct store_conn *conn, const char *dataset, const uint8_t key[32],
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "DELETE FROM dataset_vector WHERE dataset = ?1 AND hash = ?2");
    store_bind_text(s, 1, dataset);
    store_bind_blob(s, 2, key, 32);
    return store_run(s, why);
}

/* The article as it stands, "" for none, and the model of the dataset's vectors. */
static enum fail article_find(struct store_conn *conn, const char *dataset, const char *id,
                              struct buf *markdown, char model[65], struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT a.markdown, coalesce((SELECT d.model FROM dataset d WHERE d.name = "
              "a.dataset), '') FROM dataset_article a WHERE a.dataset = ?1 AND a.id = ?2");
    bool row = false;
    store_bind_text(s, 1, dataset);
    store_bind_text(s, 2, id);
    enum fail f = store_step(s, &row, why);
    model[0] = '\0';
    if (f == FAIL_NONE && row) {
        (void)buf_add_str(markdown, store_col_text(s, 0));
        (void)text_copy(model, 65, store_col_text(s, 1));
    }
    return f;
}

/* The vectors of an article's sentences. One that another article has too is embedded again. */
static enum fail vectors_drop(struct store_conn *conn, const char *dataset, const char *model,
                              const struct buf *markdown, struct fault *why)
{
    struct knowledge *k = knowledge_new();
    struct fault bad;
    enum fail f = FAIL_NONE;
    if (model[0] != '\0' &&
        knowledge_add_markdown(k, "article", markdown->data, markdown->len, &bad) == FAIL_NONE) {
        for (size_t u = 0; u < knowledge_unit_count(k) && f == FAIL_NONE; u++) {
            uint8_t key[32];
            shelf_vector_key(model, knowledge_unit_text(k, u), key);
            f = vector_drop(conn, dataset, key, why);
        }
    }
    knowledge_free(k);
    return f;
}

static enum fail article_delete(struct store_conn *conn, const char *dataset, const char *id,
                                struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "DELETE FROM dataset_article WHERE dataset = ?1 AND id = ?2");
    store_bind_text(s, 1, dataset);
    store_bind_text(s, 2, id);
    return store_run(s, why);
}

static enum fail article_put(struct store_conn *conn, const char *dataset, const char *id,
                             const char *file, const char *markdown, size_t n, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "INSERT OR REPLACE INTO dataset_article (dataset, id, file, markdown, "
                          "updated_at) VALUES (?1, ?2, ?3, ?4, ?5)");
    store_bind_text(s, 1, dataset);
    store_bind_text(s, 2, id);
    store_bind_text(s, 3, file);
    store_bind_textn(s, 4, markdown, n);
    store_bind_int(s, 5, clock_now_us());
    return store_run(s, why);
}

/* A dataset without a shelf yet is listed with none's model: its rebuild sets it. */
static enum fail shelf_note(struct store_conn *conn, const char *dataset, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "INSERT INTO dataset (name, model, updated_at) VALUES (?1, '', ?2) ON CONFLICT "
              "(name) DO NOTHING");
    store_bind_text(s, 1, dataset);
    store_bind_int(s, 2, clock_now_us());
    return store_run(s, why);
}

/* Markdown that is no article (no title, no text) is found by searches, and no draft's source. */
static bool is_article(const char *file, const char *markdown, size_t n)
{
    struct knowledge *k = knowledge_new();
    struct fault why;
    bool good = knowledge_add_markdown(k, file, markdown, n, &why) == FAIL_NONE;
    knowledge_free(k);
    return good;
}

static enum fail on_article(struct store_tx *tx, void *arg, const char *dataset, const char *id,
                            const char *file, const char *markdown, size_t n, bool *changed,
                            struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct buf was;
    char model[65];
    (void)arg;
    if (markdown != NULL && !is_article(file, markdown, n)) {
        markdown = NULL;
    }
    buf_init(&was, KNOWLEDGE_MAX_FILE + 1);
    enum fail f = article_find(conn, dataset, id, &was, model, why);
    bool same = markdown != NULL ? was.len == n && memcmp(was.data, markdown, n) == 0
                                 : was.len == 0;
    if (f == FAIL_NONE && !same) {
        *changed = true;
        f = was.len > 0 ? vectors_drop(conn, dataset, model, &was, why) : FAIL_NONE;
        f = f != FAIL_NONE       ? f
            : markdown == NULL ? article_delete(conn, dataset, id, why)
                               : article_put(conn, dataset, id, file, markdown, n, why);
        f = f != FAIL_NONE ? f : shelf_note(conn, dataset, why);
    }
    buf_done(&was);
    return f;
}

/* Answers made from the dataset, under every label and for every team that has any. */
static enum fail on_forget(struct store_tx *tx, void *arg, const char *dataset, struct fault *why)
{
    (void)arg;
    return reused_forget(tx, dataset, why);
}

/* ---- after it ---- */

static void no_progress(void *arg, const char *stage, size_t done, size_t total)
{
    (void)arg;
    (void)stage;
    (void)done;
    (void)total;
}

static void on_shelf(void *arg, struct shelf *shelf, const struct fault *why)
{
    struct task_desk *desk = arg;
    (void)shelf;
    if (why != NULL) {
        desk->followed[0] = '\0'; /* when the fleet changes next */
        log_fault(LOG_LEVEL_WARN, "dataset.rebuild_failed", why);
    }
}

static void rebuild(struct task_desk *desk, const char *dataset)
{
    static const struct principal system = {.name = "system", .team = "system"};
    shelf_rebuild(desk, &system, dataset, no_progress, NULL, on_shelf, desk);
}

static void on_changed(void *arg, const char *dataset)
{
    struct task_desk *desk = arg;
    if (!desk->draining) {
        rebuild(desk, dataset);
    }
}

void task_dataset_hooks(struct task_desk *desk, struct dataset_hooks *out)
{
    *out = (struct dataset_hooks){
        .arg = desk, .article = on_article, .forget = on_forget, .changed = on_changed};
}

void task_datasets_again(struct task_desk *desk)
{
    for (size_t i = 0; i < desk->shelves_len && !desk->draining; i++) {
        rebuild(desk, desk->shelves[i]->name);
    }
}

void shelves_follow(struct task_desk *desk)
{
    struct fleet_model m;
    memset(&m, 0, sizeof(m));
    fleet_model_get(desk->house.fleet, FLEET_EMBED, &m);
    if (m.state != FLEET_READY || desk->draining || strcmp(desk->followed, m.sha256) == 0) {
        return;
    }
    (void)text_copy(desk->followed, sizeof(desk->followed), m.sha256);
    for (size_t i = 0; i < desk->shelves_len; i++) {
        if (strcmp(desk->shelves[i]->embed, m.sha256) != 0) {
            rebuild(desk, desk->shelves[i]->name);
        }
    }
}
