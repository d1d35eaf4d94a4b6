/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents in. A document is read and cut on the caller's thread; then its rows are written in
 * steps of BATCH chunks, so that nobody's record waits long behind a large one. While that goes on
 * its hash is empty: a server that ends in between takes the document again at the next time, and
 * what is there already keeps its place.
 * Owns: nothing. Threads: one at a time (the room's lock), which may block. Limits: dataset.h.
 */
#include <stdlib.h>
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"

#define BATCH 100

const char *dataset_taken_name(enum dataset_taken_state s)
{
    static const char *const names[] = {"untouched", "added", "replaced", "failed"};
    return names[s];
}

struct old {
    struct id id;
    int64_t no;
    bool kept;
};

struct taking {
    struct datasets *ds;
    const struct principal *p;
    const struct dataset_about *d;
    const struct dataset_doc *doc;
    const char *media;
    struct dataset_pieces pieces;
    uint8_t hash[32];
    int64_t file;  /* 0: new */
    char was[128]; /* the article it was, "" for none */
    bool untouched;
    bool changed; /* what drafts are made from */
    struct old *old; /* its chunks as they stand, by id */
    size_t old_len;
    size_t done; /* pieces, then old ones */
    int64_t now;
};

/* ---- reading ---- */

static const char *media_of(const struct dataset_doc *doc)
{
    static const struct {
        const char *ending, *media;
    } known[] = {
        {".md", "text/markdown"},
        {".markdown", "text/markdown"},
        {".txt", "text/plain"},
        {".text", "text/plain"},
        {".log", "text/plain"},
        {".jsonl", "application/jsonl"},
        {".ndjson", "application/jsonl"},
        {".html", "text/html"},
        {".htm", "text/html"},
        {".csv", "text/csv"},
        {".pdf", "application/pdf"},
        {".eml", "message/rfc822"},
        {".xml", "application/xml"},
        {".json", "application/json"},
        {".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    };
    if (doc->media != NULL) {
        return doc->media;
    }
    AUTO_FREE char *path = mem_dup_str(doc->path);
    for (char *c = path; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (text_ends_with(path, known[i].ending)) {
            return known[i].media;
        }
    }
    return "application/octet-stream";
}

static enum fail text_check(const struct dataset_doc *doc, struct fault *why)
{
    size_t good = text_utf8_valid_prefix(doc->data, doc->len);
    const char *nul = memchr(doc->data, '\0', doc->len);
    if (nul == NULL && good == doc->len) {
        return FAIL_NONE;
    }
    FAULT(why, FAIL_BAD_REQUEST, "byte %zu is not UTF-8 text",
          nul != NULL ? (size_t)(nul - (const char *)doc->data) : good);
    return fail_hint(why, "Save it as UTF-8.");
}

static enum fail path_check(const char *path, struct fault *why)
{
    size_t n = strlen(path);
    bool good = n > 0 && n < DATASET_PATH_SIZE && text_utf8_is_valid(path, n);
    for (size_t i = 0; i < n && good; i++) {
        good = (unsigned char)path[i] >= 32 && path[i] != 127;
    }
    if (!good) {
        FAULT(why, FAIL_BAD_REQUEST,
              "a document's path is 1 to %d bytes without control characters",
              DATASET_PATH_SIZE - 1);
        return fail_param(why, "path");
    }
    return FAIL_NONE;
}

static enum fail read_doc(struct taking *t, struct fault *why)
{
    const struct dataset_doc *doc = t->doc;
    bool markdown = strcmp(t->media, "text/markdown") == 0;
    bool lines = strcmp(t->media, "application/jsonl") == 0;
    enum fail f;
    if (markdown || lines || strcmp(t->media, "text/plain") == 0) {
        f = text_check(doc, why);
        f = f != FAIL_NONE ? f
            : lines ? dataset_read_lines(&t->pieces, doc->data, doc->len, why)
                    : dataset_read_text(&t->pieces, doc->data, doc->len, markdown, why);
    } else {
        f = dataset_read_hostile(&t->pieces, doc->path, t->media, doc->data, doc->len, why);
    }
    if (f == FAIL_NONE && t->pieces.count == 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "there is no text in it");
    }
    return f;
}

/* ---- what stands there ---- */

static enum fail look_up(struct taking *t, struct store_conn *conn, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT no, hash, article FROM dataset_file WHERE dataset = ?1 AND path = ?2");
    bool row = false;
    size_t n;
    store_bind_int(s, 1, t->d->no);
    store_bind_text(s, 2, t->doc->path);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        t->file = store_col_int(s, 0);
        const void *hash = store_col_blob(s, 1, &n);
        t->untouched = n == sizeof(t->hash) && memcmp(hash, t->hash, n) == 0;
        (void)text_copy(t->was, sizeof(t->was), store_col_text(s, 2));
    }
    return f;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(((const struct old *)a)->id.bytes, ((const struct old *)b)->id.bytes, 16);
}

static enum fail look_up_chunks(struct taking *t, struct store_conn *conn, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT id, no FROM dataset_chunk WHERE file = ?1");
    bool row;
    enum fail f;
    size_t room = 0;
    store_bind_int(s, 1, t->file);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (t->old_len == room) {
            room = room == 0 ? 64 : room * 2;
            t->old = mem_realloc(t->old, room * sizeof(*t->old));
        }
        t->old[t->old_len] = (struct old){.no = store_col_int(s, 1)};
        (void)store_col_id(s, 0, &t->old[t->old_len++].id);
    }
    if (t->old_len > 0) {
        qsort(t->old, t->old_len, sizeof(*t->old), by_id);
    }
    for (size_t i = 0; i < t->pieces.count && t->old_len > 0; i++) {
        struct old key = {.id = t->pieces.items[i].id};
        struct old *o = bsearch(&key, t->old, t->old_len, sizeof(*t->old), by_id);
        if (o != NULL && !o->kept) {
            o->kept = true;
            t->pieces.items[i].no = o->no;
        }
    }
    return f;
}

