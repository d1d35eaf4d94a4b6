/* SPDX-License-Identifier: Apache-2.0 */
/*
 * View: a text as the segments that may be a field's value, and the features that speak for them.
 *
 * A feature is a 64-bit hash of what it says: a tag, and words, shapes or types. Words with digits
 * are shapes, so no number or id becomes a feature. Owns its arrays. Threads: pure.
 * Limits: EXTRACT_MAX_SEGMENTS.
 */
#include <string.h>

#include "answer/extract/extract_internal.h"

#define MAX_KEY_WORDS 4
#define NONE_WORDS 400 /* of the text, as features of "none" */

/* What a feature is about; part of every key, so never renumber without a new blob version. */
enum tag {
    TAG_LEFT1 = 1, TAG_LEFT2, TAG_LEFT12, TAG_LEFT_BAG, TAG_FIRST, TAG_FIRST_SHAPE, TAG_LINE_START,
    TAG_TEXT_START, TAG_KEY, TAG_KEY_LAST, TAG_RIGHT1, TAG_RIGHT2, TAG_RIGHT12, TAG_RIGHT_BAG,
    TAG_LAST, TAG_LAST_SHAPE, TAG_LINE_END, TAG_TEXT_END, TAG_WORD, TAG_SHAPE, TAG_PREFIX,
    TAG_SUFFIX, TAG_TYPE, TAG_TYPE_LEFT, TAG_TYPE_KEY, TAG_TYPE_RIGHT, TAG_READING, TAG_WORDS,
    TAG_WHOLE_LINE, TAG_WHOLE_TEXT, TAG_EXACT, TAG_SHAPES, TAG_RANK, TAG_ONLY, TAG_PLACE,
    TAG_INSIDE_OTHER, TAG_DIGITS, TAG_BIAS, TAG_NONE_WORD, TAG_NONE_LENGTH, TAG_NONE_HAS,
    TAG_BETWEEN, TAG_NONE_KEY
};

static uint64_t key2(enum tag tag, uint64_t a)
{
    return extract_mix(0x5eed + (uint64_t)tag, a);
}

static uint64_t key3(enum tag tag, uint64_t a, uint64_t b)
{
    return extract_mix(key2(tag, a), b);
}

/* ---- rows ---- */

static void add(struct rows *r, uint64_t key)
{
    if (r->keys == r->room) {
        r->room = r->room == 0 ? 256 : 2 * r->room;
        r->key = mem_realloc(r->key, r->room * sizeof(*r->key));
    }
    r->key[r->keys++] = key;
}

static void end_row(struct rows *r)
{
    if (r->n + 2 > r->rows_room) {
        r->rows_room = r->rows_room == 0 ? 64 : 2 * r->rows_room;
        r->start = mem_realloc(r->start, r->rows_room * sizeof(*r->start));
        r->start[0] = 0;
    }
    r->start[++r->n] = (uint32_t)r->keys;
}

void extract_rows_done(struct rows *r)
{
    mem_free(r->key);
    mem_free(r->start);
    memset(r, 0, sizeof(*r));
}

/* ---- of tokens ---- */

static uint64_t hash_at(const struct tokens *t, size_t i, int off)
{
    int64_t k = (int64_t)i + off;
    return k < 0 ? 11 : k >= (int64_t)t->len ? 13 : t->token[k].hash;
}

/* "Xx", "XX", "xx", "99", "Xx9" with the number of digits; other characters as they are. */
static uint64_t shape_of(const struct tokens *t, size_t i)
{
    const struct token *k = &t->token[i];
    uint64_t digits = 0;
    if (k->class == TOKEN_OTHER) {
        return k->hash;
    }
    for (size_t j = 0; j < k->len; j++) {
        digits += t->text[k->at + j] >= '0' && t->text[k->at + j] <= '9';
    }
    uint64_t letters = k->len - digits;
    return 1000 + (uint64_t)k->class * 1000 + (k->capitals ? 500 : k->upper ? 250 : 0) +
           (digits < 12 ? digits : 12) * 16 + (k->class == TOKEN_WORD && letters > 3 ? 4 : letters);
}

