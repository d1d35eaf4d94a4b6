/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/ipc: frames between inhoused and one worker over a SOCK_STREAM socketpair.
 * A frame is a 16-byte header, little-endian `u32 len, u16 type, u16 flags, u64 id`, then `len`
 * bytes (<= 1 MiB). The messages are listed in messages.def, their bodies in
 * docs/protocol/worker.md.
 * Owns: frame borders, sizes, directions and descriptors in flight. What a body means belongs to
 * the two ends.
 * Threads: none of its own; a reader or writer belongs to one thread. Nothing here blocks.
 * Limits: IPC_FRAME_MAX a body, the table's cap per message, IPC_FDS_MAX descriptors waiting, the
 * writer's own cap.
 * Never: trust the other side. The first bad frame is the last: the caller ends that worker (or, in
 * a worker, itself).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"

#define IPC_HEADER_BYTES 16u
#define IPC_FRAME_MAX (1024u * 1024u)
#define IPC_JSON_MAX (64u * 1024u)
#define IPC_TURN_BYTES 16u
#define IPC_FDS_MAX 4
/* The worker's end of the socketpair, and where the server puts it before exec. */
#define IPC_WORKER_FD 3

enum ipc_type {
#define IPC_MESSAGE(NAME, NUMBER, SENDER, MAX, BODY) IPC_##NAME = (NUMBER),
#include "run/ipc/messages.def"
#undef IPC_MESSAGE
};

enum ipc_flag {
    IPC_FLAG_FD = 1,   /* a descriptor with the frame's first byte: LOAD, ADAPTER, STATE */
    IPC_FLAG_BULK = 2, /* the body of an EMBED ask is bulk instead of JSON */
    IPC_FLAG_ALL = 3,
};

enum ipc_side { IPC_SERVER, IPC_WORKER };

struct ipc_header {
    uint32_t len;
    uint16_t type;
    uint16_t flags;
    uint64_t id;
};

/* One whole frame. `body` ends with a NUL that is not counted in `head.len`. */
struct ipc_frame {
    struct ipc_header head;
    const uint8_t *body;
    int fd; /* -1, or a descriptor that the receiver of the frame now owns */
};

/* The 16 bytes of TURN, TURN_GRANTED and TURN_DONE. */
struct ipc_turn {
    uint32_t us;     /* TURN: forecast; TURN_GRANTED: lease, 0 = no bound; TURN_DONE: measured */
    uint16_t class;  /* enum ipc_class: the best class with work in this step */
    uint16_t tokens; /* tokens in the step */
    uint64_t step;   /* counts from 1 in each worker; the answer repeats it */
};

enum ipc_class { IPC_INTERACTIVE, IPC_WORKFLOW, IPC_BATCH, IPC_CLASS_COUNT };

/* Static name ("GENERATE"), or NULL for a number that is no message. */
const char *ipc_type_name(unsigned type);
/* "interactive" -> IPC_INTERACTIVE and so on; IPC_CLASS_COUNT when the word is none of them. */
enum ipc_class ipc_class_find(const char *word);
const char *ipc_class_name(enum ipc_class class);

/* Pure: is this header one that `sender` may send? FAIL_BAD_REQUEST with the reason otherwise. */
enum fail ipc_header_check(const struct ipc_header *head, enum ipc_side sender, struct fault *why);

void ipc_turn_put(uint8_t out[IPC_TURN_BYTES], const struct ipc_turn *turn);
/* FAIL_BAD_REQUEST when the length is not 16 or the class is unknown. */
enum fail ipc_turn_get(struct ipc_turn *turn, const uint8_t *body, size_t len, struct fault *why);

/*
 * Reading. `from` is who sends what this reader reads (the server's reader is made with
 * IPC_WORKER). After any error the reader stays failed: every later call returns the same error.
 */
struct ipc_reader;
struct ipc_reader *ipc_reader_new(enum ipc_side from);
/* Closes the descriptors that no frame took. */
void ipc_reader_free(struct ipc_reader *reader);
/* Appends bytes (and descriptors, which it takes over even on failure). Used by tests, fuzzing
   and ipc_reader_pull. */
enum fail ipc_reader_feed(struct ipc_reader *reader, const void *bytes, size_t len, const int *fds,
                          size_t n_fds, struct fault *why);
/*
 * Reads what the socket holds without blocking (MSG_DONTWAIT), at most 1 MiB a call so that one
 * worker cannot hold the loop; with a level-triggered epoll the rest comes next time. *end is set
 * when the other side has closed.
 */
enum fail ipc_reader_pull(struct ipc_reader *reader, int socket, bool *end, struct fault *why);
/*
 * Takes the next whole frame: *got says whether there was one. The body is valid until the next
 * call on this reader. Call until *got is false after each feed or pull.
 */
enum fail ipc_reader_next(struct ipc_reader *reader, struct ipc_frame *out, bool *got,
                          struct fault *why);

/*
 * Writing into a buffer of at most `cap` bytes, emptied by push. A frame is queued whole or not at
 * all.
 */
struct ipc_writer;
struct ipc_writer *ipc_writer_new(enum ipc_side from, size_t cap);
/* Closes descriptors that were queued and not sent. */
void ipc_writer_free(struct ipc_writer *writer);
/*
 * Queues one frame. FAIL_QUEUE_FULL when it does not fit under the cap; FAIL_BAD_REQUEST when
 * ipc_header_check refuses. fd -1: none; otherwise (LOAD, STATE) the writer owns it after success
 * and closes it once sent; IPC_FLAG_FD is set for you.
 */
enum fail ipc_writer_put(struct ipc_writer *writer, enum ipc_type type, unsigned flags, uint64_t id,
                         const void *body, size_t len, int fd, struct fault *why);
/* Sends what the socket takes without blocking. FAIL_WORKER_DIED when the other side is gone. */
enum fail ipc_writer_push(struct ipc_writer *writer, int socket, struct fault *why);
/* Bytes still to send: > 0 means wait for EPOLLOUT / POLLOUT and push again. */
size_t ipc_writer_pending(const struct ipc_writer *writer);

/*
 * The state of a prefix: what a STATE's descriptor holds and lies on disk (state.c has the layout).
 * tokens: from the first of the sequence; scores: log probabilities of the labels of one piece of
 * one form over an empty input; kv: llama.cpp's own bytes.
 */
#define IPC_STATE_TOKENS_MAX 131072
#define IPC_STATE_SCORES_MAX 1024
#define IPC_STATE_LABELS_MAX 256

struct ipc_scores {
    /* digest of domain, prompt and plan; the rows of one form follow each other */
    uint8_t form[32];
    uint16_t piece;
    uint16_t n;
    const double *logp; /* n of them, finite, at most 0 */
};
struct ipc_state {
    const int32_t *tokens;
    uint32_t n_tokens;
    const struct ipc_scores *scores;
    uint32_t n_scores;
    const uint8_t *kv;
    uint64_t kv_bytes;
};
struct arena;
size_t ipc_state_size(const struct ipc_state *state);
/* Writes ipc_state_size bytes. */
void ipc_state_put(const struct ipc_state *state, uint8_t *out);
/* Checks and reads len bytes. Tokens and scores go to the arena (it needs room for twice what they
   take), kv points into bytes. FAIL_BAD_REQUEST with the reason. */
enum fail ipc_state_get(struct ipc_state *out, const uint8_t *bytes, size_t len,
                        struct arena *arena, struct fault *why);
