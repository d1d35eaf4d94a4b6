/* SPDX-License-Identifier: Apache-2.0 */
/* Values, what a rewrite keeps, numbers against tables, sentences against test reports, slots. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "answer/check/check.h"
#include "base/mem/mem.h"

#define EN KNOWLEDGE_LANG_EN
#define DE KNOWLEDGE_LANG_DE

static void numbers_are_read_as_their_language_writes_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum knowledge_lang lang;
        double value, step;
        enum check_value_kind kind;
    } cases[] = {
        {"1,234.5", EN, 1234.5, 0.1, CHECK_VALUE_NUMBER},
        {"1.234,5", DE, 1234.5, 0.1, CHECK_VALUE_NUMBER},
        {"1.234", DE, 1234, 1, CHECK_VALUE_NUMBER},
        {"1.234", EN, 1.234, 0.001, CHECK_VALUE_NUMBER},
        {"12,5 %", DE, 12.5, 0.1, CHECK_VALUE_PERCENT},
        {"12.5%", EN, 12.5, 0.1, CHECK_VALUE_PERCENT},
        {"-3", EN, -3, 1, CHECK_VALUE_NUMBER},
        {"(12)", EN, -12, 1, CHECK_VALUE_NUMBER},
        {"1.2 million", EN, 1.2e6, 1e5, CHECK_VALUE_NUMBER},
        {"3 Mio.", DE, 3e6, 1e6, CHECK_VALUE_NUMBER},
        {"1e3", EN, 1000, 1000, CHECK_VALUE_NUMBER},
        {"\xE2\x82\xAC"
         "12.90",
         EN, 12.9, 0.01, CHECK_VALUE_MONEY},
        {"12,90 EUR", DE, 12.9, 0.01, CHECK_VALUE_MONEY},
        {"1\xC2\xA0"
         "234\xC2\xA0"
         "567",
         EN, 1234567, 1, CHECK_VALUE_NUMBER},
        {"0.875", EN, 0.875, 0.001, CHECK_VALUE_NUMBER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_value v;
        if (!check_read_number(cases[i].text, cases[i].lang, &v) ||
            fabs(v.number - cases[i].value) > 1e-9 || fabs(v.step - cases[i].step) > 1e-9 ||
            v.kind != cases[i].kind) {
            fail_msg("%s: %f step %f kind %d", cases[i].text, v.number, v.step, v.kind);
        }
    }
    static const char *const none[] = {"", "abc", "12 apples", "1.2.3", "12-34", "--"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        struct check_value v;
        assert_false(check_read_number(none[i], EN, &v));
    }
}

static void values_are_found_by_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum knowledge_lang lang;
        enum check_value_kind kind;
        const char *value;
    } cases[] = {
        {"Order VM-410233 is late.", EN, CHECK_VALUE_ID, "VM-410233"},
        {"Customer 4410233 wrote.", EN, CHECK_VALUE_ID, "4410233"},
        {"Since 12 March 2026 it fails.", EN, CHECK_VALUE_DATE, "12 March 2026"},
        {"Seit dem 12. M\xC3\xA4rz geht es nicht.", DE, CHECK_VALUE_DATE, "12. M\xC3\xA4rz"},
        {"Am 12.03.2026 kam es.", DE, CHECK_VALUE_DATE, "12.03.2026"},
        {"At 14:30 it failed.", EN, CHECK_VALUE_TIME, "14:30"},
        {"Write to help@velmora.example.", EN, CHECK_VALUE_MAIL, "help@velmora.example"},
        {"See https://a.example/x?y=1.", EN, CHECK_VALUE_LINK, "https://a.example/x?y=1"},
        {"Call +49 30 1234567 now.", EN, CHECK_VALUE_PHONE, "+49 30 1234567"},
        {"We met Jane Miller there.", EN, CHECK_VALUE_NAME, "Jane Miller"},
        {"Das sagt Frau M\xC3\xBCller heute.", DE, CHECK_VALUE_NAME, "M\xC3\xBCller"},
        {"It says \"no paper\" now.", EN, CHECK_VALUE_QUOTE, "no paper"},
        {"Es zeigt \xE2\x80\x9Ekein Papier\xE2\x80\x9C an.", DE, CHECK_VALUE_QUOTE, "kein Papier"},
        {"Run `make all` first.", EN, CHECK_VALUE_CODE, "make all"},
        {"Wait three days.", EN, CHECK_VALUE_NUMBER, "three"},
        {"Release 2.4.1 is out.", EN, CHECK_VALUE_ID, "2.4.1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_value v[4];
        size_t n = check_find_values(cases[i].text, strlen(cases[i].text), cases[i].lang,
                                     CHECK_KEEP_ALL, v, 4);
        if (n != 1 || v[0].kind != cases[i].kind || v[0].len != strlen(cases[i].value) ||
            memcmp(cases[i].text + v[0].at, cases[i].value, v[0].len) != 0) {
            fail_msg("%s: %zu, kind %d, %.*s", cases[i].text, n, v[0].kind, (int)v[0].len,
                     cases[i].text + v[0].at);
        }
    }
}

static void a_rewrite_keeps_numbers_names_links_quotes_and_code(void **state)
{
    (void)state;
    const char *before = "Please note that Jane Miller ordered 3 filters for 12.90 EUR on 12 March "
                         "2026 (see https://a.example/x), and \"no paper\" means `E3`.";
    static const struct {
        const char *after;
        enum check_reason reason;
    } cases[] = {
        {"Jane Miller ordered three filters for 12.90 EUR on March 12, 2026. See "
         "https://a.example/x. \"no paper\" means `E3`.",
         CHECK_REASON_NONE},
        {"Jane Miller ordered 4 filters for 12.90 EUR on March 12, 2026. See https://a.example/x. "
         "\"no paper\" means `E3`.",
         CHECK_REASON_NUMBER},
        {"June Miller ordered 3 filters for 12.90 EUR on March 12, 2026. See https://a.example/x. "
         "\"no paper\" means `E3`.",
         CHECK_REASON_NAME},
        {"Jane Miller ordered 3 filters for 12.90 EUR on March 12, 2026. See https://a.example/y. "
         "\"no paper\" means `E3`.",
         CHECK_REASON_LINK},
        {"Jane Miller ordered 3 filters for 12.90 EUR on March 12, 2026. See https://a.example/x. "
         "\"No paper\" means `E3`.",
         CHECK_REASON_QUOTE},
        {"Jane Miller ordered 3 filters for 12.90 EUR on March 12, 2026. See https://a.example/x. "
         "\"no paper\" means `E4`.",
         CHECK_REASON_CODE},
        {"Jane Miller ordered 3 filters for 12.90 EUR. See https://a.example/x. \"no paper\" means "
         "`E3`.",
         CHECK_REASON_NUMBER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_result r = check_kept(before, strlen(before), cases[i].after,
                                           strlen(cases[i].after), EN, CHECK_KEEP_ALL);
        if (r.reason != cases[i].reason || r.ok != (cases[i].reason == CHECK_REASON_NONE)) {
            fail_msg("%zu: %s %s", i, check_reason_name(r.reason), r.detail);
        }
    }
}

/* ---- tables ---- */

