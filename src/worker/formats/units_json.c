/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ARB (application resource bundles: docs/specification.md of google/app-resource-bundle) and JSON
 * of strings (nested, i18next, messages.json of browser extensions). Both hold one language: source
 * and target are the same value here, and its span is what a translation replaces.
 * Threads: one. Limits: the sink's.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

struct value {
    char *path, *text;
    size_t len, key, begin, end;
    bool string;
};

struct values {
    struct sink *out;
    struct value *items;
    size_t n, room;
    const struct value **by_path; /* sorted */
    bool messages;                /* {"key": {"message": ..., "description": ...}} */
};

static void keep(void *ctx, const struct json_found *v)
{
    struct values *all = ctx;
    if (all->n >= all->out->limits.blocks) {
        (void)sink_fail(all->out, FAIL_TOO_LARGE, NULL, "the file has more than %u values",
                        all->out->limits.blocks);
        return;
    }
    if (all->n == all->room) {
        all->room = all->room == 0 ? 256 : all->room * 2;
        all->items = mem_realloc(all->items, all->room * sizeof(*all->items));
    }
    all->items[all->n++] = (struct value){.path = mem_dup_str(v->path),
                                          .text = mem_dup_strn(v->text, v->len),
                                          .len = v->len,
                                          .key = v->key,
                                          .begin = v->begin,
                                          .end = v->end,
                                          .string = v->string};
}

static int compare(const void *a, const void *b)
{
    const struct value *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static void sort(struct values *all)
{
    all->by_path = mem_alloc_array(all->n + 1, sizeof(*all->by_path));
    for (size_t i = 0; i < all->n; i++) {
        all->by_path[i] = &all->items[i];
    }
    qsort(all->by_path, all->n, sizeof(*all->by_path), compare);
}

static const struct value *find(const struct values *all, char *path)
{
    struct value look = {.path = path};
    const struct value *key = &look;
    const struct value **found =
        bsearch(&key, all->by_path, all->n, sizeof(*all->by_path), compare);
    return found == NULL ? NULL : *found;
}

static void done(struct values *all)
{
    for (size_t i = 0; i < all->n; i++) {
        mem_free(all->items[i].path);
        mem_free(all->items[i].text);
    }
    mem_free(all->items);
    mem_free(all->by_path);
}

/* An escape that no text of ours can hold: control characters but tab and line feed. */
static bool is_odd(const char *s, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        if (s[i] == '\\') {
            char c = s[++i];
            if (c == 'r' || c == 'b' || c == 'f' ||
                (c == 'u' && n - i > 4 && memcmp(s + i + 1, "00", 2) == 0 &&
                 (s[i + 3] == '0' || s[i + 3] == '1') && memcmp(s + i + 1, "000a", 4) != 0 &&
                 memcmp(s + i + 1, "0009", 4) != 0 && memcmp(s + i + 1, "000A", 4) != 0)) {
                return true;
            }
        }
    }
    return false;
}

static void put_unit(struct units *u, const struct decoded *d, const struct value *v,
                     const char *id, const struct value *note)
{
    units_open(u, id, v->key, v->end);
    if (note != NULL && note->string) {
        units_put(u, DOCUMENT_NOTE, 0, "", note->text, note->len, 0, 0);
    }
    units_put(u, DOCUMENT_SOURCE, 0, "", v->text, v->len, v->begin, v->end);
    units_put(u, DOCUMENT_TARGET, 0, "", v->text, v->len, v->begin, v->end);
    u->odd = u->odd || is_odd(d->text + v->begin, v->end - v->begin);
    units_close(u);
}

/* ---- ARB ---- */

/* "/@key/description" beside "/key". */
static const struct value *about(const struct values *all, const char *path, const char *what)
{
    struct buf b;
    buf_init(&b, strlen(path) + strlen(what) + 8);
    (void)buf_printf(&b, "/@%s%s", path + 1, what);
    const struct value *v = find(all, b.data);
    buf_done(&b);
    return v;
}

static void put_arb(struct units *u, const struct decoded *d, struct values *all)
{
    for (size_t i = 0; i < all->n && u->out->failed == FAIL_NONE; i++) {
        const struct value *v = &all->items[i];
        if (strcmp(v->path, "/@@locale") == 0 && v->string) {
            (void)sink_meta(u->out, DOCUMENT_META_LANGUAGE, v->text, v->len);
            if (u->row == 0) {
                units_put(u, DOCUMENT_STATE, 0, "", v->text, v->len, v->begin, v->end);
            }
        }
        if (v->path[0] == '/' && v->path[1] != '@' && strchr(v->path + 1, '/') == NULL &&
            v->string) {
            put_unit(u, d, v, v->path, about(all, v->path, "/description"));
        }
    }
}

/* ---- JSON ---- */

/* Are all strings "/key/message", beside what belongs to a message? */
static bool has_messages(const struct values *all)
{
    size_t messages = 0;
    for (size_t i = 0; i < all->n; i++) {
        const char *second = all->items[i].path[0] == '/' ? strchr(all->items[i].path + 1, '/')
                                                          : NULL;
        if (second == NULL || (strcmp(second, "/message") != 0 &&
                               strcmp(second, "/description") != 0 &&
                               strncmp(second, "/placeholders/", 14) != 0)) {
            return false;
        }
        messages += strcmp(second, "/message") == 0 ? 1 : 0;
    }
    return messages > 0;
}

static const struct value *described(const struct values *all, const char *path)
{
    size_t n = strlen(path) - strlen("/message");
    struct buf b;
    buf_init(&b, n + 32);
    (void)buf_printf(&b, "%.*s/description", (int)n, path);
    const struct value *v = find(all, b.data);
    buf_done(&b);
    return v;
}

static void put_json(struct units *u, const struct decoded *d, struct values *all)
{
    bool messages = has_messages(all);
    for (size_t i = 0; i < all->n && u->out->failed == FAIL_NONE; i++) {
        const struct value *v = &all->items[i];
        if (!v->string || (messages && !text_ends_with(v->path, "/message"))) {
            continue;
        }
        put_unit(u, d, v, v->path, messages ? described(all, v->path) : NULL);
    }
}

static enum fail read_as(const struct source *in, struct sink *out, const char *format,
                         void (*put)(struct units *, const struct decoded *, struct values *))
{
    struct decoded d;
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset, NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, format, d.charset)) == FAIL_NONE) {
        struct units u;
        struct values all = {.out = out};
        units_begin(&u, out, in, &d);
        if (json_walk(out, d.text, d.len, keep, &all) == FAIL_NONE) {
            sort(&all);
            put(&u, &d, &all);
        }
        done(&all);
        units_done(&u);
    }
    charset_done(&d);
    return out->failed;
}

enum fail arb_read(const struct source *in, struct sink *out)
{
    return read_as(in, out, "arb", put_arb);
}

enum fail i18n_read(const struct source *in, struct sink *out)
{
    return read_as(in, out, "i18n", put_json);
}
