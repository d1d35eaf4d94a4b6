/* SPDX-License-Identifier: Apache-2.0 */
/* New targets put into a file's own bytes. Owns: nothing beyond the call. Threads: none. Limits:
   the buffer's cap. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/ucnv.h>

#include "base/text/text.h"
#include "work/localize/localize_internal.h"

/* Where gettext's tools break lines. */
#define PO_COLUMNS 78

struct edit {
    uint64_t begin, end;
    size_t order; /* of those at one place */
    char *bytes;  /* ours, in the file's charset */
    size_t len;
};
struct edits {
    struct edit *items;
    size_t n, room;
};
struct writer {
    const struct localize_file *file;
    const char *bytes;
    size_t len;
    const char *eol;
    bool ascii; /* JSON: what is not ASCII is written as \u */
    struct edits edits;
    struct fault *why;
};

static void begin(struct writer *w, const struct localize_file *f, const void *bytes, size_t len,
                  struct fault *why)
{
    *w = (struct writer){.file = f, .bytes = bytes, .len = len, .why = why};
    w->eol = len > 0 && memmem(bytes, len, "\r\n", 2) != NULL ? "\r\n" : "\n";
    w->ascii = len > 0 && memmem(bytes, len, "\\u", 2) != NULL;
    for (size_t i = 0; i < len && w->ascii; i++) {
        w->ascii = (unsigned char)w->bytes[i] < 0x80;
    }
}

static void done(struct writer *w)
{
    for (size_t i = 0; i < w->edits.n; i++) {
        mem_free(w->edits.items[i].bytes);
    }
    mem_free(w->edits.items);
}

/* ---- the charset ---- */

static enum fail encode(struct writer *w, const char *text, size_t len, const char *id,
                        struct edit *e)
{
    UErrorCode code = U_ZERO_ERROR;
    if (strcmp(w->file->charset, "UTF-8") == 0) {
        e->bytes = mem_dup(text, len + 1);
        e->len = len;
        return FAIL_NONE;
    }
    UConverter *to = ucnv_open(w->file->charset, &code), *from = ucnv_open("UTF-8", &code);
    size_t room = len * 8 + 16;
    if (U_SUCCESS(code)) {
        ucnv_setFromUCallBack(to, UCNV_FROM_U_CALLBACK_STOP, NULL, NULL, NULL, &code);
        e->bytes = mem_alloc(room);
        char *target = e->bytes;
        const char *source = text;
        ucnv_convertEx(to, from, &target, e->bytes + room, &source, text + len, NULL, NULL, NULL,
                       NULL, true, true, &code);
        e->len = (size_t)(target - e->bytes);
    }
    ucnv_close(to);
    ucnv_close(from);
    if (U_FAILURE(code)) {
        mem_free(e->bytes);
        e->bytes = NULL;
        FAULT(w->why, FAIL_BAD_REQUEST, "%.100s: the file's charset %.40s cannot hold its target",
              id, w->file->charset);
        return fail_hint(w->why, "Convert the file to UTF-8.");
    }
    return FAIL_NONE;
}

static enum fail add_edit(struct writer *w, uint64_t from, uint64_t to, const char *text,
                          size_t len, const char *id)
{
    struct edits *all = &w->edits;
    struct edit e = {.begin = from, .end = to, .order = all->n};
    if (to < from || to > w->len) {
        return FAULT(w->why, FAIL_INTERNAL, "%.100s: its bytes lie outside the file", id);
    }
    enum fail f = encode(w, text, len, id, &e);
    if (f != FAIL_NONE) {
        return f;
    }
    if (all->n == all->room) {
        all->room = all->room == 0 ? 64 : all->room * 2;
        all->items = mem_realloc(all->items, all->room * sizeof(*all->items));
    }
    all->items[all->n++] = e;
    return FAIL_NONE;
}

/* ---- escaping ---- */

