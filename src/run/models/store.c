/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: opening it, its list in memory, finding a model, and opening one for a worker.
 * Threads: one. Limits: MODELS_MAX models.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "run/models/models_internal.h"

static int by_name(const void *a, const void *b)
{
    const struct models_entry *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c != 0 ? c : strcmp(x->sha256, y->sha256);
}

void models_put_entry(struct models *m, const struct models_entry *entry)
{
    models_drop_entry(m, entry->sha256);
    ASSERT(m->n < MODELS_MAX);
    m->entries[m->n++] = *entry;
    qsort(m->entries, m->n, sizeof(*m->entries), by_name);
}

void models_drop_entry(struct models *m, const char *sha256)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->entries[i].sha256, sha256) == 0) {
            memmove(&m->entries[i], &m->entries[i + 1], (m->n - i - 1) * sizeof(*m->entries));
            m->n--;
            return;
        }
    }
}

static bool is_manifest(const char *file)
{
    uint8_t hash[32];
    return strlen(file) == 69 && text_unhex(file, 64, hash) && strcmp(file + 64, ".json") == 0;
}

enum fail models_reload(struct models *m, struct fault *why)
{
    int fd = openat(m->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return FAULT_ERRNO(why, FAIL_INTERNAL, "%.200s/models: cannot be listed", m->home);
    }
    m->n = 0;
    m->n_broken = 0;
    enum fail f = FAIL_NONE;
    const struct dirent *d;
    while (f == FAIL_NONE && (d = readdir(dir)) != NULL) {
        if (!is_manifest(d->d_name)) {
            continue;
        }
        struct models_entry e;
        struct fault wrong = {0};
        if (m->n + m->n_broken >= MODELS_MAX) {
            f = FAULT(why, FAIL_TOO_LARGE, "%.200s/models: more than %d models", m->home,
                      MODELS_MAX);
        } else if (models_manifest_read(m, d->d_name, &e, &wrong) == FAIL_NONE) {
            m->entries[m->n++] = e;
        } else {
            m->broken = mem_realloc(m->broken, (m->n_broken + 1) * sizeof(*m->broken));
            m->broken[m->n_broken++] = wrong;
        }
    }
    closedir(dir);
    qsort(m->entries, m->n, sizeof(*m->entries), by_name);
    return f;
}

enum fail models_open(const char *home, struct models **out, struct fault *why)
{
    struct buf path;
    buf_init(&path, 4096);
    *out = NULL;
    if (!buf_printf(&path, "%s/models", home)) {
        buf_done(&path);
        return FAULT(why, FAIL_BAD_REQUEST, "the data folder's path is too long");
    }
    int dir = -1;
    if (mkdir(path.data, 0700) == 0 || errno == EEXIST) {
        dir = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    int saved = errno;
    buf_done(&path);
    if (dir < 0) {
        errno = saved;
        FAULT_ERRNO(why, saved == ENOSPC ? FAIL_DISK_FULL : FAIL_NOT_FOUND,
                    "%.200s/models: cannot be opened", home);
        return fail_hint(why, "INHOUSE_HOME must name a folder that this user may write.");
    }
    struct models *m = mem_alloc(sizeof(*m));
    m->home = mem_dup_str(home);
    m->dir = dir;
    m->entries = mem_alloc_array(MODELS_MAX, sizeof(*m->entries));
    enum fail f = models_reload(m, why);
    if (f != FAIL_NONE) {
        models_close(m);
        return f;
    }
    *out = m;
    return FAIL_NONE;
}

void models_close(struct models *m)
{
    if (m != NULL) {
        close(m->dir);
        mem_free(m->home);
        mem_free(m->entries);
        mem_free(m->broken);
        mem_free(m);
    }
}

enum fail models_lock(struct models *m, int *lock, struct fault *why)
{
    int fd = openat(m->dir, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR) {
            close(fd);
            fd = -1;
        }
    }
    *lock = fd;
    if (fd < 0) {
        enum fail f = FAULT_ERRNO(why, fail_from_write_errno(errno),
                                  "%.200s/models: cannot be locked", m->home);
        fail_hint(why, "The folder must be on a local disk that this user may write.");
        return f;
    }
    return FAIL_NONE;
}

size_t models_count(const struct models *m)
{
    return m->n;
}

const struct models_entry *models_at(const struct models *m, size_t i)
{
    ASSERT(i < m->n);
    return &m->entries[i];
}

size_t models_broken(const struct models *m)
{
    return m->n_broken;
}

const struct fault *models_broken_at(const struct models *m, size_t i)
{
    ASSERT(i < m->n_broken);
    return &m->broken[i];
}

