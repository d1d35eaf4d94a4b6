/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents of a dataset in and out, and the search. Documents are read and stored on crunch
 * threads; a search gets its vector on the core thread, runs on a thread kept for searches, and
 * answers when its record is durable.
 */
#include "http/api/api_internal.h"

#include <stdio.h>
#include <string.h>

#include "answer/dataset/dataset.h"
#include "base/clock/clock.h"

#define DOCUMENTS_MAX 1000
#define PATHS_MAX 10000
#define PAGE 1000

/* ---- in ---- */

struct filling {
    struct principal who;
    char name[DATASET_NAME_SIZE];
};

static enum fail owned(struct api *a, const struct filling *x, struct dataset_about *d,
                       struct fault *why)
{
    struct store_conn *c = api_reader_take(a, why);
    if (c == NULL) {
        return why->code;
    }
    enum fail f = dataset_get(c, x->name, &x->who, DATASET_OWNS, clock_now_us(), d, why);
    api_reader_give(a, c);
    return f;
}

/* One document of the body; a binary one is decoded into *bytes, the caller's to free. */
static enum fail read_doc(const json_t *row, struct dataset_doc *out, char **bytes,
                          struct fault *why)
{
    static const char *const keys[] = {"path", "media", "text", "base64", NULL};
    const char *text = NULL, *base64 = NULL;
    if (!json_is_object(row)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"documents\" must hold {\"path\", \"text\" or \"base64\"}");
        return fail_param(why, "documents");
    }
    enum fail f = jn_only(row, keys, why);
    f = f != FAIL_NONE ? f : jn_str(row, "path", true, DATASET_PATH_SIZE - 1, &out->path, why);
    f = f != FAIL_NONE ? f : jn_str(row, "media", false, 79, &out->media, why);
    f = f != FAIL_NONE ? f : jn_str(row, "text", false, DATASET_FILE_BYTES, &text, why);
    f = f != FAIL_NONE ? f : jn_str(row, "base64", false, DATASET_FILE_BYTES * 3 / 2, &base64, why);
    if (f == FAIL_NONE && (text != NULL) == (base64 != NULL)) {
        FAULT(why, FAIL_BAD_REQUEST, "a document has either \"text\" or \"base64\"");
        f = fail_param(why, "text");
    }
    if (f != FAIL_NONE || text != NULL) {
        out->data = text;
        out->len = text != NULL ? strlen(text) : 0;
        return f;
    }
    size_t n = strlen(base64);
    *bytes = mem_alloc(n / 4 * 3 + 4);
    out->data = *bytes;
    out->len = text_unbase64(base64, n, *bytes);
    if (out->len == SIZE_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "\"base64\" of %.100s is not base64", out->path);
        return fail_param(why, "base64");
    }
    return FAIL_NONE;
}

static void put_taken(struct jn_writer *w, const struct dataset_doc *docs,
                      const struct dataset_taken *taken, size_t n)
{
    jn_key(w, "documents");
    jn_array_begin(w);
    for (size_t i = 0; i < n; i++) {
        jn_object_begin(w);
        jn_kv_str(w, "path", docs[i].path);
        jn_kv_str(w, "state", dataset_taken_name(taken[i].state));
        jn_kv_int(w, "chunks", (int64_t)taken[i].chunks);
        if (taken[i].state == DATASET_FAILED) {
            jn_kv_str(w, "error", fail_name(taken[i].why.code));
            jn_kv_str(w, "message", taken[i].why.message);
            jn_kv_str(w, "hint", taken[i].why.hint[0] != '\0' ? taken[i].why.hint : NULL);
        }
        jn_object_end(w);
    }
    jn_array_end(w);
}