static void add_lines(const struct writer *w, struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        (void)(*p == '\n' ? buf_add_str(out, w->eol) : buf_add_char(out, *p));
    }
}

static void po_escape(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        switch (s[i]) {
        case '\n':
            (void)buf_add_str(out, "\\n");
            break;
        case '\t':
            (void)buf_add_str(out, "\\t");
            break;
        case '"':
        case '\\':
            (void)buf_add_char(out, '\\');
            (void)buf_add_char(out, s[i]);
            break;
        default:
            (void)buf_add_char(out, s[i]);
        }
    }
}

/* The next line of a long string: behind a line feed, or a blank within the columns. */
static size_t po_piece(const char *s, size_t n)
{
    size_t columns = 2, last = 0;
    for (size_t i = 0; i < n; i++) {
        columns += ((unsigned char)s[i] & 0xC0) != 0x80 ? 1 : 0;
        columns += s[i] == '"' || s[i] == '\\' || s[i] == '\n' ? 1 : 0;
        if (s[i] == '\n') {
            return i + 1;
        }
        if (columns > PO_COLUMNS && last > 0) {
            return last;
        }
        last = s[i] == ' ' ? i + 1 : last;
    }
    return n;
}

static void po_string(const struct writer *w, struct buf *out, const struct localize_text *old,
                      const char *s, size_t n)
{
    const char *was = w->bytes + old->begin;
    size_t first = po_piece(s, n);
    bool lines = first < n || memchr(was, '\n', (size_t)(old->end - old->begin)) != NULL;
    (void)buf_add_char(out, '"');
    if (lines && n > 0) {
        (void)buf_add_char(out, '"');
        for (size_t at = 0; at < n;) {
            size_t k = po_piece(s + at, n - at);
            (void)buf_add_str(out, w->eol);
            (void)buf_add_char(out, '"');
            po_escape(out, s + at, k);
            (void)buf_add_char(out, '"');
            at += k;
        }
        return;
    }
    po_escape(out, s, n);
    (void)buf_add_char(out, '"');
}

static void json_string(const struct writer *w, struct buf *out, const char *s, size_t n)
{
    (void)buf_add_char(out, '"');
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        size_t k = text_utf8_decode(s + i, n - i, &cp);
        k = k == 0 ? 1 : k;
        if (cp == '"' || cp == '\\') {
            (void)buf_printf(out, "\\%c", (char)cp);
        } else if (cp == '\n' || cp == '\t') {
            (void)buf_add_str(out, cp == '\n' ? "\\n" : "\\t");
        } else if (cp >= 0x10000 && w->ascii) {
            (void)buf_printf(out, "\\u%04x\\u%04x", 0xD800 + ((cp - 0x10000) >> 10),
                             0xDC00 + ((cp - 0x10000) & 0x3FF));
        } else if (cp >= 0x80 && w->ascii) {
            (void)buf_printf(out, "\\u%04x", cp);
        } else {
            (void)buf_add(out, s + i, k);
        }
        i += k;
    }
    (void)buf_add_char(out, '"');
}

static const char *markup_of(const struct localize_unit *u, const char *s, size_t n)
{
    const char *found = NULL;
    for (size_t i = 0; i < u->marks_len; i++) {
        const struct localize_mark *m = &u->marks[i];
        if (strlen(m->label) == n && memcmp(m->label, s, n) == 0) {
            found = m->target || found == NULL ? m->markup : found;
        }
    }
    return found;
}

