/* SPDX-License-Identifier: Apache-2.0 */
/* Making a job: everything is checked, then inputs, definition, row and record are one write. */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "work/job/job_internal.h"

struct making {
    struct jobs *jobs;
    const struct job_new *n;
    struct program_definition *definition; /* PROGRAM */
    const char *release;                   /* of the form otherwise */
    const struct id *replay_of;            /* NULL: a new one */
    int64_t now_at;                        /* 0: now */
    int64_t items;
    struct id id;
};

/* ---- what is written ---- */

static char *limits_text(const struct keyring_limits *l)
{
    struct buf b;
    buf_init(&b, 2048);
    for (int i = 0; i < KEYRING_LIMIT_COUNT; i++) {
        (void)buf_printf(&b, "%s%s", i > 0 ? "\n" : "", l->names[i]);
    }
    return buf_take(&b);
}

static char *params_text(const struct job_new *n)
{
    struct buf b;
    buf_init(&b, 64 * 1024);
    for (size_t i = 0; i < n->params_len; i++) {
        (void)buf_printf(&b, "%s=%s\x1f", n->params[i].name, n->params[i].value);
    }
    return buf_take(&b);
}

static enum fail put_row(struct store_tx *tx, const struct making *m, struct fault *why)
{
    const struct job_new *n = m->n;
    const struct principal *p = n->who;
    int64_t now = clock_now_us();
    AUTO_FREE char *limits = limits_text(&p->limits);
    AUTO_FREE char *params = params_text(n);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO job (id, kind, workflow, release, state, before, team, actor, who_kind, "
        "who_id, who_user, who_key, who_label, who_role, who_scopes, who_given, who_limits, label, "
        "format, params, rungs, no_draft, no_artifact, title, closed, created_at, now_at, "
        "updated_at, started_at, ended_at, deadline_s, due_at, not_before, attempts, lease, "
        "lease_until, lease_by, share, stage, note, code, message, hint, artifact, replay_of, "
        "items, items_done, items_failed) VALUES (?1, ?2, ?3, ?4, 'queued', '', ?5, ?6, ?7, ?8, "
        "?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?24, "
        "0, 0, ?26, 0, 0, 0, 0, 0, NULL, 0, '', '', '', '', '', NULL, ?27, ?28, 0, 0)");
    store_bind_id(s, 1, &m->id);
    store_bind_text(s, 2, job_kind_name(n->kind));
    store_bind_text(s, 3, n->workflow);
    store_bind_text(s, 4, m->release);
    store_bind_text(s, 5, p->team);
    store_bind_text(s, 6, p->name);
    store_bind_int(s, 7, p->kind);
    store_bind_id(s, 8, &p->id);
    store_bind_id(s, 9, &p->user);
    store_bind_text(s, 10, p->key);
    store_bind_int(s, 11, p->label);
    store_bind_int(s, 12, p->role);
    store_bind_int(s, 13, p->scopes);
    store_bind_int(s, 14, p->limits.given);
    store_bind_text(s, 15, limits);
    store_bind_int(s, 16, n->label);
    store_bind_text(s, 17, n->format != NULL ? n->format : "");
    store_bind_text(s, 18, params);
    store_bind_int(s, 19, n->rungs);
    store_bind_int(s, 20, n->no_draft);
    store_bind_int(s, 21, n->no_artifact);
    store_bind_text(s, 22, n->title != NULL ? n->title : "");
    store_bind_int(s, 23, n->kind != JOB_STREAM);
    store_bind_int(s, 24, now);
    store_bind_int(s, 25, m->now_at != 0 ? m->now_at : now);
    store_bind_int(s, 26, n->deadline_s);
    store_bind_id(s, 27, m->replay_of);
    store_bind_int(s, 28, m->items);
    return store_run(s, why);
}

static enum fail put_definition(struct store_tx *tx, const struct making *m, struct fault *why)
{
    if (m->definition == NULL) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT OR IGNORE INTO job_definition (release, name, yaml) VALUES (?1, ?2, ?3)");
    store_bind_text(s, 1, m->definition->release);
    store_bind_text(s, 2, m->definition->name);
    store_bind_text(s, 3, m->definition->source_yaml);
    return store_run(s, why);
}

static enum fail check_room(struct store_tx *tx, const struct making *m, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "SELECT count(*) FROM job WHERE team = ?1 AND ended_at = 0");
    bool row = false;
    store_bind_text(s, 1, m->n->who->team);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && store_col_int(s, 0) >= JOB_WAITING_MAX) {
        FAULT(why, FAIL_QUEUE_FULL, "the team has %d jobs that are not over", JOB_WAITING_MAX);
        fail_retry_after(why, 60);
        return fail_hint(why, "Wait for some of them, or cancel some.");
    }
    return f;
}

