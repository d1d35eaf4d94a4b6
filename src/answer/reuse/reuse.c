/* SPDX-License-Identifier: Apache-2.0 */
/* Exact reuse: keys, and fields as length-prefixed pairs so that reading trusts nothing but its
   own bytes. */
#include "answer/reuse/reuse.h"

#include <string.h>

#include "base/clock/clock.h"

#define FIELDS_MAX_BYTES ((size_t)256 * 1024)

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

enum fail reuse_find(struct store_conn *conn, const struct reuse_key *key, struct arena *arena,
                     struct reuse_entry *out, bool *found, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT task, fields, draft FROM reuse WHERE key = ?1");
    *found = false;
    store_bind_blob(s, 1, key->bytes, sizeof(key->bytes));
    bool row = false;
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    memset(out, 0, sizeof(*out));
    size_t len = 0, at = 0;
    const uint8_t *data = store_col_blob(s, 1, &len);
    while (at < len && out->n < REUSE_MAX_FIELDS) {
        const char *name = take_string(data, len, &at, arena);
        const char *value = name == NULL ? NULL : take_string(data, len, &at, arena);
        if (value == NULL) {
            return FAULT(why, FAIL_INTERNAL, "a reuse entry is damaged");
        }
        out->names[out->n] = name;
        out->values[out->n++] = value;
    }
    store_col_id(s, 0, &out->task);
    out->draft = arena_dup_str(arena, store_col_text(s, 2));
    *found = true;
    return FAIL_NONE;
}

enum fail reuse_put(struct store_tx *tx, const struct reuse_key *key,
                    const struct reuse_entry *entry, struct fault *why)
{
    struct buf b;
    buf_init(&b, FIELDS_MAX_BYTES);
    for (size_t i = 0; i < entry->n; i++) {
        put_string(&b, entry->names[i]);
        put_string(&b, entry->values[i]);
    }
    enum fail f = FAIL_NONE;
    if (!b.overflow) {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx), "INSERT INTO reuse (key, task, fields, draft, created_at) "
                               "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING");
        store_bind_blob(s, 1, key->bytes, sizeof(key->bytes));
        store_bind_id(s, 2, &entry->task);
        store_bind_blob(s, 3, b.data != NULL ? b.data : "", b.len);
        store_bind_text(s, 4, entry->draft);
        store_bind_int(s, 5, clock_now_us());
        f = store_run(s, why);
    }
    buf_done(&b);
    return f;
}
