/* SPDX-License-Identifier: Apache-2.0 */
/* Keys tell requests apart; an entry comes back as it was put, and the first one stays. */
#include "answer/reuse/reuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void keys_tell_parts_apart(void **state)
{
    (void)state;
    static const char *const a[] = {"ab", "c"}, *const b[] = {"a", "bc"}, *const c[] = {"ab", NULL};
    static const char *const d[] = {"ab", ""};
    struct reuse_key k[5];
    reuse_key_make(a, 2, &k[0]);
    reuse_key_make(b, 2, &k[1]);
    reuse_key_make(c, 2, &k[2]);
    reuse_key_make(d, 2, &k[3]);
    reuse_key_make(a, 2, &k[4]);
    assert_memory_equal(&k[0], &k[4], sizeof(k[0]));
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) {
            assert_memory_not_equal(&k[i], &k[j], sizeof(k[0]));
        }
    }
}

static void canonical_text_keeps_what_may_mean_something(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"a\r\nb \t\r\n\r\n", "a\nb"}, {"\n \n a  b", " a  b"}, {"a\n\n\nb", "a\n\n\nb"},
        {"A b", "A b"}, {"", ""}, {" \n\t", ""}, {"a\rb", "a\rb"}};
    struct arena *arena = arena_new(1 << 20);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        assert_string_equal(reuse_canonical(arena, pairs[i][0]), pairs[i][1]);
    }
    arena_free(arena);
}

struct put {
    struct reuse_key key;
    struct reuse_entry entry;
};

static enum fail put(struct store_tx *tx, void *arg, struct fault *why)
{
    struct put *p = arg;
    static const struct reuse_owner owner = {"default", "anna"};
    return reuse_put(tx, &p->key, "default/-/internal", &owner, &p->entry, why);
}

static void entries_round_trip_and_the_first_stays(void **state)
{
    (void)state;
    char dir[] = "/tmp/reuse-test-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/data.db", dir);
    struct fault why;
    struct store *s = NULL;
    struct store_conn *conn = NULL;
    assert_int_equal(store_open(path, &store_schema_data, &s, &why), FAIL_NONE);
    assert_int_equal(store_reader_open(s, &conn, &why), FAIL_NONE);
    static const char *const parts[] = {"team", "text"};
    struct put p = {.entry = {.task = text_id_new(), .n = 2, .names = {"queue", "summary"},
                              .values = {"billing", "caf\xc3\xa9 \"x\""}, .draft = "{\"a\":1}"}};
    reuse_key_make(parts, 2, &p.key);
    struct arena *arena = arena_new(1 << 20);
    struct reuse_entry back;
    bool found = true;
    assert_int_equal(reuse_find(conn, &p.key, arena, &back, &found, &why), FAIL_NONE);
    assert_false(found);
    assert_int_equal(store_write_wait(s, put, &p, &why), FAIL_NONE);
    struct id first = p.entry.task;
    p.entry.task = text_id_new();
    p.entry.values[0] = "other";
    assert_int_equal(store_write_wait(s, put, &p, &why), FAIL_NONE);
    assert_int_equal(reuse_find(conn, &p.key, arena, &back, &found, &why), FAIL_NONE);
    assert_true(found && text_id_equal(&back.task, &first));
    assert_int_equal(back.n, 2);
    assert_string_equal(back.values[0], "billing");
    assert_string_equal(back.values[1], "caf\xc3\xa9 \"x\"");
    assert_string_equal(back.draft, "{\"a\":1}");
    arena_free(arena);
    store_reader_close(conn);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_tell_parts_apart),
        cmocka_unit_test(canonical_text_keeps_what_may_mean_something),
        cmocka_unit_test(entries_round_trip_and_the_first_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