static enum fail put_inputs(struct store_tx *tx, const struct making *m, struct fault *why)
{
    enum fail f = FAIL_NONE;
    const struct principal *p = m->n->who;
    for (size_t i = 0; f == FAIL_NONE && i < m->n->inputs_len; i++) {
        const struct program_input *in = &m->n->inputs[i];
        struct job_put_file file = {.side = JOB_INPUT,
                                    .place = (int64_t)i,
                                    .role = in->role,
                                    .name = in->name,
                                    .type = in->type,
                                    .bytes = in->bytes,
                                    .len = in->len};
        f = job_file_put(tx, m->jobs, &m->id, p->team, p->name, &file, why);
    }
    return f;
}

/* A replay's inputs are the first one's very pieces. */
static enum fail share_inputs(struct store_tx *tx, const struct making *m, struct fault *why)
{
    static const char *const statements[] = {
        "INSERT INTO job_file (job, side, place, role, name, type, bytes, sha256, main) SELECT ?1, "
        "side, place, role, name, type, bytes, sha256, main FROM job_file WHERE job = ?2 AND "
        "side = 0",
        "INSERT INTO job_piece (job, side, place, piece, content) SELECT ?1, side, place, piece, "
        "content FROM job_piece WHERE job = ?2 AND side = 0",
        "INSERT INTO job_item (job, item, place, at, len, name, state, tries, task, artifact, "
        "code, message, ms, tokens, cost) SELECT ?1, item, place, at, len, name, 'queued', 0, "
        "NULL, NULL, '', '', 0, 0, 0 FROM job_item WHERE job = ?2"};
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(statements); i++) {
        AUTO_STMT struct store_stmt *s = store_query(store_tx_conn(tx), statements[i]);
        store_bind_id(s, 1, &m->id);
        store_bind_id(s, 2, m->replay_of);
        f = store_run(s, why);
    }
    return f;
}

static enum fail make_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct making *m = arg;
    const struct job_new *n = m->n;
    enum fail f = check_room(tx, m, why);
    f = f != FAIL_NONE ? f : put_definition(tx, m, why);
    f = f != FAIL_NONE ? f : put_row(tx, m, why);
    if (f == FAIL_NONE && m->replay_of != NULL) {
        f = share_inputs(tx, m, why);
    } else if (f == FAIL_NONE) {
        f = put_inputs(tx, m, why);
        if (f == FAIL_NONE && n->kind == JOB_BATCH) {
            f = job_items_put(tx, &m->id, 0, 0, n->inputs[0].bytes, n->inputs[0].len, why);
        }
    }
    return f != FAIL_NONE ? f
                          : job_record(tx, m->jobs, AUDIT_KIND_JOB_ACCEPTED, &m->id, n->who,
                                       m->release, job_kind_name(n->kind), NULL, NULL, why);
}

/* ---- what is checked ---- */

static enum fail check_texts(const struct job_new *n, struct fault *why)
{
    size_t params = 0;
    for (size_t i = 0; i < n->params_len; i++) {
        const struct program_var *v = &n->params[i];
        if (strpbrk(v->name, "=\x1f") != NULL || strchr(v->value, '\x1f') != NULL ||
            strlen(v->value) > 4000) {
            FAULT(why, FAIL_BAD_REQUEST, "the parameter \"%.40s\" is over 4000 bytes or holds a "
                  "control character", v->name);
            return fail_param(why, "params");
        }
        params += strlen(v->name) + strlen(v->value) + 2;
    }
    for (size_t i = 0; i < n->inputs_len; i++) {
        const char *name = n->inputs[i].name;
        if (strlen(name) > 255 || strchr(name, '/') != NULL ||
            !text_utf8_is_valid(name, strlen(name)) || strlen(n->inputs[i].type) > 127) {
            FAULT(why, FAIL_BAD_REQUEST, "input %zu has a name over 255 bytes or with a slash",
                  i + 1);
            return fail_param(why, "inputs");
        }
    }
    return params > 60000 ? FAULT(why, FAIL_TOO_LARGE, "the parameters have over 60000 bytes")
                          : FAIL_NONE;
}

