/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: who reads what until when, what a stranger is told, and how one asks for access. */
#include "answer/dataset/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/mem/mem.h"
#include "support/home.h"

#define HOUR ((int64_t)3600 * 1000000)

static struct home home;
static struct fault why;

static struct principal red = {.name = "anna", .team = "red", .scopes = KEYRING_SCOPE_KNOWLEDGE};
static struct principal red2 = {.name = "rita", .team = "red", .scopes = KEYRING_SCOPE_KNOWLEDGE};
static struct principal blue = {.name = "bob", .team = "blue", .scopes = KEYRING_SCOPE_WORK};
static struct principal admin = {.name = "root", .team = "it", .scopes = KEYRING_SCOPES_ALL};

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "dataset-grant");
    home_open(&home, HOME_RECORD);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return home_remove(&home);
}

/* One write, waited for. */
struct act {
    enum { ADD, CHANGE, GRANT, REVOKE, REQUEST, DECIDE } what;
    struct principal *p;
    struct dataset_about about;
    struct dataset_subject who;
    const char *reason;
    int64_t until;
    struct id id;
    bool yes;
};

static enum fail act_write(struct store_tx *tx, void *arg, struct fault *bad)
{
    struct act *a = arg;
    switch (a->what) {
    case ADD:
        return dataset_add(tx, home.audit, a->p, &a->about, bad);
    case CHANGE:
        return dataset_change(tx, home.audit, a->p, &a->about, bad);
    case GRANT:
        return dataset_grant_add(tx, home.audit, a->p, &a->about, &a->who, a->reason, a->until,
                                 NULL, bad);
    case REVOKE:
        return dataset_grant_revoke(tx, home.audit, a->p, &a->about, &a->who, bad);
    case REQUEST:
        return dataset_request_add(tx, home.audit, a->p, &a->about, a->who.kind, a->reason, &a->id,
                                   bad);
    case DECIDE:
        return dataset_request_decide(tx, home.audit, a->p, &a->id, a->yes, a->until, a->reason,
                                      bad);
    }
    return FAIL_INTERNAL;
}

static enum fail act(struct act *a)
{
    return store_write_wait(home.store, act_write, a, &why);
}

static struct dataset_about make(const char *name, bool listed)
{
    struct act a = {.what = ADD, .p = &red};
    snprintf(a.about.name, sizeof(a.about.name), "%s", name);
    snprintf(a.about.owner.name, sizeof(a.about.owner.name), "red");
    snprintf(a.about.purpose, sizeof(a.about.purpose), "answers for the help desk");
    a.about.label = SECRECY_CONFIDENTIAL;
    a.about.listed = listed;
    assert_int_equal(act(&a), FAIL_NONE);
    struct dataset_about d;
    assert_int_equal(dataset_find(home.conn, name, &d, &why), FAIL_NONE);
    return d;
}

static enum fail read_as(const struct principal *p, const char *name, int64_t at)
{
    struct dataset_about d;
    return dataset_get(home.conn, name, p, DATASET_READS, at, &d, &why);
}

