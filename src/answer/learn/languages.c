/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Languages: what a head was measured on in each, which models hold which, and in which ones
 * tickets come.
 *
 * Owns: the table ticket_language. Threads: pure but for the caller's connection. Limits:
 * LEARN_MAX_LANGUAGES a head; what is beyond is counted as "und".
 */
#include <math.h>
#include <string.h>

#include "answer/learn/learn_internal.h"
#include "base/store/store.h"
#include "base/text/text.h"

#define DAY_US ((int64_t)24 * 3600 * 1000000)

struct learn_language *learn_language_get(struct learn_language *all, size_t *n, const char *code)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(all[i].code, code) == 0) {
            return &all[i];
        }
    }
    if (*n == LEARN_MAX_LANGUAGES || strlen(code) >= sizeof(all[0].code)) {
        return strcmp(code, "und") == 0 ? &all[*n - 1] : learn_language_get(all, n, "und");
    }
    all[*n] = (struct learn_language){0};
    (void)text_copy(all[*n].code, sizeof(all[*n].code), code);
    return &all[(*n)++];
}

size_t learn_head_languages(const struct learn_head *h)
{
    return h->n_languages;
}

const struct learn_language *learn_head_language(const struct learn_head *h, const char *code)
{
    for (size_t i = 0; i < h->n_languages; i++) {
        if (strcmp(h->languages[i].code, code) == 0) {
            return &h->languages[i];
        }
    }
    return NULL;
}

bool learn_language_holds(const struct learn_language *l)
{
    if (l == NULL || l->n < LEARN_LANGUAGE_EVIDENCE) {
        return false;
    }
    return (double)l->correct >= (double)l->expected - 2.33 * sqrt((double)l->variance + 0.25);
}

/* ---- which models hold which languages ---- */

/* By what their names say, first match wins: model files carry no list that can be relied on. */
static const struct {
    const char *part, *holds;
} known[] = {
    {"multilingual", "*"},
    {"bge-m3", "*"},
    {"embeddinggemma", "*"},
    {"labse", "*"},
    {"-e5-", "*"},
    {"qwen3-embedding", "*"},
    {"arctic-embed-l-v2", "*"},
    {"arctic-embed-m-v2", "*"},
    {"nomic-embed-text-v2", "*"},
    {"gte-multi", "*"},
    {"bge-small-zh", "zh"},
    {"bge-base-zh", "zh"},
    {"bge-large-zh", "zh"},
    {"jina-embeddings-v2-base-de", "en de"},
    {"jina-embeddings-v2-base-es", "en es"},
    {"jina-embeddings-v3", "*"},
    {"cross-en-de", "en de"},
    {"minilm", "en"},
    {"bge-", "en"},
    {"gte-", "en"},
    {"mxbai-embed", "en"},
    {"nomic-embed", "en"},
    {"mpnet", "en"},
    {"arctic-embed", "en"},
};

const char *learn_languages_of_model(const char *name)
{
    char folded[128];
    size_t n = strlen(name);
    n = n < sizeof(folded) - 1 ? n : sizeof(folded) - 1;
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        folded[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c == '_' ? '-' : c);
    }
    folded[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strstr(folded, known[i].part) != NULL) {
            return known[i].holds;
        }
    }
    return NULL;
}

bool learn_languages_include(const char *list, const char *code)
{
    if (strcmp(list, "*") == 0) {
        return true;
    }
    size_t n = strlen(code);
    for (const char *at = strstr(list, code); n > 0 && at != NULL; at = strstr(at + 1, code)) {
        if ((at == list || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' ')) {
            return true;
        }
    }
    return false;
}

/* ---- in which ones tickets come ---- */

enum fail learn_language_count(struct store_tx *tx, int64_t now_us, const char *code,
                               struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "INSERT INTO ticket_language (day, lang, n) VALUES (?1, ?2, 1) "
                           "ON CONFLICT (day, lang) DO UPDATE SET n = ticket_language.n + 1");
    store_bind_int(s, 1, now_us / DAY_US);
    store_bind_text(s, 2, code);
    return store_run(s, why);
}

enum fail learn_language_read(struct store_conn *conn, int64_t since_us,
                              struct learn_language_share *out, size_t room, size_t *n,
                              struct fault *why)
{
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT lang, SUM(n) FROM ticket_language WHERE day >= ?1 GROUP BY lang "
              "ORDER BY SUM(n) DESC, lang");
    store_bind_int(s, 1, since_us / DAY_US);
    bool row;
    enum fail f;
    *n = 0;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        if (*n < room) {
            (void)text_copy(out[*n].code, sizeof(out[*n].code), store_col_text(s, 0));
            out[(*n)++].n = store_col_int(s, 1);
        } else if (room > 0) {
            out[room - 1].n += store_col_int(s, 1);
        }
    }
    return f;
}
