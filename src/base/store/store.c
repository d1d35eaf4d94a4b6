/* SPDX-License-Identifier: Apache-2.0 */
/* The writer: a bounded queue, one thread, one transaction for all that waits, then the answers. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log/log.h"
#include "base/store/store_internal.h"

#define HOOKS_MAX 4
/* Checkpoint when the WAL holds so many pages (4 MiB); wait for readers at the second (64 MiB). */
#define CHECKPOINT_PAGES 1000
#define CHECKPOINT_PAGES_HARD 16000

struct item {
    struct item *next;
    store_write_fn fn; /* NULL: truncate the WAL */
    void *arg;
    store_done_fn done;
    struct loop *back;
    enum fail code;
    struct fault why;
};

struct store {
    struct store_conn *conn;
    int lock_fd;
    pthread_t thread;
    bool started;
    struct store_hooks hooks[HOOKS_MAX];
    int hooks_len;
    int wal_pages; /* store thread only */

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct item *first; /* the rest under lock */
    struct item **last;
    int queued;
    int readers;
    bool closing;
    struct store_stats stats;
};

/* ---- group commit ---- */

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    struct store *s = arg;
    s->wal_pages = pages;
    return SQLITE_OK;
}

/* After a failed fsync the kernel may report success for pages it has thrown away. */
static void stop_on_failed_flush(struct store *s)
{
    int rc = sqlite3_extended_errcode(s->conn->db);
    if (rc == SQLITE_IOERR_FSYNC || rc == SQLITE_IOERR_DIR_FSYNC) {
        pthread_mutex_lock(&s->lock);
        s->stats.stopped = true;
        pthread_mutex_unlock(&s->lock);
    }
}

static void checkpoint(struct store *s)
{
    if (s->wal_pages < CHECKPOINT_PAGES) {
        return;
    }
    /* A busy reader or a full disk only postpones it: the WAL keeps everything. */
    int mode = s->wal_pages > CHECKPOINT_PAGES_HARD ? SQLITE_CHECKPOINT_RESTART
                                                    : SQLITE_CHECKPOINT_PASSIVE;
    int rc = sqlite3_wal_checkpoint_v2(s->conn->db, NULL, mode, NULL, NULL);
    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
        stop_on_failed_flush(s);
        struct fault why;
        store_fault(s->conn, rc, "checkpoint", &why);
        log_fault(LOG_LEVEL_DEBUG, "store.checkpoint", &why);
    }
    s->wal_pages = 0; /* counted again from the next commit's hook */
}

static void member_end(struct store *s, bool kept)
{
    for (int i = 0; i < s->hooks_len; i++) {
        if (s->hooks[i].member_end != NULL) {
            s->hooks[i].member_end(s->hooks[i].arg, kept);
        }
    }
}

static enum fail exec_or_fault(struct store *s, const char *sql, struct fault *why)
{
    AUTO_STMT struct store_stmt *st = store_query(s->conn, sql);
    return store_run(st, why);
}

