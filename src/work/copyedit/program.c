/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `copyedit`: options, inputs, steps, and what a run leaves.
 * Owns: the options. Threads: a run's own. Limits: those of work/program and trust/style.
 */
#include <string.h>

#include "base/text/text.h"
#include "work/copyedit/copyedit_internal.h"
#include "work/program/program.h"

#define RULE_BYTES ((size_t)64 << 10)
#define OUTPUT_BYTES (STYLE_MAX_TEXT * 8)

struct options {
    struct copyedit_policy *policy;
    enum style_level apply;
    char model[64]; /* "" : rules alone */
};

/* ---- options ---- */

static void read_style(const struct config_node *style, struct options *o,
                       struct config_faults *faults)
{
    static const char *const keys[] = {"name", "language", "rules", NULL};
    const char *name = NULL, *lang = "";
    const struct config_node *rules = NULL;
    (void)config_node_only(style, keys, faults);
    bool named = config_node_str(style, "name", true, 40, &name, faults);
    (void)config_node_str(style, "language", false, 2, &lang, faults);
    if (lang[0] != '\0' && strcmp(lang, "en") != 0 && strcmp(lang, "de") != 0) {
        config_faults_add(faults, style->line, "language", "Known: en, de; left out: every one.",
                          "language %s is not known", lang);
    }
    if (!config_node_map(style, "rules", true, &rules, faults) || !named) {
        return;
    }
    for (size_t i = 0; i < rules->count; i++) {
        const struct config_node *r = rules->items[i];
        if (r->kind != CONFIG_STRING || r->len > RULE_BYTES) {
            config_faults_add(faults, r->line, rules->keys[i],
                              "Write `|` behind its name, and the rule indented below.",
                              "a rule is a text in Vale's YAML");
        } else {
            copyedit_policy_add(o->policy, name, lang, rules->keys[i], r->text, r->len, r->line,
                                faults);
        }
    }
}

static void options_free(void *options)
{
    struct options *o = options;
    if (o != NULL) {
        copyedit_policy_free(o->policy);
    }
    mem_free(o);
}

static void *read_options(const struct config_node *node, struct config_faults *faults)
{
    static const char *const keys[] = {"styles", "apply", "model", NULL};
    static const char *const levels[] = {"suggestion", "warning", "error"};
    struct options *o = mem_alloc(sizeof(*o));
    const struct config_node *styles = NULL;
    const char *apply = "suggestion", *model = "heavy";
    o->policy = copyedit_policy_new();
    (void)config_node_only(node, keys, faults);
    if (config_node_list(node, "styles", false, COPYEDIT_MAX_STYLES, &styles, faults)) {
        for (size_t i = 0; i < styles->count; i++) {
            read_style(styles->items[i], o, faults);
        }
    }
    int line = node != NULL ? node->line : 0;
    if (config_node_str(node, "apply", false, 16, &apply, faults)) {
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(levels); i++) {
            known = known || strcmp(levels[i], apply) == 0;
            o->apply = strcmp(levels[i], apply) == 0 ? (enum style_level)i : o->apply;
        }
        if (!known) {
            config_faults_add(faults, line, "apply", NULL,
                              "apply must be suggestion, warning or error");
        }
    }
    (void)config_node_str(node, "model", false, sizeof(o->model) - 1, &model, faults);
    (void)text_copy(o->model, sizeof(o->model), strcmp(model, "none") == 0 ? "" : model);
    return o;
}

/* ---- a run ---- */

struct work {
    struct program_run *run;
    const struct options *o;
    struct copyedit_policy *own; /* with the run's own styles; NULL: none was given */
    enum knowledge_lang lang;
    size_t asked;
    bool stopped;
};

static const struct copyedit_policy *policy_of(const struct work *w)
{
    return w->own != NULL ? w->own : w->o->policy;
}

/* "Brand.yml" of the role `style`: a rule of a style named after nothing but itself. */
static enum fail read_own_styles(struct work *w, struct fault *why)
{
    size_t n = program_input_count(w->run, "style");
    w->own = n > 0 ? copyedit_policy_new() : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct program_input *in = program_input(w->run, "style", i);
        struct config_faults faults;
        char rule[80];
        (void)text_copy(rule, sizeof(rule), in->name[0] != '\0' ? in->name : "rule");
        char *dot = strrchr(rule, '.');
        if (dot != NULL) {
            *dot = '\0';
        }
        config_faults_init(&faults, in->name);
        if (in->len > RULE_BYTES || !text_utf8_is_valid(in->bytes, in->len)) {
            return FAULT(why, FAIL_BAD_REQUEST, "%s is no rule of at most 64 KiB", in->name);
        }
        copyedit_policy_add(w->own, "House", "", rule, in->bytes, in->len, 0, &faults);
        if (faults.count > 0) {
            return config_faults_fault(&faults, why);
        }
    }
    return FAIL_NONE;
}

