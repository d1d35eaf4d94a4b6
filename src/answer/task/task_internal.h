/* SPDX-License-Identifier: Apache-2.0 */
/* The desk's own shapes. Everything here lives on the core thread unless a comment says
   otherwise. */
#pragma once

#include <pthread.h>

#include "answer/certify/certify.h"
#include "answer/compose/compose.h"
#include "answer/knowledge/knowledge.h"
#include "answer/learn/learn.h"
#include "answer/mood/mood.h"
#include "answer/related/related.h"
#include "answer/reuse/reuse.h"
#include "answer/task/task.h"
#include "run/queue/queue.h"

#define TASK_ARENA_BYTES ((size_t)24 * 1024 * 1024)
#define TASK_IDEMPOTENCY_US ((int64_t)24 * 3600 * 1000000) /* how long a key is kept */
#define TASK_MODEL_TEXT 6000 /* bytes of the input a model reads; the heads read all of it */
#define TASK_MAX_DRAFT_SENTENCES 16
#define TASK_DOMAIN_SIZE 128
#define TASK_STREAMS 32

/* Heads of one workflow: immutable, counted, so a task keeps those it started with. */
struct headset {
    int refs;
    struct learn_head *head[LADDER_MAX_FIELDS];
    struct extract_head *found[LADDER_MAX_FIELDS]; /* of fields whose value is found in the text */
    char release[LADDER_MAX_FIELDS][65];
    char embed[LADDER_MAX_FIELDS][65]; /* the model whose vectors it was trained on, '' when none */
};

/* One dataset's sealed index: immutable, counted. */
struct shelf {
    int refs;
    char name[64];
    char release[65]; /* hash over the articles */
    char embed[65];   /* the model of its vectors, '' when none */
    uint64_t order;   /* of rebuilding: a later one replaces an earlier one, not the reverse */
    struct shelf *base; /* owns the knowledge, NULL: this one does */
    struct knowledge *knowledge;
    struct compose_model model;
    struct learn_head *head; /* over the articles, its own; NULL: none was taught */
    struct reply_bank *replies; /* of the knowledge's owner; NULL: none */
};

/* What serves one workflow name now. */
struct entry {
    struct entry *next;
    struct ladder_form *form;
    struct headset *heads; /* NULL: nothing learned */
    bool licence_stale; /* certificates may have changed since they were read */
    /* the model whose evidence the form carries, '' for none */
    char measured[LADDER_RUNG_COUNT][65];
    /* the same of rungs that another server answers: "pool: model" */
    char remote[LADDER_RUNG_COUNT][CERTIFY_RELEASE_SIZE];
};

/* Documents that one workflow answers in one trust domain, and how eagerly they are learned
   from. */
struct reuse_stream {
    struct reuse_key key;
    int slack; /* new documents until the next try; 0: a free place */
    int fresh;
    bool running;
    int64_t used;
};

struct jn_writer;
struct verdict_rules;
struct verdict_stream;
struct route_stakes;
struct route_decision;
struct route_meter;
struct route_facts;
struct task;
typedef void (*task_step_fn)(struct task *t);

struct task {
    struct task *next, *prev; /* running list, once it runs */
    struct task_desk *desk;
    uint64_t handle;
    struct id id;
    enum task_kind kind;
    enum task_state state;
    struct principal who;
    enum ipc_class class;
    struct arena *arena;
    int64_t created_at;  /* wall, µs */
    int64_t started_us;  /* monotonic */
    int64_t deadline_ms;
    int64_t due_us;      /* the same as a monotonic time */
    struct queue_item turn; /* at the desk; the fleet has a queue of its own per model */
    uint64_t deadline_timer;
    uint64_t ask;        /* open at the fleet, 0: none */
    bool cancelled;
    bool late;           /* the deadline passed: no further rung is tried */
    bool halted, swept;  /* a switch was turned on against it; seen by this sweep */
    enum fleet_role asking; /* role of a climb's open ask */
    struct policy_hold hold; /* of tokens and a place among those at once */
    task_text_fn on_text;
    task_done_fn on_done;
    void *arg;
    struct fault why;    /* set when state becomes failed */

