/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: the learned rung alone, on Banking77 and CLINC150, one row for every figure it must hold.
 *
 * learn_rows WHAT... with WHAT among cv, few, self, scope, blind (all without any); options --draws
 * N (10), --self-draws N (3), --shots N (0: 5 and 10), --cost X, --ew X, --ww X, --cw X, --df N,
 * --light X, --folds N (inside), --seed N,
 * --no-names. learn_rows names DATA.csv prints the label names as CSV.
 * Everything a text is answered with comes from other texts than it: cv and scope are
 * cross-validations, few and self train on a drawn few of each label and answer those that were
 * set aside before (self also reads the rest, without labels). The peer of a row is the usual
 * method on the same splits: a logistic regression on the frozen embeddings, and for texts of none
 * of the labels the threshold on its largest probability.
 * INHOUSE_DATA: the data folder. INHOUSE_VECTORS: a folder of embed_csv's output: banking77.f32,
 * clinc150.f32, banking77-names.f32, clinc150-names.f32. Exit: 0, 1 a row is short, 77 no data.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/learn/learn.h"
#include "base/clock/clock.h"
#include "base/text/text.h"
#include "csv.h"

#define DIM 384
#define FORMS 3 /* of a label's name */
#define SKIP 77
#define ASIDE 40 /* of each label */
#define MAX_DRAWS 50
#define OOS "oos"

struct set {
    struct csv csv;
    float *vectors, *name_vectors;
    struct learn_example *ex;   /* of csv; label LEARN_NONE for OOS */
    struct learn_example *hint; /* of names: FORMS times all labels, in their order */
    size_t n, n_hints, labels;
};

struct setup {
    struct learn_options o;
    int draws, self_draws, shots;
    bool names, self_peer;
    bool failed;
};

/* ---- data ---- */

static char *path_of(const char *folder, const char *name, const char *end)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s%s", folder, name, end);
    return path;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The distinct labels of a file, ascending, without OOS; mem_free. */
static char **labels_of(const struct csv *c, size_t *n)
{
    char **all = mem_dup(c->label, c->n * sizeof(*all));
    size_t k = 0;
    qsort(all, c->n, sizeof(*all), compare_names);
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(all[i], OOS) != 0 && (k == 0 || strcmp(all[k - 1], all[i]) != 0)) {
            all[k++] = all[i];
        }
    }
    *n = k;
    return all;
}

/* A label's name as the product's hints spell it (answer/task/hints.c). */
static char *name_of(const char *label, size_t form)
{
    static const char *const forms[FORMS][2] = {{"", ""}, {"I have a question about ", ""},
                                                {"", "?"}};
    char words[LEARN_MAX_LABEL_LEN + 1];
    struct buf b;
    snprintf(words, sizeof(words), "%s", label);
    for (char *p = words; *p != 0; p++) {
        *p = *p == '_' || *p == '?' ? ' ' : *p;
    }
    buf_init(&b, 1024);
    buf_printf(&b, "%s%s%s", forms[form][0], text_trim(words), forms[form][1]);
    return buf_take(&b);
}

static int print_names(const char *file)
{
    struct csv c;
    size_t n;
    if (!csv_read(file, &c)) {
        return SKIP;
    }
    char **all = labels_of(&c, &n);
    printf("text,label\n");
    for (size_t i = 0; i < FORMS * n; i++) {
        char *text = name_of(all[i % n], i / n);
        printf("\"%s\",%s\n", text, all[i % n]);
        mem_free(text);
    }
    mem_free(all);
    csv_done(&c);
    return 0;
}

static float *read_vectors(const char *name, const char *end, size_t n)
{
    const char *folder = getenv("INHOUSE_VECTORS");
    size_t bytes = 0;
    if (folder == NULL) {
        fprintf(stderr, "INHOUSE_VECTORS names no folder\n");
        return NULL;
    }
    float *v = (float *)(void *)csv_file(path_of(folder, name, end), &bytes);
    if (v != NULL && bytes != n * DIM * sizeof(float)) {
        fprintf(stderr, "%s%s holds %zu bytes, not %zu rows\n", name, end, bytes, n);
        return NULL;
    }
    return v;
}

