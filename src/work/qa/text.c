/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a failure's texts say: the line that says most, where it happened, and what of them stays
 * the same from run to run, so that failures of one cause get one fingerprint.
 * Owns: nothing. Threads: none. Limits: QA_LOOK bytes of a text, LINES_MAX of its lines.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define LINES_MAX 200
#define HEADLINE_MAX 300
#define PATH_MAX_BYTES 400

/* ---- lines ---- */

struct line {
    const char *s;
    size_t n; /* without white space at its ends */
    bool indented;
};

static bool next_line(const char **at, struct line *out)
{
    const char *s = *at;
    if (s == NULL || *s == '\0') {
        return false;
    }
    const char *nl = strchr(s, '\n');
    size_t n = nl == NULL ? strlen(s) : (size_t)(nl - s);
    *at = nl == NULL ? NULL : nl + 1;
    out->indented = n > 0 && (*s == ' ' || *s == '\t');
    while (n > 0 && isspace((unsigned char)*s)) {
        s++;
        n--;
    }
    while (n > 0 && isspace((unsigned char)s[n - 1])) {
        n--;
    }
    *out = (struct line){s, n, out->indented};
    return true;
}

static bool begins(const struct line *l, const char *with)
{
    size_t n = strlen(with);
    return l->n >= n && memcmp(l->s, with, n) == 0;
}

const char *qa_one_line(struct arena *a, const char *s, size_t n)
{
    struct buf b;
    bool space = false;
    buf_init(&b, n + 16);
    for (; *s != '\0' && b.len < n; s++) {
        if (isspace((unsigned char)*s)) {
            space = b.len > 0;
            continue;
        }
        if (space) {
            (void)buf_add_char(&b, ' ');
        }
        space = false;
        (void)buf_add_char(&b, *s);
    }
    bool cut = *s != '\0';
    /* whole characters: the loop may have stopped inside of one */
    size_t keep = b.len == 0 ? 0 : text_utf8_valid_prefix(b.data, b.len);
    const char *out = cut ? arena_printf(a, "%.*s…", (int)keep, b.data)
                          : arena_dup_strn(a, b.data == NULL ? "" : b.data, keep);
    buf_done(&b);
    return out;
}

/* ---- the headline ---- */

static const char *line_text(struct arena *a, const struct line *l)
{
    char *copy = arena_dup_strn(a, l->s, l->n);
    return qa_one_line(a, copy, HEADLINE_MAX);
}

/* "Traceback (most recent call last):" is followed by where; what stands last. */
static const char *headline_of(struct arena *a, const char *text, bool is_trace)
{
    struct line l, first = {0}, last = {0}, marked = {0};
    const char *at = text;
    bool traceback = false;
    for (int i = 0; i < LINES_MAX && next_line(&at, &l); i++) {
        if (l.n == 0) {
            continue;
        }
        if (first.n == 0) {
            first = l;
        }
        traceback = traceback || begins(&l, "Traceback (most recent call last)");
        if (marked.n == 0 && is_trace && (begins(&l, "E   ") || begins(&l, "E ")) && l.n > 4) {
            marked = (struct line){l.s + 2, l.n - 2, false}; /* pytest */
        }
        if (!l.indented) {
            last = l;
        }
    }
    if (marked.n > 0) {
        return line_text(a, &marked);
    }
    return traceback && last.n > 0 ? line_text(a, &last) : first.n > 0 ? line_text(a, &first) : "";
}

const char *qa_headline(struct arena *a, const char *type, const char *message, const char *trace)
{
    const char *said = headline_of(a, message, false);
    if (said[0] == '\0') {
        said = headline_of(a, trace, true);
    }
    return said[0] != '\0' ? said : qa_one_line(a, type, HEADLINE_MAX);
}

/* ---- what stays the same ---- */

static bool is_word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* "0x7f00", "deadbeef1", a part of a UUID */
static bool is_hex_word(const char *s, size_t n)
{
    bool digit = false;
    size_t from = n > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? 2 : 0;
    for (size_t i = from; i < n; i++) {
        if (!isxdigit((unsigned char)s[i])) {
            return false;
        }
        digit = digit || isdigit((unsigned char)s[i]);
    }
    return from == 2 || (n >= 4 && digit);
}

