/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz entry: what others hand to the record. The first byte says what the rest is: a checkpoint's
 * note, the body of add-checkpoint for a witness, changes (place, byte) to a good note and to a
 * good body, leaves, proofs. A note is taken as signed, and a checkpoint cosigned, only when its
 * text is one that the log's key did sign here.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trust/audit/audit_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct audit_witness *witness;
static char vkey[AUDIT_VKEY_SIZE];
static struct buf good, body; /* a note of an empty tree, and its add-checkpoint */

static char folder[] = "/tmp/ih-audit-fuzz-XXXXXX";

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_folder(void)
{
    (void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void start(void)
{
    const char *logs[] = {vkey};
    struct audit_verifier v;
    struct fault why;
    uint8_t seed[32] = {7}, public[32], secret[64], root[32];
    buf_init(&good, AUDIT_NOTES_MAX);
    buf_init(&body, AUDIT_WITNESS_BODY_MAX);
    ASSERT(sodium_init() >= 0 && mkdtemp(folder) != NULL);
    (void)crypto_sign_seed_keypair(public, secret, seed);
    audit_verifier_init(&v, "fuzz.example/log", public);
    audit_vkey_write(&v, vkey);
    text_sha256("", 0, root);
    audit_note_write(&v, secret, 0, root, &good);
    buf_printf(&body, "old 0\n\n%s", good.data);
    enum fail f = audit_witness_open(folder, "fuzz.example/w", logs, 1, &witness, &why);
    ASSERT(f == FAIL_NONE);
    struct buf reply;
    buf_init(&reply, AUDIT_NOTES_MAX);
    int status = audit_witness_add(witness, body.data, body.len, &reply);
    ASSERT(status == 200); /* what is changed is good to begin with */
    buf_done(&reply);
    (void)atexit(remove_folder);
}

/* A text that the key signed is this one, up to its empty line. */
static bool is_good(const char *note, size_t n)
{
    const char *end = strstr(good.data, "\n\n");
    size_t len = (size_t)(end - good.data) + 2;
    return n >= len && memcmp(note, good.data, len) == 0;
}

static void try_note(const char *note, size_t n)
{
    struct fault why;
    uint8_t root[32];
    int64_t leaves = -1;
    if (audit_checkpoint_read(note, n, NULL, &leaves, root, &why) == FAIL_NONE) {
        ASSERT(leaves >= 0);
    }
    if (audit_checkpoint_read(note, n, vkey, &leaves, root, &why) == FAIL_NONE) {
        ASSERT(is_good(note, n) && leaves == 0);
    }
}

static void try_body(const char *text, size_t n)
{
    struct fault why;
    struct buf reply;
    uint8_t root[32];
    int64_t leaves;
    buf_init(&reply, AUDIT_NOTES_MAX);
    int status = audit_witness_add(witness, text, n, &reply);
    ASSERT(status == 200 || status == 400 || status == 403 || status == 404 || status == 409 ||
           status == 422);
    if (status == 200) {
        const char *note = memmem(text, n, "\n\n", 2);
        ASSERT(note != NULL);
        note += 2;
        struct buf signed_note;
        buf_init(&signed_note, 2 * AUDIT_NOTES_MAX);
        buf_add(&signed_note, note, n - (size_t)(note - text));
        buf_add(&signed_note, reply.data, reply.len);
        ASSERT(is_good(note, n - (size_t)(note - text)));
        ASSERT(audit_checkpoint_read(signed_note.data, signed_note.len,
                                     audit_witness_vkey(witness), &leaves, root,
                                     &why) == FAIL_NONE);
        buf_done(&signed_note);
    }
    buf_done(&reply);
}

/* Pairs of a place and a byte, put into a copy. */
static void try_changed(const struct buf *from, const uint8_t *data, size_t size,
                        void (*fn)(const char *, size_t))
{
    char *copy = mem_dup_strn(from->data, from->len);
    for (size_t i = 0; i + 1 < size; i += 2) {
        copy[data[i] % from->len] = (char)data[i + 1];
    }
    fn(copy, from->len);
    mem_free(copy);
}

static void try_proof(const uint8_t *data, size_t size)
{
    struct audit_proof p = {0};
    struct audit_consistency c = {0};
    uint8_t old_root[32] = {0}, new_root[32] = {0};
    memcpy(&p, data, size < sizeof(p) ? size : sizeof(p));
    memcpy(&c, data, size < sizeof(c) ? size : sizeof(c));
    p.hashes_len = (int)((unsigned)p.hashes_len % (AUDIT_PROOF_MAX + 1));
    c.hashes_len = (int)((unsigned)c.hashes_len % (AUDIT_PROOF_MAX + 1));
    (void)audit_proof_check(&p);
    (void)audit_consistency_check(&c, old_root, new_root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t seq;
    char old_key[AUDIT_VKEY_SIZE], new_key[AUDIT_VKEY_SIZE];
    if (witness == NULL) {
        start();
    }
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    switch (data[0] % 6) {
    case 0:
        try_note(text, n);
        break;
    case 1:
        try_body(text, n);
        break;
    case 2:
        try_changed(&good, data + 1, n, try_note);
        break;
    case 3:
        try_changed(&body, data + 1, n, try_body);
        break;
    case 4:
        try_proof(data + 1, n);
        break;
    default:
        (void)audit_leaf_scan(text, n, &seq);
        (void)audit_rotation_read(text, n, old_key, new_key);
        break;
    }
    return 0;
}