static bool read_names(struct set *s, const char *name)
{
    char **all = labels_of(&s->csv, &s->labels);
    s->n_hints = FORMS * s->labels;
    s->name_vectors = read_vectors(name, "-names.f32", s->n_hints);
    s->hint = mem_alloc_array(s->n_hints, sizeof(*s->hint));
    for (size_t i = 0; i < s->n_hints; i++) {
        char *text = name_of(all[i % s->labels], i / s->labels);
        s->hint[i] = (struct learn_example){.text = text, .text_len = strlen(text),
                                            .label = all[i % s->labels], .extra = true};
        if (s->name_vectors != NULL) {
            s->hint[i].embedding = s->name_vectors + i * DIM;
        }
    }
    mem_free(all);
    return s->name_vectors != NULL;
}

static bool read_set(struct set *s, const char *name, const char *file)
{
    const char *root = getenv("INHOUSE_DATA");
    memset(s, 0, sizeof(*s));
    if (!csv_read(path_of(root == NULL ? "../shared/data" : root, file, ""), &s->csv)) {
        return false;
    }
    s->n = s->csv.n;
    s->vectors = read_vectors(name, ".f32", s->n);
    if (s->vectors == NULL || !read_names(s, name)) {
        return false;
    }
    s->ex = mem_alloc_array(s->n, sizeof(*s->ex));
    for (size_t i = 0; i < s->n; i++) {
        bool none = strcmp(s->csv.label[i], OOS) == 0;
        s->ex[i] = (struct learn_example){.text = s->csv.text[i],
                                          .text_len = strlen(s->csv.text[i]),
                                          .label = none ? LEARN_NONE : s->csv.label[i],
                                          .embedding = s->vectors + i * DIM};
    }
    return true;
}

static void free_set(struct set *s)
{
    for (size_t i = 0; s->hint != NULL && i < s->n_hints; i++) {
        mem_free((char *)(uintptr_t)s->hint[i].text);
    }
    mem_free(s->hint);
    mem_free(s->ex);
    mem_free(s->vectors);
    mem_free(s->name_vectors);
    csv_done(&s->csv);
}

static uint64_t dice(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static void shuffle(uint32_t *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = (uint32_t)i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t j = dice(&seed) % i;
        uint32_t t = x[i - 1];
        x[i - 1] = x[j];
        x[j] = t;
    }
}

/* ---- one training, one row ---- */

struct answers {
    float *score, *none; /* none: how little it is like the known ones */
    bool *ok, *outside;
    size_t n, light, light_outside; /* answered by n-grams alone: of the labels, of none */
};

static void answers_init(struct answers *a, size_t n)
{
    a->score = mem_alloc_array(n, sizeof(*a->score));
    a->none = mem_alloc_array(n, sizeof(*a->none));
    a->ok = mem_alloc_array(n, sizeof(*a->ok));
    a->outside = mem_alloc_array(n, sizeof(*a->outside));
    a->n = a->light = a->light_outside = 0;
}

static void answers_done(struct answers *a)
{
    mem_free(a->score);
    mem_free(a->none);
    mem_free(a->ok);
    mem_free(a->outside);
}

/* The usual method: a regression on the embeddings alone. */
static struct learn_options plain(const struct setup *s)
{
    struct learn_options o = learn_defaults();
    o.plain = !s->self_peer;
    if (o.plain) {
        o.word_weight = o.char_weight = 0;
    } else {
        o = s->o;
    }
    return o;
}

