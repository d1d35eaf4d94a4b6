/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: certificates on Banking77. Heads trained on 8,000 messages score the 2,003 they have not
 * seen, in five folds; calibration sets are drawn from those with replacement, so that the true
 * error and coverage of every certified threshold are known exactly.
 *
 * Peers on the same scores: TRACER's rule (largest coverage whose Clopper-Pearson bound holds on
 * 70 %, kept when the point estimate holds on the other 30 %), the largest coverage whose
 * Clopper-Pearson bound holds (uncorrected), and the largest whose plain error holds (naive).
 * Prints the rows violations, stress and coverage-N, and the curve of labels in all. The exit
 * status is 1 when a row is short, 77 when the data or the embeddings are absent.
 * INHOUSE_DATA, INHOUSE_EMBEDDINGS: as bench/learn.sh. INHOUSE_BENCH_PEER=self puts ours in the
 * peer's place.
 * Options: --resamples N (1000), --repeats N of the label curve (4), --folds N (5), --dump FILE
 * (scores), --scores FILE (read them instead), --acceptor (also the learned one; minutes).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/certify/certify.h"
#include "answer/learn/learn.h"
#include "base/text/text.h"
#include "csv.h"

#define DIM 384
#define SKIP 77
#define TRAIN 8000
#define POOLS_MAX 10
#define DELTA 0.05
#define STRESS_STREAMS 20000

struct data {
    struct learn_example *ex;
    size_t n;
    struct csv csv;
    float *vectors;
};

/* What a head said of messages it had not seen. */
struct scored {
    double *score;
    double *accepted; /* the learned acceptor's score */
    bool *right;
    size_t n;
    bool has_accepted;
};

struct setup {
    int resamples, repeats, folds;
    const char *dump, *scores;
    bool acceptor, self;
};

enum method { OURS, TRACER, BOUND, NAIVE, METHODS };
static const char *const method_names[METHODS] = {"fixed sequence", "TRACER", "uncorrected bound",
                                                  "naive"};

struct tally {
    double broken[METHODS];   /* shares of resamples */
    double coverage[METHODS]; /* means */
};

/* ---- chance ---- */

static uint64_t chance;

static double draw(void)
{
    chance ^= chance >> 12;
    chance ^= chance << 25;
    chance ^= chance >> 27;
    return (double)((chance * 2685821657736338717ULL) >> 11) * 0x1p-53;
}

static void seed(uint64_t n)
{
    chance = n * 0x9e3779b97f4a7c15ULL + 1;
    for (int i = 0; i < 8; i++) {
        draw();
    }
}

