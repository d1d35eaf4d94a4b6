/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stakes in a text: phrases over folded words, and a head over its sentences. Owns: the phrases and
 * the head. Threads: any number may ask. Limits: PHRASES_MAX phrases of PHRASE_WORDS words.
 */
#include <string.h>

#include "answer/learn/learn.h"
#include "answer/route/route_internal.h"

#define PHRASES_MAX 4096
#define PHRASE_WORDS 8
#define GAP_WORDS 3
#define BUCKETS 4096 /* a power of two */
#define HEAD_BYTES ((size_t)8 * 1024)
#define HEAD_SENTENCES 24
#define SENTENCE_BYTES 400
#define SENTENCE_BYTES_MIN 6
#define AMOUNT_BYTES 240 /* on either side of what asks for money */

enum kind { WHOLE, BEGINS, GAP };
struct token {
    enum kind kind;
    uint8_t len;
    const char *text;
};
struct phrase {
    enum route_stake stake;
    int next; /* in its bucket, -1: last */
    size_t n;
    struct token tokens[PHRASE_WORDS];
};

struct route_stakes {
    struct arena *arena;
    struct phrase *phrases;
    size_t n;
    int bucket[BUCKETS]; /* by the first two bytes of the first word */
    struct learn_head *head;
    uint32_t label[ROUTE_STAKE_COUNT]; /* of the head */
    char release[TEXT_SHA256_HEX_SIZE];
};

/* ---- phrases ---- */

static size_t bucket_of(const char *word, size_t len)
{
    unsigned second = len > 1 ? (unsigned char)word[1] : 0;
    return ((unsigned char)word[0] * 67u + second) % BUCKETS;
}

static void add_phrase(struct route_stakes *s, enum route_stake stake, const char *text)
{
    struct route_words w;
    struct phrase *p = &s->phrases[s->n];
    route_words_read(&w, text, strlen(text), true);
    ASSERT(w.n > 0 && w.n <= PHRASE_WORDS && s->n < PHRASES_MAX);
    p->stake = stake;
    for (size_t i = 0; i < w.n; i++) {
        const char *word = w.folded.data + w.list[i].at;
        size_t len = w.list[i].len;
        bool begins = word[len - 1] == '*';
        bool gap = word[0] == '.';
        struct token *t = &p->tokens[p->n++];
        ASSERT(len < 100 && (i > 0 || (!gap && len > (begins ? 2u : 0u))));
        t->kind = gap ? GAP : begins ? BEGINS : WHOLE;
        t->len = (uint8_t)(len - (begins ? 1 : 0));
        t->text = arena_dup_strn(s->arena, word, t->len);
    }
    size_t b = bucket_of(p->tokens[0].text, p->tokens[0].len);
    p->next = s->bucket[b];
    s->bucket[b] = (int)s->n++;
    route_words_done(&w);
}

static void read_phrases(struct route_stakes *s)
{
    const struct route_embedded *e = route_embedded_find("stakes");
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct config_tree *tree = NULL;
    config_faults_init(faults, "rules/stakes.yaml");
    ASSERT(e != NULL);
    enum fail f = config_yaml_parse(e->text, e->len, "rules/stakes.yaml", &tree, faults);
    ASSERT(f == FAIL_NONE);
    const struct config_node *root = config_tree_root(tree);
    for (size_t i = 0; i < root->count; i++) {
        enum route_stake stake = route_stake_find(root->keys[i]);
        ASSERT(stake != ROUTE_STAKE_COUNT);
        for (size_t k = 0; k < root->items[i]->count; k++) {
            const struct config_node *list = root->items[i]->items[k];
            for (size_t j = 0; j < list->count; j++) {
                ASSERT(list->items[j]->text != NULL);
                add_phrase(s, stake, list->items[j]->text);
            }
        }
    }
    config_tree_free(tree);
    mem_free(faults);
}

static bool word_is(const struct token *t, const struct route_words *w, size_t i)
{
    const struct route_word *word = &w->list[i];
    bool long_enough = t->kind == BEGINS ? word->len >= t->len : word->len == t->len;
    return long_enough && memcmp(w->folded.data + word->at, t->text, t->len) == 0;
}

/* The phrase from token k on stands at word i; *last is its last word. */
static bool stands_at(const struct phrase *p, size_t k, const struct route_words *w, size_t i,
                      size_t *last)
{
    for (; k < p->n; k++) {
        if (p->tokens[k].kind == GAP) {
            for (size_t skip = 0; skip <= GAP_WORDS; skip++) {
                if (stands_at(p, k + 1, w, i + skip, last)) {
                    return true;
                }
            }
            return false;
        }
        if (i >= w->n || !word_is(&p->tokens[k], w, i)) {
            return false;
        }
        *last = i++;
    }
    return true;
}

/* The largest amount near the hit is above the limit. */
static bool is_above(const char *text, size_t len, double limit, struct route_stake_hit *hit)
{
    size_t from = hit->from > AMOUNT_BYTES ? hit->from - AMOUNT_BYTES : 0;
    size_t to = len - hit->to > AMOUNT_BYTES ? hit->to + AMOUNT_BYTES : len;
    while (from > 0 && ((unsigned char)text[from] & 0xc0) == 0x80) {
        from--;
    }
    hit->amount = route_amount_largest(text + from, to - from);
    return hit->amount > limit;
}

struct finding {
    const char *text;
    size_t len;
    unsigned wanted; /* not found yet */
    double refund_above;
    struct route_stake_hit *out;
    size_t n;
};

