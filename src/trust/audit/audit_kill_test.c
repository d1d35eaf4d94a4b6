/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 of a process that records: every acknowledged leaf is there, and the log verifies. */
#include "trust/audit/audit.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define KILLS 25
#define IN_FLIGHT 64

static char dir[64];
static int ack_fd;
static struct store *store;
static struct audit *audit;

struct job {
    int64_t seq;
};

static enum fail append(struct store_tx *tx, void *arg, struct fault *why)
{
    struct job *j = arg;
    struct audit_leaf leaf = {.kind = AUDIT_KIND_ANSWERED,
                              .actor = "desk",
                              .team = "support",
                              .output = "an answer",
                              .output_len = 9};
    return audit_append(tx, audit, &leaf, &j->seq, NULL, why);
}

/* On the store thread, after the commit: tells the parent, then asks for the next one. */
static void acked(void *arg, enum fail code, const struct fault *why)
{
    (void)why;
    struct job *j = arg;
    struct fault f;
    if (code != FAIL_NONE || write(ack_fd, &j->seq, sizeof(j->seq)) != sizeof(j->seq) ||
        store_write(store, append, j, acked, NULL, &f) != FAIL_NONE) {
        _exit(3);
    }
}

static _Noreturn void record_until_killed(void)
{
    struct fault why;
    char path[96];
    struct keyring_master *master;
    snprintf(path, sizeof(path), "%s/data.db", dir);
    if (keyring_master_open(dir, &master, &why) != FAIL_NONE ||
        store_open(path, &store_schema_data, &store, &why) != FAIL_NONE ||
        audit_open(dir, store, master, &audit, &why) != FAIL_NONE) {
        fprintf(stderr, "child: %s\n", why.message);
        _exit(2);
    }
    static struct job jobs[IN_FLIGHT];
    for (int i = 0; i < IN_FLIGHT; i++) {
        if (store_write(store, append, &jobs[i], acked, NULL, &why) != FAIL_NONE) {
            _exit(2);
        }
    }
    for (;;) {
        pause();
    }
}

static void no_acknowledged_record_is_lost(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/audit-kill-XXXXXX");
    assert_non_null(mkdtemp(dir));
    int64_t top = -1;
    for (int round = 0; round < KILLS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            ack_fd = fds[1];
            record_until_killed();
        }
        close(fds[1]);
        int64_t seq;
        for (int i = 0; i < 10 + round * 37; i++) {
            assert_int_equal(read(fds[0], &seq, sizeof(seq)), sizeof(seq));
            top = seq > top ? seq : top;
        }
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(fds[0], &seq, sizeof(seq)) == sizeof(seq)) {
            top = seq > top ? seq : top;
        }
        close(fds[0]);
        struct fault why;
        struct audit_report r;
        struct audit_verify_options o = {.home = dir};
        assert_int_equal(audit_verify(&o, &r, &why), FAIL_NONE);
        if (!r.ok) {
            fail_msg("after kill %d: %s", round, r.findings[0].text);
        }
        assert_true(r.leaves > top);
    }
    print_message("%d kills, %lld leaves acknowledged, all there\n", KILLS, (long long)top + 1);
    static const char *const names[] = {"data.db",      "data.db-wal", "data.db-shm",
                                        "data.db-lock", "keys.db",     "keys.db-wal",
                                        "keys.db-shm",  "keys.db-lock", "master.key"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s/%s", dir, names[i]);
        unlink(name);
    }
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_acknowledged_record_is_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
