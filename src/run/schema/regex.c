/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, patterns: a subset of ECMA-262 regular expressions, to a tree, to an NFA, to a DFA
 * over characters (Thompson 1968; subset construction). No backtracking exists here, so no pattern
 * is catastrophic: what is too large is refused while it is built. Where dialects differ (\d, \w,
 * \s beyond ASCII) the narrower reading is taken.
 * Owns: the tree and the NFA during a call. Threads: pure. Limits: SCHEMA_PATTERN_*, NESTING_MAX,
 * REPEAT_MAX.
 */
#include "run/schema/schema_internal.h"

#include <stdlib.h>
#include <string.h>

#define NESTING_MAX 60
#define REPEAT_MAX 1000
#define TREE_MAX 4096
#define NFA_MAX 6000
#define RANGES_MAX 8192
#define CLASSES_MAX 240
#define CP_MAX 0x10ffffu

enum tree_kind { T_EMPTY, T_SET, T_CAT, T_ALT, T_REPEAT, T_START, T_END };

struct tree {
    enum tree_kind kind;
    int left;
    int right;
    int min;
    int max; /* -1: without end */
    int set; /* first range */
    int n;   /* ranges */
};

struct range {
    uint32_t first;
    uint32_t last;
};

enum nfa_kind { N_SET, N_SPLIT, N_START, N_END, N_MATCH };

struct nfa {
    enum nfa_kind kind;
    int out;
    int out2;
    int set;
    int n;
};

struct regex {
    const char *at;
    const char *end;
    struct fault *why;
    struct tree *trees;
    int n_trees;
    struct range *ranges;
    int n_ranges;
    struct nfa *nfa;
    int n_nfa;
    int nesting;
    bool exact;
    bool ended; /* a $ was read */
    bool failed;
};

static int refuse(struct regex *r, enum fail code, const char *problem)
{
    if (!r->failed) {
        (void)FAULT(r->why, code, "a pattern %s", problem);
        r->failed = true;
    }
    return 0;
}

static int tree_new(struct regex *r, enum tree_kind kind, int left, int right)
{
    if (r->n_trees == TREE_MAX) {
        return refuse(r, FAIL_TOO_LARGE, "has too many parts");
    }
    r->trees[r->n_trees] = (struct tree){.kind = kind, .left = left, .right = right};
    return r->n_trees++;
}

/* Sets of characters: sorted ranges at the end of r->ranges. */

static void add_range(struct regex *r, uint32_t first, uint32_t last)
{
    if (r->n_ranges == RANGES_MAX) {
        (void)refuse(r, FAIL_TOO_LARGE, "has too many character ranges");
        return;
    }
    r->ranges[r->n_ranges++] = (struct range){first, last};
}

static int by_first(const void *a, const void *b)
{
    uint32_t x = ((const struct range *)a)->first;
    uint32_t y = ((const struct range *)b)->first;
    return x < y ? -1 : x > y;
}

/* Sorts and merges the ranges from `set` on; with invert their complement. Returns how many. */
static int settle_set(struct regex *r, int set, bool invert)
{
    struct range *list = r->ranges + set;
    int n = r->n_ranges - set;
    int kept = 0;
    if (n > 1) {
        qsort(list, (size_t)n, sizeof *list, by_first);
    }
    for (int i = 0; i < n; i++) {
        if (kept > 0 && list[i].first <= list[kept - 1].last + 1) {
            list[kept - 1].last =
                list[i].last > list[kept - 1].last ? list[i].last : list[kept - 1].last;
        } else {
            list[kept++] = list[i];
        }
    }
    r->n_ranges = set + kept;
    if (!invert) {
        return kept;
    }
    struct range copy[256];
    if (kept > (int)COUNT_OF(copy)) {
        return refuse(r, FAIL_TOO_LARGE, "has too many character ranges");
    }
    if (kept > 0) {
        memcpy(copy, list, (size_t)kept * sizeof *list);
    }
    r->n_ranges = set;
    uint32_t next = 0;
    for (int i = 0; i < kept; i++) {
        if (copy[i].first > next) {
            add_range(r, next, copy[i].first - 1);
        }
        next = copy[i].last + 1;
    }
    if (next <= CP_MAX) {
        add_range(r, next, CP_MAX);
    }
    return r->n_ranges - set;
}

