/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/states, shared by its files: file.c reads, writes and checks one file, on any thread.
 * Owns: nothing. Threads: pure but for the file. Limits: STATES_HEAD_MAX for the two lines.
 */
#pragma once

#include "run/states/states.h"

#define STATES_HEAD_MAX 4096

/* What a file says it is for. */
struct states_line {
    char model[65];
    char context[65];
    char domain[129];
    char prefix[65];
    int scores;
    int64_t bytes;
};

/* The first 40 hex digits of the SHA-256 of the four names. */
void states_name(const struct states_line *line, char name[STATES_NAME_SIZE]);
/* Reads the two lines at the start of an open file; *size is theirs. Nothing is verified yet. */
enum fail states_line_read(int fd, struct states_line *line, size_t *size, struct fault *why);
/* Writes dir/name.state from `from`, by rename. */
enum fail states_file_write(int dir, const uint8_t key[32], const struct states_line *line,
                            int from, struct fault *why);
/* The verified content of dir/name.state as a sealed memory file; what it says in *line.
   FAIL_NOT_FOUND: there is none; FAIL_FORBIDDEN: it is not what this server wrote. */
enum fail states_file_read(int dir, const uint8_t key[32], const char *name,
                           struct states_line *line, int *fd, struct fault *why);
