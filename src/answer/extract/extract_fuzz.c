/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the candidate finder and the reader of saved heads. A blob that begins with the
 * head's magic is read with the right hash put behind it; anything else is a text: every candidate
 * must be a stretch of it that says its value when read again.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "answer/extract/extract.h"
#include "base/text/text.h"

#define INPUT_MAX ((size_t)1 << 15)
#define VERIFIED 24 /* candidates: verifying one reads the text again */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct extract_scene scene = {.now = 1795305600, .zone_minutes = 60};

static enum extract_kind kind_of(enum extract_type type)
{
    enum extract_kind kind = EXTRACT_NUMBER;
    while (!extract_suits(kind, type)) {
        kind++;
    }
    return kind;
}

static void find(const char *text, size_t n)
{
    struct extract_found *found = mem_alloc_array(EXTRACT_MAX_FOUND, sizeof(*found));
    bool cut = false;
    size_t len = extract_find(text, n, &scene, found, EXTRACT_MAX_FOUND, &cut);
    for (size_t i = 0; i < len; i++) {
        const struct extract_found *f = &found[i];
        ASSERT(f->len > 0 && f->at <= n && f->len <= n - f->at && f->type < EXTRACT_TYPE_COUNT);
        ASSERT(strlen(f->normal) < EXTRACT_MAX_NORMAL);
        if (i < VERIFIED && memchr(text + f->at, '\0', f->len) == NULL) {
            enum extract_kind kind = kind_of(f->type);
            AUTO_FREE char *as_is = mem_dup_strn(text + f->at, f->len);
            bool plain = kind == EXTRACT_ID || kind == EXTRACT_SPAN;
            ASSERT(extract_verify(kind, text, n, &scene, f->at, f->len,
                                  plain ? as_is : f->normal));
        }
    }
    mem_free(found);
}

static void load(const uint8_t *data, size_t size)
{
    struct extract_head *h;
    struct fault why = {0};
    uint8_t *blob = mem_alloc(size + 32);
    memcpy(blob, data, size);
    text_sha256(blob, size, blob + size);
    if (extract_load(blob, size + 32, &h, &why) == FAIL_NONE) {
        struct extract_answer a;
        struct buf again;
        buf_init(&again, EXTRACT_MAX_BLOB);
        extract_predict(h, "order 4711 of 12 May, 5 EUR", 27, &scene, &a);
        ASSERT(a.n_top >= 1 && a.confidence >= 0 && a.confidence <= 1);
        extract_answer_done(&a);
        ASSERT(extract_save(h, &again, &why) == FAIL_NONE);
        ASSERT(again.len == size + 32 && memcmp(again.data, blob, again.len) == 0);
        buf_done(&again);
        extract_head_free(h);
    } else {
        ASSERT(why.message[0] != '\0' && strchr(why.message, '\n') == NULL);
    }
    mem_free(blob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX) {
        return 0;
    }
    if (size >= 8 && memcmp(data, "IHXTR01\n", 8) == 0) {
        load(data, size);
    } else {
        find((const char *)data, size);
    }
    return 0;
}
