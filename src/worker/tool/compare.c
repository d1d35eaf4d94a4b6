/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compare job: how far a model's next-token distributions are from the original's, on the
 * passages that ship with this program. Both models read the same tokens; at each position
 *   KL  = sum over tokens of P(t) (ln P(t) - ln Q(t)), P the original's distribution
 *   top = do both put the same token first
 *   nll = -ln of the probability of the token that follows; perplexity = e to its mean.
 *
 * Plan: {"tokens":512,"run":{...}}; the run is how the model under test is used, the original is
 * always read with an f16 cache and flash attention as the engine likes.
 * Lines: progress, then {"event":"done","tokens":n,"kl_mean":x,"kl_p99":x,"top_1":x,
 * "perplexity":x,"perplexity_original":x}.
 * Threads: llama.cpp's. Limits: 16-4,096 tokens, both models and two blocks of logits in memory.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json/json.h"
#include "base/mem/mem.h"
#include "llama.h"

#define TOKENS_MAX 4096
#define BLOCK 64
#define PLAN_MAX 4096u

struct compare {
    FILE *files[2]; /* the one under test, the original */
    const char *names[2];
    const char *engine_dir;
    tool_seal_fn seal;
    int64_t tokens;
    struct tool_run runs[2];
    struct llama_model *models[2];
    struct tool_context contexts[2];
    struct llama_batch batch;
    int n_vocab;
    /* sums */
    int n, n_nll, same;
    double kl_sum, nll[2];
    double *kl;
};

static enum fail read_plan(const char *text, struct compare *c, struct fault *why)
{
    static const char *const keys[] = {"tokens", "run", NULL};
    AUTO_JSON json_t *tree = NULL;
    AUTO_JSON json_t *none = json_object();
    json_t *run = NULL;
    text = text != NULL ? text : "{}";
    if (strlen(text) > PLAN_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "--plan is longer than %u bytes", PLAN_MAX);
    }
    c->tokens = 512;
    enum fail f = jn_parse(text, strlen(text), "--plan", &tree, why);
    f = f != FAIL_NONE ? f : jn_only(tree, keys, why);
    f = f != FAIL_NONE ? f : jn_int(tree, "tokens", false, 16, TOKENS_MAX, &c->tokens, why);
    f = f != FAIL_NONE ? f : jn_object(tree, "run", false, &run, why);
    f = f != FAIL_NONE ? f : tool_run_read(run != NULL ? run : none, &c->runs[0], why);
    f = f != FAIL_NONE ? f : tool_run_read(none, &c->runs[1], why);
    c->runs[1].n_threads = c->runs[0].n_threads;
    for (int i = 0; i < 2; i++) {
        c->runs[i].n_batch = c->runs[i].n_ubatch = BLOCK;
    }
    return f;
}

