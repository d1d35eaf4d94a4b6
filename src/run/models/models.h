/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/models: the model files of one data folder, and what their headers say.
 *
 * A model is `models/<sha256>` (0444, never changed once it is there) beside its manifest
 * `models/<sha256>.json`. Both appear by rename, so a crash or a full disk leaves nothing half
 * written. A file is hashed on the very descriptor that is handed on, so what was checked is what
 * is loaded. A model may have releases beside its original file (models_propose): their files lie
 * in the same folder and are named in its manifest only. The GGUF header is read by a small checker
 * of our own, never by ggml: the server stays up whatever the file holds. Whether llama.cpp can
 * load it is for the worker to find out.
 *
 * Owns: the folder `models` under the data folder, and struct models.
 * Threads: none shared; a struct models belongs to one thread. Adding, importing and the first
 * opening of a model block for as long as reading the file takes (about 1 s a GiB); give them a
 * progress callback, or a thread of their own. Other processes may add at the same time.
 * Limits: 1,024 models; the checker's are in gguf.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/text/text.h"

#define MODELS_NAME_SIZE 65 /* [a-z0-9][a-z0-9._-]{0,63} and NUL */
#define MODELS_MAX 1024

/* May a model be unloaded to make room for another? By default not while it serves a role. */
enum models_pin { MODELS_PIN_BY_ROLE, MODELS_PIN_YES, MODELS_PIN_NO };
/* How a worker uses a model: keys of LOAD (docs/protocol/worker.md). 0, "" and gpu_layers -1 leave
   the choice to the fleet and the worker. */
struct models_run {
    int n_threads, n_batch, n_ubatch;
    char flash[8];             /* "auto", "on", "off" */
    char type_k[8], type_v[8]; /* "f16", "q8_0" */
    int gpu_layers;
};

/* A way to serve a model that was measured on this machine: perhaps another file made from the
   original, and how to use it. A candidate serves nobody until a person adopts it. */
struct models_release {
    bool there;
    char sha256[TEXT_SHA256_HEX_SIZE]; /* the original's when only the use differs */
    int64_t bytes;
    char quant[24];
    struct models_run run;
    int64_t made_at;  /* µs since 1970 UTC */
    char machine[96]; /* where it was measured, and with which engine */
    /* tokens a second here; speed: work per time against the original used with defaults */
    double prefill, decode_1, decode_8, speed;
    double kl, top_1; /* against the original file (worker/tool/compare.c) */
};

/* One model as its manifest says. */
struct models_entry {
    char name[MODELS_NAME_SIZE];
    char role[16];  /* "light", "heavy", "embed", "rerank" or "other" */
    char kind[16];  /* "gguf", or "adapter": a LoRA over the model `base` */
    char base[TEXT_SHA256_HEX_SIZE]; /* "" but for adapters */
    char arch[48];  /* "llama", "qwen2", "bert" */
    char quant[24]; /* "Q4_K_M", "F16" */
    /* where it came from, as the person who added it said; else the file's name */
    char source[256];
    char licence[96]; /* SPDX name, or "" when unknown */
    char sha256[TEXT_SHA256_HEX_SIZE];
    int64_t bytes;
    int64_t added_at; /* µs since 1970 UTC */
    enum models_pin pin;
    int64_t memory_bytes; /* the most its worker was seen to use, 0: never loaded */
    int64_t memory_ctx;   /* with a context of so many tokens */
    struct models_release active, candidate;
};

/* What a GGUF header says, after every check passed. Strings are "" and numbers 0 when unsaid. */
struct models_facts {
    char arch[48];
    char name[128];
    char licence[96];
    char quant[24]; /* the file's own word, else the type most of its weights have */
    uint32_t version;
    uint32_t alignment;
    uint32_t layers;
    uint32_t width;   /* embedding length */
    uint32_t context; /* tokens it was trained with */
    uint32_t heads;
    uint32_t heads_kv;     /* 0: as heads, or not the same in every layer */
    uint32_t key_length;   /* of a head, 0: width / heads */
    uint32_t value_length; /* the same */
    uint32_t feed_forward; /* width of the feed-forward layers, 0: unsaid */
    uint64_t vocabulary;
    uint64_t tensors;
    uint64_t parameters;
    uint64_t header_bytes;
    uint64_t bytes;
    char tokenizer[32];
    bool chat_template;
    bool is_adapter; /* a LoRA: weights for another model, no tokenizer, sizes 0 */
    bool embeds; /* it names a pooling type: an embedding model */
};