static void add_digits(struct regex *r)
{
    add_range(r, '0', '9');
}

static void add_word(struct regex *r)
{
    add_range(r, '0', '9');
    add_range(r, 'A', 'Z');
    add_range(r, '_', '_');
    add_range(r, 'a', 'z');
}

static void add_not_space(struct regex *r)
{
    static const struct range list[] = {
        {0x21, 0x84},     {0x86, 0x9f},     {0xa1, 0x167f},   {0x1681, 0x1fff},
        {0x200b, 0x2027}, {0x202a, 0x202e}, {0x2030, 0x205e}, {0x2060, 0x2fff},
        {0x3001, 0xfefe}, {0xff00, CP_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(list); i++) {
        add_range(r, list[i].first, list[i].last);
    }
}

/* \d \w \s and their opposites; false when c is none of them. */
static bool add_named(struct regex *r, char c)
{
    switch (c) {
    case 'd':
        add_digits(r);
        break;
    case 'D': /* beyond ASCII the dialects differ */
        add_range(r, 0, '0' - 1);
        add_range(r, '9' + 1, 0x7f);
        break;
    case 'w':
        add_word(r);
        break;
    case 'W':
        add_range(r, 0, '0' - 1);
        add_range(r, '9' + 1, 'A' - 1);
        add_range(r, 'Z' + 1, '_' - 1);
        add_range(r, '_' + 1, 'a' - 1);
        add_range(r, 'z' + 1, 0x7f);
        break;
    case 's':
        add_range(r, '\t', '\r');
        add_range(r, ' ', ' ');
        break;
    case 'S':
        add_not_space(r);
        break;
    default:
        return false;
    }
    r->exact = false;
    return true;
}

static bool read_hex(struct regex *r, int digits, uint32_t *out)
{
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        char c = r->at < r->end ? *r->at : '\0';
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) {
            return false;
        }
        value = value * 16 + (uint32_t)d;
        r->at++;
    }
    *out = value;
    return true;
}

