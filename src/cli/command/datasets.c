/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse datasets: made, filled from folders, searched, granted, asked for. A folder is walked
 * here; only files whose SHA-256 the server does not have already are sent, in bounded batches.
 * Threads: one. Limits: 200,000 files, 16 folders deep, 20 MiB a file.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define FILES_MAX 200000
#define DEPTH_MAX 16
#define FILE_BYTES ((size_t)20 << 20)
#define BATCH_BYTES ((size_t)8 << 20)
#define BATCH_FILES 100
#define BODY_BYTES ((size_t)31 << 20)

/* ---- the folder ---- */

struct file {
    char *path; /* inside the folder: what the server knows it by */
    uint8_t hash[32];
};

struct folder {
    struct cli *cli;
    const char *root;
    struct file *files;
    size_t count, room, skipped;
};

static bool is_readable_kind(const char *name)
{
    static const char *const endings[] = {".md",   ".markdown", ".txt", ".text", ".log",
                                          ".jsonl", ".ndjson",  ".html", ".htm", ".csv",
                                          ".pdf",  ".docx",     ".eml", ".xml",  ".json"};
    AUTO_FREE char *low = mem_dup_str(name);
    for (char *c = low; *c != '\0'; c++) {
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    }
    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        if (text_ends_with(low, endings[i])) {
            return true;
        }
    }
    return false;
}

static enum fail walk(struct folder *f, const char *inside, int depth, struct fault *why);

static enum fail visit(struct folder *f, const char *inside, const char *name, int depth,
                       struct fault *why)
{
    char path[CLIENT_PATH_SIZE], full[CLIENT_PATH_SIZE];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s%s%s", inside, inside[0] != '\0' ? "/" : "", name);
    int m = snprintf(full, sizeof(full), "%s/%s", f->root, path);
    if (n >= (int)sizeof(path) || m >= (int)sizeof(full) || lstat(full, &st) != 0) {
        return FAIL_NONE; /* gone, or beyond what a path may be */
    }
    if (S_ISDIR(st.st_mode)) {
        return walk(f, path, depth + 1, why);
    }
    if (!S_ISREG(st.st_mode) || !is_readable_kind(name) || (size_t)st.st_size > FILE_BYTES ||
        !text_utf8_is_valid(path, strlen(path))) {
        f->skipped++;
        cli_note(f->cli, "%s: no document that can be read; skipped", full);
        return FAIL_NONE;
    }
    if (f->count == FILES_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "%s holds more than %d documents", f->root, FILES_MAX);
    }
    if (f->count == f->room) {
        f->room = f->room == 0 ? 64 : f->room * 2;
        f->files = mem_realloc(f->files, f->room * sizeof(*f->files));
    }
    f->files[f->count++] = (struct file){.path = mem_dup_str(path)};
    return FAIL_NONE;
}

static enum fail walk(struct folder *f, const char *inside, int depth, struct fault *why)
{
    char full[CLIENT_PATH_SIZE];
    (void)snprintf(full, sizeof(full), "%s%s%s", f->root, inside[0] != '\0' ? "/" : "", inside);
    DIR *d = depth <= DEPTH_MAX ? opendir(full) : NULL;
    if (d == NULL) {
        FAULT_ERRNO(why, FAIL_BAD_REQUEST,
                    depth > DEPTH_MAX ? "%s lies too deep" : "cannot open the folder %s", full);
        return fail_hint(why, "Give a folder of documents.");
    }
    enum fail r = FAIL_NONE;
    for (struct dirent *e; r == FAIL_NONE && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            r = visit(f, inside, e->d_name, depth, why);
        }
    }
    closedir(d);
    return r;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

static void folder_done(struct folder *f)
{
    for (size_t i = 0; i < f->count; i++) {
        mem_free(f->files[i].path);
    }
    mem_free(f->files);
}

/* ---- what the server has ---- */

struct filling {
    struct folder folder;
    char base[128]; /* "/api/v1/datasets/NAME" */
    struct buf gone;               /* JSON of paths that the folder no longer has */
    size_t gone_len, same, sent, failed;
    json_t *hashes;  /* path -> sha256 of the server */
};

