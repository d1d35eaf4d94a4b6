/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers against tables, inside: what a sentence names, and what can be computed from it. */
#pragma once

#include "answer/check/check_internal.h"

#define CELLS_MAX_MENTIONS 64

struct cells_mention {
    uint32_t at, len;
    uint32_t table, index;
    bool row;
};

/* What the words of a clause claim. */
enum cells_claim {
    CLAIM_UP = 1 << 0,
    CLAIM_DOWN = 1 << 1,
    CLAIM_SAME = 1 << 2,
    CLAIM_HIGHEST = 1 << 3,
    CLAIM_LOWEST = 1 << 4,
    CLAIM_SUM = 1 << 5,
    CLAIM_MEAN = 1 << 6,
    CLAIM_MEDIAN = 1 << 7,
    CLAIM_SHARE = 1 << 8,
    CLAIM_DIFFERENCE = 1 << 9, /* up, down, more, fewer, difference, by */
    CLAIM_TIMES = 1 << 10,
    CLAIM_BASE = 1 << 11, /* from, than, compared with: the other row */
    CLAIM_ABOUT = 1 << 12,
    CLAIM_OVER = 1 << 13,
    CLAIM_UNDER = 1 << 14,
    CLAIM_ROWS = 1 << 15, /* rows, entries, months, ... are counted */
};

struct cells_work {
    const struct check_cells *in;
    struct knowledge_words words;
    unsigned *claims; /* per word */
    int *clause;      /* per word */
    struct cells_mention mentions[CELLS_MAX_MENTIONS];
    size_t mention_count;
};

/* A number with what it speaks of. */
struct cells_ask {
    const struct check_value *v;
    unsigned claims; /* of its clause; ABOUT, OVER, UNDER and BASE only of the words before it */
    const struct check_table *table;
    uint32_t table_index, column;
    uint32_t row, base; /* UINT32_MAX: none */
    const uint32_t *rows; /* what sums and means go over */
    size_t row_count;
};

/* recompute.c */
/* A cell as a number; false when it is none. */
bool check_cell_value(const struct check_table *t, uint32_t row, uint32_t column,
                      struct check_value *out);
/* How the number follows from the cells; CHECK_HOW_NONE when it does not. */
enum check_how check_explain(const struct cells_ask *ask, struct check_trace *trace);
/* -1, 0, 1: how the row's cell stands to the base's; 2 when one of them is no number. */
int check_direction(const struct cells_ask *ask);
/* Is the row's cell the column's largest (smallest)? */
bool check_is_extreme(const struct cells_ask *ask, uint32_t row, bool largest);
