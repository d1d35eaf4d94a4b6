/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of a team: what causes look like, who owns what, what counts as slower, flaky,
 * blocking. YAML with lines; docs/reference/qa-regression.md lists every key.
 * Owns: the compiled patterns. Threads: none; read-only once made. Limits: STEPS of a match.
 */
#include <string.h>

#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define STEPS 50000u
#define PATTERN_MAX 4096

static const struct {
    const char *name;
    unsigned bit;
} places[] = {{"message", QA_IN_MESSAGE}, {"trace", QA_IN_TRACE}, {"type", QA_IN_TYPE},
              {"output", QA_IN_OUTPUT},   {"test", QA_IN_TEST},   {"file", QA_IN_FILE}};

/* ---- a list of words ---- */

static void read_words(const struct config_node *map, const char *key, char **out, size_t room,
                       size_t *n, struct config_faults *faults)
{
    const struct config_node *list;
    if (config_node_list(map, key, false, room, &list, faults)) {
        for (size_t i = 0; i < list->count; i++) {
            if (list->items[i]->kind != CONFIG_STRING || list->items[i]->len == 0 ||
                list->items[i]->len > 400) {
                config_faults_add(faults, list->items[i]->line, key, NULL,
                                  "%s: each must be a text of at most 400 bytes", key);
            } else {
                out[(*n)++] = mem_dup_strn(list->items[i]->text, list->items[i]->len);
            }
        }
    }
}

static unsigned read_bits(const struct config_node *map, const char *key, bool states,
                          unsigned otherwise, struct config_faults *faults)
{
    const struct config_node *list;
    unsigned bits = 0;
    if (!config_node_list(map, key, false, 8, &list, faults)) {
        return otherwise;
    }
    for (size_t i = 0; i < list->count; i++) {
        unsigned bit = 0;
        const char *word = list->items[i]->text == NULL ? "" : list->items[i]->text;
        for (size_t k = 0; !states && k < COUNT_OF(places); k++) {
            bit = strcmp(word, places[k].name) == 0 ? places[k].bit : bit;
        }
        for (int s = 0; states && s < QA_STATE_COUNT; s++) {
            bit = strcmp(word, qa_state_name((enum qa_state)s)) == 0 ? 1u << s : bit;
        }
        if (bit == 0) {
            config_faults_add(faults, list->items[i]->line, key,
                              states ? "States are passed, failed, error and skipped."
                                     : "Places are message, trace, type, output, test and file.",
                              "%s: \"%.40s\" is none", key, word);
        }
        bits |= bit;
    }
    return bits;
}

/* ---- rules ---- */

static pcre2_code *compile(const char *pattern, int line, struct config_faults *faults)
{
    int code;
    PCRE2_SIZE at;
    char text[120];
    pcre2_code *made =
        pcre2_compile((PCRE2_SPTR)pattern, strlen(pattern),
                      PCRE2_UTF | PCRE2_CASELESS | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, NULL);
    if (made == NULL) {
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof(text));
        config_faults_add(faults, line, "match", "Patterns are PCRE2; capitals do not count.",
                          "the pattern does not compile: %s", text);
        return NULL;
    }
    (void)pcre2_jit_compile(made, PCRE2_JIT_COMPLETE); /* only speed */
    return made;
}

static bool read_rule(const struct config_node *map, bool owner, struct qa_rule *r,
                      struct config_faults *faults)
{
    static const char *const cause_keys[] = {"name", "cause", "match", "in", "states", NULL};
    static const char *const owner_keys[] = {"name", "owner", "match", "in", NULL};
    const char *name = "", *cause = NULL, *match = NULL;
    *r = (struct qa_rule){.line = map->line};
    if (map->kind != CONFIG_MAP) {
        config_faults_add(faults, map->line, owner ? "owners" : "causes", NULL,
                          "each %s must be a map", owner ? "owner" : "cause");
        return false;
    }
    (void)config_node_only(map, owner ? owner_keys : cause_keys, faults);
    (void)config_node_str(map, "name", !owner, QA_NAME_MAX, &name, faults);
    bool ok = config_node_str(map, owner ? "owner" : "cause", true, QA_NAME_MAX, &cause, faults);
    ok = config_node_str(map, "match", true, PATTERN_MAX, &match, faults) && ok;
    r->in = read_bits(map, "in", false,
                      owner ? QA_IN_TEST | QA_IN_FILE : QA_IN_MESSAGE | QA_IN_TRACE | QA_IN_TYPE,
                      faults);
    r->states = owner ? 0 : read_bits(map, "states", true, 0, faults);
    r->match = ok ? compile(match, config_node_find(map, "match")->line, faults) : NULL;
    if (r->match == NULL) {
        return false;
    }
    r->name = mem_dup_str(name);
    r->cause = mem_dup_str(cause);
    return true;
}

static void read_rules(const struct config_node *map, const char *key, bool owner,
                       struct qa_rule *out, size_t *n, struct config_faults *faults)
{
    const struct config_node *list;
    if (config_node_list(map, key, false, QA_RULES_MAX, &list, faults)) {
        for (size_t i = 0; i < list->count; i++) {
            *n += read_rule(list->items[i], owner, &out[*n], faults) ? 1 : 0;
        }
    }
}

