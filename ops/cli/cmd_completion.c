/* tacit completion: scripts by which shells complete commands; and tacit complete, which those
 * scripts call at every tabulator. */
#include <stdio.h>
#include <string.h>
#include "core/env/process.h"
#include "core/env/thread.h"
#include "core/protocol/messages.h"
#include "ops/cli/complete.h"

/* Longer, and one who types wonders whether the terminal hangs. */
#define COORDINATOR_MS 500
#define ANSWER_MAX (4u << 20)

static const char bash_script[] =
    "# Completion of tacit in bash; made by `tacit completion bash`.\n"
    "_tacit() {\n"
    "    local word typed='' glue='' i line\n"
    "    local -a words=()\n"
    "    COMPREPLY=()\n"
    "    # To bash '=' and ':' are words; here they are letters.\n"
    "    for ((i = 1; i <= COMP_CWORD; i++)); do\n"
    "        word=${COMP_WORDS[i]}\n"
    "        if [[ $word == [=:]* || $glue ]] && ((${#words[@]})); then\n"
    "            words[${#words[@]} - 1]+=$word\n"
    "        else\n"
    "            words+=(\"$word\")\n"
    "        fi\n"
    "        [[ $word == *[=:] ]] && glue=1 || glue=''\n"
    "    done\n"
    "    typed=${words[${#words[@]} - 1]-}\n"
    "    word=${COMP_WORDS[COMP_CWORD]}\n"
    "    [[ $word == [=:] ]] && word=''\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :files | :dirs)\n"
    "            compopt -o filenames\n"
    "            [[ $line == :files ]] && i=-f || i=-d\n"
    "            while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(compgen $i -- "
    "\"$word\")\n"
    "            ;;\n"
    "        *)\n"
    "            line=${line%%$'\\t'*}\n"
    "            COMPREPLY+=(\"${line#\"${typed%\"$word\"}\"}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done < <(\"${COMP_WORDS[0]}\" complete -- \"${words[@]}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _tacit tacit\n";

static const char zsh_script[] =
    "#compdef tacit\n"
    "# Completion of tacit in zsh; made by `tacit completion zsh`.\n"
    "_tacit() {\n"
    "    local line name\n"
    "    local -a lines found\n"
    "    lines=(\"${(@f)$(\"${words[1]}\" complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    for line in \"${lines[@]}\"; do\n"
    "        case $line in\n"
    "        :files) _files ;;\n"
    "        :dirs) _files -/ ;;\n"
    "        ?*)\n"
    "            name=${line%%$'\\t'*}\n"
    "            found+=(\"${name//:/\\\\:}:${line#*$'\\t'}\")\n"
    "            ;;\n"
    "        esac\n"
    "    done\n"
    "    (( ${#found} )) && _describe -t tacit tacit found\n"
    "}\n"
    "if [ \"$funcstack[1]\" = _tacit ]; then\n"
    "    _tacit \"$@\"\n"
    "else\n"
    "    compdef _tacit tacit\n"
    "fi\n";

static const char fish_script[] =
    "# Completion of tacit in fish; made by `tacit completion fish`.\n"
    "function __tacit_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l typed (commandline -ct)\n"
    "    for line in ($words[1] complete -- $words[2..-1] \"$typed\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case :files\n"
    "                __fish_complete_path $typed\n"
    "            case :dirs\n"
    "                __fish_complete_directories $typed\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c tacit -f -a '(__tacit_complete)'\n";

int cmd_completion(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "bash|zsh|fish",
        .doc = "Prints a script by which a shell completes commands, options, files, and the names "
               "of runs, agents and data sets where a coordinator is set and answers within half a "
               "second. Packages install it.\v"
               "Examples:\n  source <(tacit completion bash)            # in ~/.bashrc\n"
               "  tacit completion zsh > ~/.zfunc/_tacit     # a folder of $fpath\n"
               "  tacit completion fish > ~/.config/fish/completions/tacit.fish",
        .args_min = 1,
        .args_max = 1,
        .offline = true,
    };
    static const struct {
        const char *shell, *script;
    } all[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(cli->args[0], all[i].shell) == 0) {
            fputs(all[i].script, stdout);
            return 0;
        }
    (void)err_set(&e, ERR_INVALID, "%s: there are scripts for bash, zsh and fish", cli->args[0]);
    return cli_fail(cli, &e);
}

