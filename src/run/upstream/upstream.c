/* SPDX-License-Identifier: Apache-2.0 */
/* The room: servers and pools from the configuration, and what there is to see of them. */
#include "run/upstream/upstream.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock/clock.h"
#include "run/upstream/upstream_internal.h"

/* ---- words ---- */

const char *upstream_outcome_name(enum upstream_outcome o)
{
    static const char *const names[] = {
#define OUTCOME(name, text, again, blame) text,
#include "run/upstream/outcomes.def"
#undef OUTCOME
    };
    return o < UPSTREAM_OUTCOME_COUNT ? names[o] : "none";
}

/* ---- opening ---- */

static enum fail open_server(struct upstream *u, const struct config_upstream *from,
                             struct server *s, struct fault *why)
{
    struct fault broken;
    s->u = u;
    (void)text_copy(s->name, sizeof(s->name), from->name);
    s->kind = from->dialect;
    s->dialect = from->dialect == CONFIG_ANTHROPIC ? &dialect_anthropic : &dialect_openai;
    s->base = mem_dup_str(from->base);
    s->on_prem = from->on_prem;
    s->restricted = from->restricted && from->on_prem;
    s->plain_sampling = from->plain_sampling;
    memcpy(s->allow, from->allow, sizeof(s->allow));
    s->allow_len = from->allow_len;
    s->retries = from->retries;
    s->connect_ms = from->connect_ms;
    s->timeout_ms = from->timeout_ms;
    s->budget = from->budget;
    s->daily = from->budget_daily;
    s->limit_failures = from->breaker_failures;
    s->first_open_ms = s->open_ms = from->breaker_open_ms;
    s->key = secret_read(from->key, &broken);
    bool good = s->key != NULL;
    if (good && text_starts_with(s->base, "https:")) {
        good = authorities_read(from->ca_file, &s->authorities, &broken) == FAIL_NONE;
    }
    if (!good) {
        (void)text_copy(s->broken, sizeof(s->broken), broken.message);
    }
    return line_new(u->loop, s, &s->line, why);
}

static void open_members(struct upstream *u, const struct config *c)
{
    u->members = mem_alloc_array(CONFIG_MAX_CANDIDATES, sizeof(*u->members));
    for (size_t i = 0; i < c->candidates_len; i++) {
        const struct config_candidate *from = &c->candidates[i];
        if (from->upstream < 0) {
            continue;
        }
        u->members[u->members_len++] =
            (struct member){.server = &u->servers[from->upstream],
                            .pool = mem_dup_str(from->name),
                            .remote = mem_dup_str(from->remote),
                            .embed = from->embed,
                            .weight = from->weight,
                            .max_tokens = from->max_tokens,
                            .price_in = from->price_in,
                            .price_cached = from->price_cached,
                            .price_out = from->price_out};
    }
}

enum fail upstream_open(struct loop *loop, struct store *store, const struct config *c,
                        struct upstream **out, struct fault *why)
{
    struct upstream *u = mem_alloc(sizeof(*u));
    u->loop = loop;
    u->store = store;
    (void)text_copy(u->hosted, sizeof(u->hosted), c->models_hosted);
    u->servers = mem_alloc_array(CONFIG_MAX_UPSTREAMS, sizeof(*u->servers));
    enum fail f = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
                      ? FAIL_NONE
                      : FAULT(why, FAIL_INTERNAL, "libcurl cannot be used");
    u->pool = pool_new(1, 2 * UPSTREAM_MAX_OPEN + 16);
    for (size_t i = 0; f == FAIL_NONE && i < c->upstreams_len; i++) {
        u->servers_len++;
        f = open_server(u, &c->upstreams[i], &u->servers[i], why);
    }
    if (f == FAIL_NONE) {
        open_members(u, c);
        f = ledger_open(u, why);
    }
    if (f != FAIL_NONE) {
        upstream_close(u);
        return f;
    }
    *out = u;
    return FAIL_NONE;
}

void upstream_close(struct upstream *u)
{
    if (u == NULL) {
        return;
    }
    upstream_stop(u);
    pool_free(u->pool);
    calls_drop(u);
    for (size_t i = 0; i < u->servers_len; i++) {
        struct server *s = &u->servers[i];
        line_free(s->line);
        authorities_free(s->authorities);
        secret_free(s->key);
        mem_free(s->base);
    }
    for (size_t i = 0; i < u->members_len; i++) {
        mem_free(u->members[i].pool);
        mem_free(u->members[i].remote);
    }
    mem_free(u->servers);
    mem_free(u->members);
    mem_free(u);
}

