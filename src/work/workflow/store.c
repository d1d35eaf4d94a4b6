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

bool workflow_is_program(const char *text, size_t len)
{
    struct config_tree *tree = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    config_faults_init(faults, "definition");
    bool is = false;
    if (len <= WORKFLOW_MAX_BYTES &&
        config_yaml_parse(text, len, "definition", &tree, faults) == FAIL_NONE) {
        is = config_node_find(config_tree_root(tree), "program") != NULL;
        config_tree_free(tree);
    }
    mem_free(faults);
    return is;
}

/* Every active definition's text: stored ones, then shipped ones that no stored one replaces. */
static enum fail each_text(struct store_conn *conn, workflow_text_fn fn, void *arg,
                           struct fault *why)
{
    bool row;
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "SELECT name, yaml FROM workflow AS w WHERE version = "
                  "(SELECT max(version) FROM workflow WHERE name = w.name) ORDER BY name");
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
            const char *yaml = store_col_text(s, 1);
            fn(arg, store_col_text(s, 0), yaml, strlen(yaml));
        }
    }
    for (size_t i = 0; f == FAIL_NONE && i < workflow_shipped_count; i++) {
        const struct workflow_shipped *w = &workflow_shipped[i];
        if (!is_stored(conn, w->name)) {
            fn(arg, w->name, w->yaml, w->len);
        }
    }
    return f;
}

struct giving {
    workflow_form_fn form;
    workflow_bad_fn bad;
    workflow_text_fn program;
    void *arg;
};

static void give(void *arg, const char *name, const char *yaml, size_t len)
{
    const struct giving *g = arg;
    struct ladder_form *form = NULL;
    struct fault why;
    if (workflow_is_program(yaml, len)) {
        if (g->program != NULL) {
            g->program(g->arg, name, yaml, len);
        }
        return;
    }
    if (g->form == NULL) {
        return;
    }
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    if (workflow_read(yaml, len, name, &form, faults, &why) == FAIL_NONE) {
        g->form(g->arg, form);
        ladder_form_unref(form);
    } else if (g->bad != NULL) {
        g->bad(g->arg, name, &why);
    }
    mem_free(faults);
}

enum fail workflow_each(struct store_conn *conn, workflow_form_fn fn, workflow_bad_fn bad,
                        void *arg, struct fault *why)
{
    struct giving g = {.form = fn, .bad = bad, .arg = arg};
    return each_text(conn, give, &g, why);
}

enum fail workflow_programs_each(struct store_conn *conn, workflow_text_fn fn, void *arg,
                                 struct fault *why)
{
    struct giving g = {.program = fn, .arg = arg};
    return each_text(conn, give, &g, why);
}

enum fail workflow_put(struct store_tx *tx, const struct ladder_form *form, const char *actor,
                       struct fault *why)
{
    return workflow_put_text(tx, form->name, form->source_yaml, form->release, actor, why);
}

enum fail workflow_put_text(struct store_tx *tx, const char *name, const char *yaml,
                            const char *release, const char *actor, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO workflow (name, version, yaml, release, actor, created_at) VALUES (?1, "
        "(SELECT coalesce(max(version), 0) + 1 FROM workflow WHERE name = ?1), ?2, ?3, ?4, ?5)");
    store_bind_text(s, 1, name);
    store_bind_text(s, 2, yaml);
    store_bind_text(s, 3, release);
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
