/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The measure job: how fast one model is on this machine, for each of several runs (ways to use
 * it). Each run has a context of its own; the rounds go through all runs in turn, so that whatever
 * else the machine does meanwhile falls on all of them. A round, in each context: read `prefill`
 * tokens, write `decode` tokens after them, then write `decode` tokens in each of EIGHT sequences
 * that share what was read. `resident` cells of other texts lie in the cache all the while, as
 * prefixes of other workflows do in a worker.
 *
 * Plan: {"prefill":256,"decode":32,"resident":512,"rounds":3,"runs":[{"flash":"on",...},...]}
 * Lines: {"event":"measured","run":i,"round":j,"prefill":x,"decode_1":y,"decode_8":z}, tokens a
 * second (decode_8: of all eight together), then "done".
 * Threads: llama.cpp's. Limits: RUNS_MAX runs, 2,048 tokens of each kind, 32 rounds.
 */
#include "worker/tool/tool_internal.h"

#include <errno.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "llama.h"

#define RUNS_MAX 16
#define EIGHT 8
#define TEXT_TOKENS 2048
#define PLAN_MAX 16384u

struct plan {
    int64_t prefill, decode, resident, rounds;
    size_t n;
    struct tool_run runs[RUNS_MAX];
};

struct measure {
    FILE *file;
    const char *in_file, *engine_dir;
    tool_seal_fn seal;
    struct plan plan;
    struct llama_model *model;
    struct tool_context contexts[RUNS_MAX];
    struct llama_batch batch;
    int32_t text[TEXT_TOKENS];
    int n_text;
};

static enum fail read_plan(const char *text, struct plan *p, struct fault *why)
{
    static const char *const keys[] = {"prefill", "decode", "resident", "rounds", "runs", NULL};
    AUTO_JSON json_t *tree = NULL;
    json_t *runs = NULL, *run = NULL;
    size_t i;
    *p = (struct plan){.prefill = 256, .decode = 32, .resident = 512, .rounds = 3};
    text = text != NULL ? text : "{\"runs\":[{}]}";
    if (strlen(text) > PLAN_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "--plan is longer than %u bytes", PLAN_MAX);
    }
    enum fail f = jn_parse(text, strlen(text), "--plan", &tree, why);
    f = f != FAIL_NONE ? f : jn_only(tree, keys, why);
    f = f != FAIL_NONE ? f : jn_int(tree, "prefill", false, 16, 2048, &p->prefill, why);
    f = f != FAIL_NONE ? f : jn_int(tree, "decode", false, 1, 256, &p->decode, why);
    f = f != FAIL_NONE ? f : jn_int(tree, "resident", false, 0, 2048, &p->resident, why);
    f = f != FAIL_NONE ? f : jn_int(tree, "rounds", false, 1, 32, &p->rounds, why);
    f = f != FAIL_NONE ? f : jn_array(tree, "runs", true, RUNS_MAX, &runs, why);
    json_array_foreach(runs, i, run)
    {
        f = f != FAIL_NONE ? f : tool_run_read(run, &p->runs[p->n++], why);
    }
    return f;
}

/* Decodes n tokens of the passages from position at on; logits of the last one only. */
static enum fail read_tokens(struct measure *m, struct llama_context *c, int n_batch, int seq,
                             int n, struct fault *why)
{
    for (int at = 0; at < n;) {
        int some = n - at < n_batch ? n - at : n_batch;
        m->batch.n_tokens = some;
        for (int i = 0; i < some; i++) {
            m->batch.token[i] = m->text[(at + i + seq * 97) % m->n_text];
            m->batch.pos[i] = at + i;
            m->batch.n_seq_id[i] = 1;
            m->batch.seq_id[i][0] = seq;
            m->batch.logits[i] = at + i + 1 == n;
        }
        int rc = llama_decode(c, m->batch);
        if (rc != 0) {
            return FAULT(why, FAIL_INTERNAL, "the engine refused a batch (%d)", rc);
        }
        at += some;
    }
    llama_synchronize(c);
    return FAIL_NONE;
}

/* One token more in each of n sequences from 1 on. */
static enum fail write_tokens(struct measure *m, struct llama_context *c, int n, int pos,
                              struct fault *why)
{
    m->batch.n_tokens = n;
    for (int i = 0; i < n; i++) {
        m->batch.token[i] = m->text[(pos + i * 31) % m->n_text];
        m->batch.pos[i] = pos;
        m->batch.n_seq_id[i] = 1;
        m->batch.seq_id[i][0] = 1 + i;
        m->batch.logits[i] = true;
    }
    int rc = llama_decode(c, m->batch);
    if (rc != 0) {
        return FAULT(why, FAIL_INTERNAL, "the engine refused a batch (%d)", rc);
    }
    (void)llama_get_logits_ith(c, n - 1); /* as a sampler would: waits for the result */
    return FAIL_NONE;
}

static double rate_since(int64_t start_us, int64_t tokens)
{
    int64_t us = clock_monotonic_us() - start_us;
    return (double)tokens * 1e6 / (double)(us > 0 ? us : 1);
}

