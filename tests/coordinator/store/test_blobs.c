/* Uploads that break go on where they were durable, wrong bytes leave nothing behind, and what was
 * stored comes back byte for byte. TACIT_SLOW=1 adds a blob of 1 GiB: its way up and down may not
 * take memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "coordinator/store/blob_rows.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/store_parts.h"
#include "tests/coordinator/store/store_check.h"
#include "tests/coordinator/store/temp_dir.h"

#define MIB ((uint64_t)1 << 20)

struct fixture {
    char dir[64];
    struct store *s;
};

static void reopen(struct fixture *f)
{
    store_close(f->s);
    OK(store_open_with(&f->s, f->dir, &(struct store_options){.lock_ms = 0, .stepped = true},
                       &err));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    temp_dir_make(f->dir);
    reopen(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    temp_dir_remove(f->dir);
    free(f);
    return 0;
}

/* Bytes that differ from chunk to chunk. */
static uint8_t *some_bytes(size_t len, unsigned seed, struct digest *d)
{
    uint8_t *data = malloc(len + 1);
    uint64_t x = seed * 0x9e3779b97f4a7c15ull + 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        data[i] = (uint8_t)(x >> 56);
    }
    digest_of(data, len, d);
    return data;
}

struct answer {
    int calls, rc;
};

static void on_done(void *arg, int rc, const struct err *e)
{
    struct answer *a = arg;
    a->calls++;
    a->rc = rc;
    if (rc)
        err = *e;
}

static int flush(struct store *s, struct blob_upload *u, bool last)
{
    struct answer a = {0};
    blob_upload_flush(u, last, on_done, &a);
    while (!a.calls)
        store_writer_step(s);
    assert_int_equal(a.calls, 1);
    return a.rc;
}

/* Sends data[from…to) as a connection would: in pieces of an odd size, a flush whenever full. */
static int send(struct store *s, struct blob_upload *u, const uint8_t *data, size_t from, size_t to,
                bool last)
{
    int rc = 0;
    assert_int_equal(blob_upload_offset(u), from);
    while (!rc && from < to) {
        size_t piece = to - from < 60013 ? to - from : 60013;
        size_t took = blob_upload_take(u, data + from, piece);
        from += took;
        if (took < piece)
            rc = flush(s, u, false);
    }
    return rc ? rc : flush(s, u, last);
}

static void expect_bytes(struct store *s, const struct digest *d, const uint8_t *data, size_t len)
{
    uint8_t *back = malloc(len + 100);
    size_t got;
    struct blob_info info;
    OK(blob_stat(s, d, &info, &err));
    assert_true(info.complete && info.size == len && info.offset == len);
    OK(blob_read(s, d, 0, back, len + 100, &got, &err));
    assert_int_equal(got, len);
    assert_memory_equal(back, data, len);
    /* A range over a chunk's bound. */
    if (len > MIB + 10) {
        OK(blob_read(s, d, MIB - 7, back, 15, &got, &err));
        assert_int_equal(got, 15);
        assert_memory_equal(back, data + MIB - 7, 15);
    }
    OK(blob_read(s, d, len, back, 10, &got, &err));
    assert_int_equal(got, 0);
    assert_int_equal(blob_read(s, d, len + 1, back, 10, &got, &err), ERR_RANGE);
    free(back);
}

static void test_stores_and_returns_every_length(void **state)
{
    struct fixture *f = *state;
    static const size_t lengths[] = {0, 1, 65536, MIB - 1, MIB, MIB + 1, 3 * MIB + 5, 4 * MIB};
    uint64_t blobs, bytes, sum = 0;
    for (unsigned i = 0; i < 8; i++) {
        struct digest d, put;
        uint8_t *data = some_bytes(lengths[i], i, &d);
        struct blob_upload *u;
        uint64_t durable;
        OK(blob_upload_open(f->s, &d, lengths[i], 0, &u, &durable, &err));
        OK(send(f->s, u, data, 0, lengths[i], true));
        blob_upload_close(u);
        expect_bytes(f->s, &d, data, lengths[i]);
        OK(blob_put(f->s, data, lengths[i], &put, &err)); /* there already: fine */
        assert_true(digest_equal(&d, &put));
        free(data);
        sum += lengths[i];
    }
    OK(blob_totals(f->s, &blobs, &bytes, &err));
    assert_true(blobs == 8 && bytes == sum);
    assert_int_equal(f->s->upload_bytes, 0);
}

