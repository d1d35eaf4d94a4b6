/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a form's task takes from answers before it, and what it leaves for those after it.
 *
 * Offers: the same request (exact), a repeated document (templates), a request that says the same
 * (where the workflow asks for it). Every offered field says what it is reused from. In the task's
 * own write stand its hits, its row for the next same request, and, if it is a document, its
 * example; templates are learned from the examples on a crunch thread, at most one job a stream at
 * once.
 * Owns: the desk's list of streams. Threads: core; learning on crunch, storing on the store's.
 * Limits: TASK_STREAMS streams with a job at once; a stream whose documents teach nothing is asked
 * again after twice as many, at most SLACK_MAX.
 */
#include <stdio.h>
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"

#define SLACK_MAX 32

/* team/dataset/label, one digest: rows of one never meet a request of another. */
static void domain_make(const struct principal *who, const struct ladder_form *form,
                        enum secrecy label, char out[TASK_DOMAIN_SIZE])
{
    char room[TASK_DOMAIN_SIZE];
    desk_domain(who, form->dataset, room, sizeof(room));
    const char *parts[] = {room, secrecy_name(label)};
    struct reuse_key key;
    reuse_key_make(parts, COUNT_OF(parts), &key);
    text_hex(key.bytes, sizeof(key.bytes), out);
}

/* Was this domain made of the team, that dataset and any label? */
static bool is_of_dataset(void *arg, const char *team, const char *domain)
{
    struct principal who = {0};
    struct ladder_form form = {.dataset = arg};
    char made[TASK_DOMAIN_SIZE];
    (void)text_copy(who.team, sizeof(who.team), team);
    for (int l = 0; l < SECRECY_COUNT; l++) {
        domain_make(&who, &form, (enum secrecy)l, made);
        if (strcmp(made, domain) == 0) {
            return true;
        }
    }
    return false;
}

enum fail reused_forget(struct store_tx *tx, const char *dataset, struct fault *why)
{
    char name[TASK_DOMAIN_SIZE];
    (void)text_copy(name, sizeof(name), dataset);
    return reuse_forget(tx, is_of_dataset, name, why);
}

static void domain_of(const struct task *t, char out[TASK_DOMAIN_SIZE])
{
    domain_make(&t->who, t->form, t->label, out);
}

/* ---- taking ---- */

static void offer(struct task *t, const char *name, struct ladder_proposal *p)
{
    int i = ladder_field_find(t->form, name);
    const struct ladder_field *f = i >= 0 ? &t->form->fields[i] : NULL;
    if (f == NULL || (f->type == LADDER_CHOICE && !f->labels_learned &&
                      ladder_label_find(f, p->value) < 0)) {
        return; /* the definition no longer has it */
    }
    if (!found_still_stands(t, (size_t)i, p)) {
        return;
    }
    p->rung = LADDER_REUSE;
    ladder_offer(&t->climb, (size_t)i, p);
}

void reused_entry(struct task *t, const struct reuse_entry *entry, enum reuse_how how,
                  double similarity)
{
    char from[TEXT_ID_SIZE];
    const char *source = arena_dup_str(t->arena, text_id_show(&entry->task, "tsk", from));
    for (size_t i = 0; i < entry->n; i++) {
        struct ladder_proposal p = {.value = entry->values[i], .raw = similarity,
                                    .confidence = reuse_confidence(how, 0), .reused_from = source,
                                    .reused_how = reuse_how_name(how)};
        offer(t, entry->names[i], &p);
    }
    t->reused_exact = how == REUSE_EXACT;
}

static const char *document_note(struct task *t, const struct reuse_match *m, const char *from)
{
    if (m->fit == REUSE_FIT_CHANGED) {
        return arena_dup_str(t->arena, m->note);
    }
    return arena_printf(t->arena, "%zu field%s read as in %s%s%s", m->n, m->n == 1 ? "" : "s", from,
                        m->note[0] != '\0' ? "; " : "", m->note);
}

