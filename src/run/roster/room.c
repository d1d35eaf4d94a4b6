/* SPDX-License-Identifier: Apache-2.0 */
/* Room in memory: what is counted, who may go, who is loaded next. Looked at when something
   changes, and every LOOK_MS while something waits. */
#include "run/roster/roster_internal.h"

#include <stdio.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "base/text/text.h"

#define LOOK_MS 50
#define IDLE_US 500000 /* an ask may be on its way to a model that was just asked for */
#define MIB (INT64_C(1) << 20)

/* ---- what is counted ---- */

int64_t item_need(const struct roster *r, const struct item *it)
{
    bool seen = !roster_is_fake(r) && it->e.memory_bytes > 0 && it->e.memory_ctx == it->n_ctx;
    return seen ? it->e.memory_bytes : it->estimate;
}

bool item_is_pinned(const struct item *it)
{
    return it->e.pin == MODELS_PIN_YES || (it->e.pin == MODELS_PIN_BY_ROLE && it->roles != 0);
}

enum roster_state item_state(const struct roster *r, const struct item *it)
{
    struct fleet_model m;
    if (item_is_adapter(it)) {
        return adapter_state(r, it);
    }
    if (it->model != 0 && fleet_model_find(r->o.fleet, it->model, &m)) {
        switch (m.state) {
        case FLEET_READY:
            return ROSTER_READY;
        case FLEET_STARTING:
            return ROSTER_LOADING;
        case FLEET_BROKEN:
            return ROSTER_BROKEN;
        case FLEET_ABSENT:
        case FLEET_STOPPING:
            return ROSTER_UNLOADING;
        }
    }
    return it->checking                      ? ROSTER_CHECKING
           : it->fd >= 0                     ? ROSTER_WAITING
           : it->broken.code != FAIL_NONE    ? ROSTER_BROKEN
                                             : ROSTER_STORED;
}

/* ---- who may go ---- */

/* Nothing runs in it or waits for it, nobody just asked for it, and no one holds on to it. */
static bool may_go(const struct roster *r, const struct item *it, int64_t now, bool even_busy)
{
    struct fleet_model m;
    if (it->model == 0 || item_is_pinned(it) || !fleet_model_find(r->o.fleet, it->model, &m) ||
        m.state == FLEET_STOPPING) {
        return false;
    }
    bool idle = m.running == 0 && m.queued == 0 && m.state != FLEET_STARTING &&
                it->wants == NULL && now - it->touched_us > IDLE_US && now - m.used_us > IDLE_US;
    return idle || even_busy;
}

static int64_t last_use(const struct roster *r, const struct item *it)
{
    struct fleet_model m;
    (void)fleet_model_find(r->o.fleet, it->model, &m);
    return m.state == FLEET_BROKEN      ? 0 /* first of all */
           : m.used_us > it->touched_us ? m.used_us
                                        : it->touched_us;
}

static struct item *next_to_go(const struct roster *r, int64_t now)
{
    struct item *best = NULL;
    for (struct item *it = r->items; it != NULL; it = it->next) {
        if (may_go(r, it, now, false) &&
            (best == NULL || last_use(r, it) < last_use(r, best))) {
            best = it;
        }
    }
    return best;
}

/* How many the fleet counts against FLEET_MODELS_MAX; what finishes and goes is not among them. */
static int places_used(const struct roster *r)
{
    uint32_t ids[2 * FLEET_MODELS_MAX];
    struct fleet_model m;
    size_t n = fleet_ids(r->o.fleet, ids);
    int used = 0;
    for (size_t i = 0; i < n; i++) {
        used += fleet_model_find(r->o.fleet, ids[i], &m) && m.state != FLEET_STOPPING ? 1 : 0;
    }
    return used;
}

static void say_all_places_are_taken(const struct item *it, int places, struct fault *why)
{
    FAULT(why, FAIL_MODEL_UNAVAILABLE,
          "the model %.64s has no place: %d models are loaded, the most there may be, and each is "
          "pinned or busy",
          it->e.name, places);
    fail_param(why, "model");
    fail_hint(why, "Unload or unpin one (`inhouse models unload NAME`, `unpin NAME`).");
}

static void say_what_is_loaded(struct roster *r, const struct item *it, struct fault *why)
{
    char loaded[200] = "";
    size_t at = 0;
    for (const struct item *k = r->items; k != NULL && at < sizeof(loaded) - 40; k = k->next) {
        if (k->model != 0) {
            struct fleet_model m;
            bool busy = fleet_model_find(r->o.fleet, k->model, &m) && m.running + m.queued > 0;
            at += (size_t)snprintf(loaded + at, sizeof(loaded) - at, "%s%.40s %lld%s",
                                   at > 0 ? ", " : "", k->e.name,
                                   (long long)(item_need(r, k) / MIB),
                                   item_is_pinned(k) ? " pinned"
                                   : busy            ? " busy"
                                                     : "");
        }
    }
    FAULT(why, FAIL_MODEL_UNAVAILABLE,
          "the model %.64s needs %lld MiB and does not fit into the %lld MiB for models: "
          "loaded are %s",
          it->e.name, (long long)(item_need(r, it) / MIB), (long long)(r->o.memory_bytes / MIB),
          at > 0 ? loaded : "none");
    fail_param(why, "model");
    fail_hint(why, "Unload or unpin one (`inhouse models unload NAME`, `unpin NAME`), or raise "
                   "models.memory_mb.");
}

