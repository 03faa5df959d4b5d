#include "tests/sim/scenario.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/env/file.h"
#include "agent/agent.h"
#include "coordinator/store/store.h"
#include "coordinator/api/address.h"
#include "coordinator/tacitd.h"
#include "tests/sim/disk.h"
#include "tests/sim/engine_time.h"
#include "tests/sim/goodput.h"
#include "tests/sim/vfs.h"

#define AGENTS_SMALL 10
#define GRACE_MS 30000
#define AGENTS_LARGE 300
#define JOINERS_MAX 3
#define SWITCHES_MAX 60000000ull /* a history with more does not get on */
#define HOUR (60 * SIM_MINUTE)
#define END_AFTER (12 * HOUR) /* the last fault */

const char *const fault_words[FAULTS] = {
    "requests refused",
    "uploads cut",
    "answers lost",
    "downloads cut",
    "requests doubled",
    "requests resent",
    "partitions",
    "slow links",
    "agents killed",
    "agents without power",
    "agents stopped",
    "agents frozen",
    "agents gone for good",
    "agents joining late",
    "agents' disks full",
    "agents' disks failing",
    "coordinator killed",
    "coordinator without power",
    "coordinator stopped",
    "coordinator frozen",
    "coordinator's disk full",
    "coordinator's disk failing",
    "slow disks",
    "clock jumps",
    "threads stalled",
    "runs told to go on",
};

struct agent_machine {
    struct machine *machine;
    struct agent_options options;
    char name[24];
    bool gone;
};

static struct {
    struct scenario *s;
    struct machine *nemesis, *desk;
    struct agent_machine agents[AGENTS_MAX];
    unsigned count;
    bool quiet;
    char token[256];
} play;

/* --- machines -------------------------------------------------------------------------------- */

struct sim_disk *sim_disk_current(void)
{
    return world_here()->disk;
}

void sim_disk_spend(int64_t us)
{
    world_spend(us);
}

/* The same thing a while later, by a thread of its own. */
struct later {
    void (*fn)(struct machine *m, void *arg);
    struct machine *machine;
    void *arg;
    int64_t at;
};

static void later_main(void *arg)
{
    struct later l = *(struct later *)arg;
    free(arg);
    world_sleep_until(l.at);
    l.fn(l.machine, l.arg);
}

static void later(int64_t after_us, void (*fn)(struct machine *m, void *arg), struct machine *m,
                  void *arg)
{
    struct later *l = malloc(sizeof *l);
    if (!l)
        abort();
    *l = (struct later){fn, m, arg, world_now() + after_us};
    world_spawn(play.nemesis, later_main, l, "something to come");
}

static void process_begins(struct machine *m)
{
    m->up = true;
    m->stop = false;
    m->lives++;
    m->began_at = world_now();
}

static void process_ended(struct machine *m)
{
    if (play.s->life_us && m != net_coordinator)
        goodput_lived(m->began_at, world_now());
    m->up = false;
    sim_disk_kill(m->disk);
}

/* kill -9, or, with power, everything that was not on the disk. */
static void process_kill(struct machine *m, bool power)
{
    if (play.s->life_us && m != net_coordinator)
        goodput_lived(m->began_at, world_now());
    machine_kill(m);
    if (m == net_coordinator)
        server_forget();
    net_process_gone(m, power);
    if (power)
        sim_disk_power_loss(m->disk, SIM_DISK_LOSS_DRAWN, world_random());
    else
        sim_disk_kill(m->disk);
}

static void start_coordinator(struct machine *m, void *arg);
static void start_agent(struct machine *m, void *arg);

static int64_t restart_delay(void)
{
    if (play.s->life_us)
        return SIM_MINUTE + (int64_t)world_draw(2 * SIM_MINUTE);
    return world_draw_log(100000, play.quiet ? 10 * SIM_SECOND : 20 * SIM_MINUTE);
}

