/* SPDX-License-Identifier: Apache-2.0 */
/* Report: what training found, as JSON. Owns the report's array. Threads: pure. */
#include <string.h>

#include "answer/extract/extract_internal.h"
#include "base/json/json.h"

void extract_report_done(struct extract_report *r)
{
    mem_free(r->oof);
    memset(r, 0, sizeof(*r));
}

void extract_report_json(const struct extract_report *r, struct buf *out)
{
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "kind", extract_kind_name(r->kind));
    jn_kv_int(&w, "examples", (int64_t)r->n);
    jn_kv_int(&w, "with_value", (int64_t)r->given);
    jn_kv_int(&w, "found_in_text", (int64_t)r->reachable);
    jn_kv_int(&w, "answered", (int64_t)r->answered);
    jn_kv_int(&w, "right_values", (int64_t)r->right_values);
    jn_kv_int(&w, "features", (int64_t)r->features);
    jn_kv_str(&w, "evidence", learn_evidence_name(r->evidence));
    jn_kv_real(&w, "accuracy", r->accuracy, 4);
    jn_kv_real(&w, "precision", r->precision, 4);
    jn_kv_real(&w, "recall", r->recall, 4);
    jn_kv_real(&w, "f1", r->f1, 4);
    jn_kv_real(&w, "ece", r->ece, 4);
    jn_kv_real(&w, "ece_raw", r->ece_raw, 4);
    jn_kv_real(&w, "coverage_at_1", r->coverage_at_1, 4);
    jn_kv_real(&w, "coverage_at_2", r->coverage_at_2, 4);
    jn_kv_real(&w, "coverage_at_5", r->coverage_at_5, 4);
    learn_certificate_json(&r->certificate, &w);
    jn_object_end(&w);
}
