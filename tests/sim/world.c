#include "tests/sim/world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/coroutine.h"
#include "tests/sim/memory.h"

#define LAST_LINES 4096u /* of the history that are kept */
#define LINE_BYTES 240

enum state { RUNNABLE, WAITING, PARKED };

struct co {
    struct coroutine coroutine;
    struct machine *machine;
    const char *what;
    void (*fn)(void *arg);
    void *arg;
    enum state state;
    size_t at;                 /* among the runnable, or in the heap of timers */
    struct co *before, *after; /* in `queue` */
    struct waiters *queue;
    bool timed, timed_out, poked;
    int64_t until;
    uint64_t order; /* of timers of one moment */
    int64_t spent;
    struct co *next, *previous; /* of the machine */
    struct waiters joining;
    struct co *next_parked;
    uint64_t number; /* never used twice, as its address is */
};

static struct {
    uint64_t random;
    int64_t now;
    struct co **runnable, **timers;
    size_t runnable_count, runnable_cap, timer_count, timer_cap;
    uint64_t order, switches, numbers, stalls;
    struct co *current, *ended; /* ended: to be freed by the scheduler */
    struct coroutine scheduler;
    struct machine *as;
    uint32_t machines;
    char (*lines)[LINE_BYTES];
    uint64_t line_count, hash;
    char broken[512];
} world;

bool world_tracing;
uint32_t world_stalls_ppm;

static void *must(void *p)
{
    if (!p) {
        fprintf(stderr, "no memory for the simulation\n");
        abort();
    }
    return p;
}

/* --- chance ---------------------------------------------------------------------------------- */

uint64_t world_random(void)
{
    uint64_t z = world.random += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t world_draw(uint64_t n)
{
    return n ? world_random() % n : 0;
}

bool world_chance(uint32_t ppm)
{
    return ppm > 0 && world_draw(1000000) < ppm;
}

int64_t world_draw_log(int64_t low, int64_t high)
{
    unsigned doublings = 0;
    for (int64_t x = low > 0 ? low : 1; x < high; x *= 2)
        doublings++;
    int64_t top = (low > 0 ? low : 1) << world_draw(doublings + 1);
    int64_t x = low + (int64_t)world_draw((uint64_t)(top > low ? top - low + 1 : 1));
    return x < high ? x : high;
}

/* --- the timers: a heap by moment, then by order --------------------------------------------- */

static bool sooner(const struct co *a, const struct co *b)
{
    return a->until != b->until ? a->until < b->until : a->order < b->order;
}

static void timer_place(size_t i, struct co *c)
{
    world.timers[i] = c;
    c->at = i;
}

static void timer_up(size_t i, struct co *c)
{
    for (; i > 0 && sooner(c, world.timers[(i - 1) / 2]); i = (i - 1) / 2)
        timer_place(i, world.timers[(i - 1) / 2]);
    timer_place(i, c);
}

static void timer_down(size_t i, struct co *c)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < world.timer_count && sooner(world.timers[child + 1], world.timers[child]))
            child++;
        if (child >= world.timer_count || !sooner(world.timers[child], c))
            break;
        timer_place(i, world.timers[child]);
        i = child;
    }
    timer_place(i, c);
}

static void timer_set(struct co *c, int64_t until)
{
    if (until == SIM_NEVER)
        return;
    c->until = until;
    c->order = world.order++;
    c->timed = true;
    if (world.timer_count == world.timer_cap) {
        world.timer_cap = world.timer_cap ? 2 * world.timer_cap : 256;
        world.timers = must(realloc(world.timers, world.timer_cap * sizeof *world.timers));
    }
    timer_up(world.timer_count++, c);
}

static void timer_clear(struct co *c)
{
    if (!c->timed)
        return;
    c->timed = false;
    size_t i = c->at;
    struct co *last = world.timers[--world.timer_count];
    if (last == c)
        return;
    if (i > 0 && sooner(last, world.timers[(i - 1) / 2]))
        timer_up(i, last);
    else
        timer_down(i, last);
}

/* --- who can run ----------------------------------------------------------------------------- */

static void queue_leave(struct co *c)
{
    struct waiters *q = c->queue;
    if (!q)
        return;
    *(c->before ? &c->before->after : &q->first) = c->after;
    *(c->after ? &c->after->before : &q->last) = c->before;
    c->before = c->after = NULL;
    c->queue = NULL;
}