/* The connection breaks, the coordinator even restarts: at a chunk's bound, within a chunk, and
 * more than once within the same chunk. */
static void break_upload(struct fixture *f, unsigned seed, bool narrow)
{
    static const size_t breaks[] = {2 * MIB, 2 * MIB + 1, 2 * MIB + 70000, 3 * MIB - 1,
                                    4 * MIB + 9};
    struct digest d;
    size_t len = 5 * MIB + 12345, from = 0;
    uint8_t *data = some_bytes(len, seed, &d), byte;
    struct blob_info info;
    size_t got;
    for (unsigned i = 0; i < 6; i++) {
        struct blob_upload *u;
        uint64_t durable;
        size_t to = i < 5 ? breaks[i] : len;
        if (from > 0)
            assert_int_equal(blob_upload_open(f->s, &d, len, from - 1, &u, &durable, &err),
                             ERR_CONFLICT);
        if (narrow) /* as if others had the wide buffers */
            atomic_store(&f->s->uploads_wide, 100);
        OK(blob_upload_open(f->s, &d, len, from, &u, &durable, &err));
        assert_int_equal(durable, from);
        OK(send(f->s, u, data, from, to, i == 5));
        blob_upload_close(u);
        if (i == 5)
            break;
        OK(blob_stat(f->s, &d, &info, &err));
        assert_true(!info.complete && info.size == len && info.offset == to);
        assert_int_equal(blob_read(f->s, &d, 0, &byte, 1, &got, &err), ERR_NOT_FOUND);
        if (i % 2)
            reopen(f);
        from = to;
    }
    expect_bytes(f->s, &d, data, len);
    free(data);
}

/* Free pages in blobs.db, as rows of earlier blobs left them: they take large ones, too. */
static void make_pages(struct fixture *f, unsigned mib)
{
    char sql[128];
    snprintf(sql, sizeof sql, "CREATE TABLE filler AS SELECT zeroblob(%u) AS x; DROP TABLE filler",
             mib << 20);
    run_sql(f->dir, "blobs.db", sql);
}

static size_t files(struct fixture *f)
{
    char **names;
    size_t count;
    OK(env_dir_list(f->s->blob_folder, &names, &count, &err));
    env_dir_list_free(names, count);
    return count;
}

static uint64_t chunk_rows(struct store *s)
{
    struct store_conn *c;
    struct query q;
    OK(store__blob_read_begin(s, &c, &err));
    query_open(&q, c, "SELECT count(*) FROM chunk");
    assert_int_equal(query_step(&q, &err), 1);
    uint64_t rows = column_u64(&q, 0);
    query_close(&q);
    store__blob_read_end(s, c);
    return rows;
}

static void test_broken_upload_goes_on(void **state)
{
    break_upload(*state, 7, false);
    break_upload(*state, 8, true);
    assert_int_equal(files(*state), 2);
    assert_int_equal(chunk_rows(((struct fixture *)*state)->s), 0);
    make_pages(*state, 14);
    break_upload(*state, 9, false);
    break_upload(*state, 10, true);
    assert_int_equal(files(*state), 2);
    assert_int_equal(chunk_rows(((struct fixture *)*state)->s), 12);
}

static void send_part(struct fixture *f, const struct digest *d, const uint8_t *data, size_t len,
                      size_t to)
{
    struct blob_upload *u;
    uint64_t durable;
    OK(blob_upload_open(f->s, d, len, 0, &u, &durable, &err));
    OK(send(f->s, u, data, 0, to, false));
    blob_upload_close(u);
}

/* A state of many gigabytes goes on at once: what is durable is not read again, or the client would
 * give up waiting, at the same place each time. */
