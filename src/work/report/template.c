/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates: from YAML to sections, rows and rules; every error with its line, all at once.
 * Owns: copies of every string. Threads: pure. Limits: report.h.
 */
#include <stdio.h>
#include <string.h>

#include "work/report/report_internal.h"

static const char *const input_keys[] = {"decimal", "dates",  "period", "bucket",
                                         "missing", "ignore", NULL};
static const char *const show_keys[] = {"decimal", "thousands", NULL};
static const char *const section_keys[] = {"name", "title", "comment", "rows", NULL};
static const char *const line_keys[] = {"metric",   "column",    "per",     "aggregate", "over",
                                        "where",    "group",     "top",     "compare",   "target",
                                        "good",     "decimals",  "unit",    "chart",     "rules",
                                        "anomalies", "range",    "required", "words",    NULL};
static const char *const rule_keys[] = {"when", "say", NULL};

struct reading {
    struct report_template *t;
    struct config_faults *faults;
};

static const char *keep(struct reading *r, const char *s)
{
    return s == NULL ? NULL : arena_dup_str(r->t->arena, s);
}

/* A word of a closed list; `index` stays as it was when it is absent. */
static void one_of(struct reading *r, const struct config_node *map, const char *key,
                   const char *const *words, int *index)
{
    const char *s = NULL;
    if (!config_node_str(map, key, false, 40, &s, r->faults)) {
        return;
    }
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], s) == 0) {
            *index = i;
            return;
        }
    }
    char all[160] = "";
    size_t n = 0;
    for (int i = 0; words[i] != NULL && n < sizeof(all); i++) {
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    config_faults_add(r->faults, config_node_find(map, key)->line, key, NULL,
                      "\"%.40s\" is none of %s", s, all);
}

static bool read_decimal(struct reading *r, const struct config_node *node, const char *key,
                         struct report_decimal *out)
{
    struct report_number v;
    if (node->text != NULL &&
        report_number_read(node->text, strlen(node->text), REPORT_MARK_DOT, &v)) {
        *out = v.value;
        return true;
    }
    config_faults_add(r->faults, node->line, key, "Write it as 12.5.", "%s is no number", key);
    return false;
}

/* ---- words ---- */

static const struct {
    const char *key, *keys, *text;
} word_table[] = {
#define WORD(name, key, keys, text) {key, keys, text},
#include "work/report/words.def"
#undef WORD
};

const char *word_key(enum word w)
{
    return word_table[w].key;
}

bool word_may(enum word w, const char *name, size_t n)
{
    for (const char *p = word_table[w].keys; *p != '\0';) {
        size_t len = strcspn(p, " ");
        if (len == n && memcmp(p, name, n) == 0) {
            return true;
        }
        p += len + (p[len] == ' ' ? 1 : 0);
    }
    return false;
}

/* Braces close, and hold names that this sentence has. */
static bool check_words(struct reading *r, const char *s, enum word w, int line)
{
    for (const char *p = s; (p = strpbrk(p, "{}")) != NULL;) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (end == NULL || !word_may(w, p + 1, (size_t)(end - p - 1))) {
            config_faults_add(r->faults, line, word_table[w].key, NULL,
                              "what stands in braces in \"%.60s\" must be one of: %s", s,
                              word_table[w].keys[0] == '\0' ? "nothing" : word_table[w].keys);
            return false;
        }
        p = end + 1;
    }
    return true;
}

static void read_words(struct reading *r, const struct config_node *map, const char **words,
                       int *lines)
{
    const struct config_node *node = NULL;
    if (!config_node_map(map, "words", false, &node, r->faults)) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        const struct config_node *item = node->items[i];
        int w = -1;
        for (int k = 0; k < WORD_COUNT; k++) {
            w = strcmp(word_table[k].key, node->keys[i]) == 0 ? k : w;
        }
        if (w < 0 || item->text == NULL || item->len == 0 || item->len > 400) {
            config_faults_add(r->faults, item->line, "words",
                              "docs/reference/standard-report.md lists them.",
                              "\"%.40s\" is no sentence of a report, or has not 1 to 400 bytes",
                              node->keys[i]);
        } else if (check_words(r, item->text, (enum word)w, item->line)) {
            words[w] = keep(r, item->text);
            if (lines != NULL) {
                lines[w] = item->line;
            }
        }
    }
}

/* ---- rows ---- */

