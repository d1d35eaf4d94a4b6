/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench: what it costs to keep a JSON schema, per emitted token, ours and llama.cpp's grammar in
 * one run, schema by schema in turn. Usage: bench_schema_mask MODEL SUITE_FOLDER GOLDEN_FOLDER
 * ROUNDS [self].
 *
 * The texts are the valid instances of the official suite (draft 2020-12) and of our own business
 * schemas, in our spelling, cut by the model's tokenizer and fed token by token: the "model" always
 * ends up writing the instance. Its first choice at a place is the instance's token in 7 of 10
 * places, else a token drawn from a Zipf distribution over the vocabulary (ids of a byte-pair
 * vocabulary are in order of merging, so low ones are common); the draws are the same for both.
 * Counted, as thread CPU time: the check of the first choice; when it is refused, the mask over the
 * whole vocabulary (both engines do exactly this); accepting; and for ours the search for text that
 * must come. Tokens of such text are written without check. Not counted: the model, sorting logits,
 * compiling (printed apart). llama.cpp is measured on the instances that its grammar accepts.
 * Printed besides: a full mask at every place, instances accepted and invalid instances accepted.
 * Owns: nothing. Threads: one. Limits: instances of INSTANCE_TOKENS_MAX tokens.
 */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <llama.h>

#include "base/json/json.h"
#include "run/schema/schema.h"
#include "worker/mask/mask.h"
#include "worker/shim/shim.h"

#define INSTANCE_TOKENS_MAX 2048
#define MISS_PERCENT 30
#define GRAMMAR_BYTES_MAX (256u * 1024)

struct costs {
    double *at; /* microseconds per token */
    size_t n;
    size_t room;
    double sum;
};

struct tally {
    struct costs costs;
    struct costs masks;   /* a full mask at every place */
    struct costs compile; /* per schema */
    int compiled;
    int refused;
    int valid;
    int invalid;
};

static const struct llama_vocab *vocab;
static int n_vocab;
static struct masks *masks;
static struct masks *others; /* with a memory of their own */
static llama_token_data *candidates;
static struct tally ours;
static struct tally peer;
static int schemas;
static int valid_all;
static int invalid_all;

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void note(struct costs *c, double us)
{
    if (c->n == c->room) {
        c->room = c->room * 2 + 4096;
        c->at = mem_realloc(c->at, c->room * sizeof *c->at);
    }
    c->at[c->n++] = us;
    c->sum += us;
}

/* The first choice at a place: the true token, or a common one; from a hash, the same for both. */
static llama_token first_choice(llama_token truth, size_t place)
{
    uint64_t z = (uint64_t)place * 0x9e3779b97f4a7c15ull + 7;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    if (z % 100 >= MISS_PERCENT) {
        return truth;
    }
    double u = (double)(z >> 11) * 0x1.0p-53;
    return (llama_token)(exp(u * log((double)n_vocab)) - 1); /* p(id) ~ 1 / (id + 1) */
}

static int piece_of(void *self, int token, char *out, int room)
{
    (void)self;
    int n = llama_vocab_is_eog(vocab, token)
                ? 0
                : llama_token_to_piece(vocab, token, out, room, 0, false);
    return n < 0 ? 0 : n;
}

/* Ours, from what `kept` has learnt of the schema so far. Whole instances count into `costs`; with
   `always` a full mask is made at every place. */
static bool run_ours(struct masks *kept, const char *schema, const llama_token *tokens, int n,
                     size_t place, bool always, struct costs *costs)
{
    struct mask *mask = NULL;
    char forced[MASK_FORCED_MAX];
    char piece[MASK_TOKEN_BYTES_MAX];
    size_t before = costs->n;
    double sum = costs->sum;
    if (mask_open(kept, schema, &mask, NULL) != FAIL_NONE) {
        return false;
    }
    bool follows = true;
    double begin = now_us();
    size_t left = mask_forced(mask, forced);
    double us = now_us() - begin;
    for (int i = 0; i < n && follows; i++) {
        int len = piece_of(NULL, tokens[i], piece, sizeof piece);
        bool must = (size_t)len <= left && !always;
        double start = now_us();
        if (always || (!must && !mask_allows(mask, first_choice(tokens[i], place + (size_t)i)))) {
            (void)mask_tokens(mask);
        }
        us += now_us() - start;
        follows = mask_allows(mask, tokens[i]);
        start = now_us();
        if (follows) {
            mask_accept(mask, tokens[i]);
            left = must ? left - (size_t)len : mask_forced(mask, forced);
        }
        note(costs, us + now_us() - start);
        us = 0;
    }
    follows = follows && mask_complete(mask);
    mask_close(mask);
    if (!follows) { /* only whole instances count */
        costs->n = before;
        costs->sum = sum;
    }
    return follows;
}

