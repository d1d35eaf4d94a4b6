/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request made for sending, on the room's own thread: checked, redacted where the label or the
 * caller asks for it, written in the dialects of the pool. What cannot be redacted whole is not
 * sent.
 */
#include <string.h>

#include "run/upstream/upstream_internal.h"

#define DEPTH_MAX 64

/* ---- redaction ---- */

/* Strings under these keys name things of the protocol; everything else may hold a person's
   data. */
static bool is_protocol(const char *key)
{
    static const char *const keys[] = {"role", "type", "tool_call_id", "id", "name", "format"};
    for (size_t i = 0; key != NULL && i < COUNT_OF(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

/* All strings of the tree; with `out` NULL they are only looked at. A new tree, NULL: failed. */
static json_t *walk(struct guard_redaction *r, const char *key, const json_t *v, bool change,
                    int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (depth > DEPTH_MAX) {
        return NULL;
    }
    if (json_is_object(v)) {
        json_t *made = json_object();
        json_object_foreach((json_t *)(uintptr_t)v, name, member)
        {
            json_t *x = made != NULL ? walk(r, name, member, change, depth + 1) : NULL;
            if (x == NULL || json_object_set_new_nocheck(made, name, x) != 0) {
                json_decref(made);
                return NULL;
            }
        }
        return made;
    }
    if (json_is_array(v)) {
        json_t *made = json_array();
        json_array_foreach(v, i, member)
        {
            json_t *x = made != NULL ? walk(r, key, member, change, depth + 1) : NULL;
            if (x == NULL || json_array_append_new(made, x) != 0) {
                json_decref(made);
                return NULL;
            }
        }
        return made;
    }
    if (!json_is_string(v) || is_protocol(key)) {
        return json_incref((json_t *)(uintptr_t)v);
    }
    const char *s = json_string_value(v);
    size_t n = json_string_length(v);
    if (!change) {
        return guard_redact_reserve(r, s, n) ? json_incref((json_t *)(uintptr_t)v) : NULL;
    }
    struct buf out;
    buf_init(&out, CALL_BODY_BYTES);
    json_t *made = guard_redact(r, s, n, &out)
                       ? json_stringn_nocheck(out.data != NULL ? out.data : "", out.len)
                       : NULL;
    buf_done(&out);
    return made;
}

/* The tree with its values replaced; NULL: nothing may be sent. */
static json_t *redacted(struct guard_redaction *r, const json_t *tree)
{
    json_t *seen = walk(r, NULL, tree, false, 0);
    json_t *made = seen != NULL ? walk(r, NULL, tree, true, 0) : NULL;
    json_decref(seen);
    return made;
}

/* ---- the request ---- */

static enum fail check_keys(const json_t *ask, struct fault *why)
{
    static const char *const refused[] = {"grammar",     "convert_schema", "reproducible",
                                          "logprobs",    "prompt",         "template_vars",
                                          "adapter"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        const json_t *v = json_object_get(ask, refused[i]);
        if (v != NULL && !json_is_null(v) && !json_is_false(v) &&
            !(json_is_integer(v) && json_integer_value(v) == 0)) {
            FAULT(why, FAIL_UNSUPPORTED, "\"%s\" cannot be honoured by a model of another server",
                  refused[i]);
            fail_param(why, refused[i]);
            return fail_hint(why, "Leave it out, or name a local model.");
        }
    }
    if (json_array_size(json_object_get(ask, "messages")) == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "\"messages\" must hold at least one message");
        return fail_param(why, "messages");
    }
    return FAIL_NONE;
}

static enum fail put_chat(struct call *c, const json_t *ask, enum config_dialect kind,
                          struct fault *why)
{
    static const struct dialect *const dialects[] = {&dialect_openai, &dialect_anthropic};
    struct buf *out = &c->made.rest[kind];
    struct jn_writer w;
    buf_init(out, CALL_BODY_BYTES);
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    enum fail f =
        dialects[kind]->put(ask, c->stream, c->max_tokens, c->plain_sampling, &w, why);
    jn_object_end(&w);
    if (f == FAIL_NONE && out->overflow) {
        f = FAULT(why, FAIL_TOO_LARGE, "the request is larger than %zu MiB", CALL_BODY_BYTES >> 20);
    }
    return f;
}

static enum fail put_texts(struct call *c, struct fault *why)
{
    struct buf *out = &c->made.rest[CONFIG_OPENAI];
    struct jn_writer w;
    buf_init(out, CALL_BODY_BYTES);
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_key(&w, "input");
    jn_array_begin(&w);
    for (size_t i = 0; i < c->texts_len; i++) {
        jn_put_str(&w, c->texts[i]);
    }
    jn_array_end(&w);
    jn_kv_str(&w, "encoding_format", "float");
    jn_object_end(&w);
    c->made.tokens_in = (int64_t)out->len / 3 + 1;
    return out->overflow ? FAULT(why, FAIL_TOO_LARGE, "the texts are larger than %zu MiB",
                                 CALL_BODY_BYTES >> 20)
                         : FAIL_NONE;
}

static enum fail cannot_redact(struct fault *why)
{
    FAULT(why, FAIL_FORBIDDEN, "the request could not be redacted whole, so it does not leave");
    return fail_hint(why, "It holds over %d values, or is too large. Ask a local model.",
                     GUARD_REDACT_MAX);
}

static enum fail prepare_texts(struct call *c, struct fault *why)
{
    for (size_t i = 0; c->redact && i < c->texts_len; i++) {
        if (!guard_redact_reserve(c->made.redaction, c->texts[i], strlen(c->texts[i]))) {
            return cannot_redact(why);
        }
    }
    for (size_t i = 0; c->redact && i < c->texts_len; i++) {
        struct buf out;
        buf_init(&out, CALL_BODY_BYTES);
        if (!guard_redact(c->made.redaction, c->texts[i], strlen(c->texts[i]), &out)) {
            buf_done(&out);
            return cannot_redact(why);
        }
        mem_free(c->texts[i]);
        c->texts[i] = buf_take(&out);
    }
    return put_texts(c, why);
}

static enum fail prepare_chat(struct call *c, struct fault *why)
{
    AUTO_JSON json_t *ask = NULL;
    enum fail f = jn_parse(c->body, c->len, "the request", &ask, why);
    if (f == FAIL_NONE) {
        f = check_keys(ask, why);
    }
    if (f == FAIL_NONE && c->redact) {
        json_t *made = redacted(c->made.redaction, ask);
        json_decref(ask);
        ask = made;
        f = ask == NULL ? cannot_redact(why) : FAIL_NONE;
    }
    if (f != FAIL_NONE) {
        return f;
    }
    c->made.wants_json = json_object_get(ask, "json_schema") != NULL;
    c->made.has_tools = json_array_size(json_object_get(ask, "tools")) > 0;
    for (int kind = CONFIG_OPENAI; f == FAIL_NONE && kind <= CONFIG_ANTHROPIC; kind++) {
        if ((c->dialects & 1u << kind) != 0) {
            f = put_chat(c, ask, (enum config_dialect)kind, why);
            c->made.tokens_in = (int64_t)c->made.rest[kind].len / 3 + 1;
        }
    }
    return f;
}

void prepare(struct call *c)
{
    c->made.redaction = c->redact ? guard_redaction_new() : NULL;
    if (c->made.redaction != NULL) {
        guard_redaction_lists(c->made.redaction, c->lists);
    }
    c->made.code = c->work == UPSTREAM_CHAT ? prepare_chat(c, &c->made.why)
                                            : prepare_texts(c, &c->made.why);
    if (c->made.redaction != NULL && guard_redaction_count(c->made.redaction) == 0 &&
        c->work == UPSTREAM_EMBED) {
        guard_redaction_free(c->made.redaction);
        c->made.redaction = NULL;
    }
}

void prepared_done(struct prepared *p)
{
    buf_done(&p->rest[0]);
    buf_done(&p->rest[1]);
    guard_redaction_free(p->redaction);
    p->redaction = NULL;
}

/* ---- the answer ---- */

const char *call_damage(const struct call *c, enum upstream_outcome *outcome)
{
    const struct guard_redaction *r = c->made.redaction;
    const struct buf *raw = &c->reply.text;
    *outcome = UPSTREAM_PLACEHOLDER;
    if (r != NULL && raw->len > 0 && guard_redaction_altered(r, raw->data, raw->len)) {
        return "its answer writes a placeholder in another form";
    }
    *outcome = UPSTREAM_LOST;
    const char *all = c->said.data != NULL ? c->said.data : "";
    size_t lost = r == NULL || c->keep == NULL
                      ? 0
                      : guard_redaction_lost(r, c->keep, all, c->said.len, c->made.wants_json);
    return lost > 0 ? "its answer lost a placeholder that it had to keep" : NULL;
}
