/* SPDX-License-Identifier: Apache-2.0 */
/* Translated strings: placeholders, ICU, plurals, markup, length, spacing, glossary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "answer/check/check.h"
#include "base/mem/mem.h"

struct pair {
    const char *source, *target;
    enum check_reason reason;
};

static struct check_string string_of(const struct pair *p, const char *lang)
{
    return (struct check_string){.source = p->source,
                                 .source_len = strlen(p->source),
                                 .target = p->target,
                                 .target_len = strlen(p->target),
                                 .source_lang = "en",
                                 .target_lang = lang};
}

#define EACH(cases, call)                                                                          \
    for (size_t i = 0; i < COUNT_OF(cases); i++) {                                                 \
        struct check_string s = string_of(&cases[i], "de");                                        \
        struct check_result r = call(&s);                                                          \
        if (r.reason != cases[i].reason || r.ok != (r.reason == CHECK_REASON_NONE)) {              \
            fail_msg("%s -> %s: %s %s", cases[i].source, cases[i].target,                          \
                     check_reason_name(r.reason), r.detail);                                       \
        }                                                                                          \
    }

#define P CHECK_REASON_PLACEHOLDER
static void placeholders_are_the_same(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"%d files in %s", "%d Dateien in %s", 0},
        {"%d files in %s", "In %2$s sind %1$d Dateien", 0},
        {"%d files in %s", "In %s sind %d Dateien", P},
        {"%d files", "%s Dateien", P},
        {"%d files", "Dateien", P},
        {"100% of %d", "100 % von %d", 0},
        {"Hello %(name)s", "Hallo %(name)s", 0},
        {"Hello %(name)s", "Hallo %(nome)s", P},
        {"Hello %(name)s", "Hallo %(name)", P},
        {"Hello {name}, {0}", "{0}, hallo {name}", 0},
        {"Hello {name}", "Hallo {Name}", P},
        {"Hello {name}", "Hallo", P},
        {"Hello", "Hallo {{name}}", P},
        {"Hi {{name}}", "Hallo {{ name }}", 0},
        {"Hi {{name}} $t(key)", "Hallo {{name}} $t(Schl\xC3\xBCssel)", P},
        {"File %1 of %2", "Datei %2 von %1", 0},
        {"File %1 of %2", "Datei %1 von %1", P},
        {"%n file(s)", "%n Datei(en)", 0},
        {"Use ${HOME}", "${HOME} verwenden", 0},
        {"Use ${HOME}", "${HEIM} verwenden", P},
        {"{ -brand } runs { $count }", "{ $count } in { -brand }", 0},
        {"{ -brand } runs { $count }", "{ $anzahl } in { -brand }", P},
        {"About &brandShortName;", "\xC3\x9C"
                                   "ber &brandShortName;",
         0},
        {"About &brandShortName;", "\xC3\x9C"
                                   "ber Firefox",
         P},
        {"{price:.2f} each", "je {price:.2f}", 0},
        {"{price:.2f} each", "je {price:.3f}", P},
        {"Plain", "Schlicht", 0},
    };
    EACH(cases, check_placeholders)
}

static void icu_messages_parse_and_take_the_same_arguments(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"{n, plural, one {# day} other {# days}}", "{n, plural, one {# Tag} other {# Tage}}", 0},
        {"{n, plural, one {# day} other {# days}}", "{n, plural, one {ein Tag} other {# Tage}}", 0},
        {"{n, plural, one {# day} other {# days}}", "{n, plural, one {# Tag} other {Tage}}",
         CHECK_REASON_ICU},
        {"{n, plural, one {# day} other {# days}}", "{n, plural, one {# Tag} other {# Tage}",
         CHECK_REASON_ICU},
        {"{n, plural, one {# day} other {# days}}", "{n, plural, other {# Tage}}",
         CHECK_REASON_PLURAL},
        {"{n, plural, one {# day} other {# days}}",
         "{n, plural, one {# Tag} few {# Tage} other {# Tage}}", CHECK_REASON_PLURAL},
        {"{n, plural, one {# day} other {# days}}", "{anzahl, plural, one {# Tag} other {# Tage}}",
         CHECK_REASON_ICU},
        {"{g, select, female {her {x}} other {their {x}}}",
         "{g, select, female {ihr {x}} other {deren {x}}}", 0},
        {"{g, select, female {her {x}} other {their {x}}}",
         "{g, select, weiblich {ihr {x}} other {deren {x}}}", CHECK_REASON_ICU},
        {"{g, select, female {her {x}} other {their {x}}}",
         "{g, select, female {ihr} other {deren {x}}}", CHECK_REASON_ICU},
        {"{n, plural, =0 {none} one {# day} other {# days}} left",
         "noch {n, plural, =0 {keine} one {# Tag} other {# Tage}}", 0},
        {"{n, plural, =0 {none} one {# day} other {# days}} left",
         "noch {n, plural, one {# Tag} other {# Tage}}", CHECK_REASON_ICU},
        {"{d, date, short} {n, plural, one {# a} other {# b}}",
         "{d, date, short} {n, plural, one {# a} other {# b}}", 0},
        {"{d, date, short} {n, plural, one {# a} other {# b}}",
         "{d, time, short} {n, plural, one {# a} other {# b}}", CHECK_REASON_ICU},
        {"No message at all", "Gar keine", 0},
    };
    EACH(cases, check_icu)
    struct pair russian = {"{n, plural, one {# day} other {# days}}",
                           "{n, plural, one {# a} few {# b} many {# c} other {# d}}", 0};
    struct check_string s = string_of(&russian, "ru");
    assert_true(check_icu(&s).ok);
    russian.target = "{n, plural, one {# a} few {# b} other {# d}}";
    s = string_of(&russian, "ru");
    assert_int_equal(check_icu(&s).reason, CHECK_REASON_PLURAL);
}

static void plural_forms_are_those_of_the_language(void **state)
{
    (void)state;
    static const struct {
        const char *lang, *forms[6], *names[6];
        size_t count;
        enum check_reason reason;
    } cases[] = {
        {"de", {"%d Tag", "%d Tage"}, {NULL}, 2, 0},
        {"de", {"ein Tag", "%d Tage"}, {NULL}, 2, 0},
        {"de", {"%d Tag", "Tage"}, {NULL}, 2, P},
        {"de", {"%d Tage"}, {NULL}, 1, CHECK_REASON_PLURAL},
        {"de", {"%d Tag", ""}, {NULL}, 2, CHECK_REASON_PLURAL},
        {"ru", {"%d a", "%d b", "%d c"}, {NULL}, 3, 0},
        {"ru", {"a", "%d b", "%d c"}, {NULL}, 3, P}, /* 21, 31, ... take it too */
        {"fr", {"%d jour", "%d jours"}, {NULL}, 2, 0},
        {"ja", {"%d"}, {NULL}, 1, 0},
        {"pl", {"%d a", "%d b"}, {NULL}, 2, CHECK_REASON_PLURAL},
        {"de", {"%d Tag", "%d Tage"}, {"one", "other"}, 2, 0},
        {"de", {"%d Tag", "%d Tage"}, {"one", "few"}, 2, CHECK_REASON_PLURAL},
        {"ru", {"%d a", "%d b"}, {"one", "few"}, 2, CHECK_REASON_PLURAL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_plurals p = {.lang = cases[i].lang,
                                  .forms = cases[i].forms,
                                  .names = cases[i].names[0] != NULL ? cases[i].names : NULL,
                                  .count = cases[i].count,
                                  .source = "%d day",
                                  .plural = "%d days"};
        struct check_result r = check_plurals(&p, NULL);
        if (r.reason != cases[i].reason) {
            fail_msg("%zu: %s %s", i, check_reason_name(r.reason), r.detail);
        }
    }
    const char *names[6];
    assert_int_equal(check_plural_names("ar", names), 6);
    assert_int_equal(check_plural_names("pl", names), 3);
    assert_int_equal(check_plural_names("xx", names), 1);
    assert_string_equal(names[0], "other");
}

