/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI 3.1 from routes.def: paths, methods, scopes, body caps, and the one error shape. */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#define DESCRIBE_BYTES (1024u * 1024u)

static void put_ref(struct jn_writer *w, const char *key, const char *ref)
{
    jn_key(w, key);
    jn_object_begin(w);
    jn_kv_str(w, "$ref", ref);
    jn_object_end(w);
}

static void put_parameters(struct jn_writer *w, const char *pattern)
{
    jn_key(w, "parameters");
    jn_array_begin(w);
    for (const char *p = strchr(pattern, '{'); p != NULL; p = strchr(p + 1, '{')) {
        size_t n = strcspn(p + 1, "}");
        jn_object_begin(w);
        jn_kv_str(w, "in", "path");
        jn_key(w, "name");
        jn_put_strn(w, p + 1, n);
        jn_kv_bool(w, "required", true);
        jn_key(w, "schema");
        jn_object_begin(w);
        jn_kv_str(w, "type", "string");
        jn_object_end(w);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static const char *scope_name(uint32_t scope)
{
    for (int bit = 0; bit < KEYRING_SCOPE_COUNT; bit++) {
        if (scope == 1u << bit) {
            return keyring_scope_name((enum keyring_scope_bit)bit);
        }
    }
    return NULL;
}

static void put_operation(struct jn_writer *w, const struct wire_route *route)
{
    char method[8] = "";
    for (size_t i = 0; route->method[i] != '\0' && i < sizeof(method) - 1; i++) {
        method[i] = (char)(route->method[i] | 0x20);
    }
    jn_key(w, method);
    jn_object_begin(w);
    jn_kv_str(w, "operationId", route->operation);
    jn_kv_str(w, "summary", route->summary);
    jn_key(w, "tags");
    jn_array_begin(w);
    jn_put_str(w, route->tag);
    jn_array_end(w);
    jn_kv_str(w, "x-scope", scope_name(route->scope));
    jn_kv_str(w, "x-object", policy_object_name((enum policy_object)route->object));
    jn_kv_str(w, "x-rate-class", route->rate);
    jn_kv_str(w, "x-audit-class", route->audit);
    if (strchr(route->pattern, '{') != NULL) {
        put_parameters(w, route->pattern);
    }
    if (route->body_cap == WIRE_BODY_DEFAULT) {
        jn_kv_str(w, "x-body-bytes-max", "limits.body_bytes");
    } else if (route->body_cap > 0) {
        jn_kv_int(w, "x-body-bytes-max", (int64_t)route->body_cap);
    }
    if (route->body_cap > 0) {
        put_ref(w, "requestBody", "#/components/requestBodies/json");
    }
    if (route->scope == 0) {
        jn_key(w, "security");
        jn_array_begin(w);
        jn_array_end(w);
    }
    jn_key(w, "responses");
    jn_object_begin(w);
    put_ref(w, "2XX", "#/components/responses/json");
    put_ref(w, "default", "#/components/responses/error");
    jn_object_end(w);
    jn_object_end(w);
}

static void put_paths(struct jn_writer *w)
{
    size_t n;
    const struct wire_route *routes = api_routes(&n);
    jn_key(w, "paths");
    jn_object_begin(w);
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t k = 0; k < i; k++) {
            seen = seen || strcmp(routes[k].pattern, routes[i].pattern) == 0;
        }
        if (seen) {
            continue;
        }
        jn_key(w, routes[i].pattern);
        jn_object_begin(w);
        for (size_t k = i; k < n; k++) {
            if (strcmp(routes[k].pattern, routes[i].pattern) == 0) {
                put_operation(w, &routes[k]);
            }
        }
        jn_object_end(w);
    }
    jn_object_end(w);
}

static void put_components(struct jn_writer *w)
{
    static const char parts[] =
        "{\"securitySchemes\":{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}},"
        "\"requestBodies\":{\"json\":{\"content\":{\"application/json\":{\"schema\":{}}}}},"
        "\"responses\":{\"json\":{\"description\":\"See docs/reference/api.md\","
        "\"content\":{\"application/json\":{\"schema\":{}}}},"
        "\"error\":{\"description\":\"What happened, where, and what to do\","
        "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/"
        "error\"}}}}},"
        "\"schemas\":{\"error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
        "\"error\":{\"type\":\"object\",\"required\":[\"message\",\"type\",\"code\"],"
        "\"properties\":{"
        "\"message\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"},"
        "\"param\":{\"type\":[\"string\",\"null\"]},\"hint\":{\"type\":[\"string\",\"null\"]},"
        "\"retry_after\":{\"type\":\"integer\"},"
        "\"code\":{\"type\":\"string\",\"enum\":[";
    jn_key(w, "components");
    jn_put_raw(w, parts, sizeof(parts) - 1);
    for (int f = FAIL_NONE + 1; f < FAIL_COUNT; f++) {
        (void)buf_printf(w->out, "%s\"%s\"", f > FAIL_NONE + 1 ? "," : "", fail_name((enum fail)f));
    }
    (void)buf_add_str(w->out, "]}}}}}}}");
}

void api_describe(struct buf *out)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "openapi", "3.1.0");
    jn_key(&w, "info");
    jn_object_begin(&w);
    jn_kv_str(&w, "title", "inhouse");
    jn_kv_str(&w, "version", INHOUSE_VERSION);
    jn_kv_str(&w, "description",
              "Generated from src/http/api/routes.def; docs/reference/api.md explains.");
    jn_object_end(&w);
    jn_key(&w, "security");
    jn_array_begin(&w);
    jn_object_begin(&w);
    jn_key(&w, "key");
    jn_array_begin(&w);
    jn_array_end(&w);
    jn_object_end(&w);
    jn_array_end(&w);
    put_paths(&w);
    put_components(&w);
    jn_object_end(&w);
}

void api_openapi(struct wire_request *r, void *arg)
{
    struct buf body;
    (void)arg;
    buf_init(&body, DESCRIBE_BYTES);
    api_describe(&body);
    wire_reply(r, 200, NULL, &body);
}
