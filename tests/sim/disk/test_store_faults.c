/* A disk that is full, fails or has become read-only costs the coordinator what it was just about
 * to say yes to, and nothing else: who hears yes finds it again, who hears no finds nothing half
 * done, and once the disk is well work goes on without a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coordinator/lease/lease.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store.h"
#include "tests/sim/disk/one_machine.h"
#include "tests/sim/vfs.h"

#define MILLION 1000000
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("seed %u, line %d: %s: %s", w->seed, __LINE__, #call, err.message);           \
    } while (0)

enum { RUNS_MAX = 4096, BLOBS = 6, BLOB_BYTES = 1300000 };

static struct err err;

/* What was asked for, and what the answer was. */
struct world {
    unsigned seed;
    uint64_t random;
    struct sim_disk *disk;
    struct store *store;
    unsigned asked; /* data sets 1…asked */
    bool yes[RUNS_MAX];
    struct {
        struct digest digest;
        uint8_t *data;
        uint64_t durable; /* acknowledged */
    } blobs[BLOBS];
    unsigned refused, agreed;
};

static unsigned draw(struct world *w, unsigned below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(w->random >> 33) % below;
}

static int open_store(struct world *w)
{
    static const struct store_options o = {.lock_ms = 0, .stepped = true};
    w->store = NULL;
    return store_open_with(&w->store, "data", &o, &err);
}

/* --- rows
 * ------------------------------------------------------------------------------------------ */

struct request {
    struct world *w;
    unsigned number;
    bool done;
};

static void name_of(unsigned number, char out[32])
{
    snprintf(out, 32, "data-%u", number);
}

/* A row of a data set and two of shards: whole or not at all. */
static int insert(struct store_conn *c, void *arg, struct err *e)
{
    const struct request *r = arg;
    struct msg_shard shard = {.bytes = 10, .sequences = 4000};
    char name[32];
    uint64_t id;
    name_of(r->number, name);
    struct msg_dataset m = {.name = name,
                            .vocab = 512,
                            .seq = 16,
                            .train = &shard,
                            .train_count = 1,
                            .heldout = &shard,
                            .heldout_count = 1,
                            .train_sequences = 4000,
                            .heldout_sequences = 4000};
    return op_dataset_insert(c, &m, 1, &id, e);
}

static void inserted(void *arg, int rc, const struct err *e)
{
    struct request *r = arg;
    (void)e;
    r->done = true;
    r->w->yes[r->number] = rc == 0;
    *(rc ? &r->w->refused : &r->w->agreed) += 1;
}

/* Whether the data set is there, as a whole. */
static bool is_there(struct world *w, unsigned number)
{
    struct store_conn *c;
    struct msg_dataset m;
    struct arena a;
    char name[32];
    uint64_t id;
    name_of(number, name);
    arena_init(&a, 1u << 20);
    OK(store_read_begin(w->store, &c, &err));
    int rc = op_dataset_find(c, name, &id, &err);
    if (!rc) {
        OK(op_dataset_get(c, id, true, &a, &m, &err));
        if (m.train_count != 1 || m.heldout_count != 1)
            fail_msg("seed %u: data set %u is half there", w->seed, number);
    } else if (rc != ERR_NOT_FOUND) {
        fail_msg("seed %u: %s", w->seed, err.message);
    }
    store_read_end(w->store, c);
    arena_free(&a);
    return rc == 0;
}

static void write_some(struct world *w)
{
    struct request r[8];
    unsigned n = 1 + draw(w, 8);
    for (unsigned i = 0; i < n; i++) {
        r[i] = (struct request){w, ++w->asked, false};
        store_write(w->store, insert, inserted, &r[i]);
    }
    while (store_writer_step(w->store) > 0)
        ;
    for (unsigned i = 0; i < n; i++)
        assert_true(r[i].done);
}

/* --- blobs
 * ----------------------------------------------------------------------------------------- */

struct flush {
    int rc;
    bool done;
};

static void flushed(void *arg, int rc, const struct err *e)
{
    struct flush *f = arg;
    *f = (struct flush){rc, true};
    if (rc)
        err = *e;
}

