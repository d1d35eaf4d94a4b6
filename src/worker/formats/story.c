/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A story of a DOCX: paragraphs, headings, list items, tables, notes, out of the elements of
 * WordprocessingML by their names. A text box inside a paragraph is paragraphs of its own, after
 * what stood before it.
 * Owns: the block under construction. Threads: one. Limits: TABLES_MAX tables inside each other,
 * PARAGRAPHS_MAX paragraphs inside each other.
 */
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/docx_internal.h"

#define TABLES_MAX 32
#define PARAGRAPHS_MAX 16

enum word {
    OTHER, PARAGRAPH, STYLE, NUMBERING, LEVEL, OUTLINE, RUN, TEXT, TAB, BREAK, HYPHEN, HIDDEN,
    DELETED, SKIPPED, TABLE, ROW, CELL, HEADER, LINK, NOTE
};

static const struct {
    const char *name;
    enum word word;
} words[] = {{"p", PARAGRAPH},        {"pStyle", STYLE},      {"numId", NUMBERING},
             {"ilvl", LEVEL},         {"outlineLvl", OUTLINE}, {"r", RUN},
             {"t", TEXT},             {"tab", TAB},           {"ptab", TAB},
             {"br", BREAK},           {"cr", BREAK},          {"noBreakHyphen", HYPHEN},
             {"vanish", HIDDEN},      {"webHidden", HIDDEN},  {"del", DELETED},
             {"moveFrom", DELETED},   {"Fallback", SKIPPED},  {"instrText", SKIPPED},
             {"delText", SKIPPED},    {"delInstrText", SKIPPED}, {"pPrChange", SKIPPED},
             {"rPrChange", SKIPPED},  {"tabs", SKIPPED},      {"tbl", TABLE},
             {"tr", ROW},             {"tc", CELL},           {"tblHeader", HEADER},
             {"hyperlink", LINK},     {"footnote", NOTE},     {"endnote", NOTE},
             {"comment", NOTE}};

struct table {
    uint32_t number, row, column;
    bool cell, header;
};

struct paragraph {
    unsigned heading, item;
    bool quote, code, numbered;
};

struct story {
    struct docx *x;
    struct sink *out;
    uint32_t part;
    bool note;
    struct prose prose;
    struct paragraph paragraphs[PARAGRAPHS_MAX];
    unsigned depth; /* of paragraphs */
    struct table tables[TABLES_MAX];
    unsigned tables_len, tables_deep;
    unsigned skip, text;
    bool hidden;
};

static enum word word_of(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].name, name) == 0) {
            return words[i].word;
        }
    }
    return OTHER;
}

struct story *docx_story_new(struct docx *x, uint32_t part, bool note)
{
    struct story *s = mem_alloc(sizeof(*s));
    *s = (struct story){.x = x, .out = x->out, .part = part, .note = note};
    prose_init(&s->prose, x->out);
    s->prose.pre = true; /* what Word writes is meant */
    return s;
}

static struct paragraph *paragraph_of(struct story *s)
{
    unsigned i = s->depth == 0 ? 0 : s->depth - 1;
    return &s->paragraphs[i < PARAGRAPHS_MAX ? i : PARAGRAPHS_MAX - 1];
}

static struct table *cell_of(struct story *s)
{
    struct table *t = s->tables_len > 0 ? &s->tables[s->tables_len - 1] : NULL;
    return t != NULL && t->cell ? t : NULL;
}

static void flush(struct story *s, const struct table *cell)
{
    const struct paragraph *p = paragraph_of(s);
    struct document_block *b = &s->prose.block;
    *b = (struct document_block){.kind = s->note ? DOCUMENT_NOTE : DOCUMENT_PARAGRAPH,
                                 .part = s->part};
    if (cell != NULL) {
        b->kind = DOCUMENT_CELL;
        b->header = cell->header;
        b->table = cell->number;
        b->row = cell->row;
        b->column = cell->column;
    } else if (p->heading > 0) {
        b->kind = DOCUMENT_HEADING;
        b->level = p->heading;
    } else if (p->item > 0) {
        b->kind = DOCUMENT_ITEM;
        b->level = p->item;
    } else if (p->quote) {
        b->kind = DOCUMENT_QUOTE;
        b->level = 1;
    } else if (p->code) {
        b->kind = DOCUMENT_CODE;
    }
    s->prose.begin = SIZE_MAX; /* bytes of a packed part say nothing to anybody */
    (void)prose_flush(&s->prose);
}

void docx_story_free(struct story *s)
{
    if (s->out->failed == FAIL_NONE && s->prose.text.len > 0) {
        flush(s, cell_of(s));
    }
    prose_done(&s->prose);
    mem_free(s);
}

/* Where one paragraph ends and another begins; in a cell that is a line. */
static void part(struct story *s)
{
    struct table *cell = cell_of(s);
    if (s->prose.text.len == 0) {
        return;
    }
    if (cell != NULL) {
        if (s->prose.text.data[s->prose.text.len - 1] != '\n') {
            prose_break(&s->prose);
        }
    } else {
        flush(s, NULL);
    }
}

static int64_t number_of(const struct xml_element *e, int64_t otherwise)
{
    char text[24];
    size_t len;
    int64_t v;
    const char *value = xml_attribute(e, "val", &len);
    if (value == NULL || len >= sizeof(text)) {
        return otherwise;
    }
    memcpy(text, value, len);
    text[len] = '\0';
    return text_read_int(text, 0, 1000000, &v) ? v : otherwise;
}

