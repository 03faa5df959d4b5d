#include "core/runners/saves.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"

#define SAVE_PREFIX "save-"

int saves_path(const char *dir, uint64_t step, const char *what, char **path, struct err *e)
{
    char name[64];
    snprintf(name, sizeof name, SAVE_PREFIX "%012" PRIu64 ".%s", step, what);
    *path = env_path_join(dir, name);
    return *path ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

/* Step of a save's file name; false for other files. */
static bool step_of(const char *name, const char *what, uint64_t *step)
{
    char digits[24];
    const char *dot = strchr(name, '.');
    size_t skip = strlen(SAVE_PREFIX);
    if (strncmp(name, SAVE_PREFIX, skip) != 0 || !dot || (what && strcmp(dot + 1, what) != 0)) {
        return false;
    }
    size_t n = (size_t)(dot - name) - skip;
    if (n == 0 || n >= sizeof digits) {
        return false;
    }
    memcpy(digits, name + skip, n);
    digits[n] = 0;
    return text_to_u64(digits, step);
}

/* Removes every save but the one at `keep`. */
static int remove_others(const char *dir, uint64_t keep, struct err *e)
{
    char **names;
    size_t count;
    uint64_t step;
    int rc = env_dir_list(dir, &names, &count, e);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; !rc && i < count; i++) {
        if (step_of(names[i], NULL, &step) && step != keep) {
            char *path = env_path_join(dir, names[i]);
            rc =
                path ? env_file_remove(path, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
            free(path);
        }
    }
    env_dir_list_free(names, count);
    return rc;
}

int saves_write(const char *dir, struct weights *w, const struct checkpoint_position *p,
                struct checkpoint_digests *dm, struct checkpoint_digests *ds, struct err *e)
{
    char *model = NULL, *state = NULL;
    int rc = saves_path(dir, p->step, "model", &model, e);
    if (!rc) {
        rc = saves_path(dir, p->step, "state", &state, e);
    }
    if (!rc) {
        rc = checkpoint_model_write(model, true, &w->config, w->parameters, dm, e);
    }
    if (!rc) {
        rc = checkpoint_state_write(state, true, &w->config, w->optimizer, w->moment1, w->moment2,
                                    p, &dm->content, ds, e);
    }
    if (!rc) {
        struct err ignored = {0}; /* what can't be removed costs room alone */
        w->model = dm->content;
        w->state = ds->content;
        (void)!remove_others(dir, p->step, &ignored);
    } else if (model) {
        struct err ignored = {0};
        (void)!env_file_remove(model, &ignored); /* half a save, where room may be short */
    }
    free(model);
    free(state);
    return rc;
}

static int load_one(const char *dir, uint64_t step, const struct checkpoint_position *like,
                    struct weights *w, struct checkpoint_position *p, struct err *e)
{
    char *model = NULL, *state = NULL;
    struct digest named = {{0}};
    w->model = w->state =
        named; /* whatever the arrays held, a load that fails half-way spoils it */
    int rc = saves_path(dir, step, "model", &model, e);
    if (!rc) {
        rc = saves_path(dir, step, "state", &state, e);
    }
    if (!rc) {
        rc = checkpoint_state_load(state, &w->config, w->optimizer, w->moment1, w->moment2, p,
                                   &named, &w->state, e);
    }
    if (!rc) {
        rc = checkpoint_model_load(model, &w->config, w->parameters, &w->model, e);
    }
    if (!rc && (!digest_equal(&named, &w->model) || p->step != step || p->stream != like->stream ||
                !digest_equal(&p->spec, &like->spec))) {
        rc = err_set(e, ERR_FORMAT, "a local save of something else");
    }
    free(model);
    free(state);
    return rc;
}

int saves_load(const char *dir, const struct checkpoint_position *like, uint64_t after,
               uint64_t last, struct weights *w, struct checkpoint_position *p, bool *found,
               struct err *e)
{
    char **names;
    size_t count;
    uint64_t step;
    *found = false;
    int rc = env_dir_list(dir, &names, &count, e);
    if (rc) {
        return rc;
    }
    for (size_t i = count; !*found && i > 0; i--) { /* sorted: the newest first */
        struct err passed_over = {0};
        *found = step_of(names[i - 1], "state", &step) && step > after && step <= last &&
                 load_one(dir, step, like, w, p, &passed_over) == 0;
    }
    env_dir_list_free(names, count);
    return 0;
}

int saves_digest(const char *path, struct digest *d, uint64_t *bytes, struct err *e)
{
    struct env_map map;
    int rc = env_file_map(path, &map, e);
    if (rc) {
        return rc;
    }
    digest_of(map.size ? map.data : "", map.size, d);
    *bytes = map.size;
    env_file_unmap(&map);
    return 0;
}

uint64_t saves_newest(const char *dir)
{
    char **names;
    size_t count;
    uint64_t step, newest = 0;
    struct err e = {0};
    if (env_dir_list(dir, &names, &count, &e)) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) { /* a state is written after its model */
        newest = step_of(names[i], "state", &step) ? step : newest;
    }
    env_dir_list_free(names, count);
    return newest;
}