static void coordinator_main(void *arg)
{
    struct machine *m = arg;
    struct err e = {0};
    struct listen_address anywhere = {.host = "[::]"};
    struct tacitd_options o = {.dir = "/data", .address = &anywhere};
    int rc = tacitd_run(&o, &e);
    process_ended(m);
    server_forget();
    if (rc) {
        world_note("tacitd can't start: %s", e.message);
        if (!play.s->happened[FAULT_COORDINATOR_FULL] && !play.s->happened[FAULT_COORDINATOR_IO])
            world_violation("tacitd can't start: %s (%s)", e.message, err_name(rc));
    }
    later(rc ? 5 * SIM_SECOND : restart_delay(), start_coordinator, m, NULL);
}

static void start_coordinator(struct machine *m, void *arg)
{
    (void)arg;
    if (m->up)
        return;
    process_begins(m);
    world_spawn(m, coordinator_main, m, "tacitd");
}

static bool agents_disks_failed(void)
{
    return play.s->happened[FAULT_AGENT_FULL] || play.s->happened[FAULT_AGENT_IO];
}

static void agent_main(void *arg)
{
    struct agent_machine *a = arg;
    struct machine *m = a->machine;
    m->exit_code = agent_run(&a->options);
    world_note("the agent ended with %d", m->exit_code);
    if (m->exit_code != 0 && !agents_disks_failed())
        world_violation("%s gave up with exit code %d", a->name, m->exit_code);
    process_ended(m);
    if (!a->gone)
        later(restart_delay(), start_agent, m, a);
}

static void start_agent(struct machine *m, void *arg)
{
    struct agent_machine *a = arg;
    if (m->up || a->gone)
        return;
    process_begins(m);
    world_spawn(m, agent_main, a, "agent");
}

static void end_now(struct machine *m, void *arg)
{
    world_note("%s ended where it stood, with %d", m->name, m->exit_code);
    process_kill(m, false);
    later(restart_delay(), start_agent, m, arg);
}

/* The thread that wants the end stands in its way. */
static void agent_ends(struct machine *m)
{
    for (unsigned i = 0; i < play.count; i++)
        if (play.agents[i].machine == m)
            later(0, end_now, m, &play.agents[i]);
}

/* The join token, for whoever sets machines up. */
static void read_token(void)
{
    struct buf token;
    struct err e = {0};
    struct machine *before = world_enter(net_coordinator);
    int rc = env_file_read("/data/join.token", sizeof play.token - 1, &token, &e);
    world_enter(before);
    if (rc)
        world_violation("no join token: %s", e.message);
    else
        memcpy(play.token, token.data, token.len);
    buf_free(&token);
}

static void copy_token(struct machine *to)
{
    struct err e = {0};
    struct machine *before = world_enter(to);
    if (env_file_write_atomic("/join.token", play.token, strlen(play.token), 0600, &e))
        world_violation("no join token for a new agent: %s", e.message);
    world_enter(before);
}

static struct agent_machine *add_agent(void)
{
    struct agent_machine *a = &play.agents[play.count];
    snprintf(a->name, sizeof a->name, "agent-%u", play.count++);
    a->machine = world_machine(a->name);
    a->machine->disk = sim_disk_create(world_random());
    a->options = (struct agent_options){.url = "http://coordinator:8420",
                                        .token_file = "/join.token",
                                        .work = "/work",
                                        .name = a->name,
                                        .threads = 1,
                                        .cache_bytes = 64u << 20,
                                        .preempt = {.grace_ms = GRACE_MS}};
    a->machine->end = agent_ends;
    struct link *l = net_link(a->machine);
    if (play.s->faults) {
        l->delay_us = world_draw_log(100, 200000);
        l->jitter_us = l->delay_us / 2;
        l->bytes_s = world_draw_log(100000, 100000000);
        for (int f = 0; f < NET_FAULTS; f++)
            if (play.s->enabled[f] && !play.quiet)
                l->fault_ppm[f] = (uint32_t)world_draw_log(1000, 100000);
    }
    if (play.s->life_us) { /* a model's state: some seconds each way, and 0.2 s to save */
        l->delay_us = 50000;
        const struct sim_disk_faults real = {.sync_us = 5000, .mib_us = 10 * SIM_SECOND};
        sim_disk_set_faults(a->machine->disk, &real);
    }
    copy_token(a->machine);
    return a;
}

