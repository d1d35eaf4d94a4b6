/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers: digits under the decimal conventions, number words, units and currencies.
 *
 * Owns nothing. Threads: pure. Limits: 15 digits before and 6 after the point; more is no number.
 */
#include <stdio.h>
#include <string.h>

#include "answer/extract/extract_internal.h"
#include "base/text/text.h"

#define MAX_WHOLE 15
#define MAX_DECIMALS 6
#define MAX_GROUPS 6

/* A number as read: its digits without leading zeros, and where it ends. */
struct reading {
    char normal[EXTRACT_MAX_NORMAL];
    enum extract_reading how;
    size_t to; /* tokens */
};

static char byte_of(const struct tokens *t, size_t i)
{
    return i < t->len && t->token[i].len == 1 ? t->text[t->token[i].at] : '\0';
}

static bool is_text(const struct tokens *t, size_t i, const char *s)
{
    return i < t->len && t->token[i].len == strlen(s) &&
           memcmp(t->text + t->token[i].at, s, t->token[i].len) == 0;
}

/* ---- number words ---- */

static const struct {
    const char *word;
    int value;
} words[] = {
    {"zero", 0}, {"one", 1}, {"two", 2}, {"three", 3}, {"four", 4}, {"five", 5}, {"six", 6},
    {"seven", 7}, {"eight", 8}, {"nine", 9}, {"ten", 10}, {"eleven", 11}, {"twelve", 12},
    {"thirteen", 13}, {"fourteen", 14}, {"fifteen", 15}, {"sixteen", 16}, {"seventeen", 17},
    {"eighteen", 18}, {"nineteen", 19}, {"twenty", 20}, {"thirty", 30}, {"forty", 40},
    {"fifty", 50}, {"sixty", 60}, {"seventy", 70}, {"eighty", 80}, {"ninety", 90},
    {"hundred", 100}, {"null", 0}, {"eins", 1}, {"ein", 1}, {"eine", 1}, {"einen", 1},
    {"zwei", 2}, {"drei", 3}, {"vier", 4}, {"f\xc3\xbcnf", 5}, {"sechs", 6}, {"sieben", 7},
    {"acht", 8}, {"neun", 9}, {"zehn", 10}, {"elf", 11}, {"zw\xc3\xb6lf", 12},
    {"dreizehn", 13}, {"vierzehn", 14}, {"f\xc3\xbcnfzehn", 15}, {"sechzehn", 16},
    {"siebzehn", 17}, {"achtzehn", 18}, {"neunzehn", 19}, {"zwanzig", 20},
    {"drei\xc3\x9fig", 30}, {"dreissig", 30}, {"vierzig", 40}, {"f\xc3\xbcnfzig", 50},
    {"sechzig", 60}, {"siebzig", 70}, {"achtzig", 80}, {"neunzig", 90}, {"hundert", 100},
    {"un", 1}, {"une", 1}, {"deux", 2}, {"trois", 3}, {"quatre", 4}, {"cinq", 5}, {"sept", 7},
    {"huit", 8}, {"neuf", 9}, {"dix", 10}, {"onze", 11}, {"douze", 12}, {"treize", 13},
    {"quatorze", 14}, {"quinze", 15}, {"seize", 16}, {"vingt", 20}, {"trente", 30},
    {"quarante", 40}, {"cinquante", 50}, {"soixante", 60}, {"cent", 100}, {"cero", 0},
    {"uno", 1}, {"una", 1}, {"dos", 2}, {"tres", 3}, {"cuatro", 4}, {"cinco", 5}, {"seis", 6},
    {"siete", 7}, {"ocho", 8}, {"nueve", 9}, {"diez", 10}, {"once", 11}, {"doce", 12},
    {"trece", 13}, {"catorce", 14}, {"quince", 15}, {"veinte", 20}, {"treinta", 30},
    {"cuarenta", 40}, {"cincuenta", 50}, {"sesenta", 60}, {"setenta", 70}, {"ochenta", 80},
    {"noventa", 90}, {"cien", 100},
};

static int plain_word(const char *w, size_t n)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strlen(words[i].word) == n && memcmp(words[i].word, w, n) == 0) {
            return words[i].value;
        }
    }
    return -1;
}

