/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: the learned rung alone on Banking77, 10-fold cross-validation over the training file.
 *
 * Everything a fold is answered with (vocabulary, weights, temperature, distances) comes from the
 * other nine. Prints the rows `learn-accuracy` and `learn-ece`; the exit status is 1 when a row is
 * short, 77 when the data or the embeddings are absent.
 * INHOUSE_DATA: the data folder (default ../shared/data). INHOUSE_EMBEDDINGS: float32 rows of 384
 * in the order of banking77/train.csv.
 * Options: --folds N (10), --only N folds, --cost X, --ew X, --ww X, --cw X, --epochs N, --df N,
 * --plain (no embeddings), --seed N.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/learn/learn.h"
#include "base/clock/clock.h"
#include "base/text/text.h"
#include "csv.h"

#define DIM 384
#define SKIP 77

struct data {
    struct learn_example *ex;
    size_t n;
    struct csv csv;
    float *vectors;
};

struct setup {
    struct learn_options o;
    int folds, only;
    bool plain;
};

struct sums {
    float *score;
    bool *ok;
    size_t n, right, nearest_right;
    double train_ms, predict_us;
    size_t blob;
};

static bool read_data(struct data *d, bool plain)
{
    const char *root = getenv("INHOUSE_DATA");
    char path[4096];
    snprintf(path, sizeof(path), "%s/banking77/train.csv", root == NULL ? "../shared/data" : root);
    if (!csv_read(path, &d->csv)) {
        return false;
    }
    d->n = d->csv.n;
    const char *where = getenv("INHOUSE_EMBEDDINGS");
    size_t bytes = 0;
    if (!plain) {
        d->vectors = where == NULL ? NULL : (float *)(void *)csv_file(where, &bytes);
        if (d->vectors == NULL) {
            fprintf(stderr, "INHOUSE_EMBEDDINGS names no file of embeddings\n");
            return false;
        }
    }
    d->ex = mem_alloc_array(d->n, sizeof(*d->ex));
    for (size_t i = 0; i < d->n; i++) {
        d->ex[i].text = d->csv.text[i];
        d->ex[i].text_len = strlen(d->csv.text[i]);
        d->ex[i].label = d->csv.label[i];
    }
    if (!plain && bytes != d->n * DIM * sizeof(float)) {
        fprintf(stderr, "%s holds %zu bytes, not %zu rows of %d floats\n", where, bytes, d->n, DIM);
        return false;
    }
    for (size_t i = 0; i < d->n && !plain; i++) {
        d->ex[i].embedding = d->vectors + i * DIM;
    }
    return true;
}

/* Deals each label's examples over the folds in the order of the file. */
static void deal(const struct data *d, int folds, unsigned char *part)
{
    unsigned next = 0;
    AUTO_FREE bool *dealt = mem_alloc_array(d->n, sizeof(*dealt));
    for (size_t i = 0; i < d->n; i++) {
        for (size_t j = i; !dealt[i] && j < d->n; j++) {
            if (!dealt[j] && j != i && strcmp(d->ex[j].label, d->ex[i].label) == 0) {
                dealt[j] = true;
                part[j] = (unsigned char)(next++ % (unsigned)folds);
            }
        }
        if (!dealt[i]) {
            part[i] = (unsigned char)(next++ % (unsigned)folds);
        }
    }
}

static bool run_fold(const struct data *d, const struct setup *s, const unsigned char *part,
                     int fold, struct sums *sums)
{
    AUTO_FREE struct learn_example *ex = mem_alloc_array(d->n, sizeof(*ex));
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (part[i] != fold) {
            ex[n++] = d->ex[i];
        }
    }
    struct learn_head *h;
    struct learn_report r;
    struct fault why;
    if (learn_train(ex, n, &s->o, NULL, &h, &r, &why) != FAIL_NONE) {
        fprintf(stderr, "%s\n", why.message);
        return false;
    }
    size_t before = sums->n;
    size_t right = 0;
    int64_t start = clock_monotonic_us();
    for (size_t i = 0; i < d->n; i++) {
        struct learn_prediction p;
        if (part[i] != fold) {
            continue;
        }
        if (learn_predict(h, d->ex[i].text, d->ex[i].text_len, d->ex[i].embedding, DIM, &p, &why)
            != FAIL_NONE) {
            fprintf(stderr, "%s\n", why.message);
            return false;
        }
        bool ok = strcmp(learn_head_label(h, p.top[0].label), d->ex[i].label) == 0;
        sums->nearest_right += p.n_nearest > 0 &&
            strcmp(learn_head_label(h, p.nearest[0].label), d->ex[i].label) == 0 ? 1 : 0;
        sums->score[sums->n] = p.confidence;
        sums->ok[sums->n++] = ok;
        right += ok ? 1 : 0;
    }
    sums->predict_us += (double)(clock_monotonic_us() - start);
    sums->right += right;
    sums->train_ms += r.train_ms;
    struct buf blob;
    buf_init(&blob, LEARN_MAX_BLOB);
    if (learn_save(h, &blob, &why) == FAIL_NONE) {
        sums->blob = blob.len;
    }
    buf_done(&blob);
    printf("fold %2d: %.4f of %zu; inside: %.4f, ece %.4f (raw %.4f), temperature %.3f, vote %.3f, "
           "%.1f s\n", fold + 1, (double)right / (double)(sums->n - before), sums->n - before,
           r.accuracy, r.ece, r.ece_raw, r.temperature, r.vote_weight, r.train_ms / 1000);
    fflush(stdout);
    learn_report_done(&r);
    learn_head_free(h);
    return true;
}

