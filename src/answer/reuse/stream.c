/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams in the store: the documents one workflow answered in one trust domain, the templates
 * learned from them, and what a person's decision does to both.
 * Owns: tables reuse_example, reuse_template, reuse_source. Threads: reads on the connection's own,
 * writes inside a write. Limits: REUSE_LEARN_DOCS documents and REUSE_TEMPLATES templates a stream.
 */
#include <stdio.h>
#include <string.h>

#include "answer/reuse/reuse_internal.h"
#include "base/clock/clock.h"
#include "trust/audit/audit.h"

#define DOCUMENT_LINES 3

static void bind_scope(struct store_stmt *s, const struct reuse_scope *scope)
{
    store_bind_text(s, 1, scope->domain);
    store_bind_text(s, 2, scope->workflow);
    store_bind_text(s, 3, scope->release);
}

bool reuse_is_document(const char *text, size_t len)
{
    size_t lines = 0;
    bool words = false;
    for (size_t i = 0; i < len && lines < DOCUMENT_LINES; i++) {
        words = words || (text[i] > ' ' && text[i] != '\r');
        if ((text[i] == '\n' || i + 1 == len) && words) {
            lines++;
            words = false;
        }
    }
    return lines >= DOCUMENT_LINES && len <= REUSE_DOC_BYTES;
}

/* ---- documents ---- */

enum fail reuse_example_put(struct store_tx *tx, const struct reuse_scope *scope,
                            const struct reuse_owner *owner, const struct reuse_entry *entry,
                            struct fault *why)
{
    struct buf b;
    enum fail f = FAIL_NONE;
    buf_init(&b, REUSE_FIELDS_BYTES);
    if (reuse_fields_write(entry, &b)) {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "INSERT INTO reuse_example (domain, workflow, release, task, team, actor, fields, "
            "reviewed, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8)");
        bind_scope(s, scope);
        store_bind_id(s, 4, &entry->task);
        store_bind_text(s, 5, owner->team);
        store_bind_text(s, 6, owner->actor);
        store_bind_blob(s, 7, b.data != NULL ? b.data : "", b.len);
        store_bind_int(s, 8, clock_now_us());
        f = store_run(s, why);
    }
    buf_done(&b);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *old = store_query(
        store_tx_conn(tx),
        "DELETE FROM reuse_example WHERE task IN (SELECT task FROM reuse_example WHERE domain = ?1 "
        "AND workflow = ?2 AND release = ?3 ORDER BY created_at DESC, task DESC LIMIT 256 "
        "OFFSET ?4)");
    bind_scope(old, scope);
    store_bind_int(old, 4, REUSE_LEARN_DOCS);
    return store_run(old, why);
}

/* The values a person gave take the place of those that were proposed. */
static enum fail confirm_example(struct store_tx *tx, const struct reuse_entry *entry,
                                 struct fault *why)
{
    struct buf b;
    enum fail f = FAIL_NONE;
    buf_init(&b, REUSE_FIELDS_BYTES);
    if (reuse_fields_write(entry, &b)) {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx),
                        "UPDATE reuse_example SET fields = ?2, reviewed = 1 WHERE task = ?1");
        store_bind_id(s, 1, &entry->task);
        store_bind_blob(s, 2, b.data != NULL ? b.data : "", b.len);
        f = store_run(s, why);
    }
    buf_done(&b);
    return f;
}

static enum fail run_for(struct store_tx *tx, const char *sql, const struct id *id,
                         struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), sql);
    store_bind_id(s, 1, id);
    return store_run(s, why);
}

/* Was any value that stands in `was` changed? A field that `entry` lacks was not. */
static bool changed(const struct reuse_entry *was, const struct reuse_entry *entry)
{
    for (size_t i = 0; i < was->n; i++) {
        for (size_t k = 0; k < entry->n; k++) {
            if (strcmp(was->names[i], entry->names[k]) == 0 &&
                strcmp(was->values[i], entry->values[k]) != 0) {
                return true;
            }
        }
    }
    return false;
}

/* Templates that filled a field of this task: gone, for one of their readings was wrong. */
static enum fail drop_used(struct store_tx *tx, const struct id *task, struct fault *why)
{
    struct id used[REUSE_MAX_FIELDS];
    size_t n = 0;
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "SELECT DISTINCT source FROM reuse_hit WHERE task = ?1 AND "
                                       "how = 2");
    store_bind_id(s, 1, task);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && n < COUNT_OF(used)) {
        store_col_id(s, 0, &used[n++]);
    }
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = reuse_template_drop(tx, &used[i], why);
    }
    return f;
}