static void take(struct finding *f, struct route_stake_hit hit)
{
    if ((f->wanted & (1u << hit.stake)) == 0 ||
        (hit.stake == ROUTE_STAKE_REFUND_ABOVE &&
         !is_above(f->text, f->len, f->refund_above, &hit))) {
        return;
    }
    f->wanted &= ~(1u << hit.stake);
    f->out[f->n++] = hit;
}

static void find_phrases(const struct route_stakes *s, struct finding *f)
{
    struct route_words w;
    route_words_read(&w, f->text, f->len, false);
    for (size_t i = 0; i < w.n && f->wanted != 0; i++) {
        const struct route_word *word = &w.list[i];
        int p = s->bucket[bucket_of(w.folded.data + word->at, word->len)];
        for (; p >= 0; p = s->phrases[p].next) {
            const struct phrase *phrase = &s->phrases[p];
            size_t last = i;
            if ((f->wanted & (1u << phrase->stake)) != 0 && stands_at(phrase, 0, &w, i, &last)) {
                take(f, (struct route_stake_hit){.stake = phrase->stake,
                                                 .from = word->from,
                                                 .to = w.list[last].to,
                                                 .p = 1});
            }
        }
    }
    route_words_done(&w);
}

/* ---- sentences ---- */

/* The end of the sentence that begins at `at`: its stop, a line's end, or SENTENCE_BYTES. */
static size_t sentence_end(const char *text, size_t len, size_t at)
{
    size_t i = at;
    while (i < len && i - at < SENTENCE_BYTES) {
        char c = text[i++];
        bool stop = c == '.' || c == '!' || c == '?' || c == ';';
        if (c == '\n' || (stop && (i == len || text[i] == ' ' || text[i] == '\n'))) {
            return i;
        }
    }
    while (i < len && i > at + 1 && ((unsigned char)text[i] & 0xc0) == 0x80) {
        i--;
    }
    return i;
}

static void ask_head(const struct route_stakes *s, struct finding *f, size_t from, size_t to)
{
    struct learn_prediction p;
    struct fault why;
    if (learn_predict(s->head, f->text + from, to - from, NULL, 0, &p, &why) != FAIL_NONE) {
        return; /* cannot: the head has no vectors */
    }
    for (size_t i = 0; i < p.n_top; i++) {
        for (unsigned k = 0; k < ROUTE_STAKE_COUNT; k++) {
            if (s->label[k] == p.top[i].label && p.top[i].p >= route_stakes_threshold[k]) {
                take(f, (struct route_stake_hit){.stake = (enum route_stake)k, .from = from,
                                                 .to = to, .learned = true, .p = p.top[i].p});
            }
        }
    }
}

static void find_learned(const struct route_stakes *s, struct finding *f)
{
    size_t end = f->len < HEAD_BYTES ? f->len : text_utf8_cut(f->text, HEAD_BYTES);
    size_t at = 0;
    for (int asked = 0; at < end && asked < HEAD_SENTENCES && f->wanted != 0;) {
        size_t to = sentence_end(f->text, end, at);
        size_t from = at + strspn(f->text + at, " \t\r\n");
        at = to;
        while (to > from && (unsigned char)f->text[to - 1] <= ' ') {
            to--;
        }
        if (to >= from + SENTENCE_BYTES_MIN) {
            ask_head(s, f, from, to);
            asked++;
        }
    }
}

/* ---- all of it ---- */

struct route_stakes *route_stakes_new(void)
{
    struct route_stakes *s = mem_alloc(sizeof(*s));
    struct fault why;
    uint8_t hash[64], both[32];
    s->arena = arena_new((size_t)4 << 20);
    s->phrases = mem_alloc_array(PHRASES_MAX, sizeof(*s->phrases));
    for (size_t i = 0; i < BUCKETS; i++) {
        s->bucket[i] = -1;
    }
    read_phrases(s);
    enum fail f = learn_load(route_stakes_head, route_stakes_head_len, &s->head, &why);
    ASSERT(f == FAIL_NONE);
    for (unsigned i = 0; i < ROUTE_STAKE_COUNT; i++) {
        s->label[i] = learn_head_find(s->head, route_stake_name((enum route_stake)i));
    }
    const struct route_embedded *e = route_embedded_find("stakes");
    text_sha256(e->text, e->len, hash);
    text_sha256(route_stakes_head, route_stakes_head_len, hash + 32);
    text_sha256(hash, sizeof(hash), both);
    text_hex(both, sizeof(both), s->release);
    return s;
}

void route_stakes_free(struct route_stakes *s)
{
    if (s != NULL) {
        learn_head_free(s->head);
        mem_free(s->phrases);
        arena_free(s->arena);
        mem_free(s);
    }
}

const char *route_stakes_release(const struct route_stakes *s)
{
    return s->release;
}

size_t route_stakes_find_phrases(const struct route_stakes *s, const char *text, size_t len,
                                 unsigned wanted, double refund_above,
                                 struct route_stake_hit out[ROUTE_STAKE_HITS])
{
    struct finding f = {.text = text, .len = len, .refund_above = refund_above, .out = out,
                        .wanted = wanted & ((1u << ROUTE_STAKE_COUNT) - 1)};
    find_phrases(s, &f);
    return f.n;
}

size_t route_stakes_find(const struct route_stakes *s, const char *text, size_t len,
                         unsigned wanted, double refund_above,
                         struct route_stake_hit out[ROUTE_STAKE_HITS])
{
    struct finding f = {.text = text, .len = len, .refund_above = refund_above, .out = out,
                        .wanted = wanted & ((1u << ROUTE_STAKE_COUNT) - 1)};
    find_phrases(s, &f);
    find_learned(s, &f);
    return f.n;
}
