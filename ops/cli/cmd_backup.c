/* tacit backup, restore: a coordinator in one file, while it works, and back. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/backup/backup_archive.h"
#include "core/base/le.h"
#include "core/env/child.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/format.h"
#include "ops/cli/progress.h"
#include "ops/cli/upload.h"

#define START_MS (15 * 60 * 1000L) /* a large tacit.db is copied meanwhile */
#define RENEW_MS (PROTOCOL_BACKUP_MS / 10)
#define RENEW_CALL_MS 5000

struct backing {
    struct cli *cli, renewing; /* renewing: a client of its own, for use during a download */
    struct progress progress;
    struct upload trying; /* moved: bytes fetched */
    struct msg_backup m;
    struct backup_writer *writer;
    char *incoming; /* the blob that is being fetched */
    uint64_t done;  /* bytes of blobs */
    int64_t renew_ms;
    struct err lost; /* the coordinator let the backup go */
};

/* --- asking ------------------------------------------------------------------------------------
 */

static int start_once(void *arg, struct err *e)
{
    struct backing *b = arg;
    return client_call(b->cli->client, "POST", "/v1/backups", NULL, NULL, &message_backup, &b->m,
                       &b->cli->arena, START_MS, e);
}

static int tell(struct backing *b, const char *what, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/v1/backups/%" PRIu64 "/%s", b->m.backup, what);
    arena_reset(&b->renewing.arena);
    int rc = client_call(b->renewing.client, "POST", path, NULL, NULL, NULL, NULL,
                         &b->renewing.arena, RENEW_CALL_MS, e);
    return rc < 0 ? rc : 0;
}

/* Tells the coordinator now and then that somebody still wants it; one that is away will be back.
 */
static int renew(struct backing *b)
{
    struct err e = {0};
    int64_t now = env_monotonic_ms();
    if (now < b->renew_ms)
        return 0;
    b->renew_ms = now + RENEW_MS;
    int rc = tell(b, "renew", &e);
    if (rc == ERR_NOT_FOUND)
        b->lost = e;
    return rc == ERR_NOT_FOUND ? -1 : 0;
}

/* --- fetching ----------------------------------------------------------------------------------
 */

struct fetch {
    struct backing *b;
    const struct digest *digest;
};

static int on_bytes(void *arg, uint64_t done, uint64_t total)
{
    struct backing *b = arg;
    (void)total;
    progress_update(&b->progress, "backup", b->done + done, b->m.blob_bytes, "bytes");
    return env_stop_requested() || renew(b);
}

static int fetch_once(void *arg, struct err *e)
{
    struct fetch *f = arg;
    struct backing *b = f->b;
    if (renew(b)) {
        *e = b->lost;
        return e->code;
    }
    int rc =
        client_blob_get(b->cli->client, f->digest, b->incoming, on_bytes, b, &b->trying.moved, e);
    if (rc && b->lost.code)
        *e = b->lost;
    return rc && b->lost.code ? b->lost.code : rc;
}

/* Into the archive by way of a file, which a broken download is gone on with. */
static int add_blob(struct backing *b, const char *name, const struct digest *d, uint64_t size,
                    struct err *e)
{
    struct fetch f = {b, d};
    int rc = upload_persist(&b->trying, fetch_once, &f, e);
    if (!rc)
        rc = backup_writer_file(b->writer, name, b->incoming, size, e);
    struct err ignored;
    (void)!env_file_remove(b->incoming, &ignored);
    return rc ? err_prefix(e, "%s", name) : 0;
}

static int add_token(struct backing *b, const char *name, const char *token, struct err *e)
{
    char line[PROTOCOL_TOKEN_MAX + 2];
    if (!token || strlen(token) > PROTOCOL_TOKEN_MAX)
        return err_set(e, ERR_PROTOCOL, "the coordinator sent no %s", name);
    snprintf(line, sizeof line, "%s\n", token);
    return backup_writer_bytes(b->writer, name, line, strlen(line), e);
}

/* The list goes into the archive and stays at hand. */
static int add_list(struct backing *b, struct buf *list, struct err *e)
{
    struct fetch f = {b, &b->m.list};
    int rc = upload_persist(&b->trying, fetch_once, &f, e);
    if (rc)
        return rc;
    rc = env_file_read(b->incoming, (size_t)b->m.list_bytes, list, e);
    if (!rc)
        rc = backup_writer_bytes(b->writer, "blobs.list", list->data, list->len, e);
    struct err ignored;
    (void)!env_file_remove(b->incoming, &ignored);
    if (!rc && list->len != b->m.blobs * PROTOCOL_BACKUP_ROW)
        rc = err_set(e, ERR_PROTOCOL, "the coordinator sent another list than it said");
    return rc;
}

static int add_all(struct backing *b, struct err *e)
{
    struct buf list;
    uint8_t end[8];
    buf_init(&list, 0);
    int rc = add_blob(b, "tacit.db", &b->m.snapshot, b->m.snapshot_bytes, e);
    if (!rc)
        rc = add_token(b, "admin.token", b->m.admin_token, e);
    if (!rc)
        rc = add_token(b, "join.token", b->m.join_token, e);
    if (!rc)
        rc = add_list(b, &list, e);
    for (uint64_t i = 0; !rc && i < b->m.blobs; i++) {
        const uint8_t *row = (const uint8_t *)list.data + i * PROTOCOL_BACKUP_ROW;
        char name[DIGEST_HEX + 8], hex[DIGEST_HEX + 1];
        struct digest d;
        memcpy(d.bytes, row, DIGEST_BYTES);
        snprintf(name, sizeof name, "blobs/%s", digest_to_hex(&d, hex));
        rc = add_blob(b, name, &d, le64_get(row + DIGEST_BYTES), e);
        b->done += le64_get(row + DIGEST_BYTES);
    }
    buf_free(&list);
    le64_put(end, b->m.blobs);
    return rc ? rc : backup_writer_bytes(b->writer, "end", end, sizeof end, e);
}

