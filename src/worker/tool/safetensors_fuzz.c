/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the safetensors reader over bytes. What it accepts lies inside the file, to the last
 * element of every tensor.
 */
#include <string.h>

#include "base/mem/mem.h"
#include "worker/tool/tool_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_ends(const struct tool_tensor *t, const uint8_t *data, size_t size)
{
    uint64_t elements = 1;
    float value;
    for (unsigned i = 0; i < t->n_dims; i++) {
        elements *= t->shape[i];
    }
    ASSERT(t->data >= data && t->data + (t->end - t->begin) <= data + size);
    if (t->dtype != TOOL_DTYPE_OTHER && elements > 0) {
        (void)tool_tensor_read(t, 0, 1, &value);
        (void)tool_tensor_read(t, elements - 1, 1, &value);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tool_file file = {.name = "input", .fd = -1, .data = data, .size = size};
    struct tool_safetensors st;
    struct fault why = {0};
    if (tool_safetensors_open(&st, &file, &why) == FAIL_NONE) {
        for (size_t i = 0; i < st.n; i++) {
            read_ends(&st.tensors[i], data, size);
        }
    } else {
        ASSERT(why.message[0] != '\0' && strncmp(why.message, "input: ", 7) == 0);
    }
    tool_safetensors_done(&st);
    return 0;
}
