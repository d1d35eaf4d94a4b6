/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of keys: made, looked up, expired, revoked, never more than their maker; and the
   home.master key. */
#include "trust/keyring/keyring.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock/clock.h"
#include "support/home.h"

static struct home home;
static struct keyring *ring;
static struct principal admin;

static int64_t idle_s;
static char noted[200]; /* the last event, in words */
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
    struct keyring_options o = {.record = note, .password_ops = 1, .password_bytes = 8192,
                                .session_idle_s = idle_s};
    home_open(&home, HOME_KEYS);
    assert_int_equal(keyring_open(home.store, home.master, &o, &ring, &why), FAIL_NONE);
    assert_int_equal(keyring_local(geteuid(), &admin, &why), FAIL_NONE);
}

static void close_all(void)
{
    keyring_close(ring);
    home_close(&home);
}

static int set_up(void **state)
{
    (void)state;
    idle_s = 0;
    refuse_records = false;
    home_make(&home, "keyring");
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_all();
    return home_remove(&home);
}

static void add(const char *name, const char *team, enum keyring_role role, char *secret)
{
    struct fault why;
    struct keyring_key made;
    struct keyring_new n = {.name = name, .team = team, .role = role};
    if (keyring_add(ring, &n, &admin, secret, &made, &why) != FAIL_NONE) {
        fail_msg("%s", why.message);
    }
}

static void a_key_names_its_bearer_also_after_a_restart(void **state)
{
    (void)state;
    struct fault why;
    struct principal p;
    char secret[KEYRING_SECRET_SIZE];
    add("ci-bot", "payments", KEYRING_ROLE_MEMBER, secret);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(keyring_lookup(ring, secret, &p, &why), FAIL_NONE);
        assert_int_equal(p.kind, PRINCIPAL_KIND_KEY);
        assert_string_equal(p.name, "ci-bot");
        assert_string_equal(p.team, "payments");
        assert_int_equal(p.scopes,
                         KEYRING_SCOPE_INFER | KEYRING_SCOPE_WORK | KEYRING_SCOPE_SELF);
        assert_false(text_id_is_zero(&p.id));
        assert_int_equal(keyring_require(&p, KEYRING_SCOPE_INFER, &why), FAIL_NONE);
        assert_int_equal(keyring_require(&p, KEYRING_SCOPE_AUDIT, &why), FAIL_FORBIDDEN);
        assert_non_null(strstr(why.message, "audit"));
        close_all();
        open_all();
    }
    assert_int_equal(keyring_count(ring), 1);
}

static void a_wrong_bearer_is_never_anybody(void **state)
{
    (void)state;
    struct fault why;
    struct principal p;
    char secret[KEYRING_SECRET_SIZE];
    add("ci-bot", NULL, KEYRING_ROLE_MEMBER, secret);
    const char *bad[] = {NULL, "", "ik_", "Bearer x", secret + 1};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(keyring_lookup(ring, bad[i], &p, &why), FAIL_UNAUTHENTICATED);
        assert_int_equal(p.kind, 0);
    }
    for (int i = 0; i < KEYRING_SECRET_SIZE - 1; i++) {
        char other[KEYRING_SECRET_SIZE];
        memcpy(other, secret, sizeof(other));
        other[i] = other[i] == 'a' ? 'b' : 'a';
        assert_int_equal(keyring_lookup(ring, other, &p, &why), FAIL_UNAUTHENTICATED);
        assert_int_equal(p.scopes, 0);
    }
}

