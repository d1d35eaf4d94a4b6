/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bank: past replies in, templates out, those that may be offered, and the search by ticket.
 * Owns: what the header says. Threads: as there.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/reply/reply_internal.h"
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "trust/guard/guard.h"

#define LEAST_CONTENT 3 /* words with a meaning: less is a greeting or a sign-off */
#define LONGEST 400     /* bytes of a sentence that is offered */

/* What the bank keeps of a past ticket for the search. */
struct asked {
    uint64_t *stems; /* ascending */
    size_t n;
    float *vector;
    size_t dim;
};

struct pending {
    struct reply_past past; /* its strings are ours until the bank is sealed */
};

struct reply_bank {
    struct pending *pending;
    struct reply_item *items;
    struct asked *asked;
    size_t n;
    bool sealed;
};

const char *reply_why_name(enum reply_why w)
{
    static const char *const names[REPLY_WHY_COUNT] = {"no", "approved", "said_often", "supported"};
    return w < REPLY_WHY_COUNT ? names[w] : "none";
}

bool reply_is_title(const char *folded)
{
    static const char *const titles[] = {"mr", "ms", "mrs", "miss", "dr", "prof", "herr", "frau"};
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        if (strcmp(folded, titles[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_one_of(const char *words, const char *folded)
{
    char key[KNOWLEDGE_WORD_SIZE + 3];
    snprintf(key, sizeof(key), " %s ", folded);
    return strstr(words, key) != NULL;
}

bool reply_has_acted(const char *text, size_t n)
{
    struct knowledge_words w;
    bool acted = false;
    knowledge_words_init(&w, text, n, KNOWLEDGE_LANG_OTHER);
    for (size_t i = 0; i < w.count && !acted; i++) {
        const char *x = w.items[i].folded, *y = i + 1 < w.count ? w.items[i + 1].folded : "";
        bool who = is_one_of(" i we ich wir ", x);
        acted = (who && is_one_of(" have had sent refunded shipped cancelled canceled changed "
                                  "updated forwarded issued credited added removed checked found "
                                  "asked spoke booked replaced corrected habe haben hatten ", y)) ||
                is_one_of(" we've i've we'd i'd ", x) ||
                (is_one_of(" has have is was were ", x) && is_one_of(" been now already ", y)) ||
                (is_one_of(" habe haben ", x) && is_one_of(" ich wir ", y)) ||
                is_one_of(" wurde wurden worden ", x) ||
                /* what is promised of one case is no more true of another */
                (who && is_one_of(" will shall werde werden ", y)) || is_one_of(" i'll we'll ", x);
    }
    knowledge_words_done(&w);
    return acted;
}

unsigned reply_slots_in(const char *text)
{
    unsigned slots = 0;
    for (size_t i = 0; i < REPLY_SLOT_COUNT; i++) {
        char mark[24];
        snprintf(mark, sizeof(mark), "{%s}", reply_slot_name((enum reply_slot)i));
        slots |= strstr(text, mark) != NULL ? 1u << i : 0;
    }
    return slots;
}

struct reply_bank *reply_bank_new(void)
{
    struct reply_bank *b = mem_alloc(sizeof(*b));
    b->pending = mem_alloc_array(REPLY_MAX, sizeof(*b->pending));
    b->items = mem_alloc_array(REPLY_MAX, sizeof(*b->items));
    b->asked = mem_alloc_array(REPLY_MAX, sizeof(*b->asked));
    return b;
}

static void pending_done(struct pending *p)
{
    const char *texts[] = {p->past.key, p->past.customer, p->past.subject,
                           p->past.text, p->past.reply, p->past.article};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        mem_free((char *)texts[i]);
    }
    mem_free((float *)p->past.vector);
    *p = (struct pending){0};
}

void reply_bank_free(struct reply_bank *b)
{
    for (size_t i = 0; b != NULL && i < b->n; i++) {
        if (b->pending != NULL) {
            pending_done(&b->pending[i]);
        }
        for (size_t k = 0; k < b->items[i].len; k++) {
            mem_free(b->items[i].sentences[k].text);
        }
        mem_free(b->items[i].sentences);
        mem_free(b->items[i].key);
        mem_free(b->items[i].article);
        mem_free(b->asked[i].stems);
        mem_free(b->asked[i].vector);
    }
    if (b != NULL) {
        mem_free(b->pending);
        mem_free(b->items);
        mem_free(b->asked);
    }
    mem_free(b);
}

bool reply_bank_add(struct reply_bank *b, const struct reply_past *p)
{
    size_t len = p->reply != NULL ? strlen(p->reply) : 0;
    if (b->sealed || b->n == REPLY_MAX || len == 0 || len > REPLY_MAX_TEXT || p->text == NULL ||
        p->key == NULL) {
        return false;
    }
    struct reply_past *x = &b->pending[b->n++].past;
    *x = *p;
    x->key = mem_dup_str(p->key);
    x->customer = mem_dup_str(p->customer);
    x->subject = mem_dup_str(p->subject);
    x->text = mem_dup_str(p->text);
    x->reply = mem_dup_str(p->reply);
    x->article = mem_dup_str(p->article);
    x->vector = p->vector != NULL ? mem_dup(p->vector, p->dim * sizeof(float)) : NULL;
    return true;
}

/* ---- sealing ---- */

/* The names a reply greets and its ticket signs with, so far as no article uses them. */
struct names {
    char word[16][64];
    const char *list[16];
    size_t n;
};

static void add_names(struct names *out, const char *s, size_t n, const struct knowledge *k)
{
    struct knowledge_words w;
    double most = k != NULL ? knowledge_idf(k, "\x01") : 0;
    knowledge_words_init(&w, s, n, KNOWLEDGE_LANG_OTHER);
    for (size_t i = 0; i < w.count && w.count <= 6 && out->n < COUNT_OF(out->word); i++) {
        const struct knowledge_word *x = &w.items[i];
        bool greets = is_one_of(" hello hi dear hey good morning afternoon evening guten tag hallo "
                                "liebe lieber sehr geehrte geehrter ",
                                x->folded);
        bool used = k != NULL && knowledge_idf(k, x->stem) < most;
        if (x->capital && !x->digit && !greets && !used && x->len < sizeof(out->word[0])) {
            memcpy(out->word[out->n], s + x->at, x->len);
            out->word[out->n][x->len] = '\0';
            out->list[out->n] = out->word[out->n];
            out->n++;
        }
    }
    knowledge_words_done(&w);
}

static void find_names(const struct reply_past *p, const struct knowledge *k, struct names *out)
{
    out->n = 0;
    add_names(out, p->reply, strcspn(p->reply, "\n"), k);
    size_t end = strlen(p->text);
    for (size_t line = 0; line < 4 && end > 0; line++) { /* the signature */
        size_t start = end;
        while (start > 0 && p->text[start - 1] != '\n') {
            start--;
        }
        if (start > 0) {
            add_names(out, p->text + start, end - start, k);
        }
        end = start > 0 ? start - 1 : 0;
    }
}

char *reply_masked(const struct reply_past *p, const struct knowledge *articles)
{
    struct names names;
    unsigned slots = 0;
    size_t n = strlen(p->reply);
    find_names(p, articles, &names);
    n = n > REPLY_MAX_TEXT ? text_utf8_cut(p->reply, REPLY_MAX_TEXT) : n;
    return reply_template(p->reply, n, names.list, names.n, &slots);
}

static size_t content_words(const char *text, enum knowledge_lang lang)
{
    struct knowledge_words w;
    size_t n = 0;
    knowledge_words_init(&w, text, strlen(text), lang);
    for (size_t i = 0; i < w.count; i++) {
        n += !w.items[i].stop && w.items[i].len > 2;
    }
    knowledge_words_done(&w);
    return n;
}

/* Each article's sentence as a source of the check. */
static bool is_supported(const struct knowledge *k, const char *article, const char *text,
                         enum knowledge_lang lang, int *source)
{
    const char *sources[CHECK_MAX_SOURCES];
    const struct knowledge_article *a =
        k != NULL && article != NULL ? knowledge_article_find(k, article) : NULL;
    struct check_claim claim;
    size_t n = 0;
    if (a == NULL || a->lang != lang) {
        return false;
    }
    for (size_t i = 0; i < a->sentence_count && n < CHECK_MAX_SOURCES; i++) {
        sources[n++] = a->sentences[i].text;
    }
    check_claim(text, strlen(text), lang, sources, n, NULL, 0, &claim);
    *source = claim.source;
    return claim.verdict == CHECK_SUPPORTED;
}

static void take_sentences(struct reply_bank *b, size_t at, const struct knowledge *k)
{
    const struct reply_past *p = &b->pending[at].past;
    struct reply_item *item = &b->items[at];
    struct knowledge_span spans[REPLY_MAX_SENTENCES];
    struct names names;
    size_t len = strlen(p->reply);
    item->lang = knowledge_guess_lang(p->reply, len);
    item->key = mem_dup_str(p->key);
    item->article = mem_dup_str(p->article);
    find_names(p, k, &names);
    size_t n = knowledge_split(p->reply, len, item->lang, spans, COUNT_OF(spans));
    item->sentences = mem_alloc_array(n + 1, sizeof(*item->sentences));
    for (size_t i = 0; i < n; i++) {
        struct reply_sentence s = {.source = -1};
        s.text = reply_template(p->reply + spans[i].at, spans[i].len, names.list, names.n,
                                &s.slots);
        s.slots |= reply_slots_in(s.text);
        if (content_words(s.text, item->lang) < LEAST_CONTENT || strlen(s.text) > LONGEST) {
            mem_free(s.text);
            continue;
        }
        s.acted = reply_has_acted(s.text, strlen(s.text));
        if ((s.slots & (1u << REPLY_PRIVATE)) == 0) {
            s.why = p->approved ? REPLY_APPROVED : REPLY_NOT;
            if (s.why == REPLY_NOT && s.slots == 0 &&
                is_supported(k, p->article, s.text, item->lang, &s.source)) {
                s.why = REPLY_SUPPORTED;
            }
        }
        item->sentences[item->len++] = s;
    }
}

struct said {
    uint64_t hash;
    size_t item, sentence;
    const char *customer;
};

static uint64_t hash_of(const char *text)
{
    uint8_t sum[32];
    uint64_t h;
    struct knowledge_words w;
    struct buf b;
    buf_init(&b, REPLY_MAX_TEXT * 2);
    knowledge_words_init(&w, text, strlen(text), KNOWLEDGE_LANG_OTHER);
    for (size_t i = 0; i < w.count; i++) { /* case, spaces and marks aside */
        buf_printf(&b, "%s ", w.items[i].folded);
    }
    text_sha256(b.len > 0 ? b.data : "", b.len, sum);
    memcpy(&h, sum, sizeof(h));
    knowledge_words_done(&w);
    buf_done(&b);
    return h;
}

static int by_hash(const void *a, const void *b)
{
    const struct said *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return strcmp(x->customer, y->customer);
}

/* Told to so many known customers; all unknown ones are one. */
static void mark_often(struct reply_bank *b)
{
    size_t room = 0, n = 0;
    for (size_t i = 0; i < b->n; i++) {
        room += b->items[i].len;
    }
    struct said *all = mem_alloc_array(room + 1, sizeof(*all));
    for (size_t i = 0; i < b->n; i++) {
        const char *customer = b->pending[i].past.customer;
        for (size_t k = 0; k < b->items[i].len; k++) {
            all[n++] = (struct said){hash_of(b->items[i].sentences[k].text), i, k,
                                     customer != NULL ? customer : ""};
        }
    }
    qsort(all, n, sizeof(*all), by_hash);
    for (size_t from = 0; from < n;) {
        size_t to = from, customers = 0;
        for (; to < n && all[to].hash == all[from].hash; to++) {
            customers += to == from || strcmp(all[to].customer, all[to - 1].customer) != 0;
        }
        for (size_t i = from; i < to && customers >= REPLY_CUSTOMERS; i++) {
            struct reply_sentence *s = &b->items[all[i].item].sentences[all[i].sentence];
            bool private = (s->slots & (1u << REPLY_PRIVATE)) != 0;
            s->why = s->why == REPLY_NOT && !private ? REPLY_SAID_OFTEN : s->why;
        }
        from = to;
    }
    mem_free(all);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static size_t stems_of(const char *text, size_t n, uint64_t **out)
{
    struct knowledge_words w;
    knowledge_words_init(&w, text, n, knowledge_guess_lang(text, n));
    *out = mem_alloc_array(w.count + 1, sizeof(**out));
    size_t k = 0, kept = 0;
    for (size_t i = 0; i < w.count; i++) {
        if (!w.items[i].stop) {
            uint8_t sum[32];
            text_sha256(w.items[i].stem, strlen(w.items[i].stem), sum);
            memcpy(&(*out)[k++], sum, sizeof(**out));
        }
    }
    knowledge_words_done(&w);
    qsort(*out, k, sizeof(**out), by_value);
    for (size_t i = 0; i < k; i++) {
        if (kept == 0 || (*out)[kept - 1] != (*out)[i]) {
            (*out)[kept++] = (*out)[i];
        }
    }
    return kept;
}

static void take_asked(struct reply_bank *b, size_t at)
{
    struct reply_past *p = &b->pending[at].past;
    struct asked *a = &b->asked[at];
    struct buf t;
    buf_init(&t, (size_t)1 << 20);
    buf_printf(&t, "%s\n%s", p->subject != NULL ? p->subject : "", p->text);
    a->n = stems_of(t.len > 0 ? t.data : "", t.len, &a->stems);
    a->vector = (float *)p->vector;
    a->dim = p->vector != NULL ? p->dim : 0;
    p->vector = NULL;
    buf_done(&t);
}

void reply_bank_seal(struct reply_bank *b, const struct knowledge *articles)
{
    for (size_t i = 0; i < b->n; i++) {
        take_sentences(b, i, articles);
        take_asked(b, i);
    }
    mark_often(b);
    for (size_t i = 0; i < b->n; i++) {
        struct reply_item *item = &b->items[i];
        size_t kept = 0;
        for (size_t k = 0; k < item->len; k++) {
            if (item->sentences[k].why == REPLY_NOT) {
                mem_free(item->sentences[k].text);
                item->left_out++;
            } else {
                item->sentences[kept++] = item->sentences[k];
            }
        }
        item->len = kept;
        pending_done(&b->pending[i]);
    }
    mem_free(b->pending);
    b->pending = NULL;
    b->sealed = true;
}

size_t reply_bank_count(const struct reply_bank *b)
{
    return b->n;
}

const struct reply_item *reply_bank_at(const struct reply_bank *b, size_t i)
{
    ASSERT(i < b->n && b->sealed);
    return &b->items[i];
}

/* ---- the search ---- */

static double shared(const uint64_t *a, size_t n, const uint64_t *b, size_t m)
{
    size_t i = 0, k = 0, same = 0;
    while (i < n && k < m) {
        same += a[i] == b[k];
        bool left = a[i] <= b[k];
        k += b[k] <= a[i];
        i += left;
    }
    return n + m > 0 ? (double)same / sqrt((double)n * (double)m + 1) : 0;
}

size_t reply_bank_near(const struct reply_bank *b, const char *text, size_t n, const float *vector,
                       size_t dim, enum knowledge_lang lang, const char *except,
                       struct reply_near *out, size_t max)
{
    uint64_t *stems = NULL;
    size_t len = stems_of(text, n, &stems), got = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct asked *a = &b->asked[i];
        struct reply_near x = {.item = i};
        if (b->items[i].lang != lang || (except != NULL && strcmp(b->items[i].key, except) == 0)) {
            continue;
        }
        for (size_t k = 0; vector != NULL && a->dim == dim && k < dim; k++) {
            x.match += (double)vector[k] * (double)a->vector[k];
        }
        x.lexical = shared(stems, len, a->stems, a->n);
        size_t at = got < max ? got++ : max;
        for (; at > 0 && out[at - 1].match + out[at - 1].lexical < x.match + x.lexical; at--) {
            if (at < max) {
                out[at] = out[at - 1];
            }
        }
        if (at < max) {
            out[at] = x;
        }
    }
    mem_free(stems);
    return got;
}
