/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of a sentence against the cells that it speaks of.
 *
 * The rows and columns a sentence names bind its numbers: a number that happens to stand elsewhere
 * in the table is wrong. Where several are named, numbers go with the names before them, behind
 * them, or nearest, whichever of the three explains all of them; if none does, the sentence fails.
 * Owns: nothing. Threads: pure. Limits: CELLS_MAX_MENTIONS names, 64 numbers a sentence.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "answer/check/cells_internal.h"
#include "base/text/text.h"

#define MAX_NUMBERS 64

const char *check_how_name(enum check_how how)
{
    static const char *const names[CHECK_HOW_END] = {
        "none", "cell", "difference", "change", "share", "ratio", "sum",
        "mean", "median", "max",      "min",    "count", "given"};
    return how < CHECK_HOW_END ? names[how] : "none";
}

/* ---- words that claim something ---- */

static const struct {
    unsigned claims;
    const char *words;
} claim_rows[] = {
    {CLAIM_UP | CLAIM_DIFFERENCE,
     " rose rise rises rising risen increased increase increases increasing grew grow growth grown "
     "up gained gain gains climbed climb jumped jump higher more above improved stieg steigt "
     "gestiegen anstieg zunahme zugenommen nahm wuchs gewachsen mehr h\xC3\xB6her erh\xC3\xB6ht "
     "erh\xC3\xB6hte erh\xC3\xB6hung plus zuwachs "},
    {CLAIM_DOWN | CLAIM_DIFFERENCE,
     " fell fall falls fallen falling decreased decrease decreases decreasing dropped drop drops "
     "down declined decline declines lower less fewer below lost sank shrank shrunk reduced "
     "reduction sinkt gesunken sank r\xC3\xBC"
     "ckgang fiel gefallen weniger niedriger verringert "
     "verringerte minus abnahme abgenommen "},
    {CLAIM_SAME, " unchanged flat constant same unver\xC3\xA4ndert konstant gleich "},
    {CLAIM_HIGHEST,
     " highest most largest biggest best maximum max peak top peaked h\xC3\xB6"
     "chste h\xC3\xB6"
     "chsten h\xC3\xB6"
     "chster h\xC3\xB6"
     "chstwert meisten gr\xC3\xB6\xC3\x9Fte gr\xC3\xB6\xC3\x9Ften spitzenwert "},
    {CLAIM_LOWEST,
     " lowest least smallest fewest minimum min bottom niedrigste niedrigsten wenigsten kleinste "
     "kleinsten geringste geringsten tiefstwert "},
    {CLAIM_SUM, " total sum altogether combined overall insgesamt summe gesamt zusammen "},
    {CLAIM_MEAN, " average mean averaged averages durchschnitt durchschnittlich mittel schnitt "},
    {CLAIM_MEDIAN, " median "},
    {CLAIM_SHARE, " share of portion proportion accounted accounts anteil von davon entfallen "
                  "entfielen "},
    {CLAIM_DIFFERENCE, " by difference change changed unterschied differenz um "
                       "ver\xC3\xA4ndert ver\xC3\xA4nderung "},
    {CLAIM_TIMES, " times fold mal fach "},
    {CLAIM_BASE,
     " from than versus vs compared previously previous after gegen\xC3\xBC"
     "ber von als nach zuvor vorher vormonat "},
    {CLAIM_ABOUT, " about around roughly approximately some circa ca rund etwa ungef\xC3\xA4hr "},
    {CLAIM_OVER, " over exceeding \xC3\xBC"
                 "ber gut "},
    {CLAIM_UNDER, " nearly almost under knapp fast beinahe unter "},
    {CLAIM_ROWS, " rows entries records periods months weeks days items zeilen eintr\xC3\xA4ge "
                 "monate monaten wochen tage tagen "},
};

