/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the command, reading its options, help. Threads: one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text/text.h"
#include "cli/command/command_internal.h"

#define MIN_WIDTH 40
#define MAX_WIDTH 200

volatile sig_atomic_t cli_interrupted;

const struct cli_option cli_common[] = {
    {"home", 0, "DIR", "the data folder (default: $INHOUSE_HOME, else ~/.local/share/inhouse)"},
    {"json", 0, NULL, "print JSON instead of text for people"},
    {"quiet", 'q', NULL, "no progress, no remarks"},
    {"help", 'h', NULL, "this text"},
    {0},
};
enum { COMMON_HOME, COMMON_JSON, COMMON_QUIET, COMMON_HELP, COMMON_COUNT };

/* ---- options ---- */

static const struct cli_option *find_option(const struct cli_option *list, const char *name,
                                            size_t n, int *at)
{
    for (*at = 0; list != NULL && list[*at].name != NULL; (*at)++) {
        const struct cli_option *o = &list[*at];
        bool is_letter = n == 1 && o->letter != 0 && o->letter == name[0];
        if (is_letter || (strlen(o->name) == n && strncmp(o->name, name, n) == 0)) {
            return o;
        }
    }
    return NULL;
}

/* Does the command take options that it does not list? */
static bool is_loose(const struct command *c)
{
    for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
        if (o->name[0] >= 'A' && o->name[0] <= 'Z') {
            return true;
        }
    }
    return false;
}

/* An option that the command does not list, for the workflow to know. */
static bool read_extra(struct cli *cli, int argc, char **argv, int *i)
{
    const char *word = argv[*i] + 2;
    size_t n = strcspn(word, "=");
    struct cli_extra *x = &cli->extras[cli->extras_len];
    if (cli->extras_len == CLI_MAX_EXTRAS || n == 0 || n >= sizeof(x->name)) {
        cli_usage(cli, "there is no option %s", argv[*i]);
        return false;
    }
    memcpy(x->name, word, n);
    x->name[n] = '\0';
    x->value = word[n] == '=' ? word + n + 1 : NULL;
    if (x->value == NULL && *i + 1 >= argc) {
        cli_usage(cli, "--%s needs a value", x->name);
        return false;
    }
    x->value = x->value != NULL ? x->value : argv[++*i];
    cli->extras_len++;
    return true;
}

/* One option at argv[*i]; moves *i past its value. */
static bool read_option(struct cli *cli, int argc, char **argv, int *i, const char **shared)
{
    const char *word = argv[*i] + 1;
    bool longer = word[0] == '-';
    word += longer ? 1 : 0;
    size_t n = longer ? strcspn(word, "=") : 1;
    int at;
    const char **slot;
    const struct cli_option *o = find_option(cli->command->options, word, n, &at);
    slot = o != NULL ? &cli->values[at] : NULL;
    if (o == NULL) {
        o = find_option(cli_common, word, n, &at);
        slot = o != NULL ? &shared[at] : NULL;
    }
    if (o == NULL && longer && n > 1 && is_loose(cli->command)) {
        return read_extra(cli, argc, argv, i);
    }
    if (o == NULL || (longer && n == 1)) {
        cli_usage(cli, "there is no option %s", argv[*i]);
        return false;
    }
    const char *value = longer ? (word[n] == '=' ? word + n + 1 : NULL)
                               : (word[1] != '\0' ? word + 1 : NULL);
    if (o->value == NULL) {
        if (value != NULL) {
            cli_usage(cli, "--%s takes no value", o->name);
            return false;
        }
        *slot = "";
        return true;
    }
    if (value == NULL) {
        if (*i + 1 >= argc) {
            cli_usage(cli, "--%s needs a value: %s", o->name, o->value);
            return false;
        }
        value = argv[++*i];
    }
    *slot = value;
    return true;
}

const char *cli_option(const struct cli *cli, const char *name)
{
    int at;
    const struct cli_option *o = find_option(cli->command->options, name, strlen(name), &at);
    ASSERT(o != NULL);
    return cli->values[at];
}

