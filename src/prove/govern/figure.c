/* SPDX-License-Identifier: Apache-2.0 */
/* The figures that sentences name: counts over the listings, and single facts. */
#include "prove/govern/govern.h"

#include <stdio.h>
#include <string.h>

#include "base/text/text.h"

typedef bool (*test_fn)(const json_t *row);

static bool is_set(const json_t *row, const char *member)
{
    const json_t *v = json_object_get(row, member);
    return (json_is_string(v) && json_string_length(v) > 0) ||
           (json_is_integer(v) && json_integer_value(v) != 0) || json_is_true(v);
}

static bool live(const json_t *row)
{
    return !is_set(row, "revoked_at");
}

static bool revoked(const json_t *row)
{
    return is_set(row, "revoked_at");
}

static bool expiring(const json_t *row)
{
    return live(row) && is_set(row, "expires_at");
}

static bool unused(const json_t *row)
{
    return live(row) && !is_set(row, "last_use_at");
}

static bool reviewed(const json_t *row)
{
    return is_set(row, "review_at");
}

static bool granted(const json_t *row)
{
    return is_set(row, "ends_at");
}

static bool halted(const json_t *row)
{
    return is_set(row, "halted");
}

static bool outside(const json_t *row)
{
    return is_set(row, "outside");
}

static bool fresh(const json_t *row)
{
    return outside(row) && is_set(row, "fresh");
}

static const struct {
    const char *name, *list;
    test_fn test; /* NULL: every row */
} counted[] = {
    {"datasets", "datasets", NULL},
    {"datasets.reviewed", "datasets", reviewed},
    {"grants", "readers", granted},
    {"keys", "keys", live},
    {"keys.revoked", "keys", revoked},
    {"keys.expiring", "keys", expiring},
    {"keys.unused", "keys", unused},
    {"models", "models", NULL},
    {"workflows", "workflows", NULL},
    {"certificates", "certificates", NULL},
    {"upstreams", "upstreams", NULL},
    {"limits", "limits", NULL},
    {"halts", "limits", halted},
    {"left", "left", fresh},
    {"left.targets", "left", outside},
};

static void show_count(const json_t *list, test_fn test, char *out, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        n += test == NULL || test(json_array_get(list, i)) ? 1 : 0;
    }
    (void)snprintf(out, room, json_is_array(list) ? "%zu" : "?", n);
}

/* "records.KIND": how many of that kind. */
static void show_kind(const json_t *facts, const char *kind, char *out, size_t room)
{
    const json_t *list = json_object_get(facts, "counts");
    (void)text_copy(out, room, json_is_array(list) ? "0" : "?");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(row, "kind"));
        if (name != NULL && strcmp(name, kind) == 0) {
            (void)snprintf(out, room, "%lld",
                           (long long)json_integer_value(json_object_get(row, "n")));
        }
    }
}

static void join(const json_t *list, const char *member, char *out, size_t room)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(list) && len + 2 < room; i++) {
        const char *s = json_string_value(json_object_get(json_array_get(list, i), member));
        int n = snprintf(out + len, room - len, "%s%s", i > 0 ? ", " : "", s != NULL ? s : "");
        len += n > 0 ? (size_t)n : 0;
    }
    if (!json_is_array(list)) {
        (void)text_copy(out, room, "?");
    }
}

void govern_figure(const json_t *facts, const char *name, char *out, size_t room)
{
    for (size_t i = 0; i < COUNT_OF(counted); i++) {
        if (strcmp(name, counted[i].name) == 0) {
            show_count(json_object_get(facts, counted[i].list), counted[i].test, out, room);
            return;
        }
    }
    if (text_starts_with(name, "records.")) {
        show_kind(facts, name + strlen("records."), out, room);
    } else if (strcmp(name, "roles") == 0) {
        join(json_object_get(facts, "roles"), "role", out, room);
    } else if (strcmp(name, "kinds") == 0) {
        join(json_object_get(facts, "counts"), "kind", out, room);
    } else {
        const json_t *v = json_object_get(facts, name);
        (void)text_copy(out, room, "?");
        if (json_is_string(v)) {
            (void)text_copy(out, room, json_string_value(v));
        } else if (json_is_integer(v)) {
            (void)snprintf(out, room, "%lld", (long long)json_integer_value(v));
        }
    }
}
