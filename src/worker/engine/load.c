/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, llama: the backend before the sandbox, the model and context inside it, tokens,
 * counts and templates.
 * Owns: the model, its context, thread pool and sequence numbers. Threads: one; the pool's threads
 * sleep between steps.
 * Limits: n_ctx, n_batch, MAX_SEQS.
 */
#include "worker/engine/engine_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LARGE_MODEL 1000000000u /* parameters */
#include <unistd.h>

#include "base/log/log.h"

#define EMBED_TOKENS 512

/* Set from the abort of a step until it has returned: what llama.cpp says meanwhile is no error. */
static bool aborting;
/* What llama.cpp complained of first while it loads: the cause; the rest says that it failed. */
static char complaint[160];

static void keep_complaint(const char *line)
{
    if (complaint[0] != '\0') {
        return;
    }
    (void)text_copy(complaint, sizeof complaint, line);
    for (char *c = complaint; *c != '\0'; c++) {
        *c = *c < ' ' || *c > '~' ? '?' : *c; /* it may quote the file */
    }
}

static void on_log(enum ggml_log_level level, const char *text, void *data)
{
    (void)data;
    char line[256];
    if (aborting || (level != GGML_LOG_LEVEL_WARN && level != GGML_LOG_LEVEL_ERROR)) {
        return;
    }
    (void)text_copy(line, sizeof line, text);
    if (level == GGML_LOG_LEVEL_ERROR) {
        keep_complaint(text_trim(line));
    }
    log_write(level == GGML_LOG_LEVEL_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "engine.log",
              LOG_FIELDS(LOG_TEXT("text", text_trim(line))));
}

static bool is_gpu(ggml_backend_dev_t device)
{
    return ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU ||
           ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_IGPU;
}

static int gpus;

int engine_llama_gpus(void)
{
    return gpus;
}

/* A first buffer makes the driver open its files and start its threads. */
static void open_gpus(void)
{
    gpus = 0;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (!is_gpu(device)) {
            continue;
        }
        ggml_backend_buffer_t first =
            ggml_backend_buft_alloc_buffer(ggml_backend_dev_buffer_type(device), 4096);
        if (first != NULL) {
            ggml_backend_buffer_free(first);
            gpus++;
        } else {
            log_write(LOG_LEVEL_WARN, "engine.gpu_refused",
                      LOG_FIELDS(LOG_TEXT("device", ggml_backend_dev_name(device))));
        }
    }
}

/* The engine with CUDA on a machine that cannot use it serves on the CPU, and says why. The backend
   for the older runtime lies under fallback/ (tools/setup). */
static void explain_cuda(const char *dir)
{
    char path[4096], reason[256] = "it finds no device";
    (void)snprintf(path, sizeof path, "%s/libggml-cuda.so", dir);
    if (access(path, R_OK) != 0 || gpus > 0) {
        return;
    }
    if (ggml_backend_reg_by_name("CUDA") == NULL) {
        if (dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL) {
            (void)text_copy(reason, sizeof reason, dlerror());
        }
        (void)snprintf(path, sizeof path, "%s/fallback/libggml-cuda.so", dir);
        if (access(path, R_OK) == 0 && ggml_backend_load(path) != NULL) {
            (void)text_copy(reason, sizeof reason, "it finds no device");
            open_gpus();
        }
    }
    if (gpus == 0) {
        log_write(LOG_LEVEL_WARN, "engine.no_gpu",
                  LOG_FIELDS(LOG_TEXT("message", "this engine has CUDA, and serves on the CPU"),
                             LOG_TEXT("reason", reason)));
    }
}

enum fail engine_llama_start(const char *dir, struct fault *why)
{
    llama_log_set(on_log, NULL);
    shim_quiet();
    ggml_backend_load_all_from_path(dir);
    llama_backend_init();
    if (ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) == NULL) {
        (void)FAULT(why, FAIL_INTERNAL, "no CPU backend of llama.cpp fits this machine");
        return fail_hint(why, "Point --engine-dir at the folder with libggml-cpu-*.so.");
    }
    open_gpus();
    explain_cuda(dir);
    return FAIL_NONE;
}