/* ---- what there is ---- */

void upstream_set_policy(struct upstream *u, struct policy *policy)
{
    u->policy = policy;
}

const char *upstream_pool_of(const struct upstream *u, const char *model)
{
    return strcmp(model, "hosted") == 0 && u->hosted[0] != '\0' ? u->hosted : model;
}

bool upstream_find(const struct upstream *u, const char *model, enum upstream_work *work)
{
    const char *pool = upstream_pool_of(u, model);
    for (size_t i = 0; i < u->members_len; i++) {
        if (strcmp(u->members[i].pool, pool) == 0) {
            if (work != NULL) {
                *work = u->members[i].embed ? UPSTREAM_EMBED : UPSTREAM_CHAT;
            }
            return true;
        }
    }
    return false;
}

/* Spend as if the period went on at its pace so far, in budgets. */
static double forecast(const struct server *s, int64_t now)
{
    double share = (double)(now - s->from_at) / (double)(s->to_at - s->from_at);
    double spent = (double)(s->spent + s->reserved) / (double)(s->budget > 0 ? s->budget : 1);
    /* Under a hundredth of the period one call would look like a flood. */
    return spent / (share > 0.01 ? share : 0.01);
}

static void take_budget(const struct server *s, bool first, struct upstream_pool_state *out)
{
    int64_t left = s->budget >= 0 ? s->budget - s->spent - s->reserved : INT64_MAX;
    if (first || left > out->budget_left) {
        out->budget_left = left;
        out->budget_forecast = s->budget >= 0 ? forecast(s, clock_now_us()) : 0;
    }
}

void upstream_pool_check(struct upstream *u, const char *model, int64_t tokens_in,
                         int64_t tokens_out, struct upstream_pool_state *out)
{
    const char *pool = upstream_pool_of(u, model);
    bool any = false;
    char room[240];
    int64_t wait;
    *out = (struct upstream_pool_state){.on_prem = true, .restricted = true, .cost_nano = -1,
                                        .budget_left = INT64_MAX,
                                        .why_not = u->why_not};
    (void)snprintf(u->why_not, sizeof(u->why_not), "there is no upstream model \"%.64s\"", pool);
    for (size_t i = 0; i < u->members_len; i++) {
        struct member *m = &u->members[i];
        if (strcmp(m->pool, pool) != 0) {
            continue;
        }
        int64_t cost = member_cost(m, tokens_in, 0, tokens_out);
        server_period(m->server, clock_now_us());
        take_budget(m->server, !any, out);
        any = true;
        out->on_prem = out->on_prem && m->server->on_prem;
        out->restricted = out->restricted && m->server->restricted;
        if (pick_obstacle(u, m, cost, room, sizeof(room), &wait)[0] != '\0') {
            (void)snprintf(u->why_not, sizeof(u->why_not), "%s: %s", m->server->name, room);
        } else {
            out->usable = true;
            out->cost_nano = cost > out->cost_nano ? cost : out->cost_nano;
        }
    }
    out->on_prem = out->on_prem && any;
    out->restricted = out->restricted && any;
}

static bool is_first(const struct upstream *u, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (strcmp(u->members[k].pool, u->members[i].pool) == 0) {
            return false;
        }
    }
    return true;
}

size_t upstream_pool_count(const struct upstream *u)
{
    size_t n = 0;
    for (size_t i = 0; i < u->members_len; i++) {
        n += is_first(u, i);
    }
    return n;
}

const char *upstream_pool_name(const struct upstream *u, size_t i)
{
    for (size_t k = 0; k < u->members_len; k++) {
        if (is_first(u, k) && i-- == 0) {
            return u->members[k].pool;
        }
    }
    return NULL;
}

/* ---- listing ---- */

void put_money(struct jn_writer *w, const char *key, int64_t nano)
{
    char text[48];
    if (nano < 0) {
        jn_kv_null(w, key);
        return;
    }
    int n = snprintf(text, sizeof(text), "%" PRId64 ".%09" PRId64, nano / 1000000000,
                     nano % 1000000000);
    while (text[n - 1] == '0') {
        text[--n] = '\0';
    }
    if (text[n - 1] == '.') {
        text[n - 1] = '\0';
    }
    jn_kv_str(w, key, text);
}

