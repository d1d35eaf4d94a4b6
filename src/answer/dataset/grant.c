/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may read a dataset, and how one comes to: grants with a reason and an end, requests for them,
 * the owner's decision. Threads: the connection's.
 */
#include <stdio.h>
#include <string.h>

#include "answer/dataset/dataset_internal.h"
#include "base/clock/clock.h"

#define DAY_US ((int64_t)86400 * 1000000)

/* ---- rights ---- */

static bool is_owner(const struct dataset_about *d, const struct principal *p)
{
    return d->owner.name[0] != '\0' &&
           strcmp(d->owner.name, d->owner.kind == DATASET_TEAM ? p->team : p->name) == 0;
}

static bool reads(struct store_conn *conn, int64_t no, const struct principal *p, int64_t now)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT 1 FROM dataset_reader r WHERE r.dataset = ?4 AND " DATASET_READABLE
              " LIMIT 1");
    bool row = false;
    struct fault why;
    store_bind_text(s, 1, p->team);
    store_bind_text(s, 2, p->name);
    store_bind_int(s, 3, now);
    store_bind_int(s, 4, no);
    return store_step(s, &row, &why) == FAIL_NONE && row; /* what cannot be read is not granted */
}

unsigned dataset_rights(struct store_conn *conn, const struct dataset_about *d,
                        const struct principal *p, int64_t now)
{
    unsigned rights = 0;
    if (!keyring_limits_allow(p, KEYRING_LIMIT_DATASETS, d->name)) {
        return 0; /* a key that is confined to other datasets */
    }
    if (reads(conn, d->no, p, now)) {
        rights |= DATASET_READS | DATASET_SEES;
    }
    if (d->no != 0 && (is_owner(d, p) || (p->scopes & KEYRING_SCOPE_ADMIN) != 0)) {
        rights |= DATASET_OWNS | DATASET_SEES;
    }
    return d->listed ? rights | DATASET_SEES : rights;
}

bool dataset_may_read(struct store_conn *conn, const char *name, const struct principal *p,
                      int64_t now)
{
    struct dataset_about d;
    struct fault why;
    return dataset_find(conn, name, &d, &why) == FAIL_NONE &&
           (dataset_rights(conn, &d, p, now) & DATASET_READS) != 0;
}

/* ---- grants ---- */

static enum fail subject_check(const struct dataset_subject *who, struct fault *why)
{
    if (who->name[0] == '\0' || (who->kind == DATASET_TEAM && !text_is_name(who->name))) {
        FAULT(why, FAIL_BAD_REQUEST, "a grant is for a team or for one user, by name");
        return fail_param(why, "name");
    }
    return FAIL_NONE;
}

static enum fail end_check(int64_t ends_at, int64_t now, struct fault *why)
{
    if (ends_at <= now || ends_at > now + DATASET_GRANT_DAYS_MAX * DAY_US) {
        FAULT(why, FAIL_BAD_REQUEST, "access ends within %d days, and not before now",
              DATASET_GRANT_DAYS_MAX);
        return fail_param(why, "ends_at");
    }
    return FAIL_NONE;
}

static enum fail end_grants(struct store_conn *conn, const struct principal *p, int64_t dataset,
                            const struct dataset_subject *who, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "UPDATE dataset_grant SET revoked_at = ?4, revoked_by = ?5 WHERE dataset = ?1 AND "
              "kind = ?2 AND name = ?3 AND revoked_at = 0 AND ends_at > ?4");
    store_bind_int(s, 1, dataset);
    store_bind_text(s, 2, dataset_who_name(who->kind));
    store_bind_text(s, 3, who->name);
    store_bind_int(s, 4, clock_now_us());
    store_bind_text(s, 5, p->name);
    return store_run(s, why);
}

static enum fail grant_room(struct store_conn *conn, int64_t dataset, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT count(*) FROM dataset_grant WHERE dataset = ?1");
    bool row = false;
    store_bind_int(s, 1, dataset);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row && store_col_int(s, 0) >= DATASET_GRANTS_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a dataset keeps at most %d grants", DATASET_GRANTS_MAX);
    }
    return f;
}

