/* SPDX-License-Identifier: Apache-2.0 */
/* Tampering with a log in every way we know: always found, and the position is named. */
#include "trust/audit/audit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "trust/audit/audit_internal.h"

static char dir[64];
static char path[96];
static sqlite3 *db; /* the tamperer's own hands */
static struct audit_report report;
static char vkey[AUDIT_VKEY_SIZE];

struct ctx {
    struct audit *log;
};

static enum fail append(struct store_tx *tx, void *arg, struct fault *why)
{
    struct ctx *c = arg;
    struct audit_leaf leaf = {.kind = AUDIT_KIND_ANSWERED,
                              .actor = "local:0",
                              .team = "default",
                              .task = "tsk_x",
                              .rung = "reuse",
                              .input = "hello",
                              .input_len = 5};
    return audit_append(tx, c->log, &leaf, NULL, NULL, why);
}

static void grow(int leaves)
{
    struct fault why;
    struct store *store;
    struct keyring_master *master;
    struct ctx c;
    assert_int_equal(keyring_master_open(dir, &master, &why), FAIL_NONE);
    assert_int_equal(store_open(path, &store_schema_data, &store, &why), FAIL_NONE);
    assert_int_equal(audit_open(dir, store, master, &c.log, &why), FAIL_NONE);
    for (int i = 0; i < leaves; i++) {
        assert_int_equal(store_write_wait(store, append, &c, &why), FAIL_NONE);
    }
    text_copy(vkey, sizeof(vkey), audit_vkey(c.log));
    store_close(store);
    audit_close(c.log);
    keyring_master_close(master);
}

static int make_log(int leaves)
{
    snprintf(dir, sizeof(dir), "/tmp/verify-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/data.db", dir);
    grow(leaves);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    return 0;
}

static int make_small(void **state)
{
    (void)state;
    return make_log(4);
}

static int make_long(void **state)
{
    (void)state;
    return make_log(200);
}

static int drop(void **state)
{
    (void)state;
    sqlite3_close(db);
    static const char *const names[] = {"data.db",      "data.db-wal", "data.db-shm",
                                        "data.db-lock", "keys.db",     "keys.db-wal",
                                        "keys.db-shm",  "keys.db-lock", "master.key"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char name[128];
        snprintf(name, sizeof(name), "%s/%s", dir, names[i]);
        unlink(name);
    }
    return rmdir(dir);
}

static void sql(const char *text)
{
    char *message = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", text, message);
    }
}

