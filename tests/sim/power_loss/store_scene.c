#include "tests/sim/power_loss/store_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/protocol/spec.h"
#include "coordinator/lease/lease.h"
#include "coordinator/lease/lease_clock.h"
#include "coordinator/run/advance.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/ops.h"
#include "coordinator/store/store.h"
#include "tests/coordinator/run/corpus_run.h"
#include "tests/sim/disk/one_machine.h"
#include "tests/sim/vfs.h"

#define DIR "data"
#define AGENTS 4
#define KIB 1024u
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("line %d: %s: %s (%s)", __LINE__, #call, err.message, err.origin);            \
    } while (0)

static struct err err;

/* A coordinator without its network. */
struct world {
    struct scene *scene;
    struct service service;
    struct arena arena;
    uint64_t run, agents[AGENTS];
    struct msg_grant held[AGENTS];
    unsigned made; /* blobs, that each differ */
};

static struct fact *fact_add(struct scene *s, enum fact_kind kind, uint64_t id)
{
    assert_true(s->count < FACTS_MAX);
    struct fact *f = &s->facts[s->count];
    *f = (struct fact){.kind = kind, .id = id};
    sim_disk_mark(s->disk, s->count++);
    return f;
}

static int open_store(struct service *s, struct err *e)
{
    static const struct store_options o = {.lock_ms = 0, .stepped = true};
    int rc = store_open_with(&s->store, DIR, &o, e);
    if (!rc)
        rc = lease_clock_create(&s->leases, e);
    return rc;
}

static void close_store(struct service *s)
{
    store_close(s->store);
    lease_clock_destroy(s->leases);
    *s = (struct service){0};
}

static void start(struct world *w)
{
    OK(open_store(&w->service, &err));
    fact_add(w->scene, FACT_OPENED, store_incarnation(w->service.store));
}

/* --- requests, some in one transaction ------------------------------------------------------- */

struct request {
    struct world *w;
    call_fn *fn;
    struct call call;
    const void *in;
    void *out;
    void (*acknowledge)(struct request *r); /* its fact */
    unsigned agent;
    bool done;
};

static int request_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct request *r = arg;
    r->call.conn = c;
    return r->fn(&r->call, r->in, r->out, e);
}

static void request_done(void *arg, int rc, const struct err *e)
{
    struct request *r = arg;
    if (rc)
        fail_msg("%s (%s)", e->message, e->origin);
    r->done = true;
    if (r->acknowledge)
        r->acknowledge(r);
}

static void queue(struct world *w, struct request *r)
{
    r->w = w;
    r->call = (struct call){.service = &w->service,
                            .arena = &w->arena,
                            .caller = CALLER_AGENT,
                            .agent = w->agents[r->agent],
                            .id = r->call.id,
                            .checked = true,
                            .now_ms = 1000,
                            .wall_ms = 1700000000000};
    store_write(w->service.store, request_fn, request_done, r);
}

static void run_queue(struct world *w)
{
    while (store_writer_step(w->service.store) > 0)
        ;
}

static void joined(struct request *r)
{
    const struct msg_joined *m = r->out;
    r->w->agents[r->agent] = m->agent;
    struct fact *f = fact_add(r->w->scene, FACT_AGENT, m->agent);
    snprintf(f->token, sizeof f->token, "%s", m->token);
}

static void join_all(struct world *w)
{
    struct request r[AGENTS];
    struct msg_join in[AGENTS];
    struct msg_joined out[AGENTS];
    char identity[AGENTS][65];
    for (unsigned i = 0; i < AGENTS; i++) {
        memset(identity[i], 'a' + (int)i, 64);
        identity[i][64] = 0;
        in[i] = (struct msg_join){.identity = identity[i], .name = "machine", .threads = 1};
        r[i] = (struct request){
            .fn = lease_join, .in = &in[i], .out = &out[i], .acknowledge = joined, .agent = i};
        queue(w, &r[i]);
        if (i % 2) /* two a transaction */
            run_queue(w);
    }
}

static void granted(struct request *r)
{
    const struct msg_grant *g = r->out;
    r->w->held[r->agent] = *g;
    struct fact *f = fact_add(r->w->scene, FACT_GRANT, g->job);
    f->agent = r->w->agents[r->agent];
    f->fence = *g->fence;
}

