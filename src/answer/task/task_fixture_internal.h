/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The house that the room's tests run in: a real store and log, real workers with the fake engine,
 * one form. Everything is static; each test program that includes it uses a part.
 */
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"

#include "answer/task/task.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "answer/route/route.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/log/log.h"
#include "run/upstream/upstream.h"
#include "trust/guard/guard.h"

static struct loop *loop;
static struct pool *pool;
static struct store *store;
static struct audit *audit;
static struct keyring_master *master;
static struct fleet *fleet;
static struct task_desk *desk;
static char home[64];
static struct principal me = {.kind = PRINCIPAL_KIND_LOCAL, .name = "tester", .team = "default"};
static int artifacts, waiting_artifacts;
static json_t *last; /* of the last form */
static enum fail last_code;
static char last_why[400];
static int64_t last_leaf;

static char artifact_draft[4096];

static enum fail on_artifact(struct store_tx *tx, void *arg, const struct task_artifact *a,
                             struct fault *why)
{
    (void)tx;
    (void)arg;
    (void)why;
    snprintf(artifact_draft, sizeof(artifact_draft), "%s", a->draft != NULL ? a->draft : "");
    artifacts++;
    waiting_artifacts += a->waits;
    return FAIL_NONE;
}

static int redrafts;
static enum fail redraft_answer;

static enum fail on_redraft(struct store_tx *tx, void *arg, const struct id *artifact,
                            const char *draft, struct fault *why)
{
    (void)tx;
    (void)arg;
    (void)artifact;
    assert_non_null(draft);
    redrafts++;
    return redraft_answer == FAIL_NONE ? FAIL_NONE
                                       : FAULT(why, redraft_answer, "somebody has opened it");
}

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void on_timeout(void *arg)
{
    (void)arg;
    fail_msg("the test took too long");
}

static void run(void)
{
    uint64_t timer = loop_timer_add(loop, 30000, on_timeout, NULL);
    loop_restart(loop);
    loop_run(loop);
    loop_timer_cancel(loop, timer);
}

static void load_as(enum fleet_role role, char letter)
{
    char sha[65];
    struct fault why;
    memset(sha, letter, 64);
    sha[64] = '\0';
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fleet_load(fleet, role, fleet_role_name(role), sha, fd, &why), FAIL_NONE);
}

static void load(enum fleet_role role)
{
    load_as(role, (char)('a' + (int)role));
}

static void stop_when_ready(void *arg)
{
    (void)arg;
    if (fleet_is_ready(fleet, FLEET_LIGHT) && fleet_is_ready(fleet, FLEET_EMBED)) {
        loop_stop(loop);
    }
}

static struct ladder_form *make_form(void)
{
    struct ladder_form *f = mem_alloc(sizeof(*f));
    static const char *const priorities[] = {"high", "low"};
    static const char *const names[] = {"queue", "priority", "language", "summary", "reply"};
    static const enum ladder_type types[] = {LADDER_CHOICE, LADDER_CHOICE, LADDER_LANGUAGE,
                                             LADDER_LINE, LADDER_DRAFT};
    f->refs = 1;
    snprintf(f->name, sizeof(f->name), "triage");
    memset(f->release, 'f', 64);
    f->title = mem_dup_str("t");
    f->dataset = mem_dup_str("help");
    f->system = mem_dup_str("You sort tickets.");
    f->prefix = mem_dup_str("Ticket:\n");
    f->suffix = mem_dup_str("\nForm:");
    f->fields_len = 5;
    for (size_t i = 0; i < f->fields_len; i++) {
        snprintf(f->fields[i].name, sizeof(f->fields[i].name), "%s", names[i]);
        f->fields[i].type = types[i];
        f->fields[i].max_chars = 80;
        f->fields[i].target_error = 0.1;
        for (int r = 0; r < LADDER_RUNG_COUNT; r++) {
            f->evidence[i][r].threshold = 2.0;
        }
    }
    f->fields[0].labels_learned = true;
    ladder_labels_set(&f->fields[1], priorities, 2);
    f->always_person[0] = mem_dup_str("lawyer");
    f->always_person_len = 1;
    return f;
}

static int ended, cancelled, refused, late, good;

static void drop_text(void *arg, const char *text, size_t len)
{
    (void)arg;
    (void)text;
    (void)len;
}

static void count_end(void *arg, const struct task_result *r)
{
    ended++;
    cancelled += r->state == TASK_CANCELLED;
    refused += r->code == FAIL_QUEUE_FULL;
    late += r->code == FAIL_DEADLINE;
    good += r->code == FAIL_NONE;
    if (r->code == FAIL_QUEUE_FULL) {
        assert_true(r->record_seq < 0 && text_id_is_zero(&r->task) == false);
    }
    if (arg != NULL && --*(int *)arg == 0) {
        loop_stop(loop);
    }
}

static uint64_t submit_as(task_done_fn done, void *arg, const char *text, int64_t deadline_ms)
{
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "triage", .input_id = "T1",
                             .text = text, .deadline_ms = deadline_ms, .on_done = done,
                             .arg = arg};
    return task_submit(desk, &r);
}

