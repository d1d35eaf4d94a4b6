/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of HTML as tickets have it: tags out, entities decoded, block ends as line breaks, scripts
 * and styles dropped. Not a parser for hostile pages: what it does not know stays as text. Threads:
 * none. Limits: the output buffer's cap.
 */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

static const struct {
    const char *name, *text;
} entities[] = {{"amp", "&"},   {"lt", "<"},    {"gt", ">"},      {"quot", "\""},  {"apos", "'"},
                {"nbsp", " "},  {"auml", "ä"},  {"ouml", "ö"},    {"uuml", "ü"},   {"Auml", "Ä"},
                {"Ouml", "Ö"},  {"Uuml", "Ü"},  {"szlig", "ß"},   {"eacute", "é"}, {"egrave", "è"},
                {"agrave", "à"}, {"ccedil", "ç"}, {"euro", "€"},  {"ndash", "–"},  {"mdash", "—"},
                {"hellip", "…"}, {"lsquo", "‘"}, {"rsquo", "’"},  {"ldquo", "“"},  {"rdquo", "”"},
                {"laquo", "«"}, {"raquo", "»"}, {"copy", "©"},    {"reg", "®"},    {"bull", "•"},
                {"middot", "·"}, {"times", "×"}, {"deg", "°"}};

bool html_looks_like(const char *text)
{
    const char *lt = strchr(text, '<');
    static const char *const tags[] = {"<p>", "<p ", "<br",  "<div",   "<html", "<span",
                                       "<a ", "<ul", "<li>", "<table", "<b>",   "<em>"};
    for (size_t i = 0; lt != NULL && i < COUNT_OF(tags); i++) {
        if (strcasestr(lt, tags[i]) != NULL &&
            (strstr(lt, "</") != NULL || strcasestr(lt, "<br") != NULL)) {
            return true;
        }
    }
    return false;
}

/* An entity at s ("&..."): bytes taken, 0 when it is none. */
static size_t entity(const char *s, struct buf *out)
{
    size_t n = strcspn(s + 1, "; &<\n");
    if (n == 0 || n > 10 || s[1 + n] != ';') {
        return 0;
    }
    if (s[1] == '#') {
        bool hex = s[2] == 'x' || s[2] == 'X';
        char *end;
        unsigned long cp = strtoul(s + (hex ? 3 : 2), &end, hex ? 16 : 10);
        char utf8[4];
        if (*end != ';' || cp == 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF)) {
            return 0;
        }
        (void)buf_add(out, utf8, text_utf8_encode((uint32_t)cp, utf8));
        return n + 2;
    }
    for (size_t i = 0; i < COUNT_OF(entities); i++) {
        if (strlen(entities[i].name) == n && strncmp(entities[i].name, s + 1, n) == 0) {
            (void)buf_add_str(out, entities[i].text);
            return n + 2;
        }
    }
    return 0;
}

static bool is_tag(const char *s, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(s, name, n) == 0 && strchr(" \t\r\n/>", s[n]) != NULL;
}

static void line_break(struct buf *out)
{
    while (out->len > 0 && out->data[out->len - 1] == ' ') {
        out->data[--out->len] = '\0';
    }
    if (out->len > 0 &&
        (out->len < 2 || out->data[out->len - 1] != '\n' || out->data[out->len - 2] != '\n')) {
        (void)buf_add_char(out, '\n');
    }
}

/* A tag at s ("<..."): bytes taken, 0 when it is none. */
static size_t tag(const char *s, struct buf *out)
{
    static const char *const blocks[] = {"p",  "br", "div",   "li",         "ul",
                                         "ol", "tr", "table", "blockquote", "h1",
                                         "h2", "h3", "h4",    "pre",        "hr"};
    if (strncmp(s, "<!--", 4) == 0) {
        const char *end = strstr(s, "-->");
        return end != NULL ? (size_t)(end - s) + 3 : strlen(s);
    }
    const char *name = s[1] == '/' ? s + 2 : s + 1;
    if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || *name == '!')) {
        return 0;
    }
    const char *end = strchr(s, '>');
    if (end == NULL) {
        return 0;
    }
    size_t n = (size_t)(end - s) + 1;
    static const char *const dropped[] = {"script", "style"};
    for (size_t i = 0; i < COUNT_OF(dropped); i++) {
        if (s[1] != '/' && is_tag(name, dropped[i])) {
            char close[16];
            (void)snprintf(close, sizeof(close), "</%s", dropped[i]);
            const char *over = strcasestr(end, close);
            const char *last = over != NULL ? strchr(over, '>') : NULL;
            return last != NULL ? (size_t)(last - s) + 1 : strlen(s);
        }
    }
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        if (is_tag(name, blocks[i])) {
            line_break(out);
            break;
        }
    }
    if (s[1] != '/' && is_tag(name, "li")) {
        (void)buf_add_str(out, "- ");
    }
    return n;
}

void html_text(const char *html, struct buf *out)
{
    while (*html != '\0') {
        size_t n = *html == '<' ? tag(html, out) : *html == '&' ? entity(html, out) : 0;
        if (n > 0) {
            html += n;
        } else if (strchr(" \t\r\n", *html) != NULL) {
            bool after =
                out->len > 0 && out->data[out->len - 1] != ' ' && out->data[out->len - 1] != '\n';
            if (after) {
                (void)buf_add_char(out, ' ');
            }
            html++;
        } else {
            (void)buf_add_char(out, *html++);
        }
    }
    while (out->len > 0 && strchr(" \n", out->data[out->len - 1]) != NULL) {
        out->data[--out->len] = '\0';
    }
}
