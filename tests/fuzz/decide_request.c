/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry: a body of /v1/systemone. What decodes asks questions that a form can hold, and equal
   probabilities give an answer that is JSON. */
#include "http/openai/openai.h"

#include "base/json/json.h"
#include "run/form/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct openai_decide_ask ask;
    struct task_decided decided[TASK_QUESTIONS_MAX];
    static double even[FORM_LABELS_MAX];
    struct jn_writer w;
    struct buf out;
    struct fault why;
    json_t *j = NULL;
    if (openai_decide_decode((const char *)data, size, &ask, &why) != FAIL_NONE) {
        return 0;
    }
    for (size_t i = 0; i < FORM_LABELS_MAX; i++) {
        even[i] = 0.25;
    }
    for (size_t i = 0; i < ask.n; i++) {
        ASSERT(ask.questions[i].labels_len >= 2 && ask.questions[i].labels_len <= FORM_LABELS_MAX);
        decided[i] = (struct task_decided){even, 0.5};
    }
    buf_init(&out, (size_t)16 << 20);
    jn_begin(&w, &out, false);
    openai_put_answers(&w, &ask, decided);
    ASSERT(!out.overflow && jn_parse(out.data, out.len, "answers", &j, &why) == FAIL_NONE);
    json_decref(j);
    buf_done(&out);
    openai_decide_ask_done(&ask);
    return 0;
}
