/* SPDX-License-Identifier: Apache-2.0 */
/* The rooms in order, the signals, and the end in reverse. */
#include "http/house/house.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "answer/dataset/dataset.h"
#include "answer/route/route.h"
#include "base/clock/clock.h"
#include "base/log/log.h"
#include "http/api/api.h"
#include "http/house/house_internal.h"
#include "run/upstream/upstream.h"
#include "trust/policy/policy.h"
#include "work/job/job.h"
#include "work/review/review.h"
#include "work/source/source.h"

#define DRAIN_MS 15000 /* accepted tasks get this long when the server ends */
#define QUIET_POLL_MS 20
#define STREAM_END_MS 5000
#define CRUNCH_END_S 5
#define CRUNCH_QUEUE 64
#define OPEN_ASKS 64
#define FLUSH_MS 1000 /* how much counting a killed server may forget */

struct house {
    struct house_options o;
    char home[CONFIG_HOME_SIZE], sock[CONFIG_HOME_SIZE + 8];
    char worker[PATH_MAX], engine_dir[PATH_MAX];
    struct config *config;
    struct config *first; /* that of the start: the rooms hold strings of it */
    int lock_fd, signal_fd;
    bool made_sock;
    struct loop *loop;
    struct pool *crunch;
    struct store *store;
    struct keyring_master *master;
    struct audit *audit;
    struct audit_leave *leave;
    struct keyring *keyring;
    struct login *login;
    struct policy *policy;
    struct states *states;
    struct fleet *fleet;
    struct roster *roster;
    struct upstream *upstream;
    struct route_zone *zone; /* of report.timezone */
    struct task_desk *desk;
    struct datasets *datasets;
    struct jobs *jobs;
    struct api *api;
    struct wire *wire;
    bool stopping, fleet_stopping;
    int64_t alone_since_us; /* linger: no client since then */
    int64_t requests_seen;  /* linger: a client that came and went between two looks counts too */
    int64_t quiet_by_us;    /* the end: open requests are waited for until then */
};

/* ---- configuration ---- */

static enum fail apply_options(const struct house_options *o, struct config *c, struct fault *why)
{
    enum fail f = FAIL_NONE;
    if (o->listen_address != NULL) {
        f = config_override(c, "listen.address", o->listen_address, why);
        f = f == FAIL_NONE ? config_override(c, "listen.port", o->listen_port, why) : f;
    }
    if (f == FAIL_NONE && o->engine != NULL) {
        f = config_override(c, "engine.kind", o->engine, why);
    }
    if (f == FAIL_NONE && o->no_seal) {
        f = config_override(c, "engine.seal", "false", why);
    }
    return f;
}

/* HOME/inhouse.yaml counts only when it is there; a file that was named must be. */
static const char *config_path(const struct house_options *o, const char *home, char *out,
                               size_t room)
{
    if (o->config != NULL) {
        return o->config;
    }
    (void)snprintf(out, room, "%s/inhouse.yaml", home ? home : "");
    return home != NULL && access(out, F_OK) == 0 ? out : NULL;
}

struct config *house_config(const struct house_options *o, const char *home)
{
    char room[CONFIG_HOME_SIZE + 16];
    const char *path = config_path(o, home, room, sizeof(room));
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct config *c = NULL;
    struct fault why;
    enum fail f = path != NULL ? config_load(path, &c, faults)
                               : config_read(NULL, 0, "the options", &c, faults);
    if (f == FAIL_NONE && apply_options(o, c, &why) != FAIL_NONE) {
        config_faults_init(faults, "the options");
        config_faults_add(faults, 0, why.param, why.hint, "%s", why.message);
        config_unref(c);
        c = NULL;
    }
    for (size_t i = 0; i < faults->count && i < CONFIG_MAX_FAULTS; i++) {
        const struct config_fault *x = &faults->list[i];
        char line[24] = "";
        if (x->line > 0) {
            (void)snprintf(line, sizeof(line), " line %d", x->line);
        }
        FAULT(&why, FAIL_BAD_REQUEST, "%.95s%s: %.180s", faults->name, line, x->message);
        fail_hint(&why, "%s", x->hint);
        fail_param(&why, x->param);
        log_fault(LOG_LEVEL_ERROR, "config.wrong", &why);
    }
    for (size_t i = 0; c != NULL && i < c->notes_len; i++) {
        log_write(LOG_LEVEL_WARN, "config.note", LOG_FIELDS(LOG_TEXT("note", c->notes[i])));
    }
    mem_free(faults);
    return c;
}

