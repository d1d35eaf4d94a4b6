/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reviewer's work, without a screen: the item at hand, the one after it, the decision that can
 * still be taken back, what was put aside. Everything typed is kept on the server within a second.
 *
 * Owns: the JSON of the items it holds. Threads: one; every call to the server waits for its
 * answer.
 * Limits: REVIEWER_HELD_MAX put aside.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/review_internal.h"

#define SAVE_US 1000000
#define RENEW_US (60 * 1000000LL)
#define HINT_US 1000000

/* ---- one item ---- */

static void reviewing_done(struct reviewing *x)
{
    json_decref(x->item);
    json_decref(x->fields);
    mem_free(x->draft);
    memset(x, 0, sizeof(*x));
}

static const char *id_of(const struct reviewing *x)
{
    return cli_str(x->item, "artifact");
}

/* As it came, with what this person typed before, if it was begun on the same version. */
static void reviewing_take(struct reviewing *x, json_t *item)
{
    size_t i;
    json_t *s, *working = json_object_get(item, "working"), *chosen;
    memset(x, 0, sizeof(*x));
    x->item = item;
    x->fields = json_object();
    x->seen_us = clock_monotonic_us();
    json_array_foreach(json_object_get(item, "sentences"), i, s) {
        if (i < 32 && json_is_true(json_object_get(s, "chosen"))) {
            x->chosen |= 1U << i;
        }
    }
    if (!json_is_object(working) ||
        !json_equal(json_object_get(working, "version"), json_object_get(item, "version"))) {
        return;
    }
    (void)json_object_update(x->fields, json_object_get(working, "fields"));
    x->draft = mem_dup_str(json_string_value(json_object_get(working, "draft")));
    chosen = json_object_get(working, "chosen");
    if (json_is_array(chosen)) {
        x->chosen = 0;
        x->switched = true;
        json_array_foreach(chosen, i, s) {
            x->chosen |= 1U << (json_integer_value(s) & 31);
        }
    }
}

const char *reviewer_text(const struct reviewing *x)
{
    return x->draft != NULL ? x->draft : json_string_value(json_object_get(x->item, "draft"));
}

static bool is_changed(const struct reviewing *x)
{
    const char *was = json_string_value(json_object_get(x->item, "draft"));
    return json_object_size(x->fields) > 0 ||
           (x->draft != NULL && (was == NULL || strcmp(was, x->draft) != 0));
}

static void say(struct reviewer *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct reviewer *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r->said, sizeof(r->said), fmt, ap);
    va_end(ap);
}

static void say_fault(struct reviewer *r, const struct fault *why)
{
    say(r, "%s%s%s", why->message, why->hint[0] != '\0' ? ". " : "", why->hint);
}

/* ---- the server ---- */

static enum fail post(struct reviewer *r, const char *artifact, const char *verb, json_t *body,
                      json_t **out, struct fault *why)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s/%s", artifact, verb);
    return cli_send_json(r->cli, strcmp(verb, "working") == 0 ? "PUT" : "POST", path, body, out,
                         why);
}

static void give_back(struct reviewer *r, const char *artifact)
{
    struct fault why;
    json_t *out AUTO_JSON = NULL;
    (void)!post(r, artifact, "release", json_object(), &out, &why);
}

static enum fail take_next(struct reviewer *r, struct reviewing *x, bool resume, struct fault *why)
{
    json_t *out AUTO_JSON = NULL;
    json_t *ask = json_pack("{s:b}", "resume", resume);
    static const char *const names[] = {"order", "workflow", "queue", "language"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *value = cli_option(r->cli, names[i]);
        if (value != NULL) {
            (void)json_object_set_new(ask, names[i], json_string(value));
        }
    }
    enum fail f = cli_send_json(r->cli, "POST", "/api/v1/review/next", ask, &out, why);
    json_t *item = json_object_get(out, "item");
    if (f == FAIL_NONE && json_is_object(item)) {
        reviewing_take(x, json_incref(item));
    }
    return f;
}

static json_t *chosen_list(unsigned chosen)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < 32; i++) {
        if ((chosen & 1U << i) != 0) {
            (void)json_array_append_new(list, json_integer(i));
        }
    }
    return list;
}