static void chat_as(void *arg, const char *content, int64_t deadline_ms, bool stream)
{
    char ask[256];
    snprintf(ask, sizeof(ask), "{\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]%s}",
             content, stream ? ",\"stream\":true" : "");
    struct task_request r = {.kind = TASK_CHAT, .who = me, .model = "light", .ask_json = ask,
                             .ask_len = strlen(ask), .stream = stream, .on_text = drop_text,
                             .deadline_ms = deadline_ms, .on_done = count_end, .arg = arg};
    task_submit(desk, &r);
}

/* A pool of one server that answers what `hosted_says`, after so long. NULL: never. */
static const char *hosted_says, *hosted_model = "big";
static int hosted_ms, hosted_calls, hosted_cancels;
static struct upstream_ask hosted_last;
static bool hosted_listed; /* it was given a team's own words */
static char hosted_body[8192], hosted_rule[64];
static uint64_t hosted_timer;

static void hosted_answer(void *arg)
{
    static const struct upstream_attempt attempts[] = {
        {.upstream = "first", .outcome = UPSTREAM_SLOW},
        {.upstream = "second", .outcome = UPSTREAM_ANSWERED, .status = 200}};
    struct fault why;
    struct upstream_answer a = {.model = hosted_model, .upstream = "second", .text = hosted_says,
                                .finish_reason = "stop", .tokens_in = 100, .tokens_out = 10,
                                .cost_nano = 25000, .attempts = attempts, .attempts_len = 2};
    hosted_timer = 0;
    if (arg != NULL) {
        a.code = FAULT(&why, FAIL_STOPPED, "stopped");
        a.why = &why;
        a.attempts_len = 1;
    }
    hosted_last.done(hosted_last.arg, &a);
}

static uint64_t hosted_call(void *arg, const struct upstream_ask *ask)
{
    assert_ptr_equal(arg, &me);
    hosted_calls++;
    hosted_last = *ask;
    hosted_listed = ask->lists != NULL;
    guard_lists_free(ask->lists);
    hosted_last.lists = NULL;
    snprintf(hosted_body, sizeof(hosted_body), "%.*s", (int)ask->len, ask->body);
    snprintf(hosted_rule, sizeof(hosted_rule), "%s", ask->rule);
    hosted_timer = hosted_says != NULL ? loop_timer_add(loop, hosted_ms, hosted_answer, NULL) : 0;
    return 77;
}

static void hosted_cancel(void *arg, uint64_t id)
{
    assert_ptr_equal(arg, &me);
    assert_int_equal(id, 77);
    hosted_cancels++;
    loop_timer_cancel(loop, hosted_timer);
    loop_timer_add(loop, 0, hosted_answer, &me);
}

static void hosted_check(void *arg, const char *model, int64_t tokens_in, int64_t tokens_out,
                         struct upstream_pool_state *out)
{
    (void)tokens_in;
    (void)tokens_out;
    assert_ptr_equal(arg, &me);
    bool known = strcmp(model, "big-pool") == 0;
    *out = (struct upstream_pool_state){.usable = known,
                                        .budget_left = INT64_MAX,
                                        .cost_nano = known ? 1000 : -1,
                                        .why_not = known ? NULL : "there is no such pool"};
}

