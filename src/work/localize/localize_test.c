/* SPDX-License-Identifier: Apache-2.0 */
/* work/localize without models and readers: documents made here, memory, offers, checks, the
   writer, chrF by hand. Real files are tried in tests/localize. */
#include "work/localize/localize.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text/text.h"

/* ---- a file by hand ---- */

static struct localize_unit unit(struct arena *a, const char *source, const char *target)
{
    struct localize_text *s = arena_alloc(a, sizeof(*s)), *t = arena_alloc(a, sizeof(*t));
    *s = (struct localize_text){.text = source, .len = strlen(source), .category = ""};
    *t = (struct localize_text){.text = target, .len = strlen(target), .category = ""};
    return (struct localize_unit){.id = "x", .context = "", .note = "", .previous = "", .flags = "",
                                  .state = "", .state_done = "", .before = "", .after = "",
                                  .sources = s, .sources_len = 1, .targets = t, .targets_len = 1};
}

static void remember(struct localize_memory *m, const char *source, const char *target,
                     const char *context)
{
    struct localize_pair p = {.source = source, .context = context, .targets = {target}, .n = 1};
    localize_memory_add(m, &p);
}

static struct localize_memory *small_memory(void)
{
    struct localize_memory *m = localize_memory_new();
    remember(m, "Open file", "Datei öffnen", "/menu");
    remember(m, "Close", "Schließen", "/menu/close");
    remember(m, "Close", "Zumachen", "/door");
    remember(m, "Delete {count} files", "{count} Dateien löschen", NULL);
    remember(m, "At most 20 characters.", "Höchstens 20 Zeichen.", NULL);
    remember(m, "Save", "Speichern", NULL);
    remember(m, "Please wait.", "Bitte warten.", NULL);
    remember(m, "It is done.", "Es ist fertig.", NULL);
    remember(m, "Upload failed", "Hochladen fehlgeschlagen", NULL);
    remember(m, "Font size", "Schriftgröße", NULL);
    remember(m, "Hide the grid", "Raster ausblenden", NULL);
    remember(m, "grid", "Raster", NULL);
    remember(m, "ruler", "Lineal", NULL);
    localize_memory_build(m);
    return m;
}

static void memory_and_rules_offer_what_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *source, *context, *target;
        enum localize_by by;
        bool sure;
    } cases[] = {
        {"Open file", "", "Datei öffnen", LOCALIZE_BY_MEMORY, true},
        {"Close", "/door", "Zumachen", LOCALIZE_BY_CONTEXT, true},
        {"Close", "", "Schließen", LOCALIZE_BY_MEMORY, false},
        {"%d / {0}", "", "%d / {0}", LOCALIZE_BY_COPY, true},
        {"Delete {n} files", "", "{n} Dateien löschen", LOCALIZE_BY_PATTERN, true},
        {"At most 99 characters.", "", "Höchstens 99 Zeichen.", LOCALIZE_BY_PATTERN, true},
        {"At most 1 characters.", "", "Höchstens 1 Zeichen.", LOCALIZE_BY_PATTERN, false},
        {"SAVE", "", "SPEICHERN", LOCALIZE_BY_VARIANT, true},
        {"Save:", "", "Speichern:", LOCALIZE_BY_VARIANT, true},
        {"save", "", "speichern", LOCALIZE_BY_VARIANT, false},
        {"Please wait. It is done.", "", "Bitte warten. Es ist fertig.", LOCALIZE_BY_PARTS, true},
        {"Hide the ruler", "", "Lineal ausblenden", LOCALIZE_BY_WORD, false},
        {"Something else entirely", "", NULL, LOCALIZE_BY_NONE, false}};
    struct localize_memory *m = small_memory();
    struct arena *a = arena_new(1 << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct localize_ask ask = {.source = cases[i].source, .context = cases[i].context,
                                   .target_lang = "de", .forms = 1};
        struct localize_offer o;
        localize_offer_find(m, &ask, a, &o);
        if (o.by != cases[i].by || (o.n == 1) != (cases[i].target != NULL) ||
            (o.n == 1 && strcmp(o.texts[0], cases[i].target) != 0) || o.sure != cases[i].sure) {
            fail_msg("%s: %s \"%s\" %d", cases[i].source, localize_by_name(o.by),
                     o.n > 0 ? o.texts[0] : "", o.sure);
        }
    }
    struct localize_example near[3];
    assert_int_equal(localize_memory_near(m, "Close the file", 3, near), 3);
    double known, fits = localize_memory_agree(m, "Save", "Speichern", &known);
    assert_true(fits >= 0 && known >= 0);
    arena_free(a);
    localize_memory_free(m);
}

