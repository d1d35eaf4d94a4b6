/* SPDX-License-Identifier: Apache-2.0 */
/* Suggestions cite their rule and keep what the text says; a model's sentence stands only when it
   says the same; diffs apply; drafts say the notes and nothing else; the shipped policy is
   whole. */
#include "trust/keyring/keyring.h"
#include "work/copyedit/copyedit.h"
#include "work/program/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EN KNOWLEDGE_LANG_EN

static void add(struct copyedit_policy *p, const char *rule, const char *yaml)
{
    struct config_faults faults;
    config_faults_init(&faults, rule);
    copyedit_policy_add(p, "T", "", rule, yaml, strlen(yaml), 0, &faults);
    if (faults.count > 0) {
        fail_msg("%s: %s", rule, faults.list[0].message);
    }
}

static struct copyedit_policy *policy(void)
{
    struct copyedit_policy *p = copyedit_policy_new();
    add(p, "Words",
        "extends: substitution\nmessage: \"'%s' instead of '%s'\"\nlevel: error\nignorecase: true\n"
        "swap:\n  utilize: use\n  blacklist: denylist\n  prior to: before\n  unit: item\n"
        "  crazy: odd|unusual\n  three: four\n  main: original\n");
    add(p, "Fillers",
        "extends: existence\nmessage: \"'%s' adds nothing\"\nlevel: suggestion\nignorecase: true\n"
        "action:\n  name: remove\ntokens:\n  - basically\n  - very\n");
    add(p, "Long",
        "extends: occurrence\nmessage: \"too long\"\nlevel: warning\nscope: sentence\n"
        "token: '\\b[\\w-]+\\b'\nmax: 12\n");
    return p;
}

static char *edited(const struct copyedit_result *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    copyedit_put_edited(r, &b);
    return b.len > 0 ? buf_take(&b) : mem_dup_str("");
}

static void rules_edit_and_keep_what_is_said(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"We utilize it.", "We use it."},
        {"Utilize it.", "Use it."},
        {"A blacklist is kept.", "A denylist is kept."},
        {"It is a unit.", "It is an item."},
        {"Take the main unit.", "Take the original item."},
        {"Basically, it works.", "It works."},
        {"It is very good.", "It is good."},
        {"It is good, very.", "It is good."},
        {"It is, basically, good.", "It is, good."},
        {"It works basically, as it did.", "It works, as it did."},
        {"- Basically nothing.", "- Nothing."},
        {"A crazy thing.", "A crazy thing."},           /* a person chooses */
        {"Wait three days.", "Wait three days."},       /* a number would change */
        {"Press \"blacklist\".", "Press \"blacklist\"."}, /* a quotation too */
        {"Run `utilize` now.", "Run `utilize` now."},
        {"Prior to 4:30 we utilize it.", "Before 4:30 we use it."},
    };
    struct copyedit_policy *p = policy();
    for (size_t i = 0; i < COUNT_OF(cases) ; i++) {
        struct copyedit_options o = {.apply = STYLE_SUGGESTION, .markdown = true, .lang = EN};
        struct copyedit_result r;
        struct fault why;
        assert_int_equal(copyedit_check(p, cases[i][0], strlen(cases[i][0]), &o, &r, &why), 0);
        AUTO_FREE char *got = edited(&r);
        if (strcmp(got, cases[i][1]) != 0) {
            fail_msg("%s: %s", cases[i][0], got);
        }
        for (size_t k = 0; k < r.n; k++) {
            assert_true(strncmp(r.items[k].rule, "T.", 2) == 0);
            assert_true(r.items[k].at + r.items[k].len <= r.len);
            assert_memory_equal(r.items[k].quote, r.text + r.items[k].at, r.items[k].len);
        }
        copyedit_result_done(&r);
    }
    copyedit_policy_free(p);
}

