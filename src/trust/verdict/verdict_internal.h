/* SPDX-License-Identifier: Apache-2.0 */
/* Verdict, inside: the rules as they were read. */
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "trust/guard/guard.h"
#include "trust/screen/screen.h"
#include "trust/style/style.h"
#include "trust/verdict/verdict.h"

#define VERDICT_NAMES 32
#define VERDICT_NAME_SIZE 65

struct verdict_names {
    char list[VERDICT_NAMES][VERDICT_NAME_SIZE];
    size_t n;
};

struct verdict_rule {
    char name[VERDICT_NAME_SIZE];
    char *why;
    bool in, out;
    enum verdict verdict;
    struct verdict_names teams, workflows; /* empty: any */
    uint32_t kinds;    /* of guard */
    unsigned oddities; /* of screen */
    unsigned harms;
    bool injection, foreign_link, ungrounded;
    struct guard_lists *terms;
    pcre2_code *pattern;
    struct style *style; /* brand rules, NULL: none */
    int at_least;
};

struct verdict_rules {
    struct verdict_rule *rules;
    size_t n;
    char *text;
    char release[65];
    int refs; /* atomic */
};

/* Can all that the rules hold against such an answer be seen as soon as its last word is whole? */
bool verdict_rules_by_word(const struct verdict_rules *r, enum verdict_side side, const char *team,
                           const char *workflow);

/* The built-in file: cmake/embed.cmake's. */
struct verdict_embedded {
    const char *name;
    const char *text;
    size_t length;
};
extern const struct verdict_embedded verdict_embedded[];
extern const size_t verdict_embedded_count;
