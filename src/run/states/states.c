/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/states, the folder: which files there are, when each was used, the budget, and the thread
 * that reads and writes them.
 * Owns: struct states, its index and its pool. Threads: the loop's; jobs touch only their own copy.
 * Limits: STATES_MAX files, the budget.
 */
#include "run/states/states_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/mem/mem.h"
#include "base/text/text.h"

#define JOBS_MAX 64
#define TOUCH_S 60 /* the file's own time is renewed no more often */

struct entry {
    char name[STATES_NAME_SIZE];
    struct states_line line;
    int64_t used_s; /* UTC seconds, the file's time of change */
};

struct states {
    struct loop *loop;
    struct pool *pool;
    int dir;
    uint8_t key[32];
    int64_t budget;
    int64_t bytes;
    int64_t pending; /* bytes in memory files that are not yet written */
    struct entry *entries;
    size_t n;
    int refused;
};

/* The index. */

static struct entry *find(struct states *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (strcmp(s->entries[i].name, name) == 0) {
            return &s->entries[i];
        }
    }
    return NULL;
}

static void drop(struct states *s, struct entry *e, bool unlink_too)
{
    char file[STATES_NAME_SIZE + 8];
    (void)snprintf(file, sizeof(file), "%s.state", e->name);
    if (unlink_too) {
        (void)unlinkat(s->dir, file, 0);
    }
    s->bytes -= e->line.bytes;
    *e = s->entries[--s->n];
}

static void keep_budget(struct states *s)
{
    while (s->n > 0 && (s->bytes > s->budget || s->n > STATES_MAX)) {
        struct entry *oldest = &s->entries[0];
        for (size_t i = 1; i < s->n; i++) {
            oldest = s->entries[i].used_s < oldest->used_s ? &s->entries[i] : oldest;
        }
        drop(s, oldest, true);
    }
}

static void add(struct states *s, const struct states_line *line, int64_t used_s)
{
    char name[STATES_NAME_SIZE];
    states_name(line, name);
    struct entry *old = find(s, name);
    if (old != NULL) {
        drop(s, old, false);
    }
    s->entries = mem_realloc(s->entries, (s->n + 1) * sizeof(*s->entries));
    struct entry *e = &s->entries[s->n++];
    *e = (struct entry){.line = *line, .used_s = used_s};
    memcpy(e->name, name, sizeof(e->name));
    s->bytes += line->bytes;
}

static int64_t now_s(void)
{
    return clock_now_us() / 1000000;
}

/* Opening. */

static void read_one(struct states *s, const char *file)
{
    struct states_line line;
    struct stat st;
    struct fault why = {0};
    size_t size = 0;
    char name[STATES_NAME_SIZE];
    int fd = openat(s->dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
                states_line_read(fd, &line, &size, &why) == FAIL_NONE;
    if (good) {
        states_name(&line, name);
        good = strncmp(file, name, STATES_NAME_SIZE - 1) == 0;
    }
    if (good) {
        add(s, &line, st.st_mtim.tv_sec);
    } else {
        s->refused++;
        log_write(LOG_LEVEL_WARN, "states.refused",
                  LOG_FIELDS(LOG_TEXT("file", file), LOG_TEXT("reason", why.message)));
        (void)unlinkat(s->dir, file, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static enum fail read_folder(struct states *s, struct fault *why)
{
    int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return FAULT_ERRNO(why, FAIL_INTERNAL, "the folder of states cannot be listed");
    }
    const struct dirent *d;
    while ((d = readdir(dir)) != NULL) {
        if (text_ends_with(d->d_name, ".tmp")) {
            (void)unlinkat(s->dir, d->d_name, 0);
        } else if (text_ends_with(d->d_name, ".state")) {
            read_one(s, d->d_name);
        }
    }
    closedir(dir);
    keep_budget(s);
    return FAIL_NONE;
}

enum fail states_open(struct loop *loop, const char *home, const uint8_t key[32], int64_t budget,
                      struct states **out, struct fault *why)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/states", home);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long");
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", path);
    }
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "could not open %s", path);
    }
    struct states *s = mem_alloc(sizeof(*s));
    s->loop = loop;
    s->dir = dir;
    s->budget = budget;
    memcpy(s->key, key, sizeof(s->key));
    enum fail f = read_folder(s, why);
    if (f != FAIL_NONE) {
        close(dir);
        mem_free(s->entries);
        mem_free(s);
        return f;
    }
    s->pool = pool_new(1, JOBS_MAX);
    *out = s;
    return FAIL_NONE;
}

