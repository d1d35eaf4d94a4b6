/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a team reviews: shares, lease, reasons, the chain of escalations; and what each person takes.
 *
 * Owns: tables review_setting, review_skill. Threads: as review.h says.
 * Limits: REVIEW_REASONS_MAX reasons, REVIEW_CHAIN_MAX targets, REVIEW_SKILLS_MAX skills a person.
 */
#include <stdio.h>
#include <string.h>

#include "work/review/review_internal.h"

#define LEASE_S_MIN 5
#define LEASE_S_MAX 3600
#define DAY_S 86400

static const char *const orders[REVIEW_ORDER_COUNT] = {"urgency", "age", "confidence"};
static const char *const skills[REVIEW_SKILL_COUNT] = {"workflow", "language", "queue"};
static const char *const roles[] = {"role:reviewer", "role:approver", "role:admin"};

const char *review_order_name(enum review_order o)
{
    ASSERT(o < REVIEW_ORDER_COUNT);
    return orders[o];
}

bool review_order_find(const char *name, enum review_order *out)
{
    for (int i = 0; i < REVIEW_ORDER_COUNT; i++) {
        if (strcmp(orders[i], name) == 0) {
            *out = (enum review_order)i;
            return true;
        }
    }
    return false;
}

const char *review_skill_name(enum review_skill_kind k)
{
    ASSERT(k < REVIEW_SKILL_COUNT);
    return skills[k];
}

/* ---- targets ---- */

bool review_target_ok(const char *who)
{
    size_t n = strlen(who);
    if (text_starts_with(who, "role:")) {
        for (size_t i = 0; i < COUNT_OF(roles); i++) {
            if (strcmp(who, roles[i]) == 0) {
                return true;
            }
        }
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)who[i] <= ' ' || who[i] == 0x7f) {
            return false;
        }
    }
    return n > 0 && n < KEYRING_NAME_SIZE && text_utf8_is_valid(who, n);
}

bool review_target_is(const char *who, const struct principal *p)
{
    enum keyring_role r = p->role;
    if (strcmp(who, "role:reviewer") == 0) {
        return r == KEYRING_ROLE_REVIEWER || r == KEYRING_ROLE_APPROVER || r == KEYRING_ROLE_ADMIN;
    }
    if (strcmp(who, "role:approver") == 0) {
        return r == KEYRING_ROLE_APPROVER || r == KEYRING_ROLE_ADMIN;
    }
    return strcmp(who, "role:admin") == 0 ? r == KEYRING_ROLE_ADMIN : strcmp(who, p->name) == 0;
}

void review_chain_write(const struct review_target *chain, size_t n, char *out, size_t room)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n && at < room; i++) {
        at += (size_t)snprintf(out + at, room - at, "%s %d\n", chain[i].who, chain[i].within_s);
    }
    ASSERT(at < room);
}

size_t review_chain_read(const char *text, struct review_target *chain)
{
    size_t n = 0;
    while (*text != '\0' && n < REVIEW_CHAIN_MAX) {
        char line[REVIEW_PERSON_SIZE + 16];
        size_t len = strcspn(text, "\n");
        (void)snprintf(line, sizeof(line), "%.*s", (int)len, text);
        text += len + (text[len] == '\n');
        char *space = strrchr(line, ' ');
        int64_t within;
        if (space == NULL || !text_read_int(space + 1, 1, REVIEW_WITHIN_MAX, &within)) {
            continue;
        }
        *space = '\0';
        (void)text_copy(chain[n].who, sizeof(chain[n].who), line);
        chain[n++].within_s = (int)within;
    }
    return n;
}

/* ---- settings ---- */

static void defaults(struct review_settings *s)
{
    static const char *const reasons[] = {
        "the facts are wrong", "the queue or field is wrong", "something is missing",
        "the tone is wrong",   "the wrong article",           "the wrong language",
        "not ours, or spam",   "a duplicate",                 "must not be sent"};
    *s = (struct review_settings){.lease_s = 300,
                                  .second_share = 0.05,
                                  .practice_share = 0.02,
                                  .forced_share = 0.02,
                                  .order = REVIEW_ORDER_URGENCY,
                                  .chain = {{"role:approver", DAY_S}, {"role:admin", 3 * DAY_S}},
                                  .chain_len = 2,
                                  .often = 3};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        (void)text_copy(s->reasons[s->reasons_len++], REVIEW_REASON_SIZE, reasons[i]);
    }
}

static void read_reasons(const char *text, struct review_settings *s)
{
    s->reasons_len = 0;
    while (*text != '\0' && s->reasons_len < REVIEW_REASONS_MAX) {
        size_t len = strcspn(text, "\n");
        (void)snprintf(s->reasons[s->reasons_len++], REVIEW_REASON_SIZE, "%.*s", (int)len, text);
        text += len + (text[len] == '\n');
    }
}

enum fail review_settings_get(struct store_conn *conn, const char *team,
                              struct review_settings *out, struct fault *why)
{
    bool row;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT lease_s, second_share, practice_share, forced_share, sort, "
                          "reasons, chain, often FROM review_setting WHERE team = ?1");
    store_bind_text(s, 1, team);
    enum fail f = store_step(s, &row, why);
    defaults(out);
    if (f != FAIL_NONE || !row) {
        return f;
    }
    out->lease_s = (int)store_col_int(s, 0);
    out->second_share = store_col_real(s, 1);
    out->practice_share = store_col_real(s, 2);
    out->forced_share = store_col_real(s, 3);
    if (!review_order_find(store_col_text(s, 4), &out->order)) {
        return FAULT(why, FAIL_INTERNAL, "a stored review setting is damaged");
    }
    read_reasons(store_col_text(s, 5), out);
    out->chain_len = review_chain_read(store_col_text(s, 6), out->chain);
    out->often = (int)store_col_int(s, 7);
    return FAIL_NONE;
}