/*
 * Called now and then with bytes done of total while a long step runs; phase is "copy", "hash" or
 * "import". Returning false stops the step, which then fails with FAIL_STOPPED and leaves nothing.
 */
typedef bool (*models_progress_fn)(void *ctx, const char *phase, uint64_t done, uint64_t total);

struct models;

/*
 * Opens the store of a data folder and reads its manifests; makes the folder when it is missing.
 * A manifest that cannot be read does not stop the others: see models_broken. Free with
 * models_close.
 */
MUST_CHECK enum fail models_open(const char *home, struct models **out, struct fault *why);
void models_close(struct models *m);
/* Reads the manifests again (another process may have added some). Entries move. */
MUST_CHECK enum fail models_reload(struct models *m, struct fault *why);

/* Entries by name, 0 .. count - 1. Borrowed until the next add, import, remove, reload or close. */
size_t models_count(const struct models *m);
const struct models_entry *models_at(const struct models *m, size_t i);
/* By name, by role (the one added last wins), or by the first 8 or more digits of the sha256; in
   this order. NULL when there is none. */
const struct models_entry *models_find(const struct models *m, const char *name_or_role);
/* Like models_find, but says what to do when there is none: FAIL_NOT_FOUND. */
MUST_CHECK enum fail models_get(const struct models *m, const char *name_or_role,
                                const struct models_entry **out, struct fault *why);
/* Manifests that could not be read: how many, and what is wrong with each. */
size_t models_broken(const struct models *m);
const struct fault *models_broken_at(const struct models *m, size_t i);

/* What to add. NULL members are left to the file: see each. */
struct models_add {
    const char *path;   /* a GGUF file */
    const char *name;   /* NULL: from the file's name */
    const char *role;   /* NULL: embed when it pools, else light under 1 G parameters, else heavy */
    const char *source; /* NULL: the file's name */
    const char *licence; /* NULL: what the header says */
    const char *sha256;  /* NULL: any; else the file must have this hash */
    const char *adapter_of; /* NULL: a model; else a LoRA over the stored model of that name */
    /* Hard-link instead of copying where the file system can. The file must then be one that nobody
       else writes (its mode becomes 0444): a download of ours, the output of an import. */
    bool link;
};

/*
 * Checks the header, copies (or links) and hashes the file into the store, and writes the manifest.
 * The same file again only renews its manifest. *out (may be NULL) is a copy of the new entry.
 * FAIL_NOT_FOUND no such file; FAIL_BAD_REQUEST not a GGUF, damaged, or the hash differs;
 * FAIL_CONFLICT the name belongs to another file; FAIL_DISK_FULL; FAIL_STOPPED.
 */
MUST_CHECK enum fail models_add(struct models *m, const struct models_add *what,
                                models_progress_fn progress, void *ctx, struct models_entry *out,
                                struct fault *why);

/* A sentence-transformers folder to turn into a GGUF. */
struct models_import {
    const char *folder;
    const char *name;        /* NULL: from the folder's README, else from the folder's name */
    const char *role;        /* NULL: embed */
    const char *source;      /* NULL: the folder's name */
    const char *type;        /* "f16" (NULL), "f32" or "q8_0" */
    const char *worker_path; /* NULL: inhouse-worker beside this executable */
    int timeout_ms;          /* 0: ten minutes */
};

/*
 * Runs `inhouse-worker --tool import` as a sealed child and adds what it made. Errors as
 * models_add; FAIL_UNSUPPORTED a kind of model that cannot be imported; FAIL_WORKER_DIED the child
 * was ended by a signal or the time limit; all naming the file, and the tensor or key where it is
 * one.
 */
MUST_CHECK enum fail models_import(struct models *m, const struct models_import *what,
                                   models_progress_fn progress, void *ctx, struct models_entry *out,
                                   struct fault *why);

