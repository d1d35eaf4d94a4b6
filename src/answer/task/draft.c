/* SPDX-License-Identifier: Apache-2.0 */
/* The composed reply of a task: from the workflow's frames and the dataset's articles. */
#include <string.h>

#include "answer/check/check.h"
#include "answer/task/task_internal.h"
#include "base/json/json.h"

void draft_free(struct compose_result *r)
{
    if (r != NULL) {
        compose_done(r);
        mem_free(r);
    }
}

/* What the one who asked signs with; in the arena, NULL: the desk alone. */
static const char *agent_of(const struct ladder_form *form, const char *who, struct arena *arena)
{
    size_t n = strlen(who);
    for (const char *line = form->agents; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        if (strncmp(line, who, n) == 0 && line[n] == '=') {
            return arena_dup_strn(arena, line + n + 1, (size_t)(end - line) - n - 1);
        }
        line = *end == '\n' ? end + 1 : end;
    }
    return NULL;
}

static struct compose_frame frame_of(const struct ladder_form *form, const char *lang)
{
    for (size_t i = 0; i < form->frames_len; i++) {
        const struct ladder_frame *f = &form->frames[i];
        if (strcmp(f->lang, lang) == 0) {
            return (struct compose_frame){
                .greeting = f->greeting != NULL ? f->greeting : f->greeting_plain,
                .opening = f->opening, .closing = f->closing, .sign_off = f->sign_off};
        }
    }
    return (struct compose_frame){.greeting = "Hello {name},", .sign_off = "Kind regards"};
}

static void write_sentence(struct jn_writer *w, const struct compose_sentence *s)
{
    jn_object_begin(w);
    jn_kv_str(w, "article", s->article);
    jn_kv_str(w, "as_replied_on", s->reply);
    jn_kv_int(w, "index", s->index);
    jn_kv_str(w, "text", s->text);
    jn_kv_bool(w, "chosen", s->chosen);
    jn_kv_real(w, "score", s->score, 4);
    jn_object_end(w);
}

static bool seen_before(const struct compose_result *r, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (r->sentences[k].chosen &&
            strcmp(r->sentences[k].article, r->sentences[i].article) == 0) {
            return true;
        }
    }
    return false;
}

static void write_draft(struct buf *out, const struct compose_result *r, const char *text,
                        const char *by)
{
    static const char *const outcomes[] = {"draft", "draft_other_language", "none"};
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "outcome", outcomes[r->outcome]);
    jn_kv_str(&w, "text", text);
    jn_kv_str(&w, "language", knowledge_lang_code(r->article_lang));
    jn_kv_real(&w, "confidence", r->confidence, 4);
    jn_kv_str(&w, "reason", r->reason);
    jn_kv_bool(&w, "rewritten", by != NULL);
    if (by != NULL) {
        jn_kv_str(&w, "by", by);
    }
    jn_key(&w, "sources");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->sentence_count; i++) {
        if (r->sentences[i].chosen && r->sentences[i].article[0] != '\0' && !seen_before(r, i)) {
            jn_object_begin(&w);
            jn_kv_str(&w, "article", r->sentences[i].article);
            jn_kv_str(&w, "title", r->sentences[i].title);
            jn_object_end(&w);
        }
    }
    jn_array_end(&w);
    jn_key(&w, "sentences");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->sentence_count; i++) {
        write_sentence(&w, &r->sentences[i]);
    }
    jn_array_end(&w);
    jn_key(&w, "near");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->near_count; i++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "article", r->near[i].article);
        jn_kv_real(&w, "match", r->near[i].match, 4);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_key(&w, "near_replies");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->near_reply_count; i++) {
        jn_object_begin(&w);
        jn_kv_str(&w, "ticket", r->near_replies[i].ticket);
        jn_kv_real(&w, "match", r->near_replies[i].match, 4);
        jn_kv_int(&w, "may_serve", (int64_t)r->near_replies[i].may_serve);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_object_end(&w);
}

void draft_compose(struct task *t, const char *lang)
{
    struct compose_frame frames[3];
    /* Vectors of another model than the articles' cannot be compared with them: words alone. */
    bool same = strcmp(t->shelf->embed, t->used[FLEET_EMBED]) == 0;
    struct compose_ticket ticket = {.subject = t->subject, .text = t->text,
                                    .vector = same ? t->embedding : NULL,
                                    .dim = t->dim, .lang = knowledge_lang_from_code(lang)};
    struct buf json;
    ticket.replies = t->shelf->replies;
    ticket.address = (enum compose_address)t->form->address;
    ticket.called = (enum compose_called)t->form->called;
    struct compose_opinion opinion = {0};
    if (t->shelf->head != NULL) {
        AUTO_FREE char *query = compose_query_text(t->subject, t->text);
        compose_opinion_of(t->shelf->head, t->shelf->knowledge, query, ticket.vector, t->dim,
                           &opinion);
        ticket.opinion = opinion.len > 0 ? &opinion : NULL;
    }
    frames[KNOWLEDGE_LANG_OTHER] = frame_of(t->form, "en");
    frames[KNOWLEDGE_LANG_EN] = frame_of(t->form, "en");
    frames[KNOWLEDGE_LANG_DE] = frame_of(t->form, "de");
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        frames[i].agent = agent_of(t->form, t->who.name, t->arena);
    }
    t->draft = mem_alloc(sizeof(*t->draft));
    compose_reply(t->shelf->knowledge, &t->shelf->model, &ticket, frames, t->draft);
    buf_init(&json, (size_t)1 << 20);
    write_draft(&json, t->draft, t->draft->text, NULL);
    t->draft_json = arena_dup_str(t->arena, json.overflow ? NULL : json.data);
    t->draft_text = t->draft->text;
    buf_done(&json);
}

