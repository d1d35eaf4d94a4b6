/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stems of chunks and of queries. A chunk is stemmed in its document's language, a query in each of
 * them: nobody says in which language a document is that he does not know yet.
 * Owns: nothing. Threads: pure. Limits: DATASET_TERMS_MAX stems a query.
 */
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "answer/knowledge/knowledge.h"

static void add_term(struct dataset_terms *t, const char *stem)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i], stem) == 0) {
            return;
        }
    }
    if (stem[0] != '\0' && t->count < DATASET_TERMS_MAX) {
        t->items[t->count++] = mem_dup_str(stem);
    }
}

static bool is_stop(const char *folded)
{
    return knowledge_is_stop_word(folded, KNOWLEDGE_LANG_EN) ||
           knowledge_is_stop_word(folded, KNOWLEDGE_LANG_DE);
}

static void gather(struct dataset_terms *t, const char *text, size_t n, bool with_stops)
{
    static const enum knowledge_lang langs[] = {KNOWLEDGE_LANG_EN, KNOWLEDGE_LANG_DE,
                                                KNOWLEDGE_LANG_OTHER};
    for (size_t l = 0; l < COUNT_OF(langs); l++) {
        struct knowledge_words w;
        knowledge_words_init(&w, text, n, langs[l]);
        for (size_t i = 0; i < w.count; i++) {
            if (with_stops || !is_stop(w.items[i].folded)) {
                add_term(t, w.items[i].stem);
            }
        }
        knowledge_words_done(&w);
    }
}

void dataset_terms_init(struct dataset_terms *t, const char *text, size_t n)
{
    *t = (struct dataset_terms){0};
    gather(t, text, n, false);
    if (t->count == 0) {
        gather(t, text, n, true);
    }
}

void dataset_terms_done(struct dataset_terms *t)
{
    for (size_t i = 0; i < t->count; i++) {
        mem_free(t->items[i]);
    }
    t->count = 0;
}

static void add_stems(struct buf *out, const char *text, enum knowledge_lang lang)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, strlen(text), lang);
    for (size_t i = 0; i < w.count; i++) {
        if (out->len > 0) {
            buf_add_char(out, ' ');
        }
        buf_add_str(out, w.items[i].stem);
    }
    knowledge_words_done(&w);
}

void dataset_pieces_finish(struct dataset_pieces *p, const char *dataset, const char *path)
{
    struct buf sample;
    buf_init(&sample, 16384);
    for (size_t i = 0; i < p->count && sample.len < 8000; i++) {
        (void)buf_add_str(&sample, p->items[i].text);
        (void)buf_add_char(&sample, '\n');
    }
    enum knowledge_lang lang = knowledge_guess_lang(sample.data != NULL ? sample.data : "",
                                                    sample.len);
    buf_done(&sample);
    for (size_t i = 0; i < p->count; i++) {
        struct dataset_piece *x = &p->items[i];
        struct buf b;
        buf_init(&b, (size_t)64 * 1024);
        add_stems(&b, x->heading, lang);
        add_stems(&b, x->text, lang);
        x->stems = b.data != NULL ? buf_take(&b) : mem_dup_str("");
        buf_done(&b);
        uint8_t hash[32];
        size_t before = 0;
        for (size_t k = i; k-- > 0 && i - k <= 2000;) { /* equal texts lie near each other */
            before += strcmp(p->items[k].text, x->text) == 0;
        }
        buf_init(&b, (size_t)64 * 1024);
        (void)buf_printf(&b, "%s/%s\n%zu\n%s", dataset, path, before, x->text);
        text_sha256(b.data, b.len, hash);
        memcpy(x->id.bytes, hash, sizeof(x->id.bytes));
        buf_done(&b);
    }
}