static const char *text_in(const struct qa_case *c, const char *shown, const char *file,
                           unsigned bit)
{
    switch (bit) {
    case QA_IN_MESSAGE:
        return c->message;
    case QA_IN_TRACE:
        return c->trace;
    case QA_IN_TYPE:
        return c->type;
    case QA_IN_OUTPUT:
        return c->output;
    case QA_IN_TEST:
        return shown;
    default:
        return file;
    }
}

bool qa_rule_matches(const struct qa_rule *r, const struct qa_case *c, const char *shown,
                     const char *file)
{
    bool found = false;
    unsigned states = r->states != 0 ? r->states : (1u << QA_FAILED) | (1u << QA_ERROR);
    if (c->state < QA_STATE_COUNT && (states & (1u << c->state)) == 0 &&
        (r->in & (QA_IN_TEST | QA_IN_FILE)) != r->in) {
        return false;
    }
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    (void)pcre2_set_match_limit(limits, STEPS);
    for (size_t i = 0; i < COUNT_OF(places) && !found; i++) {
        const char *text = text_in(c, shown, file, places[i].bit);
        if ((r->in & places[i].bit) != 0 && text[0] != '\0') {
            size_t n = strlen(text);
            n = text_utf8_cut(text, n > QA_LOOK ? QA_LOOK : n);
            found = pcre2_match(r->match, (PCRE2_SPTR)text, n, 0, 0, data, limits) >= 0;
        }
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(limits);
    return found;
}

/* ---- the rest ---- */

static void read_flaky(const struct config_node *map, struct qa_options *o,
                       struct config_faults *faults)
{
    static const char *const keys[] = {"flips", "runs", "reports", NULL};
    const char *reports = "parts";
    const struct config_node *m;
    if (!config_node_map(map, "flaky", false, &m, faults)) {
        return;
    }
    (void)config_node_only(m, keys, faults);
    (void)config_node_int(m, "flips", false, 1, 50, &o->flips, faults);
    (void)config_node_int(m, "runs", false, 2, QA_RUNS_MAX, &o->window, faults);
    if (config_node_str(m, "reports", false, 16, &reports, faults) &&
        strcmp(reports, "parts") != 0 && strcmp(reports, "reruns") != 0) {
        config_faults_add(faults, config_node_find(m, "reports")->line, "reports", NULL,
                          "reports must be \"parts\" or \"reruns\"");
    }
    o->reruns = strcmp(reports, "reruns") == 0;
}

static void read_slower(const struct config_node *map, struct qa_options *o,
                        struct config_faults *faults)
{
    static const char *const keys[] = {"ratio", "spread", "min_ms", NULL};
    const struct config_node *m;
    int64_t ms = o->slower_us / 1000;
    if (!config_node_map(map, "slower", false, &m, faults)) {
        return;
    }
    (void)config_node_only(m, keys, faults);
    (void)config_node_real(m, "ratio", false, 1.05, 100, &o->slower_ratio, faults);
    (void)config_node_real(m, "spread", false, 1, 100, &o->slower_spread, faults);
    (void)config_node_int(m, "min_ms", false, 1, 3600000, &ms, faults);
    o->slower_us = ms * 1000;
}

struct qa_options *qa_options_read(const struct config_node *map, struct config_faults *faults)
{
    static const char *const keys[] = {"causes", "owners", "flaky",        "slower",
                                       "strip",  "not_blocking", NULL};
    struct qa_options *o = mem_alloc(sizeof(*o));
    o->flips = 2;
    o->window = 10;
    o->slower_ratio = 1.5;
    o->slower_spread = 4;
    o->slower_us = 500000;
    if (map != NULL) {
        (void)config_node_only(map, keys, faults);
        read_rules(map, "causes", false, o->rules, &o->rules_len, faults);
        read_rules(map, "owners", true, o->owners, &o->owners_len, faults);
        read_words(map, "strip", o->strip, QA_STRIP_MAX, &o->strip_len, faults);
        read_words(map, "not_blocking", o->soft, QA_STRIP_MAX, &o->soft_len, faults);
        read_flaky(map, o, faults);
        read_slower(map, o, faults);
    }
    return o;
}

bool qa_options_reruns(const struct qa_options *o)
{
    return o->reruns;
}

static void free_rules(struct qa_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(rules[i].name);
        mem_free(rules[i].cause);
        pcre2_code_free(rules[i].match);
    }
}

void qa_options_free(void *options)
{
    struct qa_options *o = options;
    if (o == NULL) {
        return;
    }
    free_rules(o->rules, o->rules_len);
    free_rules(o->owners, o->owners_len);
    for (size_t i = 0; i < o->strip_len; i++) {
        mem_free(o->strip[i]);
    }
    for (size_t i = 0; i < o->soft_len; i++) {
        mem_free(o->soft[i]);
    }
    mem_free(o);
}