/* ---- writing ---- */

static enum fail put_file(struct taking *t, struct store_conn *conn, struct fault *why)
{
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "INSERT INTO dataset_file (dataset, path, title, media, hash, bytes, chunks, "
                  "updated_at, expires_at) VALUES (?1, ?2, ?3, ?4, x'', ?5, 0, ?6, ?7) "
                  "ON CONFLICT (dataset, path) DO UPDATE SET title = excluded.title, media = "
                  "excluded.media, hash = x'', bytes = excluded.bytes, updated_at = "
                  "excluded.updated_at, expires_at = excluded.expires_at");
        store_bind_int(s, 1, t->d->no);
        store_bind_text(s, 2, t->doc->path);
        store_bind_text(s, 3, t->pieces.title);
        store_bind_text(s, 4, t->media);
        store_bind_int(s, 5, (int64_t)t->doc->len);
        store_bind_int(s, 6, t->now);
        store_bind_int(s, 7, t->d->retention_days == 0
                                 ? 0
                                 : t->now + t->d->retention_days * 86400 * 1000000);
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT no FROM dataset_file WHERE dataset = ?1 AND path = ?2");
    bool row = false;
    store_bind_int(s, 1, t->d->no);
    store_bind_text(s, 2, t->doc->path);
    enum fail f = store_step(s, &row, why);
    t->file = f == FAIL_NONE && row ? store_col_int(s, 0) : 0;
    return f;
}

/* Numbers for the new ones among pieces[done..to). */
static enum fail number(struct taking *t, struct store_conn *conn, size_t to, struct fault *why)
{
    int64_t fresh = 0, next = 0;
    bool row = false;
    for (size_t i = t->done; i < to; i++) {
        fresh += t->pieces.items[i].no == 0;
    }
    {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT chunk_next FROM dataset_about WHERE no = ?1");
        store_bind_int(s, 1, t->d->no);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row) {
            return f != FAIL_NONE ? f : FAULT(why, FAIL_NOT_FOUND, "the dataset was removed");
        }
        next = store_col_int(s, 0);
    }
    if (next + fresh >= (int64_t)UINT32_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "the dataset has given out all its chunk numbers");
    }
    for (size_t i = t->done; i < to; i++) {
        if (t->pieces.items[i].no == 0) {
            t->pieces.items[i].no = -((t->d->no << 32) + next++); /* negative: to be inserted */
        }
    }
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "UPDATE dataset_about SET chunk_next = ?2 WHERE no = ?1");
    store_bind_int(s, 1, t->d->no);
    store_bind_int(s, 2, next);
    return store_run(s, why);
}

static enum fail put_stems(struct store_conn *conn, int64_t no, const char *stems,
                           struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "INSERT INTO dataset_word (rowid, stems) VALUES (?1, ?2)");
    store_bind_int(s, 1, no);
    store_bind_text(s, 2, stems);
    return store_run(s, why);
}

static enum fail drop_stems(struct store_conn *conn, int64_t no, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(conn, "DELETE FROM dataset_word WHERE rowid = ?1");
    store_bind_int(s, 1, no);
    return store_run(s, why);
}

