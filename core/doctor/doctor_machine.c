/* Disk, memory, processor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "core/base/text.h"
#include "core/doctor/doctor.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/kernels/selftest.h"
#include "core/model/engine.h"
#include "core/protocol/spec.h"

#define TRIAL_BYTES (16u << 20)
#define TRIAL_MS 2000 /* a slow disk is known by then */
#define SLOW_BYTES_S 10e6
#define SYNCS 5
#define SLOW_SYNC_MS 50

/* The folder, or the nearest one above it that is there. */
static char *nearest_folder(const char *path)
{
    char *at = strdup(path);
    while (at && !env_dir_exists(at)) {
        char *slash = strrchr(at, '/');
        if (!slash) {
            snprintf(at, strlen(at) + 1, "%s", *at ? "." : "");
            return at;
        }
        if (slash == at)
            slash++;
        *slash = 0;
    }
    return at;
}

struct trial {
    double bytes_s, sync_ms;
};

/* Writes and syncs a file as saves do, then small ones as a database does. */
static int try_disk(const char *file, struct trial *t, struct err *e)
{
    static char block[1u << 20];
    int fd = -1;
    uint64_t wrote = 0;
    double began = env_monotonic_s();
    env_random(block, sizeof block); /* what can't be compressed on the way */
    int rc = env_file_open_write(file, true, &fd, e);
    while (!rc && wrote < TRIAL_BYTES && env_monotonic_s() - began < TRIAL_MS / 1000.0) {
        rc = env_file_write_at(fd, wrote, block, sizeof block, e);
        wrote += sizeof block;
    }
    if (!rc)
        rc = env_file_sync(fd, e);
    double took = env_monotonic_s() - began;
    t->bytes_s = (double)wrote / (took > 1e-6 ? took : 1e-6);
    began = env_monotonic_s();
    for (int i = 0; !rc && i < SYNCS; i++) {
        rc = env_file_write_at(fd, (uint64_t)i * 4096, block, 4096, e);
        if (!rc)
            rc = env_file_sync(fd, e);
    }
    t->sync_ms = (env_monotonic_s() - began) * 1000 / SYNCS;
    env_file_close(fd);
    struct err ignored;
    (void)!env_file_remove(file, &ignored);
    return rc;
}

static void tell_speed(struct doctor *d, const char *folder)
{
    struct trial t = {0};
    struct err e = {0};
    unsigned long long number;
    char name[64], speed[16];
    env_random(&number, sizeof number);
    snprintf(name, sizeof name, ".doctor-%016llx", number);
    char *file = env_path_join(folder, name);
    int rc = file ? try_disk(file, &t, &e) : err_set(&e, ERR_NO_MEMORY, "no memory for a path");
    free(file);
    if (rc) {
        doctor_tell(d, FINDING_FAULT, err_exit_code(rc), "disk speed",
                    rc == ERR_NO_SPACE ? "make room there, or name a folder on another disk"
                                       : "let this user write there, or name another folder",
                    "%s", e.message);
        return;
    }
    text_bytes((uint64_t)t.bytes_s, speed);
    bool slow = t.bytes_s < SLOW_BYTES_S || t.sync_ms > SLOW_SYNC_MS;
    doctor_tell(
        d, slow ? FINDING_WARN : FINDING_OK, 0, "disk speed",
        slow ? "saves will take long: name a folder on a faster disk, if there is one" : NULL,
        "%s/s written and synced; a small write is durable after %.1f ms", speed, t.sync_ms);
}

void doctor_folder(struct doctor *d, const char *what, const char *path, uint64_t least,
                   uint64_t enough)
{
    uint64_t bytes;
    struct err e = {0};
    char amount[16], wanted[16];
    char *folder = nearest_folder(path);
    int rc = folder ? env_disk_free(folder, &bytes, &e)
                    : err_set(&e, ERR_NO_MEMORY, "no memory for a path");
    const char *made = folder && strcmp(folder, path) == 0 ? "" : " (it will be made)";
    if (rc) {
        doctor_tell(d, FINDING_FAULT, err_exit_code(rc), "disk", "name a folder that can be used",
                    "%s %s: %s", what, path, e.message);
    } else {
        int level = bytes < least ? FINDING_FAULT : bytes < enough ? FINDING_WARN : FINDING_OK;
        text_bytes(least, wanted);
        doctor_tell(d, level, EX_CANTCREAT, "disk",
                    level == FINDING_OK ? NULL
                    : level == FINDING_WARN
                        ? "make room before it is full, or name a folder on another disk"
                        : "make room there, or name a folder on another disk",
                    "%s %s%s: %s free%s%s", what, path, made, text_bytes(bytes, amount),
                    level == FINDING_FAULT ? ", and at least this much is needed: " : "",
                    level == FINDING_FAULT ? wanted : "");
        tell_speed(d, folder);
    }
    free(folder);
}

