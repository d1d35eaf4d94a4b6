/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items: queues, leases, and the one step that gives somebody the next one.
 *
 * The store runs writes one after the other, so that what a write finds free and takes is taken by
 * nobody else; the UPDATE says its condition again, so that it stays true on a database with more
 * than one writer.
 * Owns: table review_item. Threads: as review.h says. Limits: REVIEW_LEASES_MAX leases a person.
 */
#include <string.h>
#include <strings.h>

#include "base/clock/clock.h"
#include "work/review/review_internal.h"

static const char *const kinds[REVIEW_KIND_COUNT] = {"first", "second", "practice"};

const char *review_kind_name(enum review_kind k)
{
    ASSERT(k < REVIEW_KIND_COUNT);
    return kinds[k];
}

bool review_drawn(double share)
{
    struct id id = text_id_new();
    uint32_t n = (uint32_t)id.bytes[12] << 24 | (uint32_t)id.bytes[13] << 16 |
                 (uint32_t)id.bytes[14] << 8 | id.bytes[15];
    return (double)n < share * 4294967296.0;
}

enum fail review_item_read(struct store_stmt *s, int64_t now, struct review_item *out,
                           struct fault *why)
{
    int kind = 0;
    memset(out, 0, sizeof(*out));
    while (kind < REVIEW_KIND_COUNT && strcmp(kinds[kind], store_col_text(s, 2)) != 0) {
        kind++;
    }
    if (kind == REVIEW_KIND_COUNT || !store_col_id(s, 1, &out->artifact)) {
        return FAULT(why, FAIL_INTERNAL, "a stored review item is damaged");
    }
    out->no = store_col_int(s, 0);
    out->kind = (enum review_kind)kind;
    (void)text_copy(out->team, sizeof(out->team), store_col_text(s, 3));
    (void)text_copy(out->workflow, sizeof(out->workflow), store_col_text(s, 4));
    (void)text_copy(out->queue, sizeof(out->queue), store_col_text(s, 5));
    (void)text_copy(out->language, sizeof(out->language), store_col_text(s, 6));
    out->urgency = (int)store_col_int(s, 7);
    out->confidence = store_col_real(s, 8);
    out->waiting = store_col_int(s, 9) != 0;
    out->created_at = store_col_int(s, 10);
    if (store_col_int(s, 12) >= now) {
        (void)text_copy(out->holder, sizeof(out->holder), store_col_text(s, 11));
        out->lease_until = out->holder[0] != '\0' ? store_col_int(s, 12) : 0;
    }
    out->forced = store_col_int(s, 13) != 0;
    (void)text_copy(out->target, sizeof(out->target), store_col_text(s, 14));
    out->deadline_at = store_col_int(s, 15);
    (void)text_copy(out->person, sizeof(out->person), store_col_text(s, 16));
    return FAIL_NONE;
}

/* ---- a new one ---- */

static const char *field_value(const struct review_artifact *a, const char *name)
{
    for (size_t i = 0; i < a->fields_len; i++) {
        if (strcmp(a->fields[i].name, name) == 0 && strlen(a->fields[i].value) < 64) {
            return a->fields[i].value;
        }
    }
    return "";
}

static int urgency_of(const struct review_artifact *a)
{
    static const struct {
        const char *name;
        int urgency;
    } words[] = {{"urgent", 3}, {"critical", 3}, {"immediate", 3}, {"blocker", 3}, {"highest", 3},
                 {"p1", 3},     {"dringend", 3}, {"high", 2},      {"major", 2},   {"p2", 2},
                 {"hoch", 2},   {"low", 0},      {"lowest", 0},    {"minor", 0},   {"trivial", 0},
                 {"p4", 0},     {"niedrig", 0}};
    static const char *const names[] = {"urgency", "priority", "severity"};
    for (size_t k = 0; k < COUNT_OF(names); k++) {
        const char *value = field_value(a, names[k]);
        for (size_t i = 0; i < COUNT_OF(words); i++) {
            if (strcasecmp(value, words[i].name) == 0) {
                return words[i].urgency;
            }
        }
    }
    return 1;
}

