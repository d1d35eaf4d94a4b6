/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/schema: the schema machine behind a pipe, for tests in Python. One JSON object a line in,
 * one out. {"schema", "texts", "any_order", "loose_spaces"} tells which texts it accepts;
 * {"schema", "walks", "seed"} writes so many random documents. A schema that does not compile:
 * {"code", "message"}.
 * Owns: nothing. Threads: one. Limits: a document of WALK_MAX bytes is given up.
 */
#include "run/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WALK_MAX 6000

static uint64_t random_state;

static unsigned draw(unsigned n)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return (unsigned)((z ^ (z >> 31)) % n);
}

/* A byte that may follow; closing ones the likelier the longer the text is. -1: none may. */
static int pick(struct schema_walk *walk, uint32_t state, size_t len)
{
    uint8_t list[256];
    unsigned n = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        if (schema_walk_step(walk, state, (uint8_t)byte) != 0) {
            list[n++] = (uint8_t)byte;
        }
    }
    if (n == 0) {
        return -1;
    }
    for (unsigned i = 0; i < n; i++) {
        bool closing = list[i] == '"' || list[i] == ']' || list[i] == '}';
        if (closing && draw(len > 300 ? 2 : 8) == 0) {
            return list[i];
        }
    }
    return list[draw(n)];
}

/* A document, or NULL: given up. A dead end ends the process. */
static char *walk_once(const struct schema *schema, struct schema_walk *walk)
{
    struct buf text;
    uint32_t state = schema_walk_start(walk);
    (void)schema;
    buf_init(&text, WALK_MAX);
    while (text.len < WALK_MAX - 1) {
        if (schema_walk_complete(walk, state) && (schema_walk_over(walk, state) || draw(3) == 0)) {
            return buf_take(&text);
        }
        int byte = pick(walk, state, text.len);
        if (byte < 0) {
            printf("{\"dead_end\":true}\n");
            fprintf(stderr, "dead end after %s\n", text.data);
            exit(1);
        }
        int forced = schema_walk_forced(walk, state);
        ASSERT(forced < 0 || forced == byte);
        (void)buf_add_char(&text, (char)byte);
        state = schema_walk_step(walk, state, (uint8_t)byte);
        if (schema_walk_size(walk) > SCHEMA_WALK_BYTES_MAX / 8) {
            state = schema_walk_compact(walk, state);
        }
    }
    buf_done(&text);
    return NULL;
}

static double now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static json_t *answer(const json_t *ask)
{
    struct schema *schema = NULL;
    struct fault why = {0};
    json_t *out = json_object();
    double start = now_ms();
    enum fail failed = schema_compile(json_object_get(ask, "schema"), &schema, &why);
    (void)json_object_set_new(out, "ms", json_real(now_ms() - start));
    if (failed != FAIL_NONE) {
        (void)json_object_set_new(out, "code", json_string(fail_name(failed)));
        (void)json_object_set_new(out, "message", json_string(why.message));
        return out;
    }
    struct schema_options options = {
        .any_order = json_is_true(json_object_get(ask, "any_order")),
        .loose_spaces = json_is_true(json_object_get(ask, "loose_spaces"))};
    json_t *accepts = json_array();
    json_t *texts = json_array();
    json_t *text;
    size_t i;
    json_array_foreach(json_object_get(ask, "texts"), i, text) {
        (void)json_array_append_new(
            accepts, json_boolean(schema_accepts(schema, &options, json_string_value(text),
                                                 json_string_length(text))));
    }
    random_state = (uint64_t)json_integer_value(json_object_get(ask, "seed"));
    int64_t walks = json_integer_value(json_object_get(ask, "walks"));
    struct schema_walk *walk = schema_walk_new(schema, &options);
    for (int64_t k = 0; k < walks; k++) {
        char *made = walk_once(schema, walk);
        (void)json_array_append_new(texts, made == NULL ? json_null() : json_string(made));
        mem_free(made);
        if (schema_walk_size(walk) > SCHEMA_WALK_BYTES_MAX / 8) {
            (void)schema_walk_compact(walk, schema_walk_start(walk));
        }
    }
    schema_walk_free(walk);
    (void)json_object_set_new(out, "accepts", accepts);
    (void)json_object_set_new(out, "texts", texts);
    (void)json_object_set_new(out, "bytes", json_integer((json_int_t)schema_size(schema)));
    schema_free(schema);
    return out;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    while ((n = getline(&line, &room, stdin)) > 0) {
        json_t *ask = NULL;
        struct fault why = {0};
        json_t *out;
        if (jn_parse(line, (size_t)n, "line", &ask, &why) == FAIL_NONE) {
            out = answer(ask);
        } else {
            out = json_object();
            (void)json_object_set_new(out, "code", json_string("unreadable"));
            (void)json_object_set_new(out, "message", json_string(why.message));
        }
        char *text = json_dumps(out, JSON_COMPACT);
        (void)printf("%s\n", text);
        (void)fflush(stdout);
        /* tidy: memory: jansson made it */
        free(text);
        json_decref(out);
        json_decref(ask);
    }
    /* tidy: memory: getline made it */
    free(line);
    return 0;
}
