/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of certificates in the home.store: the pilot's looks, what voids one, the watch, the
 * confirmation, what is still needed, and that a person's data goes.
 */
#include "answer/certify/certify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "trust/keyring/keyring.h"
#include "support/home.h"

static struct home home;

static const struct certify_releases head_1 = {"vectors-1", "", "head-1"};
static const struct certify_releases head_2 = {"vectors-1", "", "head-2"};
static const struct certify_releases light_1 = {"light-1", "form-1", ""};

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "certify");
    home_open(&home, HOME_RECORD);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return home_remove(&home);
}

/* ---- many tasks, said and decided in one write ---- */

struct run {
    const char *field, *rung;
    const struct certify_releases *releases;
    int n;
    int wrong_every; /* each so-manieth is decided otherwise; 0: none */
    bool answered, reject, undecided;
    double score; /* of all; 0: falling from 1 */
    int drawn;               /* out */
    struct certify_events last; /* of the last decision that told something */
    int events;
    struct id task; /* the last one */
    const struct id *reused_from;
};

static enum fail do_run(struct store_tx *tx, void *arg, struct fault *why)
{
    struct run *r = arg;
    for (int i = 0; i < r->n; i++) {
        struct certify_said said = {.field = r->field, .rung = r->rung, .value = "cards",
                                    .score = r->score > 0 ? r->score : 1 - 0.5 * i / r->n,
                                    .target = 0.02, .delta = CERTIFY_DELTA,
                                    .answered = r->answered, .reused_from = r->reused_from};
        if (r->releases != NULL) {
            said.releases = *r->releases;
        }
        struct certify_note note = {.task = text_id_new(), .workflow = "triage", .said = &said,
                                    .said_len = 1, .reviewable = true};
        bool drawn;
        r->task = note.task;
        enum fail f = certify_note(tx, &note, &drawn, why);
        if (f != FAIL_NONE) {
            return f;
        }
        r->drawn += drawn;
        if (r->undecided || (r->answered && !drawn)) {
            continue;
        }
        bool wrong = r->wrong_every > 0 && i % r->wrong_every == r->wrong_every - 1;
        struct certify_decided d = {r->field, wrong ? "refunds" : "cards"};
        struct certify_review review = {.task = note.task, .workflow = "triage", .actor = "anna",
                                        .team = "support", .fields = &d, .fields_len = 1,
                                        .rejected = r->reject};
        struct certify_events events;
        f = certify_review(tx, home.audit, &review, &events, why);
        if (f != FAIL_NONE) {
            return f;
        }
        if (events.n > 0) {
            r->last = events;
            r->events++;
        }
    }
    return FAIL_NONE;
}

static bool find(const char *field, const char *rung, const struct certify_releases *now,
                 double target, struct certify_certificate *out)
{
    struct fault why;
    bool found = false;
    assert_int_equal(certify_find(home.conn, "triage", field, rung, now, target, out, &found, &why),
                     FAIL_NONE);
    return found;
}

static void a_pilot_is_certified_at_its_look_and_not_before(void **state)
{
    (void)state;
    struct certify_certificate c;
    struct run r = {.field = "queue", .rung = "learned", .releases = &head_1, .n = 499};
    home_write(&home, do_run, &r);
    assert_int_equal(r.events, 0);
    assert_false(find("queue", "learned", &head_1, 0.02, &c));
    int64_t before = audit_size(home.conn);
    r.n = 1;
    home_write(&home, do_run, &r);
    assert_int_equal(r.events, 1);
    assert_int_equal(r.last.list[0].kind, CERTIFY_EVENT_ISSUED);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
    assert_int_equal(c.class, CERTIFY_REVIEWED);
    assert_int_equal(c.n, 500);
    assert_int_equal(c.errors, 0);
    assert_true(c.coverage > 0.9 && c.error_upper <= 0.02 && c.threshold <= 0.6);
    assert_string_equal(c.head, "head-1");
    assert_int_equal(audit_size(home.conn), before + 1);
    /* Neither another head nor another promise is what was certified. */
    assert_false(find("queue", "learned", &head_2, 0.02, &c));
    assert_false(find("queue", "learned", &head_1, 0.01, &c));
    assert_false(find("queue", "light", &light_1, 0.02, &c));
}

