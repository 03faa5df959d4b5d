/* Table 3's costs, computed. */
#include <stddef.h>
#include "core/protocol/field.h"
#include "ops/cli/plan.h"

static const struct field row_fields[] = {
    {.name = "model", .type = FIELD_STRING, .offset = offsetof(struct plan_paper_row, model)},
    {.name = "experts", .type = FIELD_U64, .offset = offsetof(struct plan_paper_row, experts)},
    {.name = "training", .type = FIELD_DOUBLE, .offset = offsetof(struct plan_paper_row, training)},
    {.name = "inference",
     .type = FIELD_DOUBLE,
     .offset = offsetof(struct plan_paper_row, inference)},
    {.name = "training_overhead",
     .type = FIELD_DOUBLE,
     .offset = offsetof(struct plan_paper_row, training_overhead)},
    {.name = "inference_overhead",
     .type = FIELD_DOUBLE,
     .offset = offsetof(struct plan_paper_row, inference_overhead)},
};
static const struct message message_row = {
    .name = "row",
    .size = sizeof(struct plan_paper_row),
    .fields = row_fields,
    .field_count = sizeof row_fields / sizeof row_fields[0],
};
static const struct field paper_fields[] = {
    {.name = "rows",
     .type = FIELD_ARRAY,
     .offset = offsetof(struct plan_paper, rows),
     .count_offset = offsetof(struct plan_paper, row_count),
     .of = &message_row},
};
const struct message message_plan_paper = {
    .name = "paper",
    .size = sizeof(struct plan_paper),
    .fields = paper_fields,
    .field_count = 1,
};

void plan_paper_rows(struct plan_paper_row *rows)
{
    for (uint32_t i = 0; i < cost_paper_count; i++) {
        struct cost_paper_row paper;
        struct cost_result cost;
        cost_paper_row_at(i, &paper);
        cost_compute(&paper.run, &cost);
        rows[i] = (struct plan_paper_row){.model = paper.model,
                                          .experts = paper.experts,
                                          .training = cost.dense_training,
                                          .inference = cost.dense_inference,
                                          .training_overhead = cost.training_overhead,
                                          .inference_overhead = cost.inference_overhead};
    }
}