/* ---- checks ---- */

static void what_is_broken_is_never_whole(void **state)
{
    (void)state;
    static const struct {
        const char *source, *target;
        bool whole;
    } cases[] = {{"Hello {name}", "Hallo {name}", true},
                 {"Hello {name}", "Hallo {Name}", false},
                 {"Hello {name}", "Hallo", false},
                 {"%d of %s", "%s von %d", false},
                 {"<b>Go</b> on", "<b>Weiter</b>", true},
                 {"<b>Go</b> on", "<b>Weiter", false},
                 {"a ⟦g:1⟧b⟦/g:1⟧", "⟦g:1⟧b⟦/g:1⟧ a", true},
                 {"a ⟦g:1⟧b⟦/g:1⟧", "⟦/g:1⟧b⟦g:1⟧ a", false},
                 {"a ⟦x:1⟧", "a", false},
                 {"{n, plural, one{# day} other{# days}}", "{n, plural, one{# Tag} other{# Tage}}",
                  true},
                 {"{n, plural, one{# day} other{# days}}", "{n, plural, one{# Tag}}", false},
                 {"one {{ n }} thing|many {{ n }} things", "ein {{ n }} Ding|viele {{ n }} Dinge",
                  true},
                 {"one {{ n }} thing|many {{ n }} things", "ein {{ n }} Ding|viele Dinge", false},
                 {"a|b", "a|b|c", false},
                 {"Log in to Acme", "Bei Acme anmelden", true},
                 {"Log in to Acme", "Bei Akme anmelden", false},
                 {"the key", "der Schlüssel", true},
                 {"the key", "die Taste", false}};
    struct check_term terms[] = {{CHECK_TERM_KEEP, "Acme", "Acme", true},
                                 {CHECK_TERM_MUST, "key", "Schlüssel", false}};
    struct localize_glossary g = {terms, COUNT_OF(terms)};
    struct localize_rules rules = {"en", "de", &g, 0, NULL};
    struct arena *a = arena_new(1 << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct localize_unit u = unit(a, cases[i].source, "");
        const char *why_not;
        bool whole = localize_check(&rules, &u, &cases[i].target, 1, a, &why_not);
        if (whole != cases[i].whole || whole != (why_not[0] == '\0')) {
            fail_msg("%s -> %s: %d %s", cases[i].source, cases[i].target, whole, why_not);
        }
    }
    struct localize_unit u = unit(a, "Save", "");
    const char *why_not, *target = "Speichern";
    u.max_chars = 5;
    assert_false(localize_check(&rules, &u, &target, 1, a, &why_not));
    u.max_chars = 9;
    assert_true(localize_check(&rules, &u, &target, 1, a, &why_not));
    u.marks_are = LOCALIZE_ODD;
    assert_false(localize_check(&rules, &u, &target, 1, a, &why_not));
    assert_string_equal(localize_repair(" a b\n", "c d.", a), " c d\n");
    assert_string_equal(localize_repair("a", "\"c\"", a), "c");
    assert_string_equal(localize_repair("Öffnen.", "école.", a), "École.");
    assert_string_equal(localize_repair("On iOS", "iOS an", a), "iOS an");
    arena_free(a);
}

/* ---- the writer ---- */

