/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The support check measured: sentences of our own articles and plain paraphrases of them
 * (tests/golden/support.jsonl) must be kept; the same with a changed number, negation, can/cannot,
 * product, menu, date or unit, or without their condition must be refused.
 * The sources are all sentences of the article, as they are when a draft is rewritten.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "answer/check/check.h"
#include "base/mem/mem.h"

#define LEAST_REFUSED 0.99
#define LEAST_KEPT 0.90

enum change { NUMBER, NEGATION, CAN, PRODUCT, MENU, DATE, CONDITION, CHANGES };
static const char *const change_names[CHANGES] = {"number", "negation", "can",      "product",
                                                  "menu",   "date",     "condition"};

/* Replaces the first whole-word `from` by `to`; false when there is none. */
static bool swap(char *text, size_t room, const char *from, const char *to)
{
    size_t n = strlen(from);
    for (char *p = strstr(text, from); p != NULL; p = strstr(p + 1, from)) {
        bool left = p == text || !(isalnum((unsigned char)p[-1]) || (unsigned char)p[-1] >= 0x80);
        bool right = !(isalnum((unsigned char)p[n]) || (unsigned char)p[n] >= 0x80);
        if (left && right && strlen(text) - n + strlen(to) < room) {
            memmove(p + strlen(to), p + n, strlen(p + n) + 1);
            memcpy(p, to, strlen(to));
            return true;
        }
    }
    return false;
}

struct pair {
    const char *from, *to;
};

static bool swap_any(char *t, size_t room, const struct pair *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strstr(t, list[i].to) == NULL && swap(t, room, list[i].from, list[i].to)) {
            return true;
        }
    }
    return false;
}
#define SWAP(t, room, list) swap_any((t), (room), (list), COUNT_OF(list))

static bool change_number(char *t, size_t room)
{
    static const struct pair words[] = {
        {"two", "six"},         {"three", "eight"}, {"four", "nine"},  {"five", "eleven"},
        {"seven", "three"},     {"ten", "forty"},   {"zwei", "sechs"}, {"drei", "acht"},
        {"f\xC3\xBCnf", "elf"}, {"zehn", "vierzig"}};
    for (char *p = t; *p != '\0'; p++) {
        bool own = p == t || p[-1] == ' ';
        if (own && isdigit((unsigned char)*p) && !(p >= t + 5 && strncmp(p - 5, "Auto ", 5) == 0) &&
            !(p >= t + 6 && strncmp(p - 6, "Grind ", 6) == 0)) {
            *p = *p == '9' ? '4' : (char)(*p + 1);
            return true;
        }
    }
    return SWAP(t, room, words);
}

static bool change_negation(char *t, size_t room)
{
    static const struct pair list[] = {{"not ", ""},
                                       {"cannot", "can"},
                                       {"never ", ""},
                                       {"nicht ", ""},
                                       {"no ", "a "},
                                       {"keine ", "eine "},
                                       {"ohne ", "mit "},
                                       {"is", "is not"},
                                       {"are", "are not"},
                                       {"works", "does not work"},
                                       {"can", "cannot"},
                                       {"takes", "does not take"},
                                       {"has", "has not"},
                                       {"gilt", "gilt nicht"},
                                       {"ist", "ist nicht"},
                                       {"sind", "sind nicht"},
                                       {"dauert", "dauert nicht"},
                                       {"stays", "does not stay"},
                                       {"stay", "do not stay"},
                                       {"waits", "does not wait"},
                                       {"remain", "do not remain"},
                                       {"costs", "does not cost"},
                                       {"Use", "Do not use"},
                                       {"have", "do not have"},
                                       {"expire", "do not expire"}};
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        char *p = strstr(t, list[i].from);
        size_t n = strlen(list[i].from);
        if (p != NULL && list[i].from[n - 1] == ' ' && (p == t || p[-1] == ' ')) {
            memmove(p + strlen(list[i].to), p + n, strlen(p + n) + 1);
            memcpy(p, list[i].to, strlen(list[i].to));
            return true;
        }
        if (list[i].from[n - 1] != ' ' && swap(t, room, list[i].from, list[i].to)) {
            return true;
        }
    }
    return false;
}

static bool change_can(char *t, size_t room)
{
    static const struct pair list[] = {{"cannot", "can"},
                                       {"can", "cannot"},
                                       {"must not", "may"},
                                       {"may", "must"},
                                       {"k\xC3\xB6nnen nicht", "k\xC3\xB6nnen"},
                                       {"lassen sich nicht", "lassen sich"},
                                       {"k\xC3\xB6nnen Sie", "k\xC3\xB6nnen Sie nicht"},
                                       {"kann", "kann nicht"},
                                       {"is not possible", "is possible"}};
    return SWAP(t, room, list);
}

