/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse guard check, test, rules, put, approve: texts and past records held against rules of what
 * may pass. check and the rules' own reading need no server. Threads: one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config/config.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"
#include "trust/verdict/verdict.h"

#define TEXT_BYTES ((size_t)1 << 20)
#define EXAMPLES 3
#define EXAMPLE_BYTES 60

/* Everything that can be found, for a look without rules. */
static const char everything[] =
    "rules:\n"
    "  - name: found\n    verdict: allow\n"
    "    find: [email, link, phone, iban, card, name, national_id, vat_id, imei, ip, mac, secret,\n"
    "           password, username, birthdate, address, injection, hidden, self_harm, threat,\n"
    "           weapon]\n";

static enum fail read_rules(const char *path, struct verdict_rules **out, struct fault *why)
{
    struct config_faults *faults = mem_alloc(sizeof(*faults));
    struct buf text;
    buf_init(&text, VERDICT_MAX_BYTES + 1);
    enum fail f = path != NULL ? cli_read_file(path, &text, why) : FAIL_NONE;
    if (f == FAIL_NONE) {
        const char *yaml = path == NULL ? everything : text.len > 0 ? text.data : "";
        f = verdict_rules_read(yaml, path != NULL ? text.len : strlen(yaml),
                               path != NULL ? path : "everything", out, faults, why);
        cli_say_faults(faults);
    }
    buf_done(&text);
    mem_free(faults);
    return f;
}

static void print_hits(const struct verdict_result *v, const char *text)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct verdict_hit *h = &v->items[i];
        size_t n = h->to - h->from > EXAMPLE_BYTES ? EXAMPLE_BYTES : h->to - h->from;
        n = text_utf8_cut(text + h->from, n);
        printf("%zu-%zu  %-8s %-24s %-16s %.*s\n", h->from, h->to, verdict_name(h->verdict),
               h->rule, h->found, (int)strcspn(text + h->from, "\n") < (int)n
                                      ? (int)strcspn(text + h->from, "\n") : (int)n,
               text + h->from);
    }
    printf("%s%s%s\n", verdict_name(v->verdict), v->dropped > 0 ? "; more was found" : "",
           v->not_assessed ? "; ungrounded is not assessed here" : "");
}

/* FILE, or the text itself when there is no such file; "-" is standard input. */
static enum fail read_text(const char *word, struct buf *out, struct fault *why)
{
    if (strcmp(word, "-") != 0 && access(word, R_OK) != 0) {
        return buf_add_str(out, word) ? FAIL_NONE
                                      : FAULT(why, FAIL_TOO_LARGE, "the text is too long");
    }
    return cli_read_file(word, out, why);
}

int command_guard_check(struct cli *cli)
{
    struct fault why = {0};
    struct verdict_rules *rules = NULL;
    struct verdict_result v = {0};
    struct buf text;
    const char *side = cli_option(cli, "side");
    const char *workflow = cli_option(cli, "workflow");
    buf_init(&text, TEXT_BYTES);
    enum fail f = read_rules(cli_option(cli, "rules"), &rules, &why);
    f = f == FAIL_NONE ? read_text(cli->words[0], &text, &why) : f;
    const char *s = text.data != NULL ? text.data : "";
    if (f == FAIL_NONE && !text_utf8_is_valid(s, text.len)) {
        f = FAULT(&why, FAIL_BAD_REQUEST, "%.100s is not UTF-8 text", cli->words[0]);
    }
    if (f == FAIL_NONE) {
        struct verdict_ask ask = {.side = side != NULL && strcmp(side, "out") == 0 ? VERDICT_OUT
                                                                                   : VERDICT_IN,
                                  .team = "",
                                  .workflow = workflow != NULL ? workflow : "",
                                  .text = s,
                                  .n = text.len};
        (void)verdict_check(rules, &ask, &v); /* TEXT_BYTES is far below the limit */
        if (cli->json) {
            struct jn_writer w;
            struct buf out;
            buf_init(&out, 4 * TEXT_BYTES);
            jn_begin(&w, &out, false);
            verdict_put(&w, &v);
            printf("%s\n", out.data);
            buf_done(&out);
        } else {
            print_hits(&v, s);
        }
    }
    enum verdict verdict = v.verdict;
    verdict_result_done(&v);
    verdict_rules_unref(rules);
    buf_done(&text);
    return f != FAIL_NONE ? cli_fail(cli, &why) : verdict == VERDICT_BLOCK ? 1 : COMMAND_OK;
}

/* ---- what rules would have done ---- */

