/* SPDX-License-Identifier: Apache-2.0 */
/* Heads and evidence in the store: written together by learning, read when a form becomes
   active. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/log/log.h"

void heads_give_labels(const struct learn_head *head, struct ladder_field *field)
{
    if (!field->labels_learned) {
        return;
    }
    size_t n = learn_head_labels(head);
    const char **names = mem_alloc_array(n, sizeof(*names));
    for (size_t k = 0; k < n; k++) {
        names[k] = learn_head_label(head, k);
    }
    ladder_labels_set(field, names, n);
    mem_free(names);
}

#define LANGUAGE_SURE 0.5 /* a guess below this is no language */

const char *heads_language(struct arena *arena, const char *text)
{
    struct check_language l = check_language(text, strlen(text));
    return l.reliable >= LANGUAGE_SURE ? arena_dup_str(arena, l.code) : "und";
}

void heads_check_language(struct task *t, size_t field, struct ladder_proposal *p)
{
    const struct learn_head *head = t->heads != NULL ? t->heads->head[field] : NULL;
    if (head == NULL || learn_head_languages(head) == 0 || p->checks_len == LADDER_MAX_CHECKS) {
        return;
    }
    if (t->lang_learned == NULL) {
        t->lang_learned = heads_language(t->arena, t->input);
    }
    const struct learn_language *l = learn_head_language(head, t->lang_learned);
    if (learn_language_holds(l)) {
        return;
    }
    const char *note =
        l != NULL && l->n >= LEARN_LANGUAGE_EVIDENCE
            ? arena_printf(t->arena, "in %s, %u of %u examples were right: fewer than it claimed",
                           t->lang_learned, l->correct, l->n)
            : arena_printf(t->arena, "learned from %u examples in %s: %d are needed",
                           l != NULL ? l->n : 0, t->lang_learned, LEARN_LANGUAGE_EVIDENCE);
    p->checks[p->checks_len++] = (struct ladder_check){"language_evidence", false, note};
}

static enum fail load_heads(struct task_desk *desk, struct entry *e, struct buf *bytes,
                            struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(desk->reader, "SELECT field, release FROM head WHERE workflow = ?1");
    store_bind_text(s, 1, e->form->name);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        int i = ladder_field_find(e->form, store_col_text(s, 0));
        if (i < 0) {
            continue; /* the definition no longer has this field */
        }
        f = head_bytes_get(desk->reader, e->form->name, e->form->fields[i].name, bytes, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (e->heads == NULL) {
            e->heads = mem_alloc(sizeof(*e->heads));
            e->heads->refs = 1;
        }
        bool found = ladder_type_is_found(e->form->fields[i].type);
        if (found != extract_is_head(bytes->data, bytes->len)) {
            continue; /* the definition made another kind of field of it */
        }
        f = found ? extract_load(bytes->data, bytes->len, &e->heads->found[i], why)
                  : learn_load(bytes->data, bytes->len, &e->heads->head[i], why);
        if (f == FAIL_BAD_REQUEST) {
            fail_hint(why, "Learn again: until then people decide this field.");
            log_fault(LOG_LEVEL_ERROR, "heads.unreadable", why);
            continue; /* of another version, or changed: nothing is learned then */
        }
        if (f != FAIL_NONE) {
            return f;
        }
        text_copy(e->heads->release[i], sizeof(e->heads->release[i]), store_col_text(s, 1));
        if (found) {
            continue;
        }
        heads_give_labels(e->heads->head[i], &e->form->fields[i]);
    }
    return f;
}

/* Evidence is of what was measured, as heads_releases wrote it: a model under one definition, or a
   head on one model's vectors for one target. What no longer holds proves nothing. */
static void hold_against(struct entry *e, size_t i, enum ladder_rung rung, const char *releases)
{
    struct ladder_evidence *evidence = &e->form->evidence[i][rung];
    char first[65] = "", second[65] = "";
    double target = e->form->fields[i].target_error;
    int n = sscanf(releases, "%64s %64s %lf", first, second, &target);
    if (rung != LADDER_LEARNED) {
        text_copy(e->measured[rung], sizeof(e->measured[rung]), first);
        if (n >= 2 && strcmp(second, e->form->release) != 0) {
            *evidence = (struct ladder_evidence){.threshold = LADDER_UNCERTIFIED};
        }
        return;
    }
    if (n >= 2 && strcmp(second, "-") != 0 && e->heads != NULL) {
        text_copy(e->heads->embed[i], sizeof(e->heads->embed[i]), second);
    }
    if (fabs(target - e->form->fields[i].target_error) > 1e-6) {
        evidence->threshold = LADDER_UNCERTIFIED; /* certified for another share of errors */
        evidence->coverage = 0;
    }
}

const char *heads_releases(struct arena *arena, enum ladder_rung rung, const char *release,
                           const char *embed, const struct ladder_form *form, size_t field)
{
    if (rung != LADDER_LEARNED) {
        return arena_printf(arena, "%s %s", release, form->release);
    }
    return arena_printf(arena, "%s %s %.6f", release, embed[0] != '\0' ? embed : "-",
                        form->fields[field].target_error);
}

