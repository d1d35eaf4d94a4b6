/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A head over the articles: taught on past tickets with the article that answered them, on those
 * that none answered, and on the articles' own sentences as hints. What it says of a ticket is one
 * more thing that ranking and acceptance look at; for past tickets it is said by a head that was
 * taught without them.
 * Owns: nothing between calls. Threads: pure; seconds long, runs on a crunch thread.
 */
#include <string.h>

#include "answer/compose/compose_internal.h"
#include "answer/learn/learn.h"
#include "base/text/text.h"

#define PARTS 5
#define LEAST_ANSWERED 40
#define MOST_HINTS 5000
#define MOST_CELLS ((size_t)24 << 20) /* examples x articles: beyond it takes minutes */
#define TARGET 0.15

struct teaching {
    const struct knowledge *k;
    struct learn_example *ex;
    size_t hints; /* behind the tickets */
    float *vectors;
    char **texts; /* of past tickets, subject and text as one */
    struct learn_options options;
};

static bool has_article(const struct knowledge *k, const struct compose_past *p)
{
    return p->article != NULL && knowledge_article_find(k, p->article) != NULL;
}

/* Each sentence hints at its article. */
static size_t take_hints(const struct knowledge *k, size_t dim, float *vectors,
                         struct learn_example *out)
{
    size_t n = 0, unit = 0;
    for (size_t a = 0; a < knowledge_article_count(k); a++) {
        const struct knowledge_article *x = knowledge_article_at(k, a);
        for (size_t s = 0; s <= x->sentence_count; s++, unit++) {
            const char *text = knowledge_unit_text(k, unit);
            float *v = vectors + n * dim;
            bool with = dim > 0 && knowledge_unit_get_vector(k, unit, v, dim);
            if (n < MOST_HINTS && (dim == 0 || with) && text[0] != '\0' &&
                strlen(x->id) <= LEARN_MAX_LABEL_LEN) {
                out[n++] = (struct learn_example){.text = text, .text_len = strlen(text),
                                                  .embedding = dim > 0 ? v : NULL,
                                                  .label = x->id, .extra = true};
            }
        }
    }
    return n;
}

static struct learn_head *teach_without(struct teaching *t, const struct compose_past *past,
                                        size_t count, size_t part, struct fault *why)
{
    struct learn_example *ex = mem_alloc_array(count + t->hints + 1, sizeof(*ex));
    struct learn_head *head = NULL;
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (part < PARTS && i % PARTS == part) {
            continue;
        }
        ex[n++] = (struct learn_example){
            .text = t->texts[i], .text_len = strlen(t->texts[i]), .embedding = past[i].vector,
            .label = has_article(t->k, &past[i]) ? past[i].article : LEARN_NONE,
            .ref = part == PARTS && past[i].key != NULL &&
                           strlen(past[i].key) <= LEARN_MAX_REF_LEN ? past[i].key : NULL};
    }
    memcpy(ex + n, t->ex, t->hints * sizeof(*ex));
    if (learn_train(ex, n + t->hints, &t->options, NULL, &head, NULL, why) != FAIL_NONE) {
        head = NULL;
    }
    mem_free(ex);
    return head;
}

static enum fail check_past(const struct knowledge *k, const struct compose_past *past,
                            size_t count, struct fault *why)
{
    size_t answered = 0;
    for (size_t i = 0; i < count; i++) {
        answered += has_article(k, &past[i]);
        if ((past[i].vector != NULL) != (past[0].vector != NULL)) {
            return FAULT(why, FAIL_BAD_REQUEST, "some past tickets have a vector and some do not");
        }
    }
    if (answered < LEAST_ANSWERED || knowledge_article_count(k) < 2) {
        return FAULT(why, FAIL_BAD_REQUEST, "%zu past tickets name the article that answered them; "
                     "%d are needed", answered, LEAST_ANSWERED);
    }
    if ((count + knowledge_unit_count(k)) * knowledge_article_count(k) > MOST_CELLS) {
        return FAULT(why, FAIL_TOO_LARGE, "too many articles and tickets for a head over them");
    }
    return FAIL_NONE;
}

static enum fail teach_parts(struct teaching *t, struct compose_past *past, size_t count,
                             struct learn_head **head, struct fault *why)
{
    for (size_t part = 0; part <= PARTS; part++) {
        struct learn_head *h = teach_without(t, past, count, part, why);
        if (h == NULL) {
            return why->code;
        }
        for (size_t i = part; part < PARTS && i < count; i += PARTS) {
            compose_opinion_of(h, t->k, t->texts[i], past[i].vector, past[i].dim,
                               &past[i].opinion);
        }
        if (part == PARTS) {
            *head = h;
        } else {
            learn_head_free(h);
        }
    }
    return FAIL_NONE;
}

enum fail compose_teach(const struct knowledge *k, struct compose_past *past, size_t count,
                        struct learn_head **head, struct fault *why)
{
    enum fail f = check_past(k, past, count, why);
    if (f != FAIL_NONE) {
        return f;
    }
    size_t dim = past[0].vector != NULL ? past[0].dim : 0, units = knowledge_unit_count(k);
    struct teaching t = {.k = k, .options = learn_defaults()};
    t.options.dim = (int)dim;
    t.options.folds = 2; /* its own figures are not used */
    t.options.light = 1;
    t.options.target_error = TARGET;
    t.vectors = mem_alloc_array((units + 1) * (dim + 1), sizeof(float));
    t.ex = mem_alloc_array(units + 1, sizeof(*t.ex));
    t.texts = mem_alloc_array(count + 1, sizeof(*t.texts));
    t.hints = take_hints(k, dim, t.vectors, t.ex);
    for (size_t i = 0; i < count; i++) {
        t.texts[i] = compose_query_text(past[i].subject, past[i].text);
    }
    f = teach_parts(&t, past, count, head, why);
    for (size_t i = 0; i < count; i++) {
        mem_free(t.texts[i]);
    }
    mem_free(t.texts);
    mem_free(t.vectors);
    mem_free(t.ex);
    return f;
}

void compose_opinion_of(const struct learn_head *head, const struct knowledge *k, const char *text,
                        const float *vector, size_t dim, struct compose_opinion *out)
{
    struct learn_prediction p;
    struct fault why;
    *out = (struct compose_opinion){0};
    bool with = learn_head_dim(head) > 0;
    if ((with && (vector == NULL || (int)dim != learn_head_dim(head))) ||
        learn_predict(head, text, strlen(text), with ? vector : NULL, (int)dim, &p, &why) !=
            FAIL_NONE) {
        return;
    }
    const struct knowledge_article *first = knowledge_article_at(k, 0);
    for (size_t i = 0; i < p.n_top && out->len < COMPOSE_OPINIONS; i++) {
        const struct knowledge_article *a =
            knowledge_article_find(k, learn_head_label(head, p.top[i].label));
        if (a != NULL) { /* an article may have gone since */
            out->article[out->len] = (uint32_t)(a - first);
            out->p[out->len++] = (double)p.top[i].p;
        }
    }
    out->none = (double)p.none;
}
