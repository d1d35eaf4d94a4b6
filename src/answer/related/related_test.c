/* SPDX-License-Identifier: Apache-2.0 */
/* Duplicates and related tickets: found in one's own team, by wording, identifiers and vectors. */
#include "answer/related/related.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "support/home.h"

static struct home home;
static struct related *all;
static int64_t now = 1700000000000000;

static int set_up(void **state)
{
    (void)state;
    struct fault why;
    home_make(&home, "related");
    home_open(&home, HOME_STORE);
    assert_int_equal(related_open(home.conn, &all, &why), FAIL_NONE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    related_free(all);
    home_close(&home);
    return home_remove(&home);
}

static enum fail do_put(struct store_tx *tx, void *arg, struct fault *why)
{
    return related_put(tx, arg, why);
}

static struct related_trace trace(const char *team, const char *text, const float *vector)
{
    struct related_trace t;
    related_trace_of(team, text, strlen(text), vector, vector != NULL ? 4 : 0, "m", &t);
    t.task = text_id_new();
    t.at = ++now;
    snprintf(t.actor, sizeof(t.actor), "ana");
    return t;
}

static struct id keep(const char *team, const char *text, const float *vector)
{
    struct fault why;
    struct related_trace t = trace(team, text, vector);
    assert_int_equal(store_write_wait(home.store, do_put, &t, &why), FAIL_NONE);
    related_add(all, &t);
    return t.task;
}

static size_t ask(const char *team, const char *text, const float *vector,
                  struct related_hit hits[RELATED_FOUND])
{
    struct related_trace t = trace(team, text, vector);
    return related_find(all, home.conn, &t, hits);
}

static const char *const late = "My order VM-416180 was dispatched on 24 June and should have "
                                "reached me in Vienna within five working days. Where is it?";

static void the_same_again_is_a_duplicate_without_vectors(void **state)
{
    (void)state;
    struct related_hit hits[RELATED_FOUND];
    struct id first = keep("support", late, NULL);
    size_t n = ask("support", "Second try: my order VM-416180 was dispatched on 24 June and should "
                              "have reached me in Vienna within five working days. Where is it?",
                   NULL, hits);
    assert_int_equal(n, 1);
    assert_true(text_id_equal(&hits[0].task, &first));
    assert_int_equal(hits[0].kind, RELATED_DUPLICATE);
    assert_int_equal(hits[0].shared_len, 1);
    assert_int_equal(ask("support", "How do I clean the grinder of my machine?", NULL, hits), 0);
}

static void another_team_sees_nothing_of_it(void **state)
{
    (void)state;
    struct related_hit hits[RELATED_FOUND];
    assert_int_equal(ask("sales", late, NULL, hits), 0);
    (void)keep("sales", "Please call me back about VM-416180 today", NULL);
    assert_int_equal(ask("support", late, NULL, hits), 1); /* its own alone */
}

static void an_identifier_in_common_relates_whatever_is_said(void **state)
{
    (void)state;
    struct related_hit hits[RELATED_FOUND];
    struct related_trace t = trace("support", "Please send the invoice of vm 416180 to me", NULL);
    size_t n = related_find(all, home.conn, &t, hits);
    assert_int_equal(n, 1);
    assert_int_equal(hits[0].kind, RELATED_RELATED);
    assert_int_equal(hits[0].shared_len, 1);
    assert_non_null(strstr(t.id_text[hits[0].shared[0]], "416180"));
}

static void near_vectors_relate_and_another_models_do_not(void **state)
{
    (void)state;
    struct related_hit hits[RELATED_FOUND];
    const float a[4] = {1, 0, 0, 0}, b[4] = {0.8F, 0.6F, 0, 0}, c[4] = {0.3F, 0.95F, 0, 0};
    (void)keep("vectors", "the frother is cold", a);
    assert_int_equal(ask("vectors", "milk does not get warm at all", b, hits), 1);
    assert_int_equal(hits[0].kind, RELATED_RELATED);
    assert_true(hits[0].match > 0.77 && hits[0].match < 0.83);
    assert_int_equal(ask("vectors", "milk does not get warm at all", c, hits), 0);
    struct related_trace t = trace("vectors", "milk does not get warm at all", b);
    snprintf(t.model, sizeof(t.model), "other");
    assert_int_equal(related_find(all, home.conn, &t, hits), 0);
}

static enum fail do_forget(struct store_tx *tx, void *arg, struct fault *why)
{
    return related_forget(tx, "support", "ana", arg, why);
}

static void what_is_erased_is_not_found_from_the_next_search_on(void **state)
{
    (void)state;
    struct fault why;
    struct related_hit hits[RELATED_FOUND];
    int64_t n = 0;
    size_t before = related_count(all);
    assert_int_equal(ask("support", late, NULL, hits), 1);
    assert_int_equal(store_write_wait(home.store, do_forget, &n, &why), FAIL_NONE);
    assert_int_equal(n, 1);
    assert_int_equal(ask("support", late, NULL, hits), 0);
    assert_int_equal(related_count(all), before - 1);
}

static void a_restart_finds_the_same(void **state)
{
    (void)state;
    struct fault why;
    struct related_hit hits[RELATED_FOUND];
    const float b[4] = {0.8F, 0.6F, 0, 0};
    size_t before = related_count(all);
    related_free(all);
    assert_int_equal(related_open(home.conn, &all, &why), FAIL_NONE);
    assert_int_equal(related_count(all), before);
    assert_int_equal(ask("vectors", "milk does not get warm at all", b, hits), 1);
    assert_int_equal(ask("vectors", "milk", b, hits), 1);
}

/* All tickets of the example, by words alone: which pairs are called duplicates. One pair is. */
static void of_the_examples_tickets_only_the_one_that_was_sent_twice_is_a_duplicate(void **state)
{
    (void)state;
    static const char *const files[] = {"past.jsonl", "new.jsonl"};
    const char *source = getenv("INHOUSE_SOURCE");
    char path[4096], line[16384];
    int duplicates = 0, related = 0, n = 0;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        snprintf(path, sizeof(path), "%s/examples/helpdesk/%s", source != NULL ? source : ".",
                 files[i]);
        FILE *f = fopen(path, "re");
        assert_non_null(f);
        while (fgets(line, sizeof(line), f) != NULL) {
            json_error_t e;
            json_t *t = json_loads(line, 0, &e);
            struct related_hit hits[RELATED_FOUND];
            char text[16384];
            snprintf(text, sizeof(text), "%s\n\n%s",
                     json_string_value(json_object_get(t, "subject")),
                     json_string_value(json_object_get(t, "text")));
            size_t got = ask("example", text, NULL, hits);
            for (size_t k = 0; k < got; k++) {
                duplicates += hits[k].kind == RELATED_DUPLICATE;
                related += hits[k].kind == RELATED_RELATED;
            }
            (void)keep("example", text, NULL);
            json_decref(t);
            n++;
        }
        fclose(f);
    }
    printf("%d tickets: %d duplicates, %d related by an identifier\n", n, duplicates, related);
    assert_int_equal(n, 460);
    assert_int_equal(duplicates, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_again_is_a_duplicate_without_vectors),
        cmocka_unit_test(another_team_sees_nothing_of_it),
        cmocka_unit_test(an_identifier_in_common_relates_whatever_is_said),
        cmocka_unit_test(near_vectors_relate_and_another_models_do_not),
        cmocka_unit_test(what_is_erased_is_not_found_from_the_next_search_on),
        cmocka_unit_test(a_restart_finds_the_same),
        cmocka_unit_test(of_the_examples_tickets_only_the_one_that_was_sent_twice_is_a_duplicate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
