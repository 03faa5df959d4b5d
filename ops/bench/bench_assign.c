/* Balanced assignment of many sequences: seconds and peak memory, beside qsort of the maxima alone,
 * which any implementation has to do at least. Usage: bench_assign [SEQUENCES [EXPERTS]] [--json]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/rng.h"
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/mixture/assign.h"

/* Scores of a prefix of some 256 tokens: about −1,500, gaps of about a nat, one router favoured. */
static void generate(uint8_t *rows, uint64_t n, uint32_t experts)
{
    float scores[ASSIGN_EXPERTS_MAX];
    for (uint64_t i = 0; i < n; i++) {
        uint32_t word[4];
        rng_block(1, RNG_TEST, i, 0, word);
        float common = -1000.0f - (float)(word[0] >> 8) * 6e-5f;
        uint64_t x = (uint64_t)word[1] << 32 | word[2] | 1;
        for (uint32_t e = 0; e < experts; e++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            scores[e] = common - (float)(x >> 40) * 3e-7f;
        }
        scores[word[3] % experts] += 2.0f;
        scores_row_write(rows + i * SCORES_ROW(experts), scores, experts);
    }
}

struct pair {
    float max;
    uint32_t index;
};

static int pair_compare(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->max != y->max)
        return x->max > y->max ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static double sorting_alone(const uint8_t *rows, uint64_t n, uint32_t experts)
{
    struct pair *pairs = malloc(n * sizeof *pairs);
    if (pairs == NULL)
        return 0;
    double start = env_monotonic_s();
    for (uint64_t i = 0; i < n; i++)
        pairs[i] = (struct pair){scores_row_max(rows + i * SCORES_ROW(experts)), (uint32_t)i};
    qsort(pairs, n, sizeof *pairs, pair_compare);
    double seconds = env_monotonic_s() - start;
    free(pairs);
    return seconds;
}

int main(int argc, char **argv)
{
    uint64_t n = 10000000, experts = 32;
    const bool json = argc > 1 && strcmp(argv[argc - 1], "--json") == 0;
    argc -= json;
    if ((argc > 1 && !text_to_u64(argv[1], &n)) || (argc > 2 && !text_to_u64(argv[2], &experts)) ||
        argc > 3 || n < 1 || n > UINT32_MAX || experts < 1 || experts > ASSIGN_EXPERTS_MAX) {
        fprintf(stderr, "usage: bench_assign [SEQUENCES [EXPERTS]] [--json]\n");
        return 64;
    }
    uint8_t *rows = malloc(n * SCORES_ROW(experts));
    uint16_t *expert = malloc(n * sizeof *expert);
    if (rows == NULL || expert == NULL) {
        fprintf(stderr, "bench_assign: no memory for %llu sequences\n", (unsigned long long)n);
        return 71;
    }
    generate(rows, n, (uint32_t)experts);
    memset(expert, 0, n * sizeof *expert);
    char rows_text[16], peak_text[16], count_text[28];
    text_bytes(n * SCORES_ROW(experts), rows_text);

    struct err e = {0};
    double start = env_monotonic_s();
    if (assign_balanced(rows, n, (uint32_t)experts, expert, &e) != 0) {
        fprintf(stderr, "bench_assign: %s\n", e.message);
        return 70;
    }
    double seconds = env_monotonic_s() - start;
    text_bytes(env_memory_peak(), peak_text);
    double sorting = sorting_alone(rows, n, (uint32_t)experts);

    if (json)
        printf("{\"seconds\": %.6f, \"qsort\": %.6f}\n", seconds, sorting);
    else
        printf("%-14s %8s %10s %12s %10s %16s %8s\n"
               "%-14s %8llu %10s %12s %10.2f %14.2f s %8.2f\n",
               "sequences", "experts", "rows", "peak memory", "seconds", "qsort of maxima", "ratio",
               text_count(n, count_text), (unsigned long long)experts, rows_text, peak_text,
               seconds, sorting, seconds / sorting);
    free(rows);
    free(expert);
    return 0;
}
