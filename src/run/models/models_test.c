/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/models: the GGUF checker against files written here, byte by byte, and the store.
 * Needs no model and no engine. Threads: one.
 */
#include "run/models/models.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/mem.h"
#include "run/models/models_internal.h"

/* --- writing a GGUF ----------------------------------------------------------------------------
 */

/* What to write differently from a sound file; zero means as it should be. */
struct spec {
    const char *magic;
    uint32_t version;
    uint64_t keys_claim, tensors_claim;
    const char *arch;
    uint32_t arch_type; /* 0: string */
    uint64_t layers;
    uint32_t layers_type; /* 0: u32 */
    bool no_layers, no_arch, no_width, no_tensors;
    uint32_t alignment;
    const char *key; /* one more key, of type key_type, value key_value (raw) */
    uint32_t key_type;
    const char *key_value;
    size_t key_value_len;
    uint64_t token_claim, type_count;
    const char *token_list_type; /* "u32" instead of strings */
    uint64_t string_claim;       /* length of the first token */
    const char *name1;           /* of the second tensor */
    uint32_t dims1;
    uint64_t rows, columns;
    uint32_t type1;
    uint64_t offset1;
    size_t cut, short_by;
};

static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        assert_true(buf_add_char(b, (char)(v >> (8 * i))));
    }
}

static void put_text(struct buf *b, const char *s)
{
    put(b, strlen(s), 8);
    assert_true(buf_add_str(b, s));
}

static void put_u32_key(struct buf *b, const char *key, uint64_t v, uint32_t type)
{
    put_text(b, key);
    put(b, type == 0 ? 4 : type, 4);
    put(b, v, type == 10 || type == 12 ? 8 : 4);
}

static uint64_t put_tokens(struct buf *b, const struct spec *s)
{
    put_text(b, "tokenizer.ggml.tokens");
    put(b, 9, 4);
    put(b, s->token_list_type == NULL ? 8 : 4, 4);
    put(b, s->token_claim == 0 ? 3 : s->token_claim, 8);
    for (int i = 0; i < 3; i++) {
        if (s->token_list_type != NULL) {
            put(b, 7, 4);
        } else {
            put(b, i == 0 && s->string_claim != 0 ? s->string_claim : 1, 8);
            put(b, 'a' + (uint64_t)i, 1);
        }
    }
    put_text(b, "tokenizer.ggml.token_type");
    put(b, 9, 4);
    put(b, 5, 4);
    uint64_t n = s->type_count == 0 ? 3 : s->type_count;
    put(b, n, 8);
    for (uint64_t i = 0; i < n && n < 100; i++) {
        put(b, 1, 4);
    }
    return 2;
}

static uint64_t put_keys(struct buf *b, const struct spec *s)
{
    uint64_t n = 0;
    if (!s->no_arch) {
        put_text(b, "general.architecture");
        put(b, s->arch_type == 0 ? 8 : s->arch_type, 4);
        if (s->arch_type == 0) {
            put_text(b, s->arch == NULL ? "llama" : s->arch);
        } else {
            put(b, 1, 4);
        }
        n++;
    }
    if (s->key != NULL) {
        put_text(b, s->key);
        put(b, s->key_type, 4);
        assert_true(buf_add(b, s->key_value, s->key_value_len));
        n++;
    }
    if (!s->no_layers) {
        put_u32_key(b, "llama.block_count", s->layers == 0 ? 1 : s->layers, s->layers_type);
        n++;
    }
    if (!s->no_width) {
        put_u32_key(b, "llama.embedding_length", 32, 0);
        n++;
    }
    put_u32_key(b, "llama.context_length", 64, 0);
    put_u32_key(b, "llama.attention.head_count", 2, 0);
    if (s->alignment != 0) {
        put_u32_key(b, "general.alignment", s->alignment, 0);
        n++;
    }
    put_text(b, "tokenizer.chat_template");
    put(b, 8, 4);
    put_text(b, "{{ messages }}");
    return n + 3 + put_tokens(b, s);
}

