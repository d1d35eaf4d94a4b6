/* SPDX-License-Identifier: Apache-2.0 */
/* Api, inside: the shared state and the hops between threads. */
#pragma once

#include <pthread.h>

#include "answer/ladder/ladder.h"
#include "base/json/json.h"
#include "base/text/text.h"
#include "http/api/api.h"
#include "http/openai/openai.h"
#include "trust/release/release.h"

#define API_MAX_FORMS 64
#define API_MAX_ERRANDS 256
#define API_MAX_READERS 8
#define API_ANSWER_BYTES (4u * 1024u * 1024u)

enum errand_state { ERRAND_RUNNING, ERRAND_DONE, ERRAND_FAILED };

/* A batch of work started over HTTP. Core thread only. */
struct errand {
    struct id id;     /* zero: free */
    const char *kind; /* "learn" or "articles" */
    char name[64];    /* of the workflow or dataset */
    char team[KEYRING_NAME_SIZE];
    enum errand_state state;
    char stage[48];
    size_t done, total;
    char *result; /* JSON */
    struct fault why;
    int64_t created_at, ended_at;
};

/* Asking again with a hint: how far it is. Under the api's lock. */
#define API_MAX_HINTS 64
struct api_hint {
    struct id artifact; /* zero: free */
    char who[KEYRING_NAME_SIZE];
    const char *state; /* running, done, refused */
    char said[160];
    int64_t at_us;
};

struct api {
    struct api_house h;
    struct openai_house openai;
    struct wire *wire;
    int64_t started_at, started_us;
    pthread_mutex_t lock; /* forms, readers; id and team of jobs */
    struct ladder_form *forms[API_MAX_FORMS];
    size_t forms_len;
    struct store_conn *readers[API_MAX_READERS];
    size_t readers_len;
    struct errand errands[API_MAX_ERRANDS];
    struct api_hint hints[API_MAX_HINTS];
    int sign_ins; /* atomic: passwords being checked now */
};

/* Every handler of routes.def. */
#define ROUTE(method, pattern, handler, scope, object, cap, rate, audit, tag, operation, summary)  \
    void handler(struct wire_request *r, void *arg);
#include "http/api/routes.def"
#undef ROUTE

/* gate.c: the gate's second half, and whose an object is. */
enum fail api_admit(void *arg, const void *who, struct wire_request *r, struct fault *why);
enum fail api_owner(void *arg, enum policy_object object, const char *id,
                    char team[KEYRING_NAME_SIZE], struct fault *why);

/* Runs fn on the core thread; the request stays open until fn (or what it starts) answers it. */
typedef void (*api_step_fn)(struct api *a, struct wire_request *r, void *arg);
void api_on_core(struct api *a, struct wire_request *r, api_step_fn fn, void *arg);
/* Runs fn on a crunch thread; answers queue_full itself when none can take it. */
void api_on_crunch(struct api *a, struct wire_request *r, api_step_fn fn, void *arg);

/* Runs fn on a thread of login's: what waits for a directory or an issuer. */
void api_on_login(struct api *a, struct wire_request *r, api_step_fn fn, void *arg);

/* A reader of the store for the calling thread, given back at once after use. NULL: why is set. */
struct store_conn *api_reader_take(struct api *a, struct fault *why);
void api_reader_give(struct api *a, struct store_conn *c);

/* learn_reviewed.c: adds what people decided of this workflow's tasks (approved or edited) to a
   list of *n examples with room for `room`; one with the input of an example replaces its values.
   *taken: how many did either. Blocks: a crunch thread. */
#define LEARN_REVIEWED_MAX 20000
struct task_example;
struct ladder_form;
struct arena;
MUST_CHECK enum fail learn_add_reviewed(struct api *a, const struct principal *who,
                                        const struct ladder_form *form, struct arena *arena,
                                        struct task_example *list, size_t *n, size_t room,
                                        size_t *taken, struct fault *why);

/* The body as one JSON object with no other keys than these (NULL-terminated). On failure the
   request is answered and NULL returned. An empty body is {} when may_be_empty. */
json_t *api_body(struct wire_request *r, const char *const *keys, bool may_be_empty);
/* A body's string of at most room - 1 bytes into out, which stays as it is when there is none. *has
   (NULL: not asked) says whether there was. */
enum fail api_take(const json_t *body, const char *key, bool required, char *out, size_t room,
                   bool *has, struct fault *why);
/* True when there is no query parameter beside these; else answers. */
bool api_query_ok(struct wire_request *r, const char *const *names);
/* Query parameter as a number in [min, max]; false after answering. */
bool api_query_int(struct wire_request *r, const char *name, int64_t min, int64_t max,
                   int64_t *out);
/* Path parameter as an id; answers not_found. `what` names it. */
bool api_param_id(struct wire_request *r, const char *name, const char *prefix, const char *what,
                  struct id *out);
/* Answers with what `read` writes of the path's task; on the http thread. */
typedef enum fail (*api_task_read_fn)(struct store_conn *reader, const struct id *task,
                                      const struct principal *who, struct buf *json,
                                      struct fault *why);
void api_task_stored(struct wire_request *r, struct api *a, api_task_read_fn read);
const struct principal *api_who(const struct wire_request *r);

