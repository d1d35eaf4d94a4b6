/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check job: llama.cpp itself loads the GGUF, sealed, with every row of quantised data
 * validated. The server's own header check (run/models) comes before; this one catches what only
 * the engine knows: an unknown architecture, a missing tensor, a tokenizer it cannot build. A crash
 * in here ends this process and nothing else. Threads: llama.cpp's. Limits: the sandbox's.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <string.h>

#include "base/mem/mem.h"
#include "base/text/text.h"
#include "ggml-backend.h"
#include "llama.h"

void tool_keep_error(char *kept, size_t room, const char *text)
{
    /* The first one names the cause; those after it only say that loading failed. */
    if (kept[0] == '\0' && text[0] != '\0' && text[0] != '\n') {
        (void)text_copy(kept, room, text);
        kept[strcspn(kept, "\n")] = '\0';
    }
}

static void keep_error(enum ggml_log_level level, const char *text, void *user)
{
    if (level == GGML_LOG_LEVEL_ERROR) {
        tool_keep_error(user, 200, text);
    }
}

static void say_model(const struct llama_model *model)
{
    char desc[128], arch[64];
    llama_model_desc(model, desc, sizeof(desc));
    if (llama_model_meta_val_str(model, "general.architecture", arch, sizeof(arch)) < 0) {
        arch[0] = '\0';
    }
    tool_clean(desc);
    tool_clean(arch);
    const char *chat = llama_model_chat_template(model, NULL);
    tool_say(json_pack("{s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:b}", "event", "done",
                       "arch", arch, "desc", desc, "bytes", (json_int_t)llama_model_size(model),
                       "parameters", (json_int_t)llama_model_n_params(model), "layers",
                       (int)llama_model_n_layer(model), "width", (int)llama_model_n_embd(model),
                       "context", (int)llama_model_n_ctx_train(model), "vocabulary",
                       (int)llama_vocab_n_tokens(llama_model_get_vocab(model)), "chat_template",
                       chat != NULL));
}

/* The engine's name for the file is a descriptor's; the caller's says more. */
static enum fail load_and_say(FILE *file, const char *in_file, const char *error, struct fault *why)
{
    struct llama_model_params params = llama_model_default_params();
    params.check_tensors = true;
    params.use_extra_bufts = false; /* repacking would copy the weights for nothing */
    struct llama_model *model = llama_model_load_from_file_ptr(file, params);
    if (model == NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "%.100s: the engine cannot load it: %s", in_file,
              error[0] == '\0' ? "it gave no reason" : error);
        return fail_hint(why, "The file is damaged or of a kind this engine does not know: fetch "
                              "it again or another.");
    }
    say_model(model);
    llama_model_free(model);
    return FAIL_NONE;
}

struct check {
    FILE *file;
    const char *in_file;
    const char *engine_dir;
    tool_seal_fn seal;
};

static int check_sealed(void *arg, int data)
{
    const struct check *job = arg;
    char error[200] = "";
    struct fault why = {0};
    enum fail f = FAIL_NONE;
    (void)data;
    llama_log_set(keep_error, error);
    ggml_backend_load_all_from_path(job->engine_dir);
    if (ggml_backend_dev_count() == 0) {
        f = FAULT(&why, FAIL_INTERNAL, "%.200s holds no backend of the engine for this machine",
                  job->engine_dir);
    }
    if (f == FAIL_NONE) {
        llama_backend_init();
        f = job->seal(NULL, &why);
    }
    if (f == FAIL_NONE) {
        f = load_and_say(job->file, job->in_file, error, &why);
    }
    return f == FAIL_NONE ? 0 : tool_say_error(&why);
}

int tool_check(const char *in_file, const char *engine_dir, tool_seal_fn seal)
{
    struct fault why = {0};
    struct check job = {fopen(in_file, "rbe"), in_file, engine_dir, seal};
    if (job.file == NULL) {
        FAULT_ERRNO(&why, FAIL_NOT_FOUND, "%.200s: cannot be opened", in_file);
        return tool_say_error(&why);
    }
    int status = tool_keep(check_sealed, &job, -1, 0);
    fclose(job.file);
    return status;
}