const char *reused_document(struct task *t, bool *any)
{
    char domain[TASK_DOMAIN_SIZE], shown[TEXT_ID_SIZE];
    struct reuse_match *m = arena_alloc(t->arena, sizeof(*m));
    struct fault why;
    struct id from;
    *any = false;
    if (!t->form->reuse_documents || !reuse_is_document(t->input, t->input_len)) {
        return NULL;
    }
    domain_of(t, domain);
    struct reuse_scope scope = {domain, t->form->name, t->form->release};
    if (reuse_stream_match(t->desk->reader, &scope, t->input, t->input_len, t->arena, m, &from,
                           &why) != FAIL_NONE) {
        return arena_dup_str(t->arena, why.message);
    }
    t->document = true;
    if (m->fit == REUSE_FIT_NONE) {
        return NULL;
    }
    const char *source = arena_dup_str(t->arena, text_id_show(&from, "tpl", shown));
    for (size_t i = 0; i < m->n; i++) {
        const struct reuse_fill *f = &m->fills[i];
        struct ladder_proposal p = {.value = f->value, .raw = 1, .reused_from = source,
                                    .confidence = reuse_confidence(REUSE_TEMPLATE, f->confirmed),
                                    .reused_how = reuse_how_name(REUSE_TEMPLATE),
                                    .at = (int)f->at, .len = (int)f->len, .checks_len = 1};
        p.checks[0] = (struct ladder_check){
            "span", true, arena_printf(t->arena, "line %zu, %s", f->line,
                                       reuse_transform_name(f->transform))};
        offer(t, f->name, &p);
    }
    *any = m->n > 0;
    return document_note(t, m, source);
}

const char *reused_alike(struct task *t, bool *any)
{
    char domain[TASK_DOMAIN_SIZE];
    struct reuse_entry entry;
    struct fault why;
    double cosine = 0;
    enum reuse_verdict near = REUSE_SAME;
    *any = false;
    domain_of(t, domain);
    struct reuse_scope scope = {domain, t->form->name, t->reuse_release};
    if (reuse_semantic_find(t->desk->reader, t->desk->house.audit, &scope, t->embedding, t->dim,
                            t->input, t->input_len, t->arena, &entry, &cosine, any, &near,
                            &why) != FAIL_NONE) {
        return arena_dup_str(t->arena, why.message);
    }
    if (!*any) {
        return near == REUSE_SAME
                   ? NULL
                   : arena_printf(t->arena, "a request is near, but not the same: %s",
                                  reuse_verdict_name(near));
    }
    char from[TEXT_ID_SIZE];
    reused_entry(t, &entry, REUSE_SEMANTIC, cosine);
    return arena_printf(t->arena, "says the same as %s (cosine %.3f)",
                        text_id_show(&entry.task, "tsk", from), cosine);
}

/* ---- leaving ---- */

static enum fail put_hits(struct store_tx *tx, const struct task *t,
                          const struct reuse_owner *owner, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < t->form->fields_len && f == FAIL_NONE; i++) {
        const struct ladder_proposal *p = &t->climb.held[i];
        struct reuse_hit hit = {.task = t->id,
                                .field = t->reused_exact ? "" : t->form->fields[i].name,
                                .how = REUSE_TEMPLATE,
                                .similarity = p->raw};
        if (!p->set || p->reused_from == NULL) {
            continue;
        }
        if (text_id_read(p->reused_from, "tsk", &hit.source)) {
            hit.how = t->reused_exact ? REUSE_EXACT : REUSE_SEMANTIC;
        } else if (!text_id_read(p->reused_from, "tpl", &hit.source)) {
            continue;
        }
        f = reuse_hit_put(tx, &hit, owner, why);
        if (t->reused_exact) {
            return f != FAIL_NONE ? f : reuse_use(tx, &t->key, why);
        }
    }
    return f;
}

