/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of work/review: what customers wrote. Two texts, apart at the first NUL: how alike
 * they are, what changed from one to the other, and what two answers share.
 */
#include <string.h>

#include "work/review/review.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sizes {
    size_t added, removed;
};

static void count(void *arg, bool added, const char *text, size_t len)
{
    struct sizes *s = arg;
    ASSERT(len > 0 && memchr(text, '\0', len) == NULL && memchr(text, '\n', len) == NULL);
    *(added ? &s->added : &s->removed) += len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fault why;
    struct buf body;
    struct sizes s = {0}, same = {0};
    size_t shared;
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    size_t first = nul != NULL ? (size_t)(nul - data) : size;
    char *a = mem_dup_strn((const char *)data, first);
    char *c = nul != NULL ? mem_dup_strn((const char *)nul + 1, size - first - 1) : mem_dup_str("");
    if (text_utf8_is_valid(a, strlen(a)) && text_utf8_is_valid(c, strlen(c))) {
        double like = review_likeness(a, c);
        ASSERT(like >= 0 && like <= 1 && like == review_likeness(c, a));
        review_difference(a, c, count, &s);
        ASSERT(s.added <= strlen(c) && s.removed <= strlen(a));
        review_difference(a, a, count, &same);
        ASSERT(same.added == 0 && same.removed == 0);
        const struct review_reply replies[] = {{"x", a}, {"y", c}};
        buf_init(&body, REVIEW_TEXT_MAX * 4);
        if (review_article(replies, 2, &body, &shared, &why) == FAIL_NONE) {
            ASSERT((shared == 0) == (body.len == 0));
        }
        buf_done(&body);
    }
    mem_free(a);
    mem_free(c);
    return 0;
}
