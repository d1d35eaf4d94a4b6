/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of how reviewers work: queues, leases, escalations, second looks, practice, what is
   alike. */
#include "work/review/review.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "support/home.h"

#define S 1000000LL

static struct home home;
static struct arena *arena;
static int64_t now;

#define PERSON(n, r)                                                                               \
    {                                                                                              \
        .kind = PRINCIPAL_KIND_KEY, .name = n, .team = "support", .role = KEYRING_ROLE_##r         \
    }
static const struct principal anna = PERSON("anna", REVIEWER), ben = PERSON("ben", REVIEWER),
                              cleo = PERSON("cleo", APPROVER), dan = PERSON("dan", ADMIN);
static const struct principal eve = {
    .kind = PRINCIPAL_KIND_KEY, .name = "eve", .team = "sales", .role = KEYRING_ROLE_REVIEWER};

/* ---- one write each ---- */

struct job;
typedef enum fail job_fn(struct store_tx *tx, struct job *j, struct fault *why);
struct job {
    job_fn *fn;
    struct review_ask ask;
    struct review_item item;
    struct review_decide d;
    struct review_item_decided done;
    struct review_settings set;
    struct review_working copy;
    struct review_artifact *a;
    struct review_outcome o;
    const struct principal *who;
    struct id id;
    const char *text, *more, *version;
    const struct review_skill *skills;
    size_t n_skills;
    int64_t n, at;
    bool flag;
};

static enum fail run(struct store_tx *tx, void *arg, struct fault *why)
{
    struct job *j = arg;
    return j->fn(tx, j, why);
}

static enum fail write_it(struct job *j, struct fault *why)
{
    return store_write_wait(home.store, run, j, why);
}

static enum fail f_create(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_create(tx, j->a, true, why);
}
static enum fail f_next(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_next(tx, &j->ask, j->at, &j->flag, &j->item, why);
}
static enum fail f_claim(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_claim(tx, &j->id, j->who, j->at, &j->item, why);
}
static enum fail f_renew(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_renew(tx, &j->id, j->who, j->at, &j->flag, why);
}
static enum fail f_release(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_release(tx, &j->id, j->who, j->at, why);
}
static enum fail f_decide(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_item_decide(tx, home.audit, &j->d, &j->done, why);
}
static enum fail f_settings(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_settings_set(tx, "support", &j->set, why);
}
static enum fail f_skills(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_skills_set(tx, "support", j->text, j->skills, j->n_skills, why);
}
static enum fail f_sweep(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_sweep(tx, home.audit, j->at, &j->n, why);
}
static enum fail f_save(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_save(tx, &j->id, j->who, &j->copy, j->at, &j->flag, why);
}
static enum fail f_propose(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_propose(tx, j->a, j->n, j->who, j->at, why);
}
static enum fail f_open(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_open(tx, &j->id, j->who, why);
}
static enum fail f_moved(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_ticket_moved(tx, "support", j->text, j->version, j->more, j->at, &j->n, why);
}
static enum fail f_outcome(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_outcome_put(tx, j->who, &j->o, j->at, &j->n, why);
}
static enum fail f_known(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_known_set(tx, &j->id, j->who, true, j->at, why);
}
static enum fail f_forget(struct store_tx *tx, struct job *j, struct fault *why)
{
    return review_forget(tx, "support", "desk", &j->n, why);
}

/* ---- the house ---- */

static void set_shares(double second, double practice, double forced)
{
    struct fault why;
    struct job j = {.fn = f_settings};
    assert_int_equal(review_settings_get(home.conn, "support", &j.set, &why), FAIL_NONE);
    j.set.second_share = second;
    j.set.practice_share = practice;
    j.set.forced_share = forced;
    j.set.lease_s = 60;
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
}

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "review-work");
    home_open(&home, HOME_RECORD);
    arena = arena_new(64 << 20);
    now = clock_now_us();
    set_shares(0, 0, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    home_close(&home);
    return home_remove(&home);
}

struct made {
    const char *workflow, *queue, *language, *priority, *input, *ticket, *draft;
    double confidence;
};