static void test_going_on_reads_nothing_anew(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 6 * MIB, at = 5 * MIB + 77;
    uint8_t *data = some_bytes(len, 20, &d);
    struct blob_upload *u;
    uint64_t durable;
    make_pages(f, 8);
    send_part(f, &d, data, len, at);
    reopen(f);
    run_sql(f->dir, "blobs.db",
            "CREATE TABLE away AS SELECT * FROM chunk WHERE id % 1048576 < 5;"
            "DELETE FROM chunk WHERE id % 1048576 < 5");
    OK(blob_upload_open(f->s, &d, len, at, &u, &durable, &err));
    run_sql(f->dir, "blobs.db", "INSERT INTO chunk SELECT * FROM away");
    OK(send(f->s, u, data, at, len, true));
    blob_upload_close(u);
    expect_bytes(f->s, &d, data, len);
    free(data);
}

/* Abandoned uploads do not fill the disk for ever, and a hash that another version of the library
 * began is not gone on with; what is fresh or complete stays. */
static void test_start_drops_abandoned_uploads(void **state)
{
    struct fixture *f = *state;
    static const char *const age[] = {
        "UPDATE blob SET touched_ms = touched_ms - 8 * 86400000",
        "UPDATE blob SET touched_ms = touched_ms - 6 * 86400000",
        "UPDATE blob SET hash_kind = 'libsodium 0.0.1' WHERE hash_kind IS NOT NULL"};
    struct digest d, whole;
    size_t len = 3 * MIB;
    uint8_t *data = some_bytes(len, 21, &d);
    struct blob_info info;
    OK(blob_put(f->s, "whole", 5, &whole, &err));
    for (int i = 0; i < 3; i++) {
        send_part(f, &d, data, len, 2 * MIB);
        run_sql(f->dir, "blobs.db", age[i]);
        reopen(f);
        while (store_writer_step(f->s))
            ;
        int rc = blob_stat(f->s, &d, &info, &err);
        assert_int_equal(rc, i == 1 ? 0 : ERR_NOT_FOUND);
        assert_int_equal(chunk_rows(f->s), 1);
        assert_int_equal(files(f), i == 1);
        if (i == 1) {
            run_sql(f->dir, "blobs.db", age[0]);
            reopen(f);
        }
    }
    expect_bytes(f->s, &whole, (const uint8_t *)"whole", 5);
    free(data);
}

static void test_wrong_bytes_leave_nothing(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 40 * MIB;
    uint8_t *data = some_bytes(len, 3, &d);
    struct blob_upload *u;
    struct blob_info info;
    uint64_t durable;
    data[5 * MIB] ^= 1;
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    assert_int_equal(send(f->s, u, data, 0, len, true), ERR_DIGEST);
    blob_upload_close(u);
    assert_int_equal(blob_stat(f->s, &d, &info, &err), ERR_NOT_FOUND);
    while (store_writer_step(f->s))
        ;
    assert_int_equal(files(f), 0);
    data[5 * MIB] ^= 1; /* and now the right ones */
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    OK(send(f->s, u, data, 0, len, true));
    blob_upload_close(u);
    expect_bytes(f->s, &d, data, len);
    free(data);
}

/* Killed while it removes a dropped blob's chunks: the next start goes on. */
static void test_interrupted_removal_goes_on(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 40 * MIB;
    uint8_t *data = some_bytes(len, 4, &d);
    struct blob_upload *u;
    uint64_t durable;
    make_pages(f, 42);
    data[0] ^= 1;
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    assert_int_equal(send(f->s, u, data, 0, len, true), ERR_DIGEST);
    blob_upload_close(u);
    assert_true(chunk_rows(f->s) > 0);
    reopen(f);
    while (store_writer_step(f->s))
        ;
    assert_int_equal(chunk_rows(f->s), 0);
    free(data);
}

