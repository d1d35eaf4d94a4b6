/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: UTF-8, hex, base64, ids, hashes, and strict number reading.
 *
 * Ids are UUIDv7 (RFC 9562 section 5.7): 16 bytes, time-ordered, shown as a prefix, an underscore
 * and 26 Crockford base-32 characters (`tsk_01J...`). Pure functions but for text_id_new, which
 * reads the clock and the kernel's random source; all are thread-safe and none blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id {
    uint8_t bytes[16];
};

#define TEXT_ID_SIZE 40 /* prefix (at most 11) + '_' + 26 + NUL */
#define TEXT_SHA256_HEX_SIZE 65

struct id text_id_new(void);
bool text_id_is_zero(const struct id *id);
bool text_id_equal(const struct id *a, const struct id *b);
/* Writes "tsk_01J..." and returns out. prefix is "tsk", "art", ... at most 11 characters. */
const char *text_id_show(const struct id *id, const char *prefix, char out[TEXT_ID_SIZE]);
/* Reads it back; false when the prefix or a character is wrong. */
bool text_id_read(const char *shown, const char *prefix, struct id *out);

/* Length of the longest valid UTF-8 prefix of s[0..n); == n when all is valid. Overlong forms,
   surrogates and values over U+10FFFF are invalid. */
size_t text_utf8_valid_prefix(const char *s, size_t n);
bool text_utf8_is_valid(const char *s, size_t n);
/* The largest length <= n that does not split a UTF-8 character of valid text, of which s[0..n) is
   the beginning. Reads no more than that. */
size_t text_utf8_cut(const char *s, size_t n);
/* Number of code points in valid text. */
size_t text_utf8_count(const char *s, size_t n);
/* Decodes one code point at s[0..n) into *cp; returns its length in bytes, 0 when invalid. */
size_t text_utf8_decode(const char *s, size_t n, uint32_t *cp);
/* Encodes cp (valid) into out[4]; returns 1..4. */
size_t text_utf8_encode(uint32_t cp, char out[4]);

void text_hex(const void *bytes, size_t n, char *out /* 2n + 1 */);
bool text_unhex(const char *hex, size_t n, void *out /* n / 2 */);
/* Standard base64 with padding; out needs 4 * ((n + 2) / 3) + 1 bytes. Returns the length. */
size_t text_base64(const void *bytes, size_t n, char *out);
/* Strict reading (padding required, no spaces): bytes written to out, or SIZE_MAX when invalid. */
size_t text_unbase64(const char *s, size_t n, void *out /* 3 * n / 4 */);
/* SHA-256 of one block of memory (OpenSSL). */
void text_sha256(const void *data, size_t n, uint8_t out[32]);

/* Whole-string numbers: no spaces, no trailing bytes, in [min, max]; false otherwise. */
bool text_read_int(const char *s, int64_t min, int64_t max, int64_t *out);
/* 10^n; n is 0..18. */
int64_t text_power_of_ten(unsigned n);
/* Decimal or exponent form, finite, C locale. */
bool text_read_double(const char *s, double *out);

bool text_starts_with(const char *s, const char *prefix);
bool text_ends_with(const char *s, const char *suffix);
/* ASCII white space off both ends, in place; returns the new start inside s. */
char *text_trim(char *s);
/* [a-z0-9][a-z0-9._-]{0,63}: names of models, workflows, teams. */
bool text_is_name(const char *s);
/* Always-terminated copy that never splits a UTF-8 character; returns true when all of s fitted. */
bool text_copy(char *out, size_t room, const char *s);
/* Constant-time comparison of n secret bytes. */
bool text_equal_secret(const void *a, const void *b, size_t n);