int extract_number_word(const char *folded)
{
    size_t n = strlen(folded);
    int v = plain_word(folded, n);
    if (v >= 0) {
        return v;
    }
    /* German writes 21 as one word: "einundzwanzig". */
    const char *und = strstr(folded, "und");
    if (und != NULL && und > folded) {
        int ones = plain_word(folded, (size_t)(und - folded));
        int tens = plain_word(und + 3, strlen(und + 3));
        if (ones >= 1 && ones <= 9 && tens >= 20 && tens <= 90) {
            return tens + ones;
        }
    }
    return -1;
}

static int word_at(const struct tokens *t, size_t i)
{
    char w[40];
    if (i >= t->len || t->token[i].class != TOKEN_WORD || t->token[i].len > 36) {
        return -1;
    }
    extract_token_fold(t, i, w, sizeof(w));
    return extract_number_word(w);
}

static bool folds_to(const struct tokens *t, size_t i, const char *const *list)
{
    char w[40];
    if (i >= t->len || t->token[i].class != TOKEN_WORD || t->token[i].len > 36) {
        return false;
    }
    extract_token_fold(t, i, w, sizeof(w));
    while (*list != NULL && strcmp(w, *list) != 0) {
        list++;
    }
    return *list != NULL;
}

/* "twenty-five", "vingt et un", "treinta y cinco", "two hundred". */
static bool read_words(const struct tokens *t, size_t i, struct reading *r)
{
    static const char *const and[] = {"et", "y", "and", NULL};
    int v = word_at(t, i);
    size_t to = i + 1;
    if (v < 0) {
        return false;
    }
    if (v >= 20 && v <= 90 && v % 10 == 0) {
        size_t k = to;
        bool dash = byte_of(t, k) == '-' && t->token[k].glued;
        k += dash || folds_to(t, k, and) ? 1 : 0;
        int ones = word_at(t, k);
        if (ones >= 1 && ones <= 9 && (dash || k > to || ones != 1)) {
            v += ones;
            to = k + 1;
        }
    }
    if (v >= 1 && v <= 9 && word_at(t, to) == 100) {
        v *= 100;
        to++;
    }
    snprintf(r->normal, sizeof(r->normal), "%d", v);
    r->how = EXTRACT_READING_ONLY;
    r->to = to;
    return true;
}

/* ---- digits ---- */

/* Groups of digits g0 s0 g1 s1 ... in one number. */
struct groups {
    const char *s[MAX_GROUPS];
    size_t len[MAX_GROUPS];
    char sep[MAX_GROUPS]; /* after the group, '\0' at the end */
    size_t n;
    size_t to;
    size_t to_first; /* where the first group ends */
};

/* What stands between token i - 1 and digits at i or i + 1: a separator of one character. */
static char separator(const struct tokens *t, size_t i, size_t *digits)
{
    const struct token *k = &t->token[i];
    if (i >= t->len) {
        return '\0';
    }
    if (k->class == TOKEN_DIGITS && !k->glued && k->at > 0 && k->len == 3 &&
        k->line == t->token[i - 1].line) {
        *digits = i;
        return ' ';
    }
    if (k->class != TOKEN_OTHER || !k->glued || i + 1 >= t->len || !t->token[i + 1].glued ||
        t->token[i + 1].class != TOKEN_DIGITS) {
        return '\0';
    }
    *digits = i + 1;
    char c = byte_of(t, i);
    if (c == '.' || c == ',' || c == '\'') {
        return c;
    }
    return is_text(t, i, "\xe2\x80\x99") ? '\'' : '\0';
}

static bool read_groups(const struct tokens *t, size_t i, struct groups *g)
{
    memset(g, 0, sizeof(*g));
    if (i >= t->len || t->token[i].class != TOKEN_DIGITS) {
        return false;
    }
    g->to_first = i + 1;
    for (;;) {
        const struct token *k = &t->token[i];
        g->s[g->n] = t->text + k->at;
        g->len[g->n++] = k->len;
        g->to = i + 1;
        size_t digits = 0;
        char c = separator(t, i + 1, &digits);
        /* A space groups thousands only where spaces began it: "1 234 567". */
        if (c == ' ' && (g->len[0] > 3 || (g->n > 1 && g->sep[g->n - 2] != ' '))) {
            c = '\0';
        }
        if (c == '\0') {
            return true;
        }
        if (g->n == MAX_GROUPS) {
            return false;
        }
        g->sep[g->n - 1] = c;
        i = digits;
    }
}

