/* SPDX-License-Identifier: Apache-2.0 */
/* A request whose task is under way: when its client leaves, the task is cancelled, on whichever
   side of the submission that falls. */
#include "http/openai/openai_internal.h"

static void flight_gone(void *arg)
{
    struct openai_flight *f = arg;
    __atomic_store_n(&f->gone, true, __ATOMIC_SEQ_CST);
    uint64_t handle = __atomic_load_n(&f->handle, __ATOMIC_SEQ_CST);
    if (handle != 0) {
        task_cancel(f->desk, handle);
    }
}

void openai_flight_watch(struct openai_flight *f, struct wire_request *r, struct task_desk *desk)
{
    f->desk = desk;
    wire_on_gone(r, flight_gone, f);
}

void openai_flight_submit(struct openai_flight *f, const struct task_request *t)
{
    uint64_t handle = task_submit(f->desk, t);
    __atomic_store_n(&f->handle, handle, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&f->gone, __ATOMIC_SEQ_CST)) {
        task_cancel(f->desk, handle);
    }
}
