/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one fuzz target without a fuzzing engine: every file of the corpus folder, then seeded
 * mutations of them. Usage: TARGET CORPUS-FOLDER [MUTATIONS]; else FUZZ_RUNS says how many and
 * FUZZ_SEED (a number) which. The same seed always gives the same inputs, so a failure can be run
 * again; with INHOUSE_FUZZ_LAST=FILE the input being tried is kept in that file, so that it
 * survives the crash.
 * Owns: nothing beyond the call. Threads: one. Limits: 256 corpus files of at most 64 KiB each; an
 * input that takes INPUT_S_MAX ends the run (SIGALRM).
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILES_MAX 256
#define INPUT_MAX 65536
#define MUTATIONS_DEFAULT 4000
#define INPUT_S_MAX 30

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    uint8_t *bytes;
    size_t size;
};

static struct input corpus[FILES_MAX];
static size_t corpus_count;
static uint8_t scratch[INPUT_MAX];
static uint64_t seed = 0x9e3779b97f4a7c15u;

/* xorshift64*: small, fast, and the same on every machine. */
static uint64_t next_random(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1du;
}

static int try_input(const uint8_t *bytes, size_t size)
{
    const char *last = getenv("INHOUSE_FUZZ_LAST");
    if (last) {
        FILE *f = fopen(last, "wb");
        if (f) {
            (void)fwrite(bytes, 1, size, f);
            (void)fclose(f);
        }
    }
    (void)alarm(INPUT_S_MAX);
    return LLVMFuzzerTestOneInput(bytes, size);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void read_one(const char *folder, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "rb") : NULL;
    if (!f) {
        return;
    }
    size_t size = fread(scratch, 1, sizeof(scratch), f);
    (void)fclose(f);
    uint8_t *bytes = malloc(size ? size : 1);
    if (bytes) {
        memcpy(bytes, scratch, size);
        corpus[corpus_count++] = (struct input){.bytes = bytes, .size = size};
    }
}

static void read_corpus(const char *folder)
{
    struct dirent **names = NULL;
    int count = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < count; i++) {
        if (names[i]->d_name[0] != '.' && corpus_count < FILES_MAX) {
            read_one(folder, names[i]->d_name);
        }
        free(names[i]);
    }
    free(names);
}

/* One mutation of what scratch holds: flip, set, cut, repeat, insert, or splice in another corpus
   file. Returns the new size. */
static size_t mutate(size_t size)
{
    size_t at = size ? next_random() % size : 0;
    switch (next_random() % 6) {
    case 0:
        if (size) {
            scratch[at] ^= (uint8_t)(1u << (next_random() % 8));
        }
        return size;
    case 1:
        if (size) {
            scratch[at] = (uint8_t)next_random();
        }
        return size;
    case 2:
        return at;
    case 3:
        if (size && size * 2 - at <= INPUT_MAX) {
            memmove(scratch + size, scratch + at, size - at);
            return size * 2 - at;
        }
        return size;
    case 4:
        if (size < INPUT_MAX) {
            memmove(scratch + at + 1, scratch + at, size - at);
            scratch[at] = (uint8_t)next_random();
            return size + 1;
        }
        return size;
    default: {
        const struct input *other = &corpus[next_random() % corpus_count];
        size_t room = INPUT_MAX - at;
        size_t take = other->size < room ? other->size : room;
        memcpy(scratch + at, other->bytes, take);
        return at + take > size ? at + take : size;
    }
    }
}

int main(int argc, char **argv)
{
    const char *runs = argc > 2 ? argv[2] : getenv("FUZZ_RUNS");
    const char *from_seed = getenv("FUZZ_SEED");
    long mutations = runs != NULL && runs[0] != '\0' ? strtol(runs, NULL, 10) : MUTATIONS_DEFAULT;
    seed += from_seed != NULL ? strtoull(from_seed, NULL, 10) * 0xbf58476d1ce4e5b9u : 0;
    if (argc > 1) {
        read_corpus(argv[1]);
    }
    if (corpus_count == 0) {
        fprintf(stderr, "no corpus in %s: put at least one good input there\n",
                argc > 1 ? argv[1] : "(none given)");
        return 1;
    }
    for (size_t i = 0; i < corpus_count; i++) {
        (void)try_input(corpus[i].bytes, corpus[i].size);
    }
    for (long i = 0; i < mutations; i++) {
        const struct input *from = &corpus[next_random() % corpus_count];
        size_t size = from->size;
        memcpy(scratch, from->bytes, size);
        for (uint64_t n = 1 + next_random() % 4; n > 0; n--) {
            size = mutate(size);
        }
        (void)try_input(scratch, size);
    }
    for (size_t i = 0; i < corpus_count; i++) {
        free(corpus[i].bytes);
    }
    printf("%zu corpus files and %ld mutations: no failure\n", corpus_count, mutations);
    return 0;
}
