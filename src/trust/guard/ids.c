/* SPDX-License-Identifier: Apache-2.0 */
/*
 * National ids of persons, VAT ids of companies, device numbers: each with the check its issuer
 * defines. A form that random numbers often pass also needs a word that says what it is.
 *
 * Sources: ISO 7064 (mod 11,10; mod 97); Verhoeff 1969; python-stdnum's and the issuers' published
 * descriptions of each number. Owns nothing. Threads: pure. Limits: MAX_ID bytes a value.
 */
#include "trust/guard/guard_internal.h"

#include <string.h>

#define MAX_ID 32
#define MAX_CHARS 20

/* A value as written, without its separators, in upper case. */
struct id_text {
    char c[MAX_CHARS + 1];
    size_t n;
    size_t end;        /* bytes of the text, separators included */
    size_t separators;
    char form[MAX_ID]; /* 'd' digit, 'a' letter, the separators as they are */
};

static bool is_letter(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* Up to `chars` letters and digits with single separators of " -./" between them. */
static bool read_id(const char *s, size_t n, size_t chars, struct id_text *t)
{
    memset(t, 0, sizeof(*t));
    size_t at = 0;
    while (t->n < chars && at < n && at < MAX_ID) {
        char c = s[at] >= 'a' && s[at] <= 'z' ? (char)(s[at] & ~32) : s[at];
        if (guard_is_digit(c) || is_letter(c)) {
            t->c[t->n++] = c;
            t->form[at] = guard_is_digit(c) ? 'd' : 'a';
        } else if (at > 0 && guard_is_word(s[at - 1]) && c != '\0' &&
                   strchr(" -./+", c) != NULL) {
            t->form[at] = c;
            t->separators++;
        } else {
            return false;
        }
        at++;
    }
    t->end = at;
    return t->n == chars && (at == n || !guard_is_word(s[at])) &&
           !(at + 1 < n && (s[at] == '-' || s[at] == '.' || s[at] == ',') &&
             guard_is_digit(s[at + 1]));
}

static bool digits_only(const struct id_text *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (!guard_is_digit(t->c[i])) {
            return false;
        }
    }
    return true;
}

static bool all_same(const struct id_text *t)
{
    return strspn(t->c, (const char[]){t->c[0], '\0'}) == t->n;
}

static unsigned weighted(const char *s, const char *weights)
{
    unsigned sum = 0;
    for (size_t i = 0; weights[i] != '\0'; i++) {
        unsigned w = weights[i] <= '9' ? (unsigned)(weights[i] - '0')
                                       : (unsigned)(weights[i] - 'A') + 10;
        sum += w * (unsigned)(s[i] - '0');
    }
    return sum;
}

static uint64_t number(const char *s, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v * 10 + (uint64_t)(s[i] - '0');
    }
    return v;
}

