/* SPDX-License-Identifier: Apache-2.0 */
/* A leaf's canonical form: written by the JSON writer, and scanned strictly when verified. */
#include <string.h>

#include "base/json/json.h"
#include "trust/audit/audit_internal.h"

/* RFC 8785 numbers are doubles: beyond 2^53 a reader could not keep them. */
#define INT_LIMIT 9007199254740992LL

static const char *const kinds[AUDIT_KIND_COUNT] = {
#define KIND(name, text) [AUDIT_KIND_##name] = text,
#include "trust/audit/kinds.def"
#undef KIND
};

const char *audit_kind_name(enum audit_kind kind)
{
    ASSERT(kind < AUDIT_KIND_COUNT);
    return kinds[kind];
}

static void put_mac(struct jn_writer *w, const char *key, const uint8_t *mac)
{
    char hex[65];
    if (mac != NULL) {
        text_hex(mac, 32, hex);
    }
    jn_kv_str(w, key, mac != NULL ? hex : NULL);
}

bool audit_leaf_write(struct buf *out, const struct audit_leaf *leaf, int64_t seq, int64_t at,
                      const uint8_t *in_mac, const uint8_t *out_mac)
{
    ASSERT(leaf->actor != NULL && leaf->team != NULL);
    ASSERT(leaf->releases_len <= AUDIT_RELEASES_MAX);
    ASSERT(leaf->cost_nano > -INT_LIMIT && leaf->cost_nano < INT_LIMIT && seq < INT_LIMIT);
    ASSERT(leaf->tokens_in >= 0 && leaf->tokens_in < INT_LIMIT);
    ASSERT(leaf->tokens_out >= 0 && leaf->tokens_out < INT_LIMIT);
    struct jn_writer w;
    jn_begin(&w, out, true);
    jn_object_begin(&w);
    jn_kv_str(&w, "actor", leaf->actor);
    jn_kv_int(&w, "at", at);
    jn_kv_int(&w, "cost", leaf->cost_nano);
    put_mac(&w, "in_mac", in_mac);
    jn_kv_str(&w, "kind", audit_kind_name(leaf->kind));
    put_mac(&w, "out_mac", out_mac);
    jn_key(&w, "releases");
    jn_array_begin(&w);
    for (size_t i = 0; i < leaf->releases_len; i++) {
        jn_put_str(&w, leaf->releases[i]);
    }
    jn_array_end(&w);
    jn_kv_str(&w, "rung", leaf->rung);
    jn_kv_int(&w, "seq", seq);
    jn_kv_str(&w, "task", leaf->task);
    jn_kv_str(&w, "team", leaf->team);
    jn_key(&w, "tokens");
    jn_object_begin(&w);
    jn_kv_int(&w, "in", leaf->tokens_in);
    jn_kv_int(&w, "out", leaf->tokens_out);
    jn_object_end(&w);
    jn_kv_int(&w, "v", 1);
    jn_kv_str(&w, "verdict", leaf->verdict);
    jn_object_end(&w);
    return !out->overflow && out->len <= AUDIT_LEAF_MAX;
}

/* ---- scan ---- */

struct scan {
    const char *p;
    const char *end;
};

static bool lit(struct scan *s, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) {
        return false;
    }
    s->p += n;
    return true;
}

static bool whole(struct scan *s, int64_t *out)
{
    bool minus = lit(s, "-");
    const char *start = s->p;
    int64_t v = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && v < INT_LIMIT) {
        v = v * 10 + (*s->p++ - '0');
    }
    /* no empty number, no leading zero, no minus zero, nothing a double cannot hold */
    bool zero_led = s->p > start && *start == '0' && (s->p - start > 1 || minus);
    *out = minus ? -v : v;
    return s->p > start && !zero_led && v < INT_LIMIT;
}

/* The escapes RFC 8785 uses: \b \t \n \f \r \" \\ and \u00xx (lower case) for other controls. */
static bool escape(struct scan *s)
{
    if (s->end - s->p < 1) {
        return false;
    }
    char c = *s->p++;
    if (c != 'u') {
        return c != '\0' && strchr("btnfr\"\\", c) != NULL;
    }
    if (s->end - s->p < 4 || memcmp(s->p, "00", 2) != 0 || (s->p[2] != '0' && s->p[2] != '1')) {
        return false;
    }
    char low = s->p[3];
    bool hex = (low >= '0' && low <= '9') || (low >= 'a' && low <= 'f');
    /* 08 09 0a 0c 0d have short forms */
    bool has_short = s->p[2] == '0' && strchr("89acd", low) != NULL;
    s->p += 4;
    return hex && !has_short;
}

static bool string(struct scan *s)
{
    if (!lit(s, "\"")) {
        return false;
    }
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p++;
        if (c == '"') {
            return true;
        }
        if (c < 0x20 || (c == '\\' && !escape(s))) {
            return false;
        }
    }
    return false;
}

static bool text_or_null(struct scan *s)
{
    return lit(s, "null") || string(s);
}

static bool mac_or_null(struct scan *s)
{
    if (lit(s, "null")) {
        return true;
    }
    if (s->end - s->p < 66 || s->p[0] != '"' || s->p[65] != '"') {
        return false;
    }
    for (int i = 1; i <= 64; i++) {
        if (!((s->p[i] >= '0' && s->p[i] <= '9') || (s->p[i] >= 'a' && s->p[i] <= 'f'))) {
            return false;
        }
    }
    s->p += 66;
    return true;
}

static bool strings(struct scan *s)
{
    if (!lit(s, "[")) {
        return false;
    }
    if (lit(s, "]")) {
        return true;
    }
    do {
        if (!string(s)) {
            return false;
        }
    } while (lit(s, ","));
    return lit(s, "]");
}

bool audit_leaf_scan(const char *body, size_t n, int64_t *seq)
{
    if (n > AUDIT_LEAF_MAX || !text_utf8_is_valid(body, n)) {
        return false;
    }
    struct scan s = {body, body + n};
    int64_t v;
    return lit(&s, "{\"actor\":") && string(&s) && lit(&s, ",\"at\":") && whole(&s, &v) &&
           lit(&s, ",\"cost\":") && whole(&s, &v) && lit(&s, ",\"in_mac\":") && mac_or_null(&s) &&
           lit(&s, ",\"kind\":") && string(&s) && lit(&s, ",\"out_mac\":") && mac_or_null(&s) &&
           lit(&s, ",\"releases\":") && strings(&s) && lit(&s, ",\"rung\":") &&
           text_or_null(&s) && lit(&s, ",\"seq\":") && whole(&s, seq) && lit(&s, ",\"task\":") &&
           text_or_null(&s) && lit(&s, ",\"team\":") && string(&s) &&
           lit(&s, ",\"tokens\":{\"in\":") && whole(&s, &v) && lit(&s, ",\"out\":") &&
           whole(&s, &v) && lit(&s, "},\"v\":1,\"verdict\":") && text_or_null(&s) &&
           lit(&s, "}") && s.p == s.end;
}
