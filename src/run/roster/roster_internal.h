/* SPDX-License-Identifier: Apache-2.0 */
/* Roster's own shapes: an item is one stored model, a want is a request that waits for it. */
#pragma once

#include "run/roster/roster.h"

struct want {
    struct want *next;
    uint64_t id;
    bool handed; /* told once its file was opened and a worker has it, ready or not */
    roster_ready_fn done;
    void *arg;
};

struct item {
    struct item *next;
    struct models_entry e;
    enum fleet_kind kind;
    int64_t estimate;
    int n_ctx;         /* what it is loaded with */
    unsigned roles;    /* bit 1 << role */
    uint32_t model;    /* the fleet's id */
    bool base_wanted;  /* an adapter waits for its model */
    bool gone;         /* no longer in the inventory */
    bool checking;     /* a crunch thread has its file */
    bool noting;       /* a crunch thread writes its manifest */
    uint64_t noted_at; /* on roster.notes: the last change of what its manifest is to say */
    int fd;            /* checked, waits for room; -1 */
    struct models_entry opened; /* as the file behind fd, or in the worker, was checked for */
    int64_t waits_since_us;
    int64_t touched_us; /* monotonic: a want was answered; its ask may be on its way */
    int64_t used_at;
    int64_t hashed, hash_total; /* atomic: written by the crunch thread */
    struct want *wants;
    struct fault broken;        /* code FAIL_NONE: it is not */
};

struct roster {
    struct roster_options o;
    struct item *items; /* by name */
    uint64_t next_want;
    size_t wants_len;
    bool scanning, scan_again;
    uint64_t notes; /* counts what was to be written to manifests, and what was */
    uint64_t timer; /* of the next look at who may be loaded */
};

/* roster.c */
void item_fail(struct roster *r, struct item *it, const struct fault *why);
void item_answer(struct roster *r, struct item *it, uint32_t model, bool only_handed);
uint64_t item_want(struct roster *r, struct item *it, bool again, bool handed,
                   roster_ready_fn done, void *arg);
struct item *item_find(struct roster *r, const char *name);
void roster_kick(struct roster *r, int64_t delay_ms);

/* inventory.c */
void item_check(struct roster *r, struct item *it); /* opens and hashes the file */
void item_note(struct roster *r, struct item *it);  /* pins and memory to the manifest */
bool roster_is_fake(const struct roster *r);

struct item *item_of_file(struct roster *r, const char *sha256); /* NULL: not stored */
static inline bool item_is_adapter(const struct item *it)
{
    return it->e.base[0] != '\0';
}

/* adapter.c */
void adapter_serve_wants(struct roster *r, struct item *it);
enum roster_state adapter_state(const struct roster *r, const struct item *it);

/* room.c */
int64_t item_need(const struct roster *r, const struct item *it);
bool item_is_pinned(const struct item *it);
enum roster_state item_state(const struct roster *r, const struct item *it);
/* Loads what waits and fits, unloads what may go. */
void room_make(struct roster *r);
