/* SPDX-License-Identifier: Apache-2.0 */
/* Wall and monotonic time, and RFC 3339. */
#include "base/clock/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_clock_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
    return read_clock_us(CLOCK_REALTIME);
}

int64_t clock_monotonic_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_process_cpu_us(void)
{
    return read_clock_us(CLOCK_PROCESS_CPUTIME_ID);
}

double clock_ms_since(int64_t monotonic_us_start)
{
    return (double)(clock_monotonic_us() - monotonic_us_start) / 1000.0;
}

const char *clock_show(int64_t at_us, char out[CLOCK_RFC3339_SIZE])
{
    int64_t s = at_us / 1000000;
    int64_t rest = at_us % 1000000;
    if (rest < 0) {
        s--;
        rest += 1000000;
    }
    struct tm tm;
    time_t t = (time_t)s;
    if (gmtime_r(&t, &tm) == NULL) {
        memset(&tm, 0, sizeof(tm));
    }
    size_t n = strftime(out, CLOCK_RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, CLOCK_RFC3339_SIZE - n, ".%03dZ", (int)(rest / 1000));
    return out;
}

bool clock_read(const char *s, int64_t *at_us)
{
    struct tm tm = {0};
    int y, mo, d, h = 0, mi = 0, sec = 0, used = 0;
    if (s == NULL || sscanf(s, "%4d-%2d-%2d%n", &y, &mo, &d, &used) != 3 || used != 10 || mo < 1 ||
        mo > 12 || d < 1 || d > 31) {
        return false;
    }
    const char *p = s + used;
    int64_t us = 0;
    int64_t offset_s = 0;
    if (*p != '\0') {
        if ((*p != 'T' && *p != 't' && *p != ' ') ||
            sscanf(p + 1, "%2d:%2d:%2d%n", &h, &mi, &sec, &used) != 3 || used != 8 || h > 23 ||
            mi > 59 || sec > 60 || h < 0 || mi < 0 || sec < 0) {
            return false;
        }
        p += 1 + used;
        if (*p == '.') {
            int64_t unit = 100000;
            for (p++; *p >= '0' && *p <= '9'; p++, unit /= 10) {
                us += unit * (*p - '0');
            }
        }
        int oh, om;
        if (*p == 'Z' || *p == 'z') {
            p++;
        } else if ((*p == '+' || *p == '-') && sscanf(p + 1, "%2d:%2d%n", &oh, &om, &used) == 2 &&
                   used == 5 && oh >= 0 && oh < 24 && om >= 0 && om < 60) {
            offset_s = (oh * 3600 + om * 60) * (*p == '-' ? -1 : 1);
            p += 6;
        } else if (*p != '\0') {
            return false;
        }
        if (*p != '\0') {
            return false;
        }
    }
    tm.tm_year = y - 1900;
    tm.tm_mon = mo - 1;
    tm.tm_mday = d;
    tm.tm_hour = h;
    tm.tm_min = mi;
    tm.tm_sec = sec;
    time_t t = timegm(&tm);
    if (tm.tm_mday != d || tm.tm_mon != mo - 1) {
        return false; /* 31 June and its like */
    }
    *at_us = ((int64_t)t - offset_s) * 1000000 + us;
    return true;
}
