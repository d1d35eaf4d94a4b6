/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDv7 ids and their Crockford base-32 form. */
#include "base/text/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem/mem.h"

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct id text_id_new(void)
{
    struct id id;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    uint64_t ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
    /* rand_a carries the fraction of the millisecond (RFC 9562 section 6.2, method 3), so ids made
       by one process in one millisecond still sort by time. */
    uint32_t frac = (uint32_t)(((uint64_t)(ts.tv_nsec % 1000000) * 4096) / 1000000);
    ASSERT(getrandom(id.bytes, sizeof(id.bytes), 0) == (ssize_t)sizeof(id.bytes));
    for (int i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    id.bytes[6] = (uint8_t)(0x70 | (frac >> 8));
    id.bytes[7] = (uint8_t)frac;
    id.bytes[8] = (uint8_t)(0x80 | (id.bytes[8] & 0x3f));
    return id;
}

bool text_id_is_zero(const struct id *id)
{
    static const struct id zero;
    return memcmp(id, &zero, sizeof(zero)) == 0;
}

bool text_id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* 128 bits are 26 base-32 digits with the top two bits of the first digit zero. */
static unsigned id_digit(const struct id *id, int i)
{
    int bit = i * 5 - 2;
    unsigned v = 0;
    for (int k = 0; k < 5; k++) {
        int b = bit + k;
        unsigned one = b < 0 ? 0 : (id->bytes[b / 8] >> (7 - b % 8)) & 1u;
        v = v << 1 | one;
    }
    return v;
}

const char *text_id_show(const struct id *id, const char *prefix, char out[TEXT_ID_SIZE])
{
    size_t n = strlen(prefix);
    ASSERT(n <= 11);
    memcpy(out, prefix, n);
    out[n++] = '_';
    for (int i = 0; i < 26; i++) {
        out[n++] = crockford[id_digit(id, i)];
    }
    out[n] = '\0';
    return out;
}

bool text_id_read(const char *shown, const char *prefix, struct id *out)
{
    size_t n = strlen(prefix);
    if (strncmp(shown, prefix, n) != 0 || shown[n] != '_' || strlen(shown + n + 1) != 26) {
        return false;
    }
    const char *s = shown + n + 1;
    memset(out, 0, sizeof(*out));
    for (int i = 0; i < 26; i++) {
        const char *p = memchr(crockford, s[i], 32);
        if (p == NULL || (i == 0 && p - crockford > 7)) {
            return false;
        }
        unsigned v = (unsigned)(p - crockford);
        for (int k = 0; k < 5; k++) {
            int b = i * 5 - 2 + k;
            if (b >= 0 && (v >> (4 - k) & 1u) != 0) {
                out->bytes[b / 8] |= (uint8_t)(0x80 >> (b % 8));
            }
        }
    }
    return true;
}
