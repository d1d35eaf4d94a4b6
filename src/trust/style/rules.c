/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: one YAML file of a style becomes one compiled rule. Templates and defaults are Vale's
 * (vale.sh/docs, "Checks").
 *
 * Owns: the style. Threads: one until it is made. Limits: STYLE_MAX_RULES; 20,000 tokens a rule.
 */
#include "trust/style/style_internal.h"

#include <stdio.h>
#include <string.h>

#define TOKENS_MAX 20000
#define PATTERN_BYTES ((size_t)128 * 1024)

static const char *const kinds[STYLE_KIND_COUNT] = {
    [STYLE_EXISTENCE] = "existence", [STYLE_SUBSTITUTION] = "substitution",
    [STYLE_OCCURRENCE] = "occurrence", [STYLE_REPETITION] = "repetition",
    [STYLE_CONSISTENCY] = "consistency", [STYLE_CONDITIONAL] = "conditional",
    [STYLE_CAPITALIZATION] = "capitalization", [STYLE_READABILITY] = "readability",
};

const char *style_level_name(enum style_level l)
{
    static const char *const names[] = {"suggestion", "warning", "error"};
    return names[l];
}

struct style *style_new(const char *name)
{
    struct style *s = mem_alloc(sizeof(*s));
    snprintf(s->name, sizeof(s->name), "%s", name);
    return s;
}

static void rule_done(struct style_rule *r)
{
    mem_free(r->message);
    mem_free(r->link);
    mem_free(r->replace);
    pcre2_code_free(r->code);
    pcre2_code_free(r->second);
    pcre2_code_free(r->exceptions);
    for (size_t i = 0; i < r->replacements_n; i++) {
        mem_free(r->replacements[i]);
    }
    for (size_t i = 0; i < r->indicators_n; i++) {
        mem_free(r->indicators[i]);
    }
    mem_free(r->replacements);
    mem_free(r->indicators);
}

void style_free(struct style *s)
{
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        rule_done(&s->rules[i]);
    }
    for (size_t i = 0; s != NULL && i < s->unsupported_n; i++) {
        mem_free(s->unsupported[i]);
    }
    if (s != NULL) {
        mem_free(s->rules);
        mem_free(s->unsupported);
    }
    mem_free(s);
}

size_t style_count(const struct style *s)
{
    return s->n;
}

const char *style_unsupported(const struct style *s, size_t i)
{
    return i < s->unsupported_n ? s->unsupported[i] : NULL;
}

/* ---- members ---- */

/* Any scalar's text: a token may look like a number. */
static const char *text_of(const struct config_node *map, const char *key)
{
    const struct config_node *v = config_node_find(map, key);
    return v != NULL && v->kind != CONFIG_LIST && v->kind != CONFIG_MAP ? v->text : NULL;
}

static bool yes(const struct config_node *map, const char *key, bool otherwise)
{
    const char *v = text_of(map, key);
    return v == NULL ? otherwise : strcmp(v, "true") == 0;
}

/* The list's members joined by `between`, each within open and close. */
static bool join(const struct config_node *list, const char *open, const char *between,
                 const char *close, struct buf *out)
{
    size_t n = list != NULL && list->kind == CONFIG_LIST ? list->count : 0;
    for (size_t i = 0; i < n && i < TOKENS_MAX; i++) {
        if (list->items[i]->text != NULL) {
            buf_printf(out, "%s%s%s%s", i > 0 ? between : "", open, list->items[i]->text, close);
        }
    }
    return n > 0 && n <= TOKENS_MAX && !out->overflow;
}

