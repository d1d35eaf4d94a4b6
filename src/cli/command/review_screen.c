/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inhouse review on a terminal: the whole screen, one key a step. The item after this one is loaded
 * while this one is read; a decision leaves after a few seconds, until then u takes it back.
 *
 * Owns: the terminal's settings, given back at the end and on an interrupt. Threads: one; $EDITOR
 * is a child, and what it has written is saved every second. Limits: a typed line of 1 KiB.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock/clock.h"
#include "base/text/text.h"
#include "cli/command/review_internal.h"

#define TICK_MS 250
#define LINE_MAX_BYTES 1024
#define DRAFT_MARK "--- draft (what stands below is the reply) ---\n"

enum asking { ASK_NOTHING, ASK_REASON, ASK_OWN_REASON, ASK_ESCALATE, ASK_HINT, ASK_FIELD,
              ASK_GROUP };

struct screen {
    struct reviewer r;
    struct termios before;
    size_t rows, cols, top; /* top: first line shown */
    enum asking asking;
    char line[LINE_MAX_BYTES];
    size_t len;
    bool help, quit, stale;
    json_t *alike; /* ASK_GROUP */
    unsigned taken;
    struct fault why;
};

static const char keys_line[] = "a approve  e edit  f field  r reject  s escalate  h hint  n next  "
                                "u undo  ? help  q quit";
static const char *const help_lines[] = {
    "a      take it, as proposed or as you have changed it",
    "1-9    switch a sentence of the draft on or off",
    "e      change fields and draft in $VISUAL or $EDITOR; kept every second",
    "f      change one field: FIELD=VALUE",
    "p      take what was decided on one alike (the line with =)",
    "r      reject: one more key says why, 0 for a reason of your own",
    "s      escalate: @NAME or nothing, and why",
    "h      ask again with a hint; it comes back when there is a new proposal",
    "g      decide all that wait with the same cause; 1-9 take one out or in",
    "n      put it aside and go on; it stays yours until you leave",
    "u      take the last decision back, for a few seconds",
    "j k    scroll; space and b by pages",
    "q      leave; what is decided is sent, what is held is given back",
};

/* ---- the terminal ---- */

static void put(const char *s)
{
    (void)!write(STDOUT_FILENO, s, strlen(s));
}

static bool raw_on(struct screen *s)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &s->before) != 0) {
        return false;
    }
    raw = s->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_iflag &= ~(tcflag_t)(IXON);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    put("\033[?1049h\033[?25l"); /* the other screen, no cursor */
    return true;
}

static void raw_off(struct screen *s)
{
    put("\033[?25h\033[?1049l");
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

static void measure(struct screen *s)
{
    struct winsize w;
    s->rows = 24;
    s->cols = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row >= 5 && w.ws_col >= 20) {
        s->rows = w.ws_row;
        s->cols = w.ws_col < 400 ? w.ws_col : 400;
    }
}

/* ---- drawing ---- */

static void draw_group(struct screen *s, struct view *v)
{
    size_t i;
    json_t *a;
    char first[16], line[300];
    (void)snprintf(line, sizeof(line), "%zu others wait with the same cause:",
                   json_array_size(s->alike));
    view_add(v, "", line);
    json_array_foreach(s->alike, i, a) {
        (void)snprintf(first, sizeof(first), " %s%c[%c] ", i < 9 ? "" : " ",
                       i < 9 ? (char)('1' + i) : ' ',
                       i >= 32 || (s->taken & 1U << i) != 0 ? 'x' : ' ');
        (void)snprintf(line, sizeof(line), "%.200s   %.2f", cli_str(a, "title"),
                       json_number_value(json_object_get(a, "likeness")));
        view_add(v, first, line);
    }
}

static void bottom(struct screen *s, struct buf *out)
{
    const struct reviewer *r = &s->r;
    static const char *const asks[] = {
        [ASK_OWN_REASON] = "Rejected because: ",
        [ASK_ESCALATE] = "Escalate ([@NAME] why): ",
        [ASK_HINT] = "Hint: ",
        [ASK_FIELD] = "FIELD=VALUE: ",
    };
    if (s->asking == ASK_REASON) {
        for (size_t i = 0; reviewer_reason(r, i) != NULL && i < 9; i++) {
            (void)buf_printf(out, "%zu %s  ", i + 1, reviewer_reason(r, i));
        }
        (void)buf_add_str(out, "0 another");
    } else if (s->asking == ASK_GROUP) {
        (void)buf_add_str(out,
                          "y decide these and this one  1-9 take out or in  any other key: no");
    } else if (s->asking != ASK_NOTHING) {
        (void)buf_printf(out, "%s%s_", asks[s->asking], s->line);
    } else if (r->pending.item != NULL) {
        int64_t left = (r->due_us - clock_monotonic_us() + 999999) / 1000000;
        (void)buf_printf(out, "%s   (u takes it back, %lld s)", r->what,
                         (long long)(left > 0 ? left : 0));
    } else {
        (void)buf_add_str(out, r->said);
    }
}

