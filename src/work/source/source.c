/* SPDX-License-Identifier: Apache-2.0 */
/* Which sources there are, and who may ask them. The table is set once at the start. */
#include <string.h>

#include "base/mem/mem.h"
#include "work/source/source_internal.h"

static struct config *used; /* sources cannot change while the server runs (config_reload_check) */

void sources_use(struct config *c)
{
    config_unref(used);
    used = c == NULL ? NULL : config_ref(c);
}

static const struct config_source *find(const char *name, const char *team)
{
    for (size_t i = 0; used != NULL && i < used->sources_len; i++) {
        const struct config_source *s = &used->sources[i];
        for (size_t k = 0; strcmp(s->name, name) == 0 && k < s->teams_len; k++) {
            if (strcmp(s->teams[k], team) == 0) {
                return s;
            }
        }
    }
    return NULL;
}

bool source_find(const char *name, const char *team, bool *postgres)
{
    const struct config_source *s = find(name, team);
    *postgres = s != NULL && s->postgres;
    return s != NULL;
}

enum fail source_ask(const char *name, const char *team, const char *query,
                     const struct source_take *take, struct fault *why)
{
    const struct config_source *s = find(name, team);
    if (s == NULL) {
        (void)FAULT(why, FAIL_NOT_FOUND, "there is no source \"%.60s\" that your team may ask",
                    name);
        return fail_hint(why, "`sources` of inhouse.yaml names each with its teams.");
    }
    if (strlen(query) > SOURCE_QUERY_BYTES) {
        return FAULT(why, FAIL_TOO_LARGE, "the query is longer than %u bytes", SOURCE_QUERY_BYTES);
    }
    return s->postgres ? source_ask_postgres(s, query, take, why)
                       : source_ask_sqlite(s, query, take, why);
}
