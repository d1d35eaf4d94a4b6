/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Program: a workflow that is more than a form. What a program implements (struct program_ops),
 * what it is given while it runs (struct program_run), and what it leaves: one artifact.
 *
 * A definition (workflows/NAME.yaml, struct program_definition) names its program and carries the
 * program's options, prompts and label. A job (work/job) reads the inputs, makes a run and calls
 * ops->run on a job thread, where blocking is allowed. A program asks models only through
 * program_ask (they all become tasks: gates, record, cost), opens documents only through
 * program_read (a sealed child each), checks what it claims with answer/check, and puts sections,
 * fields, items, checks, findings and outputs into the run. It keeps no state of its own between
 * runs but what its room owns in the store.
 *
 * A program must be useful when every program_ask fails with FAIL_MODEL_UNAVAILABLE: rules and code
 * first. It calls program_is_cancelled (or program_progress) at least once a second of work.
 *
 * Plugging in: write `const struct program_ops qa_program` in your room and add one row to
 * src/work/job/programs.def. Nothing else has to be changed to get uploads, jobs, cancel, replay,
 * records, review, outputs and the command line.
 *
 * Owns: the run and all that was put into it. Threads: a run belongs to the one thread that runs
 * it.
 * Limits: the PROGRAM_*_MAX below. Adding beyond one does nothing but mark the run: it then ends as
 * FAIL_TOO_LARGE, naming what was too much, whatever ops->run returned.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/ladder/ladder.h"
#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/secrecy/secrecy.h"
#include "base/text/text.h"
#include "run/document/document.h"

#define PROGRAM_INPUTS_MAX 64
#define PROGRAM_INPUT_BYTES ((size_t)64 << 20) /* of all inputs together */
#define PROGRAM_PARAMS_MAX 16
#define PROGRAM_PROMPTS_MAX 16
#define PROGRAM_PROMPT_BYTES 16384
#define PROGRAM_ROLES_MAX 8
#define PROGRAM_SECTIONS_MAX 128
#define PROGRAM_FIELDS_MAX 64
#define PROGRAM_ITEMS_MAX 50000
#define PROGRAM_CHECKS_MAX 2000
#define PROGRAM_FINDINGS_MAX 20000
#define PROGRAM_OUTPUTS_MAX 32
#define PROGRAM_OUTPUT_BYTES ((size_t)64 << 20) /* of all outputs together */
#define PROGRAM_STEPS_MAX 64
#define PROGRAM_ASKS_MAX 64 /* of one program_ask_many */
#define PROGRAM_ARENA_BYTES ((size_t)1 << 30)

struct program_run;
struct principal;
struct store;
struct store_conn;

/* ---- what a program is ---- */

/* Inputs come by role. The first role takes the FILEs of the command line; the others have an
   option of their name: `--base OLD.xml`. "new", "base", "memory", "glossary", "table", ... */
struct program_role {
    const char *name; /* [a-z][a-z_]*, at most 31 */
    const char *help; /* one phrase: "reports of the run to look at" */
    unsigned min, max; /* how many inputs of it a run takes */
};
/* What one run may be told beside its inputs: `--set language=de`. */
struct program_param {
    const char *name;
    const char *help;
};

struct program_ops {
    const char *name;  /* what `program:` says in a definition: "qa" */
    const char *title; /* one phrase, for listings */
    const struct program_role *roles;
    size_t roles_len;
    /* the values of --as, NULL-terminated, the default first; NULL: there is nothing to choose */
    const char *const *formats;
    const struct program_param *params; /* NULL: none */
    size_t params_len;
    /* the names that the definition's `prompts:` may have, NULL-terminated; NULL: none. Each is a
       Jinja template. */
    const char *const *prompts;
    /*
     * Reads the definition's `options:` map (NULL when it has none). Every fault is added with its
     * line (config_node_* do it); the value returned is used only when none was added. Copies what
     * it keeps: the tree is freed. A definition refers to no files, styles are by name. options and
     * options_free NULL: the program has no options.
     */
    void *(*options)(const struct config_node *options, struct config_faults *faults);
    void (*options_free)(void *options); /* accepts NULL */
    /*
     * Does the work. FAIL_NONE: the run holds the artifact. FAIL_BAD_REQUEST, FAIL_UNSUPPORTED,
     * FAIL_TOO_LARGE: the inputs are at fault and the job fails for good, with why as its reason.
     * What is retryable (fail_is_retryable) is tried again later from the start. options: of
     * ops->options, shared between runs: not changed.
     */
    enum fail (*run)(struct program_run *run, const void *options, struct fault *why);
};

/* ---- what a run is given ---- */

