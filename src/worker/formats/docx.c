/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOCX (ECMA-376): the parts of its zip that hold text, by libzip from memory and our XML walk:
 * body, footnotes, endnotes, comments; styles say what is a heading or a list; relationships give
 * links their targets, which nobody follows. Deleted and hidden text is left out.
 * Owns: the zip. Threads: one. Limits: members of the zip, UNPACKED_TIMES the text's limit of
 * unpacked XML, RATIO_MAX between unpacked and packed, STYLES_MAX, RELATIONS_MAX, TABLES_MAX.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <zip.h>

#include "base/text/text.h"
#include "worker/formats/docx_internal.h"

#define UNPACKED_TIMES 8
#define RATIO_MAX 500
#define RATIO_FROM (1u << 20) /* small parts may shrink as they like */
#define READ_BYTES 65536

/* ---- the zip ---- */

static bool is_bomb(const zip_stat_t *st)
{
    return st->size > RATIO_FROM && (st->comp_size == 0 || st->size / st->comp_size > RATIO_MAX);
}

static enum fail check_part(struct docx *x, const zip_stat_t *st)
{
    if ((st->valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && st->encryption_method != ZIP_EM_NONE) {
        return sink_fail(x->out, FAIL_UNSUPPORTED, "Save it without a password.",
                         "the document is encrypted");
    }
    x->unpacked += st->size;
    if (is_bomb(st) || x->unpacked > x->out->limits.text_bytes * UNPACKED_TIMES) {
        return sink_fail(
            x->out, FAIL_TOO_LARGE, "No document that people write is built like this.",
            "a part of the document unpacks to %llu bytes", (unsigned long long)st->size);
    }
    return x->out->failed;
}

/* A part whole, checked against what the zip says of it; false: it is not there. */
static bool read_part(struct docx *x, const char *name, struct buf *out)
{
    zip_stat_t st;
    zip_int64_t index = zip_name_locate(x->zip, name, ZIP_FL_NOCASE);
    if (index < 0 || x->out->failed != FAIL_NONE ||
        zip_stat_index(x->zip, (zip_uint64_t)index, 0, &st) != 0 ||
        check_part(x, &st) != FAIL_NONE) {
        return false;
    }
    buf_init(out, st.size + 16);
    zip_file_t *file = zip_fopen_index(x->zip, (zip_uint64_t)index, 0);
    zip_int64_t n = -1;
    char *chunk = mem_alloc(READ_BYTES);
    while (file != NULL && (n = zip_fread(file, chunk, READ_BYTES)) > 0 &&
           buf_add(out, chunk, (size_t)n)) {
    }
    mem_free(chunk);
    if (file != NULL) {
        zip_fclose(file);
    }
    if (n != 0 || out->overflow || out->len != st.size) {
        (void)sink_fail(x->out, FAIL_BAD_REQUEST, "Save it again.",
                        "the document is damaged: a part of its zip cannot be unpacked");
        buf_done(out);
        return false;
    }
    return true;
}

/* ---- walking a part ---- */

static bool walk_part(struct docx *x, const char *name, const struct xml_events *events, void *ctx)
{
    struct buf raw;
    struct decoded d;
    char declared[64];
    if (!read_part(x, name, &raw)) {
        return false;
    }
    xml_find_charset(raw.data == NULL ? "" : raw.data, raw.len, declared);
    if (charset_decode(x->out, raw.data == NULL ? "" : raw.data, raw.len, NULL,
                       declared[0] != '\0' ? declared : NULL, &d) == FAIL_NONE) {
        (void)xml_walk(x->out, d.text, d.len, events, ctx);
    }
    charset_done(&d);
    buf_done(&raw);
    return true;
}

static char *value_of(const struct xml_element *e, const char *name)
{
    size_t len;
    const char *v = xml_attribute(e, name, &len);
    return v == NULL ? NULL : mem_dup_strn(v, len);
}

static void no_close(void *ctx, const char *name)
{
    (void)ctx, (void)name;
}

static void no_text(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    (void)ctx, (void)text, (void)len, (void)begin, (void)end;
}

/* ---- relationships ---- */

static void open_relation(void *ctx, const struct xml_element *e)
{
    struct docx *x = ctx;
    if (strcmp(e->name, "Relationship") != 0 || x->relations_len >= RELATIONS_MAX) {
        return;
    }
    AUTO_FREE char *type = value_of(e, "Type");
    struct relation *r = &x->relations[x->relations_len];
    r->id = value_of(e, "Id");
    r->target = value_of(e, "Target");
    if (r->id == NULL || r->target == NULL || type == NULL) {
        mem_free(r->id);
        mem_free(r->target);
        return;
    }
    r->link = text_ends_with(type, "/hyperlink");
    r->document = text_ends_with(type, "/officeDocument");
    x->relations_len++;
}

static void drop_relations(struct docx *x)
{
    for (size_t i = 0; i < x->relations_len; i++) {
        mem_free(x->relations[i].id);
        mem_free(x->relations[i].target);
    }
    x->relations_len = 0;
}

static void read_relations(struct docx *x, const char *name)
{
    static const struct xml_events events = {open_relation, no_close, no_text};
    drop_relations(x);
    (void)walk_part(x, name, &events, x);
}

const char *docx_link(const struct docx *x, const struct xml_element *e)
{
    AUTO_FREE char *id = value_of(e, "id");
    for (size_t i = 0; id != NULL && i < x->relations_len; i++) {
        if (x->relations[i].link && strcmp(x->relations[i].id, id) == 0) {
            return x->relations[i].target;
        }
    }
    return NULL;
}

/* ---- styles ---- */

/* "heading 2", "List Bullet 3", "Quote": the names that Word gives them in every language. */
static void understand(struct style *s, const char *name)
{
    size_t n = strlen(name);
    unsigned digit = n > 0 && name[n - 1] >= '1' && name[n - 1] <= '9'
                         ? (unsigned)(name[n - 1] - '0')
                         : 0;
    if (strncasecmp(name, "heading ", 8) == 0 && digit > 0) {
        s->heading = digit;
    } else if (strcasecmp(name, "title") == 0) {
        s->heading = 1;
    } else if (strncasecmp(name, "list bullet", 11) == 0 ||
               strncasecmp(name, "list number", 11) == 0) {
        s->item = digit > 0 ? digit : 1;
    } else if (strcasecmp(name, "quote") == 0 || strcasecmp(name, "intense quote") == 0) {
        s->quote = true;
    } else if (strcasecmp(name, "html preformatted") == 0 || strcasecmp(name, "macro") == 0) {
        s->code = true;
    }
}

static void open_style(void *ctx, const struct xml_element *e)
{
    struct docx *x = ctx;
    if (strcmp(e->name, "style") == 0 && x->styles_len < STYLES_MAX) {
        char *id = value_of(e, "styleId");
        if (id != NULL) {
            x->styles[x->styles_len++] = (struct style){.id = id};
        }
        return;
    }
    struct style *s = x->styles_len > 0 ? &x->styles[x->styles_len - 1] : NULL;
    AUTO_FREE char *value = value_of(e, "val");
    int64_t level;
    if (s == NULL || value == NULL) {
        return;
    }
    if (strcmp(e->name, "name") == 0) {
        understand(s, value);
    } else if (strcmp(e->name, "basedOn") == 0 && s->base == NULL) {
        s->base = STEAL(value);
    } else if (strcmp(e->name, "outlineLvl") == 0 && text_read_int(value, 0, 8, &level)) {
        s->heading = (unsigned)level + 1;
    } else if (strcmp(e->name, "numId") == 0 && s->item == 0 && strcmp(value, "0") != 0) {
        s->item = 1;
    }
}

static void read_styles(struct docx *x)
{
    static const struct xml_events events = {open_style, no_close, no_text};
    (void)walk_part(x, "word/styles.xml", &events, x);
}

/* A style says what it says, else what it is based on says; eleven steps at most, as Word
   allows. */
struct style docx_style(const struct docx *x, const char *id)
{
    struct style found = {0};
    for (int step = 0; step < 11 && id != NULL; step++) {
        const struct style *s = NULL;
        for (size_t i = 0; i < x->styles_len && s == NULL; i++) {
            s = strcmp(x->styles[i].id, id) == 0 ? &x->styles[i] : NULL;
        }
        if (s == NULL) {
            break;
        }
        found = *s;
        if (s->heading > 0 || s->item > 0 || s->quote || s->code) {
            break;
        }
        id = s->base;
    }
    return found;
}

/* ---- properties ---- */

struct properties {
    struct sink *out;
    struct buf text;
};

static void open_property(void *ctx, const struct xml_element *e)
{
    struct properties *p = ctx;
    (void)e;
    buf_clear(&p->text);
}

static void add_property(void *ctx, const char *text, size_t len, size_t begin, size_t end)
{
    struct properties *p = ctx;
    (void)begin, (void)end;
    (void)buf_add(&p->text, text, len); /* what is too long is left out */
}

static void close_property(void *ctx, const char *name)
{
    struct properties *p = ctx;
    static const struct {
        const char *name;
        enum document_meta_key key;
    } names[] = {{"title", DOCUMENT_META_TITLE},       {"creator", DOCUMENT_META_AUTHOR},
                 {"subject", DOCUMENT_META_SUBJECT},   {"keywords", DOCUMENT_META_KEYWORDS},
                 {"created", DOCUMENT_META_CREATED},   {"modified", DOCUMENT_META_MODIFIED},
                 {"language", DOCUMENT_META_LANGUAGE}, {"description", DOCUMENT_META_DESCRIPTION}};
    for (size_t i = 0; i < COUNT_OF(names) && p->text.len > 0; i++) {
        if (strcmp(names[i].name, name) == 0) {
            (void)sink_meta(p->out, names[i].key, p->text.data, p->text.len);
        }
    }
    buf_clear(&p->text);
}

static void read_properties(struct docx *x)
{
    static const struct xml_events events = {open_property, close_property, add_property};
    struct properties p = {.out = x->out};
    buf_init(&p.text, DOCUMENT_VALUE_MAX);
    (void)walk_part(x, "docProps/core.xml", &events, &p);
    buf_done(&p.text);
}

/* ---- the document ---- */

static void read_story(struct docx *x, const char *part, const char *relations, uint32_t number,
                       bool note)
{
    struct story *s = docx_story_new(x, number, note);
    read_relations(x, relations);
    if (!walk_part(x, part, &docx_story_events, s) && number == 1) {
        (void)sink_fail(x->out, FAIL_UNSUPPORTED, "Save it as DOCX.",
                        "a zip without a document of Word in it");
    }
    docx_story_free(s);
}

static void say_left_out(struct docx *x, zip_int64_t n)
{
    uint32_t embedded = 0;
    bool macros = false;
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(x->zip, (zip_uint64_t)i, ZIP_FL_ENC_GUESS);
        embedded += name != NULL && strncmp(name, "word/embeddings/", 16) == 0 ? 1 : 0;
        macros = macros || (name != NULL && strstr(name, "vbaProject") != NULL);
    }
    if (macros) {
        sink_warn(x->out, "the document has macros, which were not run");
    }
    if (embedded > 0) {
        sink_warn(x->out, "%u embedded files were left out", embedded);
    }
    if (x->hidden > 0) {
        sink_warn(x->out, "%u pieces of hidden text were left out", x->hidden);
    }
    if (x->deleted > 0) {
        sink_warn(x->out, "%u tracked deletions were left out", x->deleted);
    }
}

