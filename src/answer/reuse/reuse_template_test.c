/* SPDX-License-Identifier: Apache-2.0 */
/* Templates: fields of a repeated layout are read where they stood before, or not at all. */
#include "answer/reuse/reuse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/text/text.h"

#define ORDERS 5

static const char *const order_names[] = {"order_id", "customer", "total", "due"};
static char order_text[ORDERS][1024];
static const char *const order_values[ORDERS][4] = {
    {"A-10432", "Anna Smith", "1234.50 EUR", "2026-03-05"},
    {"A-10433", "Bob Jones", "89.00 EUR", "2026-03-14"},
    {"B-200", "Carla Maria Diaz", "12.99 EUR", "2026-11-30"},
    {"A-7", "Dieter Vogel", "100000.00 EUR", "2026-12-01"},
    {"C-88123", "Eve Stone", "45.10 EUR", "2027-01-09"}};
static const char *const order_totals[ORDERS] = {"1.234,50 EUR", "89,00 EUR", "12,99 EUR",
                                                 "100.000,00 EUR", "45,10 EUR"};
static const char *const order_dues[ORDERS] = {"05.03.2026", "14.03.2026", "30.11.2026",
                                               "01.12.2026", "09.01.2027"};

static void write_order(char *out, size_t room, const char *id, const char *name, const char *total,
                        const char *due, int rows, const char *extra)
{
    size_t n = (size_t)snprintf(out, room,
                                "Order confirmation\n\nDear %s,\n\nthank you for your order %s.\n"
                                "We will send it within 2 days.\n\nItems:\n",
                                name, id);
    for (int i = 0; i < rows; i++) {
        n += (size_t)snprintf(out + n, room - n, "%d x Part %c%d   %d,00\n", i + 1, 'A' + i, i,
                              i * 3);
    }
    snprintf(out + n, room - n, "%sTotal: %s\nPayment due: %s\n\nKind regards\nThe parts house\n",
             extra, total, due);
}

static size_t make_orders(struct reuse_doc *docs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        write_order(order_text[i], sizeof(order_text[i]), order_values[i][0], order_values[i][1],
                    order_totals[i], order_dues[i], 1 + (int)i % 4, "");
        docs[i] = (struct reuse_doc){.task = text_id_new(), .text = order_text[i],
                                     .len = strlen(order_text[i]), .n = 4};
        for (size_t k = 0; k < 4; k++) {
            docs[i].names[k] = order_names[k];
            docs[i].values[k] = order_values[i][k];
        }
    }
    return n;
}

static const struct reuse_fill *filled(const struct reuse_match *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++) {
        if (strcmp(m->fills[i].name, name) == 0) {
            return &m->fills[i];
        }
    }
    return NULL;
}

static struct reuse_template *learn_orders(size_t n)
{
    struct reuse_doc docs[ORDERS];
    struct reuse_template *t[4];
    size_t made = reuse_templates_learn(docs, make_orders(docs, n), t, 4);
    assert_int_equal(made, 1);
    return t[0];
}

static void match(const struct reuse_template *t, const char *text, struct arena *arena,
                  struct reuse_match *m)
{
    reuse_template_match(t, text, strlen(text), arena, m);
}

static void a_new_document_is_read_at_its_anchors(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 << 20);
    struct reuse_template *t = learn_orders(ORDERS);
    struct reuse_match m;
    char text[1024];
    write_order(text, sizeof(text), "Q-900", "Frank Miller", "2.000,05 EUR", "28.02.2028", 6, "");
    match(t, text, arena, &m);
    if (m.fit != REUSE_FIT_WHOLE || m.n != 4) {
        fail_msg("fit %d, %zu fields: %s", m.fit, m.n, m.note);
    }
    static const char *const want[] = {"Q-900", "Frank Miller", "2000.05 EUR", "2028-02-28"};
    for (size_t i = 0; i < 4; i++) {
        const struct reuse_fill *f = filled(&m, order_names[i]);
        assert_non_null(f);
        assert_string_equal(f->value, want[i]);
        assert_true(f->confirmed >= REUSE_CONFIRM);
    }
    const struct reuse_fill *f = filled(&m, "customer");
    assert_memory_equal(text + f->at, "Frank Miller", f->len);
    f = filled(&m, "total");
    assert_int_equal(f->transform, REUSE_AMOUNT);
    assert_memory_equal(text + f->at, "2.000,05 EUR", f->len);
    reuse_template_free(t);
    arena_free(arena);
}

static void a_changed_layout_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 << 20);
    struct reuse_template *t = learn_orders(ORDERS);
    struct reuse_match m;
    char text[1024];
    write_order(text, sizeof(text), "Q-900", "Frank Miller", "5,00 EUR", "28.02.2028", 2,
                "Total before discount: 9,00 EUR\n");
    match(t, text, arena, &m);
    assert_int_equal(m.fit, REUSE_FIT_CHANGED);
    assert_int_equal(m.n, 0);
    assert_non_null(strstr(m.note, "line 11"));
    match(t, "Your invoice\nNumber: 4\nSum: 7,00 EUR\n", arena, &m);
    assert_int_equal(m.fit, REUSE_FIT_NONE);
    reuse_template_free(t);
    arena_free(arena);
}

