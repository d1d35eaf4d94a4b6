/* SPDX-License-Identifier: Apache-2.0 */
/* The day and the time of day in a named zone, with its summer time (libicu). */
#include <string.h>

#include <unicode/ucal.h>
#include <unicode/ustring.h>

#include "answer/route/route_internal.h"

struct route_zone {
    UCalendar *calendar;
};

enum fail route_zone_open(const char *name, struct route_zone **out, struct fault *why)
{
    UChar wide[80], canonical[80];
    int32_t n = 0, len = 0;
    UErrorCode e = U_ZERO_ERROR;
    UBool system = 0;
    (void)u_strFromUTF8(wide, 80, &n, name, -1, &e);
    if (U_SUCCESS(e)) {
        len = ucal_getCanonicalTimeZoneID(wide, n, canonical, 80, &system, &e);
    }
    if (U_FAILURE(e) || len == 0 || !system) {
        FAULT(why, FAIL_BAD_REQUEST, "there is no time zone \"%.60s\"", name);
        fail_param(why, "report.timezone");
        return fail_hint(why, "Write a name of the system's zone list, as Europe/Berlin or UTC.");
    }
    UCalendar *c = ucal_open(wide, n, "en_US", UCAL_GREGORIAN, &e);
    if (U_FAILURE(e)) {
        return FAULT(why, FAIL_INTERNAL, "the time zone \"%.60s\" could not be opened: %s", name,
                     u_errorName(e));
    }
    struct route_zone *z = mem_alloc(sizeof(*z));
    z->calendar = c;
    *out = z;
    return FAIL_NONE;
}

void route_zone_close(struct route_zone *z)
{
    if (z != NULL) {
        ucal_close(z->calendar);
        mem_free(z);
    }
}

void route_zone_at(struct route_zone *z, int64_t at_us, int *weekday, int *minute)
{
    UErrorCode e = U_ZERO_ERROR;
    ucal_setMillis(z->calendar, (double)(at_us / 1000), &e);
    int32_t day = ucal_get(z->calendar, UCAL_DAY_OF_WEEK, &e);
    int32_t hour = ucal_get(z->calendar, UCAL_HOUR_OF_DAY, &e);
    int32_t min = ucal_get(z->calendar, UCAL_MINUTE, &e);
    *weekday = U_SUCCESS(e) ? (day + 5) % 7 : -1; /* Sunday is 1 there, 6 here */
    *minute = U_SUCCESS(e) ? hour * 60 + min : 0;
}