static void read_claims(struct cells_work *w)
{
    int clause = 0;
    for (size_t i = 0; i < w->words.count; i++) {
        char key[KNOWLEDGE_WORD_SIZE + 3];
        const struct knowledge_word *word = &w->words.items[i];
        snprintf(key, sizeof(key), " %s ", word->folded);
        for (size_t r = 0; r < COUNT_OF(claim_rows); r++) {
            w->claims[i] |= strstr(claim_rows[r].words, key) != NULL ? claim_rows[r].claims : 0;
        }
        size_t from = i > 0 ? w->words.items[i - 1].at + w->words.items[i - 1].len : word->at;
        for (size_t p = from; p < word->at; p++) {
            bool opening = clause == 0 && i <= 3 && w->in->text[p] == ','; /* "In total, ..." */
            if (!opening && strchr(",;:()", w->in->text[p]) != NULL) {
                clause++;
                break;
            }
        }
        bool joint = strcmp(word->folded, "and") == 0 || strcmp(word->folded, "while") == 0 ||
                     strcmp(word->folded, "but") == 0 || strcmp(word->folded, "und") == 0 ||
                     strcmp(word->folded, "aber") == 0;
        clause += joint;
        w->clause[i] = clause;
    }
}

/* ---- names of rows and columns ---- */

static bool same_phrase(const struct cells_work *w, const struct knowledge_words *p, size_t at)
{
    if (p->count == 0 || at + p->count > w->words.count) {
        return false;
    }
    for (size_t i = 0; i < p->count; i++) {
        const struct knowledge_word *a = &p->items[i], *b = &w->words.items[at + i];
        if (strcmp(a->folded, b->folded) != 0 &&
            (a->digit || b->digit || strcmp(a->stem, b->stem) != 0)) {
            return false;
        }
    }
    return true;
}

static void note(struct cells_work *w, struct cells_mention m)
{
    for (size_t i = 0; i < w->mention_count; i++) {
        struct cells_mention *o = &w->mentions[i];
        bool apart = o->at + o->len <= m.at || m.at + m.len <= o->at;
        if (!apart && o->len > m.len) {
            return;
        }
        if (!apart && o->len < m.len) {
            *o = w->mentions[--w->mention_count];
            i--;
        } else if (!apart && o->row == m.row && o->table == m.table) {
            return; /* two rows of one name: the first stands for both */
        }
    }
    if (w->mention_count < CELLS_MAX_MENTIONS) {
        w->mentions[w->mention_count++] = m;
    }
}

static void find_phrase(struct cells_work *w, const char *name, struct cells_mention m)
{
    char plain[160];
    if (name == NULL || name[0] == '\0' || strlen(name) >= sizeof(plain)) {
        return;
    }
    text_copy(plain, sizeof(plain), name);
    for (char *p = plain; *p != '\0' && !m.row; p++) {
        *p = *p == '_' ? ' ' : *p;
    }
    struct knowledge_words p;
    knowledge_words_init(&p, plain, strlen(plain), w->in->lang);
    for (size_t i = 0; i < w->words.count; i++) {
        if (same_phrase(w, &p, i)) {
            const struct knowledge_word *a = &w->words.items[i];
            const struct knowledge_word *b = &w->words.items[i + p.count - 1];
            m.at = a->at;
            m.len = b->at + b->len - a->at;
            note(w, m);
        }
    }
    knowledge_words_done(&p);
}

static void find_mentions(struct cells_work *w)
{
    for (size_t t = 0; t < w->in->table_count; t++) {
        const struct check_table *table = &w->in->tables[t];
        for (size_t c = 0; c < table->column_count; c++) {
            struct cells_mention m = {.table = (uint32_t)t, .index = (uint32_t)c};
            find_phrase(w, table->columns[c], m);
            find_phrase(w, table->titles != NULL ? table->titles[c] : NULL, m);
        }
        for (size_t r = 0; r < table->row_count && table->label_column < table->column_count; r++) {
            struct cells_mention m = {.table = (uint32_t)t, .index = (uint32_t)r, .row = true};
            find_phrase(w, table->cells[r * table->column_count + table->label_column], m);
        }
    }
}

