/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the commands: the words of the call, talking to the server, printing, reading rows
   of tickets. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/fail/fail.h"
#include "base/json/json.h"
#include "base/mem/mem.h"
#include "cli/client/client.h"
#include "cli/command/command.h"
#include "prove/measure/measure.h"

#define CLI_MAX_WORDS 64
#define CLI_MAX_OPTIONS 16
#define CLI_MAX_EXTRAS 64

/* ---- commands as data ---- */

struct cli;
struct cli_option {
    /* "out": --out; in capitals: long options that are not listed go to cli->extras, each with a
       value */
    const char *name;
    char letter;       /* 'o', 0: none */
    const char *value; /* "FILE" for help; NULL: a flag */
    const char *help;
};
struct command {
    const char *name;  /* "models add" */
    const char *words; /* "FILE" for the usage line */
    int words_min, words_max;
    const char *summary;
    const char *help; /* paragraphs, may be NULL */
    const struct cli_option *options; /* ends with {0}; may be NULL */
    int (*run)(struct cli *cli);
    bool hidden;
};

struct cli {
    const struct command *command;
    char home[CLIENT_PATH_SIZE];
    const char *url, *key;
    const char *words[CLI_MAX_WORDS];
    int words_len;
    const char *values[CLI_MAX_OPTIONS]; /* one per option; NULL: not given */
    /* of a loose command, in order */
    struct cli_extra {
        char name[48];
        const char *value;
    } extras[CLI_MAX_EXTRAS];
    int extras_len;
    bool json, quiet;
    bool tty, tty_err;
    size_t width; /* columns of the terminal, 80 when there is none */
    struct client *client;
    struct fault why;
};

extern const struct command command_table[];
extern const size_t command_count;
extern volatile sig_atomic_t cli_interrupted;

/* The value of an option of this command, NULL when not given; a flag is "". */
const char *cli_option(const struct cli *cli, const char *name);
/* Whole number in [min, max]; `otherwise` when not given; false after saying what is wrong. */
bool cli_number(struct cli *cli, const char *name, int64_t min, int64_t max, int64_t otherwise,
                int64_t *out);
extern const struct cli_option cli_common[]; /* of every command */
/* Runs another command line in this process, with its own client. */
int cli_run(int argc, char **argv);

/* ---- failing and printing ---- */