static bool peer_allows(struct llama_sampler *grammar, llama_token token)
{
    llama_token_data one = {.id = token, .logit = 1.0f};
    llama_token_data_array list = {.data = &one, .size = 1, .selected = -1};
    return shim_grammar_apply(grammar, &list, NULL) == FAIL_NONE && !isinf(one.logit);
}

static void peer_mask(struct llama_sampler *grammar)
{
    for (int i = 0; i < n_vocab; i++) {
        candidates[i] = (llama_token_data){.id = i, .logit = 1.0f};
    }
    llama_token_data_array list = {.data = candidates, .size = (size_t)n_vocab, .selected = -1};
    (void)shim_grammar_apply(grammar, &list, NULL);
}

static bool run_peer(const char *gbnf, const llama_token *tokens, int n, size_t place, bool count)
{
    struct llama_sampler *grammar = NULL;
    struct tally *t = &peer;
    size_t before = t->costs.n;
    double sum = t->costs.sum;
    if (shim_grammar_open(vocab, gbnf, &grammar, NULL) != FAIL_NONE) {
        return false;
    }
    bool follows = true;
    for (int i = 0; i < n && follows; i++) {
        llama_token choice = first_choice(tokens[i], place + (size_t)i);
        double start = now_us();
        if (!peer_allows(grammar, choice) && count) {
            peer_mask(grammar);
        }
        double us = now_us() - start;
        follows = peer_allows(grammar, tokens[i]);
        start = now_us();
        follows = follows && shim_grammar_accept(grammar, tokens[i], NULL) == FAIL_NONE;
        us += now_us() - start;
        if (count) {
            note(&t->costs, us);
        }
    }
    follows = follows && peer_allows(grammar, llama_vocab_eos(vocab));
    shim_grammar_close(grammar);
    if (!follows && count) { /* only whole instances count */
        t->costs.n = before;
        t->costs.sum = sum;
    }
    return follows;
}

static int tokenize(const json_t *value, llama_token *out)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    char *json = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    (void)buf_add_str(&text, json);
    /* tidy: memory: jansson made it */
    free(json);
    int n = llama_tokenize(vocab, text.data, (int)text.len, out, INSTANCE_TOKENS_MAX, false, false);
    buf_done(&text);
    return n;
}

struct case_ {
    const char *schema;
    const char *gbnf;
    const json_t *value;
    bool valid;
};

static void run_instance(const struct case_ *c, bool self, bool first_round)
{
    static size_t place;
    llama_token tokens[INSTANCE_TOKENS_MAX];
    int n = tokenize(c->value, tokens);
    if (n < 1) {
        return;
    }
    struct costs none = {0};
    bool here = run_ours(masks, c->schema, tokens, n, place, false, c->valid ? &ours.costs : &none);
    bool there = false;
    if (self) {
        there = run_ours(others, c->schema, tokens, n, place, false,
                         c->valid ? &peer.costs : &none);
    } else {
        there = c->gbnf != NULL && run_peer(c->gbnf, tokens, n, place, c->valid && here);
        if (here && c->valid) {
            (void)run_ours(others, c->schema, tokens, n, place, true, &ours.masks);
        }
    }
    mem_free(none.at);
    place += (size_t)n;
    if (first_round) {
        (c->valid ? valid_all++ : invalid_all++);
        ours.valid += c->valid && here;
        ours.invalid += !c->valid && here;
        peer.valid += c->valid && there;
        peer.invalid += !c->valid && there;
    }
}

static void run_schema(const json_t *tree, const json_t *tests, bool all_valid, bool self,
                       bool first_round)
{
    /* tidy: memory: jansson made it */
    char *text = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
    struct schema *schema = NULL;
    char *gbnf = NULL;
    double start = now_us();
    bool compiled = schema_compile_text(text, strlen(text), &schema, NULL) == FAIL_NONE;
    double took = now_us() - start;
    schema_free(schema);
    bool converted = shim_schema_grammar(text, &gbnf, NULL) == FAIL_NONE &&
                     strlen(gbnf) <= GRAMMAR_BYTES_MAX;
    if (first_round) {
        schemas++;
        note(&ours.compile, took);
        ours.compiled += compiled;
        ours.refused += !compiled;
        peer.compiled += converted;
        peer.refused += !converted;
    }
    const json_t *test;
    size_t i;
    json_array_foreach(tests, i, test) {
        struct case_ c = {.schema = text,
                          .gbnf = converted && !self ? gbnf : NULL,
                          .value = all_valid ? test : json_object_get(test, "data"),
                          .valid = all_valid || json_is_true(json_object_get(test, "valid"))};
        run_instance(&c, self, first_round);
    }
    shim_free(gbnf);
    /* tidy: memory: jansson made it */
    free(text);
}