static void shuffle(size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    for (size_t i = n; i-- > 1;) {
        size_t j = (size_t)(draw() * (double)(i + 1));
        size_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

/* ---- the scores ---- */

static bool read_data(struct data *d)
{
    const char *root = getenv("INHOUSE_DATA");
    const char *where = getenv("INHOUSE_EMBEDDINGS");
    char path[4096];
    size_t bytes = 0;
    snprintf(path, sizeof(path), "%s/banking77/train.csv", root == NULL ? "../shared/data" : root);
    if (!csv_read(path, &d->csv)) {
        return false;
    }
    d->n = d->csv.n;
    d->vectors = where == NULL ? NULL : (float *)(void *)csv_file(where, &bytes);
    if (d->vectors == NULL || bytes != d->n * DIM * sizeof(float)) {
        fprintf(stderr, "INHOUSE_EMBEDDINGS names no file of %zu rows of %d floats\n", d->n, DIM);
        return false;
    }
    d->ex = mem_alloc_array(d->n, sizeof(*d->ex));
    for (size_t i = 0; i < d->n; i++) {
        d->ex[i] = (struct learn_example){.text = d->csv.text[i],
                                          .text_len = strlen(d->csv.text[i]),
                                          .label = d->csv.label[i],
                                          .embedding = d->vectors + i * DIM};
    }
    return true;
}

static struct learn_head *train(const struct data *d, const size_t *order, size_t n,
                                struct learn_report *report)
{
    AUTO_FREE struct learn_example *ex = mem_alloc_array(n, sizeof(*ex));
    struct learn_options o = learn_defaults();
    struct learn_head *h = NULL;
    struct fault why;
    for (size_t i = 0; i < n; i++) {
        ex[i] = d->ex[order[i]];
    }
    if (learn_train(ex, n, &o, NULL, &h, report, &why) != FAIL_NONE) {
        fprintf(stderr, "%s\n", why.message);
        exit(1);
    }
    return h;
}

static bool predict(const struct learn_head *h, const struct learn_example *x,
                    struct learn_prediction *p)
{
    struct fault why;
    if (learn_predict(h, x->text, x->text_len, x->embedding, DIM, p, &why) != FAIL_NONE) {
        fprintf(stderr, "%s\n", why.message);
        exit(1);
    }
    return strcmp(learn_head_label(h, p->top[0].label), x->label) == 0;
}

static void scored_new(struct scored *p, size_t n)
{
    *p = (struct scored){.score = mem_alloc_array(n, sizeof(double)),
                       .accepted = mem_alloc_array(n, sizeof(double)),
                       .right = mem_alloc_array(n, sizeof(bool)), .n = n};
}

static void scored_done(struct scored *p)
{
    mem_free(p->score);
    mem_free(p->accepted);
    mem_free(p->right);
}

static void score_pool(const struct data *d, const struct learn_head *h, const size_t *order,
                       size_t n, struct scored *p)
{
    scored_new(p, n);
    for (size_t i = 0; i < n; i++) {
        struct learn_prediction got;
        p->right[i] = predict(h, &d->ex[order[i]], &got);
        p->score[i] = (double)got.confidence;
    }
}

/* ---- the learned acceptor ---- */

static void take_features(const struct learn_prediction *p, const struct learn_report *r,
                          struct certify_features *x)
{
    double rest = 1;
    double entropy = 0;
    size_t same = 0;
    for (size_t k = 0; k < p->n_top; k++) {
        double q = (double)p->top[k].p;
        rest -= q;
        entropy -= q > 0 ? q * log(q) : 0;
    }
    entropy -= rest > 1e-9 ? rest * log(rest / 60) : 0; /* over the labels that are not in top */
    for (size_t k = 0; k < p->n_nearest; k++) {
        same += p->nearest[k].label == p->top[0].label ? 1 : 0;
    }
    const struct learn_label_count *c = &r->counts[p->top[0].label];
    *x = (struct certify_features){
        .top = (double)p->confidence,
        .margin = p->n_top > 1 ? (double)(p->top[0].p - p->top[1].p) : 1,
        .entropy = entropy,
        .agreement = p->n_nearest > 0 ? (double)same / (double)p->n_nearest : 0,
        .class_error = c->predicted > 0 ? 1 - (double)c->correct / (double)c->predicted : 0.5};
}

/* Out of fold over the head's own examples: five more heads; then the head's on the pool. */
static void score_accepted(const struct data *d, const struct learn_head *h,
                           const struct learn_report *r, const size_t *train_on, size_t n,
                           const size_t *order, struct scored *p)
{
    enum { PARTS = 5 };
    AUTO_FREE struct certify_features *x = mem_alloc_array(n, sizeof(*x));
    AUTO_FREE bool *right = mem_alloc_array(n, sizeof(*right));
    AUTO_FREE size_t *others = mem_alloc_array(n, sizeof(*others));
    struct learn_prediction got;
    for (size_t part = 0; part < PARTS; part++) {
        size_t m = 0;
        for (size_t i = 0; i < n; i++) {
            if (i % PARTS != part) {
                others[m++] = train_on[i];
            }
        }
        struct learn_report inner;
        struct learn_head *head = train(d, others, m, &inner);
        for (size_t i = part; i < n; i += PARTS) {
            right[i] = predict(head, &d->ex[train_on[i]], &got);
            take_features(&got, &inner, &x[i]);
        }
        learn_report_done(&inner);
        learn_head_free(head);
    }
    struct certify_acceptor a;
    p->has_accepted = certify_acceptor_fit(x, right, n, &a);
    for (size_t i = 0; i < p->n && p->has_accepted; i++) {
        struct certify_features f;
        (void)predict(h, &d->ex[order[i]], &got);
        take_features(&got, r, &f);
        p->accepted[i] = certify_acceptor_score(&a, &f);
    }
}

static size_t make_pools(const struct data *d, const struct setup *s, struct scored *pools)
{
    AUTO_FREE size_t *order = mem_alloc_array(d->n, sizeof(*order));
    AUTO_FREE size_t *turned = mem_alloc_array(d->n, sizeof(*turned));
    seed(2026);
    shuffle(order, d->n);
    for (int f = 0; f < s->folds; f++) {
        /* The fold's part comes last; the first 8,000 of the others are learned. */
        size_t from = (size_t)f * d->n / (size_t)s->folds;
        for (size_t i = 0; i < d->n; i++) {
            turned[i] = order[(from + (d->n - TRAIN) + i) % d->n];
        }
        struct learn_report r;
        struct learn_head *h = train(d, turned, TRAIN, &r);
        score_pool(d, h, turned + TRAIN, d->n - TRAIN, &pools[f]);
        if (s->acceptor) {
            score_accepted(d, h, &r, turned, TRAIN, turned + TRAIN, &pools[f]);
        }
        size_t good = 0;
        for (size_t i = 0; i < pools[f].n; i++) {
            good += pools[f].right[i] ? 1 : 0;
        }
        printf("head %d: %.4f right of %zu it has not seen\n", f + 1,
               (double)good / (double)pools[f].n, pools[f].n);
        fflush(stdout);
        learn_report_done(&r);
        learn_head_free(h);
    }
    return (size_t)s->folds;
}

static void dump_pools(const char *path, const struct scored *pools, size_t n)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < pools[k].n; i++) {
            fprintf(f, "%zu %.9g %d %.9g\n", k, pools[k].score[i], pools[k].right[i],
                    pools[k].has_accepted ? pools[k].accepted[i] : -1);
        }
    }
    fclose(f);
}

