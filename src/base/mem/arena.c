/* SPDX-License-Identifier: Apache-2.0 */
/* The arena: a list of chunks, newest first, and the deferred calls that run when it is freed. */
#include "base/mem/mem.h"

#include <stdio.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)64 * 1024)

struct chunk {
    struct chunk *next;
    size_t used;
    size_t size;
    _Alignas(16) char data[];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *ptr;
};

struct arena {
    struct chunk *chunks;
    struct deferred *deferred;
    size_t used;
    size_t cap;
};

struct arena *arena_new(size_t cap_bytes)
{
    struct arena *a = mem_alloc(sizeof(*a));
    a->cap = cap_bytes;
    return a;
}

void arena_free(struct arena *a)
{
    if (a == NULL) {
        return;
    }
    for (struct deferred *d = a->deferred; d != NULL; d = d->next) {
        d->fn(d->ptr);
    }
    while (a->chunks != NULL) {
        struct chunk *c = a->chunks;
        a->chunks = c->next;
        mem_free(c);
    }
    mem_free(a);
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t need = (size + 15) & ~(size_t)15;
    ASSERT(need >= size);
    ASSERT(arena_has_room(a, need));
    struct chunk *c = a->chunks;
    if (c == NULL || c->size - c->used < need) {
        size_t room = need > CHUNK_BYTES ? need : CHUNK_BYTES;
        c = mem_alloc(sizeof(*c) + room);
        c->size = room;
        c->next = a->chunks;
        a->chunks = c;
    }
    void *p = c->data + c->used;
    c->used += need;
    a->used += need;
    return p;
}

void *arena_dup(struct arena *a, const void *src, size_t size)
{
    void *p = arena_alloc(a, size);
    if (size > 0) {
        memcpy(p, src, size);
    }
    return p;
}

char *arena_dup_strn(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *arena_dup_str(struct arena *a, const char *s)
{
    return s == NULL ? NULL : arena_dup_strn(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

bool arena_has_room(const struct arena *a, size_t size)
{
    return size <= a->cap && a->used <= a->cap - size;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *ptr)
{
    struct deferred *d = arena_alloc(a, sizeof(*d));
    d->fn = fn;
    d->ptr = ptr;
    d->next = a->deferred;
    a->deferred = d;
}
