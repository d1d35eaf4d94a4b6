/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/ipc, the table of messages: names, what each side may send, and the fixed layouts.
 * Owns: nothing. Threads: pure functions. Limits: see messages.def.
 */
#include "run/ipc/ipc_internal.h"

#include <string.h>

#include "base/mem/mem.h"

enum { SENDER_SERVER = IPC_SERVER, SENDER_WORKER = IPC_WORKER };

static const struct ipc_message messages[] = {
#define IPC_MESSAGE(NAME, NUMBER, SENDER, MAX, BODY) {#NAME, NUMBER, SENDER_##SENDER, MAX},
#include "run/ipc/messages.def"
#undef IPC_MESSAGE
};

static const char *const class_names[IPC_CLASS_COUNT] = {"interactive", "workflow", "batch"};

const struct ipc_message *ipc_message_find(unsigned type)
{
    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        if (messages[i].type == type) {
            return &messages[i];
        }
    }
    return NULL;
}

const char *ipc_type_name(unsigned type)
{
    const struct ipc_message *message = ipc_message_find(type);
    return message == NULL ? NULL : message->name;
}

enum ipc_class ipc_class_find(const char *word)
{
    for (int i = 0; i < IPC_CLASS_COUNT; i++) {
        if (word != NULL && strcmp(word, class_names[i]) == 0) {
            return (enum ipc_class)i;
        }
    }
    return IPC_CLASS_COUNT;
}

const char *ipc_class_name(enum ipc_class class)
{
    ASSERT(class < IPC_CLASS_COUNT);
    return class_names[class];
}

enum fail ipc_header_check(const struct ipc_header *head, enum ipc_side sender, struct fault *why)
{
    const struct ipc_message *message = ipc_message_find(head->type);
    if (message == NULL || message->sender != (int)sender) {
        return FAULT(why, FAIL_BAD_REQUEST, "frame of type %u, which this side may not send",
                     head->type);
    }
    if (head->len > message->max) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s frame of %u bytes, more than %u", message->name,
                     head->len, message->max);
    }
    if ((head->flags & ~(unsigned)IPC_FLAG_ALL) != 0 ||
        ((head->flags & IPC_FLAG_FD) != 0) !=
            (head->type == IPC_LOAD || head->type == IPC_ADAPTER || head->type == IPC_STATE) ||
        ((head->flags & IPC_FLAG_BULK) != 0 && head->type != IPC_EMBED)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s frame with flags %#x", message->name, head->flags);
    }
    if ((head->id == 0) != (head->type == IPC_HELLO)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s frame with id %llu", message->name,
                     (unsigned long long)head->id);
    }
    if (message->max == IPC_TURN_BYTES && head->len != IPC_TURN_BYTES) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s frame of %u bytes, not %u", message->name,
                     head->len, IPC_TURN_BYTES);
    }
    return FAIL_NONE;
}

/* Little-endian whatever the machine. */
void ipc_put(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

uint64_t ipc_get(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)in[i] << (8 * i);
    }
    return value;
}

void ipc_turn_put(uint8_t out[IPC_TURN_BYTES], const struct ipc_turn *turn)
{
    ipc_put(out, turn->us, 4);
    ipc_put(out + 4, turn->class, 2);
    ipc_put(out + 6, turn->tokens, 2);
    ipc_put(out + 8, turn->step, 8);
}

enum fail ipc_turn_get(struct ipc_turn *turn, const uint8_t *body, size_t len, struct fault *why)
{
    if (len != IPC_TURN_BYTES) {
        return FAULT(why, FAIL_BAD_REQUEST, "turn of %zu bytes, not %u", len, IPC_TURN_BYTES);
    }
    *turn = (struct ipc_turn){
        .us = (uint32_t)ipc_get(body, 4),
        .class = (uint16_t)ipc_get(body + 4, 2),
        .tokens = (uint16_t)ipc_get(body + 6, 2),
        .step = ipc_get(body + 8, 8),
    };
    if (turn->class >= IPC_CLASS_COUNT) {
        return FAULT(why, FAIL_BAD_REQUEST, "turn of class %u", turn->class);
    }
    return FAIL_NONE;
}
