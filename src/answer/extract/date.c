/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates and times: written out, with digits, and said from today.
 *
 * Owns nothing. Threads: pure (timegm and gmtime_r). Limits: years 1900 to 2199; anything else is
 * no date. Month and day names in English, German, French and Spanish.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "answer/extract/extract_internal.h"

#define DAY 86400

struct day {
    int year, month, day; /* year 0: not said */
};

static const struct {
    const char *word;
    int month;
} months[] = {
    {"january", 1}, {"jan", 1}, {"januar", 1}, {"j\xc3\xa4nner", 1}, {"janvier", 1}, {"janv", 1},
    {"enero", 1}, {"ene", 1}, {"february", 2}, {"feb", 2}, {"februar", 2},
    {"f\xc3\xa9vrier", 2}, {"f\xc3\xa9vr", 2}, {"fevrier", 2}, {"febrero", 2}, {"march", 3},
    {"mar", 3}, {"m\xc3\xa4rz", 3}, {"maerz", 3}, {"mrz", 3}, {"mars", 3}, {"marzo", 3},
    {"april", 4}, {"apr", 4}, {"avril", 4}, {"avr", 4}, {"abril", 4}, {"abr", 4}, {"may", 5},
    {"mai", 5}, {"mayo", 5}, {"june", 6}, {"jun", 6}, {"juni", 6}, {"juin", 6}, {"junio", 6},
    {"july", 7}, {"jul", 7}, {"juli", 7}, {"juillet", 7}, {"juil", 7}, {"julio", 7},
    {"august", 8}, {"aug", 8}, {"ao\xc3\xbbt", 8}, {"aout", 8}, {"agosto", 8}, {"ago", 8},
    {"september", 9}, {"sep", 9}, {"sept", 9}, {"septembre", 9}, {"septiembre", 9},
    {"october", 10}, {"oct", 10}, {"oktober", 10}, {"okt", 10}, {"octobre", 10},
    {"octubre", 10}, {"november", 11}, {"nov", 11}, {"novembre", 11}, {"noviembre", 11},
    {"december", 12}, {"dec", 12}, {"dezember", 12}, {"dez", 12}, {"d\xc3\xa9" "cembre", 12},
    {"d\xc3\xa9" "c", 12}, {"decembre", 12}, {"diciembre", 12}, {"dic", 12},
};

/* Sunday is 0, as in struct tm. */
static const struct {
    const char *word;
    int day;
} weekdays[] = {
    {"sunday", 0}, {"monday", 1}, {"tuesday", 2}, {"wednesday", 3}, {"thursday", 4},
    {"friday", 5}, {"saturday", 6}, {"sonntag", 0}, {"montag", 1}, {"dienstag", 2},
    {"mittwoch", 3}, {"donnerstag", 4}, {"freitag", 5}, {"samstag", 6}, {"sonnabend", 6},
    {"dimanche", 0}, {"lundi", 1}, {"mardi", 2}, {"mercredi", 3}, {"jeudi", 4}, {"vendredi", 5},
    {"samedi", 6}, {"domingo", 0}, {"lunes", 1}, {"martes", 2}, {"mi\xc3\xa9rcoles", 3},
    {"miercoles", 3}, {"jueves", 4}, {"viernes", 5}, {"s\xc3\xa1" "bado", 6}, {"sabado", 6},
};

static const struct {
    const char *word;
    int days;
} near_days[] = {
    {"today", 0}, {"tonight", 0}, {"tomorrow", 1}, {"yesterday", -1}, {"heute", 0},
    {"morgen", 1}, {"\xc3\xbc" "bermorgen", 2}, {"gestern", -1}, {"vorgestern", -2},
    {"demain", 1}, {"hier", -1}, {"hoy", 0}, {"ma\xc3\xb1" "ana", 1}, {"ayer", -1},
    {"anteayer", -2},
};

/* ---- days ---- */

static int64_t seconds_of(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return (int64_t)timegm(&tm);
}

