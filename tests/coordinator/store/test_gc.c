/* What nobody needs goes, after its time, and its room is used again; what anybody needs, or was
 * told is there, stays, whoever comes between the look and the drop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/store/scrub.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/conn.h"
#include "coordinator/store/gc.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/ops_storage.h"
#include "coordinator/store/ops_verify.h"
#include "coordinator/store/snapshot.h"
#include "coordinator/store/store_parts.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

#define MIB ((uint64_t)1 << 20)
#define GRACE 1000000 /* ms */

static struct {
    char dir[64];
    struct store *s;
    struct arena arena;
    uint64_t dataset, run, agent;
} w;

static int in_writer(struct store_conn *c, void *arg, struct err *e)
{
    (void)e;
    int (*body)(struct store_conn *) = *(int (**)(struct store_conn *))arg;
    return body(c);
}

static void write_with(int (*body)(struct store_conn *))
{
    OK(store_write_wait(w.s, in_writer, &body, &err));
}

static void drain(void)
{
    while (store_writer_step(w.s))
        ;
}

/* Three chunks, or so many bytes. */
static struct digest stored(unsigned seed, size_t len)
{
    uint8_t *data = malloc(len + 1);
    struct digest d;
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)((i * 2654435761u + seed * 97) >> 13);
    memcpy(data, &seed, len < sizeof seed ? len : sizeof seed);
    OK(blob_put(w.s, data, len, &d, &err));
    free(data);
    return d;
}

static bool is_there(const struct digest *d)
{
    struct blob_info info;
    int rc = blob_stat(w.s, d, &info, &err);
    if (rc)
        assert_int_equal(rc, ERR_NOT_FOUND);
    return !rc && info.complete;
}

/* A pass over all, as of so much later; returns what is left as candidates. */
static uint32_t collect(int64_t later_ms, uint64_t *gone)
{
    struct gc_candidate list[GC_LOOK];
    uint64_t cursor = 0, bytes = 0;
    uint32_t count, left = 0;
    bool end = false;
    *gone = 0;
    while (!end) {
        OK(gc_look(w.s, GRACE, env_wall_ms() + later_ms, &cursor, list, &count, &end, &err));
        for (uint32_t i = 0; i < count; i += GC_DROP)
            OK(gc_drop(w.s, list + i, count - i < GC_DROP ? count - i : GC_DROP, gone, &bytes,
                       &err));
        for (uint32_t i = 0; i < count; i++)
            left += list[i].later;
    }
    drain();
    return left;
}

static struct digest named;
static int role = ROLE_EVAL;
static uint64_t job;
static struct job_key key = {.kind = JOB_EVAL, .target = TARGET_EXPERT};

/* A job of the key is done, with the blob as its output. */
static int publish(struct store_conn *c)
{
    struct blob_info info;
    OK(blob_stat(w.s, &named, &info, &err));
    struct msg_blob out = {.role = role, .digest = named, .bytes = info.size};
    struct msg_complete m = {.outputs = &out, .output_count = 1};
    struct msg_fence f = {1, 1};
    struct job_row row;
    bool inserted;
    OK(op_job_insert(c, w.run, &key, 5, 50, &inserted, &err));
    OK(op_job_find(c, w.run, &key, &w.arena, &row, &err));
    OK(op_job_take(c, row.id, w.agent, &f, 51, &err));
    OK(op_job_done(c, row.id, &m, NULL, (uint64_t)env_wall_ms(), &err));
    job = row.id;
    return 0;
}

static int fill(struct store_conn *c)
{
    static char identity[65];
    memset(identity, 'a', 64);
    struct msg_join m = {.identity = identity, .name = "machine", .threads = 3};
    static struct msg_shard shard;
    struct digest spec = stored(1003, 30), tokenizer = stored(1002, 20);
    shard = (struct msg_shard){stored(1001, 10), 10, 4};
    struct msg_dataset d = {.name = "corpus",
                            .vocab = 64,
                            .seq = 16,
                            .tokenizer = tokenizer,
                            .tokenizer_bytes = 20,
                            .train = &shard,
                            .train_count = 1,
                            .train_sequences = 4};
    OK(op_dataset_insert(c, &d, 42, &w.dataset, &err));
    OK(op_run_insert(c, "demo", w.dataset, &spec, "012345678901234567890123456789", 43, &w.run,
                     &err));
    OK(op_agent_put(c, &m, &spec, 44, &w.agent, &err));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    temp_dir_make(w.dir);
    arena_init(&w.arena, 1u << 26);
    OK(store_open_with(&w.s, w.dir, &(struct store_options){.stepped = true}, &err));
    write_with(fill);
    key = (struct job_key){.kind = JOB_EVAL, .target = TARGET_EXPERT};
    role = ROLE_EVAL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store_close(w.s);
    arena_free(&w.arena);
    temp_dir_remove(w.dir);
    return 0;
}

