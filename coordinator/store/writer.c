#include "coordinator/store/writer.h"

#include <assert.h>
#include <stdlib.h>
#include "core/env/thread.h"
#include "coordinator/store/conn.h"

/* More than that many waiting requests mean that the disk does not keep up: better to say so. */
#define QUEUE_MAX 65536

struct piece {
    struct piece *next;
    store_write_fn *fn;
    store_done_fn *done;
    void *arg;
    int rc;
    struct err err;
};

struct writer {
    struct store_conn *conn; /* the stepping thread's */
    unsigned batch;
    bool stepped;
    struct env_thread thread;
    struct env_mutex mutex; /* guards what follows; nothing is called while it is held */
    struct env_cond changed;
    struct piece *first, **last;
    unsigned count;
    bool stopping;
};

static void roll_back(struct writer *w)
{
    /* Some failures (full disk, no memory) have ended the transaction already. */
    if (!sqlite3_get_autocommit(w->conn->db))
        sqlite3_exec(w->conn->db, "ROLLBACK", NULL, NULL, NULL);
}

/* Runs a piece in a savepoint; false where the transaction as a whole is lost. */
static bool piece_in_batch(struct writer *w, struct piece *p)
{
    struct err e;
    p->err.code = ERR_OK;
    if (conn_run(w->conn, "SAVEPOINT piece", &e))
        return false;
    p->rc = p->fn(w->conn, p->arg, &p->err);
    if (sqlite3_get_autocommit(w->conn->db))
        return false;
    if (p->rc && conn_run(w->conn, "ROLLBACK TO piece", &e))
        return false;
    return conn_run(w->conn, "RELEASE piece", &e) == 0;
}

/* One transaction for all; false where none of it happened. */
static bool batch_together(struct writer *w, struct piece *first)
{
    struct err e;
    for (struct piece *p = first; p; p = p->next)
        if (!piece_in_batch(w, p))
            return false;
    return conn_run(w->conn, "COMMIT", &e) == 0;
}

static void piece_alone(struct writer *w, struct piece *p)
{
    p->err.code = ERR_OK;
    p->rc = conn_run(w->conn, "BEGIN IMMEDIATE", &p->err);
    if (!p->rc)
        p->rc = p->fn(w->conn, p->arg, &p->err);
    if (!p->rc)
        p->rc = conn_run(w->conn, "COMMIT", &p->err);
    if (p->rc)
        roll_back(w);
}

static void batch_run(struct writer *w, struct piece *first)
{
    struct err e;
    int rc = conn_run(w->conn, "BEGIN IMMEDIATE", &e);
    if (rc) { /* locked out: each alone would wait as long again */
        for (struct piece *p = first; p; p = p->next) {
            p->rc = rc;
            p->err = e;
        }
        return;
    }
    if (batch_together(w, first))
        return;
    roll_back(w);
    for (struct piece *p = first; p; p = p->next)
        piece_alone(w, p);
}

static struct piece *queue_take(struct writer *w, unsigned *count)
{
    env_mutex_lock(&w->mutex);
    struct piece *first = w->first, **end = &w->first;
    unsigned n = 0;
    while (*end && n < w->batch) {
        end = &(*end)->next;
        n++;
    }
    w->first = *end;
    *end = NULL;
    if (!w->first)
        w->last = &w->first;
    w->count -= n;
    env_mutex_unlock(&w->mutex);
    *count = n;
    return n ? first : NULL;
}

unsigned writer_step(struct writer *w)
{
    unsigned count;
    struct piece *first = queue_take(w, &count);
    if (first)
        batch_run(w, first);
    while (first) {
        struct piece *p = first;
        first = p->next;
        p->done(p->arg, p->rc, &p->err);
        free(p);
    }
    return count;
}

static void writer_main(void *arg)
{
    struct writer *w = arg;
    for (;;) {
        env_mutex_lock(&w->mutex);
        while (!w->first && !w->stopping)
            env_cond_wait(&w->changed, &w->mutex);
        bool finished = !w->first;
        env_mutex_unlock(&w->mutex);
        if (finished)
            return;
        writer_step(w);
    }
}

int writer_create(struct writer **out, struct store_conn *conn, unsigned batch, bool stepped,
                  struct err *e)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "no memory for the database's writer");
    w->conn = conn;
    w->batch = batch;
    w->stepped = stepped;
    w->last = &w->first;
    env_mutex_init(&w->mutex);
    env_cond_init(&w->changed);
    int rc = stepped
                 ? 0
                 : env_thread_start(&w->thread, writer_main, w, "the database's writer thread", e);
    if (rc) {
        env_cond_destroy(&w->changed);
        env_mutex_destroy(&w->mutex);
        free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    env_mutex_lock(&w->mutex);
    w->stopping = true;
    env_cond_signal(&w->changed);
    env_mutex_unlock(&w->mutex);
    if (!w->stepped)
        env_thread_join(&w->thread);
    while (writer_step(w) > 0)
        ;
}

void writer_destroy(struct writer *w)
{
    if (!w)
        return;
    conn_close(w->conn);
    env_cond_destroy(&w->changed);
    env_mutex_destroy(&w->mutex);
    free(w);
}

void writer_put(struct writer *w, store_write_fn *fn, store_done_fn *done, void *arg)
{
    struct piece *p = malloc(sizeof *p);
    struct err e;
    int rc = p ? 0 : err_set(&e, ERR_NO_MEMORY, "no memory to queue the request");
    env_mutex_lock(&w->mutex);
    if (!rc && w->count >= QUEUE_MAX)
        rc = err_set(&e, ERR_UNAVAILABLE, "%u requests wait to be written; try again later",
                     w->count);
    if (!rc) {
        *p = (struct piece){.fn = fn, .done = done, .arg = arg};
        *w->last = p;
        w->last = &p->next;
        w->count++;
        env_cond_signal(&w->changed);
    }
    env_mutex_unlock(&w->mutex);
    if (rc) {
        free(p);
        done(arg, rc, &e);
    }
}

struct waiter {
    store_write_fn *fn;
    void *arg;
    struct err *e;
    int rc;
    bool finished;
    struct env_mutex mutex; /* guards rc and finished */
    struct env_cond changed;
};

static int waiter_fn(struct store_conn *c, void *arg, struct err *e)
{
    struct waiter *t = arg;
    return t->fn(c, t->arg, e);
}

static void waiter_done(void *arg, int rc, const struct err *e)
{
    struct waiter *t = arg;
    env_mutex_lock(&t->mutex);
    t->rc = rc;
    if (rc && t->e)
        *t->e = *e;
    t->finished = true;
    env_cond_signal(&t->changed);
    env_mutex_unlock(&t->mutex);
}

int writer_wait(struct writer *w, store_write_fn *fn, void *arg, struct err *e)
{
    struct waiter t = {.fn = fn, .arg = arg, .e = e};
    assert(w->stepped || !env_thread_is_self(&w->thread));
    env_mutex_init(&t.mutex);
    env_cond_init(&t.changed);
    writer_put(w, waiter_fn, waiter_done, &t);
    while (w->stepped && !t.finished)
        writer_step(w);
    env_mutex_lock(&t.mutex);
    while (!t.finished)
        env_cond_wait(&t.changed, &t.mutex);
    env_mutex_unlock(&t.mutex);
    env_cond_destroy(&t.changed);
    env_mutex_destroy(&t.mutex);
    return t.rc;
}