/* Keeps what was typed; with `render` the server makes the draft of the chosen sentences. */
static void save(struct reviewer *r, struct reviewing *x, bool render)
{
    struct fault why;
    json_t *out AUTO_JSON = NULL;
    json_t *body = json_pack("{s:O,s:O}", "version", json_object_get(x->item, "version"), "fields",
                             x->fields);
    if (x->switched) {
        (void)json_object_set_new(body, "chosen", chosen_list(x->chosen));
    }
    if (x->draft != NULL && !render) {
        (void)json_object_set_new(body, "draft", json_string(x->draft));
    }
    x->dirty = false;
    if (post(r, id_of(x), "working", body, &out, &why) != FAIL_NONE) {
        say_fault(r, &why);
        return;
    }
    if (render && json_is_string(json_object_get(out, "draft"))) {
        mem_free(x->draft);
        x->draft = mem_dup_str(cli_str(out, "draft"));
    }
    if (!json_is_true(json_object_get(out, "held"))) {
        say(r, "your lease is over: what you typed is kept, and somebody else may take it");
    }
}

/* ---- decisions, which wait a moment ---- */

static void tell_result(struct reviewer *r, const json_t *made)
{
    const char *kind = cli_str(made, "kind");
    if (strcmp(kind, "practice") == 0) {
        char *known = json_dumps(json_object_get(made, "known"), JSON_COMPACT);
        say(r, "that was practice: %s; known answer %.300s",
            json_is_true(json_object_get(made, "right")) ? "right" : "not the known answer", known);
        free(known); /* tidy: memory: jansson's own */
    } else if (strcmp(kind, "second") == 0) {
        say(r, "that was a second look: you %s",
            json_is_true(json_object_get(made, "agrees")) ? "agree with the first" : "differ");
    }
}

static void send_pending(struct reviewer *r)
{
    struct fault why;
    json_t *made AUTO_JSON = NULL;
    if (r->pending.item == NULL) {
        return;
    }
    json_t *body = r->body;
    r->body = NULL;
    enum fail f = post(r, id_of(&r->pending), "decision", json_incref(body), &made, &why);
    if (f == FAIL_UPSTREAM_FAILED || f == FAIL_WORKER_DIED) { /* once more: twice is once */
        f = post(r, id_of(&r->pending), "decision", json_incref(body), &made, &why);
    }
    json_decref(body);
    if (f == FAIL_NONE) {
        r->decided++;
        tell_result(r, made);
    } else {
        say(r, "%.60s was not decided: %.300s", cli_str(r->pending.item, "title"), why.message);
    }
    reviewing_done(&r->pending);
}

static bool decide(struct reviewer *r, const char *action, json_t *body, const char *what)
{
    send_pending(r);
    (void)json_object_set(body, "version", json_object_get(r->now.item, "version"));
    (void)json_object_set_new(body, "action", json_string(action));
    (void)json_object_set_new(
        body, "review_ms", json_integer((clock_monotonic_us() - r->now.seen_us) / 1000));
    const json_t *ticket = json_object_get(r->now.item, "ticket");
    if (json_is_object(ticket)) { /* the one that was on the screen */
        (void)json_object_set(body, "ticket_version", json_object_get(ticket, "version"));
    }
    r->pending = r->now;
    memset(&r->now, 0, sizeof(r->now));
    r->body = body;
    r->due_us = clock_monotonic_us() + REVIEWER_UNDO_MS * 1000LL;
    (void)snprintf(r->what, sizeof(r->what), "%s %.60s", what, cli_str(r->pending.item, "title"));
    say(r, "%s", r->what);
    return true;
}

/* What was asked without its proposal and has no answer yet; NULL: nothing. */
static const char *unanswered(const struct reviewing *x)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(x->item, "fields"), i, f) {
        if (json_is_true(json_object_get(f, "withheld")) &&
            json_object_get(x->fields, cli_str(f, "name")) == NULL) {
            return cli_str(f, "name");
        }
    }
    return NULL;
}

