/* SPDX-License-Identifier: Apache-2.0 */
/* The server about itself: health, status, rewriting, the end. */
#include "http/api/api_internal.h"

#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "run/queue/queue.h"

#define QUEUE_TEAMS_SHOWN 256

void api_health(struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    (void)arg;
    api_open(&w, &body);
    jn_kv_str(&w, "status", "ok");
    jn_kv_str(&w, "version", INHOUSE_VERSION);
    api_send(r, 200, &w);
}

static void ready_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    struct store_stats store;
    (void)arg;
    store_stats(a->h.store, &store);
    bool model = false;
    api_open(&w, &body);
    jn_key(&w, "roles");
    jn_object_begin(&w);
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        bool ready = fleet_is_ready(a->h.fleet, (enum fleet_role)i);
        jn_kv_bool(&w, fleet_role_name((enum fleet_role)i), ready);
        model = model || ready;
    }
    jn_object_end(&w);
    jn_kv_bool(&w, "store", !store.stopped);
    jn_kv_str(&w, "status", model && !store.stopped ? "ready" : "not_ready");
    api_send(r, model && !store.stopped ? 200 : 503, &w);
}

void api_ready(struct wire_request *r, void *arg)
{
    api_on_core(arg, r, ready_on_core, NULL);
}

/* ---- status ---- */

static const char *state_name(enum fleet_state s)
{
    static const char *const names[] = {"absent", "starting", "ready", "broken", "stopping"};
    return names[s];
}

void api_put_roles(struct jn_writer *w, const struct api *a)
{
    jn_key(w, "roles");
    jn_object_begin(w);
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        struct fleet_model m;
        memset(&m, 0, sizeof(m));
        fleet_model_get(a->h.fleet, (enum fleet_role)i, &m);
        jn_key(w, fleet_role_name((enum fleet_role)i));
        jn_object_begin(w);
        jn_kv_str(w, "state", state_name(m.state));
        jn_kv_str(w, "model", m.name[0] ? m.name : NULL);
        jn_kv_str(w, "sha256", m.sha256[0] ? m.sha256 : NULL);
        jn_kv_str(w, "arch", m.arch[0] ? m.arch : NULL);
        jn_kv_int(w, "parameters", m.n_params);
        jn_kv_int(w, "bytes", m.bytes);
        jn_kv_int(w, "rss_bytes", m.rss_bytes);
        jn_kv_int(w, "warmed", m.warmed);
        jn_kv_int(w, "n_ctx", m.n_ctx);
        jn_kv_int(w, "n_embd", m.n_embd);
        jn_kv_int(w, "pid", m.pid);
        jn_kv_int(w, "deaths", m.deaths);
        jn_kv_int(w, "running", m.running);
        jn_kv_int(w, "queued", m.queued);
        jn_kv_int(w, "tokens_drafted", m.tokens_drafted);
        jn_kv_int(w, "tokens_accepted", m.tokens_accepted);
        jn_kv_str(w, "reason", m.reason[0] ? m.reason : NULL);
        jn_object_end(w);
    }
    jn_object_end(w);
}

/* ---- queues ---- */

