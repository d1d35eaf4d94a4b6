/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse-worker: one model in one sealed process. Wiring only: options, the backend, the seal, the
 * loop.
 * Owns: the order of start-up (everything that needs files comes before the seal). Threads: one
 * here. Exit status: 0 stopped, 2 bad options, 3 bad frame, 4 cannot start or seal.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log/log.h"
#include "base/text/text.h"
#include "worker/engine/engine.h"
#include "worker/sandbox/sandbox.h"
#include "worker/serve/serve.h"
#include "worker/tool/tool.h"

#define EXIT_OPTIONS 2
#define EXIT_START 4
#define WATCHDOG_EXIT 5
#define MEMORY_MAX_LEAST (256 << 20)

struct options {
    const char *engine;
    const char *engine_dir;
    bool seal;
    int64_t memory_max; /* 0: no bound */
    enum log_level level;
};

static int usage(void)
{
    static const char text[] =
        "usage: inhouse-worker --engine llama|fake [--engine-dir DIR] [--no-seal] [--memory-max "
        "BYTES] [--log-level LEVEL]\n"
        "Serves one model over the socket on descriptor 3; inhoused starts it. LEVEL: debug, info, "
        "warn, error.\n"
        "       inhouse-worker --tool import|check|quantize|measure|compare ...: jobs on files\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    return EXIT_OPTIONS;
}

static bool read_level(const char *word, enum log_level *out)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"engine", required_argument, NULL, 'e'},
                                          {"engine-dir", required_argument, NULL, 'd'},
                                          {"no-seal", no_argument, NULL, 'n'},
                                          {"memory-max", required_argument, NULL, 'm'},
                                          {"log-level", required_argument, NULL, 'l'},
                                          {NULL, 0, NULL, 0}};
    *o = (struct options){.engine = "llama", .seal = true, .level = LOG_LEVEL_WARN};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'e':
            o->engine = optarg;
            break;
        case 'd':
            o->engine_dir = optarg;
            break;
        case 'n':
            o->seal = false;
            break;
        case 'm':
            if (!text_read_int(optarg, MEMORY_MAX_LEAST, INT64_MAX, &o->memory_max)) {
                return false;
            }
            break;
        case 'l':
            if (!read_level(optarg, &o->level)) {
                return false;
            }
            break;
        default:
            return false;
        }
    }
    bool fake = strcmp(o->engine, "fake") == 0;
    return optind == argc && (fake || strcmp(o->engine, "llama") == 0);
}

/* A grammar that hangs cannot be interrupted, only ended (worker/engine/sample.c arms the
   timer). */
static void on_alarm(int signal)
{
    static const char line[] = "{\"level\":\"error\",\"event\":\"worker.watchdog\",\"message\":\"a "
                               "grammar step took too long\"}\n";
    (void)signal;
    (void)!write(STDERR_FILENO, line, sizeof line - 1);
    _exit(WATCHDOG_EXIT);
}

/* The folder of the engine's libraries beside this executable: ../lib/inhouse-engine. */
static const char *default_engine_dir(char *room, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", room, size - 1);
    for (int up = 0; n > 0 && up < 2; up++) {
        room[n] = '\0';
        char *slash = strrchr(room, '/');
        n = slash == NULL ? 0 : slash - room;
    }
    if (n <= 0) {
        return ".";
    }
    (void)snprintf(room + n, size - (size_t)n, "/lib/inhouse-engine");
    return room;
}

static enum fail seal_tool(const struct tool_reach *reach, struct fault *why)
{
    struct sandbox_report report;
    if (reach == NULL) {
        return sandbox_enter(&report, why);
    }
    const struct sandbox_options folder = {.profile = SANDBOX_FOLDER,
                                           .in_file = reach->in_file,
                                           .out_folder = reach->out_folder,
                                           .out_bytes_max = reach->out_bytes_max};
    return sandbox_enter_as(&folder, &report, why);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--tool") == 0) {
        char beside[4096];
        return tool_main(argc - 2, argv + 2, default_engine_dir(beside, sizeof beside), seal_tool);
    }
    struct options o;
    struct fault why = {0};
    struct sandbox_report report = {0};
    char dir[4096];
    if (!read_options(argc, argv, &o)) {
        return usage();
    }
    log_set_program("inhouse-worker");
    log_set_level(o.level);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGALRM, on_alarm);
    (void)close_range(IPC_WORKER_FD + 1, ~0u, 0);
    bool fake = strcmp(o.engine, "fake") == 0;
    const char *engine_dir = o.engine_dir != NULL ? o.engine_dir
                                                  : default_engine_dir(dir, sizeof dir);
    if (!fake && engine_llama_start(engine_dir, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "worker.start", &why);
        return EXIT_START;
    }
    struct serve_options serve = {.socket = IPC_WORKER_FD,
                                  .statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC),
                                  .build = INHOUSE_VERSION,
                                  .engine_new = fake ? engine_fake_new : engine_llama_new};
    bool gpu = !fake && engine_llama_gpus() > 0;
    const struct sandbox_options seal = {.profile = gpu ? SANDBOX_GPU : SANDBOX_TIGHT,
                                         .memory_max = gpu ? 0 : (uint64_t)o.memory_max};
    if (o.seal && sandbox_enter_as(&seal, &report, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "worker.seal", &why);
        return EXIT_START;
    }
    serve.landlock_abi = report.landlock_abi;
    serve.seccomp = report.seccomp;
    serve.gpus = fake ? 0 : engine_llama_gpus();
    return (int)serve_run(&serve);
}
