/* SPDX-License-Identifier: Apache-2.0 */
/* The crunch pool: a queue under one mutex, threads at nice 5 so that answering comes first. */
#include "base/loop/loop.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem/mem.h"

struct job {
    struct job *next;
    loop_call_fn work;
    loop_call_fn done;
    void *arg;
    struct loop *back;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct job *first;
    struct job **last;
    size_t queued;
    size_t max_queued;
    bool stopping;
    int threads;
    pthread_t thread[];
};

static void *pool_main(void *arg)
{
    struct pool *p = arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 5);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->first == NULL && !p->stopping) {
            pthread_cond_wait(&p->changed, &p->lock);
        }
        struct job *j = p->first;
        if (j == NULL) {
            break;
        }
        p->first = j->next;
        if (p->first == NULL) {
            p->last = &p->first;
        }
        p->queued--;
        pthread_mutex_unlock(&p->lock);
        j->work(j->arg);
        if (j->done != NULL) {
            loop_post(j->back, j->done, j->arg);
        }
        mem_free(j);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(int threads, size_t max_queued)
{
    ASSERT(threads > 0);
    struct pool *p = mem_alloc(sizeof(*p) + (size_t)threads * sizeof(p->thread[0]));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->last = &p->first;
    p->max_queued = max_queued;
    p->threads = threads;
    for (int i = 0; i < threads; i++) {
        ASSERT(pthread_create(&p->thread[i], NULL, pool_main, p) == 0);
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (p == NULL) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads; i++) {
        pthread_join(p->thread[i], NULL);
    }
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

enum fail pool_submit(struct pool *p, loop_call_fn work, void *arg, struct loop *back,
                      loop_call_fn done, struct fault *why)
{
    ASSERT(done == NULL || back != NULL);
    struct job *j = mem_alloc(sizeof(*j));
    *j = (struct job){.work = work, .done = done, .arg = arg, .back = back};
    pthread_mutex_lock(&p->lock);
    bool full = p->queued >= p->max_queued || p->stopping;
    if (!full) {
        *p->last = j;
        p->last = &j->next;
        p->queued++;
        pthread_cond_signal(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    if (full) {
        mem_free(j);
        return FAULT(why, FAIL_QUEUE_FULL, "the queue of heavy work is full (%zu jobs)",
                     p->max_queued);
    }
    return FAIL_NONE;
}
