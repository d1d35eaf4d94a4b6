/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding records. Terms of each leaf (leaf_term), a block of 256 leaves at a time, made while the
 * server has little to do; a search walks the lists of its terms together and compares every hit
 * with its leaf. Leaves that are not in the index yet are read one by one, so a search is complete
 * at any moment.
 */
#include <string.h>

#include "base/json/json.h"
#include "trust/audit/audit_internal.h"

#define BLOCK 256
#define TERMS_MAX 6
#define TICK_MS 2000
#define NEXT_MS 10
#define BUSY_WRITES 20 /* writes in a tick from which on the index waits */

static int64_t term_of(const char *member, const char *value)
{
    crypto_hash_sha256_state st;
    uint8_t hash[32];
    int64_t term;
    crypto_hash_sha256_init(&st);
    crypto_hash_sha256_update(&st, (const uint8_t *)member, strlen(member));
    crypto_hash_sha256_update(&st, (const uint8_t *)"=", 1);
    crypto_hash_sha256_update(&st, (const uint8_t *)value, strlen(value));
    crypto_hash_sha256_final(&st, hash);
    memcpy(&term, hash, sizeof(term));
    return term;
}

/* ---- making it ---- */

static const char *const members[] = {"actor", "kind", "rung", "task", "team", "verdict"};

static enum fail put_term(struct store_conn *c, const char *member, const char *value, int64_t seq,
                          struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(c, "INSERT OR IGNORE INTO leaf_term (term, seq) VALUES (?1, ?2)");
    store_bind_int(s, 1, term_of(member, value));
    store_bind_int(s, 2, seq);
    return store_run(s, why);
}

static enum fail put_terms(struct store_conn *c, const json_t *leaf, int64_t seq,
                           struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < COUNT_OF(members) && f == FAIL_NONE; i++) {
        const char *value = json_string_value(json_object_get(leaf, members[i]));
        f = value != NULL ? put_term(c, members[i], value, seq, why) : FAIL_NONE;
    }
    const json_t *releases = json_object_get(leaf, "releases");
    for (size_t i = 0; i < json_array_size(releases) && f == FAIL_NONE; i++) {
        const char *value = json_string_value(json_array_get(releases, i));
        f = value != NULL ? put_term(c, "release", value, seq, why) : FAIL_NONE;
    }
    return f;
}

struct block {
    int64_t number;
    int64_t at_min, at_max;
    struct audit_range range;
};

static enum fail put_block(struct store_conn *c, const struct block *b, struct fault *why)
{
    uint8_t root[AUDIT_HASH_SIZE];
    audit_range_root(&b->range, root);
    AUTO_STMT struct store_stmt *s = store_query(
        c, "INSERT INTO leaf_block (block, hash, at_min, at_max) VALUES (?1, ?2, ?3, ?4)");
    store_bind_int(s, 1, b->number);
    store_bind_blob(s, 2, root, sizeof(root));
    store_bind_int(s, 3, b->at_min);
    store_bind_int(s, 4, b->at_max);
    return store_run(s, why);
}

/* How many leaves, from the first on, the index holds. */
static int64_t indexed(struct store_conn *c)
{
    struct fault why;
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(c, "SELECT max(block) FROM leaf_block");
    bool none = store_step(s, &row, &why) != FAIL_NONE || !row || store_col_is_null(s, 0);
    return none ? 0 : (store_col_int(s, 0) + 1) * BLOCK;
}

