/* SPDX-License-Identifier: Apache-2.0 */
/* /api/v1/datasets: what they are, who may read them, and how one comes to. Reads on http threads,
   changes on crunch ones. */
#include "http/api/api_internal.h"

#include <string.h>

#include "answer/dataset/dataset.h"
#include "base/clock/clock.h"

/* ---- shown ---- */

static void put_subject(struct jn_writer *w, const struct dataset_subject *s)
{
    jn_kv_str(w, dataset_who_name(s->kind), s->name);
}

static void put_about(struct jn_writer *w, const struct dataset_about *d, unsigned rights)
{
    jn_kv_str(w, "name", d->name);
    jn_key(w, "owner");
    jn_object_begin(w);
    put_subject(w, &d->owner);
    jn_object_end(w);
    jn_kv_str(w, "purpose", d->purpose);
    jn_kv_str(w, "label", secrecy_name(d->label));
    jn_kv_bool(w, "reads", (rights & DATASET_READS) != 0);
    jn_kv_bool(w, "owns", (rights & DATASET_OWNS) != 0);
    if ((rights & (DATASET_READS | DATASET_OWNS)) != 0) {
        jn_kv_str(w, "source", d->source);
        jn_kv_bool(w, "listed", d->listed);
        jn_kv_int(w, "retention_days", d->retention_days);
        api_put_time(w, "review_at", d->review_at);
        api_put_time(w, "created_at", d->created_at);
        api_put_time(w, "updated_at", d->updated_at);
    }
}

static void put_grant(void *arg, const struct dataset_grant *g)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    put_subject(w, &g->who);
    jn_kv_str(w, "reason", g->reason);
    jn_kv_str(w, "granted_by", g->granted_by);
    api_put_time(w, "granted_at", g->granted_at);
    api_put_time(w, "ends_at", g->ends_at);
    api_put_time(w, "revoked_at", g->revoked_at);
    jn_kv_str(w, "revoked_by", g->revoked_by[0] != '\0' ? g->revoked_by : NULL);
    jn_object_end(w);
}

struct listing {
    struct jn_writer *w;
    struct api *a;
};

struct release {
    const char *name;
    struct jn_writer *w;
};

static void put_release(void *arg, const char *name, const char *release, size_t articles)
{
    struct release *x = arg;
    if (strcmp(name, x->name) == 0) {
        jn_kv_str(x->w, "release", release);
        jn_kv_int(x->w, "articles", (int64_t)articles);
    }
}

static void put_listed(void *arg, const struct dataset_about *d, unsigned rights)
{
    struct listing *l = arg;
    jn_object_begin(l->w);
    put_about(l->w, d, rights);
    if ((rights & (DATASET_READS | DATASET_OWNS)) != 0) {
        struct release x = {d->name, l->w};
        task_dataset_each(l->a->h.desk, put_release, &x);
    }
    jn_object_end(l->w);
}

/* On the core thread, which owns the shelves. */
static void list_on_core(struct api *a, struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    struct fault why;
    (void)arg;
    struct store_conn *c = api_reader_take(a, &why);
    enum fail f = c == NULL ? why.code : FAIL_NONE;
    struct listing l = {&w, a};
    api_open(&w, &body);
    jn_key(&w, "datasets");
    jn_array_begin(&w);
    f = f != FAIL_NONE ? f : dataset_each(c, api_who(r), clock_now_us(), put_listed, &l, &why);
    jn_array_end(&w);
    if (c != NULL) {
        api_reader_give(a, c);
    }
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
    } else {
        api_send(r, 200, &w);
    }
}

void api_datasets(struct wire_request *r, void *arg)
{
    api_on_core(arg, r, list_on_core, NULL);
}

static enum fail show(struct store_conn *c, struct wire_request *r, struct jn_writer *w,
                      struct fault *why)
{
    struct dataset_about d;
    struct dataset_counts n = {0};
    int64_t now = clock_now_us();
    enum fail f = dataset_get(c, wire_param(r, "dataset"), api_who(r), DATASET_SEES, now, &d, why);
    if (f != FAIL_NONE) {
        return f;
    }
    unsigned rights = dataset_rights(c, &d, api_who(r), now);
    put_about(w, &d, rights);
    if ((rights & (DATASET_READS | DATASET_OWNS)) != 0) {
        f = dataset_count(c, d.no, &n, why);
        jn_kv_int(w, "documents", n.files);
        jn_kv_int(w, "chunks", n.chunks);
        jn_kv_int(w, "embedded", n.embedded);
        jn_kv_str(w, "model", d.model[0] != '\0' ? d.model : NULL);
    }
    if (f == FAIL_NONE && (rights & DATASET_OWNS) != 0) {
        jn_key(w, "grants");
        jn_array_begin(w);
        f = dataset_grant_each(c, d.no, put_grant, w, why);
        jn_array_end(w);
    }
    return f;
}

