/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The climb of a form: reuse, rule, learned, light, heavy, person.
 *
 * Each rung is one step function that either goes on at once or waits for a worker. All open fields
 * go to a rung together; ladder_offer decides what stands. Whatever is open at the end is a
 * person's.
 */
#include <stdio.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/route/route.h"
#include "answer/dataset/dataset.h"
#include "answer/task/task_internal.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "trust/guard/guard.h"
#include "trust/verdict/verdict.h"

static void step_reuse(struct task *t);
static void step_rule(struct task *t);
static void step_embed(struct task *t);
static void step_alike(struct task *t);
static void step_learned(struct task *t);
static void step_draft(struct task *t);
static void step_light(struct task *t);
static void step_heavy(struct task *t);
static void step_where(struct task *t);
static void step_hosted(struct task *t);
static void step_end(struct task *t);

static const task_step_fn climb_steps[] = {step_reuse,   step_rule,  step_embed, step_alike,
                                           step_learned, step_draft, step_where, step_light,
                                           step_heavy,   step_hosted, step_end};
#define STEP_LIGHT 7

static void next_step(struct task *t)
{
    struct fault why;
    if (t->halted) {
        gate_why(t, &why);
        task_fail(t, &why);
        return;
    }
    task_step_fn fn = climb_steps[t->step++];
    t->step_us = clock_monotonic_us();
    fn(t);
}

static bool may(const struct task *t, enum ladder_rung rung)
{
    return (t->rungs & (1u << rung)) != 0;
}

static void note(struct task *t, enum ladder_rung rung, enum ladder_verdict verdict,
                 const char *why)
{
    struct ladder_step s = {.rung = rung, .verdict = verdict, .note = why,
                            .ms = clock_ms_since(t->step_us)};
    ladder_step_add(&t->climb, &s);
}

static enum fail check_request(struct task *t, struct fault *why)
{
    struct entry *e = desk_entry_find(t->desk, t->model);
    if (e == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "there is no workflow \"%.64s\"", t->model);
        fail_param(why, "workflow");
        fail_hint(why, "`inhouse workflow list` names them; `inhouse workflow new` makes one.");
        return FAIL_NOT_FOUND;
    }
    if (strlen(t->text) > TASK_MAX_TEXT || strlen(t->subject) > TASK_MAX_TEXT) {
        FAULT(why, FAIL_TOO_LARGE, "the text is larger than %u bytes", TASK_MAX_TEXT);
        fail_param(why, "text");
        fail_hint(why, "Send what a person would read: cut quoted threads, attachments and logs.");
        return FAIL_TOO_LARGE;
    }
    if (!text_utf8_is_valid(t->text, strlen(t->text)) ||
        !text_utf8_is_valid(t->subject, strlen(t->subject))) {
        FAULT(why, FAIL_BAD_REQUEST, "the text is not valid UTF-8");
        return fail_param(why, "text");
    }
    heads_void_stale(t->desk, e);
    licence_refresh(t->desk, e);
    t->form = t->own_form ? t->form : ladder_form_ref(e->form);
    t->label = t->form->label > t->label ? t->form->label : t->label;
    t->heads = headset_ref(e->heads);
    if (t->form->dataset != NULL && gate_may_read(t, t->form->dataset) &&
        dataset_may_read(t->desk->reader, t->form->dataset, &t->who, clock_now_us())) {
        t->shelf = shelf_ref(desk_shelf_find(t->desk, t->form->dataset));
    }
    where_label(t);
    return FAIL_NONE;
}

