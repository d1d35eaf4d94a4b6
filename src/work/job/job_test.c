/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of fake programs: one artifact each, retries with back-off, pause, cancel, deadline, leases
   that are lost, replay, definitions kept. Each test has a house of its own. */
#include "base/clock/clock.h"
#include "base/loop/loop.h"
#include "support/home.h"
#include "work/job/job.h"
#include "work/review/review.h"
#include "work/workflow/workflow.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static struct home home;
static struct jobs *jobs;
static int runs, failures;  /* atomic: of the fake program */
static bool held;           /* atomic: "hold" programs go on when false */
static const struct principal ann = {.kind = PRINCIPAL_KIND_LOCAL, .name = "ann", .team = "red"};
static const struct principal bob = {.kind = PRINCIPAL_KIND_KEY, .name = "bob", .team = "blue"};

/* ---- the program ---- */

static void *options_new(const struct config_node *node, struct config_faults *faults)
{
    static const char *const keys[] = {"word", NULL};
    const char *word = "said";
    if (node != NULL) {
        config_node_only(node, keys, faults);
        config_node_str(node, "word", false, 40, &word, faults);
    }
    return mem_dup_str(word);
}

/* What the input says decides: "hold" waits, "busy" fails in a way that may pass, "bad" for
   good. */
static enum fail fake_run(struct program_run *run, const void *options, struct fault *why)
{
    const struct program_input *in = program_input(run, "new", 0);
    const char *text = in->bytes;
    __atomic_add_fetch(&runs, 1, __ATOMIC_SEQ_CST);
    program_step(run, "read");
    program_progress(run, 0.25, "reading");
    if (strncmp(text, "busy", 4) == 0 && __atomic_fetch_sub(&failures, 1, __ATOMIC_SEQ_CST) > 0) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "it is busy");
    }
    if (strncmp(text, "bad", 3) == 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "line 3 is no report");
    }
    program_step(run, "write");
    while (strncmp(text, "hold", 4) == 0 && __atomic_load_n(&held, __ATOMIC_SEQ_CST)) {
        if (program_is_cancelled(run)) {
            return FAULT(why, FAIL_STOPPED, "stopped");
        }
        usleep(5000);
    }
    struct program_answer answer;
    if (program_ask(run, &(struct program_ask){.kind = PROGRAM_CHAT, .text = "x"}, &answer, why) !=
        FAIL_MODEL_UNAVAILABLE) {
        return FAULT(why, FAIL_INTERNAL, "there should be no model");
    }
    const char *report = arena_printf(program_arena(run), "%s: %.*s at %lld\n",
                                      (const char *)options, (int)in->len, text,
                                      (long long)program_now(run));
    program_field(run, &(struct program_field){.name = "verdict", .type = "choice", .value = "ok",
                                               .confidence = 1, .rung = LADDER_RULE});
    program_output(run, "report.md", "text/markdown", report, strlen(report));
    return FAIL_NONE;
}

static const struct program_role roles[] = {{"new", "a text", 1, 2}};
static const struct program_ops fake = {.name = "fake", .title = "Says it", .roles = roles,
                                        .roles_len = 1, .options = options_new,
                                        .options_free = mem_free, .run = fake_run};
static const struct program_ops *const table[] = {&fake};

/* ---- the house ---- */

static struct loop *loop;
static pthread_t loop_thread;

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