static enum fail xml_string(struct writer *w, struct buf *out, const struct localize_unit *u,
                            const char *s, size_t n)
{
    static const char open[] = "\xE2\x9F\xA6", close[] = "\xE2\x9F\xA7";
    for (size_t i = 0; i < n;) {
        const char *end = n - i >= 6 && memcmp(s + i, open, 3) == 0
                              ? memmem(s + i, n - i, close, 3)
                              : NULL;
        if (end != NULL) {
            size_t k = (size_t)(end - (s + i)) + 3;
            const char *markup = markup_of(u, s + i, k);
            if (markup == NULL) {
                return FAULT(w->why, FAIL_BAD_REQUEST,
                             "%.100s: its target has an inline element that its source lacks",
                             u->id);
            }
            add_lines(w, out, markup);
            i += k;
            continue;
        }
        (void)(s[i] == '&'    ? buf_add_str(out, "&amp;")
               : s[i] == '<'  ? buf_add_str(out, "&lt;")
               : s[i] == '>'  ? buf_add_str(out, "&gt;")
               : s[i] == '\n' ? buf_add_str(out, w->eol)
                              : buf_add_char(out, s[i]));
        i++;
    }
    return FAIL_NONE;
}

static void csv_cell(const struct writer *w, struct buf *out, const struct localize_text *old,
                     const char *s, size_t n)
{
    char special[] = {'"', '\n', w->file->delimiter, '\0'};
    bool quote = (old->end > old->begin && w->bytes[old->begin] == '"') ||
                 strpbrk(s, special) != NULL || (n > 0 && (s[0] == ' ' || s[n - 1] == ' '));
    if (!quote) {
        (void)buf_add(out, s, n);
        return;
    }
    (void)buf_add_char(out, '"');
    for (size_t i = 0; i < n; i++) {
        (void)(s[i] == '"'    ? buf_add_str(out, "\"\"")
               : s[i] == '\n' ? buf_add_str(out, w->eol)
                              : buf_add_char(out, s[i]));
    }
    (void)buf_add_char(out, '"');
}

/* Does the state stand in the bytes that the target replaces (<target state="new"/>)? */
static bool holds_state(const struct localize_unit *u, const struct localize_text *old)
{
    return u->state_end > u->state_begin && u->state_begin >= old->begin &&
           u->state_end <= old->end;
}

/* What stands before a target that has no element yet, with the state it gets. */
static void add_before(const struct writer *w, struct buf *out, const struct localize_unit *u,
                       const struct localize_text *old)
{
    bool inside = holds_state(u, old) && (u->marks_are & LOCALIZE_FUZZY) != 0;
    size_t at = inside ? (size_t)(u->state_begin - old->begin) : 0;
    if (!inside || at > strlen(u->before) ||
        strncmp(u->before + at, u->state, strlen(u->state)) != 0) {
        add_lines(w, out, u->before);
        return;
    }
    (void)buf_add(out, u->before, at);
    (void)buf_add_str(out, u->state_done);
    add_lines(w, out, u->before + at + strlen(u->state));
}

static enum fail escape(struct writer *w, struct buf *out, const struct localize_unit *u,
                        const struct localize_text *old, const char *s, size_t n)
{
    const char *format = w->file->format;
    if (strcmp(format, "po") == 0) {
        po_string(w, out, old, s, n);
    } else if (strcmp(format, "strings") == 0) {
        csv_cell(w, out, old, s, n);
    } else if (strcmp(format, "xliff") == 0) {
        add_before(w, out, u, old);
        enum fail f = xml_string(w, out, u, s, n);
        add_lines(w, out, u->after);
        return f;
    } else {
        json_string(w, out, s, n);
    }
    return FAIL_NONE;
}

/* ---- splicing ---- */

