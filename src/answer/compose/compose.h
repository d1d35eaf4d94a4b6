/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compose: a first reply made of sentences chosen from the team's own articles, set into the
 * house's frame. Nothing is generated: every sentence of the body stands in an article as it is.
 *
 * Whether there is an answer at all is decided by a small logistic model over what the search says
 * of the best article and of the runner-up. It comes with defaults and is fitted to a team's own
 * past tickets by compose_calibrate. A sentence with a slot ({name}, {order_number}) that the
 * ticket does not fill is not offered.
 *
 * Owns: the results it returns. Threads: pure but for its arguments; a sealed dataset and a model
 *   may be shared. Nothing blocks; a draft takes a few milliseconds.
 * Limits: COMPOSE_MAX_SENTENCES in a body, COMPOSE_MAX_WORDS words.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/knowledge/knowledge.h"
#include "answer/reply/reply.h"
#include "base/fail/fail.h"

#define COMPOSE_MAX_SENTENCES 6
#define COMPOSE_MAX_WORDS 110
#define COMPOSE_MAX_OFFERED 9 /* chosen ones and those a reviewer may switch on: keys 1-9 */

/* The house's frame in one language. Strings are borrowed; NULL is left out. "{name}" in greeting
   goes, with the space before it, when the ticket does not say the name. */
struct compose_frame {
    const char *greeting; /* "Hello {name}," */
    const char *opening;  /* "Thank you for writing to us." */
    const char *closing;
    const char *sign_off; /* "Kind regards" */
    const char *agent;    /* "Femke"; NULL: the desk alone */
    const char *desk;     /* "Velmora Support" */
    const char *source;   /* "More about this: {title} ({link})", one line per cited article */
    const char *link;     /* "https://help.example/{id}" for {link} */
};

/* What a head that was taught on past tickets says of the articles (compose_teach). */
#define COMPOSE_OPINIONS 10
struct compose_opinion {
    uint32_t article[COMPOSE_OPINIONS]; /* places in the dataset, most likely first */
    double p[COMPOSE_OPINIONS];
    size_t len;  /* 0: nothing was said */
    double none; /* 0..1, none of them: how odd the ticket is among those that have an article */
};

/* The form of address in German, and how a customer is called: ANY is the first name in English and
   the whole name in German. */
enum compose_address { COMPOSE_ADDRESS_ANY, COMPOSE_ADDRESS_DU, COMPOSE_ADDRESS_SIE };
enum compose_called { COMPOSE_CALLED_ANY, COMPOSE_CALLED_FIRST, COMPOSE_CALLED_FULL };
/* Does a sentence address its reader so, or not at all? Only German has two forms. */
bool compose_addresses(const char *text, enum knowledge_lang lang, enum compose_address as);

struct compose_ticket {
    const char *subject; /* may be NULL */
    const char *text;
    const float *vector; /* of "subject\ntext", unit length; NULL: words alone */
    size_t dim;
    enum knowledge_lang lang; /* OTHER: detected */
    const char *order_number; /* the ticket's, when the caller knows it; NULL */
    const char *except_key;   /* leaves one past ticket out (calibration); NULL */
    const struct compose_opinion *opinion; /* NULL: none */
    const struct reply_bank *replies;      /* sealed; NULL: no past replies */
    enum compose_address address;          /* sentences in the other form are not offered */
    enum compose_called called;
};

enum compose_outcome {
    COMPOSE_DRAFT,
    COMPOSE_DRAFT_OTHER_LANGUAGE, /* only an article in another language answers: flagged */
    COMPOSE_NONE,
};

struct compose_sentence {
    char *article; /* id */
    char *title;
    uint16_t index;
    char *text;  /* verbatim, of the article or of the past reply */
    char *reply; /* the past ticket whose reply says it so; NULL: the article's own words */
    bool chosen;
    double score;
};

struct compose_near {
    char article[128];
    double match; /* 0..1, comparable within one result */
};

/* A past reply to a ticket like this one. Its text is not here: who may read that ticket opens
   it. */
struct compose_near_reply {
    char ticket[96];
    double match;     /* of the tickets, 0..1 */
    size_t may_serve; /* sentences of it that may be said to others */
};

