/* SPDX-License-Identifier: Apache-2.0 */
/* Every command as data: its words, its help, its options, its function. man/ is written from
   the same. */
#include "cli/command/command_internal.h"

#define MANY CLI_MAX_WORDS

static const struct cli_option serve_options[] = {
    {"listen", 'l', "ADDR:PORT", "TCP address (default: inhouse.yaml, else 127.0.0.1:8460)"},
    {"config", 'c', "FILE", "inhouse.yaml (default: HOME/inhouse.yaml when there is one)"},
    {"engine", 0, "llama|fake", "fake answers from hashes, for tests"},
    {0}};
static const struct cli_option add_options[] = {
    {"role", 'r', "ROLE", "light, heavy, embed, rerank or other (default: from the file)"},
    {"name", 'n', "NAME", "default: from the file's name"},
    {"source", 0, "TEXT", "where it came from"},
    {"licence", 0, "NAME", "SPDX name (default: what the file says)"},
    {"sha256", 0, "HEX", "refuse any other file"},
    {"adapter-of", 0, "NAME", "FILE is a LoRA over this stored model"},
    {"link", 0, NULL, "hard-link instead of copying; nobody else may write the file"},
    {0}};
static const struct cli_option import_options[] = {
    {"role", 'r', "ROLE", "default: embed"},
    {"name", 'n', "NAME", "default: from the folder"},
    {"source", 0, "TEXT", "where it came from"},
    {"type", 0, "f16|f32|q8_0", "type of the weights (default: f16); q8_0: half the size, "
                                "about twice as fast"},
    {0}};
static const struct cli_option run_options_list[] = {
    {"out", 'o', "FILE", "write the answers here; appears when all is done"},
    {"rungs", 0, "LIST", "only these rungs: reuse,rule,learned,light,heavy"},
    {"no-draft", 0, NULL, "fields only"},
    {"no-review", 0, NULL, "leave nothing in the review queue"},
    {"class", 0, "CLASS", "interactive, workflow or batch (default: workflow)"},
    {"jobs", 'j', "N", "requests in flight (default: 16)"},
    {"as", 0, "FORMAT", "of a program: the format that --out, or the terminal, gets"},
    {"INPUT", 0, "FILE", "of a program: an input by its name, like --base OLD.xml"},
    {0}};
static const struct cli_option workflow_test_options[] = {
    {"at-least", 0, "SHARE", "of a field's examples that must be right (default: 1)"}, {0}};
static const char workflow_test_help[] = "EXAMPLES are JSON lines or CSV as for `run`, with "
                                         "expected values. Prints accuracy and coverage "
                                         "of\neach field and what differs; leaves nothing in the "
                                         "review queue. Exits with 1 when a field "
                                         "is right less\noften than --at-least.";
static const struct cli_option autonomy_options[] = {
    {"approve", 0, "RELEASE", "let a proposed raise hold; not by who proposed it"}, {0}};
static const char autonomy_help[] =
    "LEVEL is propose (a person decides every answer), assist (what its certificate covers is "
    "answered alone)\nor auto (and leaves without waiting). Lowering holds at once; raising needs "
    "a "
    "live certificate and somebody\nelse's approval, and ends by itself with the certificate.";
static const char run_help[] =
    "Forms: FILE holds JSON lines or CSV with id, subject, text and, where known, expected; - is "
    "standard\ninput. Rows that are wrong are named and skipped. With expected values it prints "
    "accuracy, coverage, error.\n"
    "Programs (qa-regression, standard-report, localize, copy-edit): the FILEs are the first "
    "input, others\nhave an option of their name: `--base OLD.xml`, `--set language=de`. The main "
    "output goes to standard\noutput, or to --out FILE; with --out FOLDER/ all outputs go there. "
    "A wrong option lists the right ones.";
static const struct cli_option jobs_options[] = {
    {"state", 's', "STATE", "queued, leased, paused, done, failed, dead or cancelled"},
    {"workflow", 'w', "NAME", "only this workflow's"},
    {"limit", 'n', "N", "at most so many (default: 50)"},
    {0}};
static const struct cli_option output_options[] = {
    {"out", 'o', "FILE", "write it there"}, {0}};
static const struct cli_option list_options[] = {
    {"state", 's', "STATE",
     "in_review, approved, edited, rejected, escalated, delivered, draft, all (default: "
     "in_review)"},
    {"workflow", 'w', "NAME", "only this workflow's"},
    {"limit", 'n', "N", "show at most so many (default: 500)"},
    {0}};
static const struct cli_option edit_options[] = {
    {"draft", 'd', "FILE", "the reply as it should be"}, {"reason", 0, "TEXT", "why"}, {0}};
static const struct cli_option erase_options[] = {
    {"team", 't', "TEAM", "the person's team (default: yours)"},
    {"yes", 'y', NULL, "do it; it cannot be undone"},
    {0}};
