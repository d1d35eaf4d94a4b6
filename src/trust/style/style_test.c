/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests of style: each kind of rule, scopes, what is not read, limits; and the public Google style
 * with the alerts its authors expect (INHOUSE_DATA).
 */
#include "trust/style/style.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct style *one(const char *yaml)
{
    struct style *s = style_new("T");
    struct config_faults faults;
    struct fault why = {0};
    config_faults_init(&faults, "R");
    if (style_add(s, "R", yaml, strlen(yaml), &faults, &why) != FAIL_NONE) {
        print_message("%s\n", why.message);
        fail();
    }
    return s;
}

static void assert_alerts(const char *yaml, const char *text, const char *want)
{
    struct style *s = one(yaml);
    struct style_alerts a;
    char got[2000] = "";
    assert_true(style_check(s, text, strlen(text), true, &a));
    for (size_t i = 0; i < a.n; i++) {
        size_t n = strlen(got);
        snprintf(got + n, sizeof(got) - n, "%s%d:%d %s", i > 0 ? "|" : "", a.items[i].line,
                 a.items[i].column, a.items[i].message);
    }
    assert_string_equal(got, want);
    style_alerts_done(&a);
    style_free(s);
}

static void each_kind_of_rule(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"extends: existence\nmessage: \"no '%s'\"\nignorecase: true\ntokens: [cheap, easy]\n",
         "A Cheap and easy thing, uneasy.", "1:3 no 'Cheap'|1:13 no 'easy'"},
        {"extends: substitution\nmessage: \"'%s' not '%s'\"\nswap:\n  e-mail: email|mail\n",
         "an e-mail", "1:4 'email' or 'mail' not 'e-mail'"},
        {"extends: occurrence\nmessage: \"%s commas\"\nscope: sentence\ntoken: ','\nmax: 2\n",
         "a, b, c. A, b, c, d.", "1:11 3 commas"},
        {"extends: repetition\nmessage: \"'%s' twice\"\nalpha: true\nignorecase: true\n"
         "tokens: ['[^\\s]+']\n",
         "This is the\nthe end. 1 1", "1:9 'the' twice"},
        {"extends: consistency\nmessage: \"'%s'\"\nignorecase: true\neither:\n  colour: color\n",
         "A colour.\n\nA color.", "3:3 'color'"},
        {"extends: conditional\nmessage: \"'%s' unknown\"\nfirst: '\\b([A-Z]{3,5})\\b'\n"
         "second: '(?:\\b[A-Z][a-z]+ )+\\(([A-Z]{3,5})\\)'\nexceptions: [API]\n",
         "API, XYZ and World Health Organization, Big Old Box (BOB). BOB.", "1:6 'XYZ' unknown"},
        {"extends: capitalization\nmessage: \"'%s'\"\nmatch: $title\nscope: heading\n",
         "# A Tale of two cities\n\n# A Tale of Two Cities\n\nnot a title",
         "1:3 'A Tale of two cities'"},
        {"extends: capitalization\nmessage: \"'%s'\"\nmatch: $sentence\nscope: heading.h2\n",
         "# One Two Three\n\n## One Two Three", "3:4 'One Two Three'"},
        {"extends: readability\nmessage: \"grade %s\"\ngrade: 30\nmetrics: [Flesch-Kincaid]\n",
         "The cat sat on the mat.", ""},
        {"extends: existence\nmessage: \"%s\"\nscope: raw\nraw: ['<!--']\n", "a\n<!-- x -->",
         "2:1 <!--"},
        {"extends: existence\nmessage: \"%s\"\nscope: ~heading & text\ntokens: [here]\n",
         "# here\n\nhere", "3:1 here"},
        {"extends: existence\nmessage: \"%s\"\ntokens: [bad]\n",
         "`bad` [bad](http://bad) ![x](bad.png) <bad>\n\n```\nbad\n```\n\n    bad\n\n- b\\*bad*",
         "1:8 bad|9:6 bad"},
        {"extends: existence\nmessage: \"%s\"\nnonword: true\ntokens: ['(?<!:[^ ]+?):\\s[A-Z]']\n",
         "Tone: Bad and a:b: Good", "1:5 : B"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_alerts(cases[i][0], cases[i][1], cases[i][2]);
    }
}

static void hard_texts_are_read_as_hard(void **state)
{
    (void)state;
    struct style *s = one("extends: readability\nmessage: \"grade %s\"\ngrade: 8\n");
    static const char text[] = "Organizational responsibilities notwithstanding, interdepartmental "
                               "communication methodologies necessitate considerable "
                               "reconceptualization of administrative infrastructure.";
    struct style_alerts a;
    assert_true(style_check(s, text, strlen(text), true, &a));
    assert_int_equal(a.n, 1);
    style_alerts_done(&a);
    style_free(s);
}

static void what_is_not_supported_is_named_and_what_is_wrong_is_refused(void **state)
{
    (void)state;
    struct style *s = one("extends: spelling\nmessage: x\n");
    assert_string_equal(style_unsupported(s, 0), "T.R: spelling");
    assert_null(style_unsupported(s, 1));
    static const char *const wrong[] = {
        "message: x\n", "extends: existence\nmessage: x\n",
        "extends: existence\ntokens: ['(']\n", "extends: substitution\nswap: [a]\n",
        "extends: existence\ntokens: [a]\nscope: nowhere\n", "extends: occurrence\nmax: 1\n",
        "extends: existence\ntokens: [a]\nlevel: loud\n", "extends: [",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct config_faults faults;
        struct fault why = {0};
        config_faults_init(&faults, "R");
        assert_int_equal(style_add(s, "W", wrong[i], strlen(wrong[i]), &faults, &why),
                         FAIL_BAD_REQUEST);
        assert_true(faults.count > 0);
    }
    assert_int_equal(style_count(s), 0);
    style_free(s);
}