static enum fail index_leaf(struct store_conn *c, struct block *b, struct store_stmt *s,
                            struct fault *why)
{
    json_t *leaf AUTO_JSON = NULL;
    size_t n, hash_n;
    const char *body = store_col_blob(s, 1, &n);
    const uint8_t *hash = store_col_blob(s, 2, &hash_n);
    enum fail f = jn_parse(body, n, "a record", &leaf, why);
    if (f != FAIL_NONE || hash_n != AUDIT_HASH_SIZE) {
        FAULT(why, FAIL_INTERNAL, "record %lld is damaged", (long long)store_col_int(s, 0));
        return fail_hint(why, "Run `inhouse audit verify`.");
    }
    int64_t at = json_integer_value(json_object_get(leaf, "at"));
    b->at_min = b->range.size == 0 || at < b->at_min ? at : b->at_min;
    b->at_max = b->range.size == 0 || at > b->at_max ? at : b->at_max;
    audit_range_push(&b->range, hash);
    return put_terms(c, leaf, store_col_int(s, 0), why);
}

enum fail audit_index_block(struct store_tx *tx, void *arg, struct fault *why)
{
    struct audit *a = arg;
    struct store_conn *c = store_tx_conn(tx);
    int64_t from = indexed(c);
    struct block b = {.number = from / BLOCK};
    a->index_made = false;
    if (audit_size(c) < from + BLOCK) {
        return FAIL_NONE;
    }
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            c, "SELECT seq, body, hash FROM leaf WHERE seq >= ?1 AND seq < ?2 ORDER BY seq");
        store_bind_int(s, 1, from);
        store_bind_int(s, 2, from + BLOCK);
        bool row;
        while ((f = store_step(s, &row, why)) == FAIL_NONE && row &&
               (f = index_leaf(c, &b, s, why)) == FAIL_NONE) {
        }
    }
    if (f == FAIL_NONE && b.range.size != BLOCK) {
        FAULT(why, FAIL_INTERNAL, "leaves are missing from the record");
        f = fail_hint(why, "Run `inhouse audit verify`.");
    }
    f = f != FAIL_NONE ? f : put_block(c, &b, why);
    a->index_made = f == FAIL_NONE;
    return f;
}

/* ---- in the background ---- */

static void tick(void *arg);

static void block_done(void *arg, enum fail code, const struct fault *why)
{
    struct audit *a = arg;
    (void)why; /* a damaged record is the verification's to name; the search reads the leaves */
    a->index_busy = false;
    if (a->index_loop != NULL && a->index_timer == 0) {
        a->index_timer =
            loop_timer_add(a->index_loop, code == FAIL_NONE && a->index_made ? NEXT_MS : TICK_MS,
                           tick, a);
    }
}

static void tick(void *arg)
{
    struct audit *a = arg;
    struct store_stats now;
    struct fault why;
    store_stats(a->data, &now);
    bool busy = now.writes - a->index_writes > BUSY_WRITES || now.queued > 0;
    a->index_writes = now.writes;
    a->index_timer = 0;
    if (!busy && !now.stopped && !a->index_busy) {
        a->index_busy = store_write(a->data, audit_index_block, a, block_done, a->index_loop,
                                    &why) == FAIL_NONE;
    }
    if (!a->index_busy) {
        a->index_timer = loop_timer_add(a->index_loop, TICK_MS, tick, a);
    }
}

void audit_index_start(struct audit *a, struct loop *loop)
{
    a->index_loop = loop;
    a->index_timer = loop_timer_add(loop, TICK_MS, tick, a);
}

void audit_index_stop(struct audit *a)
{
    if (a != NULL && a->index_loop != NULL) {
        loop_timer_cancel(a->index_loop, a->index_timer);
        a->index_loop = NULL;
    }
}

/* ---- how many of each kind ---- */

struct kind_count {
    int64_t *counts;
};

static bool count_kind(void *arg, int64_t seq, const char *body, size_t n)
{
    struct kind_count *x = arg;
    static const char mark[] = "\"kind\":\"";
    const char *at = memmem(body, n, mark, sizeof(mark) - 1);
    (void)seq;
    for (int k = 0; at != NULL && k < AUDIT_KIND_COUNT; k++) {
        const char *name = audit_kind_name((enum audit_kind)k);
        size_t len = strlen(name);
        const char *value = at + sizeof(mark) - 1;
        if ((size_t)(body + n - value) > len && memcmp(value, name, len) == 0 &&
            value[len] == '"') {
            x->counts[k]++;
        }
    }
    return true;
}