/* The first `agents` claim in one transaction. */
static void claim_all(struct world *w, unsigned agents)
{
    struct request r[AGENTS];
    struct msg_claim in = {0};
    struct msg_grant out[AGENTS];
    for (unsigned i = 0; i < agents; i++) {
        r[i] = (struct request){
            .fn = lease_claim, .in = &in, .out = &out[i], .acknowledge = granted, .agent = i};
        queue(w, &r[i]);
    }
    run_queue(w);
}

static void give_back(struct world *w, unsigned agent, bool as_failed)
{
    struct msg_release release = {.fence = w->held[agent].fence};
    struct msg_fail failed = {.fence = w->held[agent].fence, .error = "the machine is too hot"};
    struct msg_empty out;
    struct request r = {.fn = as_failed ? lease_fail : lease_release,
                        .in = as_failed ? (const void *)&failed : &release,
                        .out = &out,
                        .agent = agent};
    r.call.id = w->held[agent].job;
    queue(w, &r);
    run_queue(w);
    assert_true(r.done);
}

/* --- blobs --------------------------------------------------------------------------------------
 */

static const uint8_t *make_bytes(struct world *w, size_t len, struct digest *d)
{
    struct scene *s = w->scene;
    assert_true(s->blob_count < 32);
    uint8_t *data = malloc(len);
    uint64_t x = ++w->made;
    for (size_t i = 0; i < len; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        data[i] = (uint8_t)(x >> 56);
    }
    digest_of(data, len, d);
    return s->blobs[s->blob_count++] = data;
}

struct flush {
    int rc;
    bool done;
};

static void flushed(void *arg, int rc, const struct err *e)
{
    struct flush *f = arg;
    f->rc = rc;
    f->done = true;
    if (rc)
        err = *e;
}

static int flush(struct store *s, struct blob_upload *u, bool last)
{
    struct flush f = {0};
    blob_upload_flush(u, last, flushed, &f);
    while (!f.done)
        store_writer_step(s);
    return f.rc;
}

/* What was taken goes on its way; nothing is promised of it. */
static int make_room(struct store *s, struct blob_upload *u)
{
    struct flush f = {0};
    blob_upload_make_room(u, flushed, &f);
    while (!f.done)
        store_writer_step(s);
    return f.rc;
}

/* Sends bytes [at, to), `step` a flush; before it, half of a step where something is written ahead
 * of what is durable. */
static int send_range(struct store *s, struct blob_upload *u, const uint8_t *data, size_t at,
                      size_t to, size_t step, size_t len, struct world *acknowledge,
                      const struct digest *d)
{
    int rc = 0;
    while (!rc && at < to) {
        size_t part = to - at < step ? to - at : step, ahead = part / 2;
        at += blob_upload_take(u, data + at, ahead);
        rc = acknowledge ? make_room(s, u) : 0;
        if (rc)
            break;
        at += blob_upload_take(u, data + at, part - ahead);
        rc = flush(s, u, at == len);
        if (rc || !acknowledge)
            continue;
        struct fact *f = fact_add(acknowledge->scene, at == len ? FACT_BLOB : FACT_OFFSET, 0);
        f->digest = *d;
        f->bytes = data;
        f->len = len;
        f->size = at;
    }
    return rc;
}

/* An upload in pieces, broken off in the middle and gone on with under another handle. */
static void upload(struct world *w, size_t len, size_t step, size_t stop)
{
    struct store *s = w->service.store;
    struct blob_upload *u;
    struct digest d;
    uint64_t durable;
    const uint8_t *data = make_bytes(w, len, &d);
    OK(blob_upload_open(s, &d, len, 0, &u, &durable, &err));
    OK(send_range(s, u, data, 0, stop, step, len, w, &d));
    blob_upload_close(u);
    if (stop == len)
        return;
    OK(blob_upload_open(s, &d, len, stop, &u, &durable, &err));
    OK(send_range(s, u, data, stop, len, step, len, w, &d));
    blob_upload_close(u);
}

/* Bytes that are not what their name says: all of them go again, in pieces. */
static void upload_wrong(struct world *w, size_t len)
{
    struct blob_upload *u;
    struct digest d;
    uint64_t durable;
    const uint8_t *data = make_bytes(w, len, &d);
    d.bytes[0] ^= 1;
    OK(blob_upload_open(w->service.store, &d, len, 0, &u, &durable, &err));
    assert_int_equal(send_range(w->service.store, u, data, 0, len, 200 * KIB, len, NULL, &d),
                     ERR_DIGEST);
    blob_upload_close(u);
    run_queue(w);
}