static enum fail fetch_hashes(struct filling *x, struct fault *why)
{
    char after[2048] = "";
    for (bool more = true; more;) {
        struct buf path;
        json_t *page AUTO_JSON = NULL, *row;
        size_t i, n;
        buf_init(&path, 16384);
        (void)buf_printf(&path, "%s/documents?after=", x->base);
        client_escape(&path, after);
        enum fail f = cli_send(x->folder.cli, "GET", path.data, NULL, NULL, 0, &page, why);
        buf_done(&path);
        if (f != FAIL_NONE) {
            return f;
        }
        const json_t *list = json_object_get(page, "documents");
        n = json_array_size(list);
        json_array_foreach(list, i, row) {
            (void)json_object_set(x->hashes, cli_str(row, "path"), json_object_get(row, "sha256"));
            (void)text_copy(after, sizeof(after), cli_str(row, "path"));
        }
        more = n > 0 && n == (size_t)json_integer_value(json_object_get(page, "page"));
    }
    return FAIL_NONE;
}

static void find_gone(struct filling *x)
{
    struct jn_writer w;
    const char *path;
    json_t *hash;
    jn_begin(&w, &x->gone, false);
    jn_object_begin(&w);
    jn_key(&w, "paths");
    jn_array_begin(&w);
    json_object_foreach(x->hashes, path, hash) {
        struct file key = {.path = (char *)path};
        if (x->folder.count == 0 || bsearch(&key, x->folder.files, x->folder.count,
                                            sizeof(key), by_path) == NULL) {
            jn_put_str(&w, path);
            x->gone_len++;
        }
    }
    jn_array_end(&w);
    jn_object_end(&w);
}

/* ---- sent ---- */

struct batch {
    struct buf body;
    struct jn_writer w;
    size_t files;
};

static void batch_begin(struct batch *b)
{
    buf_init(&b->body, BODY_BYTES);
    jn_begin(&b->w, &b->body, false);
    jn_object_begin(&b->w);
    jn_key(&b->w, "documents");
    jn_array_begin(&b->w);
    b->files = 0;
}

static enum fail batch_send(struct filling *x, struct batch *b, struct fault *why)
{
    char path[128 + 16];
    json_t *out AUTO_JSON = NULL, *row;
    size_t i;
    enum fail f = FAIL_NONE;
    jn_array_end(&b->w);
    jn_object_end(&b->w);
    (void)snprintf(path, sizeof(path), "%s/documents", x->base);
    if (b->files > 0) {
        f = cli_send(x->folder.cli, "POST", path, NULL, b->body.data, b->body.len, &out, why);
    }
    buf_done(&b->body);
    json_array_foreach(json_object_get(out, "documents"), i, row) {
        if (strcmp(cli_str(row, "state"), "failed") == 0) {
            x->failed++;
            cli_note(x->folder.cli, "%s: %s", cli_str(row, "path"), cli_str(row, "message"));
        } else {
            x->sent++;
        }
    }
    return f;
}

static void batch_add(struct batch *b, const char *path, const struct buf *text)
{
    bool plain = text_utf8_is_valid(text->data, text->len) &&
                 memchr(text->data, '\0', text->len) == NULL;
    jn_object_begin(&b->w);
    jn_kv_str(&b->w, "path", path);
    if (plain) {
        jn_key(&b->w, "text");
        jn_put_strn(&b->w, text->data, text->len);
    } else {
        AUTO_FREE char *base64 = mem_alloc(4 * ((text->len + 2) / 3) + 1);
        (void)text_base64(text->data, text->len, base64);
        jn_kv_str(&b->w, "base64", base64);
    }
    jn_object_end(&b->w);
    b->files++;
}

static enum fail send_changed(struct filling *x, struct fault *why)
{
    struct progress p;
    struct batch b;
    enum fail f = FAIL_NONE;
    progress_begin(&p, x->folder.cli, "documents");
    p.total = (int64_t)x->folder.count;
    batch_begin(&b);
    for (size_t i = 0; i < x->folder.count && f == FAIL_NONE && !cli_interrupted; i++) {
        char full[CLIENT_PATH_SIZE], hex[65];
        struct buf text;
        const char *path = x->folder.files[i].path;
        (void)snprintf(full, sizeof(full), "%s/%s", x->folder.root, path);
        buf_init(&text, FILE_BYTES + 1);
        if (cli_read_file(full, &text, why) != FAIL_NONE || text.len == 0) {
            cli_note(x->folder.cli, "%s: empty, or it cannot be read; skipped", full);
            x->failed++;
        } else {
            text_sha256(text.data, text.len, x->folder.files[i].hash);
            text_hex(x->folder.files[i].hash, 32, hex);
            const char *there = json_string_value(json_object_get(x->hashes, path));
            if (there != NULL && strcmp(there, hex) == 0) {
                x->same++;
            } else {
                if (b.files > 0 && (b.files == BATCH_FILES ||
                                    b.body.len + text.len * 3 / 2 > BATCH_BYTES)) {
                    f = batch_send(x, &b, why);
                    batch_begin(&b);
                }
                batch_add(&b, path, &text);
            }
        }
        buf_done(&text);
        p.done = (int64_t)i + 1;
        progress_show(&p, false);
    }
    if (f == FAIL_NONE && !cli_interrupted) {
        f = batch_send(x, &b, why);
    } else {
        buf_done(&b.body);
    }
    progress_end(&p);
    return f == FAIL_NONE && cli_interrupted
               ? FAULT(why, FAIL_STOPPED, "interrupted; what was sent is stored")
               : f;
}

