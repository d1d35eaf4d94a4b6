/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: what goes to a person whatever a model says. Recall of each stake and false alarms on
 * sentences that nothing was learned on (rules/stakes/held-out.txt), false alarms on
 * Banking77's messages, and the time of the longest text. The peer is the phrases without the
 * head (INHOUSE_BENCH_PEER=self: both).
 *
 *   stakes_find HELD_OUT.txt [BANKING77.csv] [--list]
 *
 * --list prints what was missed and what was taken wrongly. Exit 1: a row is short.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/route/route.h"
#include "base/clock/clock.h"
#include "csv.h"

#define REFUND_ABOVE 500.0
#define RECALL_TARGET 0.85
#define ALARM_TARGET 0.20    /* of sentences made to look like a stake */
#define ORDINARY_TARGET 0.02 /* of ordinary messages */
#define LONGEST ((size_t)256 * 1024)
#define ALL ((1u << ROUTE_STAKE_COUNT) - 1)

static bool list_all;

struct count {
    double n, found, phrases;
};

static bool row(const char *name, double ours, double peer, double target, bool at_most)
{
    const char *self = getenv("INHOUSE_BENCH_PEER");
    bool ok = at_most ? ours <= target : ours >= target;
    peer = self != NULL && strcmp(self, "self") == 0 ? ours : peer;
    printf("row %s ours %.4f peer %.4f ratio %.2f target %.2f %s\n", name, ours, peer,
           peer > 0 ? ours / peer : ours > 0 ? 99.0 : 1.0, target, ok ? "ok" : "short");
    return ok;
}

static void ask(const struct route_stakes *s, const char *text, unsigned wanted, bool is,
                struct count *c)
{
    struct route_stake_hit hits[ROUTE_STAKE_HITS];
    size_t len = strlen(text);
    size_t n = route_stakes_find(s, text, len, wanted, REFUND_ABOVE, hits);
    if (list_all && (n > 0) != is) {
        printf("%s%s%s: %s\n", is ? "missed" : "wrong ",
               n > 0 ? route_stake_name(hits[0].stake) : "",
               n > 0 && hits[0].learned ? " (head)" : "", text);
    }
    c->n++;
    c->found += n > 0;
    c->phrases += route_stakes_find_phrases(s, text, len, wanted, REFUND_ABOVE, hits) > 0;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static bool held_out(const struct route_stakes *s, const struct route_sentences *all)
{
    struct count is[ROUTE_STAKE_COUNT] = {0}, near[ROUTE_STAKE_COUNT] = {0}, none = {0},
                 alarms = {0};
    bool ok = true;
    for (size_t i = 0; i < all->n; i++) {
        const struct route_sentence *one = &all->list[i];
        bool of_none = one->stake == ROUTE_STAKE_COUNT;
        struct count *c = of_none ? &none : one->near ? &near[one->stake] : &is[one->stake];
        ask(s, one->text, of_none ? ALL : 1u << one->stake, !of_none && !one->near, c);
    }
    alarms = none;
    for (int k = 0; k < ROUTE_STAKE_COUNT; k++) {
        alarms.n += near[k].n;
        alarms.found += near[k].found;
        alarms.phrases += near[k].phrases;
        printf("%-22s recall %.3f of %.0f (phrases alone %.3f), false alarms %.3f of %.0f\n",
               route_stake_name((enum route_stake)k), share(is[k].found, is[k].n), is[k].n,
               share(is[k].phrases, is[k].n), share(near[k].found, near[k].n), near[k].n);
    }
    for (int k = 0; k < ROUTE_STAKE_COUNT; k++) {
        char name[64];
        snprintf(name, sizeof(name), "stakes-recall-%s", route_stake_name((enum route_stake)k));
        ok = row(name, share(is[k].found, is[k].n), share(is[k].phrases, is[k].n), RECALL_TARGET,
                 false) && ok;
    }
    return row("stakes-alarms-near", share(alarms.found, alarms.n),
               share(alarms.phrases, alarms.n), ALARM_TARGET, true) && ok;
}

static bool ordinary(const struct route_stakes *s, const char *path)
{
    struct csv csv = {0};
    struct count c = {0};
    if (path == NULL || !csv_read(path, &csv)) {
        printf("no Banking77: its row is left out\n");
        return true;
    }
    int64_t start = clock_monotonic_us();
    for (size_t i = 0; i < csv.n; i++) {
        ask(s, csv.text[i], ALL, false, &c);
    }
    printf("Banking77: %.0f of %.0f messages to a person, %.0f us each\n", c.found, c.n,
           (double)(clock_monotonic_us() - start) / (c.n > 0 ? c.n : 1));
    mem_free(csv.bytes);
    mem_free(csv.text);
    mem_free(csv.label);
    return row("stakes-alarms-banking77", share(c.found, c.n), share(c.phrases, c.n),
               ORDINARY_TARGET, true);
}

/* The longest text a task may have: ordinary sentences, over and over. */
static void longest(const struct route_stakes *s)
{
    static const char sentence[] = "Wo ist mein Paket, und wann kommt es bei uns an? ";
    struct route_stake_hit hits[ROUTE_STAKE_HITS];
    struct buf text;
    double least = 1e9;
    buf_init(&text, LONGEST);
    while (buf_add_str(&text, sentence)) {
    }
    for (int i = 0; i < 5; i++) {
        int64_t start = clock_monotonic_us();
        (void)route_stakes_find(s, text.data, text.len, ALL, REFUND_ABOVE, hits);
        double ms = clock_ms_since(start);
        least = ms < least ? ms : least;
    }
    printf("the longest text (256 KiB): %.1f ms\n", least);
    buf_done(&text);
}

int main(int argc, char **argv)
{
    struct route_sentences all;
    struct fault why;
    size_t len = 0;
    const char *csv = NULL;
    for (int i = 2; i < argc; i++) {
        list_all = list_all || strcmp(argv[i], "--list") == 0;
        csv = argv[i][0] != '-' ? argv[i] : csv;
    }
    char *text = argc > 1 ? csv_file(argv[1], &len) : NULL;
    if (text == NULL || route_sentences_read(text, len, argv[1], &all, &why) != FAIL_NONE) {
        fprintf(stderr, "usage: stakes_find HELD_OUT.txt [BANKING77.csv] [--list]\n");
        return 2;
    }
    struct route_stakes *s = route_stakes_new();
    longest(s);
    bool ok = ordinary(s, csv);
    ok = held_out(s, &all) && ok;
    route_stakes_free(s);
    route_sentences_done(&all);
    mem_free(text);
    return ok ? 0 : 1;
}