static bool starts_line(const struct tokens *t, size_t i)
{
    return i == 0 || t->token[i - 1].line != t->token[i].line;
}

static bool ends_line(const struct tokens *t, size_t i)
{
    return i + 1 >= t->len || t->token[i + 1].line != t->token[i].line;
}

static bool is_mark(const struct tokens *t, size_t i, char c)
{
    return t->token[i].len == 1 && t->text[t->token[i].at] == c;
}

/* The words before a colon or equals sign, [from, to): their hash, and the last one's. */
static void hash_key(const struct tokens *t, size_t from, size_t to, uint64_t *key, uint64_t *last)
{
    *key = 17;
    *last = 0;
    size_t words = 0;
    for (size_t i = from; i < to; i++) {
        if (t->token[i].class != TOKEN_OTHER && ++words <= MAX_KEY_WORDS) {
            *key = extract_mix(*key, t->token[i].hash);
            *last = t->token[i].hash;
        }
    }
    if (words == 0 || words > MAX_KEY_WORDS) {
        *key = *last = 0;
    }
}

/* For each token the key of its line, as `key: value` or as a line that ends in a colon above it.
   The arrays are the caller's. */
static void read_keys(const struct tokens *t, uint64_t *key, uint64_t *last)
{
    uint64_t above = 0, above_last = 0;
    for (size_t i = 0; i < t->len;) {
        size_t end = i, colon = SIZE_MAX;
        while (end < t->len && t->token[end].line == t->token[i].line) {
            bool splits = is_mark(t, end, ':') || is_mark(t, end, '=') || is_mark(t, end, '|');
            colon = colon == SIZE_MAX && splits && end > i ? end : colon;
            end++;
        }
        uint64_t k = 0, l = 0;
        if (colon != SIZE_MAX) {
            hash_key(t, i, colon, &k, &l);
        }
        for (size_t j = i; j < end; j++) {
            bool after = colon != SIZE_MAX && j > colon;
            key[j] = after ? k : colon == SIZE_MAX ? above : 0;
            last[j] = after ? l : colon == SIZE_MAX ? above_last : 0;
        }
        bool heads = colon != SIZE_MAX && colon + 1 == end;
        above = heads ? k : 0;
        above_last = heads ? l : 0;
        i = end;
    }
}

static void add_first(struct rows *r, const struct tokens *t, size_t i, uint64_t key, uint64_t last)
{
    add(r, key2(TAG_LEFT1, hash_at(t, i, -1)));
    add(r, key2(TAG_LEFT2, hash_at(t, i, -2)));
    add(r, key3(TAG_LEFT12, hash_at(t, i, -1), hash_at(t, i, -2)));
    add(r, key2(TAG_FIRST, t->token[i].hash));
    add(r, key2(TAG_FIRST_SHAPE, shape_of(t, i)));
    for (int k = 1; k <= 5 && (size_t)k <= i; k++) {
        if (t->token[i - (size_t)k].class != TOKEN_OTHER) {
            add(r, key2(TAG_LEFT_BAG, hash_at(t, i, -k)));
        }
    }
    if (starts_line(t, i)) {
        add(r, key2(i == 0 ? TAG_TEXT_START : TAG_LINE_START, 0));
    }
    if (key != 0) {
        add(r, key2(TAG_KEY, key));
        add(r, key2(TAG_KEY_LAST, last));
    }
    end_row(r);
}

