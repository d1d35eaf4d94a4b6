/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Screen: what text from outside, and text a model wrote, may look like.
 *
 * Clean-up of characters that hide or reorder text, with the way back to the original bytes; marks
 * of prompt injection and of harmful content, by lists, with what they reach measured (`make
 * bench-marks`); links that no source has; a sanitiser per sink.
 *
 * A mark is a hint for a person and a rule, never the defence: that is structural. Text from
 * outside is data, no tool acts on it, and what an answer may link to is what its sources link to.
 * What has no detector here is "not assessed", never "false".
 *
 * Owns nothing but what its functions return. Threads: pure; the lists are compiled at the first
 * call, from any thread. Limits: SCREEN_MAX_TEXT; time is linear in the text.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem/mem.h"

#define SCREEN_MAX_TEXT ((size_t)16 << 20)

/* ---- clean-up ---- */

enum screen_oddity {
    SCREEN_ZERO_WIDTH = 1 << 0, /* U+200B-200D, 2060-2064, FEFF, 00AD, 034F, 115F, 1160, 180E */
    SCREEN_TAG = 1 << 1,        /* U+E0000-E007F: text that nobody sees */
    SCREEN_VARIATION = 1 << 2,  /* U+FE00-FE0F, E0100-E01EF, 180B-180D */
    SCREEN_BIDI = 1 << 3,       /* U+202A-202E, 2066-2069, 200E, 200F, 061C */
    SCREEN_CONTROL = 1 << 4,    /* C0 but tab and line ends, DEL, C1, U+FFF9-FFFB */
    SCREEN_ANSI = 1 << 5,       /* ESC [ ... and ESC ] ... sequences, whole */
    SCREEN_INVALID = 1 << 6,    /* bytes that are no UTF-8: U+FFFD each */
    SCREEN_COMPOSED = 1 << 7    /* brought to NFC (Unicode Annex 15): not suspicious in itself */
};
#define SCREEN_HIDDEN                                                                              \
    (SCREEN_ZERO_WIDTH | SCREEN_TAG | SCREEN_VARIATION | SCREEN_BIDI | SCREEN_CONTROL |           \
     SCREEN_ANSI)
/* "zero_width", ... static; of one bit. */
const char *screen_oddity_name(unsigned oddity);

/* From byte `at` of the clean text on, until the next run, bytes stand as many behind `from` in the
   original; in a run that is `changed`, all of them come from [from, next run's from). */
struct screen_run {
    uint32_t at, from;
    bool changed;
};
struct screen_clean {
    char *text; /* NFC, NUL-terminated; screen_clean_done */
    size_t n;
    struct screen_run *runs;
    size_t runs_n;
    unsigned seen;  /* enum screen_oddity bits */
    size_t dropped; /* characters taken out */
    size_t first;   /* where the first of SCREEN_HIDDEN stands in the original; n: none */
};
/* A zero-width joiner between letters of scripts that need it (Arabic, Indic) stays. False when
   n is over SCREEN_MAX_TEXT. */
bool screen_clean(const char *text, size_t n, struct screen_clean *out);
void screen_clean_done(struct screen_clean *c);
/* Original bytes [*from, *to) of clean bytes [at, end). */
void screen_clean_origin(const struct screen_clean *c, size_t at, size_t end, size_t *from,
                         size_t *to);

/* For matching only: small letters, accents and compatibility forms taken off, letters of other
   scripts that look like Latin ones as those; what screen_clean drops is gone. origin[i] is where
   byte i of it stands in the text; n + 1 of them. False when n is over SCREEN_MAX_FOLD. */
#define SCREEN_MAX_FOLD ((size_t)1 << 20)
struct screen_folded {
    char *text;
    uint32_t *origin;
    size_t n;
};
bool screen_fold(const char *text, size_t n, struct screen_folded *out);
void screen_fold_done(struct screen_folded *f);

/* ---- marks ---- */

enum screen_harm {
    SCREEN_HARM_SELF_HARM,     /* the writer's intent to hurt themselves */
    SCREEN_HARM_THREAT,        /* of violence against someone */
    SCREEN_HARM_WEAPON,        /* how to make or get one that is forbidden */
    SCREEN_HARM_COUNT
};
/* "self_harm", "threat", "weapon"; static. */
const char *screen_harm_name(enum screen_harm h);

struct screen_mark {
    const char *rule; /* "override", "reveal", "persona", ...; a harm's name; static */
    size_t from, to;  /* bytes of the original text */
};
struct screen_marks {
    struct screen_mark *items; /* in order; screen_marks_done */
    size_t n, room;
};
#define SCREEN_MAX_MARKS 256
void screen_marks_done(struct screen_marks *m);
/* Where text speaks to the model and not to a person. Appends at most SCREEN_MAX_MARKS. Text over
   SCREEN_MAX_FOLD is read in pieces. */
void screen_injection(const char *text, size_t n, struct screen_marks *out);
/* Harmful content of the kinds above; bits of the kinds found. */
unsigned screen_harmful(const char *text, size_t n, struct screen_marks *out);

/* ---- what comes out ---- */

/* Links of the answer whose host no source has: appended as "foreign_link". sources: the texts that
   the answer was made from. Relative links and mail addresses are not asked. */
void screen_links(const char *answer, size_t n, const char *const *sources, size_t sources_n,
                  struct screen_marks *out);

enum screen_sink {
    SCREEN_SINK_TEXT,     /* a desk, a log: no control characters, no hidden text */
    SCREEN_SINK_TERMINAL, /* the same, line ends kept */
    SCREEN_SINK_HTML,     /* the same, & < > " ' escaped */
    SCREEN_SINK_MARKDOWN  /* the same; images become their text, HTML tags are taken out, links to
                             anything but http, https and mailto become their text */
};
/* Appends the text as it may go there. False, *out as before, when it does not fit its cap. */
bool screen_sanitize(enum screen_sink sink, const char *text, size_t n, struct buf *out);
