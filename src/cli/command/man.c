/* SPDX-License-Identifier: Apache-2.0 */
/* The man pages as the tables say them: commands and options of inhouse, options of
   inhouse.yaml. A test compares. */
#include <string.h>

#include "base/config/config.h"
#include "cli/command/command_internal.h"

/* Text for roff: backslashes and dashes escaped, no line starts with a request. */
static void put(const char *s)
{
    bool start = true;
    for (; *s != '\0'; s++) {
        if (start && (*s == '.' || *s == '\'')) {
            fputs("\\&", stdout);
        }
        if (*s == '\\' || *s == '-') {
            fputc('\\', stdout);
        }
        fputc(*s, stdout);
        start = *s == '\n';
    }
}

static void put_options(const struct cli_option *o)
{
    for (; o != NULL && o->name != NULL; o++) {
        printf(".TP\n");
        if (o->letter != 0) {
            printf("\\fB\\-%c\\fR, ", o->letter);
        }
        printf("\\fB\\-\\-");
        put(o->name);
        printf("\\fR");
        if (o->value != NULL) {
            printf(" \\fI");
            put(o->value);
            printf("\\fR");
        }
        printf("\n");
        put(o->help);
        printf("\n");
    }
}

static void put_command(const struct command *c)
{
    printf(".SS inhouse ");
    put(c->name);
    printf(" ");
    put(c->words);
    printf("\n");
    put(c->summary);
    printf(".\n");
    if (c->help != NULL) {
        printf(".PP\n");
        put(c->help);
        printf("\n");
    }
    put_options(c->options);
}

static void command_page(void)
{
    static const char *const exits[][2] = {
        {"0", "done"},
        {"1", "done, but something in it failed or was found wrong: a ticket, a row, a record"},
        {"2", "wrong use"},
        {"3", "a file or value that cannot be read or makes no sense"},
        {"4", "no server answers and none could be started, or the output cannot be written"},
        {"5", "the server refused"},
        {"130", "interrupted; what was finished is kept and named"}};
    static const char *const variables[][2] = {
        {"INHOUSE_HOME", "the data folder (default ~/.local/share/inhouse)"},
        {"INHOUSE_URL", "a server to ask instead of the data folder's own"},
        {"INHOUSE_API_KEY", "the key for it"}};
    printf(".TH INHOUSE 1 \"\" \"inhouse\" \"User Commands\"\n.SH NAME\ninhouse \\- the command "
           "line of an on\\-premises AI "
           "server\n.SH SYNOPSIS\n.B inhouse\n.I COMMAND\n[words] [options]\n.SH DESCRIPTION\nWith "
           "INHOUSE_URL set, or a "
           "server on the data folder, commands ask that server. Otherwise they start one\non a "
           "Unix socket in the data "
           "folder; it ends ten seconds after its last client.\n.PP\nOutput for people goes to "
           "standard output, progress "
           "and errors to standard error.\n.SH OPTIONS OF EVERY COMMAND\n");
    put_options(cli_common);
    printf(".SH COMMANDS\n");
    for (size_t i = 0; i < command_count; i++) {
        if (!command_table[i].hidden) {
            put_command(&command_table[i]);
        }
    }
    printf(".SH OUTPUT OF RUN\nOne JSON object a line, in the order of the input: \\fBid\\fR, the "
           "form's fields by name, and "
           "under \\fB_meta\\fR for each field\n\\fBrung\\fR (who decided; \\fIperson\\fR when it "
           "waits for one), "
           "\\fBconfidence\\fR, \\fBproposed_by\\fR, \\fBchecks\\fR, \\fBclass\\fR and "
           "\\fBcertificate\\fR (what let it be answered alone), \\fBreused_from\\fR, "
           "\\fBreused_how\\fR and \\fBaudited\\fR, beside\n\\fBtokens_in\\fR, "
           "\\fBtokens_cached\\fR, "
           "\\fBtokens_out\\fR, \\fBms\\fR, \\fBcost\\fR, \\fBreleases\\fR, \\fBartifact\\fR, "
           "\\fBstate\\fR, \\fBlabel\\fR, \\fBroute\\fR (the decision rule, where one was asked) "
           "and \\fBtask\\fR.\n"
           "A ticket that failed has \\fB_error\\fR with code, message and hint instead. The file "
           "appears when all is "
           "done;\ninterrupted, the finished part is FILE.partial.\n.SH EXIT STATUS\n");
    for (size_t i = 0; i < COUNT_OF(exits); i++) {
        printf(".TP\n.B %s\n", exits[i][0]);
        put(exits[i][1]);
        printf("\n");
    }
    printf(".SH ENVIRONMENT\n");
    for (size_t i = 0; i < COUNT_OF(variables); i++) {
        printf(".TP\n.B %s\n", variables[i][0]);
        put(variables[i][1]);
        printf("\n");
    }
    printf(".SH SEE ALSO\n.BR inhoused (8),\n.BR inhouse.yaml (5)\n");
}

static void config_page(void)
{
    static const char *const types[] = {"whole number", "true or false", "text", "word", "amount"};
    const struct config_option *list;
    size_t n = config_options(&list);
    printf(".TH INHOUSE.YAML 5 \"\" \"inhouse\" \"File Formats\"\n.SH NAME\ninhouse.yaml \\- how "
           "this box runs\n"
           ".SH DESCRIPTION\nRead by\n.BR inhoused (8)\nfrom HOME/inhouse.yaml or \\-\\-config. A "
           "key it does not know, a "
           "wrong type or range is an error that names its line; all errors are\nsaid at once. "
           "\\fIos.environ/NAME\\fR as a "
           "value takes it from the environment. SIGHUP reads it again; a change that needs "
           "a\nrestart is refused by "
           "name. What governance decides is in the database, not here.\n.SH KEYS\n");
    for (size_t i = 0; i < n; i++) {
        const struct config_option *o = &list[i];
        printf(".TP\n\\fB");
        put(o->path);
        printf("\\fR (%s", types[o->type]);
        if (o->type == CONFIG_TYPE_WORD) {
            printf(": ");
            put(o->unit);
        } else if (o->type == CONFIG_TYPE_INT) {
            printf(" from %lld to %lld%s", (long long)o->min, (long long)o->max,
                   o->unit[0] != '\0' ? " " : "");
            put(o->unit);
        }
        printf("; default ");
        put(o->def[0] != '\0' ? o->def : "empty");
        printf("%s)\n", o->reload ? "" : "; needs a restart");
        put(o->help);
        printf("\n");
    }
    printf(".SH SEE ALSO\n.BR inhouse (1),\n.BR inhoused (8)\n");
}

int command_help_man(struct cli *cli)
{
    if (strcmp(cli->words[0], "inhouse.1") == 0) {
        command_page();
    } else if (strcmp(cli->words[0], "inhouse.yaml.5") == 0) {
        config_page();
    } else {
        return cli_usage(cli, "PAGE is inhouse.1 or inhouse.yaml.5");
    }
    return COMMAND_OK;
}
