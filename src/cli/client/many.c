/* SPDX-License-Identifier: Apache-2.0 */
/* Many requests in flight over one curl multi handle. Threads: the caller's. Limits:
   CLIENT_MAX_FLIGHT. */
#include <stdlib.h>
#include <string.h>

#include "base/text/text.h"
#include "cli/client/client_internal.h"

#define MAX_RETRY_AFTER_S 3600

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
    return buf_add(arg, data, size * n) ? size * n : 0;
}

size_t client_in_flight(const struct client *c)
{
    return c->flying;
}

bool client_send(struct client *c, const struct client_ask *ask, void *tag)
{
    struct flight *f = NULL;
    for (size_t i = 0; f == NULL && i < CLIENT_MAX_FLIGHT; i++) {
        f = c->flights[i].busy ? NULL : &c->flights[i];
    }
    if (f == NULL) {
        return false;
    }
    if (f->reply.cap == 0) {
        buf_init(&f->reply, CLIENT_MAX_REPLY);
        buf_init(&f->body, CLIENT_MAX_REPLY);
    }
    buf_clear(&f->reply);
    buf_clear(&f->body);
    (void)buf_add(&f->body, ask->body, ask->len);
    struct client_ask mine = *ask;
    mine.body = f->body.data;
    f->easy = curl_easy_init();
    ASSERT(f->easy != NULL);
    client_easy(c, f->easy, &mine, &f->headers);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, &f->reply);
    curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
    f->tag = tag;
    f->busy = true;
    c->flying++;
    curl_multi_add_handle(c->multi, f->easy);
    return true;
}

static void land(struct client *c, struct flight *f)
{
    curl_multi_remove_handle(c->multi, f->easy);
    curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->headers);
    f->easy = NULL;
    f->headers = NULL;
    f->busy = false;
    c->flying--;
}

static void answer(struct client *c, struct flight *f, CURLcode code, client_answer_fn fn,
                   void *arg)
{
    struct client_answer a = {.tag = f->tag};
    long status = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &after);
    a.code = client_fault(c, code, status, f->reply.data, f->reply.len, &a.why);
    a.connection = code != CURLE_OK && code != CURLE_OPERATION_TIMEDOUT;
    a.retry_after_ms = 1000 * (after > MAX_RETRY_AFTER_S ? MAX_RETRY_AFTER_S : (int64_t)after);
    a.body = f->reply.data != NULL ? f->reply.data : "";
    a.len = f->reply.len;
    land(c, f);
    fn(arg, &a);
}

void client_wait(struct client *c, int wait_ms, client_answer_fn fn, void *arg)
{
    int running = 0, left = 0;
    curl_multi_perform(c->multi, &running);
    if (running > 0 && (size_t)running == c->flying) {
        curl_multi_poll(c->multi, NULL, 0, wait_ms, NULL);
        curl_multi_perform(c->multi, &running);
    } else if (c->flying == 0 && wait_ms > 0) {
        curl_multi_poll(c->multi, NULL, 0, wait_ms, NULL);
    }
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL;) {
        if (m->msg == CURLMSG_DONE) {
            CURLcode code = m->data.result;
            struct flight *f = NULL;
            curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
            answer(c, f, code, fn, arg);
        }
    }
}

void client_drop(struct client *c)
{
    for (size_t i = 0; i < CLIENT_MAX_FLIGHT; i++) {
        if (c->flights[i].busy) {
            land(c, &c->flights[i]);
        }
    }
}
