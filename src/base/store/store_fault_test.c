/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O error loop, as SQLite tests itself: the n-th write, flush or truncation fails, for every
 * n, once and from then on for ever. Whatever was acknowledged is there afterwards, the database is
 * good, and after a failed flush nothing is acknowledged any more.
 */
#include "base/store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "base/mem/mem.h"

/* ---- a file system that fails on demand, over the real one ---- */

enum act { ACT_WRITE, ACT_SYNC, ACT_TRUNCATE };

static struct {
    bool armed;
    bool sticky;
    enum act act;
    int countdown; /* fails at 0 */
    bool fired;
} trap;

struct shim_file {
    sqlite3_file base;
    sqlite3_file *real;
};

static sqlite3_vfs *real_vfs;
static sqlite3_vfs shim_vfs;
static sqlite3_io_methods shim_io;

static bool fails(enum act act)
{
    if (!trap.armed || trap.act != act) {
        return false;
    }
    if (trap.countdown > 0) {
        trap.countdown--;
        return false;
    }
    trap.fired = true;
    trap.armed = trap.sticky;
    return true;
}

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct shim_file *)f)->real;
}

static int shim_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int shim_read(sqlite3_file *f, void *data, int n, sqlite3_int64 at)
{
    return real_of(f)->pMethods->xRead(real_of(f), data, n, at);
}

static int shim_write(sqlite3_file *f, const void *data, int n, sqlite3_int64 at)
{
    if (fails(ACT_WRITE)) {
        /* half of it reaches the disk */
        real_of(f)->pMethods->xWrite(real_of(f), data, n / 2, at);
        return SQLITE_FULL;
    }
    return real_of(f)->pMethods->xWrite(real_of(f), data, n, at);
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    return fails(ACT_TRUNCATE) ? SQLITE_IOERR_TRUNCATE
                               : real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int shim_sync(sqlite3_file *f, int flags)
{
    return fails(ACT_SYNC) ? SQLITE_IOERR_FSYNC : real_of(f)->pMethods->xSync(real_of(f), flags);
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int shim_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int shim_reserved(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int shim_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int shim_device(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    return real_of(f)->pMethods->xShmMap(real_of(f), page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), at, n, flags);
}

static void shim_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int shim_shm_unmap(sqlite3_file *f, int drop)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), drop);
}

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    (void)vfs;
    struct shim_file *s = (struct shim_file *)f;
    s->real = (sqlite3_file *)(s + 1);
    int rc = real_vfs->xOpen(real_vfs, name, s->real, flags, out);
    f->pMethods = s->real->pMethods != NULL ? &shim_io : NULL;
    return rc;
}

static void install_shim(void)
{
    real_vfs = sqlite3_vfs_find(NULL);
    shim_vfs = *real_vfs;
    shim_vfs.zName = "shim";
    shim_vfs.pNext = NULL;
    shim_vfs.szOsFile = (int)sizeof(struct shim_file) + real_vfs->szOsFile;
    shim_vfs.xOpen = shim_open;
    shim_io = (sqlite3_io_methods){.iVersion = 2,
                                   .xClose = shim_close,
                                   .xRead = shim_read,
                                   .xWrite = shim_write,
                                   .xTruncate = shim_truncate,
                                   .xSync = shim_sync,
                                   .xFileSize = shim_size,
                                   .xLock = shim_lock,
                                   .xUnlock = shim_unlock,
                                   .xCheckReservedLock = shim_reserved,
                                   .xFileControl = shim_control,
                                   .xSectorSize = shim_sector,
                                   .xDeviceCharacteristics = shim_device,
                                   .xShmMap = shim_shm_map,
                                   .xShmLock = shim_shm_lock,
                                   .xShmBarrier = shim_shm_barrier,
                                   .xShmUnmap = shim_shm_unmap};
    assert_int_equal(sqlite3_vfs_register(&shim_vfs, 1), SQLITE_OK);
}

/* ---- the loop ---- */

#define WRITES 6

