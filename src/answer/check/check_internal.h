/* SPDX-License-Identifier: Apache-2.0 */
/* Check, inside: what a sentence says, as facts that can be compared; and what the checks share. */
#pragma once

#include "answer/check/check.h"
#include "answer/check/icu_internal.h"
#include "base/mem/mem.h"

enum unit {
    UNIT_NONE,
    UNIT_SECONDS, /* value in seconds */
    UNIT_WORKDAYS,
    UNIT_MONTHS, /* value in months */
    UNIT_MONEY,  /* euros, dollars, pounds: value in the unit; the currency is a word */
    UNIT_PERCENT,
    UNIT_GRAMS,
    UNIT_LITRES,
    UNIT_METRES,
    UNIT_HERTZ,
    UNIT_DEGREES,
    UNIT_CLOCK, /* value in minutes of the day */
};

enum bound { BOUND_NONE, BOUND_MIN, BOUND_MAX };

struct quantity {
    double value;
    enum unit unit;
    enum bound bound;
    size_t word; /* its position */
};

/* What the lexicon says of a word. */
enum word_class {
    WORD_NEGATION = 1 << 0,
    WORD_CAN = 1 << 1,
    WORD_MUST = 1 << 2,
    WORD_MAYBE = 1 << 3,
    WORD_ONLY = 1 << 4,
    WORD_CONDITION = 1 << 5, /* opens a condition: if, unless, until */
    WORD_JOINT = 1 << 6,     /* opens a clause: and, but, because */
    WORD_LIGHT = 1 << 7,     /* may be added by a paraphrase */
    WORD_CALENDAR = 1 << 8,  /* a month or a weekday */
    WORD_POLITE = 1 << 9,    /* words of greetings and thanks */
};

struct token {
    struct knowledge_word w;
    unsigned classes;
    int clause;    /* counts up at , ; : ( and joints */
    int segment;   /* counts up at ; and ", and" */
    int condition; /* id > 0 of the condition phrase it stands in */
    bool first;    /* first word of the sentence or after a colon or quote */
    bool content;  /* neither stop word, light, polite nor number */
    bool number;
};

#define MAX_TOKENS 160
#define MAX_QUANTITIES 48
#define MAX_CONDITIONS 32

struct condition {
    int segment;      /* whose statement it limits */
    bool whole;       /* stands first: limits every segment up to a semicolon */
    bool only;        /* "only" and its like */
    bool alternative; /* behind "or": may be left out */
};

struct facts {
    const char *text;
    size_t len;
    struct token *tokens;
    size_t count;
    int clauses, segments;
    struct quantity quantities[MAX_QUANTITIES];
    size_t quantity_count;
    struct condition conditions[MAX_CONDITIONS]; /* id - 1 */
    int condition_count;
    bool too_long;
};

/* facts.c */
void check_facts_init(struct facts *f, const char *text, size_t len, enum knowledge_lang lang);
void check_facts_done(struct facts *f);
/* Joins two neighbours: clause, segment and condition numbers of b follow those of a. */
void check_facts_join(struct facts *out, const struct facts *a, const struct facts *b);

/* lexicon.c */
unsigned check_word_classes(const char *folded, const char *stem, enum knowledge_lang lang);
/* True when a and b (stems) stand in one row of synonyms. */
bool check_share_group(const char *a, const char *b, enum knowledge_lang lang);
/* True when a and b (stems) are opposites of each other. */
bool check_is_opposite(const char *a, const char *b, enum knowledge_lang lang);
/* Reads a number word ("thirty", "zwei"); false when it is none. */
bool check_number_word(const char *folded, enum knowledge_lang lang, double *value);
/* The unit a word names, with the factor to its base unit; UNIT_NONE otherwise. */
enum unit check_unit(const char *folded, double *factor);

/* match.c */
/* True when the source word b can stand for the claim's word a. */
bool check_same_word(const struct token *a, const struct token *b, enum knowledge_lang lang);

/* A claim held against one source, or two. */
struct check_hold {
    const struct facts *claim, *source;
    enum knowledge_lang lang;
    const struct knowledge_words *ticket;
    bool *same; /* claim x source tokens: may the source's word stand for the claim's? */
    bool *said; /* per source token: does the claim say it? */
    bool close; /* nearly all aligns with this one source, and each "not" stands where it stood */
    struct check_claim *out;
};

/* support.c */
/* Notes the reason with the words at fault; returns false. */
bool check_refuse(struct check_hold *h, enum check_reason reason, const char *text, size_t len);
bool check_refuse_token(struct check_hold *h, enum check_reason reason, const struct facts *f,
                        const struct token *t);
const struct token *check_find_in(const struct facts *f, const struct token *t,
                                  enum knowledge_lang lang);
/* check_same_word of a claim token and a source token, looked up. */
bool check_held_same(const struct check_hold *h, const struct token *claim,
                     const struct token *source);
/* Share of a source segment's own words (conditions aside) that the claim says; -1: it has none. */
double check_segment_share(const struct check_hold *h, int segment);

/* clauses.c */
bool check_clauses_agree(struct check_hold *h);
bool check_pronoun_agrees(struct check_hold *h);

/* edits.c */
/* How many words of the claim align with the source; 0, agreeing, when it is not close to it. Else
   *agree says whether nothing was exchanged, dropped or added that matters; the reason is noted. */
size_t check_edits_agree(struct check_hold *h, const struct facts *source, bool *agree);

/* framing.c */
/* Bytes of an opening that only frames what follows ("Please note that "). */
size_t check_frame_length(const char *text, size_t len, enum knowledge_lang lang);

/* values.c */
/* Does text start with `with`, capitals aside? */
bool check_starts_folded(const char *text, size_t len, const char *with);

/* plain.c */
struct check_result check_passed(void);
/* text[at..at + len) is at fault. */
struct check_result check_wrong(enum check_reason reason, const char *text, size_t at, size_t len);
/* Something is missing: it is named, and has no place. */
struct check_result check_missing(enum check_reason reason, const char *what, size_t len);
/* A blank-separated piece without its brackets and final punctuation: is it a link, host or
   mail? */
bool check_is_link(const char *s, size_t n);
/* Inside valid UTF-8 text: is the whole word text[at..at+len) bounded by non-letters? */
bool check_is_whole_word(const char *text, size_t len, size_t at, size_t n);
/* First place at or behind from where word stands as a whole word, ASCII and Latin capitals aside;
   SIZE_MAX when nowhere. */
size_t check_find_word(const char *text, size_t len, size_t from, const char *word);

/* language.cpp */
#ifdef __cplusplus
extern "C"
#endif
    bool
    check_cld2(const char *text, int len, char code[8], double *percent, bool *reliable);