/* Vale's templates: whole words unless `nonword`; `raw` stands before the tokens, or behind. */
static char *framed(const struct config_node *root, const char *inner)
{
    struct buf raw;
    struct buf out;
    buf_init(&raw, PATTERN_BYTES);
    buf_init(&out, PATTERN_BYTES);
    join(config_node_find(root, "raw"), "", "", "", &raw);
    const char *around = raw.data != NULL ? raw.data : "";
    bool append = yes(root, "append", false);
    bool word = !yes(root, "nonword", false) && inner[0] != '\0';
    if (!append) {
        buf_add_str(&out, around);
    }
    if (inner[0] != '\0') {
        buf_printf(&out, word ? "\\b(?:%s)\\b" : "(?:%s)", inner);
    }
    if (append) {
        buf_add_str(&out, around);
    }
    buf_done(&raw);
    return buf_take(&out);
}

static void read_exceptions(const struct config_node *root, struct style_rule *r,
                            struct config_faults *faults)
{
    const struct config_node *list = config_node_find(root, "exceptions");
    struct buf out;
    buf_init(&out, PATTERN_BYTES);
    buf_add_str(&out, "^(?:");
    if (join(list, "", "|", "", &out)) {
        buf_add_str(&out, ")$");
        r->exceptions = style_pattern(out.data, r->ignorecase, list->line, faults);
    }
    buf_done(&out);
}

/* ---- each kind ---- */

static void read_existence(const struct config_node *root, struct style_rule *r,
                           struct config_faults *faults)
{
    const struct config_node *tokens = config_node_find(root, "tokens");
    struct buf inner;
    buf_init(&inner, PATTERN_BYTES);
    bool any = join(tokens, "", "|", "", &inner);
    if (!any && config_node_find(root, "raw") == NULL) {
        config_faults_add(faults, root->line, "tokens", NULL, "neither tokens nor raw");
    } else {
        char *pattern = framed(root, inner.data != NULL ? inner.data : "");
        r->code = style_pattern(pattern, r->ignorecase, root->line, faults);
        mem_free(pattern);
    }
    buf_done(&inner);
}

static void add_swap(struct style_rule *r, struct buf *inner, const char *key, const char *value)
{
    buf_printf(inner, "%s(%s)", r->replacements_n > 0 ? "|" : "", key);
    r->replacements = mem_realloc(r->replacements,
                                  (r->replacements_n + 1) * sizeof(*r->replacements));
    r->replacements[r->replacements_n++] = mem_dup_str(value);
}

/* A capturing group of a key would shift the numbers: it becomes a plain one. */
static char *without_groups(const char *key)
{
    struct buf out;
    buf_init(&out, PATTERN_BYTES);
    bool set = false;
    for (const char *s = key; *s != '\0'; s++) {
        if (*s == '\\' && s[1] != '\0') {
            buf_add(&out, s, 2);
            s++;
            continue;
        }
        set = *s == '[' ? true : *s == ']' ? false : set;
        buf_add_char(&out, *s);
        if (*s == '(' && !set && s[1] != '?') {
            buf_add_str(&out, "?:");
        }
    }
    return buf_take(&out);
}

static void read_substitution(const struct config_node *root, struct style_rule *r,
                              struct config_faults *faults)
{
    const struct config_node *swap = config_node_find(root, "swap");
    struct buf inner;
    if (swap == NULL || swap->kind != CONFIG_MAP || swap->count == 0 ||
        swap->count > TOKENS_MAX) {
        config_faults_add(faults, root->line, "swap", NULL, "swap must be a map of what to what");
        return;
    }
    buf_init(&inner, PATTERN_BYTES);
    size_t longest = 0;
    for (size_t i = 0; i < swap->count; i++) {
        size_t n = strlen(swap->keys[i]);
        longest = n > longest ? n : longest;
    }
    for (size_t len = longest + 1; len-- > 0;) { /* longer ones are tried first */
        for (size_t i = 0; i < swap->count; i++) {
            if (strlen(swap->keys[i]) == len && swap->items[i]->text != NULL) {
                char *key = without_groups(swap->keys[i]);
                add_swap(r, &inner, key, swap->items[i]->text);
                mem_free(key);
            }
        }
    }
    char *pattern = framed(root, inner.data != NULL ? inner.data : "");
    r->code = style_pattern(pattern, r->ignorecase, swap->line, faults);
    mem_free(pattern);
    buf_done(&inner);
}

