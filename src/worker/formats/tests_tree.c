/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test report's XML as a tree in the arena, read by xml_walk: no DTD, no entity, no file.
 * Owns: the texts under way. Threads: one. Limits: the sink's depth; NODES_MAX elements; texts as
 * tests_internal.h says, attributes included.
 */
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/tests_internal.h"

#define NODES_MAX 4000000u
#define ATTRIBUTES_MAX 200u
/* Of output only the end is kept: what is gathered is halved when it reaches this. */
#define OUTPUT_GATHER (64u * 1024)

struct open_node {
    struct tests_node *node, *last; /* its last child */
    struct buf text;
    bool output;
};

struct tree {
    struct tests *t;
    struct lines lines;
    struct open_node *open; /* by depth */
    size_t depth;
    struct tests_node *root;
    uint32_t nodes;
    size_t begin_next;
    const char *text;
    size_t len;
};

static bool is_output(const char *name)
{
    static const char *const names[] = {"system-out", "system-err", "output",
                                        "StdOut",     "StdErr",     "DebugTrace"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_room(struct tree *w, size_t bytes)
{
    bool room = arena_has_room(w->t->arena, bytes + 256) && w->nodes < NODES_MAX;
    if (!room) {
        (void)sink_fail(w->t->out, FAIL_TOO_LARGE, "Split the report.",
                        "the report has more elements than can be kept (%u)", NODES_MAX);
    }
    return room && w->t->out->failed == FAIL_NONE;
}

static void keep_attributes(struct tree *w, struct tests_node *n, const struct xml_element *e)
{
    size_t count = e->n > ATTRIBUTES_MAX ? ATTRIBUTES_MAX : e->n;
    if (!has_room(w, count * sizeof(struct tests_attribute))) {
        return;
    }
    struct tests_attribute *list = arena_alloc(w->t->arena, count * sizeof(*list) + 1);
    for (size_t i = 0; i < count; i++) {
        const char *const *a = e->attributes + 5 * i;
        list[i].name = arena_dup_str(w->t->arena, a[0]);
        list[i].value = tests_keep(w->t, a[3], (size_t)(a[4] - a[3]));
    }
    n->attributes = list;
    n->attributes_len = count;
}

/* Where the tag itself begins: the walk counts comments, instructions and a doctype to it. */
static size_t tag_at(const struct tree *w, size_t at)
{
    while (at < w->len) {
        const char *open = memchr(w->text + at, '<', w->len - at);
        size_t k = open == NULL ? w->len : (size_t)(open - w->text);
        if (k + 1 >= w->len || (w->text[k + 1] != '?' && w->text[k + 1] != '!')) {
            return k < w->len ? k : at;
        }
        bool comment = w->len - k > 4 && memcmp(open, "<!--", 4) == 0;
        const char *close = comment ? memmem(open, w->len - k, "-->", 3)
                                    : memchr(open, '>', w->len - k);
        if (close == NULL) {
            return k;
        }
        at = (size_t)(close - w->text) + 1;
    }
    return at;
}

static void open_element(void *ctx, const struct xml_element *e)
{
    struct tree *w = ctx;
    size_t at = tag_at(w, e->at);
    if (!has_room(w, sizeof(struct tests_node) + strlen(e->name))) {
        return;
    }
    struct tests_node *n = arena_alloc(w->t->arena, sizeof(*n));
    *n = (struct tests_node){.name = arena_dup_str(w->t->arena, e->name),
                             .line = lines_at(&w->lines, at),
                             .begin = at,
                             .end = at};
    w->nodes++;
    keep_attributes(w, n, e);
    struct open_node *above = w->depth == 0 ? NULL : &w->open[w->depth - 1];
    if (above == NULL) {
        w->root = n;
    } else if (above->last == NULL) {
        above->node->child = n;
    } else {
        above->last->next = n;
    }
    if (above != NULL) {
        above->last = n;
    }
    struct open_node *mine = &w->open[w->depth++];
    mine->node = n;
    mine->last = NULL;
    mine->output = is_output(n->name) || (above != NULL && above->output);
    buf_clear(&mine->text);
}

static void close_element(void *ctx, const char *name)
{
    struct tree *w = ctx;
    (void)name;
    struct open_node *mine = &w->open[--w->depth];
    if (mine->text.len > 0) {
        mine->node->text = mine->output ? tests_tail(w->t, mine->text.data, mine->text.len)
                                        : tests_keep(w->t, mine->text.data, mine->text.len);
    }
    mine->node->end = w->begin_next > mine->node->begin ? w->begin_next : mine->node->begin;
    if (mine->text.room > 4 * OUTPUT_GATHER) {
        buf_done(&mine->text);
    }
}

static void add_text(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    struct tree *w = ctx;
    (void)begin;
    w->begin_next = end;
    if (w->depth == 0) {
        return;
    }
    struct open_node *mine = &w->open[w->depth - 1];
    if (mine->output) {
        if (len > OUTPUT_GATHER) {
            text += len - OUTPUT_GATHER;
            len = OUTPUT_GATHER;
        }
        if (mine->text.len > OUTPUT_GATHER) {
            buf_consume(&mine->text, mine->text.len - TESTS_OUTPUT);
        }
    } else if (mine->text.len > TESTS_KEEP) {
        return; /* tests_keep cuts it and counts that */
    } else if (len > TESTS_KEEP + 4) {
        len = TESTS_KEEP + 4;
    }
    (void)buf_add(&mine->text, text, len);
}

const struct tests_node *tests_tree_read(struct tests *t, const char *text, size_t len)
{
    static const struct xml_events events = {open_element, close_element, add_text};
    struct tree w = {.t = t, .text = text, .len = len};
    size_t depth = t->out->limits.depth + 2;
    lines_begin(&w.lines, text, len);
    w.open = mem_alloc_array(depth, sizeof(*w.open));
    for (size_t i = 0; i < depth; i++) {
        buf_init(&w.open[i].text, 4 * (TESTS_KEEP + OUTPUT_GATHER));
    }
    enum fail f = xml_walk(t->out, text, len, &events, &w);
    for (size_t i = 0; i < depth; i++) {
        buf_done(&w.open[i].text);
    }
    mem_free(w.open);
    return f == FAIL_NONE ? w.root : NULL;
}

const char *tests_attribute_find(const struct tests_node *n, const char *name)
{
    for (size_t i = 0; n != NULL && i < n->attributes_len; i++) {
        if (strcmp(n->attributes[i].name, name) == 0) {
            return n->attributes[i].value;
        }
    }
    return NULL;
}

bool tests_is(const struct tests_node *n, const char *name)
{
    return n != NULL && strcmp(n->name, name) == 0;
}

const struct tests_node *tests_child_find(const struct tests_node *n, const char *name)
{
    for (n = n == NULL ? NULL : n->child; n != NULL; n = n->next) {
        if (strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

const char *tests_child_text(const struct tests_node *n, const char *name)
{
    const struct tests_node *child = tests_child_find(n, name);
    return child == NULL ? NULL : child->text;
}
