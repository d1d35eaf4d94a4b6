/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse doctor: what is here, and what is missing for a good day. Needs no server; asks one
   that runs. Threads: one. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "answer/learn/learn.h"
#include "base/clock/clock.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "run/machine/machine.h"
#include "run/models/models.h"
#include "trust/audit/audit.h"

#define LOW_DISK_BYTES 2000000000.0

struct doctor {
    struct cli *cli;
    json_t *out;
    int problems;
};

static void say(struct doctor *d, const char *what, bool good, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void say(struct doctor *d, const char *what, bool good, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    d->problems += good ? 0 : 1;
    if (d->cli->json) {
        (void)json_object_set_new(d->out, what, json_pack("{s:b,s:s}", "good", good, "text", text));
    } else {
        const char *red = !good && d->cli->tty ? "\x1b[31;1m" : "";
        printf("%s%s%s %-10s %s\n", red, good ? "ok  " : "LOOK", red[0] != '\0' ? "\x1b[0m" : "",
               what, text);
    }
}

static void programs(struct doctor *d)
{
    static const char *const names[] = {"inhoused", "inhouse-worker", "inhouse-reader"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[CLIENT_PATH_SIZE];
        bool there = client_program(names[i], path) && access(path, X_OK) == 0;
        say(d, names[i], there,
            there ? "%s" : "%s is missing: build or install it beside this program", path);
    }
}

/* PDF needs the program, and a kernel that can hold it to its libraries. */
static void documents(struct doctor *d)
{
    bool there = access("/usr/bin/pdftotext", X_OK) == 0;
    bool held = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u) > 0;
    say(d, "documents", there && held,
        !there ? "PDF cannot be read without pdftotext: apt install poppler-utils"
        : held ? "HTML, XML, mail, DOCX, CSV, JSON, Markdown, and PDF through pdftotext"
               : "PDF cannot be read: pdftotext is only started under Landlock");
}

/* The features of the processor that the engine has variants for, widest last. */
static void processor(struct doctor *d)
{
    struct buf b;
    struct fault why;
    char features[96] = "", model[128] = "unknown";
    static const char *const flags[] = {"sse4_2",  "avx",         "avx2",    "fma",
                                        "avx512f", "avx512_vnni", "amx_int8"};
    buf_init(&b, (size_t)4 << 20);
    if (cli_read_file("/proc/cpuinfo", &b, &why) == FAIL_NONE && b.len > 0) {
        char *m = strstr(b.data, "model name"), *f = strstr(b.data, "\nflags");
        if (m != NULL && (m = strchr(m, ':')) != NULL) {
            (void)snprintf(model, sizeof(model), "%.*s", (int)strcspn(m + 2, "\n"), m + 2);
        }
        char *end = f != NULL ? strchr(f + 1, '\n') : NULL;
        if (end != NULL) {
            *end = ' ';
        }
        for (size_t i = 0; end != NULL && i < COUNT_OF(flags); i++) {
            char word[24];
            size_t n = strlen(features);
            (void)snprintf(word, sizeof(word), " %s ", flags[i]);
            char *at = strstr(f, word);
            if (at != NULL && at < end + 1) {
                (void)snprintf(features + n, sizeof(features) - n, " %s", flags[i]);
            }
        }
    }
    buf_done(&b);
    say(d, "processor", true, "%s, %ld cores,%s", model, sysconf(_SC_NPROCESSORS_ONLN), features);
    double gb = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / 1e9;
    say(d, "memory", gb > 3.5, "%.1f GB", gb);
}

