/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. */
#pragma once

#include "answer/certify/certify.h"
#include "base/mem/mem.h"

#define CERTIFY_DAY_US ((int64_t)24 * 3600 * 1000000)

struct certify_item {
    double score;
    bool right;
};
/* Surest first, without the scores that are no numbers; *kept of them; mem_free. */
struct certify_item *certify_sort(const double *score, const bool *right, size_t n, size_t *kept);

/* store.c. The live certificate, whatever its releases. */
enum fail certify_live(struct store_conn *conn, const char *workflow, const char *field,
                       const char *rung, struct certify_certificate *out, bool *found,
                       struct fault *why);
/* Does it depend on another model, prompt or head than these (NULL: not looked at)? */
bool certify_touches(const struct certify_certificate *c, const struct certify_releases *now);
/* Moves it out of `live` and records that. */
enum fail certify_end(struct store_tx *tx, struct audit *audit, struct certify_certificate *c,
                      enum certify_state state, const char *detail, const char *actor,
                      const char *team, struct fault *why);
enum fail certify_record(struct store_tx *tx, struct audit *audit,
                         const struct certify_certificate *c, const char *verdict,
                         const char *detail, const char *actor, const char *team, int64_t *leaf,
                         struct fault *why);
enum fail certify_save_watch(struct store_tx *tx, const struct certify_certificate *c,
                             struct fault *why);
int certify_rung_order(const char *rung);
/* said.c. A new season: the rate from the volume of late, the watch at 1. Saved. */
enum fail certify_season(struct store_tx *tx, struct certify_certificate *c, struct fault *why);
/* The pilot of its field and rung begins anew, now. */
enum fail certify_restart(struct store_tx *tx, const struct certify_certificate *c,
                          struct fault *why);

/* ---- said.c ---- */

enum certify_said_kind { SAID_PILOT = 1, SAID_DRAWN = 2, SAID_ANSWERED = 3, SAID_BELOW = 4 };

#define CERTIFY_HASH_BYTES 16

/* The pilot of a field and rung. */
struct certify_track {
    double target, delta;
    int64_t since_at, reviewed, errors, looks;
    bool same; /* releases and target are those asked for */
};
/* now NULL: whatever its releases. */
enum fail certify_track_read(struct store_conn *conn, const char *workflow, const char *field,
                             const char *rung, const struct certify_said *now,
                             struct certify_track *t, bool *found, struct fault *why);
enum fail certify_track_save(struct store_tx *tx, const char *workflow, const char *field,
                             const char *rung, const struct certify_track *t, struct fault *why);
/* The releases of the pilot of c's field and rung, into c. */
enum fail certify_track_releases(struct store_conn *conn, struct certify_certificate *c,
                                 struct fault *why);
/* A day's number of proposals, or of answers given alone, over the last week or since since_at; 0
   while it is not known. */
enum fail certify_volume(struct store_conn *conn, const char *workflow, const char *field,
                         const char *rung, int64_t since_at, bool answered, double *per_day,
                         struct fault *why);
/* Equal or not is all that is asked of a value; the task's id keeps equal ones apart. */
void certify_hash_value(const struct id *task, const char *field, const char *value,
                        uint8_t out[CERTIFY_HASH_BYTES]);

/* ---- pilot.c ---- */

struct certify_pilot {
    double *score;
    bool *right;
    size_t n;
};
void certify_pilot_done(struct certify_pilot *p);
/* The newest decided outcomes since then, at most CERTIFY_ITEMS_MAX; certify_pilot_done, also after
   a failure. */
enum fail certify_pilot_read(struct store_conn *conn, const char *workflow, const char *field,
                             const char *rung, int64_t since_at, struct certify_pilot *out,
                             struct fault *why);
