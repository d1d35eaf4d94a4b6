/* SPDX-License-Identifier: Apache-2.0 */
/* What a dataset is: made, found, listed, changed, each change with its leaf. Threads: the
   connection's. */
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"

static const char *const who_names[DATASET_WHO_COUNT] = {"team", "user"};

const char *dataset_who_name(enum dataset_who w)
{
    return who_names[w];
}

bool dataset_who_find(const char *name, enum dataset_who *out)
{
    for (size_t i = 0; i < DATASET_WHO_COUNT; i++) {
        if (strcmp(name, who_names[i]) == 0) {
            *out = (enum dataset_who)i;
            return true;
        }
    }
    return false;
}

void dataset_about_read(struct store_stmt *s, struct dataset_about *out)
{
    int64_t label = store_col_int(s, 6);
    *out = (struct dataset_about){
        .no = store_col_int(s, 0),
        /* what cannot be read is the strictest */
        .label = label >= 0 && label < SECRECY_COUNT ? (enum secrecy)label : SECRECY_RESTRICTED,
        .listed = store_col_int(s, 7) != 0,
        .retention_days = store_col_int(s, 8),
        .review_at = store_col_int(s, 9),
        .created_at = store_col_int(s, 10),
        .updated_at = store_col_int(s, 11),
    };
    (void)text_copy(out->name, sizeof(out->name), store_col_text(s, 1));
    if (!dataset_who_find(store_col_text(s, 2), &out->owner.kind)) {
        out->owner.kind = DATASET_USER; /* a kind of a later version: nobody has that name */
    } else {
        (void)text_copy(out->owner.name, sizeof(out->owner.name), store_col_text(s, 3));
    }
    (void)text_copy(out->purpose, sizeof(out->purpose), store_col_text(s, 4));
    (void)text_copy(out->source, sizeof(out->source), store_col_text(s, 5));
    (void)text_copy(out->model, sizeof(out->model), store_col_text(s, 12));
}

enum fail dataset_note(struct store_tx *tx, struct audit *audit, const struct principal *p,
                       const char *dataset, const char *verdict, const char *about,
                       struct fault *why)
{
    struct audit_leaf leaf = {.kind = AUDIT_KIND_KNOWLEDGE_CHANGED,
                              .actor = p->name,
                              .team = p->team,
                              .task = dataset,
                              .verdict = verdict,
                              .input = about,
                              .input_len = about != NULL ? strlen(about) : 0};
    return audit_append(tx, audit, &leaf, NULL, NULL, why);
}

enum fail dataset_reason_check(const char *field, const char *text, struct fault *why)
{
    if (text == NULL || text[0] == '\0' || strlen(text) >= DATASET_TEXT_SIZE) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" must be 1 to %d bytes", field, DATASET_TEXT_SIZE - 1);
        return fail_param(why, field);
    }
    return FAIL_NONE;
}

/* ---- found ---- */

static enum fail find(struct store_conn *conn, const char *name, bool *found,
                      struct dataset_about *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " DATASET_ABOUT_COLUMNS " FROM dataset_about a WHERE a.name = ?1");
    store_bind_text(s, 1, name);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        dataset_about_read(s, out);
    }
    return f;
}

static enum fail missing(const char *name, struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no dataset `%.64s` that you may use", name);
    return fail_hint(why, "`inhouse datasets list` shows those you may read, and those you may "
                          "ask for.");
}

enum fail dataset_find(struct store_conn *conn, const char *name, struct dataset_about *out,
                       struct fault *why)
{
    bool found = false;
    enum fail f = find(conn, name, &found, out, why);
    return f != FAIL_NONE ? f : found ? FAIL_NONE : missing(name, why);
}

enum fail dataset_get(struct store_conn *conn, const char *name, const struct principal *p,
                      unsigned need, int64_t now, struct dataset_about *out, struct fault *why)
{
    bool found = false;
    enum fail f = find(conn, name, &found, out, why);
    if (f != FAIL_NONE) {
        return f;
    }
    /* the rights are asked either way, so that a missing one takes as long as a foreign one */
    unsigned rights = dataset_rights(conn, found ? out : &(struct dataset_about){0}, p, now);
    if (!found || (rights & need) == need) {
        return found ? FAIL_NONE : missing(name, why);
    }
    if ((rights & DATASET_READS) != 0) {
        FAULT(why, FAIL_FORBIDDEN, "only the owner of dataset `%s` may do this: %s %s", name,
              dataset_who_name(out->owner.kind), out->owner.name);
        return fail_hint(why, "Ask the owner.");
    }
    return missing(name, why);
}

