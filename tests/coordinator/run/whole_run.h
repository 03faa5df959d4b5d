/* A small run that is done from its first job to its last, and what can happen to its blobs. */
#ifndef TACIT_TESTS_COORDINATOR_RUN_WHOLE_RUN_H
#define TACIT_TESTS_COORDINATOR_RUN_WHOLE_RUN_H

#include "tests/coordinator/run/run_world.h"

#include <sqlite3.h>

static const char whole_run_spec[] =
    "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
    "[router]\nhidden = 4\nlayers = 1\nheads = 2\nprefix = 4\nrounds = 2\n"
    "sequences = 60\nbatch = 4\n"
    "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nsteps = 24\nbatch = 4\n"
    "chunk = 80\n"
    "[dense]\nenabled = no\n[checkpoint]\npublish_steps = 12\n";

static inline void make_run(struct world *w)
{
    struct msg_run run;
    OK(spec_parse(whole_run_spec, strlen(whole_run_spec), "t.ini", &w->spec, &err));
    OK(create(w, whole_run_spec, false, &run));
}

#define GRANTS_MAX 100

/* The whole run; keeps what each job was told. */
static inline uint32_t do_all(struct world *w, struct msg_grant *grants)
{
    struct msg_grant g;
    uint32_t n = 0;
    while (next_job(w, "demo", &g))
        do {
            assert_true(n < GRANTS_MAX);
            grants[n++] = g;
        } while (do_job(w, &g));
    return n;
}

/* As a hand with sqlite3 would, or a disk that turns a bit. */
static inline void change_byte(struct world *w, const struct digest *d)
{
    char path[128];
    sqlite3 *db;
    sqlite3_stmt *st;
    static const char edit[] =
        "UPDATE chunk SET data = CAST(substr(data, 1, length(data) - 1) || x'00' AS BLOB)"
        " WHERE id / 1048576 = (SELECT id FROM blob WHERE digest = ?)";
    snprintf(path, sizeof path, "%s/blobs.db", w->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, edit, -1, &st, NULL), SQLITE_OK);
    sqlite3_bind_blob(st, 1, d->bytes, DIGEST_BYTES, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(sqlite3_changes(db), 1);
    sqlite3_finalize(st);
    sqlite3_close(db);
}

#endif
