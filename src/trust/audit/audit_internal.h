/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the tree's arithmetic, notes, keys, and the log's state. */
#pragma once

#include <pthread.h>
#include <sodium.h>

#include "trust/audit/audit.h"

/* One checkpoint stays for every so many leaves: bounds both their number and what a finding names.
   */
#define AUDIT_STRIDE 64
#define AUDIT_ORIGIN_SIZE 64

/* ---- tree.c: pure ---- */

/* The roots of the full subtrees of a tree's leaves, left to right: enough to append and to tell
   the root. */
struct audit_range {
    uint64_t size;
    int len;
    uint8_t hash[64][AUDIT_HASH_SIZE];
};
void audit_node_hash(const uint8_t *left, const uint8_t *right, uint8_t *out);
void audit_range_push(struct audit_range *r, const uint8_t *leaf_hash);
void audit_range_root(const struct audit_range *r, uint8_t *root);
/* Copies only what is used. */
void audit_range_copy(struct audit_range *to, const struct audit_range *from);

/* ---- proof.c ---- */

/* The hashes of one moment's tree, for any number of proofs. conn stays the caller's. Reads
   leaf_block: 20 ms for ten million leaves, and the leaves themselves for what is not in it. */
struct audit_tree;
MUST_CHECK enum fail audit_tree_open(struct store_conn *conn, int64_t size,
                                     struct audit_tree **out, struct fault *why);
void audit_tree_free(struct audit_tree *t); /* NULL is fine */
MUST_CHECK enum fail audit_tree_root(struct audit_tree *t, int64_t size,
                                     uint8_t root[AUDIT_HASH_SIZE], struct fault *why);
/* Without a comparison of its root: p->root is that of the stored hashes. */
MUST_CHECK enum fail audit_tree_inclusion(struct audit_tree *t, int64_t seq,
                                          struct audit_proof *out, struct fault *why);
MUST_CHECK enum fail audit_tree_consistency(struct audit_tree *t, int64_t old,
                                            struct audit_consistency *out, struct fault *why);
/* The full subtrees that leaves [lo, hi) fall into, left to right. */
#define AUDIT_EDGE_MAX 128
struct audit_edge {
    int len;
    uint8_t hashes[AUDIT_EDGE_MAX][AUDIT_HASH_SIZE];
};
MUST_CHECK enum fail audit_tree_edges(struct audit_tree *t, int64_t lo, int64_t hi,
                                      struct audit_edge *out, struct fault *why);

/* ---- leaf.c: pure ---- */

/* False when a text is not valid UTF-8 or the leaf is over AUDIT_LEAF_MAX. MACs may be NULL. */
bool audit_leaf_write(struct buf *out, const struct audit_leaf *leaf, int64_t seq, int64_t at,
                      const uint8_t *in_mac, const uint8_t *out_mac);
/* True when body is exactly what audit_leaf_write can write; then *seq is its number. */
bool audit_leaf_scan(const char *body, size_t n, int64_t *seq);

/* ---- note.c: pure ---- */

#define AUDIT_ALG_NOTE 0x01        /* Ed25519 over the text */
#define AUDIT_ALG_COSIGNATURE 0x04 /* Ed25519 over a time and the text: a witness's */
struct audit_verifier {
    uint8_t algorithm;
    char origin[AUDIT_ORIGIN_SIZE];
    uint8_t public[32];
    uint8_t id[4];
};
void audit_verifier_init(struct audit_verifier *v, const char *origin, const uint8_t public[32]);
void audit_verifier_init_as(struct audit_verifier *v, uint8_t algorithm, const char *name,
                            const uint8_t public[32]);
void audit_vkey_write(const struct audit_verifier *v, char out[AUDIT_VKEY_SIZE]);
bool audit_vkey_read(const char *vkey, struct audit_verifier *out); /* of a log */
bool audit_vkey_read_any(const char *vkey, struct audit_verifier *out);
void audit_note_write(const struct audit_verifier *v, const uint8_t secret[64], int64_t size,
                      const uint8_t root[32], struct buf *out);
struct audit_note {
    char origin[AUDIT_ORIGIN_SIZE];
    int64_t size;
    uint8_t root[32];
    bool is_signed; /* by the verifier given */
};
/* False when it is not byte for byte a checkpoint as audit_note_write makes them. */
bool audit_note_read(const char *note, size_t n, const struct audit_verifier *v,
                     struct audit_note *out);

/* A checkpoint with one or more signatures of anyone, of its form alone; *text_len is what they
   sign. */
bool audit_note_scan(const char *note, size_t n, struct audit_note *out, size_t *text_len);
/* Of a scanned note: v signed or cosigned it; *at_s is a cosignature's time, else 0. */
bool audit_note_signed_by(const char *note, size_t n, size_t text_len,
                          const struct audit_verifier *v, int64_t *at_s);
