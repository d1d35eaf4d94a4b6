/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asked often: questions alike for which no article was found and which people answered, and the
 * sentences that those answers share. A sentence is taken only when at least two who asked were
 * told it and the guard finds nothing personal in it.
 *
 * Owns nothing. Threads: a reader's, on a crunch thread; review_article is pure.
 * Limits: QUESTIONS_MAX compared; SENTENCES_MAX of all replies.
 */
#include <string.h>

#include "trust/guard/guard.h"
#include "work/review/review_internal.h"

#define QUESTIONS_MAX 2000
#define SENTENCES_MAX 400
#define SENTENCE_MIN_WORDS 4
#define ARENA_BYTES ((size_t)64 << 20)

/* ---- questions alike ---- */

struct question {
    struct id artifact;
    const char *requester;
    struct review_sketch *sketch;
    bool used;
};

static enum fail read_questions(struct store_conn *c, struct arena *arena, const char *team,
                                int64_t since_at, struct question *list, size_t *n,
                                struct fault *why)
{
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        c, "SELECT k.sketch, k.vector, k.model, k.artifact, a.actor, (SELECT t.ticket FROM "
           "review_ticket t WHERE t.artifact = k.artifact) FROM review_sketch k JOIN artifact a ON "
           "a.id = k.artifact WHERE k.team = ?1 AND k.unanswered = 1 AND a.created_at > ?2 AND "
           "a.state IN ('approved', 'edited', 'delivered') AND EXISTS (SELECT 1 FROM decision d "
           "WHERE d.artifact = k.artifact AND d.draft <> '') ORDER BY k.artifact DESC LIMIT ?3");
    store_bind_text(s, 1, team);
    store_bind_int(s, 2, since_at);
    store_bind_int(s, 3, QUESTIONS_MAX);
    *n = 0;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < QUESTIONS_MAX) {
        struct question *q = &list[*n];
        q->sketch = arena_alloc(arena, sizeof(*q->sketch));
        q->used = false;
        q->requester =
            arena_printf(arena, "%s/%s", store_col_text(s, 4), store_col_text(s, 5));
        f = review_sketch_read(s, 0, arena, q->sketch, why);
        if (f != FAIL_NONE) {
            return f;
        }
        *n += store_col_id(s, 3, &q->artifact);
    }
    return f;
}

/* How many are like `at` and not taken yet, itself among them. */
static size_t neighbours(const struct question *list, size_t n, size_t at)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += !list[i].used && review_sketches_like(list[at].sketch, list[i].sketch) >=
                                      REVIEW_ALIKE_NEAR;
    }
    return count;
}

/* Takes them, `at` first, and counts who asked. */
static void gather(struct question *list, size_t n, size_t at, struct review_often *out)
{
    const char *people[COUNT_OF(out->artifacts)];
    *out = (struct review_often){.n = 0};
    for (size_t i = 0; i < n && out->n < COUNT_OF(out->artifacts); i++) {
        struct question *q = &list[(at + i) % n];
        if (q->used ||
            review_sketches_like(list[at].sketch, q->sketch) < REVIEW_ALIKE_NEAR) {
            continue;
        }
        int64_t k = 0;
        while (k < out->people && strcmp(people[k], q->requester) != 0) {
            k++;
        }
        people[k] = q->requester;
        out->people += k == out->people;
        out->artifacts[out->n++] = q->artifact;
        q->used = true;
    }
}

enum fail review_often(struct store_conn *conn, const struct principal *who, int64_t since_at,
                       review_often_fn fn, void *arg, struct fault *why)
{
    struct review_settings set;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct question *list = arena_alloc(arena, QUESTIONS_MAX * sizeof(*list));
    size_t *counts = arena_alloc(arena, QUESTIONS_MAX * sizeof(*counts)), n = 0;
    enum fail f = review_settings_get(conn, who->team, &set, why);
    f = f == FAIL_NONE ? read_questions(conn, arena, who->team, since_at, list, &n, why) : f;
    for (size_t i = 0; i < n; i++) {
        counts[i] = neighbours(list, n, i);
    }
    for (bool more = f == FAIL_NONE; more;) {
        size_t best = n;
        for (size_t i = 0; i < n; i++) {
            if (!list[i].used && counts[i] >= (size_t)set.often &&
                (best == n || counts[i] > counts[best])) {
                best = i;
            }
        }
        if (best == n) {
            break;
        }
        counts[best] = neighbours(list, n, best); /* others may have been taken since */
        if (counts[best] < (size_t)set.often) {
            continue;
        }
        struct review_often group;
        gather(list, n, best, &group);
        more = group.people < 2 || fn(arg, &group);
    }
    arena_free(arena);
    return f;
}