    /* form */
    struct ladder_form *form;
    struct headset *heads;
    struct shelf *shelf;
    const char *input_id, *subject, *text;
    const char *input;   /* subject and text as one */
    size_t input_len;
    unsigned rungs;
    unsigned needs;     /* as the request says: bits 1u << enum route_need */
    enum secrecy label; /* the highest of workflow, request and what the guard found */
    struct route_rules *rules; /* that decided */
    struct route_facts *facts; /* arena; that they were asked about */
    char *route_record;        /* what is kept of it, NULL: nothing */
    struct route_decision *route; /* arena; NULL: the rules were not asked */
    const char *route_pool;    /* of upstreams, as long as the rules */
    uint64_t call;             /* open at an upstream, 0: none */
    enum ladder_rung call_rung; /* whose it is */
    const char *call_pool;
    const char *hosted_by;     /* the upstream and model that answered, NULL: none */
    const char *remote[LADDER_RUNG_COUNT]; /* "pool: model", what its evidence is of, or NULL */
    struct ladder_form *form_before[LADDER_RUNG_COUNT]; /* that form was copied from, or NULL */
    bool draft_rewritten;      /* by the hosted model, every claim of it supported */
    bool hosted_tried;         /* asked, or said why not */
    bool hosted_failed;        /* so that the local rungs are asked after all */
    bool no_draft, no_artifact, choices_only;
    bool own_form; /* form came with the request */
    const char *idem_key;
    bool reproducible;
    bool keep_values;
    int64_t seed, now;
    char build[96]; /* of the engine that answered, '' when none has */
    char fingerprint[FLEET_ROLE_COUNT + 1][24]; /* the last: of a model that serves no role */
    uint8_t idem_hash[32], idem_input[32];
    struct ladder_climb climb;
    int step;            /* index into the climb's order */
    int64_t step_us;
    float *embedding;
    /* By field: its head's answer from n-grams alone, in the arena; NULL: the embedding is asked */
    struct learn_prediction *light[LADDER_MAX_FIELDS];
    size_t dim;
    char used[FLEET_ROLE_COUNT][65]; /* the models that answered, '' for none */
    const char *lang;
    const char *lang_learned; /* the same as learning counts it, NULL: not looked at yet */
    struct form_plan *plan;
    int plan_field[FORM_PIECES_MAX]; /* hole i of the plan is this field */
    size_t plan_holes;
    const char *refused; /* what a model wrote and a check refused, for the climb's note */
    const char *stake;   /* what sends it to a person, for the climb's note */
    const char *stake_name; /* static: a stake's name, or "phrase" */
    size_t stake_from, stake_to; /* bytes of the input, 0 and 0 for a phrase */
    double stake_p;      /* the head's probability, 1 for a phrase */
    const char *guarded; /* the guard's rule that sends it to a person, or NULL */
    struct verdict_stream *tail; /* of a stream that output rules look at; arena */
    struct mood_reading *mood;   /* arena; NULL: not read */
    struct related_trace *trace; /* arena; NULL: none is kept */
    struct related_hit *alike;   /* arena */
    size_t alike_len;
    const char *draft_json;
    const char *draft_text;
    struct compose_result *draft;
    struct reuse_key key;
    bool has_key;
    char reuse_release[65]; /* of all that takes part but the input */
    bool reused_exact;
    bool document;          /* it was held against its stream's templates */
    struct learn_neighbour nearest; /* ref is copied into the arena */
    const char *nearest_ref;
    int tokens_in, tokens_cached, tokens_out;
    int64_t cost;           /* of hosted calls, nano-units */
    struct id artifact;
    bool has_artifact;
    bool drawn;             /* for the audit sample: its artifact waits for a person */
    struct buf json;

