/* From words to commands. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "core/base/text.h"
#include "core/version.h"
#include "ops/cli/command.h"

#define WORDS_MAX 64
#define FIRST_MAX 16

static const struct command run_commands[] = {
    {"create", "start a run from a spec (--dry-run: check it alone)", cmd_run_create, NULL, NULL},
    {"list", "all runs, newest first", cmd_run_list, NULL, NULL},
    {"show", "one run: its models, steps, losses, agents", cmd_run_show, NULL, NULL},
    {"wait", "watch a run until it ends", cmd_run_wait, NULL, NULL},
    {"pause", "give out no more of its jobs, for a while", cmd_run_pause, NULL, NULL},
    {"resume", "go on with a paused run", cmd_run_resume, NULL, NULL},
    {"cancel", "end a run early", cmd_run_cancel, NULL, NULL},
    {"priority", "which run gets agents first", cmd_run_priority, NULL, NULL},
    {"extend", "train its experts on", cmd_run_extend, NULL, NULL},
    {"fork", "a new run from another's spec, with changes", cmd_run_fork, NULL, NULL},
    {"spec", "print a commented spec to start from", cmd_run_spec, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct command agents_commands[] = {
    {"unbench", "give a benched agent jobs again", cmd_unbench, NULL, NULL},
    {"drain", "let agents finish, and give them no more", cmd_agents_drain, NULL, NULL},
    {"undrain", "give drained agents jobs again", cmd_agents_undrain, NULL, NULL},
    {"revoke", "take agents' tokens away at once", cmd_agents_revoke, NULL, NULL},
    {"restore", "trust revoked agents again", cmd_agents_restore, NULL, NULL},
    {"label", "label agents, for specs and commands to pick by", cmd_agents_label, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct command datasets_commands[] = {
    {"delete", "delete a data set that no run needs", cmd_datasets_delete, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct command token_commands[] = {
    {"rotate", "make another admin, join or viewer token", cmd_token_rotate, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const struct command root_commands[] = {
    {"ingest", "make a data set from text", cmd_ingest, NULL, NULL},
    {"plan", "what a run will cost, before it is spent", cmd_plan, NULL, NULL},
    {"run", "create, watch and steer runs", NULL, run_commands,
     "  tacit run spec > my.ini\n"
     "  tacit run create my.ini\n"
     "  tacit run wait my-run\n"},
    {"report", "a finished run: the mixture against dense models", cmd_report, NULL, NULL},
    {"sample", "continue a prompt: one expert answers", cmd_sample, NULL, NULL},
    {"eval", "a run on a task: mixture, dense models, experts", cmd_eval, NULL, NULL},
    {"export", "a run's models as files that other programs load", cmd_export, NULL, NULL},
    {"serve", "answer over OpenAI's interface, and on a page", cmd_serve, NULL, NULL},
    {"chat", "a conversation in the terminal", cmd_chat, NULL, NULL},
    {"verify", "compute a run's results again, and compare", cmd_verify, NULL, NULL},
    {"alarms", "two results of one job", cmd_alarms, NULL, NULL},
    {"rollback", "undo what a wrong checkpoint led to", cmd_rollback, NULL, NULL},
    {"lineage", "what an artifact was made of, by whom", cmd_lineage, NULL, NULL},
    {"status", "the coordinator in a few lines", cmd_status, NULL, NULL},
    {"top", "the same, live in the terminal, with keys to steer", cmd_top, NULL, NULL},
    {"doctor", "what keeps this machine from work, and what mends it", cmd_doctor, NULL, NULL},
    {"jobs", "what is waiting, being worked on, done", cmd_jobs, NULL, NULL},
    {"logs", "every attempt at a job: by whom, how it ended, its log", cmd_logs, NULL, NULL},
    {"retry", "take jobs out of quarantine", cmd_retry, NULL, NULL},
    {"events", "what happened, and who did it", cmd_events, NULL, NULL},
    {"agents", "who works; drain, revoke, label, unbench", cmd_agents, agents_commands, NULL},
    {"invite", "a token by which agents may join", cmd_invite, NULL, NULL},
    {"quota", "jobs that an owner's agents may hold at once", cmd_quota, NULL, NULL},
    {"token", "rotate a token", NULL, token_commands, "  tacit token rotate join\n"},
    {"datasets", "what runs can train on; delete", cmd_datasets, datasets_commands, NULL},
    {"backup", "the coordinator in one file, while it works", cmd_backup, NULL, NULL},
    {"restore", "a coordinator's folder from a backup", cmd_restore, NULL, NULL},
    {"gc", "let go what is stored and nobody needs", cmd_gc, NULL, NULL},
    {"scrub", "compare what is stored with its names", cmd_scrub, NULL, NULL},
    {"config", "which coordinator, and what says so", cmd_config, NULL, NULL},
    {"completion", "have bash, zsh or fish complete commands", cmd_completion, NULL, NULL},
    {"complete", NULL, cmd_complete, NULL, NULL},
    {"man", NULL, cmd_man, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const struct command command_root = {
    "tacit", "trains mixtures of language models on machines that hardly talk to each other", NULL,
    root_commands,
    "  export TACIT_URL=http://127.0.0.1:8420 TACIT_TOKEN_FILE=data/admin.token\n"
    "  tacit ingest books shelf/ --vocab 4096 --seq 128\n"
    "  tacit plan my.ini && tacit run create my.ini\n"
    "  tacit run wait my-run && tacit report my-run\n"
    "  tacit sample my-run \"Once upon a time\"\n"};

static void print_group(const struct command *c, const char *name)
{
    printf("Usage: %s COMMAND [OPTION...] [ARGUMENT...]\n", name);
    printf("%s: %s\n\nCommands:\n", name, c->summary);
    for (const struct command *s = c->sub; s->name; s++)
        if (s->summary)
            printf("  %-10s %s%s\n", s->name, s->summary, s->sub && !s->run ? " …" : "");
    printf("\nExamples:\n%s", c->examples);
    printf("\n`%s COMMAND --help` explains a command.", name);
    printf(c == &command_root ? " `%s --version` prints the version.\n" : "\n", name);
}

static int unknown(const struct command *group, const char *name, const char *word)
{
    const char *names[WORDS_MAX];
    size_t n = 0;
    for (const struct command *g = group->sub; g->name; g++)
        for (const struct command *s = g->sub; s && s->name; s++)
            if (strcmp(s->name, word) == 0) {
                fprintf(stderr, "%s: there is no command '%s'; did you mean `%s %s %s`?\n", name,
                        word, name, g->name, word);
                return EX_USAGE;
            }
    for (const struct command *s = group->sub; s->name && n < WORDS_MAX; s++)
        if (s->summary)
            names[n++] = s->name;
    const char *near = text_nearest(word, names, n);
    if (near)
        fprintf(stderr, "%s: there is no command '%s'; did you mean `%s %s`?\n", name, word, name,
                near);
    else
        fprintf(stderr, "%s: there is no command '%s'; `%s --help` lists them\n", name, word, name);
    return EX_USAGE;
}

const struct command *command_find(const struct command *group, const char *word)
{
    for (const struct command *s = group->sub; s && s->name; s++)
        if (strcmp(s->name, word) == 0)
            return s;
    return NULL;
}

const struct cli_options *command_options(const struct command *c)
{
    const struct cli_options *o = NULL;
    struct cli asked = {.describe = &o};
    char name[] = "tacit", *argv[] = {name, NULL};
    if (c->run)
        c->run(&asked, 1, argv);
    return o;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

/* Options that stand before the command ("tacit --url U status") are moved behind it. Returns how
 * many words they are, or -1 for one that is none of these. */
