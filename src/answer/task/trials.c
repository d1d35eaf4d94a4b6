/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trials: labelled tasks that every measured rung answered alone, the choice of climb that follows
 * from them, and that choice in the store.
 * Owns: the table `climb_choice`. Threads: trials_choose runs on a crunch thread; the store's
 * functions on their connection's. Limits: TRIALS_MAX tasks.
 */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"

#define TRIALS_MAX 256
#define REPORT_BYTES 16384

struct trials {
    size_t n;
    size_t example[TRIALS_MAX];
    unsigned asked[TRIALS_MAX]; /* rungs, as bits */
    struct ladder_trial trial[TRIALS_MAX];
    double ms[LADDER_RUNG_COUNT]; /* a task, < 0: not measured */
};

struct trials *trials_new(void)
{
    struct trials *t = mem_alloc(sizeof(*t));
    for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
        t->ms[r] = -1;
    }
    return t;
}

void trials_free(struct trials *t)
{
    mem_free(t);
}

void trials_cost(struct trials *t, enum ladder_rung rung, double ms)
{
    t->ms[rung] = ms;
}

static size_t place_of(struct trials *t, size_t example)
{
    size_t i = 0;
    while (i < t->n && t->example[i] != example) {
        i++;
    }
    if (i == t->n && i < TRIALS_MAX) {
        t->example[t->n++] = example;
    }
    return i;
}

void trials_asked(struct trials *t, size_t example, enum ladder_rung rung)
{
    size_t i = place_of(t, example);
    if (i < TRIALS_MAX) {
        t->asked[i] |= 1u << rung;
    }
}

void trials_add(struct trials *t, size_t example, size_t field, enum ladder_rung rung,
                double confidence, bool right, double target)
{
    size_t i = place_of(t, example);
    if (i < TRIALS_MAX) {
        t->trial[i].field[field].target = target;
        t->trial[i].field[field].given[rung] = true;
        t->trial[i].field[field].confidence[rung] = confidence;
        t->trial[i].field[field].right[rung] = right;
    }
}

void trials_choose(struct trials *t, const struct task_costs *money, struct ladder_choice *out)
{
    struct ladder_costs costs = {.machine_hour = money->machine_hour,
                                 .person_task = money->person_task};
    unsigned measured = 0;
    size_t n = 0;
    for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
        costs.ms[r] = t->ms[r];
        measured |= t->ms[r] >= 0 ? 1u << r : 0;
    }
    /* Compared on the same tasks: those that all measured rungs were asked. */
    for (size_t i = 0; i < t->n; i++) {
        if ((t->asked[i] & measured) == measured) {
            t->trial[n++] = t->trial[i];
        }
    }
    ladder_choose(t->trial, n, &costs, out);
}

unsigned choice_skip(const struct ladder_choice *c)
{
    unsigned measured = 0;
    for (size_t i = 0; i < c->options_len; i++) {
        measured |= c->options[i].rungs;
    }
    /* The learned rung costs next to nothing: it is never left out. */
    measured &= ~(1u << LADDER_LEARNED);
    return c->chosen < 0 ? 0 : measured & ~c->options[c->chosen].rungs;
}

/* ---- as JSON ---- */

static void write_range(struct jn_writer *w, const char *key, const struct ladder_range *r,
                        int digits)
{
    jn_key(w, key);
    jn_array_begin(w);
    jn_put_real(w, r->is, digits);
    jn_put_real(w, r->low, digits);
    jn_put_real(w, r->high, digits);
    jn_array_end(w);
}

void choice_write(struct jn_writer *w, const struct ladder_choice *c)
{
    jn_object_begin(w);
    jn_kv_int(w, "tasks", (int64_t)c->n);
    jn_key(w, "options");
    jn_array_begin(w);
    for (size_t i = 0; i < c->options_len; i++) {
        const struct ladder_option *o = &c->options[i];
        jn_object_begin(w);
        jn_key(w, "rungs");
        jn_array_begin(w);
        for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
            if ((o->rungs & 1u << r) != 0) {
                jn_put_str(w, ladder_rung_name((enum ladder_rung)r));
            }
        }
        jn_array_end(w);
        write_range(w, "error", &o->error, 4);
        write_range(w, "person", &o->person, 4);
        write_range(w, "cost", &o->cost, 6);
        write_range(w, "tasks_per_hour", &o->tasks_h, 1);
        jn_kv_bool(w, "chosen", c->chosen == (int)i);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_kv_str(w, "why", c->why);
    jn_object_end(w);
}

char *choice_text(const struct ladder_choice *c)
{
    struct jn_writer w;
    struct buf text;
    buf_init(&text, REPORT_BYTES);
    jn_begin(&w, &text, false);
    choice_write(&w, c);
    ASSERT(!text.overflow);
    return buf_take(&text);
}

/* ---- in the store ---- */

enum fail choice_store(struct store_tx *tx, const struct ladder_form *form, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT OR REPLACE INTO climb_choice (workflow, release, skip, report, "
                           "created_at) VALUES (?1, ?2, ?3, ?4, ?5)");
    store_bind_text(s, 1, form->name);
    store_bind_text(s, 2, form->release);
    store_bind_int(s, 3, form->skip);
    store_bind_text(s, 4, form->choice != NULL ? form->choice : "");
    store_bind_int(s, 5, clock_now_us());
    return store_run(s, why);
}

enum fail choice_load(struct store_conn *conn, struct ladder_form *form, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT skip, report FROM climb_choice WHERE workflow = ?1 AND release = ?2");
    bool row = false;
    store_bind_text(s, 1, form->name);
    store_bind_text(s, 2, form->release);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row && store_col_text(s, 1)[0] != '\0') {
        form->skip = (unsigned)store_col_int(s, 0) & (1u << LADDER_LIGHT | 1u << LADDER_HEAVY);
        mem_free(form->choice);
        form->choice = mem_dup_str(store_col_text(s, 1));
    }
    return f;
}
