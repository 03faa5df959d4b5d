/* tacit invite, token, quota: who may join, and how much owners get. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "core/client/join_file.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/text_table.h"
#include "ops/cli/when.h"

/* --- invite ----------------------------------------------------------------------------------- */

struct invite_input {
    struct msg_invitation wanted;
    bool list;
    uint64_t end;
    const char *file;
};

enum {
    INVITE_USES = OPTION_FIRST,
    INVITE_EXPIRES,
    INVITE_OWNER,
    INVITE_LIST,
    INVITE_END,
    INVITE_FILE
};

static int set_invite(void *input, int key, const char *arg, struct err *e)
{
    struct invite_input *in = input;
    int64_t at;
    int rc;
    switch (key) {
    case INVITE_USES:
        return cli_u64("--uses", arg, 1, 1000000, &in->wanted.uses, e);
    case INVITE_EXPIRES:
        rc = when_time("--expires", arg, env_wall_ms(), &at, e);
        in->wanted.expires_at = rc ? 0 : (uint64_t)at;
        return rc;
    case INVITE_OWNER:
        in->wanted.owner = arg;
        return 0;
    case INVITE_FILE:
        in->file = arg;
        return 0;
    case INVITE_LIST:
        in->list = true;
        return 0;
    default:
        return cli_u64("--end", arg, 1, INT64_MAX, &in->end, e);
    }
}

static int invite_list(struct cli *cli, struct err *e)
{
    static const char *const titles[] = {">invitation", "owner", ">joined", ">of",
                                         "made",        "ends",  NULL};
    struct arena *a = &cli->arena;
    struct msg_invitation *list;
    struct table t;
    uint32_t count;
    int64_t now = env_wall_ms();
    if (cli->json)
        return cli_print_raw(cli, "/v1/invitations", e);
    int rc = client_get_array(cli->client, "/v1/invitations", &message_invitation, (void **)&list,
                              &count, a, e);
    if (rc)
        return rc;
    if (count == 0) {
        puts("no invitations: `tacit invite --uses 10 --expires 7d` makes one");
        return 0;
    }
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < count; i++) {
        const struct msg_invitation *m = &list[i];
        double left = ((double)m->expires_at - (double)now) / 1000;
        const char *cells[] = {arena_printf(a, "%llu", (unsigned long long)m->invitation),
                               m->owner,
                               format_count(a, m->used),
                               m->uses ? format_count(a, m->uses) : "any",
                               format_ago(a, m->created_at, now),
                               m->expires_at == 0 ? "never"
                               : left > 0 ? arena_printf(a, "in %s", format_duration(a, left))
                                          : "is over"};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
    return 0;
}

static int invite_end(struct cli *cli, uint64_t id, struct err *e)
{
    char path[64];
    struct msg_empty done;
    snprintf(path, sizeof path, "/v1/invitations/%llu/end", (unsigned long long)id);
    int rc = client_call(cli->client, "POST", path, NULL, NULL, &message_empty, &done, &cli->arena,
                         0, e);
    if (!rc && !cli->json)
        printf("invitation %llu is over; agents that joined by it stay\n", (unsigned long long)id);
    return rc;
}

/* All that a machine needs: where, by what, and whom to trust. */
static int invite_file(struct cli *cli, const char *path, const struct msg_invitation *made,
                       struct err *e)
{
    struct buf authorities = {.data = NULL};
    int rc = cli->ca_file ? env_file_read(cli->ca_file, JOIN_FILE_MAX, &authorities, e) : 0;
    if (!rc)
        rc = join_file_write(path, "for agents: tacit-agent --join FILE --work DIR", cli->url,
                             made->token, authorities.data, e);
    buf_free(&authorities);
    return rc;
}

/* The token alone goes to standard output, so that it can be put into a file. */
static int invite_make(struct cli *cli, const struct invite_input *in, struct err *e)
{
    const struct msg_invitation *wanted = &in->wanted;
    struct arena *a = &cli->arena;
    struct msg_invitation made;
    int rc = client_call(cli->client, "POST", "/v1/invitations", &message_invitation, wanted,
                         &message_invitation, &made, a, 0, e);
    if (!rc && in->file)
        rc = invite_file(cli, in->file, &made, e);
    if (rc || cli->json)
        return rc ? rc : cli_print_json(&message_invitation, &made, e);
    fprintf(stderr, "invitation %llu, for %s%s%s%s%s. On the machine:\n",
            (unsigned long long)made.invitation,
            made.uses ? format_count(a, made.uses) : "any number of",
            made.uses == 1 ? " agent" : " agents", made.owner ? " of " : "",
            made.owner ? made.owner : "", in->file ? "" : "; its token is shown this once");
    if (in->file) {
        fprintf(stderr, "  tacit-agent --join %s --work DIR\n", in->file);
        return 0;
    }
    fprintf(stderr, "  tacit-agent --coordinator %s --token-file FILE --work DIR\n", cli->url);
    puts(made.token);
    return 0;
}