/* The main part as the package names it; Word's own name otherwise. */
static void find_document(struct docx *x, char out[256], char relations[300])
{
    (void)text_copy(out, 256, "word/document.xml");
    read_relations(x, "_rels/.rels");
    for (size_t i = 0; i < x->relations_len; i++) {
        const char *target = x->relations[i].target;
        if (x->relations[i].document) {
            (void)text_copy(out, 256, target[0] == '/' ? target + 1 : target);
        }
    }
    const char *slash = strrchr(out, '/');
    int folder = slash == NULL ? 0 : (int)(slash - out) + 1;
    (void)snprintf(relations, 300, "%.*s_rels/%s.rels", folder, out, out + folder);
}

static void read_zip(struct docx *x)
{
    char document[256], relations[300];
    zip_int64_t n = zip_get_num_entries(x->zip, 0);
    if (n > (zip_int64_t)x->out->limits.parts) {
        (void)sink_fail(x->out, FAIL_TOO_LARGE, "No document that people write is built like this.",
                        "the document's zip has more than %u members", x->out->limits.parts);
        return;
    }
    find_document(x, document, relations);
    read_properties(x);
    read_styles(x);
    read_story(x, document, relations, 1, false);
    read_story(x, "word/footnotes.xml", "word/_rels/footnotes.xml.rels", 2, true);
    read_story(x, "word/endnotes.xml", "word/_rels/endnotes.xml.rels", 3, true);
    read_story(x, "word/comments.xml", "word/_rels/comments.xml.rels", 4, true);
    say_left_out(x, n);
}

