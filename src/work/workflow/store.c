/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions in the store: every version stays, the newest one is active. */
#include <string.h>

#include "base/clock/clock.h"
#include "work/workflow/workflow.h"

static bool is_stored(struct store_conn *conn, const char *name)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT 1 FROM workflow WHERE name = ?1 LIMIT 1");
    bool row = false;
    store_bind_text(s, 1, name);
    return store_step(s, &row, NULL) == FAIL_NONE && row;
}

static void give(const char *name, const char *yaml, size_t len, workflow_form_fn fn,
                 workflow_bad_fn bad, void *arg)
{
    struct ladder_form *form = NULL;
    struct config_faults faults;
    struct fault why;
    if (workflow_read(yaml, len, name, &form, &faults, &why) == FAIL_NONE) {
        fn(arg, form);
        ladder_form_unref(form);
    } else if (bad != NULL) {
        bad(arg, name, &why);
    }
}

enum fail workflow_each(struct store_conn *conn, workflow_form_fn fn, workflow_bad_fn bad,
                        void *arg, struct fault *why)
{
    bool row;
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "SELECT name, yaml FROM workflow AS w WHERE version = "
                  "(SELECT max(version) FROM workflow WHERE name = w.name) ORDER BY name");
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
            const char *yaml = store_col_text(s, 1);
            give(store_col_text(s, 0), yaml, strlen(yaml), fn, bad, arg);
        }
    }
    for (size_t i = 0; f == FAIL_NONE && i < workflow_shipped_count; i++) {
        const struct workflow_shipped *w = &workflow_shipped[i];
        if (!is_stored(conn, w->name)) {
            give(w->name, w->yaml, w->len, fn, bad, arg);
        }
    }
    return f;
}

enum fail workflow_put(struct store_tx *tx, const struct ladder_form *form, const char *actor,
                       struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO workflow (name, version, yaml, release, actor, created_at) VALUES (?1, "
        "(SELECT coalesce(max(version), 0) + 1 FROM workflow WHERE name = ?1), ?2, ?3, ?4, ?5)");
    store_bind_text(s, 1, form->name);
    store_bind_text(s, 2, form->source_yaml);
    store_bind_text(s, 3, form->release);
    store_bind_text(s, 4, actor);
    store_bind_int(s, 5, clock_now_us());
    return store_run(s, why);
}

enum fail workflow_releases(struct store_conn *conn, const char *name,
                            char (*out)[TEXT_SHA256_HEX_SIZE], size_t room, size_t *n,
                            struct fault *why)
{
    *n = 0;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT DISTINCT release FROM workflow WHERE name = ?1 ORDER BY version DESC");
    store_bind_text(s, 1, name);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < room) {
        (void)text_copy(out[(*n)++], TEXT_SHA256_HEX_SIZE, store_col_text(s, 0));
    }
    for (size_t i = 0; i < workflow_shipped_count && *n < room; i++) {
        const struct workflow_shipped *w = &workflow_shipped[i];
        if (strcmp(w->name, name) == 0) {
            uint8_t hash[32];
            text_sha256(w->yaml, w->len, hash);
            text_hex(hash, sizeof(hash), out[(*n)++]);
        }
    }
    return f;
}