/* Trains on ex and answers test; false when that is refused. */
static bool answer(const struct learn_options *o, const struct learn_example *ex, size_t n,
                   const struct learn_example *const *test, size_t n_test, struct answers *a,
                   struct learn_report *report)
{
    struct learn_head *h;
    struct learn_report r;
    struct fault why = {0};
    if (learn_train(ex, n, o, NULL, &h, &r, &why) != FAIL_NONE) {
        fprintf(stderr, "%s\n", why.message);
        return false;
    }
    for (size_t i = 0; i < n_test; i++) {
        struct learn_prediction p;
        const struct learn_example *e = test[i];
        if (learn_predict(h, e->text, e->text_len, e->embedding, DIM, &p, &why) != FAIL_NONE) {
            fprintf(stderr, "%s\n", why.message);
            return false;
        }
        a->score[a->n] = p.confidence;
        a->none[a->n] = o->plain ? 1 - p.top[0].p : p.odd;
        a->outside[a->n] = strcmp(e->label, LEARN_NONE) == 0;
        *(a->outside[a->n] ? &a->light_outside : &a->light) += p.light ? 1 : 0;
        a->ok[a->n++] = strcmp(learn_head_label(h, p.top[0].label), e->label) == 0;
    }
    if (report != NULL) {
        *report = r;
        report->oof = NULL;
        report->counts = NULL;
    }
    learn_report_done(&r);
    learn_head_free(h);
    return true;
}

static void print_light(const struct answers *a)
{
    size_t in = 0;
    for (size_t i = 0; i < a->n; i++) {
        in += a->outside[i] ? 0 : 1;
    }
    printf("  by n-grams alone: %zu of %zu texts of the labels, %zu of %zu others\n", a->light, in,
           a->light_outside, a->n - in);
}

static double share_right(const struct answers *a, size_t from)
{
    size_t right = 0;
    size_t n = 0;
    for (size_t i = from; i < a->n; i++) {
        right += !a->outside[i] && a->ok[i] ? 1 : 0;
        n += a->outside[i] ? 0 : 1;
    }
    return (double)right / (double)n;
}

/* higher: is more better? */
static void row(struct setup *s, const char *name, double ours, double peer, double target,
                bool higher)
{
    bool ok = higher ? ours >= target : ours <= target;
    s->failed = s->failed || !ok;
    printf("row %s ours %.4f peer %.4f ratio %.3f target %.4f %s\n", name, ours, peer,
           peer > 0 ? ours / peer : 0, target, ok ? "ok" : "short");
    fflush(stdout);
}

/* ---- cross-validation ---- */

/* Deals each label's examples over the folds, shuffled. */
static void deal(const struct set *d, int folds, unsigned char *part)
{
    AUTO_FREE uint32_t *order = mem_alloc_array(d->n, sizeof(*order));
    AUTO_FREE bool *dealt = mem_alloc_array(d->n, sizeof(*dealt));
    unsigned next = 0;
    shuffle(order, d->n, 5);
    for (size_t i = 0; i < d->n; i++) {
        for (size_t j = i; !dealt[order[i]] && j < d->n; j++) {
            if (strcmp(d->ex[order[j]].label, d->ex[order[i]].label) == 0 && j != i) {
                dealt[order[j]] = true;
                part[order[j]] = (unsigned char)(next++ % (unsigned)folds);
            }
        }
        if (!dealt[order[i]]) {
            part[order[i]] = (unsigned char)(next++ % (unsigned)folds);
        }
    }
}

/* outside: do examples of none of the labels teach? They are answered in any case. */
static bool cross(const struct setup *s, const struct set *d, const struct learn_options *o,
                  int folds, bool outside, struct answers *a)
{
    AUTO_FREE unsigned char *part = mem_alloc_array(d->n, 1);
    AUTO_FREE struct learn_example *ex = mem_alloc_array(d->n + d->n_hints, sizeof(*ex));
    AUTO_FREE const struct learn_example **test = mem_alloc_array(d->n, sizeof(*test));
    deal(d, folds, part);
    for (int f = 0; f < folds; f++) {
        size_t n = 0;
        size_t m = 0;
        size_t from = a->n;
        struct learn_report r;
        for (size_t i = 0; i < d->n; i++) {
            if (part[i] == f) {
                test[m++] = &d->ex[i];
            } else if (outside || strcmp(d->ex[i].label, LEARN_NONE) != 0) {
                ex[n++] = d->ex[i];
            }
        }
        for (size_t i = 0; i < d->n_hints && s->names && !o->plain; i++) {
            ex[n++] = d->hint[i];
        }
        if (!answer(o, ex, n, test, m, a, &r)) {
            return false;
        }
        printf("  fold %d%s: %.4f of %zu; inside %.4f, ece %.4f, vote %.2f, shared %.2f, %.1f s\n",
               f + 1, o->plain ? " (peer)" : "", share_right(a, from), m, r.accuracy, r.ece,
               r.vote_weight, r.shared_rate, r.train_ms / 1000);
        fflush(stdout);
    }
    return true;
}