static size_t files(void)
{
    char path[80], **names;
    size_t count;
    snprintf(path, sizeof path, "%s/blobs", w.dir);
    OK(env_dir_list(path, &names, &count, &err));
    env_dir_list_free(names, count);
    return count;
}

static void unnamed_goes_after_its_grace_and_leaves_room(void **state)
{
    (void)state;
    uint64_t gone, before, after;
    char path[80];
    struct digest d = stored(1, 20 * MIB), kept = stored(2, 5);
    named = kept;
    write_with(publish);
    assert_int_equal(files(), 1);
    assert_int_equal(collect(GRACE / 2, &gone), 1);
    assert_int_equal(gone, 0);
    assert_true(is_there(&d));
    assert_int_equal(collect(GRACE * 2, &gone), 0);
    assert_int_equal(gone, 1);
    assert_false(is_there(&d));
    assert_true(is_there(&kept)); /* and what data sets and runs name: */
    uint64_t blobs, bytes;
    OK(blob_totals(w.s, &blobs, &bytes, &err));
    assert_int_equal(blobs, 4);
    drain();
    assert_int_equal(files(), 0);
    /* Pages of rows that went take the next ones. */
    run_sql(w.dir, "blobs.db",
            "CREATE TABLE filler AS SELECT zeroblob(24 << 20) AS x; DROP TABLE filler");
    snprintf(path, sizeof path, "%s/blobs.db", w.dir);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(db);
    OK(env_file_size(path, &before, &err));
    for (unsigned i = 10; i < 15; i++)
        stored(i, 4 * MIB);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(db);
    OK(env_file_size(path, &after, &err));
    assert_true(after < before + MIB);
    assert_int_equal(files(), 0);
}

static struct retention rule;

static int retain(struct store_conn *c)
{
    OK(op_retain(c, w.run, TARGET_EXPERT, 0, &rule, (uint64_t)env_wall_ms(), &err));
    return 0;
}

/* Links of ten steps each, up to `links`. */
static void train(unsigned links, struct digest *models)
{
    role = ROLE_MODEL;
    for (unsigned i = 0; i < links; i++) {
        key = (struct job_key){.kind = JOB_TRAIN,
                               .target = TARGET_EXPERT,
                               .step_first = 10 * i,
                               .step_last = 10 * i + 10};
        named = models[i] = stored(20 + i, 100);
        write_with(publish);
    }
}

static void what_retention_drops_goes_at_once(void **state)
{
    (void)state;
    struct gc_candidate list[GC_LOOK];
    struct digest d[4], cursor = {{0}};
    uint64_t gone = 0, bytes = 0;
    uint32_t count;
    bool end;
    rule = (struct retention){.keep = 2, .last = 1000};
    train(4, d);
    write_with(retain);
    OK(gc_look_released(w.s, GRACE, env_wall_ms() + 1, &cursor, list, &count, &end, &err));
    assert_int_equal(count, 2);
    assert_true(list[0].why == GC_DROPPED && list[0].run == w.run && !list[0].later);
    OK(gc_drop(w.s, list, count, &gone, &bytes, &err));
    assert_true(gone == 2 && bytes == 200);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(is_there(&d[i]), i >= 2);
    cursor = (struct digest){{0}};
    OK(gc_look_released(w.s, GRACE, env_wall_ms(), &cursor, list, &count, &end, &err));
    assert_int_equal(count, 0);
}

static uint64_t verified_job;
static unsigned verified_link = 2;
static int mark_verified(struct store_conn *c)
{
    OK(op_job_verified(c, verified_job, &err));
    return 0;
}

static int await_eval(struct store_conn *c)
{
    struct job_key eval = {.kind = JOB_EVAL, .target = TARGET_EXPERT, .step_last = 20};
    bool inserted;
    OK(op_job_insert(c, w.run, &eval, 5, 50, &inserted, &err));
    return 0;
}

