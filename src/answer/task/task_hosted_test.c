/* SPDX-License-Identifier: Apache-2.0 */
/* The hosted rung of a climb: by a rule alone, with its label's leave, within the deadline, and
   what people's decisions let it do. */
#include "answer/task/task.h"

#include "answer/certify/certify.h"
#include "answer/dataset/dataset.h"
#include "answer/task/task_fixture_internal.h"

static const char rules_out[] = "name: out\n"
                                "rows:\n"
                                "  - name: ours-out\n"
                                "    why: a test\n"
                                "    when:\n"
                                "      label: [public, internal]\n"
                                "    then: {go: hosted, leave: plain, upstream: big-pool}\n"
                                "  - name: masked-out\n"
                                "    why: a test\n"
                                "    when:\n"
                                "      label: confidential\n"
                                "    then: {go: hosted, leave: redacted, upstream: big-pool}\n";

static void put_sent_form(void)
{
    struct ladder_form *form = make_form();
    snprintf(form->name, sizeof(form->name), "sent");
    form->label = SECRECY_INTERNAL;
    task_form_set(desk, form);
    ladder_form_unref(form);
}

/* A new text each time, so that nothing is reused. */
static void submit_sent(enum secrecy label, int64_t deadline_ms)
{
    static int n;
    char text[128];
    /* Personal data would make it confidential by itself. */
    snprintf(text, sizeof(text), "Where is parcel number %d that I ordered%s?", ++n,
             label >= SECRECY_CONFIDENTIAL ? " for Ms Jones" : "");
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "sent", .text = text,
                             .label = label, .deadline_ms = deadline_ms, .on_done = on_form};
    pending = 1;
    task_submit(desk, &r);
    run();
    assert_string_equal(last_why, "");
}

static const json_t *climb_step(const char *rung)
{
    json_t *steps = json_object_get(last, "climb"), *s;
    const json_t *found = NULL;
    size_t i;
    json_array_foreach(steps, i, s)
    {
        if (strcmp(json_string_value(json_object_get(s, "rung")), rung) == 0) {
            found = s;
        }
    }
    return found;
}

static const char *step_str(const char *rung, const char *member)
{
    const char *s = json_string_value(json_object_get(climb_step(rung), member));
    return s != NULL ? s : "";
}

static void a_rule_sends_open_fields_out(void **state)
{
    (void)state;
    put_sent_form();
    set_rules(rules_out);
    hosted_says = "```json\n{\"priority\":\"low\",\"summary\":\"Where is the parcel\"}\n```";
    submit_sent(SECRECY_PUBLIC, 0);
    assert_int_equal(hosted_calls, 1);
    assert_string_equal(field_str("priority", "value"), "low");
    assert_string_equal(field_str("priority", "proposed_by"), "hosted");
    assert_string_equal(field_str("priority", "rung"), "person"); /* nothing proves it yet */
    assert_string_equal(step_str("hosted", "verdict"), "answered");
    assert_string_equal(step_str("hosted", "by"), "second/big");
    assert_string_equal(step_str("hosted", "cost"), "0.000025");
    assert_int_equal(json_integer_value(json_object_get(climb_step("hosted"), "attempts")), 2);
    assert_string_equal(step_str("light", "verdict"), "skipped");
    assert_non_null(strstr(step_str("light", "note"), "ours-out"));
    assert_string_equal(json_string_value(json_object_get(last, "cost")), "0.000025");
    const json_t *route = json_object_get(last, "route");
    assert_string_equal(json_string_value(json_object_get(route, "row")), "ours-out");
    assert_string_equal(json_string_value(json_object_get(route, "pool")), "big-pool");
    assert_string_equal(hosted_rule, "ours-out");
    assert_int_equal(hosted_last.label, SECRECY_INTERNAL); /* the workflow's, higher than public */
    assert_false(hosted_last.redact);
    assert_non_null(strstr(hosted_body, "json_schema"));
    assert_non_null(strstr(hosted_body, "\"enum\":[\"high\",\"low\"]"));
}

/* ---- the reply ---- */

static const char *draft_text(void)
{
    return json_string_value(json_object_get(json_object_get(last, "draft"), "text"));
}

/* What the hosted model answers, as JSON. */
static void say_reply(const char *reply)
{
    static char *text;
    json_t *j = json_pack("{s:s, s:s}", "priority", "low", "reply", reply);
    free(text); /* tidy: memory: jansson's own */
    text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    hosted_says = text;
}

