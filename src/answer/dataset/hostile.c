/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of a hostile format, through inhouse-reader: its blocks become pieces under their
 * headings, with the page. The cells of a row are one line, led by their columns' names.
 * Owns: nothing. Threads: blocks up to the reader's deadline. Limits: the reader's.
 */
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "run/reader/reader.h"

#define LEVELS 6

struct gathering {
    struct dataset_pieces *p;
    struct buf text;
    char level[LEVELS][200];
    char heading[DATASET_TEXT_SIZE];
    int64_t at, page;
    uint32_t table, row;
};

static enum fail flush(struct gathering *g, struct fault *why)
{
    enum fail f = FAIL_NONE;
    if (g->text.len > 0) {
        f = dataset_pieces_add(g->p, g->text.data, g->text.len,
                               g->heading[0] != '\0' ? g->heading : g->p->title, g->at, g->page,
                               why);
    }
    buf_clear(&g->text);
    return f;
}

static void set_heading(struct gathering *g, const struct document_block *b)
{
    size_t level = b->level >= 1 && b->level <= LEVELS ? b->level - 1 : LEVELS - 1;
    (void)text_copy(g->level[level], sizeof(g->level[level]), b->text);
    for (size_t i = level + 1; i < LEVELS; i++) {
        g->level[i][0] = '\0';
    }
    struct buf all;
    buf_init(&all, sizeof(g->level) + 64);
    for (size_t i = 0; i < LEVELS; i++) {
        if (g->level[i][0] != '\0') {
            (void)buf_printf(&all, "%s%s", all.len > 0 ? " > " : "", g->level[i]);
        }
    }
    (void)text_copy(g->heading, sizeof(g->heading), all.data != NULL ? all.data : "");
    buf_done(&all);
    if (g->p->title[0] == '\0') {
        (void)text_copy(g->p->title, sizeof(g->p->title), b->text);
    }
}

/* One block behind the other; a cell behind the others of its row. */
static void add_block(struct gathering *g, const struct document_block *b)
{
    bool cell = b->table != 0 || b->row != 0;
    bool same_row = cell && g->text.len > 0 && b->table == g->table && b->row == g->row;
    if (g->text.len == 0) {
        g->at = (int64_t)b->begin;
        g->page = b->page;
    } else {
        (void)buf_add_str(&g->text, same_row ? "; " : cell ? "\n" : "\n\n");
    }
    g->table = b->table;
    g->row = b->row;
    if (cell && b->path[0] != '\0' && !b->header) {
        (void)buf_printf(&g->text, "%s: ", b->path);
    }
    (void)buf_add(&g->text, b->text, b->len);
}

static enum fail gather(struct gathering *g, const struct document *d, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < d->blocks_len && f == FAIL_NONE; i++) {
        const struct document_block *b = &d->blocks[i];
        bool row_goes_on = (b->table != 0 || b->row != 0) && b->table == g->table &&
                           b->row == g->row;
        if (b->kind == DOCUMENT_HEADING) {
            f = flush(g, why);
            set_heading(g, b);
        } else if (b->len > 0) {
            bool full = g->text.len + b->len > DATASET_CHUNK_MAX ||
                        g->text.len >= DATASET_CHUNK_TARGET;
            if (g->text.len > 0 && ((full && !row_goes_on) || (int64_t)b->page != g->page)) {
                f = flush(g, why);
            }
            add_block(g, b);
        }
    }
    return f != FAIL_NONE ? f : flush(g, why);
}

enum fail dataset_read_hostile(struct dataset_pieces *p, const char *path, const char *media,
                               const void *data, size_t n, struct fault *why)
{
    struct reader_ask ask = {.data = data, .len = n, .fd = -1, .name = path, .type = media};
    struct document *d = NULL;
    enum fail f = reader_read(NULL, &ask, &d, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct gathering *g = mem_alloc(sizeof(*g));
    g->p = p;
    buf_init(&g->text, (size_t)64 << 20);
    const char *title = document_meta_find(d, DOCUMENT_META_TITLE);
    title = title[0] != '\0' ? title : document_meta_find(d, DOCUMENT_META_SUBJECT);
    (void)text_copy(p->title, sizeof(p->title), title);
    f = gather(g, d, why);
    buf_done(&g->text);
    mem_free(g);
    document_free(d);
    return f;
}
