/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/engine, the llama engine's inside, shared by its files: load.c (model, context), lane.c
 * (a second context for reproducible asks), task.c
 * (asks to tokens, ends), admit.c (whose turn it is, who is put back), prefix.c (the tree
 * of resident prefixes), stash.c (those that wait in RAM), step.c (batches), threads.c, generate.c
 * (chat), form.c, choice.c (scoring over a trie), sample.c, embed.c. The life of a task: WAITING
 * (tokens made) -> RUNNING (it has a sequence and a reserve of cells) -> ENDED (freed after the
 * step); back to WAITING, with all its tokens, when a better class needs its cells.
 * tokens[0..n_past) are in the KV; tokens[n_past..n) are pending; when none is pending the logits
 * of the last one are read and the task says what comes next.
 * Owns: all below. Threads: the engine's one. Limits: MAX_SEQS sequences, n_ctx cells by reserve.
 */
#pragma once

#include "worker/engine/llama_internal.h"

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "run/queue/queue.h"
#include "worker/engine/engine.h"
#include "worker/mask/mask.h"
#include "worker/shim/shim.h"

/* llama.cpp's own limit: running asks, resident prefixes, branches of choices */
#define MAX_SEQS 256
#define MAX_PREFIXES 48
#define MIN_SHARED 16 /* shorter prefixes are not worth a fork */
#define MAX_NULLS 64
#define LONG_PROMPT 128 /* tokens still to decode */
#define STEP_US_TARGET 150000
/* Nobody waits for the cores and nobody sits before this model's answers: larger steps read the
   weights for more tokens (a 1.5B model: 160 tokens/s in steps of 63, 130 in steps of 24). */
#define STEP_US_ALONE 500000
#define STEP_OUTPUTS_MAX 128
#define SPECULATE_MAX 15   /* guessed tokens of a task in a step */
#define SMALL_STEP_MAX 16  /* tokens of a step that has guesses in it */
#define LANE_CHUNK 16 /* tokens a step in the lane: fixed, and never worth an abort */

struct tokens {
    llama_token *at;
    int n;
    int room;
};

void tokens_add(struct tokens *list, const llama_token *more, int n);
void tokens_done(struct tokens *list);

/* How many the two have in common from the start, at most max. */
int tokens_common(const struct tokens *a, const struct tokens *b, int max);

/* Tokens resident in the KV that asks of one domain fork from. */
struct prefix {
    bool used;
    char *domain;
    struct tokens tokens;
    int seq;
    int users; /* running tasks forked from it: not evicted while > 0 */
    int64_t used_at;
    struct prefix *parent; /* whose first `fork` cells are also its own; NULL: nobody's */
    int fork;
};

/* A prefix that left the KV, as llama.cpp's state of one sequence. */
struct stashed {
    struct stashed *next;
    char *domain;
    struct tokens tokens;
    uint8_t *state;
    size_t bytes;
    int64_t used_at;
    bool pinned; /* being restored */
    char prefix[65]; /* of a released head (state.c), else empty */
};

/* Null-prompt scores of one form, by domain, prompt and plan. */
struct null_scores {
    char *key; /* 64 hex, SHA-256 of the three */
    char prefix[65]; /* state_prefix_id of the tokens before the input */
    double *logp[FORM_PIECES_MAX]; /* per choice piece, per label */
    size_t n_logp[FORM_PIECES_MAX];
    int64_t used_at;
};

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_ENDED };

/* A text being written: by a chat, or into a text hole. */
struct writing {
    struct buf raw;        /* bytes of the pieces */
    struct buf text;       /* the same as valid UTF-8, as far as it is settled */
    size_t raw_done;       /* bytes of raw already in text */
    int first;             /* index in tokens of the first written token */
    size_t *ends;          /* raw bytes after each written token */
    int n_ends;
    int room_ends;
    double logprob_sum;
    double logprob_min;
};

/* What may come next, guessed from where the last tokens stood before (speculate.c). */
struct draft {
    llama_token at[SPECULATE_MAX];
    int n;
    int in_batch; /* of those, in this step */
    int row;      /* of the first one's logits */
    int used;     /* came true so far in this step */
    int source;   /* index in tokens of the next guess, 0: none */
    int checked;  /* tokens compared with their guesses; 0: not begun */
    double rate;  /* of guesses that came true, exponential mean */
    int64_t drafted;
    int64_t accepted;
};

