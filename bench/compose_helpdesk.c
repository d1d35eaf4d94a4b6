/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: composed drafts on the example company: how many are offered, how many from the right
 * article, how many tickets without an answer get none, and how many of the sentences that people
 * sent are among the chosen ones.
 *
 * Use:  compose_helpdesk FOLDER                  words alone, and with past tickets
 *       compose_helpdesk FOLDER VECTORS          also with VECTORS/{units,past,new}.f32 (384 floats
 *       a row)
 *       compose_helpdesk --texts FOLDER OUT      writes OUT/{units,past,new}.jsonl for
 *       tools/reference_embed.py --json
 * Exit: 1 when fewer drafts are offered, or more wrong ones, than we promise (with past tickets).
 * Owns: everything it loads. Threads: one. Ends with `row` lines.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/check/check.h"
#include "answer/compose/compose.h"
#include "answer/learn/learn.h"
#include "base/clock/clock.h"
#include "base/json/json.h"
#include "base/mem/mem.h"

#define DIM 384
#define MAX_TICKETS 4000

struct ticket {
    char *id, *subject, *text, *article, *reply;
    bool answerable;
    const float *vector;
};

struct tickets {
    struct ticket *items;
    size_t count;
    float *vectors;
};

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "compose_helpdesk: %s: %s\n", what, detail);
    exit(1);
}

static char *text_of(const json_t *o, const char *key)
{
    return mem_dup_str(json_string_value(json_object_get(o, key)));
}

static void read_tickets(const char *folder, const char *name, struct tickets *out)
{
    char path[4096], *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        die(path, strerror(errno));
    }
    out->items = mem_alloc_array(MAX_TICKETS, sizeof(*out->items));
    for (ssize_t n; out->count < MAX_TICKETS && (n = getline(&line, &room, f)) > 0;) {
        struct fault why;
        json_t *o = NULL;
        if (jn_parse(line, (size_t)n, path, &o, &why) != FAIL_NONE) {
            die(path, why.message);
        }
        const json_t *e = json_object_get(o, "expected"),
                     *answerable = json_object_get(e, "answerable");
        struct ticket *t = &out->items[out->count++];
        *t = (struct ticket){.id = text_of(o, "id"),
                             .subject = text_of(o, "subject"),
                             .text = text_of(o, "text"),
                             .article = text_of(e, "article"),
                             .reply = text_of(o, "reply")};
        t->answerable = answerable != NULL ? json_is_true(answerable) : t->article != NULL;
        json_decref(o);
    }
    free(line);
    fclose(f);
}

static float *read_vectors(const char *folder, const char *name, size_t want)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.f32", folder, name);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        die(path, strerror(errno));
    }
    float *v = mem_alloc_array(want + 1, DIM * sizeof(float));
    size_t got = fread(v, DIM * sizeof(float), want + 1, f);
    fclose(f);
    if (got != want) {
        die(path, "has not one row per text: write the texts again");
    }
    return v;
}

static struct knowledge *load(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/articles", folder);
    struct knowledge *k = knowledge_new();
    struct fault why;
    size_t n;
    if (knowledge_add_folder(k, path, &n, &why) != FAIL_NONE) {
        die(path, why.message);
    }
    return k;
}

static char *whole(const struct ticket *t)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    buf_printf(&b, "%s\n%s", t->subject != NULL ? t->subject : "", t->text);
    return buf_take(&b);
}

static void write_texts(const char *folder, const char *out)
{
    struct knowledge *k = load(folder);
    static const char *const names[] = {"past", "new"};
    char path[4096];
    for (size_t i = 0; i < 3; i++) {
        struct tickets t = {0};
        snprintf(path, sizeof(path), "%s/%s.jsonl", out, i == 2 ? "units" : names[i]);
        FILE *f = fopen(path, "we");
        if (f == NULL) {
            die(path, strerror(errno));
        }
        if (i < 2) {
            snprintf(path, sizeof(path), "%s.jsonl", names[i]);
            read_tickets(folder, path, &t);
        }
        size_t n = i == 2 ? knowledge_unit_count(k) : t.count;
        for (size_t r = 0; r < n; r++) {
            struct buf b;
            struct jn_writer w;
            AUTO_FREE char *text =
                i == 2 ? mem_dup_str(knowledge_unit_text(k, r)) : whole(&t.items[r]);
            buf_init(&b, (size_t)1 << 20);
            jn_begin(&w, &b, false);
            jn_put_str(&w, text);
            fprintf(f, "%s\n", b.data);
            buf_done(&b);
        }
        fclose(f);
    }
    knowledge_free(k);
}

