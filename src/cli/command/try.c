/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse try: would this have worked on our own tickets? Learns on the older 70 %, answers the
 * newer 30 %, and holds the answers against what people did. Works in a throw-away data folder
 * inside HOME, which is gone afterwards; sends nothing anywhere. Threads: one.
 */
#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "run/models/models.h"
#include "work/workflow/workflow.h"

#define WORKFLOW "try"
#define DEFAULT_LIMIT 5000
#define TARGET_ERROR 0.05
#define MIN_DECIDED 20
#define ALPHA 0.05
#define SHOWN_PAIRS 3

/* ---- the throw-away house ---- */

static int drop_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void drop_folder(const char *path)
{
    (void)nftw(path, drop_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Links the models that may take part into the new house. */
static enum fail borrow_models(struct cli *cli, const char *home, struct try_outcome *o,
                               struct fault *why)
{
    static const char *const roles[] = {"embed", "light", "heavy"};
    bool *const has[] = {&o->embed, &o->light, &o->heavy};
    const bool wanted[] = {true, cli_option(cli, "no-light") == NULL,
                           cli_option(cli, "heavy") != NULL};
    struct models *from = NULL, *to = NULL;
    enum fail f = models_open(cli->home, &from, why);
    f = f == FAIL_NONE ? models_open(home, &to, why) : f;
    for (size_t i = 0; f == FAIL_NONE && i < COUNT_OF(roles); i++) {
        char path[CLIENT_PATH_SIZE + 80];
        const struct models_entry *e = wanted[i] ? models_find(from, roles[i]) : NULL;
        if (e == NULL || strcmp(e->role, roles[i]) != 0) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/models/%s", cli->home, e->sha256);
        struct models_add add = {.path = path,
                                 .name = e->name,
                                 .role = e->role,
                                 .source = e->source,
                                 .licence = e->licence,
                                 .sha256 = e->sha256,
                                 .link = true};
        f = models_add(to, &add, NULL, NULL, NULL, why);
        *has[i] = f == FAIL_NONE;
    }
    models_close(to);
    models_close(from);
    return f;
}

static enum fail new_house(struct cli *cli, struct cli *inner, struct try_outcome *o,
                           struct fault *why)
{
    struct models *m = NULL;
    char from[CLIENT_PATH_SIZE + 16], to[CLIENT_PATH_SIZE + 16];
    enum fail f = models_open(cli->home, &m, why); /* makes HOME when there is none */
    models_close(m);
    *inner = *cli;
    inner->client = NULL;
    inner->url = NULL;
    inner->key = NULL;
    int n = snprintf(inner->home, sizeof(inner->home), "%.4000s/try-XXXXXX", cli->home);
    if (f == FAIL_NONE && (n < 0 || mkdtemp(inner->home) == NULL)) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot make a folder in %s", cli->home);
    }
    if (f != FAIL_NONE) {
        inner->home[0] = '\0';
        return f;
    }
    /* The same engine and thread settings, if there are any. */
    (void)snprintf(from, sizeof(from), "%s/inhouse.yaml", cli->home);
    (void)snprintf(to, sizeof(to), "%s/inhouse.yaml", inner->home);
    (void)!link(from, to);
    return borrow_models(cli, inner->home, o, why);
}

/* ---- definition and examples ---- */

static enum fail make_workflow(struct cli *inner, const struct try_set *s, bool articles,
                               struct fault *why)
{
    const char *names[TRY_MAX_FIELDS];
    size_t map[TRY_MAX_FIELDS], fields = 0;
    struct buf yaml, whole;
    for (size_t i = 0; i < s->fields_len; i++) {
        if (s->fields[i].why_not[0] == '\0') {
            map[fields] = i;
            names[fields++] = s->fields[i].name;
        }
    }
    struct workflow_example *list = mem_alloc_array(s->older + 1, sizeof(*list));
    const char **values = mem_alloc_array((s->older + 1) * fields, sizeof(*values));
    for (size_t i = 0; i < s->older; i++) {
        for (size_t k = 0; k < fields; k++) {
            values[i * fields + k] = s->tickets[i].values[map[k]];
        }
        list[i] =
            (struct workflow_example){.n = fields, .names = names, .values = values + i * fields};
    }
    buf_init(&yaml, WORKFLOW_MAX_BYTES);
    buf_init(&whole, WORKFLOW_MAX_BYTES);
    enum fail f = workflow_from_examples(WORKFLOW, list, s->older, &yaml, why);
    if (f == FAIL_NONE) {
        char *prompt = strstr(yaml.data, "\nprompt:");
        ASSERT(prompt != NULL);
        (void)buf_add(&whole, yaml.data, (size_t)(prompt - yaml.data) + 1);
        (void)buf_add_str(&whole,
                          "  - name: language\n    type: language\n    target_error: 0.05\n");
        if (articles) {
            (void)buf_add_str(&whole, "  - name: reply\n    type: draft\n    target_error: 0.05\n");
        }
        (void)buf_add_str(&whole, prompt + 1);
        if (articles) {
            (void)buf_add_str(
                &whole, "dataset: " WORKFLOW "\nframes:\n  en:\n    greeting: \"Hello {name},\"\n"
                        "    greeting_plain: \"Hello,\"\n    sign_off: \"Kind regards\"\n");
        }
        f = cli_send(inner, "PUT", "/api/v1/workflows/" WORKFLOW, "application/yaml", whole.data,
                     whole.len, NULL, why);
    }
    buf_done(&yaml);
    buf_done(&whole);
    mem_free(list);
    mem_free(values);
    return f;
}

static enum fail learn_older(struct cli *inner, const struct try_set *s, json_t **report,
                             struct fault *why)
{
    FILE *file = tmpfile();
    char at[CLOCK_RFC3339_SIZE];
    if (file == NULL) {
        return FAULT_ERRNO(why, FAIL_INTERNAL, "cannot make a temporary file");
    }
    for (size_t i = 0; i < s->older; i++) {
        const struct try_ticket *t = &s->tickets[i];
        json_t *expected = json_object();
        for (size_t k = 0; k < s->fields_len; k++) {
            if (s->fields[k].why_not[0] == '\0' && t->values[k] != NULL) {
                (void)json_object_set_new(expected, s->fields[k].name, json_string(t->values[k]));
            }
        }
        if (json_object_size(expected) == 0) {
            json_decref(expected);
            continue;
        }
        json_t *line = json_pack("{s:s,s:s,s:o}", "id", t->id, "text",
                                 t->text != NULL ? t->text : "", "expected", expected);
        if (t->subject != NULL) {
            (void)json_object_set_new(line, "subject", json_string(t->subject));
        }
        if (t->at_us > 0) {
            (void)json_object_set_new(line, "at", json_string(clock_show(t->at_us, at)));
        }
        if (t->reply != NULL) {
            (void)json_object_set_new(line, "reply", json_string(t->reply));
        }
        (void)json_dumpf(line, file, JSON_COMPACT);
        fputc('\n', file);
        json_decref(line);
    }
    enum fail f = learn_send(inner, WORKFLOW, file, report, why);
    (void)fclose(file);
    return f;
}

/* ---- answering the newer part ---- */

struct answering {
    struct try_set *set;
    struct try_outcome *o;
    size_t next, done;
};

static enum rows_state next_newer(void *arg, struct ticket *t, json_t **keep)
{
    struct answering *a = arg;
    if (a->next == a->set->n) {
        return ROWS_END;
    }
    const struct try_ticket *from = &a->set->tickets[a->next++];
    *t = (struct ticket){.subject = from->subject, .text = from->text != NULL ? from->text : "",
                         .expected = json_object()};
    (void)text_copy(t->id, sizeof(t->id), from->id);
    for (size_t k = 0; k < a->set->fields_len; k++) {
        if (a->set->fields[k].why_not[0] == '\0' && from->values[k] != NULL) {
            (void)json_object_set_new(t->expected, a->set->fields[k].name,
                                      json_string(from->values[k]));
        }
    }
    *keep = NULL;
    return ROWS_ROW;
}

static void count_language(struct try_outcome *o, const char *code)
{
    size_t i = 0;
    while (i < o->languages_len && strcmp(o->languages[i].code, code) != 0) {
        i++;
    }
    if (i == o->languages_len) {
        if (i == COUNT_OF(o->languages)) {
            return;
        }
        (void)text_copy(o->languages[i].code, sizeof(o->languages[i].code),
                        code[0] != '\0' ? code : "und");
        o->languages_len++;
    }
    o->languages[i].n++;
}

static void keep_pair(struct try_outcome *o, const struct try_ticket *t, const json_t *result)
{
    size_t i;
    json_t *s;
    struct buf b;
    if (o->pairs_len == TRY_MAX_PAIRS || t->reply == NULL) {
        return;
    }
    buf_init(&b, 4096);
    json_array_foreach(json_object_get(json_object_get(result, "draft"), "sources"), i, s) {
        (void)buf_printf(&b, "%s%.120s", i > 0 ? ", " : "", cli_str(s, "title"));
    }
    o->pairs[o->pairs_len++] =
        (struct try_pair){t, mem_dup_str(result_draft(result)), buf_take(&b)};
}

static void on_newer(void *arg, const struct ticket *t, const json_t *result,
                     const struct fault *why)
{
    struct answering *a = arg;
    struct try_outcome *o = a->o;
    const struct try_ticket *from = &a->set->tickets[a->set->older + a->done++];
    bool whole = true;
    (void)why;
    if (result == NULL) {
        return;
    }
    run_measure(&o->measure, t, result);
    for (size_t k = 0; k < a->set->fields_len; k++) {
        struct try_field *f = &a->set->fields[k];
        const json_t *r = f->why_not[0] == '\0' ? result_field(result, f->name) : NULL;
        whole = whole && (r == NULL || strcmp(cli_str(r, "rung"), "person") != 0);
        if (r != NULL && from->values[k] != NULL) {
            f->confidence[f->n] = (float)json_number_value(json_object_get(r, "confidence"));
            f->right[f->n++] = strcmp(cli_str(r, "value"), from->values[k]) == 0;
        }
    }
    o->whole += whole ? 1 : 0;
    count_language(o, cli_str(result_field(result, "language"), "value"));
    if (result_draft(result) != NULL) {
        o->drafts++;
        keep_pair(o, from, result);
    }
}

/* ---- trust ---- */

struct scored {
    float confidence;
    bool right;
};

static int by_confidence(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    return (x->confidence < y->confidence) - (x->confidence > y->confidence);
}

struct try_trust try_trust_of(const struct try_field *f, double target)
{
    struct try_trust best = {.items = 0};
    struct scored *s = mem_alloc_array(f->n + 1, sizeof(*s));
    size_t wrong = 0, fifth = f->n / 5 > 0 ? f->n / 5 : 1;
    for (size_t i = 0; i < f->n; i++) {
        s[i] = (struct scored){f->confidence[i], f->right[i]};
    }
    qsort(s, f->n, sizeof(*s), by_confidence);
    for (size_t i = 0; i < f->n; i++) {
        wrong += s[i].right ? 0 : 1;
        double error = (double)wrong / (double)(i + 1), share = (double)(i + 1) / (double)f->n;
        if (i + 1 == fifth) {
            best.best_error = error;
        }
        bool edge = i + 1 == f->n || s[i + 1].confidence < s[i].confidence;
        int64_t decided =
            edge && i + 1 >= MIN_DECIDED ? measure_items_needed(target, error, ALPHA, 100000) : 0;
        int64_t items = decided > 0 ? (int64_t)ceil((double)decided / share) : 0;
        /* Fewer reviewed tickets first; among similar ones, the larger share. */
        if (items > 0 && (best.items == 0 || (double)items < 1.1 * (double)best.items)) {
            best.reachable = true;
            best.items = items;
            best.share = share;
            best.error = error;
        }
    }
    mem_free(s);
    return best;
}

/* ---- saying it ---- */

static const struct measure_field *measured(const struct measure_run *m, const char *name)
{
    for (size_t i = 0; i < m->fields_len; i++) {
        if (strcmp(m->fields[i].name, name) == 0) {
            return &m->fields[i];
        }
    }
    return NULL;
}

static void say_reading(const struct try_set *s)
{
    static const char *const ours[TRY_COLUMNS] = {"id", "time", "subject", "text", "reply"};
    char a[CLOCK_RFC3339_SIZE], b[CLOCK_RFC3339_SIZE];
    printf("Read %zu tickets", s->n);
    if (s->dated) {
        printf(" from %.10s to %.10s", clock_show(s->tickets[0].at_us, a),
               clock_show(s->tickets[s->n - 1].at_us, b));
    }
    printf("%s.\n  columns:",
           s->dated ? "" : " (no times in them: the file's order is taken as time)");
    for (int c = 0; c < TRY_COLUMNS; c++) {
        if (s->columns[c][0] != '\0') {
            printf(" %s=%s", ours[c], s->columns[c]);
        }
    }
    printf("\n  people decided:");
    for (size_t i = 0; i < s->fields_len; i++) {
        printf("%s %s (%zu values)", i > 0 ? "," : "", s->fields[i].column, s->fields[i].values);
    }
    printf("\n");
    for (size_t i = 0; i < s->fields_len; i++) {
        if (s->fields[i].why_not[0] != '\0') {
            printf("  %s is left out: %s\n", s->fields[i].name, s->fields[i].why_not);
        }
    }
    if (s->skipped > 0) {
        printf("  %zu rows had no text or no value and were skipped\n", s->skipped);
    }
    if (s->beyond > 0) {
        printf("  %zu rows beyond the limit were not read (--limit)\n", s->beyond);
    }
    printf("  learned on the older %zu, answered the newer %zu; %zu tickets have a sent reply\n",
           s->older, s->n - s->older, s->replies);
}

static void say_fields(struct cli *cli, const struct try_outcome *o)
{
    static const char *const columns[] = {
        "field",          ">newer tickets", ">right", ">among three", ">always \"most frequent\"",
        ">decided alone", ">wrong of those"};
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    for (size_t i = 0; i < o->set->fields_len; i++) {
        const struct try_field *f = &o->set->fields[i];
        const struct measure_field *m = measured(&o->measure, f->name);
        if (f->why_not[0] != '\0' || m == NULL) {
            continue;
        }
        char n[24], right[16], top3[16], majority[16], decided[16], wrong[16];
        struct measure_tally d = {m->n, m->decided};
        struct measure_tally w = {m->known_decided.n, m->known_decided.n - m->known_decided.right};
        (void)snprintf(n, sizeof(n), "%lld", (long long)m->known.n);
        (void)snprintf(majority, sizeof(majority), "%.1f %%", 100 * f->majority);
        const char *cells[] = {f->name,
                               n,
                               measure_percent(m->known, right),
                               measure_percent(m->top3, top3),
                               majority,
                               measure_percent(d, decided),
                               measure_percent(w, wrong)};
        measure_table_row(t, cells);
    }
    printf("\nAgainst what people decided on the newer tickets:\n");
    cli_print_table(cli, t);
}

static void say_trust(const struct try_outcome *o)
{
    printf("\nUntil it may decide alone with at most %.0f %% errors (an exact test at 95 %% "
           "confidence):\n",
           100 * TARGET_ERROR);
    for (size_t i = 0; i < o->set->fields_len; i++) {
        const struct try_field *f = &o->set->fields[i];
        if (f->why_not[0] != '\0' || f->n == 0) {
            continue;
        }
        struct try_trust t = try_trust_of(f, TARGET_ERROR);
        if (t.reachable) {
            printf("  %s: about %lld reviewed tickets", f->name, (long long)t.items);
            if (o->per_day > 0) {
                printf(" (%.0f days at your %.1f a day)", ceil((double)t.items / o->per_day),
                       o->per_day);
            }
            printf(", then for about %.0f %% of them (error seen there: %.1f %%)\n", 100 * t.share,
                   100 * t.error);
        } else {
            printf("  %s: not with what was seen: of its most certain fifth %.0f %% were wrong. It "
                   "proposes; people "
                   "decide.\n",
                   f->name, 100 * t.best_error);
        }
    }
}

static void say_minutes(const struct try_outcome *o)
{
    double n = (double)o->measure.tasks, sorted = (double)o->whole * o->minutes_sort;
    double drafted = (double)o->drafts * o->minutes_reply;
    if (n == 0) {
        return;
    }
    printf("\nMinutes, assuming %.1f for sorting a ticket by hand and %.1f saved by a draft that "
           "is used:\n"
           "  today %zu of %.0f tickets would be sorted without a person: %.0f minutes; %zu got a "
           "draft: up to %.0f "
           "minutes.\n  The assumption is yours: --minutes-sort, --minutes-reply. A pilot measures "
           "it.\n",
           o->minutes_sort, o->minutes_reply, o->whole, n, sorted, o->drafts, drafted);
}

static void say_languages(const struct try_outcome *o)
{
    printf("\nLanguages of the newer tickets:");
    for (size_t i = 0; i < o->languages_len; i++) {
        printf("%s %s %zu", i > 0 ? "," : "", o->languages[i].code, o->languages[i].n);
    }
    printf("\n");
}

static void say_pairs(const struct try_outcome *o)
{
    if (!o->articles) {
        printf("\nDrafts: none, for there are no articles to write from. Add yours: --articles "
               "FOLDER\n");
        return;
    }
    printf("\nDrafts: %zu of %lld tickets got one.\n", o->drafts, (long long)o->measure.tasks);
    for (size_t i = 0; i < o->pairs_len && i < SHOWN_PAIRS; i++) {
        const struct try_pair *p = &o->pairs[i];
        printf("\n%s %s\n  draft (from %s):\n", p->ticket->id,
               p->ticket->subject != NULL ? p->ticket->subject : "",
               p->sources[0] != '\0' ? p->sources : "-");
        cli_print_wrapped(p->draft, 4, 80);
        printf("  what was sent:\n");
        AUTO_FREE char *sent = mem_dup_strn(
            p->ticket->reply,
            text_utf8_cut(p->ticket->reply,
                          strlen(p->ticket->reply) < 600 ? strlen(p->ticket->reply) : 600));
        cli_print_wrapped(sent, 4, 80);
    }
}

static json_t *outcome_json(struct try_outcome *o, const char *page)
{
    json_t *j = run_summary_json(&o->measure, &o->counts), *trust = json_object(),
           *languages = json_object();
    for (size_t i = 0; i < o->set->fields_len; i++) {
        const struct try_field *f = &o->set->fields[i];
        struct try_trust t = try_trust_of(f, TARGET_ERROR);
        if (f->why_not[0] == '\0') {
            (void)json_object_set_new(trust, f->name,
                                      json_pack("{s:b,s:I,s:f,s:f,s:f}", "reachable", t.reachable,
                                                "items", (json_int_t)t.items, "share", t.share,
                                                "error", t.error, "majority", f->majority));
        }
    }
    for (size_t i = 0; i < o->languages_len; i++) {
        (void)json_object_set_new(languages, o->languages[i].code,
                                  json_integer((json_int_t)o->languages[i].n));
    }
    (void)json_object_set_new(j, "trust", trust);
    (void)json_object_set_new(j, "languages", languages);
    (void)json_object_set_new(j, "older", json_integer((json_int_t)o->set->older));
    (void)json_object_set_new(j, "newer", json_integer((json_int_t)(o->set->n - o->set->older)));
    (void)json_object_set_new(j, "drafts", json_integer((json_int_t)o->drafts));
    (void)json_object_set_new(j, "decided_whole", json_integer((json_int_t)o->whole));
    (void)json_object_set_new(j, "learn_seconds", json_real(o->learn_s));
    (void)json_object_set_new(j, "answer_seconds", json_real(o->answer_s));
    (void)json_object_set_new(j, "page", json_string(page));
    return j;
}

/* ---- the command ---- */

static enum fail answer_newer(struct cli *inner, struct try_set *s, struct try_outcome *o,
                              struct fault *why)
{
    struct progress bar;
    struct answering a = {.set = s, .o = o, .next = s->older};
    struct run_options r = {.workflow = WORKFLOW,
                            .class = "workflow",
                            .no_artifact = true,
                            .flight = 8,
                            .no_draft = !o->articles,
                            .on_result = on_newer,
                            .arg = &a,
                            .next = next_newer,
                            .total = (int64_t)(s->n - s->older)};
    int64_t start = clock_monotonic_us();
    progress_begin(&bar, inner, "answering the newer ones");
    enum fail f = run_tickets(inner, &r, &bar, &o->counts, why);
    o->answer_s = clock_ms_since(start) / 1000;
    o->measure.seconds = o->answer_s;
    return f == FAIL_NONE && o->counts.interrupted ? FAULT(why, FAIL_STOPPED, "stopped") : f;
}

static enum fail work(struct cli *cli, struct cli *inner, struct try_set *s, struct try_outcome *o,
                      json_t **report, struct fault *why)
{
    enum fail f = new_house(cli, inner, o, why);
    int64_t start = clock_monotonic_us();
    if (f == FAIL_NONE && !o->embed) {
        cli_note(
            cli,
            "no embedding model in %s: learning from words alone (inhouse models import FOLDER)",
            cli->home);
    }
    f = f == FAIL_NONE ? make_workflow(inner, s, o->articles, why) : f;
    if (f == FAIL_NONE && o->articles) {
        inner->words[0] = WORKFLOW;
        inner->words[1] = cli_option(cli, "articles");
        inner->words_len = 2;
        f = command_datasets_add(inner) >= COMMAND_USAGE
                ? FAULT(why, FAIL_BAD_REQUEST, "the articles were not taken")
                : FAIL_NONE;
    }
    f = f == FAIL_NONE ? learn_older(inner, s, report, why) : f;
    o->learned = *report;
    o->learn_s = clock_ms_since(start) / 1000;
    return f == FAIL_NONE ? answer_newer(inner, s, o, why) : f;
}

/* Also after an interruption: cleaning up is not interrupted by the same key, but by a second
   one. */
static void leave(struct cli *inner)
{
    struct fault why;
    sig_atomic_t interrupted = cli_interrupted;
    cli_interrupted = 0;
    if (inner->client != NULL) {
        (void)!cli_send(inner, "POST", "/api/v1/stop", NULL, "{}", 2, NULL, &why);
        (void)client_wait_gone(inner->client, 10000);
        client_close(inner->client);
        inner->client = NULL;
    }
    if (inner->home[0] != '\0') {
        drop_folder(inner->home);
    }
    cli_interrupted = interrupted != 0 ? interrupted : cli_interrupted;
}

static bool read_minutes(struct cli *cli, const char *name, double otherwise, double *out)
{
    const char *v = cli_option(cli, name);
    *out = otherwise;
    if (v != NULL && (!text_read_double(v, out) || *out < 0 || *out > 1000)) {
        cli_usage(cli, "--%s must be a number of minutes", name);
        return false;
    }
    return true;
}

static int report_all(struct cli *cli, struct try_outcome *o)
{
    struct fault why;
    char page[CLIENT_PATH_SIZE + 64], at[CLOCK_RFC3339_SIZE];
    const char *given = cli_option(cli, "page");
    (void)snprintf(page, sizeof(page), "%s/try-%.10s.html", cli->home,
                   clock_show(clock_now_us(), at));
    if (given != NULL) {
        (void)text_copy(page, sizeof(page), given);
    }
    if (try_page(o, page, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        json_t *j AUTO_JSON = outcome_json(o, page);
        cli_print_json(j);
        return COMMAND_OK;
    }
    say_reading(o->set);
    say_languages(o);
    say_fields(cli, o);
    say_trust(o);
    say_minutes(o);
    say_pairs(o);
    printf("\nTook %.0f s to learn and %.0f s to answer (%s%s%s). Nothing was sent anywhere; the "
           "working folder is gone.\n"
           "A page to forward: %s\n",
           o->learn_s, o->answer_s, o->embed ? "embeddings" : "words alone",
           o->light ? ", light model" : "", o->heavy ? ", heavy model" : "", page);
    return COMMAND_OK;
}

int command_try(struct cli *cli)
{
    struct fault why = {0};
    struct try_set *s = NULL;
    struct cli inner = {.home = ""};
    json_t *report AUTO_JSON = NULL;
    int64_t limit;
    const char *maps[CLI_MAX_WORDS] = {0};
    struct try_outcome *o = mem_alloc(sizeof(*o));
    for (int i = 1; i < cli->words_len; i++) {
        maps[i - 1] = cli->words[i];
    }
    if (!cli_number(cli, "limit", 40, 100000, DEFAULT_LIMIT, &limit) ||
        !read_minutes(cli, "minutes-sort", 1, &o->minutes_sort) ||
        !read_minutes(cli, "minutes-reply", 3, &o->minutes_reply)) {
        mem_free(o);
        return COMMAND_USAGE;
    }
    measure_run_init(&o->measure);
    o->file = strrchr(cli->words[0], '/') != NULL ? strrchr(cli->words[0], '/') + 1 : cli->words[0];
    o->articles = cli_option(cli, "articles") != NULL;
    enum fail f = try_read(cli, cli->words[0], maps, (size_t)limit, &s, &why);
    int status;
    if (f == FAIL_NONE) {
        o->set = s;
        double days =
            s->dated ? (double)(s->tickets[s->n - 1].at_us - s->tickets[0].at_us) / 86400e6 : 0;
        o->per_day = days > 1 ? (double)s->n / days : 0;
        f = work(cli, &inner, s, o, &report, &why);
        leave(&inner);
    }
    status = f == FAIL_NONE ? report_all(cli, o) : cli_fail(cli, &why);
    for (size_t i = 0; i < o->pairs_len; i++) {
        mem_free(o->pairs[i].draft);
        mem_free(o->pairs[i].sources);
    }
    measure_run_done(&o->measure);
    try_free(s);
    mem_free(o);
    return status;
}
