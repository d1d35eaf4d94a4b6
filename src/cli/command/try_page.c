/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a try: one file, no script, nothing fetched, light and dark. Everything from
   tickets is escaped. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define PAGE_MAX ((size_t)4 * 1024 * 1024)
#define BAR_WIDTH 360
#define TARGET_ERROR 0.05

static const char head[] =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<title>What a server of our own would have done with our tickets</title>\n<style>\n"
    ":root{color-scheme:light "
    "dark;--ink:#1c2430;--dim:#5b6675;--paper:#fff;--line:#d8dee6;--bar:#2f6fb3;--bad:#b3452f}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#9aa6b5;--paper:#14181e;--line:#"
    "2c3440;--bar:#6aa8e8;"
    "--bad:#e88a6a}}\n"
    "body{font:16px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:56rem;margin:2rem "
    "auto;"
    "padding:0 "
    "1rem}\nh1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem}p,td,th{overflow-wrap:"
    "anywhere}\n"
    "table{border-collapse:collapse;width:100%}td,th{padding:.35rem .6rem;border-bottom:1px solid "
    "var(--line);"
    "text-align:left;vertical-align:top}\n.dim{color:var(--dim)}.n{text-align:right}pre{white-"
    "space:pre-wrap;font:inherit;"
    "margin:0}svg{max-width:100%}\ntext{fill:var(--ink);font:13px system-ui,sans-serif}\n"
    ".two{display:grid;grid-template-columns:1fr "
    "1fr;gap:1rem}@media(max-width:40rem){.two{grid-template-columns:1fr}}\n"
    ".box{border:1px solid var(--line);border-radius:6px;padding:.8rem}\n</style></head><body>\n";

static void put(struct buf *b, const char *s)
{
    for (; s != NULL && *s != '\0'; s++) {
        switch (*s) {
        case '&':
            (void)buf_add_str(b, "&amp;");
            break;
        case '<':
            (void)buf_add_str(b, "&lt;");
            break;
        case '>':
            (void)buf_add_str(b, "&gt;");
            break;
        case '"':
            (void)buf_add_str(b, "&quot;");
            break;
        default:
            (void)buf_add_char(b, *s);
        }
    }
}

static void put_bar(struct buf *b, const char *label, double share, const char *color)
{
    (void)buf_printf(b, "<svg viewBox=\"0 0 640 24\" width=\"640\" height=\"24\" "
                        "role=\"img\"><text x=\"0\" y=\"16\">");
    put(b, label);
    (void)buf_printf(
        b,
        "</text><rect x=\"190\" y=\"4\" width=\"%d\" height=\"15\" fill=\"var(--line)\"/>"
        "<rect x=\"190\" y=\"4\" width=\"%.1f\" height=\"15\" fill=\"var(--%s)\"/>"
        "<text x=\"%d\" y=\"16\">%.1f %%</text></svg><br>\n",
        BAR_WIDTH, BAR_WIDTH * fmin(1, fmax(0, share)), color, 190 + BAR_WIDTH + 8, 100 * share);
}

static const struct measure_field *find(const struct measure_run *m, const char *name)
{
    for (size_t i = 0; i < m->fields_len; i++) {
        if (strcmp(m->fields[i].name, name) == 0) {
            return &m->fields[i];
        }
    }
    return NULL;
}

static void put_field(struct buf *b, const struct try_outcome *o, const struct try_field *f)
{
    const struct measure_field *m = find(&o->measure, f->name);
    if (m == NULL || f->why_not[0] != '\0') {
        return;
    }
    (void)buf_add_str(b, "<h2>");
    put(b, f->column);
    struct measure_interval w = measure_wilson(m->known.right, m->known.n);
    (void)buf_printf(b,
                     "</h2>\n<p class=\"dim\">%zu values learned from %zu tickets; held against "
                     "people on %lld.</p>\n",
                     f->values, f->given, (long long)m->known.n);
    put_bar(b, "right at first", measure_share(m->known), "bar");
    put_bar(b, "among its first three", measure_share(m->top3), "bar");
    put_bar(b, "always the most frequent", f->majority, "dim");
    put_bar(b, "would have decided alone", m->n > 0 ? (double)m->decided / (double)m->n : 0, "bar");
    if (m->known_decided.n > 0) {
        put_bar(b, "wrong of those", 1 - measure_share(m->known_decided), "bad");
    }
    struct try_trust t = try_trust_of(f, TARGET_ERROR);
    (void)buf_printf(b, "<p>Right at first: %.1f %% (95 %% interval %.1f to %.1f %%). ",
                     100 * measure_share(m->known), 100 * w.low, 100 * w.high);
    if (t.reachable) {
        (void)buf_printf(b, "After about %lld reviewed tickets", (long long)t.items);
        if (o->per_day > 0) {
            (void)buf_printf(b, " (%.0f days at %.1f a day)", ceil((double)t.items / o->per_day),
                             o->per_day);
        }
        (void)buf_printf(b,
                         " it may decide about %.0f %% of them alone with at most 5 %% errors, "
                         "tested exactly at 95 %% "
                         "confidence.</p>\n",
                         100 * t.share);
    } else {
        (void)buf_printf(b,
                         "Deciding alone with at most 5 %% errors is not in sight: of its most "
                         "certain fifth, %.0f %% "
                         "were wrong. It proposes, people decide.</p>\n",
                         100 * t.best_error);
    }
}

