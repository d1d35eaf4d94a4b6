/* SPDX-License-Identifier: Apache-2.0 */
/* Levels as the text of a release: a line a field, "NAME LEVEL CERTIFICATE". */
#include "answer/autonomy/autonomy.h"

#include <stdio.h>
#include <string.h>

#include "answer/certify/certify.h"

#define TEXT_BYTES 8192
#define HEAD "inhouse autonomy 1\n"

void autonomy_kind(const char *workflow, char out[RELEASE_KIND_SIZE])
{
    (void)snprintf(out, RELEASE_KIND_SIZE, "autonomy:%.63s", workflow);
}

/* ---- the text ---- */

/* base is the release it changes: two raises proposed side by side do not undo one another. */
static enum fail write_text(const struct autonomy *a, const char *base, struct buf *out,
                            char release[TEXT_SHA256_HEX_SIZE])
{
    uint8_t hash[32];
    (void)buf_printf(out, HEAD "base %s\n", base[0] != '\0' ? base : RELEASE_SHIPPED);
    for (size_t i = 0; i < a->n; i++) {
        const struct autonomy_field *f = &a->fields[i];
        (void)buf_printf(out, "%s %s %s\n", f->name, ladder_level_name(f->level),
                         f->certificate[0] != '\0' ? f->certificate : "-");
    }
    ASSERT(!out->overflow);
    text_sha256(out->data, out->len, hash);
    text_hex(hash, sizeof(hash), release);
    return FAIL_NONE;
}

static bool next_word(const char **at, char *out, size_t room)
{
    size_t n = strcspn(*at, " \n");
    if (n == 0 || n >= room) {
        return false;
    }
    memcpy(out, *at, n);
    out[n] = '\0';
    *at += n;
    return true;
}

static enum fail read_text(const char *text, struct autonomy *a, char base[TEXT_SHA256_HEX_SIZE],
                           struct fault *why)
{
    char level[16], certificate[TEXT_ID_SIZE];
    memset(a, 0, sizeof(*a));
    const char *at = text;
    bool good = text_starts_with(at, HEAD "base ");
    at += good ? strlen(HEAD "base ") : 0;
    good = good && next_word(&at, base, TEXT_SHA256_HEX_SIZE) && *at++ == '\n';
    while (good && *at != '\0') {
        struct autonomy_field *f = &a->fields[a->n];
        good = a->n < LADDER_MAX_FIELDS && next_word(&at, f->name, sizeof(f->name)) &&
               *at++ == ' ' && next_word(&at, level, sizeof(level)) && *at++ == ' ' &&
               next_word(&at, certificate, sizeof(certificate)) && *at++ == '\n' &&
               (f->level = ladder_level_find(level)) != LADDER_LEVEL_COUNT;
        if (good) {
            (void)text_copy(f->certificate, sizeof(f->certificate),
                            strcmp(certificate, "-") == 0 ? "" : certificate);
            a->n++;
        }
    }
    return good ? FAIL_NONE : FAULT(why, FAIL_INTERNAL, "a release of autonomy does not read");
}

static enum fail active_text(struct store_conn *conn, const char *workflow, struct autonomy *a,
                             char release[TEXT_SHA256_HEX_SIZE], struct fault *why)
{
    char kind[RELEASE_KIND_SIZE], base[TEXT_SHA256_HEX_SIZE];
    struct buf text;
    bool found = false;
    memset(a, 0, sizeof(*a));
    release[0] = '\0';
    autonomy_kind(workflow, kind);
    buf_init(&text, TEXT_BYTES);
    enum fail f = release_active(conn, kind, &text, &found, why);
    if (f == FAIL_NONE && found) {
        uint8_t hash[32];
        f = read_text(text.data, a, base, why);
        text_sha256(text.data, text.len, hash);
        text_hex(hash, sizeof(hash), release);
    }
    buf_done(&text);
    return f;
}

enum fail autonomy_active(struct store_conn *conn, const char *workflow, struct autonomy *out,
                          struct fault *why)
{
    char release[TEXT_SHA256_HEX_SIZE];
    return active_text(conn, workflow, out, release, why);
}

