/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request to an issuer: its origin alone, no redirects, no proxy, small and soon. */
#include "trust/login/login_internal.h"

#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "base/json/json.h"
#include "base/text/text.h"

#define TIMEOUT_MS 5000L
#define CONNECT_MS 3000L

bool fetch_is_at(const char *url, const char *origin)
{
    size_t n = strlen(origin);
    return strncmp(url, origin, n) == 0 && (url[n] == '/' || url[n] == '\0') &&
           strpbrk(url, " \"<>\\^`{|}\r\n\t#@") == NULL;
}

void fetch_escape(struct buf *out, const char *s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL) {
            (void)buf_add_char(out, (char)c);
        } else {
            (void)buf_printf(out, "%%%c%c", digits[c >> 4], digits[c & 15]);
        }
    }
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
    struct buf *body = arg;
    return buf_add(body, data, size * n) ? size * n : 0;
}

static void set_up(CURL *c, const struct fetch *f, struct buf *body, char error[CURL_ERROR_SIZE])
{
    bool plain = text_starts_with(f->origin, "http://"); /* config: loopback alone */
    curl_easy_setopt(c, CURLOPT_URL, f->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "inhouse");
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, body);
    if (f->ca_file[0] != '\0') {
        curl_easy_setopt(c, CURLOPT_CAINFO, f->ca_file);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    if (f->form != NULL) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, f->form);
    }
    if (f->user != NULL) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERNAME, f->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, f->secret);
    }
}

enum fail fetch_json(const struct fetch *f, json_t **out, struct fault *why)
{
    char error[CURL_ERROR_SIZE] = "";
    struct buf body;
    long status = 0;
    struct curl_slist *headers = NULL;
    if (!fetch_is_at(f->url, f->origin)) {
        return FAULT(why, FAIL_UPSTREAM_FAILED, "the issuer names an address outside %.100s",
                     f->origin);
    }
    CURL *c = curl_easy_init();
    ASSERT(c != NULL);
    buf_init(&body, FETCH_MAX);
    headers = curl_slist_append(headers, "Accept: application/json");
    set_up(c, f, &body, error);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    CURLcode code = curl_easy_perform(c);
    (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    enum fail r = FAIL_NONE;
    if (code != CURLE_OK) {
        r = FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s did not answer: %.120s", f->url,
                  body.overflow      ? "its answer is too long"
                  : error[0] != '\0' ? error
                                     : "no reason");
    } else if (status < 200 || status > 299) {
        r = FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s answered %ld", f->url, status);
    } else if (jn_parse(body.data != NULL ? body.data : "", body.len, "the issuer's answer", out,
                        NULL) != FAIL_NONE) {
        r = FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s did not answer with JSON", f->url);
    } else if (!json_is_object(*out)) {
        json_decref(*out);
        r = FAULT(why, FAIL_UPSTREAM_FAILED, "%.150s did not answer with an object", f->url);
    }
    if (r != FAIL_NONE) {
        fail_hint(why, "Look at the issuer, and at oidc in inhouse.yaml.");
    }
    if (body.data != NULL) {
        explicit_bzero(body.data, body.len);
    }
    buf_done(&body);
    return r;
}
