/* SPDX-License-Identifier: Apache-2.0 */
/* The composed reply of a task: from the workflow's frames and the dataset's articles. */
#include <string.h>

#include "answer/task/task_internal.h"
#include "base/json/json.h"

void draft_free(struct compose_result *r)
{
    if (r != NULL) {
        compose_done(r);
        mem_free(r);
    }
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

static void write_draft(struct buf *out, const struct compose_result *r)
{
    static const char *const outcomes[] = {"draft", "draft_other_language", "none"};
    struct jn_writer w;
    jn_begin(&w, out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "outcome", outcomes[r->outcome]);
    jn_kv_str(&w, "text", r->text);
    jn_kv_str(&w, "language", knowledge_lang_code(r->article_lang));
    jn_kv_real(&w, "confidence", r->confidence, 4);
    jn_kv_str(&w, "reason", r->reason);
    jn_kv_bool(&w, "rewritten", false);
    jn_key(&w, "sources");
    jn_array_begin(&w);
    for (size_t i = 0; i < r->sentence_count; i++) {
        if (r->sentences[i].chosen && !seen_before(r, i)) {
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
    frames[KNOWLEDGE_LANG_OTHER] = frame_of(t->form, "en");
    frames[KNOWLEDGE_LANG_EN] = frame_of(t->form, "en");
    frames[KNOWLEDGE_LANG_DE] = frame_of(t->form, "de");
    t->draft = mem_alloc(sizeof(*t->draft));
    compose_reply(t->shelf->knowledge, &t->shelf->model, &ticket, frames, t->draft);
    buf_init(&json, (size_t)1 << 20);
    write_draft(&json, t->draft);
    t->draft_json = arena_dup_str(t->arena, json.overflow ? NULL : json.data);
    t->draft_text = t->draft->text;
    buf_done(&json);
}