static void put_table(struct buf *b, const struct spec *s, uint64_t bytes[2])
{
    put_text(b, "token_embd.weight");
    put(b, 2, 4);
    put(b, 32, 8);
    put(b, 3, 8);
    put(b, 0, 4); /* F32 */
    put(b, 0, 8);
    bytes[0] = 32 * 3 * 4;
    put_text(b, s->name1 == NULL ? "output.weight" : s->name1);
    uint32_t dims = s->dims1 == 0 ? 2 : s->dims1 - 1;
    put(b, dims, 4);
    put(b, s->columns == 0 ? 32 : s->columns, 8);
    put(b, s->rows == 0 ? 3 : s->rows, 8);
    for (uint32_t i = 2; i < dims && i < 8; i++) {
        put(b, 1, 8);
    }
    put(b, s->type1 == 0 ? 2 : s->type1, 4); /* Q4_0 */
    put(b, s->offset1 == 0 ? bytes[0] : s->offset1, 8);
    bytes[1] = 3 * 18;
}

static void write_gguf(struct buf *b, const struct spec *s)
{
    struct buf keys;
    uint64_t bytes[2] = {0, 0};
    buf_init(b, 1 << 20);
    buf_init(&keys, 1 << 20);
    uint64_t n_keys = put_keys(&keys, s);
    assert_true(buf_add(b, s->magic == NULL ? "GGUF" : s->magic, 4));
    put(b, s->version == 0 ? 3 : s->version, 4);
    put(b, s->tensors_claim != 0 ? s->tensors_claim : s->no_tensors ? 0 : 2, 8);
    put(b, s->keys_claim == 0 ? n_keys : s->keys_claim, 8);
    assert_true(buf_add(b, keys.data, keys.len));
    buf_done(&keys);
    if (!s->no_tensors) {
        put_table(b, s, bytes);
    }
    bool aligned = s->alignment >= 8 && s->alignment <= 4096;
    while (b->len % (aligned ? s->alignment : 32) != 0) {
        put(b, 0, 1);
    }
    for (uint64_t i = 0; i < bytes[0] + bytes[1] - s->short_by; i++) {
        put(b, i & 63, 1);
    }
    if (s->cut != 0) {
        b->len = s->cut;
    }
}

/* --- the checker -------------------------------------------------------------------------------
 */

static void reads_a_sound_file(void **state)
{
    (void)state;
    struct buf b;
    struct models_facts facts;
    struct fault why = {0};
    write_gguf(&b, &(struct spec){.key = "general.file_type",
                                  .key_type = 4,
                                  .key_value = "\2\0\0",
                                  .key_value_len = 4});
    assert_int_equal(models_gguf_check_bytes(b.data, b.len, "t", &facts, &why), FAIL_NONE);
    assert_string_equal(facts.arch, "llama");
    assert_string_equal(facts.quant, "Q4_0");
    assert_int_equal(facts.layers, 1);
    assert_int_equal(facts.width, 32);
    assert_int_equal(facts.context, 64);
    assert_int_equal(facts.heads, 2);
    assert_int_equal(facts.vocabulary, 3);
    assert_int_equal(facts.tensors, 2);
    assert_int_equal(facts.parameters, 192);
    assert_true(facts.chat_template);
    assert_false(facts.embeds);
    buf_done(&b);
    write_gguf(&b, &(struct spec){.version = 2});
    assert_int_equal(models_gguf_check_bytes(b.data, b.len, "t", &facts, &why), FAIL_NONE);
    assert_string_equal(facts.quant, "F32"); /* the type with most bytes */
    buf_done(&b);
}

#define RAW(s) .key_value = (s), .key_value_len = sizeof(s) - 1
#define NAME64 "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"