static void put_server(struct server *s, struct jn_writer *w)
{
    static const char *const circuits[] = {"closed", "open", "half_open"};
    char at[CLOCK_RFC3339_SIZE];
    int64_t now = clock_monotonic_us();
    server_period(s, clock_now_us());
    bool usable = s->broken[0] == '\0' && s->circuit != UPSTREAM_OPEN &&
                  (s->budget < 0 || s->spent + s->reserved < s->budget);
    jn_object_begin(w);
    jn_kv_str(w, "name", s->name);
    jn_kv_str(w, "kind", s->kind == CONFIG_ANTHROPIC ? "anthropic" : "openai");
    jn_kv_str(w, "base", s->base);
    jn_kv_bool(w, "on_prem", s->on_prem);
    jn_kv_bool(w, "restricted", s->restricted);
    jn_kv_bool(w, "key", s->key != NULL && s->key[0] != '\0');
    jn_kv_bool(w, "usable", usable);
    jn_kv_str(w, "circuit", circuits[s->circuit]);
    jn_kv_int(w, "open_ms",
              s->circuit == UPSTREAM_OPEN && s->open_until_us > now
                  ? (s->open_until_us - now) / 1000
                  : 0);
    jn_kv_str(w, "problem", s->broken[0] != '\0' ? s->broken : NULL);
    jn_kv_str(w, "last_failure", s->last[0] != '\0' ? s->last : NULL);
    jn_kv_str(w, "last_failure_at", s->last_at > 0 ? clock_show(s->last_at, at) : NULL);
    jn_kv_int(w, "attempts", s->calls);
    jn_kv_int(w, "answered", s->answered);
    jn_kv_int(w, "failed", s->failed);
    jn_kv_int(w, "limited", s->limited);
    jn_kv_int(w, "probes", s->probes);
    jn_kv_real(w, "ms_mean", s->ms_mean, 1);
    jn_key(w, "spend");
    jn_object_begin(w);
    jn_kv_str(w, "per", s->daily ? "day" : "month");
    jn_kv_str(w, "since", clock_show(s->from_at, at));
    put_money(w, "budget", s->budget);
    put_money(w, "spent", s->spent);
    put_money(w, "reserved", s->reserved);
    put_money(w, "uncertain", s->uncertain);
    jn_object_end(w);
    jn_object_end(w);
}

static void put_pool(struct upstream *u, size_t first, struct jn_writer *w)
{
    char room[240];
    int64_t wait;
    const char *pool = u->members[first].pool;
    jn_object_begin(w);
    jn_kv_str(w, "name", pool);
    jn_kv_str(w, "mode", u->members[first].embed ? "embedding" : "chat");
    jn_kv_bool(w, "hosted_role", strcmp(pool, u->hosted) == 0);
    jn_key(w, "members");
    jn_array_begin(w);
    for (size_t i = first; i < u->members_len; i++) {
        struct member *m = &u->members[i];
        if (strcmp(m->pool, pool) != 0) {
            continue;
        }
        jn_object_begin(w);
        jn_kv_str(w, "upstream", m->server->name);
        jn_kv_str(w, "model", m->remote);
        jn_kv_int(w, "weight", m->weight);
        put_money(w, "input_per_million", m->price_in);
        put_money(w, "cached_input_per_million", m->price_cached);
        put_money(w, "output_per_million", m->price_out);
        const char *why = pick_obstacle(u, m, 0, room, sizeof(room), &wait);
        jn_kv_str(w, "why_not", why[0] != '\0' ? why : NULL);
        jn_object_end(w);
    }
    jn_array_end(w);
    jn_object_end(w);
}

void upstream_put(struct upstream *u, struct jn_writer *w)
{
    jn_key(w, "upstreams");
    jn_array_begin(w);
    for (size_t i = 0; i < u->servers_len; i++) {
        put_server(&u->servers[i], w);
    }
    jn_array_end(w);
    jn_key(w, "pools");
    jn_array_begin(w);
    for (size_t i = 0; i < u->members_len; i++) {
        if (is_first(u, i)) {
            put_pool(u, i, w);
        }
    }
    jn_array_end(w);
    jn_kv_int(w, "open_calls", (int64_t)u->calls_len);
}
