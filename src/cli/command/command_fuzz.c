/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the readers of tickets' files (JSON lines, CSV) and of HTML, on any bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/command/command_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_rows(const char *path)
{
    struct rows *rows = NULL;
    struct fault why = {0};
    if (rows_open(path, &rows, &why) != FAIL_NONE) {
        return;
    }
    for (enum rows_state state = ROWS_ROW; state != ROWS_END;) {
        json_t *row AUTO_JSON = NULL;
        struct ticket t;
        state = rows_next(rows, &row, &why);
        ASSERT((state == ROWS_ROW) == (row != NULL));
        if (state == ROWS_ROW && ticket_read(rows, row, &t, &why) == FAIL_NONE) {
            ASSERT(t.text != NULL && t.id[0] != '\0');
            json_decref(t.expected);
        }
    }
    rows_close(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct buf out;
    int fd = memfd_create("rows", MFD_CLOEXEC);
    ASSERT(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    read_rows(path);
    close(fd);
    AUTO_FREE char *text = mem_dup_strn((const char *)data, size);
    buf_init(&out, 4 * size + 64);
    html_text(text, &out);
    (void)html_looks_like(text);
    buf_done(&out);
    return 0;
}