static const struct store_migration migrations[] = {
    {1, "0001-first", "CREATE TABLE t (id INTEGER PRIMARY KEY, body BLOB)", "aa"},
};
static const struct store_schema schema = {migrations, 1};
static char dir[64];
static char path[96];

static enum fail insert(struct store_tx *tx, void *arg, struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(store_tx_conn(tx), "INSERT INTO t VALUES (?1, zeroblob(9000))");
    store_bind_int(s, 1, *(int64_t *)arg);
    return store_run(s, why);
}

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-lock"};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        unlink(name);
    }
}

/* Writes under the trap; true in acked[] for what was acknowledged. */
static void write_under_trap(bool acked[WRITES])
{
    struct fault why;
    struct store *s;
    if (store_open(path, &schema, &s, &why) != FAIL_NONE) {
        assert_true(strlen(why.message) > 0);
        return;
    }
    bool stopped = false;
    for (int64_t i = 0; i < WRITES; i++) {
        enum fail f = store_write_wait(s, insert, &i, &why);
        acked[i] = f == FAIL_NONE;
        assert_false(stopped && acked[i]); /* never an acknowledgement after a failed flush */
        struct store_stats st;
        store_stats(s, &st);
        stopped = st.stopped;
        if (stopped) {
            assert_int_equal(trap.act, ACT_SYNC);
        }
        if (i == WRITES / 2) {
            f = store_truncate_wait(s, &why);
            assert_true(f == FAIL_NONE || trap.fired);
            store_stats(s, &st);
            stopped = st.stopped;
        }
    }
    store_close(s);
}

static void check_afterwards(const bool acked[WRITES])
{
    struct fault why;
    struct store *s;
    if (store_open(path, &schema, &s, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    struct store_conn *r;
    assert_int_equal(store_reader_open(s, &r, &why), FAIL_NONE);
    {
        bool row;
        AUTO_STMT struct store_stmt *q = store_query(r, "PRAGMA integrity_check");
        assert_int_equal(store_step(q, &row, &why), FAIL_NONE);
        assert_string_equal(store_col_text(q, 0), "ok");
        AUTO_STMT struct store_stmt *one = store_query(r, "SELECT id FROM t WHERE id = ?1");
        for (int64_t i = 0; i < WRITES; i++) {
            store_bind_int(one, 1, i);
            assert_int_equal(store_step(one, &row, &why), FAIL_NONE);
            assert_true(row || !acked[i]);
            if (row) {
                assert_int_equal(store_run(one, &why), FAIL_NONE);
            }
        }
    }
    store_reader_close(r);
    int64_t next = 100; /* and it can be written again */
    assert_int_equal(store_write_wait(s, insert, &next, &why), FAIL_NONE);
    store_close(s);
}

static void fail_every(enum act act, bool sticky, const char *name)
{
    int n = 0;
    int refused = 0;
    for (bool fired = true; fired && n < 2000; n++) {
        bool acked[WRITES] = {false};
        trap.act = act;
        trap.sticky = sticky;
        trap.countdown = n;
        trap.fired = false;
        trap.armed = true;
        write_under_trap(acked);
        trap.armed = false;
        fired = trap.fired;
        for (int i = 0; i < WRITES; i++) {
            refused += !acked[i];
        }
        check_afterwards(acked);
        remove_files();
    }
    print_message("%s, %s: %d places, %d writes refused\n", name, sticky ? "for ever" : "once",
                  n - 1, refused);
    assert_in_range(n, 2, 1999);
}

static void every_failing_call_leaves_what_was_acknowledged(void **state)
{
    (void)state;
    /* The faults are ours, so memory does for a disk, and is quicker. */
    snprintf(dir, sizeof(dir), "%s/store-fault-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/data.db", dir);
    install_shim();
    for (int sticky = 0; sticky < 2; sticky++) {
        fail_every(ACT_WRITE, sticky, "write");
        fail_every(ACT_SYNC, sticky, "flush");
        fail_every(ACT_TRUNCATE, sticky, "truncate");
    }
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_call_leaves_what_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
