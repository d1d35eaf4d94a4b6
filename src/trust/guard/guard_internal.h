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
/* Phone numbers and long numbers at text[at]: sets *kind. */
size_t guard_digits(const char *text, size_t n, size_t at, enum guard_kind *kind);
size_t guard_id(const char *s, size_t n);
/* A name that begins after a lead such as "Dear Ms " at s: sets *skip to the lead's length. */
size_t guard_name(const char *s, size_t n, bool line_start, size_t *skip);

/* A name that is all that is left of the text; asked where a line begins below an empty one. */
size_t guard_last_line(const char *s, size_t n);

/* ---- what the text around a number says it is ---- */

enum guard_context {
    GUARD_CONTEXT_CARD,
    GUARD_CONTEXT_ORDER, /* an order, a ticket, a parcel: no card */
    GUARD_CONTEXT_PERSON_ID,
    GUARD_CONTEXT_IMEI,
    GUARD_CONTEXT_BIRTH,
    GUARD_CONTEXT_PHONE,
    GUARD_CONTEXT_VAT,
    GUARD_CONTEXT_COUNT
};
/* Bits of the contexts of `among` (bits) named near text[from, to): up to 80 bytes before, 40
   behind, in the same paragraph. *nearest, which may be NULL: the closest one; COUNT: none. */
uint32_t guard_context(const char *text, size_t n, size_t from, size_t to, uint32_t among,
                       enum guard_context *nearest);

/* ---- matchers that look around: text[at, n) begins a word; the length, 0: none ---- */

size_t guard_national_id(const char *text, size_t n, size_t at, const char **rule);
size_t guard_vat_id(const char *text, size_t n, size_t at, const char **rule);
size_t guard_imei(const char *text, size_t n, size_t at);
size_t guard_card(const char *text, size_t n, size_t at);
size_t guard_birthdate(const char *text, size_t n, size_t at);
size_t guard_address(const char *text, size_t n, size_t at);
size_t guard_ip(const char *s, size_t n);
size_t guard_mac(const char *s, size_t n);
/* A key, token or private key: sets *rule. */
size_t guard_secret(const char *s, size_t n, const char **rule);
/* "password: hunter2": the value's length; *skip what stands before it. *kind PASSWORD, USERNAME
   or SECRET. */
size_t guard_credential(const char *s, size_t n, size_t *skip, enum guard_kind *kind);

bool guard_luhn(const char *digits, size_t n);
/* A date at s in any of the usual forms: its length, 0 when none is. */
size_t guard_date(const char *s, size_t n);

void guard_findings_add(struct guard_findings *f, enum guard_kind kind, size_t from, size_t to,
                        const char *rule);
/* What the tagger finds, of the wanted kinds, in order. */
void guard_tag(const struct guard_tagger *m, const char *text, size_t n, uint32_t wanted,
               struct guard_findings *out);
/* Length of the list's term at text[at, n), where a word begins; 0: none. */
size_t guard_lists_match(const struct guard_lists *l, const char *text, size_t n,
                         enum guard_list *which);
bool guard_lists_allows(const struct guard_lists *l, const char *s, size_t n);

/* Letters, digits, and every byte of a multi-byte character. */
static inline bool guard_is_word(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c & 0x80) != 0;
}

static inline bool guard_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Which two first characters any word of a list has, whatever their case: skips most words. */
struct guard_pairs {
    uint32_t bits[32];
};

static inline void guard_pairs_add(struct guard_pairs *p, const char *s)
{
    p->bits[s[0] & 31] |= 1u << (s[1] & 31);
}

static inline bool guard_pairs_has(const struct guard_pairs *p, const char *s, size_t n)
{
    return n > 1 && (p->bits[s[0] & 31] >> (s[1] & 31) & 1) != 0;
}