static enum fail check_program(struct jobs *j, struct job_new *n, struct making *m,
                               struct fault *why)
{
    if (m->definition == NULL) {
        m->definition = jobs_find_definition(j, n->workflow);
    }
    if (m->definition == NULL) {
        return FAULT(why, FAIL_NOT_FOUND, "there is no such workflow");
    }
    struct program_start start = {.definition = m->definition,
                                  .who = n->who,
                                  .inputs = n->inputs,
                                  .inputs_len = n->inputs_len,
                                  .params = n->params,
                                  .params_len = n->params_len,
                                  .format = n->format};
    m->release = m->definition->release;
    n->label = n->label > m->definition->label ? n->label : m->definition->label;
    if (n->deadline_s == 0) {
        n->deadline_s = m->definition->deadline_s;
    }
    return m->replay_of != NULL ? FAIL_NONE : program_start_check(&start, why);
}

static enum fail check_items(struct job_new *n, struct making *m, struct fault *why)
{
    if (n->deadline_s == 0) {
        n->deadline_s = JOB_DEADLINE_BATCH_S;
    }
    m->release = "";
    if (m->replay_of != NULL) {
        return FAIL_NONE;
    }
    if (n->inputs_len != (n->kind == JOB_BATCH ? 1U : 0U) || n->params_len > 0 ||
        (n->format != NULL && n->format[0] != '\0')) {
        FAULT(why, FAIL_BAD_REQUEST, "a %s takes %s", job_kind_name(n->kind),
              n->kind == JOB_BATCH ? "one input of items, and no parameters or format"
                                   : "no inputs, parameters or format: items are added to it");
        return fail_param(why, "inputs");
    }
    if (n->kind == JOB_BATCH && n->inputs[0].len > PROGRAM_INPUT_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "the items have over %zu MiB",
                     PROGRAM_INPUT_BYTES >> 20);
    }
    return n->kind == JOB_BATCH
               ? job_items_check(n->inputs[0].bytes, n->inputs[0].len, &m->items, why)
               : FAIL_NONE;
}

static enum fail make(struct jobs *j, struct job_new *n, struct making *m, struct id *id,
                      struct fault *why)
{
    m->jobs = j;
    m->n = n;
    m->id = text_id_new();
    enum fail f = check_texts(n, why);
    if (f == FAIL_NONE) {
        f = n->kind == JOB_PROGRAM ? check_program(j, n, m, why) : check_items(n, m, why);
    }
    if (f == FAIL_NONE) {
        f = store_write_wait(j->house.store, make_write, m, why);
    }
    if (f == FAIL_NONE) {
        *id = m->id;
        job_wake(j);
    }
    program_definition_unref(m->definition);
    return f;
}

enum fail jobs_new(struct jobs *j, const struct job_new *n, struct id *id, struct fault *why)
{
    struct job_new copy = *n;
    struct making m = {0};
    return make(j, &copy, &m, id, why);
}

/* ---- more items ---- */

struct adding {
    struct jobs *jobs;
    const struct id *id;
    const struct principal *who;
    const char *lines;
    size_t len;
    int64_t more, items;
};

