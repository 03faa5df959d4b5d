#include "ops/cli/mixture.h"

#include <stdlib.h>
#include "core/checkpoint/checkpoint.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/mixture/scores.h"

#define TOKENIZER_MAX (64u << 20)

static int load_spec(struct mixture *m, struct err *e)
{
    const char *path;
    struct buf b;
    int rc = blob_cache_get(&m->cache, &m->run.spec, "the run's spec", &path, e);
    if (!rc && (rc = env_file_read(path, SPEC_BYTES_MAX, &b, e)) == 0) {
        rc = spec_parse(b.data, b.len, "the run's spec", &m->spec, e);
        buf_free(&b);
    }
    return rc;
}

static int load_tokenizer(struct mixture *m, struct err *e)
{
    const char *path;
    struct buf b;
    int rc = blob_cache_get(&m->cache, &m->dataset.tokenizer, "the tokenizer", &path, e);
    if (!rc && (rc = env_file_read(path, TOKENIZER_MAX, &b, e)) == 0) {
        rc = tokenizer_open(&m->tokenizer, b.data, b.len, e);
        buf_free(&b);
    }
    return rc;
}

int mixture_open(struct mixture *m, struct cli *cli, const char *run, struct err *e)
{
    *m = (struct mixture){.cli = cli};
    const char *path = cli_path(cli, "/v1/runs/", run, "");
    int rc =
        client_call(cli->client, "GET", path, NULL, NULL, &message_run, &m->run, &cli->arena, 0, e);
    if (!rc) {
        path = cli_path(cli, "/v1/datasets/", m->run.dataset, "");
        rc = client_call(cli->client, "GET", path, NULL, NULL, &message_dataset, &m->dataset,
                         &cli->arena, 0, e);
    }
    if (!rc)
        rc = blob_cache_open(&m->cache, cli, e);
    if (!rc)
        rc = load_spec(m, e);
    return rc ? rc : load_tokenizer(m, e);
}

void mixture_close(struct mixture *m)
{
    tokenizer_close(m->tokenizer);
    m->tokenizer = NULL;
}

/* --- models ----------------------------------------------------------------------------------- */

int mixture_model(struct mixture *m, int target, uint32_t index, const struct model_config *c,
                  float *parameters, struct err *e)
{
    const struct msg_model_progress *p = NULL;
    const char *path,
        *what = arena_printf(&m->cli->arena, "%s %u", job_target_words[target], index);
    struct digest content;
    for (uint32_t i = 0; i < m->run.model_count; i++)
        if (m->run.models[i].target == target && m->run.models[i].index == index)
            p = &m->run.models[i];
    if (!what)
        return err_set(e, ERR_NO_MEMORY, "no memory");
    if (!p || p->model_bytes == 0)
        return err_set(e, ERR_CONFLICT,
                       "%s of run %s has not been published yet: `tacit run wait %s` waits for it",
                       what, m->run.name, m->run.name);
    int rc = blob_cache_get(&m->cache, &p->model, what, &path, e);
    if (rc)
        return rc;
    rc = checkpoint_model_load(path, c, parameters, &content, e);
    if (!rc && !digest_equal(&content, &p->content))
        rc = err_set(e, ERR_DIGEST, "%s is not what the coordinator says it is", what);
    return rc;
}

int mixture_engine(struct mixture *m, const struct model_config *c, struct engine **engine,
                   float **parameters, struct err *e)
{
    struct engine_options o = {.arithmetic = spec_engine_arithmetic(&m->spec),
                               .threads = env_cpu_count()};
    *engine = NULL;
    *parameters = calloc(model_parameters(c), sizeof **parameters);
    if (!*parameters)
        return err_set(e, ERR_NO_MEMORY, "no memory for a model");
    return engine_create(engine, c, &o, e);
}

/* --- routing ---------------------------------------------------------------------------------- */

static int score_em(struct mixture *m, const uint32_t *ids, uint32_t prefix, float *scores,
                    struct err *e)
{
    struct model_config c;
    struct engine *engine;
    float *parameters, *cumulative = calloc(prefix, sizeof *cumulative);
    spec_router_model(&m->spec, (uint32_t)m->dataset.vocab, (uint32_t)m->dataset.seq, &c);
    int rc = cumulative ? mixture_engine(m, &c, &engine, &parameters, e)
                        : err_set(e, ERR_NO_MEMORY, "no memory for scores");
    if (!cumulative)
        return rc;
    for (uint32_t r = 0; !rc && r < m->spec.experts; r++) {
        rc = mixture_model(m, TARGET_ROUTER, r, &c, parameters, e);
        if (!rc)
            rc = engine_scores(engine, parameters, ids, 1, prefix, prefix, cumulative, e);
        scores[r] = cumulative[prefix - 1];
    }
    engine_destroy(engine);
    free(parameters);
    free(cumulative);
    return rc;
}

int mixture_scores(struct mixture *m, const uint32_t *ids, uint32_t prefix, float *scores,
                   struct err *e)
{
    if (m->spec.router.mode == SPEC_EM)
        return score_em(m, ids, prefix, scores, e);
    for (uint32_t r = 0; r < m->spec.experts; r++)
        scores[r] = scores_random(m->spec.seed, ids, prefix, r);
    return 0;
}
