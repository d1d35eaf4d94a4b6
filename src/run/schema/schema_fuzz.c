/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of run/schema: the input up to the first NUL is a schema; what compiles is walked by
 * the bytes that follow (each picks one of the bytes that may come). A walk never stands in a dead
 * end, says truly what must come, and survives being compacted; a document it ends is JSON.
 */
#include "run/schema/schema.h"

#include <string.h>

#define STEPS_MAX 400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_document(const struct buf *text)
{
    json_t *tree = NULL;
    struct fault why = {0};
    if (jn_parse(text->data, text->len, "document", &tree, &why) != FAIL_NONE) {
        ASSERT(strstr(why.message, "nested") != NULL || strstr(why.message, "deep") != NULL ||
               strstr(why.message, "big") != NULL || strstr(why.message, "overflow") != NULL);
    }
    json_decref(tree);
}

static void walk(const struct schema *schema, const uint8_t *picks, size_t n)
{
    struct schema_walk *w = schema_walk_new(schema, NULL);
    uint32_t at = schema_walk_start(w);
    struct buf text;
    buf_init(&text, STEPS_MAX + 8);
    for (size_t i = 0; i < n && i < STEPS_MAX; i++) {
        uint8_t list[256];
        unsigned n_list = 0;
        for (unsigned byte = 0; byte < 256; byte++) {
            if (schema_walk_step(w, at, (uint8_t)byte) != 0) {
                list[n_list++] = (uint8_t)byte;
            }
        }
        int forced = schema_walk_forced(w, at);
        ASSERT(n_list > 0 || schema_walk_complete(w, at));
        ASSERT(forced < 0 || (n_list == 1 && list[0] == forced));
        if (schema_walk_complete(w, at) && (n_list == 0 || picks[i] < 8)) {
            check_document(&text);
            break;
        }
        uint8_t byte = list[picks[i] % n_list];
        (void)buf_add_char(&text, (char)byte);
        at = schema_walk_step(w, at, byte);
        if (i % 64 == 63) {
            at = schema_walk_compact(w, at);
        }
    }
    buf_done(&text);
    schema_walk_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t n = nul == NULL ? size : (size_t)(nul - data);
    struct schema *schema = NULL;
    struct fault why = {0};
    if (schema_compile_text((const char *)data, n, &schema, &why) == FAIL_NONE) {
        walk(schema, data + n, size - n);
        schema_free(schema);
    } else {
        ASSERT(why.message[0] != '\0');
    }
    return 0;
}
