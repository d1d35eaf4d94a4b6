/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The dataset: articles in, questions they answered, vectors, and the index built from them.
 * Owns: everything in struct knowledge. Threads: see knowledge.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "answer/knowledge/knowledge_internal.h"
#include "base/text/text.h"

struct knowledge *knowledge_new(void)
{
    return mem_alloc(sizeof(struct knowledge));
}

static void drop_index(struct knowledge *k)
{
    knowledge_index_done(&k->words);
    knowledge_index_done(&k->grams);
    knowledge_index_done(&k->asked);
    mem_free(k->whole);
    mem_free(k->whole_scales);
    k->whole = NULL;
    k->whole_scales = NULL;
    k->sealed = false;
}

static void question_done(struct question *q)
{
    mem_free(q->key);
    mem_free(q->text);
    mem_free(q->vector);
}

void knowledge_free(struct knowledge *k)
{
    if (k == NULL) {
        return;
    }
    drop_index(k);
    for (size_t i = 0; i < k->article_count; i++) {
        knowledge_article_done(&k->articles[i]);
    }
    for (size_t i = 0; i < k->question_count; i++) {
        question_done(&k->questions[i]);
    }
    mem_free(k->articles);
    mem_free(k->questions);
    mem_free(k->first_unit);
    mem_free(k->vectors);
    mem_free(k->scales);
    mem_free(k);
}

size_t knowledge_article_count(const struct knowledge *k)
{
    return k->article_count;
}

const struct knowledge_article *knowledge_article_at(const struct knowledge *k, size_t i)
{
    ASSERT(i < k->article_count);
    return &k->articles[i];
}

