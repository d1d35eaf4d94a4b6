/* SPDX-License-Identifier: Apache-2.0 */
/* Results out: the frame of JSON-RPC, what the server is, forms as tools, answers as content. */
#include <stdio.h>
#include <string.h>

#include "http/mcp/mcp_internal.h"

#define SERVER_INFO "io.modelcontextprotocol/serverInfo"

static const char instructions[] =
    "Each tool is a workflow of this server: it takes a text and gives typed fields, each with a "
    "confidence and the rung of the ladder that answered it. A field whose rung is \"person\" is a "
    "proposal that somebody still has to decide; do not present it as settled. Artifacts hold the "
    "whole of an answer with its checks.";

static void put_implementation(struct jn_writer *w)
{
    jn_object_begin(w);
    jn_kv_str(w, "name", "inhouse");
    jn_kv_str(w, "title", "inhouse");
    jn_kv_str(w, "version", INHOUSE_VERSION);
    jn_object_end(w);
}

static void open_answer(const struct mcp_call *c, struct jn_writer *w, struct buf *out)
{
    jn_begin(w, out, false);
    jn_object_begin(w);
    jn_kv_str(w, "jsonrpc", "2.0");
    jn_key(w, "id");
    jn_put_raw(w, c->id, strlen(c->id));
}

void mcp_result_begin(const struct mcp_call *c, struct jn_writer *w, struct buf *out)
{
    open_answer(c, w, out);
    jn_key(w, "result");
    jn_object_begin(w);
    if (c->modern) {
        jn_kv_str(w, "resultType", "complete");
    }
}

void mcp_result_end(const struct mcp_call *c, struct jn_writer *w, bool cached)
{
    if (c->modern) {
        if (cached) {
            jn_kv_int(w, "ttlMs", c->method == MCP_RESOURCES_READ ? 0 : MCP_LIST_TTL_MS);
            jn_kv_str(w, "cacheScope", "private"); /* which ones show depends on who asks */
        }
        jn_key(w, "_meta");
        jn_object_begin(w);
        jn_key(w, SERVER_INFO);
        put_implementation(w);
        jn_object_end(w);
    }
    jn_object_end(w);
    jn_object_end(w);
}

int mcp_fail(const struct mcp_call *c, enum mcp_error code, const char *message, struct buf *out)
{
    struct jn_writer w;
    open_answer(c, &w, out);
    jn_key(&w, "error");
    jn_object_begin(&w);
    jn_kv_int(&w, "code", (int64_t)code);
    jn_kv_str(&w, "message", message);
    jn_object_end(&w);
    jn_object_end(&w);
    if (code == MCP_ERROR_METHOD && c->modern) {
        return 404;
    }
    bool framing = code == MCP_ERROR_PARSE || code == MCP_ERROR_REQUEST ||
                   code == MCP_ERROR_HEADER || code == MCP_ERROR_VERSION;
    return framing || (c->modern && code == MCP_ERROR_PARAMS) ? 400 : 200;
}

void mcp_put_server(const struct mcp_call *c, struct jn_writer *w)
{
    if (c->method == MCP_INITIALIZE) {
        jn_kv_str(w, "protocolVersion", c->version);
        jn_key(w, "serverInfo");
        put_implementation(w);
    } else {
        jn_key(w, "supportedVersions");
        mcp_put_versions(w);
    }
    jn_key(w, "capabilities");
    jn_object_begin(w);
    jn_key(w, "tools");
    jn_object_begin(w);
    jn_object_end(w);
    jn_key(w, "resources");
    jn_object_begin(w);
    jn_object_end(w);
    jn_object_end(w);
    jn_kv_str(w, "instructions", instructions);
}

/* ---- a form as a tool ---- */

static void put_type(struct jn_writer *w, const char *key, const char *type, const char *describe)
{
    jn_key(w, key);
    jn_object_begin(w);
    jn_kv_str(w, "type", type);
    if (describe != NULL) {
        jn_kv_str(w, "description", describe);
    }
    jn_object_end(w);
}

static void put_nullable(struct jn_writer *w, const char *key, const char *describe)
{
    jn_key(w, key);
    jn_object_begin(w);
    jn_key(w, "type");
    jn_array_begin(w);
    jn_put_str(w, "string");
    jn_put_str(w, "null");
    jn_array_end(w);
    if (describe != NULL) {
        jn_kv_str(w, "description", describe);
    }
    jn_object_end(w);
}

static void put_input_schema(struct jn_writer *w)
{
    jn_object_begin(w);
    jn_kv_str(w, "type", "object");
    jn_key(w, "properties");
    jn_object_begin(w);
    put_type(w, "text", "string", "the text to work on");
    put_type(w, "subject", "string", "its subject line, where it has one");
    put_type(w, "id", "string", "your own id of the item");
    jn_object_end(w);
    jn_key(w, "required");
    jn_array_begin(w);
    jn_put_str(w, "text");
    jn_array_end(w);
    jn_kv_bool(w, "additionalProperties", false);
    jn_object_end(w);
}

static void put_value_schema(struct jn_writer *w, const struct ladder_field *f)
{
    jn_key(w, "value");
    jn_object_begin(w);
    if (f->type == LADDER_CHOICE && !f->labels_learned && f->labels_len > 0) {
        jn_key(w, "enum");
        jn_array_begin(w);
        for (size_t i = 0; i < f->labels_len; i++) {
            jn_put_str(w, f->labels[i].name);
        }
        jn_put_null(w);
        jn_array_end(w);
    } else {
        jn_key(w, "type");
        jn_array_begin(w);
        jn_put_str(w, "string");
        jn_put_str(w, "null");
        jn_array_end(w);
    }
    jn_object_end(w);
}

