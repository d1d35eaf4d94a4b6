/* SPDX-License-Identifier: Apache-2.0 */
/* Raised only with a certificate and by two people, lowered at once, and down by itself when the
   certificate ends. */
#include "answer/autonomy/autonomy.h"
#include "answer/certify/certify.h"
#include "support/home.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static struct home home;
static struct ladder_form *form;
static const struct principal ann = {.name = "ann", .team = "red"};
static const struct principal bob = {.name = "bob", .team = "red"};

static int set_up(void **state)
{
    (void)state;
    home_make(&home, "autonomy");
    home_open(&home, HOME_RECORD);
    form = mem_alloc(sizeof(*form));
    form->refs = 1;
    form->level = LADDER_ASSIST;
    form->accepts = LADDER_HISTORY;
    form->fields_len = 3;
    (void)text_copy(form->name, sizeof(form->name), "triage");
    (void)text_copy(form->fields[0].name, sizeof(form->fields[0].name), "queue");
    (void)text_copy(form->fields[1].name, sizeof(form->fields[1].name), "priority");
    (void)text_copy(form->fields[2].name, sizeof(form->fields[2].name), "reply");
    form->fields[2].type = LADDER_DRAFT;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ladder_form_unref(form);
    home_close(&home);
    return home_remove(&home);
}

/* ---- steps ---- */

static enum fail issue_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct certify_certificate c = {.workflow = "triage", .field = "queue", .rung = "learned",
                                    .model = "m", .head = "h", .target = 0.02, .delta = 0.05};
    struct certify_result r = {.certified = true, .threshold = 0.7, .n = 1000, .accepted = 700,
                               .errors = 5, .error_upper = 0.015, .traffic_upper = 0.0105};
    c.class = *(enum certify_class *)arg;
    return certify_issue(tx, home.audit, &c, &r, "ann", "red", NULL, why);
}

static void issue(enum certify_class class)
{
    home_write(&home, issue_write, &class);
}

static enum fail end_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct certify_releases now = {.head = "another"};
    size_t fell;
    int64_t n;
    enum fail f = certify_void(tx, home.audit, "triage", "queue", "learned", &now, "drift", "x",
                               "red", &n, why);
    assert_int_equal(n, 1);
    return f != FAIL_NONE ? f : autonomy_ended(tx, home.audit, "triage", "red", arg != NULL
                                               ? arg : &fell, why);
}

struct step {
    const char *field;
    enum ladder_level level;
    const struct principal *who;
    char release[TEXT_SHA256_HEX_SIZE];
};

static enum fail propose_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct step *s = arg;
    return autonomy_propose(tx, home.audit, form, s->field, s->level, s->who, s->release, why);
}

static enum fail approve_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct step *s = arg;
    return autonomy_approve(tx, home.audit, "triage", s->release, s->who, true, why);
}

static enum fail lower_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct step *s = arg;
    return autonomy_lower(tx, home.audit, form, s->field, s->level, s->who, why);
}

static enum fail go(store_write_fn fn, struct step *s)
{
    struct fault why;
    return store_write_wait(home.store, fn, s, &why);
}

static enum ladder_level level(void)
{
    struct fault why;
    assert_int_equal(autonomy_load(home.conn, form, &why), FAIL_NONE);
    return form->fields[0].level;
}

static void raise_to(enum ladder_level to)
{
    struct step s = {.field = "queue", .level = to, .who = &ann};
    assert_int_equal(go(propose_write, &s), FAIL_NONE);
    s.who = &bob;
    assert_int_equal(go(approve_write, &s), FAIL_NONE);
    assert_int_equal(level(), to);
}

/* ---- tests ---- */

static void nothing_is_raised_without_a_certificate(void **state)
{
    (void)state;
    struct step s = {.field = "queue", .level = LADDER_AUTO, .who = &ann};
    assert_int_equal(go(propose_write, &s), FAIL_CONFLICT);
    issue(CERTIFY_HISTORY); /* enough for assist, not for auto */
    assert_int_equal(go(propose_write, &s), FAIL_CONFLICT);
    s.level = LADDER_ASSIST;
    assert_int_equal(go(propose_write, &s), FAIL_NONE);
    s.field = "priority"; /* the certificate is of another field */
    assert_int_equal(go(propose_write, &s), FAIL_CONFLICT);
    s.field = "reply";
    assert_int_equal(go(propose_write, &s), FAIL_BAD_REQUEST);
    s.field = "none";
    assert_int_equal(go(propose_write, &s), FAIL_BAD_REQUEST);
}