enum fail dataset_grant_add(struct store_tx *tx, struct audit *audit, const struct principal *p,
                            const struct dataset_about *d, const struct dataset_subject *who,
                            const char *reason, int64_t ends_at, struct id *made,
                            struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    int64_t now = clock_now_us();
    enum fail f = subject_check(who, why);
    f = f != FAIL_NONE ? f : dataset_reason_check("reason", reason, why);
    f = f != FAIL_NONE ? f : end_check(ends_at, now, why);
    f = f != FAIL_NONE ? f : grant_room(conn, d->no, why);
    f = f != FAIL_NONE ? f : end_grants(conn, p, d->no, who, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct id id = text_id_new();
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "INSERT INTO dataset_grant (id, dataset, kind, name, reason, granted_by, "
                  "granted_at, ends_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
        store_bind_id(s, 1, &id);
        store_bind_int(s, 2, d->no);
        store_bind_text(s, 3, dataset_who_name(who->kind));
        store_bind_text(s, 4, who->name);
        store_bind_text(s, 5, reason);
        store_bind_text(s, 6, p->name);
        store_bind_int(s, 7, now);
        store_bind_int(s, 8, ends_at);
        f = store_run(s, why);
    }
    if (f == FAIL_NONE && made != NULL) {
        *made = id;
    }
    return f != FAIL_NONE ? f : dataset_note(tx, audit, p, d->name, "granted", who->name, why);
}

enum fail dataset_grant_revoke(struct store_tx *tx, struct audit *audit, const struct principal *p,
                               const struct dataset_about *d, const struct dataset_subject *who,
                               struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    enum fail f = end_grants(conn, p, d->no, who, why);
    if (f == FAIL_NONE && store_changes(conn) == 0) {
        FAULT(why, FAIL_NOT_FOUND, "%s `%.64s` has no grant of dataset `%s` to end",
              dataset_who_name(who->kind), who->name, d->name);
        return fail_hint(why, "`inhouse datasets show %s` lists its grants.", d->name);
    }
    return f != FAIL_NONE ? f : dataset_note(tx, audit, p, d->name, "revoked", who->name, why);
}

#define GRANT_COLUMNS                                                                              \
    "g.id, g.kind, g.name, g.reason, g.granted_by, g.granted_at, g.ends_at, g.revoked_at, "        \
    "g.revoked_by"

static bool read_subject(const char *kind, const char *name, struct dataset_subject *out)
{
    *out = (struct dataset_subject){0};
    (void)text_copy(out->name, sizeof(out->name), name);
    return dataset_who_find(kind, &out->kind);
}

static void read_grant(struct store_stmt *s, struct dataset_grant *g)
{
    *g = (struct dataset_grant){.granted_at = store_col_int(s, 5),
                                .ends_at = store_col_int(s, 6),
                                .revoked_at = store_col_int(s, 7)};
    (void)store_col_id(s, 0, &g->id);
    (void)read_subject(store_col_text(s, 1), store_col_text(s, 2), &g->who);
    (void)text_copy(g->reason, sizeof(g->reason), store_col_text(s, 3));
    (void)text_copy(g->granted_by, sizeof(g->granted_by), store_col_text(s, 4));
    (void)text_copy(g->revoked_by, sizeof(g->revoked_by), store_col_text(s, 8));
}

enum fail dataset_grant_each(struct store_conn *conn, int64_t dataset, dataset_grant_fn fn,
                             void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT " GRANT_COLUMNS " FROM dataset_grant g WHERE g.dataset = ?1 "
                          "ORDER BY g.granted_at DESC, g.id DESC");
    bool row;
    enum fail f;
    store_bind_int(s, 1, dataset);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct dataset_grant g;
        read_grant(s, &g);
        fn(arg, &g);
    }
    return f;
}

enum fail dataset_readers(struct store_conn *conn, const char *name, int64_t now,
                          dataset_reader_fn fn, void *arg, struct fault *why)
{
    struct dataset_about d;
    enum fail f = dataset_find(conn, name, &d, why);
    if (f != FAIL_NONE) {
        return f;
    }
    fn(arg, &d.owner, NULL);
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT " GRANT_COLUMNS " FROM dataset_grant g WHERE g.dataset = ?1 AND "
                          "g.revoked_at = 0 AND g.granted_at <= ?2 AND g.ends_at > ?2 "
                          "ORDER BY g.kind, g.name");
    bool row;
    store_bind_int(s, 1, d.no);
    store_bind_int(s, 2, now);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct dataset_grant g;
        read_grant(s, &g);
        fn(arg, &g.who, &g);
    }
    return f;
}

