/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse backup, restore, keys master: copies of the data folder, and the key that stands outside
   of them. Work on the folder itself. Threads: one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "run/models/models.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"

#define PATH_ROOM (CLIENT_PATH_SIZE + 64)

static void join(char out[PATH_ROOM], const char *folder, const char *name)
{
    (void)snprintf(out, PATH_ROOM, "%.*s/%s", CLIENT_PATH_SIZE - 1, folder, name);
}

static enum fail make_folder(const char *path, struct fault *why)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST
               ? FAIL_NONE
               : FAULT_ERRNO(why, fail_from_write_errno(errno), "could not make %s", path);
}

/* ---- copies ---- */

/* A consistent copy of a database, also beside a running server. */
static enum fail copy_database(const char *from, const char *to, struct fault *why)
{
    struct store_conn *c = NULL;
    enum fail f = access(to, F_OK) == 0
                      ? FAULT(why, FAIL_CONFLICT, "%s is there already: take another folder", to)
                      : store_file_open(from, &c, why);
    f = f != FAIL_NONE ? f : store_copy(c, to, why);
    store_reader_close(c);
    int fd = f == FAIL_NONE ? open(to, O_RDONLY | O_CLOEXEC) : -1;
    if (f == FAIL_NONE && (fd < 0 || fchmod(fd, 0600) != 0 || fsync(fd) != 0)) {
        f = FAULT_ERRNO(why, FAIL_INTERNAL, "could not finish %s", to);
    }
    if (fd >= 0) {
        close(fd);
    }
    return f;
}

/* A small file; FAIL_NONE when there is none to copy. */
static enum fail copy_file(const char *from, const char *to, struct fault *why)
{
    struct buf b;
    buf_init(&b, (size_t)64 << 20);
    enum fail f = access(from, F_OK) == 0 ? cli_read_file(from, &b, why) : FAIL_NONE;
    if (f == FAIL_NONE && b.len > 0) {
        int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        bool good = fd >= 0 && write(fd, b.data, b.len) == (ssize_t)b.len && fsync(fd) == 0;
        if (fd >= 0) {
            close(fd);
        }
        f = good ? FAIL_NONE
                 : FAULT_ERRNO(why, fail_from_write_errno(errno), "could not write %s", to);
    }
    buf_done(&b);
    return f;
}

static void on_progress(void *arg, int64_t done, int64_t total)
{
    struct progress *bar = arg;
    bar->done = done;
    bar->total = total;
    progress_show(bar, false);
}

/* The record in `folder`/data.db against a key; whole, or why not. */
static enum fail verify_copy(struct cli *cli, const char *folder, const char *vkey,
                             struct audit_report *r, struct fault *why)
{
    struct progress bar;
    struct audit_verify_options o = {
        .home = folder, .vkey = vkey, .progress = on_progress, .arg = &bar};
    progress_begin(&bar, cli, "verifying the copy");
    enum fail f = audit_verify(&o, r, why);
    progress_end(&bar);
    if (f == FAIL_NONE && !r->ok) {
        FAULT(why, FAIL_CONFLICT, "the record of the copy is not whole: %.200s",
              r->findings[0].text);
        f = fail_hint(why, "Run `inhouse audit verify` on the data folder it is of.");
    }
    return f;
}

static const char *const beside_keys[] = {"master.box", "master.recovery", "erasures"};

static enum fail copy_keys(struct cli *cli, const char *keys, struct fault *why)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    join(from, cli->home, "keys.db");
    join(to, keys, "keys.db");
    enum fail f = copy_database(from, to, why);
    for (size_t i = 0; i < COUNT_OF(beside_keys) && f == FAIL_NONE; i++) {
        join(from, cli->home, beside_keys[i]);
        join(to, keys, beside_keys[i]);
        f = copy_file(from, to, why);
    }
    join(to, keys, "keys.db");
    return f != FAIL_NONE ? f : audit_copy_note(cli->home, to, why);
}

int command_backup(struct cli *cli)
{
    char from[PATH_ROOM], to[PATH_ROOM], vkey[AUDIT_VKEY_SIZE];
    struct fault why;
    const char *out = cli_option(cli, "out"), *keys = cli_option(cli, "keys");
    if (out == NULL || keys == NULL || strcmp(out, keys) == 0) {
        return cli_usage(cli, "say --out DIR and --keys DIR, two folders: the keys are kept apart "
                              "from what they open");
    }
    struct audit_report *r = mem_alloc(sizeof(*r));
    enum fail f = make_folder(out, &why);
    f = f != FAIL_NONE ? f : make_folder(keys, &why);
    join(from, cli->home, "data.db");
    join(to, out, "data.db");
    f = f != FAIL_NONE ? f : copy_database(from, to, &why);
    f = f != FAIL_NONE ? f : copy_keys(cli, keys, &why);
    f = f != FAIL_NONE ? f : audit_key_read(keys, vkey, &why);
    f = f != FAIL_NONE ? f : verify_copy(cli, out, vkey, r, &why);
    if (f == FAIL_NONE && cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:s,s:s,s:I,s:s}", "data", to, "keys", keys, "records",
                                        (json_int_t)r->leaves, "key", vkey);
        cli_print_json(j);
    } else if (f == FAIL_NONE) {
        printf(
            "%lld records in %s, verified; keys in %s\nNot in it: master.key (keep it elsewhere), "
            "model files (models/, named by their sha256), inhouse.yaml\n",
            (long long)r->leaves, out, keys);
    }
    mem_free(r);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

/* ---- restore ---- */