/* Devices, and how large a model fits (run/machine has the formula). */
static void gpus(struct doctor *d, bool cuda)
{
    struct machine m;
    char size[24];
    machine_read("", &m);
    for (int i = 0; i < m.n_gpus; i++) {
        const struct machine_gpu *g = &m.gpus[i];
        char fits[96] = "its memory is unknown";
        if (g->memory > 0) {
            (void)snprintf(fits, sizeof(fits), "%s: models up to about %lld billion parameters",
                           cli_bytes(g->memory, size),
                           (long long)(machine_fits(g->memory) / 1000000000));
        }
        say(d, "gpu", g->driver && cuda, "%s at %s, %s%s",
            g->name[0] != '\0' ? g->name : "an NVIDIA device", g->pci, fits,
            !g->driver ? "; install NVIDIA's driver to use it"
            : cuda     ? ""
                       : "; to use it: make ENGINE=cuda setup build");
    }
    if (m.n_gpus == 0) {
        say(d, "gpu", true, "none that the engine could use; models run on the processor");
    }
    say(d, "fits", true, "models up to about %.1f billion parameters (Q4_K_M) in this memory",
        (double)machine_fits(m.available) / 1e9);
}

/* What the build wrote beside the libraries: "prebuilt", "cuda", ... */
static void engine_kind(const char *folder, char out[24])
{
    struct buf b;
    struct fault why;
    char path[CLIENT_PATH_SIZE + 8];
    buf_init(&b, 256);
    (void)snprintf(path, sizeof(path), "%s/ENGINE", folder);
    bool read = cli_read_file(path, &b, &why) == FAIL_NONE && b.len > 0;
    (void)snprintf(out, 24, "%.20s", read ? text_trim(b.data) : "prebuilt");
    buf_done(&b);
}

static void engine(struct doctor *d)
{
    char kind[24] = "prebuilt";
    char folder[CLIENT_PATH_SIZE];
    int variants = 0;
    bool library = false;
    if (client_program("../lib/inhouse-engine", folder)) {
        DIR *dir = opendir(folder);
        for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
            variants += text_starts_with(e->d_name, "libggml-cpu") ? 1 : 0;
            library = library || text_starts_with(e->d_name, "libllama.");
        }
        if (dir != NULL) {
            closedir(dir);
        }
        engine_kind(folder, kind);
    }
    if (library) {
        say(d, "engine", variants > 0,
            "llama.cpp 0.5.0, %s, %d CPU variant%s (the best one is chosen at start)", kind,
            variants, variants == 1 ? "" : "s");
    } else {
        say(d, "engine", false, "no engine beside the programs: run make setup, then make");
    }
    gpus(d, strcmp(kind, "cuda") == 0);
}

static void sandbox(struct doctor *d)
{
    struct utsname u;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1u);
    bool known = uname(&u) == 0;
    say(d, "sandbox", abi > 0,
        abi > 0 ? "Landlock ABI %ld and seccomp, Linux %s"
                : "no Landlock (%ld) on Linux %s: "
                  "workers are closed in by seccomp alone",
        abi, known ? u.release : "?");
}

static void folder(struct doctor *d)
{
    struct statvfs v;
    bool there = access(d->cli->home, F_OK) == 0;
    say(d, "home", true, "%s%s", d->cli->home, there ? "" : " (made at first use)");
    if (there && statvfs(d->cli->home, &v) == 0) {
        double bytes = (double)v.f_bavail * (double)v.f_frsize;
        char text[24];
        say(d, "disk", bytes > LOW_DISK_BYTES, "%s free", cli_bytes((int64_t)bytes, text));
    }
}

static void models(struct doctor *d)
{
    static const char *const roles[] = {"embed", "light", "heavy"};
    static const char *const without[] = {"the learned rung works on words alone",
                                          "no local model answers",
                                          "drafts are composed and not rewritten"};
    struct models *m = NULL;
    struct fault why;
    if (access(d->cli->home, F_OK) != 0 || models_open(d->cli->home, &m, &why) != FAIL_NONE) {
        say(d, "models", false, "none yet: inhouse models add FILE --role light");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        const struct models_entry *e = models_find(m, roles[i]);
        if (e != NULL) {
            say(d, roles[i], true, "%s (%s, %s)", e->name, e->arch, e->quant);
        } else {
            say(d, roles[i], i == 2, "no model: %s", without[i]);
        }
    }
    char text[24];
    say(d, "memory", true, "models may use %s together, unless models.memory_mb says otherwise",
        cli_bytes(models_memory_default(), text));
    for (size_t i = 0; i < models_broken(m); i++) {
        say(d, "manifest", false, "%s", models_broken_at(m, i)->message);
    }
    models_close(m);
}

