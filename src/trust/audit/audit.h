/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Audit: the record. Leaves of one log, an RFC 6962 tree over them, a signed checkpoint per commit,
 * and beside them the content, which can be erased while the log still verifies.
 *
 * A leaf is RFC 8785 JSON of at most 8 KiB, of frozen form:
 *   {"actor":S,"at":I,"cost":I,"in_mac":M,"kind":S,"out_mac":M,"releases":[S..],"rung":S|null,
 *    "seq":I,"task":S|null,"team":S,"tokens":{"in":I,"out":I},"v":1,"verdict":S|null}
 * `at` is microseconds UTC, `cost` nano-units of the one currency, M is null or the hex of
 * HMAC-SHA256 under the subject's key (subject = team + requester). So a leaf holds no text, and
 * nobody without the keys can test a guess against it.
 *
 * Hashes: leaf SHA-256(0x00 || body), node SHA-256(0x01 || left || right), RFC 6962 section 2.1.
 * Checkpoint: C2SP tlog-checkpoint (origin, size, base64 root) as a signed note with Ed25519.
 *
 * Owns: tables leaf, checkpoint, tree_edge, content, leaf_block, leaf_term, checkpoint_left
 * (data.db), subject_key, log_key, log_key_next (keys.db).
 * Threads: audit_append and audit_content_put only inside a write of the data store. audit_mac from
 * any (it waits for one flush when the subject is new). Verification opens its own connections: any
 * thread or process. Limits: leaf 8 KiB, content part 8 MiB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail/fail.h"
#include "base/mem/mem.h"
#include "base/store/store.h"
#include "base/text/text.h"
#include "trust/keyring/keyring.h"

#define AUDIT_HASH_SIZE 32
#define AUDIT_LEAF_MAX 8192
#define AUDIT_RELEASES_MAX 32
#define AUDIT_NOTE_MAX 1024
#define AUDIT_VKEY_SIZE 160

enum audit_kind {
#define KIND(name, text) AUDIT_KIND_##name,
#include "trust/audit/kinds.def"
#undef KIND
    AUDIT_KIND_COUNT
};
const char *audit_kind_name(enum audit_kind kind);

/* ---- the log ---- */

struct audit;

/*
 * Opens the log of `data` (HOME/data.db, store_schema_data) and HOME/keys.db, and hooks into the
 * store's commits. At first start it makes the log's Ed25519 key. Blocks. Errors:
 * FAIL_RECORD_UNAVAILABLE when the tables do not match their last checkpoint (run a verification)
 * or keys.db lacks the log's key; those of store_open.
 */
MUST_CHECK enum fail audit_open(const char *home, struct store *data,
                                const struct keyring_master *master, struct audit **out,
                                struct fault *why);
/* After the data store was closed. NULL is fine. */
void audit_close(struct audit *a);
/* The public key as a note verifier key, "origin+hash+base64": to be kept outside. */
const char *audit_vkey(const struct audit *a);

/*
 * Another key signs from now on: makes it, records it (kind log_key_changed, with both keys) under
 * the old one, destroys the old secret, and records again under the new one. Old checkpoints stay
 * verifiable. Crash-safe: either the old key goes on or the new one. Blocks; not on the loop's or
 * the store's thread. FAIL_CONFLICT while another change runs.
 */
MUST_CHECK enum fail audit_key_rotate(struct audit *a, const char *actor, const char *team,
                                      struct fault *why);
struct audit_key {
    char vkey[AUDIT_VKEY_SIZE];
    int64_t created_at, retired_at; /* retired_at 0: it signs */
};
/* Every key the log had, the oldest first, from HOME/keys.db alone. */
MUST_CHECK enum fail audit_key_each(const char *home,
                                    void (*fn)(void *arg, const struct audit_key *key), void *arg,
                                    struct fault *why);
/* The newest key from HOME/keys.db alone, also beside a running server. */
MUST_CHECK enum fail audit_key_read(const char *home, char vkey[AUDIT_VKEY_SIZE],
                                    struct fault *why);

/* Strings are borrowed during the call. NULL texts are null in the leaf. */
struct audit_leaf {
    enum audit_kind kind;
    const char *actor;     /* who acts: a principal's name, "system"; required */
    const char *team;      /* required */
    const char *requester; /* whose subject key; NULL: actor */
    const char *task;      /* "tsk_..."; may be another object's shown id */
    const char *const *releases;
    size_t releases_len;
    const char *rung;
    const char *verdict;
    const void *input; /* MACed, not stored; NULL: null */
    size_t input_len;
    const void *output;
    size_t output_len;
    int64_t tokens_in;
    int64_t tokens_out;
    int64_t cost_nano;
};

/* Appends inside a write: undone with it, and its checkpoint is signed and committed with the
   group.
   *seq and hash may be NULL. Errors: FAIL_TOO_LARGE over 8 KiB, and the store's. */
