/* SPDX-License-Identifier: Apache-2.0 */
/* The program `localize`: options, order of its steps, and what makes an offer done. Owns: nothing
   beyond a run. Threads: the run's. */
#include <math.h>
#include <string.h>

#include <unicode/uloc.h>
#include <unicode/ustring.h>

#include "base/text/text.h"
#include "trust/style/style.h"
#include "work/localize/work_internal.h"

/* Chosen on samples drawn before bench/localize.py had its own (docs/decisions/0219). */
#define ROUND_TRIP_DEFAULT 0.85
#define AGREEMENT_DEFAULT 0.34

static void *read_options(const struct config_node *node, struct config_faults *faults)
{
    static const char *const keys[] = {"model", "round_trip", "agreement", "examples",
                                       "strings_max", NULL};
    struct options *o = mem_alloc(sizeof(*o));
    const char *model = "heavy";
    *o = (struct options){.round_trip = ROUND_TRIP_DEFAULT,
                          .agreement = AGREEMENT_DEFAULT,
                          .examples = 4,
                          .strings_max = 500};
    if (node != NULL) {
        (void)config_node_only(node, keys, faults);
        (void)config_node_str(node, "model", false, sizeof(o->model) - 1, &model, faults);
        (void)config_node_real(node, "round_trip", false, 0.5, 1, &o->round_trip, faults);
        (void)config_node_real(node, "agreement", false, 0, 1, &o->agreement, faults);
        (void)config_node_int(node, "examples", false, 0, 16, &o->examples, faults);
        (void)config_node_int(node, "strings_max", false, 0, 20000, &o->strings_max, faults);
    }
    (void)text_copy(o->model, sizeof(o->model), model);
    return o;
}

/* ---- strings ---- */

const struct localize_unit *work_unit(const struct work_string *s)
{
    return &s->in->file.units[s->unit];
}

size_t work_forms(const struct work_string *s)
{
    size_t n = work_unit(s)->targets_len;
    return n == 0 || s->in->file.one_language ? 1 : n;
}

void work_take(struct work *w, struct work_string *s, const struct localize_offer *o,
               const char *by)
{
    struct localize_offer taken = *o;
    const struct localize_unit *u = work_unit(s);
    struct localize_rules rules = w->rules;
    const char *why_not = "";
    rules.nplurals = s->in->file.nplurals;
    for (size_t i = 0; i < taken.n; i++) {
        /* What people approved stays as they wrote it. */
        bool approved = o->by == LOCALIZE_BY_KEPT || o->by == LOCALIZE_BY_CONTEXT ||
                        o->by == LOCALIZE_BY_MEMORY || o->by == LOCALIZE_BY_BEFORE;
        size_t form = u->sources_len > 1 && (i > 0 || taken.n == 1) ? 1 : 0;
        taken.texts[i] =
            approved ? o->texts[i] : localize_repair(u->sources[form].text, o->texts[i], w->a);
    }
    bool whole = localize_check(&rules, u, taken.texts, taken.n, w->a, &why_not);
    s->offer = taken;
    s->by = by != NULL ? by : localize_by_name(o->by);
    s->done = whole && o->sure;
    s->confidence = whole ? o->confidence : o->confidence * 0.5;
    s->reason = whole ? o->reason : why_not;
}

