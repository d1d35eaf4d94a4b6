/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target of run/form: JSON as a plan and as the result of a fixed plan. What is accepted must
 * be writable and read back the same.
 */
#include "run/form/form.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] =
    "[{\"kind\":\"choice\",\"name\":\"q\",\"labels\":[\"a\",\"b\"]},"
    "{\"kind\":\"number\",\"name\":\"n\",\"min\":\"0\",\"max\":\"9\"},"
    "{\"kind\":\"text\",\"name\":\"t\",\"max_chars\":20}]";

static void try_plan(const json_t *tree)
{
    struct form_plan *plan = NULL;
    if (form_plan_read(tree, &plan, NULL) != FAIL_NONE) {
        return;
    }
    struct buf out;
    struct jn_writer writer;
    json_t *again = NULL;
    struct form_plan *back = NULL;
    buf_init(&out, 16u << 20);
    jn_begin(&writer, &out, false);
    form_plan_write(&writer, plan);
    bool ok = jn_parse(out.data, out.len, "plan", &again, NULL) == FAIL_NONE &&
              form_plan_read(again, &back, NULL) == FAIL_NONE && back->n_pieces == plan->n_pieces;
    ASSERT(ok);
    json_decref(again);
    form_plan_free(back);
    form_plan_free(plan);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct form_plan *plan;
    json_t *tree = NULL;
    if (plan == NULL) {
        json_t *array = json_loads(fixed, 0, NULL);
        bool ok = form_plan_read(array, &plan, NULL) == FAIL_NONE;
        ASSERT(ok);
        json_decref(array);
    }
    if (jn_parse((const char *)data, size, "input", &tree, NULL) != FAIL_NONE) {
        return 0;
    }
    struct form_result *result = NULL;
    try_plan(tree);
    if (form_result_read(tree, plan, &result, NULL) == FAIL_NONE) {
        ASSERT(result->n_fields == 3);
        form_result_free(result);
    }
    json_decref(tree);
    return 0;
}
