/* SPDX-License-Identifier: Apache-2.0 */
/* Strict parsing: a pre-scan bounds the depth before jansson sees the text, so a hostile body
   cannot make the parser recurse; then typed access with errors that name the key. */
#include "base/json/json.h"

#include <math.h>
#include <string.h>

#include "base/text/text.h"

/* Depth over brackets outside strings. Malformed text may pass; jansson then refuses it. */
static bool too_deep(const char *s, size_t n)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JN_MAX_DEPTH) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

enum fail jn_parse(const char *text, size_t n, const char *what, json_t **out, struct fault *why)
{
    size_t good = text_utf8_valid_prefix(text, n);
    if (good != n) {
        FAULT(why, FAIL_BAD_REQUEST, "%s is not valid UTF-8 at byte %zu", what, good);
        return fail_hint(why, "Save or send the text as UTF-8."), FAIL_BAD_REQUEST;
    }
    if (too_deep(text, n)) {
        return FAULT(why, FAIL_BAD_REQUEST, "%s nests deeper than %d levels", what, JN_MAX_DEPTH);
    }
    json_error_t e;
    *out = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (*out == NULL) {
        /* What it stands near is the caller's own text: no message carries that. */
        char *near = strstr(e.text, " near '");
        if (near != NULL) {
            *near = '\0';
        }
        return FAULT(why, FAIL_BAD_REQUEST, "%s is not valid JSON: line %d column %d: %s", what,
                     e.line, e.column, e.text);
    }
    return FAIL_NONE;
}

void jn_auto_decref(json_t **j)
{
    json_decref(*j);
}

static enum fail wrong(struct fault *why, const char *key, const char *expected)
{
    FAULT(why, FAIL_BAD_REQUEST, "\"%s\" must be %s", key, expected);
    fail_param(why, key);
    return FAIL_BAD_REQUEST;
}

/* Finds the member. Absent or null: *member is NULL, and an error when required. */
static enum fail member_of(const json_t *obj, const char *key, bool required, json_t **member,
                           struct fault *why)
{
    *member = json_object_get(obj, key);
    if (*member != NULL && json_is_null(*member)) {
        *member = NULL;
    }
    if (*member == NULL && required) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" is missing", key);
        fail_param(why, key);
        return FAIL_BAD_REQUEST;
    }
    return FAIL_NONE;
}

enum fail jn_str(const json_t *obj, const char *key, bool required, size_t max_len,
                 const char **out, struct fault *why)
{
    json_t *m;
    enum fail f = member_of(obj, key, required, &m, why);
    if (f != FAIL_NONE || m == NULL) {
        return f;
    }
    if (!json_is_string(m)) {
        return wrong(why, key, "a string");
    }
    if (json_string_length(m) > max_len) {
        FAULT(why, FAIL_TOO_LARGE, "\"%s\" is longer than %zu bytes", key, max_len);
        fail_param(why, key);
        return FAIL_TOO_LARGE;
    }
    *out = json_string_value(m);
    return FAIL_NONE;
}

enum fail jn_int(const json_t *obj, const char *key, bool required, int64_t min, int64_t max,
                 int64_t *out, struct fault *why)
{
    json_t *m;
    enum fail f = member_of(obj, key, required, &m, why);
    if (f != FAIL_NONE || m == NULL) {
        return f;
    }
    if (!json_is_integer(m) || json_integer_value(m) < min || json_integer_value(m) > max) {
        char expected[96];
        snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)min,
                 (long long)max);
        return wrong(why, key, expected);
    }
    *out = json_integer_value(m);
    return FAIL_NONE;
}

enum fail jn_real(const json_t *obj, const char *key, bool required, double min, double max,
                  double *out, struct fault *why)
{
    json_t *m;
    enum fail f = member_of(obj, key, required, &m, why);
    if (f != FAIL_NONE || m == NULL) {
        return f;
    }
    double v = json_number_value(m);
    if (!json_is_number(m) || !isfinite(v) || v < min || v > max) {
        char expected[96];
        snprintf(expected, sizeof(expected), "a number from %g to %g", min, max);
        return wrong(why, key, expected);
    }
    *out = v;
    return FAIL_NONE;
}

enum fail jn_bool(const json_t *obj, const char *key, bool required, bool *out, struct fault *why)
{
    json_t *m;
    enum fail f = member_of(obj, key, required, &m, why);
    if (f != FAIL_NONE || m == NULL) {
        return f;
    }
    if (!json_is_boolean(m)) {
        return wrong(why, key, "true or false");
    }
    *out = json_is_true(m);
    return FAIL_NONE;
}

enum fail jn_array(const json_t *obj, const char *key, bool required, size_t max_items,
                   json_t **out, struct fault *why)
{
    json_t *m;
    enum fail f = member_of(obj, key, required, &m, why);
    if (f != FAIL_NONE || m == NULL) {
        return f;
    }
    if (!json_is_array(m) || json_array_size(m) > max_items) {
        char expected[96];
        snprintf(expected, sizeof(expected), "an array of at most %zu items", max_items);
        return wrong(why, key, expected);
    }
    *out = m;
    return FAIL_NONE;
}

enum fail jn_object(const json_t *obj, const char *key, bool required, json_t **out,
                    struct fault *why)
{
    json_t *m;
    enum fail f = member_of(obj, key, required, &m, why);
    if (f != FAIL_NONE || m == NULL) {
        return f;
    }
    if (!json_is_object(m)) {
        return wrong(why, key, "an object");
    }
    *out = m;
    return FAIL_NONE;
}

enum fail jn_only(const json_t *obj, const char *const *keys, struct fault *why)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)obj, key, value)
    {
        const char *const *k = keys;
        while (*k != NULL && strcmp(*k, key) != 0) {
            k++;
        }
        if (*k == NULL) {
            FAULT(why, FAIL_UNKNOWN_PARAMETER, "unknown parameter \"%.60s\"", key);
            fail_param(why, key);
            return FAIL_UNKNOWN_PARAMETER;
        }
    }
    return FAIL_NONE;
}
