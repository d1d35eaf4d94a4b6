/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PDF as pdftotext says it (-htmlmeta): a head of HTML with the metadata, then the text as it is
 * between <pre> and </pre>, each page ended by a form feed. The program may have been taken over by
 * the PDF, so nothing of that is believed.
 * Threads: one. Limits: the sink's.
 */
#include <stdio.h>
#include <string.h>

#include "worker/formats/formats_internal.h"

#define BEGIN "<pre>\n"
#define END "</pre>\n</body>\n</html>"

static bool is_blank(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strchr(" \t\r\n", s[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static void read_pages(const char *text, size_t len, struct sink *out)
{
    uint32_t empty = 0;
    char pages[16];
    for (size_t at = 0; at < len && out->failed == FAIL_NONE;) {
        const char *feed = memchr(text + at, '\f', len - at);
        size_t n = feed == NULL ? len - at : (size_t)(feed - text) - at;
        if (feed == NULL && is_blank(text + at, n)) {
            break; /* after the last page */
        }
        out->page++;
        out->base = at;
        empty += is_blank(text + at, n) ? 1 : 0;
        (void)text_read_paragraphs(text + at, n, out);
        at += n + 1;
    }
    out->base = 0;
    (void)snprintf(pages, sizeof(pages), "%u", out->page);
    (void)sink_meta_str(out, DOCUMENT_META_PAGES, pages);
    if (empty > 0) {
        sink_warn(out, "%u of %u pages have no text: pictures of text are not read", empty,
                  out->page);
    }
    out->page = 0;
}

enum fail pdf_read(const struct source *in, struct sink *out)
{
    const char *text = memmem(in->bytes, in->len, BEGIN, strlen(BEGIN));
    if (in->len > 5 && memcmp(in->bytes, "%PDF-", 5) == 0) {
        return sink_fail(out, FAIL_UNSUPPORTED, NULL, "a PDF must come through pdftotext");
    }
    if (text == NULL) {
        return sink_fail(out, FAIL_BAD_REQUEST, "It is damaged, or it needs a password.",
                         "pdftotext gave no text of this PDF");
    }
    size_t head = (size_t)(text - in->bytes);
    text += strlen(BEGIN);
    size_t len = in->len - head - strlen(BEGIN);
    /* The text's own end is the last: what looks like one before it is the PDF's. */
    for (size_t back = strlen(END); back <= len && back <= strlen(END) + 4; back++) {
        if (memcmp(text + len - back, END, strlen(END)) == 0) {
            len -= back;
            break;
        }
    }
    if (sink_start(out, "pdf", "") == FAIL_NONE &&
        html_read_text(in->bytes, head, out, true) == FAIL_NONE) {
        read_pages(text, len, out);
    }
    return out->failed;
}