/* What an earlier one that was killed left of another blob. */
static void sweep(const struct backing *b)
{
    struct err ignored;
    const char *part = arena_printf(&b->cli->arena, "%s.part", b->incoming);
    (void)!env_file_remove(b->incoming, &ignored);
    if (part)
        (void)!env_file_remove(part, &ignored);
}

/* --- the commands ------------------------------------------------------------------------------
 */

static int back_up(struct backing *b, const char *file, struct err *e)
{
    b->renewing = *b->cli;
    arena_init(&b->renewing.arena, 1u << 20);
    int rc = cli_connect(b->cli, e);
    if (!rc)
        rc = cli_connect(&b->renewing, e);
    if (!rc && env_file_exists(file))
        rc = err_set(e, ERR_EXISTS, "%s is there already; give another name", file);
    if (!rc)
        rc = upload_persist(&b->trying, start_once, b, e);
    b->renew_ms = env_monotonic_ms() + RENEW_MS;
    if (!rc)
        sweep(b);
    if (!rc)
        rc = backup_writer_open(&b->writer, file, &b->m, e);
    if (!rc) {
        rc = add_all(b, e);
        if (!rc)
            rc = backup_writer_commit(b->writer, e);
        else
            backup_writer_abandon(b->writer);
        sweep(b);
    }
    struct err ignored;
    if (b->m.backup && b->renewing.client)
        (void)!tell(b, "end", &ignored); /* else it ends by itself */
    client_close(b->renewing.client);
    arena_free(&b->renewing.arena);
    return rc;
}

static int on_checked(void *arg, uint64_t done, uint64_t total, struct err *e)
{
    progress_update(arg, "check", done, total, "bytes");
    return env_stop_requested() ? err_set(e, ERR_STOPPED, "stopped") : 0;
}

static int check(struct cli *cli, const char *file, struct err *e)
{
    struct progress progress;
    struct msg_backup m;
    progress_init(&progress);
    const struct backup_sink sink = {.arg = &progress, .progress = on_checked};
    int rc = backup_read(file, &sink, &m, e);
    progress_finish(&progress);
    if (!rc && cli->json)
        return cli_print_json(&message_backup, &m, e);
    if (!rc)
        printf("%s is whole: %s blobs with %s, made %s\n", file, format_count(&cli->arena, m.blobs),
               format_bytes(&cli->arena, (double)m.blob_bytes),
               format_ago(&cli->arena, m.created_at, env_wall_ms()));
    return rc;
}

static int set_backup(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)arg;
    (void)e;
    *(bool *)input = true;
    return 0;
}

int cmd_backup(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"check", 'c', NULL, 0, "Read a backup and compare all of it with its digests", 1}, {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "FILE",
        .doc = "Writes the coordinator as of now into one file: runs, data sets, agents, every "
               "blob that they need, and both tokens (so keep it as you keep those). Everything "
               "goes on meanwhile, and a coordinator that is restarted is waited for. The file "
               "has its name once it is whole. `tacit restore` brings it back.\v"
               "Examples:\n  tacit backup tacit-$(date +%F).backup\n"
               "  tacit backup --check tacit-2026-03-01.backup",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_backup,
    };
    struct backing b = {.cli = cli};
    struct err e = {0};
    bool only_check = false;
    int code;
    if (!cli_parse(cli, &o, argc, argv, &only_check, &code))
        return code;
    const char *file = cli->args[0];
    if (only_check)
        return check(cli, file, &e) ? cli_fail(cli, &e) : 0;
    double began = env_monotonic_s();
    progress_init(&b.progress);
    b.trying = (struct upload){.cli = cli, .progress = &b.progress};
    b.incoming = (char *)(uintptr_t)arena_printf(&cli->arena, "%s.incoming", file);
    int rc = b.incoming ? back_up(&b, file, &e) : err_set(&e, ERR_NO_MEMORY, "no memory");
    progress_finish(&b.progress);
    b.m.admin_token = b.m.join_token = NULL;
    if (!rc && cli->json)
        rc = cli_print_json(&message_backup, &b.m, &e);
    if (rc)
        return cli_fail(cli, &e);
    if (b.m.missing)
        fprintf(stderr,
                "%s: %" PRIu64 " blobs that are named are not in the store; `tacit scrub` "
                "says which\n",
                cli->command, b.m.missing);
    if (!cli->json)
        printf("%s: %s blobs with %s, in %s\n", file, format_count(&cli->arena, b.m.blobs),
               format_bytes(&cli->arena, (double)b.m.blob_bytes),
               format_duration(&cli->arena, env_monotonic_s() - began));
    return 0;
}

int cmd_restore(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .args = "FILE DIR",
        .doc = "Fills an empty folder for tacitd from a backup (it runs `tacitd --restore`). Start "
               "tacitd with it where the agents look for it: they find it with the tokens they "
               "have, drop what it knows nothing of, and runs go on to the same results. The "
               "coordinator that the backup is of must not work on beside it.\v"
               "Examples:\n  tacit restore tacit-2026-03-01.backup /var/lib/tacit\n"
               "  tacitd --data /var/lib/tacit",
        .args_min = 2,
        .args_max = 2,
        .offline = true,
    };
    static char name[] = "tacitd", restore[] = "--restore", data[] = "--data";
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    fflush(stdout);
    char *const arguments[] = {name, restore, cli->args[0], data, cli->args[1], NULL};
    (void)!env_exec_beside("tacitd", arguments, &e);
    return cli_fail(cli, &e);
}