static size_t read_pools(const char *path, struct scored *pools)
{
    FILE *f = fopen(path, "re");
    size_t n = 0, k;
    int right;
    double score, accepted;
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    while (fscanf(f, "%zu %lf %d %lf", &k, &score, &right, &accepted) == 4 && k < POOLS_MAX) {
        if (k == n) {
            scored_new(&pools[n++], 20000);
            pools[k].n = 0;
        }
        if (k >= n || pools[k].n == 20000) {
            break;
        }
        pools[k].score[pools[k].n] = score;
        pools[k].accepted[pools[k].n] = accepted;
        pools[k].has_accepted = accepted >= 0;
        pools[k].right[pools[k].n++] = right != 0;
    }
    fclose(f);
    return n;
}

/* ---- the peers' rules ---- */

struct sorted {
    double score;
    bool right;
};

static int compare_sorted(const void *a, const void *b)
{
    double x = ((const struct sorted *)a)->score;
    double y = ((const struct sorted *)b)->score;
    return (x < y) - (x > y);
}

/* The largest accepted part whose error is held: by the bound at 1 - delta, or plainly. */
static double largest(const double *score, const bool *right, size_t n, double target, bool bound)
{
    AUTO_FREE struct sorted *s = mem_alloc_array(n, sizeof(*s));
    double best = CERTIFY_NEVER;
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        s[i] = (struct sorted){score[i], right[i]};
    }
    qsort(s, n, sizeof(*s), compare_sorted);
    for (size_t i = 0; i < n; i++) {
        wrong += s[i].right ? 0 : 1;
        if (i + 1 < n && s[i + 1].score == s[i].score) {
            continue;
        }
        bool holds = bound ? certify_binomial(wrong, i + 1, target) <= DELTA
                           : (double)wrong <= target * (double)(i + 1);
        best = holds ? s[i].score : best;
    }
    return best;
}

static double tracer(const double *score, const bool *right, size_t n, double target)
{
    size_t first = n * 7 / 10;
    double t = largest(score, right, first, target, true);
    size_t accepted = 0;
    size_t wrong = 0;
    for (size_t i = first; i < n; i++) {
        accepted += score[i] >= t ? 1 : 0;
        wrong += score[i] >= t && !right[i] ? 1 : 0;
    }
    return accepted > 0 && (double)wrong <= target * (double)accepted ? t : CERTIFY_NEVER;
}

static void thresholds(const double *score, const bool *right, size_t n, double target, bool self,
                       double out[METHODS])
{
    struct certify_rule rule = {.target = target, .delta = DELTA};
    struct certify_result r;
    certify_test(score, right, n, &rule, &r);
    out[OURS] = r.threshold;
    out[TRACER] = self ? r.threshold : tracer(score, right, n, target);
    out[BOUND] = self ? r.threshold : largest(score, right, n, target, true);
    out[NAIVE] = self ? r.threshold : largest(score, right, n, target, false);
}

/* ---- resampling ---- */

/* What a threshold does to all of a pool: the share it accepts, and whether its error is over. */
static double measure(const double *score, const bool *right, size_t n, double threshold,
                      double target, bool *broken)
{
    size_t accepted = 0;
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        accepted += score[i] >= threshold ? 1 : 0;
        wrong += score[i] >= threshold && !right[i] ? 1 : 0;
    }
    *broken = (double)wrong > target * (double)accepted;
    return (double)accepted / (double)n;
}