    /* chat and embed */
    const char *model;      /* as asked */
    uint64_t want;          /* the roster loads its model */
    char adapter[65];       /* sha256 of a LoRA over the model, '' for none */
    char adapter_name[72];
    uint32_t model_id;      /* 0: whatever serves the role */
    enum fleet_role role;   /* FLEET_ROLE_COUNT: a model that serves none */
    char model_name[72];
    char model_sha256[65];
    const char *ask_json;
    size_t ask_len;
    int max_tokens;
    bool stream;
    bool accepted;          /* the stream's first record is durable */
    struct buf held;        /* text that waits for it */
    struct fleet_generated generated;
    struct schema *schema;      /* a scored chat: what its plan is of, */
    struct form_result *filled; /* and how it was filled */
    const char **texts;
    size_t texts_len, texts_done;
    float *vectors;
    int64_t embed_tokens;

    struct decision *decision; /* in the arena */

    /* record */
    const char *verdict;
    int64_t leaf;
};

struct task_desk {
    struct task_house house;
    struct store_conn *reader; /* of the core thread */
    struct entry *entries;
    struct shelf *shelves[64];
    size_t shelves_len;
    struct task *running;
    struct queue *queue; /* who waits; who runs is in service */
    int running_len;
    int running_of[IPC_CLASS_COUNT];
    uint64_t next_handle; /* atomic: handed out on any thread */
    bool draining;
    loop_call_fn on_drained;
    void *on_drained_arg;
    struct rewriter *rewriter;
    struct related *related; /* traces of tickets */
    struct route_stakes *stakes;
    struct route_rules *rules;
    struct verdict_rules *guard; /* what may pass */
    struct route_meter *meter;
    double took_ms[LADDER_RUNG_COUNT]; /* running means of a rung's step, 0: not seen */
    char seen[FLEET_ROLE_COUNT][65]; /* the models that certificates were last held against */
    int learning;
    int reuse_jobs;
    struct reuse_stream streams[TASK_STREAMS];
    bool starting;       /* the waiting ones are being started: not again from inside */
    uint64_t rebuilds;   /* begun so far */
    char followed[65];   /* the embedding model that shelves were last read anew for */
};

/* task.c */
struct task *task_make(struct task_desk *desk, const struct task_request *r);
void task_free(struct task *t); /* one that was never submitted, or is answered */
int64_t task_deadline_ms(const struct task *t);
void task_start(struct task *t);
void task_finish(struct task *t); /* on_done, then freed */
void task_fail(struct task *t, const struct fault *why);
/* Late, cancelled or halted: whatever it waits for ends now. It may be gone afterwards. */
void task_interrupt(struct task *t);
struct entry *desk_entry_find(struct task_desk *desk, const char *workflow);
struct shelf *desk_shelf_find(struct task_desk *desk, const char *dataset);
/* Takes the reference. A shelf that was read later stays; false when there is no room for another
   dataset. */
bool desk_shelf_put(struct task_desk *desk, struct shelf *shelf);
struct shelf *shelf_ref(struct shelf *s);
void shelf_unref(struct shelf *s);
struct headset *headset_ref(struct headset *h);
void headset_unref(struct headset *h);
void desk_domain(const struct principal *who, const char *dataset, char *out, size_t room);

/* Tells who waits for the desk to be empty, if it is. */
void desk_drained(struct task_desk *desk);

/* reused.c: what earlier answers offer; the texts are for the climb's note, NULL for nothing to
   say */
void reused_entry(struct task *t, const struct reuse_entry *entry, enum reuse_how how,
                  double similarity);
const char *reused_document(struct task *t, bool *any);
const char *reused_alike(struct task *t, bool *any);
/* Inside the task's write: hits, its own rows, its example. */
enum fail reused_record(struct store_tx *tx, struct task *t, struct fault *why);
/* After it, on the core thread: learns from the stream when it is time. */
void reused_recorded(struct task *t);

