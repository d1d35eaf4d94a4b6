/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse.yaml to struct config: every value goes through the one row of options.def that
   describes it. */
#include "base/config/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/text/text.h"

#define CONFIG_ARENA_BYTES (4u * 1024u * 1024u)

enum {
    CONFIG_OPTION_TYPE_int = CONFIG_TYPE_INT,
    CONFIG_OPTION_TYPE_bool = CONFIG_TYPE_BOOL,
    CONFIG_OPTION_TYPE_text = CONFIG_TYPE_TEXT,
    CONFIG_OPTION_TYPE_word = CONFIG_TYPE_WORD,
    CONFIG_OPTION_TYPE_money = CONFIG_TYPE_MONEY
};

static const struct config_option options[] = {
#define OPTION(type, member, path, def, min, max, unit, reload, help)                              \
    {path, (enum config_type)CONFIG_OPTION_TYPE_##type, def, min, max, unit, reload, help},
#include "base/config/options.def"
#undef OPTION
};

static const size_t offsets[] = {
#define OPTION(type, member, path, def, min, max, unit, reload, help)                              \
    offsetof(struct config, member),
#include "base/config/options.def"
#undef OPTION
};

size_t config_options(const struct config_option **list)
{
    *list = options;
    return COUNT_OF(options);
}

static void *slot(struct config *c, size_t i)
{
    return (char *)c + offsets[i];
}

/* ---- one value ---- */

static bool word_is_known(const char *words, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = words; n > 0 && (p = strstr(p, value)) != NULL; p += n) {
        if ((p == words || p[-1] == '|') && (p[n] == '|' || p[n] == '\0')) {
            return true;
        }
    }
    return false;
}

bool config_money_read(const char *s, int64_t *out)
{
    int64_t whole = 0;
    int64_t part = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9'; p++) {
        whole = whole * 10 + (*p - '0');
        if (whole > 1000000000) {
            return false;
        }
    }
    if (p == s) {
        return false;
    }
    if (*p == '.') {
        int64_t unit = 100000000;
        const char *first = ++p;
        for (; *p >= '0' && *p <= '9' && unit > 0; p++, unit /= 10) {
            part += (*p - '0') * unit;
        }
        if (p == first) {
            return false;
        }
    }
    *out = whole * 1000000000 + part;
    return *p == '\0';
}

/* Puts the value (text as written) into its member. False: *expected says what it must be. */
static bool put(struct config *c, size_t i, const char *value, char *expected, size_t room)
{
    const struct config_option *o = &options[i];
    switch (o->type) {
    case CONFIG_TYPE_INT: {
        int64_t v;
        if (!text_read_int(value, o->min, o->max, &v)) {
            (void)snprintf(expected, room, "a whole number from %" PRId64 " to %" PRId64 "%s%s",
                           o->min, o->max, o->unit[0] ? " " : "", o->unit);
            return false;
        }
        *(int64_t *)slot(c, i) = v;
        return true;
    }
    case CONFIG_TYPE_BOOL:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
            (void)snprintf(expected, room, "true or false");
            return false;
        }
        *(bool *)slot(c, i) = value[0] == 't';
        return true;
    case CONFIG_TYPE_MONEY: {
        int64_t v;
        if (!config_money_read(value, &v) || v > o->max) {
            (void)snprintf(expected, room, "an amount such as 0.30, at most nine decimals");
            return false;
        }
        *(int64_t *)slot(c, i) = v;
        return true;
    }
    case CONFIG_TYPE_WORD:
        if (!word_is_known(o->unit, value)) {
            (void)snprintf(expected, room, "one of %s", o->unit);
            return false;
        }
        break;
    case CONFIG_TYPE_TEXT:
        if (strlen(value) > (size_t)o->max) {
            (void)snprintf(expected, room, "text of at most %" PRId64 " bytes", o->max);
            return false;
        }
        break;
    }
    *(const char **)slot(c, i) = arena_dup_str(c->arena, value);
    return true;
}

/* os.environ/NAME becomes the value of NAME; NULL when it is unset. */
static const char *resolve(const char *value)
{
    if (!text_starts_with(value, CONFIG_ENV_PREFIX)) {
        return value;
    }
    return getenv(value + strlen(CONFIG_ENV_PREFIX));
}

bool config_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(address, "localhost") == 0) {
        return true;
    }
    if (inet_pton(AF_INET, address, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool check_address(const char *address, struct fault *why)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (config_is_loopback(address)) {
        return true;
    }
    if (inet_pton(AF_INET, address, &v4) != 1 && inet_pton(AF_INET6, address, &v6) != 1) {
        FAULT(why, FAIL_BAD_REQUEST, "\"listen.address\" must be an IP address or localhost");
    } else {
        FAULT(why, FAIL_BAD_REQUEST,
              "listen.address %s is reachable from outside this machine, and this server speaks no "
              "TLS yet",
              address);
    }
    fail_hint(why, "Listen on 127.0.0.1 and put a TLS proxy (nginx, caddy) in front.");
    fail_param(why, "listen.address");
    return false;
}

/* ---- the file ---- */

static const char *const outside_keys[] = {"litellm_settings", "router_settings",
                                           "general_settings", "environment_variables"};

static bool is_section(const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (strncmp(options[i].path, key, n) == 0 && options[i].path[n] == '.') {
            return true;
        }
    }
    return false;
}

