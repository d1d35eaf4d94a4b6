/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rule sets: YAML rows read strictly, all errors with their lines.
 * Owns: rule sets. Threads: counted; immutable once read. Limits: VERDICT_MAX_*.
 */
#include <string.h>

#include "base/text/text.h"
#include "trust/verdict/verdict_internal.h"

#define TERMS_MAX 2000
#define PATTERN_MAX 1000

const char *verdict_name(enum verdict v)
{
    static const char *const names[] = {"allow", "redact", "review", "block"};
    return v < VERDICT_COUNT ? names[v] : "";
}

/* ---- one row ---- */

/* A word or a list of words, each given to fn. */
static void each_word(const struct config_node *map, const char *key, struct verdict_rule *r,
                      bool (*fn)(struct verdict_rule *, const char *), struct config_faults *faults)
{
    const struct config_node *v = config_node_find(map, key);
    size_t n = v == NULL ? 0 : v->kind == CONFIG_LIST ? v->count : 1;
    if (n > TERMS_MAX) {
        config_faults_add(faults, v->line, key, NULL, "at most %d", TERMS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct config_node *one = v->kind == CONFIG_LIST ? v->items[i] : v;
        if (one->text == NULL || !fn(r, one->text)) {
            config_faults_add(faults, one->line, key, NULL, "%s cannot be %.60s", key,
                              one->text != NULL ? one->text : "a map");
        }
    }
}

static bool add_found(struct verdict_rule *r, const char *name)
{
    enum guard_kind k = guard_kind_find(name);
    if (k != GUARD_KIND_COUNT) {
        r->kinds |= GUARD_BIT(k);
        return true;
    }
    for (unsigned bit = SCREEN_ZERO_WIDTH; bit <= SCREEN_INVALID; bit <<= 1) {
        if (strcmp(screen_oddity_name(bit), name) == 0) {
            r->oddities |= bit;
            return true;
        }
    }
    for (int h = 0; h < SCREEN_HARM_COUNT; h++) {
        if (strcmp(screen_harm_name((enum screen_harm)h), name) == 0) {
            r->harms |= 1u << h;
            return true;
        }
    }
    bool hidden = strcmp(name, "hidden") == 0;
    bool injection = strcmp(name, "injection") == 0;
    bool link = strcmp(name, "foreign_link") == 0;
    bool ungrounded = strcmp(name, "ungrounded") == 0;
    bool checked = strcmp(name, "checksum") == 0;
    r->oddities |= hidden ? SCREEN_HIDDEN : 0;
    r->kinds |= checked ? GUARD_CHECKED : 0;
    r->injection = r->injection || injection;
    r->foreign_link = r->foreign_link || link;
    r->ungrounded = r->ungrounded || ungrounded;
    return hidden || injection || link || ungrounded || checked;
}

static bool add_name(struct verdict_names *names, const char *name)
{
    return names->n < VERDICT_NAMES && text_is_name(name) &&
           text_copy(names->list[names->n++], VERDICT_NAME_SIZE, name);
}

static bool add_team(struct verdict_rule *r, const char *name)
{
    return add_name(&r->teams, name);
}

static bool add_workflow(struct verdict_rule *r, const char *name)
{
    return add_name(&r->workflows, name);
}

static bool add_term(struct verdict_rule *r, const char *term)
{
    if (r->terms == NULL) {
        r->terms = guard_lists_new();
    }
    return guard_lists_add(r->terms, GUARD_LIST_TERM, term);
}

static bool add_allowed(struct verdict_rule *r, const char *term)
{
    if (r->terms == NULL) {
        r->terms = guard_lists_new();
    }
    return guard_lists_add(r->terms, GUARD_LIST_ALLOWED, term);
}

static void read_pattern(const struct config_node *map, struct verdict_rule *r,
                         struct config_faults *faults)
{
    const char *text = NULL;
    int code = 0;
    PCRE2_SIZE at = 0;
    if (!config_node_str(map, "pattern", false, PATTERN_MAX, &text, faults)) {
        return;
    }
    r->pattern = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                               PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (r->pattern == NULL) {
        char said[120];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)said, sizeof(said));
        config_faults_add(faults, map->line, "pattern", NULL, "the pattern does not compile: %s",
                          said);
    }
}

/* A map of Vale's rules by their names. What is not supported would be silently left out: an error
   here. */
static void read_style(const struct config_node *map, struct verdict_rule *r,
                       struct config_faults *faults)
{
    const struct config_node *rules = NULL;
    struct fault why;
    if (!config_node_map(map, "style", false, &rules, faults)) {
        return;
    }
    r->style = style_new(r->name);
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->items[i]->kind != CONFIG_MAP) {
            config_faults_add(faults, rules->items[i]->line, "style", NULL,
                              "%.48s must be a map, a rule of Vale's", rules->keys[i]);
        } else if (style_add_node(r->style, rules->keys[i], rules->items[i], faults, &why) !=
                       FAIL_NONE &&
                   faults->count == 0) {
            config_faults_add(faults, rules->line, "style", NULL, "%.200s", why.message);
        }
    }
    const char *unsupported = style_unsupported(r->style, 0);
    if (unsupported != NULL) {
        config_faults_add(faults, rules->line, "style",
                          "docs/reference/style.md lists what can be checked.",
                          "%.160s is not supported", unsupported);
    }
}