/* --- blows ----------------------------------------------------------------------------------- */

static struct agent_machine *any_agent(void)
{
    return &play.agents[world_draw(play.count)];
}

static unsigned agents_left(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < play.count; i++)
        n += !play.agents[i].gone;
    return n;
}

static void thaw(struct machine *m, void *arg)
{
    (void)arg;
    if (m->frozen) {
        world_note("%s goes on", m->name);
        machine_freeze(m, false);
    }
}

static void heal_disk(struct machine *m, void *arg)
{
    (void)arg;
    world_note("the disk of %s is well again", m->name);
    sim_disk_set_faults(m->disk, &(struct sim_disk_faults){0});
}

static void heal_link(struct machine *m, void *arg)
{
    struct link *l = net_link(m);
    (void)arg;
    l->bytes_s = 10000000;
    l->delay_us = 5000;
    l->jitter_us = 5000;
}

static void damage_disk(struct machine *m, enum fault f)
{
    struct sim_disk_faults d = {0};
    if (f == FAULT_AGENT_FULL || f == FAULT_COORDINATOR_FULL) {
        d.bytes_max = sim_disk_used(m->disk) + world_draw(200000);
        d.read_only = world_chance(200000);
    } else if (f == FAULT_SLOW_DISK) {
        d.op_us = world_draw_log(10, 5000);
        d.sync_us = world_draw_log(1000, 500000);
        d.mib_us = world_draw_log(1000, 1000000);
    } else {
        uint32_t ppm = (uint32_t)world_draw_log(1000, 300000);
        d.write_ppm = world_chance(700000) ? ppm : 0;
        d.sync_ppm = world_chance(700000) ? ppm : 0;
        d.read_ppm = world_chance(300000) ? ppm / 4 : 0;
    }
    sim_disk_set_faults(m->disk, &d);
    later(world_draw_log(5 * SIM_SECOND, 15 * SIM_MINUTE), heal_disk, m, NULL);
}

static bool blow_agent(struct agent_machine *a, enum fault f)
{
    struct machine *m = a->machine;
    if (a->gone || (!m->up && f != FAULT_PARTITION))
        return false;
    switch (f) {
    case FAULT_AGENT_LEAVES:
        if (agents_left() < 2)
            return false;
        a->gone = true;
        process_kill(m, true);
        return true;
    case FAULT_AGENT_KILL:
    case FAULT_AGENT_POWER:
        process_kill(m, f == FAULT_AGENT_POWER);
        later(restart_delay(), start_agent, m, a);
        return true;
    case FAULT_AGENT_STOP:
        machine_stop(m);
        return true;
    case FAULT_AGENT_FREEZE:
        machine_freeze(m, true);
        later(world_draw_log(5 * SIM_SECOND, 40 * SIM_MINUTE), thaw, m, NULL);
        return true;
    case FAULT_AGENT_FULL:
    case FAULT_AGENT_IO:
        ledger_expect_io_errors(false);
        damage_disk(m, f);
        return true;
    default:
        return false;
    }
}

static bool blow_coordinator(enum fault f)
{
    struct machine *m = net_coordinator;
    if (!m->up || m->frozen)
        return false;
    switch (f) {
    case FAULT_COORDINATOR_KILL:
    case FAULT_COORDINATOR_POWER:
        process_kill(m, f == FAULT_COORDINATOR_POWER);
        later(restart_delay(), start_coordinator, m, NULL);
        return true;
    case FAULT_COORDINATOR_STOP:
        machine_stop(m);
        return true;
    case FAULT_COORDINATOR_FREEZE:
        machine_freeze(m, true);
        later(world_draw_log(SIM_SECOND, 10 * SIM_MINUTE), thaw, m, NULL);
        return true;
    case FAULT_COORDINATOR_FULL:
    case FAULT_COORDINATOR_IO:
        ledger_expect_io_errors(true);
        damage_disk(m, f);
        return true;
    default:
        return false;
    }
}

