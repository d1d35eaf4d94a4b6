/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of the readers: rows of JSON lines and CSV, tickets, HTML as text, the arithmetic of
   trust. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/command/command_internal.h"

static char path[64];

static void write_file(const char *suffix, const char *text, size_t n)
{
    (void)snprintf(path, sizeof(path), "/tmp/inhouse-rows-XXXXXX%s", suffix);
    int fd = mkstemps(path, (int)strlen(suffix));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

/* Reads the whole file: "id:text;" of each good row, "!line;" of each bad one. */
static void read_all(struct buf *out)
{
    struct rows *rows = NULL;
    struct fault why = {0};
    assert_int_equal(rows_open(path, &rows, &why), FAIL_NONE);
    for (;;) {
        json_t *row AUTO_JSON = NULL;
        struct ticket t;
        enum rows_state state = rows_next(rows, &row, &why);
        if (state == ROWS_END) {
            break;
        }
        if (state == ROWS_ROW && ticket_read(rows, row, &t, &why) == FAIL_NONE) {
            (void)buf_printf(out, "%s:%s;", t.id, t.text);
            if (t.expected != NULL) {
                json_decref(t.expected);
            }
        } else {
            (void)buf_printf(out, "!%lld;", (long long)rows_line(rows));
        }
    }
    rows_close(rows);
    (void)unlink(path);
}

static void rows_are_read_or_named(void **state)
{
    (void)state;
    static const struct {
        const char *suffix, *text, *want;
    } cases[] = {
        {".jsonl", "{\"id\":\"a\",\"text\":\"x\"}\n\n{\"id\":2,\"text\":\"y\"}", "a:x;2:y;"},
        {".jsonl", "{\"id\":\"a\",\"text\":\n{\"id\":\"b\",\"text\":\"y\"}\n", "!1;b:y;"},
        {".jsonl", "{\"id\":\"a\",\"text\":\"\xff\"}\n{\"text\":\"y\"}\n[1]\n", "!1;line-2:y;!3;"},
        {".jsonl", "\xEF\xBB\xBF{\"id\":\"a\",\"text\":\"x\"}\r\n", "a:x;"},
        {".jsonl", "{\"id\":\"a\",\"id\":\"b\",\"text\":\"x\"}\n{\"id\":\"c\",\"text\":7}\n",
         "!1;!2;"},
        {".csv", "id,text\na,x\nb,\"y, \"\"z\"\"\nw\"\nc,last", "a:x;b:y, \"z\"\nw;c:last;"},
        {".csv", "id;text\r\na;x\r\n\r\nb;y\r\n", "a:x;b:y;"},
        {".csv", "\xEF\xBB\xBFid\ttext\na\tx\n", "a:x;"},
        {".csv", "id,text\na,\"never closed\nb,y\nc,z\n", "!2;b:y;c:z;"},
        {".csv", "id,text\na,x,too many\nb,\xff\nc,z\n", "!2;!3;c:z;"},
        {".csv", "id,text\na,\"x\" y\nb,\"\"\n", "!2;b:;"},
        {".jsonl", "", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        write_file(cases[i].suffix, cases[i].text, strlen(cases[i].text));
        read_all(&out);
        assert_string_equal(out.len > 0 ? out.data : "", cases[i].want);
        buf_done(&out);
    }
}

static void ten_megabyte_row_is_skipped_and_the_next_one_read(void **state)
{
    (void)state;
    static const char tail[] = "\"}\n{\"id\":\"after\",\"text\":\"ok\"}\n";
    static const char head[] = "{\"id\":\"big\",\"text\":\"";
    size_t n = (size_t)10 * 1024 * 1024;
    AUTO_FREE char *text = mem_alloc(n + sizeof(head) + sizeof(tail));
    memset(text, 'x', n + sizeof(head));
    memcpy(text, head, sizeof(head) - 1);
    memcpy(text + n, tail, sizeof(tail) - 1);
    struct buf out;
    buf_init(&out, 4096);
    write_file(".jsonl", text, n + sizeof(tail) - 1);
    read_all(&out);
    assert_string_equal(out.data, "!1;after:ok;");
    buf_done(&out);
}

static void expected_values_come_from_an_object_or_from_columns(void **state)
{
    (void)state;
    struct rows *rows = NULL;
    struct fault why = {0};
    struct ticket t;
    static const char text[] =
        "id,text,expected_queue,expected.priority,expected_empty\na,x,billing,low,\n";
    write_file(".csv", text, sizeof(text) - 1);
    assert_int_equal(rows_open(path, &rows, &why), FAIL_NONE);
    json_t *row AUTO_JSON = NULL;
    assert_int_equal(rows_next(rows, &row, &why), ROWS_ROW);
    assert_int_equal(ticket_read(rows, row, &t, &why), FAIL_NONE);
    assert_string_equal(cli_str(t.expected, "queue"), "billing");
    assert_string_equal(cli_str(t.expected, "priority"), "low");
    assert_int_equal(json_object_size(t.expected), 2);
    json_decref(t.expected);
    rows_close(rows);
    (void)unlink(path);
}

static void html_becomes_the_text_a_person_sees(void **state)
{
    (void)state;
    static const struct {
        const char *html, *want;
    } cases[] = {
        {"<p>Hello,<br>it&rsquo;s <b>5 &lt; 6</b>&nbsp;&#8364; &#x41;</p><p>Bye</p>",
         "Hello,\nit’s 5 < 6 € A\n\nBye"},
        {"<ul><li>one</li><li>two</li></ul>", "- one\n\n- two"},
        {"<style>p{}</style>a<script>alert('<p>')</script>b<!-- c -->", "ab"},
        {"1 < 2 & 3 &unknown; <", "1 < 2 & 3 &unknown; <"},
        {"<p unclosed", "<p unclosed"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out;
        buf_init(&out, 4096);
        html_text(cases[i].html, &out);
        assert_string_equal(out.len > 0 ? out.data : "", cases[i].want);
        buf_done(&out);
    }
    assert_true(html_looks_like("<p>x</p>"));
    assert_false(html_looks_like("if a < b and <this> is text"));
}

static void seen_finds_each_second_id(void **state)
{
    (void)state;
    struct seen *s = seen_new();
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            char id[16];
            (void)snprintf(id, sizeof(id), "T-%d", i);
            assert_int_equal(seen_add(s, id), round == 0);
        }
    }
    seen_free(s);
}

static void trust_needs_fewer_tickets_the_surer_the_field(void **state)
{
    (void)state;
    float confidence[200];
    bool right[200];
    struct try_field f = {.confidence = confidence, .right = right, .n = 200};
    for (int i = 0; i < 200; i++) {
        confidence[i] = 1.0f - (float)i / 400;
        right[i] = true;
    }
    struct try_trust all = try_trust_of(&f, 0.05);
    assert_true(all.reachable);
    assert_int_equal(all.items, 59);
    assert_true(all.share > 0.99);
    for (int i = 100; i < 200; i++) {
        right[i] = i % 2 == 0;
    }
    struct try_trust half = try_trust_of(&f, 0.05);
    assert_true(half.reachable && half.items >= 115 && half.share < 0.6);
    for (int i = 0; i < 200; i++) {
        right[i] = i % 3 != 0;
    }
    struct try_trust none = try_trust_of(&f, 0.05);
    assert_false(none.reachable);
    assert_true(none.best_error > 0.3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_or_named),
        cmocka_unit_test(ten_megabyte_row_is_skipped_and_the_next_one_read),
        cmocka_unit_test(expected_values_come_from_an_object_or_from_columns),
        cmocka_unit_test(html_becomes_the_text_a_person_sees),
        cmocka_unit_test(seen_finds_each_second_id),
        cmocka_unit_test(trust_needs_fewer_tickets_the_surer_the_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
