/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Check: claims are checked by code before a person sees them. Each check says yes, or no and why.
 *
 * check_support cuts a reply into sentences and asks of each: does one source sentence (or two
 * neighbours) say this? Numbers with their units, negation, can/must, opposites, names, menus,
 * links, conditions and content words each have to agree. It errs on the side of refusing: what it
 * refuses goes back to the composed draft, which is made of source sentences.
 *
 * The others are as strict: a number of a report must follow from its table's cells, a test's name
 * stand in the test report, a placeholder in the translation, a customer's id in the ticket. Each
 * is one function with its reason; docs/reference/check.md says what each can and cannot see.
 *
 * Owns: nothing. Threads: all functions may be called from any thread. Nothing blocks.
 * Limits: 64 KiB of text each, CHECK_MAX_CLAIMS sentences, CHECK_MAX_SOURCES source sentences,
 *   CHECK_MAX_VALUES values, tags or placeholders; what is beyond a limit counts as wrong (reason
 *   LIMIT), never as fine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "answer/knowledge/knowledge.h"

#define CHECK_MAX_CLAIMS 128
#define CHECK_MAX_SOURCES 512
#define CHECK_MAX_REPLY ((size_t)64 << 10)
#define CHECK_MAX_VALUES 512

enum check_verdict { CHECK_SUPPORTED, CHECK_FRAME, CHECK_UNSUPPORTED };

enum check_reason {
    CHECK_REASON_NONE,
    CHECK_REASON_NUMBER,    /* a number, amount, date or duration that no source says */
    CHECK_REASON_NEGATION,  /* the source says yes where the reply says no, or the other way */
    CHECK_REASON_MODALITY,  /* can / must exchanged */
    CHECK_REASON_OPPOSITE,  /* before / after, with / without, open / close ... */
    CHECK_REASON_NAME,      /* a name, product, code, month or weekday the source does not say */
    CHECK_REASON_MENU,      /* a menu path the source does not say */
    CHECK_REASON_LINK,      /* a link, host, e-mail address or telephone number */
    CHECK_REASON_CONDITION, /* a condition or limit of the source was dropped */
    CHECK_REASON_CONTENT,   /* a word of content that the source does not say */
    CHECK_REASON_NO_SOURCE, /* nothing in the sources is about this */
    CHECK_REASON_LIMIT,     /* over a limit */
    CHECK_REASON_LANGUAGE,
    CHECK_REASON_LENGTH,
    CHECK_REASON_INSTRUCTION, /* a summary that answers, or obeys the text it sums up */
    CHECK_REASON_CITATION,
    CHECK_REASON_CELL,        /* a number that no cell says and none of the sums gives */
    CHECK_REASON_TEST,        /* a test name, count or message that is not in the report */
    CHECK_REASON_SLOT,        /* a slot without a value, or a value of somebody else's case */
    CHECK_REASON_PLACEHOLDER, /* a placeholder lost, invented or altered */
    CHECK_REASON_PLURAL,      /* a plural form that the language needs, or one too many */
    CHECK_REASON_ICU,         /* an ICU message that does not parse, or takes other arguments */
    CHECK_REASON_MARKUP,      /* a tag or a Markdown link lost, invented, altered or badly nested */
    CHECK_REASON_GLOSSARY,    /* a term of the glossary missing, forbidden or translated */
    CHECK_REASON_SPACING,     /* white space, line ends, control characters, accelerator keys */
    CHECK_REASON_QUOTE,       /* quoted words were changed */
    CHECK_REASON_CODE,        /* code was changed */
    CHECK_REASON_COUNT
};

const char *check_reason_name(enum check_reason r); /* "number", "negation", ... */
/* One plain sentence for a reviewer, without the word at fault. */
const char *check_reason_text(enum check_reason r);

struct check_claim {
    uint32_t at; /* bytes in the reply */
    uint32_t len;
    enum check_verdict verdict;
    enum check_reason reason; /* NONE unless unsupported */
    char detail[80];          /* the word or number at fault, "" when none */
    int source;               /* nearest source sentence, -1 when none */
    double overlap;           /* share of the claim's content words it says, 0..1 */
};

struct check_support {
    const char *reply;
    size_t reply_len;
    enum knowledge_lang lang;
    const char *const *sources; /* one sentence each, in the order of their articles */
    size_t source_count;
    /* may be NULL; order numbers and the customer's name may come from it */
    const char *ticket;
    size_t ticket_len;
    /* the house's own sentences and names: greeting, opening, sign-off */
    const char *const *frame;
    size_t frame_count;
};

