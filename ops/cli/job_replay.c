#include "ops/cli/job_replay.h"

#include <stdlib.h>
#include <string.h>
#include "core/checkpoint/checkpoint.h"
#include "core/env/file.h"
#include "core/runners/kept.h"
#include "ops/cli/folder.h"
#include "ops/cli/replay_assign.h"
#include "ops/cli/upload.h"

#define JOB_ARENA_MAX (64u << 20) /* of one job: what it was made of, and its files' names */
#define BEFORE_MAX (1u << 20)     /* jobs to replay before one */

struct replayer {
    struct cli *cli;
    struct upload trying; /* to ask the coordinator, which may be away for a while */
    struct verify_store *store;
    struct kept *kept;
    struct job_progress progress;
    struct run_spec spec;
    struct digest spec_digest; /* of what spec holds */
    struct arena job;          /* of the job at hand */
};

int replayer_create(struct replayer **out, struct cli *cli, struct verify_store *store, int threads,
                    struct err *e)
{
    struct replayer *r = *out = calloc(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NO_MEMORY, "no memory to replay jobs");
    r->cli = cli;
    r->trying = (struct upload){.cli = cli};
    r->store = store;
    arena_init(&r->job, JOB_ARENA_MAX);
    return kept_create(&r->kept, threads, e);
}

void replayer_destroy(struct replayer *r)
{
    if (!r)
        return;
    kept_destroy(r->kept);
    arena_free(&r->job);
    free(r);
}

struct job_progress *replayer_progress(struct replayer *r)
{
    return &r->progress;
}

bool replay_can(int kind)
{
    return kind != JOB_REPORT;
}

/* --- asking the coordinator ------------------------------------------------------------------- */

struct asking {
    struct replayer *r;
    uint64_t job;
    const char *digits; /* instead of a job */
    struct arena *arena;
    struct msg_made *out;
};

static int ask_once(void *arg, struct err *e)
{
    struct asking *x = arg;
    struct client *c = x->r->cli->client;
    return x->digits ? made_of_digits(c, x->digits, x->arena, x->out, e)
                     : made_of_job(c, x->job, x->arena, x->out, e);
}

static int ask_job(struct replayer *r, uint64_t job, struct arena *a, struct msg_made *out,
                   struct err *e)
{
    struct asking x = {.r = r, .job = job, .arena = a, .out = out};
    return upload_persist(&r->trying, ask_once, &x, e);
}

static int ask_digest(struct replayer *r, const struct digest *d, struct arena *a,
                      struct msg_made *out, struct err *e)
{
    char hex[DIGEST_HEX + 1];
    struct asking x = {.r = r, .digits = digest_to_hex(d, hex), .arena = a, .out = out};
    return upload_persist(&r->trying, ask_once, &x, e);
}

static int load_spec(struct replayer *r, const struct msg_grant *g, struct err *e)
{
    const char *path;
    struct buf text;
    if (digest_equal(&r->spec_digest, &g->spec))
        return 0;
    int rc = verify_store_blob(r->store, &g->spec, &r->job, &path, e);
    if (rc)
        return err_prefix(e, "the run's spec");
    rc = env_file_read(path, SPEC_BYTES_MAX, &text, e);
    if (!rc)
        rc = spec_parse(text.data, text.len, g->run, &r->spec, e);
    buf_free(&text);
    if (!rc)
        r->spec_digest = g->spec;
    return rc;
}

/* --- inputs ----------------------------------------------------------------------------------- */

/* Whether an archive has the content that is said: it was checked when it was published, but the
 * row that names it may have been changed since. */
