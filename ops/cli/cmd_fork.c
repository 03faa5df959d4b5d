/* tacit run fork: a new run whose spec is another's, with changes. */
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/protocol/messages.h"
#include "core/protocol/spec.h"
#include "ops/cli/command.h"
#include "ops/cli/spec_change.h"

struct fork_input {
    bool dry_run, print;
};

enum { FORK_DRY_RUN = OPTION_FIRST, FORK_PRINT };

static int set_fork(void *input, int key, const char *arg, struct err *e)
{
    struct fork_input *in = input;
    (void)arg;
    (void)e;
    if (key == FORK_PRINT)
        in->print = true;
    else
        in->dry_run = true;
    return 0;
}

static int fetch_spec(struct cli *cli, const char **text, struct err *e)
{
    struct msg_run run;
    char path[32 + DIGEST_HEX], hex[DIGEST_HEX + 1];
    const char *raw;
    size_t len;
    int rc = client_call(cli->client, "GET", cli_path(cli, "/v1/runs/", cli->args[0], ""), NULL,
                         NULL, &message_run, &run, &cli->arena, 0, e);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "/v1/blobs/%s", digest_to_hex(&run.spec, hex));
    rc = client_get_raw(cli->client, path, &raw, &len, &cli->arena, e);
    *text = rc ? NULL : arena_strndup(&cli->arena, raw, len);
    return rc || *text ? rc : err_set(e, ERR_NO_MEMORY, "no memory for a spec");
}

/* The new name is the second argument, or what is changed in [run] name, or NAME-2. */
static int read_changes(struct cli *cli, const char *changes[], size_t *count, struct err *e)
{
    int first = 1;
    bool named = false;
    *count = 0;
    if (cli->arg_count > 1 && !strchr(cli->args[1], '=')) {
        changes[(*count)++] = arena_printf(&cli->arena, "run.name=%s", cli->args[1]);
        named = true;
        first = 2;
    }
    for (int i = first; i < cli->arg_count; i++) {
        if (*count == SPEC_CHANGES_MAX)
            return err_set(e, ERR_INVALID, "at most %d changes", SPEC_CHANGES_MAX);
        named = named || strncmp(cli->args[i], "run.name=", 9) == 0;
        changes[(*count)++] = cli->args[i];
    }
    if (!named)
        changes[(*count)++] = arena_printf(&cli->arena, "run.name=%s-2", cli->args[0]);
    for (size_t i = 0; i < *count; i++)
        if (!changes[i])
            return err_set(e, ERR_NO_MEMORY, "no memory for the changes");
    return 0;
}

static int create(struct cli *cli, const struct fork_input *in, const char *text, struct err *e)
{
    struct msg_run_create request = {.spec = text,
                                     .file = cli_path(cli, "fork of ", cli->args[0], ""),
                                     .dry_run = in->dry_run,
                                     .fork_of = cli->args[0]};
    struct msg_run run;
    int rc = client_call(cli->client, "POST", "/v1/runs", &message_run_create, &request,
                         &message_run, &run, &cli->arena, 0, e);
    if (rc || cli->json)
        return rc ? rc : cli_print_json(&message_run, &run, e);
    if (in->dry_run)
        printf("run %s would do; nothing was created\n", run.name);
    else
        printf("run %s created from %s: `tacit run wait %s` watches it\n", run.name, cli->args[0],
               run.name);
    return 0;
}

int cmd_run_fork(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"dry-run", FORK_DRY_RUN, NULL, 0,
         "Check the new spec against its data set, create nothing", 1},
        {"print", FORK_PRINT, NULL, 0, "Print the new spec, create nothing", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN [NEW-NAME] [SECTION.KEY=VALUE...]",
        .doc = "Starts a new run whose spec is that of another, with changes; it is called "
               "NEW-NAME, or RUN-2. Values that only follow from others (the dense batch of all "
               "experts' batches, say) follow from the changed ones. The new run computes all of "
               "its own results: checkpoints name the spec that they belong to. Equal blobs, "
               "such as shards and segments, are stored once.\v"
               "Examples:\n  tacit run fork my-run expert.learning_rate=0.003\n"
               "  tacit run fork my-run wider expert.hidden=64 expert.heads=4 --dry-run\n"
               "  tacit run fork my-run seven run.seed=7 --print > seven.ini",
        .args_min = 1,
        .args_max = -1,
        .json = true,
        .set = set_fork,
    };
    struct fork_input in = {0};
    const char *changes[SPEC_CHANGES_MAX + 1], *text;
    struct err e = {0};
    struct buf changed;
    size_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    buf_init(&changed, SPEC_BYTES_MAX);
    int rc = read_changes(cli, changes, &count, &e);
    if (!rc)
        rc = cli_connect(cli, &e);
    if (!rc)
        rc = fetch_spec(cli, &text, &e);
    if (!rc)
        rc = spec_change(text, changes, count, &changed, &e);
    if (!rc && in.print)
        fwrite(changed.data, 1, changed.len, stdout);
    else if (!rc)
        rc = create(cli, &in, changed.data, &e);
    buf_free(&changed);
    return rc ? cli_fail(cli, &e) : 0;
}
