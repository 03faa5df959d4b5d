#include "agent/agent_doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>
#include "core/doctor/doctor.h"
#include "core/env/file.h"
#include "core/env/process.h"

#define WORK_LEAST (64ull << 20) /* a small model's saves, twice */
#define OUT_MAX (1u << 20)

/* An agent that has joined has a token of its own, and needs no other. */
static void look_at_way(struct doctor *d, const struct agent_options *o)
{
    struct doctor_way way = {.url = o->url,
                             .token_file = o->token_file,
                             .ca_file = o->ca_file,
                             .role = DOCTOR_JOIN,
                             .option = "--coordinator"};
    char *own = o->work ? env_path_join(o->work, "agent.token") : NULL;
    if (own && env_file_exists(own)) {
        way.token_file = own;
        way.role = DOCTOR_AGENT;
    }
    (void)doctor_way(d, &way);
    free(own);
}

int agent_doctor(const struct agent_options *o, const char *spec, uint32_t vocab, uint32_t seq,
                 bool json)
{
    struct doctor d;
    struct buf out;
    struct err e = {0};
    const char *no_color = env_get("NO_COLOR");
    bool color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    buf_init(&out, OUT_MAX);
    doctor_init(&d);
    look_at_way(&d, o);
    if (o->work)
        doctor_folder(&d, "work folder", o->work, WORK_LEAST, o->cache_bytes);
    else
        doctor_tell(&d, FINDING_FAULT, EX_USAGE, "disk",
                    "give --work DIR: identity, cache and saves go there", "no work folder");
    if (spec)
        doctor_spec(&d, spec, vocab, seq);
    else
        doctor_machine(&d, 0, NULL);
    doctor_kernels(&d);
    int rc = json ? doctor_json(&d, &out, &e) : doctor_text(&d, color, &out, &e);
    int code = rc ? err_exit_code(rc) : d.code;
    if (rc)
        fprintf(stderr, "tacit-agent: %s\n", e.message);
    else
        printf("%s%s", out.data, json ? "\n" : "");
    doctor_free(&d);
    buf_free(&out);
    return code;
}
