/* SPDX-License-Identifier: Apache-2.0 */
/* The document: sections as functions over the facts, one small printer for both formats. */
#include "prove/govern/govern.h"

#include <string.h>

#include "base/text/text.h"

static const struct {
    const char *framework, *id, *asks, *met, *needs, *gap;
} rows[] = {
#define ROW(framework, id, asks, met, needs, gap) {framework, id, asks, met, needs, gap},
#include "prove/govern/rows.def"
#undef ROW
};

/* ---- printing ---- */

struct page {
    struct buf *out;
    bool html;
    size_t columns;
};

/* Markdown: what would start a mark-up or a new cell is escaped; HTML: the five entities. */
static void put_text(struct page *p, const char *s)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c < 0x20 || c == 0x7f) {
            buf_add_char(p->out, ' ');
        } else if (p->html && strchr("&<>\"'", c) != NULL) {
            buf_printf(p->out, "&#%d;", c);
        } else {
            if (!p->html && strchr("\\`*_[]<>|", c) != NULL) {
                buf_add_char(p->out, '\\');
            }
            buf_add_char(p->out, (char)c);
        }
    }
}

static void heading(struct page *p, int level, const char *text)
{
    buf_printf(p->out, p->html ? "<h%d>" : "\n%.*s ", level, "######");
    put_text(p, text);
    if (p->html) {
        buf_printf(p->out, "</h%d>\n", level);
    } else {
        buf_add_str(p->out, "\n\n");
    }
}

static void paragraph(struct page *p, const char *text)
{
    buf_add_str(p->out, p->html ? "<p>" : "");
    put_text(p, text);
    buf_add_str(p->out, p->html ? "</p>\n" : "\n\n");
}

static void cell(struct page *p, const char *text, bool head)
{
    buf_add_str(p->out, !p->html ? "| " : head ? "<th>" : "<td>");
    put_text(p, text[0] != '\0' ? text : "-");
    buf_add_str(p->out, !p->html ? " " : head ? "</th>" : "</td>");
}

static void row(struct page *p, const char *const *cells, size_t n, bool head)
{
    buf_add_str(p->out, p->html ? "<tr>" : "");
    for (size_t i = 0; i < n; i++) {
        cell(p, cells[i], head);
    }
    buf_add_str(p->out, p->html ? "</tr>\n" : "|\n");
    for (size_t i = 0; head && !p->html && i < n; i++) {
        buf_add_str(p->out, i + 1 < n ? "|---" : "|---|\n");
    }
}

static void table(struct page *p, const char *const *heads, size_t n)
{
    buf_add_str(p->out, p->html ? "<table>\n" : "");
    p->columns = n;
    row(p, heads, n, true);
}

static void table_end(struct page *p)
{
    buf_add_str(p->out, p->html ? "</table>\n" : "\n");
}

/* A cell of a listing: text as it is, numbers and lists as JSON says them. */
static void show(const json_t *v, char *out, size_t room)
{
    out[0] = '\0';
    if (json_is_string(v)) {
        (void)text_copy(out, room, json_string_value(v));
    } else if (json_is_integer(v)) {
        (void)snprintf(out, room, "%lld", (long long)json_integer_value(v));
    } else if (json_is_real(v)) {
        (void)snprintf(out, room, "%.4g", json_real_value(v));
    } else if (json_is_boolean(v)) {
        (void)text_copy(out, room, json_is_true(v) ? "yes" : "no");
    } else if (json_is_array(v)) {
        size_t len = 0;
        for (size_t i = 0; i < json_array_size(v) && len + 2 < room; i++) {
            char one[128];
            show(json_array_get(v, i), one, sizeof(one));
            int n = snprintf(out + len, room - len, "%s%s", i > 0 ? ", " : "", one);
            len += n > 0 ? (size_t)n : 0;
        }
    }
}