static void completed(struct request *r)
{
    const struct msg_completed *m = r->out;
    const struct msg_complete *in = r->in;
    fact_add(r->w->scene, FACT_DONE, r->call.id)->digest = in->outputs[0].digest;
    if (m->next) {
        r->w->held[r->agent] = *m->next;
        struct fact *f = fact_add(r->w->scene, FACT_GRANT, m->next->job);
        f->agent = r->w->agents[r->agent];
        f->fence = *m->next->fence;
    }
}

static void complete(struct world *w, unsigned agent)
{
    struct msg_blob outputs[2];
    struct msg_completed out = {0};
    struct msg_complete m = {.fence = w->held[agent].fence,
                             .outputs = outputs,
                             .output_count = 2,
                             .loss = 2.5,
                             .seconds = 1.5,
                             .tokens = 1000};
    for (int i = 0; i < 2; i++) {
        size_t len = i ? 70 * KIB : 300;
        const uint8_t *data = make_bytes(w, len, &outputs[i].digest);
        outputs[i] = (struct msg_blob){.role = i ? ROLE_STATE : ROLE_MODEL, .bytes = len};
        OK(blob_put(w->service.store, data, len, &outputs[i].digest, &err));
        outputs[i].content = outputs[i].digest;
        struct fact *f = fact_add(w->scene, FACT_BLOB, 0);
        f->digest = outputs[i].digest;
        f->bytes = data;
        f->len = f->size = len;
    }
    struct request r = {
        .fn = lease_complete, .in = &m, .out = &out, .acknowledge = completed, .agent = agent};
    r.call.id = w->held[agent].job;
    queue(w, &r);
    run_queue(w);
    assert_true(r.done);
}

/* --- the scenario -------------------------------------------------------------------------------
 */

static const char spec_text[] = "[run]\nname = demo\ndataset = corpus\nexperts = 2\n"
                                "[router]\nhidden = 16\nlayers = 1\nheads = 2\nsequences = 64\n"
                                "rounds = 2\nbatch = 8\nprefix = 8\n"
                                "[expert]\nhidden = 16\nlayers = 1\nheads = 2\nsteps = 200\n"
                                "batch = 2\n[checkpoint]\nevery_steps = 10\npublish_steps = 20\n";

static int make_run(struct call *c, const void *in, void *out, struct err *e)
{
    struct buf spec;
    (void)in;
    int rc = corpus_run_make(c, spec_text, &spec, &((struct world *)out)->run, e);
    buf_free(&spec);
    return rc;
}

static void run_made(struct request *r)
{
    fact_add(r->w->scene, FACT_RUN, r->w->run);
}