bool reviewer_approve(struct reviewer *r)
{
    const char *missing = unanswered(&r->now);
    if (missing != NULL) {
        say(r, "this one is asked without its proposal: say %s first (f)", missing);
        return false;
    }
    json_t *body = json_object();
    bool changed = is_changed(&r->now);
    if (json_object_size(r->now.fields) > 0) {
        (void)json_object_set(body, "fields", r->now.fields);
    }
    if (changed && r->now.draft != NULL) {
        (void)json_object_set_new(body, "draft", json_string(r->now.draft));
    }
    bool forced = json_is_true(json_object_get(r->now.item, "forced"));
    return decide(r, changed && !forced ? "edit" : "approve", body,
                  changed ? "approved as changed:" : "approved:");
}

bool reviewer_reject(struct reviewer *r, const char *reason)
{
    if (reason == NULL || reason[0] == '\0') {
        say(r, "nothing was decided: a rejection has a reason");
        return false;
    }
    return decide(r, "reject", json_pack("{s:s}", "reason", reason), "rejected:");
}

bool reviewer_escalate(struct reviewer *r, const char *text)
{
    char to[80] = "";
    if (text[0] == '@') {
        size_t n = strcspn(text, " ");
        (void)snprintf(to, sizeof(to), "%.*s", (int)(n < 79 ? n : 79) - 1, text + 1);
        text += n + strspn(text + n, " ");
    }
    if (text[0] == '\0') {
        say(r, "nothing was decided: an escalation says what it needs");
        return false;
    }
    json_t *body = json_pack("{s:s}", "reason", text);
    if (to[0] != '\0') {
        (void)json_object_set_new(body, "to", json_string(to));
    }
    return decide(r, "escalate", body, "escalated:");
}

/* ---- aside ---- */

static void put_aside(struct reviewer *r, bool hinted)
{
    if (r->aside_len == REVIEWER_HELD_MAX) { /* the oldest goes back to the others */
        give_back(r, r->aside[0]);
        memmove(r->aside, r->aside + 1, sizeof(r->aside) - sizeof(r->aside[0]));
        memmove(r->hinted, r->hinted + 1, sizeof(r->hinted) - sizeof(r->hinted[0]));
        r->aside_len--;
    }
    (void)text_copy(r->aside[r->aside_len], sizeof(r->aside[0]), id_of(&r->now));
    r->hinted[r->aside_len++] = hinted;
}

static void take_from_aside(struct reviewer *r, size_t i)
{
    memmove(r->aside + i, r->aside + i + 1, (r->aside_len - i - 1) * sizeof(r->aside[0]));
    memmove(r->hinted + i, r->hinted + i + 1, (r->aside_len - i - 1) * sizeof(r->hinted[0]));
    r->aside_len--;
}

void reviewer_skip(struct reviewer *r)
{
    if (r->now.item != NULL) {
        if (r->now.dirty) {
            save(r, &r->now, false);
        }
        put_aside(r, false);
        reviewing_done(&r->now);
        say(r, "put aside");
    }
}

bool reviewer_hint(struct reviewer *r, const char *hint)
{
    struct fault why;
    json_t *out AUTO_JSON = NULL;
    if (hint[0] == '\0') {
        return false;
    }
    json_t *body = json_pack("{s:O,s:s}", "version", json_object_get(r->now.item, "version"),
                             "hint", hint);
    if (post(r, id_of(&r->now), "hint", body, &out, &why) != FAIL_NONE) {
        say_fault(r, &why);
        return false;
    }
    say(r, "asked again; it comes back when the new proposal is there");
    put_aside(r, true);
    reviewing_done(&r->now);
    return true;
}

/* Has a hint come back? Then it is the next one. */
static bool look_aside(struct reviewer *r)
{
    struct fault why;
    for (size_t i = 0; i < r->aside_len; i++) {
        json_t *item = NULL;
        char path[120];
        if (!r->hinted[i]) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s", r->aside[i]);
        if (cli_send(r->cli, "GET", path, NULL, NULL, 0, &item, &why) != FAIL_NONE) {
            take_from_aside(r, i);
            return false;
        }
        const json_t *hint = json_object_get(item, "hint");
        if (strcmp(cli_str(hint, "state"), "running") == 0) {
            json_decref(item);
            continue;
        }
        say(r, strcmp(cli_str(hint, "state"), "done") == 0
                   ? "a new proposal came for %.80s: it is next (n)"
                   : "no new proposal for %.80s", cli_str(item, "title"));
        if (r->next.item != NULL) {
            give_back(r, id_of(&r->next));
            reviewing_done(&r->next);
        }
        take_from_aside(r, i);
        reviewing_take(&r->next, item);
        return true;
    }
    return false;
}

