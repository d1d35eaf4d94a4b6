/* SPDX-License-Identifier: Apache-2.0 */
/* The fleet itself: which member serves which role, the asks that wait, stopping. */
#include "run/fleet/fleet.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "run/fleet/fleet_internal.h"

#define STOP_MS 10000

static const char *const role_names[FLEET_ROLE_COUNT] = {"embed", "light", "heavy"};

const char *fleet_role_name(enum fleet_role role)
{
    return role < FLEET_ROLE_COUNT ? role_names[role] : "none";
}

enum fleet_role fleet_role_find(const char *name)
{
    int i = 0;
    while (i < FLEET_ROLE_COUNT && strcmp(role_names[i], name) != 0) {
        i++;
    }
    return (enum fleet_role)i;
}

enum fail fleet_new(struct loop *loop, const struct fleet_options *o, struct fleet **out,
                    struct fault *why)
{
    if (access(o->worker_path, X_OK) != 0) {
        FAULT(why, FAIL_MODEL_UNAVAILABLE, "the worker program is not at %s", o->worker_path);
        fail_hint(why, "Build it with `make build`, or install both programs into one folder.");
        return FAIL_MODEL_UNAVAILABLE;
    }
    struct fleet *f = mem_alloc(sizeof(*f));
    f->loop = loop;
    f->options = *o;
    f->worker_path = mem_dup_str(o->worker_path);
    f->engine = mem_dup_str(o->engine);
    f->engine_dir = mem_dup_str(o->engine_dir);
    if (f->options.threads <= 0) {
        f->options.threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    }
    f->next_id = 16; /* below: LOAD and STOP */
    *out = f;
    return FAIL_NONE;
}

enum fail fleet_load(struct fleet *f, enum fleet_role role, const char *name, const char *sha256,
                     int fd, struct fault *why)
{
    ASSERT(role < FLEET_ROLE_COUNT);
    if (f->stopping) {
        close(fd);
        return FAULT(why, FAIL_STOPPED, "the server is stopping");
    }
    struct member *old = f->current[role];
    struct member *m = member_new(f, role);
    text_copy(m->name, sizeof(m->name), name);
    text_copy(m->sha256, sizeof(m->sha256), sha256);
    m->model_fd = fd;
    f->current[role] = m;
    if (old != NULL) {
        old->retiring = true;
        if (old->open == NULL) {
            member_stop(old);
        }
    }
    member_start(m);
    return FAIL_NONE;
}

void fleet_changed(struct fleet *f)
{
    if (f->on_change != NULL) {
        loop_post(f->loop, f->on_change, f->on_change_arg);
    }
}

void fleet_on_change(struct fleet *f, loop_call_fn fn, void *arg)
{
    f->on_change = fn;
    f->on_change_arg = arg;
}

void fleet_member_gone(struct member *m)
{
    struct fleet *f = m->fleet;
    if (f->current[m->role] == m) {
        f->current[m->role] = NULL;
    }
    member_free(m);
    fleet_changed(f);
    if (f->stopping && f->members == NULL && f->on_stopped != NULL) {
        loop_timer_cancel(f->loop, f->kill_timer);
        loop_post(f->loop, f->on_stopped, f->on_stopped_arg);
        f->on_stopped = NULL;
    }
}

static void kill_all(void *arg)
{
    struct fleet *f = arg;
    for (struct member *m = f->members; m != NULL; m = m->next) {
        member_kill(m, "it did not stop in time");
    }
}

void fleet_stop(struct fleet *f, loop_call_fn done, void *arg)
{
    struct fault why;
    f->stopping = true;
    f->on_stopped = done;
    f->on_stopped_arg = arg;
    FAULT(&why, FAIL_STOPPED, "the server is stopping");
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        while (f->waiting[role] != NULL) {
            struct ask *a = f->waiting[role];
            f->waiting[role] = a->next;
            answer_fail(a, FAIL_STOPPED, &why);
        }
        f->waiting_len[role] = 0;
    }
    if (f->members == NULL) {
        f->on_stopped = NULL;
        loop_post(f->loop, done, arg);
        return;
    }
    f->kill_timer = loop_timer_add(f->loop, STOP_MS, kill_all, f);
    for (struct member *m = f->members, *next; m != NULL; m = next) {
        next = m->next;
        member_stop(m);
    }
}

void fleet_free(struct fleet *f)
{
    if (f == NULL) {
        return;
    }
    while (f->members != NULL) {
        member_kill(f->members, "the server ends");
        member_free(f->members);
    }
    mem_free(f->worker_path);
    mem_free(f->engine);
    mem_free(f->engine_dir);
    mem_free(f);
}

static int64_t rss_of(pid_t pid)
{
    char path[64], text[128] = "";
    snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    FILE *file = pid > 0 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return 0;
    }
    int64_t pages = 0;
    if (fgets(text, sizeof(text), file) != NULL) {
        char *space = strchr(text, ' ');
        char *end = space != NULL ? strchr(space + 1, ' ') : NULL;
        if (end != NULL) {
            *end = '\0';
            (void)text_read_int(space + 1, 0, INT64_MAX / 65536, &pages);
        }
    }
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

