/* SPDX-License-Identifier: Apache-2.0 */
/* Copy-edit, inside. */
#pragma once

#include "work/copyedit/copyedit.h"

struct copyedit_style {
    char name[64], lang[8];
    struct style *style;
};
struct copyedit_policy {
    struct copyedit_style styles[COPYEDIT_MAX_STYLES];
    size_t n;
};

/* policy.c */
/* The alerts of every style of the language, by place. False when the text is too long. */
bool copyedit_alerts(const struct copyedit_policy *p, enum knowledge_lang lang, const char *text,
                     size_t len, bool markdown, struct style_alerts *out);

/* suggest.c */
/* Rebuilds text[from..to) with the applied suggestions that lie in it and are no rewrite. */
void copyedit_put_range(const struct copyedit_result *r, size_t from, size_t to, bool rewrites,
                        struct buf *out);
/* A new suggestion at the end; NULL beyond COPYEDIT_MAX_SUGGESTIONS. */
struct copyedit_suggestion *copyedit_add(struct copyedit_result *r, size_t at, size_t len);
void copyedit_sort(struct copyedit_result *r);

/* rewrite.c */
void copyedit_rewrite(const struct copyedit_policy *p, const struct copyedit_options *o,
                      struct copyedit_result *r);