static bool are_thousands(const struct groups *g, size_t n)
{
    bool ok = g->len[0] >= 1 && g->len[0] <= 3 && g->s[0][0] != '0';
    for (size_t k = 1; k < n; k++) {
        ok = ok && g->len[k] == 3 && g->sep[k - 1] == g->sep[0];
    }
    return ok;
}

/* Digits of groups [0, whole) as the whole part, the next group as decimals when has_point. */
static bool write_number(const struct groups *g, size_t whole, bool has_point, bool minus,
                         char *out)
{
    char digits[MAX_GROUPS * MAX_WHOLE + 1];
    size_t n = 0;
    for (size_t k = 0; k < whole; k++) {
        for (size_t j = 0; j < g->len[k]; j++) {
            if (n > 0 || g->s[k][j] != '0') {
                if (n == MAX_WHOLE) {
                    return false;
                }
                digits[n++] = g->s[k][j];
            }
        }
    }
    if (n == 0) {
        digits[n++] = '0';
    }
    size_t decimals = has_point ? g->len[whole] : 0;
    if (decimals > MAX_DECIMALS) {
        return false;
    }
    snprintf(out, EXTRACT_MAX_NORMAL, "%s%.*s%s%.*s", minus ? "-" : "", (int)n, digits,
             decimals > 0 ? "." : "", (int)decimals, decimals > 0 ? g->s[whole] : "");
    return true;
}

static size_t add_reading(struct reading *r, size_t n, const struct groups *g, size_t whole,
                          bool has_point, bool minus, enum extract_reading how)
{
    r[n].how = how;
    r[n].to = g->to;
    return n + write_number(g, whole, has_point, minus, r[n].normal);
}

/* All readings of the digits at token i: none, one or two. */
static size_t read_digits(const struct tokens *t, size_t i, bool minus, struct reading r[2])
{
    struct groups g;
    if (!read_groups(t, i, &g)) {
        return 0;
    }
    if (g.n == 1) {
        return add_reading(r, 0, &g, 1, false, minus, EXTRACT_READING_ONLY);
    }
    char last = g.sep[g.n - 2];
    bool point = last == '.' || last == ',';
    if (g.n == 2) {
        bool thousands = are_thousands(&g, 2);
        enum extract_reading both = EXTRACT_READING_ONLY;
        size_t n = 0;
        if (thousands) {
            both = point ? EXTRACT_READING_THOUSANDS : EXTRACT_READING_ONLY;
            n = add_reading(r, n, &g, 2, false, minus, both);
        }
        if (point) {
            both = thousands ? EXTRACT_READING_DECIMAL : EXTRACT_READING_ONLY;
            n = add_reading(r, n, &g, 1, true, minus, both);
        }
        return n;
    }
    if (are_thousands(&g, g.n)) {
        return add_reading(r, 0, &g, g.n, false, minus, EXTRACT_READING_ONLY);
    }
    if (point && last != g.sep[0] && are_thousands(&g, g.n - 1)) {
        return add_reading(r, 0, &g, g.n - 1, true, minus, EXTRACT_READING_ONLY);
    }
    return 0; /* an address, a version, a date */
}

/* ---- what follows: k, m, units ---- */

static const struct {
    const char *word;
    unsigned zeros;
} scales[] = {
    {"k", 3}, {"tsd", 3}, {"thousand", 3}, {"tausend", 3}, {"mille", 3}, {"mil", 3},
    {"lakh", 5}, {"m", 6}, {"mio", 6}, {"mn", 6}, {"million", 6}, {"millions", 6},
    {"millionen", 6}, {"millones", 6},
};