static void add_last(struct rows *r, const struct tokens *t, size_t i)
{
    add(r, key2(TAG_RIGHT1, hash_at(t, i, 1)));
    add(r, key2(TAG_RIGHT2, hash_at(t, i, 2)));
    add(r, key3(TAG_RIGHT12, hash_at(t, i, 1), hash_at(t, i, 2)));
    add(r, key2(TAG_LAST, t->token[i].hash));
    add(r, key2(TAG_LAST_SHAPE, shape_of(t, i)));
    for (int k = 1; k <= 3 && i + (size_t)k < t->len; k++) {
        if (t->token[i + (size_t)k].class != TOKEN_OTHER) {
            add(r, key2(TAG_RIGHT_BAG, hash_at(t, i, k)));
        }
    }
    if (ends_line(t, i)) {
        add(r, key2(i + 1 == t->len ? TAG_TEXT_END : TAG_LINE_END, 0));
    }
    end_row(r);
}

static void add_inside(struct rows *r, const struct tokens *t, size_t i)
{
    char word[64];
    add(r, key2(TAG_WORD, t->token[i].hash));
    add(r, key2(TAG_SHAPE, shape_of(t, i)));
    if (t->token[i].class == TOKEN_WORD) {
        extract_token_fold(t, i, word, sizeof(word));
        size_t n = strlen(word);
        if (n > 3) {
            add(r, key2(TAG_PREFIX, extract_hash(word, 3, 3)));
            add(r, key2(TAG_SUFFIX, extract_hash(word + n - 3, 3, 3)));
        }
    }
    end_row(r);
}

/* ---- of segments ---- */

static size_t bucket(size_t n)
{
    return n < 5 ? n : n < 8 ? 5 : n < 16 ? 6 : n < 40 ? 7 : n < 120 ? 8 : 9;
}

/* The k-th candidate of its type, from 1; how many there are; whether one contains this one. */
struct rank {
    size_t at, of;
    bool inside;
};

static void rank_all(const struct view *v, struct rank *rank)
{
    size_t seen[EXTRACT_TYPE_COUNT] = {0};
    uint32_t reach[EXTRACT_TYPE_COUNT] = {0}, last[EXTRACT_TYPE_COUNT] = {0};
    for (size_t i = 0; i < v->found.len; i++) {
        const struct candidate *c = &v->found.item[i];
        /* in order of start, longer first: what reaches at least as far contains it */
        bool again = seen[c->type] > 0 && last[c->type] == c->from && reach[c->type] == c->to;
        rank[i].inside = seen[c->type] > 0 && reach[c->type] >= c->to && !again;
        if (!rank[i].inside && !again) {
            seen[c->type]++;
            last[c->type] = c->from;
            reach[c->type] = c->to;
        }
        rank[i].at = seen[c->type];
    }
    for (size_t i = 0; i < v->found.len; i++) {
        rank[i].of = seen[v->found.item[i].type];
    }
}

static void add_type(struct rows *r, const struct view *v, size_t c, const struct rank *rank,
                     const uint64_t *key)
{
    const struct candidate *x = &v->found.item[c];
    uint64_t type = (uint64_t)x->type;
    add(r, key2(TAG_TYPE, type));
    add(r, key3(TAG_TYPE_LEFT, type, hash_at(&v->t, x->from, -1)));
    add(r, key3(TAG_TYPE_RIGHT, type, hash_at(&v->t, x->to - 1, 1)));
    if (key[x->from] != 0) {
        add(r, key3(TAG_TYPE_KEY, type, key[x->from]));
    }
    add(r, key3(TAG_RANK, type, rank->at < 4 ? rank->at : 4));
    if (rank->of == 1) {
        add(r, key2(TAG_ONLY, type));
    } else if (rank->at == rank->of) {
        add(r, key3(TAG_RANK, type, 9)); /* the last one */
    }
    if (rank->inside) {
        add(r, key2(TAG_INSIDE_OTHER, type));
    }
    if (x->reading != EXTRACT_READING_ONLY) {
        add(r, key2(TAG_READING, x->reading));
    }
    if (x->type == EXTRACT_TYPE_NUMBER || x->type == EXTRACT_TYPE_AMOUNT) {
        size_t whole = strcspn(x->normal, ". ");
        add(r, key3(TAG_DIGITS, whole, x->normal[whole] == '.'));
    }
}

