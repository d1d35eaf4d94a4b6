/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: hostile documents and requests. The input is a document; three variants of it, their
 * digits changed, teach a template, which is then asked of each; it is also read as the bytes of a
 * template, and as two requests for the guard. Nothing may crash, and what is read is in the text.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "answer/reuse/reuse.h"
#include "base/text/text.h"

#define INPUT_MAX ((size_t)REUSE_DOC_BYTES + 64)
#define VARIANTS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The document with its digits turned on by k; its first word with a digit is the value. */
static char *variant(const uint8_t *data, size_t n, int k, char value[64])
{
    char *text = mem_dup_strn((const char *)data, n);
    size_t from = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            text[i] = (char)('0' + (text[i] - '0' + k) % 10);
            from = from == SIZE_MAX ? i : from;
        }
    }
    size_t len = from == SIZE_MAX ? 0 : strcspn(text + from, " \t\r\n");
    snprintf(value, 64, "%.*s", (int)(len < 60 ? len : 0), from == SIZE_MAX ? "" : text + from);
    return text;
}

static void ask(const struct reuse_template *t, const char *text, size_t n)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct reuse_match m;
    reuse_template_match(t, text, n, arena, &m);
    ASSERT(m.n <= REUSE_MAX_FIELDS && strchr(m.note, '\n') == NULL);
    for (size_t i = 0; i < m.n; i++) {
        ASSERT(m.fills[i].at <= n && m.fills[i].len <= n - m.fills[i].at);
        ASSERT(m.fills[i].confirmed > 0 || m.fit == REUSE_FIT_WHOLE);
    }
    arena_free(arena);
}

static void teach(const uint8_t *data, size_t n)
{
    struct reuse_doc docs[VARIANTS];
    struct reuse_template *made[VARIANTS];
    char values[VARIANTS][64];
    char *texts[VARIANTS];
    for (int k = 0; k < VARIANTS; k++) {
        texts[k] = variant(data, n, k, values[k]);
        docs[k] = (struct reuse_doc){.text = texts[k], .len = n, .n = 1, .names = {"number"},
                                     .values = {values[k]}};
    }
    size_t count = reuse_templates_learn(docs, VARIANTS, made, VARIANTS);
    for (size_t i = 0; i < count; i++) {
        struct reuse_template *back = NULL;
        struct fault why;
        struct buf b;
        buf_init(&b, REUSE_TEMPLATE_BYTES);
        ASSERT(reuse_template_write(made[i], &b));
        ASSERT(reuse_template_read(b.data, b.len, &back, &why) == FAIL_NONE);
        for (int k = 0; k < VARIANTS; k++) {
            ask(back, texts[k], n);
        }
        reuse_template_free(back);
        reuse_template_free(made[i]);
        buf_done(&b);
    }
    for (int k = 0; k < VARIANTS; k++) {
        mem_free(texts[k]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reuse_template *t = NULL;
    struct fault why;
    if (size > INPUT_MAX) {
        return 0;
    }
    if (reuse_template_read(data, size, &t, &why) == FAIL_NONE) {
        ask(t, "Order no: 12\nTotal: 3,50 EUR\n", 29);
        reuse_template_free(t);
    }
    size_t n = text_utf8_valid_prefix((const char *)data, size);
    n = memchr(data, 0, n) != NULL ? (size_t)((const uint8_t *)memchr(data, 0, n) - data) : n;
    size_t half = text_utf8_cut((const char *)data, n / 2);
    bool one = reuse_guard((const char *)data, half, (const char *)data + half, n - half) ==
               REUSE_SAME;
    bool two = reuse_guard((const char *)data + half, n - half, (const char *)data, half) ==
               REUSE_SAME;
    ASSERT(one == two);
    teach(data, n);
    return 0;
}
