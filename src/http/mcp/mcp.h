/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mcp: the Model Context Protocol over HTTP, one POST an exchange. Bytes in, a call out; results
 * and errors as its JSON-RPC. What a call does is the caller's business.
 *
 * Two eras on one path (specification 2026-07-28, "dual-era"). Modern: every request says its
 * version and capabilities in params._meta, mirrored in headers; nothing is remembered. Legacy
 * (2025-03-26, 2025-06-18, 2025-11-25): `initialize` is answered without a session, and what
 * follows needs none. Batches, server-sent events and subscriptions are not offered.
 *
 * Owns: a call's body. Threads: pure, any thread. Nothing blocks.
 * Limits: a body of MCP_BODY_MAX, names of MCP_NAME_MAX bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "answer/ladder/ladder.h"
#include "base/json/json.h"
#include "base/mem/mem.h"

#define MCP_VERSION "2026-07-28"
#define MCP_BODY_MAX ((size_t)1 << 20)
#define MCP_NAME_MAX 512
#define MCP_LIST_TTL_MS 60000

/* JSON-RPC 2.0 section 5.1; the last two are the specification's own. */
enum mcp_error {
    MCP_ERROR_PARSE = -32700,
    MCP_ERROR_REQUEST = -32600,
    MCP_ERROR_METHOD = -32601,
    MCP_ERROR_PARAMS = -32602,
    MCP_ERROR_INTERNAL = -32603,
    MCP_ERROR_LEGACY_RESOURCE = -32002, /* legacy era alone: no such resource */
    MCP_ERROR_HEADER = -32020,
    MCP_ERROR_VERSION = -32022
};

enum mcp_method {
    MCP_DISCOVER,
    MCP_INITIALIZE,
    MCP_PING,
    MCP_TOOLS_LIST,
    MCP_TOOLS_CALL,
    MCP_RESOURCES_LIST,
    MCP_RESOURCES_READ,
    MCP_TEMPLATES_LIST,
    MCP_METHOD_COUNT
};

/* Of the HTTP request; NULL where there is none. */
struct mcp_headers {
    const char *version; /* MCP-Protocol-Version */
    const char *method;  /* Mcp-Method */
    const char *name;    /* Mcp-Name */
};

struct mcp_call {
    enum mcp_method method;
    bool modern;
    char version[16];          /* the one it is answered under */
    json_t *body;              /* the strings and arguments below live in it */
    const char *name;          /* of the tool, or the resource's URI; NULL for other methods */
    const json_t *arguments;   /* of a tool: an object, or NULL */
    const char *cursor;        /* of a list, or NULL */
    char id[MCP_NAME_MAX + 8]; /* as JSON */
};

/*
 * Reads one message. 0: *out is a call, to be freed with mcp_call_done. 202: a notification, to be
 * answered with that status and no body. Else the HTTP status (200, 400, 404) of the body in
 * *error.
 */
int mcp_read(const char *body, size_t len, const struct mcp_headers *h, struct mcp_call *out,
             struct buf *error);
void mcp_call_done(struct mcp_call *c);

/* May a page of this origin talk to us? Without an Origin header, from this machine's own names,
   or from public_url ("" is none). A page that had its name point here (DNS rebinding) may not. */
bool mcp_origin_is_good(const char *origin, const char *public_url);

/* Opens the answer and its "result" object; whatever is put there follows. list: how it may be
   cached (MCP_LIST_TTL_MS, by this caller alone). */
void mcp_result_begin(const struct mcp_call *c, struct jn_writer *w, struct buf *out);
void mcp_result_end(const struct mcp_call *c, struct jn_writer *w, bool cached);
/* A whole error answer; gives its HTTP status: 200, but 400 and 404 where the modern era asks for
   it. */
int mcp_fail(const struct mcp_call *c, enum mcp_error code, const char *message, struct buf *out);

/* server/discover or initialize: what there is here. */
void mcp_put_server(const struct mcp_call *c, struct jn_writer *w);

/* One form as a tool: its name, what goes in, and its fields as the output schema. */
void mcp_put_tool(struct jn_writer *w, const struct ladder_form *form);
/* A tool's result from a task's answer (docs/reference/task.md): content and structuredContent
   that fits the tool's output schema. */
void mcp_put_answer(struct jn_writer *w, const struct ladder_form *form, const json_t *answer);
/* A tool that ran and failed: the model is to read why. */
void mcp_put_failure(struct jn_writer *w, const char *message);

/* "inhouse://artifacts/art_..." */
#define MCP_ARTIFACT_URI "inhouse://artifacts/"
