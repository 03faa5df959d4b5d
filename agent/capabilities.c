#include "agent/capabilities.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "agent/agent_log.h"
#include "agent/machine.h"
#include "core/env/process.h"
#include "core/kernels/selftest.h"

/* What may make a library choose other kernels than the processor's best: of OpenBLAS, which
 * arithmetic = blas uses. */
static const char *const overrides[] = {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE",
                                        "OPENBLAS_NUM_THREADS"};
#define OVERRIDES (sizeof overrides / sizeof *overrides)

static void log_failures(const struct selftest *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!t->sets[i].works)
            log_error(
                "isa=%s fails its self-test: %s differ from the definition; this machine, its "
                "hypervisor or this build is broken",
                t->sets[i].isa, t->sets[i].failed);
    }
}

int capabilities_check(struct err *e)
{
    struct selftest t;
    int rc = selftest_run(&t, e);
    if (rc)
        return rc;
    log_failures(&t);
    if (strcmp(t.isa, t.wanted) != 0) {
        log_warn("isa=%s is used instead of %s: the same results, more slowly", t.isa, t.wanted);
        env_set("TACIT_ISA", t.isa);
    }
    return 0;
}

static void print_text(const struct machine *m, const struct selftest *t)
{
    const char *forced = env_get("TACIT_ISA");
    printf("processor    %s, %d processors, %" PRIu64 " MiB\n", m->processor, env_cpu_count(),
           env_memory_bytes() >> 20);
    printf("kernels      %s%s\n", t->isa, forced != NULL && *forced ? " (TACIT_ISA)" : "");
    for (size_t i = 0; i < t->count; i++) {
        const struct selftest_set *s = &t->sets[i];
        printf("  %-11s%s%s%s\n", s->isa, s->works ? "equals the definition" : "FAILS: ", s->failed,
               s->pairs ? "; multiplies bf16 itself" : "");
    }
    printf("precisions   f32, bf16\n");
    bool any = false;
    for (size_t i = 0; i < OVERRIDES; i++) {
        const char *value = env_get(overrides[i]);
        if (value != NULL)
            printf("%s%s=%s (arithmetic = blas)\n", any ? "             " : "overrides    ",
                   overrides[i], value);
        any = any || value != NULL;
    }
    if (!any)
        printf("overrides    none\n");
}

static int print_json(const struct machine *m, const struct selftest *t)
{
    json_t *sets = json_array(), *set = json_object();
    for (size_t i = 0; i < t->count; i++) {
        const struct selftest_set *s = &t->sets[i];
        json_array_append_new(sets,
                              json_pack("{s:s, s:b, s:b, s:s}", "isa", s->isa, "works", s->works,
                                        "multiplies_bf16", s->pairs, "failed", s->failed));
    }
    for (size_t i = 0; i < OVERRIDES; i++) {
        const char *value = env_get(overrides[i]);
        if (value != NULL)
            json_object_set_new(set, overrides[i], json_string(value));
    }
    json_t *all = json_pack("{s:s, s:i, s:I, s:s, s:s, s:o, s:[s, s], s:o}", "processor",
                            m->processor, "processors", env_cpu_count(), "memory",
                            (json_int_t)env_memory_bytes(), "isa", t->isa, "wanted", t->wanted,
                            "sets", sets, "precisions", "f32", "bf16", "overrides", set);
    char *text = all != NULL ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    if (text == NULL) {
        fprintf(stderr, "tacit-agent: no memory to tell what this machine can do\n");
        return EX_OSERR;
    }
    printf("%s\n", text);
    free(text);
    return 0;
}

int capabilities_print(bool json)
{
    struct machine m;
    struct selftest t;
    struct err e = {0};
    int rc = 0;
    if (selftest_run(&t, &e)) {
        fprintf(stderr, "tacit-agent: %s\n", e.message);
        return EX_CONFIG;
    }
    machine_describe(&m);
    if (json)
        rc = print_json(&m, &t);
    else
        print_text(&m, &t);
    return rc != 0 ? rc : strcmp(t.isa, t.wanted) != 0 ? EX_SOFTWARE : 0;
}
