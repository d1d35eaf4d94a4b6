/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing: run `inhouse-worker --tool import` and add the GGUF it made from a folder of our own.
 * Only texts we cut to size come out of the job's lines. What it made goes through models_add like
 * any other file.
 * Threads: one; blocks until the job ended. Limits: run/child's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "run/child/child.h"
#include "run/models/models_internal.h"

#define OUT_NAME "model.gguf"

struct import {
    const struct models_import *what;
    models_progress_fn progress;
    void *ctx;
    char name[MODELS_NAME_SIZE];
    char licence[96];
};

static void take_done(struct import *c, const json_t *line)
{
    const char *name = json_string_value(json_object_get(line, "name"));
    const char *licence = json_string_value(json_object_get(line, "licence"));
    size_t n = 0;
    /* "all-MiniLM-L6-v2" -> "all-minilm-l6-v2"; anything stranger is no name. */
    for (; name != NULL && name[n] != '\0' && n + 1 < sizeof(c->name); n++) {
        c->name[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] - 'A' + 'a') : name[n];
    }
    c->name[n] = '\0';
    if (!text_is_name(c->name)) {
        c->name[0] = '\0';
    }
    text_copy(c->licence, sizeof(c->licence), licence == NULL ? "" : licence);
}

static enum fail take_line(void *ctx, const char *event, const json_t *line, struct fault *why)
{
    struct import *c = ctx;
    if (strcmp(event, "progress") == 0) {
        json_int_t done = json_integer_value(json_object_get(line, "done"));
        json_int_t total = json_integer_value(json_object_get(line, "total"));
        if (c->progress != NULL && done >= 0 && total >= done &&
            !c->progress(c->ctx, "import", (uint64_t)done, (uint64_t)total)) {
            return FAULT(why, FAIL_STOPPED, "%.120s: stopped while it was imported",
                         c->what->folder);
        }
    } else if (strcmp(event, "done") == 0) {
        take_done(c, line);
    }
    return FAIL_NONE;
}

static enum fail add_result(struct models *m, const struct import *c, const char *out_dir,
                            struct models_entry *out, struct fault *why)
{
    struct buf path;
    AUTO_FREE char *folder = mem_dup_str(c->what->folder);
    size_t len = strlen(folder);
    while (len > 1 && folder[len - 1] == '/') {
        folder[--len] = '\0';
    }
    const char *slash = strrchr(folder, '/');
    const char *base = slash == NULL ? folder : slash + 1;
    buf_init(&path, 4096);
    buf_printf(&path, "%s/" OUT_NAME, out_dir);
    struct models_add add = {.path = path.data,
                             .name = c->what->name != NULL ? c->what->name
                                     : c->name[0] != '\0'  ? c->name
                                                           : base,
                             .role = c->what->role,
                             .source = c->what->source != NULL ? c->what->source : base,
                             .licence = c->licence,
                             .link = true};
    enum fail f = models_add(m, &add, c->progress, c->ctx, out, why);
    buf_done(&path);
    return f;
}

void models_clean_import(const struct models *m, const char *name)
{
    int at = openat(m->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (at >= 0) {
        unlinkat(at, OUT_NAME, 0);
        close(at);
        unlinkat(m->dir, name, AT_REMOVEDIR);
    }
}

/* A folder of our own in the store's, so that the result is linked and not copied. */
static enum fail make_folder(const struct models *m, const char *name, struct buf *path,
                             struct fault *why)
{
    buf_init(path, 4096);
    if (!buf_printf(path, "%s/models/%s", m->home, name) || mkdirat(m->dir, name, 0700) != 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "%.200s/models/%s: cannot be made",
                           m->home, name);
    }
    return FAIL_NONE;
}

/* The imported file in from_dir, quantised into a folder of its own, and that one added. */
static enum fail add_quantised(struct models *m, struct import *c, const char *from_dir,
                               struct models_entry *out, struct fault *why)
{
    struct buf dir;
    char name[48], from[4200];
    snprintf(name, sizeof(name), ".import-%d-q", (int)getpid());
    snprintf(from, sizeof(from), "%.4096s/" OUT_NAME, from_dir);
    enum fail f = make_folder(m, name, &dir, why);
    if (f == FAIL_NONE) {
        const char *const words[] = {"quantize", "--in",   from,   "--out",
                                     dir.data,   "--type", "Q8_0", NULL};
        const struct child job = {.what = c->what->folder, .words = words,
                                .worker_path = c->what->worker_path,
                                .timeout_ms = c->what->timeout_ms};
        f = child_run(&job, why);
        f = f != FAIL_NONE ? f : add_result(m, c, dir.data, out, why);
        models_clean_import(m, name);
    }
    buf_done(&dir);
    return f;
}

enum fail models_import(struct models *m, const struct models_import *what,
                        models_progress_fn progress, void *ctx, struct models_entry *out,
                        struct fault *why)
{
    struct import c = {.what = what, .progress = progress, .ctx = ctx};
    struct buf dir;
    char name[40];
    if (what->name != NULL && !text_is_name(what->name)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.80s\" cannot be a model's name", what->name);
        return fail_hint(why, "Use a-z, 0-9, '.', '_' or '-', at most 64 characters, the first a "
                              "letter or digit.");
    }
    bool quantise = what->type != NULL && strcmp(what->type, "q8_0") == 0;
    snprintf(name, sizeof(name), ".import-%d", (int)getpid());
    enum fail f = make_folder(m, name, &dir, why);
    if (f == FAIL_NONE) {
        const char *const words[] = {"import", "--in",   what->folder, "--out",
                                     dir.data, "--type",
                                     what->type == NULL || quantise ? "f16" : what->type, NULL};
        const struct child job = {.what = what->folder, .words = words,
                                .worker_path = what->worker_path, .timeout_ms = what->timeout_ms,
                                .on_line = take_line, .ctx = &c};
        f = child_run(&job, why);
        if (f == FAIL_NONE) {
            f = quantise ? add_quantised(m, &c, dir.data, out, why)
                         : add_result(m, &c, dir.data, out, why);
        }
        models_clean_import(m, name);
    }
    buf_done(&dir);
    return f;
}