struct branch {
    int node;  /* the trie node whose logits are wanted */
    int seq;   /* -1: waits for a free sequence */
    int done;  /* tokens of the path from the root that its sequence holds */
    int depth; /* length of that path */
    int in_batch;
    int out;   /* row of logits in this step, -1 */
};

struct trie_node {
    llama_token token;
    int parent;
    int child;
    int sibling;
    int label; /* -1: inner */
    int depth;
    double logp;
    int n_labels;    /* at and below it */
    double null_min; /* of their null-prompt scores; 0 without any */
    double null_max;
};

/* A branch whose logits were read: its sequence holds the path to its node, so the winner's tokens
   need not be decoded again. */
struct kept_branch {
    int node;
    int seq;
};

struct choice_state {
    struct trie_node *nodes;
    int n_nodes;
    struct branch *branches;
    int n_branches;
    struct kept_branch *kept;
    int n_kept;
    double *label_logp;
    int n_labels;
    double floor; /* the best label's score is at least this, -INFINITY at first */
    bool active;
};

struct form_state {
    size_t piece;
    bool started; /* inside the hole `piece` */
    char digits[32];
    double *choice_logp[FORM_PIECES_MAX]; /* before correction: what a null run is for */
    struct form_result *result;
    double *null_logp[FORM_PIECES_MAX]; /* copies: the table may forget */
    size_t token_cap; /* of the text hole at hand */
    double mass;      /* of the labels of the choice at hand, 0: not asked for */
    char *null_key;
    struct task *waits_for; /* the null run of this form */
    int last_hole; /* of a null run: the last choice that needs it */
    bool is_null;
};

struct task {
    struct task *next;
    struct engine_ask *ask; /* NULL in a null run */
    uint64_t id;
    enum ipc_class class;
    struct queue_flow *flow; /* its team among those of its class */
    uint64_t number;         /* in order of arrival */
    int charged;             /* tokens its team was charged when it was admitted */
    int spent;               /* tokens of it that were decoded since */
    int put_back;            /* times its cells were taken for a better class */
    int64_t at_wait;         /* when it last began to wait */
    enum engine_job job;
    const char *domain;
    enum task_state state;
    int adapter; /* index, -1: none */
    struct tokens tokens;
    int n_prompt;
    int head; /* tokens worth keeping as a prefix, 0: none */
    bool head_kept;
    int n_past;
    int seq;
    struct prefix *source;
    int n_shared;
    int cached;  /* tokens that were there when it was admitted */
    int reserve; /* cells of its own */
    int max_new;
    int out; /* row of logits in this step, -1 */
    int in_batch;
    int64_t at_submit;
    int64_t at_admit;
    int64_t at_first;
    int64_t tokens_out;
    uint64_t random;
    struct writing writing;
    struct draft draft;
    /* chat */
    struct shim_prompt *prompt;
    struct llama_sampler *grammar; /* of tools and GBNF */
    struct mask *mask;             /* of a JSON schema */
    int64_t n_forced;              /* tokens that the mask left no choice about */
    const char *stops[ENGINE_STOPS_MAX * 2];
    size_t n_stops;
    size_t streamed;
    struct engine_logprob *logprobs;
    size_t n_logprobs;
    /* form */
    const struct engine_form *form_ask;
    struct engine_form own_form; /* a null run outlives the ask it was made for: its copies */
    struct form_plan *own_plan;
    char *own_domain;
    char *own_suffix;
    struct form_state *form;
    struct choice_state choice;
    /* embed */
    size_t embed_next; /* first text not yet in a batch */
    size_t embed_done;
    struct tokens *embed_lists;
    float *rows;
    int *embed_tokens;
    bool *embed_cut;
};

/* Measured, of one number of threads. */
struct speed {
    double us_per_token; /* steps of 16 tokens and more */
    double us_per_step;  /* smaller ones */
};

/* Steps with all threads since the last verdict on them. */
struct watch {
    int64_t began_at;  /* of this step */
    int64_t began_cpu;
    double wall_us;
    double cpu_us;
    double forecast_us; /* the most that they should have taken */
    int late;           /* times running that they took longer */
};

