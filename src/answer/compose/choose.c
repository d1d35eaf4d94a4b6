/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sentences of the article: scored by what they share with the ticket, their place, whether
 * they tell the customer what to do, and whether they are about another product.
 *
 * Weights (struct compose_model.sentence): 0 words shared, 1 cosine, 2 first in the article, 3
 * tells what to do, 4 about another product, 5 first in its paragraph, 6 place (0..1), 7 bias.
 * Owns: the sentences it puts into the result. Threads: pure.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/compose/compose_internal.h"
#include "base/text/text.h"

struct scored {
    const struct knowledge_sentence *s;
    double score;
    size_t words;
    bool chosen;
};

static bool has_stem(const struct knowledge_words *w, const char *stem)
{
    for (size_t i = 0; i < w->count; i++) {
        if (strcmp(w->items[i].stem, stem) == 0) {
            return true;
        }
    }
    return false;
}

/* Share, by idf, of the sentence's words that the ticket has; the title's words count a quarter,
   because every sentence of the article is about them. */
static double shared(const struct knowledge *k, const struct knowledge_words *s,
                     const struct knowledge_words *ticket, const struct knowledge_words *title)
{
    double mass = 0, hit = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].stop) {
            continue;
        }
        double w =
            knowledge_idf(k, s->items[i].stem) * (has_stem(title, s->items[i].stem) ? 0.25 : 1);
        mass += w;
        hit += has_stem(ticket, s->items[i].stem) ? w : 0;
    }
    return mass > 0 ? hit / sqrt(mass) : 0;
}

static const char *const doing_en[] = {
    "to",   "open",   "press",  "select",   "check", "send",  "write",  "use",    "switch", "fill",
    "keep", "please", "enter",  "choose",   "clean", "empty", "reset",  "unplug", "go",     "click",
    "give", "pull",   "remove", "register", "add",   "place", "cancel", "wait",   "dry",    "rinse",
    "turn", "look",   "try",    "ask",      "tell",  "hold",  "put",    "call",   "follow", "set"};
static const char *const doing_de[] = {"um", "bitte", "dazu"};

