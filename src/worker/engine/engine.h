/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine: one loaded model that answers asks by steps. Two engines behind one ops table:
 * llama (llama.cpp, one unified KV, continuous batching, forked prefixes, scored forms) and fake
 * (deterministic, no model, for tests). The caller submits asks, and while engine_forecast says
 * there is work, calls engine_step; what comes out goes to the sink, from inside submit, cancel or
 * step. Every submitted ask ends in exactly one of generated, formed, embedded, failed.
 * Owns: the model, the context, the asks it was given. Threads: one caller; llama.cpp's own compute
 * threads inside a step.
 * Limits: ENGINE_*; a step is bounded in tokens so that frames are read between steps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "run/form/form.h"
#include "run/ipc/ipc.h"

#define ENGINE_QUEUE_MAX 1024       /* asks waiting and running */
#define ENGINE_SEQ_MAX 64           /* asks running at once */
#define ENGINE_IDLE_CELLS_MAX 2048  /* KV cells of prefixes nobody is using */
#define ENGINE_STOPS_MAX 8
#define ENGINE_ADAPTERS_MAX 16
#define ENGINE_STASH_MB_MAX 65536
#define ENGINE_EMBED_MAX 256
#define ENGINE_LOGPROBS_MAX 5
#define ENGINE_LOGPROB_TOKENS_MAX 512

enum engine_kind { ENGINE_GENERATE, ENGINE_EMBED };
enum engine_flash { ENGINE_FLASH_AUTO, ENGINE_FLASH_ON, ENGINE_FLASH_OFF };
enum engine_kv { ENGINE_KV_F16, ENGINE_KV_Q8_0 }; /* how keys or values are kept */

struct engine_load {
    const char *model; /* its name, for log lines */
    enum engine_kind kind;
    unsigned n_ctx; /* 0: min(4096, what it was trained with) */
    unsigned n_seq; /* 0: by the size of the model */
    unsigned n_threads;
    unsigned n_batch;
    unsigned n_ubatch; /* tokens computed at once; 0: n_batch */
    enum engine_flash flash;
    enum engine_kv type_k, type_v; /* a quantised type_v needs flash */
    int gpu_layers; /* layers kept on a GPU, if the engine has one; -1: as many as it likes */
    unsigned idle_cells; /* 0: ENGINE_IDLE_CELLS_MAX */
    unsigned stash_mb;   /* RAM for prefixes that left the KV; 0: they are forgotten */
    const char *chat_template; /* NULL: the model's own */
    bool speculate;            /* n-gram drafts, see speculate.c */
    const char *sha256;        /* of the file, for the fingerprint; NULL: not known */
};

/* A LoRA over the loaded model. */
struct engine_adapter {
    const char *name; /* for log lines */
    const char *sha256;
};

struct engine_loaded {
    char arch[64];
    char desc[128];
    enum engine_kind kind;
    int64_t n_params;
    int64_t bytes;
    int n_ctx;
    int n_ctx_train;
    int n_embd;
    int n_vocab;
    int n_seq;
    bool has_template;
    char build[96];       /* of the engine and the instruction set it chose */
    char fingerprint[24]; /* "fp_" and 16 hex: all that the bytes of a reproducible answer hang on,
                             but the ask itself */
};

enum engine_job { ENGINE_JOB_GENERATE, ENGINE_JOB_FORM, ENGINE_JOB_EMBED };

struct engine_generate {
    const char *request; /* JSON for shim_chat_render, or NULL with prompt */
    const char *prompt;  /* raw text */
    const char *schema;  /* JSON schema, or NULL */
    const char *grammar; /* GBNF, or NULL */
    bool convert_schema; /* what our machine cannot keep goes through llama.cpp's converter */
    int max_tokens;
    double temperature;
    double top_p;
    uint64_t seed;
    const char *stops[ENGINE_STOPS_MAX];
    size_t n_stops;
    unsigned logprobs;
    bool stream;
    bool tools;
};

struct engine_form {
    const char *system; /* NULL or empty: none */
    const char *prefix; /* the user's turn is prefix, input, suffix */
    const char *input;
    const char *suffix;
    bool share_input; /* many asks over one input: it is kept decoded, and suffix is data too */
    int64_t now;
    uint64_t seed; /* of what is drawn in text holes, beside the input */
    const struct form_plan *plan;
    bool released; /* all of it but the input is released text: its state may be kept on disk */
};

struct engine_embed {
    const char *const *texts;
    const size_t *lens;
    size_t n;
};

/* One ask. It and all it points to live in its arena, which the engine takes over with a
   successful submit. */
struct engine_ask {
    struct arena *arena;
    uint64_t id;
    enum ipc_class class;
    enum engine_job job;
    const char *domain;
    /* Answered alone in the lane: the same ask, model, build and machine give the same bytes. */
    bool reproducible;
    const char *adapter; /* sha256 of one that was added, NULL: the model alone; the domain then
                            names it too, so that their states never mix */
    struct engine_generate generate;
    struct engine_form form;
    struct engine_embed embed;
};

struct engine_usage {
    int64_t tokens_in;
    int64_t tokens_cached;
    int64_t tokens_out;
    int64_t tokens_drafted;  /* proposed from the text before, and decoded beside the next one */
    int64_t tokens_accepted; /* of those: what the sampler would have chosen itself */
    double ms_queue;
    double ms_prefill;
    double ms_decode;
};