/* After the backslash; a single character. */
static uint32_t read_escape(struct regex *r)
{
    char c = r->at < r->end ? *r->at++ : '\0';
    uint32_t cp = 0;
    switch (c) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 'f':
        return '\f';
    case 'v':
        return '\v';
    case '0':
        return 0;
    case 'x':
        if (!read_hex(r, 2, &cp)) {
            (void)refuse(r, FAIL_BAD_REQUEST, "has a \\x without two hex digits");
        }
        return cp;
    case 'u': {
        uint32_t low = 0;
        if (!read_hex(r, 4, &cp)) {
            (void)refuse(r, FAIL_UNSUPPORTED, "has a \\u without four hex digits");
        } else if (cp >= 0xd800 && cp < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' &&
                   r->at[1] == 'u') {
            r->at += 2;
            if (read_hex(r, 4, &low) && low >= 0xdc00 && low < 0xe000) {
                cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        return cp;
    }
    default:
        if (strchr("^$\\.*+?()[]{}|/-\"'#@!%&,:;<=>~` ", c) == NULL || c == '\0') {
            (void)refuse(r, FAIL_UNSUPPORTED,
                         c >= '1' && c <= '9' ? "with a back reference is not supported"
                         : c == 'b' || c == 'B' ? "with \\b is not supported"
                         : c == 'p' || c == 'P' ? "with \\p is not supported"
                                                : "has an escape that is not supported");
        }
        return (uint8_t)c;
    }
}

static uint32_t read_char(struct regex *r)
{
    uint32_t cp = 0;
    size_t n = text_utf8_decode(r->at, (size_t)(r->end - r->at), &cp);
    r->at += n > 0 ? n : 1;
    return cp;
}

/* After '['. */
static int read_set(struct regex *r)
{
    int t = tree_new(r, T_SET, 0, 0);
    int set = r->n_ranges;
    bool invert = r->at < r->end && *r->at == '^';
    r->at += invert ? 1 : 0;
    while (!r->failed) {
        if (r->at >= r->end) {
            return refuse(r, FAIL_BAD_REQUEST, "has a [ without its ]");
        }
        if (*r->at == ']') {
            r->at++;
            break;
        }
        uint32_t first;
        if (*r->at == '\\') {
            r->at++;
            if (r->at < r->end && add_named(r, *r->at)) {
                bool outside = strchr("DWS", *r->at) != NULL;
                if (invert && outside) {
                    /* the narrower reading of \D is the wider one of [^\D] */
                    return refuse(r, FAIL_UNSUPPORTED, "with \\D, \\W or \\S in [^ ] is not "
                                                       "supported");
                }
                if (invert) {
                    /* [^\d] beyond ASCII: the dialects differ */
                    add_range(r, 0x80, CP_MAX);
                }
                r->at++;
                continue;
            }
            first = r->at < r->end && *r->at == 'b' ? (r->at++, 8u) : read_escape(r);
        } else {
            first = read_char(r);
        }
        uint32_t last = first;
        if (r->end - r->at >= 2 && r->at[0] == '-' && r->at[1] != ']') {
            r->at++;
            if (*r->at == '\\') {
                r->at++;
                last = read_escape(r);
            } else {
                last = read_char(r);
            }
            if (last < first) {
                return refuse(r, FAIL_BAD_REQUEST, "has a character range out of order");
            }
        }
        add_range(r, first, last);
    }
    if (!r->failed) {
        int n = settle_set(r, set, invert);
        r->trees[t].set = set;
        r->trees[t].n = n;
    }
    return t;
}

static int set_of(struct regex *r, int set, bool invert)
{
    int t = tree_new(r, T_SET, 0, 0);
    int n = settle_set(r, set, invert);
    r->trees[t].set = set;
    r->trees[t].n = n;
    return t;
}

static int read_alternation(struct regex *r);

static int read_group(struct regex *r)
{
    if (r->end - r->at >= 2 && r->at[0] == '?') {
        if (r->at[1] != ':') {
            return refuse(r, FAIL_UNSUPPORTED,
                          "with a look-around or a named group is not supported");
        }
        r->at += 2;
    }
    if (++r->nesting > NESTING_MAX) {
        return refuse(r, FAIL_TOO_LARGE, "is nested more than 60 deep");
    }
    int t = read_alternation(r);
    r->nesting--;
    if (!r->failed && (r->at >= r->end || *r->at != ')')) {
        return refuse(r, FAIL_BAD_REQUEST, "has a ( without its )");
    }
    r->at++;
    return t;
}

static int read_atom(struct regex *r)
{
    int set = r->n_ranges;
    char c = *r->at;
    switch (c) {
    case '(':
        r->at++;
        return read_group(r);
    case '[':
        r->at++;
        return read_set(r);
    case '^':
        r->at++;
        r->exact = r->exact && !r->ended;
        return tree_new(r, T_START, 0, 0);
    case '$':
        r->at++;
        r->ended = true;
        return tree_new(r, T_END, 0, 0);
    case '.':
        r->at++;
        r->exact = false;
        add_range(r, '\n', '\n');
        add_range(r, '\r', '\r');
        add_range(r, 0x2028, 0x2029);
        return set_of(r, set, true);
    case '\\':
        r->at++;
        if (r->at < r->end && add_named(r, *r->at)) {
            r->at++;
        } else {
            uint32_t cp = read_escape(r);
            add_range(r, cp, cp);
        }
        return set_of(r, set, false);
    case '*':
    case '+':
    case '?':
        return refuse(r, FAIL_BAD_REQUEST, "repeats nothing");
    default: {
        uint32_t cp = read_char(r);
        add_range(r, cp, cp);
        return set_of(r, set, false);
    }
    }
}

static int read_count(struct regex *r)
{
    int value = -1;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
        value = (value < 0 ? 0 : value) * 10 + (*r->at++ - '0');
        if (value > REPEAT_MAX) {
            return refuse(r, FAIL_TOO_LARGE, "repeats something more than 1000 times");
        }
    }
    return value;
}

