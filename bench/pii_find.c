/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: personal values found, in text that nothing was learned on.
 *
 *   pii_find PII.jsonl BANKING77.csv [PAGE.md...] [--train OUT | --shipped] [--types]
 *
 * f2: by word, a value of any type or none, F with recall counting four times (beta 2). Ten folds
 * by template: the tagger that reads a sentence saw neither it nor another of its template; how
 * much "nothing" is held back is chosen on a further fold, never on the one reported. Banking77's
 * sentences are folded alike, and so are the lines of our own pages (text of another kind that is
 * nobody's: without it the tagger takes every unknown word for a name), and the share of
 * Banking77's in which anything is found is the second half of the row. The peer is the rules
 * without the tagger (INHOUSE_BENCH_PEER=self: both). checksum-precision: cards and IBANs among
 * all, and 200,000 random order numbers of 10 to 20 digits. ms-per-1000-tokens: one thread, all
 * kinds, tagger and rules. --train writes weights learned on all of it (the shipped ones are made
 * so); --shipped reads with the shipped weights instead, which is a measure only on data they were
 * not trained on.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock/clock.h"
#include "csv.h"
#include "trust/guard/guard.h"

#define FOLDS 10
#define ROUNDS 6
#define F2_TARGET 0.80
#define CLEAN_TARGET 0.02
#define PROSE_WANTED 0.2
#define CLEAN_WANTED 0.012 /* on the fold the lead is chosen on: room for the next one */
#define TYPES_MAX 40
#define ORDERS 200000
#define PROSE_MAX 20000 /* lines of our own pages */

struct sentence {
    char *text;
    size_t n;
    struct guard_label labels[32];
    int types[32];
    size_t labels_n;
    unsigned fold;
    bool clean, prose; /* nothing personal in it; from the project's own pages, not counted */
};

static struct sentence *all;
static size_t all_n, all_room;
static char *type_names[TYPES_MAX];
static int types_n;
static double type_words[TYPES_MAX], type_found[TYPES_MAX];

static const struct {
    const char *type;
    enum guard_kind kind;
} type_kinds[] = {
    {"PERSON", GUARD_KIND_NAME}, {"STREET_ADDRESS", GUARD_KIND_ADDRESS},
    {"ZIP_CODE", GUARD_KIND_ADDRESS}, {"GPE", GUARD_KIND_PLACE},
    {"ORGANIZATION", GUARD_KIND_ORGANIZATION}, {"DATE_TIME", GUARD_KIND_DATE},
    {"AGE", GUARD_KIND_AGE}, {"NRP", GUARD_KIND_GROUP}, {"TITLE", GUARD_KIND_TITLE},
};

static int type_of(const char *name, enum guard_kind *kind)
{
    *kind = GUARD_KIND_CODE;
    for (size_t i = 0; i < COUNT_OF(type_kinds); i++) {
        *kind = strcmp(type_kinds[i].type, name) == 0 ? type_kinds[i].kind : *kind;
    }
    for (int i = 0; i < types_n; i++) {
        if (strcmp(type_names[i], name) == 0) {
            return i;
        }
    }
    type_names[types_n] = mem_dup_str(name);
    return types_n < TYPES_MAX - 1 ? types_n++ : types_n;
}

static uint32_t mixed(const char *s, uint32_t h)
{
    for (; *s != '\0'; s++) {
        h = (h ^ (unsigned char)*s) * 16777619u;
    }
    h = (h ^ (h >> 15)) * 0x2c1b3c6du;
    return h ^ (h >> 12);
}

/* ---- reading ---- */

static size_t byte_at(const char *s, size_t chars)
{
    size_t i = 0;
    for (; s[i] != '\0'; i++) {
        if ((s[i] & 0xc0) != 0x80 && chars-- == 0) {
            break;
        }
    }
    return i;
}

static void add_line(const json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "text"));
    const json_t *spans = json_object_get(o, "spans");
    char group[24];
    struct sentence *s = &all[all_n++];
    snprintf(group, sizeof(group), "t%lld",
             (long long)json_integer_value(json_object_get(o, "template_id")));
    *s = (struct sentence){.text = mem_dup_str(text), .n = strlen(text),
                           .fold = mixed(group, 2166136261u) % FOLDS};
    for (size_t i = 0; i < json_array_size(spans) && s->labels_n < COUNT_OF(s->labels); i++) {
        const json_t *one = json_array_get(spans, i);
        struct guard_label *l = &s->labels[s->labels_n];
        l->from = byte_at(text, (size_t)json_integer_value(json_array_get(one, 0)));
        l->to = byte_at(text, (size_t)json_integer_value(json_array_get(one, 1)));
        s->types[s->labels_n++] = type_of(json_string_value(json_array_get(one, 2)), &l->kind);
    }
}

