/* Plays histories of a whole service, each from a seed, and says which break a promise.
 *
 * usage: sim [-v] [-d] [-g] [-s] [-f] SEEDS FIRST
 * -v: tells all; -d: each twice, and both are equal; -g: FIRST in this process, for a debugger;
 * -s: no large ones; -f: ends with the first violation
 *        sim -G AGENTS MINUTES: the goodput of agents that live for ten minutes; 1 below 90 %
 * Prints a line while it goes on and a table at the end; exits with 1 on any violation, and where
 * SEEDS is large and a kind of fault never occurred. */
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/sim/goodput.h"
#include "tests/sim/memory.h"
#include "tests/sim/scenario.h"

#define CHILDREN 2
#define MEMORY_KIB (500l << 10) /* what a child may have grown to */
#define LARGE_EVERY 50
#define LARGE_AT 25
#define SECONDS_MAX 60    /* of processor time, for one seed */
#define COMPLETE_FROM 500 /* seeds, from which on every kind of fault must have occurred */
#define STOPPED_FROM 2000 /* a run is stopped by few of them */
#define VIOLATIONS_SHOWN 20
#define GOODPUT_WANTED 90.0 /* % of the time that agents live */

/* What children leave behind. */
struct result {
    uint64_t seed, happened[FAULTS], requests, jobs, switches, virtual_s;
    char broken[512];
};
struct shared {
    struct reference references[OPERATOR_SPECS];
    char reference_broken[512];
    _Atomic uint64_t next; /* the first seed that nobody has taken */
    uint64_t end;
    struct child {
        uint64_t seed; /* that it plays; 0: none */
    } children[CHILDREN];
};
static struct shared *shared;

static struct {
    bool twice, explain, tty, here, small, first, goodput;
} options;

static bool is_large(uint64_t seed)
{
    return !options.small && seed % LARGE_EVERY == LARGE_AT;
}

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

/* --- in a child ------------------------------------------------------------------------------ */

static void limit_time(void)
{
    const struct itimerval limit = {.it_value = {.tv_sec = SECONDS_MAX}};
    signal(SIGPROF, SIG_DFL);
    setitimer(ITIMER_PROF, &limit, NULL);
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

static void explain_it(void)
{
    fprintf(stderr, "--- the last of the history\n");
    if (!world_tracing)
        world_print_last(60);
    fprintf(stderr, "--- who waits\n");
    world_print_threads();
    fprintf(stderr, "--- jobs that are not done\n");
    ledger_print_jobs(net_coordinator->disk);
}

static void play_seed(uint64_t seed, struct result *r)
{
    struct scenario s;
    limit_time();
    scenario_draw(&s, seed, is_large(seed));
    s.run.spec = s.spec;
    scenario_play(&s, &shared->references[s.spec], NULL);
    *r = (struct result){.seed = seed,
                         .requests = s.requests,
                         .jobs = ledger_completions(),
                         .switches = world_switches(),
                         .virtual_s = s.virtual_s};
    memcpy(r->happened, s.happened, sizeof r->happened);
    if (world_broken())
        snprintf(r->broken, sizeof r->broken, "%s", world_broken());
}

/* Plays the seed again where that is wanted: the same history, to the letter. */
static void play_checked(uint64_t seed, struct result *r)
{
    play_seed(seed, r);
    if (r->broken[0] && options.explain)
        explain_it();
    uint64_t hash = world_hash();
    scenario_end();
    if (!options.twice)
        return;
    struct result again;
    play_seed(seed, &again);
    if (world_hash() != hash && !r->broken[0])
        snprintf(r->broken, sizeof r->broken, "the seed's history is another one each time");
    scenario_end();
}

/* Seed after seed, as long as little memory is lost with machines that died. */
static void play_many(struct child *c, int out)
{
    struct rusage usage = {0};
    memory_forked();
    while (usage.ru_maxrss < MEMORY_KIB) {
        struct result r;
        uint64_t seed = atomic_fetch_add(&shared->next, 1);
        if (seed >= shared->end)
            break;
        c->seed = seed;
        play_checked(c->seed, &r);
        if (write(out, &r, sizeof r) != sizeof r)
            _exit(74);
        c->seed = 0;
        getrusage(RUSAGE_SELF, &usage);
    }
}

/* --- the parent ------------------------------------------------------------------------------ */

static pid_t fork_or_exit(void)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(70);
    }
    return pid;
}

