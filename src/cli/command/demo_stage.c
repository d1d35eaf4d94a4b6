/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The demo's three acts: the same tickets answered by the model alone, with what no article says
 * struck through; the last tickets with the network cut; one byte of a record flipped, and the
 * verification that names it. Threads: one.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "trust/audit/audit.h"

#define TICKETS 10
#define ALONE_TOKENS 110
#define ACT_ONE_SECONDS 200
#define MAX_SOURCES 500
#define MAX_ARTICLE ((size_t)256 * 1024)
#define MAX_COPY ((size_t)512 * 1024 * 1024)

/* ---- act one: the model alone ---- */

/* The sentences of an article's Markdown, without front matter and marks. */
static void add_sentences(json_t *sources, const char *markdown)
{
    const char *p = markdown;
    struct buf b;
    if (text_starts_with(p, "---\n")) {
        const char *end = strstr(p + 4, "\n---");
        p = end != NULL ? end + 4 : p;
    }
    buf_init(&b, MAX_ARTICLE);
    for (; json_array_size(sources) < MAX_SOURCES; p++) {
        bool stop = *p == '\0' || *p == '\n' ||
                    (strchr(".!?", *p) != NULL && (p[1] == ' ' || p[1] == '\n' || p[1] == '\0'));
        if (*p != '\0' && *p != '\n' && strchr("#*`>", *p) == NULL) {
            (void)buf_add_char(&b, *p);
        }
        if (stop && b.len > 0) {
            char *s = text_trim(b.data);
            if (strlen(s) > 3 && text_utf8_is_valid(s, strlen(s))) {
                (void)json_array_append_new(sources, json_string(s));
            }
            buf_clear(&b);
        }
        if (*p == '\0') {
            break;
        }
    }
    buf_done(&b);
}

static void add_article(struct demo *d, json_t *sources, const char *article)
{
    char path[CLIENT_PATH_SIZE];
    struct buf text;
    struct fault why;
    buf_init(&text, MAX_ARTICLE);
    (void)snprintf(path, sizeof(path), "%.3800s/articles/%.100s.md", d->examples, article);
    if (cli_read_file(path, &text, &why) == FAIL_NONE && text.len > 0) {
        add_sentences(sources, text.data);
    }
    buf_done(&text);
}

/* What the articles that belong to this ticket say: the expected one, and those the draft came
   from. */
static json_t *sources_of(struct demo *d, const struct demo_result *r)
{
    size_t i;
    json_t *s, *sources = json_array();
    const char *expected = cli_str(r->ticket.expected, "article");
    add_article(d, sources, expected);
    json_array_foreach(json_object_get(json_object_get(r->result, "draft"), "sources"), i, s) {
        if (strcmp(cli_str(s, "article"), expected) != 0) {
            add_article(d, sources, cli_str(s, "article"));
        }
    }
    return sources;
}

static enum fail ask_alone(struct demo *d, const struct demo_result *r, const char *role,
                           char **out, struct fault *why)
{
    json_t *answer AUTO_JSON = NULL;
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    (void)buf_printf(&b, "Subject: %s\n\n%s", r->ticket.subject, r->ticket.text);
    json_t *ask AUTO_JSON =
        json_pack("{s:s,s:[{s:s,s:s},{s:s,s:s}],s:i,s:i}", "model", role, "messages", "role",
                  "system", "content",
                  "You answer customers of Velmora Coffee, which sells coffee and coffee machines. "
                  "Write a short, friendly first "
                  "reply.",
                  "role", "user", "content", b.data, "max_tokens", ALONE_TOKENS, "temperature", 0);
    buf_done(&b);
    char *body = json_dumps(ask, JSON_COMPACT);
    enum fail f =
        cli_send(d->cli, "POST", "/v1/chat/completions", NULL, body, strlen(body), &answer, why);
    free(body); /* tidy: memory: jansson's own */
    const json_t *message =
        json_object_get(json_array_get(json_object_get(answer, "choices"), 0), "message");
    *out = f == FAIL_NONE ? mem_dup_str(cli_str(message, "content")) : NULL;
    return f;
}

static size_t width_of(const struct cli *cli)
{
    return cli->width < 100 ? cli->width : 100;
}

/* One sentence, wrapped where *at columns of the line are used; struck through word by word, so
   that the margin is not. */