/* replay.c */
/* This model has answered. */
void replay_note(struct task *t, enum fleet_role role, const struct fleet_answer *a);
/* {"seed","now","build","fingerprints":{role: …}} */
void replay_write(struct jn_writer *w, const struct task *t);
/* The same as text, '' when the task is not reproducible; the caller's to free. */
char *replay_text(const struct task *t);

/* gate.c: policy's gate */
MUST_CHECK enum fail gate_enter(struct task *t, struct fault *why);
void gate_leave(struct task *t); /* once, at the end */
/* FAIL_STOPPED when a switch stands against it now. */
MUST_CHECK enum fail gate_check(const struct task *t, struct fault *why);
void gate_why(const struct task *t, struct fault *why); /* why it was halted */
/* The highest of what the request and its workflow say, its dataset, team, and the house. */
enum secrecy gate_label(const struct task *t, enum secrecy dataset);
bool gate_may_read(const struct task *t, const char *dataset); /* by the caller's own lists */
bool gate_role_is_off(const struct task_desk *desk, enum fleet_role role);
/* FAIL_STOPPED when a switch stands against this work; workflow may be NULL. */
MUST_CHECK enum fail gate_work(const struct task_desk *desk, const struct principal *who,
                               const char *workflow, struct fault *why);

/* passing.c: what may pass */
/* Goes on with go(t), now or from the loop, or the task has failed. */
void pass_in(struct task *t, task_step_fn go);
void pass_say_blocked(struct fault *why, bool review, const char *rule, const char *reason,
                      const char *found);
/* passing_out.c. A whole chat's answer, or a stream's tail: goes on with go(t), now or from the
   loop, or the task has failed. */
void pass_out_chat(struct task *t, task_step_fn go);
/* What of a form's answer models wrote: takes away or replaces what may not pass, then go(t). */
void pass_out_form(struct task *t, task_step_fn go);
/* A piece of a stream, what may go to on_text; false: it is blocked, nothing more leaves. */
bool pass_out_piece(struct task *t, const char *text, size_t n, bool last);
void pass_free(struct task *t);

/* climb.c: the climb of a form */
void climb_start(struct task *t);
/* The answer under the task's Idempotency-Key, into the task; *failed when it was another request
   or could not be read. */
bool climb_answered_before(struct task *t, struct fault *why, enum fail *failed);
/* stakes.c: what no confidence overrides */
void stakes_find(struct task *t);
void stakes_write(struct jn_writer *w, const struct task *t); /* "stake": null, or what it is */
/* The hosted call is over; answered or not, its step is recorded. */
void climb_after_hosted(struct task *t, bool answered);
/* where.c: the decision rules */
void where_decide(struct task *t);
void where_facts(struct task *t, struct route_facts *f);
void where_free(struct task *t);
/* Raises t->label to that of the dataset its replies come from. */
void where_label(struct task *t);
/* The same for one that names a model of another server: naming it says that it needs one beyond
   what runs here, no more. FAIL_FORBIDDEN names the rule. */
MUST_CHECK enum fail where_named(struct task *t, struct fault *why);
/* The task's answer is recorded: it counts as traffic. The second one inside the record's write. */
void where_count(struct task *t);
enum fail where_put(struct store_tx *tx, const struct task *t, struct fault *why);
void where_took(struct task_desk *d, enum ladder_rung rung, double ms);
/* explain.c: the facts and the decision as kept with the record, the caller's to free; NULL:
   none */
char *explain_record(struct task *t);
/* hosted.c: the open fields as a call to another server */
const char *hosted_why_not(struct task *t); /* NULL: it may be asked; else arena or static */
bool hosted_ask(struct task *t);            /* false: nothing to ask */
/* An on_prem server may fill the role now. */
bool hosted_serves(const struct task *t, enum ladder_rung rung);
bool hosted_ask_role(struct task *t, enum ladder_rung rung); /* false: nothing to ask */
/* The call for a light or heavy rung is over; its step is recorded. */
void climb_after_role(struct task *t, bool answered);
/* result.c: t->json from the climb */
void result_write(struct task *t);
/* draft.c: composes t->draft, its text and its JSON; nothing when there is no answer */
void draft_compose(struct task *t, const char *lang);
void draft_free(struct compose_result *r);
/* The lines of the house's frame, which need no article: the filled-in greeting of `draft`, the
   rest as the form has it. */