struct adapter {
    char sha256[65];
    struct llama_adapter_lora *lora; /* the model's: freed with it */
};

struct llama_engine {
    struct engine base;
    struct llama_model *model;
    struct llama_context *context;
    const struct llama_vocab *vocab;
    struct shim_chat *chat;
    struct ggml_threadpool *pool;
    struct llama_batch batch;
    struct llama_context *twin; /* of an encoder: the second hand's, NULL without one */
    struct llama_batch twin_batch;
    struct hands *hands;
    double us_both; /* measured, of a token of a step by both hands */
    int n_batch;
    int n_seq;
    int n_vocab;
    bool seq_used[MAX_SEQS];
    int n_seq_used;
    struct task *first; /* all tasks, in order of arrival */
    int n_tasks;
    uint64_t arrived;
    struct queue_meter *meters[IPC_CLASS_COUNT];
    double owed[IPC_CLASS_COUNT]; /* tokens that a class may put beside a better one's */
    struct task **order;
    int order_room;
    int n_running;
    struct prefix prefixes[MAX_PREFIXES];
    int idle_cells; /* of prefixes nobody is using: at most so many stay */
    struct stashed *stash;
    int n_stashed;
    size_t stash_bytes;
    size_t stash_budget; /* 0: nothing is stashed */
    double us_per_mib;   /* measured, of restoring */
    int64_t n_restored;
    struct null_scores nulls[MAX_NULLS];
    struct memo *memo; /* NULL until the first form */
    llama_token digit[12]; /* single-character tokens of 0-9, '-', '.'; -1: none */
    struct speed speed[2]; /* of one thread, of all */
    int n_threads;
    struct watch watch;
    bool use_all;
    int64_t probe_at;
    int64_t probe_wait;
    bool speculate;
    int n_drafts;                          /* guessed tokens in the batch */
    double small_us[2][SMALL_STEP_MAX + 1]; /* of a step by its tokens: one thread, all */
    int step_cap; /* tokens, halved by an abort, grown back */
    int64_t abort_at; /* 0: never */
    struct masks *masks; /* made for the first schema */
    struct adapter adapters[ENGINE_ADAPTERS_MAX];
    int n_adapters;
    int adapter_on;    /* applied to the context, -1: none */
    int adapter_steps; /* since it was */
    unsigned adapter_turns;
    float *scratch; /* n_vocab */
    llama_token_data *candidates;
    enum llama_flash_attn_type flash;
    enum ggml_type type_k;
    enum ggml_type type_v;
    bool is_lane;              /* one task at a time, from an empty KV, in fixed chunks */
    struct llama_engine *lane; /* NULL until the first reproducible ask */
    double lane_credit;        /* microseconds that the lane is behind */
    int64_t lane_used_at;
};

static inline struct llama_engine *llama_of(struct engine *engine)
{
    return (struct llama_engine *)engine;
}

/* load.c */
enum fail engine_tokenize(struct llama_engine *e, const char *text, size_t len, bool special,
                          struct tokens *out, struct fault *why);
/* Bytes of one token's text into out (at most room); control tokens give none. */
int engine_piece(struct llama_engine *e, llama_token token, char *out, int room);
/* The step at hand is given up at this time; 0: never. */
void engine_abort_at(struct llama_engine *e, int64_t monotonic_us);
int engine_seq_take(struct llama_engine *e); /* -1: none free */
void engine_seq_drop(struct llama_engine *e, int seq);

/* Fills info->build and info->fingerprint. */
void engine_fingerprint(const struct llama_engine *e, const struct engine_load *load,
                        struct engine_loaded *info);

/* lane.c: the ops that see both contexts */
enum fail lane_submit(struct engine *engine, struct engine_ask *ask, struct fault *why);
void lane_cancel(struct engine *engine, uint64_t id);
bool lane_forecast(struct engine *engine, struct engine_step *out);
void lane_step(struct engine *engine, uint32_t lease_us);
/* Bytes of its KV; closes a lane that has been idle for long. */
int64_t lane_bytes(struct llama_engine *e);
/* Ends its tasks without an answer. */
void lane_close(struct llama_engine *e);
/* Before a task: nothing of an earlier one is left in the lane. */
void lane_clear(struct llama_engine *lane);
/* Frees the null scores it remembers. */
void form_nulls_free(struct llama_engine *e);

