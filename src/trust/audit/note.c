/* SPDX-License-Identifier: Apache-2.0 */
/* C2SP signed notes with Ed25519, and the checkpoint text inside them. Read back byte for byte. */
#include <stdio.h>
#include <string.h>

#include "trust/audit/audit_internal.h"

#define SIGNATURE_LEAD "\xe2\x80\x94 " /* an em dash and a space, as the format asks */

void audit_verifier_init(struct audit_verifier *v, const char *origin, const uint8_t public[32])
{
    audit_verifier_init_as(v, AUDIT_ALG_NOTE, origin, public);
}

void audit_verifier_init_as(struct audit_verifier *v, uint8_t algorithm, const char *name,
                            const uint8_t public[32])
{
    text_copy(v->origin, sizeof(v->origin), name);
    memcpy(v->public, public, 32);
    v->algorithm = algorithm;
    /* key id: the first 4 bytes of SHA-256(name || "\n" || algorithm || key) */
    uint8_t data[AUDIT_ORIGIN_SIZE + 34];
    size_t n = strlen(v->origin);
    memcpy(data, v->origin, n);
    data[n] = '\n';
    data[n + 1] = algorithm;
    memcpy(data + n + 2, public, 32);
    uint8_t hash[32];
    crypto_hash_sha256(hash, data, n + 34);
    memcpy(v->id, hash, sizeof(v->id));
}

void audit_vkey_write(const struct audit_verifier *v, char out[AUDIT_VKEY_SIZE])
{
    uint8_t key[33];
    char id[9];
    char b64[64];
    key[0] = v->algorithm;
    memcpy(key + 1, v->public, 32);
    text_hex(v->id, sizeof(v->id), id);
    text_base64(key, sizeof(key), b64);
    int n = snprintf(out, AUDIT_VKEY_SIZE, "%s+%s+%s", v->origin, id, b64);
    ASSERT(n > 0 && n < AUDIT_VKEY_SIZE);
}

bool audit_vkey_read(const char *vkey, struct audit_verifier *out)
{
    return audit_vkey_read_any(vkey, out) && out->algorithm == AUDIT_ALG_NOTE;
}

bool audit_vkey_read_any(const char *vkey, struct audit_verifier *out)
{
    const char *plus = strchr(vkey, '+');
    if (plus == NULL || plus == vkey || (size_t)(plus - vkey) >= AUDIT_ORIGIN_SIZE ||
        strlen(plus) != 1 + 8 + 1 + 44 || plus[9] != '+') {
        return false;
    }
    uint8_t key[36];
    uint8_t id[4];
    char origin[AUDIT_ORIGIN_SIZE] = {0};
    memcpy(origin, vkey, (size_t)(plus - vkey));
    if (!text_unhex(plus + 1, 8, id) || text_unbase64(plus + 10, 44, key) != 33 ||
        (key[0] != AUDIT_ALG_NOTE && key[0] != AUDIT_ALG_COSIGNATURE)) {
        return false;
    }
    audit_verifier_init_as(out, key[0], origin, key + 1);
    return memcmp(out->id, id, sizeof(id)) == 0;
}

void audit_note_write(const struct audit_verifier *v, const uint8_t secret[64], int64_t size,
                      const uint8_t root[32], struct buf *out)
{
    char b64[128];
    size_t start = out->len;
    text_base64(root, 32, b64);
    buf_printf(out, "%s\n%lld\n%s\n", v->origin, (long long)size, b64);
    uint8_t signature[4 + 64];
    memcpy(signature, v->id, 4);
    crypto_sign_detached(signature + 4, NULL, (const uint8_t *)out->data + start, out->len - start,
                         secret);
    text_base64(signature, sizeof(signature), b64);
    buf_printf(out, "\n" SIGNATURE_LEAD "%s %s\n", v->origin, b64);
}

