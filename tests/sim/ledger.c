#include "tests/sim/ledger.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/arena.h"
#include "core/protocol/messages.h"
#include "coordinator/api/exchange.h"
#include "coordinator/store/blobs.h"
#include "coordinator/store/gc.h"
#include "tests/sim/disk.h"

#define BLOBS 4096u /* buckets */
#define GRANTS 16   /* kept a job: the newest */

struct grant_made {
    struct msg_fence fence;
    uint64_t when;
};

struct job_promise {
    struct grant_made grants[GRANTS];
    uint64_t granted;
    bool complete;
    struct msg_fence by; /* the fence under which it was published */
    struct digest outputs;
};

struct blob_promise {
    struct blob_promise *next;
    struct digest digest;
    uint64_t offset; /* told */
    int64_t told_at; /* that it is whole */
    bool complete;
};

static struct {
    struct job_promise *jobs;
    size_t job_cap;
    struct blob_promise *blobs[BLOBS];
    uint64_t when, completions;
    bool coordinator_errors, agent_errors, clock_jumped;
} ledger;

void ledger_start(void)
{
    memset(&ledger, 0, sizeof ledger);
}

void ledger_expect_io_errors(bool coordinator)
{
    if (coordinator)
        ledger.coordinator_errors = true;
    else
        ledger.agent_errors = true;
}

void ledger_expect_clock_jumps(void)
{
    ledger.clock_jumped = true;
}

bool ledger_expects_io_errors(void)
{
    return ledger.coordinator_errors || ledger.agent_errors;
}

uint64_t ledger_completions(void)
{
    return ledger.completions;
}

static struct job_promise *job_of(uint64_t id)
{
    if (id >= ledger.job_cap) {
        size_t cap = ledger.job_cap ? ledger.job_cap : 256;
        while (cap <= id)
            cap *= 2;
        ledger.jobs = realloc(ledger.jobs, cap * sizeof *ledger.jobs);
        if (!ledger.jobs)
            abort();
        memset(ledger.jobs + ledger.job_cap, 0, (cap - ledger.job_cap) * sizeof *ledger.jobs);
        ledger.job_cap = cap;
    }
    return &ledger.jobs[id];
}

static int compare(const struct msg_fence *a, const struct msg_fence *b)
{
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    return a->counter < b->counter ? -1 : a->counter > b->counter;
}

static unsigned long long ull(uint64_t n)
{
    return n;
}

/* --- grants and results ---------------------------------------------------------------------- */

static void granted(const struct msg_grant *g)
{
    if (!g || !g->job || !g->fence)
        return;
    struct job_promise *j = job_of(g->job);
    const struct grant_made *last = j->granted ? &j->grants[(j->granted - 1) % GRANTS] : NULL;
    if (last && compare(g->fence, &last->fence) <= 0)
        world_violation("job %llu was granted under fence %llu.%llu after %llu.%llu", ull(g->job),
                        ull(g->fence->incarnation), ull(g->fence->counter),
                        ull(last->fence.incarnation), ull(last->fence.counter));
    if (j->complete)
        world_violation("job %llu was granted again after its result was accepted", ull(g->job));
    j->grants[j->granted++ % GRANTS] = (struct grant_made){*g->fence, ++ledger.when};
}

/* Who comes with a fence that was superseded before the request was there must not be heard. */
static void check_fence(const struct wire *w, uint64_t job, const struct msg_fence *f,
                        const char *what)
{
    const struct job_promise *j = job_of(job);
    for (uint64_t i = 0; i < GRANTS && i < j->granted; i++) {
        const struct grant_made *g = &j->grants[i];
        if (f && compare(&g->fence, f) > 0 && g->when < w->arrived) {
            world_violation("%s of job %llu was accepted under fence %llu.%llu, though it had been "
                            "granted under %llu.%llu",
                            what, ull(job), ull(f->incarnation), ull(f->counter),
                            ull(g->fence.incarnation), ull(g->fence.counter));
            return;
        }
    }
}

static void outputs_digest(const struct msg_complete *m, struct digest *out)
{
    struct digest_state s;
    digest_init(&s);
    for (uint32_t i = 0; i < m->output_count; i++) {
        const struct msg_blob *b = &m->outputs[i];
        uint64_t facts[4] = {(uint64_t)b->role, b->index, b->first, b->count};
        digest_update(&s, facts, sizeof facts);
        digest_update(&s, b->digest.bytes, DIGEST_BYTES);
        digest_update(&s, b->content.bytes, DIGEST_BYTES);
    }
    digest_final(&s, out);
}

