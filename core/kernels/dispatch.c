/* Which instruction sets this machine has, by CPUID bits and what the operating system saves, never
 * by model names; TACIT_ISA forces one. */
#include "core/kernels/lanes_table.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "core/env/process.h"

#define SETS_MAX 4

#if defined(__x86_64__)
#include <cpuid.h>

static unsigned long long saved_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (unsigned long long)high << 32 | low;
}

static void x86_detect(bool *avx2, bool *avx512, bool *bf16)
{
    unsigned a, b, c, d, a7, b7, c7, d7;
    *avx2 = *avx512 = *bf16 = false;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7))
        return;
    const unsigned long long ymm = 0x6, zmm = 0xe6; /* XCR0: SSE, AVX; opmask, upper zmm */
    if (!(c & bit_OSXSAVE) || (saved_registers() & ymm) != ymm)
        return;
    *avx2 = (b7 & bit_AVX2) && (c & bit_AVX) && (c & bit_FMA);
    *avx512 = *avx2 && (saved_registers() & zmm) == zmm && (b7 & bit_AVX512F) &&
              (b7 & bit_AVX512BW) && (b7 & bit_AVX512DQ) && (b7 & bit_AVX512VL);
    *bf16 = *avx512 && __get_cpuid_count(7, 1, &a7, &b7, &c7, &d7) && (a7 & bit_AVX512BF16);
}
#endif

/* Best first. */
static size_t sets_here(const struct kern_lanes *sets[SETS_MAX])
{
    size_t n = 0;
#if defined(__x86_64__)
    /* Asked once: in a virtual machine each CPUID is a trap of tens of microseconds. */
    static _Atomic unsigned found;
    unsigned known = atomic_load(&found);
    if (!known) {
        bool a2, a512, b16;
        x86_detect(&a2, &a512, &b16);
        known = 1u | (unsigned)a2 << 1 | (unsigned)a512 << 2 | (unsigned)b16 << 3;
        atomic_store(&found, known);
    }
    const bool avx2 = known & 2, avx512 = known & 4, bf16 = known & 8;
    if (bf16)
        sets[n++] = &kern_lanes_avx512bf16;
    if (avx512)
        sets[n++] = &kern_lanes_avx512;
    if (avx2)
        sets[n++] = &kern_lanes_avx2;
#elif defined(__aarch64__)
    sets[n++] = &kern_lanes_neon; /* part of every 64-bit ARM */
#endif
    sets[n++] = &kern_lanes_plain;
    return n;
}

size_t kern__lanes_here(const struct kern_lanes **sets, size_t max)
{
    const struct kern_lanes *all[SETS_MAX];
    size_t n = sets_here(all);
    n = n < max ? n : max;
    memcpy(sets, all, n * sizeof *sets);
    return n;
}

const struct kern_lanes *kern__lanes_choose(const char *name, struct err *e)
{
    const struct kern_lanes *sets[SETS_MAX];
    size_t n = sets_here(sets);
    bool from_environment = false;
    char list[64] = "";

    if (name == NULL) {
        name = env_get("TACIT_ISA");
        from_environment = name != NULL;
    }
    if (name == NULL || *name == '\0')
        return sets[0];
    if (strcmp(name, kern_lanes_definition.name) == 0)
        return &kern_lanes_definition;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(name, sets[i]->name) == 0)
            return sets[i];
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "",
                 sets[i]->name);
    }
    err_set(e, ERR_INVALID, "%s'%.40s' is no instruction set of this machine, which has: %s",
            from_environment ? "TACIT_ISA: " : "", name, list);
    return NULL;
}