static const struct bad {
    const char *what;
    struct spec spec;
    enum fail code;
    const char *says; /* part of the message */
} bad_files[] = {
    {"empty magic", {.magic = "\0\0\0\0"}, FAIL_BAD_REQUEST, "not a GGUF"},
    {"a web page", {.magic = "<!DO"}, FAIL_BAD_REQUEST, "HTML"},
    {"a zip archive", {.magic = "PK\3\4"}, FAIL_BAD_REQUEST, "ZIP"},
    {"big-endian magic", {.magic = "FUGG"}, FAIL_BAD_REQUEST, "big-endian"},
    {"version 1", {.version = 1}, FAIL_UNSUPPORTED, "version 1"},
    {"version 4", {.version = 4}, FAIL_UNSUPPORTED, "version 4"},
    {"a big-endian version", {.version = 0x03000000}, FAIL_UNSUPPORTED, "big-endian"},
    {"two billion keys", {.keys_claim = 2000000000}, FAIL_TOO_LARGE, "keys"},
    {"keys below zero", {.keys_claim = UINT64_MAX}, FAIL_TOO_LARGE, "keys"},
    {"tensors below zero", {.tensors_claim = UINT64_MAX}, FAIL_TOO_LARGE, "tensors"},
    {"60,000 tensors", {.tensors_claim = 60000}, FAIL_TOO_LARGE, "tensors"},
    {"one key too many claimed", {.keys_claim = 9}, FAIL_TOO_LARGE, "tensor 1 of 2"},
    {"one tensor too many claimed", {.tensors_claim = 3}, FAIL_BAD_REQUEST, "tensor 3 of 3"},
    {"no tensors", {.no_tensors = true}, FAIL_UNSUPPORTED, "no weights"},
    {"no architecture", {.no_arch = true}, FAIL_BAD_REQUEST, "general.architecture"},
    {"architecture a number", {.arch_type = 4}, FAIL_BAD_REQUEST, "general.architecture"},
    {"architecture of odd letters", {.arch = "ll\nma"}, FAIL_BAD_REQUEST, "lower-case"},
    {"architecture 60 long", {.arch = NAME64}, FAIL_BAD_REQUEST, "general.architecture"},
    {"keys of another architecture", {.arch = "bert"}, FAIL_BAD_REQUEST, "bert.block_count"},
    {"no layers", {.no_layers = true}, FAIL_BAD_REQUEST, "llama.block_count is missing"},
    {"no width", {.no_width = true}, FAIL_BAD_REQUEST, "llama.embedding_length is missing"},
    {"513 layers", {.layers = 513}, FAIL_BAD_REQUEST, "llama.block_count"},
    {"layers a float", {.layers = 1, .layers_type = 6}, FAIL_BAD_REQUEST, "llama.block_count"},
    {"2^40 layers",
     {.layers = UINT64_C(1) << 40, .layers_type = 10},
     FAIL_BAD_REQUEST,
     "block_count"},
    {"alignment 3", {.alignment = 3}, FAIL_BAD_REQUEST, "general.alignment"},
    {"alignment 2^31", {.alignment = UINT32_C(1) << 31}, FAIL_BAD_REQUEST, "general.alignment"},
    {"alignment 2^21", {.alignment = 1u << 21}, FAIL_BAD_REQUEST, "general.alignment"},
    {"an unknown value type", {.key = "x", .key_type = 13, RAW("")}, FAIL_BAD_REQUEST, "type 13"},
    {"a bool of 2", {.key = "x", .key_type = 7, RAW("\2")}, FAIL_BAD_REQUEST, "key x"},
    {"a list of lists",
     {.key = "x", .key_type = 9, RAW("\11\0\0\0\1\0\0\0\0\0\0\0")},
     FAIL_BAD_REQUEST,
     "key x"},
    {"a list of 2^56",
     {.key = "x", .key_type = 9, RAW("\4\0\0\0\0\0\0\0\0\0\0\1")},
     FAIL_TOO_LARGE,
     "key x"},
    {"a list past the end",
     {.key = "x", .key_type = 9, RAW("\4\0\0\0\0\0\1\0\0\0\0\0")},
     FAIL_BAD_REQUEST,
     "cut off"},
    {"a string of 1 GiB",
     {.key = "x", .key_type = 8, RAW("\0\0\0\100\0\0\0\0")},
     FAIL_TOO_LARGE,
     "key x"},
    {"a key twice",
     {.key = "llama.block_count", .key_type = 4, RAW("\1\0\0\0")},
     FAIL_BAD_REQUEST,
     "twice"},
    {"a key without a name", {.key = "", .key_type = 4, RAW("\1\0\0\0")}, FAIL_BAD_REQUEST, "name"},
    {"one part of three",
     {.key = "split.count", .key_type = 2, RAW("\3\0")},
     FAIL_UNSUPPORTED,
     "split"},
    {"an adapter",
     {.key = "general.type", .key_type = 8, RAW("\7\0\0\0\0\0\0\0adapter")},
     FAIL_UNSUPPORTED,
     "adapter"},
    {"no tokens but types", {.type_count = 2}, FAIL_BAD_REQUEST, "token_type"},
    {"four types for three tokens", {.type_count = 4}, FAIL_BAD_REQUEST, "token_type"},
    {"tokens that are numbers", {.token_list_type = "u32"}, FAIL_BAD_REQUEST, "list of strings"},
    {"a token of 4 GiB", {.string_claim = UINT64_C(1) << 32}, FAIL_TOO_LARGE, "tokens"},
    {"a token of 2^63", {.string_claim = UINT64_C(1) << 63}, FAIL_TOO_LARGE, "tokens"},
    {"2^60 tokens", {.token_claim = UINT64_C(1) << 60}, FAIL_TOO_LARGE, "tokens"},
    {"a tensor without a name", {.name1 = ""}, FAIL_BAD_REQUEST, "name"},
    {"a tensor name of 64", {.name1 = NAME64}, FAIL_TOO_LARGE, "tensor 2"},
    {"a tensor twice", {.name1 = "token_embd.weight"}, FAIL_BAD_REQUEST, "same name"},
    {"a tensor name with a line end", {.name1 = "a\nb"}, FAIL_BAD_REQUEST, "name"},
    {"no dimensions", {.dims1 = 1}, FAIL_BAD_REQUEST, "dimensions"},
    {"five dimensions", {.dims1 = 6}, FAIL_BAD_REQUEST, "dimensions"},
    {"a dimension below zero", {.rows = UINT64_MAX}, FAIL_BAD_REQUEST, "not a size"},
    {"a product past 2^63",
     {.rows = UINT64_C(1) << 39, .columns = UINT64_C(1) << 39},
     FAIL_BAD_REQUEST,
     "not a size"},
    {"a row that is no block", {.columns = 33}, FAIL_BAD_REQUEST, "do not fit"},
    {"a removed type", {.type1 = 4}, FAIL_UNSUPPORTED, "type 4"},
    {"an unknown type", {.type1 = 99}, FAIL_UNSUPPORTED, "type 99"},
    {"a type below zero", {.type1 = UINT32_MAX}, FAIL_UNSUPPORTED, "type"},
    {"tensors that overlap", {.offset1 = 352}, FAIL_BAD_REQUEST, "starts at 352"},
    {"a tensor far away", {.offset1 = UINT64_MAX - 31}, FAIL_BAD_REQUEST, "starts at"},
    {"a tensor larger than the file", {.rows = 1000000}, FAIL_BAD_REQUEST, "past the file"},
    {"one byte missing", {.short_by = 1}, FAIL_BAD_REQUEST, "cut off"},
    {"37 bytes", {.cut = 37}, FAIL_BAD_REQUEST, "cut off"},
    {"3 bytes", {.cut = 3}, FAIL_BAD_REQUEST, "not a GGUF"},
};

