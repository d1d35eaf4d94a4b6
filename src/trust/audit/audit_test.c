/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the log: the tree against known roots, appends, notes, content and erasure. */
#include "trust/audit/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "trust/audit/audit_internal.h"
#include "support/home.h"

static struct home home;

static void open_all(void)
{
    home_open(&home, HOME_RECORD);
}

static void close_all(void)
{
    home_close(&home);
}

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "audit");
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_all();
    return home_remove(&home);
}

struct job {
    struct audit_leaf leaf;
    int64_t seq;
    uint8_t hash[32];
    enum fail refuse; /* after appending */
    int *left;
    struct loop *loop;
    enum fail got;
};

static struct job plain_job(void)
{
    static const char *const releases[] = {"model:smollm2@1", "workflow:ticket-triage@3"};
    return (struct job){.leaf = {.kind = AUDIT_KIND_ANSWERED,
                                 .actor = "local:1000",
                                 .team = "default",
                                 .requester = "anna",
                                 .task = "tsk_01",
                                 .releases = releases,
                                 .releases_len = 2,
                                 .rung = "learned",
                                 .verdict = "allow",
                                 .input = "my card is lost",
                                 .input_len = 15,
                                 .output = "{\"queue\":\"cards\"}",
                                 .output_len = 17,
                                 .tokens_in = 12,
                                 .tokens_out = 3,
                                 .cost_nano = 1200}};
}

static enum fail append(struct store_tx *tx, void *arg, struct fault *why)
{
    struct job *j = arg;
    enum fail f = audit_append(tx, home.audit, &j->leaf, &j->seq, j->hash, why);
    return f != FAIL_NONE ? f : j->refuse != FAIL_NONE ? FAULT(why, j->refuse, "no") : FAIL_NONE;
}

