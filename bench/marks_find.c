/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: marks of injection and of harm, by lists alone.
 *
 *   marks_find NOTINJECT.json... BANKING77.csv HELD_OUT.txt [--list]
 *
 * injection-harmless: share of NotInject's harmless sentences, all of which hold an attack's words,
 * that are marked. injection-clean: the same of Banking77's. injection-recall and harm-recall:
 * share of our own held-out sentences (rules/harm/held-out.txt) that are found; harm-clean:
 * Banking77's sentences taken for harm. The peer is a list of single words
 * (INHOUSE_BENCH_PEER=self: both ours). Lower is better of the shares of harmless ones. Exit 1: a
 * row is short.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "csv.h"
#include "trust/screen/screen.h"

#define HARMLESS_TARGET 0.02
#define RECALL_TARGET 0.60

static bool list_all;

struct share {
    double n, ours, peer;
};

static bool injected(const char *text)
{
    struct screen_marks m = {0};
    screen_injection(text, strlen(text), &m);
    bool found = m.n > 0;
    screen_marks_done(&m);
    return found;
}

static unsigned harmful(const char *text)
{
    struct screen_marks m = {0};
    unsigned found = screen_harmful(text, strlen(text), &m);
    screen_marks_done(&m);
    return found;
}

static bool any_word(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasestr(text, words[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static bool attack_word(const char *text)
{
    static const char *const words[] = {"ignore", "disregard", "instruction", "prompt", "system"};
    return any_word(text, words, COUNT_OF(words));
}

static bool harm_word(const char *text)
{
    static const char *const words[] = {"kill", "die", "suicide", "bomb", "weapon", "hurt"};
    return any_word(text, words, COUNT_OF(words));
}

static void count(struct share *s, const char *text, bool ours, bool peer, bool wanted)
{
    s->n++;
    s->ours += ours;
    s->peer += peer;
    if (list_all && ours != wanted) {
        printf("%s: %s\n", wanted ? "missed" : "wrong", text);
    }
}

static bool row(const char *name, const struct share *s, double target, bool at_most)
{
    const char *self = getenv("INHOUSE_BENCH_PEER");
    double ours = s->n > 0 ? s->ours / s->n : 0;
    double peer = s->n > 0 ? s->peer / s->n : 0;
    peer = self != NULL && strcmp(self, "self") == 0 ? ours : peer;
    bool ok = s->n > 0 && (at_most ? ours <= target : ours >= target);
    printf("row %s ours %.4f peer %.4f ratio %.2f target %.2f %s\n", name, ours, peer,
           peer > 0 ? ours / peer : ours > 0 ? 99.0 : 1.0, target, ok ? "ok" : "short");
    return ok;
}

static bool read_prompts(const char *path, struct share *s)
{
    json_t *all = json_load_file(path, 0, NULL);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const char *text = json_string_value(json_object_get(json_array_get(all, i), "prompt"));
        if (text != NULL) {
            count(s, text, injected(text), attack_word(text), false);
        }
    }
    bool good = json_array_size(all) > 0;
    json_decref(all);
    return good;
}

/* "[injection]" and "[self_harm]" begin sections; a line is a sentence. */
static bool read_held_out(const char *path, struct share *attack, struct share *harm)
{
    size_t len;
    char *bytes = csv_file(path, &len);
    char section[32] = "";
    if (bytes == NULL) {
        return false;
    }
    for (char *line = bytes; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        bool last = line[n] == '\0';
        line[n] = '\0';
        if (line[0] == '[') {
            snprintf(section, sizeof(section), "%.*s", (int)strcspn(line + 1, "]"), line + 1);
        } else if (n > 0 && line[0] != '#' && strcmp(section, "injection") == 0) {
            count(attack, line, injected(line), attack_word(line), true);
        } else if (n > 0 && line[0] != '#') {
            unsigned found = harmful(line);
            for (int h = 0; h < SCREEN_HARM_COUNT; h++) {
                if (strcmp(section, screen_harm_name((enum screen_harm)h)) == 0) {
                    bool ours = (found >> h & 1) != 0;
                    count(&harm[h], line, ours, harm_word(line), true);
                }
            }
        }
        line += n + (last ? 0 : 1);
    }
    mem_free(bytes);
    return true;
}

int main(int argc, char **argv)
{
    struct share harmless = {0}, clean = {0}, clean_harm = {0}, attack = {0}, all = {0};
    struct share harm[SCREEN_HARM_COUNT] = {0};
    struct csv c;
    list_all = argc > 1 && strcmp(argv[argc - 1], "--list") == 0;
    argc -= list_all ? 1 : 0;
    if (argc < 4) {
        fprintf(stderr, "marks_find NOTINJECT.json... BANKING77.csv HELD_OUT.txt [--list]\n");
        return 2;
    }
    for (int i = 1; i + 2 < argc; i++) {
        if (!read_prompts(argv[i], &harmless)) {
            return 2;
        }
    }
    if (!csv_read(argv[argc - 2], &c) || !read_held_out(argv[argc - 1], &attack, harm)) {
        return 2;
    }
    for (size_t i = 0; i < c.n; i++) {
        count(&clean, c.text[i], injected(c.text[i]), attack_word(c.text[i]), false);
        count(&clean_harm, c.text[i], harmful(c.text[i]) != 0, harm_word(c.text[i]), false);
    }
    for (int h = 0; h < SCREEN_HARM_COUNT; h++) {
        printf("%-10s recall %.2f of %.0f\n", screen_harm_name((enum screen_harm)h),
               harm[h].n > 0 ? harm[h].ours / harm[h].n : 0, harm[h].n);
        all.n += harm[h].n;
        all.ours += harm[h].ours;
        all.peer += harm[h].peer;
    }
    bool ok = row("injection-harmless", &harmless, HARMLESS_TARGET, true);
    ok = row("injection-clean", &clean, HARMLESS_TARGET, true) && ok;
    ok = row("injection-recall", &attack, RECALL_TARGET, false) && ok;
    ok = row("harm-clean", &clean_harm, HARMLESS_TARGET, true) && ok;
    ok = row("harm-recall", &all, RECALL_TARGET, false) && ok;
    csv_done(&c);
    return ok ? 0 : 1;
}