static void refuses_bad_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_files); i++) {
        const struct bad *bad = &bad_files[i];
        struct buf b;
        struct models_facts facts;
        struct fault why = {0};
        write_gguf(&b, &bad->spec);
        enum fail f = models_gguf_check_bytes(b.data, b.len, "FILE", &facts, &why);
        if (f != bad->code || strstr(why.message, bad->says) == NULL) {
            print_error("%s: %s: %s\n", bad->what, fail_name(f), why.message);
        }
        assert_int_equal(f, bad->code);
        assert_non_null(strstr(why.message, bad->says));
        assert_true(strncmp(why.message, "FILE: ", 6) == 0);
        assert_null(strchr(why.message, '\n'));
        buf_done(&b);
    }
    assert_true(COUNT_OF(bad_files) >= 25);
}

static void refuses_every_cut(void **state)
{
    (void)state;
    struct buf b;
    struct models_facts facts;
    struct fault why = {0};
    write_gguf(&b, &(struct spec){0});
    for (size_t n = 0; n < b.len; n++) {
        assert_int_not_equal(models_gguf_check_bytes(b.data, n, "t", &facts, &why), FAIL_NONE);
    }
    assert_int_equal(models_gguf_check_bytes(b.data, b.len, "t", &facts, &why), FAIL_NONE);
    buf_done(&b);
}