static void a_grant_counts_from_its_making_to_its_end(void **state)
{
    (void)state;
    struct dataset_about d = make("faq", true);
    int64_t now = clock_now_us();
    assert_int_equal(read_as(&red, "faq", now), FAIL_NONE);
    assert_int_equal(read_as(&blue, "faq", now), FAIL_NOT_FOUND);
    struct act g = {.what = GRANT, .p = &red, .about = d, .who = {DATASET_TEAM, "blue"},
                    .reason = "second line", .until = now + HOUR};
    assert_int_equal(act(&g), FAIL_NONE);
    now = clock_now_us();
    assert_int_equal(read_as(&blue, "faq", now), FAIL_NONE);
    assert_true(dataset_may_read(home.conn, "faq", &blue, now));
    assert_int_equal(read_as(&blue, "faq", now + HOUR), FAIL_NOT_FOUND); /* ended by itself */
    assert_int_equal(read_as(&blue, "faq", now - HOUR), FAIL_NOT_FOUND);
    struct dataset_about got;
    assert_int_equal(dataset_get(home.conn, "faq", &blue, DATASET_OWNS, now, &got, &why),
                     FAIL_FORBIDDEN);
    struct act r = {.what = REVOKE, .p = &red, .about = d, .who = {DATASET_TEAM, "blue"}};
    assert_int_equal(act(&r), FAIL_NONE);
    assert_int_equal(read_as(&blue, "faq", clock_now_us()), FAIL_NOT_FOUND);
    assert_int_equal(act(&r), FAIL_NOT_FOUND);
    g.who = (struct dataset_subject){DATASET_USER, "bob"};
    assert_int_equal(act(&g), FAIL_NONE);
    assert_int_equal(read_as(&blue, "faq", clock_now_us()), FAIL_NONE);
    struct principal other = {.name = "bill", .team = "blue"};
    assert_int_equal(read_as(&other, "faq", clock_now_us()), FAIL_NOT_FOUND);
    /* a team by the name of a user, and the reverse, are somebody else */
    struct principal odd = {.name = "red", .team = "bob"};
    assert_int_equal(read_as(&odd, "faq", clock_now_us()), FAIL_NOT_FOUND);
}

static void a_grant_has_a_reason_and_an_end(void **state)
{
    (void)state;
    int64_t now = clock_now_us();
    struct act g = {.what = GRANT, .p = &red, .about = make("rules", true),
                    .who = {DATASET_TEAM, "blue"}, .reason = "", .until = now + HOUR};
    assert_int_equal(act(&g), FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "reason");
    g.reason = "because";
    int64_t bad[] = {0, now - 1, now + (DATASET_GRANT_DAYS_MAX + 1) * 24 * HOUR};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        g.until = bad[i];
        assert_int_equal(act(&g), FAIL_BAD_REQUEST);
        assert_string_equal(why.param, "ends_at");
    }
    g.until = now + HOUR;
    g.who.name[0] = '\0';
    assert_int_equal(act(&g), FAIL_BAD_REQUEST);
    assert_int_equal(read_as(&blue, "rules", now), FAIL_NOT_FOUND);
}

static void strangers_cannot_tell_a_foreign_dataset_from_a_missing_one(void **state)
{
    (void)state;
    (void)make("secret", false);
    struct dataset_about d;
    struct fault real, none;
    int64_t now = clock_now_us();
    assert_int_equal(dataset_get(home.conn, "secret", &blue, DATASET_SEES, now, &d, &real),
                     FAIL_NOT_FOUND);
    assert_int_equal(dataset_get(home.conn, "sacred", &blue, DATASET_SEES, now, &d, &none),
                     FAIL_NOT_FOUND);
    assert_string_equal(real.hint, none.hint);
    memcpy(strstr(real.message, "secret"), "sacred", 6);
    assert_string_equal(real.message, none.message);
    assert_int_equal(dataset_label(home.conn, "secret"), SECRECY_CONFIDENTIAL);
    assert_int_equal(dataset_label(home.conn, "sacred"), SECRECY_RESTRICTED);
    /* an administrator manages it, and does not read it */
    assert_int_equal(dataset_get(home.conn, "secret", &admin, DATASET_OWNS, now, &d, &why),
                     FAIL_NONE);
    assert_int_equal(read_as(&admin, "secret", now), FAIL_NOT_FOUND);
}

struct count {
    int owners, grants, decides;
    char last[KEYRING_NAME_SIZE];
};

static void count_reader(void *arg, const struct dataset_subject *who,
                         const struct dataset_grant *g)
{
    struct count *c = arg;
    c->owners += g == NULL;
    c->grants += g != NULL;
    if (g != NULL) {
        snprintf(c->last, sizeof(c->last), "%s", who->name);
    }
}

static void count_request(void *arg, const struct dataset_request *r, bool may_decide)
{
    struct count *c = arg;
    c->grants++;
    c->decides += may_decide && r->state == DATASET_ASKED;
}

static void count_dataset(void *arg, const struct dataset_about *d)
{
    struct count *c = arg;
    c->grants++;
    snprintf(c->last, sizeof(c->last), "%s", d->name);
}

