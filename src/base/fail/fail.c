/* SPDX-License-Identifier: Apache-2.0 */
/* Failure codes as a table and the filling of a fault. */
#include "base/fail/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int http;
    bool retry;
} codes[FAIL_COUNT] = {
    [FAIL_NONE] = {"ok", 200, false},
#define FAIL(name, public_name, http, retry) [FAIL_##name] = {public_name, http, retry},
#include "base/fail/errors.def"
#undef FAIL
};

enum fail fail_set(struct fault *why, enum fail code, int sys_errno, const char *file, int line,
                   const char *fmt, ...)
{
    if (why == NULL) {
        return code;
    }
    *why = (struct fault){.code = code, .sys_errno = sys_errno, .file = file, .line = line};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why->message, sizeof(why->message), fmt, ap);
    va_end(ap);
    if (sys_errno != 0) {
        size_t n = strlen(why->message);
        char text[96];
        const char *s = strerror_r(sys_errno, text, sizeof(text));
        snprintf(why->message + n, sizeof(why->message) - n, ": %s", s);
    }
    return code;
}

enum fail fail_hint(struct fault *why, const char *fmt, ...)
{
    if (why == NULL) {
        return FAIL_INTERNAL;
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why->hint, sizeof(why->hint), fmt, ap);
    va_end(ap);
    return why->code;
}

enum fail fail_param(struct fault *why, const char *param)
{
    if (why == NULL) {
        return FAIL_INTERNAL;
    }
    snprintf(why->param, sizeof(why->param), "%s", param);
    return why->code;
}

enum fail fail_retry_after(struct fault *why, int seconds)
{
    if (why == NULL) {
        return FAIL_INTERNAL;
    }
    why->retry_after_s = seconds > 1 ? seconds : 1;
    return why->code;
}

const char *fail_name(enum fail code)
{
    return code < FAIL_COUNT ? codes[code].name : "internal";
}

enum fail fail_from_name(const char *name)
{
    for (int i = 0; name != NULL && i < FAIL_COUNT; i++) {
        if (strcmp(codes[i].name, name) == 0) {
            return (enum fail)i;
        }
    }
    return FAIL_INTERNAL;
}

int fail_http_status(enum fail code)
{
    return code < FAIL_COUNT ? codes[code].http : 500;
}

bool fail_is_retryable(enum fail code)
{
    return code < FAIL_COUNT && codes[code].retry;
}

enum fail fail_from_write_errno(int sys_errno)
{
    return sys_errno == ENOSPC || sys_errno == EDQUOT ? FAIL_DISK_FULL : FAIL_INTERNAL;
}
