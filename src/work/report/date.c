/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cell's date, and periods: what a date's day, week, month, ... is, and how it is called.
 * Threads: pure. Limits: years 1900 to 2199; proleptic Gregorian, weeks of ISO 8601.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "work/report/report_internal.h"

#define DAY_S 86400

/* Days since 1970 (H. Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void civil_of(int64_t days, int *y, int *m, int *d)
{
    int64_t z = days + 719468;
    int64_t era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = (int)(yoe + era * 400 + (*m <= 2 ? 1 : 0));
}

static int64_t floor_days(int64_t at)
{
    return at >= 0 ? at / DAY_S : -((-at + DAY_S - 1) / DAY_S);
}

/* 0: Monday. */
static int weekday(int64_t days)
{
    return (int)(((days + 3) % 7 + 7) % 7);
}

static bool set_day(struct report_date *out, int y, int m, int d, enum report_grain grain)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (y < 1900 || y > 2199 || m < 1 || m > 12 || d < 1 ||
        d > lengths[m - 1] + (m == 2 && leap ? 1 : 0)) {
        return false;
    }
    *out = (struct report_date){days_of(y, m, d) * DAY_S, grain};
    return true;
}

/* ---- reading ---- */

static int month_named(const char *s, size_t n)
{
    static const char *const names[][4] = {
        {"january", "jan", "januar", "j\xc3\xa4nner"}, {"february", "feb", "februar", ""},
        {"march", "mar", "m\xc3\xa4rz", "mrz"}, {"april", "apr", "", ""}, {"may", "mai", "", ""},
        {"june", "jun", "juni", ""}, {"july", "jul", "juli", ""}, {"august", "aug", "", ""},
        {"september", "sep", "sept", ""}, {"october", "oct", "oktober", "okt"},
        {"november", "nov", "", ""}, {"december", "dec", "dezember", "dez"}};
    for (int m = 0; m < 12; m++) {
        for (int k = 0; k < 4; k++) {
            if (strlen(names[m][k]) == n && n > 0 && strncasecmp(names[m][k], s, n) == 0) {
                return m + 1;
            }
        }
    }
    return 0;
}

/* What a date is made of: numbers and words, and the bytes between them. */
struct bits {
    int number[8], width[8], month[8]; /* month: a word that names one */
    char after[8];
    size_t n;
};

static bool cut(const char *s, size_t n, struct bits *b)
{
    size_t i = 0;
    *b = (struct bits){0};
    while (i < n && b->n < 8) {
        size_t from = i;
        int v = 0;
        while (i < n && isdigit((unsigned char)s[i]) && i - from < 6) {
            v = v * 10 + (s[i++] - '0');
        }
        if (i == from) {
            while (i < n && (isalpha((unsigned char)s[i]) || (unsigned char)s[i] >= 0x80)) {
                i++;
            }
            b->month[b->n] = month_named(s + from, i - from);
            if (b->month[b->n] == 0) {
                return false;
            }
        }
        b->number[b->n] = v;
        b->width[b->n] = (int)(i - from);
        size_t gap = i;
        while (i < n && strchr(" .,/-", s[i]) != NULL && i - gap < 2) {
            i++;
        }
        b->after[b->n++] = gap < i ? s[gap] : '\0';
    }
    return i == n;
}

static bool read_named(const struct bits *b, struct report_date *out)
{
    if (b->n == 2 && b->month[0] > 0 && b->width[1] == 4) {
        return set_day(out, b->number[1], b->month[0], 1, REPORT_GRAIN_MONTH);
    }
    if (b->n == 3 && b->month[0] > 0 && b->month[1] == 0 && b->width[2] == 4) {
        return set_day(out, b->number[2], b->month[0], b->number[1], REPORT_GRAIN_DAY);
    }
    return b->n == 3 && b->month[1] > 0 && b->width[2] == 4 &&
           set_day(out, b->number[2], b->month[1], b->number[0], REPORT_GRAIN_DAY);
}

