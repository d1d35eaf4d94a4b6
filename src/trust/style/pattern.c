/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns: Vale's regular expressions for PCRE2. What its engine takes and PCRE2 does not, a
 * look-behind without a fixed length, is spelled out for lengths up to BEHIND_MAX.
 *
 * Owns nothing. Threads: pure. Limits: PATTERN_MAX bytes; matching is bounded by check.c.
 */
#include "trust/style/style_internal.h"

#include <string.h>

#define PATTERN_MAX 131072
#define BEHIND_MAX 24

/* Length of the atom at s: "\d", "[...]", "." or one character. */
static size_t atom(const char *s, size_t n)
{
    if (s[0] == '\\') {
        return n > 1 ? 2 : 1;
    }
    if (s[0] != '[') {
        return 1;
    }
    size_t i = 1;
    i += i < n && s[i] == '^' ? 1 : 0;
    i += i < n && s[i] == ']' ? 1 : 0;
    while (i < n && s[i] != ']') {
        i += s[i] == '\\' ? 2 : 1;
    }
    return i < n ? i + 1 : n;
}

static size_t group_end(const char *s, size_t n)
{
    int depth = 0;
    for (size_t i = 0; i < n; i += atom(s + i, n - i)) {
        depth += s[i] == '(' ? 1 : s[i] == ')' ? -1 : 0;
        if (depth == 0) {
            return i;
        }
    }
    return n;
}

/* "(?<!:[^ ]+?)" becomes "(?<!:[^ ]{1}|:[^ ]{2}|...)": the first + or * of a look-behind. */
static bool spell_out(const char *s, size_t n, struct buf *out)
{
    bool changed = false;
    for (size_t i = 0; i < n;) {
        bool behind = n - i > 4 && memcmp(s + i, "(?<", 3) == 0 && strchr("!=", s[i + 3]) != NULL;
        if (!behind) {
            size_t len = atom(s + i, n - i);
            buf_add(out, s + i, len);
            i += len;
            continue;
        }
        size_t end = i + group_end(s + i, n - i);
        size_t at = i + 4;
        size_t last = at;
        for (; at < end && s[at] != '+' && s[at] != '*'; at += atom(s + at, end - at)) {
            last = at;
        }
        if (at >= end) {
            buf_add(out, s + i, end - i);
            i = end;
            continue;
        }
        size_t rest = at + 1 + (at + 1 < end && (s[at + 1] == '?' || s[at + 1] == '+') ? 1 : 0);
        buf_add(out, s + i, 4);
        for (int k = s[at] == '+' ? 1 : 0; k <= BEHIND_MAX; k++) {
            buf_printf(out, "%s%.*s{%d}%.*s", k > (s[at] == '+' ? 1 : 0) ? "|" : "",
                       (int)(at - i - 4), s + i + 4, k, (int)(end - rest), s + rest);
        }
        changed = last > 0;
        i = end;
    }
    return changed && !out->overflow;
}

static pcre2_code *compile(const char *pattern, size_t n, bool ignorecase, int *code)
{
    PCRE2_SIZE at;
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C |
                       (ignorecase ? PCRE2_CASELESS : 0);
    return pcre2_compile((PCRE2_SPTR)pattern, n, options, code, &at, NULL);
}

pcre2_code *style_pattern(const char *pattern, bool ignorecase, int line,
                          struct config_faults *faults)
{
    int code = 0;
    size_t n = strlen(pattern);
    pcre2_code *made = n <= PATTERN_MAX ? compile(pattern, n, ignorecase, &code) : NULL;
    if (made == NULL && code == PCRE2_ERROR_LOOKBEHIND_NOT_FIXED_LENGTH) {
        struct buf out;
        buf_init(&out, PATTERN_MAX);
        if (spell_out(pattern, n, &out)) {
            made = compile(out.data, out.len, ignorecase, &code);
        }
        buf_done(&out);
    }
    if (made == NULL) {
        char text[120] = "the pattern is too long";
        if (n <= PATTERN_MAX) {
            pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
        }
        config_faults_add(faults, line, "tokens", NULL, "the pattern does not compile: %s", text);
        return NULL;
    }
    pcre2_jit_compile(made, PCRE2_JIT_COMPLETE); /* only speed: without it, it is interpreted */
    return made;
}
