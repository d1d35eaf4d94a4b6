/* SPDX-License-Identifier: Apache-2.0 */
/* What was taken in the last minute, by the second; and the days and months money is counted in. */
#include "trust/policy/policy_internal.h"

#include <string.h>
#include <time.h>

void window_advance(struct window *w, int64_t now_s)
{
    if (now_s - w->at_s >= WINDOW_SLOTS) {
        memset(w->slots, 0, sizeof(w->slots));
        w->total = 0;
        w->at_s = now_s;
        return;
    }
    while (w->at_s < now_s) {
        int64_t *slot = &w->slots[++w->at_s % WINDOW_SLOTS];
        w->total -= *slot;
        *slot = 0;
    }
}

void window_add(struct window *w, int64_t at_s, int64_t amount)
{
    if (at_s <= w->at_s && w->at_s - at_s < WINDOW_SLOTS && at_s >= 0) {
        int64_t *slot = &w->slots[at_s % WINDOW_SLOTS];
        /* Never below nothing: what was restored after a restart stands in one slot alone. */
        int64_t sum = *slot + amount > 0 ? *slot + amount : 0;
        w->total += sum - *slot;
        *slot = sum;
    }
}

int window_wait_s(const struct window *w, int64_t need)
{
    int64_t freed = 0;
    for (int i = WINDOW_SLOTS - 1; i >= 0; i--) {
        if (freed >= need) {
            return WINDOW_SLOTS - 1 - i;
        }
        freed += w->at_s - i >= 0 ? w->slots[(w->at_s - i) % WINDOW_SLOTS] : 0;
    }
    return WINDOW_SLOTS;
}

int window_empty_s(const struct window *w)
{
    return w->total == 0 ? 0 : window_wait_s(w, w->total);
}

const char *period_name(enum period p)
{
    return p == PERIOD_DAY ? "day" : "month";
}

void period_bounds(enum period p, int64_t at, int64_t *from, int64_t *to)
{
    time_t s = (time_t)(at / 1000000);
    struct tm t;
    gmtime_r(&s, &t);
    t.tm_hour = t.tm_min = t.tm_sec = 0;
    if (p == PERIOD_MONTH) {
        t.tm_mday = 1;
    }
    *from = (int64_t)timegm(&t) * 1000000;
    if (p == PERIOD_MONTH) {
        t.tm_mon++; /* timegm makes January of month 12 */
    } else {
        t.tm_mday++;
    }
    *to = (int64_t)timegm(&t) * 1000000;
}
