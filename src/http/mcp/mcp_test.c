/* SPDX-License-Identifier: Apache-2.0 */
/* Two eras on one path; headers and body must agree; a form is a tool whose answers fit it. */
#include "http/mcp/mcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define META(version)                                                                              \
    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"" version                            \
    "\",\"io.modelcontextprotocol/clientCapabilities\":{}}"
#define REQUEST(method, params)                                                                    \
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"" method "\",\"params\":{" params "}}"

static struct buf out;
static struct mcp_call call;
static json_t *said;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, 8 * MCP_BODY_MAX);
    call = (struct mcp_call){.body = NULL};
    said = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    mcp_call_done(&call);
    json_decref(said);
    buf_done(&out);
    return 0;
}

static int read_text(const char *body, const char *version, const char *method, const char *name)
{
    struct mcp_headers h = {version, method, name};
    buf_clear(&out);
    mcp_call_done(&call);
    return mcp_read(body, strlen(body), &h, &call, &out);
}

/* What was written, as JSON. */
static const json_t *written(void)
{
    struct fault why;
    json_decref(said);
    said = NULL;
    if (jn_parse(out.data, out.len, "what was written", &said, &why) != FAIL_NONE) {
        fail_msg("%s: %s", why.message, out.data);
    }
    return said;
}

static int64_t code(void)
{
    return json_integer_value(json_object_get(json_object_get(written(), "error"), "code"));
}

static void a_modern_request_says_all_it_needs(void **state)
{
    (void)state;
    assert_int_equal(read_text(REQUEST("tools/call", META("2026-07-28")
                                       ",\"name\":\"triage\",\"arguments\":{\"text\":\"x\"}"),
                               "2026-07-28", "tools/call", "triage"),
                     0);
    assert_int_equal(call.method, MCP_TOOLS_CALL);
    assert_true(call.modern);
    assert_string_equal(call.name, "triage");
    assert_string_equal(call.id, "7");
    assert_string_equal(json_string_value(json_object_get(call.arguments, "text")), "x");
    assert_int_equal(read_text(REQUEST("tools/call", META("2026-07-28") ",\"name\":\"größe\""),
                               "2026-07-28", "tools/call", "=?base64?Z3LDtsOfZQ==?="),
                     0);
}

static void headers_must_say_what_the_body_says(void **state)
{
    (void)state;
    static const char list[] = REQUEST("tools/list", META("2026-07-28"));
    static const char tool[] = REQUEST("tools/call", META("2026-07-28") ",\"name\":\"triage\"");
    static const struct {
        const char *body, *version, *method, *name;
    } bad[] = {
        {list, NULL, "tools/list", NULL},
        {list, "2025-11-25", "tools/list", NULL},
        {list, "2026-07-28", NULL, NULL},
        {list, "2026-07-28", "tools/call", NULL},
        {tool, "2026-07-28", "tools/call", NULL},
        {tool, "2026-07-28", "tools/call", "other"},
        {tool, "2026-07-28", "tools/call", "=?base64?b3RoZXI=?="},
        {tool, "2026-07-28", "tools/call", "=?base64?***?="},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(read_text(bad[i].body, bad[i].version, bad[i].method, bad[i].name), 400);
        assert_int_equal(code(), MCP_ERROR_HEADER);
    }
}

static void an_unknown_version_is_told_which_are_known(void **state)
{
    (void)state;
    assert_int_equal(read_text(REQUEST("tools/list", META("1900-01-01")), "1900-01-01",
                               "tools/list", NULL),
                     400);
    assert_int_equal(code(), MCP_ERROR_VERSION);
    const json_t *data = json_object_get(json_object_get(written(), "error"), "data");
    assert_string_equal(json_string_value(json_object_get(data, "requested")), "1900-01-01");
    assert_int_equal(json_array_size(json_object_get(data, "supported")), 4);
    assert_int_equal(read_text(REQUEST("tools/list", ""), "1900-01-01", NULL, NULL), 400);
    assert_int_equal(code(), MCP_ERROR_VERSION);
}

static void what_a_modern_request_leaves_out_is_named(void **state)
{
    (void)state;
    assert_int_equal(read_text(REQUEST("tools/list", ""), "2026-07-28", "tools/list", NULL), 400);
    assert_int_equal(code(), MCP_ERROR_PARAMS);
    assert_int_equal(
        read_text(REQUEST("tools/list", "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":"
                                        "\"2026-07-28\"}"),
                  "2026-07-28", "tools/list", NULL),
        400);
    assert_int_equal(code(), MCP_ERROR_PARAMS);
    assert_int_equal(read_text(REQUEST("tools/call", META("2026-07-28")), "2026-07-28",
                               "tools/call", "x"),
                     400);
    assert_int_equal(code(), MCP_ERROR_PARAMS);
    assert_int_equal(read_text(REQUEST("prompts/list", META("2026-07-28")), "2026-07-28",
                               "prompts/list", NULL),
                     404);
    assert_int_equal(code(), MCP_ERROR_METHOD);
}