/* One screen in one write: head, the view from `top`, and two lines below. */
static void draw(struct screen *s)
{
    struct view v;
    struct buf out, low;
    measure(s);
    view_begin(&v, s->cols - 1);
    if (s->help) {
        for (size_t i = 0; i < COUNT_OF(help_lines); i++) {
            view_add(&v, "", help_lines[i]);
        }
    } else if (s->asking == ASK_GROUP) {
        draw_group(s, &v);
    } else if (s->r.now.item != NULL) {
        view_item(&v, &s->r.now);
    } else {
        view_add(&v, "", "Nothing waits. Something new shows here by itself; q leaves.");
    }
    size_t room = s->rows - 2;
    s->top = v.n <= room ? 0 : s->top > v.n - room ? v.n - room : s->top;
    buf_init(&out, (size_t)4 << 20);
    buf_init(&low, 16384);
    (void)buf_add_str(&out, "\033[H");
    for (size_t i = 0; i < room; i++) {
        (void)buf_printf(&out, "%s\033[K\r\n", s->top + i < v.n ? v.lines[s->top + i] : "");
    }
    view_end(&v);
    bottom(s, &low);
    view_begin(&v, s->cols - 1);
    view_add(&v, "", low.len > 0 ? low.data : "");
    (void)buf_printf(&out, "%s\033[K\r\n\033[7m%.*s\033[0m\033[K", v.lines[v.n - 1],
                     (int)(s->cols - 1), keys_line);
    put(out.data);
    view_end(&v);
    buf_done(&low);
    buf_done(&out);
    s->stale = false;
}

/* ---- the editor ---- */

static bool write_file(const struct screen *s, int fd)
{
    size_t i;
    json_t *f;
    struct buf b;
    buf_init(&b, REVIEWER_TEXT_MAX * 2);
    json_array_foreach(json_object_get(s->r.now.item, "fields"), i, f) {
        const char *name = cli_str(f, "name");
        const char *mine = json_string_value(json_object_get(s->r.now.fields, name));
        (void)buf_printf(&b, "%s: %s\n", name, mine != NULL ? mine : cli_str(f, "value"));
    }
    const char *draft = reviewer_text(&s->r.now);
    (void)buf_printf(&b, DRAFT_MARK "%s", draft != NULL ? draft : "");
    bool ok = !b.overflow && write(fd, b.data, b.len) == (ssize_t)b.len;
    buf_done(&b);
    return ok;
}

/* What differs from the proposal is a change; a line that is no field is left alone. */
static void read_back(struct screen *s, const char *path)
{
    struct buf b;
    struct fault why;
    size_t i;
    json_t *f;
    buf_init(&b, REVIEWER_TEXT_MAX * 2);
    char *mark = cli_read_file(path, &b, &why) == FAIL_NONE && b.len > 0
                     ? strstr(b.data, DRAFT_MARK) : NULL;
    if (mark == NULL) {
        buf_done(&b);
        return;
    }
    const char *draft = reviewer_text(&s->r.now), *text = mark + strlen(DRAFT_MARK);
    if (strcmp(text, draft != NULL ? draft : "") != 0) {
        reviewer_draft(&s->r, text);
    }
    *mark = '\0';
    char *rest = NULL;
    for (char *line = strtok_r(b.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *colon = strstr(line, ": ");
        json_array_foreach(json_object_get(s->r.now.item, "fields"), i, f) {
            const char *name = cli_str(f, "name");
            const char *mine = json_string_value(json_object_get(s->r.now.fields, name));
            const char *is = mine != NULL ? mine : cli_str(f, "value");
            size_t n = strlen(name);
            if (colon == line + n && strncmp(line, name, n) == 0 && strcmp(colon + 2, is) != 0) {
                colon[0] = '=';
                memmove(colon + 1, colon + 2, strlen(colon + 2) + 1);
                reviewer_set(&s->r, line);
                break;
            }
        }
    }
    buf_done(&b);
}

static int64_t changed_at(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : 0;
}

/* Beside the editor: what it has written so far is kept, leases and decisions go on. */
static void wait_for(struct screen *s, pid_t pid, const char *path)
{
    int status;
    int64_t seen = changed_at(path);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        (void)poll(NULL, 0, TICK_MS);
        int64_t now = changed_at(path);
        if (now != seen) {
            seen = now;
            read_back(s, path);
        }
        (void)reviewer_tick(&s->r);
    }
    read_back(s, path);
}

