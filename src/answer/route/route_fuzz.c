/* SPDX-License-Identifier: Apache-2.0 */
/* Rules, facts and cases as hostile text: whatever reads, decides and is said without a fault, and
   nothing restricted leaves by it. */
#include <stddef.h>
#include <stdint.h>

#include "answer/route/route_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide(const struct route_rules *rules, struct route_facts *f)
{
    struct route_decision d;
    struct jn_writer w;
    struct buf out;
    route_facts_complete(f);
    buf_init(&out, (size_t)4 << 20);
    jn_begin(&w, &out, false);
    route_explain_put(&w, rules, f);
    route_decide(rules, f, &d);
    ASSERT(f->label != SECRECY_RESTRICTED || d.go != ROUTE_HOSTED);
    ASSERT(f->label != SECRECY_CONFIDENTIAL || d.leave != ROUTE_PLAIN);
    for (size_t i = 0; i < route_rules_count(rules); i++) {
        buf_clear(&out);
        route_rules_conditions(rules, i, &out);
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct route_rules *rules = NULL;
    struct route_cases cases;
    struct route_facts f;
    struct fault why;
    bool reads = route_rules_read(text, size, "fuzz", &rules, faults, &why) == FAIL_NONE;
    rules = reads ? rules : route_rules_shipped();
    for (int label = 0; label < SECRECY_COUNT; label++) {
        route_facts_init(&f);
        f.label = (enum secrecy)label;
        decide(rules, &f);
    }
    route_facts_init(&f);
    if (route_facts_parse(text, size, "fuzz", &f, faults, &why) == FAIL_NONE) {
        decide(rules, &f);
    }
    if (route_cases_read(text, size, "fuzz", &cases, faults, &why) == FAIL_NONE) {
        for (size_t i = 0; i < cases.n; i++) {
            decide(rules, &cases.list[i].facts);
        }
        route_cases_done(&cases);
    }
    route_rules_unref(rules);
    mem_free(faults);
    return 0;
}