static double least_sure(const struct review_artifact *a)
{
    double least = 1;
    for (size_t i = 0; i < a->fields_len; i++) {
        if (a->fields[i].is_open && a->fields[i].confidence < least) {
            least = a->fields[i].confidence;
        }
    }
    return least;
}

enum fail review_item_add(struct store_tx *tx, const struct review_artifact *a, int64_t now,
                          struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO review_item (artifact, kind, person, team, workflow, queue, language, "
        "urgency, confidence, waiting, created_at, holder, lease_until, forced, target, "
        "deadline_at, chain, decided_by, action, agrees, decided_at) VALUES (?1, 'first', '', ?2, "
        "?3, ?4, ?5, ?6, ?7, 1, ?8, '', 0, 0, '', 0, '', '', '', -1, 0)");
    store_bind_id(s, 1, &a->id);
    store_bind_text(s, 2, a->team);
    store_bind_text(s, 3, a->workflow);
    store_bind_text(s, 4, field_value(a, "queue"));
    store_bind_text(s, 5, field_value(a, "language"));
    store_bind_int(s, 6, urgency_of(a));
    store_bind_real(s, 7, least_sure(a));
    store_bind_int(s, 8, now);
    return store_run(s, why);
}

/* ---- finding ---- */

/* The item of an artifact as this person meets it: their own lease first, then what waits. */
static enum fail find_item(struct store_conn *c, const struct id *artifact,
                           const struct principal *who, int64_t now, struct review_item *out,
                           struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT " REVIEW_ITEM_COLUMNS " FROM review_item i WHERE i.artifact = ?1 "
           "AND (i.kind = 'first' OR (i.kind = 'second' AND i.person <> ?2 AND (i.waiting = 1 OR "
           "i.decided_by = ?2)) OR (i.kind = 'practice' AND i.person = ?2 AND i.holder = ?2)) "
           "ORDER BY (i.holder = ?2 AND i.lease_until >= ?3) DESC, i.waiting DESC, i.decided_at "
           "DESC, i.id LIMIT 1");
    store_bind_id(s, 1, artifact);
    store_bind_text(s, 2, who->name);
    store_bind_int(s, 3, now);
    enum fail f = store_step(s, &row, why);
    if (f == FAIL_NONE && row) {
        f = review_item_read(s, now, out, why);
    }
    if (f == FAIL_NONE && (!row || !review_may_see(who, out->team))) {
        f = review_fault_missing(why);
    }
    return f;
}

enum fail review_item_get(struct store_conn *conn, const struct id *artifact,
                          const struct principal *who, int64_t now, struct review_item *out,
                          struct fault *why)
{
    return find_item(conn, artifact, who, now, out, why);
}

/* What of the queue this person may take: ?1 team, ?2 now, ?3 name, ?4-?6 their roles as targets,
   ?7 workflow, ?8 queue, ?9 language, ?10 limit. */
#define SKILL(kind, column)                                                                        \
    "(NOT EXISTS (SELECT 1 FROM review_skill s WHERE s.team = i.team AND s.person = ?3 AND "       \
    "s.kind = '" kind "') OR EXISTS (SELECT 1 FROM review_skill s WHERE s.team = i.team AND "      \
    "s.person = ?3 AND s.kind = '" kind "' AND s.value = " column "))"
#define TAKE                                                                                       \
    "SELECT " REVIEW_ITEM_COLUMNS ", a.title FROM review_item i JOIN artifact a ON a.id = "        \
    "i.artifact WHERE i.waiting = 1 AND i.kind <> 'practice' AND (?1 IS NULL OR i.team = ?1) "     \
    "AND (i.holder = '' OR i.lease_until < ?2) AND (i.kind = 'first' OR i.person <> ?3) "          \
    "AND (i.target IN ('', ?3) OR (i.target IN (?4, ?5, ?6) AND i.decided_by <> ?3)) "             \
    "AND (?7 IS NULL OR i.workflow = ?7) "                                                         \
    "AND (?8 IS NULL OR i.queue = ?8) AND (?9 IS NULL OR i.language = ?9) "                        \
    "AND (i.target <> '' OR (" SKILL("workflow", "i.workflow")                                     \
    " AND (i.language = '' OR " SKILL("language", "i.language") ")"                                \
    " AND (i.queue = '' OR " SKILL("queue", "i.queue") "))) ORDER BY "