enum fail dataset_of_subject(struct store_conn *conn, const struct dataset_subject *who,
                             int64_t now, void (*fn)(void *arg, const struct dataset_about *d),
                             void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT " DATASET_ABOUT_COLUMNS " FROM dataset_about a WHERE a.no IN (SELECT "
              "r.dataset FROM dataset_reader r WHERE " DATASET_READABLE ") ORDER BY a.name");
    bool row;
    enum fail f;
    store_bind_text(s, 1, who->kind == DATASET_TEAM ? who->name : "");
    store_bind_text(s, 2, who->kind == DATASET_USER ? who->name : "");
    store_bind_int(s, 3, now);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct dataset_about d;
        dataset_about_read(s, &d);
        fn(arg, &d);
    }
    return f;
}

/* ---- requests ---- */

static const char *const state_names[] = {"open", "granted", "refused"};

const char *dataset_request_state_name(enum dataset_request_state s)
{
    return state_names[s];
}

static enum fail request_room(struct store_conn *conn, int64_t dataset,
                              const struct dataset_subject *who, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT count(*), coalesce(sum(kind = ?2 AND name = ?3), 0) FROM dataset_request "
              "WHERE dataset = ?1 AND state = 'open'");
    bool row = false;
    store_bind_int(s, 1, dataset);
    store_bind_text(s, 2, dataset_who_name(who->kind));
    store_bind_text(s, 3, who->name);
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    if (store_col_int(s, 1) > 0) {
        return FAULT(why, FAIL_CONFLICT, "a request for %s %s waits for the owner already",
                     dataset_who_name(who->kind), who->name);
    }
    return store_col_int(s, 0) < DATASET_REQUESTS_OPEN
               ? FAIL_NONE
               : FAULT(why, FAIL_QUEUE_FULL, "%d requests wait for the owner already",
                       DATASET_REQUESTS_OPEN);
}

enum fail dataset_request_add(struct store_tx *tx, struct audit *audit, const struct principal *p,
                              const struct dataset_about *d, enum dataset_who as,
                              const char *reason, struct id *made, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    int64_t now = clock_now_us();
    struct dataset_subject who = {.kind = as};
    (void)text_copy(who.name, sizeof(who.name), as == DATASET_TEAM ? p->team : p->name);
    enum fail f = dataset_reason_check("reason", reason, why);
    if (f == FAIL_NONE && reads(conn, d->no, p, now)) {
        return FAULT(why, FAIL_CONFLICT, "you may read dataset `%s` already", d->name);
    }
    f = f != FAIL_NONE ? f : request_room(conn, d->no, &who, why);
    if (f != FAIL_NONE) {
        return f;
    }
    *made = text_id_new();
    {
        AUTO_STMT struct store_stmt *s = store_query(
            conn, "INSERT INTO dataset_request (id, dataset, kind, name, reason, asked_by, "
                  "asked_at, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'open')");
        store_bind_id(s, 1, made);
        store_bind_int(s, 2, d->no);
        store_bind_text(s, 3, dataset_who_name(as));
        store_bind_text(s, 4, who.name);
        store_bind_text(s, 5, reason);
        store_bind_text(s, 6, p->name);
        store_bind_int(s, 7, now);
        f = store_run(s, why);
    }
    return f != FAIL_NONE ? f : dataset_note(tx, audit, p, d->name, "requested", reason, why);
}

#define REQUEST_SELECT                                                                             \
    "SELECT q.id, a.name, q.kind, q.name, q.reason, q.asked_by, q.asked_at, q.state, "             \
    "q.decided_by, q.decided_at, q.note FROM dataset_request q JOIN dataset_about a "              \
    "ON a.no = q.dataset "

