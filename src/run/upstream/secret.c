/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates, read once at the start. A key never appears in a message. */
#include "run/upstream/upstream_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#define SECRET_MAX 4096

/* A header's value: what could end the line or is no ASCII is no key. */
static char *checked(char *secret, const char *reference, struct fault *why)
{
    size_t n = strlen(secret);
    while (n > 0 && (secret[n - 1] == '\n' || secret[n - 1] == '\r')) {
        secret[--n] = '\0';
    }
    bool good = n > 0;
    for (size_t i = 0; i < n; i++) {
        good = good && secret[i] > ' ' && secret[i] < 127;
    }
    if (!good) {
        FAULT(why, FAIL_BAD_REQUEST, "the key of %.150s is empty or holds what no key does",
              reference);
        secret_free(secret);
        return NULL;
    }
    return secret;
}

static char *read_private(const char *path, const char *reference, struct fault *why)
{
    struct stat st;
    char text[SECRET_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        FAULT_ERRNO(why, FAIL_NOT_FOUND, "the key file %.150s cannot be read", path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    if ((st.st_mode & 077) != 0 || st.st_uid != geteuid()) {
        FAULT(why, FAIL_FORBIDDEN, "the key file %.150s is not private to this user (mode %04o)",
              path, (unsigned)st.st_mode & 07777);
        fail_hint(why, "chmod 600 it, and let the server's user own it.");
        close(fd);
        return NULL;
    }
    ssize_t n = read(fd, text, sizeof(text));
    close(fd);
    if (n < 0 || n > SECRET_MAX || memchr(text, '\0', (size_t)n) != NULL) {
        FAULT(why, FAIL_BAD_REQUEST, "the key file %.150s holds no key", path);
        return NULL;
    }
    char *secret = mem_dup_strn(text, (size_t)n);
    explicit_bzero(text, sizeof(text));
    return checked(secret, reference, why);
}

char *secret_read(const char *reference, struct fault *why)
{
    static const char env[] = "os.environ/";
    if (reference[0] == '\0') {
        return mem_dup_str("");
    }
    if (text_starts_with(reference, "file:/")) {
        return read_private(reference + strlen("file:"), reference, why);
    }
    const char *value = getenv(reference + strlen(env));
    if (value == NULL) {
        FAULT(why, FAIL_NOT_FOUND, "the environment variable %.150s is not set",
              reference + strlen(env));
        fail_hint(why, "Set it in the environment of the server and restart it.");
        return NULL;
    }
    return checked(mem_dup_str(value), reference, why);
}

void secret_free(char *secret)
{
    if (secret != NULL) {
        explicit_bzero(secret, strlen(secret));
        mem_free(secret);
    }
}

enum fail authorities_read(const char *ca_file, void **out, struct fault *why)
{
    X509_STORE *store = X509_STORE_new();
    ASSERT(store != NULL);
    int good = ca_file[0] != '\0' ? X509_STORE_load_file(store, ca_file)
                                  : X509_STORE_set_default_paths(store);
    ERR_clear_error();
    if (good != 1) {
        X509_STORE_free(store);
        return FAULT(why, FAIL_NOT_FOUND, "no certificate authority can be read from %.150s",
                     ca_file[0] != '\0' ? ca_file : "the system");
    }
    *out = store;
    return FAIL_NONE;
}

void authorities_free(void *store)
{
    X509_STORE_free(store);
}