static struct store_stmt *take_query(struct store_conn *c, const struct review_ask *ask,
                                     enum review_order order, int64_t now, int limit)
{
    static const char by_urgency[] = TAKE "i.urgency DESC, i.id LIMIT ?10";
    static const char by_age[] = TAKE "i.id LIMIT ?10";
    static const char by_doubt[] = TAKE "i.confidence, i.id LIMIT ?10";
    static const char *const roles[] = {"role:reviewer", "role:approver", "role:admin"};
    struct store_stmt *s = store_query(c, order == REVIEW_ORDER_AGE ? by_age
                                          : order == REVIEW_ORDER_CONFIDENCE ? by_doubt
                                                                             : by_urgency);
    store_bind_text(s, 1, policy_is_admin(ask->who) ? NULL : ask->who->team);
    store_bind_int(s, 2, now);
    store_bind_text(s, 3, ask->who->name);
    for (int i = 0; i < 3; i++) {
        store_bind_text(s, 4 + i, review_target_is(roles[i], ask->who) ? roles[i] : "");
    }
    store_bind_text(s, 7, ask->workflow);
    store_bind_text(s, 8, ask->queue);
    store_bind_text(s, 9, ask->language);
    store_bind_int(s, 10, limit);
    return s;
}

enum fail review_queue(struct store_conn *conn, const struct review_ask *ask, int64_t now,
                       int limit, review_item_fn fn, void *arg, struct fault *why)
{
    struct review_settings set;
    enum fail f = review_settings_get(conn, ask->who->team, &set, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = take_query(
        conn, ask, ask->order == REVIEW_ORDER_COUNT ? set.order : ask->order, now, limit);
    bool row;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        struct review_item item;
        f = review_item_read(s, now, &item, why);
        if (f != FAIL_NONE || !fn(arg, &item, store_col_text(s, 17))) {
            break;
        }
    }
    return f;
}

/* ---- leases ---- */

static enum fail fault_held(const struct review_item *item, struct fault *why)
{
    char at[CLOCK_RFC3339_SIZE];
    FAULT(why, FAIL_CONFLICT, "%s has it until %s", item->holder,
          clock_show(item->lease_until, at));
    return fail_hint(why, "Take another, or wait until it is given back.");
}

enum fail review_item_hold(struct store_tx *tx, struct review_item *item,
                           const struct principal *who, int64_t now, struct fault *why)
{
    struct review_settings set;
    enum fail f = review_settings_get(store_tx_conn(tx), item->team, &set, why);
    if (f != FAIL_NONE) {
        return f;
    }
    item->lease_until = now + (int64_t)set.lease_s * 1000000;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_item SET holder = ?2, lease_until = ?3 WHERE id = ?1 "
                           "AND waiting = 1 AND (holder IN ('', ?2) OR lease_until < ?4)");
    store_bind_int(s, 1, item->no);
    store_bind_text(s, 2, who->name);
    store_bind_int(s, 3, item->lease_until);
    store_bind_int(s, 4, now);
    f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) != 1) {
        return FAULT(why, FAIL_CONFLICT, "it no longer waits");
    }
    (void)text_copy(item->holder, sizeof(item->holder), who->name);
    return f;
}

static enum fail check_free(const struct review_item *item, const struct principal *who,
                            struct fault *why)
{
    if (item->holder[0] != '\0' && strcmp(item->holder, who->name) != 0) {
        return fault_held(item, why);
    }
    if (item->target[0] != '\0' && !review_target_is(item->target, who) &&
        !policy_is_admin(who)) {
        FAULT(why, FAIL_FORBIDDEN, "it was escalated to %s", item->target);
        return fail_hint(why, "Whoever it was escalated to decides it.");
    }
    return FAIL_NONE;
}

