/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/schema, formats: each is a pattern whose every string has the format; some strings of it are
 * left out (a leap second, a quoted mail address).
 * Owns: nothing. Threads: pure. Limits: none.
 */
#include "run/schema/schema_internal.h"

#include <string.h>

#define D31 "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
#define D30 "(0[469]|11)-(0[1-9]|[12][0-9]|30)"
#define D28 "02-(0[1-9]|1[0-9]|2[0-8])"
/* years 0001-9999; leap years end in a multiple of 4 that is not 00, or are multiples of 400 */
#define YEAR "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
#define LEAP                                                                                       \
    "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29"
#define DATE "(" YEAR "-(" D31 "|" D30 "|" D28 ")|" LEAP ")"
#define CLOCK "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?"
#define ZONE "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define NAME "[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
#define HOST NAME "(\\." NAME "){0,6}"
#define GROUP "[0-9A-Fa-f]{1,4}"

static const struct {
    const char *name;
    const char *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" CLOCK ZONE "$"},
    {"date-time", "^" DATE "T" CLOCK ZONE "$"},
    {"duration", "^P([0-9]{1,4}W|([0-9]{1,4}Y([0-9]{1,4}M([0-9]{1,4}D)?)?|[0-9]{1,4}M([0-9]{1,4}D)?"
                 "|[0-9]{1,4}D)(T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?"
                 "|[0-9]{1,4}S))?|T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|"
                 "[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S))$"},
    {"uuid", "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"},
    {"email", "^[A-Za-z0-9_+-]+(\\.[A-Za-z0-9_+-]+)*@" NAME "(\\." NAME "){1,4}$"},
    {"hostname", "^" HOST "$"},
    {"ipv4", "^" OCTET "(\\." OCTET "){3}$"},
    {"ipv6", "^(" GROUP "(:" GROUP "){7}|(" GROUP ":){1,6}(:" GROUP ")|::(" GROUP "(:" GROUP
             "){0,5})?)$"},
    {"uri", "^https?://" HOST "(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~-]+)*/?"
            "(\\?[A-Za-z0-9._~=&-]*)?(#[A-Za-z0-9._~-]*)?$"},
    {"json-pointer", "^(/([A-Za-z0-9_.-]|~0|~1)*)*$"},
};

const char *format_pattern(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (strcmp(name, formats[i].name) == 0) {
            return formats[i].pattern;
        }
    }
    return NULL;
}
