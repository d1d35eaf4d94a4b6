/* SPDX-License-Identifier: Apache-2.0 */
/* The roster over real workers with the fake engine: roles, loading on demand, room by least
   recent use, pins, and that nothing that works is ever unloaded. */
#include "run/roster/roster.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log/log.h"

#define MIB (INT64_C(1) << 20)

static struct loop *loop;
static struct pool *pool;
static struct fleet *fleet;
static struct roster *roster;
static int left;
static int failed;
static char said[512];
static uint32_t last_model;

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

static void pause_ms(int64_t ms)
{
    loop_timer_add(loop, ms, stop_loop, NULL);
    run();
}

static void fleet_changed(void *arg)
{
    (void)arg;
    roster_fleet_changed(roster);
}

static void scanned(void *arg, int loading, const struct fault *why)
{
    (void)arg;
    (void)loading;
    (void)why;
    loop_stop(loop);
}

/* Roles take 16 + 64 + 256 MiB; each of fake-a, -b, -c wants 100. */
static void open_house_of(const char *engine, const char *home, int64_t mib, bool on_demand)
{
    static char path[512];
    struct fault why;
    const char *build = getenv("INHOUSE_BUILD");
    snprintf(path, sizeof(path), "%s/bin/inhouse-worker", build != NULL ? build : ".");
    struct fleet_options o = {.worker_path = path, .engine = "fake", .seal = false, .threads = 1,
                              .n_ctx_light = 2048, .n_ctx_heavy = 2048, .n_seq = 4,
                              .max_open = 8, .max_waiting = 64};
    log_set_level(LOG_LEVEL_ERROR + 1);
    left = failed = 0;
    said[0] = '\0';
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    pool = pool_new(1, 64);
    if (fleet_new(loop, &o, &fleet, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    struct roster_options r = {.loop = loop, .crunch = pool, .fleet = fleet, .home = home,
                               .engine = engine, .memory_bytes = mib * MIB,
                               .n_ctx_light = 2048, .n_ctx_heavy = 2048,
                               .on_demand = on_demand};
    assert_int_equal(roster_new(&r, &roster, &why), FAIL_NONE);
    fleet_on_change(fleet, fleet_changed, NULL);
    roster_scan(roster, scanned, NULL);
    run();
}

static void open_house(int64_t mib, bool on_demand)
{
    open_house_of("fake", "", mib, on_demand);
}

static int start(void **state)
{
    (void)state;
    open_house(336 + 250, true); /* the roles, and two of the three others */
    return 0;
}

static int start_small(void **state)
{
    (void)state;
    open_house(336 + 50, true);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    fleet_stop(fleet, stop_loop, NULL);
    run();
    pool_free(pool);
    roster_free(roster);
    fleet_free(fleet);
    loop_free(loop);
    return 0;
}

static void on_ready(void *arg, uint32_t model, const struct fault *why)
{
    (void)arg;
    failed += why != NULL ? 1 : 0;
    last_model = model;
    if (why != NULL) {
        snprintf(said, sizeof(said), "%s", why->message);
    }
    if (--left == 0) {
        loop_stop(loop);
    }
}

static void load(const char *name)
{
    left++;
    (void)roster_want(roster, name, false, on_ready, NULL);
    run();
}

static enum roster_state state_of(const char *name)
{
    struct roster_model m;
    assert_true(roster_find(roster, name, &m));
    return m.state;
}

static void on_answer(void *arg, const struct fleet_answer *a)
{
    (void)arg;
    failed += a->code != FAIL_NONE ? 1 : 0;
    if (--left == 0) {
        loop_stop(loop);
    }
}

static void ask(uint32_t model, const char *text)
{
    char body[256];
    snprintf(body, sizeof(body),
             "{\"domain\":\"t\",\"prompt\":\"%s\",\"max_tokens\":8}", text);
    struct fleet_ask a = {.model = model, .type = IPC_GENERATE, .body = body,
                          .len = strlen(body), .done = on_answer};
    left++;
    fleet_ask(fleet, &a);
}

static void roles_are_served_and_the_rest_is_stored(void **state)
{
    (void)state;
    load("light");
    load("embed");
    load("heavy");
    assert_int_equal(failed, 0);
    assert_true(fleet_is_ready(fleet, FLEET_LIGHT) && fleet_is_ready(fleet, FLEET_EMBED));
    assert_int_equal(state_of("fake-light"), ROSTER_READY);
    assert_int_equal(state_of("fake-a"), ROSTER_STORED);
    struct roster_model m;
    assert_true(roster_find(roster, "light", &m));
    assert_string_equal(m.entry.name, "fake-light");
    assert_true(m.pinned && m.pinned_by_role);
    assert_int_equal(roster_memory_used(roster), 336 * MIB);
}

static void the_least_recently_used_makes_room(void **state)
{
    (void)state;
    load("fake-a");
    uint32_t a = last_model;
    load("fake-b");
    assert_int_equal(failed, 0);
    pause_ms(600); /* both idle now */
    ask(a, "again");
    run(); /* a was used after b */
    pause_ms(600);
    load("fake-c");
    assert_int_equal(failed, 0);
    assert_int_equal(state_of("fake-a"), ROSTER_READY);
    assert_int_equal(state_of("fake-b"), ROSTER_STORED);
    assert_int_equal(state_of("fake-c"), ROSTER_READY);
    assert_true(roster_memory_used(roster) <= roster_memory(roster));
}

static void a_pinned_model_stays(void **state)
{
    struct fault why;
    (void)state;
    load("fake-a");
    load("fake-b");
    assert_int_equal(roster_pin(roster, "fake-a", true, &why), FAIL_NONE);
    pause_ms(600);
    load("fake-c"); /* a is older, but pinned */
    assert_int_equal(failed, 0);
    assert_int_equal(state_of("fake-a"), ROSTER_READY);
    assert_int_equal(state_of("fake-b"), ROSTER_STORED);
    assert_int_equal(roster_pin(roster, "fake-c", true, &why), FAIL_NONE);
    load("fake-b"); /* now nothing may go */
    assert_int_equal(failed, 1);
    assert_non_null(strstr(said, "fake-b needs 100 MiB"));
    assert_non_null(strstr(said, "fake-a 100 pinned"));
    assert_int_equal(state_of("fake-b"), ROSTER_STORED);
    assert_int_equal(roster_pin(roster, "fake-c", false, &why), FAIL_NONE);
    failed = 0;
    pause_ms(600);
    load("fake-b");
    assert_int_equal(failed, 0);
    assert_int_equal(state_of("fake-c"), ROSTER_STORED);
}

static void pin_a(void *arg)
{
    struct fault why;
    (void)arg;
    assert_true(roster_is_scanning(roster));
    assert_int_equal(roster_pin(roster, "fake-a", true, &why), FAIL_NONE);
}

static void a_pin_survives_a_scan_that_was_under_way(void **state)
{
    struct roster_model m;
    (void)state;
    roster_scan(roster, scanned, NULL);
    loop_post(loop, pin_a, NULL); /* after it has begun */
    run();
    assert_true(roster_find(roster, "fake-a", &m));
    assert_true(m.pinned);
}

static void what_cannot_fit_is_said_at_once(void **state)
{
    (void)state;
    load("light");
    load("embed");
    load("heavy");
    load("fake-a");
    assert_int_equal(failed, 1);
    assert_non_null(strstr(said, "does not fit into the 386 MiB"));
    assert_int_equal(state_of("heavy"), ROSTER_READY);
}

/* All places but one are taken beside the roster; of the models that are left, one has it. */
static void an_idle_model_gives_its_place_though_memory_is_left(void **state)
{
    struct fault why;
    uint32_t ids[2 * FLEET_MODELS_MAX];
    (void)state;
    load("light");
    load("embed");
    load("heavy");
    load("fake-a");
    while (fleet_ids(fleet, ids) < FLEET_MODELS_MAX) {
        uint32_t id;
        struct fleet_loading other = {.name = "beside", .sha256 = "", .kind = FLEET_KIND_GENERATE,
                                      .fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
                                      .n_ctx = 256};
        assert_int_equal(fleet_open(fleet, &other, &id, &why), FAIL_NONE);
    }
    pause_ms(600);
    load("fake-b");
    assert_string_equal(said, "");
    assert_int_equal(state_of("fake-a"), ROSTER_STORED);
    assert_int_equal(state_of("fake-b"), ROSTER_READY);
    assert_int_equal(roster_pin(roster, "fake-b", true, &why), FAIL_NONE);
    load("fake-a");
    assert_int_equal(failed, 1);
    assert_non_null(strstr(said, "16 models are loaded"));
}

/* ---- with files ---- */

/* The small sound file of the fuzzer's corpus, its last weight set to `last`. */
static void put_model(const char *home, const char *name, char last, char *path, size_t room)
{
    char from[512], bytes[4096];
    const char *source = getenv("INHOUSE_SOURCE");
    snprintf(from, sizeof(from), "%s/tests/fuzz/corpus/gguf_fuzz/llama.gguf",
             source != NULL ? source : ".");
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_true(n > 0);
    bytes[n - 1] = last;
    snprintf(path, room, "%s/%s.gguf", home, name);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, (size_t)n), n);
    close(fd);
}

