/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reply: past replies as templates with typed slots, and which of their sentences may be said to
 * somebody else.
 *
 * A past reply was written to one customer. Its sentences become templates: names, ids, amounts,
 * dates, times, links, e-mail addresses and telephone numbers become typed slots, found by the
 * guard and by answer/extract, and the names of the customer it was sent to by themselves. What is
 * left could still be about that customer alone ("your daughter's allergy"), so a template is
 * offered only when one of three holds:
 *
 * - an approver said that the reply may serve others (`approved`): it is public anyway, or was
 *   read for this;
 * - at least REPLY_CUSTOMERS different customers were told the same; a reply whose customer is not
 *   known counts for one and the same customer, however many there are;
 * - it has no slot and the team's own articles say it (answer/check): each of its words, numbers,
 *   names and conditions stands in an article, so it says nothing of anybody.
 *
 * And none is offered that has a slot which the ticket at hand does not fill, or that the guard
 * still finds something in. A sentence that says what was done ("we have sent", "I refunded") is
 * offered to switch on, never chosen: it was true of another case.
 *
 * Owns: banks. Threads: a bank is filled by one thread; after reply_bank_seal it is read-only.
 * Nothing blocks; sealing takes about 1 ms a sentence: a crunch thread's work.
 * Limits: REPLY_MAX replies, REPLY_MAX_TEXT bytes of one, REPLY_MAX_SENTENCES of one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/knowledge/knowledge.h"

#define REPLY_CUSTOMERS 3
#define REPLY_MAX 8000
#define REPLY_MAX_TEXT ((size_t)16 << 10)
#define REPLY_MAX_SENTENCES 64
#define REPLY_NEAR 3

enum reply_slot {
    REPLY_NAME,
    REPLY_ID,
    REPLY_AMOUNT,
    REPLY_DATE, /* a day or a time of day */
    REPLY_LINK,
    REPLY_EMAIL,
    REPLY_PHONE,
    REPLY_PRIVATE, /* an address, a birth date, a password: nothing ever fills it */
    REPLY_SLOT_COUNT
};
/* "name", "id", ...: a template has "{name}" where one stood. */
const char *reply_slot_name(enum reply_slot s);

/* One sentence as a template; text is the caller's (mem_free). names: those of the customer, NULL
   or "" for none; any word of them becomes {name}. slots: bits 1u << enum reply_slot. */
char *reply_template(const char *sentence, size_t n, const char *const *names, size_t names_len,
                     unsigned *slots);

struct reply_past;
/* A past reply as it may be kept: all of it as one template, its customer's names (those it greets
   and its ticket signs with, unless the articles use the word) among the slots. mem_free. */
char *reply_masked(const struct reply_past *p, const struct knowledge *articles);

/* Why a template may be offered. */
enum reply_why { REPLY_NOT, REPLY_APPROVED, REPLY_SAID_OFTEN, REPLY_SUPPORTED, REPLY_WHY_COUNT };
const char *reply_why_name(enum reply_why w); /* "no", "approved", "said_often", "supported" */

struct reply_past {
    const char *key;      /* the past ticket's id */
    const char *customer; /* who it was sent to, as the desk knows them; NULL: not known */
    const char *subject, *text; /* of the ticket */
    const char *reply;
    const char *article; /* that it came from, NULL: none */
    const float *vector; /* of the ticket, unit length; NULL: words alone */
    size_t dim;
    bool approved;
};

struct reply_sentence {
    char *text;     /* the template */
    unsigned slots; /* bits */
    enum reply_why why;
    bool acted; /* says what was done */
    int source; /* SUPPORTED: place of the article's sentence that says it; -1 */
};

/* A past reply as kept: nothing in it names its customer. */
struct reply_item {
    char *key;
    char *article; /* NULL: none */
    enum knowledge_lang lang;
    struct reply_sentence *sentences; /* only those that may be offered */
    size_t len;
    size_t left_out; /* sentences that may not */
};

struct reply_bank;
struct reply_bank *reply_bank_new(void);
void reply_bank_free(struct reply_bank *b); /* accepts NULL */
/* Copied; false when it is full or the reply is empty or too long. */
bool reply_bank_add(struct reply_bank *b, const struct reply_past *p);
/* Decides what may be offered, then drops the texts. articles may be NULL. */
void reply_bank_seal(struct reply_bank *b, const struct knowledge *articles);
size_t reply_bank_count(const struct reply_bank *b);
const struct reply_item *reply_bank_at(const struct reply_bank *b, size_t i);

struct reply_near {
    size_t item;
    double match;   /* cosine of the tickets, or 0 without vectors */
    double lexical; /* share of the query's rare words that the past ticket has, 0..1 */
};
/* The past tickets nearest to this one that have a reply in `lang`, best first. text: subject and
   text as one. except: leaves one out by its key, may be NULL. */
size_t reply_bank_near(const struct reply_bank *b, const char *text, size_t n, const float *vector,
                       size_t dim, enum knowledge_lang lang, const char *except,
                       struct reply_near *out, size_t max);

/* What the ticket at hand gives: strings, NULL where it gives none or more than one. */
struct reply_values {
    const char *value[REPLY_SLOT_COUNT];
};
/* The template filled; NULL when a slot has no value. mem_free. */
char *reply_fill(const struct reply_sentence *s, const struct reply_values *values);