/* The same key with the same input: the stored answer again. With another input: refused. */
bool climb_answered_before(struct task *t, struct fault *why, enum fail *failed)
{
    const char *parts[] = {t->who.team, t->who.name, "tasks", t->idem_key};
    char options[96];
    snprintf(options, sizeof(options), "%x %d %d", t->rungs, t->no_draft, t->no_artifact);
    if (t->reproducible) {
        size_t used = strlen(options);
        snprintf(options + used, sizeof(options) - used, " %lld %lld", (long long)t->seed,
                 (long long)t->now);
    }
    const char *input[] = {t->model, t->input_id, t->subject, t->input, options};
    struct reuse_key key, hash;
    reuse_key_make(parts, COUNT_OF(parts), &key);
    reuse_key_make(input, COUNT_OF(input), &hash);
    memcpy(t->idem_hash, key.bytes, sizeof(t->idem_hash));
    memcpy(t->idem_input, hash.bytes, sizeof(t->idem_input));
    AUTO_STMT struct store_stmt *s = store_query(
        t->desk->reader,
        "SELECT idem_input, result, leaf, id FROM task WHERE idem_key = ?1 AND created_at > ?2");
    bool row = false;
    store_bind_blob(s, 1, t->idem_hash, sizeof(t->idem_hash));
    store_bind_int(s, 2, t->created_at - TASK_IDEMPOTENCY_US);
    *failed = store_step(s, &row, why);
    if (*failed != FAIL_NONE || !row) {
        return false;
    }
    size_t n = 0;
    const void *was = store_col_blob(s, 0, &n);
    if (n != sizeof(t->idem_input) || memcmp(was, t->idem_input, n) != 0) {
        *failed = FAULT(why, FAIL_IDEMPOTENCY_MISMATCH,
                        "this Idempotency-Key was used for another request");
        fail_hint(why, "Use a new key for a new request; a key is kept for 24 hours.");
        return false;
    }
    buf_add_str(&t->json, store_col_text(s, 1));
    t->leaf = store_col_int(s, 2);
    store_col_id(s, 3, &t->id);
    return true;
}

void climb_start(struct task *t)
{
    struct fault why;
    enum fail f = check_request(t, &why);
    if (f != FAIL_NONE) {
        task_fail(t, &why);
        return;
    }
    bool subject = t->subject[0] != '\0';
    t->input = arena_printf(t->arena, "%s%s%s", t->subject, subject ? "\n\n" : "", t->text);
    t->input_len = strlen(t->input);
    t->label = task_label_of(t->label, t->input, t->input_len);
    if (t->idem_key != NULL) {
        bool again = climb_answered_before(t, &why, &f);
        if (f != FAIL_NONE) {
            t->idem_key = NULL; /* not ours to store */
            task_fail(t, &why);
            return;
        }
        if (again) {
            t->state = TASK_DONE;
            task_finish(t);
            return;
        }
    }
    ladder_climb_begin(&t->climb, t->form, t->arena);
    stakes_find(t);
    next_step(t);
}

/* ---- reuse ---- */

/* The request as it counts: everything that could change the answer, in the whole trust domain. */
static void make_key(struct task *t)
{
    const char *parts[14 + LADDER_MAX_FIELDS];
    struct fleet_model embed, light, heavy;
    struct reuse_key release;
    char options[48], domain[TASK_DOMAIN_SIZE];
    size_t n = 0;
    fleet_model_get(t->desk->house.fleet, FLEET_EMBED, &embed);
    fleet_model_get(t->desk->house.fleet, FLEET_LIGHT, &light);
    fleet_model_get(t->desk->house.fleet, FLEET_HEAVY, &heavy);
    snprintf(options, sizeof(options), "%x %d %d", t->rungs, t->no_draft, t->choices_only);
    desk_domain(&t->who, t->form->dataset, domain, sizeof(domain));
    parts[n++] = INHOUSE_VERSION; /* rules, masks and checks are code */
    parts[n++] = t->form->release;
    parts[n++] = t->shelf != NULL ? t->shelf->release : NULL;
    parts[n++] = embed.sha256;
    parts[n++] = light.sha256;
    parts[n++] = heavy.sha256;
    parts[n++] = secrecy_name(t->label);
    parts[n++] = route_rules_release(t->desk->rules);
    parts[n++] = verdict_rules_release(t->desk->guard);
    parts[n++] = options;
    for (size_t i = 0; i < LADDER_MAX_FIELDS; i++) {
        parts[n++] = t->heads != NULL ? t->heads->release[i] : NULL;
    }
    reuse_key_make(parts, n, &release);
    text_hex(release.bytes, sizeof(release.bytes), t->reuse_release);
    const char *request[] = {domain, t->reuse_release, reuse_canonical(t->arena, t->subject),
                             reuse_canonical(t->arena, t->text)};
    reuse_key_make(request, COUNT_OF(request), &t->key);
    t->has_key = true;
}