/* ---- which row and column a number speaks of ---- */

enum mode { MODE_BEFORE, MODE_BEHIND, MODE_NEAREST, MODE_COUNT };

static size_t distinct(const struct cells_work *w, bool row, uint32_t table)
{
    size_t n = 0;
    for (size_t i = 0; i < w->mention_count; i++) {
        const struct cells_mention *m = &w->mentions[i];
        bool seen = m->row != row || m->table != table;
        for (size_t k = 0; k < i && !seen; k++) {
            seen = w->mentions[k].row == row && w->mentions[k].table == table &&
                   w->mentions[k].index == m->index;
        }
        n += !seen;
    }
    return n;
}

static const struct cells_mention *bound(const struct cells_work *w, const struct check_value *v,
                                         bool row, uint32_t table, enum mode mode)
{
    const struct cells_mention *best = NULL;
    size_t best_gap = SIZE_MAX;
    for (size_t i = 0; i < w->mention_count; i++) {
        const struct cells_mention *m = &w->mentions[i];
        bool before = m->at + m->len <= v->at;
        if (m->row != row || m->table != table || (mode == MODE_BEFORE && !before) ||
            (mode == MODE_BEHIND && before)) {
            continue;
        }
        size_t gap = before ? v->at - m->at - m->len : m->at - v->at - v->len;
        if (gap < best_gap) {
            best_gap = gap;
            best = m;
        }
    }
    return best;
}

static size_t word_of(const struct cells_work *w, size_t at)
{
    size_t i = 0;
    while (i < w->words.count && w->words.items[i].at + w->words.items[i].len <= at) {
        i++;
    }
    return i;
}

static unsigned claims_around(const struct cells_work *w, const struct check_value *v)
{
    unsigned near = CLAIM_ABOUT | CLAIM_OVER | CLAIM_UNDER | CLAIM_BASE, all = 0;
    size_t self = word_of(w, v->at);
    int mine = self < w->words.count ? w->clause[self] : 0;
    for (size_t i = 0; i < w->words.count; i++) {
        if (w->clause[i] == mine) {
            all |= w->claims[i] & ~near;
        }
    }
    for (size_t back = 1; back <= 3 && back <= self; back++) {
        const struct knowledge_word *b = &w->words.items[self - back];
        if (b->digit || strcmp(b->folded, "to") == 0 || strcmp(b->folded, "auf") == 0 ||
            strcmp(b->folded, "zu") == 0) {
            break;
        }
        all |= w->clause[self - back] == mine || back == 1 ? w->claims[self - back] & near : 0;
    }
    if (self + 1 < w->words.count && strcmp(w->words.items[self + 1].folded, "times") != 0 &&
        strcmp(w->words.items[self + 1].folded, "mal") != 0) {
        all &= ~(unsigned)CLAIM_TIMES;
    }
    if (self > 1 && strcmp(w->words.items[self - 1].folded, "than") == 0) {
        const char *more = w->words.items[self - 2].folded;
        unsigned bound = strcmp(more, "more") == 0   ? CLAIM_OVER
                         : strcmp(more, "less") == 0 ? CLAIM_UNDER
                         : strcmp(more, "fewer") == 0 ? CLAIM_UNDER
                                                      : 0;
        all = bound != 0 ? (all & ~(unsigned)CLAIM_BASE) | bound : all;
    }
    return all;
}

struct rows_named {
    uint32_t rows[CELLS_MAX_MENTIONS];
    size_t count;
};

static void named_rows(const struct cells_work *w, uint32_t table, struct rows_named *out)
{
    out->count = 0;
    for (size_t i = 0; i < w->mention_count; i++) {
        const struct cells_mention *m = &w->mentions[i];
        bool seen = !m->row || m->table != table;
        for (size_t k = 0; k < out->count && !seen; k++) {
            seen = out->rows[k] == m->index;
        }
        if (!seen) {
            out->rows[out->count++] = m->index;
        }
    }
}