static enum fail fill(struct filling *x, struct fault *why)
{
    struct cli *cli = x->folder.cli;
    char path[128 + 24];
    enum fail f = walk(&x->folder, "", 0, why);
    if (f == FAIL_NONE && x->folder.count > 0) {
        qsort(x->folder.files, x->folder.count, sizeof(*x->folder.files), by_path);
    }
    f = f != FAIL_NONE ? f : fetch_hashes(x, why);
    if (f != FAIL_NONE) {
        return f;
    }
    find_gone(x);
    if (cli_option(cli, "keep") != NULL) {
        x->gone_len = 0;
    }
    f = send_changed(x, why);
    if (f == FAIL_NONE && x->gone_len > 0) {
        (void)snprintf(path, sizeof(path), "%s/documents/remove", x->base);
        f = cli_send(cli, "POST", path, NULL, x->gone.data, x->gone.len, NULL, why);
    }
    return f;
}

int command_datasets_ingest(struct cli *cli)
{
    struct fault why = {0};
    struct filling *x = mem_alloc(sizeof(*x));
    if (!text_is_name(cli->words[0])) {
        mem_free(x);
        return cli_usage(cli, "\"%s\" is no name: use a-z, 0-9, dot, dash, underscore",
                         cli->words[0]);
    }
    x->folder = (struct folder){.cli = cli, .root = cli->words[1]};
    (void)snprintf(x->base, sizeof(x->base), "/api/v1/datasets/%s", cli->words[0]);
    x->hashes = json_object();
    buf_init(&x->gone, (size_t)8 << 20);
    enum fail f = fill(x, &why);
    size_t sent = x->sent, same = x->same, gone = x->gone_len, failed = x->failed;
    json_decref(x->hashes);
    buf_done(&x->gone);
    folder_done(&x->folder);
    mem_free(x);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        printf("{\"taken\":%zu,\"unchanged\":%zu,\"removed\":%zu,\"failed\":%zu}\n", sent, same,
               gone, failed);
    } else {
        printf("%s: %zu taken in, %zu unchanged, %zu removed, %zu failed\n", cli->words[0], sent,
               same, gone, failed);
    }
    return failed > 0 ? COMMAND_SOME_FAILED : COMMAND_OK;
}

/* ---- small requests ---- */

/* POSTs an object of the given keys and texts (NULL ones left out); prints `said`. */
static int post(struct cli *cli, const char *method, const char *path, const json_t *body,
                const char *said)
{
    struct fault why = {0};
    json_t *out AUTO_JSON = NULL;
    char *text = json_dumps(body, JSON_COMPACT);
    enum fail f = cli_send(cli, method, path, NULL, text, strlen(text), &out, &why);
    free(text); /* tidy: memory: jansson's own */
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(out);
    } else {
        printf("%s\n", said);
    }
    return COMMAND_OK;
}

static void set_option(struct cli *cli, json_t *body, const char *option, const char *key)
{
    const char *v = cli_option(cli, option);
    if (v != NULL) {
        (void)json_object_set_new(body, key, json_string(v));
    }
}

/* "team:NAME" or "user:NAME"; a bare name is a team. */
static void set_subject(json_t *body, const char *word)
{
    bool user = text_starts_with(word, "user:"), team = text_starts_with(word, "team:");
    (void)json_object_set_new(body, user ? "user" : "team",
                              json_string(user || team ? word + 5 : word));
}

static const char *path_of(const struct cli *cli, const char *tail, char out[256])
{
    (void)snprintf(out, 256, "/api/v1/datasets/%.64s%s", cli->words[0], tail);
    return out;
}

