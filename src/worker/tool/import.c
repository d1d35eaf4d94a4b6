/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The import job. Two processes: the sealed one holds the folder's eight opened files and a pipe,
 * and reads, checks and converts; the keeper copies the pipe into the output file and looks at none
 * of it. So the sandbox is the one that models run in, which may not write files at all. Threads:
 * one. Limits: TOOL_TEXT_MAX for a text file, 64 GiB for the weights.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem/mem.h"

#include "worker/tool/tool.h"

#define WEIGHTS_MAX (UINT64_C(64) << 30)
#define OUT_NAME "model.gguf"

static const char *const input_names[TOOL_INPUT_COUNT] = {
    [TOOL_INPUT_WEIGHTS] = "model.safetensors",
    [TOOL_INPUT_VOCAB] = "vocab.txt",
    [TOOL_INPUT_CONFIG] = "config.json",
    [TOOL_INPUT_TOKENIZER] = "tokenizer_config.json",
    [TOOL_INPUT_SENTENCE] = "sentence_bert_config.json",
    [TOOL_INPUT_MODULES] = "modules.json",
    [TOOL_INPUT_POOLING] = "1_Pooling/config.json",
    [TOOL_INPUT_README] = "README.md",
};

/* A file that is not there is found out later, by the reader that needs it; one that cannot be read
 * is an error now. */
static enum fail open_inputs(const char *dir, struct tool_file *files, struct fault *why)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "%.200s: cannot open this folder", dir);
        return fail_hint(
            why, "Give the folder that holds config.json, model.safetensors and vocab.txt.");
    }
    enum fail f = FAIL_NONE;
    for (int i = 0; i < TOOL_INPUT_COUNT; i++) {
        files[i].name = input_names[i];
        files[i].fd = openat(at, input_names[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (files[i].fd < 0 && errno != ENOENT && errno != ENOTDIR && f == FAIL_NONE) {
            f = FAULT_ERRNO(why, FAIL_FORBIDDEN, "%s: cannot be opened", input_names[i]);
        }
    }
    close(at);
    return f;
}

static enum fail map_inputs(struct tool_file *files, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (int i = 0; f == FAIL_NONE && i < TOOL_INPUT_COUNT; i++) {
        f = tool_file_map(&files[i], i == TOOL_INPUT_WEIGHTS ? WEIGHTS_MAX : TOOL_TEXT_MAX, why);
    }
    if (f == FAIL_NONE && files[TOOL_INPUT_WEIGHTS].data == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "%s: the folder has no such file",
              files[TOOL_INPUT_WEIGHTS].name);
        f = fail_hint(why, "Only safetensors weights can be imported (pickle files can run code "
                           "when they are read).");
    }
    return f;
}

static enum fail open_output(const char *dir, int *fd, struct fault *why)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *fd = at < 0 ? -1 : openat(at, OUT_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int saved = errno;
    if (at >= 0) {
        close(at);
    }
    if (*fd < 0) {
        FAULT(why, FAIL_CONFLICT, "%.200s: cannot make " OUT_NAME " there: %s", dir,
              strerror(saved));
        return fail_hint(why, "Give an empty folder that this user may write.");
    }
    return FAIL_NONE;
}

static void say_done(const struct tool_bert *b, bool half, uint64_t bytes)
{
    tool_say(json_pack("{s:s, s:s, s:I, s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "event", "done",
                       "file", OUT_NAME, "bytes", (json_int_t)bytes, "type", half ? "f16" : "f32",
                       "name", b->name, "licence", b->licence, "layers", (int)b->layers, "width",
                       (int)b->width, "context", (int)b->context, "vocabulary",
                       (int)b->vocab_size));
}

static enum fail convert(struct tool_file *files, bool half, FILE *out, struct fault *why)
{
    struct tool_bert bert = {0};
    struct tool_safetensors st = {0};
    uint64_t bytes = 0;
    enum fail f = map_inputs(files, why);
    if (f == FAIL_NONE) {
        f = tool_bert_read(&bert, files, why);
    }
    if (f == FAIL_NONE) {
        f = tool_safetensors_open(&st, &files[TOOL_INPUT_WEIGHTS], why);
    }
    if (f == FAIL_NONE) {
        f = tool_gguf_write(&bert, &st, half, out, &bytes, why);
    }
    if (f == FAIL_NONE) {
        say_done(&bert, half, bytes);
    }
    tool_safetensors_done(&st);
    tool_bert_done(&bert);
    return f;
}

struct import {
    struct tool_file *files;
    bool half;
    tool_seal_fn seal;
};

/* In the sealed process; data is the pipe to the keeper. */
static int import_sealed(void *arg, int data)
{
    const struct import *job = arg;
    struct fault why = {0};
    FILE *out = fdopen(data, "wb");
    ASSERT(out != NULL);
    enum fail f = job->seal(NULL, &why);
    if (f == FAIL_NONE) {
        f = convert(job->files, job->half, out, &why);
    }
    if (fclose(out) != 0 && f == FAIL_NONE) {
        f = FAULT_ERRNO(&why, FAIL_INTERNAL, "writing the GGUF file failed");
    }
    return f == FAIL_NONE ? 0 : tool_say_error(&why);
}

static uint64_t size_limit(const struct tool_file *files)
{
    struct stat st;
    uint64_t weights = files[TOOL_INPUT_WEIGHTS].fd >= 0 &&
                               fstat(files[TOOL_INPUT_WEIGHTS].fd, &st) == 0 && st.st_size > 0
                           ? (uint64_t)st.st_size
                           : 0;
    /* F16 read, F32 written; and what the small files can make of a header. */
    return 2 * weights + 4 * (uint64_t)TOOL_TEXT_MAX;
}

int tool_import(const char *in_dir, const char *out_dir, bool half, tool_seal_fn seal)
{
    struct tool_file files[TOOL_INPUT_COUNT] = {0};
    struct import job = {files, half, seal};
    struct fault why = {0};
    int out = -1;
    enum fail f = open_inputs(in_dir, files, &why);
    if (f == FAIL_NONE) {
        f = open_output(out_dir, &out, &why);
    }
    if (f != FAIL_NONE) {
        return tool_say_error(&why);
    }
    int status = tool_keep(import_sealed, &job, out, size_limit(files));
    close(out);
    return status;
}