/* A listing as a table: heads and members side by side. */
static void listing(struct page *p, const json_t *facts, const char *name,
                    const char *const *heads, const char *const *members, size_t n)
{
    const json_t *list = json_object_get(facts, name);
    char cells[12][512];
    const char *shown[12];
    char text[160];
    if (!json_is_array(list)) {
        (void)snprintf(text, sizeof(text), "Unknown: this server did not say (%s).", name);
        paragraph(p, text);
        return;
    }
    if (json_array_size(list) == 0) {
        paragraph(p, "None.");
        return;
    }
    table(p, heads, n);
    for (size_t i = 0; i < json_array_size(list) && i < GOVERN_ROWS; i++) {
        for (size_t k = 0; k < n; k++) {
            show(json_object_get(json_array_get(list, i), members[k]), cells[k], sizeof(cells[k]));
            shown[k] = cells[k];
        }
        row(p, shown, n, false);
    }
    table_end(p);
    if (json_array_size(list) > GOVERN_ROWS) {
        (void)snprintf(text, sizeof(text), "And %zu more.", json_array_size(list) - GOVERN_ROWS);
        paragraph(p, text);
    }
}
#define LISTING(p, facts, name, heads, members)                                                    \
    do {                                                                                           \
        _Static_assert(COUNT_OF(heads) == COUNT_OF(members) && COUNT_OF(heads) <= 12, "columns");  \
        listing(p, facts, name, heads, members, COUNT_OF(heads));                                  \
    } while (0)

/* ---- figures in sentences ---- */

static void fill(const json_t *facts, const char *text, struct buf *out)
{
    for (const char *s = text; *s != '\0';) {
        const char *end = *s == '{' ? strchr(s, '}') : NULL;
        if (end == NULL) {
            buf_add_char(out, *s++);
            continue;
        }
        char name[48], value[256];
        (void)snprintf(name, sizeof(name), "%.*s", (int)(end - s - 1), s + 1);
        govern_figure(facts, name, value, sizeof(value));
        buf_add_str(out, value);
        s = end + 1;
    }
}

static void say(struct page *p, const json_t *facts, const char *text)
{
    struct buf b;
    buf_init(&b, 4096);
    fill(facts, text, &b);
    paragraph(p, b.data != NULL ? b.data : "");
    buf_done(&b);
}

/* Are all figures in `needs` there and not 0? */
static bool holds(const json_t *facts, const char *needs)
{
    char value[256];
    while (*needs != '\0') {
        size_t n = strcspn(needs, " ");
        char name[48];
        (void)snprintf(name, sizeof(name), "%.*s", (int)n, needs);
        govern_figure(facts, name, value, sizeof(value));
        if (strcmp(value, "0") == 0 || strcmp(value, "?") == 0) {
            return false;
        }
        needs += n + strspn(needs + n, " ");
    }
    return true;
}

/* ---- sections ---- */

static void datasets(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Dataset", "Owner", "Label", "Purpose", "Source",
                                        "Keeps days", "Review by", "Documents"};
    static const char *const members[] = {"name", "owner", "label", "purpose", "source",
                                          "retention_days", "review_at", "documents"};
    static const char *const grant_heads[] = {"Dataset", "Who may read it", "How", "Reason",
                                              "Granted by", "Until"};
    static const char *const grant_members[] = {"dataset", "who", "how", "reason", "granted_by",
                                                "ends_at"};
    heading(p, 2, "Which datasets for which teams");
    LISTING(p, facts, "datasets", heads, members);
    heading(p, 3, "Who can read them now");
    LISTING(p, facts, "readers", grant_heads, grant_members);
}