struct tally {
    const char *rule; /* the rules' own */
    enum verdict verdict;
    size_t texts, hits;
    char examples[EXAMPLES][160];
    size_t examples_n;
};
struct past {
    struct verdict_rules *rules;
    struct tally tallies[VERDICT_MAX_RULES];
    size_t n;
    size_t texts, by_verdict[VERDICT_COUNT];
};

static struct tally *tally_of(struct past *p, const struct verdict_hit *h)
{
    for (size_t i = 0; i < p->n; i++) {
        if (p->tallies[i].rule == h->rule) {
            return &p->tallies[i];
        }
    }
    if (p->n == VERDICT_MAX_RULES) {
        return &p->tallies[VERDICT_MAX_RULES - 1];
    }
    p->tallies[p->n] = (struct tally){.rule = h->rule, .verdict = h->verdict};
    return &p->tallies[p->n++];
}

static void try_text(struct past *p, const char *artifact, const char *workflow, const char *text,
                     bool out)
{
    struct verdict_result v;
    struct verdict_ask ask = {.side = out ? VERDICT_OUT : VERDICT_IN, .team = "",
                              .workflow = workflow, .text = text, .n = strlen(text)};
    if (!verdict_check(p->rules, &ask, &v)) {
        return;
    }
    p->texts++;
    p->by_verdict[v.verdict]++;
    const char *before = NULL;
    for (size_t i = 0; i < v.n; i++) {
        const struct verdict_hit *h = &v.items[i];
        struct tally *t = tally_of(p, h);
        t->hits++;
        t->texts += before == h->rule ? 0 : 1;
        if (before != h->rule && t->examples_n < EXAMPLES) {
            size_t n = h->to - h->from > EXAMPLE_BYTES ? EXAMPLE_BYTES : h->to - h->from;
            n = text_utf8_cut(text + h->from, n);
            snprintf(t->examples[t->examples_n++], sizeof(t->examples[0]), "%.40s %s: %.*s",
                     artifact, h->found, (int)n, text + h->from);
        }
        before = h->rule;
    }
    verdict_result_done(&v);
}

/* One artifact's input and draft. */
static enum fail try_artifact(struct cli *cli, struct past *p, const char *id, struct fault *why)
{
    char path[128];
    json_t *j AUTO_JSON = NULL;
    snprintf(path, sizeof(path), "/api/v1/artifacts/%.60s?open=0", id);
    enum fail f = cli_send(cli, "GET", path, NULL, NULL, 0, &j, why);
    if (f == FAIL_NONE) {
        try_text(p, id, cli_str(j, "workflow"), cli_str(j, "input"), false);
        if (cli_str(j, "draft")[0] != '\0') {
            try_text(p, id, cli_str(j, "workflow"), cli_str(j, "draft"), true);
        }
    }
    return f;
}

static void print_past(const struct cli *cli, const struct past *p)
{
    struct jn_writer w;
    struct buf out;
    buf_init(&out, TEXT_BYTES);
    jn_begin(&w, &out, false);
    jn_object_begin(&w);
    jn_kv_str(&w, "release", verdict_rules_release(p->rules));
    jn_kv_int(&w, "texts", (int64_t)p->texts);
    for (int v = 0; v < VERDICT_COUNT; v++) {
        jn_kv_int(&w, verdict_name((enum verdict)v), (int64_t)p->by_verdict[v]);
    }
    jn_key(&w, "rules");
    jn_array_begin(&w);
    for (size_t i = 0; i < p->n; i++) {
        const struct tally *t = &p->tallies[i];
        jn_object_begin(&w);
        jn_kv_str(&w, "rule", t->rule);
        jn_kv_str(&w, "verdict", verdict_name(t->verdict));
        jn_kv_int(&w, "texts", (int64_t)t->texts);
        jn_kv_int(&w, "hits", (int64_t)t->hits);
        jn_key(&w, "examples");
        jn_array_begin(&w);
        for (size_t k = 0; k < t->examples_n; k++) {
            jn_put_str(&w, t->examples[k]);
        }
        jn_array_end(&w);
        jn_object_end(&w);
    }
    jn_array_end(&w);
    jn_object_end(&w);
    if (cli->json) {
        printf("%s\n", out.data);
    } else {
        for (size_t i = 0; i < p->n; i++) {
            const struct tally *t = &p->tallies[i];
            printf("%-24s %-7s %6zu texts, %zu places\n", t->rule, verdict_name(t->verdict),
                   t->texts, t->hits);
            for (size_t k = 0; k < t->examples_n; k++) {
                printf("    %s\n", t->examples[k]);
            }
        }
        printf("%zu texts: %zu allowed, %zu redacted, %zu to review, %zu blocked. Nothing was "
               "changed.\n", p->texts, p->by_verdict[VERDICT_ALLOW], p->by_verdict[VERDICT_REDACT],
               p->by_verdict[VERDICT_REVIEW], p->by_verdict[VERDICT_BLOCK]);
    }
    buf_done(&out);
}

