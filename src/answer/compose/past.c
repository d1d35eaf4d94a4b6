/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Past replies in a draft: the words a person used before for what an article says, and a draft
 * from a past reply alone where no article answers. Both are chosen, never written, and cited.
 * Owns: the sentences it puts into the result. Threads: pure.
 */
#include <stdio.h>
#include <string.h>

#include "answer/compose/compose_internal.h"
#include "answer/extract/extract.h"
#include "base/text/text.h"

#define LOOKED_AT 60        /* nearest past replies */
#define WORDED_MOST 3       /* sentences of an article said in a past reply's words */
#define NEAR_ENOUGH 0.55    /* cosine of the tickets, for wording what an article says */
#define SAME_CASE 0.68      /* for answering as before; without vectors shared words must do */
#define SAME_WORDS 0.50
#define LEAST_SAID 12 /* words of a draft from a past reply alone, questions aside */
#define FOUND_MOST 64

/* One value of a kind in the ticket fills a slot; of two, nobody knows which is meant. */
static void take_values(const char *text, const struct compose_name *name,
                        const struct compose_ticket *t, char value[][EXTRACT_MAX_NORMAL],
                        struct reply_values *out)
{
    static const int slots[EXTRACT_TYPE_COUNT] = {
        [EXTRACT_TYPE_NUMBER] = -1,      [EXTRACT_TYPE_MEASURE] = -1,
        [EXTRACT_TYPE_AMOUNT] = -1,      [EXTRACT_TYPE_DATE] = -1,
        [EXTRACT_TYPE_TIME] = -1,        [EXTRACT_TYPE_ID] = REPLY_ID,
        [EXTRACT_TYPE_EMAIL] = REPLY_EMAIL, [EXTRACT_TYPE_LINK] = -1,
        [EXTRACT_TYPE_PHONE] = REPLY_PHONE, [EXTRACT_TYPE_WORDS] = -1};
    struct extract_found *found = mem_alloc_array(FOUND_MOST, sizeof(*found));
    struct extract_scene scene = {0};
    size_t n = extract_find(text, strlen(text), &scene, found, FOUND_MOST, NULL), end = 0;
    size_t seen[REPLY_SLOT_COUNT] = {0};
    for (size_t i = 0; i < n; i++) {
        int slot = slots[found[i].type];
        bool inside = found[i].at + found[i].len <= end;
        end = inside ? end : found[i].at + found[i].len;
        if (slot < 0 || inside || found[i].len >= EXTRACT_MAX_NORMAL || found[i].len < 4) {
            continue;
        }
        bool again = seen[slot] > 0 && strlen(value[slot]) == found[i].len &&
                     memcmp(value[slot], text + found[i].at, found[i].len) == 0;
        if (!again) {
            memcpy(value[slot], text + found[i].at, found[i].len);
            value[slot][found[i].len] = '\0';
            out->value[slot] = ++seen[slot] == 1 ? value[slot] : NULL;
        }
    }
    out->value[REPLY_NAME] = name->full[0] != '\0' ? name->full : NULL;
    out->value[REPLY_ID] = t->order_number != NULL ? t->order_number : out->value[REPLY_ID];
    mem_free(found);
}

static void note_near(const struct reply_bank *bank, const struct reply_near *near, size_t n,
                      struct compose_result *r)
{
    for (size_t i = 0; i < n && r->near_reply_count < COUNT_OF(r->near_replies); i++) {
        struct compose_near_reply *x = &r->near_replies[r->near_reply_count++];
        const struct reply_item *item = reply_bank_at(bank, near[i].item);
        text_copy(x->ticket, sizeof(x->ticket), item->key);
        x->match = near[i].match > 0 ? near[i].match : near[i].lexical;
        x->may_serve = item->len;
    }
}

/* The chosen sentence of the article in the words of a past reply that the article supports. */
static bool word_anew(const struct reply_item *item, const struct reply_sentence *s,
                      const struct reply_values *values, const struct knowledge_article *a,
                      struct compose_result *r)
{
    for (size_t i = 0; i < r->sentence_count; i++) {
        struct compose_sentence *c = &r->sentences[i];
        if (!c->chosen || c->reply != NULL || c->index != s->source ||
            strcmp(c->article, a->id) != 0 || strcmp(c->text, s->text) == 0 ||
            /* a long sentence's short part would leave a condition out */
            2 * strlen(s->text) < strlen(c->text)) {
            continue;
        }
        char *text = reply_fill(s, values);
        if (text != NULL) {
            mem_free(c->text);
            c->text = text;
            c->reply = mem_dup_str(item->key);
            return true;
        }
    }
    return false;
}

