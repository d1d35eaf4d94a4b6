/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Task: the one way through. Every entry (a form, a chat, an embedding) becomes a task here:
 * gates in, climb, checks, gates out, record, answer. Nothing is answered before its record is
 * durable.
 *
 * Threads: task_submit, task_cancel and the form/dataset setters may be called from any thread;
 * they post to the core loop, which owns every task. Callbacks run on the core thread and must not
 * block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/ladder/ladder.h"
#include "base/fail/fail.h"
#include "base/loop/loop.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "run/fleet/fleet.h"
#include "run/ipc/ipc.h"
#include "run/roster/roster.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"
#include "trust/policy/policy.h"

/* What a reproducible task's templates see as the time unless it says another: 2026-01-01. */
#define TASK_REPRODUCIBLE_NOW 1767225600
#define TASK_NOW_MAX 253402300799 /* the end of 9999 */
#define TASK_MAX_TEXT (256u * 1024u) /* bytes of one input's text */

enum task_kind { TASK_FORM, TASK_CHAT, TASK_EMBED, TASK_DECIDE };

#define TASK_QUESTIONS_MAX 64
/* One of a decision's independent questions about its text. */
struct task_question {
    /* follows the text: what is asked, which answers there are; data, not prompt */
    const char *ask;
    const char *const *labels; /* 2 to 256 distinct ones of 1 to 128 bytes */
    size_t labels_len;
    double correction; /* 0 to 1: weight of the null-prompt correction */
};
struct task_decided {
    const double *probs; /* one per label, sum 1 */
    double mass;         /* of the model's own probability, the labels' part; 0: not known */
};

struct task_result;
/* Streamed chat only: whole UTF-8, valid during the call; the record `accepted` is durable
   before the first. */
typedef void (*task_text_fn)(void *arg, const char *text, size_t len);
/* Once per task, always. The result is valid during the call. */
typedef void (*task_done_fn)(void *arg, const struct task_result *result);

/* What to do. Strings are copied by task_submit. */
struct task_request {
    enum task_kind kind;
    struct principal who;
    enum ipc_class class;
    int64_t deadline_ms; /* 0: the server's default for the class */
    enum secrecy label; /* at least; a form's workflow may say a higher one */
    unsigned needs;     /* bits 1u << enum route_need; a form's workflow may say more */

    /* TASK_FORM */
    const char *workflow;
    const char *input_id; /* the caller's own id of the item, may be NULL */
    const char *subject;  /* may be NULL */
    const char *text;     /* may be empty, never NULL */
    unsigned rungs;       /* bits 1u << enum ladder_rung; 0: all */
    bool no_draft;        /* fields only */
    bool no_artifact;     /* nothing goes to the review queue (try, evaluation) */
    bool choices_only; /* lines are not asked for (evaluation) */
    /* instead of the active one (evaluation): a reference is taken; NULL */
    struct ladder_form *form;
    const char *idempotency_key; /* may be NULL */

    /* FORM and CHAT: answered in the lane, reuse left out (docs/reference/api.md). A chat's
       ask_json says the same three. */
    bool reproducible;
    int64_t seed;
    int64_t now; /* UTC seconds that templates see */

    /* TASK_CHAT: `model` is a model's name or a role; ask is the GENERATE body of
       docs/protocol/worker.md without `domain` and `class`, already checked by the entry. */
    const char *model;
    const char *ask_json;
    size_t ask_len;
    int max_tokens; /* as in ask_json: what it may cost */
    bool stream;
    /* a rewrite or a translation: an answer of another server that lost a value which left as a
       placeholder is none */
    bool keep_values;
    /* A scored chat: both or neither, taken by task_submit. ask_json is then the FORM body with
       this plan (of schema_form); the answer's text is the document, checked under the schema. */
    struct form_plan *plan;
    struct schema *schema;

    /* TASK_DECIDE: model as above; `text` is decoded once for all questions; ask_json is the whole
       request, for the record */
    const char *intro; /* precedes the text; may be empty */
    const struct task_question *questions;
    size_t questions_len; /* 1 to TASK_QUESTIONS_MAX */

    /* TASK_EMBED: model as above */
    const char *const *texts;
    size_t texts_len;

    task_text_fn on_text; /* TASK_CHAT with stream */
    task_done_fn on_done;
    void *arg;
};

enum task_state {
    TASK_ACCEPTED,
    TASK_CLIMBING,
    TASK_WAITING_PERSON,
    TASK_DONE,
    TASK_FAILED,
    TASK_CANCELLED
};
const char *task_state_name(enum task_state state);