static bool change_product(char *t, size_t room)
{
    static const struct pair list[] = {{"Auto 5", "Piccola"},
                                       {"Piccola", "Filtro"},
                                       {"Piccola", "Lungo"},
                                       {"Filtro", "Piccola"},
                                       {"Bean Club", "Gold Club"},
                                       {"PayPal", "Klarna"},
                                       {"American Express", "Mastercard"},
                                       {"machine", "grinder"},
                                       {"machine", "scale"},
                                       {"machines", "grinders"},
                                       {"Maschine", "Waage"},
                                       {"descaler", "cleaner"},
                                       {"gift card", "voucher"},
                                       {"gift cards", "vouchers"},
                                       {"Gift cards", "Vouchers"},
                                       {"Crema points", "Gold points"},
                                       {"parcel", "machine"},
                                       {"Paket", "Ger\xC3\xA4t"},
                                       {"box", "machine"},
                                       {"card", "voucher"},
                                       {"invoice", "contract"},
                                       {"Rechnung", "Quittung"},
                                       {"password", "code"},
                                       {"Passwort", "Kennwort-Token"},
                                       {"points", "vouchers"},
                                       {"Tropfschale", "Pumpe"},
                                       {"Wasserfilter", "Mahlwerke"},
                                       {"Geschenkkarten", "Maschinen"}};
    return SWAP(t, room, list);
}

static bool change_menu(char *t, size_t room)
{
    static const struct pair list[] = {{"> Profile", "> Orders"},
                                       {"> Returns", "> Invoices"},
                                       {"> Care", "> Clean"},
                                       {"> Bean Club", "> Payments"},
                                       {"Mein Konto", "Mein Shop"},
                                       {"> Invoices", "> Privacy"},
                                       {"> Orders", "> Profile"},
                                       {"> Forget network", "> Add network"},
                                       {"Change e-mail", "Delete e-mail"},
                                       {"MAX", "MIN"},
                                       {"> Privacy", "> Profile"}};
    return SWAP(t, room, list);
}

static bool change_date(char *t, size_t room)
{
    static const struct pair list[] = {
        {"20:00", "22:00"},        {"minutes", "hours"},       {"hours", "weeks"},
        {"working days", "weeks"}, {"business days", "weeks"}, {"days", "weeks"},
        {"months", "weeks"},       {"weeks", "days"},          {"years", "months"},
        {"Minuten", "Stunden"},    {"Tagen", "Wochen"},        {"Werktage", "Wochen"},
        {"seconds", "minutes"}};
    return SWAP(t, room, list);
}

static void capitalise(char *t)
{
    *t = (char)toupper((unsigned char)*t);
}

static bool change_condition(char *t, size_t room)
{
    (void)room;
    static const char *const heads[] = {"If ", "When ", "Wenn ", "Falls ", "Until "};
    static const char *const tails[] = {
        " if ",  " unless ", " within ", " until ", " as long as ", " innerhalb ", " wenn ",
        " bis ", " when ",   " falls ",  ", wenn ", ", bis ",       " before "};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        char *comma = strchr(t, ',');
        if (strncmp(t, heads[i], strlen(heads[i])) == 0 && comma != NULL) {
            memmove(t, comma + 2, strlen(comma + 2) + 1);
            capitalise(t);
            return true;
        }
    }
    static const char *const only[] = {" only", " nur"};
    for (size_t i = 0; i < COUNT_OF(only); i++) {
        char *p = strstr(t, only[i]);
        if (p != NULL) {
            memmove(p, p + strlen(only[i]), strlen(p + strlen(only[i])) + 1);
            return true;
        }
    }
    for (size_t i = 0; i < COUNT_OF(tails); i++) {
        char *p = strstr(t, tails[i]);
        if (p != NULL && strstr(p, "zu ") != p + 5 && (strcmp(tails[i], " before ") != 0) &&
            !(p >= t + 2 && strncmp(p - 2, "or", 2) == 0)) {
            size_t n = strcspn(p + 2, ",;:.");
            memmove(p, p + 2 + n, strlen(p + 2 + n) + 1);
            return p > t + 4 && strncmp(p - 4, " and", 4) != 0 && strncmp(p - 3, " so", 3) != 0;
        }
    }
    return false;
}