/* A path keeps its last part: folders differ between machines. */
static size_t last_part(const char *s, size_t n)
{
    size_t cut = 0, slashes = 0;
    for (size_t i = 0; i + 1 < n; i++) {
        if (s[i] == '/' || s[i] == '\\') {
            slashes++;
            cut = i + 1;
        }
    }
    return slashes >= 2 || (slashes == 1 && (s[0] == '/' || s[0] == '\\')) ? cut : 0;
}

static void add_token(const char *s, size_t n, struct buf *out)
{
    for (size_t i = last_part(s, n); i < n;) {
        size_t k = i;
        while (k < n && is_word_char(s[k])) {
            k++;
        }
        if (k > i && is_hex_word(s + i, k - i)) {
            if (out->len == 0 || out->data[out->len - 1] != '#') {
                (void)buf_add_char(out, '#');
            }
        } else if (k > i) {
            for (; i < k; i++) {
                bool digit = isdigit((unsigned char)s[i]) != 0;
                if (!digit || out->len == 0 || out->data[out->len - 1] != '#') {
                    (void)buf_add_char(out, digit ? '#' : s[i]);
                }
            }
        } else {
            /* "12:30", "1.5", "2026-01-02" are one number */
            bool inside = out->len > 0 && out->data[out->len - 1] == '#' &&
                          strchr(".:,-+/", s[i]) != NULL && i + 1 < n &&
                          isxdigit((unsigned char)s[i + 1]);
            if (!inside) {
                (void)buf_add_char(out, s[i]);
            }
            k = i + 1;
        }
        i = k;
    }
}

void qa_normalise(const char *s, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n && !out->overflow;) {
        size_t k = i;
        while (k < n && !isspace((unsigned char)s[k])) {
            k++;
        }
        if (k > i) {
            if (out->len > 0) {
                (void)buf_add_char(out, ' ');
            }
            add_token(s + i, k - i, out);
        }
        i = k + 1;
    }
}

/* ---- places ---- */

static const char *const frameworks[] = {
    "node_modules/", "node:internal", "internal/", "site-packages/", "dist-packages/",
    "/usr/lib", "/usr/local/lib", "bundle/ruby", "vendor/", "<frozen", "package:test",
    "package:stack_trace", "dart:", "/rustc/", "/src/libstd", "phar://", "jest-", "mocha/lib"};
static const char *const callers[] = {
    "java.", "javax.", "jdk.", "sun.", "com.sun.", "org.junit", "junit.", "org.testng",
    "org.apache.maven", "org.mockito", "org.assertj", "org.hamcrest", "org.gradle", "kotlin.",
    "scala.", "org.scalatest", "groovy.", "NUnit.", "Xunit.", "Microsoft.VisualStudio.TestTools",
    "Microsoft.TestPlatform", "System.", "reflect."};

static bool is_framework(const struct line *l)
{
    struct line call = *l;
    for (size_t i = 0; i < COUNT_OF(frameworks); i++) {
        if (memmem(l->s, l->n, frameworks[i], strlen(frameworks[i])) != NULL) {
            return true;
        }
    }
    if (begins(l, "at ") || begins(l, "bei ")) {
        call.s += 3;
        call.n -= 3;
        while (call.n > 0 && *call.s == ' ') {
            call.s++;
            call.n--;
        }
        for (size_t i = 0; i < COUNT_OF(callers); i++) {
            if (begins(&call, callers[i])) {
                return true;
            }
        }
    }
    return false;
}

struct spot {
    const char *path;
    size_t len;
    int64_t line;
};

static int64_t digits_at(const char *s, const char *end, const char **after)
{
    int64_t v = 0;
    const char *p = s;
    for (; p < end && isdigit((unsigned char)*p) && v < 100000000; p++) {
        v = v * 10 + (*p - '0');
    }
    *after = p;
    return p == s ? -1 : v;
}

