/* SPDX-License-Identifier: Apache-2.0 */
/* Verification: everything again from the leaves, in one pass beside the checkpoints. */
#include <stdio.h>
#include <string.h>

#include "base/clock/clock.h"
#include "trust/audit/audit_internal.h"

#define PROGRESS_EVERY 4096

struct verify {
    const struct audit_verify_options *options;
    struct audit_report *report;
    struct audit_verifier verifier;
    struct store_conn *conn;
    /* Two trees: over the hashes as stored, and over the bodies as they are. They differ only
       between a leaf whose two disagree and the next checkpoint, which tells which of the two was
       changed. */
    struct audit_range stored;
    struct audit_range bodies;
    bool differ;
    int64_t differ_first; /* the leaf */
    int64_t good_size;    /* of the last checkpoint that matched */
    bool lost;            /* past a leaf that is gone or rewritten: roots cannot match any more */
    bool span_found;      /* something was found since the last checkpoint */
    int64_t next;         /* the leaf expected */
    struct audit_note known;
    bool has_known;
    struct audit_verifier given; /* the key from outside, or the newest one */
    bool trusted;                /* a checkpoint was signed by it */
    bool changes;                /* a leaf since the last checkpoint changes the key: */
    char old_key[AUDIT_VKEY_SIZE], new_key[AUDIT_VKEY_SIZE];
};