/* The draft as it was stored: its text goes with the artifact again. */
static void take_draft(struct task *t, const char *draft)
{
    AUTO_JSON json_t *j = NULL;
    const char *text = NULL;
    if (draft[0] == '\0' ||
        jn_parse(draft, strlen(draft), "a stored draft", &j, NULL) != FAIL_NONE) {
        return;
    }
    t->draft_json = draft;
    text = json_string_value(json_object_get(j, "text"));
    t->draft_text = arena_dup_str(t->arena, text);
}

static void step_reuse(struct task *t)
{
    struct reuse_entry entry;
    struct fault why;
    bool found = false;
    const char *said = NULL;
    if (may(t, LADDER_REUSE) && t->stake == NULL && !t->own_form && !t->reproducible) {
        make_key(t);
        if (reuse_find(t->desk->reader, &t->key, t->arena, &entry, &found, &why) != FAIL_NONE) {
            note(t, LADDER_REUSE, LADDER_FAILED, arena_dup_str(t->arena, why.message));
        }
    }
    if (found) {
        char from[TEXT_ID_SIZE];
        reused_entry(t, &entry, REUSE_EXACT, 1);
        take_draft(t, entry.draft);
        said = arena_printf(t->arena, "same request as %s",
                            text_id_show(&entry.task, "tsk", from));
    } else if (t->has_key) {
        said = reused_document(t, &found);
    }
    if (said != NULL) {
        note(t, LADDER_REUSE, found ? LADDER_ANSWERED : LADDER_ABSTAINED, said);
    }
    bool drafted = t->draft_json != NULL || t->no_draft || t->shelf == NULL;
    if (found && t->reused_exact && drafted && ladder_open_count(&t->climb) == 0) {
        step_end(t);
    } else {
        next_step(t);
    }
}

/* With the embedding: a request that says the same, where the workflow asks for it. */
static void step_alike(struct task *t)
{
    bool found = false;
    if (t->form->reuse_semantic && t->has_key && t->embedding != NULL && !t->reused_exact &&
        ladder_open_count(&t->climb) > 0) {
        const char *said = reused_alike(t, &found);
        if (said != NULL) {
            note(t, LADDER_REUSE, found ? LADDER_ANSWERED : LADDER_ABSTAINED, said);
        }
    }
    next_step(t);
}

/* ---- rule: code alone ---- */

/* The subject if it says something, else the first sentence: copied, never written. */
static const char *copied_line(struct task *t, int max_chars, double *confidence)
{
    struct knowledge_span spans[8];
    const char *best = t->subject;
    size_t len = strlen(best);
    *confidence = 0.6; /* somebody chose these words as the title */
    if (text_utf8_count(best, len) < 12) {
        *confidence = 0.3; /* true, since copied; rarely the best line */
        size_t n = knowledge_split(t->text, strlen(t->text),
                                   knowledge_lang_from_code(t->lang), spans, COUNT_OF(spans));
        for (size_t i = 0; i < n; i++) {
            if (spans[i].len >= 25 || i + 1 == n) {
                best = t->text + spans[i].at;
                len = spans[i].len;
                break;
            }
        }
    }
    struct buf b;
    size_t chars = 0;
    buf_init(&b, 4096);
    for (size_t i = 0; i < len && chars < (size_t)max_chars; chars++) {
        uint32_t cp = ' ';
        size_t k = text_utf8_decode(best + i, len - i, &cp);
        k = k > 0 ? k : 1;
        if (cp <= ' ') {
            buf_add_char(&b, ' ');
        } else {
            buf_add(&b, best + i, k);
        }
        i += k;
    }
    char *copy = arena_dup_str(t->arena, b.len > 0 ? b.data : "");
    if (chars == (size_t)max_chars) {
        char *space = strrchr(copy, ' ');
        if (space != NULL && space > copy + max_chars / 2) {
            *space = '\0';
        }
    }
    buf_done(&b);
    return text_trim(copy);
}

