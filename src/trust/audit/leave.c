/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints leave the box: to a witness (C2SP tlog-witness), by mail, or as a note in a folder,
 * every so often, from a thread of its own, so that who owns this machine and the log's key still
 * cannot show another history. What left when, and what stood in the way, is in checkpoint_left.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/log/log.h"
#include "trust/audit/audit_internal.h"

#define PATH_ROOM 4096
#define CALL_S 30
#define REPLY_MAX 16384
#define SECRET_MAX 512

struct audit_leave {
    struct audit *audit;
    struct audit_leave_options o;
    char *folder; /* of the notes, as a full path */
    bool outside; /* it is on another device than the data */
    struct store_conn *conn;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, now; /* under the lock; `stop` also read without it by a call under way */
};

struct outcome {
    const char *kind, *target;
    int64_t size;
    const char *note; /* with what was added to it; NULL: nothing left */
    const char *fault;
};

static enum fail write_outcome(struct store_tx *tx, void *arg, struct fault *why)
{
    const struct outcome *x = arg;
    AUTO_STMT struct store_stmt *s = store_query(
        store_tx_conn(tx),
        "INSERT INTO checkpoint_left (target, kind, size, at, tried_at, note, fault) "
        "VALUES (?1, ?2, ?3, CASE WHEN ?5 = '' THEN 0 ELSE ?4 END, ?4, ?5, ?6) "
        "ON CONFLICT (target) DO UPDATE SET kind = ?2, tried_at = ?4, fault = ?6, "
        "size = CASE WHEN ?5 = '' THEN size ELSE ?3 END, "
        "at = CASE WHEN ?5 = '' THEN at ELSE ?4 END, "
        "note = CASE WHEN ?5 = '' THEN note ELSE ?5 END");
    store_bind_text(s, 1, x->target);
    store_bind_text(s, 2, x->kind);
    store_bind_int(s, 3, x->note != NULL ? x->size : 0);
    store_bind_int(s, 4, clock_now_us());
    store_bind_text(s, 5, x->note != NULL ? x->note : "");
    store_bind_text(s, 6, x->fault != NULL ? x->fault : "");
    return store_run(s, why);
}

static void settle(struct audit_leave *l, struct outcome *x)
{
    struct fault why;
    if (x->fault != NULL) {
        log_write(LOG_LEVEL_WARN, "audit.checkpoint_stayed",
                  LOG_FIELDS(LOG_TEXT("target", x->target), LOG_TEXT("why", x->fault)));
    }
    if (store_write_wait(l->audit->data, write_outcome, x, &why) != FAIL_NONE) {
        log_fault(LOG_LEVEL_WARN, "audit.checkpoint_unrecorded", &why);
    }
}

/* The size that a target holds, and the note that it was given. */
static int64_t held(struct audit_leave *l, const char *target)
{
    struct fault why;
    bool row = false;
    AUTO_STMT struct store_stmt *s =
        store_query(l->conn, "SELECT size FROM checkpoint_left WHERE target = ?1");
    store_bind_text(s, 1, target);
    return store_step(s, &row, &why) == FAIL_NONE && row ? store_col_int(s, 0) : 0;
}

/* ---- calls ---- */

struct call {
    struct audit_leave *leave;
    struct buf reply;
    const struct buf *mail;
    size_t sent;
};

static size_t on_reply(char *data, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    return buf_add(&c->reply, data, size * n) ? size * n : 0;
}

static size_t on_send(char *data, size_t size, size_t n, void *arg)
{
    struct call *c = arg;
    size_t rest = c->mail->len - c->sent;
    size_t take = rest < size * n ? rest : size * n;
    memcpy(data, c->mail->data + c->sent, take);
    c->sent += take;
    return take;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return __atomic_load_n(&((struct call *)arg)->leave->stop, __ATOMIC_RELAXED) ? 1 : 0;
}

static CURL *call_new(struct call *c, const char *url, const char *protocols)
{
    CURL *curl = curl_easy_init();
    if (curl != NULL) {
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)CALL_S);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_reply);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
        buf_init(&c->reply, REPLY_MAX);
    }
    return curl;
}