static bool is_day(const struct day *d)
{
    if (d->year < 1900 || d->year > 2199 || d->month < 1 || d->month > 12 || d->day < 1 ||
        d->day > 31) {
        return false;
    }
    struct tm tm;
    time_t at = (time_t)seconds_of(d->year, d->month, d->day);
    return gmtime_r(&at, &tm) != NULL && tm.tm_mday == d->day;
}

static void today(const struct extract_scene *scene, struct tm *tm)
{
    int64_t at = scene->now + (int64_t)scene->zone_minutes * 60;
    time_t t = (time_t)(at < -2208988800 ? -2208988800 : at > 7258118399 ? 7258118399 : at);
    if (gmtime_r(&t, tm) == NULL) {
        memset(tm, 0, sizeof(*tm));
    }
}

/* The year that puts a day of a month nearest to now. */
static void choose_year(struct day *d, const struct extract_scene *scene)
{
    struct tm tm;
    int64_t best = INT64_MAX;
    today(scene, &tm);
    int64_t now = seconds_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
    for (int k = -4; k <= 4; k++) { /* 29 February is there every fourth year */
        struct day x = {tm.tm_year + 1900 + k, d->month, d->day};
        int64_t off = seconds_of(x.year, x.month, x.day) - now;
        off = off < 0 ? -off : off;
        if (is_day(&x) && off < best) {
            best = off;
            d->year = x.year;
        }
    }
}

static void add_day(struct candidates *out, size_t from, size_t to, struct day d,
                    enum extract_reading how, const struct extract_scene *scene)
{
    char normal[EXTRACT_MAX_NORMAL];
    if (d.year == 0) {
        choose_year(&d, scene);
    }
    if (is_day(&d)) {
        snprintf(normal, sizeof(normal), "%04d-%02d-%02d", d.year, d.month, d.day);
        extract_candidate_add(out, from, to, EXTRACT_TYPE_DATE, how, normal);
    }
}

static void add_offset(struct candidates *out, size_t from, size_t to, int64_t days,
                       enum extract_reading how, const struct extract_scene *scene)
{
    struct tm tm;
    today(scene, &tm);
    time_t at = (time_t)(seconds_of(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) + days * DAY);
    if (gmtime_r(&at, &tm) != NULL) {
        struct day d = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday};
        add_day(out, from, to, d, how, scene);
    }
}

bool extract_date_is(const char *s)
{
    struct day d;
    int n = 0;
    return strlen(s) == 10 && strspn(s, "0123456789-") == 10 &&
           sscanf(s, "%4d-%2d-%2d%n", &d.year, &d.month, &d.day, &n) == 3 && n == 10 && is_day(&d);
}

/* ---- reading tokens ---- */

static int digits_at(const struct tokens *t, size_t i, size_t most)
{
    int v = 0;
    if (i >= t->len || t->token[i].class != TOKEN_DIGITS || t->token[i].len > most) {
        return -1;
    }
    for (size_t k = 0; k < t->token[i].len; k++) {
        v = 10 * v + t->text[t->token[i].at + k] - '0';
    }
    return v;
}

static char mark_at(const struct tokens *t, size_t i)
{
    return i < t->len && t->token[i].len == 1 && t->token[i].class == TOKEN_OTHER
               ? t->text[t->token[i].at] : '\0';
}

static void fold_at(const struct tokens *t, size_t i, char out[24])
{
    out[0] = '\0';
    if (i < t->len && t->token[i].len <= 20 && t->token[i].class != TOKEN_OTHER) {
        extract_token_fold(t, i, out, 24);
    }
}

static bool says(const struct tokens *t, size_t i, const char *const *list)
{
    char w[24];
    fold_at(t, i, w);
    while (*list != NULL && strcmp(w, *list) != 0) {
        list++;
    }
    return *list != NULL;
}

