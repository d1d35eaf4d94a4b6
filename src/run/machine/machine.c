/* SPDX-License-Identifier: Apache-2.0 */
/* Reading /proc and /sys. Threads: any. Limits: the header's. */
#include "run/machine/machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem/mem.h"
#include "base/text/text.h"

#define FILE_MAX 65536u
#define NVIDIA "0x10de"

/* The first 64 KiB; "" when it cannot be read. */
static void read_file(const char *root, const char *path, struct buf *b)
{
    char full[512], chunk[4096];
    buf_clear(b);
    (void)buf_add_str(b, "");
    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    for (ssize_t n; fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0;) {
        if (!buf_add(b, chunk, (size_t)n)) {
            break;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* The rest of the line after `key`, a colon and spaces. */
static bool take_line(const char *text, const char *key, char *out, size_t room)
{
    size_t n = strlen(key);
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, key, n) == 0) {
            const char *value = at + n + strspn(at + n, " \t:");
            char line[256];
            (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(value, "\n"), value);
            (void)text_copy(out, room, text_trim(line));
            return true;
        }
    }
    return false;
}

static int64_t kilobytes(const char *meminfo, const char *key)
{
    char value[64];
    return take_line(meminfo, key, value, sizeof(value)) ? strtoll(value, NULL, 10) * 1024 : 0;
}

/* "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB": makers' gigabytes are GiB here. */
static int64_t memory_in_name(const char *name)
{
    for (const char *at = strstr(name, "GB"); at != NULL; at = strstr(at + 2, "GB")) {
        const char *begin = at;
        begin -= begin > name && begin[-1] == ' ';
        while (begin > name && begin[-1] >= '0' && begin[-1] <= '9') {
            begin--;
        }
        long gb = strtol(begin, NULL, 10);
        if (gb > 0 && gb < 4096) {
            return (int64_t)gb << 30;
        }
    }
    return 0;
}

/* The PCI windows of a device, one a line: first address, last address, flags. The large one spans
   the memory where the firmware lets it; a window of 256 MiB says nothing. */
static int64_t memory_in_windows(const char *text)
{
    uint64_t most = 0;
    while (text != NULL && *text != '\0') {
        char *end = NULL;
        uint64_t first = strtoull(text, &end, 16);
        uint64_t last = strtoull(end, NULL, 16);
        most = last > first && last - first + 1 > most ? last - first + 1 : most;
        text = strchr(text, '\n');
        text = text == NULL ? NULL : text + 1;
    }
    return most >= UINT64_C(1) << 30 && most < UINT64_C(1) << 44 ? (int64_t)most : 0;
}

static bool is_display_of_nvidia(const char *root, const char *device, struct buf *b)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.16s/vendor", device);
    read_file(root, path, b);
    if (!text_starts_with(b->data, NVIDIA)) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.16s/class", device);
    read_file(root, path, b);
    return text_starts_with(b->data, "0x03"); /* display, and 3D controllers without one */
}

static void read_gpu(const char *root, const char *device, struct buf *b, struct machine_gpu *g)
{
    char path[128];
    *g = (struct machine_gpu){0};
    (void)text_copy(g->pci, sizeof(g->pci), device);
    (void)snprintf(path, sizeof(path), "/proc/driver/nvidia/gpus/%.16s/information", device);
    read_file(root, path, b);
    g->driver = take_line(b->data, "Model", g->name, sizeof(g->name));
    g->memory = memory_in_name(g->name);
    if (g->memory == 0) {
        (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.16s/resource", device);
        read_file(root, path, b);
        g->memory = memory_in_windows(b->data);
    }
}

static bool is_known(const struct machine *m, const char *device)
{
    for (int i = 0; i < m->n_gpus; i++) {
        if (strcmp(m->gpus[i].pci, device) == 0) {
            return true;
        }
    }
    return false;
}

/* Devices of a folder whose names are PCI places; in a container /sys may show none of them. */
static void read_gpus(const char *root, const char *folder, bool driver, struct buf *b,
                      struct machine *out)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s%s", root, folder);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) {
        if (strchr(e->d_name, ':') != NULL && strlen(e->d_name) < 16 &&
            out->n_gpus < MACHINE_GPUS_MAX && !is_known(out, e->d_name) &&
            (driver || is_display_of_nvidia(root, e->d_name, b))) {
            read_gpu(root, e->d_name, b, &out->gpus[out->n_gpus++]);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static int by_place(const void *a, const void *b)
{
    return strcmp(((const struct machine_gpu *)a)->pci, ((const struct machine_gpu *)b)->pci);
}

void machine_read(const char *root, struct machine *out)
{
    struct buf b;
    cpu_set_t cores;
    *out = (struct machine){.cores = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    if (sched_getaffinity(0, sizeof(cores), &cores) == 0) {
        out->cores = CPU_COUNT(&cores);
    }
    buf_init(&b, FILE_MAX);
    read_file(root, "/proc/cpuinfo", &b);
    if (!take_line(b.data, "model name", out->cpu, sizeof(out->cpu))) {
        (void)take_line(b.data, "CPU part", out->cpu, sizeof(out->cpu));
    }
    read_file(root, "/proc/meminfo", &b);
    out->memory = kilobytes(b.data, "MemTotal");
    out->available = kilobytes(b.data, "MemAvailable");
    read_gpus(root, "/proc/driver/nvidia/gpus", true, &b, out);
    read_gpus(root, "/sys/bus/pci/devices", false, &b, out);
    qsort(out->gpus, (size_t)out->n_gpus, sizeof(out->gpus[0]), by_place);
    buf_done(&b);
}

int64_t machine_fits(int64_t memory)
{
    double room = 0.9 * (double)memory - 1e9;
    return room > 0 ? (int64_t)(room / (0.61 * 1.15)) : 0;
}
