/* SPDX-License-Identifier: Apache-2.0 */
/* work/localize: tokens and folding, shared by memory and offers. Threads: none. */
#pragma once

#include "work/localize/localize.h"

enum token_kind { TOKEN_WORD, TOKEN_NUMBER, TOKEN_PLACEHOLDER, TOKEN_SPACE, TOKEN_SIGN };
struct token {
    enum token_kind kind;
    const char *at;
    size_t len;
};
#define TOKENS_MAX 512
/* Cuts text into words, numbers, placeholders (printf, braces, tags, inline elements), white space
   and signs; at most TOKENS_MAX, SIZE_MAX when there are more. */
size_t localize_cut(const char *text, struct token out[TOKENS_MAX]);
/* Lower case for all scripts that have it (one code point for one), without end signs and white
   space at the end; white space runs become one blank. The caller frees it. */
char *localize_fold(const char *text, size_t len);
uint32_t localize_lower(uint32_t cp);
uint32_t localize_upper(uint32_t cp);
bool localize_is_letter(uint32_t cp);
/* 64-bit FNV-1a over bytes, going on from h (0: start). */
uint64_t localize_hash(uint64_t h, const char *s, size_t n);
