/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs out of the stored log: inclusion, consistency and the edges of a range, RFC 6962 2.1.1 and
 * 2.1.2, with the blocks of leaf_block for what is far away. Checked as RFC 9162 2.1.4.2 says.
 * Texts: C2SP tlog-proof, and the body that C2SP tlog-witness takes.
 */
#include <stdio.h>
#include <string.h>

#include "trust/audit/audit_internal.h"

#define BLOCK_LEVEL 8
#define BLOCK_LEAVES (1 << BLOCK_LEVEL)
#define LEVELS 56

struct audit_tree {
    struct store_conn *conn;
    int64_t size;
    int64_t nodes[LEVELS];           /* full subtrees of 2^(8 + level) leaves */
    uint8_t (*level[LEVELS])[AUDIT_HASH_SIZE];
    int levels;
};

/* ---- the tree ---- */

static enum fail fault_gap(struct fault *why)
{
    FAULT(why, FAIL_INTERNAL, "leaves are missing from the record or damaged");
    return fail_hint(why, "Run `inhouse audit verify`: it names the position.");
}

/* Pushes the hashes of leaves [lo, hi) onto a range. */
static enum fail push_leaves(struct store_conn *conn, int64_t lo, int64_t hi,
                             struct audit_range *r, struct fault *why)
{
    uint64_t before = r->size;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT hash FROM leaf WHERE seq >= ?1 AND seq < ?2 ORDER BY seq");
    store_bind_int(s, 1, lo);
    store_bind_int(s, 2, hi);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        size_t n;
        const void *hash = store_col_blob(s, 0, &n);
        if (n != AUDIT_HASH_SIZE) {
            return fault_gap(why);
        }
        audit_range_push(r, hash);
    }
    if (f == FAIL_NONE && r->size - before != (uint64_t)(hi - lo)) {
        f = fault_gap(why);
    }
    return f;
}

static enum fail block_hash(struct store_conn *conn, int64_t block, uint8_t *out,
                            struct fault *why)
{
    struct audit_range r = {0};
    enum fail f =
        push_leaves(conn, block * BLOCK_LEAVES, (block + 1) * BLOCK_LEAVES, &r, why);
    audit_range_root(&r, out);
    return f;
}

/* The blocks as stored, and from the leaves those that are not made yet. */
static enum fail read_blocks(struct audit_tree *t, struct fault *why)
{
    int64_t next = 0;
    AUTO_STMT struct store_stmt *s = store_query(
        t->conn, "SELECT block, hash FROM leaf_block WHERE block < ?1 ORDER BY block");
    store_bind_int(s, 1, t->nodes[0]);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        size_t n;
        const void *hash = store_col_blob(s, 1, &n);
        if (n != AUDIT_HASH_SIZE || store_col_int(s, 0) != next) {
            break; /* whatever was done to the table: the leaves tell */
        }
        memcpy(t->level[0][next++], hash, AUDIT_HASH_SIZE);
    }
    while (f == FAIL_NONE && next < t->nodes[0]) {
        f = block_hash(t->conn, next, t->level[0][next], why);
        next++;
    }
    return f;
}

enum fail audit_tree_open(struct store_conn *conn, int64_t size, struct audit_tree **out,
                          struct fault *why)
{
    struct audit_tree *t = mem_alloc(sizeof(*t));
    t->conn = conn;
    t->size = size;
    for (int64_t n = size >> BLOCK_LEVEL; n > 0 && t->levels < LEVELS; n >>= 1) {
        t->nodes[t->levels] = n;
        t->level[t->levels++] = mem_alloc_array((size_t)n, AUDIT_HASH_SIZE);
    }
    enum fail f = t->levels > 0 ? read_blocks(t, why) : FAIL_NONE;
    for (int l = 1; l < t->levels && f == FAIL_NONE; l++) {
        for (int64_t i = 0; i < t->nodes[l]; i++) {
            audit_node_hash(t->level[l - 1][2 * i], t->level[l - 1][2 * i + 1], t->level[l][i]);
        }
    }
    if (f != FAIL_NONE) {
        audit_tree_free(t);
        return f;
    }
    *out = t;
    return FAIL_NONE;
}

void audit_tree_free(struct audit_tree *t)
{
    for (int l = 0; t != NULL && l < t->levels; l++) {
        mem_free(t->level[l]);
    }
    mem_free(t);
}