static const char *const columns[] = {"month", "tickets_opened", "tickets_closed", "solved_rate"};
static const char *const cells[] = {"January",  "1,204", "1,190", "0.812", "February", "1,310",
                                    "1,288",    "0.803", "March",   "1,100", "1,150",  "0.861"};
static const struct check_table table = {.name = "tickets",
                                         .columns = columns,
                                         .column_count = 4,
                                         .cells = cells,
                                         .row_count = 3,
                                         .label_column = 0,
                                         .lang = EN};

static void numbers_follow_from_cells(void **state)
{
    (void)state;
    static const uint32_t rows[] = {2, 1}, cols[] = {1};
    static const struct {
        const char *text;
        enum knowledge_lang lang;
        bool ok;
        enum check_how how;
    } cases[] = {
        {"In March, 1,100 tickets opened.", EN, true, CHECK_HOW_CELL},
        {"In March, 1,310 tickets opened.", EN, false, 0},
        {"In March, 1,101 tickets opened.", EN, false, 0},
        {"Tickets opened fell to 1,100.", EN, true, CHECK_HOW_CELL},
        {"Tickets opened rose to 1,100.", EN, false, 0},
        {"Tickets opened fell by 210.", EN, true, CHECK_HOW_DIFFERENCE},
        {"Tickets opened fell by 16.0 %.", EN, true, CHECK_HOW_CHANGE},
        {"Tickets opened fell by 16.1 %.", EN, false, 0},
        {"Tickets opened fell from 1,310 to 1,100.", EN, true, CHECK_HOW_CELL},
        {"Tickets opened fell from 1,100 to 1,310.", EN, false, 0},
        {"In total, 3,614 tickets opened.", EN, true, CHECK_HOW_SUM},
        {"In total, 3,615 tickets opened.", EN, false, 0},
        {"On average 1,204.7 tickets opened.", EN, true, CHECK_HOW_MEAN},
        {"The solved rate in March was 86.1 %.", EN, true, CHECK_HOW_CELL},
        {"The solved rate in March was 81.2 %.", EN, false, 0},
        {"The solved rate rose by 5.8 percentage points.", EN, true, CHECK_HOW_DIFFERENCE},
        {"The highest number of tickets opened was 1,310 in February.", EN, true, CHECK_HOW_MAX},
        {"Tickets opened were highest in January.", EN, false, 0},
        {"Tickets opened were highest in February.", EN, true, 0},
        {"In March tickets opened 1,100, tickets closed 1,150.", EN, true, CHECK_HOW_CELL},
        {"In March tickets opened 1,150, tickets closed 1,100.", EN, false, 0},
        {"1,310 in February and 1,100 in March: tickets opened.", EN, true, CHECK_HOW_CELL},
        {"1,100 in February and 1,310 in March: tickets opened.", EN, false, 0},
        {"About 1,300 tickets opened in February.", EN, true, CHECK_HOW_CELL},
        {"Im March waren es 1.100 tickets opened.", DE, true, CHECK_HOW_CELL},
        {"Nothing is claimed here.", EN, true, 0},
        {"The target of 95 % was missed.", EN, true, CHECK_HOW_GIVEN},
        {"The target of 96 % was missed.", EN, false, 0},
    };
    const char *given[] = {"Target: 95 %"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_trace traces[8];
        size_t n = 0;
        struct check_cells in = {.text = cases[i].text,
                                 .len = strlen(cases[i].text),
                                 .lang = cases[i].lang,
                                 .tables = &table,
                                 .table_count = 1,
                                 .rows = rows,
                                 .row_count = 2,
                                 .columns = cols,
                                 .column_count = 1,
                                 .given = given,
                                 .given_count = 1};
        struct check_result r = check_cells(&in, traces, 8, &n);
        if (r.ok != cases[i].ok || (r.ok && n > 0 && traces[0].how != cases[i].how)) {
            fail_msg("%s: %s, %s (%s)", cases[i].text, r.ok ? "kept" : "refused", r.detail,
                     n > 0 ? check_how_name(traces[0].how) : "-");
        }
    }
}