/* Calibration of the decisions, those of none of the labels left out. */
static double ece_of(const struct answers *a)
{
    AUTO_FREE float *score = mem_alloc_array(a->n, sizeof(*score));
    AUTO_FREE bool *ok = mem_alloc_array(a->n, sizeof(*ok));
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (!a->outside[i]) {
            score[n] = a->score[i];
            ok[n++] = a->ok[i];
        }
    }
    return learn_ece(score, ok, n);
}

static bool run_cv(struct setup *s, const struct set *d)
{
    struct answers a;
    struct answers p;
    struct learn_options o = plain(s);
    answers_init(&a, d->n);
    answers_init(&p, d->n);
    printf("Banking77, %zu examples, 10-fold cross-validation\n", d->n);
    bool ok = cross(s, d, &s->o, 10, false, &a) && cross(s, d, &o, 10, false, &p);
    if (ok) {
        print_light(&a);
        row(s, "banking77-cv", share_right(&a, 0), share_right(&p, 0), 0.930, true);
        row(s, "banking77-ece", ece_of(&a), ece_of(&p), 0.007, false);
    }
    answers_done(&a);
    answers_done(&p);
    return ok;
}

/* ---- texts of none of the labels ---- */

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Share of the outside texts refused when `share` of the others are. */
static double recall_at(const struct answers *a, double share)
{
    AUTO_FREE float *known = mem_alloc_array(a->n, sizeof(*known));
    size_t n = 0;
    size_t out = 0;
    size_t found = 0;
    for (size_t i = 0; i < a->n; i++) {
        if (!a->outside[i]) {
            known[n++] = a->none[i];
        }
    }
    qsort(known, n, sizeof(*known), falling);
    float edge = known[(size_t)(share * (double)n)];
    for (size_t i = 0; i < a->n; i++) {
        out += a->outside[i] ? 1 : 0;
        found += a->outside[i] && a->none[i] > edge ? 1 : 0;
    }
    return (double)found / (double)out;
}

static bool run_scope(struct setup *s, const struct set *d, bool with)
{
    static const double shares[3] = {0.01, 0.03, 0.05};
    static const double targets[2][3] = {{0.62, 0.81, 0.88}, {0.74, 0.87, 0.92}};
    struct answers a;
    struct answers p;
    struct learn_options o = plain(s);
    answers_init(&a, d->n);
    answers_init(&p, d->n);
    printf("CLINC150, %zu examples, 10-fold cross-validation, %s examples of none of the labels\n",
           d->n, with ? "with" : "without");
    bool ok = cross(s, d, &s->o, 10, with, &a) && cross(s, d, &o, 10, false, &p);
    print_light(&a);
    if (ok && with) {
        row(s, "clinc-scope", share_right(&a, 0), share_right(&p, 0), 0.955, true);
        row(s, "clinc-ece", ece_of(&a), ece_of(&p), 0.007, false);
    }
    for (int i = 0; ok && i < 3; i++) {
        char name[32];
        snprintf(name, sizeof(name), "oos%s-%.0f", with ? "" : "-blind", 100 * shares[i]);
        row(s, name, recall_at(&a, shares[i]), recall_at(&p, shares[i]), targets[with][i], true);
    }
    answers_done(&a);
    answers_done(&p);
    return ok;
}

/* ---- a few of each label ---- */

static size_t label_at(const struct set *d, const struct learn_example *e)
{
    size_t k = 0;
    while (strcmp(d->hint[k].label, e->label) != 0) {
        k++;
    }
    return k;
}

