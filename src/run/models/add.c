/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding a model: check, copy or link, hash, manifest; and removing one.
 *
 * The file arrives as `.new-<pid>`, is checked and hashed on the descriptor it was written through,
 * and takes its name by rename. Whatever goes wrong before leaves nothing behind; what a killed
 * process left is swept away by the next one that adds.
 * Threads: one; other processes wait at the lock.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"
#include "run/models/models_internal.h"

#define CHUNK (1u << 20)
#define TEMP_SIZE 40

/* "My Model.Q4_K_M.gguf" -> "my-model.q4_k_m"; false when nothing of a name is left. */
static bool name_from(const char *path, char out[MODELS_NAME_SIZE])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    size_t len = strlen(base), n = 0;
    if (len > 5 && strcmp(base + len - 5, ".gguf") == 0) {
        len -= 5;
    }
    for (size_t i = 0; i < len && n + 1 < MODELS_NAME_SIZE; i++) {
        char c = base[i] >= 'A' && base[i] <= 'Z' ? (char)(base[i] - 'A' + 'a') : base[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (alnum || (n > 0 && (c == '.' || c == '_' || c == '-'))) {
            out[n++] = c;
        } else if (n > 0 && out[n - 1] != '-') {
            out[n++] = '-';
        }
    }
    while (n > 0 && out[n - 1] == '-') {
        n--;
    }
    out[n] = '\0';
    return text_is_name(out);
}

static enum fail fill_entry(struct models_entry *e, const struct models_add *what,
                            const struct models_facts *facts, struct fault *why)
{
    memset(e, 0, sizeof(*e));
    const char *slash = strrchr(what->path, '/');
    if (what->name == NULL ? !name_from(what->path, e->name) : !text_is_name(what->name)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" cannot be a model's name",
              what->name == NULL ? what->path : what->name);
        return fail_hint(why, "Give --name with a-z, 0-9, '.', '_' or '-', at most 64 characters, "
                              "the first a letter or digit.");
    }
    if (what->name != NULL) {
        text_copy(e->name, sizeof(e->name), what->name);
    }
    const char *role = what->role != NULL                         ? what->role
                       : facts->is_adapter                        ? "other"
                       : facts->embeds                            ? "embed"
                       : facts->parameters < UINT64_C(1000000000) ? "light"
                                                                  : "heavy";
    if (!models_role_is_known(role)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.40s\" is not a role", role);
        return fail_hint(why, "Roles are light, heavy, embed, rerank and other.");
    }
    if (models_role_is_known(e->name) || strcmp(e->name, "auto") == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "a model cannot be called \"%s\"", e->name);
        return fail_hint(why, "Roles and `auto` already mean something where a model is named.");
    }
    text_copy(e->role, sizeof(e->role), role);
    text_copy(e->kind, sizeof(e->kind), facts->is_adapter ? "adapter" : "gguf");
    text_copy(e->arch, sizeof(e->arch), facts->arch);
    text_copy(e->quant, sizeof(e->quant), facts->quant);
    text_copy(e->source, sizeof(e->source),
              what->source != NULL ? what->source
              : slash == NULL      ? what->path
                                   : slash + 1);
    text_copy(e->licence, sizeof(e->licence),
              what->licence != NULL ? what->licence : facts->licence);
    e->bytes = (int64_t)facts->bytes;
    e->added_at = clock_now_us();
    return FAIL_NONE;
}