/* Opens an answer's object in *body; api_send closes it and replies. */
void api_open(struct jn_writer *w, struct buf *body);
void api_send(struct wire_request *r, int status, struct jn_writer *w);
void api_put_time(struct jn_writer *w, const char *key, int64_t at_us); /* 0: null */
void api_put_id(struct jn_writer *w, const char *key, const char *prefix, const struct id *id);

/* ---- who: session.c, accounts.c ---- */
/* The session's cookie in this header, if it is there. */
bool api_cookie(const struct api *a, const char *cookies, char out[KEYRING_COOKIE_SIZE]);
const char *api_cookie_name(const struct api *a);
/* Answers with a session begun: its cookie, its CSRF token, who it is. Wipes it. */
void api_session_reply(struct api *a, struct wire_request *r, struct keyring_session *s);
/* The address that the throttle counts by. Handler only. */
void api_client_address(struct api *a, struct wire_request *r, char out[WIRE_PEER_SIZE]);
/* Refuses (and answers) what another site's page sent. */
bool api_same_site(struct api *a, struct wire_request *r);
void api_put_account(struct jn_writer *w, const struct keyring_account *a);
/* keys.c */
void api_put_key(struct jn_writer *w, const struct keyring_key *k);

/* forms: a reference, or NULL. Any thread. */
struct ladder_form *api_form_find(struct api *a, const char *name);
/* Makes it the active one, also in the desk. FAIL_QUEUE_FULL when there are too many names. */
/* Asked before a definition is stored: is there room for one of that name? */
MUST_CHECK enum fail api_form_room(struct api *a, const char *name, struct fault *why);
MUST_CHECK enum fail api_form_set(struct api *a, struct ladder_form *form, struct fault *why);

/* tasks.c: the body of POST /api/v1/tasks; texts are borrowed from it. */
MUST_CHECK enum fail api_task_read(const json_t *body, struct task_request *t, struct fault *why);
/* workflows.c: 400 with every error of a YAML file. */
struct config_faults;
void api_faults(struct wire_request *r, const struct config_faults *faults,
                const struct fault *first);

/* releases.c: rules that are released: a text (of which `read` makes rules), proposed by one
   person and made to serve by another. */
struct api_release {
    const char *kind; /* in trust/release */
    enum fail (*read)(const char *text, size_t len, void **out, struct config_faults *faults,
                      struct fault *why);
    /* the version that serves, with one reference */
    enum fail (*active)(struct store_conn *conn, void **out, struct fault *why);
    const char *(*release)(const void *rules);
    const char *(*text)(const void *rules);
    void (*serve)(struct task_desk *desk, void *rules); /* takes a reference */
    void (*unref)(void *rules);                         /* accepts NULL */
};
void api_release_propose(struct wire_request *r, struct api *a, const struct api_release *kind);
void api_release_approve(struct wire_request *r, struct api *a, const struct api_release *kind);
/* "releases":[...] of a kind, newest first. */
MUST_CHECK enum fail api_releases_put(struct jn_writer *w, struct store_conn *conn,
                                      const char *kind, struct fault *why);

/* programs.c: workflows of programs, beside those of forms. */
void api_program_take(void *arg, const char *name, const char *yaml, size_t len);
void api_program_put(struct wire_request *r, struct api *a, const char *text, size_t len);
/* Answers, when there is a program's workflow of that name; any thread. */
bool api_program_show(struct api *a, struct wire_request *r, const char *name);
void api_program_list(struct api *a, const struct principal *who, struct jn_writer *w);

/* limits.c: "halts":[...], any thread */
void api_put_halts(struct jn_writer *w, const struct api *a);

/* status.c, core thread: "roles":{...}, what serves each. */
void api_put_roles(struct jn_writer *w, const struct api *a);

/* review_article.c: from now on escalations move by themselves and articles are drafted of what is
   asked often. Core loop, before it runs. */
void api_review_begin(struct api *a);

/* review.c: one artifact whole, as members of the object that is open. Any thread. */
enum review_state;
MUST_CHECK enum fail api_artifact_read(struct api *a, const struct principal *who,
                                       const struct id *id, struct jn_writer *w,
                                       enum review_state *state, struct fault *why);

/* reuse.c, inside a decision's write: what it means for what is reused. a: as decided. */
struct review_artifact;
enum review_action;
MUST_CHECK enum fail api_reuse_decided(struct store_tx *tx, const struct review_artifact *a,
                                       enum review_action action, struct fault *why);

/* errands.c, any thread: whose job is it? "" when there is none; the same work for either. */
void errand_owner(struct api *a, const struct id *id, char team[KEYRING_NAME_SIZE]);
/* errands.c, core thread. NULL when all are running. */
struct errand *errand_new(struct api *a, const char *kind, const char *name,
                          const struct principal *who);
void errand_progress(void *arg, const char *stage, size_t done, size_t total);
void errand_end(struct errand *j, enum fail code, const struct fault *why, const char *result,
             size_t len);
void errand_reply(struct wire_request *r, const struct errand *j); /* 202 */
/* Core thread. Answers with one, or that there is no such job. */
void errand_show(struct api *a, struct wire_request *r, const struct id *id);
/* Core thread: all that the caller may see, into an open array. */
void errand_list(struct api *a, struct wire_request *r, struct jn_writer *w);