static void only_targets_change(void **state)
{
    (void)state;
    static const struct {
        const char *format, *file, *old, *text, *want;
    } cases[] = {
        {"po", "msgid \"a\"\nmsgstr \"\"\n#x\n", "\"\"\n#", "b \"c\"\n",
         "msgid \"a\"\nmsgstr \"b \\\"c\\\"\\n\"\n#x\n"},
        {"po", "msgstr \"\"\r\n\"x\"\r\n", "\"\"\r\n\"x\"", "y\nz",
         "msgstr \"\"\r\n\"y\\n\"\r\n\"z\"\r\n"},
        {"i18n", "{\"k\": \"v\", \"l\": 1}", "\"v\"", "ä\"\t", "{\"k\": \"ä\\\"\\t\", \"l\": 1}"},
        {"i18n", "{\"k\": \"\\u00e9\"}", "\"\\u00e9\"", "ä😀",
         "{\"k\": \"\\u00e4\\ud83d\\ude00\"}"},
        {"strings", "k,source,target\na,b,c\n", "c\n", "d, e", "k,source,target\na,b,\"d, e\"\n"},
        {"xliff", "<target>x</target>", "x<", "a & ⟦x:1⟧<",
         "<target>a &amp; <x id=\"1\"/>&lt;</target>"}};
    struct arena *a = arena_new(1 << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct localize_unit u = unit(a, "s", "t");
        struct localize_text t = u.targets[0];
        struct localize_mark mark = {"⟦x:1⟧", "<x id=\"1\"/>", false};
        const char *at = strstr(cases[i].file, cases[i].old);
        size_t len = strlen(cases[i].old);
        len -= strchr("#\n<", cases[i].old[len - 1]) != NULL ? 1 : 0;
        len -= cases[i].old[len - 1] == '\n' ? 1 : 0;
        t.begin = (uint64_t)(at - cases[i].file);
        t.end = t.begin + len;
        u.targets = &t;
        u.marks = &mark;
        u.marks_len = 1;
        struct localize_file f = {.format = cases[i].format, .charset = "UTF-8", .delimiter = ',',
                                  .units = &u, .len = 1};
        struct localize_change c = {0, 0, cases[i].text, strlen(cases[i].text)};
        struct fault why = {0};
        struct buf out;
        buf_init(&out, 1 << 20);
        assert_int_equal(localize_write(&f, cases[i].file, strlen(cases[i].file), NULL, 0, &out,
                                        &why), FAIL_NONE);
        assert_string_equal(out.data, cases[i].file);
        buf_clear(&out);
        if (localize_write(&f, cases[i].file, strlen(cases[i].file), &c, 1, &out, &why) !=
                FAIL_NONE || strcmp(out.data, cases[i].want) != 0) {
            fail_msg("%zu: %s %s", i, out.data, why.message);
        }
        buf_done(&out);
    }
    arena_free(a);
}

static void what_the_charset_lacks_is_refused(void **state)
{
    (void)state;
    struct arena *a = arena_new(1 << 20);
    struct localize_unit u = unit(a, "s", "t");
    struct localize_text t = u.targets[0];
    struct fault why = {0};
    struct buf out;
    t.begin = 0;
    t.end = 3;
    u.targets = &t;
    struct localize_file f = {.format = "po", .charset = "windows-1252", .units = &u, .len = 1};
    struct localize_change c = {0, 0, "größe", strlen("größe")};
    buf_init(&out, 1 << 20);
    assert_int_equal(localize_write(&f, "\"x\"", 3, &c, 1, &out, &why), FAIL_NONE);
    assert_string_equal(out.data, "\"gr\xF6\xDF"
                                  "e\"");
    c = (struct localize_change){0, 0, "日本", strlen("日本")};
    assert_int_equal(localize_write(&f, "\"x\"", 3, &c, 1, &out, &why), FAIL_BAD_REQUEST);
    buf_done(&out);
    arena_free(a);
}

/* ---- chrF ---- */

/* Figures of sacrebleu 2.6.0: CHRF().sentence_score and, last, corpus_score of the first two. */
static void chrf_is_that_of_sacrebleu(void **state)
{
    (void)state;
    static const struct {
        const char *hypothesis, *reference;
        double score;
    } cases[] = {{"the cat", "the cat sat", 55.77101053281037},
                 {"Datei oeffnen und speichern.", "Datei öffnen und sichern.", 65.46330670267253},
                 {"値を入力", "値を入力してください", 32.879188099541224},
                 {"a", "b", 0},
                 {"x", "xy", 55.55555555555556}};
    struct localize_chrf both = {.match = {0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        double score = localize_chrf(cases[i].hypothesis, cases[i].reference);
        assert_true(score > cases[i].score - 1e-9 && score < cases[i].score + 1e-9);
    }
    localize_chrf_add(&both, cases[0].hypothesis, cases[0].reference);
    localize_chrf_add(&both, cases[1].hypothesis, cases[1].reference);
    double score = localize_chrf_score(&both);
    assert_true(score > 62.98948494689335 - 1e-9 && score < 62.98948494689335 + 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_rules_offer_what_is_known),
        cmocka_unit_test(what_is_broken_is_never_whole),
        cmocka_unit_test(only_targets_change),
        cmocka_unit_test(what_the_charset_lacks_is_refused),
        cmocka_unit_test(chrf_is_that_of_sacrebleu),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
