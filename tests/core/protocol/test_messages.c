/* The tables of messages against their structs: every field of every message survives the way
 * through JSON, none overlaps another, and the words are in the order of their enums. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/protocol/messages.h"

static const struct message *const all[] = {
#define MESSAGE_ADDRESS_(name) &message_##name,
    MESSAGES(MESSAGE_ADDRESS_)
#undef MESSAGE_ADDRESS_
};
#define MESSAGE_COUNT (sizeof all / sizeof all[0])

static size_t field_size(const struct field *f)
{
    switch (f->type) {
    case FIELD_BOOL:
        return sizeof(bool);
    case FIELD_WORD:
        return sizeof(int);
    case FIELD_DIGEST:
        return sizeof(struct digest);
    default:
        return 8;
    }
}

/* Every byte of a struct belongs to at most one field, and only padding to none. */
static void tables_cover_their_structs(void **state)
{
    (void)state;
    for (size_t m = 0; m < MESSAGE_COUNT; m++) {
        uint8_t used[1024] = {0};
        size_t covered = 0, word = 0;
        assert_true(all[m]->size <= sizeof used);
        for (uint32_t i = 0; i < all[m]->field_count; i++) {
            const struct field *f = &all[m]->fields[i];
            bool counted = f->type == FIELD_ARRAY || f->type == FIELD_DOUBLES;
            for (size_t k = 0; k < field_size(f); k++)
                assert_int_equal(used[f->offset + k]++, 0);
            for (size_t k = 0; counted && k < 4; k++)
                assert_int_equal(used[f->count_offset + k]++, 0);
        }
        /* Uncovered bytes are padding: never a whole aligned word of 8. */
        for (size_t k = 0; k < all[m]->size; k++) {
            covered += used[k];
            word = used[k] || k % 8 == 0 ? !used[k] : word + 1;
            if (all[m]->size >= 8)
                assert_true(word < 8);
        }
        assert_true(covered > 0 || all[m]->field_count == 0);
    }
}

static uint64_t counter;

/* A value with every field filled differently. */
static void fill(const struct message *m, char *value, struct arena *a)
{
    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        void *at = value + f->offset;
        uint64_t n = ++counter, max = f->max ? f->max : (uint64_t)INT64_MAX;
        switch (f->type) {
        case FIELD_U64:
            *(uint64_t *)at = f->min + n % 7 <= max ? f->min + n % 7 : max;
            break;
        case FIELD_DOUBLE:
            *(double *)at = 1.0 / (double)n;
            break;
        case FIELD_BOOL:
            *(bool *)at = true;
            break;
        case FIELD_STRING:
            *(const char **)at = arena_printf(a, "text %llu", (unsigned long long)n);
            break;
        case FIELD_WORD: {
            int words = 0;
            while (f->words[words])
                words++;
            *(int *)at = (int)(n % (uint64_t)words);
            break;
        }
        case FIELD_DIGEST:
            digest_of(&n, sizeof n, at);
            break;
        case FIELD_OBJECT:
            *(void **)at = arena_alloc(a, f->of->size);
            fill(f->of, *(void **)at, a);
            break;
        case FIELD_ARRAY:
            *(void **)at = arena_alloc(a, 3 * f->of->size);
            *(uint32_t *)(void *)(value + f->count_offset) = 3;
            for (int k = 0; k < 3; k++)
                fill(f->of, *(char **)at + (size_t)k * f->of->size, a);
            break;
        case FIELD_DOUBLES: {
            double *xs = arena_alloc(a, 2 * sizeof(double));
            xs[0] = 0.25;
            xs[1] = NAN;
            *(double **)at = xs;
            *(uint32_t *)(void *)(value + f->count_offset) = 2;
            break;
        }
        }
    }
}

static void every_message_reads_back(void **state)
{
    (void)state;
    for (size_t m = 0; m < MESSAGE_COUNT; m++) {
        struct arena a;
        struct buf first, second;
        struct err e = {0};
        arena_init(&a, 1 << 20);
        buf_init(&first, 1 << 20);
        buf_init(&second, 1 << 20);
        char *value = arena_alloc(&a, all[m]->size), *back = arena_alloc(&a, all[m]->size);
        fill(all[m], value, &a);
        if (message_encode(all[m], value, &first, &e) ||
            message_decode(all[m], first.data, first.len, back, &a, &e) ||
            message_encode(all[m], back, &second, &e))
            fail_msg("%s: %s", all[m]->name, e.message);
        assert_string_equal(first.data, second.data);
        buf_free(&first);
        buf_free(&second);
        arena_free(&a);
    }
}

static int decode(const struct message *m, const char *json, void *value, struct arena *a,
                  struct err *e)
{
    *e = (struct err){0};
    return message_decode(m, json, strlen(json), value, a, e);
}