void fleet_model_get(const struct fleet *f, enum fleet_role role, struct fleet_model *out)
{
    memset(out, 0, sizeof(*out));
    const struct member *m = f->current[role];
    out->deaths = f->role_deaths[role];
    out->queued = (int)f->waiting_len[role];
    if (m == NULL) {
        return;
    }
    text_copy(out->name, sizeof(out->name), m->name);
    text_copy(out->sha256, sizeof(out->sha256), m->sha256);
    text_copy(out->arch, sizeof(out->arch), m->arch);
    out->state = m->state;
    out->bytes = m->bytes;
    out->rss_bytes = rss_of(m->pid);
    out->n_ctx = m->n_ctx;
    out->n_embd = m->n_embd;
    out->n_params = m->n_params;
    out->pid = (int)m->pid;
    out->running = (int)m->open_len;
    if (m->state == FLEET_BROKEN) {
        (void)text_copy(out->reason, sizeof(out->reason), m->broken.message);
    }
}

bool fleet_is_ready(const struct fleet *f, enum fleet_role role)
{
    return f->current[role] != NULL && f->current[role]->state == FLEET_READY;
}

bool fleet_is_serving(const struct fleet *f, enum fleet_role role)
{
    const struct member *m = f->current[role];
    return m != NULL && (m->state == FLEET_READY || (m->state == FLEET_STARTING && m->was_ready));
}

struct refusal {
    fleet_done_fn done;
    void *arg;
    struct fault why;
};

static void deliver_refusal(void *arg)
{
    struct refusal *r = arg;
    struct fleet_answer answer = {.code = r->why.code, .why = &r->why};
    r->done(r->arg, &answer);
    mem_free(r);
}

static uint64_t refuse(struct fleet *f, const struct fleet_ask *ask, const struct fault *why)
{
    struct refusal *r = mem_alloc(sizeof(*r));
    r->done = ask->done;
    r->arg = ask->arg;
    r->why = *why;
    loop_post(f->loop, deliver_refusal, r);
    return 0;
}

uint64_t fleet_ask(struct fleet *f, const struct fleet_ask *ask)
{
    struct fault why;
    struct member *m = f->current[ask->role];
    ASSERT(ask->type != IPC_FORM || ask->plan != NULL);
    if (f->stopping) {
        FAULT(&why, FAIL_STOPPED, "the server is stopping");
        return refuse(f, ask, &why);
    }
    if (m == NULL) {
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "no model serves the role \"%s\"",
              fleet_role_name(ask->role));
        fail_hint(&why, "Add one with `inhouse models add FILE.gguf --role %s`.",
                  fleet_role_name(ask->role));
        return refuse(f, ask, &why);
    }
    if (m->state == FLEET_BROKEN) {
        return refuse(f, ask, &m->broken);
    }
    if (f->waiting_len[ask->role] >= f->options.max_waiting) {
        FAULT(&why, FAIL_QUEUE_FULL, "%zu requests already wait for the role \"%s\"",
              f->waiting_len[ask->role], fleet_role_name(ask->role));
        return refuse(f, ask, &why);
    }
    if (ask->len > FLEET_BODY_MAX) {
        FAULT(&why, FAIL_TOO_LARGE, "the request is larger than %zu bytes", FLEET_BODY_MAX);
        return refuse(f, ask, &why);
    }
    struct ask *a = mem_alloc(sizeof(*a));
    *a = (struct ask){.id = ++f->next_id, .role = ask->role, .type = ask->type,
                      .flags = ask->flags, .body = mem_dup(ask->body, ask->len), .len = ask->len,
                      .plan = ask->plan, .on_text = ask->on_text, .done = ask->done,
                      .arg = ask->arg};
    struct ask **at = &f->waiting[ask->role];
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = a;
    f->waiting_len[ask->role]++;
    uint64_t id = a->id;
    member_pump(m);
    return id;
}

void fleet_cancel(struct fleet *f, uint64_t id)
{
    for (struct member *m = f->members; m != NULL; m = m->next) {
        for (struct ask *a = m->open; a != NULL; a = a->next) {
            if (a->id == id) {
                a->cancelled = true;
                member_send(m, IPC_CANCEL, 0, id, NULL, 0, -1);
                return;
            }
        }
    }
    for (int role = 0; role < FLEET_ROLE_COUNT; role++) {
        for (struct ask **at = &f->waiting[role]; *at != NULL; at = &(*at)->next) {
            if ((*at)->id == id) {
                struct ask *a = *at;
                *at = a->next;
                f->waiting_len[role]--;
                struct fault why;
                FAULT(&why, FAIL_STOPPED, "cancelled");
                struct fleet_ask gone = {.done = a->done, .arg = a->arg};
                refuse(f, &gone, &why);
                ask_free(a);
                return;
            }
        }
    }
}

static void put_u32(struct buf *b, uint32_t v)
{
    uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_add(b, bytes, sizeof(bytes));
}

bool fleet_embed_body(struct buf *out, enum ipc_class class, const char *domain,
                      const char *const *texts, size_t n)
{
    size_t domain_len = strlen(domain);
    put_u32(out, (uint32_t)n);
    uint8_t head[4] = {(uint8_t)class, 0, (uint8_t)domain_len, (uint8_t)(domain_len >> 8)};
    buf_add(out, head, sizeof(head));
    buf_add(out, domain, domain_len);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(texts[i]);
        put_u32(out, (uint32_t)len);
        buf_add(out, texts[i], len);
    }
    return !out->overflow && out->len <= FLEET_BODY_MAX && n > 0 && n <= 256;
}