static enum fail put_aside(struct cli *cli, char aside[PATH_ROOM], struct fault *why)
{
    static const char *const names[] = {"data.db", "data.db-wal", "data.db-shm",
                                        "keys.db", "keys.db-wal", "keys.db-shm", "master.box"};
    char from[PATH_ROOM], to[PATH_ROOM + 32], name[64];
    (void)snprintf(name, sizeof(name), "before-restore-%lld", (long long)(clock_now_us() / 1000));
    join(aside, cli->home, name);
    enum fail f = make_folder(aside, why);
    for (size_t i = 0; i < COUNT_OF(names) && f == FAIL_NONE; i++) {
        join(from, cli->home, names[i]);
        (void)snprintf(to, sizeof(to), "%s/%s", aside, names[i]);
        if (rename(from, to) != 0 && errno != ENOENT) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "could not move %s aside", from);
        }
    }
    return f;
}

static enum fail put_back(struct cli *cli, const char *data, const char *keys, struct fault *why)
{
    char from[PATH_ROOM], to[PATH_ROOM];
    join(from, data, "data.db");
    join(to, cli->home, "data.db");
    enum fail f = copy_database(from, to, why);
    join(from, keys, "keys.db");
    join(to, cli->home, "keys.db");
    f = f != FAIL_NONE ? f : copy_database(from, to, why);
    join(from, keys, "master.box");
    join(to, cli->home, "master.box");
    f = f != FAIL_NONE ? f : copy_file(from, to, why);
    join(from, keys, "master.recovery");
    join(to, cli->home, "master.recovery");
    return f != FAIL_NONE || access(to, F_OK) == 0 ? f : copy_file(from, to, why);
}

int command_restore(struct cli *cli)
{
    char vkey[AUDIT_VKEY_SIZE], aside[PATH_ROOM], list[PATH_ROOM];
    struct fault why;
    int64_t again = 0, more = 0;
    const char *data = cli->words[0], *keys = cli_option(cli, "keys");
    if (keys == NULL || cli_option(cli, "yes") == NULL) {
        return cli_usage(cli, "say --keys DIR, and --yes: what is in the data folder is put aside");
    }
    if (cli_client_running(cli) != NULL) {
        FAULT(&why, FAIL_CONFLICT, "a server runs on this data folder");
        fail_hint(&why, "`inhouse stop` first.");
        return cli_fail(cli, &why);
    }
    struct audit_report *r = mem_alloc(sizeof(*r));
    enum fail f = make_folder(cli->home, &why);
    f = f != FAIL_NONE ? f : audit_key_read(keys, vkey, &why);
    f = f != FAIL_NONE ? f : verify_copy(cli, data, vkey, r, &why);
    f = f != FAIL_NONE ? f : put_aside(cli, aside, &why);
    f = f != FAIL_NONE ? f : put_back(cli, data, keys, &why);
    /* erased here or known to the copy's folder since: erased again */
    join(list, cli->home, "erasures");
    f = f != FAIL_NONE ? f : audit_erasures_apply(cli->home, list, &again, &why);
    join(list, keys, "erasures");
    f = f != FAIL_NONE ? f : audit_erasures_apply(cli->home, list, &more, &why);
    if (f == FAIL_NONE && cli->json) {
        json_t *j AUTO_JSON =
            json_pack("{s:I,s:I,s:s}", "records", (json_int_t)r->leaves, "erased_again",
                      (json_int_t)(again + more), "aside", aside);
        cli_print_json(j);
    } else if (f == FAIL_NONE) {
        printf("%lld records restored and verified; %lld people's contents erased again\nWhat was "
               "here "
               "lies in %s: remove it when all is well.\n",
               (long long)r->leaves, (long long)(again + more), aside);
    }
    mem_free(r);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

/* ---- the master key ---- */

int command_keys_master_rotate(struct cli *cli)
{
    struct fault why;
    int64_t rewrapped = 0;
    if (cli_client_running(cli) != NULL) {
        FAULT(&why, FAIL_CONFLICT, "a server runs on this data folder");
        fail_hint(&why, "`inhouse stop` first: every key is wrapped anew.");
        return cli_fail(cli, &why);
    }
    if (audit_master_rotate(cli->home, &rewrapped, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:I}", "rewrapped", (json_int_t)rewrapped);
        cli_print_json(j);
    } else {
        printf(
            "A new master key wraps %lld keys. Copies of keys.db made before cannot be opened with "
            "it: make a new backup, and destroy the old master key.\n",
            (long long)rewrapped);
    }
    return COMMAND_OK;
}

int command_keys_master_print(struct cli *cli)
{
    struct fault why;
    struct keyring_master *m = NULL;
    char printed[KEYRING_PRINTED_SIZE];
    enum fail f = audit_master_settle(cli->home, &why);
    f = f != FAIL_NONE ? f : keyring_master_open(cli->home, &m, &why);
    f = f != FAIL_NONE ? f : keyring_master_print(cli->home, m, printed, &why);
    keyring_master_close(m);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    printf("%s\n", printed);
    cli_note(cli,
             "Shown this once and stored nowhere: print it and lock it away. It opens the master "
             "key, also after it changed, together with master.recovery.");
    memset(printed, 0, sizeof(printed));
    return COMMAND_OK;
}

int command_keys_master_recover(struct cli *cli)
{
    struct fault why;
    struct buf text;
    buf_init(&text, 4096);
    cli_note(cli, "The printed key, then Enter:");
    enum fail f = cli_read_file("-", &text, &why);
    f = f != FAIL_NONE ? f : keyring_master_recover(cli->home, text.data, &why);
    if (text.data != NULL) {
        memset(text.data, 0, text.len);
    }
    buf_done(&text);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    printf("The master key is back.\n");
    return COMMAND_OK;
}
