/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream, inside: servers, pools, one HTTP exchange, the two dialects, one call. Core thread,
   unless a comment says otherwise. */
#pragma once

#include "run/upstream/upstream.h"
#include "trust/guard/guard.h"
#include "trust/policy/policy.h"

#define EXCHANGE_HEADER_BYTES 65536
#define REPLY_MAX_TOOLS 64
#define REPLY_LINE_BYTES ((size_t)1024 * 1024) /* of one event of a stream */
#define CALL_BODY_BYTES ((size_t)4 * 1024 * 1024)
#define CALL_LEAST_MS 20 /* an attempt with less time left than this is not begun */

struct line;     /* one server's connections: a curl multi handle on the loop */
struct exchange; /* one request and its reply */
struct call;

/* ---- address.c ---- */

struct server;
/* May this server be connected to there? *why is static. */
bool address_is_allowed(const struct server *s, const struct sockaddr *sa, const char **why);
/* "10.0.0.1", "" when it is neither IPv4 nor IPv6. */
void address_show(const struct sockaddr *sa, char out[48]);

/* ---- secret.c ---- */

/* The value of os.environ/NAME or of a private file (0600, ours); "" for no reference. NULL: why
   says what is wrong. Wipe and free. Blocks. */
char *secret_read(const char *reference, struct fault *why);
void secret_free(char *secret);
/* The authorities that may vouch for a server: a PEM file, or the system's with "". An X509_STORE.
   Blocks. */
MUST_CHECK enum fail authorities_read(const char *ca_file, void **out, struct fault *why);
void authorities_free(void *store);

/* ---- exchange.c ---- */

MUST_CHECK enum fail line_new(struct loop *loop, const struct server *server, struct line **out,
                              struct fault *why);
void line_free(struct line *l); /* after its exchanges; accepts NULL */

struct exchange_ask {
    const char *path; /* after the base: "/chat/completions" */
    const char *body; /* NULL: GET. Borrowed until the end */
    size_t len;
    int64_t timeout_ms;
    const char *idempotency; /* a key for the server, NULL: none */
    void (*on_data)(void *arg); /* more of a 2xx body is there; NULL: only the end counts */
    /* Once, unless it is freed before. note is valid during the call. */
    void (*on_end)(void *arg, enum upstream_outcome outcome, const char *note);
    void *arg;
};
/* NULL when it could not be started at all. Callbacks never come from inside. */
struct exchange *exchange_start(struct line *l, const struct exchange_ask *ask);
void exchange_free(struct exchange *x); /* ends it; also from its callbacks; accepts NULL */
struct buf *exchange_body(struct exchange *x); /* may be consumed */
int exchange_status(const struct exchange *x);
bool exchange_is_stream(const struct exchange *x); /* text/event-stream */
bool exchange_was_sent(const struct exchange *x);  /* the whole request left */
int64_t exchange_retry_after_ms(const struct exchange *x); /* 0: not said */
const char *exchange_address(const struct exchange *x);

/* ---- reply.c, openai.c, anthropic.c: no loop, any thread ---- */

struct reply_tool {
    char id[80], name[80];
    struct buf arguments; /* JSON text */
};
/* What a server says, in either dialect. */
struct reply {
    struct buf text;
    char finish[24]; /* "": none yet */
    char model[96];
    struct reply_tool tools[REPLY_MAX_TOOLS];
    size_t tools_len;
    int64_t tokens_in, tokens_cached, tokens_out;
    bool usage; /* the server counted */
    bool ended; /* it said that it was done */
    bool as_tool; /* Anthropic: the schema's answer comes as a tool's input */
    float *vectors;
    size_t vectors_len, dim;
};
void reply_init(struct reply *r);
void reply_done(struct reply *r);
/* A tool's slot by index, made when it is the next; NULL: hostile. */
struct reply_tool *reply_tool_at(struct reply *r, size_t index);
bool reply_add(struct buf *b, const json_t *text); /* a string; false when it is none or too much */
int64_t reply_count(const json_t *usage, const char *key); /* 0 when it is no sane number */

struct dialect {
    const char *chat_path, *embed_path, *probe_path; /* embed_path NULL: none */
    const char *key_header;                          /* with the blank: "x-api-key: " */
    const char *more_header;                         /* NULL: none */
    /* The request without `model`: what follows {"model":"...",. */
    enum fail (*put)(const json_t *ask, bool stream, int64_t max_tokens, bool plain_sampling,
                     struct jn_writer *w, struct fault *why);
    /* A whole reply. False: garbage. */
    bool (*whole)(const json_t *root, struct reply *r);
    /* One event of a stream; new text is appended to r->text. False: garbage. */
    bool (*event)(const char *data, size_t n, struct reply *r);
};
extern const struct dialect dialect_openai, dialect_anthropic;
/* OpenAI's embeddings. False: garbage, or not n rows. */
bool reply_vectors(const json_t *root, size_t n, struct reply *r);
/* A tree as it is. */
void reply_put_tree(struct jn_writer *w, const char *key, const json_t *tree);
/* Takes the next event off a stream's bytes: its data lines joined. 1: one is in *data, 0: more
   bytes are needed, -1: garbage. At the end of the body a last event without a blank line
   counts. */
int sse_next(struct buf *bytes, bool at_end, struct buf *data);

/* ---- body.c: any thread ---- */