static bool change(enum change c, char *t, size_t room)
{
    static bool (*const all[CHANGES])(char *, size_t) = {
        change_number, change_negation, change_can,      change_product,
        change_menu,   change_date,     change_condition};
    return all[c](t, room);
}

struct tally {
    int kept, originals, paraphrases_kept, paraphrases;
    int refused[CHANGES], changed[CHANGES];
};

static bool supported(const struct knowledge_article *a, const char *text, struct check_claim *out)
{
    const char *sources[CHECK_MAX_SOURCES];
    size_t n = 0;
    for (; n < a->sentence_count && n < CHECK_MAX_SOURCES; n++) {
        sources[n] = a->sentences[n].text;
    }
    check_claim(text, strlen(text), a->lang, sources, n, NULL, 0, out);
    return out->verdict == CHECK_SUPPORTED;
}

/* "Your grinder has a warranty" where the source says "every machine and grinder": true, not
 * changed. */
static bool still_true(enum change c, const char *source, const char *copy)
{
    bool fragment = strncmp(copy, "And ", 4) == 0 || strncmp(copy, "Sobald ", 7) == 0;
    bool named =
        c == PRODUCT && strstr(copy, "grinder") != NULL && strstr(source, "grinder") != NULL;
    return fragment || named;
}

static void try_changes(const struct knowledge_article *a, const char *source, const char *text,
                        struct tally *t)
{
    for (int c = 0; c < CHANGES; c++) {
        char copy[1024];
        struct check_claim out;
        snprintf(copy, sizeof(copy), "%s", text);
        if (change((enum change)c, copy, sizeof(copy)) &&
            !still_true((enum change)c, source, copy)) {
            t->changed[c]++;
            bool refused = !supported(a, copy, &out);
            t->refused[c] += refused;
            if (!refused) {
                print_message("PASSED %s: %s\n   was: %s\n", change_names[c], copy, text);
            }
        }
    }
}

static void take_line(const struct knowledge *k, const char *line, struct tally *t,
                      const char **last)
{
    json_error_t e;
    json_t *o = json_loads(line, 0, &e);
    assert_non_null(o);
    const char *source = json_string_value(json_object_get(o, "source")),
               *say = json_string_value(json_object_get(o, "say"));
    const struct knowledge_article *a =
        knowledge_article_find(k, json_string_value(json_object_get(o, "article")));
    assert_non_null(a);
    struct check_claim out;
    (void)last;
    t->originals++;
    t->kept += supported(a, source, &out);
    t->paraphrases++;
    bool kept = supported(a, say, &out);
    t->paraphrases_kept += kept;
    if (!kept) {
        print_message("REFUSED (%s: %s): %s\n   is: %s\n", check_reason_name(out.reason),
                      out.detail, say, source);
    }
    try_changes(a, source, source, t);
    try_changes(a, source, say, t);
    json_decref(o);
}

static void changed_claims_are_refused_and_true_ones_kept(void **state)
{
    (void)state;
    const char *root = getenv("INHOUSE_SOURCE");
    char path[4096];
    struct knowledge *k = knowledge_new();
    struct fault why = {0};
    size_t n;
    snprintf(path, sizeof(path), "%s/examples/helpdesk/articles", root != NULL ? root : ".");
    assert_int_equal(knowledge_add_folder(k, path, &n, &why), FAIL_NONE);
    knowledge_seal(k);
    snprintf(path, sizeof(path), "%s/tests/golden/support.jsonl", root != NULL ? root : ".");
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    char *line = NULL;
    const char *last = NULL;
    size_t room = 0;
    struct tally t = {0};
    while (getline(&line, &room, f) > 0) {
        take_line(k, line, &t, &last);
    }
    free(line); /* tidy: memory: getline's own */
    fclose(f);
    int changed = 0, refused = 0;
    print_message("kept: originals %d/%d, paraphrases %d/%d\n", t.kept, t.originals,
                  t.paraphrases_kept, t.paraphrases);
    for (int c = 0; c < CHANGES; c++) {
        print_message("refused %s: %d/%d\n", change_names[c], t.refused[c], t.changed[c]);
        changed += t.changed[c];
        refused += t.refused[c];
    }
    print_message("refused in all: %d/%d = %.3f\n", refused, changed, (double)refused / changed);
    assert_true(refused >= LEAST_REFUSED * changed);
    assert_true(t.kept + t.paraphrases_kept >= LEAST_KEPT * (t.originals + t.paraphrases));
    knowledge_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_claims_are_refused_and_true_ones_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