static int end_eval(struct store_conn *c)
{
    (void)c;
    key = (struct job_key){.kind = JOB_EVAL, .target = TARGET_EXPERT, .step_last = 20};
    role = ROLE_EVAL;
    named = stored(77, 9);
    return publish(c);
}

/* Which of the links' models are dropped, as a word of 0 and 1. */
static const char *dropped(unsigned links)
{
    static char word[32];
    struct store_conn *c;
    OK(store_read_begin(w.s, &c, &err));
    for (unsigned i = 0; i < links; i++) {
        struct job_key k = {.kind = JOB_TRAIN,
                            .target = TARGET_EXPERT,
                            .step_first = 10 * i,
                            .step_last = 10 * i + 10};
        struct job_row row;
        struct msg_blob out;
        OK(op_job_find(c, w.run, &k, &w.arena, &row, &err));
        OK(op_output(c, row.id, 0, &out, &err));
        word[i] = out.dropped ? '1' : '0';
        if (i == verified_link)
            verified_job = row.id;
    }
    word[links] = 0;
    store_read_end(w.s, c);
    return word;
}

static void retention_keeps_what_its_spec_says(void **state)
{
    (void)state;
    struct digest d[8];
    train(8, d);
    assert_string_equal(dropped(8), "00000000"); /* and finds link 2, steps 20 to 30 */
    write_with(mark_verified);
    write_with(await_eval); /* of step 20 */
    rule = (struct retention){.keep = 2, .milestone_steps = 40, .last = 60};
    write_with(retain);
    assert_string_equal(dropped(8), "10001000");
    write_with(end_eval);
    write_with(retain);
    assert_string_equal(dropped(8), "11001000");
    rule.keep = 1;
    rule.milestone_steps = 0;
    write_with(retain);
    assert_string_equal(dropped(8), "11011010");
}

/* Links whose checkpoints are gone are verified as well, by computing them again. */
static void the_last_verified_one_is_one_that_is_there(void **state)
{
    (void)state;
    struct digest d[6];
    rule = (struct retention){.keep = 1, .last = 1000};
    train(6, d);
    dropped(6);
    write_with(mark_verified);
    write_with(retain);
    verified_link = 4;
    assert_string_equal(dropped(6), "110110");
    write_with(mark_verified);
    write_with(retain);
    verified_link = 2;
    assert_string_equal(dropped(6), "110110");
}

/* Between the look and the drop, an agent names it, or is told that it is there. */
static void who_comes_between_keeps_it(void **state)
{
    (void)state;
    struct gc_candidate list[GC_LOOK];
    struct digest d[3] = {stored(1, 3 * MIB), stored(2, 7), stored(3, 9)};
    struct blob_info info;
    uint64_t cursor = 0, gone = 0, bytes = 0, durable;
    uint32_t count;
    bool end;
    OK(gc_look(w.s, GRACE, env_wall_ms() + 2 * GRACE, &cursor, list, &count, &end, &err));
    assert_int_equal(count, 3);
    named = d[0];
    write_with(publish);
    OK(blob_promise(w.s, &d[1], &info, &err)); /* its mark waits for the writer still */
    struct blob_upload *u;
    assert_int_equal(blob_upload_open(w.s, &d[2], 9, 0, &u, &durable, &err), ERR_EXISTS);
    OK(gc_drop(w.s, list, count, &gone, &bytes, &err));
    assert_int_equal(gone, 0);
    drain(); /* now it is marked in the row */
    OK(gc_drop(w.s, list, count, &gone, &bytes, &err));
    assert_int_equal(gone, 0);
    assert_true(is_there(&d[0]) && is_there(&d[1]) && is_there(&d[2]));
    /* A restart forgets nothing of it. */
    store_close(w.s);
    OK(store_open_with(&w.s, w.dir, &(struct store_options){.stepped = true}, &err));
    assert_int_equal(collect(GRACE / 2, &gone), 2);
    assert_int_equal(gone, 0);
}

