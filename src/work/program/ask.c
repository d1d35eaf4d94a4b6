/* SPDX-License-Identifier: Apache-2.0 */
/* Asking models and rendering prompts, through the host; what it took is counted to the step. */
#include <string.h>

#include "base/json/json.h"
#include "work/program/program_internal.h"

#define VARS_BYTES ((size_t)512 * 1024) /* of a prompt's variables as JSON */
#define TEXT_BYTES ((size_t)256 * 1024)

static enum fail check_ask(const struct program_ask *a, struct fault *why)
{
    size_t len = a->text != NULL ? strlen(a->text) : 0;
    if (len > TEXT_BYTES || (a->system != NULL && strlen(a->system) > TEXT_BYTES)) {
        return FAULT(why, FAIL_TOO_LARGE, "a text for a model has at most %zu KiB",
                     TEXT_BYTES >> 10);
    }
    if (len > 0 && !text_utf8_is_valid(a->text, len)) {
        return FAULT(why, FAIL_BAD_REQUEST, "a text for a model must be valid UTF-8");
    }
    bool ok = true;
    switch (a->kind) {
    case PROGRAM_CHAT:
        ok = a->text != NULL && a->max_tokens >= 0 && a->max_tokens <= 4096;
        break;
    case PROGRAM_DECIDE:
        ok = a->text != NULL && a->question != NULL && a->labels_len >= 2 && a->labels_len <= 256;
        break;
    case PROGRAM_FORM:
        ok = a->text != NULL && a->workflow != NULL;
        break;
    case PROGRAM_EMBED:
        ok = a->texts_len >= 1 && a->texts_len <= 256;
        break;
    }
    return ok ? FAIL_NONE : FAULT(why, FAIL_BAD_REQUEST, "a question to a model is incomplete");
}

void program_ask_many(struct program_run *r, const struct program_ask *asks, size_t n,
                      struct program_answer *out)
{
    ASSERT(n <= PROGRAM_ASKS_MAX);
    memset(out, 0, n * sizeof(*out));
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        out[i].text = "";
        out[i].code = check_ask(&asks[i], &out[i].why);
        good = good && out[i].code == FAIL_NONE;
    }
    if (!good || n == 0) {
        for (size_t i = 0; i < n; i++) {
            if (out[i].code == FAIL_NONE) {
                out[i].code = FAULT(&out[i].why, FAIL_BAD_REQUEST,
                                    "another question of the same lot is incomplete");
            }
        }
        return;
    }
    if (r->host.ask == NULL) {
        for (size_t i = 0; i < n; i++) {
            out[i].code = FAULT(&out[i].why, FAIL_MODEL_UNAVAILABLE, "no model is there");
        }
        return;
    }
    r->host.ask(r->host.arg, asks, n, r->arena, out);
    for (size_t i = 0; i < n; i++) {
        if (out[i].text == NULL) {
            out[i].text = "";
        }
        r->step.asks++;
        r->step.tokens_in += out[i].tokens_in;
        r->step.tokens_cached += out[i].tokens_cached;
        r->step.tokens_out += out[i].tokens_out;
        r->step.cost += out[i].cost;
    }
}

enum fail program_ask(struct program_run *r, const struct program_ask *ask,
                      struct program_answer *out, struct fault *why)
{
    program_ask_many(r, ask, 1, out);
    if (out->code != FAIL_NONE && why != NULL) {
        *why = out->why;
    }
    return out->code;
}

bool program_has_model(struct program_run *r, const char *model)
{
    return r->host.ask != NULL &&
           (r->host.has_model == NULL || r->host.has_model(r->host.arg, model));
}

/* ---- prompts ---- */

static const char *prompt_find(const struct program_run *r, const char *name)
{
    const struct program_definition *d = r->definition;
    for (size_t i = 0; i < d->prompts_len; i++) {
        if (strcmp(d->prompts[i].name, name) == 0) {
            return d->prompts[i].text;
        }
    }
    return NULL;
}

bool program_has_prompt(const struct program_run *r, const char *name)
{
    return prompt_find(r, name) != NULL;
}

enum fail program_prompt(struct program_run *r, const char *name, const struct program_var *vars,
                         size_t n, const char **out, struct fault *why)
{
    const char *text = prompt_find(r, name);
    if (text == NULL) {
        return FAULT(why, FAIL_NOT_FOUND, "the definition %s has no prompt \"%.40s\"",
                     r->definition->name, name);
    }
    if (strstr(text, "{{") == NULL && strstr(text, "{%") == NULL && strstr(text, "{#") == NULL) {
        *out = text;
        return FAIL_NONE;
    }
    if (r->host.render == NULL) {
        return FAULT(why, FAIL_MODEL_UNAVAILABLE, "no worker is there to render a prompt");
    }
    struct buf json;
    struct jn_writer w;
    buf_init(&json, VARS_BYTES);
    jn_begin(&w, &json, false);
    jn_object_begin(&w);
    for (size_t i = 0; i < n; i++) {
        jn_kv_str(&w, vars[i].name, vars[i].value);
    }
    jn_object_end(&w);
    enum fail f = json.overflow ? FAULT(why, FAIL_TOO_LARGE, "the prompt \"%.40s\" would have over "
                                        "%zu KiB", name, VARS_BYTES >> 10)
                                : r->host.render(r->host.arg, text, json.data, r->now / 1000000,
                                                 r->arena, out, why);
    buf_done(&json);
    return f;
}
