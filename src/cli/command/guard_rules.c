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

static long long number(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

static void print_past(const json_t *j)
{
    size_t i, k;
    json_t *rule, *sample;
    json_array_foreach(json_object_get(j, "rules"), i, rule) {
        printf("%-24s %-7s %6lld texts, %lld places\n", cli_str(rule, "rule"),
               cli_str(rule, "verdict"), number(rule, "texts"),
               number(rule, "hits"));
        json_array_foreach(json_object_get(rule, "samples"), k, sample) {
            printf("    %s %-3s %s: %s\n", cli_str(sample, "task"), cli_str(sample, "side"),
                   cli_str(sample, "found"), cli_str(sample, "text"));
        }
    }
    printf("%lld texts of %lld tasks: %lld allowed, %lld redacted, %lld to review, %lld blocked. "
           "Nothing was changed.\n",
           number(j, "texts"), number(j, "tasks"),
           number(j, "allow"), number(j, "redact"),
           number(j, "review"), number(j, "block"));
    if (number(j, "gone") > 0) {
        printf("%lld tasks had no content left: failed, or erased.\n",
               number(j, "gone"));
    }
    if (number(j, "not_assessed") > 0) {
        printf("%lld texts: whether they are supported is not assessed here.\n",
               number(j, "not_assessed"));
    }
}

int command_guard_test(struct cli *cli)
{
    struct fault why = {0};
    int64_t most = 0;
    struct jn_writer w;
    struct buf text, body;
    json_t *j AUTO_JSON = NULL;
    const char *workflow = cli_option(cli, "workflow");
    if (!cli_number(cli, "past", 1, 5000, 500, &most)) {
        return COMMAND_USAGE;
    }
    struct verdict_rules *rules = NULL;
    buf_init(&text, VERDICT_MAX_BYTES + 1);
    buf_init(&body, 4 * TEXT_BYTES);
    enum fail f = read_rules(cli->words[0], &rules, &why); /* its errors with their lines, here */
    f = f == FAIL_NONE ? cli_read_file(cli->words[0], &text, &why) : f;
    if (f == FAIL_NONE) {
        jn_begin(&w, &body, false);
        jn_object_begin(&w);
        jn_kv_str(&w, "rules", text.data);
        jn_kv_int(&w, "past", most);
        if (workflow != NULL) {
            jn_kv_str(&w, "workflow", workflow);
        }
        jn_object_end(&w);
        f = cli_send(cli, "POST", "/api/v1/guard/dry-run", "application/json", body.data, body.len,
                     &j, &why);
    }
    if (f == FAIL_NONE && cli->json) {
        cli_print_json(j);
    } else if (f == FAIL_NONE) {
        print_past(j);
    }
    verdict_rules_unref(rules);
    buf_done(&text);
    buf_done(&body);
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
