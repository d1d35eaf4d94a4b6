/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The imported embedding model, as the worker's engine serves it, against tools/reference_embed.py
 * over the same weights: 200 sentences of our own in many languages and lengths, and texts of
 * Banking77 where the reference data is there. Also: our table of GGUF types against the engine's.
 *
 * Skipped (77) without the fetched model or without numpy. Threads: one. About ten seconds.
 */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h makes a macro of `fail`: ours come first. */
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "gguf.h"
#include "run/models/models.h"
#include "worker/engine/engine.h"
#include "worker/tool/tool.h"

#include <cmocka.h>

#define DIM 384
#define TEXTS_MAX 1024
#define COSINE_MIN 0.999

static char home[256], weights[512], engine_dir[512], source[400];
static char *texts[TEXTS_MAX];
static size_t n_texts, n_golden;
static float reference[TEXTS_MAX][DIM], served[TEXTS_MAX][DIM];

static const char *env(const char *name, const char *usual)
{
    const char *v = getenv(name);
    return v == NULL || v[0] == '\0' ? usual : v;
}

/* One text a line. every: only each so-manyth line; labelled: up to the last comma of a CSV row. */
static void read_texts(const char *path, size_t every, bool labelled)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0, row = 0;
    ssize_t n;
    while (f != NULL && n_texts < TEXTS_MAX && (n = getline(&line, &room, f)) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        char *comma = labelled ? strrchr(line, ',') : NULL;
        if (comma != NULL) {
            *comma = '\0';
        }
        /* A quoted CSV field may go on in the next line: those rows are left out. */
        if (row++ % every == 0 && line[0] != '\0' && !(labelled && strchr(line, '"') != NULL)) {
            texts[n_texts++] = mem_dup_str(line);
        }
    }
    free(line);
    if (f != NULL) {
        fclose(f);
    }
}

static int run_child(char **argv, const char *in, const char *out)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open(in, O_RDONLY | O_CLOEXEC), 0);
        dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 1);
        execvp(argv[0], argv);
        _exit(77);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* 0 done, 77 numpy is missing. */
static int make_reference(void)
{
    char in[512], out[512], script[512], python[512];
    snprintf(in, sizeof(in), "%s/texts", home);
    snprintf(out, sizeof(out), "%s/vectors.f32", home);
    snprintf(script, sizeof(script), "%s/tools/reference_embed.py", source);
    FILE *f = fopen(in, "we");
    for (size_t i = 0; i < n_texts; i++) {
        fprintf(f, "%s\n", texts[i]);
    }
    fclose(f);
    snprintf(python, sizeof(python), "%s/venv-test/bin/python", env("INHOUSE_FETCHED", "."));
    char *pythons[] = {python, (char *)"python3"};
    int status = 77;
    for (size_t i = 0; status == 77 && i < COUNT_OF(pythons); i++) {
        char *argv[] = {pythons[i], script, weights, NULL};
        status = run_child(argv, in, out);
    }
    if (status == 0) {
        int fd = open(out, O_RDONLY | O_CLOEXEC);
        size_t bytes = n_texts * sizeof(reference[0]);
        status = read(fd, reference, bytes) == (ssize_t)bytes ? 0 : 1;
        close(fd);
    }
    return status;
}

static enum fail no_seal(const struct tool_reach *reach, struct fault *why)
{
    (void)reach;
    (void)why;
    return FAIL_NONE;
}

