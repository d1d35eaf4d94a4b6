/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry: a chat request's body. What decodes must give an ask that is itself one JSON
   object. */
#include "http/openai/openai.h"

#include "base/json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct openai_chat_ask ask;
    struct fault why;
    if (openai_chat_decode((const char *)data, size, 4096, 1, true, &ask, &why) == FAIL_NONE) {
        json_t *j = NULL;
        ASSERT(jn_parse(ask.ask.data, ask.ask.len, "the ask", &j, &why) == FAIL_NONE);
        ASSERT(json_is_object(j));
        json_decref(j);
        openai_chat_ask_done(&ask);
    }
    return 0;
}
