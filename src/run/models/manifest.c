/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of a model: `models/<sha256>.json`, written whole or not at all.
 * A manifest is read as hostile text: strict JSON, known roles, the name's and the hash's form, and
 * the hash must be the one its file name says.
 * Threads: one. Limits: 64 KiB a manifest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "run/models/models_internal.h"

#define MANIFEST_MAX 65536u

bool models_role_is_known(const char *role)
{
    static const char *const roles[] = {"light", "heavy", "embed", "rerank", "other"};
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        if (strcmp(roles[i], role) == 0) {
            return true;
        }
    }
    return false;
}

void models_run_put(struct jn_writer *w, const struct models_run *run)
{
    const struct {
        const char *key;
        int value;
    } numbers[] = {{"n_threads", run->n_threads}, {"n_batch", run->n_batch},
                   {"n_ubatch", run->n_ubatch}};
    const char *const words[][2] = {{"flash", run->flash}, {"type_k", run->type_k},
                                    {"type_v", run->type_v}};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        if (numbers[i].value > 0) {
            jn_kv_int(w, numbers[i].key, numbers[i].value);
        }
    }
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (words[i][1][0] != '\0') {
            jn_kv_str(w, words[i][0], words[i][1]);
        }
    }
    if (run->gpu_layers >= 0) {
        jn_kv_int(w, "gpu_layers", run->gpu_layers);
    }
}

static void put_release(struct jn_writer *w, const char *key, const struct models_release *r)
{
    char at[CLOCK_RFC3339_SIZE];
    if (!r->there) {
        return;
    }
    jn_key(w, key);
    jn_object_begin(w);
    jn_kv_str(w, "sha256", r->sha256);
    jn_kv_int(w, "bytes", r->bytes);
    jn_kv_str(w, "quant", r->quant);
    jn_kv_str(w, "made_at", clock_show(r->made_at, at));
    jn_kv_str(w, "machine", r->machine);
    jn_key(w, "run");
    jn_object_begin(w);
    models_run_put(w, &r->run);
    jn_object_end(w);
    jn_kv_real(w, "prefill", r->prefill, 2);
    jn_kv_real(w, "decode_1", r->decode_1, 2);
    jn_kv_real(w, "decode_8", r->decode_8, 2);
    jn_kv_real(w, "speed", r->speed, 4);
    jn_kv_real(w, "kl", r->kl, 6);
    jn_kv_real(w, "top_1", r->top_1, 4);
    jn_object_end(w);
}

static void put_manifest(struct buf *b, const struct models_entry *e)
{
    struct jn_writer w;
    char at[CLOCK_RFC3339_SIZE];
    jn_begin(&w, b, false);
    jn_object_begin(&w);
    jn_kv_int(&w, "v", 1);
    jn_kv_str(&w, "name", e->name);
    jn_kv_str(&w, "role", e->role);
    jn_kv_str(&w, "kind", e->kind);
    jn_kv_str(&w, "arch", e->arch);
    jn_kv_str(&w, "quant", e->quant);
    jn_kv_int(&w, "bytes", e->bytes);
    jn_kv_str(&w, "sha256", e->sha256);
    jn_kv_str(&w, "source", e->source);
    jn_kv_str(&w, "licence", e->licence);
    jn_kv_str(&w, "added_at", clock_show(e->added_at, at));
    if (e->pin != MODELS_PIN_BY_ROLE) {
        jn_kv_bool(&w, "pinned", e->pin == MODELS_PIN_YES);
    }
    if (e->base[0] != '\0') {
        jn_kv_str(&w, "base", e->base);
    }
    if (e->memory_bytes > 0) {
        jn_kv_int(&w, "memory_bytes", e->memory_bytes);
        jn_kv_int(&w, "memory_ctx", e->memory_ctx);
    }
    put_release(&w, "active", &e->active);
    put_release(&w, "candidate", &e->candidate);
    jn_object_end(&w);
    buf_add_char(b, '\n');
}

static enum fail write_file(int dir, const char *name, const struct buf *b, struct fault *why)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: cannot be written", name);
    }
    enum fail f = FAIL_NONE;
    for (size_t at = 0; f == FAIL_NONE && at < b->len;) {
        ssize_t n = write(fd, b->data + at, b->len - at);
        if (n < 0 && errno != EINTR) {
            f = FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: writing failed", name);
        }
        at += n > 0 ? (size_t)n : 0;
    }
    if (f == FAIL_NONE && fsync(fd) != 0) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: writing failed", name);
    }
    close(fd);
    return f;
}

