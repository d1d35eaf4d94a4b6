/* SPDX-License-Identifier: Apache-2.0 */
/* worker/formats: DOCX, what its package (docx.c) and its stories (story.c) share. Threads: one. */
#pragma once

#include "worker/formats/formats_internal.h"

#define STYLES_MAX 2000
#define RELATIONS_MAX 20000

struct zip;

struct style {
    char *id, *base;
    unsigned heading, item; /* levels; 0: it is none */
    bool quote, code;
};

struct relation {
    char *id, *target;
    bool link, document;
};

struct docx {
    struct sink *out;
    struct zip *zip;
    uint64_t unpacked;
    struct style *styles;
    size_t styles_len;
    struct relation *relations; /* of the part being read */
    size_t relations_len;
    uint32_t hidden, deleted;
};

/* What a paragraph of this style is; all zero when it says nothing. */
struct style docx_style(const struct docx *x, const char *id);
/* The target of a w:hyperlink, NULL: none. */
const char *docx_link(const struct docx *x, const struct xml_element *e);

/* A story: the body, or the notes of one kind; part says which. */
struct story;
struct story *docx_story_new(struct docx *x, uint32_t part, bool note);
void docx_story_free(struct story *s);
extern const struct xml_events docx_story_events; /* with the story as ctx */