bool cli_number(struct cli *cli, const char *name, int64_t min, int64_t max, int64_t otherwise,
                int64_t *out)
{
    const char *value = cli_option(cli, name);
    *out = otherwise;
    if (value != NULL && !text_read_int(value, min, max, out)) {
        cli_usage(cli, "--%s must be a whole number from %lld to %lld, not \"%s\"", name,
                  (long long)min, (long long)max, value);
        return false;
    }
    return true;
}

/* ---- help ---- */

static void show_options(const struct cli_option *list)
{
    for (; list != NULL && list->name != NULL; list++) {
        char left[64], letter[8] = "    ";
        if (list->letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", list->letter);
        }
        (void)snprintf(left, sizeof(left), "%s--%s%s%s", letter, list->name,
                       list->value != NULL ? " " : "", list->value != NULL ? list->value : "");
        printf("  %-26s %s\n", left, list->help);
    }
}

static void show_command(const struct command *c)
{
    printf("usage: inhouse %s%s%s%s\n\n", c->name, c->words[0] != '\0' ? " " : "", c->words,
           c->options != NULL ? " [options]" : "");
    cli_print_wrapped(c->summary, 0, 80);
    if (c->help != NULL) {
        printf("\n%s\n", c->help);
    }
    printf("\n");
    show_options(c->options);
    show_options(cli_common);
}

static void show_all(void)
{
    printf("inhouse: the command line of an on-premises AI server\n\n"
           "usage: inhouse COMMAND [words] [options]\n\n");
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &command_table[i];
        char left[80];
        (void)snprintf(left, sizeof(left), "%s %s", c->name, c->words);
        if (!c->hidden) {
            size_t columns = text_utf8_count(left, strlen(left));
            bool wide = columns > 33;
            printf("  %s%s%*s%s\n", left, wide ? "\n" : "", wide ? 37 : 35 - (int)columns, "",
                   c->summary);
        }
    }
    printf("\n`inhouse COMMAND --help` says more; `man inhouse` says all. With INHOUSE_URL set, or "
           "a server on the\n"
           "data folder, commands ask that server; else they start one for as long as they need "
           "it.\n");
}

int command_help(struct cli *cli)
{
    (void)cli;
    show_all();
    return COMMAND_OK;
}

/* ---- dispatch ---- */

/* The command whose name is the longest run of the first words; *used is how many words. */
static const struct command *find_command(int argc, char **argv, int *used)
{
    const struct command *best = NULL;
    *used = 0;
    for (size_t i = 0; i < command_count; i++) {
        const char *name = command_table[i].name;
        int words = 0;
        bool same = true;
        while (same && *name != '\0') {
            size_t n = strcspn(name, " ");
            same = words + 1 < argc && strlen(argv[words + 1]) == n &&
                   strncmp(argv[words + 1], name, n) == 0;
            words++;
            name += n + (name[n] == ' ' ? 1 : 0);
        }
        if (same && words > *used) {
            *used = words;
            best = &command_table[i];
        }
    }
    return best;
}

static int unknown_command(int argc, char **argv)
{
    bool group = false;
    size_t n = argc > 1 ? strlen(argv[1]) : 0;
    for (size_t i = 0; i < command_count; i++) {
        group = group || (strncmp(command_table[i].name, argv[1], n) == 0 &&
                          command_table[i].name[n] == ' ');
    }
    if (!group) {
        fprintf(stderr, "inhouse: there is no command \"%s\"\n  `inhouse help` lists them.\n",
                argv[1]);
        return COMMAND_USAGE;
    }
    FILE *to = argc > 2 && argv[2][0] != '-' ? stderr : stdout;
    if (to == stderr) {
        fprintf(stderr, "inhouse: there is no command \"%s %s\"\n", argv[1], argv[2]);
    }
    for (size_t i = 0; i < command_count; i++) {
        const struct command *c = &command_table[i];
        if (strncmp(c->name, argv[1], n) == 0) {
            fprintf(to, "  inhouse %s %s\n      %s\n", c->name, c->words, c->summary);
        }
    }
    return to == stdout ? COMMAND_OK : COMMAND_USAGE;
}

