/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision rules of inhouse.yaml (route.rules): read at the start and kept as a candidate. The
 * file says what this box's operator wants; that it serves is an approver's decision.
 * Owns: nothing. Threads: the starting one; blocks. Limits: a file of RULES_BYTES.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "answer/route/route.h"
#include "base/log/log.h"
#include "http/house/house_internal.h"
#include "trust/release/release.h"

#define RULES_BYTES ((size_t)128 * 1024)

struct proposal {
    struct audit *audit;
    struct route_rules *rules;
    bool is_new;
};

static enum fail read_all(const char *path, struct buf *out, struct fault *why)
{
    char part[16384];
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0 && buf_add(out, part, (size_t)n)) {
    }
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (out->overflow) {
        return FAULT(why, FAIL_TOO_LARGE, "route.rules: %.300s is larger than %zu bytes", path,
                     RULES_BYTES);
    }
    return fd >= 0 && n >= 0 ? FAIL_NONE
                             : FAULT(why, FAIL_NOT_FOUND, "route.rules: could not read %.300s: %s",
                                     path, strerror(code));
}

static enum fail write_proposal(struct store_tx *tx, void *arg, struct fault *why)
{
    struct proposal *p = arg;
    struct route_rules *known = NULL;
    const char *release = route_rules_release(p->rules);
    enum fail f = route_release_find(store_tx_conn(tx), release, &known, why);
    if (f != FAIL_NONE || known != NULL) { /* proposed, approved or retired before: as it was */
        route_rules_unref(known);
        return f;
    }
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = "config",
                              .team = "system",
                              .task = "route",
                              .releases = &release,
                              .releases_len = 1,
                              .verdict = "candidate"};
    p->is_new = true;
    f = release_propose(tx, ROUTE_RELEASES, release, route_rules_text(p->rules), "config", why);
    return f != FAIL_NONE ? f : audit_append(tx, p->audit, &leaf, NULL, NULL, why);
}

enum fail house_rules_propose(struct store *store, struct audit *audit, const char *path,
                              struct fault *why)
{
    struct proposal p = {.audit = audit};
    struct buf text;
    if (path[0] == '\0') {
        return FAIL_NONE;
    }
    buf_init(&text, RULES_BYTES);
    enum fail f = read_all(path, &text, why);
    if (f == FAIL_NONE) {
        struct config_faults *faults = mem_alloc(sizeof(*faults));
        f = route_rules_read(text.data != NULL ? text.data : "", text.len, path, &p.rules, faults,
                             why);
        mem_free(faults);
    }
    buf_done(&text);
    if (f == FAIL_NONE) {
        f = store_write_wait(store, write_proposal, &p, why);
    }
    if (f == FAIL_NONE && p.is_new) {
        log_write(LOG_LEVEL_INFO, "rules.proposed",
                  LOG_FIELDS(LOG_TEXT("release", route_rules_release(p.rules)),
                             LOG_TEXT("approve_with", "inhouse route approve RELEASE")));
    }
    route_rules_unref(p.rules);
    return f;
}
