#include "agent/spool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/agent_log.h"
#include "core/env/file.h"
#include "core/runners/saves.h"

#define RESULT "result.json"
#define SAVED "saved.json"
#define SYNC_SECONDS                                                                               \
    1.0 /* what took less is computed again sooner than it would pay to sync it                    \
         */
#define OUTPUTS_MAX 4096

struct spool_output {
    const char *name;
    const struct msg_blob *blob;
};
struct spool_result {
    struct spool_output *outputs;
    uint32_t count;
    double loss, seconds;
    uint64_t tokens;
};
static const struct field output_fields[] = {
    {.name = "file",
     .type = FIELD_STRING,
     .required = true,
     .offset = offsetof(struct spool_output, name)},
    {.name = "blob",
     .type = FIELD_OBJECT,
     .required = true,
     .offset = offsetof(struct spool_output, blob),
     .of = &message_blob},
};
static const struct message message_spooled_output = {.name = "output",
                                                      .size = sizeof(struct spool_output),
                                                      .fields = output_fields,
                                                      .field_count = 2};
static const struct field result_fields[] = {
    {.name = "outputs",
     .type = FIELD_ARRAY,
     .required = true,
     .offset = offsetof(struct spool_result, outputs),
     .count_offset = offsetof(struct spool_result, count),
     .length_max = OUTPUTS_MAX,
     .of = &message_spooled_output},
    {.name = "loss", .type = FIELD_DOUBLE, .offset = offsetof(struct spool_result, loss)},
    {.name = "seconds", .type = FIELD_DOUBLE, .offset = offsetof(struct spool_result, seconds)},
    {.name = "tokens", .type = FIELD_U64, .offset = offsetof(struct spool_result, tokens)},
};
static const struct message message_spooled = {.name = "result",
                                               .size = sizeof(struct spool_result),
                                               .fields = result_fields,
                                               .field_count = 4};

/* --- files --------------------------------------------------------------------------------------
 */

static int write_json(const char *dir, const char *name, const struct message *m, const void *value,
                      bool passing, struct err *e)
{
    struct buf b;
    struct env_file_new f;
    char *path = env_path_join(dir, name);
    buf_init(&b, PROTOCOL_BODY_MAX);
    int rc =
        path ? message_encode(m, value, &b, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc) {
        rc = env_file_new_open(&f, path, 0600, e);
        f.passing = passing;
        if (!rc) {
            rc = env_file_new_write(&f, b.data, b.len, e);
        }
        if (!rc) {
            rc = env_file_new_commit(&f, e);
        }
        env_file_new_abandon(&f);
    }
    buf_free(&b);
    free(path);
    return rc;
}

