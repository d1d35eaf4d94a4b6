/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML text to a tree: libyaml's events, one explicit stack, everything else refused. Anchors and
 * aliases are refused because they make small files large; tags because they change types; merge
 * keys because a reader should see what is set where it is set.
 */
#include "base/config/config.h"

#include <stdio.h>
#include <string.h>

#include <yaml.h>

#include "base/text/text.h"

#define CONFIG_TREE_BYTES (64u * 1024u * 1024u)

struct config_tree {
    struct arena *arena;
    const struct config_node *root;
};

/* A list or map being filled. */
struct level {
    struct config_node *node;
    const struct config_node **items;
    const char **keys;
    size_t room;
    const char *key; /* read, its value not yet */
    int key_line;
};

struct build {
    struct config_tree *tree;
    struct config_faults *faults;
    struct level stack[CONFIG_MAX_DEPTH];
    int depth;
    size_t nodes;
    bool failed;
    bool broken; /* reading on would only report what follows from the first error */
};

static void refuse(struct build *b, const yaml_mark_t *at, const char *hint, const char *what)
{
    config_faults_add(b->faults, (int)at->line + 1, NULL, hint, "%s", what);
    b->failed = true;
    b->broken = true;
}

/* YAML 1.2 core schema, without octal, hexadecimal, infinities. */
static void type_plain(struct config_node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE"};
    static const char *const falses[] = {"false", "False", "FALSE"};
    n->kind = CONFIG_STRING;
    for (size_t i = 0; i < COUNT_OF(nulls); i++) {
        if (strcmp(n->text, nulls[i]) == 0) {
            n->kind = CONFIG_NULL;
            return;
        }
    }
    for (size_t i = 0; i < COUNT_OF(trues); i++) {
        if (strcmp(n->text, trues[i]) == 0 || strcmp(n->text, falses[i]) == 0) {
            n->kind = CONFIG_BOOL;
            n->number = strcmp(n->text, trues[i]) == 0;
            return;
        }
    }
    char c = n->text[0];
    if (c != '-' && c != '+' && c != '.' && (c < '0' || c > '9')) {
        return;
    }
    if (text_read_int(n->text, INT64_MIN, INT64_MAX, &n->number)) {
        n->kind = CONFIG_INT;
        n->real = (double)n->number;
    } else if (text_read_double(n->text, &n->real)) {
        n->kind = CONFIG_REAL;
    }
}

static struct config_node *new_node(struct build *b, const yaml_event_t *e)
{
    if (++b->nodes > CONFIG_MAX_NODES) {
        refuse(b, &e->start_mark, NULL, "the file holds too many values");
        return NULL;
    }
    struct config_node *n = arena_alloc(b->tree->arena, sizeof(*n));
    n->line = (int)e->start_mark.line + 1;
    return n;
}

static void level_grow(struct build *b, struct level *l)
{
    if (l->node->count < l->room) {
        return;
    }
    size_t room = l->room ? l->room * 2 : 8;
    const struct config_node **items = arena_alloc(b->tree->arena, room * sizeof(*items));
    const char **keys = arena_alloc(b->tree->arena, room * sizeof(*keys));
    if (l->node->count > 0) {
        memcpy(items, l->items, l->node->count * sizeof(*items));
        memcpy(keys, l->keys, l->node->count * sizeof(*keys));
    }
    l->items = items;
    l->keys = keys;
    l->room = room;
}

/* Puts a finished or opened node where it belongs: the root, a list, or under the key just read. */
static void place(struct build *b, struct config_node *n)
{
    if (b->depth == 0) {
        b->tree->root = n;
        return;
    }
    struct level *l = &b->stack[b->depth - 1];
    level_grow(b, l);
    if (l->key != NULL) {
        n->line = l->key_line; /* a map begins a line below its key; people look for the key */
    }
    l->items[l->node->count] = n;
    l->keys[l->node->count] = l->key;
    l->node->count++;
    l->key = NULL;
}

static bool expects_key(const struct build *b)
{
    return b->depth > 0 && b->stack[b->depth - 1].node->kind == CONFIG_MAP &&
           b->stack[b->depth - 1].key == NULL;
}

static void take_key(struct build *b, const yaml_event_t *e)
{
    struct level *l = &b->stack[b->depth - 1];
    const char *s = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    if (len == 0 || len > 256 || strlen(s) != len) {
        refuse(b, &e->start_mark, NULL, "a key is 1 to 256 bytes of text");
        return;
    }
    if (strcmp(s, "<<") == 0 && e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        refuse(b, &e->start_mark, "Write the keys out.", "merge keys (<<) are not accepted");
        return;
    }
    for (size_t i = 0; i < l->node->count; i++) {
        if (strcmp(l->keys[i], s) == 0) {
            config_faults_add(b->faults, (int)e->start_mark.line + 1, s, "Keep one of them.",
                              "key \"%.80s\" is there twice (first on line %d)", s,
                              l->items[i]->line);
            b->failed = true;
            break;
        }
    }
    l->key = arena_dup_strn(b->tree->arena, s, len);
    l->key_line = (int)e->start_mark.line + 1;
}

