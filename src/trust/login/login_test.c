/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of tokens' form and claims, of what claims mean, and of filters. Signatures and real
   providers are tests/login's. */
#include "trust/login/login.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/text/text.h"

static void base64url(const char *text, char *out)
{
    (void)text_base64(text, strlen(text), out);
    for (char *p = out; *p != '\0'; p++) {
        *p = (char)(*p == '+' ? '-' : *p == '/' ? '_' : *p);
        if (*p == '=') {
            *p = '\0';
            return;
        }
    }
}

static enum fail head_of(const char *header, struct login_jwt_head *out)
{
    char token[2048];
    struct fault why;
    base64url(header, token);
    size_t n = strlen(token);
    snprintf(token + n, sizeof(token) - n, ".e30.c2ln");
    return login_jwt_head(token, strlen(token), out, &why);
}

static void only_algorithms_of_the_list_are_read(void **state)
{
    (void)state;
    struct login_jwt_head h;
    assert_int_equal(head_of("{\"alg\":\"RS256\",\"kid\":\"k\",\"jwk\":{\"kty\":\"RSA\"}}", &h),
                     FAIL_NONE);
    assert_string_equal(h.kid, "k");
    assert_int_equal(head_of("{\"alg\":\"ES256\"}", &h), FAIL_NONE);
    static const char *const bad[] = {"{\"alg\":\"none\"}",
                                      "{\"alg\":\"None\"}",
                                      "{\"alg\":\"HS256\"}",
                                      "{\"alg\":\"rs256\"}",
                                      "{\"alg\":\"RS256 \"}",
                                      "{}",
                                      "{\"alg\":1}",
                                      "{\"alg\":\"RS256\",\"crit\":[\"exp\"]}",
                                      "{\"alg\":\"RS256\",\"b64\":false}",
                                      "{\"alg\":\"RS256\",\"kid\":7}",
                                      "{\"alg\":\"RS256\",\"alg\":\"none\"}",
                                      "[]"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (head_of(bad[i], &h) == FAIL_NONE) {
            fail_msg("%s was taken", bad[i]);
        }
    }
}

static void a_token_has_three_parts_of_base64url(void **state)
{
    (void)state;
    struct login_jwt_head h;
    struct fault why;
    static const char good[] = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln";
    static const char *const bad[] = {"", ".", "..", "a.b", "a.b.c.d", "eyJhbGciOiJSUzI1NiJ9..c2ln",
                                      "eyJhbGciOiJSUzI1NiJ9.e30.", "eyJhbGciOiJSUzI1NiJ9=.e30.c2ln",
                                      "eyJhbGciOiJSUzI1NiJ9.e+0.c2ln",
                                      " eyJhbGciOiJSUzI1NiJ9.e30.c2ln"};
    assert_int_equal(login_jwt_head(good, strlen(good), &h, &why), FAIL_NONE);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(login_jwt_head(bad[i], strlen(bad[i]), &h, &why), FAIL_UNAUTHENTICATED);
    }
    static char huge[LOGIN_TOKEN_MAX + 64];
    memset(huge, 'a', sizeof(huge) - 1);
    memcpy(huge, good, strlen(good));
    assert_int_equal(login_jwt_head(huge, strlen(huge), &h, &why), FAIL_UNAUTHENTICATED);
    assert_true(login_is_token(good));
    assert_false(login_is_token("ik_0123"));
}

#define NOW "1700000000"
static const struct login_expect expect = {
    .issuer = "https://id.example", .audience = "inhouse", .now_s = 1700000000};

static void each_claim_is_checked(void **state)
{
    (void)state;
    static const struct {
        const char *json, *names; /* names NULL: it is good */
    } cases[] = {
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1700000100}",
         NULL},
        {"{\"iss\":\"https://id.example\",\"aud\":[\"x\",\"inhouse\"],\"sub\":\"s\","
         "\"exp\":1699999950}",
         NULL}, /* within the leeway */
        {"{\"iss\":\"https://id.example/\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1700000100}",
         "iss"},
        {"{\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1700000100}", "iss"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"other\",\"sub\":\"s\",\"exp\":1700000100}",
         "aud"},
        {"{\"iss\":\"https://id.example\",\"aud\":[],\"sub\":\"s\",\"exp\":1700000100}", "aud"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\\u0000x\",\"sub\":\"s\","
         "\"exp\":1700000100}",
         "malformed"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"exp\":1700000100}", "sub"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"\",\"exp\":1700000100}",
         "sub"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":7,\"exp\":1700000100}",
         "sub"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"s\"}", "exp"},
        {"{\"iss\":\"https://"
         "id.example\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":\"1700000100\"}",
         "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1699999940}",
         "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1e300}", "exp"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1700000100,"
         "\"nbf\":1700000061}",
         "nbf"},
        {"{\"iss\":\"https://id.example\",\"aud\":\"inhouse\",\"sub\":\"s\",\"exp\":1700000100,"
         "\"iat\":1700000061}",
         "iat"},
        {"{\"iss\":\"https://id.example\",\"iss\":\"x\"}", "malformed"},
        {"[]", "malformed"},
        {"", "malformed"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char sub[KEYRING_SUBJECT_SIZE];
        int64_t until;
        struct fault why;
        enum fail f = login_claims_check(cases[i].json, strlen(cases[i].json), &expect, sub, &until,
                                         &why);
        if ((f == FAIL_NONE) != (cases[i].names == NULL) ||
            (f != FAIL_NONE && strstr(why.message, cases[i].names) == NULL)) {
            fail_msg("%s: %s", cases[i].json, f == FAIL_NONE ? "taken" : why.message);
        }
    }
}