static bool read_options(int argc, char **argv, struct setup *s)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        double x = 0;
        if (strcmp(a, "--plain") == 0) {
            s->plain = true;
            continue;
        }
        if (i + 1 >= argc || !text_read_double(argv[++i], &x)) {
            fprintf(stderr, "%s: no such option, or it needs a number\n", a);
            return false;
        }
        if (strcmp(a, "--folds") == 0 && x >= 2 && x <= 200) {
            s->folds = (int)x;
        } else if (strcmp(a, "--only") == 0) {
            s->only = (int)x;
        } else if (strcmp(a, "--cost") == 0) {
            s->o.cost = x;
        } else if (strcmp(a, "--ew") == 0) {
            s->o.embedding_weight = x;
        } else if (strcmp(a, "--ww") == 0) {
            s->o.word_weight = x;
        } else if (strcmp(a, "--cw") == 0) {
            s->o.char_weight = x;
        } else if (strcmp(a, "--epochs") == 0) {
            s->o.max_epochs = (int)x;
        } else if (strcmp(a, "--df") == 0 && x >= 1) {
            s->o.min_df = (unsigned)x;
        } else if (strcmp(a, "--inner") == 0) {
            s->o.folds = (int)x;
        } else if (strcmp(a, "--seed") == 0) {
            s->o.seed = (uint64_t)x;
        } else {
            fprintf(stderr, "%s: no such option\n", a);
            return false;
        }
    }
    return true;
}

static int print_rows(const struct sums *s, bool whole)
{
    double accuracy = (double)s->right / (double)s->n;
    double ece = learn_ece(s->score, s->ok, s->n);
    printf("nearest example's label right %.4f; answers %.3f at 1 %% error, %.3f at 2 %%, %.3f at "
           "5 %%\n", (double)s->nearest_right / (double)s->n,
           learn_coverage(s->score, s->ok, s->n, 0.01), learn_coverage(s->score, s->ok, s->n, 0.02),
           learn_coverage(s->score, s->ok, s->n, 0.05));
    printf("training %.1f s in all; prediction %.0f us each; head %.1f MB\n", s->train_ms / 1000,
           s->predict_us / (double)s->n, (double)s->blob / 1e6);
    bool right = accuracy >= 0.930;
    bool honest = ece <= 0.010;
    printf("row learn-accuracy ours %.4f peer 0.937 ratio %.3f target 0.930 %s\n", accuracy,
           accuracy / 0.937, right ? "ok" : "short");
    printf("row learn-ece ours %.4f peer 0.021 ratio %.3f target 0.010 %s\n", ece, ece / 0.021,
           honest ? "ok" : "short");
    return whole && right && honest ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct setup s = {.o = learn_defaults(), .folds = 10};
    struct data d = {0};
    if (!read_options(argc, argv, &s)) {
        return 2;
    }
    if (!read_data(&d, s.plain)) {
        return SKIP;
    }
    s.only = s.only < 1 || s.only > s.folds ? s.folds : s.only;
    unsigned char *part = mem_alloc_array(d.n, 1);
    struct sums sums = {.score = mem_alloc_array(d.n, sizeof(float)),
                        .ok = mem_alloc_array(d.n, sizeof(bool))};
    deal(&d, s.folds, part);
    printf("Banking77 train, %zu examples, %d-fold cross-validation\n", d.n, s.folds);
    for (int f = 0; f < s.only; f++) {
        if (!run_fold(&d, &s, part, f, &sums)) {
            return 1;
        }
    }
    int rc = print_rows(&sums, s.only == s.folds);
    mem_free(sums.score);
    mem_free(sums.ok);
    mem_free(part);
    mem_free(d.ex);
    csv_done(&d.csv);
    mem_free(d.vectors);
    return rc;
}