static void completed(const struct wire *w, uint64_t job, const struct msg_complete *m,
                      const struct msg_completed *answer)
{
    struct job_promise *j = job_of(job);
    struct digest outputs;
    outputs_digest(m, &outputs);
    check_fence(w, job, m->fence, "a result");
    if (j->complete && (compare(&j->by, m->fence) != 0 || !digest_equal(&j->outputs, &outputs)))
        world_violation("two results of job %llu were accepted", ull(job));
    ledger.completions += !j->complete;
    j->complete = true;
    j->by = *m->fence;
    j->outputs = outputs;
    granted(answer->next);
}

void ledger_arrived(struct wire *w)
{
    w->arrived = ++ledger.when;
}

static bool path_is(const struct exchange *x, const char *method, const char *pattern)
{
    return x->route && strcmp(x->route->method, method) == 0 &&
           strcmp(x->route->pattern, pattern) == 0;
}

void ledger_committed(struct wire *w, const struct exchange *x)
{
    if (x->rc || !x->in)
        return;
    if (path_is(x, "POST", "/v1/claims"))
        granted(x->out);
    else if (path_is(x, "POST", "/v1/jobs/{id}/complete"))
        completed(w, x->call.id, x->in, x->out);
}

/* --- blobs ----------------------------------------------------------------------------------- */

static struct blob_promise *blob_of(const struct digest *d)
{
    struct blob_promise **at = &ledger.blobs[(d->bytes[0] << 4 | d->bytes[1] >> 4) % BLOBS];
    while (*at && !digest_equal(&(*at)->digest, d))
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (!*at)
            abort();
        (*at)->digest = *d;
    }
    return *at;
}

/* An offset that was told is durable: the next one told is not smaller. */
static void offset_told(const struct digest *d, uint64_t offset)
{
    struct blob_promise *b = blob_of(d);
    char hex[DIGEST_HEX + 1];
    if (offset < b->offset)
        world_violation("blob %.12s goes on at offset %llu, after %llu had been told",
                        digest_to_hex(d, hex), ull(offset), ull(b->offset));
    b->offset = offset;
}

static void blob_reply(const struct wire *w, const struct exchange *x)
{
    const struct api_reply *r = &x->public.reply;
    const struct digest *d = &x->match.digest;
    char hex[DIGEST_HEX + 1];
    for (uint32_t i = 0; i < r->header_count; i++)
        if (strcmp(r->headers[i].name, "Upload-Offset") == 0)
            offset_told(d, strtoull(r->headers[i].value, NULL, 10));
    if (r->status == 404 && blob_of(d)->complete)
        world_violation("blob %.12s was acknowledged and is not there", digest_to_hex(d, hex));
    if (r->status == 201 || (r->status == 200 && strcmp(w->method, "GET") != 0)) {
        blob_of(d)->complete = true;
        blob_of(d)->told_at = world_now();
    }
}

/* --- collection ------------------------------------------------------------------------------- */

int __real_gc_drop(struct store *s, const struct gc_candidate *list, uint32_t count,
                   uint64_t *blobs, uint64_t *bytes, struct err *e);
int __wrap_gc_drop(struct store *s, const struct gc_candidate *list, uint32_t count,
                   uint64_t *blobs, uint64_t *bytes, struct err *e);

/* The linker puts this in front of gc_drop: what is collected may be missing, unless somebody was
 * told that it is there and has not had the time to name it. */
int __wrap_gc_drop(struct store *s, const struct gc_candidate *list, uint32_t count,
                   uint64_t *blobs, uint64_t *bytes, struct err *e)
{
    int rc = __real_gc_drop(s, list, count, blobs, bytes, e);
    for (uint32_t i = 0; i < count; i++) {
        struct blob_promise *b = blob_of(&list[i].digest);
        struct blob_info info;
        struct err ignored;
        char hex[DIGEST_HEX + 1];
        if (blob_stat(s, &list[i].digest, &info, &ignored) != ERR_NOT_FOUND)
            continue;
        if (list[i].why != GC_DROPPED && b->complete && !ledger.clock_jumped &&
            world_now() < b->told_at + GC_GRACE_MS * 1000)
            world_violation("blob %.12s was collected %lld s after somebody was told that it is "
                            "there",
                            digest_to_hex(&b->digest, hex),
                            (long long)((world_now() - b->told_at) / SIM_SECOND));
        b->complete = false;
        b->offset = 0;
    }
    return rc;
}