/* {n}, {n,}, {n,m}; false and nothing read when it is none of them: then it is plain text. */
static bool read_braces(struct regex *r, int *min, int *max)
{
    const char *back = r->at++;
    *min = read_count(r);
    *max = *min;
    if (*min >= 0 && r->at < r->end && *r->at == ',') {
        r->at++;
        *max = read_count(r);
    }
    if (*min < 0 || r->at >= r->end || *r->at != '}') {
        r->at = back;
        return false;
    }
    r->at++;
    if (*max >= 0 && *max < *min) {
        (void)refuse(r, FAIL_BAD_REQUEST, "has a repetition out of order");
    }
    return true;
}

static int read_repeated(struct regex *r)
{
    int t = read_atom(r);
    while (!r->failed && r->at < r->end) {
        int min;
        int max;
        if (*r->at == '*' || *r->at == '+' || *r->at == '?') {
            min = *r->at == '+' ? 1 : 0;
            max = *r->at == '?' ? 1 : -1;
            r->at++;
        } else if (*r->at != '{' || !read_braces(r, &min, &max)) {
            break;
        }
        if (r->at < r->end && *r->at == '?') {
            r->at++; /* lazy: the same language */
        }
        t = tree_new(r, T_REPEAT, t, 0);
        r->trees[t].min = min;
        r->trees[t].max = max;
    }
    return t;
}

static int read_sequence(struct regex *r)
{
    int t = -1;
    while (!r->failed && r->at < r->end && *r->at != '|' && *r->at != ')') {
        int next;
        if (*r->at == '{') {
            int a;
            int b;
            if (read_braces(r, &a, &b)) {
                return refuse(r, FAIL_BAD_REQUEST, "repeats nothing");
            }
        }
        next = read_repeated(r);
        t = t < 0 ? next : tree_new(r, T_CAT, t, next);
    }
    return t < 0 ? tree_new(r, T_EMPTY, 0, 0) : t;
}

static int read_alternation(struct regex *r)
{
    int t = read_sequence(r);
    while (!r->failed && r->at < r->end && *r->at == '|') {
        r->at++;
        int next = read_sequence(r);
        t = tree_new(r, T_ALT, t, next);
    }
    return t;
}

/* Tree to NFA: emit(t, next) gives the state at which t begins when `next` follows it. */

static int nfa_new(struct regex *r, enum nfa_kind kind, int out, int out2)
{
    if (r->n_nfa == NFA_MAX) {
        return refuse(r, FAIL_TOO_LARGE, "is too large once its repetitions are written out");
    }
    r->nfa[r->n_nfa] = (struct nfa){.kind = kind, .out = out, .out2 = out2};
    return r->n_nfa++;
}

static int emit(struct regex *r, int t, int next);

static int emit_repeat(struct regex *r, const struct tree *tree, int next)
{
    int at = next;
    if (tree->max < 0) {
        int loop = nfa_new(r, N_SPLIT, next, next);
        int body = emit(r, tree->left, loop);
        r->nfa[loop].out = body;
        at = loop;
    } else {
        for (int i = tree->min; i < tree->max && !r->failed; i++) {
            at = nfa_new(r, N_SPLIT, emit(r, tree->left, at), next);
        }
    }
    for (int i = 0; i < tree->min && !r->failed; i++) {
        at = emit(r, tree->left, at);
    }
    return at;
}