struct task_result {
    enum fail code; /* FAIL_NONE, or why it failed */
    const struct fault *why;
    struct id task;
    enum task_state state;
    double ms;
    int64_t record_seq; /* of the leaf, -1 when none */

    /* TASK_FORM: the whole answer as JSON, exactly as it is recorded and stored
       (docs/reference/task.md) */
    const char *json;
    size_t json_len;
    const struct ladder_climb *climb; /* the same as structs, NULL when refused before it began */

    /* TASK_CHAT */
    const struct fleet_generated *generated;
    const char *model; /* the model that answered, its manifest name */
    const char *fingerprint; /* of the engine and model that answered, '' when not known */
    const struct form_plan *plan; /* of a scored chat, and how it was filled; NULL otherwise */
    const struct form_result *filled;

    /* TASK_EMBED: n x dim, unit rows */
    const float *vectors;
    size_t vectors_len, dim;
    int64_t tokens;

    /* TASK_DECIDE: one per question, in their order */
    const struct task_decided *decided;

    /* of every kind: all its calls together, cached tokens included; cost in nano-units, of
       calls to other servers */
    int64_t tokens_in, tokens_cached, tokens_out, cost;
    struct id artifact; /* TASK_FORM: zero when it made none, or was answered under its key */
};

/* What it takes to ask a recorded task of the reproducible lane again; its texts are its content
   (audit_content_get). */
struct task_replay {
    enum task_kind kind; /* FORM or CHAT */
    char workflow[64], model[72];
    int64_t seed, now;
    unsigned rungs;
    bool no_draft;
    int max_tokens;
};
/* FAIL_NOT_FOUND; FAIL_BAD_REQUEST when it was not made in the lane, or its record does not hold
   enough (scored under a JSON schema, or of a version that kept less). */
MUST_CHECK enum fail task_replay_find(struct store_conn *conn, const struct id *id,
                                      struct task_replay *out, struct fault *why);

/* What a form's task leaves for people, given to the house's sink inside the record's own write. */
struct task_artifact_field {
    const char *name, *type, *value;
    double confidence;
    enum ladder_rung rung;
    bool open; /* not sure enough: a person decides it */
};
struct task_artifact {
    struct id id, task;
    const char *workflow, *team, *actor, *title;
    bool waits; /* for a person */
    bool leaves; /* without one: delivered by itself (ladder_is_auto) */
    const char *input;       /* subject and text */
    const char *input_id;    /* the caller's own; NULL: none */
    const float *vector;     /* of the input, unit length; NULL: it was not embedded */
    size_t dim;
    const char *model; /* that made the vector */
    const char *result_json;
    const char *draft;       /* text, NULL: none */
    const struct task_artifact_field *fields;
    size_t fields_len;
};
/* Filled in by src/bin from work/review, which is a floor above. Both run on the store thread. */
struct task_sink {
    void *arg;
    enum fail (*create)(struct store_tx *tx, void *arg, const struct task_artifact *a,
                        struct fault *why);
    /* Replaces the draft of an artifact nobody has opened; FAIL_CONFLICT when somebody has. */
    enum fail (*redraft)(struct store_tx *tx, void *arg, const struct id *artifact,
                         const char *draft, struct fault *why);
};

struct upstream_ask;
struct upstream_pool_state;
/* Calls to servers that are not ours: src/bin gives run/upstream's, a test its own. All NULL: there
   are none. Core thread. */
struct task_hosted {
    void *arg;
    uint64_t (*call)(void *arg, const struct upstream_ask *ask);
    void (*cancel)(void *arg, uint64_t id);
    void (*check)(void *arg, const char *model, int64_t tokens_in, int64_t tokens_out,
                  struct upstream_pool_state *out);
    /* Is there a pool of that name, and does it embed? */
    bool (*find)(void *arg, const char *model, bool *embed);
    /* Pools of on_prem servers that serve a role while no worker here does; "" or NULL: none. */
    const char *light, *heavy;
};
#define TASK_POOL_HOSTED "hosted" /* the pool of a rule that names none */

/* What a climb costs, in units of the currency. */
struct task_costs {
    double machine_hour; /* of this machine at work */
    double person_task;  /* of a person's look at one task */
};

/* What the room works with; all outlive it. */
struct task_house {
    struct loop *loop;   /* the core loop */
    struct pool *crunch;
    struct store *store;
    struct audit *audit;
    struct policy *policy; /* NULL: no limits, nothing is switched off */
    struct fleet *fleet;
    struct roster *roster; /* NULL: no model is loaded on demand */
    struct task_sink sink;
    struct task_costs costs;
    struct task_hosted hosted;
    struct route_zone *zone; /* of report.timezone, NULL: rules know no time of day */
    /* Tasks of a class and the better ones climbing at once, of each class always one. The rest
       wait, teams in turn (run/queue), then queue_full: no team has all max_waiting places. */
    int max_running;
    int max_waiting;
};

