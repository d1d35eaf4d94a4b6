/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the reader of saved heads. The input is a blob without its last 32 bytes: the right
 * hash is put there, so that the checks behind it are reached. What is accepted must answer, and
 * saved again give the same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "answer/learn/learn.h"
#include "base/text/text.h"

#define INPUT_MAX ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct learn_head *h)
{
    static float vector[LEARN_MAX_DIM];
    struct learn_prediction p;
    struct fault why;
    int dim = learn_head_dim(h);
    vector[0] = 1;
    enum fail f = learn_predict(h, "late parcel", 11, dim > 0 ? vector : NULL, dim, &p, &why);
    ASSERT(f == FAIL_NONE);
    ASSERT(p.n_top >= 2 && p.top[0].label < learn_head_labels(h));
    ASSERT(p.confidence >= 0 && p.confidence <= 1.001F && p.none >= 0 && p.none <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct learn_head *h;
    struct fault why = {0};
    if (size > INPUT_MAX) {
        return 0;
    }
    uint8_t *blob = mem_alloc(size + 32);
    memcpy(blob, data, size);
    text_sha256(blob, size, blob + size);
    if (learn_load(blob, size + 32, &h, &why) == FAIL_NONE) {
        struct buf again;
        buf_init(&again, LEARN_MAX_BLOB);
        ask(h);
        ASSERT(learn_save(h, &again, &why) == FAIL_NONE);
        ASSERT(again.len == size + 32 && memcmp(again.data, blob, again.len) == 0);
        buf_done(&again);
        learn_head_free(h);
    } else {
        ASSERT(why.message[0] != '\0' && strchr(why.message, '\n') == NULL);
    }
    mem_free(blob);
    return 0;
}