MUST_CHECK enum fail audit_append(struct store_tx *tx, struct audit *a,
                                  const struct audit_leaf *leaf, int64_t *seq,
                                  uint8_t hash[AUDIT_HASH_SIZE], struct fault *why);

/* HMAC-SHA256 of data under the key of (team, requester); makes the key when there is none. */
MUST_CHECK enum fail audit_mac(struct audit *a, const char *team, const char *requester,
                               const void *data, size_t n, uint8_t out[32], struct fault *why);

/* ---- content ---- */

enum audit_part { AUDIT_PART_INPUT = 1, AUDIT_PART_OUTPUT = 2, AUDIT_PART_DRAFT = 3 };

/* Stores data encrypted (XChaCha20-Poly1305, bound to id and part). FAIL_CONFLICT when it exists.
   */
MUST_CHECK enum fail audit_content_put(struct store_tx *tx, struct audit *a, const struct id *id,
                                       enum audit_part part, const char *team,
                                       const char *requester, const void *data, size_t n,
                                       struct fault *why);
/* Appends the text to out. FAIL_NOT_FOUND when missing or erased. conn is a reader of the data
   store. */
MUST_CHECK enum fail audit_content_get(struct audit *a, struct store_conn *conn,
                                       const struct id *id, enum audit_part part, struct buf *out,
                                       struct fault *why);
/* Destroys the subject's key and its content, and flushes both databases. Leaves stay. Blocks;
   never on a loop's or the store's thread. *parts gets how many pieces of content went (may be
   NULL). */
MUST_CHECK enum fail audit_subject_erase(struct audit *a, const char *team, const char *requester,
                                         int64_t *parts, struct fault *why);

/* ---- copies, and the master key ---- */

/* A copy of keys.db lies there from now on: an erasure reaches it too, as long as it can be written
   (HOME/copies). */
MUST_CHECK enum fail audit_copy_note(const char *home, const char *copy, struct fault *why);
/* Erases again what the list says (HOME/erasures: a line an erasure), in a folder without a server:
   after a restore. *n: subjects that still had a key. No file: nothing. */
MUST_CHECK enum fail audit_erasures_apply(const char *home, const char *list, int64_t *n,
                                          struct fault *why);
/* Another master key: every key in keys.db is wrapped again, in one commit; crash-safe. Copies of
   keys.db made before cannot be opened with it. FAIL_CONFLICT while a server runs. Blocks. */
MUST_CHECK enum fail audit_master_rotate(const char *home, int64_t *rewrapped, struct fault *why);
/* Ends what a cut-off change of the master key left. Before keyring_master_open. */
MUST_CHECK enum fail audit_master_settle(const char *home, struct fault *why);

/* ---- reading ---- */

/* The leaf's body as stored. FAIL_NOT_FOUND beyond the end. */
MUST_CHECK enum fail audit_leaf_get(struct store_conn *conn, int64_t seq, struct buf *body,
                                    struct fault *why);
/* Leaves from seq on, at most limit, in order; fn returns false to stop. */
MUST_CHECK enum fail audit_leaf_each(struct store_conn *conn, int64_t from, int64_t limit,
                                     bool (*fn)(void *arg, int64_t seq, const char *body, size_t n),
                                     void *arg, struct fault *why);
int64_t audit_size(struct store_conn *conn); /* leaves now; 0 also when unreadable */
/* The newest checkpoint's note into out. FAIL_NOT_FOUND in an empty log. */
MUST_CHECK enum fail audit_checkpoint_get(struct store_conn *conn, struct buf *out,
                                          struct fault *why);

/* Any checkpoint note of any log, with or without cosignatures, into size and root. vkey NULL: no
   signature is asked; else it must have signed (a note key) or cosigned (a witness's). Pure.
   FAIL_BAD_REQUEST when it is malformed, FAIL_FORBIDDEN when not signed so. */
#define AUDIT_NOTES_MAX 16384 /* with many cosignatures */
MUST_CHECK enum fail audit_checkpoint_read(const char *note, size_t n, const char *vkey,
                                           int64_t *size, uint8_t root[AUDIT_HASH_SIZE],
                                           struct fault *why);

/* ---- finding ---- */

/* What a record must hold; NULL, 0 and empty ask nothing. */
struct audit_query {
    const char *actor, *kind, *rung, *task, *team, *verdict;
    const char *const *releases; /* one of these */
    size_t releases_len;
    int64_t since, until; /* of `at`, µs UTC; until is not included */
    bool scan;            /* read every leaf instead of trusting the index */
};
/* Leaves from `from` on that match, in order, until fn returns false; beyond the index at most
   scan_max leaves are read. *next is where to go on, -1 at the end. One moment's view. Reads only
   what matches its rarest member; blocks. */
