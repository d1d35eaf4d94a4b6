/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reuse room alone, for bench/reuse.py. `reuse_room pairs`: lines "text<TAB>text" in, the
 * guard's verdict a line out. `reuse_room stream`: documents as JSON lines {"stream","text",
 * "fields"} in order; of each what the templates learned so far fill, as a JSON line; then its
 * fields that were not filled are confirmed and it is learned from, as the server does.
 * Owns: nothing. Threads: one. Limits: lines of 1 MiB, STREAMS streams.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/reuse/reuse.h"
#include "base/json/json.h"
#include "base/text/text.h"

#define STREAMS 32

struct stream {
    char *name;
    struct reuse_doc docs[REUSE_LEARN_DOCS]; /* newest first */
    json_t *fields[REUSE_LEARN_DOCS];
    size_t n;
    struct reuse_template *made[REUSE_TEMPLATES];
    size_t made_len;
};

static int run_pairs(void)
{
    static char line[1 << 20];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *tab = strchr(line, '\t');
        if (tab == NULL) {
            fprintf(stderr, "a line without a tab\n");
            return 1;
        }
        *tab = '\0';
        char *b = tab + 1;
        b[strcspn(b, "\n")] = '\0';
        puts(reuse_verdict_name(reuse_guard(line, strlen(line), b, strlen(b))));
    }
    return 0;
}

static struct stream *stream_of(struct stream *all, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(all[i].name, name) == 0) {
            return &all[i];
        }
    }
    ASSERT(*n < STREAMS);
    all[*n].name = mem_dup_str(name);
    return &all[(*n)++];
}

/* As reuse_stream_match does over rows: the first that fits wholly, else the nearest's reason. */
static void match(const struct stream *s, const char *text, struct arena *arena,
                  struct reuse_match *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < s->made_len && out->fit != REUSE_FIT_WHOLE; i++) {
        struct reuse_match m;
        reuse_template_match(s->made[i], text, strlen(text), arena, &m);
        if (m.fit > out->fit || (m.fit == out->fit && m.alike > out->alike)) {
            *out = m;
        }
    }
}

static void say(const struct reuse_match *m)
{
    static const char *const fits[] = {"none", "changed", "whole"};
    struct jn_writer w;
    struct buf b;
    buf_init(&b, 1 << 20);
    jn_begin(&w, &b, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "fit", fits[m->fit]);
    jn_kv_str(&w, "note", m->note);
    jn_key(&w, "fills");
    jn_array_begin(&w);
    for (size_t i = 0; i < m->n; i++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "name", m->fills[i].name);
        jn_kv_str(&w, "value", m->fills[i].value);
        jn_kv_str(&w, "transform", reuse_transform_name(m->fills[i].transform));
        jn_kv_int(&w, "at", (int64_t)m->fills[i].at);
        jn_kv_int(&w, "len", (int64_t)m->fills[i].len);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_object_end(&w);
    puts(b.data);
    buf_done(&b);
}

/* The document joins the confirmed ones with what was not filled; false when that is nothing. */
static bool keep(struct stream *s, const char *text, const json_t *fields,
                 const struct reuse_match *m)
{
    struct reuse_doc doc = {.task = text_id_new(), .len = strlen(text)};
    const char *name;
    json_t *value, *held = json_deep_copy(fields);
    json_object_foreach(held, name, value) {
        bool filled = false;
        for (size_t i = 0; i < m->n; i++) {
            filled = filled || strcmp(m->fills[i].name, name) == 0;
        }
        if (!filled && doc.n < REUSE_MAX_FIELDS) {
            doc.names[doc.n] = name;
            doc.values[doc.n++] = json_string_value(value);
        }
    }
    if (doc.n == 0 || !reuse_is_document(text, doc.len)) {
        json_decref(held);
        return false;
    }
    if (s->n == REUSE_LEARN_DOCS) {
        s->n--;
        json_decref(s->fields[s->n]);
        mem_free((void *)(uintptr_t)s->docs[s->n].text);
    }
    memmove(&s->docs[1], &s->docs[0], s->n * sizeof(s->docs[0]));
    memmove(&s->fields[1], &s->fields[0], s->n * sizeof(s->fields[0]));
    doc.text = mem_dup_str(text);
    s->docs[0] = doc;
    s->fields[0] = held;
    s->n++;
    return true;
}

static void learn(struct stream *s)
{
    for (size_t i = 0; i < s->made_len; i++) {
        reuse_template_free(s->made[i]);
    }
    s->made_len = reuse_templates_learn(s->docs, s->n, s->made, REUSE_TEMPLATES);
}

static int run_stream(void)
{
    static char line[1 << 20];
    static struct stream all[STREAMS];
    size_t n = 0;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        json_t *doc = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        const char *text = json_string_value(json_object_get(doc, "text"));
        const char *name = json_string_value(json_object_get(doc, "stream"));
        if (text == NULL || name == NULL) {
            fprintf(stderr, "a line without \"stream\" or \"text\"\n");
            return 1;
        }
        struct stream *s = stream_of(all, &n, name);
        struct arena *arena = arena_new((size_t)64 << 20);
        struct reuse_match m;
        match(s, text, arena, &m);
        say(&m);
        if (keep(s, text, json_object_get(doc, "fields"), &m)) {
            learn(s);
        }
        arena_free(arena);
        json_decref(doc);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "pairs") == 0) {
        return run_pairs();
    }
    if (argc == 2 && strcmp(argv[1], "stream") == 0) {
        return run_stream();
    }
    fprintf(stderr, "use: reuse_room pairs|stream <LINES\n");
    return 2;
}