void ledger_broken_download(struct wire *w, int rc, const char *why)
{
    if (!ledger.coordinator_errors)
        world_violation("a download of %.24s… broke off: %s (%s)", w->path, why, err_name(rc));
}

/* --- replies --------------------------------------------------------------------------------- */

/* Whether an honest agent whose uploads were acknowledged may hear this of its result. */
static bool complete_may_hear(int status)
{
    return status == 200 || status == 401 || status == 409 || status >= 500;
}

void ledger_reply(struct wire *w, const struct exchange *x)
{
    int status = x->public.reply.status;
    if (status >= 400 && world_tracing)
        world_note("%s %s of %s: %d %.200s", w->method, w->path, w->client->name, status,
                   x->err.message);
    if (status >= 500 && status != 503 && !ledger.coordinator_errors)
        world_violation("%s %.60s was answered with %d: %.200s", w->method, w->path, status,
                        x->err.message);
    if (!x->route)
        return;
    if (x->route->kind == ROUTE_BLOB)
        blob_reply(w, x);
    else if (path_is(x, "POST", "/v1/jobs/{id}/complete") && !complete_may_hear(status))
        world_violation("a result of job %llu was refused with %d: %.300s", ull(x->call.id), status,
                        x->err.message);
    else if (path_is(x, "POST", "/v1/jobs/{id}/heartbeat") && status == 200 &&
             ((const struct msg_command *)x->out)->command != COMMAND_ABANDON)
        check_fence(w, x->call.id, ((const struct msg_heartbeat *)x->in)->fence, "a heartbeat");
}

/* --- the end --------------------------------------------------------------------------------- */

static sqlite3 *open_database(const char *name)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(name, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL)) {
        world_violation("%s can't be opened: %s", name, db ? sqlite3_errmsg(db) : "no memory");
        sqlite3_close(db);
        return NULL;
    }
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL)) {
        world_violation("the database can't be read: %s", sqlite3_errmsg(db));
        return NULL;
    }
    return s;
}

static bool step(sqlite3 *db, sqlite3_stmt *s)
{
    int rc = s ? sqlite3_step(s) : SQLITE_DONE;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        world_violation("the database can't be read: %s", sqlite3_errmsg(db));
    return rc == SQLITE_ROW;
}

static bool column_is_digest(sqlite3_stmt *s, int column, struct digest *out)
{
    *out = (struct digest){{0}};
    if (sqlite3_column_bytes(s, column) != DIGEST_BYTES)
        return false;
    memcpy(out->bytes, sqlite3_column_blob(s, column), DIGEST_BYTES);
    return true;
}

/* Of the file of a large blob; how many there are. */
static size_t file_bytes(sqlite3_int64 id, char *out, size_t size)
{
    struct sim_disk *disk = sim_disk_current();
    char path[64];
    snprintf(path, sizeof path, "/data/blobs/%lld.blob", (long long)id);
    int fd = sim_disk_open(disk, path, 0);
    int64_t got = fd < 0 ? 0 : sim_disk_read_at(disk, fd, 0, out, size);
    if (fd >= 0)
        sim_disk_close(disk, fd);
    return got > 0 ? (size_t)got : 0;
}

/* The bytes of a blob; NULL, and a violation, where they are not there or others. */
static char *blob_bytes(sqlite3 *blobs, const struct digest *d, size_t *len)
{
    char hex[DIGEST_HEX + 1];
    sqlite3_stmt *find =
        prepare(blobs, "SELECT id, size, apart FROM blob WHERE digest = ? AND complete = 1");
    sqlite3_stmt *chunks =
        prepare(blobs, "SELECT data FROM chunk WHERE id >= ? AND id < ? ORDER BY id");
    char *bytes = NULL;
    size_t size = 0, at = 0;
    struct digest got = {{0}};
    sqlite3_bind_blob(find, 1, d->bytes, DIGEST_BYTES, SQLITE_STATIC);
    if (step(blobs, find)) {
        sqlite3_int64 id = sqlite3_column_int64(find, 0);
        size = (size_t)sqlite3_column_int64(find, 1);
        bool apart = sqlite3_column_int(find, 2);
        bytes = malloc(size + 1);
        if (bytes && apart)
            at = file_bytes(id, bytes, size);
        sqlite3_bind_int64(chunks, 1, id << 20);
        sqlite3_bind_int64(chunks, 2, (id + 1) << 20);
        while (bytes && step(blobs, chunks) &&
               at + (size_t)sqlite3_column_bytes(chunks, 0) <= size) {
            memcpy(bytes + at, sqlite3_column_blob(chunks, 0),
                   (size_t)sqlite3_column_bytes(chunks, 0));
            at += (size_t)sqlite3_column_bytes(chunks, 0);
        }
        if (bytes)
            digest_of(bytes, at, &got);
    }
    sqlite3_finalize(find);
    sqlite3_finalize(chunks);
    if (!bytes || at != size || !digest_equal(&got, d)) {
        world_violation("blob %.12s is %s", digest_to_hex(d, hex), bytes ? "damaged" : "missing");
        free(bytes);
        return NULL;
    }
    *len = size;
    return bytes;
}