static void read_numbers(const struct config_node *root, struct style_rule *r,
                         struct config_faults *faults)
{
    int64_t min = 0;
    int64_t max = 0;
    config_node_int(root, "min", false, 0, 100000, &min, faults);
    config_node_int(root, "max", false, 0, 100000, &max, faults);
    r->min = (int)min;
    r->max = (int)max;
}

static void read_occurrence(const struct config_node *root, struct style_rule *r,
                            struct config_faults *faults)
{
    const char *token = text_of(root, "token");
    if (token == NULL) {
        config_faults_add(faults, root->line, "token", NULL, "occurrence needs a token");
        return;
    }
    read_numbers(root, r, faults);
    r->code = style_pattern(token, r->ignorecase, root->line, faults);
}

static void read_repetition(const struct config_node *root, struct style_rule *r,
                            struct config_faults *faults)
{
    struct buf out;
    buf_init(&out, PATTERN_BYTES);
    join(config_node_find(root, "tokens"), "(?:", "|", ")", &out);
    read_numbers(root, r, faults);
    r->alpha = yes(root, "alpha", false);
    r->code = style_pattern(out.len > 0 ? out.data : "[^\\s]+", r->ignorecase, root->line, faults);
    buf_done(&out);
}

static void read_consistency(const struct config_node *root, struct style_rule *r,
                             struct config_faults *faults)
{
    const struct config_node *either = config_node_find(root, "either");
    struct buf inner;
    if (either == NULL || either->kind != CONFIG_MAP || either->count == 0 ||
        either->count > TOKENS_MAX) {
        config_faults_add(faults, root->line, "either", NULL, "either must be a map of two ways");
        return;
    }
    buf_init(&inner, PATTERN_BYTES);
    for (size_t i = 0; i < either->count; i++) { /* groups 2i + 1 and 2i + 2 */
        char *a = without_groups(either->keys[i]);
        char *b = without_groups(either->items[i]->text != NULL ? either->items[i]->text : "");
        buf_printf(&inner, "%s(%s)|(%s)", i > 0 ? "|" : "", a, b);
        mem_free(a);
        mem_free(b);
    }
    r->max = (int)either->count;
    char *pattern = framed(root, inner.data);
    r->code = style_pattern(pattern, r->ignorecase, either->line, faults);
    mem_free(pattern);
    buf_done(&inner);
}

static void read_conditional(const struct config_node *root, struct style_rule *r,
                             struct config_faults *faults)
{
    const char *first = text_of(root, "first");
    const char *second = text_of(root, "second");
    if (first == NULL || second == NULL) {
        config_faults_add(faults, root->line, "first", NULL, "conditional needs first and second");
        return;
    }
    r->code = style_pattern(first, r->ignorecase, root->line, faults);
    r->second = style_pattern(second, r->ignorecase, root->line, faults);
}

static void read_capitalization(const struct config_node *root, struct style_rule *r,
                                struct config_faults *faults)
{
    static const char *const names[] = {"$title", "$sentence", "$lower", "$upper"};
    const char *match = text_of(root, "match");
    const struct config_node *list = config_node_find(root, "indicators");
    r->match = STYLE_PATTERN;
    for (size_t i = 0; match != NULL && i < COUNT_OF(names); i++) {
        r->match = strcmp(match, names[i]) == 0 ? (enum style_match)i : r->match;
    }
    if (match == NULL) {
        config_faults_add(faults, root->line, "match", NULL, "capitalization needs match");
    } else if (r->match == STYLE_PATTERN) {
        r->code = style_pattern(match, false, root->line, faults);
    }
    size_t n = list != NULL && list->kind == CONFIG_LIST ? list->count : 0;
    r->indicators = n > 0 ? mem_alloc_array(n, sizeof(*r->indicators)) : NULL;
    for (size_t i = 0; i < n; i++) {
        r->indicators[r->indicators_n++] = mem_dup_str(list->items[i]->text != NULL
                                                           ? list->items[i]->text : "");
    }
    r->threshold = 0.8;
    config_node_real(root, "threshold", false, 0, 1, &r->threshold, faults);
}

