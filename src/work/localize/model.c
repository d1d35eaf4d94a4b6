/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What models say of the strings that memory could not settle. A model translates, shown the
 * nearest pairs of memory; then it is asked to translate its answer back, without having seen the
 * source. The answer may be done only if it comes back as the source (chrF), agrees with how memory
 * translates the words it knows, is in the right language, is no copy, and passes every check.
 * Threads: the run's. Limits: strings_max asks a run, PROGRAM_ASKS_MAX at once.
 */
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "work/localize/work_internal.h"

#define CHUNK 32
#define EXAMPLES_MAX 16
#define SOURCE_MAX 2000 /* bytes: longer strings are documents, and for people */
/* Text from which its language can be told, and how sure that must be to refuse it. */
#define LANGUAGE_BYTES 24
#define LANGUAGE_SURE 0.9
/* Words of which memory must know so much before its disagreement counts. */
#define KNOWN_MIN 0.5

struct asking {
    struct work_string *string;
    size_t form;             /* of the target */
    const char *source;
    struct localize_example examples[EXAMPLES_MAX];
    size_t examples_len;
    const char *target, *back; /* what came; NULL: nothing */
    const char *model;
};

static size_t count_words(const char *s)
{
    struct token t[TOKENS_MAX];
    size_t n = localize_cut(s, t), words = 0;
    for (size_t i = 0; n != SIZE_MAX && i < n; i++) {
        words += t[i].kind == TOKEN_WORD ? 1 : 0;
    }
    return words;
}

/* ---- one ask ---- */

static const char *frame(struct work *w, const struct asking *a, const char *text, bool back)
{
    struct buf b;
    const char *from = back ? w->to_name : w->from_name, *to = back ? w->from_name : w->to_name;
    buf_init(&b, 64u * 1024);
    for (size_t i = a->examples_len; i > 0; i--) {
        const struct localize_example *e = &a->examples[i - 1];
        if (strlen(e->source) + strlen(e->target) < 600) {
            (void)buf_printf(&b, "%s: %s\n%s: %s\n\n", from, back ? e->target : e->source, to,
                             back ? e->source : e->target);
        }
    }
    (void)buf_printf(&b, "%s: %s\n%s:", from, text, to);
    const char *out = arena_dup_str(w->a, b.data);
    buf_done(&b);
    return out;
}

/* What stands in the answer: without a label, quotes around it, or what follows it. */
static const char *read_answer(struct work *w, const struct program_answer *r, const char *source,
                               const char *label)
{
    if (r->code != FAIL_NONE || r->cut || r->len == 0) {
        return NULL;
    }
    char *s = text_trim(arena_dup_strn(w->a, r->text, r->len));
    size_t n = strlen(label);
    if (strncasecmp(s, label, n) == 0 && s[n] == ':') {
        s = text_trim(s + n + 1);
    }
    if (strchr(source, '\n') == NULL) {
        s[strcspn(s, "\n")] = '\0';
    } else {
        char *end = strstr(s, "\n\n");
        if (end != NULL && strstr(source, "\n\n") == NULL) {
            *end = '\0';
        }
    }
    s = text_trim(s);
    return *s == '\0' ? NULL : localize_repair(source, s, w->a);
}

static struct program_ask make_ask(struct work *w, const char *system, const char *text,
                                   const char *source)
{
    return (struct program_ask){.kind = PROGRAM_CHAT,
                                .model = w->options->model,
                                .system = system,
                                .text = text,
                                .max_tokens = (int)(strlen(source) * 3 / 4) + 40};
}

static void ask_chunk(struct work *w, struct asking *all, size_t n, const char *there,
                      const char *back)
{
    struct program_ask asks[PROGRAM_ASKS_MAX];
    struct program_answer *answers = mem_alloc_array(PROGRAM_ASKS_MAX, sizeof(*answers));
    size_t which[PROGRAM_ASKS_MAX], k = 0;
    for (size_t i = 0; i < n; i++) {
        asks[i] = make_ask(w, there, frame(w, &all[i], all[i].source, false), all[i].source);
    }
    program_ask_many(w->run, asks, n, answers);
    for (size_t i = 0; i < n; i++) {
        all[i].target = read_answer(w, &answers[i], all[i].source, w->to_name);
        all[i].model = answers[i].model;
        if (all[i].target != NULL) {
            which[k] = i;
            asks[k] = make_ask(w, back, frame(w, &all[i], all[i].target, true), all[i].target);
            k++;
        }
    }
    if (k > 0) {
        program_ask_many(w->run, asks, k, answers);
    }
    for (size_t i = 0; i < k; i++) {
        struct asking *a = &all[which[i]];
        a->back = read_answer(w, &answers[i], a->target, w->from_name);
    }
    mem_free(answers);
}

/* ---- what came ---- */

/* 0..1, and the reason why it is not enough, NULL when it is. */
static double trust(struct work *w, const struct asking *a, const char **reason)
{
    AUTO_FREE char *said = localize_fold(a->source, strlen(a->source));
    AUTO_FREE char *back = a->back == NULL ? NULL : localize_fold(a->back, strlen(a->back));
    double known = 0, round = back == NULL ? 0 : localize_chrf(back, said) / 100;
    double fits = localize_memory_agree(w->memory, a->source, a->target, &known);
    struct check_language lang = check_language(a->target, strlen(a->target));
    AUTO_FREE char *wrote = localize_fold(a->target, strlen(a->target));
    *reason = NULL;
    if (strcmp(said, wrote) == 0) {
        *reason = "the model left it as it was";
        return round * 0.3;
    }
    if (strlen(a->target) >= LANGUAGE_BYTES && lang.reliable >= LANGUAGE_SURE &&
        strcmp(lang.code, "und") != 0 && !localize_same_language(lang.code, w->to)) {
        *reason = arena_printf(w->a, "the model answered in another language (%s)", lang.code);
        return round * 0.3;
    }
    if (round < w->options->round_trip) {
        *reason = a->back == NULL ? "it could not be translated back"
                                  : arena_printf(w->a, "translated back it says: %.200s", a->back);
        return round * 0.6;
    }
    if (known >= KNOWN_MIN && fits < w->options->agreement) {
        *reason = "its words are not those that memory uses";
        return round * 0.6;
    }
    return round * (0.7 + 0.3 * fits);
}

