/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse audit: the record verified offline, one record shown, one proved. Needs no server.
   Threads: one. */
#include "trust/audit/audit.h"

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

int command_audit_prove(struct cli *cli)
{
    int64_t seq;
    struct fault why;
    struct store_conn *conn = NULL;
    if (!read_seq(cli, &seq)) {
        return COMMAND_USAGE;
    }
    struct audit_proof *p = mem_alloc(sizeof(*p));
    enum fail f = open_record(cli, &conn, &why);
    if (f == FAIL_NONE) {
        f = audit_prove(conn, seq, p, &why);
    }
    store_reader_close(conn);
    if (f == FAIL_NONE) {
        char hex[65];
        json_t *path = json_array();
        for (int i = 0; i < p->hashes_len; i++) {
            text_hex(p->hashes[i], AUDIT_HASH_SIZE, hex);
            (void)json_array_append_new(path, json_string(hex));
        }
        char leaf[65];
        text_hex(p->leaf, AUDIT_HASH_SIZE, leaf);
        text_hex(p->root, AUDIT_HASH_SIZE, hex);
        json_t *j AUTO_JSON = json_pack("{s:I,s:I,s:s,s:s,s:o,s:b}", "seq", (json_int_t)p->seq,
                                        "size", (json_int_t)p->size, "leaf", leaf, "root", hex,
                                        "path", path, "holds", audit_proof_check(p));
        (void)json_dumpf(j, stdout, cli->json ? JSON_COMPACT : JSON_INDENT(2));
        printf("\n");
    }
    mem_free(p);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
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
