/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The detector of odd periods: a robust line (Theil 1950, Sen 1968), the median of each place in
 * the season, and how far a point is from both in units of 1.4826 x the median absolute deviation.
 * What is farther than the limit for so many points is flagged. The limits are the 95 % quantiles
 * of the largest distance in series of independent noise with heavy tails (Student's t, 5 degrees
 * of freedom), by simulation; bench/report.py measures them again on resampled real series: of
 * twenty series with nothing odd in them, one is flagged somewhere.
 * Threads: pure. Limits: 240 points are compared pairwise.
 */
#include <math.h>
#include <string.h>

#include "work/report/report_internal.h"

#define SCALE_MAD 1.4826   /* of normal noise: 1 / 0.6745 */
#define SCALE_MEAN 1.2533  /* sqrt(pi / 2) */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), by_size);
    return n == 0 ? 0 : n % 2 == 1 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static double limit_for(size_t n)
{
    static const struct {
        double n, limit;
    } known[] = {{8, 6.0},   {10, 5.75}, {12, 5.4},  {16, 5.4},  {20, 5.85}, {30, 6.2},
                 {40, 6.6}, {60, 7.2},  {90, 7.5}, {120, 8.0}, {240, 8.6}};
    size_t i = 0;
    while (i + 1 < COUNT_OF(known) && known[i + 1].n < (double)n) {
        i++;
    }
    if (i + 1 == COUNT_OF(known)) {
        return known[i].limit;
    }
    double share = ((double)n - known[i].n) / (known[i + 1].n - known[i].n);
    return known[i].limit + share * (known[i + 1].limit - known[i].limit);
}

/* x minus its line; *slope and *start get the line. */
static void take_line(const double *x, size_t n, double *rest, double *slope, double *start)
{
    AUTO_FREE double *s = mem_alloc_array(n * (n - 1) / 2 + n + 1, sizeof(*s));
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            s[k++] = (x[j] - x[i]) / (double)(j - i);
        }
    }
    *slope = median(s, k);
    for (size_t i = 0; i < n; i++) {
        s[i] = x[i] - *slope * (double)i;
    }
    *start = median(s, n);
    for (size_t i = 0; i < n; i++) {
        rest[i] = x[i] - *slope * (double)i - *start;
    }
}

/* The median of each place in the season, where every place has three points at least. */
static void take_season(double *rest, const unsigned *season, unsigned seasons, size_t n,
                        double *part)
{
    AUTO_FREE double *s = mem_alloc_array(n + 1, sizeof(*s));
    for (unsigned place = 0; place < seasons; place++) {
        size_t k = 0;
        for (size_t i = 0; i < n; i++) {
            if (season[i] == place) {
                s[k++] = rest[i];
            }
        }
        double mid = k < 3 ? 0 : median(s, k);
        for (size_t i = 0; i < n; i++) {
            part[i] = season[i] == place ? mid : part[i];
        }
    }
    for (size_t i = 0; i < n; i++) {
        rest[i] -= part[i];
    }
}

/* Of the distances, which it sorts. The median alone gets too small where half the points are
   alike; the mean leaves out the largest tenth, which may be what is looked for. */
static double scale_of(double *size, size_t n)
{
    size_t kept = n - (n / 10 > 1 ? n / 10 : 1);
    double sum = 0, by_median = SCALE_MAD * median(size, n);
    for (size_t i = 0; i < kept; i++) {
        sum += size[i];
    }
    double by_mean = SCALE_MEAN * sum / (double)kept;
    double scale = by_median > by_mean ? by_median : by_mean;
    for (size_t i = kept; i < n; i++) {
        sum += size[i];
    }
    return scale > 0 ? scale : SCALE_MEAN * sum / (double)n; /* all but a tenth lie on the line */
}

bool odd_find(const double *x, const unsigned *season, unsigned seasons, size_t n, bool *odd,
              double *low, double *high)
{
    if (n < ODD_POINTS_MIN || n > (size_t)REPORT_PERIODS_MAX * 4) {
        return false;
    }
    AUTO_FREE double *rest = mem_alloc_array(n, sizeof(*rest));
    AUTO_FREE double *size = mem_alloc_array(n, sizeof(*size));
    AUTO_FREE double *part = mem_alloc_array(n, sizeof(*part));
    double slope, start;
    take_line(x, n, rest, &slope, &start);
    if (seasons > 1 && n >= (size_t)seasons * 3) {
        take_season(rest, season, seasons, n, part);
    }
    for (size_t i = 0; i < n; i++) {
        size[i] = fabs(rest[i]);
    }
    double scale = scale_of(size, n);
    double far = limit_for(n) * scale;
    for (size_t i = 0; i < n; i++) {
        double usual = start + slope * (double)i + part[i];
        low[i] = usual - far;
        high[i] = usual + far;
        odd[i] = scale > 0 && fabs(rest[i]) > far;
    }
    return true;
}