/* Goes on with the blob for a piece or a few; returns the first error. */
static int send_some(struct world *w, unsigned b, unsigned pieces)
{
    struct blob_upload *u = NULL;
    struct blob_info info;
    uint64_t durable = 0;
    int rc = blob_stat(w->store, &w->blobs[b].digest, &info, &err);
    if (rc && rc != ERR_NOT_FOUND)
        return rc;
    if (rc)
        info = (struct blob_info){0};
    if (info.offset < w->blobs[b].durable)
        fail_msg("seed %u: blob %u: %llu bytes were acknowledged, %llu are there", w->seed, b,
                 (unsigned long long)w->blobs[b].durable, (unsigned long long)info.offset);
    if (info.complete)
        return 0;
    rc = blob_upload_open(w->store, &w->blobs[b].digest, BLOB_BYTES, info.offset, &u, &durable,
                          &err);
    while (!rc && pieces-- > 0 && blob_upload_offset(u) < BLOB_BYTES) {
        struct flush f = {0};
        size_t at = (size_t)blob_upload_offset(u), len = 1 + draw(w, 300000);
        if (len > BLOB_BYTES - at)
            len = BLOB_BYTES - at;
        size_t took = blob_upload_take(u, w->blobs[b].data + at, len);
        bool room = at + took < BLOB_BYTES && draw(w, 2);
        if (room) /* not durable yet: nothing is promised */
            blob_upload_make_room(u, flushed, &f);
        else
            blob_upload_flush(u, at + took == BLOB_BYTES, flushed, &f);
        while (store_writer_step(w->store) > 0)
            ;
        assert_true(f.done);
        rc = f.rc;
        if (!rc && !room)
            w->blobs[b].durable = blob_upload_offset(u);
    }
    blob_upload_close(u);
    return rc;
}

/* --- troubles
 * ---------------------------------------------------------------------------------------- */

static void trouble(struct world *w)
{
    struct sim_disk_faults f = {0};
    static const uint32_t chances[] = {MILLION, MILLION / 3, MILLION / 30};
    uint32_t ppm = chances[draw(w, 3)];
    switch (draw(w, 6)) {
    case 0:
        f.bytes_max = sim_disk_used(w->disk) + draw(w, 300000);
        break;
    case 1:
        f.write_ppm = ppm;
        break;
    case 2:
        f.sync_ppm = ppm;
        break;
    case 3:
        f.read_ppm = ppm;
        break;
    case 4:
        f.read_only = true;
        break;
    default:
        f.write_ppm = f.sync_ppm = f.read_ppm = ppm / 10;
    }
    sim_disk_set_faults(w->disk, &f);
}

static void well(struct world *w)
{
    sim_disk_set_faults(w->disk, &(struct sim_disk_faults){0});
}

/* The log is written back as after every thousand pages, sometimes while somebody reads on, and
 * what is newer than that reader's snapshot stays. */
static void write_back(struct world *w)
{
    struct store_conn *reader = NULL;
    if (draw(w, 2) && store_read_begin(w->store, &reader, &err) == 0) {
        uint64_t id;
        (void)!op_dataset_find(reader, "none", &id, &err);
        write_some(w);
    }
    static const char *const files[] = {"data/tacit.db", "data/blobs.db"};
    for (int i = 0; i < 2; i++) {
        sqlite3 *db;
        if (sqlite3_open(files[i], &db) == SQLITE_OK)
            sqlite3_exec(db, "PRAGMA wal_checkpoint(PASSIVE)", NULL, NULL, NULL);
        sqlite3_close(db);
    }
    if (reader)
        store_read_end(w->store, reader);
}

/* The coordinator ends, one way or another, and comes back: while the disk still fails, that may
 * fail, too, and must do no harm. */
static void restart(struct world *w)
{
    unsigned how = draw(w, 3);
    if (how == 1)
        sim_disk_kill(w->disk);
    if (how == 2)
        sim_disk_power_loss(w->disk, SIM_DISK_LOSS_DRAWN, w->random);
    store_close(w->store);
    if (open_store(w)) {
        well(w);
        OK(open_store(w));
    }
    well(w);
}

static void check_all(struct world *w, bool same_process)
{
    for (unsigned i = 1; i <= w->asked; i++) {
        bool there = is_there(w, i);
        if (w->yes[i] && !there)
            fail_msg("seed %u: data set %u was acknowledged and is gone", w->seed, i);
        if (!w->yes[i] && there && same_process)
            fail_msg("seed %u: data set %u was refused and is there", w->seed, i);
        w->yes[i] = there; /* a refused one may have been written just before the end */
    }
}