static void set_rules(const char *yaml)
{
    struct route_rules *rules = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault why;
    if (route_rules_read(yaml, strlen(yaml), "rules", &rules, faults, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    task_rules_set(desk, rules);
    route_rules_unref(rules);
    mem_free(faults);
}

static int start(void **state)
{
    (void)state;
    static char path[512], data[96];
    const char *build = getenv("INHOUSE_BUILD");
    struct fault why;
    log_set_level(LOG_LEVEL_ERROR + 1);
    snprintf(home, sizeof(home), "/tmp/task-test-XXXXXX");
    assert_non_null(mkdtemp(home));
    snprintf(data, sizeof(data), "%s/data.db", home);
    snprintf(path, sizeof(path), "%s/bin/inhouse-worker", build != NULL ? build : ".");
    struct fleet_options o = {.worker_path = path,
                              .engine = "fake",
                              .threads = 1,
                              .n_seq = 4,
                              .n_ctx_light = 2048,
                              .n_ctx_heavy = 2048,
                              .max_open = 8,
                              .max_waiting = 4096};
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    pool = pool_new(1, 100);
    assert_int_equal(store_open(data, &store_schema_data, &store, &why), FAIL_NONE);
    assert_int_equal(keyring_master_open(home, &master, &why), FAIL_NONE);
    assert_int_equal(audit_open(home, store, master, &audit, &why), FAIL_NONE);
    if (fleet_new(loop, &o, &fleet, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    load(FLEET_EMBED);
    load(FLEET_LIGHT);
    fleet_on_change(fleet, stop_when_ready, NULL);
    run();
    fleet_on_change(fleet, NULL, NULL);
    struct task_house house = {.loop = loop, .crunch = pool, .store = store, .audit = audit,
                               .fleet = fleet,
                               .sink = {.create = on_artifact, .redraft = on_redraft},
                               .costs = {.machine_hour = 0.02, .person_task = 0.5},
                               .hosted = {.arg = &me, .call = hosted_call, .cancel = hosted_cancel,
                                          .check = hosted_check},
                               .max_running = 8, .max_waiting = 100};
    assert_int_equal(task_desk_new(&house, &desk, &why), FAIL_NONE);
    struct ladder_form *form = make_form();
    task_form_set(desk, form);
    ladder_form_unref(form);
    return 0;
}

static int jobs_ended;

static void count_job(void *arg, enum fail code, const struct fault *why, const char *json,
                      size_t len)
{
    (void)arg;
    (void)code;
    (void)why;
    (void)json;
    (void)len;
    jobs_ended++;
}

static void no_progress(void *arg, const char *stage, size_t done, size_t total)
{
    (void)arg;
    (void)stage;
    (void)done;
    (void)total;
}

/* The end comes while a task runs, others wait and a job learns: each is told once. */
static int stop(void **state)
{
    (void)state;
    static struct task_example examples[300];
    static const char *values[300][5];
    for (int i = 0; i < 300; i++) {
        values[i][1] = i % 2 == 0 ? "high" : "low";
        examples[i] = (struct task_example){.id = "E", .text = i % 2 == 0 ? "urgent pay" : "thanks",
                                            .values = values[i]};
    }
    task_learn(desk, &me, "triage", examples, 300, 5, true, no_progress, count_job, NULL);
    ended = 0;
    for (int i = 0; i < 20; i++) {
        submit_as(count_end, NULL, "%%slow:100%% refund please", 0);
    }
    loop_post(loop, stop_loop, NULL);
    run();
    task_desk_drain(desk, stop_loop, NULL);
    run();
    assert_int_equal(ended, 20);
    submit_as(count_end, NULL, "too late", 0);
    fleet_stop(fleet, stop_loop, NULL);
    run();
    while (jobs_ended == 0) {
        loop_timer_add(loop, 20, stop_loop, NULL);
        run();
    }
    assert_int_equal(ended, 21);
    assert_int_equal(jobs_ended, 1);
    task_desk_free(desk);
    fleet_free(fleet);
    store_close(store);
    audit_close(audit);
    keyring_master_close(master);
    pool_free(pool);
    loop_free(loop);
    json_decref(last);
    return 0;
}

static int pending;

static void on_form(void *arg, const struct task_result *r)
{
    (void)arg;
    json_decref(last);
    last = NULL;
    last_code = r->code;
    last_leaf = r->record_seq;
    last_why[0] = '\0';
    if (r->code == FAIL_NONE && r->json != NULL) {
        struct fault why;
        assert_int_equal(jn_parse(r->json, r->json_len, "result", &last, &why), FAIL_NONE);
    } else if (r->why != NULL) {
        snprintf(last_why, sizeof(last_why), "%s", r->why->message);
    }
    if (--pending == 0) {
        loop_stop(loop);
    }
}

static void submit(const char *text, const char *key)
{
    struct task_request r = {.kind = TASK_FORM, .who = me, .workflow = "triage", .input_id = "T1",
                             .text = text, .idempotency_key = key, .on_done = on_form};
    pending++;
    task_submit(desk, &r);
}

static const char *field_str(const char *name, const char *member)
{
    json_t *fields = json_object_get(last, "fields"), *f;
    size_t i;
    json_array_foreach(fields, i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "name")), name) == 0) {
            return json_string_value(json_object_get(f, member));
        }
    }
    return NULL;
}

static void on_progress(void *arg, const char *stage, size_t done, size_t total)
{
    assert_ptr_equal(arg, &me); /* what was passed beside it, through every stage */
    assert_true(done <= total && stage[0] != '\0');
}

static char report[65536];

static void on_job(void *arg, enum fail code, const struct fault *why, const char *json, size_t len)
{
    (void)arg;
    last_code = code;
    snprintf(last_why, sizeof(last_why), "%s", why != NULL ? why->message : "");
    snprintf(report, sizeof(report), "%.*s", (int)len, json != NULL ? json : "");
    loop_stop(loop);
}

static void learn_labels(size_t n_labels, int each)
{
    enum { MOST = 100 };
    static char ids[MOST][16], texts[MOST][64], labels[MOST][16];
    static const char *values[MOST][5];
    static struct task_example examples[MOST];
    int n = 0;
    for (size_t l = 0; l < n_labels; l++) {
        for (int k = 0; k < each; k++, n++) {
            snprintf(ids[n], sizeof(ids[n]), "L%d", n);
            snprintf(texts[n], sizeof(texts[n]), "thing%zu is what I mean %d", l, k);
            snprintf(labels[n], sizeof(labels[n]), "queue%zu", l);
            values[n][0] = labels[n];
            values[n][1] = l % 2 == 0 ? "high" : "low";
            examples[n] = (struct task_example){.id = ids[n], .text = texts[n],
                                                .values = values[n]};
        }
    }
    task_learn(desk, &me, "triage", examples, (size_t)n, 5, false, on_progress, on_job, &me);
}
