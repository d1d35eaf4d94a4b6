/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: claims are checked by code before a person sees them. Each check says yes, or no and why.
 *
 * check_support cuts a reply into sentences and asks of each: does one source sentence (or two
 * neighbours) say this? Numbers with their units, negation, can/must, opposites, names, menus,
 * links, conditions and content words each have to agree. It errs on the side of refusing: what it
 * refuses goes back to the composed draft, which is made of source sentences.
 *
 * Owns: nothing. Threads: all functions may be called from any thread. Nothing blocks.
 * Limits: 64 KiB of reply, CHECK_MAX_CLAIMS sentences, CHECK_MAX_SOURCES source sentences; what is
 *   beyond a limit counts as unsupported, never as fine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/knowledge/knowledge.h"

#define CHECK_MAX_CLAIMS 128
#define CHECK_MAX_SOURCES 512
#define CHECK_MAX_REPLY ((size_t)64 << 10)

enum check_verdict { CHECK_SUPPORTED, CHECK_FRAME, CHECK_UNSUPPORTED };

enum check_reason {
    CHECK_REASON_NONE,
    CHECK_REASON_NUMBER,    /* a number, amount, date or duration that no source says */
    CHECK_REASON_NEGATION,  /* the source says yes where the reply says no, or the other way */
    CHECK_REASON_MODALITY,  /* can / must exchanged */
    CHECK_REASON_OPPOSITE,  /* before / after, with / without, open / close ... */
    CHECK_REASON_NAME,      /* a name, product, code, month or weekday the source does not say */
    CHECK_REASON_MENU,      /* a menu path the source does not say */
    CHECK_REASON_LINK,      /* a link, host, e-mail address or telephone number */
    CHECK_REASON_CONDITION, /* a condition or limit of the source was dropped */
    CHECK_REASON_CONTENT,   /* a word of content that the source does not say */
    CHECK_REASON_NO_SOURCE, /* nothing in the sources is about this */
    CHECK_REASON_LIMIT,     /* over a limit */
    CHECK_REASON_LANGUAGE,
    CHECK_REASON_LENGTH,
    CHECK_REASON_INSTRUCTION, /* a summary that answers, or obeys the text it sums up */
    CHECK_REASON_CITATION,
    CHECK_REASON_COUNT
};

const char *check_reason_name(enum check_reason r); /* "number", "negation", ... */
/* One plain sentence for a reviewer, without the word at fault. */
const char *check_reason_text(enum check_reason r);

struct check_claim {
    uint32_t at; /* bytes in the reply */
    uint32_t len;
    enum check_verdict verdict;
    enum check_reason reason; /* NONE unless unsupported */
    char detail[80];          /* the word or number at fault, "" when none */
    int source;               /* nearest source sentence, -1 when none */
    double overlap;           /* share of the claim's content words it says, 0..1 */
};

struct check_support {
    const char *reply;
    size_t reply_len;
    enum knowledge_lang lang;
    const char *const *sources; /* one sentence each, in the order of their articles */
    size_t source_count;
    /* may be NULL; order numbers and the customer's name may come from it */
    const char *ticket;
    size_t ticket_len;
    /* the house's own sentences and names: greeting, opening, sign-off */
    const char *const *frame;
    size_t frame_count;
};

/* Writes one entry per sentence of the reply, at most max; *count is how many there are. True when
   every one is supported or frame, and at least one is supported. */
bool check_support(const struct check_support *in, struct check_claim *out, size_t max,
                   size_t *count);

/* One sentence against the sources, as check_support does it; no frame. */
void check_claim(const char *claim, size_t len, enum knowledge_lang lang,
                 const char *const *sources, size_t source_count, const char *ticket,
                 size_t ticket_len, struct check_claim *out);

struct check_result {
    bool ok;
    enum check_reason reason;
    char detail[80];
};

/* A one-line summary of source: at most max_chars code points, one line, the source's language,
   no number, id, name or link that is not in the source, and not an answer to it. */
struct check_result check_summary(const char *summary, size_t len, const char *source,
                                  size_t source_len, size_t max_chars);
/* Each cited id is one of the allowed ones. */
struct check_result check_citation(const char *const *ids, size_t count, const char *const *allowed,
                                   size_t allowed_count);
/* Each link, host and e-mail address in text stands in one of the allowed texts as it is. */
struct check_result check_links(const char *text, size_t len, const char *const *allowed,
                                size_t allowed_count);

struct check_language {
    char code[8];    /* "en", "de", "fr", ...; "und" when nothing can be said */
    double reliable; /* 0..1 */
};

/* Language of valid UTF-8 text (libcld2; English and German stop words where it is unsure). */
struct check_language check_language(const char *text, size_t len);