void config_note(struct config *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (c->notes_len < CONFIG_MAX_NOTES) {
        c->notes[c->notes_len++] = arena_dup_str(c->arena, text);
    }
}

static void read_value(struct config *c, size_t i, const struct config_node *n,
                       struct config_faults *faults)
{
    const struct config_option *o = &options[i];
    if (n->kind == CONFIG_NULL) {
        return; /* written but left empty: the default */
    }
    if (n->text == NULL) {
        config_faults_add(faults, n->line, o->path, NULL, "\"%s\" must be a single value", o->path);
        return;
    }
    const char *value = resolve(n->text);
    if (value == NULL) {
        config_faults_add(faults, n->line, o->path, "Set it in the environment of the server.",
                          "\"%s\": the environment variable %s is not set", o->path,
                          n->text + strlen(CONFIG_ENV_PREFIX));
        return;
    }
    char expected[160];
    if (!put(c, i, value, expected, sizeof(expected))) {
        config_faults_add(faults, n->line, o->path, NULL, "\"%s\" must be %s", o->path, expected);
        return;
    }
    struct fault why;
    if (strcmp(o->path, "listen.address") == 0 && !check_address(c->listen_address, &why)) {
        config_faults_add(faults, n->line, o->path, why.hint, "%s", why.message);
    }
}

static void read_section(struct config *c, const char *section, const struct config_node *map,
                         struct config_faults *faults)
{
    if (map->kind == CONFIG_NULL) {
        return;
    }
    if (map->kind != CONFIG_MAP) {
        config_faults_add(faults, map->line, section, NULL,
                          "\"%s\" must be a map of keys and values", section);
        return;
    }
    for (size_t k = 0; k < map->count; k++) {
        char path[400];
        (void)snprintf(path, sizeof(path), "%s.%s", section, map->keys[k]);
        size_t i = 0;
        while (i < COUNT_OF(options) && strcmp(options[i].path, path) != 0) {
            i++;
        }
        if (i == COUNT_OF(options)) {
            config_faults_add(faults, map->items[k]->line, path,
                              "`inhouse doctor` and docs/reference/config.md list the options.",
                              "unknown option \"%.120s\"", path);
        } else {
            read_value(c, i, map->items[k], faults);
        }
    }
}

static void read_root(struct config *c, const struct config_node *root,
                      struct config_faults *faults)
{
    if (root->kind != CONFIG_MAP) {
        config_faults_add(faults, root->line, NULL, NULL, "the file must be a map of sections");
        return;
    }
    config_upstreams_read(c, root, faults);
    for (size_t k = 0; k < root->count; k++) {
        const char *key = root->keys[k];
        bool outside = false;
        for (size_t i = 0; i < COUNT_OF(outside_keys); i++) {
            outside = outside || strcmp(key, outside_keys[i]) == 0;
        }
        if (strcmp(key, "model_list") == 0 || strcmp(key, "upstreams") == 0 ||
            strcmp(key, "oidc") == 0 || strcmp(key, "ldap") == 0 || strcmp(key, "sources") == 0) {
            continue; /* upstreams.c, login.c, sources.c */
        }
        if (outside) {
            config_note(c, "line %d: section \"%s\" is LiteLLM's and is not used",
                        root->items[k]->line, key);
        } else if (is_section(key)) {
            read_section(c, key, root->items[k], faults);
        } else {
            config_faults_add(faults, root->items[k]->line, key,
                              "docs/reference/config.md lists the sections.",
                              "unknown section \"%.80s\"", key);
        }
    }
    config_login_read(c, root, faults);
    config_sources_read(c, root, faults);
}

static struct config *defaults(void)
{
    struct config *c = mem_alloc(sizeof(*c));
    c->arena = arena_new(CONFIG_ARENA_BYTES);
    c->refs = 1;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        char expected[160];
        ASSERT(put(c, i, options[i].def, expected, sizeof(expected)));
    }
    return c;
}

enum fail config_read(const char *text, size_t len, const char *name, struct config **out,
                      struct config_faults *faults)
{
    config_faults_init(faults, name);
    *out = NULL;
    struct config *c = defaults();
    if (text != NULL) {
        struct config_tree *tree;
        if (config_yaml_parse(text, len, name, &tree, faults) == FAIL_NONE) {
            read_root(c, config_tree_root(tree), faults);
            config_tree_free(tree);
        }
    }
    if (faults->count > 0) {
        config_unref(c);
        return FAIL_BAD_REQUEST;
    }
    *out = c;
    return FAIL_NONE;
}

