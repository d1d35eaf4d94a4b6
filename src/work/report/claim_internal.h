/* SPDX-License-Identifier: Apache-2.0 */
/* A sentence being checked: its tokens, and what each is bound to (claim.c, facts.c). */
#pragma once

#include "work/report/report_internal.h"

#define CLAIM_BYTES 1000
#define CLAIM_TOKENS 160

enum token_kind { TOKEN_WORD, TOKEN_NUMBER, TOKEN_METRIC, TOKEN_LABEL };
enum meaning {
    MEANS_UNKNOWN,
    MEANS_NOTHING,
    MEANS_UP,
    MEANS_DOWN,
    MEANS_SAME,
    MEANS_MOST,
    MEANS_LEAST,
    MEANS_TARGET,
    MEANS_MET,
    MEANS_OUTSIDE,
    MEANS_NONE
};
struct token {
    enum token_kind kind;
    size_t at, len;
    const char *name;     /* metric, label: as the report has it */
    enum meaning meaning; /* word */
    struct report_decimal number;
    char unit[8];
    bool sign, readable;
    bool bound;           /* a label that some number is bound to */
    int metric, label;    /* tokens it belongs to, -1: none */
    uint32_t fact;        /* number: the value it is */
};
struct claim {
    const struct report *r;
    const char *s;
    size_t n;
    struct token tokens[CLAIM_TOKENS];
    size_t tokens_len;
    bool too_long, has_target;
    char *detail;
    size_t room;
};

/* facts.c: is the number (the word) what some fact says? */
enum report_verdict claim_number(struct claim *c, struct token *t);
enum report_verdict claim_word(struct claim *c, size_t word);