static struct id make(struct made m)
{
    struct fault why;
    const struct review_field fields[] = {
        {.name = "queue", .type = "choice", .value = m.queue != NULL ? m.queue : "cards",
         .confidence = m.confidence != 0 ? m.confidence : 0.6, .rung = "learned", .is_open = true},
        {.name = "language", .type = "choice", .value = m.language != NULL ? m.language : "en",
         .confidence = 1, .rung = "rule"},
        {.name = "priority", .type = "choice", .value = m.priority != NULL ? m.priority : "normal",
         .confidence = 1, .rung = "learned"}};
    struct review_artifact a = {.id = text_id_new(),
                                .task = text_id_new(),
                                .workflow = m.workflow != NULL ? m.workflow : "ticket-triage",
                                .team = "support",
                                .actor = "desk",
                                .title = m.ticket != NULL ? m.ticket : "x",
                                .result = "{}",
                                .draft = m.draft,
                                .fields = fields,
                                .fields_len = 3,
                                .input = m.input,
                                .ticket = m.ticket};
    struct job j = {.fn = f_create, .a = &a};
    if (write_it(&j, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return a.id;
}

static bool next(const struct principal *who, struct review_item *out)
{
    struct fault why;
    struct job j = {.fn = f_next, .at = now,
                    .ask = {.who = who, .order = REVIEW_ORDER_COUNT}};
    if (write_it(&j, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    if (out != NULL) {
        *out = j.item;
    }
    return j.flag;
}

static bool next_is(const struct principal *who, const struct id *id)
{
    struct review_item item;
    return next(who, &item) && text_id_equal(&item.artifact, id);
}

static enum fail decide(const struct id *id, const struct principal *who,
                        enum review_action action, const char *reason,
                        struct review_item_decided *out, struct fault *why)
{
    struct job j = {.fn = f_decide, .d = {.id = *id, .who = who, .action = action,
                                          .reason = reason, .review_ms = 1000, .now = now}};
    enum fail f = write_it(&j, why);
    if (out != NULL) {
        *out = j.done;
    }
    return f;
}

static enum fail edit(const struct id *id, const struct principal *who, const char *queue,
                      const char *draft, struct fault *why)
{
    struct review_value v = {"queue", queue};
    struct job j = {.fn = f_decide, .d = {.id = *id, .who = who, .action = REVIEW_ACTION_EDIT,
                                          .values = &v, .values_len = queue != NULL,
                                          .draft = draft, .review_ms = 1000, .now = now}};
    return write_it(&j, why);
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

/* ---- queues, order, leases ---- */

static void queues_are_by_team_and_skill(void **state)
{
    (void)state;
    struct fault why;
    const struct review_skill german[] = {{REVIEW_SKILL_LANGUAGE, "de"},
                                          {REVIEW_SKILL_QUEUE, "loans"}};
    struct job j = {.fn = f_skills, .text = "ben", .skills = german, .n_skills = 2};
    struct id cards = make((struct made){.queue = "cards", .language = "de"});
    struct id english = make((struct made){.queue = "loans", .language = "en"});
    struct id both = make((struct made){.queue = "loans", .language = "de"});
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_false(next(&eve, NULL)); /* another team */
    assert_true(next_is(&ben, &both));
    assert_false(next(&ben, NULL));
    assert_true(next_is(&anna, &cards)); /* without skills: anything */
    j.n_skills = 0;
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_true(next_is(&ben, &english));
    j.text = "role:admin";
    assert_int_equal(write_it(&j, &why), FAIL_BAD_REQUEST);
}

static void the_order_is_urgency_age_or_doubt(void **state)
{
    (void)state;
    struct fault why;
    struct id old = make((struct made){.priority = "low", .confidence = 0.9});
    struct id doubtful = make((struct made){.confidence = 0.2});
    struct id urgent = make((struct made){.priority = "Urgent", .confidence = 0.8});
    const struct id *first[] = {&urgent, &old, &doubtful};
    for (int order = 0; order < REVIEW_ORDER_COUNT; order++) {
        struct job j = {.fn = f_next, .at = now,
                        .ask = {.who = &anna, .order = (enum review_order)order}};
        assert_int_equal(write_it(&j, &why), FAIL_NONE);
        assert_true(j.flag && text_id_equal(&j.item.artifact, first[order]));
        j.fn = f_release;
        j.who = &anna;
        j.id = *first[order];
        assert_int_equal(write_it(&j, &why), FAIL_NONE);
    }
}

static void a_lease_is_kept_renewed_given_back_and_runs_out(void **state)
{
    (void)state;
    struct fault why;
    struct id id = make((struct made){0});
    assert_true(next_is(&anna, &id));
    assert_false(next(&ben, NULL));
    struct job j = {.fn = f_claim, .id = id, .who = &ben, .at = now};
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT);
    assert_non_null(strstr(why.message, "anna has it until"));
    assert_int_equal(decide(&id, &ben, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_CONFLICT);
    now += 50 * S;
    j = (struct job){.fn = f_renew, .id = id, .who = &anna, .at = now};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_true(j.flag);
    now += 50 * S; /* would be over without the renewal */
    assert_false(next(&ben, NULL));
    now += 11 * S;
    assert_true(next_is(&ben, &id)); /* over: free for others */
    j.at = now;
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_false(j.flag);
    j = (struct job){.fn = f_release, .id = id, .who = &anna, .at = now};
    assert_int_equal(write_it(&j, &why), FAIL_NONE); /* not anna's any more: nothing happens */
    assert_false(next(&anna, NULL));
    j.who = &ben;
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_true(next_is(&anna, &id));
    struct job again = {.fn = f_next, .at = now, .ask = {.who = &anna, .resume = true}};
    assert_int_equal(write_it(&again, &why), FAIL_NONE);
    assert_true(again.flag && text_id_equal(&again.item.artifact, &id));
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
    assert_false(next(&ben, NULL));
}

static void nobody_holds_more_than_the_limit(void **state)
{
    (void)state;
    struct fault why;
    for (int i = 0; i < REVIEW_LEASES_MAX + 1; i++) {
        make((struct made){0});
    }
    for (int i = 0; i < REVIEW_LEASES_MAX; i++) {
        assert_true(next(&anna, NULL));
    }
    struct job j = {.fn = f_next, .at = now, .ask = {.who = &anna}};
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT);
    assert_true(next(&ben, NULL));
}

#define RACERS 8
#define RACED 400
static int taken[RACED];
static struct id raced[RACED];

static void *race(void *arg)
{
    struct principal who = anna;
    snprintf(who.name, sizeof(who.name), "racer-%d", *(int *)arg);
    for (;;) {
        struct fault why;
        struct job j = {.fn = f_next, .at = now,
                        .ask = {.who = &who, .order = REVIEW_ORDER_AGE}};
        if (write_it(&j, &why) != FAIL_NONE || !j.flag) {
            return NULL;
        }
        struct job d = {.fn = f_decide, .d = {.id = j.item.artifact, .who = &who,
                                              .review_ms = -1, .now = now}};
        if (write_it(&d, &why) != FAIL_NONE) {
            return NULL;
        }
        for (int i = 0; i < RACED; i++) {
            if (text_id_equal(&raced[i], &j.item.artifact)) {
                __atomic_fetch_add(&taken[i], 1, __ATOMIC_SEQ_CST);
            }
        }
    }
}

static void of_eight_who_ask_for_the_next_each_gets_another(void **state)
{
    (void)state;
    pthread_t threads[RACERS];
    int numbers[RACERS];
    memset(taken, 0, sizeof(taken));
    for (int i = 0; i < RACED; i++) {
        raced[i] = make((struct made){0});
    }
    for (int i = 0; i < RACERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, race, &numbers[i]), 0);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < RACED; i++) {
        assert_int_equal(taken[i], 1);
    }
}

static void the_same_decision_sent_again_is_done_once(void **state)
{
    (void)state;
    struct fault why;
    struct id id = make((struct made){0});
    struct review_value v = {"queue", "loans"};
    struct job j = {.fn = f_decide, .d = {.id = id, .version = 1, .who = &anna,
                                          .action = REVIEW_ACTION_EDIT, .values = &v,
                                          .values_len = 1, .review_ms = -1}};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    int64_t leaf = j.done.first.leaf;
    assert_false(j.done.first.again);
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_true(j.done.first.again && j.done.first.leaf == leaf);
    assert_int_equal(j.done.first.version, 2);
    v.value = "cards"; /* another decision is none that was made */
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT);
    v.value = "loans";
    j.d.who = &ben;
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT);
}