static void put_pairs(struct buf *b, const struct try_outcome *o)
{
    if (!o->articles) {
        (void)buf_add_str(b,
                          "<h2>Drafts</h2>\n<p>None: no articles were given to write from.</p>\n");
        return;
    }
    (void)buf_printf(
        b,
        "<h2>Drafts beside what was sent</h2>\n<p>%zu of %lld tickets got a draft. Each is made of "
        "sentences of your own articles.</p>\n",
        o->drafts, (long long)o->measure.tasks);
    for (size_t i = 0; i < o->pairs_len; i++) {
        const struct try_pair *p = &o->pairs[i];
        (void)buf_add_str(b, "<h3>");
        put(b, p->ticket->subject != NULL ? p->ticket->subject : p->ticket->id);
        (void)buf_add_str(
            b, "</h3>\n<div class=\"two\"><div class=\"box\"><p class=\"dim\">Draft, from: ");
        put(b, p->sources);
        (void)buf_add_str(b, "</p><pre>");
        put(b, p->draft);
        (void)buf_add_str(b, "</pre></div><div class=\"box\"><p class=\"dim\">Sent</p><pre>");
        put(b, p->ticket->reply);
        (void)buf_add_str(b, "</pre></div></div>\n");
    }
}

static void put_top(struct buf *b, const struct try_outcome *o)
{
    char from[CLOCK_RFC3339_SIZE], to[CLOCK_RFC3339_SIZE], at[CLOCK_RFC3339_SIZE];
    const struct try_set *s = o->set;
    (void)buf_add_str(b, head);
    (void)buf_add_str(b, "<h1>What a server of our own would have done with our tickets</h1>\n<p>");
    put(b, o->file);
    (void)buf_printf(b, ": %zu tickets", s->n);
    if (s->dated) {
        (void)buf_printf(b, " from %.10s to %.10s", clock_show(s->tickets[0].at_us, from),
                         clock_show(s->tickets[s->n - 1].at_us, to));
    }
    (void)buf_printf(b,
                     ". Learned on the older %zu, answered the newer %lld on this machine; nothing "
                     "was sent anywhere. "
                     "Made %.10s.</p>\n<p>Languages:",
                     s->older, (long long)o->measure.tasks, clock_show(clock_now_us(), at));
    for (size_t i = 0; i < o->languages_len; i++) {
        (void)buf_printf(b, "%s %s %zu", i > 0 ? "," : "", o->languages[i].code, o->languages[i].n);
    }
    (void)buf_printf(b, ".</p>\n");
}

enum fail try_page(const struct try_outcome *o, const char *path, struct fault *why)
{
    struct buf b;
    char temp[CLIENT_PATH_SIZE + 80];
    struct try_outcome sorted = *o; /* percentiles sort their times */
    buf_init(&b, PAGE_MAX);
    put_top(&b, o);
    for (size_t i = 0; i < o->set->fields_len; i++) {
        put_field(&b, o, &o->set->fields[i]);
    }
    put_pairs(&b, o);
    (void)buf_printf(
        &b,
        "<h2>Minutes</h2>\n<p>Assumed: %.1f minutes to sort a ticket by hand, %.1f saved by a "
        "draft that "
        "is used. %zu of %lld tickets would have been sorted without a person (%.0f minutes); %zu "
        "drafts "
        "(up to %.0f minutes). An assumption, not a measurement: a pilot measures it.</p>\n",
        o->minutes_sort, o->minutes_reply, o->whole, (long long)o->measure.tasks,
        (double)o->whole * o->minutes_sort, o->drafts, (double)o->drafts * o->minutes_reply);
    (void)buf_printf(&b,
                     "<h2>How long it took</h2>\n<p>%.0f s to learn, %.0f s to answer; p50 %.0f "
                     "ms, p95 %.0f ms a "
                     "ticket.</p>\n<p class=\"dim\">Made by inhouse %s.</p>\n</body></html>\n",
                     o->learn_s, o->answer_s, measure_ms(&sorted.measure, 0.5),
                     measure_ms(&sorted.measure, 0.95), INHOUSE_VERSION);
    enum fail f =
        b.overflow ? FAULT(why, FAIL_TOO_LARGE, "the page would be over 4 MB") : FAIL_NONE;
    (void)snprintf(temp, sizeof(temp), "%.4100s.tmp-%d", path, (int)getpid());
    int fd = f == FAIL_NONE ? open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    size_t at = 0;
    for (ssize_t n = 1; fd >= 0 && n > 0 && at < b.len; at += n > 0 ? (size_t)n : 0) {
        n = write(fd, b.data + at, b.len - at);
    }
    if (f == FAIL_NONE && (fd < 0 || at < b.len || fsync(fd) != 0 || rename(temp, path) != 0)) {
        f = FAULT_ERRNO(why, fail_from_write_errno(errno), "cannot write %s", path);
        (void)unlink(temp);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    buf_done(&b);
    return f;
}
