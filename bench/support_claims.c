/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: the support check as a filter. Reads JSON lines from standard input, answers each with one
 * line: {"split": TEXT, "lang"} with its sentences as an array; {"claim", "sources", "lang"} with
 * {"ok", "reason", "detail"}.
 * Owns: nothing. Threads: one. Limits: CHECK_MAX_SOURCES sentences a text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer/check/check.h"
#include "base/mem/mem.h"

static json_t *split(const char *text, enum knowledge_lang lang)
{
    struct knowledge_span spans[CHECK_MAX_SOURCES];
    size_t n = knowledge_split(text, strlen(text), lang, spans, COUNT_OF(spans));
    json_t *out = json_array();
    for (size_t i = 0; i < n && i < COUNT_OF(spans); i++) {
        json_array_append_new(out, json_stringn(text + spans[i].at, spans[i].len));
    }
    return out;
}

static json_t *claim(const json_t *o, const char *text, enum knowledge_lang lang)
{
    const char *sources[CHECK_MAX_SOURCES];
    const json_t *list = json_object_get(o, "sources");
    size_t n = 0;
    for (; n < json_array_size(list) && n < COUNT_OF(sources); n++) {
        sources[n] = json_string_value(json_array_get(list, n));
    }
    struct check_claim c;
    check_claim(text, strlen(text), lang, sources, n, NULL, 0, &c);
    return json_pack("{s:b,s:s,s:s,s:f}", "ok", c.verdict == CHECK_SUPPORTED, "reason",
                     check_reason_name(c.reason), "detail", c.detail, "overlap", c.overlap);
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        json_error_t e;
        json_t *o = json_loads(line, 0, &e);
        if (o == NULL) {
            fprintf(stderr, "support_claims: %s\n", e.text);
            return 2;
        }
        enum knowledge_lang lang =
            knowledge_lang_from_code(json_string_value(json_object_get(o, "lang")));
        const char *text = json_string_value(json_object_get(o, "split"));
        const char *say = json_string_value(json_object_get(o, "claim"));
        json_t *r = text != NULL ? split(text, lang) : claim(o, say != NULL ? say : "", lang);
        char *shown = json_dumps(r, JSON_COMPACT);
        puts(shown);
        free(shown); /* tidy: memory: jansson's own */
        json_decref(r);
        json_decref(o);
    }
    free(line); /* tidy: memory: getline's own */
    return 0;
}