static int month_at(const struct tokens *t, size_t i, size_t *to)
{
    char w[24];
    fold_at(t, i, w);
    for (size_t k = 0; k < COUNT_OF(months); k++) {
        if (strcmp(w, months[k].word) == 0) {
            *to = i + 1;
            *to += mark_at(t, i + 1) == '.' && t->token[i + 1].glued; /* "Nov." */
            return months[k].month;
        }
    }
    return 0;
}

static int weekday_at(const struct tokens *t, size_t i)
{
    char w[24];
    fold_at(t, i, w);
    for (size_t k = 0; k < COUNT_OF(weekdays); k++) {
        if (strcmp(w, weekdays[k].word) == 0) {
            return weekdays[k].day;
        }
    }
    return -1;
}

/* "22", "22.", "22nd", "22 nd", "1er": the day, and what comes after it. */
static int day_at(const struct tokens *t, size_t i, size_t *to)
{
    static const char *const ordinals[] = {"st", "nd", "rd", "th", "er", NULL};
    char w[24];
    int d = digits_at(t, i, 2);
    *to = i + 1;
    if (d >= 0) {
        *to += (mark_at(t, i + 1) == '.' && t->token[i + 1].glued) || says(t, i + 1, ordinals);
        return d;
    }
    fold_at(t, i, w);
    size_t n = strspn(w, "0123456789");
    if (n < 1 || n > 2 || i >= t->len || t->token[i].class != TOKEN_MIXED) {
        return -1;
    }
    for (size_t k = 0; ordinals[k] != NULL; k++) {
        if (strcmp(w + n, ordinals[k]) == 0) {
            return n == 1 ? w[0] - '0' : 10 * (w[0] - '0') + w[1] - '0';
        }
    }
    return -1;
}

/* A year after a day and month, maybe after a comma or "of"; 0 when none stands there. */
static int year_at(const struct tokens *t, size_t i, size_t *to)
{
    static const char *const of[] = {"of", "de", "del", NULL};
    size_t k = i + (mark_at(t, i) == ',' || says(t, i, of) ? 1 : 0);
    int y = k < t->len && t->token[k].len == 4 ? digits_at(t, k, 4) : -1;
    if (y < 1900 || y > 2199) {
        return 0;
    }
    *to = k + 1;
    return y;
}

/* ---- with digits ---- */

static void add_either(struct candidates *out, size_t from, size_t to, int a, int b, int year,
                       char mark, const struct extract_scene *scene)
{
    struct day df = {year, b, a}, mf = {year, a, b};
    struct day fd = df, fm = mf;
    fd.year = fm.year = year != 0 ? year : 2000; /* a leap year: is there such a day? */
    bool first = is_day(&fd), month = mark != '.' && is_day(&fm); /* 03.04. is read one way */
    bool both = first && month && a != b;
    if (first) {
        add_day(out, from, to, df, both ? EXTRACT_READING_DAY_FIRST : EXTRACT_READING_ONLY, scene);
    }
    if (month && (both || !first)) {
        add_day(out, from, to, mf, both ? EXTRACT_READING_MONTH_FIRST : EXTRACT_READING_ONLY,
                scene);
    }
}

static void find_digits(const struct tokens *t, size_t i, const struct extract_scene *scene,
                        struct candidates *out)
{
    char mark = mark_at(t, i + 1);
    bool glued = i + 2 < t->len && t->token[i + 1].glued;
    int a = digits_at(t, i, 4), b = digits_at(t, i + 2, 2);
    if (a < 0 || !glued || strchr("-/.", mark) == NULL || mark == '\0') {
        return;
    }
    bool joined = t->token[i + 2].glued;
    if (t->token[i].len == 4 && joined && b > 0 && mark_at(t, i + 3) == mark) {
        char w[24];
        fold_at(t, i + 4, w); /* "22", or "22T10" of a time stamp */
        size_t n = strspn(w, "0123456789");
        if (n >= 1 && n <= 2 && (w[n] == '\0' || w[n] == 't')) {
            struct day d = {a, b, n == 1 ? w[0] - '0' : 10 * (w[0] - '0') + w[1] - '0'};
            add_day(out, i, i + 5, d, EXTRACT_READING_ONLY, scene);
        }
        return;
    }
    if (t->token[i].len > 2 || b < 0 || !joined) {
        return;
    }
    bool longer = mark_at(t, i + 3) == mark && t->token[i + 3].glued;
    int c = longer && i + 4 < t->len && t->token[i + 4].glued ? digits_at(t, i + 4, 4) : -1;
    if (c >= 0 && (t->token[i + 4].len == 2 || t->token[i + 4].len == 4)) {
        int year = t->token[i + 4].len == 4 ? c : c < 70 ? 2000 + c : 1900 + c;
        add_either(out, i, i + 5, a, b, year, mark, scene);
    } else if (mark == '.' && longer) {
        add_either(out, i, i + 4, a, b, 0, mark, scene); /* "24.12." */
    } else if (mark == '/' && !longer) {
        add_either(out, i, i + 3, a, b, 0, mark, scene);
    }
}