static void expired_and_revoked_keys_are_refused(void **state)
{
    (void)state;
    struct fault why;
    struct principal p;
    char secret[KEYRING_SECRET_SIZE];
    struct keyring_key made;
    struct keyring_new n = {.name = "brief", .role = KEYRING_ROLE_MEMBER};
    n.expires_at = clock_now_us() - 1;
    assert_int_equal(keyring_add(ring, &n, &admin, secret, &made, &why), FAIL_BAD_REQUEST);
    n.expires_at = clock_now_us() + 50000;
    assert_int_equal(keyring_add(ring, &n, &admin, secret, &made, &why), FAIL_NONE);
    assert_int_equal(keyring_lookup(ring, secret, &p, &why), FAIL_NONE);
    usleep(60000);
    assert_int_equal(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
    add("gone", NULL, KEYRING_ROLE_ADMIN, secret);
    assert_int_equal(keyring_revoke(ring, "gone", &admin, &why), FAIL_NONE);
    assert_int_equal(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
    assert_int_equal(keyring_revoke(ring, "gone", &admin, &why), FAIL_NOT_FOUND);
    close_all();
    open_all();
    assert_int_equal(keyring_lookup(ring, secret, &p, &why), FAIL_UNAUTHENTICATED);
    assert_int_equal(keyring_count(ring), 0);
}

static void nobody_makes_a_key_beyond_their_own(void **state)
{
    (void)state;
    struct fault why;
    struct keyring_key made;
    struct principal member, boss;
    char secret[KEYRING_SECRET_SIZE];
    add("m", NULL, KEYRING_ROLE_MEMBER, secret);
    assert_int_equal(keyring_lookup(ring, secret, &member, &why), FAIL_NONE);
    struct keyring_new n = {.name = "more", .role = KEYRING_ROLE_MEMBER};
    assert_int_equal(keyring_add(ring, &n, &member, secret, &made, &why), FAIL_FORBIDDEN);
    struct keyring_new narrow = {
        .name = "narrow", .role = KEYRING_ROLE_ADMIN, .scopes = KEYRING_SCOPE_ADMIN};
    assert_int_equal(keyring_add(ring, &narrow, &admin, secret, &made, &why), FAIL_NONE);
    assert_int_equal(keyring_lookup(ring, secret, &boss, &why), FAIL_NONE);
    assert_int_equal(keyring_add(ring, &n, &boss, secret, &made, &why), FAIL_FORBIDDEN);
    n.scopes = KEYRING_SCOPE_AUDIT; /* not a member's */
    assert_int_equal(keyring_add(ring, &n, &admin, secret, &made, &why), FAIL_BAD_REQUEST);
    n.name = "m";
    n.scopes = 0;
    assert_int_equal(keyring_add(ring, &n, &admin, secret, &made, &why), FAIL_CONFLICT);
    n.name = "Not A Name";
    assert_int_equal(keyring_add(ring, &n, &admin, secret, &made, &why), FAIL_BAD_REQUEST);
}

static void no_secret_is_stored(void **state)
{
    (void)state;
    char secret[KEYRING_SECRET_SIZE];
    add("ci-bot", NULL, KEYRING_ROLE_MEMBER, secret);
    uint8_t raw[32];
    assert_true(text_unhex(secret + 3, 64, raw));
    static const char *const names[] = {"data.db", "data.db-wal", "data.db-shm"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[128];
        snprintf(path, sizeof(path), "%s/%s", home.dir, names[i]);
        int fd = open(path, O_RDONLY);
        assert_true(fd >= 0);
        static char data[1 << 20];
        ssize_t n = read(fd, data, sizeof(data));
        close(fd);
        assert_null(memmem(data, (size_t)n, secret, 20));
        assert_null(memmem(data, (size_t)n, raw, 16));
    }
}

static void names_of_scopes_and_roles_are_read_back(void **state)
{
    (void)state;
    struct fault why;
    uint32_t bits;
    char text[KEYRING_SCOPES_SIZE];
    keyring_scopes_show(KEYRING_SCOPES_ALL, text, sizeof(text));
    assert_int_equal(keyring_scopes_read(text, &bits, &why), FAIL_NONE);
    assert_int_equal(bits, KEYRING_SCOPES_ALL);
    assert_int_equal(keyring_scopes_read("infer, review", &bits, &why), FAIL_NONE);
    assert_int_equal(bits, KEYRING_SCOPE_INFER | KEYRING_SCOPE_REVIEW);
    assert_int_equal(keyring_scopes_read("infer root", &bits, &why), FAIL_BAD_REQUEST);
    assert_non_null(strstr(why.message, "root"));
    for (int i = 0; i < KEYRING_ROLE_COUNT; i++) {
        enum keyring_role r;
        assert_true(keyring_role_find(keyring_role_name((enum keyring_role)i), &r));
        assert_int_equal(r, i);
    }
    struct principal p;
    assert_int_equal(keyring_local(geteuid() + 1, &p, &why), FAIL_UNAUTHENTICATED);
    assert_string_equal(admin.team, KEYRING_TEAM_DEFAULT);
}

static void the_master_key_is_private_and_one_per_purpose(void **state)
{
    (void)state;
    struct fault why;
    char path[96];
    snprintf(path, sizeof(path), "%s/master.key", home.dir);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    uint8_t a[32], b[32];
    keyring_master_derive(home.master, "one", a);
    keyring_master_derive(home.master, "two", b);
    assert_memory_not_equal(a, b, 32);
    struct keyring_master *again;
    chmod(path, 0644);
    assert_int_equal(keyring_master_open(home.dir, &again, &why), FAIL_FORBIDDEN);
    chmod(path, 0600);
    assert_int_equal(keyring_master_open(home.dir, &again, &why), FAIL_NONE);
    keyring_master_derive(again, "one", b);
    assert_memory_equal(a, b, 32);
    keyring_master_close(again);
    assert_int_equal(truncate(path, 40), 0);
    assert_int_equal(keyring_master_open(home.dir, &again, &why), FAIL_INTERNAL);
}

static void a_list_given_denies_what_it_does_not_name(void **state)
{
    (void)state;
    struct fault why;
    struct principal p = {.kind = PRINCIPAL_KIND_KEY};
    assert_true(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, "light"));
    assert_int_equal(keyring_limits_set(&p.limits, KEYRING_LIMIT_MODELS, "light, big/one,light",
                                        &why), FAIL_NONE);
    assert_string_equal(p.limits.names[KEYRING_LIMIT_MODELS], "light big/one");
    assert_true(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, "big/one"));
    assert_false(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, "ligh"));
    assert_false(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, "light big/one"));
    assert_false(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, ""));
    assert_true(keyring_limits_allow(&p, KEYRING_LIMIT_DATASETS, "faq"));
    struct keyring_limits inner = {0};
    assert_false(keyring_limits_within(&inner, &p.limits));
    assert_int_equal(keyring_limits_set(&inner, KEYRING_LIMIT_MODELS, "light", &why), FAIL_NONE);
    assert_true(keyring_limits_within(&inner, &p.limits));
    assert_false(keyring_limits_within(&p.limits, &inner));
    assert_int_equal(keyring_limits_set(&inner, KEYRING_LIMIT_MODELS, "", &why), FAIL_NONE);
    assert_true(keyring_limits_within(&inner, &p.limits));
    p.limits = inner;
    assert_false(keyring_limits_allow(&p, KEYRING_LIMIT_MODELS, "light"));
    assert_int_equal(keyring_limits_set(&inner, KEYRING_LIMIT_MODELS, "a\nb", &why),
                     FAIL_BAD_REQUEST);
    char lots[KEYRING_LIMIT_SIZE + 1];
    memset(lots, 'a', sizeof(lots) - 1);
    lots[sizeof(lots) - 1] = '\0';
    assert_int_equal(keyring_limits_set(&inner, KEYRING_LIMIT_DATASETS, lots, &why),
                     FAIL_TOO_LARGE);
}