static enum log_level level_of(const struct config *c)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    int i = 0;
    while (i < 3 && strcmp(names[i], c->log_level) != 0) {
        i++;
    }
    return (enum log_level)i;
}

static void find_programs(struct house *s)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[n > 0 ? n : 0] = '\0';
    const char *folder = dirname(self);
    (void)snprintf(s->worker, sizeof(s->worker), "%.4000s/inhouse-worker", folder);
    if (s->config->engine_dir[0] != '\0') {
        (void)text_copy(s->engine_dir, sizeof(s->engine_dir), s->config->engine_dir);
    } else {
        (void)snprintf(s->engine_dir, sizeof(s->engine_dir), "%.4000s/../lib/inhouse-engine",
                       folder);
    }
}

/* ---- the end ---- */

static void end_when_quiet(void *arg)
{
    struct house *s = arg;
    struct wire_counts c;
    wire_counts(s->wire, &c);
    int64_t now = clock_monotonic_us();
    s->quiet_by_us = s->quiet_by_us != 0 ? s->quiet_by_us : now + STREAM_END_MS * 1000;
    if (c.active > 0 && now < s->quiet_by_us) {
        (void)loop_timer_add(s->loop, QUIET_POLL_MS, end_when_quiet, s);
    } else {
        loop_stop(s->loop);
    }
}

static void stop_fleet(void *arg)
{
    struct house *s = arg;
    if (!s->fleet_stopping) {
        s->fleet_stopping = true;
        upstream_stop(s->upstream);
        fleet_stop(s->fleet, end_when_quiet, s);
    }
}

static void stop_all(void *arg)
{
    struct house *s = arg;
    if (!s->stopping) {
        s->stopping = true;
        log_write(LOG_LEVEL_INFO, "server.stopping", NULL);
        wire_refuse(s->wire);
        jobs_stop(s->jobs);
        (void)loop_timer_add(s->loop, DRAIN_MS, stop_fleet, s); /* whatever still runs */
        task_desk_drain(s->desk, stop_fleet, s);
    }
}

/* In the file 0 says that there is no limit: one that forbids all is set by name. */
static int64_t or_none(int64_t n)
{
    return n > 0 ? n : POLICY_NO_LIMIT;
}

static struct policy_defaults limits_of(const struct config *c)
{
    return (struct policy_defaults){
        .key = {.requests = or_none(c->limits_requests_per_minute),
                .tokens = or_none(c->limits_tokens_per_minute),
                .parallel = or_none(c->limits_tasks_at_once),
                .day = POLICY_NO_LIMIT,
                .month = or_none(c->limits_key_budget_month)},
        .team = {.requests = or_none(c->limits_team_requests_per_minute),
                 .tokens = or_none(c->limits_team_tokens_per_minute),
                 .parallel = or_none(c->limits_team_tasks_at_once),
                 .day = POLICY_NO_LIMIT,
                 .month = or_none(c->limits_team_budget_month)},
        .all = {.requests = POLICY_NO_LIMIT,
                .tokens = POLICY_NO_LIMIT,
                .parallel = POLICY_NO_LIMIT,
                .day = or_none(c->limits_budget_day),
                .month = or_none(c->limits_budget_month)}};
}

static void reload(struct house *s)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    config_faults_init(faults, "inhouse.yaml");
    struct config *fresh = house_config(&s->o, s->home);
    if (fresh != NULL && config_reload_check(s->config, fresh, faults)) {
        config_unref(s->config);
        s->config = config_ref(fresh);
        log_set_level(level_of(fresh));
        struct policy_defaults limits = limits_of(fresh);
        policy_set_defaults(s->policy, &limits);
        api_set_raw_grammar(s->api, fresh->engine_raw_grammar);
        log_write(LOG_LEVEL_INFO, "config.applied", NULL);
    }
    for (size_t i = 0; i < faults->count && i < CONFIG_MAX_FAULTS; i++) {
        log_write(LOG_LEVEL_ERROR, "config.refused",
                  LOG_FIELDS(LOG_TEXT("message", faults->list[i].message),
                             LOG_TEXT("hint", faults->list[i].hint)));
    }
    config_unref(fresh);
    mem_free(faults);
}

