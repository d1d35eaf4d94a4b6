/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list `sources`: databases that reports may ask, each with the teams that may (nobody else
 * may). Secrets are references only.
 */
#include <string.h>

#include "base/config/config_internal.h"
#include "base/text/text.h"

static const char *const keys[] = {"name", "kind",      "path",     "host",     "port",
                                   "database", "user",  "password", "passfile", "ca_file",
                                   "teams",    "rows",  "timeout_ms", NULL};

static void read_teams(struct config *c, const struct config_node *row, struct config_source *s,
                       struct config_faults *faults)
{
    const struct config_node *list = NULL;
    if (!config_node_list(row, "teams", true, CONFIG_MAX_SOURCE_TEAMS, &list, faults)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        const char *team = list->items[i]->text;
        if (team == NULL || !text_is_name(team)) {
            config_faults_add(faults, list->items[i]->line, "sources.teams", NULL,
                              "\"teams\" lists names of teams");
        } else {
            s->teams[s->teams_len++] = arena_dup_str(c->arena, team);
        }
    }
}

static void check_source(const struct config *c, const struct config_source *s,
                         struct config_faults *faults)
{
    if (!text_is_name(s->name)) {
        config_faults_add(faults, s->line, "sources.name", "Use a-z, 0-9, . _ and -.",
                          "\"%.60s\" cannot be a source's name", s->name);
    }
    for (size_t i = 0; i < c->sources_len; i++) {
        if (strcmp(c->sources[i].name, s->name) == 0) {
            config_faults_add(faults, s->line, "sources.name", NULL, "\"%s\" is there twice",
                              s->name);
        }
    }
    if (!s->postgres && s->path[0] != '/') {
        config_faults_add(faults, s->line, "sources.path", NULL,
                          "\"path\" of \"%.60s\" must be the full path of a SQLite file", s->name);
    }
    if (s->postgres && (s->host[0] == '\0' || s->database[0] == '\0' || s->user[0] == '\0')) {
        config_faults_add(faults, s->line, "sources.host", NULL,
                          "\"%.60s\" needs host, database and user", s->name);
    }
    if (s->password[0] != '\0' && !text_starts_with(s->password, CONFIG_ENV_PREFIX)) {
        config_faults_add(faults, s->line, "sources.password",
                          "Write os.environ/NAME, or name a `passfile` with mode 0600.",
                          "\"password\" of \"%.60s\" is written out", s->name);
    }
}

static void read_source(struct config *c, const struct config_node *row,
                        struct config_faults *faults)
{
    struct config_source s = {.path = "",     .host = "",     .database = "", .user = "",
                              .password = "", .passfile = "", .ca_file = "",  .port = 5432,
                              .rows = 20000,  .timeout_ms = 10000, .line = row->line};
    const char *kind = "sqlite";
    if (row->kind != CONFIG_MAP) {
        config_faults_add(faults, row->line, "sources", NULL, "a member of sources must be a map");
        return;
    }
    (void)config_node_only(row, keys, faults);
    bool good = config_node_str(row, "name", true, 64, &s.name, faults);
    (void)config_node_str(row, "kind", false, 16, &kind, faults);
    (void)config_node_str(row, "path", false, 1024, &s.path, faults);
    (void)config_node_str(row, "host", false, 255, &s.host, faults);
    (void)config_node_int(row, "port", false, 1, 65535, &s.port, faults);
    (void)config_node_str(row, "database", false, 63, &s.database, faults);
    (void)config_node_str(row, "user", false, 63, &s.user, faults);
    (void)config_node_str(row, "password", false, 200, &s.password, faults);
    (void)config_node_str(row, "passfile", false, 1024, &s.passfile, faults);
    (void)config_node_str(row, "ca_file", false, 1024, &s.ca_file, faults);
    (void)config_node_int(row, "rows", false, 1, 500000, &s.rows, faults);
    (void)config_node_int(row, "timeout_ms", false, 100, 300000, &s.timeout_ms, faults);
    s.postgres = strcmp(kind, "postgres") == 0;
    if (!s.postgres && strcmp(kind, "sqlite") != 0) {
        config_faults_add(faults, row->line, "sources.kind", NULL,
                          "\"kind\" must be sqlite or postgres");
        return;
    }
    if (!good) {
        return;
    }
    read_teams(c, row, &s, faults);
    check_source(c, &s, faults);
    const char **texts[] = {&s.name, &s.path,     &s.host,     &s.database,
                            &s.user, &s.password, &s.passfile, &s.ca_file};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        *texts[i] = arena_dup_str(c->arena, *texts[i]);
    }
    c->sources[c->sources_len++] = s;
}

void config_sources_read(struct config *c, const struct config_node *root,
                         struct config_faults *faults)
{
    const struct config_node *list = NULL;
    if (!config_node_list(root, "sources", false, CONFIG_MAX_SOURCES, &list, faults)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        read_source(c, list->items[i], faults);
    }
}

static bool same_source(const struct config_source *a, const struct config_source *b)
{
    bool same = strcmp(a->name, b->name) == 0 && a->postgres == b->postgres &&
                strcmp(a->path, b->path) == 0 && strcmp(a->host, b->host) == 0 &&
                strcmp(a->database, b->database) == 0 && strcmp(a->user, b->user) == 0 &&
                strcmp(a->password, b->password) == 0 && strcmp(a->passfile, b->passfile) == 0 &&
                strcmp(a->ca_file, b->ca_file) == 0 && a->port == b->port && a->rows == b->rows &&
                a->timeout_ms == b->timeout_ms && a->teams_len == b->teams_len;
    for (size_t i = 0; same && i < a->teams_len; i++) {
        same = strcmp(a->teams[i], b->teams[i]) == 0;
    }
    return same;
}

bool config_sources_same(const struct config *a, const struct config *b)
{
    bool same = a->sources_len == b->sources_len;
    for (size_t i = 0; same && i < a->sources_len; i++) {
        same = same_source(&a->sources[i], &b->sources[i]);
    }
    return same;
}