MUST_CHECK enum fail audit_search(struct store_conn *conn, const struct audit_query *q,
                                  int64_t from, int64_t scan_max,
                                  bool (*fn)(void *arg, int64_t seq, const char *body, size_t n),
                                  void *arg, int64_t *next, struct fault *why);
/* Records of each kind, from the index and what is beyond it. */
MUST_CHECK enum fail audit_kind_counts(struct store_conn *conn,
                                       int64_t counts[AUDIT_KIND_COUNT], struct fault *why);
/* Makes the index while few writes come, on loop's timers. The core's thread. */
void audit_index_start(struct audit *a, struct loop *loop);
void audit_index_stop(struct audit *a); /* before the loop goes; NULL is fine */

/* ---- proofs ---- */

#define AUDIT_PROOF_MAX 63
#define AUDIT_PROOF_TEXT_MAX (2 * AUDIT_LEAF_MAX) /* with the leaf and the checkpoint */
struct audit_proof {
    int64_t seq;
    int64_t size; /* of the tree of the newest checkpoint */
    uint8_t leaf[AUDIT_HASH_SIZE];
    uint8_t root[AUDIT_HASH_SIZE];
    int hashes_len;
    uint8_t hashes[AUDIT_PROOF_MAX][AUDIT_HASH_SIZE]; /* from the leaf upwards */
};
/* That a leaf is in the tree of the newest checkpoint, checked. `text` gets a C2SP tlog-proof with
   the leaf in `extra`: it is verified with the log's key alone. Blocks, a few milliseconds.
   FAIL_NOT_FOUND beyond the checkpoint; FAIL_INTERNAL when the leaf does not lead to its root. */
MUST_CHECK enum fail audit_prove(struct store_conn *conn, int64_t seq, struct audit_proof *out,
                                 struct buf *text, struct fault *why);
/* Pure: RFC 9162 section 2.1.3.2. */
bool audit_proof_check(const struct audit_proof *p);

struct audit_consistency {
    int64_t old_size, new_size;
    int hashes_len;
    uint8_t hashes[AUDIT_PROOF_MAX][AUDIT_HASH_SIZE];
};
/* That the newest checkpoint extends one of old_size leaves (with old_root, unless that is NULL).
   `text` gets the body of C2SP tlog-witness add-checkpoint. FAIL_CONFLICT when it does not. */
MUST_CHECK enum fail audit_prove_extension(struct store_conn *conn, int64_t old_size,
                                           const uint8_t *old_root, struct audit_consistency *out,
                                           struct buf *text, struct fault *why);
/* Pure: RFC 9162 section 2.1.4.2. */
bool audit_consistency_check(const struct audit_consistency *p, const uint8_t *old_root,
                             const uint8_t *new_root);
void audit_leaf_hash(const void *body, size_t n, uint8_t out[AUDIT_HASH_SIZE]);

/* ---- export ---- */

enum audit_format { AUDIT_FORMAT_JSONL, AUDIT_FORMAT_CEF, AUDIT_FORMAT_SYSLOG, AUDIT_FORMAT_OTLP };
bool audit_format_find(const char *name, enum audit_format *out);
struct audit_export_options {
    const char *path;
    enum audit_format format;
    struct audit_query query; /* asking anything: each JSONL line has a proof of its own */
    int64_t from;             /* the first leaf */
    int64_t limit;            /* records written in this call */
    bool resume;              /* go on where PATH.state says an export into PATH stopped */
    const char *vkey;         /* for the head of the file */
    /* After some records; false stops, to be resumed. NULL: none. */
    bool (*progress)(void *arg, int64_t done, int64_t total);
    void *arg;
};
struct audit_exported {
    int64_t written, next, size; /* of the checkpoint in the file; next == size: all */
    bool stopped;                /* by progress or limit */
};
/*
 * Writes the records below the newest checkpoint to a file. JSONL: a head line with the left edge
 * of the tree, each leaf as it is stored, an end line with the right edge and the checkpoint: whole
 * without any other file. CEF (in syslog lines or bare), OTLP/JSON lines: for a SIEM, with each
 * leaf's bytes, number and hash, and the checkpoint beside it in PATH.checkpoint. Blocks.
 * FAIL_CONFLICT when PATH is there and resume is not asked, or is another log's.
 */
MUST_CHECK enum fail audit_export(struct store_conn *conn, const struct audit_export_options *o,
                                  struct audit_exported *out, struct fault *why);

/* ---- checkpoints leave the box ---- */

struct audit_leave;
/* Strings live as long as the thread; "": that way is not used. */
struct audit_leave_options {
    const char *note_folder; /* full, or below the data folder */
    const char *witness_url, *witness_key;
    const char *mail_url, *mail_from, *mail_to, *mail_user, *mail_password_file;
    int64_t every_s;
};
/* Starts the thread that sends the newest checkpoint there, now and every every_s seconds, and
   keeps what came of it. Before the store closes: audit_leave_stop, which waits for it. */