bool guard_luhn(const char *digits, size_t n)
{
    unsigned sum = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned d = (unsigned)(digits[n - 1 - i] - '0');
        d *= (i & 1) != 0 ? 2 : 1;
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

static bool mod11_10(const char *s, size_t n)
{
    unsigned p = 10;
    for (size_t i = 0; i + 1 < n; i++) {
        unsigned t = (p + (unsigned)(s[i] - '0')) % 10;
        p = (t == 0 ? 10 : t) * 2 % 11;
    }
    return (11 - p) % 10 == (unsigned)(s[n - 1] - '0');
}

static bool verhoeff(const char *s, size_t n)
{
    static const char d[10][11] = {"0123456789", "1234067895", "2340178956", "3401289567",
                                   "4012395678", "5987604321", "6598710432", "7659821043",
                                   "8765932104", "9876543210"};
    static const char p[8][11] = {"0123456789", "1576283094", "5803796142", "8916043527",
                                  "9453126870", "4286573901", "2793806415", "7046913258"};
    int c = 0;
    for (size_t i = 0; i < n; i++) {
        c = d[c][p[i % 8][s[n - 1 - i] - '0'] - '0'] - '0';
    }
    return c == 0;
}

static bool day_month(const char *day, const char *month)
{
    uint64_t d = number(day, 2);
    uint64_t m = number(month, 2);
    return d >= 1 && d <= 31 && m >= 1 && m <= 12;
}

/* ---- each country's check, over the characters without separators ---- */

static bool us_ssn(const struct id_text *t)
{
    uint64_t area = number(t->c, 3);
    return area != 0 && area != 666 && area < 900 && number(t->c + 3, 2) != 0 &&
           number(t->c + 5, 4) != 0;
}

static bool gb_nino(const struct id_text *t)
{
    return strchr("DFIQUV", t->c[0]) == NULL && strchr("DFIQUVO", t->c[1]) == NULL &&
           t->c[8] <= 'D';
}

static bool gb_nhs(const struct id_text *t)
{
    unsigned r = 11 - weighted(t->c, "A98765432") % 11;
    return !all_same(t) && r != 10 && r % 11 == (unsigned)(t->c[9] - '0');
}

static bool de_tax(const struct id_text *t)
{
    unsigned seen[10] = {0};
    unsigned most = 0;
    for (size_t i = 0; i < 10; i++) {
        unsigned n = ++seen[t->c[i] - '0'];
        most = n > most ? n : most;
    }
    return t->c[0] != '0' && most >= 2 && most <= 3 && mod11_10(t->c, 11);
}

static bool fr_nir(const struct id_text *t)
{
    return (t->c[0] == '1' || t->c[0] == '2') && number(t->c + 3, 2) >= 1 &&
           number(t->c + 3, 2) <= 42 && 97 - number(t->c, 13) % 97 == number(t->c + 13, 2);
}

static bool es_dni(const struct id_text *t)
{
    return t->c[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[number(t->c, 8) % 23];
}

static bool es_nie(const struct id_text *t)
{
    uint64_t v = (uint64_t)(t->c[0] - 'X') * 10000000 + number(t->c + 1, 7);
    return t->c[0] >= 'X' && t->c[8] == "TRWAGMYFPDXBNJZSQVHLCKE"[v % 23];
}

static bool it_fiscal(const struct id_text *t)
{
    static const uint8_t odd[] = {1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8,
                                  12, 14, 16, 10, 22, 25, 24, 23};
    unsigned sum = 0;
    for (size_t i = 0; i < 15; i++) {
        unsigned v = guard_is_digit(t->c[i]) ? (unsigned)(t->c[i] - '0')
                                             : (unsigned)(t->c[i] - 'A');
        sum += i % 2 == 0 ? odd[v] : v;
    }
    return (unsigned)(t->c[15] - 'A') == sum % 26;
}

static bool nl_bsn(const struct id_text *t)
{
    int sum = (int)weighted(t->c, "98765432") - (t->c[8] - '0');
    return !all_same(t) && sum % 11 == 0;
}

static bool be_national(const struct id_text *t)
{
    uint64_t v = number(t->c, 9);
    uint64_t check = number(t->c + 9, 2);
    return day_month(t->c + 4, t->c + 2) &&
           (97 - v % 97 == check || 97 - (v + 2000000000u) % 97 == check);
}

static bool pl_pesel(const struct id_text *t)
{
    uint64_t month = number(t->c + 2, 2) % 20;
    uint64_t day = number(t->c + 4, 2);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 &&
           weighted(t->c, "13791379131") % 10 == 0;
}

static bool se_person(const struct id_text *t)
{
    return day_month(t->c + 4, t->c + 2) && guard_luhn(t->c, 10);
}

static bool fi_hetu(const struct id_text *t)
{
    uint64_t v = number(t->c, 6) * 1000 + number(t->c + 6, 3);
    return day_month(t->c, t->c + 2) && t->c[9] == "0123456789ABCDEFHJKLMNPRSTUVWXY"[v % 31];
}

static bool dk_cpr(const struct id_text *t)
{
    return day_month(t->c, t->c + 2); /* since 2007 numbers without the old mod 11 are given */
}

static bool no_birth(const struct id_text *t)
{
    return weighted(t->c, "3761894521") % 11 == 0 && weighted(t->c, "54327654321") % 11 == 0 &&
           !all_same(t);
}

static bool pt_nif(const struct id_text *t)
{
    unsigned r = weighted(t->c, "98765432") % 11;
    return (r < 2 ? 0 : 11 - r) == (unsigned)(t->c[8] - '0') && t->c[0] != '0';
}

static bool br_cpf(const struct id_text *t)
{
    unsigned a = weighted(t->c, "A98765432") * 10 % 11 % 10;
    unsigned b = weighted(t->c, "BA98765432") * 10 % 11 % 10;
    return !all_same(t) && a == (unsigned)(t->c[9] - '0') && b == (unsigned)(t->c[10] - '0');
}

static bool in_aadhaar(const struct id_text *t)
{
    return t->c[0] >= '2' && verhoeff(t->c, 12);
}

static bool luhn_all(const struct id_text *t)
{
    return !all_same(t) && t->c[0] != '0' && guard_luhn(t->c, t->n);
}

static bool au_tfn(const struct id_text *t)
{
    return !all_same(t) && weighted(t->c, "14379586A") % 11 == 0;
}

static bool ch_ahv(const struct id_text *t)
{
    unsigned sum = weighted(t->c, "1313131313131");
    return memcmp(t->c, "756", 3) == 0 && sum % 10 == 0;
}

static bool cn_resident(const struct id_text *t)
{
    unsigned sum = weighted(t->c, "79A5842163");
    sum += weighted(t->c + 10, "79A5842");
    return day_month(t->c + 12, t->c + 10) && t->c[17] == "10X98765432"[sum % 11];
}

/* ---- the table ---- */

enum need {
    NEED_NOTHING, /* the check is strong enough */
    NEED_FORM,    /* written with its separators, or named */
    NEED_WORD     /* named nearby */
};

static const struct national {
    const char *rule;
    const char *form; /* d digit, a letter, x either; the separators of its own form */
    enum need need;
    bool (*check)(const struct id_text *t);
} nationals[] = {
    {"gb-nino", "aa dd dd dd a", NEED_NOTHING, gb_nino},
    {"gb-nhs", "ddd ddd dddd", NEED_WORD, gb_nhs},
    {"de-tax-id", "dd ddd ddd ddd", NEED_WORD, de_tax},
    {"fr-nir", "d dd dd dd ddd ddd dd", NEED_FORM, fr_nir},
    {"es-dni", "dddddddda", NEED_NOTHING, es_dni},
    {"es-nie", "addddddda", NEED_NOTHING, es_nie},
    {"it-codice-fiscale", "aaaaaaxxaxxaxxxa", NEED_NOTHING, it_fiscal},
    {"nl-bsn", "ddddddddd", NEED_WORD, nl_bsn},
    {"be-national", "dd.dd.dd-ddd.dd", NEED_FORM, be_national},
    {"pl-pesel", "ddddddddddd", NEED_WORD, pl_pesel},
    {"se-personnummer", "dddddd-dddd", NEED_FORM, se_person},
    {"fi-hetu", "dddddd-dddx", NEED_FORM, fi_hetu},
    {"dk-cpr", "dddddd-dddd", NEED_WORD, dk_cpr},
    {"no-birth-number", "dddddd ddddd", NEED_WORD, no_birth},
    {"pt-nif", "ddd ddd ddd", NEED_WORD, pt_nif},
    {"br-cpf", "ddd.ddd.ddd-dd", NEED_FORM, br_cpf},
    {"in-aadhaar", "dddd dddd dddd", NEED_WORD, in_aadhaar},
    {"ca-sin", "ddd ddd ddd", NEED_WORD, luhn_all},
    {"au-tfn", "ddd ddd ddd", NEED_WORD, au_tfn},
    {"ch-ahv", "ddd.dddd.dddd.dd", NEED_FORM, ch_ahv},
    {"cn-resident", "dddddddddddddddddx", NEED_WORD, cn_resident},
    {"us-ssn", "ddd-dd-dddd", NEED_FORM, us_ssn}, /* last: it has no check digit */
};

static size_t form_chars(const char *form)
{
    size_t n = 0;
    for (; *form != '\0'; form++) {
        n += *form == 'd' || *form == 'a' || *form == 'x' ? 1 : 0;
    }
    return n;
}

/* The first group of digits and letters at s is all of the value or its form's first group. */
static bool may_fit(size_t run, const char *form)
{
    size_t first = strcspn(form, " -./");
    return run == first || run == form_chars(form);
}

static bool fits(const struct id_text *t, const char *form)
{
    size_t i = 0;
    for (; *form != '\0'; form++) {
        if (*form != 'd' && *form != 'a' && *form != 'x') {
            continue;
        }
        if ((*form == 'd' && !guard_is_digit(t->c[i])) || (*form == 'a' && !is_letter(t->c[i]))) {
            return false;
        }
        i++;
    }
    return true;
}

static bool in_form(const struct id_text *t, const char *form)
{
    size_t n = strlen(form);
    for (size_t i = 0; i < n; i++) {
        if (form[i] == 'x' ? t->form[i] != 'd' && t->form[i] != 'a' : t->form[i] != form[i]) {
            return false;
        }
    }
    return t->end == n && t->separators > 0;
}

size_t guard_national_id(const char *text, size_t n, size_t at, const char **rule)
{
    struct id_text t;
    uint32_t near = 0;
    bool asked = false;
    char first = text[at];
    if (!guard_is_digit(first) && !is_letter((char)(first & ~32))) {
        return 0;
    }
    size_t run = 0;
    while (run < MAX_ID && at + run < n && guard_is_word(text[at + run])) {
        run++;
    }
    for (size_t i = 0; run > 0 && i < COUNT_OF(nationals); i++) {
        const struct national *one = &nationals[i];
        if (guard_is_digit(first) != (one->form[0] == 'd') || !may_fit(run, one->form) ||
            !read_id(text + at, n - at, form_chars(one->form), &t) || !fits(&t, one->form) ||
            !one->check(&t)) {
            continue;
        }
        bool formed = in_form(&t, one->form);
        if (t.separators > 0 && !formed) {
            continue;
        }
        if (one->need == NEED_NOTHING) {
            *rule = one->rule;
            return t.end;
        }
        if (!asked) {
            near = guard_context(text, n, at, at + t.end, 1u << GUARD_CONTEXT_PERSON_ID, NULL);
            asked = true;
        }
        bool named = (near & (1u << GUARD_CONTEXT_PERSON_ID)) != 0;
        if (named || (one->need == NEED_FORM && formed)) {
            *rule = one->rule;
            return t.end;
        }
    }
    return 0;
}

/* ---- VAT ids ---- */

static bool vat_de(const struct id_text *t) { return mod11_10(t->c + 2, 9); }
static bool vat_it(const struct id_text *t) { return guard_luhn(t->c + 2, 11); }
static bool vat_nl(const struct id_text *t)
{
    int sum = (int)weighted(t->c + 2, "98765432") - (t->c[10] - '0');
    return t->c[11] == 'B' && digits_only(t, 2, 11) && digits_only(t, 12, 14) && sum % 11 == 0;
}
static bool vat_be(const struct id_text *t)
{
    return 97 - number(t->c + 2, 8) % 97 == number(t->c + 10, 2);
}
static bool vat_fr(const struct id_text *t)
{
    return guard_luhn(t->c + 4, 9) &&
           (12 + 3 * (number(t->c + 4, 9) % 97)) % 97 == number(t->c + 2, 2);
}
static bool vat_at(const struct id_text *t)
{
    unsigned sum = 4;
    if (t->c[2] != 'U' || !digits_only(t, 3, 11)) {
        return false;
    }
    for (size_t i = 0; i < 7; i++) {
        unsigned d = (unsigned)(t->c[3 + i] - '0') * (i % 2 == 0 ? 1 : 2);
        sum += d > 9 ? d - 9 : d;
    }
    return (10 - sum % 10) % 10 == (unsigned)(t->c[10] - '0');
}
static bool vat_pl(const struct id_text *t)
{
    return weighted(t->c + 2, "657234567") % 11 == (unsigned)(t->c[11] - '0');
}
static bool vat_gb(const struct id_text *t)
{
    uint64_t sum = weighted(t->c + 2, "8765432") + number(t->c + 9, 2);
    return sum % 97 == 0 || (sum + 55) % 97 == 0;
}
static bool vat_dk(const struct id_text *t) { return weighted(t->c + 2, "27654321") % 11 == 0; }
static bool vat_se(const struct id_text *t)
{
    return memcmp(t->c + 12, "01", 2) == 0 && guard_luhn(t->c + 2, 10);
}
static bool vat_fi(const struct id_text *t) { return weighted(t->c + 2, "79A58421") % 11 == 0; }
static bool vat_pt(const struct id_text *t)
{
    unsigned r = weighted(t->c + 2, "98765432") % 11;
    return (r < 2 ? 0 : 11 - r) == (unsigned)(t->c[10] - '0');
}
static bool vat_lu(const struct id_text *t)
{
    return number(t->c + 2, 6) % 89 == number(t->c + 8, 2);
}

static const struct vat {
    char country[3];
    uint8_t chars;   /* with the prefix */
    bool digits;     /* all behind the prefix */
    bool (*check)(const struct id_text *t);
    const char *rule;
} vats[] = {
    {"DE", 11, true, vat_de, "vat-de"}, {"IT", 13, true, vat_it, "vat-it"},
    {"NL", 14, false, vat_nl, "vat-nl"}, {"BE", 12, true, vat_be, "vat-be"},
    {"FR", 13, true, vat_fr, "vat-fr"}, {"AT", 11, false, vat_at, "vat-at"},
    {"PL", 12, true, vat_pl, "vat-pl"}, {"GB", 11, true, vat_gb, "vat-gb"},
    {"DK", 10, true, vat_dk, "vat-dk"}, {"SE", 14, true, vat_se, "vat-se"},
    {"FI", 10, true, vat_fi, "vat-fi"}, {"PT", 11, true, vat_pt, "vat-pt"},
    {"LU", 10, true, vat_lu, "vat-lu"},
};

size_t guard_vat_id(const char *text, size_t n, size_t at, const char **rule)
{
    struct id_text t;
    const char *s = text + at;
    if (n - at < 10 || !is_letter((char)(s[0] & ~32)) || !is_letter((char)(s[1] & ~32))) {
        return 0;
    }
    for (size_t i = 0; i < COUNT_OF(vats); i++) {
        const struct vat *v = &vats[i];
        if ((s[0] & ~32) != v->country[0] || (s[1] & ~32) != v->country[1] ||
            !read_id(s, n - at, v->chars, &t) || (v->digits && !digits_only(&t, 2, t.n)) ||
            !v->check(&t)) {
            continue;
        }
        *rule = v->rule;
        return t.end;
    }
    return 0;
}

/* ---- devices ---- */

size_t guard_imei(const char *text, size_t n, size_t at)
{
    struct id_text t;
    enum guard_context nearest;
    if (!guard_is_digit(text[at]) || !read_id(text + at, n - at, 15, &t) ||
        !digits_only(&t, 0, 15) || all_same(&t) || !guard_luhn(t.c, 15)) {
        return 0;
    }
    guard_context(text, n, at, at + t.end,
                  1u << GUARD_CONTEXT_IMEI | 1u << GUARD_CONTEXT_ORDER | 1u << GUARD_CONTEXT_CARD,
                  &nearest);
    return nearest == GUARD_CONTEXT_IMEI ? t.end : 0;
}
