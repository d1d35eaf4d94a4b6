/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a model needs in memory: an estimate from its header, and what was seen, kept in the
 * manifest.
 * Threads: one. Limits: numbers of a hostile header are bounded before they are multiplied.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "run/models/models_internal.h"

#define PROCESS_BYTES (INT64_C(48) << 20) /* libraries, log, frames, tokenizer tables */
#define OUTPUT_ROWS 128                   /* logits a step may hold */
#define NEED_MAX (INT64_C(1) << 50)

static int64_t times(int64_t a, int64_t b)
{
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) || product > NEED_MAX ? NEED_MAX : product;
}

/* The first line that starts with key, as a number. */
static int64_t read_number(const char *path, const char *key)
{
    char line[256];
    int64_t value = 0;
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        char *at = line;
        if (key[0] != '\0') {
            if (!text_starts_with(line, key)) {
                continue;
            }
            at += strlen(key);
            at += strspn(at, " \t");
        }
        at[strcspn(at, " \n")] = '\0';
        (void)text_read_int(at, 0, INT64_MAX / 1024, &value);
        break;
    }
    if (f != NULL) {
        fclose(f);
    }
    return value;
}

int64_t models_memory_default(void)
{
    int64_t bytes = read_number("/proc/meminfo", "MemTotal:") * 1024;
    int64_t limit = read_number("/sys/fs/cgroup/memory.max", ""); /* "max" reads as 0 */
    return (limit > 0 && limit < bytes ? limit : bytes) / 10 * 7;
}

/* The CPU backend multiplies these from a copy that it rearranges at load; the file's own pages
   stay resident beside it. */
static bool is_rearranged(const char *quant)
{
    return text_starts_with(quant, "Q4_0") || text_starts_with(quant, "Q4_K") ||
           text_starts_with(quant, "IQ4_NL");
}

int64_t models_memory_estimate(const struct models_facts *f, int64_t n_ctx, int64_t n_batch)
{
    int64_t heads = f->heads > 0 ? f->heads : 1;
    int64_t heads_kv = f->heads_kv > 0 ? f->heads_kv : heads;
    int64_t head = f->width / heads + 1;
    int64_t key = f->key_length > 0 ? f->key_length : head;
    int64_t value = f->value_length > 0 ? f->value_length : head;
    int64_t feed = f->feed_forward > 0 ? f->feed_forward : INT64_C(4) * f->width;
    int64_t bytes = f->bytes < (uint64_t)NEED_MAX ? (int64_t)f->bytes : NEED_MAX;
    int64_t need = PROCESS_BYTES + times(bytes, is_rearranged(f->quant) ? 2 : 1);
    /* Keys and values of every layer, two bytes a number. */
    need += times(times(f->layers, n_ctx), times(heads_kv, 2 * (key + value)));
    /* Activations of one layer at a time, the attention mask, and the logits; four bytes each. */
    need += times(n_batch, 4 * (6 * (int64_t)f->width + 2 * feed));
    need += times(n_batch, 6 * n_ctx);
    int64_t vocabulary = f->vocabulary < (1u << 24) ? (int64_t)f->vocabulary : 1 << 24;
    need += n_ctx > 0 ? times(OUTPUT_ROWS, 8 * vocabulary) : 0;
    return need < NEED_MAX ? need : NEED_MAX;
}

enum fail models_note(struct models *m, const char *sha256, const struct models_note *note,
                      struct fault *why)
{
    int lock = -1;
    enum fail f = models_lock(m, &lock, why);
    if (f != FAIL_NONE) {
        return f;
    }
    f = models_reload(m, why);
    struct models_entry *e = NULL;
    for (size_t i = 0; f == FAIL_NONE && i < m->n; i++) {
        if (strcmp(m->entries[i].sha256, sha256) == 0) {
            e = &m->entries[i];
        }
    }
    if (f == FAIL_NONE && e == NULL) {
        f = FAULT(why, FAIL_NOT_FOUND, "the model %.16s is no longer stored", sha256);
    }
    if (f == FAIL_NONE) {
        e->pin = note->pin;
        e->memory_bytes = note->memory_bytes;
        e->memory_ctx = note->memory_ctx;
        f = models_manifest_write(m, e, why);
    }
    close(lock);
    return f;
}
