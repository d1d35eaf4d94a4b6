/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/v1/check: is each sentence of a reply supported by the sources given? Nothing is
   stored. */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/check/check.h"

#define CHECK_BODY_TEXT (64u * 1024u)

/* Everything in it lives as long as the request. */
struct checking {
    const char *reply, *ticket, *language;
    const char *sources[CHECK_MAX_SOURCES];
    size_t sources_len;
};

static const char *keep(struct wire_request *r, const char *s)
{
    size_t n = s != NULL ? strlen(s) + 1 : 0;
    return n > 0 ? memcpy(wire_alloc(r, n), s, n) : NULL;
}

static enum fail read_request(struct wire_request *r, const json_t *body, struct checking *c,
                              struct fault *why)
{
    json_t *sources = NULL;
    enum fail f = jn_str(body, "reply", true, CHECK_BODY_TEXT, &c->reply, why);
    f = f != FAIL_NONE ? f : jn_str(body, "ticket", false, CHECK_BODY_TEXT, &c->ticket, why);
    f = f != FAIL_NONE ? f : jn_str(body, "language", false, 15, &c->language, why);
    f = f != FAIL_NONE ? f : jn_array(body, "sources", true, CHECK_MAX_SOURCES, &sources, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(sources); i++) {
        json_t *s = json_array_get(sources, i);
        if (!json_is_string(s)) {
            f = FAULT(why, FAIL_BAD_REQUEST, "source %zu is not a string", i + 1);
            fail_param(why, "sources");
        } else {
            c->sources[c->sources_len++] = keep(r, json_string_value(s));
        }
    }
    c->reply = keep(r, c->reply);
    c->ticket = keep(r, c->ticket);
    c->language = keep(r, c->language);
    return f;
}

static void put_claims(struct jn_writer *w, const struct checking *c,
                       const struct check_claim *claims, size_t n)
{
    jn_key(w, "claims");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        static const char *const verdicts[] = {"supported", "frame", "unsupported"};
        const struct check_claim *k = &claims[i];
        jn_object_begin(w);
        jn_key(w, "text");
        jn_put_strn(w, c->reply + k->at, k->len);
        jn_kv_int(w, "at", k->at);
        jn_kv_int(w, "length", k->len);
        jn_kv_str(w, "verdict", verdicts[k->verdict]);
        jn_kv_str(w, "reason",
                  k->reason == CHECK_REASON_NONE ? NULL : check_reason_name(k->reason));
        jn_kv_str(w, "detail", k->detail);
        jn_kv_int(w, "source", k->source);
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void check_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct checking *c = arg;
    struct check_claim claims[CHECK_MAX_CLAIMS];
    struct jn_writer w;
    struct buf body;
    size_t n = 0;
    (void)a;
    struct check_support in = {.reply = c->reply,
                               .reply_len = strlen(c->reply),
                               .lang = knowledge_lang_from_code(c->language),
                               .sources = c->sources,
                               .source_count = c->sources_len,
                               .ticket = c->ticket,
                               .ticket_len = c->ticket != NULL ? strlen(c->ticket) : 0};
    bool ok = check_support(&in, claims, COUNT_OF(claims), &n);
    api_open(&w, &body);
    jn_kv_bool(&w, "supported", ok);
    put_claims(&w, c, claims, n < COUNT_OF(claims) ? n : COUNT_OF(claims));
    api_send(r, 200, &w);
}

void api_check(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"reply", "sources", "ticket", "language", NULL};
    struct fault why;
    json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct checking *c = wire_alloc(r, sizeof(*c));
    memset(c, 0, sizeof(*c));
    enum fail f = read_request(r, body, c, &why);
    json_decref(body);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    api_on_crunch(arg, r, check_on_crunch, c);
}
