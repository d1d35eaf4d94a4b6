/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Home: for tests of rooms that keep something. A folder of its own under /tmp with a data.db (and,
 * with HOME_RECORD, the record beside it), opened and closed at will, gone afterwards.
 *
 * Every function fails the running test when something does not work. Threads: the test's own.
 */
#pragma once

#include "base/store/store.h"
#include "trust/audit/audit.h"
#include "trust/keyring/keyring.h"

enum home_holds {
    HOME_STORE, /* store, conn */
    HOME_KEYS,  /* and master */
    HOME_RECORD /* and audit */
};

struct home {
    char dir[64];
    char path[96]; /* of data.db */
    struct store *store;
    struct store_conn *conn; /* a reader */
    struct keyring_master *master;
    struct audit *audit;
};

/* A new folder; name is part of its name. Nothing is open. */
void home_make(struct home *h, const char *name);
void home_open(struct home *h, enum home_holds what);
/* Closes what is open. */
void home_close(struct home *h);
/* Deletes the folder and the files in it (of folders in it, only empty ones); 0, as a tear-down
   gives. */
int home_remove(struct home *h);
/* One write, waited for. */
void home_write(struct home *h, store_write_fn fn, void *arg);