static struct autonomy_field *field_of(struct autonomy *a, const char *name)
{
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->fields[i].name, name) == 0) {
            return &a->fields[i];
        }
    }
    return NULL;
}

/* ---- certificates ---- */

struct live {
    const char *field;      /* the best one of this field, */
    const char *id;         /* or: is this one live? */
    enum certify_class least;
    bool found;
    enum certify_class class;
    char shown[TEXT_ID_SIZE];
};

static bool look_live(void *arg, const struct certify_certificate *c)
{
    struct live *l = arg;
    char shown[TEXT_ID_SIZE];
    if (c->state != CERTIFY_LIVE) {
        return true;
    }
    (void)text_id_show(&c->id, "crt", shown);
    if (l->id != NULL) {
        l->found = l->found || strcmp(shown, l->id) == 0;
    } else if (strcmp(c->field, l->field) == 0 && c->class >= l->least &&
               (!l->found || c->class > l->class)) {
        l->found = true;
        l->class = c->class;
        (void)text_copy(l->shown, sizeof(l->shown), shown);
    }
    return true;
}

static enum fail is_live(struct store_conn *conn, const char *workflow, const char *id, bool *live,
                         struct fault *why)
{
    struct live l = {.id = id};
    enum fail f = certify_each(conn, workflow, false, look_live, &l, why);
    *live = l.found;
    return f;
}

/* What holds of it: a level whose certificate has ended is propose. Adds to *n how many. */
static enum fail settle(struct store_conn *conn, const char *workflow, struct autonomy *a,
                        size_t *n, struct fault *why)
{
    enum fail f = FAIL_NONE;
    for (size_t i = 0; f == FAIL_NONE && i < a->n; i++) {
        struct autonomy_field *x = &a->fields[i];
        bool live = true;
        if (x->level != LADDER_PROPOSE) {
            f = is_live(conn, workflow, x->certificate, &live, why);
        }
        if (f == FAIL_NONE && !live) {
            x->level = LADDER_PROPOSE;
            x->certificate[0] = '\0';
            *n += 1;
        }
    }
    return f;
}

/* The active release as far as it holds. */
static enum fail holding(struct store_conn *conn, const char *workflow, struct autonomy *a,
                         char release[TEXT_SHA256_HEX_SIZE], size_t *ended, struct fault *why)
{
    *ended = 0;
    enum fail f = active_text(conn, workflow, a, release, why);
    return f != FAIL_NONE ? f : settle(conn, workflow, a, ended, why);
}

/* ---- reading into a form ---- */

enum fail autonomy_load(struct store_conn *conn, struct ladder_form *form, struct fault *why)
{
    struct autonomy a;
    char release[TEXT_SHA256_HEX_SIZE];
    size_t ended;
    enum fail f = holding(conn, form->name, &a, release, &ended, why);
    for (size_t i = 0; f == FAIL_NONE && i < form->fields_len; i++) {
        const struct autonomy_field *x = field_of(&a, form->fields[i].name);
        form->fields[i].level = x != NULL ? x->level : form->level;
    }
    return f;
}

/* ---- changing ---- */

static enum fail record(struct store_tx *tx, struct audit *audit, const char *workflow,
                        const char *actor, const char *team, const char *release,
                        const char *before, const char *verdict, struct fault *why)
{
    char kind[RELEASE_KIND_SIZE];
    const char *releases[] = {release, before};
    autonomy_kind(workflow, kind);
    struct audit_leaf leaf = {.kind = AUDIT_KIND_RELEASE_CHANGED,
                              .actor = actor,
                              .team = team,
                              .task = kind,
                              .releases = releases,
                              .releases_len = before[0] != '\0' ? 2 : 1,
                              .verdict = verdict};
    return audit_append(tx, audit, &leaf, NULL, NULL, why);
}

/* The level that a field has now: the active release's, else the definition's. */
static enum ladder_level level_now(const struct ladder_form *form, struct autonomy *a,
                                   const char *field)
{
    const struct autonomy_field *x = field_of(a, field);
    return x != NULL ? x->level : form->level;
}

