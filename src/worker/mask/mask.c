/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/mask: see mask.h. The vocabulary is two tries laid out in preorder: tokens of plain text
 * (whole characters that a JSON string holds as they are) and all others. A node says its byte,
 * its depth, its first token and where its subtree ends, so that a walk is one loop with a stack
 * of states. Masks of a walk's states are kept; a schema keeps one idle walk with all it learnt.
 * Owns: as mask.h. Threads: one. Limits: SETS_MAX kept masks a walk.
 */
#include "worker/mask/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem/mem.h"
#include "base/text/text.h"
#include "run/schema/schema.h"

#define PLAIN_CHARS_MAX ((size_t)SCHEMA_ROOM_MAX)
#define WALK_BYTES_MAX (64u << 20) /* while a mask is made */
#define SETS_MAX 64u

struct trie {
    uint8_t *byte;
    uint8_t *depth;
    int *token; /* -1: none ends here */
    int *skip;  /* index after the subtree */
    int n;
};

struct kept_set {
    uint32_t state; /* 0: empty */
    struct mask_set set;
    int *list;
};

struct kept {
    char *text;
    struct schema *schema;
    struct schema_walk *idle;
    struct kept_set *idle_sets;
    int users;
    uint64_t used_at;
    size_t bytes;
};

struct masks {
    int n_vocab;
    uint32_t *start; /* n_vocab + 1 offsets of the tokens' bytes */
    char *bytes;
    int *same; /* next token with the same bytes, -1 */
    struct trie plain;
    struct trie other;
    uint64_t *plain_bits[SCHEMA_ROOM_MAX + 1]; /* tokens of at most so many characters */
    struct kept *kept[MASK_SCHEMAS_MAX];
    int n_kept;
    uint64_t clock;
};

struct mask {
    struct masks *masks;
    struct kept *kept;
    struct schema_walk *walk;
    struct kept_set *sets; /* SETS_MAX, by state */
    uint32_t state;
};

/* The vocabulary. */


static _Thread_local const struct masks *sorted_masks;

static int by_bytes(const void *left, const void *right)
{
    const struct masks *m = sorted_masks;
    int a = *(const int *)left;
    int b = *(const int *)right;
    uint32_t na = m->start[a + 1] - m->start[a];
    uint32_t nb = m->start[b + 1] - m->start[b];
    int order = memcmp(m->bytes + m->start[a], m->bytes + m->start[b], na < nb ? na : nb);
    return order != 0 ? order : na != nb ? (na < nb ? -1 : 1) : a - b;
}

static bool is_plain(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)text[i] < 0x20 || text[i] == '"' || text[i] == '\\') {
            return false;
        }
    }
    return text_utf8_is_valid(text, n) && text_utf8_count(text, n) <= PLAIN_CHARS_MAX;
}

static int trie_put(struct trie *t, int *room, uint8_t byte, uint8_t depth)
{
    if (t->n == *room) {
        *room = *room * 2 + 1024;
        t->byte = mem_realloc(t->byte, (size_t)*room);
        t->depth = mem_realloc(t->depth, (size_t)*room);
        t->token = mem_realloc(t->token, (size_t)*room * sizeof *t->token);
        t->skip = mem_realloc(t->skip, (size_t)*room * sizeof *t->skip);
    }
    t->byte[t->n] = byte;
    t->depth[t->n] = depth;
    t->token[t->n] = -1;
    t->skip[t->n] = t->n + 1;
    return t->n++;
}

/* From tokens in the order of their bytes. */
static void trie_build(struct masks *m, struct trie *t, const int *order, int n)
{
    int path[MASK_TOKEN_BYTES_MAX + 1];
    int depth = 0;
    int room = 0;
    for (int i = 0; i < n; i++) {
        const char *text = m->bytes + m->start[order[i]];
        int len = (int)(m->start[order[i] + 1] - m->start[order[i]]);
        int common = 0;
        while (common < depth && common < len && t->byte[path[common]] == (uint8_t)text[common]) {
            common++;
        }
        for (; depth > common; depth--) {
            t->skip[path[depth - 1]] = t->n;
        }
        for (; depth < len; depth++) {
            path[depth] = trie_put(t, &room, (uint8_t)text[depth], (uint8_t)depth);
        }
        int *slot = &t->token[path[len - 1]];
        while (*slot >= 0) {
            slot = &m->same[*slot];
        }
        *slot = order[i];
    }
    for (; depth > 0; depth--) {
        t->skip[path[depth - 1]] = t->n;
    }
}

static void trie_done(struct trie *t)
{
    mem_free(t->byte);
    mem_free(t->depth);
    mem_free(t->token);
    mem_free(t->skip);
}

static void read_pieces(struct masks *m, mask_piece_fn piece, void *self)
{
    char text[MASK_TOKEN_BYTES_MAX + 1];
    size_t room = 0;
    for (int i = 0; i < m->n_vocab; i++) {
        int n = piece(self, i, text, MASK_TOKEN_BYTES_MAX);
        n = n < 0 || n > MASK_TOKEN_BYTES_MAX ? 0 : n;
        if (m->start[i] + (uint32_t)n > room) {
            room = room * 2 + 65536;
            m->bytes = mem_realloc(m->bytes, room);
        }
        if (n > 0) {
            memcpy(m->bytes + m->start[i], text, (size_t)n);
        }
        m->start[i + 1] = m->start[i] + (uint32_t)n;
        m->same[i] = -1;
    }
}