/* Writes one entry per sentence of the reply, at most max; *count is how many there are. True when
   every one is supported or frame, and at least one is supported. */
bool check_support(const struct check_support *in, struct check_claim *out, size_t max,
                   size_t *count);

/* One sentence against the sources, as check_support does it; no frame. */
void check_claim(const char *claim, size_t len, enum knowledge_lang lang,
                 const char *const *sources, size_t source_count, const char *ticket,
                 size_t ticket_len, struct check_claim *out);

struct check_result {
    bool ok;
    enum check_reason reason;
    char detail[80]; /* what is at fault: a word, a number, a placeholder; valid UTF-8 */
    uint32_t at;     /* its bytes in the checked text; len 0: something that is missing */
    uint32_t len;
};

/* A one-line summary of source: at most max_chars code points, one line, the source's language,
   no number, id, name or link that is not in the source, and not an answer to it. */
struct check_result check_summary(const char *summary, size_t len, const char *source,
                                  size_t source_len, size_t max_chars);
/* Each cited id is one of the allowed ones. */
struct check_result check_citation(const char *const *ids, size_t count, const char *const *allowed,
                                   size_t allowed_count);
/* Each link, host and e-mail address in text stands in one of the allowed texts as it is. */
struct check_result check_links(const char *text, size_t len, const char *const *allowed,
                                size_t allowed_count);

/* ---- values: what a text says that may not be changed ---- */

enum check_value_kind {
    CHECK_VALUE_NUMBER,
    CHECK_VALUE_PERCENT,
    CHECK_VALUE_MONEY,
    CHECK_VALUE_DATE, /* number: yyyymmdd; year or day 0 where it does not say */
    CHECK_VALUE_TIME, /* number: minutes of the day */
    CHECK_VALUE_ID,   /* letters with digits ("VM-410233"), or five digits and more */
    CHECK_VALUE_LINK,
    CHECK_VALUE_MAIL,
    CHECK_VALUE_PHONE,
    CHECK_VALUE_NAME,  /* capitals inside a sentence; in German only behind a title or in a row */
    CHECK_VALUE_QUOTE, /* between quotation marks, without them */
    CHECK_VALUE_CODE,  /* between back-ticks, without them; and fenced blocks */
    CHECK_VALUE_COUNT
};
struct check_value {
    uint32_t at, len; /* bytes */
    enum check_value_kind kind;
    double number;
    double step; /* what the last digit written counts: 0.1 of "3.5", 100000 of "1.2 million" */
};
#define CHECK_KEEP(kind) (1u << (kind))
#define CHECK_KEEP_ALL ((1u << CHECK_VALUE_COUNT) - 1)
/* Writes the values of the kinds asked for (CHECK_KEEP bits), in order, none inside another, at
   most max; returns how many there are. German numbers are written "1.234,5", English "1,234.5";
   a separator that can only be the other one is read as that. text is valid UTF-8. */
size_t check_find_values(const char *text, size_t len, enum knowledge_lang lang, unsigned kinds,
                         struct check_value *out, size_t max);
/* One number as a cell writes it ("1.234,5", "-3 %", "1e3", "(12)"); false when it is none. */
bool check_read_number(const char *text, enum knowledge_lang lang, struct check_value *out);
/* A rewrite says the same values as often, whatever their order: "3" is not "4", but "1,000" is
   "1000" and "three" is "3". Reasons NUMBER, LINK, NAME, QUOTE, CODE; at: in after, or len 0 when
   one of before is missing. */
struct check_result check_kept(const char *before, size_t before_len, const char *after,
                               size_t after_len, enum knowledge_lang lang, unsigned kinds);

/* ---- numbers of a sentence against tables ---- */

