/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The house's frame around the chosen sentences, and the customer's name from the signature.
 * Owns: the text it returns. Threads: pure. Limits: a reply of 64 KiB.
 */
#include <string.h>

#include "answer/compose/compose_internal.h"
#include "base/text/text.h"

#define MAX_REPLY ((size_t)64 << 10)
#define SIGNATURE_LINES 4

static const char *const closings[] = {"cheers",
                                       "best",
                                       "regards",
                                       "kind regards",
                                       "best regards",
                                       "thanks",
                                       "thank you",
                                       "many thanks",
                                       "sincerely",
                                       "yours",
                                       "warm regards",
                                       "best wishes",
                                       "all the best",
                                       "thx",
                                       "greetings",
                                       "mit freundlichen gr\xC3\xBC\xC3\x9F"
                                       "en",
                                       "viele gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "freundliche gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "beste gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "liebe gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "gru\xC3\x9F",
                                       "mfg",
                                       "lg",
                                       "vg",
                                       "danke",
                                       "vielen dank",
                                       "gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "besten dank",
                                       "herzliche gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "hochachtungsvoll",
                                       "sch\xC3\xB6ne gr\xC3\xBC\xC3\x9F"
                                       "e",
                                       "mit freundlichem gru\xC3\x9F"};

static bool is_closing(const char *s, size_t n)
{
    struct knowledge_words w;
    struct buf joined;
    knowledge_words_init(&w, s, n, KNOWLEDGE_LANG_OTHER);
    buf_init(&joined, 4096);
    for (size_t i = 0; i < w.count && i < 6; i++) {
        buf_printf(&joined, i > 0 ? " %s" : "%s", w.items[i].folded);
    }
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(closings) && !found && joined.len > 0; i++) {
        struct knowledge_words c;
        struct buf other;
        knowledge_words_init(&c, closings[i], strlen(closings[i]), KNOWLEDGE_LANG_OTHER);
        buf_init(&other, 4096);
        for (size_t k = 0; k < c.count; k++) {
            buf_printf(&other, k > 0 ? " %s" : "%s", c.items[k].folded);
        }
        found = other.len == joined.len && memcmp(other.data, joined.data, joined.len) == 0;
        buf_done(&other);
        knowledge_words_done(&c);
    }
    buf_done(&joined);
    knowledge_words_done(&w);
    return found;
}

