/* SPDX-License-Identifier: Apache-2.0 */
/* Text in any charset to UTF-8, with ICU, whose tables lie in its library: no file is opened.
   Owns: the text it makes. Threads: one. Limits: CHARSET_MAX bytes a text. */
#include <ctype.h>
#include <string.h>

#include <unicode/ucnv.h>
#include <unicode/ucsdet.h>

#include "base/text/text.h"
#include "worker/formats/formats_internal.h"

#define CHARSET_MAX (512u << 20)
/* What is looked at to guess a charset; below this confidence (of 100) it is Western European. */
#define GUESS_BYTES 65536
#define CONFIDENCE_MIN 15
/* Fewer letters beyond ASCII than this do not tell one Latin set from another. */
#define HIGH_FEW 32

/* Names that mean a larger set in practice (as browsers read them, encoding.spec.whatwg.org). */
static const char *const wider[][2] = {{"iso-8859-1", "windows-1252"},
                                       {"latin1", "windows-1252"},
                                       {"iso8859-1", "windows-1252"},
                                       {"gb2312", "gb18030"},
                                       {"gbk", "gb18030"},
                                       {"ks_c_5601-1987", "windows-949"},
                                       {"euc-kr", "windows-949"},
                                       {"shift_jis", "windows-31j"},
                                       {"shift-jis", "windows-31j"},
                                       {"sjis", "windows-31j"},
                                       {"x-sjis", "windows-31j"},
                                       {"iso-8859-9", "windows-1254"},
                                       {"utf8", "utf-8"},
                                       {"ansi_x3.4-1968", "us-ascii"}};

/* A charset's name in lower case without quotes and spaces; false when it is no name. */
static bool tidy_name(const char *name, char out[64])
{
    size_t n = 0;
    for (; name != NULL && *name != '\0' && n < 63; name++) {
        if (isalnum((unsigned char)*name) || strchr("-_.:+", *name) != NULL) {
            out[n++] = (char)tolower((unsigned char)*name);
        } else if (strchr(" \t\"'", *name) == NULL) {
            return false;
        }
    }
    out[n] = '\0';
    for (size_t i = 0; i < COUNT_OF(wider); i++) {
        if (strcmp(out, wider[i][0]) == 0) {
            (void)text_copy(out, 64, wider[i][1]);
        }
    }
    return n > 0;
}

static bool is_ascii_name(const char *name)
{
    return strcmp(name, "us-ascii") == 0 || strcmp(name, "ascii") == 0 ||
           strcmp(name, "utf-8") == 0;
}

static void as_is(struct decoded *d, const char *text, size_t len, const char *charset)
{
    d->text = text;
    d->len = len;
    (void)text_copy(d->charset, sizeof(d->charset), charset);
}

static bool convert(struct decoded *d, const char *bytes, size_t len, const char *charset)
{
    UErrorCode e = U_ZERO_ERROR;
    UConverter *from = ucnv_open(charset, &e);
    if (U_FAILURE(e)) {
        return false;
    }
    int32_t need = ucnv_toAlgorithmic(UCNV_UTF8, from, NULL, 0, bytes, (int32_t)len, &e);
    bool ok = need >= 0 && (e == U_BUFFER_OVERFLOW_ERROR || U_SUCCESS(e));
    if (ok) {
        d->owned = mem_alloc((size_t)need + 1);
        e = U_ZERO_ERROR;
        ucnv_reset(from);
        (void)ucnv_toAlgorithmic(UCNV_UTF8, from, d->owned, need + 1, bytes, (int32_t)len, &e);
        as_is(d, d->owned, (size_t)need, charset);
    }
    ucnv_close(from);
    return ok;
}

/* The Latin sets differ in a few letters: what few letters say about that is noise, and Western
   European is what most texts are. */