static void found(struct verify *v, enum audit_finding_kind kind, int64_t first, int64_t last,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void found(struct verify *v, enum audit_finding_kind kind, int64_t first, int64_t last,
                  const char *fmt, ...)
{
    struct audit_report *r = v->report;
    if (r->findings_len < AUDIT_FINDINGS_MAX) {
        struct audit_finding *f = &r->findings[r->findings_len];
        f->kind = kind;
        f->first = first;
        f->last = last;
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(f->text, sizeof(f->text), fmt, ap);
        va_end(ap);
    }
    r->findings_len++;
    v->span_found = true;
}

/* ---- leaves ---- */

static void check_number(struct verify *v, int64_t seq)
{
    if (seq == v->next) {
        return;
    }
    if (seq > v->next && seq == v->next + 1) {
        found(v, AUDIT_FINDING_LEAF_MISSING, v->next, v->next, "leaf %lld is missing",
              (long long)v->next);
    } else if (seq > v->next) {
        found(v, AUDIT_FINDING_LEAF_MISSING, v->next, seq - 1, "leaves %lld to %lld are missing",
              (long long)v->next, (long long)seq - 1);
    } else {
        found(v, AUDIT_FINDING_LEAF_MOVED, seq, seq, "leaf %lld stands before the first",
              (long long)seq);
    }
    v->lost = true;
}

static void check_leaf(struct verify *v, int64_t seq, const char *body, size_t n,
                       const uint8_t *hash, size_t hash_n)
{
    check_number(v, seq);
    v->next = seq + 1;
    v->report->leaves++;
    uint8_t computed[AUDIT_HASH_SIZE];
    audit_leaf_hash(body, n, computed);
    bool same = hash_n == AUDIT_HASH_SIZE && memcmp(hash, computed, AUDIT_HASH_SIZE) == 0;
    int64_t number = -1;
    if (same && !audit_leaf_scan(body, n, &number)) {
        found(v, AUDIT_FINDING_LEAF_FORM, seq, seq, "leaf %lld is not in the canonical form",
              (long long)seq);
    } else if (same && number != seq) {
        found(v, AUDIT_FINDING_LEAF_MOVED, seq, seq, "leaf %lld holds the record numbered %lld",
              (long long)seq, (long long)number);
    }
    if (!same && !v->differ) {
        audit_range_copy(&v->bodies, &v->stored);
        v->differ = true;
        v->differ_first = seq;
    }
    if (!same) {
        found(v, AUDIT_FINDING_LEAF_CHANGED, seq, seq,
              "leaf %lld was changed: its hash is not that of its body", (long long)seq);
    }
    if (same && audit_rotation_read(body, n, v->old_key, v->new_key)) {
        v->changes = true;
    }
    audit_range_push(&v->stored, hash_n == AUDIT_HASH_SIZE ? hash : computed);
    if (v->differ) {
        audit_range_push(&v->bodies, computed);
    }
}

/* ---- checkpoints ---- */

/* Between the last good checkpoint and this one: which of body and hash was changed, or both. */
static void compare_root(struct verify *v, const struct audit_note *note)
{
    uint8_t root[AUDIT_HASH_SIZE];
    audit_range_root(&v->stored, root);
    bool match = memcmp(root, note->root, sizeof(root)) == 0;
    if (!match && v->differ) {
        audit_range_root(&v->bodies, root);
        match = memcmp(root, note->root, sizeof(root)) == 0;
        if (match) {
            audit_range_copy(&v->stored, &v->bodies);
        }
    }
    v->differ = false;
    if (match) {
        v->good_size = note->size;
    } else if (!v->lost && !v->span_found) {
        found(v, AUDIT_FINDING_REWRITTEN, v->good_size, note->size - 1,
              "leaves %lld to %lld: at least one was rewritten together with its hash; the signed "
              "checkpoint at %lld does not match",
              (long long)v->good_size, (long long)note->size - 1, (long long)note->size);
        v->lost = true;
    } else if (!v->lost) {
        v->lost = true;
    }
    v->span_found = false;
}

/* Form and signature of one row; true when its note can be used. */
static bool check_checkpoint(struct verify *v, struct store_stmt *s, struct audit_note *note)
{
    int64_t size = store_col_int(s, 0);
    size_t root_n, text_n;
    const void *root = store_col_blob(s, 1, &root_n);
    const char *text = store_col_blob(s, 2, &text_n);
    v->report->checkpoints++;
    if (!audit_note_read(text, text_n, &v->verifier, note)) {
        found(v, AUDIT_FINDING_CHECKPOINT, -1, -1, "the checkpoint at %lld is malformed",
              (long long)size);
        return false;
    }
    if (!note->is_signed) {
        found(v, AUDIT_FINDING_SIGNATURE, -1, -1,
              "the checkpoint at %lld is not signed by the key of this log", (long long)size);
        return false;
    }
    if (note->size != size || root_n != 32 || memcmp(note->root, root, 32) != 0) {
        found(v, AUDIT_FINDING_CHECKPOINT, -1, -1,
              "the checkpoint at %lld disagrees with its own signed note (size %lld)",
              (long long)size, (long long)note->size);
        return false;
    }
    return true;
}

/* The checkpoint just seen was the last of the old key. */
static void change_key(struct verify *v)
{
    char now[AUDIT_VKEY_SIZE];
    struct audit_verifier next;
    audit_vkey_write(&v->verifier, now);
    v->changes = false;
    if (strcmp(now, v->old_key) != 0 || !audit_vkey_read(v->new_key, &next) ||
        strcmp(next.origin, v->verifier.origin) != 0) {
        found(v, AUDIT_FINDING_SIGNATURE, -1, -1,
              "a change of the log's key before leaf %lld does not follow the key before it",
              (long long)v->next);
        return;
    }
    v->verifier = next;
}

static void compare_known(struct verify *v)
{
    uint8_t root[AUDIT_HASH_SIZE];
    audit_range_root(&v->stored, root);
    if (memcmp(root, v->known.root, sizeof(root)) != 0) {
        found(v, AUDIT_FINDING_KNOWN, 0, v->known.size - 1,
              "the first %lld leaves are not those of the checkpoint that was kept outside",
              (long long)v->known.size);
    }
}

/* ---- the pass ---- */

struct marks {
    struct store_stmt *s;
    struct audit_note note;
    bool row;  /* there is one more checkpoint ... */
    bool good; /* ... and its note can be compared */
    int64_t size;
    int64_t last_good_size;
};

static enum fail next_mark(struct verify *v, struct marks *m, struct fault *why)
{
    enum fail f = store_step(m->s, &m->row, why);
    m->good = false;
    m->size = INT64_MAX;
    if (f == FAIL_NONE && m->row) {
        m->good = check_checkpoint(v, m->s, &m->note);
        m->size = store_col_int(m->s, 0);
        if (m->good) {
            m->last_good_size = m->size;
        }
    }
    return f;
}

/* Everything that stands at this size: the caller's own checkpoint, and the log's. */
static enum fail at_size(struct verify *v, struct marks *m, int64_t size, struct fault *why)
{
    if (v->has_known && size == v->known.size) {
        compare_known(v);
    }
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE && m->row && m->size <= size) {
        if (m->good && m->size == size) {
            v->trusted = v->trusted || memcmp(v->verifier.id, v->given.id, 4) == 0;
            compare_root(v, &m->note);
        }
        if (m->good && v->changes) {
            change_key(v);
        }
        f = next_mark(v, m, why);
    }
    return f;
}