static bool is_title(const char *folded)
{
    static const char *const titles[] = {"mr", "ms", "mrs", "miss", "dr", "prof", "herr", "frau"};
    for (size_t i = 0; i < COUNT_OF(titles); i++) {
        if (strcmp(folded, titles[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* One to four capitalised words without digits that no article uses. */
static bool read_name(const struct knowledge *k, const char *s, size_t n, struct compose_name *out)
{
    if (n == 0 || n >= sizeof(out->full) || memchr(s, '@', n) != NULL ||
        memchr(s, '?', n) != NULL || memchr(s, '!', n) != NULL) {
        return false;
    }
    struct knowledge_words w;
    knowledge_words_init(&w, s, n, KNOWLEDGE_LANG_OTHER);
    bool ok = w.count >= 1 && w.count <= 4;
    double most = k != NULL ? knowledge_idf(k, "\x01") : 0;
    for (size_t i = 0; ok && i < w.count; i++) {
        const struct knowledge_word *x = &w.items[i];
        bool used =
            k != NULL && x->len > 3 && knowledge_idf(k, x->stem) < most && !is_title(x->folded);
        bool small = strcmp(x->folded, "van") == 0 || strcmp(x->folded, "von") == 0 ||
                     strcmp(x->folded, "de") == 0;
        ok = !x->digit && (x->capital || small) && !used &&
             (!x->stop || x->len <= 2 || is_title(x->folded)) &&
             /* not shouted */
             (x->len < 3 || memcmp(s + x->at + 1, x->folded + 1, 1) == 0 ||
              (unsigned char)s[x->at] >= 0x80);
    }
    if (ok) {
        bool titled = is_title(w.items[0].folded);
        const struct knowledge_word *last = &w.items[w.count - 1];
        size_t first_len = w.items[0].len;
        ok = !titled || w.count > 1;
        if (ok && titled) { /* "Mr D. Achterberg" -> "Mr Achterberg" */
            out->first[0] = '\0';
            size_t head = w.items[0].len;
            if (head + 1 + last->len < sizeof(out->first)) {
                memcpy(out->first, s + w.items[0].at, head);
                out->first[head] = ' ';
                memcpy(out->first + head + 1, s + last->at, last->len);
                out->first[head + 1 + last->len] = '\0';
            }
            text_copy(out->full, sizeof(out->full), out->first);
        } else if (ok && first_len >= 2 && first_len < sizeof(out->first)) {
            memcpy(out->first, s + w.items[0].at, first_len);
            out->first[first_len] = '\0';
            size_t span = last->at + last->len - w.items[0].at;
            memcpy(out->full, s + w.items[0].at, span);
            out->full[span] = '\0';
        } else {
            ok = false;
        }
    }
    knowledge_words_done(&w);
    return ok;
}

static void trim(const char **s, size_t *n)
{
    while (*n > 0 && strchr(" \t\r,.-/|", (*s)[0]) != NULL) {
        (*s)++;
        (*n)--;
    }
    while (*n > 0 && strchr(" \t\r,.-/|", (*s)[*n - 1]) != NULL) {
        (*n)--;
    }
}

/* "Cheers, Declan" on one line. */
static bool closing_and_name(const struct knowledge *k, const char *s, size_t n,
                             struct compose_name *out)
{
    const char *comma = memchr(s, ',', n);
    if (comma == NULL || !is_closing(s, (size_t)(comma - s))) {
        return false;
    }
    const char *rest = comma + 1;
    size_t left = n - (size_t)(rest - s);
    trim(&rest, &left);
    return read_name(k, rest, left, out);
}

struct compose_name compose_find_name(const struct knowledge *k, const char *text)
{
    struct compose_name out = {{0}, {0}};
    size_t end = strlen(text), seen = 0, lines = 0;
    for (size_t i = 0; i < end; i++) {
        lines += text[i] == '\n';
    }
    while (end > 0 && seen < SIGNATURE_LINES) {
        size_t start = end;
        while (start > 0 && text[start - 1] != '\n') {
            start--;
        }
        const char *s = text + start;
        size_t n = end - start;
        trim(&s, &n);
        if (n > 0) {
            seen++;
            /* a name stands behind a closing, or alone on a line under the text */
            if (closing_and_name(k, s, n, &out) ||
                (start > 0 && lines > 0 && seen <= 2 && read_name(k, s, n, &out))) {
                return out;
            }
            if (!is_closing(s, n) && seen >= 2) {
                break;
            }
        }
        end = start > 0 ? start - 1 : 0;
    }
    return (struct compose_name){{0}, {0}};
}

/* Puts value for every `slot`; without a value the slot goes with the space before it. */
static void add_filled(struct buf *b, const char *text, const char *slot, const char *value)
{
    const char *at;
    while ((at = strstr(text, slot)) != NULL) {
        size_t n = (size_t)(at - text);
        bool empty = value == NULL || *value == '\0';
        buf_add(b, text, empty && n > 0 && text[n - 1] == ' ' ? n - 1 : n);
        if (!empty) {
            buf_add_str(b, value);
        }
        text = at + strlen(slot);
    }
    buf_add_str(b, text);
}

static char *filled(const char *text, const char *slot, const char *value)
{
    struct buf b;
    buf_init(&b, MAX_REPLY);
    add_filled(&b, text, slot, value);
    return buf_take(&b);
}

static bool first_of_its_article(const struct compose_result *r, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (r->sentences[k].chosen &&
            strcmp(r->sentences[k].article, r->sentences[i].article) == 0) {
            return false;
        }
    }
    return true;
}

static void add_sources(struct buf *b, const struct compose_result *r,
                        const struct compose_frame *f)
{
    for (size_t i = 0; f->source != NULL && i < r->sentence_count; i++) {
        if (r->sentences[i].chosen && r->sentences[i].article[0] != '\0' &&
            first_of_its_article(r, i)) {
            AUTO_FREE char *link =
                filled(f->link != NULL ? f->link : "{id}", "{id}", r->sentences[i].article);
            AUTO_FREE char *titled = filled(f->source, "{title}", r->sentences[i].title);
            add_filled(b, titled, "{link}", link);
            buf_add_str(b, "\n");
        }
    }
}

char *compose_render(const struct compose_result *r, const struct compose_ticket *ticket,
                     const struct compose_frame *frame)
{
    struct compose_name name = compose_find_name(NULL, ticket->text);
    bool full = ticket->called == COMPOSE_CALLED_FULL ||
                (ticket->called == COMPOSE_CALLED_ANY && r->article_lang == KNOWLEDGE_LANG_DE);
    const char *called = full ? name.full : name.first;
    struct buf b;
    bool any = false;
    buf_init(&b, MAX_REPLY);
    if (frame->greeting != NULL) {
        add_filled(&b, frame->greeting, "{name}", called);
        buf_add_str(&b, "\n\n");
    }
    if (frame->opening != NULL) {
        buf_add_str(&b, frame->opening);
    }
    for (size_t i = 0; i < r->sentence_count; i++) {
        if (r->sentences[i].chosen) {
            AUTO_FREE char *order =
                filled(r->sentences[i].text, "{order_number}", ticket->order_number);
            buf_add_str(&b, any || frame->opening != NULL ? " " : "");
            add_filled(&b, order, "{name}", called);
            any = true;
        }
    }
    buf_add_str(&b, "\n\n");
    size_t before = b.len;
    add_sources(&b, r, frame);
    if (b.len > before) {
        buf_add_str(&b, "\n");
    }
    if (frame->closing != NULL) {
        buf_printf(&b, "%s\n\n", frame->closing);
    }
    const char *const last[] = {frame->sign_off, frame->agent, frame->desk};
    for (size_t i = 0; i < COUNT_OF(last); i++) {
        if (last[i] != NULL) {
            buf_printf(&b, "%s\n", last[i]);
        }
    }
    if (!any || b.overflow) {
        buf_done(&b);
        return NULL;
    }
    return buf_take(&b);
}
