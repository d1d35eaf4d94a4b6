/* SPDX-License-Identifier: Apache-2.0 */
/* The log in use: appends inside the store's writes, one signed checkpoint per commit, content
   apart. */
#include "trust/audit/audit.h"

#include <errno.h>
#include <string.h>

#include "base/clock/clock.h"
#include "trust/audit/audit_internal.h"

/* ---- hooks of the store ---- */

static enum fail write_edge(struct store_tx *tx, const struct audit_range *r, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO tree_edge (id, size, hashes) VALUES (1, ?1, ?2) "
                           "ON CONFLICT (id) DO UPDATE SET size = ?1, hashes = ?2");
    store_bind_int(s, 1, (int64_t)r->size);
    store_bind_blob(s, 2, r->hash, (size_t)r->len * AUDIT_HASH_SIZE);
    return store_run(s, why);
}

static enum fail write_checkpoint(struct store_tx *tx, struct audit *a, struct fault *why)
{
    uint8_t root[AUDIT_HASH_SIZE];
    int64_t size = (int64_t)a->kept.size;
    audit_range_root(&a->kept, root);
    struct buf note;
    buf_init(&note, AUDIT_NOTE_MAX);
    audit_note_write(&a->verifier, a->secret, size, root, &note);
    ASSERT(!note.overflow);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO checkpoint (size, root, note) VALUES (?1, ?2, ?3)");
    store_bind_int(s, 1, size);
    store_bind_blob(s, 2, root, sizeof(root));
    store_bind_textn(s, 3, note.data, note.len);
    buf_done(&note);
    return store_run(s, why);
}

/* The one before it goes, unless it is the last of its stride. */
static enum fail drop_checkpoint(struct store_tx *tx, int64_t size, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM checkpoint WHERE size = ?1");
    store_bind_int(s, 1, size);
    return store_run(s, why);
}

static enum fail before_commit(struct store_tx *tx, void *arg, struct fault *why)
{
    struct audit *a = arg;
    int64_t size = (int64_t)a->kept.size;
    a->checkpoint_next = a->checkpoint;
    if (size == (int64_t)a->durable.size) {
        return FAIL_NONE; /* a group without a leaf */
    }
    enum fail f = FAIL_NONE;
    if (a->checkpoint > 0 && a->checkpoint / AUDIT_STRIDE == size / AUDIT_STRIDE &&
        a->checkpoint != a->pinned) {
        f = drop_checkpoint(tx, a->checkpoint, why);
    }
    if (f == FAIL_NONE) {
        f = write_checkpoint(tx, a, why);
    }
    if (f == FAIL_NONE) {
        f = write_edge(tx, &a->kept, why);
    }
    a->checkpoint_next = size;
    return f;
}

static void member_end(void *arg, bool kept)
{
    struct audit *a = arg;
    if (kept) {
        audit_range_copy(&a->kept, &a->now);
    } else {
        audit_range_copy(&a->now, &a->kept);
    }
    a->rotates_kept = a->rotates_kept || (kept && a->rotates_now);
    a->rotates_now = false;
}

#define KEYS_A_RUN 1024

/* The key in use, under which its checkpoints are told; earlier texts stay for who still reads. */
static void show_key(struct audit *a)
{
    char *out = a->vkeys[a->vkeys_len < KEYS_A_RUN - 1 ? a->vkeys_len++ : KEYS_A_RUN - 1];
    audit_vkey_write(&a->verifier, out);
    __atomic_store_n(&a->vkey, out, __ATOMIC_RELEASE);
}

/* The checkpoint just committed is the last of the old key. */
static void change_key(struct audit *a)
{
    a->verifier = a->next_verifier;
    memcpy(a->secret, a->next_secret, 64);
    a->pinned = a->checkpoint;
    show_key(a);
}

static void group_end(void *arg, bool committed)
{
    struct audit *a = arg;
    if (committed) {
        audit_range_copy(&a->durable, &a->kept);
        a->checkpoint = a->checkpoint_next;
        if (a->rotates_kept) {
            change_key(a);
        }
    } else {
        audit_range_copy(&a->kept, &a->durable);
        audit_range_copy(&a->now, &a->durable);
    }
    a->rotates_kept = false;
}

/* ---- open ---- */

static enum fail fault_mismatch(const struct audit *a, struct fault *why)
{
    FAULT(why, FAIL_RECORD_UNAVAILABLE, "the record in %s does not match its last checkpoint",
          store_path(a->data));
    return fail_hint(why, "Run `inhouse audit verify`: it names the position. Nothing is recorded "
                          "or answered on top of a record that was changed.");
}

