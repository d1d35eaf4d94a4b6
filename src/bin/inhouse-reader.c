/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse-reader: one hostile document on descriptor 0, what it holds as frames on descriptor 1, in
 * a process that seals itself before it reads a byte of it and ends with it. Wiring only.
 * With --pdftotext PATH it seals itself and becomes that program, which then reads the document.
 * Owns: nothing. Threads: one. Limits: the options, each as `struct document_limits` says. Exit
 * status: 0 the frames say how it went, 2 bad options, 4 cannot seal or start.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text/text.h"
#include "worker/formats/formats.h"
#include "worker/sandbox/sandbox.h"

#define EXIT_OPTIONS 2
#define EXIT_START 4
#define READ_BYTES 65536
/* Options that are numbers, by their place in the two lists of read_limit. */
#define SMALL 1000
#define LARGE 2000

struct options {
    struct formats_ask ask;
    const char *pdftotext;
};

static int usage(void)
{
    static const char text[] =
        "usage: inhouse-reader [--format F] [--name FILE] [--type MEDIA/TYPE] [--charset C] "
        "[--LIMIT N]... < document > frames\n"
        "       inhouse-reader --pdftotext PATH < pdf > text\n"
        "Reads one document, sealed; `inhouse read FILE` shows the same to people.\n";
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    return EXIT_OPTIONS;
}

static bool read_limit(int which, const char *text, struct document_limits *l)
{
    int64_t v;
    uint32_t *const small[] = {&l->blocks, &l->links, &l->attachments,
                               &l->parts,  &l->depth, &l->cpu_s};
    uint64_t *const large[] = {&l->input_bytes, &l->text_bytes, &l->attachment_bytes,
                               &l->memory_bytes};
    bool is_small = which < LARGE;
    if (!text_read_int(text, 1, is_small ? UINT32_MAX : INT64_MAX, &v)) {
        return false;
    }
    if (is_small) {
        *small[which - SMALL] = (uint32_t)v;
    } else {
        *large[which - LARGE] = (uint64_t)v;
    }
    return true;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"format", required_argument, NULL, 'f'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"type", required_argument, NULL, 't'},
                                          {"charset", required_argument, NULL, 'c'},
                                          {"pdftotext", required_argument, NULL, 'p'},
                                          {"blocks", required_argument, NULL, SMALL + 0},
                                          {"links", required_argument, NULL, SMALL + 1},
                                          {"attachments", required_argument, NULL, SMALL + 2},
                                          {"parts", required_argument, NULL, SMALL + 3},
                                          {"depth", required_argument, NULL, SMALL + 4},
                                          {"cpu-s", required_argument, NULL, SMALL + 5},
                                          {"input-bytes", required_argument, NULL, LARGE + 0},
                                          {"text-bytes", required_argument, NULL, LARGE + 1},
                                          {"attachment-bytes", required_argument, NULL, LARGE + 2},
                                          {"memory-bytes", required_argument, NULL, LARGE + 3},
                                          {NULL, 0, NULL, 0}};
    *o = (struct options){.ask = {.out = STDOUT_FILENO}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        switch (c) {
        case 'f':
            o->ask.format = optarg;
            break;
        case 'n':
            o->ask.name = optarg;
            break;
        case 't':
            o->ask.type = optarg;
            break;
        case 'c':
            o->ask.charset = optarg;
            break;
        case 'p':
            o->pdftotext = optarg;
            break;
        default:
            if (c < SMALL || !read_limit(c, optarg, &o->ask.limits)) {
                return false;
            }
        }
    }
    document_limits_fill(&o->ask.limits);
    return optind == argc;
}

static int become_pdftotext(const struct options *o)
{
    /* Text in reading order with its metadata; a page ends with a form feed. */
    char *const argv[] = {"pdftotext", "-q", "-htmlmeta", "-enc", "UTF-8", "-", "-", NULL};
    char *const env[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC0", NULL};
    const struct sandbox_options seal = {.profile = SANDBOX_PROGRAM,
                                         .program = o->pdftotext,
                                         .memory_max = o->ask.limits.memory_bytes,
                                         .cpu_max_s = o->ask.limits.cpu_s,
                                         .threads_max = 1};
    struct sandbox_report report;
    struct fault why = {0};
    if (sandbox_enter_as(&seal, &report, &why) == FAIL_NONE) {
        (void)execve(o->pdftotext, argv, env);
    }
    return EXIT_START;
}

/* All of descriptor 0, at most one byte more than may be. */
static bool read_document(struct buf *b, uint64_t most)
{
    for (;;) {
        uint64_t left = most + 1 - b->len;
        size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
        if (want == 0 || !buf_reserve(b, want)) {
            return true;
        }
        ssize_t n = read(STDIN_FILENO, b->data + b->len, want);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0;
        }
        b->len += (size_t)n;
    }
}

int main(int argc, char **argv)
{
    struct options o;
    struct sandbox_report report;
    struct fault why = {0};
    struct buf document;
    (void)close_range(3, ~0u, 0);
    if (!read_options(argc, argv, &o)) {
        return usage();
    }
    if (o.pdftotext != NULL) {
        return become_pdftotext(&o);
    }
    (void)signal(SIGPIPE, SIG_IGN);
    formats_start();
    const struct sandbox_options seal = {.profile = SANDBOX_READER,
                                         .memory_max = o.ask.limits.memory_bytes,
                                         .cpu_max_s = o.ask.limits.cpu_s,
                                         .threads_max = 1};
    if (sandbox_enter_as(&seal, &report, &why) != FAIL_NONE) {
        return EXIT_START;
    }
    buf_init(&document, o.ask.limits.input_bytes + 2);
    if (!read_document(&document, o.ask.limits.input_bytes)) {
        return EXIT_START;
    }
    (void)!formats_read(document.data, document.len, &o.ask, &why);
    return 0;
}