/* The lines of a page of ours: nothing in them is anybody's. */
static void add_page(const char *path)
{
    size_t len;
    char *bytes = csv_file(path, &len);
    for (char *line = bytes; line != NULL && *line != '\0' && all_n < all_room;) {
        size_t n = strcspn(line, "\n");
        if (n > 20) {
            char *text = mem_dup_strn(line, n);
            all[all_n++] = (struct sentence){.text = text, .n = n, .clean = true, .prose = true,
                                             .fold = mixed(text, 2166136261u) % FOLDS};
        }
        line += n + (line[n] == '\n' ? 1 : 0);
    }
    mem_free(bytes);
}

static bool read_all(const char *pii, const char *clean)
{
    size_t len;
    char *bytes = csv_file(pii, &len);
    struct csv c;
    if (bytes == NULL || !csv_read(clean, &c)) {
        return false;
    }
    all_room = c.n + len / 20 + PROSE_MAX;
    all = mem_alloc_array(all_room, sizeof(*all));
    for (char *line = bytes, *end; *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        json_t *o = json_loadb(line, (size_t)(end - line), 0, NULL);
        if (o == NULL) {
            fprintf(stderr, "%s: no JSON\n", pii);
            return false;
        }
        add_line(o);
        json_decref(o);
    }
    for (size_t i = 0; i < c.n; i++) {
        all[all_n++] = (struct sentence){.text = c.text[i], .n = strlen(c.text[i]), .clean = true,
                                         .fold = mixed(c.text[i], 2166136261u) % FOLDS};
    }
    mem_free(bytes);
    return true;
}

/* ---- counting ---- */

struct count {
    double hit, missed, wrong; /* words */
    double clean, flagged;     /* sentences */
    double prose, prose_flagged;
};

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c & 0x80) != 0;
}

static void count_sentence(const struct sentence *s, const struct guard_scan *o, struct count *c)
{
    struct guard_findings f = {0};
    guard_scan(s->text, s->n, o, &f);
    if (s->prose) {
        bool words = false;
        for (size_t i = 0; i < f.n; i++) {
            words = words || strcmp(f.items[i].rule, "words") == 0;
        }
        c->prose++;
        c->prose_flagged += words; /* links and ids stand in our pages, and are found */
        guard_findings_done(&f);
        return;
    }
    if (s->clean) {
        c->clean++;
        c->flagged += f.n > 0;
        guard_findings_done(&f);
        return;
    }
    for (size_t at = 0; at < s->n;) {
        size_t end = at;
        while (end < s->n && is_word(s->text[end])) {
            end++;
        }
        if (end == at) {
            at++;
            continue;
        }
        int type = -1;
        bool found = false;
        for (size_t i = 0; i < s->labels_n; i++) {
            type = s->labels[i].from < end && s->labels[i].to > at ? s->types[i] : type;
        }
        for (size_t i = 0; i < f.n; i++) {
            found = found || (f.items[i].from < end && f.items[i].to > at);
        }
        c->hit += type >= 0 && found;
        c->missed += type >= 0 && !found;
        c->wrong += type < 0 && found;
        if (type >= 0) {
            type_words[type]++;
            type_found[type] += found;
        }
        at = end;
    }
    guard_findings_done(&f);
}

static double f2(const struct count *c)
{
    return c->hit > 0 ? 5 * c->hit / (5 * c->hit + 4 * c->missed + c->wrong) : 0;
}

static struct guard_tagger *learn(unsigned without, unsigned nor)
{
    struct guard_example *e = mem_alloc_array(all_n, sizeof(*e));
    size_t n = 0;
    for (size_t i = 0; i < all_n; i++) {
        const struct sentence *s = &all[i];
        if (s->fold != without && s->fold != nor) {
            e[n++] = (struct guard_example){s->text, s->n, s->labels, s->labels_n};
        }
    }
    struct guard_tagger *t = guard_tagger_train(e, n, ROUNDS, 0);
    mem_free(e);
    return t;
}

static struct count count_fold(const struct guard_scan *o, unsigned fold)
{
    struct count c = {0};
    for (size_t i = 0; i < all_n; i++) {
        if (fold == FOLDS || all[i].fold == fold) {
            count_sentence(&all[i], o, &c);
        }
    }
    return c;
}

/* The lead with the best f2 of those that flag few enough clean sentences of that fold. */
static double choose(struct guard_tagger *t, unsigned fold)
{
    double best = -1;
    double lead = 0;
    for (double l = -1; l <= 5; l += 0.25) {
        guard_tagger_set_lead(t, l);
        struct guard_scan o = {GUARD_SCAN_ALL, GUARD_TAGGED, t, NULL};
        struct count c = count_fold(&o, fold);
        if (c.flagged <= CLEAN_WANTED * c.clean &&
            c.prose_flagged <= PROSE_WANTED * c.prose && f2(&c) > best) {
            best = f2(&c);
            lead = l;
        }
    }
    guard_tagger_set_lead(t, lead);
    return lead;
}