int cmd_invite(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"uses", INVITE_USES, "N", 0, "So many agents may join by it (default: any number)", 1},
        {"expires", INVITE_EXPIRES, "TIME", 0,
         "Until then: a duration (20m, 2h, 7d) or a time (default: for ever)", 1},
        {"owner", INVITE_OWNER, "NAME", 0,
         "Whose agents they are: label owner=NAME, and `tacit quota NAME N`", 1},
        {"file", INVITE_FILE, "FILE", 0,
         "Write a join file, which has address, token and authority: for tacit-agent --join", 1},
        {"list", INVITE_LIST, NULL, 0, "Show the invitations that there are", 2},
        {"end", INVITE_END, "N", 0, "End this invitation", 2},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "Makes a token by which agents may join, beside join.token: for so many, for so "
               "long, for an owner. It is printed alone, for a file that goes to the machine.\v"
               "Examples:\n  tacit invite --uses 10 --expires 7d --owner alice --file alice.join\n"
               "  tacit invite --uses 1 > one.token\n"
               "  tacit invite --list\n  tacit invite --end 3",
        .json = true,
        .set = set_invite,
    };
    struct invite_input in = {0};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc = in.list  ? invite_list(cli, &e)
             : in.end ? invite_end(cli, in.end, &e)
                      : invite_make(cli, &in, &e);
    return rc ? cli_fail(cli, &e) : 0;
}

/* --- token ------------------------------------------------------------------------------------ */

int cmd_token_rotate(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "admin|join|viewer",
        .doc = "Makes another token of a kind; the one before is good for nothing from now on, and "
               "the new one stands in the coordinator's folder, and is printed. join: lets agents "
               "join; those that have joined keep their own tokens. viewer: shows everything, and "
               "changes nothing. admin: the operator's, for everything. Sessions of the web page "
               "end with the token that began them.\v"
               "Example:\n  tacit token rotate join > join.token",
        .args_min = 1,
        .args_max = 1,
        .json = true,
    };
    static const char *const kinds[] = {"admin", "join", "viewer"};
    struct msg_token token;
    struct err e = {0};
    int code, rc = ERR_INVALID;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    for (int i = 0; i < 3; i++)
        if (strcmp(cli->args[0], kinds[i]) == 0)
            rc = 0;
    rc = rc ? err_set(&e, rc, "'%s' is no kind of token: admin, join and viewer are", cli->args[0])
            : cli_connect(cli, &e);
    if (!rc)
        rc = client_call(cli->client, "POST",
                         arena_printf(&cli->arena, "/v1/tokens/%s/rotate", cli->args[0]), NULL,
                         NULL, &message_token, &token, &cli->arena, 0, &e);
    if (!rc && cli->json)
        rc = cli_print_json(&message_token, &token, &e);
    else if (!rc)
        puts(token.token);
    return rc ? cli_fail(cli, &e) : 0;
}

/* --- quota ------------------------------------------------------------------------------------ */

static int quota_list(struct cli *cli, struct err *e)
{
    static const char *const titles[] = {"owner", ">agents", ">jobs now", ">at most", NULL};
    struct arena *a = &cli->arena;
    struct msg_quota *list;
    struct table t;
    uint32_t count;
    if (cli->json)
        return cli_print_raw(cli, "/v1/quotas", e);
    int rc =
        client_get_array(cli->client, "/v1/quotas", &message_quota, (void **)&list, &count, a, e);
    if (rc)
        return rc;
    if (count == 0) {
        puts("no owners: `tacit invite --owner NAME`, or `tacit agents label AGENT owner=NAME`");
        return 0;
    }
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < count; i++) {
        const char *cells[] = {list[i].owner, format_count(a, list[i].agents),
                               format_count(a, list[i].held),
                               list[i].limited ? format_count(a, list[i].jobs) : "any"};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
    return 0;
}

int cmd_quota(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "[OWNER N|none]",
        .doc = "How many jobs all agents of an owner may hold at once; alone, it lists the owners. "
               "An agent's owner is that of the invitation by which it joined, or its label owner. "
               "Jobs under way are not interrupted.\v"
               "Examples:\n  tacit quota alice 4\n  tacit quota alice none\n  tacit quota",
        .args_max = 2,
        .json = true,
    };
    struct msg_quota m = {0}, set;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    int rc = 0;
    if (cli->arg_count == 1)
        rc = err_set(&e, ERR_INVALID, "how many jobs at once? tacit quota %s N, or none",
                     cli->args[0]);
    if (!rc && cli->arg_count == 2) {
        m.owner = cli->args[0];
        m.limited = strcmp(cli->args[1], "none") != 0;
        rc = m.limited ? cli_u64("quota", cli->args[1], 0, 1000000, &m.jobs, &e) : 0;
    }
    if (!rc)
        rc = cli_connect(cli, &e);
    if (!rc && cli->arg_count == 0)
        rc = quota_list(cli, &e);
    else if (!rc)
        rc = client_call(cli->client, "POST", "/v1/quotas", &message_quota, &m, &message_quota,
                         &set, &cli->arena, 0, &e);
    if (!rc && cli->arg_count == 2 && cli->json)
        rc = cli_print_json(&message_quota, &set, &e);
    else if (!rc && cli->arg_count == 2)
        printf("agents of %s hold %s jobs at once\n", m.owner,
               m.limited ? arena_printf(&cli->arena, "at most %llu", (unsigned long long)m.jobs)
                         : "any number of");
    return rc ? cli_fail(cli, &e) : 0;
}
