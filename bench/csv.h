/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV for measurements: a whole file of `text,label` rows under a header, quoted as RFC 4180 says.
 * Owns: the caller owns what is returned. Threads: none shared. Limits: files of at most 64 MiB.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/mem/mem.h"

#define CSV_FILE_MAX ((size_t)64 << 20)

struct csv {
    char *bytes;
    char **text;
    char **label;
    size_t n;
};

/* The file's bytes and a NUL, or NULL with a line on stderr; mem_free. */
static inline char *csv_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return NULL;
    }
    struct buf b;
    buf_init(&b, CSV_FILE_MAX);
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), f)) > 0 && buf_add(&b, part, n)) {
    }
    fclose(f);
    *len = b.len;
    return buf_take(&b);
}

/* One field at *s, unquoted in place; *end is the character that ended it, *s what follows that. */
static inline char *csv_field(char **s, char *end)
{
    char *from = *s;
    char *to = from;
    char *start = from;
    bool quoted = *from == '"';
    from += quoted ? 1 : 0;
    while (*from != 0) {
        if (quoted && from[0] == '"' && from[1] == '"') {
            from++;
        } else if (quoted && *from == '"') {
            quoted = false;
            from++;
            continue;
        } else if (!quoted && (*from == ',' || *from == '\n' || *from == '\r')) {
            break;
        }
        *to++ = *from++;
    }
    *end = *from;
    *s = *from == 0 ? from : from + 1;
    *to = 0;
    return start;
}

static inline bool csv_read(const char *path, struct csv *c)
{
    size_t len;
    c->n = 0;
    c->bytes = csv_file(path, &len);
    if (c->bytes == NULL) {
        return false;
    }
    size_t room = len / 2 + 1;
    c->text = mem_alloc_array(room, sizeof(*c->text));
    c->label = mem_alloc_array(room, sizeof(*c->label));
    char *s = c->bytes + strcspn(c->bytes, "\n"); /* the header */
    s += *s == 0 ? 0 : 1;
    while (*s != 0 && c->n < room) {
        char end;
        char *text = csv_field(&s, &end);
        char *label = end == ',' ? csv_field(&s, &end) : NULL;
        s += end == '\r' && *s == '\n' ? 1 : 0;
        if (label != NULL) {
            c->text[c->n] = text;
            c->label[c->n++] = label;
        }
    }
    return true;
}

static inline void csv_done(struct csv *c)
{
    mem_free(c->bytes);
    mem_free(c->text);
    mem_free(c->label);
}
