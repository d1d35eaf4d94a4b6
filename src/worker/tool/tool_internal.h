/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/tool, inside: opened files, the safetensors reader, and the two jobs.
 * Threads: one. Nothing here is shared.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fail/fail.h"
#include "worker/tool/tool.h"

/* A file of the input folder, opened before the process is sealed and mapped afterwards. */
struct tool_file {
    const char *name; /* as it is called in messages: relative to the input folder */
    int fd;           /* -1 when the folder has no such file */
    const uint8_t *data;
    size_t size;
};

/* Maps an opened file for reading; at most max bytes. A file that is not there stays {data NULL,
 * size 0}. */
enum fail tool_file_map(struct tool_file *file, size_t max, struct fault *why);
/* Parses a mapped JSON object: duplicates refused. *out is NULL when the file is not there; else
 * json_decref it. */
enum fail tool_file_json(const struct tool_file *file, json_t **out, struct fault *why);

enum tool_dtype { TOOL_DTYPE_F32, TOOL_DTYPE_F16, TOOL_DTYPE_BF16, TOOL_DTYPE_OTHER };

#define TOOL_DIMS_MAX 4

/* One tensor of a safetensors file; data points into the mapping. */
struct tool_tensor {
    const char *name; /* without a leading "bert." */
    enum tool_dtype dtype;
    const char *dtype_name;
    unsigned n_dims;
    uint64_t shape[TOOL_DIMS_MAX]; /* outermost first, as the file has it */
    uint64_t begin, end;           /* inside the data part */
    const uint8_t *data;
};

struct tool_safetensors {
    const char *file;
    json_t *header; /* owns the names */
    struct tool_tensor *tensors;
    size_t n;
};

/* Checks the header and every tensor's shape, type and place; the tensors come back in file order.
 */
enum fail tool_safetensors_open(struct tool_safetensors *st, const struct tool_file *file,
                                struct fault *why);
void tool_safetensors_done(struct tool_safetensors *st);
/* NULL when there is none of that name. */
const struct tool_tensor *tool_safetensors_find(const struct tool_safetensors *st,
                                                const char *name);
/* Elements [at, at + n) as float32; false when one of them is not finite. The dtype is not
 * TOOL_DTYPE_OTHER. */
bool tool_tensor_read(const struct tool_tensor *t, uint64_t at, size_t n, float *out);

/* What an imported model is, from its folder's small files. Strings are the struct's own
 * (mem_free). */
struct tool_bert {
    uint32_t layers, heads, width, inner, positions, types;
    uint32_t vocab_size;
    uint32_t context; /* min(positions, the folder's max_seq_length): what a text is cut to */
    float norm_eps;
    uint32_t pooling; /* LLAMA_POOLING_TYPE_* */
    bool lower, strip_accents;
    int64_t unk, sep, pad, cls, mask; /* token ids; -1: none */
    char **tokens; /* vocab_size of them, in the form llama.cpp reads (see vocabulary.c) */
    int32_t *token_types;
    char name[128];    /* from the README's first heading, or "" */
    char licence[128]; /* from the README's front matter, or "" */
};

enum tool_input {
    TOOL_INPUT_WEIGHTS,
    TOOL_INPUT_VOCAB,
    TOOL_INPUT_CONFIG,
    TOOL_INPUT_TOKENIZER,
    TOOL_INPUT_SENTENCE,
    TOOL_INPUT_MODULES,
    TOOL_INPUT_POOLING,
    TOOL_INPUT_README,
    TOOL_INPUT_COUNT
};

enum fail tool_bert_read(struct tool_bert *bert, struct tool_file *files, struct fault *why);
void tool_bert_done(struct tool_bert *bert);
/* The vocabulary: tokens, token_types and the special ids of bert, from vocab.txt and the named
 * special tokens. */
enum fail tool_vocabulary_read(struct tool_bert *bert, const struct tool_file *vocab,
                               json_t *tokenizer, struct fault *why);

/* Writes the GGUF to out, front to back, so that out may be a pipe. half: matrices as F16. Reports
   progress with tool_say_progress. */
enum fail tool_gguf_write(const struct tool_bert *bert, const struct tool_safetensors *st,
                          bool half, FILE *out, uint64_t *bytes, struct fault *why);

/* The jobs. Each opens its files, seals, prints its lines, and returns the exit status. */
int tool_import(const char *in_dir, const char *out_dir, bool half, tool_seal_fn seal);
int tool_check(const char *in_file, const char *engine_dir, tool_seal_fn seal);
/* type is one that tool_quantize_knows. */
int tool_quantize(const char *in_file, const char *out_dir, const char *type,
                  const char *engine_dir, tool_seal_fn seal);
bool tool_quantize_knows(const char *type);
/* plan is JSON text, NULL for the defaults. */
int tool_measure(const char *in_file, const char *plan, const char *engine_dir, tool_seal_fn seal);
int tool_compare(const char *in_file, const char *original, const char *plan,
                 const char *engine_dir, tool_seal_fn seal);

/*
 * keep.c: runs job(arg, data) in a child whose stdout is a pipe, relays its lines to our stdout and
 * what it writes into `data` to out_file (-1: none), at most max bytes, synced. Returns the exit
 * status. The job seals itself: it may write into pipes, and into files not at all.
 */
int tool_keep(int (*job)(void *arg, int data), void *arg, int out_file, uint64_t max);

/* Keeps the first line of the first text it is given: what the engine complained of. */
void tool_keep_error(char *kept, size_t room, const char *text);

/*
 * bench.c: what measure and compare share. A run is a way to use a model; its keys are those of
 * LOAD (docs/protocol/worker.md): n_threads, n_batch, n_ubatch, flash, type_k, type_v, with its
 * defaults.
 */
struct llama_model;
struct llama_context;
struct ggml_threadpool;
struct tool_run {
    int n_threads, n_batch, n_ubatch;
    int flash; /* enum llama_flash_attn_type */
    int type_k, type_v; /* enum ggml_type */
};
enum fail tool_run_read(const json_t *obj, struct tool_run *run, struct fault *why);
/* The backends, before the seal. */
enum fail tool_engine_start(const char *engine_dir, char *error, struct fault *why);
/* Inside the seal; in_file names the file in messages. llama_model_free it. */
enum fail tool_model_load(FILE *file, const char *in_file, const char *error,
                          struct llama_model **out, struct fault *why);
/* A context as the engine makes it, with its thread pool; tool_context_close both. */
struct tool_context {
    struct llama_context *context;
    struct ggml_threadpool *pool;
};
enum fail tool_context_open(struct llama_model *model, const struct tool_run *run, int n_ctx,
                            int n_outputs, struct tool_context *out, struct fault *why);
void tool_context_close(struct tool_context *c);
/* Tokens of a text, at most max, into out; how many. */
int tool_tokens(const struct llama_model *model, const char *text, int32_t *out, int max);

#define TOOL_PASSAGES 3
extern const char *const tool_passages[TOOL_PASSAGES]; /* passage.c */

/* Makes text out of a hostile file fit for a line: '?' for every byte that is not UTF-8. */
void tool_clean(char *text);
/* One JSON line on stdout; takes over line. */
void tool_say(json_t *line);
void tool_say_progress(uint64_t done, uint64_t total);
/* The last line of a job that failed; returns the exit status for it. */
int tool_say_error(const struct fault *why);
