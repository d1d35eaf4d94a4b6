/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upstream: asks models that other servers run: any OpenAI-compatible one (vLLM, llama-server,
 * Ollama, hosted) and Anthropic's /v1/messages. It is the only room that opens a connection to
 * another machine on a task's behalf, so it is also the last gate.
 *
 * The last gate, whatever the caller, the rules or the configuration say:
 *   restricted     never; no address is looked up and no socket is opened. One exception, denied
 *                  by default: a call for a local role (ask.local_role), to a pool all of whose
 *                  servers are declared both `on_prem` and `restricted`
 *   confidential   to an upstream declared `on_prem` as it is; to any other one only redacted, and
 *                  only with the name of the rule that lets it
 *   any            only to an address that was checked when the socket was opened and again
 *                  before the request is sent; never redirected; never without a price (an on-prem
 *                  upstream's is 0 unless it says one); never over its budget
 *
 * A call names a pool: the model_list entries of one model_name. Its members are tried by weight,
 * those whose circuit is closed, within the call's deadline; a failed attempt is tried again
 * elsewhere, or after a jittered pause, unless text has already been handed on. What each attempt
 * met is kept: in the answer and in the ledger.
 *
 * Money: a call reserves what it may cost at most before the first byte leaves, durably; it settles
 * once, with the usage that the answering server reported. What a call had reserved when the
 * process died counts as spent. An attempt that may have been billed although its answer never
 * came is shown as `uncertain`, beside the spend.
 *
 * Owns: the tables upstream_call; curl's multi handle and its sockets; the keys, read once at the
 * start from the environment or a private file and sent to their own origin only.
 * Threads: the core loop's, but for upstream_calls_put (its connection's). Names are resolved in
 * threads of libcurl's (its threaded resolver; Debian's build has no c-ares), so DNS never blocks
 * the loop.
 * Limits: UPSTREAM_MAX_*; a reply of 8 MiB, headers of 64 KiB, redacted text of 4 MiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config/config.h"
#include "base/fail/fail.h"
#include "base/json/json.h"
#include "base/loop/loop.h"
#include "base/secrecy/secrecy.h"
#include "base/store/store.h"
#include "base/text/text.h"

#define UPSTREAM_MAX_OPEN 256     /* calls under way; more are queue_full */
#define UPSTREAM_MAX_ATTEMPTS 8   /* of one call */
#define UPSTREAM_MAX_TEXTS 2048   /* of one embedding call */
#define UPSTREAM_REPLY_BYTES ((size_t)8 * 1024 * 1024)

enum upstream_work { UPSTREAM_CHAT, UPSTREAM_EMBED };

/* How one attempt ended. */
enum upstream_outcome {
#define OUTCOME(name, text, again, blame) UPSTREAM_##name,
#include "run/upstream/outcomes.def"
#undef OUTCOME
    UPSTREAM_OUTCOME_COUNT
};
const char *upstream_outcome_name(enum upstream_outcome o); /* "answered", "connect", ... */

/* One attempt, for the climb's record. */
struct upstream_attempt {
    char upstream[64]; /* whose */
    char address[48];  /* that was connected to, "" when none was */
    enum upstream_outcome outcome;
    int status;            /* HTTP, 0: none came */
    double ms;             /* of the attempt alone */
    double at_ms;          /* it began so long after the call */
    int64_t retry_after_ms; /* as the server said, 0: not said */
    char note[160];        /* what was wrong, without any text of the task */
};

/* The answer. Valid during the call of done. */
struct upstream_answer {
    enum fail code;
    const struct fault *why; /* NULL unless code; its message names what the attempts met */
    const char *model;       /* as the server calls it, "" when none answered */
    const char *upstream;    /* that answered, "" when none did */
    /* UPSTREAM_CHAT; the text is restored when it was redacted */
    const char *text;
    const char *finish_reason;   /* "stop", "length", "tool_calls" */
    const char *tool_calls_json; /* array text in OpenAI's shape, NULL: none */
    /* UPSTREAM_EMBED: n x dim, unit rows */
    const float *vectors;
    size_t vectors_len, dim;
    /* as the server counted; cached ones are in tokens_in */
    int tokens_in, tokens_cached, tokens_out;
    int64_t cost_nano;  /* settled */
    int redacted;       /* values that were replaced before sending */
    const struct upstream_attempt *attempts;
    size_t attempts_len;
    double ms;
};
/* Streamed chat: whole UTF-8, restored; valid during the call. May cancel the call. */
typedef void (*upstream_text_fn)(void *arg, const char *text, size_t len);
/* Once per call, never from inside upstream_call. */
typedef void (*upstream_done_fn)(void *arg, const struct upstream_answer *answer);