MUST_CHECK enum fail audit_leave_start(struct audit *a, const char *home,
                                       const struct audit_leave_options *o,
                                       struct audit_leave **out, struct fault *why);
void audit_leave_now(struct audit_leave *l); /* any thread */
void audit_leave_stop(struct audit_leave *l); /* NULL is fine */

struct audit_left {
    const char *target;
    const char *kind; /* witness, mail, note; note-here: on the device of the data */
    int64_t size, at, tried_at;
    const char *fault; /* of the newest try; "" none */
    const char *note;  /* as it left, with a cosignature */
};
MUST_CHECK enum fail audit_left_each(struct store_conn *conn,
                                     void (*fn)(void *arg, const struct audit_left *left),
                                     void *arg, struct fault *why);
/* When a checkpoint last left this machine (note-here does not count); 0: never. */
int64_t audit_left_at(struct store_conn *conn);
#define AUDIT_LEFT_MAX_US ((int64_t)24 * 3600 * 1000000) /* older: red */

/* ---- a witness of other logs ---- */

struct audit_witness;
#define AUDIT_WITNESS_BODY_MAX 24576
/* Over a folder of its own; makes its key there at the first start. name has no space or plus; logs
   are verifier keys, several of one origin after a change of key. FAIL_CONFLICT when another
   process has the folder. Blocks. */
MUST_CHECK enum fail audit_witness_open(const char *folder, const char *name,
                                        const char *const *logs, size_t logs_len,
                                        struct audit_witness **out, struct fault *why);
void audit_witness_close(struct audit_witness *w); /* NULL is fine */
const char *audit_witness_vkey(const struct audit_witness *w);
/* C2SP tlog-witness add-checkpoint: its HTTP status, and the body of the answer into reply. What is
   cosigned is on the disk first. Blocks for a flush; any thread. */
int audit_witness_add(struct audit_witness *w, const char *body, size_t n, struct buf *reply);

/* ---- verification ---- */

enum audit_finding_kind {
    AUDIT_FINDING_LEAF_CHANGED = 1, /* body and hash disagree */
    AUDIT_FINDING_LEAF_MISSING,
    AUDIT_FINDING_LEAF_MOVED,  /* it carries another leaf's number */
    AUDIT_FINDING_LEAF_FORM,   /* not the canonical form */
    AUDIT_FINDING_REWRITTEN,   /* leaves whose tree is not the signed one */
    AUDIT_FINDING_TRUNCATED,   /* a signed checkpoint covers leaves that are gone */
    AUDIT_FINDING_UNSIGNED,    /* leaves after the last checkpoint, or no checkpoint */
    AUDIT_FINDING_CHECKPOINT,  /* a checkpoint that is malformed or disagrees with its own note */
    AUDIT_FINDING_SIGNATURE,   /* a checkpoint not signed by the log's key */
    AUDIT_FINDING_EDGE,        /* the stored edge of the tree is wrong */
    AUDIT_FINDING_KNOWN,       /* the log is not an extension of the checkpoint given */
    AUDIT_FINDING_DAMAGED,     /* the database cannot be read on */
    AUDIT_FINDING_KEY,         /* the log's key cannot be read */
};
struct audit_finding {
    enum audit_finding_kind kind;
    int64_t first; /* leaves concerned, inclusive; -1 when none */
    int64_t last;
    char text[240]; /* one sentence with the position in it */
};
#define AUDIT_FINDINGS_MAX 32
struct audit_report {
    bool ok;
    int64_t leaves;
    int64_t checkpoints;
    int64_t findings_len; /* all found; the first AUDIT_FINDINGS_MAX are kept */
    struct audit_finding findings[AUDIT_FINDINGS_MAX];
    uint8_t root[AUDIT_HASH_SIZE];
    char vkey[AUDIT_VKEY_SIZE];
    double ms;
};
struct audit_verify_options {
    const char *home;
    const char *vkey;       /* the log's key as kept outside; NULL: the one in keys.db */
    const char *known_note; /* a checkpoint kept outside, which the log must extend; NULL: none */
    void (*progress)(void *arg, int64_t done, int64_t total); /* NULL: none */
    void *arg;
};
/*
 * Recomputes everything from the leaves: form, hash and number of each, the tree at each
 * checkpoint, and every signature. Needs no server and no master key, and works beside a running
 * server. FAIL_NONE when it could look: then report->ok says whether all is well. Who holds the
 * log's key can still cut the newest leaves off together with their checkpoints: only known_note
 * shows that.
 */
MUST_CHECK enum fail audit_verify(const struct audit_verify_options *options,
                                  struct audit_report *report, struct fault *why);
