/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/ipc, writing: frames queue in one capped buffer, push sends what the socket takes.
 * Owns: the buffer and the descriptors that wait for their first byte.
 * Threads: a writer belongs to one. Limits: the cap given at the start, IPC_FDS_MAX descriptors.
 */
#include "run/ipc/ipc_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem/mem.h"

struct waiting_fd {
    int fd;
    size_t at; /* offset in the buffer of the frame's first byte */
};

struct ipc_writer {
    enum ipc_side from;
    struct buf bytes;
    size_t sent; /* bytes at the start already sent, dropped when they pass half of the buffer */
    struct waiting_fd fds[IPC_FDS_MAX];
    size_t n_fds;
};

struct ipc_writer *ipc_writer_new(enum ipc_side from, size_t cap)
{
    struct ipc_writer *writer = mem_alloc(sizeof *writer);
    writer->from = from;
    buf_init(&writer->bytes, cap);
    return writer;
}

void ipc_writer_free(struct ipc_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    for (size_t i = 0; i < writer->n_fds; i++) {
        close(writer->fds[i].fd);
    }
    buf_done(&writer->bytes);
    mem_free(writer);
}

size_t ipc_writer_pending(const struct ipc_writer *writer)
{
    return writer->bytes.len - writer->sent;
}

static void drop_sent(struct ipc_writer *writer)
{
    if (writer->sent == 0) {
        return;
    }
    buf_consume(&writer->bytes, writer->sent);
    for (size_t i = 0; i < writer->n_fds; i++) {
        writer->fds[i].at -= writer->sent;
    }
    writer->sent = 0;
}

enum fail ipc_writer_put(struct ipc_writer *writer, enum ipc_type type, unsigned flags, uint64_t id,
                         const void *body, size_t len, int fd, struct fault *why)
{
    struct ipc_header head = {.type = (uint16_t)type, .id = id};
    head.len = len > UINT32_MAX ? UINT32_MAX : (uint32_t)len;
    head.flags = (uint16_t)(fd >= 0 ? flags | IPC_FLAG_FD : flags);
    enum fail failed = ipc_header_check(&head, writer->from, why);
    if (failed != FAIL_NONE) {
        return failed;
    }
    if (writer->sent > 0 && writer->sent * 2 >= writer->bytes.len) {
        drop_sent(writer);
    }
    if (ipc_writer_pending(writer) + IPC_HEADER_BYTES + len > writer->bytes.cap ||
        (fd >= 0 && writer->n_fds == IPC_FDS_MAX)) {
        return FAULT(why, FAIL_QUEUE_FULL, "%zu bytes already wait for the other process",
                     ipc_writer_pending(writer));
    }
    if (writer->bytes.len + IPC_HEADER_BYTES + len > writer->bytes.cap) {
        drop_sent(writer);
    }
    uint8_t header[IPC_HEADER_BYTES];
    ipc_put(header, head.len, 4);
    ipc_put(header + 4, head.type, 2);
    ipc_put(header + 6, head.flags, 2);
    ipc_put(header + 8, head.id, 8);
    size_t at = writer->bytes.len;
    bool fits = buf_add(&writer->bytes, header, sizeof header);
    fits = (len == 0 || buf_add(&writer->bytes, body, len)) && fits;
    ASSERT(fits);
    if (fd >= 0) {
        writer->fds[writer->n_fds++] = (struct waiting_fd){.fd = fd, .at = at};
    }
    return FAIL_NONE;
}

/* Sends one piece: up to the next descriptor's frame, or from it, with the descriptor. */
static ssize_t send_piece(struct ipc_writer *writer, int socket, bool with_fd)
{
    size_t end = writer->bytes.len;
    size_t next = with_fd ? 1 : 0;
    if (writer->n_fds > next) {
        end = writer->fds[next].at;
    }
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof control);
    struct iovec part = {.iov_base = writer->bytes.data + writer->sent,
                         .iov_len = end - writer->sent};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (with_fd) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &writer->fds[0].fd, sizeof(int));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

enum fail ipc_writer_push(struct ipc_writer *writer, int socket, struct fault *why)
{
    while (ipc_writer_pending(writer) > 0) {
        bool with_fd = writer->n_fds > 0 && writer->fds[0].at == writer->sent;
        ssize_t n = send_piece(writer, socket, with_fd);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return FAIL_NONE;
        }
        if (n < 0) {
            return FAULT_ERRNO(why, FAIL_WORKER_DIED, "cannot write to the other process");
        }
        writer->sent += (size_t)n;
        if (with_fd && n > 0) {
            close(writer->fds[0].fd);
            writer->n_fds--;
            memmove(writer->fds, writer->fds + 1, writer->n_fds * sizeof writer->fds[0]);
        }
    }
    drop_sent(writer);
    return FAIL_NONE;
}