static void print_claim(const struct cli *cli, const char *text, bool not_said, size_t *at)
{
    const char *on = not_said && cli->tty ? "\x1b[9;31m" : "";
    const char *off = on[0] != '\0' ? "\x1b[0m" : "";
    bool marked = not_said && !cli->tty, first = true;
    struct buf b;
    buf_init(&b, (size_t)64 * 1024);
    (void)buf_printf(&b, "%s%s%s", marked ? "[-" : "", text, marked ? "-]" : "");
    for (const char *p = b.len > 0 ? b.data : ""; *p != '\0';) {
        size_t n = 0;
        while ((unsigned char)p[n] > 0x20) {
            n++;
        }
        if (n == 0) {
            p++;
            continue;
        }
        size_t columns = text_utf8_count(p, text_utf8_valid_prefix(p, n));
        bool breaks = *at + 1 + columns > width_of(cli);
        if (breaks) {
            fputs("\n    ", stdout);
        } else { /* a space between two sentences is plain */
            printf("%s %s", first ? "" : on, first ? "" : off);
        }
        printf("%s%.*s%s", on, (int)n, p, off);
        *at = breaks ? 4 + columns : *at + 1 + columns;
        first = false;
        p += n;
    }
    buf_done(&b);
}

/* Prints the reply with its unsupported sentences struck through; counts them. */
static enum fail print_checked(struct demo *d, const char *reply, const struct demo_result *r,
                               const json_t *sources, size_t *claims, size_t *bad,
                               struct fault *why)
{
    json_t *answer AUTO_JSON = NULL, *claim;
    size_t i, at = width_of(d->cli); /* the first word begins a line */
    const char *language = cli_str(r->ticket.expected, "language");
    json_t *ask AUTO_JSON =
        json_pack("{s:s,s:O,s:s,s:s}", "reply", reply, "sources", sources, "ticket", r->ticket.text,
                  "language", language[0] != '\0' ? language : "en");
    if (ask == NULL) {
        return FAULT(why, FAIL_INTERNAL, "the model's text is not UTF-8");
    }
    char *body = json_dumps(ask, JSON_COMPACT);
    enum fail f = cli_send(d->cli, "POST", "/api/v1/check", NULL, body, strlen(body), &answer, why);
    free(body); /* tidy: memory: jansson's own */
    if (f != FAIL_NONE) {
        return f;
    }
    printf("  alone:");
    json_array_foreach(json_object_get(answer, "claims"), i, claim) {
        bool not_said = strcmp(cli_str(claim, "verdict"), "unsupported") == 0;
        (*claims)++;
        *bad += not_said ? 1 : 0;
        print_claim(d->cli, cli_str(claim, "text"), not_said, &at);
    }
    printf("\n");
    return FAIL_NONE;
}

static void print_ours(const struct cli *cli, const struct demo_result *r)
{
    const char *draft = result_draft(r->result);
    struct buf b;
    size_t i;
    json_t *s;
    printf("  ours:%s\n", draft == NULL ? " no draft, a person writes it" : "");
    if (draft == NULL) {
        return;
    }
    buf_init(&b, MAX_ARTICLE);
    json_array_foreach(json_object_get(json_object_get(r->result, "draft"), "sentences"), i, s) {
        if (json_is_true(json_object_get(s, "chosen"))) {
            (void)buf_printf(&b, "%s ", cli_str(s, "text"));
        }
    }
    cli_print_wrapped(b.len > 0 ? b.data : "", 4, width_of(cli));
    buf_done(&b);
}

void demo_act_alone(struct demo *d)
{
    struct fault why;
    const char *role = d->heavy ? "heavy" : "light";
    size_t shown = 0, claims = 0, bad = 0;
    int64_t start = clock_monotonic_us();
    demo_say(d, "Act one: ten tickets, and what the %s model alone would have answered", role);
    if (!d->heavy) {
        printf("(the heavy model is not here: this is the light one)\n");
    }
    printf("What no article of the company says is %s.\n",
           d->cli->tty ? "\x1b[9;31mstruck through\x1b[0m" : "in [- -]");
    for (size_t i = 0; i < d->n && shown < TICKETS && cli_interrupted == 0; i++) {
        const struct demo_result *r = &d->results[i];
        bool answerable = strcmp(cli_str(r->ticket.expected, "answerable"), "true") == 0;
        if (!answerable || r->ticket.text[0] == '\0' ||
            clock_ms_since(start) > 1000.0 * ACT_ONE_SECONDS) {
            continue;
        }
        AUTO_FREE char *alone = NULL;
        json_t *sources AUTO_JSON = sources_of(d, r);
        printf("\n%s  %s\n", r->ticket.id, r->ticket.subject);
        print_ours(d->cli, r);
        fflush(stdout);
        if (ask_alone(d, r, role, &alone, &why) != FAIL_NONE ||
            print_checked(d, alone, r, sources, &claims, &bad, &why) != FAIL_NONE) {
            printf("  (not shown: %s)\n", why.message);
            continue;
        }
        shown++;
    }
    printf("\nThe %s model alone: %zu of %zu sentences, in %zu replies, say what no article says. "
           "%.0f s.\n",
           role, bad, claims, shown, clock_ms_since(start) / 1000);
}

/* ---- act two: the network cut ---- */