/* Answers with what fn writes into an object, read on this thread. */
typedef enum fail (*read_fn)(struct store_conn *c, struct wire_request *r, struct jn_writer *w,
                             struct fault *why);
static void answer_read(struct api *a, struct wire_request *r, read_fn fn)
{
    struct jn_writer w;
    struct buf body;
    struct fault why;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&w, &body);
    enum fail f = fn(c, r, &w, &why);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
    } else {
        api_send(r, 200, &w);
    }
}

void api_dataset_show(struct wire_request *r, void *arg)
{
    answer_read(arg, r, show);
}

static void put_request(void *arg, const struct dataset_request *q, bool may_decide)
{
    struct jn_writer *w = arg;
    jn_object_begin(w);
    api_put_id(w, "id", "acc", &q->id);
    jn_kv_str(w, "dataset", q->dataset);
    put_subject(w, &q->who);
    jn_kv_str(w, "reason", q->reason);
    jn_kv_str(w, "asked_by", q->asked_by);
    api_put_time(w, "asked_at", q->asked_at);
    jn_kv_str(w, "state", dataset_request_state_name(q->state));
    jn_kv_str(w, "decided_by", q->decided_by[0] != '\0' ? q->decided_by : NULL);
    api_put_time(w, "decided_at", q->decided_at);
    jn_kv_str(w, "note", q->note[0] != '\0' ? q->note : NULL);
    jn_kv_bool(w, "may_decide", may_decide);
    jn_object_end(w);
}

static enum fail requests(struct store_conn *c, struct wire_request *r, struct jn_writer *w,
                          struct fault *why)
{
    jn_key(w, "requests");
    jn_array_begin(w);
    enum fail f = dataset_request_each(c, api_who(r), clock_now_us(), put_request, w, why);
    jn_array_end(w);
    return f;
}

void api_dataset_requests(struct wire_request *r, void *arg)
{
    answer_read(arg, r, requests);
}

static void put_finding(void *arg, const char *what)
{
    jn_put_str(arg, what);
}

static void check_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct jn_writer w;
    struct buf body;
    struct fault why;
    (void)arg;
    struct store_conn *c = api_reader_take(a, &why);
    if (c == NULL) {
        wire_fail(r, why.code, &why);
        return;
    }
    api_open(&w, &body);
    jn_key(&w, "findings");
    jn_array_begin(&w);
    enum fail f = dataset_reconcile(c, a->h.datasets, put_finding, &w, &why);
    jn_array_end(&w);
    api_reader_give(a, c);
    if (f != FAIL_NONE) {
        buf_done(&body);
        wire_fail(r, f, &why);
    } else {
        api_send(r, 200, &w);
    }
}

void api_dataset_check(struct wire_request *r, void *arg)
{
    api_on_crunch(arg, r, check_on_crunch, NULL);
}

/* ---- changed ---- */

enum act { ADD, CHANGE, GRANT, REVOKE, REQUEST, DECIDE, DROP };

struct acting {
    enum act act;
    struct api *a;
    struct principal who;
    char name[DATASET_NAME_SIZE]; /* as the path has it */
    struct dataset_about d;
    struct dataset_subject subject;
    char reason[DATASET_TEXT_SIZE];
    int64_t ends_at;
    struct id id;
    bool yes;
};

static enum fail act_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct acting *x = arg;
    struct audit *audit = x->a->h.audit;
    switch (x->act) {
    case ADD:
        return dataset_add(tx, audit, &x->who, &x->d, why);
    case CHANGE:
        return dataset_change(tx, audit, &x->who, &x->d, why);
    case GRANT:
        return dataset_grant_add(tx, audit, &x->who, &x->d, &x->subject, x->reason, x->ends_at,
                                 NULL, why);
    case REVOKE:
        return dataset_grant_revoke(tx, audit, &x->who, &x->d, &x->subject, why);
    case REQUEST:
        return dataset_request_add(tx, audit, &x->who, &x->d, x->subject.kind, x->reason, &x->id,
                                   why);
    case DECIDE:
        return dataset_request_decide(tx, audit, &x->who, &x->id, x->yes, x->ends_at, x->reason,
                                      why);
    case DROP:
        break;
    }
    return FAULT(why, FAIL_INTERNAL, "no such change");
}