/* ---- escalations ---- */

static void an_escalation_has_a_target_a_deadline_and_a_next_one(void **state)
{
    (void)state;
    struct fault why;
    struct id id = make((struct made){0});
    struct review_item item;
    struct job j = {.fn = f_decide, .d = {.id = id, .who = &anna, .now = now,
                                          .action = REVIEW_ACTION_ESCALATE, .reason = "legal",
                                          .to = "ben", .within_s = 100, .then = "role:approver",
                                          .review_ms = -1}};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_int_equal(review_item_get(home.conn, &id, &anna, now, &item, &why), FAIL_NONE);
    assert_string_equal(item.target, "ben");
    assert_int_equal(item.deadline_at, now + 100 * S);
    assert_false(next(&anna, NULL));
    assert_false(next(&cleo, NULL));
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_FORBIDDEN);
    assert_true(next_is(&ben, &id));
    struct job sweep = {.fn = f_sweep, .at = now + 99 * S};
    assert_int_equal(write_it(&sweep, &why), FAIL_NONE);
    assert_int_equal(sweep.n, 0);
    now += 101 * S;
    sweep.at = now;
    assert_int_equal(write_it(&sweep, &why), FAIL_NONE); /* by itself */
    assert_int_equal(sweep.n, 1);
    assert_int_equal(decide(&id, &ben, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_FORBIDDEN);
    assert_true(next_is(&cleo, &id));
    now += 86400 * S + S;
    sweep.at = now;
    assert_int_equal(write_it(&sweep, &why), FAIL_NONE);
    assert_int_equal(review_item_get(home.conn, &id, &anna, now, &item, &why), FAIL_NONE);
    assert_string_equal(item.target, "role:admin");
    now += 4 * 86400 * S;
    sweep.at = now;
    assert_int_equal(write_it(&sweep, &why), FAIL_NONE); /* the last keeps it, recorded once */
    assert_int_equal(sweep.n, 1);
    assert_int_equal(write_it(&sweep, &why), FAIL_NONE);
    assert_int_equal(sweep.n, 0);
    assert_int_equal(decide(&id, &dan, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
    assert_int_equal(get(&id).state, REVIEW_STATE_APPROVED);
}

static void an_escalation_goes_the_teams_way_when_nobody_is_named(void **state)
{
    (void)state;
    struct fault why;
    struct id id = make((struct made){0});
    struct review_item item;
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_ESCALATE, "x", NULL, &why), FAIL_NONE);
    assert_int_equal(review_item_get(home.conn, &id, &anna, now, &item, &why), FAIL_NONE);
    assert_string_equal(item.target, "role:approver");
    assert_true(next_is(&cleo, &id)); /* before anything else, whatever cleo's skills */
    assert_int_equal(decide(&id, &cleo, REVIEW_ACTION_ESCALATE, "y", NULL, &why), FAIL_NONE);
    assert_int_equal(review_item_get(home.conn, &id, &anna, now, &item, &why), FAIL_NONE);
    assert_string_equal(item.target, "role:admin");
    assert_int_equal(decide(&id, &dan, REVIEW_ACTION_ESCALATE, "z", NULL, &why), FAIL_BAD_REQUEST);
    struct job j = {.fn = f_decide, .d = {.id = id, .who = &dan, .now = now, .reason = "z",
                                          .action = REVIEW_ACTION_ESCALATE, .to = "role:nobody",
                                          .review_ms = -1}};
    assert_int_equal(write_it(&j, &why), FAIL_BAD_REQUEST);
}

