/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The quantize job: llama.cpp's own quantiser writes a GGUF in another type. It opens both paths
 * itself and seeks in what it writes, so this job is sealed with one readable file and one folder
 * to make files in, and not without any. A matrix that the type's block does not divide gets the
 * type that llama.cpp falls back to.
 * Threads: llama.cpp's, one per core. Limits: the output is at most eight times the input and
 * 64 MiB.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "ggml-backend.h"
#include "llama.h"

#define OUT_NAME "model.gguf"
#define SLACK (UINT64_C(64) << 20)

static const struct {
    const char *name;
    enum llama_ftype type;
} types[] = {
    {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},     {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
    {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0},     {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1},
    {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},     {"IQ4_NL", LLAMA_FTYPE_MOSTLY_IQ4_NL},
    {"Q4_K_S", LLAMA_FTYPE_MOSTLY_Q4_K_S}, {"Q4_K_M", LLAMA_FTYPE_MOSTLY_Q4_K_M},
    {"Q5_K_M", LLAMA_FTYPE_MOSTLY_Q5_K_M}, {"Q6_K", LLAMA_FTYPE_MOSTLY_Q6_K},
    {"F16", LLAMA_FTYPE_MOSTLY_F16},
};

bool tool_quantize_knows(const char *type)
{
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (strcmp(types[i].name, type) == 0) {
            return true;
        }
    }
    return false;
}

struct quantize {
    const char *in_file, *type, *engine_dir;
    char out_file[4096];
    struct tool_reach reach;
    tool_seal_fn seal;
    char error[200];
};

/* The quantiser says how far it is in its log: "[  12/ 272] blk.0.attn_k.weight ...". */
static void on_log(enum ggml_log_level level, const char *text, void *user)
{
    struct quantize *job = user;
    if (level == GGML_LOG_LEVEL_ERROR) {
        tool_keep_error(job->error, sizeof(job->error), text);
    }
    if (level == GGML_LOG_LEVEL_INFO && text[0] == '[') {
        char *end = NULL;
        unsigned long done = strtoul(text + 1, &end, 10);
        if (*end == '/') {
            tool_say_progress(done, strtoul(end + 1, NULL, 10));
        }
    }
}

static enum llama_ftype type_of(const char *name)
{
    size_t i = 0;
    while (strcmp(types[i].name, name) != 0) {
        i++;
    }
    return types[i].type;
}

static int quantize_sealed(void *arg, int data)
{
    struct quantize *job = arg;
    struct fault why = {0};
    (void)data;
    llama_log_set(on_log, job);
    ggml_backend_load_all_from_path(job->engine_dir);
    llama_backend_init();
    enum fail f = job->seal(&job->reach, &why);
    if (f == FAIL_NONE) {
        struct llama_model_quantize_params params = llama_model_quantize_default_params();
        params.ftype = type_of(job->type);
        params.allow_requantize = true;
        if (llama_model_quantize(job->in_file, job->out_file, &params) != 0) {
            FAULT(&why, FAIL_BAD_REQUEST, "%.100s: cannot be made into %s: %s", job->in_file,
                  job->type, job->error[0] == '\0' ? "the quantiser gave no reason" : job->error);
            f = fail_hint(&why, "Free some space, or try another --type.");
        }
    }
    struct stat st;
    if (f == FAIL_NONE && stat(job->out_file, &st) == 0) {
        tool_say(json_pack("{s:s, s:s, s:I, s:s}", "event", "done", "file", OUT_NAME, "bytes",
                           (json_int_t)st.st_size, "type", job->type));
    }
    return f == FAIL_NONE ? 0 : tool_say_error(&why);
}

static enum fail open_reach(struct quantize *job, const char *out_dir, struct fault *why)
{
    struct stat st;
    job->reach.in_file = open(job->in_file, O_PATH | O_CLOEXEC);
    if (job->reach.in_file < 0 || fstat(job->reach.in_file, &st) != 0 || !S_ISREG(st.st_mode)) {
        return FAULT(why, FAIL_NOT_FOUND, "%.200s: there is no such file", job->in_file);
    }
    job->reach.out_bytes_max = 8 * (uint64_t)st.st_size + SLACK;
    job->reach.out_folder = open(out_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (job->reach.out_folder < 0 ||
        faccessat(job->reach.out_folder, OUT_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        FAULT(why, FAIL_CONFLICT, "%.200s: cannot make " OUT_NAME " there", out_dir);
        return fail_hint(why, "Give an empty folder that this user may write.");
    }
    return (size_t)snprintf(job->out_file, sizeof(job->out_file), "%s/" OUT_NAME, out_dir) <
                   sizeof(job->out_file)
               ? FAIL_NONE
               : FAULT(why, FAIL_BAD_REQUEST, "the output folder's path is too long");
}

int tool_quantize(const char *in_file, const char *out_dir, const char *type,
                  const char *engine_dir, tool_seal_fn seal)
{
    struct fault why = {0};
    struct quantize job = {.in_file = in_file, .type = type, .engine_dir = engine_dir,
                           .reach = {-1, -1, 0}, .seal = seal};
    enum fail f = open_reach(&job, out_dir, &why);
    int status = f == FAIL_NONE ? tool_keep(quantize_sealed, &job, -1, 0) : tool_say_error(&why);
    if (job.reach.in_file >= 0) {
        close(job.reach.in_file);
    }
    if (job.reach.out_folder >= 0) {
        close(job.reach.out_folder);
    }
    return status;
}