static void set_vectors(struct knowledge *k, const float *v)
{
    struct fault why;
    for (size_t u = 0; v != NULL && u < knowledge_unit_count(k); u++) {
        if (knowledge_unit_set_vector(k, u, v + u * DIM, DIM, &why) != FAIL_NONE) {
            die("units", why.message);
        }
    }
}

static void add_questions(struct knowledge *k, const struct tickets *past)
{
    struct fault why;
    for (size_t i = 0; i < past->count; i++) {
        const struct ticket *t = &past->items[i];
        if (t->article != NULL || !t->answerable) {
            AUTO_FREE char *text = whole(t);
            if (knowledge_add_question(k, t->article, t->id, text, t->vector,
                                       t->vector != NULL ? DIM : 0, &why) != FAIL_NONE) {
                die(t->id, why.message);
            }
        }
    }
}

struct rates {
    int answerable, unanswerable, offered, right, offered_wrongly, other_language, top1;
    int sent, sent_chosen, chosen, chosen_sent, drafts_with_reply;
    double ms;
};

/* Of the article's sentences that people sent (verbatim), how many are chosen. */
static void compare_reply(const struct ticket *t, const struct compose_result *r, struct rates *x)
{
    bool any = false;
    for (size_t i = 0; t->reply != NULL && i < r->sentence_count; i++) {
        any = any || strstr(t->reply, r->sentences[i].text) != NULL;
    }
    if (!any) {
        return;
    }
    x->drafts_with_reply++;
    for (size_t i = 0; i < r->sentence_count; i++) {
        bool sent = strstr(t->reply, r->sentences[i].text) != NULL;
        x->sent += sent;
        x->chosen += r->sentences[i].chosen;
        x->sent_chosen += sent && r->sentences[i].chosen;
        x->chosen_sent += sent && r->sentences[i].chosen;
    }
}

/* What is said of the i-th ticket: out of fold for past ones, by the head for new ones. */
struct said {
    const struct compose_past *past; /* NULL: new tickets */
    const struct learn_head *head;   /* NULL: no opinions */
};

static void opinion_on(const struct said *said, const struct knowledge *k, const struct ticket *t,
                       size_t i, struct compose_opinion *out)
{
    *out = (struct compose_opinion){0};
    if (said->past != NULL) {
        *out = said->past[i].opinion;
    } else if (said->head != NULL) {
        AUTO_FREE char *text = compose_query_text(t->subject, t->text);
        compose_opinion_of(said->head, k, text, t->vector, t->vector != NULL ? DIM : 0, out);
    }
}