/* What is just going is not there for anybody, and can be sent again at once. */
static void what_is_going_is_sent_again(void **state)
{
    (void)state;
    struct digest d = stored(1, 3 * MIB), again;
    struct blob_info info;
    assert_true(blob_guard_mark(w.s, &d));
    assert_int_equal(blob_stat(w.s, &d, &info, &err), ERR_NOT_FOUND);
    assert_int_equal(blob_promise(w.s, &d, &info, &err), ERR_NOT_FOUND);
    again = stored(1, 3 * MIB); /* before the drop reached blobs.db's writer */
    assert_true(digest_equal(&d, &again));
    blob_guard_clear(w.s);
    assert_true(is_there(&d));
    uint64_t gone;
    assert_int_equal(collect(0, &gone), 1);
    assert_true(is_there(&d));
}

static int cancel(struct store_conn *c)
{
    OK(op_run_end(c, w.run, RUN_CANCELLED, "by hand", 60, &err));
    return 0;
}
static int fail_run(struct store_conn *c)
{
    OK(op_run_end(c, w.run, RUN_FAILED, "by itself", 60, &err));
    return 0;
}
static bool swept_more;
static int sweep(struct store_conn *c)
{
    OK(op_sweep(c, (uint64_t)env_wall_ms(), &swept_more, &err));
    return 0;
}
static void sweep_all(void)
{
    do
        write_with(sweep);
    while (swept_more);
}

/* Months of runs that were tried and given up must not fill the disk. */
static void a_cancelled_run_keeps_its_last_models_alone(void **state)
{
    (void)state;
    struct digest d[4];
    train(4, d);
    role = ROLE_STATE; /* of a model of its own, since a job has one output here */
    key = (struct job_key){.kind = JOB_TRAIN, .target = TARGET_EXPERT, .index = 1, .step_last = 10};
    struct digest optimizer = named = stored(60, 100);
    write_with(publish);
    write_with(cancel);
    sweep_all();
    assert_string_equal(dropped(4), "1110");
    struct store_conn *c;
    bool used;
    OK(store_read_begin(w.s, &c, &err));
    OK(op_blob_used(c, &optimizer, &used, &err));
    store_read_end(w.s, c);
    assert_false(used); /* nobody goes on with training */
}

static void a_failed_run_keeps_all(void **state)
{
    (void)state;
    struct digest d[4];
    train(4, d);
    write_with(fail_run);
    sweep_all();
    assert_string_equal(dropped(4), "0000");
}

static unsigned liar;
static int lie(struct store_conn *c)
{
    struct msg_blob out = {.role = ROLE_MODEL, .digest = stored(100 + liar, 50), .bytes = 50};
    struct msg_complete m = {.outputs = &out, .output_count = 1};
    struct msg_fence f = {1, 2 + liar};
    uint64_t id;
    OK(op_replay_insert(c, job, false, 0, 5, 50, &id, &err));
    OK(op_job_take(c, id, w.agent, &f, 51, &err));
    OK(op_job_done(c, id, &m, NULL, (uint64_t)env_wall_ms(), &err));
    OK(op_replay_verdict(c, id, REPLAY_DIFFERED, &err));
    return 0;
}

static void a_machine_that_computes_wrongly_does_not_fill_the_disk(void **state)
{
    (void)state;
    struct digest d[1];
    struct store_conn *c;
    unsigned kept = 0;
    bool used, last = false;
    train(1, d);
    for (liar = 0; liar < 12; liar++)
        write_with(lie);
    OK(store_read_begin(w.s, &c, &err));
    for (unsigned i = 0; i < 12; i++) {
        struct digest of = stored(100 + i, 50);
        OK(op_blob_used(c, &of, &used, &err));
        kept += used;
        last = used;
    }
    store_read_end(w.s, c);
    assert_int_equal(kept, 8);
    assert_true(last);
    assert_string_equal(dropped(1), "0");
}

/* Agents ask for as long as the disk fails. That must not fill the memory, nor keep the blob once
 * the disk is well. */
static void a_promise_that_cannot_be_written_is_made_good(void **state)
{
    (void)state;
    struct digest d = stored(1, 9);
    struct blob_info info;
    unsigned pieces = 0, n;
    uint64_t gone;
    drain();
    run_sql(w.dir, "blobs.db",
            "CREATE TRIGGER fails BEFORE UPDATE OF touched_ms ON blob"
            " BEGIN SELECT raise(ABORT, 'disk'); END");
    for (int i = 0; i < 100; i++) {
        OK(blob_promise(w.s, &d, &info, &err));
        while ((n = store_writer_step(w.s)))
            pieces += n;
    }
    assert_int_equal(pieces, 1);
    collect(2 * GRACE, &gone);
    assert_int_equal(gone, 0);
    run_sql(w.dir, "blobs.db", "DROP TRIGGER fails");
    store_probe(w.s);
    drain();
    collect(GRACE / 2, &gone);
    assert_int_equal(gone, 0);
    collect(2 * GRACE, &gone);
    assert_int_equal(gone, 1);
    assert_false(is_there(&d));
}