static void nested_errors_name_their_path(void **state)
{
    (void)state;
    struct msg_heartbeat h;
    struct msg_claim c;
    struct msg_complete done;
    struct arena a;
    struct err e;

    arena_init(&a, 1 << 20);
    assert_int_equal(
        decode(&message_heartbeat, "{\"fence\":{\"incarnation\":1,\"counter\":\"x\"}}", &h, &a, &e),
        ERR_INVALID);
    assert_string_equal(e.message,
                        "heartbeat.fence.counter: expected a whole number, found a string");
    assert_int_equal(decode(&message_claim, "{\"wait_ms\":60001}", &c, &a, &e), ERR_INVALID);
    assert_string_equal(e.message, "claim.wait_ms: 60001 is more than 60000");
    assert_int_equal(decode(&message_complete,
                            "{\"fence\":{\"incarnation\":1,\"counter\":2},\"outputs\":[{\"role\":"
                            "\"model\",\"digest\":\"1\",\"bytes\":1}]}",
                            &done, &a, &e),
                     ERR_INVALID);
    assert_memory_equal(e.message, "complete.outputs[0].digest: ", 28);
    arena_free(&a);
}

/* A heartbeat without a loss yet is not a heartbeat with loss zero. */
static void no_loss_is_not_zero(void **state)
{
    (void)state;
    struct msg_fence fence = {1, 2};
    struct msg_heartbeat in = {.fence = &fence, .loss = NAN, .rate = 3}, out;
    struct buf b;
    struct arena a;
    struct err e = {0};

    buf_init(&b, 1000);
    arena_init(&a, 1 << 16);
    assert_int_equal(message_encode(&message_heartbeat, &in, &b, &e), 0);
    assert_string_equal(b.data, "{\"fence\":{\"incarnation\":1,\"counter\":2},\"step\":0,\"total\":"
                                "0,\"loss\":null,\"rate\":3,\"phase\":\"fetching\",\"points\":[]}");
    assert_int_equal(message_decode(&message_heartbeat, b.data, b.len, &out, &a, &e), 0);
    assert_true(isnan(out.loss) && out.rate == 3 && out.fence->counter == 2);
    buf_free(&b);
    arena_free(&a);
}

/* Tools read the report: names and nulls are promised. */
static void report_has_its_promised_names(void **state)
{
    (void)state;
    struct msg_expert_report expert = {.index = 1, .perplexity = NAN, .dense_perplexity = NAN};
    struct msg_quality mixture = {.perplexity = 12.5};
    struct msg_report r = {.run = "demo",
                           .experts = 4,
                           .mixture = &mixture,
                           .expert_reports = &expert,
                           .expert_report_count = 1};
    struct buf b;
    struct err e = {0};

    buf_init(&b, 1 << 16);
    assert_int_equal(message_encode(&message_report, &r, &b, &e), 0);
    assert_non_null(strstr(b.data, "\"expert_count\":4"));
    assert_non_null(
        strstr(b.data, "\"dense\":null,\"dense_flops\":null,\"mixture\":{\"perplexity\":12.5"));
    assert_non_null(strstr(b.data, "\"experts\":[{\"index\":1,\"share\":0,\"perplexity\":null,"
                                   "\"dense_perplexity\":null,\"sources\":[]}]"));
    buf_free(&b);
}

static void words_follow_their_enums(void **state)
{
    (void)state;
    assert_string_equal(job_kind_words[JOB_TRAIN_ROUTER], "train-router");
    assert_string_equal(job_kind_words[JOB_REPORT], "report");
    assert_null(job_kind_words[JOB_REPLAY + 1]);
    assert_string_equal(job_target_words[TARGET_DENSE_FLOPS], "dense-flops");
    assert_null(job_target_words[TARGET_DENSE_FLOPS + 1]);
    assert_string_equal(job_state_words[JOB_QUARANTINED], "quarantined");
    assert_null(job_state_words[JOB_CANCELLED + 1]);
    assert_string_equal(blob_role_words[ROLE_EVAL], "eval");
    assert_null(blob_role_words[ROLE_REPORT + 1]);
    assert_string_equal(job_phase_words[PHASE_UPLOADING], "uploading");
    assert_null(job_phase_words[PHASE_UPLOADING + 1]);
    assert_string_equal(job_command_words[COMMAND_RESTART], "restart");
    assert_null(job_command_words[COMMAND_HAND_OVER + 1]);
    assert_string_equal(run_state_words[RUN_CANCELLED], "cancelled");
    assert_null(run_state_words[RUN_CANCELLED + 1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_cover_their_structs),    cmocka_unit_test(every_message_reads_back),
        cmocka_unit_test(nested_errors_name_their_path), cmocka_unit_test(no_loss_is_not_zero),
        cmocka_unit_test(report_has_its_promised_names), cmocka_unit_test(words_follow_their_enums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
