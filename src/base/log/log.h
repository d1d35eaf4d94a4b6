/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log: one JSON object a line on stderr: {"at","level","event", ...}; on a terminal a plain line.
 *
 * Rooms below http never log above debug; the process's loop logs each failure once. A prompt, a
 * document's text, a header or a secret is never a value. Threads: log_write may be called from
 * any; each line is one write(2). It may block as long as stderr does.
 */
#pragma once

#include <stdint.h>

#include "base/fail/fail.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log_field {
    const char *key;
    const char *text; /* when not NULL the value is this string (cut at 512 bytes) */
    int64_t number;   /* else this number */
};

/* Process-wide; any thread, at any time. */
void log_set_level(enum log_level least);
/* Process-wide, set once at start-up before threads exist. */
void log_set_program(const char *name);

/* event is a fixed dotted name ("worker.died"); fields end with {0}. */
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* The failure, once: code, message, hint and position; on a terminal the message and the hint
   alone. */
void log_fault(enum log_level level, const char *event, const struct fault *why);

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {0}})
#define LOG_TEXT(k, v) {.key = (k), .text = (v)}
#define LOG_NUM(k, v) {.key = (k), .number = (int64_t)(v)}