enum fail models_manifest_write(const struct models *m, const struct models_entry *entry,
                                struct fault *why)
{
    char temp[TEXT_SHA256_HEX_SIZE + 16], name[TEXT_SHA256_HEX_SIZE + 16];
    snprintf(temp, sizeof(temp), ".new-%s.json", entry->sha256);
    snprintf(name, sizeof(name), "%s.json", entry->sha256);
    struct buf b;
    buf_init(&b, MANIFEST_MAX);
    put_manifest(&b, entry);
    enum fail f = write_file(m->dir, temp, &b, why);
    buf_done(&b);
    if (f == FAIL_NONE && renameat(m->dir, temp, m->dir, name) != 0) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "models/%s: cannot be put in place",
                        name);
    }
    if (f != FAIL_NONE) {
        unlinkat(m->dir, temp, 0);
        return f;
    }
    /* The rename itself must last too. */
    if (fsync(m->dir) != 0) {
        return FAULT_ERRNO(why, fail_from_write_errno(errno), "%.200s/models: writing failed",
                           m->home);
    }
    return FAIL_NONE;
}

static enum fail read_text(const struct models *m, const char *file, struct buf *b,
                           struct fault *why)
{
    int fd = openat(m->dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return FAULT_ERRNO(why, FAIL_NOT_FOUND, "models/%.80s: cannot be opened", file);
    }
    enum fail f = FAIL_NONE;
    char chunk[4096];
    ssize_t n;
    while (f == FAIL_NONE && (n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno != EINTR) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "models/%.80s: cannot be read", file);
        } else if (n > 0 && !buf_add(b, chunk, (size_t)n)) {
            f = FAULT(why, FAIL_TOO_LARGE, "models/%.80s: larger than %u bytes", file,
                      MANIFEST_MAX);
        }
    }
    close(fd);
    return f;
}

static enum fail take_text(const json_t *obj, const char *key, char *out, size_t room,
                           struct fault *why)
{
    const char *s = NULL;
    enum fail f = jn_str(obj, key, true, room - 1, &s, why);
    if (f == FAIL_NONE) {
        text_copy(out, room, s);
    }
    return f;
}

/* A word of the list, or "" when the key is not there. */
static enum fail take_word(const json_t *obj, const char *key, const char *const *list, char *out,
                           size_t room, struct fault *why)
{
    const char *s = "";
    enum fail f = jn_str(obj, key, false, room - 1, &s, why);
    bool known = s[0] == '\0';
    for (; !known && *list != NULL; list++) {
        known = strcmp(*list, s) == 0;
    }
    text_copy(out, room, s);
    return f != FAIL_NONE || known
               ? f
               : FAULT(why, FAIL_BAD_REQUEST, "\"%s\" has a value it cannot have", key);
}

static enum fail take_run(const json_t *obj, struct models_run *run, struct fault *why)
{
    static const char *const flashes[] = {"auto", "on", "off", NULL};
    static const char *const types[] = {"f16", "q8_0", NULL};
    int64_t threads = 0, batch = 0, ubatch = 0, layers = -1;
    enum fail f = jn_int(obj, "n_threads", false, 1, 64, &threads, why);
    f = f != FAIL_NONE ? f : jn_int(obj, "n_batch", false, 16, 2048, &batch, why);
    f = f != FAIL_NONE ? f : jn_int(obj, "n_ubatch", false, 16, 2048, &ubatch, why);
    f = f != FAIL_NONE ? f : jn_int(obj, "gpu_layers", false, -1, 1024, &layers, why);
    f = f != FAIL_NONE ? f : take_word(obj, "flash", flashes, run->flash, sizeof(run->flash), why);
    f = f != FAIL_NONE ? f : take_word(obj, "type_k", types, run->type_k, sizeof(run->type_k), why);
    f = f != FAIL_NONE ? f : take_word(obj, "type_v", types, run->type_v, sizeof(run->type_v), why);
    run->n_threads = (int)threads;
    run->n_batch = (int)batch;
    run->n_ubatch = (int)ubatch;
    run->gpu_layers = (int)layers;
    return f;
}

static enum fail take_release(const json_t *obj, const char *key, struct models_release *r,
                              struct fault *why)
{
    json_t *j = NULL, *run = NULL;
    const char *at = NULL;
    uint8_t hash[32];
    enum fail f = jn_object(obj, key, false, &j, why);
    if (f != FAIL_NONE || j == NULL) {
        return f;
    }
    const struct {
        const char *key;
        double *out;
    } reals[] = {{"prefill", &r->prefill}, {"decode_1", &r->decode_1}, {"decode_8", &r->decode_8},
                 {"speed", &r->speed},     {"kl", &r->kl},             {"top_1", &r->top_1}};
    f = take_text(j, "sha256", r->sha256, sizeof(r->sha256), why);
    f = f != FAIL_NONE ? f : take_text(j, "quant", r->quant, sizeof(r->quant), why);
    f = f != FAIL_NONE ? f : take_text(j, "machine", r->machine, sizeof(r->machine), why);
    f = f != FAIL_NONE ? f : jn_int(j, "bytes", true, 1, INT64_MAX, &r->bytes, why);
    f = f != FAIL_NONE ? f : jn_str(j, "made_at", true, CLOCK_RFC3339_SIZE, &at, why);
    f = f != FAIL_NONE ? f : jn_object(j, "run", true, &run, why);
    f = f != FAIL_NONE ? f : take_run(run, &r->run, why);
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(reals); i++) {
        f = jn_real(j, reals[i].key, true, 0, 1e12, reals[i].out, why);
    }
    if (f == FAIL_NONE && (strlen(r->sha256) != 64 || !text_unhex(r->sha256, 64, hash) ||
                           !clock_read(at, &r->made_at))) {
        f = FAULT(why, FAIL_BAD_REQUEST, "\"%s\" has a value it cannot have", key);
    }
    r->there = f == FAIL_NONE;
    return f;
}

