/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets, inside: what the files of the room share. */
#pragma once

#include "answer/dataset/dataset.h"
#include "base/mem/mem.h"

/*
 * The grant inside a query: rows of dataset_reader named r that let the team (?1) or the principal
 * (?2) read at time ?3. Nothing else in this room decides who reads.
 */
#define DATASET_READABLE                                                                           \
    "((r.kind = 'team' AND r.name = ?1) OR (r.kind = 'user' AND r.name = ?2)) "                    \
    "AND r.from_at <= ?3 AND r.until_at > ?3"

/* about.c: the columns in the order dataset_about_read takes them */
#define DATASET_ABOUT_COLUMNS                                                                      \
    "a.no, a.name, a.owner_kind, a.owner, a.purpose, a.source, a.label, a.listed, "                \
    "a.retention_days, a.review_at, a.created_at, a.updated_at, a.model"
void dataset_about_read(struct store_stmt *s, struct dataset_about *out);
/* One leaf of what p did to a dataset; about (may be NULL) is MACed, not stored. */
MUST_CHECK enum fail dataset_note(struct store_tx *tx, struct audit *audit,
                                  const struct principal *p, const char *dataset,
                                  const char *verdict, const char *about, struct fault *why);
/* "": FAIL_BAD_REQUEST naming the field, also over DATASET_TEXT_SIZE. */
MUST_CHECK enum fail dataset_reason_check(const char *field, const char *text, struct fault *why);
