/* tacit agents drain, undrain, revoke, restore, label: many agents at a time. */
#include <stdio.h>
#include <string.h>
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"

#define TAGS_MAX 64

struct fleet_input {
    struct msg_tag having[TAGS_MAX];
    uint32_t having_count;
    bool now;
    struct arena *arena;
};

enum { FLEET_LABEL = OPTION_FIRST, FLEET_NOW };

/* "k=v"; NULL value where there is no '='. */
static int tag_read(struct arena *a, const char *what, const char *text, struct msg_tag *out,
                    struct err *e)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_set(e, ERR_INVALID, "%s%s: a label is name=value", what, text);
    out->name = arena_strndup(a, text, (size_t)(equals - text));
    out->value = equals + 1;
    return out->name ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a label");
}

static int set_fleet(void *input, int key, const char *arg, struct err *e)
{
    struct fleet_input *in = input;
    if (key == FLEET_NOW) {
        in->now = true;
        return 0;
    }
    if (in->having_count == TAGS_MAX)
        return err_set(e, ERR_INVALID, "--label: at most %d", TAGS_MAX);
    return tag_read(in->arena, "--label ", arg, &in->having[in->having_count++], e);
}

#define LABEL_OPTION                                                                               \
    {                                                                                              \
        "label", FLEET_LABEL, "K=V", 0, "Agents with this label alone (again: with all of them)",  \
            1                                                                                      \
    }

/* Arguments from..to of the command are names and patterns. */
static int post_fleet(struct cli *cli, const char *verb, int names, const struct fleet_input *in,
                      const struct msg_tag *set, uint32_t set_count, const char *said,
                      struct err *e)
{
    char path[64];
    struct msg_pattern *patterns =
        arena_alloc_array(&cli->arena, (size_t)names + 1, sizeof *patterns);
    struct msg_fleet_done done;
    if (!patterns)
        return err_set(e, ERR_NO_MEMORY, "no memory for the names");
    for (int i = 0; i < names; i++)
        patterns[i].pattern = cli->args[i];
    struct msg_fleet m = {.names = patterns,
                          .name_count = (uint32_t)names,
                          .having = (struct msg_tag *)in->having,
                          .having_count = in->having_count,
                          .set = (struct msg_tag *)set,
                          .set_count = set_count,
                          .now = in->now};
    snprintf(path, sizeof path, "/v1/agents/%s", verb);
    int rc = cli_connect(cli, e);
    if (!rc)
        rc = client_call(cli->client, "POST", path, &message_fleet, &m, &message_fleet_done, &done,
                         &cli->arena, 0, e);
    if (!rc && cli->json)
        return cli_print_json(&message_fleet_done, &done, e);
    for (uint32_t i = 0; !rc && i < done.agent_count; i++)
        printf("%s %s\n", format_plain(&cli->arena, done.agents[i].name), said);
    return rc;
}

/* A command that takes names and --label, and no more. */
static int simple(struct cli *cli, const struct cli_options *o, int argc, char **argv,
                  const char *verb, const char *said, const char *said_now)
{
    struct fleet_input in = {.arena = &cli->arena};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, o, argc, argv, &in, &code))
        return code;
    int rc = post_fleet(cli, verb, cli->arg_count, &in, NULL, 0, in.now ? said_now : said, &e);
    return rc ? cli_fail(cli, &e) : 0;
}

int cmd_agents_drain(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        LABEL_OPTION,
        {"now", FLEET_NOW, NULL, 0, "Hand over the job under way, too, at the next heartbeat", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "AGENT|PATTERN...",
        .doc = "Agents finish the job that they have, and get no new one; each says in its log "
               "when it may be stopped, and `tacit agents` shows it as drained. With --now they "
               "save and hand over at their next heartbeat (every 20 seconds).\v"
               "Examples:\n  tacit agents drain laptop-3\n  tacit agents drain 'lab-*' --now\n"
               "  tacit agents drain --label site=lab",
        .args_max = -1,
        .json = true,
        .set = set_fleet,
    };
    return simple(cli, &o, argc, argv, "drain", "finishes its job, if it has one, and gets no more",
                  "hands over its job, if it has one, and gets no more");
}

int cmd_agents_undrain(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {LABEL_OPTION, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "AGENT|PATTERN...",
        .doc = "Drained agents get jobs again: they ask within half a minute.\v"
               "Examples:\n  tacit agents undrain laptop-3\n  tacit agents undrain '*'",
        .args_max = -1,
        .json = true,
        .set = set_fleet,
    };
    return simple(cli, &o, argc, argv, "undrain", "gets jobs again", "");
}

int cmd_agents_revoke(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {LABEL_OPTION, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "AGENT|PATTERN...",
        .doc = "Takes agents' tokens away at once: whatever they ask is answered 401, their jobs "
               "wait for others, and they can't join again. A machine that knows the join token or "
               "an invitation can still join as a new agent: `tacit token rotate join`, `tacit "
               "invite --end N`.\v"
               "Examples:\n  tacit agents revoke stranger-7\n  tacit agents revoke --label "
               "owner=mallory",
        .args_max = -1,
        .json = true,
        .set = set_fleet,
    };
    return simple(cli, &o, argc, argv, "revoke", "is revoked", "");
}

int cmd_agents_restore(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {LABEL_OPTION, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "AGENT|PATTERN...",
        .doc = "Trusts revoked agents again: their tokens are good as before, once their programs "
               "are started again.\vExample:\n  tacit agents restore laptop-3",
        .args_max = -1,
        .json = true,
        .set = set_fleet,
    };
    return simple(cli, &o, argc, argv, "restore", "is trusted again", "");
}

int cmd_agents_label(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {LABEL_OPTION, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "AGENT|PATTERN... KEY=VALUE...",
        .doc = "Labels agents: runs can ask for labels ([run] require = site=lab in the spec), and "
               "other commands pick agents by them. An empty value takes a label away. The label "
               "owner is whose quota the agent's jobs count for (`tacit quota`).\v"
               "Examples:\n  tacit agents label laptop-3 gpu=no site=lab\n"
               "  tacit agents label 'lab-*' site=lab owner=physics\n"
               "  tacit agents label --label site=lab site=",
        .args_min = 1,
        .args_max = -1,
        .json = true,
        .set = set_fleet,
    };
    struct fleet_input in = {.arena = &cli->arena};
    struct msg_tag set[TAGS_MAX];
    struct err e = {0};
    int code, names = 0, rc = 0;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    while (names < cli->arg_count && !strchr(cli->args[names], '='))
        names++;
    uint32_t count = (uint32_t)(cli->arg_count - names);
    if (count == 0 || count > TAGS_MAX)
        rc = err_set(&e, ERR_INVALID, "give 1 to %d labels behind the names: NAME... KEY=VALUE...",
                     TAGS_MAX);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = tag_read(&cli->arena, "", cli->args[names + (int)i], &set[i], &e);
    if (!rc)
        rc = post_fleet(cli, "label", names, &in, set, count, "is labelled", &e);
    return rc ? cli_fail(cli, &e) : 0;
}