/* Height of the largest full subtree that starts at pos and ends by end. */
static int height_at(int64_t pos, int64_t end)
{
    int h = 0;
    while (((pos >> h) & 1) == 0 && pos + ((int64_t)2 << h) <= end) {
        h++;
    }
    return h;
}

static enum fail node(struct audit_tree *t, int h, int64_t pos, uint8_t *out, struct fault *why)
{
    if (h >= BLOCK_LEVEL) {
        memcpy(out, t->level[h - BLOCK_LEVEL][pos >> h], AUDIT_HASH_SIZE);
        return FAIL_NONE;
    }
    struct audit_range r = {0};
    enum fail f = push_leaves(t->conn, pos, pos + ((int64_t)1 << h), &r, why);
    audit_range_root(&r, out);
    return f;
}

/* The full subtrees that [lo, hi) falls into, left to right; at most 2 * 63. */
static enum fail cover(struct audit_tree *t, int64_t lo, int64_t hi, struct audit_edge *e,
                       struct fault *why)
{
    enum fail f = FAIL_NONE;
    e->len = 0;
    while (lo < hi && f == FAIL_NONE) {
        int h = height_at(lo, hi);
        ASSERT(e->len < AUDIT_EDGE_MAX);
        f = node(t, h, lo, e->hashes[e->len++], why);
        lo += (int64_t)1 << h;
    }
    return f;
}

/* MTH(D[lo:hi]) of a subtree as the recursion of RFC 6962 meets it. */
static enum fail subtree(struct audit_tree *t, int64_t lo, int64_t hi, uint8_t *root,
                         struct fault *why)
{
    struct audit_edge e;
    enum fail f = cover(t, lo, hi, &e, why);
    if (f != FAIL_NONE) {
        return f;
    }
    ASSERT(e.len > 0);
    memcpy(root, e.hashes[e.len - 1], AUDIT_HASH_SIZE);
    for (int i = e.len - 2; i >= 0; i--) {
        audit_node_hash(e.hashes[i], root, root);
    }
    return FAIL_NONE;
}

static int64_t split(int64_t n)
{
    int64_t k = 1;
    while (k * 2 < n) {
        k *= 2;
    }
    return k;
}

enum fail audit_tree_root(struct audit_tree *t, int64_t size, uint8_t root[AUDIT_HASH_SIZE],
                          struct fault *why)
{
    ASSERT(size >= 0 && size <= t->size);
    if (size == 0) {
        struct audit_range empty = {0};
        audit_range_root(&empty, root);
        return FAIL_NONE;
    }
    return subtree(t, 0, size, root, why);
}

enum fail audit_tree_edges(struct audit_tree *t, int64_t lo, int64_t hi, struct audit_edge *out,
                           struct fault *why)
{
    ASSERT(lo >= 0 && lo <= hi && hi <= t->size);
    return cover(t, lo, hi, out, why);
}

enum fail audit_tree_inclusion(struct audit_tree *t, int64_t seq, struct audit_proof *out,
                               struct fault *why)
{
    memset(out, 0, sizeof(*out));
    out->seq = seq;
    out->size = t->size;
    if (seq < 0 || seq >= t->size) {
        FAULT(why, FAIL_NOT_FOUND, "the record has no leaf %lld", (long long)seq);
        return fail_hint(why, "It has %lld; the first is 0.", (long long)t->size);
    }
    int64_t lo = 0;
    int64_t hi = t->size;
    uint8_t down[63][AUDIT_HASH_SIZE];
    int len = 0;
    enum fail f = FAIL_NONE;
    while (hi - lo > 1 && f == FAIL_NONE) {
        int64_t k = split(hi - lo);
        ASSERT(len < 63);
        if (seq < lo + k) {
            f = subtree(t, lo + k, hi, down[len++], why);
            hi = lo + k;
        } else {
            f = subtree(t, lo, lo + k, down[len++], why);
            lo += k;
        }
    }
    f = f != FAIL_NONE ? f : node(t, 0, seq, out->leaf, why);
    f = f != FAIL_NONE ? f : audit_tree_root(t, t->size, out->root, why);
    out->hashes_len = len;
    for (int i = 0; i < len; i++) {
        memcpy(out->hashes[i], down[len - 1 - i], AUDIT_HASH_SIZE);
    }
    return f;
}