static enum fail check_field(const struct ladder_form *form, const char *field, struct fault *why)
{
    int i = ladder_field_find(form, field);
    if (i < 0) {
        FAULT(why, FAIL_BAD_REQUEST, "%s has no field \"%.48s\"", form->name, field);
        return fail_param(why, "field");
    }
    if (form->fields[i].type == LADDER_DRAFT || form->fields[i].type == LADDER_LINE) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.48s\" is a text that a person reads: it has no level",
              field);
        return fail_param(why, "field");
    }
    return FAIL_NONE;
}

static enum fail set_level(struct autonomy *a, const char *field, enum ladder_level level,
                           const char *certificate, struct fault *why)
{
    struct autonomy_field *x = field_of(a, field);
    if (x == NULL && a->n == LADDER_MAX_FIELDS) { /* fields of earlier definitions */
        return FAULT(why, FAIL_TOO_LARGE, "the release names %d fields", LADDER_MAX_FIELDS);
    }
    x = x != NULL ? x : &a->fields[a->n++];
    (void)text_copy(x->name, sizeof(x->name), field);
    (void)text_copy(x->certificate, sizeof(x->certificate), certificate);
    x->level = level;
    return FAIL_NONE;
}

enum fail autonomy_propose(struct store_tx *tx, struct audit *audit, const struct ladder_form *form,
                           const char *field, enum ladder_level level, const struct principal *who,
                           char release[TEXT_SHA256_HEX_SIZE], struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct autonomy a;
    char base[TEXT_SHA256_HEX_SIZE], kind[RELEASE_KIND_SIZE];
    struct live l = {.field = field,
                     .least = level == LADDER_AUTO ? CERTIFY_REVIEWED
                                                   : (enum certify_class)form->accepts};
    size_t ended;
    enum fail f = check_field(form, field, why);
    f = f != FAIL_NONE ? f : holding(conn, form->name, &a, base, &ended, why);
    if (f == FAIL_NONE && field_of(&a, field) != NULL && level == level_now(form, &a, field)) {
        f = FAULT(why, FAIL_CONFLICT, "\"%.48s\" is at %s already", field,
                  ladder_level_name(level));
    }
    if (f == FAIL_NONE && level < level_now(form, &a, field)) {
        FAULT(why, FAIL_BAD_REQUEST, "that would lower \"%.48s\": no release is needed", field);
        f = fail_param(why, "level");
    }
    f = f != FAIL_NONE ? f : certify_each(conn, form->name, false, look_live, &l, why);
    if (f == FAIL_NONE && !l.found) {
        FAULT(why, FAIL_CONFLICT, "no certificate%s holds for \"%.48s\"",
              level == LADDER_AUTO ? " on reviewed outcomes" : "", field);
        f = fail_hint(why, "`inhouse certificates` says what it still needs: outcomes that people "
                           "review.");
    }
    f = f != FAIL_NONE ? f : set_level(&a, field, level, l.shown, why);
    if (f != FAIL_NONE) {
        return f;
    }
    struct buf text;
    buf_init(&text, TEXT_BYTES);
    f = write_text(&a, base, &text, release);
    autonomy_kind(form->name, kind);
    f = f != FAIL_NONE ? f : release_propose(tx, kind, release, text.data, who->name, why);
    buf_done(&text);
    return f != FAIL_NONE ? f
                          : record(tx, audit, form->name, who->name, who->team, release, base,
                                   "candidate", why);
}

/* Do all certificates that a release carries still stand, and is it made from what is active? */
static enum fail check_candidate(struct store_conn *conn, const char *workflow, const char *release,
                                 struct fault *why)
{
    char kind[RELEASE_KIND_SIZE], base[TEXT_SHA256_HEX_SIZE], active[TEXT_SHA256_HEX_SIZE];
    struct autonomy a, now;
    struct buf text;
    bool found = false;
    autonomy_kind(workflow, kind);
    buf_init(&text, TEXT_BYTES);
    enum fail f = release_find(conn, kind, release, &text, &found, why);
    if (f == FAIL_NONE && !found) {
        f = FAULT(why, FAIL_NOT_FOUND, "there is no such release");
    }
    f = f != FAIL_NONE ? f : read_text(text.data, &a, base, why);
    buf_done(&text);
    f = f != FAIL_NONE ? f : active_text(conn, workflow, &now, active, why);
    if (f == FAIL_NONE && strcmp(base, active[0] != '\0' ? active : RELEASE_SHIPPED) != 0) {
        FAULT(why, FAIL_CONFLICT, "the levels changed since this release was proposed");
        f = fail_hint(why, "Propose it again.");
    }
    for (size_t i = 0; f == FAIL_NONE && i < a.n; i++) {
        bool live = a.fields[i].level == LADDER_PROPOSE;
        if (!live) {
            f = is_live(conn, workflow, a.fields[i].certificate, &live, why);
        }
        if (f == FAIL_NONE && !live) {
            f = FAULT(why, FAIL_CONFLICT, "the certificate of \"%s\" has ended", a.fields[i].name);
        }
    }
    return f;
}