static void make_references(void)
{
    for (unsigned i = 0; i < OPERATOR_SPECS; i++) {
        int status;
        pid_t pid = fork_or_exit();
        if (pid == 0) {
            make_reference(i);
            _exit(0);
        }
        waitpid(pid, &status, 0);
        if (status != 0 || shared->reference_broken[0]) {
            fprintf(stderr, "sim: without any fault, spec %u: %s (status %d)\n", i,
                    shared->reference_broken[0] ? shared->reference_broken : "it crashed", status);
            exit(1);
        }
    }
}

static void take_result(const struct result *r, struct totals *t)
{
    t->seeds++;
    if (r->broken[0]) {
        t->violations++;
        if (t->violations <= VIOLATIONS_SHOWN)
            printf("%sseed %llu: %s\n         again: make sim SEEDS=1 FIRST=%llu TRACE=1\n",
                   options.tty ? "\r\033[K" : "", (unsigned long long)r->seed, r->broken,
                   (unsigned long long)r->seed);
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

/* The child died of a seed. */
static void take_death(const struct child *c, int status, struct totals *t)
{
    struct result r = {.seed = c->seed};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
        snprintf(r.broken, sizeof r.broken, "it takes more than %d seconds of processor time",
                 SECONDS_MAX);
    else
        snprintf(r.broken, sizeof r.broken, "it crashed: status %d", status);
    take_result(&r, t);
}

struct feed {
    pid_t pid;
    int fd; /* results come from here; -1: none runs */
};

static void feed_start(struct feed *f, struct child *c)
{
    int ends[2];
    if (atomic_load(&shared->next) >= shared->end)
        return;
    if (pipe(ends)) {
        perror("pipe");
        exit(70);
    }
    c->seed = 0;
    f->pid = fork_or_exit();
    if (f->pid == 0) {
        close(ends[0]);
        play_many(c, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    f->fd = ends[0];
}

static void feed_ended(struct feed *f, struct child *c, struct totals *t)
{
    int status;
    waitpid(f->pid, &status, 0);
    close(f->fd);
    f->fd = -1;
    if (status != 0 || c->seed != 0)
        take_death(c, status, t);
    feed_start(f, c);
}

static void tell(const struct totals *t, uint64_t count, double began)
{
    printf("\r%llu of %llu seeds, %.1f a second, %llu violations ", (unsigned long long)t->seeds,
           (unsigned long long)count, (double)t->seeds / (seconds() - began),
           (unsigned long long)t->violations);
    fflush(stdout);
}

static void play_all(uint64_t count, uint64_t first, struct totals *t)
{
    struct feed feeds[CHILDREN];
    double began = seconds(), told = began;
    atomic_store(&shared->next, first);
    shared->end = first + count;
    for (int i = 0; i < CHILDREN; i++) {
        feeds[i].fd = -1;
        feed_start(&feeds[i], &shared->children[i]);
    }
    for (;;) {
        struct pollfd fds[CHILDREN];
        int running = 0;
        for (int i = 0; i < CHILDREN; i++) {
            fds[i] = (struct pollfd){.fd = feeds[i].fd, .events = POLLIN};
            running += feeds[i].fd >= 0;
        }
        if (running == 0)
            break;
        if (options.first && t->violations > 0) {
            for (int i = 0; i < CHILDREN; i++)
                if (feeds[i].fd >= 0)
                    kill(feeds[i].pid, SIGKILL);
            break;
        }
        poll(fds, CHILDREN, 500);
        for (int i = 0; i < CHILDREN; i++) {
            struct result r;
            if (!fds[i].revents)
                continue;
            if (read(fds[i].fd, &r, sizeof r) == sizeof r)
                take_result(&r, t);
            else
                feed_ended(&feeds[i], &shared->children[i], t);
        }
        if (options.tty && seconds() > told + 0.5) {
            told = seconds();
            tell(t, count, began);
        }
    }
    if (options.tty)
        printf("\r\033[K");
}

static double children_cpu(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static int report(const struct totals *t, double took, double cpu)
{
    int bad = t->violations > 0;
    printf("%-28s %12s %12s\n", "fault", "times", "in seeds");
    for (int f = 0; f < FAULTS; f++) {
        printf("%-28s %12llu %12llu\n", fault_words[f], (unsigned long long)t->happened[f],
               (unsigned long long)t->seeds_with[f]);
        if (t->happened[f] == 0 &&
            t->seeds >= (f == FAULT_STOPPED_RUN ? STOPPED_FROM : COMPLETE_FROM)) {
            printf("sim: no %s in %llu seeds\n", fault_words[f], (unsigned long long)t->seeds);
            bad = 1;
        }
    }
    printf("%llu seeds in %.1f s (%.1f a second; %.0f ms of processor each), %.0f hours of virtual "
           "time, %llu requests, %llu jobs, %llu switches\n",
           (unsigned long long)t->seeds, took, (double)t->seeds / took,
           cpu / (double)t->seeds * 1000, (double)t->virtual_s / 3600,
           (unsigned long long)t->requests, (unsigned long long)t->jobs,
           (unsigned long long)t->switches);
    printf("%llu violations\n", (unsigned long long)t->violations);
    return bad;
}

/* Prints what agents that live for ten minutes on average get done, and whether it is enough. */
static int show_goodput(unsigned agents, unsigned minutes)
{
    struct scenario s;
    scenario_mortal(&s, agents, 10 * SIM_MINUTE, minutes);
    scenario_play(&s, NULL, NULL);
    struct goodput g = goodput_result();
    double percent = g.lived_s > 0 ? 100 * g.useful_s / g.lived_s : 0;
    bool enough = percent >= GOODPUT_WANTED;
    printf("%u agents that live ten minutes on average (%llu lives in %u minutes, half of them "
           "ended without a notice): %.1f %% of their time goes into steps that count; %.1f %% "
           "into steps done again (wanted: at least %.0f %%: %s)\n",
           agents, (unsigned long long)g.lives, minutes, percent,
           g.lived_s > 0 ? 100 * g.again_s / g.lived_s : 0, GOODPUT_WANTED,
           enough ? "met" : "MISSED");
    if (world_broken())
        printf("sim: %s\n", world_broken());
    return world_broken() || !enough;
}

int main(int argc, char **argv)
{
    struct totals t = {0};
    bool tracing = false;
    int option;
    while ((option = getopt(argc, argv, "vdgsfG")) != -1) {
        tracing = tracing || option == 'v';
        options.twice = options.twice || option == 'd';
        options.here = options.here || option == 'g';
        options.goodput = options.goodput || option == 'G';
        options.small = options.small || option == 's';
        options.first = options.first || option == 'f';
    }
    uint64_t count = optind + 2 == argc ? strtoull(argv[optind], NULL, 10) : 0;
    uint64_t first = count ? strtoull(argv[optind + 1], NULL, 10) : 0;
    if (count == 0 || first == 0) {
        fprintf(stderr, "usage: sim [-v] [-d] [-g] [-s] [-f] SEEDS FIRST\n");
        return 64;
    }
    options.explain = count == 1;
    options.tty = isatty(1);
    memory_start();
    /* Aligned blocks are still the library's: it keeps what it is given back. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    mallopt(M_TOP_PAD, 4 << 20);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("sim");
        return 70;
    }
    if (!scenario_prepare()) {
        fprintf(stderr, "sim: a store does not open on an empty disk: %s\n", world_broken());
        return 1;
    }
    if (options.goodput) {
        world_tracing = tracing;
        return show_goodput((unsigned)count, (unsigned)first);
    }
    make_references();
    world_tracing = tracing;
    double began = seconds(), cpu = children_cpu();
    if (options.here) {
        struct result r;
        play_checked(first, &r);
        take_result(&r, &t);
    } else {
        play_all(count, first, &t);
    }
    return report(&t, seconds() - began, children_cpu() - cpu);
}