static bool read_numeric(const struct bits *b, enum report_order order, struct report_date *out)
{
    if (b->n == 3 && b->width[0] == 4 && b->after[0] == b->after[1] && b->after[2] == '\0' &&
        strchr("-/.", b->after[0]) != NULL) {
        return set_day(out, b->number[0], b->number[1], b->number[2], REPORT_GRAIN_DAY);
    }
    if (b->n == 2 && b->width[0] == 4 && b->width[1] == 2 && b->after[1] == '\0' &&
        (b->after[0] == '-' || b->after[0] == '/')) {
        return set_day(out, b->number[0], b->number[1], 1, REPORT_GRAIN_MONTH);
    }
    if (b->n != 3 || b->width[2] != 4 || b->width[0] > 2 || b->width[1] > 2 ||
        b->after[0] != b->after[1] || b->after[2] != '\0') {
        return false;
    }
    bool dmy = b->after[0] == '.' || order == REPORT_ORDER_DMY ||
               (order == REPORT_ORDER_AUTO && b->number[0] > 12);
    bool mdy = b->after[0] == '/' &&
               (order == REPORT_ORDER_MDY || (order == REPORT_ORDER_AUTO && b->number[1] > 12));
    return strchr("./-", b->after[0]) != NULL && dmy != mdy &&
           (dmy ? set_day(out, b->number[2], b->number[1], b->number[0], REPORT_GRAIN_DAY)
                : set_day(out, b->number[2], b->number[0], b->number[1], REPORT_GRAIN_DAY));
}

static bool read_part(const char *s, struct report_date *out)
{
    int y, k, used = 0;
    if ((sscanf(s, "%4d-Q%1d%n", &y, &k, &used) == 2 ||
         sscanf(s, "%4d-q%1d%n", &y, &k, &used) == 2 ||
         sscanf(s, "%4d Q%1d%n", &y, &k, &used) == 2 ||
         sscanf(s, "%4dQ%1d%n", &y, &k, &used) == 2) &&
        s[used] == '\0') {
        return k >= 1 && k <= 4 && set_day(out, y, k * 3 - 2, 1, REPORT_GRAIN_QUARTER);
    }
    if (sscanf(s, "Q%1d %4d%n", &k, &y, &used) == 2 && s[used] == '\0') {
        return k >= 1 && k <= 4 && set_day(out, y, k * 3 - 2, 1, REPORT_GRAIN_QUARTER);
    }
    used = 0;
    if (sscanf(s, "%4d-W%2d%n", &y, &k, &used) == 2 && s[used] == '\0' && k >= 1 && k <= 53 &&
        set_day(out, y, 1, 4, REPORT_GRAIN_WEEK)) {
        int64_t first = out->at / DAY_S;
        out->at = (first - weekday(first) + (k - 1) * 7) * DAY_S;
        return true;
    }
    return false;
}

/* After the day: hours, minutes, seconds, Z or an offset. */
static bool read_time(const char *s, size_t n, struct report_date *out)
{
    char t[40];
    int h, m, sec = 0, used = 0, oh, om = 0;
    if (n >= sizeof(t)) {
        return false;
    }
    memcpy(t, s, n);
    t[n] = '\0';
    if (!isdigit((unsigned char)t[0]) || sscanf(t, "%2d:%2d%n", &h, &m, &used) != 2) {
        return false;
    }
    const char *p = t + used;
    if (*p == ':' && isdigit((unsigned char)p[1]) && sscanf(p, ":%2d%n", &sec, &used) == 1) {
        p += used;
        if (*p == '.' || *p == ',') {
            p += 1 + strspn(p + 1, "0123456789");
        }
    }
    int64_t shift = 0;
    p += *p == ' ' ? 1 : 0;
    if (strcmp(p, "Z") == 0 || strcmp(p, "UTC") == 0) {
        p += strlen(p);
    } else if ((*p == '+' || *p == '-') && isdigit((unsigned char)p[1])) {
        int sign = *p == '-' ? -1 : 1;
        used = 0;
        if (sscanf(p + 1, "%2d:%2d%n", &oh, &om, &used) != 2 &&
            sscanf(p + 1, "%2d%2d%n", &oh, &om, &used) != 2) {
            return false;
        }
        p += 1 + used;
        shift = sign * (oh * 3600 + om * 60);
    }
    if (*p != '\0' || h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60) {
        return false;
    }
    out->at += h * 3600 + m * 60 + sec - shift;
    out->grain = REPORT_GRAIN_TIME;
    return true;
}