static void take_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"documents", NULL};
    const struct filling *x = arg;
    struct dataset_about d;
    struct fault why;
    json_t *list = NULL;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    enum fail f = jn_array(body, "documents", true, DOCUMENTS_MAX, &list, &why);
    size_t n = f == FAIL_NONE ? json_array_size(list) : 0;
    struct dataset_doc *docs = mem_alloc_array(n + 1, sizeof(*docs));
    struct dataset_taken *taken = mem_alloc_array(n + 1, sizeof(*taken));
    char **bytes = mem_alloc_array(n + 1, sizeof(*bytes));
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = read_doc(json_array_get(list, i), &docs[i], &bytes[i], &why);
    }
    f = f != FAIL_NONE ? f : owned(a, x, &d, &why);
    f = f != FAIL_NONE ? f : datasets_take(a->h.datasets, &x->who, &d, docs, n, taken, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        struct jn_writer w;
        struct buf out;
        api_open(&w, &out);
        put_taken(&w, docs, taken, n);
        api_send(r, 200, &w);
    }
    for (size_t i = 0; i < n; i++) {
        mem_free(bytes[i]);
    }
    mem_free(bytes);
    mem_free(taken);
    mem_free(docs);
}

static struct filling *filling_new(struct wire_request *r)
{
    struct filling *x = wire_alloc(r, sizeof(*x));
    x->who = *api_who(r);
    (void)text_copy(x->name, sizeof(x->name), wire_param(r, "dataset"));
    return x;
}

void api_documents_put(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, take_on_crunch, filling_new(r));
}

/* ---- out ---- */

static void drop_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"paths", NULL};
    const struct filling *x = arg;
    struct dataset_about d;
    struct fault why;
    json_t *list = NULL;
    size_t dropped = 0;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    enum fail f = jn_array(body, "paths", true, PATHS_MAX, &list, &why);
    size_t n = f == FAIL_NONE ? json_array_size(list) : 0;
    const char **paths = mem_alloc_array(n + 1, sizeof(*paths));
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        paths[i] = json_string_value(json_array_get(list, i));
        if (paths[i] == NULL) {
            FAULT(&why, FAIL_BAD_REQUEST, "\"paths\" must hold texts");
            f = fail_param(&why, "paths");
        }
    }
    f = f != FAIL_NONE ? f : owned(a, x, &d, &why);
    f = f != FAIL_NONE
            ? f
            : datasets_drop_files(a->h.datasets, &x->who, &d, paths, n, &dropped, &why);
    mem_free(paths);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf out;
    api_open(&w, &out);
    jn_kv_int(&w, "removed", (int64_t)dropped);
    api_send(r, 200, &w);
}

void api_documents_drop(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, drop_on_crunch, filling_new(r));
}

/* ---- listed ---- */

static void put_file(void *arg, const struct dataset_file *x)
{
    struct jn_writer *w = arg;
    char hash[65] = "";
    static const uint8_t none[32];
    if (memcmp(x->hash, none, sizeof(none)) != 0) {
        text_hex(x->hash, sizeof(x->hash), hash);
    }
    jn_object_begin(w);
    jn_kv_str(w, "path", x->path);
    jn_kv_str(w, "title", x->title);
    jn_kv_str(w, "media", x->media);
    jn_kv_str(w, "sha256", hash);
    jn_kv_int(w, "bytes", x->bytes);
    jn_kv_int(w, "chunks", x->chunks);
    api_put_time(w, "updated_at", x->updated_at);
    api_put_time(w, "expires_at", x->expires_at);
    jn_object_end(w);
}

void api_documents(struct wire_request *r, void *arg)
{
    static const char *const names[] = {"after", NULL};
    struct api *a = arg;
    struct dataset_about d;
    struct fault why;
    struct jn_writer w;
    struct buf body;
    if (!api_query_ok(r, names)) {
        return;
    }
    const char *after = wire_query(r, "after");
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    int64_t now = clock_now_us();
    enum fail f =
        dataset_get(c, wire_param(r, "dataset"), api_who(r), DATASET_SEES, now, &d, &why);
    if (f == FAIL_NONE &&
        (dataset_rights(c, &d, api_who(r), now) & (DATASET_READS | DATASET_OWNS)) == 0) {
        f = dataset_get(c, d.name, api_who(r), DATASET_READS, now, &d, &why);
    }
    api_open(&w, &body);
    jn_key(&w, "documents");
    jn_array_begin(&w);
    f = f != FAIL_NONE
            ? f
            : dataset_file_each(c, d.no, after != NULL ? after : "", PAGE, put_file, &w, &why);
    jn_array_end(&w);
    jn_kv_int(&w, "page", PAGE);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
    } else {
        api_send(r, 200, &w);
    }
}

