/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of review: one decision each, its record, teams apart, outcomes, edit distance. */
#include "work/review/review.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "support/home.h"

static struct home home;
static struct arena *arena;

static const struct principal anna = {.kind = PRINCIPAL_KIND_KEY,
                                      .name = "anna",
                                      .team = "support",
                                      .role = KEYRING_ROLE_REVIEWER};
static const struct principal ben = {
    .kind = PRINCIPAL_KIND_KEY, .name = "ben", .team = "support", .role = KEYRING_ROLE_REVIEWER};
static const struct principal eve = {
    .kind = PRINCIPAL_KIND_KEY, .name = "eve", .team = "sales", .role = KEYRING_ROLE_REVIEWER};
static const struct principal root = {
    .kind = PRINCIPAL_KIND_LOCAL, .name = "local:0", .team = "default", .role = KEYRING_ROLE_ADMIN};

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "review");
    home_open(&home, HOME_RECORD);
    arena = arena_new(8 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    home_close(&home);
    return home_remove(&home);
}

/* ---- small helpers: one write each ---- */

static enum fail do_create(struct store_tx *tx, void *arg, struct fault *why)
{
    return review_create(tx, arg, true, why);
}

static struct id create(const char *workflow, const char *title)
{
    struct fault why;
    const struct review_field fields[] = {
        {.name = "queue", .type = "choice", .value = "cards", .confidence = 0.62,
         .rung = "learned", .is_open = true},
        {.name = "priority", .type = "choice", .value = "normal", .confidence = 0.98,
         .rung = "learned"},
    };
    struct review_artifact a = {.id = text_id_new(),
                                .task = text_id_new(),
                                .workflow = workflow,
                                .team = "support",
                                .actor = "customer-7",
                                .title = title,
                                .result = "{\"queue\":\"cards\"}",
                                .draft = "Dear customer, your card is on its way.",
                                .fields = fields,
                                .fields_len = 2};
    if (store_write_wait(home.store, do_create, &a, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return a.id;
}

struct decision {
    struct review_decide d;
    struct review_decided out;
};

static enum fail do_decide(struct store_tx *tx, void *arg, struct fault *why)
{
    struct decision *d = arg;
    return review_decide(tx, home.audit, &d->d, &d->out, why);
}

static enum fail decide(const struct review_decide *d, struct review_decided *out,
                        struct fault *why)
{
    struct decision job = {.d = *d};
    enum fail f = store_write_wait(home.store, do_decide, &job, why);
    if (out != NULL) {
        *out = job.out;
    }
    return f;
}

struct open_job {
    struct id id;
    const struct principal *who;
    const char *draft;
    int64_t n;
};

static enum fail do_open(struct store_tx *tx, void *arg, struct fault *why)
{
    struct open_job *j = arg;
    return review_open(tx, &j->id, j->who, why);
}

static enum fail do_redraft(struct store_tx *tx, void *arg, struct fault *why)
{
    struct open_job *j = arg;
    return review_redraft(tx, &j->id, j->draft, why);
}

static enum fail do_deliver(struct store_tx *tx, void *arg, struct fault *why)
{
    struct open_job *j = arg;
    return review_deliver(tx, &j->id, why);
}

static enum fail do_forget(struct store_tx *tx, void *arg, struct fault *why)
{
    struct open_job *j = arg;
    return review_forget(tx, "support", "customer-7", &j->n, why);
}

static struct review_artifact get(const struct id *id)
{
    struct fault why;
    struct review_artifact a;
    if (review_get(home.conn, arena, id, &anna, &a, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return a;
}

/* ---- tests ---- */

static void an_artifact_comes_back_whole(void **state)
{
    (void)state;
    struct id id = create("ticket-triage", "Card lost");
    struct review_artifact a = get(&id);
    assert_int_equal(a.state, REVIEW_STATE_IN_REVIEW);
    assert_int_equal(a.version, 1);
    assert_string_equal(a.title, "Card lost");
    assert_string_equal(a.draft, "Dear customer, your card is on its way.");
    assert_int_equal(a.fields_len, 2);
    assert_string_equal(a.fields[0].name, "queue");
    assert_true(a.fields[0].is_open && !a.fields[1].is_open);
    assert_true(a.fields[0].confidence == 0.62);
    assert_null(a.fields[0].decided);
    assert_null(a.decided_by);
}

static void an_approval_takes_every_proposal(void **state)
{
    (void)state;
    struct fault why;
    struct id id = create("ticket-triage", "x");
    struct review_decided out;
    struct review_decide d = {.id = id, .version = 1, .who = &anna, .review_ms = 4200};
    assert_int_equal(decide(&d, &out, &why), FAIL_NONE);
    assert_int_equal(out.state, REVIEW_STATE_APPROVED);
    assert_int_equal(out.version, 2);
    assert_int_equal(out.leaf, 0);
    struct review_artifact a = get(&id);
    assert_int_equal(a.state, REVIEW_STATE_APPROVED);
    assert_string_equal(a.fields[0].decided, "cards");
    assert_string_equal(a.fields[1].decided, "normal");
    assert_string_equal(a.decided_by, "anna");
    struct open_job j = {.id = id};
    assert_int_equal(store_write_wait(home.store, do_deliver, &j, &why), FAIL_NONE);
    assert_int_equal(get(&id).state, REVIEW_STATE_DELIVERED);
    assert_int_equal(store_write_wait(home.store, do_deliver, &j, &why), FAIL_CONFLICT);
}

static enum fail only_known_queues(void *arg, const char *workflow, const char *name,
                                   const char *value, struct fault *why)
{
    (void)arg;
    assert_string_equal(workflow, "ticket-triage");
    return strcmp(name, "queue") != 0 || strcmp(value, "loans") == 0
               ? FAIL_NONE
               : FAULT(why, FAIL_BAD_REQUEST, "%s is no queue", value);
}

static void an_edit_changes_what_it_names_and_measures_the_draft(void **state)
{
    (void)state;
    struct fault why;
    struct id id = create("ticket-triage", "x");
    struct review_value v[2] = {{"queue", "moon"}, {"queue", "loans"}};
    struct review_decide d = {.id = id, .version = 1, .who = &anna, .action = REVIEW_ACTION_EDIT,
                              .review_ms = -1, .check = only_known_queues};
    assert_int_equal(decide(&d, NULL, &why), FAIL_BAD_REQUEST); /* changes nothing */
    d.values = v;
    d.values_len = 1;
    assert_int_equal(decide(&d, NULL, &why), FAIL_BAD_REQUEST);
    v[0].value = "loans";
    d.values_len = 2;
    assert_int_equal(decide(&d, NULL, &why), FAIL_BAD_REQUEST); /* twice */
    v[1] = (struct review_value){"no_such", "1"};
    assert_int_equal(decide(&d, NULL, &why), FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "no_such");
    assert_null(get(&id).fields[0].decided); /* and nothing of it stayed */
    d.values_len = 1;
    d.draft = "Dear customer, your loan is on its way.";
    struct review_decided out;
    assert_int_equal(decide(&d, &out, &why), FAIL_NONE);
    assert_int_equal(out.state, REVIEW_STATE_EDITED);
    assert_true(out.edit_distance > 0.05 && out.edit_distance < 0.15);
    struct review_artifact a = get(&id);
    assert_string_equal(a.fields[0].decided, "loans");
    assert_string_equal(a.fields[0].value, "cards");
    assert_string_equal(a.fields[1].decided, "normal");
    assert_string_equal(a.sent, d.draft);
    assert_int_equal(audit_size(home.conn), 1);
}

static void the_second_reviewer_is_told_who_decided(void **state)
{
    (void)state;
    struct fault why;
    struct id id = create("ticket-triage", "x");
    struct review_decide d = {.id = id, .version = 1, .who = &anna, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    d.who = &ben;
    d.action = REVIEW_ACTION_REJECT;
    d.reason = "wrong queue";
    for (int version = 0; version <= 2; version++) {
        d.version = version;
        assert_int_equal(decide(&d, NULL, &why), FAIL_CONFLICT);
        assert_non_null(strstr(why.message, "anna"));
        assert_non_null(strstr(why.message, "approve"));
    }
    assert_int_equal(audit_size(home.conn), 1);
}

struct racer {
    pthread_t thread;
    struct id id;
    const struct principal *who;
    enum fail got;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct fault why;
    struct review_decide d = {.id = r->id, .version = 1, .who = r->who, .review_ms = -1};
    r->got = decide(&d, NULL, &why);
    return NULL;
}

static void of_two_who_race_one_decides(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct id id = create("ticket-triage", "x");
        struct racer a = {.id = id, .who = &anna};
        struct racer b = {.id = id, .who = &ben};
        pthread_create(&a.thread, NULL, race, &a);
        pthread_create(&b.thread, NULL, race, &b);
        pthread_join(a.thread, NULL);
        pthread_join(b.thread, NULL);
        assert_true((a.got == FAIL_NONE && b.got == FAIL_CONFLICT) ||
                    (b.got == FAIL_NONE && a.got == FAIL_CONFLICT));
    }
    assert_int_equal(audit_size(home.conn), 100);
}

static void a_better_draft_replaces_only_what_nobody_opened(void **state)
{
    (void)state;
    struct fault why;
    struct id id = create("ticket-triage", "x");
    struct open_job j = {.id = id, .who = &anna, .draft = "Better."};
    assert_int_equal(store_write_wait(home.store, do_redraft, &j, &why), FAIL_NONE);
    assert_string_equal(get(&id).draft, "Better.");
    struct review_decide d = {.id = id, .version = 1, .who = &anna, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_CONFLICT); /* saw the one before */
    assert_int_equal(store_write_wait(home.store, do_open, &j, &why), FAIL_NONE);
    assert_true(get(&id).opened_at > 0);
    j.draft = "Too late.";
    assert_int_equal(store_write_wait(home.store, do_redraft, &j, &why), FAIL_CONFLICT);
    d.version = 2;
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    assert_int_equal(store_write_wait(home.store, do_redraft, &j, &why), FAIL_CONFLICT);
    j.id = text_id_new();
    assert_int_equal(store_write_wait(home.store, do_redraft, &j, &why), FAIL_NOT_FOUND);
}

static void an_escalated_one_is_decided_again(void **state)
{
    (void)state;
    struct fault why;
    struct id id = create("ticket-triage", "x");
    struct review_decide d = {.id = id, .who = &anna, .action = REVIEW_ACTION_ESCALATE,
                              .reason = " \n", .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "reason");
    d.reason = "needs legal";
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    assert_null(get(&id).fields[0].decided);
    d = (struct review_decide){.id = id, .version = 2, .who = &ben, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_FORBIDDEN); /* it went to an approver */
    d.who = &root;
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    assert_string_equal(get(&id).decided_by, "local:0");
}

static void foreign_and_missing_are_the_same(void **state)
{
    (void)state;
    struct fault missing, foreign;
    struct id id = create("ticket-triage", "x");
    struct id none = text_id_new();
    struct review_artifact a;
    assert_int_equal(review_get(home.conn, arena, &none, &eve, &a, &missing), FAIL_NOT_FOUND);
    assert_int_equal(review_get(home.conn, arena, &id, &eve, &a, &foreign), FAIL_NOT_FOUND);
    assert_string_equal(missing.message, foreign.message);
    struct review_decide d = {.id = id, .who = &eve, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &foreign), FAIL_NOT_FOUND);
    assert_string_equal(missing.message, foreign.message);
    assert_int_equal(review_get(home.conn, arena, &id, &root, &a, &missing), FAIL_NONE);
}

static bool count_row(void *arg, const struct review_artifact *a)
{
    int *n = arg;
    char want[16];
    snprintf(want, sizeof(want), "t%d", *n);
    assert_string_equal(a->title, want);
    assert_int_equal(a->fields_len, 2);
    return ++*n != 7;
}

static void lists_are_filtered_paged_and_by_team(void **state)
{
    (void)state;
    struct fault why;
    struct id third = {{0}};
    for (int i = 0; i < 9; i++) {
        char title[16];
        snprintf(title, sizeof(title), "t%d", i);
        struct id id = create(i == 8 ? "localize" : "ticket-triage", title);
        third = i == 2 ? id : third;
    }
    struct review_filter f = {.who = &anna, .state = REVIEW_STATE_IN_REVIEW, .limit = 3};
    int n = 0;
    assert_int_equal(review_list(home.conn, &f, count_row, &n, &why), FAIL_NONE);
    assert_int_equal(n, 3);
    f.after = third;
    f.limit = 100;
    assert_int_equal(review_list(home.conn, &f, count_row, &n, &why), FAIL_NONE);
    assert_int_equal(n, 7); /* the callback stopped it */
    f = (struct review_filter){.who = &root, .state = REVIEW_STATE_COUNT, .limit = 5};
    n = 0;
    assert_int_equal(review_list(home.conn, &f, count_row, &n, &why), FAIL_NONE);
    assert_int_equal(n, 5);
    f = (struct review_filter){.who = &eve, .state = REVIEW_STATE_COUNT, .limit = 5};
    n = 0;
    assert_int_equal(review_list(home.conn, &f, count_row, &n, &why), FAIL_NONE);
    assert_int_equal(n, 0);
    f = (struct review_filter){
        .who = &anna, .state = REVIEW_STATE_APPROVED, .workflow = "x", .limit = 0};
    assert_int_equal(review_list(home.conn, &f, count_row, &n, &why), FAIL_BAD_REQUEST);
    int64_t counts[REVIEW_STATE_COUNT];
    assert_int_equal(review_count(home.conn, &anna, NULL, counts, &why), FAIL_NONE);
    assert_int_equal(counts[REVIEW_STATE_IN_REVIEW], 9);
    assert_int_equal(review_count(home.conn, &anna, "localize", counts, &why), FAIL_NONE);
    assert_int_equal(counts[REVIEW_STATE_IN_REVIEW], 1);
}

static bool keep_outcome(void *arg, const struct review_artifact *a)
{
    int *n = arg;
    assert_string_equal(a->fields[0].decided, *n == 0 ? "loans" : "cards");
    assert_string_equal(a->fields[0].value, "cards");
    assert_non_null(a->draft);
    (*n)++;
    return true;
}

static void outcomes_are_what_people_confirmed(void **state)
{
    (void)state;
    struct fault why;
    struct id ids[4];
    for (int i = 0; i < 4; i++) {
        ids[i] = create("ticket-triage", "x");
    }
    struct review_value v = {"queue", "loans"};
    struct review_decide d = {.id = ids[2], .who = &anna, .action = REVIEW_ACTION_EDIT,
                              .values = &v, .values_len = 1, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    d = (struct review_decide){.id = ids[0], .who = &anna, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    d = (struct review_decide){.id = ids[1], .who = &anna, .action = REVIEW_ACTION_REJECT,
                               .reason = "spam", .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_NONE);
    int n = 0;
    assert_int_equal(
        review_outcomes(home.conn, "support", "ticket-triage", 0, keep_outcome, &n, &why),
        FAIL_NONE);
    assert_int_equal(n, 2);
    n = 0;
    assert_int_equal(
        review_outcomes(home.conn, "sales", "ticket-triage", 0, keep_outcome, &n, &why), FAIL_NONE);
    assert_int_equal(n, 0);
    struct open_job j = {0};
    assert_int_equal(store_write_wait(home.store, do_forget, &j, &why), FAIL_NONE);
    assert_int_equal(j.n, 4);
    assert_int_equal(
        review_outcomes(home.conn, "support", "ticket-triage", 0, keep_outcome, &n, &why),
        FAIL_NONE);
    assert_int_equal(n, 0);
    assert_string_equal(get(&ids[2]).title, "");
    assert_null(get(&ids[2]).draft);
}

/* One task as the record leaves it: what a rung said, and its artifact. */
struct watched {
    struct id artifact;
    bool drawn;
};

static enum fail do_certify(struct store_tx *tx, void *arg, struct fault *why)
{
    (void)arg;
    struct certify_certificate c = {.workflow = "ticket-triage", .field = "queue",
                                    .rung = "learned", .head = "head-1",
                                    .class = CERTIFY_PROVISIONAL, .target = 0.02, .delta = 0.05};
    struct certify_result r = {.certified = true, .threshold = 0.5, .n = 500, .accepted = 400,
                               .errors = 2, .error_upper = 0.02, .traffic_upper = 0.02};
    return certify_issue(tx, home.audit, &c, &r, "anna", "support", NULL, why);
}

static enum fail do_watched(struct store_tx *tx, void *arg, struct fault *why)
{
    struct watched *w = arg;
    const struct certify_said said = {.field = "queue", .rung = "learned", .value = "cards",
                                      .score = 0.9, .target = 0.02, .delta = 0.05,
                                      .answered = true, .releases = {"", "", "head-1"}};
    const struct review_field field = {.name = "queue", .type = "choice", .value = "cards",
                                       .confidence = 0.9, .rung = "learned"};
    struct review_artifact a = {.id = text_id_new(), .task = text_id_new(),
                                .workflow = "ticket-triage", .team = "support",
                                .actor = "customer-7", .title = "x", .result = "{}",
                                .fields = &field, .fields_len = 1};
    struct certify_note note = {.task = a.task, .workflow = a.workflow, .said = &said,
                                .said_len = 1, .reviewable = true};
    w->artifact = a.id;
    enum fail f = certify_note(tx, &note, &w->drawn, why);
    return f != FAIL_NONE ? f : review_create(tx, &a, w->drawn, why);
}

static bool keep_notice(void *arg, const struct review_artifact *a)
{
    if (a->fields_len == 0) {
        assert_string_equal(a->actor, "system");
        assert_non_null(strstr(a->title, "learned no longer answers queue alone"));
        ++*(int *)arg;
    }
    return true;
}

static void decisions_feed_the_rungs_and_a_withdrawal_is_told(void **state)
{
    (void)state;
    struct fault why;
    int drawn = 0, notices = 0;
    bool withdrawn = false;
    assert_int_equal(store_write_wait(home.store, do_certify, NULL, &why), FAIL_NONE);
    for (int i = 0; i < 200 && !withdrawn; i++) {
        struct watched w;
        struct review_decided out;
        struct review_value v = {"queue", "loans"};
        struct review_decide d = {.who = &anna, .action = REVIEW_ACTION_EDIT, .values = &v,
                                  .values_len = 1, .review_ms = -1};
        assert_int_equal(store_write_wait(home.store, do_watched, &w, &why), FAIL_NONE);
        d.id = w.artifact;
        assert_int_equal(decide(&d, &out, &why), FAIL_NONE);
        drawn += w.drawn;
        /* Only what was drawn counts: who looks at the others is no chance. */
        assert_true(w.drawn || out.certified.n == 0);
        withdrawn = out.certified.n > 0;
    }
    assert_true(withdrawn && drawn >= 2);
    struct review_filter f = {.who = &anna, .state = REVIEW_STATE_IN_REVIEW, .limit = 500};
    assert_int_equal(review_list(home.conn, &f, keep_notice, &notices, &why), FAIL_NONE);
    assert_int_equal(notices, 1);
}

/* Wagner-Fischer, for comparison. */
static size_t plain_distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[400];
    for (size_t j = 0; j <= m; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t up = row[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[m];
}

static void the_edit_distance_is_levenshteins(void **state)
{
    (void)state;
    assert_true(review_edit_distance("", "") == 0);
    assert_true(review_edit_distance("abc", "abc") == 0);
    assert_true(review_edit_distance("", "abc") == 1);
    assert_true(review_edit_distance("kitten", "sitting") == 3.0 / 7);
    assert_true(review_edit_distance("gr\xc3\xbc\xc3\x9f", "gruss") == 3.0 / 5);
    unsigned seed = 7;
    for (int round = 0; round < 2000; round++) {
        char a[400], b[400];
        seed = seed * 1103515245U + 12345U;
        size_t n = seed >> 16 & 255;
        seed = seed * 1103515245U + 12345U;
        size_t m = seed >> 16 & 255;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245U + 12345U;
            a[i] = (char)('a' + (seed >> 16 & 3));
        }
        for (size_t i = 0; i < m; i++) {
            seed = seed * 1103515245U + 12345U;
            b[i] = (seed >> 16 & 7) != 0 && i < n ? a[i] : (char)('a' + (seed >> 20 & 3));
        }
        a[n] = b[m] = '\0';
        size_t longer = n > m ? n : m;
        double want = longer == 0 ? 0 : (double)plain_distance(a, n, b, m) / (double)longer;
        assert_true(review_edit_distance(a, b) == want);
    }
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct fault why;
    struct id id = create("ticket-triage", "x");
    AUTO_FREE char *big = mem_alloc(REVIEW_TEXT_MAX + 2);
    memset(big, 'x', REVIEW_TEXT_MAX + 1);
    struct review_decide d = {.id = id, .who = &anna, .action = REVIEW_ACTION_EDIT, .draft = big,
                              .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_TOO_LARGE);
    d.draft = "bad \xff";
    assert_int_equal(decide(&d, NULL, &why), FAIL_BAD_REQUEST);
    big[REVIEW_REASON_MAX + 1] = '\0';
    d = (struct review_decide){.id = id, .who = &anna, .reason = big, .review_ms = -1};
    assert_int_equal(decide(&d, NULL, &why), FAIL_TOO_LARGE);
    struct arena *small = arena_new(66000);
    struct review_artifact a;
    assert_int_equal(review_get(home.conn, small, &id, &anna, &a, &why), FAIL_NONE);
    arena_free(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(an_artifact_comes_back_whole),
        T(an_approval_takes_every_proposal),
        T(an_edit_changes_what_it_names_and_measures_the_draft),
        T(the_second_reviewer_is_told_who_decided),
        T(of_two_who_race_one_decides),
        T(a_better_draft_replaces_only_what_nobody_opened),
        T(an_escalated_one_is_decided_again),
        T(foreign_and_missing_are_the_same),
        T(lists_are_filtered_paged_and_by_team),
        T(outcomes_are_what_people_confirmed),
        T(decisions_feed_the_rungs_and_a_withdrawal_is_told),
        cmocka_unit_test(the_edit_distance_is_levenshteins),
        T(limits_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
