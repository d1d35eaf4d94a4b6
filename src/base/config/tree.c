/* SPDX-License-Identifier: Apache-2.0 */
/* The list of faults, and typed reading of a tree's members: each says what was expected, and
   where. */
#include "base/config/config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text/text.h"

void config_faults_init(struct config_faults *faults, const char *name)
{
    memset(faults, 0, sizeof(*faults));
    (void)text_copy(faults->name, sizeof(faults->name), name);
}

void config_faults_add(struct config_faults *faults, int line, const char *param, const char *hint,
                       const char *fmt, ...)
{
    size_t i = faults->count++;
    if (i >= CONFIG_MAX_FAULTS) {
        return;
    }
    struct config_fault *f = &faults->list[i];
    memset(f, 0, sizeof(*f));
    f->line = line;
    char message[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    (void)text_copy(f->message, sizeof(f->message), message);
    (void)text_copy(f->hint, sizeof(f->hint), hint ? hint : "");
    (void)text_copy(f->param, sizeof(f->param), param ? param : "");
}

void config_faults_show(const struct config_faults *faults, struct buf *out)
{
    for (size_t i = 0; i < faults->count && i < CONFIG_MAX_FAULTS; i++) {
        const struct config_fault *f = &faults->list[i];
        (void)buf_add_str(out, faults->name);
        if (f->line > 0) {
            (void)buf_printf(out, " line %d", f->line);
        }
        (void)buf_printf(out, ": %s.%s%s\n", f->message, f->hint[0] ? " " : "", f->hint);
    }
    if (faults->count > CONFIG_MAX_FAULTS) {
        (void)buf_printf(out, "%s: and %zu more.\n", faults->name,
                         faults->count - CONFIG_MAX_FAULTS);
    }
}

enum fail config_faults_fault(const struct config_faults *faults, struct fault *why)
{
    if (faults->count == 0) {
        return FAIL_NONE;
    }
    const struct config_fault *f = &faults->list[0];
    char where[24] = "";
    if (f->line > 0) {
        (void)snprintf(where, sizeof(where), " line %d", f->line);
    }
    char others[40] = "";
    if (faults->count > 1) {
        (void)snprintf(others, sizeof(others), " (and %zu more errors)", faults->count - 1);
    }
    FAULT(why, FAIL_BAD_REQUEST, "%s%s: %s%s", faults->name, where, f->message, others);
    if (f->hint[0] != '\0') {
        fail_hint(why, "%s", f->hint);
    }
    if (f->param[0] != '\0') {
        fail_param(why, f->param);
    }
    return FAIL_BAD_REQUEST;
}

const struct config_node *config_node_find(const struct config_node *map, const char *key)
{
    if (map == NULL || map->kind != CONFIG_MAP) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i], key) == 0) {
            return map->items[i];
        }
    }
    return NULL;
}

/* The member, or NULL after saying that it is missing when it had to be there. */
static const struct config_node *member(const struct config_node *map, const char *key,
                                        bool required, struct config_faults *faults)
{
    const struct config_node *n = config_node_find(map, key);
    if (n != NULL && n->kind == CONFIG_NULL) {
        n = NULL;
    }
    if (n == NULL && required) {
        config_faults_add(faults, map ? map->line : 0, key, NULL, "\"%s\" is missing", key);
    }
    return n;
}

static bool wrong(const struct config_node *n, const char *key, struct config_faults *faults,
                  const char *expected)
{
    const char *hint = NULL;
    if (n->kind == CONFIG_INT || n->kind == CONFIG_REAL || n->kind == CONFIG_BOOL) {
        hint = "Quote it if it is meant as text.";
    }
    config_faults_add(faults, n->line, key, hint, "\"%s\" must be %s", key, expected);
    return false;
}