/* One member inside its savepoint. A returned failure is the group's: its transaction is lost. */
static enum fail run_member(struct store *s, struct item *it, struct fault *why)
{
    enum fail f = exec_or_fault(s, "SAVEPOINT member", why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct store_tx tx = {.conn = s->conn};
    it->code = it->fn(&tx, it->arg, &it->why);
    ASSERT(s->conn->in_use == 0); /* a statement outlived its write: AUTO_STMT is missing */
    if (sqlite3_get_autocommit(s->conn->db)) {
        /* SQLite undid the whole transaction: disk full or an I/O error in mid-statement. */
        *why = it->why;
        return it->code != FAIL_NONE ? it->code
                                     : FAULT(why, FAIL_INTERNAL, "a write was undone by the store");
    }
    if (it->code != FAIL_NONE) {
        f = exec_or_fault(s, "ROLLBACK TO member", why);
    }
    if (f == FAIL_NONE) {
        f = exec_or_fault(s, "RELEASE member", why);
    }
    if (f == FAIL_NONE) {
        member_end(s, it->code == FAIL_NONE);
    }
    return f;
}

static enum fail before_commit(struct store *s, struct fault *why)
{
    struct store_tx tx = {.conn = s->conn};
    for (int i = 0; i < s->hooks_len; i++) {
        if (s->hooks[i].before_commit != NULL) {
            enum fail f = s->hooks[i].before_commit(&tx, s->hooks[i].arg, why);
            ASSERT(s->conn->in_use == 0);
            if (f != FAIL_NONE) {
                return f;
            }
        }
    }
    return FAIL_NONE;
}

static enum fail commit(struct store *s, struct fault *why)
{
    AUTO_STMT struct store_stmt *st = store_query(s->conn, "COMMIT");
    enum fail f = store_run(st, why);
    if (f != FAIL_NONE) {
        stop_on_failed_flush(s);
    }
    return f;
}

static enum fail run_members(struct store *s, struct item *group, bool *any_kept, struct fault *why)
{
    enum fail f = exec_or_fault(s, "BEGIN IMMEDIATE", why);
    for (struct item *it = group; it != NULL && f == FAIL_NONE; it = it->next) {
        f = run_member(s, it, why);
        *any_kept |= it->code == FAIL_NONE;
    }
    if (f == FAIL_NONE && *any_kept) {
        f = before_commit(s, why);
        if (f == FAIL_NONE) {
            f = commit(s, why);
        }
    }
    return f;
}

static void run_group(struct store *s, struct item *group, int n)
{
    struct fault why;
    bool any_kept = false;
    enum fail f = run_members(s, group, &any_kept, &why);
    if (!sqlite3_get_autocommit(s->conn->db)) {
        store_exec(s->conn, "ROLLBACK");
    }
    bool committed = f == FAIL_NONE && any_kept;
    for (int i = 0; i < s->hooks_len; i++) {
        if (s->hooks[i].group_end != NULL) {
            s->hooks[i].group_end(s->hooks[i].arg, committed);
        }
    }
    int64_t acknowledged = 0;
    for (struct item *it = group; it != NULL; it = it->next) {
        if (f != FAIL_NONE && it->code == FAIL_NONE) {
            it->code = f;
            it->why = why;
        }
        acknowledged += it->code == FAIL_NONE;
    }
    pthread_mutex_lock(&s->lock);
    s->stats.commits += committed;
    s->stats.failed_commits += f != FAIL_NONE;
    s->stats.writes += acknowledged;
    s->stats.largest_group = n > s->stats.largest_group ? n : s->stats.largest_group;
    pthread_mutex_unlock(&s->lock);
}

/* ---- answers ---- */

/* A run of answers for one loop travels as one posted call. */
static void deliver(void *arg)
{
    struct item *it = arg;
    while (it != NULL) {
        struct item *next = it->next;
        if (it->done != NULL) {
            it->done(it->arg, it->code, &it->why);
        }
        mem_free(it);
        it = next;
    }
}

static void answer(struct item *group)
{
    while (group != NULL) {
        struct item *run = group;
        struct item *end = run;
        while (end->next != NULL && end->next->back == run->back) {
            end = end->next;
        }
        group = end->next;
        end->next = NULL;
        if (run->back != NULL) {
            loop_post(run->back, deliver, run);
        } else {
            deliver(run);
        }
    }
}

/* ---- the thread ---- */

static void truncate_wal(struct store *s, struct item *it)
{
    int rc = sqlite3_wal_checkpoint_v2(s->conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    it->code = rc == SQLITE_OK ? FAIL_NONE : store_fault(s->conn, rc, "checkpoint", &it->why);
    if (rc != SQLITE_OK) {
        stop_on_failed_flush(s);
    }
    s->wal_pages = 0;
}

/* Everything queued up to the cap; a truncation runs alone. Called with the lock held. */
static struct item *take_group(struct store *s, int *n)
{
    struct item *group = s->first;
    struct item *end = group;
    *n = 1;
    while (group->fn != NULL && end->next != NULL && end->next->fn != NULL &&
           *n < STORE_GROUP_MAX) {
        end = end->next;
        ++*n;
    }
    s->first = end->next;
    if (s->first == NULL) {
        s->last = &s->first;
    }
    end->next = NULL;
    s->queued -= *n;
    return group;
}

static void refuse_group(struct item *group)
{
    for (struct item *it = group; it != NULL; it = it->next) {
        it->code = FAULT(&it->why, FAIL_RECORD_UNAVAILABLE,
                         "the store stopped writing because the disk refused to flush");
        fail_hint(&it->why, "Check the disk, then restart the server.");
    }
}

static void *store_main(void *arg)
{
    struct store *s = arg;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (s->first == NULL && !s->closing) {
            pthread_cond_wait(&s->wake, &s->lock);
        }
        if (s->first == NULL) {
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }
        int n;
        struct item *group = take_group(s, &n);
        bool stopped = s->stats.stopped;
        pthread_mutex_unlock(&s->lock);
        if (stopped) {
            refuse_group(group);
        } else if (group->fn == NULL) {
            truncate_wal(s, group);
        } else {
            run_group(s, group, n);
        }
        answer(group);
        if (!stopped) {
            checkpoint(s);
        }
    }
}

/* ---- the interface ---- */

static enum fail lock_file(const char *path, int *fd, struct fault *why)
{
    struct buf name;
    buf_init(&name, 8192);
    buf_printf(&name, "%s-lock", path);
    *fd = open(name.data, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    enum fail f = FAIL_NONE;
    if (*fd < 0) {
        FAULT_ERRNO(why, fail_from_write_errno(errno), "could not open %s", name.data);
        f = fail_hint(why, "Check that the folder exists, may be written, and has space.");
    } else if (flock(*fd, LOCK_EX | LOCK_NB) != 0) {
        FAULT(why, FAIL_CONFLICT, "another process has the database %s open", path);
        f = fail_hint(why, "Use the running server (INHOUSE_URL), or stop it first.");
        close(*fd);
        *fd = -1;
    }
    buf_done(&name);
    return f;
}

static enum fail start_thread(struct store *s, struct fault *why)
{
    /* Signals are for the main thread. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int err = pthread_create(&s->thread, NULL, store_main, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err != 0) {
        errno = err;
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not start the store's thread");
    }
    pthread_setname_np(s->thread, "store");
    s->started = true;
    return FAIL_NONE;
}

enum fail store_open(const char *path, const struct store_schema *schema, struct store **out,
                     struct fault *why)
{
    struct store *s = mem_alloc(sizeof(*s));
    s->last = &s->first;
    s->lock_fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    enum fail f = lock_file(path, &s->lock_fd, why);
    if (f == FAIL_NONE) {
        f = store_conn_open(path, true, &s->conn, why);
    }
    if (f == FAIL_NONE) {
        s->conn->store = s;
        sqlite3_wal_hook(s->conn->db, on_wal, s);
        f = store_migrate(s->conn, schema, why);
    }
    if (f == FAIL_NONE) {
        f = start_thread(s, why);
    }
    if (f != FAIL_NONE) {
        store_close(s);
        return f;
    }
    *out = s;
    return FAIL_NONE;
}

void store_close(struct store *s)
{
    if (s == NULL) {
        return;
    }
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->closing = true;
        ASSERT(s->readers == 0);
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        if (!s->stats.stopped) {
            sqlite3_wal_checkpoint_v2(s->conn->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
        }
    }
    store_conn_close(s->conn);
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

const char *store_path(const struct store *s)
{
    return s->conn->path;
}

static enum fail enqueue(struct store *s, struct item *it, struct fault *why)
{
    enum fail f = FAIL_NONE;
    pthread_mutex_lock(&s->lock);
    if (s->closing) {
        f = FAULT(why, FAIL_STOPPED, "the store is closing");
    } else if (s->stats.stopped) {
        f = FAULT(why, FAIL_RECORD_UNAVAILABLE,
                  "the store stopped writing because the disk refused to flush");
        fail_hint(why, "Check the disk, then restart the server.");
    } else if (s->queued >= STORE_QUEUE_MAX) {
        f = FAULT(why, FAIL_QUEUE_FULL, "%d writes wait for the disk already", s->queued);
    } else {
        *s->last = it;
        s->last = &it->next;
        if (s->queued++ == 0) {
            pthread_cond_signal(&s->wake);
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (f != FAIL_NONE) {
        mem_free(it);
    }
    return f;
}

enum fail store_write(struct store *s, store_write_fn fn, void *arg, store_done_fn done,
                      struct loop *back, struct fault *why)
{
    ASSERT(fn != NULL);
    struct item *it = mem_alloc(sizeof(*it));
    it->fn = fn;
    it->arg = arg;
    it->done = done;
    it->back = back;
    return enqueue(s, it, why);
}

struct waiter {
    store_write_fn fn;
    void *arg;
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    enum fail code;
    struct fault *why;
};

static enum fail waiter_run(struct store_tx *tx, void *arg, struct fault *why)
{
    struct waiter *w = arg;
    return w->fn(tx, w->arg, why);
}

static void waiter_done(void *arg, enum fail code, const struct fault *why)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->lock);
    w->code = code;
    if (code != FAIL_NONE && w->why != NULL) {
        *w->why = *why;
    }
    w->done = true;
    pthread_cond_signal(&w->told);
    pthread_mutex_unlock(&w->lock);
}

/* fn NULL truncates. */
static enum fail wait_for(struct store *s, store_write_fn fn, void *arg, struct fault *why)
{
    ASSERT(!pthread_equal(pthread_self(), s->thread));
    struct waiter w = {.fn = fn, .arg = arg, .why = why};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.told, NULL);
    struct item *it = mem_alloc(sizeof(*it));
    it->fn = fn != NULL ? waiter_run : NULL;
    it->arg = &w;
    it->done = waiter_done;
    /* Not into w.code: the store thread may have answered there before enqueue returns. */
    enum fail queued = enqueue(s, it, why);
    if (queued != FAIL_NONE) {
        w.code = queued;
    } else {
        pthread_mutex_lock(&w.lock);
        while (!w.done) {
            pthread_cond_wait(&w.told, &w.lock);
        }
        pthread_mutex_unlock(&w.lock);
    }
    pthread_cond_destroy(&w.told);
    pthread_mutex_destroy(&w.lock);
    return w.code;
}

enum fail store_write_wait(struct store *s, store_write_fn fn, void *arg, struct fault *why)
{
    ASSERT(fn != NULL);
    return wait_for(s, fn, arg, why);
}

enum fail store_truncate_wait(struct store *s, struct fault *why)
{
    return wait_for(s, NULL, NULL, why);
}

struct store_conn *store_tx_conn(struct store_tx *tx)
{
    return tx->conn;
}

void store_on_commit(struct store *s, const struct store_hooks *hooks)
{
    ASSERT(s->hooks_len < HOOKS_MAX);
    s->hooks[s->hooks_len++] = *hooks;
}

void store_stats(struct store *s, struct store_stats *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->stats;
    out->queued = s->queued;
    pthread_mutex_unlock(&s->lock);
}

void store_count_reader(struct store *s, int change)
{
    pthread_mutex_lock(&s->lock);
    s->readers += change;
    pthread_mutex_unlock(&s->lock);
}