static void ask_reply(int n)
{
    char text[128];
    snprintf(text, sizeof(text), "How do I reset my password for the sign-in page?%*s", n, "!");
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "replies", .text = text,
                             .on_done = on_form};
    pending = 1;
    task_submit(desk, &r);
    run();
    assert_string_equal(last_why, "");
}

static enum fail write_dataset(struct store_tx *tx, void *arg, struct fault *why)
{
    return dataset_add(tx, audit, &me, arg, why);
}

static void a_hosted_model_edits_the_reply_and_may_add_nothing(void **state)
{
    (void)state;
    static const char article[] =
        "---\nid: login\ntitle: Sign in\nlang: en\nqueue: account\n---\n"
        "To reset your password, open the sign-in page and choose Forgot password.\n";
    static const char refund[] =
        "---\nid: refund\ntitle: Refunds\nlang: en\nqueue: billing\n---\n"
        "To get a refund, open Orders and choose Refund. We pay within 5 days.\n";
    struct task_article articles[] = {{"login.md", article, sizeof(article) - 1},
                                      {"refund.md", refund, sizeof(refund) - 1}};
    struct ladder_form *form = make_form();
    char composed[4096], said[8192];
    struct dataset_about about = {.name = "help", .label = SECRECY_INTERNAL,
                                  .owner = {DATASET_TEAM, "default"}, .purpose = "replies"};
    struct fault why;
    assert_int_equal(store_write_wait(store, write_dataset, &about, &why), FAIL_NONE);
    task_articles_put(desk, &me, "help", articles, 2, on_progress, on_job, &me);
    run();
    assert_string_equal(last_why, "");
    snprintf(form->name, sizeof(form->name), "replies");
    form->label = SECRECY_INTERNAL;
    form->rewrite = true;
    form->frames_len = 1;
    snprintf(form->frames[0].lang, sizeof(form->frames[0].lang), "en");
    form->frames[0].greeting_plain = mem_dup_str("Hello,");
    form->frames[0].opening = mem_dup_str("Thank you for writing to us.");
    form->frames[0].sign_off = mem_dup_str("Kind regards");
    task_form_set(desk, form);
    ladder_form_unref(form);
    set_rules("name: none\nrows: []\n");
    ask_reply(1);
    assert_non_null(draft_text());
    snprintf(composed, sizeof(composed), "%s", draft_text());
    set_rules(rules_out);
    snprintf(said, sizeof(said), "%s\nThank you for writing to us.", composed);
    say_reply(said);
    ask_reply(2);
    assert_string_equal(json_string_value(json_object_get(last, "label")), "internal");
    assert_string_equal(draft_text(), said);
    assert_true(json_is_true(json_object_get(json_object_get(last, "draft"), "rewritten")));
    assert_string_equal(artifact_draft, said);
    snprintf(said, sizeof(said), "%s\nWe will pay you 500 EUR for the trouble.", composed);
    say_reply(said);
    ask_reply(3);
    assert_string_equal(draft_text(), composed);
    assert_false(json_is_true(json_object_get(json_object_get(last, "draft"), "rewritten")));
    assert_non_null(strstr(step_str("hosted", "note"), "reply was refused"));
}

static enum fail change_dataset(struct store_tx *tx, void *arg, struct fault *why)
{
    return dataset_change(tx, audit, &me, arg, why);
}

