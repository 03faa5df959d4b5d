#include "ops/cli/replay_assign.h"

#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/mixture/assign.h"
#include "core/mixture/scores.h"

struct part {
    struct env_map map;
    const uint8_t *rows;
    uint64_t count;
};

static int open_part(struct part *p, const char *path, uint32_t experts, struct err *e)
{
    uint32_t routers;
    int rc = env_file_map(path, &p->map, e);
    if (!rc)
        rc = scores_open(p->map.data, p->map.size, &p->count, &routers, &p->rows, e);
    if (!rc && routers != experts)
        rc = err_set(e, ERR_FORMAT, "scores of %u routers, where there are %u experts", routers,
                     experts);
    return rc;
}

/* All rows, one part behind the other. */
static int gather(const struct job_context *c, const struct msg_grant *g, uint8_t **rows,
                  uint64_t *count, struct err *e)
{
    size_t row = SCORES_ROW(c->spec->experts);
    *rows = NULL;
    *count = 0;
    for (uint32_t i = 0; i < g->input_count; i++) {
        struct part p = {0};
        int rc = job_poll(c, e);
        if (!rc)
            rc = open_part(&p, c->inputs[i], c->spec->experts, e);
        uint8_t *grown = rc ? NULL : realloc(*rows, (*count + p.count) * row + 1);
        if (!rc && !grown)
            rc = err_set(e, ERR_NO_MEMORY, "no memory to assign");
        if (grown) {
            memcpy(grown + *count * row, p.rows, p.count * row);
            *rows = grown;
            *count += p.count;
        }
        env_file_unmap(&p.map);
        if (rc)
            return rc;
    }
    return 0;
}

int replay_assign(struct job_context *c, const struct msg_grant *g, struct job_result *r,
                  struct err *e)
{
    uint32_t experts = c->spec->experts;
    uint64_t n;
    uint8_t *rows;
    int rc = gather(c, g, &rows, &n, e);
    size_t size = ASSIGN_HEADER + 2 * n;
    uint16_t *expert = rc ? NULL : malloc(2 * n + 1);
    uint8_t *blob = rc ? NULL : malloc(size);
    if (!rc && (!expert || !blob))
        rc = err_set(e, ERR_NO_MEMORY, "no memory to assign");
    if (!rc)
        rc = assign_balanced(rows, n, experts, expert, e);
    if (!rc) {
        struct msg_blob facts = {.role = ROLE_ASSIGNMENT, .count = n};
        assign_header_write(blob, n, experts);
        for (uint64_t i = 0; i < n; i++) {
            blob[ASSIGN_HEADER + 2 * i] = (uint8_t)expert[i];
            blob[ASSIGN_HEADER + 2 * i + 1] = (uint8_t)(expert[i] >> 8);
        }
        rc = job_write_output(c, r, &facts, "assignment", blob, size, e);
    }
    free(rows);
    free(expert);
    free(blob);
    return rc;
}