static uint64_t backup;
static int backup_begin(struct store_conn *c)
{
    OK(op_backup_insert(c, 100, &backup, &err));
    return 0;
}
static int backup_made(struct store_conn *c)
{
    struct digest snapshot = stored(50, 5), list = stored(51, 6);
    OK(op_backup_made(c, backup, &snapshot, &list, 6, 200, &err));
    return 0;
}
static int backup_expires(struct store_conn *c)
{
    uint64_t ended;
    OK(op_backups_expire(c, 199, &ended, &err));
    assert_int_equal(ended, 0);
    OK(op_backups_expire(c, 201, &ended, &err));
    assert_int_equal(ended, 1);
    assert_int_equal(op_backup_renew(c, backup, 300, &err), ERR_NOT_FOUND);
    return 0;
}

static void a_backup_keeps_what_it_may_name(void **state)
{
    (void)state;
    struct gc_candidate list[GC_LOOK];
    struct digest before = stored(1, 100), after, cursor = {{0}};
    uint64_t gone, bytes = 0;
    uint32_t count;
    bool end;
    write_with(backup_begin);
    assert_int_equal(collect(2 * GRACE, &gone), 1);
    write_with(backup_made);
    after = stored(2, 100);
    struct store_conn *c;
    uint64_t pinned, backups;
    OK(store_read_begin(w.s, &c, &err));
    OK(op_backups_pinned(c, &pinned, &backups, &err));
    store_read_end(w.s, c);
    assert_true(pinned == 6 && backups == 1);
    assert_int_equal(collect(2 * GRACE, &gone), 1);
    assert_int_equal(gone, 1); /* what came after the snapshot can't be in it */
    assert_true(is_there(&before) && !is_there(&after));
    write_with(backup_expires);
    gone = 0;
    OK(gc_look_released(w.s, GRACE, env_wall_ms() + 2 * GRACE, &cursor, list, &count, &end, &err));
    assert_int_equal(count, 2);
    OK(gc_drop(w.s, list, count, &gone, &bytes, &err));
    assert_true(gone == 2 && bytes == 11);
    assert_int_equal(collect(2 * GRACE, &gone), 0);
    assert_false(is_there(&before));
}

/* A backup takes its room twice for a while. It must not be what stops the run's writes. */
static void a_backup_without_room_writes_nothing(void **state)
{
    (void)state;
    char path[80];
    snprintf(path, sizeof path, "%s/snapshot-1.db", w.dir);
    atomic_fetch_add(&w.s->upload_bytes, 1ull << 60); /* spoken for */
    assert_int_equal(snapshot_write(w.s, path, &err), ERR_NO_SPACE);
    assert_non_null(strstr(err.message, "no room for a backup"));
    assert_false(env_file_exists(path));
    atomic_fetch_sub(&w.s->upload_bytes, 1ull << 60);
    OK(snapshot_write(w.s, path, &err));
    assert_true(env_file_exists(path));
}

static void flushed(void *arg, int rc, const struct err *e)
{
    (void)arg;
    check_ok(rc, e, "flush", __LINE__);
}

static void abandoned_uploads_go(void **state)
{
    (void)state;
    struct blob_upload *u;
    struct digest d = {{7}};
    uint64_t durable, gone;
    OK(blob_upload_open(w.s, &d, 9 * MIB, 0, &u, &durable, &err));
    blob_upload_take(u, (uint8_t[100]){0}, 100);
    struct gc_candidate list[GC_LOOK];
    struct blob_info info;
    uint64_t cursor = 0;
    uint32_t count;
    bool end;
    blob_upload_flush(u, false, flushed, NULL);
    drain();
    blob_upload_close(u);
    OK(gc_look(w.s, GRACE, env_wall_ms() + 2 * GRACE, &cursor, list, &count, &end, &err));
    assert_true(count == 1 && list[0].later && list[0].why == GC_PARTIAL && list[0].size == 100);
    collect(BLOB_ABANDONED_MS + 1000, &gone);
    assert_int_equal(gone, 1);
    assert_int_equal(blob_stat(w.s, &d, &info, &err), ERR_NOT_FOUND);
}