/* Has it an ending as of a source file: a point and one to six letters? */
static bool is_file(const char *s, size_t n)
{
    size_t k = n;
    while (k > 0 && isalnum((unsigned char)s[k - 1]) && n - k < 7) {
        k--;
    }
    return k > 1 && n - k >= 1 && n - k <= 6 && s[k - 1] == '.' &&
           isalpha((unsigned char)s[k]) && n <= PATH_MAX_BYTES;
}

/* 'File "x.py", line 3' and 'in x.cs:line 3' */
static bool find_said(const struct line *l, struct spot *out)
{
    const char *end = l->s + l->n, *after;
    const char *file = begins(l, "File \"") ? l->s + 6 : NULL;
    if (file != NULL) {
        const char *quote = memchr(file, '"', (size_t)(end - file));
        const char *word = quote == NULL
                               ? NULL
                               : memmem(quote, (size_t)(end - quote), "line ", 5);
        if (word != NULL) {
            *out = (struct spot){file, (size_t)(quote - file), digits_at(word + 5, end, &after)};
            return out->line > 0;
        }
    }
    const char *line = memmem(l->s, l->n, ":line ", 6);
    if (line == NULL) {
        line = memmem(l->s, l->n, ":Zeile ", 7);
    }
    const char *in = line == NULL ? NULL : memmem(l->s, (size_t)(line - l->s), " in ", 4);
    if (in != NULL) {
        const char *number = strchr(line, ' ') + 1;
        *out = (struct spot){in + 4, (size_t)(line - in) - 4, digits_at(number, end, &after)};
        return out->line > 0;
    }
    return false;
}

/* "path/file.ext:12", in brackets or not, with a column or not; Dart's "file.dart 12:3" */
static bool find_colon(const struct line *l, struct spot *out)
{
    const char *end = l->s + l->n;
    for (const char *p = l->s; p < end; p++) {
        const char *after, *begin = p;
        if ((*p != ':' && *p != ' ') || p + 1 >= end || !isdigit((unsigned char)p[1])) {
            continue;
        }
        while (begin > l->s && strchr(" \t(\"'[<@|", begin[-1]) == NULL) {
            begin--;
        }
        int64_t v = digits_at(p + 1, end, &after);
        bool dart = *p != ' ' || (after < end && *after == ':');
        if (v > 0 && dart && is_file(begin, (size_t)(p - begin))) {
            *out = (struct spot){begin, (size_t)(p - begin), v};
            return true;
        }
    }
    return false;
}

/* "at com.acme.Cart.pay(Cart.java:12)": the package is the folder. */
static const char *java_path(struct arena *a, const struct line *l, const struct spot *at)
{
    const char *open = at->path > l->s && at->path[-1] == '(' ? at->path - 1 : NULL;
    size_t dots = 0;
    if (open == NULL || !begins(l, "at ") || memchr(at->path, '/', at->len) != NULL) {
        return NULL;
    }
    const char *begin = l->s + 3, *p = open;
    const char *slash = memchr(begin, '/', (size_t)(open - begin));
    begin = slash == NULL ? begin : slash + 1; /* "module/package.Class" */
    while (p > begin && dots < 2) {
        p--;
        dots += *p == '.' ? 1 : 0;
    }
    if (dots < 2) {
        return NULL;
    }
    char *path = arena_printf(a, "%.*s/%.*s", (int)(p - begin), begin, (int)at->len, at->path);
    for (char *c = path; c < path + (p - begin); c++) {
        *c = *c == '.' ? '/' : *c;
    }
    return path;
}