static void step_rule(struct task *t)
{
    struct check_language lang = check_language(t->input, t->input_len);
    bool empty = t->input[strspn(t->input, " \t\r\n")] == '\0';
    bool answered = false;
    t->lang = arena_dup_str(t->arena, lang.code);
    for (size_t i = 0; i < t->form->fields_len && !empty && may(t, LADDER_RULE); i++) {
        const struct ladder_field *f = &t->form->fields[i];
        struct ladder_proposal p = {.rung = LADDER_RULE};
        if (f->type == LADDER_LANGUAGE) {
            p.value = t->lang;
            p.confidence = p.raw = lang.reliable;
        } else if (f->aid) {
            answered = aids_offer(t, i) || answered;
            continue;
        } else if (f->type == LADDER_LINE) {
            p.value = copied_line(t, f->max_chars, &p.confidence);
            p.raw = p.confidence;
        } else {
            continue;
        }
        answered = ladder_offer(&t->climb, i, &p) || answered;
    }
    note(t, LADDER_RULE, answered ? LADDER_ANSWERED : LADDER_SKIPPED,
         empty ? "the text is empty" : NULL);
    if (empty) {
        step_end(t);
    } else {
        next_step(t);
    }
}

/* ---- learned ---- */

static void on_embedded(void *arg, const struct fleet_answer *a)
{
    struct task *t = arg;
    t->ask = 0;
    if (a->code == FAIL_NONE && a->vectors != NULL) {
        t->dim = a->vectors->dim;
        t->embedding = arena_dup(t->arena, a->vectors->data, t->dim * sizeof(float));
        t->tokens_in += (int)a->vectors->tokens[0];
        memcpy(t->used[FLEET_EMBED], a->sha256, sizeof(t->used[FLEET_EMBED]));
        replay_note(t, FLEET_EMBED, a);
    }
    next_step(t);
}

/* A model that made room for another comes back for the tasks after this one. */
static void wake(const struct task *t, enum fleet_role role)
{
    if (t->desk->house.roster != NULL) {
        roster_wake(t->desk->house.roster, role);
    }
}

/* May the sentences of a draft be looked for? */
static bool drafts(const struct task *t)
{
    bool wanted = false;
    for (size_t i = 0; i < t->form->fields_len; i++) {
        wanted = wanted || t->form->fields[i].type == LADDER_DRAFT;
    }
    return wanted && !t->no_draft && t->shelf != NULL && t->stake == NULL;
}

/* Lighter first: does an open field need the embedding? What n-grams alone answer is kept. */
static bool heads_need_embedding(struct task *t)
{
    bool needed = false;
    if (t->heads == NULL || !may(t, LADDER_LEARNED)) {
        return false;
    }
    for (size_t i = 0; i < t->form->fields_len && !needed; i++) {
        const struct learn_head *head = t->heads->head[i];
        if (head == NULL || learn_head_dim(head) == 0 || !ladder_field_is_open(&t->climb, i)) {
            continue;
        }
        struct learn_prediction p;
        needed = !learn_predict_light(head, t->input, t->input_len, &p);
        if (!needed) {
            t->light[i] = arena_dup(t->arena, &p, sizeof(p));
        }
    }
    return needed;
}