/* WAL written back while it is used, and begun anew, as it happens after every thousand pages. */
static void checkpoint(const char *pragma)
{
    static const char *const files[] = {DIR "/tacit.db", DIR "/blobs.db"};
    for (int i = 0; i < 2; i++) {
        sqlite3 *db;
        assert_int_equal(sqlite3_open(files[i], &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_close(db);
    }
}

static void restart(struct world *w, bool killed)
{
    if (killed)
        sim_disk_kill(w->scene->disk);
    close_store(&w->service);
    if (!killed)
        fact_add(w->scene, FACT_CLOSED, 0);
    start(w);
}

static void play_round(struct world *w, unsigned round)
{
    claim_all(w, 3);
    complete(w, 0);
    upload(w, 300 * KIB + round, 100 * KIB, 200 * KIB);
    give_back(w, 1, round % 2);
    restart(w, round % 2 == 0);
    claim_all(w, 3);
    checkpoint("PRAGMA wal_checkpoint(PASSIVE)");
    complete(w, 0);
    give_back(w, 2, false);
    checkpoint("PRAGMA wal_checkpoint(RESTART)");
    give_back(w, 0, false);
}

void scene_play(struct scene *s, unsigned rounds)
{
    struct world w = {.scene = s};
    memset(s, 0, sizeof *s);
    s->disk = sim_disk_create(1);
    machine_use(s->disk);
    machine_seed(1);
    sim_vfs_register();
    s->journal = sim_disk_record(s->disk);
    arena_init(&w.arena, 64u << 20);
    start(&w);
    join_all(&w);
    struct request r = {.fn = make_run, .out = &w, .acknowledge = run_made};
    queue(&w, &r);
    run_queue(&w);
    upload(&w, (1 << 20) + 500 * KIB, 400 * KIB, 800 * KIB);
    upload_wrong(&w, 500 * KIB);
    for (unsigned i = 0; i < rounds; i++)
        play_round(&w, i);
    restart(&w, false);
    upload(&w, 90 * KIB, 60 * KIB, 90 * KIB);
    close_store(&w.service);
    fact_add(s, FACT_CLOSED, 0);
    arena_free(&w.arena);
}

void scene_free(struct scene *s)
{
    for (unsigned i = 0; i < s->blob_count; i++)
        free(s->blobs[i]);
    sim_disk_destroy(s->disk);
}

/* --- states: all rows of all tables -------------------------------------------------------------
 */

static uint64_t mix_bytes(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t word;
    for (; len >= 8; len -= 8, p += 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    word = 0;
    memcpy(&word, p, len);
    return (h ^ word ^ len) * 0xbf58476d1ce4e5b9u;
}

/* What is wrong with the database is a state of its own, that never was. */
static uint64_t hash_rows(sqlite3 *db, uint64_t h, const char *sql)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(st); i++) {
            int type = sqlite3_column_type(st, i);
            const void *bytes = sqlite3_column_blob(st, i);
            h = mix_bytes(h, &type, sizeof type);
            if (bytes)
                h = mix_bytes(h, bytes, (size_t)sqlite3_column_bytes(st, i));
        }
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? h : mix_bytes(h, &rc, sizeof rc);
}

static uint64_t hash_database(const char *path)
{
    sqlite3 *db;
    sqlite3_stmt *st = NULL;
    uint64_t h = 1;
    if (sqlite3_open(path, &db) == SQLITE_OK) {
        h = hash_rows(db, h, "PRAGMA user_version");
        static const char tables[] = "SELECT name FROM sqlite_schema WHERE type = 'table'"
                                     " AND name NOT LIKE 'sqlite_stat%' ORDER BY name";
        int rc = sqlite3_prepare_v2(db, tables, -1, &st, NULL);
        while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
            char *sql = sqlite3_mprintf("SELECT * FROM %Q", sqlite3_column_text(st, 0));
            h = hash_rows(db, h, sql);
            sqlite3_free(sql);
        }
        sqlite3_finalize(st);
        if (rc != SQLITE_OK)
            h = mix_bytes(h, &rc, sizeof rc);
    }
    sqlite3_close(db);
    return h;
}

void scene_state(void *arg, uint64_t out[2])
{
    struct sim_disk_stat st;
    (void)arg;
    bool folder = sim_disk_stat(sim_disk_current(), DIR, &st) == 0;
    out[0] = folder ? hash_database(DIR "/tacit.db") : 1;
    out[1] = folder ? hash_database(DIR "/blobs.db") : 1;
}

/* --- checks: the store itself, opened again
 * -------------------------------------------------------- */

struct reopened {
    struct service service;
    struct store_conn *c; /* a snapshot */
    struct arena arena;
    char *why;
    size_t cap;
};

static bool refuse(struct reopened *x, const struct fact *f, const char *what)
{
    snprintf(x->why, x->cap, "fact of kind %d, id %llu: %s", f->kind, (unsigned long long)f->id,
             what);
    return false;
}

static bool check_agent(struct reopened *x, const struct fact *f)
{
    uint64_t id;
    if (lease_agent_of_token(x->c, f->token, &id, &err) || id != f->id)
        return refuse(x, f, "its token is not known");
    return true;
}

static bool check_job(struct reopened *x, const struct fact *f)
{
    struct job_row row;
    struct msg_blob *outputs;
    uint32_t count;
    if (op_job_get(x->c, f->id, &x->arena, &row, &err))
        return refuse(x, f, err.message);
    if (f->kind == FACT_GRANT)
        return lease_fence_compare(&row.fence, &f->fence) >= 0 ||
               refuse(x, f, "its fence has gone back");
    if (row.state != JOB_DONE || op_outputs(x->c, f->id, &x->arena, &outputs, &count, &err) ||
        count != 2 || !digest_equal(&outputs[0].digest, &f->digest))
        return refuse(x, f, "what was done is not");
    return true;
}