static int check_content(struct replayer *r, const struct msg_grant *g, const struct msg_blob *b,
                         bool router, const char *path, struct err *e)
{
    static const struct digest none;
    struct model_config c;
    struct digest found;
    struct checkpoint_position p;
    struct digest model;
    if (digest_equal(&b->content, &none))
        return 0;
    if (router)
        spec_router_model(&r->spec, (uint32_t)g->vocab, (uint32_t)g->seq, &c);
    else
        spec_expert_model(&r->spec, (uint32_t)g->vocab, (uint32_t)g->seq, &c);
    int rc = b->role == ROLE_MODEL
                 ? checkpoint_model_load(path, &c, NULL, &found, e)
                 : checkpoint_state_load(path, &c, spec_optimizer(&r->spec, router), NULL, NULL, &p,
                                         &model, &found, e);
    if (rc == ERR_FORMAT || rc == ERR_NOT_FINITE || rc == ERR_INVALID)
        return err_set(e, ERR_DIGEST, "it is no checkpoint of this model");
    if (!rc && !digest_equal(&found, &b->content)) {
        char hex[DIGEST_HEX + 1];
        rc = err_set(e, ERR_DIGEST, "its content has the digest %s", digest_to_hex(&found, hex));
    }
    return rc;
}

static bool reads_routers(const struct msg_grant *g)
{
    return g->kind == JOB_SCORE || g->target == TARGET_ROUTER;
}

/* The input's file: as it is in the store, or, where it is there no more, as a replay gave it. */
static int get_input(struct replayer *r, const struct msg_grant *g, const struct msg_blob *b,
                     const char **path, struct err *e)
{
    static const struct digest none;
    int rc = verify_store_blob(r->store, &b->digest, &r->job, path, e);
    if (!rc)
        return check_content(r, g, b, reads_routers(g), *path, e);
    if (rc == ERR_DIGEST)
        return err_set(e, rc, "its bytes are not those of its name");
    if (rc != ERR_NOT_FOUND || digest_equal(&b->content, &none))
        return rc;
    return verify_store_content(r->store, &b->content, &r->job, path, e);
}

/* paths of all inputs; or the first one that is not to be had: *missing, with ERR_NOT_FOUND or
 * ERR_DIGEST. */
static int get_inputs(struct replayer *r, const struct msg_grant *g, const char ***paths,
                      const struct msg_blob **missing, struct err *e)
{
    const char **p = *paths = arena_alloc_array(&r->job, g->input_count + 1, sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "no memory for the inputs of a job");
    for (uint32_t i = 0; i < g->input_count; i++) {
        int rc = get_input(r, g, &g->inputs[i], &p[i], e);
        if (rc) {
            *missing = &g->inputs[i];
            return rc;
        }
    }
    return 0;
}

/* --- one job ---------------------------------------------------------------------------------- */

/* What a replay depends on: the grant but for its number, inputs by content. Reusing g's inputs. */
static int key_of(const struct msg_grant *g, struct arena *a, struct digest *key, struct err *e)
{
    static const struct msg_fence no_fence;
    static const struct digest none;
    struct msg_grant plain = *g;
    struct buf b;
    plain.job = plain.lease_ms = 1;
    plain.fence = &no_fence;
    plain.run = "-";
    plain.inputs = arena_alloc_array(a, g->input_count + 1, sizeof *plain.inputs);
    if (!plain.inputs)
        return err_set(e, ERR_NO_MEMORY, "no memory for the name of a replay");
    for (uint32_t i = 0; i < g->input_count; i++) {
        plain.inputs[i] = g->inputs[i];
        if (!digest_equal(&g->inputs[i].content, &none)) {
            plain.inputs[i].digest = g->inputs[i].content; /* archives may differ in bytes */
            plain.inputs[i].bytes = 0;
        }
    }
    buf_init(&b, JOB_ARENA_MAX);
    int rc = message_encode(&message_grant, &plain, &b, e);
    if (!rc)
        digest_of(b.data, b.len, key);
    buf_free(&b);
    return rc;
}

static int run_job(struct job_context *c, const struct msg_grant *g, struct job_result *result,
                   struct err *e)
{
    if (g->kind != JOB_ASSIGN)
        return job_run(c, g, result, e);
    *result = (struct job_result){0};
    int rc = env_dir_make(c->dir, e);
    return rc ? rc : replay_assign(c, g, result, e);
}

