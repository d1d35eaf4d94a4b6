/* SPDX-License-Identifier: Apache-2.0 */
/* inhouse: the command line. Wiring only; the commands are in cli/command. Threads: one. */
#include "cli/command/command.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv);
}
