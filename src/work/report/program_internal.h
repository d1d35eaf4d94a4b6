/* SPDX-License-Identifier: Apache-2.0 */
/* What program.c takes from sql.c: a query's rows as the table, and a dashboard's queries tried. */
#pragma once

#include "work/program/program.h"
#include "work/report/report.h"

MUST_CHECK enum fail report_read_source(struct program_run *run, const char *source,
                                        const char *query, struct report_grid *grid,
                                        struct report_dashboard *from, struct fault *why);
/* Runs the query of every panel of a dashboard once; files' panels carry their values. */
MUST_CHECK enum fail report_try_panels(struct program_run *run, const struct buf *dashboard,
                                       struct fault *why);