static bool ask_model(void *arg, const char *sentence, const char *messages, struct buf *out)
{
    struct work *w = arg;
    struct program_var vars[] = {{"sentence", sentence},
                                 {"messages", messages},
                                 {"language", w->lang == KNOWLEDGE_LANG_DE ? "German" : "English"}};
    const char *system = NULL;
    struct program_answer answer = {0};
    struct fault why;
    if (program_is_cancelled(w->run)) {
        w->stopped = true;
        return false;
    }
    if (program_prompt(w->run, "rewrite", vars, COUNT_OF(vars), &system, &why) != FAIL_NONE) {
        return false;
    }
    struct program_ask ask = {.kind = PROGRAM_CHAT,
                              .model = w->o->model,
                              .system = system,
                              .text = sentence,
                              .max_tokens = 200,
                              .stop = "\n"};
    if (program_ask(w->run, &ask, &answer, &why) != FAIL_NONE || answer.cut) {
        return false;
    }
    w->asked++;
    program_progress(w->run, 0.3 + 0.6 * (double)w->asked / COPYEDIT_MAX_REWRITES, "rewriting");
    return buf_add(out, answer.text, answer.len);
}

static bool is_markdown(const char *name)
{
    return text_ends_with(name, ".md") || text_ends_with(name, ".markdown") || name[0] == '\0';
}

static bool is_plain(const char *name)
{
    static const char *const ends[] = {".md", ".markdown", ".txt", ".text", ".rst", ".adoc"};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (text_ends_with(name, ends[i])) {
            return true;
        }
    }
    return strchr(name, '.') == NULL;
}