/* How far a text may go by what is in it: `least`, or confidential when it holds personal data or
   cannot be looked at. Any thread. */
enum secrecy task_label_of(enum secrecy least, const char *text, size_t len);

struct task_desk;
MUST_CHECK enum fail task_desk_new(const struct task_house *house, struct task_desk **out,
                                   struct fault *why);
/* Refuses new tasks (stopped); done(arg) on the core thread when the last accepted one is
   answered. */
void task_desk_drain(struct task_desk *desk, loop_call_fn done, void *arg);
void task_desk_free(struct task_desk *desk); /* after drain, loop stopped */

/* Any thread. Returns a handle > 0 for task_cancel; on_done always comes, with the refusal if
   refused. */
uint64_t task_submit(struct task_desk *desk, const struct task_request *request);
/* Any thread: the client is gone. on_done still comes (cancelled) unless it came already. */
void task_cancel(struct task_desk *desk, uint64_t handle);

/* Any thread: a stop switch was turned. What it stands against ends as stopped, waiting or running;
   a climb goes on without a model that is off. */
void task_halted(struct task_desk *desk);

/* Any thread: a person decided an artifact of this workflow; its documents may teach now. */
void task_decided(struct task_desk *desk, const char *team, const char *workflow);

/* Any thread: makes `form` the active one under its name; takes a reference. */
void task_form_set(struct task_desk *desk, struct ladder_form *form);

struct route_rules;
/* Any thread: makes these the decision rules; takes a reference. At the start it is the active
   release. */
void task_rules_set(struct task_desk *desk, struct route_rules *rules);
struct verdict_rules;
/* Any thread: makes these the rules of what may pass; takes a reference. At the start it is the
   active release. */
void task_guard_set(struct task_desk *desk, struct verdict_rules *rules);
/* What the rules say of a request now, and why, as JSON (docs/reference/route.md). facts: JSON text
   that stands over what was found, for trying; NULL: none. Core thread; nothing is recorded. */
MUST_CHECK enum fail task_route_explain(struct task_desk *desk, const struct task_request *r,
                                        const char *facts, size_t facts_len, struct buf *json,
                                        struct fault *why);
/* The same of a recorded task, from what was kept with it. Any thread's own reader; FAIL_NOT_FOUND
   for another team's. */
MUST_CHECK enum fail task_route_read(struct store_conn *reader, const struct id *task,
                                     const struct principal *who, struct buf *json,
                                     struct fault *why);

/*
 * Learning, as a job on the core and crunch threads: embeds, trains one head per choice field on
 * the examples, measures every loaded rung (learned out of fold; light and heavy on a sample) and
 * stores heads and evidence. Examples are copied. progress and done run on the core thread. report
 * is JSON (docs/reference/learn.md).
 */
struct task_example {
    const char *id;
    const char *at; /* RFC 3339 or NULL */
    const char *subject;
    const char *text;
    const char *reply; /* what was sent, or NULL */
    const char *article; /* the article it came from, or NULL */
    const char *customer; /* who it was sent to, as the desk knows them, or NULL */
    bool approved; /* an approver said that the reply may serve others */
    /* `fields` of them, in the form's order, NULL where not given; LEARN_NONE: none of the
       labels; "": the text has no such value. Without any, and without an article, it is
       unlabelled traffic. */
    const char *const *values;
};
typedef void (*task_learn_progress_fn)(void *arg, const char *stage, size_t done, size_t total);
typedef void (*task_learn_done_fn)(void *arg, enum fail code, const struct fault *why,
                                   const char *report_json, size_t len);
void task_learn(struct task_desk *desk, const struct principal *who, const char *workflow,
                const struct task_example *examples, size_t n, size_t fields, bool measure_models,
                task_learn_progress_fn progress, task_learn_done_fn done, void *arg);

/* Articles of a dataset: Markdown with front matter, name = file name for messages. Replaces the
   dataset's articles with the same ids; embeds what is new. done as above, report JSON:
   {"articles","sentences","embedded"}. */
struct task_article {
    const char *name;
    const char *markdown;
    size_t len;
};
void task_articles_put(struct task_desk *desk, const struct principal *who, const char *dataset,
                       const struct task_article *articles, size_t n,
                       task_learn_progress_fn progress, task_learn_done_fn done, void *arg);

