/* What happens to a world beside its work: drawn from the seed. */
#ifndef TACIT_SIM_SCENARIO_H
#define TACIT_SIM_SCENARIO_H

#include "tests/sim/ledger.h"
#include "tests/sim/net.h"
#include "tests/sim/operator.h"

enum fault {
    FAULT_REFUSED, /* the first ones are net_fault's */
    FAULT_CUT_UP,
    FAULT_LOST,
    FAULT_CUT_DOWN,
    FAULT_TWICE,
    FAULT_RESENT,
    FAULT_PARTITION,
    FAULT_SLOW_LINK,
    FAULT_AGENT_KILL,
    FAULT_AGENT_POWER,
    FAULT_AGENT_STOP,
    FAULT_AGENT_FREEZE,
    FAULT_AGENT_LEAVES,
    FAULT_AGENT_JOINS,
    FAULT_AGENT_FULL,
    FAULT_AGENT_IO,
    FAULT_COORDINATOR_KILL,
    FAULT_COORDINATOR_POWER,
    FAULT_COORDINATOR_STOP,
    FAULT_COORDINATOR_FREEZE,
    FAULT_COORDINATOR_FULL,
    FAULT_COORDINATOR_IO,
    FAULT_SLOW_DISK,
    FAULT_CLOCK_JUMP,
    FAULT_STALLS,
    FAULT_STOPPED_RUN, /* follows from others: the operator told the run to go on */
    FAULTS
};
extern const char *const fault_words[FAULTS];

#define AGENTS_MAX 1024

struct scenario {
    uint64_t seed;
    unsigned agents, spec;
    bool faults; /* false: the reference */
    bool enabled[FAULTS];
    int64_t every_us; /* between two blows, on average */
    int64_t quiet_at; /* no faults from then on */
    int64_t end_at;   /* by then the run must have ended */
    uint64_t happened[FAULTS];
    struct operator_run run;
    uint64_t requests, virtual_s;
    int64_t life_us; /* of mortal agents, on average; 0: as the blows fall */
};

/* Once a process, before all others: coordinators that most histories begin with. */
bool scenario_prepare(void);
/* Draws what the seed says. large: hundreds of agents. */
void scenario_draw(struct scenario *s, uint64_t seed, bool large);
/* Plays it to its end. */
void scenario_play(struct scenario *s, const struct reference *reference, struct reference *out);
/* Agents as many as experts, who live for life_us on average; half of them hear that they are to
 * end. Counted from ten minutes after the start on, for minutes. */
void scenario_mortal(struct scenario *s, unsigned agents, int64_t life_us, unsigned minutes);
/* Gives back what it took, as far as it is known. */
void scenario_end(void);

#endif