static void what_would_change_a_number_is_offered_with_its_reason(void **state)
{
    (void)state;
    struct copyedit_policy *p = policy();
    struct copyedit_options o = {.apply = STYLE_ERROR, .lang = EN};
    struct copyedit_result r;
    struct fault why;
    const char *text = "Wait three very long days.";
    assert_int_equal(copyedit_check(p, text, strlen(text), &o, &r, &why), FAIL_NONE);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.items[0].held, CHECK_REASON_NUMBER);
    assert_int_equal(r.items[0].state, COPYEDIT_OFFERED);
    assert_string_equal(r.items[0].replacement, "four");
    assert_int_equal(r.items[1].state, COPYEDIT_OFFERED); /* its rule weighs less than `apply` */
    copyedit_result_done(&r);
    assert_int_equal(copyedit_check(p, "a\xff", 2, &o, &r, &why), FAIL_BAD_REQUEST);
    copyedit_result_done(&r);
    copyedit_policy_free(p);
}

/* ---- a model's words ---- */

static const char *model_says;

static bool say(void *arg, const char *sentence, const char *messages, struct buf *out)
{
    (void)arg;
    assert_true(strlen(sentence) > 0 && strstr(messages, "too long") != NULL);
    return buf_add_str(out, model_says);
}

static void a_rewrite_stands_only_when_it_says_the_same(void **state)
{
    (void)state;
    const char *text = "We send the parcel within 3 working days, if you utilize the form on the "
                       "page velmora.example/form to write to us.";
    static const struct {
        const char *words;
        bool stands;
    } cases[] = {
        {"We send the parcel within 3 working days. This holds if you write to us.", false},
        {"We send the parcel within 3 working days if you use the form on velmora.example/form. "
         "Write to us there.", false},
        {"If you use the form on the page velmora.example/form, we send it. The parcel takes 3 "
         "working days to be sent to us.", false},
        {"We send the parcel within 4 working days if you use the form.", false},
        {"We send the parcel if you use the form on the page velmora.example/form.", false},
        {"Sure! Here is the sentence.", false},
        {"", false},
        {"If you use the form on the page velmora.example/form, the parcel is sent. Write to us "
         "there.", false},
    };
    struct copyedit_policy *p = policy();
    struct copyedit_options o = {.lang = EN, .ask = say};
    struct fault why;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct copyedit_result r;
        model_says = cases[i].words;
        assert_int_equal(copyedit_check(p, text, strlen(text), &o, &r, &why), FAIL_NONE);
        assert_int_equal(r.asked, 1);
        if (r.refused != (cases[i].stands ? 0 : 1)) {
            fail_msg("%s: %zu refused", cases[i].words, r.refused);
        }
        AUTO_FREE char *got = edited(&r);
        assert_non_null(strstr(got, "if you use the form")); /* the rule's edit is there anyway */
        copyedit_result_done(&r);
    }
    struct copyedit_result r;
    const char *two = "Our office is open from 8:00 to 16:00, and you can reach us there\nby "
                      "telephone or by e-mail.";
    model_says = "\"Our office is open from 8:00 to 16:00. You can reach us there by telephone or "
                 "by e-mail.\"\n";
    assert_int_equal(copyedit_check(p, two, strlen(two), &o, &r, &why), FAIL_NONE);
    assert_int_equal(r.asked, 1);
    assert_int_equal(r.refused, 0);
    AUTO_FREE char *got = edited(&r);
    assert_string_equal(got, "Our office is open from 8:00 to 16:00. You can reach us there by "
                             "telephone or by e-mail.");
    assert_true(r.items[0].by_model);
    assert_string_equal(r.items[0].rule, "T.Long");
    copyedit_result_done(&r);
    copyedit_policy_free(p);
}

/* ---- texts ---- */