/* A kept chunk may stand elsewhere now, and under another heading: its stems are written anew. */
static enum fail put_chunk(struct taking *t, struct store_conn *conn, size_t seq,
                           struct fault *why)
{
    struct dataset_piece *x = &t->pieces.items[seq];
    bool fresh = x->no < 0;
    int64_t no = fresh ? -x->no : x->no;
    {
        AUTO_STMT struct store_stmt *s =
            fresh ? store_query(conn, "INSERT INTO dataset_chunk (no, file, seq, at, page, "
                                      "heading, id, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")
                  : store_query(conn, "UPDATE dataset_chunk SET file = ?2, seq = ?3, at = ?4, "
                                      "page = ?5, heading = ?6 WHERE no = ?1");
        store_bind_int(s, 1, no);
        store_bind_int(s, 2, t->file);
        store_bind_int(s, 3, (int64_t)seq);
        store_bind_int(s, 4, x->at);
        store_bind_int(s, 5, x->page);
        store_bind_text(s, 6, x->heading);
        if (fresh) {
            store_bind_id(s, 7, &x->id);
            store_bind_text(s, 8, x->text);
        }
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    enum fail f = fresh ? FAIL_NONE : drop_stems(conn, no, why);
    return f != FAIL_NONE ? f : put_stems(conn, no, x->stems, why);
}

static enum fail write_batch(struct store_tx *tx, void *arg, struct fault *why)
{
    struct taking *t = arg;
    struct store_conn *conn = store_tx_conn(tx);
    size_t to = t->done + BATCH < t->pieces.count ? t->done + BATCH : t->pieces.count;
    enum fail f = t->done == 0 ? put_file(t, conn, why) : FAIL_NONE;
    f = f != FAIL_NONE ? f : number(t, conn, to, why);
    for (size_t i = t->done; i < to && f == FAIL_NONE; i++) {
        f = put_chunk(t, conn, i, why);
    }
    return f;
}

enum fail dataset_chunk_delete(struct store_tx *tx, int64_t no, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    enum fail f = drop_stems(conn, no, why);
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "DELETE FROM dataset_chunk_vector WHERE chunk = ?1");
        store_bind_int(s, 1, no);
        f = store_run(s, why);
    }
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "DELETE FROM dataset_chunk WHERE no = ?1");
        store_bind_int(s, 1, no);
        f = store_run(s, why);
    }
    return f;
}

static enum fail drop_batch(struct store_tx *tx, void *arg, struct fault *why)
{
    struct taking *t = arg;
    enum fail f = FAIL_NONE;
    for (size_t i = t->done; i < t->old_len && i < t->done + BATCH && f == FAIL_NONE; i++) {
        f = t->old[i].kept ? FAIL_NONE : dataset_chunk_delete(tx, t->old[i].no, why);
    }
    return f;
}

/* The last step: the document counts from here on. */
static enum fail write_end(struct store_tx *tx, void *arg, struct fault *why)
{
    struct taking *t = arg;
    const struct dataset_hooks *h = &t->ds->hooks;
    const char *article = strcmp(t->media, "text/markdown") == 0 ? t->pieces.article : "";
    enum fail f = FAIL_NONE;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "UPDATE dataset_file SET hash = ?2, chunks = ?3, article = ?4 WHERE no = ?1");
        store_bind_int(s, 1, t->file);
        store_bind_blob(s, 2, t->hash, sizeof(t->hash));
        store_bind_int(s, 3, (int64_t)t->pieces.count);
        store_bind_text(s, 4, article);
        f = store_run(s, why);
    }
    if (f == FAIL_NONE && h->article != NULL && t->was[0] != '\0' && strcmp(t->was, article) != 0) {
        f = h->article(tx, h->arg, t->d->name, t->was, t->doc->path, NULL, 0, &t->changed, why);
    }
    if (f == FAIL_NONE && h->article != NULL && article[0] != '\0') {
        f = h->article(tx, h->arg, t->d->name, article, t->doc->path, t->doc->data, t->doc->len,
                       &t->changed, why);
    }
    return f != FAIL_NONE ? f
                          : dataset_note(tx, t->ds->h.audit, t->p, t->d->name,
                                         t->old_len > 0 ? "document_replaced" : "document_added",
                                         t->doc->path, why);
}