static enum fail check_room(const struct models *m, uint64_t bytes, struct fault *why)
{
    struct statvfs vfs;
    if (fstatvfs(m->dir, &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < bytes) {
        FAULT(why, FAIL_DISK_FULL,
              "%.160s/models: the model needs %" PRIu64 " bytes and %" PRIu64 " are free", m->home,
              bytes, (uint64_t)vfs.f_bavail * vfs.f_frsize);
        return fail_hint(why, "Free some space, or set INHOUSE_HOME to a folder on a larger disk.");
    }
    return FAIL_NONE;
}

static enum fail copy_bytes(int from, int to, uint64_t bytes, const char *what,
                            models_progress_fn progress, void *ctx, struct fault *why)
{
    AUTO_FREE uint8_t *chunk = mem_alloc(CHUNK);
    for (uint64_t at = 0; at < bytes;) {
        ssize_t n = pread(from, chunk, CHUNK, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return FAULT_ERRNO(why, FAIL_INTERNAL, "%.120s: cannot be read", what);
        }
        if (n == 0) {
            return FAULT(why, FAIL_BAD_REQUEST, "%.120s: the file shrank while it was copied",
                         what);
        }
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, chunk + done, (size_t)(n - done));
            if (w < 0 && errno != EINTR) {
                return FAULT_ERRNO(why, fail_from_write_errno(errno), "%.120s: copying it failed",
                                   what);
            }
            done += w > 0 ? w : 0;
        }
        at += (uint64_t)n;
        if (progress != NULL && !progress(ctx, "copy", at, bytes)) {
            return FAULT(why, FAIL_STOPPED, "%.120s: stopped while it was copied", what);
        }
    }
    return FAIL_NONE;
}

/* Brings the file into the store under a temporary name; *fd is open for reading on it. */
static enum fail bring(const struct models *m, const struct models_add *what, int from,
                       uint64_t bytes, const char *temp, models_progress_fn progress, void *ctx,
                       int *fd, struct fault *why)
{
    char self[32];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", from);
    if (what->link && linkat(AT_FDCWD, self, m->dir, temp, AT_SYMLINK_FOLLOW) == 0) {
        *fd = openat(m->dir, temp, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return *fd >= 0 ? FAIL_NONE
                        : FAULT_ERRNO(why, FAIL_INTERNAL, "models/%s: cannot be opened", temp);
    }
    enum fail f = check_room(m, bytes, why);
    if (f != FAIL_NONE) {
        return f;
    }
    *fd = openat(m->dir, temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: cannot be made", temp);
    }
    return copy_bytes(from, *fd, bytes, what->path, progress, ctx, why);
}

/* Hash, compare, mode, sync: after this the temporary file is the model. */
static enum fail settle(const struct models_add *what, int fd, struct models_entry *e,
                        models_progress_fn progress, void *ctx, struct fault *why)
{
    struct models_facts facts;
    /* Again, on the store's own copy: the source may have changed under our hands. */
    enum fail f = models_gguf_check(fd, what->path, &facts, why);
    if (f == FAIL_NONE) {
        e->bytes = (int64_t)facts.bytes;
        f = models_hash_fd(fd, facts.bytes, what->path, progress, ctx, e->sha256, why);
    }
    if (f == FAIL_NONE && what->sha256 != NULL && strcasecmp(what->sha256, e->sha256) != 0) {
        FAULT(why, FAIL_BAD_REQUEST, "%.100s: its sha256 is %s, not %.64s", what->path, e->sha256,
              what->sha256);
        return fail_hint(why, "The file is not the one that was meant, or was damaged on the way.");
    }
    if (f == FAIL_NONE && (fchmod(fd, 0444) != 0 || fsync(fd) != 0)) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "%.120s: copying it failed", what->path);
    }
    return f;
}

static enum fail check_free_name(const struct models *m, const struct models_entry *e,
                                 struct fault *why)
{
    const struct models_entry *other = NULL;
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->entries[i].name, e->name) == 0) {
            other = &m->entries[i];
        }
    }
    if (other != NULL && strcmp(other->sha256, e->sha256) != 0) {
        FAULT(why, FAIL_CONFLICT, "the name %s belongs to another model file (sha256 %.16s...)",
              e->name, other->sha256);
        return fail_hint(why, "Give another --name, or remove the old one first.");
    }
    return other == NULL && m->n >= MODELS_MAX
               ? FAULT(why, FAIL_TOO_LARGE, "%d models are enough: remove one first", MODELS_MAX)
               : FAIL_NONE;
}