static enum fail pass(struct verify *v, struct marks *m, int64_t total, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(v->conn, "SELECT seq, body, hash FROM leaf ORDER BY seq");
    bool row;
    enum fail f = next_mark(v, m, why);
    while (f == FAIL_NONE && (f = store_step(s, &row, why)) == FAIL_NONE && row) {
        size_t body_n, hash_n;
        const char *body = store_col_blob(s, 1, &body_n);
        const uint8_t *hash = store_col_blob(s, 2, &hash_n);
        check_leaf(v, store_col_int(s, 0), body, body_n, hash, hash_n);
        f = at_size(v, m, v->next, why);
        if (v->options->progress != NULL && v->report->leaves % PROGRESS_EVERY == 0) {
            v->options->progress(v->options->arg, v->report->leaves, total);
        }
    }
    return f;
}

/* What the last checkpoints and the last leaves say about each other. */
static void check_tail(struct verify *v, struct marks *m)
{
    if (m->last_good_size > v->next) {
        found(v, AUDIT_FINDING_TRUNCATED, v->next, m->last_good_size - 1,
              "the record is cut off: leaves %lld to %lld are gone, but signed for",
              (long long)v->next, (long long)m->last_good_size - 1);
    } else if (m->last_good_size < v->next && v->report->findings_len == 0) {
        found(v, AUDIT_FINDING_UNSIGNED, m->last_good_size, v->next - 1,
              "leaves %lld to %lld are covered by no checkpoint", (long long)m->last_good_size,
              (long long)v->next - 1);
    }
    if (v->report->checkpoints > 0 && !v->trusted && v->report->findings_len == 0) {
        found(v, AUDIT_FINDING_SIGNATURE, -1, -1, "no checkpoint is signed by the key given");
    }
    if (v->has_known && v->known.size > v->next) {
        found(v, AUDIT_FINDING_KNOWN, v->next, v->known.size - 1,
              "the checkpoint that was kept outside covers %lld leaves; only %lld are here",
              (long long)v->known.size, (long long)v->next);
    }
}

static enum fail check_edge(struct verify *v, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(v->conn, "SELECT size, hashes FROM tree_edge WHERE id = 1");
    bool row;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || v->report->findings_len > 0) {
        return f;
    }
    size_t n = 0;
    const void *hashes = row ? store_col_blob(s, 1, &n) : NULL;
    bool good = row ? (uint64_t)store_col_int(s, 0) == v->stored.size &&
                          n == (size_t)v->stored.len * AUDIT_HASH_SIZE &&
                          memcmp(hashes, v->stored.hash, n) == 0
                    : v->stored.size == 0;
    if (!good) {
        found(v, AUDIT_FINDING_EDGE, -1, -1,
              "the stored edge of the tree is not that of its %lld leaves", (long long)v->next);
    }
    return f;
}

static enum fail run(struct verify *v, struct fault *why)
{
    struct marks m = {0};
    enum fail f = store_read_begin(v->conn, why);
    if (f != FAIL_NONE) {
        return f;
    }
    {
        AUTO_STMT struct store_stmt *s =
            store_query(v->conn, "SELECT size, root, note FROM checkpoint ORDER BY size");
        m.s = s;
        f = pass(v, &m, audit_size(v->conn), why);
        while (f == FAIL_NONE && m.row) {
            f = next_mark(v, &m, why); /* checkpoints beyond the last leaf */
        }
    }
    if (f == FAIL_NONE) {
        check_tail(v, &m);
        f = check_edge(v, why);
    }
    store_read_end(v->conn);
    return f;
}

static void count_key(void *arg, const struct audit_key *key)
{
    (void)key;
    ++*(int *)arg;
}