static void runnable_add(struct co *c)
{
    if (world.runnable_count == world.runnable_cap) {
        world.runnable_cap = world.runnable_cap ? 2 * world.runnable_cap : 256;
        world.runnable = must(realloc(world.runnable, world.runnable_cap * sizeof *world.runnable));
    }
    c->state = RUNNABLE;
    c->at = world.runnable_count;
    world.runnable[world.runnable_count++] = c;
}

static void runnable_remove(struct co *c)
{
    struct co *last = world.runnable[--world.runnable_count];
    world.runnable[c->at] = last;
    last->at = c->at;
}

/* Ends its waiting, whatever for. */
static void make_runnable(struct co *c)
{
    queue_leave(c);
    timer_clear(c);
    c->poked = false;
    if (c->machine->frozen) {
        c->state = PARKED;
        c->next_parked = c->machine->parked;
        c->machine->parked = c;
    } else {
        runnable_add(c);
    }
}

/* --- the scheduler --------------------------------------------------------------------------- */

static void co_free(struct co *c)
{
    coroutine_destroy(&c->coroutine);
    free(c);
}

static void leave_machine(struct co *c)
{
    *(c->previous ? &c->previous->next : &c->machine->threads) = c->next;
    if (c->next)
        c->next->previous = c->previous;
}

static void run_one(struct co *c)
{
    world.current = c;
    world.as = c->machine;
    world.switches++;
    coroutine_switch(&world.scheduler, &c->coroutine);
    world.current = NULL;
    world.as = NULL;
    if (world.ended) {
        co_free(world.ended);
        world.ended = NULL;
    }
}

static bool run_some(void)
{
    if (world.runnable_count > 0) {
        struct co *c = world.runnable[world_draw(world.runnable_count)];
        runnable_remove(c);
        run_one(c);
        return true;
    }
    if (world.timer_count == 0)
        return false;
    struct co *c = world.timers[0];
    if (c->until > world.now)
        world.now = c->until;
    c->timed_out = true;
    make_runnable(c);
    return true;
}

bool world_run(bool (*until)(void *arg), void *arg)
{
    while (!until(arg))
        if (!run_some())
            return false;
    return true;
}

static void co_main(void *arg)
{
    struct co *c = arg;
    c->fn(c->arg);
    world_settle();
    world_wake_all(&c->joining);
    leave_machine(c);
    world.ended = c;
    coroutine_switch(&c->coroutine, &world.scheduler);
}

struct co *world_spawn(struct machine *m, void (*fn)(void *arg), void *arg, const char *what)
{
    struct co *c = must(calloc(1, sizeof *c));
    c->machine = m;
    c->fn = fn;
    c->arg = arg;
    c->what = what;
    c->number = ++world.numbers;
    c->next = m->threads;
    if (c->next)
        c->next->previous = c;
    m->threads = c;
    coroutine_create(&c->coroutine, co_main, c);
    make_runnable(c);
    return c;
}

static void switch_away(void)
{
    struct co *c = world.current;
    coroutine_switch(&c->coroutine, &world.scheduler);
}

static bool wait_in(struct waiters *q, int64_t until, bool poked)
{
    struct co *c = world.current;
    world_settle();
    if (until <= world.now)
        until = world.now; /* others run once */
    c->state = WAITING;
    c->timed_out = false;
    c->poked = poked;
    if (q) {
        c->queue = q;
        c->before = q->last;
        *(q->last ? &q->last->after : &q->first) = c;
        q->last = c;
    }
    timer_set(c, until);
    switch_away();
    return !c->timed_out;
}

void world_settle(void)
{
    struct co *c = world.current;
    while (c && c->spent > 0) {
        int64_t until = world.now + c->spent;
        c->spent = 0;
        wait_in(NULL, until, false);
    }
}

void world_spend(int64_t us)
{
    if (world.current)
        world.current->spent += us;
}

void world_sleep_until(int64_t us)
{
    world_settle();
    while (world.now < us)
        wait_in(NULL, us, false);
}

bool world_wait(struct waiters *q, int64_t until)
{
    return wait_in(q, until, false);
}

bool world_wait_poked(struct waiters *q, int64_t until)
{
    return wait_in(q, until, true);
}

void world_yield(void)
{
    struct co *c = world.current;
    world_settle();
    make_runnable(c);
    switch_away();
}

void world_poke(struct machine *m)
{
    for (struct co *c = m->threads; c; c = c->next)
        if (c->state == WAITING && c->poked)
            make_runnable(c);
}

