/* SPDX-License-Identifier: Apache-2.0 */
/* Rows: scopes never meet, a revocation reaches what came of an answer, an erasure what is a
   person's, a correction the template that was wrong. */
#include "answer/reuse/reuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"
#include "support/home.h"

#define DIM 8

static struct home home;
static struct arena *arena;
static struct fault why;

static const struct reuse_scope red = {"red/-/internal", "orders", "r1"};
static const struct reuse_scope blue = {"blue/-/internal", "orders", "r1"};
static const struct reuse_owner anna = {"red", "anna"}, bob = {"red", "bob"};
static const float north[DIM] = {1, 0, 0, 0, 0, 0, 0, 0};

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "reuse-rows");
    home_open(&home, HOME_RECORD);
    arena = arena_new((size_t)64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    home_close(&home);
    return home_remove(&home);
}

/* One write of any kind. */
struct work {
    enum { PUT_DOC, PUT_ALIKE, PUT_LEARNED, HIT, DECIDE, REVOKE, ERASE } what;
    const struct reuse_scope *scope;
    const struct reuse_owner *owner;
    struct reuse_entry entry;
    const char *text;
    struct reuse_learned *learned;
    struct reuse_hit hit;
    bool overturned, rejected;
    struct reuse_reach reach;
};

static enum fail content(struct store_tx *tx, const struct work *w, struct fault *f)
{
    return audit_content_put(tx, home.audit, &w->entry.task, AUDIT_PART_INPUT, w->owner->team,
                             w->owner->actor, w->text, strlen(w->text), f);
}

static enum fail run(struct store_tx *tx, void *arg, struct fault *f)
{
    struct work *w = arg;
    enum fail code = FAIL_NONE;
    switch (w->what) {
    case PUT_DOC:
        code = content(tx, w, f);
        return code != FAIL_NONE ? code : reuse_example_put(tx, w->scope, w->owner, &w->entry, f);
    case PUT_ALIKE:
        code = content(tx, w, f);
        return code != FAIL_NONE
                   ? code
                   : reuse_semantic_put(tx, w->scope, w->owner, north, DIM, &w->entry, f);
    case PUT_LEARNED:
        return reuse_stream_put(tx, w->scope, w->learned, NULL, f);
    case HIT:
        return reuse_hit_put(tx, &w->hit, w->owner, f);
    case DECIDE:
        return reuse_decide(tx, &w->entry, w->overturned, w->rejected, f);
    case REVOKE:
        return reuse_revoke(tx, &w->entry.task, arena, &w->reach, f);
    case ERASE:
        return reuse_erase(tx, w->owner->team, w->owner->actor, arena, &w->reach, f);
    }
    return code;
}