/* ---- written out ---- */

static void find_named(const struct tokens *t, size_t i, const struct extract_scene *scene,
                       struct candidates *out)
{
    static const char *const of[] = {"of", "de", NULL};
    size_t to = 0, end = 0;
    struct day d = {0};
    d.month = month_at(t, i, &to);
    if (d.month > 0) { /* November 22nd, 2026 */
        d.day = day_at(t, to, &end);
        if (d.day > 0) {
            d.year = year_at(t, end, &end);
            add_day(out, i, end, d, EXTRACT_READING_ONLY, scene);
        }
        return;
    }
    d.day = day_at(t, i, &to);
    if (d.day < 1) {
        return;
    }
    bool dash = mark_at(t, to) == '-' || mark_at(t, to) == '/'; /* 22-Nov-2026 */
    to += says(t, to, of) || dash ? 1 : 0;
    d.month = month_at(t, to, &end);
    if (d.month > 0) {
        end += dash && mark_at(t, end) == mark_at(t, to - 1) ? 1 : 0;
        size_t after = end;
        d.year = year_at(t, end, &after);
        if (d.year == 0 && dash && end > to + 1) { /* 22-Nov-26 */
            int y = digits_at(t, end, 2);
            d.year = y >= 0 ? 2000 + y : 0;
            after = y >= 0 ? end + 1 : end - 1;
        }
        add_day(out, i, after, d, EXTRACT_READING_ONLY, scene);
    }
}

/* ---- said from today ---- */

static void find_weekday(const struct tokens *t, size_t i, const struct extract_scene *scene,
                         struct candidates *out)
{
    static const char *const next[] = {"next", "n\xc3\xa4" "chsten", "n\xc3\xa4" "chste",
                                       "n\xc3\xa4" "chster", "kommenden", "pr\xc3\xb3ximo", NULL};
    static const char *const last[] = {"last", "letzten", "pasado", NULL};
    static const char *const after[] = {"prochain", "pr\xc3\xb3ximo", NULL};
    bool is_next = says(t, i, next), is_last = says(t, i, last);
    int day = weekday_at(t, i + (is_next || is_last));
    if (day < 0) {
        return;
    }
    struct tm tm;
    today(scene, &tm);
    size_t to = i + 1 + (is_next || is_last);
    int ahead = (day - tm.tm_wday + 6) % 7 + 1; /* 1 to 7: after today */
    if (is_last) {
        add_offset(out, i, to, ahead == 7 ? -7 : ahead - 7, EXTRACT_READING_ONLY, scene);
        return;
    }
    if (!is_next && says(t, to, after)) {
        is_next = true;
        to++;
    }
    /* Monday is the first day: is this weekday still of the running week? */
    bool same_week = (tm.tm_wday + 6) % 7 + ahead < 7;
    if (is_next && same_week) {
        add_offset(out, i, to, ahead, EXTRACT_READING_NEAREST, scene);
        add_offset(out, i, to, ahead + 7, EXTRACT_READING_NEXT_WEEK, scene);
    } else {
        add_offset(out, i, to, ahead, EXTRACT_READING_ONLY, scene);
    }
}

