/* tacit gc, scrub: what the coordinator stores, and whether it is needed and whole. */
#include <stdio.h>
#include <sysexits.h>
#include "core/env/process.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/scrub_wait.h"
#include "ops/cli/text_table.h"

#define CALL_MS 120000 /* a look through a million blobs takes a while */

/* --- gc ----------------------------------------------------------------------------------------
 */

struct gc_input {
    bool dry_run;
};

static int set_gc(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)arg;
    (void)e;
    ((struct gc_input *)input)->dry_run = true;
    return 0;
}

static void print_rows(struct cli *cli, const struct msg_gc *g)
{
    static const char *const titles[] = {"what", "run", ">blobs", ">bytes", "when", NULL};
    struct arena *a = &cli->arena;
    struct table t;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < g->row_count; i++) {
        const struct msg_gc_row *r = &g->rows[i];
        const char *cells[] = {r->why, r->run, format_count(a, r->blobs),
                               format_bytes(a, (double)r->bytes), r->later ? "later" : "now"};
        table_row(&t, cells);
    }
    if (g->row_count)
        table_print(&t, stdout, cli->color);
    printf("%s blobs with %s would go now. What nothing names is kept for %s after it was last "
           "touched",
           format_count(a, g->blobs), format_bytes(a, (double)g->bytes),
           format_duration(a, (double)g->grace_ms / 1000));
    if (g->backups)
        printf(", and while a backup is made that may name it");
    puts(".");
}

/* Until the coordinator says that there is no more. */
static int run_gc(struct cli *cli, struct msg_gc *sum, struct err *e)
{
    struct msg_gc part = {.more = true};
    int rc = 0;
    while (!rc && part.more && !env_stop_requested()) {
        rc = client_call(cli->client, "POST", "/v1/gc", NULL, NULL, &message_gc, &part, &cli->arena,
                         CALL_MS, e);
        if (rc)
            break;
        part.blobs += sum->blobs;
        part.bytes += sum->bytes;
        *sum = part;
    }
    return rc;
}

int cmd_gc(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"dry-run", 'n', NULL, 0, "Only say what would go, and what later", 1}, {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "Lets go what the coordinator stores and nobody needs: results that came too late, "
               "checkpoints that retention dropped, uploads that were given up. It does so by "
               "itself, too; the room is used again by what comes next.\v"
               "Examples:\n  tacit gc --dry-run\n  tacit gc --json | jq .bytes",
        .json = true,
        .set = set_gc,
    };
    struct gc_input in = {0};
    struct msg_gc g = {0};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    int rc = cli_connect(cli, &e);
    if (!rc && in.dry_run)
        rc = client_call(cli->client, "GET", "/v1/gc", NULL, NULL, &message_gc, &g, &cli->arena,
                         CALL_MS, &e);
    else if (!rc)
        rc = run_gc(cli, &g, &e);
    if (!rc && cli->json)
        rc = cli_print_json(&message_gc, &g, &e);
    if (rc)
        return cli_fail(cli, &e);
    if (cli->json)
        return 0;
    if (in.dry_run)
        print_rows(cli, &g);
    else
        printf("%s blobs with %s are gone; %s are free\n", format_count(&cli->arena, g.blobs),
               format_bytes(&cli->arena, (double)g.bytes),
               format_bytes(&cli->arena, (double)g.disk_free));
    return 0;
}

/* --- scrub -------------------------------------------------------------------------------------
 */

#define SCRUB_BYTES_MAX (8u << 20)

struct scrub_input {
    const char *run;
};

static void print_bad(const struct msg_scrub *m)
{
    for (uint32_t i = 0; i < m->bad_count; i++) {
        char hex[DIGEST_HEX + 1];
        const struct msg_scrub_bad *b = &m->bad[i];
        printf("%s  %s; %s\n", digest_to_hex(&b->digest, hex), b->problem ? b->problem : "bad",
               b->named ? b->named : "named by nothing");
    }
    if (m->bad_total > m->bad_count)
        printf("… and %llu more\n", (unsigned long long)(m->bad_total - m->bad_count));
}

static int set_scrub(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)e;
    ((struct scrub_input *)input)->run = arg;
    return 0;
}

int cmd_scrub(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"run", 'r', "RUN", 0, "Only what this run names, its data set with it", 1}, {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "Has the coordinator read every stored blob and compare it with its name, with at "
               "most half of the disk's time. Exits 65 where one is damaged or lost: it is named, "
               "and who made it; `tacit verify` and `tacit rollback` go on from there.\v"
               "Examples:\n  tacit scrub\n  tacit scrub --run my-run --json",
        .json = true,
        .set = set_scrub,
    };
    struct scrub_input in = {0};
    struct msg_scrub m = {0};
    struct arena arena;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    arena_init(&arena, SCRUB_BYTES_MAX);
    int rc = cli_connect(cli, &e);
    if (!rc)
        rc = scrub_follow(cli, in.run, &arena, &m, &e);
    if (!rc && cli->json)
        rc = cli_print_json(&message_scrub, &m, &e);
    if (rc) {
        arena_free(&arena);
        return cli_fail(cli, &e);
    }
    if (!cli->json) {
        print_bad(&m);
        printf("%s blobs with %s compared: %s\n", format_count(&cli->arena, m.blobs),
               format_bytes(&cli->arena, (double)m.bytes),
               m.bad_total ? "see above" : "all are what their names say");
    }
    arena_free(&arena);
    return m.bad_total ? EX_DATAERR : EX_OK;
}
