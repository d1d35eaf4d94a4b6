/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry: one message. The first line stands for the headers, parted by bars; the rest is the
   body. Whatever comes: a call whose name is whole, or an error that is JSON. */
#include "http/mcp/mcp.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = mem_dup_strn((const char *)data, size);
    char *body = strchr(text, '\n');
    char *part[3] = {NULL, NULL, NULL};
    struct buf error;
    struct mcp_call call;
    body = body != NULL ? body + 1 : text;
    if (body != text) {
        char *rest = text;
        body[-1] = '\0';
        for (size_t i = 0; i < COUNT_OF(part); i++) {
            part[i] = strsep(&rest, "|");
            part[i] = part[i] != NULL && part[i][0] != '\0' ? part[i] : NULL;
        }
    }
    struct mcp_headers h = {part[0], part[1], part[2]};
    buf_init(&error, MCP_BODY_MAX);
    int status = mcp_read(body, strlen(body), &h, &call, &error);
    if (status == 0) {
        bool named = call.method == MCP_TOOLS_CALL || call.method == MCP_RESOURCES_READ;
        ASSERT(call.method < MCP_METHOD_COUNT && named == (call.name != NULL));
        mcp_call_done(&call);
    } else if (status != 202) {
        json_t *said = NULL;
        struct fault why;
        ASSERT(status == 200 || status == 400 || status == 404);
        ASSERT(jn_parse(error.data, error.len, "error", &said, &why) == FAIL_NONE);
        ASSERT(json_is_integer(json_object_get(json_object_get(said, "error"), "code")));
        json_decref(said);
    }
    buf_done(&error);
    mem_free(text);
    return 0;
}