/* The dataset of the path, as far as this act needs rights in it. */
static enum fail target(struct acting *x, struct fault *why)
{
    if (x->act == ADD || x->act == DECIDE) {
        return FAIL_NONE;
    }
    struct store_conn *c = api_reader_take(x->a, why);
    if (c == NULL) {
        return why->code;
    }
    struct dataset_about wanted = x->d;
    enum fail f = dataset_get(c, x->name, &x->who, x->act == REQUEST ? DATASET_SEES : DATASET_OWNS,
                              clock_now_us(), &x->d, why);
    api_reader_give(x->a, c);
    if (f == FAIL_NONE && x->act == CHANGE) {
        wanted.no = x->d.no;
        memcpy(wanted.name, x->d.name, sizeof(wanted.name));
        x->d = wanted;
    }
    return f;
}

static void act_on_crunch(struct api *a, struct wire_request *r, void *arg)
{
    struct acting *x = arg;
    struct fault why;
    x->a = a;
    enum fail f = target(x, &why);
    if (f == FAIL_NONE) {
        f = x->act == DROP ? datasets_drop(a->h.datasets, &x->who, &x->d, &why)
                           : store_write_wait(a->h.store, act_write, x, &why);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
        return;
    }
    struct jn_writer w;
    struct buf body;
    api_open(&w, &body);
    if (x->act == REQUEST || x->act == DECIDE) {
        api_put_id(&w, "id", "acc", &x->id);
        jn_kv_str(&w, "state",
                  dataset_request_state_name(x->act == REQUEST ? DATASET_ASKED
                                             : x->yes          ? DATASET_GRANTED
                                                               : DATASET_REFUSED));
    } else {
        jn_kv_str(&w, "name", x->d.name);
        jn_kv_bool(&w, x->act == DROP ? "removed" : "done", true);
    }
    api_send(r, x->act == ADD || x->act == REQUEST ? 201 : 200, &w);
}

static enum fail read_time(const json_t *body, const char *key, bool required, int64_t *out,
                           struct fault *why)
{
    const char *at = NULL;
    enum fail f = jn_str(body, key, required, 40, &at, why);
    if (f == FAIL_NONE && at != NULL && !clock_read(at, out)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%s\" must be a day or a time, as RFC 3339", key);
        f = fail_param(why, key);
    }
    return f;
}

static enum fail read_text(const json_t *body, const char *key, bool required, char *out,
                           size_t room, struct fault *why)
{
    const char *s = NULL;
    enum fail f = jn_str(body, key, required, room - 1, &s, why);
    if (f == FAIL_NONE && s != NULL) {
        (void)text_copy(out, room, s);
    }
    return f;
}

/* "team" or "user": exactly one, unless it may be left out. */
static enum fail read_subject(const json_t *body, bool required, struct dataset_subject *out,
                              struct fault *why)
{
    const char *team = NULL, *user = NULL;
    enum fail f = jn_str(body, "team", false, KEYRING_NAME_SIZE - 1, &team, why);
    f = f != FAIL_NONE ? f : jn_str(body, "user", false, KEYRING_NAME_SIZE - 1, &user, why);
    if (f == FAIL_NONE && ((team != NULL && user != NULL) ||
                           (required && team == NULL && user == NULL))) {
        FAULT(why, FAIL_BAD_REQUEST, "say either \"team\" or \"user\"");
        f = fail_param(why, "team");
    }
    if (f == FAIL_NONE && (team != NULL || user != NULL)) {
        out->kind = team != NULL ? DATASET_TEAM : DATASET_USER;
        (void)text_copy(out->name, sizeof(out->name), team != NULL ? team : user);
    }
    return f;
}

static enum fail read_about(const json_t *body, const struct principal *who,
                            struct dataset_about *d, struct fault *why)
{
    const char *label = secrecy_name(SECRECY_INTERNAL);
    bool listed_given = json_object_get(body, "listed") != NULL;
    d->owner.kind = DATASET_TEAM;
    (void)text_copy(d->owner.name, sizeof(d->owner.name), who->team);
    enum fail f = read_subject(body, false, &d->owner, why);
    f = f != FAIL_NONE ? f : read_text(body, "purpose", true, d->purpose, sizeof(d->purpose), why);
    f = f != FAIL_NONE ? f : read_text(body, "source", false, d->source, sizeof(d->source), why);
    f = f != FAIL_NONE ? f : jn_str(body, "label", false, 20, &label, why);
    f = f != FAIL_NONE ? f : jn_bool(body, "listed", false, &d->listed, why);
    f = f != FAIL_NONE
            ? f
            : jn_int(body, "retention_days", false, 0, 36500, &d->retention_days, why);
    f = f != FAIL_NONE ? f : read_time(body, "review_at", false, &d->review_at, why);
    d->label = f == FAIL_NONE ? secrecy_find(label) : SECRECY_RESTRICTED;
    if (f == FAIL_NONE && d->label == SECRECY_COUNT) {
        FAULT(why, FAIL_BAD_REQUEST,
              "\"label\" must be public, internal, confidential or restricted");
        f = fail_param(why, "label");
    }
    if (!listed_given) {
        d->listed = d->label <= SECRECY_INTERNAL;
    }
    /* who hands a dataset to another owner must be an administrator */
    bool own = d->owner.kind == DATASET_TEAM ? strcmp(d->owner.name, who->team) == 0
                                             : strcmp(d->owner.name, who->name) == 0;
    if (f == FAIL_NONE && !own && (who->scopes & KEYRING_SCOPE_ADMIN) == 0) {
        FAULT(why, FAIL_FORBIDDEN, "a dataset of yours belongs to your team or to you");
        f = fail_hint(why, "An administrator can make it for somebody else.");
    }
    return f;
}