/* ---- test reports ---- */

static void sentences_agree_with_the_test_report(void **state)
{
    (void)state;
    static const struct check_test items[] = {
        {"test_login", "auth.LoginTest", "auth/login.py", "AssertionError: expected 200, got 503",
         CHECK_FAILED, CHECK_CHANGE_NEW},
        {"test_logout", "auth.LoginTest", "auth/login.py", "TimeoutError: no answer in 30 s",
         CHECK_ERRORED, CHECK_CHANGE_PERSISTENT},
        {"test_cart", "shop.CartTest", "shop/cart.py", NULL, CHECK_PASSED, CHECK_CHANGE_FIXED},
        {"test_pay", "shop.PayTest", "shop/pay.py", NULL, CHECK_PASSED, 0},
        {"test_old", "shop.PayTest", "shop/pay.py", "needs a card", CHECK_SKIPPED, 0},
    };
    static const struct check_count counts[] = {{"timeout timeouts", 1}};
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"2 tests failed, 1 of them new.", true},
        {"3 tests failed.", false},
        {"5 tests ran: 2 passed, 2 failed, 1 skipped.", true},
        {"5 tests ran: 3 passed, 2 failed, 1 skipped.", false},
        {"`test_login` fails with \"expected 200, got 503\".", true},
        {"`test_login` fails with \"expected 200, got 500\".", false},
        {"test_signup fails.", false},
        {"LoginTest.test_login is a new failure.", true},
        {"test_cart failed.", false},
        {"test_cart is fixed.", true},
        {"test_pay is fixed.", false},
        {"test_logout still fails after 30 s.", true},
        {"One test was fixed: test_cart.", true},
        {"There was 1 timeout in auth/login.py.", true},
        {"There were 2 timeouts in auth/login.py.", false},
        {"Most failures are in auth.LoginTest.", true},
        {"2 Tests sind fehlgeschlagen.", true},
        {"4 Tests sind fehlgeschlagen.", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *quoted = strstr(cases[i].text, "sind");
        struct check_tests in = {.text = cases[i].text,
                                 .len = strlen(cases[i].text),
                                 .lang = quoted != NULL ? DE : EN,
                                 .items = items,
                                 .item_count = COUNT_OF(items),
                                 .counts = counts,
                                 .count_count = 1};
        struct check_result r = check_tests(&in);
        if (r.ok != cases[i].ok) {
            fail_msg("%s: %s %s", cases[i].text, r.ok ? "kept" : "refused", r.detail);
        }
    }
}