enum fail dataset_each(struct store_conn *conn, const struct principal *p, int64_t now,
                       dataset_about_fn fn, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " DATASET_ABOUT_COLUMNS " FROM dataset_about a ORDER BY a.name");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct dataset_about d;
        dataset_about_read(s, &d);
        unsigned rights = dataset_rights(conn, &d, p, now);
        if (rights != 0) {
            fn(arg, &d, rights);
        }
    }
    return f;
}

enum secrecy dataset_label(struct store_conn *conn, const char *name)
{
    struct dataset_about d;
    struct fault why;
    return dataset_find(conn, name, &d, &why) == FAIL_NONE ? d.label : SECRECY_RESTRICTED;
}

/* ---- made and changed ---- */

static enum fail check(const struct dataset_about *d, struct fault *why)
{
    if (!text_is_name(d->name)) {
        FAULT(why, FAIL_BAD_REQUEST, "a dataset's name is lower-case letters, digits, . _ -");
        return fail_param(why, "name");
    }
    if (d->owner.name[0] == '\0') {
        FAULT(why, FAIL_BAD_REQUEST, "a dataset has an owner");
        return fail_param(why, "owner");
    }
    if (d->retention_days < 0 || d->retention_days > 36500) {
        FAULT(why, FAIL_BAD_REQUEST, "\"retention_days\" must be 0 (kept) to 36500");
        return fail_param(why, "retention_days");
    }
    return dataset_reason_check("purpose", d->purpose, why);
}

static void bind(struct store_stmt *s, const struct dataset_about *d)
{
    store_bind_text(s, 1, d->name);
    store_bind_text(s, 2, dataset_who_name(d->owner.kind));
    store_bind_text(s, 3, d->owner.name);
    store_bind_text(s, 4, d->purpose);
    store_bind_text(s, 5, d->source);
    store_bind_int(s, 6, d->label);
    store_bind_int(s, 7, d->listed);
    store_bind_int(s, 8, d->retention_days);
    store_bind_int(s, 9, d->review_at);
    store_bind_int(s, 10, clock_now_us());
}

static enum fail count_check(struct store_conn *conn, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(conn, "SELECT count(*) FROM dataset_about");
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row && store_col_int(s, 0) >= DATASET_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a server holds at most %d datasets", DATASET_MAX);
    }
    return f;
}

enum fail dataset_add(struct store_tx *tx, struct audit *audit, const struct principal *p,
                      const struct dataset_about *d, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    enum fail f = check(d, why);
    f = f != FAIL_NONE ? f : count_check(conn, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "INSERT INTO dataset_about (name, owner_kind, owner, purpose, source, label, listed, "
              "retention_days, review_at, created_at, updated_at, created_by) VALUES "
              "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11)");
    bind(s, d);
    store_bind_text(s, 11, p->name);
    f = store_run(s, why);
    if (f == FAIL_CONFLICT) {
        FAULT(why, FAIL_CONFLICT, "the name `%s` is taken", d->name);
        return fail_hint(why, "Choose another name, or ask the owner of that dataset.");
    }
    return f != FAIL_NONE ? f : dataset_note(tx, audit, p, d->name, "added", d->purpose, why);
}

enum fail dataset_change(struct store_tx *tx, struct audit *audit, const struct principal *p,
                         const struct dataset_about *d, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    enum fail f = check(d, why);
    if (f != FAIL_NONE) {
        return f;
    }
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "UPDATE dataset_about SET owner_kind = ?2, owner = ?3, purpose = ?4, "
                  "source = ?5, label = ?6, listed = ?7, retention_days = ?8, review_at = ?9, "
                  "updated_at = ?10 WHERE name = ?1");
        bind(s, d);
        f = store_run(s, why);
    }
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "UPDATE dataset_file SET expires_at = CASE ?2 WHEN 0 THEN 0 ELSE updated_at + "
                  "?2 * 86400000000 END WHERE dataset = ?1");
        store_bind_int(s, 1, d->no);
        store_bind_int(s, 2, d->retention_days);
        f = store_run(s, why);
    }
    return f != FAIL_NONE ? f : dataset_note(tx, audit, p, d->name, "changed", d->purpose, why);
}
