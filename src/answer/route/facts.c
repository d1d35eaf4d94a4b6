/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of a request: their names, read from YAML or JSON, written as JSON. */
#include <stdio.h>
#include <string.h>

#include "answer/route/route_internal.h"

const struct route_number_info route_number_info[ROUTE_NUMBER_COUNT] = {
#define NUMBER(name, key, unit, min, max, help) {key, unit, min, max, help},
#include "answer/route/facts.def"
#undef NUMBER
};

static const char *const needs[] = {"tools", "long_context", "vision", "frontier"};
static const char *const roles[] = {"embed", "light", "heavy"};
static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

const char *route_need_name(unsigned need)
{
    return needs[need];
}

const char *route_role_name(unsigned role)
{
    return roles[role];
}

const char *route_day_name(unsigned day)
{
    return days[day];
}

bool route_minute_read(const char *s, int *minute)
{
    int64_t h = 0, m = 0;
    char hours[3] = {0};
    if (strlen(s) != 5 || s[2] != ':') {
        return false;
    }
    memcpy(hours, s, 2);
    if (!text_read_int(hours, 0, 24, &h) || !text_read_int(s + 3, 0, h == 24 ? 0 : 59, &m)) {
        return false;
    }
    *minute = (int)(h * 60 + m);
    return true;
}

unsigned route_need_find(const char *name)
{
    unsigned i = 0;
    while (i < ROUTE_NEED_COUNT && strcmp(needs[i], name) != 0) {
        i++;
    }
    return i;
}

void route_facts_init(struct route_facts *f)
{
    memset(f, 0, sizeof(*f));
    f->label = SECRECY_RESTRICTED;
    f->weekday = -1;
}

void route_facts_set(struct route_facts *f, enum route_number n, double value)
{
    f->number[n] = value;
    f->known |= 1u << n;
}

static bool knows(const struct route_facts *f, enum route_number n)
{
    return (f->known & (1u << n)) != 0;
}

void route_facts_complete(struct route_facts *f)
{
    if (knows(f, ROUTE_WAIT_S) && knows(f, ROUTE_DEADLINE_S) &&
        !knows(f, ROUTE_WAIT_OF_DEADLINE) && f->number[ROUTE_DEADLINE_S] > 0) {
        double here = f->number[ROUTE_WAIT_S];
        here += knows(f, ROUTE_SERVICE_S) ? f->number[ROUTE_SERVICE_S] : 0;
        route_facts_set(f, ROUTE_WAIT_OF_DEADLINE, here / f->number[ROUTE_DEADLINE_S]);
    }
}

/* ---- reading ---- */

static const char *const keys[] = {"label", "team",        "workflow", "stake",
                                   "needs", "local_roles", "at",
#define NUMBER(name, key, unit, min, max, help) key,
#include "answer/route/facts.def"
#undef NUMBER
                                   NULL};

unsigned route_bits_read(const struct config_node *node, const char *key,
                         const char *(*name_of)(unsigned), unsigned count,
                         struct config_faults *faults)
{
    unsigned bits = 0;
    bool list = node->kind == CONFIG_LIST;
    for (size_t i = 0; i < (list ? node->count : 1); i++) {
        const struct config_node *item = list ? node->items[i] : node;
        unsigned k = 0;
        while (item->kind == CONFIG_STRING && k < count && strcmp(name_of(k), item->text) != 0) {
            k++;
        }
        if (item->kind == CONFIG_STRING && k < count) {
            bits |= 1u << k;
            continue;
        }
        char words[120] = "";
        for (k = 0; k < count; k++) {
            size_t used = strlen(words);
            snprintf(words + used, sizeof(words) - used, "%s%s", k > 0 ? ", " : "", name_of(k));
        }
        config_faults_add(faults, item->line, key, NULL, "%s: \"%.40s\" is none of %s", key,
                          item->text != NULL ? item->text : "a list or map", words);
    }
    return bits;
}

static void read_name(const struct config_node *map, const char *key, char out[ROUTE_NAME_SIZE],
                      struct config_faults *faults)
{
    const char *s = NULL;
    if (config_node_str(map, key, false, ROUTE_NAME_SIZE - 1, &s, faults)) {
        text_copy(out, ROUTE_NAME_SIZE, s);
    }
}

static void read_bits(const struct config_node *map, const char *key,
                      const char *(*name_of)(unsigned), unsigned count, unsigned *out,
                      struct config_faults *faults)
{
    const struct config_node *node = config_node_find(map, key);
    if (node != NULL) {
        *out = route_bits_read(node, key, name_of, count, faults);
    }
}