static void ask_memory(struct work *w)
{
    for (size_t i = 0; i < w->strings_len && !program_is_cancelled(w->run); i++) {
        struct work_string *s = &w->strings[i];
        const struct localize_unit *u = work_unit(s);
        bool named = s->in->file.one_language || strcmp(s->in->file.format, "strings") == 0;
        struct localize_ask ask = {.source = u->sources[0].text,
                                   .plural = u->sources_len > 1 ? u->sources[1].text : NULL,
                                   .context = u->context[0] == '\0' && named ? u->id : u->context,
                                   .target_lang = w->to,
                                   .forms = work_forms(s),
                                   .glossary = &w->glossary};
        struct localize_offer o;
        if (s->offer.by == LOCALIZE_BY_KEPT) {
            o = s->offer;
            work_take(w, s, &o, NULL);
            continue;
        }
        localize_offer_find(w->memory, &ask, w->a, &o);
        s->in_memory = o.by == LOCALIZE_BY_MEMORY || o.by == LOCALIZE_BY_CONTEXT;
        bool weaker = o.by == LOCALIZE_BY_NONE ||
                      (!o.sure && s->offer.by == LOCALIZE_BY_BEFORE &&
                       o.by != LOCALIZE_BY_MEMORY);
        if (!weaker) {
            work_take(w, s, &o, NULL);
        } else if (s->offer.by == LOCALIZE_BY_BEFORE) {
            o = s->offer;
            work_take(w, s, &o, NULL);
        } else {
            s->reason = "memory has nothing like it";
            s->by = "";
        }
        if ((i & 255) == 0) {
            program_progress(w->run, 0.1 + 0.2 * (double)i / (double)w->strings_len, "memory");
        }
    }
}

/* ---- the run ---- */

static const char *language_name(struct arena *a, const char *code)
{
    UErrorCode e = U_ZERO_ERROR;
    UChar wide[100];
    char narrow[300];
    int32_t n = uloc_getDisplayName(code, "en", wide, COUNT_OF(wide), &e);
    (void)u_strToUTF8(narrow, sizeof(narrow), NULL, wide, n < 0 ? 0 : n, &e);
    return U_SUCCESS(e) && narrow[0] != '\0' ? arena_dup_str(a, narrow) : code;
}

static enum fail work_all(struct work *w, struct fault *why)
{
    program_step(w->run, "read");
    enum fail f = work_gather(w, why);
    f = f == FAIL_NONE ? work_list(w, why) : f;
    if (f != FAIL_NONE) {
        return f;
    }
    w->from_name = language_name(w->a, w->from);
    w->to_name = language_name(w->a, w->to);
    w->rules = (struct localize_rules){.source_lang = w->from,
                                       .target_lang = w->to,
                                       .glossary = &w->glossary,
                                       .style = w->style};
    program_step(w->run, "memory");
    ask_memory(w);
    program_step(w->run, "models");
    f = work_ask_models(w, why);
    if (f == FAIL_NONE && program_is_cancelled(w->run)) {
        f = FAULT(why, FAIL_STOPPED, "stopped");
    }
    if (f == FAIL_NONE) {
        program_step(w->run, "write");
        f = work_leave(w, why);
    }
    return f;
}

static enum fail run(struct program_run *r, const void *options, struct fault *why)
{
    struct work *w = mem_alloc(sizeof(*w));
    w->run = r;
    w->options = options;
    w->a = program_arena(r);
    w->memory = localize_memory_new();
    enum fail f = work_all(w, why);
    localize_memory_free(w->memory);
    style_free(w->style);
    mem_free(w);
    return f;
}

static const struct program_role roles[] = {
    {"file", "PO, XLIFF, ARB, JSON or CSV of strings", 1, FILES_MAX},
    {"base", "each file's version before: only what changed is translated", 0, FILES_MAX},
    {"target", "ARB, JSON: each file's translation so far", 0, FILES_MAX},
    {"memory", "translated files; of ARB and JSON first the source's, then the target's", 0,
     MEMORIES_MAX},
    {"glossary", "CSV (term, de, translatable, forbidden, ...) or TBX", 0, 8},
    {"style", "brand rules as YAML, as Vale reads them", 0, STYLES_MAX},
};
static const struct program_param params[] = {
    {"language", "the language to translate into: de, pt-BR"},
    {"source_language", "the language to translate from; en where no file says"},
};
static const char *const prompts[] = {"translate", "back", NULL};

const struct program_ops localize_program = {.name = "localize",
                                             .title = "Strings of a program in another language",
                                             .roles = roles,
                                             .roles_len = COUNT_OF(roles),
                                             .params = params,
                                             .params_len = COUNT_OF(params),
                                             .prompts = prompts,
                                             .options = read_options,
                                             .options_free = mem_free,
                                             .run = run};