struct draft_frame {
    const char *line[16];
    size_t len;
};
void draft_frame_take(const struct ladder_form *form, const char *lang, const char *draft,
                      struct arena *arena, struct draft_frame *out);
bool draft_is_rewritable(const struct task *t);
/* A model's words in place of the composed draft's, if every claim of them is supported; else false
   and t->refused says why. */
bool draft_rewrite(struct task *t, const char *said);
void draft_back(struct task *t); /* the composed one stands again */
/* form_ask.c: the FORM ask for the open fields; false when nothing is to be asked */
bool form_ask_build(struct task *t, enum ladder_rung rung, struct buf *body);
/* The released part of its prompt: what the fields mean, and the form's own prefix. */
void form_ask_prefix(const struct ladder_form *form, enum ladder_rung rung, struct buf *b);
/* Its form is the active one of the desk, not one that came with the request: all of the prompt but
   the input is then released text. */
bool form_ask_is_released(const struct task *t);
/* Offers a line after its checks; false when it does not stand. */
bool form_ask_offer_line(struct task *t, size_t i, enum ladder_rung rung, const char *said);
void form_ask_take(struct task *t, enum ladder_rung rung, const struct form_result *result);
/* direct.c: chats and embeddings */
/* Late or cancelled while its model is loaded. */
void direct_give_up(struct task *t);
void chat_start(struct task *t);
void embed_start(struct task *t);
/* direct_hosted.c: its model is another server's; false when there is none of that name, and then
   nothing was done. */
bool direct_hosted(struct task *t);
void direct_hosted_cancel(struct task *t);
void direct_answered(struct task *t); /* it goes to its record */
/* Of a task that its client left or its deadline passed. */
void direct_stopped(struct task *t, const struct fault *why);
/* scored.c: a chat that is answered by filling a form */
void scored_done(void *arg, const struct fleet_answer *a);
/* decide.c: typed questions about one text */
void decide_take(struct task *t, const struct task_request *r); /* copies what is asked */
void decide_go_on(struct task *t); /* its model is there */
void decide_cancel(struct task *t);
void decide_free(struct task *t);
const struct task_decided *decide_answers(const struct task *t);
/* record.c: writes the leaf, the row and what belongs to it; then task_finish */
void record_form(struct task *t);
void record_direct(struct task *t, const char *verdict);
void record_accepted(struct task *t, store_done_fn done);
/* hints.c: what teaches beside the examples, at most 2,000 paragraphs and 1,000 names a field in
   three forms; all in the arena. Returns how many. */
struct hint {
    const char *text;
    const char *label;
    int field; /* -1: of every field that has such a label */
};
size_t hints_take(struct arena *arena, const struct ladder_form *form, const struct knowledge *k,
                  const struct task_example *examples, size_t n, struct hint **out);
/* aids.c: what code alone says of an aid: the mood, and a value that stands in the text once. True
   when it now stands. */
bool aids_offer(struct task *t, size_t i);
void aids_write_level(struct jn_writer *w, const struct task *t, size_t i);
/* past_replies.c: into a shelf that is being read, its release into *all; and in an erasure. */
MUST_CHECK enum fail past_replies_read(struct store_conn *conn, struct shelf *s, struct buf *all,
                                       struct fault *why);
MUST_CHECK enum fail past_replies_forget(struct store_tx *tx, const char *team, const char *actor,
                                         struct fault *why);