/* Sequence numbers. */

int engine_seq_take(struct llama_engine *e)
{
    for (int i = 0; i < MAX_SEQS; i++) {
        if (!e->seq_used[i]) {
            e->seq_used[i] = true;
            e->n_seq_used++;
            return i;
        }
    }
    return -1;
}

void engine_seq_drop(struct llama_engine *e, int seq)
{
    ASSERT(seq >= 0 && seq < MAX_SEQS && e->seq_used[seq]);
    llama_memory_seq_rm(llama_get_memory(e->context), seq, -1, -1);
    e->seq_used[seq] = false;
    e->n_seq_used--;
}

/* Tokens. */

void tokens_add(struct tokens *list, const llama_token *more, int n)
{
    if (list->n + n > list->room) {
        list->room = (list->n + n) * 2 + 16;
        list->at = mem_realloc(list->at, (size_t)list->room * sizeof *list->at);
    }
    if (n > 0) {
        memcpy(list->at + list->n, more, (size_t)n * sizeof *more);
    }
    list->n += n;
}

void tokens_done(struct tokens *list)
{
    mem_free(list->at);
    *list = (struct tokens){0};
}

enum fail engine_tokenize(struct llama_engine *e, const char *text, size_t len, bool special,
                          struct tokens *out, struct fault *why)
{
    if (len > IPC_FRAME_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "text of %zu bytes", len);
    }
    int room = (int)len + 8;
    llama_token *at = mem_alloc_array((size_t)room, sizeof *at);
    int n = llama_tokenize(e->vocab, text, (int)len, at, room, false, special);
    if (n < 0) {
        mem_free(at);
        return FAULT(why, FAIL_INTERNAL, "the tokenizer refused a text of %zu bytes", len);
    }
    tokens_add(out, at, n);
    mem_free(at);
    return FAIL_NONE;
}

int engine_piece(struct llama_engine *e, llama_token token, char *out, int room)
{
    int n = llama_token_to_piece(e->vocab, token, out, room, 0, false);
    return n < 0 ? 0 : n;
}

static void find_digits(struct llama_engine *e)
{
    static const char characters[] = "0123456789-.";
    for (int i = 0; i < 12; i++) {
        struct tokens list = {0};
        e->digit[i] = -1;
        char piece[8];
        if (engine_tokenize(e, &characters[i], 1, false, &list, NULL) == FAIL_NONE && list.n > 0) {
            llama_token last = list.at[list.n - 1];
            if (engine_piece(e, last, piece, sizeof piece) == 1 && piece[0] == characters[i]) {
                e->digit[i] = last;
            }
        }
        tokens_done(&list);
    }
}

/* Loading. */

static bool on_abort(void *data)
{
    const struct llama_engine *e = data;
    bool late = e->abort_at > 0 && clock_monotonic_us() > e->abort_at;
    aborting = aborting || late;
    return late;
}

void engine_abort_at(struct llama_engine *e, int64_t monotonic_us)
{
    e->abort_at = monotonic_us;
    aborting = false;
}

struct ggml_threadpool *engine_pool_new(unsigned n_threads)
{
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(cpu);
    struct ggml_threadpool *(*make)(struct ggml_threadpool_params *) =
        (struct ggml_threadpool * (*)(struct ggml_threadpool_params *))
            ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_new");
    if (make == NULL || n_threads < 2) {
        return NULL;
    }
    struct ggml_threadpool_params params = ggml_threadpool_params_default((int)n_threads);
    params.poll = 1; /* a few ms: awake between steps, asleep soon, others share the cores */
    return make(&params);
}

void engine_pool_free(struct ggml_threadpool *pool)
{
    ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_reg_t reg = ggml_backend_dev_backend_reg(cpu);
    void (*drop)(struct ggml_threadpool *) = (void (*)(struct ggml_threadpool *))
        ggml_backend_reg_get_proc_address(reg, "ggml_threadpool_free");
    if (pool != NULL && drop != NULL) {
        drop(pool);
    }
}