/* task.c */
enum fail task_submit(struct engine *engine, struct engine_ask *ask, struct fault *why);
void task_cancel(struct engine *engine, uint64_t id);
struct task *task_new(struct llama_engine *e, struct engine_ask *ask);
/* Gives back what a running task holds: its sequence, its prefix, what it was charged too much. */
void task_leave(struct llama_engine *e, struct task *t);
/* Gives the sequence and cells back and marks it; freed by task_sweep. Sends nothing. */
void task_end(struct llama_engine *e, struct task *t);
void task_fail(struct llama_engine *e, struct task *t, const struct fault *why);
void task_sweep(struct llama_engine *e);
void task_usage(const struct task *t, struct engine_usage *out);

/* admit.c */
void engine_turns_init(struct llama_engine *e); /* also of a lane */
void engine_turns_done(struct llama_engine *e); /* without tasks */
/* The task is counted with its domain's team in that class from now on; again: moves it there. */
void task_enroll(struct llama_engine *e, struct task *t, enum ipc_class class);
/* Its team pays for what was decoded rather than for what was reserved. */
void task_settle(struct task *t);
/* All tasks that are not over: by class, then by what their team was given, then by age. Returns
   how many; *out is valid until the next call. */
int task_order(struct llama_engine *e, struct task *const **out);
void task_admit(struct llama_engine *e);
/* Cells that prefixes hold and running tasks may come to need. */
int task_promised(const struct llama_engine *e);
/* How many of `pending` tokens a class may put into a step whose best class is `top`. */
int task_allowance(const struct llama_engine *e, enum ipc_class top, enum ipc_class class,
                   int pending);
/* A step was made with so many tokens of each class; `pending`: what each still has. */
void task_account(struct llama_engine *e, const int done[IPC_CLASS_COUNT],
                  const int pending[IPC_CLASS_COUNT]);

/* prefix.c */
/* How many of a waiting task's first max tokens resident or stashed prefixes could spare it. */
int prefix_reach(struct llama_engine *e, const struct task *t, int max);
/* The resident prefix that shares most of them, restored where that is cheaper than decoding; NULL
   and *shared 0 when none shares MIN_SHARED. */
struct prefix *prefix_take(struct llama_engine *e, const struct task *t, int max, int *shared);
/* The longest start of these tokens that resident prefixes of the domain hold. */
int prefix_common(const struct llama_engine *e, const char *domain, const struct tokens *tokens);
/* An empty one with a sequence of its own, evicting an idle one if need be; NULL: no room. */
struct prefix *prefix_new(struct llama_engine *e, const char *domain);
/* Keeps the first n tokens of a running task for others. */
void prefix_keep(struct llama_engine *e, struct task *t, int n);
/* KV cells of the prefixes, shared ones counted once. idle_only: those no running task uses. */
int prefix_cells(const struct llama_engine *e, bool idle_only);
/* Evicts the idle prefix used longest ago into the stash; false when none is idle. */
bool prefix_evict(struct llama_engine *e);
/* Leaves the prefix its first n tokens, the whole goes to the stash; nothing when more than one
   task uses it. */
void prefix_cut(struct llama_engine *e, struct prefix *p, int n);
void prefix_drop(struct llama_engine *e, struct prefix *p);
void prefix_trim(struct llama_engine *e);
/* Frees all, resident and stashed. */
void prefix_done(struct llama_engine *e);

/* stash.c */
/* Copies the state of a sequence that holds exactly the first n tokens. kept: so many of them are
   held elsewhere. NULL when that is not worth it. */
struct stashed *stash_put(struct llama_engine *e, const char *domain, const struct tokens *tokens,
                          int n, int seq, int kept);
/* The same of the first n tokens of a running task. */
struct stashed *stash_task(struct llama_engine *e, struct task *t, int n);
/* Takes over `state`; NULL (and it is freed) when it does not fit under the budget. */
struct stashed *stash_add(struct llama_engine *e, const char *domain, const llama_token *tokens,
                          int n, uint8_t *state, size_t bytes);
/* The blob that shares most with these tokens, when restoring it is cheaper than decoding what it
   has beyond `resident`; *shared tokens of it match. */
struct stashed *stash_match(struct llama_engine *e, const char *domain, const struct tokens *tokens,
                            int max, int resident, int *shared);
