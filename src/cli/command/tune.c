/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse models tune: measures this machine for one model and proposes the fastest way to serve it
 * that says the same. The search is run/tune; the files it makes lie in a folder of the data folder
 * (so that the one taken is linked, not copied) or where --keep says. Threads: one.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "run/machine/machine.h"
#include "run/models/models.h"
#include "run/tune/tune.h"

#define COMPARE_SMALL 600
#define COMPARE_LARGE 192
#define LARGE_PARAMETERS UINT64_C(500000000)

struct tuning {
    struct cli *cli;
    struct models *m;
    struct models_entry entry;
    struct machine machine;
    struct progress bar;
    char folder[4096], original[4096], doing[64];
    bool keep;
    struct tune_result r;
    struct models_release release; /* .there: proposed */
    struct fault skipped;
};

static bool on_progress(void *ctx, const char *doing, double share)
{
    struct tuning *t = ctx;
    if (doing != NULL) {
        (void)text_copy(t->doing, sizeof(t->doing), doing);
        t->bar.what = t->doing;
    }
    t->bar.done = (int64_t)(100 * share); /* percent */
    t->bar.total = 100;
    progress_show(&t->bar, doing != NULL);
    return cli_interrupted == 0;
}

/* ---- the folder of what is made ---- */

/* What a killed tuning left. */
static void sweep(const char *home)
{
    char models[4096], folder[4352];
    (void)snprintf(models, sizeof(models), "%s/models", home);
    DIR *dir = opendir(models);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        int64_t pid;
        if (text_starts_with(e->d_name, ".tune-") &&
            text_read_int(e->d_name + 6, 1, INT32_MAX, &pid) && kill((pid_t)pid, 0) != 0 &&
            errno == ESRCH) {
            (void)snprintf(folder, sizeof(folder), "%s/%s", models, e->d_name);
            tune_worker_clean(&(struct tune_worker){.folder = folder});
            (void)rmdir(folder);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static enum fail make_folder(struct tuning *t, struct fault *why)
{
    const char *keep = cli_option(t->cli, "keep");
    t->keep = keep != NULL;
    int n = t->keep ? snprintf(t->folder, sizeof(t->folder), "%s", keep)
                    : snprintf(t->folder, sizeof(t->folder), "%s/models/.tune-%d", t->cli->home,
                               (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(t->folder)) {
        return FAULT(why, FAIL_BAD_REQUEST, "the folder's path is too long");
    }
    if (mkdir(t->folder, 0700) != 0 && !(t->keep && errno == EEXIST)) {
        FAULT_ERRNO(why, fail_from_write_errno(errno), "%.200s: cannot be made", t->folder);
        return fail_hint(why, "Free some space, or give --keep another folder.");
    }
    return FAIL_NONE;
}

/* ---- the search ---- */

static enum fail find_model(struct tuning *t, struct models_facts *facts, struct fault *why)
{
    const struct models_entry *e = NULL;
    enum fail f = models_get(t->m, t->cli->words[0], &e, why);
    if (f != FAIL_NONE) {
        return f;
    }
    t->entry = *e;
    if (strcmp(e->role, "embed") == 0 || strcmp(e->role, "rerank") == 0) {
        FAULT(why, FAIL_UNSUPPORTED, "%s does not write text: only models that do are tuned",
              e->name);
        return fail_hint(why, "`inhouse models list` shows the roles.");
    }
    if (!models_path(t->m, e->sha256, t->original, sizeof(t->original))) {
        return FAULT(why, FAIL_BAD_REQUEST, "the data folder's path is too long");
    }
    return models_show(t->m, e, facts, why);
}

static enum fail search(struct tuning *t, struct fault *why)
{
    struct models_facts facts;
    enum fail f = find_model(t, &facts, why);
    f = f != FAIL_NONE ? f : make_folder(t, why);
    if (f != FAIL_NONE) {
        return f;
    }
    machine_read("", &t->machine);
    const struct tune_options options = {.quant = t->entry.quant, .path = t->original,
                                         .bytes = t->entry.bytes, .parameters = facts.parameters,
                                         .cores = t->machine.cores,
                                         .quick = cli_option(t->cli, "quick") != NULL};
    struct tune_worker worker = {.original = t->original, .folder = t->folder,
                                 .cores = t->machine.cores,
                                 .compare_tokens = facts.parameters > LARGE_PARAMETERS
                                                       ? COMPARE_LARGE
                                                       : COMPARE_SMALL,
                                 .progress = on_progress, .ctx = t};
    progress_begin(&t->bar, t->cli, "tuning");
    f = tune_search(&options, &tune_worker_ops, &worker, &t->r, &t->skipped, why);
    progress_end(&t->bar);
    return f;
}

static enum fail propose(struct tuning *t, struct fault *why)
{
    const struct tune_result *r = &t->r;
    const struct tune_row *best = &r->rows[r->best];
    if (r->best == r->today) {
        return FAIL_NONE;
    }
    t->release = (struct models_release){.run = best->run,
                                         .prefill = r->speed_best.prefill,
                                         .decode_1 = r->speed_best.decode_1,
                                         .decode_8 = r->speed_best.decode_8,
                                         .speed = r->gain,
                                         .kl = r->kl,
                                         .top_1 = r->top_1};
    (void)snprintf(t->release.machine, sizeof(t->release.machine),
                   "%.60s, %d cores, llama.cpp 0.5.0", t->machine.cpu, t->machine.cores);
    const char *path = best->variant == 0 ? NULL : r->variants[best->variant].path;
    return models_propose(t->m, t->entry.name, path, &t->release, why);
}

/* ---- showing it ---- */

/* Another cache is compared only when it is the fastest. */
static bool is_compared(const struct tune_result *r, int row)
{
    return strcmp(r->rows[row].stage, "cache") != 0 || row == r->best;
}

static double kl_of(const struct tune_result *r, int row)
{
    return row == r->best ? r->kl : r->variants[r->rows[row].variant].kl;
}

static const char *verdict(const struct tuning *t, int row, char out[64])
{
    const struct tune_result *r = &t->r;
    const struct tune_row *w = &r->rows[row];
    const struct tune_variant *v = &r->variants[w->variant];
    if (row == r->best) {
        return row == r->today ? "today's, kept" : "chosen";
    }
    if (row == r->today) {
        return "today's";
    }
    if (!v->fits) {
        (void)snprintf(out, 64, v->kl > TUNE_KL_MAX ? "other text: KL over %.2f"
                                                    : "other text: perplexity over %.2f",
                       v->kl > TUNE_KL_MAX ? TUNE_KL_MAX : TUNE_PERPLEXITY_MAX);
        return out;
    }
    return w->gain < 1 ? "slower" : w->gain < TUNE_GAIN_MIN ? "no faster" : "less than the chosen";
}

static json_t *run_json(const struct models_run *run)
{
    return json_pack("{s:i,s:i,s:i,s:s,s:s,s:s}", "n_threads", run->n_threads, "n_batch",
                     run->n_batch, "n_ubatch", run->n_ubatch, "flash", run->flash, "type_k",
                     run->type_k, "type_v", run->type_v);
}

static json_t *row_json(const struct tuning *t, int i)
{
    char why[64];
    const struct tune_result *r = &t->r;
    const struct tune_row *w = &r->rows[i];
    const struct tune_variant *v = &r->variants[w->variant];
    json_t *j = json_pack("{s:s,s:s,s:I,s:o,s:f,s:f,s:f,s:i,s:f,s:f,s:s}", "stage", w->stage,
                          "quant", v->quant, "bytes", (json_int_t)v->bytes, "run",
                          run_json(&w->run), "prefill", w->speed.prefill, "decode_1",
                          w->speed.decode_1, "decode_8", w->speed.decode_8, "rounds", w->rounds,
                          "spread", w->spread, "gain", w->gain, "verdict", verdict(t, i, why));
    if (is_compared(r, i)) {
        (void)json_object_set_new(j, "kl", json_real(kl_of(r, i)));
        (void)json_object_set_new(j, "top_1", json_real(i == r->best ? r->top_1 : v->top_1));
        (void)json_object_set_new(j, "perplexity",
                                  json_real(i == r->best ? r->perplexity : v->perplexity));
    }
    return j;
}

static void show_json(const struct tuning *t)
{
    const struct tune_result *r = &t->r;
    json_t *rows = json_array();
    for (int i = 0; i < r->n_rows; i++) {
        (void)json_array_append_new(rows, row_json(t, i));
    }
    json_t *out AUTO_JSON =
        json_pack("{s:s,s:s,s:s,s:i,s:f,s:{s:i,s:i,s:i},s:{s:f,s:f,s:f},s:i,s:i,s:f,s:o}", "model",
                  t->entry.name, "sha256", t->entry.sha256, "cpu", t->machine.cpu, "cores",
                  t->machine.cores, "seconds", r->seconds, "tokens", "prefill", r->prefill,
                  "decode", r->decode, "resident", r->resident, "limits", "kl", TUNE_KL_MAX,
                  "perplexity", TUNE_PERPLEXITY_MAX, "gain", TUNE_GAIN_MIN, "today", r->today,
                  "best", r->best, "gain", r->gain, "rows", rows);
    if (t->release.there) {
        (void)json_object_set_new(
            out, "candidate",
            json_pack("{s:s,s:s,s:I,s:o,s:f,s:f,s:f,s:f,s:f,s:f}", "sha256", t->release.sha256,
                      "quant", t->release.quant, "bytes", (json_int_t)t->release.bytes, "run",
                      run_json(&t->release.run), "prefill", t->release.prefill, "decode_1",
                      t->release.decode_1, "decode_8", t->release.decode_8, "speed",
                      t->release.speed, "kl", t->release.kl, "top_1", t->release.top_1));
    } else {
        (void)json_object_set_new(out, "candidate", json_null());
    }
    cli_print_json(out);
}

static void show_table(const struct tuning *t)
{
    static const char *const columns[] = {"*file",   ">size",    "flash",    ">threads",
                                          ">batch",  "cache",    ">read/s",  ">write/s",
                                          ">eight/s", ">work",   ">KL",      ">same",
                                          "verdict"};
    const struct tune_result *r = &t->r;
    struct measure_table *table = measure_table_new(columns, COUNT_OF(columns));
    for (int i = 0; i < r->n_rows; i++) {
        const struct tune_row *w = &r->rows[i];
        const struct tune_variant *v = &r->variants[w->variant];
        char text[9][32], why[64], size[24];
        (void)snprintf(text[0], 32, "%d", w->run.n_threads);
        (void)snprintf(text[1], 32, "%d", w->run.n_batch);
        (void)snprintf(text[2], 32, "%s %s", w->run.type_k, w->run.type_v);
        (void)snprintf(text[3], 32, "%.0f", w->speed.prefill);
        (void)snprintf(text[4], 32, "%.1f", w->speed.decode_1);
        (void)snprintf(text[5], 32, "%.0f", w->speed.decode_8);
        (void)snprintf(text[6], 32, "%.2fx", w->gain);
        (void)snprintf(text[7], 32, "-");
        (void)snprintf(text[8], 32, "-");
        if (is_compared(r, i)) {
            (void)snprintf(text[7], 32, "%.4f", kl_of(r, i));
            (void)snprintf(text[8], 32, "%.1f %%", 100 * (i == r->best ? r->top_1 : v->top_1));
        }
        const char *cells[] = {v->quant, cli_bytes(v->bytes, size), w->run.flash, text[0], text[1],
                               text[2],  text[3],                   text[4],      text[5], text[6],
                               text[7],  text[8],                   verdict(t, i, why)};
        measure_table_row(table, cells);
    }
    cli_print_table(t->cli, table);
}

static void show(const struct tuning *t)
{
    const struct tune_result *r = &t->r;
    show_table(t);
    cli_note(t->cli,
             "tokens a second, medians, with %d tokens of other texts in the cache; work: time for "
             "1,000 tokens read, 75 written and 75 written by eight at once, against today's; KL "
             "and same: how far the next token's distribution is from the original's, and how "
             "often its first choice is the same. %.0f s.",
             r->resident, r->seconds);
    if (t->skipped.code != FAIL_NONE) {
        cli_note(t->cli, "Left out: %s", t->skipped.message);
    }
    if (!t->release.there) {
        printf("%s: nothing here is faster and says the same; it stays as it is.\n",
               t->entry.name);
        return;
    }
    printf("%s: %s, flash %s, %d threads, batch %d, cache %s/%s does the work %.2f times as fast "
           "(%.0f/%.1f/%.0f tokens/s against %.0f/%.1f/%.0f).\n"
           "It is a candidate and serves nobody. To use it: inhouse models adopt %s\n",
           t->entry.name, t->release.quant, t->release.run.flash, t->release.run.n_threads,
           t->release.run.n_batch, t->release.run.type_k, t->release.run.type_v, r->gain,
           r->speed_best.prefill, r->speed_best.decode_1, r->speed_best.decode_8,
           r->speed_today.prefill, r->speed_today.decode_1, r->speed_today.decode_8,
           t->entry.name);
}

int command_models_tune(struct cli *cli)
{
    struct fault why = {0};
    AUTO_FREE struct tuning *t = mem_alloc(sizeof(*t));
    t->cli = cli;
    if (cli->url == NULL && cli_client_running(cli) != NULL) {
        cli_note(cli, "A server runs on this data folder: what it does meanwhile falsifies the "
                      "figures. `inhouse stop` stops it.");
    }
    enum fail f = models_open(cli->home, &t->m, &why);
    if (f == FAIL_NONE) {
        sweep(cli->home);
        f = search(t, &why);
    }
    f = f != FAIL_NONE ? f : propose(t, &why);
    if (t->folder[0] != '\0' && !t->keep) {
        tune_worker_clean(&(struct tune_worker){.folder = t->folder});
        (void)rmdir(t->folder);
    }
    models_close(t->m);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        show_json(t);
    } else {
        show(t);
    }
    return COMMAND_OK;
}

/* ---- the decision ---- */

int command_models_adopt(struct cli *cli)
{
    struct fault why;
    struct buf path;
    bool back = cli_option(cli, "back") != NULL;
    json_t *ask AUTO_JSON = json_pack("{s:b}", "back", back);
    json_t *out AUTO_JSON = NULL;
    if (cli_option(cli, "sha256") != NULL) {
        (void)json_object_set_new(ask, "sha256", json_string(cli_option(cli, "sha256")));
    }
    buf_init(&path, 1024);
    (void)buf_add_str(&path, "/api/v1/models/");
    client_escape(&path, cli->words[0]);
    (void)buf_add_str(&path, "/adopt");
    char *body = json_dumps(ask, JSON_COMPACT);
    enum fail f = cli_send(cli, "POST", path.data, "application/json", body, strlen(body), &out,
                           &why);
    free(body); /* tidy: memory: jansson's */
    buf_done(&path);
    if (f != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(out);
    } else {
        printf("%s: %s serves it now, sha256 %.16s; the decision is on the record.\n",
               cli_str(out, "model"),
               json_is_true(json_object_get(out, "original")) ? "its original file"
                                                             : "the adopted release",
               cli_str(out, "sha256"));
    }
    return COMMAND_OK;
}
