/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse audit: the record verified offline, one record shown, one proved. Needs no server.
   Threads: one. */
#include "trust/audit/audit.h"

#include <errno.h>
#include <string.h>

#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

static void on_progress(void *arg, int64_t done, int64_t total)
{
    struct progress *bar = arg;
    bar->done = done;
    bar->total = total;
    progress_show(bar, false);
}

static void print_report(struct cli *cli, const struct audit_report *r)
{
    char root[65];
    text_hex(r->root, AUDIT_HASH_SIZE, root);
    if (cli->json) {
        json_t *findings = json_array();
        for (int64_t i = 0; i < r->findings_len && i < AUDIT_FINDINGS_MAX; i++) {
            (void)json_array_append_new(findings, json_pack("{s:I,s:I,s:s}", "first",
                                                            (json_int_t)r->findings[i].first,
                                                            "last", (json_int_t)r->findings[i].last,
                                                            "text", r->findings[i].text));
        }
        json_t *j AUTO_JSON = json_pack(
            "{s:b,s:I,s:I,s:s,s:s,s:f,s:I,s:o}", "ok", r->ok, "records", (json_int_t)r->leaves,
            "checkpoints", (json_int_t)r->checkpoints, "root", root, "key", r->vkey, "ms", r->ms,
            "findings_total", (json_int_t)r->findings_len, "findings", findings);
        cli_print_json(j);
        return;
    }
    printf("%s: %lld records, %lld checkpoints, %.0f ms\n  root %s\n  key  %s\n",
           r->ok ? "The record is whole" : "THE RECORD WAS CHANGED", (long long)r->leaves,
           (long long)r->checkpoints, r->ms, root, r->vkey);
    for (int64_t i = 0; i < r->findings_len && i < AUDIT_FINDINGS_MAX; i++) {
        printf("  %s\n", r->findings[i].text);
    }
    if (r->findings_len > AUDIT_FINDINGS_MAX) {
        printf("  and %lld more\n", (long long)(r->findings_len - AUDIT_FINDINGS_MAX));
    }
}

int command_audit_verify(struct cli *cli)
{
    struct fault why;
    struct progress bar;
    struct buf note;
    struct audit_report *r = mem_alloc(sizeof(*r));
    const char *known = cli_option(cli, "known");
    buf_init(&note, AUDIT_NOTE_MAX * 4);
    progress_begin(&bar, cli, "verifying");
    enum fail f = known != NULL ? cli_read_file(known, &note, &why) : FAIL_NONE;
    struct audit_verify_options o = {.home = cli->home,
                                     .vkey = cli_option(cli, "vkey"),
                                     .known_note = known != NULL ? note.data : NULL,
                                     .progress = on_progress,
                                     .arg = &bar};
    if (f == FAIL_NONE) {
        f = audit_verify(&o, r, &why);
    }
    progress_end(&bar);
    int status = f != FAIL_NONE ? cli_fail(cli, &why) : r->ok ? COMMAND_OK : COMMAND_SOME_FAILED;
    if (f == FAIL_NONE) {
        print_report(cli, r);
    }
    buf_done(&note);
    mem_free(r);
    return status;
}

static bool read_seq(struct cli *cli, int64_t *seq)
{
    if (!text_read_int(cli->words[0], 0, INT64_MAX, seq)) {
        cli_usage(cli, "\"%s\" is no record's number", cli->words[0]);
        return false;
    }
    return true;
}