/* Text files as they are; anything else as the sealed reader says it, a block a paragraph. */
static enum fail text_of(struct work *w, const struct program_input *in, const char **text,
                         size_t *len, struct fault *why)
{
    const struct document *d = NULL;
    if (is_plain(in->name)) {
        *text = in->bytes;
        *len = in->len;
        return FAIL_NONE;
    }
    enum fail f = program_read(w->run, in, NULL, &d, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct buf b;
    buf_init(&b, STYLE_MAX_TEXT);
    for (size_t i = 0; i < d->blocks_len; i++) {
        (void)buf_add(&b, d->blocks[i].text, d->blocks[i].len);
        (void)buf_add_str(&b, "\n\n");
    }
    if (b.overflow) {
        buf_done(&b);
        return FAULT(why, FAIL_TOO_LARGE, "%s is over %zu bytes of text", in->name, STYLE_MAX_TEXT);
    }
    *text = arena_dup_strn(program_arena(w->run), b.data != NULL ? b.data : "", b.len);
    *len = b.len;
    buf_done(&b);
    return FAIL_NONE;
}

/* `--set task=draft`: the input is notes. */
static enum fail make_draft(struct work *w, const char **text, size_t *len, struct fault *why)
{
    const char *system = NULL;
    struct program_answer answer = {0};
    struct copyedit_draft counts;
    struct program_var vars[] = {{"notes", arena_dup_strn(program_arena(w->run), *text, *len)},
                                 {"language", w->lang == KNOWLEDGE_LANG_DE ? "German" : "English"}};
    bool model = w->o->model[0] != '\0' && *len <= 16384 &&
                 program_has_prompt(w->run, "draft") &&
                 program_prompt(w->run, "draft", vars, COUNT_OF(vars), &system, why) == FAIL_NONE;
    struct program_ask ask = {.kind = PROGRAM_CHAT,
                              .model = w->o->model,
                              .system = system,
                              .text = vars[0].value,
                              .max_tokens = 600};
    bool said = model && program_ask(w->run, &ask, &answer, why) == FAIL_NONE;
    struct buf b;
    buf_init(&b, STYLE_MAX_TEXT);
    copyedit_put_draft(*text, *len, said ? answer.text : NULL, w->lang, &counts, &b);
    *text = arena_dup_strn(program_arena(w->run), b.data, b.len);
    *len = b.len;
    buf_done(&b);
    char *note = arena_printf(program_arena(w->run),
                              "%zu notes, %zu said by the model, %zu of its sentences refused",
                              counts.notes, counts.said, counts.refused);
    program_check(w->run, &(struct program_check){"draft_supported", counts.refused == 0, note});
    return program_is_cancelled(w->run) ? FAULT(why, FAIL_STOPPED, "stopped") : FAIL_NONE;
}

/* ---- what it leaves ---- */

static void put_item(struct work *w, const struct program_input *in,
                     const struct copyedit_suggestion *s)
{
    struct arena *a = program_arena(w->run);
    const char *name = in->name[0] != '\0' ? in->name : "text";
    const char *where = arena_printf(a, "%s:%d", name, s->line);
    const char *held = s->held == CHECK_REASON_NONE
                           ? ""
                           : arena_printf(a, " Not applied: it would change a %s.",
                                          check_reason_name(s->held));
    struct program_item item = {
        .id = arena_printf(a, "%s:%zu+%zu:%s", name, s->at, s->len, s->rule),
        .group = name,
        .source = s->quote,
        .value = s->replacement != NULL ? s->replacement : "",
        .note = arena_printf(a, "%s (%s, %s)%s", s->message, s->rule, style_level_name(s->level),
                             held),
        .by = s->by_model ? w->o->model : s->rule,
        .confidence = s->by_model || s->state == COPYEDIT_NOTED ? 0 : 1,
        .rung = s->by_model ? LADDER_LIGHT : LADDER_RULE,
        .open = s->by_model || s->state != COPYEDIT_APPLIED};
    struct program_finding finding = {.code = s->rule,
                                      .level = s->level == STYLE_ERROR     ? PROGRAM_ERROR
                                               : s->level == STYLE_WARNING ? PROGRAM_WARNING
                                                                           : PROGRAM_INFO,
                                      .where = where,
                                      .at = (int64_t)s->at,
                                      .len = (int64_t)s->len,
                                      .quote = s->quote,
                                      .message = s->message,
                                      .suggest = s->replacement,
                                      .source = s->link[0] != '\0' ? s->link : NULL};
    program_finding(w->run, &finding);
    if (s->state != COPYEDIT_COVERED) {
        program_item(w->run, &item);
    }
}

struct output {
    const char *format, *name, *type;
    void (*put)(const struct copyedit_result *r, const char *name, struct buf *out);
};

static void put_text(const struct copyedit_result *r, const char *name, struct buf *out)
{
    (void)name;
    copyedit_put_edited(r, out);
}

static const struct output outputs[] = {
    {"markdown", "suggestions.md", "text/markdown", copyedit_put_markdown},
    {"text", "edited", "text/plain", put_text},
    {"diff", "changes.diff", "text/x-diff", copyedit_put_diff},
    {"json", "suggestions.json", "application/json", copyedit_put_json},
};

static void put_outputs(struct work *w, const struct copyedit_result *r, const char *name,
                        size_t number)
{
    struct arena *a = program_arena(w->run);
    const char *first = program_format(w->run);
    const char *end = is_markdown(name) ? ".md" : ".txt";
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < COUNT_OF(outputs); i++) {
            const struct output *o = &outputs[i];
            bool asked = strcmp(o->format, first) == 0;
            if (asked != (pass == 0)) {
                continue;
            }
            struct buf b;
            buf_init(&b, OUTPUT_BYTES);
            o->put(r, name[0] != '\0' ? name : "text", &b);
            const char *file = strcmp(o->name, "edited") == 0 ? arena_printf(a, "edited%s", end)
                                                              : o->name;
            file = number > 0 ? arena_printf(a, "%zu-%s", number + 1, file) : file;
            /* what was asked for is the main output, so its type has to be a text */
            const char *type = asked && strcmp(o->format, "json") == 0 ? "text/json" : o->type;
            program_output(w->run, file, type, b.data != NULL ? b.data : "", b.len);
            buf_done(&b);
        }
    }
}

static void put_section(struct work *w, const struct copyedit_result *r, const char *name,
                        size_t number)
{
    struct buf b;
    buf_init(&b, OUTPUT_BYTES);
    copyedit_put_edited(r, &b);
    char *id = arena_printf(program_arena(w->run), "edited_%zu", number + 1);
    char *title = arena_printf(program_arena(w->run), "%s, edited",
                               name[0] != '\0' ? name : "The text");
    program_section(w->run, &(struct program_section){id, title, b.data != NULL ? b.data : ""});
    buf_done(&b);
}

/* The last word: whatever was applied, the values of the text are the same. Names are not asked
   for: a rule may be about one. */
static void put_check(struct work *w, const struct copyedit_result *r)
{
    struct buf b;
    unsigned kinds = CHECK_KEEP_ALL & ~CHECK_KEEP(CHECK_VALUE_NAME);
    buf_init(&b, OUTPUT_BYTES);
    copyedit_put_edited(r, &b);
    struct check_result c = r->len == 0
                                ? (struct check_result){.ok = true}
                                : check_kept(r->text, r->len, b.data, b.len, r->lang, kinds);
    bool long_text = c.reason == CHECK_REASON_LIMIT; /* each paragraph was checked on its own */
    program_check(w->run, &(struct program_check){"values_kept", c.ok || long_text,
                                                  long_text ? "paragraph by paragraph" : c.detail});
    for (size_t i = 0; i < r->asked; i++) {
        if (r->refusals[i] != CHECK_REASON_NONE) {
            program_check(w->run,
                          &(struct program_check){"rewrite", false,
                                                  check_reason_text(r->refusals[i])});
        }
    }
    buf_done(&b);
}

