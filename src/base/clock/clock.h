/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clock: wall time as int64 microseconds UTC (`_at`), durations from the monotonic clock (`_ms`),
 * and RFC 3339 with milliseconds for people and JSON. Thread-safe; nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_RFC3339_SIZE 32

int64_t clock_now_us(void);       /* wall clock, µs since 1970 UTC */
int64_t clock_monotonic_us(void); /* for durations and deadlines only */
int64_t clock_process_cpu_us(void); /* CPU time of all threads of this process, µs */
double clock_ms_since(int64_t monotonic_us_start);
/* "2026-11-22T10:31:07.123Z" */
const char *clock_show(int64_t at_us, char out[CLOCK_RFC3339_SIZE]);
/* RFC 3339 with Z or an offset, also a bare date; false when it is neither. */
bool clock_read(const char *s, int64_t *at_us);