const char *qa_tidy_path(struct arena *a, const struct qa_options *o, const char *path, size_t n)
{
    char *s = arena_dup_strn(a, path, n);
    for (char *p = s; *p != '\0'; p++) {
        *p = *p == '\\' ? '/' : *p;
    }
    if (strncmp(s, "file://", 7) == 0) {
        s += 7;
        s += s[0] == '/' && isalpha((unsigned char)s[1]) && s[2] == ':' ? 1 : 0;
    }
    for (size_t i = 0; o != NULL && i < o->strip_len; i++) {
        size_t k = strlen(o->strip[i]);
        if (strncmp(s, o->strip[i], k) == 0 && s[k] != '\0') {
            s += k;
            break;
        }
    }
    /* GitHub's and GitLab's own work folders: .../work/REPO/REPO/, /builds/GROUP/PROJECT/ */
    char *work = strstr(s, "/work/"); /* tidy: address: GitHub's folder, on every machine of its */
    char *repo = work == NULL ? NULL : work + 6;
    char *end = repo == NULL ? NULL : strchr(repo, '/');
    if (end != NULL && strncmp(end + 1, repo, (size_t)(end - repo)) == 0 &&
        end[1 + (end - repo)] == '/') {
        s = end + 2 + (end - repo);
    } else if (strncmp(s, "/builds/", 8) == 0 && (end = strchr(s + 8, '/')) != NULL &&
               (end = strchr(end + 1, '/')) != NULL) {
        s = end + 1;
    }
    while (strncmp(s, "./", 2) == 0) {
        s += 2;
    }
    return s;
}

static bool find_in(struct arena *a, const struct qa_options *o, const char *text,
                    struct qa_place *out)
{
    struct line l;
    const char *at = text;
    for (int i = 0; i < LINES_MAX && next_line(&at, &l); i++) {
        struct spot spot;
        l.n = l.n > 1000 ? 1000 : l.n;
        if (!(find_said(&l, &spot) || find_colon(&l, &spot)) || is_framework(&l)) {
            continue;
        }
        const char *java = java_path(a, &l, &spot);
        out->file = java != NULL ? java : qa_tidy_path(a, o, spot.path, spot.len);
        out->line = spot.line;
        out->how = "stack trace";
        return true;
    }
    return false;
}

struct qa_place qa_find_place(struct arena *a, const struct qa_options *o, const struct qa_case *c)
{
    struct qa_place out = {.file = "", .how = ""};
    if (c->file[0] != '\0') {
        out.file = qa_tidy_path(a, o, c->file, strlen(c->file));
        out.line = c->line;
        out.how = "report";
        if (out.line > 0) {
            return out;
        }
    }
    struct qa_place found = {.file = "", .how = ""};
    if (qa_is_failing(c->state) &&
        (find_in(a, o, c->trace, &found) || find_in(a, o, c->message, &found))) {
        /* the report's file with the trace's line, where they speak of one file */
        size_t n = strlen(out.file), k = strlen(found.file);
        bool same = n > 0 && (text_ends_with(out.file, found.file) ||
                              (n <= k && text_ends_with(found.file, out.file)));
        if (n == 0) {
            return found;
        }
        out.line = same ? found.line : 0;
    }
    return out;
}

/* ---- the fingerprint ---- */

static void add_frame(const struct qa_case *c, struct buf *out)
{
    struct line l;
    const char *at = c->trace;
    for (int i = 0; i < LINES_MAX && next_line(&at, &l); i++) {
        struct spot spot;
        l.n = l.n > 1000 ? 1000 : l.n;
        if ((find_said(&l, &spot) || find_colon(&l, &spot)) && !is_framework(&l)) {
            (void)buf_add_char(out, '\n');
            qa_normalise(l.s, l.n, out);
            return;
        }
    }
}

const char *qa_fingerprint(struct arena *a, const struct qa_case *c, const char *headline,
                           bool with_frame)
{
    struct buf b;
    uint8_t hash[32];
    char *hex = arena_alloc(a, 17);
    buf_init(&b, 4 * QA_LOOK);
    qa_normalise(c->type, strlen(c->type), &b);
    (void)buf_add_char(&b, '\n');
    qa_normalise(headline, strlen(headline), &b);
    if (with_frame) {
        add_frame(c, &b);
    }
    text_sha256(b.data, b.len, hash);
    text_hex(hash, 8, hex);
    buf_done(&b);
    return hex;
}