struct check_table {
    const char *name;
    const char *const *columns; /* as the source names them */
    const char *const *titles;  /* as sentences name them, or NULL; an entry may be NULL */
    size_t column_count;
    const char *const *cells; /* row by row, as the source wrote them; NULL or "" is empty */
    size_t row_count;
    size_t label_column;      /* names the rows; SIZE_MAX: no column does */
    enum knowledge_lang lang; /* how its numbers are written; OTHER: as English */
};
/* How a number follows from cells. */
enum check_how {
    CHECK_HOW_NONE,
    CHECK_HOW_CELL,
    CHECK_HOW_DIFFERENCE, /* |row - to_row| */
    CHECK_HOW_CHANGE,     /* (row - to_row) / |to_row| in percent */
    CHECK_HOW_SHARE,      /* of the column's sum, or of to_column, in percent */
    CHECK_HOW_RATIO,      /* row / to_row: "twice", "3.5 times" */
    CHECK_HOW_SUM,
    CHECK_HOW_MEAN,
    CHECK_HOW_MEDIAN,
    CHECK_HOW_MAX,
    CHECK_HOW_MIN,
    CHECK_HOW_COUNT, /* of rows */
    CHECK_HOW_GIVEN, /* stands in one of the given texts, in a row's or a column's name */
    CHECK_HOW_END
};
const char *check_how_name(enum check_how how); /* "cell", "difference", "change", ... */
struct check_trace {
    uint32_t at, len; /* of the sentence */
    enum check_how how;
    uint32_t table, row, column, to_row, to_column; /* UINT32_MAX where it has none */
    double value;                                   /* exact, before rounding */
};
struct check_cells {
    const char *text; /* one sentence, valid UTF-8 */
    size_t len;
    enum knowledge_lang lang;
    const struct check_table *tables;
    size_t table_count;
    /* What the sentence speaks of where it names no row or no column itself. rows[0] is the present
       one, rows[1] what it is compared with. */
    size_t table;
    const uint32_t *rows, *columns;
    size_t row_count, column_count;
    const char *const *given; /* texts whose numbers may stand as they are: period, threshold */
    size_t given_count;
};
/* Every number, and every word that claims a direction or a rank ("rose", "highest"), has to follow
   from the cells of the rows and columns that the sentence names (else those of the scope), rounded
   as it is written. Sums, means, shares and ranks count only where the sentence has a word for
   them; they go over the named rows, or all where fewer than two are named. One trace a number,
   at most max; *count is how many there are. A sentence that has no number and claims nothing
   passes with no traces. Reason CELL. */
struct check_result check_cells(const struct check_cells *in, struct check_trace *out, size_t max,
                                size_t *count);

/* ---- a sentence against a test report ---- */

enum check_outcome { CHECK_PASSED, CHECK_FAILED, CHECK_ERRORED, CHECK_SKIPPED };
#define CHECK_CHANGE_NEW 1u /* failing, not in the base run */
#define CHECK_CHANGE_FIXED 2u
#define CHECK_CHANGE_PERSISTENT 4u
#define CHECK_CHANGE_FLAKY 8u
#define CHECK_CHANGE_SLOWER 16u
struct check_test {
    const char *name;    /* as the report has it */
    const char *suite;   /* class, package or suite; NULL or "" when it has none */
    const char *file;    /* NULL or "" */
    const char *message; /* NULL or ""; all of its text: message and trace */
    enum check_outcome outcome;
    unsigned change; /* CHECK_CHANGE_* */
};
struct check_count {
    const char *words; /* what is counted, folded stems or words: "timeout timeouts" */
    int64_t value;
};
struct check_tests {
    const char *text; /* one sentence, valid UTF-8 */
    size_t len;
    enum knowledge_lang lang;
    const struct check_test *items;
    size_t item_count;
    const struct check_count *counts; /* beside those that the items give: groups, suites, ... */
    size_t count_count;
    const char *const *given; /* run names, dates, versions that may stand as they are */
    size_t given_count;
};
/* Words that look like code, words in back-ticks and words in quotation marks have to be a name, a
   suite, a file or a piece of a message of the report; a number has to be the count of the noun
   beside it (tests, passed, failed, errors, skipped, new, fixed, persistent, flaky, slower, and the
   caller's), or stand in a name or message that the sentence quotes, or in a given text; and a
   sentence that calls a named test failed, fixed, new, flaky ... has to be right. Reason TEST. */
struct check_result check_tests(const struct check_tests *in);

/* ---- drafts made from past replies ---- */

struct check_slots {
    const char *text; /* one sentence or a draft, valid UTF-8 */
    size_t len;
    enum knowledge_lang lang;
    const char *const *allowed; /* the present ticket, articles, the house's frame: entries may be
                                   NULL */
    size_t allowed_count;
    /* values of the past case (names, ids, places ...): never to be seen */
    const char *const *past;
    size_t past_count;
};
/* No slot is left open ("{name}", "[ORDER]", "____"), and each name, id, amount, date, link,
   address and number over 12 stands in an allowed text. A word of past passes only where an
   allowed text says it too. Reason SLOT. */
struct check_result check_slots(const struct check_slots *in);

/* ---- translations ---- */