/* What replies are made of is in what leaves: its label counts as the ticket's own does. */
static void a_datasets_label_keeps_its_replies_here(void **state)
{
    (void)state;
    struct fault why;
    struct dataset_about about = {.name = "help", .label = SECRECY_RESTRICTED,
                                  .owner = {DATASET_TEAM, "default"},
                                  .purpose = "replies", .source = "the desk"};
    if (store_write_wait(store, change_dataset, &about, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    set_rules(rules_out);
    hosted_calls = 0;
    ask_reply(7);
    assert_string_equal(json_string_value(json_object_get(last, "label")), "restricted");
    assert_int_equal(hosted_calls, 0);
    set_rules("name: none\nrows: []\n");
}

/* ---- evidence ---- */

struct reviewing {
    struct id task;
    const char *priority;
    struct certify_events events;
};

static enum fail write_review(struct store_tx *tx, void *arg, struct fault *why)
{
    struct reviewing *r = arg;
    const struct certify_decided decided = {"priority", r->priority};
    const struct certify_review review = {.task = r->task, .workflow = "sent", .actor = "rita",
                                          .team = "default", .fields = &decided, .fields_len = 1};
    return certify_review(tx, audit, &review, &r->events, why);
}

static void on_reviewed(void *arg, enum fail code, const struct fault *why)
{
    (void)arg;
    (void)why;
    assert_int_equal(code, FAIL_NONE);
    loop_stop(loop);
}

/* A person decides the last answer; true when that changed what a rung may do. */
static bool review_last(const char *priority)
{
    static struct reviewing r;
    struct fault why;
    const char *id = json_string_value(json_object_get(last, "id"));
    memset(&r, 0, sizeof(r));
    r.priority = priority;
    assert_true(text_id_read(id, "tsk", &r.task));
    assert_int_equal(store_write(store, write_review, &r, on_reviewed, loop, &why), FAIL_NONE);
    run();
    return r.events.n > 0;
}

static void reviewed_answers_let_a_hosted_model_decide_and_no_other(void **state)
{
    (void)state;
    int n = 0;
    bool issued = false;
    set_rules(rules_out);
    hosted_says = "{\"priority\":\"low\",\"summary\":\"Where is the parcel\"}";
    while (!issued && n < 400) {
        submit_sent(SECRECY_PUBLIC, 0);
        assert_string_equal(field_str("priority", "rung"), "person");
        issued = review_last("low");
        n++;
    }
    assert_true(issued && n >= 29); /* fewer prove nothing at 10 % */
    task_certificates_changed(desk, "sent");
    submit_sent(SECRECY_PUBLIC, 0);
    assert_string_equal(field_str("priority", "rung"), "hosted");
    assert_string_equal(field_str("priority", "value"), "low");
    assert_non_null(field_str("priority", "certificate"));
    hosted_model = "bigger"; /* the same pool, another model: nothing is known of it */
    submit_sent(SECRECY_PUBLIC, 0);
    assert_string_equal(field_str("priority", "rung"), "person");
    assert_string_equal(field_str("priority", "proposed_by"), "hosted");
    hosted_model = "big";
    submit_sent(SECRECY_PUBLIC, 0);
    assert_string_equal(field_str("priority", "rung"), "hosted");
}

/* What happened to the certificates of this workflow, newest first. */
struct certificates {
    int live, voided;
    char detail[200];
};

static bool count_certificate(void *arg, const struct certify_certificate *c)
{
    struct certificates *n = arg;
    n->live += c->state == CERTIFY_LIVE;
    if (c->state == CERTIFY_VOIDED) {
        n->voided++;
        snprintf(n->detail, sizeof(n->detail), "%s", c->detail);
    }
    return true;
}

static struct certificates certificates_of(const char *workflow)
{
    struct certificates n = {0};
    struct store_conn *conn;
    struct fault why;
    assert_int_equal(store_reader_open(store, &conn, &why), FAIL_NONE);
    assert_int_equal(certify_each(conn, workflow, true, count_certificate, &n, &why), FAIL_NONE);
    store_reader_close(conn);
    return n;
}

static void wait_ms(int ms)
{
    loop_timer_add(loop, ms, stop_loop, NULL);
    run();
}

static void another_definition_or_model_voids_what_it_touches(void **state)
{
    (void)state;
    set_rules(rules_out);
    hosted_says = "{\"priority\":\"low\",\"summary\":\"Where is the parcel\"}";
    struct certificates before = certificates_of("sent");
    assert_true(before.live == 1 && before.voided == 0);
    load_as(FLEET_LIGHT, 'z'); /* the hosted model's certificate is not of it */
    wait_ms(300);
    task_fleet_changed(desk);
    wait_ms(50);
    assert_int_equal(certificates_of("sent").live, 1);
    struct ladder_form *form = make_form();
    snprintf(form->name, sizeof(form->name), "sent");
    form->label = SECRECY_INTERNAL;
    memset(form->release, '9', 64);
    task_form_set(desk, form);
    ladder_form_unref(form);
    wait_ms(100);
    struct certificates after = certificates_of("sent");
    assert_int_equal(after.live, 0);
    assert_int_equal(after.voided, 1);
    assert_string_equal(after.detail, "the definition has changed");
    submit_sent(SECRECY_PUBLIC, 0);
    assert_string_equal(field_str("priority", "rung"), "person");
    set_rules("name: none\nrows: []\n");
}

static void what_a_label_forbids_is_never_called(void **state)
{
    (void)state;
    hosted_calls = 0;
    submit_sent(SECRECY_RESTRICTED, 0);
    assert_int_equal(hosted_calls, 0);
    assert_string_equal(field_str("priority", "proposed_by"), "light");
    assert_string_equal(json_string_value(json_object_get(last, "label")), "restricted");
    submit_sent(SECRECY_CONFIDENTIAL, 0);
    assert_int_equal(hosted_calls, 1);
    assert_true(hosted_last.redact);
    assert_int_equal(hosted_last.label, SECRECY_CONFIDENTIAL);
    assert_string_equal(hosted_rule, "masked-out");
    set_rules("name: r\nrows:\n  - name: plainly\n    why: a test\n    when:\n"
              "      label: [public, internal]\n"
              "    then: {go: hosted, leave: plain, upstream: big-pool}\n");
    hosted_calls = 0;
    submit_sent(SECRECY_CONFIDENTIAL, 0); /* no row names it */
    assert_int_equal(hosted_calls, 0);
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "sent",
                             .text = "Write to ann.lee@example.com about it, please.",
                             .label = SECRECY_PUBLIC, .on_done = on_form};
    pending = 1;
    task_submit(desk, &r); /* the guard finds what its sender did not say */
    run();
    assert_string_equal(json_string_value(json_object_get(last, "label")), "confidential");
    assert_int_equal(hosted_calls, 0);
}

static void a_hosted_answer_that_cannot_be_used_goes_back_to_local_models(void **state)
{
    (void)state;
    static const char *const bad[] = {"sorry", "{\"other\":\"low\"}", "{\"priority\":3}", "{",
                                      "[\"low\"]"};
    set_rules(rules_out);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        hosted_says = bad[i];
        submit_sent(SECRECY_PUBLIC, 0);
        assert_string_equal(step_str("hosted", "verdict"), "failed");
        assert_string_equal(field_str("priority", "proposed_by"), "light");
        assert_string_equal(json_string_value(json_object_get(last, "cost")), "0.000025");
    }
    hosted_says = "{\"priority\":\"soon\"}"; /* a form, with what is no label */
    submit_sent(SECRECY_PUBLIC, 0);
    assert_string_equal(step_str("hosted", "verdict"), "abstained");
    assert_non_null(strstr(step_str("hosted", "note"), "no label"));
    assert_null(field_str("priority", "value"));
}