struct masks *masks_new(int n_vocab, mask_piece_fn piece, void *self)
{
    struct masks *m = mem_alloc(sizeof *m);
    size_t n = (size_t)n_vocab;
    m->n_vocab = n_vocab;
    m->start = mem_alloc_array(n + 1, sizeof *m->start);
    m->same = mem_alloc_array(n + 1, sizeof *m->same);
    for (size_t i = 0; i <= PLAIN_CHARS_MAX; i++) {
        m->plain_bits[i] = mem_alloc_array(n / 64 + 1, sizeof *m->plain_bits[i]);
    }
    read_pieces(m, piece, self);
    int *order = mem_alloc_array(n + 1, sizeof *order);
    int n_plain = 0;
    int n_other = 0;
    int *other = mem_alloc_array(n + 1, sizeof *other);
    for (int i = 0; i < n_vocab; i++) {
        uint32_t len = m->start[i + 1] - m->start[i];
        if (len > 0 && is_plain(m->bytes + m->start[i], len)) {
            order[n_plain++] = i;
            for (size_t k = text_utf8_count(m->bytes + m->start[i], len); k <= PLAIN_CHARS_MAX;
                 k++) {
                m->plain_bits[k][i / 64] |= 1ull << (i % 64);
            }
        } else if (len > 0) {
            other[n_other++] = i;
        }
    }
    sorted_masks = m;
    qsort(order, (size_t)n_plain, sizeof *order, by_bytes);
    qsort(other, (size_t)n_other, sizeof *other, by_bytes);
    trie_build(m, &m->plain, order, n_plain);
    trie_build(m, &m->other, other, n_other);
    mem_free(order);
    mem_free(other);
    return m;
}

/* Compiled schemas. */

static void sets_free(struct kept_set *sets)
{
    for (size_t i = 0; sets != NULL && i < SETS_MAX; i++) {
        mem_free(sets[i].list);
    }
    mem_free(sets);
}

static void kept_free(struct kept *k)
{
    schema_walk_free(k->idle);
    sets_free(k->idle_sets);
    schema_free(k->schema);
    mem_free(k->text);
    mem_free(k);
}

void masks_free(struct masks *m)
{
    if (m == NULL) {
        return;
    }
    for (int i = 0; i < m->n_kept; i++) {
        ASSERT(m->kept[i]->users == 0);
        kept_free(m->kept[i]);
    }
    trie_done(&m->plain);
    trie_done(&m->other);
    mem_free(m->start);
    mem_free(m->bytes);
    mem_free(m->same);
    for (size_t i = 0; i <= PLAIN_CHARS_MAX; i++) {
        mem_free(m->plain_bits[i]);
    }
    mem_free(m);
}

size_t masks_bytes(const struct masks *m)
{
    size_t sum = 0;
    for (int i = 0; i < m->n_kept; i++) {
        sum += m->kept[i]->bytes;
    }
    return sum;
}

int masks_count(const struct masks *m)
{
    return m->n_kept;
}

static size_t sets_bytes(const struct kept_set *sets)
{
    size_t sum = 0;
    for (size_t i = 0; sets != NULL && i < SETS_MAX; i++) {
        sum += sizeof *sets + (size_t)sets[i].set.n * sizeof(int);
    }
    return sum;
}

static void kept_count(struct kept *k)
{
    k->bytes = strlen(k->text) + schema_size(k->schema) + sets_bytes(k->idle_sets) +
               (k->idle == NULL ? 0 : schema_walk_size(k->idle));
}

/* Lets go of unused ones until there is room for one more. */
static void make_room(struct masks *m)
{
    while (m->n_kept == MASK_SCHEMAS_MAX || masks_bytes(m) > MASK_BYTES_MAX) {
        int oldest = -1;
        for (int i = 0; i < m->n_kept; i++) {
            if (m->kept[i]->users == 0 &&
                (oldest < 0 || m->kept[i]->used_at < m->kept[oldest]->used_at)) {
                oldest = i;
            }
        }
        if (oldest < 0) {
            return;
        }
        kept_free(m->kept[oldest]);
        m->kept[oldest] = m->kept[--m->n_kept];
    }
}

