/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules can only point at, a model may write anew: one sentence at a time.
 *
 * Its words stand when they keep what the sentence says (copyedit_same_meaning), break the policy
 * in fewer places, and are not much longer. Everything else is counted as refused, with its reason.
 * Owns: nothing. Threads: the caller's; ask may block.
 */
#include <ctype.h>
#include <string.h>

#include "base/text/text.h"
#include "work/copyedit/copyedit_internal.h"

#define SENTENCES 4096
#define SENTENCE_BYTES 1200
#define REWRITE_BYTES 4096

static bool supported(const char *claim, size_t len, const char *source, size_t source_len,
                      enum knowledge_lang lang, struct check_result *why)
{
    struct knowledge_span spans[32], from[32];
    size_t n = knowledge_split(claim, len, lang, spans, COUNT_OF(spans));
    size_t m = knowledge_split(source, source_len, lang, from, COUNT_OF(from));
    char *texts[COUNT_OF(from)];
    for (size_t i = 0; i < m; i++) {
        texts[i] = mem_dup_strn(source + from[i].at, from[i].len);
    }
    bool ok = n > 0 && n < COUNT_OF(spans) && m > 0 && m < COUNT_OF(from);
    for (size_t i = 0; i < n && ok; i++) {
        struct check_claim c;
        check_claim(claim + spans[i].at, spans[i].len, lang, (const char *const *)texts, m, NULL, 0,
                    &c);
        ok = c.verdict == CHECK_SUPPORTED;
        if (!ok) {
            *why =
                (struct check_result){.reason = c.reason, .at = spans[i].at, .len = spans[i].len};
            (void)text_copy(why->detail, sizeof(why->detail), c.detail);
        }
    }
    for (size_t i = 0; i < m; i++) {
        mem_free(texts[i]);
    }
    if (!ok && why->ok) {
        *why = (struct check_result){.reason = CHECK_REASON_LIMIT};
    }
    return ok;
}

struct check_result copyedit_same_meaning(const char *sentence, size_t len, const char *rewrite,
                                          size_t rewrite_len, enum knowledge_lang lang)
{
    struct check_result r = check_kept(sentence, len, rewrite, rewrite_len, lang, CHECK_KEEP_ALL);
    if (r.ok && supported(rewrite, rewrite_len, sentence, len, lang, &r) &&
        supported(sentence, len, rewrite, rewrite_len, lang, &r)) {
        return r;
    }
    return r;
}

static bool holds(const struct knowledge_span *s, const struct copyedit_suggestion *g)
{
    return g->at >= s->at && g->at + g->len <= (size_t)s->at + s->len;
}

/* What rules say of the sentence and did not mend. */
static size_t complaints(const struct copyedit_result *r, const struct knowledge_span *s,
                         struct buf *out, const struct copyedit_suggestion **worst)
{
    size_t n = 0;
    *worst = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct copyedit_suggestion *g = &r->items[i];
        if (holds(s, g) && g->state == COPYEDIT_NOTED && g->level >= STYLE_WARNING) {
            (void)buf_printf(out, "- %s\n", g->message);
            *worst = *worst == NULL || g->level > (*worst)->level ? g : *worst;
            n++;
        }
    }
    return n;
}

/* One line, without the quotation marks and labels that models like to add. */
static size_t trim_words(struct buf *b)
{
    size_t from = 0, to = b->len;
    while (from < to && isspace((unsigned char)b->data[from])) {
        from++;
    }
    const char *line = memchr(b->data + from, '\n', to - from);
    to = line != NULL ? (size_t)(line - b->data) : to;
    while (to > from && isspace((unsigned char)b->data[to - 1])) {
        to--;
    }
    if (to - from > 2 && b->data[from] == '"' && b->data[to - 1] == '"') {
        from++;
        to--;
    }
    buf_consume(b, from);
    if (b->len > to - from) {
        b->len = to - from;
        b->data[b->len] = '\0';
    }
    return b->len;
}

static size_t count_alerts(const struct copyedit_policy *p, enum knowledge_lang lang,
                           const char *text, size_t len)
{
    struct style_alerts a;
    size_t n = SIZE_MAX;
    if (copyedit_alerts(p, lang, text, len, true, &a)) {
        n = a.n;
        style_alerts_done(&a);
    }
    return n;
}

