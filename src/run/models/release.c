/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Releases of a model: a candidate beside the file that serves, and a person's decision about it.
 * Both live in the manifest of the original, so a decision is one rename.
 * Threads: one; other processes wait at the lock. Limits: one active and one candidate each.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"
#include "run/models/models_internal.h"

static struct models_entry *find_exact(struct models *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->entries[i].name, name) == 0) {
            return &m->entries[i];
        }
    }
    return NULL;
}

static enum fail begin(struct models *m, const char *name, int *lock, struct models_entry **e,
                       struct fault *why)
{
    enum fail f = models_lock(m, lock, why);
    if (f != FAIL_NONE) {
        return f;
    }
    f = models_reload(m, why);
    *e = f == FAIL_NONE ? find_exact(m, name) : NULL;
    if (f == FAIL_NONE && *e == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "there is no model %.64s", name);
        f = fail_hint(why, "Run `inhouse models list` to see what is there.");
    }
    if (f != FAIL_NONE) {
        close(*lock);
    }
    return f;
}

static bool is_used(const struct models *m, const char *sha256)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct models_entry *e = &m->entries[i];
        if (strcmp(e->sha256, sha256) == 0 ||
            (e->active.there && strcmp(e->active.sha256, sha256) == 0) ||
            (e->candidate.there && strcmp(e->candidate.sha256, sha256) == 0)) {
            return true;
        }
    }
    return false;
}

void models_drop_file(const struct models *m, const char *sha256)
{
    char seen[TEXT_SHA256_HEX_SIZE + 8];
    if (!is_used(m, sha256)) {
        snprintf(seen, sizeof(seen), ".seen-%s", sha256);
        unlinkat(m->dir, sha256, 0);
        unlinkat(m->dir, seen, 0);
    }
}

/* The manifest first, then memory, then the files that nothing names any more. */
static enum fail commit(struct models *m, const struct models_entry *changed,
                        const struct models_release *gone, struct fault *why)
{
    enum fail f = models_manifest_write(m, changed, why);
    if (f == FAIL_NONE) {
        models_put_entry(m, changed);
        if (gone->there) {
            models_drop_file(m, gone->sha256);
        }
    }
    return f;
}

enum fail models_propose(struct models *m, const char *name, const char *path,
                         struct models_release *release, struct fault *why)
{
    struct models_entry *e = NULL;
    int lock = -1;
    enum fail f = begin(m, name, &lock, &e, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct models_entry changed = *e;
    const struct models_release gone = e->candidate;
    if (path != NULL) {
        f = models_take_file(m, path, release, why);
    } else {
        text_copy(release->sha256, sizeof(release->sha256), e->sha256);
        text_copy(release->quant, sizeof(release->quant), e->quant);
        release->bytes = e->bytes;
    }
    if (f == FAIL_NONE) {
        release->there = true;
        release->made_at = clock_now_us();
        changed.candidate = *release;
        f = commit(m, &changed, &gone, why);
    }
    close(lock);
    return f;
}

enum fail models_adopt(struct models *m, const char *name, bool back, const char *sha256,
                       struct models_entry *out, struct fault *why)
{
    struct models_entry *e = NULL;
    int lock = -1;
    enum fail f = begin(m, name, &lock, &e, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct models_entry changed = *e;
    const struct models_release *meant = back ? &e->active : &e->candidate;
    struct models_release gone = back ? e->candidate : e->active;
    if (!meant->there || (sha256 != NULL && strcmp(meant->sha256, sha256) != 0)) {
        FAULT(why, FAIL_CONFLICT, "the model %s has no such %s", name,
              back ? "adopted release" : "candidate");
        f = fail_hint(why, back ? "Its original file serves already."
                                : "`inhouse models tune NAME` measures and proposes one.");
    } else {
        changed.active = back ? (struct models_release){0} : e->candidate;
        changed.candidate = back ? e->active : (struct models_release){0};
        changed.memory_bytes = changed.memory_ctx = 0; /* that was another file or another cache */
        f = commit(m, &changed, &gone, why);
    }
    if (f == FAIL_NONE && out != NULL) {
        *out = changed;
    }
    close(lock);
    return f;
}