/* ---- search ---- */

struct searching {
    struct api *a;
    struct wire_request *r;
    struct principal who;
    json_t *body; /* the texts live in it */
    const char *query;
    const char *names[64];
    size_t names_len;
    int64_t limit;
    float *vector;
    size_t dim;
    char model[65];
    struct buf out, cited; /* the answer, and the ids in it for its record */
    enum fail code;
    struct fault why;
};

static void searching_free(struct searching *s)
{
    json_decref(s->body);
    mem_free(s->vector);
    buf_done(&s->out);
    buf_done(&s->cited);
    mem_free(s);
}

static void put_hit(struct searching *s, struct jn_writer *w, const struct dataset_hit *h)
{
    char id[TEXT_ID_SIZE];
    jn_object_begin(w);
    jn_kv_str(w, "chunk", text_id_show(&h->chunk, "chk", id));
    (void)buf_printf(&s->cited, "%s\n", id);
    jn_kv_str(w, "dataset", h->dataset);
    jn_kv_str(w, "document", h->path);
    jn_kv_str(w, "title", h->title);
    jn_kv_str(w, "heading", h->heading);
    jn_kv_int(w, "position", h->seq);
    jn_kv_int(w, "at", h->at);
    if (h->page > 0) {
        jn_kv_int(w, "page", h->page);
    }
    api_put_time(w, "updated_at", h->updated_at);
    jn_kv_str(w, "label", secrecy_name(h->label));
    jn_kv_real(w, "score", h->score, 6);
    jn_kv_real(w, "cosine", h->cosine, 4);
    jn_kv_int(w, "word_rank", h->word_rank);
    jn_kv_int(w, "vector_rank", h->vector_rank);
    jn_kv_str(w, "text", h->text);
    jn_object_end(w);
}

static void search_work(void *arg)
{
    struct searching *s = arg;
    struct store_conn *c = api_reader_take(s->a, &s->why);
    if (c == NULL) {
        s->code = s->why.code;
        return;
    }
    struct arena *arena = arena_new((size_t)16 << 20);
    struct dataset_hit *hits = arena_alloc(arena, DATASET_HITS_MAX * sizeof(*hits));
    struct dataset_query q = {.text = s->query,
                              .vector = s->vector,
                              .dim = s->dim,
                              .model = s->model,
                              .datasets = s->names_len > 0 ? s->names : NULL,
                              .datasets_len = s->names_len,
                              .max = (size_t)s->limit};
    enum secrecy label;
    size_t n = 0;
    int64_t from = clock_monotonic_us();
    s->code =
        datasets_search(s->a->h.datasets, c, &s->who, &q, arena, hits, &n, &label, &s->why);
    api_reader_give(s->a, c);
    if (s->code == FAIL_NONE) {
        struct jn_writer w;
        jn_begin(&w, &s->out, false);
        jn_object_begin(&w);
        jn_kv_str(&w, "label", secrecy_name(label));
        jn_kv_str(&w, "ranked_by", s->vector != NULL ? "words and vectors" : "words");
        jn_kv_real(&w, "ms", clock_ms_since(from), 2);
        jn_key(&w, "results");
        jn_array_begin(&w);
        for (size_t i = 0; i < n; i++) {
            put_hit(s, &w, &hits[i]);
        }
        jn_array_end(&w);
        jn_object_end(&w);
    }
    arena_free(arena);
}

static enum fail search_note(struct store_tx *tx, void *arg, struct fault *why)
{
    struct searching *s = arg;
    struct audit_leaf leaf = {.kind = AUDIT_KIND_ANSWERED,
                              .actor = s->who.name,
                              .team = s->who.team,
                              .task = wire_id(s->r),
                              .verdict = "search",
                              .input = s->query,
                              .input_len = strlen(s->query),
                              .output = s->cited.data,
                              .output_len = s->cited.len};
    return audit_append(tx, s->a->h.audit, &leaf, NULL, NULL, why);
}