static void does(struct work *w)
{
    if (store_write_wait(home.store, run, w, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

static struct id put_order(const struct reuse_owner *owner, const char *number, const char *name)
{
    char text[256];
    snprintf(text, sizeof(text), "Order confirmation\nOrder no: %s\nCustomer: %s\nThank you.\n",
             number, name);
    struct work w = {.what = PUT_DOC, .scope = &red, .owner = owner, .text = text};
    w.entry = (struct reuse_entry){.task = text_id_new(), .n = 2, .names = {"order", "customer"},
                                   .values = {number, name}, .draft = ""};
    does(&w);
    return w.entry.task;
}

static size_t learn(const struct reuse_scope *scope)
{
    struct reuse_learned l;
    assert_int_equal(reuse_stream_learn(home.conn, home.audit, scope, &l, &why), FAIL_NONE);
    struct work w = {.what = PUT_LEARNED, .scope = scope, .learned = &l};
    size_t n = l.n;
    does(&w);
    reuse_learned_done(&l);
    return n;
}

static size_t fills(const struct reuse_scope *scope, struct id *from)
{
    static const char text[] =
        "Order confirmation\nOrder no: Z-9\nCustomer: Zoe Zorn\nThank you.\n";
    struct reuse_match m;
    assert_int_equal(
        reuse_stream_match(home.conn, scope, text, strlen(text), arena, &m, from, &why), FAIL_NONE);
    return m.n;
}

static void a_stream_is_learned_and_meets_no_other(void **state)
{
    (void)state;
    struct id from;
    struct reuse_scope newer = {red.domain, red.workflow, "r2"};
    put_order(&anna, "A-1", "Anna Smith");
    put_order(&anna, "B-22", "Bob Jones");
    assert_int_equal(learn(&red), 0);
    put_order(&bob, "C-333", "Eve Stone");
    assert_int_equal(learn(&red), 1);
    assert_int_equal(fills(&red, &from), 2);
    assert_false(text_id_is_zero(&from));
    assert_int_equal(fills(&blue, &from), 0);
    assert_int_equal(fills(&newer, &from), 0);
    assert_int_equal(learn(&red), 1); /* again: the same one */
    struct id again;
    assert_int_equal(fills(&red, &again), 2);
    assert_int_equal(learn(&blue), 0);
}

static void a_revocation_reaches_all_that_came_of_it(void **state)
{
    (void)state;
    struct id template, tasks[3] = {put_order(&anna, "A-1", "Anna Smith"),
                                    put_order(&anna, "B-22", "Bob Jones"),
                                    put_order(&bob, "C-333", "Eve Stone")};
    learn(&red);
    assert_int_equal(fills(&red, &template), 2);
    struct id filled = text_id_new(), copied = text_id_new();
    struct work w = {.what = HIT, .owner = &bob};
    w.hit = (struct reuse_hit){filled, "order", REUSE_TEMPLATE, template, 1};
    does(&w);
    w.hit = (struct reuse_hit){copied, "", REUSE_EXACT, filled, 1};
    does(&w);
    w = (struct work){.what = REVOKE};
    w.entry.task = tasks[1];
    does(&w);
    assert_int_equal(w.reach.tasks_len, 3);
    assert_true(text_id_equal(&w.reach.tasks[0], &tasks[1]));
    assert_true(text_id_equal(&w.reach.tasks[1], &filled));
    assert_true(text_id_equal(&w.reach.tasks[2], &copied));
    assert_int_equal(w.reach.templates_len, 1);
    assert_int_equal(w.reach.examples, 1);
    assert_int_equal(fills(&red, &template), 0);
    bool revoked = false;
    struct id root;
    assert_int_equal(reuse_revoked(home.conn, &copied, &revoked, &root, &why), FAIL_NONE);
    assert_true(revoked && text_id_equal(&root, &tasks[1]));
    assert_int_equal(learn(&red), 0); /* two are left */
    does(&w);                         /* twice is fine */
}

static void an_erasure_takes_documents_and_what_was_learned_from_them(void **state)
{
    (void)state;
    struct id from;
    put_order(&anna, "A-1", "Anna Smith");
    put_order(&anna, "B-22", "Bob Jones");
    put_order(&anna, "D-4", "Dieter Vogel");
    put_order(&bob, "C-333", "Eve Stone");
    learn(&red);
    assert_int_equal(fills(&red, &from), 2);
    struct work w = {.what = ERASE, .owner = &bob};
    does(&w);
    assert_int_equal(w.reach.templates_len, 1);
    assert_int_equal(w.reach.examples, 1);
    assert_int_equal(fills(&red, &from), 0);
    assert_int_equal(learn(&red), 1); /* from anna's three */
    assert_int_equal(fills(&red, &from), 2);
    w.owner = &anna;
    does(&w);
    assert_int_equal(fills(&red, &from), 0);
    assert_int_equal(learn(&red), 0);
}

static void a_correction_takes_the_template_that_was_wrong(void **state)
{
    (void)state;
    struct id template, filled = put_order(&bob, "F-6", "Fay Moor");
    put_order(&anna, "A-1", "Anna Smith");
    put_order(&anna, "B-22", "Bob Jones");
    learn(&red);
    assert_int_equal(fills(&red, &template), 2);
    struct work hit = {.what = HIT, .owner = &bob};
    hit.hit = (struct reuse_hit){filled, "order", REUSE_TEMPLATE, template, 1};
    does(&hit);
    struct work w = {.what = DECIDE};
    w.entry = (struct reuse_entry){.task = filled, .n = 2, .names = {"order", "customer"},
                                   .values = {"F-6", "Fay Moor"}};
    does(&w); /* approved as it was */
    assert_int_equal(fills(&red, &template), 2);
    w.entry.values[1] = "Somebody Else";
    w.overturned = true;
    does(&w);
    assert_int_equal(fills(&red, &template), 0);
}

static bool find_alike(const struct reuse_scope *scope, const char *text, enum reuse_verdict *v)
{
    struct reuse_entry e;
    bool found = false;
    double cosine = 0;
    assert_int_equal(reuse_semantic_find(home.conn, home.audit, scope, north, DIM, text,
                                         strlen(text), arena, &e, &cosine, &found, v, &why),
                     FAIL_NONE);
    assert_true(!found || (cosine > 0.99 && strcmp(e.values[0], "cards") == 0));
    return found;
}

static void another_request_is_answered_only_when_it_says_the_same(void **state)
{
    (void)state;
    enum reuse_verdict v;
    struct work w = {.what = PUT_ALIKE, .scope = &red, .owner = &anna,
                     .text = "How do I activate my card?"};
    w.entry = (struct reuse_entry){.task = text_id_new(), .n = 1, .names = {"queue"},
                                   .values = {"cards"}, .draft = ""};
    does(&w);
    assert_true(find_alike(&red, "Hello, how can I activate my card please", &v));
    assert_false(find_alike(&red, "How do I deactivate my card?", &v));
    assert_int_equal(v, REUSE_NOT_WORDS);
    assert_false(find_alike(&blue, "How do I activate my card?", &v));
    assert_int_equal(v, REUSE_SAME); /* nothing was near */
    assert_int_equal(audit_subject_erase(home.audit, "red", "anna", NULL, &why), FAIL_NONE);
    assert_false(find_alike(&red, "How do I activate my card?", &v)); /* its text is gone */
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_stream_is_learned_and_meets_no_other),
        T(a_revocation_reaches_all_that_came_of_it),
        T(an_erasure_takes_documents_and_what_was_learned_from_them),
        T(a_correction_takes_the_template_that_was_wrong),
        T(another_request_is_answered_only_when_it_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
