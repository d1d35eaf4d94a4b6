/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of run/states: what was written comes back, and nothing else ever does. */
#include "run/states/states.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem/mem.h"
#include "base/text/text.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const uint8_t key[32] = {1, 2, 3};
static const struct states_key usual = {HEX, HEX, "team/-/internal", HEX};

struct house {
    char home[64];
    struct loop *loop;
    struct states *states;
};

static void start(struct house *h, const uint8_t k[32], int64_t budget)
{
    struct fault why = {0};
    assert_int_equal(loop_new(&h->loop, NULL), FAIL_NONE);
    if (states_open(h->loop, h->home, k, budget, &h->states, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

static void stop(struct house *h)
{
    states_close(h->states);
    loop_stop(h->loop);
    loop_run(h->loop);
    loop_free(h->loop);
}

static int make_home(void **state)
{
    struct house *h = mem_alloc(sizeof(*h));
    (void)snprintf(h->home, sizeof(h->home), "/tmp/states-test-XXXXXX");
    assert_non_null(mkdtemp(h->home));
    *state = h;
    return 0;
}

static int remove_home(void **state)
{
    struct house *h = *state;
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/states", h->home);
    DIR *dir = opendir(path);
    const struct dirent *d;
    while (dir != NULL && (d = readdir(dir)) != NULL) {
        (void)unlinkat(dirfd(dir), d->d_name, 0);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(path);
    (void)rmdir(h->home);
    mem_free(h);
    return 0;
}

static int memory_of(const char *text, size_t n)
{
    int fd = states_memory((int64_t)n);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, text, n, 0), (ssize_t)n);
    return fd;
}

static void put(struct house *h, const struct states_key *k, const char *text)
{
    size_t n = strlen(text);
    assert_true(states_wants(h->states, k, 1, (int64_t)n));
    states_put(h->states, k, 1, memory_of(text, n), (int64_t)n);
}

struct answer {
    bool over;
    int fd;
    int64_t bytes;
    char domain[130];
    struct loop *loop;
};

static void on_got(void *arg, const char *domain, int fd, int64_t bytes)
{
    struct answer *a = arg;
    a->over = true;
    a->fd = fd;
    a->bytes = bytes;
    (void)text_copy(a->domain, sizeof(a->domain), domain);
    loop_stop(a->loop);
}

/* The text that lies under the key, into out; false when it is refused or not there. */
static bool get(struct house *h, const char *model, const char *context, char *out, size_t room)
{
    char names[4][STATES_NAME_SIZE];
    size_t n = states_list(h->states, model, context, names, 4);
    if (n == 0) {
        return false;
    }
    struct answer a = {.fd = -1, .loop = h->loop};
    states_get(h->states, names[0], on_got, &a);
    loop_run(h->loop);
    loop_restart(h->loop);
    assert_true(a.over);
    if (a.fd < 0) {
        return false;
    }
    assert_true(a.bytes < (int64_t)room);
    assert_int_equal(pread(a.fd, out, (size_t)a.bytes, 0), a.bytes);
    out[a.bytes] = '\0';
    /* Sealed: nobody changes it after the check. */
    assert_int_equal(pwrite(a.fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(a.fd, 1), -1);
    assert_string_equal(a.domain, usual.domain);
    close(a.fd);
    return true;
}

static void the_only_file(const struct house *h, char *path, size_t room)
{
    char folder[512];
    (void)snprintf(folder, sizeof(folder), "%s/states", h->home);
    DIR *dir = opendir(folder);
    const struct dirent *d;
    int n = 0;
    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        if (d->d_name[0] != '.') {
            (void)snprintf(path, room, "%s/%s", folder, d->d_name);
            n++;
        }
    }
    closedir(dir);
    assert_int_equal(n, 1);
}

static void what_was_written_comes_back_after_a_restart(void **state)
{
    struct house *h = *state;
    char text[256], path[1024];
    struct stat st;
    start(h, key, 1 << 20);
    put(h, &usual, "the state of a prompt");
    stop(h);
    the_only_file(h, path, sizeof(path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    start(h, key, 1 << 20);
    assert_false(states_wants(h->states, &usual, 1, 21));
    assert_true(states_wants(h->states, &usual, 2, 21)); /* it has more scores now */
    assert_true(get(h, HEX, HEX, text, sizeof(text)));
    assert_string_equal(text, "the state of a prompt");
    stop(h);
}

static void another_model_context_or_key_gets_nothing(void **state)
{
    struct house *h = *state;
    static const uint8_t stolen[32] = {9};
    char text[256];
    struct states_counts c;
    start(h, key, 1 << 20);
    put(h, &usual, "the state of a prompt");
    stop(h);
    start(h, key, 1 << 20);
    assert_false(get(h, OTHER, HEX, text, sizeof(text)));
    assert_false(get(h, HEX, OTHER, text, sizeof(text)));
    struct states_key other = usual;
    other.domain = "another/-/internal";
    assert_true(states_wants(h->states, &other, 1, 21));
    other = usual;
    other.prefix = OTHER;
    assert_true(states_wants(h->states, &other, 1, 21));
    stop(h);
    start(h, stolen, 1 << 20); /* a folder of another server */
    assert_false(get(h, HEX, HEX, text, sizeof(text)));
    states_counts(h->states, &c);
    assert_int_equal(c.refused, 1);
    assert_int_equal(c.files, 0);
    stop(h);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

/* Every bit of every byte of the file, and every length. */
static void a_flipped_bit_anywhere_is_refused(void **state)
{
    struct house *h = *state;
    char path[1024], bytes[1024], text[256];
    start(h, key, 1 << 20);
    put(h, &usual, "short");
    stop(h);
    the_only_file(h, path, sizeof(path));
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, bytes, sizeof(bytes));
    close(fd);
    assert_true(n > 100 && n < (ssize_t)sizeof(bytes));
    int refused = 0;
    for (ssize_t i = 0; i < n; i++) {
        bytes[i] ^= (char)(1 << (i % 8));
        write_file(path, bytes, (size_t)n);
        bytes[i] ^= (char)(1 << (i % 8));
        start(h, key, 1 << 20);
        refused += get(h, HEX, HEX, text, sizeof(text)) ? 0 : 1;
        stop(h);
    }
    assert_int_equal(refused, n);
    for (ssize_t cut = 0; cut < n; cut += 7) {
        write_file(path, bytes, (size_t)cut);
        start(h, key, 1 << 20);
        assert_false(get(h, HEX, HEX, text, sizeof(text)));
        stop(h);
    }
    bytes[n] = 'x';
    write_file(path, bytes, (size_t)n + 1);
    start(h, key, 1 << 20);
    assert_false(get(h, HEX, HEX, text, sizeof(text)));
    stop(h);
    /* The untouched bytes still pass: it was the bits that were refused. */
    write_file(path, bytes, (size_t)n);
    start(h, key, 1 << 20);
    assert_true(get(h, HEX, HEX, text, sizeof(text)));
    stop(h);
}

static void a_file_cannot_stand_in_for_another(void **state)
{
    struct house *h = *state;
    char path[1024], renamed[1100], text[256];
    start(h, key, 1 << 20);
    put(h, &usual, "mine");
    stop(h);
    the_only_file(h, path, sizeof(path));
    (void)snprintf(renamed, sizeof(renamed), "%s/states/%.40s.state", h->home, OTHER);
    assert_int_equal(rename(path, renamed), 0);
    start(h, key, 1 << 20);
    assert_false(get(h, HEX, HEX, text, sizeof(text)));
    assert_int_equal(access(renamed, F_OK), -1);
    stop(h);
}

static void the_budget_lets_the_oldest_go(void **state)
{
    struct house *h = *state;
    char domain[3][32];
    struct states_counts c;
    char *big = mem_alloc(401);
    memset(big, 'b', 400);
    start(h, key, 1000);
    assert_false(states_wants(h->states, &usual, 1, 1001));
    for (int i = 0; i < 3; i++) {
        struct states_key k = usual;
        (void)snprintf(domain[i], sizeof(domain[i]), "team-%d/-/internal", i);
        k.domain = domain[i];
        put(h, &k, big);
        stop(h);
        /* Seconds count: the first was used long ago. */
        if (i == 0) {
            char path[1024];
            struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
            the_only_file(h, path, sizeof(path));
            assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
        }
        start(h, key, 1000);
    }
    states_counts(h->states, &c);
    assert_int_equal(c.files, 2);
    assert_int_equal(c.bytes, 800);
    struct states_key k = usual;
    k.domain = domain[0];
    assert_true(states_wants(h->states, &k, 1, 400));
    k.domain = domain[2];
    assert_false(states_wants(h->states, &k, 1, 400));
    stop(h);
    mem_free(big);
}

/* They are memory until they are written: a worker must not fill the machine with them. */
static void what_waits_to_be_written_is_bounded(void **state)
{
    struct house *h = *state;
    struct states_key other = usual;
    char big[401];
    memset(big, 'b', 400);
    big[400] = '\0';
    other.domain = "another/-/internal";
    start(h, key, 1000);
    assert_false(states_wants(h->states, &usual, 1, 501));
    put(h, &usual, big);
    assert_true(states_wants(h->states, &other, 1, 100));
    assert_false(states_wants(h->states, &other, 1, 101));
    struct states_counts c = {0};
    for (int i = 0; i < 1000 && c.files == 0; i++) { /* written */
        usleep(5000);
        loop_stop(h->loop);
        loop_run(h->loop);
        loop_restart(h->loop);
        states_counts(h->states, &c);
    }
    assert_int_equal(c.files, 1);
    assert_true(states_wants(h->states, &other, 1, 400));
    stop(h);
}

static void what_a_crash_left_is_swept(void **state)
{
    struct house *h = *state;
    char path[1024], text[256];
    start(h, key, 1 << 20);
    put(h, &usual, "whole");
    stop(h);
    (void)snprintf(path, sizeof(path), "%s/states/%.40s.tmp", h->home, OTHER);
    write_file(path, "half a st", 9);
    start(h, key, 1 << 20);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(get(h, HEX, HEX, text, sizeof(text)));
    assert_string_equal(text, "whole");
    stop(h);
}

static void an_answer_to_nobody_is_not_lost(void **state)
{
    struct house *h = *state;
    char names[1][STATES_NAME_SIZE];
    start(h, key, 1 << 20);
    put(h, &usual, "asked for at the end");
    stop(h);
    start(h, key, 1 << 20);
    struct answer a = {.fd = -1, .loop = h->loop};
    assert_int_equal(states_list(h->states, HEX, HEX, names, 1), 1);
    states_get(h->states, names[0], on_got, &a);
    stop(h);
    assert_true(a.over && a.fd >= 0);
    close(a.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_comes_back_after_a_restart, make_home,
                                        remove_home),
        cmocka_unit_test_setup_teardown(another_model_context_or_key_gets_nothing, make_home,
                                        remove_home),
        cmocka_unit_test_setup_teardown(a_flipped_bit_anywhere_is_refused, make_home, remove_home),
        cmocka_unit_test_setup_teardown(a_file_cannot_stand_in_for_another, make_home, remove_home),
        cmocka_unit_test_setup_teardown(the_budget_lets_the_oldest_go, make_home, remove_home),
        cmocka_unit_test_setup_teardown(what_waits_to_be_written_is_bounded, make_home,
                                        remove_home),
        cmocka_unit_test_setup_teardown(what_a_crash_left_is_swept, make_home, remove_home),
        cmocka_unit_test_setup_teardown(an_answer_to_nobody_is_not_lost, make_home, remove_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