/* Says it once on stderr and returns the exit status that fits. */
int cli_fail(struct cli *cli, const struct fault *why);
int cli_usage(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Every error of a YAML file with its line, on stderr. */
struct config_faults;
void cli_say_faults(const struct config_faults *faults);
/* One line on stderr for a person; nothing with --quiet. */
void cli_note(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cli_print_json(const json_t *j);
/* Prints and frees the table. */
void cli_print_table(struct cli *cli, struct measure_table *t);
/* Prints text with nothing in it that steers a terminal, wrapped at `width` with this indent. */
void cli_print_wrapped(const char *text, size_t indent, size_t width);
const char *cli_bytes(int64_t n, char out[24]);
const char *cli_duration(double seconds, char out[24]);

/* ---- progress: a bar on a terminal, now and then a line otherwise ---- */

struct progress {
    struct cli *cli;
    const char *what;
    int64_t started_us, drawn_us;
    int64_t done;   /* items */
    int64_t total;  /* items, 0: unknown */
    double share;   /* used when total is unknown: 0..1, negative: unknown too */
    int64_t failed;
    bool drawn;
};
void progress_begin(struct progress *p, struct cli *cli, const char *what);
void progress_show(struct progress *p, bool now);
void progress_end(struct progress *p); /* takes the bar away */

/* ---- the server ---- */

/* The client of this call, opened at first use (a server is started when none runs); NULL:
   cli->why. */
struct client *cli_client(struct cli *cli);
/* Only if a server runs already; NULL otherwise, without a fault. */
struct client *cli_client_running(struct cli *cli);
/* Follows a job to its end with a progress bar. *result is a new reference. */
MUST_CHECK enum fail cli_follow(struct cli *cli, const json_t *job, const char *what,
                                json_t **result, struct fault *why);
/* POST or PUT of JSON text. */
MUST_CHECK enum fail cli_send(struct cli *cli, const char *method, const char *path,
                              const char *type, const void *body, size_t len, json_t **out,
                              struct fault *why);
/* The same of an object, which it frees; NULL: no body. */
MUST_CHECK enum fail cli_send_json(struct cli *cli, const char *method, const char *path,
                                   json_t *body, json_t **out, struct fault *why);
/* A secret's first line: from the file that the option names ("-": standard input), else asked on
   the terminal without showing it, twice when `twice`. Never from the command line. false after
   saying what is wrong. */
bool cli_secret(struct cli *cli, const char *option, const char *ask, bool twice, char *out,
                size_t room);
const char *cli_str(const json_t *obj, const char *key); /* "" when absent */
/* How sure a field's proposal is, as "0.93"; "-" where nothing was proposed. */
#define CLI_SURE_SIZE 16
const char *cli_sure(const json_t *field, char out[CLI_SURE_SIZE]);
/* Whole file into out (cap is out's). */
MUST_CHECK enum fail cli_read_file(const char *path, struct buf *out, struct fault *why);

/* ---- rows: JSON lines or CSV, streaming ---- */

struct rows;
enum rows_state { ROWS_ROW, ROWS_BAD, ROWS_END };
/* path "-" is stdin. CSV when the name ends in .csv or .tsv, or the first byte is not '{'. */
MUST_CHECK enum fail rows_open(const char *path, struct rows **out, struct fault *why);
/* The same for tickets: a CSV without a column for their text is one error, not one a row. */
MUST_CHECK enum fail rows_open_tickets(const char *path, struct rows **out, struct fault *why);
void rows_close(struct rows *r);
/* ROWS_ROW: *row is a new reference, an object (CSV: its columns by the header's names, all
   text). ROWS_BAD: the row was skipped; why says file:line and what to do. */
enum rows_state rows_next(struct rows *r, json_t **row, struct fault *why);
int64_t rows_line(const struct rows *r); /* where the last row began */
double rows_share(const struct rows *r); /* of the file read, negative: unknown */
const char *rows_path(const struct rows *r);

/* A ticket out of a row: id, subject, text, expected {field: value}. Borrowed from the row but
   for expected. */
struct ticket {
    char id[208];
    const char *subject; /* may be NULL */
    const char *text;
    json_t *expected;    /* new reference or NULL */
};
/* FAIL_BAD_REQUEST with file:line when the row is no ticket. */
MUST_CHECK enum fail ticket_read(const struct rows *r, const json_t *row, struct ticket *out,
                                 struct fault *why);
/* The ids seen so far; true when it is new. */
struct seen;
struct seen *seen_new(void);
void seen_free(struct seen *s);
bool seen_add(struct seen *s, const char *id);

/* ---- running a workflow over tickets ---- */

struct run_options {
    const char *workflow;
    const char *rungs; /* "learned,light", NULL: all */
    const char *class;
    bool no_draft, no_artifact;
    int flight;
    /* Called for each task in input order, with the server's answer (NULL: failed, see why). */
    void (*on_result)(void *arg, const struct ticket *t, const json_t *result,
                      const struct fault *why);
    void *arg;
    /* Gives the next ticket; ROWS_BAD was counted and said by the source. `keep` stays alive
       with the item. */
    enum rows_state (*next)(void *arg, struct ticket *t, json_t **keep);
    double (*share)(void *arg); /* of the source read, may be NULL */
    int64_t total;              /* 0: unknown */
};
struct run_counts {
    int64_t given, answered, failed, retried, revived, worker_deaths;
    bool interrupted;
};
/* All tickets through the workflow, `flight` at a time. Fails only when the server cannot be had
   at all. */
MUST_CHECK enum fail run_tickets(struct cli *cli, const struct run_options *o, struct progress *bar,
                                 struct run_counts *counts, struct fault *why);
/* What a ticket expects of a field, written as the answer is where it is the same value; NULL: not
   said. room: of `size` bytes, may be used. */
const char *run_expected(const struct ticket *t, const json_t *field, char *room, size_t size);
/* Adds one task's answer to the measurements. */
void run_measure(struct measure_run *m, const struct ticket *t, const json_t *result);
/* The summary tables of a run. */
void run_summary(struct cli *cli, struct measure_run *m, const struct run_counts *counts);
json_t *run_summary_json(struct measure_run *m, const struct run_counts *counts);
/* A field of a result by its name, NULL when it has none. */
const json_t *result_field(const json_t *result, const char *name);
/* The text of its draft, NULL when there is none. */
const char *result_draft(const json_t *result);

/* The learning examples of rows, as the API takes them, streamed to a file; counts what was
   skipped. */
struct learn_counts {
    int64_t examples, unlabelled, skipped;
};
MUST_CHECK enum fail learn_collect(struct cli *cli, const char *path, FILE *to,
                                   struct learn_counts *n, struct fault *why);
/* Sends the collected examples and follows the job to its report. */
MUST_CHECK enum fail learn_send(struct cli *cli, const char *workflow, FILE *file, json_t **result,
                                struct fault *why);
int learn_report_show(struct cli *cli, const json_t *report);

/* Text of HTML: tags out, entities decoded, block ends as line breaks; written to out. */
void html_text(const char *html, struct buf *out);
bool html_looks_like(const char *text);

/* ---- try: a company's own past tickets ---- */

#define TRY_MAX_FIELDS 8
#define TRY_MAX_PAIRS 12
struct try_ticket {
    char id[208];
    int64_t at_us; /* 0: unknown */
    char *subject, *text, *reply; /* NULL: none; of the set's arena */
    const char *values[TRY_MAX_FIELDS]; /* what people decided, NULL: nothing */
};
struct try_field {
    char name[48];   /* as the workflow calls it */
    char column[64]; /* where it was read from */
    size_t values, given;
    char why_not[120]; /* not "": it is left out, because */
    double majority;   /* share of the newer tickets that have the most frequent older value */
    /* measured on the newer ones, one entry a ticket with a value */
    float *confidence;
    bool *right;
    size_t n;
    const char *first_value; /* the most frequent one */
};
struct try_set {
    struct arena *arena;
    struct try_ticket *tickets;
    size_t n, room, older, skipped, beyond;
    struct try_field fields[TRY_MAX_FIELDS];
    size_t fields_len;
    char columns[6][64]; /* id, at, subject, text, reply, html: where each was read from, "" none */
    bool dated;          /* every ticket has a time */
    size_t replies;
};
enum { TRY_ID, TRY_AT, TRY_SUBJECT, TRY_TEXT, TRY_REPLY, TRY_COLUMNS };
/* Reads and understands the file; maps is "field=column" words, NULL-terminated. Sorted by time,
   cut at 70 %. */
MUST_CHECK enum fail try_read(struct cli *cli, const char *path, const char *const *maps,
                              size_t limit, struct try_set **out, struct fault *why);
void try_free(struct try_set *s);

struct try_pair {
    const struct try_ticket *ticket;
    char *draft, *sources;
};
struct try_outcome {
    const struct try_set *set;
    const char *file;
    struct measure_run measure;
    struct run_counts counts;
    const json_t *learned; /* the report */
    struct {
        char code[12];
        size_t n;
    } languages[16];
    size_t languages_len, drafts, whole; /* whole: every field decided alone */
    struct try_pair pairs[TRY_MAX_PAIRS];
    size_t pairs_len;
    double minutes_sort, minutes_reply;
    double target[TRY_MAX_FIELDS];
    double per_day; /* tickets, 0: unknown */
    double learn_s, answer_s;
    bool heavy, light, embed, articles;
};
/* What it takes until a field may be decided alone, from the newer tickets' confidences. */
struct try_trust {
    bool reachable;
    double share; /* of tickets it would then decide */
    double error; /* seen on them */
    int64_t items; /* reviewed tickets needed */
    double best_error; /* of the most certain fifth, when not reachable */
};
struct try_trust try_trust_of(const struct try_field *f, double target);
/* One self-contained page. */
MUST_CHECK enum fail try_page(const struct try_outcome *o, const char *path, struct fault *why);

/* ---- demo ---- */

struct demo_result {
    struct ticket ticket; /* borrows from keep */
    json_t *keep, *result;
};
struct demo {
    struct cli *cli;
    char examples[CLIENT_PATH_SIZE], fetched[CLIENT_PATH_SIZE];
    bool small, heavy;
    int64_t started_us;
    struct demo_result *results;
    size_t n, room;
    struct measure_run measure;
    struct run_counts counts;
    struct rows *rows;
    struct progress bar;
};
/* A heading with the time since the start. */
void demo_say(struct demo *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
double demo_seconds(const struct demo *d);
/* The three acts. Each says by itself when it cannot be shown here, and why. */
void demo_act_alone(struct demo *d);
void demo_act_cut(struct demo *d);
void demo_act_flip(struct demo *d);
/* Stops the server of the data folder and closes the client. */
void demo_stop(struct demo *d);

/* ---- the commands (one file each group) ---- */
int command_serve(struct cli *cli);
int command_stop(struct cli *cli);
int command_status(struct cli *cli);
int command_models_add(struct cli *cli);
int command_models_import(struct cli *cli);
int command_models_list(struct cli *cli);
int command_models_show(struct cli *cli);
int command_models_tune(struct cli *cli);
int command_models_adopt(struct cli *cli);
int command_models_load(struct cli *cli);
int command_models_unload(struct cli *cli);
int command_models_pin(struct cli *cli);
int command_models_unpin(struct cli *cli);
/* The server's view of the models as a table; false when no server runs. */
bool loading_list(struct cli *cli, int *status);
int command_learn(struct cli *cli);
int command_run(struct cli *cli);
int command_jobs_list(struct cli *cli);
int command_jobs_show(struct cli *cli);
int command_jobs_pause(struct cli *cli);
int command_jobs_resume(struct cli *cli);
int command_jobs_cancel(struct cli *cli);
int command_jobs_replay(struct cli *cli);
int command_jobs_output(struct cli *cli);
int command_review_list(struct cli *cli);
int command_review_show(struct cli *cli);
int command_review_approve(struct cli *cli);
int command_review_edit(struct cli *cli);
int command_review_reject(struct cli *cli);
int command_review_escalate(struct cli *cli);
int command_review_next(struct cli *cli);
int command_review(struct cli *cli);
int command_review_queue(struct cli *cli);
int command_review_claim(struct cli *cli);
int command_review_release(struct cli *cli);
int command_review_hint(struct cli *cli);
int command_review_alike(struct cli *cli);
int command_review_group(struct cli *cli);
int command_review_outcome(struct cli *cli);
int command_review_ticket(struct cli *cli);
int command_review_practice(struct cli *cli);
int command_review_skills(struct cli *cli);
int command_review_settings(struct cli *cli);
int command_review_measures(struct cli *cli);
int command_review_me(struct cli *cli);
int command_review_articles(struct cli *cli);
int command_workflow_list(struct cli *cli);
int command_workflow_show(struct cli *cli);
int command_workflow_new(struct cli *cli);
int command_workflow_put(struct cli *cli);
int command_workflow_check(struct cli *cli);
int command_workflow_test(struct cli *cli);
int command_workflow_autonomy(struct cli *cli);
int command_guard_lint(struct cli *cli);
int command_guard_check(struct cli *cli);
int command_guard_test(struct cli *cli);
int command_guard_rules(struct cli *cli);
int command_guard_put(struct cli *cli);
int command_guard_approve(struct cli *cli);
int command_route_list(struct cli *cli);
int command_route_explain(struct cli *cli);
int command_route_put(struct cli *cli);
int command_route_approve(struct cli *cli);
int command_route_test(struct cli *cli);
int command_datasets_add(struct cli *cli);
int command_datasets_make(struct cli *cli); /* add without a folder */
int command_datasets_list(struct cli *cli);
int command_datasets_ingest(struct cli *cli);
int command_datasets_show(struct cli *cli);
int command_datasets_search(struct cli *cli);
int command_datasets_grant(struct cli *cli);
int command_datasets_revoke(struct cli *cli);
int command_datasets_request(struct cli *cli);
int command_datasets_decide(struct cli *cli);
int command_datasets_remove(struct cli *cli);
int command_limits_show(struct cli *cli);
int command_limits_set(struct cli *cli);
int command_halt_on(struct cli *cli);
int command_halt_off(struct cli *cli);
int command_halt_list(struct cli *cli);
/* What is switched off, in red on a terminal; list: a non-empty "halts". */
void cli_print_halts(struct cli *cli, const json_t *list);
int command_upstreams(struct cli *cli);
int command_certificates(struct cli *cli);
int command_upstream_calls(struct cli *cli);
int command_keys_add(struct cli *cli);
int command_keys_list(struct cli *cli);
int command_keys_revoke(struct cli *cli);
int command_keys_rotate(struct cli *cli);
int command_users_init(struct cli *cli);
int command_users_setup(struct cli *cli);
int command_users_add(struct cli *cli);
int command_users_list(struct cli *cli);
int command_users_role(struct cli *cli);
int command_users_password(struct cli *cli);
int command_users_disable(struct cli *cli);
int command_users_enable(struct cli *cli);
int command_access_review(struct cli *cli);
int command_teams_add(struct cli *cli);
int command_teams_list(struct cli *cli);
int command_teams_label(struct cli *cli);
int command_ask(struct cli *cli);
int command_reuse_revoke(struct cli *cli);
int command_erase(struct cli *cli);
int command_audit_verify(struct cli *cli);
int command_audit_show(struct cli *cli);
int command_audit_prove(struct cli *cli);
int command_audit_search(struct cli *cli);
int command_govern(struct cli *cli);
int command_audit_replay(struct cli *cli);
int command_backup(struct cli *cli);
int command_restore(struct cli *cli);
int command_keys_master_rotate(struct cli *cli);
int command_keys_master_print(struct cli *cli);
int command_keys_master_recover(struct cli *cli);
int command_audit_keys(struct cli *cli);
int command_audit_keys_rotate(struct cli *cli);
int command_audit_witness(struct cli *cli);
int command_audit_witness_serve(struct cli *cli);
int command_audit_export(struct cli *cli);
int command_audit_checkpoint(struct cli *cli);
int command_doctor(struct cli *cli);
int command_read(struct cli *cli);
int command_try(struct cli *cli);
int command_demo(struct cli *cli);
int command_help(struct cli *cli);
int command_help_man(struct cli *cli);