static void add_whole(struct view *v, const struct segment *s, const struct rank *rank,
                      const uint64_t *key)
{
    struct rows *r = &v->whole;
    const struct tokens *t = &v->t;
    uint64_t exact = 3, shapes = 5;
    size_t words = 0;
    for (size_t i = s->from; i < s->to; i++) {
        words += t->token[i].class != TOKEN_OTHER;
        exact = extract_mix(exact, t->token[i].hash);
        shapes = extract_mix(shapes, shape_of(t, i));
    }
    bool line = starts_line(t, s->from) && ends_line(t, s->to - 1);
    add(r, key2(TAG_WORDS, words < 6 ? words : 6));
    add(r, key3(TAG_EXACT, exact, s->to - s->from));
    if (s->to - s->from <= 4) {
        add(r, key2(TAG_SHAPES, shapes));
    }
    if (line) {
        add(r, key3(s->to - s->from == t->len ? TAG_WHOLE_TEXT : TAG_WHOLE_LINE,
                    words < 4 ? words : 4, 0));
    }
    add(r, key2(TAG_PLACE, 4 * s->from / t->len));
    add(r, key3(TAG_BETWEEN, hash_at(t, s->from, -1), hash_at(t, s->to - 1, 1)));
    if (s->candidate != UINT32_MAX) {
        add_type(r, v, s->candidate, &rank[s->candidate], key);
        /* Words that are several things at once: all of them speak. */
        for (size_t c = s->candidate + 1; v->kind == EXTRACT_SPAN && c < v->found.len &&
                                          v->found.item[c].from == s->from; c++) {
            if (v->found.item[c].to == s->to) {
                add_type(r, v, c, &rank[c], key);
            }
        }
    }
    end_row(r);
}

static void add_none(struct view *v, const uint64_t *key)
{
    struct rows *r = &v->none;
    size_t counts[EXTRACT_TYPE_COUNT] = {0};
    add(r, key2(TAG_BIAS, 0));
    add(r, key2(TAG_NONE_LENGTH, bucket(v->t.len)));
    for (size_t i = 0; i < v->t.len && i < NONE_WORDS; i++) {
        if (v->t.token[i].class == TOKEN_WORD) {
            add(r, key2(TAG_NONE_WORD, v->t.token[i].hash));
        }
        if (key[i] != 0 && (i == 0 || key[i - 1] != key[i])) {
            add(r, key2(TAG_NONE_KEY, key[i]));
        }
    }
    for (size_t i = 0; i < v->found.len; i++) {
        counts[v->found.item[i].type]++;
    }
    for (size_t k = 0; k < EXTRACT_TYPE_COUNT; k++) {
        add(r, key3(TAG_NONE_HAS, k, counts[k] < 3 ? counts[k] : 3));
    }
    end_row(r);
}

/* ---- which segments there are ---- */

static void add_segment(struct view *v, size_t from, size_t to, uint32_t candidate)
{
    if (v->len == EXTRACT_MAX_SEGMENTS) {
        v->cut = true;
        return;
    }
    if (v->len == v->room) {
        v->room = v->room == 0 ? 128 : 2 * v->room;
        v->segment = mem_realloc(v->segment, v->room * sizeof(*v->segment));
    }
    v->segment[v->len++] = (struct segment){(uint32_t)from, (uint32_t)to, candidate};
}

static bool may_join(const struct tokens *t, size_t i)
{
    const struct token *k = &t->token[i];
    return k->class != TOKEN_OTHER ||
           (k->len == 1 && strchr(".,-'&/_:@+#", t->text[k->at]) != NULL) ||
           (k->len == 3 && memcmp(t->text + k->at, "\xe2\x80\x99", 3) == 0);
}

