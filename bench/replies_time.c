/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bench: drafts from accepted past answers, in the order of time: each ticket is asked about with
 * the answers that stood before it. A published answer may serve others (its publisher said so).
 *
 * Use:  replies_time FILE.csv VECTORS.f32     a line of the file is text,ID|REPLY in the order of
 *       time; REPLY is empty where none was accepted
 * Prints how many tickets were asked, how many got a draft, how many of those cite the past ticket
 * of every sentence, and how many sentences hold a link, menu or setting that the cited answer does
 * not say (it must be none).
 * Owns: everything it loads. Threads: one.
 */
#include <stdlib.h>

#include "answer/check/check.h"
#include "answer/compose/compose.h"
#include "csv.h"

#define DIM 384

struct counts {
    size_t asked, drafts, sentences, cited, invented;
};

static char *id_of(const char *label)
{
    return mem_dup_strn(label, strcspn(label, "|"));
}

static const char *reply_of(const char *label)
{
    const char *bar = strchr(label, '|');
    return bar != NULL ? bar + 1 : "";
}

/* The answers before line `end`. */
static struct reply_bank *bank_before(const struct csv *c, const float *vectors, size_t end,
                                      const struct knowledge *none)
{
    struct reply_bank *bank = reply_bank_new();
    for (size_t i = 0; i < end; i++) {
        AUTO_FREE char *key = id_of(c->label[i]);
        struct reply_past p = {.key = key, .text = c->text[i], .reply = reply_of(c->label[i]),
                               .vector = vectors + i * DIM, .dim = DIM, .approved = true};
        (void)reply_bank_add(bank, &p); /* one without an answer is not taken */
    }
    reply_bank_seal(bank, none);
    return bank;
}

static void check_sentence(const struct csv *c, const struct compose_sentence *s, struct counts *n)
{
    n->sentences++;
    for (size_t i = 0; i < c->n && s->reply != NULL; i++) {
        size_t len = strlen(s->reply);
        if (strncmp(c->label[i], s->reply, len) != 0 || c->label[i][len] != '|') {
            continue;
        }
        const char *source = reply_of(c->label[i]);
        struct check_claim claim;
        n->cited++;
        check_claim(s->text, strlen(s->text), KNOWLEDGE_LANG_EN, &source, 1, c->text[i],
                    strlen(c->text[i]), &claim);
        bool links = check_links(s->text, strlen(s->text), &source, 1).ok;
        bool menus = claim.reason != CHECK_REASON_MENU && claim.reason != CHECK_REASON_LINK;
        bool verbatim = strstr(source, s->text) != NULL;
        n->invented += !verbatim && (!links || !menus);
        return;
    }
}

static void ask(const struct csv *c, const struct knowledge *none, const struct reply_bank *bank,
                const float *vector, size_t i, struct counts *n)
{
    static const struct compose_frame frames[3] = {
        [KNOWLEDGE_LANG_EN] = {.greeting = "Hello,", .sign_off = "Kind regards"},
        [KNOWLEDGE_LANG_DE] = {.greeting = "Guten Tag,", .sign_off = "Viele Gr\xC3\xBC\xC3\x9F""e"},
    };
    struct compose_model model = compose_default_model(true, false);
    struct compose_ticket t = {.text = c->text[i], .vector = vector, .dim = DIM,
                               .replies = bank};
    struct compose_result r;
    compose_reply(none, &model, &t, frames, &r);
    n->asked++;
    n->drafts += r.text != NULL;
    for (size_t s = 0; r.text != NULL && s < r.sentence_count; s++) {
        check_sentence(c, &r.sentences[s], n);
    }
    if (r.text != NULL && getenv("SHOW") != NULL) {
        printf("--- %.300s\n>>> %s\n", c->text[i], r.text);
    }
    compose_done(&r);
}

int main(int argc, char **argv)
{
    struct csv c;
    struct counts n = {0};
    size_t len = 0;
    if (argc != 3 || !csv_read(argv[1], &c)) {
        fprintf(stderr, "use: replies_time FILE.csv VECTORS.f32\n");
        return 1;
    }
    char *bytes = csv_file(argv[2], &len);
    if (bytes == NULL || len != c.n * DIM * sizeof(float)) {
        fprintf(stderr, "replies_time: %s has not one row of 384 floats per line\n", argv[2]);
        return 1;
    }
    const float *vectors = (const float *)(const void *)bytes;
    struct knowledge *none = knowledge_new();
    knowledge_seal(none);
    size_t from = c.n / 2, step = (c.n - from + 9) / 10;
    for (size_t start = from; start < c.n; start += step) {
        struct reply_bank *bank = bank_before(&c, vectors, start, none);
        for (size_t i = start; i < start + step && i < c.n; i++) {
            ask(&c, none, bank, vectors + i * DIM, i, &n);
        }
        reply_bank_free(bank);
    }
    printf("drafts asked %zu offered %zu sentences %zu cited %zu invented %zu\n", n.asked, n.drafts,
           n.sentences, n.cited, n.invented);
    knowledge_free(none);
    mem_free(bytes);
    csv_done(&c);
    return 0;
}
