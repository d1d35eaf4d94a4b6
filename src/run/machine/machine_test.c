/* SPDX-License-Identifier: Apache-2.0 */
/* run/machine on made-up machines: a folder with proc/ and sys/. Threads: one. */
#include "run/machine/machine.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static void put(const char *path, const char *text)
{
    char full[256];
    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        (void)mkdir(full, 0700);
        *p = '/';
    }
    int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int make_root(void **state)
{
    (void)state;
    (void)snprintf(root, sizeof(root), "/tmp/inhouse-machine-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int drop_root(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void a_machine_without_a_gpu(void **state)
{
    (void)state;
    struct machine m;
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Example CPU 3000\nflags\t\t: avx2\n");
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree: 1 kB\n"
                         "MemAvailable:    8000000 kB\n");
    put("/sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n");
    put("/sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n");
    machine_read(root, &m);
    assert_string_equal(m.cpu, "Example CPU 3000");
    assert_true(m.cores >= 1);
    assert_true(m.memory == INT64_C(16000000) * 1024);
    assert_true(m.available == INT64_C(8000000) * 1024);
    assert_int_equal(m.n_gpus, 0);
}

static void devices_with_and_without_their_driver(void **state)
{
    (void)state;
    struct machine m;
    put("/proc/driver/nvidia/gpus/0000:04:00.0/information",
        "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 55\nDevice Minor: \t 0\n");
    put("/proc/driver/nvidia/gpus/0000:05:00.0/information", "Model: \t\t NVIDIA RTX 4090\n");
    put("/sys/bus/pci/devices/0000:04:00.0/vendor", "0x10de\n");
    put("/sys/bus/pci/devices/0000:04:00.0/class", "0x030200\n");
    put("/sys/bus/pci/devices/0000:05:00.0/vendor", "0x10de\n");
    put("/sys/bus/pci/devices/0000:05:00.0/class", "0x030000\n");
    put("/sys/bus/pci/devices/0000:05:00.0/resource",
        "0x00000000fb000000 0x00000000fbffffff 0x0000000000040200\n"
        "0x0000006000000000 0x00000067ffffffff 0x000000000014220c\n");
    put("/sys/bus/pci/devices/0000:05:00.1/vendor", "0x10de\n"); /* its sound */
    put("/sys/bus/pci/devices/0000:05:00.1/class", "0x040300\n");
    put("/sys/bus/pci/devices/0000:06:00.0/vendor", "0x10de\n"); /* no driver, a small window */
    put("/sys/bus/pci/devices/0000:06:00.0/class", "0x030000\n");
    put("/sys/bus/pci/devices/0000:06:00.0/resource",
        "0x00000000d0000000 0x00000000dfffffff 0x000000000014220c\n");
    machine_read(root, &m);
    assert_int_equal(m.n_gpus, 3);
    assert_string_equal(m.gpus[0].name, "NVIDIA H100 80GB HBM3");
    assert_true(m.gpus[0].driver && m.gpus[0].memory == INT64_C(80) << 30);
    assert_string_equal(m.gpus[1].name, "NVIDIA RTX 4090");
    assert_true(m.gpus[1].memory == INT64_C(32) << 30);
    assert_false(m.gpus[2].driver);
    assert_true(m.gpus[2].memory == 0);
}

static void what_cannot_be_read_is_unknown(void **state)
{
    (void)state;
    struct machine m;
    machine_read("/nonexistent", &m);
    assert_string_equal(m.cpu, "");
    assert_true(m.memory == 0 && m.n_gpus == 0);
}

static void the_size_that_fits_is_the_formula(void **state)
{
    (void)state;
    assert_true(machine_fits(0) == 0);
    assert_true(machine_fits(1000000000) == 0);
    /* 24 GB: (21.6 - 1) / 0.7015 = 29 billion parameters */
    assert_int_equal(machine_fits(INT64_C(24000000000)) / 1000000000, 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_without_a_gpu),
        cmocka_unit_test(devices_with_and_without_their_driver),
        cmocka_unit_test(what_cannot_be_read_is_unknown),
        cmocka_unit_test(the_size_that_fits_is_the_formula),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
