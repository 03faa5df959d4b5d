#include "core/mixture/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/model/model.h"

/* Marks the window's positions in seen, one by one, as the header defines them. */
static void mark(const struct draw_window *w, unsigned char *seen)
{
    for (uint64_t i = 0; i < w->count; i++)
        seen[(w->start + i) % w->total]++;
}

/* A router must never be trained on sequences of an earlier round: rounds share no sequence, also
 * where they use up the whole data set and go around its end. */
static void test_rounds_are_disjoint(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        enum { TOTAL = 1003, N = 250, ROUNDS = 4 };
        unsigned char seen[TOTAL] = {0};
        unsigned used = 0;
        for (uint32_t t = 0; t < ROUNDS; t++) {
            struct draw_window w;
            draw_round(seed, TOTAL, N, t, &w);
            assert_int_equal(w.count, N);
            assert_true(w.start < TOTAL);
            mark(&w, seen);
        }
        for (unsigned i = 0; i < TOTAL; i++) {
            assert_true(seen[i] <= 1);
            used += seen[i];
        }
        assert_int_equal(used, N * ROUNDS);
    }
}

static void test_seeds_draw_elsewhere(void **state)
{
    (void)state;
    struct draw_window a, b, again, experts;
    draw_round(1, 1u << 30, 10, 0, &a);
    draw_round(2, 1u << 30, 10, 0, &b);
    draw_round(1, 1u << 30, 10, 0, &again);
    draw_experts(1, 1u << 30, 77, &experts);
    assert_true(a.start != b.start);
    assert_true(a.start == again.start);
    assert_true(experts.start == a.start);
    assert_int_equal(experts.count, 77);
    draw_experts(1, 50, 77, &experts);
    assert_int_equal(experts.count, 50);
}

/* Chunks are the window, cut: scoring chunk by chunk covers each drawn sequence once, in order. */
static void test_chunks(void **state)
{
    (void)state;
    struct draw_window w = {.start = 90, .count = 75, .total = 100};
    const uint64_t sizes[] = {0, 1, 7, 25, 75, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        uint64_t at = 0, count = draw_chunk_count(&w, sizes[s]);
        for (uint64_t k = 0; k < count; k++) {
            struct draw_window c;
            draw_chunk_at(&w, sizes[s], k, &c);
            assert_int_equal(c.start, (90 + at) % 100);
            assert_true(c.count > 0 && (sizes[s] == 0 || c.count <= sizes[s]));
            at += c.count;
        }
        assert_int_equal(at, 75);
    }
    struct draw_window none = {.start = 0, .count = 0, .total = 100};
    assert_int_equal(draw_chunk_count(&none, 0), 0);
    assert_int_equal(draw_chunk_count(&none, 5), 0);
}

/* Every position of the window appears in the ranges, in order, and no range leaves its shard: also
 * in the short last shard and around the end. */
static void test_ranges(void **state)
{
    (void)state;
    const uint32_t per_shard[] = {1, 3, 10, 64, 1000};
    for (unsigned k = 0; k < 5; k++)
        for (uint64_t start = 0; start < 97; start++)
            for (uint64_t count = 0; count <= 97; count += 1 + count / 5) {
                struct draw_window w = {.start = start, .count = count, .total = 97};
                struct draw_range r;
                uint64_t done = 0, at = 0;
                while (draw_range_next(&w, per_shard[k], &done, &r)) {
                    assert_true(r.count > 0 && r.at == at);
                    for (uint32_t i = 0; i < r.count; i++, at++) {
                        assert_true(r.first + i < per_shard[k]);
                        assert_int_equal((uint64_t)r.shard * per_shard[k] + r.first + i,
                                         (start + at) % 97);
                    }
                }
                assert_int_equal(at, count);
                /* Not cut more often than shards and the end demand. */
                done = 0;
                uint64_t pieces = 0;
                while (draw_range_next(&w, per_shard[k], &done, &r))
                    pieces++;
                assert_true(pieces <= count / per_shard[k] + 3);
            }
}

/* In each pass a model sees each of its sequences exactly once; the first in stored order, later
 * ones shuffled and each otherwise. */
static void test_passes(void **state)
{
    (void)state;
    enum { COUNT = 97, PASSES = 6 };
    uint64_t order[PASSES][COUNT];
    for (uint64_t p = 0; p < PASSES; p++) {
        unsigned char seen[COUNT] = {0};
        for (uint64_t i = 0; i < COUNT; i++) {
            order[p][i] = draw_batch_index(3, MODEL_STREAM_EXPERT + 1, 0, COUNT, p * COUNT + i);
            assert_true(order[p][i] < COUNT);
            seen[order[p][i]]++;
            if (p == 0)
                assert_int_equal(order[p][i], i);
        }
        for (unsigned i = 0; i < COUNT; i++)
            assert_int_equal(seen[i], 1);
        for (uint64_t q = 0; q < p; q++)
            assert_memory_not_equal(order[p], order[q], sizeof order[p]);
    }
    unsigned differs = 0, moves_on = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        differs += draw_batch_index(3, MODEL_STREAM_EXPERT + 2, 0, COUNT, COUNT + i) != order[1][i];
        /* A router that goes on into its next round goes on in its passes. */
        moves_on +=
            draw_batch_index(3, MODEL_STREAM_EXPERT + 1, 2, COUNT, COUNT + i) == order[3][i];
    }
    assert_true(differs > COUNT / 2);
    assert_int_equal(moves_on, COUNT);
    assert_int_equal(draw_batch_index(3, 1, 0, 1, 1000), 0);
}

static void test_router_steps(void **state)
{
    (void)state;
    assert_int_equal(draw_router_steps(1, 1024, 16), 64);
    assert_int_equal(draw_router_steps(3, 1025, 16), 192);
    assert_int_equal(draw_router_steps(1, 15, 16), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounds_are_disjoint),
        cmocka_unit_test(test_seeds_draw_elsewhere),
        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_router_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
