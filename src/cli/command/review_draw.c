/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reviewer sees of an item, as lines. Texts of customers are shown without anything that
 * steers a terminal.
 *
 * Owns: the lines. Threads: one. Limits: VIEW_LINES_MAX lines.
 */
#include <string.h>

#include "base/text/text.h"
#include "cli/command/review_internal.h"

#define VIEW_LINES_MAX 5000

void view_begin(struct view *v, size_t width)
{
    *v = (struct view){.width = width < 20 ? 20 : width};
}

void view_end(struct view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        mem_free(v->lines[i]);
    }
    mem_free(v->lines);
    *v = (struct view){.n = 0};
}

static void add_line(struct view *v, const char *text, size_t len)
{
    if (v->n == VIEW_LINES_MAX) {
        return;
    }
    if (v->n == v->room) {
        v->room = v->room == 0 ? 64 : v->room * 2;
        v->lines = mem_realloc(v->lines, v->room * sizeof(*v->lines));
    }
    v->lines[v->n++] = mem_dup_strn(text, len);
}

/* Control characters (C0, DEL, C1) become spaces; what is no UTF-8 a question mark. */
static void add_clean(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t step = text_utf8_decode(s + i, n - i, &cp);
        if (step == 0) {
            (void)buf_add_char(out, '?');
            i++;
        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x202a && cp <= 0x202e) ||
                   (cp >= 0x2066 && cp <= 0x2069)) {
            (void)buf_add_char(out, ' ');
            i += step;
        } else {
            (void)buf_add(out, s + i, step);
            i += step;
        }
    }
}

/* The longest start of s that fits `width` code points, cut at a space where there is one. */
static size_t fits(const char *s, size_t n, size_t width)
{
    size_t used = 0, space = 0, i = 0;
    while (i < n && used < width) {
        uint32_t cp;
        size_t step = text_utf8_decode(s + i, n - i, &cp);
        space = s[i] == ' ' ? i : space;
        i += step == 0 ? 1 : step;
        used++;
    }
    return i == n || space == 0 || s[i] == ' ' ? i : space;
}

void view_add(struct view *v, const char *first, const char *text)
{
    size_t indent = text_utf8_count(first, strlen(first));
    struct buf line, clean;
    buf_init(&line, REVIEWER_TEXT_MAX * 2);
    buf_init(&clean, REVIEWER_TEXT_MAX * 2);
    bool begun = false;
    do {
        size_t len = strcspn(text, "\n");
        buf_clear(&clean);
        add_clean(&clean, text, len);
        const char *s = clean.len > 0 ? clean.data : "";
        size_t left = clean.len;
        do {
            size_t n = fits(s, left, v->width > indent + 8 ? v->width - indent : v->width);
            buf_clear(&line);
            if (begun) {
                (void)buf_printf(&line, "%*s", (int)indent, "");
            } else {
                (void)buf_add_str(&line, first);
            }
            (void)buf_add(&line, s, n);
            add_line(v, line.data != NULL ? line.data : "", line.len);
            begun = true;
            s += n;
            left -= n;
            while (left > 0 && *s == ' ') {
                s++;
                left--;
            }
        } while (left > 0);
        text += len + (text[len] == '\n');
    } while (*text != '\0');
    buf_done(&clean);
    buf_done(&line);
}

/* ---- an item ---- */

static void add_fields(struct view *v, const struct reviewing *x)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(x->item, "fields"), i, f) {
        char first[96], sure[CLI_SURE_SIZE];
        struct buf line;
        const char *name = cli_str(f, "name");
        const char *mine = json_string_value(json_object_get(x->fields, name));
        bool withheld = json_is_true(json_object_get(f, "withheld"));
        buf_init(&line, REVIEWER_TEXT_MAX);
        (void)snprintf(first, sizeof(first), "%c %-14.40s ",
                       json_is_true(json_object_get(f, "open")) ? '*' : ' ', name);
        if (mine != NULL) {
            (void)buf_printf(&line, "%s", mine);
            if (!withheld) {
                (void)buf_printf(&line, "   (proposed: %s)", cli_str(f, "value"));
            }
        } else if (withheld) {
            (void)buf_add_str(&line, "?   what do you say? (f)");
        } else {
            (void)buf_printf(&line, "%s   %s %s", cli_str(f, "value"), cli_sure(f, sure),
                             cli_str(f, "rung"));
        }
        view_add(v, first, line.data);
        buf_done(&line);
    }
}

static void add_ticket(struct view *v, const json_t *ticket)
{
    size_t i;
    json_t *d;
    if (!json_is_true(json_object_get(ticket, "moved"))) {
        return;
    }
    view_add(v, "", "");
    view_add(v, "! ", "The ticket moved on since this was proposed:");
    json_array_foreach(json_object_get(ticket, "difference"), i, d) {
        view_add(v, cli_str(d, "op")[0] == '+' ? "  + " : "  - ", cli_str(d, "text"));
    }
}

static void add_precedent(struct view *v, const json_t *p)
{
    const char *name;
    json_t *value;
    struct buf line;
    if (!json_is_object(p)) {
        return;
    }
    buf_init(&line, 65536);
    (void)buf_printf(&line, "%s: %s", cli_str(p, "said"), cli_str(p, "action"));
    json_object_foreach((json_t *)(uintptr_t)json_object_get(p, "fields"), name, value) {
        (void)buf_printf(&line, ", %s = %s", name, json_string_value(value));
    }
    if (cli_str(p, "reason")[0] != '\0') {
        (void)buf_printf(&line, ", because %s", cli_str(p, "reason"));
    }
    view_add(v, "", "");
    view_add(v, "= ", line.data);
    buf_done(&line);
}

static void add_draft(struct view *v, const struct reviewing *x)
{
    size_t i;
    json_t *s;
    const char *text = reviewer_text(x);
    view_add(v, "", "");
    if (text == NULL) {
        const char *why = cli_str(x->item, "no_draft");
        view_add(v, "No draft", why[0] != '\0' ? "" : ".");
        if (why[0] != '\0') {
            view_add(v, "  ", why);
        }
    } else {
        view_add(v, "", x->draft != NULL ? "Draft (changed)" : "Draft");
        view_add(v, "  | ", text);
    }
    const json_t *list = json_object_get(x->item, "sentences");
    if (json_array_size(list) > 0) {
        view_add(v, "", "");
        view_add(v, "", "Sentences (1-9 switch them)");
    }
    json_array_foreach(list, i, s) {
        char first[16];
        if (i == REVIEWER_SENTENCES) {
            break;
        }
        (void)snprintf(first, sizeof(first), " %zu[%c] ", i + 1,
                       (x->chosen & 1U << i) != 0 ? 'x' : ' ');
        view_add(v, first, cli_str(s, "text"));
    }
}

void view_item(struct view *v, const struct reviewing *x)
{
    struct buf head;
    buf_init(&head, 4096);
    (void)buf_printf(&head, "%.200s   %s   %s", cli_str(x->item, "title"),
                     cli_str(x->item, "workflow"), cli_str(x->item, "urgency"));
    if (cli_str(x->item, "target")[0] != '\0') {
        (void)buf_printf(&head, "   for %s until %s", cli_str(x->item, "target"),
                         cli_str(x->item, "deadline_at"));
    }
    view_add(v, "", head.data);
    buf_done(&head);
    view_add(v, "", "");
    view_add(v, "  ", cli_str(x->item, "input"));
    view_add(v, "", "");
    add_fields(v, x);
    add_ticket(v, json_object_get(x->item, "ticket"));
    add_precedent(v, json_object_get(x->item, "as_decided"));
    add_draft(v, x);
}