static struct rates measure(const struct knowledge *k, const struct compose_model *m,
                            const struct tickets *list, const struct said *said, bool show)
{
    static const struct compose_frame frames[3] = {
        [KNOWLEDGE_LANG_EN] = {.greeting = "Hello {name},",
                               .opening = "Thank you for writing to us.",
                               .sign_off = "Kind regards"},
        [KNOWLEDGE_LANG_DE] = {.greeting = "Guten Tag {name},",
                               .opening = "vielen Dank f\xC3\xBCr Ihre Nachricht.",
                               .sign_off = "Freundliche Gr\xC3\xBC\xC3\x9F"
                                           "e"},
    };
    struct rates x = {0};
    for (size_t i = 0; i < list->count; i++) {
        const struct ticket *t = &list->items[i];
        struct compose_ticket c = {.subject = t->subject,
                                   .text = t->text,
                                   .vector = t->vector,
                                   .dim = t->vector != NULL ? DIM : 0,
                                   .except_key = said->past != NULL ? t->id : NULL};
        struct compose_result r;
        struct compose_opinion opinion;
        int64_t start = clock_monotonic_us();
        opinion_on(said, k, t, i, &opinion);
        c.opinion = opinion.len > 0 ? &opinion : NULL;
        compose_reply(k, m, &c, frames, &r);
        x.ms += clock_ms_since(start);
        bool draft = r.outcome != COMPOSE_NONE;
        bool right = draft && t->article != NULL && strcmp(r.sentences[0].article, t->article) == 0;
        x.answerable += t->answerable;
        x.unanswerable += !t->answerable;
        x.offered += draft && t->answerable;
        x.right += right && t->answerable;
        x.offered_wrongly += draft && !t->answerable;
        x.other_language += r.outcome == COMPOSE_DRAFT_OTHER_LANGUAGE;
        x.top1 += t->answerable && t->article != NULL && r.near_count > 0 &&
                  strcmp(r.near[0].article, t->article) == 0;
        if (right) {
            compare_reply(t, &r, &x);
        }
        if (show) {
            printf("%s %s conf %.3f want %s got %s%s\n", t->id,
                   !draft  ? "none "
                   : right ? "right"
                           : "WRONG",
                   r.confidence, t->answerable ? t->article : "-",
                   r.near_count > 0 ? r.near[0].article : "-",
                   r.near_count > 0 && t->article != NULL &&
                           strcmp(r.near[0].article, t->article) != 0
                       ? " *"
                       : "");
            if (getenv("SHOW_TEXT") != NULL && r.text != NULL) {
                printf("--- %s | %s\n>>> %s\n", t->subject, t->text, r.text);
            }
        }
        compose_done(&r);
    }
    return x;
}

static void print_rates(const char *name, const struct rates *x)
{
    double offered = x->answerable > 0 ? 100.0 * x->offered / x->answerable : 0;
    double right = x->offered > 0 ? 100.0 * x->right / x->offered : 0;
    double none = x->unanswerable > 0 ? 100.0 - 100.0 * x->offered_wrongly / x->unanswerable : 100;
    printf("%-34s top1 %3d/%3d  offered %5.1f %%  right %5.1f %%  none %5.1f %% of %d  "
           "other-language %d  %.1f ms/ticket\n",
           name, x->top1, x->answerable, offered, right, none, x->unanswerable, x->other_language,
           x->ms / (x->answerable + x->unanswerable + 1e-9));
    if (x->drafts_with_reply > 0) {
        printf("%-34s sentences people sent that are chosen %.1f %%; chosen that people sent %.1f "
               "%% (%d replies)\n",
               "", 100.0 * x->sent_chosen / x->sent, 100.0 * x->chosen_sent / x->chosen,
               x->drafts_with_reply);
    }
}

