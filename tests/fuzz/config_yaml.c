/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz entry: a YAML file, read as a tree and as inhouse.yaml. A failure always says why. */
#include "base/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_faults faults;
    struct config *c = NULL;
    if (config_read((const char *)data, size, "fuzz.yaml", &c, &faults) == FAIL_NONE) {
        ASSERT(faults.count == 0);
        config_unref(c);
    } else {
        ASSERT(faults.count > 0 && faults.list[0].message[0] != '\0');
    }
    return 0;
}