#define M CHECK_REASON_MARKUP
static void markup_is_the_same(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"Click <b>here</b>.", "Hier <b>klicken</b>.", 0},
        {"Click <b>here</b>.", "Hier klicken.", M},
        {"Click <b>here</b>.", "Hier <b>klicken.", M},
        {"Click <b>here</b>.", "Hier <i>klicken</i>.", M},
        {"<a href=\"/x\" title=\"Go\">Go</a>", "<a href=\"/x\" title=\"Los\">Los</a>", 0},
        {"<a href=\"/x\">Go</a>", "<a href=\"/y\">Los</a>", M},
        {"<b>a</b> <i>b</i>", "<i>b</i> <b>a</b>", 0},
        {"<b>a <i>b</i></b>", "<b>a <i>b</b></i>", M},
        {"<g id=\"1\">x</g><x id=\"2\"/>", "<x id=\"2\"/><g id=\"1\">y</g>", 0},
        {"<g id=\"1\">x</g><x id=\"2\"/>", "<g id=\"1\">y</g>", M},
        {"a < b", "a < b", 0},
        {"Usage: cp <file>", "Aufruf: cp <Datei>", 0},
        {"Line<br>end", "Zeile<br/>Ende", 0},
        {"R & D", "R &amp; D", M},
        {"Click <b>here</b>.", "Hier <b>klicken</b", M},
    };
    EACH(cases, check_markup)
    struct pair md = {"See [docs](https://a.example/x) and `run`.",
                      "Siehe [Doku](https://a.example/x) und `run`.", 0};
    struct check_string s = string_of(&md, "de");
    s.markdown = true;
    assert_true(check_markup(&s).ok);
    md.target = "Siehe [Doku](https://a.example/de) und `run`.";
    s = string_of(&md, "de");
    s.markdown = true;
    assert_int_equal(check_markup(&s).reason, M);
}

