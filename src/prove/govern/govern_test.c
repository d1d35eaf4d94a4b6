/* SPDX-License-Identifier: Apache-2.0 */
/* The governance file: figures, what is unknown, what is escaped, and that it follows the facts. */
#include "prove/govern/govern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text/text.h"

static const char facts_text[] =
    "{\"at\":\"2026-11-22T10:00:00.000Z\",\"version\":\"0.1.0\",\"by\":\"local:0\",\"records\":12,"
    "\"oldest_days\":3,\"solo\":\"x\",\"solo_notice\":\"\",\"origin\":\"o\",\"key\":\"k\","
    "\"checkpoint.size\":12,\"checkpoint.root\":\"00\","
    "\"counts\":[{\"kind\":\"answered\",\"n\":9},{\"kind\":\"started\",\"n\":2}],"
    "\"datasets\":[{\"name\":\"help\",\"owner\":\"team desk\",\"label\":\"internal\",\"purpose\":"
    "\"answers | <b>drafts</b>\",\"review_at\":\"2027-01-01T00:00:00.000Z\"},{\"name\":\"raw\"}],"
    "\"readers\":[{\"dataset\":\"help\",\"who\":\"team "
    "sales\",\"how\":\"grant\",\"reason\":\"pilot\","
    "\"granted_by\":\"anna\",\"ends_at\":\"2027-06-01T00:00:00.000Z\"}],"
    "\"keys\":[{\"name\":\"ci\",\"role\":\"admin\",\"revoked_at\":null,\"expires_at\":null},"
    "{\"name\":\"old\",\"role\":\"member\",\"revoked_at\":\"2026-01-01T00:00:00.000Z\"}],"
    "\"roles\":[{\"role\":\"member\",\"scopes\":\"infer work\"}],\"models\":[],\"certificates\":[],"
    "\"left\":[{\"target\":\"w\",\"kind\":\"witness\",\"outside\":true,\"fresh\":true}]}";

static json_t *facts(void)
{
    json_t *j = json_loads(facts_text, 0, NULL);
    assert_non_null(j);
    return j;
}

static void write_(const json_t *j, enum govern_format format, struct buf *out)
{
    buf_init(out, GOVERN_BYTES);
    govern_write(j, format, out);
    assert_false(out->overflow);
}

static void figures_count_what_is_listed(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"records", "12"},        {"records.answered", "9"}, {"records.erased", "0"},
        {"datasets", "2"},        {"datasets.reviewed", "1"}, {"grants", "1"},
        {"keys", "1"},            {"keys.revoked", "1"},     {"keys.unused", "1"},
        {"models", "0"},          {"left", "1"},             {"upstreams", "?"},
        {"nothing", "?"},         {"roles", "member"},       {"kinds", "answered, started"},
    };
    json_t *j = facts();
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        char got[256];
        govern_figure(j, expected[i][0], got, sizeof(got));
        assert_string_equal(got, expected[i][1]);
    }
    json_decref(j);
}

static void what_nobody_said_is_unknown_and_not_empty(void **state)
{
    (void)state;
    struct buf text;
    json_t *j = facts();
    write_(j, GOVERN_MARKDOWN, &text);
    assert_non_null(strstr(text.data, "Unknown: this server did not say (upstreams)."));
    assert_non_null(strstr(text.data, "NOT MET HERE NOW")); /* no model is there */
    assert_non_null(strstr(text.data, "| OWASP LLM 2026 | LLM04 supply chain |"));
    assert_null(strstr(text.data, "{"));
    buf_done(&text);
    json_decref(j);
}

static void text_of_the_house_is_no_markup(void **state)
{
    (void)state;
    struct buf md, html;
    json_t *j = facts();
    write_(j, GOVERN_MARKDOWN, &md);
    write_(j, GOVERN_HTML, &html);
    assert_non_null(strstr(md.data, "answers \\| \\<b\\>drafts\\</b\\>"));
    assert_null(strstr(html.data, "<b>"));
    assert_non_null(strstr(html.data, "&#60;b&#62;drafts"));
    assert_non_null(strstr(html.data, "default-src 'none'"));
    buf_done(&md);
    buf_done(&html);
    json_decref(j);
}

/* The same facts with one of them changed make another file, and only there. */
static void it_changes_with_the_facts(void **state)
{
    (void)state;
    struct buf before, after;
    json_t *j = facts();
    write_(j, GOVERN_MARKDOWN, &before);
    (void)json_array_append_new(json_object_get(j, "models"),
                                json_pack("{s:s,s:s,s:s}", "name", "smol", "role", "light",
                                          "sha256", "abc"));
    (void)json_array_clear(json_object_get(j, "left"));
    write_(j, GOVERN_MARKDOWN, &after);
    assert_null(strstr(before.data, "| smol | light | abc |"));
    assert_non_null(strstr(after.data, "| smol | light | abc |"));
    assert_non_null(strstr(before.data, "1 of 1 places outside"));
    assert_non_null(
        strstr(after.data, "| SOC 2 | evidence | Evidence that holds months later | NOT MET"));
    buf_done(&before);
    buf_done(&after);
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_count_what_is_listed),
        cmocka_unit_test(what_nobody_said_is_unknown_and_not_empty),
        cmocka_unit_test(text_of_the_house_is_no_markup),
        cmocka_unit_test(it_changes_with_the_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