static int not_hidden(const struct dirent *entry)
{
    return strstr(entry->d_name, ".json") != NULL;
}

static bool run_folder(const char *folder, bool suite, bool self, bool first_round)
{
    struct dirent **list = NULL;
    int n = scandir(folder, &list, not_hidden, alphasort);
    for (int i = 0; i < n; i++) {
        char path[1024];
        (void)snprintf(path, sizeof path, "%s/%s", folder, list[i]->d_name);
        json_t *file = json_load_file(path, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        const json_t *group;
        size_t k;
        if (!suite) {
            run_schema(json_object_get(file, "schema"), json_object_get(file, "valid"), true, self,
                       first_round);
        }
        json_array_foreach(suite ? file : NULL, k, group) {
            run_schema(json_object_get(group, "schema"), json_object_get(group, "tests"), false,
                       self, first_round);
        }
        json_decref(file);
        /* tidy: memory: scandir made it */
        free(list[i]);
    }
    /* tidy: memory: scandir made it */
    free(list);
    return n > 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double quantile(struct costs *c, double q)
{
    if (c->n == 0) {
        return 0;
    }
    qsort(c->at, c->n, sizeof *c->at, by_size);
    return c->at[(size_t)(q * (double)(c->n - 1))];
}

static double mean(const struct costs *c)
{
    return c->n > 0 ? c->sum / (double)c->n : 0;
}

static void say(const char *name, struct tally *t)
{
    printf("%-9s schemas %d of %d, valid instances %d of %d, invalid accepted %d of %d; per token "
           "(%zu): mean %.2f us p50 %.2f p99 %.2f max %.0f\n",
           name, t->compiled, schemas, t->valid, valid_all, t->invalid, invalid_all, t->costs.n,
           mean(&t->costs), quantile(&t->costs, 0.5), quantile(&t->costs, 0.99),
           quantile(&t->costs, 1));
}

static void row(const char *name, double mine, double theirs, double target)
{
    bool ok = mine > 0 && mine <= target && ours.invalid == 0;
    printf("row %s ours %.2f peer %.2f ratio %.2f target %.0f %s\n", name, mine, theirs,
           mine > 0 ? theirs / mine : 0, target, ok ? "ok" : "short");
}

static bool load_vocabulary(const char *path)
{
    struct llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    shim_quiet();
    struct llama_model *model = llama_model_load_from_file(path, params);
    if (model == NULL) {
        return false;
    }
    vocab = llama_model_get_vocab(model);
    n_vocab = llama_vocab_n_tokens(vocab);
    candidates = mem_alloc_array((size_t)n_vocab, sizeof *candidates);
    double start = now_us();
    masks = masks_new(n_vocab, piece_of, NULL);
    others = masks_new(n_vocab, piece_of, NULL);
    printf("vocabulary of %d tokens read in %.0f ms\n", n_vocab, (now_us() - start) / 2e3);
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 5 || !load_vocabulary(argv[1])) {
        printf("usage: %s MODEL SUITE_FOLDER GOLDEN_FOLDER ROUNDS [self]\n", argv[0]);
        return 77;
    }
    bool self = argc > 5 && strcmp(argv[5], "self") == 0;
    long rounds = strtol(argv[4], NULL, 10);
    for (long i = 0; i < rounds; i++) {
        bool there = run_folder(argv[2], true, self, i == 0);
        if (!run_folder(argv[3], false, self, i == 0) || !there) {
            printf("no schemas under %s or %s\n", argv[2], argv[3]);
            return 77;
        }
    }
    say("inhouse", &ours);
    say(self ? "self" : "llama.cpp", &peer);
    printf("inhouse   a full mask at every place: mean %.2f us p50 %.2f p99 %.2f; compiling: mean "
           "%.0f us max %.0f\n",
           mean(&ours.masks), quantile(&ours.masks, 0.5), quantile(&ours.masks, 0.99),
           mean(&ours.compile), quantile(&ours.compile, 1));
    double mine = mean(&ours.costs);
    double mine99 = quantile(&ours.costs, 0.99);
    row("mask-mean", mine, mean(&peer.costs), 64);
    row("mask-p99", mine99, quantile(&peer.costs, 0.99), 533);
    return ours.invalid == 0 && mine <= 64 && mine99 <= 533 ? 0 : 1;
}