#define S CHECK_REASON_SPACING
static void spacing_and_access_keys_are_kept(void **state)
{
    (void)state;
    static const struct pair cases[] = {
        {"Open", "\xC3\x96"
                 "ffnen",
         0},
        {" Open", "Auf", S},
        {"Open\n", "Auf\n", 0},
        {"Open\n", "Auf", S},
        {"Open\n", "Auf ", S},
        {"a\tb", "a b", S},
        {"&File", "&Datei", 0},
        {"&File", "Datei", S},
        {"_Open", "_Auf", 0},
        {"_Open", "Auf", S},
        {"E_xit", "_Ende", 0},
        {"snake_case here", "snake_case hier", 0},
        {"snake_case here", "hier", 0},
        {"R & D", "F und E", 0},
        {"Open it", "Mach  auf", S},
        {"Open it", "Mach\x01 auf", S},
        {"one\ntwo", "eins zwei", S},
    };
    EACH(cases, check_spacing)
    struct pair p = {"Save", "Speichern", 0};
    struct check_string s = string_of(&p, "de");
    s.max_chars = 9;
    assert_true(check_length(&s).ok);
    s.max_chars = 8;
    assert_int_equal(check_length(&s).reason, CHECK_REASON_LENGTH);
    p.target = "  ";
    s = string_of(&p, "de");
    assert_int_equal(check_length(&s).reason, CHECK_REASON_LENGTH);
}

static void glossary_terms_are_used(void **state)
{
    (void)state;
    static const struct check_term terms[] = {
        {CHECK_TERM_MUST, "account", "Konto", false},
        {CHECK_TERM_MUST, "file", "Datei", false},
        {CHECK_TERM_MUST, "file manager", "Dateimanager|Dateiverwaltung", false},
        {CHECK_TERM_NOT, "", "Handy", false},
        {CHECK_TERM_NOT, "log in", "anmelden", false},
        {CHECK_TERM_KEEP, "Firefox", NULL, false},
    };
    static const struct pair cases[] = {
        {"Your account", "Ihr Konto", 0},
        {"Your accounts", "Ihre Konten", 0},
        {"Your account", "Ihr Benutzerkonto", 0},
        {"Your account", "Ihr Account", CHECK_REASON_GLOSSARY},
        {"Open the files", "Dateien \xC3\xB6"
                           "ffnen",
         0},
        {"Open the file manager", "\xC3\x96"
                                  "ffnen Sie die Dateiverwaltung",
         0},
        {"Open the file manager", "\xC3\x96"
                                  "ffnen Sie den Explorer",
         CHECK_REASON_GLOSSARY},
        {"Your phone", "Ihr Handy", CHECK_REASON_GLOSSARY},
        {"Log in now", "Jetzt anmelden", CHECK_REASON_GLOSSARY},
        {"Sign up now", "Jetzt anmelden", 0},
        {"Firefox is open", "Firefox ist offen", 0},
        {"Firefox is open", "Feuerfuchs ist offen", CHECK_REASON_GLOSSARY},
        {"Firefox is open", "firefox ist offen", CHECK_REASON_GLOSSARY},
        {"Nothing", "Nichts", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_string s = string_of(&cases[i], "de");
        struct check_result r = check_glossary(&s, terms, COUNT_OF(terms));
        if (r.reason != cases[i].reason) {
            fail_msg("%s -> %s: %s", cases[i].source, cases[i].target, r.detail);
        }
    }
    struct pair all = {"Save %d files", "Handy speichert %s", 0};
    struct check_string s = string_of(&all, "de");
    struct check_result out[4];
    assert_int_equal(check_string(&s, terms, COUNT_OF(terms), out, 4), 2);
    assert_int_equal(out[0].reason, CHECK_REASON_PLACEHOLDER);
    assert_int_equal(out[1].reason, CHECK_REASON_GLOSSARY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placeholders_are_the_same),
        cmocka_unit_test(icu_messages_parse_and_take_the_same_arguments),
        cmocka_unit_test(plural_forms_are_those_of_the_language),
        cmocka_unit_test(markup_is_the_same),
        cmocka_unit_test(spacing_and_access_keys_are_kept),
        cmocka_unit_test(glossary_terms_are_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
