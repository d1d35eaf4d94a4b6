/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the store: groups, savepoints, statements, readers, migrations, refusals. */
#include "base/store/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem/mem.h"

static const struct store_migration migrations[] = {
    {1, "0001-first", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, body BLOB, x REAL)",
     "aa"},
    {2, "0002-second", "CREATE TABLE u (id BLOB PRIMARY KEY) WITHOUT ROWID", "bb"},
};
static const struct store_schema schema = {migrations, 2};

static char dir[64];
static char path[96];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/data.db", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
    return rmdir(dir);
}

static struct store *open_store(void)
{
    struct fault why;
    struct store *s;
    if (store_open(path, &schema, &s, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return s;
}

static int64_t count_rows(struct store_conn *c)
{
    struct fault why;
    AUTO_STMT struct store_stmt *s = store_query(c, "SELECT count(*) FROM t");
    bool row;
    assert_int_equal(store_step(s, &row, &why), FAIL_NONE);
    assert_true(row);
    return store_col_int(s, 0);
}

struct job {
    int64_t id;
    enum fail want; /* returned by the write itself */
    enum fail got;
    int *left;
    struct loop *loop;
    pthread_mutex_t *gate; /* held by the test to keep the store busy */
};

static enum fail insert(struct store_tx *tx, void *arg, struct fault *why)
{
    struct job *j = arg;
    if (j->gate != NULL) {
        pthread_mutex_lock(j->gate);
        pthread_mutex_unlock(j->gate);
    }
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO t (id, name) VALUES (?1, ?2)");
    store_bind_int(s, 1, j->id);
    store_bind_text(s, 2, "row");
    enum fail f = store_run(s, why);
    return f != FAIL_NONE ? f : j->want != FAIL_NONE ? FAULT(why, j->want, "wanted") : FAIL_NONE;
}

static void inserted(void *arg, enum fail code, const struct fault *why)
{
    (void)why;
    struct job *j = arg;
    j->got = code;
    if (--*j->left == 0) {
        loop_stop(j->loop);
    }
}

static void writes_that_wait_share_one_commit_and_fail_alone(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    int left = 301;
    struct job jobs[301];
    pthread_mutex_lock(&gate);
    for (int i = 0; i < 301; i++) {
        jobs[i] = (struct job){.id = i, .left = &left, .loop = loop};
        jobs[i].gate = i == 0 ? &gate : NULL;
        jobs[i].want = i == 7 ? FAIL_BLOCKED : FAIL_NONE;
        jobs[i].id = i == 9 ? 8 : i; /* a duplicate key */
        assert_int_equal(store_write(s, insert, &jobs[i], inserted, loop, &why), FAIL_NONE);
    }
    pthread_mutex_unlock(&gate);
    loop_run(loop);
    for (int i = 0; i < 301; i++) {
        assert_int_equal(jobs[i].got, i == 7   ? FAIL_BLOCKED
                                      : i == 9 ? FAIL_CONFLICT
                                               : FAIL_NONE);
    }
    struct store_stats st;
    store_stats(s, &st);
    assert_in_range(st.commits, 2, 5);
    assert_int_equal(st.writes, 299);
    assert_in_range(st.largest_group, 40, STORE_GROUP_MAX);
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    assert_int_equal(count_rows(r), 299);
    store_reader_close(r);
    loop_free(loop);
    store_close(s);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct job *jobs = mem_alloc_array(STORE_QUEUE_MAX + 300, sizeof(*jobs));
    int left = 0;
    int refused = 0;
    pthread_mutex_lock(&gate);
    for (int i = 0; i < STORE_QUEUE_MAX + 300; i++) {
        jobs[i] = (struct job){.id = i, .left = &left, .loop = loop, .gate = &gate};
        if (store_write(s, insert, &jobs[i], inserted, loop, &why) == FAIL_NONE) {
            left++;
        } else {
            assert_int_equal(why.code, FAIL_QUEUE_FULL);
            refused++;
        }
    }
    assert_in_range(refused, 1, 300);
    pthread_mutex_unlock(&gate);
    loop_run(loop);
    mem_free(jobs);
    loop_free(loop);
    store_close(s);
}

static enum fail put_values(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct id *id = arg;
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO t VALUES (?1, ?2, ?3, ?4)");
    store_bind_int(s, 1, INT64_MIN);
    store_bind_textn(s, 2, "a\0b", 3);
    store_bind_id(s, 3, id);
    store_bind_real(s, 4, 0.25);
    enum fail f = store_run(s, why);
    store_bind_int(s, 1, 5);
    store_bind_text(s, 2, NULL);
    store_bind_blob(s, 3, "", 0);
    store_bind_null(s, 4);
    return f != FAIL_NONE ? f : store_run(s, why);
}

static void values_come_back_as_they_went_in(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    struct id id = text_id_new();
    assert_int_equal(store_write_wait(s, put_values, &id, &why), FAIL_NONE);
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    {
        AUTO_STMT struct store_stmt *q = store_query(r, "SELECT * FROM t ORDER BY id");
        bool row;
        struct id back;
        size_t n;
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_true(store_col_int(q, 0) == INT64_MIN);
        assert_true(store_col_id(q, 2, &back) && text_id_equal(&id, &back));
        assert_true(store_col_real(q, 3) == 0.25);
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_true(row && store_col_is_null(q, 1) && store_col_is_null(q, 3));
        assert_string_equal(store_col_text(q, 1), "");
        assert_false(store_col_is_null(q, 2));
        store_col_blob(q, 2, &n);
        assert_int_equal(n, 0);
        assert_false(store_col_id(q, 2, &back));
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_false(row);
    }
    {
        AUTO_STMT struct store_stmt *bad = store_query(r, "SELECT * FROM no_such_table");
        store_bind_int(bad, 1, 1);
        assert_int_equal(store_run(bad, &why), FAIL_INTERNAL);
        AUTO_STMT struct store_stmt *w = store_query(r, "DELETE FROM t");
        assert_int_equal(store_run(w, &why), FAIL_INTERNAL); /* a reader cannot write */
    }
    store_reader_close(r);
    store_close(s);
}

static void a_reader_sees_one_moment_between_begin_and_end(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    assert_int_equal(store_read_begin(r, &why), FAIL_NONE);
    struct job j = {.id = 1};
    assert_int_equal(store_write_wait(s, insert, &j, &why), FAIL_NONE);
    assert_int_equal(count_rows(r), 0);
    store_read_end(r);
    assert_int_equal(count_rows(r), 1);
    store_reader_close(r);
    assert_int_equal(store_truncate_wait(s, &why), FAIL_NONE);
    struct stat st;
    char wal[128];
    snprintf(wal, sizeof(wal), "%s-wal", path);
    assert_int_equal(stat(wal, &st), 0);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    store_close(s);
}

static void a_statement_can_be_used_inside_its_own_loop(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    for (int i = 0; i < 3; i++) {
        struct job j = {.id = i};
        assert_int_equal(store_write_wait(s, insert, &j, &why), FAIL_NONE);
    }
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    static const char sql[] = "SELECT id FROM t ORDER BY id";
    int pairs = 0;
    bool row;
    struct store_stmt *outer = store_query(r, sql);
    while (store_step(outer, &row, &why) == FAIL_NONE && row) {
        AUTO_STMT struct store_stmt *inner = store_query(r, sql);
        while (store_step(inner, &row, &why) == FAIL_NONE && row) {
            pairs++;
        }
    }
    assert_int_equal(pairs, 9);
    store_end(outer);
    store_reader_close(r);
    store_close(s);
}

struct seen {
    int kept, undone, committed, lost;
    enum fail refuse;
};

static enum fail seen_before(struct store_tx *tx, void *arg, struct fault *why)
{
    struct seen *h = arg;
    struct job j = {.id = 1000 + h->kept};
    enum fail f = insert(tx, &j, why);
    return f != FAIL_NONE ? f : h->refuse != FAIL_NONE ? FAULT(why, h->refuse, "no") : FAIL_NONE;
}

static void seen_member(void *arg, bool kept)
{
    struct seen *h = arg;
    h->kept += kept;
    h->undone += !kept;
}

static void seen_end(void *arg, bool committed)
{
    struct seen *h = arg;
    h->committed += committed;
    h->lost += !committed;
}

static void hooks_run_in_the_group_and_can_fail_it(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    struct seen h = {0};
    store_on_commit(s, &(struct store_hooks){&h, seen_before, seen_member, seen_end});
    struct job good = {.id = 1};
    struct job bad = {.id = 2, .want = FAIL_BLOCKED};
    assert_int_equal(store_write_wait(s, insert, &good, &why), FAIL_NONE);
    assert_int_equal(store_write_wait(s, insert, &bad, &why), FAIL_BLOCKED);
    h.refuse = FAIL_DISK_FULL;
    good.id = 3;
    assert_int_equal(store_write_wait(s, insert, &good, &why), FAIL_DISK_FULL);
    assert_int_equal(h.kept, 2);
    assert_int_equal(h.undone, 1);
    assert_int_equal(h.committed, 1);
    assert_int_equal(h.lost, 2);
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    assert_int_equal(count_rows(r), 2);
    store_reader_close(r);
    store_close(s);
}

static void migrations_go_forward_only_and_never_change(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = NULL;
    struct store_schema older = {migrations, 1};
    assert_int_equal(store_open(path, &older, &s, &why), FAIL_NONE);
    store_close(s);
    store_close(open_store()); /* the second is applied */
    assert_int_equal(store_open(path, &older, &s, &why), FAIL_CONFLICT);
    assert_non_null(strstr(why.message, "0002-second"));
    struct store_migration changed[2] = {migrations[0], migrations[1]};
    changed[0].sha256 = "ac";
    struct store_schema other = {changed, 2};
    assert_int_equal(store_open(path, &other, &s, &why), FAIL_CONFLICT);
    assert_non_null(strstr(why.message, "0001-first"));
    struct store_migration more[3] = {
        migrations[0], migrations[1],
        {3, "0003-bad", "CREATE TABLE v (a); CREATE TABLE t (a)", "cc"}};
    struct store_schema bad = {more, 3};
    assert_int_equal(store_open(path, &bad, &s, &why), FAIL_INTERNAL);
    assert_non_null(strstr(why.message, "0003-bad"));
    s = open_store(); /* and nothing of it stayed */
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    {
        AUTO_STMT struct store_stmt *q = store_query(r, "SELECT * FROM v");
        assert_int_equal(store_run(q, &why), FAIL_INTERNAL);
    }
    store_reader_close(r);
    store_close(s);
}

static void a_second_writer_a_stranger_and_a_damaged_file_are_refused(void **state)
{
    (void)state;
    struct fault why;
    struct store *s = open_store();
    struct store *second = NULL;
    assert_int_equal(store_open(path, &schema, &second, &why), FAIL_CONFLICT);
    struct job j = {.id = 1};
    assert_int_equal(store_write_wait(s, insert, &j, &why), FAIL_NONE);
    struct store_conn *c; /* by path, beside the running writer */
    assert_int_equal(store_file_open(path, &c, &why), FAIL_NONE);
    assert_int_equal(count_rows(c), 1);
    store_reader_close(c);
    store_close(s);
    assert_int_equal(store_file_open(path, &c, &why), FAIL_NONE);
    assert_int_equal(count_rows(c), 1);
    store_reader_close(c);
    int fd = open(path, O_WRONLY | O_TRUNC);
    static const char letter[] = "this is no database, it is a letter to a friend, and long enough";
    assert_int_equal(write(fd, letter, sizeof(letter)), sizeof(letter));
    close(fd);
    assert_int_equal(store_open(path, &schema, &s, &why), FAIL_INTERNAL);
    assert_non_null(strstr(why.message, "is not a database"));
    assert_int_equal(store_file_open(path, &c, &why), FAIL_INTERNAL);
    unlink(path);
    assert_int_equal(store_file_open(path, &c, &why), FAIL_NOT_FOUND);
    assert_int_equal(store_open("/nonexistent/x/data.db", &schema, &s, &why), FAIL_INTERNAL);
}

static void the_shipped_migrations_apply(void **state)
{
    (void)state;
    struct fault why;
    struct store *s;
    assert_true(store_schema_data.count > 0);
    if (store_open(path, &store_schema_data, &s, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    store_close(s);
    drop_dir(NULL);
    make_dir(NULL);
    assert_int_equal(store_open(path, &store_schema_keys, &s, &why), FAIL_NONE);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, make_dir, drop_dir)
        T(writes_that_wait_share_one_commit_and_fail_alone),
        T(the_queue_is_bounded),
        T(values_come_back_as_they_went_in),
        T(a_reader_sees_one_moment_between_begin_and_end),
        T(a_statement_can_be_used_inside_its_own_loop),
        T(hooks_run_in_the_group_and_can_fail_it),
        T(migrations_go_forward_only_and_never_change),
        T(a_second_writer_a_stranger_and_a_damaged_file_are_refused),
        T(the_shipped_migrations_apply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