/* The task's one embedding, of masked text: heads were trained on such. */
static void step_embed(struct task *t)
{
    bool wanted = !t->late && !t->cancelled;
    wanted = wanted && (heads_need_embedding(t) || drafts(t) || t->form->reuse_semantic);
    bool serving = wanted && !gate_role_is_off(t->desk, FLEET_EMBED) &&
                   fleet_is_serving(t->desk->house.fleet, FLEET_EMBED);
    if (wanted && !serving) {
        wake(t, FLEET_EMBED);
    }
    if (!serving) {
        next_step(t);
        return;
    }
    struct buf masked, body;
    char domain[128];
    buf_init(&masked, 2 * TASK_MAX_TEXT + 4096);
    buf_init(&body, IPC_FRAME_MAX);
    desk_domain(&t->who, t->form->dataset, domain, sizeof(domain));
    size_t len = text_utf8_cut(t->input, t->input_len < 8192 ? t->input_len : 8192);
    bool ok = guard_mask(t->input, len, NULL, &masked, NULL);
    const char *text = ok && masked.len > 0 ? masked.data : " ";
    ok = fleet_embed_body(&body, t->class, t->reproducible, domain, &text, 1);
    if (ok) {
        struct fleet_ask ask = {.role = FLEET_EMBED, .type = IPC_EMBED, .flags = IPC_FLAG_BULK,
                                .body = body.data, .len = body.len, .team = t->who.team,
                                .class = t->class, .deadline_us = t->due_us,
                                .done = on_embedded, .arg = t};
        t->asking = FLEET_EMBED;
        t->ask = fleet_ask(t->desk->house.fleet, &ask);
    }
    buf_done(&masked);
    buf_done(&body);
    if (!ok) {
        next_step(t);
    }
}

/* What the head says, with the embedding where it needs one; false: nothing. */
static bool ask_head(const struct task *t, size_t i, const struct learn_head *head,
                     struct learn_prediction *p)
{
    struct fault why;
    bool with = learn_head_dim(head) > 0;
    const char *embed = t->heads->embed[i];
    if (t->light[i] != NULL) {
        *p = *t->light[i];
        return p->n_top > 0;
    }
    /* Vectors of another model mean nothing to it, however sure it sounds. */
    bool other = with && embed[0] != '\0' && strcmp(embed, t->used[FLEET_EMBED]) != 0;
    return !(with && t->embedding == NULL) && !other &&
           learn_predict(head, t->input, t->input_len, with ? t->embedding : NULL, (int)t->dim, p,
                         &why) == FAIL_NONE &&
           p->n_top > 0;
}

static bool offer_learned(struct task *t, size_t i, const struct learn_head *head)
{
    struct learn_prediction p;
    if (!ask_head(t, i, head, &p)) {
        return false;
    }
    struct ladder_proposal offer = {.rung = LADDER_LEARNED, .raw = p.confidence,
                                    .value = learn_head_label(head, p.top[0].label)};
    offer.value = arena_dup_str(t->arena, offer.value);
    /* A definition may have dropped a label since the head was trained. */
    if (!t->form->fields[i].labels_learned &&
        ladder_label_find(&t->form->fields[i], offer.value) < 0) {
        return false;
    }
    for (size_t k = 0; k < p.n_top && k < LADDER_MAX_CANDIDATES; k++) {
        offer.candidates[offer.candidates_len++] = (struct ladder_candidate){
            arena_dup_str(t->arena, learn_head_label(head, p.top[k].label)), p.top[k].p};
    }
    if (p.n_nearest > 0 && t->nearest_ref == NULL && p.nearest[0].ref[0] != '\0') {
        t->nearest = p.nearest[0];
        t->nearest_ref = arena_dup_str(t->arena, p.nearest[0].ref);
    }
    if (p.refused) {
        offer.checks[offer.checks_len++] = (struct ladder_check){
            "scope", false,
            arena_printf(t->arena, "less like the examples than %.1f %% of them",
                         100 * (double)p.none)};
    }
    heads_check_language(t, i, &offer);
    return ladder_offer(&t->climb, i, &offer);
}

static void step_learned(struct task *t)
{
    bool answered = false;
    bool light = false;
    if (t->heads == NULL || !may(t, LADDER_LEARNED)) {
        note(t, LADDER_LEARNED, LADDER_SKIPPED,
             t->heads == NULL ? "nothing learned yet" : "not asked for");
        next_step(t);
        return;
    }
    for (size_t i = 0; i < t->form->fields_len; i++) {
        if (t->heads->head[i] != NULL && ladder_field_is_open(&t->climb, i)) {
            answered = offer_learned(t, i, t->heads->head[i]) || answered;
            light = light || t->light[i] != NULL;
        }
        if (t->heads->found[i] != NULL && ladder_field_is_open(&t->climb, i)) {
            answered = found_offer(t, i, t->heads->found[i]) || answered;
        }
    }
    note(t, LADDER_LEARNED, answered ? LADDER_ANSWERED : LADDER_ABSTAINED,
         !answered                        ? "no embedding, or what is held is surer"
         : light && t->embedding == NULL ? "by its words alone, no embedding was needed"
                                          : NULL);
    next_step(t);
}