/* SUBPROOF(m, D[lo:hi], b), the last hash first: turned around by the caller. */
enum fail audit_tree_consistency(struct audit_tree *t, int64_t old, struct audit_consistency *out,
                                 struct fault *why)
{
    memset(out, 0, sizeof(*out));
    out->old_size = old;
    out->new_size = t->size;
    ASSERT(old >= 0 && old <= t->size);
    int64_t lo = 0;
    int64_t hi = t->size;
    int64_t m = old;
    bool whole = true; /* the old tree's own root is known to who asks */
    uint8_t down[64][AUDIT_HASH_SIZE];
    int len = 0;
    enum fail f = FAIL_NONE;
    while (old > 0 && f == FAIL_NONE && m < hi - lo) {
        int64_t k = split(hi - lo);
        ASSERT(len < 63);
        if (m <= k) {
            f = subtree(t, lo + k, hi, down[len++], why);
            hi = lo + k;
        } else {
            f = subtree(t, lo, lo + k, down[len++], why);
            lo += k;
            m -= k;
            whole = false;
        }
    }
    if (old > 0 && f == FAIL_NONE && !whole) {
        f = subtree(t, lo, hi, down[len++], why);
    }
    for (int i = 0; i < len; i++) {
        memcpy(out->hashes[i], down[len - 1 - i], AUDIT_HASH_SIZE);
    }
    out->hashes_len = len;
    return f;
}