/* Runs it, keeps its outputs, remembers what they are: *given. */
static int compute(struct replayer *r, const struct msg_grant *g, const char *const *paths,
                   const struct digest *key, struct msg_made *given, struct err *e)
{
    struct job_context c = {
        .spec = &r->spec, .inputs = paths, .kept = r->kept, .progress = &r->progress};
    struct job_result result;
    *given = (struct msg_made){.what = MADE_BY_JOB, .seconds = 0};
    int rc = verify_store_job(r->store, key, &r->job, &c.dir, e);
    if (rc)
        return rc;
    rc = run_job(&c, g, &result, e);
    given->outputs = arena_alloc_array(&r->job, result.count + 1, sizeof *given->outputs);
    if (!rc && !given->outputs)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for the outputs of a job");
    for (uint32_t i = 0; !rc && i < result.count; i++) {
        given->outputs[given->output_count++] = result.outputs[i].blob;
        rc = verify_store_keep(r->store, &result.outputs[i].blob, result.outputs[i].path, e);
    }
    given->seconds = result.seconds;
    job_result_free(&result);
    if (!rc)
        rc = verify_store_remember(r->store, key, given, e);
    if (!rc)
        rc = folder_remove(c.dir, e);
    return rc;
}

/* The first output in which they differ; false where they agree. */
static bool compare(const struct msg_made *published, const struct msg_made *given,
                    struct replay_outcome *o)
{
    static const struct msg_blob nothing;
    uint32_t n = published->output_count > given->output_count ? published->output_count
                                                               : given->output_count;
    for (uint32_t i = 0; i < n; i++) {
        o->published = i < published->output_count ? published->outputs[i] : nothing;
        o->replayed = i < given->output_count ? given->outputs[i] : nothing;
        if (o->published.role != o->replayed.role || o->published.index != o->replayed.index ||
            o->published.count != o->replayed.count ||
            !digest_equal(made_name(&o->published), made_name(&o->replayed)))
            return true;
    }
    return false;
}

/* The archives that were published for the right content, where they are not the replay's. */
static int check_published(struct replayer *r, const struct msg_made *m,
                           const struct msg_made *given, struct replay_outcome *o, struct err *e)
{
    const char *path;
    for (uint32_t i = 0; i < m->output_count; i++) {
        const struct msg_blob *b = &m->outputs[i];
        if (digest_equal(&b->digest, &given->outputs[i].digest))
            continue;
        int rc = verify_store_blob(r->store, &b->digest, &r->job, &path, e);
        if (!rc)
            rc = check_content(r, m->grant, b, m->grant->target == TARGET_ROUTER, path, e);
        if (rc == ERR_DIGEST) {
            o->verdict = REPLAY_BAD_OUTPUT;
            o->published = *b;
            return 0;
        }
        if (rc && rc != ERR_NOT_FOUND)
            return rc;
    }
    return 0;
}

/* --- a job, and what must come before it ------------------------------------------------------ */

struct before {
    uint64_t
        *jobs; /* the one asked for first, then what must be replayed before the one in front */
    uint32_t count, capacity;
};

static int push(struct before *b, uint64_t job, struct err *e)
{
    if (b->count == b->capacity) {
        uint32_t capacity = b->capacity ? 2 * b->capacity : 16;
        uint64_t *grown =
            capacity > BEFORE_MAX ? NULL : reallocarray(b->jobs, capacity, sizeof *grown);
        if (!grown)
            return err_set(e, ERR_NO_MEMORY, "no memory for the jobs before a job");
        b->jobs = grown;
        b->capacity = capacity;
    }
    b->jobs[b->count++] = job;
    return 0;
}

static const char *copy_why(struct arena *a, const struct err *e)
{
    return arena_strndup(a, e->message, strlen(e->message));
}

