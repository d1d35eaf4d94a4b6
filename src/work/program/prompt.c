/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lint of prompts: what a Jinja template must have right before any value is known. A worker
 * renders it (worker/shim); here its marks and blocks are matched, each fault with its line, so
 * that a definition is refused when it is read and not when a job runs.
 */
#include <string.h>

#include "work/program/program_internal.h"

#define DEPTH_MAX 32
#define TAG_SIZE 24

struct lint {
    const char *at, *end;
    int line, last; /* last: of the source; a wrong guess at the style names no line beyond */
    bool counts;    /* the text stands in the file line by line */
    const char *name;
    struct config_faults *faults;
    struct {
        char tag[TAG_SIZE];
        int line;
    } open[DEPTH_MAX];
    size_t depth;
};

/* Tags that open a block and what closes them; the others stand alone. */
static const struct {
    const char *open, *close;
} blocks[] = {{"if", "endif"},         {"for", "endfor"},       {"macro", "endmacro"},
              {"call", "endcall"},     {"filter", "endfilter"}, {"generation", "endgeneration"}};
static const char *const alone[] = {"elif", "else", "set", "endset", "break", "continue"};

/* Is the scalar a literal block, whose lines are the file's? */
static bool is_literal(const char *source, const struct config_node *node)
{
    const char *at = source;
    for (int line = 1; line < node->line && at != NULL; line++) {
        at = strchr(at, '\n');
        at = at != NULL ? at + 1 : NULL;
    }
    size_t n = at != NULL ? strcspn(at, "\n\r") : 0;
    const char *key = n > 0 ? memchr(at, ':', n) : NULL;
    return key != NULL && key[1 + strspn(key + 1, " ")] == '|';
}

static void say(struct lint *l, int line, const char *tag, const char *what, const char *hint)
{
    config_faults_add(l->faults, line < l->last ? line : l->last, l->name, hint, "\"%s\" %s", tag,
                      what);
}

/* Moves behind `mark`, counting lines and passing over quoted texts inside a tag. */
static bool pass(struct lint *l, const char *mark, bool quotes)
{
    char quote = '\0';
    while (l->at < l->end) {
        char c = *l->at;
        l->line += l->counts && c == '\n';
        if (quote != '\0') {
            l->at += c == '\\' && l->at + 1 < l->end ? 1 : 0;
            quote = c == quote ? '\0' : quote;
        } else if (quotes && (c == '"' || c == '\'')) {
            quote = c;
        } else if (c == mark[0] && l->at + 1 < l->end && l->at[1] == mark[1]) {
            l->at += 2;
            return true;
        }
        l->at++;
    }
    return false;
}

static void take_tag(struct lint *l, const char *text, size_t len, int line)
{
    char tag[TAG_SIZE];
    while (len > 0 && (*text == '-' || *text == '+' || *text == ' ' || *text == '\n' ||
                       *text == '\t')) {
        text++;
        len--;
    }
    size_t n = 0;
    while (n < len && n < sizeof(tag) - 1 && text[n] >= 'a' && text[n] <= 'z') {
        tag[n] = text[n];
        n++;
    }
    tag[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        if (strcmp(tag, blocks[i].open) == 0) {
            if (l->depth == DEPTH_MAX) {
                say(l, line, tag, "is nested too deeply", NULL);
                return;
            }
            memcpy(l->open[l->depth].tag, tag, sizeof(tag));
            l->open[l->depth++].line = line;
            return;
        }
        if (strcmp(tag, blocks[i].close) == 0) {
            if (l->depth == 0 || strcmp(l->open[l->depth - 1].tag, blocks[i].open) != 0) {
                say(l, line, tag, "closes nothing that is open",
                    "Each block is closed by its own end, innermost first.");
            } else {
                l->depth--;
            }
            return;
        }
    }
    for (size_t i = 0; i < COUNT_OF(alone); i++) {
        if (strcmp(tag, alone[i]) == 0) {
            bool inside = l->depth > 0 || strcmp(tag, "set") == 0 || strcmp(tag, "endset") == 0;
            if (!inside) {
                say(l, line, tag, "stands outside of a block", NULL);
            }
            return;
        }
    }
    say(l, line, tag[0] != '\0' ? tag : "{% %}", "is no tag",
        "Tags are if, elif, else, for, set, macro, call, filter and their ends.");
}

void program_prompt_lint(const char *source, const struct config_node *node, const char *name,
                         struct config_faults *faults)
{
    bool literal = is_literal(source, node);
    struct lint l = {.at = node->text,
                     .end = node->text + node->len,
                     .line = node->line + literal,
                     .last = 1,
                     .counts = literal,
                     .name = name,
                     .faults = faults};
    for (const char *at = source; *at != '\0'; at++) {
        l.last += *at == '\n';
    }
    while (l.at + 1 < l.end) {
        char kind = l.at[0] == '{' ? l.at[1] : '\0';
        if (kind != '{' && kind != '%' && kind != '#') {
            l.line += *l.at++ == '\n' && l.counts;
            continue;
        }
        const char close[] = {kind == '{' ? '}' : kind, '}', '\0'};
        const char open[] = {'{', kind, '\0'};
        const char *begin = l.at + 2;
        int at = l.line;
        l.at += 2;
        if (!pass(&l, close, kind != '#')) {
            say(&l, at, open, "is not closed", NULL);
            return;
        }
        if (kind == '%') {
            take_tag(&l, begin, (size_t)(l.at - 2 - begin), at);
        }
    }
    while (l.depth > 0) {
        l.depth--;
        say(&l, l.open[l.depth].line, l.open[l.depth].tag, "is not closed", NULL);
    }
}
