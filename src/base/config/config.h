/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Config: reads YAML strictly into a tree that knows its lines, and inhouse.yaml into options.
 *
 * Two parts. The tree reader (config_yaml_*, config_node_*) serves every YAML file of the product:
 * no aliases, anchors, tags or merge keys, duplicate keys refused, depth and size bounded, and all
 * errors reported at once with their lines. The options part turns inhouse.yaml into struct config;
 * what may be set is data (options.def). Reading never acts; the caller swaps a counted pointer.
 *
 * Threads: a tree or a faults list belongs to one thread. A struct config is immutable once shared;
 * config_ref and config_unref may be called from any thread. Only config_load blocks (a small
 * file).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"

#define CONFIG_MAX_BYTES (1024u * 1024u)
#define CONFIG_MAX_DEPTH 24
#define CONFIG_MAX_NODES 50000
#define CONFIG_MAX_FAULTS 32

/* What is wrong with a file: every error found, in the order of finding. */
struct config_fault {
    int line; /* 1-based, 0: the file as a whole */
    char message[256];
    char hint[160];
    char param[64]; /* "listen.port", may be empty */
};
struct config_faults {
    char name[96]; /* of the file, for messages */
    size_t count;  /* may pass CONFIG_MAX_FAULTS: the rest were dropped */
    struct config_fault list[CONFIG_MAX_FAULTS];
};
void config_faults_init(struct config_faults *faults, const char *name);
/* Adds one; hint and param may be NULL. */
void config_faults_add(struct config_faults *faults, int line, const char *param, const char *hint,
                       const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* "NAME line 3: message. hint\n" for each. */
void config_faults_show(const struct config_faults *faults, struct buf *out);
/* All of it squeezed into one fault: the first error in full, the number of the others. Returns
   FAIL_BAD_REQUEST, or FAIL_NONE when the list is empty. */
enum fail config_faults_fault(const struct config_faults *faults, struct fault *why);

/* ---- the tree ---- */

enum config_kind {
    CONFIG_NULL,
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_REAL,
    /* quoted, block, or plain text that is none of the above (YAML 1.2: `no` is text) */
    CONFIG_STRING,
    CONFIG_LIST,
    CONFIG_MAP
};

struct config_node {
    enum config_kind kind;
    int line;         /* 1-based, where it starts */
    const char *text; /* scalars: as written (unquoted), NUL-terminated; NULL on list and map */
    size_t len;
    int64_t number; /* CONFIG_INT; CONFIG_BOOL: 0 or 1 */
    double real;    /* CONFIG_REAL and CONFIG_INT */
    size_t count;   /* list, map: members, in the order of the file */
    const struct config_node *const *items;
    const char *const *keys; /* map only */
};

struct config_tree;
/* Parses one document of text[0..len), at most CONFIG_MAX_BYTES. `name` is used in messages. An
   empty document is an empty map. On FAIL_NONE *out is owned by the caller (config_tree_free).
   On failure FAIL_BAD_REQUEST, *out NULL, the reason (with its line) added to faults. */
MUST_CHECK enum fail config_yaml_parse(const char *text, size_t len, const char *name,
                                       struct config_tree **out, struct config_faults *faults);
void config_tree_free(struct config_tree *tree); /* accepts NULL */
const struct config_node *config_tree_root(const struct config_tree *tree);

/* The member of a map, or NULL when absent (or map is NULL or no map). Never reports. */
const struct config_node *config_node_find(const struct config_node *map, const char *key);

/*
 * Typed members of a map. Each returns true when *out was set. An absent key (or null) leaves *out
 * as it was and is an error only when required; a wrong type or range is an error. Errors are added
 * to faults with the member's line (the map's when it is missing). Strings live as long as the
 * tree.
 */
bool config_node_str(const struct config_node *map, const char *key, bool required, size_t max_len,
                     /* numbers and booleans are refused */
                     const char **out, struct config_faults *faults);
bool config_node_int(const struct config_node *map, const char *key, bool required, int64_t min,
                     int64_t max, int64_t *out, struct config_faults *faults);
bool config_node_real(const struct config_node *map, const char *key, bool required, double min,
                      double max, double *out, struct config_faults *faults);
bool config_node_bool(const struct config_node *map, const char *key, bool required, bool *out,
                      struct config_faults *faults);
bool config_node_list(const struct config_node *map, const char *key, bool required,
                      size_t max_items, const struct config_node **out,
                      struct config_faults *faults);
bool config_node_map(const struct config_node *map, const char *key, bool required,
                     const struct config_node **out, struct config_faults *faults);
/* Reports every member whose key is not in the NULL-terminated list; true when there is none. */
bool config_node_only(const struct config_node *map, const char *const *keys,
                      struct config_faults *faults);

/* ---- inhouse.yaml ---- */

enum config_type {
    CONFIG_TYPE_INT,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_WORD,
    CONFIG_TYPE_MONEY
};

/* C type of a member by the type in options.def. */
typedef int64_t config_value_int;
typedef bool config_value_bool;
typedef const char *config_value_text; /* never NULL */
typedef const char *config_value_word; /* one of the option's words */
typedef int64_t config_value_money;    /* nano-units of the currency */

#define CONFIG_MAX_UPSTREAMS 32
#define CONFIG_MAX_CANDIDATES 64
#define CONFIG_MAX_ALLOWED 8

enum config_dialect { CONFIG_OPENAI, CONFIG_ANTHROPIC };

/* A range of addresses: the first `bits` of `address` (16 bytes; IPv4 as ::ffff:a.b.c.d). */
struct config_range {
    uint8_t address[16];
    int bits; /* 0 to 128 */
};

/* Another server: a row of `upstreams`, or what a model_list entry with an api_base of its own
   implies. docs/reference/upstreams.md describes the keys. */
struct config_upstream {
    const char *name;
    enum config_dialect dialect;
    /* "https://api.openai.com/v1", no slash at the end; Anthropic's without /v1 */
    const char *base;
    const char *key;    /* "os.environ/NAME", "file:/path", "": none */
    const char *ca_file; /* "": the system's authorities */
    bool on_prem;       /* in the house: what it is sent does not leave */
    bool restricted;    /* and restricted text may stand there, where it serves a local role */
    struct config_range allow[CONFIG_MAX_ALLOWED]; /* addresses beside the public ones */
    size_t allow_len;
    int64_t budget;     /* nano-units a period, -1: none */
    bool budget_daily;  /* else a month; UTC */
    int64_t retries, connect_ms, timeout_ms;
    int64_t breaker_failures, breaker_open_ms;
    bool plain_sampling; /* temperature, top_p and seed are left out */
    int line;
};

/* A model_list entry, LiteLLM's shape: a member of the pool `name`. */
struct config_candidate {
    const char *name;     /* model_name */
    const char *model;    /* litellm_params.model */
    const char *api_base; /* "" when absent */
    int upstream;         /* index, -1: not served, a note says why */
    const char *remote;   /* the model as that server calls it */
    bool embed;
    int64_t weight;       /* 1 to 1000 */
    int64_t max_tokens;   /* of an answer, when the request does not say */
    /* nano-units per million tokens; -1: not given, and then it is not asked unless on_prem */
    int64_t price_in, price_cached, price_out;
    int line;
};

#define CONFIG_MAX_ISSUERS 8
#define CONFIG_MAX_GRANTS 64

/* What a claim's value, or a directory's group, means here. */
struct config_grant {
    const char *claim; /* "groups", "realm_access.roles"; "group" of a directory */
    const char *value; /* a group's: its DN, or its name alone */
    const char *team, *role;
};

/* A row of `oidc`. docs/reference/access.md describes the keys of both. */
struct config_issuer {
    const char *name, *issuer, *client_id;
    const char *client_secret; /* "os.environ/NAME", "file:/path", "": a public client */
    const char *audience;      /* of machines' tokens; "": none are taken */
    const char *name_claim, *scope, *ca_file;
    struct config_grant grants[CONFIG_MAX_GRANTS];
    size_t grants_len;
    int line;
};

struct config_ldap {
    const char *url; /* NULL: there is no directory */
    const char *bind_dn, *password; /* who looks people up; "": nobody by name */
    const char *base, *user_filter; /* {name} in it is the name that signs in */
    const char *valid_filter;       /* what somebody who may sign in matches */
    const char *group_base, *group_filter; /* {dn}, {name}; group_base "": memberOf alone */
    const char *id_attribute;       /* never given to another: entryUUID, objectGUID */
    const char *ca_file;
    bool start_tls;
    int64_t timeout_ms, recheck_s;
    struct config_grant grants[CONFIG_MAX_GRANTS];
    size_t grants_len;
};

#define CONFIG_MAX_SOURCES 32
#define CONFIG_MAX_SOURCE_TEAMS 32

/* A row of `sources`: a database that reports may ask. docs/reference/standard-report.md. */
struct config_source {
    const char *name;
    bool postgres;    /* else SQLite */
    const char *path; /* of the SQLite file */
    const char *host, *database, *user;
    const char *password; /* "os.environ/NAME"; "": none, or in passfile */
    const char *passfile; /* as libpq reads them, mode 0600 */
    const char *ca_file;  /* "": the system's authorities */
    int64_t port, rows, timeout_ms;
    const char *teams[CONFIG_MAX_SOURCE_TEAMS]; /* who may ask it; nobody else may */
    size_t teams_len;
    int line;
};

#define CONFIG_MAX_NOTES 64

struct config {
#define OPTION(type, member, path, def, min, max, unit, reload, help) config_value_##type member;
#include "base/config/options.def"
#undef OPTION
    struct config_candidate candidates[CONFIG_MAX_CANDIDATES];
    size_t candidates_len;
    struct config_upstream upstreams[CONFIG_MAX_UPSTREAMS];
    size_t upstreams_len;
    struct config_issuer issuers[CONFIG_MAX_ISSUERS];
    size_t issuers_len;
    struct config_ldap ldap;
    struct config_source sources[CONFIG_MAX_SOURCES];
    size_t sources_len;
    const char *notes[CONFIG_MAX_NOTES]; /* what was read and is not used, in sentences */
    size_t notes_len;
    struct arena *arena; /* of the strings */
    int refs;            /* atomic */
};

/* One row of options.def. */
struct config_option {
    const char *path; /* "listen.port" */
    enum config_type type;
    const char *def;  /* as it would be written */
    int64_t min, max; /* int and money: bounds; text: max is the longest length */
    const char *unit; /* or the words, "a|b|c" */
    bool reload;      /* may change without a restart */
    const char *help;
};
size_t config_options(const struct config_option **list);
/* docs/reference/config.md: the table of options, as Markdown. */
void config_describe(struct buf *out);

/* Reads and checks; *out has one reference. text NULL: the defaults. Unknown keys, wrong types and
   ranges, an unset os.environ/NAME, a public listen address: all reported. */
MUST_CHECK enum fail config_read(const char *text, size_t len, const char *name,
                                 struct config **out, struct config_faults *faults);
/* The same from a file; a missing file is an error. Blocks. */
MUST_CHECK enum fail config_load(const char *path, struct config **out,
                                 struct config_faults *faults);
/* The command line's word over the file's, before the config is shared. Checked the same way. */
MUST_CHECK enum fail config_override(struct config *c, const char *path, const char *value,
                                     struct fault *why);
/* Reports every option that differs and needs a restart; true when there is none. */
bool config_reload_check(const struct config *old, const struct config *fresh,
                         struct config_faults *faults);
struct config *config_ref(struct config *c);
void config_unref(struct config *c); /* accepts NULL */

/* "12.345678901" to nano-units: at most nine decimals, no sign, no exponent. */
bool config_money_read(const char *s, int64_t *out);

/* Is this address reachable from this machine only? "127.0.0.1", "::1", "localhost". */
bool config_is_loopback(const char *address);

/* ---- the data folder ---- */

#define CONFIG_HOME_SIZE 3072

/* `given`, else $INHOUSE_HOME, else ~/.local/share/inhouse: made (0700) when missing, its
   absolute path in out. FAIL_FORBIDDEN when it is not private to this user. Blocks. */
MUST_CHECK enum fail config_home_open(const char *given, char out[CONFIG_HOME_SIZE],
                                      struct fault *why);
/* Takes HOME/lock for as long as *fd stays open. FAIL_CONFLICT names the process that has it. */
MUST_CHECK enum fail config_home_lock(const char *home, int *fd, struct fault *why);