/* "in 3 days", "3 weeks ago", "in zwei Wochen", "vor 3 Tagen". */
static void find_distance(const struct tokens *t, size_t i, const struct extract_scene *scene,
                          struct candidates *out)
{
    static const char *const in[] = {"in", "within", "dans", "en", NULL};
    static const char *const before[] = {"vor", "hace", NULL};
    static const char *const days[] = {"day", "days", "tag", "tage", "tagen", "jour", "jours",
                                       "d\xc3\xad" "a", "d\xc3\xad" "as", NULL};
    static const char *const weeks[] = {"week", "weeks", "woche", "wochen", "semaine", "semaines",
                                        "semana", "semanas", NULL};
    static const char *const ago[] = {"ago", NULL};
    char w[24];
    bool ahead = says(t, i, in), back = says(t, i, before);
    size_t k = i + (ahead || back);
    int v = digits_at(t, k, 3);
    if (v < 0) {
        fold_at(t, k, w);
        v = strcmp(w, "a") == 0 || strcmp(w, "einer") == 0 || strcmp(w, "einem") == 0
                ? 1 : extract_number_word(w);
    }
    int unit = says(t, k + 1, days) ? 1 : says(t, k + 1, weeks) ? 7 : 0;
    bool past = says(t, k + 2, ago);
    if (v < 0 || unit == 0 || (!ahead && !back && !past)) {
        return;
    }
    add_offset(out, i, k + 2 + past, (int64_t)(back || past ? -v : v) * unit, EXTRACT_READING_ONLY,
               scene);
}

static void find_near(const struct tokens *t, size_t i, const struct extract_scene *scene,
                      struct candidates *out)
{
    static const char *const day[] = {"day", NULL}, *const after[] = {"after", NULL};
    static const char *const tomorrow[] = {"tomorrow", NULL}, *const apres[] = {"apr\xc3\xa8s",
                                                                                NULL};
    static const char *const demain[] = {"demain", NULL}, *const pasado[] = {"pasado", NULL};
    static const char *const manana[] = {"ma\xc3\xb1" "ana", NULL};
    static const char *const jour[] = {"aujourd", NULL}, *const hui[] = {"hui", NULL};
    char w[24];
    if (says(t, i, day) && says(t, i + 1, after) && says(t, i + 2, tomorrow)) {
        add_offset(out, i, i + 3, 2, EXTRACT_READING_ONLY, scene);
    } else if (says(t, i, apres) && mark_at(t, i + 1) == '-' && says(t, i + 2, demain)) {
        add_offset(out, i, i + 3, 2, EXTRACT_READING_ONLY, scene);
    } else if (says(t, i, pasado) && says(t, i + 1, manana)) {
        add_offset(out, i, i + 2, 2, EXTRACT_READING_ONLY, scene);
    } else if (says(t, i, jour) && says(t, i + 2, hui)) {
        add_offset(out, i, i + 3, 0, EXTRACT_READING_ONLY, scene);
    }
    fold_at(t, i, w);
    for (size_t k = 0; k < COUNT_OF(near_days); k++) {
        if (strcmp(w, near_days[k].word) == 0) {
            add_offset(out, i, i + 1, near_days[k].days, EXTRACT_READING_ONLY, scene);
        }
    }
}

/* ---- times ---- */

/* 12 for am/pm words: 0 am, 1 pm, -1 neither. */
static int half_at(const struct tokens *t, size_t i, size_t *to)
{
    static const char *const am[] = {"am", NULL}, *const pm[] = {"pm", NULL};
    static const char *const a[] = {"a", NULL}, *const p[] = {"p", NULL};
    static const char *const m[] = {"m", NULL};
    *to = i + 1;
    if (says(t, i, am) || says(t, i, pm)) {
        return says(t, i, pm);
    }
    if ((says(t, i, a) || says(t, i, p)) && mark_at(t, i + 1) == '.' && says(t, i + 2, m)) {
        *to = i + 3 + (mark_at(t, i + 3) == '.');
        return says(t, i, p);
    }
    *to = i;
    return -1;
}