struct compose_result {
    enum compose_outcome outcome;
    enum knowledge_lang lang;         /* of the ticket */
    enum knowledge_lang article_lang; /* of the draft */
    double confidence;                /* that the article is the right one, 0..1 */
    /* why there is no draft, or why it is flagged; "" otherwise */
    char reason[160];
    char *text;                         /* the whole reply; NULL without a draft */
    struct compose_sentence *sentences; /* in the article's order, chosen or not */
    size_t sentence_count;
    struct compose_near near[3];
    size_t near_count;
    struct compose_near_reply near_replies[3];
    size_t near_reply_count;
};

#define COMPOSE_FEATURES 10
#define COMPOSE_SIGNS 13

/* Plain numbers, so that it can be stored as a release. */
struct compose_model {
    double rank[COMPOSE_FEATURES]; /* per candidate, in the order of match.c */
    /* of the best one and its lead, in the order of match.c; then the bias */
    double accept[COMPOSE_SIGNS + 1];
    double threshold;   /* offer when the confidence is at least this */
    double sentence[8]; /* see choose.c */
    int fitted_on;      /* past tickets; 0: the defaults */
};

/* with_vectors, with_questions: what the dataset has. */
struct compose_model compose_default_model(bool with_vectors, bool with_questions);

struct compose_past {
    const char *key; /* as given to knowledge_add_question */
    const char *subject, *text;
    const float *vector;
    size_t dim;
    const char *article; /* NULL: none answered it */
    struct compose_opinion opinion; /* of a head taught without it; .len 0: none */
};

struct learn_head;
/* Teaches a head over the articles on past tickets (at least 40 with an article) and the articles'
   own sentences, and fills each past ticket's opinion by heads taught without it (5 parts). *head
   is the caller's. Vectors: of all tickets and of the dataset's units, or of none.
   FAIL_BAD_REQUEST, FAIL_TOO_LARGE; what learn_train says. Takes seconds for 400 tickets. */
MUST_CHECK enum fail compose_teach(const struct knowledge *k, struct compose_past *past,
                                   size_t count, struct learn_head **head, struct fault *why);
/* What the head says of a ticket's query text (subject, a line break, text). */
void compose_opinion_of(const struct learn_head *head, const struct knowledge *k, const char *text,
                        const float *vector, size_t dim, struct compose_opinion *out);
/* Subject and text as the search and the head read them; mem_free. */
char *compose_query_text(const char *subject, const char *text);

struct compose_fit {
    /* at the threshold chosen, each ticket left out of its own search */
    int used, offered, right;
    int answerable, unanswerable, offered_unanswerable;
};

/* Fits ranking and acceptance on past tickets (at least 40 with an article), and sets the threshold
   to the lowest one at which, on these tickets left out one by one, at least `right_share` of the
   drafts come from the right article and at most `false_share` of the tickets without an article
   get one. FAIL_BAD_REQUEST when there are too few; the model is then untouched. Takes about 1
   ms a ticket. */
MUST_CHECK enum fail compose_calibrate(const struct knowledge *k, const struct compose_past *past,
                                       size_t count, double right_share, double false_share,
                                       struct compose_model *model, struct compose_fit *fit,
                                       struct fault *why);

/* frames: indexed by enum knowledge_lang; en is used for a language that has none. Fills *out,
   which the caller frees with compose_done. */
void compose_reply(const struct knowledge *k, const struct compose_model *model,
                   const struct compose_ticket *ticket, const struct compose_frame frames[3],
                   struct compose_result *out);
void compose_done(struct compose_result *r);

/* The reply's text from the sentences that are chosen now (after a reviewer switched some).
   Owned by the caller; NULL when none is chosen. */
char *compose_render(const struct compose_result *r, const struct compose_ticket *ticket,
                     const struct compose_frame *frame);

/* The customer's name from the signature, "" when the ticket has none. first is the first name
   ("Declan"), full all of it ("Declan Byrne"). k may be NULL; words of its articles are then not
   excluded. */
struct compose_name {
    char first[64];
    char full[96];
};
struct compose_name compose_find_name(const struct knowledge *k, const char *text);