/* ---- slots ---- */

static void a_draft_says_nothing_of_another_case(void **state)
{
    (void)state;
    const char *allowed[] = {"My order VM-410233 of 12 March has not come. Declan Moore",
                             "Refunds take 5 to 7 days. See velmora.example/refund.", NULL};
    const char *past[] = {"Bridget", "Sligo"};
    static const struct {
        const char *text;
        bool ok;
    } cases[] = {
        {"Hello Declan, your order VM-410233 is on its way.", true},
        {"Hello {customer_name}, your order is on its way.", false},
        {"Your order [ORDER NUMBER] is on its way.", false},
        {"Your order ____ is on its way.", false},
        {"Your order VM-399120 is on its way.", false},
        {"Refunds take 5 to 7 days.", true},
        {"We refunded 48.20 EUR.", false},
        {"We refunded it on 3 April.", false},
        {"See velmora.example/refund for more.", true},
        {"See velmora.example/track/9 for more.", false},
        {"It went to Sligo.", false},
        {"Dear Bridget, it is on its way.", false},
        {"Please wait two days.", true},
        {"See [the page](velmora.example/refund).", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct check_slots in = {.text = cases[i].text,
                                 .len = strlen(cases[i].text),
                                 .lang = EN,
                                 .allowed = allowed,
                                 .allowed_count = 3,
                                 .past = past,
                                 .past_count = 2};
        struct check_result r = check_slots(&in);
        if (r.ok != cases[i].ok) {
            fail_msg("%s: %s %s", cases[i].text, r.ok ? "kept" : "refused", r.detail);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_as_their_language_writes_them),
        cmocka_unit_test(values_are_found_by_kind),
        cmocka_unit_test(a_rewrite_keeps_numbers_names_links_quotes_and_code),
        cmocka_unit_test(numbers_follow_from_cells),
        cmocka_unit_test(sentences_agree_with_the_test_report),
        cmocka_unit_test(a_draft_says_nothing_of_another_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