/* The first n tokens of a running task, whatever it is worth; NULL when there is no room. */
struct stashed *stash_released(struct llama_engine *e, struct task *t, int n);
/* Makes its first n tokens a resident prefix, if they and `also` more cells fit. A blob that
   llama.cpp refuses is forgotten. */
bool stash_restore(struct llama_engine *e, struct stashed *s, int n, int also);
void stash_done(struct llama_engine *e);

/* state.c */
void state_prefix_id(const char *domain, const llama_token *tokens, int n, char hex[65]);
/* A released form is about to be answered: its head is kept, and the server told. */
void state_keep(struct llama_engine *e, struct task *t);
enum fail state_take(struct engine *engine, const char *prefix, uint8_t *out, size_t bytes,
                     struct fault *why);
enum fail state_give(struct engine *engine, const char *domain, const uint8_t *bytes, size_t len,
                     int64_t *tokens, struct fault *why);

/* step.c */
bool step_forecast(struct engine *engine, struct engine_step *out);
void step_run(struct engine *engine, uint32_t lease_us);

/* speculate.c */
/* Guesses for a task whose pending tokens are all in the batch: how many of draft.at are worth
   decoding beside it. written: rows with logits in the batch; room: for tokens and rows. */
int speculate_draft(struct llama_engine *e, struct task *t, int written, int room);
/* After a token was chosen: takes the guesses that came true as decoded, none unless the text goes
   on. True when the logits after all of the task's tokens are at hand, in row draft.row +
   draft.used - 1; else the guesses that are left have left the KV. */
bool speculate_accept(struct llama_engine *e, struct task *t, bool goes_on);
/* The part of the step's time that it would have taken without its guesses; 1 without any. */
double speculate_share(struct llama_engine *e);
/* The batch took so long. */
void speculate_learn(struct llama_engine *e, int64_t us);

/* threads.c */
/* What a step of so many tokens will take. */
double threads_forecast_us(const struct llama_engine *e, int tokens);
/* Rows that a matrix product takes at a time: one row more costs as much as so many. With AMX the
   weights are unpacked for each 32 rows: 32 rows took 21 ms, 33 took 41, 64 took 37. */
int threads_block(void);
/* Sets the number of threads of the step; returns after how many microseconds it should be given
   up, 0: never. */
int threads_begin(struct llama_engine *e, int tokens);
/* The step took so long. */
void threads_end(struct llama_engine *e, int tokens, int64_t us);
/* The step was given up. */
void threads_late(struct llama_engine *e);
/* After loading: a few tokens with one thread and with all. */
void threads_measure(struct llama_engine *e);

/* mass.c: of the form's piece at hand, when it asks for it: the probability, over the whole
   vocabulary, of the tokens that a label begins with; at least 1e-6. Else 0. */
double choice_mass(struct llama_engine *e, const struct task *t, const float *logits);

/* generate.c */
enum fail generate_prepare(struct llama_engine *e, struct task *t, struct fault *why);
/* Logits of the last token are at hand: says what comes next. */
void generate_advance(struct llama_engine *e, struct task *t, const float *logits);
void generate_finish(struct llama_engine *e, struct task *t, const char *reason);
/* Written text, shared with form.c. */
void writing_begin(struct writing *w, int first, size_t cap);
void writing_add(struct llama_engine *e, struct writing *w, llama_token token, double logprob);
/* Moves whole characters of raw[0..limit) to text; with `all` also what is broken at its end. */
void writing_settle(struct writing *w, size_t limit, bool all);
/* Where the first stop string begins in raw, or SIZE_MAX; only places that the last token can
   have completed are looked at. */
size_t writing_stop(const struct writing *w, const char *const *stops, size_t n);
/* Bytes at the end of raw that may be the start of a stop string. */
size_t writing_held(const struct writing *w, const char *const *stops, size_t n);
/* Takes back all but the first `keep` raw bytes, in the text, the tokens and the KV. */
enum fail writing_rewind(struct llama_engine *e, struct task *t, size_t keep, struct fault *why);
void writing_done(struct writing *w);
/* The model's first token in front, where it wants one. */
void generate_add_bos(struct llama_engine *e, struct tokens *list);
/* Chat messages as prompt tokens, special tokens in their contents read as plain text. */
enum fail generate_tokenize(struct llama_engine *e, const char *text, const char *const *marks,
                            const char *const *contents, size_t n, struct tokens *out,
                            struct fault *why);

