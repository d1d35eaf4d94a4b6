/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One message in: which era, which method, and whether headers and body say the same (so that what
 * stands between us and the client, and reads headers alone, cannot be told another story).
 */
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/text/text.h"
#include "http/mcp/mcp_internal.h"

#define META "io.modelcontextprotocol/"

static const char *const method_names[MCP_METHOD_COUNT] = {
    [MCP_DISCOVER] = "server/discover",
    [MCP_INITIALIZE] = "initialize",
    [MCP_PING] = "ping",
    [MCP_TOOLS_LIST] = "tools/list",
    [MCP_TOOLS_CALL] = "tools/call",
    [MCP_RESOURCES_LIST] = "resources/list",
    [MCP_RESOURCES_READ] = "resources/read",
    [MCP_TEMPLATES_LIST] = "resources/templates/list",
};
/* Newest first: the first is what a client gets that asked for one we do not know. */
static const char *const legacy_versions[] = {"2025-11-25", "2025-06-18", "2025-03-26"};

const char *mcp_legacy_version(const char *asked)
{
    for (size_t i = 0; asked != NULL && i < COUNT_OF(legacy_versions); i++) {
        if (strcmp(asked, legacy_versions[i]) == 0) {
            return legacy_versions[i];
        }
    }
    return NULL;
}

static enum mcp_method find_method(const char *name)
{
    int i = 0;
    while (i < MCP_METHOD_COUNT && strcmp(method_names[i], name) != 0) {
        i++;
    }
    return (enum mcp_method)i;
}

/* A plain value, or "=?base64?...?=" of it (specification, "Value Encoding"). */
static bool decode_header(const char *value, char *out, size_t room)
{
    static const char begin[] = "=?base64?", end[] = "?=";
    size_t n = strlen(value), len = 0;
    if (n < sizeof(begin) + sizeof(end) - 2 || strncmp(value, begin, sizeof(begin) - 1) != 0 ||
        strcmp(value + n - 2, end) != 0) {
        return text_copy(out, room, value);
    }
    if (sodium_base642bin((unsigned char *)out, room - 1, value + sizeof(begin) - 1,
                          n - sizeof(begin) - sizeof(end) + 2, NULL, &len, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return false;
    }
    out[len] = '\0';
    return strlen(out) == len;
}

static int mismatch(const struct mcp_call *c, const char *header, const char *value,
                    struct buf *error)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "Header mismatch: %s %s", header,
                   value == NULL ? "is missing" : "is not what the body says");
    return mcp_fail(c, MCP_ERROR_HEADER, text, error);
}

static int check_headers(const struct mcp_call *c, const struct mcp_headers *h, const char *version,
                         const char *method, struct buf *error)
{
    char name[MCP_NAME_MAX];
    if (h->version == NULL || strcmp(h->version, version) != 0) {
        return mismatch(c, "MCP-Protocol-Version", h->version, error);
    }
    if (h->method == NULL || strcmp(h->method, method) != 0) {
        return mismatch(c, "Mcp-Method", h->method, error);
    }
    if (c->name != NULL && (h->name == NULL || !decode_header(h->name, name, sizeof(name)) ||
                            strcmp(name, c->name) != 0)) {
        return mismatch(c, "Mcp-Name", h->name, error);
    }
    return 0;
}

static int wrong_version(const struct mcp_call *c, const char *asked, struct buf *error)
{
    struct jn_writer w;
    jn_begin(&w, error, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "jsonrpc", "2.0");
    jn_key(&w, "id");
    jn_put_raw(&w, c->id, strlen(c->id));
    jn_key(&w, "error");
    jn_object_begin(&w);
    jn_kv_int(&w, "code", MCP_ERROR_VERSION);
    jn_kv_str(&w, "message", "Unsupported protocol version");
    jn_key(&w, "data");
    jn_object_begin(&w);
    jn_key(&w, "supported");
    mcp_put_versions(&w);
    jn_kv_str(&w, "requested", asked);
    jn_object_end(&w);
    jn_object_end(&w);
    jn_object_end(&w);
    return 400;
}

void mcp_put_versions(struct jn_writer *w)
{
    jn_array_begin(w);
    jn_put_str(w, MCP_VERSION);
    for (size_t i = 0; i < COUNT_OF(legacy_versions); i++) {
        jn_put_str(w, legacy_versions[i]);
    }
    jn_array_end(w);
}

/* The era and version of a request; 0, or the status of a refusal. */
static int read_era(struct mcp_call *c, const json_t *params, const struct mcp_headers *h,
                    const char *method, struct buf *error)
{
    const json_t *meta = json_object_get(params, "_meta");
    const json_t *stated = json_object_get(meta, META "protocolVersion");
    const char *version = json_string_value(stated);
    if (stated == NULL && (h->version == NULL || mcp_legacy_version(h->version) != NULL)) {
        /* 2025-03-26 had no header yet. */
        (void)text_copy(c->version, sizeof(c->version),
                        h->version != NULL ? h->version : "2025-03-26");
        return 0;
    }
    c->modern = true;
    (void)text_copy(c->version, sizeof(c->version), MCP_VERSION);
    if (stated == NULL && strcmp(h->version, MCP_VERSION) != 0) {
        return wrong_version(c, h->version, error);
    }
    if (version == NULL) {
        return mcp_fail(c, MCP_ERROR_PARAMS,
                        "params._meta must hold " META "protocolVersion, a string", error);
    }
    int refused = check_headers(c, h, version, method, error);
    if (refused != 0) {
        return refused;
    }
    if (strcmp(version, MCP_VERSION) != 0) {
        return wrong_version(c, version, error);
    }
    if (!json_is_object(json_object_get(meta, META "clientCapabilities"))) {
        return mcp_fail(c, MCP_ERROR_PARAMS,
                        "params._meta must hold " META "clientCapabilities, an object", error);
    }
    return 0;
}