/* ---- looking again ---- */

static void a_share_of_approved_ones_is_looked_at_again_by_another(void **state)
{
    (void)state;
    struct fault why;
    struct review_item item;
    struct review_item_decided out;
    struct review_own own;
    set_shares(1, 0, 0);
    struct id id = make((struct made){0});
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, &out, &why), FAIL_NONE);
    assert_true(out.first.second);
    assert_false(next(&anna, NULL)); /* not by the same person */
    assert_true(next(&ben, &item));
    assert_true(text_id_equal(&item.artifact, &id) && item.kind == REVIEW_KIND_SECOND);
    assert_int_equal(decide(&id, &ben, REVIEW_ACTION_ESCALATE, "x", NULL, &why), FAIL_BAD_REQUEST);
    assert_int_equal(edit(&id, &ben, "loans", NULL, &why), FAIL_NONE);
    assert_string_equal(get(&id).fields[0].decided, "cards"); /* the first decision stands */
    assert_string_equal(get(&id).decided_by, "anna");
    assert_int_equal(review_own(home.conn, &ben, 0, now, &own, &why), FAIL_NONE);
    assert_true(own.seconds == 1 && own.agreed == 0 && own.decided == 0);
    id = make((struct made){0});
    assert_int_equal(edit(&id, &anna, "loans", NULL, &why), FAIL_NONE);
    assert_true(next(&ben, &item) && item.kind == REVIEW_KIND_SECOND);
    struct review_value v = {"queue", "loans"};
    struct job j = {.fn = f_decide, .d = {.id = id, .who = &ben, .action = REVIEW_ACTION_EDIT,
                                          .values = &v, .values_len = 1, .review_ms = -1,
                                          .now = now}};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_true(j.done.agrees);
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT); /* once */
    assert_int_equal(review_own(home.conn, &ben, 0, now, &own, &why), FAIL_NONE);
    assert_true(own.seconds == 2 && own.agreed == 1);
    id = make((struct made){0});
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_REJECT, "x", &out, &why), FAIL_NONE);
    assert_false(out.first.second); /* of what was taken */
}