static void a_poor_pilot_is_not_certified(void **state)
{
    (void)state;
    struct certify_certificate c;
    struct run r = {.field = "queue", .rung = "learned", .releases = &head_1, .n = 1000,
                    .wrong_every = 20};
    home_write(&home, do_run, &r);
    assert_int_equal(r.events, 0);
    assert_false(find("queue", "learned", &head_1, 0.02, &c));
    /* Rejected whole: every field of it was wrong. */
    struct run bad = {.field = "kind", .rung = "learned", .releases = &head_1, .n = 500,
                      .reject = true};
    home_write(&home, do_run, &bad);
    assert_int_equal(bad.events, 0);
}

static struct run pilot(const char *field, const char *rung, const struct certify_releases *now)
{
    struct run r = {.field = field, .rung = rung, .releases = now, .n = 500};
    home_write(&home, do_run, &r);
    assert_int_equal(r.events, 1);
    return r;
}

/* ---- voiding ---- */

struct voiding {
    const char *rung;
    const struct certify_releases *now;
    int64_t n;
};

static enum fail do_void(struct store_tx *tx, void *arg, struct fault *why)
{
    struct voiding *v = arg;
    return certify_void(tx, home.audit, "triage", NULL, v->rung, v->now, "a new head", "anna",
                        "support", &v->n, why);
}

static bool count_row(void *arg, const struct certify_certificate *c)
{
    (void)c;
    ++*(int *)arg;
    return true;
}

static void a_change_voids_what_it_touches_and_nothing_else(void **state)
{
    (void)state;
    struct certify_certificate c;
    struct fault why;
    pilot("queue", "learned", &head_1);
    pilot("queue", "light", &light_1);
    struct certify_releases new_light = {"light-2", NULL, NULL};
    struct voiding same = {"learned", &head_1, -1}, other = {"light", &new_light, -1};
    home_write(&home, do_void, &same);
    assert_int_equal(same.n, 0);
    home_write(&home, do_void, &other);
    assert_int_equal(other.n, 1);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
    assert_false(find("queue", "light", &light_1, 0.02, &c));
    struct voiding head = {"learned", &head_2, -1};
    home_write(&home, do_void, &head);
    assert_int_equal(head.n, 1);
    assert_false(find("queue", "learned", &head_1, 0.02, &c));
    int live = 0, all = 0;
    assert_int_equal(certify_each(home.conn, "triage", false, count_row, &live, &why), FAIL_NONE);
    assert_int_equal(certify_each(home.conn, NULL, true, count_row, &all, &why), FAIL_NONE);
    assert_int_equal(live, 0);
    assert_int_equal(all, 2);
    /* What was said under the old head does not count for the new one. */
    struct run fresh = {.field = "queue", .rung = "learned", .releases = &head_2, .n = 499};
    home_write(&home, do_run, &fresh);
    assert_int_equal(fresh.events, 0);
    fresh.n = 1;
    home_write(&home, do_run, &fresh);
    assert_int_equal(fresh.events, 1);
    assert_true(find("queue", "learned", &head_2, 0.02, &c));
}

static void an_earlier_rung_changes_what_reaches_the_later(void **state)
{
    (void)state;
    struct certify_certificate c;
    pilot("queue", "light", &light_1);
    pilot("kind", "light", &light_1);
    assert_true(find("queue", "light", &light_1, 0.02, &c));
    pilot("queue", "learned", &head_1);
    assert_false(find("queue", "light", &light_1, 0.02, &c));
    assert_true(find("kind", "light", &light_1, 0.02, &c));
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
}

/* ---- the watch ---- */