static bool signed_known(const struct verify *v, const struct audit_verifier *by)
{
    struct audit_note note;
    size_t text_len;
    int64_t at_s;
    const char *text = v->options->known_note;
    return audit_note_scan(text, strlen(text), &note, &text_len) &&
           audit_note_signed_by(text, strlen(text), text_len, by, &at_s);
}

/* The key of the first checkpoints: the given one, unless leaves say that another came before. */
static void first_key(struct verify *v, bool *known_good)
{
    char first[AUDIT_VKEY_SIZE] = "", keys[2][AUDIT_VKEY_SIZE];
    bool linked = false, row;
    struct fault ignored; /* a database that cannot be read is the pass's to find */
    AUTO_STMT struct store_stmt *s =
        store_query(v->conn, "SELECT body FROM leaf WHERE instr(body, "
                             "CAST('\"kind\":\"log_key_changed\"' AS BLOB)) > 0 ORDER BY seq");
    while (store_step(s, &row, &ignored) == FAIL_NONE && row) {
        size_t n;
        const char *body = store_col_blob(s, 0, &n);
        bool changes = audit_rotation_read(body, n, keys[0], keys[1]);
        if (changes && first[0] == '\0') {
            (void)text_copy(first, sizeof(first), keys[0]);
        }
        for (int i = 0; changes && i < 2; i++) {
            struct audit_verifier one;
            linked = linked || strcmp(v->report->vkey, keys[i]) == 0;
            *known_good = *known_good || (v->has_known && audit_vkey_read(keys[i], &one) &&
                                          signed_known(v, &one));
        }
    }
    if (linked) {
        (void)audit_vkey_read(first, &v->verifier);
    }
}

static enum fail pick_key(struct verify *v, struct fault *why)
{
    const struct audit_verify_options *o = v->options;
    if (o->vkey != NULL && !audit_vkey_read(o->vkey, &v->verifier)) {
        FAULT(why, FAIL_BAD_REQUEST, "the key given is not a note verifier key");
        return fail_hint(why, "It has the form origin+hash+base64: `inhouse audit key` prints it.");
    }
    if (o->vkey == NULL) {
        enum fail f = audit_keys_public(o->home, &v->verifier, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    audit_vkey_write(&v->verifier, v->report->vkey);
    v->given = v->verifier;
    v->has_known = o->known_note != NULL;
    bool known_good = !v->has_known || signed_known(v, &v->verifier);
    int keys = 0;
    struct fault ignored;
    if (o->vkey != NULL || v->has_known ||
        audit_key_each(o->home, count_key, &keys, &ignored) != FAIL_NONE || keys != 1) {
        first_key(v, &known_good);
    }
    size_t text_len;
    if (v->has_known && (!known_good || !audit_note_scan(o->known_note, strlen(o->known_note),
                                                         &v->known, &text_len))) {
        FAULT(why, FAIL_BAD_REQUEST, "the checkpoint given is not one this log signed");
        return fail_hint(why, "Give the whole note, with its signature line, of this log.");
    }
    return FAIL_NONE;
}

enum fail audit_verify(const struct audit_verify_options *options, struct audit_report *report,
                       struct fault *why)
{
    memset(report, 0, sizeof(*report));
    int64_t start = clock_monotonic_us();
    struct verify v = {.options = options, .report = report};
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/data.db", options->home);
    if (n < 0 || (size_t)n >= sizeof(path) - 16) {
        return FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long");
    }
    enum fail f = store_file_open(path, &v.conn, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct fault inner;
    f = pick_key(&v, &inner);
    if (f == FAIL_BAD_REQUEST) {
        *why = inner;
    } else if (f != FAIL_NONE) {
        found(&v, AUDIT_FINDING_KEY, -1, -1, "the log's key cannot be read: %.180s", inner.message);
        f = FAIL_NONE;
    } else if (run(&v, &inner) != FAIL_NONE) {
        found(&v, AUDIT_FINDING_DAMAGED, v.next, -1,
              "the database cannot be read on after leaf %lld: %.160s", (long long)v.next - 1,
              inner.message);
    }
    store_reader_close(v.conn);
    audit_range_root(&v.stored, report->root);
    report->ok = f == FAIL_NONE && report->findings_len == 0;
    report->ms = clock_ms_since(start);
    return f;
}