#define CHECK_SYNTAX_PRINTF 1u   /* %s %1$d %-5.2lf %% */
#define CHECK_SYNTAX_PYTHON 2u   /* %(name)s */
#define CHECK_SYNTAX_BRACE 4u    /* {0} {name} {} {price:.2f}: Python, C#, Java, Rust */
#define CHECK_SYNTAX_I18NEXT 8u  /* {{x}} $t(key) */
#define CHECK_SYNTAX_QT 16u      /* %1 %L2 %n */
#define CHECK_SYNTAX_ICU 32u     /* {n, plural, one {# day} other {# days}}: check_icu */
#define CHECK_SYNTAX_SHELL 64u   /* ${name} $NAME #{name} */
#define CHECK_SYNTAX_MOZILLA 128u /* { $name } { -brand } &entity; %S #1 */
struct check_string {
    const char *source; /* valid UTF-8, as shown: escapes of the file format taken off */
    size_t source_len;
    const char *target;
    size_t target_len;
    const char *source_lang, *target_lang; /* "en", "de-AT", "pt_BR"; NULL: not known */
    unsigned syntax;    /* CHECK_SYNTAX_*; 0: what check_guess_syntax sees in the source */
    uint32_t max_chars; /* of the target, code points; 0: no limit */
    bool markdown;      /* links, images and code spans of Markdown count as markup too */
};
unsigned check_guess_syntax(const char *source, size_t len);
/* The same placeholders as often; positional ones may change places, unnumbered ones may not where
   their types differ. An ICU message's are check_icu's. Reason PLACEHOLDER. */
struct check_result check_placeholders(const struct check_string *s);
/* When the source is an ICU message: the target parses (libicu), has the same arguments of the same
   types, every selector of a select, and of a plural every category that the target language has,
   and no other. Reasons ICU, PLURAL. */
struct check_result check_icu(const struct check_string *s);
/* HTML, XML, XLIFF and Qt tags: the same as often, well nested where the source is, attributes that
   are no text unchanged; entities well formed; links of Markdown unchanged. Reason MARKUP. */
struct check_result check_markup(const struct check_string *s);
/* Not empty where the source is not, at most max_chars. Reason LENGTH. */
struct check_result check_length(const struct check_string *s);
/* White space at both ends, number of lines, tabs and control characters as in the source; as many
   accelerator keys (&File, _File: only where the source has one); no doubled blank that the source
   lacks. Reason SPACING. */
struct check_result check_spacing(const struct check_string *s);

enum check_term_kind {
    CHECK_TERM_MUST, /* where the source says source, the target says target */
    CHECK_TERM_NOT,  /* the target never says target (source "": whatever the source says) */
    CHECK_TERM_KEEP, /* where the source says source, the target says the very same */
};
struct check_term {
    enum check_term_kind kind;
    const char *source;
    const char *target; /* alternatives behind "|" */
    bool match_case;
};
/* Whole words, capitals aside unless match_case. Inflection: English by stem; German by stem and as
   the last or first part of a compound; in other languages that inflect (Slavic, Baltic, Finnic,
   Turkic, Romance ...) a word agrees when at least four letters and all but its last three do.
   KEEP is never inflected but for a final s of English. Reason GLOSSARY. */
struct check_result check_glossary(const struct check_string *s, const struct check_term *terms,
                                   size_t count);
/* All of them, in the order above: writes what is wrong, at most max; returns how many. */
size_t check_string(const struct check_string *s, const struct check_term *terms, size_t count,
                    struct check_result *out, size_t max);

struct check_plurals {
    const char *lang;             /* of the forms */
    const char *const *forms;     /* as shown */
    const char *const *names;     /* "one", "few", "other" (CLDR); NULL: gettext, forms 0..n-1 */
    size_t count;
    /* gettext: of the file's header; 0: as many as the language has */
    size_t nplurals;
    /* singular and plural of the source; plural NULL: same as source */
    const char *source, *plural;
    unsigned syntax;              /* as in check_string */
};
/* A form for every category of the language (CLDR, libicu) and none beyond; none empty; each with
   the placeholders of the source, where the number alone may be left out in a form that stands for
   one number only ("one" in German, "zero", "two"). *form (may be NULL) is the one at fault, or
   count when one is missing. Reasons PLURAL, PLACEHOLDER. */
struct check_result check_plurals(const struct check_plurals *p, size_t *form);
/* Writes the language's CLDR plural categories ("one", "few", ...; "other" last), at most 6;
   returns how many: {"other"} for a language that libicu does not know. The names are static. */
size_t check_plural_names(const char *lang, const char *out[6]);

/* ---- languages ---- */

struct check_language {
    char code[8];    /* "en", "de", "fr", ...; "und" when nothing can be said */
    double reliable; /* 0..1 */
};

/* Language of valid UTF-8 text (libcld2; English and German stop words where it is unsure). */
struct check_language check_language(const char *text, size_t len);