static bool first_at(void *arg, int64_t seq, const char *body, size_t n)
{
    struct fault why;
    json_t *leaf AUTO_JSON = NULL;
    (void)seq;
    if (jn_parse(body, n, "a record", &leaf, &why) == FAIL_NONE) {
        *(int64_t *)arg = json_integer_value(json_object_get(leaf, "at"));
    }
    return false;
}

/* Red when the record is older than a day and no checkpoint left this machine within one. */
static void checkpoints(struct doctor *d)
{
    char path[CLIENT_PATH_SIZE + 16], at[CLOCK_RFC3339_SIZE];
    struct fault why;
    struct store_conn *conn = NULL;
    int64_t first = 0, now = clock_now_us();
    (void)snprintf(path, sizeof(path), "%s/data.db", d->cli->home);
    if (access(path, F_OK) != 0 || store_file_open(path, &conn, &why) != FAIL_NONE) {
        return;
    }
    enum fail f = audit_leaf_each(conn, 0, 1, first_at, &first, &why);
    int64_t left = f == FAIL_NONE ? audit_left_at(conn) : 0;
    store_reader_close(conn);
    bool young = first == 0 || now - first < AUDIT_LEFT_MAX_US;
    if (left != 0) {
        say(d, "checkpoint", now - left < AUDIT_LEFT_MAX_US,
            "the record's newest left this machine "
            "at %s",
            clock_show(left, at));
    } else {
        say(d, "checkpoint", young,
            "none left this machine%s: set audit.witness_url, audit.mail_to, "
            "or audit.note_folder to a mount of another machine",
            young ? " yet" : "");
    }
}

#define LANGUAGES_SHOWN 8
#define DAYS_90 ((int64_t)90 * 24 * 3600 * 1000000)

/* Which languages the embedding model holds, by its name; English where that says nothing. */
static const char *languages_held(struct doctor *d, char name[MODELS_NAME_SIZE])
{
    struct models *m = NULL;
    struct fault why;
    const char *held = NULL;
    name[0] = '\0';
    if (access(d->cli->home, F_OK) == 0 && models_open(d->cli->home, &m, &why) == FAIL_NONE) {
        const struct models_entry *e = models_find(m, "embed");
        if (e != NULL) {
            (void)text_copy(name, MODELS_NAME_SIZE, e->name);
            held = learn_languages_of_model(e->name);
            held = held != NULL ? held : learn_languages_of_model(e->source);
        }
        models_close(m);
    }
    return held != NULL ? held : "en";
}

static void say_languages(struct doctor *d, const struct learn_language_share *all, size_t n)
{
    char name[MODELS_NAME_SIZE], list[256] = "", missing[128] = "";
    const char *held = languages_held(d, name);
    int64_t sum = 0, without = 0;
    for (size_t i = 0; i < n; i++) {
        sum += all[i].n;
    }
    for (size_t i = 0; i < n; i++) {
        bool holds = strcmp(all[i].code, "und") == 0 || learn_languages_include(held, all[i].code);
        size_t at = strlen(list), end = strlen(missing);
        if (i < LANGUAGES_SHOWN) {
            (void)snprintf(list + at, sizeof(list) - at, "%s%s %.1f %%", i > 0 ? ", " : "",
                           all[i].code, 100.0 * (double)all[i].n / (double)sum);
        }
        if (!holds) {
            without += all[i].n;
            (void)snprintf(missing + end, sizeof(missing) - end, "%s%s", end > 0 ? " " : "",
                           all[i].code);
        }
    }
    if (name[0] == '\0') {
        say(d, "languages", true, "tickets of 90 days: %s; no embedding model, so every language "
            "is learned from its words alone", list);
    } else if (without == 0) {
        say(d, "languages", true, "tickets of 90 days: %s; %s holds them", list, name);
    } else {
        say(d, "languages", false,
            "tickets of 90 days: %s; %.1f %% are in languages that %s does not hold (%s). Load a "
            "multilingual one, such as paraphrase-multilingual-MiniLM-L12-v2, "
            "multilingual-e5-small "
            "or bge-m3 (inhouse models import FOLDER), and learn again",
            list, 100.0 * (double)without / (double)sum, name, missing);
    }
}