enum fail review_often_drafted(struct store_tx *tx, const struct review_often *o,
                               struct fault *why)
{
    enum fail f = FAIL_NONE;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx), "UPDATE review_sketch SET unanswered = 2 WHERE artifact = ?1");
    for (size_t i = 0; i < o->n && f == FAIL_NONE; i++) {
        store_bind_id(s, 1, &o->artifacts[i]);
        f = store_run(s, why);
    }
    return f;
}

enum fail review_often_teams(struct store_conn *conn, char teams[][KEYRING_NAME_SIZE], size_t room,
                             size_t *n, struct fault *why)
{
    bool row;
    enum fail f;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT DISTINCT team FROM review_sketch WHERE unanswered = 1 ORDER BY team LIMIT "
              "?1");
    store_bind_int(s, 1, (int64_t)room);
    *n = 0;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row && *n < room) {
        (void)text_copy(teams[(*n)++], KEYRING_NAME_SIZE, store_col_text(s, 0));
    }
    return f;
}

/* ---- what their answers share ---- */

struct sentence {
    const char *text;
    char *plain; /* words and numbers alone, in small letters: two are the same or they are not */
    size_t len, reply;
};

static char *plain_of(struct arena *arena, const char *s, size_t n)
{
    char *out = arena_alloc(arena, n + 2);
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        c = c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
        bool word = c >= 0x80 || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (word) {
            out[len++] = (char)c;
        } else if (len > 0 && out[len - 1] != ' ') {
            out[len++] = ' ';
        }
    }
    out[len] = '\0';
    return out;
}

/* A stretch up to a full stop before white space, or to the end of the line. */
static size_t sentence_len(const char *s)
{
    size_t n = 0;
    while (s[n] != '\0' && s[n] != '\n') {
        if ((s[n] == '.' || s[n] == '!' || s[n] == '?') &&
            (s[n + 1] == ' ' || s[n + 1] == '\n' || s[n + 1] == '\0')) {
            return n + 1;
        }
        n++;
    }
    return n;
}

static size_t count_words(const char *s, size_t n)
{
    size_t words = 0;
    for (size_t i = 0; i < n; i++) {
        words += s[i] != ' ' && (i == 0 || s[i - 1] == ' ');
    }
    return words;
}

static size_t cut(const struct review_reply *replies, size_t n_replies, struct sentence *out,
                  struct arena *arena)
{
    size_t n = 0;
    for (size_t r = 0; r < n_replies; r++) {
        const char *p = replies[r].text;
        while (*p != '\0' && n < SENTENCES_MAX) {
            p += strspn(p, " \t\r\n");
            size_t len = sentence_len(p);
            const char *end = p + len;
            /* Greetings and sign-offs end with a comma or with nothing, and are short. */
            bool whole = len > 0 && strchr(".!?:", p[len - 1]) != NULL;
            if (whole && count_words(p, len) >= SENTENCE_MIN_WORDS) {
                struct sentence *x = &out[n++];
                *x = (struct sentence){.text = p, .plain = plain_of(arena, p, len), .len = len,
                                       .reply = r};
            }
            p = end;
        }
    }
    return n;
}

static bool told_to_two(const struct review_reply *replies, const struct sentence *list, size_t n,
                        const struct sentence *x)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(replies[list[i].reply].requester, replies[x->reply].requester) != 0 &&
            strcmp(list[i].plain, x->plain) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_clean(const struct sentence *x)
{
    static const struct guard_options all = {.names = true, .tagged = GUARD_TAGGED};
    struct buf masked;
    struct guard_spans spans = {0};
    buf_init(&masked, x->len * 4 + 256);
    bool ok = guard_mask(x->text, x->len, &all, &masked, &spans) && spans.n == 0;
    mem_free(spans.items);
    buf_done(&masked);
    return ok;
}

enum fail review_article(const struct review_reply *replies, size_t n_replies, struct buf *body,
                         size_t *n, struct fault *why)
{
    struct arena *arena = arena_new(ARENA_BYTES);
    struct sentence *list = arena_alloc(arena, SENTENCES_MAX * sizeof(*list));
    size_t count = cut(replies, n_replies, list, arena);
    const struct sentence *taken[SENTENCES_MAX];
    *n = 0;
    for (size_t i = 0; i < count; i++) {
        bool known = false;
        for (size_t k = 0; k < *n && !known; k++) {
            known = strcmp(taken[k]->plain, list[i].plain) == 0;
        }
        if (!known && told_to_two(replies, list, count, &list[i]) && is_clean(&list[i])) {
            taken[(*n)++] = &list[i];
            (void)buf_add(body, list[i].text, list[i].len);
            (void)buf_add_char(body, '\n');
        }
    }
    arena_free(arena);
    return body->overflow ? FAULT(why, FAIL_TOO_LARGE, "the article is too long") : FAIL_NONE;
}