static uint32_t scope_row(const struct check_cells *in, uint32_t table, size_t i)
{
    return table == in->table && i < in->row_count ? in->rows[i] : UINT32_MAX;
}

/* The row a number is of, and the one it is compared with. */
static bool bind_rows(const struct cells_work *w, const struct check_value *v, uint32_t table,
                      enum mode mode, const struct rows_named *named, struct cells_ask *ask)
{
    const struct check_cells *in = w->in;
    ask->row = scope_row(in, table, 0);
    ask->base = scope_row(in, table, 1);
    if (named->count == 0) {
        return true;
    }
    if (named->count == 1) {
        uint32_t only = named->rows[0];
        ask->base = only == ask->base ? UINT32_MAX : ask->base;
        if (only == scope_row(in, table, 1) && (ask->claims & CLAIM_BASE)) {
            ask->base = only; /* "from 1,204 in February" */
        } else {
            ask->row = only;
        }
        return true;
    }
    const struct cells_mention *m = bound(w, v, true, table, mode);
    if (m == NULL) {
        return false;
    }
    ask->row = m->index;
    ask->claims &= ~(unsigned)CLAIM_BASE; /* the row is named */
    ask->base = named->rows[0] == m->index ? named->rows[1] : named->rows[0];
    ask->rows = named->rows;
    ask->row_count = named->count;
    return true;
}

/* A difference or change between two named rows: the later named one against the other. The
   present row of the scope comes first where it is one of them. */
static void order_pair(const struct cells_work *w, uint32_t table, const struct rows_named *named,
                       struct cells_ask *ask)
{
    if (named->count != 2) {
        return;
    }
    uint32_t a = named->rows[0], b = named->rows[1], now = scope_row(w->in, table, 0);
    bool second = now == b || (now != a && b > a);
    ask->row = second ? b : a;
    ask->base = second ? a : b;
}

static bool explain_number(const struct cells_work *w, const struct check_value *v, uint32_t table,
                           uint32_t column, enum mode mode, struct check_trace *trace)
{
    struct rows_named named;
    struct cells_ask ask = {.v = v,
                            .claims = claims_around(w, v),
                            .table = &w->in->tables[table],
                            .table_index = table,
                            .column = column};
    named_rows(w, table, &named);
    if (!bind_rows(w, v, table, mode, &named, &ask)) {
        return false;
    }
    *trace = (struct check_trace){.at = v->at,
                                  .len = v->len,
                                  .row = UINT32_MAX,
                                  .to_row = UINT32_MAX,
                                  .to_column = UINT32_MAX};
    const struct cells_mention *other = bound(w, v, false, table, MODE_BEHIND);
    trace->to_column = other != NULL && other->index != column ? other->index : UINT32_MAX;
    trace->how = check_explain(&ask, trace);
    if (trace->how == CHECK_HOW_NONE && named.count == 2) {
        order_pair(w, table, &named, &ask);
        trace->how = check_explain(&ask, trace);
        trace->how = trace->how == CHECK_HOW_CELL ? CHECK_HOW_NONE : trace->how;
    }
    if (trace->how != CHECK_HOW_SHARE) {
        trace->to_column = UINT32_MAX;
    }
    return trace->how != CHECK_HOW_NONE;
}

static bool try_number(const struct cells_work *w, const struct check_value *v, enum mode mode,
                       struct check_trace *trace)
{
    const struct check_cells *in = w->in;
    bool named = false;
    for (uint32_t t = 0; t < in->table_count; t++) {
        size_t columns = distinct(w, false, t);
        named = named || columns > 0;
        const struct cells_mention *m = columns > 0
                                            ? bound(w, v, false, t,
                                                    columns == 1 ? MODE_NEAREST : mode)
                                            : NULL;
        if (m != NULL && explain_number(w, v, t, m->index, mode, trace)) {
            return true;
        }
    }
    for (size_t c = 0; c < in->column_count && !named; c++) {
        if (explain_number(w, v, (uint32_t)in->table, in->columns[c], mode, trace)) {
            return true;
        }
    }
    return false;
}

