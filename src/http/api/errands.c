/* SPDX-License-Identifier: Apache-2.0 */
/* Errands: learning and taking articles in, started over HTTP and followed under /api/v1/jobs
   beside the kept jobs. In memory, on the core thread; the oldest finished one makes room. */
#include "http/api/api_internal.h"

#include <string.h>

#include "base/clock/clock.h"
#include "base/log/log.h"

static const char *const state_names[] = {"running", "done", "failed"};

struct errand *errand_new(struct api *a, const char *kind, const char *name,
                          const struct principal *who)
{
    struct errand *best = NULL;
    for (size_t i = 0; i < API_MAX_ERRANDS; i++) {
        struct errand *j = &a->errands[i];
        if (text_id_is_zero(&j->id)) {
            best = j;
            break;
        }
        if (j->state != ERRAND_RUNNING && (best == NULL || j->ended_at < best->ended_at)) {
            best = j;
        }
    }
    if (best == NULL) {
        return NULL;
    }
    mem_free(best->result);
    pthread_mutex_lock(&a->lock); /* the gate reads id and team on other threads */
    memset(best, 0, sizeof(*best));
    best->id = text_id_new();
    (void)text_copy(best->team, sizeof(best->team), who->team);
    pthread_mutex_unlock(&a->lock);
    best->kind = kind;
    (void)text_copy(best->name, sizeof(best->name), name);
    (void)text_copy(best->stage, sizeof(best->stage), "queued");
    best->created_at = clock_now_us();
    return best;
}

void errand_owner(struct api *a, const struct id *id, char team[KEYRING_NAME_SIZE])
{
    static const char nobody[KEYRING_NAME_SIZE] = "";
    const char *found = nobody;
    pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < API_MAX_ERRANDS; i++) { /* all are looked at, found or not */
        found = text_id_equal(&a->errands[i].id, id) ? a->errands[i].team : found;
    }
    memcpy(team, text_id_is_zero(id) ? nobody : found, KEYRING_NAME_SIZE);
    pthread_mutex_unlock(&a->lock);
}

void errand_progress(void *arg, const char *stage, size_t done, size_t total)
{
    struct errand *j = arg;
    (void)text_copy(j->stage, sizeof(j->stage), stage);
    j->done = done;
    j->total = total;
}

void errand_end(struct errand *j, enum fail code, const struct fault *why, const char *result,
                size_t len)
{
    j->state = code == FAIL_NONE ? ERRAND_DONE : ERRAND_FAILED;
    j->ended_at = clock_now_us();
    (void)text_copy(j->stage, sizeof(j->stage), state_names[j->state]);
    if (code != FAIL_NONE) {
        if (why != NULL) {
            j->why = *why;
        } else {
            FAULT(&j->why, code, "the job failed");
        }
        log_fault(LOG_LEVEL_WARN, "job.failed", &j->why);
    } else {
        j->result = mem_dup_strn(result, len);
    }
}

static void put_job(struct jn_writer *w, const struct errand *j, bool whole)
{
    api_put_id(w, "job", "job", &j->id);
    jn_kv_str(w, "kind", j->kind);
    jn_kv_str(w, "name", j->name);
    jn_kv_str(w, "state", state_names[j->state]);
    jn_kv_str(w, "stage", j->stage);
    jn_kv_int(w, "done", (int64_t)j->done);
    jn_kv_int(w, "total", (int64_t)j->total);
    api_put_time(w, "created_at", j->created_at);
    api_put_time(w, "ended_at", j->ended_at);
    if (whole && j->state == ERRAND_DONE) {
        jn_key(w, "result");
        jn_put_raw(w, j->result, strlen(j->result));
    }
    if (j->state == ERRAND_FAILED) {
        jn_key(w, "error");
        jn_object_begin(w);
        jn_kv_str(w, "code", fail_name(j->why.code));
        jn_kv_str(w, "message", j->why.message);
        jn_kv_str(w, "hint", j->why.hint[0] ? j->why.hint : NULL);
        jn_kv_str(w, "param", j->why.param[0] ? j->why.param : NULL);
        jn_object_end(w);
    }
}

void errand_reply(struct wire_request *r, const struct errand *j)
{
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    put_job(&w, j, false);
    api_send(r, 202, &w);
}

static bool may_see(const struct wire_request *r, const struct errand *j)
{
    const struct principal *p = api_who(r);
    return !text_id_is_zero(&j->id) &&
           policy_sees(p, j->team);
}

void errand_show(struct api *a, struct wire_request *r, const struct id *id)
{
    struct jn_writer w;
    struct buf body;
    for (size_t i = 0; i < API_MAX_ERRANDS; i++) {
        const struct errand *j = &a->errands[i];
        if (text_id_equal(&j->id, id) && may_see(r, j)) {
            api_open(&w, &body);
            put_job(&w, j, true);
            api_send(r, 200, &w);
            return;
        }
    }
    struct fault why;
    FAULT(&why, FAIL_NOT_FOUND, "there is no such job");
    fail_hint(&why, "Learning and taking articles in are kept until the server restarts.");
    wire_fail(r, FAIL_NOT_FOUND, &why);
}

void errand_list(struct api *a, struct wire_request *r, struct jn_writer *w)
{
    for (size_t i = 0; i < API_MAX_ERRANDS; i++) {
        if (may_see(r, &a->errands[i])) {
            jn_object_begin(w);
            put_job(w, &a->errands[i], false);
            jn_object_end(w);
        }
    }
}