static void practice_is_counted_apart_and_never_changes_the_artifact(void **state)
{
    (void)state;
    struct fault why;
    struct review_item item;
    struct review_item_decided out;
    struct review_own own;
    struct id id = make((struct made){0});
    struct job j = {.fn = f_known, .id = id, .who = &cleo, .at = now};
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT); /* nobody knows its answer yet */
    assert_int_equal(edit(&id, &anna, "loans", NULL, &why), FAIL_NONE);
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    set_shares(0, 0.5, 0);
    int64_t version = get(&id).version;
    for (int i = 0; i < 20; i++) {
        assert_false(next(&anna, NULL)); /* who decided it does not practise on it */
    }
    bool found = false;
    for (int i = 0; i < 200 && !found; i++) {
        found = next(&ben, &item);
    }
    assert_true(found && item.kind == REVIEW_KIND_PRACTICE);
    assert_int_equal(decide(&id, &ben, REVIEW_ACTION_APPROVE, NULL, &out, &why), FAIL_NONE);
    assert_true(out.kind == REVIEW_KIND_PRACTICE && !out.agrees); /* the proposal was wrong */
    for (int i = 0; i < 50; i++) {
        assert_false(next(&ben, NULL)); /* once each */
    }
    assert_int_equal(review_own(home.conn, &ben, 0, now, &own, &why), FAIL_NONE);
    assert_true(own.practised == 1 && own.right == 0 && own.decided == 0);
    assert_int_equal(get(&id).version, version);
    assert_string_equal(get(&id).decided_by, "anna");
}

static void a_forced_item_is_answered_before_its_proposal_shows(void **state)
{
    (void)state;
    struct fault why;
    struct review_item item;
    set_shares(0, 0, 1);
    struct id id = make((struct made){0});
    assert_true(next(&anna, &item) && item.forced);
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "queue"));
    struct review_value v = {"queue", "cards"};
    struct job j = {.fn = f_decide, .d = {.id = id, .who = &anna, .values = &v, .values_len = 1,
                                          .review_ms = -1, .now = now}};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_int_equal(get(&id).state, REVIEW_STATE_APPROVED); /* the same as proposed */
    id = make((struct made){0});
    assert_true(next(&anna, &item) && item.forced);
    v.value = "loans";
    j.d.id = id;
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_int_equal(get(&id).state, REVIEW_STATE_EDITED);
}

/* ---- unfinished work, hints ---- */