/* The row of a task's own answer, in either table. */
static enum fail read_row(struct store_tx *tx, const struct id *task, struct arena *arena,
                          struct reuse_entry *out, bool *found, struct fault *why)
{
    size_t len = 0;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "SELECT fields, waits FROM reuse WHERE task = ?1 UNION ALL SELECT fields, waits FROM "
        "reuse_semantic WHERE task = ?1 LIMIT 1");
    store_bind_id(s, 1, task);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        const uint8_t *data = store_col_blob(s, 0, &len);
        f = reuse_fields_read(data, len, arena, out, why);
        out->waits = store_col_int(s, 1) != 0;
    }
    return f;
}

static void merge_fields(struct reuse_entry *row, const struct reuse_entry *decided)
{
    for (size_t i = 0; i < decided->n; i++) {
        size_t k = 0;
        while (k < row->n && strcmp(row->names[k], decided->names[i]) != 0) {
            k++;
        }
        if (k < REUSE_MAX_FIELDS) {
            row->names[k] = decided->names[i];
            row->values[k] = decided->values[i];
            row->n += k == row->n;
        }
    }
}

/* What waited is reused from now on, with the values as decided. */
static enum fail release_rows(struct store_tx *tx, struct reuse_entry *row,
                              const struct reuse_entry *decided, struct fault *why)
{
    static const char *const acts[] = {
        "UPDATE reuse SET fields = ?2, draft = '', waits = 0 WHERE task = ?1 AND waits = 1",
        "UPDATE reuse_semantic SET fields = ?2, waits = 0 WHERE task = ?1 AND waits = 1"};
    struct buf b;
    enum fail f = FAIL_NONE;
    merge_fields(row, decided);
    buf_init(&b, REUSE_FIELDS_BYTES);
    bool fits = reuse_fields_write(row, &b);
    for (size_t i = 0; i < COUNT_OF(acts) && fits && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), acts[i]);
        store_bind_id(s, 1, &decided->task);
        store_bind_blob(s, 2, b.data != NULL ? b.data : "", b.len);
        f = store_run(s, why);
    }
    buf_done(&b);
    return f;
}

static enum fail drop_rows(struct store_tx *tx, const struct id *task, struct fault *why)
{
    enum fail f = drop_used(tx, task, why);
    f = f != FAIL_NONE ? f : run_for(tx, "DELETE FROM reuse WHERE task = ?1", task, why);
    return f != FAIL_NONE
               ? f
               : run_for(tx, "DELETE FROM reuse_semantic WHERE task = ?1", task, why);
}

enum fail reuse_decide(struct store_tx *tx, const struct reuse_entry *entry, bool overturned,
                       bool rejected, struct fault *why)
{
    struct arena *arena = arena_new((size_t)4 << 20);
    struct reuse_entry row = {0};
    bool found = false;
    enum fail f = read_row(tx, &entry->task, arena, &row, &found, why);
    if (f == FAIL_NONE && rejected) {
        f = run_for(tx, "DELETE FROM reuse_example WHERE task = ?1", &entry->task, why);
    } else if (f == FAIL_NONE) {
        f = confirm_example(tx, entry, why);
    }
    bool wrong = overturned || rejected || (found && !row.waits && changed(&row, entry));
    if (f == FAIL_NONE && wrong) {
        f = drop_rows(tx, &entry->task, why);
    } else if (f == FAIL_NONE && found && row.waits) {
        f = release_rows(tx, &row, entry, why);
    }
    arena_free(arena);
    return f;
}

/* ---- learning ---- */

void reuse_learned_done(struct reuse_learned *l)
{
    for (size_t i = 0; i < l->n; i++) {
        reuse_template_free(l->made[i]);
    }
    l->n = 0;
}

static enum fail read_documents(struct store_conn *conn, struct audit *audit,
                                const struct reuse_scope *scope, struct arena *arena,
                                struct reuse_doc *docs, size_t *n, struct fault *why)
{
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT task, fields FROM reuse_example WHERE domain = ?1 AND workflow = ?2 AND "
              "release = ?3 ORDER BY created_at DESC, task DESC LIMIT 64");
    bind_scope(s, scope);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < REUSE_LEARN_DOCS) {
        struct reuse_entry e = {0};
        struct buf text;
        size_t len = 0;
        store_col_id(s, 0, &e.task);
        const uint8_t *data = store_col_blob(s, 1, &len);
        f = reuse_fields_read(data, len, arena, &e, why);
        if (f != FAIL_NONE) {
            return f;
        }
        buf_init(&text, REUSE_DOC_BYTES);
        struct fault gone;
        /* Erased or too long: one document fewer. */
        if (audit_content_get(audit, conn, &e.task, AUDIT_PART_INPUT, &text, &gone) == FAIL_NONE) {
            struct reuse_doc *d = &docs[(*n)++];
            *d = (struct reuse_doc){.task = e.task, .len = text.len, .n = e.n,
                                    .text = arena_dup_strn(arena, text.data, text.len)};
            memcpy(d->names, e.names, sizeof(d->names));
            memcpy(d->values, e.values, sizeof(d->values));
        }
        buf_done(&text);
    }
    return f;
}

