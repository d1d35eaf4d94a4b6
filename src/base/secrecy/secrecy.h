/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrecy: how far a text may go, the `label` of files, requests and records. Who decides (rules),
 * who sends (the gate to other servers) and who holds the text (tasks, forms) mean the same four.
 * Pure data; any thread.
 */
#pragma once

/* Ascending: a task's is the highest of its team's, dataset's and workflow's, of what the request
   says and of what the guard finds. */
enum secrecy {
    SECRECY_PUBLIC,
    SECRECY_INTERNAL,
    SECRECY_CONFIDENTIAL, /* leaves redacted, and by an explicit rule */
    SECRECY_RESTRICTED,   /* never leaves */
    SECRECY_COUNT
};

/* "public", "internal", "confidential", "restricted"; what is no secrecy is named as the
   strictest. */
const char *secrecy_name(enum secrecy s);
enum secrecy secrecy_find(const char *name); /* SECRECY_COUNT when unknown */