static void who_proposes_does_not_approve(void **state)
{
    (void)state;
    struct step s = {.field = "queue", .level = LADDER_AUTO, .who = &ann};
    issue(CERTIFY_REVIEWED);
    assert_int_equal(level(), LADDER_ASSIST);
    assert_int_equal(go(propose_write, &s), FAIL_NONE);
    assert_int_equal(level(), LADDER_ASSIST); /* a candidate changes nothing */
    assert_int_equal(go(approve_write, &s), FAIL_FORBIDDEN);
    s.who = &bob;
    assert_int_equal(go(approve_write, &s), FAIL_NONE);
    assert_int_equal(level(), LADDER_AUTO);
    assert_int_equal(form->fields[1].level, LADDER_ASSIST);
}

static void anyone_lowers_at_once(void **state)
{
    (void)state;
    issue(CERTIFY_REVIEWED);
    raise_to(LADDER_AUTO);
    struct step s = {.field = "queue", .level = LADDER_ASSIST, .who = &ann};
    assert_int_equal(go(lower_write, &s), FAIL_NONE);
    assert_int_equal(level(), LADDER_ASSIST); /* still under its certificate */
    s.level = LADDER_PROPOSE;
    assert_int_equal(go(lower_write, &s), FAIL_NONE);
    assert_int_equal(level(), LADDER_PROPOSE);
    assert_int_equal(go(lower_write, &s), FAIL_BAD_REQUEST); /* nothing below */
    s.level = LADDER_AUTO;
    assert_int_equal(go(lower_write, &s), FAIL_BAD_REQUEST); /* no way up */
    raise_to(LADDER_AUTO); /* up again by a release alone */
}

static void it_falls_back_when_its_certificate_ends_and_stays_there(void **state)
{
    (void)state;
    size_t fell = 0;
    issue(CERTIFY_REVIEWED);
    raise_to(LADDER_AUTO);
    home_write(&home, end_write, &fell);
    assert_int_equal(fell, 1);
    assert_int_equal(level(), LADDER_PROPOSE);
    issue(CERTIFY_REVIEWED); /* a new certificate alone raises nothing */
    assert_int_equal(level(), LADDER_PROPOSE);
    raise_to(LADDER_AUTO);
}

static enum fail void_write(struct store_tx *tx, void *arg, struct fault *why)
{
    struct certify_releases now = {.head = "another"};
    int64_t n;
    (void)arg;
    return certify_void(tx, home.audit, "triage", "queue", NULL, &now, "drift", "x", "red", &n,
                        why);
}

static void an_ended_certificate_counts_before_anything_is_written_down(void **state)
{
    (void)state;
    issue(CERTIFY_REVIEWED);
    raise_to(LADDER_AUTO);
    home_write(&home, void_write, NULL);
    assert_int_equal(level(), LADDER_PROPOSE);
}

static void a_release_is_approved_only_while_it_is_true(void **state)
{
    (void)state;
    struct step s = {.field = "queue", .level = LADDER_AUTO, .who = &ann};
    issue(CERTIFY_REVIEWED);
    assert_int_equal(go(propose_write, &s), FAIL_NONE);
    home_write(&home, end_write, NULL);
    s.who = &bob;
    assert_int_equal(go(approve_write, &s), FAIL_CONFLICT); /* its certificate ended */
    issue(CERTIFY_REVIEWED);
    s.who = &ann;
    assert_int_equal(go(propose_write, &s), FAIL_NONE);
    struct step down = {.field = "queue", .level = LADDER_PROPOSE, .who = &bob};
    assert_int_equal(go(lower_write, &down), FAIL_NONE);
    s.who = &bob;
    assert_int_equal(go(approve_write, &s), FAIL_CONFLICT); /* it would undo what came between */
    assert_int_equal(level(), LADDER_PROPOSE);
    (void)text_copy(s.release, sizeof(s.release), "none");
    assert_int_equal(go(approve_write, &s), FAIL_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        T(nothing_is_raised_without_a_certificate),
        T(who_proposes_does_not_approve),
        T(anyone_lowers_at_once),
        T(it_falls_back_when_its_certificate_ends_and_stays_there),
        T(an_ended_certificate_counts_before_anything_is_written_down),
        T(a_release_is_approved_only_while_it_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
