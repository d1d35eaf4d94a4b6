/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of run/ipc and run/form: bytes as they could come from the other process, in two
 * pieces, read as frames of either side. Nothing may crash, leak or hand out a frame that breaks
 * the table.
 */
#include "run/ipc/ipc.h"

#include <stdlib.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t cut = size > 0 ? data[size - 1] % (size + 1) : 0;
    read_as(IPC_SERVER, data, size, cut);
    read_as(IPC_WORKER, data, size, cut);
    return 0;
}
