/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate's second half: whether this request may be made, in the one place before every handler.
 * Who is asking was found out before (api.c). Both run before a byte of the body is kept, on http
 * threads; a team's object is looked up here, for whoever may see it and whoever may not alike.
 */
#include "http/api/api_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "work/review/review.h"

#define COST_LIGHT 1
#define COST_HEAVY 10

enum fail api_owner(void *arg, enum policy_object object, const char *id,
                    char team[KEYRING_NAME_SIZE], struct fault *why)
{
    static const char *const prefixes[POLICY_OBJECT_COUNT] = {[POLICY_OBJECT_TASK] = "tsk",
                                                              [POLICY_OBJECT_ARTIFACT] = "art",
                                                              [POLICY_OBJECT_JOB] = "job"};
    struct api *a = arg;
    struct id key;
    ASSERT(prefixes[object] != NULL);
    if (!text_id_read(id, prefixes[object], &key)) {
        return FAIL_NONE; /* no id of one: nobody's */
    }
    if (object == POLICY_OBJECT_JOB) {
        errand_owner(a, &key, team);
        if (team[0] != '\0') {
            return FAIL_NONE;
        }
    }
    struct store_conn *c = api_reader_take(a, why);
    if (c == NULL) {
        return why->code;
    }
    enum fail f = object == POLICY_OBJECT_TASK  ? task_owner(c, &key, team, why)
                  : object == POLICY_OBJECT_JOB ? jobs_owner(c, &key, team, why)
                                                : review_owner(c, &key, team, why);
    api_reader_give(a, c);
    return f;
}

/* "12s": how long until all of it is free again, as OpenAI's clients read it. */
static void add_limit(struct wire_request *r, const char *const names[3], int64_t limit,
                      int64_t left, int reset_s)
{
    char s[24];
    if (limit < 0) {
        return;
    }
    (void)snprintf(s, sizeof(s), "%" PRId64, limit);
    wire_header_add(r, names[0], s);
    (void)snprintf(s, sizeof(s), "%" PRId64, left);
    wire_header_add(r, names[1], s);
    (void)snprintf(s, sizeof(s), "%ds", reset_s);
    wire_header_add(r, names[2], s);
}

static enum fail count(struct api *a, struct wire_request *r, const struct principal *p,
                       const char *rate, struct fault *why)
{
    static const char *const requests[] = {"x-ratelimit-limit-requests",
                                           "x-ratelimit-remaining-requests",
                                           "x-ratelimit-reset-requests"};
    static const char *const tokens[] = {"x-ratelimit-limit-tokens",
                                         "x-ratelimit-remaining-tokens",
                                         "x-ratelimit-reset-tokens"};
    struct policy_room room;
    int64_t cost = strcmp(rate, "heavy") == 0 ? COST_HEAVY : COST_LIGHT;
    enum fail f = policy_request(a->h.policy, p, cost, &room, why);
    if (f == FAIL_NONE || f == FAIL_RATE_LIMITED) {
        add_limit(r, requests, room.requests_limit, room.requests_left, room.reset_requests_s);
        add_limit(r, tokens, room.tokens_limit, room.tokens_left, room.reset_tokens_s);
    }
    return f;
}

enum fail api_admit(void *arg, const void *who, struct wire_request *r, struct fault *why)
{
    struct api *a = arg;
    const struct principal *p = who;
    const struct wire_route *route = wire_route_of(r);
    const char *name = policy_object_name((enum policy_object)route->object);
    struct policy_ask ask = {.who = p,
                             .scope = route->scope,
                             .object = (enum policy_object)route->object,
                             .id = wire_param_find(r, name),
                             .is_switch = strcmp(route->tag, "halts") == 0};
    if (ask.id == NULL) {
        ask.object = POLICY_OBJECT_NONE; /* named in the body: the task's own gate asks */
    }
    /* Requests are counted before anything is decided or looked up: guessing is not free. */
    if (route->scope != 0 && p->kind != PRINCIPAL_KIND_LOCAL && strcmp(route->rate, "free") != 0) {
        enum fail f = count(a, r, p, route->rate, why);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return policy_may(a->h.policy, &ask, why);
}
