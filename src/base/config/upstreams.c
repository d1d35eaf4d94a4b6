/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other servers: the list `upstreams` (ours, strict: what is wrong is an error) and `model_list`
 * (LiteLLM's shape, taken as people have it: what cannot be served is a note). A model_list entry
 * belongs to the upstream it names, or to the one with its api_base, or makes one of its own.
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/config_internal.h"
#include "base/text/text.h"

#define PER_MILLION_NANO 1e15 /* one currency unit a token, as nano-units a million tokens */

/* ---- addresses ---- */

struct known_range {
    const char *address;
    int bits;
};

/* What `allow` may hold: addresses that lead nowhere outside. Link-local ones are left out: cloud
   metadata services answer there. */
static const struct known_range inside[] = {{"10.0.0.0", 8},     {"172.16.0.0", 12},
                                            {"192.168.0.0", 16}, {"100.64.0.0", 10},
                                            {"127.0.0.0", 8},    {"fc00::", 7},
                                            {"::1", 128}};

static bool read_address(const char *s, uint8_t out[16], bool *v4)
{
    struct in_addr a;
    *v4 = inet_pton(AF_INET, s, &a) == 1;
    if (*v4) {
        memset(out, 0, 10);
        out[10] = out[11] = 0xff;
        memcpy(out + 12, &a, 4);
        return true;
    }
    return inet_pton(AF_INET6, s, out) == 1;
}

static bool has_prefix(const uint8_t a[16], const uint8_t b[16], int bits)
{
    int whole = bits / 8;
    int rest = bits % 8;
    return memcmp(a, b, (size_t)whole) == 0 &&
           (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

static bool read_range(const char *text, struct config_range *out)
{
    char address[64];
    int64_t bits = -1;
    bool v4;
    const char *slash = strchr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (n >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, n);
    address[n] = '\0';
    if (!read_address(address, out->address, &v4) ||
        (slash != NULL && !text_read_int(slash + 1, 0, v4 ? 32 : 128, &bits))) {
        return false;
    }
    out->bits = (int)(slash == NULL ? 128 : v4 ? bits + 96 : bits);
    return true;
}

static bool is_inside(const struct config_range *r)
{
    for (size_t i = 0; i < COUNT_OF(inside); i++) {
        uint8_t a[16];
        bool v4;
        int bits = inside[i].bits + (read_address(inside[i].address, a, &v4) && v4 ? 96 : 0);
        if (r->bits >= bits && has_prefix(r->address, a, bits)) {
            return true;
        }
    }
    return false;
}

static void read_allowed(struct config_upstream *u, const struct config_node *row,
                         struct config_faults *faults)
{
    const struct config_node *list = NULL;
    if (!config_node_list(row, "allow", false, CONFIG_MAX_ALLOWED, &list, faults)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct config_node *n = list->items[i];
        struct config_range *r = &u->allow[u->allow_len];
        if (n->text == NULL || !read_range(n->text, r)) {
            config_faults_add(faults, n->line, "upstreams.allow", "Write 10.1.0.0/16 or fd00::/8.",
                              "a member of \"allow\" is no range of addresses");
        } else if (!is_inside(r)) {
            config_faults_add(faults, n->line, "upstreams.allow",
                              "Only private and loopback ranges can be allowed; public addresses "
                              "need no permission, and metadata services never get one.",
                              "the range %.60s is not wholly private", n->text);
        } else {
            u->allow_len++;
        }
    }
}

/* ---- one upstream ---- */

/* https://host[:port][/path], nothing else: no user, query or fragment. */
static const char *check_base(const char *base, bool *loopback, bool *plain)
{
    const char *p = base;
    *plain = text_starts_with(base, "http://");
    if (!*plain && !text_starts_with(base, "https://")) {
        return "must begin with https:// (or http:// in the house)";
    }
    p += *plain ? 7 : 8;
    char host[256];
    size_t n = strcspn(p, "/");
    if (n == 0 || n >= sizeof(host) || strlen(base) > 500) {
        return "has no host";
    }
    memcpy(host, p, n);
    host[n] = '\0';
    for (const char *c = base; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 127 || strchr("@?#\\\"'<>%", *c)) {
            return "may hold a scheme, a host, a port and a path only";
        }
    }
    char *port = host[0] == '[' ? strchr(host, ']') : strchr(host, ':');
    int64_t number;
    if (host[0] == '[') {
        if (port == NULL || (port[1] != '\0' && port[1] != ':')) {
            return "has no good host";
        }
        *port++ = '\0';
        port = *port == ':' ? port : NULL;
    }
    if (port != NULL) {
        *port = '\0';
        if (!text_read_int(port + 1, 1, 65535, &number)) {
            return "has no good port";
        }
    }
    *loopback = config_is_loopback(host[0] == '[' ? host + 1 : host);
    return NULL;
}

/* Without slashes at the end; Anthropic's without /v1, Ollama's own with it. */
static const char *tidy_base(struct config *c, const char *base, enum config_dialect dialect,
                             bool ollama)
{
    char *s = arena_dup_str(c->arena, base);
    size_t n = strlen(s);
    while (n > 0 && s[n - 1] == '/') {
        s[--n] = '\0';
    }
    if (dialect == CONFIG_ANTHROPIC && text_ends_with(s, "/v1")) {
        s[n - 3] = '\0';
    }
    if (ollama && !text_ends_with(s, "/v1")) {
        s = arena_printf(c->arena, "%s/v1", s);
    }
    return s;
}

static void set_defaults(struct config_upstream *u)
{
    *u = (struct config_upstream){.key = "",
                                  .ca_file = "",
                                  .budget = -1,
                                  .retries = 2,
                                  .connect_ms = 5000,
                                  .timeout_ms = 60000,
                                  .breaker_failures = 5,
                                  .breaker_open_ms = 30000};
}

static bool is_no_key(const char *key)
{
    static const char *const words[] = {"", "none", "None", "EMPTY", "not-needed"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_reference(const char *key)
{
    return text_starts_with(key, CONFIG_ENV_PREFIX) || text_starts_with(key, "file:/");
}

static void read_budget(struct config_upstream *u, const struct config_node *row,
                        struct config_faults *faults)
{
    static const char *const keys[] = {"amount", "per", NULL};
    const struct config_node *map = NULL;
    const char *per = "month";
    if (!config_node_map(row, "budget", false, &map, faults)) {
        return;
    }
    (void)config_node_only(map, keys, faults);
    const struct config_node *amount = config_node_find(map, "amount");
    if (amount == NULL || amount->text == NULL || !config_money_read(amount->text, &u->budget)) {
        config_faults_add(faults, map->line, "upstreams.budget", NULL,
                          "\"budget\" needs an \"amount\" such as \"25.00\"");
    }
    (void)config_node_str(map, "per", false, 8, &per, faults);
    u->budget_daily = strcmp(per, "day") == 0;
    if (!u->budget_daily && strcmp(per, "month") != 0) {
        config_faults_add(faults, map->line, "upstreams.budget", NULL,
                          "\"per\" must be day or month");
    }
}

static void check_upstream(const struct config *c, const struct config_upstream *u,
                           struct config_faults *faults)
{
    bool loopback = false;
    bool plain = false;
    const char *wrong = check_base(u->base, &loopback, &plain);
    if (wrong != NULL) {
        config_faults_add(faults, u->line, "upstreams.base", NULL, "\"base\" of \"%s\" %s", u->name,
                          wrong);
    } else if (plain && !u->on_prem && !loopback) {
        config_faults_add(faults, u->line, "upstreams.base",
                          "Use https, or declare `on_prem: true` with the range it lies in.",
                          "\"base\" of \"%s\" is not encrypted", u->name);
    }
    if (u->on_prem && u->allow_len == 0) {
        config_faults_add(faults, u->line, "upstreams.allow",
                          "Write the range of its address: `allow: [10.1.2.0/24]`.",
                          "\"%s\" is on_prem and says no range in \"allow\"", u->name);
    }
    if (u->restricted && !u->on_prem) {
        config_faults_add(faults, u->line, "upstreams.restricted",
                          "Only a server in the house may hold it: declare on_prem and allow.",
                          "\"%s\" may hold restricted text and is not on_prem", u->name);
    }
    if (u->key[0] != '\0' && !is_reference(u->key)) {
        config_faults_add(faults, u->line, "upstreams.key",
                          "Write os.environ/NAME, or file:/path of a file with mode 0600.",
                          "the key of \"%s\" is written out", u->name);
    }
    if (!text_is_name(u->name)) {
        config_faults_add(faults, u->line, "upstreams.name", NULL,
                          "the name of an upstream must be small letters, digits, . _ -");
    }
    for (size_t i = 0; i < c->upstreams_len; i++) {
        if (strcmp(c->upstreams[i].name, u->name) == 0) {
            config_faults_add(faults, u->line, "upstreams.name", NULL,
                              "there are two upstreams \"%s\"", u->name);
        }
    }
}

static void read_upstream(struct config *c, const struct config_node *row,
                          struct config_faults *faults)
{
    static const char *const keys[] = {"name",    "kind",       "base",          "key",
                                       "ca_file", "on_prem",    "allow",         "budget",
                                       "retries", "connect_ms", "timeout_ms",    "breaker_failures",
                                       "breaker_open_ms",       "plain_sampling", "restricted",
                                       NULL};
    if (row->kind != CONFIG_MAP) {
        config_faults_add(faults, row->line, "upstreams", NULL,
                          "a member of upstreams must be a map");
        return;
    }
    struct config_upstream u;
    const char *name = NULL;
    const char *kind = "openai";
    const char *base = NULL;
    set_defaults(&u);
    u.line = row->line;
    bool good = config_node_only(row, keys, faults);
    good = config_node_str(row, "name", true, 64, &name, faults) && good;
    good = config_node_str(row, "base", true, 500, &base, faults) && good;
    (void)config_node_str(row, "kind", false, 16, &kind, faults);
    (void)config_node_str(row, "key", false, 1024, &u.key, faults);
    (void)config_node_str(row, "ca_file", false, 1024, &u.ca_file, faults);
    (void)config_node_bool(row, "on_prem", false, &u.on_prem, faults);
    (void)config_node_bool(row, "restricted", false, &u.restricted, faults);
    (void)config_node_bool(row, "plain_sampling", false, &u.plain_sampling, faults);
    (void)config_node_int(row, "retries", false, 0, 7, &u.retries, faults);
    (void)config_node_int(row, "connect_ms", false, 50, 60000, &u.connect_ms, faults);
    (void)config_node_int(row, "timeout_ms", false, 100, 3600000, &u.timeout_ms, faults);
    (void)config_node_int(row, "breaker_failures", false, 1, 100, &u.breaker_failures, faults);
    (void)config_node_int(row, "breaker_open_ms", false, 100, 3600000, &u.breaker_open_ms, faults);
    read_allowed(&u, row, faults);
    read_budget(&u, row, faults);
    if (strcmp(kind, "openai") != 0 && strcmp(kind, "anthropic") != 0) {
        config_faults_add(faults, row->line, "upstreams.kind", NULL,
                          "\"kind\" must be openai or anthropic");
    }
    if (!good) {
        return;
    }
    u.dialect = strcmp(kind, "anthropic") == 0 ? CONFIG_ANTHROPIC : CONFIG_OPENAI;
    u.name = arena_dup_str(c->arena, name);
    u.base = tidy_base(c, base, u.dialect, false);
    u.key = is_no_key(u.key) ? "" : arena_dup_str(c->arena, u.key);
    u.ca_file = arena_dup_str(c->arena, u.ca_file);
    check_upstream(c, &u, faults);
    c->upstreams[c->upstreams_len++] = u;
}

/* ---- model_list ---- */

struct provider {
    const char *prefix;
    enum config_dialect dialect;
    const char *base; /* when the entry says none */
    bool ollama;
};

static const struct provider providers[] = {
    {"openai/", CONFIG_OPENAI, "https://api.openai.com/v1", false},
    {"anthropic/", CONFIG_ANTHROPIC, "https://api.anthropic.com", false},
    {"hosted_vllm/", CONFIG_OPENAI, NULL, false},
    {"openai_like/", CONFIG_OPENAI, NULL, false},
    {"custom_openai/", CONFIG_OPENAI, NULL, false},
    {"llamafile/", CONFIG_OPENAI, NULL, false},
    {"lm_studio/", CONFIG_OPENAI, NULL, false},
    {"ollama_chat/", CONFIG_OPENAI, NULL, true},
    {"ollama/", CONFIG_OPENAI, NULL, true},
    {"mistral/", CONFIG_OPENAI, "https://api.mistral.ai/v1", false},
    {"deepseek/", CONFIG_OPENAI, "https://api.deepseek.com/v1", false},
    {"groq/", CONFIG_OPENAI, "https://api.groq.com/openai/v1", false},
};

static const struct provider *provider_of(const char *model)
{
    for (size_t i = 0; i < COUNT_OF(providers); i++) {
        if (text_starts_with(model, providers[i].prefix)) {
            return &providers[i];
        }
    }
    return NULL;
}

static int find_named(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->upstreams_len; i++) {
        if (strcmp(c->upstreams[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

/* The declared or implied upstream with this base; an entry's own key must be the same one. */
static int find_base(const struct config *c, const char *base, const char *key)
{
    for (size_t i = 0; i < c->upstreams_len; i++) {
        const struct config_upstream *u = &c->upstreams[i];
        if (strcmp(u->base, base) == 0 && (key == NULL || strcmp(u->key, key) == 0)) {
            return (int)i;
        }
    }
    return -1;
}

/* A name for an upstream that nobody named: its host, and a number when that is taken. */
static const char *name_of_host(struct config *c, const char *base)
{
    char host[56];
    const char *p = strstr(base, "://") + 3;
    size_t n = 0;
    for (; *p != '\0' && *p != '/' && n + 1 < sizeof(host); p++) {
        bool good = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '.' || *p == '-';
        bool upper = *p >= 'A' && *p <= 'Z';
        host[n] = good ? *p : upper ? (char)(*p - 'A' + 'a') : '-';
        n += n > 0 || good || upper ? 1 : 0;
    }
    host[n] = '\0';
    const char *name = host;
    for (int i = 2; find_named(c, name) >= 0; i++) {
        name = arena_printf(c->arena, "%s-%d", host, i);
    }
    return arena_dup_str(c->arena, name);
}

static int imply(struct config *c, const struct config_node *entry, const char *base,
                 const char *key, enum config_dialect dialect, const char **why)
{
    bool loopback = false;
    bool plain = false;
    struct config_upstream u;
    *why = check_base(base, &loopback, &plain);
    if (*why == NULL && plain && !loopback) {
        *why = "is not encrypted: declare it under upstreams, with on_prem and allow";
    }
    if (*why == NULL && c->upstreams_len == CONFIG_MAX_UPSTREAMS) {
        *why = "is one upstream too many";
    }
    if (*why != NULL) {
        return -1;
    }
    set_defaults(&u);
    u.line = entry->line;
    u.dialect = dialect;
    u.base = base;
    u.key = key;
    u.name = name_of_host(c, base);
    c->upstreams[c->upstreams_len] = u;
    return (int)c->upstreams_len++;
}

/* Which upstream serves the entry; -1 and the reason when none does. */
static int place(struct config *c, const struct config_node *entry,
                 const struct config_node *params, struct config_candidate *out, const char **why,
                 struct config_faults *faults)
{
    const char *named = NULL;
    const char *key = NULL;
    const char *base = out->api_base;
    const struct provider *p = provider_of(out->model);
    out->remote = p != NULL ? out->model + strlen(p->prefix) : out->model;
    if (config_node_str(params, "upstream", false, 64, &named, faults)) {
        int i = find_named(c, named);
        if (i < 0) {
            config_faults_add(faults, params->line, "model_list.upstream",
                              "Declare it under upstreams.", "there is no upstream \"%.64s\"",
                              named);
        }
        return i;
    }
    if (text_starts_with(base, CONFIG_ENV_PREFIX)) {
        base = getenv(base + strlen(CONFIG_ENV_PREFIX));
        *why = "api_base names an environment variable that is not set";
    }
    if (base != NULL && base[0] == '\0') {
        base = p != NULL ? p->base : NULL;
        *why = p != NULL ? "it needs an api_base" : "its provider is not spoken here";
    }
    if (base == NULL || out->remote[0] == '\0') {
        return -1;
    }
    enum config_dialect dialect = p != NULL ? p->dialect : CONFIG_OPENAI;
    (void)config_node_str(params, "api_key", false, 1024, &key, faults);
    key = key != NULL && is_no_key(key) ? "" : key;
    if (key != NULL && key[0] != '\0' && !is_reference(key)) {
        *why = "its api_key is written out: write os.environ/NAME, or file:/path";
        return -1;
    }
    base = tidy_base(c, base, dialect, p != NULL && p->ollama);
    int i = find_base(c, base, key);
    return i >= 0 ? i
                  : imply(c, entry, base, key != NULL ? arena_dup_str(c->arena, key) : "", dialect,
                          why);
}

/* LiteLLM's price, an amount a token, in either of the two maps people write it in. */
static int64_t token_price(const struct config_node *info, const struct config_node *params,
                           const char *key, struct config_faults *faults)
{
    double v = -1;
    if (!config_node_real(info, key, false, 0, 1, &v, faults)) {
        (void)config_node_real(params, key, false, 0, 1, &v, faults);
    }
    return v < 0 ? -1 : llround(v * PER_MILLION_NANO);
}

static void read_prices(struct config_candidate *e, const struct config_node *info,
                        const struct config_node *params, struct config_faults *faults)
{
    static const char *const keys[] = {"input", "cached_input", "output", NULL};
    int64_t *const slots[] = {&e->price_in, &e->price_cached, &e->price_out};
    const struct config_node *map = NULL;
    e->price_in = token_price(info, params, "input_cost_per_token", faults);
    e->price_cached = token_price(info, params, "cache_read_input_token_cost", faults);
    e->price_out = token_price(info, params, "output_cost_per_token", faults);
    if (config_node_map(info, "price", false, &map, faults)) {
        (void)config_node_only(map, keys, faults);
        for (size_t i = 0; i < COUNT_OF(slots); i++) {
            const struct config_node *n = config_node_find(map, keys[i]);
            if (n != NULL && (n->text == NULL || !config_money_read(n->text, slots[i]))) {
                config_faults_add(faults, n->line, "model_list.price", NULL,
                                  "\"price.%s\" must be an amount a million tokens, such as 0.15",
                                  keys[i]);
            }
        }
    }
    if (e->price_cached < 0 || e->price_cached > e->price_in) {
        e->price_cached = e->price_in;
    }
}

static void read_entry(struct config *c, const struct config_node *entry,
                       struct config_faults *faults)
{
    const struct config_node *params = NULL;
    const struct config_node *info = NULL;
    const char *name = NULL;
    const char *model = NULL;
    const char *base = "";
    const char *mode = "chat";
    const char *why = "its upstream is not there";
    if (entry->kind != CONFIG_MAP) {
        config_faults_add(faults, entry->line, "model_list", NULL,
                          "a member of model_list must be a map");
        return;
    }
    bool good = config_node_str(entry, "model_name", true, 128, &name, faults);
    good = config_node_map(entry, "litellm_params", true, &params, faults) && good;
    good = good && config_node_str(params, "model", true, 256, &model, faults);
    if (!good) {
        return;
    }
    (void)config_node_str(params, "api_base", false, 500, &base, faults);
    (void)config_node_map(entry, "model_info", false, &info, faults);
    (void)config_node_str(info, "mode", false, 32, &mode, faults);
    struct config_candidate *e = &c->candidates[c->candidates_len++];
    *e = (struct config_candidate){.name = arena_dup_str(c->arena, name),
                                   .model = arena_dup_str(c->arena, model),
                                   .api_base = arena_dup_str(c->arena, base),
                                   .upstream = -1,
                                   .embed = strcmp(mode, "embedding") == 0,
                                   .weight = 1,
                                   .max_tokens = 1024,
                                   .line = entry->line};
    e->remote = e->model;
    (void)config_node_int(params, "weight", false, 1, 1000, &e->weight, faults);
    (void)config_node_int(params, "max_tokens", false, 1, 1000000, &e->max_tokens, faults);
    read_prices(e, info, params, faults);
    if (!e->embed && strcmp(mode, "chat") != 0 && strcmp(mode, "completion") != 0) {
        why = "its mode is neither chat nor embedding";
    } else {
        e->upstream = place(c, entry, params, e, &why, faults);
    }
    if (e->upstream < 0) {
        config_note(
            c, "line %d: model_list entry \"%s\" (%s) is kept as a candidate and not served: %s",
            entry->line, name, model, why);
    } else if (e->embed && c->upstreams[e->upstream].dialect == CONFIG_ANTHROPIC) {
        e->upstream = -1;
        config_note(c, "line %d: \"%s\" is not served: Anthropic's API has no embeddings",
                    entry->line, name);
    } else if ((e->price_in < 0 || (e->price_out < 0 && !e->embed)) &&
               !c->upstreams[e->upstream].on_prem) {
        config_note(c, "line %d: \"%s\" has no price and will not be asked: give "
                       "input_cost_per_token and output_cost_per_token",
                    entry->line, name);
    }
}

void config_upstreams_read(struct config *c, const struct config_node *root,
                           struct config_faults *faults)
{
    const struct config_node *list = NULL;
    if (config_node_list(root, "upstreams", false, CONFIG_MAX_UPSTREAMS, &list, faults)) {
        for (size_t i = 0; i < list->count; i++) {
            read_upstream(c, list->items[i], faults);
        }
    }
    if (config_node_list(root, "model_list", false, CONFIG_MAX_CANDIDATES, &list, faults)) {
        for (size_t i = 0; i < list->count; i++) {
            read_entry(c, list->items[i], faults);
        }
    }
}

/* ---- comparing ---- */

static bool same_upstream(const struct config_upstream *a, const struct config_upstream *b)
{
    return strcmp(a->name, b->name) == 0 && a->dialect == b->dialect &&
           strcmp(a->base, b->base) == 0 && strcmp(a->key, b->key) == 0 &&
           strcmp(a->ca_file, b->ca_file) == 0 && a->on_prem == b->on_prem &&
           a->restricted == b->restricted &&
           a->allow_len == b->allow_len && memcmp(a->allow, b->allow, sizeof(a->allow)) == 0 &&
           a->budget == b->budget && a->budget_daily == b->budget_daily &&
           a->retries == b->retries && a->connect_ms == b->connect_ms &&
           a->timeout_ms == b->timeout_ms && a->breaker_failures == b->breaker_failures &&
           a->breaker_open_ms == b->breaker_open_ms && a->plain_sampling == b->plain_sampling;
}

static bool same_candidate(const struct config_candidate *a, const struct config_candidate *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->model, b->model) == 0 &&
           strcmp(a->api_base, b->api_base) == 0 && a->upstream == b->upstream &&
           a->embed == b->embed && a->weight == b->weight && a->max_tokens == b->max_tokens &&
           a->price_in == b->price_in && a->price_cached == b->price_cached &&
           a->price_out == b->price_out;
}

bool config_upstreams_same(const struct config *a, const struct config *b)
{
    bool same = a->upstreams_len == b->upstreams_len && a->candidates_len == b->candidates_len;
    for (size_t i = 0; same && i < a->upstreams_len; i++) {
        same = same_upstream(&a->upstreams[i], &b->upstreams[i]);
    }
    for (size_t i = 0; same && i < a->candidates_len; i++) {
        same = same_candidate(&a->candidates[i], &b->candidates[i]);
    }
    return same;
}