static void a_legacy_client_gets_its_handshake(void **state)
{
    (void)state;
    struct jn_writer w;
    assert_int_equal(read_text(REQUEST("initialize", "\"protocolVersion\":\"2025-06-18\""), NULL,
                               NULL, NULL),
                     0);
    assert_false(call.modern);
    mcp_result_begin(&call, &w, &out);
    mcp_put_server(&call, &w);
    mcp_result_end(&call, &w, false);
    const json_t *result = json_object_get(written(), "result");
    assert_string_equal(json_string_value(json_object_get(result, "protocolVersion")),
                        "2025-06-18");
    assert_null(json_object_get(result, "resultType"));
    /* one of tomorrow is offered our newest of that era */
    assert_int_equal(read_text(REQUEST("initialize", "\"protocolVersion\":\"2031-01-01\""), NULL,
                               NULL, NULL),
                     0);
    assert_string_equal(call.version, "2025-11-25");
    assert_int_equal(read_text("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}",
                               "2025-11-25", NULL, NULL),
                     202);
    assert_int_equal(read_text(REQUEST("tools/list", ""), "2025-11-25", NULL, NULL), 0);
    assert_int_equal(read_text(REQUEST("prompts/list", ""), "2025-11-25", NULL, NULL), 200);
    assert_int_equal(code(), MCP_ERROR_METHOD);
}

static void what_is_no_request_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int code;
    } bad[] = {
        {"", MCP_ERROR_PARSE},
        {"{", MCP_ERROR_PARSE},
        {"[]", MCP_ERROR_REQUEST},
        {"[" REQUEST("ping", "") "]", MCP_ERROR_REQUEST},
        {"{\"id\":1,\"method\":\"ping\"}", MCP_ERROR_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", MCP_ERROR_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}", MCP_ERROR_REQUEST},
        {"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}", MCP_ERROR_REQUEST},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(read_text(bad[i].body, NULL, NULL, NULL), 400);
        assert_int_equal(code(), bad[i].code);
    }
}

static void only_pages_of_our_own_may_talk_to_us(void **state)
{
    (void)state;
    assert_true(mcp_origin_is_good(NULL, ""));
    assert_true(mcp_origin_is_good("http://localhost:8460", ""));
    assert_true(mcp_origin_is_good("http://127.0.0.1", ""));
    assert_true(mcp_origin_is_good("https://inhouse.example", "https://inhouse.example"));
    assert_false(mcp_origin_is_good("https://inhouse.example", ""));
    assert_false(mcp_origin_is_good("http://localhost.evil.example", ""));
    assert_false(mcp_origin_is_good("http://localhost:80@evil.example", ""));
    assert_false(mcp_origin_is_good("null", ""));
    assert_false(mcp_origin_is_good("", ""));
}

static void an_answer_fits_its_tools_schema(void **state)
{
    (void)state;
    static const char answer[] =
        "{\"id\":\"tsk_1\",\"artifact\":\"art_1\",\"state\":\"waiting_person\",\"fields\":["
        "{\"name\":\"queue\",\"value\":\"cards\",\"confidence\":0.97,\"rung\":\"learned\"},"
        "{\"name\":\"gone\",\"value\":\"x\",\"confidence\":1,\"rung\":\"rule\"}],"
        "\"draft\":{\"text\":\"Hello\"}}";
    struct ladder_label labels[] = {{"cards", NULL}, {"loans", NULL}};
    struct ladder_form form = {.name = "triage", .title = "Sort", .fields_len = 1};
    struct jn_writer w;
    struct fault why;
    json_t *task = NULL;
    form.fields[0] =
        (struct ladder_field){.name = "queue", .type = LADDER_CHOICE, .labels = labels,
                              .labels_len = 2};
    jn_begin(&w, &out, false);
    mcp_put_tool(&w, &form);
    const json_t *schema = json_object_get(written(), "outputSchema");
    const json_t *fields =
        json_object_get(json_object_get(json_object_get(schema, "properties"), "fields"),
                        "properties");
    const json_t *queue =
        json_object_get(json_object_get(json_object_get(fields, "queue"), "properties"), "value");
    assert_int_equal(json_array_size(json_object_get(queue, "enum")), 3); /* and null */

    assert_int_equal(jn_parse(answer, strlen(answer), "x", &task, &why), FAIL_NONE);
    buf_clear(&out);
    call.modern = true;
    (void)snprintf(call.id, sizeof(call.id), "\"a\"");
    mcp_result_begin(&call, &w, &out);
    mcp_put_answer(&w, &form, task);
    mcp_result_end(&call, &w, false);
    json_decref(task);
    const json_t *result = json_object_get(written(), "result");
    const json_t *structured = json_object_get(result, "structuredContent");
    assert_string_equal(json_string_value(json_object_get(result, "resultType")), "complete");
    assert_int_equal(json_object_size(json_object_get(structured, "fields")), 1);
    assert_string_equal(json_string_value(json_object_get(structured, "draft")), "Hello");
    const json_t *content = json_object_get(result, "content");
    assert_string_equal(json_string_value(json_object_get(json_array_get(content, 1), "uri")),
                        MCP_ARTIFACT_URI "art_1");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_modern_request_says_all_it_needs),
        TEST(headers_must_say_what_the_body_says),
        TEST(an_unknown_version_is_told_which_are_known),
        TEST(what_a_modern_request_leaves_out_is_named),
        TEST(a_legacy_client_gets_its_handshake),
        TEST(what_is_no_request_is_refused),
        TEST(only_pages_of_our_own_may_talk_to_us),
        TEST(an_answer_fits_its_tools_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