/* ---- the draft: chosen sentences ---- */

static const char *known_lang(const struct task *t)
{
    int i = ladder_field_find(t->form, "language");
    return i >= 0 && t->climb.held[i].set ? t->climb.held[i].value : t->lang;
}

static void step_draft(struct task *t)
{
    if (drafts(t)) {
        draft_compose(t, known_lang(t));
    }
    next_step(t);
}

/* ---- models ---- */

static void on_form(void *arg, const struct fleet_answer *a, enum ladder_rung rung)
{
    struct task *t = arg;
    struct ladder_step s = {.rung = rung, .ms = clock_ms_since(t->step_us)};
    t->ask = 0;
    if (a->code != FAIL_NONE || a->form == NULL) {
        s.verdict = LADDER_FAILED;
        s.note = t->late ? "the deadline has passed"
                         : arena_dup_str(t->arena, a->why != NULL ? a->why->message : "no answer");
    } else {
        size_t open = ladder_open_count(&t->climb);
        double before = 0, after = 0;
        for (size_t i = 0; i < t->form->fields_len; i++) {
            before += t->climb.held[i].confidence;
        }
        enum fleet_role role = rung == LADDER_LIGHT ? FLEET_LIGHT : FLEET_HEAVY;
        memcpy(t->used[role], a->sha256, sizeof(t->used[role]));
        replay_note(t, role, a);
        t->refused = NULL;
        form_ask_take(t, rung, a->form);
        s.note = t->refused;
        for (size_t i = 0; i < t->form->fields_len; i++) {
            after += t->climb.held[i].confidence;
        }
        s.tokens_in = (int)a->form->tokens_in;
        s.tokens_cached = (int)a->form->tokens_cached;
        s.tokens_out = (int)a->form->tokens_out;
        t->tokens_in += s.tokens_in;
        t->tokens_cached += s.tokens_cached;
        t->tokens_out += s.tokens_out;
        where_took(t->desk, rung, s.ms);
        bool better = after > before || ladder_open_count(&t->climb) < open;
        s.verdict = better ? LADDER_ANSWERED : LADDER_ABSTAINED;
    }
    ladder_step_add(&t->climb, &s);
    next_step(t);
}

static void on_light(void *arg, const struct fleet_answer *a)
{
    on_form(arg, a, LADDER_LIGHT);
}

static void on_heavy(void *arg, const struct fleet_answer *a)
{
    on_form(arg, a, LADDER_HEAVY);
}

static void step_model(struct task *t, enum ladder_rung rung, enum fleet_role role,
                       fleet_done_fn done)
{
    const char *why_not = NULL;
    bool here = fleet_is_serving(t->desk->house.fleet, role);
    bool elsewhere = !here && hosted_serves(t, rung);
    if (!may(t, rung)) {
        why_not = "not asked for";
    } else if (t->route != NULL && (t->route->go == ROUTE_PERSON ||
                                    (t->route->go == ROUTE_HOSTED && !t->hosted_failed))) {
        why_not = arena_printf(t->arena, "rule %s: %s", t->route->name,
                               route_go_name(t->route->go));
    } else if (here && gate_role_is_off(t->desk, role)) {
        why_not = "its model is switched off";
    } else if (!here && !elsewhere) {
        why_not = "no model is loaded";
        wake(t, role);
    } else if (t->late || t->cancelled) {
        why_not = "the deadline has passed";
    } else if (t->rungs == ~0u || (t->form->skip & 1u << rung) == 0) {
        ladder_wants(&t->climb, rung, &why_not);
    } /* else it is left out by measurement, and asked for by name */
    struct buf body;
    buf_init(&body, IPC_FRAME_MAX);
    bool built = why_not == NULL &&
                 (elsewhere ? hosted_ask_role(t, rung) : form_ask_build(t, rung, &body));
    if (why_not == NULL && !built) {
        why_not = "nothing is open that a model could fill";
    }
    if (why_not != NULL) {
        note(t, rung, LADDER_SKIPPED, why_not);
        buf_done(&body);
        next_step(t);
        return;
    }
    if (elsewhere) {
        buf_done(&body);
        return;
    }
    char domain[128];
    desk_domain(&t->who, t->form->dataset, domain, sizeof(domain));
    struct fleet_ask ask = {.role = role, .type = IPC_FORM, .body = body.data, .len = body.len,
                            .released = form_ask_is_released(t) ? domain : NULL,
                            .plan = t->plan, .team = t->who.team, .class = t->class,
                            .deadline_us = t->due_us, .done = done, .arg = t};
    t->asking = role;
    t->ask = fleet_ask(t->desk->house.fleet, &ask);
    buf_done(&body);
}

