/* SPDX-License-Identifier: Apache-2.0 */
/* Models of the data folder: local administration through run/models; a running server is told
   afterwards. */
#include "run/models/models.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

static bool on_step(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct progress *bar = arg;
    bar->what = phase;
    bar->done = (int64_t)(done / 1000000);
    bar->total = (int64_t)(total / 1000000);
    if (total > 50000000) {
        progress_show(bar, false);
    }
    return cli_interrupted == 0;
}

static enum fail open_store(struct cli *cli, struct models **m, struct fault *why)
{
    for (char *p = cli->home + 1;; p++) {
        if (*p == '/' || *p == '\0') {
            char saved = *p;
            *p = '\0';
            if (mkdir(cli->home, 0700) < 0 && errno != EEXIST) {
                FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot make the folder %s",
                            cli->home);
                return fail_hint(why, "Set INHOUSE_HOME to a folder you may write to.");
            }
            *p = saved;
            if (saved == '\0') {
                break;
            }
        }
    }
    return models_open(cli->home, m, why);
}

/* A server that runs looks again; without one the next start does. */
static void tell_server(struct cli *cli)
{
    struct fault why;
    struct client_ask ask = {.method = "POST",
                             .path = "/api/v1/models/rescan",
                             .body = "{}",
                             .len = 2,
                             .timeout_ms = 120000};
    if (cli->url == NULL && cli_client_running(cli) != NULL &&
        client_call(cli->client, &ask, NULL, &why) != FAIL_NONE) {
        cli_note(cli, "The model is stored, but the running server did not take it: %s",
                 why.message);
    }
}

static int added(struct cli *cli, enum fail f, const struct models_entry *e,
                 const struct fault *why)
{
    char size[24];
    if (f != FAIL_NONE) {
        int status = cli_fail(cli, why);
        return f == FAIL_NOT_FOUND ? COMMAND_INPUT : status; /* a file of this machine */
    }
    tell_server(cli);
    if (cli->json) {
        json_t *j AUTO_JSON = json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "name", e->name, "role",
                                        e->role, "arch", e->arch, "quant", e->quant, "sha256",
                                        e->sha256, "bytes", (json_int_t)e->bytes);
        cli_print_json(j);
    } else {
        printf("%s: role %s, %s %s, %s, sha256 %.16s\n", e->name, e->role, e->arch, e->quant,
               cli_bytes(e->bytes, size), e->sha256);
    }
    return COMMAND_OK;
}

int command_models_add(struct cli *cli)
{
    struct fault why;
    struct models *m = NULL;
    struct models_entry e = {0};
    struct progress bar;
    struct models_add what = {.path = cli->words[0],
                              .name = cli_option(cli, "name"),
                              .role = cli_option(cli, "role"),
                              .source = cli_option(cli, "source"),
                              .licence = cli_option(cli, "licence"),
                              .sha256 = cli_option(cli, "sha256"),
                              .adapter_of = cli_option(cli, "adapter-of"),
                              .link = cli_option(cli, "link") != NULL};
    progress_begin(&bar, cli, "copy");
    enum fail f = open_store(cli, &m, &why);
    if (f == FAIL_NONE) {
        f = models_add(m, &what, on_step, &bar, &e, &why);
    }
    progress_end(&bar);
    models_close(m);
    return added(cli, f, &e, &why);
}

int command_models_import(struct cli *cli)
{
    struct fault why;
    struct models *m = NULL;
    struct models_entry e = {0};
    struct progress bar;
    struct models_import what = {.folder = cli->words[0],
                                 .name = cli_option(cli, "name"),
                                 .role = cli_option(cli, "role"),
                                 .source = cli_option(cli, "source"),
                                 .type = cli_option(cli, "type")};
    progress_begin(&bar, cli, "import");
    enum fail f = open_store(cli, &m, &why);
    if (f == FAIL_NONE) {
        f = models_import(m, &what, on_step, &bar, &e, &why);
    }
    progress_end(&bar);
    models_close(m);
    return added(cli, f, &e, &why);
}

static json_t *entry_json(const struct models_entry *e)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I}", "name", e->name, "role", e->role,
                     "kind", e->kind, "arch", e->arch, "quant", e->quant, "source", e->source,
                     "licence", e->licence, "sha256", e->sha256, "bytes", (json_int_t)e->bytes);
}

