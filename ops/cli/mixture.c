#include "ops/cli/mixture.h"

#include <stdlib.h>
#include <string.h>
#include "core/checkpoint/checkpoint.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/mixture/scores.h"

#define TOKENIZER_MAX (64u << 20)

bool mixture_is_folder(const char *run_or_folder)
{
    return strchr(run_or_folder, '/') != NULL;
}

static int get_blob(struct mixture *m, const struct digest *d, const char *what, size_t max,
                    struct buf *out, struct err *e)
{
    const char *path;
    int rc = blob_cache_get(&m->cache, d, what, &path, e);
    return rc ? rc : env_file_read(path, max, out, e);
}

static int load_spec(struct mixture *m, struct err *e)
{
    struct buf *b = &m->spec_text;
    int rc = m->folder ? manifest_file(m->folder, "spec.ini", &m->run.spec, SPEC_BYTES_MAX, b, e)
                       : get_blob(m, &m->run.spec, "the run's spec", SPEC_BYTES_MAX, b, e);
    return rc ? rc : spec_parse(b->data, b->len, "the run's spec", &m->spec, e);
}

static int load_tokenizer(struct mixture *m, struct err *e)
{
    struct buf *b = &m->tokenizer_model;
    const struct digest *d = &m->dataset.tokenizer;
    int rc = m->folder ? manifest_file(m->folder, "tokenizer.model", d, TOKENIZER_MAX, b, e)
                       : get_blob(m, d, "the tokenizer", TOKENIZER_MAX, b, e);
    return rc ? rc : tokenizer_open(&m->tokenizer, b->data, b->len, e);
}

static int open_run(struct mixture *m, const char *run, struct err *e)
{
    struct cli *cli = m->cli;
    int rc = cli->client ? 0 : cli_connect(cli, e);
    if (!rc)
        rc = client_call(cli->client, "GET", cli_path(cli, "/v1/runs/", run, ""), NULL, NULL,
                         &message_run, &m->run, &cli->arena, 0, e);
    if (!rc)
        rc = client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", m->run.dataset, ""),
                         NULL, NULL, &message_dataset, &m->dataset, &cli->arena, 0, e);
    return rc ? rc : blob_cache_open(&m->cache, cli, e);
}

/* The manifest as if a coordinator had said it. */
static int open_folder(struct mixture *m, const char *folder, struct err *e)
{
    const struct msg_manifest *f = &m->manifest;
    int rc = manifest_read(folder, &m->cli->arena, &m->manifest, e);
    if (rc)
        return rc;
    m->folder = folder;
    m->run = (struct msg_run){.name = f->run,
                              .dataset = f->dataset,
                              .state = RUN_DONE,
                              .experts = f->experts,
                              .spec = f->spec,
                              .model_count = f->model_count};
    m->dataset = (struct msg_dataset){.name = f->dataset,
                                      .vocab = f->expert_model->vocab,
                                      .seq = f->expert_model->seq,
                                      .tokenizer = f->tokenizer};
    m->run.models = arena_alloc_array(&m->cli->arena, f->model_count + 1, sizeof *m->run.models);
    if (!m->run.models)
        return err_set(e, ERR_NO_MEMORY, "no memory for a list of models");
    for (uint32_t i = 0; i < f->model_count; i++)
        m->run.models[i] = (struct msg_model_progress){.target = f->models[i].target,
                                                       .index = f->models[i].index,
                                                       .step = f->models[i].step,
                                                       .content = f->models[i].content,
                                                       .model_bytes = f->models[i].bytes};
    return 0;
}

int mixture_open(struct mixture *m, struct cli *cli, const char *run_or_folder, struct err *e)
{
    *m = (struct mixture){.cli = cli};
    int rc = mixture_is_folder(run_or_folder) ? open_folder(m, run_or_folder, e)
                                              : open_run(m, run_or_folder, e);
    if (!rc)
        rc = load_spec(m, e);
    return rc ? rc : load_tokenizer(m, e);
}

void mixture_close(struct mixture *m)
{
    tokenizer_close(m->tokenizer);
    m->tokenizer = NULL;
    buf_free(&m->tokenizer_model);
    buf_free(&m->spec_text);
}

/* --- models ----------------------------------------------------------------------------------- */

const struct msg_model_progress *mixture_has(const struct mixture *m, int target, uint64_t index)
{
    for (uint32_t i = 0; i < m->run.model_count; i++) {
        const struct msg_model_progress *p = &m->run.models[i];
        if (p->target == target && p->index == index && p->model_bytes > 0)
            return p;
    }
    return NULL;
}

int mixture_model(struct mixture *m, int target, uint32_t index, const struct model_config *c,
                  float *parameters, struct err *e)
{
    const struct msg_model_progress *p = mixture_has(m, target, index);
    const char *path,
        *what = arena_printf(&m->cli->arena, "%s %u", job_target_words[target], index);
    struct digest content;
    if (!what)
        return err_set(e, ERR_NO_MEMORY, "no memory");
    if (m->folder)
        return manifest_model(m->folder, &m->manifest, target, index, parameters, e);
    if (!p)
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

int mixture_decode(struct mixture *m, const struct model_config *c, struct decode **out,
                   struct err *e)
{
    const struct decode_options o = {.arithmetic = spec_engine_arithmetic(&m->spec),
                                     .threads = env_cpu_count(),
                                     .slots = 1,
                                     .rows = MIXTURE_DECODE_ROWS};
    return decode_create(out, c, &o, e);
}

int mixture_weights(struct mixture *m, int target, uint32_t index, const struct model_config *c,
                    const struct decode *d, struct decode_weights **out, struct err *e)
{
    float *parameters = calloc(model_parameters(c), sizeof *parameters);
    *out = NULL;
    if (!parameters)
        return err_set(e, ERR_NO_MEMORY, "no memory for a model");
    int rc = mixture_model(m, target, index, c, parameters, e);
    if (!rc)
        rc = decode_weights_create(out, d, parameters, e);
    free(parameters);
    return rc;
}

int mixture_append(struct decode *d, const struct decode_weights *w, const uint32_t *ids,
                   size_t count, float *logits, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < count; i += MIXTURE_DECODE_ROWS) {
        const size_t n = count - i < MIXTURE_DECODE_ROWS ? count - i : MIXTURE_DECODE_ROWS;
        const struct decode_run run = {
            .count = (uint32_t)n, .logits = i + n == count, .tokens = ids + i};
        rc = decode_step(d, w, &run, 1, logits, e);
    }
    return rc;
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