static void unfinished_work_survives_a_lost_lease(void **state)
{
    (void)state;
    struct fault why;
    struct review_working w;
    bool found;
    struct id id = make((struct made){0});
    assert_true(next_is(&anna, &id));
    struct job j = {.fn = f_save, .id = id, .who = &anna, .at = now,
                    .copy = {.version = 1, .draft = "Dear A", .fields = "{\"queue\":\"loans\"}",
                             .chosen = 5}};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_true(j.flag);
    now += 61 * S;
    assert_true(next_is(&ben, &id));
    j.copy.draft = "Dear Ann";
    j.at = now;
    assert_int_equal(write_it(&j, &why), FAIL_NONE); /* kept, and told */
    assert_false(j.flag);
    assert_int_equal(review_saved(home.conn, arena, &id, &anna, &found, &w, &why), FAIL_NONE);
    assert_true(found);
    assert_string_equal(w.draft, "Dear Ann");
    assert_int_equal(w.chosen, 5);
    assert_int_equal(review_saved(home.conn, arena, &id, &ben, &found, &w, &why), FAIL_NONE);
    assert_false(found); /* each their own */
    assert_int_equal(decide(&id, &ben, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT);
    assert_int_equal(review_saved(home.conn, arena, &id, &anna, &found, &w, &why), FAIL_NONE);
    assert_true(found); /* what was typed is still there to be copied */
}

static void a_hints_proposal_never_lands_on_what_moved_on(void **state)
{
    (void)state;
    struct fault why;
    struct id id = make((struct made){.draft = "Old."});
    const struct review_field field = {.name = "queue", .value = "loans", .confidence = 0.8,
                                       .rung = "light"};
    struct review_artifact a = {.id = id, .fields = &field, .fields_len = 1, .draft = "New.",
                                .result = "{}"};
    struct job j = {.fn = f_propose, .a = &a, .n = 1, .who = &anna, .at = now};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_string_equal(get(&id).draft, "New.");
    assert_string_equal(get(&id).fields[0].value, "loans");
    assert_int_equal(get(&id).version, 2);
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT); /* it is version 2 now */
    j.n = 2;
    struct job open = {.fn = f_open, .id = id, .who = &ben};
    assert_int_equal(write_it(&open, &why), FAIL_NONE);
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT); /* ben has opened it */
    assert_int_equal(decide(&id, &ben, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
    j.who = &ben;
    j.n = 3;
    assert_int_equal(write_it(&j, &why), FAIL_CONFLICT); /* decided */
}

/* ---- alike ---- */

#define CARD "Hello, my card payment was declined twice at the supermarket today, order 4711."
#define CARD2 "Hello, my card payment was declined twice at the supermarket yesterday, order 18."
#define OTHER "How do I change the postal address of my savings account, please?"

static void what_has_one_cause_is_found_together(void **state)
{
    (void)state;
    struct fault why;
    struct review_alike *list;
    size_t n;
    struct id first = make((struct made){.input = CARD});
    struct id same = make((struct made){.input = CARD2});
    struct id other = make((struct made){.input = OTHER});
    struct id foreign = make((struct made){.input = CARD, .workflow = "localize"});
    assert_int_equal(
        review_alike(home.conn, arena, &first, &anna, REVIEW_ALIKE_SAME, now, &list, &n, &why),
        FAIL_NONE);
    assert_int_equal(n, 1);
    assert_true(text_id_equal(&list[0].artifact, &same) && !list[0].held);
    assert_true(next_is(&ben, &first) && next_is(&ben, &same));
    assert_int_equal(
        review_alike(home.conn, arena, &first, &anna, REVIEW_ALIKE_SAME, now, &list, &n, &why),
        FAIL_NONE);
    assert_true(n == 1 && list[0].held);
    assert_int_equal(review_alike(home.conn, arena, &first, &eve, 0.5, now, &list, &n, &why),
                     FAIL_NOT_FOUND);
    assert_true(review_likeness(CARD, OTHER) < 0.2 && review_likeness(CARD, CARD) == 1);
    (void)other;
    (void)foreign;
}

static void a_correction_is_proposed_for_the_next_one_alike(void **state)
{
    (void)state;
    struct fault why;
    struct review_precedent p;
    struct id first = make((struct made){.input = CARD, .ticket = "4711"});
    struct id waits = make((struct made){.input = CARD2});
    struct id other = make((struct made){.input = OTHER});
    assert_int_equal(review_precedent(home.conn, arena, &waits, &p, &why), FAIL_NONE);
    assert_false(p.found);
    assert_int_equal(edit(&first, &anna, "fraud", NULL, &why), FAIL_NONE);
    assert_int_equal(review_precedent(home.conn, arena, &waits, &p, &why), FAIL_NONE); /* at once */
    assert_true(p.found && text_id_equal(&p.artifact, &first));
    assert_string_equal(p.ticket, "4711");
    assert_int_equal(p.fields_len, 1);
    assert_string_equal(p.fields[0].name, "queue");
    assert_string_equal(p.fields[0].value, "fraud");
    assert_string_equal(get(&waits).fields[0].value, "cards"); /* proposed, not applied */
    assert_int_equal(get(&waits).version, 1);
    assert_int_equal(review_precedent(home.conn, arena, &other, &p, &why), FAIL_NONE);
    assert_false(p.found);
    struct job j = {.fn = f_forget};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_int_equal(review_precedent(home.conn, arena, &waits, &p, &why), FAIL_NONE);
    assert_false(p.found); /* erased with the rest */
}

/* ---- the ticket, the ending ---- */

static void an_approval_names_the_ticket_it_saw(void **state)
{
    (void)state;
    struct fault why;
    struct review_ticket t;
    bool found;
    struct id id = make((struct made){.input = CARD, .ticket = "4711"});
    struct job j = {.fn = f_moved, .text = "4711", .version = "7", .more = CARD " It works now.",
                    .at = now};
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_int_equal(j.n, 1);
    assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_CONFLICT);
    assert_string_equal(why.param, "ticket_version");
    assert_int_equal(review_ticket_get(home.conn, arena, &id, &found, &t, &why), FAIL_NONE);
    assert_true(found && strstr(t.text, "It works now.") != NULL);
    struct job d = {.fn = f_decide, .d = {.id = id, .who = &anna, .ticket_version = "6",
                                          .review_ms = -1, .now = now}};
    assert_int_equal(write_it(&d, &why), FAIL_CONFLICT);
    d.d.ticket_version = "7";
    assert_int_equal(write_it(&d, &why), FAIL_NONE);
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    assert_int_equal(j.n, 0); /* decided: what comes later is another matter */
}

