/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of cli/client. */
#pragma once

#include <curl/curl.h>

#include "cli/client/client.h"

struct flight {
    CURL *easy;
    struct curl_slist *headers;
    struct buf reply, body;
    void *tag;
    bool busy;
};

struct client {
    char home[CLIENT_PATH_SIZE];
    char config[CLIENT_PATH_SIZE]; /* "" when none */
    char server[CLIENT_PATH_SIZE];
    char url[1024]; /* without a slash at its end */
    char key[256];
    char sock[CLIENT_PATH_SIZE]; /* path for the socket calls, short enough; "" when remote */
    int home_fd;
    bool start;
    enum client_mode mode;
    void (*note)(void *arg, const char *line);
    void *arg;
    const volatile sig_atomic_t *stop;
    /* of the single requests: keeps its connection, so that the server sees that we are here */
    CURL *easy;
    CURLM *multi;
    struct flight flights[CLIENT_MAX_FLIGHT];
    size_t flying;
};

bool client_stopped(const struct client *c);
/* Sets the options that every request of this client has. */
void client_easy(struct client *c, CURL *e, const struct client_ask *ask,
                 struct curl_slist **headers);
/* The fault of a reply: status and body, or curl's own code. FAIL_NONE when status is 2xx. */
enum fail client_fault(struct client *c, CURLcode code, long status, const char *body, size_t len,
                       struct fault *why);
/* start.c: makes sure that a server answers on the socket. */
enum fail client_find_server(struct client *c, struct fault *why);
/* A connected descriptor of the socket, or -1. */
int client_connect(const struct client *c);