/* A cosignature's line, C2SP tlog-cosignature. */
void audit_cosign_write(const struct audit_verifier *v, const uint8_t secret[64], int64_t at_s,
                        const char *text, size_t text_len, struct buf *out);

/* ---- keys.c ---- */

struct audit_keys;
MUST_CHECK enum fail audit_keys_open(const char *home, const struct keyring_master *master,
                                     struct audit_keys **out, struct fault *why);
void audit_keys_close(struct audit_keys *k);
/* The log's key; made when there is none and may_make. FAIL_RECORD_UNAVAILABLE when there is none.
   */
MUST_CHECK enum fail audit_keys_log(struct audit_keys *k, bool may_make,
                                    struct audit_verifier *verifier, uint8_t secret[64],
                                    struct fault *why);
/* The public half, from the file alone. */
MUST_CHECK enum fail audit_keys_public(const char *home, struct audit_verifier *out,
                                       struct fault *why);

/* A key that is to sign from `from_size` leaves on, made and kept, not yet in use. */
MUST_CHECK enum fail audit_keys_next(struct audit_keys *k, const char *origin, int64_t from_size,
                                     struct fault *why);
MUST_CHECK enum fail audit_keys_pending(struct audit_keys *k, struct audit_verifier *v,
                                        uint8_t secret[64], int64_t *from_size, bool *found,
                                        struct fault *why);
/* It is the log's key from now on; the secret half of the one before is destroyed. Durable. */
MUST_CHECK enum fail audit_keys_promote(struct audit_keys *k, struct fault *why);
MUST_CHECK enum fail audit_keys_drop_next(struct audit_keys *k, struct fault *why);
bool audit_keys_previous(struct audit_keys *k, struct audit_verifier *out);

/* All wrapped keys and the epoch in one commit; *n: how many. */
MUST_CHECK enum fail audit_keys_rewrap(struct store *keys, const struct keyring_master *now,
                                       const struct keyring_master *next, int64_t *n,
                                       struct fault *why);
/* erasures.c: notes that this subject is erased and erases it in every copy of keys.db that is in
   reach; how many are not. */
MUST_CHECK enum fail audit_erasure_note(const char *home, const uint8_t name[32],
                                        int64_t *out_of_reach, struct fault *why);

struct audit_subject {
    int64_t id;
    uint8_t mac_key[32];
    uint8_t box_key[32];
};
MUST_CHECK enum fail audit_keys_subject(struct audit_keys *k, const char *team,
                                        const char *requester, struct audit_subject *out,
                                        struct fault *why);
MUST_CHECK enum fail audit_keys_subject_by_id(struct audit_keys *k, int64_t id,
                                              struct audit_subject *out, struct fault *why);
/* *id is 0 when the subject has no key. Durable and truncated when it returns. */
MUST_CHECK enum fail audit_keys_erase(struct audit_keys *k, const char *team,
                                      const char *requester, int64_t *id, struct fault *why);

/* ---- audit.c ---- */

struct audit {
    struct store *data;
    struct audit_keys *keys;
    struct audit_verifier verifier;
    uint8_t *secret; /* 64 bytes of sodium memory */
    const char *vkey;          /* atomic: any thread reads it; of vkeys */
    char (*vkeys)[AUDIT_VKEY_SIZE]; /* those of this run */
    size_t vkeys_len;
    struct audit_verifier next_verifier;
    uint8_t *next_secret; /* 64 bytes of sodium memory */
    bool rotating;        /* atomic */
    bool rotates_now, rotates_kept; /* the member now, one of the group: changes the key */
    int64_t pinned; /* size of the last checkpoint of the key before: stays */
    /* Store thread only. What is durable; what the group's members left so far; with the member
       now. */
    struct audit_range durable;
    struct audit_range kept;
    struct audit_range now;
    int64_t checkpoint;      /* size of the newest durable checkpoint, 0: none */
    int64_t checkpoint_next; /* of the one in this group */
    /* Of the background index; the loop's thread, but for index_made in between. */
    struct loop *index_loop;
    uint64_t index_timer;
    int64_t index_writes;
    bool index_busy, index_made;
};

/* rotate.c: what a change of the key that was cut off left; before anything is appended */
MUST_CHECK enum fail audit_rotation_settle(struct audit *a, struct store_conn *c,
                                           struct fault *why);
/* Does this leaf change the log's key, and from which to which? */
bool audit_rotation_read(const char *body, size_t n, char old_key[AUDIT_VKEY_SIZE],
                         char new_key[AUDIT_VKEY_SIZE]);

/* index.c: as store_write_fn with the audit: indexes the next whole block, if there is one, and
   says so in index_made */
enum fail audit_index_block(struct store_tx *tx, void *arg, struct fault *why);
