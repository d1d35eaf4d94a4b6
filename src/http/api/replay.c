/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/tasks/{task}/replay: a recorded answer of the reproducible lane asked again and compared.
   It says what differs, never what was asked or answered. */
#include <string.h>

#include "http/api/api_internal.h"

struct replay {
    struct api *a;
    struct wire_request *r;
    struct id id;
    struct task_replay what;
    struct buf input, output; /* as recorded, decrypted */
};

static void done(struct replay *x)
{
    buf_done(&x->input);
    buf_done(&x->output);
    mem_free(x);
}

/* The members of an answer that must not change, each field by its name. */
static void compare_forms(struct jn_writer *w, const char *was, size_t was_len, const char *is,
                          size_t is_len, int *differ)
{
    static const char *const kept[] = {"state", "releases", "reproducible", "tokens_in",
                                       "tokens_out"};
    struct fault why;
    json_t *a AUTO_JSON = NULL;
    json_t *b AUTO_JSON = NULL;
    if (jn_parse(was, was_len, "the record", &a, &why) != FAIL_NONE ||
        jn_parse(is, is_len, "the answer", &b, &why) != FAIL_NONE) {
        jn_put_str(w, "answer");
        ++*differ;
        return;
    }
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        if (!json_equal(json_object_get(a, kept[i]), json_object_get(b, kept[i]))) {
            jn_put_str(w, kept[i]);
            ++*differ;
        }
    }
    const json_t *fields = json_object_get(a, "fields");
    const json_t *again = json_object_get(b, "fields");
    for (size_t i = 0; i < json_array_size(fields) || i < json_array_size(again); i++) {
        const json_t *f = json_array_get(fields, i);
        const char *name = json_string_value(json_object_get(f, "name"));
        if (!json_equal(f, json_array_get(again, i))) {
            char text[96];
            (void)snprintf(text, sizeof(text), "fields.%.64s", name != NULL ? name : "?");
            jn_put_str(w, text);
            ++*differ;
        }
    }
    if (json_is_object(fields) && !json_equal(fields, again)) {
        jn_put_str(w, "fields");
        ++*differ;
    }
}

static void on_done(void *arg, const struct task_result *result)
{
    struct replay *x = arg;
    struct jn_writer w;
    struct buf body;
    char shown[TEXT_ID_SIZE];
    int differ = 0;
    if (result->code != FAIL_NONE) {
        wire_fail(x->r, result->code, result->why);
        done(x);
        return;
    }
    api_open(&w, &body);
    jn_kv_str(&w, "task", text_id_show(&x->id, "tsk", shown));
    jn_kv_str(&w, "replayed", text_id_show(&result->task, "tsk", shown));
    jn_kv_int(&w, "record", result->record_seq);
    jn_key(&w, "differences");
    jn_array_begin(&w);
    if (x->what.kind == TASK_FORM) {
        compare_forms(&w, x->output.data, x->output.len, result->json, result->json_len, &differ);
    } else if (result->generated == NULL || result->generated->text == NULL ||
               strlen(result->generated->text) != x->output.len ||
               memcmp(result->generated->text, x->output.data, x->output.len) != 0) {
        size_t same = 0;
        const char *is = result->generated != NULL ? result->generated->text : NULL;
        while (is != NULL && is[same] != '\0' && same < x->output.len &&
               is[same] == x->output.data[same]) {
            same++;
        }
        char text[64];
        (void)snprintf(text, sizeof(text), "text from byte %zu on", same);
        jn_put_str(&w, text);
        differ++;
    }
    jn_array_end(&w);
    jn_kv_bool(&w, "equal", differ == 0);
    api_send(x->r, 200, &w);
    done(x);
}

static void ask_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct replay *x = arg;
    struct task_request q = {.kind = x->what.kind,
                             .who = *api_who(r),
                             .class = IPC_BATCH,
                             .label = SECRECY_RESTRICTED,
                             .reproducible = true,
                             .seed = x->what.seed,
                             .now = x->what.now,
                             .on_done = on_done,
                             .arg = x};
    if (x->what.kind == TASK_FORM) {
        q.workflow = x->what.workflow;
        q.text = x->input.data;
        q.rungs = x->what.rungs;
        q.no_draft = x->what.no_draft;
        q.no_artifact = true;
    } else {
        q.model = x->what.model;
        q.ask_json = x->input.data;
        q.ask_len = x->input.len;
        q.max_tokens = x->what.max_tokens;
    }
    (void)task_submit(a->h.desk, &q);
}

static void read_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct replay *x = arg;
    struct fault why;
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c != NULL ? task_replay_find(c, &x->id, &x->what, &why) : why.code;
    f = f != FAIL_NONE ? f
                       : audit_content_get(a->h.audit, c, &x->id, AUDIT_PART_INPUT, &x->input,
                                           &why);
    f = f != FAIL_NONE ? f
                       : audit_content_get(a->h.audit, c, &x->id, AUDIT_PART_OUTPUT, &x->output,
                                           &why);
    if (c != NULL) {
        api_reader_give(a, c);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        done(x);
        return;
    }
    api_on_core(a, r, ask_on_core, x);
}

void api_task_replay(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {NULL};
    struct id id;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL || !api_param_id(r, "task", "tsk", "task", &id)) {
        return;
    }
    struct replay *x = mem_alloc(sizeof(*x));
    x->a = arg;
    x->r = r;
    x->id = id;
    buf_init(&x->input, STORE_VALUE_MAX);
    buf_init(&x->output, STORE_VALUE_MAX);
    api_on_crunch(arg, r, read_on_crunch, x);
}
