/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, walking through strings, numbers and words. A string counts characters, not bytes, an
 * escape as the one it stands for; a byte is taken only if a character can come of it that leads to
 * an end of the string within its length and its pattern.
 * Owns: nothing. Threads: one walk, one thread. Limits: none of its own.
 */
#include "run/schema/walk_internal.h"

#include <string.h>

/* Strings. */

/* One more byte of UTF-8: 1 = *cp is whole, 0 = *sub waits for more of [*first, *last],
   -1 = no character. */
int walk_utf8(uint32_t *sub, uint8_t byte, uint32_t *first, uint32_t *last)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    uint32_t total; /* bytes, less one */
    uint32_t have;
    uint32_t value;
    if (*sub == 0) {
        if (byte < 0x80) {
            *first = *last = byte;
            return 1;
        }
        if (byte < 0xc2 || byte > 0xf4) {
            return -1;
        }
        total = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        value = byte & (0x3fu >> total);
        have = 0;
    } else {
        if ((byte & 0xc0) != 0x80) {
            return -1;
        }
        total = SUB_TOTAL(*sub);
        have = SUB_HAVE(*sub) + 1;
        value = SUB_VALUE(*sub) << 6 | (byte & 0x3fu);
    }
    uint32_t shift = 6 * (total - have);
    *first = value << shift;
    *last = *first | ((1u << shift) - 1);
    *first = *first < least[total] ? least[total] : *first;
    *last = *last > 0x10ffff ? 0x10ffff : *last;
    if (*first >= 0xd800 && *first < 0xe000) {
        *first = 0xe000;
    }
    if (*last >= 0xd800 && *last < 0xe000) {
        *last = 0xd7ff;
    }
    if (*first > *last) {
        return -1;
    }
    *sub = have == total ? 0 : SUB(SUB_BYTES, total, have, value);
    return have == total ? 1 : 0;
}

/* May a string that stands in this state of its pattern, with so many characters, still end? */
static bool text_is_live(const struct schema *s, const struct text_alt *t, unsigned state,
                         uint32_t count)
{
    if (count > t->max) {
        return false;
    }
    if (t->dfa < 0) {
        return true;
    }
    const struct dfa *d = s->dfas[t->dfa];
    uint32_t least = t->min > count ? t->min - count : 0;
    uint32_t most = t->max == NO_LENGTH ? NO_LENGTH - 1 : t->max - count;
    if (t->lengths == NULL) {
        return d->shortest[state] <= most &&
               (d->longest[state] == NO_LENGTH || d->longest[state] >= least);
    }
    const uint8_t *row = t->lengths + (size_t)state * (t->max / 8 + 1);
    for (uint32_t n = least; n <= most; n++) {
        if ((row[n / 8] >> (n % 8) & 1) != 0) {
            return true;
        }
    }
    return false;
}

static uint32_t text_count(const struct text_alt *t, uint32_t count)
{
    return t->max == NO_LENGTH && count >= t->min ? t->min : count + 1;
}

/* Some character of [first, last] may come. */
static bool text_takes_some(const struct schema *s, const struct text_alt *t, unsigned state,
                            uint32_t count, uint32_t first, uint32_t last)
{
    uint32_t next_count = text_count(t, count);
    if (t->dfa < 0) {
        return next_count <= t->max;
    }
    const struct dfa *d = s->dfas[t->dfa];
    for (unsigned k = dfa_class(d, first); k < d->n_classes && d->from[k] <= last; k++) {
        unsigned to = d->next[state * d->n_classes + k];
        if (to != DFA_DEAD && text_is_live(s, t, to, next_count)) {
            return true;
        }
    }
    return false;
}

static bool text_takes(const struct schema *s, const struct text_alt *t, struct cell *cell,
                       uint32_t cp)
{
    if (!text_takes_some(s, t, cell->b, cell->c, cp, cp)) {
        return false;
    }
    if (t->dfa >= 0) {
        const struct dfa *d = s->dfas[t->dfa];
        cell->b = d->next[cell->b * d->n_classes + dfa_class(d, cp)];
    }
    cell->c = text_count(t, cell->c);
    cell->d = 0;
    return true;
}

static const char escape_bytes[] = "\"\\/bfnrt";
static const char escape_chars[] = "\"\\/\b\f\n\r\t";

static int hex_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9'   ? byte - '0'
           : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
           : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                        : -1;
}

/* \uXXXX, of strings without a pattern. NUL and halves of pairs alone are not written. */
static bool hex_step(const struct schema *s, const struct text_alt *t, struct cell *cell,
                     uint8_t byte)
{
    uint32_t kind = SUB_KIND(cell->d);
    uint32_t have = SUB_HAVE(cell->d);
    uint32_t value = SUB_VALUE(cell->d);
    int digit = hex_digit(byte);
    bool low = kind == SUB_LOW_HEX;
    if (digit < 0 || (low && have == 0 && digit != 0xd) || (low && have == 1 && digit < 0xc) ||
        (!low && have == 1 && value == 0xd && digit >= 0xc)) {
        return false;
    }
    value = value << 4 | (uint32_t)digit;
    if (have < 3) {
        cell->d = SUB(kind, 0, have + 1, value);
        return true;
    }
    if (!low && value >= 0xd800 && value < 0xdc00) {
        cell->d = SUB(SUB_LOW_SLASH, 0, 0, 0);
        return true;
    }
    return value != 0 && text_takes(s, t, cell, low ? 0x10000 : value);
}