/* A decimal times 10^zeros, in place; false when it gets too long. */
static bool shift(char *normal, unsigned zeros)
{
    char out[EXTRACT_MAX_NORMAL];
    size_t n = 0;
    const char *point = strchr(normal, '.');
    const char *s = normal;
    if (strlen(normal) + zeros > MAX_WHOLE + MAX_DECIMALS) {
        return false;
    }
    for (; *s != '\0' && s != point; s++) {
        out[n++] = *s;
    }
    s += point != NULL;
    for (unsigned k = 0; k < zeros && n + 1 < sizeof out; k++) {
        out[n++] = *s != '\0' ? *s++ : '0';
    }
    if (*s != '\0') {
        out[n++] = '.';
        while (*s != '\0' && n + 1 < sizeof out) {
            out[n++] = *s++;
        }
    }
    out[n] = '\0';
    size_t lead = out[0] == '-';
    size_t from = lead;
    while (out[from] == '0' && out[from + 1] >= '0' && out[from + 1] <= '9') {
        from++;
    }
    memmove(out + lead, out + from, n - from + 1);
    memcpy(normal, out, strlen(out) + 1);
    return true;
}

static bool scale_of(const char *word, size_t n, bool glued, unsigned *zeros)
{
    for (size_t k = 0; k < COUNT_OF(scales); k++) {
        /* "5 m" is a length far more often than a million */
        bool bare_m = strcmp(scales[k].word, "m") == 0 && !glued;
        if (!bare_m && strlen(scales[k].word) == n && memcmp(scales[k].word, word, n) == 0) {
            *zeros = scales[k].zeros;
            return true;
        }
    }
    return false;
}

static const char *const units[] = {"kg",
                                    "g",
                                    "mg",
                                    "t",
                                    "lb",
                                    "lbs",
                                    "oz",
                                    "km",
                                    "m",
                                    "cm",
                                    "mm",
                                    "mi",
                                    "ft",
                                    "in",
                                    "l",
                                    "ml",
                                    "kwh",
                                    "kw",
                                    "w",
                                    "v",
                                    "gb",
                                    "mb",
                                    "kb",
                                    "tb",
                                    "ms",
                                    "s",
                                    "sec",
                                    "min",
                                    "mins",
                                    "h",
                                    "hr",
                                    "hrs",
                                    "hours",
                                    "hour",
                                    "minutes",
                                    "minute",
                                    "seconds",
                                    "days",
                                    "day",
                                    "weeks",
                                    "week",
                                    "months",
                                    "month",
                                    "years",
                                    "year",
                                    "pcs",
                                    "pieces",
                                    "piece",
                                    "nos",
                                    "units",
                                    "unit",
                                    "items",
                                    "item",
                                    "boxes",
                                    "packs",
                                    "pairs",
                                    "people",
                                    "persons",
                                    "passengers",
                                    "guests",
                                    "nights",
                                    "rooms",
                                    "tickets",
                                    "seats",
                                    "bags",
                                    "st\xc3\xbc"
                                    "ck",
                                    "stk",
                                    "personen",
                                    "person",
                                    "n\xc3\xa4"
                                    "chte",
                                    "tage",
                                    "tag",
                                    "wochen",
                                    "monate",
                                    "stunden",
                                    "minuten",
                                    "jahre",
                                    "personnes",
                                    "nuits",
                                    "jours",
                                    "heures",
                                    "pi\xc3\xa8"
                                    "ces",
                                    "personas",
                                    "noches",
                                    "d\xc3\xad"
                                    "as",
                                    "horas",
                                    "unidades",
                                    "percent",
                                    "prozent",
                                    NULL};