static bool blow_net(enum fault f)
{
    struct link *l = net_link(any_agent()->machine);
    if (f == FAULT_SLOW_LINK) {
        struct machine *m = any_agent()->machine;
        l = net_link(m);
        l->bytes_s = world_draw_log(1000, 100000);
        l->delay_us = world_draw_log(10000, 2 * SIM_SECOND);
        l->jitter_us = l->delay_us;
        later(world_draw_log(10 * SIM_SECOND, HOUR), heal_link, m, NULL);
        return true;
    }
    int64_t until = world_now() + world_draw_log(5 * SIM_SECOND, 2 * HOUR);
    if (world_chance(700000)) {
        l->cut_until = until;
        return true;
    }
    for (unsigned i = 0; i < play.count; i++)
        net_link(play.agents[i].machine)->cut_until = until;
    return true;
}

static bool blow(enum fault f)
{
    if (f == FAULT_PARTITION || f == FAULT_SLOW_LINK)
        return blow_net(f);
    if (f >= FAULT_AGENT_KILL && f <= FAULT_AGENT_IO && f != FAULT_AGENT_JOINS)
        return blow_agent(any_agent(), f);
    if (f >= FAULT_COORDINATOR_KILL && f <= FAULT_COORDINATOR_IO)
        return blow_coordinator(f);
    struct machine *m = world_chance(500000) ? net_coordinator : any_agent()->machine;
    if (f == FAULT_SLOW_DISK) {
        damage_disk(m, f);
        return true;
    }
    if (f == FAULT_CLOCK_JUMP) {
        if (m == net_coordinator)
            ledger_expect_clock_jumps();
        int64_t ms = world_draw_log(1000, 30ll * 24 * 3600 * 1000);
        m->wall_offset_ms += world_chance(500000) ? ms : -ms;
        return true;
    }
    if (play.count >= play.s->agents + JOINERS_MAX || play.count >= AGENTS_MAX)
        return false;
    struct agent_machine *a = add_agent();
    start_agent(a->machine, a);
    return true;
}

/* No more faults: everything that is still there gets well. */
static void calm_down(void)
{
    play.quiet = true;
    world_stalls_ppm = 0;
    world_note("no more faults from here on");
    for (unsigned i = 0; i <= play.count; i++) {
        struct machine *m = i < play.count ? play.agents[i].machine : net_coordinator;
        struct link *l = net_link(m);
        memset(l->fault_ppm, 0, sizeof l->fault_ppm);
        l->cut_until = 0;
        heal_link(m, NULL);
        heal_disk(m, NULL);
        thaw(m, NULL);
    }
}

static void nemesis_main(void *arg)
{
    struct scenario *s = arg;
    enum fault enabled[FAULTS];
    unsigned count = 0;
    for (int f = FAULT_PARTITION; f < FAULT_STALLS; f++)
        if (s->enabled[f])
            enabled[count++] = (enum fault)f;
    while (world_now() < s->quiet_at) {
        int64_t next = world_now() + world_draw_log(s->every_us / 16, s->every_us * 2);
        world_sleep_until(next < s->quiet_at ? next : s->quiet_at);
        if (count == 0 || !s->run.started || world_now() >= s->quiet_at)
            continue;
        enum fault f = enabled[world_draw(count)];
        world_note("fault: %s", fault_words[f]);
        s->happened[f]++; /* before: it may show at once */
        if (!blow(f)) {
            s->happened[f]--;
            world_note("  (not now)");
        }
    }
    calm_down();
}

/* --- the play -------------------------------------------------------------------------------- */

