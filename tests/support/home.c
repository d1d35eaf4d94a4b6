/* SPDX-License-Identifier: Apache-2.0 */
/* Home: see home.h. */
#include "support/home.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void must(enum fail f, const struct fault *why)
{
    if (f != FAIL_NONE) {
        fail_msg("%s", why->message);
    }
}

void home_make(struct home *h, const char *name)
{
    *h = (struct home){0};
    snprintf(h->dir, sizeof(h->dir), "/tmp/%s-test-XXXXXX", name);
    assert_non_null(mkdtemp(h->dir));
    snprintf(h->path, sizeof(h->path), "%s/data.db", h->dir);
}

void home_open(struct home *h, enum home_holds what)
{
    struct fault why;
    if (what >= HOME_KEYS) {
        must(keyring_master_open(h->dir, &h->master, &why), &why);
    }
    must(store_open(h->path, &store_schema_data, &h->store, &why), &why);
    if (what >= HOME_RECORD) {
        must(audit_open(h->dir, h->store, h->master, &h->audit, &why), &why);
    }
    must(store_reader_open(h->store, &h->conn, &why), &why);
}

void home_close(struct home *h)
{
    if (h->conn != NULL) {
        store_reader_close(h->conn);
    }
    store_close(h->store);
    if (h->audit != NULL) {
        audit_close(h->audit);
    }
    if (h->master != NULL) {
        keyring_master_close(h->master);
    }
    h->conn = NULL;
    h->store = NULL;
    h->audit = NULL;
    h->master = NULL;
}

int home_remove(struct home *h)
{
    DIR *d = opendir(h->dir);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[sizeof(h->dir) + sizeof(e->d_name) + 1];
        snprintf(path, sizeof(path), "%s/%s", h->dir, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && unlink(path) != 0) {
            (void)rmdir(path);
        }
    }
    if (d != NULL) {
        closedir(d);
    }
    return rmdir(h->dir);
}

void home_write(struct home *h, store_write_fn fn, void *arg)
{
    struct fault why;
    must(store_write_wait(h->store, fn, arg, &why), &why);
}