static void unload(struct llama_engine *e)
{
    e->base.loaded = false;
    lane_close(e);
    embed_close_twin(e);
    if (e->batch.token != NULL) {
        llama_batch_free(e->batch);
        e->batch = (struct llama_batch){0};
    }
    shim_chat_close(e->chat);
    e->chat = NULL;
    if (e->context != NULL) {
        llama_free(e->context);
        e->context = NULL;
    }
    engine_pool_free(e->pool);
    e->pool = NULL;
    e->n_adapters = 0;
    e->adapter_on = -1;
    if (e->model != NULL) {
        llama_model_free(e->model);
        e->model = NULL;
    }
    masks_free(e->masks);
    e->masks = NULL;
    mem_free(e->scratch);
    mem_free(e->candidates);
    e->scratch = NULL;
    e->candidates = NULL;
}

static enum fail open_context(struct llama_engine *e, const struct engine_load *load,
                              struct fault *why)
{
    bool embed = load->kind == ENGINE_EMBED;
    int trained = llama_model_n_ctx_train(e->model);
    unsigned n_ctx = load->n_ctx != 0 ? load->n_ctx : (unsigned)(trained < 4096 ? trained : 4096);
    struct llama_context_params params = llama_context_default_params();
    e->n_batch = embed ? EMBED_TOKENS : (int)load->n_batch;
    if (embed) {
        n_ctx = (unsigned)(trained < EMBED_TOKENS ? trained : EMBED_TOKENS);
        e->n_batch = (int)n_ctx;
    }
    params.n_ctx = n_ctx;
    params.n_batch = (uint32_t)e->n_batch;
    params.n_ubatch = embed || load->n_ubatch == 0 || load->n_ubatch > load->n_batch
                          ? (uint32_t)e->n_batch
                          : load->n_ubatch;
    params.n_seq_max = ENGINE_SEQ_MAX;
    params.n_outputs_max = embed ? 0 : STEP_OUTPUTS_MAX;
    params.n_threads = (int)load->n_threads;
    params.n_threads_batch = (int)load->n_threads;
    params.embeddings = embed;
    params.kv_unified = true;
    params.no_perf = true;
    e->flash = load->flash == ENGINE_FLASH_ON    ? LLAMA_FLASH_ATTN_TYPE_ENABLED
               : load->flash == ENGINE_FLASH_OFF ? LLAMA_FLASH_ATTN_TYPE_DISABLED
                                                 : LLAMA_FLASH_ATTN_TYPE_AUTO;
    params.flash_attn_type = e->flash;
    e->type_k = load->type_k == ENGINE_KV_Q8_0 ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
    e->type_v = load->type_v == ENGINE_KV_Q8_0 ? GGML_TYPE_Q8_0 : GGML_TYPE_F16;
    params.type_k = e->type_k;
    params.type_v = e->type_v;
    params.abort_callback = on_abort;
    params.abort_callback_data = e;
    e->context = llama_init_from_model(e->model, params);
    if (e->context == NULL) {
        (void)FAULT(why, FAIL_MODEL_UNAVAILABLE, "no context of %u tokens for this model", n_ctx);
        return fail_hint(why, "A smaller n_ctx needs less memory.");
    }
    if (embed && llama_pooling_type(e->context) == LLAMA_POOLING_TYPE_NONE) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "the model gives no sentence embeddings");
    }
    if (!embed && (llama_model_has_encoder(e->model) || !llama_model_has_decoder(e->model) ||
                   llama_model_is_recurrent(e->model) || llama_model_is_hybrid(e->model) ||
                   llama_get_memory(e->context) == NULL)) {
        return FAULT(why, FAIL_UNSUPPORTED,
                     "only decoder models with a plain attention cache can generate here");
    }
    e->pool = engine_pool_new(load->n_threads);
    if (e->pool != NULL) {
        llama_attach_threadpool(e->context, e->pool, e->pool);
    }
    e->batch = llama_batch_init(e->n_batch, 0, 1);
    if (embed && load->n_threads > 1 && (gpus == 0 || load->gpu_layers == 0)) {
        embed_open_twin(e, params);
    }
    return FAIL_NONE;
}