static int emit(struct regex *r, int t, int next)
{
    const struct tree tree = r->trees[t];
    if (r->failed || ++r->nesting > TREE_MAX) {
        return refuse(r, FAIL_TOO_LARGE, "is nested too deep");
    }
    int at = next;
    switch (tree.kind) {
    case T_EMPTY:
        break;
    case T_SET:
        at = nfa_new(r, N_SET, next, 0);
        r->nfa[at].set = tree.set;
        r->nfa[at].n = tree.n;
        break;
    case T_CAT:
        at = emit(r, tree.left, emit(r, tree.right, next));
        break;
    case T_ALT: {
        int left = emit(r, tree.left, next);
        at = nfa_new(r, N_SPLIT, left, emit(r, tree.right, next));
        break;
    }
    case T_REPEAT:
        at = emit_repeat(r, &tree, next);
        break;
    case T_START:
        at = nfa_new(r, N_START, next, 0);
        break;
    case T_END:
        at = nfa_new(r, N_END, next, 0);
        break;
    }
    r->nesting--;
    return at;
}

/* NFA to DFA. */

struct builder {
    struct regex *r;
    uint64_t *work;
    int *stack;
    uint32_t *mark; /* per NFA state: in the set of this number */
    uint32_t stamp;
    uint16_t *list; /* the set being made */
    int n_list;
    struct buf sets;   /* all sets, one after the other */
    uint32_t *starts;  /* offsets in u16 */
    uint32_t *hash;    /* room for 2 x states */
    int n_states;
    uint32_t from[CLASSES_MAX];
    int n_classes;
    uint16_t *next;
};

#define HASH_ROOM 16384u

static void push(struct builder *b, int *n, int state)
{
    if (b->mark[state] != b->stamp) {
        b->mark[state] = b->stamp;
        b->stack[(*n)++] = state;
    }
}

static void close_over(struct builder *b, int state, bool at_start, bool at_end, bool *match)
{
    int n = 0;
    push(b, &n, state);
    while (n > 0) {
        int at = b->stack[--n];
        const struct nfa *s = &b->r->nfa[at];
        (*b->work)++;
        switch (s->kind) {
        case N_SPLIT:
            push(b, &n, s->out);
            push(b, &n, s->out2);
            break;
        case N_START:
            if (at_start) {
                push(b, &n, s->out);
            }
            break;
        case N_END:
            b->list[b->n_list++] = (uint16_t)at;
            if (at_end) {
                push(b, &n, s->out);
            }
            break;
        case N_MATCH:
            *match = true;
            b->list[b->n_list++] = (uint16_t)at;
            break;
        case N_SET:
            b->list[b->n_list++] = (uint16_t)at;
            break;
        }
    }
}