static void a_diff_has_the_lines_that_changed(void **state)
{
    (void)state;
    const char *text = "one\ntwo\nthree lines\nWe utilize it.\nfive\nsix\nseven\neight\nnine\nten\n"
                       "eleven\ntwelve\nprior to";
    const char *want =
        "--- a/x.md\n+++ b/x.md\n@@ -1,7 +1,7 @@\n one\n two\n three lines\n"
        "-We utilize it.\n+We use it.\n five\n six\n seven\n@@ -10,4 +10,4 @@\n ten\n"
        " eleven\n twelve\n-prior to\n\\ No newline at end of file\n+before\n"
        "\\ No newline at end of file\n";
    struct copyedit_policy *p = policy();
    struct copyedit_options o = {.lang = EN};
    struct copyedit_result r;
    struct fault why;
    struct buf b;
    assert_int_equal(copyedit_check(p, text, strlen(text), &o, &r, &why), FAIL_NONE);
    buf_init(&b, 1 << 16);
    copyedit_put_diff(&r, "x.md", &b);
    assert_string_equal(b.data, want);
    buf_clear(&b);
    copyedit_put_markdown(&r, "x.md", &b);
    assert_non_null(strstr(b.data, "| 4:4 | utilize | use | T.Words | error | applied |"));
    buf_clear(&b);
    copyedit_put_json(&r, "x.md", &b);
    assert_non_null(strstr(b.data, "\"rule\":\"T.Words\",\"severity\":\"error\""));
    buf_done(&b);
    copyedit_result_done(&r);
    copyedit_policy_free(p);
}

static void drafts_say_the_notes_and_nothing_else(void **state)
{
    (void)state;
    const char *notes =
        "# Notes\n- the shop is closed on 3 May\n* orders of that day are sent on 4 "
        "May\n- returns are free\n";
    struct copyedit_draft c;
    struct buf b;
    buf_init(&b, 1 << 16);
    copyedit_put_draft(notes, strlen(notes), NULL, EN, &c, &b);
    assert_string_equal(b.data, "The shop is closed on 3 May. Orders of that day are sent on 4 "
                                "May. Returns are free.\n");
    buf_clear(&b);
    copyedit_put_draft(notes, strlen(notes),
                       "On 3 May the shop is closed. We are sorry for the trouble this causes our "
                       "loyal members. Orders are sent on 5 May.", EN, &c, &b);
    assert_string_equal(b.data, "On 3 May the shop is closed. Orders of that day are sent on 4 "
                                "May. Returns are free.\n");
    assert_int_equal(c.notes, 3);
    assert_int_equal(c.said, 1);
    assert_int_equal(c.refused, 2);
    buf_done(&b);
}

/* ---- the program, with the shipped definition ---- */

static char *read_file(const char *name)
{
    char path[4096];
    const char *root = getenv("INHOUSE_SOURCE");
    struct buf b;
    snprintf(path, sizeof(path), "%s/%s", root != NULL ? root : ".", name);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    buf_init(&b, 1 << 20);
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof(block), f)) > 0;) {
        assert_true(buf_add(&b, block, n));
    }
    fclose(f);
    return buf_take(&b);
}