void scenario_draw(struct scenario *s, uint64_t seed, bool large)
{
    *s = (struct scenario){.seed = seed, .faults = true};
    world_start(seed);
    s->spec = large ? OPERATOR_SPECS - 1 : (unsigned)world_draw(OPERATOR_SPECS - 1);
    s->agents = large ? AGENTS_LARGE : 1 + (unsigned)world_draw(AGENTS_SMALL);
    /* Each seed with faults of its own: many kinds at once hide what few do. */
    uint32_t share = (uint32_t)world_draw_log(100000, 900000);
    for (int f = 0; f < FAULTS; f++)
        s->enabled[f] = world_chance(share);
    s->every_us = world_draw_log(3 * SIM_SECOND, 5 * SIM_MINUTE);
    s->quiet_at = world_now() + world_draw_log(2 * SIM_MINUTE, 2 * HOUR);
    sim_engine_step_us = world_draw_log(20000, 8 * SIM_SECOND);
    sim_engine_sequence_us = world_draw_log(1000, SIM_SECOND);
    if (large) {
        s->every_us = SIM_SECOND;
        s->quiet_at = world_now() + 3 * SIM_MINUTE;
        sim_engine_step_us = SIM_SECOND;
        sim_engine_sequence_us = 10000;
    }
}

void scenario_mortal(struct scenario *s, unsigned agents, int64_t life_us, unsigned minutes)
{
    *s = (struct scenario){.seed = 1, .agents = agents, .life_us = life_us};
    world_start(1);
    s->run.experts = agents;
    sim_engine_step_us = 2 * SIM_SECOND;
    sim_engine_sequence_us = 1000;
    int64_t from = world_now() + 10 * SIM_MINUTE;
    s->end_at = from + (int64_t)minutes * SIM_MINUTE;
    goodput_window(from, s->end_at);
}

static bool is_over(void *arg)
{
    const struct scenario *s = arg;
    return s->run.ended || world_broken() || world_now() > s->end_at ||
           world_switches() > SWITCHES_MAX;
}

/* Ends the process of one agent ever again, after lives of a memoryless kind. */
static void mortal_main(void *arg)
{
    struct agent_machine *a = arg;
    struct machine *m = a->machine;
    for (;;) {
        double u = ((double)world_draw(1u << 30) + 1) / (1u << 30);
        world_sleep_until(world_now() + (int64_t)(-log(u) * (double)play.s->life_us));
        if (!m->up)
            continue;
        if (world_chance(500000)) {
            machine_stop(m);
        } else {
            process_kill(m, true);
            later(restart_delay(), start_agent, m, a);
        }
    }
}

/* A data set of thousands of sequences and the scores of a thousand routers weigh nothing beside
 * models of real size, and much beside these: until the chains have begun, links are quick. */
static void slow_links_main(void *arg)
{
    (void)arg;
    world_sleep_until(world_now() + 3 * SIM_MINUTE);
    for (unsigned i = 0; i < play.count; i++)
        net_link(play.agents[i].machine)->bytes_s = 2000;
}

/* A history of hundreds of agents takes a while: where it is, every few minutes of its own. */
static void telling_main(void *arg)
{
    const struct scenario *s = arg;
    int64_t began = world_now();
    for (;;) {
        world_sleep_until(world_now() + 5 * SIM_MINUTE);
        fprintf(stderr, "minute %lld of %lld: %.0f s of processor, %llu switches\n",
                (long long)((world_now() - began) / SIM_MINUTE),
                (long long)((s->end_at - began) / SIM_MINUTE), (double)clock() / CLOCKS_PER_SEC,
                (unsigned long long)world_switches());
    }
}

static void stage(void *arg)
{
    struct scenario *s = arg;
    start_coordinator(net_coordinator, NULL);
    operator_start(play.desk, &s->run);
    while (!s->run.started)
        world_sleep_until(world_now() + SIM_SECOND / 10);
    read_token();
    for (unsigned i = 0; i < s->agents; i++) {
        struct agent_machine *a = add_agent();
        start_agent(a->machine, a);
        if (s->life_us)
            world_spawn(play.nemesis, mortal_main, a, "the end of an agent");
    }
    if (s->life_us) {
        world_spawn(play.nemesis, slow_links_main, NULL, "what models weigh");
        world_spawn(play.nemesis, telling_main, s, "who tells how far it is");
    }
    if (s->faults && s->enabled[FAULT_STALLS])
        world_stalls_ppm = (uint32_t)world_draw_log(10, 3000);
    if (s->faults)
        world_spawn(play.nemesis, nemesis_main, s, "the nemesis");
}

