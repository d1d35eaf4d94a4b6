/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses a server may be connected to. Asked for the very address of each socket, after
 * the name was resolved, so a name that changes its address between two look-ups gains nothing.
 */
#include "run/upstream/upstream_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct row {
    const char *address;
    int bits;
    enum upstream_address kind;
};

/* The first that holds decides; what none holds is public. IANA's special-purpose registries
   (RFC 6890), and the metadata services of the large clouds. */
static const struct row v4[] = {
    {"100.100.100.200", 32, UPSTREAM_ADDRESS_NEVER}, /* Alibaba's metadata */
    {"168.63.129.16", 32, UPSTREAM_ADDRESS_NEVER},   /* Azure's */
    {"169.254.0.0", 16, UPSTREAM_ADDRESS_NEVER},     /* link-local; everybody's */
    {"0.0.0.0", 8, UPSTREAM_ADDRESS_NEVER},
    {"127.0.0.0", 8, UPSTREAM_ADDRESS_LOOPBACK},
    {"10.0.0.0", 8, UPSTREAM_ADDRESS_PRIVATE},
    {"172.16.0.0", 12, UPSTREAM_ADDRESS_PRIVATE},
    {"192.168.0.0", 16, UPSTREAM_ADDRESS_PRIVATE},
    {"100.64.0.0", 10, UPSTREAM_ADDRESS_PRIVATE},
    {"192.0.0.0", 24, UPSTREAM_ADDRESS_NEVER}, /* Oracle's metadata too */
    {"192.0.2.0", 24, UPSTREAM_ADDRESS_NEVER},
    {"192.88.99.0", 24, UPSTREAM_ADDRESS_NEVER},
    {"198.18.0.0", 15, UPSTREAM_ADDRESS_NEVER},
    {"198.51.100.0", 24, UPSTREAM_ADDRESS_NEVER},
    {"203.0.113.0", 24, UPSTREAM_ADDRESS_NEVER},
    {"224.0.0.0", 3, UPSTREAM_ADDRESS_NEVER}, /* multicast, reserved, broadcast */
};

static const struct row v6[] = {
    {"::1", 128, UPSTREAM_ADDRESS_LOOPBACK},
    {"fd00:ec2::254", 128, UPSTREAM_ADDRESS_NEVER}, /* Amazon's metadata */
    {"fc00::", 7, UPSTREAM_ADDRESS_PRIVATE},
    {"2001::", 23, UPSTREAM_ADDRESS_NEVER}, /* Teredo and others */
    {"2001:db8::", 32, UPSTREAM_ADDRESS_NEVER},
    {"2000::", 3, UPSTREAM_ADDRESS_PUBLIC},
    {"::", 0, UPSTREAM_ADDRESS_NEVER}, /* whatever is not global unicast */
};

static bool has_prefix(const uint8_t *a, const uint8_t *b, int bits)
{
    int whole = bits / 8;
    int rest = bits % 8;
    return memcmp(a, b, (size_t)whole) == 0 &&
           (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

static enum upstream_address kind_of_v4(const uint8_t a[4])
{
    for (size_t i = 0; i < COUNT_OF(v4); i++) {
        uint8_t b[4];
        ASSERT(inet_pton(AF_INET, v4[i].address, b) == 1);
        if (has_prefix(a, b, v4[i].bits)) {
            return v4[i].kind;
        }
    }
    return UPSTREAM_ADDRESS_PUBLIC;
}

/* The IPv4 address that an IPv6 one leads to, or NULL. */
static const uint8_t *embedded(const uint8_t a[16])
{
    static const uint8_t nought[12];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0) {
        return a + 12;
    }
    if (memcmp(a, nought, 12) == 0 && (a[12] | a[13] | a[14]) != 0) {
        return a + 12; /* not :: and ::1 */
    }
    return a[0] == 0x20 && a[1] == 0x02 ? a + 2 : NULL;
}

enum upstream_address upstream_address_kind(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        uint8_t a[4];
        memcpy(a, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
        return kind_of_v4(a);
    }
    if (sa->sa_family != AF_INET6) {
        return UPSTREAM_ADDRESS_NEVER;
    }
    uint8_t a[16];
    memcpy(a, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
    const uint8_t *inner = embedded(a);
    if (inner != NULL) {
        return kind_of_v4(inner);
    }
    for (size_t i = 0; i < COUNT_OF(v6); i++) {
        uint8_t b[16];
        ASSERT(inet_pton(AF_INET6, v6[i].address, b) == 1);
        if (has_prefix(a, b, v6[i].bits)) {
            return v6[i].kind;
        }
    }
    return UPSTREAM_ADDRESS_NEVER;
}

bool address_is_allowed(const struct server *s, const struct sockaddr *sa, const char **why)
{
    uint8_t a[16] = {[10] = 0xff, [11] = 0xff};
    enum upstream_address kind = upstream_address_kind(sa);
    *why = "its address is one that is never connected to";
    if (kind == UPSTREAM_ADDRESS_NEVER) {
        return false;
    }
    *why = "it is on_prem, and its address is a public one";
    if (kind == UPSTREAM_ADDRESS_PUBLIC) {
        return !s->on_prem;
    }
    if (sa->sa_family == AF_INET) {
        memcpy(a + 12, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
    } else {
        memcpy(a, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
        const uint8_t *inner = embedded(a);
        if (inner != NULL) {
            uint8_t four[4];
            memcpy(four, inner, 4);
            memset(a, 0, 10);
            a[10] = a[11] = 0xff;
            memcpy(a + 12, four, 4);
        }
    }
    *why = "its address is private and not allowed by name";
    for (size_t i = 0; i < s->allow_len; i++) {
        if (has_prefix(a, s->allow[i].address, s->allow[i].bits)) {
            return true;
        }
    }
    return false;
}

void address_show(const struct sockaddr *sa, char out[48])
{
    out[0] = '\0';
    if (sa->sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, out,
                        48);
    } else if (sa->sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, out,
                        48);
    }
}