static void put_queue(struct jn_writer *w, const struct queue *q)
{
    struct queue_stats s;
    struct queue_team team;
    queue_stats_get(q, &s);
    jn_key(w, "waiting");
    jn_object_begin(w);
    for (int c = 0; c < IPC_CLASS_COUNT; c++) {
        jn_kv_int(w, ipc_class_name((enum ipc_class)c), (int64_t)s.waiting[c]);
    }
    jn_object_end(w);
    jn_kv_int(w, "in_service", (int64_t)s.in_service);
    jn_kv_int(w, "tokens_waiting", (int64_t)s.cost_waiting);
    jn_kv_real(w, "tokens_per_second", s.rate, 1);
    jn_kv_int(w, "refused_full", s.refused_full);
    jn_kv_int(w, "refused_late", s.refused_late);
    jn_key(w, "teams");
    jn_array_begin(w);
    for (size_t i = 0; i < QUEUE_TEAMS_SHOWN && queue_team_at(q, i, &team); i++) {
        double wait = queue_wait_s(q, team.name, IPC_INTERACTIVE);
        double batch = queue_wait_s(q, team.name, IPC_BATCH);
        jn_object_begin(w);
        jn_kv_str(w, "team", team.name);
        jn_kv_int(w, "waiting", (int64_t)team.waiting);
        jn_kv_int(w, "in_service", (int64_t)team.in_service);
        jn_kv_int(w, "tokens_waiting", (int64_t)team.cost_waiting);
        jn_kv_int(w, "tokens_served", (int64_t)team.served);
        if (wait >= 0) {
            jn_kv_real(w, "wait_s", wait, 2);
            jn_kv_real(w, "wait_s_batch", batch, 2);
        }
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_queues(struct jn_writer *w, const struct api *a)
{
    uint32_t ids[2 * FLEET_MODELS_MAX];
    size_t n = fleet_ids(a->h.fleet, ids);
    jn_key(w, "queues");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        struct fleet_model m;
        if (!fleet_model_find(a->h.fleet, ids[i], &m)) {
            continue;
        }
        jn_object_begin(w);
        jn_kv_str(w, "model", m.name);
        put_queue(w, fleet_queue(a->h.fleet, ids[i]));
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void put_counters(struct jn_writer *w, struct api *a)
{
    struct task_counts tasks;
    struct task_rewrite_counts rewrite;
    struct wire_counts http = {0};
    struct store_stats store;
    task_counts(a->h.desk, &tasks);
    task_rewrite_counts(a->h.desk, &rewrite);
    store_stats(a->h.store, &store);
    if (a->wire != NULL) {
        wire_counts(a->wire, &http);
    }
    jn_key(w, "tasks");
    jn_object_begin(w);
    jn_kv_int(w, "running", tasks.running);
    jn_kv_int(w, "waiting", tasks.waiting);
    jn_kv_int(w, "learning", tasks.learning);
    jn_object_end(w);
    jn_key(w, "rewrite");
    jn_object_begin(w);
    jn_kv_int(w, "waiting", rewrite.waiting);
    jn_kv_int(w, "running", rewrite.running);
    jn_kv_int(w, "replaced", rewrite.replaced);
    jn_kv_int(w, "refused", rewrite.refused);
    jn_object_end(w);
    jn_key(w, "http");
    jn_object_begin(w);
    jn_kv_int(w, "requests", http.requests);
    jn_kv_int(w, "refused", http.refused);
    jn_kv_int(w, "errors", http.errors);
    jn_kv_int(w, "active", http.active);
    jn_kv_int(w, "connections", http.connections);
    jn_object_end(w);
    jn_key(w, "store");
    jn_object_begin(w);
    jn_kv_bool(w, "ok", !store.stopped);
    jn_kv_int(w, "commits", store.commits);
    jn_kv_int(w, "writes", store.writes);
    jn_kv_int(w, "failed_commits", store.failed_commits);
    jn_kv_int(w, "queued", store.queued);
    jn_object_end(w);
}

static void status_on_core(struct api *a, struct wire_request *r, void *arg)
{
    const int64_t *records = arg;
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    jn_kv_str(&w, "version", INHOUSE_VERSION);
    jn_kv_int(&w, "pid", getpid());
    api_put_time(&w, "started_at", a->started_at);
    jn_kv_int(&w, "uptime_s", (clock_monotonic_us() - a->started_us) / 1000000);
    jn_kv_str(&w, "engine", a->h.engine);
    jn_kv_int(&w, "port", a->wire ? wire_port(a->wire) : 0);
    jn_kv_bool(&w, "loading", roster_is_scanning(a->h.roster));
    api_put_roles(&w, a);
    put_queues(&w, a);
    put_counters(&w, a);
    jn_kv_int(&w, "records", *records);
    api_put_halts(&w, a);
    jn_kv_int(&w, "keys", (int64_t)keyring_count(a->h.keyring));
    api_send(r, 200, &w);
}

void api_status(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct fault why;
    int64_t *records = wire_alloc(r, sizeof(*records));
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    *records = audit_size(c);
    api_reader_give(a, c);
    api_on_core(a, r, status_on_core, records);
}

/* ---- orders ---- */

void api_rewrite(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"paused", NULL};
    struct api *a = arg;
    struct fault why;
    bool paused = false;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    enum fail f = jn_bool(body, "paused", true, &paused, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    task_rewrite_pause(a->h.desk, paused);
    struct jn_writer w;
    struct buf out;
    api_open(&w, &out);
    jn_kv_bool(&w, "paused", paused);
    api_send(r, 200, &w);
}

void api_stop(struct wire_request *r, void *arg)
{
    struct api *a = arg;
    struct jn_writer w;
    struct buf body;
    if (api_who(r)->kind != PRINCIPAL_KIND_LOCAL) {
        struct fault why;
        FAULT(&why, FAIL_FORBIDDEN, "only a user of this machine may stop the server");
        fail_hint(&why, "Run `inhouse stop` on the machine, as the server's own user.");
        wire_fail(r, FAIL_FORBIDDEN, &why);
        return;
    }
    api_open(&w, &body);
    jn_kv_bool(&w, "stopping", true);
    api_send(r, 202, &w);
    loop_post(a->h.loop, a->h.stop, a->h.stop_arg);
}

/* ---- OpenAI's paths ---- */

void api_chat(struct wire_request *r, void *arg)
{
    openai_chat(r, &((struct api *)arg)->openai);
}

void api_embeddings(struct wire_request *r, void *arg)
{
    openai_embeddings(r, &((struct api *)arg)->openai);
}

void api_rerank(struct wire_request *r, void *arg)
{
    openai_rerank(r, &((struct api *)arg)->openai);
}

void api_decide(struct wire_request *r, void *arg)
{
    openai_decide(r, &((struct api *)arg)->openai);
}

void api_models_openai(struct wire_request *r, void *arg)
{
    openai_models(r, &((struct api *)arg)->openai);
}

void api_model_openai(struct wire_request *r, void *arg)
{
    openai_model_show(r, &((struct api *)arg)->openai);
}