static size_t index_of(const struct knowledge *k, const char *id)
{
    for (size_t i = 0; i < k->article_count; i++) {
        if (strcmp(k->articles[i].id, id) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

const struct knowledge_article *knowledge_article_find(const struct knowledge *k, const char *id)
{
    size_t i = index_of(k, id);
    return i == SIZE_MAX ? NULL : &k->articles[i];
}

/* Lays the units out again, keeping vectors of articles that stay where texts are equal. */
static void lay_out(struct knowledge *k)
{
    mem_free(k->first_unit);
    mem_free(k->vectors);
    mem_free(k->scales);
    k->vectors = NULL;
    k->first_unit = mem_alloc_array(k->article_count + 1, sizeof(size_t));
    k->unit_count = 0;
    for (size_t a = 0; a < k->article_count; a++) {
        struct knowledge_article *x = &k->articles[a];
        k->first_unit[a] = k->unit_count;
        k->unit_count += 1 + x->sentence_count;
        for (size_t s = 0; s < x->sentence_count; s++) {
            x->sentences[s].article = (uint32_t)a;
        }
    }
    k->scales = mem_alloc_array(k->unit_count + 1, sizeof(float));
    if (k->dim > 0) {
        k->vectors = mem_alloc_array(k->unit_count + 1, k->dim);
    }
}

enum fail knowledge_add_markdown(struct knowledge *k, const char *file, const char *text, size_t n,
                                 struct fault *why)
{
    struct knowledge_article a;
    enum fail f = knowledge_article_read(file, text, n, &a, why);
    if (f != FAIL_NONE) {
        return f;
    }
    size_t at = index_of(k, a.id);
    if (at == SIZE_MAX && k->article_count >= KNOWLEDGE_MAX_ARTICLES) {
        knowledge_article_done(&a);
        return FAULT(why, FAIL_TOO_LARGE, "%s: the dataset already holds %d articles", file,
                     KNOWLEDGE_MAX_ARTICLES);
    }
    drop_index(k);
    if (at != SIZE_MAX) {
        knowledge_article_done(&k->articles[at]);
    } else {
        if (k->article_count == k->article_room) {
            k->article_room = k->article_room == 0 ? 32 : k->article_room * 2;
            k->articles = mem_realloc(k->articles, k->article_room * sizeof(*k->articles));
        }
        at = k->article_count++;
    }
    k->articles[at] = a;
    k->unit_count = 0; /* laid out again when next asked */
    return FAIL_NONE;
}

static enum fail add_file(struct knowledge *k, const char *path, const char *name,
                          struct fault *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        enum fail f =
            FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot read %s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return f;
    }
    struct buf b;
    buf_init(&b, KNOWLEDGE_MAX_FILE + 1);
    char chunk[16384];
    ssize_t got;
    while ((got = read(fd, chunk, sizeof(chunk))) > 0 && buf_add(&b, chunk, (size_t)got)) {
    }
    close(fd);
    enum fail f;
    if (got < 0) {
        f = FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot read %s: %s", path, strerror(errno));
    } else if (b.overflow || b.len > KNOWLEDGE_MAX_FILE) {
        f = FAULT(why, FAIL_TOO_LARGE, "%s is over %zu bytes", name, KNOWLEDGE_MAX_FILE);
    } else {
        f = knowledge_add_markdown(k, name, b.data != NULL ? b.data : "", b.len, why);
    }
    buf_done(&b);
    return f;
}

static int only_markdown(const struct dirent *d)
{
    return d->d_name[0] != '.' && text_ends_with(d->d_name, ".md");
}

enum fail knowledge_add_folder(struct knowledge *k, const char *folder, size_t *added,
                               struct fault *why)
{
    struct dirent **list = NULL;
    int n = scandir(folder, &list, only_markdown, alphasort);
    *added = 0;
    if (n < 0) {
        return FAULT_ERRNO(why, FAIL_BAD_REQUEST, "cannot read the folder %s: %s", folder,
                           strerror(errno));
    }
    struct knowledge *fresh = knowledge_new();
    enum fail f = FAIL_NONE;
    for (int i = 0; i < n; i++) {
        struct buf path;
        buf_init(&path, 4096);
        if (f == FAIL_NONE && !buf_printf(&path, "%s/%s", folder, list[i]->d_name)) {
            f = FAULT(why, FAIL_BAD_REQUEST, "the path of %s is too long", list[i]->d_name);
        }
        size_t before = fresh->article_count;
        if (f == FAIL_NONE) {
            f = add_file(fresh, path.data, list[i]->d_name, why);
        }
        if (f == FAIL_NONE && fresh->article_count == before) {
            f = FAULT(why, FAIL_BAD_REQUEST, "%s repeats the id of another file", list[i]->d_name);
        }
        buf_done(&path);
        free(list[i]); /* tidy: memory: scandir's own */
    }
    free(list); /* tidy: memory: scandir's own */
    if (f == FAIL_NONE && k->article_count + fresh->article_count > KNOWLEDGE_MAX_ARTICLES) {
        f = FAULT(why, FAIL_TOO_LARGE, "%s holds more articles than the dataset may", folder);
    }
    for (size_t i = 0; f == FAIL_NONE && i < fresh->article_count; i++) {
        size_t at = index_of(k, fresh->articles[i].id);
        drop_index(k);
        if (at != SIZE_MAX) {
            knowledge_article_done(&k->articles[at]);
        } else {
            if (k->article_count == k->article_room) {
                k->article_room = k->article_room == 0 ? 32 : k->article_room * 2;
                k->articles = mem_realloc(k->articles, k->article_room * sizeof(*k->articles));
            }
            at = k->article_count++;
        }
        k->articles[at] = fresh->articles[i];
        fresh->articles[i] = (struct knowledge_article){0};
        k->unit_count = 0;
        (*added)++;
    }
    knowledge_free(fresh);
    return f;
}

enum fail knowledge_add_question(struct knowledge *k, const char *article_id, const char *key,
                                 const char *text, const float *vector, size_t dim,
                                 struct fault *why)
{
    size_t at = article_id != NULL ? index_of(k, article_id) : NO_ARTICLE;
    if (at == SIZE_MAX) {
        return FAULT(why, FAIL_NOT_FOUND, "no article `%.100s` for ticket %.60s", article_id, key);
    }
    if (vector != NULL && (dim == 0 || dim > KNOWLEDGE_MAX_DIM || (k->dim != 0 && k->dim != dim))) {
        return FAULT(why, FAIL_BAD_REQUEST, "a vector of %zu numbers among vectors of %zu", dim,
                     k->dim);
    }
    if (k->question_count == k->question_room) {
        k->question_room = k->question_room == 0 ? 64 : k->question_room * 2;
        k->questions = mem_realloc(k->questions, k->question_room * sizeof(*k->questions));
    }
    struct question *q = &k->questions[k->question_count++];
    *q = (struct question){
        .article = (uint32_t)at, .key = mem_dup_str(key), .text = mem_dup_str(text)};
    q->lang = at != NO_ARTICLE ? k->articles[at].lang : knowledge_guess_lang(text, strlen(text));
    if (vector != NULL) {
        k->dim = dim;
        q->vector = mem_alloc(dim);
        q->scale = knowledge_quantise(vector, dim, q->vector);
    }
    drop_index(k);
    return FAIL_NONE;
}

struct sink {
    struct index *index;
    uint32_t doc;
};

static void index_term(void *arg, const char *term, float weight)
{
    struct sink *s = arg;
    knowledge_index_add(s->index, s->doc, term, weight);
}

static void index_article(struct knowledge *k, uint32_t a)
{
    const struct knowledge_article *x = &k->articles[a];
    struct sink words = {&k->words, a}, grams = {&k->grams, a};
    size_t n = strlen(x->title);
    knowledge_each_word(x->title, n, x->lang, 3, index_term, &words);
    knowledge_each_gram(x->title, n, x->lang, 3, index_term, &grams);
    for (size_t i = 0; i < x->sentence_count; i++) {
        const char *t = x->sentences[i].text;
        knowledge_each_word(t, strlen(t), x->lang, 1, index_term, &words);
        knowledge_each_gram(t, strlen(t), x->lang, 1, index_term, &grams);
    }
}

/* tf-idf lengths of the questions, for the cosine. */
static void norm_questions(struct index *x)
{
    double *sum = mem_alloc_array(x->doc_count + 1, sizeof(*sum));
    for (size_t t = 0; t < x->term_count; t++) {
        for (uint32_t p = 0; p < x->terms[t].count; p++) {
            double w = (1.0 + log(x->terms[t].list[p].tf)) * x->terms[t].idf;
            sum[x->terms[t].list[p].doc] += w * w;
        }
    }
    for (size_t d = 0; d < x->doc_count; d++) {
        x->norm[d] = (float)sqrt(sum[d]);
    }
    mem_free(sum);
}

/* The mean of each article's vectors. */
static void build_wholes(struct knowledge *k)
{
    float sum[KNOWLEDGE_MAX_DIM];
    k->whole = mem_alloc_array(k->article_count + 1, k->dim);
    k->whole_scales = mem_alloc_array(k->article_count + 1, sizeof(float));
    for (size_t a = 0; a < k->article_count; a++) {
        memset(sum, 0, sizeof(sum));
        for (size_t u = k->first_unit[a]; u <= k->first_unit[a] + k->articles[a].sentence_count;
             u++) {
            for (size_t d = 0; d < k->dim; d++) {
                sum[d] += (float)k->vectors[u * k->dim + d] * k->scales[u];
            }
        }
        k->whole_scales[a] = knowledge_quantise(sum, k->dim, k->whole + a * k->dim);
    }
}

void knowledge_seal(struct knowledge *k)
{
    if (k->sealed) {
        return;
    }
    if (k->unit_count == 0) {
        lay_out(k);
    }
    if (k->vectors != NULL) {
        build_wholes(k);
    }
    knowledge_index_init(&k->words, k->article_count);
    knowledge_index_init(&k->grams, k->article_count);
    knowledge_index_init(&k->asked, k->question_count);
    for (uint32_t a = 0; a < k->article_count; a++) {
        index_article(k, a);
    }
    for (uint32_t i = 0; i < k->question_count; i++) {
        struct sink s = {&k->asked, i};
        const struct question *q = &k->questions[i];
        knowledge_each_word(q->text, strlen(q->text), q->lang, 1, index_term, &s);
    }
    knowledge_index_finish(&k->words);
    knowledge_index_finish(&k->grams);
    knowledge_index_finish(&k->asked);
    norm_questions(&k->asked);
    k->sealed = true;
}

size_t knowledge_unit_count(const struct knowledge *k)
{
    size_t n = 0;
    for (size_t a = 0; a < k->article_count; a++) {
        n += 1 + k->articles[a].sentence_count;
    }
    return n;
}

const char *knowledge_unit_text(const struct knowledge *k, size_t u)
{
    for (size_t a = 0; a < k->article_count; a++) {
        const struct knowledge_article *x = &k->articles[a];
        if (u == 0) {
            return x->title;
        }
        if (u <= x->sentence_count) {
            return x->sentences[u - 1].text;
        }
        u -= 1 + x->sentence_count;
    }
    return NULL;
}

bool knowledge_unit_has_vector(const struct knowledge *k, size_t u)
{
    return k->unit_count > u && k->scales[u] > 0;
}

enum fail knowledge_unit_set_vector(struct knowledge *k, size_t u, const float *vector, size_t dim,
                                    struct fault *why)
{
    if (k->unit_count == 0) {
        lay_out(k);
    }
    if (u >= k->unit_count) {
        return FAULT(why, FAIL_BAD_REQUEST, "no unit %zu: the dataset has %zu", u, k->unit_count);
    }
    if (dim == 0 || dim > KNOWLEDGE_MAX_DIM || (k->dim != 0 && k->dim != dim)) {
        return FAULT(why, FAIL_BAD_REQUEST, "a vector of %zu numbers among vectors of %zu", dim,
                     k->dim);
    }
    if (k->vectors == NULL) {
        k->dim = dim;
        k->vectors = mem_alloc_array(k->unit_count + 1, dim);
    }
    k->scales[u] = knowledge_quantise(vector, dim, k->vectors + u * dim);
    drop_index(k); /* the articles' means have changed */
    return FAIL_NONE;
}

bool knowledge_unit_get_vector(const struct knowledge *k, size_t u, float *out, size_t dim)
{
    if (u >= k->unit_count || k->vectors == NULL || k->dim != dim || !(k->scales[u] > 0)) {
        return false;
    }
    double length = 0;
    for (size_t i = 0; i < dim; i++) {
        out[i] = (float)k->vectors[u * dim + i];
        length += (double)out[i] * (double)out[i];
    }
    for (size_t i = 0; i < dim; i++) {
        out[i] = (float)((double)out[i] / sqrt(length));
    }
    return length > 0;
}

double knowledge_sentence_cosine(const struct knowledge *k, const struct knowledge_sentence *s,
                                 const float *vector, size_t dim)
{
    if (vector == NULL || dim != k->dim || k->dim == 0 || k->unit_count == 0) {
        return 0;
    }
    size_t u = k->first_unit[s->article] + 1 + s->index;
    int8_t qv[KNOWLEDGE_MAX_DIM];
    float qs = knowledge_quantise(vector, dim, qv);
    return k->scales[u] > 0 ? knowledge_dot(qv, qs, k->vectors + u * k->dim, k->scales[u], k->dim)
                            : 0;
}

double knowledge_idf(const struct knowledge *k, const char *stem)
{
    const struct term *t = knowledge_index_find(&k->words, stem);
    return t != NULL ? t->idf : k->words.idf_max;
}