/* The witness's answer: its status, 0 when there is none; the reply stays in c. */
static long post(struct call *c, const struct buf *body, char *fault, size_t room)
{
    char url[700];
    long status = 0;
    (void)snprintf(url, sizeof(url), "%s/add-checkpoint", c->leave->o.witness_url);
    CURL *curl = call_new(c, url, "http,https");
    if (curl == NULL) {
        return 0;
    }
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: text/plain");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body->data);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body->len);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    } else {
        (void)snprintf(fault, room, "the witness does not answer: %s", curl_easy_strerror(code));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return status;
}

/* ---- the three ways ---- */

/* One attempt from `old` on. True when it is settled either way; else *again is the size to prove
   from. */
static bool submit(struct audit_leave *l, int64_t old, int64_t *again, struct buf *kept,
                   int64_t *size, char *fault, size_t room)
{
    struct audit_consistency proof;
    struct fault why;
    struct buf body;
    uint8_t root[AUDIT_HASH_SIZE];
    buf_init(&body, AUDIT_WITNESS_BODY_MAX);
    bool settled = true;
    struct call c = {.leave = l};
    buf_init(&c.reply, REPLY_MAX);
    if (audit_prove_extension(l->conn, old, NULL, &proof, &body, &why) != FAIL_NONE) {
        (void)snprintf(fault, room, "%s", why.message);
    } else {
        const char *gap = strstr(body.data, "\n\n");
        long status = post(&c, &body, fault, room);
        ASSERT(gap != NULL);
        *size = proof.new_size;
        if (status == 409 && *again < 0 && c.reply.len > 1 && c.reply.len < 21) {
            char number[24] = {0};
            memcpy(number, c.reply.data, strcspn(c.reply.data, "\n"));
            settled = !text_read_int(number, 0, INT64_MAX, again);
        }
        if (status == 200) {
            buf_add_str(kept, gap + 2);
            buf_add(kept, c.reply.data, c.reply.len);
        }
        if (status == 200 && audit_checkpoint_read(kept->data, kept->len, l->o.witness_key, size,
                                                   root, &why) != FAIL_NONE) {
            (void)snprintf(fault, room, "what the witness answered is not its cosignature: %s",
                           why.message);
        } else if (status != 200 && status != 0 && settled) {
            (void)snprintf(fault, room, "the witness answered %ld: %.100s", status,
                           c.reply.len > 0 ? c.reply.data : "");
        }
    }
    buf_done(&c.reply);
    buf_done(&body);
    return settled;
}

static void to_witness(struct audit_leave *l)
{
    char fault[300] = "";
    int64_t again = -1, size = 0;
    struct buf kept;
    buf_init(&kept, AUDIT_NOTES_MAX);
    if (!submit(l, held(l, l->o.witness_url), &again, &kept, &size, fault, sizeof(fault))) {
        int64_t once = again;
        buf_clear(&kept);
        (void)submit(l, once, &again, &kept, &size, fault, sizeof(fault));
    }
    settle(l, &(struct outcome){.kind = "witness", .target = l->o.witness_url, .size = size,
                                .note = fault[0] == '\0' && kept.len > 0 ? kept.data : NULL,
                                .fault = fault[0] != '\0' ? fault : NULL});
    buf_done(&kept);
}

/* The whole of a new file at once, under its final name. */
static bool put_file(const char *folder, const char *name, const struct buf *note)
{
    char path[PATH_ROOM], draft[PATH_ROOM];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    (void)snprintf(draft, sizeof(draft), "%s/.%s.new", folder, name);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write(fd, note->data, note->len) == (ssize_t)note->len && fsync(fd) == 0;
    int code = errno;
    if (fd >= 0) {
        close(fd);
    }
    good = good && rename(draft, path) == 0;
    errno = good ? 0 : code != 0 ? code : errno;
    return good;
}