static bool is_unit(const char *word, size_t n)
{
    for (size_t k = 0; units[k] != NULL; k++) {
        if (strlen(units[k]) == n && memcmp(units[k], word, n) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- currencies ---- */

static const struct {
    const char *text; /* folded */
    const char *code;
} currencies[] = {
    {"$", "USD"}, {"\xe2\x82\xac", "EUR"}, {"\xc2\xa3", "GBP"}, {"\xc2\xa5", "JPY"},
    {"\xe2\x82\xb9", "INR"}, {"dollar", "USD"}, {"dollars", "USD"}, {"euro", "EUR"},
    {"euros", "EUR"}, {"pound", "GBP"}, {"pounds", "GBP"}, {"pfund", "GBP"},
    {"rupee", "INR"}, {"rupees", "INR"}, {"rs", "INR"}, {"yen", "JPY"}, {"franken", "CHF"},
    {"francs", "CHF"}, {"usd", "USD"}, {"eur", "EUR"}, {"gbp", "GBP"}, {"chf", "CHF"},
    {"inr", "INR"}, {"jpy", "JPY"}, {"cny", "CNY"}, {"sek", "SEK"}, {"nok", "NOK"},
    {"dkk", "DKK"}, {"pln", "PLN"}, {"czk", "CZK"}, {"huf", "HUF"}, {"ron", "RON"},
    {"aud", "AUD"}, {"cad", "CAD"}, {"nzd", "NZD"}, {"sgd", "SGD"}, {"hkd", "HKD"},
    {"mxn", "MXN"}, {"brl", "BRL"}, {"zar", "ZAR"}, {"aed", "AED"}, {"z\xc5\x82", "PLN"},
};

static const char *currency_of(const char *folded)
{
    for (size_t k = 0; k < COUNT_OF(currencies); k++) {
        if (strcmp(currencies[k].text, folded) == 0) {
            return currencies[k].code;
        }
    }
    return NULL;
}

static const char *currency_at(const struct tokens *t, size_t i, size_t *to)
{
    char w[24];
    if (i >= t->len || t->token[i].len > 16) {
        return NULL;
    }
    extract_token_fold(t, i, w, sizeof(w));
    const char *code = currency_of(w);
    *to = i + 1;
    if (code != NULL && strcmp(w, "rs") == 0 && byte_of(t, i + 1) == '.' && t->token[i + 1].glued) {
        *to = i + 2;
    }
    return code;
}

/* "US$ 5", "$5", "EUR 5", "Rs. 5" before the number at i: where it begins, and its code. */
static const char *currency_before(const struct tokens *t, size_t i, size_t *from)
{
    size_t to, k = i;
    if (k > 0 && byte_of(t, k - 1) == '.' && k > 1) {
        const char *code = currency_at(t, k - 2, &to);
        if (code != NULL && to == k) {
            *from = k - 2;
            return code;
        }
    }
    if (k == 0 || t->token[k - 1].line != t->token[k].line) {
        return NULL;
    }
    const char *code = currency_at(t, k - 1, &to);
    *from = k - 1;
    if (code != NULL && byte_of(t, k - 1) == '$' && k > 1 && t->token[k - 1].glued) {
        static const char *const us[] = {"us", NULL}, *const ca[] = {"ca", "c", NULL};
        static const char *const au[] = {"au", "a", NULL};
        bool known = folds_to(t, k - 2, us) || folds_to(t, k - 2, ca) || folds_to(t, k - 2, au);
        *from = known ? k - 2 : k - 1;
        code = folds_to(t, k - 2, ca) ? "CAD" : folds_to(t, k - 2, au) ? "AUD" : code;
    }
    return code;
}

/* ---- candidates ---- */

static void add_amounts(const struct tokens *t, size_t from, const struct reading *r,
                        struct candidates *out)
{
    char normal[EXTRACT_MAX_NORMAL + 8];
    size_t first = from, to = r->to;
    const char *code = currency_before(t, from, &first);
    if (code == NULL) {
        first = from;
        bool near = r->to < t->len && t->token[r->to].line == t->token[from].line;
        code = near ? currency_at(t, r->to, &to) : NULL;
    }
    if (code == NULL) {
        return;
    }
    snprintf(normal, sizeof(normal), "%s %s", r->normal, code);
    extract_candidate_add(out, first, to, EXTRACT_TYPE_AMOUNT, r->how, normal);
}

static void add_number(const struct tokens *t, size_t from, const struct reading *r,
                       struct candidates *out)
{
    char unit[24], normal[EXTRACT_MAX_NORMAL + 32];
    extract_candidate_add(out, from, r->to, EXTRACT_TYPE_NUMBER, r->how, r->normal);
    add_amounts(t, from, r, out);
    if (r->to >= t->len || t->token[r->to].line != t->token[from].line ||
        t->token[r->to].len > 16) {
        return;
    }
    extract_token_fold(t, r->to, unit, sizeof(unit));
    unsigned zeros = 0;
    if (scale_of(unit, strlen(unit), t->token[r->to].glued, &zeros)) {
        struct reading big = *r;
        big.to = r->to + 1;
        if (shift(big.normal, zeros)) {
            extract_candidate_add(out, from, big.to, EXTRACT_TYPE_NUMBER, r->how, big.normal);
            add_amounts(t, from, &big, out);
        }
    } else if (is_unit(unit, strlen(unit)) || strcmp(unit, "%") == 0) {
        snprintf(normal, sizeof(normal), "%s %s", r->normal, unit);
        extract_candidate_add(out, from, r->to + 1, EXTRACT_TYPE_MEASURE, r->how, normal);
    }
}

/* "12k", "5kg", "40eur": digits and letters in one word. */
static void find_joined(const struct tokens *t, size_t i, struct candidates *out)
{
    char w[40], normal[EXTRACT_MAX_NORMAL];
    if (t->token[i].class != TOKEN_MIXED || t->token[i].len > 30) {
        return;
    }
    extract_token_fold(t, i, w, sizeof(w));
    size_t d = strspn(w, "0123456789"), n = strlen(w);
    if (d == 0 || d > MAX_WHOLE || strcspn(w + d, "0123456789") != n - d) {
        return;
    }
    struct groups g = {.s = {w}, .len = {d}, .n = 1};
    unsigned zeros = 0;
    if (!write_number(&g, 1, false, false, normal)) {
        return;
    }
    const char *code = currency_of(w + d);
    char both[EXTRACT_MAX_NORMAL + 48];
    if (scale_of(w + d, n - d, true, &zeros)) {
        struct reading r = {.how = EXTRACT_READING_ONLY, .to = i + 1};
        memcpy(r.normal, normal, sizeof(normal));
        if (shift(r.normal, zeros)) {
            extract_candidate_add(out, i, i + 1, EXTRACT_TYPE_NUMBER, r.how, r.normal);
            add_amounts(t, i, &r, out);
        }
    } else if (code != NULL || is_unit(w + d, n - d)) {
        snprintf(both, sizeof(both), "%s %s", normal, code != NULL ? code : w + d);
        extract_candidate_add(out, i, i + 1,
                              code != NULL ? EXTRACT_TYPE_AMOUNT : EXTRACT_TYPE_MEASURE,
                              EXTRACT_READING_ONLY, both);
        extract_candidate_add(out, i, i + 1, EXTRACT_TYPE_NUMBER, EXTRACT_READING_ONLY, normal);
    }
}

void extract_find_numbers(const struct tokens *t, size_t i, struct candidates *out)
{
    struct reading r[2];
    struct reading word;
    const struct token *k = &t->token[i];
    bool dash = byte_of(t, i) == '-' || is_text(t, i, "\xe2\x88\x92");
    bool minus = dash && (i == 0 || !k->glued) && i + 1 < t->len && t->token[i + 1].glued;
    if (!minus && k->class != TOKEN_DIGITS) {
        if (k->class == TOKEN_WORD && read_words(t, i, &word)) {
            add_number(t, i, &word, out);
        }
        find_joined(t, i, out);
        return;
    }
    /* The middle of 1,234.50 or of 1.2.3 is not a number of its own. */
    bool inside = i > 1 && k->glued && t->token[i - 1].glued &&
                  strchr(".,'", byte_of(t, i - 1)) != NULL && byte_of(t, i - 1) != '\0' &&
                  t->token[i - 2].class == TOKEN_DIGITS;
    if (inside) {
        return;
    }
    size_t n = read_digits(t, i + minus, minus, r);
    for (size_t j = 0; j < n; j++) {
        add_number(t, i, &r[j], out);
    }
    /* "flight 250 400": digits that a space could join are also numbers alone. */
    struct groups g;
    if (n > 0 && read_groups(t, i + minus, &g) && g.n > 1 && g.sep[0] == ' ') {
        struct reading alone = {.to = g.to_first, .how = EXTRACT_READING_ONLY};
        if (write_number(&g, 1, false, minus, alone.normal)) {
            add_number(t, i, &alone, out);
        }
    }
}
