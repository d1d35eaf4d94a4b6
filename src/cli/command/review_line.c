/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reviewing where there is no terminal: one command a line from standard input, the item printed
 * before each. The same commands as the keys of the whole screen.
 *
 * Owns nothing. Threads: one. Limits: a line of 8 KiB.
 */
#include <string.h>

#include "base/text/text.h"
#include "cli/command/review_internal.h"

static const char help[] =
    "a approve   e FIELD=VALUE change   r [1-9 or why] reject   s [@NAME] WHY escalate\n"
    "h HINT ask again   1-9 switch a sentence   p take what was decided on one alike   g decide "
    "all with this "
    "cause   u undo   n next   q quit\n";

static void show(struct reviewer *r)
{
    struct view v;
    view_begin(&v, r->cli->width < 100 ? r->cli->width : 100);
    view_item(&v, &r->now);
    printf("\n");
    for (size_t i = 0; i < v.n; i++) {
        printf("%s\n", v.lines[i]);
    }
    view_end(&v);
}

static bool group(struct reviewer *r)
{
    json_t *alike AUTO_JSON = reviewer_alike(r);
    return alike != NULL && reviewer_group(r, alike, ~0U);
}

/* True: the next one. */
static bool run_line(struct reviewer *r, char *line, bool *quit)
{
    char *rest = text_trim(line + (line[0] != '\0'));
    switch (line[0]) {
    case 'a':
        return reviewer_approve(r);
    case 'e':
    case 'f':
        reviewer_set(r, rest);
        return false;
    case 'r':
        return reviewer_reject(r, rest[0] >= '1' && rest[0] <= '9' && rest[1] == '\0'
                                      ? reviewer_reason(r, (size_t)(rest[0] - '1')) : rest);
    case 's':
        return reviewer_escalate(r, rest);
    case 'h':
        return reviewer_hint(r, rest);
    case 'p':
        reviewer_accept(r);
        return false;
    case 'g':
        return group(r);
    case 'u':
        (void)reviewer_undo(r);
        return false;
    case 'n':
        reviewer_skip(r);
        return true;
    case 'q':
        *quit = true;
        return false;
    case '?':
        printf("%s", help);
        return false;
    default:
        if (line[0] >= '1' && line[0] <= '9') {
            reviewer_toggle(r, (unsigned)(line[0] - '1'));
        } else if (line[0] != '\0') {
            printf("\"%.20s\" is none of these:\n%s", line, help);
        }
        return false;
    }
}

static enum fail work(struct reviewer *r, struct fault *why)
{
    char line[8192];
    bool quit = false;
    enum fail f = reviewer_advance(r, why);
    while (f == FAIL_NONE && !r->over && !quit && cli_interrupted == 0) {
        show(r);
        fflush(stdout);
        if (fgets(line, sizeof(line), stdin) == NULL) {
            break;
        }
        r->said[0] = '\0';
        bool on = run_line(r, text_trim(line), &quit);
        if (r->said[0] != '\0') {
            printf("%s\n", r->said);
        }
        (void)reviewer_tick(r);
        f = on ? reviewer_advance(r, why) : f;
    }
    return f;
}

int review_lines(struct cli *cli)
{
    struct fault why;
    struct reviewer *r = mem_alloc(sizeof(*r));
    reviewer_open(r, cli);
    enum fail f = work(r, &why);
    r->said[0] = '\0';
    reviewer_close(r);
    if (r->said[0] != '\0') {
        printf("%s\n", r->said);
    }
    if (f == FAIL_NONE) {
        printf("%s%d decided.\n", r->over ? "Nothing waits. " : "", r->decided);
    }
    mem_free(r);
    return f == FAIL_NONE ? COMMAND_OK : cli_fail(cli, &why);
}