static enum knowledge_lang language_of(struct work *w, const char *text, size_t len)
{
    const char *told = program_param(w->run, "language");
    return told != NULL ? knowledge_lang_from_code(told)
                        : knowledge_lang_from_code(check_language(text, len).code);
}

static enum fail edit(struct work *w, const struct program_input *in, size_t number,
                      struct fault *why)
{
    const char *text = NULL, *task = program_param(w->run, "task");
    size_t len = 0;
    enum fail f = text_of(w, in, &text, &len, why);
    if (f != FAIL_NONE) {
        return f;
    }
    if (len > STYLE_MAX_TEXT || !text_utf8_is_valid(text, len)) {
        return FAULT(why, len > STYLE_MAX_TEXT ? FAIL_TOO_LARGE : FAIL_BAD_REQUEST,
                     "%s is no UTF-8 text of at most %zu bytes", in->name, STYLE_MAX_TEXT);
    }
    w->lang = language_of(w, text, len);
    if (task != NULL && strcmp(task, "draft") == 0) {
        f = make_draft(w, &text, &len, why);
    }
    bool model = w->o->model[0] != '\0' && program_has_prompt(w->run, "rewrite") &&
                 program_has_model(w->run, w->o->model);
    struct copyedit_options o = {.apply = w->o->apply,
                                 .markdown = is_markdown(in->name),
                                 .lang = w->lang,
                                 .ask = model ? ask_model : NULL,
                                 .arg = w};
    struct copyedit_result r = {0};
    f = f == FAIL_NONE ? copyedit_check(policy_of(w), text, len, &o, &r, why) : f;
    if (f == FAIL_NONE && w->stopped) {
        f = FAULT(why, FAIL_STOPPED, "stopped");
    }
    if (f == FAIL_NONE) {
        for (size_t i = 0; i < r.n; i++) {
            put_item(w, in, &r.items[i]);
        }
        put_section(w, &r, in->name, number);
        put_check(w, &r);
        put_outputs(w, &r, in->name, number);
    }
    copyedit_result_done(&r);
    return f;
}

static enum fail run_program(struct program_run *run, const void *options, struct fault *why)
{
    struct work w = {.run = run, .o = options};
    const char *task = program_param(run, "task");
    if (task != NULL && strcmp(task, "draft") != 0 && strcmp(task, "edit") != 0) {
        return FAULT(why, FAIL_BAD_REQUEST, "task is edit or draft, not %.40s", task);
    }
    program_step(run, "rules");
    enum fail f = read_own_styles(&w, why);
    if (f == FAIL_NONE && copyedit_policy_count(policy_of(&w)) == 0) {
        f = FAULT(why, FAIL_BAD_REQUEST, "the policy has no rule that is checked");
    }
    for (size_t i = 0; f == FAIL_NONE && copyedit_policy_unsupported(policy_of(&w), i) != NULL;
         i++) {
        program_finding(run, &(struct program_finding){
                                 .code = "rule_not_checked",
                                 .level = PROGRAM_INFO,
                                 .message = copyedit_policy_unsupported(policy_of(&w), i)});
    }
    size_t n = program_input_count(run, "text");
    program_step(run, "edit");
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = edit(&w, program_input(run, "text", i), i, why);
        program_progress(run, 0.1 + 0.9 * (double)(i + 1) / (double)n, NULL);
    }
    copyedit_policy_free(w.own);
    return f;
}

static const struct program_role roles[] = {
    {"text", "the texts to edit: Markdown, plain text, or what the reader opens", 1, 8},
    {"style", "rules in Vale's YAML, instead of the definition's", 0, 32}};
static const char *const formats[] = {"markdown", "text", "diff", "json", NULL};
static const struct program_param params[] = {
    {"language", "of the text: en or de; left out: found out"},
    {"task", "edit (left out: this) or draft: a text from notes"}};
static const char *const prompts[] = {"rewrite", "draft", NULL};
const struct program_ops copyedit_program = {.name = "copyedit",
                                             .title = "Edits a text under a style policy",
                                             .roles = roles,
                                             .roles_len = COUNT_OF(roles),
                                             .formats = formats,
                                             .params = params,
                                             .params_len = COUNT_OF(params),
                                             .prompts = prompts,
                                             .options = read_options,
                                             .options_free = options_free,
                                             .run = run_program};
