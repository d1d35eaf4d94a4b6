/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What measure and compare share: a run's options, loading a model inside the seal, and a context
 * made the way worker/engine makes its own. Threads: llama.cpp's. Limits: those of LOAD.
 */
#include "worker/tool/tool_internal.h"

#include <string.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "ggml-backend.h"
#include "llama.h"
#include "worker/engine/engine.h"

static enum fail read_kv(const json_t *obj, const char *key, int *out, struct fault *why)
{
    const char *word = "f16";
    enum fail f = jn_str(obj, key, false, 8, &word, why);
    if (f == FAIL_NONE && strcmp(word, "f16") != 0 && strcmp(word, "q8_0") != 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s must be f16 or q8_0", key);
    }
    *out = word[0] == 'q' ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
    return f;
}

enum fail tool_run_read(const json_t *obj, struct tool_run *run, struct fault *why)
{
    static const char *const keys[] = {"n_threads", "n_batch", "n_ubatch", "flash",
                                       "type_k",    "type_v",  NULL};
    int64_t threads = 1, batch = 512, ubatch = 0;
    const char *flash = "auto";
    enum fail f = jn_only(obj, keys, why);
    f = f != FAIL_NONE ? f : jn_int(obj, "n_threads", false, 1, 64, &threads, why);
    f = f != FAIL_NONE ? f : jn_int(obj, "n_batch", false, 16, 2048, &batch, why);
    f = f != FAIL_NONE ? f : jn_int(obj, "n_ubatch", false, 16, batch, &ubatch, why);
    f = f != FAIL_NONE ? f : jn_str(obj, "flash", false, 8, &flash, why);
    f = f != FAIL_NONE ? f : read_kv(obj, "type_k", &run->type_k, why);
    f = f != FAIL_NONE ? f : read_kv(obj, "type_v", &run->type_v, why);
    bool on = strcmp(flash, "on") == 0, off = strcmp(flash, "off") == 0;
    if (f == FAIL_NONE && !on && !off && strcmp(flash, "auto") != 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "flash must be auto, on or off");
    }
    if (f == FAIL_NONE && off && run->type_v != GGML_TYPE_F16) {
        f = FAULT(why, FAIL_BAD_REQUEST, "type_v must be f16 with flash off");
    }
    run->n_threads = (int)threads;
    run->n_batch = (int)batch;
    run->n_ubatch = (int)(ubatch > 0 ? ubatch : batch);
    run->flash = on    ? LLAMA_FLASH_ATTN_TYPE_ENABLED
                 : off ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                       : LLAMA_FLASH_ATTN_TYPE_AUTO;
    return f;
}

static void on_log(enum ggml_log_level level, const char *text, void *user)
{
    if (level == GGML_LOG_LEVEL_ERROR) {
        tool_keep_error(user, 200, text);
    }
}

enum fail tool_engine_start(const char *engine_dir, char *error, struct fault *why)
{
    llama_log_set(on_log, error);
    ggml_backend_load_all_from_path(engine_dir);
    llama_backend_init();
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == NULL) {
        FAULT(why, FAIL_INTERNAL, "%.200s holds no backend of the engine for this machine",
              engine_dir);
        return fail_hint(why, "Run `make setup`, then build again.");
    }
    return FAIL_NONE;
}

enum fail tool_model_load(FILE *file, const char *in_file, const char *error,
                          struct llama_model **out, struct fault *why)
{
    struct llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_MMAP;
    *out = llama_model_load_from_file_ptr(file, params);
    if (*out == NULL) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.100s: the engine cannot load it: %s", in_file,
                     error[0] == '\0' ? "it gave no reason" : error);
    }
    if (llama_model_has_encoder(*out) || !llama_model_has_decoder(*out) ||
        llama_model_is_recurrent(*out) || llama_model_is_hybrid(*out)) {
        llama_model_free(*out);
        *out = NULL;
        FAULT(why, FAIL_UNSUPPORTED, "%.100s: not a model that generates with a plain attention "
              "cache", in_file);
        return fail_hint(why, "Only such models are tuned; embedding models are fast as they are.");
    }
    return FAIL_NONE;
}

enum fail tool_context_open(struct llama_model *model, const struct tool_run *run, int n_ctx,
                            int n_outputs, struct tool_context *out, struct fault *why)
{
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)n_ctx;
    params.n_batch = (uint32_t)run->n_batch;
    params.n_ubatch = (uint32_t)run->n_ubatch;
    params.n_seq_max = ENGINE_SEQ_MAX;
    params.n_outputs_max = (uint32_t)n_outputs;
    params.n_threads = run->n_threads;
    params.n_threads_batch = run->n_threads;
    params.kv_unified = true;
    params.no_perf = true;
    params.flash_attn_type = (enum llama_flash_attn_type)run->flash;
    params.type_k = (enum ggml_type)run->type_k;
    params.type_v = (enum ggml_type)run->type_v;
    out->pool = NULL;
    out->context = llama_init_from_model(model, params);
    if (out->context == NULL) {
        return FAULT(why, FAIL_UNSUPPORTED, "the engine makes no context with these options");
    }
    out->pool = engine_pool_new((unsigned)run->n_threads);
    if (out->pool != NULL) {
        llama_attach_threadpool(out->context, out->pool, out->pool);
    }
    return FAIL_NONE;
}

void tool_context_close(struct tool_context *c)
{
    if (c->context != NULL) {
        llama_free(c->context);
    }
    engine_pool_free(c->pool);
    *c = (struct tool_context){NULL, NULL};
}

int tool_tokens(const struct llama_model *model, const char *text, int32_t *out, int max)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    int room = (int)strlen(text) + 8;
    AUTO_FREE int32_t *all = mem_alloc_array((size_t)room, sizeof(*all));
    int n = llama_tokenize(vocab, text, (int)strlen(text), all, room, false, false);
    n = n < 0 ? 0 : n > max ? max : n;
    memcpy(out, all, (size_t)n * sizeof(*all));
    return n;
}