static bool read_words(struct cli *cli, int argc, char **argv, int from, bool *help)
{
    const char *shared[COMMON_COUNT + 1] = {0};
    bool only_words = false;
    for (int i = from; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
            if (!read_option(cli, argc, argv, &i, shared)) {
                return false;
            }
        } else if (cli->words_len == CLI_MAX_WORDS) {
            cli_usage(cli, "too many words");
            return false;
        } else {
            cli->words[cli->words_len++] = argv[i];
        }
    }
    *help = shared[COMMON_HELP] != NULL;
    cli->json = shared[COMMON_JSON] != NULL;
    cli->quiet = shared[COMMON_QUIET] != NULL;
    if (shared[COMMON_HOME] != NULL && setenv("INHOUSE_HOME", shared[COMMON_HOME], 1) != 0) {
        cli_usage(cli, "--home: %s", strerror(errno));
        return false;
    }
    return true;
}

static void look_around(struct cli *cli)
{
    struct winsize size = {0};
    const char *url = getenv("INHOUSE_URL"), *key = getenv("INHOUSE_API_KEY");
    cli->tty = isatty(STDOUT_FILENO) == 1;
    cli->tty_err = isatty(STDERR_FILENO) == 1;
    cli->width = 100;
    if ((cli->tty || cli->tty_err) &&
        ioctl(cli->tty ? STDOUT_FILENO : STDERR_FILENO, TIOCGWINSZ, &size) == 0 &&
        size.ws_col > 0) {
        cli->width = size.ws_col;
    }
    cli->width = cli->width < MIN_WIDTH   ? MIN_WIDTH
                 : cli->width > MAX_WIDTH ? MAX_WIDTH
                                          : cli->width;
    cli->url = url != NULL && url[0] != '\0' ? url : NULL;
    cli->key = key != NULL && key[0] != '\0' ? key : NULL;
}

int cli_run(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        show_all();
        return argc < 2 ? COMMAND_USAGE : COMMAND_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("inhouse %s\n", INHOUSE_VERSION);
        return COMMAND_OK;
    }
    int used;
    struct cli cli = {.command = find_command(argc, argv, &used)};
    if (cli.command == NULL) {
        return unknown_command(argc, argv);
    }
    look_around(&cli);
    bool help = false;
    int status = COMMAND_USAGE;
    if (read_words(&cli, argc, argv, 1 + used, &help)) {
        if (help) {
            show_command(cli.command);
            status = COMMAND_OK;
        } else if (cli.words_len < cli.command->words_min ||
                   cli.words_len > cli.command->words_max) {
            status =
                cli_usage(&cli,
                          cli.words_len < cli.command->words_min ? "%s is missing"
                                                                 : "too many words after: %s",
                          cli.command->words[0] != '\0' ? cli.command->words : cli.command->name);
        } else if (!client_home_default(cli.home)) {
            status = cli_usage(&cli, "no data folder: set INHOUSE_HOME");
        } else {
            status = cli.command->run(&cli);
        }
    }
    client_close(cli.client);
    return cli_interrupted != 0 && status != COMMAND_OK ? COMMAND_INTERRUPTED : status;
}

static void on_interrupt(int number)
{
    (void)number;
    if (cli_interrupted != 0) {
        _exit(COMMAND_INTERRUPTED); /* asked twice */
    }
    cli_interrupted = 1;
}

int command_main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int status = cli_run(argc, argv);
    if (fflush(stdout) != 0 && status == COMMAND_OK) {
        fprintf(stderr, "inhouse: cannot write the output: %s\n", strerror(errno));
        return COMMAND_INPUT;
    }
    return status;
}