static void to_folder(struct audit_leave *l, const struct buf *note, const struct audit_note *read)
{
    char newest[128], daily[128], day[16], fault[300] = "";
    const char *id = strrchr(read->origin, '/');
    time_t now = (time_t)(clock_now_us() / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    (void)strftime(day, sizeof(day), "%Y-%m-%d", &tm);
    id = id != NULL ? id + 1 : read->origin;
    (void)snprintf(newest, sizeof(newest), "checkpoint-%.64s.note", id);
    (void)snprintf(daily, sizeof(daily), "checkpoint-%.64s-%s.note", id, day);
    if (!put_file(l->folder, newest, note) || !put_file(l->folder, daily, note)) {
        (void)snprintf(fault, sizeof(fault), "could not write into %.200s: %s", l->folder,
                       strerror(errno));
    }
    settle(l, &(struct outcome){.kind = l->outside ? "note" : "note-here", .target = l->folder,
                                .size = read->size, .note = fault[0] == '\0' ? note->data : NULL,
                                .fault = fault[0] != '\0' ? fault : NULL});
}

static bool read_password(const char *path, char *out, size_t room)
{
    int fd = path[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    ssize_t n = fd >= 0 ? read(fd, out, room - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return n > 0;
}

static void to_mail(struct audit_leave *l, const struct buf *note, const struct audit_note *read)
{
    char at[64], fault[300] = "", secret[SECRET_MAX];
    struct buf mail;
    struct call c = {.leave = l, .mail = &mail};
    time_t now = (time_t)(clock_now_us() / 1000000);
    struct tm tm;
    gmtime_r(&now, &tm);
    (void)strftime(at, sizeof(at), "%a, %d %b %Y %H:%M:%S +0000", &tm);
    buf_init(&mail, AUDIT_NOTES_MAX);
    buf_printf(&mail, "Date: %s\r\nFrom: <%s>\r\nTo: <%s>\r\nSubject: checkpoint of %s at %lld\r\n"
               "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
               "Content-Transfer-Encoding: 8bit\r\n\r\n", at, l->o.mail_from, l->o.mail_to,
               read->origin, (long long)read->size);
    for (size_t i = 0; i < note->len; i++) {
        buf_add(&mail, note->data[i] == '\n' ? "\r\n" : &note->data[i],
                note->data[i] == '\n' ? 2 : 1);
    }
    CURL *curl = call_new(&c, l->o.mail_url, "smtp,smtps");
    struct curl_slist *to = curl_slist_append(NULL, l->o.mail_to);
    if (curl != NULL) {
        curl_easy_setopt(curl, CURLOPT_MAIL_FROM, l->o.mail_from);
        curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, to);
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(curl, CURLOPT_READDATA, &c);
        if (read_password(l->o.mail_password_file, secret, sizeof(secret))) {
            curl_easy_setopt(curl, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
            curl_easy_setopt(curl, CURLOPT_USERNAME, l->o.mail_user);
            curl_easy_setopt(curl, CURLOPT_PASSWORD, secret);
        }
        CURLcode code = curl_easy_perform(curl);
        if (code != CURLE_OK) {
            (void)snprintf(fault, sizeof(fault), "the mail was not taken: %s",
                           curl_easy_strerror(code));
        }
        buf_done(&c.reply);
        curl_easy_cleanup(curl);
    }
    sodium_memzero(secret, sizeof(secret));
    curl_slist_free_all(to);
    settle(l, &(struct outcome){.kind = "mail", .target = l->o.mail_to, .size = read->size,
                                .note = fault[0] == '\0' ? note->data : NULL,
                                .fault = fault[0] != '\0' ? fault : NULL});
    buf_done(&mail);
}

/* ---- the thread ---- */

static void leave_once(struct audit_leave *l)
{
    struct fault why;
    struct buf note;
    struct audit_note read;
    size_t text_len;
    buf_init(&note, AUDIT_NOTES_MAX);
    if (audit_checkpoint_get(l->conn, &note, &why) == FAIL_NONE &&
        audit_note_scan(note.data, note.len, &read, &text_len)) {
        to_folder(l, &note, &read);
        if (l->o.witness_url[0] != '\0') {
            to_witness(l);
        }
        if (l->o.mail_to[0] != '\0' && held(l, l->o.mail_to) != read.size) {
            to_mail(l, &note, &read);
        }
    }
    buf_done(&note);
}

static void *run(void *arg)
{
    struct audit_leave *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        pthread_mutex_unlock(&l->lock);
        leave_once(l);
        pthread_mutex_lock(&l->lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += l->o.every_s;
        while (!l->stop && !l->now &&
               pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0) {
        }
        l->now = false;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static enum fail pick_folder(struct audit_leave *l, const char *home, struct fault *why)
{
    struct stat there, here;
    char path[PATH_ROOM];
    bool full = l->o.note_folder[0] == '/';
    (void)snprintf(path, sizeof(path), "%s%s%.1024s", full ? "" : home, full ? "" : "/",
                   l->o.note_folder);
    if (mkdir(path, 0755) != 0 && errno != EEXIST) {
        return FAULT_ERRNO(why, FAIL_BAD_REQUEST, "could not make audit.note_folder %s", path);
    }
    l->folder = mem_dup_str(path);
    l->outside =
        stat(path, &there) == 0 && stat(home, &here) == 0 && there.st_dev != here.st_dev;
    return FAIL_NONE;
}

enum fail audit_leave_start(struct audit *a, const char *home,
                            const struct audit_leave_options *o, struct audit_leave **out,
                            struct fault *why)
{
    struct audit_verifier v;
    pthread_condattr_t attr;
    if ((o->witness_url[0] != '\0') != (o->witness_key[0] != '\0') ||
        (o->witness_key[0] != '\0' &&
         (!audit_vkey_read_any(o->witness_key, &v) || v.algorithm != AUDIT_ALG_COSIGNATURE))) {
        FAULT(why, FAIL_BAD_REQUEST, "audit.witness_url needs audit.witness_key, the witness's "
              "verifier key");
        return fail_hint(why,
                         "GET URL/key tells it: compare it with what the witness's host says.");
    }
    struct audit_leave *l = mem_alloc(sizeof(*l));
    l->audit = a;
    l->o = *o;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    enum fail f = pick_folder(l, home, why);
    f = f != FAIL_NONE ? f : store_reader_open(a->data, &l->conn, why);
    if (f == FAIL_NONE && pthread_create(&l->thread, NULL, run, l) != 0) {
        f = FAULT_ERRNO(why, FAIL_INTERNAL, "could not start a thread");
    }
    if (f != FAIL_NONE) {
        store_reader_close(l->conn);
        mem_free(l->folder);
        mem_free(l);
        return f;
    }
    *out = l;
    return FAIL_NONE;
}

void audit_leave_now(struct audit_leave *l)
{
    pthread_mutex_lock(&l->lock);
    l->now = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
}

void audit_leave_stop(struct audit_leave *l)
{
    if (l == NULL) {
        return;
    }
    pthread_mutex_lock(&l->lock);
    __atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    store_reader_close(l->conn);
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    mem_free(l->folder);
    mem_free(l);
}

/* ---- what left ---- */

enum fail audit_left_each(struct store_conn *conn,
                          void (*fn)(void *arg, const struct audit_left *left), void *arg,
                          struct fault *why)
{
    AUTO_STMT struct store_stmt *s =
        store_query(conn, "SELECT target, kind, size, at, tried_at, fault, note FROM "
                          "checkpoint_left ORDER BY kind, target");
    bool row;
    enum fail f;
    while ((f = store_step(s, &row, why)) == FAIL_NONE && row) {
        fn(arg, &(struct audit_left){.target = store_col_text(s, 0),
                                     .kind = store_col_text(s, 1),
                                     .size = store_col_int(s, 2),
                                     .at = store_col_int(s, 3),
                                     .tried_at = store_col_int(s, 4),
                                     .fault = store_col_text(s, 5),
                                     .note = store_col_text(s, 6)});
    }
    return f;
}

int64_t audit_left_at(struct store_conn *conn)
{
    struct fault why;
    bool row = false;
    AUTO_STMT struct store_stmt *s = store_query(
        conn, "SELECT max(at) FROM checkpoint_left WHERE kind IN ('witness', 'mail', 'note')");
    return store_step(s, &row, &why) == FAIL_NONE && row ? store_col_int(s, 0) : 0;
}
