/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libicu's MessagePattern behind one C function: it has a C++ API only (decision 0207).
 * Owns: nothing. Threads: a pattern is local to its call. Limits: CHECK_ICU_*; nothing throws.
 */
#include <cstdio>
#include <cstring>
#include <unicode/messagepattern.h>
#include <unicode/unistr.h>

#include "answer/check/icu_internal.h"

namespace
{

struct walk {
    const icu::MessagePattern &pattern;
    check_icu_message *out;
    bool over;
};

void copy(const icu::UnicodeString &from, char *to, size_t room)
{
    int32_t n = from.extract(0, from.length(), to, static_cast<uint32_t>(room - 1), "UTF-8");
    to[n >= 0 && static_cast<size_t>(n) < room ? static_cast<size_t>(n) : room - 1] = '\0';
}

const char *type_name(UMessagePatternArgType type)
{
    switch (type) {
    case UMSGPAT_ARG_TYPE_PLURAL:
        return "plural";
    case UMSGPAT_ARG_TYPE_SELECT:
        return "select";
    case UMSGPAT_ARG_TYPE_SELECTORDINAL:
        return "selectordinal";
    case UMSGPAT_ARG_TYPE_CHOICE:
        return "choice";
    case UMSGPAT_ARG_TYPE_NONE:
    case UMSGPAT_ARG_TYPE_SIMPLE:
        break;
    }
    return "";
}

/* The argument's number, or -1 when there are too many. */
int add_arg(walk &w, const char *name, const char *type)
{
    check_icu_message *m = w.out;
    for (size_t i = 0; i < m->arg_count; i++) {
        if (std::strcmp(m->args[i].name, name) == 0 && std::strcmp(m->args[i].type, type) == 0) {
            return static_cast<int>(i);
        }
    }
    if (m->arg_count == CHECK_ICU_ARGS) {
        w.over = true;
        return -1;
    }
    check_icu_arg *a = &m->args[m->arg_count];
    std::snprintf(a->name, sizeof(a->name), "%s", name);
    std::snprintf(a->type, sizeof(a->type), "%s", type);
    return static_cast<int>(m->arg_count++);
}

int32_t walk_message(walk &w, int32_t from, check_icu_branch self, int plural);

/* From the ARG_START at i; the branches of a complex one are walked after the rest of their
   message is known, so here they are only counted as arguments. */
int read_arg(walk &w, int32_t i, UMessagePatternArgType *type)
{
    char name[48], kind[16];
    *type = w.pattern.getPart(i).getArgType();
    copy(w.pattern.getSubstring(w.pattern.getPart(i + 1)), name, sizeof(name));
    std::snprintf(kind, sizeof(kind), "%s", type_name(*type));
    if (*type == UMSGPAT_ARG_TYPE_SIMPLE) {
        copy(w.pattern.getSubstring(w.pattern.getPart(i + 2)), kind, sizeof(kind));
    }
    return add_arg(w, name, kind);
}

void walk_branches(walk &w, int32_t start, int arg, UMessagePatternArgType type,
                   const check_icu_branch &outer)
{
    int32_t end = w.pattern.getLimitPartIndex(start);
    for (int32_t i = start + 2; i < end && !w.over; i++) {
        UMessagePatternPartType t = w.pattern.getPartType(i);
        if (t != UMSGPAT_PART_TYPE_ARG_SELECTOR) {
            continue;
        }
        check_icu_branch b = outer;
        if (b.depth == CHECK_ICU_DEPTH) {
            w.over = true;
            return;
        }
        b.inner = false;
        b.arg[b.depth] = static_cast<uint8_t>(arg);
        copy(w.pattern.getSubstring(w.pattern.getPart(i)), b.selector[b.depth],
             sizeof(b.selector[0]));
        b.depth++;
        while (i < end && w.pattern.getPartType(i) != UMSGPAT_PART_TYPE_MSG_START) {
            i++;
        }
        bool counts = type == UMSGPAT_ARG_TYPE_PLURAL || type == UMSGPAT_ARG_TYPE_SELECTORDINAL;
        i = walk_message(w, i, b, counts ? arg : -1);
    }
}

/* The message whose MSG_START is at from; returns its MSG_LIMIT. */
int32_t walk_message(walk &w, int32_t from, check_icu_branch self, int plural)
{
    int32_t end = w.pattern.getLimitPartIndex(from);
    for (int pass = 0; pass < 2 && !w.over; pass++) {
        for (int32_t i = from + 1; i < end && !w.over; i++) {
            UMessagePatternPartType t = w.pattern.getPartType(i);
            if (t == UMSGPAT_PART_TYPE_REPLACE_NUMBER && plural >= 0) {
                self.used |= 1u << plural;
            }
            if (t != UMSGPAT_PART_TYPE_ARG_START) {
                continue;
            }
            UMessagePatternArgType type;
            int arg = read_arg(w, i, &type);
            bool complex = type != UMSGPAT_ARG_TYPE_NONE && type != UMSGPAT_ARG_TYPE_SIMPLE;
            if (pass == 0 && arg >= 0) {
                self.used |= complex ? 0 : 1u << arg;
                self.inner = self.inner || complex;
                w.out->complex = w.out->complex || complex;
            } else if (complex && arg >= 0) {
                walk_branches(w, i, arg, type, self);
            }
            i = w.pattern.getLimitPartIndex(i);
        }
        if (pass == 0) {
            if (w.out->branch_count == CHECK_ICU_BRANCHES) {
                w.over = true;
            } else {
                w.out->branches[w.out->branch_count++] = self;
            }
        }
    }
    return end;
}

}

extern "C" bool check_icu_read(const char *text, size_t len, check_icu_message *out)
{
    std::memset(out, 0, sizeof(*out));
    UErrorCode status = U_ZERO_ERROR;
    UParseError where;
    icu::UnicodeString u = icu::UnicodeString::fromUTF8(
        icu::StringPiece(text, static_cast<int32_t>(len)));
    icu::MessagePattern pattern(UMSGPAT_APOS_DOUBLE_OPTIONAL, status);
    pattern.parse(u, &where, status);
    if (U_FAILURE(status)) {
        std::snprintf(out->error, sizeof(out->error), "%s", u_errorName(status));
        return false;
    }
    walk w = {pattern, out, false};
    check_icu_branch root;
    std::memset(&root, 0, sizeof(root));
    walk_message(w, 0, root, -1);
    if (w.over) {
        std::snprintf(out->error, sizeof(out->error), "too many arguments or branches");
    }
    return !w.over;
}