void world_wake_one(struct waiters *q)
{
    if (q->first)
        make_runnable(q->first);
}

void world_wake_all(struct waiters *q)
{
    while (q->first)
        make_runnable(q->first);
}

/* --- facts ----------------------------------------------------------------------------------- */

void world_start(uint64_t seed)
{
    char(*lines)[LINE_BYTES] = world.lines;
    memset(&world, 0, sizeof world);
    world.random = seed * 0x2545f4914f6cdd1dull + 1;
    world.now = 1000 * SIM_SECOND;
    world.lines = lines ? lines : must(malloc(LAST_LINES * sizeof *world.lines));
}

struct machine *world_machine(const char *name)
{
    struct machine *m = must(calloc(1, sizeof *m));
    snprintf(m->name, sizeof m->name, "%s", name);
    m->number = world.machines++;
    return m;
}

int64_t world_now(void)
{
    return world.now + (world.current ? world.current->spent : 0);
}

uint64_t world_switches(void)
{
    return world.switches;
}

uint64_t world_stalls(void)
{
    return world.stalls;
}

uint64_t world_hash(void)
{
    return world.hash;
}

struct co *world_current(void)
{
    return world.current;
}

struct machine *world_here(void)
{
    return world.as;
}

struct machine *world_enter(struct machine *m)
{
    struct machine *before = world.as;
    world.as = m;
    return before;
}

/* --- machines -------------------------------------------------------------------------------- */

void machine_kill(struct machine *m)
{
    assert(!world.current || world.current->machine != m);
    while (m->threads) {
        struct co *c = m->threads;
        if (c->state == RUNNABLE)
            runnable_remove(c);
        queue_leave(c);
        timer_clear(c);
        leave_machine(c);
        co_free(c);
    }
    memory_drop(&m->memory);
    m->parked = NULL;
    m->stopping = (struct waiters){0};
    m->frozen = m->stop = m->up = false;
}

void machine_freeze(struct machine *m, bool frozen)
{
    m->frozen = frozen;
    if (frozen) {
        for (struct co *c = m->threads; c; c = c->next)
            if (c->state == RUNNABLE) {
                runnable_remove(c);
                make_runnable(c);
            }
        return;
    }
    while (m->parked) {
        struct co *c = m->parked;
        m->parked = c->next_parked;
        runnable_add(c);
    }
}

void machine_stop(struct machine *m)
{
    m->stop = true;
    world_wake_all(&m->stopping);
    world_poke(m);
}

/* --- what happened --------------------------------------------------------------------------- */

static void note(const char *fmt, va_list args)
{
    char *line = world.lines[world.line_count++ % LAST_LINES];
    int64_t ms = world_now() / 1000 - 1000000;
    int n = snprintf(line, LINE_BYTES, "%02d:%02d:%02d.%03d %-12s ", (int)(ms / 3600000),
                     (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), (int)(ms % 1000),
                     world.as ? world.as->name : "-");
    vsnprintf(line + n, LINE_BYTES - (size_t)n, fmt, args);
    for (const char *c = line; *c; c++)
        world.hash = (world.hash ^ (unsigned char)*c) * 0x100000001b3ull;
    if (world_tracing)
        fprintf(stderr, "%s\n", line);
}

void world_note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    note(fmt, args);
    va_end(args);
}

void world_print_last(unsigned lines)
{
    uint64_t kept = world.line_count < LAST_LINES ? world.line_count : LAST_LINES;
    if (lines > kept)
        lines = (unsigned)kept;
    for (uint64_t i = world.line_count - lines; i < world.line_count; i++)
        fprintf(stderr, "%s\n", world.lines[i % LAST_LINES]);
}

void world_violation(const char *fmt, ...)
{
    char text[sizeof world.broken];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    world_note("VIOLATION: %s", text);
    if (!world.broken[0])
        memcpy(world.broken, text, sizeof text);
}

const char *world_broken(void)
{
    return world.broken[0] ? world.broken : NULL;
}

static void print_machine(const struct co *any)
{
    for (const struct co *c = any; c; c = c->next) {
        fprintf(stderr, "  %-12s %-32s ", c->machine->name, c->what);
        if (c->state == PARKED)
            fprintf(stderr, "frozen\n");
        else if (c->state == RUNNABLE)
            fprintf(stderr, "could run\n");
        else if (c->timed)
            fprintf(stderr, "waits %s%.3f s more\n", c->queue ? "for somebody, or " : "",
                    (double)(c->until - world.now) / 1e6);
        else
            fprintf(stderr, "waits for somebody\n");
    }
}