/* alike.c: the ticket's trace, and the team's tickets that are like it. Before its record. */
void alike_find(struct task *t);
void alike_write(struct jn_writer *w, const struct task *t); /* "related": [...] */
/* Inside its record's write; then, when that is durable. */
enum fail alike_put(struct store_tx *tx, const struct task *t, struct fault *why);
void alike_recorded(const struct task *t);
/* found.c: values found in the text */
/* Offers the learned value of field i, or that it has none; true when it now stands. */
bool found_offer(struct task *t, size_t i, const struct extract_head *head);
/* Offers what a model wrote, as the value that stands in the text; nothing when none does. */
bool found_offer_text(struct task *t, size_t i, enum ladder_rung rung, const char *said,
                      double raw);
/* May a stored value of field i serve this text? A found one must stand in it today: "tomorrow" was
   another date yesterday. Sets p->at and p->len. */
bool found_still_stands(struct task *t, size_t i, struct ladder_proposal *p);
/* The moment and zone that dates of a task's text are read from. */
struct extract_scene found_scene(const struct task *t);
/* The workflow of a head over a dataset's articles, whose field is the dataset: no workflow has
   such a name. */
#define HEAD_OF_ARTICLES "/datasets"
/* head_bytes.c: a head's bytes in the store, in pieces. get: all of them, or none when there are
   none; put: instead of those before; drop: the head with them. */
MUST_CHECK enum fail head_bytes_get(struct store_conn *conn, const char *workflow,
                                    const char *field, struct buf *out, struct fault *why);
MUST_CHECK enum fail head_bytes_put(struct store_tx *tx, const char *workflow, const char *field,
                                    const char *release, const struct buf *bytes,
                                    struct fault *why);
MUST_CHECK enum fail head_bytes_drop(struct store_tx *tx, const char *workflow, const char *field,
                                     struct fault *why);

/* heads.c: what learning left in the store */
/* A field whose labels are learned gets those of its head. */
void heads_give_labels(const struct learn_head *head, struct ladder_field *field);
/* The language of a text as learning counts it: "und" where it cannot be told. In the arena. */
const char *heads_language(struct arena *arena, const char *text);
/* Adds a failed check to a proposal for a choice whose head was measured in languages but not
   (enough, or not well) in this task's: a person decides it then. */
void heads_check_language(struct task *t, size_t field, struct ladder_proposal *p);
enum fail heads_load(struct task_desk *desk, struct entry *e, struct fault *why);
struct head_row {
    const char *field;
    struct learn_head *head;
    struct extract_head *found; /* instead of head, for a value found in the text */
    char release[65];
};
struct evidence_row {
    const char *field;
    enum ladder_rung rung;
    const char *releases;
    struct ladder_evidence e;
};
enum fail heads_store(struct store_tx *tx, const char *workflow, const struct head_row *heads,
                      size_t heads_len, const struct evidence_row *evidence, size_t evidence_len,
                      struct fault *why);
/* What the evidence of a rung is of, for its row: the measured model or head, the model of its
   vectors ('' for none), the definition. */
const char *heads_releases(struct arena *arena, enum ladder_rung rung, const char *release,
                           const char *embed, const struct ladder_form *form, size_t field);
/* Evidence of another model than the one now loaded is void. */
void heads_void_stale(struct task_desk *desk, struct entry *e);
/* voids.c: ends, on the record, certificates of another definition than this one, or of other
   models than those that serve. Core thread; what it writes is queued. */
void voids_of_form(struct task_desk *desk, struct ladder_form *form);
void voids_of_models(struct task_desk *desk);
/* trials.c: labelled tasks that several rungs answered, and the choice of climb */
struct trials *trials_new(void);
void trials_free(struct trials *t); /* accepts NULL */
void trials_cost(struct trials *t, enum ladder_rung rung, double ms);
/* The rung was asked about this example, whatever it said. */
void trials_asked(struct trials *t, size_t example, enum ladder_rung rung);
void trials_add(struct trials *t, size_t example, size_t field, enum ladder_rung rung,
                double confidence, bool right, double target);
