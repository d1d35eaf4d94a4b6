/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse read: what inhouse-reader sees in a document, for people and as JSON. Needs no server.
   Threads: one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "run/reader/reader.h"

/* ---- as JSON ---- */

static void set_number(json_t *o, const char *key, uint64_t v)
{
    if (v != 0) {
        (void)json_object_set_new(o, key, json_integer((json_int_t)v));
    }
}

static json_t *links_of(const struct document_block *b)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < b->links_len; i++) {
        (void)json_array_append_new(
            list, json_pack("{s:i,s:i,s:s}", "begin", (int)b->links[i].begin, "end",
                            (int)b->links[i].end, "target", b->links[i].target));
    }
    return list;
}

static json_t *block_of(const struct document_block *b)
{
    json_t *o =
        json_pack("{s:s,s:s%}", "kind", document_kind_name(b->kind), "text", b->text, b->len);
    set_number(o, "level", b->level);
    set_number(o, "page", b->page);
    set_number(o, "part", b->part);
    set_number(o, "line", b->line);
    set_number(o, "table", b->table);
    set_number(o, "row", b->row);
    set_number(o, "column", b->column);
    if (b->header) {
        (void)json_object_set_new(o, "header", json_true());
    }
    if (b->end > b->begin) {
        (void)json_object_set_new(o, "span", json_pack("[I,I]", (json_int_t)b->begin,
                                                       (json_int_t)b->end));
    }
    if (b->path[0] != '\0') {
        (void)json_object_set_new(o, "path", json_string(b->path));
    }
    if (b->links_len > 0) {
        (void)json_object_set_new(o, "links", links_of(b));
    }
    return o;
}

static json_t *document_json(const struct document *d)
{
    json_t *metas = json_array(), *blocks = json_array(), *files = json_array();
    json_t *warnings = json_array();
    for (size_t i = 0; i < d->metas_len; i++) {
        (void)json_array_append_new(metas, json_pack("{s:s,s:s}", "key",
                                                     document_meta_name(d->metas[i].key), "value",
                                                     d->metas[i].value));
    }
    for (size_t i = 0; i < d->blocks_len; i++) {
        (void)json_array_append_new(blocks, block_of(&d->blocks[i]));
    }
    for (size_t i = 0; i < d->attachments_len; i++) {
        const struct document_attachment *a = &d->attachments[i];
        (void)json_array_append_new(
            files, json_pack("{s:s,s:s,s:I,s:i,s:b}", "name", a->name, "type", a->type, "bytes",
                             (json_int_t)a->len, "part", (int)a->part, "inline", a->is_inline));
    }
    for (size_t i = 0; i < d->warnings_len; i++) {
        (void)json_array_append_new(warnings, json_string(d->warnings[i]));
    }
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "format", d->format, "charset", d->charset,
                     "meta", metas, "blocks", blocks, "attachments", files, "warnings", warnings);
}

/* ---- for people ---- */

/* The frames carry no character that steers a terminal but tab and line feed. */
static void print_block(const struct document_block *b)
{
    static const char *const marks[] = {[DOCUMENT_QUOTE] = "> ", [DOCUMENT_CODE] = "    ",
                                        [DOCUMENT_SIGNATURE] = "-- ", [DOCUMENT_NOTE] = "* "};
    if (b->kind == DOCUMENT_HEADING) {
        printf("\n%.*s %s\n", (int)b->level, "#########", b->text);
    } else if (b->kind == DOCUMENT_ITEM) {
        printf("%*s- %s\n", b->level > 1 ? (int)(2 * b->level - 2) : 0, "", b->text);
    } else if (b->kind == DOCUMENT_CELL) {
        printf("[%u:%u,%u] %s\n", b->table, b->row, b->column, b->text);
    } else if (b->kind == DOCUMENT_VALUE) {
        printf("%s: %s\n", b->path, b->text);
    } else {
        const char *mark = (size_t)b->kind < COUNT_OF(marks) && marks[b->kind] != NULL
                               ? marks[b->kind]
                               : "";
        const char *line = b->text;
        printf("\n");
        for (const char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
            printf("%s%.*s\n", mark, (int)(end - line), line);
        }
        printf("%s%s\n", mark, line);
    }
    for (uint32_t i = 0; i < b->links_len; i++) {
        printf("    -> %s\n", b->links[i].target);
    }
}

static void print_document(const struct document *d)
{
    char bytes[24];
    printf("%-12s %s%s%s\n", "format", d->format, d->charset[0] != '\0' ? ", " : "", d->charset);
    for (size_t i = 0; i < d->metas_len; i++) {
        printf("%-12s %s\n", document_meta_name(d->metas[i].key), d->metas[i].value);
    }
    for (size_t i = 0; i < d->blocks_len; i++) {
        print_block(&d->blocks[i]);
    }
    for (size_t i = 0; i < d->attachments_len; i++) {
        const struct document_attachment *a = &d->attachments[i];
        printf("%s%-12s %s, %s, %s\n", i == 0 ? "\n" : "", "attachment",
               a->name[0] != '\0' ? a->name : "(no name)", a->type,
               cli_bytes((int64_t)a->len, bytes));
    }
}

int command_read(struct cli *cli)
{
    const char *path = cli->words[0];
    const char *name = strrchr(path, '/');
    struct document *d = NULL;
    struct reader_ask ask = {.format = cli_option(cli, "format"),
                             .charset = cli_option(cli, "charset"),
                             .name = name == NULL ? path : name + 1};
    ask.fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (ask.fd < 0) {
        FAULT_ERRNO(&cli->why, FAIL_NOT_FOUND, "%.200s: cannot be opened", path);
        (void)cli_fail(cli, &cli->why);
        return COMMAND_INPUT;
    }
    enum fail f = reader_read(NULL, &ask, &d, &cli->why);
    if (ask.fd != STDIN_FILENO) {
        close(ask.fd);
    }
    if (f != FAIL_NONE) {
        (void)cli_fail(cli, &cli->why);
        return COMMAND_INPUT;
    }
    if (cli->json) {
        json_t *j AUTO_JSON = document_json(d);
        cli_print_json(j);
    } else {
        print_document(d);
    }
    for (size_t i = 0; i < d->warnings_len; i++) {
        cli_note(cli, "note: %s", d->warnings[i]);
    }
    document_free(d);
    return COMMAND_OK;
}
