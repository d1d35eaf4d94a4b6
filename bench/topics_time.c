/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: a topic head on tickets in the order of time: it learns from what was before, and is asked
 * about what came after.
 *
 * Use:  topics_time FILE.csv VECTORS.f32 HINTS.csv HINTS.f32 SPLIT...
 *       A line of FILE is text,SET|MONTH|TOPIC in the order of time. A SPLIT is
 *       NAME=TRAIN-SETS:ASK-SET:FROM:TO:BLOCKS: tickets of ASK-SET at [FROM, TO) thousandths of it
 *       are asked in BLOCKS parts, each part by a head that learned from all earlier lines of
 *       TRAIN-SETS (letters). HINTS.csv is text,topic: what the team says its topics are.
 * Prints a line a split: how many were asked, right first, right among three, right on the tenth
 * that the head was surest of, and how sure it said it was of that tenth.
 * Owns: everything it loads. Threads: one.
 */
#include <stdlib.h>

#include "answer/learn/learn.h"
#include "csv.h"

#define DIM 384
#define HINT_WEIGHT 3 /* set on the tickets before those asked about */

struct ticket {
    const char *text, *topic;
    char set, month[8];
    const float *vector;
};

struct asked {
    float confidence;
    bool first, three;
};

struct rows {
    struct ticket *items;
    size_t n;
    struct csv hints;
    const float *hint_vectors;
};

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "topics_time: %s: %s\n", what, detail);
    exit(1);
}

static void read_rows(struct csv *c, const float *vectors, struct rows *out)
{
    out->items = mem_alloc_array(c->n, sizeof(*out->items));
    out->n = c->n;
    for (size_t i = 0; i < c->n; i++) {
        struct ticket *t = &out->items[i];
        const char *topic = strrchr(c->label[i], '|');
        if (topic == NULL || topic < c->label[i] + 9) {
            die("not SET|MONTH|TOPIC", c->label[i]);
        }
        *t = (struct ticket){.text = c->text[i], .topic = topic + 1, .set = c->label[i][0],
                             .vector = vectors + i * DIM};
        memcpy(t->month, c->label[i] + 2, 7);
    }
}

/* What was before line `end`, by sets. */
static struct learn_head *teach(const struct rows *r, const char *sets, size_t end)
{
    AUTO_FREE struct learn_example *ex = mem_alloc_array(end + r->hints.n + 1, sizeof(*ex));
    struct learn_options o = learn_defaults();
    struct learn_head *head = NULL;
    struct fault why;
    size_t n = 0;
    o.target_error = 0.3;
    for (size_t i = 0; i < end; i++) {
        if (strchr(sets, r->items[i].set) != NULL) {
            ex[n++] =
                (struct learn_example){.text = r->items[i].text,
                                       .text_len = strlen(r->items[i].text),
                                       .embedding = r->items[i].vector,
                                       .label = r->items[i].topic};
        }
    }
    size_t tickets = n;
    for (size_t h = 0; h < r->hints.n; h++) {
        bool seen = false;
        for (size_t i = 0; i < tickets && !seen; i++) {
            seen = strcmp(ex[i].label, r->hints.label[h]) == 0;
        }
        if (seen) {
            ex[n++] = (struct learn_example){.text = r->hints.text[h],
                                             .text_len = strlen(r->hints.text[h]),
                                             .embedding = r->hint_vectors + h * DIM,
                                             .label = r->hints.label[h],
                                             .weight = HINT_WEIGHT, .extra = true};
        }
    }
    if (learn_train(ex, n, &o, NULL, &head, NULL, &why) != FAIL_NONE) {
        die(sets, why.message);
    }
    return head;
}

static void ask(const struct learn_head *head, const struct ticket *t, struct asked *a)
{
    struct learn_prediction p;
    struct fault why;
    if (learn_predict(head, t->text, strlen(t->text), t->vector, DIM, &p, &why) != FAIL_NONE) {
        die("ask", why.message);
    }
    *a = (struct asked){.confidence = p.confidence};
    for (size_t k = 0; k < p.n_top && k < 3; k++) {
        bool right = strcmp(learn_head_label(head, p.top[k].label), t->topic) == 0;
        a->first = a->first || (k == 0 && right);
        a->three = a->three || right;
    }
}

static int by_confidence(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    return x->confidence < y->confidence ? 1 : x->confidence > y->confidence ? -1 : 0;
}

static void report(const char *name, struct asked *a, size_t n)
{
    size_t first = 0, three = 0, tenth = 0, best = (n + 5) / 10;
    double sure = 0;
    qsort(a, n, sizeof(*a), by_confidence);
    for (size_t i = 0; i < n; i++) {
        first += a[i].first;
        three += a[i].three;
        tenth += i < best && a[i].first;
        sure += i < best ? (double)a[i].confidence : 0;
    }
    printf("split %s asked %zu first %zu three %zu tenth %zu of %zu sure %.3f\n", name, n, first,
           three, tenth, best, best > 0 ? sure / (double)best : 0);
    fflush(stdout);
}

/* NAME=TRAIN:ASK:FROM:TO:BLOCKS */
static void run_split(const struct rows *r, const char *spec)
{
    char name[64], train[16], set;
    unsigned from, to, blocks;
    if (sscanf(spec, "%63[^=]=%15[^:]:%c:%u:%u:%u", name, train, &set, &from, &to, &blocks) != 6 ||
        to > 1000 || from >= to || blocks == 0) {
        die("not a split", spec);
    }
    AUTO_FREE size_t *mine = mem_alloc_array(r->n, sizeof(*mine));
    AUTO_FREE struct asked *a = mem_alloc_array(r->n, sizeof(*a));
    size_t n = 0, got = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->items[i].set == set) {
            mine[n++] = i;
        }
    }
    size_t lo = n * from / 1000, hi = n * to / 1000;
    for (unsigned b = 0; b < blocks; b++) {
        size_t start = lo + (hi - lo) * b / blocks, end = lo + (hi - lo) * (b + 1) / blocks;
        if (start == end) {
            continue;
        }
        struct learn_head *head = teach(r, train, mine[start]);
        for (size_t i = start; i < end; i++) {
            ask(head, &r->items[mine[i]], &a[got++]);
        }
        learn_head_free(head);
    }
    report(name, a, got);
}

static char *read_floats(const char *path, size_t rows)
{
    size_t len = 0;
    char *bytes = csv_file(path, &len);
    if (bytes == NULL || len != rows * DIM * sizeof(float)) {
        die(path, "has not one row of 384 floats per line");
    }
    return bytes;
}

int main(int argc, char **argv)
{
    struct csv c;
    struct rows r = {0};
    if (argc < 6) {
        die("use", "topics_time FILE.csv VECTORS.f32 HINTS.csv HINTS.f32 SPLIT...");
    }
    if (!csv_read(argv[1], &c) || !csv_read(argv[3], &r.hints)) {
        return 1;
    }
    char *vectors = read_floats(argv[2], c.n), *hints = read_floats(argv[4], r.hints.n);
    r.hint_vectors = (const float *)(const void *)hints;
    read_rows(&c, (const float *)(const void *)vectors, &r);
    for (int i = 5; i < argc; i++) {
        run_split(&r, argv[i]);
    }
    mem_free(r.items);
    mem_free(vectors);
    mem_free(hints);
    csv_done(&c);
    csv_done(&r.hints);
    return 0;
}