static void held_fields(const struct task *t, bool closed_only, struct reuse_entry *e)
{
    for (size_t i = 0; i < t->form->fields_len && e->n < REUSE_MAX_FIELDS; i++) {
        const struct ladder_proposal *p = &t->climb.held[i];
        enum ladder_type type = t->form->fields[i].type;
        bool own = p->rung != LADDER_REUSE && p->closed && type != LADDER_LINE &&
                   type != LADDER_LANGUAGE && type != LADDER_DRAFT;
        if (p->set && (!closed_only || own)) {
            e->names[e->n] = t->form->fields[i].name;
            e->values[e->n++] = p->value;
        }
    }
}

/* A document teaches what it had to be asked for: some field that was not read from a template. */
static bool teaches(const struct task *t)
{
    bool any = false;
    for (size_t i = 0; i < t->form->fields_len; i++) {
        enum ladder_type type = t->form->fields[i].type;
        bool reads = type == LADDER_CHOICE || ladder_type_is_found(type);
        any = any || (reads && t->climb.held[i].reused_from == NULL);
    }
    return any && t->document && !t->no_artifact && !t->reused_exact;
}

enum fail reused_record(struct store_tx *tx, struct task *t, struct fault *why)
{
    struct reuse_owner owner = {t->who.team, t->who.name};
    struct reuse_entry e = {.task = t->id, .draft = t->draft_json != NULL ? t->draft_json : ""};
    struct reuse_entry example = {.task = t->id, .draft = ""};
    char domain[TASK_DOMAIN_SIZE];
    enum fail f = put_hits(tx, t, &owner, why);
    if (f != FAIL_NONE || !t->has_key) {
        return f;
    }
    domain_of(t, domain);
    held_fields(t, false, &e);
    /* What waits for a person is reused once it is decided. */
    bool waits = t->state == TASK_WAITING_PERSON && !t->no_artifact;
    if (waits) {
        e.waits = true;
        e.draft = "";
    }
    if ((t->state == TASK_DONE || waits) && !t->reused_exact) {
        f = reuse_put(tx, &t->key, domain, &owner, &e, why);
        if (f == FAIL_NONE && t->form->reuse_semantic && t->embedding != NULL) {
            struct reuse_scope scope = {domain, t->form->name, t->reuse_release};
            f = reuse_semantic_put(tx, &scope, &owner, t->embedding, t->dim, &e, why);
        }
    }
    if (f == FAIL_NONE && teaches(t)) {
        struct reuse_scope scope = {domain, t->form->name, t->form->release};
        held_fields(t, true, &example);
        f = reuse_example_put(tx, &scope, &owner, &example, why);
    }
    return f;
}

/* ---- learning ---- */

struct reuse_job {
    struct task_desk *desk;
    struct reuse_stream *stream;
    char domain[TASK_DOMAIN_SIZE], workflow[64], release[65];
    struct reuse_learned learned;
    size_t stored;
    enum fail code;
    struct fault why;
};

static struct reuse_stream *stream_of(struct task_desk *d, const char *domain, const char *workflow,
                                      const char *release)
{
    const char *parts[] = {domain, workflow, release};
    struct reuse_key key;
    struct reuse_stream *oldest = NULL;
    reuse_key_make(parts, COUNT_OF(parts), &key);
    for (size_t i = 0; i < TASK_STREAMS; i++) {
        struct reuse_stream *s = &d->streams[i];
        if (s->slack > 0 && memcmp(&s->key, &key, sizeof(key)) == 0) {
            return s;
        }
        if (!s->running && (oldest == NULL || s->used < oldest->used)) {
            oldest = s;
        }
    }
    if (oldest != NULL) {
        *oldest = (struct reuse_stream){.key = key, .slack = 1};
    }
    return oldest;
}

