/* SPDX-License-Identifier: Apache-2.0 */
/* What a request shows beside its head's framing: the peer's address, and cookies. */
#include "http/wire/wire_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

void wire_peer(struct wire_request *r, char out[WIRE_PEER_SIZE])
{
    const union MHD_ConnectionInfo *info =
        r->conn ? MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CLIENT_ADDRESS) : NULL;
    const struct sockaddr *at = info != NULL ? info->client_addr : NULL;
    out[0] = '\0';
    if (at != NULL && at->sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)at)->sin_addr, out, WIRE_PEER_SIZE);
    } else if (at != NULL && at->sa_family == AF_INET6) {
        struct in6_addr a = ((const struct sockaddr_in6 *)at)->sin6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&a)) {
            memset(a.s6_addr + 8, 0, 8); /* one customer's block */
        }
        (void)inet_ntop(AF_INET6, &a, out, WIRE_PEER_SIZE);
    }
}

/* cookie-octet: no controls, space, quote, comma, semicolon or backslash. */
static bool is_octet(char c)
{
    unsigned char u = (unsigned char)c;
    return u > 0x20 && u < 0x7f && u != '"' && u != ',' && u != ';' && u != '\\';
}

bool wire_cookie_read(const char *header, const char *name, char *out, size_t room)
{
    size_t name_len = strlen(name);
    bool found = false;
    out[0] = '\0';
    if (header == NULL) {
        return false;
    }
    for (const char *p = header; *p != '\0';) {
        p += strspn(p, "; \t");
        size_t n = strcspn(p, ";");
        if (n > name_len && strncmp(p, name, name_len) == 0 && p[name_len] == '=') {
            const char *value = p + name_len + 1;
            size_t len = 0;
            while (len < n - name_len - 1 && is_octet(value[len])) {
                len++;
            }
            size_t rest = strspn(value + len, " \t");
            if (found || len == 0 || len >= room || len + rest < n - name_len - 1) {
                out[0] = '\0';
                return false;
            }
            memcpy(out, value, len);
            out[len] = '\0';
            found = true;
        }
        p += n;
    }
    return found;
}

void wire_body_wipe(struct wire_request *r)
{
    if (r->body.data != NULL) {
        explicit_bzero(r->body.data, r->body.len);
    }
    r->body.len = 0;
}