enum fail review_item_admit(struct store_conn *c, const struct id *artifact,
                            const struct principal *who, int64_t now, struct fault *why)
{
    struct review_item item;
    bool row;
    AUTO_STMT struct store_stmt *s =
        store_query(c, "SELECT " REVIEW_ITEM_COLUMNS " FROM review_item i WHERE i.artifact = ?1 "
                       "AND i.kind = 'first'");
    store_bind_id(s, 1, artifact);
    enum fail f = store_step(s, &row, why);
    if (f != FAIL_NONE || !row) {
        return f; /* none: it did not wait, and may be decided all the same */
    }
    f = review_item_read(s, now, &item, why);
    return f == FAIL_NONE ? check_free(&item, who, why) : f;
}

enum fail review_claim(struct store_tx *tx, const struct id *artifact, const struct principal *who,
                       int64_t now, struct review_item *out, struct fault *why)
{
    enum fail f = find_item(store_tx_conn(tx), artifact, who, now, out, why);
    if (f == FAIL_NONE && !out->waiting) {
        FAULT(why, FAIL_CONFLICT, "it does not wait for anybody");
        return fail_hint(why, "`inhouse review show` says what was decided.");
    }
    f = f == FAIL_NONE ? check_free(out, who, why) : f;
    return f == FAIL_NONE ? review_item_hold(tx, out, who, now, why) : f;
}

enum fail review_renew(struct store_tx *tx, const struct id *artifact, const struct principal *who,
                       int64_t now, bool *held, struct fault *why)
{
    struct review_item item;
    *held = false;
    enum fail f = find_item(store_tx_conn(tx), artifact, who, now, &item, why);
    if (f != FAIL_NONE || strcmp(item.holder, who->name) != 0 || !item.waiting) {
        return f;
    }
    *held = true;
    return review_item_hold(tx, &item, who, now, why);
}

enum fail review_release(struct store_tx *tx, const struct id *artifact,
                         const struct principal *who, int64_t now, struct fault *why)
{
    struct review_item item;
    enum fail f = find_item(store_tx_conn(tx), artifact, who, now, &item, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_item SET holder = '', lease_until = 0 WHERE id = ?1 AND "
                           "holder = ?2 AND waiting = 1");
    store_bind_int(s, 1, item.no);
    store_bind_text(s, 2, who->name);
    return store_run(s, why);
}

/* ---- the next one ---- */

static enum fail own_lease(struct store_conn *c, const struct principal *who, int64_t now,
                           int64_t *count, struct review_item *oldest, struct fault *why)
{
    bool row;
    enum fail f;
    *count = 0;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT " REVIEW_ITEM_COLUMNS " FROM review_item i WHERE i.holder = ?1 AND "
           "i.lease_until >= ?2 AND i.waiting = 1 ORDER BY i.lease_until, i.id");
    store_bind_text(s, 1, who->name);
    store_bind_int(s, 2, now);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (++*count == 1 && (f = review_item_read(s, now, oldest, why)) != FAIL_NONE) {
            return f;
        }
    }
    return f;
}

