/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Past replies of a dataset: written as templates when a team learns from its tickets, read into
 * the shelf that drafts are made from, gone with the person who asked.
 * Owns: table past_reply. Threads: the write's, the shelf's. Limits: the newest PAST_REPLIES of a
 * dataset serve.
 */
#include <string.h>

#include "answer/task/learn_job_internal.h"
#include "base/clock/clock.h"
#include "trust/guard/guard.h"

#define PAST_REPLIES 1000
#define CUSTOMER_BYTES 8

static void customer_hash(const char *customer, char out[2 * CUSTOMER_BYTES + 1])
{
    uint8_t sum[32];
    out[0] = '\0';
    if (customer != NULL && customer[0] != '\0') {
        text_sha256(customer, strlen(customer), sum);
        text_hex(sum, CUSTOMER_BYTES, out);
    }
}

static enum fail write_one(struct store_tx *tx, const struct learn_job *j, size_t i,
                           struct fault *why)
{
    const struct task_example *x = &j->examples[i];
    char customer[2 * CUSTOMER_BYTES + 1];
    struct buf subject, text;
    struct reply_past p = {.text = x->text, .subject = x->subject, .reply = x->reply};
    AUTO_FREE char *reply =
        reply_masked(&p, j->shelf != NULL ? j->shelf->knowledge : NULL);
    buf_init(&subject, (size_t)1 << 20);
    buf_init(&text, (size_t)2 << 20);
    guard_mask(x->subject, strlen(x->subject), NULL, &subject, NULL);
    guard_mask(x->text, strlen(x->text), NULL, &text, NULL);
    customer_hash(x->customer, customer);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT OR REPLACE INTO past_reply (dataset, key, customer, article, "
                           "subject, text, reply, approved, vector, model, at) VALUES "
                           "(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)");
    store_bind_text(s, 1, j->form->dataset);
    store_bind_text(s, 2, x->id);
    store_bind_text(s, 3, customer);
    store_bind_text(s, 4, x->article != NULL ? x->article : "");
    store_bind_text(s, 5, subject.len > 0 ? subject.data : "");
    store_bind_text(s, 6, text.len > 0 ? text.data : "");
    store_bind_text(s, 7, reply);
    store_bind_int(s, 8, x->approved);
    store_bind_blob(s, 9, j->vectors != NULL ? j->vectors + i * j->dim : NULL,
                    j->dim * sizeof(float));
    store_bind_text(s, 10, j->vectors != NULL ? j->embed : "");
    store_bind_int(s, 11, clock_now_us());
    enum fail f = store_run(s, why);
    buf_done(&subject);
    buf_done(&text);
    return f;
}

enum fail past_replies_write(struct store_tx *tx, struct learn_job *j, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < j->n && f == FAIL_NONE && j->form->dataset != NULL; i++) {
        const struct task_example *x = &j->examples[i];
        if (x->reply != NULL && x->reply[0] != '\0' && x->id[0] != '\0') {
            f = write_one(tx, j, i, why);
            j->replies++;
        }
    }
    return f;
}

enum fail past_replies_read(struct store_conn *conn, struct shelf *s, struct buf *all,
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *q = store_query(
        conn, "SELECT key, customer, article, subject, text, reply, approved, vector, model FROM "
              "past_reply WHERE dataset = ?1 ORDER BY at DESC, key LIMIT ?2");
    bool row = false;
    enum fail f;
    store_bind_text(q, 1, s->name);
    store_bind_int(q, 2, PAST_REPLIES);
    while ((f = store_step(q, &row, why)) == FAIL_NONE && row) {
        size_t n = 0;
        const char *customer = store_col_text(q, 1), *article = store_col_text(q, 2);
        bool same = s->embed[0] != '\0' && strcmp(store_col_text(q, 8), s->embed) == 0;
        const float *vector = same ? store_col_blob(q, 7, &n) : NULL;
        struct reply_past p = {.key = store_col_text(q, 0),
                               .customer = customer[0] != '\0' ? customer : NULL,
                               .subject = store_col_text(q, 3), .text = store_col_text(q, 4),
                               .reply = store_col_text(q, 5),
                               .article = article[0] != '\0' ? article : NULL,
                               .approved = store_col_int(q, 6) != 0,
                               .vector = n > 0 ? vector : NULL, .dim = n / sizeof(float)};
        if (s->replies == NULL) {
            s->replies = reply_bank_new();
        }
        if (reply_bank_add(s->replies, &p)) {
            buf_add_str(all, p.key);
            buf_add_str(all, p.reply);
            buf_add_char(all, p.approved ? '+' : '-');
        }
    }
    return f;
}

enum fail past_replies_forget(struct store_tx *tx, const char *team, const char *actor,
                              struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "DELETE FROM past_reply WHERE key IN (SELECT input_id FROM task WHERE "
                           "team = ?1 AND actor = ?2 AND input_id <> '')");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, actor);
    return store_run(s, why);
}