static void edit(struct screen *s)
{
    char path[64] = "/tmp/inhouse-review-XXXXXX";
    const char *editor = getenv("VISUAL");
    editor = editor != NULL && editor[0] != '\0' ? editor : getenv("EDITOR");
    if (editor == NULL || editor[0] == '\0') {
        s->asking = ASK_FIELD; /* without an editor: a field on the line below */
        return;
    }
    int fd = mkstemp(path); /* 0600 */
    if (fd < 0 || !write_file(s, fd)) {
        (void)snprintf(s->r.said, sizeof(s->r.said), "could not write a file for the editor");
        if (fd >= 0) {
            (void)close(fd);
            (void)unlink(path);
        }
        return;
    }
    (void)close(fd);
    raw_off(s);
    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/bin/sh", "sh", "-c", "exec $INHOUSE_EDITOR \"$1\"", "sh", path, (char *)NULL);
        _exit(127);
    }
    if (pid > 0) {
        wait_for(s, pid, path);
    }
    (void)unlink(path);
    (void)raw_on(s);
}

/* ---- keys ---- */

static void go_on(struct screen *s)
{
    s->top = 0;
    if (reviewer_advance(&s->r, &s->why) != FAIL_NONE) {
        s->quit = true;
        return;
    }
    draw(s);
    reviewer_preload(&s->r);
}

static void ask(struct screen *s, enum asking what)
{
    s->asking = what;
    s->len = 0;
    s->line[0] = '\0';
}

static void answer_line(struct screen *s)
{
    enum asking what = s->asking;
    bool on = false;
    char line[LINE_MAX_BYTES];
    (void)text_copy(line, sizeof(line), s->line);
    ask(s, ASK_NOTHING);
    if (what == ASK_OWN_REASON) {
        on = reviewer_reject(&s->r, line);
    } else if (what == ASK_ESCALATE) {
        on = reviewer_escalate(&s->r, line);
    } else if (what == ASK_HINT) {
        on = reviewer_hint(&s->r, line);
    } else if (what == ASK_FIELD) {
        reviewer_set(&s->r, line);
    }
    if (on) {
        go_on(s);
    }
}

static void line_key(struct screen *s, unsigned char c)
{
    if (c == '\r' || c == '\n') {
        answer_line(s);
    } else if (c == 27) {
        ask(s, ASK_NOTHING);
    } else if ((c == 127 || c == 8) && s->len > 0) {
        do { /* a whole character */
            s->len--;
        } while (s->len > 0 && ((unsigned char)s->line[s->len] & 0xc0) == 0x80);
        s->line[s->len] = '\0';
    } else if (c >= 32 && c != 127 && s->len + 1 < sizeof(s->line)) {
        s->line[s->len++] = (char)c;
        s->line[s->len] = '\0';
    }
}

static void group_key(struct screen *s, unsigned char c)
{
    bool on = false;
    if (c >= '1' && c <= '9') {
        s->taken ^= 1U << (c - '1');
        return;
    }
    s->asking = ASK_NOTHING;
    if (c == 'y') {
        on = reviewer_group(&s->r, s->alike, s->taken);
    }
    json_decref(s->alike);
    s->alike = NULL;
    if (on) {
        go_on(s);
    }
}

static void start_group(struct screen *s)
{
    s->alike = reviewer_alike(&s->r);
    s->taken = ~0U;
    if (json_array_size(s->alike) > 0) {
        s->asking = ASK_GROUP;
        return;
    }
    json_decref(s->alike);
    s->alike = NULL;
    (void)snprintf(s->r.said, sizeof(s->r.said), "nothing else waits with this cause");
}