/* In which languages tickets came, against what the loaded embedding model holds. */
static void languages(struct doctor *d, struct store_conn *conn)
{
    struct learn_language_share all[32];
    struct fault why;
    size_t n = 0;
    if (conn != NULL && learn_language_read(conn, clock_now_us() - DAYS_90, all, COUNT_OF(all), &n,
                                            &why) != FAIL_NONE) {
        say(d, "languages", true, "not counted yet: the data is of an earlier version");
    } else if (n == 0) {
        say(d, "languages", true, "no tickets yet; any language is recognised, replies are framed "
            "in English and German");
    } else {
        say_languages(d, all, n);
    }
}

static void record(struct doctor *d)
{
    char path[CLIENT_PATH_SIZE + 16];
    struct store_conn *conn = NULL;
    struct fault why;
    (void)snprintf(path, sizeof(path), "%s/data.db", d->cli->home);
    if (access(path, F_OK) != 0) {
        say(d, "store", true, "no data yet");
    } else if (store_file_open(path, &conn, &why) != FAIL_NONE) {
        say(d, "store", false, "%s", why.message);
    } else {
        say(d, "store", true, "SQLite, %s can be read; `inhouse audit verify` checks the record",
            path);
    }
    languages(d, conn);
    store_reader_close(conn);
}

/* What somebody switched off explains most of what does not answer. */
static void halts(struct doctor *d, const json_t *list)
{
    const json_t *first = json_array_get(list, 0);
    size_t n = json_array_size(list);
    if (n > 0) {
        say(d, "halts", false, "%zu switched off, the first: %s %s, by %s: %s", n,
            cli_str(first, "kind"), cli_str(first, "name"), cli_str(first, "by"),
            cli_str(first, "reason"));
    }
}

static void server(struct doctor *d)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL;
    struct client *c = cli_client_running(d->cli);
    if (c == NULL) {
        say(d, "server", d->cli->why.code == FAIL_STOPPED, "%s",
            d->cli->why.code == FAIL_STOPPED ? "none runs; commands start one when they need it"
                                             : d->cli->why.message);
    } else if (client_get(c, &j, &why, "/api/v1/status") != FAIL_NONE) {
        say(d, "server", false, "%s", why.message);
    } else {
        say(d, "server", true, "runs, process %lld, %lld records",
            (long long)json_integer_value(json_object_get(j, "pid")),
            (long long)json_integer_value(json_object_get(j, "records")));
        halts(d, json_object_get(j, "halts"));
    }
}

/* Do the places that hold something of a document agree? Only a running server can say. */
static void datasets(struct doctor *d)
{
    struct fault why;
    json_t *j AUTO_JSON = NULL, *what;
    struct client *c = cli_client_running(d->cli);
    size_t i;
    if (c == NULL) {
        return;
    }
    if (client_get(c, &j, &why, "/api/v1/dataset-check") != FAIL_NONE) {
        say(d, "datasets", false, "%s", why.message);
        return;
    }
    const json_t *list = json_object_get(j, "findings");
    json_array_foreach(list, i, what) {
        say(d, "datasets", false, "%s", json_string_value(what));
    }
    if (i == 0) {
        say(d, "datasets", true, "documents, full text and vectors agree");
    }
}

int command_doctor(struct cli *cli)
{
    struct doctor d = {.cli = cli, .out = json_object()};
    programs(&d);
    documents(&d);
    engine(&d);
    processor(&d);
    sandbox(&d);
    folder(&d);
    models(&d);
    checkpoints(&d);
    record(&d);
    server(&d);
    datasets(&d);
    if (cli->json) {
        cli_print_json(d.out);
    }
    json_decref(d.out);
    return d.problems > 0 ? COMMAND_SOME_FAILED : COMMAND_OK;
}
