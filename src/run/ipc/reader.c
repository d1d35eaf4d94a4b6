/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/ipc, reading: bytes and descriptors in, whole checked frames out.
 * Owns: a buffer of at most two frames and the descriptors no frame has taken yet.
 * Threads: a reader belongs to one. Limits: IPC_FRAME_MAX a body, IPC_FDS_MAX descriptors.
 * Never: hands out a frame whose header was not checked.
 */
#include "run/ipc/ipc_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem/mem.h"

#define PULL_BYTES (64u * 1024u)
#define PULL_MAX (1024u * 1024u)
/* Whole frames are taken after each feed, so what waits is one frame begun and one pull. */
#define READER_CAP (2u * (IPC_FRAME_MAX + IPC_HEADER_BYTES) + PULL_MAX)

struct ipc_reader {
    enum ipc_side from;
    struct buf bytes;
    size_t taken; /* bytes of the frame handed out last, dropped at the next call */
    char saved;   /* the byte that the body's NUL replaced */
    bool sealed;  /* `saved` is in use */
    int fds[IPC_FDS_MAX];
    size_t n_fds;
    enum fail failed;
    struct fault fault;
};

struct ipc_reader *ipc_reader_new(enum ipc_side from)
{
    struct ipc_reader *reader = mem_alloc(sizeof *reader);
    reader->from = from;
    buf_init(&reader->bytes, READER_CAP);
    return reader;
}

void ipc_reader_free(struct ipc_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    for (size_t i = 0; i < reader->n_fds; i++) {
        close(reader->fds[i]);
    }
    buf_done(&reader->bytes);
    mem_free(reader);
}

static enum fail stay_failed(struct ipc_reader *reader, enum fail failed, struct fault *why)
{
    reader->failed = failed;
    if (why != NULL) {
        *why = reader->fault;
    }
    return failed;
}

/* Ends the life of the frame handed out last. */
static void release(struct ipc_reader *reader)
{
    if (reader->sealed) {
        reader->bytes.data[reader->taken] = reader->saved;
        reader->sealed = false;
    }
    if (reader->taken > 0) {
        buf_consume(&reader->bytes, reader->taken);
        reader->taken = 0;
    }
}

enum fail ipc_reader_feed(struct ipc_reader *reader, const void *bytes, size_t len, const int *fds,
                          size_t n_fds, struct fault *why)
{
    release(reader);
    bool room = true;
    for (size_t i = 0; i < n_fds; i++) {
        if (reader->n_fds < IPC_FDS_MAX) {
            reader->fds[reader->n_fds++] = fds[i];
        } else {
            close(fds[i]);
            room = false;
        }
    }
    if (reader->failed != FAIL_NONE) {
        return stay_failed(reader, reader->failed, why);
    }
    if (!room) {
        return stay_failed(reader,
                           FAULT(&reader->fault, FAIL_BAD_REQUEST,
                                 "more than %d descriptors waiting for a frame", IPC_FDS_MAX),
                           why);
    }
    if (len > 0 && !buf_add(&reader->bytes, bytes, len)) {
        return stay_failed(
            reader, FAULT(&reader->fault, FAIL_BAD_REQUEST, "%zu bytes waiting to be read",
                          reader->bytes.len + len),
            why);
    }
    return FAIL_NONE;
}

static size_t take_fds(struct msghdr *message, int *fds, size_t max)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < max) {
                fds[n++] = fd;
            } else {
                close(fd);
            }
        }
    }
    return n;
}

enum fail ipc_reader_pull(struct ipc_reader *reader, int socket, bool *end, struct fault *why)
{
    static __thread char block[PULL_BYTES];
    *end = false;
    if (reader->failed != FAIL_NONE) {
        return stay_failed(reader, reader->failed, why);
    }
    for (size_t total = 0; total < PULL_MAX;) {
        union {
            char bytes[CMSG_SPACE(sizeof(int) * (IPC_FDS_MAX + 1))];
            struct cmsghdr align;
        } control;
        struct iovec part = {.iov_base = block, .iov_len = sizeof block};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.bytes,
                                 .msg_controllen = sizeof control.bytes};
        ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return FAIL_NONE;
        }
        if (n < 0 && errno != ECONNRESET) {
            return FAULT_ERRNO(why, FAIL_WORKER_DIED, "cannot read from the other process");
        }
        if (n <= 0) {
            *end = true;
            return FAIL_NONE;
        }
        int fds[IPC_FDS_MAX + 1];
        size_t n_fds = take_fds(&message, fds, COUNT_OF(fds));
        enum fail failed = ipc_reader_feed(reader, block, (size_t)n, fds, n_fds, why);
        if (failed != FAIL_NONE) {
            return failed;
        }
        total += (size_t)n;
    }
    return FAIL_NONE;
}

static enum fail take_frame(struct ipc_reader *reader, const struct ipc_header *head,
                            struct ipc_frame *out)
{
    out->head = *head;
    out->fd = -1;
    if ((head->flags & IPC_FLAG_FD) != 0) {
        if (reader->n_fds == 0) {
            return FAULT(&reader->fault, FAIL_BAD_REQUEST, "%s frame without its descriptor",
                         ipc_type_name(head->type));
        }
        out->fd = reader->fds[0];
        reader->n_fds--;
        memmove(reader->fds, reader->fds + 1, reader->n_fds * sizeof reader->fds[0]);
    }
    /* The body gets a NUL after it; the byte there belongs to the next frame and is put back. */
    reader->taken = IPC_HEADER_BYTES + head->len;
    reader->saved = reader->bytes.data[reader->taken];
    reader->bytes.data[reader->taken] = '\0';
    reader->sealed = true;
    out->body = (const uint8_t *)reader->bytes.data + IPC_HEADER_BYTES;
    return FAIL_NONE;
}

enum fail ipc_reader_next(struct ipc_reader *reader, struct ipc_frame *out, bool *got,
                          struct fault *why)
{
    *got = false;
    release(reader);
    if (reader->failed != FAIL_NONE) {
        return stay_failed(reader, reader->failed, why);
    }
    if (reader->bytes.len < IPC_HEADER_BYTES) {
        return FAIL_NONE;
    }
    const uint8_t *bytes = (const uint8_t *)reader->bytes.data;
    struct ipc_header head = {
        .len = (uint32_t)ipc_get(bytes, 4),
        .type = (uint16_t)ipc_get(bytes + 4, 2),
        .flags = (uint16_t)ipc_get(bytes + 6, 2),
        .id = ipc_get(bytes + 8, 8),
    };
    enum fail failed = ipc_header_check(&head, reader->from, &reader->fault);
    if (failed == FAIL_NONE && reader->bytes.len >= IPC_HEADER_BYTES + head.len) {
        failed = take_frame(reader, &head, out);
        *got = failed == FAIL_NONE;
    }
    return failed == FAIL_NONE ? FAIL_NONE : stay_failed(reader, failed, why);
}
