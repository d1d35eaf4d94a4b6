/* SPDX-License-Identifier: Apache-2.0 */
/* The table of formats, and which of them a document is. Threads: one. */
#include <ctype.h>
#include <locale.h>
#include <string.h>

#include <cmark-gfm-core-extensions.h>
#include <gmime/gmime.h>
#include <jansson.h>
#include <libxml/parser.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define HEAD_BYTES 2048

static const struct {
    const char *name;
    format_read_fn read;
    const char *types;   /* media types, each between spaces */
    const char *endings; /* of file names, the same way */
} table[] = {
    {"html", html_read, " text/html application/xhtml+xml ", " html htm xhtml "},
    {"xml", xml_read, " text/xml application/xml ", " xml trx xsd rss "},
    {"mail", mail_read, " message/rfc822 ", " eml mail mht mhtml "},
    {"docx", docx_read,
     " application/vnd.openxmlformats-officedocument.wordprocessingml.document ", " docx docm "},
    {"pdf", pdf_read, " application/pdf ", " pdf "},
    {"csv", csv_read, " text/csv text/tab-separated-values ", " csv tsv "},
    {"json", json_read, " application/json ", " json "},
    {"jsonl", jsonl_read, " application/jsonl application/x-ndjson ", " jsonl ndjson "},
    {"markdown", markdown_read, " text/markdown ", " md markdown "},
    {"text", text_read, " text/plain ", " txt text log "},
    {"po", po_read, " text/x-gettext-translation text/x-po ", " po pot "},
    {"xliff", xliff_read, " application/xliff+xml application/x-xliff+xml ", " xlf xliff "},
    {"tbx", tbx_read, " application/x-tbx ", " tbx "},
    {"arb", arb_read, "", " arb "},
    {"i18n", i18n_read, "", ""}, /* JSON and CSV of strings: only when asked for by name */
    {"strings", strings_read, "", ""},
    {"tests", tests_read, "", ""},
};

static size_t index_of(const char *name)
{
    size_t i = 0;
    while (i < COUNT_OF(table) && strcmp(table[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* Is `word`, up to a semicolon or space, among the words between spaces? Any case. */
static bool among(const char *words, const char *word)
{
    char look[80] = " ";
    size_t n = 1;
    for (; *word != '\0' && *word != ';' && *word != ' ' && n < sizeof(look) - 2; word++) {
        look[n++] = (char)tolower((unsigned char)*word);
    }
    look[n++] = ' ';
    look[n] = '\0';
    return n > 2 && strstr(words, look) != NULL;
}

static bool begins(const char *s, size_t n, const char *with)
{
    size_t m = strlen(with);
    return n >= m && strncasecmp(s, with, m) == 0;
}

/* A line of a mail's head that every mail has one of. */
static bool is_mail(const char *s, size_t n)
{
    static const char *const fields[] = {"received:", "return-path:", "message-id:", "from:",
                                         "delivered-to:", "mime-version:", "date:", "subject:"};
    size_t name = 0, found = 0;
    while (name < n && (isalnum((unsigned char)s[name]) || s[name] == '-')) {
        name++;
    }
    if (name == 0 || name >= n || (s[name] != ':' && !begins(s, n, "From "))) {
        return false;
    }
    for (size_t at = 0; at < n;) {
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
            found += begins(s + at, n - at, fields[i]) ? 1 : 0;
        }
        const char *next = memchr(s + at, '\n', n - at);
        at = next == NULL ? n : (size_t)(next - s) + 1;
    }
    return found >= 2;
}

/* Bytes that only one format begins with; NULL: none. */
static const char *by_head(const char *s, size_t n)
{
    n = n > HEAD_BYTES ? HEAD_BYTES : n;
    if (memmem(s, n > 1024 ? 1024 : n, "%PDF-", 5) != NULL) {
        return "pdf";
    }
    if (n > 3 && (memcmp(s, "PK\3\4", 4) == 0 || memcmp(s, "\xD0\xCF\x11\xE0", 4) == 0)) {
        return "docx";
    }
    if (is_mail(s, n)) {
        return "mail";
    }
    while (n > 0 && (isspace((unsigned char)*s) || (unsigned char)*s >= 0xBB)) {
        s++;
        n--;
    }
    if (begins(s, n, "<!doctype html") || begins(s, n, "<html")) {
        return "html";
    }
    return begins(s, n, "<?xml") ? "xml" : NULL;
}

/* One value on the first line and another one below: JSON cannot be that, JSON lines are. Test
   runners call such files .json. */
static bool is_lines(const char *s, size_t n)
{
    const char *nl = memchr(s, '\n', n);
    size_t line = nl == NULL ? 0 : (size_t)(nl - s), next = line;
    while (line > 0 && isspace((unsigned char)s[line - 1])) {
        line--;
    }
    while (next < n && isspace((unsigned char)s[next])) {
        next++;
    }
    return line > 1 && s[0] == '{' && s[line - 1] == '}' && next < n && s[next] == '{';
}

const char *formats_find(const void *bytes, size_t len, const char *name, const char *type)
{
    const char *ending = name == NULL ? NULL : strrchr(name, '.');
    const char *head = len > 0 ? by_head(bytes, len) : NULL;
    if (head != NULL && (strcmp(head, "pdf") == 0 || strcmp(head, "docx") == 0)) {
        return head;
    }
    for (size_t i = 0; type != NULL && i < COUNT_OF(table); i++) {
        if (among(table[i].types, type) && strcmp(table[i].name, "text") != 0) {
            return table[i].name;
        }
    }
    for (size_t i = 0; ending != NULL && i < COUNT_OF(table); i++) {
        if (among(table[i].endings, ending + 1)) {
            bool lines = strcmp(table[i].name, "json") == 0 && is_lines(bytes, len);
            return lines ? "jsonl" : table[i].name;
        }
    }
    return head != NULL ? head : "text";
}

void formats_start(void)
{
    (void)setlocale(LC_ALL, "C.UTF-8");
    charset_own_iconv();
    xmlInitParser();
    json_object_seed(0); /* reads the kernel's random source */
    g_mime_init();
    cmark_gfm_core_extensions_ensure_registered();
}

static enum fail read_as(const char *bytes, size_t len, const struct formats_ask *ask,
                         struct sink *out)
{
    const char *name = ask->format != NULL ? ask->format
                                           : formats_find(bytes, len, ask->name, ask->type);
    size_t i = index_of(name);
    struct source in = {.bytes = bytes, .len = len, .name = ask->name, .charset = ask->charset};
    if (i == COUNT_OF(table)) {
        return sink_fail(out, FAIL_UNSUPPORTED, "docs/protocol/reader.md lists the formats.",
                         "there is no format \"%.32s\"", name);
    }
    if (len > ask->limits.input_bytes) {
        return sink_fail(out, FAIL_TOO_LARGE, "Split it, or raise the limit of input bytes.",
                         "the document is longer than %llu bytes",
                         (unsigned long long)ask->limits.input_bytes);
    }
    return table[i].read(&in, out);
}

enum fail formats_read(const void *bytes, size_t len, const struct formats_ask *ask,
                       struct fault *why)
{
    struct sink out;
    sink_init(&out, &ask->limits, ask->out);
    enum fail f = read_as(bytes == NULL ? "" : bytes, len, ask, &out);
    if (f == FAIL_NONE) {
        f = sink_end(&out);
    }
    if (f != FAIL_NONE) {
        sink_end_failed(&out);
        *why = out.why;
    }
    sink_done(&out);
    return f;
}