struct asker {
    pthread_t thread;
    const char *secret;
    int granted;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    for (int i = 0; i < 2000; i++) {
        struct principal p;
        struct fault why;
        a->granted += keyring_lookup(ring, a->secret, &p, &why) == FAIL_NONE;
    }
    return NULL;
}

static void lookups_from_many_threads_agree_while_keys_change(void **state)
{
    (void)state;
    struct fault why;
    char secret[KEYRING_SECRET_SIZE];
    char other[KEYRING_SECRET_SIZE];
    add("steady", NULL, KEYRING_ROLE_MEMBER, secret);
    struct asker askers[4];
    for (int i = 0; i < 4; i++) {
        askers[i] = (struct asker){.secret = secret};
        pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
    }
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof(name), "k%d", i);
        add(name, NULL, KEYRING_ROLE_MEMBER, other);
        assert_int_equal(keyring_revoke(ring, name, &admin, &why), FAIL_NONE);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].granted, 2000);
    }
}

static void count_and_order(void *arg, const struct keyring_key *key)
{
    int *n = arg;
    char want[8];
    snprintf(want, sizeof(want), "k%02d", (*n)++);
    assert_string_equal(key->name, want);
}

static void the_list_is_in_order_of_name(void **state)
{
    (void)state;
    char secret[KEYRING_SECRET_SIZE];
    for (int i = 9; i >= 0; i--) {
        char name[8];
        snprintf(name, sizeof(name), "k%02d", i);
        add(name, NULL, KEYRING_ROLE_AUDITOR, secret);
    }
    int n = 0;
    keyring_list(ring, count_and_order, &n);
    assert_int_equal(n, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        T(a_key_names_its_bearer_also_after_a_restart),
        T(a_wrong_bearer_is_never_anybody),
        T(expired_and_revoked_keys_are_refused),
        T(nobody_makes_a_key_beyond_their_own),
        T(no_secret_is_stored),
        T(names_of_scopes_and_roles_are_read_back),
        T(the_master_key_is_private_and_one_per_purpose),
        T(a_list_given_denies_what_it_does_not_name),
        T(lookups_from_many_threads_agree_while_keys_change),
        T(the_list_is_in_order_of_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