/* ---- going on ---- */

void reviewer_open(struct reviewer *r, struct cli *cli)
{
    memset(r, 0, sizeof(*r));
    r->cli = cli;
    r->renewed_us = r->asked_us = clock_monotonic_us();
}

enum fail reviewer_advance(struct reviewer *r, struct fault *why)
{
    enum fail f = FAIL_NONE;
    bool first = r->decided == 0 && r->aside_len == 0 && r->pending.item == NULL;
    if (r->now.item != NULL && r->now.dirty) {
        save(r, &r->now, false);
    }
    reviewing_done(&r->now);
    if (r->next.item != NULL) {
        r->now = r->next;
        memset(&r->next, 0, sizeof(r->next));
        r->now.seen_us = clock_monotonic_us();
    } else {
        /* What was held before this session comes first; what is pending or aside does not. */
        f = take_next(r, &r->now, first, why);
    }
    r->over = f == FAIL_NONE && r->now.item == NULL;
    return f;
}

void reviewer_preload(struct reviewer *r)
{
    struct fault why;
    if (r->now.item != NULL && r->next.item == NULL) {
        (void)!take_next(r, &r->next, false, &why);
    }
}

bool reviewer_undo(struct reviewer *r)
{
    if (r->pending.item == NULL) {
        say(r, "there is nothing to take back");
        return false;
    }
    if (r->now.item != NULL) {
        if (r->next.item != NULL) {
            give_back(r, id_of(&r->next));
            reviewing_done(&r->next);
        }
        r->next = r->now;
    }
    r->now = r->pending;
    memset(&r->pending, 0, sizeof(r->pending));
    json_decref(r->body);
    r->body = NULL;
    r->over = false;
    say(r, "taken back");
    return true;
}

bool reviewer_tick(struct reviewer *r)
{
    int64_t now = clock_monotonic_us();
    bool drawn = false;
    if (r->pending.item != NULL && now >= r->due_us) {
        r->said[0] = '\0';
        send_pending(r);
        drawn = true;
    }
    if (r->now.item != NULL && r->now.dirty && now - r->now.changed_us >= SAVE_US) {
        save(r, &r->now, false);
        drawn = true;
    }
    if (now - r->renewed_us >= RENEW_US) {
        struct fault why;
        const struct reviewing *held[] = {&r->now, &r->next, &r->pending};
        r->renewed_us = now;
        for (size_t i = 0; i < COUNT_OF(held) + r->aside_len; i++) {
            const char *id = i >= COUNT_OF(held)         ? r->aside[i - COUNT_OF(held)]
                             : held[i]->item != NULL ? id_of(held[i]) : NULL;
            json_t *out AUTO_JSON = NULL;
            if (id != NULL) {
                (void)!post(r, id, "renew", json_object(), &out, &why);
            }
        }
    }
    if (now - r->asked_us >= HINT_US) {
        r->asked_us = now;
        drawn = look_aside(r) || drawn;
    }
    return drawn;
}

void reviewer_close(struct reviewer *r)
{
    send_pending(r);
    if (r->now.item != NULL && r->now.dirty) {
        save(r, &r->now, false);
    }
    if (r->now.item != NULL) {
        give_back(r, id_of(&r->now));
    }
    if (r->next.item != NULL) {
        give_back(r, id_of(&r->next));
    }
    for (size_t i = 0; i < r->aside_len; i++) {
        if (!r->hinted[i]) {
            give_back(r, r->aside[i]);
        }
    }
    reviewing_done(&r->now);
    reviewing_done(&r->next);
}

/* ---- changing it ---- */

static void changed(struct reviewer *r)
{
    r->now.dirty = true;
    r->now.changed_us = clock_monotonic_us();
}

