/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes out: links that no source has, text made safe for where it goes.
 * Owns nothing. Threads: pure. Limits: a link's host is at most HOST_MAX
 * bytes.
 */
#include "trust/screen/screen.h"

#include <string.h>
#include <strings.h>

#include "base/text/text.h"

#define HOST_MAX 253

/* ---- links ---- */

static bool is_host(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '.' || c == '-' ||
           (c & 0x80) != 0 || c == '[' || c == ']' || c == ':';
}

/* "https://host..." or "//host" or "www.host" at s: the host, and the length up to its end. */
static size_t link_at(const char *s, size_t n, const char **host, size_t *host_n)
{
    static const char *const starts[] = {"https://", "http://", "ftp://", "ws://", "wss://", "//",
                                         "www."};
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        size_t len = strlen(starts[i]);
        if (n <= len || strncasecmp(s, starts[i], len) != 0) {
            continue;
        }
        size_t from = starts[i][0] == 'w' && starts[i][2] == 'w' ? 0 : len;
        const char *at = memchr(s + from, '@', n - from < HOST_MAX ? n - from : HOST_MAX);
        const char *slash = at;
        for (size_t k = from; at != NULL && s + k < at; k++) {
            slash = s[k] == '/' || (unsigned char)s[k] <= ' ' ? NULL : slash;
        }
        from = at != NULL && slash != NULL ? (size_t)(at - s) + 1 : from;
        size_t end = from;
        while (end < n && end - from < HOST_MAX && is_host(s[end])) {
            end++;
        }
        while (end > from && strchr(".:-", s[end - 1]) != NULL) {
            end--;
        }
        *host = s + from;
        *host_n = end - from;
        const char *port = memchr(*host, ':', *host_n);
        *host_n = port != NULL && **host != '[' ? (size_t)(port - *host) : *host_n;
        return memchr(*host, '.', *host_n) != NULL || **host == '[' ? end : 0;
    }
    return 0;
}

static bool begins(const char *s, size_t at)
{
    return at == 0 || !(((s[at - 1] | 32) >= 'a' && (s[at - 1] | 32) <= 'z') || s[at - 1] == ':' ||
                        s[at - 1] == '/' || s[at - 1] == '.' ||
                        (s[at - 1] >= '0' && s[at - 1] <= '9'));
}

static bool has_host(const char *text, const char *host, size_t n)
{
    size_t len = strlen(text);
    for (size_t i = 0; i + 4 < len; i++) {
        const char *h;
        size_t h_n;
        if (begins(text, i) && link_at(text + i, len - i, &h, &h_n) > 0 && h_n == n &&
            strncasecmp(h, host, n) == 0) {
            return true;
        }
    }
    return false;
}

static void add(struct screen_marks *m, size_t from, size_t to)
{
    if (m->n >= SCREEN_MAX_MARKS) {
        return;
    }
    if (m->n == m->room) {
        m->room = m->room == 0 ? 8 : m->room * 2;
        m->items = mem_realloc(m->items, m->room * sizeof(*m->items));
    }
    m->items[m->n++] = (struct screen_mark){"foreign_link", from, to};
}

void screen_links(const char *answer, size_t n, const char *const *sources, size_t sources_n,
                  struct screen_marks *out)
{
    for (size_t i = 0; i + 4 < n; i++) {
        const char *host;
        size_t host_n;
        size_t len = begins(answer, i) ? link_at(answer + i, n - i, &host, &host_n) : 0;
        bool known = len == 0;
        for (size_t k = 0; k < sources_n && !known; k++) {
            known = has_host(sources[k], host, host_n);
        }
        if (!known) {
            size_t end = i + len;
            while (end < n && (unsigned char)answer[end] > ' ' &&
                   strchr("<>\"')]", answer[end]) == NULL) {
                end++;
            }
            add(out, i, end);
            i = end - 1;
        } else {
            i += len > 0 ? len - 1 : 0;
        }
    }
}

/* ---- sinks ---- */