static void test_short_and_oversized_uploads_are_refused(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    uint8_t *data = some_bytes(1000, 5, &d);
    struct blob_upload *u;
    uint64_t durable, room;
    OK(blob_upload_open(f->s, &d, 1000, 0, &u, &durable, &err));
    assert_int_equal(blob_upload_take(u, data, 400), 400);
    assert_int_equal(flush(f->s, u, true), ERR_INVALID); /* ended too early */
    assert_int_equal(blob_upload_take(u, data + 400, 600), 600);
    assert_int_equal(blob_upload_take(u, data, 1), 0); /* more than was announced */
    OK(flush(f->s, u, true));
    blob_upload_close(u);
    assert_int_equal(blob_upload_open(f->s, &d, 1000, 1000, &u, &durable, &err), ERR_EXISTS);
    assert_int_equal(durable, 1000);
    d.bytes[0] ^= 1;
    assert_int_equal(blob_upload_open(f->s, &d, MIB * MIB + 1, 0, &u, &durable, &err),
                     ERR_TOO_LARGE);
    OK(env_disk_free(f->dir, &room, &err));
    if (room < MIB * MIB) {
        assert_int_equal(blob_upload_open(f->s, &d, MIB * MIB, 0, &u, &durable, &err),
                         ERR_NO_SPACE);
        assert_non_null(strstr(err.message, f->dir));
    }
    free(data);
}