static bool verify_with(const char *key, const char *note)
{
    struct fault why;
    struct audit_verify_options o = {.home = dir, .vkey = key, .known_note = note};
    if (audit_verify(&o, &report, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    assert_true(report.ok == (report.findings_len == 0));
    return report.ok;
}

static bool verify(void)
{
    return verify_with(NULL, NULL);
}

static void expect(enum audit_finding_kind kind, int64_t first, int64_t last)
{
    assert_false(verify());
    if (report.findings[0].kind != kind || report.findings[0].first != first ||
        report.findings[0].last != last) {
        fail_msg("found instead: %s", report.findings[0].text);
    }
}

/* Flips one bit of each byte of a column in turn and gives each to `check`. */
static int flip_all(const char *table, const char *column, const char *key,
                    void (*check)(int64_t key))
{
    char select[160], update[160];
    snprintf(select, sizeof(select), "SELECT %s, CAST(%s AS BLOB) FROM %s", key, column, table);
    snprintf(update, sizeof(update),
             strcmp(column, "note") == 0 ? "UPDATE %s SET %s = CAST(?2 AS TEXT) WHERE %s = ?1"
                                         : "UPDATE %s SET %s = ?2 WHERE %s = ?1",
             table, column, key);
    int64_t keys[16];
    uint8_t data[16][4096];
    int len[16];
    int rows = 0;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(db, select, -1, &s, NULL), SQLITE_OK);
    while (sqlite3_step(s) == SQLITE_ROW) {
        keys[rows] = sqlite3_column_int64(s, 0);
        len[rows] = sqlite3_column_bytes(s, 1);
        memcpy(data[rows], sqlite3_column_blob(s, 1), (size_t)len[rows]);
        rows++;
    }
    sqlite3_finalize(s);
    int flips = 0;
    assert_int_equal(sqlite3_prepare_v2(db, update, -1, &s, NULL), SQLITE_OK);
    for (int r = 0; r < rows; r++) {
        for (int i = 0; i <= len[r]; i++) {
            if (i < len[r]) {
                data[r][i] ^= (uint8_t)(1 << (i % 7));
            }
            sqlite3_bind_int64(s, 1, keys[r]);
            sqlite3_bind_blob(s, 2, data[r], len[r], SQLITE_STATIC);
            assert_int_equal(sqlite3_step(s), SQLITE_DONE);
            sqlite3_reset(s);
            if (i < len[r]) {
                check(keys[r]);
                data[r][i] ^= (uint8_t)(1 << (i % 7));
                flips++;
            }
        }
    }
    sqlite3_finalize(s);
    assert_true(verify());
    return flips;
}

static void names_the_leaf(int64_t seq)
{
    expect(AUDIT_FINDING_LEAF_CHANGED, seq, seq);
}

static void is_found(int64_t key)
{
    (void)key;
    assert_false(verify());
}

static void every_flipped_byte_is_found(void **state)
{
    (void)state;
    assert_true(verify());
    int n = flip_all("leaf", "body", "seq", names_the_leaf);
    n += flip_all("leaf", "hash", "seq", names_the_leaf);
    n += flip_all("checkpoint", "root", "size", is_found);
    n += flip_all("checkpoint", "note", "size", is_found);
    n += flip_all("tree_edge", "hashes", "id", is_found);
    print_message("%d bytes flipped, %d found\n", n, n);
}

static void numbers_that_move_are_found(void **state)
{
    (void)state;
    static const char *const acts[] = {
        "UPDATE leaf SET seq = 9 WHERE seq = 3",     "UPDATE leaf SET seq = -1 WHERE seq = 0",
        "UPDATE checkpoint SET size = 3",            "UPDATE checkpoint SET size = 5",
        "UPDATE tree_edge SET size = 5",             "DELETE FROM tree_edge",
        "DELETE FROM checkpoint",                    "DELETE FROM leaf",
        "INSERT INTO leaf SELECT 4, body, hash FROM leaf WHERE seq = 3",
        "UPDATE leaf SET hash = x'00' WHERE seq = 1", "UPDATE leaf SET body = x'' WHERE seq = 1",
    };
    for (size_t i = 0; i < COUNT_OF(acts); i++) {
        sql("BEGIN; CREATE TEMP TABLE l AS SELECT * FROM leaf; "
            "CREATE TEMP TABLE c AS SELECT * FROM checkpoint; "
            "CREATE TEMP TABLE e AS SELECT * FROM tree_edge; COMMIT");
        sql(acts[i]);
        if (verify()) {
            fail_msg("not found: %s", acts[i]);
        }
        sql("BEGIN; DELETE FROM leaf; INSERT INTO leaf SELECT * FROM l; DELETE FROM checkpoint; "
            "INSERT INTO checkpoint SELECT * FROM c; DELETE FROM tree_edge; INSERT INTO tree_edge "
            "SELECT * FROM e; COMMIT; DROP TABLE l; DROP TABLE c; DROP TABLE e");
        assert_true(verify());
    }
}

/* A new body with the right hash, number and form: only the tree can tell. */
static void rewrite(int64_t seq)
{
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT body FROM leaf WHERE seq = ?1", -1, &s, NULL),
                     SQLITE_OK);
    sqlite3_bind_int64(s, 1, seq);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    char body[AUDIT_LEAF_MAX];
    int n = sqlite3_column_bytes(s, 0);
    memcpy(body, sqlite3_column_blob(s, 0), (size_t)n);
    sqlite3_finalize(s);
    char *rung = memmem(body, (size_t)n, "reuse", 5);
    assert_non_null(rung);
    memcpy(rung, "light", 5);
    uint8_t hash[32];
    audit_leaf_hash(body, (size_t)n, hash);
    assert_int_equal(sqlite3_prepare_v2(db, "UPDATE leaf SET body = ?2, hash = ?3 WHERE seq = ?1",
                                        -1, &s, NULL),
                     SQLITE_OK);
    sqlite3_bind_int64(s, 1, seq);
    sqlite3_bind_blob(s, 2, body, n, SQLITE_STATIC);
    sqlite3_bind_blob(s, 3, hash, 32, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(s), SQLITE_DONE);
    sqlite3_finalize(s);
}