static enum fail take_manifest(const json_t *obj, struct models_entry *e, struct fault *why)
{
    const struct {
        const char *key;
        char *out;
        size_t room;
    } texts[] = {
        {"name", e->name, sizeof(e->name)},       {"role", e->role, sizeof(e->role)},
        {"kind", e->kind, sizeof(e->kind)},       {"arch", e->arch, sizeof(e->arch)},
        {"quant", e->quant, sizeof(e->quant)},    {"sha256", e->sha256, sizeof(e->sha256)},
        {"source", e->source, sizeof(e->source)}, {"licence", e->licence, sizeof(e->licence)}};
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(texts); i++) {
        f = take_text(obj, texts[i].key, texts[i].out, texts[i].room, why);
    }
    const char *at = NULL;
    f = f != FAIL_NONE ? f : take_release(obj, "active", &e->active, why);
    f = f != FAIL_NONE ? f : take_release(obj, "candidate", &e->candidate, why);
    if (f == FAIL_NONE) {
        f = jn_int(obj, "bytes", true, 1, INT64_MAX, &e->bytes, why);
    }
    if (f == FAIL_NONE) {
        f = jn_str(obj, "added_at", true, CLOCK_RFC3339_SIZE, &at, why);
    }
    bool pinned = false;
    if (f == FAIL_NONE) {
        f = jn_bool(obj, "pinned", false, &pinned, why);
    }
    if (f == FAIL_NONE) {
        f = jn_int(obj, "memory_bytes", false, 0, INT64_MAX, &e->memory_bytes, why);
    }
    if (f == FAIL_NONE) {
        f = jn_int(obj, "memory_ctx", false, 0, 1 << 24, &e->memory_ctx, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    if (json_object_get(obj, "pinned") != NULL) {
        e->pin = pinned ? MODELS_PIN_YES : MODELS_PIN_NO;
    }
    uint8_t hash[32];
    bool adapter = strcmp(e->kind, "adapter") == 0;
    const char *base = "";
    if (jn_str(obj, "base", adapter, 64, &base, why) != FAIL_NONE) {
        return why->code;
    }
    (void)text_copy(e->base, sizeof(e->base), base);
    const char *wrong = !text_is_name(e->name)                                        ? "name"
                        : !models_role_is_known(e->role)                              ? "role"
                        : strcmp(e->kind, "gguf") != 0 && !adapter ? "kind"
                        : adapter != (strlen(base) == 64 && text_unhex(base, 64, hash)) ? "base"
                        : strlen(e->sha256) != 64 || !text_unhex(e->sha256, 64, hash) ? "sha256"
                        : !clock_read(at, &e->added_at)                               ? "added_at"
                                                                                      : NULL;
    return wrong == NULL ? FAIL_NONE
                         : FAULT(why, FAIL_BAD_REQUEST, "\"%s\" has a value it cannot have", wrong);
}

enum fail models_manifest_read(const struct models *m, const char *file, struct models_entry *out,
                               struct fault *why)
{
    AUTO_JSON json_t *obj = NULL;
    struct buf b;
    struct fault inner = {0};
    memset(out, 0, sizeof(*out));
    buf_init(&b, MANIFEST_MAX);
    enum fail f = read_text(m, file, &b, why);
    if (f != FAIL_NONE) {
        buf_done(&b);
        return f;
    }
    f = jn_parse(b.data == NULL ? "" : b.data, b.len, "it", &obj, &inner);
    if (f == FAIL_NONE) {
        f = take_manifest(obj, out, &inner);
    }
    buf_done(&b);
    if (f == FAIL_NONE && strncmp(file, out->sha256, 64) != 0) {
        f = FAULT(&inner, FAIL_BAD_REQUEST, "\"sha256\" is not the one of its file name");
    }
    if (f != FAIL_NONE) {
        FAULT(why, f, "models/%.80s: %.200s", file, inner.message);
        fail_hint(why, "Delete this manifest and add the model again with `inhouse models add`.");
    }
    return f;
}
