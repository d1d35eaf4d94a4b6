/* SPDX-License-Identifier: Apache-2.0 */
/* kill -9 under load, and a disk that fills up: what was acknowledged is there, all is good. */
#include "base/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem/mem.h"

#define KILLS 40

static const struct store_migration migrations[] = {
    {1, "0001-first", "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)", "aa"},
};
static const struct store_schema schema = {migrations, 1};

static char dir[64];
static char path[96];

static void make_dir(void)
{
    snprintf(dir, sizeof(dir), "/tmp/store-kill-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/data.db", dir);
}

static void drop_dir(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    rmdir(dir);
}

static enum fail insert(struct store_tx *tx, void *arg, struct fault *why)
{
    int64_t id = *(int64_t *)arg;
    char body[600];
    memset(body, (int)(id & 0xff), sizeof(body));
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO t VALUES (?1, ?2)");
    store_bind_int(s, 1, id);
    store_bind_blob(s, 2, body, sizeof(body));
    return store_run(s, why);
}

static int ack_fd;

static void acked(void *arg, enum fail code, const struct fault *why)
{
    (void)why;
    if (code == FAIL_NONE && write(ack_fd, arg, sizeof(int64_t)) != sizeof(int64_t)) {
        _exit(1);
    }
    mem_free(arg);
}

static _Noreturn void child_writes(int64_t next)
{
    struct fault why;
    struct store *s;
    if (store_open(path, &schema, &s, &why) != FAIL_NONE) {
        fprintf(stderr, "child: %s\n", why.message);
        _exit(2);
    }
    for (;;) {
        int64_t *id = mem_dup(&next, sizeof(next));
        if (store_write(s, insert, id, acked, NULL, &why) == FAIL_NONE) {
            next++;
        } else {
            mem_free(id);
            usleep(200);
        }
    }
}

static int64_t check_database(int64_t acknowledged)
{
    struct fault why;
    struct store *s;
    if (store_open(path, &schema, &s, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    int64_t top;
    bool row;
    {
        AUTO_STMT struct store_stmt *q = store_query(r, "PRAGMA integrity_check");
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_string_equal(store_col_text(q, 0), "ok");
        AUTO_STMT struct store_stmt *n =
            store_query(r, "SELECT count(*), coalesce(max(id), 0) FROM t");
        assert_int_equal(store_step(n, &row, &why), FAIL_NONE);
        top = store_col_int(n, 1);
        /* ids are queued in order from 1: no gap, and nothing acknowledged beyond the top */
        assert_int_equal(store_col_int(n, 0), top);
        assert_true(top >= acknowledged);
    }
    store_reader_close(r);
    store_close(s);
    return top;
}

static void kill_loses_nothing_acknowledged(void **state)
{
    (void)state;
    make_dir();
    int64_t top = 0;
    int64_t all_acks = 0;
    for (int round = 0; round < KILLS; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            ack_fd = fds[1];
            child_writes(top + 1);
        }
        close(fds[1]);
        /* Read acknowledgements for a while that differs by round, kill, then drain the pipe. */
        int64_t acknowledged = 0;
        int64_t id;
        for (int i = 0; i < 20 + round * 61; i++) {
            assert_int_equal(read(fds[0], &id, sizeof(id)), sizeof(id));
            acknowledged = id;
        }
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        while (read(fds[0], &id, sizeof(id)) == sizeof(id)) {
            acknowledged = id;
        }
        close(fds[0]);
        all_acks += acknowledged - top;
        top = check_database(acknowledged);
    }
    print_message("%d kills, %lld writes acknowledged, none lost\n", KILLS, (long long)all_acks);
    drop_dir();
}

static enum fail insert_big(struct store_tx *tx, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO t (body) VALUES (zeroblob(?1))");
    store_bind_int(s, 1, *(int64_t *)arg);
    return store_run(s, why);
}

static void a_full_disk_fails_writes_and_leaves_a_good_database(void **state)
{
    (void)state;
    make_dir();
    if (mount("tmpfs", dir, "tmpfs", 0, "size=2m") != 0) {
        rmdir(dir);
        print_message("not allowed to mount a tmpfs: skipped\n");
        skip();
    }
    struct fault why;
    struct store *s;
    assert_int_equal(store_open(path, &schema, &s, &why), FAIL_NONE);
    int64_t size = 100000;
    int kept = 0;
    enum fail f;
    while ((f = store_write_wait(s, insert_big, &size, &why)) == FAIL_NONE && kept < 100) {
        kept++;
    }
    assert_int_equal(f, FAIL_DISK_FULL);
    assert_non_null(strstr(why.message, path));
    assert_true(strlen(why.hint) > 0);
    assert_in_range(kept, 2, 30);
    /* Reading works, and with space again so does writing, without a restart. */
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    {
        AUTO_STMT struct store_stmt *q = store_query(r, "SELECT count(*) FROM t");
        bool row;
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_int_equal(store_col_int(q, 0), kept);
    }
    assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    assert_int_equal(store_write_wait(s, insert_big, &size, &why), FAIL_NONE);
    {
        AUTO_STMT struct store_stmt *q = store_query(r, "PRAGMA integrity_check");
        bool row;
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_string_equal(store_col_text(q, 0), "ok");
    }
    store_reader_close(r);
    store_close(s);
    umount(dir);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kill_loses_nothing_acknowledged),
        cmocka_unit_test(a_full_disk_fails_writes_and_leaves_a_good_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
