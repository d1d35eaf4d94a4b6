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

#define A "aaaa"
#define B "bbbb"

struct house {
    char dir[32], path[48];
    struct store *store;
    struct store_conn *conn;
};

static void open_store(struct house *h, const struct store_schema *schema)
{
    struct fault why;
    assert_int_equal(store_open(h->path, schema, &h->store, &why), FAIL_NONE);
    assert_int_equal(store_reader_open(h->store, &h->conn, &why), FAIL_NONE);
}

static void close_store(struct house *h)
{
    store_reader_close(h->conn);
    store_close(h->store);
}

static int set_up(void **state)
{
    struct house *h = mem_alloc(sizeof(*h));
    snprintf(h->dir, sizeof(h->dir), "/tmp/release-test-XXXXXX");
    if (mkdtemp(h->dir) == NULL) {
        return -1;
    }
    snprintf(h->path, sizeof(h->path), "%s/data.db", h->dir);
    *state = h;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const endings[] = {"", "-wal", "-shm", "-lock"};
    struct house *h = *state;
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s%s", h->path, endings[i]);
        (void)unlink(path);
    }
    (void)rmdir(h->dir);
    mem_free(h);
    return 0;
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

static enum fail propose(struct house *h, const char *kind, const char *release, const char *text)
{
    struct fault why;
    struct change c = {.kind = kind, .release = release, .text = text, .actor = "ann"};
    return store_write_wait(h->store, change, &c, &why);
}

static enum fail approve(struct house *h, const char *release, const char *actor, char before[65])
{
    struct fault why;
    struct change c = {.kind = "route", .release = release, .actor = actor, .four_eyes = true};
    enum fail f = store_write_wait(h->store, change, &c, &why);
    memcpy(before, c.before, sizeof(c.before));
    return f;
}

static void assert_active(struct house *h, const char *kind, const char *text)
{
    struct fault why;
    struct buf body;
    bool found;
    buf_init(&body, RELEASE_BODY_MAX);
    assert_int_equal(release_active(h->conn, kind, &body, &found, &why), FAIL_NONE);
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
    struct house *h = *state;
    struct fault why;
    char before[65];
    int states[3] = {0};
    open_store(h, &store_schema_data);
    assert_int_equal(propose(h, "route", A, "one"), FAIL_NONE);
    assert_active(h, "route", NULL);
    assert_int_equal(approve(h, A, "ann", before), FAIL_FORBIDDEN);
    assert_int_equal(approve(h, A, "bob", before), FAIL_NONE);
    assert_string_equal(before, "");
    assert_int_equal(approve(h, A, "bob", before), FAIL_CONFLICT);
    assert_int_equal(propose(h, "route", A, "one"), FAIL_CONFLICT);
    assert_active(h, "route", "one");

    assert_int_equal(propose(h, "route", B, "two"), FAIL_NONE);
    assert_int_equal(approve(h, B, "bob", before), FAIL_NONE);
    assert_string_equal(before, A);
    assert_active(h, "route", "two");
    assert_int_equal(release_each(h->conn, "route", count_states, states, &why), FAIL_NONE);
    assert_int_equal(states[0], 0);
    assert_int_equal(states[1], 1);
    assert_int_equal(states[2], 1);

    assert_int_equal(approve(h, RELEASE_SHIPPED, "ann", before), FAIL_NONE);
    assert_string_equal(before, B);
    assert_active(h, "route", NULL);
    assert_int_equal(approve(h, RELEASE_SHIPPED, "ann", before), FAIL_CONFLICT);
    assert_int_equal(approve(h, "nonesuch", "bob", before), FAIL_NOT_FOUND);
    close_store(h);
}

static void kinds_do_not_touch_one_another(void **state)
{
    struct house *h = *state;
    char before[65];
    open_store(h, &store_schema_data);
    assert_int_equal(propose(h, "route", A, "one"), FAIL_NONE);
    assert_int_equal(propose(h, "guard", A, "other"), FAIL_NONE);
    assert_int_equal(approve(h, A, "bob", before), FAIL_NONE);
    assert_active(h, "route", "one");
    assert_active(h, "guard", NULL);
    assert_int_equal(approve(h, B, "bob", before), FAIL_NOT_FOUND);
    close_store(h);
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
    struct house *h = *state;
    struct fault why;
    struct store_schema old = store_schema_data;
    old.count = 0;
    while (store_schema_data.list[old.count].version < 200) {
        old.count++;
    }
    open_store(h, &old);
    assert_int_equal(store_write_wait(h->store, put_old, NULL, &why), FAIL_NONE);
    close_store(h);
    open_store(h, &store_schema_data);
    assert_active(h, "route", "rows");
    assert_active(h, "guard", "rules");
    close_store(h);
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