static void read_label(const struct config_node *map, struct route_facts *f,
                       struct config_faults *faults)
{
    const char *s = NULL;
    if (!config_node_str(map, "label", false, 32, &s, faults)) {
        return;
    }
    enum secrecy label = secrecy_find(s);
    if (label == SECRECY_COUNT) {
        config_faults_add(faults, config_node_find(map, "label")->line, "label",
                          "Use public, internal, confidential or restricted.",
                          "label: there is no label \"%.40s\"", s);
        return;
    }
    f->label = label;
}

static void read_at(const struct config_node *map, struct route_facts *f,
                    struct config_faults *faults)
{
    const char *s = NULL;
    if (!config_node_str(map, "at", false, 16, &s, faults)) {
        return;
    }
    int minute = 0;
    int day = 0;
    while (day < 7 && strncmp(s, days[day], 3) != 0) {
        day++;
    }
    if (day == 7 || s[3] != ' ' || !route_minute_read(s + 4, &minute) || minute == 1440) {
        config_faults_add(faults, config_node_find(map, "at")->line, "at",
                          "Write a day and a time of report.timezone: \"mon 14:30\".",
                          "at: \"%.16s\" is no day and time", s);
        return;
    }
    f->weekday = day;
    f->minute = minute;
}

void route_facts_read(const struct config_node *map, struct route_facts *f,
                      struct config_faults *faults)
{
    if (map->kind != CONFIG_MAP) {
        config_faults_add(faults, map->line, "facts", NULL, "facts are a map");
        return;
    }
    config_node_only(map, keys, faults);
    read_label(map, f, faults);
    read_name(map, "team", f->team, faults);
    read_name(map, "workflow", f->workflow, faults);
    read_name(map, "stake", f->stake, faults);
    read_bits(map, "needs", route_need_name, ROUTE_NEED_COUNT, &f->needs, faults);
    read_bits(map, "local_roles", route_role_name, ROUTE_ROLE_COUNT, &f->roles, faults);
    read_at(map, f, faults);
    for (unsigned i = 0; i < ROUTE_NUMBER_COUNT; i++) {
        const struct route_number_info *info = &route_number_info[i];
        double v = 0;
        if (config_node_real(map, info->key, false, info->min, info->max, &v, faults)) {
            route_facts_set(f, (enum route_number)i, v);
        }
    }
}

enum fail route_facts_parse(const char *text, size_t len, const char *file, struct route_facts *f,
                            struct config_faults *faults, struct fault *why)
{
    struct config_tree *tree = NULL;
    config_faults_init(faults, file);
    if (len > ROUTE_MAX_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "%s is larger than %zu bytes", file, ROUTE_MAX_BYTES);
    }
    if (config_yaml_parse(text, len, file, &tree, faults) == FAIL_NONE) {
        route_facts_read(config_tree_root(tree), f, faults);
    }
    config_tree_free(tree);
    return config_faults_fault(faults, why);
}

/* ---- writing ---- */

static void put_bits(struct jn_writer *w, const char *key, unsigned bits,
                     const char *(*name_of)(unsigned), unsigned count)
{
    jn_key(w, key);
    jn_array_begin(w);
    for (unsigned i = 0; i < count; i++) {
        if ((bits & (1u << i)) != 0) {
            jn_put_str(w, name_of(i));
        }
    }
    jn_array_end(w);
}

void route_facts_put(struct jn_writer *w, const struct route_facts *f)
{
    jn_object_begin(w);
    jn_kv_str(w, "label", secrecy_name(f->label));
    if (f->team[0] != '\0') {
        jn_kv_str(w, "team", f->team);
    }
    if (f->workflow[0] != '\0') {
        jn_kv_str(w, "workflow", f->workflow);
    }
    if (f->stake[0] != '\0') {
        jn_kv_str(w, "stake", f->stake);
    }
    put_bits(w, "needs", f->needs, route_need_name, ROUTE_NEED_COUNT);
    put_bits(w, "local_roles", f->roles, route_role_name, ROUTE_ROLE_COUNT);
    if (f->weekday >= 0) {
        char at[24];
        snprintf(at, sizeof(at), "%s %02d:%02d", days[f->weekday], f->minute / 60, f->minute % 60);
        jn_kv_str(w, "at", at);
    }
    for (unsigned i = 0; i < ROUTE_NUMBER_COUNT; i++) {
        if (knows(f, (enum route_number)i)) {
            jn_kv_real(w, route_number_info[i].key, f->number[i], 6);
        }
    }
    jn_object_end(w);
}