/* The ids of the newest `most` artifacts; the listing is from the oldest, page by page. */
static enum fail past_ids(struct cli *cli, size_t most, char (*ids)[64], size_t *n,
                          struct fault *why)
{
    char path[160];
    char after[64] = "";
    size_t seen = 0;
    enum fail f = FAIL_NONE;
    do {
        json_t *page AUTO_JSON = NULL;
        json_t *row;
        size_t i;
        snprintf(path, sizeof(path), "/api/v1/artifacts?limit=500%s%s",
                 after[0] != '\0' ? "&after=" : "", after);
        f = cli_send(cli, "GET", path, NULL, NULL, 0, &page, why);
        json_array_foreach(json_object_get(page, "artifacts"), i, row) {
            (void)text_copy(ids[seen++ % most], sizeof(ids[0]), cli_str(row, "artifact"));
        }
        (void)text_copy(after, sizeof(after), f == FAIL_NONE ? cli_str(page, "next") : "");
    } while (f == FAIL_NONE && after[0] != '\0');
    *n = seen < most ? seen : most;
    return f;
}

int command_guard_test(struct cli *cli)
{
    struct fault why = {0};
    int64_t most = 0;
    size_t n = 0;
    if (!cli_number(cli, "past", 1, 5000, 100, &most)) {
        return COMMAND_USAGE;
    }
    struct past *p = mem_alloc(sizeof(*p));
    char(*ids)[64] = mem_alloc_array((size_t)most, sizeof(*ids));
    enum fail f = read_rules(cli->words[0], &p->rules, &why);
    f = f == FAIL_NONE ? past_ids(cli, (size_t)most, ids, &n, &why) : f;
    for (size_t i = 0; i < n && f == FAIL_NONE; i++) {
        f = try_artifact(cli, p, ids[i], &why);
        if (i % 100 == 99) {
            cli_note(cli, "%zu of %zu", i + 1, n);
        }
    }
    if (f == FAIL_NONE) {
        print_past(cli, p);
    }
    verdict_rules_unref(p->rules);
    mem_free(p);
    mem_free(ids);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}

/* ---- the rules that serve ---- */

int command_guard_rules(struct cli *cli)
{
    struct fault why;
    size_t i;
    json_t *r;
    json_t *j AUTO_JSON = NULL;
    if (cli_send(cli, "GET", "/api/v1/guard/rules", NULL, NULL, 0, &j, &why) != FAIL_NONE) {
        return cli_fail(cli, &why);
    }
    if (cli->json) {
        cli_print_json(j);
        return COMMAND_OK;
    }
    printf("%s\n", cli_str(j, "yaml"));
    json_array_foreach(json_object_get(j, "releases"), i, r) {
        printf("%.12s  %-9s  by %s, approved by %s\n", cli_str(r, "release"), cli_str(r, "state"),
               cli_str(r, "proposed_by"),
               cli_str(r, "approved_by")[0] != '\0' ? cli_str(r, "approved_by") : "nobody");
    }
    return COMMAND_OK;
}

static int print_change(struct cli *cli, enum fail f, const json_t *j, const struct fault *why)
{
    if (f != FAIL_NONE) {
        return cli_fail(cli, why);
    }
    if (cli->json) {
        cli_print_json(j);
    } else {
        printf("%s is %s\n", cli_str(j, "release"), cli_str(j, "state"));
    }
    return COMMAND_OK;
}

int command_guard_put(struct cli *cli)
{
    struct fault why;
    struct buf text;
    json_t *j AUTO_JSON = NULL;
    buf_init(&text, VERDICT_MAX_BYTES + 1);
    enum fail f = cli_read_file(cli->words[0], &text, &why);
    f = f == FAIL_NONE ? cli_send(cli, "POST", "/api/v1/guard/rules", "application/yaml",
                                  text.len > 0 ? text.data : "", text.len, &j, &why)
                       : f;
    buf_done(&text);
    return print_change(cli, f, j, &why);
}

int command_guard_approve(struct cli *cli)
{
    struct fault why;
    char path[160];
    json_t *j AUTO_JSON = NULL;
    snprintf(path, sizeof(path), "/api/v1/guard/rules/%.64s/approve", cli->words[0]);
    enum fail f = cli_send(cli, "POST", path, "application/json", "{}", 2, &j, &why);
    return print_change(cli, f, j, &why);
}