static void a_pool_that_is_not_there_leaves_the_work_here(void **state)
{
    (void)state;
    set_rules("name: r\nrows:\n  - name: nowhere\n    why: a test\n    when:\n"
              "      label: [public, internal]\n"
              "    then: {go: hosted, leave: plain, upstream: no-pool}\n");
    hosted_calls = 0;
    submit_sent(SECRECY_PUBLIC, 0);
    assert_int_equal(hosted_calls, 0);
    assert_string_equal(step_str("hosted", "verdict"), "skipped");
    assert_string_equal(step_str("hosted", "note"), "there is no such pool");
    assert_string_equal(field_str("priority", "proposed_by"), "light");
}

static void a_hosted_call_ends_with_the_deadline(void **state)
{
    (void)state;
    set_rules(rules_out);
    hosted_says = NULL;
    hosted_cancels = 0;
    int64_t began = clock_monotonic_us();
    submit_sent(SECRECY_PUBLIC, 200);
    assert_true(clock_ms_since(began) < 3000);
    assert_int_equal(hosted_cancels, 1);
    assert_string_equal(json_string_value(json_object_get(last, "state")), "waiting_person");
    assert_string_equal(step_str("hosted", "note"), "the deadline has passed");
    set_rules("name: r\nrows:\n  - name: people\n    why: a test\n    when: {}\n"
              "    then: {go: person}\n");
    hosted_calls = 0;
    submit_sent(SECRECY_PUBLIC, 0);
    assert_int_equal(hosted_calls, 0);
    assert_null(field_str("priority", "value"));
    set_rules("name: none\nrows: []\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_sends_open_fields_out),
        cmocka_unit_test(reviewed_answers_let_a_hosted_model_decide_and_no_other),
        cmocka_unit_test(a_hosted_model_edits_the_reply_and_may_add_nothing),
        cmocka_unit_test(what_a_label_forbids_is_never_called),
        cmocka_unit_test(a_hosted_answer_that_cannot_be_used_goes_back_to_local_models),
        cmocka_unit_test(a_pool_that_is_not_there_leaves_the_work_here),
        cmocka_unit_test(a_hosted_call_ends_with_the_deadline),
        cmocka_unit_test(another_definition_or_model_voids_what_it_touches),
        cmocka_unit_test(a_datasets_label_keeps_its_replies_here),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