/* A descriptor, whose bytes come through the window, must give the same verdict as memory. */
static void survives_random_damage(void **state)
{
    const char *home = *state;
    struct buf b;
    char path[512];
    uint32_t seed = 1;
    snprintf(path, sizeof(path), "%s/damaged", home);
    write_gguf(&b, &(struct spec){0});
    for (int round = 0; round < 20000; round++) {
        uint8_t copy[4096];
        struct models_facts a = {0}, c = {0};
        struct fault why = {0};
        assert_true(b.len < sizeof(copy));
        memcpy(copy, b.data, b.len);
        for (int k = 0; k < 1 + round % 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % b.len] = (uint8_t)(seed >> 24);
        }
        enum fail f = models_gguf_check_bytes(copy, b.len, "t", &a, &why);
        if (round % 40 == 0) {
            int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
            assert_int_equal(write(fd, copy, b.len), b.len);
            assert_int_equal(models_gguf_check(fd, "t", &c, &why), f);
            assert_memory_equal(&a, &c, sizeof(a));
            close(fd);
        }
    }
    buf_done(&b);
}

/* --- the store ---------------------------------------------------------------------------------
 */

static void put_file(const char *path, const struct spec *spec)
{
    struct buf b;
    write_gguf(&b, spec);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b.data, b.len), b.len);
    close(fd);
    buf_done(&b);
}

static struct models *open_store(const char *home)
{
    struct models *m = NULL;
    struct fault why = {0};
    assert_int_equal(models_open(home, &m, &why), FAIL_NONE);
    return m;
}

static size_t count_files(const char *home, const char *starting)
{
    char path[600];
    size_t n = 0;
    snprintf(path, sizeof(path), "%s/models", home);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    const struct dirent *d;
    while ((d = readdir(dir)) != NULL) {
        n += text_starts_with(d->d_name, starting);
    }
    closedir(dir);
    return n;
}

static void adds_finds_and_opens(void **state)
{
    const char *home = *state;
    char path[512];
    struct models_entry e;
    struct models_facts facts;
    struct fault why = {0};
    struct stat st;
    struct models *m = open_store(home);
    snprintf(path, sizeof(path), "%s/My Model.Q4_0.gguf", home);
    put_file(path, &(struct spec){0});
    assert_int_equal(models_add(m, &(struct models_add){.path = path}, NULL, NULL, &e, &why),
                     FAIL_NONE);
    assert_string_equal(e.name, "my-model.q4_0");
    assert_string_equal(e.role, "light");
    assert_string_equal(e.source, "My Model.Q4_0.gguf");
    assert_int_equal(models_count(m), 1);
    assert_string_equal(models_find(m, "light")->sha256, e.sha256);
    assert_string_equal(models_find(m, "my-model.q4_0")->sha256, e.sha256);
    char prefix[9] = {0};
    memcpy(prefix, e.sha256, 8);
    assert_non_null(models_find(m, prefix));
    assert_null(models_find(m, "heavy"));
    assert_int_equal(models_show(m, models_at(m, 0), &facts, &why), FAIL_NONE);
    assert_int_equal(facts.tensors, 2);
    int fd = -1;
    assert_int_equal(models_open_fd(m, models_at(m, 0), NULL, NULL, &fd, &why), FAIL_NONE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0444);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
    models_close(m);
    /* A second process sees it. */
    m = open_store(home);
    assert_int_equal(models_count(m), 1);
    assert_int_equal(models_at(m, 0)->bytes, e.bytes);
    assert_int_equal(models_at(m, 0)->added_at / 1000, e.added_at / 1000);
    models_close(m);
}

