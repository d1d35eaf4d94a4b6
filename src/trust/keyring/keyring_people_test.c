/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of accounts, teams, passwords, one-time tokens, sessions, and the keys of people. */
#include "trust/keyring/keyring.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "support/home.h"

#define GOOD "correct horse battery"

static struct home home;
static struct keyring *ring;
static struct principal root;
static struct keyring_options options;
static char noted[240]; /* the last event, in words */
static bool refuse_records;

static enum fail note(struct store_tx *tx, void *arg, const struct keyring_event *e,
                      struct fault *why)
{
    (void)tx;
    (void)arg;
    snprintf(noted, sizeof(noted), "%s %s %s: %s", keyring_event_name(e->kind), e->actor, e->object,
             e->what);
    return refuse_records ? FAULT(why, FAIL_RECORD_UNAVAILABLE, "no record") : FAIL_NONE;
}

static void open_all(void)
{
    struct fault why;
    home_open(&home, HOME_KEYS);
    if (keyring_open(home.store, home.master, &options, &ring, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
    assert_int_equal(keyring_local(geteuid(), &root, &why), FAIL_NONE);
}

static void close_all(void)
{
    keyring_close(ring);
    home_close(&home);
}

static void again(void)
{
    close_all();
    open_all();
}

static int set_up(void **state)
{
    (void)state;
    refuse_records = false;
    options = (struct keyring_options){
        .record = note, .password_ops = 1, .password_bytes = 8192, .session_idle_s = 600};
    home_make(&home, "keyring-people");
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_all();
    return home_remove(&home);
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct fault why;                                                                          \
        why.message[0] = '\0';                                                                     \
        if ((call) != FAIL_NONE) {                                                                 \
            fail_msg("%s: %s", #call, why.message);                                                \
        }                                                                                          \
    } while (0)
#define REFUSED(call, code)                                                                        \
    do {                                                                                           \
        struct fault why;                                                                          \
        assert_int_equal((call), (code));                                                          \
    } while (0)

static void person(const char *name, const char *team, enum keyring_role role)
{
    struct keyring_account a;
    OK(keyring_account_add(ring, name, KEYRING_ACCOUNT_PERSON, team, role, &root, &a, &why));
    OK(keyring_password_set(ring, name, NULL, GOOD, &root, NULL, &why));
}

static struct keyring_session signed_in(const char *name)
{
    struct keyring_session s;
    OK(keyring_sign_in(ring, name, GOOD, "10.0.0.1", NULL, &s, &why));
    return s;
}

static struct principal who(const char *cookie)
{
    struct principal p;
    OK(keyring_session_lookup(ring, cookie, NULL, false, NULL, &p, &why));
    return p;
}

static void the_first_administrator_comes_by_a_token_that_is_good_once(void **state)
{
    (void)state;
    char token[KEYRING_TOKEN_SIZE], second[KEYRING_TOKEN_SIZE];
    struct keyring_account a;
    assert_false(keyring_has_admin(ring));
    OK(keyring_token_new(ring, NULL, 60, NULL, token, &why));
    REFUSED(keyring_token_use(ring, "is_x", "anna", GOOD, &a, &why), FAIL_UNAUTHENTICATED);
    REFUSED(keyring_token_use(ring, token, "anna", "short", &a, &why), FAIL_BAD_REQUEST);
    REFUSED(keyring_token_use(ring, token, "anna", "my name is Anna ok", &a, &why),
            FAIL_BAD_REQUEST);
    REFUSED(keyring_token_use(ring, token, "Not A Name", GOOD, &a, &why), FAIL_BAD_REQUEST);
    again(); /* the token outlives a restart */
    OK(keyring_token_new(ring, NULL, 60, &root, second, &why));
    REFUSED(keyring_token_use(ring, token, "anna", GOOD, &a, &why), FAIL_UNAUTHENTICATED);
    OK(keyring_token_use(ring, second, "anna", GOOD, &a, &why));
    assert_int_equal(a.members[0].role, KEYRING_ROLE_ADMIN);
    assert_string_equal(noted, "user_added anna anna: first administrator, by one-time token");
    REFUSED(keyring_token_use(ring, second, "eve", GOOD, &a, &why), FAIL_UNAUTHENTICATED);
    REFUSED(keyring_token_new(ring, NULL, 60, &root, token, &why), FAIL_CONFLICT);
    assert_true(keyring_has_admin(ring));
    again();
    assert_true(keyring_has_admin(ring));
    struct principal p = who(signed_in("anna").cookie);
    assert_int_equal(p.scopes, KEYRING_SCOPES_ALL);
    assert_int_equal(p.kind, PRINCIPAL_KIND_SESSION);
}

static void a_token_that_has_expired_does_nothing(void **state)
{
    (void)state;
    char token[KEYRING_TOKEN_SIZE];
    struct keyring_account a;
    OK(keyring_token_new(ring, NULL, 1, NULL, token, &why));
    usleep(1100000);
    REFUSED(keyring_token_use(ring, token, "anna", GOOD, &a, &why), FAIL_UNAUTHENTICATED);
}

static void wrong_names_and_wrong_passwords_are_one_answer(void **state)
{
    (void)state;
    struct keyring_session s;
    struct fault one, two, three;
    person("anna", "default", KEYRING_ROLE_MEMBER);
    struct keyring_account a;
    OK(keyring_account_add(ring, "new", KEYRING_ACCOUNT_PERSON, "default", KEYRING_ROLE_MEMBER,
                           &root, &a, &why));
    assert_int_equal(keyring_sign_in(ring, "anna", "wrong password", "", NULL, &s, &one),
                     FAIL_UNAUTHENTICATED);
    assert_string_equal(noted, "sign_in_refused anna anna: refused");
    assert_int_equal(keyring_sign_in(ring, "nobody-here", GOOD, "", NULL, &s, &two),
                     FAIL_UNAUTHENTICATED);
    assert_string_equal(noted, "sign_in_refused unknown : refused");
    assert_int_equal(keyring_sign_in(ring, "new", "", "", NULL, &s, &three), FAIL_UNAUTHENTICATED);
    assert_string_equal(one.message, two.message);
    assert_string_equal(one.message, three.message);
    assert_string_equal(one.hint, two.hint);
    assert_int_equal(s.cookie[0], 0);
}

static void guessing_is_slowed_for_the_guesser_and_not_for_the_guessed(void **state)
{
    (void)state;
    struct keyring_session s;
    struct fault slow;
    person("anna", "default", KEYRING_ROLE_MEMBER);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(keyring_sign_in(ring, "anna", "wrong", "10.6.6.6", NULL, &s, &slow),
                         FAIL_UNAUTHENTICATED);
    }
    assert_int_equal(keyring_sign_in(ring, "anna", GOOD, "10.6.6.6", NULL, &s, &slow),
                     FAIL_RATE_LIMITED);
    assert_true(slow.retry_after_s >= 1);
    assert_int_equal(keyring_sign_in(ring, "ANNA", GOOD, "10.6.6.6", NULL, &s, &slow),
                     FAIL_RATE_LIMITED);
    OK(keyring_sign_in(ring, "anna", GOOD, "10.0.0.1", NULL, &s, &why));
    /* unknown names are slowed alike: whether a name exists cannot be told by it */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(keyring_sign_in(ring, "nobody", "wrong", "10.6.6.7", NULL, &s, &slow),
                         FAIL_UNAUTHENTICATED);
    }
    assert_int_equal(keyring_sign_in(ring, "nobody", "wrong", "10.6.6.7", NULL, &s, &slow),
                     FAIL_RATE_LIMITED);
}

static void an_address_that_guesses_many_names_is_slowed(void **state)
{
    (void)state;
    struct keyring_session s;
    struct fault slow;
    char name[16];
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "guess%d", i);
        assert_int_equal(keyring_sign_in(ring, name, "wrong", "10.7.7.7", NULL, &s, &slow),
                         FAIL_UNAUTHENTICATED);
    }
    assert_int_equal(keyring_sign_in(ring, "fresh", "wrong", "10.7.7.7", NULL, &s, &slow),
                     FAIL_RATE_LIMITED);
    assert_int_equal(keyring_sign_in(ring, "fresh", "wrong", "10.7.7.8", NULL, &s, &slow),
                     FAIL_UNAUTHENTICATED);
}