static enum fail read_edge(struct audit *a, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT size, hashes FROM tree_edge WHERE id = 1");
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    size_t n;
    const void *hashes = store_col_blob(s, 1, &n);
    uint64_t size = (uint64_t)store_col_int(s, 0);
    if (n != (size_t)__builtin_popcountll(size) * AUDIT_HASH_SIZE || size > INT64_MAX) {
        return fault_mismatch(a, why);
    }
    a->durable.size = size;
    a->durable.len = __builtin_popcountll(size);
    memcpy(a->durable.hash, hashes, n);
    return FAIL_NONE;
}

static enum fail check_last(struct audit *a, struct store_conn *c, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1");
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (audit_size(c) != (int64_t)a->durable.size || row != (a->durable.size > 0)) {
        return fault_mismatch(a, why);
    }
    if (!row) {
        return FAIL_NONE;
    }
    struct audit_note note;
    uint8_t root[AUDIT_HASH_SIZE];
    const char *text = store_col_text(s, 1);
    audit_range_root(&a->durable, root);
    struct audit_verifier before;
    bool read = audit_note_read(text, strlen(text), &a->verifier, &note);
    if (read && !note.is_signed && audit_keys_previous(a->keys, &before) &&
        audit_note_read(text, strlen(text), &before, &note) && note.is_signed) {
        a->pinned = note.size; /* a change of the key was its last leaf */
    }
    if (!read || !note.is_signed ||
        note.size != (int64_t)a->durable.size || note.size != store_col_int(s, 0) ||
        memcmp(note.root, root, sizeof(root)) != 0) {
        return fault_mismatch(a, why);
    }
    a->checkpoint = note.size;
    return FAIL_NONE;
}

static enum fail load(struct audit *a, struct fault *why)
{
    struct store_conn *c;
    enum fail f = store_reader_open(a->data, &c, why);
    if (f != FAIL_NONE) {
        return f;
    }
    f = audit_rotation_settle(a, c, why);
    f = f != FAIL_NONE ? f
                       : audit_keys_log(a->keys, audit_size(c) == 0, &a->verifier, a->secret, why);
    if (f == FAIL_NONE) {
        show_key(a);
        f = read_edge(a, c, why);
    }
    if (f == FAIL_NONE) {
        f = check_last(a, c, why);
    }
    store_reader_close(c);
    audit_range_copy(&a->kept, &a->durable);
    audit_range_copy(&a->now, &a->durable);
    return f;
}

enum fail audit_open(const char *home, struct store *data, const struct keyring_master *master,
                     struct audit **out, struct fault *why)
{
    struct audit *a = mem_alloc(sizeof(*a));
    a->data = data;
    a->secret = sodium_malloc(64);
    a->next_secret = sodium_malloc(64);
    a->vkeys = mem_alloc_array(KEYS_A_RUN, sizeof(*a->vkeys));
    enum fail f = FAIL_NONE;
    if (a->secret == NULL || a->next_secret == NULL) {
        f = FAULT_ERRNO(why, FAIL_INTERNAL, "could not lock memory for the log's key");
    }
    if (f == FAIL_NONE) {
        f = audit_keys_open(home, master, &a->keys, why);
    }
    if (f == FAIL_NONE) {
        f = load(a, why);
    }
    if (f != FAIL_NONE) {
        audit_close(a);
        return f;
    }
    store_on_commit(data, &(struct store_hooks){.arg = a,
                                                .before_commit = before_commit,
                                                .member_end = member_end,
                                                .group_end = group_end});
    *out = a;
    return FAIL_NONE;
}

void audit_close(struct audit *a)
{
    if (a == NULL) {
        return;
    }
    audit_keys_close(a->keys);
    sodium_free(a->secret);
    sodium_free(a->next_secret);
    mem_free(a->vkeys);
    mem_free(a);
}

const char *audit_vkey(const struct audit *a)
{
    return __atomic_load_n(&a->vkey, __ATOMIC_ACQUIRE);
}

/* ---- append ---- */

enum fail audit_mac(struct audit *a, const char *team, const char *requester, const void *data,
                    size_t n, uint8_t out[32], struct fault *why)
{
    struct audit_subject subject;
    enum fail f = audit_keys_subject(a->keys, team, requester, &subject, why);
    if (f == FAIL_NONE) {
        crypto_auth_hmacsha256(out, data, n, subject.mac_key);
        sodium_memzero(&subject, sizeof(subject));
    }
    return f;
}

