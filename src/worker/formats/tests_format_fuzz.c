/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: any bytes as a test report. */
#include "worker/formats/fuzz_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    formats_fuzz("tests", data, size);
    return 0;
}
