/* SPDX-License-Identifier: Apache-2.0 */
/* The heap wrappers and ASSERT. The only file that may call the malloc family. */
#include "base/mem/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void mem_assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "inhouse: broken invariant: %s (%s:%d)\n", cond, file, line);
    abort();
}

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "inhouse: out of memory (asked for %zu bytes)\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size > 0 ? size : 1);
    if (p == NULL) {
        out_of_memory(size);
    }
    return p;
}

void *mem_alloc_array(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        out_of_memory(SIZE_MAX);
    }
    return mem_alloc(total);
}

void *mem_realloc(void *ptr, size_t size)
{
    void *p = realloc(ptr, size > 0 ? size : 1);
    if (p == NULL) {
        out_of_memory(size);
    }
    return p;
}

void *mem_dup(const void *src, size_t size)
{
    void *p = mem_alloc(size);
    if (size > 0) {
        memcpy(p, src, size);
    }
    return p;
}

char *mem_dup_strn(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);
    memcpy(p, s, n);
    return p;
}

char *mem_dup_str(const char *s)
{
    return s == NULL ? NULL : mem_dup_strn(s, strlen(s));
}

void mem_free(void *ptr)
{
    free(ptr);
}

void mem_auto_free(void *ptr_to_ptr)
{
    void *p;
    memcpy(&p, ptr_to_ptr, sizeof(p));
    free(p);
}