enum fail models_take_file(const struct models *m, const char *path, struct models_release *out,
                           struct fault *why)
{
    const struct models_add what = {.path = path, .link = true};
    struct models_entry e = {0};
    struct models_facts facts;
    struct stat st;
    char temp[TEMP_SIZE];
    int fd = -1, from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0) {
        return FAULT_ERRNO(why, FAIL_NOT_FOUND, "%.200s: cannot be opened", path);
    }
    snprintf(temp, sizeof(temp), ".new-%d", (int)getpid());
    enum fail f = models_gguf_check(from, path, &facts, why);
    if (f == FAIL_NONE) {
        f = bring(m, &what, from, facts.bytes, temp, NULL, NULL, &fd, why);
    }
    if (f == FAIL_NONE) {
        f = settle(&what, fd, &e, NULL, NULL, why);
    }
    if (f == FAIL_NONE && renameat(m->dir, temp, m->dir, e.sha256) != 0) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: cannot be put in place",
                        e.sha256);
    }
    if (f == FAIL_NONE) {
        text_copy(out->sha256, sizeof(out->sha256), e.sha256);
        text_copy(out->quant, sizeof(out->quant), facts.quant);
        out->bytes = e.bytes;
        if (fstat(fd, &st) == 0) {
            models_seen_put(m, e.sha256, &st);
        }
    }
    unlinkat(m->dir, temp, 0);
    close(from);
    if (fd >= 0) {
        close(fd);
    }
    return f;
}

static enum fail place(struct models *m, const char *temp, int fd, const struct models_entry *e,
                       struct fault *why)
{
    struct stat st;
    if (renameat(m->dir, temp, m->dir, e->sha256) != 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: cannot be put in place",
                           e->sha256);
    }
    /* rename() of two names of one file leaves both. */
    unlinkat(m->dir, temp, 0);
    enum fail f = models_manifest_write(m, e, why);
    if (f == FAIL_NONE && fstat(fd, &st) == 0) {
        models_seen_put(m, e->sha256, &st);
    }
    return f;
}

