/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/ipc, shared by its files: the table's rows and little-endian numbers.
 * Owns: nothing. Threads: pure functions.
 */
#pragma once

#include "run/ipc/ipc.h"

struct ipc_message {
    const char *name;
    uint16_t type;
    int sender;
    uint32_t max;
};

/* NULL when the number is no message. */
const struct ipc_message *ipc_message_find(unsigned type);
/* The low `bytes` bytes of value, little-endian. */
void ipc_put(uint8_t *out, uint64_t value, size_t bytes);
uint64_t ipc_get(const uint8_t *in, size_t bytes);