void world_print_threads(void)
{
    bool printed[4096] = {false};
    for (size_t i = 0; i < world.timer_count; i++) {
        const struct machine *m = world.timers[i]->machine;
        if (m->number < 4096 && !printed[m->number])
            print_machine(m->threads);
        if (m->number < 4096)
            printed[m->number] = true;
    }
}

/* --- core/env/thread.h ----------------------------------------------------------------------- */

struct sim_mutex {
    struct co *owner;
    struct waiters waiters;
};
struct sim_cond {
    struct waiters waiters;
};
_Static_assert(sizeof(struct sim_mutex) <= sizeof(struct env_mutex), "room for ours");
_Static_assert(sizeof(struct sim_cond) <= sizeof(struct env_cond), "room for ours");
_Static_assert(sizeof(uint64_t) <= sizeof(struct env_thread), "room for ours");

/* Outside of all threads there is nobody to share with. */
static struct co outside;

static struct co *me(void)
{
    return world.current ? world.current : &outside;
}

static struct sim_mutex *mutex_of(struct env_mutex *m)
{
    return (struct sim_mutex *)(void *)m;
}

static struct sim_cond *cond_of(struct env_cond *c)
{
    return (struct sim_cond *)(void *)c;
}

int env_thread_start(struct env_thread *t, void (*fn)(void *arg), void *arg, const char *what,
                     struct err *e)
{
    (void)e;
    memcpy(t, &world_spawn(world_here(), fn, arg, what)->number, sizeof(uint64_t));
    return 0;
}

static uint64_t number_of(const struct env_thread *t)
{
    uint64_t number;
    memcpy(&number, t, sizeof number);
    return number;
}

/* A thread that has ended is not in its machine's list any more. */
void env_thread_join(struct env_thread *t)
{
    for (struct co *c = world_here()->threads; c; c = c->next)
        if (c->number == number_of(t)) {
            world_wait(&c->joining, SIM_NEVER);
            return;
        }
}

bool env_thread_is_self(const struct env_thread *t)
{
    return world.current && world.current->number == number_of(t);
}

void env_mutex_init(struct env_mutex *m)
{
    memset(m, 0, sizeof *m);
}

void env_mutex_destroy(struct env_mutex *m)
{
    assert(!mutex_of(m)->owner);
    (void)m;
}

#define STALL_US (20 * SIM_SECOND)
#define PREEMPTED_PPM 30000 /* somebody else comes in just before a lock is taken */

void env_mutex_lock(struct env_mutex *mutex)
{
    struct sim_mutex *m = mutex_of(mutex);
    if (world.current && world_chance(world_stalls_ppm)) {
        world.stalls++;
        world_spend(world_draw_log(1000, STALL_US));
    }
    if (world.current && (world.current->spent > 0 || world_chance(PREEMPTED_PPM)))
        world_yield();
    assert(m->owner != me());
    while (m->owner) {
        assert(world.current);
        world_wait(&m->waiters, SIM_NEVER);
    }
    m->owner = me();
}

void env_mutex_unlock(struct env_mutex *mutex)
{
    struct sim_mutex *m = mutex_of(mutex);
    assert(m->owner == me());
    m->owner = NULL;
    world_wake_one(&m->waiters);
}

void env_cond_init(struct env_cond *c)
{
    memset(c, 0, sizeof *c);
}

void env_cond_destroy(struct env_cond *c)
{
    assert(!cond_of(c)->waiters.first);
    (void)c;
}

void env_cond_wait(struct env_cond *c, struct env_mutex *m)
{
    (void)env_cond_wait_until(c, m, INT64_MAX);
}

/* A mutex is given up and the queue entered in one go: settle first, which may let others run. */
bool env_cond_wait_until(struct env_cond *c, struct env_mutex *m, int64_t deadline_ms)
{
    int64_t until = deadline_ms >= SIM_NEVER / 1000 ? SIM_NEVER : deadline_ms * 1000;
    world_settle();
    env_mutex_unlock(m);
    bool woken = world_wait(&cond_of(c)->waiters, until);
    env_mutex_lock(m);
    return woken;
}

void env_cond_signal(struct env_cond *c)
{
    world_wake_one(&cond_of(c)->waiters);
}

void env_cond_broadcast(struct env_cond *c)
{
    world_wake_all(&cond_of(c)->waiters);
}