static bool run(const char *name, const char *folder, const float *units, struct tickets *past,
                struct tickets *new_ones, bool questions, bool show)
{
    struct knowledge *k = load(folder);
    set_vectors(k, units);
    if (questions) {
        add_questions(k, past);
    }
    knowledge_seal(k);
    struct compose_model model = compose_default_model(units != NULL, questions);
    struct said nothing = {0};
    struct rates d = measure(k, &model, new_ones, &nothing, false);
    char label[80];
    snprintf(label, sizeof(label), "%s, defaults, new", name);
    print_rates(label, &d);
    struct compose_past *p = mem_alloc_array(past->count, sizeof(*p));
    for (size_t i = 0; i < past->count; i++) {
        const struct ticket *t = &past->items[i];
        p[i] = (struct compose_past){.key = t->id,
                                     .subject = t->subject,
                                     .text = t->text,
                                     .vector = t->vector,
                                     .dim = t->vector != NULL ? DIM : 0,
                                     .article = t->article};
    }
    struct compose_fit fit;
    struct fault why;
    struct learn_head *head = NULL;
    int64_t start = clock_monotonic_us();
    if (compose_teach(k, p, past->count, &head, &why) != FAIL_NONE) {
        die("teach", why.message);
    }
    printf("  taught in %.1f s\n", clock_ms_since(start) / 1000);
    if (compose_calibrate(k, p, past->count, 0.85, 0.10, &model, &fit, &why) != FAIL_NONE) {
        die("calibrate", why.message);
    }
    printf("  fitted rank");
    for (size_t i = 0; i < COMPOSE_FEATURES; i++) {
        printf(" %.2f", model.rank[i]);
    }
    printf(" accept");
    for (size_t i = 0; i <= COMPOSE_SIGNS; i++) {
        printf(" %.2f", model.accept[i]);
    }
    printf("\n  threshold %.3f; on past: offered %d of %d, right %d, wrongly %d of %d\n",
           model.threshold, fit.offered, fit.answerable, fit.right, fit.offered_unanswerable,
           fit.unanswerable);
    struct said out_of_fold = {.past = p}, by_head = {.head = head};
    printf("  out of fold: offered %.1f %%, right %.1f %%, none %.1f %% of %d\n",
           100.0 * (fit.offered - fit.offered_unanswerable) / fit.answerable,
           100.0 * fit.right / (fit.offered - fit.offered_unanswerable + 1e-9),
           100 - 100.0 * fit.offered_unanswerable / fit.unanswerable, fit.unanswerable);
    struct rates left = measure(k, &model, past, &out_of_fold,
                                getenv("SHOW_PAST") != NULL && show);
    snprintf(label, sizeof(label), "%s, fitted, past left out", name);
    print_rates(label, &left);
    struct rates n = measure(k, &model, new_ones, &by_head, show);
    snprintf(label, sizeof(label), "%s, fitted, new", name);
    print_rates(label, &n);
    printf("row compose_%s offered %.3f right %.3f none %.3f ms %.2f\n", name,
           (double)n.offered / n.answerable, n.offered > 0 ? (double)n.right / n.offered : 0,
           n.unanswerable > 0 ? 1 - (double)n.offered_wrongly / n.unanswerable : 1,
           n.ms / (double)new_ones->count);
    /* Words alone are held to a lower floor of drafts; right ones and "no answer" to the same. */
    bool ok = n.offered >= (units != NULL ? 0.60 : 0.50) * n.answerable &&
              n.right >= 0.85 * n.offered && n.offered_wrongly <= 0.10 * n.unanswerable;
    learn_head_free(head);
    mem_free(p);
    knowledge_free(k);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--texts") == 0) {
        write_texts(argv[2], argv[3]);
        return 0;
    }
    if (argc < 2) {
        die("use", "compose_helpdesk FOLDER [VECTORS]");
    }
    struct tickets past = {0}, new_ones = {0};
    read_tickets(argv[1], "past.jsonl", &past);
    read_tickets(argv[1], "new.jsonl", &new_ones);
    run("words", argv[1], NULL, &past, &new_ones, false, false);
    bool ok = run("words+past", argv[1], NULL, &past, &new_ones, true,
                  argc == 2 && getenv("SHOW") != NULL);
    if (argc > 2) {
        struct knowledge *k = load(argv[1]);
        float *units = read_vectors(argv[2], "units", knowledge_unit_count(k));
        knowledge_free(k);
        past.vectors = read_vectors(argv[2], "past", past.count);
        new_ones.vectors = read_vectors(argv[2], "new", new_ones.count);
        for (size_t i = 0; i < past.count; i++) {
            past.items[i].vector = past.vectors + i * DIM;
        }
        for (size_t i = 0; i < new_ones.count; i++) {
            new_ones.items[i].vector = new_ones.vectors + i * DIM;
        }
        run("vectors", argv[1], units, &past, &new_ones, false, false);
        ok = run("vectors+past", argv[1], units, &past, &new_ones, true, getenv("SHOW") != NULL);
    }
    return ok ? 0 : 1;
}