static void read_readability(const struct config_node *root, struct style_rule *r,
                             struct config_faults *faults)
{
    static const char *const names[] = {"Flesch-Kincaid", "Gunning Fog", "Coleman-Liau", "SMOG",
                                        "Automated Readability"};
    const struct config_node *list = config_node_find(root, "metrics");
    size_t n = list != NULL && list->kind == CONFIG_LIST ? list->count : 0;
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (unsigned k = 0; k < COUNT_OF(names); k++) {
            if (list->items[i]->text != NULL && strcmp(list->items[i]->text, names[k]) == 0) {
                r->metrics |= 1u << k;
                known = true;
            }
        }
        if (!known) {
            config_faults_add(faults, list->line, "metrics", NULL, "there is no metric %.40s",
                              list->items[i]->text != NULL ? list->items[i]->text : "");
        }
    }
    r->metrics = r->metrics == 0 ? 1 : r->metrics;
    config_node_real(root, "grade", true, 0, 100, &r->grade, faults);
}

/* ---- the file ---- */

static void add_scope(struct style_rule *r, const char *text, int line,
                      struct config_faults *faults)
{
    static const char *const known[] = {
        "text", "heading", "heading.h1", "heading.h2", "heading.h3", "heading.h4", "heading.h5",
        "heading.h6", "paragraph", "list", "blockquote", "table", "table.cell", "table.header",
        "sentence", "raw", "summary"};
    if (r->scopes_n == STYLE_SCOPES) {
        config_faults_add(faults, line, "scope", NULL, "at most %d scopes", STYLE_SCOPES);
        return;
    }
    struct style_scope *s = &r->scopes[r->scopes_n++];
    while (*text != '\0') {
        text += strspn(text, " &");
        size_t n = strcspn(text, " &");
        bool good = false;
        const char *name = text + (*text == '~' ? 1 : 0);
        size_t len = n - (size_t)(name - text);
        for (size_t i = 0; i < COUNT_OF(known); i++) {
            good = good || (strlen(known[i]) == len && memcmp(known[i], name, len) == 0);
        }
        if (n > 0 && (!good || s->n == COUNT_OF(s->parts))) {
            config_faults_add(faults, line, "scope", "Known: text, heading, paragraph, list, "
                              "blockquote, table, sentence, raw.", "scope %.*s is not known",
                              (int)n, text);
            return;
        }
        if (n > 0) {
            memcpy(s->parts[s->n++], text, n);
            r->sentences = r->sentences || (len == 8 && memcmp(name, "sentence", 8) == 0);
            r->raw = r->raw || (len == 3 && memcmp(name, "raw", 3) == 0);
        }
        text += n;
    }
}

/* Vale's `action`: what its editors do at a press of a key. */
static void read_action(const struct config_node *root, struct style_rule *r)
{
    const struct config_node *action = config_node_find(root, "action");
    const char *name = action != NULL ? text_of(action, "name") : NULL;
    const struct config_node *params = config_node_find(action, "params");
    r->remove = name != NULL && strcmp(name, "remove") == 0;
    if (name != NULL && strcmp(name, "replace") == 0 && params != NULL &&
        params->kind == CONFIG_LIST && params->count == 1 && params->items[0]->text != NULL) {
        r->replace = mem_dup_str(params->items[0]->text);
    }
}