static int compare(const void *a, const void *b)
{
    const struct edit *x = a, *y = b;
    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static enum fail splice(struct writer *w, struct buf *out)
{
    uint64_t at = 0;
    if (w->edits.n > 0) {
        qsort(w->edits.items, w->edits.n, sizeof(*w->edits.items), compare);
    }
    for (size_t i = 0; i < w->edits.n; i++) {
        const struct edit *e = &w->edits.items[i];
        if (e->begin < at) {
            return FAULT(w->why, FAIL_BAD_REQUEST, "two new targets want the same bytes");
        }
        (void)buf_add(out, w->bytes + at, (size_t)(e->begin - at));
        (void)buf_add(out, e->bytes, e->len);
        at = e->end;
    }
    (void)buf_add(out, w->bytes + at, w->len - (size_t)at);
    return out->overflow ? FAULT(w->why, FAIL_TOO_LARGE, "the file with its targets is too long")
                         : FAIL_NONE;
}

static enum fail add_change(struct writer *w, const struct localize_unit *u, size_t target,
                            const char *text, size_t len)
{
    const struct localize_text *old = &u->targets[target];
    struct buf b;
    if ((u->marks_are & LOCALIZE_ODD) != 0) {
        return FAULT(w->why, FAIL_BAD_REQUEST,
                     "%.100s: it holds control characters, which are not written", u->id);
    }
    buf_init(&b, len * 8 + (1u << 20));
    enum fail f = escape(w, &b, u, old, text, len);
    if (f == FAIL_NONE) {
        f = add_edit(w, old->begin, old->end, b.data == NULL ? "" : b.data, b.len, u->id);
    }
    buf_done(&b);
    return f;
}

enum fail localize_write(const struct localize_file *f, const void *bytes, size_t len,
                         const struct localize_change *changes, size_t n, struct buf *out,
                         struct fault *why)
{
    struct writer w;
    enum fail code = FAIL_NONE;
    size_t stated = SIZE_MAX;
    begin(&w, f, bytes, len, why);
    for (size_t i = 0; i < n && code == FAIL_NONE; i++) {
        const struct localize_change *c = &changes[i];
        ASSERT(c->unit < f->len && c->target < f->units[c->unit].targets_len);
        const struct localize_unit *u = &f->units[c->unit];
        code = add_change(&w, u, c->target, c->text, c->len);
        bool guess = (u->marks_are & LOCALIZE_FUZZY) != 0 && u->state_end > u->state_begin &&
                     !holds_state(u, &u->targets[c->target]);
        if (code == FAIL_NONE && guess && stated != c->unit) {
            stated = c->unit;
            code = add_edit(&w, u->state_begin, u->state_end, u->state_done,
                            strlen(u->state_done), u->id);
        }
    }
    if (code == FAIL_NONE && f->locale_to != NULL && f->locale_end > f->locale_begin) {
        struct buf b;
        buf_init(&b, 1024);
        json_string(&w, &b, f->locale_to, strlen(f->locale_to));
        code = add_edit(&w, f->locale_begin, f->locale_end, b.data, b.len, "@@locale");
        buf_done(&b);
    }
    code = code == FAIL_NONE ? splice(&w, out) : code;
    done(&w);
    return code;
}

/* ---- files of one language ---- */

struct by_id {
    const char *id;
    size_t index;
};

static int compare_id(const void *a, const void *b)
{
    const struct by_id *x = a, *y = b;
    return strcmp(x->id, y->id);
}

static struct by_id *index_ids(const struct localize_file *f)
{
    struct by_id *all = mem_alloc_array(f->len + 1, sizeof(*all));
    for (size_t i = 0; i < f->len; i++) {
        all[i] = (struct by_id){f->units[i].id, i};
    }
    qsort(all, f->len, sizeof(*all), compare_id);
    return all;
}

static const struct localize_unit *find_id(const struct localize_file *f, const struct by_id *all,
                                           const char *id)
{
    struct by_id key = {id, 0};
    const struct by_id *found = bsearch(&key, all, f->len, sizeof(*all), compare_id);
    return found == NULL ? NULL : &f->units[found->index];
}

static size_t parent_len(const char *id)
{
    const char *slash = strrchr(id, '/');
    return slash == NULL ? 0 : (size_t)(slash - id);
}

static bool same_parent(const char *a, const char *b)
{
    return parent_len(a) == parent_len(b) && strncmp(a, b, parent_len(a)) == 0;
}

/* White space before a key, from the start of its line. */
static void add_indent(const struct writer *w, struct buf *out, uint64_t key)
{
    uint64_t at = key;
    while (at > 0 && (w->bytes[at - 1] == ' ' || w->bytes[at - 1] == '\t')) {
        at--;
    }
    if (at > 0 && w->bytes[at - 1] == '\n') {
        (void)buf_add_str(out, w->eol);
        (void)buf_add(out, w->bytes + at, (size_t)(key - at));
    } else {
        (void)buf_add_char(out, ' ');
    }
}

static void add_member(const struct writer *w, struct buf *out, const struct localize_new *c)
{
    const char *name = c->id + parent_len(c->id) + 1;
    struct buf key;
    buf_init(&key, strlen(name) + 16);
    for (const char *p = name; *p != '\0'; p++) {
        bool escaped = p[0] == '~' && (p[1] == '0' || p[1] == '1');
        (void)buf_add_char(&key, !escaped ? *p : p[1] == '0' ? '~' : '/');
        p += escaped ? 1 : 0;
    }
    json_string(w, out, key.data == NULL ? "" : key.data, key.len);
    (void)buf_add_str(out, ": ");
    json_string(w, out, c->text, c->len);
    buf_done(&key);
}

/* Beside the nearest neighbour in the source file that the target file has too. */
static enum fail insert(struct writer *w, const struct localize_file *source, size_t at,
                        const struct by_id *ids, const struct localize_new *c, bool *put)
{
    const struct localize_unit *near = NULL;
    bool before = false;
    for (size_t i = at; i > 0 && near == NULL; i--) {
        near = same_parent(source->units[i - 1].id, c->id)
                   ? find_id(w->file, ids, source->units[i - 1].id)
                   : NULL;
    }
    for (size_t i = at + 1; i < source->len && near == NULL; i++) {
        near = same_parent(source->units[i].id, c->id) ? find_id(w->file, ids, source->units[i].id)
                                                       : NULL;
        before = near != NULL;
    }
    *put = near != NULL && near->targets_len > 0 && near->begin < near->targets[0].begin;
    if (!*put) {
        return FAIL_NONE; /* no object to put it into, or a list */
    }
    struct buf b;
    buf_init(&b, c->len * 8 + strlen(c->id) * 8 + 4096);
    if (before) {
        add_member(w, &b, c);
        (void)buf_add_char(&b, ',');
        add_indent(w, &b, near->begin);
    } else {
        (void)buf_add_char(&b, ',');
        add_indent(w, &b, near->begin);
        add_member(w, &b, c);
    }
    uint64_t place = before ? near->begin : near->end;
    enum fail f = add_edit(w, place, place, b.data, b.len, c->id);
    buf_done(&b);
    return f;
}

enum fail localize_write_beside(const struct localize_file *source,
                                const struct localize_file *target, const void *bytes, size_t len,
                                const struct localize_new *changes, size_t n, struct buf *out,
                                size_t *skipped, struct fault *why)
{
    struct writer w;
    enum fail code = FAIL_NONE;
    *skipped = 0;
    begin(&w, target, bytes, len, why);
    struct by_id *theirs = index_ids(target), *ours = index_ids(source);
    for (size_t i = 0; i < n && code == FAIL_NONE; i++) {
        const struct localize_new *c = &changes[i];
        const struct localize_unit *u = find_id(target, theirs, c->id);
        const struct localize_unit *s = find_id(source, ours, c->id);
        bool put = u != NULL && u->targets_len > 0;
        if (put) {
            code = add_change(&w, u, 0, c->text, c->len);
        } else if (s != NULL) {
            code = insert(&w, source, (size_t)(s - source->units), theirs, c, &put);
        }
        *skipped += put ? 0 : 1;
    }
    code = code == FAIL_NONE ? splice(&w, out) : code;
    mem_free(theirs);
    mem_free(ours);
    done(&w);
    return code;
}