static struct program_definition *shipped(void)
{
    static const struct program_ops *const table[] = {&copyedit_program};
    AUTO_FREE char *yaml = read_file("workflows/copy-edit.yaml");
    struct program_definition *d = NULL;
    struct config_faults faults;
    struct fault why;
    config_faults_init(&faults, "copy-edit.yaml");
    if (program_definition_read(yaml, strlen(yaml), "copy-edit.yaml", table, 1, &d, &faults,
                                &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    return d;
}

static const void *output(const struct program_result *r, const char *name)
{
    for (size_t i = 0; i < r->outputs_len; i++) {
        if (strcmp(r->outputs[i].name, name) == 0) {
            return r->outputs[i].bytes;
        }
    }
    fail_msg("there is no %s", name);
    return NULL;
}

static void run_example(const char *file, const char *const *gone, const char *const *kept)
{
    static const struct principal who = {.name = "ann", .team = "support"};
    char path[128];
    snprintf(path, sizeof(path), "examples/copyedit/%s", file);
    AUTO_FREE char *text = read_file(path);
    struct program_definition *d = shipped();
    struct program_input in = {"text", file, "text/markdown", text, strlen(text)};
    struct program_start start = {.definition = d, .who = &who, .inputs = &in, .inputs_len = 1};
    struct program_host host = {.reader_path = "/nonexistent"};
    struct program_run *run = NULL;
    struct program_result r;
    struct fault why;
    assert_int_equal(program_run_new(&start, &host, &run, &why), FAIL_NONE);
    if (program_run_go(run, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    program_result(run, &r);
    const char *out = output(&r, "edited.md");
    for (; *gone != NULL; gone++) {
        if (strstr(out, *gone) != NULL) {
            fail_msg("%s: %s is still there:\n%s", file, *gone, out);
        }
    }
    for (; *kept != NULL; kept++) {
        if (strstr(out, *kept) == NULL) {
            fail_msg("%s: %s is gone:\n%s", file, *kept, out);
        }
    }
    assert_true(r.items_len >= 8);
    assert_string_equal(r.checks[0].name, "values_kept");
    assert_true(r.checks[0].ok);
    assert_string_equal(r.outputs[0].name, "suggestions.md");
    assert_non_null(strstr(output(&r, "changes.diff"), "\n@@ -"));
    program_run_free(run);
    program_definition_unref(d);
}

static void the_shipped_policy_edits_the_shipped_examples(void **state)
{
    (void)state;
    static const char *const gone[] = {"utilize", "the the", "blacklist", "prior to", "email ",
                                       "web site", "In the event that", "his or her", NULL};
    static const char *const kept[] = {"14 March 2026", "2,500.00 EUR", "\"We are back at 4:30\"",
                                       "`velmora sync --since 2026-03-14`",
                                       "https://velmora.example/help/orders", "denylist", NULL};
    run_example("notice.md", gone, kept);
    static const char *const weg[] = {"Blacklist", "Whitelist", "eine Email", "lediglich",
                                      "vorraus", "eigentlich", "Aufgrund der Tatsache", NULL};
    static const char *const da[] = {"15. M\xC3\xA4rz 2026", "2.500,00 EUR", "E-Mail", "Sperrliste",
                                     "\xE2\x80\x9EUm 4:30 Uhr sind wir zur\xC3\xBC"
                                     "ck\xE2\x80\x9C",
                                     NULL};
    run_example("rundschreiben.md", weg, da);
}

static void a_definition_names_the_line_of_a_bad_rule(void **state)
{
    (void)state;
    static const struct program_ops *const table[] = {&copyedit_program};
    static const char bad[] = "name: x\ntitle: X\nprogram: copyedit\noptions:\n  apply: loud\n"
                              "  styles:\n    - name: A\n      rules:\n        B: |\n"
                              "          extends: existence\n          level: never\n"
                              "          tokens: [a]\n";
    struct program_definition *d = NULL;
    struct config_faults faults;
    struct fault why;
    config_faults_init(&faults, "x.yaml");
    assert_int_equal(program_definition_read(bad, strlen(bad), "x.yaml", table, 1, &d, &faults,
                                             &why),
                     FAIL_BAD_REQUEST);
    assert_true(faults.count >= 2);
    bool line = false;
    for (size_t i = 0; i < faults.count; i++) {
        line = line || (faults.list[i].line >= 10 && faults.list[i].line <= 12);
    }
    assert_true(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_edit_and_keep_what_is_said),
        cmocka_unit_test(what_would_change_a_number_is_offered_with_its_reason),
        cmocka_unit_test(a_rewrite_stands_only_when_it_says_the_same),
        cmocka_unit_test(a_diff_has_the_lines_that_changed),
        cmocka_unit_test(drafts_say_the_notes_and_nothing_else),
        cmocka_unit_test(the_shipped_policy_edits_the_shipped_examples),
        cmocka_unit_test(a_definition_names_the_line_of_a_bad_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