static void search_noted(void *arg, enum fail code, const struct fault *why)
{
    struct searching *s = arg;
    if (code != FAIL_NONE) {
        wire_fail(s->r, code, why);
    } else {
        wire_reply(s->r, 200, NULL, &s->out);
    }
    searching_free(s);
}

static void search_done(void *arg)
{
    struct searching *s = arg;
    enum fail f = s->code;
    if (f == FAIL_NONE) {
        f = store_write(s->a->h.store, search_note, s, search_noted, s->a->h.loop, &s->why);
    }
    if (f != FAIL_NONE) {
        wire_fail(s->r, f, &s->why);
        searching_free(s);
    }
}

static void search_submit(struct searching *s)
{
    enum fail f = datasets_submit(s->a->h.datasets, search_work, s, search_done, &s->why);
    if (f != FAIL_NONE) {
        wire_fail(s->r, f, &s->why);
        searching_free(s);
    }
}

/* Without a vector the words search alone: an answer now is worth more than a better one never. */
static void on_vector(void *arg, const struct fleet_answer *answer)
{
    struct searching *s = arg;
    const struct fleet_vectors *v = answer->vectors;
    if (answer->code == FAIL_NONE && v != NULL && v->n == 1) {
        s->vector = mem_dup(v->data, v->dim * sizeof(float));
        s->dim = v->dim;
        (void)text_copy(s->model, sizeof(s->model), answer->sha256);
    }
    search_submit(s);
}

static void search_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct searching *s = arg;
    struct buf body;
    char domain[KEYRING_NAME_SIZE + 16];
    (void)r;
    if (!fleet_is_ready(a->h.fleet, FLEET_EMBED)) {
        search_submit(s);
        return;
    }
    (void)snprintf(domain, sizeof(domain), "%s/search", s->who.team);
    buf_init(&body, IPC_FRAME_MAX);
    if (!fleet_embed_body(&body, IPC_INTERACTIVE, false, domain, &s->query, 1)) {
        buf_done(&body);
        search_submit(s);
        return;
    }
    struct fleet_ask ask = {.role = FLEET_EMBED, .type = IPC_EMBED, .flags = IPC_FLAG_BULK,
                            .body = body.data, .len = body.len, .team = s->who.team,
                            .class = IPC_INTERACTIVE, .done = on_vector, .arg = s};
    fleet_ask(a->h.fleet, &ask);
    buf_done(&body);
}

static enum fail read_search(struct searching *s, struct fault *why)
{
    json_t *list = NULL;
    enum fail f = jn_str(s->body, "query", true, DATASET_QUERY_BYTES, &s->query, why);
    f = f != FAIL_NONE ? f
                       : jn_int(s->body, "limit", false, 1, DATASET_HITS_MAX, &s->limit, why);
    f = f != FAIL_NONE ? f
                       : jn_array(s->body, "datasets", false, COUNT_OF(s->names), &list, why);
    for (size_t i = 0; f == FAIL_NONE && i < json_array_size(list); i++) {
        s->names[i] = json_string_value(json_array_get(list, i));
        s->names_len = i + 1;
        if (s->names[i] == NULL) {
            FAULT(why, FAIL_BAD_REQUEST, "\"datasets\" must hold names");
            f = fail_param(why, "datasets");
        }
    }
    if (f == FAIL_NONE && list != NULL && s->names_len == 0) {
        FAULT(why, FAIL_BAD_REQUEST, "\"datasets\" is empty: leave it out to search all");
        f = fail_param(why, "datasets");
    }
    if (f == FAIL_NONE && s->query[0] == '\0') {
        FAULT(why, FAIL_BAD_REQUEST, "\"query\" is empty");
        f = fail_param(why, "query");
    }
    return f;
}

void api_search(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"query", "datasets", "limit", NULL};
    struct fault why;
    json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct searching *s = mem_alloc(sizeof(*s));
    s->a = arg;
    s->r = r;
    s->who = *api_who(r);
    s->body = body;
    s->limit = 10;
    buf_init(&s->out, API_ANSWER_BYTES);
    buf_init(&s->cited, (size_t)16 * 1024);
    enum fail f = read_search(s, &why);
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        searching_free(s);
        return;
    }
    api_on_core(arg, r, search_on_core, s);
}