static void on_signal(void *arg, uint32_t events)
{
    struct house *s = arg;
    struct signalfd_siginfo info;
    (void)events;
    while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            reload(s);
        } else if (s->stopping) {
            _exit(1);
        } else {
            stop_all(s);
        }
    }
}

/* --linger: an embedded server ends by itself once nobody needs it. */
static void watch_clients(void *arg)
{
    struct house *s = arg;
    struct wire_counts c;
    struct task_counts t;
    int64_t now = clock_monotonic_us();
    wire_counts(s->wire, &c);
    task_counts(s->desk, &t);
    if (c.connections > 0 || c.requests != s->requests_seen ||
        t.running + t.waiting + t.learning > 0 || jobs_are_busy(s->jobs)) {
        s->alone_since_us = now;
        s->requests_seen = c.requests;
    } else if (now - s->alone_since_us > (int64_t)s->o.linger_s * 1000000) {
        stop_all(s);
        return;
    }
    (void)loop_timer_add(s->loop, 250, watch_clients, s);
}

/* ---- the beginning ---- */

/* The task room's artifacts go to the review room, which is a floor above it. */
static enum fail sink_create(struct store_tx *tx, void *arg, const struct task_artifact *a,
                             struct fault *why)
{
    struct review_field fields[LADDER_MAX_FIELDS];
    (void)arg;
    ASSERT(a->fields_len <= COUNT_OF(fields));
    for (size_t i = 0; i < a->fields_len; i++) {
        const struct task_artifact_field *f = &a->fields[i];
        fields[i] = (struct review_field){.name = f->name,
                                          .type = f->type,
                                          .value = f->value,
                                          .confidence = f->confidence,
                                          .rung = ladder_rung_name(f->rung),
                                          .is_open = f->open};
    }
    struct review_artifact x = {.id = a->id,
                                .task = a->task,
                                .workflow = a->workflow,
                                .team = a->team,
                                .actor = a->actor,
                                .title = a->title,
                                .result = a->result_json,
                                .draft = a->draft,
                                .fields = fields,
                                .fields_len = a->fields_len,
                                .input = a->input,
                                .ticket = a->input_id,
                                .vector = a->vector,
                                .dim = a->dim,
                                .model = a->model};
    enum fail f = review_create(tx, &x, a->waits, why);
    return f == FAIL_NONE && a->leaves ? review_deliver(tx, &a->id, why) : f;
}

static enum fail sink_redraft(struct store_tx *tx, void *arg, const struct id *artifact,
                              const char *draft, struct fault *why)
{
    (void)arg;
    return review_redraft(tx, artifact, draft, why);
}

/* Calls to other servers, for tasks. */
static uint64_t hosted_call(void *arg, const struct upstream_ask *ask)
{
    return upstream_call(((struct house *)arg)->upstream, ask);
}

static void hosted_cancel(void *arg, uint64_t id)
{
    upstream_cancel(((struct house *)arg)->upstream, id);
}

static bool hosted_find(void *arg, const char *model, bool *embed)
{
    enum upstream_work work = UPSTREAM_CHAT;
    bool there = upstream_find(((struct house *)arg)->upstream, model, &work);
    *embed = work == UPSTREAM_EMBED;
    return there;
}

static void hosted_check(void *arg, const char *model, int64_t tokens_in, int64_t tokens_out,
                         struct upstream_pool_state *out)
{
    upstream_pool_check(((struct house *)arg)->upstream, model, tokens_in, tokens_out, out);
}

static enum fail note_write(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct house *s = arg;
    struct audit_leaf leaf = {.kind = s->stopping ? AUDIT_KIND_STOPPED : AUDIT_KIND_STARTED,
                              .actor = "system",
                              .team = "system"};
    return audit_append(tx, s->audit, &leaf, NULL, NULL, why);
}