static void read_request(struct store_stmt *s, struct dataset_request *r)
{
    *r = (struct dataset_request){.asked_at = store_col_int(s, 6),
                                  .decided_at = store_col_int(s, 9)};
    (void)store_col_id(s, 0, &r->id);
    (void)text_copy(r->dataset, sizeof(r->dataset), store_col_text(s, 1));
    (void)read_subject(store_col_text(s, 2), store_col_text(s, 3), &r->who);
    (void)text_copy(r->reason, sizeof(r->reason), store_col_text(s, 4));
    (void)text_copy(r->asked_by, sizeof(r->asked_by), store_col_text(s, 5));
    for (size_t i = 0; i < COUNT_OF(state_names); i++) {
        if (strcmp(store_col_text(s, 7), state_names[i]) == 0) {
            r->state = (enum dataset_request_state)i;
        }
    }
    (void)text_copy(r->decided_by, sizeof(r->decided_by), store_col_text(s, 8));
    (void)text_copy(r->note, sizeof(r->note), store_col_text(s, 10));
}

static enum fail no_request(struct fault *why)
{
    FAULT(why, FAIL_NOT_FOUND, "there is no such request for you to decide");
    return fail_hint(why, "`inhouse datasets decide` without a request lists those that wait.");
}

/* The request and its dataset, if p may decide it. */
static enum fail request_get(struct store_conn *conn, const struct principal *p,
                             const struct id *id, int64_t now, struct dataset_request *r,
                             struct dataset_about *d, struct fault *why)
{
    bool row = false;
    enum fail f;
    {
        AUTO_STMT struct store_stmt *s = store_query(conn, REQUEST_SELECT "WHERE q.id = ?1");
        store_bind_id(s, 1, id);
        f = store_step(s, &row, why);
        if (f == FAIL_NONE && row) {
            read_request(s, r);
        }
    }
    if (f != FAIL_NONE || !row) {
        return f != FAIL_NONE ? f : no_request(why);
    }
    f = dataset_find(conn, r->dataset, d, why);
    if (f != FAIL_NONE || (dataset_rights(conn, d, p, now) & DATASET_OWNS) == 0) {
        return no_request(why);
    }
    if (r->state != DATASET_ASKED) {
        return FAULT(why, FAIL_CONFLICT, "the request was %s by %s", state_names[r->state],
                     r->decided_by);
    }
    return FAIL_NONE;
}

enum fail dataset_request_decide(struct store_tx *tx, struct audit *audit,
                                 const struct principal *p, const struct id *request, bool granted,
                                 int64_t ends_at, const char *note, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct dataset_request r;
    struct dataset_about d;
    int64_t now = clock_now_us();
    enum fail f = dataset_reason_check("reason", note, why);
    f = f != FAIL_NONE ? f : request_get(conn, p, request, now, &r, &d, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (strcmp(r.asked_by, p->name) == 0) {
        FAULT(why, FAIL_FORBIDDEN, "who asks for access does not decide it");
        return fail_hint(why, "Another owner of the dataset decides this request.");
    }
    if (granted) {
        f = dataset_grant_add(tx, audit, p, &d, &r.who, r.reason, ends_at, NULL, why);
    } else {
        f = dataset_note(tx, audit, p, d.name, "refused", note, why);
    }
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "UPDATE dataset_request SET state = ?2, decided_by = ?3, decided_at = ?4, note = ?5 "
              "WHERE id = ?1");
    store_bind_id(s, 1, request);
    store_bind_text(s, 2, state_names[granted ? DATASET_GRANTED : DATASET_REFUSED]);
    store_bind_text(s, 3, p->name);
    store_bind_int(s, 4, now);
    store_bind_text(s, 5, note);
    return store_run(s, why);
}

enum fail dataset_request_each(struct store_conn *conn, const struct principal *p, int64_t now,
                               dataset_request_fn fn, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, REQUEST_SELECT "ORDER BY q.asked_at DESC LIMIT 1000");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct dataset_request r;
        struct dataset_about d;
        read_request(s, &r);
        f = dataset_find(conn, r.dataset, &d, why);
        if (f != FAIL_NONE) {
            return f;
        }
        bool decides = (dataset_rights(conn, &d, p, now) & DATASET_OWNS) != 0;
        bool asked = strcmp(r.asked_by, p->name) == 0;
        if (decides || asked) {
            fn(arg, &r, decides && !asked && r.state == DATASET_ASKED);
        }
    }
    return f;
}