static bool is_latin(const char *name)
{
    static const char *const sets[] = {"windows-1250", "windows-1252", "windows-1254",
                                       "ISO-8859-1",   "ISO-8859-2",   "ISO-8859-9"};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        if (strcmp(name, sets[i]) == 0) {
            return true;
        }
    }
    return false;
}

static size_t count_high(const char *bytes, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n < HIGH_FEW; i++) {
        n += (unsigned char)bytes[i] >= 0x80 ? 1 : 0;
    }
    return n;
}

static bool guess(const char *bytes, size_t len, char out[64])
{
    UErrorCode e = U_ZERO_ERROR;
    bool found = false;
    size_t look = len > GUESS_BYTES ? GUESS_BYTES : len;
    UCharsetDetector *detector = ucsdet_open(&e);
    ucsdet_setText(detector, bytes, (int32_t)look, &e);
    const UCharsetMatch *match = ucsdet_detect(detector, &e);
    if (U_SUCCESS(e) && match != NULL && ucsdet_getConfidence(match, &e) >= CONFIDENCE_MIN) {
        const char *name = ucsdet_getName(match, &e);
        bool few = is_latin(name) && count_high(bytes, look) < HIGH_FEW;
        found = tidy_name(few ? "windows-1252" : name, out);
    }
    ucsdet_close(detector);
    return found;
}

static const char *mark(const char *bytes, size_t len, size_t *skip)
{
    static const struct {
        const char *bytes, *charset;
        size_t len;
    } marks[] = {{"\xEF\xBB\xBF", "utf-8", 3},
                 {"\xFF\xFE\0\0", "utf-32le", 4},
                 {"\0\0\xFE\xFF", "utf-32be", 4},
                 {"\xFF\xFE", "utf-16le", 2},
                 {"\xFE\xFF", "utf-16be", 2}};
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        if (len >= marks[i].len && memcmp(bytes, marks[i].bytes, marks[i].len) == 0) {
            *skip = marks[i].len;
            return marks[i].charset;
        }
    }
    *skip = 0;
    return NULL;
}

/* Bytes that claim to be ASCII or UTF-8 are taken at their word only when they are. */
static bool decode_as(struct decoded *d, const char *bytes, size_t len, const char *name)
{
    char tidy[64];
    if (!tidy_name(name, tidy)) {
        return false;
    }
    if (is_ascii_name(tidy)) {
        bool valid = text_utf8_is_valid(bytes, len);
        if (valid) {
            as_is(d, bytes, len, "UTF-8");
        }
        return valid;
    }
    return convert(d, bytes, len, tidy);
}

enum fail charset_decode(struct sink *s, const char *bytes, size_t len, const char *asked,
                         const char *declared, struct decoded *out)
{
    char name[64];
    size_t skip;
    *out = (struct decoded){0};
    if (len > CHARSET_MAX) {
        return sink_fail(s, FAIL_TOO_LARGE, "Split the document.",
                         "a text of more than %u MiB", CHARSET_MAX >> 20);
    }
    const char *marked = mark(bytes, len, &skip);
    if (marked != NULL && strcmp(marked, "utf-8") == 0) {
        as_is(out, bytes, len, "UTF-8"); /* the mark is cleaned off later; offsets stay */
        return FAIL_NONE;
    }
    if ((asked != NULL && decode_as(out, bytes, len, asked)) ||
        (marked != NULL && convert(out, bytes + skip, len - skip, marked)) ||
        (declared != NULL && decode_as(out, bytes, len, declared))) {
        return FAIL_NONE;
    }
    if (text_utf8_is_valid(bytes, len)) {
        as_is(out, bytes, len, "UTF-8");
        return FAIL_NONE;
    }
    bool found = guess(bytes, len, name) && convert(out, bytes, len, name);
    if (!found && !convert(out, bytes, len, "windows-1252")) {
        as_is(out, bytes, len, "unknown");
    }
    sink_warn(s, "the charset is guessed: %.60s", out->charset);
    return FAIL_NONE;
}

void charset_done(struct decoded *d)
{
    mem_free(d->owned);
}