static void the_watch_withdraws_a_rung_that_drifted(void **state)
{
    (void)state;
    struct certify_certificate c;
    pilot("queue", "learned", &head_1);
    /* The volume is not known yet: the most that is ever drawn. */
    struct run good = {.field = "queue", .rung = "learned", .releases = &head_1, .n = 400,
                       .answered = true, .wrong_every = 100, .score = 0.9};
    home_write(&home, do_run, &good);
    assert_true(good.drawn > 70 && good.drawn < 130);
    assert_int_equal(good.events, 0);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
    assert_int_equal(c.watch.n, good.drawn);
    assert_true(c.audit_rate > 0.24 && c.audit_rate < 0.26);
    struct run bad = good;
    bad.n = 800;
    bad.wrong_every = 3;
    home_write(&home, do_run, &bad);
    assert_true(bad.events >= 1);
    assert_int_equal(bad.last.list[0].kind, CERTIFY_EVENT_WITHDRAWN);
    assert_non_null(strstr(bad.last.list[0].text, "no longer answers queue alone"));
    assert_false(find("queue", "learned", &head_1, 0.02, &c));
    /* It starts over as a pilot; a good one is certified again. */
    pilot("queue", "learned", &head_1);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
}

static enum fail do_issue(struct store_tx *tx, void *arg, struct fault *why)
{
    struct certify_certificate c = {.workflow = "triage", .field = "queue", .rung = "learned",
                                    .model = "vectors-1", .head = "head-1",
                                    .class = CERTIFY_PROVISIONAL, .target = 0.02, .delta = 0.05};
    struct certify_result r = {.certified = true, .threshold = 0.7, .n = 1000, .accepted = 700,
                               .errors = 5, .error_upper = 0.015, .traffic_upper = 0.0105};
    return certify_issue(tx, home.audit, &c, &r, "anna", "support", arg, why);
}

static void the_sample_confirms_a_provisional_certificate(void **state)
{
    (void)state;
    struct certify_certificate c;
    struct id id;
    home_write(&home, do_issue, &id);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
    assert_true(text_id_equal(&c.id, &id));
    assert_int_equal(c.class, CERTIFY_PROVISIONAL);
    struct run good = {.field = "queue", .rung = "learned", .releases = &head_1, .n = 2600,
                       .answered = true, .score = 0.9};
    home_write(&home, do_run, &good);
    assert_true(good.drawn >= 500);
    assert_int_equal(good.events, 1);
    assert_int_equal(good.last.list[0].kind, CERTIFY_EVENT_CONFIRMED);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
    assert_int_equal(c.class, CERTIFY_REVIEWED);
    assert_true(c.confirmed_at > 0);
    assert_int_equal(c.audited, good.drawn);
}

static void what_is_below_or_unseen_feeds_nothing(void **state)
{
    (void)state;
    struct certify_certificate c;
    pilot("queue", "learned", &head_1);
    struct run below = {.field = "queue", .rung = "learned", .releases = &head_1, .n = 300,
                        .wrong_every = 1, .score = 0.1};
    home_write(&home, do_run, &below);
    assert_int_equal(below.events, 0);
    assert_true(find("queue", "learned", &head_1, 0.02, &c));
    assert_int_equal(c.watch.n, 0);
    assert_int_equal(c.audited, 0);
}

/* ---- needs ---- */

struct needs {
    struct certify_need list[8];
    size_t n;
};

static bool keep_need(void *arg, const struct certify_need *need)
{
    struct needs *n = arg;
    n->list[n->n++] = *need;
    return true;
}