static void flush_limits(void *arg)
{
    struct house *s = arg;
    policy_flush(s->policy);
    (void)loop_timer_add(s->loop, FLUSH_MS, flush_limits, s);
}

/* The records and who may call: everything that lies in the data folder. */
static enum fail open_records(struct house *s, struct fault *why)
{
    char path[CONFIG_HOME_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/data.db", s->home);
    enum fail f = store_open(path, &store_schema_data, &s->store, why);
    if (f == FAIL_NONE) {
        f = audit_master_settle(s->home, why);
    }
    if (f == FAIL_NONE) {
        f = keyring_master_open(s->home, &s->master, why);
    }
    if (f == FAIL_NONE) {
        f = audit_open(s->home, s->store, s->master, &s->audit, why);
    }
    if (f == FAIL_NONE) {
        struct keyring_options keyring = {.record = api_record_keyring,
                                          .record_arg = s->audit,
                                          .session_idle_s = s->config->login_idle_minutes * 60,
                                          .session_absolute_s = s->config->login_hours * 3600};
        f = keyring_open(s->store, s->master, &keyring, &s->keyring, why);
    }
    if (f == FAIL_NONE) {
        f = login_open(s->first, s->keyring, s->loop, &s->login, why);
    }
    if (f == FAIL_NONE) {
        struct policy_defaults limits = limits_of(s->config);
        f = policy_open(s->store, s->audit, &limits, &s->policy, why);
    }
    if (f == FAIL_NONE) {
        f = store_write_wait(s->store, note_write, s, why);
    }
    return f == FAIL_NONE
               ? house_rules_propose(s->store, s->audit, s->config->route_rules, why)
               : f;
}

/* A stop switch was turned, on any thread. */
static void halted_now(void *arg)
{
    upstream_halted(((struct house *)arg)->upstream);
}

static void halted(void *arg)
{
    struct house *s = arg;
    task_halted(s->desk);
    loop_post(s->loop, halted_now, s);
}

static void fleet_changed(void *arg)
{
    struct house *s = arg;
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        struct fleet_model m;
        memset(&m, 0, sizeof(m));
        fleet_model_get(s->fleet, (enum fleet_role)i, &m);
        log_write(LOG_LEVEL_DEBUG, "model.state",
                  LOG_FIELDS(LOG_TEXT("role", fleet_role_name((enum fleet_role)i)),
                             LOG_TEXT("model", m.name), LOG_NUM("state", m.state)));
    }
    roster_fleet_changed(s->roster);
    task_fleet_changed(s->desk);
    datasets_fleet_changed(s->datasets);
}

static enum fail open_states(struct house *s, struct fault *why)
{
    uint8_t key[32];
    int64_t budget = s->config->engine_prefix_disk_mb * 1024 * 1024;
    if (budget == 0) {
        return FAIL_NONE;
    }
    keyring_master_derive(s->master, "states", key);
    enum fail f = states_open(s->loop, s->home, key, budget, &s->states, why);
    explicit_bzero(key, sizeof(key));
    return f;
}

/* Nano-units to units; a machine's hour is its power and what it costs beside. */
static struct task_costs costs_of(const struct config *c)
{
    return (struct task_costs){
        .machine_hour = (double)c->cost_per_hour / 1e9 +
                        (double)c->cost_per_kwh / 1e9 * (double)c->cost_watts / 1000,
        .person_task = (double)c->cost_person_task / 1e9};
}

static void connect_rooms(struct house *s)
{
    fleet_on_change(s->fleet, fleet_changed, s);
    upstream_set_policy(s->upstream, s->policy);
    policy_on_halt(s->policy, halted, s);
}

static enum fail open_datasets(struct house *s, struct fault *why)
{
    struct dataset_house house = {.loop = s->loop,
                                  .crunch = s->crunch,
                                  .store = s->store,
                                  .audit = s->audit,
                                  .fleet = s->fleet};
    struct dataset_hooks hooks;
    enum fail f = datasets_open(&house, &s->datasets, why);
    if (f == FAIL_NONE) {
        task_dataset_hooks(s->desk, &hooks);
        datasets_set_hooks(s->datasets, &hooks);
        connect_rooms(s);
    }
    return f;
}