struct program_input {
    const char *role;
    const char *name; /* of the file, without folders, valid UTF-8; "" when it has none */
    const char *type; /* media type as claimed, "" when none */
    const void *bytes;
    size_t len;
};
/* How many inputs of a role; the i-th of them in the order given (NULL: there are fewer). */
size_t program_input_count(const struct program_run *run, const char *role);
const struct program_input *program_input(const struct program_run *run, const char *role,
                                          size_t i);
/*
 * What a sealed inhouse-reader says of the input (run/reader, run/document). format: as in struct
 * reader_ask, NULL: found from name, type and first bytes. *out is the run's. Blocks. Errors as
 * reader_read; why names the input.
 */
MUST_CHECK enum fail program_read(struct program_run *run, const struct program_input *input,
                                  const char *format, const struct document **out,
                                  struct fault *why);
/* A parameter of this run, NULL when it was not given. Only names of ops->params get here. */
const char *program_param(const struct program_run *run, const char *name);
/* The value of --as: one of ops->formats; "" without any. */
const char *program_format(const struct program_run *run);
/* When the job was made, UTC in µs: "now" for everything it says, the same in a replay. */
int64_t program_now(const struct program_run *run);
/* Lives as long as the run and all it holds. At most PROGRAM_ARENA_BYTES: ask arena_has_room before
   allocating what an input's size decides. */
struct arena *program_arena(struct program_run *run);
/* Who asked, and for which team. */
const struct principal *program_who(const struct program_run *run);
/* The definition's name ("qa-regression") and release (sha256 hex). */
const char *program_workflow(const struct program_run *run);
const char *program_release(const struct program_run *run);
/* For a program whose room owns tables: the store, and a reader of this thread. NULL in a run
   without a house (tests). */
struct store *program_store(const struct program_run *run);
struct store_conn *program_reader(const struct program_run *run);

/* ---- steps, progress, cancel ---- */

/* Ends the step before and begins this one: time, tokens and cost of all asks until the next call
   are counted to it, it is shown in `inhouse jobs show`, and its end is an audit record. name:
   [a-z][a-z0-9_-]*, static or the arena's. */
void program_step(struct program_run *run, const char *name);
/* share: 0..1 of the whole run, never going back; note: one phrase for the progress bar, or
   NULL. */
void program_progress(struct program_run *run, double share, const char *note);
/* Is somebody waiting for this run to stop (cancel, pause, deadline, server end)? Then return
   FAIL_STOPPED soon; what it holds is dropped. Any thread. */
bool program_is_cancelled(const struct program_run *run);

/* ---- asking models ---- */

enum program_ask_kind {
    PROGRAM_CHAT,   /* system + text -> text */
    PROGRAM_DECIDE, /* one question about text, closed labels -> probabilities */
    PROGRAM_FORM,   /* text through an active form workflow -> fields */
    PROGRAM_EMBED   /* texts -> unit vectors */
};
struct program_ask {
    enum program_ask_kind kind;
    /* CHAT, DECIDE, EMBED: a role (light, heavy, embed) or a model's name. NULL: light, for EMBED
       embed. */
    const char *model;
    const char *system; /* CHAT: may be NULL; DECIDE: what precedes the text, may be NULL */
    const char *text;   /* the untrusted part; at most 256 KiB */
    int max_tokens;     /* CHAT: 1..4096, 0: 256 */
    const char *stop;   /* CHAT: generation ends before this, may be NULL */
    /* CHAT: a JSON schema that the answer is held to, may be NULL */
    const char *schema;
    const char *question; /* DECIDE: what is asked; follows the text */
    const char *const *labels; /* DECIDE: 2..256 */
    size_t labels_len;
    const char *workflow;     /* FORM */
    const char *const *texts; /* EMBED: 1..256 of them */
    size_t texts_len;
    int deadline_ms; /* 0: 60,000 */
};
struct program_answer_field {
    const char *name, *value;
    double confidence;
    enum ladder_rung rung;
    bool open;
};
/* Everything lives in the run's arena. */
struct program_answer {
    enum fail code; /* FAIL_NONE, or why there is no answer */
    struct fault why;
    const char *text; /* CHAT: valid UTF-8, NUL-terminated; "" otherwise */
    size_t len;
    bool cut;             /* CHAT: max_tokens ended it */
    const double *probs;  /* DECIDE: one a label, sum 1 */
    size_t best;          /* DECIDE: the likeliest label */
    const struct program_answer_field *fields; /* FORM */
    size_t fields_len;
    const float *vectors; /* EMBED: texts_len x dim */
    size_t dim;
    const char *model; /* that answered */
    enum ladder_rung rung; /* light, heavy, ...; of a form: the highest asked */
    struct id task;        /* its record */
    int64_t tokens_in, tokens_cached, tokens_out;
    double ms;
    int64_t cost; /* nano-units */
};
/*
 * Asks and waits. Every ask is a task of class workflow with the run's principal and label; the
 * model's words are never trusted: check them. Returns out->code. FAIL_MODEL_UNAVAILABLE: nothing
 * serves that role (not an error of the run: go on without). FAIL_DEADLINE, FAIL_BLOCKED,
 * FAIL_STOPPED (cancelled: return) and others as answer/task says.
 */
