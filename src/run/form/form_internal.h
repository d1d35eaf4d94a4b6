/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/form, shared by its files. Owns: nothing. Threads: pure functions.
 */
#pragma once

#include "run/form/form.h"

#include "base/mem/mem.h"
#include "base/text/text.h"

/* "12.5" with 2 decimals is 1250; false when it is not of that form or has over FORM_DIGITS_MAX
   digits. */
bool form_number_scale(const char *s, unsigned decimals, int64_t *scaled);
/* A real day of the years 1 to 9999, written YYYY-MM-DD. */
bool form_date_is_real(const char *s);
