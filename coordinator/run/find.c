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

int dataset_find(struct call *c, const char *name, uint64_t *id, struct err *e)
{
    struct msg_dataset *all;
    const char *near = NULL;
    uint32_t count;
    struct err ignored;
    int rc = op_dataset_find(c->conn, name, id, e);
    if (rc != ERR_NOT_FOUND)
        return rc;
    if (op_datasets(c->conn, c->arena, &all, &count, &ignored) == 0) {
        const char **names = arena_alloc_array(c->arena, (size_t)count + 1, sizeof *names);
        for (uint32_t i = 0; names && i < count; i++)
            names[i] = all[i].name;
        near = names ? text_nearest(name, names, count < NAMES_MAX ? count : NAMES_MAX) : NULL;
    }
    if (near)
        return err_set(e, rc, "there is no data set \"%s\"; did you mean \"%s\"?", name, near);
    return err_set(e, rc,
                   "there is no data set \"%s\": `tacit datasets` lists them, `tacit ingest %s "
                   "FILE…` makes it",
                   name, name);
}
