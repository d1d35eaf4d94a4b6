/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measure: what answers were worth, and tables of it. Pure: no files, no clock.
 *
 * Words: an answer is *proposed* by a rung; it is *decided* when no person was needed. Accuracy is
 * over proposals, coverage is the share decided, error is over the decided ones.
 *
 * Threads: an object belongs to one thread. Limits: 16 fields, 8 rungs, 16 columns, 4,096 table
 * rows; percentiles come from 10 million times at most.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/mem.h"

#define MEASURE_MAX_FIELDS 16
#define MEASURE_MAX_RUNGS 8
#define MEASURE_MAX_COLUMNS 16
#define MEASURE_MAX_ROWS 4096

struct measure_tally {
    int64_t n;
    int64_t right;
};
/* right / n, 0 when nothing was counted. */
double measure_share(struct measure_tally t);

struct measure_interval {
    double low, high;
};
/* Wilson's score interval at 95 % (Wilson 1927; z = 1.959964): sound for small n and near 0 and
   1. [0, 1] for n = 0. */
struct measure_interval measure_wilson(int64_t right, int64_t n);

/* P(X <= k) for X ~ Binomial(n, p), summed in logarithms. */
double measure_binomial_tail(int64_t k, int64_t n, double p);
/* How many decided items it takes until a one-sided exact binomial test at level alpha says
   "error at most `target`", when `seen` of them are wrong as a share: the smallest n <= limit
   with P(X <= ceil(seen * n)) <= alpha for p = target. 0 when no n up to limit does (seen too
   close to target). */
int64_t measure_items_needed(double target, double seen, double alpha, int64_t limit);

/* ---- a run ---- */

struct measure_rung {
    char name[16];
    int64_t proposed;            /* answers this rung held at the end */
    int64_t decided;             /* of those, without a person */
    struct measure_tally known;  /* of the proposed ones, those with an expected value */
    struct measure_tally known_decided;
};
struct measure_field {
    char name[48];
    int64_t n;                   /* answers */
    int64_t decided;
    struct measure_tally known;  /* with an expected value */
    struct measure_tally top3;   /* expected value among the first three candidates */
    struct measure_tally known_decided;
    struct measure_rung rungs[MEASURE_MAX_RUNGS];
    size_t rungs_len;
};
struct measure_run {
    int64_t tasks, failed, to_person; /* to_person: a field or more was left open */
    int64_t tokens_in, tokens_cached, tokens_out;
    double seconds; /* of wall time, set by the caller */
    float *ms;      /* one a task */
    size_t ms_len, ms_room;
    struct measure_field fields[MEASURE_MAX_FIELDS];
    size_t fields_len;
};
void measure_run_init(struct measure_run *m);
void measure_run_done(struct measure_run *m);

struct measure_answer {
    const char *field;
    const char *value;       /* may be NULL */
    const char *proposed_by; /* rung, may be NULL: nobody */
    bool decided;
    const char *expected;    /* NULL: not known */
    const char *const *first; /* best candidates first; may be empty: value alone counts */
    size_t first_len;
};
/* One field of one task. Fields and rungs beyond the limits are not counted. */
void measure_add(struct measure_run *m, const struct measure_answer *a);
/* One task's own numbers. */
void measure_task(struct measure_run *m, double ms, int64_t tokens_in, int64_t tokens_cached,
                  int64_t tokens_out, bool to_person);
/* The q-th quantile of the times (nearest rank), 0 when there are none. Sorts. */
double measure_ms(struct measure_run *m, double q);
double measure_tasks_per_hour(const struct measure_run *m);

/* ---- tables ---- */

struct measure_table;
/* "name" left-aligned, ">name" right-aligned, "*name" left and the first to be cut when the
   width is short. */
struct measure_table *measure_table_new(const char *const *columns, size_t n);
void measure_table_free(struct measure_table *t);
/* Adds a row of n cells (the table's columns); texts are copied, NULL is "-", line breaks become
   spaces. Rows beyond the limit are dropped. */
void measure_table_row(struct measure_table *t, const char *const *cells);
/* Appends the table, at most width columns wide (0: as wide as needed). */
void measure_table_show(const struct measure_table *t, size_t width, struct buf *out);
/* Appends s cut to at most `columns` characters, with … when something was cut; returns the
   characters written. */
size_t measure_cut(struct buf *out, const char *s, size_t columns);
/* "93.2 %" into out, "-" when t.n is 0. */
const char *measure_percent(struct measure_tally t, char out[16]);