enum fail reuse_stream_learn(struct store_conn *conn, struct audit *audit,
                             const struct reuse_scope *scope, struct reuse_learned *out,
                             struct fault *why)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct reuse_doc *docs = arena_alloc(arena, REUSE_LEARN_DOCS * sizeof(*docs));
    size_t n = 0;
    memset(out, 0, sizeof(*out));
    enum fail f = read_documents(conn, audit, scope, arena, docs, &n, why);
    if (f == FAIL_NONE) {
        out->documents = n;
        out->n = reuse_templates_learn(docs, n, out->made, REUSE_TEMPLATES);
    }
    arena_free(arena);
    return f;
}

/* Every document it was learned from is still one that is confirmed. */
static enum fail sources_stand(struct store_tx *tx, const struct reuse_template *t, bool *stand,
                               struct fault *why)
{
    enum fail f = FAIL_NONE;
    *stand = true;
    for (size_t i = 0; i < t->sources_len && f == FAIL_NONE && *stand; i++) {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "SELECT 1 FROM reuse_example WHERE task = ?1");
        store_bind_id(s, 1, &t->sources[i]);
        f = store_step(s, stand, why);
    }
    return f;
}

static enum fail put_template(struct store_tx *tx, const struct reuse_scope *scope,
                              const struct reuse_template *t, size_t *stored, struct fault *why)
{
    struct buf b;
    char hash[65];
    struct id id = text_id_new();
    bool stand = false;
    enum fail f = sources_stand(tx, t, &stand, why);
    buf_init(&b, REUSE_TEMPLATE_BYTES);
    if (f != FAIL_NONE || !stand || !reuse_template_write(t, &b)) {
        buf_done(&b);
        return f;
    }
    reuse_template_hash(t, hash);
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "INSERT INTO reuse_template (domain, workflow, release, id, hash, bytes, "
                    "created_at, used_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7) "
                    "ON CONFLICT DO NOTHING");
    bind_scope(s, scope);
    store_bind_id(s, 4, &id);
    store_bind_text(s, 5, hash);
    store_bind_blob(s, 6, b.data, b.len);
    store_bind_int(s, 7, clock_now_us());
    f = store_run(s, why);
    bool fresh = f == FAIL_NONE && store_changes(store_tx_conn(tx)) > 0;
    buf_done(&b);
    for (size_t i = 0; i < t->sources_len && fresh && f == FAIL_NONE; i++) {
        AUTO_STMT struct store_stmt *source =
            store_query(store_tx_conn(tx), "INSERT INTO reuse_source (template, task, team, actor) "
                                           "SELECT ?1, task, team, actor FROM reuse_example WHERE "
                                           "task = ?2 ON CONFLICT DO NOTHING");
        store_bind_id(source, 1, &id);
        store_bind_id(source, 2, &t->sources[i]);
        f = store_run(source, why);
    }
    *stored += fresh;
    return f;
}

static enum fail keep_templates(struct store_tx *tx, const struct reuse_scope *scope,
                                struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "DELETE FROM reuse_template WHERE id IN (SELECT id FROM reuse_template WHERE domain = ?1 "
        "AND workflow = ?2 AND release = ?3 ORDER BY used_at DESC, id DESC LIMIT 256 OFFSET ?4)");
    bind_scope(s, scope);
    store_bind_int(s, 4, REUSE_TEMPLATES);
    enum fail f = store_run(s, why);
    if (f != FAIL_NONE || store_changes(store_tx_conn(tx)) == 0) {
        return f;
    }
    AUTO_STMT struct store_stmt *rest = store_query(
        store_tx_conn(tx), "DELETE FROM reuse_source WHERE template NOT IN (SELECT id FROM "
                           "reuse_template)");
    return store_run(rest, why);
}

/* What was learned anew from a stream takes the place of what has the same fields in fewer
   documents: a template learned earlier from documents that are all in the new one goes. */