/* One line without its newline; *p moves past it. */
static bool line(const char **p, const char *end, const char **start, size_t *n)
{
    const char *nl = memchr(*p, '\n', (size_t)(end - *p));
    if (nl == NULL) {
        return false;
    }
    *start = *p;
    *n = (size_t)(nl - *p);
    *p = nl + 1;
    return true;
}

static bool read_text(const char **p, const char *end, struct audit_note *out)
{
    const char *l;
    size_t n;
    char number[24] = {0};
    uint8_t root[33];
    if (!line(p, end, &l, &n) || n == 0 || n >= sizeof(out->origin)) {
        return false;
    }
    memcpy(out->origin, l, n);
    if (!line(p, end, &l, &n) || n == 0 || n > 18 || (l[0] == '0' && n > 1)) {
        return false;
    }
    memcpy(number, l, n);
    if (!text_read_int(number, 0, INT64_MAX, &out->size)) {
        return false;
    }
    if (!line(p, end, &l, &n) || n != 44 || text_unbase64(l, n, root) != 32) {
        return false;
    }
    memcpy(out->root, root, 32);
    /* base64 has spare bits in its last character: only one spelling is ours */
    char again[48];
    text_base64(root, 32, again);
    return memcmp(again, l, 44) == 0;
}

bool audit_note_read(const char *note, size_t n, const struct audit_verifier *v,
                     struct audit_note *out)
{
    memset(out, 0, sizeof(*out));
    const char *p = note;
    const char *end = note + n;
    const char *l;
    size_t len;
    if (n > AUDIT_NOTE_MAX || !read_text(&p, end, out)) {
        return false;
    }
    size_t text_len = (size_t)(p - note);
    if (!line(&p, end, &l, &len) || len != 0 || !line(&p, end, &l, &len) || p != end) {
        return false;
    }
    size_t lead = strlen(SIGNATURE_LEAD);
    size_t name = strlen(out->origin);
    if (len != lead + name + 1 + 92 || memcmp(l, SIGNATURE_LEAD, lead) != 0 ||
        memcmp(l + lead, out->origin, name) != 0 || l[lead + name] != ' ') {
        return false;
    }
    const char *b64 = l + lead + name + 1;
    uint8_t signature[69];
    char again[96];
    if (text_unbase64(b64, 92, signature) != 68) {
        return false;
    }
    text_base64(signature, 68, again);
    if (memcmp(again, b64, 92) != 0) {
        return false;
    }
    out->is_signed = strcmp(out->origin, v->origin) == 0 && memcmp(signature, v->id, 4) == 0 &&
                     crypto_sign_verify_detached(signature + 4, (const uint8_t *)note, text_len,
                                                 v->public) == 0;
    return true;
}

/* ---- notes of anyone, with any number of signatures ---- */

bool audit_note_scan(const char *note, size_t n, struct audit_note *out, size_t *text_len)
{
    memset(out, 0, sizeof(*out));
    const char *p = note;
    const char *end = note + n;
    const char *l;
    size_t len;
    if (n > AUDIT_NOTES_MAX || !text_utf8_is_valid(note, n) || !read_text(&p, end, out)) {
        return false;
    }
    *text_len = (size_t)(p - note);
    if (!line(&p, end, &l, &len) || len != 0 || p == end) {
        return false;
    }
    while (p < end) {
        size_t lead = strlen(SIGNATURE_LEAD);
        const char *gap = line(&p, end, &l, &len) && len > lead
                              ? memchr(l + lead, ' ', len - lead)
                              : NULL;
        size_t b64 = gap != NULL ? len - (size_t)(gap + 1 - l) : 0;
        if (gap == NULL || memcmp(l, SIGNATURE_LEAD, lead) != 0 || gap == l + lead || b64 < 8 ||
            b64 > AUDIT_NOTE_MAX) {
            return false;
        }
    }
    return true;
}

/* The text that a cosignature is over: C2SP tlog-cosignature, cosignature/v1. */
static void cosigned_text(struct buf *out, int64_t at_s, const char *text, size_t n)
{
    buf_printf(out, "cosignature/v1\ntime %lld\n", (long long)at_s);
    buf_add(out, text, n);
}