enum fail autonomy_approve(struct store_tx *tx, struct audit *audit, const char *workflow,
                           const char *release, const struct principal *who, bool four_eyes,
                           struct fault *why)
{
    char kind[RELEASE_KIND_SIZE], before[TEXT_SHA256_HEX_SIZE] = "";
    enum fail f = check_candidate(store_tx_conn(tx), workflow, release, why);
    autonomy_kind(workflow, kind);
    f = f != FAIL_NONE ? f
                       : release_approve(tx, kind, release, who->name, four_eyes, before, why);
    return f != FAIL_NONE ? f
                          : record(tx, audit, workflow, who->name, who->team, release, before,
                                   "active", why);
}

/* Proposed and approved in one step: only ever for what goes down. */
static enum fail put_down(struct store_tx *tx, struct audit *audit, const char *workflow,
                          const struct autonomy *a, const char *base, const char *actor,
                          const char *team, const char *verdict, struct fault *why)
{
    char kind[RELEASE_KIND_SIZE], release[TEXT_SHA256_HEX_SIZE];
    char before[TEXT_SHA256_HEX_SIZE] = "";
    struct buf text;
    buf_init(&text, TEXT_BYTES);
    autonomy_kind(workflow, kind);
    enum fail f = write_text(a, base, &text, release);
    f = f != FAIL_NONE ? f : release_propose(tx, kind, release, text.data, actor, why);
    f = f != FAIL_NONE ? f : release_approve(tx, kind, release, actor, false, before, why);
    buf_done(&text);
    return f != FAIL_NONE ? f
                          : record(tx, audit, workflow, actor, team, release, before, verdict, why);
}

enum fail autonomy_lower(struct store_tx *tx, struct audit *audit, const struct ladder_form *form,
                         const char *field, enum ladder_level level, const struct principal *who,
                         struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct autonomy a;
    char base[TEXT_SHA256_HEX_SIZE], certificate[TEXT_ID_SIZE] = "";
    size_t ended;
    enum fail f = check_field(form, field, why);
    f = f != FAIL_NONE ? f : holding(conn, form->name, &a, base, &ended, why);
    if (f == FAIL_NONE && level >= level_now(form, &a, field)) {
        FAULT(why, FAIL_BAD_REQUEST, "\"%.48s\" is at %s: %s would not be lower", field,
              ladder_level_name(level_now(form, &a, field)), ladder_level_name(level));
        f = fail_param(why, "level");
    }
    if (f == FAIL_NONE && level != LADDER_PROPOSE && field_of(&a, field) != NULL) {
        (void)text_copy(certificate, sizeof(certificate), field_of(&a, field)->certificate);
    }
    f = f != FAIL_NONE ? f : set_level(&a, field, level, certificate, why);
    return f != FAIL_NONE ? f
                          : put_down(tx, audit, form->name, &a, base, who->name, who->team,
                                     "lowered", why);
}

enum fail autonomy_ended(struct store_tx *tx, struct audit *audit, const char *workflow,
                         const char *team, size_t *n, struct fault *why)
{
    struct store_conn *conn = store_tx_conn(tx);
    struct autonomy a;
    char base[TEXT_SHA256_HEX_SIZE];
    enum fail f = holding(conn, workflow, &a, base, n, why);
    return f != FAIL_NONE || *n == 0
               ? f
               : put_down(tx, audit, workflow, &a, base, "system", team, "fell back", why);
}
