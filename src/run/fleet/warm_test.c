/* SPDX-License-Identifier: Apache-2.0 */
/* Warm starts against real workers with the fake engine: released prompts come back to the next
   worker of the same model, and nothing else is kept. */
#include "run/fleet/fleet.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json/json.h"
#include "base/log/log.h"

static const uint8_t key[32] = {7};
static char home[64];
static struct loop *loop;
static struct states *states;
static struct fleet *fleet;
static struct form_plan *plan;
static size_t files_wanted;
static int answers;
static enum fail last_code;

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
    uint64_t timer = loop_timer_add(loop, 60000, on_timeout, NULL);
    loop_restart(loop);
    loop_run(loop);
    loop_timer_cancel(loop, timer);
}

static void look_for_files(void *arg)
{
    struct states_counts c;
    states_counts(states, &c);
    if (c.files >= files_wanted) {
        loop_stop(loop);
    } else {
        (void)loop_timer_add(loop, 5, look_for_files, arg);
    }
}

static void look_for_ready(void *arg)
{
    if (fleet_is_ready(fleet, FLEET_LIGHT)) {
        loop_stop(loop);
    } else {
        (void)loop_timer_add(loop, 5, look_for_ready, arg);
    }
}

/* Returns how many states the worker was given. */
static int start(char letter)
{
    static char path[512];
    const char *build = getenv("INHOUSE_BUILD");
    struct fault why;
    char sha[65];
    (void)snprintf(path, sizeof(path), "%s/bin/inhouse-worker", build != NULL ? build : ".");
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    assert_int_equal(states_open(loop, home, key, 1 << 20, &states, &why), FAIL_NONE);
    struct fleet_options o = {.worker_path = path, .engine = "fake", .seal = false, .threads = 1,
                              .n_ctx_light = 2048, .n_ctx_heavy = 2048, .n_seq = 4,
                              .prefix_ram_mb = 16, .states = states,
                              .max_open = 8, .max_waiting = 64};
    if (fleet_new(loop, &o, &fleet, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    memset(sha, letter, 64);
    sha[64] = '\0';
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fleet_load(fleet, FLEET_LIGHT, "fake", sha, fd, &why), FAIL_NONE);
    (void)loop_timer_add(loop, 5, look_for_ready, NULL);
    run();
    struct fleet_model m;
    fleet_model_get(fleet, FLEET_LIGHT, &m);
    return m.warmed;
}

static void stop(void)
{
    fleet_stop(fleet, stop_loop, NULL);
    run();
    states_close(states);
    loop_restart(loop);
    loop_stop(loop);
    loop_run(loop);
    fleet_free(fleet);
    loop_free(loop);
}

static void on_answer(void *arg, const struct fleet_answer *a)
{
    (void)arg;
    answers++;
    last_code = a->code;
    loop_stop(loop);
}

static void ask(const char *domain, const char *prefix, bool released)
{
    struct buf body;
    struct jn_writer w;
    buf_init(&body, IPC_FRAME_MAX);
    jn_begin(&w, &body, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "domain", domain);
    jn_kv_str(&w, "prefix", prefix);
    jn_kv_str(&w, "input", "what a customer wrote");
    jn_kv_bool(&w, "released", released);
    jn_key(&w, "plan");
    form_plan_write(&w, plan);
    jn_object_end(&w);
    struct fleet_ask a = {.role = FLEET_LIGHT, .type = IPC_FORM, .body = body.data,
                          .len = body.len, .plan = plan, .done = on_answer,
                          .released = released ? domain : NULL};
    fleet_ask(fleet, &a);
    run();
    buf_done(&body);
    assert_int_equal(last_code, FAIL_NONE);
}

static void wait_for_files(size_t n)
{
    files_wanted = n;
    (void)loop_timer_add(loop, 0, look_for_files, NULL);
    run();
}

static size_t files(void)
{
    struct states_counts c;
    states_counts(states, &c);
    return c.files;
}

static void released_prompts_come_back_and_no_others(void **state)
{
    (void)state;
    assert_int_equal(start('a'), 0);
    ask("team/-/internal", "The rules of a workflow.", true);
    wait_for_files(1);
    ask("team/-/internal", "Something that a caller wrote.", false);
    ask("team/-/internal", "The rules of a workflow.", true); /* known: nothing is written twice */
    ask("other/-/internal", "The rules of a workflow.", true);
    wait_for_files(2);
    assert_int_equal(files(), 2);
    stop();
    assert_int_equal(start('a'), 2);
    ask("team/-/internal", "The rules of a workflow.", true);
    assert_int_equal(files(), 2);
    stop();
    assert_int_equal(start('b'), 0); /* another model */
    stop();
}

/* No byte of an input is in any file. */
static void inputs_are_never_written(void **state)
{
    (void)state;
    char path[512], bytes[65536];
    (void)snprintf(path, sizeof(path), "%s/states", home);
    DIR *dir = opendir(path);
    const struct dirent *d;
    int seen = 0;
    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        int fd = d->d_name[0] == '.' ? -1 : openat(dirfd(dir), d->d_name, O_RDONLY);
        if (fd < 0) {
            continue;
        }
        ssize_t n = read(fd, bytes, sizeof(bytes));
        close(fd);
        assert_true(n > 0);
        assert_non_null(memmem(bytes, (size_t)n, "The rules of", 12));
        assert_null(memmem(bytes, (size_t)n, "customer wrote", 14));
        assert_null(memmem(bytes, (size_t)n, "caller wrote", 12));
        seen++;
    }
    closedir(dir);
    assert_int_equal(seen, 2);
}

static void a_damaged_file_only_costs_warmth(void **state)
{
    (void)state;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/states", home);
    DIR *dir = opendir(path);
    const struct dirent *d;
    bool done = false;
    while (!done && (d = readdir(dir)) != NULL) {
        int fd = d->d_name[0] == '.' ? -1 : openat(dirfd(dir), d->d_name, O_RDWR);
        if (fd >= 0) {
            char c = 0;
            off_t at = lseek(fd, -40, SEEK_END);
            assert_int_equal(pread(fd, &c, 1, at), 1);
            c ^= 1;
            assert_int_equal(pwrite(fd, &c, 1, at), 1);
            close(fd);
            done = true;
        }
    }
    closedir(dir);
    assert_int_equal(start('a'), 1);
    assert_int_equal(files(), 1);
    ask("team/-/internal", "The rules of a workflow.", true);
    ask("other/-/internal", "The rules of a workflow.", true);
    wait_for_files(2);
    stop();
}

static int make_home(void **state)
{
    (void)state;
    static const char *const labels[] = {"a", "b"};
    const struct form_piece piece = {.kind = FORM_CHOICE, .name = "q", .labels = labels,
                                     .n_labels = 2};
    (void)snprintf(home, sizeof(home), "/tmp/warm-test-XXXXXX");
    log_set_level(LOG_LEVEL_ERROR + 1);
    plan = form_plan_new();
    return mkdtemp(home) != NULL && form_plan_add(plan, &piece, NULL) == FAIL_NONE ? 0 : -1;
}

static int remove_home(void **state)
{
    (void)state;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/states", home);
    DIR *dir = opendir(path);
    const struct dirent *d;
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        (void)unlinkat(dirfd(dir), d->d_name, 0);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(path);
    (void)rmdir(home);
    form_plan_free(plan);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(released_prompts_come_back_and_no_others),
        cmocka_unit_test(inputs_are_never_written),
        cmocka_unit_test(a_damaged_file_only_costs_warmth),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