/* Sets 40 of each label aside, as the public test split has them (at most half of a label), and
   draws `shots` of each outside that part; the rest outside it is traffic. */
static size_t draw(const struct set *d, size_t shots, uint64_t seed, bool traffic,
                   struct learn_example *ex, const struct learn_example **test, size_t *n_test)
{
    AUTO_FREE uint32_t *order = mem_alloc_array(d->n, sizeof(*order));
    AUTO_FREE size_t *taken = mem_alloc_array(d->labels, sizeof(*taken));
    AUTO_FREE size_t *aside = mem_alloc_array(d->labels, sizeof(*aside));
    size_t n = 0;
    shuffle(order, d->n, seed);
    *n_test = 0;
    for (size_t i = 0; i < d->n; i++) {
        aside[label_at(d, &d->ex[i])]++;
    }
    for (size_t k = 0; k < d->labels; k++) {
        aside[k] = aside[k] / 2 < ASIDE ? aside[k] / 2 : ASIDE;
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct learn_example *e = &d->ex[order[i]];
        size_t k = label_at(d, e);
        if (aside[k] > 0) {
            aside[k]--;
            test[(*n_test)++] = e;
            continue;
        }
        ex[n] = *e;
        if (taken[k] < shots) {
            taken[k]++;
            n++;
        } else if (traffic) {
            ex[n++].label = NULL;
        }
    }
    return n;
}

static void mean_of(const double *x, size_t n, double *mean, double *spread)
{
    double square = 0;
    *mean = 0;
    for (size_t i = 0; i < n; i++) {
        *mean += x[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        square += (x[i] - *mean) * (x[i] - *mean);
    }
    *spread = n < 2 ? 0 : sqrt(square / (double)(n - 1));
}

static bool run_few(struct setup *s, const struct set *d, size_t shots, bool traffic, double target)
{
    double ours[MAX_DRAWS] = {0};
    double peer[MAX_DRAWS] = {0};
    double spread;
    double peer_mean;
    double mean;
    size_t draws = (size_t)(traffic ? s->self_draws : s->draws);
    struct learn_options o = plain(s);
    AUTO_FREE struct learn_example *ex = mem_alloc_array(d->n + d->n_hints, sizeof(*ex));
    AUTO_FREE const struct learn_example **test = mem_alloc_array(d->n, sizeof(*test));
    printf("%zu of each label, %d of each set aside, %zu draws%s\n", shots, ASIDE, draws,
           traffic ? ", the rest as unlabelled traffic" : "");
    for (size_t r = 0; r < draws; r++) {
        struct answers a;
        size_t m;
        size_t n = draw(d, shots, 1000 + r, traffic, ex, test, &m);
        struct learn_report report = {0};
        for (size_t i = 0; i < d->n_hints && s->names; i++) {
            ex[n++] = d->hint[i];
        }
        answers_init(&a, 2 * m);
        bool ok = answer(&s->o, ex, n, test, m, &a, &report);
        ours[r] = share_right(&a, 0);
        a.n = 0;
        n = draw(d, shots, 1000 + r, false, ex, test, &m);
        ok = ok && answer(&o, ex, n, test, m, &a, NULL);
        peer[r] = share_right(&a, 0);
        answers_done(&a);
        if (!ok) {
            return false;
        }
        printf("  draw %zu: %.4f, peer %.4f; inside %.4f, vote %.2f, shared %.2f, %.1f s\n", r + 1,
               ours[r], peer[r], report.accuracy, report.vote_weight, report.shared_rate,
               report.train_ms / 1000);
        fflush(stdout);
    }
    char name[32];
    mean_of(peer, draws, &peer_mean, &spread);
    mean_of(ours, draws, &mean, &spread);
    printf("  mean %.4f, standard deviation %.4f\n", mean, spread);
    snprintf(name, sizeof(name), "%s-%zu", traffic ? "self" : "few", shots);
    row(s, name, mean, peer_mean, target, true);
    return true;
}

/* ---- command line ---- */

static bool read_option(struct setup *s, const char *a, double x)
{
    if (strcmp(a, "--draws") == 0 && x >= 1 && x <= MAX_DRAWS) {
        s->draws = (int)x;
    } else if (strcmp(a, "--self-draws") == 0 && x >= 1 && x <= MAX_DRAWS) {
        s->self_draws = (int)x;
    } else if (strcmp(a, "--shots") == 0 && x >= 1) {
        s->shots = (int)x;
    } else if (strcmp(a, "--cost") == 0) {
        s->o.cost = x;
    } else if (strcmp(a, "--ew") == 0) {
        s->o.embedding_weight = x;
    } else if (strcmp(a, "--ww") == 0) {
        s->o.word_weight = x;
    } else if (strcmp(a, "--cw") == 0) {
        s->o.char_weight = x;
    } else if (strcmp(a, "--light") == 0) {
        s->o.light = x;
    } else if (strcmp(a, "--df") == 0 && x >= 1) {
        s->o.min_df = (unsigned)x;
    } else if (strcmp(a, "--folds") == 0) {
        s->o.folds = (int)x;
    } else if (strcmp(a, "--seed") == 0) {
        s->o.seed = (uint64_t)x;
    } else {
        return false;
    }
    return true;
}

enum what { CV = 1, FEW = 2, SELF = 4, SCOPE = 8, BLIND = 16, ALL = 31 };

static unsigned what_of(const char *word)
{
    static const char *const words[] = {"cv", "few", "self", "scope", "blind"};
    for (unsigned i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(word, words[i]) == 0) {
            return 1U << i;
        }
    }
    return 0;
}