/* As if the disk had no room for more than so many bytes of a file. */
static void limit_files(uint64_t bytes, struct rlimit *before)
{
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    struct rlimit full = {(rlim_t)bytes, before->rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
}

/* The disk fills up in the middle: the uploader hears so, what was durable stays, and once there is
 * room the upload goes on. */
static void test_full_disk_is_said_and_survived(void **state)
{
    struct fixture *f = *state;
    struct digest d, small;
    size_t len = 5 * MIB;
    uint8_t *data = some_bytes(len, 12, &d);
    struct blob_upload *u;
    struct blob_info info;
    uint64_t durable;
    struct rlimit before;
    atomic_store(&f->s->uploads_wide, 100);
    limit_files(5 * MIB / 2, &before);
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    assert_int_equal(send(f->s, u, data, 0, len, true), ERR_TOO_LARGE);
    blob_upload_close(u);
    OK(blob_put(f->s, "small", 5, &small, &err)); /* others still get in */
    OK(blob_stat(f->s, &d, &info, &err));
    assert_true(info.offset >= MIB && info.offset < len && info.offset % MIB == 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    OK(blob_upload_open(f->s, &d, len, info.offset, &u, &durable, &err));
    OK(send(f->s, u, data, info.offset, len, true));
    blob_upload_close(u);
    expect_bytes(f->s, &d, data, len);
    free(data);
}

/* Fills the buffer from data[*at…]. */
static void fill_up(struct blob_upload *u, const uint8_t *data, size_t *at, size_t len)
{
    size_t took;
    do {
        took = blob_upload_take(u, data + *at, len - *at < 60013 ? len - *at : 60013);
        *at += took;
    } while (took > 0 && *at < len);
}

/* While one buffer is on its way to the disk, the next bytes are taken, but no more than one
 * buffer of them; only what is on the disk is said to be there. */
static void test_takes_on_while_it_writes(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 13 * MIB + 5, at = 0, first;
    uint8_t *data = some_bytes(len, 14, &d);
    struct blob_upload *u;
    struct blob_info info;
    uint64_t durable;
    struct answer a = {0}, b = {0};
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    fill_up(u, data, &at, len);
    first = at;
    blob_upload_make_room(u, on_done, &a);
    assert_true(a.calls == 1 && a.rc == 0);
    fill_up(u, data, &at, len);
    assert_int_equal(at, 2 * first);
    assert_int_equal(blob_stat(f->s, &d, &info, &err), ERR_NOT_FOUND);
    blob_upload_make_room(u, on_done, &b);
    assert_int_equal(b.calls, 0);
    store_writer_step(f->s);
    assert_true(b.calls == 1 && b.rc == 0);
    OK(blob_stat(f->s, &d, &info, &err));
    assert_int_equal(info.offset, first);
    /* The connection breaks while the second is being written; it is kept. */
    OK(flush(f->s, u, false));
    blob_upload_close(u);
    OK(blob_stat(f->s, &d, &info, &err));
    assert_true(info.offset == 2 * first && !info.complete);
    assert_int_equal(f->s->upload_bytes, 0);
    assert_int_equal(f->s->uploads_wide, 0);
    /* The end waits for what is under way. */
    OK(blob_upload_open(f->s, &d, len, at, &u, &durable, &err));
    fill_up(u, data, &at, len);
    a = (struct answer){0};
    blob_upload_make_room(u, on_done, &a);
    fill_up(u, data, &at, len);
    assert_int_equal(at, len);
    OK(flush(f->s, u, true));
    blob_upload_close(u);
    expect_bytes(f->s, &d, data, len);
    free(data);
}

/* What could not be written behind an uploader's back he hears with his next bytes, whether he
 * comes with them before or after. */
static void test_failure_behind_is_told(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 20 * MIB;
    uint8_t *data = some_bytes(len, 15, &d);
    struct blob_upload *u;
    struct blob_info info;
    uint64_t durable;
    struct rlimit limit;
    limit_files(2 * MIB, &limit);
    for (int before = 0; before < 2; before++) {
        struct answer a = {0}, b = {0};
        size_t at = 0;
        OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
        fill_up(u, data, &at, len);
        blob_upload_make_room(u, on_done, &a);
        assert_int_equal(a.rc, 0);
        fill_up(u, data, &at, len);
        if (!before)
            store_writer_step(f->s);
        blob_upload_make_room(u, on_done, &b);
        if (before)
            store_writer_step(f->s);
        assert_int_equal(b.calls, 1);
        assert_int_equal(b.rc, ERR_TOO_LARGE);
        blob_upload_close(u);
        assert_int_equal(f->s->upload_bytes, 0);
        assert_int_equal(blob_stat(f->s, &d, &info, &err), ERR_NOT_FOUND);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    free(data);
}

static void make_room(struct store *s, struct blob_upload *u, int want)
{
    struct answer a = {0};
    blob_upload_make_room(u, on_done, &a);
    while (store_writer_step(s))
        ;
    assert_true(a.calls == 1 && a.rc == want);
}

/* Bytes that are written and not durable yet: nobody is told of them; another upload of the blob,
 * with wrong bytes even, does not write over them, but makes them durable and goes on after them;
 * and a broken connection keeps them. */
static void test_nobody_writes_over_what_is_ahead(void **state)
{
    struct fixture *f = *state;
    struct digest d, other;
    size_t len = 21 * MIB + 9, at = 0;
    uint8_t *wrong = some_bytes(len, 31, &other), *data = some_bytes(len, 30, &d);
    struct blob_upload *a, *b;
    struct blob_info info;
    uint64_t durable, first, ahead;
    OK(blob_upload_open(f->s, &d, len, 0, &a, &durable, &err));
    fill_up(a, data, &at, len);
    first = at;
    make_room(f->s, a, 0); /* makes the row */
    fill_up(a, data, &at, len);
    ahead = at;
    make_room(f->s, a, 0);
    OK(blob_stat(f->s, &d, &info, &err));
    assert_int_equal(info.offset, first);
    OK(blob_upload_open(f->s, &d, len, first, &b, &durable, &err));
    assert_int_equal(send(f->s, b, wrong, first, first + 5, false), ERR_CONFLICT);
    blob_upload_close(b);
    OK(blob_stat(f->s, &d, &info, &err));
    assert_int_equal(info.offset, ahead);
    fill_up(a, data, &at, len);
    assert_int_equal(flush(f->s, a, false), ERR_CONFLICT);
    blob_upload_close(a);
    OK(blob_upload_open(f->s, &d, len, ahead, &b, &durable, &err));
    at = ahead;
    fill_up(b, data, &at, len);
    make_room(f->s, b, 0);
    OK(flush(f->s, b, false)); /* nothing but what is ahead */
    blob_upload_close(b);
    OK(blob_stat(f->s, &d, &info, &err));
    assert_int_equal(info.offset, at);
    OK(blob_upload_open(f->s, &d, len, at, &b, &durable, &err));
    OK(send(f->s, b, data, at, len, true));
    blob_upload_close(b);
    expect_bytes(f->s, &d, data, len);
    assert_int_equal(f->s->upload_bytes, 0);
    free(data);
    free(wrong);
}

/* What a coordinator that was killed has left in the folder goes; what is not ours stays. */
static void test_start_removes_files_without_blobs(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    uint8_t *data = some_bytes(3 * MIB, 33, &d);
    char path[128];
    OK(blob_put(f->s, data, 3 * MIB, &d, &err));
    static const char *const names[] = {"77.blob", "notes"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", f->s->blob_folder, names[i]);
        OK(env_file_write_atomic(path, "x", 1, 0600, &err));
    }
    assert_int_equal(files(f), 3);
    reopen(f);
    assert_int_equal(files(f), 2);
    assert_true(env_file_exists(path));
    expect_bytes(f->s, &d, data, 3 * MIB);
    free(data);
}

/* Two agents send the same blob at the same time: one gets through, the other is told to look
 * again, and nothing is mixed. */
static void test_two_uploaders_of_one_digest(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 3 * MIB + 99;
    uint8_t *data = some_bytes(len, 6, &d);
    struct blob_upload *a, *b;
    uint64_t durable;
    OK(blob_upload_open(f->s, &d, len, 0, &a, &durable, &err));
    OK(blob_upload_open(f->s, &d, len, 0, &b, &durable, &err));
    OK(send(f->s, a, data, 0, MIB + 5, false));
    assert_int_equal(send(f->s, b, data, 0, MIB, false), ERR_CONFLICT);
    blob_upload_close(b);
    OK(blob_upload_open(f->s, &d, len, MIB + 5, &b, &durable, &err));
    OK(send(f->s, b, data, MIB + 5, len, true));
    blob_upload_close(b);
    assert_int_equal(send(f->s, a, data, MIB + 5, 2 * MIB + 5, false), ERR_EXISTS);
    blob_upload_close(a);
    expect_bytes(f->s, &d, data, len);
    assert_int_equal(f->s->upload_bytes, 0);
    free(data);
}

/* An upload that announced a wrong size must not keep the right one out. */
static void test_wrong_size_does_not_block_the_name(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = MIB + 50;
    uint8_t *data = some_bytes(len, 8, &d);
    struct blob_upload *u;
    uint64_t durable;
    OK(blob_upload_open(f->s, &d, len + 1, 0, &u, &durable, &err));
    OK(send(f->s, u, data, 0, len, false));
    blob_upload_close(u);
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    OK(send(f->s, u, data, 0, len, true));
    blob_upload_close(u);
    expect_bytes(f->s, &d, data, len);
    free(data);
}

/* blob_put meets half an upload of somebody else's. */
static void test_put_goes_on_from_a_broken_upload(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 2 * MIB + 50;
    uint8_t *data = some_bytes(len, 9, &d), *bad = some_bytes(len, 10, &d);
    struct blob_upload *u;
    uint64_t durable;
    digest_of(data, len, &d);
    OK(blob_upload_open(f->s, &d, len, 0, &u, &durable, &err));
    OK(send(f->s, u, bad, 0, MIB + 9, false)); /* of wrong bytes, even */
    blob_upload_close(u);
    OK(blob_put(f->s, data, len, &d, &err));
    expect_bytes(f->s, &d, data, len);
    free(data);
    free(bad);
}

static void write_until_killed(const char *dir, const struct digest *d, const uint8_t *data,
                               size_t len, int out)
{
    struct store *s;
    struct err e;
    struct blob_upload *u;
    uint64_t durable;
    struct store_options o = {.lock_ms = 5000, .stepped = true};
    if (store_open_with(&s, dir, &o, &e))
        _exit(2);
    int rc = blob_upload_open(s, d, len, 0, &u, &durable, &e);
    if (rc == ERR_CONFLICT)
        rc = blob_upload_open(s, d, len, durable, &u, &durable, &e);
    if (rc)
        _exit(3);
    while (blob_upload_offset(u) < len) {
        uint64_t at = blob_upload_offset(u);
        blob_upload_take(u, data + at, len - at);
        if (flush(s, u, false))
            _exit(4);
        at = blob_upload_offset(u);
        if (write(out, &at, sizeof at) != sizeof at)
            _exit(5);
    }
    pause();
}

/* kill -9 while chunks are written: all that was answered is there, and goes on to the right
 * digest. */
static void test_kill_keeps_acknowledged_chunks(void **state)
{
    struct fixture *f = *state;
    struct digest d;
    size_t len = 24 * MIB + 3;
    uint8_t *data = some_bytes(len, 11, &d);
    struct blob_info info;
    uint64_t acknowledged = 0;
    store_close(f->s);
    for (int round = 1; round <= 3; round++) {
        int fds[2];
        uint64_t at;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            write_until_killed(f->dir, &d, data, len, fds[1]);
        }
        close(fds[1]);
        while (acknowledged < (uint64_t)round * 6 * MIB && read(fds[0], &at, sizeof at) > 0)
            acknowledged = at;
        kill(child, SIGKILL);
        while (read(fds[0], &at, sizeof at) > 0)
            acknowledged = at;
        waitpid(child, NULL, 0);
        close(fds[0]);
    }
    OK(store_open_with(&f->s, f->dir, &(struct store_options){.stepped = true}, &err));
    OK(blob_stat(f->s, &d, &info, &err));
    assert_true(info.offset >= acknowledged && acknowledged >= 18 * MIB);
    OK(blob_put(f->s, data, len, &d, &err));
    expect_bytes(f->s, &d, data, len);
    free(data);
}

static void fill_mib(uint8_t *chunk, uint64_t number)
{
    for (size_t i = 0; i < MIB; i += 8) {
        uint64_t x = (number << 32 | i) * 0x9e3779b97f4a7c15ull;
        memcpy(chunk + i, &x, 8);
    }
}

static void test_a_gigabyte_up_and_down_takes_no_memory(void **state)
{
    struct fixture *f = *state;
    static uint8_t chunk[MIB], back[MIB];
    struct digest d;
    struct digest_state h;
    struct blob_upload *u;
    uint64_t durable, count = 1024;
    size_t got;
    if (!env_get("TACIT_SLOW"))
        skip();
    store_close(f->s);
    OK(store_open(&f->s, f->dir, &err));
    digest_init(&h);
    for (uint64_t i = 0; i < count; i++) {
        fill_mib(chunk, i);
        digest_update(&h, chunk, MIB);
    }
    digest_final(&h, &d);
    double start = env_monotonic_s();
    OK(blob_upload_open(f->s, &d, count * MIB, 0, &u, &durable, &err));
    for (uint64_t i = 0; i < count;) {
        fill_mib(chunk, i);
        bool took = blob_upload_take(u, chunk, MIB) == MIB;
        i += took;
        if (!took || i == count) {
            struct answer a = {0};
            blob_upload_flush(u, i == count, on_done, &a);
            while (!*(volatile int *)&a.calls)
                usleep(100);
            OK(a.rc);
        }
    }
    blob_upload_close(u);
    double up = env_monotonic_s() - start;
    start = env_monotonic_s();
    for (uint64_t at = 0; at < count * MIB; at += got) {
        OK(blob_read(f->s, &d, at, back, MIB / 4, &got, &err));
        if (at % MIB == 0)
            fill_mib(chunk, at / MIB);
        assert_memory_equal(back, chunk + at % MIB, got);
    }
    double down = env_monotonic_s() - start;
    printf("1 GiB: up %.0f MB/s, down %.0f MB/s, peak memory %.1f MiB\n", 1073.7 / up,
           1073.7 / down, (double)env_memory_peak() / MIB);
    assert_true(env_memory_peak() < 64 * MIB);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(
            test_a_gigabyte_up_and_down_takes_no_memory), /* first: peak memory counts from start */
        TEST(test_stores_and_returns_every_length),
        TEST(test_broken_upload_goes_on),
        TEST(test_going_on_reads_nothing_anew),
        TEST(test_start_drops_abandoned_uploads),
        TEST(test_wrong_bytes_leave_nothing),
        TEST(test_interrupted_removal_goes_on),
        TEST(test_short_and_oversized_uploads_are_refused),
        TEST(test_full_disk_is_said_and_survived),
        TEST(test_takes_on_while_it_writes),
        TEST(test_failure_behind_is_told),
        TEST(test_nobody_writes_over_what_is_ahead),
        TEST(test_start_removes_files_without_blobs),
        TEST(test_two_uploaders_of_one_digest),
        TEST(test_wrong_size_does_not_block_the_name),
        TEST(test_put_goes_on_from_a_broken_upload),
        TEST(test_kill_keeps_acknowledged_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