int command_datasets_make(struct cli *cli)
{
    json_t *body AUTO_JSON = json_object();
    int64_t days = 0;
    if (!cli_number(cli, "retention", 0, 36500, 0, &days)) {
        return COMMAND_USAGE;
    }
    (void)json_object_set_new(body, "name", json_string(cli->words[0]));
    (void)json_object_set_new(body, "retention_days", json_integer(days));
    if (cli_option(cli, "purpose") == NULL) {
        return cli_usage(cli, "say what the dataset is for, with --purpose");
    }
    set_option(cli, body, "purpose", "purpose");
    set_option(cli, body, "source", "source");
    set_option(cli, body, "label", "label");
    set_option(cli, body, "review", "review_at");
    if (cli_option(cli, "owner") != NULL) {
        set_subject(body, cli_option(cli, "owner"));
    }
    if (cli_option(cli, "unlisted") != NULL) {
        (void)json_object_set_new(body, "listed", json_false());
    }
    return post(cli, "POST", "/api/v1/datasets", body, "Made. Fill it with: inhouse datasets "
                                                       "ingest NAME FOLDER");
}

int command_datasets_grant(struct cli *cli)
{
    char path[256];
    json_t *body AUTO_JSON = json_object();
    set_subject(body, cli->words[1]);
    set_option(cli, body, "reason", "reason");
    set_option(cli, body, "until", "ends_at");
    return post(cli, "POST", path_of(cli, "/grants", path), body, "Granted.");
}

int command_datasets_revoke(struct cli *cli)
{
    char path[256];
    json_t *body AUTO_JSON = json_object();
    set_subject(body, cli->words[1]);
    return post(cli, "POST", path_of(cli, "/grants/revoke", path), body,
                "Revoked: the next search does not find it.");
}

int command_datasets_request(struct cli *cli)
{
    char path[256];
    json_t *body AUTO_JSON = json_object();
    set_option(cli, body, "reason", "reason");
    if (cli_option(cli, "for-me") != NULL) {
        (void)json_object_set_new(body, "for_me", json_true());
    }
    return post(cli, "POST", path_of(cli, "/requests", path), body,
                "Asked: the owner decides. `inhouse datasets decide` shows how it stands.");
}