static enum fail out_of_range(const char *param, const char *range, struct fault *why)
{
    FAULT(why, FAIL_BAD_REQUEST, "\"%s\" is %s", param, range);
    return fail_param(why, param);
}

static enum fail check_lists(const struct review_settings *s, struct fault *why)
{
    for (size_t i = 0; i < s->reasons_len; i++) {
        const char *r = s->reasons[i];
        if (r[0] == '\0' || strchr(r, '\n') != NULL || !text_utf8_is_valid(r, strlen(r))) {
            return out_of_range("reasons", "a list of one-line texts", why);
        }
    }
    if (s->chain_len == 0) {
        return out_of_range("escalation", "a list of 1 to 4 targets", why);
    }
    for (size_t i = 0; i < s->chain_len; i++) {
        const struct review_target *t = &s->chain[i];
        if (!review_target_ok(t->who) || t->within_s < 1 || t->within_s > REVIEW_WITHIN_MAX) {
            return out_of_range("escalation",
                                "a list of targets: a name, role:reviewer, role:approver or "
                                "role:admin, each within 1 s to 30 days", why);
        }
    }
    return FAIL_NONE;
}

static enum fail check_settings(const struct review_settings *s, struct fault *why)
{
    if (s->lease_s < LEASE_S_MIN || s->lease_s > LEASE_S_MAX) {
        return out_of_range("lease_s", "5 to 3600", why);
    }
    if (!(s->second_share >= 0 && s->second_share <= 1)) {
        return out_of_range("second_share", "0 to 1", why);
    }
    if (!(s->practice_share >= 0 && s->practice_share <= 0.5)) {
        return out_of_range("practice_share", "0 to 0.5", why);
    }
    if (!(s->forced_share >= 0 && s->forced_share <= 1)) {
        return out_of_range("forced_share", "0 to 1", why);
    }
    if (s->often < 2 || s->often > 100) {
        return out_of_range("often", "2 to 100", why);
    }
    return check_lists(s, why);
}

enum fail review_settings_set(struct store_tx *tx, const char *team,
                              const struct review_settings *s, struct fault *why)
{
    char reasons[REVIEW_REASONS_MAX * REVIEW_REASON_SIZE + 1] = "", chain[REVIEW_CHAIN_SIZE];
    enum fail f = check_settings(s, why);
    if (f != FAIL_NONE) {
        return f;
    }
    for (size_t i = 0, at = 0; i < s->reasons_len; i++) {
        at += (size_t)snprintf(reasons + at, sizeof(reasons) - at, "%s\n", s->reasons[i]);
    }
    review_chain_write(s->chain, s->chain_len, chain, sizeof(chain));
    AUTO_STMT struct store_stmt *q = store_query(
        store_tx_conn(tx),
        "INSERT INTO review_setting (team, lease_s, second_share, practice_share, forced_share, "
        "sort, reasons, chain, often) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
        "ON CONFLICT (team) DO UPDATE SET lease_s = ?2, second_share = ?3, practice_share = ?4, "
        "forced_share = ?5, sort = ?6, reasons = ?7, chain = ?8, often = ?9");
    store_bind_text(q, 1, team);
    store_bind_int(q, 2, s->lease_s);
    store_bind_real(q, 3, s->second_share);
    store_bind_real(q, 4, s->practice_share);
    store_bind_real(q, 5, s->forced_share);
    store_bind_text(q, 6, review_order_name(s->order));
    store_bind_text(q, 7, reasons);
    store_bind_text(q, 8, chain);
    store_bind_int(q, 9, s->often);
    return store_run(q, why);
}

/* ---- skills ---- */

enum fail review_skills_set(struct store_tx *tx, const char *team, const char *person,
                            const struct review_skill *list, size_t n, struct fault *why)
{
    if (n > REVIEW_SKILLS_MAX) {
        FAULT(why, FAIL_TOO_LARGE, "over %d skills of one person", REVIEW_SKILLS_MAX);
        return fail_param(why, "skills");
    }
    if (text_starts_with(person, "role:") || !review_target_ok(person)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"person\" is a name");
        return fail_param(why, "person");
    }
    AUTO_STMT struct store_stmt *drop = store_query(
        store_tx_conn(tx), "DELETE FROM review_skill WHERE team = ?1 AND person = ?2");
    store_bind_text(drop, 1, team);
    store_bind_text(drop, 2, person);
    enum fail f = store_run(drop, why);
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO review_skill (team, person, kind, value) "
                                       "VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING");
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        store_bind_text(s, 1, team);
        store_bind_text(s, 2, person);
        store_bind_text(s, 3, review_skill_name(list[i].kind));
        store_bind_text(s, 4, list[i].value);
        f = store_run(s, why);
    }
    return f;
}

enum fail review_skills(struct store_conn *conn, const char *team, const char *person,
                        review_skill_fn fn, void *arg, struct fault *why)
{
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT person, kind, value FROM review_skill WHERE team = ?1 "
                          "AND (?2 IS NULL OR person = ?2) ORDER BY person, kind, value");
    store_bind_text(s, 1, team);
    store_bind_text(s, 2, person);
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        for (int k = 0; k < REVIEW_SKILL_COUNT; k++) {
            if (strcmp(skills[k], store_col_text(s, 1)) == 0) {
                fn(arg, store_col_text(s, 0), (enum review_skill_kind)k, store_col_text(s, 2));
            }
        }
    }
    return f;
}