/* ---- written anew ---- */

/* Line by line, for the check takes a reply apart at its line breaks. */
static void add_frame(struct draft_frame *frame, struct arena *arena, const char *text)
{
    while (text != NULL && *text != '\0' && frame->len < COUNT_OF(frame->line)) {
        size_t n = strcspn(text, "\n");
        if (n > 0) {
            frame->line[frame->len++] = arena_dup_strn(arena, text, n);
        }
        text += n + (text[n] == '\n');
    }
}

/* Who signs it: the lines of those agents that the draft names. */
static void add_agents(struct draft_frame *frame, struct arena *arena, const char *agents,
                       const char *draft)
{
    for (const char *line = agents; line != NULL && *line != '\0';) {
        const char *end = strchrnul(line, '\n');
        const char *shown = memchr(line, '=', (size_t)(end - line));
        const char *name =
            shown != NULL ? arena_dup_strn(arena, shown + 1, (size_t)(end - shown) - 1) : NULL;
        if (name != NULL && strstr(draft, name) != NULL) {
            add_frame(frame, arena, name);
        }
        line = *end == '\n' ? end + 1 : end;
    }
}

void draft_frame_take(const struct ladder_form *form, const char *lang, const char *draft,
                      struct arena *arena, struct draft_frame *out)
{
    const char *end = strchrnul(draft, '\n');
    out->len = 0;
    /* the greeting, filled in */
    add_frame(out, arena, arena_dup_strn(arena, draft, (size_t)(end - draft)));
    for (size_t i = 0; i < form->frames_len; i++) {
        const struct ladder_frame *f = &form->frames[i];
        if (strcmp(f->lang, lang) == 0) {
            add_frame(out, arena, f->opening);
            add_frame(out, arena, f->closing);
            add_frame(out, arena, f->sign_off);
            add_frame(out, arena, f->sources);
        }
    }
    add_agents(out, arena, form->agents, draft);
}

bool draft_is_rewritable(const struct task *t)
{
    return t->draft != NULL && t->draft->text != NULL && t->draft->sentence_count > 0;
}

/* Every sentence of the new one must be supported by a sentence that the articles have. */
static bool is_supported(struct task *t, const char *text, const char **claim)
{
    const struct compose_result *d = t->draft;
    const char **sources = arena_alloc(t->arena, (d->sentence_count + 1) * sizeof(*sources));
    struct check_claim claims[CHECK_MAX_CLAIMS];
    struct draft_frame frame;
    size_t n = 0;
    for (size_t i = 0; i < d->sentence_count; i++) {
        sources[i] = d->sentences[i].text;
    }
    draft_frame_take(t->form, knowledge_lang_code(d->article_lang), d->text, t->arena, &frame);
    struct check_support in = {.reply = text, .reply_len = strlen(text), .lang = d->article_lang,
                               .sources = sources, .source_count = d->sentence_count,
                               .ticket = t->input, .ticket_len = t->input_len,
                               .frame = frame.line, .frame_count = frame.len};
    bool ok = check_support(&in, claims, COUNT_OF(claims), &n);
    *claim = ok || n == 0 ? "it does not read as a reply" : "it says what no article says";
    return ok;
}

void draft_back(struct task *t)
{
    struct buf json;
    buf_init(&json, (size_t)1 << 20);
    write_draft(&json, t->draft, t->draft->text, NULL);
    t->draft_json = arena_dup_str(t->arena, json.overflow ? NULL : json.data);
    t->draft_text = t->draft->text;
    t->draft_rewritten = false;
    buf_done(&json);
}

bool draft_rewrite(struct task *t, const char *said)
{
    struct buf json;
    const char *claim = NULL;
    char *text = text_trim(arena_dup_str(t->arena, said));
    if (text[0] == '\0' || strcmp(text, t->draft->text) == 0) {
        return false;
    }
    if (!is_supported(t, text, &claim)) {
        t->refused = arena_printf(t->arena, "the reply was refused: %s", claim);
        return false;
    }
    buf_init(&json, (size_t)1 << 20);
    write_draft(&json, t->draft, text, t->hosted_by);
    t->draft_rewritten = !json.overflow;
    if (t->draft_rewritten) {
        t->draft_json = arena_dup_str(t->arena, json.data);
        t->draft_text = text;
    }
    buf_done(&json);
    return t->draft_rewritten;
}
