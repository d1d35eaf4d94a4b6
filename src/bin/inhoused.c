/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhoused: the server. Options only; http/house opens the rooms and runs them.
 * Exit: 0 after TERM or INT and what was accepted is answered; 1 it could not start, or a second
 * signal; 2 bad options or configuration.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log/log.h"
#include "http/api/api.h"
#include "http/house/house.h"

static const char usage[] =
    "usage: inhoused [options]\n"
    "  --home DIR          data folder (INHOUSE_HOME, ~/.local/share/inhouse)\n"
    "  --config FILE       inhouse.yaml (HOME/inhouse.yaml when there is one)\n"
    "  --listen ADDR:PORT  TCP address instead of listen.address and listen.port\n"
    "  --listen-fd N       an inherited, listening Unix socket instead of HOME/sock\n"
    "  --linger SECONDS    no TCP unless --listen; end this long after the last client\n"
    "  --engine llama|fake --no-seal   for tests\n"
    "  --witness DIR --name NAME --log KEY…   only cosign checkpoints of these logs, state in DIR\n"
    "  --check-config      read the configuration, report, exit\n"
    "  --openapi, --options   print the description of the HTTP API, of inhouse.yaml; exit\n"
    "  --version\n";

struct inhoused_options {
    struct house_options house;
    char address[64], port[8];
    bool check, openapi, list;
    struct house_witness_options witness;
    const char *logs[64];
};

static bool read_listen(struct inhoused_options *o, const char *s)
{
    const char *colon = strrchr(s, ':');
    size_t n = colon ? (size_t)(colon - s) : 0;
    int64_t port;
    if (n == 0 || n >= sizeof(o->address) || !text_read_int(colon + 1, 0, 65535, &port)) {
        return false;
    }
    if (s[0] == '[' && s[n - 1] == ']') {
        s++;
        n -= 2;
    }
    memcpy(o->address, s, n);
    (void)text_copy(o->port, sizeof(o->port), colon + 1);
    o->house.listen_address = o->address;
    o->house.listen_port = o->port;
    return true;
}

static bool add_log(struct inhoused_options *o, const char *key)
{
    bool room = o->witness.logs_len < COUNT_OF(o->logs);
    o->logs[room ? o->witness.logs_len++ : 0] = key;
    return room;
}

static bool read_options(struct inhoused_options *o, int argc, char **argv)
{
    static const struct option list[] = {
        {"home", 1, NULL, 'h'},      {"config", 1, NULL, 'c'},       {"listen", 1, NULL, 'l'},
        {"listen-fd", 1, NULL, 'f'}, {"linger", 1, NULL, 'w'},       {"engine", 1, NULL, 'e'},
        {"no-seal", 0, NULL, 'n'},   {"check-config", 0, NULL, 'k'}, {"openapi", 0, NULL, 'o'},
        {"options", 0, NULL, 'p'},   {"version", 0, NULL, 'v'},      {"help", 0, NULL, '?'},
        {"witness", 1, NULL, 'W'},   {"name", 1, NULL, 'N'},         {"log", 1, NULL, 'L'},
        {NULL, 0, NULL, 0}};
    int64_t n = -1;
    *o = (struct inhoused_options){.house = {.listen_fd = -1}};
    for (int c; (c = getopt_long(argc, argv, "", list, NULL)) != -1;) {
        bool good = true;
        switch (c) {
        case 'h':
            o->house.home = optarg;
            break;
        case 'c':
            o->house.config = optarg;
            break;
        case 'e':
            o->house.engine = optarg;
            break;
        case 'n':
            o->house.no_seal = true;
            break;
        case 'k':
            o->check = true;
            break;
        case 'o':
            o->openapi = true;
            break;
        case 'p':
            o->list = true;
            break;
        case 'l':
            good = read_listen(o, optarg);
            break;
        case 'f':
            good = text_read_int(optarg, 3, 1023, &n);
            o->house.listen_fd = (int)n;
            break;
        case 'w':
            good = text_read_int(optarg, 1, 86400, &n);
            o->house.linger_s = (int)n;
            break;
        case 'W':
            o->witness.folder = optarg;
            break;
        case 'N':
            o->witness.name = optarg;
            break;
        case 'L':
            good = add_log(o, optarg);
            break;
        case 'v':
            (void)puts(INHOUSE_VERSION);
            exit(0);
        default:
            good = false;
        }
        if (!good) {
            (void)fputs(usage, stderr);
            return false;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "inhoused: what is \"%s\"?\n%s", argv[optind], usage);
    }
    return optind == argc;
}

static int describe(void (*write)(struct buf *out), const char *end)
{
    struct buf text;
    buf_init(&text, 4u * 1024u * 1024u);
    write(&text);
    bool good = fwrite(text.data, 1, text.len, stdout) == text.len && fputs(end, stdout) != EOF &&
                fflush(stdout) == 0;
    buf_done(&text);
    return good ? 0 : 1;
}

static int check_config(const struct inhoused_options *o)
{
    struct config *c = house_config(&o->house, o->house.home);
    if (c == NULL) {
        return 2;
    }
    config_unref(c);
    (void)puts("The configuration is good.");
    return 0;
}

static int witness(struct inhoused_options *o)
{
    struct fault why;
    int64_t port = 8461;
    if (o->witness.name == NULL || o->witness.logs_len == 0 ||
        (o->house.listen_port != NULL && !text_read_int(o->house.listen_port, 0, 65535, &port))) {
        (void)fprintf(stderr, "inhoused: --witness needs --name and --log\n%s", usage);
        return 2;
    }
    o->witness.logs = o->logs;
    o->witness.port = (int)port;
    o->witness.address = o->house.listen_address != NULL ? o->house.listen_address : "127.0.0.1";
    enum fail f = house_witness(&o->witness, &why);
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "witness.not_started", &why);
    }
    return f == FAIL_NONE ? 0 : f == FAIL_BAD_REQUEST ? 2 : 1;
}

/* Signals come through a descriptor; files are private; no core dump may hold a prompt. */
static void prepare_process(void)
{
    sigset_t set;
    struct rlimit none = {0, 0};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)umask(077);
    (void)setrlimit(RLIMIT_CORE, &none);
}

int main(int argc, char **argv)
{
    struct inhoused_options o;
    struct house *house = NULL;
    struct fault why;
    log_set_program("inhoused");
    if (!read_options(&o, argc, argv)) {
        return 2;
    }
    if (o.openapi) {
        return describe(api_describe, "\n");
    }
    if (o.list) {
        return describe(config_describe, "");
    }
    if (o.check) {
        return check_config(&o);
    }
    prepare_process();
    if (o.witness.folder != NULL) {
        return witness(&o);
    }
    enum fail f = house_open(&o.house, &house, &why);
    if (f != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "server.not_started", &why);
        return f == FAIL_BAD_REQUEST ? 2 : 1;
    }
    house_run(house);
    house_close(house);
    log_write(LOG_LEVEL_INFO, "server.stopped", NULL);
    return 0;
}
