/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision and the frame: is there an answer, in which language, and the reply as text.
 * Owns: the result. Threads: pure.
 */
#include <stdio.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/compose/compose_internal.h"
#include "base/text/text.h"

/* An article in another language is only shown when it leads clearly. */
#define OTHER_LANGUAGE_EXTRA 0.15

/* Fitted on the past tickets of examples/helpdesk, each left out of its own search. */
static const struct compose_model by_words = {
    .rank = {0.0, 5.0, 10.0, 6.0, 3.0, 10.0, 3.0, 4.5},
    .accept = {4.0, 0.1, 0.8, 2.0, 2.0, 3.0, 1.0, 1.5, -2.0, -1.0, 0, 0, 0, -5.0},
    .threshold = 0.72,
    .sentence = {0.8, 2.0, 0.8, 0.6, -2.0, 0.2, -0.6, -1.6},
};

static const struct compose_model by_vectors = {
    .rank = {5.0, 0.5, 9.0, 9.0, 9.5, 4.0, 3.0, 4.5},
    .accept = {1.1, 0.3, 2.0, 2.6, 8.0, 1.0, 1.0, 0.6, -1.0, -1.0, 0, 0, 0, -6.2},
    .threshold = 0.70,
    .sentence = {0.8, 2.0, 0.8, 0.6, -2.0, 0.2, -0.6, -1.6},
};

static const struct compose_model by_vectors_and_tickets = {
    .rank = {7.0, 0.0, 10.0, 8.0, 8.0, 7.5, 5.5, 5.0},
    .accept = {0.0, 0.4, 0.8, 3.0, 6.0, 4.0, 3.0, 0.4, -3.5, -2.5, 0, 0, 0, -4.8},
    .threshold = 0.68,
    .sentence = {0.8, 2.0, 0.8, 0.6, -2.0, 0.2, -0.6, -1.6},
};

struct compose_model compose_default_model(bool with_vectors, bool with_questions)
{
    if (!with_vectors) {
        return by_words;
    }
    return with_questions ? by_vectors_and_tickets : by_vectors;
}

static enum knowledge_lang ticket_lang(const struct compose_ticket *t)
{
    if (t->lang != KNOWLEDGE_LANG_OTHER) {
        return t->lang;
    }
    AUTO_FREE char *text = compose_query_text(t->subject, t->text);
    return knowledge_lang_from_code(check_language(text, strlen(text)).code);
}

static void fill_near(const struct knowledge *k, const struct match *m, struct compose_result *out)
{
    for (size_t i = 0; i < m->count && i < COUNT_OF(out->near); i++) {
        struct compose_near *n = &out->near[out->near_count++];
        text_copy(n->article, sizeof(n->article),
                  knowledge_article_at(k, m->list[i].hit.article)->id);
        n->match = m->list[i].share;
    }
}

void compose_reply(const struct knowledge *k, const struct compose_model *model,
                   const struct compose_ticket *ticket, const struct compose_frame frames[3],
                   struct compose_result *out)
{
    struct match m, any;
    *out = (struct compose_result){.outcome = COMPOSE_NONE, .lang = ticket_lang(ticket)};
    compose_match(k, model, ticket, out->lang, false, &m);
    fill_near(k, &m, out);
    out->confidence = m.confidence;
    const struct knowledge_article *a = NULL;
    if (out->lang != KNOWLEDGE_LANG_OTHER && m.count > 0 && m.confidence >= model->threshold) {
        a = knowledge_article_at(k, m.list[0].hit.article);
        out->outcome = COMPOSE_DRAFT;
    } else {
        compose_match(k, model, ticket, out->lang, true, &any);
        const struct knowledge_article *b =
            any.count > 0 ? knowledge_article_at(k, any.list[0].hit.article) : NULL;
        if (b != NULL && b->lang != out->lang &&
            any.confidence >= model->threshold + OTHER_LANGUAGE_EXTRA) {
            a = b;
            out->outcome = COMPOSE_DRAFT_OTHER_LANGUAGE;
            out->confidence = any.confidence;
            snprintf(out->reason, sizeof(out->reason),
                     "no good answer in the customer's language; this one is in %s",
                     knowledge_lang_code(b->lang));
        } else if (m.count == 0) {
            snprintf(out->reason, sizeof(out->reason), "no article shares a word with this ticket");
        } else {
            snprintf(out->reason, sizeof(out->reason),
                     "no good answer: nearest is %.90s, %.2f sure, wanted %.2f",
                     out->near[0].article, m.confidence, model->threshold);
        }
    }
    if (a != NULL) {
        out->article_lang = a->lang;
        compose_choose(k, model, ticket, a, out);
    }
    compose_add_past(k, ticket, a, out);
    if (out->outcome == COMPOSE_NONE) {
        return;
    }
    const struct compose_frame *f = &frames[out->article_lang];
    out->text = compose_render(out, ticket, f->greeting != NULL ? f : &frames[KNOWLEDGE_LANG_EN]);
    if (out->text == NULL) {
        out->outcome = COMPOSE_NONE;
        snprintf(out->reason, sizeof(out->reason),
                 "every sentence of %.90s wants something the ticket does not say",
                 a != NULL ? a->id : "the past reply");
    }
}

void compose_done(struct compose_result *r)
{
    for (size_t i = 0; i < r->sentence_count; i++) {
        mem_free(r->sentences[i].article);
        mem_free(r->sentences[i].title);
        mem_free(r->sentences[i].text);
        mem_free(r->sentences[i].reply);
    }
    mem_free(r->sentences);
    mem_free(r->text);
    *r = (struct compose_result){0};
}