int command_models_list(struct cli *cli)
{
    static const char *const columns[] = {"*name", "role",    "arch",  "quant",
                                          ">size", "licence", "sha256"};
    struct fault why;
    struct models *m = NULL;
    int shown = COMMAND_OK;
    if (loading_list(cli, &shown)) {
        return shown;
    }
    if (open_store(cli, &m, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    json_t *list AUTO_JSON = json_array();
    struct measure_table *t = measure_table_new(columns, COUNT_OF(columns));
    for (size_t i = 0; i < models_count(m); i++) {
        const struct models_entry *e = models_at(m, i);
        char size[24], sha[16];
        (void)snprintf(sha, sizeof(sha), "%.12s", e->sha256);
        const char *cells[] = {e->name,    e->role, e->arch, e->quant, cli_bytes(e->bytes, size),
                               e->licence, sha};
        measure_table_row(t, cells);
        (void)json_array_append_new(list, entry_json(e));
    }
    for (size_t i = 0; i < models_broken(m); i++) {
        fprintf(stderr, "inhouse: %s\n", models_broken_at(m, i)->message);
    }
    if (cli->json) {
        cli_print_json(list);
        measure_table_free(t);
    } else if (models_count(m) == 0) {
        printf("No models yet. Add one: inhouse models add FILE.gguf --role light\n");
        measure_table_free(t);
    } else {
        cli_print_table(cli, t);
    }
    int status = models_broken(m) > 0 ? COMMAND_SOME_FAILED : COMMAND_OK;
    models_close(m);
    return status;
}

static json_t *release_json(const struct models_release *r)
{
    return !r->there
               ? json_null()
               : json_pack("{s:s,s:s,s:I,s:s,s:f,s:f,s:f,s:f,s:f,s:f,s:{s:s,s:i,s:i,s:s,s:s}}",
                           "sha256", r->sha256, "quant", r->quant, "bytes", (json_int_t)r->bytes,
                           "machine", r->machine, "prefill", r->prefill, "decode_1", r->decode_1,
                           "decode_8", r->decode_8, "speed", r->speed, "kl", r->kl, "top_1",
                           r->top_1, "run", "flash", r->run.flash, "n_threads", r->run.n_threads,
                           "n_batch", r->run.n_batch, "type_k", r->run.type_k, "type_v",
                           r->run.type_v);
}

static void show_release(const char *what, const struct models_release *r)
{
    if (r->there) {
        printf("  %-13s %s, flash %s, %d threads, batch %d, cache %s/%s: %.2f times the original's "
               "speed (%s), KL %.4f, sha256 %.16s\n",
               what, r->quant, r->run.flash, r->run.n_threads, r->run.n_batch, r->run.type_k,
               r->run.type_v, r->speed, r->machine, r->kl, r->sha256);
    }
}

int command_models_show(struct cli *cli)
{
    struct fault why;
    struct models *m = NULL;
    const struct models_entry *e = NULL;
    struct models_facts facts;
    enum fail f = open_store(cli, &m, &why);
    if (f == FAIL_NONE) {
        f = models_get(m, cli->words[0], &e, &why);
    }
    if (f == FAIL_NONE) {
        f = models_show(m, e, &facts, &why);
    }
    if (f != FAIL_NONE) {
        models_close(m);
        return cli_fail(cli, &why);
    }
    char size[24];
    if (cli->json) {
        json_t *j AUTO_JSON = entry_json(e);
        (void)json_object_set_new(j, "layers", json_integer(facts.layers));
        (void)json_object_set_new(j, "width", json_integer(facts.width));
        (void)json_object_set_new(j, "context", json_integer(facts.context));
        (void)json_object_set_new(j, "parameters", json_integer((json_int_t)facts.parameters));
        (void)json_object_set_new(j, "chat_template", json_boolean(facts.chat_template));
        (void)json_object_set_new(j, "active", release_json(&e->active));
        (void)json_object_set_new(j, "candidate", release_json(&e->candidate));
        cli_print_json(j);
    } else {
        printf("%s\n  role          %s\n  kind          %s, %s, %s\n  parameters    %.0f million\n"
               "  layers        %u, width %u, heads %u\n  context       %u tokens\n  vocabulary    "
               "%llu (%s)\n"
               "  chat template %s\n  size          %s\n  licence       %s\n  source        %s\n  "
               "sha256        %s\n",
               e->name, e->role, e->kind, e->arch, e->quant, (double)facts.parameters / 1e6,
               facts.layers, facts.width, facts.heads, facts.context,
               (unsigned long long)facts.vocabulary, facts.tokenizer,
               facts.chat_template ? "yes" : "no", cli_bytes(e->bytes, size),
               e->licence[0] != '\0' ? e->licence : "unknown", e->source, e->sha256);
        show_release("adopted", &e->active);
        show_release("candidate", &e->candidate);
    }
    models_close(m);
    return COMMAND_OK;
}