static void a_rewritten_leaf_is_found_within_its_stride(void **state)
{
    (void)state;
    assert_true(verify());
    assert_int_equal(report.checkpoints, 4); /* 63, 127, 191, 200 */
    rewrite(17);
    expect(AUDIT_FINDING_REWRITTEN, 0, 62);
    assert_int_equal(report.findings_len, 1);
}

static void a_later_rewritten_leaf_is_found_within_its_stride(void **state)
{
    (void)state;
    rewrite(100);
    expect(AUDIT_FINDING_REWRITTEN, 63, 126);
    sql("DELETE FROM leaf WHERE seq = 20");
    expect(AUDIT_FINDING_LEAF_MISSING, 20, 20);
}

static void missing_moved_and_changed_leaves_are_named(void **state)
{
    (void)state;
    sql("UPDATE leaf SET body = CAST('x' AS BLOB) WHERE seq = 150");
    expect(AUDIT_FINDING_LEAF_CHANGED, 150, 150);
    assert_int_equal(report.findings_len, 1);
    sql("CREATE TEMP TABLE a AS SELECT * FROM leaf WHERE seq IN (30, 40); "
        "UPDATE leaf SET body = (SELECT body FROM a WHERE a.seq = 70 - leaf.seq), "
        "hash = (SELECT hash FROM a WHERE a.seq = 70 - leaf.seq) WHERE seq IN (30, 40)");
    expect(AUDIT_FINDING_LEAF_MOVED, 30, 30);
    assert_int_equal(report.findings[1].first, 40);
    sql("DELETE FROM leaf WHERE seq BETWEEN 5 AND 9");
    expect(AUDIT_FINDING_LEAF_MISSING, 5, 9);
}

static void a_tail_cut_off_is_found(void **state)
{
    (void)state;
    char note[AUDIT_NOTE_MAX];
    struct fault why;
    struct store_conn *c;
    struct buf b;
    buf_init(&b, AUDIT_NOTE_MAX);
    assert_int_equal(store_file_open(path, &c, &why), FAIL_NONE);
    assert_int_equal(audit_checkpoint_get(c, &b, &why), FAIL_NONE);
    store_reader_close(c);
    text_copy(note, sizeof(note), b.data);
    buf_done(&b);
    assert_true(verify_with(vkey, note));
    sql("DELETE FROM leaf WHERE seq >= 150");
    expect(AUDIT_FINDING_TRUNCATED, 150, 199);
    /* With the checkpoints cut to the same place, and the edge, only a kept checkpoint can tell. */
    sql("DELETE FROM leaf WHERE seq >= 127; DELETE FROM checkpoint WHERE size > 127");
    expect(AUDIT_FINDING_EDGE, -1, -1);
    sql("DELETE FROM tree_edge");
    assert_false(verify());
    assert_false(verify_with(NULL, note));
    assert_int_equal(report.findings[report.findings_len - 1].kind == AUDIT_FINDING_KNOWN ||
                         report.findings[0].kind == AUDIT_FINDING_KNOWN,
                     1);
}

