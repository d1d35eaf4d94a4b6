/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a sentence to its template: what is somebody's or of one day becomes a slot.
 * Owns: nothing. Threads: pure.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "answer/extract/extract.h"
#include "answer/reply/reply_internal.h"
#include "base/mem/mem.h"
#include "trust/guard/guard.h"

#define FOUND_MOST 64
#define ID_DIGITS 4

struct span {
    size_t from, to;
    enum reply_slot slot;
};

struct spans {
    struct span items[3 * FOUND_MOST];
    size_t n;
};

const char *reply_slot_name(enum reply_slot s)
{
    static const char *const names[REPLY_SLOT_COUNT] = {"name", "id",    "amount", "date",
                                                        "link", "email", "phone",  "private"};
    return s < REPLY_SLOT_COUNT ? names[s] : "none";
}

static void add(struct spans *s, size_t from, size_t to, enum reply_slot slot)
{
    if (s->n < COUNT_OF(s->items) && from < to) {
        s->items[s->n++] = (struct span){from, to, slot};
    }
}

static enum reply_slot slot_of_kind(enum guard_kind kind)
{
    return kind == GUARD_KIND_EMAIL   ? REPLY_EMAIL
           : kind == GUARD_KIND_LINK  ? REPLY_LINK
           : kind == GUARD_KIND_PHONE ? REPLY_PHONE
           : kind == GUARD_KIND_NAME  ? REPLY_NAME
           : kind == GUARD_KIND_ID || kind == GUARD_KIND_NUMBER ? REPLY_ID
                                                                : REPLY_PRIVATE;
}

static void find_private(const char *s, size_t n, struct spans *out)
{
    struct guard_findings found = {0};
    if (!guard_scan(s, n, NULL, &found)) {
        add(out, 0, n, REPLY_PRIVATE);
        return;
    }
    for (size_t i = 0; i < found.n; i++) {
        add(out, found.items[i].from, found.items[i].to, slot_of_kind(found.items[i].kind));
    }
    guard_findings_done(&found);
}

static void find_typed(const char *s, size_t n, struct spans *out)
{
    static const int slots[EXTRACT_TYPE_COUNT] = {
        [EXTRACT_TYPE_NUMBER] = -1,          [EXTRACT_TYPE_MEASURE] = -1,
        [EXTRACT_TYPE_AMOUNT] = REPLY_AMOUNT, [EXTRACT_TYPE_DATE] = REPLY_DATE,
        [EXTRACT_TYPE_TIME] = REPLY_DATE,     [EXTRACT_TYPE_ID] = REPLY_ID,
        [EXTRACT_TYPE_EMAIL] = REPLY_EMAIL,   [EXTRACT_TYPE_LINK] = REPLY_LINK,
        [EXTRACT_TYPE_PHONE] = REPLY_PHONE,   [EXTRACT_TYPE_WORDS] = -1};
    struct extract_found *found = mem_alloc_array(FOUND_MOST, sizeof(*found));
    struct extract_scene scene = {.now = 1767225600};
    bool cut = false;
    size_t got = extract_find(s, n, &scene, found, FOUND_MOST, &cut);
    for (size_t i = 0; i < got; i++) {
        size_t digits = 0;
        for (size_t k = 0; k < found[i].len; k++) {
            digits += isdigit((unsigned char)s[found[i].at + k]) != 0;
        }
        /* "Auto 5" and "E8" are no ids: every customer has them */
        if (slots[found[i].type] >= 0 &&
            (found[i].type != EXTRACT_TYPE_ID || digits >= ID_DIGITS)) {
            add(out, found[i].at, found[i].at + found[i].len,
                (enum reply_slot)slots[found[i].type]);
        }
    }
    if (cut) {
        add(out, 0, n, REPLY_PRIVATE);
    }
    mem_free(found);
}

/* Words of the customer's names, however they are written. */
static void find_names(const char *s, size_t n, const char *const *names, size_t names_len,
                       struct spans *out)
{
    struct knowledge_words w, x;
    knowledge_words_init(&w, s, n, KNOWLEDGE_LANG_OTHER);
    for (size_t k = 0; k < names_len; k++) {
        const char *name = names[k] != NULL ? names[k] : "";
        knowledge_words_init(&x, name, strlen(name), KNOWLEDGE_LANG_OTHER);
        for (size_t i = 0; i < w.count; i++) {
            for (size_t j = 0; j < x.count; j++) {
                size_t len = strlen(x.items[j].folded);
                bool same = len >= 2 && !reply_is_title(x.items[j].folded) &&
                            strncmp(w.items[i].folded, x.items[j].folded, len) == 0 &&
                            strlen(w.items[i].folded) <= len + 2; /* "Declan's", "Annas" */
                if (same) {
                    add(out, w.items[i].at, w.items[i].at + w.items[i].len, REPLY_NAME);
                }
            }
        }
        knowledge_words_done(&x);
    }
    knowledge_words_done(&w);
}

/* First ones first; of those that overlap, the one that nothing fills wins, then the longer. */
static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : x->to > y->to ? -1 : x->to < y->to;
}

char *reply_template(const char *sentence, size_t n, const char *const *names, size_t names_len,
                     unsigned *slots)
{
    struct spans *s = mem_alloc(sizeof(*s));
    struct buf b;
    size_t at = 0;
    *slots = 0;
    find_private(sentence, n, s);
    find_typed(sentence, n, s);
    find_names(sentence, n, names, names_len, s);
    qsort(s->items, s->n, sizeof(s->items[0]), by_place);
    buf_init(&b, REPLY_MAX_TEXT * 2);
    for (size_t i = 0; i < s->n;) {
        struct span whole = s->items[i++];
        while (i < s->n && s->items[i].from < whole.to) {
            whole.to = s->items[i].to > whole.to ? s->items[i].to : whole.to;
            whole.slot = s->items[i].slot == REPLY_PRIVATE ? REPLY_PRIVATE : whole.slot;
            i++;
        }
        buf_add(&b, sentence + at, whole.from - at);
        buf_printf(&b, "{%s}", reply_slot_name(whole.slot));
        *slots |= 1u << whole.slot;
        at = whole.to;
    }
    buf_add(&b, sentence + at, n - at);
    mem_free(s);
    return buf_take(&b);
}

char *reply_fill(const struct reply_sentence *s, const struct reply_values *values)
{
    struct buf b;
    buf_init(&b, REPLY_MAX_TEXT * 4);
    for (const char *p = s->text; *p != '\0';) {
        size_t slot = 0, len = 0;
        for (; *p == '{' && slot < REPLY_SLOT_COUNT; slot++) {
            const char *name = reply_slot_name((enum reply_slot)slot);
            len = strlen(name) + 2;
            if ((s->slots & (1u << slot)) != 0 && strncmp(p + 1, name, len - 2) == 0 &&
                p[len - 1] == '}') {
                break;
            }
        }
        if (*p != '{' || slot == REPLY_SLOT_COUNT) {
            buf_add_char(&b, *p++);
            continue;
        }
        const char *value = slot == REPLY_PRIVATE ? NULL : values->value[slot];
        if (value == NULL || *value == '\0') {
            buf_done(&b);
            return NULL;
        }
        buf_add_str(&b, value);
        p += len;
    }
    return buf_take(&b);
}