bool config_node_str(const struct config_node *map, const char *key, bool required, size_t max_len,
                     const char **out, struct config_faults *faults)
{
    const struct config_node *n = member(map, key, required, faults);
    if (n == NULL) {
        return false;
    }
    if (n->kind != CONFIG_STRING) {
        return wrong(n, key, faults, "text");
    }
    if (n->len > max_len) {
        config_faults_add(faults, n->line, key, NULL, "\"%s\" is longer than %zu bytes", key,
                          max_len);
        return false;
    }
    *out = n->text;
    return true;
}

bool config_node_int(const struct config_node *map, const char *key, bool required, int64_t min,
                     int64_t max, int64_t *out, struct config_faults *faults)
{
    const struct config_node *n = member(map, key, required, faults);
    if (n == NULL) {
        return false;
    }
    if (n->kind != CONFIG_INT || n->number < min || n->number > max) {
        config_faults_add(faults, n->line, key, NULL,
                          "\"%s\" must be a whole number from %" PRId64 " to %" PRId64, key, min,
                          max);
        return false;
    }
    *out = n->number;
    return true;
}

bool config_node_real(const struct config_node *map, const char *key, bool required, double min,
                      double max, double *out, struct config_faults *faults)
{
    const struct config_node *n = member(map, key, required, faults);
    if (n == NULL) {
        return false;
    }
    if ((n->kind != CONFIG_INT && n->kind != CONFIG_REAL) || n->real < min || n->real > max) {
        config_faults_add(faults, n->line, key, NULL, "\"%s\" must be a number from %g to %g", key,
                          min, max);
        return false;
    }
    *out = n->real;
    return true;
}

bool config_node_bool(const struct config_node *map, const char *key, bool required, bool *out,
                      struct config_faults *faults)
{
    const struct config_node *n = member(map, key, required, faults);
    if (n == NULL) {
        return false;
    }
    if (n->kind != CONFIG_BOOL) {
        config_faults_add(faults, n->line, key, NULL, "\"%s\" must be true or false", key);
        return false;
    }
    *out = n->number != 0;
    return true;
}

bool config_node_list(const struct config_node *map, const char *key, bool required,
                      size_t max_items, const struct config_node **out,
                      struct config_faults *faults)
{
    const struct config_node *n = member(map, key, required, faults);
    if (n == NULL) {
        return false;
    }
    if (n->kind != CONFIG_LIST) {
        return wrong(n, key, faults, "a list");
    }
    if (n->count > max_items) {
        config_faults_add(faults, n->line, key, NULL, "\"%s\" has more than %zu members", key,
                          max_items);
        return false;
    }
    *out = n;
    return true;
}

bool config_node_map(const struct config_node *map, const char *key, bool required,
                     const struct config_node **out, struct config_faults *faults)
{
    const struct config_node *n = member(map, key, required, faults);
    if (n == NULL) {
        return false;
    }
    if (n->kind != CONFIG_MAP) {
        return wrong(n, key, faults, "a map of keys and values");
    }
    *out = n;
    return true;
}

bool config_node_only(const struct config_node *map, const char *const *keys,
                      struct config_faults *faults)
{
    bool good = true;
    for (size_t i = 0; map != NULL && i < map->count && map->kind == CONFIG_MAP; i++) {
        bool known = false;
        for (const char *const *k = keys; *k != NULL && !known; k++) {
            known = strcmp(*k, map->keys[i]) == 0;
        }
        if (!known) {
            char hint[160] = "Known here:";
            for (const char *const *k = keys; *k != NULL; k++) {
                size_t used = strlen(hint);
                if (used + strlen(*k) + 3 >= sizeof(hint)) {
                    break;
                }
                (void)snprintf(hint + used, sizeof(hint) - used, "%s %s", k == keys ? "" : ",", *k);
            }
            config_faults_add(faults, map->items[i]->line, map->keys[i], hint,
                              "unknown key \"%.80s\"", map->keys[i]);
            good = false;
        }
    }
    return good;
}