static enum fail write_leaf(struct store_tx *tx, int64_t seq, const struct buf *body,
                            const uint8_t *hash, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO leaf (seq, body, hash) VALUES (?1, ?2, ?3)");
    store_bind_int(s, 1, seq);
    store_bind_blob(s, 2, body->data, body->len);
    store_bind_blob(s, 3, hash, AUDIT_HASH_SIZE);
    return store_run(s, why);
}

enum fail audit_append(struct store_tx *tx, struct audit *a, const struct audit_leaf *leaf,
                       int64_t *seq, uint8_t hash[AUDIT_HASH_SIZE], struct fault *why)
{
    const char *requester = leaf->requester != NULL ? leaf->requester : leaf->actor;
    uint8_t in_mac[32];
    uint8_t out_mac[32];
    enum fail f = FAIL_NONE;
    if (leaf->input != NULL) {
        f = audit_mac(a, leaf->team, requester, leaf->input, leaf->input_len, in_mac, why);
    }
    if (f == FAIL_NONE && leaf->output != NULL) {
        f = audit_mac(a, leaf->team, requester, leaf->output, leaf->output_len, out_mac, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    int64_t number = (int64_t)a->now.size;
    struct buf body;
    buf_init(&body, AUDIT_LEAF_MAX + 1);
    uint8_t leaf_hash[AUDIT_HASH_SIZE];
    if (!audit_leaf_write(&body, leaf, number, clock_now_us(), leaf->input ? in_mac : NULL,
                          leaf->output ? out_mac : NULL)) {
        FAULT(why, FAIL_TOO_LARGE, "a record of kind %s is over %d bytes",
              audit_kind_name(leaf->kind), AUDIT_LEAF_MAX);
        f = fail_hint(why, "Use shorter names of releases, actors and verdicts.");
    }
    if (f == FAIL_NONE) {
        audit_leaf_hash(body.data, body.len, leaf_hash);
        f = write_leaf(tx, number, &body, leaf_hash, why);
    }
    buf_done(&body);
    if (f != FAIL_NONE) {
        return f;
    }
    audit_range_push(&a->now, leaf_hash);
    if (seq != NULL) {
        *seq = number;
    }
    if (hash != NULL) {
        memcpy(hash, leaf_hash, AUDIT_HASH_SIZE);
    }
    return FAIL_NONE;
}

/* ---- content ---- */

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_SIZE crypto_aead_xchacha20poly1305_ietf_ABYTES

/* What a box is bound to: nobody can pass one text off as another's. */
static void place(const struct id *id, enum audit_part part, uint8_t out[17])
{
    memcpy(out, id->bytes, 16);
    out[16] = (uint8_t)part;
}

enum fail audit_content_put(struct store_tx *tx, struct audit *a, const struct id *id,
                            enum audit_part part, const char *team, const char *requester,
                            const void *data, size_t n, struct fault *why)
{
    if (n > STORE_VALUE_MAX - TAG_SIZE) {
        return FAULT(why, FAIL_TOO_LARGE, "a text is over %d MiB", STORE_VALUE_MAX >> 20);
    }
    struct audit_subject subject;
    enum fail f = audit_keys_subject(a->keys, team, requester, &subject, why);
    if (f != FAIL_NONE) {
        return f;
    }
    uint8_t nonce[NONCE_SIZE];
    uint8_t where[17];
    AUTO_FREE uint8_t *box = mem_alloc(n + TAG_SIZE);
    randombytes_buf(nonce, sizeof(nonce));
    place(id, part, where);
    crypto_aead_xchacha20poly1305_ietf_encrypt(box, NULL, data, n, where, sizeof(where), NULL,
                                               nonce, subject.box_key);
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO content (id, part, subject, nonce, box, "
                                       "created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    store_bind_id(s, 1, id);
    store_bind_int(s, 2, part);
    store_bind_int(s, 3, subject.id);
    store_bind_blob(s, 4, nonce, sizeof(nonce));
    store_bind_blob(s, 5, box, n + TAG_SIZE);
    store_bind_int(s, 6, clock_now_us());
    sodium_memzero(&subject, sizeof(subject));
    return store_run(s, why);
}

enum fail audit_content_get(struct audit *a, struct store_conn *conn, const struct id *id,
                            enum audit_part part, struct buf *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT subject, nonce, box FROM content WHERE id = ?1 AND part = ?2");
    store_bind_id(s, 1, id);
    store_bind_int(s, 2, part);
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && !row) {
        f = FAULT(why, FAIL_NOT_FOUND, "there is no such content, or it was erased");
    }
    struct audit_subject subject;
    if (f == FAIL_NONE) {
        f = audit_keys_subject_by_id(a->keys, store_col_int(s, 0), &subject, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    size_t nonce_n, box_n;
    uint8_t where[17];
    const uint8_t *nonce = store_col_blob(s, 1, &nonce_n);
    const uint8_t *box = store_col_blob(s, 2, &box_n);
    place(id, part, where);
    if (box_n < TAG_SIZE || !buf_reserve(out, box_n - TAG_SIZE)) {
        f = FAULT(why, FAIL_TOO_LARGE, "the stored content does not fit what was asked for");
    } else if (nonce_n != NONCE_SIZE ||
               crypto_aead_xchacha20poly1305_ietf_decrypt((uint8_t *)out->data + out->len, NULL,
                                                          NULL, box, box_n, where, sizeof(where),
                                                          nonce, subject.box_key) != 0) {
        FAULT(why, FAIL_INTERNAL, "stored content was changed and cannot be opened");
        f = fail_hint(why, "Run `inhouse audit verify`, and restore the database from a backup.");
    } else {
        out->len += box_n - TAG_SIZE;
        out->data[out->len] = '\0';
    }
    sodium_memzero(&subject, sizeof(subject));
    return f;
}

struct erase {
    int64_t subject;
    int64_t parts;
};

static enum fail delete_content(struct store_tx *tx, void *arg, struct fault *why)
{
    struct erase *e = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "DELETE FROM content WHERE subject = ?1");
    store_bind_int(s, 1, e->subject);
    enum fail f = store_run(s, why);
    e->parts = store_changes(store_tx_conn(tx));
    return f;
}

enum fail audit_subject_erase(struct audit *a, const char *team, const char *requester,
                              int64_t *parts, struct fault *why)
{
    /* The key first: once it is gone, content that a crash leaves behind cannot be read any more.
       */
    struct erase e = {0};
    enum fail f = audit_keys_erase(a->keys, team, requester, &e.subject, why);
    if (f == FAIL_NONE && e.subject != 0) {
        f = store_write_wait(a->data, delete_content, &e, why);
        if (f == FAIL_NONE) {
            f = store_truncate_wait(a->data, why);
        }
    }
    if (parts != NULL) {
        *parts = e.parts;
    }
    return f;
}

/* ---- reading ---- */

int64_t audit_size(struct store_conn *conn)
{
    AUTO_STMT struct store_stmt *s = store_query(conn, "SELECT max(seq) FROM leaf");
    bool row;
    struct fault why;
    if (store_step(s, &row, &why) != FAIL_NONE || !row || store_col_is_null(s, 0)) {
        return 0;
    }
    return store_col_int(s, 0) + 1;
}

enum fail audit_leaf_each(struct store_conn *conn, int64_t from, int64_t limit,
                          bool (*fn)(void *arg, int64_t seq, const char *body, size_t n),
                          void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT seq, body FROM leaf WHERE seq >= ?1 ORDER BY seq LIMIT ?2");
    store_bind_int(s, 1, from);
    store_bind_int(s, 2, limit);
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        size_t n;
        const char *body = store_col_blob(s, 1, &n);
        if (!fn(arg, store_col_int(s, 0), body, n)) {
            break;
        }
    }
    return f;
}

static bool take_body(void *arg, int64_t seq, const char *body, size_t n)
{
    (void)seq;
    buf_add(arg, body, n);
    return false;
}

enum fail audit_leaf_get(struct store_conn *conn, int64_t seq, struct buf *body, struct fault *why)
{
    size_t before = body->len;
    enum fail f = seq >= 0 && seq < audit_size(conn)
                      ? audit_leaf_each(conn, seq, 1, take_body, body, why)
                      : FAIL_NONE;
    if (f == FAIL_NONE && body->len == before) {
        FAULT(why, FAIL_NOT_FOUND, "the record has no leaf %lld", (long long)seq);
        f = fail_hint(why, "It has %lld; the first is 0.", (long long)audit_size(conn));
    }
    return f;
}

enum fail audit_checkpoint_get(struct store_conn *conn, struct buf *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1");
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && !row) {
        return FAULT(why, FAIL_NOT_FOUND, "the record is empty: there is no checkpoint yet");
    }
    if (f == FAIL_NONE) {
        buf_add_str(out, store_col_text(s, 0));
    }
    return f;
}
