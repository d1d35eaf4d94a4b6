/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The desk's ticket behind an artifact: which version it was made from, and where the ticket is
 * now. A decision that names a version which is no longer the ticket's is refused, with what
 * changed.
 *
 * Owns: table review_ticket. Threads: as review.h says. Limits: REVIEW_TEXT_MAX of a text.
 */
#include <string.h>

#include "work/review/review_internal.h"

#define TICKET_MAX 200

/* Without a version of the desk's own, the text is its own. */
static void version_of(const char *text, char out[TEXT_SHA256_HEX_SIZE])
{
    uint8_t hash[32];
    text_sha256(text, strlen(text), hash);
    text_hex(hash, 8, out);
}

enum fail review_ticket_add(struct store_tx *tx, const struct review_artifact *a, int64_t now,
                            struct fault *why)
{
    char version[TEXT_SHA256_HEX_SIZE];
    if (a->ticket == NULL || a->ticket[0] == '\0' || a->input == NULL) {
        return FAIL_NONE;
    }
    version_of(a->input, version);
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO review_ticket (artifact, team, ticket, version, now, "
                           "now_text, updated_at) VALUES (?1, ?2, ?3, ?4, ?4, NULL, ?5)");
    store_bind_id(s, 1, &a->id);
    store_bind_text(s, 2, a->team);
    store_bind_text(s, 3, a->ticket);
    store_bind_text(s, 4, version);
    store_bind_int(s, 5, now);
    return store_run(s, why);
}

enum fail review_ticket_moved(struct store_tx *tx, const char *team, const char *ticket,
                              const char *version, const char *text, int64_t now, int64_t *n,
                              struct fault *why)
{
    char own[TEXT_SHA256_HEX_SIZE];
    if (ticket[0] == '\0' || strlen(ticket) > TICKET_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "\"ticket\" is 1 to %d bytes", TICKET_MAX);
        return fail_param(why, "ticket");
    }
    if (text != NULL && strlen(text) > REVIEW_TEXT_MAX) {
        FAULT(why, FAIL_TOO_LARGE, "\"text\" is over %d KiB", REVIEW_TEXT_MAX / 1024);
        return fail_param(why, "text");
    }
    if ((version == NULL || version[0] == '\0') && text == NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "a \"version\" or the \"text\" is needed");
        return fail_param(why, "version");
    }
    if (version == NULL || version[0] == '\0') {
        version_of(text, own);
        version = own;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "UPDATE review_ticket SET now = ?3, now_text = ?4, updated_at = ?5 WHERE team = ?1 AND "
        "ticket = ?2 AND EXISTS (SELECT 1 FROM artifact a WHERE a.id = review_ticket.artifact AND "
        "a.state IN ('draft', 'in_review', 'escalated'))");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, ticket);
    store_bind_text(s, 3, version);
    store_bind_text(s, 4, text);
    store_bind_int(s, 5, now);
    enum fail f = store_run(s, why);
    *n = store_changes(store_tx_conn(tx));
    return f;
}

enum fail review_ticket_get(struct store_conn *conn, struct arena *arena, const struct id *artifact,
                            bool *found, struct review_ticket *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT ticket, version, now, now_text FROM review_ticket WHERE artifact = ?1");
    store_bind_id(s, 1, artifact);
    enum fail f = store_step(s, found, why);
    if (f == FAIL_NONE && *found) {
        *out = (struct review_ticket){
            .ticket = arena_dup_str(arena, store_col_text(s, 0)),
            .version = arena_dup_str(arena, store_col_text(s, 1)),
            .now = arena_dup_str(arena, store_col_text(s, 2)),
            .text = store_col_is_null(s, 3) ? NULL : arena_dup_str(arena, store_col_text(s, 3))};
    }
    return f;
}

enum fail review_ticket_check(struct store_conn *c, const struct review_decide *d,
                              struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT version, now FROM review_ticket WHERE artifact = ?1");
    store_bind_id(s, 1, &d->id);
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    /* Whoever does not say what they saw, saw what the artifact was made from. */
    const char *seen = d->ticket_version != NULL ? d->ticket_version : store_col_text(s, 0);
    if (strcmp(seen, store_col_text(s, 1)) != 0) {
        FAULT(why, FAIL_CONFLICT, "the ticket moved on: it is version %.60s, you saw %.60s",
              store_col_text(s, 1), seen);
        fail_param(why, "ticket_version");
        return fail_hint(why, "Nothing was changed. The item shows the difference; decide again "
                              "with the version it names.");
    }
    return FAIL_NONE;
}

/* ---- what changed ---- */

#define DIFF_MAX 400

struct piece {
    const char *text;
    size_t len;
};

static size_t pieces(const char *s, struct piece *out)
{
    size_t n = 0;
    while (*s != '\0' && n < DIFF_MAX) {
        s += strspn(s, " \t\r\n");
        size_t len = 0;
        while (s[len] != '\0' && s[len] != '\n') {
            len++;
            if (strchr(".!?", s[len - 1]) != NULL && strchr(" \n", s[len]) != NULL) {
                break; /* strchr finds the end too */
            }
        }
        if (len > 0) {
            out[n++] = (struct piece){s, len};
        }
        s += len;
    }
    return n;
}

static bool same_piece(const struct piece *a, const struct piece *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

void review_difference(const char *before, const char *after, review_change_fn fn, void *arg)
{
    struct piece a[DIFF_MAX], b[DIFF_MAX];
    size_t n = pieces(before, a), m = pieces(after, b), i = 0, k = 0;
    uint16_t(*common)[DIFF_MAX + 1] = mem_alloc_array(n + 1, sizeof(*common));
    for (size_t x = n; x-- > 0;) {
        for (size_t y = m; y-- > 0;) {
            common[x][y] = same_piece(&a[x], &b[y]) ? (uint16_t)(common[x + 1][y + 1] + 1)
                           : common[x + 1][y] > common[x][y + 1] ? common[x + 1][y]
                                                                 : common[x][y + 1];
        }
    }
    while (i < n || k < m) {
        if (i < n && k < m && same_piece(&a[i], &b[k])) {
            i++;
            k++;
        } else if (k == m || (i < n && common[i + 1][k] >= common[i][k + 1])) {
            fn(arg, false, a[i].text, a[i].len);
            i++;
        } else {
            fn(arg, true, b[k].text, b[k].len);
            k++;
        }
    }
    mem_free(common);
}