static const struct cli_option escalate_options[] = {
    {"reason", 'm', "TEXT", "why"},
    {"to", 0, "NAME", "a person, role:reviewer, role:approver or role:admin (default: the team's)"},
    {"within", 0, "SECONDS", "how long it waits there before it moves on"},
    {"then", 0, "NAME", "who is next"},
    {0}};
static const struct cli_option next_options[] = {
    {"order", 0, "ORDER", "urgency, age or confidence (default: the team's)"},
    {"workflow", 'w', "NAME", "only this workflow's"},
    {"queue", 0, "NAME", "only this queue's"},
    {"language", 0, "CODE", "only in this language"},
    {0}};
static const struct cli_option group_options[] = {
    {"draft", 'd', "FILE",
     "one reply for all: {name}, {ticket}, {FIELD} are filled from each; -: stdin"},
    {"reason", 'm', "TEXT", "reject them, because"},
    {0}};
static const struct cli_option outcome_options[] = {
    {"ticket", 't', "ID", "every artifact of this ticket"},
    {"at", 0, "TIME", "when, as RFC 3339 (default: now)"},
    {0}};
static const struct cli_option ticket_options[] = {
    {"version", 0, "V", "its version now"}, {"text", 0, "FILE", "its text now"}, {0}};
static const struct cli_option practice_options[] = {{"off", 0, NULL, "no longer"}, {0}};
static const struct cli_option skills_options[] = {{"none", 0, NULL, "anything again"}, {0}};
static const struct cli_option measures_options[] = {
    {"by", 0, "WHAT", "workflow, action or queue (default: workflow)"},
    {"days", 0, "N", "since so many days (default: 90)"},
    {0}};
static const struct cli_option me_options[] = {
    {"days", 0, "N", "since so many days (default: 90)"}, {0}};
static const struct cli_option question_options[] = {
    {"draft", 'd', NULL, "make drafts of articles, which wait for a person"},
    {"publish", 0, "ID", "put an approved draft among the articles"},
    {"dataset", 0, "NAME", "of which dataset"},
    {0}};
static const struct cli_option reason_options[] = {{"reason", 'm', "TEXT", "why"}, {0}};
static const struct cli_option new_options[] = {
    {"from", 'f', "FILE",
     "examples: {\"id\", \"text\", \"expected\": {field: value}} a line, or CSV"},
    {0}};
static const struct cli_option dataset_options[] = {
    {"purpose", 'p', "TEXT", "what it is for"},
    {"owner", 0, "SUBJECT", "team:NAME or user:NAME (default: your team)"},
    {"label", 0, "LABEL", "public, internal, confidential or restricted (default: internal)"},
    {"source", 0, "TEXT", "where its documents come from"},
    {"retention", 0, "DAYS", "documents leave by themselves after so many (default: never)"},
    {"review", 0, "DAY", "when its owner looks at it again"},
    {"unlisted", 0, NULL, "nobody else sees that it is there"},
    {0}};
static const struct cli_option ingest_options[] = {
    {"keep", 0, NULL, "documents that the folder no longer has stay"}, {0}};
static const struct cli_option find_options[] = {
    {"dataset", 'd', "NAMES", "only these, with commas between"},
    {"limit", 'n', "N", "at most so many (default: 10)"},
    {0}};
static const struct cli_option grant_options[] = {
    {"until", 'u', "DAY", "when it ends"}, {"reason", 'm', "TEXT", "why"}, {0}};
static const struct cli_option request_options[] = {
    {"reason", 'm', "TEXT", "why"}, {"for-me", 0, NULL, "for you alone, not for your team"}, {0}};
static const struct cli_option decide_options[] = {
    {"until", 'u', "DAY", "when the access ends"},
    {"reason", 'm', "TEXT", "why"},
    {"refuse", 0, NULL, "refuse it"},
    {0}};
static const struct cli_option remove_options[] = {
    {"yes", 'y', NULL, "the whole dataset; it cannot be undone"}, {0}};
static const struct cli_option certificate_options[] = {
    {"all", 0, NULL, "also those that are withdrawn, voided or replaced"},
    {0},
};
static const struct cli_option upstream_options[] = {
    {"task", 0, "ID", "those of this task"},
    {"limit", 0, "N", "at most so many, newest first (50)"},
    {0},
};
static const struct cli_option limit_options[] = {
    {"requests", 0, "N", "requests in any minute; a heavy route counts ten"},
    {"tokens", 0, "N", "tokens in any minute, reserved as bytes/3 + max_tokens"},
    {"parallel", 0, "N", "tasks at once"},
    {"day", 0, "MONEY", "for other servers in a day (UTC); 0 forbids all of it"},
    {"month", 0, "MONEY", "for other servers in a month (UTC)"},
    {"label", 0, "LABEL", "least label of a workflow's work, or of everything's"},
    {0}};
static const struct cli_option key_options[] = {
    {"role", 'r', "ROLE", "member, reviewer, approver, auditor or admin (default: member)"},
    {"team", 't', "NAME", "default: the caller's"},
    {"owner", 'u', "USER", "a person or service account: the key ends with it; default: nobody"},
    {"scopes", 0, "NAMES", "fewer than the role's"},
    {"models", 0, "NAMES", "only these; the same for --datasets and --workflows"},
    {"datasets", 0, "NAMES", "only these"},
    {"workflows", 0, "NAMES", "only these"},
    {"expires", 0, "DATE", "RFC 3339; default: never"},
    {0}};