/* ---- who is loaded ---- */

static void load(struct roster *r, struct item *it)
{
    struct fault why;
    struct models_serving serving;
    models_serving_get(&it->opened, &serving); /* what fd was hashed as */
    struct fleet_loading what = {.name = it->e.name, .sha256 = serving.sha256, .fd = it->fd,
                                 .kind = it->kind, .n_ctx = it->n_ctx, .run = &serving.run};
    uint32_t id = 0;
    it->fd = -1;
    if (fleet_open(r->o.fleet, &what, &id, &why) != FAIL_NONE) {
        item_fail(r, it, &why);
        return;
    }
    it->model = id;
    log_write(LOG_LEVEL_INFO, "model.loading",
              LOG_FIELDS(LOG_TEXT("model", it->e.name), LOG_NUM("need_bytes", item_need(r, it))));
    for (int i = 0; i < FLEET_ROLE_COUNT; i++) {
        if ((it->roles & 1u << i) != 0) {
            fleet_role_set(r->o.fleet, (enum fleet_role)i, id);
        }
    }
    item_answer(r, it, it->model, true);
}

/* True when it fits now, or was refused: either way it waits no longer. */
static bool settle_one(struct roster *r, struct item *it, int64_t now)
{
    int64_t need = item_need(r, it), used = 0, leaving = 0, could = 0;
    int places = places_used(r), could_place = 0;
    struct fleet_model m;
    for (const struct item *k = r->items; k != NULL; k = k->next) {
        if (k->model != 0 && fleet_model_find(r->o.fleet, k->model, &m)) {
            int64_t bytes = item_need(r, k);
            used += bytes;
            leaving += m.state == FLEET_STOPPING ? bytes : 0;
            bool may = may_go(r, k, now, true);
            could += may ? bytes : 0;
            could_place += may ? 1 : 0;
        }
    }
    if (used + need <= r->o.memory_bytes && places < FLEET_MODELS_MAX) {
        load(r, it);
        return true;
    }
    struct fault why;
    bool late = now - it->waits_since_us > (int64_t)ROSTER_WAIT_MS * 1000;
    bool full = used + need > r->o.memory_bytes;
    if ((late && full) || used - leaving - could + need > r->o.memory_bytes) {
        say_what_is_loaded(r, it, &why);
        item_fail(r, it, &why);
        return true;
    }
    if (places >= FLEET_MODELS_MAX && (late || places - could_place >= FLEET_MODELS_MAX)) {
        say_all_places_are_taken(it, places, &why);
        item_fail(r, it, &why);
        return true;
    }
    for (struct item *go = next_to_go(r, now);
         go != NULL &&
         (used - leaving + need > r->o.memory_bytes || places >= FLEET_MODELS_MAX);
         go = next_to_go(r, now)) {
        leaving += item_need(r, go);
        places--;
        log_write(LOG_LEVEL_INFO, "model.unloading",
                  LOG_FIELDS(LOG_TEXT("model", go->e.name), LOG_TEXT("for", it->e.name)));
        fleet_close(r->o.fleet, go->model);
    }
    return false;
}

/* Wants of what is loaded are answered; of what is not, the file is opened. */
static void serve_wants(struct roster *r, struct item *it)
{
    struct fleet_model m;
    struct fault why;
    if (it->wants == NULL) {
        return;
    }
    if (item_is_adapter(it)) {
        adapter_serve_wants(r, it);
        return;
    }
    switch (item_state(r, it)) {
    case ROSTER_READY:
        item_answer(r, it, it->model, false);
        return;
    case ROSTER_STORED:
        item_check(r, it);
        return;
    case ROSTER_BROKEN:
        (void)fleet_model_find(r->o.fleet, it->model, &m);
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "the model %s cannot be loaded: %.240s", it->e.name,
              it->broken.code != FAIL_NONE ? it->broken.message : m.reason);
        fail_param(&why, "model");
        fail_hint(&why, "`inhouse models load %s` tries again.", it->e.name);
        item_fail(r, it, &why);
        return;
    case ROSTER_LOADING:
        item_answer(r, it, it->model, true);
        return;
    case ROSTER_CHECKING:
    case ROSTER_WAITING:
    case ROSTER_UNLOADING: /* and then loaded again */
        return;
    }
}

void room_make(struct roster *r)
{
    int64_t now = clock_monotonic_us();
    bool waiting = false;
    for (struct item *it = r->items; it != NULL; it = it->next) {
        serve_wants(r, it);
    }
    /* The one that has waited longest first; the others must not take its room. */
    for (;;) {
        struct item *first = NULL;
        for (struct item *it = r->items; it != NULL; it = it->next) {
            if (it->fd >= 0 && it->model == 0 && !item_is_adapter(it) &&
                (first == NULL || it->waits_since_us < first->waits_since_us)) {
                first = it;
            }
        }
        waiting = first != NULL;
        if (first == NULL || !settle_one(r, first, now)) {
            break;
        }
    }
    if (waiting) {
        roster_kick(r, LOOK_MS);
    }
}
