/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CODEOWNERS: GitHub's and GitLab's file of who owns which path. The last line that matches wins;
 * a GitLab section's owners stand for its lines that name none.
 * Patterns as gitignore's, without "!" and "[]" (docs.github.com, "About code owners").
 * Owns: the lines. Threads: none. Limits: QA_OWNERS_MAX lines, MATCH_STEPS of a match.
 */
#include <ctype.h>
#include <string.h>

#include "base/text/text.h"
#include "work/qa/qa_internal.h"

#define LINE_BYTES 2000
#define MATCH_STEPS 20000

struct owned {
    char *pattern, *owner; /* owner "": nobody, said so */
    int line;
};
struct qa_owners {
    struct owned *list;
    size_t len, room;
};

/* ---- patterns ---- */

/* "**" any folders, "*" and "?" within one name. Bounded: a pattern that needs more does not match.
 */
static bool glob(const char *p, const char *s, int *steps)
{
    for (; *p != '\0'; p++, s++) {
        if (++*steps > MATCH_STEPS) {
            return false;
        }
        if (p[0] == '*' && p[1] == '*') {
            const char *rest = p + 2 + (p[2] == '/' ? 1 : 0);
            if (*rest == '\0') {
                return true;
            }
            for (const char *at = s;; at++) {
                if ((at == s || at[-1] == '/' || p[2] != '/') && glob(rest, at, steps)) {
                    return true;
                }
                if (*at == '\0' || *steps > MATCH_STEPS) {
                    return false;
                }
            }
        }
        if (*p == '*') {
            for (const char *at = s;; at++) {
                if (glob(p + 1, at, steps)) {
                    return true;
                }
                if (*at == '\0' || *at == '/' || *steps > MATCH_STEPS) {
                    return false;
                }
            }
        }
        if (*p == '\\' && p[1] != '\0') {
            p++;
        } else if (*p == '?' && *s != '\0' && *s != '/') {
            continue;
        }
        if (*p != *s) {
            return false;
        }
    }
    /* a folder owns what lies in it */
    return *s == '\0' || *s == '/' || (s[-1] == '/');
}

bool qa_path_matches(const char *pattern, const char *path)
{
    int steps = 0;
    while (path[0] == '.' && path[1] == '/') {
        path += 2;
    }
    path += path[0] == '/' ? 1 : 0;
    size_t n = strlen(pattern);
    if (path[0] == '\0' || n == 0) {
        return false;
    }
    const char *slash = strchr(pattern, '/');
    bool anchored = slash != NULL && slash[1] != '\0'; /* a slash that is not the last */
    if (pattern[0] == '/') {
        anchored = true;
        pattern++;
    }
    if (strcmp(pattern, "*") == 0 || pattern[0] == '\0') {
        return true;
    }
    /* a star behind a folder owns the files in it, not those below */
    if (strlen(pattern) > 2 && text_ends_with(pattern, "/*")) {
        const char *last = strrchr(path, '/');
        size_t k = strlen(pattern) - 2;
        return last != NULL && (size_t)(last - path) == k && strncmp(path, pattern, k) == 0;
    }
    if (glob(pattern, path, &steps)) {
        return true;
    }
    for (const char *at = path; !anchored && (at = strchr(at, '/')) != NULL;) {
        at++;
        steps = 0;
        if (glob(pattern, at, &steps)) {
            return true;
        }
    }
    return false;
}

/* ---- the file ---- */

static void add(struct qa_owners *o, const char *pattern, const char *owner, int line)
{
    if (o->len >= QA_OWNERS_MAX) {
        return;
    }
    if (o->len == o->room) {
        o->room = o->room == 0 ? 64 : o->room * 2;
        o->list = mem_realloc(o->list, o->room * sizeof(*o->list));
    }
    o->list[o->len++] = (struct owned){mem_dup_str(pattern), mem_dup_str(owner), line};
}

/* "[Section][2] @owner": its owners */
static bool read_section(char *line, char owners[LINE_BYTES])
{
    char *at = line + (line[0] == '^' ? 1 : 0);
    char *end = at[0] == '[' ? strchr(at, ']') : NULL;
    if (end == NULL) {
        return false;
    }
    end++;
    if (*end == '[' && strchr(end, ']') != NULL) {
        end = strchr(end, ']') + 1;
    }
    (void)text_copy(owners, LINE_BYTES, text_trim(end));
    return true;
}

static void read_line(struct qa_owners *o, char *line, int number, char section[LINE_BYTES])
{
    char *at = text_trim(line);
    if (*at == '\0' || *at == '#' || read_section(at, section)) {
        return;
    }
    char *end = at;
    while (*end != '\0' && !isspace((unsigned char)*end)) {
        end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
    }
    char *owner = *end == '\0' ? end : end + 1;
    *end = '\0';
    char *comment = strstr(owner, " #");
    if (comment != NULL || owner[0] == '#') {
        *(comment != NULL ? comment : owner) = '\0';
    }
    owner = text_trim(owner);
    add(o, at, owner[0] == '\0' ? section : owner, number);
}

struct qa_owners *qa_owners_read(const char *text, size_t len)
{
    struct qa_owners *o = mem_alloc(sizeof(*o));
    char section[LINE_BYTES] = "";
    int number = 0;
    for (size_t at = 0; at < len;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t n = nl == NULL ? len - at : (size_t)(nl - text) - at;
        number++;
        if (n < LINE_BYTES && text_utf8_is_valid(text + at, n) &&
            memchr(text + at, '\0', n) == NULL) {
            AUTO_FREE char *line = mem_dup_strn(text + at, n);
            read_line(o, line, number, section);
        }
        at += n + 1;
    }
    return o;
}

void qa_owners_free(struct qa_owners *o)
{
    for (size_t i = 0; o != NULL && i < o->len; i++) {
        mem_free(o->list[i].pattern);
        mem_free(o->list[i].owner);
    }
    if (o != NULL) {
        mem_free(o->list);
        mem_free(o);
    }
}

const char *qa_owners_find(const struct qa_owners *o, const char *path, int *line)
{
    for (size_t i = o == NULL ? 0 : o->len; i > 0; i--) {
        if (qa_path_matches(o->list[i - 1].pattern, path)) {
            *line = o->list[i - 1].line;
            return o->list[i - 1].owner[0] == '\0' ? NULL : o->list[i - 1].owner;
        }
    }
    return NULL;
}