static int by_number(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

/* The DFA state of the set in list; -1 when there are too many. */
static int intern(struct builder *b)
{
    if (b->n_list > 1) {
        qsort(b->list, (size_t)b->n_list, sizeof *b->list, by_number);
    }
    uint32_t h = 2166136261u;
    for (int i = 0; i < b->n_list; i++) {
        h = (h ^ b->list[i]) * 16777619u;
    }
    const uint16_t *all = (const uint16_t *)(const void *)b->sets.data;
    for (uint32_t slot = h % HASH_ROOM;; slot = (slot + 1) % HASH_ROOM) {
        uint32_t state = b->hash[slot];
        if (state == 0) {
            if (b->n_states == SCHEMA_PATTERN_STATES_MAX ||
                !buf_add(&b->sets, b->list, (size_t)b->n_list * sizeof *b->list)) {
                return -1;
            }
            b->hash[slot] = (uint32_t)b->n_states + 1;
            b->starts[b->n_states + 1] = b->starts[b->n_states] + (uint32_t)b->n_list;
            return b->n_states++;
        }
        uint32_t start = b->starts[state - 1];
        if (b->starts[state] - start == (uint32_t)b->n_list &&
            (b->n_list == 0 ||
             memcmp(all + start, b->list, (size_t)b->n_list * sizeof *b->list) == 0)) {
            return (int)state - 1;
        }
    }
}

static int by_cp(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool cut_alphabet(struct builder *b)
{
    struct regex *r = b->r;
    static const uint32_t written[] = {0, 8, 11, 12, 14, 0x20, 0xd800, 0xe000};
    size_t room = COUNT_OF(written) + 4 * (size_t)r->n_ranges + 64;
    uint32_t *list = mem_alloc_array(room, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < COUNT_OF(written); i++) {
        list[n++] = written[i];
    }
    for (int i = 0; i < r->n_nfa; i++) {
        if (r->nfa[i].kind != N_SET) {
            continue;
        }
        for (int k = 0; k < r->nfa[i].n; k++) {
            const struct range *range = &r->ranges[r->nfa[i].set + k];
            if (n + 2 > room) {
                qsort(list, n, sizeof *list, by_cp);
                size_t kept = 0;
                for (size_t j = 0; j < n; j++) {
                    if (kept == 0 || list[j] != list[kept - 1]) {
                        list[kept++] = list[j];
                    }
                }
                n = kept;
                if (n + 2 > room) {
                    mem_free(list);
                    return false;
                }
            }
            list[n++] = range->first;
            list[n++] = range->last + 1;
        }
    }
    qsort(list, n, sizeof *list, by_cp);
    for (size_t i = 0; i < n; i++) {
        if ((i > 0 && list[i] == list[i - 1]) || list[i] > CP_MAX) {
            continue;
        }
        if (b->n_classes == CLASSES_MAX) {
            mem_free(list);
            return false;
        }
        b->from[b->n_classes++] = list[i];
    }
    mem_free(list);
    return true;
}

static bool set_has(const struct regex *r, const struct nfa *s, uint32_t cp)
{
    int low = 0;
    int high = s->n - 1;
    while (low <= high) {
        int mid = (low + high) / 2;
        const struct range *range = &r->ranges[s->set + mid];
        if (cp < range->first) {
            high = mid - 1;
        } else if (cp > range->last) {
            low = mid + 1;
        } else {
            return true;
        }
    }
    return false;
}

static int step_set(struct builder *b, int state, uint32_t cp, int restart)
{
    bool match = false;
    b->stamp++;
    b->n_list = 0;
    for (uint32_t i = b->starts[state]; i < b->starts[state + 1]; i++) {
        uint16_t at = ((const uint16_t *)(const void *)b->sets.data)[i];
        const struct nfa *s = &b->r->nfa[at];
        (*b->work)++;
        if (s->kind == N_MATCH) {
            close_over(b, at, false, false, &match); /* found: what follows does not matter */
        } else if (s->kind == N_SET && set_has(b->r, s, cp)) {
            close_over(b, s->out, false, false, &match);
        }
    }
    if (match) {
        b->n_list = 0; /* one state for all that has matched */
        b->stamp++;
        close_over(b, 0, false, false, &match);
    } else {
        close_over(b, restart, false, false, &match);
        if (match) {
            b->n_list = 0;
            b->stamp++;
            close_over(b, 0, false, false, &match);
        }
    }
    return intern(b);
}

static bool accepts(struct builder *b, int state)
{
    bool match = false;
    uint32_t first = b->starts[state];
    uint32_t n = b->starts[state + 1] - first;
    b->stamp++;
    b->n_list = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint16_t at = ((const uint16_t *)(const void *)b->sets.data)[first + i];
        if (b->mark[at] != b->stamp) {
            close_over(b, at, false, true, &match);
        }
        b->n_list = 0;
    }
    return match;
}

static enum fail explore(struct builder *b, int start, struct fault *why)
{
    bool match = false;
    b->stamp++;
    close_over(b, start, true, false, &match);
    if (match) {
        b->n_list = 0;
        b->stamp++;
        close_over(b, 0, false, false, &match);
    }
    (void)intern(b);
    size_t room = 0;
    for (int state = 0; state < b->n_states; state++) {
        if ((size_t)b->n_states * (size_t)b->n_classes > room) {
            room = (size_t)b->n_states * (size_t)b->n_classes * 2 + 64;
            b->next = mem_realloc(b->next, room * sizeof *b->next);
        }
        for (int k = 0; k < b->n_classes; k++) {
            int to = (int)DFA_DEAD;
            if (cp_is_written(b->from[k])) {
                to = step_set(b, state, b->from[k], start);
            }
            if (to < 0 || *b->work > SCHEMA_WORK_MAX ||
                (size_t)b->n_states * (size_t)b->n_classes > (1u << 20)) {
                return FAULT(why, FAIL_TOO_LARGE, "a pattern needs too large an automaton");
            }
            b->next[state * b->n_classes + k] = (uint16_t)to;
        }
    }
    return FAIL_NONE;
}

static struct dfa *take_dfa(struct builder *b)
{
    struct dfa *d = dfa_new((unsigned)b->n_states, (unsigned)b->n_classes);
    memcpy(d->from, b->from, (size_t)b->n_classes * sizeof *d->from);
    memcpy(d->next, b->next, (size_t)b->n_states * (size_t)b->n_classes * sizeof *d->next);
    for (int i = 0; i < b->n_states; i++) {
        d->label[i] = accepts(b, i) ? 1 : 0;
    }
    d->exact = b->r->exact;
    dfa_finish(d);
    return d;
}

static enum fail build(struct regex *r, int start, uint64_t *work, struct dfa **out,
                       struct fault *why)
{
    struct builder *b = mem_alloc(sizeof *b);
    b->r = r;
    b->work = work;
    b->stack = mem_alloc_array((size_t)r->n_nfa + 1, sizeof *b->stack);
    b->mark = mem_alloc_array((size_t)r->n_nfa + 1, sizeof *b->mark);
    b->list = mem_alloc_array((size_t)r->n_nfa + 1, sizeof *b->list);
    b->starts = mem_alloc_array(SCHEMA_PATTERN_STATES_MAX + 2, sizeof *b->starts);
    b->hash = mem_alloc_array(HASH_ROOM, sizeof *b->hash);
    buf_init(&b->sets, 16u << 20);
    enum fail failed = cut_alphabet(b)
                           ? explore(b, start, why)
                           : FAULT(why, FAIL_TOO_LARGE, "a pattern has too many character ranges");
    if (failed == FAIL_NONE) {
        *out = take_dfa(b);
    }
    buf_done(&b->sets);
    mem_free(b->next);
    mem_free(b->hash);
    mem_free(b->starts);
    mem_free(b->list);
    mem_free(b->mark);
    mem_free(b->stack);
    mem_free(b);
    return failed;
}

enum fail dfa_from_pattern(const char *pattern, size_t n, uint64_t *work, struct dfa **out,
                           struct fault *why)
{
    if (n > SCHEMA_PATTERN_BYTES_MAX) {
        return FAULT(why, FAIL_TOO_LARGE, "a pattern is larger than %d bytes",
                     SCHEMA_PATTERN_BYTES_MAX);
    }
    struct fault own = {0};
    struct regex r = {.at = pattern, .end = pattern + n, .why = why != NULL ? why : &own};
    r.trees = mem_alloc_array(TREE_MAX, sizeof *r.trees);
    r.ranges = mem_alloc_array(RANGES_MAX, sizeof *r.ranges);
    r.nfa = mem_alloc_array(NFA_MAX, sizeof *r.nfa);
    r.exact = true;
    int t = read_alternation(&r);
    if (!r.failed && r.at < r.end) {
        (void)refuse(&r, FAIL_BAD_REQUEST, "has a ) without its (");
    }
    r.nesting = 0;
    (void)nfa_new(&r, N_MATCH, 0, 0); /* state 0 */
    int start = r.failed ? 0 : emit(&r, t, 0);
    enum fail failed = r.failed ? r.why->code : build(&r, start, work, out, why);
    mem_free(r.nfa);
    mem_free(r.ranges);
    mem_free(r.trees);
    return failed;
}
