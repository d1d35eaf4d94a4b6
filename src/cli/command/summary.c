/* SPDX-License-Identifier: Apache-2.0 */
/* What a run was worth: the tables under it, and the same as JSON. */
#include <string.h>

#include "cli/command/command_internal.h"

static void show_fields(struct cli *cli, const struct measure_run *m)
{
    static const char *const columns[] = {"field",     ">answers",     ">decided alone",
                                          ">accuracy", ">among three", ">error when decided",
                                          "95 % of it"};
    bool known = false;
    for (size_t i = 0; i < m->fields_len; i++) {
        known = known || m->fields[i].known.n > 0;
    }
    struct measure_table *t = measure_table_new(columns, known ? 7 : 3);
    for (size_t i = 0; i < m->fields_len; i++) {
        const struct measure_field *f = &m->fields[i];
        char n[24], decided[16], accuracy[16], top3[16], error[16], range[48] = "-";
        struct measure_tally d = {f->n, f->decided};
        struct measure_tally wrong = {f->known_decided.n,
                                      f->known_decided.n - f->known_decided.right};
        (void)snprintf(n, sizeof(n), "%lld", (long long)f->n);
        if (wrong.n > 0) {
            struct measure_interval w = measure_wilson(wrong.right, wrong.n);
            (void)snprintf(range, sizeof(range), "%.1f to %.1f %%", 100 * w.low, 100 * w.high);
        }
        const char *cells[] = {f->name,
                               n,
                               measure_percent(d, decided),
                               measure_percent(f->known, accuracy),
                               measure_percent(f->top3, top3),
                               measure_percent(wrong, error),
                               range};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

static void show_rungs(struct cli *cli, const struct measure_run *m)
{
    static const char *const columns[] = {"field", "rung", ">share", ">accuracy", ">decided alone",
                                          ">error when decided"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    for (size_t i = 0; i < m->fields_len; i++) {
        const struct measure_field *f = &m->fields[i];
        for (size_t k = 0; k < f->rungs_len; k++) {
            const struct measure_rung *r = &f->rungs[k];
            char share[16], accuracy[16], decided[16], error[16];
            struct measure_tally s = {f->n, r->proposed}, d = {r->proposed, r->decided};
            struct measure_tally wrong = {r->known_decided.n,
                                          r->known_decided.n - r->known_decided.right};
            const char *cells[] = {f->name, r->name, measure_percent(s, share),
                                   measure_percent(r->known, accuracy), measure_percent(d, decided),
                                   measure_percent(wrong, error)};
            measure_table_row(t, cells);
        }
    }
    cli_print_table(cli, t);
}

void run_summary(struct cli *cli, struct measure_run *m, const struct run_counts *counts)
{
    printf("%lld tickets, %lld answered, %lld failed, %lld with something left to a person.\n",
           (long long)counts->given, (long long)counts->answered, (long long)counts->failed,
           (long long)m->to_person);
    if (m->tasks > 0) {
        double n = (double)m->tasks;
        printf("%.0f tasks an hour, p50 %.0f ms, p95 %.0f ms; tokens a task: %.0f in (%.0f of them "
               "cached), "
               "%.1f out.\n",
               measure_tasks_per_hour(m), measure_ms(m, 0.5), measure_ms(m, 0.95),
               (double)m->tokens_in / n, (double)m->tokens_cached / n, (double)m->tokens_out / n);
        printf("\n");
        show_fields(cli, m);
        printf("\n");
        show_rungs(cli, m);
    }
    if (counts->retried > 0 || counts->revived > 0 || counts->worker_deaths > 0) {
        printf("\nOn the way: %lld asked again", (long long)counts->retried);
        if (counts->worker_deaths > 0) {
            printf("; a model's worker died %lld times and was replaced, what it had open was "
                   "asked again",
                   (long long)counts->worker_deaths);
        }
        if (counts->revived > 0) {
            printf("; the server went away %lld times and was found or started again",
                   (long long)counts->revived);
        }
        printf(". Nothing was lost.\n");
    }
}

static json_t *tally_json(struct measure_tally t)
{
    if (t.n == 0) {
        return json_null();
    }
    struct measure_interval w = measure_wilson(t.right, t.n);
    return json_pack("{s:I,s:f,s:f,s:f}", "n", (json_int_t)t.n, "share", measure_share(t), "low",
                     w.low, "high", w.high);
}

static json_t *wrong_json(struct measure_tally t)
{
    return tally_json((struct measure_tally){t.n, t.n - t.right});
}

json_t *run_summary_json(struct measure_run *m, const struct run_counts *counts)
{
    double n = m->tasks > 0 ? (double)m->tasks : 1;
    json_t *fields = json_object();
    for (size_t i = 0; i < m->fields_len; i++) {
        const struct measure_field *f = &m->fields[i];
        json_t *rungs = json_object();
        for (size_t k = 0; k < f->rungs_len; k++) {
            const struct measure_rung *r = &f->rungs[k];
            (void)json_object_set_new(
                rungs, r->name,
                json_pack("{s:I,s:I,s:o,s:o}", "proposed", (json_int_t)r->proposed, "decided",
                          (json_int_t)r->decided, "accuracy", tally_json(r->known), "error",
                          wrong_json(r->known_decided)));
        }
        (void)json_object_set_new(
            fields, f->name,
            json_pack("{s:I,s:o,s:o,s:o,s:o,s:o}", "n", (json_int_t)f->n, "coverage",
                      tally_json((struct measure_tally){f->n, f->decided}), "accuracy",
                      tally_json(f->known), "among_three", tally_json(f->top3), "error",
                      wrong_json(f->known_decided), "rungs", rungs));
    }
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:o}", "tickets",
                     (json_int_t)counts->given, "answered", (json_int_t)counts->answered, "failed",
                     (json_int_t)counts->failed, "to_person", (json_int_t)m->to_person, "retried",
                     (json_int_t)counts->retried, "server_restarts", (json_int_t)counts->revived,
                     "worker_deaths", (json_int_t)counts->worker_deaths, "seconds", m->seconds,
                     "tasks_per_hour", measure_tasks_per_hour(m), "ms_p50", measure_ms(m, 0.5),
                     "ms_p95", measure_ms(m, 0.95), "tokens_in_per_task", (double)m->tokens_in / n,
                     "tokens_cached_per_task", (double)m->tokens_cached / n, "tokens_out_per_task",
                     (double)m->tokens_out / n, "fields", fields);
}
