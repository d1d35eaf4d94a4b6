/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Markdown (GitHub's): tables, sentences, charts as files beside it, and a footnote for every
 * number and for the first use of every label with digits.
 * Threads: pure. Limits: the buffer's cap.
 */
#include <string.h>

#include "work/report/report_internal.h"

struct writing {
    const struct report *r;
    struct buf *out;
    uint32_t *note; /* of each value: its footnote, 0: none yet */
    uint32_t notes;
};

static void put_escaped(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr("\\`*_[]<>|", s[i]) != NULL && s[i] != '\0') {
            (void)buf_add_char(out, '\\');
        }
        (void)buf_add_char(out, s[i] == '\n' || s[i] == '\r' || s[i] == '\t' ? ' ' : s[i]);
    }
}

static void put_text(struct writing *w, const struct report_text *t)
{
    size_t at = 0;
    if (t->text == NULL) {
        return;
    }
    for (size_t i = 0; i < t->spans_len; i++) {
        const struct report_span *s = &t->spans[i];
        const struct report_value *v = &w->r->values[s->value];
        put_escaped(w->out, t->text + at, s->end - at);
        at = s->end;
        bool first = w->note[s->value] == 0;
        if (strpbrk(v->shown, "0123456789") != NULL && (first || v->is_number)) {
            w->note[s->value] = first ? ++w->notes : w->note[s->value];
            (void)buf_printf(w->out, "[^%u]", w->note[s->value]);
        }
    }
    put_escaped(w->out, t->text + at, strlen(t->text) - at);
}

static void put_word(struct writing *w, enum word word)
{
    const char *s = w->r->made_by->words[word];
    put_escaped(w->out, s, strlen(s));
}

static void put_overview(struct writing *w, const struct report_part *part)
{
    static const enum word heads[] = {WORD_HEAD_VALUE, WORD_HEAD_BEFORE, WORD_HEAD_CHANGE,
                                      WORD_HEAD_TARGET};
    bool used[REPORT_LINE_CELLS] = {true};
    for (size_t i = 0; i < part->lines_len; i++) {
        for (size_t k = 0; k < REPORT_LINE_CELLS; k++) {
            used[k] = used[k] || part->lines[i].cells[k].text != NULL;
        }
    }
    (void)buf_add_str(w->out, "| ");
    put_word(w, WORD_HEAD_METRIC);
    for (size_t k = 0; k < REPORT_LINE_CELLS; k++) {
        if (used[k]) {
            (void)buf_add_str(w->out, " | ");
            put_word(w, heads[k]);
        }
    }
    (void)buf_add_str(w->out, " |\n|---");
    for (size_t k = 0; k < REPORT_LINE_CELLS; k++) {
        (void)buf_add_str(w->out, used[k] ? "|--:" : "");
    }
    (void)buf_add_str(w->out, "|\n");
    for (size_t i = 0; i < part->lines_len; i++) {
        const struct report_line *l = &part->lines[i];
        (void)buf_add_str(w->out, "| ");
        put_escaped(w->out, l->name, strlen(l->name));
        for (size_t k = 0; k < REPORT_LINE_CELLS; k++) {
            (void)buf_add_str(w->out, used[k] ? " | " : "");
            if (used[k] && k == 0 && l->missing != NULL) {
                put_word(w, WORD_MISSING);
            } else if (used[k]) {
                put_text(w, &l->cells[k]);
            }
        }
        (void)buf_add_str(w->out, " |\n");
    }
    (void)buf_add_char(w->out, '\n');
}

static void put_table(struct writing *w, const struct report_grid_text *t)
{
    (void)buf_add_str(w->out, "|");
    for (size_t c = 0; c < t->columns; c++) {
        (void)buf_add_char(w->out, ' ');
        put_text(w, &t->head[c]);
        (void)buf_add_str(w->out, " |");
    }
    (void)buf_add_str(w->out, "\n|---");
    for (size_t c = 1; c < t->columns; c++) {
        (void)buf_add_str(w->out, "|--:");
    }
    (void)buf_add_str(w->out, "|\n");
    for (size_t i = 0; i < t->rows; i++) {
        (void)buf_add_str(w->out, "|");
        for (size_t c = 0; c < t->columns; c++) {
            (void)buf_add_char(w->out, ' ');
            put_text(w, &t->cells[i * t->columns + c]);
            (void)buf_add_str(w->out, " |");
        }
        (void)buf_add_char(w->out, '\n');
    }
    (void)buf_add_char(w->out, '\n');
}

static void put_line(struct writing *w, const struct report_line *l, size_t *chart)
{
    for (size_t i = 0; i < l->sentences_len; i++) {
        (void)buf_add_str(w->out, "- ");
        put_text(w, &l->sentences[i]);
        (void)buf_add_char(w->out, '\n');
    }
    if (l->missing != NULL) {
        (void)buf_add_str(w->out, "- ");
        put_escaped(w->out, l->name, strlen(l->name));
        (void)buf_add_str(w->out, ": ");
        put_word(w, WORD_MISSING);
        (void)buf_printf(w->out, " (%s).\n", l->missing);
    }
    if (l->sentences_len > 0 || l->missing != NULL) {
        (void)buf_add_char(w->out, '\n');
    }
    if (l->table != NULL) {
        put_table(w, l->table);
    }
    if (l->chart != NULL) {
        char name[32];
        report_chart_name((*chart)++, name);
        (void)buf_add_str(w->out, "![");
        put_escaped(w->out, l->chart->title.text, strlen(l->chart->title.text));
        (void)buf_printf(w->out, "](%s)\n\n", name);
    }
}

static void put_notes(struct writing *w)
{
    for (uint32_t note = 1; note <= w->notes; note++) {
        for (uint32_t v = 0; v < w->r->values_len; v++) {
            if (w->note[v] == note) {
                struct buf words;
                buf_init(&words, 64 * 1024);
                report_trace(w->r, v, &words);
                (void)buf_printf(w->out, "[^%u]: ", note);
                put_escaped(w->out, words.data == NULL ? "" : words.data, words.len);
                (void)buf_add_char(w->out, '\n');
                buf_done(&words);
                break;
            }
        }
    }
}

bool report_write_markdown(const struct report *r, struct buf *out)
{
    struct writing w = {.r = r, .out = out};
    size_t chart = 0;
    w.note = mem_alloc_array(r->values_len + 1, sizeof(*w.note));
    (void)buf_add_str(out, "# ");
    put_text(&w, &r->title);
    (void)buf_add_str(out, "\n\n");
    for (size_t p = 0; p < r->parts_len; p++) {
        const struct report_part *part = &r->parts[p];
        (void)buf_add_str(out, "## ");
        put_text(&w, &part->title);
        (void)buf_add_str(out, "\n\n");
        put_overview(&w, part);
        for (size_t i = 0; i < part->lines_len; i++) {
            put_line(&w, &part->lines[i], &chart);
        }
        for (size_t i = 0; i < part->comments_len; i++) {
            if (part->comments[i].verdict == REPORT_CLAIM_OK) {
                put_text(&w, &part->comments[i].text);
                (void)buf_add_str(out, "\n\n");
            }
        }
    }
    for (size_t i = 0; i < r->notes_len; i++) {
        (void)buf_add_str(out, "> ");
        put_escaped(out, r->notes[i], strlen(r->notes[i]));
        (void)buf_add_str(out, "\n\n");
    }
    put_notes(&w);
    mem_free(w.note);
    return !out->overflow;
}