static bool put_html(const char *s, size_t n, struct buf *out)
{
    bool good = true;
    for (size_t i = 0; i < n && good; i++) {
        switch (s[i]) {
        case '&':
            good = buf_add_str(out, "&amp;");
            break;
        case '<':
            good = buf_add_str(out, "&lt;");
            break;
        case '>':
            good = buf_add_str(out, "&gt;");
            break;
        case '"':
            good = buf_add_str(out, "&quot;");
            break;
        case '\'':
            good = buf_add_str(out, "&#39;");
            break;
        default:
            good = buf_add_char(out, s[i]);
            break;
        }
    }
    return good;
}

static bool is_safe_target(const char *s, size_t n)
{
    static const char *const good[] = {"https://", "http://", "mailto:", "#", "/"};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        size_t len = strlen(good[i]);
        if (n >= len && strncasecmp(s, good[i], len) == 0) {
            return !(good[i][0] == '/' && n > 1 && s[1] == '/');
        }
    }
    return false;
}

/* "[text](target)" at s[0] = '[': its parts; the length, 0 when it is none. */
static size_t link_parts(const char *s, size_t n, size_t *text_n, size_t *to, size_t *to_n)
{
    int depth = 0;
    size_t i = 0;
    for (; i < n; i++) {
        depth += s[i] == '[' ? 1 : s[i] == ']' ? -1 : 0;
        if (depth == 0) {
            break;
        }
    }
    if (i + 1 >= n || s[i + 1] != '(') {
        return 0;
    }
    *text_n = i - 1;
    *to = i + 2;
    size_t end = *to;
    for (depth = 1; end < n; end++) {
        depth += s[end] == '(' ? 1 : s[end] == ')' ? -1 : 0;
        if (depth == 0) {
            *to_n = end - *to;
            return end + 1;
        }
    }
    return 0;
}

static size_t html_tag(const char *s, size_t n)
{
    if (n < 3 || !(((s[1] | 32) >= 'a' && (s[1] | 32) <= 'z') || s[1] == '/' || s[1] == '!' ||
                   s[1] == '?')) {
        return 0;
    }
    const char *end = memchr(s, '>', n);
    const char *link = s + 1;
    if (end != NULL && is_safe_target(link, (size_t)(end - link)) && s[1] != '/') {
        return 0; /* <https://...>, an address as Markdown writes it */
    }
    return end != NULL ? (size_t)(end - s) + 1 : n;
}

static bool put_markdown(const char *s, size_t n, struct buf *out)
{
    bool good = true;
    for (size_t i = 0; i < n && good;) {
        bool image = s[i] == '!' && i + 1 < n && s[i + 1] == '[';
        size_t from = i + (image ? 1 : 0);
        size_t text_n = 0, to = 0, to_n = 0;
        size_t len = s[from] == '[' ? link_parts(s + from, n - from, &text_n, &to, &to_n) : 0;
        if (len > 0 && (image || !is_safe_target(s + from + to, to_n))) {
            good = put_markdown(s + from + 1, text_n, out);
            i = from + len;
        } else if (s[i] == '<' && (len = html_tag(s + i, n - i)) > 0) {
            i += len;
        } else {
            good = buf_add_char(out, s[i]);
            i++;
        }
    }
    return good;
}

bool screen_sanitize(enum screen_sink sink, const char *text, size_t n, struct buf *out)
{
    struct screen_clean c;
    size_t before = out->len;
    bool good = screen_clean(text, n, &c);
    if (good && sink == SCREEN_SINK_HTML) {
        good = put_html(c.text, c.n, out);
    } else if (good && sink == SCREEN_SINK_MARKDOWN) {
        good = put_markdown(c.text, c.n, out);
    } else if (good) {
        good = buf_add(out, c.text, c.n);
    }
    screen_clean_done(&c);
    if (!good) {
        out->len = before;
        if (out->data != NULL) {
            out->data[before] = '\0';
        }
    }
    return good;
}
