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