/* A report without what depends on the machines' luck: seconds and bytes moved. */
static void report_content(const char *bytes, size_t len, struct digest *out)
{
    struct arena a;
    struct buf b;
    struct msg_report report;
    struct err e = {0};
    arena_init(&a, 16u << 20);
    buf_init(&b, 16u << 20);
    if (message_decode(&message_report, bytes, len, &report, &a, &e)) {
        world_violation("the report can't be read: %s", e.message);
    } else {
        report.seconds = NULL;
        report.bytes = NULL;
        if (message_encode(&message_report, &report, &b, &e))
            world_violation("the report can't be written: %s", e.message);
        digest_of(b.data ? b.data : "", b.len, out);
    }
    buf_free(&b);
    arena_free(&a);
}

static void compare_output(const struct reference *r, const char *of, const struct digest *content)
{
    char hex[2][DIGEST_HEX + 1];
    for (uint32_t i = 0; i < r->count; i++)
        if (strcmp(r->outputs[i].of, of) == 0) {
            if (!digest_equal(&r->outputs[i].content, content))
                world_violation("output %s has content %.12s, which is %.12s without faults", of,
                                digest_to_hex(content, hex[0]),
                                digest_to_hex(&r->outputs[i].content, hex[1]));
            return;
        }
    world_violation("output %s is none of this run", of);
}

static void add_output(struct reference *r, const char *of, const struct digest *content)
{
    if (r->count == REFERENCE_MAX) {
        world_violation("more than %d outputs", REFERENCE_MAX);
        return;
    }
    snprintf(r->outputs[r->count].of, sizeof r->outputs[0].of, "%s", of);
    r->outputs[r->count++].content = *content;
}

static void check_outputs(sqlite3 *tacit, sqlite3 *blobs, const struct reference *reference,
                          struct reference *out)
{
    sqlite3_stmt *s = prepare(
        tacit,
        "SELECT kind || '.' || target || '.' || j.idx || ' round ' || round || ' chunk ' || "
        "chunk || ' part ' || part || ' final ' || final || ' steps ' || step_first || '-' "
        "|| step_last || ' role ' || o.role || '.' || o.idx, o.role, o.digest, o.content, "
        "o.dropped "
        "FROM output o JOIN job j ON j.id = o.job WHERE j.state = 2 AND kind <> 7 AND undone = 0 "
        "ORDER BY j.id, number");
    uint32_t count = 0;
    while (step(tacit, s) && !world_broken()) {
        const char *of = (const char *)sqlite3_column_text(s, 0);
        struct digest d, content;
        size_t len = 0;
        column_is_digest(s, 2, &d);
        if (!column_is_digest(s, 3, &content))
            content = d;
        bool dropped = sqlite3_column_int(s, 4) != 0; /* by retention: its name is left */
        char *bytes = dropped ? NULL : blob_bytes(blobs, &d, &len);
        if (bytes && sqlite3_column_int(s, 1) == ROLE_REPORT)
            report_content(bytes, len, &content);
        free(bytes);
        if (reference)
            compare_output(reference, of, &content);
        else
            add_output(out, of, &content);
        count++;
    }
    sqlite3_finalize(s);
    if (reference && count != reference->count && !world_broken())
        world_violation("%u outputs are published, %u without faults", count, reference->count);
}

