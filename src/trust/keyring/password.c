/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: Argon2id through libsodium, what a password must be, and the throttle on guessing. */
#include "trust/keyring/keyring_internal.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "base/clock/clock.h"

_Static_assert(PASSWORD_SIZE >= crypto_pwhash_STRBYTES, "libsodium's notation fits");

/* ---- hashing ---- */

enum fail ring_password_hash(struct keyring *k, const char *password, char out[PASSWORD_SIZE],
                             struct fault *why)
{
    memset(out, 0, PASSWORD_SIZE);
    pthread_mutex_lock(&k->hashing);
    int failed =
        crypto_pwhash_str_alg(out, password, strlen(password), k->o.password_ops,
                              k->o.password_bytes, crypto_pwhash_ALG_ARGON2ID13);
    pthread_mutex_unlock(&k->hashing);
    if (failed != 0) {
        FAULT(why, FAIL_INTERNAL, "there is no memory to hash a password (%zu MiB)",
              k->o.password_bytes >> 20);
        return fail_hint(why, "Free some memory and try again.");
    }
    return FAIL_NONE;
}

bool ring_password_check(struct keyring *k, const char *stored, const char *password, bool *stale)
{
    bool there = stored[0] != '\0';
    if (!there) {
        pthread_mutex_lock(&k->hashing);
        bool made = k->nobody[0] != '\0';
        pthread_mutex_unlock(&k->hashing);
        if (!made) {
            /* The first unknown name pays for it once; its answer only comes later. */
            char hash[PASSWORD_SIZE], secret[HEX_SECRET + 1];
            ring_secret("", secret);
            if (ring_password_hash(k, secret, hash, NULL) == FAIL_NONE) {
                pthread_mutex_lock(&k->hashing);
                memcpy(k->nobody, hash, sizeof(hash));
                pthread_mutex_unlock(&k->hashing);
            }
        }
    }
    pthread_mutex_lock(&k->hashing);
    bool good = crypto_pwhash_str_verify(there ? stored : k->nobody, password, strlen(password)) ==
                0;
    pthread_mutex_unlock(&k->hashing);
    *stale = good && there &&
             crypto_pwhash_str_needs_rehash(stored, k->o.password_ops, k->o.password_bytes) != 0;
    return good && there;
}

/* Case does not hide a name in a password. */
static bool holds(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; n >= 3 && *text != '\0'; text++) {
        if (strncasecmp(text, part, n) == 0) {
            return true;
        }
    }
    return false;
}

enum fail ring_password_good(const char *name, const char *password, struct fault *why)
{
    size_t n = strlen(password), kinds = 0;
    bool seen[256] = {false};
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)password[i];
        kinds += !seen[c];
        seen[c] = true;
    }
    if (n < KEYRING_PASSWORD_MIN || n > KEYRING_PASSWORD_MAX) {
        FAULT(why, FAIL_BAD_REQUEST, "a password has %d to %d bytes", KEYRING_PASSWORD_MIN,
              KEYRING_PASSWORD_MAX);
    } else if (kinds < 5) {
        FAULT(why, FAIL_BAD_REQUEST, "a password has at least 5 different characters");
    } else if (holds(password, name)) {
        FAULT(why, FAIL_BAD_REQUEST, "a password does not contain its account's name");
    } else {
        return FAIL_NONE;
    }
    fail_param(why, "password");
    return fail_hint(why, "A few words that belong together for nobody but you are easy to keep.");
}

/* ---- the throttle ---- */

/* What was guessed is never kept, only a hash of name and address. A full table forgets the slot
   whose last failure is longest ago. */
#define SLOTS 4096
#define PROBES 8
#define FORGET_US (60 * 60 * 1000000LL)
#define WAIT_MIN_S 5
#define WAIT_MAX_S 900

struct slot {
    uint64_t what; /* 0: free */
    int64_t last_us;
    int failures;
};

struct throttle {
    pthread_mutex_t lock;
    uint8_t key[crypto_shorthash_KEYBYTES];
    struct slot slots[SLOTS];
};