static void an_id_token_answers_this_sign_in_and_this_client(void **state)
{
    (void)state;
    struct login_expect e = expect;
    char sub[KEYRING_SUBJECT_SIZE];
    int64_t until;
    struct fault why;
    e.nonce = "n1";
    e.id_token = true;
#define BASE "\"iss\":\"https://id.example\",\"sub\":\"s\",\"exp\":1700000100,\"iat\":" NOW
    static const char good[] = "{" BASE ",\"aud\":\"inhouse\",\"nonce\":\"n1\"}";
    static const char *const bad[] = {
        "{" BASE ",\"aud\":\"inhouse\",\"nonce\":\"n2\"}",
        "{" BASE ",\"aud\":\"inhouse\"}",
        "{" BASE ",\"aud\":[\"inhouse\",\"x\"],\"nonce\":\"n1\"}",
        "{" BASE ",\"aud\":\"inhouse\",\"azp\":\"x\",\"nonce\":\"n1\"}",
        "{\"iss\":\"https://id.example\",\"sub\":\"s\",\"exp\":1700000100,\"aud\":\"inhouse\","
        "\"nonce\":\"n1\"}"};
    assert_int_equal(login_claims_check(good, strlen(good), &e, sub, &until, &why), FAIL_NONE);
    assert_string_equal(sub, "s");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(login_claims_check(bad[i], strlen(bad[i]), &e, sub, &until, &why),
                         FAIL_UNAUTHENTICATED);
    }
}

static void only_what_is_mapped_grants_anything(void **state)
{
    (void)state;
    static const struct config_grant grants[] = {
        {"groups", "support", "support", "member"},
        {"groups", "leads", "support", "approver"},
        {"realm_access.roles", "boss", "default", "admin"},
        {"https://corp.example/groups", "x", "legal", "auditor"},
    };
    struct keyring_member m[KEYRING_MEMBER_MAX];
    static const struct {
        const char *json;
        size_t n;
        enum keyring_role role;
    } cases[] = {
        {"{\"groups\":[\"support\"]}", 1, KEYRING_ROLE_MEMBER},
        {"{\"groups\":[\"leads\",\"support\"]}", 1, KEYRING_ROLE_APPROVER},
        {"{\"groups\":\"support\"}", 1, KEYRING_ROLE_MEMBER},
        {"{\"realm_access\":{\"roles\":[\"boss\"]}}", 1, KEYRING_ROLE_ADMIN},
        {"{\"https://corp.example/groups\":[\"x\"]}", 1, KEYRING_ROLE_AUDITOR},
        {"{\"groups\":[\"Support\",\"support2\",\"admin\"]}", 0, 0},
        {"{\"groups\":{\"support\":true}}", 0, 0},
        {"{\"groups\":[[\"support\"]]}", 0, 0},
        {"{\"realm_access\":\"boss\"}", 0, 0},
        {"{}", 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t n = login_claims_members(cases[i].json, strlen(cases[i].json), grants,
                                        COUNT_OF(grants), m);
        if (n != cases[i].n || (n > 0 && m[0].role != cases[i].role)) {
            fail_msg("%s", cases[i].json);
        }
    }
}

static void a_name_cannot_change_a_filter(void **state)
{
    (void)state;
    char out[64];
    assert_true(login_filter_escape("*)(uid=*", 8, out, sizeof(out)));
    assert_string_equal(out, "\\2a\\29\\28uid\\3d\\2a");
    assert_true(login_filter_escape("a\0b", 3, out, sizeof(out)));
    assert_string_equal(out, "a\\00b");
    assert_true(login_filter_escape("m\xc3\xbcller", 7, out, sizeof(out)));
    assert_string_equal(out, "m\\c3\\bcller");
    char lots[64];
    memset(lots, '*', sizeof(lots));
    assert_false(login_filter_escape(lots, sizeof(lots), out, sizeof(out)));
    assert_string_equal(out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_algorithms_of_the_list_are_read),
        cmocka_unit_test(a_token_has_three_parts_of_base64url),
        cmocka_unit_test(each_claim_is_checked),
        cmocka_unit_test(an_id_token_answers_this_sign_in_and_this_client),
        cmocka_unit_test(only_what_is_mapped_grants_anything),
        cmocka_unit_test(a_name_cannot_change_a_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