static int list_requests(struct cli *cli)
{
    static const char *const columns[] = {"*request", "dataset", "for", "state", "asked by",
                                          "reason"};
    struct fault why = {0};
    json_t *j AUTO_JSON = NULL, *q;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/dataset-requests", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "requests"), i, q) {
        const char *team = cli_str(q, "team");
        const char *cells[] = {cli_str(q, "id"),       cli_str(q, "dataset"),
                               team[0] != '\0' ? team : cli_str(q, "user"),
                               cli_str(q, "state"),    cli_str(q, "asked_by"),
                               cli_str(q, "reason")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

int command_datasets_decide(struct cli *cli)
{
    json_t *body AUTO_JSON = json_object();
    if (cli->words_len == 0) {
        return list_requests(cli);
    }
    bool refuse = cli_option(cli, "refuse") != NULL;
    (void)json_object_set_new(body, "request", json_string(cli->words[0]));
    (void)json_object_set_new(body, "grant", json_boolean(!refuse));
    set_option(cli, body, "reason", "reason");
    set_option(cli, body, "until", "ends_at");
    return post(cli, "POST", "/api/v1/dataset-requests/decide", body,
                refuse ? "Refused." : "Granted.");
}

int command_datasets_remove(struct cli *cli)
{
    char path[256];
    struct fault why = {0};
    if (cli->words_len > 1) {
        json_t *body AUTO_JSON = json_object(), *list = json_array();
        for (int i = 1; i < cli->words_len; i++) {
            (void)json_array_append_new(list, json_string(cli->words[i]));
        }
        (void)json_object_set_new(body, "paths", list);
        return post(cli, "POST", path_of(cli, "/documents/remove", path), body,
                    "Removed, from every index.");
    }
    if (cli_option(cli, "yes") == NULL) {
        return cli_usage(cli, "this removes the whole dataset with its documents: say --yes");
    }
    json_t *out AUTO_JSON = NULL;
    if (cli_send(cli, "DELETE", path_of(cli, "", path), NULL, NULL, 0, &out, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    printf(cli->json ? "{\"removed\":true}\n" : "Removed, from every index.\n");
    return COMMAND_OK;
}

/* ---- shown ---- */

int command_datasets_list(struct cli *cli)
{
    static const char *const columns[] = {"*dataset", "owner", "label", "access", "purpose"};
    struct fault why = {0};
    json_t *j AUTO_JSON = NULL, *d;
    size_t i;
    if (cli_send(cli, "GET", "/api/v1/datasets", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_array_foreach(json_object_get(j, "datasets"), i, d) {
        const json_t *owner = json_object_get(d, "owner");
        const char *team = cli_str(owner, "team");
        const char *cells[] = {cli_str(d, "name"), team[0] != '\0' ? team : cli_str(owner, "user"),
                               cli_str(d, "label"),
                               json_is_true(json_object_get(d, "reads")) ? "reads"
                               : json_is_true(json_object_get(d, "owns")) ? "manages"
                                                                          : "may ask",
                               cli_str(d, "purpose")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
    return COMMAND_OK;
}

static void print_grants(struct cli *cli, const json_t *list)
{
    static const char *const columns[] = {"*granted to", "until", "by", "revoked", "reason"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    json_t *g;
    size_t i;
    json_array_foreach(list, i, g) {
        const char *team = cli_str(g, "team");
        const char *cells[] = {team[0] != '\0' ? team : cli_str(g, "user"), cli_str(g, "ends_at"),
                               cli_str(g, "granted_by"), cli_str(g, "revoked_at"),
                               cli_str(g, "reason")};
        measure_table_row(t, cells);
    }
    cli_print_table(cli, t);
}

int command_datasets_show(struct cli *cli)
{
    char path[256];
    struct fault why = {0};
    json_t *d AUTO_JSON = NULL;
    if (cli_send(cli, "GET", path_of(cli, "", path), NULL, NULL, 0, &d, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(d);
        return COMMAND_OK;
    }
    static const char *const keys[] = {"purpose", "label", "source", "review_at"};
    static const char *const counts[] = {"documents", "chunks", "embedded", "retention_days"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        printf("%-15s %s\n", keys[i], cli_str(d, keys[i]));
    }
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        printf("%-15s %lld\n", counts[i],
               (long long)json_integer_value(json_object_get(d, counts[i])));
    }
    if (json_array_size(json_object_get(d, "grants")) > 0) {
        print_grants(cli, json_object_get(d, "grants"));
    }
    return COMMAND_OK;
}

static void print_hit(size_t i, const json_t *h)
{
    char page[24] = "";
    int64_t n = json_integer_value(json_object_get(h, "page"));
    if (n > 0) {
        (void)snprintf(page, sizeof(page), ", page %lld", (long long)n);
    }
    printf("%zu. %s  %s/%s%s  (%s)\n", i + 1, cli_str(h, "heading"), cli_str(h, "dataset"),
           cli_str(h, "document"), page, cli_str(h, "chunk"));
    cli_print_wrapped(cli_str(h, "text"), 3, 78);
    printf("\n");
}

int command_datasets_search(struct cli *cli)
{
    struct fault why = {0};
    json_t *body AUTO_JSON = json_object(), *out AUTO_JSON = NULL, *h;
    int64_t limit = 10;
    size_t i;
    if (!cli_number(cli, "limit", 1, 50, 10, &limit)) {
        return COMMAND_USAGE;
    }
    (void)json_object_set_new(body, "query", json_string(cli->words[0]));
    (void)json_object_set_new(body, "limit", json_integer(limit));
    if (cli_option(cli, "dataset") != NULL) {
        AUTO_FREE char *names = mem_dup_str(cli_option(cli, "dataset"));
        json_t *list = json_array();
        for (char *n = names, *next; n != NULL; n = next) {
            next = strchr(n, ',');
            if (next != NULL) {
                *next++ = '\0';
            }
            (void)json_array_append_new(list, json_string(n));
        }
        (void)json_object_set_new(body, "datasets", list);
    }
    char *text = json_dumps(body, JSON_COMPACT);
    enum fail f =
        cli_send(cli, "POST", "/api/v1/search", NULL, text, strlen(text), &out, &why);
    free(text); /* tidy: memory: jansson's own */
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(out);
        return COMMAND_OK;
    }
    json_array_foreach(json_object_get(out, "results"), i, h) {
        print_hit(i, h);
    }
    if (i == 0) {
        printf("Nothing found in what you may read.\n");
    }
    return COMMAND_OK;
}
