/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/hands: the thread, its list and the count of pieces taken. The lock is held only to hand a
 * list over and to wait for its end; pieces are taken by one atomic addition.
 * Owns: the thread. Threads: the caller and its own. Limits: one list at a time.
 */
#include "worker/hands/hands.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mem/mem.h"

struct hands {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t go;
    pthread_cond_t done;
    bool ending;
    bool open; /* a list is there that the thread has not begun */
    bool busy; /* the thread is at it */
    hands_fn fn;
    void *self;
    size_t n;
    atomic_size_t next;
};

static void work(struct hands *h, int hand)
{
    for (;;) {
        size_t piece = atomic_fetch_add(&h->next, 1);
        if (piece >= h->n) {
            return;
        }
        h->fn(h->self, hand, piece);
    }
}

static void *help(void *self)
{
    struct hands *h = self;
    (void)pthread_mutex_lock(&h->lock);
    while (!h->ending) {
        if (!h->open) {
            (void)pthread_cond_wait(&h->go, &h->lock);
            continue;
        }
        h->open = false;
        h->busy = true;
        (void)pthread_mutex_unlock(&h->lock);
        work(h, 1);
        (void)pthread_mutex_lock(&h->lock);
        h->busy = false;
        (void)pthread_cond_signal(&h->done);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return NULL;
}

struct hands *hands_new(void)
{
    struct hands *h = mem_alloc(sizeof *h);
    sigset_t all, before;
    (void)pthread_mutex_init(&h->lock, NULL);
    (void)pthread_cond_init(&h->go, NULL);
    (void)pthread_cond_init(&h->done, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the caller's */
    int failed = pthread_create(&h->thread, NULL, help, h);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        (void)pthread_cond_destroy(&h->done);
        (void)pthread_cond_destroy(&h->go);
        (void)pthread_mutex_destroy(&h->lock);
        mem_free(h);
        return NULL;
    }
    return h;
}

void hands_free(struct hands *h)
{
    if (h == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&h->lock);
    h->ending = true;
    (void)pthread_cond_signal(&h->go);
    (void)pthread_mutex_unlock(&h->lock);
    (void)pthread_join(h->thread, NULL);
    (void)pthread_cond_destroy(&h->done);
    (void)pthread_cond_destroy(&h->go);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

void hands_run(struct hands *h, size_t n, hands_fn fn, void *self)
{
    if (h == NULL || n < 2) {
        for (size_t i = 0; i < n; i++) {
            fn(self, 0, i);
        }
        return;
    }
    (void)pthread_mutex_lock(&h->lock);
    h->fn = fn;
    h->self = self;
    h->n = n;
    atomic_store(&h->next, 0);
    h->open = true;
    (void)pthread_cond_signal(&h->go);
    (void)pthread_mutex_unlock(&h->lock);
    work(h, 0);
    (void)pthread_mutex_lock(&h->lock);
    h->open = false; /* a thread that has not woken yet is not waited for */
    while (h->busy) {
        (void)pthread_cond_wait(&h->done, &h->lock);
    }
    (void)pthread_mutex_unlock(&h->lock);
}