/* Bytes sent over any interface of this process's network, from /proc/PID/net/dev; names how
   many there are. */
static long long bytes_sent(pid_t pid, int *interfaces)
{
    char path[64];
    struct buf b;
    struct fault why;
    long long sum = 0;
    *interfaces = 0;
    buf_init(&b, (size_t)1 << 20);
    (void)snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
    if (cli_read_file(path, &b, &why) != FAIL_NONE || b.len == 0) {
        buf_done(&b);
        return -1;
    }
    for (char *line = b.data, *end; line != NULL && *line != '\0'; line = end) {
        end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        char *colon = strchr(line, ':');
        if (colon != NULL) {
            char *p = colon + 1;
            unsigned long long v = 0;
            for (int i = 0; i < 9; i++) { /* eight numbers of receiving, then bytes sent */
                v = strtoull(p, &p, 10);
            }
            sum += (long long)v;
            (*interfaces)++;
        }
    }
    buf_done(&b);
    return sum;
}

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* A network of our own with nothing in it. Without root, through a user namespace, where the
   machine allows it. */
static bool cut_network(void)
{
    char map[64];
    unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();
    if (unshare(CLONE_NEWNET) == 0) {
        return true;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        return false;
    }
    (void)write_file("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
    bool ok = write_file("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
    return write_file("/proc/self/gid_map", map) && ok;
}

struct last {
    struct demo *d;
    size_t next, end, same, done;
    struct progress *bar;
};

static enum rows_state next_last(void *arg, struct ticket *t, json_t **keep)
{
    struct last *l = arg;
    if (l->next == l->end) {
        return ROWS_END;
    }
    *t = l->d->results[l->next++].ticket;
    t->expected = NULL;
    *keep = NULL;
    return ROWS_ROW;
}

static void on_last(void *arg, const struct ticket *t, const json_t *result,
                    const struct fault *why)
{
    struct last *l = arg;
    progress_end(l->bar); /* no line is written behind it */
    const struct demo_result *before = &l->d->results[l->end - TICKETS + l->done++];
    const char *queue = cli_str(result_field(result, "queue"), "value");
    bool same = strcmp(queue, cli_str(result_field(before->result, "queue"), "value")) == 0;
    l->same += same ? 1 : 0;
    printf("  %s  %-14s %s%s\n", t->id, result != NULL ? queue : why->message,
           same ? "as before" : "differs", result_draft(result) != NULL ? ", with a draft" : "");
}

/* In a child process whose network is cut: its own server, the last ten tickets, the bytes
   counted. */
static int play_cut(struct demo *d)
{
    struct fault why = {0};
    struct run_counts counts = {0};
    struct progress bar;
    int interfaces = 0;
    struct cli *cli = d->cli;
    if (!cut_network()) {
        return COMMAND_REFUSED;
    }
    cli->client = NULL;
    struct last l = {.d = d, .next = d->n - TICKETS, .end = d->n, .bar = &bar};
    struct run_options o = {.workflow = "ticket-triage",
                            .rungs = "rule,learned,light",
                            .class = "workflow",
                            .flight = 4,
                            .no_artifact = true,
                            .on_result = on_last,
                            .arg = &l,
                            .next = next_last};
    progress_begin(&bar, cli, "without a network");
    if (run_tickets(cli, &o, &bar, &counts, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    pid_t server = client_server_pid(cli->client);
    long long sent = bytes_sent(server, &interfaces);
    printf("%lld of %d answered, %zu as before. The server (process %d) has %d network "
           "interface%s, %s,\nand over %s it "
           "sent %lld bytes (/proc/%d/net/dev).\n",
           (long long)counts.answered, TICKETS, l.same, (int)server, interfaces,
           interfaces == 1 ? "" : "s", interfaces == 1 ? "its own loopback" : "all its own",
           interfaces == 1 ? "it" : "them", sent, (int)server);
    (void)!cli_send(cli, "POST", "/api/v1/stop", NULL, "{}", 2, NULL, &why);
    return COMMAND_OK;
}

void demo_act_cut(struct demo *d)
{
    int status = 0;
    if (d->n < TICKETS) {
        return;
    }
    demo_say(d, "Act two: the last ten tickets with the network cut");
    demo_stop(d);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        status = play_cut(d);
        fflush(stdout);
        _exit(status);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == COMMAND_REFUSED)) {
        printf("This machine does not let us make a network of our own (root or user namespaces "
               "are needed). What holds\n"
               "anyway: a model's worker has no network by its seal: `inhouse doctor`, "
               "docs/ARCHITECTURE.md.\n");
    }
}

/* ---- act three: one byte flipped ---- */

static enum fail copy_file(const char *from, const char *to, struct fault *why)
{
    struct buf b;
    buf_init(&b, MAX_COPY);
    enum fail f = cli_read_file(from, &b, why);
    int fd = f == FAIL_NONE ? open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (f == FAIL_NONE && (fd < 0 || write(fd, b.data, b.len) != (ssize_t)b.len)) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot write %s", to);
    }
    if (fd >= 0) {
        close(fd);
    }
    buf_done(&b);
    return f;
}

/* Changes one digit inside the record's own bytes in the database file. */
static enum fail flip(const char *db, const struct buf *leaf, long long *at, struct fault *why)
{
    struct buf b;
    buf_init(&b, MAX_COPY);
    enum fail f = cli_read_file(db, &b, why);
    char *found = f == FAIL_NONE ? memmem(b.data, b.len, leaf->data, leaf->len) : NULL;
    char *digit = found != NULL ? memmem(found, leaf->len, "\"at\":", 5) : NULL;
    if (f == FAIL_NONE && digit == NULL) {
        f = FAULT(why, FAIL_NOT_FOUND, "the record's bytes are not in one piece in %s", db);
    }
    if (f == FAIL_NONE) {
        digit += 12;
        *at = digit - b.data;
        char other = *digit == '7' ? '8' : '7';
        int fd = open(db, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || pwrite(fd, &other, 1, (off_t)*at) != 1) {
            f = FAULT_ERRNO(why, FAIL_INTERNAL, "cannot write %s", db);
        }
        printf("Byte %lld of the copy of data.db, inside a record's time: '%c' became '%c'.\n", *at,
               *digit, other);
        if (fd >= 0) {
            close(fd);
        }
    }
    buf_done(&b);
    return f;
}

static enum fail verify(const char *home, bool *ok, struct fault *why)
{
    struct audit_report *r = mem_alloc(sizeof(*r));
    struct audit_verify_options o = {.home = home};
    enum fail f = audit_verify(&o, r, why);
    *ok = f == FAIL_NONE && r->ok;
    if (f == FAIL_NONE) {
        printf("  %s: %lld records, %lld checkpoints, %.0f ms\n", r->ok ? "whole" : "CHANGED",
               (long long)r->leaves, (long long)r->checkpoints, r->ms);
        for (int64_t i = 0; i < r->findings_len && i < 3; i++) {
            printf("  %s\n", r->findings[i].text);
        }
    }
    mem_free(r);
    return f;
}

static enum fail flip_in_copy(struct demo *d, const char *copy, struct fault *why)
{
    static const char *const files[] = {"data.db", "keys.db"};
    char from[CLIENT_PATH_SIZE + 64], to[CLIENT_PATH_SIZE + 64];
    struct store_conn *conn = NULL;
    struct buf leaf;
    enum fail f = FAIL_NONE;
    long long at = 0;
    bool ok = false;
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(files); i++) {
        (void)snprintf(from, sizeof(from), "%s/%s", d->cli->home, files[i]);
        (void)snprintf(to, sizeof(to), "%s/%s", copy, files[i]);
        f = copy_file(from, to, why);
    }
    (void)snprintf(to, sizeof(to), "%s/data.db", copy);
    buf_init(&leaf, AUDIT_LEAF_MAX + 1);
    f = f == FAIL_NONE ? store_file_open(to, &conn, why) : f;
    int64_t seq = f == FAIL_NONE ? audit_size(conn) / 2 : 0;
    f = f == FAIL_NONE ? audit_leaf_get(conn, seq, &leaf, why) : f;
    store_reader_close(conn);
    if (f == FAIL_NONE) {
        printf("$ inhouse audit verify --home %s\n", copy);
        f = verify(copy, &ok, why);
    }
    f = f == FAIL_NONE ? flip(to, &leaf, &at, why) : f;
    if (f == FAIL_NONE) {
        printf("$ inhouse audit verify --home %s\n", copy);
        f = verify(copy, &ok, why);
        printf(ok ? "  THE CHANGE WAS NOT FOUND.\n" : "  It was record %lld that we changed.\n",
               (long long)seq);
    }
    buf_done(&leaf);
    return f;
}

void demo_act_flip(struct demo *d)
{
    struct fault why = {0};
    char copy[CLIENT_PATH_SIZE + 32], path[CLIENT_PATH_SIZE + 64];
    demo_say(d, "Act three: one byte of a record is changed behind the server's back, in a copy of "
                "the data folder");
    demo_stop(d);
    (void)snprintf(copy, sizeof(copy), "%s-flipped", d->cli->home);
    if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
        printf("Not shown: cannot make %s\n", copy);
        return;
    }
    if (flip_in_copy(d, copy, &why) != FAIL_NONE) {
        printf("Not shown: %s\n", why.message);
    }
    static const char *const files[] = {"data.db", "data.db-wal", "data.db-shm",
                                        "keys.db", "keys.db-wal", "keys.db-shm"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", copy, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(copy);
}