/* Of an upload: goes on from what is durable to the end, whose digest must be right. */
static bool check_bytes(struct reopened *x, const struct fact *f)
{
    struct store *s = x->service.store;
    struct blob_info info;
    struct blob_upload *u;
    uint64_t durable;
    if (blob_stat(s, &f->digest, &info, &err) || info.offset < f->size)
        return refuse(x, f, "bytes that were acknowledged are gone");
    if (!info.complete) {
        int rc = blob_upload_open(s, &f->digest, f->len, info.offset, &u, &durable, &err);
        if (!rc) {
            rc = send_range(s, u, f->bytes, info.offset, f->len, KIB * KIB, f->len, NULL, NULL);
            blob_upload_close(u);
        }
        if (rc)
            return refuse(x, f, err.message);
    }
    uint8_t *back = malloc(f->len + 1);
    size_t got = 0;
    int rc = blob_read(s, &f->digest, 0, back, f->len + 1, &got, &err);
    bool right = !rc && got == f->len && memcmp(back, f->bytes, got) == 0;
    free(back);
    return right || refuse(x, f, rc ? err.message : "other bytes than were sent");
}

static bool check_fact(struct reopened *x, const struct fact *f)
{
    struct run_row run;
    switch (f->kind) {
    case FACT_OPENED:
        return store_incarnation(x->service.store) > f->id ||
               refuse(x, f, "the incarnation has gone back");
    case FACT_AGENT:
        return check_agent(x, f);
    case FACT_RUN:
        if (op_run_get(x->c, f->id, &x->arena, &run, &err) || run.state != RUN_ACTIVE)
            return refuse(x, f, "the run is not there");
        return true;
    case FACT_GRANT:
    case FACT_DONE:
        return check_job(x, f);
    case FACT_OFFSET:
    case FACT_BLOB:
        return check_bytes(x, f);
    case FACT_CLOSED:
        break;
    }
    return true;
}

static bool check_integrity(struct reopened *x, const struct fact *f)
{
    static const char *const files[] = {DIR "/tacit.db", DIR "/blobs.db"};
    for (int i = 0; i < 2; i++) {
        sqlite3 *db;
        sqlite3_stmt *st = NULL;
        sqlite3_open(files[i], &db);
        bool sound = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK &&
                     sqlite3_step(st) == SQLITE_ROW &&
                     strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
        sqlite3_finalize(st);
        sqlite3_close(db);
        if (!sound)
            return refuse(x, f, "a database is damaged");
    }
    return true;
}

static bool check_facts(struct reopened *x, const struct scene *s, size_t acknowledged)
{
    bool good = true;
    if (store_read_begin(x->service.store, &x->c, &err))
        return refuse(x, &s->facts[0], err.message);
    for (size_t i = 0; good && i < acknowledged; i++)
        good = check_fact(x, &s->facts[i]);
    store_read_end(x->service.store, x->c);
    return good;
}

static bool open_and_check(struct reopened *x, const struct scene *s, size_t acknowledged)
{
    static const struct fact opening = {.kind = FACT_OPENED};
    if (open_store(&x->service, &err))
        return refuse(x, &opening, err.message);
    return check_integrity(x, &opening) && check_facts(x, s, acknowledged);
}

/* Power goes again, right after: what was seen once must stay, since somebody may have been told.
 */
static bool lose_again(struct reopened *x, const struct scene *s, size_t acknowledged)
{
    struct sim_disk *disk = sim_disk_current(), *copy;
    uint64_t incarnation = store_incarnation(x->service.store), seen[2], left[2];
    scene_state(NULL, seen);
    sim_disk_power_loss(disk, SIM_DISK_LOSS_ALL, 0);
    close_store(&x->service);
    copy = sim_disk_clone(disk, 1);
    machine_use(copy);
    scene_state(NULL, left);
    machine_use(disk);
    sim_disk_destroy(copy);
    if (left[0] != seen[0] || left[1] != seen[1])
        return refuse(x, &s->facts[0], "what could be read after opening was not durable");
    if (!open_and_check(x, s, acknowledged))
        return false;
    return store_incarnation(x->service.store) > incarnation ||
           refuse(x, &s->facts[0], "the second opening did not go on from the first");
}

bool scene_check(void *arg, size_t acknowledged, char *why, size_t cap)
{
    const struct scene *s = arg;
    struct reopened x = {.why = why, .cap = cap};
    arena_init(&x.arena, 8u << 20);
    bool good = open_and_check(&x, s, acknowledged) && lose_again(&x, s, acknowledged);
    close_store(&x.service);
    arena_free(&x.arena);
    return good;
}
