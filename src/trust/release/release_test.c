/* SPDX-License-Identifier: Apache-2.0 */
/* A version serves when another person approved it; what was stored before has moved here. */
#include "trust/release/release.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/home.h"

#define A "aaaa"
#define B "bbbb"

static struct home home;

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "release");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return home_remove(&home);
}

struct change {
    const char *kind, *release, *text, *actor; /* text NULL: approve */
    bool four_eyes;
    char before[TEXT_SHA256_HEX_SIZE];
};

static enum fail change(struct store_tx *tx, void *arg, struct fault *why)
{
    struct change *c = arg;
    return c->text != NULL
               ? release_propose(tx, c->kind, c->release, c->text, c->actor, why)
               : release_approve(tx, c->kind, c->release, c->actor, c->four_eyes, c->before, why);
}

static enum fail propose(const char *kind, const char *release, const char *text)
{
    struct fault why;
    struct change c = {.kind = kind, .release = release, .text = text, .actor = "ann"};
    return store_write_wait(home.store, change, &c, &why);
}

static enum fail approve(const char *release, const char *actor, char before[65])
{
    struct fault why;
    struct change c = {.kind = "route", .release = release, .actor = actor, .four_eyes = true};
    enum fail f = store_write_wait(home.store, change, &c, &why);
    memcpy(before, c.before, sizeof(c.before));
    return f;
}

static void assert_active(const char *kind, const char *text)
{
    struct fault why;
    struct buf body;
    bool found;
    buf_init(&body, RELEASE_BODY_MAX);
    assert_int_equal(release_active(home.conn, kind, &body, &found, &why), FAIL_NONE);
    assert_int_equal(found, text != NULL);
    if (text != NULL) {
        assert_string_equal(body.data, text);
    }
    buf_done(&body);
}

static void count_states(void *arg, const struct release_version *v)
{
    int *n = arg;
    n[0] += strcmp(v->state, "candidate") == 0;
    n[1] += strcmp(v->state, "active") == 0;
    n[2] += strcmp(v->state, "retired") == 0;
}

static void a_candidate_serves_when_another_person_approved_it(void **state)
{
    (void)state;
    struct fault why;
    char before[65];
    int states[3] = {0};
    home_open(&home, HOME_STORE);
    assert_int_equal(propose("route", A, "one"), FAIL_NONE);
    assert_active("route", NULL);
    assert_int_equal(approve(A, "ann", before), FAIL_FORBIDDEN);
    assert_int_equal(approve(A, "bob", before), FAIL_NONE);
    assert_string_equal(before, "");
    assert_int_equal(approve(A, "bob", before), FAIL_CONFLICT);
    assert_int_equal(propose("route", A, "one"), FAIL_CONFLICT);
    assert_active("route", "one");

    assert_int_equal(propose("route", B, "two"), FAIL_NONE);
    assert_int_equal(approve(B, "bob", before), FAIL_NONE);
    assert_string_equal(before, A);
    assert_active("route", "two");
    assert_int_equal(release_each(home.conn, "route", count_states, states, &why), FAIL_NONE);
    assert_int_equal(states[0], 0);
    assert_int_equal(states[1], 1);
    assert_int_equal(states[2], 1);

    assert_int_equal(approve(RELEASE_SHIPPED, "ann", before), FAIL_NONE);
    assert_string_equal(before, B);
    assert_active("route", NULL);
    assert_int_equal(approve(RELEASE_SHIPPED, "ann", before), FAIL_CONFLICT);
    assert_int_equal(approve("nonesuch", "bob", before), FAIL_NOT_FOUND);
    home_close(&home);
}

static void kinds_do_not_touch_one_another(void **state)
{
    (void)state;
    char before[65];
    home_open(&home, HOME_STORE);
    assert_int_equal(propose("route", A, "one"), FAIL_NONE);
    assert_int_equal(propose("guard", A, "other"), FAIL_NONE);
    assert_int_equal(approve(A, "bob", before), FAIL_NONE);
    assert_active("route", "one");
    assert_active("guard", NULL);
    assert_int_equal(approve(B, "bob", before), FAIL_NOT_FOUND);
    home_close(&home);
}

static enum fail put_old(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    AUTO_STMT struct store_stmt *r = store_query(
        store_tx_conn(tx), "INSERT INTO route_rules (release, yaml, state, proposed_by, "
                           "proposed_at, approved_by, approved_at) "
                           "VALUES ('aaaa', 'rows', 'active', 'ann', 1, 'bob', 2)");
    enum fail f = store_run(r, why);
    if (f != FAIL_NONE) {
        return f;
    }
    AUTO_STMT struct store_stmt *g = store_query(
        store_tx_conn(tx), "INSERT INTO guard_rules (release, yaml, state, proposed_by, "
                           "proposed_at, approved_by, approved_at) "
                           "VALUES ('aaaa', 'rules', 'active', 'ann', 1, 'bob', 2)");
    return store_run(g, why);
}

/* A server of before: its rules stood in tables of their own. */
static void rules_approved_before_still_serve(void **state)
{
    (void)state;
    struct fault why;
    struct store_schema old = store_schema_data;
    old.count = 0;
    while (store_schema_data.list[old.count].version < 200) {
        old.count++;
    }
    assert_int_equal(store_open(home.path, &old, &home.store, &why), FAIL_NONE);
    assert_int_equal(store_write_wait(home.store, put_old, NULL, &why), FAIL_NONE);
    home_close(&home);
    home_open(&home, HOME_STORE);
    assert_active("route", "rows");
    assert_active("guard", "rules");
    home_close(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_candidate_serves_when_another_person_approved_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(kinds_do_not_touch_one_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_approved_before_still_serve, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
