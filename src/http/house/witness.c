/* SPDX-License-Identifier: Apache-2.0 */
/* inhoused --witness: nothing but a witness of other servers' records over HTTP. */
#include <signal.h>
#include <string.h>

#include "base/log/log.h"
#include "http/house/house.h"
#include "http/wire/wire.h"
#include "trust/audit/audit.h"

/* An own process with two threads: the flush before the answer may hold one of them. */
static void add(struct wire_request *r, void *arg)
{
    size_t n;
    struct buf reply;
    const char *body = wire_body(r, &n);
    buf_init(&reply, AUDIT_NOTES_MAX);
    int status = audit_witness_add(arg, body, n, &reply);
    log_write(status == 200 ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "witness.asked",
              LOG_FIELDS(LOG_NUM("status", status)));
    wire_reply(r, status, status == 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8",
               &reply);
}

static void tell_key(struct wire_request *r, void *arg)
{
    struct buf reply;
    buf_init(&reply, AUDIT_VKEY_SIZE + 2);
    buf_printf(&reply, "%s\n", audit_witness_vkey(arg));
    wire_reply(r, 200, "text/plain; charset=utf-8", &reply);
}

/* Both routes are open: what they take is signed, what they give is public. */
static enum fail nobody(void *arg, const struct wire_credentials *c, void *who, struct fault *why)
{
    (void)arg;
    (void)c;
    (void)who;
    return FAULT(why, FAIL_UNAUTHENTICATED, "there is nothing to sign in to here");
}

static enum fail anybody(void *arg, const void *who, struct wire_request *r, struct fault *why)
{
    (void)arg;
    (void)who;
    (void)r;
    (void)why;
    return FAIL_NONE;
}

enum fail house_witness(const struct house_witness_options *o, struct fault *why)
{
    static const struct wire_route routes[] = {
        {.method = "POST", .pattern = "/add-checkpoint", .handler = add,
         .body_cap = AUDIT_WITNESS_BODY_MAX, .rate = "light", .audit = "none", .tag = "witness",
         .operation = "addCheckpoint", .summary = "C2SP tlog-witness"},
        {.method = "GET", .pattern = "/key", .handler = tell_key, .rate = "light",
         .audit = "none", .tag = "witness", .operation = "getKey",
         .summary = "The key of the cosignatures"},
    };
    struct audit_witness *w = NULL;
    struct wire *wire = NULL;
    sigset_t set;
    int signal_number;
    enum fail f = audit_witness_open(o->folder, o->name, o->logs, o->logs_len, &w, why);
    struct wire_options wo = {.address = o->address, .port = o->port, .unix_fd = -1, .threads = 2,
                              .max_connections = 256, .max_connections_per_address = 64,
                              .body_bytes = AUDIT_WITNESS_BODY_MAX, .routes = routes,
                              .routes_len = COUNT_OF(routes), .arg = w,
                              .gate = {.authenticate = nobody, .admit = anybody,
                                       .who_size = sizeof(int)}};
    f = f != FAIL_NONE ? f : wire_new(&wo, &wire, why);
    if (f == FAIL_NONE) {
        log_write(LOG_LEVEL_INFO, "witness.listening",
                  LOG_FIELDS(LOG_TEXT("address", o->address), LOG_NUM("port", wire_port(wire)),
                             LOG_TEXT("key", audit_witness_vkey(w))));
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        (void)sigwait(&set, &signal_number);
        wire_free(wire, 2000);
    }
    audit_witness_close(w);
    return f;
}