enum fail config_load(const char *path, struct config **out, struct config_faults *faults)
{
    config_faults_init(faults, path);
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        config_faults_add(faults, 0, NULL, "Name a readable file with --config, or leave it out.",
                          "cannot read it: %s", fd < 0 ? strerror(errno) : "not a regular file");
        if (fd >= 0) {
            close(fd);
        }
        return FAIL_BAD_REQUEST;
    }
    struct buf text;
    buf_init(&text, CONFIG_MAX_BYTES + 1);
    char block[4096];
    ssize_t n;
    while ((n = read(fd, block, sizeof(block))) > 0 && buf_add(&text, block, (size_t)n)) {
    }
    close(fd);
    enum fail f = FAIL_BAD_REQUEST;
    if (n < 0 || text.overflow) {
        config_faults_add(faults, 0, NULL, NULL, "cannot read it: %s",
                          n < 0 ? strerror(errno) : "larger than 1 MiB");
    } else {
        f = config_read(text.data ? text.data : "", text.len, path, out, faults);
    }
    buf_done(&text);
    return f;
}

enum fail config_override(struct config *c, const char *path, const char *value, struct fault *why)
{
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (strcmp(options[i].path, path) == 0) {
            char expected[160];
            if (!put(c, i, value, expected, sizeof(expected))) {
                FAULT(why, FAIL_BAD_REQUEST, "\"%s\" must be %s", path, expected);
                return fail_param(why, path);
            }
            if (strcmp(path, "listen.address") == 0 && !check_address(c->listen_address, why)) {
                return FAIL_BAD_REQUEST;
            }
            return FAIL_NONE;
        }
    }
    FAULT(why, FAIL_UNKNOWN_PARAMETER, "unknown option \"%.120s\"", path);
    return fail_param(why, path);
}

static bool same(const struct config *a, const struct config *b, size_t i)
{
    const char *pa = (const char *)a + offsets[i];
    const char *pb = (const char *)b + offsets[i];
    switch (options[i].type) {
    case CONFIG_TYPE_BOOL:
        return *(const bool *)pa == *(const bool *)pb;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_MONEY:
        return memcmp(pa, pb, sizeof(int64_t)) == 0;
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_WORD:
        break;
    }
    return strcmp(*(const char *const *)pa, *(const char *const *)pb) == 0;
}

bool config_reload_check(const struct config *old, const struct config *fresh,
                         struct config_faults *faults)
{
    bool good = true;
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        if (!options[i].reload && !same(old, fresh, i)) {
            config_faults_add(faults, 0, options[i].path, "Restart the server to apply it.",
                              "\"%s\" cannot change while the server runs", options[i].path);
            good = false;
        }
    }
    if (!config_upstreams_same(old, fresh)) {
        config_faults_add(faults, 0, "upstreams", "Restart the server to apply it.",
                          "\"upstreams\" and \"model_list\" cannot change while the server runs");
        good = false;
    }
    if (!config_sources_same(old, fresh)) {
        config_faults_add(faults, 0, "sources", "Restart the server to apply it.",
                          "\"sources\" cannot change while the server runs");
        good = false;
    }
    if (!config_login_same(old, fresh)) {
        config_faults_add(faults, 0, "oidc", "Restart the server to apply it.",
                          "\"oidc\" and \"ldap\" cannot change while the server runs");
        good = false;
    }
    return good;
}

struct config *config_ref(struct config *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void config_unref(struct config *c)
{
    if (c != NULL && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        arena_free(c->arena);
        mem_free(c);
    }
}

void config_describe(struct buf *out)
{
    static const char *const types[] = {"number", "true or false", "text", "", "amount"};
    (void)buf_add_str(out,
                      "# inhouse.yaml\n\n"
                      "Made from `src/base/config/options.def`; do not edit. The file may be "
                      "missing: every option has a default.\n"
                      "`inhoused --check-config --config FILE` checks one. A value "
                      "`os.environ/NAME` is read from the environment.\n"
                      "An option marked *reload* is applied by SIGHUP; a change of another "
                      "one is refused by name until a restart.\n"
                      "Beside these options stand the lists `model_list` (LiteLLM's shape) and "
                      "`upstreams`: docs/reference/upstreams.md; `oidc` and `ldap`: "
                      "docs/reference/access.md; and `sources`: "
                      "docs/reference/standard-report.md.\n\n"
                      "| option | value | default | what it does |\n|---|---|---|---|\n");
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        const struct config_option *o = &options[i];
        (void)buf_printf(out, "| `%s` | ", o->path);
        if (o->type == CONFIG_TYPE_WORD) {
            for (const char *p = o->unit; *p != '\0'; p++) {
                if (*p == '|') {
                    (void)buf_add_str(out, ", ");
                } else {
                    (void)buf_add_char(out, *p);
                }
            }
        } else if (o->type == CONFIG_TYPE_INT) {
            (void)buf_printf(out, "%" PRId64 "-%" PRId64 "%s%s", o->min, o->max,
                             o->unit[0] ? " " : "", o->unit);
        } else {
            (void)buf_add_str(out, types[o->type]);
        }
        (void)buf_printf(out, " | %s%s%s | %s%s |\n", o->def[0] ? "`" : "", o->def,
                         o->def[0] ? "`" : "", o->help, o->reload ? " (*reload*)" : "");
    }
}