/* ---- the sentence ---- */

static bool in_mention(const struct cells_work *w, const struct check_value *v)
{
    for (size_t i = 0; i < w->mention_count; i++) {
        const struct cells_mention *m = &w->mentions[i];
        if (v->at >= m->at && v->at + v->len <= m->at + m->len) {
            return true;
        }
    }
    return false;
}

static bool is_given(const struct check_cells *in, const struct check_value *v)
{
    char word[80];
    if (v->len >= sizeof(word)) {
        return false;
    }
    memcpy(word, in->text + v->at, v->len);
    word[v->len] = '\0';
    for (size_t i = 0; i < in->given_count; i++) {
        if (in->given[i] != NULL &&
            check_find_word(in->given[i], strlen(in->given[i]), 0, word) != SIZE_MAX) {
            return true;
        }
    }
    return false;
}

static bool explain_all(const struct cells_work *w, const struct check_value *values, size_t n,
                        enum mode mode, struct check_trace *traces, size_t *bad)
{
    for (size_t i = 0; i < n; i++) {
        const struct check_value *v = &values[i];
        if (in_mention(w, v) || is_given(w->in, v)) {
            traces[i] = (struct check_trace){.at = v->at,
                                             .len = v->len,
                                             .how = CHECK_HOW_GIVEN,
                                             .table = UINT32_MAX,
                                             .row = UINT32_MAX,
                                             .column = UINT32_MAX,
                                             .to_row = UINT32_MAX,
                                             .to_column = UINT32_MAX,
                                             .value = v->number};
        } else if (v->kind > CHECK_VALUE_MONEY || !try_number(w, v, mode, &traces[i])) {
            *bad = i;
            return false;
        }
    }
    return true;
}

/* The column a clause's claim is about: its own, else the one of the sentence or the scope. */
static bool column_of_clause(const struct cells_work *w, int clause, uint32_t *table, uint32_t *col)
{
    const struct cells_mention *any = NULL, *own = NULL;
    for (size_t i = 0; i < w->mention_count; i++) {
        const struct cells_mention *m = &w->mentions[i];
        size_t word = word_of(w, m->at);
        if (!m->row) {
            any = any == NULL ? m : any;
            own = own == NULL && word < w->words.count && w->clause[word] == clause ? m : own;
        }
    }
    const struct cells_mention *m = own != NULL ? own : any;
    if (m == NULL && w->in->column_count == 0) {
        return false;
    }
    *table = m != NULL ? m->table : (uint32_t)w->in->table;
    *col = m != NULL ? m->index : w->in->columns[0];
    return true;
}

static bool claim_holds(const struct cells_work *w, size_t i)
{
    unsigned c = w->claims[i];
    struct rows_named named;
    struct cells_ask ask = {.row_count = 0};
    if (!column_of_clause(w, w->clause[i], &ask.table_index, &ask.column)) {
        return false;
    }
    ask.table = &w->in->tables[ask.table_index];
    named_rows(w, ask.table_index, &named);
    ask.row = named.count > 0 ? named.rows[0] : scope_row(w->in, ask.table_index, 0);
    ask.base = scope_row(w->in, ask.table_index, 1);
    if (c & (CLAIM_HIGHEST | CLAIM_LOWEST)) {
        for (size_t r = 0; r < named.count; r++) {
            if (check_is_extreme(&ask, named.rows[r], (c & CLAIM_HIGHEST) != 0)) {
                return true;
            }
        }
        return named.count == 0 && ask.row != UINT32_MAX &&
               check_is_extreme(&ask, ask.row, (c & CLAIM_HIGHEST) != 0);
    }
    order_pair(w, ask.table_index, &named, &ask);
    int d = check_direction(&ask);
    if (c & CLAIM_SAME) {
        return d == 0;
    }
    return d == ((c & CLAIM_UP) ? 1 : -1);
}