static void read_words(const struct config_node *map, struct verdict_rule *r,
                       struct config_faults *faults)
{
    const char *side = "both";
    const char *verdict = "";
    int v = 0;
    config_node_str(map, "side", false, 8, &side, faults);
    r->in = strcmp(side, "out") != 0;
    r->out = strcmp(side, "in") != 0;
    if (r->in && r->out && strcmp(side, "both") != 0) {
        config_faults_add(faults, map->line, "side", NULL, "side must be in, out or both");
    }
    if (config_node_str(map, "verdict", true, 8, &verdict, faults)) {
        while (v < VERDICT_COUNT && strcmp(verdict_name((enum verdict)v), verdict) != 0) {
            v++;
        }
        if (v == VERDICT_COUNT) {
            config_faults_add(faults, map->line, "verdict", NULL,
                              "verdict must be allow, redact, review or block");
        }
        r->verdict = (enum verdict)(v % VERDICT_COUNT);
    }
}

static void read_rule(const struct config_node *map, struct verdict_rule *r,
                      struct config_faults *faults)
{
    static const char *const keys[] = {"name", "why", "side", "find", "terms", "allowed", "pattern",
                                       "style", "team", "workflow", "at_least", "verdict", NULL};
    const char *name = "";
    const char *why = "";
    int64_t at_least = 1;
    if (map->kind != CONFIG_MAP) {
        config_faults_add(faults, map->line, "rules", NULL, "a rule must be a map");
        return;
    }
    config_node_only(map, keys, faults);
    if (config_node_str(map, "name", true, 64, &name, faults) && !text_is_name(name)) {
        config_faults_add(faults, map->line, "name", NULL, "the name must be [a-z0-9._-]");
    }
    (void)text_copy(r->name, sizeof(r->name), name);
    config_node_str(map, "why", false, 200, &why, faults);
    r->why = mem_dup_str(why);
    config_node_int(map, "at_least", false, 1, 1000, &at_least, faults);
    r->at_least = (int)at_least;
    read_words(map, r, faults);
    each_word(map, "find", r, add_found, faults);
    each_word(map, "team", r, add_team, faults);
    each_word(map, "workflow", r, add_workflow, faults);
    each_word(map, "terms", r, add_term, faults);
    r->kinds |= r->terms != NULL ? GUARD_BIT(GUARD_KIND_TERM) : 0;
    each_word(map, "allowed", r, add_allowed, faults);
    read_pattern(map, r, faults);
    read_style(map, r, faults);
    bool any = r->kinds != 0 || r->oddities != 0 || r->harms != 0 || r->injection ||
               r->foreign_link || r->ungrounded || r->pattern != NULL ||
               (r->style != NULL && style_count(r->style) > 0);
    if (!any) {
        config_faults_add(faults, map->line, "find",
                          "docs/reference/guard.md lists what can be found.",
                          "a rule needs find, terms, pattern or style");
    }
}

/* ---- the set ---- */

static void rules_free(struct verdict_rules *r)
{
    for (size_t i = 0; i < r->n; i++) {
        mem_free(r->rules[i].why);
        guard_lists_free(r->rules[i].terms);
        pcre2_code_free(r->rules[i].pattern);
        style_free(r->rules[i].style);
    }
    mem_free(r->rules);
    mem_free(r->text);
    mem_free(r);
}

struct verdict_rules *verdict_rules_ref(struct verdict_rules *r)
{
    __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
    return r;
}

void verdict_rules_unref(struct verdict_rules *r)
{
    if (r != NULL && __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        rules_free(r);
    }
}

static void read_all(const struct config_node *root, struct verdict_rules *r,
                     struct config_faults *faults)
{
    static const char *const keys[] = {"name", "rules", NULL};
    const struct config_node *list = NULL;
    config_node_only(root, keys, faults);
    if (!config_node_list(root, "rules", true, VERDICT_MAX_RULES, &list, faults)) {
        return;
    }
    r->rules = mem_alloc_array(list->count + 1, sizeof(*r->rules));
    r->n = list->count;
    for (size_t i = 0; i < list->count; i++) {
        read_rule(list->items[i], &r->rules[i], faults);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(r->rules[k].name, r->rules[i].name) == 0) {
                config_faults_add(faults, list->items[i]->line, "name", NULL,
                                  "two rules are called %s", r->rules[i].name);
            }
        }
    }
}

enum fail verdict_rules_read(const char *text, size_t len, const char *file,
                             struct verdict_rules **out, struct config_faults *faults,
                             struct fault *why)
{
    struct config_tree *tree = NULL;
    uint8_t sum[32];
    *out = NULL;
    config_faults_init(faults, file);
    if (len > VERDICT_MAX_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "%.80s is over %zu bytes", file, VERDICT_MAX_BYTES);
    }
    if (config_yaml_parse(text, len, file, &tree, faults) != FAIL_NONE) {
        return config_faults_fault(faults, why);
    }
    struct verdict_rules *r = mem_alloc(sizeof(*r));
    r->refs = 1;
    r->text = mem_dup_strn(text, len);
    text_sha256(text, len, sum);
    text_hex(sum, sizeof(sum), r->release);
    read_all(config_tree_root(tree), r, faults);
    config_tree_free(tree);
    if (faults->count > 0) {
        rules_free(r);
        return config_faults_fault(faults, why);
    }
    *out = r;
    return FAIL_NONE;
}

struct verdict_rules *verdict_rules_shipped(void)
{
    struct verdict_rules *r = NULL;
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct fault why;
    ASSERT(verdict_embedded_count == 1);
    enum fail f = verdict_rules_read(verdict_embedded[0].text, verdict_embedded[0].length,
                                     "rules/guard/guard.yaml", &r, faults, &why);
    ASSERT(f == FAIL_NONE);
    mem_free(faults);
    return r;
}

const char *verdict_rules_release(const struct verdict_rules *r)
{
    return r->release;
}

const char *verdict_rules_text(const struct verdict_rules *r)
{
    return r->text;
}

size_t verdict_rules_count(const struct verdict_rules *r)
{
    return r->n;
}