static enum fail open_record(struct cli *cli, struct store_conn **conn, struct fault *why)
{
    char path[CLIENT_PATH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/data.db", cli->home);
    return store_file_open(path, conn, why);
}

int command_audit_show(struct cli *cli)
{
    int64_t seq;
    struct fault why;
    struct store_conn *conn = NULL;
    struct buf body;
    if (!read_seq(cli, &seq)) {
        return COMMAND_USAGE;
    }
    buf_init(&body, AUDIT_LEAF_MAX + 1);
    enum fail f = open_record(cli, &conn, &why);
    if (f == FAIL_NONE) {
        f = audit_leaf_get(conn, seq, &body, &why);
    }
    store_reader_close(conn);
    if (f == FAIL_NONE && cli->json) {
        printf("%s\n", body.data);
    } else if (f == FAIL_NONE) {
        json_t *j AUTO_JSON = NULL;
        f = jn_parse(body.data, body.len, "the record", &j, &why);
        if (f == FAIL_NONE) {
            (void)json_dumpf(j, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
            printf("\n");
        }
    }
    buf_done(&body);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

/* Text to --out or to standard output. */
static int put_text(struct cli *cli, const struct buf *text)
{
    struct fault why;
    const char *path = cli_option(cli, "out");
    if (path == NULL) {
        (void)fwrite(text->data, 1, text->len, stdout);
        return COMMAND_OK;
    }
    FILE *f = fopen(path, "we");
    bool good = f != NULL && fwrite(text->data, 1, text->len, f) == text->len;
    good = f != NULL && fclose(f) == 0 && good;
    if (!good) {
        FAULT_ERRNO(&why, fail_from_write_errno(errno), "could not write %s", path);
        return cli_fail(cli, &why);
    }
    cli_note(cli, "Written: %s. Anyone with the log's key can check it: tools/verify.py", path);
    return COMMAND_OK;
}

static void print_path(const uint8_t (*hashes)[AUDIT_HASH_SIZE], int n, json_t *j)
{
    char hex[65];
    json_t *path = json_array();
    for (int i = 0; i < n; i++) {
        text_hex(hashes[i], AUDIT_HASH_SIZE, hex);
        (void)json_array_append_new(path, json_string(hex));
    }
    (void)json_object_set_new(j, "path", path);
    cli_print_json(j);
}

static enum fail prove_one(struct cli *cli, struct store_conn *conn, int64_t seq, struct buf *text,
                           struct fault *why)
{
    struct audit_proof *p = mem_alloc(sizeof(*p));
    enum fail f = audit_prove(conn, seq, p, text, why);
    if (f == FAIL_NONE && cli->json) {
        char leaf[65], root[65];
        text_hex(p->leaf, AUDIT_HASH_SIZE, leaf);
        text_hex(p->root, AUDIT_HASH_SIZE, root);
        json_t *j AUTO_JSON =
            json_pack("{s:I,s:I,s:s,s:s,s:s}", "seq", (json_int_t)p->seq, "size",
                      (json_int_t)p->size, "leaf", leaf, "root", root, "proof", text->data);
        print_path((const uint8_t (*)[AUDIT_HASH_SIZE])p->hashes, p->hashes_len, j);
    }
    mem_free(p);
    return f;
}

static enum fail prove_since(struct cli *cli, struct store_conn *conn, const char *path,
                             struct buf *text, struct fault *why)
{
    struct buf note;
    int64_t size = 0;
    uint8_t root[AUDIT_HASH_SIZE];
    struct audit_consistency *p = mem_alloc(sizeof(*p));
    buf_init(&note, AUDIT_NOTES_MAX);
    enum fail f = cli_read_file(path, &note, why);
    f = f != FAIL_NONE ? f : audit_checkpoint_read(note.data, note.len, NULL, &size, root, why);
    f = f != FAIL_NONE ? f : audit_prove_extension(conn, size, root, p, text, why);
    if (f == FAIL_NONE && cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:I,s:I,s:s}", "old", (json_int_t)p->old_size, "size",
                                        (json_int_t)p->new_size, "proof", text->data);
        print_path((const uint8_t (*)[AUDIT_HASH_SIZE])p->hashes, p->hashes_len, j);
    }
    buf_done(&note);
    mem_free(p);
    return f;
}

int command_audit_prove(struct cli *cli)
{
    int64_t seq = -1;
    struct fault why;
    struct store_conn *conn = NULL;
    struct buf text;
    const char *since = cli_option(cli, "since");
    if ((cli->words_len == 1) == (since != NULL)) {
        return cli_usage(cli, "give a record's number, or --since with a checkpoint");
    }
    if (since == NULL && !read_seq(cli, &seq)) {
        return COMMAND_USAGE;
    }
    buf_init(&text, AUDIT_PROOF_TEXT_MAX);
    enum fail f = open_record(cli, &conn, &why);
    if (f == FAIL_NONE) {
        f = since != NULL ? prove_since(cli, conn, since, &text, &why)
                          : prove_one(cli, conn, seq, &text, &why);
    }
    store_reader_close(conn);
    int status = f != FAIL_NONE                              ? cli_fail(cli, &why)
                 : cli->json && cli_option(cli, "out") == NULL ? COMMAND_OK
                                                             : put_text(cli, &text);
    buf_done(&text);
    return status;
}

int command_audit_checkpoint(struct cli *cli)
{
    struct fault why;
    struct store_conn *conn = NULL;
    struct buf note;
    buf_init(&note, AUDIT_NOTE_MAX * 4);
    enum fail f = open_record(cli, &conn, &why);
    if (f == FAIL_NONE) {
        f = audit_checkpoint_get(conn, &note, &why);
    }
    store_reader_close(conn);
    if (f == FAIL_NONE && cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:s}", "checkpoint", note.data);
        cli_print_json(j);
    } else if (f == FAIL_NONE) {
        fputs(note.data, stdout);
    }
    buf_done(&note);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}