static void judge(struct scenario *s, bool stuck, const struct reference *reference,
                  struct reference *out)
{
    if (world_broken())
        return;
    struct sim_disk *copy = sim_disk_clone(net_coordinator->disk, 1);
    if (stuck || !s->run.ended) {
        world_violation("the run does not end: %llu jobs done, %llu waiting, %llu leased%s",
                        (unsigned long long)s->run.done, (unsigned long long)s->run.waiting,
                        (unsigned long long)s->run.leased,
                        stuck                             ? "; nothing will ever happen again"
                        : world_switches() > SWITCHES_MAX ? "; something goes round in circles"
                                                          : "");
    } else if (s->run.state != 1) {
        world_violation("the run ended as failed: %s", s->run.reason);
    } else {
        /* What everybody was told survives whatever comes; the reference has no faults at all. */
        if (reference)
            sim_disk_power_loss(copy, SIM_DISK_LOSS_ALL, 1);
        ledger_check(copy, reference, out);
    }
    sim_disk_destroy(copy);
}

/* Databases that exist and hold nothing: making them is a third of a small history. */
static struct sim_disk *installed;
#define BLANK_EVERY 8 /* seeds, one of which begins with an empty disk */

static void install(void *arg)
{
    struct store *store = NULL;
    struct err e = {0};
    if (store_open(&store, "/data", &e))
        world_violation("the store does not open: %s", e.message);
    store_close(store);
    *(bool *)arg = true;
}

static bool is_installed(void *arg)
{
    return *(bool *)arg;
}

bool scenario_prepare(void)
{
    bool done = false;
    sim_vfs_register();
    world_start(1);
    struct machine *m = world_machine("coordinator");
    m->disk = sim_disk_create(1);
    m->up = true;
    world_spawn(m, install, &done, "the first start");
    world_run(is_installed, &done);
    machine_kill(m);
    installed = m->disk;
    free(m);
    return done && !world_broken();
}

void scenario_play(struct scenario *s, const struct reference *reference, struct reference *out)
{
    sim_vfs_register();
    memset(&play, 0, sizeof play);
    play.s = s;
    world_stalls_ppm = 0;
    net_start();
    ledger_start();
    net_coordinator = world_machine("coordinator");
    net_coordinator->disk = installed && s->seed % BLANK_EVERY
                                ? sim_disk_clone(installed, world_random())
                                : sim_disk_create(world_random());
    play.desk = world_machine("operator");
    play.desk->disk = sim_disk_create(world_random());
    play.desk->up = true;
    play.nemesis = world_machine("nemesis");
    if (!s->life_us)
        s->end_at = (s->quiet_at > world_now() ? s->quiet_at : world_now()) + END_AFTER;
    int64_t began = world_now();
    world_spawn(play.nemesis, stage, s, "the stage");
    bool stuck = !world_run(is_over, s);
    if (s->life_us) {
        for (unsigned i = 0; i < play.count; i++)
            if (play.agents[i].machine->up)
                goodput_lived(play.agents[i].machine->began_at, world_now());
    } else {
        judge(s, stuck, reference, out);
    }
    s->happened[FAULT_STALLS] = world_stalls();
    s->happened[FAULT_STOPPED_RUN] = s->run.retries;
    s->virtual_s = (uint64_t)((world_now() - began) / SIM_SECOND);
    for (unsigned i = 0; i < play.count; i++) {
        const struct link *l = net_link(play.agents[i].machine);
        s->requests += l->exchanges;
        for (int f = 0; f < NET_FAULTS; f++)
            s->happened[f] += l->counts[f];
    }
}

static void machine_end(struct machine *m)
{
    machine_kill(m);
    sim_disk_destroy(m->disk);
    free(m->extra);
    free(m);
}

void scenario_end(void)
{
    for (unsigned i = 0; i < play.count; i++)
        machine_end(play.agents[i].machine);
    machine_end(net_coordinator);
    machine_end(net_between);
    machine_end(play.desk);
    machine_end(play.nemesis);
    server_forget();
}