const struct models_entry *models_find(const struct models *m, const char *name_or_role)
{
    const struct models_entry *found = NULL;
    size_t len = strlen(name_or_role);
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->entries[i].name, name_or_role) == 0) {
            return &m->entries[i];
        }
    }
    for (size_t i = 0; i < m->n; i++) {
        const struct models_entry *e = &m->entries[i];
        if (strcmp(e->role, name_or_role) == 0 &&
            (found == NULL || e->added_at > found->added_at)) {
            found = e;
        }
    }
    for (size_t i = 0; found == NULL && len >= 8 && i < m->n; i++) {
        if (strncmp(m->entries[i].sha256, name_or_role, len) == 0) {
            found = &m->entries[i];
        }
    }
    return found;
}

enum fail models_get(const struct models *m, const char *name_or_role,
                     const struct models_entry **out, struct fault *why)
{
    *out = models_find(m, name_or_role);
    if (*out != NULL) {
        return FAIL_NONE;
    }
    bool role = models_role_is_known(name_or_role);
    FAULT(why, FAIL_NOT_FOUND, role ? "no model has the role %.64s" : "there is no model %.64s",
          name_or_role);
    return fail_hint(why,
                     "Run `inhouse models list` to see what is there, or add one: "
                     "`inhouse models add FILE.gguf%s%.16s`.",
                     role ? " --role " : "", role ? name_or_role : "");
}

void models_serving_get(const struct models_entry *e, struct models_serving *out)
{
    *out = e->active.there
               ? (struct models_serving){e->active.sha256, e->active.quant, e->active.bytes,
                                         e->active.run}
               : (struct models_serving){e->sha256, e->quant, e->bytes, {.gpu_layers = -1}};
}

bool models_path(const struct models *m, const char *sha256, char *out, size_t room)
{
    int n = snprintf(out, room, "%s/models/%s", m->home, sha256);
    return n > 0 && (size_t)n < room;
}

static enum fail open_stored(const struct models *m, const struct models_entry *e,
                             const char *sha256, int64_t bytes, int *fd, struct stat *st,
                             struct fault *why)
{
    *fd = openat(m->dir, sha256, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (*fd < 0) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "model %s: its file models/%s cannot be opened", e->name,
                    sha256);
        return fail_hint(why, "Add it again: `inhouse models add FILE.gguf --name %s`.", e->name);
    }
    if (fstat(*fd, st) != 0 || !S_ISREG(st->st_mode) || st->st_size != bytes) {
        FAULT(why, FAIL_MODEL_UNAVAILABLE,
              "model %s: its file has %jd bytes and the manifest says %" PRId64, e->name,
              (intmax_t)st->st_size, bytes);
        fail_hint(why, "The file was changed: remove the model and add it again.");
        close(*fd);
        *fd = -1;
        return FAIL_MODEL_UNAVAILABLE;
    }
    return FAIL_NONE;
}

enum fail models_show(const struct models *m, const struct models_entry *entry,
                      struct models_facts *out, struct fault *why)
{
    int fd = -1;
    struct stat st;
    struct models_serving s;
    models_serving_get(entry, &s);
    enum fail f = open_stored(m, entry, s.sha256, s.bytes, &fd, &st, why);
    if (f == FAIL_NONE) {
        f = models_gguf_check(fd, entry->name, out, why);
        close(fd);
    }
    return f;
}

/* Header first, so that a damaged file is told as such; then the hash, unless this file passed
 * before. */
static enum fail verify(const struct models *m, const struct models_entry *e, const char *sha256,
                        int fd, const struct stat *st, models_progress_fn progress, void *ctx,
                        struct fault *why)
{
    char hex[TEXT_SHA256_HEX_SIZE];
    struct models_facts facts;
    enum fail f = models_gguf_check(fd, e->name, &facts, why);
    if (f != FAIL_NONE || models_seen_is(m, sha256, st)) {
        return f;
    }
    f = models_hash_fd(fd, (uint64_t)st->st_size, e->name, progress, ctx, hex, why);
    if (f == FAIL_NONE && strcmp(hex, sha256) != 0) {
        FAULT(why, FAIL_MODEL_UNAVAILABLE, "model %s: its file's sha256 begins %.16s and not %.16s",
              e->name, hex, sha256);
        return fail_hint(why,
                         "The file was changed or the disk is failing: remove the model, add it "
                         "again from its source, and look at the disk.");
    }
    if (f == FAIL_NONE) {
        models_seen_put(m, sha256, st);
    }
    return f;
}

enum fail models_open_fd(const struct models *m, const struct models_entry *entry,
                         models_progress_fn progress, void *ctx, int *fd, struct fault *why)
{
    struct stat st;
    struct models_serving s;
    models_serving_get(entry, &s);
    enum fail f = open_stored(m, entry, s.sha256, s.bytes, fd, &st, why);
    if (f == FAIL_NONE) {
        f = verify(m, entry, s.sha256, *fd, &st, progress, ctx, why);
        if (f != FAIL_NONE) {
            close(*fd);
            *fd = -1;
        }
    }
    return f;
}