static void every_uncertified_field_says_what_it_needs(void **state)
{
    (void)state;
    struct fault why;
    struct needs needs = {.n = 0};
    pilot("queue", "learned", &head_1);
    struct run some = {.field = "kind", .rung = "learned", .releases = &head_1, .n = 120,
                       .wrong_every = 60};
    home_write(&home, do_run, &some);
    struct run waiting = {.field = "tone", .rung = "light", .releases = &light_1, .n = 3,
                          .undecided = true};
    home_write(&home, do_run, &waiting);
    assert_int_equal(certify_needs(home.conn, "triage", keep_need, &needs, &why), FAIL_NONE);
    assert_int_equal(needs.n, 2);
    assert_string_equal(needs.list[0].field, "kind");
    assert_int_equal(needs.list[0].reviewed, 120);
    assert_int_equal(needs.list[0].errors, 2);
    assert_int_equal(needs.list[0].next_look, 500);
    assert_true(needs.list[0].expected >= 500);
    assert_string_equal(needs.list[1].field, "tone");
    assert_int_equal(needs.list[1].reviewed, 0);
    assert_int_equal(needs.list[1].expected, 500);
    needs.n = 0;
    assert_int_equal(certify_needs(home.conn, "other", keep_need, &needs, &why), FAIL_NONE);
    assert_int_equal(needs.n, 0);
}

/* ---- forgetting ---- */

static enum fail do_forget(struct store_tx *tx, void *arg, struct fault *why)
{
    return certify_forget(tx, arg, why);
}

static enum fail do_late(struct store_tx *tx, void *arg, struct fault *why)
{
    struct certify_decided d = {"queue", "cards"};
    struct certify_review review = {.task = *(struct id *)arg, .workflow = "triage",
                                    .actor = "anna", .team = "support", .fields = &d,
                                    .fields_len = 1};
    struct certify_events events;
    return certify_review(tx, home.audit, &review, &events, why);
}

static void a_forgotten_task_is_decided_no_more(void **state)
{
    (void)state;
    struct fault why;
    struct needs needs = {.n = 0};
    struct run r = {.field = "queue", .rung = "learned", .releases = &head_1, .n = 1,
                    .undecided = true};
    home_write(&home, do_run, &r);
    home_write(&home, do_forget, &r.task);
    home_write(&home, do_late, &r.task);
    assert_int_equal(certify_needs(home.conn, NULL, keep_need, &needs, &why), FAIL_NONE);
    assert_int_equal(needs.n, 1);
    assert_int_equal(needs.list[0].reviewed, 0);
}

/* An answer given once more is its rung's: drawn at that rate, and its errors take that licence. */
static void a_reused_answer_is_its_rungs_once_more(void **state)
{
    (void)state;
    struct certify_certificate c;
    struct run pilot = {.field = "again", .rung = "learned", .releases = &head_1, .n = 500};
    home_write(&home, do_run, &pilot);
    assert_true(find("again", "learned", &head_1, 0.02, &c));
    struct run first = {.field = "again", .rung = "learned", .releases = &head_1, .n = 1,
                        .answered = true, .undecided = true, .score = 0.99};
    home_write(&home, do_run, &first);
    struct run twice = {.field = "again", .rung = "reuse", .n = 300, .answered = true,
                        .reused_from = &first.task, .wrong_every = 1};
    home_write(&home, do_run, &twice);
    assert_true(twice.drawn > 2 && twice.drawn < 200);
    assert_int_equal(twice.last.list[0].kind, CERTIFY_EVENT_WITHDRAWN);
    assert_string_equal(twice.last.list[0].rung, "learned");
    assert_false(find("again", "learned", &head_1, 0.02, &c));
    int drawn = twice.drawn;
    home_write(&home, do_run, &twice); /* nothing holds it any more: nothing is watched */
    assert_int_equal(twice.drawn, drawn);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_pilot_is_certified_at_its_look_and_not_before),
        TEST(a_poor_pilot_is_not_certified),
        TEST(a_change_voids_what_it_touches_and_nothing_else),
        TEST(an_earlier_rung_changes_what_reaches_the_later),
        TEST(the_watch_withdraws_a_rung_that_drifted),
        TEST(the_sample_confirms_a_provisional_certificate),
        TEST(what_is_below_or_unseen_feeds_nothing),
        TEST(every_uncertified_field_says_what_it_needs),
        TEST(a_forgotten_task_is_decided_no_more),
        TEST(a_reused_answer_is_its_rungs_once_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
