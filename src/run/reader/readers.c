/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents read beside a loop: each waits for one of a few threads, which start the child, hear it
 * and end it, so that the loop does none of that.
 * Owns: the asks between readers_ask and done. Threads: the loop's own, and the pool's, which touch
 * only the ask they were given. Limits: as the header says.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/loop/loop.h"
#include "run/reader/reader_internal.h"

struct waiting {
    struct readers *of; /* NULL: gone, and this ask is answered */
    struct waiting *next, *before;
    uint64_t id;
    struct reader_ask ask; /* strings are copies */
    int doc, stop;
    reader_done_fn done;
    void *ctx;
    bool cancelled;
    /* The pool's thread writes these, the loop reads them afterwards. */
    struct document *document;
    struct fault why;
};

struct readers {
    struct loop *loop;
    struct pool *pool;
    char *reader, *pdftotext;
    struct reader_programs programs;
    struct waiting *first;
    uint64_t last_id;
};

struct readers *readers_new(struct loop *loop, const struct reader_programs *programs, int at_once)
{
    struct readers *r = mem_alloc(sizeof(*r));
    r->loop = loop;
    r->reader = mem_dup_str(programs == NULL ? NULL : programs->reader);
    r->pdftotext = mem_dup_str(programs == NULL ? NULL : programs->pdftotext);
    r->programs = (struct reader_programs){r->reader, r->pdftotext};
    r->pool = pool_new(at_once > 0 ? at_once : READER_AT_ONCE, READER_WAITING_MAX);
    return r;
}

static void waiting_free(struct waiting *w)
{
    close(w->doc);
    close(w->stop);
    document_free(w->document);
    mem_free((void *)w->ask.format);
    mem_free((void *)w->ask.name);
    mem_free((void *)w->ask.type);
    mem_free((void *)w->ask.charset);
    mem_free(w);
}

static void read_one(void *arg)
{
    struct waiting *w = arg;
    (void)!reader_run(&w->of->programs, &w->ask, w->doc, w->stop, &w->document, &w->why);
}

static void unlist(struct waiting *w)
{
    if (w->before != NULL) {
        w->before->next = w->next;
    } else {
        w->of->first = w->next;
    }
    if (w->next != NULL) {
        w->next->before = w->before;
    }
}

static void give(void *arg)
{
    struct waiting *w = arg;
    if (w->of != NULL) {
        unlist(w);
    }
    if (!w->cancelled) {
        w->done(w->ctx, STEAL(w->document), &w->why);
    }
    waiting_free(w);
}

static void stop(struct waiting *w)
{
    (void)!eventfd_write(w->stop, 1);
}

enum fail readers_ask(struct readers *r, const struct reader_ask *ask, reader_done_fn done,
                      void *ctx, uint64_t *id, struct fault *why)
{
    int doc;
    enum fail f = reader_copy(ask, &doc, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct waiting *w = mem_alloc(sizeof(*w));
    *w = (struct waiting){.of = r, .ask = *ask, .doc = doc, .done = done, .ctx = ctx};
    w->stop = eventfd(0, EFD_CLOEXEC);
    w->ask.data = NULL;
    w->ask.format = mem_dup_str(ask->format);
    w->ask.name = mem_dup_str(ask->name);
    w->ask.type = mem_dup_str(ask->type);
    w->ask.charset = mem_dup_str(ask->charset);
    w->id = ++r->last_id;
    f = w->stop < 0 ? FAULT_ERRNO(why, FAIL_INTERNAL, "no descriptor to stop a reader by")
                    : pool_submit(r->pool, read_one, w, r->loop, give, why);
    if (f != FAIL_NONE) {
        waiting_free(w);
        return f;
    }
    w->next = r->first;
    if (r->first != NULL) {
        r->first->before = w;
    }
    r->first = w;
    if (id != NULL) {
        *id = w->id;
    }
    return FAIL_NONE;
}

void readers_cancel(struct readers *r, uint64_t id)
{
    for (struct waiting *w = r->first; w != NULL; w = w->next) {
        if (w->id == id) {
            w->cancelled = true;
            stop(w);
        }
    }
}

void readers_free(struct readers *r)
{
    if (r == NULL) {
        return;
    }
    for (struct waiting *w = r->first; w != NULL; w = w->next) {
        struct fault why = {0};
        FAULT(&why, FAIL_STOPPED, "reading was stopped");
        stop(w);
        if (!w->cancelled) {
            w->cancelled = true;
            w->done(w->ctx, NULL, &why);
        }
    }
    pool_free(r->pool); /* joins; each ask's give() now lies with the loop */
    for (struct waiting *w = r->first; w != NULL; w = w->next) {
        w->of = NULL;
    }
    if (!loop_is_own_thread(r->loop)) {
        loop_restart(r->loop);
        loop_stop(r->loop);
        loop_run(r->loop);
        loop_restart(r->loop);
    }
    mem_free(r->reader);
    mem_free(r->pdftotext);
    mem_free(r);
}
