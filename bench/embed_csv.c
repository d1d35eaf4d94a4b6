/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sentence vectors for measurements: embed_csv MODEL-FOLDER FILE.csv OUT.f32 imports the folder as
 * the worker's tool does and embeds the first column with the worker's engine: one row of
 * little-endian float32 a row of the file, in its order.
 * Owns: a temporary folder, removed. Threads: the engine's one. Limits: those of the engine; an
 * output file appears whole or not at all.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "csv.h"
#include "worker/engine/engine.h"
#include "worker/tool/tool.h"

#define BATCH 64

struct rows {
    float *at; /* n x dim, made with the first answer */
    size_t n, done;
    int dim;
    bool failed;
};

static enum fail no_seal(const struct tool_reach *reach, struct fault *why)
{
    (void)reach;
    (void)why;
    return FAIL_NONE;
}

static void take_rows(void *self, uint64_t id, const struct engine_embedded *result)
{
    struct rows *r = self;
    if (r->at == NULL) {
        r->dim = result->dim;
        r->at = mem_alloc_array(r->n * (size_t)r->dim, sizeof(*r->at));
    }
    size_t row = (size_t)r->dim * sizeof(*r->at);
    memcpy(r->at + id * (size_t)r->dim, result->rows, result->n * row);
    r->done += result->n;
}

static void take_failure(void *self, uint64_t id, const struct fault *why)
{
    fprintf(stderr, "row %zu: %s\n", (size_t)id + 1, why->message);
    ((struct rows *)self)->failed = true;
}

/* A child imports, as the worker's tool process does; true when its file is there. */
static bool import_model(const char *folder, const char *out, const char *engine_dir)
{
    int status = 1;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
        char *argv[] = {(char *)"import", (char *)"--in", (char *)folder, (char *)"--out",
                        (char *)out, (char *)"--type", (char *)"f16", NULL};
        _exit(tool_main(7, argv, engine_dir, no_seal));
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static bool submit(struct engine *e, const struct csv *c, size_t at, struct fault *why)
{
    size_t n = c->n - at < BATCH ? c->n - at : BATCH;
    struct arena *a = arena_new(1 << 20);
    struct engine_ask *ask = arena_alloc(a, sizeof(*ask));
    size_t *lens = arena_alloc(a, n * sizeof(*lens));
    for (size_t i = 0; i < n; i++) {
        lens[i] = strlen(c->text[at + i]);
    }
    *ask = (struct engine_ask){.arena = a, .id = at, .class = IPC_BATCH, .job = ENGINE_JOB_EMBED,
                               .domain = "bench",
                               .embed = {(const char *const *)&c->text[at], lens, n}};
    return e->ops->submit(e, ask, why) == FAIL_NONE;
}

static bool embed(const char *model, const struct csv *c, struct rows *r)
{
    struct fault why = {0};
    struct engine_sink sink = {.self = r, .embedded = take_rows, .failed = take_failure};
    struct engine_load load = {
        .model = "bench", .kind = ENGINE_EMBED, .n_seq = 16, .n_threads = 1};
    struct engine_loaded loaded;
    struct engine *e = engine_llama_new(&sink);
    int fd = open(model, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && e->ops->load(e, fd, &load, &loaded, &why) == FAIL_NONE;
    for (size_t at = 0; ok && at < c->n && !r->failed; at += BATCH) {
        struct engine_step step;
        ok = submit(e, c, at, &why);
        while (ok && e->ops->forecast(e, &step)) {
            e->ops->step(e, 0);
        }
    }
    if (!ok) {
        fprintf(stderr, "%s: %s\n", model, why.message);
    }
    e->ops->free(e);
    if (fd >= 0) {
        close(fd);
    }
    return ok && r->done == c->n;
}

static bool write_rows(const char *path, const struct rows *r)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s.part", path);
    FILE *f = fopen(part, "wbe");
    size_t n = r->n * (size_t)r->dim;
    bool ok = f != NULL && fwrite(r->at, sizeof(*r->at), n, f) == n;
    ok = f != NULL && fclose(f) == 0 && ok;
    ok = ok && rename(part, path) == 0;
    if (!ok) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        unlink(part);
    }
    return ok;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "use: embed_csv MODEL-FOLDER FILE.csv OUT.f32\n");
        return 2;
    }
    const char *build = getenv("INHOUSE_BUILD");
    char engine_dir[4096];
    char home[4096];
    char model[4200];
    struct csv c;
    snprintf(engine_dir, sizeof(engine_dir), "%s/lib/inhouse-engine",
             build == NULL ? "build" : build);
    snprintf(home, sizeof(home), "%s.XXXXXX", argv[3]);
    if (!csv_read(argv[2], &c)) {
        return 1;
    }
    if (mkdtemp(home) == NULL) {
        fprintf(stderr, "%s: %s\n", home, strerror(errno));
        return 1;
    }
    snprintf(model, sizeof(model), "%s/model.gguf", home);
    struct rows r = {.n = c.n};
    struct fault why = {0};
    bool ok = engine_llama_start(engine_dir, &why) == FAIL_NONE;
    if (!ok) {
        fprintf(stderr, "%s: %s\n", engine_dir, why.message);
    }
    ok = ok && import_model(argv[1], home, engine_dir) && embed(model, &c, &r) &&
         write_rows(argv[3], &r);
    unlink(model);
    rmdir(home);
    mem_free(r.at);
    csv_done(&c);
    return ok ? 0 : 1;
}