static void resample(const struct scored *pools, size_t pools_n, const struct setup *s, size_t n,
                     double target, bool accepted, struct tally *out)
{
    AUTO_FREE double *score = mem_alloc_array(n, sizeof(*score));
    AUTO_FREE bool *right = mem_alloc_array(n, sizeof(*right));
    memset(out, 0, sizeof(*out));
    for (int run = 0; run < s->resamples; run++) {
        const struct scored *p = &pools[(size_t)run % pools_n];
        const double *from = accepted ? p->accepted : p->score;
        double t[METHODS];
        seed((uint64_t)run + 1);
        for (size_t i = 0; i < n; i++) {
            size_t at = (size_t)(draw() * (double)p->n);
            score[i] = from[at];
            right[i] = p->right[at];
        }
        thresholds(score, right, n, target, s->self, t);
        for (int m = 0; m < METHODS; m++) {
            bool broken;
            out->coverage[m] += measure(from, p->right, p->n, t[m], target, &broken) / s->resamples;
            out->broken[m] += broken ? 1.0 / s->resamples : 0;
        }
    }
}

/* A score that says nothing, and an error just over the budget: every certificate is broken. */
static void stress(size_t n, double target, bool self, struct tally *out)
{
    AUTO_FREE double *score = mem_alloc_array(n, sizeof(*score));
    AUTO_FREE bool *right = mem_alloc_array(n, sizeof(*right));
    memset(out, 0, sizeof(*out));
    for (int run = 0; run < STRESS_STREAMS; run++) {
        double t[METHODS];
        seed((uint64_t)run + 1000003);
        for (size_t i = 0; i < n; i++) {
            score[i] = draw();
            right[i] = draw() >= 1.02 * target;
        }
        thresholds(score, right, n, target, self, t);
        for (int m = 0; m < METHODS; m++) {
            out->broken[m] += t[m] <= 1 ? 1.0 / STRESS_STREAMS : 0;
        }
    }
}

/* ---- labels in all ---- */

static void curve_point(const struct data *d, size_t labels, int repeats)
{
    AUTO_FREE size_t *order = mem_alloc_array(d->n, sizeof(*order));
    double coverage[2] = {0};
    int broken[2] = {0};
    for (int run = 0; run < repeats; run++) {
        struct certify_rule rule = {.target = 0.02, .delta = DELTA};
        struct certify_result r;
        struct scored p;
        bool over;
        seed((uint64_t)run + 31);
        shuffle(order, d->n);
        /* 60 % to learn from, 40 % to certify on. */
        size_t part = labels * 6 / 10;
        struct learn_head *h = train(d, order, part, NULL);
        score_pool(d, h, order + part, d->n - part, &p);
        learn_head_free(h);
        certify_test(p.score, p.right, labels - part, &rule, &r);
        size_t rest = labels - part;
        coverage[0] += measure(p.score + rest, p.right + rest, p.n - rest, r.threshold, 0.02,
                               &over) / repeats;
        broken[0] += over;
        scored_done(&p);
        /* All of them twice: learned from, and certified on out-of-fold scores. */
        struct learn_report report;
        h = train(d, order, labels, &report);
        AUTO_FREE double *score = mem_alloc_array(report.n, sizeof(*score));
        AUTO_FREE bool *right = mem_alloc_array(report.n, sizeof(*right));
        for (size_t i = 0; i < report.n; i++) {
            score[i] = (double)report.oof[i].confidence;
            right[i] = report.oof[i].truth == report.oof[i].answered;
        }
        certify_test(score, right, report.n, &rule, &r);
        score_pool(d, h, order + labels, d->n - labels, &p);
        coverage[1] += measure(p.score, p.right, p.n, r.threshold, 0.02, &over) / repeats;
        broken[1] += over;
        scored_done(&p);
        learn_report_done(&report);
        learn_head_free(h);
    }
    printf("%5zu labels in all: 60/40 answers %.2f, broken %d of %d; out of fold (provisional) "
           "answers %.2f, broken %d of %d\n", labels, coverage[0], broken[0], repeats, coverage[1],
           broken[1], repeats);
    fflush(stdout);
}

/* ---- rows ---- */

static bool row(const char *name, double ours, double peer, double target, bool ok)
{
    printf("row %s ours %.4f peer %.4f ratio %.3f target %.2f %s\n", name, ours, peer,
           peer > 0 ? ours / peer : ours > 0 ? INFINITY : 1, target, ok ? "ok" : "short");
    return ok;
}