/* --- checks ------------------------------------------------------------------------------------
 */

static struct msg_scrub check_all(uint64_t run, struct scrub **out)
{
    bool more = true;
    int steps = 0;
    OK(scrub_create(out, w.s, run, &err));
    for (; more; steps++)
        OK(scrub_step(*out, MIB, &more, &err));
    assert_true(steps > 3);
    return *scrub_found(*out);
}

/* Three bytes of a blob's file become others, or it ends there. */
static void change_file(const struct digest *d, uint64_t offset, const char *bytes)
{
    struct store_conn *c;
    struct blob_row row;
    char path[100];
    OK(store__blob_read_begin(w.s, &c, &err));
    OK(blob_row_find(c, d, &row, &err));
    store__blob_read_end(w.s, c);
    snprintf(path, sizeof path, "%s/blobs/%llu.blob", w.dir, (unsigned long long)row.id);
    assert_int_equal(truncate(path, (off_t)(bytes ? row.size : offset)), 0);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    if (bytes) {
        assert_int_equal(fseek(f, (long)offset, SEEK_SET), 0);
        assert_int_equal(fwrite(bytes, 1, 3, f), 3);
    }
    fclose(f);
}

static void check_finds_and_names_what_is_bad(void **state)
{
    (void)state;
    struct scrub *k;
    struct digest d[3];
    key = (struct job_key){.kind = JOB_TRAIN, .target = TARGET_EXPERT, .step_last = 10};
    role = ROLE_MODEL;
    named = d[0] = stored(1, 5 * MIB + 3);
    write_with(publish);
    key.index = 1;
    named = d[1] = stored(2, 3 * MIB);
    write_with(publish);
    d[2] = stored(3, 100); /* nobody's */
    struct msg_scrub found = check_all(0, &k);
    assert_true(found.bad_total == 0 && found.blobs_total == 6 && found.bytes == found.bytes_total);
    scrub_destroy(k);
    found = check_all(w.run, &k);
    assert_true(found.bad_total == 0 && found.blobs == 5 && found.blobs_total == 5);
    scrub_destroy(k);

    /* A byte flips in the last chunk of one, a chunk of the other is lost, then all of it. */
    change_file(&d[0], 5 * MIB, "\0\1\2");
    found = check_all(w.run, &k);
    assert_true(found.bad_total == 1 && found.bad_count == 1);
    assert_true(digest_equal(&found.bad[0].digest, &d[0]));
    assert_string_equal(found.bad[0].named, "run demo: train expert 0, steps 0 to 10: model");
    assert_string_equal(found.bad[0].problem, "its bytes are others");
    scrub_destroy(k);
    change_file(&d[1], 2 * MIB, NULL);
    found = check_all(0, &k);
    assert_int_equal(found.bad_total, 2);
    scrub_destroy(k);
    run_sql(w.dir, "blobs.db", "DELETE FROM blob WHERE size = 3145728");
    found = check_all(0, &k);
    assert_int_equal(found.bad_total, 2);
    const struct msg_scrub_bad *missing = &found.bad[1];
    assert_true(digest_equal(&missing->digest, &d[1]));
    assert_string_equal(missing->named, "run demo: train expert 1, steps 0 to 10: model");
    scrub_destroy(k);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(unnamed_goes_after_its_grace_and_leaves_room),
        TEST(what_retention_drops_goes_at_once),
        TEST(retention_keeps_what_its_spec_says),
        TEST(the_last_verified_one_is_one_that_is_there),
        TEST(a_cancelled_run_keeps_its_last_models_alone),
        TEST(a_failed_run_keeps_all),
        TEST(a_machine_that_computes_wrongly_does_not_fill_the_disk),
        TEST(who_comes_between_keeps_it),
        TEST(a_promise_that_cannot_be_written_is_made_good),
        TEST(what_is_going_is_sent_again),
        TEST(a_backup_keeps_what_it_may_name),
        TEST(a_backup_without_room_writes_nothing),
        TEST(abandoned_uploads_go),
        TEST(check_finds_and_names_what_is_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