/* "value > 10", "change <= -5", "percent >= 10". */
static bool read_when(const char *s, struct template_rule *rule)
{
    static const char *const of[] = {"value", "change", "percent"};
    static const char *const ops[] = {">=", "<=", ">", "<"};
    static const enum test_op means[] = {TEST_ABOVE_OR, TEST_BELOW_OR, TEST_ABOVE, TEST_BELOW};
    struct report_number v;
    for (size_t i = 0; i < COUNT_OF(of); i++) {
        if (!text_starts_with(s, of[i])) {
            continue;
        }
        const char *p = s + strlen(of[i]);
        p += strspn(p, " ");
        for (size_t k = 0; k < COUNT_OF(ops); k++) {
            if (text_starts_with(p, ops[k])) {
                p += strlen(ops[k]);
                p += strspn(p, " ");
                rule->of = (enum test_of)i;
                rule->op = means[k];
                bool ok = report_number_read(p, strlen(p), REPORT_MARK_DOT, &v);
                rule->bound = v.value;
                return ok;
            }
        }
    }
    return false;
}

static void read_rules(struct reading *r, const struct config_node *map, struct template_line *l)
{
    const struct config_node *list = NULL;
    if (!config_node_list(map, "rules", false, REPORT_RULES_MAX, &list, r->faults)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *node = list->items[i];
        const char *when = NULL, *say = NULL;
        if (node->kind != CONFIG_MAP) {
            config_faults_add(r->faults, node->line, "rules", NULL, "a rule has when and say");
            continue;
        }
        config_node_only(node, rule_keys, r->faults);
        if (!config_node_str(node, "when", true, 80, &when, r->faults) ||
            !config_node_str(node, "say", true, 400, &say, r->faults)) {
            continue;
        }
        struct template_rule *rule = &l->rules[l->rules_len];
        rule->line = node->line;
        if (!read_when(when, rule)) {
            config_faults_add(r->faults, node->line, "when",
                              "Write `value`, `change` or `percent`, then >, >=, < or <=, then a "
                              "number.",
                              "\"%.60s\" is no condition", when);
        } else if (check_words(r, say, WORD_UP, node->line)) {
            rule->say = keep(r, say);
            l->rules_len++;
        }
    }
}

static void read_where(struct reading *r, const struct config_node *map, struct template_line *l)
{
    const struct config_node *node = NULL;
    if (!config_node_map(map, "where", false, &node, r->faults)) {
        return;
    }
    if (node->count != 1 || node->items[0]->text == NULL) {
        config_faults_add(r->faults, node->line, "where", "As in `where: {platform: android}`.",
                          "where has one column and its text");
        return;
    }
    l->where_column = keep(r, node->keys[0]);
    l->where_value = keep(r, node->items[0]->text);
}

static void read_compare(struct reading *r, const struct config_node *map, struct template_line *l)
{
    const struct config_node *node = config_node_find(map, "compare");
    if (node == NULL) {
        return;
    }
    size_t n = node->kind == CONFIG_LIST ? node->count : 1;
    for (size_t i = 0; i < n; i++) {
        const struct config_node *item = node->kind == CONFIG_LIST ? node->items[i] : node;
        const char *s = item->text == NULL ? "" : item->text;
        if (strcmp(s, "previous") == 0) {
            l->previous = true;
        } else if (strcmp(s, "year_ago") == 0) {
            l->year_ago = true;
        } else {
            config_faults_add(r->faults, item->line, "compare", "A target has a key of its own.",
                              "\"%.40s\" is neither previous nor year_ago", s);
        }
    }
}

static void check_line(struct reading *r, const struct template_line *l)
{
    if (l->per != NULL && l->aggregate != AGGREGATE_AUTO && l->aggregate != AGGREGATE_SUM &&
        l->aggregate != AGGREGATE_LAST) {
        config_faults_add(r->faults, l->line, "per", NULL,
                          "per divides sums: aggregate must be sum, last or absent");
    }
    if (l->group != NULL && l->per != NULL) {
        config_faults_add(r->faults, l->line, "group", NULL, "a row has per or group, not both");
    }
    if (l->year_ago && l->group != NULL) {
        config_faults_add(r->faults, l->line, "compare", NULL, "groups are not compared");
    }
}