static void access_(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Name", "Team", "Role", "Scopes", "Made by", "Made",
                                        "Ends", "Last used", "Revoked"};
    static const char *const members[] = {"name", "team", "role", "scopes", "created_by",
                                          "created_at", "expires_at", "last_use_at",
                                          "revoked_at"};
    static const char *const user_heads[] = {"Name", "Kind", "Vouched for by", "Teams, roles",
                                             "Made by", "Last sign-in", "Disabled"};
    static const char *const user_members[] = {"name", "kind", "origin", "roles", "created_by",
                                               "last_login_at", "disabled_at"};
    static const char *const team_heads[] = {"Team", "Label", "Members", "Keys"};
    static const char *const team_members[] = {"name", "label", "members", "keys"};
    static const char *const role_heads[] = {"Role", "Scopes"};
    static const char *const role_members[] = {"role", "scopes"};
    heading(p, 2, "How access is granted and audited");
    say(p, facts,
        "Everything is denied that is not granted. A dataset is granted by its owner, with a "
        "reason and an end; a key is made by an administrator and shown once. Recorded so far: "
        "{records.key_added} keys made, {records.key_revoked} revoked, {records.knowledge_changed} "
        "changes of datasets and grants, {records.refused} refusals.");
    LISTING(p, facts, "roles", role_heads, role_members);
    heading(p, 3, "People");
    LISTING(p, facts, "users", user_heads, user_members);
    heading(p, 3, "Teams");
    LISTING(p, facts, "teams", team_heads, team_members);
    heading(p, 3, "Keys");
    LISTING(p, facts, "keys", heads, members);
}

static void models(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Model", "Role", "File (sha256)", "Weights", "Licence",
                                        "Source", "Added", "State"};
    static const char *const members[] = {"name", "role", "sha256", "quant", "licence", "source",
                                          "added_at", "state"};
    static const char *const flow_heads[] = {"Workflow", "Release (sha256)", "Dataset"};
    static const char *const flow_members[] = {"name", "release", "dataset"};
    heading(p, 2, "How model versions are tracked");
    say(p, facts,
        "A model is its file's sha256, checked on the very descriptor that is loaded; each "
        "answer's record names it. Recorded so far: {records.model_added} added, "
        "{records.model_removed} removed, {records.model_changed} loads and other changes, "
        "{records.learned} trainings.");
    LISTING(p, facts, "models", heads, members);
    heading(p, 3, "Workflows");
    LISTING(p, facts, "workflows", flow_heads, flow_members);
}

static void approvals(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Change", "Who may", "Second person", "Route"};
    static const char *const members[] = {"change", "who", "second", "route"};
    static const char *const version_heads[] = {"Of", "Version", "State", "Proposed by",
                                                "Approved by", "Changed"};
    static const char *const version_members[] = {"kind", "release", "state", "proposed_by",
                                                  "approved_by", "at"};
    static const char *const rule_heads[] = {"Release", "State", "Proposed by", "Approved by",
                                             "Changed"};
    static const char *const rule_members[] = {"release", "state", "proposed_by", "approved_by",
                                               "at"};
    static const char *const cert_heads[] = {"Workflow", "Field", "Rung", "Evidence", "Items",
                                             "Errors", "Error at most", "State", "Issued"};
    static const char *const cert_members[] = {"workflow", "field", "rung", "class", "n",
                                               "errors", "error_at_most", "state", "issued_at"};
    heading(p, 2, "What approval updates need");
    paragraph(p, "Every change that the server takes, as its table of routes says; each one is a "
                 "record.");
    LISTING(p, facts, "approvals", heads, members);
    heading(p, 3, "Versions, and who approved them");
    LISTING(p, facts, "versions", version_heads, version_members);
    heading(p, 3, "Decision rules");
    LISTING(p, facts, "rules", rule_heads, rule_members);
    heading(p, 3, "Certificates: what answers alone, and on what proof");
    LISTING(p, facts, "certificates", cert_heads, cert_members);
}