struct engine_token {
    const char *text; /* valid UTF-8 */
    double logprob;
};

struct engine_logprob {
    struct engine_token chosen;
    struct engine_token top[ENGINE_LOGPROBS_MAX];
    size_t n_top;
};

struct engine_generated {
    const char *finish_reason; /* "stop", "length", "tool_calls", "cancelled" */
    const char *text;
    const char *tool_calls; /* JSON array [{"id","name","arguments"}], or NULL */
    struct engine_usage usage;
    double logprob_mean;
    double logprob_min;
    const struct engine_logprob *logprobs;
    size_t n_logprobs;
};

struct engine_embedded {
    size_t n;
    int dim;
    const float *rows; /* n x dim, unit length */
    const int *tokens;
    const bool *cut;
};

/* The head of a released form that is kept in memory and may be taken. */
struct engine_kept {
    const char *prefix; /* 64 hex: SHA-256 of the domain, a NUL and the tokens */
    int tokens;
    int scores;   /* rows of null-prompt scores that go with it */
    size_t bytes; /* of its state, as ipc_state_put writes it */
};

/* Where answers go. Pointers are valid during the call only. */
struct engine_sink {
    void *self;
    void (*text)(void *self, uint64_t id, const char *text, size_t len);
    void (*generated)(void *self, uint64_t id, const struct engine_generated *result);
    void (*formed)(void *self, uint64_t id, const struct form_result *result);
    void (*embedded)(void *self, uint64_t id, const struct engine_embedded *result);
    void (*failed)(void *self, uint64_t id, const struct fault *why);
    /* Before the form's own answer; NULL: nothing is kept. */
    void (*kept)(void *self, uint64_t id, const struct engine_kept *kept);
};

struct engine_step {
    uint32_t us; /* forecast */
    unsigned tokens;
    enum ipc_class class; /* the best one with work in the step */
};

struct engine_stats {
    int running;
    int queued;
    int kv_used;
    int kv_cells;
    int idle_cells;
    int prefixes;
    int64_t lane_bytes; /* KV of the reproducible lane, 0 while it is closed */
    int stashed; /* prefixes that wait in RAM */
    int64_t stash_bytes;
    int64_t restored; /* times one came back, since the load */
};

struct engine;

struct engine_ops {
    const char *name;
    /* fd is borrowed. FAIL_MODEL_UNAVAILABLE when the file is no model this engine can load;
       another load may follow. */
    enum fail (*load)(struct engine *engine, int fd, const struct engine_load *load,
                      struct engine_loaded *out, struct fault *why);
    /* fd is borrowed. FAIL_MODEL_UNAVAILABLE when it is no adapter of this model, FAIL_TOO_LARGE
       over ENGINE_ADAPTERS_MAX; one that is there already is kept. */
    enum fail (*adapter)(struct engine *engine, int fd, const struct engine_adapter *adapter,
                         struct fault *why);
    /* On failure the ask stays the caller's. */
    enum fail (*submit)(struct engine *engine, struct engine_ask *ask, struct fault *why);
    /* Unknown ids are ignored. */
    void (*cancel)(struct engine *engine, uint64_t id);
    /* What the next step would do; false when there is nothing to do. */
    bool (*forecast)(struct engine *engine, struct engine_step *out);
    /* One step. lease_us > 0: when it has run that long it is aborted, and tried again smaller. */
    void (*step)(struct engine *engine, uint32_t lease_us);
    enum fail (*render)(struct engine *engine, const char *text, const char *vars, int64_t now,
                        struct buf *out, struct fault *why);
    enum fail (*count_text)(struct engine *engine, const char *text, size_t len, int64_t *tokens,
                            struct fault *why);
    enum fail (*count_messages)(struct engine *engine, const char *request, int64_t *tokens,
                                struct fault *why);
    /* Writes the state of a kept prefix, of exactly `bytes`. FAIL_NOT_FOUND when it is gone,
       FAIL_CONFLICT when it has another size now. */
    enum fail (*state_take)(struct engine *engine, const char *prefix, uint8_t *out, size_t bytes,
                            struct fault *why);
    /* Keeps a state that was taken from an engine with the same model and context. */
    enum fail (*state_give)(struct engine *engine, const char *domain, const uint8_t *bytes,
                            size_t len, int64_t *tokens, struct fault *why);
    void (*stats)(struct engine *engine, struct engine_stats *out);
    void (*free)(struct engine *engine);
};

struct engine {
    const struct engine_ops *ops;
    const struct engine_sink *sink;
    bool loaded;
    struct engine_loaded info;
};

/*
 * Before the sandbox: opens the CPU backend that fits this machine from `dir` and silences
 * llama.cpp's logs below warnings. FAIL_INTERNAL when no backend is there. Each GPU it finds is
 * opened once, so that its driver starts while it may read files; one that cannot be opened costs a
 * log line, and the CPU serves.
 */
enum fail engine_llama_start(const char *dir, struct fault *why);
/* After that: GPUs the engine can use. */
int engine_llama_gpus(void);
/* Compute threads as the engine runs them: they sleep between steps. NULL for fewer than two. */
struct ggml_threadpool;
struct ggml_threadpool *engine_pool_new(unsigned n_threads);
void engine_pool_free(struct ggml_threadpool *pool);
struct engine *engine_llama_new(const struct engine_sink *sink);
struct engine *engine_fake_new(const struct engine_sink *sink);