static void read_line(struct reading *r, const struct config_node *node, struct template_line *l)
{
    static const char *const aggregates[] = {"auto", "last",  "sum",   "mean",     "median",
                                             "min",  "max",   "count", "distinct", "items", NULL};
    static const char *const goods[] = {"none", "up", "down", NULL};
    static const char *const charts[] = {"none", "line", "bar", NULL};
    static const char *const overs[] = {"last", "all", NULL};
    const char *s = NULL;
    int64_t n = -1;
    int pick = 0;
    *l = (struct template_line){.line = node->line, .decimals = -1, .top = 10, .required = true};
    if (node->kind != CONFIG_MAP) {
        config_faults_add(r->faults, node->line, "rows", NULL, "a row is a map with a column");
        return;
    }
    config_node_only(node, line_keys, r->faults);
    if (config_node_str(node, "column", true, 200, &s, r->faults)) {
        l->column = keep(r, s);
    }
    l->metric = config_node_str(node, "metric", false, 200, &s, r->faults) ? keep(r, s) : NULL;
    l->per = config_node_str(node, "per", false, 200, &s, r->faults) ? keep(r, s) : NULL;
    l->group = config_node_str(node, "group", false, 200, &s, r->faults) ? keep(r, s) : NULL;
    l->unit = config_node_str(node, "unit", false, 7, &s, r->faults) ? keep(r, s) : NULL;
    one_of(r, node, "aggregate", aggregates, &pick);
    l->aggregate = (enum aggregate)pick;
    pick = 0;
    one_of(r, node, "good", goods, &pick);
    l->good = (enum good)pick;
    pick = 0;
    one_of(r, node, "chart", charts, &pick);
    l->chart = (enum chart)pick;
    pick = 0;
    one_of(r, node, "over", overs, &pick);
    l->over_all = pick == 1;
    l->decimals = config_node_int(node, "decimals", false, 0, 6, &n, r->faults) ? (int)n : -1;
    l->top = config_node_int(node, "top", false, 1, 50, &n, r->faults) ? (int)n : 10;
    config_node_bool(node, "required", false, &l->required, r->faults);
    config_node_bool(node, "anomalies", false, &l->anomalies, r->faults);
    config_node_bool(node, "range", false, &l->range, r->faults);
    const struct config_node *target = config_node_find(node, "target");
    l->has_target = target != NULL && read_decimal(r, target, "target", &l->target);
    read_where(r, node, l);
    read_compare(r, node, l);
    read_rules(r, node, l);
    read_words(r, node, l->words, NULL);
    check_line(r, l);
}

/* ---- sections ---- */

static void read_section(struct reading *r, const struct config_node *node,
                         struct template_section *s)
{
    const struct config_node *rows = NULL;
    const char *text = NULL;
    *s = (struct template_section){.line = node->line, .name = "", .title = ""};
    if (node->kind != CONFIG_MAP) {
        config_faults_add(r->faults, node->line, "sections", NULL,
                          "a section is a map with name, title and rows");
        return;
    }
    config_node_only(node, section_keys, r->faults);
    if (config_node_str(node, "name", true, 63, &text, r->faults)) {
        s->name = keep(r, text);
        if (!text_is_name(text)) {
            config_faults_add(r->faults, node->line, "name", "Use a-z, 0-9, . _ and -.",
                              "\"%.60s\" cannot be a section's name", text);
        }
    }
    s->title = config_node_str(node, "title", true, 200, &text, r->faults) ? keep(r, text) : "";
    config_node_bool(node, "comment", false, &s->comment, r->faults);
    if (config_node_list(node, "rows", true, REPORT_LINES_MAX, &rows, r->faults)) {
        s->lines = arena_alloc(r->t->arena, (rows->count + 1) * sizeof(*s->lines));
        for (size_t i = 0; i < rows->count; i++) {
            read_line(r, rows->items[i], &s->lines[s->lines_len++]);
        }
        if (rows->count == 0) {
            config_faults_add(r->faults, rows->line, "rows", NULL, "a section has a row");
        }
    }
}

static void read_list(struct reading *r, const struct config_node *map, const char *key,
                      const char ***out, size_t *n)
{
    const struct config_node *list = NULL;
    if (!config_node_list(map, key, false, 64, &list, r->faults)) {
        return;
    }
    *out = arena_alloc(r->t->arena, (list->count + 1) * sizeof(**out));
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->text == NULL) {
            config_faults_add(r->faults, list->items[i]->line, key, NULL, "%s lists texts", key);
            continue;
        }
        (*out)[(*n)++] = keep(r, list->items[i]->text);
    }
}