static void add_sentence(struct compose_result *r, const struct reply_item *item, char *text,
                         size_t index, bool chosen)
{
    struct compose_sentence *more =
        mem_realloc(r->sentences, (r->sentence_count + 1) * sizeof(*more));
    more[r->sentence_count++] = (struct compose_sentence){
        .article = mem_dup_str(""), /* no article says it; the past ticket is its source */
        .title = mem_dup_str(""),
        .index = (uint16_t)index,
        .text = text,
        .reply = mem_dup_str(item->key),
        .chosen = chosen,
    };
    r->sentences = more;
}

/* Sentences that may serve anybody, to switch on. */
static void offer_more(const struct reply_item *item, const struct reply_values *values,
                       enum compose_address as, struct compose_result *r)
{
    for (size_t k = 0; k < item->len && r->sentence_count < COMPOSE_MAX_OFFERED; k++) {
        const struct reply_sentence *s = &item->sentences[k];
        bool there = s->why == REPLY_SUPPORTED || !compose_addresses(s->text, item->lang, as);
        for (size_t i = 0; i < r->sentence_count; i++) {
            there = there || strcmp(r->sentences[i].text, s->text) == 0;
        }
        char *text = there ? NULL : reply_fill(s, values);
        if (text != NULL) {
            add_sentence(r, item, text, k, false);
        }
    }
}

/* As it was answered before: every sentence may serve others, and the tickets are alike. */
static bool draft_from(const struct reply_item *item, const struct reply_values *values,
                       enum compose_address as, struct compose_result *r)
{
    size_t words = 0, chosen = 0, said = 0;
    for (size_t k = 0; k < item->len && r->sentence_count < COMPOSE_MAX_OFFERED; k++) {
        char *text = compose_addresses(item->sentences[k].text, item->lang, as)
                         ? reply_fill(&item->sentences[k], values) : NULL;
        if (text == NULL) {
            continue;
        }
        size_t more = 1;
        for (const char *p = text; *p != '\0'; p++) {
            more += *p == ' ';
        }
        bool choose = !item->sentences[k].acted && chosen < COMPOSE_MAX_SENTENCES &&
                      words + more <= COMPOSE_MAX_WORDS;
        words += choose ? more : 0;
        said += choose && strchr(text, '?') == NULL ? more : 0;
        chosen += choose;
        add_sentence(r, item, text, k, choose);
    }
    return chosen > 0 && said >= LEAST_SAID;
}

void compose_add_past(const struct knowledge *k, const struct compose_ticket *t,
                      const struct knowledge_article *a, struct compose_result *r)
{
    struct reply_near near[LOOKED_AT];
    char value[REPLY_SLOT_COUNT][EXTRACT_MAX_NORMAL];
    struct reply_values values = {{0}};
    if (t->replies == NULL) {
        return;
    }
    size_t before = r->sentence_count;
    AUTO_FREE char *text = compose_query_text(t->subject, t->text);
    struct compose_name name = compose_find_name(k, t->text);
    enum knowledge_lang lang = a != NULL ? a->lang : r->lang;
    size_t n = reply_bank_near(t->replies, text, strlen(text), t->vector, t->dim, lang,
                               t->except_key, near, COUNT_OF(near));
    note_near(t->replies, near, n, r);
    take_values(text, &name, t, value, &values);
    size_t worded = 0;
    for (size_t i = 0; i < n; i++) {
        const struct reply_item *item = reply_bank_at(t->replies, near[i].item);
        bool same = a != NULL && item->article != NULL && strcmp(item->article, a->id) == 0;
        for (size_t s = 0; same && s < item->len && worded < WORDED_MOST; s++) {
            bool close = near[i].match >= NEAR_ENOUGH || t->vector == NULL;
            const struct reply_sentence *x = &item->sentences[s];
            if (close && x->why == REPLY_SUPPORTED && !x->acted &&
                compose_addresses(x->text, a->lang, t->address)) {
                worded += word_anew(item, x, &values, a, r);
            }
        }
        if (same) {
            offer_more(item, &values, t->address, r);
        }
    }
    bool alike = n > 0 && (t->vector != NULL ? near[0].match >= SAME_CASE
                                             : near[0].lexical >= SAME_WORDS);
    if (a == NULL && alike && r->lang != KNOWLEDGE_LANG_OTHER &&
        draft_from(reply_bank_at(t->replies, near[0].item), &values, t->address, r)) {
        r->outcome = COMPOSE_DRAFT;
        r->article_lang = r->lang;
        r->confidence = t->vector != NULL ? near[0].match : near[0].lexical;
        snprintf(r->reason, sizeof(r->reason), "no article answers; as %.90s was answered",
                 r->near_replies[0].ticket);
    } else if (a == NULL) { /* what was taken does not make an answer */
        for (size_t i = before; i < r->sentence_count; i++) {
            r->sentences[i].chosen = false;
        }
    }
}
