/* SPDX-License-Identifier: Apache-2.0 */
/* Migrations: forward only, one transaction each, none that this build does not know. */
#include <string.h>

#include "base/clock/clock.h"
#include "base/store/store_internal.h"

#define CREATE_TABLE                                                                               \
    "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "      \
    "sha256 TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"

static const struct store_migration *find(const struct store_schema *schema, int64_t version)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (schema->list[i].version == version) {
            return &schema->list[i];
        }
    }
    return NULL;
}

/* Everything applied must be known with the same bytes; `applied` gets a true per list entry. */
static enum fail check_applied(struct store_conn *c, const struct store_schema *schema,
                               bool *applied, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT version, name, sha256 FROM migration ORDER BY version");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        const struct store_migration *m = find(schema, store_col_int(s, 0));
        if (m == NULL) {
            FAULT(why, FAIL_CONFLICT,
                  "the database %s holds migration %s, which this version of inhouse does not know",
                  c->path, store_col_text(s, 1));
            return fail_hint(why, "A newer inhouse wrote it: run that one, or restore a backup "
                                  "made before the update.");
        }
        if (strcmp(m->name, store_col_text(s, 1)) != 0 ||
            strcmp(m->sha256, store_col_text(s, 2)) != 0) {
            FAULT(why, FAIL_CONFLICT,
                  "migration %s of the database %s was applied with other contents than this "
                  "version of inhouse has (%s)",
                  store_col_text(s, 1), c->path, m->name);
            return fail_hint(why, "Run the inhouse that wrote it; a migration never changes once "
                                  "it was released.");
        }
        applied[m - schema->list] = true;
    }
    return f;
}

static enum fail record(struct store_conn *c, const struct store_migration *m, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "INSERT INTO migration VALUES (?1, ?2, ?3, ?4)");
    store_bind_int(s, 1, m->version);
    store_bind_text(s, 2, m->name);
    store_bind_text(s, 3, m->sha256);
    store_bind_int(s, 4, clock_now_us());
    return store_run(s, why);
}

static enum fail apply(struct store_conn *c, const struct store_migration *m, struct fault *why)
{
    enum fail f = FAIL_NONE;
    int rc = store_exec(c, "BEGIN IMMEDIATE");
    if (rc == SQLITE_OK) {
        rc = store_exec(c, m->sql);
    }
    if (rc == SQLITE_OK) {
        f = record(c, m, why);
        if (f == FAIL_NONE) {
            rc = store_exec(c, "COMMIT");
        }
    }
    if (rc != SQLITE_OK) {
        struct fault inner;
        f = store_fault(c, rc, "write to", &inner);
        FAULT(why, f, "migration %s did not apply and was undone: %s", m->name, inner.message);
        fail_hint(why, "%s", inner.hint);
    }
    if (!sqlite3_get_autocommit(c->db)) {
        store_exec(c, "ROLLBACK");
    }
    return f;
}

enum fail store_migrate(struct store_conn *c, const struct store_schema *schema, struct fault *why)
{
    int rc = store_exec(c, CREATE_TABLE);
    if (rc != SQLITE_OK) {
        return store_fault(c, rc, "write to", why);
    }
    AUTO_FREE bool *applied = mem_alloc_array(schema->count + 1, sizeof(*applied));
    enum fail f = check_applied(c, schema, applied, why);
    for (size_t i = 0; i < schema->count && f == FAIL_NONE; i++) {
        if (!applied[i]) {
            f = apply(c, &schema->list[i], why);
        }
    }
    return f;
}