enum fail audit_kind_counts(struct store_conn *conn, int64_t counts[AUDIT_KIND_COUNT],
                            struct fault *why)
{
    memset(counts, 0, AUDIT_KIND_COUNT * sizeof(*counts));
    int64_t end = indexed(conn);
    enum fail f = FAIL_NONE;
    for (int k = 0; k < AUDIT_KIND_COUNT && f == FAIL_NONE && end > 0; k++) {
        bool row = false;
        AUTO_STMT struct store_stmt *s =
            store_query(conn, "SELECT count(*) FROM leaf_term WHERE term = ?1 AND seq < ?2");
        store_bind_int(s, 1, term_of("kind", audit_kind_name((enum audit_kind)k)));
        store_bind_int(s, 2, end);
        f = store_step(s, &row, why);
        counts[k] = row ? store_col_int(s, 0) : 0;
    }
    struct kind_count x = {counts};
    return f != FAIL_NONE ? f : audit_leaf_each(conn, end, INT64_MAX, count_kind, &x, why);
}

/* ---- searching ---- */

struct search {
    struct store_conn *conn;
    const struct audit_query *q;
    int64_t terms[TERMS_MAX];
    size_t terms_len;
    bool (*fn)(void *arg, int64_t seq, const char *body, size_t n);
    void *arg;
    int64_t seq;    /* the next to look at */
    bool stopped;
};

static const char *wanted(const struct audit_query *q, size_t member)
{
    const char *const values[] = {q->actor, q->kind, q->rung, q->task, q->team, q->verdict};
    return values[member];
}

static bool matches(const struct audit_query *q, const char *body, size_t n)
{
    struct fault why;
    json_t *leaf AUTO_JSON = NULL;
    if (jn_parse(body, n, "a record", &leaf, &why) != FAIL_NONE) {
        return false;
    }
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        const char *is = json_string_value(json_object_get(leaf, members[i]));
        if (wanted(q, i) != NULL && (is == NULL || strcmp(is, wanted(q, i)) != 0)) {
            return false;
        }
    }
    int64_t at = json_integer_value(json_object_get(leaf, "at"));
    if ((q->since != 0 && at < q->since) || (q->until != 0 && at >= q->until)) {
        return false;
    }
    const json_t *releases = json_object_get(leaf, "releases");
    bool any = q->releases_len == 0;
    for (size_t i = 0; i < json_array_size(releases) && !any; i++) {
        const char *is = json_string_value(json_array_get(releases, i));
        for (size_t k = 0; k < q->releases_len && !any; k++) {
            any = is != NULL && strcmp(is, q->releases[k]) == 0;
        }
    }
    return any;
}

/* A value without characters that JSON escapes stands in the body as it is. */
static bool may_match(const struct audit_query *q, const char *body, size_t n)
{
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        const char *v = wanted(q, i);
        bool plain = v != NULL;
        for (const char *p = v; plain && *p != '\0'; p++) {
            plain = (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\';
        }
        if (plain && memmem(body, n, v, strlen(v)) == NULL) {
            return false;
        }
    }
    return true;
}

/* The first seq >= from that has the term; INT64_MAX: none. */
static enum fail next_of(struct store_conn *c, int64_t term, int64_t from, int64_t *out,
                         struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT seq FROM leaf_term WHERE term = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1");
    store_bind_int(s, 1, term);
    store_bind_int(s, 2, from);
    bool row = false;
    enum fail f = store_step(s, &row, why);
    *out = row ? store_col_int(s, 0) : INT64_MAX;
    return f;
}