/* ln of the sum of e^x: what turns a logit into a log probability. */
static double log_sum(const float *logits, int n, int *top)
{
    int best = 0;
    double sum = 0;
    for (int i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    for (int i = 0; i < n; i++) {
        sum += exp((double)logits[i] - (double)logits[best]);
    }
    *top = best;
    return (double)logits[best] + log(sum);
}

/* next: the token that follows, -1 when the passage ends here. */
static void compare_rows(struct compare *c, const float *tested, const float *original, int next)
{
    int top[2];
    double total[2] = {log_sum(tested, c->n_vocab, &top[0]),
                       log_sum(original, c->n_vocab, &top[1])};
    double kl = 0;
    for (int i = 0; i < c->n_vocab; i++) {
        double p = (double)original[i] - total[1];
        if (p > -40) { /* e^-40 of anything is nothing */
            kl += exp(p) * (p - ((double)tested[i] - total[0]));
        }
    }
    kl = kl > 0 ? kl : 0; /* rounding */
    c->kl[c->n++] = kl;
    c->kl_sum += kl;
    c->same += top[0] == top[1];
    if (next >= 0) {
        c->nll[0] += total[0] - (double)tested[next];
        c->nll[1] += total[1] - (double)original[next];
        c->n_nll++;
    }
}

static enum fail decode_block(struct compare *c, int which, const int32_t *tokens, int at, int n,
                              struct fault *why)
{
    c->batch.n_tokens = n;
    for (int i = 0; i < n; i++) {
        c->batch.token[i] = tokens[at + i];
        c->batch.pos[i] = at + i;
        c->batch.n_seq_id[i] = 1;
        c->batch.seq_id[i][0] = 0;
        c->batch.logits[i] = true;
    }
    int rc = llama_decode(c->contexts[which].context, c->batch);
    return rc == 0 ? FAIL_NONE
                   : FAULT(why, FAIL_INTERNAL, "%.100s: the engine refused a batch (%d)",
                           c->names[which], rc);
}

static enum fail compare_passage(struct compare *c, const int32_t *tokens, int n, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (int i = 0; i < 2; i++) {
        llama_memory_clear(llama_get_memory(c->contexts[i].context), false);
    }
    for (int at = 0; f == FAIL_NONE && at < n; at += BLOCK) {
        int some = n - at < BLOCK ? n - at : BLOCK;
        for (int i = 0; f == FAIL_NONE && i < 2; i++) {
            f = decode_block(c, i, tokens, at, some, why);
        }
        for (int i = 0; f == FAIL_NONE && i < some; i++) {
            compare_rows(c, llama_get_logits_ith(c->contexts[0].context, i),
                         llama_get_logits_ith(c->contexts[1].context, i),
                         at + i + 1 < n ? tokens[at + i + 1] : -1);
        }
        tool_say_progress((uint64_t)c->n, (uint64_t)c->tokens);
    }
    return f;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void say_done(struct compare *c)
{
    qsort(c->kl, (size_t)c->n, sizeof(*c->kl), by_value);
    double n = c->n, follow = c->n_nll > 0 ? c->n_nll : 1;
    tool_say(json_pack("{s:s, s:i, s:f, s:f, s:f, s:f, s:f}", "event", "done", "tokens", c->n,
                       "kl_mean", c->kl_sum / n, "kl_p99", c->kl[(int)(0.99 * (n - 1))], "top_1",
                       c->same / n, "perplexity", exp(c->nll[0] / follow), "perplexity_original",
                       exp(c->nll[1] / follow)));
}

static enum fail compare_all(struct compare *c, struct fault *why)
{
    int share = (int)c->tokens / TOOL_PASSAGES;
    AUTO_FREE int32_t *tokens = mem_alloc_array((size_t)share + 1, sizeof(*tokens));
    enum fail f = FAIL_NONE;
    c->n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(c->models[0]));
    if (c->n_vocab != llama_vocab_n_tokens(llama_model_get_vocab(c->models[1]))) {
        return FAULT(why, FAIL_BAD_REQUEST, "%.100s and %.100s have different vocabularies",
                     c->names[0], c->names[1]);
    }
    for (int i = 0; f == FAIL_NONE && i < 2; i++) {
        f = tool_context_open(c->models[i], &c->runs[i], share + BLOCK, BLOCK, &c->contexts[i],
                              why);
    }
    c->kl = mem_alloc_array((size_t)c->tokens, sizeof(*c->kl));
    c->batch = llama_batch_init(BLOCK, 0, 1);
    for (int i = 0; f == FAIL_NONE && i < TOOL_PASSAGES; i++) {
        int n = tool_tokens(c->models[1], tool_passages[i], tokens, share);
        f = compare_passage(c, tokens, n, why);
    }
    if (f == FAIL_NONE && c->n == 0) {
        f = FAULT(why, FAIL_UNSUPPORTED, "%.100s: its tokenizer makes nothing of plain text",
                  c->names[1]);
    }
    if (f == FAIL_NONE) {
        say_done(c);
    }
    llama_batch_free(c->batch);
    mem_free(c->kl);
    for (int i = 0; i < 2; i++) {
        tool_context_close(&c->contexts[i]);
    }
    return f;
}

static int compare_sealed(void *arg, int data)
{
    struct compare *c = arg;
    char error[200] = "";
    struct fault why = {0};
    (void)data;
    enum fail f = tool_engine_start(c->engine_dir, error, &why);
    f = f != FAIL_NONE ? f : c->seal(NULL, &why);
    for (int i = 0; f == FAIL_NONE && i < 2; i++) {
        f = tool_model_load(c->files[i], c->names[i], error, &c->models[i], &why);
    }
    f = f != FAIL_NONE ? f : compare_all(c, &why);
    for (int i = 0; i < 2; i++) {
        llama_model_free(c->models[i]);
    }
    return f == FAIL_NONE ? 0 : tool_say_error(&why);
}

int tool_compare(const char *in_file, const char *original, const char *plan,
                 const char *engine_dir, tool_seal_fn seal)
{
    struct fault why = {0};
    struct compare c = {.names = {in_file, original}, .engine_dir = engine_dir, .seal = seal};
    int status = 1;
    if (read_plan(plan, &c, &why) != FAIL_NONE) {
        return tool_say_error(&why);
    }
    for (int i = 0; i < 2; i++) {
        c.files[i] = fopen(c.names[i], "rbe");
        if (c.files[i] == NULL && why.code == FAIL_NONE) {
            FAULT_ERRNO(&why, FAIL_NOT_FOUND, "%.200s: cannot be opened", c.names[i]);
        }
    }
    status = why.code == FAIL_NONE ? tool_keep(compare_sealed, &c, -1, 0) : tool_say_error(&why);
    for (int i = 0; i < 2; i++) {
        if (c.files[i] != NULL) {
            fclose(c.files[i]);
        }
    }
    return status;
}
