/* The simulated world: machines whose threads are coroutines, a clock that jumps to where the next
 * thing happens, and one random number generator. What runs next is drawn from the seed, so a seed
 * is a history.
 *
 * A coroutine runs until it waits. Time passes only while all wait: what computes says how long
 * that takes (world_spend), and has waited so long before it is seen to do anything else. */
#ifndef TACIT_SIM_WORLD_H
#define TACIT_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/env/thread.h"

#define SIM_SECOND 1000000ll /* times are microseconds of the virtual clock */
#define SIM_MINUTE (60 * SIM_SECOND)
#define SIM_NEVER INT64_MAX

struct co; /* a thread of a machine */

/* Who waits for something, in order of coming. Zeroed: nobody. */
struct waiters {
    struct co *first, *last;
};

struct machine {
    char name[24];
    uint32_t number;
    struct sim_disk *disk;
    struct co *threads;
    struct co *parked; /* threads that could run, were the machine not frozen */
    bool up;           /* a process runs */
    bool frozen;
    bool stop; /* requested of the process */
    int64_t wall_offset_ms;
    struct waiters stopping;        /* who waits for `stop` */
    uint32_t lives;                 /* processes that were started */
    int64_t began_at;               /* the last one */
    int exit_code;                  /* of the last one that ended by itself */
    char last_words[64];            /* path of its process's */
    void (*end)(struct machine *m); /* its process ends itself, where it stands */
    void *extra;                    /* the network's */
    void *memory;                   /* that SQLite holds for its process */
};

/* --- the world ------------------------------------------------------------------------------- */
void world_start(uint64_t seed);
struct machine *world_machine(const char *name);
/* Runs until `until` says so, or nothing will ever happen again (false). */
bool world_run(bool (*until)(void *arg), void *arg);
int64_t world_now(void); /* what the running coroutine has spent included */
uint64_t world_random(void);
/* Below n. */
uint64_t world_draw(uint64_t n);
/* True so many times in a million. */
bool world_chance(uint32_t ppm);
/* Between low and high; small values are as likely as large ones by their order of magnitude. */
int64_t world_draw_log(int64_t low, int64_t high);
uint64_t world_switches(void); /* so far */
uint64_t world_hash(void);     /* of the history: equal ones had equal lines */

/* --- threads --------------------------------------------------------------------------------- */
struct co *world_spawn(struct machine *m, void (*fn)(void *arg), void *arg, const char *what);
struct co *world_current(void);   /* NULL outside of all */
struct machine *world_here(void); /* whose thread runs; NULL outside */
/* Until it is left, code outside of all threads (or of another machine) counts as this machine's:
 * returns who was before. */
struct machine *world_enter(struct machine *m);
void world_yield(void);
/* Computing that takes so long: slept at the next wait, or at world_settle. */
void world_spend(int64_t us);
void world_settle(void);
void world_sleep_until(int64_t us);
/* Waits in q; false once `until` has come. Wakes for nothing, too: see world_poke. */
bool world_wait(struct waiters *q, int64_t until);
/* The same; world_poke ends it. */
bool world_wait_poked(struct waiters *q, int64_t until);
/* Makes every thread of the machine that waits so run again. */
void world_poke(struct machine *m);
void world_wake_one(struct waiters *q);
void world_wake_all(struct waiters *q);

/* --- machines -------------------------------------------------------------------------------- */
/* All threads of the machine end where they stand. */
void machine_kill(struct machine *m);
void machine_freeze(struct machine *m, bool frozen);
void machine_stop(struct machine *m); /* requests a stop of its process */

/* --- what happened --------------------------------------------------------------------------- */
extern bool world_tracing;
/* How often, in a million, a thread that takes a lock is left without a processor for a while. */
extern uint32_t world_stalls_ppm;
uint64_t world_stalls(void); /* so far */
/* A line of the history, kept for when something goes wrong; printed at once with tracing. */
void world_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void world_print_last(unsigned lines);
/* A promise was broken. The first is what a seed is reported for. */
void world_violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *world_broken(void); /* the first, or NULL */
/* Who waits for what, for a history that does not end. */
void world_print_threads(void);

#endif
