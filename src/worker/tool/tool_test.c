/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/tool: importing a tiny BERT folder written here, and every way such a folder can be wrong.
 * Each job runs in a child, sealed by a limit of no new descriptors, so that a file opened too late
 * fails the test. Real weights are in tests/models. Threads: one.
 */
#include "worker/tool/tool.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* cmocka.h makes a macro of `fail`: ours come first. */
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "gguf.h"
#include "worker/tool/tool_internal.h"

#include <cmocka.h>

#define WIDTH 32
#define INNER 64
#define POSITIONS 16
#define VOCABULARY 12

static const char vocab_text[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\nsat\non\nmat\n.\n";
static const char config_text[] =
    "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"num_hidden_layers\":1,"
    "\"num_attention_heads\":2,\"hidden_size\":32,\"intermediate_size\":64,"
    "\"max_position_embeddings\":16,\"vocab_size\":12,\"layer_norm_eps\":1e-12,"
    "\"type_vocab_size\":2}";
static const char readme_text[] = "---\nlicense: mit\n---\n# tiny\ntext\n";

/* What to write differently from a sound folder; NULL and zero: as it should be. */
struct spec {
    const char *config, *vocab, *tokenizer, *sentence, *modules, *pooling; /* "" writes no file */
    const char *header; /* instead of the tensors' own */
    uint64_t header_claim;
    const char *tensor; /* the one that the next members change */
    bool drop, extra;
    const char *dtype;
    const char *shape;
    int64_t shift, grow; /* of its offsets */
    bool put_value;
    float value; /* of its first element */
    size_t cut;
    bool no_weights;
    bool f32;
};

struct weights {
    struct buf header, data;
    const struct spec *spec;
};

static void put_tensor(struct weights *w, const char *name, int rows, int columns)
{
    const struct spec *s = w->spec;
    bool this = s->tensor != NULL && strcmp(s->tensor, name) == 0;
    if (this && s->drop) {
        return;
    }
    size_t begin = w->data.len;
    int n = (rows == 0 ? 1 : rows) * columns;
    for (int i = 0; i < n; i++) {
        float v = (float)((i * 37 + (int)begin / 128 * 11) % 101 - 50) / 200.0f;
        v = this && s->put_value && i == 0 ? s->value : v;
        assert_true(buf_add(&w->data, &v, sizeof(v)));
    }
    char shape[64];
    snprintf(shape, sizeof(shape), rows == 0 ? "[%d]" : "[%d,%d]", rows == 0 ? columns : rows,
             columns);
    assert_true(buf_printf(
        &w->header,
        "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%" PRId64 ",%" PRId64 "]}",
        w->header.len > 1 ? "," : "", name, this && s->dtype != NULL ? s->dtype : "F32",
        this && s->shape != NULL ? s->shape : shape, (int64_t)begin + (this ? s->shift : 0),
        (int64_t)w->data.len + (this ? s->shift + s->grow : 0)));
}

static void put_all(struct weights *w)
{
    static const struct {
        const char *name;
        int rows, columns;
    } layer[] = {{"attention.self.query", WIDTH, WIDTH},   {"attention.self.key", WIDTH, WIDTH},
                 {"attention.self.value", WIDTH, WIDTH},   {"attention.output.dense", WIDTH, WIDTH},
                 {"attention.output.LayerNorm", 0, WIDTH}, {"intermediate.dense", INNER, WIDTH},
                 {"output.dense", WIDTH, INNER},           {"output.LayerNorm", 0, WIDTH}};
    put_tensor(w, "embeddings.word_embeddings.weight", VOCABULARY, WIDTH);
    put_tensor(w, "embeddings.position_embeddings.weight", POSITIONS, WIDTH);
    put_tensor(w, "embeddings.token_type_embeddings.weight", 2, WIDTH);
    put_tensor(w, "embeddings.LayerNorm.weight", 0, WIDTH);
    put_tensor(w, "embeddings.LayerNorm.bias", 0, WIDTH);
    for (size_t i = 0; i < COUNT_OF(layer); i++) {
        char name[96];
        snprintf(name, sizeof(name), "encoder.layer.0.%s.weight", layer[i].name);
        put_tensor(w, name, layer[i].rows, layer[i].columns);
        snprintf(name, sizeof(name), "encoder.layer.0.%s.bias", layer[i].name);
        put_tensor(w, name, 0, layer[i].rows == 0 ? WIDTH : layer[i].rows);
    }
    put_tensor(w, "pooler.dense.bias", 0, WIDTH);
    if (w->spec->extra) {
        put_tensor(w, "encoder.layer.0.adapter.weight", 0, WIDTH);
    }
}

static void write_file(const char *dir, const char *name, const void *data, size_t n)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), n);
    close(fd);
}

