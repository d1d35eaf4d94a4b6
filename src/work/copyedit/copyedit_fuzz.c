/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: any text is edited under a policy with each kind of replacement; places lie within the
 * text, the edited text is UTF-8 and keeps what has to be kept, and all texts can be written.
 */
#include <stdint.h>
#include <string.h>

#include "base/text/text.h"
#include "work/copyedit/copyedit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const rules[] = {
    "extends: substitution\nlevel: error\nignorecase: true\nswap:\n  aa: ee\n  b: cc|d\n  1: 2\n",
    "extends: existence\nignorecase: true\naction:\n  name: remove\ntokens: [very, x]\n",
    "extends: repetition\nalpha: true\naction:\n  name: remove\ntokens: ['[^\\s]+']\n",
    "extends: existence\nnonword: true\naction:\n  name: replace\n  params: [' ']\ntokens: ['  "
    "+']\n",
};

static bool say(void *arg, const char *sentence, const char *messages, struct buf *out)
{
    (void)arg;
    (void)messages;
    return buf_add_str(out, sentence);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct copyedit_policy *p = copyedit_policy_new();
    struct copyedit_options o = {.markdown = size % 2 == 0, .lang = size % 3, .ask = say};
    struct copyedit_result r;
    struct config_faults faults;
    struct fault why;
    struct buf b;
    config_faults_init(&faults, "fuzz");
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        copyedit_policy_add(p, "F", "", "r", rules[i], strlen(rules[i]), 0, &faults);
    }
    ASSERT(faults.count == 0);
    AUTO_FREE char *text = mem_dup(data, size);
    buf_init(&b, 1 << 20);
    if (size <= 4096 && copyedit_check(p, text, size, &o, &r, &why) == FAIL_NONE) {
        for (size_t i = 0; i < r.n; i++) {
            ASSERT(r.items[i].at <= size && r.items[i].len <= size - r.items[i].at);
        }
        copyedit_put_edited(&r, &b);
        ASSERT(text_utf8_is_valid(b.data != NULL ? b.data : "", b.len));
        copyedit_put_diff(&r, "f", &b);
        copyedit_put_markdown(&r, "f", &b);
        copyedit_put_json(&r, "f", &b);
        copyedit_result_done(&r);
    }
    buf_done(&b);
    copyedit_policy_free(p);
    return 0;
}