static void what_looks_otherwise_is_left_open(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 << 20);
    struct reuse_template *t = learn_orders(ORDERS);
    static const struct {
        const char *id, *name, *total, *due, *open;
    } cases[] = {
        {"Q-9", "Frank Miller", "5,00 EUR or 6,00 EUR", "28.02.2028", "total"},
        {"Q-9", "Frank Miller", "5,00", "28.02.2028", "total"},
        {"Q-9", "Frank Miller", "5,00 EUR", "30.02.2028", "due"},
        {"Q-9", "Frank Miller", "5,00 EUR", "on receipt", "due"},
        {"Q-9", "n/a", "5,00 EUR", "28.02.2028", "customer"},
        {"Q-9", "Frank Miller (for Eve)", "5,00 EUR", "28.02.2028", "customer"},
        {"Q-9", "Miller, Frank, and his whole family of nine", "5,00 EUR", "28.02.2028",
         "customer"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct reuse_match m;
        char text[1024];
        write_order(text, sizeof(text), cases[i].id, cases[i].name, cases[i].total, cases[i].due, 2,
                    "");
        match(t, text, arena, &m);
        if (filled(&m, cases[i].open) != NULL || (m.fit == REUSE_FIT_WHOLE && m.n != 3)) {
            fail_msg("case %zu: %zu filled, %s", i, m.n, m.note);
        }
    }
    reuse_template_free(t);
    arena_free(arena);
}

static void two_documents_are_not_enough(void **state)
{
    (void)state;
    struct reuse_doc docs[ORDERS];
    struct reuse_template *t[4];
    assert_int_equal(reuse_templates_learn(docs, make_orders(docs, 2), t, 4), 0);
}

static void a_value_that_contradicts_takes_the_anchor(void **state)
{
    (void)state;
    struct reuse_doc docs[ORDERS];
    struct reuse_template *t[4];
    make_orders(docs, ORDERS);
    docs[3].values[2] = "99999.00 EUR"; /* a person decided otherwise */
    assert_int_equal(reuse_templates_learn(docs, ORDERS, t, 4), 1);
    for (size_t i = 0; i < reuse_template_fields(t[0]); i++) {
        assert_string_not_equal(reuse_template_field(t[0], i), "total");
    }
    assert_int_equal(reuse_template_fields(t[0]), 3);
    reuse_template_free(t[0]);
}

static void an_order_of_dates_that_nothing_proves_is_not_guessed(void **state)
{
    (void)state;
    struct reuse_doc docs[3];
    struct reuse_template *t[1];
    struct reuse_match m;
    struct arena *arena = arena_new(64 << 20);
    static const char *const texts[] = {"Alert report\nStarted: 01/01/2026\nHost: web one\n",
                                        "Alert report\nStarted: 02/02/2026\nHost: web two\n",
                                        "Alert report\nStarted: 03/03/2026\nHost: web six\n"};
    static const char *const values[] = {"2026-01-01", "2026-02-02", "2026-03-03"};
    for (size_t i = 0; i < 3; i++) {
        docs[i] = (struct reuse_doc){.task = text_id_new(), .text = texts[i],
                                     .len = strlen(texts[i]), .n = 1, .names = {"started"},
                                     .values = {values[i]}};
    }
    assert_int_equal(reuse_templates_learn(docs, 3, t, 1), 1);
    match(t[0], "Alert report\nStarted: 04/05/2026\nHost: web nine\n", arena, &m);
    assert_int_equal(m.n, 0);
    match(t[0], "Alert report\nStarted: 25/12/2026\nHost: web nine\n", arena, &m);
    assert_int_equal(m.n, 1);
    assert_string_equal(m.fills[0].value, "2026-12-25");
    reuse_template_free(t[0]);
    arena_free(arena);
}

static void bytes_come_back_and_damage_is_refused(void **state)
{
    (void)state;
    struct arena *arena = arena_new(64 << 20);
    struct reuse_template *t = learn_orders(ORDERS), *back = NULL;
    struct fault why;
    struct buf b;
    char one[65], two[65];
    buf_init(&b, REUSE_TEMPLATE_BYTES);
    assert_true(reuse_template_write(t, &b));
    assert_int_equal(reuse_template_read(b.data, b.len, &back, &why), FAIL_NONE);
    reuse_template_hash(t, one);
    reuse_template_hash(back, two);
    assert_string_equal(one, two);
    assert_int_equal(reuse_template_sources(back), ORDERS);
    struct reuse_match m;
    match(back, order_text[1], arena, &m);
    assert_int_equal(m.n, 4);
    reuse_template_free(back);
    for (size_t cut = 0; cut < b.len; cut += 7) {
        assert_int_equal(reuse_template_read(b.data, cut, &back, &why), FAIL_INTERNAL);
        assert_null(back);
    }
    for (size_t i = 0; i < b.len; i++) { /* any byte may lie: read, and used, without harm */
        char *copy = mem_dup(b.data, b.len);
        copy[i] = (char)(copy[i] ^ 0x5a);
        if (reuse_template_read(copy, b.len, &back, &why) == FAIL_NONE) {
            match(back, order_text[0], arena, &m);
            reuse_template_free(back);
        }
        mem_free(copy);
        if (i % 16 == 0) {
            arena_free(arena);
            arena = arena_new(64 << 20);
        }
    }
    buf_done(&b);
    reuse_template_free(t);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_document_is_read_at_its_anchors),
        cmocka_unit_test(a_changed_layout_is_refused),
        cmocka_unit_test(what_looks_otherwise_is_left_open),
        cmocka_unit_test(two_documents_are_not_enough),
        cmocka_unit_test(a_value_that_contradicts_takes_the_anchor),
        cmocka_unit_test(an_order_of_dates_that_nothing_proves_is_not_guessed),
        cmocka_unit_test(bytes_come_back_and_damage_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