void reviewer_set(struct reviewer *r, const char *field_value)
{
    const char *eq = strchr(field_value, '=');
    size_t i;
    json_t *f;
    if (eq == NULL || eq == field_value) {
        say(r, "FIELD=VALUE, please");
        return;
    }
    json_array_foreach(json_object_get(r->now.item, "fields"), i, f) {
        const char *name = cli_str(f, "name");
        if (strlen(name) == (size_t)(eq - field_value) &&
            strncmp(name, field_value, strlen(name)) == 0) {
            (void)json_object_set_new(r->now.fields, name, json_string(eq + 1));
            changed(r);
            say(r, "%s is %.100s", name, eq + 1);
            return;
        }
    }
    say(r, "it has no field \"%.*s\"", (int)(eq - field_value), field_value);
}

void reviewer_toggle(struct reviewer *r, unsigned n)
{
    struct reviewing *x = &r->now;
    if (n >= json_array_size(json_object_get(x->item, "sentences"))) {
        say(r, "it has no sentence %u", n + 1);
        return;
    }
    if ((x->chosen ^ 1U << n) == 0) {
        say(r, "a reply needs at least one sentence");
        return;
    }
    x->chosen ^= 1U << n;
    x->switched = true;
    save(r, x, true);
}

void reviewer_accept(struct reviewer *r)
{
    const json_t *p = json_object_get(r->now.item, "as_decided");
    const json_t *fields = json_object_get(p, "fields");
    if (json_object_size(fields) == 0) {
        say(r, "nothing alike was decided");
        return;
    }
    (void)json_object_update(r->now.fields, (json_t *)(uintptr_t)fields);
    changed(r);
    say(r, "%s", cli_str(p, "said"));
}

void reviewer_draft(struct reviewer *r, const char *draft)
{
    mem_free(r->now.draft);
    r->now.draft = mem_dup_str(draft);
    changed(r);
}

const char *reviewer_reason(const struct reviewer *r, size_t n)
{
    return json_string_value(json_array_get(json_object_get(r->now.item, "reasons"), n));
}

/* ---- many with one cause ---- */

json_t *reviewer_alike(struct reviewer *r)
{
    struct fault why;
    char path[160];
    json_t *out AUTO_JSON = NULL;
    (void)snprintf(path, sizeof(path), "/api/v1/review/items/%s/alike", id_of(&r->now));
    if (cli_send(r->cli, "GET", path, NULL, NULL, 0, &out, &why) != FAIL_NONE) {
        say_fault(r, &why);
        return NULL;
    }
    return json_incref(json_object_get(out, "alike"));
}

bool reviewer_group(struct reviewer *r, const json_t *alike, unsigned taken)
{
    struct fault why;
    size_t i;
    json_t *other, *out AUTO_JSON = NULL;
    send_pending(r);
    bool edit = is_changed(&r->now);
    json_t *items = json_array();
    json_t *body = json_pack("{s:s,s:o}", "action", edit ? "edit" : "approve", "items", items);
    (void)json_array_append_new(items,
                                json_pack("{s:s,s:O}", "artifact", id_of(&r->now), "version",
                                          json_object_get(r->now.item, "version")));
    json_array_foreach(alike, i, other) {
        if (i >= 32 || (taken & 1U << i) != 0) {
            (void)json_array_append_new(items,
                                        json_pack("{s:s,s:O}", "artifact",
                                                  cli_str(other, "artifact"), "version",
                                                  json_object_get(other, "version")));
        }
    }
    if (edit && json_object_size(r->now.fields) > 0) {
        (void)json_object_set(body, "fields", r->now.fields);
    }
    if (edit && r->now.draft != NULL) {
        (void)json_object_set_new(body, "draft", json_string(r->now.draft));
    }
    if (r->next.item != NULL) { /* it may be one of them */
        give_back(r, id_of(&r->next));
        reviewing_done(&r->next);
    }
    if (cli_send_json(r->cli, "POST", "/api/v1/review/group", body, &out, &why) != FAIL_NONE) {
        say_fault(r, &why);
        return false;
    }
    int64_t n = json_integer_value(json_object_get(out, "decided"));
    r->decided += (int)n;
    say(r, "%lld decided as one, %lld left out", (long long)n,
        (long long)json_integer_value(json_object_get(out, "left_out")));
    reviewing_done(&r->now);
    return true;
}
