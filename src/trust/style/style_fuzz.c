/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz: any text is checked as Markdown with a rule of each kind, and any bytes are read as a rule;
   alerts lie within the text. */
#include <stdint.h>
#include <string.h>

#include "base/text/text.h"
#include "trust/style/style.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const rules[] = {
    "extends: existence\nmessage: '%s'\ntokens: [a, b]\n",
    "extends: substitution\nmessage: '%s %s'\nswap:\n  a: b|c\n  '(x)+': y\n",
    "extends: occurrence\nmessage: '%s'\nscope: sentence\ntoken: ','\nmax: 1\n",
    "extends: repetition\nmessage: '%s'\ntokens: ['[^\\s]+']\n",
    "extends: consistency\nmessage: '%s'\neither:\n  a: b\n",
    "extends: conditional\nmessage: '%s'\nfirst: '([a-z])'\nsecond: '\\(([a-z])\\)'\n",
    "extends: capitalization\nmessage: '%s'\nmatch: $title\nscope: heading\n",
    "extends: readability\nmessage: '%s'\ngrade: 1\n",
    "extends: existence\nmessage: '%s'\nscope: raw\nraw: ['<']\n",
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct style *s = style_new("F");
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault why;
    struct style_alerts a;
    if (size <= 8192) {
        for (size_t i = 0; i < COUNT_OF(rules); i++) {
            config_faults_init(faults, "r");
            ASSERT(style_add(s, "r", rules[i], strlen(rules[i]), faults, &why) == FAIL_NONE);
        }
        config_faults_init(faults, "fuzz");
        (void)!style_add(s, "fuzz", (const char *)data, size, faults, &why);
        if (text_utf8_is_valid((const char *)data, size)) {
            ASSERT(style_check(s, (const char *)data, size, true, &a));
            for (size_t i = 0; i < a.n; i++) {
                ASSERT(a.items[i].from <= a.items[i].to && a.items[i].to <= size);
            }
            style_alerts_done(&a);
        }
    }
    mem_free(faults);
    style_free(s);
    return 0;
}
