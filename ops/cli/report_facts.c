/* What a report's page says, gathered from the coordinator. */
#include <stdlib.h>
#include "ops/cli/report.h"

#define PAGE 1000 /* results asked for at a time */

static int get(struct cli *cli, const char *path, const struct message *of, void *out,
               struct err *e)
{
    return client_call(cli->client, "GET", path, NULL, NULL, of, out, &cli->arena, 0, e);
}

/* --- who did what ----------------------------------------------------------------------------- */

static struct report_machine *machine_of(struct report_facts *f, uint64_t agent, uint32_t most)
{
    for (uint32_t i = 0; i < f->machine_count; i++)
        if (f->machines[i].agent == agent)
            return &f->machines[i];
    if (f->machine_count == most)
        return NULL;
    f->machines[f->machine_count] = (struct report_machine){.agent = agent};
    return &f->machines[f->machine_count++];
}

static int add_results(struct cli *cli, const char *run, struct report_facts *f, uint32_t most,
                       struct err *e)
{
    struct arena a; /* of a page of results */
    uint32_t count = PAGE;
    uint64_t after = 0;
    int rc = 0;
    arena_init(&a, 64u << 20);
    while (!rc && count == PAGE) {
        struct msg_result *rows;
        arena_reset(&a);
        const char *path = cli_path(cli, "/v1/runs/", run,
                                    arena_printf(&cli->arena, "/results?after=%llu&limit=%d",
                                                 (unsigned long long)after, PAGE));
        rc = client_get_array(cli->client, path, &message_result, (void **)&rows, &count, &a, e);
        for (uint32_t i = 0; !rc && i < count; i++) {
            struct report_machine *m = machine_of(f, rows[i].doer, most);
            after = rows[i].job;
            f->jobs++;
            if (m) {
                m->jobs++;
                m->seconds += rows[i].seconds;
            }
        }
    }
    arena_free(&a);
    return rc;
}

static int by_jobs(const void *x, const void *y)
{
    const struct report_machine *a = x, *b = y;
    return (a->jobs < b->jobs) - (a->jobs > b->jobs);
}

static int get_machines(struct cli *cli, const char *run, struct report_facts *f, struct err *e)
{
    struct msg_agent *agents;
    uint32_t count;
    int rc = client_get_array(cli->client, "/v1/agents", &message_agent, (void **)&agents, &count,
                              &cli->arena, e);
    if (rc)
        return rc;
    f->machines = arena_alloc_array(&cli->arena, count + 1, sizeof *f->machines);
    if (!f->machines)
        return err_set(e, ERR_NO_MEMORY, "no memory for the machines of a run");
    rc = add_results(cli, run, f, count + 1, e);
    qsort(f->machines, f->machine_count, sizeof *f->machines, by_jobs);
    for (uint32_t i = 0; i < f->machine_count; i++)
        for (uint32_t k = 0; k < count; k++)
            if (agents[k].agent == f->machines[i].agent)
                f->machines[i].about = &agents[k];
    return rc;
}

int report_facts_get(struct cli *cli, const char *run, bool whole, struct report_facts *out,
                     struct err *e)
{
    *out = (struct report_facts){.whole = whole};
    int rc = get(cli, cli_path(cli, "/v1/runs/", run, "/report"), &message_report, &out->report, e);
    if (rc || !whole)
        return rc;
    rc = get(cli, cli_path(cli, "/v1/runs/", run, ""), &message_run, &out->run, e);
    if (!rc)
        rc = client_get_array(cli->client, cli_path(cli, "/v1/runs/", run, "/curves?limit=300"),
                              &message_curve, (void **)&out->curves, &out->curve_count, &cli->arena,
                              e);
    return rc ? rc : get_machines(cli, run, out, e);
}