static void the_newest_of_a_role_wins(void **state)
{
    const char *home = *state;
    char path[512];
    struct models_entry e;
    struct fault why = {0};
    struct models *m = open_store(home);
    snprintf(path, sizeof(path), "%s/second.gguf", home);
    put_file(path, &(struct spec){.alignment = 64});
    usleep(2000);
    assert_int_equal(
        models_add(m, &(struct models_add){.path = path, .link = true}, NULL, NULL, &e, &why),
        FAIL_NONE);
    assert_string_equal(models_find(m, "light")->name, "second");
    assert_int_equal(models_count(m), 2);
    models_close(m);
}

static bool stop_at_once(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase;
    (*(int *)ctx)++;
    assert_true(done <= total);
    return false;
}

static void refuses_with_one_clear_error(void **state)
{
    const char *home = *state;
    char good[512], bad[512], none[512];
    int calls = 0;
    struct models *m = open_store(home);
    snprintf(good, sizeof(good), "%s/third.gguf", home);
    snprintf(bad, sizeof(bad), "%s/bad.gguf", home);
    snprintf(none, sizeof(none), "%s/none.gguf", home);
    put_file(good, &(struct spec){.alignment = 128});
    put_file(bad, &(struct spec){.cut = 37});
    const struct {
        struct models_add add;
        models_progress_fn progress;
        enum fail code;
        const char *says;
    } cases[] = {
        {{.path = none}, NULL, FAIL_NOT_FOUND, "cannot be opened"},
        {{.path = home}, NULL, FAIL_BAD_REQUEST, "a folder"},
        {{.path = "/dev/null"}, NULL, FAIL_BAD_REQUEST, "not a regular file"},
        {{.path = bad}, NULL, FAIL_BAD_REQUEST, "cut off"},
        {{.path = good, .name = "No Good"}, NULL, FAIL_BAD_REQUEST, "No Good"},
        {{.path = good, .name = "heavy"}, NULL, FAIL_BAD_REQUEST, "heavy"},
        {{.path = good, .role = "king"}, NULL, FAIL_BAD_REQUEST, "king"},
        {{.path = good, .name = "second"}, NULL, FAIL_CONFLICT, "second"},
        {{.path = good, .sha256 = "00"}, NULL, FAIL_BAD_REQUEST, "sha256"},
        {{.path = good}, stop_at_once, FAIL_STOPPED, "stopped"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fault why = {0};
        enum fail f = models_add(m, &cases[i].add, cases[i].progress, &calls, NULL, &why);
        if (f != cases[i].code || strstr(why.message, cases[i].says) == NULL) {
            print_error("case %zu: %s: %s\n", i, fail_name(f), why.message);
        }
        assert_int_equal(f, cases[i].code);
        assert_non_null(strstr(why.message, cases[i].says));
        assert_int_equal(models_count(m), 2);
    }
    assert_int_equal(calls, 1);
    const struct models_entry *e = NULL;
    struct fault why = {0};
    assert_int_equal(models_get(m, "heavy", &e, &why), FAIL_NOT_FOUND);
    assert_non_null(strstr(why.message, "no model has the role heavy"));
    assert_non_null(strstr(why.hint, "models add"));
    models_close(m);
}

static void nothing_is_left_behind(void **state)
{
    assert_int_equal(count_files(*state, ".new-"), 0);
    assert_int_equal(count_files(*state, ".import-"), 0);
    assert_int_equal(count_files(*state, ".seen-"), 1);
}

static void a_changed_file_is_not_served(void **state)
{
    const char *home = *state;
    char path[700];
    struct fault why = {0};
    int fd = -1;
    struct models *m = open_store(home);
    struct models_entry e = *models_find(m, "second");
    snprintf(path, sizeof(path), "%s/models/%s", home, e.sha256);
    assert_int_equal(chmod(path, 0600), 0);
    int w = open(path, O_WRONLY);
    assert_int_equal(pwrite(w, "\xff", 1, e.bytes - 1), 1);
    close(w);
    assert_int_equal(models_open_fd(m, &e, NULL, NULL, &fd, &why), FAIL_MODEL_UNAVAILABLE);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(why.message, "sha256"));
    assert_int_equal(truncate(path, e.bytes - 1), 0);
    assert_int_equal(models_open_fd(m, &e, NULL, NULL, &fd, &why), FAIL_MODEL_UNAVAILABLE);
    assert_non_null(strstr(why.message, "bytes"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(models_open_fd(m, &e, NULL, NULL, &fd, &why), FAIL_NOT_FOUND);
    assert_non_null(strstr(why.hint, "--name second"));
    assert_int_equal(models_remove(m, "second", &why), FAIL_NONE);
    assert_int_equal(models_remove(m, "second", &why), FAIL_NOT_FOUND);
    assert_int_equal(models_count(m), 1);
    models_close(m);
}

static void a_broken_manifest_stops_nobody(void **state)
{
    const char *home = *state;
    char path[700];
    static const char *const texts[] = {"", "{", "[]", "{\"name\":\"x\"}"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        snprintf(
            path, sizeof(path),
            "%s/models/00000000000000000000000000000000000000000000000000000000000000%02zx.json",
            home, i);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
        close(fd);
    }
    struct models *m = open_store(home);
    assert_int_equal(models_count(m), 1);
    assert_int_equal(models_broken(m), COUNT_OF(texts));
    for (size_t i = 0; i < models_broken(m); i++) {
        assert_non_null(strstr(models_broken_at(m, i)->message, "models/00000000"));
        assert_true(models_broken_at(m, i)->hint[0] != '\0');
    }
    models_close(m);
}

static size_t count_models(const char *home)
{
    struct models *m = open_store(home);
    size_t n = 0;
    for (const char *hex = "0123456789abcdef"; *hex != '\0'; hex++) {
        n += count_files(home, (char[]){*hex, '\0'});
    }
    models_close(m);
    return n; /* files and manifests */
}

static void assert_serves(struct models *m, const char *name, const char *sha256, const char *flash)
{
    const struct models_entry *e = models_find(m, name);
    struct models_serving s;
    struct fault why = {0};
    struct stat st;
    int fd = -1;
    assert_non_null(e);
    models_serving_get(e, &s);
    assert_string_equal(s.sha256, sha256);
    assert_string_equal(s.run.flash, flash);
    assert_int_equal(models_open_fd(m, e, NULL, NULL, &fd, &why), FAIL_NONE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, s.bytes);
    close(fd);
}

static void a_release_serves_once_it_is_adopted(void **state)
{
    const char *home = *state;
    char path[600], sha[2][TEXT_SHA256_HEX_SIZE];
    struct fault why = {0};
    struct models_entry e;
    struct models *m = open_store(home);
    snprintf(path, sizeof(path), "%s/tuned.gguf", home);
    put_file(path, &(struct spec){.alignment = 64});
    text_copy(sha[0], sizeof(sha[0]), models_at(m, 0)->sha256);
    AUTO_FREE char *name = mem_dup_str(models_at(m, 0)->name);
    size_t before = count_models(home);
    struct models_release r = {.run = {.flash = "off", .n_threads = 2, .gpu_layers = -1},
                               .prefill = 100, .speed = 1.25, .machine = "here"};
    assert_int_equal(models_propose(m, "nobody", path, &r, &why), FAIL_NOT_FOUND);
    assert_int_equal(models_adopt(m, name, false, NULL, NULL, &why), FAIL_CONFLICT);
    assert_int_equal(models_propose(m, name, path, &r, &why), FAIL_NONE);
    text_copy(sha[1], sizeof(sha[1]), r.sha256);
    assert_serves(m, name, sha[0], ""); /* nothing unapproved serves */
    assert_int_equal(count_models(home), before + 1);
    assert_int_equal(models_adopt(m, name, false, sha[0], NULL, &why), FAIL_CONFLICT);
    assert_int_equal(models_adopt(m, name, false, sha[1], &e, &why), FAIL_NONE);
    assert_true(e.active.there && !e.candidate.there);
    models_close(m);
    m = open_store(home); /* as written down */
    assert_serves(m, name, sha[1], "off");
    assert_int_equal(models_find(m, name)->active.run.n_threads, 2);
    assert_true(models_find(m, name)->active.speed == 1.25);
    assert_int_equal(models_find(m, name)->active.run.gpu_layers, -1);
    /* Another use of the original replaces it; the file made before goes. */
    r = (struct models_release){.run = {.flash = "on", .gpu_layers = 0}, .machine = "here"};
    assert_int_equal(models_propose(m, name, NULL, &r, &why), FAIL_NONE);
    assert_int_equal(models_adopt(m, name, false, NULL, NULL, &why), FAIL_NONE);
    assert_serves(m, name, sha[0], "on");
    assert_int_equal(count_models(home), before);
    /* Adding the same file again keeps what was decided; going back is one step, and forth too. */
    assert_int_equal(models_adopt(m, name, true, NULL, NULL, &why), FAIL_NONE);
    assert_serves(m, name, sha[0], "");
    assert_int_equal(models_adopt(m, name, true, NULL, NULL, &why), FAIL_CONFLICT);
    assert_int_equal(models_adopt(m, name, false, NULL, NULL, &why), FAIL_NONE);
    assert_serves(m, name, sha[0], "on");
    models_close(m);
}

static void an_import_without_a_worker_says_so(void **state)
{
    const char *home = *state;
    struct fault why = {0};
    struct models *m = open_store(home);
    struct models_import what = {.folder = home, .worker_path = "/nonexistent/inhouse-worker"};
    assert_int_equal(models_import(m, &what, NULL, NULL, NULL, &why), FAIL_NOT_FOUND);
    assert_non_null(strstr(why.message, "inhouse-worker"));
    /* A child that says nothing, one that never ends, one that dies. */
    const struct {
        const char *script;
        const char *says;
        int timeout_ms;
    } children[] = {{"#!/bin/sh\nexit 0\n", "unsaid", 0},
                    {"#!/bin/sh\nexec sleep 20\n", "longer than", 100},
                    {"#!/bin/sh\nkill -SEGV $$\n", "signal 11", 0},
                    {"#!/bin/sh\necho nonsense\n", "not valid JSON", 0},
                    {"#!/bin/sh\necho '{\"event\":\"error\",\"code\":\"unsupported\",\"message\":"
                     "\"config.json: odd\",\"hint\":\"Do x.\"}'\nexit 1\n",
                     "config.json: odd", 0}};
    char worker[600];
    snprintf(worker, sizeof(worker), "%s/worker.sh", home);
    what.worker_path = worker;
    for (size_t i = 0; i < COUNT_OF(children); i++) {
        int fd = open(worker, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
        assert_int_equal(write(fd, children[i].script, strlen(children[i].script)),
                         strlen(children[i].script));
        close(fd);
        memset(&why, 0, sizeof(why));
        what.timeout_ms = children[i].timeout_ms;
        assert_int_not_equal(models_import(m, &what, NULL, NULL, NULL, &why), FAIL_NONE);
        if (strstr(why.message, children[i].says) == NULL) {
            print_error("child %zu: %s\n", i, why.message);
        }
        assert_non_null(strstr(why.message, children[i].says));
    }
    models_close(m);
}

static int make_home(void **state)
{
    const char *temp = getenv("TMPDIR");
    char *home = mem_alloc(512);
    snprintf(home, 512, "%s/inhouse-models-XXXXXX", temp == NULL ? "/tmp" : temp);
    *state = home;
    return mkdtemp(home) == NULL;
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
    int r = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(*state);
    return r;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_sound_file),
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(survives_random_damage),
        cmocka_unit_test(adds_finds_and_opens),
        cmocka_unit_test(the_newest_of_a_role_wins),
        cmocka_unit_test(refuses_with_one_clear_error),
        cmocka_unit_test(a_changed_file_is_not_served),
        cmocka_unit_test(a_release_serves_once_it_is_adopted),
        cmocka_unit_test(a_broken_manifest_stops_nobody),
        cmocka_unit_test(an_import_without_a_worker_says_so),
        cmocka_unit_test(nothing_is_left_behind),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
