/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iconv(3) for this program on ICU. glibc's own opens a module file per charset, which a sealed
 * process cannot; GMime converts headers with iconv. A program's symbol goes before libc's, so
 * every library here gets this one (POSIX.1-2017, iconv).
 * Owns: a converter pair per descriptor. Threads: one per descriptor. Limits: PIVOT characters
 * waiting.
 */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include <unicode/ucnv.h>

#include "worker/formats/formats_internal.h"

#define PIVOT 256

struct conversion {
    UConverter *from, *to;
    UChar pivot[PIVOT];
    UChar *source, *target;
};

void charset_own_iconv(void)
{
    /* Being linked is all: GMime's and GLib's calls end up below. */
}

/* "UTF-8//TRANSLIT": what follows the slashes is a wish. */
static UConverter *open_one(const char *name, UErrorCode *e)
{
    char plain[64];
    size_t n = strcspn(name, "/");
    if (n == 0 || n >= sizeof(plain)) {
        *e = U_FILE_ACCESS_ERROR;
        return NULL;
    }
    memcpy(plain, name, n);
    plain[n] = '\0';
    return ucnv_open(plain, e);
}

iconv_t iconv_open(const char *tocode, const char *fromcode)
{
    UErrorCode e = U_ZERO_ERROR;
    struct conversion *c = mem_alloc(sizeof(*c));
    c->from = open_one(fromcode, &e);
    c->to = open_one(tocode, &e);
    if (U_SUCCESS(e)) {
        ucnv_setToUCallBack(c->from, UCNV_TO_U_CALLBACK_STOP, NULL, NULL, NULL, &e);
        ucnv_setFromUCallBack(c->to, UCNV_FROM_U_CALLBACK_STOP, NULL, NULL, NULL, &e);
    }
    if (U_FAILURE(e)) {
        ucnv_close(c->from);
        ucnv_close(c->to);
        mem_free(c);
        errno = EINVAL;
        return (iconv_t)-1;
    }
    c->source = c->target = c->pivot;
    return (iconv_t)c;
}

static void start_anew(struct conversion *c)
{
    ucnv_reset(c->from);
    ucnv_reset(c->to);
    c->source = c->target = c->pivot;
}

/* Puts the input back to where the wrong bytes begin, as iconv leaves it. */
static void step_back(struct conversion *c, const char *start, const char **in)
{
    char bytes[32];
    int8_t n = sizeof(bytes);
    UErrorCode e = U_ZERO_ERROR;
    ucnv_getInvalidChars(c->from, bytes, &n, &e);
    if (U_SUCCESS(e) && n > 0) {
        *in = *in - start >= n ? *in - n : start;
    }
    start_anew(c);
}

size_t iconv(iconv_t cd, char **inbuf, size_t *inleft, char **outbuf, size_t *outleft)
{
    struct conversion *c = (struct conversion *)cd;
    static const char nothing[1] = "";
    bool flush = inbuf == NULL || *inbuf == NULL;
    if (flush && (outbuf == NULL || *outbuf == NULL)) {
        start_anew(c);
        return 0;
    }
    const char *start = flush ? nothing : *inbuf, *in = start;
    const char *end = flush ? nothing : start + *inleft;
    char *out = *outbuf;
    UErrorCode e = U_ZERO_ERROR;
    ucnv_convertEx(c->to, c->from, &out, out + *outleft, &in, end, c->pivot, &c->source, &c->target,
                   c->pivot + PIVOT, false, flush, &e);
    int problem = e == U_BUFFER_OVERFLOW_ERROR ? E2BIG
                  : e == U_TRUNCATED_CHAR_FOUND ? EINVAL
                  : U_FAILURE(e) ? EILSEQ
                                 : 0;
    if (problem == EILSEQ || problem == EINVAL) {
        step_back(c, start, &in);
    }
    *outleft -= (size_t)(out - *outbuf);
    *outbuf = out;
    if (!flush) {
        *inleft -= (size_t)(in - start);
        *inbuf += in - start;
    } else if (problem == 0) {
        start_anew(c);
    }
    errno = problem != 0 ? problem : errno;
    return problem != 0 ? (size_t)-1 : 0;
}

int iconv_close(iconv_t cd)
{
    struct conversion *c = (struct conversion *)cd;
    ucnv_close(c->from);
    ucnv_close(c->to);
    mem_free(c);
    return 0;
}