static void in_force(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Rule", "Decides"};
    static const char *const members[] = {"name", "decides"};
    static const char *const limit_heads[] = {"Of", "Name", "Requests/min", "Tokens/min",
                                              "At once", "Day", "Month", "Stopped"};
    static const char *const limit_members[] = {"kind", "name", "requests", "tokens", "parallel",
                                                "day", "month", "halted"};
    static const char *const up_heads[] = {"Server", "Kind", "Address", "In house", "Circuit",
                                           "Calls", "Problem"};
    static const char *const up_members[] = {"name", "kind", "base", "on_prem", "circuit",
                                             "attempts", "problem"};
    static const char *const pass_heads[] = {"Rule", "Of what goes", "Verdict", "Teams",
                                             "Workflows", "Why"};
    static const char *const pass_members[] = {"rule", "side", "verdict", "team", "workflow",
                                               "why"};
    static const char *const guard_heads[] = {"Finds", "Rule"};
    static const char *const guard_members[] = {"kind", "does"};
    heading(p, 2, "Rules in force");
    heading(p, 3, "Where a request may be answered");
    paragraph(p, "The first row that matches decides. Labels: public, internal, confidential, "
                 "restricted; a request's is the highest of team, dataset, workflow and what the "
                 "guard finds. Restricted never leaves; confidential only redacted, by a row that "
                 "names it.");
    LISTING(p, facts, "rows", heads, members);
    heading(p, 3, "What may pass");
    LISTING(p, facts, "guard_rules", pass_heads, pass_members);
    heading(p, 3, "Guard");
    LISTING(p, facts, "guard", guard_heads, guard_members);
    heading(p, 3, "Limits and stop switches");
    LISTING(p, facts, "limits", limit_heads, limit_members);
    heading(p, 2, "Other servers");
    LISTING(p, facts, "upstreams", up_heads, up_members);
}

static void record(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Where to", "How", "Covers", "When", "Problem"};
    static const char *const members[] = {"target", "kind", "size", "at", "fault"};
    static const char *const kind_heads[] = {"Kind", "Records"};
    static const char *const kind_members[] = {"kind", "n"};
    heading(p, 2, "The record and its retention");
    say(p, facts, "{records} records, the oldest {oldest_days} days old; none is ever deleted. "
        "Contents are encrypted under a key per person and are erased with it, while the log still "
        "verifies ({records.erased} erasures).");
    say(p, facts,
        "Log {origin}, checkpoint at {checkpoint.size}, root {checkpoint.root}, key {key}.");
    LISTING(p, facts, "counts", kind_heads, kind_members);
    heading(p, 3, "Where checkpoints left to");
    LISTING(p, facts, "left", heads, members);
}

static void mapping(struct page *p, const json_t *facts)
{
    static const char *const heads[] = {"Framework", "Item", "Asks", "Here",
                                        "What meets it, with today's figures", "Not covered"};
    struct buf met;
    heading(p, 2, "Requirements");
    paragraph(p,
              "Made from the figures above. It is no certificate of conformity: it says what this "
              "server does and, in the last column, what it does not.");
    table(p, heads, COUNT_OF(heads));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        buf_init(&met, 4096);
        fill(facts, rows[i].met, &met);
        const char *cells[] = {rows[i].framework, rows[i].id, rows[i].asks,
                               !holds(facts, rows[i].needs) ? "NOT MET HERE NOW"
                               : rows[i].gap[0] != '\0'     ? "in part"
                                                            : "met",
                               met.data != NULL ? met.data : "",
                               rows[i].gap};
        row(p, cells, COUNT_OF(cells), false);
        buf_done(&met);
    }
    table_end(p);
}

static const char html_head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n<title>Governance file</title>\n<style>body{font:15px/1.45 "
    "sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;"
    "margin:.6rem 0}td,th{border:1px solid #bbb;padding:.25rem .5rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}th{background:#eee}</style></head><body>\n";

void govern_write(const json_t *facts, enum govern_format format, struct buf *out)
{
    struct page p = {.out = out, .html = format == GOVERN_HTML};
    if (p.html) {
        buf_add_str(out, html_head);
        heading(&p, 1, "Governance file");
    } else {
        buf_add_str(out, "# Governance file\n\n");
    }
    say(&p, facts, "Made at {at} from the running server inhouse {version} by {by}. {solo_notice}");
    datasets(&p, facts);
    access_(&p, facts);
    models(&p, facts);
    approvals(&p, facts);
    in_force(&p, facts);
    record(&p, facts);
    mapping(&p, facts);
    if (p.html) {
        buf_add_str(out, "</body></html>\n");
    }
}
