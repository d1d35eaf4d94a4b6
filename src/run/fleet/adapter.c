/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters of a loaded model: sent after LOADED and after every restart, before the asks that name
   them, so that a worker has them in time. One that kills its worker twice is sent no more. */
#include "run/fleet/fleet_internal.h"

#include <string.h>
#include <unistd.h>

#include "base/json/json.h"
#include "base/log/log.h"
#include "base/text/text.h"

static void set_broken(struct member *m, struct fleet_adapter *a, const char *reason)
{
    FAULT(&a->broken, FAIL_MODEL_UNAVAILABLE, "the adapter %s cannot be loaded over %s: %.200s",
          a->name, m->name, reason);
    fail_hint(&a->broken, "It must have been made for this very model.");
    log_fault(LOG_LEVEL_ERROR, "adapter.broken", &a->broken);
}

static void send_one(struct member *m, struct fleet_adapter *a)
{
    struct jn_writer w;
    struct buf b;
    int fd = -1;
    if (m->state != FLEET_READY || a->broken.code != FAIL_NONE) {
        return;
    }
    if (member_reopen(a->fd, &fd) != FAIL_NONE) {
        set_broken(m, a, "its file could not be opened again");
        return;
    }
    buf_init(&b, 4096);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "adapter", a->name);
    jn_kv_str(&w, "sha256", a->sha256);
    jn_object_end(&w);
    a->sent = ++m->fleet->next_id;
    member_send(m, IPC_ADAPTER, IPC_FLAG_FD, a->sent, b.data, b.len, fd);
    buf_done(&b);
}

void adapters_send(struct member *m)
{
    for (struct fleet_adapter *a = m->adapters; a != NULL; a = a->next) {
        send_one(m, a);
    }
}

bool adapters_answer(struct member *m, const struct ipc_frame *frame)
{
    struct fleet_adapter *a = m->adapters;
    while (a != NULL && (a->sent == 0 || a->sent != frame->head.id)) {
        a = a->next;
    }
    if (a == NULL) {
        return false;
    }
    a->sent = 0;
    if (frame->head.type == IPC_ERROR) {
        AUTO_JSON json_t *j = NULL;
        struct fault why;
        const char *message = "it gave no reason";
        if (jn_parse((const char *)frame->body, frame->head.len, "ERROR", &j, &why) == FAIL_NONE) {
            (void)!jn_str(j, "message", false, 4096, &message, NULL);
        }
        set_broken(m, a, message);
    } else if (frame->head.type != IPC_ADAPTED) {
        member_kill(m, "an answer of the wrong kind to an adapter");
    } else {
        log_write(LOG_LEVEL_INFO, "adapter.ready",
                  LOG_FIELDS(LOG_TEXT("adapter", a->name), LOG_TEXT("model", m->name)));
    }
    return true;
}

void adapters_died(struct member *m)
{
    for (struct fleet_adapter *a = m->adapters; a != NULL; a = a->next) {
        a->deaths += a->sent != 0 ? 1 : 0;
        a->sent = 0;
        if (a->deaths >= FLEET_DEATHS_MAX && a->broken.code == FAIL_NONE) {
            set_broken(m, a, "its worker died of it, twice");
        }
    }
}

void adapters_free(struct member *m)
{
    while (m->adapters != NULL) {
        struct fleet_adapter *a = m->adapters;
        m->adapters = a->next;
        close(a->fd);
        mem_free(a);
    }
}

const struct fleet_adapter *adapters_find(const struct member *m, const char *sha256)
{
    const struct fleet_adapter *a = m->adapters;
    while (a != NULL && strcmp(a->sha256, sha256) != 0) {
        a = a->next;
    }
    return a;
}

bool fleet_adapter_is_there(const struct fleet *f, uint32_t model, const char *sha256)
{
    const struct member *m = fleet_find_member(f, model);
    return m != NULL && adapters_find(m, sha256) != NULL;
}

enum fail fleet_adapter_add(struct fleet *f, uint32_t model, const char *name, const char *sha256,
                            int fd, struct fault *why)
{
    struct member *m = fleet_find_member(f, model);
    if (m == NULL) {
        close(fd);
        return FAULT(why, FAIL_NOT_FOUND, "the model of the adapter %.72s is not loaded", name);
    }
    if (adapters_find(m, sha256) != NULL) {
        close(fd);
        return FAIL_NONE;
    }
    int n = 0;
    struct fleet_adapter **at = &m->adapters;
    while (*at != NULL) {
        at = &(*at)->next;
        n++;
    }
    if (n >= FLEET_ADAPTERS_MAX) {
        close(fd);
        FAULT(why, FAIL_TOO_LARGE, "the model %s has %d adapters, the most there may be", m->name,
              n);
        fail_hint(why, "Unload and load the model: it comes back without them.");
        return FAIL_TOO_LARGE;
    }
    struct fleet_adapter *a = mem_alloc(sizeof(*a));
    (void)text_copy(a->name, sizeof(a->name), name);
    (void)text_copy(a->sha256, sizeof(a->sha256), sha256);
    a->fd = fd;
    *at = a;
    send_one(m, a);
    return FAIL_NONE;
}
