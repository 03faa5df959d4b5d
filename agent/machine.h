/* What an agent says of its machine when it joins. */
#ifndef TACIT_AGENT_MACHINE_H
#define TACIT_AGENT_MACHINE_H

struct machine {
    char processor[128]; /* "AMD EPYC 9R14"; "unknown" where the system does not tell */
    char isa[16];        /* of the kernels: "avx512", … */
};

void machine_describe(struct machine *m);

#endif