/* --- names from the coordinator --------------------------------------------------------------- */

static void stop_soon(void *arg)
{
    (void)arg;
    if (!env_stop_wait_ms(COORDINATOR_MS))
        env_stop_request();
}

/* What is typed, and what of it stands before a name ("--run="). */
struct typed {
    const char *all;
    char before[64];
};

static int add_name(struct buf *out, const struct typed *t, const char *name,
                    const char *explanation, struct err *e)
{
    char whole[sizeof t->before + 256];
    snprintf(whole, sizeof whole, "%s%s", t->before, name);
    return complete_add(out, t->all, whole, explanation, e);
}

static int add_runs(struct cli *cli, const struct typed *t, struct buf *out, struct err *e)
{
    struct msg_run *runs;
    uint32_t count = 0;
    int rc = client_get_array(cli->client, "/v1/runs", &message_run, (void **)&runs, &count,
                              &cli->arena, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = add_name(out, t, runs[i].name,
                      runs[i].paused ? "paused" : run_state_words[runs[i].state], e);
    return rc;
}

static int add_agents(struct cli *cli, const struct typed *t, struct buf *out, struct err *e)
{
    struct msg_agent *agents;
    uint32_t count = 0;
    int rc = client_get_array(cli->client, "/v1/agents", &message_agent, (void **)&agents, &count,
                              &cli->arena, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = add_name(out, t, agents[i].name, "agent", e);
    return rc;
}

static int add_datasets(struct cli *cli, const struct typed *t, struct buf *out, struct err *e)
{
    struct msg_dataset *sets;
    uint32_t count = 0;
    int rc = client_get_array(cli->client, "/v1/datasets", &message_dataset, (void **)&sets, &count,
                              &cli->arena, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = add_name(out, t, sets[i].name, "data set", e);
    return rc;
}

static int add_coordinators(struct cli *cli, const struct typed *t, struct buf *out, struct err *e)
{
    int rc = 0;
    for (int i = 0; !rc && i < cli->settings.count; i++)
        rc = add_name(out, t, cli->settings.sections[i].name, cli->settings.sections[i].url.value,
                      e);
    return rc;
}

/* Stops after COORDINATOR_MS: what has come by then is there. */
static int add_names(struct cli *cli, unsigned kinds, const char *all, struct buf *out,
                     struct err *e)
{
    struct typed typed = {.all = all}, *t = &typed;
    struct env_thread watch;
    if (strncmp(all, "--", 2) == 0 && strchr(all, '='))
        snprintf(t->before, sizeof t->before, "%.*s=", (int)strcspn(all, "="), all);
    if (kinds & COMPLETE_COORDINATORS)
        return add_coordinators(cli, t, out, e);
    int rc = cli_settings(cli, e);
    if (!rc)
        rc = cli_connect(cli, e);
    if (!rc)
        rc = env_thread_start(&watch, stop_soon, NULL, "a clock", e);
    if (rc)
        return rc;
    if (kinds & COMPLETE_RUNS)
        rc = add_runs(cli, t, out, e);
    if (!rc && kinds & COMPLETE_AGENTS)
        rc = add_agents(cli, t, out, e);
    if (!rc && kinds & COMPLETE_DATASETS)
        rc = add_datasets(cli, t, out, e);
    env_stop_request();
    env_thread_join(&watch);
    return rc;
}

/* Whatever fails is no word on the terminal of one who types. */
int cmd_complete(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "[WORD...]",
        .doc = "What may stand in the place of the last WORD, for the scripts of `tacit "
               "completion`.",
        .args_max = -1,
    };
    struct err e = {0};
    struct buf out;
    unsigned kinds;
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    const char *typed = cli->arg_count ? cli->args[cli->arg_count - 1] : "";
    buf_init(&out, ANSWER_MAX);
    int rc = complete_words(cli, cli->arg_count, cli->args, &out, &kinds, &e);
    if (!rc && kinds & ~(unsigned)(COMPLETE_FILES | COMPLETE_FOLDERS))
        rc = add_names(cli, kinds, typed, &out, &e);
    if (out.len)
        fputs(out.data, stdout);
    buf_free(&out);
    if (kinds & COMPLETE_FILES)
        puts(":files");
    else if (kinds & COMPLETE_FOLDERS)
        puts(":dirs");
    return rc ? 1 : 0;
}
