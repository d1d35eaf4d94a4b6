/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/tune: which way to serve a model is fastest on this machine, without changing what it says.
 *
 * A staged search. First the file: the original and what llama.cpp's quantiser makes of it, each
 * with and without flash attention; then threads, then the batch, then how the cache is kept; each
 * stage keeps the best so far and compares it with its alternatives in turns, and the last one
 * measures what was found against today's way once more. Between two ways the work decides:
 *
 *     seconds of work = 1000 / prefill + 75 / decode_1 + 75 / decode_8
 *
 * a thousand tokens read, seventy-five written alone and seventy-five written eight at a time:
 * forms read much and write little, a rewritten reply reads a thousand and writes a hundred and
 * fifty. A way is taken only if it does the work TUNE_GAIN_MIN times as fast, and if the text it
 * would write is the original's: mean KL divergence of the next-token distributions at most
 * TUNE_KL_MAX and perplexity at most TUNE_PERPLEXITY_MAX times the original's. (Measured with
 * SmolLM2-135M, from Q4_1: what only rounds differently, as F16, Q8_0 or a Q8_0 cache, has
 * 0.004-0.006; Q4_K_M 0.06, Q5_0 0.10, Q4_0 0.35. The limit stands between.)
 *
 * Owns: nothing; files are made in a folder of the caller's. Threads: one; blocks for minutes, with
 * progress. Measuring happens in sealed children (worker/tool), so a server that runs beside it
 * disturbs the figures: the caller says so.
 * Limits: TUNE_ROWS_MAX ways.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "run/models/models.h"

#define TUNE_KL_MAX 0.02
#define TUNE_PERPLEXITY_MAX 1.02
#define TUNE_GAIN_MIN 1.03
#define TUNE_ROWS_MAX 48
#define TUNE_VARIANTS_MAX 6
#define TUNE_RUNS_MAX 8
#define TUNE_ROUNDS_MAX 5

/* Tokens a second. */
struct tune_speed {
    double prefill, decode_1, decode_8;
};
/* The formula above. */
double tune_work_seconds(const struct tune_speed *speed);

/* A file to measure: the original (0), or what was made of it. */
struct tune_variant {
    char quant[24];
    char path[4096];
    int64_t bytes;
    double kl, top_1, perplexity; /* perplexity: times the original's */
    bool fits;                    /* its text is the original's, within the limits */
};

/* One way, as measured. */
struct tune_row {
    int variant;
    struct models_run run;
    struct tune_speed speed; /* medians */
    int rounds;              /* how many measurements they are of */
    double spread;           /* of the work: (most - least) / median */
    double gain;             /* work against today's way, of the same stage; 1: as fast */
    const char *stage;       /* "file", "threads", "batch", "cache" */
};

struct tune_result {
    struct tune_variant variants[TUNE_VARIANTS_MAX];
    int n_variants;
    struct tune_row rows[TUNE_ROWS_MAX];
    int n_rows;
    int today;          /* the row of the original with the defaults */
    int best;           /* the row taken; == today: nothing better was found */
    double gain;        /* of best against today, measured in turns at the end */
    struct tune_speed speed_today, speed_best; /* of that last measurement */
    double kl, top_1, perplexity;              /* of best, with its cache */
    double seconds;     /* how long it took */
    int prefill, decode, resident; /* tokens of one measurement */
};

struct tune_options {
    const char *quant;   /* of the original: "Q4_1" */
    const char *path;
    int64_t bytes;
    uint64_t parameters;
    int cores;
    bool quick;       /* about a minute for a small model instead of three; fewer files */
    int budget_ms;    /* 0: 170 s, or 50 s when quick. Rounds are what gives way */
};

/* What the search does on the machine; tune_worker_ops is the real one, tests have a made-up
   machine. All return what child_run does. */
struct tune_ops {
    /* Makes the original into another type; path and bytes of *out. */
    enum fail (*make)(void *ctx, const char *type, struct tune_variant *out, struct fault *why);
    /* rounds times each run, in turns; speeds[run][round]. */
    enum fail (*measure)(void *ctx, const struct tune_variant *v, const struct models_run *runs,
                         int n, int rounds, const struct tune_result *sizes,
                         struct tune_speed speeds[][TUNE_ROUNDS_MAX], struct fault *why);
    /* kl, top_1, perplexity of *v when it is used in this way. */
    enum fail (*compare)(void *ctx, struct tune_variant *v, const struct models_run *run,
                         struct fault *why);
    int64_t (*now_us)(void *ctx);
    /* What is done now and how far all is, 0 to 1; false stops with FAIL_STOPPED. May be NULL. */
    bool (*progress)(void *ctx, const char *doing, double share);
};

/* A variant that cannot be made is left out (*skipped, which may be NULL, says the last reason);
   the rest of the failures end the search. */
MUST_CHECK enum fail tune_search(const struct tune_options *options, const struct tune_ops *ops,
                                 void *ctx, struct tune_result *out, struct fault *skipped,
                                 struct fault *why);

/* The real machine. Zero it, set the members, and pass it as ctx with tune_worker_ops. */
struct tune_worker {
    const char *original;    /* its file */
    const char *folder;      /* where files are made: one folder per type, the caller's to remove */
    const char *worker_path; /* NULL: inhouse-worker beside this executable */
    int cores;
    int compare_tokens;
    bool (*progress)(void *ctx, const char *doing, double share);
    void *ctx;
    double share; /* inside: the last share */
};
extern const struct tune_ops tune_worker_ops;
/* "model.gguf" of each type's folder below worker->folder: the path a variant was made at. */
void tune_worker_clean(const struct tune_worker *worker);