static bool tells_what_to_do(const struct knowledge_words *w, enum knowledge_lang lang,
                             const char *text)
{
    if (lang == KNOWLEDGE_LANG_DE) {
        for (size_t i = 0; i < COUNT_OF(doing_de); i++) {
            if (w->count > 0 && strcmp(w->items[0].folded, doing_de[i]) == 0) {
                return true;
            }
        }
        for (size_t i = 1; i < w->count && i < 12; i++) { /* "öffnen Sie", "wählen Sie" */
            const struct knowledge_word *a = &w->items[i - 1];
            if (strcmp(w->items[i].folded, "sie") == 0 && text[w->items[i].at] == 'S' &&
                text_ends_with(a->folded, "n") && (i == 1 || strcmp(a->folded, "können") != 0)) {
                return true;
            }
        }
        return false;
    }
    for (size_t i = 0; i < w->count; i++) {
        bool opens = i == 0;
        for (size_t p = i > 0 ? w->items[i - 1].at + w->items[i - 1].len : 0; p < w->items[i].at;
             p++) {
            opens = opens || strchr(",;:", text[p]) != NULL;
        }
        for (size_t d = 0; opens && d < COUNT_OF(doing_en); d++) {
            if (strcmp(w->items[i].folded, doing_en[d]) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Products as a text shows them: two capitalised words and a number ("Auto 5"), or a capitalised
   word in the middle of an English sentence that also stands in other articles. Only those with
   the sentence's own say count. */
static bool is_product_word(const struct knowledge_words *w, size_t i, const char *text,
                            enum knowledge_lang lang)
{
    const struct knowledge_word *x = &w->items[i];
    if (x->stop || x->digit || !x->capital) {
        return false;
    }
    if (i + 1 < w->count && w->items[i + 1].digit && w->items[i + 1].len <= 3 &&
        text[x->at + x->len] == ' ' &&
        strspn(w->items[i + 1].folded, "0123456789") == strlen(w->items[i + 1].folded)) {
        return true;
    }
    if (lang == KNOWLEDGE_LANG_DE || i == 0) {
        return false;
    }
    const struct knowledge_word *before = &w->items[i - 1];
    return strcmp(before->folded, "the") == 0 || strcmp(before->folded, "or") == 0;
}

/* The sentence names a product, the ticket names one too, and they share none. */
static bool about_another(const struct knowledge_words *s, const char *text,
                          const struct knowledge_words *ticket, const struct knowledge_article *a,
                          bool ticket_names)
{
    bool names = false, common = false;
    for (size_t i = 0; i < s->count; i++) {
        if (is_product_word(s, i, text, a->lang)) {
            names = true;
            common = common || has_stem(ticket, s->items[i].stem);
        }
    }
    return names && !common && ticket_names;
}

/* Does the ticket name any product that the article names? */
static bool names_a_product(const struct knowledge_article *a, const struct knowledge_words *ticket)
{
    bool found = false;
    for (size_t i = 0; i < a->sentence_count && !found; i++) {
        struct knowledge_words w;
        const char *text = a->sentences[i].text;
        knowledge_words_init(&w, text, strlen(text), a->lang);
        for (size_t j = 0; j < w.count && !found; j++) {
            found = is_product_word(&w, j, text, a->lang) && has_stem(ticket, w.items[j].stem);
        }
        knowledge_words_done(&w);
    }
    return found;
}

/* "We have it collected ...", "Wir lassen sie ...": what the pronoun means stands in the sentence
   before. German "Sie" is the customer; only lower case counts. */
static bool pronoun_early(const char *text, enum knowledge_lang lang)
{
    static const char *const en[] = {"it", "them", "they"};
    static const char *const de[] = {"sie", "ihn", "es", "ihm"};
    struct knowledge_words w;
    bool found = false;
    knowledge_words_init(&w, text, strlen(text), lang);
    for (size_t i = 1; i < w.count && i < 4; i++) {
        for (size_t p = 0; p < 3 + (size_t)(lang == KNOWLEDGE_LANG_DE); p++) {
            const char *pronoun = lang == KNOWLEDGE_LANG_DE ? de[p] : en[p];
            found = found || (!w.items[i].capital && strcmp(w.items[i].folded, pronoun) == 0);
        }
    }
    knowledge_words_done(&w);
    return found;
}

/* Sentences that lean on the one before: "It ...", "Then ...", "Dann ...". */
static bool leans_back(const char *text, enum knowledge_lang lang)
{
    static const char *const en[] = {
        "It ",        "This ",      "These ",    "They ",
        "Then ",      "Afterwards", "To do so",  "If you do not receive it",
        "That ",      "We then",    "Otherwise", "In that case",
        "After that", "If so",      "If not",    "Both ",
        "The same",   "His ",       "Their ",    "Its "};
    static const char *const de[] = {
        "Dann ",  "Danach ",        "Daf\xC3\xBCr ",     "Dazu ", "Diese", "Dies ",
        "Sonst ", "In diesem Fall", "Sie erhalten dann", "Es ",   "Das ",  "Dabei ",
        "Dort ",  "Damit ",         "Andernfalls"};
    const char *const *list = lang == KNOWLEDGE_LANG_DE ? de : en;
    size_t n = lang == KNOWLEDGE_LANG_DE ? COUNT_OF(de) : COUNT_OF(en);
    for (size_t i = 0; i < n; i++) {
        if (text_starts_with(text, list[i])) {
            return true;
        }
    }
    return pronoun_early(text, lang);
}

/* A slot the ticket does not fill keeps a sentence out. */
static bool slots_filled(const char *text, const struct compose_ticket *t,
                         const struct compose_name *name)
{
    for (const char *p = strchr(text, '{'); p != NULL; p = strchr(p + 1, '{')) {
        bool order = strncmp(p, "{order_number}", 14) == 0 && t->order_number != NULL;
        bool named = strncmp(p, "{name}", 6) == 0 && name->first[0] != '\0';
        if (!order && !named && strchr(p, '}') != NULL) {
            return false;
        }
    }
    return true;
}

static double score_one(const struct knowledge *k, const struct compose_model *model,
                        const struct compose_ticket *t, const struct knowledge_article *a, size_t i,
                        const struct knowledge_words *ticket, const struct knowledge_words *title,
                        bool ticket_names, size_t *words)
{
    const struct knowledge_sentence *s = &a->sentences[i];
    struct knowledge_words w;
    knowledge_words_init(&w, s->text, strlen(s->text), a->lang);
    double f[8] = {
        shared(k, &w, ticket, title),
        knowledge_sentence_cosine(k, s, t->vector, t->dim),
        i == 0,
        tells_what_to_do(&w, a->lang, s->text),
        about_another(&w, s->text, ticket, a, ticket_names),
        i > 0 && s->paragraph != a->sentences[i - 1].paragraph,
        a->sentence_count > 1 ? (double)i / (double)(a->sentence_count - 1) : 0,
        1,
    };
    *words = w.count;
    knowledge_words_done(&w);
    double score = 0;
    for (size_t j = 0; j < COUNT_OF(f); j++) {
        score += model->sentence[j] * f[j];
    }
    return score;
}

static void pick(struct scored *list, size_t n, enum knowledge_lang lang)
{
    size_t words = 0, count = 0;
    double best = -1e9;
    for (size_t i = 0; i < n; i++) {
        best = list[i].score > best ? list[i].score : best;
    }
    while (count < COMPOSE_MAX_SENTENCES) {
        size_t at = SIZE_MAX;
        for (size_t i = 0; i < n; i++) {
            if (!list[i].chosen && (at == SIZE_MAX || list[i].score > list[at].score)) {
                at = i;
            }
        }
        /* three at least if there is room, more only while they are likely ones */
        if (at == SIZE_MAX || (count >= 3 && list[at].score < 0) ||
            (count >= 1 && list[at].score < best - 4)) {
            break;
        }
        size_t from = at; /* with what it leans on, and the steps before it in its list */
        while (from > 0 && !list[from - 1].chosen &&
               list[from - 1].s->paragraph == list[at].s->paragraph &&
               (leans_back(list[from].s->text, lang) || list[from].s->kind == KNOWLEDGE_STEP)) {
            from--;
        }
        size_t more = 0;
        for (size_t i = from; i <= at; i++) {
            more += list[i].words;
        }
        if (count + (at - from + 1) > COMPOSE_MAX_SENTENCES ||
            (count > 0 && words + more > COMPOSE_MAX_WORDS)) {
            list[at].score = -1e9;
            if (count > 0 && words + 8 > COMPOSE_MAX_WORDS) {
                break;
            }
            bool left = false;
            for (size_t i = 0; i < n; i++) {
                left = left || (!list[i].chosen && list[i].score > -1e8);
            }
            if (!left) {
                break;
            }
            continue;
        }
        for (size_t i = from; i <= at; i++) {
            list[i].chosen = true;
        }
        count += at - from + 1;
        words += more;
    }
}

/* The chosen ones and the best others, at most COMPOSE_MAX_OFFERED, in the article's order. */
static void hand_over(struct scored *list, size_t n, const struct knowledge_article *a,
                      struct compose_result *r)
{
    size_t offered = 0;
    bool *offer = mem_alloc_array(n + 1, sizeof(*offer));
    for (size_t i = 0; i < n; i++) {
        offer[i] = list[i].chosen;
        offered += list[i].chosen;
    }
    while (offered < COMPOSE_MAX_OFFERED) {
        size_t at = SIZE_MAX;
        for (size_t i = 0; i < n; i++) {
            if (!offer[i] && (at == SIZE_MAX || list[i].score > list[at].score)) {
                at = i;
            }
        }
        if (at == SIZE_MAX) {
            break;
        }
        offer[at] = true;
        offered++;
    }
    r->sentences = mem_alloc_array(offered + 1, sizeof(*r->sentences));
    for (size_t i = 0; i < n; i++) {
        if (offer[i]) {
            r->sentences[r->sentence_count++] = (struct compose_sentence){
                .article = mem_dup_str(a->id),
                .title = mem_dup_str(a->title),
                .index = list[i].s->index,
                .text = mem_dup_str(list[i].s->text),
                .chosen = list[i].chosen,
                .score = list[i].score,
            };
        }
    }
    mem_free(offer);
}

bool compose_addresses(const char *text, enum knowledge_lang lang, enum compose_address as)
{
    static const char du[] = " du dir dich dein deine deinen deinem deiner deines euch euer eure ";
    static const char sie[] = " sie ihnen ihr ihre ihren ihrem ihrer ihres ";
    struct knowledge_words w;
    bool is_du = false, is_sie = false;
    if (lang != KNOWLEDGE_LANG_DE || as == COMPOSE_ADDRESS_ANY) {
        return true;
    }
    knowledge_words_init(&w, text, strlen(text), lang);
    for (size_t i = 0; i < w.count; i++) {
        char key[KNOWLEDGE_WORD_SIZE + 3];
        snprintf(key, sizeof(key), " %s ", w.items[i].folded);
        is_du = is_du || strstr(du, key) != NULL;
        /* with a small letter, or at the beginning, it is "they" or "her" as well */
        is_sie = is_sie || (i > 0 && w.items[i].capital && strstr(sie, key) != NULL);
    }
    knowledge_words_done(&w);
    return as == COMPOSE_ADDRESS_DU ? !is_sie : !is_du;
}

void compose_choose(const struct knowledge *k, const struct compose_model *model,
                    const struct compose_ticket *t, const struct knowledge_article *a,
                    struct compose_result *r)
{
    AUTO_FREE char *text = compose_query_text(t->subject, t->text);
    struct compose_name name = compose_find_name(k, t->text);
    struct knowledge_words ticket, title;
    knowledge_words_init(&ticket, text, strlen(text), a->lang);
    knowledge_words_init(&title, a->title, strlen(a->title), a->lang);
    bool ticket_names = names_a_product(a, &ticket);
    struct scored *list = mem_alloc_array(a->sentence_count + 1, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; i < a->sentence_count; i++) {
        if (slots_filled(a->sentences[i].text, t, &name) &&
            compose_addresses(a->sentences[i].text, a->lang, t->address)) {
            list[n].s = &a->sentences[i];
            list[n].score =
                score_one(k, model, t, a, i, &ticket, &title, ticket_names, &list[n].words);
            n++;
        }
    }
    pick(list, n, a->lang);
    hand_over(list, n, a, r);
    mem_free(list);
    knowledge_words_done(&ticket);
    knowledge_words_done(&title);
}