static void job_done(struct reuse_job *j)
{
    struct task_desk *d = j->desk;
    struct reuse_stream *s = j->stream;
    if (j->code != FAIL_NONE && j->code != FAIL_STOPPED) {
        log_fault(LOG_LEVEL_WARN, "reuse.not_learned", &j->why);
    }
    s->slack = j->stored > 0 ? 1 : s->slack * 2;
    s->slack = s->slack > SLACK_MAX ? SLACK_MAX : s->slack;
    s->running = false;
    d->reuse_jobs--;
    reuse_learned_done(&j->learned);
    mem_free(j);
    desk_drained(d);
}

static void on_stored(void *arg, enum fail code, const struct fault *why)
{
    struct reuse_job *j = arg;
    j->code = code;
    if (code != FAIL_NONE) {
        j->why = *why;
    }
    job_done(j);
}

static enum fail store_work(struct store_tx *tx, void *arg, struct fault *why)
{
    struct reuse_job *j = arg;
    struct reuse_scope scope = {j->domain, j->workflow, j->release};
    return reuse_stream_put(tx, &scope, &j->learned, &j->stored, why);
}

static void learn_work(void *arg)
{
    struct reuse_job *j = arg;
    struct store_conn *conn = NULL;
    struct reuse_scope scope = {j->domain, j->workflow, j->release};
    j->code = store_reader_open(j->desk->house.store, &conn, &j->why);
    if (j->code == FAIL_NONE) {
        j->code =
            reuse_stream_learn(conn, j->desk->house.audit, &scope, &j->learned, &j->why);
        store_reader_close(conn);
    }
}

static void learn_done(void *arg)
{
    struct reuse_job *j = arg;
    if (j->code != FAIL_NONE || j->learned.n == 0) {
        job_done(j);
        return;
    }
    j->code = store_write(j->desk->house.store, store_work, j, on_stored, j->desk->house.loop,
                          &j->why);
    if (j->code != FAIL_NONE) {
        job_done(j);
    }
}

static void learn_soon(struct task_desk *d, const char *domain, const char *workflow,
                       const char *release)
{
    struct reuse_stream *s = stream_of(d, domain, workflow, release);
    if (s == NULL) {
        return; /* all busy: the next document asks again */
    }
    s->fresh++;
    s->used = clock_monotonic_us();
    if (s->running || s->fresh < s->slack || d->draining) {
        return;
    }
    struct reuse_job *j = mem_alloc(sizeof(*j));
    j->desk = d;
    j->stream = s;
    (void)text_copy(j->domain, sizeof(j->domain), domain);
    (void)text_copy(j->workflow, sizeof(j->workflow), workflow);
    (void)text_copy(j->release, sizeof(j->release), release);
    s->fresh = 0;
    s->running = true;
    d->reuse_jobs++;
    if (pool_submit(d->house.crunch, learn_work, j, d->house.loop, learn_done, &j->why) !=
        FAIL_NONE) {
        job_done(j);
    }
}

void reused_recorded(struct task *t)
{
    char domain[TASK_DOMAIN_SIZE];
    if (t->has_key && teaches(t)) {
        domain_of(t, domain);
        learn_soon(t->desk, domain, t->form->name, t->form->release);
    }
}

struct decided {
    struct task_desk *desk;
    struct principal who;
    char workflow[64];
};

static void decided_now(void *arg)
{
    struct decided *x = arg;
    const struct entry *e = desk_entry_find(x->desk, x->workflow);
    if (e != NULL && e->form->reuse_documents) {
        char domain[TASK_DOMAIN_SIZE];
        /* Of another label: its next document teaches the stream. */
        domain_make(&x->who, e->form, e->form->label, domain);
        learn_soon(x->desk, domain, e->form->name, e->form->release);
    }
    mem_free(x);
}

void task_decided(struct task_desk *desk, const char *team, const char *workflow)
{
    struct decided *x = mem_alloc(sizeof(*x));
    x->desk = desk;
    (void)text_copy(x->who.team, sizeof(x->who.team), team);
    (void)text_copy(x->workflow, sizeof(x->workflow), workflow);
    loop_post(desk->house.loop, decided_now, x);
}