static enum check_reason judge(const struct copyedit_policy *p, const struct copyedit_result *r,
                               const struct buf *before, const struct buf *after)
{
    if (after->len == 0 || after->len > before->len + before->len / 4 + 20 ||
        !text_utf8_is_valid(after->data, after->len)) {
        return CHECK_REASON_LENGTH;
    }
    struct check_result c = copyedit_same_meaning(before->data, before->len, after->data,
                                                  after->len, r->lang);
    if (!c.ok) {
        return c.reason;
    }
    size_t was = count_alerts(p, r->lang, before->data, before->len);
    size_t is = count_alerts(p, r->lang, after->data, after->len);
    return is < was ? CHECK_REASON_NONE : CHECK_REASON_INSTRUCTION;
}

static void take(struct copyedit_result *r, const struct knowledge_span *s,
                 const struct copyedit_suggestion *worst, const char *words)
{
    char rule[sizeof(worst->rule)];
    char *message = mem_dup_str(worst->message), *link = mem_dup_str(worst->link);
    enum style_level level = worst->level;
    memcpy(rule, worst->rule, sizeof(rule));
    for (size_t i = 0; i < r->n; i++) {
        if (holds(s, &r->items[i]) && r->items[i].state != COPYEDIT_OFFERED) {
            r->items[i].state = COPYEDIT_COVERED;
        }
    }
    struct copyedit_suggestion *g = copyedit_add(r, s->at, s->len);
    if (g == NULL) {
        mem_free(message);
        mem_free(link);
        return;
    }
    memcpy(g->rule, rule, sizeof(rule));
    g->message = message;
    g->link = link;
    g->level = level;
    g->by_model = true;
    g->state = COPYEDIT_APPLIED;
    g->replacement = mem_dup_str(words);
}

/* Line ends inside are those of wrapped text: no empty line, list, quotation or table follows. */
static bool is_wrapped_only(const char *t, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (t[i] == '\n' && strchr("\n-*+>|#`<", t[i + 1]) != NULL) {
            return false;
        }
    }
    return true;
}

/* Applied suggestions that stick out of the sentence would be cut. */
static bool stands_alone(const struct copyedit_result *r, const struct knowledge_span *s)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct copyedit_suggestion *g = &r->items[i];
        bool touches = g->at < (size_t)s->at + s->len && s->at < g->at + g->len;
        if (touches && !holds(s, g) && g->state == COPYEDIT_APPLIED) {
            return false;
        }
    }
    return is_wrapped_only(r->text + s->at, s->len) && s->len <= SENTENCE_BYTES;
}

static void one(const struct copyedit_policy *p, const struct copyedit_options *o,
                struct copyedit_result *r, const struct knowledge_span *s)
{
    struct buf messages, before, after;
    const struct copyedit_suggestion *worst;
    buf_init(&messages, REWRITE_BYTES);
    buf_init(&before, REWRITE_BYTES);
    buf_init(&after, REWRITE_BYTES);
    size_t n = complaints(r, s, &messages, &worst);
    if (n > 0) {
        copyedit_put_range(r, s->at, (size_t)s->at + s->len, false, &before);
    }
    for (size_t i = 0; i < before.len; i++) {
        before.data[i] = (char)(before.data[i] == '\n' ? ' ' : before.data[i]);
    }
    if (n > 0 && before.len > 0 && o->ask(o->arg, before.data, messages.data, &after)) {
        enum check_reason reason = CHECK_REASON_LENGTH;
        if (after.data != NULL && trim_words(&after) > 0) {
            reason = judge(p, r, &before, &after);
        }
        r->refusals[r->asked] = reason;
        r->asked++;
        r->refused += reason != CHECK_REASON_NONE;
        if (reason == CHECK_REASON_NONE) {
            take(r, s, worst, after.data);
        }
    }
    buf_done(&messages);
    buf_done(&before);
    buf_done(&after);
}

void copyedit_rewrite(const struct copyedit_policy *p, const struct copyedit_options *o,
                      struct copyedit_result *r)
{
    struct knowledge_span *spans = mem_alloc_array(SENTENCES, sizeof(*spans));
    size_t n = knowledge_split(r->text, r->len, r->lang, spans, SENTENCES);
    for (size_t i = 0; i < n && r->asked < COPYEDIT_MAX_REWRITES; i++) {
        const char *t = r->text + spans[i].at;
        bool prose = strchr("#|>`<", t[0]) == NULL && memchr(t, '|', spans[i].len) == NULL;
        if (prose && stands_alone(r, &spans[i])) {
            one(p, o, r, &spans[i]);
        }
    }
    mem_free(spans);
}
