/* tacit events: what happened, and who did it. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/when.h"

#define SINCE_DEFAULT_MS (24 * 3600 * (int64_t)1000)
#define PAGE 1000
#define POLL_MS 1000
#define ANSWER_BYTES (8u << 20)

struct events_input {
    int64_t since_ms; /* wall clock */
    const char *run;
    bool follow;
};

enum { EVENTS_SINCE = OPTION_FIRST, EVENTS_RUN };

static int set_events(void *input, int key, const char *arg, struct err *e)
{
    struct events_input *in = input;
    int64_t ms;
    if (key == 'f') {
        in->follow = true;
        return 0;
    }
    if (key == EVENTS_RUN) {
        in->run = arg;
        return 0;
    }
    struct err ignored;
    if (when_duration("--since", arg, &ms, &ignored) == 0) {
        in->since_ms = env_wall_ms() - ms;
        return 0;
    }
    return when_time("--since", arg, env_wall_ms() - 24 * 3600 * (int64_t)1000, &in->since_ms, e);
}

/* "2026-03-01 18:30:05", local time. */
static const char *local_time(uint64_t at_ms, char out[32])
{
    time_t at = (time_t)(at_ms / 1000);
    struct tm tm;
    if (!localtime_r(&at, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        out[0] = 0;
    return out;
}

static int print_event(struct cli *cli, struct arena *a, const struct msg_event *m, struct err *e)
{
    char at[32];
    if (cli->json)
        return cli_print_json(&message_event, m, e);
    const char *whom = m->run ? m->run : m->agent ? m->agent : "";
    printf("%s  %-16s %s%s%s%s%s%s\n", local_time(m->at, at), m->kind, format_plain(a, whom),
           *whom ? ": " : "", format_plain(a, m->text), m->who ? " (by " : "",
           m->who ? format_plain(a, m->who) : "", m->who ? ")" : "");
    return 0;
}

/* Prints what there is beyond *after: a page at a time, each in an arena of its own. */
static int print_page(struct cli *cli, const struct events_input *in, uint64_t *after,
                      uint32_t *count, struct err *e)
{
    char path[128];
    struct arena a;
    struct msg_event *list;
    snprintf(path, sizeof path, "/v1/history?limit=%d&after=%llu&since=%lld", PAGE,
             (unsigned long long)*after, (long long)in->since_ms);
    arena_init(&a, ANSWER_BYTES);
    int rc = client_get_array(cli->client, path, &message_event, (void **)&list, count, &a, e);
    for (uint32_t i = 0; !rc && i < *count; i++) {
        *after = list[i].event;
        if (!in->run || (list[i].run && strcmp(list[i].run, in->run) == 0))
            rc = print_event(cli, &a, &list[i], e);
    }
    arena_free(&a);
    return rc;
}

int cmd_events(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"since", EVENTS_SINCE, "TIME", 0,
         "From then on: so long ago (20m, 2h, 7d), or a time (default: one day)", 1},
        {"run", EVENTS_RUN, "RUN", 0, "Of this run alone", 1},
        {"follow", 'f', NULL, 0, "Go on with what happens from now on", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "What happened, oldest first: runs and their phases, agents that joined, were "
               "drained or benched, quarantines, alarms, and what operators did, with whose token. "
               "The coordinator keeps the last 200,000. --json prints one object a line.\v"
               "Examples:\n  tacit events\n  tacit events --since 7d --run my-run\n"
               "  tacit events -f --json | jq -r 'select(.kind == \"alarm\").text'",
        .json = true,
        .set = set_events,
    };
    struct events_input in = {.since_ms = env_wall_ms() - SINCE_DEFAULT_MS};
    struct err e = {0};
    uint64_t after = 0;
    uint32_t count;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    bool away = false;
    int rc = cli_connect(cli, &e);
    while (!rc) {
        rc = print_page(cli, &in, &after, &count, &e);
        fflush(stdout);
        if (rc && in.follow && after > 0 && cli_may_mend(rc)) {
            if (!away)
                fprintf(stderr, "%s: %s; trying again\n", cli->command, e.message);
            away = true;
            rc = 0;
            count = 0;
        } else if (!rc) {
            away = false;
        }
        if (!rc && count < PAGE && (!in.follow || env_stop_wait_ms(POLL_MS)))
            break;
    }
    return rc && rc != ERR_STOPPED ? cli_fail(cli, &e) : 0;
}