/* An artifact with a known answer that this person has neither decided nor practised on. */
static enum fail draw_practice(struct store_tx *tx, const struct review_ask *ask, int64_t now,
                               bool *found, struct review_item *out, struct fault *why)
{
    struct id artifact;
    bool row;
    {
        AUTO_STMT struct store_stmt *s = store_query(
            store_tx_conn(tx),
            "SELECT k.artifact FROM review_known k WHERE k.team = ?1 AND NOT EXISTS (SELECT 1 "
            "FROM review_item p WHERE p.artifact = k.artifact AND p.kind = 'practice' AND "
            "p.person = ?2 AND p.waiting = 0) AND NOT EXISTS (SELECT 1 FROM decision d WHERE "
            "d.artifact = k.artifact AND d.actor = ?2) ORDER BY k.added_at, k.artifact LIMIT 1");
        store_bind_text(s, 1, ask->who->team);
        store_bind_text(s, 2, ask->who->name);
        enum fail f = store_step(s, &row, why);
        if (f != FAIL_NONE || !row || !store_col_id(s, 0, &artifact)) {
            return f;
        }
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO review_item (artifact, kind, person, team, workflow, queue, language, "
        "urgency, confidence, waiting, created_at, holder, lease_until, forced, target, "
        "deadline_at, chain, decided_by, action, agrees, decided_at) SELECT artifact, 'practice', "
        "?2, team, workflow, queue, language, urgency, confidence, 1, ?3, ?2, ?3, 0, '', 0, '', "
        "'', '', -1, 0 FROM review_item WHERE artifact = ?1 AND kind = 'first' "
        "ON CONFLICT (artifact, kind, person) DO UPDATE SET holder = ?2, lease_until = ?3");
    store_bind_id(s, 1, &artifact);
    store_bind_text(s, 2, ask->who->name);
    store_bind_int(s, 3, now);
    enum fail f = store_run(s, why);
    if (f == FAIL_NONE && store_changes(store_tx_conn(tx)) == 1) {
        *found = true;
        f = find_item(store_tx_conn(tx), &artifact, ask->who, now, out, why);
    }
    return f;
}

/* Only an artifact that leaves choices to a person can be asked without its proposals. */
static enum fail draw_forced(struct store_tx *tx, struct review_item *item, double share,
                             struct fault *why)
{
    if (item->kind != REVIEW_KIND_FIRST || item->forced || !review_drawn(share)) {
        return FAIL_NONE;
    }
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_item SET forced = 1 WHERE id = ?1 AND EXISTS (SELECT 1 "
                           "FROM artifact_field f WHERE f.artifact = ?2 AND f.is_open = 1 AND "
                           "f.type = 'choice')");
    store_bind_int(s, 1, item->no);
    store_bind_id(s, 2, &item->artifact);
    enum fail f = store_run(s, why);
    item->forced = f == FAIL_NONE && store_changes(store_tx_conn(tx)) == 1;
    return f;
}

static enum fail take_best(struct store_tx *tx, const struct review_ask *ask,
                           enum review_order order, int64_t now, bool *found,
                           struct review_item *out, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = take_query(store_tx_conn(tx), ask, order, now, 1);
    enum fail f = store_step(s, found, why);
    return f == FAIL_NONE && *found ? review_item_read(s, now, out, why) : f;
}

enum fail review_next(struct store_tx *tx, const struct review_ask *ask, int64_t now, bool *found,
                      struct review_item *out, struct fault *why)
{
    struct review_settings set;
    int64_t leases;
    *found = false;
    enum fail f = review_settings_get(store_tx_conn(tx), ask->who->team, &set, why);
    f = f == FAIL_NONE ? own_lease(store_tx_conn(tx), ask->who, now, &leases, out, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    if (ask->resume && leases > 0) {
        *found = true;
        return review_item_hold(tx, out, ask->who, now, why);
    }
    if (leases >= REVIEW_LEASES_MAX) {
        FAULT(why, FAIL_CONFLICT, "you hold %d already", REVIEW_LEASES_MAX);
        return fail_hint(why, "Decide some of them or give them back.");
    }
    if (review_drawn(set.practice_share)) {
        f = draw_practice(tx, ask, now, found, out, why);
    }
    if (f == FAIL_NONE && !*found) {
        f = take_best(tx, ask, ask->order == REVIEW_ORDER_COUNT ? set.order : ask->order, now,
                      found, out, why);
    }
    if (f == FAIL_NONE && *found) {
        f = review_item_hold(tx, out, ask->who, now, why);
    }
    return f == FAIL_NONE && *found ? draw_forced(tx, out, set.forced_share, why) : f;
}