static void step_light(struct task *t)
{
    step_model(t, LADDER_LIGHT, FLEET_LIGHT, on_light);
}

static void step_heavy(struct task *t)
{
    step_model(t, LADDER_HEAVY, FLEET_HEAVY, on_heavy);
}

/* ---- where, and the hosted rung ---- */

/* The rules are asked once the cheap rungs have spoken and something is left for a model. When the
   rule sends the task out and that cannot be, the local rungs are asked after all. */
static void step_where(struct task *t)
{
    if (ladder_open_count(&t->climb) > 0 && !t->own_form) {
        where_decide(t);
    }
    if (t->route != NULL && t->route->go == ROUTE_HOSTED && may(t, LADDER_HOSTED)) {
        const char *why_not = hosted_why_not(t);
        t->hosted_tried = t->hosted_failed = why_not != NULL;
        if (why_not != NULL) {
            note(t, LADDER_HOSTED, LADDER_SKIPPED, why_not);
        }
    } else if (!may(t, LADDER_HOSTED)) {
        t->hosted_failed = true;
    }
    next_step(t);
}

void climb_after_role(struct task *t, bool answered)
{
    if (answered) {
        where_took(t->desk, t->call_rung, clock_ms_since(t->step_us));
    }
    next_step(t);
}

void climb_after_hosted(struct task *t, bool answered)
{
    if (answered) {
        where_took(t->desk, LADDER_HOSTED, clock_ms_since(t->step_us));
    } else if (!t->late && !t->cancelled) {
        t->hosted_failed = true;
        t->step = STEP_LIGHT;
    }
    next_step(t);
}

static void step_hosted(struct task *t)
{
    const char *why_not = !may(t, LADDER_HOSTED) ? "not asked for" : hosted_why_not(t);
    bool silent = t->hosted_tried || t->desk->house.hosted.call == NULL;
    t->hosted_tried = true;
    if (silent) {
        next_step(t);
    } else if (why_not != NULL) {
        note(t, LADDER_HOSTED, LADDER_SKIPPED, why_not);
        next_step(t);
    } else if (!hosted_ask(t)) {
        note(t, LADDER_HOSTED, LADDER_SKIPPED, "nothing is open that a model could fill");
        next_step(t);
    }
}

/* ---- the end ---- */

static void step_out(struct task *t)
{
    struct fault why;
    if (t->cancelled) {
        FAULT(&why, FAIL_STOPPED, "the client left");
        task_fail(t, &why);
        return;
    }
    size_t open = ladder_open_count(&t->climb);
    t->step_us = clock_monotonic_us();
    if (open > 0 || t->stake != NULL) {
        t->state = TASK_WAITING_PERSON;
        const char *reason =
            t->stake != NULL ? arena_printf(t->arena, "%s always goes to a person", t->stake)
                             : arena_printf(t->arena, "%zu field%s not sure enough", open,
                                            open == 1 ? " is" : "s are");
        note(t, LADDER_PERSON, LADDER_ANSWERED, reason);
    } else {
        t->state = TASK_DONE;
    }
    record_form(t);
}

static void step_end(struct task *t)
{
    pass_out_form(t, step_out);
}
