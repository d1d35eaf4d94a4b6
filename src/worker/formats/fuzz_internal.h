/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker/formats, for its fuzz targets: reads the input as one format and takes the frames as the
 * other side does. Whatever a document is, its frames are right, or an error is said.
 */
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void formats_fuzz(const char *format, const uint8_t *data, size_t size)
{
    static int frames = -1;
    static char chunk[65536];
    struct formats_ask ask = {.format = format,
                              .limits = {.text_bytes = 1 << 20, .attachment_bytes = 1 << 20,
                                         .blocks = 20000, .depth = 100, .parts = 200}};
    struct document *d = NULL;
    struct fault why = {0}, taken = {0};
    if (frames < 0) {
        formats_start();
        frames = memfd_create("frames", MFD_CLOEXEC);
    }
    ASSERT(ftruncate(frames, 0) == 0 && lseek(frames, 0, SEEK_SET) == 0);
    document_limits_fill(&ask.limits);
    ask.out = frames;
    enum fail f = formats_read(data, size, &ask, &why);
    struct document_taker *t = document_taker_new(&ask.limits);
    ASSERT(lseek(frames, 0, SEEK_SET) == 0);
    enum fail g = FAIL_NONE;
    for (ssize_t n; g == FAIL_NONE && (n = read(frames, chunk, sizeof(chunk))) > 0;) {
        g = document_taker_feed(t, chunk, (size_t)n, &taken);
    }
    g = g == FAIL_NONE ? document_taker_end(t, &d, &taken) : g;
    ASSERT(f == g && (f == FAIL_NONE) == (d != NULL));
    ASSERT(f == FAIL_NONE || strcmp(why.message, taken.message) == 0);
    document_free(d);
    document_taker_free(t);
}