/* Reads what the act takes; the request is answered when something is wrong. */
static void act_begin(struct wire_request *r, void *arg, enum act act, const char *const *keys)
{
    struct fault why;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct acting *x = wire_alloc(r, sizeof(*x));
    x->act = act;
    x->who = *api_who(r);
    enum fail f = FAIL_NONE;
    if (act == ADD) {
        f = read_text(body, "name", true, x->d.name, sizeof(x->d.name), &why);
    } else {
        (void)text_copy(x->name, sizeof(x->name), wire_param(r, "dataset"));
    }
    if (f == FAIL_NONE && (act == ADD || act == CHANGE)) {
        f = read_about(body, &x->who, &x->d, &why);
    }
    if (f == FAIL_NONE && (act == GRANT || act == REVOKE)) {
        f = read_subject(body, true, &x->subject, &why);
    }
    if (f == FAIL_NONE && act == REQUEST) {
        f = jn_bool(body, "for_me", false, &x->yes, &why);
        x->subject.kind = x->yes ? DATASET_USER : DATASET_TEAM;
    }
    if (f == FAIL_NONE && (act == GRANT || act == REQUEST)) {
        f = read_text(body, "reason", true, x->reason, sizeof(x->reason), &why);
    }
    if (f == FAIL_NONE && act == GRANT) {
        f = read_time(body, "ends_at", true, &x->ends_at, &why);
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        api_on_crunch(arg, r, act_on_crunch, x);
    }
}

void api_dataset_add(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"name",   "team",   "user",           "purpose",   "source",
                                       "label",  "listed", "retention_days", "review_at", NULL};
    act_begin(r, arg, ADD, keys);
}

void api_dataset_change(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"team",   "user",           "purpose",   "source", "label",
                                       "listed", "retention_days", "review_at", NULL};
    act_begin(r, arg, CHANGE, keys);
}

void api_dataset_grant(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"team", "user", "reason", "ends_at", NULL};
    act_begin(r, arg, GRANT, keys);
}

void api_dataset_revoke(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"team", "user", NULL};
    act_begin(r, arg, REVOKE, keys);
}

void api_dataset_request(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"reason", "for_me", NULL};
    act_begin(r, arg, REQUEST, keys);
}

void api_dataset_decide(struct wire_request *r, void *arg)
{
    static const char *const keys[] = {"request", "grant", "reason", "ends_at", NULL};
    struct fault why;
    const char *shown = NULL;
    AUTO_JSON json_t *body = api_body(r, keys, false);
    if (body == NULL) {
        return;
    }
    struct acting *x = wire_alloc(r, sizeof(*x));
    x->act = DECIDE;
    x->who = *api_who(r);
    enum fail f = jn_str(body, "request", true, TEXT_ID_SIZE, &shown, &why);
    f = f != FAIL_NONE ? f : jn_bool(body, "grant", true, &x->yes, &why);
    f = f != FAIL_NONE ? f : read_text(body, "reason", true, x->reason, sizeof(x->reason), &why);
    f = f != FAIL_NONE ? f : read_time(body, "ends_at", x->yes, &x->ends_at, &why);
    if (f == FAIL_NONE && !text_id_read(shown, "acc", &x->id)) {
        FAULT(&why, FAIL_NOT_FOUND, "there is no such request for you to decide");
        f = why.code;
    }
    if (f != FAIL_NONE) {
        wire_fail(r, f, &why);
    } else {
        api_on_crunch(arg, r, act_on_crunch, x);
    }
}

void api_dataset_drop(struct wire_request *r, void *arg)
{
    struct acting *x = wire_alloc(r, sizeof(*x));
    x->act = DROP;
    x->who = *api_who(r);
    (void)text_copy(x->name, sizeof(x->name), wire_param(r, "dataset"));
    api_on_crunch(arg, r, act_on_crunch, x);
}