/* form.c */
enum fail form_prepare(struct llama_engine *e, struct task *t, struct fault *why);
void form_advance(struct llama_engine *e, struct task *t, const float *logits);
void form_free(struct task *t);
/* Remembers scores; takes over logp[i], of n[i] labels. */
void form_null_put(struct llama_engine *e, const char *key, const char *prefix,
                   double *logp[FORM_PIECES_MAX], const size_t n[FORM_PIECES_MAX]);
/* A null run is over: those that wait for it get its scores, or its failure. */
void form_null_over(struct llama_engine *e, struct task *null_run, const struct fault *why);
/* Called by choice.c when a choice is scored: ln p of each label before correction, borrowed. Ends
   the choice. */
void form_choice_scored(struct llama_engine *e, struct task *t, const double *logp);
/* Null-prompt scores of the choice at hand, per label; NULL when it is not corrected. */
const double *form_null_scores(const struct task *t);

/* memo.c: for released text only (labels, literals, what the template puts around an input) */
enum fail memo_tokenize(struct llama_engine *e, const char *domain, const char *text, size_t len,
                        bool special, struct tokens *out, struct fault *why);
/* The rendered text of a chat, valid until the next call. */
enum fail memo_render(struct llama_engine *e, const char *domain, const char *request,
                      const char **text, struct fault *why);
void memo_free(struct llama_engine *e);

/* choice.c */
/* Starts scoring with the logits at hand; may finish at once. after: the token that follows a
   label, or -1. */
void choice_begin(struct llama_engine *e, struct task *t, const struct form_piece *piece,
                  const char *before, llama_token after, const float *logits);
/* All branches whose logits came in this step. */
void choice_advance(struct llama_engine *e, struct task *t);
/* Gives waiting branches sequences, forked from the task's. */
void choice_activate(struct llama_engine *e, struct task *t);
/* Tokens of a label after the literal before it. */
enum fail choice_label_tokens(struct llama_engine *e, const char *domain, const char *before,
                              const char *label, struct tokens *out, struct fault *why);
/* The task's tokens have just been given the label's: takes over as many of them as a branch has
   decoded. */
void choice_adopt(struct llama_engine *e, struct task *t, int label);
void choice_free(struct llama_engine *e, struct task *t);
/* The tokens from the root to a node, root excluded, into out[depth]. */
void choice_path(const struct choice_state *c, int node, llama_token *out);

/* sample.c */
double sample_logsumexp(const float *logits, int n);
llama_token sample_greedy(const float *logits, int n);
/* Temperature, nucleus, and the task's mask or grammar when there is one; the token's log
   probability (temperature 1) in *logprob. */
enum fail sample_token(struct llama_engine *e, struct task *t, const float *logits,
                       double temperature, double top_p, llama_token *out, double *logprob,
                       struct fault *why);
double sample_uniform(uint64_t *state);
/* Around calls that a hostile grammar, schema or template can hang: SIGALRM after 10 s, which ends
   the process. */
void engine_watch(bool on);

/* embed.c */
enum fail embed_prepare(struct llama_engine *e, struct task *t, struct fault *why);
/* One batch of texts, of as many tasks as fit. */
void embed_step(struct llama_engine *e);
/* Tokens of that step, and the microseconds that it should take. */
int embed_forecast(const struct llama_engine *e, double *us);
/* Opens the second hand of an encoder on the CPU, with the context's parameters; without memory
   or a thread for it one hand goes on alone. */
void embed_open_twin(struct llama_engine *e, struct llama_context_params params);
void embed_close_twin(struct llama_engine *e);

/* adapter.c */
enum fail adapter_add(struct engine *engine, int fd, const struct engine_adapter *adapter,
                      struct fault *why);
int adapter_find(const struct llama_engine *e, const char *sha256); /* -1: not here */
/* Chooses whose turn it is: a batch holds asks of one adapter only. `pending` says how many tokens
   a task has to decode. */
void adapter_choose(struct llama_engine *e, int (*pending)(const struct task *t));
static inline bool adapter_in_turn(const struct llama_engine *e, const struct task *t)
{
    return t->adapter == e->adapter_on;
}