static void take_scalar(struct build *b, const yaml_event_t *e)
{
    if (e->data.scalar.anchor != NULL || e->data.scalar.tag != NULL) {
        refuse(b, &e->start_mark, "Write the value out.",
               "anchors (&) and tags (!) are not accepted");
        return;
    }
    if (expects_key(b)) {
        take_key(b, e);
        return;
    }
    struct config_node *n = new_node(b, e);
    if (n == NULL) {
        return;
    }
    n->len = e->data.scalar.length;
    n->text = arena_dup_strn(b->tree->arena, (const char *)e->data.scalar.value, n->len);
    if (strlen(n->text) != n->len) {
        refuse(b, &e->start_mark, NULL, "a NUL character is not accepted");
        return;
    }
    n->kind = CONFIG_STRING;
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        type_plain(n);
    }
    place(b, n);
}

static void open_level(struct build *b, const yaml_event_t *e, enum config_kind kind, bool marked)
{
    if (marked) {
        refuse(b, &e->start_mark, "Write the value out.",
               "anchors (&) and tags (!) are not accepted");
        return;
    }
    if (expects_key(b)) {
        refuse(b, &e->start_mark, NULL, "a key must be plain text, not a list or a map");
        return;
    }
    if (b->depth == CONFIG_MAX_DEPTH) {
        refuse(b, &e->start_mark, NULL, "the file nests too deep");
        return;
    }
    struct config_node *n = new_node(b, e);
    if (n == NULL) {
        return;
    }
    n->kind = kind;
    place(b, n);
    b->stack[b->depth++] = (struct level){.node = n};
}

static void close_level(struct build *b)
{
    ASSERT(b->depth > 0);
    struct level *l = &b->stack[--b->depth];
    l->node->items = l->items;
    l->node->keys = l->node->kind == CONFIG_MAP ? l->keys : NULL;
}

/* One event; returns false at the end of the stream. */
static bool take_event(struct build *b, const yaml_event_t *e, int *documents)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1) {
            refuse(b, &e->start_mark, "Keep one document a file.", "a second document starts here");
        }
        break;
    case YAML_ALIAS_EVENT:
        refuse(b, &e->start_mark, "Write the value out.", "aliases (*) are not accepted");
        break;
    case YAML_SCALAR_EVENT:
        take_scalar(b, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
        open_level(b, e, CONFIG_LIST,
                   e->data.sequence_start.anchor != NULL || e->data.sequence_start.tag != NULL);
        break;
    case YAML_MAPPING_START_EVENT:
        open_level(b, e, CONFIG_MAP,
                   e->data.mapping_start.anchor != NULL || e->data.mapping_start.tag != NULL);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        close_level(b);
        break;
    case YAML_STREAM_END_EVENT:
        return false;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        break;
    }
    return true;
}

/* An open quote is noticed at the end of the file: where it was opened is what helps. */
static void say_problem(struct build *b, const yaml_parser_t *parser)
{
    char began[48] = "";
    if (parser->context != NULL && parser->context_mark.line != parser->problem_mark.line) {
        (void)snprintf(began, sizeof(began), " begun on line %zu", parser->context_mark.line + 1);
    }
    config_faults_add(b->faults, (int)parser->problem_mark.line + 1, NULL,
                      "Check indentation, quotes and colons there.", "not valid YAML: %s%s%s%s",
                      parser->problem ? parser->problem : "unreadable",
                      parser->context ? ", " : "", parser->context ? parser->context : "", began);
    b->failed = true;
}

static void run_parser(struct build *b, const char *text, size_t len)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        config_faults_add(b->faults, 0, NULL, NULL, "the YAML reader could not start");
        b->failed = true;
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int documents = 0;
    bool more = true;
    while (more && !b->broken) {
        yaml_event_t e;
        if (!yaml_parser_parse(&parser, &e)) {
            say_problem(b, &parser);
            break;
        }
        more = take_event(b, &e, &documents);
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
}

enum fail config_yaml_parse(const char *text, size_t len, const char *name,
                            struct config_tree **out, struct config_faults *faults)
{
    ASSERT(text != NULL && out != NULL && faults != NULL);
    *out = NULL;
    (void)text_copy(faults->name, sizeof(faults->name), name);
    if (len > CONFIG_MAX_BYTES) {
        config_faults_add(faults, 0, NULL, NULL, "the file is larger than %u bytes",
                          CONFIG_MAX_BYTES);
        return FAIL_BAD_REQUEST;
    }
    size_t good = text_utf8_valid_prefix(text, len);
    if (good != len) {
        int line = 1;
        for (size_t i = 0; i < good; i++) {
            line += text[i] == '\n';
        }
        config_faults_add(faults, line, NULL, "Save it as UTF-8.", "not valid UTF-8");
        return FAIL_BAD_REQUEST;
    }
    struct config_tree *tree = mem_alloc(sizeof(*tree));
    tree->arena = arena_new(CONFIG_TREE_BYTES);
    struct build b = {.tree = tree, .faults = faults};
    run_parser(&b, text, len);
    if (b.failed) {
        config_tree_free(tree);
        return FAIL_BAD_REQUEST;
    }
    if (tree->root == NULL || tree->root->kind == CONFIG_NULL) {
        struct config_node *empty = arena_alloc(tree->arena, sizeof(*empty));
        empty->kind = CONFIG_MAP;
        empty->line = 1;
        tree->root = empty;
    }
    *out = tree;
    return FAIL_NONE;
}

void config_tree_free(struct config_tree *tree)
{
    if (tree != NULL) {
        arena_free(tree->arena);
        mem_free(tree);
    }
}

const struct config_node *config_tree_root(const struct config_tree *tree)
{
    return tree->root;
}