static enum fail open_fleet(struct house *s, struct fault *why)
{
    const struct config *c = s->config;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    enum fail opened = open_states(s, why);
    if (opened != FAIL_NONE) {
        return opened;
    }
    s->crunch = pool_new(cores > 2 ? (int)cores - 1 : 1, CRUNCH_QUEUE);
    struct fleet_options fleet = {.worker_path = s->worker,
                                  .engine = c->engine_kind,
                                  .engine_dir = s->engine_dir,
                                  .seal = c->engine_seal,
                                  .threads = (int)c->engine_threads,
                                  .speculate = c->engine_speculate,
                                  .n_ctx_light = (int)c->models_ctx_light,
                                  .n_ctx_heavy = (int)c->models_ctx_heavy,
                                  .n_seq = (int)c->models_seq,
                                  .prefix_ram_mb = (int)c->engine_prefix_ram_mb,
                                  .states = s->states,
                                  .max_open = OPEN_ASKS,
                                  .max_waiting = (size_t)c->limits_tasks_running * 4};
    return fleet_new(s->loop, &fleet, &s->fleet, why);
}

static enum fail open_core(struct house *s, struct fault *why)
{
    const struct config *c = s->config;
    enum fail f = open_fleet(s, why);
    struct task_house desk = {.loop = s->loop,
                              .crunch = s->crunch,
                              .store = s->store,
                              .audit = s->audit,
                              .policy = s->policy,
                              .fleet = s->fleet,
                              .sink = {.create = sink_create, .redraft = sink_redraft},
                              .hosted = {.arg = s,
                                         .call = hosted_call,
                                         .cancel = hosted_cancel,
                                         .find = hosted_find,
                                         .check = hosted_check,
                                         .light = c->models_light_upstream,
                                         .heavy = c->models_heavy_upstream},
                              .costs = costs_of(c),
                              .max_running = (int)c->limits_tasks_running,
                              .max_waiting = (int)c->limits_tasks_waiting};
    struct roster_options roster = {.loop = s->loop,
                                    .crunch = s->crunch,
                                    .fleet = s->fleet,
                                    .home = s->home,
                                    .engine = c->engine_kind,
                                    .role_model = {c->models_embed, c->models_light,
                                                   c->models_heavy, c->models_rerank},
                                    .memory_bytes = c->models_memory_mb * 1024 * 1024,
                                    .n_ctx_light = (int)c->models_ctx_light,
                                    .n_ctx_heavy = (int)c->models_ctx_heavy,
                                    .prefix_ram_mb = (int)c->engine_prefix_ram_mb,
                                    .on_demand = c->models_on_demand};
    if (f == FAIL_NONE) {
        roster.fleet = s->fleet;
        f = roster_new(&roster, &s->roster, why);
    }
    if (f == FAIL_NONE) {
        f = upstream_open(s->loop, s->store, c, &s->upstream, why);
    }
    if (f == FAIL_NONE) {
        f = route_zone_open(c->report_timezone, &s->zone, why);
    }
    if (f == FAIL_NONE) {
        desk.zone = s->zone;
        desk.roster = s->roster;
        f = task_desk_new(&desk, &s->desk, why);
    }
    return f == FAIL_NONE ? open_datasets(s, why) : f;
}

static enum fail open_jobs(struct house *s, struct fault *why)
{
    struct job_house house = {.loop = s->loop,
                              .store = s->store,
                              .audit = s->audit,
                              .keyring = s->keyring,
                              .policy = s->policy,
                              .fleet = s->fleet,
                              .desk = s->desk,
                              .light = s->config->models_light_upstream,
                              .heavy = s->config->models_heavy_upstream,
                              .machine_hour = costs_of(s->config).machine_hour};
    return jobs_open(&house, &s->jobs, why);
}

/* Once the desk was given its workflows: a job that begins again asks at once. */
static enum fail start_jobs(struct house *s, struct fault *why)
{
    return jobs_start(s->jobs, why);
}