MUST_CHECK enum fail program_ask(struct program_run *run, const struct program_ask *ask,
                                 struct program_answer *out, struct fault *why);
/* Many at once (they share the engine's batches): n at most PROGRAM_ASKS_MAX, out has room for n.
   Each answer has its own code. */
void program_ask_many(struct program_run *run, const struct program_ask *asks, size_t n,
                      struct program_answer *out);
/* Does anything serve this role or model now? Saves building prompts in vain. */
bool program_has_model(struct program_run *run, const char *model);

struct program_var {
    const char *name;
    const char *value; /* text; NULL: none */
};
/*
 * The definition's prompt of that name, rendered (Jinja, in a sealed worker) with these variables
 * and `now`. Values are data, never template text. A prompt without "{{" and "{%" is given as it
 * is, without a worker. FAIL_NOT_FOUND: the definition has no such prompt; FAIL_MODEL_UNAVAILABLE:
 * no worker is loaded to render it. *out is the arena's.
 */
MUST_CHECK enum fail program_prompt(struct program_run *run, const char *name,
                                    const struct program_var *vars, size_t n, const char **out,
                                    struct fault *why);
bool program_has_prompt(const struct program_run *run, const char *name);

/* ---- what a run leaves. Strings are copied into the run; NULL where "may be NULL" stands ---- */

/* One line: what the review queue shows. Without one: the workflow's title and the first input. */
void program_title(struct program_run *run, const char *title);

/* A part of the artifact, in order. */
struct program_section {
    const char *name;  /* "new_failures" */
    const char *title; /* "New failures" */
    const char *text;  /* Markdown */
};
void program_section(struct program_run *run, const struct program_section *s);

/* A typed value that a reviewer may change and autonomy is about. */
struct program_field {
    const char *name, *type, *value; /* type: "line", "choice", "number", ... */
    double confidence;               /* 0..1 */
    enum ladder_rung rung;           /* LADDER_RULE: code alone */
    bool open;                       /* a person decides it */
};
void program_field(struct program_run *run, const struct program_field *f);

/* One of many like things (a string of a translation, a suggestion of an edit), with its source
   beside it for the reviewer. */
struct program_item {
    const char *id;     /* stable within the artifact: "app.po:welcome" */
    const char *group;  /* may be NULL: file, section, language */
    const char *source; /* what it was made from, may be NULL */
    const char *value;  /* what is offered; "" when nothing is */
    const char *note;   /* for the reviewer: why it is open, which rule, may be NULL */
    const char *by;     /* "memory", "glossary", a model's name, a rule: may be NULL */
    double confidence;
    enum ladder_rung rung;
    bool open; /* not offered as done: a person decides it */
};
void program_item(struct program_run *run, const struct program_item *item);

/* A claim check that was made; ok false: what it was about was dropped or is open. */
struct program_check {
    const char *name; /* "numbers_traced" */
    bool ok;
    const char *note; /* may be NULL */
};
void program_check(struct program_run *run, const struct program_check *c);

enum program_level { PROGRAM_INFO, PROGRAM_WARNING, PROGRAM_ERROR, PROGRAM_LEVEL_COUNT };
const char *program_level_name(enum program_level level);
/* What was found in an input, or dropped from the output: an anomaly, a broken rule, a sentence
   that could not be verified. */
struct program_finding {
    const char *code; /* of the rule or detector: "dropped_sentence", "inclusive.whitelist" */
    enum program_level level;
    const char *where;   /* "NAME:LINE", a cell, a test, may be NULL */
    int64_t at, len;     /* bytes in the input; len 0: nowhere */
    const char *quote;   /* what stands there, may be NULL */
    const char *message; /* one sentence */
    const char *suggest; /* what it should be, may be NULL */
    const char *source;  /* what the finding rests on: a cell, a rule's link; may be NULL */
};
void program_finding(struct program_run *run, const struct program_finding *f);

/*
 * A file of the result. The first one whose type begins with "text/" is the main output: printed by
 * the command line, and the artifact's draft. name: [A-Za-z0-9._-]+ of at most 120, unique in the
 * run ("report.md", "ctrf.json", "chart-1.svg"); folders are not made. bytes are copied.
 */
void program_output(struct program_run *run, const char *name, const char *type, const void *bytes,
                    size_t len);

/* ---- definitions ---- */

#define PROGRAM_DEFINITION_BYTES ((size_t)256 * 1024)