static void free_now(void *arg)
{
    struct states *s = arg;
    close(s->dir);
    explicit_bzero(s->key, sizeof(s->key));
    mem_free(s->entries);
    mem_free(s);
}

void states_close(struct states *s)
{
    if (s == NULL) {
        return;
    }
    pool_free(s->pool);
    s->pool = NULL;
    loop_post(s->loop, free_now, s); /* after the answers of what was still being done */
}

/* What is asked. */

void states_context(const char *build, const char *fingerprint, int n_ctx, int n_seq, char hex[65])
{
    char text[512];
    uint8_t hash[32];
    int n =
        snprintf(text, sizeof(text), "%.200s\n%.200s\n%d\n%d", build, fingerprint, n_ctx, n_seq);
    text_sha256(text, (size_t)n, hash);
    text_hex(hash, sizeof(hash), hex);
}

static struct states_line line_of(const struct states_key *k, int scores, int64_t bytes)
{
    struct states_line line = {.scores = scores, .bytes = bytes};
    (void)text_copy(line.model, sizeof(line.model), k->model);
    (void)text_copy(line.context, sizeof(line.context), k->context);
    (void)text_copy(line.domain, sizeof(line.domain), k->domain);
    (void)text_copy(line.prefix, sizeof(line.prefix), k->prefix);
    return line;
}

bool states_wants(struct states *s, const struct states_key *k, int scores, int64_t bytes)
{
    struct states_line line = line_of(k, scores, bytes);
    char name[STATES_NAME_SIZE];
    states_name(&line, name);
    struct entry *e = find(s, name);
    if (e == NULL || e->line.scores < scores) {
        return s->pool != NULL && bytes > 0 && bytes <= STATES_BYTES_MAX &&
               s->pending + bytes <= s->budget / 2;
    }
    int64_t now = now_s();
    if (now - e->used_s >= TOUCH_S) {
        char file[STATES_NAME_SIZE + 8];
        (void)snprintf(file, sizeof(file), "%s.state", e->name);
        (void)utimensat(s->dir, file, NULL, AT_SYMLINK_NOFOLLOW);
        e->used_s = now;
    }
    return false;
}

/* Jobs. */

struct job {
    struct states *states;
    int dir;
    uint8_t key[32];
    struct states_line line;
    char name[STATES_NAME_SIZE];
    int fd;
    enum fail failed;
    struct fault why;
    states_got_fn got;
    void *arg;
};

static void job_free(struct job *j)
{
    explicit_bzero(j->key, sizeof(j->key));
    mem_free(j);
}

static void write_job(void *arg)
{
    struct job *j = arg;
    j->failed = states_file_write(j->dir, j->key, &j->line, j->fd, &j->why);
    close(j->fd);
}

static void written(void *arg)
{
    struct job *j = arg;
    j->states->pending -= j->line.bytes;
    if (j->failed == FAIL_NONE) {
        add(j->states, &j->line, now_s());
        keep_budget(j->states);
    } else {
        log_fault(LOG_LEVEL_WARN, "states.not_written", &j->why);
    }
    job_free(j);
}