bool audit_consistency_check(const struct audit_consistency *p, const uint8_t *old_root,
                             const uint8_t *new_root)
{
    if (p->old_size < 0 || p->old_size > p->new_size || p->hashes_len < 0 ||
        p->hashes_len > AUDIT_PROOF_MAX) {
        return false;
    }
    if (p->old_size == 0 || p->old_size == p->new_size) {
        struct audit_range empty = {0};
        uint8_t none[AUDIT_HASH_SIZE];
        audit_range_root(&empty, none);
        const uint8_t *expect = p->old_size == 0 ? none : new_root;
        return p->hashes_len == 0 && memcmp(old_root, expect, AUDIT_HASH_SIZE) == 0;
    }
    uint64_t fn = (uint64_t)p->old_size - 1;
    uint64_t sn = (uint64_t)p->new_size - 1;
    bool power = (p->old_size & (p->old_size - 1)) == 0;
    int at = 0;
    if (p->hashes_len == 0) {
        return false;
    }
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    uint8_t fr[AUDIT_HASH_SIZE], sr[AUDIT_HASH_SIZE];
    memcpy(fr, power ? old_root : p->hashes[at++], AUDIT_HASH_SIZE);
    memcpy(sr, fr, AUDIT_HASH_SIZE);
    for (; at < p->hashes_len; at++) {
        const uint8_t *c = p->hashes[at];
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            audit_node_hash(c, fr, fr);
            audit_node_hash(c, sr, sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            audit_node_hash(sr, c, sr);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(fr, old_root, sizeof(fr)) == 0 &&
           memcmp(sr, new_root, sizeof(sr)) == 0;
}

/* ---- the texts ---- */

static void put_hashes(struct buf *out, uint8_t (*hashes)[AUDIT_HASH_SIZE], int len)
{
    char b64[48];
    for (int i = 0; i < len; i++) {
        text_base64(hashes[i], AUDIT_HASH_SIZE, b64);
        buf_printf(out, "%s\n", b64);
    }
}

/* The newest checkpoint and the tree below it, of one moment. */
static enum fail newest(struct store_conn *conn, struct buf *note, struct audit_note *read,
                        struct audit_tree **tree, struct fault *why)
{
    struct audit_verifier nobody = {0};
    enum fail f = audit_checkpoint_get(conn, note, why);
    if (f == FAIL_NONE && !audit_note_read(note->data, note->len, &nobody, read)) {
        FAULT(why, FAIL_INTERNAL, "the newest checkpoint is malformed");
        f = fail_hint(why, "Run `inhouse audit verify`.");
    }
    return f != FAIL_NONE ? f : audit_tree_open(conn, read->size, tree, why);
}

static enum fail inclusion_text(struct store_conn *conn, int64_t seq, struct audit_tree *tree,
                                const struct audit_note *note, struct buf *out,
                                struct audit_proof *p, struct fault *why)
{
    struct buf body;
    buf_init(&body, AUDIT_LEAF_MAX + 1);
    enum fail f = audit_tree_inclusion(tree, seq, p, why);
    f = f != FAIL_NONE ? f : audit_leaf_get(conn, seq, &body, why);
    if (f == FAIL_NONE) {
        uint8_t leaf[AUDIT_HASH_SIZE];
        audit_leaf_hash(body.data, body.len, leaf);
        memcpy(p->root, note->root, AUDIT_HASH_SIZE);
        if (memcmp(leaf, p->leaf, sizeof(leaf)) != 0 || !audit_proof_check(p)) {
            FAULT(why, FAIL_INTERNAL, "record %lld does not lead to the signed root",
                  (long long)seq);
            f = fail_hint(why, "Run `inhouse audit verify`: it names what was changed.");
        }
    }
    if (f == FAIL_NONE) {
        AUTO_FREE char *b64 = mem_alloc(4 * ((body.len + 2) / 3) + 1);
        text_base64(body.data, body.len, b64);
        buf_printf(out, "c2sp.org/tlog-proof@v1\nextra %s\nindex %lld\n", b64, (long long)seq);
        put_hashes(out, p->hashes, p->hashes_len);
        buf_add_char(out, '\n');
    }
    buf_done(&body);
    return f;
}

enum fail audit_prove(struct store_conn *conn, int64_t seq, struct audit_proof *p, struct buf *out,
                      struct fault *why)
{
    struct audit_tree *tree = NULL;
    struct audit_note note;
    struct buf text;
    memset(p, 0, sizeof(*p));
    buf_init(&text, AUDIT_NOTE_MAX + 1);
    enum fail f = store_read_begin(conn, why);
    if (f == FAIL_NONE) {
        f = newest(conn, &text, &note, &tree, why);
        f = f != FAIL_NONE ? f : inclusion_text(conn, seq, tree, &note, out, p, why);
        store_read_end(conn);
    }
    if (f == FAIL_NONE) {
        buf_add(out, text.data, text.len);
    }
    audit_tree_free(tree);
    buf_done(&text);
    return f;
}

static enum fail consistency_text(struct audit_tree *tree, int64_t old, const uint8_t *old_root,
                                  const struct audit_note *note, struct buf *out,
                                  struct audit_consistency *p, struct fault *why)
{
    if (old > note->size) {
        FAULT(why, FAIL_CONFLICT, "the record has %lld leaves; that checkpoint covers %lld",
              (long long)note->size, (long long)old);
        return fail_hint(why, "Its newest leaves were cut off, or it is another log's.");
    }
    enum fail f = audit_tree_consistency(tree, old, p, why);
    uint8_t root[AUDIT_HASH_SIZE];
    f = f != FAIL_NONE ? f : audit_tree_root(tree, old, root, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if ((old_root != NULL && memcmp(root, old_root, sizeof(root)) != 0) ||
        !audit_consistency_check(p, root, note->root)) {
        FAULT(why, FAIL_CONFLICT, "the first %lld leaves are not those of that checkpoint",
              (long long)old);
        return fail_hint(why, "The record was rewritten, or it is another log's.");
    }
    buf_printf(out, "old %lld\n", (long long)old);
    put_hashes(out, p->hashes, p->hashes_len);
    buf_add_char(out, '\n');
    return FAIL_NONE;
}

enum fail audit_prove_extension(struct store_conn *conn, int64_t old,
                                const uint8_t *old_root, struct audit_consistency *p,
                                struct buf *out, struct fault *why)
{
    struct audit_tree *tree = NULL;
    struct audit_note note;
    struct buf text;
    memset(p, 0, sizeof(*p));
    buf_init(&text, AUDIT_NOTE_MAX + 1);
    enum fail f = store_read_begin(conn, why);
    if (f == FAIL_NONE) {
        f = newest(conn, &text, &note, &tree, why);
        f = f != FAIL_NONE ? f : consistency_text(tree, old, old_root, &note, out, p, why);
        store_read_end(conn);
    }
    if (f == FAIL_NONE) {
        buf_add(out, text.data, text.len);
    }
    audit_tree_free(tree);
    buf_done(&text);
    return f;
}