static enum fail load_evidence(struct task_desk *desk, struct entry *e, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        desk->reader,
        "SELECT field, rung, releases, n, accuracy, threshold, coverage, slope, "
        "intercept, class, by_margin, by_agree, certificate FROM evidence WHERE workflow = ?1");
    store_bind_text(s, 1, e->form->name);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        int i = ladder_field_find(e->form, store_col_text(s, 0));
        enum ladder_rung rung = ladder_rung_find(store_col_text(s, 1));
        if (i < 0 || rung == LADDER_RUNG_COUNT) {
            continue;
        }
        e->form->evidence[i][rung] =
            (struct ladder_evidence){.n = (int)store_col_int(s, 3),
                                     .accuracy = store_col_real(s, 4),
                                     .threshold = store_col_real(s, 5),
                                     .coverage = store_col_real(s, 6),
                                     .slope = store_col_real(s, 7),
                                     .offset = store_col_real(s, 8),
                                     .by_margin = store_col_real(s, 10),
                                     .by_agree = store_col_real(s, 11),
                                     .class = ladder_class_find(store_col_text(s, 9))};
        if (e->form->evidence[i][rung].class == LADDER_CLASS_COUNT) {
            e->form->evidence[i][rung].class = LADDER_UNMEASURED; /* a newer version's */
        }
        (void)text_copy(e->form->evidence[i][rung].certificate,
                        sizeof(e->form->evidence[i][rung].certificate), store_col_text(s, 12));
        hold_against(e, (size_t)i, rung, store_col_text(s, 2));
    }
    return f;
}

enum fail heads_load(struct task_desk *desk, struct entry *e, struct fault *why)
{
    memset(e->measured, 0, sizeof(e->measured));
    struct buf bytes;
    buf_init(&bytes, LEARN_MAX_BLOB);
    enum fail f = load_heads(desk, e, &bytes, why);
    buf_done(&bytes);
    f = f != FAIL_NONE ? f : choice_load(desk->reader, e->form, why);
    f = f != FAIL_NONE ? f : load_evidence(desk, e, why);
    return f != FAIL_NONE ? f : licence_load(desk, e, why);
}

void heads_void_stale(struct task_desk *desk, struct entry *e)
{
    static const struct {
        enum ladder_rung rung;
        enum fleet_role role;
    } pairs[] = {{LADDER_LIGHT, FLEET_LIGHT}, {LADDER_HEAVY, FLEET_HEAVY}};
    for (size_t k = 0; k < COUNT_OF(pairs); k++) {
        struct fleet_model m;
        char *measured = e->measured[pairs[k].rung];
        fleet_model_get(desk->house.fleet, pairs[k].role, &m);
        if (measured[0] == '\0' || m.state != FLEET_READY || strcmp(measured, m.sha256) == 0) {
            continue;
        }
        struct ladder_form *form = ladder_form_dup(e->form);
        for (size_t i = 0; i < form->fields_len; i++) {
            form->evidence[i][pairs[k].rung] =
                (struct ladder_evidence){.threshold = LADDER_UNCERTIFIED};
        }
        form->skip = 0; /* so is the choice it was part of */
        mem_free(form->choice);
        form->choice = NULL;
        ladder_form_unref(e->form);
        e->form = form;
        measured[0] = '\0';
    }
}

static enum fail store_head(struct store_tx *tx, const char *workflow, const struct head_row *h,
                            struct fault *why)
{
    struct buf bytes;
    buf_init(&bytes, LEARN_MAX_BLOB);
    enum fail f = h->found != NULL ? extract_save(h->found, &bytes, why)
                                   : learn_save(h->head, &bytes, why);
    f = f != FAIL_NONE ? f : head_bytes_put(tx, workflow, h->field, h->release, &bytes, why);
    buf_done(&bytes);
    if (f == FAIL_NONE) {
        AUTO_STMT struct store_stmt *done =
            store_query(store_tx_conn(tx),
                        "DELETE FROM head_retrain WHERE workflow = ?1 AND field = ?2");
        store_bind_text(done, 1, workflow);
        store_bind_text(done, 2, h->field);
        f = store_run(done, why);
    }
    return f;
}

static enum fail store_evidence(struct store_tx *tx, const char *workflow,
                                const struct evidence_row *r, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT OR REPLACE INTO evidence (workflow, field, rung, releases, n, accuracy, threshold, "
        "coverage, slope, intercept, from_history, created_at, class, by_margin, "
        "by_agree, certificate) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)");
    store_bind_text(s, 1, workflow);
    store_bind_text(s, 2, r->field);
    store_bind_text(s, 3, ladder_rung_name(r->rung));
    store_bind_text(s, 4, r->releases);
    store_bind_int(s, 5, r->e.n);
    store_bind_real(s, 6, r->e.accuracy);
    store_bind_real(s, 7, r->e.threshold);
    store_bind_real(s, 8, r->e.coverage);
    store_bind_real(s, 9, r->e.slope);
    store_bind_real(s, 10, r->e.offset);
    store_bind_int(s, 11, r->e.class == LADDER_HISTORY);
    store_bind_int(s, 12, clock_now_us());
    store_bind_text(s, 13, ladder_class_name(r->e.class));
    store_bind_real(s, 14, r->e.by_margin);
    store_bind_real(s, 15, r->e.by_agree);
    store_bind_text(s, 16, r->e.certificate);
    return store_run(s, why);
}

enum fail heads_store(struct store_tx *tx, const char *workflow, const struct head_row *heads,
                      size_t heads_len, const struct evidence_row *evidence, size_t evidence_len,
                      struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < heads_len; i++) {
        f = store_head(tx, workflow, &heads[i], why);
    }
    for (size_t i = 0; f == FAIL_NONE && i < evidence_len; i++) {
        f = store_evidence(tx, workflow, &evidence[i], why);
    }
    return f;
}