static const struct cli_option rotate_options[] = {
    {"overlap", 0, "HOURS", "the old secret stays good for so long, at most 720 (default: 24)"},
    {0}};
static const struct cli_option init_options[] = {
    {"password-file", 0, "FILE", "its first line is the password; - reads it from standard input"},
    {"out", 'o', "FILE", "write the token there (0600) instead of the terminal"},
    {0}};
static const struct cli_option setup_options[] = {
    {"token-file", 0, "FILE",
     "its first line is the token (default: setup.token in the data folder)"},
    {"password-file", 0, "FILE", "its first line is the password; - reads it from standard input"},
    {0}};
static const struct cli_option user_options[] = {
    {"team", 't', "NAME", "in this team (default: in none yet)"},
    {"role", 'r', "ROLE", "member, reviewer, approver, auditor or admin (default: member)"},
    {"service", 0, NULL, "a service account: it has keys and no password"},
    {0}};
static const struct cli_option password_options[] = {
    {"token", 0, NULL, "make a one-time token with which the person sets it"},
    {"password-file", 0, "FILE", "its first line is the password; - reads it from standard input"},
    {0}};
static const struct cli_option access_options[] = {
    {"dataset", 'd', "NAME", "who can read it: people, service accounts and keys, and why"},
    {"user", 'u', "NAME", "what this account can read, its roles and keys"},
    {"team", 't', "NAME", "who is in it, its keys, what it can read"},
    {"markdown", 0, NULL, "as Markdown, to file"},
    {"csv", 0, NULL, "as CSV"},
    {0}};
static const struct cli_option team_options[] = {
    {"label", 'l', "LABEL", "public, internal, confidential or restricted (default: internal)"},
    {0}};
static const struct cli_option ask_options[] = {
    {"model", 'm', "NAME", "a model's name or role (default: light)"},
    {"max-tokens", 0, "N", "default: 512"},
    {0}};
static const struct cli_option verify_options[] = {
    {"vkey", 0, "KEY", "the log's key as kept outside (default: the one in the data folder)"},
    {"known", 0, "FILE", "a checkpoint kept outside: the record must extend it"},
    {0}};

static const struct cli_option prove_options[] = {
    {"out", 'o', "FILE", "write the proof here"},
    {"since", 0, "FILE", "prove that the log only grew since this checkpoint"},
    {0}};
#define QUERY_OPTIONS                                                                              \
    {"task", 0, "ID", "of this task"}, {"team", 't', "NAME", "of this team"},                      \
        {"actor", 'a', "NAME", "by this key, or local:UID"},                                       \
        {"kind", 'k', "KIND", "answered, failed, decision, key_added, …"},                         \
        {"rung", 0, "RUNG", "answered by this rung"},                                              \
        {"verdict", 0, "WORD", "with this verdict"},                                               \
        {"workflow", 'w', "NAME", "of any release of this workflow"},                              \
        {"model", 'm', "NAME", "answered with this model"},                                        \
        {"release", 0, "NAME", "with this release: a sha256, a fingerprint, UPSTREAM/MODEL"},      \
        {"since", 0, "TIME", "at or after, RFC 3339 or a date"},                                   \
        {"until", 0, "TIME", "before"},                                                            \
        {"scan", 0, NULL, "read every record, not the index"}
static const struct cli_option search_options[] = {
    QUERY_OPTIONS,
    {"from", 0, "N", "from this record on"},
    {"limit", 'n', "N", "at most so many (default: 100)"},
    {0}};
static const struct cli_option export_options[] = {
    QUERY_OPTIONS,
    {"from", 0, "N", "from this record on"},
    {"limit", 'n', "N", "at most so many in this call"},
    {"out", 'o', "FILE", "where to"},
    {"format", 'f', "jsonl|cef|syslog|otlp", "default: jsonl, which verifies by itself"},
    {"resume", 0, NULL, "go on where an export into FILE stopped"},
    {0}};

static const struct cli_option backup_options[] = {
    {"out", 'o', "DIR", "where data.db goes"},
    {"keys", 'k', "DIR", "where keys.db goes: another place"},
    {0}};
static const struct cli_option restore_options[] = {
    {"keys", 'k', "DIR", "the folder of the keys"},
    {"yes", 'y', NULL, "do it; what is in the data folder is put aside"},
    {0}};
static const struct cli_option replay_options[] = {
    {"limit", 'n', "N", "at most so many (default: 200)"},
    {"from", 0, "N", "from this record on"},
    {0}};
static const struct cli_option govern_options[] = {
    {"out", 'o', "DIR", "write governance.md and governance.html there"},
    {"format", 'f', "md|html", "to standard output (default: md)"},
    {0}};