static enum fail open_api(struct house *s, struct fault *why)
{
    const struct config *c = s->config;
    struct api_house house = {.loop = s->loop,
                              .crunch = s->crunch,
                              .store = s->store,
                              .audit = s->audit,
                              .keyring = s->keyring,
                              .login = s->login,
                              .policy = s->policy,
                              .desk = s->desk,
                              .datasets = s->datasets,
                              .jobs = s->jobs,
                              .fleet = s->fleet,
                              .roster = s->roster,
                              .upstream = s->upstream,
                              .home = s->home,
                              .engine = c->engine_kind,
                              .context_max = c->models_ctx_light < c->models_ctx_heavy
                                                 ? c->models_ctx_light
                                                 : c->models_ctx_heavy,
                              .raw_grammar = c->engine_raw_grammar,
                              .public_url = c->login_public_url,
                              .forwarded = c->login_forwarded,
                              .stop = stop_all,
                              .stop_arg = s};
    return api_new(&house, &s->api, why);
}

/* HOME/sock, 0600. The lock is ours, so an old one is nobody's. */
static int local_socket(struct house *s, struct fault *why)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(s->sock, sizeof(s->sock), "%s/sock", s->home);
    if (!text_copy(at.sun_path, sizeof(at.sun_path), s->sock)) {
        FAULT(why, FAIL_BAD_REQUEST, "the path of the data folder is too long for a socket: %.200s",
              s->home);
        fail_hint(why, "Choose one of less than 100 characters with --home.");
        return -1;
    }
    (void)unlink(s->sock);
    mode_t old = umask(0177);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good =
        fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 256) == 0;
    (void)umask(old);
    if (!good) {
        FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot listen on %.200s", s->sock);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    s->made_sock = true;
    return fd;
}

static enum fail open_wire(struct house *s, struct fault *why)
{
    const struct config *c = s->config;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int fd = s->o.listen_fd;
    if (fd < 0) {
        fd = local_socket(s, why);
        if (fd < 0) {
            return why->code;
        }
    } else if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        return FAULT_ERRNO(why, FAIL_BAD_REQUEST, "--listen-fd %d is no socket to listen on", fd);
    }
    bool tcp = s->o.linger_s <= 0 || s->o.listen_address != NULL;
    enum fail first = tcp ? api_first_run(s->keyring, s->home, why) : FAIL_NONE;
    if (first != FAIL_NONE) {
        close(fd);
        return first;
    }
    struct wire_options w = {.address = tcp ? c->listen_address : NULL,
                             .port = (int)c->listen_port,
                             .unix_fd = fd,
                             .threads = c->http_threads > 0 ? (int)c->http_threads
                                        : cores > 4         ? 4
                                                            : (int)cores,
                             .max_connections = (int)c->limits_connections,
                             .max_connections_per_address = (int)c->limits_connections_per_address,
                             .body_bytes = (size_t)c->limits_body_bytes,
                             .arg = s->api};
    w.routes = api_routes(&w.routes_len);
    api_gate(s->api, &w.gate);
    enum fail f = wire_new(&w, &s->wire, why);
    if (f != FAIL_NONE) {
        close(fd);
        return f;
    }
    api_set_wire(s->api, s->wire);
    log_write(
        LOG_LEVEL_INFO, "server.listening",
        LOG_FIELDS(LOG_TEXT("home", s->home), LOG_TEXT("address", tcp ? c->listen_address : ""),
                   LOG_NUM("port", wire_port(s->wire)), LOG_TEXT("version", INHOUSE_VERSION)));
    return FAIL_NONE;
}

static enum fail open_loop(struct house *s, struct fault *why)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    enum fail f = loop_new(&s->loop, why);
    if (f != FAIL_NONE) {
        return f;
    }
    s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->signal_fd < 0) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot watch signals");
    }
    return loop_watch(s->loop, s->signal_fd, EPOLLIN, on_signal, s, why);
}

enum fail house_open(const struct house_options *o, struct house **out, struct fault *why)
{
    struct house *s = mem_alloc(sizeof(*s));
    s->o = *o;
    s->lock_fd = s->signal_fd = -1;
    enum fail f = config_home_open(o->home, s->home, why);
    if (f == FAIL_NONE) {
        s->config = house_config(o, s->home);
        if (s->config == NULL) {
            f = FAULT(why, FAIL_BAD_REQUEST, "the configuration is wrong: see above");
        }
    }
    if (f == FAIL_NONE) {
        s->first = config_ref(s->config);
        sources_use(s->first);
        log_set_level(level_of(s->config));
        find_programs(s);
        f = config_home_lock(s->home, &s->lock_fd, why);
    }
    enum fail (*const steps[])(struct house *, struct fault *) = {
        open_loop, open_records, open_core, open_jobs, open_api, start_jobs, open_wire};
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(steps); i++) {
        f = steps[i](s, why);
    }
    if (f != FAIL_NONE) {
        house_close(s);
        return f;
    }
    *out = s;
    return FAIL_NONE;
}