/* Failures that were told, without those of processes killed again and again before a step. */
static void check_jobs(sqlite3 *tacit, const struct reference *reference, struct reference *out)
{
    sqlite3_stmt *s =
        prepare(tacit, "SELECT id, state, fence_incarnation, fence_counter, failures -"
                       " (SELECT count(*) FROM job_error WHERE job_error.job = job.id"
                       "  AND message LIKE 'its agent began it%') FROM job "
                       "WHERE kind <> 7 AND undone = 0 ORDER BY id");
    uint32_t count = 0;
    while (step(tacit, s)) {
        uint64_t id = (uint64_t)sqlite3_column_int64(s, 0);
        const struct job_promise *j = job_of(id);
        struct msg_fence f = {(uint64_t)sqlite3_column_int64(s, 2),
                              (uint64_t)sqlite3_column_int64(s, 3)};
        int state = sqlite3_column_int(s, 1);
        count++;
        if (state != JOB_DONE)
            world_violation("job %llu is %s though its run is done", ull(id),
                            job_state_words[state]);
        if (j->complete && compare(&f, &j->by) != 0)
            world_violation("job %llu stands under another fence than the result that was accepted",
                            ull(id));
        if (sqlite3_column_int(s, 4) > 0 && !ledger.agent_errors && !ledger.coordinator_errors)
            world_violation("job %llu counts %d failures, and nothing has failed", ull(id),
                            sqlite3_column_int(s, 4));
    }
    sqlite3_finalize(s);
    if (reference && count != reference->jobs)
        world_violation("the run has %u jobs, %u without faults", count, reference->jobs);
    if (out)
        out->jobs = count;
}

/* Agents that all compute the same have not been found to differ. */
static void check_alarms(sqlite3 *tacit)
{
    sqlite3_stmt *s = prepare(tacit, "SELECT job, agent, other FROM alarm");
    while (step(tacit, s))
        world_violation("an alarm: of job %d, agents %d and %d had different results",
                        sqlite3_column_int(s, 0), sqlite3_column_int(s, 1),
                        sqlite3_column_int(s, 2));
    sqlite3_finalize(s);
}

/* Whatever was acknowledged and is named by somebody was read above; a data set's parts are here.
 */
static void check_shards(sqlite3 *tacit, sqlite3 *blobs)
{
    sqlite3_stmt *s = prepare(tacit, "SELECT digest FROM shard");
    while (step(tacit, s)) {
        struct digest d;
        size_t len;
        column_is_digest(s, 0, &d);
        free(blob_bytes(blobs, &d, &len));
    }
    sqlite3_finalize(s);
}

void ledger_check(struct sim_disk *disk, const struct reference *reference, struct reference *out)
{
    struct machine copy = {.name = "check", .disk = disk}, *before = world_enter(&copy);
    sqlite3 *tacit = open_database("/data/tacit.db"), *blobs = open_database("/data/blobs.db");
    if (tacit && blobs) {
        check_jobs(tacit, reference, out);
        check_outputs(tacit, blobs, reference, out);
        check_shards(tacit, blobs);
        check_alarms(tacit);
    }
    sqlite3_close(tacit);
    sqlite3_close(blobs);
    world_enter(before);
}

void ledger_print_jobs(struct sim_disk *disk)
{
    struct machine copy = {.name = "check", .disk = disk}, *before = world_enter(&copy);
    sqlite3 *db = open_database("/data/tacit.db");
    sqlite3_stmt *s =
        db ? prepare(db, "SELECT j.id, kind, target, j.idx, j.state, ready, agent, failures, "
                         "attempts, r.state, r.reason FROM job j JOIN run r ON r.id = j.run "
                         "WHERE j.state <> 2 ORDER BY j.id")
           : NULL;
    while (s && step(db, s))
        fprintf(stderr, "  job %d %s %s.%d: %s%s agent %d failures %d attempts %d; run %s: %s\n",
                sqlite3_column_int(s, 0), job_kind_words[sqlite3_column_int(s, 1)],
                job_target_words[sqlite3_column_int(s, 2)], sqlite3_column_int(s, 3),
                job_state_words[sqlite3_column_int(s, 4)],
                sqlite3_column_int(s, 5) ? "" : " (backs off)", sqlite3_column_int(s, 6),
                sqlite3_column_int(s, 7), sqlite3_column_int(s, 8),
                run_state_words[sqlite3_column_int(s, 9)],
                sqlite3_column_text(s, 10) ? (const char *)sqlite3_column_text(s, 10) : "");
    sqlite3_finalize(s);
    sqlite3_close(db);
    world_enter(before);
}