static void print_tally(const char *what, size_t n, double target, const struct tally *t)
{
    printf("%s, %4zu items, %.0f %%:", what, n, 100 * (1 - target));
    for (int m = 0; m < METHODS; m++) {
        printf("  %s %.3f/%.3f", method_names[m], t->coverage[m], t->broken[m]);
    }
    printf("\n");
    fflush(stdout);
}

static bool run_rows(const struct scored *pools, size_t n, const struct setup *s)
{
    static const size_t items[] = {500, 1000, 2000};
    static const double targets[] = {0.02, 0.05};
    static const double wanted[][3] = {{0.60, 0.77, 0.82}, {0.92, 0.94, 0.95}};
    struct tally cells[2][3], worst = {0}, flat = {0};
    printf("mean coverage / share of broken certificates over %d resamples\n", s->resamples);
    for (size_t k = 0; k < COUNT_OF(targets); k++) {
        for (size_t i = 0; i < COUNT_OF(items); i++) {
            struct tally t;
            resample(pools, n, s, items[i], targets[k], false, &cells[k][i]);
            print_tally("scores", items[i], targets[k], &cells[k][i]);
            if (pools[0].has_accepted) {
                resample(pools, n, s, items[i], targets[k], true, &t);
                print_tally("learned acceptor", items[i], targets[k], &t);
            }
            stress(items[i], targets[k], s->self, &t);
            print_tally("flat risk", items[i], targets[k], &t);
            for (int m = 0; m < METHODS; m++) {
                worst.broken[m] = fmax(worst.broken[m], cells[k][i].broken[m]);
                flat.broken[m] = fmax(flat.broken[m], t.broken[m]);
            }
        }
    }
    bool ok = row("violations", worst.broken[OURS], worst.broken[TRACER], 0.05,
                  worst.broken[OURS] <= 0.05);
    ok = row("stress", flat.broken[OURS], flat.broken[TRACER], 0.05, flat.broken[OURS] <= 0.05) &&
         ok;
    for (size_t k = 0; k < COUNT_OF(targets); k++) {
        for (size_t i = 0; i < COUNT_OF(items); i++) {
            char name[48];
            snprintf(name, sizeof(name), "coverage-%zu%s", items[i], k == 0 ? "" : "-at-95");
            double ours = cells[k][i].coverage[OURS];
            ok = row(name, ours, cells[k][i].coverage[TRACER], wanted[k][i],
                     ours >= wanted[k][i]) && ok;
        }
    }
    return ok;
}

static bool read_options(int argc, char **argv, struct setup *s)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        int64_t x = 0;
        if (strcmp(a, "--acceptor") == 0) {
            s->acceptor = true;
        } else if (strcmp(a, "--dump") == 0 && i + 1 < argc) {
            s->dump = argv[++i];
        } else if (strcmp(a, "--scores") == 0 && i + 1 < argc) {
            s->scores = argv[++i];
        } else if (i + 1 < argc && text_read_int(argv[++i], 0, 100000, &x) &&
                   strcmp(a, "--resamples") == 0 && x > 0) {
            s->resamples = (int)x;
        } else if (strcmp(a, "--repeats") == 0) {
            s->repeats = (int)x;
        } else if (strcmp(a, "--folds") == 0 && x >= 1 && x <= POOLS_MAX) {
            s->folds = (int)x;
        } else {
            fprintf(stderr, "%s: no such option, or it needs a number\n", a);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    const char *peer = getenv("INHOUSE_BENCH_PEER");
    struct setup s = {.resamples = 1000, .repeats = 4, .folds = 5,
                      .self = peer != NULL && strcmp(peer, "self") == 0};
    struct scored pools[POOLS_MAX];
    struct data d = {0};
    if (!read_options(argc, argv, &s)) {
        return 2;
    }
    if (s.scores == NULL && !read_data(&d)) {
        return SKIP;
    }
    size_t n = s.scores != NULL ? read_pools(s.scores, pools) : make_pools(&d, &s, pools);
    if (n == 0) {
        fprintf(stderr, "%s holds no scores\n", s.scores);
        return 2;
    }
    if (s.dump != NULL) {
        dump_pools(s.dump, pools, n);
    }
    static const size_t labels[] = {1000, 2000, 5000};
    for (size_t i = 0; i < COUNT_OF(labels) && s.scores == NULL && s.repeats > 0; i++) {
        curve_point(&d, labels[i], s.repeats);
    }
    bool ok = run_rows(pools, n, &s);
    for (size_t i = 0; i < n; i++) {
        scored_done(&pools[i]);
    }
    mem_free(d.ex);
    csv_done(&d.csv);
    mem_free(d.vectors);
    return ok ? 0 : 1;
}
