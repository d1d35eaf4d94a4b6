/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TBX (ISO 30042), 2008 and version 3: termEntry/langSet/tig/term and conceptEntry/langSec/termSec/
 * term. One unit a concept, one TERM block a term with its language as path and its number as
 * level; what is said of one term or of all (level 0) as FLAG blocks "forbidden", "preferred",
 * "do-not-translate"; definitions as notes.
 * Threads: one. Limits: the sink's.
 */
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"
#include "worker/formats/units_internal.h"

struct tbx {
    struct units units;
    struct sink *out;
    char lang[32], type[40], id[64];
    struct buf text;
    uint32_t terms; /* of this concept */
    bool in_entry, in_term_section, root;
};

static bool is(const char *name, const char *one, const char *other)
{
    return strcmp(name, one) == 0 || strcmp(name, other) == 0;
}

static void copy_attribute(const struct xml_element *e, const char *name, char *out, size_t room)
{
    size_t n = 0;
    const char *v = xml_attribute(e, name, &n);
    out[0] = '\0';
    if (v != NULL) {
        (void)snprintf(out, room, "%.*s", (int)(n >= room ? room - 1 : n), v);
        out[text_utf8_valid_prefix(out, strlen(out))] = '\0';
    }
}

static void open_element(void *ctx, const struct xml_element *e)
{
    struct tbx *t = ctx;
    if (!t->root && !is(e->name, "martif", "tbx") && strcmp(e->name, "TBX") != 0) {
        (void)sink_fail(t->out, FAIL_BAD_REQUEST, "Its root element is <tbx> or <martif>.",
                        "this XML is not TBX");
        return;
    }
    t->root = true;
    if (is(e->name, "termEntry", "conceptEntry")) {
        copy_attribute(e, "id", t->id, sizeof(t->id));
        units_open(&t->units, t->id, e->at, e->at + 1);
        t->in_entry = true;
        t->terms = 0;
        t->lang[0] = '\0';
    } else if (is(e->name, "langSet", "langSec")) {
        copy_attribute(e, "lang", t->lang, sizeof(t->lang));
    } else if (is(e->name, "tig", "termSec") || strcmp(e->name, "ntig") == 0) {
        t->in_term_section = true;
    }
    copy_attribute(e, "type", t->type, sizeof(t->type));
    buf_clear(&t->text);
}

static void put(struct tbx *t, enum document_kind kind, const char *path, const char *text,
                size_t len, bool of_term)
{
    AUTO_FREE char *copy = mem_dup_strn(text, len);
    char *s = text_trim(copy);
    if (t->in_entry && *s != '\0') {
        units_put(&t->units, kind, of_term && t->terms < 255 ? t->terms : 0, path, s, strlen(s), 0,
                  0);
    }
}

/* termNote: administrativeStatus, usageNote ...; note: translationNote "no" (as Weblate reads
   it). */
static void read_note(struct tbx *t, const char *value)
{
    bool of_term = t->in_term_section;
    bool status = is(t->type, "administrativeStatus", "normativeAuthorization");
    bool forbidden = strstr(value, "forbidden") != NULL || strstr(value, "obsolete") != NULL ||
                     strstr(value, "deprecated") != NULL || strstr(value, "superseded") != NULL;
    if (status && forbidden) {
        put(t, DOCUMENT_FLAG, "", "forbidden", 9, of_term);
    } else if (status && strstr(value, "preferred") != NULL) {
        put(t, DOCUMENT_FLAG, "", "preferred", 9, of_term);
    } else if (is(t->type, "translationNote", "translatable") && strcasecmp(value, "no") == 0) {
        put(t, DOCUMENT_FLAG, "", "do-not-translate", 16, false);
    }
}

static void close_element(void *ctx, const char *name)
{
    struct tbx *t = ctx;
    const char *s = t->text.data == NULL ? "" : t->text.data;
    if (t->in_entry && strcmp(name, "term") == 0) {
        t->terms++;
        put(t, DOCUMENT_TERM, t->lang, s, t->text.len, true);
    } else if (t->in_entry && (strcmp(name, "termNote") == 0 || strcmp(name, "note") == 0)) {
        AUTO_FREE char *copy = mem_dup_strn(s, t->text.len);
        read_note(t, text_trim(copy));
    } else if (t->in_entry && strcmp(name, "descrip") == 0 && strcmp(t->type, "definition") == 0) {
        put(t, DOCUMENT_NOTE, "", s, t->text.len, false);
    } else if (is(name, "tig", "termSec") || strcmp(name, "ntig") == 0) {
        t->in_term_section = false;
    } else if (t->in_entry && is(name, "termEntry", "conceptEntry")) {
        units_close(&t->units);
        t->in_entry = false;
    }
    buf_clear(&t->text);
}

static void add_text(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    struct tbx *t = ctx;
    (void)begin, (void)end;
    if (!buf_add(&t->text, text, len)) {
        (void)sink_fail(t->out, FAIL_TOO_LARGE, NULL, "a text is longer than %u bytes",
                        DOCUMENT_TEXT_MAX);
    }
}

enum fail tbx_read(const struct source *in, struct sink *out)
{
    static const struct xml_events events = {open_element, close_element, add_text};
    struct decoded d;
    char declared[64];
    xml_find_charset(in->bytes, in->len, declared);
    enum fail f = charset_decode(out, in->bytes, in->len, in->charset,
                                 declared[0] != '\0' ? declared : NULL, &d);
    if (f == FAIL_NONE && (f = sink_start(out, "tbx", d.charset)) == FAIL_NONE) {
        struct tbx t = {.out = out};
        units_begin(&t.units, out, in, &d);
        buf_init(&t.text, DOCUMENT_TEXT_MAX);
        f = xml_walk(out, d.text, d.len, &events, &t);
        buf_done(&t.text);
        units_done(&t.units);
    }
    charset_done(&d);
    return f;
}