static void play(unsigned seed, unsigned *refused, unsigned *agreed)
{
    struct world *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->random = seed * 77777u;
    w->disk = sim_disk_create(seed);
    machine_use(w->disk);
    machine_seed(seed);
    sim_vfs_register();
    for (unsigned b = 0; b < BLOBS; b++) {
        w->blobs[b].data = malloc(BLOB_BYTES);
        for (size_t i = 0; i < BLOB_BYTES; i++)
            w->blobs[b].data[i] = (uint8_t)(i * (b + seed) >> 5);
        memcpy(w->blobs[b].data, &b, sizeof b);
        digest_of(w->blobs[b].data, BLOB_BYTES, &w->blobs[b].digest);
    }
    OK(open_store(w));
    for (unsigned round = 0; round < 12; round++) {
        trouble(w);
        for (unsigned i = 0; i < 4; i++) {
            write_some(w);
            (void)!send_some(w, draw(w, BLOBS), 2);
            if (draw(w, 3) == 0)
                write_back(w);
        }
        bool restarted = round % 3 == 2;
        if (restarted)
            restart(w);
        well(w);
        check_all(w, !restarted);
        unsigned before = w->refused;
        write_some(w);
        if (w->refused != before)
            fail_msg("seed %u: the disk is well, and still no write goes through", seed);
        OK(send_some(w, draw(w, BLOBS), 1));
    }
    for (unsigned b = 0; b < BLOBS; b++) /* all arrive, whole: the digest is checked at the end */
        OK(send_some(w, b, 1000));
    store_close(w->store);
    *refused += w->refused;
    *agreed += w->agreed;
    for (unsigned b = 0; b < BLOBS; b++)
        free(w->blobs[b].data);
    sim_disk_destroy(w->disk);
    free(w);
}

static void test_troubles_of_the_disk_pass(void **state)
{
    unsigned refused = 0, agreed = 0, seeds = getenv("TACIT_SLOW") ? 400 : 25;
    (void)state;
    for (unsigned seed = 1; seed <= seeds; seed++)
        play(seed, &refused, &agreed);
    print_message("%u seeds: %u writes acknowledged, %u refused\n", seeds, agreed, refused);
    assert_true(refused > 20 * seeds && agreed > 20 * seeds);
}

/* Writes `n` data sets, each in a transaction of its own. */
static void write_rows(struct world *w, unsigned n)
{
    struct request r;
    while (n-- > 0) {
        r = (struct request){w, ++w->asked, false};
        store_write(w->store, insert, inserted, &r);
        while (store_writer_step(w->store) > 0)
            ;
        assert_true(w->yes[r.number]);
    }
}

/* Pages that went to the database file while somebody read are not synced there yet. If then the
 * file's sync fails, they are lost though the next sync succeeds: they must be written again before
 * the log goes that has them. `spared`: syncs that go well before that one. */
static uint64_t lose_a_sync(uint32_t spared)
{
    struct world *w = calloc(1, sizeof *w);
    struct store_conn *reader;
    struct sim_disk_stat log = {0};
    uint64_t id, failed;
    w->disk = sim_disk_create(1);
    machine_use(w->disk);
    sim_vfs_register();
    OK(open_store(w));
    write_rows(w, 50);
    OK(store_read_begin(w->store, &reader, &err));
    assert_int_equal(op_dataset_find(reader, "none", &id, &err), ERR_NOT_FOUND);
    while (log.size < 4500000) { /* beyond a thousand pages, it is written back at every commit */
        write_rows(w, 1);
        assert_int_equal(sim_disk_stat(w->disk, "data/tacit.db-wal", &log), 0);
    }
    store_read_end(w->store, reader);
    sim_disk_set_faults(w->disk,
                        &(struct sim_disk_faults){.sync_ppm = MILLION, .syncs_spared = spared});
    struct request r = {w, ++w->asked, false};
    store_write(w->store, insert, inserted, &r);
    store_writer_step(w->store);
    failed = sim_disk_sync_errors(w->disk);
    well(w);
    write_rows(w, 1); /* all is written back */
    write_rows(w, 3); /* over what the log had */
    sim_disk_power_loss(w->disk, SIM_DISK_LOSS_ALL, 1);
    store_close(w->store);
    OK(open_store(w));
    check_all(w, false);
    store_close(w->store);
    sim_disk_destroy(w->disk);
    free(w);
    return failed;
}

static void test_a_failed_sync_of_the_file_loses_nothing(void **state)
{
    uint32_t spared = 0;
    (void)state;
    while (lose_a_sync(spared) > 0) /* each sync of that commit in turn */
        spared++;
    assert_true(spared >= 3); /* the log's, the log's again, the file's */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_failed_sync_of_the_file_loses_nothing),
        cmocka_unit_test(test_troubles_of_the_disk_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