static void write_text(const char *dir, const char *name, const char *text, const char *usual)
{
    const char *out = text == NULL ? usual : text;
    if (out != NULL && out[0] != '\0') {
        write_file(dir, name, out, strlen(out));
    }
}

static void write_weights(const char *dir, const struct spec *s)
{
    struct weights w = {.spec = s};
    struct buf all;
    buf_init(&w.header, 1 << 20);
    buf_init(&w.data, 1 << 20);
    buf_init(&all, 1 << 21);
    buf_add_char(&w.header, '{');
    put_all(&w);
    buf_add_char(&w.header, '}');
    if (s->header != NULL) {
        buf_clear(&w.header);
        buf_add_str(&w.header, s->header);
    }
    uint64_t claim = s->header_claim == 0 ? w.header.len : s->header_claim;
    for (int i = 0; i < 8; i++) {
        buf_add_char(&all, (char)(claim >> (8 * i)));
    }
    buf_add(&all, w.header.data, w.header.len);
    buf_add(&all, w.data.data, w.data.len);
    write_file(dir, "model.safetensors", all.data, s->cut == 0 ? all.len : s->cut);
    buf_done(&w.header);
    buf_done(&w.data);
    buf_done(&all);
}

static void write_folder(const char *dir, const struct spec *s)
{
    char sub[512];
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(sub, sizeof(sub), "%s/1_Pooling", dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    write_text(dir, "config.json", s->config, config_text);
    write_text(dir, "vocab.txt", s->vocab, vocab_text);
    write_text(dir, "tokenizer_config.json", s->tokenizer, "{\"do_lower_case\":true}");
    write_text(dir, "sentence_bert_config.json", s->sentence, "{\"max_seq_length\":8}");
    write_text(dir, "modules.json", s->modules, NULL);
    write_text(dir, "1_Pooling/config.json", s->pooling, "{\"pooling_mode_mean_tokens\":true}");
    write_text(dir, "README.md", readme_text, NULL);
    if (!s->no_weights) {
        write_weights(dir, s);
    }
}

/* --- running a job -----------------------------------------------------------------------------
 */

/* From here on nothing can be opened; what is open stays usable. */
static enum fail seal(const struct tool_reach *reach, struct fault *why)
{
    (void)why;
    if (reach != NULL) {
        return FAIL_NONE; /* the quantiser opens its files itself */
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0}), 0);
    return FAIL_NONE;
}

/* Runs the job in a child; its lines land in said. Returns the exit status, or 1000 + the signal.
 */