static enum fail write_doc(struct taking *t, struct fault *why)
{
    struct store *store = t->ds->h.store;
    int64_t *gone = mem_alloc_array(t->old_len + 1, sizeof(*gone));
    size_t n = 0, fresh = 0;
    enum fail f = FAIL_NONE;
    t->done = 0;
    do {
        f = store_write_wait(store, write_batch, t, why);
        size_t to = t->done + BATCH < t->pieces.count ? t->done + BATCH : t->pieces.count;
        for (; f == FAIL_NONE && t->done < to; t->done++) {
            struct dataset_piece *x = &t->pieces.items[t->done];
            fresh += x->no < 0;
            x->no = x->no < 0 ? -x->no : x->no;
        }
    } while (f == FAIL_NONE && t->done < t->pieces.count);
    for (size_t i = 0; i < t->old_len; i++) {
        if (!t->old[i].kept) {
            gone[n++] = t->old[i].no;
        }
    }
    for (t->done = 0; f == FAIL_NONE && n > 0 && t->done < t->old_len; t->done += BATCH) {
        f = store_write_wait(store, drop_batch, t, why);
    }
    f = f != FAIL_NONE ? f : store_write_wait(store, write_end, t, why);
    if (f == FAIL_NONE) {
        dataset_segment_remove(t->ds, t->d->no, gone, n);
        dataset_segment_count(t->ds, t->d->no, (int64_t)fresh - (int64_t)n);
    }
    mem_free(gone);
    return f;
}

/* ---- one after the other ---- */

static bool is_about_the_document(enum fail f)
{
    return f == FAIL_BAD_REQUEST || f == FAIL_TOO_LARGE || f == FAIL_UNSUPPORTED ||
           f == FAIL_DEADLINE || f == FAIL_WORKER_DIED || f == FAIL_NOT_FOUND;
}

static enum fail take_one(struct taking *t, struct dataset_taken *out, bool *articles,
                          struct fault *why)
{
    enum fail f = path_check(t->doc->path, why);
    if (f == FAIL_NONE && t->doc->len > DATASET_FILE_BYTES) {
        f = FAULT(why, FAIL_TOO_LARGE, "the document is over %zu bytes", DATASET_FILE_BYTES);
    }
    struct store_conn *conn = f == FAIL_NONE ? dataset_reader_take(t->ds, why) : NULL;
    if (conn == NULL) {
        return why->code;
    }
    t->media = media_of(t->doc);
    text_sha256(t->doc->data, t->doc->len, t->hash);
    f = look_up(t, conn, why);
    bool known = t->file != 0;
    if (f == FAIL_NONE && !t->untouched) {
        f = read_doc(t, why);
        if (f == FAIL_NONE) {
            if (t->pieces.title[0] == '\0') {
                const char *slash = strrchr(t->doc->path, '/');
                (void)text_copy(t->pieces.title, sizeof(t->pieces.title),
                                slash != NULL ? slash + 1 : t->doc->path);
            }
            dataset_pieces_finish(&t->pieces, t->d->name, t->doc->path);
            f = look_up_chunks(t, conn, why);
        }
    }
    dataset_reader_give(t->ds, conn);
    if (f == FAIL_NONE && !t->untouched) {
        f = write_doc(t, why);
        *articles = *articles || t->changed;
    }
    out->state = t->untouched ? DATASET_UNTOUCHED : known ? DATASET_REPLACED : DATASET_ADDED;
    out->chunks = t->pieces.count;
    return f;
}

enum fail datasets_take(struct datasets *ds, const struct principal *p,
                        const struct dataset_about *d, const struct dataset_doc *docs, size_t n,
                        struct dataset_taken *taken, struct fault *why)
{
    enum fail f = FAIL_NONE;
    bool articles = false, replaced = false;
    pthread_mutex_lock(&ds->filling);
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        struct taking t = {.ds = ds, .p = p, .d = d, .doc = &docs[i], .now = clock_now_us()};
        struct fault bad;
        taken[i] = (struct dataset_taken){0};
        enum fail one = take_one(&t, &taken[i], &articles, &bad);
        if (one != FAIL_NONE && is_about_the_document(one)) {
            taken[i] = (struct dataset_taken){.state = DATASET_FAILED, .why = bad};
        } else if (one != FAIL_NONE) {
            f = one;
            *why = bad;
        }
        replaced = replaced || taken[i].state == DATASET_REPLACED;
        dataset_pieces_done(&t.pieces);
        mem_free(t.old);
    }
    if (replaced && f == FAIL_NONE) {
        f = dataset_forget(ds, d->name, why);
    }
    pthread_mutex_unlock(&ds->filling);
    if (articles) {
        dataset_tell_changed(ds, d->name);
    }
    dataset_kick(ds);
    return f;
}