static bool is_open_here(const char *sha256)
{
    bool found = false;
    for (int fd = 3; fd < 256; fd++) {
        char link[64], path[1024];
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof(path) - 1);
        path[n > 0 ? n : 0] = '\0';
        const char *name = strrchr(path, '/'); /* not its manifest, whose name has the hash in it */
        found = found || (name != NULL && strcmp(name + 1, sha256) == 0);
    }
    return found;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void a_release_adopted_while_a_model_waits_is_the_one_served(void **state)
{
    char home[] = "/tmp/roster-test-XXXXXX", path[512];
    struct fault why;
    struct models *m = NULL;
    struct models_entry before, after;
    struct models_release release = {.run = {.gpu_layers = -1}};
    struct fleet_model served;
    (void)state;
    assert_non_null(mkdtemp(home));
    assert_int_equal(models_open(home, &m, &why), FAIL_NONE);
    put_model(home, "x", 'x', path, sizeof(path));
    struct models_add add = {.path = path, .role = "other"};
    assert_int_equal(models_add(m, &add, NULL, NULL, &before, &why), FAIL_NONE);
    put_model(home, "m", 'm', path, sizeof(path));
    assert_int_equal(models_add(m, &add, NULL, NULL, &before, &why), FAIL_NONE);
    put_model(home, "n", 'n', path, sizeof(path));
    assert_int_equal(models_propose(m, "m", path, &release, &why), FAIL_NONE);
    open_house_of("llama", home, 1 << 20, true);
    for (int i = 1; i < FLEET_MODELS_MAX; i++) { /* all places but one */
        uint32_t id;
        struct fleet_loading other = {.name = "beside", .sha256 = "", .kind = FLEET_KIND_GENERATE,
                                      .fd = open("/dev/null", O_RDONLY | O_CLOEXEC),
                                      .n_ctx = 256};
        assert_int_equal(fleet_open(fleet, &other, &id, &why), FAIL_NONE);
    }
    load("x");
    assert_string_equal(said, "");
    left = 1;
    (void)roster_want(roster, "m", false, on_ready, NULL);
    for (int i = 0; i < 100 && !is_open_here(before.sha256); i++) {
        pause_ms(5); /* until the file is hashed and open */
    }
    assert_true(is_open_here(before.sha256));
    pause_ms(5);
    assert_int_equal(state_of("m"), ROSTER_WAITING); /* x was asked for just now */
    assert_int_equal(models_adopt(m, "m", false, NULL, &after, &why), FAIL_NONE);
    models_close(m);
    roster_scan(roster, scanned, NULL);
    while (left > 0) {
        run();
    }
    assert_string_equal(said, "");
    assert_true(fleet_model_find(fleet, last_model, &served));
    assert_string_equal(served.sha256, after.active.sha256);
    assert_true(is_open_here(after.active.sha256));
    while (roster_is_scanning(roster)) {
        pause_ms(5); /* a scan reads the header of every stored file */
    }
    assert_false(is_open_here(before.sha256));
    assert_int_equal(stop(NULL), 0);
    (void)nftw(home, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- what is busy ---- */

static void a_busy_model_is_waited_for_and_never_cut(void **state)
{
    (void)state;
    load("fake-a");
    uint32_t a = last_model;
    load("fake-b");
    uint32_t b = last_model;
    pause_ms(600);
    for (int i = 0; i < 4; i++) {
        ask(a, "%%slow:1200%%");
        ask(b, "%%slow:1500%%");
    }
    left++;
    (void)roster_want(roster, "fake-c", false, on_ready, NULL); /* among them */
    run();
    assert_int_equal(failed, 0); /* eight answers and one model */
    assert_int_equal(state_of("fake-c"), ROSTER_READY);
    assert_int_equal(state_of("fake-a") == ROSTER_READY, state_of("fake-b") != ROSTER_READY);
}

static void an_unpinned_role_model_makes_room_and_comes_back(void **state)
{
    struct fault why;
    (void)state;
    load("light");
    load("embed");
    load("heavy");
    assert_int_equal(roster_pin(roster, "heavy", false, &why), FAIL_NONE);
    pause_ms(600);
    load("fake-a"); /* the small house: only heavy can go */
    assert_int_equal(failed, 0);
    assert_false(fleet_is_serving(fleet, FLEET_HEAVY));
    pause_ms(600);
    load("heavy");
    assert_int_equal(failed, 0);
    assert_true(fleet_is_ready(fleet, FLEET_HEAVY));
    assert_int_equal(state_of("fake-a"), ROSTER_STORED);
}

static void unknown_and_unloaded_names_are_said_so(void **state)
{
    struct fault why;
    (void)state;
    load("no-such");
    assert_int_equal(failed, 1);
    assert_int_equal(roster_unload(roster, "no-such", &why), FAIL_NOT_FOUND);
    assert_int_equal(roster_unload(roster, "fake-a", &why), FAIL_CONFLICT);
    load("fake-a");
    assert_int_equal(roster_unload(roster, "fake-a", &why), FAIL_NONE);
    pause_ms(300);
    assert_int_equal(state_of("fake-a"), ROSTER_STORED);
}

static void a_want_that_is_forgotten_is_never_told(void **state)
{
    (void)state;
    left = 1;
    uint64_t id = roster_want(roster, "fake-a", false, on_ready, NULL);
    roster_forget(roster, id);
    roster_forget(roster, id);
    pause_ms(500);
    assert_int_equal(left, 1);
    left = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(roles_are_served_and_the_rest_is_stored, start, stop),
        cmocka_unit_test_setup_teardown(the_least_recently_used_makes_room, start, stop),
        cmocka_unit_test_setup_teardown(a_pinned_model_stays, start, stop),
        cmocka_unit_test_setup_teardown(a_pin_survives_a_scan_that_was_under_way, start, stop),
        cmocka_unit_test_setup_teardown(what_cannot_fit_is_said_at_once, start_small, stop),
        cmocka_unit_test_setup_teardown(an_idle_model_gives_its_place_though_memory_is_left,
                                        start, stop),
        cmocka_unit_test(a_release_adopted_while_a_model_waits_is_the_one_served),
        cmocka_unit_test_setup_teardown(a_busy_model_is_waited_for_and_never_cut, start, stop),
        cmocka_unit_test_setup_teardown(an_unpinned_role_model_makes_room_and_comes_back,
                                        start_small, stop),
        cmocka_unit_test_setup_teardown(unknown_and_unloaded_names_are_said_so, start, stop),
        cmocka_unit_test_setup_teardown(a_want_that_is_forgotten_is_never_told, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