/* The id as JSON: a string or an integer. */
static bool read_id(struct mcp_call *c)
{
    const json_t *id = json_object_get(c->body, "id");
    if (!json_is_string(id) && !json_is_integer(id)) {
        return false;
    }
    char *text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT);
    bool good = text != NULL && text_copy(c->id, sizeof(c->id), text);
    free(text); /* tidy: memory: jansson's own */
    return good;
}

/* name or uri, arguments and cursor, where the method has them. */
static const char *read_params(struct mcp_call *c, const json_t *params)
{
    bool tool = c->method == MCP_TOOLS_CALL;
    const json_t *arguments = json_object_get(params, "arguments");
    const json_t *cursor = json_object_get(params, "cursor");
    if (tool || c->method == MCP_RESOURCES_READ) {
        c->name = json_string_value(json_object_get(params, tool ? "name" : "uri"));
        if (c->name == NULL || c->name[0] == '\0' || strlen(c->name) >= MCP_NAME_MAX) {
            return tool ? "params.name must be the name of a tool"
                        : "params.uri must be the URI of a resource";
        }
    }
    if (tool && arguments != NULL && !json_is_object(arguments)) {
        return "params.arguments must be an object";
    }
    if (cursor != NULL && !json_is_string(cursor)) {
        return "params.cursor must be a string";
    }
    c->arguments = tool ? arguments : NULL;
    c->cursor = json_string_value(cursor);
    return NULL;
}

static int read_call(struct mcp_call *c, const struct mcp_headers *h, struct buf *error)
{
    const char *method = json_string_value(json_object_get(c->body, "method"));
    const json_t *params = json_object_get(c->body, "params");
    const char *rpc = json_string_value(json_object_get(c->body, "jsonrpc"));
    if (rpc == NULL || strcmp(rpc, "2.0") != 0 || method == NULL ||
        (params != NULL && !json_is_object(params))) {
        return mcp_fail(c, MCP_ERROR_REQUEST,
                        "not a JSON-RPC 2.0 request: jsonrpc, method and params as an object",
                        error);
    }
    if (json_object_get(c->body, "id") == NULL) {
        return 202; /* initialized, cancelled, progress: nothing here waits for them */
    }
    if (!read_id(c)) {
        return mcp_fail(c, MCP_ERROR_REQUEST, "the id must be a short string or an integer", error);
    }
    c->method = find_method(method);
    const char *wrong = read_params(c, params);
    if (c->method == MCP_INITIALIZE) { /* the handshake of the legacy era */
        const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
        const char *known = mcp_legacy_version(asked);
        (void)text_copy(c->version, sizeof(c->version), known != NULL ? known : legacy_versions[0]);
        return 0;
    }
    int refused = read_era(c, params, h, method, error);
    if (refused != 0) {
        return refused;
    }
    if (c->method == MCP_METHOD_COUNT) {
        return mcp_fail(c, MCP_ERROR_METHOD, "Method not found", error);
    }
    return wrong != NULL ? mcp_fail(c, MCP_ERROR_PARAMS, wrong, error) : 0;
}

int mcp_read(const char *body, size_t len, const struct mcp_headers *h, struct mcp_call *out,
             struct buf *error)
{
    struct fault why;
    *out = (struct mcp_call){.id = "null", .method = MCP_METHOD_COUNT};
    if (len > MCP_BODY_MAX ||
        jn_parse(body, len, "the request body", &out->body, &why) != FAIL_NONE) {
        return mcp_fail(out, MCP_ERROR_PARSE, "the body is no JSON", error);
    }
    int status = json_is_object(out->body)
                     ? read_call(out, h, error)
                     : mcp_fail(out, MCP_ERROR_REQUEST,
                                "one request a POST: batches are not offered", error);
    if (status != 0) {
        mcp_call_done(out);
    }
    return status;
}

void mcp_call_done(struct mcp_call *c)
{
    json_decref(c->body);
    c->body = NULL;
}

bool mcp_origin_is_good(const char *origin, const char *public_url)
{
    static const char *const own[] = {"http://localhost", "http://127.0.0.1", "http://[::1]",
                                      "https://localhost"};
    if (origin == NULL || (public_url[0] != '\0' && strcmp(origin, public_url) == 0)) {
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        size_t n = strlen(own[i]);
        if (strncmp(origin, own[i], n) == 0 &&
            (origin[n] == '\0' || (origin[n] == ':' && strspn(origin + n + 1, "0123456789") ==
                                                           strlen(origin + n + 1)))) {
            return true;
        }
    }
    return false;
}