static void import_model(const char *type, char path[512])
{
    char out[300], lines[512];
    int status = 0;
    snprintf(out, sizeof(out), "%s/%s", home, type);
    snprintf(lines, sizeof(lines), "%s/lines", home);
    snprintf(path, 512, "%s/model.gguf", out);
    assert_int_equal(mkdir(out, 0700), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(open(lines, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 1);
        char *argv[] = {(char *)"import", (char *)"--in", weights, (char *)"--out", out,
                        (char *)"--type", (char *)type,   NULL};
        _exit(tool_main(7, argv, engine_dir, no_seal));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* --- serving -----------------------------------------------------------------------------------
 */

static void take_rows(void *self, uint64_t id, const struct engine_embedded *result)
{
    assert_int_equal(result->dim, DIM);
    memcpy(served[id], result->rows, result->n * sizeof(served[0]));
    *(size_t *)self += result->n;
}

static void take_failure(void *self, uint64_t id, const struct fault *why)
{
    (void)self;
    fail_msg("text %d: %s", (int)id, why->message);
}

/* By so many threads, so many texts an ask. */
static void serve_by(const char *path, unsigned threads, size_t group)
{
    size_t done = 0;
    struct fault why = {0};
    struct engine_sink sink = {.self = &done, .embedded = take_rows, .failed = take_failure};
    struct engine *e = engine_llama_new(&sink);
    struct engine_load load = {
        .model = "minilm", .kind = ENGINE_EMBED, .n_seq = 16, .n_threads = threads};
    struct engine_loaded loaded;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(e->ops->load(e, fd, &load, &loaded, &why), FAIL_NONE);
    close(fd);
    assert_int_equal(loaded.n_ctx_train, 256); /* where the model itself cuts texts */
    for (size_t at = 0; at < n_texts; at += group) {
        size_t n = n_texts - at < group ? n_texts - at : group;
        struct arena *a = arena_new(1 << 20);
        struct engine_ask *ask = arena_alloc(a, sizeof(*ask));
        size_t *lens = arena_alloc(a, n * sizeof(*lens));
        for (size_t i = 0; i < n; i++) {
            lens[i] = strlen(texts[at + i]);
        }
        *ask = (struct engine_ask){.arena = a,
                                   .id = at,
                                   .class = IPC_BATCH,
                                   .job = ENGINE_JOB_EMBED,
                                   .domain = "test",
                                   .embed = {(const char *const *)&texts[at], lens, n}};
        assert_int_equal(e->ops->submit(e, ask, &why), FAIL_NONE);
        struct engine_step step;
        while (e->ops->forecast(e, &step)) {
            e->ops->step(e, 0);
        }
    }
    assert_int_equal(done, n_texts);
    e->ops->free(e);
}

static void serve_all(const char *path)
{
    serve_by(path, 1, 64);
}

static void compare(const char *type)
{
    double least = 1, sum = 0;
    size_t worst = 0;
    for (size_t i = 0; i < n_texts; i++) {
        double dot = 0;
        for (int k = 0; k < DIM; k++) {
            dot += (double)reference[i][k] * (double)served[i][k];
        }
        sum += dot;
        worst = dot < least ? i : worst;
        least = dot < least ? dot : least;
    }
    print_message("%s: %zu texts (%zu golden), cosine least %.6f (text %zu), mean %.6f\n", type,
                  n_texts, n_golden, least, worst + 1, sum / (double)n_texts);
    assert_true(least >= COSINE_MIN);
}

static void f16_agrees_with_the_reference(void **state)
{
    (void)state;
    char path[512];
    import_model("f16", path);
    serve_all(path);
    compare("f16");
}

static void f32_agrees_with_the_reference(void **state)
{
    (void)state;
    char path[512];
    import_model("f32", path);
    serve_all(path);
    compare("f32");
}

/* What a text's vector is hangs on neither hand nor on which was faster; beside which others it
   stood shows in the last digits only. */
static void two_hands_give_the_vectors_of_one(void **state)
{
    (void)state;
    static float first[TEXTS_MAX][DIM];
    char path[512];
    snprintf(path, sizeof(path), "%s/f16/model.gguf", home);
    serve_by(path, 2, 64);
    memcpy(first, served, sizeof(first));
    for (int round = 0; round < 3; round++) {
        memset(served, 0, sizeof(served));
        serve_by(path, 2, 64);
        assert_memory_equal(first, served, n_texts * sizeof(served[0]));
    }
    serve_by(path, 1, 1);
    double least = 1;
    for (size_t i = 0; i < n_texts; i++) {
        double dot = 0;
        for (int k = 0; k < DIM; k++) {
            dot += (double)first[i][k] * (double)served[i][k];
        }
        least = dot < least ? dot : least;
    }
    print_message("two hands against one text at a time: cosine least %.8f\n", least);
    assert_true(least > 0.99999);
}

static void the_header_checker_accepts_it(void **state)
{
    (void)state;
    char path[512];
    struct models_facts facts;
    struct fault why = {0};
    snprintf(path, sizeof(path), "%s/f16/model.gguf", home);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(models_gguf_check(fd, "model", &facts, &why), FAIL_NONE);
    close(fd);
    assert_string_equal(facts.arch, "bert");
    assert_string_equal(facts.quant, "F16");
    assert_string_equal(facts.licence, "apache-2.0");
    assert_int_equal(facts.width, DIM);
    assert_int_equal(facts.layers, 6);
    assert_int_equal(facts.vocabulary, 30522);
    assert_int_equal(facts.parameters, 22467072);
    assert_true(facts.embeds);
}

/* The whole way: a sealed child of the real executable, then the store. */
static void the_worker_imports_it_sealed(void **state)
{
    (void)state;
    char worker[600], path[512];
    struct models *m = NULL;
    struct models_entry e;
    struct fault why = {0};
    snprintf(worker, sizeof(worker), "%s/bin/inhouse-worker", env("INHOUSE_BUILD", "."));
    struct models_import what = {.folder = weights, .worker_path = worker};
    assert_int_equal(models_open(home, &m, &why), FAIL_NONE);
    if (models_import(m, &what, NULL, NULL, &e, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    assert_string_equal(e.name, "all-minilm-l6-v2");
    assert_string_equal(e.role, "embed");
    assert_string_equal(e.licence, "apache-2.0");
    /* The same bytes as the import above made in this process. */
    snprintf(path, sizeof(path), "%s/f16/model.gguf", home);
    struct models_add again = {.path = path, .sha256 = e.sha256};
    assert_int_equal(models_add(m, &again, NULL, NULL, &e, &why), FAIL_NONE);
    assert_int_equal(models_count(m), 1);
    what.folder = home;
    assert_int_not_equal(models_import(m, &what, NULL, NULL, &e, &why), FAIL_NONE);
    assert_non_null(strstr(why.message, "model.safetensors: the folder has no such file"));
    models_close(m);
}

/* --- the table of types ------------------------------------------------------------------------
 */

/* A file with one tensor of the type, as ggml itself writes it: exactly its bytes must be asked
 * for. */
static void check_type(enum ggml_type type)
{
    struct ggml_init_params params = {2 * ggml_tensor_overhead(), NULL, true};
    struct ggml_context *ctx = ggml_init(params);
    struct gguf_context *g = gguf_init_empty();
    gguf_set_val_str(g, "general.architecture", "x");
    gguf_set_val_u32(g, "x.block_count", 1);
    gguf_set_val_u32(g, "x.embedding_length", 1);
    struct ggml_tensor *t = ggml_new_tensor_2d(ctx, type, ggml_blck_size(type), 3);
    ggml_set_name(t, "t");
    gguf_add_tensor(g, t);
    size_t head = gguf_get_meta_size(g), bytes = ggml_nbytes(t);
    AUTO_FREE uint8_t *file = mem_alloc(head + bytes);
    gguf_get_meta_data(g, file);
    struct models_facts facts;
    struct fault why = {0};
    if (models_gguf_check_bytes(file, head + bytes, "t", &facts, &why) != FAIL_NONE) {
        print_error("type %d %s: %s\n", (int)type, ggml_type_name(type), why.message);
        fail_msg("%s", why.message);
    }
    assert_int_equal(strcasecmp(facts.quant, ggml_type_name(type)), 0);
    assert_int_equal(models_gguf_check_bytes(file, head + bytes - 1, "t", &facts, &why),
                     FAIL_BAD_REQUEST);
    gguf_free(g);
    ggml_free(ctx);
}

static void the_table_of_types_is_the_engines(void **state)
{
    (void)state;
    int n = 0;
    for (int type = 0; type < GGML_TYPE_COUNT; type++) {
        if (ggml_blck_size((enum ggml_type)type) > 0) {
            check_type((enum ggml_type)type);
            n++;
        }
    }
    assert_true(n > 30);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int remove_home(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_texts; i++) {
        mem_free(texts[i]);
    }
    return nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int prepare(void)
{
    char path[512];
    struct fault why = {0};
    snprintf(source, sizeof(source), "%s", env("INHOUSE_SOURCE", "."));
    snprintf(weights, sizeof(weights), "%s/models/all-MiniLM-L6-v2", env("INHOUSE_FETCHED", "."));
    snprintf(engine_dir, sizeof(engine_dir), "%s/lib/inhouse-engine", env("INHOUSE_BUILD", "."));
    snprintf(path, sizeof(path), "%.480s/model.safetensors", weights);
    if (access(path, R_OK) != 0) {
        printf("skipped: %s is not there: run `make setup`\n", path);
        return 77;
    }
    snprintf(home, sizeof(home), "%.200s/inhouse-embedding-XXXXXX", env("TMPDIR", "/tmp"));
    if (mkdtemp(home) == NULL || engine_llama_start(engine_dir, &why) != FAIL_NONE) {
        printf("cannot start: %s\n", why.message);
        return 1;
    }
    snprintf(path, sizeof(path), "%s/tests/golden/sentences-200.txt", source);
    read_texts(path, 1, false);
    n_golden = n_texts;
    snprintf(path, sizeof(path), "%.400s/banking77/train.csv", env("INHOUSE_DATA", "."));
    read_texts(path, 50, true);
    int status = make_reference();
    if (status == 77) {
        printf("skipped: python3 has no numpy: run `make setup`\n");
    }
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_types_is_the_engines),
        cmocka_unit_test(f16_agrees_with_the_reference),
        cmocka_unit_test(f32_agrees_with_the_reference),
        cmocka_unit_test(two_hands_give_the_vectors_of_one),
        cmocka_unit_test(the_header_checker_accepts_it),
        cmocka_unit_test(the_worker_imports_it_sealed),
    };
    int status = prepare();
    if (status != 0) {
        (void)nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return status;
    }
    if (n_golden != 200) {
        printf("tests/golden/sentences-200.txt holds %zu sentences\n", n_golden);
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, remove_home);
}
