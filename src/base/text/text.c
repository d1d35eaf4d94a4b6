/* SPDX-License-Identifier: Apache-2.0 */
/* Hex, base64, hashes, strict numbers and small string helpers. */
#include "base/text/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/mem/mem.h"

void text_hex(const void *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[b[i] >> 4];
        out[2 * i + 1] = digits[b[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool text_unhex(const char *hex, size_t n, void *out)
{
    uint8_t *o = out;
    if (n % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < n; i += 2) {
        int hi = hex_value(hex[i]);
        int lo = hex_value(hex[i + 1]);
        if (hi < 0 || lo < 0) {
            return false;
        }
        o[i / 2] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static const char b64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t text_base64(const void *bytes, size_t n, char *out)
{
    const uint8_t *b = bytes;
    size_t o = 0;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                     (i + 2 < n ? b[i + 2] : 0);
        out[o++] = b64[v >> 18];
        out[o++] = b64[v >> 12 & 63];
        out[o++] = i + 1 < n ? b64[v >> 6 & 63] : '=';
        out[o++] = i + 2 < n ? b64[v & 63] : '=';
    }
    out[o] = '\0';
    return o;
}

size_t text_unbase64(const char *s, size_t n, void *out)
{
    uint8_t *o = out;
    size_t len = 0;
    if (n % 4 != 0) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i < n; i += 4) {
        bool last = i + 4 == n;
        size_t pad = last ? (size_t)(s[i + 3] == '=') + (s[i + 3] == '=' && s[i + 2] == '=') : 0;
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            const char *p = k >= 4 - pad ? b64 : memchr(b64, s[i + k], 64);
            if (p == NULL) {
                return SIZE_MAX;
            }
            v = v << 6 | (uint32_t)(p - b64);
        }
        if ((pad == 1 && (v & 0xff) != 0) || (pad == 2 && (v & 0xffff) != 0)) {
            return SIZE_MAX; /* bits beyond the data: two spellings of one value */
        }
        o[len++] = (uint8_t)(v >> 16);
        if (pad < 2) {
            o[len++] = (uint8_t)(v >> 8);
        }
        if (pad < 1) {
            o[len++] = (uint8_t)v;
        }
    }
    return len;
}

void text_sha256(const void *data, size_t n, uint8_t out[32])
{
    SHA256(data, n, out);
}

int64_t text_power_of_ten(unsigned n)
{
    static const int64_t powers[] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000,
                                     10000000000000000,
                                     100000000000000000,
                                     1000000000000000000};
    ASSERT(n < COUNT_OF(powers));
    return powers[n];
}

bool text_read_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
    if (s == NULL || !((*s >= '0' && *s <= '9') || (*s == '-' && s[1] >= '0' && s[1] <= '9'))) {
        return false;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno != 0 || *end != '\0' || v < min || v > max) {
        return false;
    }
    *out = v;
    return true;
}

bool text_read_double(const char *s, double *out)
{
    if (s == NULL || s[0] == '\0' || strspn(s, "0123456789+-.eE") != strlen(s)) {
        return false;
    }
    char *end;
    double v = strtod(s, &end);
    if (*end != '\0' || !isfinite(v)) {
        return false;
    }
    *out = v;
    return true;
}

bool text_starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool text_ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s);
    size_t k = strlen(suffix);
    return n >= k && memcmp(s + n - k, suffix, k) == 0;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *text_trim(char *s)
{
    while (is_space(*s)) {
        s++;
    }
    size_t n = strlen(s);
    while (n > 0 && is_space(s[n - 1])) {
        s[--n] = '\0';
    }
    return s;
}

bool text_is_name(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > 64 || s[0] == '.' || s[0] == '_' || s[0] == '-') {
        return false;
    }
    return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

bool text_copy(char *out, size_t room, const char *s)
{
    size_t n = strlen(s);
    bool fits = n < room;
    if (!fits) {
        n = text_utf8_cut(s, room - 1);
    }
    memcpy(out, s, n);
    out[n] = '\0';
    return fits;
}

bool text_equal_secret(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