static void a_password_is_hashed_anew_when_its_cost_changes(void **state)
{
    (void)state;
    static char data[1 << 23];
    person("anna", "default", KEYRING_ROLE_MEMBER);
    options.password_ops = 2;
    again();
    (void)signed_in("anna");
    again();
    (void)signed_in("anna");
    close_all();
    FILE *f = fopen(home.path, "rb");
    assert_non_null(f);
    size_t n = fread(data, 1, sizeof(data), f);
    fclose(f);
    open_all();
    assert_non_null(memmem(data, n, "$argon2id$v=19$m=8,t=2,p=1$", 27));
    assert_null(memmem(data, n, GOOD, strlen(GOOD)));
}

static void a_session_acts_for_its_account_as_it_is_now(void **state)
{
    (void)state;
    struct principal p;
    OK(keyring_team_add(ring, "legal", SECRECY_RESTRICTED, &root, &why));
    person("anna", "default", KEYRING_ROLE_MEMBER);
    OK(keyring_member_set(ring, "anna", "legal", KEYRING_ROLE_APPROVER, &root, &why));
    assert_non_null(strstr(noted, "anna: approver in legal"));
    struct keyring_session s = signed_in("anna");
    p = who(s.cookie);
    assert_string_equal(p.team, "default");
    assert_int_equal(p.role, KEYRING_ROLE_MEMBER);
    OK(keyring_session_lookup(ring, s.cookie, NULL, false, "legal", &p, &why));
    assert_int_equal(p.label, SECRECY_RESTRICTED);
    assert_int_equal(p.role, KEYRING_ROLE_APPROVER);
    REFUSED(keyring_session_lookup(ring, s.cookie, NULL, false, "none", &p, &why), FAIL_FORBIDDEN);
    assert_int_equal(p.scopes, 0);
    p = who(s.cookie);
    OK(keyring_session_team(ring, &p, "legal", &why));
    again();
    assert_string_equal(who(s.cookie).team, "legal");
    OK(keyring_member_set(ring, "anna", "legal", KEYRING_ROLE_COUNT, &root, &why));
    assert_string_equal(who(s.cookie).team, "default");
    OK(keyring_account_disable(ring, "anna", true, &root, &why));
    REFUSED(keyring_session_lookup(ring, s.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
    struct keyring_session t;
    REFUSED(keyring_sign_in(ring, "anna", GOOD, "10.0.0.1", NULL, &t, &why), FAIL_UNAUTHENTICATED);
    OK(keyring_account_disable(ring, "anna", false, &root, &why));
    REFUSED(keyring_session_lookup(ring, s.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED); /* the session stays gone */
}

static void changing_by_cookie_needs_the_sessions_own_token(void **state)
{
    (void)state;
    struct principal p;
    person("anna", "default", KEYRING_ROLE_MEMBER);
    struct keyring_session one = signed_in("anna"), two = signed_in("anna");
    REFUSED(keyring_session_lookup(ring, one.cookie, NULL, true, NULL, &p, &why), FAIL_FORBIDDEN);
    REFUSED(keyring_session_lookup(ring, one.cookie, "", true, NULL, &p, &why), FAIL_FORBIDDEN);
    REFUSED(keyring_session_lookup(ring, one.cookie, two.csrf, true, NULL, &p, &why),
            FAIL_FORBIDDEN);
    REFUSED(keyring_session_lookup(ring, one.cookie, one.cookie, true, NULL, &p, &why),
            FAIL_FORBIDDEN);
    OK(keyring_session_lookup(ring, one.cookie, one.csrf, true, NULL, &p, &why));
}

static void sessions_end_when_idle_when_left_and_everywhere(void **state)
{
    (void)state;
    struct principal p;
    person("anna", "default", KEYRING_ROLE_MEMBER);
    struct keyring_session one = signed_in("anna"), two = signed_in("anna");
    p = who(one.cookie);
    OK(keyring_sign_out(ring, &p, false, &why));
    REFUSED(keyring_session_lookup(ring, one.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
    one = signed_in("anna");
    p = who(two.cookie);
    OK(keyring_sign_out(ring, &p, true, &why));
    REFUSED(keyring_session_lookup(ring, one.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
    again();
    REFUSED(keyring_session_lookup(ring, one.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
    options.session_idle_s = 1;
    again();
    one = signed_in("anna");
    (void)who(one.cookie);
    usleep(1100000);
    REFUSED(keyring_session_lookup(ring, one.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
    options.session_idle_s = 600;
    options.session_absolute_s = 1;
    again();
    one = signed_in("anna");
    usleep(600000);
    (void)who(one.cookie);
    usleep(500000);
    REFUSED(keyring_session_lookup(ring, one.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
}

static void a_new_password_ends_all_other_sessions(void **state)
{
    (void)state;
    struct principal p;
    person("anna", "default", KEYRING_ROLE_MEMBER);
    struct keyring_session one = signed_in("anna"), two = signed_in("anna");
    p = who(one.cookie);
    REFUSED(keyring_password_set(ring, "anna", "wrong", GOOD "2", &p, &p.id, &why),
            FAIL_UNAUTHENTICATED);
    OK(keyring_password_set(ring, "anna", GOOD, GOOD "2", &p, &p.id, &why));
    (void)who(one.cookie);
    REFUSED(keyring_session_lookup(ring, two.cookie, NULL, false, NULL, &p, &why),
            FAIL_UNAUTHENTICATED);
    struct keyring_session s;
    REFUSED(keyring_sign_in(ring, "anna", GOOD, "", NULL, &s, &why), FAIL_UNAUTHENTICATED);
    OK(keyring_sign_in(ring, "anna", GOOD "2", "", NULL, &s, &why));
    person("ben", "default", KEYRING_ROLE_MEMBER);
    p = who(signed_in("ben").cookie);
    REFUSED(keyring_password_set(ring, "anna", GOOD "2", GOOD, &p, NULL, &why), FAIL_FORBIDDEN);
    REFUSED(keyring_password_set(ring, "nobody", NULL, GOOD, &p, NULL, &why), FAIL_FORBIDDEN);
}

static void only_administrators_change_roles_and_nobody_their_own(void **state)
{
    (void)state;
    struct keyring_account a;
    struct keyring_key made;
    char secret[KEYRING_SECRET_SIZE];
    person("anna", "default", KEYRING_ROLE_APPROVER);
    struct principal p = who(signed_in("anna").cookie);
    REFUSED(keyring_member_set(ring, "anna", "default", KEYRING_ROLE_ADMIN, &p, &why),
            FAIL_FORBIDDEN);
    REFUSED(keyring_account_add(ring, "eve", KEYRING_ACCOUNT_PERSON, "default",
                                KEYRING_ROLE_MEMBER, &p, &a, &why),
            FAIL_FORBIDDEN);
    REFUSED(keyring_team_add(ring, "mine", SECRECY_PUBLIC, &p, &why), FAIL_FORBIDDEN);
    REFUSED(keyring_account_disable(ring, "anna", true, &p, &why), FAIL_FORBIDDEN);
    /* a key with the scope alone cannot make what it is not */
    struct keyring_new n = {
        .name = "narrow", .role = KEYRING_ROLE_ADMIN, .scopes = KEYRING_SCOPE_ADMIN};
    OK(keyring_add(ring, &n, &root, secret, &made, &why));
    OK(keyring_lookup(ring, secret, &p, &why));
    REFUSED(keyring_account_add(ring, "eve", KEYRING_ACCOUNT_PERSON, "default", KEYRING_ROLE_ADMIN,
                                &p, &a, &why),
            FAIL_FORBIDDEN);
    REFUSED(keyring_member_set(ring, "anna", "default", KEYRING_ROLE_MEMBER, &p, &why),
            FAIL_FORBIDDEN);
    REFUSED(keyring_account_add(ring, "narrow", KEYRING_ACCOUNT_PERSON, "default",
                                KEYRING_ROLE_MEMBER, &root, &a, &why),
            FAIL_CONFLICT); /* its records could not be told from the key's */
}

static struct keyring_key key(const char *name, const char *owner, const char *team,
                              enum keyring_role role, const struct principal *by, char *secret)
{
    struct keyring_key made;
    struct keyring_new n = {.name = name, .owner = owner, .team = team, .role = role};
    OK(keyring_add(ring, &n, by, secret, &made, &why));
    return made;
}

static void a_key_is_no_more_than_its_owner_is_now(void **state)
{
    (void)state;
    char secret[KEYRING_SECRET_SIZE];
    struct principal p;
    person("anna", "default", KEYRING_ROLE_APPROVER);
    (void)key("laptop", "anna", "default", KEYRING_ROLE_APPROVER, &root, secret);
    OK(keyring_lookup(ring, secret, &p, &why));
    assert_string_equal(p.name, "anna");
    assert_string_equal(p.key, "laptop");
    assert_int_equal(p.role, KEYRING_ROLE_APPROVER);
    OK(keyring_member_set(ring, "anna", "default", KEYRING_ROLE_MEMBER, &root, &why));
    OK(keyring_lookup(ring, secret, &p, &why));
    assert_int_equal(p.role, KEYRING_ROLE_MEMBER);
    assert_int_equal(p.scopes, keyring_role_scopes(KEYRING_ROLE_MEMBER));
    OK(keyring_account_disable(ring, "anna", true, &root, &why));
    REFUSED(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
    assert_int_equal(p.kind, 0);
    again();
    REFUSED(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
    assert_int_equal(keyring_count(ring), 0);
    OK(keyring_account_disable(ring, "anna", false, &root, &why));
    OK(keyring_lookup(ring, secret, &p, &why));
    OK(keyring_member_set(ring, "anna", "default", KEYRING_ROLE_COUNT, &root, &why));
    REFUSED(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
}

static void a_child_key_is_a_subset_and_ends_with_its_maker(void **state)
{
    (void)state;
    char secret[KEYRING_SECRET_SIZE], child[KEYRING_SECRET_SIZE];
    struct principal by, p;
    struct keyring_key made;
    person("anna", "default", KEYRING_ROLE_APPROVER);
    person("ben", "default", KEYRING_ROLE_APPROVER);
    struct keyring_new n = {.name = "parent",
                            .owner = "anna",
                            .role = KEYRING_ROLE_APPROVER,
                            .scopes = KEYRING_SCOPE_INFER | KEYRING_SCOPE_SELF};
    OK(keyring_limits_set(&n.limits, KEYRING_LIMIT_MODELS, "light heavy", &why));
    OK(keyring_add(ring, &n, &root, secret, &made, &why));
    OK(keyring_lookup(ring, secret, &by, &why));
    struct keyring_new c = {.name = "child",
                            .owner = "anna",
                            .role = KEYRING_ROLE_MEMBER,
                            .scopes = KEYRING_SCOPE_INFER | KEYRING_SCOPE_WORK};
    REFUSED(keyring_add(ring, &c, &by, child, &made, &why), FAIL_FORBIDDEN);
    c.scopes = KEYRING_SCOPE_INFER | KEYRING_SCOPE_SELF;
    REFUSED(keyring_add(ring, &c, &by, child, &made, &why), FAIL_FORBIDDEN); /* any model */
    OK(keyring_limits_set(&c.limits, KEYRING_LIMIT_MODELS, "light huge", &why));
    REFUSED(keyring_add(ring, &c, &by, child, &made, &why), FAIL_FORBIDDEN);
    OK(keyring_limits_set(&c.limits, KEYRING_LIMIT_MODELS, "light", &why));
    c.owner = "ben";
    REFUSED(keyring_add(ring, &c, &by, child, &made, &why), FAIL_FORBIDDEN);
    c.owner = NULL;
    REFUSED(keyring_add(ring, &c, &by, child, &made, &why), FAIL_FORBIDDEN);
    c.owner = "anna";
    c.team = "other";
    REFUSED(keyring_add(ring, &c, &by, child, &made, &why), FAIL_FORBIDDEN);
    c.team = NULL;
    OK(keyring_add(ring, &c, &by, child, &made, &why));
    again();
    OK(keyring_lookup(ring, child, &p, &why));
    assert_false(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, "heavy"));
    OK(keyring_revoke(ring, "parent", &root, &why));
    REFUSED(keyring_lookup(ring, child, &p, &why), FAIL_UNAUTHENTICATED);
}

static void a_rotated_key_has_two_secrets_for_a_while(void **state)
{
    (void)state;
    char first[KEYRING_SECRET_SIZE], second[KEYRING_SECRET_SIZE], third[KEYRING_SECRET_SIZE];
    struct principal p, q;
    struct keyring_key made;
    (void)key("ci", NULL, NULL, KEYRING_ROLE_MEMBER, &root, first);
    OK(keyring_rotate(ring, "ci", 2, &root, second, &made, &why));
    assert_true(made.old_until > clock_now_us());
    for (int round = 0; round < 2; round++) {
        OK(keyring_lookup(ring, first, &p, &why));
        OK(keyring_lookup(ring, second, &q, &why));
        assert_true(text_id_equal(&p.id, &q.id));
        again();
    }
    OK(keyring_rotate(ring, "ci", 1, &root, third, &made, &why));
    REFUSED(keyring_lookup(ring, first, &p, &why), FAIL_UNAUTHENTICATED);
    OK(keyring_lookup(ring, second, &p, &why));
    usleep(1100000);
    REFUSED(keyring_lookup(ring, second, &p, &why), FAIL_UNAUTHENTICATED);
    OK(keyring_lookup(ring, third, &p, &why));
    OK(keyring_revoke(ring, "ci", &root, &why));
    REFUSED(keyring_lookup(ring, third, &p, &why), FAIL_UNAUTHENTICATED);
    REFUSED(keyring_rotate(ring, "ci", 1, &root, third, &made, &why), FAIL_NOT_FOUND);
    /* nobody takes a key over by rotating it */
    (void)key("strong", NULL, NULL, KEYRING_ROLE_ADMIN, &root, first);
    person("anna", "default", KEYRING_ROLE_MEMBER);
    p = who(signed_in("anna").cookie);
    REFUSED(keyring_rotate(ring, "strong", 1, &p, third, &made, &why), FAIL_NOT_FOUND);
    struct keyring_new n = {
        .name = "narrow", .role = KEYRING_ROLE_ADMIN, .scopes = KEYRING_SCOPE_ADMIN};
    OK(keyring_add(ring, &n, &root, second, &made, &why));
    OK(keyring_lookup(ring, second, &p, &why));
    REFUSED(keyring_rotate(ring, "strong", 1, &p, third, &made, &why), FAIL_FORBIDDEN);
}

static void a_service_account_has_keys_and_no_password(void **state)
{
    (void)state;
    char secret[KEYRING_SECRET_SIZE], token[KEYRING_TOKEN_SIZE];
    struct keyring_account a;
    struct principal p;
    OK(keyring_account_add(ring, "desk-sync", KEYRING_ACCOUNT_SERVICE, "default",
                           KEYRING_ROLE_MEMBER, &root, &a, &why));
    REFUSED(keyring_password_set(ring, "desk-sync", NULL, GOOD, &root, NULL, &why), FAIL_CONFLICT);
    REFUSED(keyring_token_new(ring, "desk-sync", 60, &root, token, &why), FAIL_CONFLICT);
    (void)key("desk", "desk-sync", "default", KEYRING_ROLE_MEMBER, &root, secret);
    OK(keyring_lookup(ring, secret, &p, &why));
    assert_int_equal(p.kind, PRINCIPAL_KIND_SERVICE);
    assert_true(text_id_equal(&p.user, &a.id));
}

static void a_change_that_cannot_be_recorded_is_not_made(void **state)
{
    (void)state;
    struct keyring_account a;
    struct keyring_team t;
    char secret[KEYRING_SECRET_SIZE];
    struct keyring_key made;
    struct keyring_new n = {.name = "ci", .role = KEYRING_ROLE_MEMBER};
    person("anna", "default", KEYRING_ROLE_MEMBER);
    refuse_records = true;
    REFUSED(keyring_add(ring, &n, &root, secret, &made, &why), FAIL_RECORD_UNAVAILABLE);
    REFUSED(keyring_team_add(ring, "legal", SECRECY_PUBLIC, &root, &why), FAIL_RECORD_UNAVAILABLE);
    REFUSED(keyring_account_disable(ring, "anna", true, &root, &why), FAIL_RECORD_UNAVAILABLE);
    REFUSED(keyring_member_set(ring, "anna", "default", KEYRING_ROLE_ADMIN, &root, &why),
            FAIL_RECORD_UNAVAILABLE);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(keyring_count(ring), 0);
        assert_false(keyring_team_find(ring, "legal", &t));
        assert_true(keyring_account_find(ring, "anna", &a));
        assert_true(a.disabled_at == 0 && a.members[0].role == KEYRING_ROLE_MEMBER);
        again();
    }
}

static void a_directory_gives_roles_and_takes_its_own_away(void **state)
{
    (void)state;
    struct keyring_account a;
    struct keyring_member m[2] = {{.team = "support", .role = KEYRING_ROLE_REVIEWER},
                                  {.team = "no-such-team", .role = KEYRING_ROLE_ADMIN}};
    struct keyring_vouch v = {.origin = "oidc:https://id.example",
                              .subject = "s-1",
                              .name = "anna@corp.example",
                              .members = m,
                              .members_len = 2};
    OK(keyring_team_add(ring, "support", SECRECY_INTERNAL, &root, &why));
    OK(keyring_vouched(ring, &v, &a, &why));
    assert_int_equal(a.members_len, 1);
    assert_true(a.members[0].directory);
    OK(keyring_member_set(ring, "anna@corp.example", "default", KEYRING_ROLE_MEMBER, &root, &why));
    again();
    v.name = "renamed@corp.example"; /* the subject counts, not the name */
    v.members_len = 0;
    struct keyring_account b;
    OK(keyring_vouched(ring, &v, &b, &why));
    assert_true(text_id_equal(&a.id, &b.id));
    assert_string_equal(b.name, "anna@corp.example");
    assert_int_equal(b.members_len, 1); /* what a person gave stays */
    assert_string_equal(b.members[0].team, "default");
    struct keyring_vouch other = v;
    other.subject = "s-2";
    other.name = "anna@corp.example";
    REFUSED(keyring_vouched(ring, &other, &b, &why), FAIL_CONFLICT);
    other.name = "ben@corp.example";
    REFUSED(keyring_vouched(ring, &other, &b, &why), FAIL_FORBIDDEN); /* no team: not kept */
    assert_false(keyring_account_find(ring, "ben@corp.example", &b));
    OK(keyring_account_disable(ring, "anna@corp.example", true, &root, &why));
    REFUSED(keyring_vouched(ring, &v, &b, &why), FAIL_FORBIDDEN);
}

static void whom_a_directory_withdraws_comes_back_only_through_it(void **state)
{
    (void)state;
    struct keyring_account a;
    struct keyring_member m = {.team = "default", .role = KEYRING_ROLE_MEMBER};
    struct keyring_vouch v = {.origin = "ldap:ldaps://dc",
                              .subject = "u-1",
                              .name = "anna",
                              .members = &m,
                              .members_len = 1};
    char secret[KEYRING_SECRET_SIZE];
    struct keyring_session s;
    struct principal p;
    OK(keyring_vouched(ring, &v, &a, &why));
    OK(keyring_session_start(ring, &a.id, NULL, &s, &why));
    (void)key("laptop", "anna", "default", KEYRING_ROLE_MEMBER, &root, secret);
    OK(keyring_lookup(ring, secret, &p, &why));
    OK(keyring_withdrawn(ring, v.origin, v.subject, &why));
    REFUSED(keyring_withdrawn(ring, v.origin, "u-2", &why), FAIL_NOT_FOUND);
    for (int round = 0; round < 2; round++) {
        REFUSED(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
        REFUSED(keyring_session_lookup(ring, s.cookie, NULL, false, NULL, &p, &why),
                FAIL_UNAUTHENTICATED);
        REFUSED(keyring_session_start(ring, &a.id, NULL, &s, &why), FAIL_UNAUTHENTICATED);
        again();
    }
    OK(keyring_vouched(ring, &v, &a, &why));
    OK(keyring_lookup(ring, secret, &p, &why));
    OK(keyring_account_disable(ring, "anna", true, &root, &why));
    OK(keyring_withdrawn(ring, v.origin, v.subject, &why));
    REFUSED(keyring_vouched(ring, &v, &a, &why), FAIL_FORBIDDEN); /* an administrator's word */
}

struct asker {
    pthread_t thread;
    const char *cookie, *secret;
    int good, refused, wrong;
};

/* Whatever changes meanwhile, an answer is a whole principal or none. */
static void *ask(void *arg)
{
    struct asker *a = arg;
    for (int i = 0; i < 3000; i++) {
        struct principal p;
        struct fault why;
        enum fail f = i % 2 == 0
                          ? keyring_session_lookup(ring, a->cookie, NULL, false, NULL, &p, &why)
                          : keyring_lookup(ring, a->secret, &p, &why);
        bool whole = strcmp(p.name, "anna") == 0 && p.scopes == keyring_role_scopes(p.role) &&
                     (strcmp(p.team, "default") == 0 || strcmp(p.team, "legal") == 0);
        a->good += f == FAIL_NONE && whole;
        a->refused += f != FAIL_NONE && p.kind == 0 && p.scopes == 0;
        a->wrong += f == FAIL_NONE ? !whole : p.kind != 0;
    }
    return NULL;
}

static void lookups_see_whole_principals_while_everything_changes(void **state)
{
    (void)state;
    char secret[KEYRING_SECRET_SIZE];
    struct keyring_session other;
    struct asker askers[3];
    OK(keyring_team_add(ring, "legal", SECRECY_RESTRICTED, &root, &why));
    person("anna", "default", KEYRING_ROLE_MEMBER);
    (void)key("laptop", "anna", "default", KEYRING_ROLE_MEMBER, &root, secret);
    struct keyring_session s = signed_in("anna");
    for (int i = 0; i < 3; i++) {
        askers[i] = (struct asker){.cookie = s.cookie, .secret = secret};
        pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
    }
    for (int i = 0; i < 12; i++) {
        struct principal p;
        struct keyring_account a;
        OK(keyring_member_set(ring, "anna", "legal",
                              i % 2 == 0 ? KEYRING_ROLE_AUDITOR : KEYRING_ROLE_COUNT, &root, &why));
        OK(keyring_team_label(ring, "legal", i % 2 == 0 ? SECRECY_PUBLIC : SECRECY_RESTRICTED,
                              &root, &why));
        other = signed_in("anna");
        p = who(other.cookie);
        OK(keyring_sign_out(ring, &p, false, &why));
        char name[16];
        snprintf(name, sizeof(name), "p%d", i);
        OK(keyring_account_add(ring, name, KEYRING_ACCOUNT_PERSON, "default", KEYRING_ROLE_MEMBER,
                               &root, &a, &why));
    }
    OK(keyring_account_disable(ring, "anna", true, &root, &why));
    for (int i = 0; i < 3; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].wrong, 0);
        assert_int_equal(askers[i].good + askers[i].refused, 3000);
    }
    struct principal p;
    REFUSED(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(the_first_administrator_comes_by_a_token_that_is_good_once),
        T(a_token_that_has_expired_does_nothing),
        T(wrong_names_and_wrong_passwords_are_one_answer),
        T(guessing_is_slowed_for_the_guesser_and_not_for_the_guessed),
        T(an_address_that_guesses_many_names_is_slowed),
        T(a_password_is_hashed_anew_when_its_cost_changes),
        T(a_session_acts_for_its_account_as_it_is_now),
        T(changing_by_cookie_needs_the_sessions_own_token),
        T(sessions_end_when_idle_when_left_and_everywhere),
        T(a_new_password_ends_all_other_sessions),
        T(only_administrators_change_roles_and_nobody_their_own),
        T(a_key_is_no_more_than_its_owner_is_now),
        T(a_child_key_is_a_subset_and_ends_with_its_maker),
        T(a_rotated_key_has_two_secrets_for_a_while),
        T(a_service_account_has_keys_and_no_password),
        T(a_change_that_cannot_be_recorded_is_not_made),
        T(a_directory_gives_roles_and_takes_its_own_away),
        T(whom_a_directory_withdraws_comes_back_only_through_it),
        T(lookups_see_whole_principals_while_everything_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
