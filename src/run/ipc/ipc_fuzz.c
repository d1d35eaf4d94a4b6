/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of run/ipc: bytes as they could come from the other process, in two pieces, read as
 * frames of either side, and as the state of a prefix. Nothing may crash, leak or hand out a frame
 * that breaks the table.
 */
#include "run/ipc/ipc.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_as(enum ipc_side from, const uint8_t *data, size_t size, size_t cut)
{
    struct ipc_reader *reader = ipc_reader_new(from);
    size_t ends[2] = {cut, size};
    size_t at = 0;
    for (int i = 0; i < 2; i++) {
        bool got = ipc_reader_feed(reader, data + at, ends[i] - at, NULL, 0, NULL) == FAIL_NONE;
        at = ends[i];
        struct ipc_frame frame;
        while (got && ipc_reader_next(reader, &frame, &got, NULL) == FAIL_NONE && got) {
            struct ipc_turn turn;
            ASSERT(ipc_header_check(&frame.head, from, NULL) == FAIL_NONE);
            ASSERT(frame.body[frame.head.len] == '\0');
            (void)!ipc_turn_get(&turn, frame.body, frame.head.len, NULL);
        }
    }
    ipc_reader_free(reader);
}

/* The same bytes as a state: what is accepted is written again as it was. */
static void read_state(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new(2 * size + (1u << 20));
    struct ipc_state state;
    if (ipc_state_get(&state, data, size, arena, NULL) == FAIL_NONE) {
        ASSERT(ipc_state_size(&state) == size);
        uint8_t *again = mem_alloc(size);
        ipc_state_put(&state, again);
        ASSERT(memcmp(again, data, size) == 0);
        mem_free(again);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_state(data, size);
    size_t cut = size > 0 ? data[size - 1] % (size + 1) : 0;
    read_as(IPC_SERVER, data, size, cut);
    read_as(IPC_WORKER, data, size, cut);
    return 0;
}