static void describe(struct llama_engine *e, const struct engine_load *load,
                     struct engine_loaded *out)
{
    *out = (struct engine_loaded){
        .kind = load->kind,
        .n_params = (int64_t)llama_model_n_params(e->model),
        .bytes = (int64_t)llama_model_size(e->model),
        .n_ctx = (int)llama_n_ctx(e->context),
        .n_ctx_train = llama_model_n_ctx_train(e->model),
        .n_embd = llama_model_n_embd_out(e->model),
        .n_vocab = e->n_vocab,
        .n_seq = e->n_seq,
        .has_template = load->chat_template != NULL ||
                        llama_model_chat_template(e->model, NULL) != NULL,
    };
    if (llama_model_meta_val_str(e->model, "general.architecture", out->arch, sizeof out->arch) <
        0) {
        out->arch[0] = '\0';
    }
    if (llama_model_desc(e->model, out->desc, sizeof out->desc) < 0) {
        out->desc[0] = '\0';
    }
    engine_fingerprint(e, load, out);
}

static enum fail load_file(struct llama_engine *e, int fd, const struct engine_load *load,
                           struct fault *why)
{
    FILE *file = fdopen(dup(fd), "rb");
    if (file == NULL) {
        return FAULT_ERRNO(why, FAIL_MODEL_UNAVAILABLE, "cannot read the model's descriptor");
    }
    rewind(file);
    struct llama_model_params params = llama_model_default_params();
    params.load_mode = LLAMA_LOAD_MODE_MMAP;
    params.n_gpu_layers = load->gpu_layers;
    complaint[0] = '\0';
    e->model = llama_model_load_from_file_ptr(file, params);
    fclose(file);
    if (e->model == NULL) {
        (void)FAULT(why, FAIL_MODEL_UNAVAILABLE, "llama.cpp cannot load this file: %s",
                    complaint[0] != '\0' ? complaint : "it gave no reason");
        return fail_hint(why, "Fetch the file again, or add another with `inhouse models add`.");
    }
    e->vocab = llama_model_get_vocab(e->model);
    e->n_vocab = llama_vocab_n_tokens(e->vocab);
    return FAIL_NONE;
}

/* The more a model's weights cost to read, the more a step gains by serving several: with 16 a 1.5B
   model writes 86 tokens/s here, with 8 it writes 54; a 135M one gains nothing past 8, because each
   row then looks at more foreign cells. */
static int fitting_seqs(const struct llama_engine *e)
{
    return llama_model_n_params(e->model) >= LARGE_MODEL ? 16 : 8;
}

static enum fail load(struct engine *engine, int fd, const struct engine_load *load,
                      struct engine_loaded *out, struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    ASSERT(!engine->loaded);
    e->n_threads = (int)load->n_threads;
    e->idle_cells = load->idle_cells > 0 ? (int)load->idle_cells : ENGINE_IDLE_CELLS_MAX;
    e->stash_budget = (size_t)load->stash_mb * 1024 * 1024;
    e->step_cap = 0;
    e->speculate = load->speculate;
    memset(e->small_us, 0, sizeof e->small_us);
    memset(e->speed, 0, sizeof e->speed);
    enum fail failed = load_file(e, fd, load, why);
    if (failed == FAIL_NONE) {
        e->n_seq = load->n_seq > 0 ? (int)load->n_seq : fitting_seqs(e);
        failed = open_context(e, load, why);
    }
    if (failed == FAIL_NONE && load->kind == ENGINE_GENERATE) {
        engine_watch(true); /* it tries the template, which may loop for ever */
        failed = shim_chat_open(e->model, load->chat_template, &e->chat, why);
        engine_watch(false);
    }
    if (failed != FAIL_NONE) {
        unload(e);
        return failed;
    }
    e->scratch = mem_alloc_array((size_t)e->n_vocab, sizeof *e->scratch);
    e->candidates = mem_alloc_array((size_t)e->n_vocab, sizeof *e->candidates);
    find_digits(e);
    describe(e, load, out);
    engine->info = *out;
    engine->loaded = true;
    if (load->kind == ENGINE_GENERATE) {
        threads_measure(e);
    }
    return FAIL_NONE;
}

