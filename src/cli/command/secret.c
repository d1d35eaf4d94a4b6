/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that a person gives: from a file, standard input or the terminal, never a word of the
   command line, which other users of the machine can see. Threads: one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/command/command_internal.h"

/* The first line of what fd gives. */
static bool read_line(int fd, char *out, size_t room)
{
    size_t len = 0;
    char c;
    ssize_t n;
    while ((n = read(fd, &c, 1)) == 1 && c != '\n') {
        if (len + 1 == room) {
            explicit_bzero(out, room);
            return false;
        }
        out[len++] = c;
    }
    if (len > 0 && out[len - 1] == '\r') {
        len--;
    }
    out[len] = '\0';
    return n >= 0;
}

static bool ask_terminal(const char *ask, char *out, size_t room)
{
    struct termios old, quiet;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || tcgetattr(fd, &old) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(fd, TCSAFLUSH, &quiet);
    (void)dprintf(fd, "%s: ", ask);
    bool good = read_line(fd, out, room);
    (void)dprintf(fd, "\n");
    (void)tcsetattr(fd, TCSAFLUSH, &old);
    close(fd);
    return good;
}

static bool from_terminal(struct cli *cli, const char *option, const char *ask, bool twice,
                          char *out, size_t room)
{
    char *second = mem_alloc(room);
    bool good = ask_terminal(ask, out, room);
    if (!good) {
        cli_usage(cli, "there is no terminal to ask on: give --%s FILE, or - for standard input",
                  option);
    } else if (twice) {
        good = ask_terminal("The same again", second, room) && strcmp(out, second) == 0;
        if (!good) {
            cli_usage(cli, "the two differ");
        }
    }
    explicit_bzero(second, room);
    mem_free(second);
    return good;
}

bool cli_secret(struct cli *cli, const char *option, const char *ask, bool twice, char *out,
                size_t room)
{
    const char *path = cli_option(cli, option);
    if (path == NULL) {
        return from_terminal(cli, option, ask, twice, out, room);
    }
    int fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && read_line(fd, out, room) && out[0] != '\0';
    if (fd > STDIN_FILENO) {
        close(fd);
    }
    if (!good) {
        cli_usage(cli, "--%s: %s has no first line of at most %zu bytes", option, path, room - 1);
    }
    return good;
}

enum fail cli_send_json(struct cli *cli, const char *method, const char *path, json_t *body,
                        json_t **out, struct fault *why)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    enum fail f =
        cli_send(cli, method, path, NULL, text, text != NULL ? strlen(text) : 0, out, why);
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text); /* tidy: memory: jansson's own */
    }
    return f;
}