static void a_pattern_that_never_ends_is_given_up(void **state)
{
    (void)state;
    struct style *s = one("extends: existence\nmessage: x\nnonword: true\ntokens: ['(a+)+$b']\n");
    char text[4000];
    struct style_alerts a;
    memset(text, 'a', sizeof(text));
    assert_true(style_check(s, text, sizeof(text), false, &a));
    assert_int_equal(a.n, 0);
    style_alerts_done(&a);
    style_free(s);
}

/* ---- the public style ---- */

static char *file(const char *folder, const char *name, size_t *n)
{
    char path[600];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return NULL;
    }
    char *s = mem_alloc(1 << 20);
    *n = fread(s, 1, (1 << 20) - 1, f);
    fclose(f);
    return s;
}

/* Adds the rules that the fixture's .vale.ini switches on; those that do not exist are skipped as
   Vale does. */
static void switch_on(struct style *s, const char *root, const char *ini)
{
    for (const char *p = ini; (p = strstr(p, "Google.")) != NULL;) {
        char rule[64];
        char name[96];
        size_t n;
        p += 7;
        snprintf(rule, sizeof(rule), "%.*s", (int)strcspn(p, " ="), p);
        snprintf(name, sizeof(name), "Google/%s.yml", rule);
        char *yaml = file(root, name, &n);
        if (yaml != NULL) {
            struct config_faults faults;
            struct fault why = {0};
            config_faults_init(&faults, rule);
            if (style_add(s, rule, yaml, n, &faults, &why) != FAIL_NONE) {
                print_message("%s: %s\n", rule, why.message);
                fail();
            }
        }
        mem_free(yaml);
    }
}

static void check_fixture(const char *root, const char *name, const char *want)
{
    char folder[300];
    size_t n;
    size_t text_n;
    snprintf(folder, sizeof(folder), "%s/fixtures/%s", root, name);
    char *ini = file(folder, ".vale.ini", &n);
    char *text = file(folder, "test.md", &text_n);
    assert_non_null(ini);
    assert_non_null(text);
    struct style *s = style_new("Google");
    struct style_alerts a;
    struct buf got;
    switch_on(s, root, ini);
    assert_true(style_check(s, text, text_n, true, &a));
    buf_init(&got, 1 << 20);
    buf_add_str(&got, "");
    for (size_t i = 0; i < a.n; i++) {
        buf_printf(&got, "test.md:%d:%d:%s:%s\n", a.items[i].line, a.items[i].column,
                   a.items[i].rule, a.items[i].message);
    }
    assert_int_equal(a.given_up, 0);
    assert_string_equal(got.data != NULL ? got.data : "", want);
    buf_done(&got);
    style_alerts_done(&a);
    style_free(s);
    mem_free(ini);
    mem_free(text);
}

static void the_google_style_gives_the_alerts_its_authors_expect(void **state)
{
    (void)state;
    char root[300];
    size_t n;
    const char *data = getenv("INHOUSE_DATA");
    snprintf(root, sizeof(root), "%s/vale_styles/errata-google", data != NULL ? data : "");
    char *feature = file(root, "features/rules.feature", &n);
    if (feature == NULL) {
        print_message("needs vale_styles (INHOUSE_DATA): skipped\n");
        skip();
    }
    char name[64] = "";
    struct buf want;
    bool in = false;
    int fixtures = 0;
    buf_init(&want, 1 << 20);
    for (char *line = feature, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        size_t len = (size_t)(end - line);
        end += *end == '\n' ? 1 : 0;
        size_t from = strspn(line, " ");
        if (strncmp(line + from, "When I test \"", 13) == 0) {
            snprintf(name, sizeof(name), "%.*s", (int)strcspn(line + from + 13, "\""),
                     line + from + 13);
        } else if (strncmp(line + from, "\"\"\"", 3) == 0) {
            in = !in;
            if (!in) {
                check_fixture(root, name, want.data != NULL ? want.data : "");
                buf_clear(&want);
                fixtures++;
            }
        } else if (in) {
            buf_add(&want, line + from, len - from);
            buf_add_char(&want, '\n');
        }
    }
    assert_int_equal(fixtures, 12);
    buf_done(&want);
    mem_free(feature);
}

static void every_rule_of_the_public_style_reads(void **state)
{
    (void)state;
    static const char *const names[] = {"Acronyms", "Headings", "Passive", "We", "WordList",
                                        "GenderBias", "Quotes", "Contractions"};
    char root[300];
    const char *data = getenv("INHOUSE_DATA");
    snprintf(root, sizeof(root), "%s/vale_styles/errata-google", data != NULL ? data : "");
    struct style *s = style_new("Google");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char name[64];
        size_t n;
        struct config_faults faults;
        struct fault why = {0};
        snprintf(name, sizeof(name), "Google/%s.yml", names[i]);
        char *yaml = file(root, name, &n);
        if (yaml == NULL) {
            style_free(s);
            skip();
        }
        config_faults_init(&faults, names[i]);
        assert_int_equal(style_add(s, names[i], yaml, n, &faults, &why), FAIL_NONE);
        mem_free(yaml);
    }
    assert_null(style_unsupported(s, 0));
    style_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_rule),
        cmocka_unit_test(hard_texts_are_read_as_hard),
        cmocka_unit_test(what_is_not_supported_is_named_and_what_is_wrong_is_refused),
        cmocka_unit_test(a_pattern_that_never_ends_is_given_up),
        cmocka_unit_test(the_google_style_gives_the_alerts_its_authors_expect),
        cmocka_unit_test(every_rule_of_the_public_style_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
