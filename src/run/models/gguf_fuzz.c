/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the GGUF header checker over bytes. Whatever they are, it answers within its limits
 * and says something; what it accepts keeps the promises the loader relies on.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem/mem.h"
#include "run/models/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct models_facts facts;
    struct fault why = {0};
    if (models_gguf_check_bytes(data, size, "input", &facts, &why) == FAIL_NONE) {
        ASSERT(facts.header_bytes <= size && facts.layers >= 1 && facts.layers <= 512);
        ASSERT(facts.tensors > 0 && facts.width > 0 && facts.arch[0] != '\0');
        ASSERT(text_utf8_is_valid(facts.name, strlen(facts.name)));
    } else {
        ASSERT(why.message[0] != '\0' && strchr(why.message, '\n') == NULL);
    }
    return 0;
}