/* What an earlier process was killed over. Called with the lock held, so nobody is writing one. */
static void sweep(const struct models *m)
{
    int fd = openat(m->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        int64_t pid;
        if (text_starts_with(d->d_name, ".new-")) {
            unlinkat(m->dir, d->d_name, 0);
        } else if (text_starts_with(d->d_name, ".import-") &&
                   text_read_int(d->d_name + 8, 1, INT32_MAX, &pid) && kill((pid_t)pid, 0) != 0 &&
                   errno == ESRCH) {
            models_clean_import(m, d->d_name);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    } else if (fd >= 0) {
        close(fd);
    }
}

/* An adapter is added over a stored model of its architecture, and a model over none. Whether its
   weights fit is for the worker to find out. */
static enum fail fit_base(const struct models *m, const struct models_add *what,
                          const struct models_facts *facts, struct models_entry *e,
                          struct fault *why)
{
    const struct models_entry *base = NULL;
    if (facts->is_adapter && what->adapter_of == NULL) {
        FAULT(why, FAIL_UNSUPPORTED, "%.120s: this GGUF holds a adapter, not a model", what->path);
        return fail_hint(why,
                         "Add it over its model: `inhouse models add FILE --adapter-of MODEL`.");
    }
    if (!facts->is_adapter && what->adapter_of == NULL) {
        return FAIL_NONE;
    }
    if (!facts->is_adapter) {
        FAULT(why, FAIL_BAD_REQUEST, "%.120s: this GGUF holds a model, not an adapter", what->path);
        return fail_hint(why, "Leave out --adapter-of.");
    }
    enum fail f = models_get(m, what->adapter_of, &base, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (strcmp(base->kind, "gguf") != 0 || strcmp(base->arch, facts->arch) != 0) {
        FAULT(why, FAIL_BAD_REQUEST, "%.100s: an adapter for %.40s does not fit over %.64s (%.40s)",
              what->path, facts->arch, base->name, base->arch);
        return fail_hint(why, "Name the model that the adapter was trained on.");
    }
    text_copy(e->base, sizeof(e->base), base->sha256);
    return FAIL_NONE;
}

static enum fail add_locked(struct models *m, const struct models_add *what, int from,
                            models_progress_fn progress, void *ctx, struct models_entry *e,
                            struct fault *why)
{
    char temp[TEMP_SIZE];
    struct models_facts facts;
    int fd = -1;
    snprintf(temp, sizeof(temp), ".new-%d", (int)getpid());
    sweep(m);
    enum fail f = models_reload(m, why);
    if (f == FAIL_NONE) {
        f = models_gguf_check(from, what->path, &facts, why);
    }
    if (f == FAIL_NONE) {
        f = fill_entry(e, what, &facts, why);
    }
    if (f == FAIL_NONE) {
        f = fit_base(m, what, &facts, e, why);
    }
    if (f == FAIL_NONE) {
        f = bring(m, what, from, facts.bytes, temp, progress, ctx, &fd, why);
    }
    if (f == FAIL_NONE) {
        f = settle(what, fd, e, progress, ctx, why);
    }
    if (f == FAIL_NONE) {
        f = check_free_name(m, e, why);
    }
    for (size_t i = 0; f == FAIL_NONE && i < m->n; i++) {
        if (strcmp(m->entries[i].sha256, e->sha256) == 0) { /* the same file again */
            e->pin = m->entries[i].pin;
            e->memory_bytes = m->entries[i].memory_bytes;
            e->memory_ctx = m->entries[i].memory_ctx;
            e->active = m->entries[i].active;
            e->candidate = m->entries[i].candidate;
        }
    }
    if (f == FAIL_NONE) {
        f = place(m, temp, fd, e, why);
    }
    if (f == FAIL_NONE) {
        models_put_entry(m, e);
    }
    unlinkat(m->dir, temp, 0);
    if (fd >= 0) {
        close(fd);
    }
    return f;
}

enum fail models_add(struct models *m, const struct models_add *what, models_progress_fn progress,
                     void *ctx, struct models_entry *out, struct fault *why)
{
    struct models_entry e;
    struct stat st;
    int from = open(what->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0) {
        FAULT_ERRNO(why, errno == EACCES ? FAIL_FORBIDDEN : FAIL_NOT_FOUND,
                    "%.200s: cannot be opened", what->path);
        return fail_hint(why, "Give the path of a .gguf file.");
    }
    if (fstat(from, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(from);
        FAULT(why, FAIL_BAD_REQUEST, "%.200s: this is a folder, not a GGUF file", what->path);
        return fail_hint(why, "Give the .gguf file inside it; a sentence-transformers folder goes "
                              "to `inhouse models import`.");
    }
    int lock = -1;
    enum fail f = models_lock(m, &lock, why);
    if (f == FAIL_NONE) {
        f = add_locked(m, what, from, progress, ctx, &e, why);
        close(lock);
    }
    close(from);
    if (f == FAIL_NONE && out != NULL) {
        *out = e;
    }
    return f;
}

enum fail models_remove(struct models *m, const char *name, struct fault *why)
{
    struct models_entry e = {0};
    int lock = -1;
    enum fail f = models_lock(m, &lock, why);
    if (f != FAIL_NONE) {
        return f;
    }
    f = models_reload(m, why);
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->entries[i].name, name) == 0) {
            e = m->entries[i];
        }
    }
    if (f == FAIL_NONE && e.name[0] == '\0') {
        FAULT(why, FAIL_NOT_FOUND, "there is no model %.64s", name);
        f = fail_hint(why, "Run `inhouse models list` to see what is there.");
    }
    if (f == FAIL_NONE) {
        char file[TEXT_SHA256_HEX_SIZE + 8];
        /* The manifest first: a file without one is nobody's model. */
        snprintf(file, sizeof(file), "%s.json", e.sha256);
        if (unlinkat(m->dir, file, 0) != 0) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "models/%s: cannot be removed", file);
        } else {
            models_drop_entry(m, e.sha256);
            models_drop_file(m, e.sha256);
            if (e.active.there) {
                models_drop_file(m, e.active.sha256);
            }
            if (e.candidate.there) {
                models_drop_file(m, e.candidate.sha256);
            }
        }
    }
    close(lock);
    return f;
}