/* "rose", "highest", "unchanged" are claims even without a number. "more than 100" is a bound. */
static struct check_result claims_hold(const struct cells_work *w)
{
    for (size_t i = 0; i < w->words.count; i++) {
        const struct knowledge_word *word = &w->words.items[i];
        unsigned c = w->claims[i] &
                     (CLAIM_UP | CLAIM_DOWN | CLAIM_SAME | CLAIM_HIGHEST | CLAIM_LOWEST);
        struct check_value self = {.at = word->at, .len = word->len};
        bool bound = i + 2 < w->words.count &&
                     (strcmp(w->words.items[i + 1].folded, "than") == 0 ||
                      strcmp(w->words.items[i + 1].folded, "als") == 0) &&
                     w->words.items[i + 2].digit;
        if (c != 0 && !bound && !in_mention(w, &self) && !is_given(w->in, &self) &&
            !claim_holds(w, i)) {
            return check_wrong(CHECK_REASON_CELL, w->in->text, word->at, word->len);
        }
    }
    return check_passed();
}

static struct check_result run(struct cells_work *w, struct check_trace *out, size_t max,
                               size_t *count)
{
    const struct check_cells *in = w->in;
    struct check_value values[MAX_NUMBERS];
    struct check_trace traces[MAX_NUMBERS];
    unsigned kinds = CHECK_KEEP(CHECK_VALUE_NUMBER) | CHECK_KEEP(CHECK_VALUE_PERCENT) |
                     CHECK_KEEP(CHECK_VALUE_MONEY) | CHECK_KEEP(CHECK_VALUE_DATE) |
                     CHECK_KEEP(CHECK_VALUE_TIME) | CHECK_KEEP(CHECK_VALUE_ID);
    size_t n = check_find_values(in->text, in->len, in->lang, kinds, values, MAX_NUMBERS);
    if (n > MAX_NUMBERS) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    for (size_t i = 0; i < n; i++) { /* 12000 looks like an id, and is a number here */
        if (values[i].kind == CHECK_VALUE_ID && values[i].number > 0) {
            values[i].kind = CHECK_VALUE_NUMBER;
        }
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++) { /* "one" is an article as often as a number */
        bool word = !isdigit((unsigned char)in->text[values[i].at]) &&
                    in->text[values[i].at] != '-' && (unsigned char)in->text[values[i].at] < 0x80;
        if (!word || fabs(values[i].number - 1) > 1e-9) {
            values[k++] = values[i];
        }
    }
    n = k;
    size_t bad = 0, worst = 0;
    for (int mode = 0; mode < MODE_COUNT; mode++) {
        if (explain_all(w, values, n, (enum mode)mode, traces, &bad)) {
            *count = n;
            memcpy(out, traces, (n < max ? n : max) * sizeof(*out));
            return claims_hold(w);
        }
        worst = bad > worst ? bad : worst;
    }
    return check_wrong(CHECK_REASON_CELL, in->text, values[worst].at, values[worst].len);
}

struct check_result check_cells(const struct check_cells *in, struct check_trace *out, size_t max,
                                size_t *count)
{
    *count = 0;
    if (in->len > CHECK_MAX_REPLY || in->table >= in->table_count) {
        return check_missing(CHECK_REASON_LIMIT, "", 0);
    }
    AUTO_FREE struct cells_work *w = mem_alloc(sizeof(*w));
    w->in = in;
    knowledge_words_init(&w->words, in->text, in->len, in->lang);
    AUTO_FREE unsigned *claims = mem_alloc_array(w->words.count + 1, sizeof(*claims));
    AUTO_FREE int *clause = mem_alloc_array(w->words.count + 1, sizeof(*clause));
    w->claims = claims;
    w->clause = clause;
    read_claims(w);
    find_mentions(w);
    struct check_result r = run(w, out, max, count);
    knowledge_words_done(&w->words);
    return r;
}
