/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs while the server is built: trains the head of stakes on the lists of rules/stakes and writes
 * it as C. Each stake's threshold is chosen on folds that the head had not seen: the least one at
 * which at most ALARMS of the ordinary sentences would go to a person.
 *
 *   route_train rules/stakes/develop.txt rules/stakes/ordinary.txt stakes_head.c
 */
#include <stdio.h>
#include <string.h>

#include "answer/learn/learn.h"
#include "answer/route/route_internal.h"

#define FOLDS 4
#define INNER_FOLDS 4
#define ALARMS 0.005
#define LEAST 0.10 /* whatever the ordinary sentences say */

static const char *label_of(const struct route_sentence *s)
{
    return s->near ? "none" : route_stake_name(s->stake);
}

/* Every FOLDS-th sentence of a heading is left out of a fold: fold FOLDS leaves out none. */
static enum fail train(const struct route_sentences *s, size_t fold, struct learn_head **out,
                       struct fault *why)
{
    struct learn_example *examples = mem_alloc_array(s->n, sizeof(*examples));
    struct learn_options o = learn_defaults();
    size_t n = 0;
    o.folds = INNER_FOLDS;
    o.min_df = 1;
    o.char_weight = 2; /* chosen out of fold: words of one stem count as one */
    for (size_t i = 0; i < s->n; i++) {
        if (i % FOLDS != fold) {
            examples[n++] = (struct learn_example){.text = s->list[i].text,
                                                   .text_len = strlen(s->list[i].text),
                                                   .label = label_of(&s->list[i])};
        }
    }
    enum fail f = learn_train(examples, n, &o, NULL, out, NULL, why);
    mem_free(examples);
    return f;
}

/* p[i][stake] for every sentence, out of fold. */
static enum fail score(const struct route_sentences *s, float (*p)[ROUTE_STAKE_COUNT],
                       struct fault *why)
{
    for (size_t fold = 0; fold < FOLDS; fold++) {
        struct learn_head *head = NULL;
        enum fail f = train(s, fold, &head, why);
        for (size_t i = fold; f == FAIL_NONE && i < s->n; i += FOLDS) {
            struct learn_prediction got;
            f = learn_predict(head, s->list[i].text, strlen(s->list[i].text), NULL, 0, &got, why);
            for (size_t k = 0; f == FAIL_NONE && k < got.n_top; k++) {
                enum route_stake stake =
                    route_stake_find(learn_head_label(head, got.top[k].label));
                if (stake != ROUTE_STAKE_COUNT) {
                    p[i][stake] = got.top[k].p;
                }
            }
        }
        learn_head_free(head);
        if (f != FAIL_NONE) {
            return f;
        }
    }
    return FAIL_NONE;
}

static double choose(const struct route_sentences *s, float (*p)[ROUTE_STAKE_COUNT], unsigned stake)
{
    double t = LEAST;
    for (; t < 0.9; t += 0.01) {
        double ordinary = 0, alarms = 0;
        for (size_t i = 0; i < s->n; i++) {
            bool is = s->list[i].stake == ROUTE_STAKE_COUNT;
            ordinary += is;
            alarms += is && p[i][stake] >= t;
        }
        if (alarms <= ALARMS * ordinary) {
            break;
        }
    }
    return t;
}

static bool write_c(const char *path, const struct buf *blob, const double *threshold)
{
    FILE *f = fopen(path, "w");
    if (f == NULL) {
        return false;
    }
    fputs("/* Made from rules/stakes/ at build time. */\n"
          "#include \"answer/route/route_internal.h\"\n\n"
          "const double route_stakes_threshold[ROUTE_STAKE_COUNT] = {",
          f);
    for (unsigned i = 0; i < ROUTE_STAKE_COUNT; i++) {
        fprintf(f, "%.2f, ", threshold[i]);
    }
    fprintf(f, "};\nconst size_t route_stakes_head_len = %zu;\n"
               "const unsigned char route_stakes_head[] = {",
            blob->len);
    for (size_t i = 0; i < blob->len; i++) {
        fprintf(f, "%s%u,", i % 32 == 0 ? "\n" : "", (unsigned char)blob->data[i]);
    }
    fputs("\n};\n", f);
    return fclose(f) == 0;
}

static bool read_file(const char *path, struct buf *out)
{
    char chunk[65536];
    size_t n;
    FILE *f = fopen(path, "r");
    while (f != NULL && (n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        (void)buf_add(out, chunk, n);
    }
    bool ok = f != NULL && !ferror(f) && !out->overflow;
    if (f != NULL) {
        (void)fclose(f);
    }
    return ok;
}

int main(int argc, char **argv)
{
    struct route_sentences s = {0};
    struct learn_head *head = NULL;
    struct fault why = {.message = "cannot read or write a file"};
    struct buf text, blob;
    double threshold[ROUTE_STAKE_COUNT];
    buf_init(&text, (size_t)4 << 20);
    buf_init(&blob, LEARN_MAX_BLOB);
    bool ok = argc == 4 && read_file(argv[1], &text) && read_file(argv[2], &text);
    ok = ok && route_sentences_read(text.data, text.len, argv[1], &s, &why) == FAIL_NONE;
    float(*p)[ROUTE_STAKE_COUNT] = mem_alloc_array(s.n + 1, sizeof(*p));
    ok = ok && score(&s, p, &why) == FAIL_NONE;
    for (unsigned i = 0; ok && i < ROUTE_STAKE_COUNT; i++) {
        threshold[i] = choose(&s, p, i);
    }
    ok = ok && train(&s, FOLDS, &head, &why) == FAIL_NONE &&
         learn_save(head, &blob, &why) == FAIL_NONE && write_c(argv[3], &blob, threshold);
    if (!ok) {
        fprintf(stderr, "route_train: %s\n", why.message);
    }
    learn_head_free(head);
    route_sentences_done(&s);
    mem_free(p);
    buf_done(&text);
    buf_done(&blob);
    return ok ? 0 : 1;
}