/* An input that is there but wrong ends the job's replay; one that is dropped is made again. */
static int without_input(struct replayer *r, struct before *b, const struct msg_made *m,
                         const struct msg_blob *missing, struct arena *a, struct replay_outcome *o,
                         bool *ended, struct err *e)
{
    struct msg_made source;
    char hex[DIGEST_HEX + 1];
    bool bad = e->code == ERR_DIGEST;
    const char *why = copy_why(a, e);
    int rc = ask_digest(r, &missing->digest, a, &source, e);
    if (rc)
        return err_prefix(e, "input %s of %s", digest_to_hex(&missing->digest, hex),
                          made_job_words(a, m->grant));
    if (bad) {
        o->verdict = REPLAY_BAD_INPUT;
        o->published = *missing;
        o->source = source;
        o->why = why;
        *ended = true;
        return ask_job(r, m->grant->job, a, &o->made, e);
    }
    if (source.what != MADE_BY_JOB || source.grant->job >= m->grant->job)
        return err_set(e, ERR_NOT_FOUND,
                       "%s needs %s, which the coordinator has lost and no job can make again",
                       made_job_words(a, m->grant), digest_to_hex(&missing->digest, hex));
    return push(b, source.grant->job, e);
}

/* Compares, once outputs of the job on top are known. */
static int conclude(struct replayer *r, struct before *b, const struct msg_made *m,
                    const struct msg_made *given, struct arena *a, struct replay_outcome *o,
                    bool *ended, struct err *e)
{
    bool last = b->count == 1;
    b->count--;
    int rc = 0;
    if (compare(m, given, o))
        o->verdict = REPLAY_DIFFERS;
    else
        rc = check_published(r, m, given, o, e);
    if (o->verdict == REPLAY_BAD_OUTPUT)
        o->why = copy_why(a, e);
    *ended = last || o->verdict != REPLAY_AGREES;
    o->remade += !last;
    return !rc && o->verdict != REPLAY_AGREES ? ask_job(r, m->grant->job, a, &o->made, e) : rc;
}

static int one(struct replayer *r, struct before *b, struct arena *a, struct replay_outcome *o,
               bool *ended, struct err *e)
{
    struct msg_made m, given;
    struct digest key;
    const char **paths;
    const struct msg_blob *missing = NULL;
    arena_reset(&r->job);
    int rc = ask_job(r, b->jobs[b->count - 1], &r->job, &m, e);
    if (!rc && !replay_can(m.grant->kind))
        rc = err_set(e, ERR_INVALID, "a report can't be replayed: it holds times");
    if (!rc)
        rc = load_spec(r, m.grant, e);
    if (!rc)
        rc = key_of(m.grant, &r->job, &key, e);
    if (rc)
        return rc;
    if (b->count == 1) { /* of others the files are wanted */
        rc = verify_store_recall(r->store, &key, &r->job, &given, e);
        o->recalled = rc == 0;
        if (rc != ERR_NOT_FOUND)
            return rc ? rc : conclude(r, b, &m, &given, a, o, ended, e);
    }
    rc = get_inputs(r, m.grant, &paths, &missing, e);
    if (missing && (rc == ERR_NOT_FOUND || rc == ERR_DIGEST))
        return without_input(r, b, &m, missing, a, o, ended, e);
    if (!rc)
        rc = compute(r, m.grant, paths, &key, &given, e);
    return rc ? err_prefix(e, "%s", made_job_words(a, m.grant))
              : conclude(r, b, &m, &given, a, o, ended, e);
}

int replay_job(struct replayer *r, uint64_t job, struct arena *a, struct replay_outcome *o,
               struct err *e)
{
    struct before b = {0};
    bool ended = false;
    *o = (struct replay_outcome){.verdict = REPLAY_AGREES};
    int rc = push(&b, job, e);
    while (!rc && !ended) {
        e->code = 0;
        rc = one(r, &b, a, o, &ended, e);
        if (!rc)
            rc = verify_store_trim(r->store, e);
    }
    free(b.jobs);
    return rc;
}