/* Templates and counts. */

static enum fail render(struct engine *engine, const char *text, const char *vars, int64_t now,
                        struct buf *out, struct fault *why)
{
    (void)engine;
    char *rendered = NULL;
    engine_watch(true);
    enum fail failed = shim_template_render(text, vars, now, &rendered, why);
    engine_watch(false);
    if (failed == FAIL_NONE && !buf_add_str(out, rendered)) {
        failed = FAULT(why, FAIL_TOO_LARGE, "a rendered text of more than %zu bytes", out->cap);
    }
    shim_free(rendered);
    return failed;
}

static enum fail count_text(struct engine *engine, const char *text, size_t len, int64_t *n,
                            struct fault *why)
{
    struct tokens list = {0};
    enum fail failed = engine_tokenize(llama_of(engine), text, len, false, &list, why);
    *n = list.n;
    tokens_done(&list);
    return failed;
}

static enum fail count_messages(struct engine *engine, const char *request, int64_t *n,
                                struct fault *why)
{
    struct llama_engine *e = llama_of(engine);
    struct shim_prompt *prompt = NULL;
    struct tokens list = {0};
    if (e->chat == NULL) {
        return FAULT(why, FAIL_UNSUPPORTED, "an embedding model has no chat template");
    }
    engine_watch(true);
    enum fail failed = shim_chat_render(e->chat, request, &prompt, why);
    engine_watch(false);
    if (failed == FAIL_NONE) {
        const char *text = shim_prompt_text(prompt);
        failed = engine_tokenize(e, text, strlen(text), true, &list, why);
    }
    *n = list.n;
    tokens_done(&list);
    shim_prompt_close(prompt);
    return failed;
}

static void stats(struct engine *engine, struct engine_stats *out)
{
    struct llama_engine *e = llama_of(engine);
    *out = (struct engine_stats){.running = e->n_running,
                                 .queued = e->n_tasks - e->n_running,
                                 .kv_used = prefix_cells(e, false),
                                 .kv_cells = engine->loaded ? engine->info.n_ctx : 0,
                                 .idle_cells = prefix_cells(e, true),
                                 .stashed = e->n_stashed,
                                 .stash_bytes = (int64_t)e->stash_bytes,
                                 .restored = e->n_restored};
    for (const struct task *t = e->first; t != NULL; t = t->next) {
        out->kv_used += t->state == TASK_RUNNING ? t->reserve : 0;
    }
    out->lane_bytes = lane_bytes(e);
    if (e->lane != NULL) {
        out->running += e->lane->n_running;
        out->queued += e->lane->n_tasks - e->lane->n_running;
    }
    for (int i = 0; i < MAX_PREFIXES; i++) {
        out->prefixes += e->prefixes[i].used ? 1 : 0;
    }
}

static void free_engine(struct engine *engine)
{
    struct llama_engine *e = llama_of(engine);
    for (struct task *t = e->first; t != NULL; t = t->next) {
        if (t->state != TASK_ENDED) {
            task_end(e, t);
        }
    }
    task_sweep(e);
    prefix_done(e);
    form_nulls_free(e);
    memo_free(e);
    unload(e);
    engine_turns_done(e);
    mem_free(e);
}

struct engine *engine_llama_new(const struct engine_sink *sink)
{
    static const struct engine_ops ops = {
        .name = "llama",
        .load = load,
        .adapter = adapter_add,
        .submit = lane_submit,
        .cancel = lane_cancel,
        .forecast = lane_forecast,
        .step = lane_step,
        .render = render,
        .count_text = count_text,
        .count_messages = count_messages,
        .state_take = state_take,
        .state_give = state_give,
        .stats = stats,
        .free = free_engine,
    };
    struct llama_engine *e = mem_alloc(sizeof *e);
    e->base.ops = &ops;
    e->base.sink = sink;
    e->adapter_on = -1;
    engine_turns_init(e);
    return &e->base;
}