/* All forms of one string: [all, all + n). */
static void settle(struct work *w, struct asking *all, size_t n)
{
    struct work_string *s = all[0].string;
    size_t forms = work_forms(s);
    struct localize_offer o = {.by = LOCALIZE_BY_MODEL, .sure = true, .confidence = 1,
                               .reason = "a model's, confirmed by translating it back"};
    for (size_t i = 0; i < forms; i++) {
        /* a language with more forms than the source has gets the plural in the rest */
        const struct asking *a = &all[i < n ? i : n - 1];
        const char *reason = NULL;
        if (a->target == NULL) {
            return; /* nothing came: what was held stays */
        }
        double sure = trust(w, a, &reason);
        o.texts[o.n++] = a->target;
        o.confidence = sure < o.confidence ? sure : o.confidence;
        o.sure = o.sure && reason == NULL;
        o.reason = reason != NULL ? reason : o.reason;
    }
    if (forms > 2) {
        o.sure = false;
        o.reason = "the language has more plural forms than the source";
    }
    /* What people wrote stays as the proposal unless the model's is done. */
    struct work_string taken = *s;
    work_take(w, &taken, &o, all[0].model != NULL ? all[0].model : "model");
    if (taken.done || s->offer.by == LOCALIZE_BY_NONE || s->offer.by == LOCALIZE_BY_WORD) {
        *s = taken;
    }
}

/* ---- all of them ---- */

static bool wanted(const struct work *w, const struct work_string *s)
{
    const struct localize_unit *u = work_unit(s);
    size_t len = 0;
    for (size_t i = 0; i < u->sources_len; i++) {
        len = u->sources[i].len > len ? u->sources[i].len : len;
    }
    /* Translations that people disagree about are theirs to choose from. */
    bool disagreed = s->offer.by == LOCALIZE_BY_MEMORY && !s->offer.sure;
    return !s->done && !disagreed && len <= SOURCE_MAX &&
           (u->marks_are & LOCALIZE_ODD) == 0 && count_words(u->sources[0].text) > 0 &&
           w->options->model[0] != '\0';
}

static size_t add_asks(struct work *w, struct work_string *s, struct asking *to)
{
    const struct localize_unit *u = work_unit(s);
    size_t forms = work_forms(s), n = u->sources_len > 1 && forms > 1 ? 2 : 1;
    for (size_t i = 0; i < n; i++) {
        size_t which = u->sources_len > 1 && (i > 0 || forms == 1) ? 1 : 0;
        to[i] = (struct asking){.string = s, .form = i, .source = u->sources[which].text};
        size_t most = w->options->examples > EXAMPLES_MAX ? EXAMPLES_MAX
                                                          : (size_t)w->options->examples;
        to[i].examples_len = localize_memory_near(w->memory, to[i].source, most, to[i].examples);
    }
    return n;
}

static enum fail prompts(struct work *w, const char **there, const char **back, struct fault *why)
{
    struct program_var vars[] = {{"source", w->from_name}, {"target", w->to_name}};
    enum fail f = program_prompt(w->run, "translate", vars, COUNT_OF(vars), there, why);
    return f == FAIL_NONE ? program_prompt(w->run, "back", vars, COUNT_OF(vars), back, why) : f;
}

static void ask_all(struct work *w, const char *there, const char *back, size_t total)
{
    struct asking *all = mem_alloc_array(CHUNK + 1, sizeof(*all));
    size_t n = 0, starts[CHUNK + 1], strings = 0, i = 0;
    while (i <= w->strings_len && !program_is_cancelled(w->run)) {
        bool last = i == w->strings_len;
        if (n + 2 > CHUNK || (last && n > 0)) {
            ask_chunk(w, all, n, there, back);
            starts[strings] = n;
            for (size_t k = 0; k < strings; k++) {
                settle(w, all + starts[k], starts[k + 1] - starts[k]);
            }
            n = strings = 0;
            program_progress(w->run, 0.3 + 0.65 * (double)w->asked / (double)total, "models");
        }
        if (last) {
            break;
        }
        struct work_string *s = &w->strings[i++];
        if (!wanted(w, s)) {
            continue;
        }
        if (w->asked >= (size_t)w->options->strings_max) {
            if (s->offer.by == LOCALIZE_BY_NONE) {
                s->reason = "over the number of strings that models are asked for in a run";
            }
            continue;
        }
        starts[strings++] = n;
        n += add_asks(w, s, &all[n]);
        w->asked++;
    }
    mem_free(all);
}

enum fail work_ask_models(struct work *w, struct fault *why)
{
    const char *there, *back;
    size_t total = 0;
    for (size_t i = 0; i < w->strings_len; i++) {
        total += wanted(w, &w->strings[i]) ? 1 : 0;
    }
    if (total == 0 || w->options->strings_max == 0 ||
        !program_has_model(w->run, w->options->model)) {
        return FAIL_NONE;
    }
    enum fail f = prompts(w, &there, &back, why);
    if (f == FAIL_MODEL_UNAVAILABLE || f == FAIL_NOT_FOUND) {
        return FAIL_NONE; /* memory alone */
    }
    if (f == FAIL_NONE) {
        ask_all(w, there, back, total);
    }
    return f;
}
