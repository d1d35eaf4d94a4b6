/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan: dot products of one int8 query with many rows of bytes.
 *
 * Rows are kept as value + 128, because the instruction made for this (VPDPBUSD: unsigned times
 * signed, summed by fours into 32 bits without saturation) wants one side unsigned; what that adds
 * is 128 times the sum of the query, the same for every row. 384 numbers a row is 384 bytes: the
 * scan reads memory as fast as one core can. Sums stay under 4,096 x 255 x 127 < 2^31.
 * Owns: nothing. Threads: pure. Limits: DATASET_DIM_MAX numbers.
 */
#include <math.h>
#include <string.h>

#include "answer/dataset/dataset_internal.h"

#define ALIGN 64
#define LEVELS 127.0f

size_t dataset_scan_stride(size_t dim)
{
    return (dim + ALIGN - 1) / ALIGN * ALIGN;
}

/* Scale to the largest value; 0 for what has no direction or is not finite. */
static float scale_of(const float *v, size_t dim)
{
    float most = 0;
    for (size_t i = 0; i < dim; i++) {
        if (!isfinite(v[i])) {
            return 0;
        }
        most = fmaxf(most, fabsf(v[i]));
    }
    return most / LEVELS;
}

float dataset_scan_row(const float *v, size_t dim, uint8_t *row)
{
    float scale = scale_of(v, dim);
    memset(row, 128, dataset_scan_stride(dim));
    for (size_t i = 0; scale > 0 && i < dim; i++) {
        row[i] = (uint8_t)(lrintf(v[i] / scale) + 128);
    }
    return scale;
}

float dataset_scan_query(const float *v, size_t dim, int8_t *out, int32_t *bias)
{
    float scale = scale_of(v, dim);
    int32_t sum = 0;
    memset(out, 0, dataset_scan_stride(dim));
    for (size_t i = 0; scale > 0 && i < dim; i++) {
        out[i] = (int8_t)lrintf(v[i] / scale);
        sum += out[i];
    }
    *bias = 128 * sum;
    return scale;
}

static void dots_portable(const uint8_t *rows, size_t n, size_t stride, const int8_t *q,
                          int32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = rows + i * stride;
        int32_t sum = 0;
        for (size_t d = 0; d < stride; d++) {
            sum += (int32_t)row[d] * q[d];
        }
        out[i] = sum;
    }
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static int32_t sum_256(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

/* Widened to 16 bits first: the byte instruction of AVX2 saturates. */
__attribute__((target("avx2"))) static void dots_avx2(const uint8_t *rows, size_t n, size_t stride,
                                                      const int8_t *q, int32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = rows + i * stride;
        __m256i sum = _mm256_setzero_si256();
        for (size_t d = 0; d < stride; d += 16) {
            __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(row + d)));
            __m256i b = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(q + d)));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
        }
        out[i] = sum_256(sum);
    }
}

__attribute__((target("avx2,avxvnni"))) static void
dots_avx_vnni(const uint8_t *rows, size_t n, size_t stride, const int8_t *q, int32_t *out)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *row = rows + i * stride;
        __m256i a = _mm256_setzero_si256(), b = a;
        for (size_t d = 0; d < stride; d += 64) {
            a = _mm256_dpbusd_avx_epi32(a, _mm256_loadu_si256((const __m256i *)(row + d)),
                                        _mm256_loadu_si256((const __m256i *)(q + d)));
            b = _mm256_dpbusd_avx_epi32(b, _mm256_loadu_si256((const __m256i *)(row + d + 32)),
                                        _mm256_loadu_si256((const __m256i *)(q + d + 32)));
        }
        out[i] = sum_256(_mm256_add_epi32(a, b));
    }
}

/* Four rows at once, so that one row's sum is added up while the next ones are read. */
__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void
dots_avx512_vnni(const uint8_t *rows, size_t n, size_t stride, const int8_t *q, int32_t *out)
{
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const uint8_t *row = rows + i * stride;
        __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
        for (size_t x = 0; x < stride; x += 64) {
            __m512i query = _mm512_loadu_si512(q + x);
            a = _mm512_dpbusd_epi32(a, _mm512_loadu_si512(row + x), query);
            b = _mm512_dpbusd_epi32(b, _mm512_loadu_si512(row + stride + x), query);
            c = _mm512_dpbusd_epi32(c, _mm512_loadu_si512(row + 2 * stride + x), query);
            d = _mm512_dpbusd_epi32(d, _mm512_loadu_si512(row + 3 * stride + x), query);
        }
        out[i] = _mm512_reduce_add_epi32(a);
        out[i + 1] = _mm512_reduce_add_epi32(b);
        out[i + 2] = _mm512_reduce_add_epi32(c);
        out[i + 3] = _mm512_reduce_add_epi32(d);
    }
    dots_portable(rows + i * stride, n - i, stride, q, out + i);
}

static bool has_avx512_vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vnni");
}
/* gcc 12 cannot ask for avxvnni by name: CPUID leaf 7.1, EAX bit 4 (Intel SDM), after AVX2 said
   that the system saves these registers. */
static bool has_avx_vnni(void)
{
    unsigned eax = 7, ebx = 0, ecx = 1, edx = 0;
    if (!__builtin_cpu_supports("avx2")) {
        return false;
    }
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (eax & (1u << 4)) != 0;
}
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") != 0;
}
#endif

static bool always(void)
{
    return true;
}

static const struct kernel {
    const char *name;
    dataset_scan_fn fn;
    bool (*runs)(void);
} kernels[] = { /* fastest first */
#if defined(__x86_64__)
    {"avx512vnni", dots_avx512_vnni, has_avx512_vnni},
    {"avxvnni", dots_avx_vnni, has_avx_vnni},
    {"avx2", dots_avx2, has_avx2},
#endif
    {"portable", dots_portable, always},
};

const char *dataset_scan_kernel(size_t i, dataset_scan_fn *fn, bool *runs)
{
    if (i >= COUNT_OF(kernels)) {
        return NULL;
    }
    *fn = kernels[i].fn;
    *runs = kernels[i].runs();
    return kernels[i].name;
}

static dataset_scan_fn chosen = dots_portable;
static pthread_once_t choose_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    for (size_t i = COUNT_OF(kernels); i-- > 0;) {
        if (kernels[i].runs()) {
            chosen = kernels[i].fn;
        }
    }
}

void dataset_scan_dots(const uint8_t *rows, size_t n, size_t stride, const int8_t *q, int32_t *out)
{
    (void)pthread_once(&choose_once, choose);
    chosen(rows, n, stride, q, out);
}