bool report_date_read(const char *s, size_t n, enum report_order order, bool year,
                      struct report_date *out)
{
    char t[64];
    struct bits b;
    while (n > 0 && s[0] == ' ') {
        s++;
        n--;
    }
    while (n > 0 && s[n - 1] == ' ') {
        n--;
    }
    if (n < 4 || n >= sizeof(t)) {
        return false;
    }
    memcpy(t, s, n);
    t[n] = '\0';
    if (year && n == 4 && strspn(t, "0123456789") == 4) {
        return cut(t, n, &b) && set_day(out, b.number[0], 1, 1, REPORT_GRAIN_YEAR);
    }
    if (isdigit((unsigned char)t[0]) || t[0] == 'Q' || t[0] == 'q') {
        if (read_part(t, out)) {
            return true;
        }
    }
    const char *colon = strchr(t, ':');
    if (colon != NULL) {
        const char *gap = colon;
        while (gap > t && *gap != 'T' && *gap != ' ') {
            gap--;
        }
        size_t day = (size_t)(gap - t);
        return gap > t && cut(t, day, &b) && read_numeric(&b, order, out) &&
               out->grain == REPORT_GRAIN_DAY && read_time(gap + 1, n - day - 1, out);
    }
    return cut(t, n, &b) && (read_named(&b, out) || read_numeric(&b, order, out));
}

/* ---- periods ---- */

int64_t date_floor(int64_t at, enum report_grain grain)
{
    int y, m, d;
    int64_t days = floor_days(at);
    civil_of(days, &y, &m, &d);
    switch (grain) {
    case REPORT_GRAIN_HOUR:
        return at - ((at % 3600) + 3600) % 3600;
    case REPORT_GRAIN_DAY:
        return days * DAY_S;
    case REPORT_GRAIN_WEEK:
        return (days - weekday(days)) * DAY_S;
    case REPORT_GRAIN_MONTH:
        return days_of(y, m, 1) * DAY_S;
    case REPORT_GRAIN_QUARTER:
        return days_of(y, (m - 1) / 3 * 3 + 1, 1) * DAY_S;
    case REPORT_GRAIN_YEAR:
        return days_of(y, 1, 1) * DAY_S;
    case REPORT_GRAIN_NONE:
    case REPORT_GRAIN_TIME:
    default:
        return at;
    }
}

int64_t date_year_before(int64_t at, enum report_grain grain)
{
    int y, m, d;
    int64_t days = floor_days(at);
    if (grain == REPORT_GRAIN_WEEK) {
        return at - (int64_t)52 * 7 * DAY_S;
    }
    civil_of(days, &y, &m, &d);
    return days_of(y - 1, m, m == 2 && d == 29 ? 28 : d) * DAY_S + (at - days * DAY_S);
}

void date_show(struct report_date date, char out[REPORT_NUMBER_SIZE])
{
    int y, m, d;
    int64_t days = floor_days(date.at);
    int s = (int)(date.at - days * DAY_S);
    civil_of(days, &y, &m, &d);
    switch (date.grain) {
    case REPORT_GRAIN_YEAR:
        snprintf(out, REPORT_NUMBER_SIZE, "%04d", y);
        return;
    case REPORT_GRAIN_QUARTER:
        snprintf(out, REPORT_NUMBER_SIZE, "%04d-Q%d", y, (m - 1) / 3 + 1);
        return;
    case REPORT_GRAIN_MONTH:
        snprintf(out, REPORT_NUMBER_SIZE, "%04d-%02d", y, m);
        return;
    case REPORT_GRAIN_WEEK: {
        int64_t thursday = days - weekday(days) + 3;
        civil_of(thursday, &y, &m, &d);
        snprintf(out, REPORT_NUMBER_SIZE, "%04d-W%02d", y,
                 (int)((thursday - days_of(y, 1, 1)) / 7 + 1));
        return;
    }
    case REPORT_GRAIN_HOUR:
    case REPORT_GRAIN_TIME:
        snprintf(out, REPORT_NUMBER_SIZE, s % 60 == 0 ? "%04d-%02d-%02d %02d:%02d"
                                                      : "%04d-%02d-%02d %02d:%02d:%02d",
                 y, m, d, s / 3600, s / 60 % 60, s % 60);
        return;
    case REPORT_GRAIN_NONE:
    case REPORT_GRAIN_DAY:
    default:
        snprintf(out, REPORT_NUMBER_SIZE, "%04d-%02d-%02d", y, m, d);
    }
}

int date_parts(int64_t at, int *hour, int *day)
{
    int64_t days = floor_days(at);
    *hour = (int)((at - days * DAY_S) / 3600);
    *day = weekday(days);
    return 0;
}
