#include "core/runners/models.h"

#include "core/checkpoint/checkpoint.h"

int reader_open(struct reader *m, const struct job_context *c, const struct msg_grant *g,
                int target, struct err *e)
{
    if (target == TARGET_ROUTER) {
        spec_router_model(c->spec, (uint32_t)g->vocab, (uint32_t)g->seq, &m->config);
    } else {
        spec_expert_model(c->spec, (uint32_t)g->vocab, (uint32_t)g->seq, &m->config);
    }
    const struct engine_options o = {.arithmetic = spec_engine_arithmetic(c->spec)};
    int rc = kept_engine(c->kept, &m->config, &o, &m->engine, e);
    return rc ? rc : kept_parameters(c->kept, &m->config, &m->parameters, e);
}

int reader_load(struct reader *m, const struct job_context *c, const struct msg_grant *g,
                uint64_t index, struct err *e)
{
    const char *path = job_input(c, g, ROLE_MODEL, index, NULL);
    if (!path) {
        return err_set(e, ERR_INVALID, "the grant lacks a model that the job reads");
    }
    int rc = checkpoint_model_load(path, &m->config, m->parameters, NULL, e);
    if (rc == ERR_NOT_FINITE) {
        rc = e->code = ERR_FORMAT; /* a bad file, not a failure of the run's settings */
    }
    return rc ? err_prefix(e, "model to read") : 0;
}
