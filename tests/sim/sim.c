/* Plays histories of a whole service, each from a seed, and says which break a promise.
 *
 * usage: sim SEEDS FIRST [-v]
 * Prints a line while it goes on and a table at the end; exits with 1 on any violation, and where
 * SEEDS is large and a kind of fault never occurred. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/sim/scenario.h"

#define CHILDREN 2
#define LARGE_EVERY 50
#define LARGE_AT 25
#define SECONDS_MAX 120   /* of processor time, for one seed */
#define COMPLETE_FROM 500 /* seeds, from which on every kind of fault must have occurred */
#define VIOLATIONS_SHOWN 20

/* What children leave behind. */
struct shared {
    struct reference references[OPERATOR_SPECS];
    struct result {
        uint64_t seed;
        uint64_t happened[FAULTS], requests, jobs, switches, virtual_s;
        char broken[512];
        bool finished;
    } results[CHILDREN];
    char reference_broken[512];
};
static struct shared *shared;

struct totals {
    uint64_t seeds, violations, happened[FAULTS], seeds_with[FAULTS];
    uint64_t requests, jobs, switches, virtual_s;
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool is_large(uint64_t seed)
{
    return seed % LARGE_EVERY == LARGE_AT;
}

/* --- in a child
 * ---------------------------------------------------------------------------------*/

static void limit_time(void)
{
    alarm(SECONDS_MAX * 4); /* the machine may be busy */
    signal(SIGALRM, SIG_DFL);
}

static void make_reference(unsigned spec)
{
    struct scenario s = {.agents = spec == OPERATOR_SPECS - 1 ? 20 : 3, .spec = spec};
    struct reference *r = &shared->references[spec];
    limit_time();
    world_start(spec);
    s.run.spec = spec;
    scenario_play(&s, NULL, r);
    if (world_broken()) {
        snprintf(shared->reference_broken, sizeof shared->reference_broken, "%s", world_broken());
        world_print_last(40);
    }
}

static void play_seed(uint64_t seed, struct result *r, bool explain)
{
    struct scenario s;
    limit_time();
    scenario_draw(&s, seed, is_large(seed));
    s.run.spec = s.spec;
    scenario_play(&s, &shared->references[s.spec], NULL);
    memcpy(r->happened, s.happened, sizeof r->happened);
    r->requests = s.requests;
    r->jobs = ledger_completions();
    r->switches = world_switches();
    r->virtual_s = s.virtual_s;
    if (world_broken()) {
        snprintf(r->broken, sizeof r->broken, "%s", world_broken());
        if (explain) {
            fprintf(stderr, "--- the last of the history\n");
            if (!world_tracing)
                world_print_last(60);
            fprintf(stderr, "--- who waits\n");
            world_print_threads();
            fprintf(stderr, "--- jobs that are not done\n");
            ledger_print_jobs(net_coordinator->disk);
        }
    }
    r->finished = true;
}

/* --- the parent
 * ---------------------------------------------------------------------------------*/

static pid_t child(void (*fn)(uint64_t, struct result *, bool), uint64_t seed, struct result *r,
                   bool explain)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(70);
    }
    if (pid == 0) {
        fn(seed, r, explain);
        _exit(0);
    }
    return pid;
}

static void reference_child(uint64_t spec, struct result *r, bool explain)
{
    (void)r;
    (void)explain;
    make_reference((unsigned)spec);
}

static void make_references(void)
{
    for (unsigned i = 0; i < OPERATOR_SPECS; i++) {
        int status;
        waitpid(child(reference_child, i, NULL, false), &status, 0);
        if (status != 0 || shared->reference_broken[0]) {
            fprintf(stderr, "sim: without any fault, spec %u: %s (status %d)\n", i,
                    shared->reference_broken[0] ? shared->reference_broken : "it crashed", status);
            exit(1);
        }
    }
}

static void take_result(struct result *r, int status, struct totals *t)
{
    t->seeds++;
    if (!r->finished && !r->broken[0])
        snprintf(
            r->broken, sizeof r->broken,
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "it takes longer than %d seconds"
                                                               : "it crashed: signal %d",
            WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? SECONDS_MAX : WTERMSIG(status));
    if (r->broken[0]) {
        t->violations++;
        if (t->violations <= VIOLATIONS_SHOWN)
            printf("\r%-78s\rseed %llu: %s\n         again: make sim SEEDS=1 FIRST=%llu TRACE=1\n",
                   "", (unsigned long long)r->seed, r->broken, (unsigned long long)r->seed);
    }
    for (int f = 0; f < FAULTS; f++) {
        t->happened[f] += r->happened[f];
        t->seeds_with[f] += r->happened[f] > 0;
    }
    t->requests += r->requests;
    t->jobs += r->jobs;
    t->switches += r->switches;
    t->virtual_s += r->virtual_s;
}

static void play_all(uint64_t count, uint64_t first, struct totals *t)
{
    pid_t pids[CHILDREN] = {0};
    double began = seconds(), told = began;
    bool tty = isatty(1);
    uint64_t next = first, end = first + count;
    for (unsigned running = 0; next < end || running > 0;) {
        for (int i = 0; i < CHILDREN; i++)
            if (!pids[i] && next < end) {
                struct result *r = &shared->results[i];
                *r = (struct result){.seed = next};
                pids[i] = child(play_seed, next, r, count == 1);
                next++;
                running++;
            }
        int status;
        pid_t pid = wait(&status);
        for (int i = 0; i < CHILDREN; i++)
            if (pids[i] == pid) {
                take_result(&shared->results[i], status, t);
                pids[i] = 0;
                running--;
            }
        if (tty && seconds() > told + 0.5) {
            told = seconds();
            printf("\r%llu of %llu seeds, %.1f a second, %llu violations ",
                   (unsigned long long)t->seeds, (unsigned long long)count,
                   (double)t->seeds / (told - began), (unsigned long long)t->violations);
            fflush(stdout);
        }
    }
    if (tty)
        printf("\r%-78s\r", "");
}

static int report(const struct totals *t, double took)
{
    int bad = t->violations > 0;
    printf("%-28s %12s %12s\n", "fault", "times", "in seeds");
    for (int f = 0; f < FAULTS; f++) {
        printf("%-28s %12llu %12llu\n", fault_words[f], (unsigned long long)t->happened[f],
               (unsigned long long)t->seeds_with[f]);
        if (t->happened[f] == 0 && t->seeds >= COMPLETE_FROM) {
            printf("sim: no %s in %llu seeds\n", fault_words[f], (unsigned long long)t->seeds);
            bad = 1;
        }
    }
    printf("%llu seeds in %.1f s (%.1f a second), %.0f hours of virtual time, %llu requests, %llu "
           "jobs, %llu switches\n",
           (unsigned long long)t->seeds, took, (double)t->seeds / took, (double)t->virtual_s / 3600,
           (unsigned long long)t->requests, (unsigned long long)t->jobs,
           (unsigned long long)t->switches);
    printf("%llu violations\n", (unsigned long long)t->violations);
    return bad;
}

int main(int argc, char **argv)
{
    struct totals t = {0};
    if (argc < 3 || strtoull(argv[1], NULL, 10) == 0) {
        fprintf(stderr, "usage: sim SEEDS FIRST [-v]\n");
        return 64;
    }
    world_tracing = argc > 3 && strcmp(argv[3], "-v") == 0;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("sim");
        return 70;
    }
    bool tracing = world_tracing;
    world_tracing = false;
    make_references();
    world_tracing = tracing;
    double began = seconds();
    play_all(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), &t);
    return report(&t, seconds() - began);
}