static void access_is_asked_for_and_decided_by_the_owner(void **state)
{
    (void)state;
    struct act q = {.what = REQUEST, .p = &blue, .about = make("runbooks", true),
                    .who = {DATASET_TEAM, ""}, .reason = "on call from Monday"};
    assert_int_equal(act(&q), FAIL_NONE);
    struct id asked = q.id;
    assert_int_equal(act(&q), FAIL_CONFLICT); /* it waits already */
    struct act d = {.what = DECIDE, .p = &blue, .id = asked, .yes = true, .reason = "me",
                    .until = clock_now_us() + HOUR};
    assert_int_equal(act(&d), FAIL_NOT_FOUND);
    struct count c = {0};
    assert_int_equal(
        dataset_request_each(home.conn, &red2, clock_now_us(), count_request, &c, &why), FAIL_NONE);
    assert_int_equal(c.decides, 1);
    d.p = &red2;
    d.reason = "fine";
    assert_int_equal(act(&d), FAIL_NONE);
    assert_int_equal(act(&d), FAIL_CONFLICT);
    assert_int_equal(read_as(&blue, "runbooks", clock_now_us()), FAIL_NONE);
    c = (struct count){0};
    assert_int_equal(dataset_readers(home.conn, "runbooks", clock_now_us(), count_reader, &c, &why),
                     FAIL_NONE);
    assert_int_equal(c.owners, 1);
    assert_int_equal(c.grants, 1);
    assert_string_equal(c.last, "blue");
    c = (struct count){0};
    struct dataset_subject who = {DATASET_TEAM, "blue"};
    assert_int_equal(dataset_of_subject(home.conn, &who, clock_now_us(), count_dataset, &c, &why),
                     FAIL_NONE);
    assert_int_equal(c.grants, 1);
    assert_string_equal(c.last, "runbooks");
    assert_int_equal(act(&q), FAIL_CONFLICT); /* it may read already */
    c = (struct count){0};
    assert_int_equal(
        dataset_readers(home.conn, "runbooks", clock_now_us() + HOUR, count_reader, &c, &why),
        FAIL_NONE);
    assert_int_equal(c.grants, 0);
    /* refused: nothing is granted */
    struct principal green = {.name = "gus", .team = "green"};
    q.p = &green;
    assert_int_equal(act(&q), FAIL_NONE);
    d = (struct act){.what = DECIDE, .p = &red, .id = q.id, .reason = "not needed"};
    assert_int_equal(act(&d), FAIL_NONE);
    assert_int_equal(read_as(&green, "runbooks", clock_now_us()), FAIL_NOT_FOUND);
}

static void each_change_leaves_a_record(void **state)
{
    (void)state;
    int64_t before = audit_size(home.conn);
    struct act a = {.what = CHANGE, .p = &red, .about = make("notes", false)};
    snprintf(a.about.purpose, sizeof(a.about.purpose), "notes of the shift");
    assert_int_equal(act(&a), FAIL_NONE);
    struct act g = {.what = GRANT, .p = &red, .about = a.about, .who = {DATASET_USER, "bob"},
                    .reason = "holiday cover", .until = clock_now_us() + HOUR};
    assert_int_equal(act(&g), FAIL_NONE);
    g.what = REVOKE;
    assert_int_equal(act(&g), FAIL_NONE);
    assert_int_equal(audit_size(home.conn) - before, 4); /* added, changed, granted, revoked */
    struct act again = {.what = ADD, .p = &blue, .about = a.about};
    assert_int_equal(act(&again), FAIL_CONFLICT);
    assert_int_equal(audit_size(home.conn) - before, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_counts_from_its_making_to_its_end),
        cmocka_unit_test(a_grant_has_a_reason_and_an_end),
        cmocka_unit_test(strangers_cannot_tell_a_foreign_dataset_from_a_missing_one),
        cmocka_unit_test(access_is_asked_for_and_decided_by_the_owner),
        cmocka_unit_test(each_change_leaves_a_record),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