static struct count folded(double *mean_lead)
{
    struct count sum = {0};
    *mean_lead = 0;
    memset(type_words, 0, sizeof(type_words));
    for (unsigned f = 0; f < FOLDS; f++) {
        struct guard_tagger *t = learn(f, (f + 1) % FOLDS);
        double lead = choose(t, (f + 1) % FOLDS);
        struct guard_scan o = {GUARD_SCAN_ALL, GUARD_TAGGED, t, NULL};
        double words[TYPES_MAX], found[TYPES_MAX];
        memcpy(words, type_words, sizeof(words));
        memcpy(found, type_found, sizeof(found));
        struct count c = count_fold(&o, f);
        fprintf(stderr, "fold %u: lead %.2f f2 %.3f flagged %.4f, own pages %.4f\n", f, lead,
                f2(&c), c.clean > 0 ? c.flagged / c.clean : 0,
                c.prose > 0 ? c.prose_flagged / c.prose : 0);
        sum.hit += c.hit;
        sum.missed += c.missed;
        sum.wrong += c.wrong;
        sum.clean += c.clean;
        sum.flagged += c.flagged;
        sum.prose += c.prose;
        sum.prose_flagged += c.prose_flagged;
        *mean_lead += lead / FOLDS;
        guard_tagger_free(t);
    }
    return sum;
}

/* ---- rows ---- */

static bool itself(void)
{
    const char *self = getenv("INHOUSE_BENCH_PEER");
    return self != NULL && strcmp(self, "self") == 0;
}

static bool row(const char *name, double ours, double peer, double ratio, double target, bool ok)
{
    printf("row %s ours %.4f peer %.4f ratio %.2f target %.2f %s\n", name, ours, peer, ratio,
           target, ok ? "ok" : "short");
    return ok;
}

struct checked {
    double there, found, named, right;
};

/* Cards and IBANs: found of those there, and of those named such, right ones. */
static struct checked count_checked(void)
{
    struct checked c = {0};
    struct guard_scan o = {GUARD_CHECKED, 0, NULL, NULL};
    for (size_t i = 0; i < all_n; i++) {
        const struct sentence *s = &all[i];
        struct guard_findings f = {0};
        guard_scan(s->text, s->n, &o, &f);
        c.named += (double)f.n;
        for (size_t k = 0; k < s->labels_n; k++) {
            const char *type = type_names[s->types[k]];
            bool card = strcmp(type, "CREDIT_CARD") == 0;
            bool ssn = strcmp(type, "US_SSN") == 0;
            if (!card && !ssn && strcmp(type, "IBAN_CODE") != 0) {
                continue;
            }
            enum guard_kind kind = card ? GUARD_KIND_CARD
                                        : ssn ? GUARD_KIND_NATIONAL_ID : GUARD_KIND_IBAN;
            bool got = false;
            for (size_t j = 0; j < f.n; j++) {
                got = got || (f.items[j].kind == kind && f.items[j].from < s->labels[k].to &&
                              f.items[j].to > s->labels[k].from);
            }
            c.there++;
            c.found += got;
            c.right += got;
        }
        guard_findings_done(&f);
    }
    return c;
}

static double count_orders(void)
{
    static const char *const frames[] = {
        "%s", "My order %s has not arrived", "order number: %s", "Where is parcel %s?",
        "Ticket %s is still open", "invoice %s was paid twice", "Ref. %s", "id=%s",
        "serial number %s", "Bestellung %s fehlt",
    };
    uint64_t seed = 42;
    double flagged = 0;
    struct guard_scan o = {GUARD_CHECKED, 0, NULL, NULL};
    for (int i = 0; i < ORDERS; i++) {
        char digits[24];
        char text[96];
        int len = 10 + i % 11;
        for (int k = 0; k < len; k++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            digits[k] = (char)('0' + (seed >> 40) % 10);
        }
        digits[len] = '\0';
        const char *frame = frames[(unsigned)(i / 11) % COUNT_OF(frames)];
        const char *hole = strstr(frame, "%s");
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - frame), frame, digits, hole + 2);
        struct guard_findings f = {0};
        guard_scan(text, strlen(text), &o, &f);
        flagged += f.n > 0;
        guard_findings_done(&f);
    }
    return flagged / ORDERS;
}