static void open_jobs(void)
{
    struct fault why;
    struct job_house house = {.loop = loop, .store = home.store, .audit = home.audit,
                              .programs = table, .programs_len = 1, .reader_path = "/nonexistent"};
    if (jobs_open(&house, &jobs, &why) != FAIL_NONE || jobs_start(jobs, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

static void define(const char *yaml)
{
    struct program_definition *d = NULL;
    struct config_faults faults;
    struct fault why;
    assert_int_equal(program_definition_read(yaml, strlen(yaml), "x", table, 1, &d, &faults, &why),
                     FAIL_NONE);
    assert_int_equal(jobs_define(jobs, d, &why), FAIL_NONE);
    program_definition_unref(d);
}

static int set_up(void **state)
{
    struct fault why;
    (void)state;
    home_make(&home, "job");
    home_open(&home, HOME_RECORD);
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    assert_int_equal(pthread_create(&loop_thread, NULL, run_loop, loop), 0);
    __atomic_store_n(&runs, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&failures, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&held, true, __ATOMIC_SEQ_CST);
    open_jobs();
    define("name: say\nprogram: fake\n");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jobs_close(jobs);
    loop_stop(loop);
    (void)pthread_join(loop_thread, NULL);
    loop_free(loop);
    home_close(&home);
    return home_remove(&home);
}

static struct id make(const char *text)
{
    struct program_input in = {"new", "a.txt", "text/plain", text, strlen(text)};
    struct job_new n = {.kind = JOB_PROGRAM, .who = &ann, .workflow = "say", .inputs = &in,
                        .inputs_len = 1};
    struct id id;
    struct fault why;
    if (jobs_new(jobs, &n, &id, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return id;
}

static struct arena *arena;

static struct job_row get(const struct id *id)
{
    struct job_row row;
    struct fault why;
    arena_free(arena);
    arena = arena_new((size_t)16 << 20);
    assert_int_equal(jobs_get(home.conn, arena, id, &ann, &row, &why), FAIL_NONE);
    return row;
}

static struct job_row wait_state(const struct id *id, enum job_state state)
{
    struct job_row row = get(id);
    for (int i = 0; i < 4000 && row.state != state; i++) {
        usleep(5000);
        row = get(id);
    }
    if (row.state != state) {
        fail_msg("it is %s (%s), not %s", job_state_name(row.state), row.message,
                 job_state_name(state));
    }
    return row;
}

static char *output(const struct id *id, const char *name)
{
    struct buf b;
    struct fault why;
    char type[128];
    buf_init(&b, 1 << 20);
    if (jobs_output(home.audit, home.conn, id, &ann, name, &b, type, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return buf_take(&b);
}

static int64_t count(const char *sql)
{
    struct store_stmt *s = store_query(home.conn, sql);
    bool row = false;
    assert_int_equal(store_step(s, &row, NULL), FAIL_NONE);
    int64_t n = store_col_int(s, 0);
    store_end(s);
    return n;
}

/* ---- tests ---- */

static void a_job_ends_in_one_artifact_with_its_outputs(void **state)
{
    (void)state;
    struct id id = make("hello");
    struct job_row row = wait_state(&id, JOB_STATE_DONE);
    assert_false(text_id_is_zero(&row.artifact));
    assert_int_equal(row.outputs_len, 2); /* and artifact.json */
    assert_true(row.outputs[0].main);
    assert_int_equal(row.inputs_len, 1);
    assert_int_equal(row.steps_len, 2);
    assert_string_equal(row.steps[1].name, "write");
    assert_int_equal(row.steps[1].asks, 1);
    assert_true(row.steps[0].leaf >= 0 && row.share == 1);
    AUTO_FREE char *report = output(&id, "report.md");
    assert_non_null(strstr(report, "said: hello at "));
    struct review_artifact a;
    struct fault why;
    assert_int_equal(review_get(home.conn, arena, &row.artifact, &ann, &a, &why), FAIL_NONE);
    assert_int_equal(a.state, REVIEW_STATE_IN_REVIEW);
    assert_string_equal(a.draft, report);
    assert_string_equal(a.fields[0].name, "verdict");
    char team[KEYRING_NAME_SIZE];
    assert_int_equal(jobs_owner(home.conn, &id, team, &why), FAIL_NONE);
    assert_string_equal(team, "red");
    /* another team sees none of it */
    struct job_row other;
    struct buf b;
    char type[128];
    buf_init(&b, 100);
    assert_int_equal(jobs_get(home.conn, arena, &id, &bob, &other, &why), FAIL_NOT_FOUND);
    assert_int_equal(jobs_output(home.audit, home.conn, &id, &bob, "report.md", &b, type, &why),
                     FAIL_NOT_FOUND);
    assert_int_equal(jobs_cancel(jobs, &id, &bob, &why), FAIL_NOT_FOUND);
    buf_done(&b);
}

static void what_may_pass_is_tried_again_and_what_cannot_is_not(void **state)
{
    (void)state;
    __atomic_store_n(&failures, 1, __ATOMIC_SEQ_CST);
    struct id busy = make("busy"), bad = make("bad");
    struct job_row row = wait_state(&bad, JOB_STATE_FAILED);
    assert_string_equal(row.message, "line 3 is no report");
    assert_int_equal(row.attempts, 1);
    row = wait_state(&busy, JOB_STATE_DONE);
    assert_int_equal(row.attempts, 2);
    assert_string_equal(row.code, "");
    assert_int_equal(__atomic_load_n(&runs, __ATOMIC_SEQ_CST), 3);
}

static void a_paused_job_waits_and_a_cancelled_one_ends(void **state)
{
    (void)state;
    struct fault why;
    struct id a = make("hold a"), b = make("hold b");
    wait_state(&a, JOB_STATE_LEASED);
    wait_state(&b, JOB_STATE_LEASED);
    assert_int_equal(jobs_pause(jobs, &a, &ann, &why), FAIL_NONE);
    assert_int_equal(jobs_pause(jobs, &a, &ann, &why), FAIL_CONFLICT);
    assert_int_equal(jobs_cancel(jobs, &b, &ann, &why), FAIL_NONE);
    assert_int_equal(jobs_cancel(jobs, &b, &ann, &why), FAIL_CONFLICT);
    __atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
    usleep(100000);
    assert_int_equal(get(&a).state, JOB_STATE_PAUSED);
    assert_int_equal(get(&b).state, JOB_STATE_CANCELLED);
    assert_int_equal(jobs_resume(jobs, &a, &ann, &why), FAIL_NONE);
    wait_state(&a, JOB_STATE_DONE);
    assert_int_equal(get(&b).state, JOB_STATE_CANCELLED);
    assert_int_equal(count("SELECT count(*) FROM artifact"), 1);
}

static void a_deadline_ends_a_run(void **state)
{
    (void)state;
    struct program_input in = {"new", "a", "", "hold", 4};
    struct job_new n = {.kind = JOB_PROGRAM, .who = &ann, .workflow = "say", .inputs = &in,
                        .inputs_len = 1, .deadline_s = 1};
    struct id id;
    struct fault why;
    assert_int_equal(jobs_new(jobs, &n, &id, &why), FAIL_NONE);
    struct job_row row = wait_state(&id, JOB_STATE_FAILED);
    assert_string_equal(row.code, "deadline");
}

/* The process that had it is gone: its lease is another's, and never given back. */
static enum fail orphan(struct store_tx *tx, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE job SET state = 'leased', lease = lease + 1, attempts = ?2, "
                           "lease_by = zeroblob(16), lease_until = ?3, ended_at = 0, "
                           "artifact = NULL WHERE id = ?1");
    const struct id *id = arg;
    store_bind_id(s, 1, id);
    store_bind_int(s, 2, 1);
    store_bind_int(s, 3, clock_now_us() + 3600000000LL);
    return store_run(s, why);
}

static void a_lease_of_a_dead_process_is_taken_back_at_the_start(void **state)
{
    (void)state;
    struct id id = make("hold");
    wait_state(&id, JOB_STATE_LEASED);
    home_write(&home, orphan, &id); /* what the thread here writes is void from now on */
    __atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
    usleep(200000);
    assert_int_equal(get(&id).state, JOB_STATE_LEASED);
    assert_int_equal(count("SELECT count(*) FROM artifact"), 0);
    jobs_close(jobs);
    open_jobs(); /* without the definition: the one that was kept serves */
    struct job_row row = wait_state(&id, JOB_STATE_DONE);
    assert_int_equal(count("SELECT count(*) FROM artifact"), 1);
    assert_int_equal(row.attempts, 2);
}

static void a_stopped_server_gives_its_leases_back(void **state)
{
    (void)state;
    struct id id = make("hold");
    wait_state(&id, JOB_STATE_LEASED);
    jobs_close(jobs);
    struct job_row row = get(&id);
    assert_int_equal(row.state, JOB_STATE_QUEUED);
    assert_int_equal(row.attempts, 0);
    __atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
    open_jobs();
    wait_state(&id, JOB_STATE_DONE);
}

static void a_running_job_keeps_its_definition(void **state)
{
    (void)state;
    struct id first = make("hold 1");
    wait_state(&first, JOB_STATE_LEASED);
    define("name: say\nprogram: fake\noptions: {word: told}\n");
    __atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
    struct id second = make("2");
    wait_state(&first, JOB_STATE_DONE);
    wait_state(&second, JOB_STATE_DONE);
    AUTO_FREE char *a = output(&first, "report.md");
    AUTO_FREE char *b = output(&second, "report.md");
    assert_non_null(strstr(a, "said: hold 1"));
    assert_non_null(strstr(b, "told: 2"));
}

static void a_replay_says_the_same(void **state)
{
    (void)state;
    struct fault why;
    struct id id = make("again"), made;
    wait_state(&id, JOB_STATE_DONE);
    define("name: say\nprogram: fake\noptions: {word: told}\n");
    assert_int_equal(jobs_replay(jobs, &id, &bob, &made, &why), FAIL_NOT_FOUND);
    assert_int_equal(jobs_replay(jobs, &id, &ann, &made, &why), FAIL_NONE);
    struct job_row row = wait_state(&made, JOB_STATE_DONE);
    assert_true(text_id_equal(&row.replay_of, &id));
    AUTO_FREE char *a = output(&id, "report.md");
    AUTO_FREE char *b = output(&made, "report.md");
    assert_string_equal(a, b); /* the same definition, input and time */
}

static void inputs_over_one_piece_come_back_whole(void **state)
{
    (void)state;
    struct fault why;
    size_t n = JOB_PIECE_BYTES + 12345;
    AUTO_FREE char *big = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        big[i] = (char)('a' + i % 26);
    }
    struct program_input in = {"new", "big", "", big, n};
    struct job_new x = {.kind = JOB_PROGRAM, .who = &ann, .workflow = "say", .inputs = &in,
                        .inputs_len = 1};
    struct id id;
    assert_int_equal(jobs_new(jobs, &x, &id, &why), FAIL_NONE);
    struct job_row row = wait_state(&id, JOB_STATE_DONE);
    assert_int_equal(row.inputs[0].bytes, n);
    assert_true(row.outputs[0].bytes > (int64_t)n);
}

static void what_is_wrong_is_refused_before_anything_is_stored(void **state)
{
    (void)state;
    struct fault why;
    struct id id;
    struct program_input in = {"old", "a", "", "x", 1}, path = {"new", "../a", "", "x", 1};
    struct job_new n = {.kind = JOB_PROGRAM, .who = &ann, .workflow = "say", .inputs = &in,
                        .inputs_len = 1};
    assert_int_equal(jobs_new(jobs, &n, &id, &why), FAIL_BAD_REQUEST);
    assert_string_equal(why.param, "inputs");
    n.inputs = &path;
    assert_int_equal(jobs_new(jobs, &n, &id, &why), FAIL_BAD_REQUEST);
    n.inputs = &in;
    n.workflow = "none";
    assert_int_equal(jobs_new(jobs, &n, &id, &why), FAIL_NOT_FOUND);
    struct program_input lines = {"items", "", "", "{\"text\":\"a\"}\n{\"txt\":1}\n", 23};
    struct job_new b = {.kind = JOB_BATCH, .who = &ann, .workflow = "say", .inputs = &lines,
                        .inputs_len = 1};
    assert_int_equal(jobs_new(jobs, &b, &id, &why), FAIL_UNKNOWN_PARAMETER);
    assert_non_null(strstr(why.message, "line 2"));
    assert_int_equal(count("SELECT count(*) FROM job"), 0);
}

static void every_shipped_definition_reads(void **state)
{
    (void)state;
    /* programs.def's own, not this test's */
    struct job_house house = {.loop = loop, .store = home.store, .audit = home.audit, .threads = 1};
    struct jobs *own;
    struct fault why;
    size_t n;
    assert_int_equal(jobs_open(&house, &own, &why), FAIL_NONE);
    assert_int_equal(jobs_start(own, &why), FAIL_NONE);
    const struct program_ops *const *list = jobs_programs(own, &n);
    for (size_t i = 0; i < workflow_shipped_count; i++) {
        const struct workflow_shipped *w = &workflow_shipped[i];
        struct program_definition *d = NULL;
        struct config_faults faults;
        if (!workflow_is_program(w->yaml, w->len)) {
            continue;
        }
        if (program_definition_read(w->yaml, w->len, w->name, list, n, &d, &faults, &why) !=
            FAIL_NONE) {
            fail_msg("%s: %s", w->name, why.message);
        }
        assert_string_equal(d->name, w->name);
        program_definition_unref(d);
    }
    jobs_close(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(a_job_ends_in_one_artifact_with_its_outputs),
        T(what_may_pass_is_tried_again_and_what_cannot_is_not),
        T(a_paused_job_waits_and_a_cancelled_one_ends),
        T(a_deadline_ends_a_run),
        T(a_lease_of_a_dead_process_is_taken_back_at_the_start),
        T(a_stopped_server_gives_its_leases_back),
        T(a_running_job_keeps_its_definition),
        T(a_replay_says_the_same),
        T(inputs_over_one_piece_come_back_whole),
        T(what_is_wrong_is_refused_before_anything_is_stored),
        T(every_shipped_definition_reads),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