static enum fail measure_round(struct measure *m, size_t run, int round, struct fault *why)
{
    const struct plan *p = &m->plan;
    struct llama_context *c = m->contexts[run].context;
    llama_memory_t memory = llama_get_memory(c);
    int prefill = (int)p->prefill, decode = (int)p->decode;
    int64_t start = clock_monotonic_us();
    enum fail f = read_tokens(m, c, p->runs[run].n_batch, 1, prefill, why);
    double read = rate_since(start, prefill);
    start = clock_monotonic_us();
    for (int i = 0; f == FAIL_NONE && i < decode; i++) {
        f = write_tokens(m, c, 1, prefill + i, why);
    }
    double one = rate_since(start, decode);
    llama_memory_seq_rm(memory, 1, prefill, -1);
    for (int seq = 2; seq <= EIGHT; seq++) {
        llama_memory_seq_cp(memory, 1, seq, -1, -1);
    }
    start = clock_monotonic_us();
    for (int i = 0; f == FAIL_NONE && i < decode; i++) {
        f = write_tokens(m, c, EIGHT, prefill + i, why);
    }
    double eight = rate_since(start, (int64_t)EIGHT * decode);
    for (int seq = 1; seq <= EIGHT; seq++) {
        llama_memory_seq_rm(memory, seq, -1, -1);
    }
    if (f == FAIL_NONE) {
        tool_say(json_pack("{s:s, s:i, s:i, s:f, s:f, s:f}", "event", "measured", "run", (int)run,
                           "round", round, "prefill", read, "decode_1", one, "decode_8", eight));
    }
    return f;
}

static enum fail open_runs(struct measure *m, struct fault *why)
{
    const struct plan *p = &m->plan;
    int n_ctx = (int)(p->resident + p->prefill + (EIGHT + 1) * p->decode + 64);
    int widest = EIGHT;
    enum fail f = FAIL_NONE;
    for (size_t i = 0; i < p->n; i++) {
        widest = p->runs[i].n_batch > widest ? p->runs[i].n_batch : widest;
    }
    m->batch = llama_batch_init(widest, 0, 1);
    for (size_t i = 0; f == FAIL_NONE && i < p->n; i++) {
        f = tool_context_open(m->model, &p->runs[i], n_ctx, 128, &m->contexts[i], why);
        if (f == FAIL_NONE && p->resident > 0) {
            f = read_tokens(m, m->contexts[i].context, p->runs[i].n_batch, EIGHT + 1,
                            (int)p->resident, why);
        }
    }
    return f;
}

static enum fail measure_all(struct measure *m, struct fault *why)
{
    char name[128] = "";
    enum fail f = open_runs(m, why);
    for (int round = 0; f == FAIL_NONE && round < m->plan.rounds; round++) {
        for (size_t i = 0; f == FAIL_NONE && i < m->plan.n; i++) {
            /* Every second round backwards: no run is always the one after a heavy one. */
            f = measure_round(m, round % 2 == 0 ? i : m->plan.n - 1 - i, round, why);
        }
    }
    if (f == FAIL_NONE) {
        (void)llama_model_desc(m->model, name, sizeof(name));
        tool_clean(name);
        tool_say(json_pack("{s:s, s:s, s:I, s:I}", "event", "done", "desc", name, "bytes",
                           (json_int_t)llama_model_size(m->model), "parameters",
                           (json_int_t)llama_model_n_params(m->model)));
    }
    for (size_t i = 0; i < m->plan.n; i++) {
        tool_context_close(&m->contexts[i]);
    }
    if (m->batch.token != NULL) {
        llama_batch_free(m->batch);
    }
    return f;
}

static int measure_sealed(void *arg, int data)
{
    struct measure *m = arg;
    char error[200] = "";
    struct fault why = {0};
    (void)data;
    enum fail f = tool_engine_start(m->engine_dir, error, &why);
    f = f != FAIL_NONE ? f : m->seal(NULL, &why);
    f = f != FAIL_NONE ? f : tool_model_load(m->file, m->in_file, error, &m->model, &why);
    for (int i = 0; f == FAIL_NONE && i < TOOL_PASSAGES; i++) {
        m->n_text += tool_tokens(m->model, tool_passages[i], m->text + m->n_text,
                                 TEXT_TOKENS - m->n_text);
    }
    if (f == FAIL_NONE && m->n_text == 0) {
        f = FAULT(&why, FAIL_UNSUPPORTED, "%.100s: its tokenizer makes nothing of plain text",
                  m->in_file);
    }
    f = f != FAIL_NONE ? f : measure_all(m, &why);
    llama_model_free(m->model);
    return f == FAIL_NONE ? 0 : tool_say_error(&why);
}

int tool_measure(const char *in_file, const char *plan, const char *engine_dir, tool_seal_fn seal)
{
    struct fault why = {0};
    AUTO_FREE struct measure *m = mem_alloc(sizeof(*m));
    m->in_file = in_file;
    m->engine_dir = engine_dir;
    m->seal = seal;
    if (read_plan(plan, &m->plan, &why) != FAIL_NONE) {
        return tool_say_error(&why);
    }
    m->file = fopen(in_file, "rbe");
    if (m->file == NULL) {
        FAULT_ERRNO(&why, FAIL_NOT_FOUND, "%.200s: cannot be opened", in_file);
        return tool_say_error(&why);
    }
    int status = tool_keep(measure_sealed, m, -1, 0);
    fclose(m->file);
    return status;
}