static enum fail next_release(struct search *x, struct fault *why)
{
    int64_t first = INT64_MAX;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < x->q->releases_len && f == FAIL_NONE; i++) {
        int64_t n = INT64_MAX;
        f = next_of(x->conn, term_of("release", x->q->releases[i]), x->seq, &n, why);
        first = n < first ? n : first;
    }
    x->seq = first;
    return f;
}

/* The first seq in a block that can hold the time asked for. */
static enum fail next_in_time(struct search *x, int64_t *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        x->conn, "SELECT block FROM leaf_block WHERE block >= ?1 AND at_max >= ?2 AND "
                 "at_min < ?3 ORDER BY block LIMIT 1");
    store_bind_int(s, 1, x->seq / BLOCK);
    store_bind_int(s, 2, x->q->since);
    store_bind_int(s, 3, x->q->until != 0 ? x->q->until : INT64_MAX);
    bool row = false;
    enum fail f = store_step(s, &row, why);
    int64_t first = row ? store_col_int(s, 0) * BLOCK : INT64_MAX;
    *out = first > x->seq ? first : x->seq;
    return f;
}

/* Moves x->seq to the next leaf that every list holds, or to INT64_MAX. */
static enum fail settle(struct search *x, struct fault *why)
{
    enum fail f = FAIL_NONE;
    bool moved = true;
    while (moved && f == FAIL_NONE && x->seq != INT64_MAX) {
        int64_t at = x->seq;
        for (size_t i = 0; i < x->terms_len && f == FAIL_NONE && x->seq != INT64_MAX; i++) {
            f = next_of(x->conn, x->terms[i], x->seq, &x->seq, why);
        }
        if (f == FAIL_NONE && x->seq != INT64_MAX && x->q->releases_len > 0) {
            f = next_release(x, why);
        }
        if (f == FAIL_NONE && x->seq != INT64_MAX && (x->q->since != 0 || x->q->until != 0)) {
            f = next_in_time(x, &x->seq, why);
        }
        moved = x->seq != at;
    }
    return f;
}

static bool offer(void *arg, int64_t seq, const char *body, size_t n)
{
    struct search *x = arg;
    x->seq = seq + 1;
    if (may_match(x->q, body, n) && matches(x->q, body, n)) {
        x->stopped = !x->fn(x->arg, seq, body, n);
    }
    return !x->stopped;
}

static enum fail by_index(struct search *x, int64_t end, struct fault *why)
{
    enum fail f = FAIL_NONE;
    while (f == FAIL_NONE && !x->stopped && x->seq < end) {
        f = settle(x, why);
        if (f == FAIL_NONE && x->seq < end) {
            f = audit_leaf_each(x->conn, x->seq, 1, offer, x, why);
        }
    }
    if (x->seq > end) {
        x->seq = end;
    }
    return f;
}

enum fail audit_search(struct store_conn *conn, const struct audit_query *q, int64_t from,
                       int64_t scan_max, bool (*fn)(void *arg, int64_t seq, const char *body,
                                                    size_t n),
                       void *arg, int64_t *next, struct fault *why)
{
    struct search x = {.conn = conn, .q = q, .fn = fn, .arg = arg, .seq = from};
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        if (wanted(q, i) != NULL) {
            x.terms[x.terms_len++] = term_of(members[i], wanted(q, i));
        }
    }
    enum fail f = store_read_begin(conn, why);
    if (f != FAIL_NONE) {
        return f;
    }
    int64_t size = audit_size(conn);
    int64_t end = indexed(conn);
    bool narrow = x.terms_len > 0 || q->releases_len > 0 || q->since != 0 || q->until != 0;
    if (narrow && !q->scan && from < end) {
        f = by_index(&x, end, why);
    }
    if (f == FAIL_NONE && !x.stopped && x.seq < size) {
        f = audit_leaf_each(conn, x.seq, scan_max, offer, &x, why);
    }
    store_read_end(conn);
    *next = x.seq < size ? x.seq : -1;
    return f;
}
