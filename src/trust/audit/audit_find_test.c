/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and proving: an index that agrees with reading everything, proofs between all sizes. */
#include "trust/audit/audit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json/json.h"
#include "trust/audit/audit_internal.h"
#include "support/home.h"

#define LEAVES 700 /* two whole blocks and a part */

static struct home home;

static enum fail append(struct store_tx *tx, void *arg, struct fault *why)
{
    int i = *(int *)arg;
    char actor[16], task[24];
    char release[TEXT_SHA256_HEX_SIZE];
    memset(release, 'a' + i % 5, 64);
    release[64] = '\0';
    const char *releases[] = {release, "same"};
    (void)snprintf(actor, sizeof(actor), "user-%d", i % 7);
    (void)snprintf(task, sizeof(task), "tsk_%d", i / 2);
    struct audit_leaf leaf = {.kind = i % 50 == 49 ? AUDIT_KIND_FAILED : AUDIT_KIND_ANSWERED,
                              .actor = actor,
                              .team = i % 3 == 0 ? "desk \"A\"" : "desk",
                              .task = task,
                              .rung = i % 11 == 0 ? NULL : "light",
                              .verdict = i % 2 == 0 ? "done" : "waiting_person",
                              .releases = releases,
                              .releases_len = i % 4 == 0 ? 1 : 2};
    return audit_append(tx, home.audit, &leaf, NULL, NULL, why);
}

