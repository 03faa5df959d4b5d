#include "coordinator/run/find.h"

#include "core/base/text.h"

#define NAMES_MAX 1000 /* that are looked through for one that is near */

int run_find(struct call *c, struct run_row *out, struct err *e)
{
    const char **names, *near = NULL;
    uint32_t count;
    struct err ignored;
    int rc = op_run_find(c->conn, c->name, c->arena, out, e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    if (op_run_names(c->conn, NAMES_MAX, c->arena, &names, &count, &ignored) == 0)
        near = text_nearest(c->name, names, count);
    if (near)
        return err_set(e, rc, "there is no run \"%s\"; did you mean \"%s\"?", c->name, near);
    return err_set(e, rc, "there is no run \"%s\": `tacit run list` shows them", c->name);
}