/* All stretches of up to max_words words inside a line; *next walks the candidates beside them. */
static void add_stretches(struct view *v, size_t from, unsigned max_words, size_t *next)
{
    const struct tokens *t = &v->t;
    size_t first = *next, words = 0, to = from;
    while (*next < v->found.len && v->found.item[*next].from == from) {
        (*next)++;
    }
    if (t->token[from].class != TOKEN_OTHER) {
        for (; to < t->len && to < from + 2 * (size_t)max_words &&
               t->token[to].line == t->token[from].line && may_join(t, to); to++) {
            if (t->token[to].class == TOKEN_OTHER) {
                continue;
            }
            if (++words > max_words) {
                break;
            }
            uint32_t c = UINT32_MAX;
            for (size_t k = first; k < *next && c == UINT32_MAX; k++) {
                c = v->found.item[k].to == to + 1 ? (uint32_t)k : c;
            }
            add_segment(v, from, to + 1, c);
        }
    }
    /* Candidates that are no such stretch: "$5", a link, a long id. */
    for (size_t k = first; k < *next; k++) {
        const struct candidate *c = &v->found.item[k];
        bool again = k > first && v->found.item[k - 1].to == c->to;
        bool stretch = t->token[from].class != TOKEN_OTHER && c->to <= to &&
                       t->token[c->to - 1].class != TOKEN_OTHER;
        if (!again && !stretch) {
            add_segment(v, from, c->to, (uint32_t)k);
        }
    }
}

void extract_view_make(struct view *v, enum extract_kind kind, unsigned max_words,
                       const char *text, size_t n, const struct extract_scene *scene)
{
    memset(v, 0, sizeof(*v));
    v->kind = kind;
    extract_tokens_read(&v->t, text, n);
    extract_candidates(&v->t, scene, &v->found);
    if (kind == EXTRACT_SPAN) {
        size_t next = 0;
        for (size_t i = 0; i < v->t.len; i++) {
            add_stretches(v, i, max_words, &next);
        }
    } else {
        for (size_t i = 0; i < v->found.len; i++) {
            const struct candidate *c = &v->found.item[i];
            /* an id is one value, however many things it may be */
            bool again = kind == EXTRACT_ID && v->len > 0 &&
                         v->segment[v->len - 1].from == c->from &&
                         v->segment[v->len - 1].to == c->to;
            if (extract_suits(kind, c->type) && !again) {
                add_segment(v, c->from, c->to, (uint32_t)i);
            }
        }
    }
    v->cut = v->cut || v->t.cut || v->found.cut;
    AUTO_FREE uint64_t *key = mem_alloc_array(v->t.len + 1, sizeof(*key));
    AUTO_FREE uint64_t *last = mem_alloc_array(v->t.len + 1, sizeof(*last));
    AUTO_FREE struct rank *rank = mem_alloc_array(v->found.len + 1, sizeof(*rank));
    read_keys(&v->t, key, last);
    rank_all(v, rank);
    for (size_t i = 0; i < v->t.len && v->len > 0; i++) {
        add_first(&v->first, &v->t, i, key[i], last[i]);
        add_last(&v->last, &v->t, i);
        add_inside(&v->inside, &v->t, i);
    }
    for (size_t i = 0; i < v->len; i++) {
        add_whole(v, &v->segment[i], rank, key);
    }
    add_none(v, key);
}

void extract_view_done(struct view *v)
{
    extract_tokens_done(&v->t);
    mem_free(v->found.item);
    mem_free(v->segment);
    extract_rows_done(&v->first);
    extract_rows_done(&v->last);
    extract_rows_done(&v->inside);
    extract_rows_done(&v->whole);
    extract_rows_done(&v->none);
}

void extract_view_value(const struct view *v, size_t i, struct buf *out)
{
    const struct segment *s = &v->segment[i];
    struct candidate words = {.from = s->from, .to = s->to, .type = EXTRACT_TYPE_WORDS};
    extract_value_of(v->kind, &v->t,
                     s->candidate == UINT32_MAX ? &words : &v->found.item[s->candidate], out);
}
