/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guard, inside: the matchers. Each looks at s[0..n), which begins where a value could begin, reads
 * a bounded stretch, and returns the length of the value, 0 when there is none.
 */
#pragma once

#include <stdint.h>

#include "trust/guard/guard.h"

size_t guard_link(const char *s, size_t n);
size_t guard_email(const char *s, size_t n);
size_t guard_iban(const char *s, size_t n);
/* Cards, phone numbers, long numbers: sets *kind. */
size_t guard_digits(const char *s, size_t n, enum guard_kind *kind);
size_t guard_id(const char *s, size_t n);
/* A name that begins after a lead such as "Dear Ms " at s: sets *skip to the lead's length. */
size_t guard_name(const char *s, size_t n, bool line_start, size_t *skip);

/* A name that is all that is left of the text; asked where a line begins below an empty one. */
size_t guard_last_line(const char *s, size_t n);

/* Letters, digits, and every byte of a multi-byte character. */
static inline bool guard_is_word(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c & 0x80) != 0;
}

static inline bool guard_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
