/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and outputs: rows of job_file, their bytes as pieces of encrypted content. */
#include <string.h>

#include "work/job/job_internal.h"

static enum fail piece_put(struct store_tx *tx, struct jobs *j, const struct id *job,
                           const char *team, const char *actor, const struct job_put_file *f,
                           int64_t piece, struct fault *why)
{
    struct id content = text_id_new();
    size_t at = (size_t)piece * JOB_PIECE_BYTES;
    size_t len = f->len - at < JOB_PIECE_BYTES ? f->len - at : JOB_PIECE_BYTES;
    const void *bytes = len > 0 ? (const char *)f->bytes + at : "";
    enum fail e = audit_content_put(tx, j->house.audit, &content,
                                    f->side == JOB_INPUT ? AUDIT_PART_INPUT : AUDIT_PART_OUTPUT,
                                    team, actor, bytes, len, why);
    if (e != FAIL_NONE) {
        return e;
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO job_piece (job, side, place, piece, content) "
                                       "VALUES (?1, ?2, ?3, ?4, ?5)");
    store_bind_id(s, 1, job);
    store_bind_int(s, 2, f->side);
    store_bind_int(s, 3, f->place);
    store_bind_int(s, 4, piece);
    store_bind_id(s, 5, &content);
    return store_run(s, why);
}

enum fail job_file_put(struct store_tx *tx, struct jobs *j, const struct id *job, const char *team,
                       const char *actor, const struct job_put_file *f, struct fault *why)
{
    uint8_t hash[32];
    char hex[TEXT_SHA256_HEX_SIZE];
    text_sha256(f->bytes, f->len, hash);
    text_hex(hash, sizeof(hash), hex);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO job_file (job, side, place, role, name, type, bytes, "
                           "sha256, main) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    store_bind_id(s, 1, job);
    store_bind_int(s, 2, f->side);
    store_bind_int(s, 3, f->place);
    store_bind_text(s, 4, f->role);
    store_bind_text(s, 5, f->name);
    store_bind_text(s, 6, f->type);
    store_bind_int(s, 7, (int64_t)f->len);
    store_bind_text(s, 8, hex);
    store_bind_int(s, 9, f->main);
    enum fail e = store_run(s, why);
    size_t pieces = f->len > 0 ? (f->len + JOB_PIECE_BYTES - 1) / JOB_PIECE_BYTES : 0;
    for (size_t i = 0; e == FAIL_NONE && i < pieces; i++) {
        e = piece_put(tx, j, job, team, actor, f, (int64_t)i, why);
    }
    return e;
}

enum fail job_file_get(struct audit *audit, struct store_conn *conn, const struct id *job,
                       int side, int64_t place, struct buf *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT content FROM job_piece WHERE job = ?1 AND side = ?2 AND "
                          "place = ?3 ORDER BY piece");
    store_bind_id(s, 1, job);
    store_bind_int(s, 2, side);
    store_bind_int(s, 3, place);
    bool row = false;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct id content;
        (void)store_col_id(s, 0, &content);
        f = audit_content_get(audit, conn, &content,
                              side == JOB_INPUT ? AUDIT_PART_INPUT : AUDIT_PART_OUTPUT, out, why);
        if (f != FAIL_NONE) {
            return f == FAIL_NOT_FOUND
                       ? FAULT(why, f, "the files of this job were erased with their owner's data")
                       : f;
        }
    }
    return f;
}

/* ---- all inputs of a job ---- */

static char *own(struct job_inputs *in, char *text)
{
    in->owned[in->owned_len++] = text;
    return text;
}

enum fail job_inputs_get(struct audit *audit, struct store_conn *conn, const struct id *job,
                         struct job_inputs *out, struct fault *why)
{
    int64_t places[PROGRAM_INPUTS_MAX];
    bool row = false;
    enum fail f;
    memset(out, 0, sizeof(*out));
    {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT place, role, name, type, bytes FROM job_file WHERE job = ?1 "
                              "AND side = 0 ORDER BY place");
        store_bind_id(s, 1, job);
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row &&
               out->len < PROGRAM_INPUTS_MAX) {
            places[out->len] = store_col_int(s, 0);
            struct program_input *p = &out->list[out->len++];
            p->role = own(out, mem_dup_str(store_col_text(s, 1)));
            p->name = own(out, mem_dup_str(store_col_text(s, 2)));
            p->type = own(out, mem_dup_str(store_col_text(s, 3)));
            p->len = (size_t)store_col_int(s, 4);
        }
    }
    for (size_t i = 0; f == FAIL_NONE && i < out->len; i++) {
        struct buf bytes;
        buf_init(&bytes, PROGRAM_INPUT_BYTES + 1);
        f = job_file_get(audit, conn, job, JOB_INPUT, places[i], &bytes, why);
        if (f == FAIL_NONE && bytes.len == 0 && out->list[i].len > 0) {
            f = FAULT(why, FAIL_NOT_FOUND, "the files of this job were erased with their owner's "
                                           "data");
        } else if (f == FAIL_NONE && bytes.len != out->list[i].len) {
            f = FAULT(why, FAIL_INTERNAL, "an input of the job is not as it was stored");
        }
        out->list[i].bytes = own(out, buf_take(&bytes));
    }
    if (f != FAIL_NONE) {
        job_inputs_done(out);
    }
    return f;
}

void job_inputs_done(struct job_inputs *in)
{
    for (size_t i = 0; i < in->owned_len; i++) {
        mem_free(in->owned[i]);
    }
    in->owned_len = in->len = 0;
}

/* ---- one output, by name ---- */

enum fail jobs_output(struct audit *audit, struct store_conn *conn, const struct id *id,
                      const struct principal *who, const char *name, struct buf *out,
                      char type[128], struct fault *why)
{
    char team[KEYRING_NAME_SIZE];
    int64_t place = -1;
    enum fail f = jobs_owner(conn, id, team, why);
    if (f != FAIL_NONE || team[0] == '\0' || !policy_sees(who, team)) {
        return f != FAIL_NONE ? f : FAULT(why, FAIL_NOT_FOUND, "there is no such job");
    }
    {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT place, type FROM job_file WHERE job = ?1 AND side = 1 AND "
                              "name = ?2");
        bool row = false;
        store_bind_id(s, 1, id);
        store_bind_text(s, 2, name);
        f = store_step(s, &row, why);
        if (f == FAIL_NONE && row) {
            place = store_col_int(s, 0);
            (void)text_copy(type, 128, store_col_text(s, 1));
        }
    }
    if (f == FAIL_NONE && place < 0) {
        FAULT(why, FAIL_NOT_FOUND, "the job has no output \"%.100s\"", name);
        return fail_hint(why, "`inhouse jobs show` lists them.");
    }
    return f != FAIL_NONE ? f : job_file_get(audit, conn, id, JOB_OUTPUT, place, out, why);
}