/* Nothing of the day's work depends on it: what is wrong is logged, and doctor says it. */
static void start_leaving(struct house *s)
{
    const struct config *c = s->first;
    struct fault why;
    struct audit_leave_options o = {.note_folder = c->audit_note_folder,
                                    .witness_url = c->audit_witness_url,
                                    .witness_key = c->audit_witness_key,
                                    .mail_url = c->audit_mail_url,
                                    .mail_from = c->audit_mail_from,
                                    .mail_to = c->audit_mail_to,
                                    .mail_user = c->audit_mail_user,
                                    .mail_password_file = c->audit_mail_password_file,
                                    .every_s = c->audit_every_s};
    if (audit_leave_start(s->audit, s->home, &o, &s->leave, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "audit.checkpoints_stay", &why);
    }
}

void house_run(struct house *s)
{
    roster_scan(s->roster, NULL, NULL);
    flush_limits(s);
    audit_index_start(s->audit, s->loop);
    start_leaving(s);
    if (s->o.linger_s > 0) {
        s->alone_since_us = clock_monotonic_us();
        (void)loop_timer_add(s->loop, 250, watch_clients, s);
    }
    loop_run(s->loop);
}

static void *free_pool(void *pool)
{
    pool_free(pool);
    return NULL;
}

/* Heavy work cannot be interrupted; a server that was told to end does not wait minutes for it.
   What it wrote is durable already; what it had not written never happened: the process ends. */
static void end_crunch(struct house *s)
{
    pthread_t helper;
    struct fault why;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CRUNCH_END_S;
    if (pthread_create(&helper, NULL, free_pool, s->crunch) != 0) {
        pool_free(s->crunch);
        return;
    }
    if (pthread_timedjoin_np(helper, NULL, &until) == 0) {
        return;
    }
    if (store_write_wait(s->store, note_write, s, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "server.stop_unrecorded", &why);
    }
    log_write(LOG_LEVEL_WARN, "server.stopped_with_work_left", NULL);
    _exit(0);
}

void house_close(struct house *s)
{
    struct fault why;
    if (s == NULL) {
        return;
    }
    if (s->wire != NULL) {
        wire_free(s->wire, STREAM_END_MS);
    }
    if (s->made_sock) {
        (void)unlink(s->sock);
    }
    jobs_close(s->jobs);
    datasets_stop(s->datasets);
    if (s->crunch != NULL) {
        end_crunch(s);
    }
    states_close(s->states);
    audit_index_stop(s->audit);
    audit_leave_stop(s->leave);
    if (s->loop != NULL) {
        loop_stop(s->loop); /* what was posted late, or before a start that failed */
        loop_run(s->loop);
    }
    api_free(s->api);
    task_desk_free(s->desk);
    roster_free(s->roster);
    fleet_free(s->fleet);
    datasets_close(s->datasets);
    if (s->stopping && s->audit != NULL &&
        store_write_wait(s->store, note_write, s, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_ERROR, "server.stop_unrecorded", &why);
    }
    if (s->policy != NULL) {
        policy_flush_wait(s->policy);
    }
    login_close(s->login);
    keyring_close(s->keyring);
    store_close(s->store);
    upstream_close(s->upstream);
    policy_close(s->policy);
    route_zone_close(s->zone);
    audit_close(s->audit);
    keyring_master_close(s->master);
    if (s->loop != NULL) {
        loop_free(s->loop);
    }
    if (s->signal_fd >= 0) {
        close(s->signal_fd);
    }
    if (s->lock_fd >= 0) {
        close(s->lock_fd);
    }
    sources_use(NULL);
    config_unref(s->config);
    config_unref(s->first);
    mem_free(s);
}
