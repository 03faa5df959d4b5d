#include "agent/machine.h"

#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/kernels/kernels.h"

#define CPUINFO_MAX (8u << 20) /* a paragraph a processor */

static void read_processor(char *out, size_t cap)
{
    struct buf b;
    struct err e = {0};
    snprintf(out, cap, "unknown");
    if (env_file_read("/proc/cpuinfo", CPUINFO_MAX, &b, &e)) {
        return;
    }
    const char *line = b.len ? strstr(b.data, "model name") : NULL;
    const char *value = line ? strchr(line, ':') : NULL;
    if (value) {
        value += strspn(value, ": \t");
        size_t n = strcspn(value, "\n");
        n = n < cap ? n : cap - 1;
        if (n > 0 && text_is_utf8(value, n)) {
            memcpy(out, value, n);
            out[n] = 0;
        }
    }
    buf_free(&b);
}

static void read_isa(char *out, size_t cap)
{
    struct err e = {0};
    struct pool *pool = pool_create(1, &e);
    struct kern *k = NULL;
    struct kern_options o = {.arithmetic = KERN_EXACT};
    snprintf(out, cap, "unknown");
    if (pool && kern_create(&k, pool, &o, &e) == 0) {
        snprintf(out, cap, "%s", kern_isa(k));
    }
    kern_destroy(k);
    pool_destroy(pool);
}

void machine_describe(struct machine *m)
{
    read_processor(m->processor, sizeof m->processor);
    read_isa(m->isa, sizeof m->isa);
}
