/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failure: one closed list of codes (errors.def) and the detail that travels beside a code.
 *
 * A fallible function returns enum fail and takes `struct fault *why` last; on FAIL_NONE `why` is
 * untouched. The fault is owned by the caller, fixed in size, never allocates, and never holds a
 * prompt, a document's text or a secret: it says what happened, where, and what to do.
 * Threads: none shared.
 */
#pragma once

#include <stdbool.h>

enum fail {
    FAIL_NONE = 0,
#define FAIL(name, public_name, http, retry) FAIL_##name,
#include "base/fail/errors.def"
#undef FAIL
    FAIL_COUNT
};

#define MUST_CHECK __attribute__((warn_unused_result))

struct fault {
    enum fail code;
    int sys_errno;      /* 0 when no system call failed */
    const char *file;   /* source position, static strings */
    int line;
    char message[320];  /* what happened and where: lower case, one line, no function names */
    char hint[240];     /* what to do: a full sentence, or empty */
    char param[64];     /* the key or parameter at fault, or empty */
    int retry_after_s;  /* when to try again; 0: nobody computed it */
};

/* Fills why (which may be NULL) and returns code, so that `return FAULT(...)` reads as one step. */
#define FAULT(why, code, ...) fail_set((why), (code), 0, __FILE__, __LINE__, __VA_ARGS__)
#define FAULT_ERRNO(why, code, ...) fail_set((why), (code), errno, __FILE__, __LINE__, __VA_ARGS__)
enum fail fail_set(struct fault *why, enum fail code, int sys_errno, const char *file, int line,
                   const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Adds the advice to a fault already set; returns its code. */
enum fail fail_hint(struct fault *why, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Names the parameter or key at fault; returns its code. */
enum fail fail_param(struct fault *why, const char *param);
/* Says after how many seconds (at least 1) to try again; returns its code. */
enum fail fail_retry_after(struct fault *why, int seconds);

const char *fail_name(enum fail code);        /* "bad_request"; "ok" for FAIL_NONE */
enum fail fail_from_name(const char *name);   /* FAIL_INTERNAL when unknown */
int fail_http_status(enum fail code);         /* 400..507; 200 for FAIL_NONE */
bool fail_is_retryable(enum fail code);
/* errno after a failed write: ENOSPC and EDQUOT are FAIL_DISK_FULL, the rest FAIL_INTERNAL. */
enum fail fail_from_write_errno(int sys_errno);