static const struct cli_option witness_options[] = {
    {"folder", 'd', "DIR", "where it keeps its key and what it cosigned"},
    {"name", 'n', "NAME", "of its cosignatures, like witness.example/w1"},
    {"listen", 'l', "ADDR:PORT", "default: 127.0.0.1:8461"},
    {0}};

static const struct cli_option tune_options[] = {
    {"quick", 0, NULL, "in about a minute: fewer files, fewer rounds"},
    {"keep", 0, "FOLDER", "leave the files that were made there (for benchmarks)"},
    {0}};

static const struct cli_option adopt_options[] = {
    {"back", 0, NULL, "the original file serves again; what served becomes the candidate"},
    {"sha256", 0, "HEX", "only if the candidate is this file"},
    {0}};

static const struct cli_option try_options[] = {
    {"articles", 'a', "FOLDER", "your articles as Markdown: drafts are written from them"},
    {"limit", 0, "N", "read at most so many tickets (default: 5000)"},
    {"page", 'o', "FILE", "where the page goes (default: in the data folder)"},
    {"no-light", 0, NULL, "the learned rung alone"},
    {"heavy", 0, NULL, "let the heavy model take part"},
    {"minutes-sort", 0, "N", "minutes to sort a ticket by hand (default: 1)"},
    {"minutes-reply", 0, "N", "minutes a used draft saves (default: 3)"},
    {0}};

static const struct cli_option demo_options[] = {
    {"examples", 0, "DIR", "the example company (default: examples/helpdesk)"},
    {"fetched", 0, "DIR",
     "where the models were fetched to (default: third_party/.fetched/models)"},
    {"small", 0, NULL, "without the heavy model"},
    {"minutes", 0, "N", "how long it may take beside the downloads (default: 12)"},
    {0}};

static const struct cli_option read_options[] = {
    {"format", 'f', "FORMAT",
     "html, xml, mail, docx, pdf, csv, json, jsonl, markdown, text, tests, po, xliff, ... "
     "(default: found)"},
    {"charset", 0, "NAME", "overrules what the document says"},
    {0}};
static const char route_explain_help[] =
    "A request is what POST /api/v1/tasks takes; \"facts\" in it stand over what was found, for\n"
    "trying: {\"workflow\": ..., \"input\": {\"text\": ...}, \"facts\": {\"wait_s\": 90}}.";

static const char route_test_help[] =
    "Prints each case, the row that decided it, and why the rows before it did not. Without\n"
    "files it tests the built-in rules on their cases. Exits with 1 when a case is decided\n"
    "otherwise than expected. docs/reference/route.md describes both files.";

static const struct cli_option check_options[] = {
    {"rules", 'r', "RULES.yaml", "hold it against these rules"},
    {"side", 0, "in|out", "as text that comes in, or an answer that goes out"},
    {"workflow", 'w', "NAME", "as a text of this workflow"}, {0}};
static const char check_help[] =
    "FILE is a file, - is standard input, anything else is the text itself. Without rules it "
    "shows\n"
    "everything that can be found, with its place. Exits with 1 when the text would be blocked.";
static const struct cli_option past_options[] = {
    {"past", 'n', "N", "how many past tasks, newest first (500)"},
    {"workflow", 'w', "NAME", "those of this workflow only"}, {0}};
static const char guard_test_help[] =
    "Holds rules against the texts of past tasks on the server (inputs, drafts, lines, chats and "
    "their answers; only those that you may read) and "
    "shows, per rule, how many texts it would have touched, with samples. Nothing is changed.";
static const struct cli_option lint_options[] = {
    {"style", 's', "DIR", "the folder with the rules, one YAML file each"}, {0}};
static const char lint_help[] =
    "Rules are Vale's YAML. Prints FILE:LINE:COLUMN:LEVEL:RULE:MESSAGE for each alert; names "
    "rules\n"
    "it does not check. Exits with 1 when an alert is an error. Files that end in .md are read as\n"
    "Markdown. docs/reference/style.md says what is supported.";

static const char users_init_help[] =
    "On the server's own machine and as its user. With NAME it asks for the password; without, it\n"
    "prints a token, good once and for 24 hours, for `inhouse users setup NAME` elsewhere.";