/* Milliseconds for 1,000 words and signs of all the sentences; the best of five. */
static double cost(uint32_t tagged)
{
    struct guard_scan o = {GUARD_SCAN_ALL, tagged, NULL, NULL};
    double tokens = 0;
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        int64_t start = clock_monotonic_us();
        for (size_t i = 0; i < all_n; i++) {
            struct guard_findings f = {0};
            guard_scan(all[i].text, all[i].n, &o, &f);
            guard_findings_done(&f);
        }
        double ms = (double)(clock_monotonic_us() - start) / 1000;
        best = ms < best ? ms : best;
    }
    for (size_t i = 0; i < all_n; i++) {
        for (size_t k = 0; k < all[i].n; k++) {
            char c = all[i].text[k];
            bool begins = is_word(c) ? k == 0 || !is_word(all[i].text[k - 1])
                                     : (unsigned char)c > ' ';
            tokens += begins;
        }
    }
    return best / tokens * 1000;
}

static int train(const char *path)
{
    double lead;
    folded(&lead);
    struct guard_tagger *t = learn(FOLDS, FOLDS);
    struct buf out;
    buf_init(&out, 1 << 20);
    guard_tagger_set_lead(t, lead);
    bool good = guard_tagger_write(t, &out);
    FILE *f = fopen(path, "wbe");
    good = good && f != NULL && fwrite(out.data, 1, out.len, f) == out.len;
    good = f != NULL && fclose(f) == 0 && good;
    printf("%zu sentences, lead %.2f: %s\n", all_n, lead, good ? path : "could not be written");
    buf_done(&out);
    guard_tagger_free(t);
    return good ? 0 : 1;
}

static bool rows(bool shipped, bool types)
{
    double lead = 0;
    struct guard_scan rules = {GUARD_SCAN_ALL, 0, NULL, NULL};
    struct guard_scan whole = {GUARD_SCAN_ALL, GUARD_TAGGED, NULL, NULL};
    struct count peer = count_fold(&rules, FOLDS);
    memset(type_words, 0, sizeof(type_words));
    memset(type_found, 0, sizeof(type_found));
    struct count ours = shipped ? count_fold(&whole, FOLDS) : folded(&lead);
    struct checked k = count_checked();
    double orders = count_orders();
    double ms = cost(GUARD_TAGGED);
    double rules_ms = itself() ? ms : cost(0);
    for (int i = 0; types && i < types_n; i++) {
        printf("%-18s %5.0f words, recall %.3f\n", type_names[i], type_words[i],
               type_words[i] > 0 ? type_found[i] / type_words[i] : 0);
    }
    double peer_f2 = itself() ? f2(&ours) : f2(&peer);
    double flagged = ours.flagged / ours.clean;
    double precision = k.right / k.named;
    double recall = k.found / k.there;
    printf("f2 %.4f (precision %.3f, recall %.3f) of %.0f words; clean sentences flagged %.4f of "
           "%.0f; rules alone f2 %.4f, flagged %.4f\n", f2(&ours),
           ours.hit / (ours.hit + ours.wrong), ours.hit / (ours.hit + ours.missed),
           ours.hit + ours.missed, flagged, ours.clean, f2(&peer), peer.flagged / peer.clean);
    printf("lines of our own pages flagged %.4f of %.0f\n",
           ours.prose > 0 ? ours.prose_flagged / ours.prose : 0, ours.prose);
    printf("checksum types: precision %.4f of %.0f named, recall %.4f of %.0f; order numbers "
           "flagged %.5f of %d\n", precision, k.named, recall, k.there, orders, ORDERS);
    bool ok = row("f2", f2(&ours), peer_f2, f2(&ours) / peer_f2, F2_TARGET,
                  f2(&ours) >= F2_TARGET && flagged <= CLEAN_TARGET);
    ok = row("checksum-precision", precision, itself() ? precision : 1, precision, 0.99,
             precision >= 0.99 && recall >= 0.97 && orders <= 0.005) && ok;
    return row("ms-per-1000-tokens", ms, rules_ms, rules_ms / ms, 1, ms < 1) && ok;
}

int main(int argc, char **argv)
{
    bool shipped = false;
    bool types = false;
    const char *out = NULL;
    if (argc < 3 || !read_all(argv[1], argv[2])) {
        fprintf(stderr, "pii_find PII.jsonl BANKING77.csv [PAGE.md...] [--train OUT | --shipped] "
                        "[--types]\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--train") == 0 && i + 1 < argc) {
            out = argv[++i];
        } else if (argv[i][0] != '-') {
            add_page(argv[i]);
        }
        shipped = shipped || strcmp(argv[i], "--shipped") == 0;
        types = types || strcmp(argv[i], "--types") == 0;
    }
    return out != NULL ? train(out) : rows(shipped, types) ? 0 : 1;
}
