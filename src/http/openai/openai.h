/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenAI: /v1/chat/completions, /v1/embeddings and /v1/models, in the shapes their own clients
 * read; and /v1/systemone, typed decisions, as llama-server and vLLM have it.
 *
 * Unknown keys are ignored, as that API does; a known parameter that would change the answer and
 * cannot be honoured is refused by name. Decoding happens on http threads; answers are written on
 * the core thread as the task reports them.
 * Limits: 512 messages, 64 tools, 2,048 texts (8 MiB) to embed, a request that fits one frame to a
 * worker; 64 questions of up to 256 options about one text of 256 KiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/task/task.h"
#include "base/fail/fail.h"
#include "base/json/json.h"
#include "base/loop/loop.h"
#include "base/mem/mem.h"
#include "http/wire/wire.h"
#include "run/fleet/fleet.h"
#include "run/upstream/upstream.h"

#define OPENAI_MAX_TEXTS 2048

/* What the handlers work with; outlives every request. */
struct openai_house {
    struct loop *loop;
    struct task_desk *desk;
    struct fleet *fleet;
    struct roster *roster; /* NULL: only what is loaded can be named */
    struct upstream *upstream; /* NULL: no model of another server can be named */
    int64_t context_max; /* tokens; a larger max_tokens is taken down to this */
    int64_t started_at;  /* µs UTC, the `created` of models */
    bool raw_grammar;    /* atomic: grammars of callers, and schemas beyond the subset */
};

/* Handlers: any http thread. The route's scope was checked. wire_who must be a struct principal. */
void openai_chat(struct wire_request *r, const struct openai_house *h);
void openai_embeddings(struct wire_request *r, const struct openai_house *h);
void openai_rerank(struct wire_request *r, const struct openai_house *h);
void openai_decide(struct wire_request *r, const struct openai_house *h);
void openai_models(struct wire_request *r, const struct openai_house *h);
void openai_model_show(struct wire_request *r, const struct openai_house *h); /* {model} */

/* A chat request, decoded and checked. */
struct openai_chat_ask {
    char model[128];
    bool stream;
    bool include_usage;
    bool has_tools;
    bool one_tool_call; /* parallel_tool_calls: false */
    bool logprobs;
    int top_logprobs;
    int64_t max_tokens;
    enum ipc_class class; /* batch with service_tier "flex", else interactive */
    bool keep_values;  /* no value may be lost on the way through another server */
    bool reproducible; /* with the seed and `now` that are in the ask too */
    int64_t seed, now;
    struct buf ask; /* the GENERATE body (scored: the FORM body) without domain and class */
    struct form_plan *plan; /* response_format.json_schema.scored; with its schema, else NULL */
    struct schema *schema;
};
/* Pure. seed is used when the request names none. raw_grammar: a `grammar`, and a schema that only
   llama.cpp's converter may know, are passed on. On success free with openai_chat_ask_done. */
MUST_CHECK enum fail openai_chat_decode(const char *body, size_t len, int64_t context_max,
                                        int64_t seed, bool raw_grammar,
                                        struct openai_chat_ask *out, struct fault *why);
void openai_chat_ask_done(struct openai_chat_ask *ask);

struct openai_embed_ask {
    char model[128];
    const char **texts; /* borrowed from tree */
    size_t texts_len;
    bool base64;
    int64_t dimensions; /* 0: not said */
    json_t *tree;
};
MUST_CHECK enum fail openai_embed_decode(const char *body, size_t len, struct openai_embed_ask *out,
                                         struct fault *why);
void openai_embed_ask_done(struct openai_embed_ask *ask);

struct openai_rerank_ask {
    char model[128];    /* "embed" when it was not said */
    const char **texts; /* the query, then the documents; borrowed from tree */
    size_t texts_len;
    int64_t top_n; /* 0: all */
    bool with_documents;
    json_t *tree;
};
MUST_CHECK enum fail openai_rerank_decode(const char *body, size_t len,
                                          struct openai_rerank_ask *out, struct fault *why);
void openai_rerank_ask_done(struct openai_rerank_ask *ask);
struct openai_ranked {
    size_t index; /* of the document as sent */
    double score; /* cosine to the query, -1..1 */
};
/* vectors: n unit rows of dim numbers, the query's first; out has room for n - 1. Highest score
   first, equal ones in the order they were sent. Pure. */
void openai_rerank_order(const float *vectors, size_t n, size_t dim, struct openai_ranked *out);

enum openai_question { OPENAI_CHOICE, OPENAI_SCORE, OPENAI_NOUL };
struct openai_decide_ask {
    char model[128]; /* "auto" when the request names none */
    const char *intro, *state;
    size_t n;
    const char *names[TASK_QUESTIONS_MAX];
    enum openai_question types[TASK_QUESTIONS_MAX];
    struct task_question questions[TASK_QUESTIONS_MAX];
    const json_t *criteria[TASK_QUESTIONS_MAX]; /* borrowed from tree */
    struct arena *arena; /* of all strings that are not the tree's */
    json_t *tree;
};
/* Pure. On success free with openai_decide_ask_done. */
MUST_CHECK enum fail openai_decide_decode(const char *body, size_t len,
                                          struct openai_decide_ask *out, struct fault *why);
void openai_decide_ask_done(struct openai_decide_ask *ask);
/*
 * The "answers" object. Confidence, from 0 (all answers alike) to 1, as that API has it: of a
 * choice of n (p_max - 1/n) / (1 - 1/n); of a score 1 - E|level - likeliest level| / the same of
 * equal shares about the middle; of yes and no |2p - 1|.
 */
void openai_put_answers(struct jn_writer *w, const struct openai_decide_ask *ask,
                        const struct task_decided *decided);

/* A task and the client it is for. Lives in the request's memory (wire_alloc, so zeroed), where the
   client's leaving may still read it after the answer. */
struct openai_flight {
    struct task_desk *desk;
    uint64_t handle; /* atomic, 0 until submitted */
    bool gone;       /* atomic */
};
/* From now on the client's leaving cancels the task. Handler only, before the request is handed
   on. */
void openai_flight_watch(struct openai_flight *f, struct wire_request *r, struct task_desk *desk);
/* Once per flight; in the handler, or on the core thread. The answer may come before it returns: of
   what the request holds only the flight is read after that. */
void openai_flight_submit(struct openai_flight *f, const struct task_request *t);