struct throttle *throttle_new(void)
{
    struct throttle *t = mem_alloc(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    crypto_shorthash_keygen(t->key);
    return t;
}

void throttle_free(struct throttle *t)
{
    if (t != NULL) {
        pthread_mutex_destroy(&t->lock);
        mem_free(t);
    }
}

enum { BY_BOTH, BY_NAME, BY_ADDRESS, BY_COUNT };
static const int free_failures[BY_COUNT] = {5, 20, 50};

/* The slot of (name, address), found or taken; NULL when there is none and it is not to be made. */
static struct slot *slot_of(struct throttle *t, int by, const char *name, const char *address,
                            bool make)
{
    char text[400];
    size_t n = 0;
    uint64_t what;
    int64_t now = clock_monotonic_us();
    text[n++] = (char)('0' + by);
    const char *parts[2] = {by == BY_ADDRESS ? "" : name, by == BY_NAME ? "" : address};
    for (int i = 0; i < 2; i++) {
        for (const char *p = parts[i]; *p != '\0' && n + 2 < sizeof(text); p++) {
            text[n++] = (char)tolower((unsigned char)*p);
        }
        text[n++] = '\n';
    }
    crypto_shorthash((uint8_t *)&what, (const uint8_t *)text, n, t->key);
    what |= 1; /* never 0 */
    struct slot *oldest = NULL;
    for (size_t i = 0; i < PROBES; i++) {
        struct slot *s = &t->slots[(what / 2 + i) % SLOTS];
        if (s->what != 0 && now - s->last_us > FORGET_US) {
            *s = (struct slot){0};
        }
        if (s->what == what) {
            return s;
        }
        if (oldest == NULL || s->what == 0 || (oldest->what != 0 && s->last_us < oldest->last_us)) {
            oldest = s;
        }
    }
    if (make) {
        *oldest = (struct slot){.what = what};
    }
    return make ? oldest : NULL;
}

static int wait_s(const struct slot *s, int by)
{
    int over = s != NULL ? s->failures - free_failures[by] : -1;
    int64_t pause = over < 0 ? 0 : over >= 8 ? WAIT_MAX_S : (int64_t)WAIT_MIN_S << over;
    pause = pause < WAIT_MAX_S ? pause : WAIT_MAX_S;
    int64_t left = pause > 0 ? pause * 1000000 - (clock_monotonic_us() - s->last_us) : 0;
    return left > 0 ? (int)(left / 1000000 + 1) : 0;
}

enum fail keyring_throttle_ask(struct keyring *k, const char *name, const char *address,
                               struct fault *why)
{
    int longest = 0;
    pthread_mutex_lock(&k->throttle->lock);
    for (int by = 0; by < BY_COUNT; by++) {
        int wait = wait_s(slot_of(k->throttle, by, name, address, false), by);
        longest = wait > longest ? wait : longest;
    }
    for (int by = 0; longest == 0 && by < BY_COUNT; by++) {
        struct slot *s = slot_of(k->throttle, by, name, address, true);
        s->failures++;
        s->last_us = clock_monotonic_us();
    }
    pthread_mutex_unlock(&k->throttle->lock);
    if (longest == 0) {
        return FAIL_NONE;
    }
    FAULT(why, FAIL_RATE_LIMITED, "too many wrong passwords");
    fail_hint(why, "Try again in %d s. An administrator can set another password.", longest);
    return fail_retry_after(why, longest);
}

void keyring_throttle_good(struct keyring *k, const char *name, const char *address)
{
    pthread_mutex_lock(&k->throttle->lock);
    for (int by = 0; by < BY_COUNT; by++) {
        struct slot *s = slot_of(k->throttle, by, name, address, false);
        if (s != NULL && by == BY_BOTH) {
            *s = (struct slot){0};
        } else if (s != NULL && s->failures > 0) {
            s->failures--; /* one's own success does not help others to guess on */
        }
    }
    pthread_mutex_unlock(&k->throttle->lock);
}