void doctor_machine(struct doctor *d, uint64_t need, const char *what)
{
    uint64_t memory = env_memory_bytes();
    char has[16], wants[16];
    text_bytes(memory, has);
    text_bytes(need, wants);
    int processors = env_cpu_count();
    if (need == 0)
        doctor_tell(d, FINDING_OK, 0, "memory", NULL, "%s, %d processor%s", has, processors,
                    processors == 1 ? "" : "s");
    else
        doctor_tell(d,
                    need > memory       ? FINDING_FAULT
                    : need > memory / 2 ? FINDING_WARN
                                        : FINDING_OK,
                    EX_OSERR, "memory",
                    need > memory ? "give it more memory, or train smaller models or sequences"
                    : need > memory / 2
                        ? "it is computed in parts, more slowly: more memory would help"
                        : NULL,
                    "%s, %d processors; %s takes %s for a sequence", has, processors, what, wants);
}

/* --- kernels ---------------------------------------------------------------------------------- */

static void tell_overrides(struct doctor *d)
{
    static const struct {
        const char *name, *what;
    } list[] = {{"OPENBLAS_CORETYPE", "OpenBLAS takes another processor's kernels"},
                {"OPENBLAS_NUM_THREADS", "OpenBLAS takes another number of threads"},
                {"OPENBLAS_L2_SIZE", "OpenBLAS blocks its products otherwise"},
                {"TACIT_ISA", "another instruction set than the best is used, more slowly"},
                {"LD_PRELOAD", "a library takes the place of others"}};
    bool any = false;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        const char *value = env_get(list[i].name);
        if (!value || !*value)
            continue;
        any = true;
        doctor_tell(d, FINDING_WARN, 0, "libraries",
                    strncmp(list[i].name, "OPENBLAS", 8) == 0
                        ? "unset it, unless it is meant: results of arithmetic = blas depend on it"
                        : "unset it, unless it is meant",
                    "%s=%s is set: %s", list[i].name, value, list[i].what);
    }
    if (!any)
        doctor_tell(d, FINDING_OK, 0, "libraries", NULL, "nothing overrides what they choose");
}

void doctor_kernels(struct doctor *d)
{
    struct selftest t;
    struct err e = {0};
    char words[256] = "";
    size_t n = 0;
    if (selftest_run(&t, &e)) {
        doctor_tell(d, FINDING_FAULT, EX_CONFIG, "kernels",
                    "set TACIT_ISA to a set of this machine, or not at all", "%s", e.message);
        return;
    }
    for (size_t i = 0; i < t.count && n < sizeof words; i++) {
        const struct selftest_set *s = &t.sets[i];
        if (!s->works)
            doctor_tell(d, FINDING_WARN, 0, "kernels",
                        "try another machine: this one, its hypervisor or this build is broken",
                        "%s computes otherwise than the definition: %s", s->isa, s->failed);
        else
            n += (size_t)snprintf(words + n, sizeof words - n, "%s%s", n ? ", " : "", s->isa);
    }
    bool none = strcmp(t.isa, "definition") == 0;
    doctor_tell(d, none ? FINDING_FAULT : FINDING_OK, EX_SOFTWARE, "kernels",
                none ? "train elsewhere: no instruction set computes rightly here" : NULL,
                "%s is used; %s equal%s the definition, bit for bit", t.isa, n ? words : "none",
                t.count == 1 ? "s" : "");
    tell_overrides(d);
}

/* --- a spec ----------------------------------------------------------------------------------- */

void doctor_spec(struct doctor *d, const char *file, uint32_t vocab, uint32_t seq)
{
    struct buf text;
    struct run_spec spec;
    struct model_config c;
    struct err e = {0};
    int rc = env_file_read(file, SPEC_BYTES_MAX, &text, &e);
    if (!rc) {
        rc = spec_parse(text.data ? text.data : "", text.len, file, &spec, &e);
        buf_free(&text);
    }
    if (rc) {
        doctor_tell(d, FINDING_FAULT, err_exit_code(rc), "memory",
                    "name a spec that `tacit run create --dry-run` takes", "%s", e.message);
        return;
    }
    spec_expert_model(&spec, vocab, seq, &c);
    doctor_machine(d, engine_memory(&c, true, spec_optimizer(&spec, false)),
                   "training an expert of the spec");
}