const struct command command_table[] = {
    {"serve", "", 0, 0, "run the server in the foreground", NULL, serve_options, command_serve,
     false},
    {"stop", "", 0, 0, "stop the server of the data folder", NULL, NULL, command_stop, false},
    {"status", "", 0, 0, "what the server is doing", NULL, NULL, command_status, false},
    {"doctor", "", 0, 0, "what is installed, and what is missing", NULL, NULL, command_doctor,
     false},
    {"models add", "FILE.gguf", 1, 1, "add a model file", NULL, add_options, command_models_add,
     false},
    {"models import", "FOLDER", 1, 1, "turn a sentence-transformers folder into a model", NULL,
     import_options, command_models_import, false},
    {"models list", "", 0, 0, "the stored models, and what the server has loaded", NULL, NULL,
     command_models_list, false},
    {"models show", "NAME", 1, 1, "what a model's file says", NULL, NULL, command_models_show,
     false},
    {"models load", "NAME", 1, 1, "load a stored model into the running server",
     "When it does not fit into models.memory_mb, models that are idle and not pinned make room.",
     NULL, command_models_load, false},
    {"models unload", "NAME", 1, 1, "unload a model once what it has is answered", NULL, NULL,
     command_models_unload, false},
    {"models pin", "NAME", 1, 1, "never unload it to make room for another", NULL, NULL,
     command_models_pin, false},
    {"models unpin", "NAME", 1, 1, "it may make room, also when it serves a role", NULL, NULL,
     command_models_unpin, false},
    {"models tune", "NAME", 1, 1, "measure this machine for a model and propose the fastest use",
     "Measures files made by the engine's own quantiser, attention, threads, batch and cache, "
     "checks that the\ntext stays the original's, and writes the best as a candidate, which serves "
     "nobody until it is adopted.\nAbout three minutes for a small model.",
     tune_options, command_models_tune, false},
    {"models adopt", "NAME", 1, 1, "let a model's candidate serve, or with --back the original",
     "A decision of a person, and recorded as such. A server that runs goes on with the adopted "
     "release.",
     adopt_options, command_models_adopt, false},
    {"datasets add", "NAME [FOLDER]", 1, 2, "make a dataset, or add a folder of articles",
     "With FOLDER its Markdown articles become what drafts are made from; `datasets ingest` takes "
     "any\ndocuments.",
     dataset_options, command_datasets_add, false},
    {"datasets ingest", "NAME FOLDER", 2, 2, "bring a folder's documents in, changed ones only",
     "Markdown, text, JSON lines, HTML, CSV, PDF, DOCX, mail. What the folder no longer has is "
     "removed.",
     ingest_options, command_datasets_ingest, false},
    {"datasets list", "", 0, 0, "what you may read or ask for", NULL, NULL, command_datasets_list,
     false},
    {"datasets show", "NAME", 1, 1, "what it is, how much is in it, who may read it", NULL, NULL,
     command_datasets_show, false},
    {"datasets search", "QUESTION", 1, 1, "search what you may read", NULL, find_options,
     command_datasets_search, false},
    {"datasets grant", "NAME SUBJECT", 2, 2, "let team:NAME or user:NAME read it until a day", NULL,
     grant_options, command_datasets_grant, false},
    {"datasets revoke", "NAME SUBJECT", 2, 2, "end a grant now", NULL, NULL,
     command_datasets_revoke, false},
    {"datasets request", "NAME", 1, 1, "ask its owner for access", NULL, request_options,
     command_datasets_request, false},
    {"datasets decide", "[REQUEST]", 0, 1, "requests for access; grant or refuse one", NULL,
     decide_options, command_datasets_decide, false},
    {"datasets remove", "NAME [DOCUMENT...]", 1, MANY, "remove documents, or all with --yes", NULL,
     remove_options, command_datasets_remove, false},
    {"learn", "WORKFLOW FILE", 2, 2, "learn from past tickets and what people decided",
     "FILE holds JSON lines of {\"id\", \"subject\", \"text\", \"expected\": {field: value}} with "
     "\"at\", \"reply\" "
     "and\n\"article\" where they are known, or a CSV with columns expected_FIELD.",
     NULL, command_learn, false},
    {"run", "WORKFLOW [FILE…]", 1, MANY, "run a workflow over files", run_help, run_options_list,
     command_run, false},
    {"jobs list", "", 0, 0, "jobs, newest first, with time and cost", NULL, jobs_options,
     command_jobs_list, false},
    {"jobs show", "JOB", 1, 1, "one job: progress, files, steps with time, tokens and cost", NULL,
     NULL, command_jobs_show, false},
    {"jobs output", "JOB NAME", 2, 2, "one of its outputs", NULL, output_options,
     command_jobs_output, false},
    {"jobs pause", "JOB", 1, 1, "stop a job until it is resumed", NULL, NULL, command_jobs_pause,
     false},
    {"jobs resume", "JOB", 1, 1, "let a paused job go on", NULL, NULL, command_jobs_resume, false},
    {"jobs cancel", "JOB", 1, 1, "end a job for good", NULL, NULL, command_jobs_cancel, false},
    {"jobs replay", "JOB", 1, 1, "run one that is over again: same inputs, definition and time",
     NULL, NULL, command_jobs_replay, false},
    {"try", "FILE [NAME=COLUMN…]", 1, MANY, "what would it have done with our own past tickets?",
     "FILE is a desk's export, JSON lines or CSV: a text, what people decided (queue, group, "
     "topic, priority, …)\n"
     "and, where known, a time and the sent reply. Columns are guessed and said; NAME=COLUMN "
     "overrules.\n"
     "Learns on the older 70 %, answers the newer 30 %, and holds them against what people did.",
     try_options, command_try, false},
    {"read", "FILE", 1, 1, "what the reader sees in a document; needs no server",
     "Opens the file in a sealed process, as for a dataset or a mail, and prints its text, links,\n"
     "metadata and attachments; - is standard input. Nothing in it is followed, fetched or run.",
     read_options, command_read, false},
    {"review list", "", 0, 0, "what waits for a person", NULL, list_options, command_review_list,
     false},
    {"review show", "ID", 1, 1, "one of them, with its draft and sources", NULL, NULL,
     command_review_show, false},
    {"review approve", "ID", 1, 1, "take it as proposed", NULL, NULL, command_review_approve,
     false},
    {"review edit", "ID [FIELD=VALUE…]", 1, MANY, "take it with changes", NULL, edit_options,
     command_review_edit, false},
    {"review reject", "ID --reason TEXT", 1, 1, "do not use it", NULL, reason_options,
     command_review_reject, false},
    {"review escalate", "ID --reason TEXT", 1, 1, "hand it to somebody, until when, then whom",
     NULL, escalate_options, command_review_escalate, false},
    {"review", "", 0, 0, "review what waits: the whole screen, one key a step",
     "Keys: a approve, e edit in $EDITOR, f field, r and a digit reject, s escalate, h hint, 1-9 "
     "switch\na sentence, g all with one cause, u undo, n next, ? help, q quit. Without a "
     "terminal: "
     "the same in lines.",
     next_options, command_review, false},
    {"review next", "", 0, 0, "the same; with --json the next item, claimed", NULL, next_options,
     command_review_next, false},
    {"review queue", "", 0, 0, "what waits and you may take, best first", NULL, next_options,
     command_review_queue, false},
    {"review claim", "ID", 1, 1, "hold it for a while", NULL, NULL, command_review_claim, false},
    {"review release", "ID", 1, 1, "give it back", NULL, NULL, command_review_release, false},
    {"review hint", "ID TEXT", 2, 2, "ask again with a hint, in the background", NULL, NULL,
     command_review_hint, false},
    {"review alike", "ID", 1, 1, "what else waits with the same cause", NULL, NULL,
     command_review_alike, false},
    {"review group", "ID… [FIELD=VALUE…]", 1, MANY, "one decision for many, each personalised",
     "Approves them, or edits them with FIELD=VALUE or --draft, or rejects them with --reason. "
     "Each is\ndecided and recorded on its own; one that cannot be is left out and named.",
     group_options, command_review_group, false},
    {"review outcome", "[ID] KIND [VALUE]", 1, 3, "how it ended: reopened, solved, csat 0..1", NULL,
     outcome_options, command_review_outcome, false},
    {"review ticket", "TICKET", 1, 1, "the desk's ticket moved on", NULL, ticket_options,
     command_review_ticket, false},
    {"review practice", "ID", 1, 1, "show a decided one as practice", NULL, practice_options,
     command_review_practice, false},
    {"review skills", "[PERSON] [KIND=VALUE…]", 0, MANY,
     "who takes which workflow, language, queue", NULL, skills_options, command_review_skills,
     false},
    {"review settings", "[KEY=VALUE…]", 0, MANY, "lease, shares, order, reasons, escalation",
     "lease_s, second_share, practice_share, forced_share, order, often; reason=TEXT and\n"
     "escalation=TARGET/SECONDS may be given several times and replace the list.",
     NULL, command_review_settings, false},
    {"review measures", "", 0, 0, "what came of it, for groups of five or more", NULL,
     measures_options, command_review_measures, false},
    {"review me", "", 0, 0, "your own figures", NULL, me_options, command_review_me, false},
    {"review articles", "", 0, 0, "asked often and without an article", NULL, question_options,
     command_review_articles, false},
    {"certificates", "[WORKFLOW]", 0, 1,
     "which rung may answer which field alone, and on what proof",
     "Without a certificate a rung only proposes. The second table says what is still missing: how "
     "many\nreviewed items, and how many days that is at today's volume.",
     certificate_options, command_certificates, false},
    {"workflow list", "", 0, 0, "the active workflows", NULL, NULL, command_workflow_list, false},
    {"workflow show", "NAME", 1, 1, "a definition as YAML", NULL, NULL, command_workflow_show,
     false},
    {"workflow new", "NAME --from FILE", 1, 1, "make a workflow from labelled examples", NULL,
     new_options, command_workflow_new, false},
    {"workflow put", "FILE.yaml", 1, 1, "make a definition the active one", NULL, NULL,
     command_workflow_put, false},
    {"workflow check", "FILE.yaml", 1, 1, "is a definition good: every error, with its line", NULL,
     NULL, command_workflow_check, false},
    {"workflow test", "NAME EXAMPLES", 1, 2,
     "hold a workflow against examples that expect something", workflow_test_help,
     workflow_test_options, command_workflow_test, false},
    {"workflow autonomy", "NAME [FIELD LEVEL]", 1, 3, "how far fields go without a person",
     autonomy_help, autonomy_options, command_workflow_autonomy, false},
    {"guard check", "FILE|TEXT", 1, 1, "what is found in a text, and the verdict of rules",
     check_help, check_options, command_guard_check, false},
    {"guard test", "RULES.yaml", 1, 1, "what rules would have done with past work", guard_test_help,
     past_options, command_guard_test, false},
    {"guard rules", "", 0, 0, "the rules of what may pass, and their releases", NULL, NULL,
     command_guard_rules, false},
    {"guard put", "RULES.yaml", 1, 1, "propose rules of what may pass: a candidate", NULL, NULL,
     command_guard_put, false},
    {"guard approve", "RELEASE", 1, 1,
     "let proposed rules serve; shipped goes back to the built-in ones", NULL, NULL,
     command_guard_approve, false},
    {"guard lint", "FILE...", 1, CLI_MAX_WORDS, "check texts against brand rules; needs no server",
     lint_help, lint_options, command_guard_lint, false},
    {"route list", "", 0, 0, "the decision rules that serve, and their releases", NULL, NULL,
     command_route_list, false},
    {"route explain", "REQUEST.json|tsk_ID", 1, 1,
     "which row decides a request or decided a task, and why", route_explain_help, NULL,
     command_route_explain, false},
    {"route put", "RULES.yaml", 1, 1, "propose decision rules: a candidate", NULL, NULL,
     command_route_put, false},
    {"route approve", "RELEASE", 1, 1,
     "let proposed rules serve; shipped goes back to the built-in ones", NULL, NULL,
     command_route_approve, false},
    {"route test", "[RULES.yaml CASES.yaml]", 0, 2,
     "what decision rules decide, case by case, and why; needs no server", route_test_help, NULL,
     command_route_test, false},
    {"reuse revoke", "TASK", 1, 1, "take an answer back, with everything reused from it",
     "Follows what was reused from it, however many steps away, also through templates of repeated "
     "documents.\nLists each answer reached: it is not called back from where it went.",
     NULL, command_reuse_revoke, false},
    {"erase", "SUBJECT --yes", 1, 1, "erase what a person's requests left",
     "SUBJECT is who asked: a key's name, or local:UID. Erases contents, results, artifacts, what "
     "was reused\nor learned from them and decoded prompts on disk, and lists what it reached. "
     "The record stays verifiable.",
     erase_options, command_erase, false},
    {"limits show", "", 0, 0, "limits and budgets, and what is used of them", NULL, NULL,
     command_limits_show, false},
    {"limits set", "KIND NAME", 1, 2, "set limits and budgets; recorded, held at once",
     "KIND is key, team, workflow or everything (which needs no name). \"default\" takes a limit "
     "back to\ninhouse.yaml's. A spent budget stops calls to other servers and nothing else.",
     limit_options, command_limits_set, false},
    {"halt on", "KIND NAME --reason TEXT", 1, 2, "switch something off, what runs included",
     "KIND is key, team, workflow, model, upstream or everything (which needs no name). It holds "
     "within a\nsecond, also for what waits and runs, is recorded, and outlives a restart.",
     reason_options, command_halt_on, false},
    {"halt off", "KIND NAME", 1, 2, "let it work again", NULL, NULL, command_halt_off, false},
    {"halt list", "", 0, 0, "what is switched off, by whom and why", NULL, NULL, command_halt_list,
     false},
    {"keys add", "NAME", 1, 1, "make an API key; it is shown once", NULL, key_options,
     command_keys_add, false},
    {"keys list", "", 0, 0, "the API keys", NULL, NULL, command_keys_list, false},
    {"keys revoke", "NAME", 1, 1, "refuse a key from now on", NULL, NULL, command_keys_revoke,
     false},
    {"keys rotate", "NAME", 1, 1, "a new secret for a key; the old one stays good for a while",
     NULL, rotate_options, command_keys_rotate, false},
    {"users init", "[NAME]", 0, 1, "make the first administrator", users_init_help, init_options,
     command_users_init, false},
    {"users setup", "[NAME]", 0, 1, "use a one-time token: set the password", NULL, setup_options,
     command_users_setup, false},
    {"users add", "NAME", 1, 1, "add a person or a service account", NULL, user_options,
     command_users_add, false},
    {"users list", "", 0, 0, "people and service accounts, with their teams", NULL, NULL,
     command_users_list, false},
    {"users role", "NAME TEAM ROLE", 3, 3, "give a role in a team; none takes it away", NULL, NULL,
     command_users_role, false},
    {"users password", "NAME", 1, 1, "set a password, or make a token for it", NULL,
     password_options, command_users_password, false},
    {"users disable", "NAME", 1, 1, "end its sessions and refuse its keys", NULL, NULL,
     command_users_disable, false},
    {"users enable", "NAME", 1, 1, "let a disabled account act again", NULL, NULL,
     command_users_enable, false},
    {"access review", "", 0, 0, "who can read what, now, and by which grant", NULL, access_options,
     command_access_review, false},
    {"teams add", "NAME", 1, 1, "add a team", NULL, team_options, command_teams_add, false},
    {"teams list", "", 0, 0, "the teams, their labels and members", NULL, NULL, command_teams_list,
     false},
    {"teams label", "NAME LABEL", 2, 2, "change how far a team's texts may go", NULL, NULL,
     command_teams_label, false},
    {"keys master rotate", "", 0, 0, "another master key: every stored key is wrapped anew",
     "Needs the server stopped. One commit, crash-safe. Copies of keys.db made before it cannot be "
     "opened\nwith the new one.",
     NULL, command_keys_master_rotate, false},
    {"keys master print", "", 0, 0, "a recovery key to print; shown once, kept nowhere",
     "It opens master.recovery, which holds the master key sealed to it, also after later changes.",
     NULL, command_keys_master_print, false},
    {"keys master recover", "", 0, 0, "write the master key again from the printed one", NULL, NULL,
     command_keys_master_recover, false},
    {"upstreams", "", 0, 0, "other servers: health, spend, circuits", NULL, NULL, command_upstreams,
     false},
    {"upstreams calls", "", 0, 0, "the calls made to them, each attempt named", NULL,
     upstream_options, command_upstream_calls, false},
    {"ask", "TEXT…", 1, MANY, "ask a model; the answer streams; - reads the text", NULL,
     ask_options, command_ask, false},
    {"audit verify", "", 0, 0, "recompute the record; needs no server", NULL, verify_options,
     command_audit_verify, false},
    {"audit show", "N", 1, 1, "one record", NULL, NULL, command_audit_show, false},
    {"audit search", "", 0, 0, "find records; needs no server", NULL, search_options,
     command_audit_search, false},
    {"audit prove", "[N]", 0, 1, "proof that a record is in the log, or that the log only grew",
     "A file that is checked without this server, with the log's key alone (tools/verify.py, or "
     "any\n"
     "reader of C2SP tlog-proof). With --since: the body that a C2SP witness takes.",
     prove_options, command_audit_prove, false},
    {"audit export", "--out FILE", 0, 0, "records as a file, for an auditor or a SIEM",
     "JSONL holds the records as they are, the edges of the tree and the checkpoints: it verifies "
     "by\nitself. A selection carries a proof a record. CEF, syslog (RFC 5424) and OTLP hold each "
     "record's\nbytes and hash; their checkpoint is FILE.checkpoint.",
     export_options, command_audit_export, false},
    {"audit checkpoint", "", 0, 0, "the newest signed checkpoint: keep it outside", NULL, NULL,
     command_audit_checkpoint, false},
    {"audit erase", "SUBJECT --yes", 1, 1, "erase what a person's requests left: inhouse erase",
     NULL, erase_options, command_erase, false},
    {"audit replay", "[TASK…]", 0, CLI_MAX_WORDS,
     "ask recorded answers of the reproducible lane again, and compare",
     "Without TASK: every one in the record that can be, oldest first. Exits with 1 when one "
     "differs; it\nsays what differs, never what was asked or answered.",
     replay_options, command_audit_replay, false},
    {"audit keys", "", 0, 0, "every key that signed the record: keep them outside", NULL, NULL,
     command_audit_keys, false},
    {"audit keys rotate", "", 0, 0, "let another key sign from now on",
     "Recorded under the old key with the new one in it; the old secret is destroyed, and old "
     "checkpoints\nstay verifiable.",
     NULL, command_audit_keys_rotate, false},
    {"audit witness", "", 0, 0, "where checkpoints left this machine to, and when", NULL, NULL,
     command_audit_witness, false},
    {"audit witness serve", "KEY…", 1, CLI_MAX_WORDS,
     "cosign the checkpoints of other servers (C2SP tlog-witness)",
     "For a second host. KEY is a log's key (`inhouse audit keys`); it cosigns only what extends "
     "what "
     "it\ncosigned before, and remembers it before it answers. GET /key tells its own key.",
     witness_options, command_audit_witness_serve, false},
    {"govern", "", 0, 0, "the governance file: who may what, which versions, which proof",
     "Made from the running server as Markdown and HTML: datasets and teams, access, models, "
     "approvals,\nrules, other servers, retention, checkpoints, and what frameworks ask held "
     "against "
     "it, with\nwhat is not covered.",
     govern_options, command_govern, false},
    {"backup", "--out DIR --keys DIR", 0, 0, "a verified copy of the data, and its keys apart",
     "Also beside a running server. The master key, model files and inhouse.yaml are not in it. "
     "Erasing a\nperson later also reaches the keys' folder while it can be written.",
     backup_options, command_backup, false},
    {"restore", "DIR --keys DIR --yes", 1, 1, "put a backup in place, verified",
     "Needs the server stopped. What was erased since the backup is erased again.", restore_options,
     command_restore, false},
    {"demo", "", 0, 0, "the example company, from nothing to a verified record (make demo)", NULL,
     demo_options, command_demo, false},
    {"help man", "PAGE", 1, 1, "print man/inhouse.1 or man/inhouse.yaml.5 from these tables", NULL,
     NULL, command_help_man, true},
    {"help", "", 0, 0, "this list", NULL, NULL, command_help, false},
};
const size_t command_count = COUNT_OF(command_table);