static void a_log_grown_past_a_kept_checkpoint_still_extends_it(void **state)
{
    (void)state;
    struct fault why;
    struct store_conn *c;
    struct buf b;
    buf_init(&b, AUDIT_NOTE_MAX);
    assert_int_equal(store_file_open(path, &c, &why), FAIL_NONE);
    assert_int_equal(audit_checkpoint_get(c, &b, &why), FAIL_NONE);
    store_reader_close(c);
    sqlite3_close(db);
    db = NULL;
    grow(3);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_true(verify_with(vkey, b.data));
    assert_int_equal(report.leaves, 7);
    rewrite(2);
    assert_false(verify_with(vkey, b.data));
    assert_int_equal(report.findings[0].kind, AUDIT_FINDING_KNOWN);
    buf_done(&b);
}

static void another_key_is_refused(void **state)
{
    (void)state;
    char other[AUDIT_VKEY_SIZE];
    uint8_t public[32], secret[64];
    struct audit_verifier v;
    struct fault why;
    crypto_sign_keypair(public, secret);
    audit_verifier_init(&v, "inhouse.local/log/other", public);
    audit_vkey_write(&v, other);
    assert_false(verify_with(other, NULL));
    assert_int_equal(report.findings[0].kind, AUDIT_FINDING_SIGNATURE);
    assert_true(verify_with(vkey, NULL));
    struct audit_verify_options o = {.home = dir, .vkey = "nonsense"};
    assert_int_equal(audit_verify(&o, &report, &why), FAIL_BAD_REQUEST);
    o = (struct audit_verify_options){.home = "/nonexistent"};
    assert_int_equal(audit_verify(&o, &report, &why), FAIL_NOT_FOUND);
}

/* As on stage: a byte of the file itself, under the database's feet. */
static void one_byte_of_the_file_is_named(void **state)
{
    (void)state;
    sqlite3_close(db);
    db = NULL;
    static uint8_t data[4 << 20];
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    ssize_t n = read(fd, data, sizeof(data));
    const uint8_t *at = memmem(data, (size_t)n, "\"seq\":17,", 9);
    assert_non_null(at);
    off_t where = at - data - 30; /* inside the text before it */
    uint8_t flipped = data[where] ^ 4;
    assert_int_equal(pwrite(fd, &flipped, 1, where), 1);
    expect(AUDIT_FINDING_LEAF_CHANGED, 17, 17);
    assert_int_equal(report.findings_len, 1);
    assert_int_equal(pwrite(fd, &data[where], 1, where), 1);
    assert_true(verify());
    /* A page overwritten: the database itself is damaged. */
    uint8_t junk[4096];
    memset(junk, 0xa5, sizeof(junk));
    assert_int_equal(pwrite(fd, junk, sizeof(junk), where / 4096 * 4096), 4096);
    assert_false(verify());
    close(fd);
}

static void nothing_is_recorded_on_top_of_a_changed_record(void **state)
{
    (void)state;
    sql("DELETE FROM leaf WHERE seq >= 190");
    sqlite3_close(db);
    db = NULL;
    struct fault why;
    struct store *store;
    struct keyring_master *master;
    struct audit *log = NULL;
    assert_int_equal(keyring_master_open(dir, &master, &why), FAIL_NONE);
    assert_int_equal(store_open(path, &store_schema_data, &store, &why), FAIL_NONE);
    assert_int_equal(audit_open(dir, store, master, &log, &why), FAIL_RECORD_UNAVAILABLE);
    assert_non_null(strstr(why.hint, "audit verify"));
    store_close(store);
    keyring_master_close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define SMALL(f) cmocka_unit_test_setup_teardown(f, make_small, drop)
#define LONG(f) cmocka_unit_test_setup_teardown(f, make_long, drop)
        SMALL(every_flipped_byte_is_found),
        SMALL(numbers_that_move_are_found),
        LONG(a_rewritten_leaf_is_found_within_its_stride),
        LONG(a_later_rewritten_leaf_is_found_within_its_stride),
        LONG(missing_moved_and_changed_leaves_are_named),
        LONG(a_tail_cut_off_is_found),
        SMALL(a_log_grown_past_a_kept_checkpoint_still_extends_it),
        LONG(another_key_is_refused),
        LONG(one_byte_of_the_file_is_named),
        LONG(nothing_is_recorded_on_top_of_a_changed_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
