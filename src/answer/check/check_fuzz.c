/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz: two texts, cut at the first NUL, go through every check; what is at fault lies within the
 * text, and a text held against itself passes the checks of translations.
 */
#include <stdint.h>
#include <string.h>

#include "answer/check/check.h"
#include "base/mem/mem.h"
#include "base/text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct check_result r, size_t len)
{
    ASSERT(r.ok == (r.reason == CHECK_REASON_NONE));
    ASSERT(r.at <= len && r.len <= len - r.at);
    ASSERT(text_utf8_is_valid(r.detail, strlen(r.detail)));
}

static void try_strings(const char *a, size_t n, const char *b, size_t m)
{
    static const struct check_term terms[] = {{CHECK_TERM_MUST, "file", "Datei|Akte", false},
                                              {CHECK_TERM_NOT, "", "Handy", false},
                                              {CHECK_TERM_KEEP, "Firefox", NULL, false}};
    struct check_string s = {.source = a,
                             .source_len = n,
                             .target = b,
                             .target_len = m,
                             .source_lang = "en",
                             .target_lang = "de",
                             .markdown = true};
    struct check_result out[8];
    size_t count = check_string(&s, terms, COUNT_OF(terms), out, COUNT_OF(out));
    for (size_t i = 0; i < count; i++) {
        inside(out[i], m);
    }
    s.target = a;
    s.target_len = n;
    inside(check_placeholders(&s), n);
    ASSERT(check_placeholders(&s).ok || check_placeholders(&s).reason == CHECK_REASON_LIMIT);
    ASSERT(check_spacing(&s).ok || check_spacing(&s).reason == CHECK_REASON_LIMIT);
    s.syntax = CHECK_SYNTAX_ICU;
    inside(check_icu(&s), n);
}

static void try_texts(const char *a, size_t n, const char *b, size_t m)
{
    static const char *const columns[] = {"month", "opened"};
    static const char *const cells[] = {"May", "12", "June", "15"};
    static const struct check_table table = {"t", columns, NULL, 2, cells, 2, 0, 0};
    static const uint32_t rows[] = {1, 0}, cols[] = {1};
    static const struct check_test items[] = {{"test_a", "S", "f.c", "no", CHECK_FAILED, 1}};
    struct check_trace traces[8];
    size_t count;
    const char *allowed[] = {b};
    struct check_cells c = {a, n, KNOWLEDGE_LANG_EN, &table, 1, 0, rows, cols, 2, 1, allowed, 1};
    struct check_tests t = {a, n, KNOWLEDGE_LANG_EN, items, 1, NULL, 0, allowed, 1};
    struct check_slots l = {a, n, KNOWLEDGE_LANG_EN, allowed, 1, allowed, 1};
    struct check_claim claim;
    inside(check_cells(&c, traces, 8, &count), n);
    inside(check_tests(&t), n);
    inside(check_slots(&l), n);
    inside(check_kept(b, m, a, n, KNOWLEDGE_LANG_DE, CHECK_KEEP_ALL), n);
    check_claim(a, n, KNOWLEDGE_LANG_EN, allowed, 1, NULL, 0, &claim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096) {
        return 0;
    }
    const uint8_t *cut = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t n = cut != NULL ? (size_t)(cut - data) : size, m = cut != NULL ? size - n - 1 : 0;
    AUTO_FREE char *a = mem_dup_strn((const char *)data, n);
    AUTO_FREE char *b = mem_dup_strn(cut != NULL ? (const char *)cut + 1 : "", m);
    m = strlen(b);
    if (text_utf8_is_valid(a, n) && text_utf8_is_valid(b, m)) {
        try_strings(a, n, b, m);
        try_texts(a, n, b, m);
    }
    return 0;
}
