/* SPDX-License-Identifier: Apache-2.0 */
/* Exact reuse: canonical text, keys, and fields as length-prefixed pairs so that reading trusts
   nothing but its own bytes. */
#include "answer/reuse/reuse_internal.h"

#include <string.h>

#include "base/clock/clock.h"

void reuse_key_make(const char *const *parts, size_t n, struct reuse_key *out)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 26);
    for (size_t i = 0; i < n; i++) {
        uint64_t len = parts[i] == NULL ? UINT64_MAX : strlen(parts[i]);
        buf_add(&b, &len, sizeof(len));
        buf_add_str(&b, parts[i] == NULL ? "" : parts[i]);
    }
    ASSERT(!b.overflow);
    text_sha256(b.data, b.len, out->bytes);
    buf_done(&b);
}

char *reuse_canonical(struct arena *arena, const char *text)
{
    size_t n = strlen(text), k = 0, kept = 0;
    char *out = arena_alloc(arena, n + 1);
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (c == '\r' && text[i + 1] == '\n') {
            continue;
        }
        if (c == '\n') {
            k = kept; /* no white space at the end of a line */
            if (k == 0) {
                continue; /* nor empty lines before the text */
            }
        }
        out[k++] = c;
        kept = c == ' ' || c == '\t' ? kept : k;
    }
    while (kept > 0 && out[kept - 1] == '\n') {
        kept--;
    }
    out[kept] = '\0';
    return out;
}

static void put_string(struct buf *b, const char *s)
{
    uint32_t len = (uint32_t)strlen(s);
    buf_add(b, &len, sizeof(len));
    buf_add(b, s, len);
}

/* Reads one string at *at; NULL when the bytes end before it does. */
static const char *take_string(const uint8_t *data, size_t n, size_t *at, struct arena *arena)
{
    uint32_t len;
    if (n - *at < sizeof(len)) {
        return NULL;
    }
    memcpy(&len, data + *at, sizeof(len));
    *at += sizeof(len);
    if (len > n - *at) {
        return NULL;
    }
    const char *s = arena_dup_strn(arena, (const char *)data + *at, len);
    *at += len;
    return s;
}

bool reuse_fields_write(const struct reuse_entry *entry, struct buf *out)
{
    for (size_t i = 0; i < entry->n; i++) {
        put_string(out, entry->names[i]);
        put_string(out, entry->values[i]);
    }
    return !out->overflow;
}

enum fail reuse_fields_read(const uint8_t *data, size_t len, struct arena *arena,
                            struct reuse_entry *out, struct fault *why)
{
    size_t at = 0;
    out->n = 0;
    while (at < len && out->n < REUSE_MAX_FIELDS) {
        const char *name = take_string(data, len, &at, arena);
        const char *value = name == NULL ? NULL : take_string(data, len, &at, arena);
        if (value == NULL) {
            return FAULT(why, FAIL_INTERNAL, "a reuse entry is damaged");
        }
        out->names[out->n] = name;
        out->values[out->n++] = value;
    }
    return FAIL_NONE;
}

const char *reuse_how_name(enum reuse_how how)
{
    static const char *const names[] = {"none", "exact", "template", "semantic"};
    return names[how <= REUSE_SEMANTIC ? how : 0];
}

double reuse_confidence(enum reuse_how how, size_t confirmed)
{
    return how == REUSE_EXACT      ? 1
           : how == REUSE_TEMPLATE ? 1 - 1 / (50.0 + (double)confirmed)
                                   : 0.95;
}

enum fail reuse_find(struct store_conn *conn, const struct reuse_key *key, struct arena *arena,
                     struct reuse_entry *out, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT task, fields, draft FROM reuse WHERE key = ?1 AND waits = 0");
    *found = false;
    store_bind_blob(s, 1, key->bytes, sizeof(key->bytes));
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    memset(out, 0, sizeof(*out));
    size_t len = 0;
    const uint8_t *data = store_col_blob(s, 1, &len);
    f = reuse_fields_read(data, len, arena, out, why);
    if (f != FAIL_NONE) {
        return f;
    }
    store_col_id(s, 0, &out->task);
    out->draft = arena_dup_str(arena, store_col_text(s, 2));
    *found = true;
    return FAIL_NONE;
}

static int64_t today(void)
{
    const int64_t day = (int64_t)24 * 3600 * 1000000;
    return clock_now_us() / day * day;
}

/* One in 256 puts looks whether there are too many. */
static enum fail keep_within(struct store_tx *tx, const struct reuse_key *key, struct fault *why)
{
    if (key->bytes[0] != 0) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "DELETE FROM reuse WHERE key IN (SELECT key FROM reuse ORDER BY used_at, created_at "
        "LIMIT (SELECT max(0, count(*) - ?1) FROM reuse))");
    store_bind_int(s, 1, REUSE_EXACT_ROWS);
    return store_run(s, why);
}

enum fail reuse_put(struct store_tx *tx, const struct reuse_key *key, const char *domain,
                    const struct reuse_owner *owner, const struct reuse_entry *entry,
                    struct fault *why)
{
    struct buf b;
    buf_init(&b, REUSE_FIELDS_BYTES);
    enum fail f = FAIL_NONE;
    if (reuse_fields_write(entry, &b)) {
        AUTO_STMT struct store_stmt *s =
            store_query(store_tx_conn(tx),
                        "INSERT INTO reuse (key, task, fields, draft, created_at, domain, team, "
                        "actor, used_at, waits) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 "
                        "WHERE NOT EXISTS (SELECT 1 FROM reuse_revoked WHERE task = ?2) "
                        "ON CONFLICT (key) DO UPDATE SET task = ?2, fields = ?3, draft = ?4, "
                        "team = ?7, actor = ?8, waits = 0 WHERE waits = 1 AND ?10 = 0");
        store_bind_blob(s, 1, key->bytes, sizeof(key->bytes));
        store_bind_id(s, 2, &entry->task);
        store_bind_blob(s, 3, b.data != NULL ? b.data : "", b.len);
        store_bind_text(s, 4, entry->draft);
        store_bind_int(s, 5, clock_now_us());
        store_bind_text(s, 6, domain);
        store_bind_text(s, 7, owner->team);
        store_bind_text(s, 8, owner->actor);
        store_bind_int(s, 9, today());
        store_bind_int(s, 10, entry->waits);
        f = store_run(s, why);
        f = f != FAIL_NONE ? f : keep_within(tx, key, why);
    }
    buf_done(&b);
    return f;
}

enum fail reuse_use(struct store_tx *tx, const struct reuse_key *key, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE reuse SET used_at = ?2 WHERE key = ?1 AND used_at < ?2");
    store_bind_blob(s, 1, key->bytes, sizeof(key->bytes));
    store_bind_int(s, 2, today());
    return store_run(s, why);
}
