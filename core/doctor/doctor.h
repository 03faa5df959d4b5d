/* What may keep a machine from its work, looked at one by one: the same for operators (`tacit
 * doctor`), agents (`tacit-agent --doctor`) and the coordinator (`tacitd --doctor`). Each check
 * adds what it found to a list; nothing is printed, changed or left behind. */
#ifndef TACIT_DOCTOR_DOCTOR_H
#define TACIT_DOCTOR_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/protocol/messages.h"

#define DOCTOR_MAX 48

struct doctor {
    struct arena arena;
    struct msg_finding list[DOCTOR_MAX];
    uint32_t count;
    int code; /* of the first fault: an exit code of sysexits(3); 0: nothing prevents work */
};

void doctor_init(struct doctor *d);
void doctor_free(struct doctor *d);
/* One finding. fix: a sentence; NULL where it is well. code: counts where it is a fault. */
void doctor_tell(struct doctor *d, int level, int code, const char *check, const char *fix,
                 const char *fmt, ...) __attribute__((format(printf, 6, 7)));

enum doctor_role { DOCTOR_OPERATOR, DOCTOR_AGENT, DOCTOR_JOIN };
struct doctor_way {
    const char *url, *token_file, *ca_file; /* as programs take them; may be NULL */
    const char *token;                      /* in the place of a file */
    int role;                               /* enum doctor_role: what the token must be good for */
    const char *option;                     /* how the address is given: "--url" */
};
/* The way to the coordinator: settings, name, proxy, port, certificate, answer, clocks, versions,
 * token. What rests on something faulty is not looked at. True: all the way is well. */
bool doctor_way(struct doctor *d, const struct doctor_way *w);
/* Room in a folder (or where it would be made), and how fast the disk takes what must be durable.
 * what: "work folder"; least, enough: bytes below which nothing works, and below which it is soon
 * full. */
void doctor_folder(struct doctor *d, const char *what, const char *path, uint64_t least,
                   uint64_t enough);
/* Processors and memory; need: bytes that training takes, with what in words; 0: none is known. */
void doctor_machine(struct doctor *d, uint64_t need, const char *what);
/* The same with what training an expert of a spec needs, on data of this vocabulary and length. */
void doctor_spec(struct doctor *d, const char *file, uint32_t vocab, uint32_t seq);
/* Instruction sets and their self-test, and what makes libraries choose others. */
void doctor_kernels(struct doctor *d);

/* Lines for people, or one JSON object (msg_doctor). */
TACIT_MUST_CHECK int doctor_text(const struct doctor *d, bool color, struct buf *out,
                                 struct err *e);
TACIT_MUST_CHECK int doctor_json(const struct doctor *d, struct buf *out, struct err *e);

#endif