/* A call's request, made for sending. */
struct prepared {
    enum fail code;
    struct fault why;
    struct buf rest[2]; /* by enum config_dialect, what follows `{"model":"..."` */
    struct guard_redaction *redaction; /* NULL: nothing was redacted */
    int64_t tokens_in; /* estimated: bytes/3 */
    bool wants_json, has_tools;
};
void prepare(struct call *c);
/* What the answer did to placeholders that makes it unusable, NULL: nothing; *outcome says
   which. */
const char *call_damage(const struct call *c, enum upstream_outcome *outcome);
void prepared_done(struct prepared *p);

/* ---- servers and pools ---- */

struct server {
    char name[64];
    const struct dialect *dialect;
    enum config_dialect kind;
    char *base;
    char *key; /* NULL or "": none */
    void *authorities;
    bool on_prem, restricted, plain_sampling;
    struct config_range allow[CONFIG_MAX_ALLOWED];
    size_t allow_len;
    int64_t retries, connect_ms, timeout_ms;
    char broken[240]; /* why it can never be asked, "" when it can */
    struct line *line;
    struct upstream *u;
    /* money, of this period */
    int64_t budget;
    bool daily;
    int64_t from_at, to_at;
    int64_t spent, reserved, uncertain;
    /* health */
    enum upstream_circuit circuit;
    int64_t limit_failures, first_open_ms, open_ms;
    int failures;            /* in a row */
    int64_t open_until_us;   /* OPEN: probed then */
    bool trial;              /* HALF_OPEN: a call is finding out */
    uint64_t probe_timer;
    struct exchange *probe;
    int64_t calls, answered, failed, limited, probes;
    double ms_mean;          /* of answered calls, exponential */
    char last[200];          /* what went wrong last, "" when nothing */
    int64_t last_at;
};

struct member {
    struct server *server;
    char *pool, *remote;
    bool embed;
    int64_t weight, max_tokens;
    int64_t price_in, price_cached, price_out;
    int64_t cool_until_us; /* the server asked for a pause: its limits are a model's */
};

/* pick.c */
/* The member to ask next, by weight among those that can be asked; tried ones (bits of the
   member's index) only when all others cannot. NULL: why names each and what stops it. *wait_ms:
   the soonest pause that would help, -1: none. */
struct member *pick(struct upstream *u, const struct call *c, int64_t *wait_ms, struct fault *why);
/* What stops this member from being asked; "" when nothing does. */
const char *pick_obstacle(struct upstream *u, struct member *m, int64_t estimate, char *room,
                          size_t size, int64_t *wait_ms);
bool member_is_priced(const struct member *m);
int64_t member_cost(const struct member *m, int64_t in, int64_t cached, int64_t out);
void member_attempted(struct member *m, const struct upstream_attempt *a, bool was_trial);
void server_period(struct server *s, int64_t now_at); /* a new day or month begins at nought */
void server_stop(struct server *s);

/* ledger.c */
MUST_CHECK enum fail ledger_open(struct upstream *u, struct fault *why); /* blocks */
/* Durable before the first byte; done on the core thread. */
MUST_CHECK enum fail ledger_reserve(struct call *c, store_done_fn done, struct fault *why);
void ledger_settle(const struct call *c, const struct upstream_answer *a, int64_t uncertain);

/* ---- a call ---- */

struct call {
    struct call *next, *prev;
    struct upstream *u;
    uint64_t id;
    struct id ledger_id, task;
    char shown[TEXT_ID_SIZE]; /* of ledger_id */
    char pool[129];
    char team[80], rule[80], caller[130], workflow[130];
    struct id money; /* held at the policy */
    enum upstream_work work;
    enum secrecy label;
    bool redact, stream, local_role;
    json_t *ask;   /* the body; prepare frees it */
    char *body;
    size_t len;
    char *keep; /* whose redacted values must come back, NULL: none */
    struct guard_lists *lists;
    char **texts;
    size_t texts_len;
    int64_t max_tokens;
    int64_t started_us, deadline_us, created_at;
    upstream_text_fn on_text;
    upstream_done_fn done;
    void *arg;
    unsigned dialects; /* bits of the pool's */
    bool plain_sampling;
    struct prepared made;
    bool busy;      /* another thread has it: it is freed when it comes back */
    bool over;      /* done was called, or need not be */
    bool in_ledger;
    /* the attempt */
    struct member *member;
    struct exchange *exchange;
    bool is_trial;
    int64_t attempt_us;
    struct buf send;
    struct reply reply;
    struct buf held, said;
    bool emitted;
    uint64_t deadline_timer, retry_timer;
    uint64_t tried;
    struct upstream_attempt attempts[UPSTREAM_MAX_ATTEMPTS];
    size_t attempts_len;
    int64_t reserved;       /* at the member's server now */
    int64_t most;           /* what is in the ledger */
    int64_t uncertain;
    bool fits;              /* large replies: parsed by the other thread */
};

struct upstream {
    struct loop *loop;
    struct store *store;
    struct pool *pool; /* one thread: prepares requests, parses large replies */
    struct server *servers;
    size_t servers_len;
    struct member *members;
    size_t members_len;
    char hosted[129];
    struct call *calls;
    size_t calls_len;
    uint64_t next_id;
    bool stopping;
    struct policy *policy; /* NULL: none */
    char why_not[320];
};

/* call.c: those that another thread had when the loop stopped. */
void calls_drop(struct upstream *u);
/* upstream.c */
/* Nano-units as the decimal string that money is outside: "0.00104", "25". < 0: null. */
void put_money(struct jn_writer *w, const char *key, int64_t nano);
/* models.hosted behind "hosted"; else the name itself. */
const char *upstream_pool_of(const struct upstream *u, const char *model);