static bool run_banking(struct setup *s, const struct set *d, unsigned what)
{
    static const struct {
        size_t shots;
        double few, self;
    } t[] = {{5, 0.82, 0.85}, {10, 0.865, 0.88}};
    bool ok = (what & CV) == 0 || run_cv(s, d);
    for (size_t i = 0; i < COUNT_OF(t) && ok; i++) {
        if (s->shots != 0 && s->shots != (int)t[i].shots) {
            continue;
        }
        ok = (what & FEW) == 0 || run_few(s, d, t[i].shots, false, t[i].few);
        ok = ok && ((what & SELF) == 0 || run_few(s, d, t[i].shots, true, t[i].self));
    }
    return ok;
}

int main(int argc, char **argv)
{
    const char *peer = getenv("INHOUSE_BENCH_PEER");
    struct setup s = {.o = learn_defaults(), .draws = 10, .self_draws = 3, .names = true,
                      .self_peer = peer != NULL && strcmp(peer, "self") == 0};
    struct set d = {0};
    /* as of a field whose definition names none: a light head may answer */
    s.o.target_error = 0.05;
    unsigned what = 0;
    bool ok = true;
    if (argc == 3 && strcmp(argv[1], "names") == 0) {
        return print_names(argv[2]);
    }
    for (int i = 1; i < argc; i++) {
        double x = 0;
        if (strcmp(argv[i], "--no-names") == 0) {
            s.names = false;
        } else if (what_of(argv[i]) != 0) {
            what |= what_of(argv[i]);
        } else if (i + 1 >= argc || !text_read_double(argv[i + 1], &x) ||
                   !read_option(&s, argv[i++], x)) {
            fprintf(stderr, "%s: no such option\n", argv[i]);
            return 2;
        }
    }
    what = what == 0 ? ALL : what;
    if ((what & (CV | FEW | SELF)) != 0) {
        if (!read_set(&d, "banking77", "banking77/train.csv")) {
            return SKIP;
        }
        ok = run_banking(&s, &d, what);
        free_set(&d);
    }
    if (ok && (what & (SCOPE | BLIND)) != 0) {
        if (!read_set(&d, "clinc150", "clinc150/clinc150.csv")) {
            return SKIP;
        }
        ok = (what & SCOPE) == 0 || run_scope(&s, &d, true);
        ok = ok && ((what & BLIND) == 0 || run_scope(&s, &d, false));
        free_set(&d);
    }
    return ok && !s.failed ? 0 : 1;
}