static enum fail drop_outgrown(struct store_tx *tx, const struct reuse_scope *scope,
                               const struct reuse_learned *l, struct fault *why)
{
    struct id old[REUSE_TEMPLATES];
    size_t n = 0;
    bool row = false;
    enum fail f;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx),
                    "SELECT id, hash FROM reuse_template WHERE domain = ?1 AND workflow = ?2 "
                    "AND release = ?3");
    bind_scope(s, scope);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && n < COUNT_OF(old)) {
        bool same = false, covered = false;
        struct id id;
        store_col_id(s, 0, &id);
        for (size_t i = 0; i < l->n && !covered; i++) {
            char hash[65];
            reuse_template_hash(l->made[i], hash);
            same = same || strcmp(hash, store_col_text(s, 1)) == 0;
            bool all = true, any = false, have = true;
            AUTO_STMT struct store_stmt *source = store_query(
                store_tx_conn(tx), "SELECT task FROM reuse_source WHERE template = ?1");
            store_bind_id(source, 1, &id);
            while (all && f == FAIL_NONE) {
                struct id task;
                f = store_step(source, &have, why);
                if (f != FAIL_NONE || !have) {
                    break;
                }
                store_col_id(source, 0, &task);
                bool in = false;
                for (size_t k = 0; k < l->made[i]->sources_len; k++) {
                    in = in || text_id_equal(&task, &l->made[i]->sources[k]);
                }
                all = in;
                any = true;
            }
            covered = all && any;
        }
        if (covered && !same) {
            old[n++] = id;
        }
    }
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = reuse_template_drop(tx, &old[i], why);
    }
    return f;
}

enum fail reuse_stream_put(struct store_tx *tx, const struct reuse_scope *scope,
                           const struct reuse_learned *l, size_t *stored, struct fault *why)
{
    size_t fresh = 0;
    enum fail f = l->n > 0 ? drop_outgrown(tx, scope, l, why) : FAIL_NONE;
    for (size_t i = 0; i < l->n && f == FAIL_NONE; i++) {
        f = put_template(tx, scope, l->made[i], &fresh, why);
    }
    if (stored != NULL) {
        *stored = fresh;
    }
    return f != FAIL_NONE || fresh == 0 ? f : keep_templates(tx, scope, why);
}

/* ---- matching ---- */

/* Two templates that both fit must say the same of a field that both fill. */
static void join_fills(struct reuse_match *out, const struct reuse_match *more)
{
    for (size_t i = 0; i < more->n; i++) {
        size_t k = 0;
        while (k < out->n && strcmp(out->fills[k].name, more->fills[i].name) != 0) {
            k++;
        }
        if (k == out->n && out->n < REUSE_MAX_FIELDS) {
            out->fills[out->n++] = more->fills[i];
        } else if (k < out->n && strcmp(out->fills[k].value, more->fills[i].value) != 0) {
            out->fills[k].value = NULL; /* nobody's */
        }
    }
}

static void drop_disputed(struct reuse_match *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (m->fills[i].value != NULL) {
            m->fills[n++] = m->fills[i];
        } else {
            size_t used = strlen(m->note);
            snprintf(m->note + used, sizeof(m->note) - used, "%s%s: two templates disagree",
                     used > 0 ? "; " : "", m->fills[i].name);
        }
    }
    m->n = n;
}

enum fail reuse_stream_match(struct store_conn *conn, const struct reuse_scope *scope,
                             const char *text, size_t len, struct arena *arena,
                             struct reuse_match *out, struct id *from, struct fault *why)
{
    size_t most = 0;
    bool row = false;
    enum fail f;
    memset(out, 0, sizeof(*out));
    memset(from, 0, sizeof(*from));
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT id, bytes FROM reuse_template WHERE domain = ?1 AND workflow = ?2 AND "
              "release = ?3 ORDER BY used_at DESC LIMIT 16");
    bind_scope(s, scope);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct reuse_template *t = NULL;
        struct reuse_match *m = arena_alloc(arena, sizeof(*m));
        size_t n = 0;
        const void *bytes = store_col_blob(s, 1, &n);
        f = reuse_template_read(bytes, n, &t, why);
        if (f != FAIL_NONE) {
            return f;
        }
        reuse_template_match(t, text, len, arena, m);
        reuse_template_free(t);
        if (m->fit == REUSE_FIT_WHOLE && out->fit != REUSE_FIT_WHOLE) {
            *out = *m;
        } else if (m->fit == REUSE_FIT_WHOLE) {
            join_fills(out, m);
        } else if (m->fit > out->fit || (m->fit == out->fit && m->alike > out->alike)) {
            *out = *m;
        }
        if (m->fit == REUSE_FIT_WHOLE && (m->n > most || text_id_is_zero(from))) {
            most = m->n;
            store_col_id(s, 0, from);
        }
    }
    drop_disputed(out);
    return f;
}