static int read_json(const char *dir, const char *name, const struct message *m, void *value,
                     struct arena *a, struct err *e)
{
    struct buf b;
    char *path = env_path_join(dir, name);
    int rc = path ? env_file_read(path, PROTOCOL_BODY_MAX, &b, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    free(path);
    if (rc) {
        return rc;
    }
    rc = b.len > 0 ? message_decode(m, b.data, b.len, value, a, e)
                   : err_set(e, ERR_FORMAT, "%s is empty", name);
    buf_free(&b);
    return rc;
}

static void remove_file(const char *dir, const char *name)
{
    struct err e = {0};
    char *path = env_path_join(dir, name);
    if (path) {
        (void)!env_file_remove(path, &e);
    }
    free(path);
}

/* --- results ------------------------------------------------------------------------------------
 */

static int sync_file(const char *path, struct err *e)
{
    int fd;
    int rc = env_file_open_read(path, &fd, e);
    if (!rc) {
        rc = env_file_sync(fd, e);
        env_file_close(fd);
    }
    return rc ? err_prefix(e, "'%s'", path) : 0;
}

int spool_write(const char *dir, const struct msg_grant *g, const struct job_result *r,
                struct err *e)
{
    bool passing = r->seconds < SYNC_SECONDS;
    struct msg_grant grant = *g;
    struct spool_result result = {
        .count = r->count, .loss = r->loss, .seconds = r->seconds, .tokens = r->tokens};
    int rc = 0;
    grant.inputs = NULL;
    grant.input_count = 0;
    result.outputs = calloc(r->count + 1, sizeof *result.outputs);
    if (!result.outputs) {
        return err_set(e, ERR_NO_MEMORY, "no memory for the outputs of a job");
    }
    for (uint32_t i = 0; !rc && i < r->count; i++) {
        const char *slash = strrchr(r->outputs[i].path, '/');
        result.outputs[i] =
            (struct spool_output){slash ? slash + 1 : r->outputs[i].path, &r->outputs[i].blob};
        rc = passing ? 0 : sync_file(r->outputs[i].path, e);
    }
    if (!rc) {
        rc = write_json(dir, RESULT, &message_spooled, &result, passing, e);
    }
    if (!rc) {
        spool_saved(dir,
                    &(struct msg_saved){.job = g->job, .step = g->step_last ? g->step_last : 1});
    }
    if (!rc && g->fence) {
        rc = write_json(dir, SPOOL_DELIVER, &message_grant, &grant, passing, e);
    }
    free(result.outputs);
    return rc;
}

static int read_output(const char *dir, const struct spool_output *o, struct job_result *r,
                       struct err *e)
{
    struct digest d;
    uint64_t bytes;
    char *path = strchr(o->name, '/') ? NULL : env_path_join(dir, o->name);
    if (!path) {
        return err_set(e, ERR_FORMAT, "a result without a file");
    }
    int rc = saves_digest(path, &d, &bytes, e);
    if (!rc && (bytes != o->blob->bytes || !digest_equal(&d, &o->blob->digest))) {
        rc = err_set(e, ERR_DIGEST, "'%s' is damaged", path);
    }
    if (!rc) {
        rc = job_add_output(r, o->blob, path, e);
    }
    free(path);
    return rc;
}

static int read_result(const char *dir, struct job_result *r, struct err *e)
{
    struct arena a;
    struct spool_result s;
    *r = (struct job_result){.loss = NAN};
    arena_init(&a, 4 * PROTOCOL_BODY_MAX);
    int rc = read_json(dir, RESULT, &message_spooled, &s, &a, e);
    for (uint32_t i = 0; !rc && i < s.count; i++) {
        rc = read_output(dir, &s.outputs[i], r, e);
    }
    if (!rc) {
        r->loss = s.loss;
        r->seconds = s.seconds;
        r->tokens = s.tokens;
    } else {
        job_result_free(r);
    }
    arena_free(&a);
    return rc;
}

bool spool_read(const char *dir, struct job_result *r)
{
    struct err e = {0};
    return read_result(dir, r, &e) == 0;
}

/* Says nothing of what is on the disk. */
static bool says_nothing(int rc)
{
    return err_is_passing(rc) || rc == ERR_DENIED;
}

bool spool_find(const char *jobs, char **dir, struct msg_grant *g, struct arena *a,
                struct job_result *r)
{
    char **names;
    size_t count;
    struct err e = {0};
    bool found = false;
    if (!env_dir_exists(jobs) || env_dir_list(jobs, &names, &count, &e)) {
        return false;
    }
    for (size_t i = 0; !found && i < count; i++) {
        char *path = env_path_join(jobs, names[i]);
        arena_reset(a);
        if (path && read_json(path, SPOOL_DELIVER, &message_grant, g, a, &e) == 0) {
            int rc = read_result(path, r, &e);
            found = rc == 0;
            if (says_nothing(rc)) {
                log_warn("job=%llu gave what can't be read now, and is kept: %s",
                         (unsigned long long)g->job, e.message);
            } else if (rc) {
                log_warn("job=%llu gave what is damaged, or was delivered before",
                         (unsigned long long)g->job);
                remove_file(path, SPOOL_DELIVER);
                remove_file(path, RESULT);
            }
        }
        if (found) {
            *dir = path;
        } else {
            free(path);
        }
    }
    env_dir_list_free(names, count);
    return found;
}

void spool_owe(const char *dir, const struct msg_grant *g)
{
    struct err e = {0}; /* no room, say: it is delivered by this process, or found at a grant */
    struct msg_grant grant = *g;
    grant.inputs = NULL;
    grant.input_count = 0;
    if (g->fence) {
        (void)!write_json(dir, SPOOL_DELIVER, &message_grant, &grant, false, &e);
    }
}

void spool_keep(const char *dir)
{
    remove_file(dir, SPOOL_DELIVER);
}

/* --- saves --------------------------------------------------------------------------------------
 */

void spool_saved(const char *dir, const struct msg_saved *s)
{
    struct err e = {0}; /* without it the folder is found where the job is granted anyway */
    (void)!write_json(dir, SAVED, &message_saved, s, true, &e);
}

struct msg_saved *spool_saves(const char *jobs, struct arena *a, uint32_t *count)
{
    char **names;
    size_t n;
    struct err e = {0};
    *count = 0;
    struct msg_saved *list = arena_alloc_array(a, PROTOCOL_SAVES_MAX, sizeof *list);
    if (!list || !env_dir_exists(jobs) || env_dir_list(jobs, &names, &n, &e)) {
        return NULL;
    }
    for (size_t i = 0; i < n && *count < PROTOCOL_SAVES_MAX; i++) {
        char *path = env_path_join(jobs, names[i]);
        if (path && read_json(path, SAVED, &message_saved, &list[*count], a, &e) == 0) {
            ++*count;
        }
        free(path);
    }
    env_dir_list_free(names, n);
    return list;
}
