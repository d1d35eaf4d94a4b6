/* SPDX-License-Identifier: Apache-2.0 */
/* A reviewer at work: what the whole screen (review_screen.c) and the lines (review_line.c)
   share. */
#pragma once

#include "cli/command/command_internal.h"

#define REVIEWER_UNDO_MS 4000
#define REVIEWER_HELD_MAX 6 /* put aside at a time; the server allows 8 leases */
#define REVIEWER_SENTENCES 9
#define REVIEWER_TEXT_MAX ((size_t)256 * 1024)

/* An item on the screen, with what its reviewer has changed. */
struct reviewing {
    json_t *item;    /* NULL: none */
    json_t *fields;  /* {name: value} as changed */
    char *draft;     /* as changed; NULL: as proposed */
    unsigned chosen; /* sentences that are on */
    bool switched;   /* any of them was switched */
    bool dirty;      /* not saved yet */
    int64_t seen_us, changed_us;
};

struct reviewer {
    struct cli *cli;
    struct reviewing now, next;
    /* Decided and not sent yet: it can be taken back until due. */
    struct reviewing pending;
    json_t *body; /* of its decision */
    char what[96];
    int64_t due_us;
    char aside[REVIEWER_HELD_MAX][40]; /* skipped or hinted, kept for this person */
    bool hinted[REVIEWER_HELD_MAX];    /* a new proposal is on its way */
    size_t aside_len;
    int64_t renewed_us, asked_us;
    int decided;
    bool over; /* nothing waits */
    char said[512]; /* the newest message */
};

void reviewer_open(struct reviewer *r, struct cli *cli);
/* Sends what is pending, saves what is unsaved, gives everything back. */
void reviewer_close(struct reviewer *r);
/* Shows the next one; r->over when there is none. Saves and sends what was left. */
enum fail reviewer_advance(struct reviewer *r, struct fault *why);
/* Loads the one after, while the first is being read. */
void reviewer_preload(struct reviewer *r);
/* What time brings: a decision that is due, a save, a lease, a hint that came back. True when
   something changed on the screen. */
bool reviewer_tick(struct reviewer *r);

/* Each says in r->said what it did or why not. True: go on to the next one. */
bool reviewer_approve(struct reviewer *r); /* an edit when something was changed */
bool reviewer_reject(struct reviewer *r, const char *reason);
/* "why" or "@name why" */
bool reviewer_escalate(struct reviewer *r, const char *text);
bool reviewer_hint(struct reviewer *r, const char *hint);
void reviewer_skip(struct reviewer *r);
bool reviewer_undo(struct reviewer *r);
void reviewer_set(struct reviewer *r, const char *field_value); /* "field=value" */
void reviewer_toggle(struct reviewer *r, unsigned n);           /* from 0 */
void reviewer_accept(struct reviewer *r);                       /* what was decided on one alike */
void reviewer_draft(struct reviewer *r, const char *draft);
const char *reviewer_reason(const struct reviewer *r, size_t n); /* from 0; NULL: none */
/* What waits and has the same cause: a new reference, NULL when it could not be asked. */
json_t *reviewer_alike(struct reviewer *r);
/* This one and those of the list whose bit is on, decided alike. */
bool reviewer_group(struct reviewer *r, const json_t *alike, unsigned taken);
/* The draft as it is now; NULL: none. */
const char *reviewer_text(const struct reviewing *x);

/* review_draw.c: lines of at most `width` columns with nothing in them that steers a terminal. */
struct view {
    char **lines;
    size_t n, room, width;
};
void view_begin(struct view *v, size_t width);
void view_end(struct view *v);
void view_add(struct view *v, const char *first, const char *text);
void view_item(struct view *v, const struct reviewing *x);

/* review.c: the whole id that a person means by `given`. */
MUST_CHECK enum fail review_find_id(struct cli *cli, const char *given, char out[40],
                                    struct fault *why);

int review_screen(struct cli *cli);
int review_lines(struct cli *cli);