/* Deletes a model by its exact name, file and manifest. A worker that runs it keeps its descriptor.
 */
MUST_CHECK enum fail models_remove(struct models *m, const char *name, struct fault *why);

/* What serves a model: its adopted release, or the file itself with defaults. */
struct models_serving {
    const char *sha256, *quant; /* the entry's: borrowed */
    int64_t bytes;
    struct models_run run;
};
void models_serving_get(const struct models_entry *entry, struct models_serving *out);
/* Writes the members of a run that are set, as keys of the object that is open. */
struct jn_writer;
void models_run_put(struct jn_writer *w, const struct models_run *run);
/* The path of a stored file, below the data folder given to models_open: for the worker's tools. */
bool models_path(const struct models *m, const char *sha256, char *out, size_t room);

/*
 * Makes a release the candidate of the model of that exact name; an older candidate goes. path: the
 * file it serves (hard-linked, see models_add.link), NULL for the original; sha256, bytes, quant
 * and there of *release are filled in. Errors as models_add; FAIL_NOT_FOUND no such model.
 */
MUST_CHECK enum fail models_propose(struct models *m, const char *name, const char *path,
                                    struct models_release *release, struct fault *why);
/*
 * A person's decision: the candidate becomes active (the release it replaces goes), or with back
 * the active one becomes the candidate again and the original file serves. sha256 (may be NULL):
 * the candidate, or active one, that was meant. One write of the manifest: a crash leaves either
 * the old state or the new. *out (may be NULL): the entry afterwards. FAIL_NOT_FOUND no such model;
 * FAIL_CONFLICT no such release.
 */
MUST_CHECK enum fail models_adopt(struct models *m, const char *name, bool back,
                                  const char *sha256, struct models_entry *out, struct fault *why);

/* Reads the header of the file that serves a stored model. */
MUST_CHECK enum fail models_show(const struct models *m, const struct models_entry *entry,
                                 struct models_facts *out, struct fault *why);

/*
 * Opens the file that serves a stored model (models_serving_get) read-only (O_CLOEXEC; the caller
 * owns *fd) and makes sure it is the file of its manifest: header, size and sha256, hashed on this
 * descriptor. The hash is skipped when the same file (device, inode, size, both times) passed
 * before, so only the first start is slow. FAIL_NOT_FOUND the file is gone; FAIL_MODEL_UNAVAILABLE
 * it is not the file it was.
 */
MUST_CHECK enum fail models_open_fd(const struct models *m, const struct models_entry *entry,
                                    models_progress_fn progress, void *ctx, int *fd,
                                    struct fault *why);

/*
 * Bytes a worker needs for the model of that header: its weights (twice where the CPU backend keeps
 * a rearranged copy of them), an f16 KV cache of n_ctx tokens (0: an embedding model), the buffers
 * of a step of n_batch tokens, and the process itself. An estimate before loading; pure.
 */
int64_t models_memory_estimate(const struct models_facts *f, int64_t n_ctx, int64_t n_batch);

/* Bytes that loaded models may use when nothing is configured: 70 % of the machine's memory, or of
   the control group's limit where that is less. 0 when neither is told. */
int64_t models_memory_default(void);

/* What was learned about a stored model after it was added. */
struct models_note {
    enum models_pin pin;
    int64_t memory_bytes, memory_ctx;
};
/* Writes it to the manifest. FAIL_NOT_FOUND when the model is gone. Blocks on the disk. */
MUST_CHECK enum fail models_note(struct models *m, const char *sha256,
                                 const struct models_note *note, struct fault *why);

/* Checks a GGUF header from a descriptor (position untouched) or from memory. `what` names the file
   in messages. FAIL_BAD_REQUEST damaged; FAIL_UNSUPPORTED of a kind that is not served;
   FAIL_TOO_LARGE over a limit. */
MUST_CHECK enum fail models_gguf_check(int fd, const char *what, struct models_facts *out,
                                       struct fault *why);
MUST_CHECK enum fail models_gguf_check_bytes(const void *data, size_t size, const char *what,
                                             struct models_facts *out, struct fault *why);