/*
 * name: qa-regression            the workflow's name
 * title: What broke since the base run
 * program: qa                    which of `table`
 * label: internal                least label of its runs; may be left out: internal
 * deadline_s: 900                of a job; may be left out: 900; 1..86400
 * options: {...}                 the program's own
 * prompts: {summary: "..."}      Jinja
 *
 * Immutable, reference-counted: a running job keeps the one it began with.
 */
struct program_definition {
    int refs; /* atomic */
    char name[64];
    char release[65]; /* sha256 hex of the file's bytes: options and prompts are in it */
    char *title;
    const struct program_ops *ops;
    void *options; /* of ops->options */
    enum secrecy label;
    int deadline_s;
    char *source_yaml;
    size_t prompts_len;
    struct program_definition_prompt {
        char *name, *text;
        int line;
    } prompts[PROGRAM_PROMPTS_MAX];
};
/* Reads and checks it all; every error with its line in faults, the first one in why. table: `n`
   programs that there are. The caller owns the reference. */
MUST_CHECK enum fail program_definition_read(const char *text, size_t len, const char *file,
                                             const struct program_ops *const *table, size_t n,
                                             struct program_definition **out,
                                             struct config_faults *faults, struct fault *why);
struct program_definition *program_definition_ref(struct program_definition *d);
void program_definition_unref(struct program_definition *d); /* accepts NULL */

/* ---- running one: for work/job and for tests ---- */

struct program_step_done {
    const char *name;
    double ms;
    int64_t asks, tokens_in, tokens_cached, tokens_out, cost;
};
/* What a run reaches the house through. Any member may be NULL: no models, no documents but plain
   reader_read, nobody cancels. Called on the run's thread. */
struct program_host {
    void *arg;
    /* Fills out[0..n); strings in `arena`. Blocks. */
    void (*ask)(void *arg, const struct program_ask *asks, size_t n, struct arena *arena,
                struct program_answer *out);
    bool (*has_model)(void *arg, const char *model);
    /* Jinja over the members of a JSON object; *out in the arena. */
    enum fail (*render)(void *arg, const char *text, const char *vars_json, int64_t now_s,
                        struct arena *arena, const char **out, struct fault *why);
    void (*step)(void *arg, const struct program_step_done *done);
    void (*progress)(void *arg, double share, const char *step, const char *note);
    bool (*is_cancelled)(void *arg); /* any thread */
    struct store *store;
    struct store_conn *reader;
    const char *reader_path; /* inhouse-reader; NULL: beside this executable */
};
struct program_start {
    struct program_definition *definition; /* a reference is taken */
    const struct principal *who;           /* copied */
    const struct program_input *inputs;    /* borrowed until program_run_free */
    size_t inputs_len;
    const struct program_var *params; /* borrowed */
    size_t params_len;
    const char *format; /* NULL: the program's first */
    int64_t now;        /* µs UTC */
};
/* Checks roles, counts, parameters and format against ops: FAIL_BAD_REQUEST names what is wrong
   (and lists what there is). host is copied. */
MUST_CHECK enum fail program_run_new(const struct program_start *start,
                                     const struct program_host *host, struct program_run **out,
                                     struct fault *why);
/* The check alone, before anything is stored. Only role, name and len of inputs are looked at. */
MUST_CHECK enum fail program_start_check(const struct program_start *start, struct fault *why);
/* Runs it on this thread and ends its last step; once. FAIL_STOPPED when cancelled. */
MUST_CHECK enum fail program_run_go(struct program_run *run, struct fault *why);
void program_run_free(struct program_run *run); /* accepts NULL */

struct program_output {
    const char *name, *type;
    const void *bytes;
    size_t len;
    bool main;
};
/* What it holds; valid until program_run_free. */
struct program_result {
    const char *title;
    const struct program_section *sections;
    size_t sections_len;
    const struct program_field *fields;
    size_t fields_len;
    const struct program_item *items;
    size_t items_len;
    const struct program_check *checks;
    size_t checks_len;
    const struct program_finding *findings;
    size_t findings_len;
    const struct program_output *outputs;
    size_t outputs_len;
    const struct program_step_done *steps;
    size_t steps_len;
    size_t open; /* fields and items that a person decides */
};
void program_result(const struct program_run *run, struct program_result *out);
/* The artifact as JSON (docs/reference/programs.md); without the outputs' bytes. FAIL_TOO_LARGE
   over the buffer's cap. */
MUST_CHECK enum fail program_result_json(const struct program_run *run, struct buf *json,
                                         struct fault *why);
/* The same for the review queue, with the job's id: as much of it as fits under the buffer's cap
   (first without items and findings, then without sections; "cut": true says so). */
MUST_CHECK enum fail program_result_brief(const struct program_run *run, const struct id *job,
                                          struct buf *json, struct fault *why);