/* Any thread: certificates of this workflow were issued, confirmed or withdrawn; the next task
   reads them anew. */
void task_certificates_changed(struct task_desk *desk, const char *workflow);

/* Background rewriting of composed drafts by the heavy model (nothing happens without one
   loaded). */
struct task_rewrite_counts {
    /* refused: a claim was not supported, or it was opened meanwhile */
    int waiting, running, replaced, refused;
};
/* Core thread: the fleet has changed (wire it to fleet_on_change). */
void task_fleet_changed(struct task_desk *desk);
void task_rewrite_pause(struct task_desk *desk, bool paused); /* any thread */
/* Core thread. */
void task_rewrite_counts(const struct task_desk *desk, struct task_rewrite_counts *out);

/* Reads a task back (any thread's own reader): the JSON of its result, FAIL_NOT_FOUND for
   another team's and for one that failed (it has none; its leaf says why). */
MUST_CHECK enum fail task_read(struct store_conn *reader, const struct id *task,
                               const struct principal *who, struct buf *json, struct fault *why);

/* Whose task is it? "" when there is none. Any thread's own reader. */
MUST_CHECK enum fail task_owner(struct store_conn *reader, const struct id *task,
                                char team[KEYRING_NAME_SIZE], struct fault *why);

/* ---- texts of past tasks ---- */

struct task_past {
    const char *task;     /* as shown: "tsk_…" */
    const char *workflow; /* "" for a chat or a decision */
    const char *text;     /* valid during the call */
    bool out;             /* it went out */
};
typedef void (*task_past_fn)(void *arg, const struct task_past *past);
struct task_past_count {
    int64_t tasks; /* that were read */
    int64_t gone;  /* whose content is erased, or was never kept (they failed) */
};
/* Calls fn for each text of the newest `most` tasks of the team (NULL: every team's) and workflow
   (NULL: all, chats and decisions too). Milliseconds a task: any thread's own reader, not the core
   thread. */
MUST_CHECK enum fail task_past_each(struct store_conn *reader, struct audit *audit,
                                    const char *team, const char *workflow, int64_t most,
                                    task_past_fn fn, void *arg, struct task_past_count *count,
                                    struct fault *why);

/* ---- erasing a person's ---- */

#define TASK_ERASE_IDS 100000
#define TASK_ERASE_HEADS 64
struct task_erased_head {
    char workflow[64], field[48], release[65];
};
struct task_erased {
    size_t tasks;     /* whose results, ids and keys were emptied */
    size_t questions; /* past tickets beside articles */
    struct task_erased_head heads[TASK_ERASE_HEADS]; /* taught with one of them */
    size_t heads_len;
    bool cut;         /* over a limit: run it again */
};
/* Which heads were taught with something of this person's: one whose example ids hold the caller's
   id of one of the person's tasks. Reads whole heads: a crunch thread. Before audit_subject_erase
   or after, and before task_erase. */
MUST_CHECK enum fail task_erase_find(struct store_conn *conn, const char *team, const char *actor,
                                     struct arena *arena, struct task_erased *out,
                                     struct fault *why);
/* Inside a write: takes away the heads found, marks them to be learned again, and empties the
   person's tasks and past questions; counts into e. Set the forms of those heads anew afterwards
   (task_form_set): the desk holds heads in memory. */
MUST_CHECK enum fail task_erase(struct store_tx *tx, const char *team, const char *actor,
                                struct task_erased *e, struct fault *why);
/* Inside a write: answers that were taken back are not given again under their Idempotency-Key. */
MUST_CHECK enum fail task_keys_forget(struct store_tx *tx, const struct id *tasks, size_t n,
                                      struct fault *why);

/* What the desk holds, for listings. Core thread. Strings are valid during the call or until the
   next setter. */
struct task_counts {
    int running, waiting, learning;
};
void task_counts(const struct task_desk *desk, struct task_counts *out);
/* The active form of that name with its evidence, or NULL. */
const struct ladder_form *task_form_find(struct task_desk *desk, const char *name);
/* What the room of datasets calls so that drafts and reused answers follow its documents. */
struct dataset_hooks;
void task_dataset_hooks(struct task_desk *desk, struct dataset_hooks *out);
/* Core thread: reads every dataset's articles, past tickets and replies anew, beside what serves
   until then: what was erased of them is gone from memory, too. */
void task_datasets_again(struct task_desk *desk);
typedef void (*task_dataset_fn)(void *arg, const char *name, const char *release, size_t articles);
void task_dataset_each(const struct task_desk *desk, task_dataset_fn fn, void *arg);