static void verified(int64_t leaves)
{
    struct fault why;
    struct audit_report r;
    struct audit_verify_options o = {.home = home.dir};
    if (audit_verify(&o, &r, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    if (!r.ok) {
        fail_msg("%s", r.findings[0].text);
    }
    assert_int_equal(r.leaves, leaves);
}

static void the_tree_is_that_of_rfc_6962(void **state)
{
    (void)state;
    /* leaves and roots of the reference implementation's tests (certificate-transparency) */
    static const char *const leaves[] = {"",         "00",       "10",
                                         "2021",     "3031",     "40414243",
                                         "5051525354555657", "606162636465666768696a6b6c6d6e6f"};
    static const char *const roots[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct audit_range r = {0};
    uint8_t root[32];
    char hex[65];
    audit_range_root(&r, root);
    text_hex(root, 32, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < COUNT_OF(leaves); i++) {
        uint8_t data[32];
        uint8_t hash[32];
        assert_true(text_unhex(leaves[i], strlen(leaves[i]), data));
        audit_leaf_hash(data, strlen(leaves[i]) / 2, hash);
        audit_range_push(&r, hash);
        audit_range_root(&r, root);
        text_hex(root, 32, hex);
        assert_string_equal(hex, roots[i]);
    }
}

static void a_leaf_is_canonical_and_scanned_strictly(void **state)
{
    (void)state;
    struct job j = plain_job();
    uint8_t mac[32] = {0xab};
    struct buf b;
    buf_init(&b, 65536);
    j.leaf.actor = "q\"\\\n\x01 \xc3\xa9";
    j.leaf.rung = NULL;
    assert_true(audit_leaf_write(&b, &j.leaf, 7, 1763800000000000, mac, NULL));
    int64_t seq;
    assert_true(audit_leaf_scan(b.data, b.len, &seq));
    assert_int_equal(seq, 7);
    struct fault why;
    AUTO_JSON json_t *json = NULL;
    assert_int_equal(jn_parse(b.data, b.len, "leaf", &json, &why), FAIL_NONE);
    assert_int_equal(json_object_size(json), 14);
    for (size_t n = 0; n < b.len; n++) {
        assert_false(audit_leaf_scan(b.data, n, &seq));
    }
    buf_add_char(&b, ' ');
    assert_false(audit_leaf_scan(b.data, b.len, &seq));
    static const struct {
        const char *from, *to;
    } bad[] = {{"\"v\":1", "\"v\":2"},      {"\\u0001", "\\u000A"}, {"\\n", "\\u000a"},
               {"\"seq\":7", "\"seq\":07"}, {"{\"actor", "{ \"actor"},
               {"\"cost\":1200", "\"cost\":-0"},
               {"ab00", "AB00"},            {"\\\"", "\\/"}};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf c;
        buf_init(&c, 65536);
        const char *at = strstr(b.data, bad[i].from);
        assert_non_null(at);
        buf_add(&c, b.data, (size_t)(at - b.data));
        buf_add_str(&c, bad[i].to);
        const char *rest = at + strlen(bad[i].from);
        buf_add(&c, rest, (size_t)(b.data + b.len - 1 - rest));
        assert_false(audit_leaf_scan(c.data, c.len, &seq));
        buf_done(&c);
    }
    buf_done(&b);
}

static void appends_are_numbered_and_survive_a_restart(void **state)
{
    (void)state;
    struct fault why;
    for (int i = 0; i < 150; i++) {
        struct job j = plain_job();
        assert_int_equal(store_write_wait(home.store, append, &j, &why), FAIL_NONE);
        assert_int_equal(j.seq, i);
        if (i % 60 == 59) {
            close_all();
            open_all();
        }
    }
    verified(150);
    struct store_conn *c;
    assert_int_equal(store_reader_open(home.store, &c, &why), FAIL_NONE);
    struct buf b;
    buf_init(&b, 65536);
    assert_int_equal(audit_leaf_get(c, 149, &b, &why), FAIL_NONE);
    assert_non_null(strstr(b.data, "\"seq\":149"));
    assert_null(strstr(b.data, "card is lost"));
    assert_int_equal(audit_leaf_get(c, 150, &b, &why), FAIL_NOT_FOUND);
    buf_clear(&b);
    assert_int_equal(audit_checkpoint_get(c, &b, &why), FAIL_NONE);
    struct audit_note note;
    assert_true(audit_note_read(b.data, b.len, &home.audit->verifier, &note));
    assert_true(note.is_signed && note.size == 150);
    struct audit_verifier again;
    assert_true(audit_vkey_read(audit_vkey(home.audit), &again));
    assert_memory_equal(again.public, home.audit->verifier.public, 32);
    buf_done(&b);
    store_reader_close(c);
}

static void an_undone_write_leaves_no_leaf_and_no_hole(void **state)
{
    (void)state;
    struct fault why;
    for (int i = 0; i < 40; i++) {
        struct job j = plain_job();
        j.refuse = i % 3 == 1 ? FAIL_BLOCKED : FAIL_NONE;
        assert_int_equal(store_write_wait(home.store, append, &j, &why), j.refuse);
        assert_int_equal(j.seq, i - i / 3 - (i % 3 == 2));
    }
    verified(27);
    struct job j = plain_job();
    char big[9000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    j.leaf.verdict = big;
    assert_int_equal(store_write_wait(home.store, append, &j, &why), FAIL_TOO_LARGE);
    verified(27);
}

static void appended(void *arg, enum fail code, const struct fault *why)
{
    (void)why;
    struct job *j = arg;
    j->got = code;
    if (--*j->left == 0) {
        loop_stop(j->loop);
    }
}

static void sixty_four_writers_share_one_log(void **state)
{
    (void)state;
    struct fault why;
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    enum { N = 2048 };
    struct job *jobs = mem_alloc_array(N, sizeof(*jobs));
    int left = N;
    for (int i = 0; i < N; i++) {
        jobs[i] = plain_job();
        jobs[i].left = &left;
        jobs[i].loop = loop;
        jobs[i].refuse = i % 64 == 63 ? FAIL_BLOCKED : FAIL_NONE;
        assert_int_equal(store_write(home.store, append, &jobs[i], appended, loop, &why),
                         FAIL_NONE);
    }
    loop_run(loop);
    int64_t next = 0;
    for (int i = 0; i < N; i++) {
        assert_int_equal(jobs[i].got, jobs[i].refuse);
        if (jobs[i].got == FAIL_NONE) {
            assert_int_equal(jobs[i].seq, next++);
        }
    }
    verified(next);
    mem_free(jobs);
    loop_free(loop);
}

static void every_leaf_can_be_proved(void **state)
{
    (void)state;
    struct fault why;
    struct store_conn *c;
    for (int size = 1; size <= 21; size++) {
        struct job j = plain_job();
        assert_int_equal(store_write_wait(home.store, append, &j, &why), FAIL_NONE);
        assert_int_equal(store_reader_open(home.store, &c, &why), FAIL_NONE);
        for (int i = 0; i < size; i++) {
            struct audit_proof p;
            struct buf text;
            buf_init(&text, AUDIT_PROOF_TEXT_MAX);
            assert_int_equal(audit_prove(c, i, &p, &text, &why), FAIL_NONE);
            assert_true(text_starts_with(text.data, "c2sp.org/tlog-proof@v1\nextra "));
            buf_done(&text);
            assert_int_equal(p.size, size);
            assert_true(audit_proof_check(&p));
            assert_in_range(p.hashes_len, 0, 5);
            if (p.hashes_len > 0) {
                p.hashes[0][3] ^= 1;
                assert_false(audit_proof_check(&p));
                p.hashes[0][3] ^= 1;
                p.hashes_len--;
                assert_false(audit_proof_check(&p));
                p.hashes_len++;
            }
            p.leaf[0] ^= 1;
            assert_false(audit_proof_check(&p));
        }
        struct audit_proof beyond;
        struct buf none;
        buf_init(&none, AUDIT_PROOF_TEXT_MAX);
        assert_int_equal(audit_prove(c, size, &beyond, &none, &why), FAIL_NOT_FOUND);
        buf_done(&none);
        store_reader_close(c);
    }
}

static void macs_differ_by_subject_and_hold_over_restarts(void **state)
{
    (void)state;
    struct fault why;
    uint8_t a[32], b[32], c[32], d[32];
    assert_int_equal(audit_mac(home.audit, "ab", "c", "x", 1, a, &why), FAIL_NONE);
    assert_int_equal(audit_mac(home.audit, "a", "bc", "x", 1, b, &why), FAIL_NONE);
    assert_int_equal(audit_mac(home.audit, "ab", "c", "y", 1, c, &why), FAIL_NONE);
    close_all();
    open_all();
    assert_int_equal(audit_mac(home.audit, "ab", "c", "x", 1, d, &why), FAIL_NONE);
    assert_memory_equal(a, d, 32);
    assert_memory_not_equal(a, b, 32);
    assert_memory_not_equal(a, c, 32);
}

static struct id content_id;

static enum fail put_content(struct store_tx *tx, void *arg, struct fault *why)
{
    const char *text = arg;
    return audit_content_put(tx, home.audit, &content_id, AUDIT_PART_INPUT, "default", "anna", text,
                             strlen(text), why);
}

static void content_is_sealed_and_can_be_erased(void **state)
{
    (void)state;
    struct fault why;
    static char text[] = "Dear sir, my unmistakable secret is 4711";
    content_id = text_id_new();
    struct job j = plain_job();
    assert_int_equal(store_write_wait(home.store, append, &j, &why), FAIL_NONE);
    assert_int_equal(store_write_wait(home.store, put_content, text, &why), FAIL_NONE);
    assert_int_equal(store_write_wait(home.store, put_content, text, &why), FAIL_CONFLICT);
    struct store_conn *c;
    struct buf b;
    buf_init(&b, 65536);
    assert_int_equal(store_reader_open(home.store, &c, &why), FAIL_NONE);
    assert_int_equal(audit_content_get(home.audit, c, &content_id, AUDIT_PART_INPUT, &b, &why),
                     FAIL_NONE);
    assert_string_equal(b.data, text);
    assert_int_equal(audit_content_get(home.audit, c, &content_id, AUDIT_PART_OUTPUT, &b, &why),
                     FAIL_NOT_FOUND);
    store_reader_close(c);
    uint8_t before[32], after[32];
    assert_int_equal(audit_mac(home.audit, "default", "anna", "x", 1, before, &why), FAIL_NONE);
    int64_t parts;
    assert_int_equal(audit_subject_erase(home.audit, "default", "anna", &parts, &why), FAIL_NONE);
    assert_int_equal(parts, 1);
    assert_int_equal(audit_subject_erase(home.audit, "default", "anna", &parts, &why), FAIL_NONE);
    assert_int_equal(parts, 0);
    assert_int_equal(store_reader_open(home.store, &c, &why), FAIL_NONE);
    assert_int_equal(audit_content_get(home.audit, c, &content_id, AUDIT_PART_INPUT, &b, &why),
                     FAIL_NOT_FOUND);
    store_reader_close(c);
    assert_int_equal(audit_mac(home.audit, "default", "anna", "x", 1, after, &why), FAIL_NONE);
    assert_memory_not_equal(before, after, 32); /* a new key: old MACs cannot be tested any more */
    verified(1);
    buf_done(&b);
}

static void a_log_whose_keys_are_gone_is_not_continued(void **state)
{
    (void)state;
    struct fault why;
    struct job j = plain_job();
    assert_int_equal(store_write_wait(home.store, append, &j, &why), FAIL_NONE);
    close_all();
    char from[96], to[96];
    snprintf(from, sizeof(from), "%s/keys.db", home.dir);
    snprintf(to, sizeof(to), "%s/kept", home.dir);
    assert_int_equal(rename(from, to), 0);
    char path[96];
    snprintf(path, sizeof(path), "%s/data.db", home.dir);
    assert_int_equal(keyring_master_open(home.dir, &home.master, &why), FAIL_NONE);
    assert_int_equal(store_open(path, &store_schema_data, &home.store, &why), FAIL_NONE);
    struct audit *none = NULL;
    assert_int_equal(audit_open(home.dir, home.store, home.master, &none, &why),
                     FAIL_RECORD_UNAVAILABLE);
    assert_non_null(strstr(why.message, "keys.db"));
    store_close(home.store);
    keyring_master_close(home.master);
    assert_int_equal(rename(to, from), 0);
    open_all();
    verified(1);
}

static void appends_are_fast_enough(void **state)
{
    (void)state;
    struct fault why;
    struct loop *loop;
    assert_int_equal(loop_new(&loop, &why), FAIL_NONE);
    enum { N = 4000 };
    struct job *jobs = mem_alloc_array(N, sizeof(*jobs));
    int left = N;
    int64_t start = clock_monotonic_us();
    for (int i = 0; i < N; i++) {
        jobs[i] = plain_job();
        jobs[i].left = &left;
        jobs[i].loop = loop;
        assert_int_equal(store_write(home.store, append, &jobs[i], appended, loop, &why),
                         FAIL_NONE);
    }
    loop_run(loop);
    print_message("%.0f durable appends/s, all queued at once\n",
                  N * 1000.0 / clock_ms_since(start));
    struct audit_report r;
    struct audit_verify_options o = {.home = home.dir};
    assert_int_equal(audit_verify(&o, &r, &why), FAIL_NONE);
    print_message("%.0f leaves/s verified\n", (double)r.leaves * 1000 / r.ms);
    assert_true(r.ok);
    mem_free(jobs);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        cmocka_unit_test(the_tree_is_that_of_rfc_6962),
        cmocka_unit_test(a_leaf_is_canonical_and_scanned_strictly),
        T(appends_are_numbered_and_survive_a_restart),
        T(an_undone_write_leaves_no_leaf_and_no_hole),
        T(sixty_four_writers_share_one_log),
        T(every_leaf_can_be_proved),
        T(macs_differ_by_subject_and_hold_over_restarts),
        T(content_is_sealed_and_can_be_erased),
        T(a_log_whose_keys_are_gone_is_not_continued),
        T(appends_are_fast_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
