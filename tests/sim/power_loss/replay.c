#include "tests/sim/power_loss/replay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/disk/one_machine.h"

/* The states that a part went through, in order. */
struct history {
    uint64_t *list;
    size_t count, cap;
    size_t floor; /* the one at the last mark: older ones are losses */
};

struct run {
    const struct replay *r;
    struct replay_result result;
    struct sim_disk *disk; /* as of the prefix */
    struct history parts[REPLAY_PARTS];
    size_t at, marks;
    uint64_t drawn;
};

static void history_add(struct history *h, uint64_t state)
{
    if (h->count > 0 && h->list[h->count - 1] == state)
        return;
    if (h->count == h->cap) {
        h->cap = h->cap ? 2 * h->cap : 64;
        h->list = realloc(h->list, h->cap * sizeof *h->list);
    }
    h->list[h->count++] = state;
}

/* Not a loss: the program alone is gone, and what was unsynced still is. */
#define KILLED ((enum sim_disk_loss)(SIM_DISK_LOSS_DRAWN + 1))

static const char *const loss_words[] = {
    [SIM_DISK_LOSS_ALL] = "all that was unsynced lost",
    [SIM_DISK_LOSS_NONE] = "nothing lost",
    [SIM_DISK_LOSS_DRAWN] = "a part lost",
    [KILLED] = "nothing lost but the program",
};

static void violation(struct run *x, enum sim_disk_loss loss, uint64_t seed, const char *why)
{
    char text[128];
    if (x->result.violations++ > 0)
        return;
    sim_journal_text(x->r->journal, x->at, text, sizeof text);
    snprintf(x->result.first, sizeof x->result.first,
             "after operation %zu of %zu (%s), %zu acknowledged, %s, seed %" PRIu64 ": %s", x->at,
             x->result.operations, text, x->marks, loss_words[loss], seed, why);
}

static struct sim_disk *build(struct run *x, enum sim_disk_loss loss, uint64_t seed)
{
    struct sim_disk *d = sim_disk_clone(x->disk, seed);
    if (loss != KILLED)
        sim_disk_power_loss(d, loss, seed);
    machine_use(d);
    machine_seed(seed);
    x->result.builds++;
    return d;
}

/* What is left must be a state that was, and not from before the last mark. */
static void look_at_state(struct run *x, enum sim_disk_loss loss, uint64_t seed)
{
    uint64_t now[REPLAY_PARTS];
    char why[64];
    if (!x->r->state)
        return;
    struct sim_disk *d = build(x, loss, seed);
    x->r->state(x->r->arg, now);
    sim_disk_destroy(d);
    for (unsigned p = 0; p < REPLAY_PARTS; p++) {
        struct history *h = &x->parts[p];
        size_t i = h->floor;
        if (loss == SIM_DISK_LOSS_NONE)
            history_add(h, now[p]);
        while (i < h->count && h->list[i] != now[p])
            i++;
        if (i < h->count)
            continue;
        for (i = h->floor; i > 0 && h->list[i - 1] != now[p];)
            i--;
        snprintf(why, sizeof why, "part %u is in a state %s", p,
                 i > 0 ? "from before what was acknowledged" : "that never was");
        violation(x, loss, seed, why);
    }
}

static void look_at_all(struct run *x, enum sim_disk_loss loss, uint64_t seed)
{
    char why[256];
    struct sim_disk *d = build(x, loss, seed);
    x->result.checks++;
    if (!x->r->check(x->r->arg, x->marks, why, sizeof why))
        violation(x, loss, seed, why);
    sim_disk_destroy(d);
}

/* The losses that can happen after operation at. */
static void look(struct run *x, enum sim_journal_effect effect)
{
    look_at_state(x, SIM_DISK_LOSS_NONE, 0);
    if (x->at % x->r->check_every == 0)
        look_at_all(x, KILLED, x->at);
    if (effect == SIM_JOURNAL_MARK)
        look_at_all(x, SIM_DISK_LOSS_NONE, 0);
    if (effect != SIM_JOURNAL_CHANGE) {
        look_at_state(x, SIM_DISK_LOSS_ALL, 0);
        look_at_all(x, SIM_DISK_LOSS_ALL, 0);
    }
    for (unsigned i = 0; i < x->r->drawn; i++) {
        uint64_t seed = ++x->drawn;
        look_at_state(x, SIM_DISK_LOSS_DRAWN, seed);
        if (!x->r->state || seed % x->r->check_every == 0)
            look_at_all(x, SIM_DISK_LOSS_DRAWN, seed);
    }
}

static bool is_ignored(const struct run *x)
{
    char text[128];
    if (!x->r->ignored_syncs)
        return false;
    sim_journal_text(x->r->journal, x->at, text, sizeof text);
    size_t len = strlen(text), end = strlen(x->r->ignored_syncs);
    return len >= end && strcmp(text + len - end, x->r->ignored_syncs) == 0;
}

struct replay_result replay_run(const struct replay *r)
{
    struct run x = {.r = r, .disk = sim_disk_create(1)};
    x.result.operations = sim_journal_count(r->journal);
    for (x.at = 0; x.at < x.result.operations && x.result.violations == 0; x.at++) {
        uint64_t what;
        machine_use(x.disk);
        sim_disk_set_faults(x.disk, &(struct sim_disk_faults){.sync_lies = is_ignored(&x)});
        enum sim_journal_effect effect = sim_journal_apply(r->journal, x.at, x.disk, &what);
        x.marks += effect == SIM_JOURNAL_MARK;
        for (unsigned p = 0; effect == SIM_JOURNAL_MARK && p < REPLAY_PARTS; p++)
            x.parts[p].floor = x.parts[p].count > 0 ? x.parts[p].count - 1 : 0;
        size_t checks = x.result.checks;
        look(&x, effect);
        x.result.opened += x.result.checks > checks;
    }
    x.result.marks = x.marks;
    machine_use(NULL);
    sim_disk_destroy(x.disk);
    for (unsigned p = 0; p < REPLAY_PARTS; p++)
        free(x.parts[p].list);
    return x.result;
}
