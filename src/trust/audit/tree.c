/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of RFC 6962 as a compact range; proofs as RFC 9162 checks them. */
#include <string.h>

#include "trust/audit/audit_internal.h"

void audit_leaf_hash(const void *body, size_t n, uint8_t out[AUDIT_HASH_SIZE])
{
    static const uint8_t zero = 0;
    crypto_hash_sha256_state st;
    crypto_hash_sha256_init(&st);
    crypto_hash_sha256_update(&st, &zero, 1);
    crypto_hash_sha256_update(&st, body, n);
    crypto_hash_sha256_final(&st, out);
}

void audit_node_hash(const uint8_t *left, const uint8_t *right, uint8_t *out)
{
    uint8_t both[1 + 2 * AUDIT_HASH_SIZE];
    both[0] = 1;
    memcpy(both + 1, left, AUDIT_HASH_SIZE);
    memcpy(both + 1 + AUDIT_HASH_SIZE, right, AUDIT_HASH_SIZE);
    crypto_hash_sha256(out, both, sizeof(both));
}

void audit_range_push(struct audit_range *r, const uint8_t *leaf_hash)
{
    uint8_t h[AUDIT_HASH_SIZE];
    memcpy(h, leaf_hash, sizeof(h));
    /* Each trailing one bit of the size is a full subtree of the same height as what is pushed. */
    for (uint64_t s = r->size; (s & 1) != 0; s >>= 1) {
        audit_node_hash(r->hash[--r->len], h, h);
    }
    ASSERT(r->len < 64);
    memcpy(r->hash[r->len++], h, sizeof(h));
    r->size++;
}

void audit_range_root(const struct audit_range *r, uint8_t *root)
{
    if (r->len == 0) {
        crypto_hash_sha256(root, (const uint8_t *)"", 0);
        return;
    }
    memcpy(root, r->hash[r->len - 1], AUDIT_HASH_SIZE);
    for (int i = r->len - 2; i >= 0; i--) {
        audit_node_hash(r->hash[i], root, root);
    }
}

void audit_range_copy(struct audit_range *to, const struct audit_range *from)
{
    to->size = from->size;
    to->len = from->len;
    memcpy(to->hash, from->hash, (size_t)from->len * AUDIT_HASH_SIZE);
}

bool audit_proof_check(const struct audit_proof *p)
{
    if (p->seq < 0 || p->size <= 0 || p->seq >= p->size || p->hashes_len < 0 ||
        p->hashes_len > 63) {
        return false;
    }
    uint64_t fn = (uint64_t)p->seq;
    uint64_t sn = (uint64_t)p->size - 1;
    uint8_t r[AUDIT_HASH_SIZE];
    memcpy(r, p->leaf, sizeof(r));
    for (int i = 0; i < p->hashes_len; i++) {
        if (sn == 0) {
            return false;
        }
        if ((fn & 1) != 0 || fn == sn) {
            audit_node_hash(p->hashes[i], r, r);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            audit_node_hash(r, p->hashes[i], r);
        }
        fn >>= 1;
        sn >>= 1;
    }
    return sn == 0 && memcmp(r, p->root, sizeof(r)) == 0;
}

/* The root over leaves [lo, hi) from their stored hashes. */
static enum fail subtree(struct store_conn *conn, int64_t lo, int64_t hi, uint8_t *root,
                         struct fault *why)
{
    struct audit_range r = {0};
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
            return FAULT(why, FAIL_INTERNAL, "a leaf's hash is damaged");
        }
        audit_range_push(&r, hash);
    }
    if (f == FAIL_NONE && r.size != (uint64_t)(hi - lo)) {
        FAULT(why, FAIL_INTERNAL, "leaves are missing from the record");
        f = fail_hint(why, "Run `inhouse audit verify`.");
    }
    audit_range_root(&r, root);
    return f;
}

enum fail audit_prove(struct store_conn *conn, int64_t seq, struct audit_proof *out,
                      struct fault *why)
{
    memset(out, 0, sizeof(*out));
    out->seq = seq;
    {
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1");
        bool row;
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE) {
            return f;
        }
        size_t n = 0;
        const void *root = row ? store_col_blob(s, 1, &n) : NULL;
        out->size = row ? store_col_int(s, 0) : 0;
        if (seq < 0 || seq >= out->size || n != sizeof(out->root)) {
            FAULT(why, FAIL_NOT_FOUND, "the record has no leaf %lld", (long long)seq);
            return fail_hint(why, "It has %lld; the first is 0.", (long long)out->size);
        }
        memcpy(out->root, root, sizeof(out->root));
    }
    /* PATH(m, D[n]) of RFC 6962 from the root down, then turned around: one scan per sibling. */
    int64_t lo = 0;
    int64_t hi = out->size;
    uint8_t down[63][AUDIT_HASH_SIZE];
    int len = 0;
    enum fail f = FAIL_NONE;
    while (hi - lo > 1 && f == FAIL_NONE) {
        int64_t k = 1;
        while (k * 2 < hi - lo) {
            k *= 2;
        }
        ASSERT(len < 63);
        if (seq < lo + k) {
            f = subtree(conn, lo + k, hi, down[len++], why);
            hi = lo + k;
        } else {
            f = subtree(conn, lo, lo + k, down[len++], why);
            lo += k;
        }
    }
    if (f == FAIL_NONE) {
        f = subtree(conn, seq, seq + 1, out->leaf, why);
    }
    out->hashes_len = len;
    for (int i = 0; i < len; i++) {
        memcpy(out->hashes[i], down[len - 1 - i], AUDIT_HASH_SIZE);
    }
    return f;
}
