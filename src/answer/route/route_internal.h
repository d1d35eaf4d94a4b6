/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as they are kept, and the words of conditions. Shared by the files of the room and its
   test. */
#pragma once

#include "answer/route/route.h"
#include "base/text/text.h"

struct route_names {
    char (*list)[ROUTE_NAME_SIZE];
    size_t n; /* 0: any */
};
/* Bits that must hold: one of any, each of all, none of none; 0: not asked. */
struct route_set {
    unsigned any, all, none;
};
struct route_range {
    bool has_min, has_max;
    bool min_open, max_open; /* above, below */
    double min, max;
};
struct route_hours {
    bool set;
    unsigned days; /* bits 1u << weekday, 0: any */
    int from, to;  /* minutes; from > to: over midnight; equal: all day */
};

struct route_row {
    char name[ROUTE_NAME_SIZE];
    char *why;
    int line;
    unsigned labels; /* bits, 0: any */
    struct route_names teams, workflows;
    struct route_set needs, roles;
    struct route_range numbers[ROUTE_NUMBER_COUNT];
    struct route_hours hours;
    enum route_go go;
    enum route_leave leave; /* of what goes out by this row */
    char upstream[ROUTE_NAME_SIZE];
    bool spill;
    double late_cost_per_hour; /* spill */
};

struct route_rules {
    int refs; /* atomic */
    char release[TEXT_SHA256_HEX_SIZE];
    char *text;
    struct route_row *rows;
    size_t n;
};

struct route_number_info {
    const char *key, *unit;
    double min, max;
    const char *help;
};
extern const struct route_number_info route_number_info[ROUTE_NUMBER_COUNT];

const char *route_need_name(unsigned need);
const char *route_role_name(unsigned role);
const char *route_day_name(unsigned day); /* "mon" */
/* "14:30" or "24:00"; false when it is no time. */
bool route_minute_read(const char *s, int *minute);

/* rules.c: a word or a list of words out of `names` (count of them) as bits; adds faults. */
unsigned route_bits_read(const struct config_node *node, const char *key,
                         const char *(*name_of)(unsigned), unsigned count,
                         struct config_faults *faults);
/* Does the row let a text of this label out, and how? */
enum route_leave route_row_lets_out(const struct route_row *row, enum secrecy label);

/* The texts of rules/, made at build time. */
struct route_embedded {
    const char *name, *text;
    size_t len;
};
extern const struct route_embedded route_embedded[];
extern const size_t route_embedded_count;
const struct route_embedded *route_embedded_find(const char *name);

/* ---- words of a text, folded for comparing ---- */

struct route_word {
    uint32_t at, len;  /* in folded */
    uint32_t from, to; /* bytes of the text */
};
struct route_words {
    struct buf folded;
    struct route_word *list;
    size_t n, room;
};
/* Runs of letters and digits: compatibility forms, accents and case folded away, what cannot be
   seen left out (libicu). `keep` keeps the characters of phrases: * in words, and ... as a word. */
void route_words_read(struct route_words *w, const char *text, size_t len, bool keep);
void route_words_done(struct route_words *w);

/* ---- amounts ---- */

/* The largest amount of money in text: a number beside a currency's sign, code or name, or after
   "of" and its like; 0 when there is none. "1.234,50 EUR", "$2,300", "1 200 euros", "CHF 2'500",
   "2k pounds". */
double route_amount_largest(const char *text, size_t len);

/* The head of stakes, made at build time by train.c. */
extern const unsigned char route_stakes_head[];
extern const size_t route_stakes_head_len;
extern const double route_stakes_threshold[ROUTE_STAKE_COUNT];