static enum fail keep(struct masks *m, const char *text, struct kept **out, struct fault *why)
{
    for (int i = 0; i < m->n_kept; i++) {
        if (strcmp(m->kept[i]->text, text) == 0) {
            *out = m->kept[i];
            return FAIL_NONE;
        }
    }
    struct schema *schema = NULL;
    enum fail failed = schema_compile_text(text, strlen(text), &schema, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    make_room(m);
    if (m->n_kept == MASK_SCHEMAS_MAX) {
        schema_free(schema);
        return FAULT(why, FAIL_QUEUE_FULL, "%d JSON schemas are in use at once", m->n_kept);
    }
    struct kept *k = mem_alloc(sizeof *k);
    k->text = mem_dup_str(text);
    k->schema = schema;
    kept_count(k);
    m->kept[m->n_kept++] = k;
    *out = k;
    return FAIL_NONE;
}

/* Masks. */

enum fail mask_open(struct masks *m, const char *schema, struct mask **out, struct fault *why)
{
    struct kept *k = NULL;
    enum fail failed = keep(m, schema, &k, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    struct mask *mask = mem_alloc(sizeof *mask);
    mask->masks = m;
    mask->kept = k;
    k->users++;
    k->used_at = ++m->clock;
    mask->walk = k->idle != NULL ? STEAL(k->idle) : schema_walk_new(k->schema, NULL);
    mask->sets = k->idle_sets != NULL ? STEAL(k->idle_sets)
                                      : mem_alloc_array(SETS_MAX, sizeof *mask->sets);
    mask->state = schema_walk_start(mask->walk);
    *out = mask;
    return FAIL_NONE;
}

void mask_close(struct mask *mask)
{
    if (mask == NULL) {
        return;
    }
    struct kept *k = mask->kept;
    k->users--;
    if (k->idle == NULL && schema_walk_size(mask->walk) <= SCHEMA_WALK_BYTES_MAX / 4) {
        k->idle = STEAL(mask->walk);
        k->idle_sets = STEAL(mask->sets);
    }
    kept_count(k);
    schema_walk_free(mask->walk);
    sets_free(mask->sets);
    mem_free(mask);
}

static uint32_t step_bytes(struct schema_walk *walk, uint32_t state, const char *text, uint32_t n)
{
    for (uint32_t i = 0; i < n && state != 0; i++) {
        state = schema_walk_step(walk, state, (uint8_t)text[i]);
    }
    return state;
}

static uint32_t step_token(struct mask *mask, int token)
{
    const struct masks *m = mask->masks;
    if (token < 0 || token >= m->n_vocab || m->start[token] == m->start[token + 1]) {
        return 0;
    }
    return step_bytes(mask->walk, mask->state, m->bytes + m->start[token],
                      m->start[token + 1] - m->start[token]);
}

bool mask_allows(struct mask *mask, int token)
{
    return step_token(mask, token) != 0;
}

void mask_accept(struct mask *mask, int token)
{
    mask->state = step_token(mask, token);
    ASSERT(mask->state != 0);
    if (schema_walk_size(mask->walk) > SCHEMA_WALK_BYTES_MAX) {
        mask->state = schema_walk_compact(mask->walk, mask->state);
        sets_free(mask->sets);
        mask->sets = mem_alloc_array(SETS_MAX, sizeof *mask->sets);
    }
}

bool mask_complete(struct mask *mask)
{
    return schema_walk_complete(mask->walk, mask->state);
}

bool mask_over(struct mask *mask)
{
    return schema_walk_over(mask->walk, mask->state);
}

size_t mask_forced(struct mask *mask, char *out)
{
    uint32_t state = mask->state;
    size_t n = 0;
    while (n < MASK_FORCED_MAX) {
        int byte = schema_walk_forced(mask->walk, state);
        if (byte < 0) {
            break;
        }
        out[n++] = (char)byte;
        state = schema_walk_step(mask->walk, state, (uint8_t)byte);
    }
    return n;
}

struct collect {
    int *list;
    int n;
    int room;
};

static void walk_trie(struct mask *mask, const struct trie *t, struct collect *out)
{
    uint32_t states[MASK_TOKEN_BYTES_MAX + 1];
    states[0] = mask->state;
    /* Past the limit what is left is taken as not allowed: narrower, never wrong. */
    for (int i = 0; i < t->n && schema_walk_size(mask->walk) < WALK_BYTES_MAX;) {
        unsigned depth = t->depth[i];
        uint32_t next = schema_walk_step(mask->walk, states[depth], t->byte[i]);
        if (next == 0) {
            i = t->skip[i];
            continue;
        }
        states[depth + 1] = next;
        for (int token = t->token[i]; token >= 0; token = mask->masks->same[token]) {
            if (out->n == out->room) {
                out->room = out->room * 2 + 64;
                out->list = mem_realloc(out->list, (size_t)out->room * sizeof *out->list);
            }
            out->list[out->n++] = token;
        }
        i++;
    }
}

const struct mask_set *mask_tokens(struct mask *mask)
{
    const struct masks *m = mask->masks;
    struct kept_set *k = &mask->sets[mask->state % SETS_MAX];
    if (k->state == mask->state) {
        return &k->set;
    }
    mem_free(k->list);
    *k = (struct kept_set){.state = mask->state};
    struct collect found = {0};
    int room = schema_walk_room(mask->walk, mask->state);
    walk_trie(mask, &m->other, &found);
    if (room < 0) {
        walk_trie(mask, &m->plain, &found);
    }
    k->list = found.list;
    k->set = (struct mask_set){
        .bits = room < 0 ? NULL : m->plain_bits[room], .list = found.list, .n = found.n};
    return &k->set;
}
