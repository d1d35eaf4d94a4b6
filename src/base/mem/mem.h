/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: the heap wrappers, the request arena, and the growing buffer with a cap.
 *
 * Out of memory is a programmer's or an operator's matter, never an answer: every allocation here
 * either succeeds or ends the process with one line on stderr. Sizes that a caller controls are
 * therefore checked before they get here; a growing buffer takes its cap when it is made.
 *
 * Threads: no shared state. An arena or buffer belongs to one thread at a time.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Always on, also in release: a broken invariant ends the process rather than corrupting a
   record. */
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            mem_assert_failed(#cond, __FILE__, __LINE__);                                          \
        }                                                                                          \
    } while (0)

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

_Noreturn void mem_assert_failed(const char *cond, const char *file, int line);

/* Zeroed memory owned by the caller; free with mem_free. size 0 gives a valid pointer. */
void *mem_alloc(size_t size);
void *mem_alloc_array(size_t count, size_t size);
/* Grows or shrinks; new bytes are not zeroed. Never returns NULL. */
void *mem_realloc(void *ptr, size_t size);
/* Copies owned by the caller. mem_dup_str(NULL) is NULL. */
void *mem_dup(const void *src, size_t size);
char *mem_dup_str(const char *s);
char *mem_dup_strn(const char *s, size_t n);
/* Accepts NULL. */
void mem_free(void *ptr);

/* AUTO_FREE char *s = ...; is freed when it goes out of scope. STEAL(p) returns p and clears it. */
void mem_auto_free(void *ptr_to_ptr);
#define AUTO_FREE __attribute__((cleanup(mem_auto_free)))
#define STEAL(p)                                                                                   \
    __extension__({                                                                                \
        __typeof__(p) steal_ = (p);                                                                \
        (p) = NULL;                                                                                \
        steal_;                                                                                    \
    })

/*
 * Arena: everything one request or one load allocates, freed at once. Chunks of 64 KiB; larger
 * blocks get a chunk of their own. cap_bytes bounds the sum; passing it ends the process, so a
 * caller that takes hostile sizes asks arena_has_room first.
 * Nothing in a cache, a queue, the store or another thread may point into an arena.
 */
struct arena;
struct arena *arena_new(size_t cap_bytes);
void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);
char *arena_dup_str(struct arena *a, const char *s);
char *arena_dup_strn(struct arena *a, const char *s, size_t n);
void *arena_dup(struct arena *a, const void *src, size_t size);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool arena_has_room(const struct arena *a, size_t size);
size_t arena_used(const struct arena *a);
/* Runs fn(ptr) when the arena is freed, last registered first: file descriptors, curl handles. */
void arena_defer(struct arena *a, void (*fn)(void *), void *ptr);

/*
 * Buffer: bytes that grow up to cap. data is always NUL-terminated (the NUL is not counted in
 * len), NULL only before the first append. Every append returns false, and changes nothing, when
 * the cap would be passed; `overflow` then stays set so that a run of appends is checked once.
 */
struct buf {
    char *data;
    size_t len;
    size_t room;
    size_t cap;
    bool overflow;
};

void buf_init(struct buf *b, size_t cap);
void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
bool buf_add(struct buf *b, const void *data, size_t len);
bool buf_add_str(struct buf *b, const char *s);
bool buf_add_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
bool buf_reserve(struct buf *b, size_t more);
/* Drops the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* Hands the memory to the caller (free with mem_free); the buffer is empty afterwards. Never
   NULL. */
char *buf_take(struct buf *b);
