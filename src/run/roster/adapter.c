/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters (LoRA): wanting one loads its model, checks the adapter's file and gives it to the
   model's worker. It goes when its model goes. */
#include "run/roster/roster_internal.h"

#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"

static struct item *base_of(const struct roster *r, const struct item *it)
{
    return item_of_file((struct roster *)r, it->e.base);
}

enum roster_state adapter_state(const struct roster *r, const struct item *it)
{
    const struct item *base = base_of(r, it);
    bool there = base != NULL && base->model != 0 &&
                 fleet_adapter_is_there(r->o.fleet, base->model, it->e.sha256);
    return there                          ? item_state(r, base)
           : it->checking                 ? ROSTER_CHECKING
           : it->wants != NULL            ? ROSTER_WAITING
           : it->broken.code != FAIL_NONE ? ROSTER_BROKEN
                                          : ROSTER_STORED;
}

struct waiting {
    struct roster *r;
    struct item *it; /* stays: it is marked base_wanted */
};

static void on_base(void *arg, uint32_t model, const struct fault *why)
{
    struct waiting *w = arg;
    (void)model;
    w->it->base_wanted = false;
    if (why != NULL) {
        item_fail(w->r, w->it, why);
    }
    roster_kick(w->r, 0);
    mem_free(w);
}

static void want_base(struct roster *r, struct item *it, struct item *base)
{
    if (it->base_wanted) {
        return;
    }
    struct waiting *w = mem_alloc(sizeof(*w));
    *w = (struct waiting){.r = r, .it = it};
    it->base_wanted = true;
    (void)item_want(r, base, false, false, on_base, w);
}

static void attach(struct roster *r, struct item *it, struct item *base)
{
    struct fault why;
    int fd = it->fd;
    it->fd = -1;
    enum fail f = fleet_adapter_add(r->o.fleet, base->model, it->e.name, it->e.sha256, fd, &why);
    if (f != FAIL_NONE) {
        item_fail(r, it, &why);
        return;
    }
    base->touched_us = clock_monotonic_us();
    item_answer(r, it, base->model, false);
}

void adapter_serve_wants(struct roster *r, struct item *it)
{
    struct fault why;
    struct item *base = base_of(r, it);
    if (base == NULL || base->gone) {
        FAULT(&why, FAIL_MODEL_UNAVAILABLE, "the model of the adapter %s is no longer stored",
              it->e.name);
        item_fail(r, it, &why);
    } else if (item_state(r, base) != ROSTER_READY) {
        want_base(r, it, base);
    } else if (fleet_adapter_is_there(r->o.fleet, base->model, it->e.sha256)) {
        base->touched_us = clock_monotonic_us();
        item_answer(r, it, base->model, false);
    } else if (it->fd >= 0) {
        attach(r, it, base);
    } else if (!it->checking) {
        item_check(r, it);
    }
}