static int set_up(void **state)
{
    (void)state;
    struct fault why;
    home_make(&home, "audit-find");
    home_open(&home, HOME_RECORD);
    for (int i = 0; i < LEAVES; i++) {
        assert_int_equal(store_write_wait(home.store, append, &i, &why), FAIL_NONE);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    home_close(&home);
    return home_remove(&home);
}

struct hits {
    int64_t seq[LEAVES];
    int n, room;
};

static bool take(void *arg, int64_t seq, const char *body, size_t n)
{
    struct hits *h = arg;
    assert_true(n > 2 && body[0] == '{');
    h->seq[h->n++] = seq;
    return h->n < h->room;
}

static void find(const struct audit_query *q, int64_t from, int room, struct hits *h,
                 int64_t *next)
{
    struct fault why;
    h->n = 0;
    h->room = room;
    assert_int_equal(audit_search(home.conn, q, from, INT64_MAX, take, h, next, &why), FAIL_NONE);
}

static int64_t at_of(int64_t seq)
{
    struct fault why;
    struct buf body;
    json_t *leaf AUTO_JSON = NULL;
    buf_init(&body, AUDIT_LEAF_MAX + 1);
    assert_int_equal(audit_leaf_get(home.conn, seq, &body, &why), FAIL_NONE);
    assert_int_equal(jn_parse(body.data, body.len, "x", &leaf, &why), FAIL_NONE);
    buf_done(&body);
    return json_integer_value(json_object_get(leaf, "at"));
}

/* Every query, with the index as far as it is made, against reading all; pages as well. */
static int compare_all(void)
{
    static const char *const fives[] = {
        "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc", "same"};
    const struct audit_query queries[] = {
        {.actor = "user-3"},
        {.kind = "failed"},
        {.kind = "failed", .actor = "user-0"},
        {.team = "desk \"A\"", .verdict = "done", .rung = "light"},
        {.task = "tsk_300"},
        {.task = "tsk_999999"},
        {.releases = fives, .releases_len = 1},
        {.releases = fives, .releases_len = 2, .actor = "user-1"},
        {.since = at_of(100), .until = at_of(600)},
        {.since = at_of(300), .actor = "user-2", .kind = "answered"},
        {.until = at_of(1)},
        {0},
    };
    static struct hits by_index, by_scan, page;
    int found = 0;
    for (size_t i = 0; i < COUNT_OF(queries); i++) {
        struct audit_query all = queries[i];
        int64_t next = 0;
        all.scan = true;
        find(&all, 0, LEAVES + 1, &by_scan, &next);
        assert_int_equal(next, -1);
        find(&queries[i], 0, LEAVES + 1, &by_index, &next);
        assert_int_equal(next, -1);
        assert_int_equal(by_index.n, by_scan.n);
        assert_memory_equal(by_index.seq, by_scan.seq, (size_t)by_scan.n * sizeof(int64_t));
        int paged = 0;
        for (next = 0; next >= 0;) {
            find(&queries[i], next, 3, &page, &next);
            assert_memory_equal(page.seq, by_scan.seq + paged,
                                (size_t)page.n * sizeof(int64_t));
            paged += page.n;
        }
        assert_int_equal(paged, by_scan.n);
        found += by_scan.n;
    }
    return found;
}

static void a_search_finds_what_reading_everything_finds(void **state)
{
    (void)state;
    struct fault why;
    int before = compare_all();
    for (int block = 0; block < 4; block++) {
        assert_int_equal(store_write_wait(home.store, audit_index_block, home.audit, &why),
                         FAIL_NONE);
        assert_true(home.audit->index_made == (block < LEAVES / 256));
        assert_int_equal(compare_all(), before);
    }
    assert_true(before > LEAVES);
}

static void root_of(int64_t size, uint8_t *root)
{
    struct fault why;
    struct audit_range r = {0};
    AUTO_STMT struct store_stmt *s =
        store_query(home.conn, "SELECT hash FROM leaf WHERE seq < ?1 ORDER BY seq");
    store_bind_int(s, 1, size);
    bool row;
    while (store_step(s, &row, &why) == FAIL_NONE && row) {
        size_t n;
        audit_range_push(&r, store_col_blob(s, 0, &n));
    }
    audit_range_root(&r, root);
}

static void any_two_sizes_are_proved_consistent(void **state)
{
    (void)state;
    struct fault why;
    static const int64_t sizes[] = {1, 2, 3, 5, 8, 63, 64, 65, 255, 256, 257, 511, 512, 513, 640,
                                    699, 700};
    for (size_t b = 0; b < COUNT_OF(sizes); b++) {
        struct audit_tree *tree;
        uint8_t new_root[32], old_root[32];
        assert_int_equal(audit_tree_open(home.conn, sizes[b], &tree, &why), FAIL_NONE);
        root_of(sizes[b], new_root);
        for (int64_t old = 0; old <= sizes[b]; old += 1 + old / 40) {
            struct audit_consistency p;
            root_of(old, old_root);
            assert_int_equal(audit_tree_consistency(tree, old, &p, &why), FAIL_NONE);
            assert_in_range(p.hashes_len, 0, 20);
            assert_true(audit_consistency_check(&p, old_root, new_root));
            old_root[5] ^= 1;
            assert_false(audit_consistency_check(&p, old_root, new_root));
            old_root[5] ^= 1;
            if (p.hashes_len > 0) {
                p.hashes[p.hashes_len - 1][0] ^= 1;
                assert_false(audit_consistency_check(&p, old_root, new_root));
                p.hashes[p.hashes_len - 1][0] ^= 1;
                p.old_size++;
                assert_false(audit_consistency_check(&p, old_root, new_root));
            }
        }
        audit_tree_free(tree);
    }
}

static void every_leaf_of_a_large_tree_is_proved(void **state)
{
    (void)state;
    struct fault why;
    struct audit_tree *tree;
    uint8_t root[32];
    root_of(LEAVES, root);
    assert_int_equal(audit_tree_open(home.conn, LEAVES, &tree, &why), FAIL_NONE);
    for (int64_t seq = 0; seq < LEAVES; seq++) {
        struct audit_proof p;
        assert_int_equal(audit_tree_inclusion(tree, seq, &p, &why), FAIL_NONE);
        assert_memory_equal(p.root, root, 32);
        assert_true(audit_proof_check(&p));
    }
    audit_tree_free(tree);
}

static void a_known_checkpoint_of_another_log_is_refused(void **state)
{
    (void)state;
    struct fault why;
    struct buf text;
    struct audit_consistency p;
    uint8_t root[32];
    buf_init(&text, AUDIT_PROOF_TEXT_MAX);
    root_of(300, root);
    assert_int_equal(audit_prove_extension(home.conn, 300, root, &p, &text, &why), FAIL_NONE);
    assert_true(text_starts_with(text.data, "old 300\n"));
    root[0] ^= 1;
    assert_int_equal(audit_prove_extension(home.conn, 300, root, &p, &text, &why), FAIL_CONFLICT);
    assert_int_equal(audit_prove_extension(home.conn, LEAVES + 1, NULL, &p, &text, &why),
                     FAIL_CONFLICT);
    buf_done(&text);
}

/* Of the C2SP specifications' worked example of a cosignature there is no key; so: both ways. */
static void a_cosignature_is_read_back_and_bound_to_its_time(void **state)
{
    (void)state;
    uint8_t public[32], secret[64], seed[32] = {7};
    struct audit_verifier w;
    struct audit_note note;
    struct buf text;
    struct fault why;
    char vkey[AUDIT_VKEY_SIZE];
    size_t text_len;
    int64_t at_s, size;
    uint8_t root[32];
    crypto_sign_seed_keypair(public, secret, seed);
    audit_verifier_init_as(&w, AUDIT_ALG_COSIGNATURE, "witness.example/w1", public);
    audit_vkey_write(&w, vkey);
    buf_init(&text, AUDIT_NOTES_MAX);
    assert_int_equal(audit_checkpoint_get(home.conn, &text, &why), FAIL_NONE);
    assert_true(audit_note_scan(text.data, text.len, &note, &text_len));
    assert_false(audit_note_signed_by(text.data, text.len, text_len, &w, &at_s));
    audit_cosign_write(&w, secret, 1700000000, text.data, text_len, &text);
    assert_true(audit_note_scan(text.data, text.len, &note, &text_len));
    assert_true(audit_note_signed_by(text.data, text.len, text_len, &w, &at_s));
    assert_int_equal(at_s, 1700000000);
    assert_int_equal(audit_checkpoint_read(text.data, text.len, vkey, &size, root, &why),
                     FAIL_NONE);
    assert_int_equal(audit_checkpoint_read(text.data, text.len, audit_vkey(home.audit), &size, root,
                                           &why),
                     FAIL_NONE);
    assert_int_equal(size, LEAVES);
    for (size_t i = 0; i < text.len; i++) {
        text.data[i] ^= 1;
        assert_true(audit_checkpoint_read(text.data, text.len, vkey, &size, root, &why) !=
                        FAIL_NONE ||
                    audit_checkpoint_read(text.data, text.len, audit_vkey(home.audit), &size, root,
                                          &why) != FAIL_NONE);
        text.data[i] ^= 1;
    }
    buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_finds_what_reading_everything_finds),
        cmocka_unit_test(any_two_sizes_are_proved_consistent),
        cmocka_unit_test(every_leaf_of_a_large_tree_is_proved),
        cmocka_unit_test(a_known_checkpoint_of_another_log_is_refused),
        cmocka_unit_test(a_cosignature_is_read_back_and_bound_to_its_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