struct figures {
    struct review_figures x;
    int n;
};

static void keep_figures(void *arg, const struct review_figures *x)
{
    struct figures *f = arg;
    f->x = *x;
    f->n++;
}

static void outcomes_come_back_and_count_from_five_on(void **state)
{
    (void)state;
    struct fault why;
    struct figures f = {.n = 0};
    for (int i = 0; i < 6; i++) {
        char ticket[16];
        snprintf(ticket, sizeof(ticket), "t%d", i);
        struct id id = make((struct made){.input = CARD, .ticket = ticket});
        assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
        struct job j = {.fn = f_outcome, .who = &anna, .at = now,
                        .o = {.ticket = ticket, .kind = REVIEW_ENDING_REOPENED,
                              .value = i < 2, .at = now, .source = "desk"}};
        assert_int_equal(write_it(&j, &why), FAIL_NONE);
        assert_int_equal(j.n, 1);
        j.o.kind = REVIEW_ENDING_CSAT;
        j.o.value = i == 5 ? 0.5 : 1;
        assert_int_equal(write_it(&j, &why), FAIL_NONE);
        assert_int_equal(write_it(&j, &why), FAIL_NONE); /* told twice counts once */
        f.n = 0;
        assert_int_equal(review_measure(home.conn, &anna, REVIEW_BY_WORKFLOW, 0, keep_figures, &f,
                                        &why), FAIL_NONE);
        assert_int_equal(f.n, 1);
        assert_int_equal(f.x.decided, i + 1);
        assert_int_equal(f.x.too_few, i + 1 < REVIEW_GROUP_MIN);
        assert_true(!f.x.too_few || (f.x.rated == 0 && f.x.reopened == 0));
    }
    assert_true(f.x.reopened == 2 && f.x.rated == 6 && f.x.approved == 6);
    assert_true(f.x.csat > 0.91 && f.x.csat < 0.92);
    assert_int_equal(f.x.median_ms, 1000);
    struct job j = {.fn = f_outcome, .who = &eve, .at = now,
                    .o = {.ticket = "t1", .kind = REVIEW_ENDING_SOLVED, .value = 1, .at = now}};
    assert_int_equal(write_it(&j, &why), FAIL_NOT_FOUND); /* another team's */
    struct review_fared fared;
    assert_int_equal(review_fared(home.conn, "support", "ticket-triage", "queue", "learned", 0,
                                  &fared, &why), FAIL_NONE);
    assert_true(fared.n == 6 && fared.kept == 6);
}