static enum fail add_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct adding *a = arg;
    struct store_conn *c = store_tx_conn(tx);
    int64_t place = 0;
    bool row = false;
    enum fail f;
    char team[KEYRING_NAME_SIZE], actor[KEYRING_NAME_SIZE];
    {
        AUTO_STMT struct store_stmt *s = store_query(
            c, "SELECT team, actor, items, kind = 'stream' AND closed = 0 AND ended_at = 0, "
               "(SELECT count(*) FROM job_file WHERE job = ?1 AND side = 0) FROM job "
               "WHERE id = ?1");
        store_bind_id(s, 1, a->id);
        f = store_step(s, &row, why);
        if (f == FAIL_NONE && (!row || !policy_sees(a->who, store_col_text(s, 0)))) {
            return FAULT(why, FAIL_NOT_FOUND, "there is no such job");
        }
        if (f == FAIL_NONE && store_col_int(s, 3) == 0) {
            FAULT(why, FAIL_CONFLICT, "this job takes no items, or was closed or is over");
            return fail_hint(why, "Items are added to a stream that is open.");
        }
        if (f != FAIL_NONE) {
            return f;
        }
        (void)text_copy(team, sizeof(team), store_col_text(s, 0));
        (void)text_copy(actor, sizeof(actor), store_col_text(s, 1));
        a->items = store_col_int(s, 2);
        place = store_col_int(s, 4);
    }
    if (a->items + a->more > JOB_ITEMS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a job takes at most %d items", JOB_ITEMS_MAX);
    }
    struct job_put_file file = {.side = JOB_INPUT, .place = place, .role = "items",
                                .name = "", .type = "application/jsonl", .bytes = a->lines,
                                .len = a->len};
    f = job_file_put(tx, a->jobs, a->id, team, actor, &file, why);
    if (f == FAIL_NONE) {
        f = job_items_put(tx, a->id, place, a->items, a->lines, a->len, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    a->items += a->more;
    AUTO_STMT struct store_stmt *u =
        store_query(c, "UPDATE job SET items = ?2, updated_at = ?3 WHERE id = ?1");
    store_bind_id(u, 1, a->id);
    store_bind_int(u, 2, a->items);
    store_bind_int(u, 3, clock_now_us());
    return store_run(u, why);
}

enum fail jobs_add(struct jobs *j, const struct id *id, const struct principal *who,
                   const char *lines, size_t len, int64_t *items, struct fault *why)
{
    struct adding a = {j, id, who, lines, len, 0, 0};
    enum fail f = job_items_check(lines, len, &a.more, why);
    if (f == FAIL_NONE) {
        f = store_write_wait(j->house.store, add_write, &a, why);
    }
    if (f == FAIL_NONE) {
        *items = a.items;
        job_wake(j);
    }
    return f;
}

/* ---- again ---- */

static enum fail read_again(struct store_conn *c, const struct id *id, const struct principal *who,
                            struct job_row *row, struct arena *arena, struct fault *why)
{
    enum fail f = jobs_get(c, arena, id, who, row, why);
    if (f == FAIL_NONE && !job_state_is_over(row->state)) {
        FAULT(why, FAIL_CONFLICT, "a job that is %s is not replayed", job_state_name(row->state));
        return fail_hint(why, "Wait for its end, or cancel it.");
    }
    return f;
}

static enum fail read_params(struct store_conn *c, const struct id *id, struct arena *arena,
                             struct job_new *n, int64_t *now_at, int64_t *items,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT params, rungs, no_draft, no_artifact, now_at, items FROM job WHERE id = ?1");
    bool row = false;
    store_bind_id(s, 1, id);
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f != FAIL_NONE ? f : FAULT(why, FAIL_NOT_FOUND, "there is no such job");
    }
    struct program_var *vars = arena_alloc(arena, PROGRAM_PARAMS_MAX * sizeof(*vars));
    char *at = arena_dup_str(arena, store_col_text(s, 0));
    while (*at != '\0' && n->params_len < PROGRAM_PARAMS_MAX) {
        char *end = strchr(at, '\x1f'), *eq = strchr(at, '=');
        if (end == NULL || eq == NULL || eq > end) {
            break;
        }
        *end = *eq = '\0';
        vars[n->params_len++] = (struct program_var){at, eq + 1};
        at = end + 1;
    }
    n->params = vars;
    n->rungs = (unsigned)store_col_int(s, 1);
    n->no_draft = store_col_int(s, 2) != 0;
    n->no_artifact = store_col_int(s, 3) != 0;
    *now_at = store_col_int(s, 4);
    *items = store_col_int(s, 5);
    return FAIL_NONE;
}

/* Are its inputs still there? */
static enum fail check_inputs(struct jobs *j, struct store_conn *c, const struct id *id,
                              struct fault *why)
{
    struct job_inputs in;
    enum fail f = job_inputs_get(j->house.audit, c, id, &in, why);
    if (f == FAIL_NONE) {
        job_inputs_done(&in);
    }
    return f;
}

enum fail jobs_replay(struct jobs *j, const struct id *id, const struct principal *who,
                      struct id *made, struct fault *why)
{
    struct store_conn *c = NULL;
    struct job_row row;
    struct job_new n = {.who = who};
    struct making m = {.replay_of = id};
    enum fail f = store_reader_open(j->house.store, &c, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct arena *arena = arena_new((size_t)16 << 20);
    f = read_again(c, id, who, &row, arena, why);
    f = f != FAIL_NONE ? f : read_params(c, id, arena, &n, &m.now_at, &m.items, why);
    f = f != FAIL_NONE ? f : check_inputs(j, c, id, why);
    if (f == FAIL_NONE) {
        /* A stream replayed has all its items: a batch. */
        n.kind = row.kind == JOB_PROGRAM ? JOB_PROGRAM : JOB_BATCH;
        n.workflow = row.workflow;
        n.label = row.label;
        n.title = row.title;
        n.format = row.format;
        n.deadline_s = row.deadline_s;
        if (n.kind == JOB_PROGRAM) {
            m.definition = job_definition_of(j, c, row.workflow, row.release, why);
            f = m.definition == NULL ? why->code : FAIL_NONE;
        }
    }
    if (f == FAIL_NONE) {
        f = make(j, &n, &m, made, why);
    }
    arena_free(arena);
    store_reader_close(c);
    return f;
}