static void read_input(struct reading *r, const struct config_node *root)
{
    static const char *const marks[] = {"auto", "dot", "comma", NULL};
    static const char *const orders[] = {"auto", "dmy", "mdy", NULL};
    static const char *const buckets[] = {"auto", "none", "hour", "day", "week", "month", "quarter",
                                          "year", NULL};
    static const enum report_grain grains[] = {
        REPORT_GRAIN_NONE, REPORT_GRAIN_TIME,  REPORT_GRAIN_HOUR,    REPORT_GRAIN_DAY,
        REPORT_GRAIN_WEEK, REPORT_GRAIN_MONTH, REPORT_GRAIN_QUARTER, REPORT_GRAIN_YEAR};
    const struct config_node *node = NULL;
    const char **missing = NULL;
    const char *s = NULL;
    int pick = 0;
    if (!config_node_map(root, "input", false, &node, r->faults)) {
        return;
    }
    config_node_only(node, input_keys, r->faults);
    one_of(r, node, "decimal", marks, &pick);
    r->t->reading.mark = (enum report_mark)pick;
    pick = 0;
    one_of(r, node, "dates", orders, &pick);
    r->t->reading.order = (enum report_order)pick;
    pick = 0;
    one_of(r, node, "bucket", buckets, &pick);
    r->t->bucket = grains[pick];
    if (config_node_str(node, "period", false, 200, &s, r->faults)) {
        r->t->period = keep(r, s);
    }
    read_list(r, node, "missing", &missing, &r->t->reading.missing_len);
    r->t->reading.missing = missing;
    read_list(r, node, "ignore", &r->t->ignore, &r->t->ignore_len);
}

static void read_numbers(struct reading *r, const struct config_node *root)
{
    static const char *const points[] = {"dot", "comma", NULL};
    static const char *const thousands[] = {"comma", "dot", "apostrophe", "none", NULL};
    const struct config_node *node = NULL;
    int point = 0, group = 0;
    if (config_node_map(root, "numbers", false, &node, r->faults)) {
        config_node_only(node, show_keys, r->faults);
        one_of(r, node, "decimal", points, &point);
        group = point == 1 ? 1 : 0;
        one_of(r, node, "thousands", thousands, &group);
    }
    r->t->point = ".,"[point];
    r->t->thousands = ",.'\0"[group];
    if (r->t->point == r->t->thousands) {
        config_faults_add(r->faults, node->line, "numbers", NULL,
                          "decimals and thousands have the same mark");
    }
}

struct report_template *report_template_read(const struct config_node *root,
                                             struct config_faults *faults)
{
    const struct config_node *list = NULL;
    const char *s = "";
    size_t before = faults->count;
    struct arena *arena = arena_new((size_t)8 << 20);
    struct report_template *t = arena_alloc(arena, sizeof(*t));
    *t = (struct report_template){.arena = arena, .title = "Report", .language = "en"};
    struct reading r = {t, faults};
    if (config_node_str(root, "title", false, 200, &s, faults)) {
        t->title = keep(&r, s);
        t->title_line = config_node_find(root, "title")->line;
    }
    for (const char *p = t->title; (p = strpbrk(p, "{}")) != NULL; p++) {
        size_t n = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz_");
        bool known = (n == 4 && memcmp(p, "{file}", 6) == 0) ||
                     (n == 4 && memcmp(p, "{rows}", 6) == 0) ||
                     (n == 6 && memcmp(p, "{period}", 8) == 0);
        if (!known) {
            config_faults_add(faults, t->title_line, "title", NULL,
                              "what stands in braces in a title is file, period or rows");
            break;
        }
        p += n + 1;
    }
    if (config_node_str(root, "language", false, 16, &s, faults)) {
        t->language = keep(&r, s);
    }
    for (int i = 0; i < WORD_COUNT; i++) {
        t->words[i] = word_table[i].text;
    }
    read_input(&r, root);
    read_numbers(&r, root);
    read_words(&r, root, t->words, t->words_line);
    if (config_node_list(root, "sections", true, REPORT_SECTIONS_MAX, &list, faults)) {
        t->sections = arena_alloc(arena, (list->count + 1) * sizeof(*t->sections));
        for (size_t i = 0; i < list->count; i++) {
            read_section(&r, list->items[i], &t->sections[t->sections_len++]);
        }
        if (list->count == 0) {
            config_faults_add(faults, list->line, "sections", NULL, "a report has a section");
        }
    }
    if (faults->count > before) {
        arena_free(arena);
        return NULL;
    }
    return t;
}

void report_template_free(struct report_template *t)
{
    if (t != NULL) {
        arena_free(t->arena);
    }
}

void report_template_reading(const struct report_template *t, struct report_reading *out)
{
    *out = t->reading;
}