static void docx_done(struct docx *x)
{
    drop_relations(x);
    for (size_t i = 0; i < x->styles_len; i++) {
        mem_free(x->styles[i].id);
        mem_free(x->styles[i].base);
    }
    mem_free(x->styles);
    mem_free(x->relations);
}

enum fail docx_read(const struct source *in, struct sink *out)
{
    struct docx x = {.out = out};
    zip_error_t e;
    zip_error_init(&e);
    if (in->len > 8 && memcmp(in->bytes, "\xD0\xCF\x11\xE0", 4) == 0) {
        return sink_fail(out, FAIL_UNSUPPORTED, "Save it as DOCX without a password.",
                         "this is the old format of Word, or encrypted");
    }
    zip_source_t *source = zip_source_buffer_create(in->bytes, in->len, 0, &e);
    x.zip = source == NULL ? NULL : zip_open_from_source(source, ZIP_RDONLY, &e);
    if (x.zip == NULL) {
        zip_source_free(source);
        zip_error_fini(&e);
        return sink_fail(out, FAIL_BAD_REQUEST, "It is cut off or damaged: save it again.",
                         "this is no DOCX: its zip cannot be opened");
    }
    x.styles = mem_alloc_array(STYLES_MAX, sizeof(*x.styles));
    x.relations = mem_alloc_array(RELATIONS_MAX, sizeof(*x.relations));
    if (sink_start(out, "docx", "") == FAIL_NONE) {
        read_zip(&x);
    }
    zip_discard(x.zip);
    zip_error_fini(&e);
    docx_done(&x);
    return out->failed;
}
