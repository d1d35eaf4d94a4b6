/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run/machine: what this machine has for models: processor, memory, NVIDIA devices; and how large a
 * model fits. Read from /proc and /sys; no driver library is linked, so it works where none is.
 * Owns: nothing. Threads: any; reads a few small files. Limits: MACHINE_GPUS_MAX devices, 64 KiB a
 * file; what cannot be read stays 0 or "".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MACHINE_GPUS_MAX 16

struct machine_gpu {
    char pci[16];   /* "0000:04:00.0" */
    char name[96];  /* as its driver says; "" without one */
    bool driver;    /* NVIDIA's driver holds it: the engine can use it */
    int64_t memory; /* bytes; 0: unknown. From its name ("80GB"), else its large PCI window */
};

struct machine {
    char cpu[96];
    int cores;         /* that this process may use */
    int64_t memory;    /* bytes of RAM */
    int64_t available; /* of those, what can be had without swapping */
    struct machine_gpu gpus[MACHINE_GPUS_MAX];
    int n_gpus;
};

/* root: "" for this machine; tests give a folder that holds proc/ and sys/. */
void machine_read(const char *root, struct machine *out);

/*
 * Parameters of the largest model that fits into so many bytes of memory at about 4.85 bits a
 * weight (Q4_K_M):
 *     (0.9 memory - 1 GB) / (0.61 x 1.15)
 * 0.61 bytes a parameter, 15 % for a cache of 4,096 tokens and scratch space, 1 GB for the engine
 * and its context, a tenth left free. 0 when nothing does.
 */
int64_t machine_fits(int64_t memory);
