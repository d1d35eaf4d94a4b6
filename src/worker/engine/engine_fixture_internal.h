/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of worker/engine on a real small model share: the model's file, the backend, asks,
 * running to the end. INHOUSE_MODELS names the folder of models, INHOUSE_FETCHED's models
 * otherwise.
 */
#pragma once

#include "worker/engine/engine.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FIXTURE_SKIPPED 77

/* -1 when it was not fetched, which is said: the test then exits with FIXTURE_SKIPPED. */
static inline int fixture_open_model(void)
{
    char path[4096];
    const char *models = getenv("INHOUSE_MODELS");
    const char *fetched = getenv("INHOUSE_FETCHED");
    (void)snprintf(path, sizeof path, "%s%s/smollm2-135m-instruct-q4_1.gguf",
                   models != NULL ? models : fetched != NULL ? fetched : "third_party/.fetched",
                   models != NULL ? "" : "/models");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        (void)printf("skipped: no model at %s (make setup fetches it)\n", path);
    }
    return fd;
}

/* Opens llama.cpp's backend of this build. */
static inline bool fixture_start(void)
{
    struct fault why = {0};
    const char *build = getenv("INHOUSE_BUILD");
    char dir[4096];
    (void)snprintf(dir, sizeof dir, "%s/lib/inhouse-engine", build == NULL ? "build" : build);
    bool started = engine_llama_start(dir, &why) == FAIL_NONE;
    if (!started) {
        (void)printf("%s\n", why.message);
    }
    return started;
}

static inline struct engine_ask *fixture_ask(uint64_t id, enum engine_job job, const char *domain)
{
    struct arena *arena = arena_new(4u << 20);
    struct engine_ask *ask = arena_alloc(arena, sizeof *ask);
    *ask = (struct engine_ask){.arena = arena, .id = id, .job = job};
    ask->domain = arena_dup_str(arena, domain);
    ask->generate.top_p = 1;
    ask->generate.max_tokens = 24;
    return ask;
}

static inline void fixture_submit(struct engine *engine, struct engine_ask *ask)
{
    struct fault why = {0};
    if (engine->ops->submit(engine, ask, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

/* Steps until there is nothing to do; returns how many it took. */
static inline int fixture_run(struct engine *engine, uint32_t lease_us)
{
    struct engine_step step;
    int steps = 0;
    for (; steps < 20000 && engine->ops->forecast(engine, &step); steps++) {
        engine->ops->step(engine, lease_us);
    }
    assert_false(engine->ops->forecast(engine, &step));
    return steps;
}
