/* tacit alarms: two results of one job, where there is one right one. */
#include <stdio.h>
#include <sysexits.h>
#include "core/env/clock.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"

enum { ALARMS_RUN = OPTION_FIRST };

static int set_alarms(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)e;
    *(const char **)input = arg;
    return 0;
}

static void print_alarm(struct arena *a, const struct msg_alarm *m, int64_t now)
{
    char published[DIGEST_HEX + 1], found[DIGEST_HEX + 1];
    printf("%s: %s (job %llu), %s\n", m->run, m->words, (unsigned long long)m->job,
           format_ago(a, m->at, now));
    printf("  %s %s by %s%s, published\n", blob_role_words[m->role],
           digest_to_hex(&m->published, published), m->agent ? "agent " : "the coordinator",
           m->agent ? format_plain(a, m->agent) : "");
    printf("  %*s %s by agent %s\n", (int)format_width(blob_role_words[m->role]), "",
           digest_to_hex(&m->found, found), m->other ? format_plain(a, m->other) : "–");
}

int cmd_alarms(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"run", ALARMS_RUN, "RUN", 0, "Of this run alone", 1}, {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "Two agents gave different results of one job, where there is one right one: a "
               "machine is at fault, or lies. `tacit verify RUN` tells which of the two. Exits 65 "
               "where there are any.\v"
               "Examples:\n  tacit alarms\n  tacit alarms --run my-run --json | jq -r '.[].other'",
        .json = true,
        .set = set_alarms,
    };
    const char *run = NULL;
    struct msg_alarm *list;
    struct err e = {0};
    uint32_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &run, &code))
        return code;
    const char *path = run ? cli_path(cli, "/v1/alarms?run=", run, "") : "/v1/alarms";
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc = client_get_array(cli->client, path, &message_alarm, (void **)&list, &count,
                              &cli->arena, &e);
    if (!rc && cli->json)
        rc = cli_print_raw(cli, path, &e);
    if (rc)
        return cli_fail(cli, &e);
    for (uint32_t i = 0; i < count && !cli->json; i++)
        print_alarm(&cli->arena, &list[i], env_wall_ms());
    if (count == 0 && !cli->json)
        puts("no alarms");
    return count ? EX_DATAERR : EX_OK;
}