static int leading_options(int argc, char **argv)
{
    static const char *const valued[] = {"--at", "--url", "--token-file", "--ca", "--join"};
    int n = 0;
    while (n < argc && argv[n][0] == '-' && !is_help(argv[n])) {
        int words = strcmp(argv[n], "--json") == 0;
        for (size_t i = 0; i < sizeof valued / sizeof valued[0]; i++) {
            size_t len = strlen(valued[i]);
            if (strncmp(argv[n], valued[i], len) == 0)
                words = argv[n][len] == '=' ? 1 : argv[n][len] == '\0' ? 2 : words;
        }
        if (words == 0 || n + words > argc)
            return -1;
        n += words;
    }
    return n;
}

static int run_command(struct cli *cli, const struct command *c, char *name, char **first,
                       int first_count, int argc, char **argv, bool help)
{
    static char help_word[] = "--help";
    char **words = arena_alloc_array(&cli->arena, (size_t)(argc + first_count + 3), sizeof *words);
    if (!words)
        return EX_OSERR;
    int n = 0;
    words[n++] = name;
    if (help)
        words[n++] = help_word;
    for (int i = 0; i < first_count; i++)
        words[n++] = first[i];
    for (int i = 0; i < argc; i++)
        words[n++] = argv[i];
    return c->run(cli, n, words);
}

int command_dispatch(struct cli *cli, int argc, char **argv)
{
    const struct command *c = &command_root;
    char *name = arena_strndup(&cli->arena, c->name, strlen(c->name));
    bool help = false;
    argc--;
    argv++;
    if (argc > 0 && (strcmp(argv[0], "--version") == 0 || strcmp(argv[0], "-V") == 0)) {
        puts("tacit " TACIT_VERSION);
        return EX_OK;
    }
    int first_count = leading_options(argc, argv);
    if (first_count < 0) {
        fprintf(stderr, "tacit: '%s' does not go before a command; `tacit --help` shows the way\n",
                argv[0]);
        return EX_USAGE;
    }
    char **first = argv;
    argv += first_count;
    argc -= first_count;
    while (c->sub && !(c->run && !(argc > 0 && command_find(c, argv[0])))) {
        if (argc > 0 && is_help(argv[0])) {
            help = true;
            argc--;
            argv++;
            continue;
        }
        if (argc == 0 || argv[0][0] == '-') {
            print_group(c, name);
            return help ? EX_OK : EX_USAGE;
        }
        const struct command *s = command_find(c, argv[0]);
        if (!s)
            return unknown(c, name, argv[0]);
        name = arena_printf(&cli->arena, "%s %s", name, s->name);
        if (!name)
            return EX_OSERR;
        c = s;
        argc--;
        argv++;
    }
    return run_command(cli, c, name, first, first_count, argc, argv, help);
}
