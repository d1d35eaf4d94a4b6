/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry: a Cookie header. What is read of it is made of cookie-octets and fits. */
#include "http/wire/wire.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char out[65];
    char *header = mem_dup_strn((const char *)data, size);
    if (wire_cookie_read(header, "inhouse_session", out, sizeof(out))) {
        size_t n = strlen(out);
        ASSERT(n > 0 && n < sizeof(out) && strpbrk(out, "; ,\"\\\t\r\n") == NULL);
        ASSERT(strstr(header, out) != NULL);
    } else {
        ASSERT(out[0] == '\0');
    }
    mem_free(header);
    return 0;
}
