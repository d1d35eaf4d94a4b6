/* SPDX-License-Identifier: Apache-2.0 */
/* run/models, inside: the store, its files, and the tables of the GGUF checker. */
#pragma once

#include <sys/stat.h>

#include "run/models/models.h"

struct models {
    char *home; /* as given, for messages */
    int dir;    /* home/models */
    struct models_entry *entries;
    size_t n;
    struct fault *broken;
    size_t n_broken;
};

/* store.c: adds or replaces an entry in memory, keeping the order by name. */
void models_put_entry(struct models *m, const struct models_entry *entry);
void models_drop_entry(struct models *m, const char *sha256);
/* store.c: the only writer lock between processes. Waits; close *lock to release. */
enum fail models_lock(struct models *m, int *lock, struct fault *why);

/* add.c: checks, links (or copies) and hashes a GGUF into the folder under its sha256; fills in
   sha256, bytes and quant. Called with the lock held. */
enum fail models_take_file(const struct models *m, const char *path, struct models_release *out,
                           struct fault *why);
/* release.c: removes a file that no entry and no release names. */
void models_drop_file(const struct models *m, const char *sha256);

/* import.c: removes the folder of an import, with what is in it. */
void models_clean_import(const struct models *m, const char *name);

/* manifest.c */
enum fail models_manifest_write(const struct models *m, const struct models_entry *entry,
                                struct fault *why);
enum fail models_manifest_read(const struct models *m, const char *file, struct models_entry *out,
                               struct fault *why);
bool models_role_is_known(const char *role);

/* verify.c: SHA-256 of the whole file behind fd from byte 0; phase is for progress. */
enum fail models_hash_fd(int fd, uint64_t bytes, const char *what, models_progress_fn progress,
                         void *ctx, char hex[TEXT_SHA256_HEX_SIZE], struct fault *why);
/* verify.c: remembers that this very file passed; failure to write it down costs only time. */
void models_seen_put(const struct models *m, const char *sha256, const struct stat *st);
bool models_seen_is(const struct models *m, const char *sha256, const struct stat *st);

/* gguf_types.c: bytes and elements of a block; 0 for a type number that no file may use. */
struct gguf_type_info {
    const char *name;
    uint16_t elements;
    uint16_t bytes;
};
const struct gguf_type_info *gguf_type_find(uint32_t type);
/* "Q4_K_M" for general.file_type 15; NULL when unknown. */
const char *gguf_file_type_name(uint64_t file_type);
#define GGUF_TENSOR_TYPES 64u