static void read_common(const struct config_node *root, struct style_rule *r,
                        struct config_faults *faults)
{
    const char *message = text_of(root, "message");
    const char *level = text_of(root, "level");
    const char *link = text_of(root, "link");
    const struct config_node *scope = config_node_find(root, "scope");
    r->message = mem_dup_str(message != NULL ? message : "%s");
    r->link = mem_dup_str(link != NULL ? link : "");
    r->level = level == NULL || strcmp(level, "warning") == 0 ? STYLE_WARNING
               : strcmp(level, "error") == 0                  ? STYLE_ERROR
                                                              : STYLE_SUGGESTION;
    if (level != NULL && r->level == STYLE_SUGGESTION && strcmp(level, "suggestion") != 0) {
        config_faults_add(faults, root->line, "level", NULL,
                          "level must be suggestion, warning or error");
    }
    r->ignorecase = yes(root, "ignorecase", false);
    read_action(root, r);
    if (scope != NULL && scope->kind == CONFIG_LIST) {
        for (size_t i = 0; i < scope->count; i++) {
            add_scope(r, scope->items[i]->text != NULL ? scope->items[i]->text : "?", scope->line,
                      faults);
        }
    } else if (scope != NULL && scope->text != NULL) {
        add_scope(r, scope->text, scope->line, faults);
    }
}

typedef void (*read_fn)(const struct config_node *, struct style_rule *, struct config_faults *);
static const read_fn readers[STYLE_KIND_COUNT] = {
    [STYLE_EXISTENCE] = read_existence, [STYLE_SUBSTITUTION] = read_substitution,
    [STYLE_OCCURRENCE] = read_occurrence, [STYLE_REPETITION] = read_repetition,
    [STYLE_CONSISTENCY] = read_consistency, [STYLE_CONDITIONAL] = read_conditional,
    [STYLE_CAPITALIZATION] = read_capitalization, [STYLE_READABILITY] = read_readability,
};

static void name_unsupported(struct style *s, const char *rule, const char *extends)
{
    char text[160];
    snprintf(text, sizeof(text), "%s.%.64s: %.40s", s->name, rule, extends);
    s->unsupported = mem_realloc(s->unsupported, (s->unsupported_n + 1) * sizeof(char *));
    s->unsupported[s->unsupported_n++] = mem_dup_str(text);
}

enum fail style_add_node(struct style *s, const char *rule, const struct config_node *root,
                         struct config_faults *faults, struct fault *why)
{
    size_t before = faults->count;
    if (s->n + s->unsupported_n >= STYLE_MAX_RULES) {
        return FAULT(why, FAIL_BAD_REQUEST, "a style has at most %d rules", STYLE_MAX_RULES);
    }
    const char *extends = text_of(root, "extends");
    int kind = 0;
    while (kind < STYLE_KIND_COUNT && (extends == NULL || strcmp(kinds[kind], extends) != 0)) {
        kind++;
    }
    if (extends == NULL) {
        config_faults_add(faults, root->line, "extends", NULL, "a rule must say what it extends");
    } else if (kind == STYLE_KIND_COUNT) {
        name_unsupported(s, rule, extends);
    } else {
        struct style_rule r = {.kind = (enum style_kind)kind};
        snprintf(r.name, sizeof(r.name), "%.40s.%.48s", s->name, rule);
        read_common(root, &r, faults);
        readers[kind](root, &r, faults);
        read_exceptions(root, &r, faults);
        if (faults->count > before) {
            rule_done(&r);
        } else {
            if (s->n == s->room) {
                s->room = s->room == 0 ? 32 : s->room * 2;
                s->rules = mem_realloc(s->rules, s->room * sizeof(*s->rules));
            }
            s->rules[s->n++] = r;
        }
    }
    return faults->count > before ? config_faults_fault(faults, why) : FAIL_NONE;
}

enum fail style_add(struct style *s, const char *rule, const char *yaml, size_t len,
                    struct config_faults *faults, struct fault *why)
{
    struct config_tree *tree = NULL;
    if (config_yaml_parse(yaml, len, rule, &tree, faults) != FAIL_NONE) {
        return config_faults_fault(faults, why);
    }
    enum fail f = style_add_node(s, rule, config_tree_root(tree), faults, why);
    config_tree_free(tree);
    return f;
}