static bool escape_step(const struct schema *s, const struct text_alt *t, struct cell *cell,
                        uint8_t byte)
{
    const char *hit = byte == 0 ? NULL : strchr(escape_bytes, byte);
    switch (SUB_KIND(cell->d)) {
    case SUB_ESCAPE:
        if (byte == 'u' && t->dfa < 0) {
            cell->d = SUB(SUB_HEX, 0, 0, 0);
            return true;
        }
        return hit != NULL && text_takes(s, t, cell, (uint8_t)escape_chars[hit - escape_bytes]);
    case SUB_LOW_SLASH:
        cell->d = SUB(SUB_LOW_U, 0, 0, 0);
        return byte == '\\';
    case SUB_LOW_U:
        cell->d = SUB(SUB_LOW_HEX, 0, 0, 0);
        return byte == 'u';
    default:
        return hex_step(s, t, cell, byte);
    }
}

static bool may_escape(const struct schema *s, const struct text_alt *t, const struct cell *cell)
{
    for (size_t i = 0; escape_chars[i] != '\0'; i++) {
        uint32_t cp = (uint8_t)escape_chars[i];
        if (text_takes_some(s, t, cell->b, cell->c, cp, cp)) {
            return true;
        }
    }
    return false;
}

void walk_step_text(struct schema_walk *w, struct cell cell, uint8_t byte)
{
    const struct text_alt *t = &w->s->texts[cell.a];
    uint32_t kind = SUB_KIND(cell.d);
    if (kind > SUB_BYTES) {
        if (escape_step(w->s, t, &cell, byte)) {
            walk_emit(w, &cell);
        }
        return;
    }
    if (kind == SUB_NONE && byte == '"') {
        if (cell.c >= t->min && (t->dfa < 0 || w->s->dfas[t->dfa]->label[cell.b] != 0)) {
            walk_emit_id(w, cell.parent);
        }
        return;
    }
    if (kind == SUB_NONE && byte == '\\') {
        if (may_escape(w->s, t, &cell)) {
            cell.d = SUB(SUB_ESCAPE, 0, 0, 0);
            walk_emit(w, &cell);
        }
        return;
    }
    uint32_t first = 0;
    uint32_t last = 0;
    int done = byte < 0x20 ? -1 : walk_utf8(&cell.d, byte, &first, &last);
    if (done == 1 ? text_takes(w->s, t, &cell, first)
                  : done == 0 && text_takes_some(w->s, t, cell.b, cell.c, first, last)) {
        walk_emit(w, &cell);
    }
}

/* Numbers: b = phase, sign, digits; c, d = the digits' value. */

static struct digits unpack_digits(const struct cell *cell)
{
    return (struct digits){.value = (uint64_t)cell->d << 32 | cell->c,
                           .phase = (uint8_t)(cell->b & 0xff),
                           .whole = (uint8_t)(cell->b >> 8 & 0xff),
                           .part = (uint8_t)(cell->b >> 16 & 0xff),
                           .minus = (cell->b >> 24) != 0};
}

void walk_step_number(struct schema_walk *w, struct cell cell, uint8_t byte)
{
    struct digits d = unpack_digits(&cell);
    const struct number *n = &w->s->numbers[cell.a];
    if (!digits_step(n, &d, byte)) {
        return;
    }
    cell.b = (uint32_t)d.phase | (uint32_t)d.whole << 8 | (uint32_t)d.part << 16 |
             (uint32_t)d.minus << 24;
    cell.c = (uint32_t)d.value;
    cell.d = (uint32_t)(d.value >> 32);
    walk_emit(w, &cell);
    if (digits_complete(n, &d)) {
        walk_emit_id(w, cell.parent);
    }
}

/* Words: null, true, false, enum, const. */

void walk_step_word(struct schema_walk *w, struct cell cell, uint8_t byte)
{
    cell.a = trie_child(w->s, cell.a, byte);
    if (cell.a == 0) {
        return;
    }
    if (w->s->tries[cell.a].value != UINT32_MAX) {
        walk_emit_id(w, cell.parent);
    }
    if (w->s->tries[cell.a].child != 0) {
        walk_emit(w, &cell);
    }
}

bool walk_is_free_text(const struct schema_walk *w, const struct cell *cell)
{
    const struct text_alt *t = &w->s->texts[cell->a];
    return cell->op == OP_TEXT && t->dfa < 0 && SUB_KIND(cell->d) != SUB_LOW_SLASH &&
           SUB_KIND(cell->d) != SUB_LOW_U && (cell->c < t->max || cell->d != 0);
}