/* One call. Everything is copied. */
struct upstream_ask {
    const char *model; /* a pool: the model_name of model_list entries */
    enum upstream_work work;
    /* CHAT: the GENERATE body of docs/protocol/worker.md (messages, max_tokens, temperature, top_p,
       seed, stop, json_schema, tools, tool_choice; class, domain, now and stream are ignored).
       grammar, reproducible, logprobs and prompt are refused by name. */
    const char *body;
    size_t len;
    const char *const *texts; /* EMBED */
    size_t texts_len;
    bool stream;
    int max_tokens;            /* CHAT: as in the body, what it may cost; 0: as the entry says */
    enum secrecy label; /* zero is public: say it always */
    bool redact;               /* also when the label alone would not ask for it */
    /* A text of the body whose values must all stand in the answer, as in a rewrite or a
       translation: one that lost a value is no answer. NULL: an answer may leave some out. */
    const char *keep;
    struct guard_lists *lists; /* a team's own words, redacted too; taken, NULL: none */
    bool local_role;           /* it serves a role of this machine: on_prem servers only */
    /* the decision row that lets it out, NULL: none; kept in the ledger */
    const char *rule;
    const char *team;
    const char *caller, *workflow; /* who pays beside the team; NULL: nobody more */
    struct id task; /* for the ledger */
    int64_t deadline_us; /* monotonic; 0: two minutes from now */
    upstream_text_fn on_text;
    upstream_done_fn done;
    void *arg;
};

struct upstream;
struct policy;
/*
 * Reads keys and certificates and the ledger of this month; opens no connection. An upstream whose
 * key or certificate cannot be read is there, and refuses with the reason. The config's strings are
 * copied. Blocks on the store.
 */
MUST_CHECK enum fail upstream_open(struct loop *loop, struct store *store, const struct config *c,
                                   struct upstream **out, struct fault *why);
/* Who says what may still be spent, and which servers are switched off. Before the first call; NULL
   (the start): nobody. Outlives the upstream's calls. */
void upstream_set_policy(struct upstream *u, struct policy *policy);
/* A stop switch was turned: attempts at a server that is off end now. Core thread. */
void upstream_halted(struct upstream *u);
/* Refuses new calls, ends the open ones as stopped. Core thread. */
void upstream_stop(struct upstream *u);
/* Accepts NULL. After the loop has stopped and the store is closed. */
void upstream_close(struct upstream *u);

/*
 * Starts a call; done comes later, exactly once: forbidden (the label may not leave, by name),
 * not_found (no such pool), model_unavailable (no member can be asked: no price, key, closed
 * circuit; each named), over_budget, unsupported and bad_request (the body), rate_limited
 * (retry_after_s), upstream_failed, deadline, stopped. Returns an id for upstream_cancel.
 */
uint64_t upstream_call(struct upstream *u, const struct upstream_ask *ask);
/* The client is gone: done still comes, as stopped. Unknown ids are ignored. */
void upstream_cancel(struct upstream *u, uint64_t id);

/* ---- what there is ---- */

/* Is there a pool of that name? `hosted` stands for models.hosted. *work may be NULL. */
bool upstream_find(const struct upstream *u, const char *model, enum upstream_work *work);
/* Could a call to the pool be made now: a member with price, key, closed or half-open circuit and
   budget? Also says whether all of them are on_prem (then the rung is the local one). Estimated
   cost of tokens in and out, nano-units, of its dearest usable member; -1 when none is usable. */
struct upstream_pool_state {
    bool usable, on_prem;
    bool restricted; /* all of them may hold restricted text, for a local role */
    int64_t cost_nano;
    /* of the server that has most left: what may still be reserved, INT64_MAX without a budget; and
       its spend at the end of the period at its present pace, divided by the budget */
    int64_t budget_left;
    double budget_forecast;
    const char *why_not; /* when not usable; valid until the next call into the room */
};
void upstream_pool_check(struct upstream *u, const char *model, int64_t tokens_in,
                         int64_t tokens_out, struct upstream_pool_state *out);
size_t upstream_pool_count(const struct upstream *u);
const char *upstream_pool_name(const struct upstream *u, size_t i);

enum upstream_circuit { UPSTREAM_CLOSED, UPSTREAM_OPEN, UPSTREAM_HALF_OPEN };
/* {"upstreams":[…],"pools":[…]}: health, spend, circuit, members. Never a key. */
void upstream_put(struct upstream *u, struct jn_writer *w);
/* "calls":[…] of the ledger, newest first, at most limit; task NULL: all. Any thread with its own
   connection. team NULL: every team's. */
MUST_CHECK enum fail upstream_calls_put(struct store_conn *conn, const struct id *task,
                                        const char *team, int64_t limit, struct jn_writer *w,
                                        struct fault *why);

/* ---- pieces that stand alone (pure) ---- */

/* Nano-units for so many tokens at a price of nano-units per million tokens, rounded up; -1 when
   it does not fit. */
int64_t upstream_price(int64_t tokens, int64_t nano_per_million);

/* What an address is; everything but PUBLIC must be allowed by name. */
enum upstream_address {
    UPSTREAM_ADDRESS_PUBLIC,
    UPSTREAM_ADDRESS_PRIVATE,   /* RFC 1918, RFC 4193, RFC 6598 */
    UPSTREAM_ADDRESS_LOOPBACK,
    UPSTREAM_ADDRESS_NEVER      /* link-local and metadata services, multicast, unspecified,
                                   reserved: no list allows them */
};
struct sockaddr;
/* IPv4 inside IPv6 (mapped, compatible, 6to4, NAT64) counts as the IPv4 address. */
enum upstream_address upstream_address_kind(const struct sockaddr *sa);
