/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `inhouse-worker --tool NAME ...`: the command line, the lines on stdout, and what both jobs
 * share. Threads: one.
 */
#include "worker/tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "base/text/text.h"
#include "worker/tool/tool_internal.h"

enum fail tool_file_map(struct tool_file *file, size_t max, struct fault *why)
{
    struct stat st;
    if (file->fd < 0) {
        return FAIL_NONE;
    }
    if (fstat(file->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s: not a regular file", file->name);
    }
    if ((uintmax_t)st.st_size > max) {
        return FAULT(why, FAIL_TOO_LARGE, "%s: %jd bytes; the limit is %zu", file->name,
                     (intmax_t)st.st_size, max);
    }
    file->size = (size_t)st.st_size;
    if (file->size == 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s: the file is empty", file->name);
    }
    void *map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (map == MAP_FAILED) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "%s: cannot be mapped", file->name);
    }
    file->data = map;
    return FAIL_NONE;
}

enum fail tool_file_json(const struct tool_file *file, json_t **out, struct fault *why)
{
    *out = NULL;
    if (file->data == NULL) {
        return FAIL_NONE;
    }
    enum fail f = jn_parse((const char *)file->data, file->size, file->name, out, why);
    if (f == FAIL_NONE && !json_is_object(*out)) {
        f = FAULT(why, FAIL_BAD_REQUEST, "%s: not a JSON object", file->name);
    }
    return f;
}

void tool_say(json_t *line)
{
    ASSERT(line != NULL);
    if (json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0) {
        fputc('\n', stdout);
    }
    fflush(stdout);
    json_decref(line);
}

void tool_say_progress(uint64_t done, uint64_t total)
{
    tool_say(json_pack("{s:s, s:I, s:I}", "event", "progress", "done", (json_int_t)done, "total",
                       (json_int_t)total));
}

void tool_clean(char *text)
{
    size_t len = strlen(text);
    for (size_t at = text_utf8_valid_prefix(text, len); at < len;
         at += text_utf8_valid_prefix(text + at, len - at)) {
        text[at] = '?';
    }
}

int tool_say_error(const struct fault *why)
{
    /* A message may quote the file, and may be cut inside a character. */
    struct fault clean = *why;
    tool_clean(clean.message);
    tool_clean(clean.hint);
    tool_say(json_pack("{s:s, s:s, s:s, s:s}", "event", "error", "code", fail_name(clean.code),
                       "message", clean.message, "hint", clean.hint));
    return 1;
}

/* Options come in pairs, `--name value`. */
struct options {
    const char *in;
    const char *out;
    const char *type;
    const char *against;
    const char *plan;
};

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i += 2) {
        const char **to = strcmp(argv[i], "--in") == 0     ? &o->in
                          : strcmp(argv[i], "--out") == 0  ? &o->out
                          : strcmp(argv[i], "--type") == 0 ? &o->type
                          : strcmp(argv[i], "--plan") == 0 ? &o->plan
                          : strcmp(argv[i], "--against") == 0 ? &o->against
                                                              : NULL;
        if (to == NULL || i + 1 >= argc) {
            return false;
        }
        *to = argv[i + 1];
    }
    return true;
}

static int usage(void)
{
    fputs("usage: inhouse-worker --tool import --in FOLDER --out EMPTY_FOLDER [--type f16|f32]\n"
          "       inhouse-worker --tool check --in FILE.gguf\n"
          "       inhouse-worker --tool quantize --in FILE.gguf --out EMPTY_FOLDER --type TYPE\n"
          "       inhouse-worker --tool measure --in FILE.gguf [--plan JSON]\n"
          "       inhouse-worker --tool compare --in FILE.gguf --against FILE.gguf [--plan JSON]\n",
          stderr);
    return 2;
}

/* The jobs, and the options each must have (1) and may have (2), in the order of struct options. */
enum job { JOB_IMPORT, JOB_CHECK, JOB_QUANTIZE, JOB_MEASURE, JOB_COMPARE, JOB_COUNT };
static const struct {
    const char *name;
    int in, out, type, against, plan;
} jobs[JOB_COUNT] = {[JOB_IMPORT] = {"import", 1, 1, 2, 0, 0},
                     [JOB_CHECK] = {"check", 1, 0, 0, 0, 0},
                     [JOB_QUANTIZE] = {"quantize", 1, 1, 1, 0, 0},
                     [JOB_MEASURE] = {"measure", 1, 0, 0, 0, 2},
                     [JOB_COMPARE] = {"compare", 1, 0, 0, 1, 2}};

static bool fits(int rule, const char *value)
{
    return rule == 2 || (rule == 1) == (value != NULL);
}

static enum job find_job(const char *name, const struct options *o)
{
    int i = 0;
    while (i < JOB_COUNT &&
           !(strcmp(jobs[i].name, name) == 0 && fits(jobs[i].in, o->in) &&
             fits(jobs[i].out, o->out) && fits(jobs[i].type, o->type) &&
             fits(jobs[i].against, o->against) && fits(jobs[i].plan, o->plan))) {
        i++;
    }
    return (enum job)i;
}

int tool_main(int argc, char **argv, const char *engine_dir, tool_seal_fn seal)
{
    struct options o = {0};
    if (argc < 1 || !read_options(argc, argv, &o)) {
        return usage();
    }
    bool f32 = o.type != NULL && strcmp(o.type, "f32") == 0;
    switch (find_job(argv[0], &o)) {
    case JOB_IMPORT:
        return f32 || o.type == NULL || strcmp(o.type, "f16") == 0
                   ? tool_import(o.in, o.out, !f32, seal)
                   : usage();
    case JOB_CHECK:
        return tool_check(o.in, engine_dir, seal);
    case JOB_QUANTIZE:
        return tool_quantize_knows(o.type)
                   ? tool_quantize(o.in, o.out, o.type, engine_dir, seal)
                   : usage();
    case JOB_MEASURE:
        return tool_measure(o.in, o.plan, engine_dir, seal);
    case JOB_COMPARE:
        return tool_compare(o.in, o.against, o.plan, engine_dir, seal);
    case JOB_COUNT:
        break;
    }
    return usage();
}