static void second_looks_show_only_when_five_people_did_them(void **state)
{
    (void)state;
    struct fault why;
    struct figures f = {.n = 0};
    set_shares(1, 0, 0);
    for (int i = 0; i < 6; i++) {
        struct id id = make((struct made){0});
        struct principal other = ben;
        assert_int_equal(decide(&id, &anna, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
        snprintf(other.name, sizeof(other.name), "other-%d", i < 5 ? i : 0);
        assert_true(next_is(&other, &id));
        assert_int_equal(decide(&id, &other, REVIEW_ACTION_APPROVE, NULL, NULL, &why), FAIL_NONE);
        assert_int_equal(review_measure(home.conn, &anna, REVIEW_BY_WORKFLOW, 0, keep_figures, &f,
                                        &why), FAIL_NONE);
        assert_int_equal(f.x.seconds, i < 4 ? 0 : i + 1);
    }
    assert_int_equal(f.x.agreed, 6);
}

/* ---- asked often ---- */

static bool keep_often(void *arg, const struct review_often *o)
{
    *(struct review_often *)arg = *o;
    return true;
}

static void what_is_asked_often_becomes_an_article_without_anybody_in_it(void **state)
{
    (void)state;
    struct fault why;
    struct review_often o = {.n = 0};
    char ticket[8];
    for (int i = 0; i < 4; i++) {
        snprintf(ticket, sizeof(ticket), "q%d", i);
        struct id id = make((struct made){.input = i % 2 == 0 ? CARD : CARD2, .ticket = ticket});
        assert_int_equal(review_often(home.conn, &anna, 0, keep_often, &o, &why), FAIL_NONE);
        assert_int_equal(o.n, i < 3 ? 0 : 3);
        assert_int_equal(edit(&id, &anna, NULL, "You can unlock it in the app.", &why), FAIL_NONE);
    }
    assert_int_equal(review_often(home.conn, &anna, 0, keep_often, &o, &why), FAIL_NONE);
    assert_true(o.n == 4 && o.people == 4);
    const struct review_reply replies[] = {
        {"a", "Dear Ms Weber,\nYour card was locked after three wrong PINs. Your code is 4711 now. "
              "Unlock it in the app under Cards.\nKind regards"},
        {"b", "Dear Mr Okafor,\nyour card was locked after three wrong PINs! Write to "
              "ann@example.org about it please. Your code is 8822 now.\nUnlock it in the app under "
              "Cards."},
        {"b", "Write to ann@example.org about it please. Only b was told this sentence here."},
        {"c", "Write to ann@example.org about it please."}};
    struct buf body;
    size_t n;
    buf_init(&body, 65536);
    assert_int_equal(review_article(replies, 4, &body, &n, &why), FAIL_NONE);
    assert_int_equal(n, 2);
    assert_string_equal(body.data, "Your card was locked after three wrong PINs.\n"
                                   "Unlock it in the app under Cards.\n");
    buf_done(&body);
}

static void settings_are_checked(void **state)
{
    (void)state;
    struct fault why;
    struct job j = {.fn = f_settings};
    assert_int_equal(review_settings_get(home.conn, "sales", &j.set, &why), FAIL_NONE);
    assert_true(j.set.lease_s == 300 && j.set.reasons_len == 9 && j.set.chain_len == 2);
    j.set.lease_s = 1;
    assert_int_equal(write_it(&j, &why), FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "lease_s");
    j.set.lease_s = 60;
    j.set.second_share = 2;
    assert_int_equal(write_it(&j, &why), FAIL_BAD_REQUEST);
    j.set.second_share = 0.25;
    snprintf(j.set.chain[0].who, sizeof(j.set.chain[0].who), "role:king");
    assert_int_equal(write_it(&j, &why), FAIL_BAD_REQUEST);
    snprintf(j.set.chain[0].who, sizeof(j.set.chain[0].who), "cleo");
    j.set.reasons_len = 1;
    assert_int_equal(write_it(&j, &why), FAIL_NONE);
    struct review_settings got;
    assert_int_equal(review_settings_get(home.conn, "support", &got, &why), FAIL_NONE);
    assert_true(got.reasons_len == 1 && got.second_share == 0.25);
    assert_string_equal(got.chain[0].who, "cleo");
    assert_string_equal(got.reasons[0], "the facts are wrong");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(queues_are_by_team_and_skill),
        T(the_order_is_urgency_age_or_doubt),
        T(a_lease_is_kept_renewed_given_back_and_runs_out),
        T(nobody_holds_more_than_the_limit),
        T(of_eight_who_ask_for_the_next_each_gets_another),
        T(the_same_decision_sent_again_is_done_once),
        T(an_escalation_has_a_target_a_deadline_and_a_next_one),
        T(an_escalation_goes_the_teams_way_when_nobody_is_named),
        T(a_share_of_approved_ones_is_looked_at_again_by_another),
        T(practice_is_counted_apart_and_never_changes_the_artifact),
        T(a_forced_item_is_answered_before_its_proposal_shows),
        T(unfinished_work_survives_a_lost_lease),
        T(a_hints_proposal_never_lands_on_what_moved_on),
        T(what_has_one_cause_is_found_together),
        T(a_correction_is_proposed_for_the_next_one_alike),
        T(an_approval_names_the_ticket_it_saw),
        T(outcomes_come_back_and_count_from_five_on),
        T(second_looks_show_only_when_five_people_did_them),
        T(what_is_asked_often_becomes_an_article_without_anybody_in_it),
        T(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