static void put_field_schema(struct jn_writer *w, const struct ladder_field *f)
{
    jn_key(w, f->name);
    jn_object_begin(w);
    jn_kv_str(w, "type", "object");
    if (f->instruct != NULL) {
        jn_kv_str(w, "description", f->instruct);
    }
    jn_key(w, "properties");
    jn_object_begin(w);
    put_value_schema(w, f);
    put_type(w, "confidence", "number", "0 to 1, calibrated");
    put_type(w, "rung", "string", "who answered; person: somebody has to decide");
    jn_object_end(w);
    jn_key(w, "required");
    jn_array_begin(w);
    jn_put_str(w, "value");
    jn_put_str(w, "confidence");
    jn_put_str(w, "rung");
    jn_array_end(w);
    jn_object_end(w);
}

static void put_output_schema(struct jn_writer *w, const struct ladder_form *form)
{
    jn_object_begin(w);
    jn_kv_str(w, "type", "object");
    jn_key(w, "properties");
    jn_object_begin(w);
    put_type(w, "task", "string", NULL);
    put_nullable(w, "artifact", "what a person reviews; a resource of this server");
    put_type(w, "state", "string", "done, or waiting_person");
    jn_key(w, "fields");
    jn_object_begin(w);
    jn_kv_str(w, "type", "object");
    jn_key(w, "properties");
    jn_object_begin(w);
    for (size_t i = 0; i < form->fields_len; i++) {
        put_field_schema(w, &form->fields[i]);
    }
    jn_object_end(w);
    jn_object_end(w);
    put_nullable(w, "draft", "a first reply, composed from articles; null: there is none");
    jn_object_end(w);
    jn_key(w, "required");
    jn_array_begin(w);
    jn_put_str(w, "task");
    jn_put_str(w, "artifact");
    jn_put_str(w, "state");
    jn_put_str(w, "fields");
    jn_put_str(w, "draft");
    jn_array_end(w);
    jn_object_end(w);
}

void mcp_put_tool(struct jn_writer *w, const struct ladder_form *form)
{
    jn_object_begin(w);
    jn_kv_str(w, "name", form->name);
    jn_kv_str(w, "title", form->title);
    jn_kv_str(w, "description", form->title);
    jn_key(w, "inputSchema");
    put_input_schema(w);
    jn_key(w, "outputSchema");
    put_output_schema(w, form);
    jn_key(w, "annotations"); /* it keeps a record and an artifact, and changes nothing else */
    jn_object_begin(w);
    jn_kv_bool(w, "readOnlyHint", false);
    jn_kv_bool(w, "destructiveHint", false);
    jn_kv_bool(w, "idempotentHint", false);
    jn_kv_bool(w, "openWorldHint", false);
    jn_object_end(w);
    jn_object_end(w);
}

/* ---- an answer as content ---- */

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static void put_structured(struct jn_writer *w, const struct ladder_form *form,
                           const json_t *answer)
{
    const json_t *fields = json_object_get(answer, "fields");
    jn_object_begin(w);
    jn_kv_str(w, "task", text_of(answer, "id"));
    jn_kv_str(w, "artifact", text_of(answer, "artifact"));
    jn_kv_str(w, "state", text_of(answer, "state"));
    jn_key(w, "fields");
    jn_object_begin(w);
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *f = json_array_get(fields, i);
        const char *name = text_of(f, "name");
        if (name == NULL || ladder_field_find(form, name) < 0) {
            continue;
        }
        jn_key(w, name);
        jn_object_begin(w);
        jn_kv_str(w, "value", text_of(f, "value"));
        jn_kv_real(w, "confidence", json_number_value(json_object_get(f, "confidence")), 4);
        jn_kv_str(w, "rung", text_of(f, "rung"));
        jn_object_end(w);
    }
    jn_object_end(w);
    jn_kv_str(w, "draft", text_of(json_object_get(answer, "draft"), "text"));
    jn_object_end(w);
}

static void put_text(struct jn_writer *w, const char *text)
{
    jn_object_begin(w);
    jn_kv_str(w, "type", "text");
    jn_kv_str(w, "text", text);
    jn_object_end(w);
}

void mcp_put_answer(struct jn_writer *w, const struct ladder_form *form, const json_t *answer)
{
    struct jn_writer inner;
    struct buf structured;
    const char *artifact = text_of(answer, "artifact");
    buf_init(&structured, 4 * MCP_BODY_MAX);
    jn_begin(&inner, &structured, false);
    put_structured(&inner, form, answer);
    jn_key(w, "content");
    jn_array_begin(w);
    put_text(w, structured.data); /* for clients that do not read structuredContent */
    if (artifact != NULL) {
        char uri[MCP_NAME_MAX];
        (void)snprintf(uri, sizeof(uri), MCP_ARTIFACT_URI "%s", artifact);
        jn_object_begin(w);
        jn_kv_str(w, "type", "resource_link");
        jn_kv_str(w, "uri", uri);
        jn_kv_str(w, "name", artifact);
        jn_kv_str(w, "mimeType", "application/json");
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_key(w, "structuredContent");
    jn_put_raw(w, structured.data, structured.len);
    jn_kv_bool(w, "isError", false);
    buf_done(&structured);
}

void mcp_put_failure(struct jn_writer *w, const char *message)
{
    jn_key(w, "content");
    jn_array_begin(w);
    put_text(w, message);
    jn_array_end(w);
    jn_kv_bool(w, "isError", true);
}
