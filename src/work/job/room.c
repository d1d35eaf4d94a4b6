/* SPDX-License-Identifier: Apache-2.0 */
/* The room: its beginning and end, and the active definitions of programs. */
#include <string.h>

#include "work/job/job_internal.h"

#define PROGRAM(ops) extern const struct program_ops ops;
#include "work/job/programs.def"
#undef PROGRAM

static const struct program_ops *const all_programs[] = {
#define PROGRAM(ops) &ops,
#include "work/job/programs.def"
#undef PROGRAM
    NULL};

enum fail jobs_open(const struct job_house *house, struct jobs **out, struct fault *why)
{
    struct jobs *j = mem_alloc(sizeof(*j));
    j->house = *house;
    j->boot = text_id_new();
    j->programs = house->programs != NULL ? house->programs : all_programs;
    j->programs_len = house->programs != NULL ? house->programs_len : COUNT_OF(all_programs) - 1;
    ASSERT(pthread_mutex_init(&j->lock, NULL) == 0 && pthread_cond_init(&j->wake, NULL) == 0);
    *out = j;
    enum fail f = job_take_back(j, true, why);
    if (f != FAIL_NONE) {
        jobs_close(j);
        *out = NULL;
    }
    return f;
}

enum fail jobs_start(struct jobs *j, struct fault *why)
{
    enum fail f = FAIL_NONE;
    int threads = j->house.threads > 0 ? j->house.threads : JOB_THREADS;
    for (int i = 0; f == FAIL_NONE && i < threads && i < (int)COUNT_OF(j->threads); i++) {
        if (pthread_create(&j->threads[j->threads_len], NULL, job_thread, j) != 0) {
            f = FAULT(why, FAIL_INTERNAL, "a thread for jobs cannot be started");
        } else {
            j->threads_len++;
        }
    }
    if (f == FAIL_NONE) {
        j->watching = pthread_create(&j->watcher, NULL, job_watch, j) == 0;
        f = j->watching ? FAIL_NONE
                        : FAULT(why, FAIL_INTERNAL, "a thread for jobs cannot be started");
    }
    return f;
}

void jobs_stop(struct jobs *j)
{
    if (j == NULL) {
        return;
    }
    __atomic_store_n(&j->stopping, true, __ATOMIC_SEQ_CST);
    job_wake(j);
}

void jobs_close(struct jobs *j)
{
    if (j == NULL) {
        return;
    }
    jobs_stop(j);
    for (int i = 0; i < j->threads_len; i++) {
        (void)pthread_join(j->threads[i], NULL);
    }
    if (j->watching) {
        (void)pthread_join(j->watcher, NULL);
    }
    for (size_t i = 0; i < j->definitions_len; i++) {
        program_definition_unref(j->definitions[i]);
    }
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->lock);
    mem_free(j);
}

bool jobs_are_busy(const struct jobs *j)
{
    struct jobs *x = (struct jobs *)j;
    pthread_mutex_lock(&x->lock);
    bool busy = x->working != NULL;
    pthread_mutex_unlock(&x->lock);
    return busy;
}

/* ---- definitions ---- */

const struct program_ops *const *jobs_programs(const struct jobs *j, size_t *n)
{
    *n = j->programs_len;
    return j->programs;
}

enum fail jobs_define(struct jobs *j, struct program_definition *d, struct fault *why)
{
    struct program_definition *old = NULL;
    enum fail f = FAIL_NONE;
    size_t i = 0;
    pthread_mutex_lock(&j->lock);
    while (i < j->definitions_len && strcmp(j->definitions[i]->name, d->name) != 0) {
        i++;
    }
    if (i == JOB_DEFINITIONS_MAX) {
        f = FAULT(why, FAIL_QUEUE_FULL, "there are %d workflows of programs already",
                  JOB_DEFINITIONS_MAX);
    } else {
        old = i < j->definitions_len ? j->definitions[i] : NULL;
        j->definitions_len += old == NULL;
        j->definitions[i] = program_definition_ref(d);
    }
    pthread_mutex_unlock(&j->lock);
    program_definition_unref(old);
    return f;
}

void jobs_undefine(struct jobs *j, const char *name)
{
    struct program_definition *old = NULL;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->definitions_len; i++) {
        if (strcmp(j->definitions[i]->name, name) == 0) {
            old = j->definitions[i];
            j->definitions[i] = j->definitions[--j->definitions_len];
            break;
        }
    }
    pthread_mutex_unlock(&j->lock);
    program_definition_unref(old);
}

struct program_definition *jobs_find_definition(struct jobs *j, const char *name)
{
    struct program_definition *d = NULL;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->definitions_len; i++) {
        if (strcmp(j->definitions[i]->name, name) == 0) {
            d = program_definition_ref(j->definitions[i]);
        }
    }
    pthread_mutex_unlock(&j->lock);
    return d;
}

void jobs_each_definition(struct jobs *j,
                          void (*fn)(void *arg, const struct program_definition *d), void *arg)
{
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < j->definitions_len; i++) {
        fn(arg, j->definitions[i]);
    }
    pthread_mutex_unlock(&j->lock);
}