static struct job *job_new(struct states *s)
{
    struct job *j = mem_alloc(sizeof(*j));
    j->states = s;
    j->dir = s->dir;
    memcpy(j->key, s->key, sizeof(j->key));
    j->fd = -1;
    return j;
}

void states_put(struct states *s, const struct states_key *k, int scores, int fd, int64_t bytes)
{
    struct job *j = job_new(s);
    j->line = line_of(k, scores, bytes);
    j->fd = fd;
    if (s->pool == NULL ||
        pool_submit(s->pool, write_job, j, s->loop, written, &j->why) != FAIL_NONE) {
        close(fd);
        job_free(j);
        return;
    }
    s->pending += bytes;
}

static int by_use(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    return (*x)->used_s != (*y)->used_s ? ((*x)->used_s < (*y)->used_s ? 1 : -1)
                                        : strcmp((*x)->name, (*y)->name);
}

size_t states_list(struct states *s, const char *model, const char *context,
                   char (*names)[STATES_NAME_SIZE], size_t room)
{
    const struct entry **fit = mem_alloc_array(s->n + 1, sizeof(*fit));
    size_t n = 0, other = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct entry *e = &s->entries[i];
        bool same = strcmp(e->line.model, model) == 0;
        if (same && strcmp(e->line.context, context) == 0) {
            fit[n++] = e;
        } else {
            other += same ? 1 : 0;
        }
    }
    qsort(fit, n, sizeof(const struct entry *), by_use);
    n = n < room ? n : room;
    for (size_t i = 0; i < n; i++) {
        memcpy(names[i], fit[i]->name, STATES_NAME_SIZE);
    }
    mem_free(fit);
    if (other > 0) {
        log_write(LOG_LEVEL_INFO, "states.ignored",
                  LOG_FIELDS(LOG_NUM("files", (int64_t)other),
                             LOG_TEXT("reason", "of another engine, template or context")));
    }
    return n;
}

static void read_job(void *arg)
{
    struct job *j = arg;
    j->failed = states_file_read(j->dir, j->key, j->name, &j->line, &j->fd, &j->why);
}

static void was_read(void *arg)
{
    struct job *j = arg;
    struct states *s = j->states;
    if (j->failed != FAIL_NONE) {
        struct entry *e = find(s, j->name);
        j->fd = -1;
        s->refused += j->failed == FAIL_FORBIDDEN ? 1 : 0;
        log_write(LOG_LEVEL_WARN, "states.refused",
                  LOG_FIELDS(LOG_TEXT("file", j->name), LOG_TEXT("reason", j->why.message)));
        if (e != NULL && (j->failed == FAIL_FORBIDDEN || j->failed == FAIL_NOT_FOUND)) {
            drop(s, e, true);
        }
    }
    j->got(j->arg, j->line.domain, j->fd, j->line.bytes);
    job_free(j);
}

void states_get(struct states *s, const char *name, states_got_fn got, void *arg)
{
    struct job *j = job_new(s);
    (void)text_copy(j->name, sizeof(j->name), name);
    j->got = got;
    j->arg = arg;
    if (s->pool == NULL ||
        pool_submit(s->pool, read_job, j, s->loop, was_read, &j->why) != FAIL_NONE) {
        j->failed = FAIL_QUEUE_FULL;
        loop_post(s->loop, was_read, j);
    }
}

size_t states_forget(struct states *s, const char *team)
{
    size_t n = strlen(team), before = s->n;
    for (size_t i = s->n; i-- > 0;) {
        const char *domain = s->entries[i].line.domain;
        /* A digest stands for a long domain: it might be this team's. */
        bool whose = strncmp(domain, team, n) == 0 && domain[n] == '/';
        if (whose || strchr(domain, '/') == NULL) {
            drop(s, &s->entries[i], true);
        }
    }
    return before - s->n;
}

void states_counts(const struct states *s, struct states_counts *out)
{
    *out = (struct states_counts){.files = s->n, .bytes = s->bytes, .refused = s->refused};
}