static int run(char **argv, char *said, size_t room)
{
    int pipes[2], argc = 0, status = 0;
    size_t n = 0;
    ssize_t got;
    while (argv[argc] != NULL) {
        argc++;
    }
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[1], 1);
        const char *build = getenv("INHOUSE_BUILD");
        char engine[512];
        snprintf(engine, sizeof(engine), "%s/lib/inhouse-engine", build == NULL ? "." : build);
        _exit(tool_main(argc, argv, engine, seal));
    }
    close(pipes[1]);
    while (n + 1 < room && (got = read(pipes[0], said + n, room - 1 - n)) > 0) {
        n += (size_t)got;
    }
    said[n] = '\0';
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_import(const char *home, const char *name, const struct spec *s, char *said,
                      size_t room)
{
    char in[256], out[256];
    snprintf(in, sizeof(in), "%s/%s", home, name);
    snprintf(out, sizeof(out), "%s/%s.out", home, name);
    write_folder(in, s);
    assert_int_equal(mkdir(out, 0700), 0);
    char *argv[] = {"import", "--in", in, "--out", out, "--type", s->f32 ? "f32" : "f16", NULL};
    return run(argv, said, room);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_import(const char *home, const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", home, name);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    snprintf(path, sizeof(path), "%s/%s.out", home, name);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- tests -------------------------------------------------------------------------------------
 */

static uint32_t u32_of(const struct gguf_context *g, const char *key)
{
    int64_t at = gguf_find_key(g, key);
    assert_true(at >= 0);
    return gguf_get_val_u32(g, at);
}

static void imports_a_folder(void **state)
{
    const char *home = *state;
    char said[8192], path[300];
    assert_int_equal(run_import(home, "good", &(struct spec){0}, said, sizeof(said)), 0);
    assert_non_null(strstr(said, "\"event\":\"progress\""));
    assert_non_null(strstr(said, "\"name\":\"tiny\",\"licence\":\"mit\""));
    snprintf(path, sizeof(path), "%s/good.out/model.gguf", home);
    struct gguf_context *g = gguf_init_from_file(path, (struct gguf_init_params){true, NULL});
    assert_non_null(g);
    assert_int_equal(u32_of(g, "bert.block_count"), 1);
    assert_int_equal(u32_of(g, "bert.context_length"), 8); /* the folder's own limit, not 16 */
    assert_int_equal(u32_of(g, "bert.pooling_type"), 1);
    assert_int_equal(u32_of(g, "tokenizer.ggml.unknown_token_id"), 1);
    assert_int_equal(u32_of(g, "tokenizer.ggml.seperator_token_id"), 3);
    int64_t tokens = gguf_find_key(g, "tokenizer.ggml.tokens");
    assert_int_equal(gguf_get_arr_n(g, tokens), VOCABULARY);
    assert_string_equal(gguf_get_arr_str(g, tokens, 2), "[CLS]");
    assert_string_equal(gguf_get_arr_str(g, tokens, 6), "\xe2\x96\x81"
                                                        "cat");
    assert_string_equal(gguf_get_arr_str(g, tokens, 7), "s");
    assert_int_equal(gguf_get_n_tensors(g), 21);
    int64_t at = gguf_find_tensor(g, "position_embd.weight");
    assert_int_equal(gguf_get_tensor_type(g, at), GGML_TYPE_F32);
    assert_int_equal(gguf_get_tensor_ne(g, at)[1], 8);
    assert_int_equal(gguf_get_tensor_type(g, gguf_find_tensor(g, "blk.0.ffn_up.weight")),
                     GGML_TYPE_F16);
    assert_int_equal(gguf_get_tensor_type(g, gguf_find_tensor(g, "blk.0.ffn_up.bias")),
                     GGML_TYPE_F32);
    gguf_free(g);
}

static void the_engine_loads_what_was_imported(void **state)
{
    const char *home = *state;
    char said[8192], path[300];
    snprintf(path, sizeof(path), "%s/good.out/model.gguf", home);
    char *argv[] = {"check", "--in", path, NULL};
    assert_int_equal(run(argv, said, sizeof(said)), 0);
    assert_non_null(strstr(said, "\"arch\":\"bert\""));
    assert_non_null(strstr(said, "\"context\":8"));
    assert_int_equal(truncate(path, 900), 0);
    assert_int_equal(run(argv, said, sizeof(said)), 1);
    assert_non_null(strstr(said, "the engine cannot load it"));
    char *none[] = {"check", "--in", "/nonexistent.gguf", NULL};
    assert_int_equal(run(none, said, sizeof(said)), 1);
    assert_non_null(strstr(said, "cannot be opened"));
}

static void the_same_folder_gives_the_same_bytes(void **state)
{
    const char *home = *state;
    static uint8_t files[2][1 << 17];
    ssize_t n[2];
    for (int i = 0; i < 2; i++) {
        char said[8192], path[300], name[8];
        snprintf(name, sizeof(name), "same%d", i);
        assert_int_equal(run_import(home, name, &(struct spec){0}, said, sizeof(said)), 0);
        snprintf(path, sizeof(path), "%s/%s.out/model.gguf", home, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        n[i] = read(fd, files[i], sizeof(files[i]));
        close(fd);
        usleep(1100000 * (i == 0)); /* a time stamp in the file would show */
    }
    assert_true(n[0] > 10000 && n[0] == n[1]);
    assert_memory_equal(files[0], files[1], (size_t)n[0]);
}

#define QUERY "encoder.layer.0.attention.self.query.weight"

static const struct bad {
    const char *what;
    struct spec spec;
    const char *says;
} bad_folders[] = {
    {"no weights", {.no_weights = true}, "model.safetensors: the folder has no such file"},
    {"no config", {.config = ""}, "config.json: the folder has no such file"},
    {"no vocabulary", {.vocab = ""}, "vocab.txt: the folder has no such file"},
    {"config is no JSON", {.config = "{"}, "config.json is not valid JSON"},
    {"config is a list", {.config = "[]"}, "config.json: not a JSON object"},
    {"another model", {.config = "{\"model_type\":\"gpt2\"}"}, "config.json: model_type"},
    {"no width",
     {.config = "{\"num_hidden_layers\":1,\"num_attention_heads\":2}"},
     "config.json: \\\"hidden_size\\\""},
    {"513 layers", {.config = "{\"num_hidden_layers\":513}"}, "num_hidden_layers"},
    {"heads that do not divide",
     {.config = "{\"num_hidden_layers\":1,\"num_attention_heads\":3,\"hidden_size\":32,"
                "\"intermediate_size\":64,\"max_position_embeddings\":16,\"vocab_size\":12}"},
     "not a multiple"},
    {"too many words",
     {.vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\ne\nf\ng\nh\ni\n"},
     "vocab.txt: line 13"},
    {"a word twice", {.vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\na\n"}, "twice"},
    {"no [UNK]", {.vocab = "[PAD]\n[CLS]\n[SEP]\na\n"}, "vocab.txt: it has no line [UNK]"},
    {"a line of no UTF-8", {.vocab = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xff\n"}, "vocab.txt: line 5"},
    {"an empty line", {.vocab = "[PAD]\n[UNK]\n\n[CLS]\n[SEP]\n"}, "vocab.txt: line 3"},
    {"max pooling", {.pooling = "{\"pooling_mode_max_tokens\":true}"}, "1_Pooling/config.json"},
    {"a dense layer", {.modules = "[{\"type\":\"sentence_transformers.models.Dense\"}]"}, "Dense"},
    {"Chinese left whole", {.tokenizer = "{\"tokenize_chinese_chars\":false}"}, "tokenize_chinese"},
    {"a cut at 3 tokens", {.sentence = "{\"max_seq_length\":3}"}, "max_seq_length"},
    {"4 bytes", {.cut = 4}, "model.safetensors: 4 bytes are too few"},
    {"a header of 2^60",
     {.header_claim = UINT64_C(1) << 60},
     "model.safetensors: the header claims"},
    {"a header past the end", {.header_claim = 900000}, "model.safetensors: the header claims"},
    {"a header of nonsense", {.header = "{x}"}, "model.safetensors: header is not valid JSON"},
    {"a header of a list", {.header = "[]"}, "not a JSON object of tensors"},
    {"no tensors", {.header = "{}"}, "model.safetensors"},
    {"cut short", {.cut = 20000}, "do not lie in the file"},
    {"an odd dtype", {.tensor = QUERY, .dtype = "F8_E4M3"}, QUERY ": unknown dtype"},
    {"whole numbers", {.tensor = QUERY, .dtype = "I32"}, QUERY ": its dtype is I32"},
    {"a size below zero", {.tensor = QUERY, .shape = "[-32,32]"}, QUERY ": dimension 0"},
    {"a shape of 2^80", {.tensor = QUERY, .shape = "[1099511627776,1099511627776]"}, QUERY},
    {"five dimensions", {.tensor = QUERY, .shape = "[32,32,1,1,1]"}, QUERY ": the shape"},
    {"a shape that is text", {.tensor = QUERY, .shape = "\"x\""}, QUERY ": the shape"},
    {"turned round", {.tensor = QUERY, .shape = "[1024]"}, QUERY ": its shape does not fit"},
    {"half of it", {.tensor = QUERY, .shape = "[16,32]"}, QUERY ": its shape needs"},
    {"far away", {.tensor = QUERY, .shift = 1 << 30}, QUERY ": its bytes"},
    {"before the start", {.tensor = QUERY, .shift = -(1 << 20)}, QUERY ": data_offsets"},
    {"four bytes off", {.tensor = QUERY, .shift = 4}, QUERY ": starts at byte"},
    {"four bytes more", {.tensor = QUERY, .grow = 4}, QUERY ": its shape needs"},
    {"one missing", {.tensor = QUERY, .drop = true}, "tensor " QUERY " is missing"},
    {"one too many", {.extra = true}, "adapter.weight has no place"},
    {"not a number",
     {.tensor = QUERY, .put_value = true, .value = __builtin_nanf("")},
     QUERY ": it holds a value"},
    {"too large for F16", {.tensor = QUERY, .put_value = true, .value = 1e6f}, "does not fit F16"},
};

static void refuses_bad_folders(void **state)
{
    const char *home = *state;
    for (size_t i = 0; i < COUNT_OF(bad_folders); i++) {
        char said[8192];
        int status = run_import(home, "bad", &bad_folders[i].spec, said, sizeof(said));
        const char *line = strstr(said, "{\"event\":\"error\"");
        if (status != 1 || line == NULL || strstr(line, bad_folders[i].says) == NULL) {
            print_error("%s: status %d: %s\n", bad_folders[i].what, status, said);
        }
        assert_int_equal(status, 1);
        assert_non_null(line);
        assert_non_null(strstr(line, bad_folders[i].says));
        remove_import(home, "bad");
    }
    char said[8192];
    struct spec large = {.tensor = QUERY, .put_value = true, .value = 1e6f, .f32 = true};
    assert_int_equal(run_import(home, "large", &large, said, sizeof(said)), 0);
}

static void cleans_what_it_quotes(void **state)
{
    (void)state;
    const struct {
        const char *dirty;
        const char *clean;
    } cases[] = {{"", ""},
                 {"plain", "plain"},
                 {"\xff", "?"},
                 {"a\xffz\xfe", "a?z?"},
                 {"caf\xc3\xa9", "caf\xc3\xa9"},
                 {"cut \xe2\x96", "cut ??"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[32];
        snprintf(text, sizeof(text), "%s", cases[i].dirty);
        tool_clean(text);
        assert_string_equal(text, cases[i].clean);
    }
}

static void refuses_a_wrong_command_line(void **state)
{
    (void)state;
    char said[1024];
    char *lines[][8] = {{"import", NULL},
                        {"import", "--in", "x", NULL},
                        {"import", "--in", "x", "--out", "y", "--type", "q4", NULL},
                        {"import", "--in", "x", "--out", NULL},
                        {"check", NULL},
                        {"dance", "--in", "x", NULL}};
    int saved = dup(2);
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        assert_int_equal(run(lines[i], said, sizeof(said)), 2);
    }
    dup2(saved, 2);
}

static int make_home(void **state)
{
    const char *temp = getenv("TMPDIR");
    char *home = mem_alloc(200);
    snprintf(home, 200, "%.150s/inhouse-tool-XXXXXX", temp == NULL ? "/tmp" : temp);
    *state = home;
    return mkdtemp(home) == NULL;
}

static int remove_home(void **state)
{
    int r = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(*state);
    return r;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_a_folder),
        cmocka_unit_test(the_engine_loads_what_was_imported),
        cmocka_unit_test(the_same_folder_gives_the_same_bytes),
        cmocka_unit_test(refuses_bad_folders),
        cmocka_unit_test(cleans_what_it_quotes),
        cmocka_unit_test(refuses_a_wrong_command_line),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
