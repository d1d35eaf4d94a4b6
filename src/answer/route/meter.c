/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrivals per workflow: a ring of hourly counts with running sums, and the same counts as rows.
 * Owns: the table `route_traffic`. Threads: a meter has one; rows are written in the caller's
 * transaction. Limits: ROUTE_TRAFFIC_WORKFLOWS workflows of ROUTE_TRAFFIC_HOURS hours.
 */
#include <string.h>

#include "answer/route/route_internal.h"

#define HOUR_US ((int64_t)3600 * 1000000)

struct traffic {
    char workflow[ROUTE_NAME_SIZE];
    uint64_t used; /* order of use, 0: free */
    int64_t first, newest; /* hours since 1970 */
    uint32_t tasks[ROUTE_TRAFFIC_HOURS], reused[ROUTE_TRAFFIC_HOURS]; /* at hour % HOURS */
    double sum, squares, sum_reused; /* over the ring */
};

struct route_meter {
    uint64_t uses;
    struct traffic *list;
};

struct route_meter *route_meter_new(void)
{
    struct route_meter *m = mem_alloc(sizeof(*m));
    m->list = mem_alloc_array(ROUTE_TRAFFIC_WORKFLOWS, sizeof(*m->list));
    return m;
}

void route_meter_free(struct route_meter *m)
{
    if (m != NULL) {
        mem_free(m->list);
        mem_free(m);
    }
}

static struct traffic *find(struct route_meter *m, const char *workflow)
{
    for (size_t i = 0; i < ROUTE_TRAFFIC_WORKFLOWS; i++) {
        if (m->list[i].used > 0 && strcmp(m->list[i].workflow, workflow) == 0) {
            return &m->list[i];
        }
    }
    return NULL;
}

static struct traffic *make(struct route_meter *m, const char *workflow, int64_t hour)
{
    struct traffic *t = &m->list[0];
    for (size_t i = 1; i < ROUTE_TRAFFIC_WORKFLOWS; i++) {
        t = m->list[i].used < t->used ? &m->list[i] : t;
    }
    memset(t, 0, sizeof(*t));
    text_copy(t->workflow, sizeof(t->workflow), workflow);
    t->first = t->newest = hour;
    return t;
}

/* Hours that came since make room; sums are exact, counts are whole numbers below 2^53. */
static void turn(struct traffic *t, int64_t hour)
{
    if (hour - t->newest >= ROUTE_TRAFFIC_HOURS) {
        memset(t->tasks, 0, sizeof(t->tasks));
        memset(t->reused, 0, sizeof(t->reused));
        t->sum = t->squares = t->sum_reused = 0;
        t->newest = hour;
    }
    while (t->newest < hour) {
        size_t i = (size_t)(++t->newest % ROUTE_TRAFFIC_HOURS);
        double old = t->tasks[i];
        t->sum -= old;
        t->squares -= old * old;
        t->sum_reused -= t->reused[i];
        t->tasks[i] = t->reused[i] = 0;
    }
}

void route_meter_add(struct route_meter *m, const char *workflow, int64_t at_us, unsigned tasks,
                     unsigned reused)
{
    int64_t hour = at_us / HOUR_US;
    struct traffic *t = find(m, workflow);
    if (hour <= 0 || tasks == 0) {
        return;
    }
    t = t != NULL ? t : make(m, workflow, hour);
    t->used = ++m->uses;
    turn(t, hour);
    if (t->newest - hour >= ROUTE_TRAFFIC_HOURS) {
        return;
    }
    t->first = hour < t->first ? hour : t->first;
    size_t i = (size_t)(hour % ROUTE_TRAFFIC_HOURS);
    double old = t->tasks[i], now = old + tasks;
    t->tasks[i] += tasks;
    t->reused[i] += reused;
    t->sum += tasks;
    t->squares += now * now - old * old;
    t->sum_reused += reused;
}

void route_meter_facts(struct route_meter *m, const char *workflow, int64_t now_us,
                       struct route_facts *f)
{
    struct traffic *t = find(m, workflow);
    int64_t hour = now_us / HOUR_US;
    if (t == NULL) {
        return;
    }
    turn(t, hour);
    int64_t seen = hour - t->first + 1;
    if (seen >= ROUTE_TRAFFIC_KNOWN_H) {
        double hours = seen < ROUTE_TRAFFIC_HOURS ? (double)seen : ROUTE_TRAFFIC_HOURS;
        double mean = t->sum / hours;
        double variance = (t->squares - t->sum * mean) / (hours - 1);
        route_facts_set(f, ROUTE_ARRIVALS_PER_WEEK, mean * 168);
        if (mean > 0) {
            route_facts_set(f, ROUTE_BURST, variance / mean);
        }
    }
    if (t->sum >= ROUTE_TRAFFIC_TASKS_MIN) {
        route_facts_set(f, ROUTE_SHARE_REUSED, t->sum_reused / t->sum);
    }
}

/* ---- rows ---- */

/* Hours that no longer count go when a new one begins. */
static enum fail forget(struct store_tx *tx, const char *workflow, int64_t hour, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "DELETE FROM route_traffic WHERE workflow = ?1 AND hour <= ?2");
    store_bind_text(s, 1, workflow);
    store_bind_int(s, 2, hour - ROUTE_TRAFFIC_HOURS);
    return store_run(s, why);
}

enum fail route_traffic_put(struct store_tx *tx, const char *workflow, int64_t at_us, bool reused,
                            struct fault *why)
{
    int64_t hour = at_us / HOUR_US;
    bool row = false;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "UPDATE route_traffic SET tasks = tasks + 1, reused = reused + ?3 "
            "WHERE workflow = ?1 AND hour = ?2 RETURNING tasks");
        store_bind_text(s, 1, workflow);
        store_bind_int(s, 2, hour);
        store_bind_int(s, 3, reused ? 1 : 0);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE || row) {
            return f;
        }
    }
    {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx), "INSERT INTO route_traffic (workflow, hour, tasks, "
                                           "reused) VALUES (?1, ?2, 1, ?3)");
        store_bind_text(s, 1, workflow);
        store_bind_int(s, 2, hour);
        store_bind_int(s, 3, reused ? 1 : 0);
        enum fail f = store_run(s, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return forget(tx, workflow, hour, why);
}

enum fail route_traffic_load(struct store_conn *conn, int64_t now_us, struct route_meter *m,
                             struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT workflow, hour, tasks, reused FROM route_traffic WHERE hour > ?1 "
              "ORDER BY hour");
    bool row;
    enum fail f;
    store_bind_int(s, 1, now_us / HOUR_US - ROUTE_TRAFFIC_HOURS);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        route_meter_add(m, store_col_text(s, 0), store_col_int(s, 1) * HOUR_US,
                        (unsigned)store_col_int(s, 2), (unsigned)store_col_int(s, 3));
    }
    return f;
}