static void scroll(struct screen *s, unsigned char c)
{
    size_t page = s->rows > 4 ? s->rows - 4 : 1;
    size_t up = c == 'k' ? 1 : c == 'b' ? page : 0;
    s->top = up > s->top ? 0 : s->top - up;
    s->top += c == 'j' ? 1 : c == ' ' ? page : 0;
}

static void item_key(struct screen *s, unsigned char c)
{
    switch (c) {
    case 'a':
        if (reviewer_approve(&s->r)) {
            go_on(s);
        }
        break;
    case 'e': edit(s); break;
    case 'f': ask(s, ASK_FIELD); break;
    case 'r': ask(s, ASK_REASON); break;
    case 's': ask(s, ASK_ESCALATE); break;
    case 'h': ask(s, ASK_HINT); break;
    case 'p': reviewer_accept(&s->r); break;
    case 'g': start_group(s); break;
    case 'n':
        reviewer_skip(&s->r);
        go_on(s);
        break;
    default:
        if (c >= '1' && c <= '9') {
            reviewer_toggle(&s->r, (unsigned)(c - '1'));
        }
        break;
    }
}

static void key(struct screen *s, unsigned char c)
{
    s->stale = true;
    s->r.said[0] = '\0';
    if (s->help) {
        s->help = false;
    } else if (s->asking == ASK_REASON) {
        ask(s, c == '0' ? ASK_OWN_REASON : ASK_NOTHING);
        if (c >= '1' && c <= '9' &&
            reviewer_reject(&s->r, reviewer_reason(&s->r, (size_t)(c - '1')))) {
            go_on(s);
        }
    } else if (s->asking == ASK_GROUP) {
        group_key(s, c);
    } else if (s->asking != ASK_NOTHING) {
        line_key(s, c);
    } else if (c == 'q') {
        s->quit = true;
    } else if (c == '?') {
        s->help = true;
    } else if (c == 'u') {
        (void)reviewer_undo(&s->r);
        s->top = 0;
    } else if (strchr("jkb ", c) != NULL) {
        scroll(s, c);
    } else if (s->r.now.item != NULL) {
        item_key(s, c);
    }
}

/* ---- the loop ---- */

/* While nothing waits it looks again every two seconds. */
static void look_again(struct screen *s, int64_t *asked)
{
    if (s->r.now.item == NULL && clock_monotonic_us() - *asked > 2000000) {
        *asked = clock_monotonic_us();
        go_on(s);
        s->stale = true;
    }
}

static void work(struct screen *s)
{
    int64_t asked = clock_monotonic_us();
    go_on(s);
    s->stale = true;
    while (!s->quit && cli_interrupted == 0) {
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        unsigned char typed[64];
        if (s->stale) {
            draw(s);
        }
        int n = poll(&in, 1, TICK_MS);
        ssize_t got = n > 0 ? read(STDIN_FILENO, typed, sizeof(typed)) : -1;
        if (n > 0 && got <= 0 && errno != EINTR) {
            break; /* the terminal is gone */
        }
        if (got > 2 && typed[0] == 27 && typed[1] == '[') { /* arrows scroll */
            typed[0] = typed[2] == 'A' ? 'k' : typed[2] == 'B' ? 'j' : 0;
            got = typed[0] != 0;
        }
        for (ssize_t i = 0; i < got && !s->quit; i++) {
            key(s, typed[i]);
        }
        s->stale = reviewer_tick(&s->r) || s->stale || s->r.pending.item != NULL;
        look_again(s, &asked);
    }
}

int review_screen(struct cli *cli)
{
    struct screen *s = mem_alloc(sizeof(*s));
    const char *editor = getenv("VISUAL");
    editor = editor != NULL && editor[0] != '\0' ? editor : getenv("EDITOR");
    if (editor != NULL) {
        (void)setenv("INHOUSE_EDITOR", editor, 1);
    }
    s->why.code = FAIL_NONE;
    reviewer_open(&s->r, cli);
    if (!raw_on(s)) {
        mem_free(s);
        return review_lines(cli);
    }
    work(s);
    s->r.said[0] = '\0';
    raw_off(s);
    reviewer_close(&s->r);
    json_decref(s->alike);
    if (s->r.said[0] != '\0') {
        printf("%s\n", s->r.said);
    }
    printf("%d decided.\n", s->r.decided);
    int status = s->why.code != FAIL_NONE ? cli_fail(cli, &s->why) : COMMAND_OK;
    mem_free(s);
    return status;
}
