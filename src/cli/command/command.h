/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command: the command line of inhouse. A table of commands as data; each one asks the server's API
 * through cli/client, or works on the data folder itself where no server is needed (models, audit
 * verify).
 *
 * Threads: one. Blocks. Output for people on stdout, progress and errors on stderr; with --json one
 * JSON value (or one a line) on stdout and errors as JSON on stderr.
 */
#pragma once

/* Exit statuses of every command; man/inhouse.1 lists them. */
enum command_exit {
    COMMAND_OK = 0,
    COMMAND_SOME_FAILED = 1, /* it ran, and something in it failed or was found wrong */
    COMMAND_USAGE = 2,
    COMMAND_INPUT = 3,       /* a file that cannot be read or makes no sense */
    COMMAND_SERVER = 4,      /* no server answers and none could be started */
    COMMAND_REFUSED = 5,     /* the server said no */
    COMMAND_INTERRUPTED = 130,
};

/* Runs the command of argv and returns its exit status. Installs handlers of SIGINT and SIGTERM. */
int command_main(int argc, char **argv);