static bool signature_good(const struct audit_verifier *v, const uint8_t *blob, size_t n,
                           const char *text, size_t text_len, int64_t *at_s)
{
    if (v->algorithm == AUDIT_ALG_NOTE) {
        return n == 68 && crypto_sign_verify_detached(blob + 4, (const uint8_t *)text, text_len,
                                                      v->public) == 0;
    }
    if (n != 76 || (blob[4] & 0x80) != 0) {
        return false;
    }
    int64_t at = 0;
    for (int i = 4; i < 12; i++) {
        at = at << 8 | blob[i];
    }
    struct buf b;
    buf_init(&b, AUDIT_NOTE_MAX);
    cosigned_text(&b, at, text, text_len);
    bool good = !b.overflow && crypto_sign_verify_detached(blob + 12, (const uint8_t *)b.data,
                                                           b.len, v->public) == 0;
    buf_done(&b);
    *at_s = at;
    return good;
}

bool audit_note_signed_by(const char *note, size_t n, size_t text_len,
                          const struct audit_verifier *v, int64_t *at_s)
{
    const char *p = note + text_len + 1;
    const char *end = note + n;
    const char *l;
    size_t len;
    size_t lead = strlen(SIGNATURE_LEAD);
    size_t name = strlen(v->origin);
    *at_s = 0;
    while (p < end && line(&p, end, &l, &len)) {
        uint8_t blob[80];
        if (len <= lead + name + 1 || memcmp(l + lead, v->origin, name) != 0 ||
            l[lead + name] != ' ' || len - lead - name - 1 > 104) {
            continue;
        }
        size_t got = text_unbase64(l + lead + name + 1, len - lead - name - 1, blob);
        if (got != SIZE_MAX && got > 4 && memcmp(blob, v->id, 4) == 0 &&
            signature_good(v, blob, got, note, text_len, at_s)) {
            return true;
        }
    }
    return false;
}

void audit_cosign_write(const struct audit_verifier *v, const uint8_t secret[64], int64_t at_s,
                        const char *text, size_t text_len, struct buf *out)
{
    struct buf b;
    uint8_t blob[76];
    char b64[112];
    ASSERT(v->algorithm == AUDIT_ALG_COSIGNATURE);
    buf_init(&b, AUDIT_NOTE_MAX);
    cosigned_text(&b, at_s, text, text_len);
    ASSERT(!b.overflow);
    memcpy(blob, v->id, 4);
    for (int i = 0; i < 8; i++) {
        blob[4 + i] = (uint8_t)((uint64_t)at_s >> (56 - 8 * i));
    }
    crypto_sign_detached(blob + 12, NULL, (const uint8_t *)b.data, b.len, secret);
    buf_done(&b);
    text_base64(blob, sizeof(blob), b64);
    buf_printf(out, SIGNATURE_LEAD "%s %s\n", v->origin, b64);
}

enum fail audit_checkpoint_read(const char *note, size_t n, const char *vkey, int64_t *size,
                                uint8_t root[AUDIT_HASH_SIZE], struct fault *why)
{
    struct audit_note read;
    struct audit_verifier v;
    size_t text_len;
    int64_t at_s;
    if (!audit_note_scan(note, n, &read, &text_len)) {
        FAULT(why, FAIL_BAD_REQUEST, "what is given is no checkpoint");
        return fail_hint(why, "It has an origin, a size and a root, an empty line and signatures.");
    }
    if (vkey != NULL && !audit_vkey_read_any(vkey, &v)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the key given is not a note verifier key");
    }
    if (vkey != NULL && !audit_note_signed_by(note, n, text_len, &v, &at_s)) {
        return FAULT(why, FAIL_FORBIDDEN, "the checkpoint is not signed by %s", v.origin);
    }
    *size = read.size;
    memcpy(root, read.root, AUDIT_HASH_SIZE);
    return FAIL_NONE;
}