/* w:vanish with val "0" or "false" switches it off. */
static bool is_on(const struct xml_element *e)
{
    size_t len;
    const char *v = xml_attribute(e, "val", &len);
    return v == NULL || !((len == 1 && *v == '0') || (len == 5 && memcmp(v, "false", 5) == 0));
}

static void take_style(struct story *s, const struct xml_element *e)
{
    size_t len;
    const char *value = xml_attribute(e, "val", &len);
    if (value != NULL) {
        AUTO_FREE char *id = mem_dup_strn(value, len);
        struct style style = docx_style(s->x, id);
        struct paragraph *p = paragraph_of(s);
        p->heading = style.heading;
        p->item = p->item > 0 ? p->item : style.item;
        p->quote = style.quote;
        p->code = style.code;
    }
}

static void open_paragraph(struct story *s)
{
    part(s);
    s->depth++;
    *paragraph_of(s) = (struct paragraph){0};
}

static void close_paragraph(struct story *s)
{
    part(s);
    s->depth -= s->depth > 0 ? 1 : 0;
}

static void open_table(struct story *s)
{
    if (s->tables_len >= TABLES_MAX) {
        s->tables_deep++;
        return;
    }
    if (s->prose.text.len > 0) {
        flush(s, cell_of(s));
    }
    s->tables[s->tables_len++] = (struct table){.number = ++s->out->tables};
}

static void open_in_table(struct story *s, enum word word)
{
    struct table *t = s->tables_len > 0 ? &s->tables[s->tables_len - 1] : NULL;
    if (t == NULL || s->tables_deep > 0) {
        return;
    }
    if (word == ROW) {
        t->row++;
        t->column = 0;
        t->header = false;
    } else if (word == HEADER) {
        t->header = true;
    } else {
        t->column++;
        t->cell = true;
    }
}

static void close_cell(struct story *s)
{
    struct table *t = cell_of(s);
    if (t != NULL && s->tables_deep == 0) {
        flush(s, t);
        t->cell = false;
    }
}

static void close_table(struct story *s)
{
    if (s->tables_deep > 0) {
        s->tables_deep--;
    } else if (s->tables_len > 0) {
        s->tables_len--;
    }
}

static void open_word(struct story *s, enum word word, const struct xml_element *e)
{
    struct paragraph *p = paragraph_of(s);
    const char *link;
    int64_t level;
    switch (word) {
    case PARAGRAPH:
        open_paragraph(s);
        break;
    case STYLE:
        take_style(s, e);
        break;
    case NUMBERING:
        p->item = number_of(e, 0) == 0 ? 0 : p->item > 0 ? p->item : 1;
        break;
    case LEVEL:
        p->item = (unsigned)(number_of(e, 0) % 100) + 1;
        break;
    case OUTLINE:
        level = number_of(e, 9);
        p->heading = level < 9 ? (unsigned)level + 1 : p->heading;
        break;
    case RUN:
        s->hidden = false;
        break;
    case TEXT:
        s->text++;
        break;
    case TAB:
        prose_add(&s->prose, "\t", 1, 0, 0);
        break;
    case BREAK:
        prose_add(&s->prose, "\n", 1, 0, 0);
        break;
    case HYPHEN:
        prose_add(&s->prose, "-", 1, 0, 0);
        break;
    case HIDDEN:
        s->hidden = is_on(e);
        s->x->hidden += s->hidden ? 1 : 0;
        break;
    case TABLE:
        open_table(s);
        break;
    case ROW:
    case CELL:
    case HEADER:
        open_in_table(s, word);
        break;
    case LINK:
        link = docx_link(s->x, e);
        if (link != NULL) {
            prose_link_open(&s->prose, link);
        }
        break;
    case DELETED:
    case SKIPPED:
    case NOTE:
    case OTHER:
        break;
    }
}

static void on_open(void *ctx, const struct xml_element *e)
{
    struct story *s = ctx;
    enum word word = word_of(e->name);
    size_t len;
    /* Word's separator lines are notes with a type. */
    bool separator = word == NOTE && xml_attribute(e, "type", &len) != NULL && len > 0;
    if (s->skip > 0 || word == DELETED || word == SKIPPED || separator) {
        s->x->deleted += s->skip == 0 && word == DELETED ? 1 : 0;
        s->skip++;
    } else {
        open_word(s, word, e);
    }
}

static void on_close(void *ctx, const char *name)
{
    struct story *s = ctx;
    enum word word = word_of(name);
    if (s->skip > 0) {
        s->skip--;
    } else if (word == PARAGRAPH) {
        close_paragraph(s);
    } else if (word == TEXT) {
        s->text -= s->text > 0 ? 1 : 0;
    } else if (word == RUN) {
        s->hidden = false;
    } else if (word == CELL) {
        close_cell(s);
    } else if (word == TABLE) {
        close_table(s);
    } else if (word == LINK) {
        prose_link_close(&s->prose);
    }
}

static void on_text(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    struct story *s = ctx;
    if (s->skip == 0 && s->text > 0 && !s->hidden) {
        prose_add(&s->prose, text, len, begin, end);
    }
}

const struct xml_events docx_story_events = {on_open, on_close, on_text};