/* Once, on a crunch thread. */
void trials_choose(struct trials *t, const struct task_costs *money, struct ladder_choice *out);
unsigned choice_skip(const struct ladder_choice *c); /* model rungs it leaves out, as bits */
char *choice_text(const struct ladder_choice *c);    /* JSON, the caller's to free */
void choice_write(struct jn_writer *w, const struct ladder_choice *c);
/* form->skip and form->choice, under its name and release. */
enum fail choice_store(struct store_tx *tx, const struct ladder_form *form, struct fault *why);
enum fail choice_load(struct store_conn *conn, struct ladder_form *form, struct fault *why);
/* licence.c: what certificates allow */
struct licence_releases {
    char model[CERTIFY_RELEASE_SIZE], prompt[CERTIFY_RELEASE_SIZE], head[CERTIFY_RELEASE_SIZE];
};
/* What the scores of a rung on a field depend on. */
void licence_releases(const struct ladder_form *form, size_t field, enum ladder_rung rung,
                      const char *model, const char *head, struct licence_releases *out);
/* A rung's part of the field's certainty. */
double licence_delta(const struct ladder_form *form, size_t field, enum ladder_rung rung);
/* The live certificate of these releases into the form's evidence; takes away what has none. */
enum fail licence_field(struct store_conn *conn, struct ladder_form *form, size_t field,
                        enum ladder_rung rung, const struct licence_releases *releases,
                        struct fault *why);
/* The same for all fields and rungs; e->form must not be shared yet. */
enum fail licence_load(struct task_desk *desk, struct entry *e, struct fault *why);
void licence_refresh(struct task_desk *desk, struct entry *e); /* when they are stale */
/* t->remote[rung] answered: its certificates count from here on. */
void licence_remote(struct task *t, enum ladder_rung rung);
/* Voids what the releases touch and issues what is proven; its id into e. */
enum fail licence_issue(struct store_tx *tx, struct audit *audit, const struct ladder_form *form,
                        size_t field, enum ladder_rung rung,
                        const struct licence_releases *releases, const struct certify_result *proof,
                        const struct principal *who, struct ladder_evidence *e, struct fault *why);
/* Says in the answer which fields the audit sample drew, as of the rates last read. */
void licence_draw(struct task *t);
/* Inside the record's write: what the rungs said; *drawn: a person looks at it. */
enum fail licence_note(struct store_tx *tx, const struct task *t, bool *drawn, struct fault *why);
/* shelf.c: datasets from the store */
enum fail shelves_load(struct task_desk *desk, struct fault *why);
/* Reads a dataset's articles, questions and the vectors it has for `model` (sha256, '' for
   none); not sealed yet. Any thread, with its own connection. */
enum fail shelf_read(struct store_conn *conn, const char *dataset, const char *model,
                     struct shelf **out, struct fault *why);
void shelf_seal(struct shelf *s);
void shelf_vector_key(const char *model, const char *text, uint8_t out[32]);
/* sources.c: shelves without vectors of the embedding model that serves are read anew. */
void shelves_follow(struct task_desk *desk);
/* reused.c: inside a write: rows made from this dataset go, whosever they are. */
enum fail reused_forget(struct store_tx *tx, const char *dataset, struct fault *why);
/* articles.c: reads the dataset anew, embeds what lacks a vector, seals and puts it in place, then
   done(arg) on the core thread with the new shelf borrowed, or the reason. */
typedef void (*shelf_done_fn)(void *arg, struct shelf *shelf, const struct fault *why);
void shelf_rebuild(struct task_desk *desk, const struct principal *who, const char *dataset,
                   task_learn_progress_fn progress, void *progress_arg, shelf_done_fn done,
                   void *arg);
/* rewrite.c */
struct rewriter *rewriter_new(struct task_desk *desk);
void rewriter_free(struct rewriter *r);
void rewriter_add(struct rewriter *r, const struct task *t);
void rewriter_kick(struct rewriter *r); /* a model became ready */