static void add_time(struct candidates *out, size_t from, size_t to, int hour, int minute, int half)
{
    char normal[EXTRACT_MAX_NORMAL];
    if (half >= 0 && (hour < 1 || hour > 12)) {
        return;
    }
    hour = half < 0 ? hour : hour % 12 + 12 * half;
    if (hour >= 0 && hour < 24 && minute >= 0 && minute < 60) {
        snprintf(normal, sizeof(normal), "%02d:%02d", hour, minute);
        extract_candidate_add(out, from, to, EXTRACT_TYPE_TIME, EXTRACT_READING_ONLY, normal);
    }
}

static void find_times(const struct tokens *t, size_t i, struct candidates *out)
{
    static const char *const uhr[] = {"uhr", NULL};
    size_t to = 0;
    int h = digits_at(t, i, 2);
    if (h < 0) {
        char w[24];
        fold_at(t, i, w); /* "3pm", "14h30", "14h" */
        int hour = 0, minute = 0, n = 0, half = -1;
        size_t d = strspn(w, "0123456789");
        if (d >= 1 && d <= 2 && t->token[i].class == TOKEN_MIXED) {
            hour = d == 1 ? w[0] - '0' : 10 * (w[0] - '0') + w[1] - '0';
            half = strcmp(w + d, "pm") == 0 ? 1 : strcmp(w + d, "am") == 0 ? 0 : -1;
            bool h30 = strlen(w + d) == 3 && sscanf(w + d, "h%2d%n", &minute, &n) == 1 && n == 3;
            if (half >= 0 || h30) {
                add_time(out, i, i + 1, hour, minute, half);
            }
        }
        return;
    }
    int half = half_at(t, i + 1, &to);
    if (half >= 0) {
        add_time(out, i, to, h, 0, half);
    } else if (says(t, i + 1, uhr)) {
        add_time(out, i, i + 2, h, 0, -1);
    } else if (mark_at(t, i + 1) == ':' && t->token[i + 1].glued && i + 2 < t->len &&
               t->token[i + 2].glued && t->token[i + 2].len >= 2) {
        int m = digits_at(t, i + 2, 2);
        size_t end = i + 3;
        if (m < 0) { /* "2:30pm" */
            char w[24];
            fold_at(t, i + 2, w);
            half = strcmp(w + strspn(w, "0123456789"), "pm") == 0;
            bool ok = strlen(w) == 4 && strspn(w, "0123456789") == 2 &&
                      strchr("ap", w[2]) != NULL && w[3] == 'm';
            if (ok) {
                add_time(out, i, end, h, 10 * (w[0] - '0') + w[1] - '0', half);
            }
            return;
        }
        if (mark_at(t, end) == ':' && t->token[end].glued && digits_at(t, end + 1, 2) >= 0 &&
            t->token[end + 1].glued) {
            end += 2; /* seconds belong to it, and are not kept */
        }
        half = half_at(t, end, &to);
        end = half >= 0 ? to : says(t, end, uhr) ? end + 1 : end;
        add_time(out, i, end, h, m, half);
    }
}

void extract_find_dates(const struct tokens *t, size_t i, const struct extract_scene *scene,
                        struct candidates *out)
{
    /* 22/11 in the middle of 1/22/11/4 is no date. */
    char left = i > 0 && t->token[i].glued ? mark_at(t, i - 1) : '\0';
    bool inside = left != '\0' && strchr("-/.:", left) != NULL && i > 1 &&
                  t->token[i - 1].glued && t->token[i - 2].class != TOKEN_OTHER;
    if (t->token[i].class == TOKEN_OTHER) {
        return;
    }
    if (!inside) {
        find_digits(t, i, scene, out);
        find_named(t, i, scene, out);
        find_times(t, i, out);
    }
    find_weekday(t, i, scene, out);
    find_distance(t, i, scene, out);
    find_near(t, i, scene, out);
}
