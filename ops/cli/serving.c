#include "ops/cli/serving.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/env/process.h"

#define TOKENIZER_MAX (64u << 20)
#define MEMORY_DEFAULT ((uint64_t)2 << 30)
#define TIMEOUT_DEFAULT_MS (10 * 60 * 1000)

static int load_of_run(void *arg, bool router, uint32_t index, float *parameters, struct err *e)
{
    struct serving *v = arg;
    return mixture_model(&v->mixture, router ? TARGET_ROUTER : TARGET_EXPERT, index,
                         router ? &v->source.router : &v->source.expert, parameters, e);
}

static int open_run(struct serving *v, struct cli *cli, const char *run, struct err *e)
{
    struct mixture *m = &v->mixture;
    int rc = cli_connect(cli, e);
    if (!rc)
        rc = mixture_open(m, cli, run, e);
    if (rc)
        return rc;
    const uint32_t vocab = (uint32_t)m->dataset.vocab, seq = (uint32_t)m->dataset.seq;
    v->source = (struct serve_source){.name = m->run.name,
                                      .experts = m->spec.experts,
                                      .prefix = m->spec.router.prefix,
                                      .random = m->spec.router.mode == SPEC_RANDOM,
                                      .seed = m->spec.seed,
                                      .arithmetic = spec_engine_arithmetic(&m->spec),
                                      .tokenizer = m->tokenizer,
                                      .load = load_of_run,
                                      .arg = v};
    spec_router_model(&m->spec, vocab, seq, &v->source.router);
    spec_expert_model(&m->spec, vocab, seq, &v->source.expert);
    return 0;
}

/* --- folders ------------------------------------------------------------------------------------
 */

static int load_of_folder(void *arg, bool router, uint32_t index, float *parameters, struct err *e)
{
    struct serving *v = arg;
    return manifest_model(v->folder, &v->manifest, router ? TARGET_ROUTER : TARGET_EXPERT, index,
                          parameters, e);
}

/* Every router and expert must be there: which one answers is not known before. */
static int check_models(const struct msg_manifest *m, struct err *e)
{
    if (m->layout != LAYOUT_SAFETENSORS)
        return err_set(e, ERR_INVALID, "layout %s: `tacit export RUN DIR --format safetensors`",
                       manifest_layout_words[m->layout]);
    for (uint64_t i = 0; i < m->experts; i++)
        if (!manifest_find(m, TARGET_EXPERT, i) ||
            (m->router_model && !manifest_find(m, TARGET_ROUTER, i)))
            return err_set(e, ERR_NOT_FOUND, "expert %llu or its router was not exported",
                           (unsigned long long)i);
    return 0;
}

static int read_folder(struct serving *v, struct cli *cli, struct run_spec *spec, struct err *e)
{
    struct buf b;
    int rc = manifest_read(v->folder, &cli->arena, &v->manifest, e);
    if (!rc)
        rc = check_models(&v->manifest, e);
    if (!rc)
        rc = manifest_file(v->folder, "spec.ini", &v->manifest.spec, SPEC_BYTES_MAX, &b, e);
    if (rc)
        return rc;
    rc = spec_parse(b.data, b.len, "spec.ini", spec, e);
    buf_free(&b);
    if (!rc)
        rc = manifest_file(v->folder, "tokenizer.model", &v->manifest.tokenizer, TOKENIZER_MAX, &b,
                           e);
    if (rc)
        return rc;
    rc = tokenizer_open(&v->tokenizer, b.data, b.len, e);
    buf_free(&b);
    return rc;
}

static int open_folder(struct serving *v, struct cli *cli, const char *folder, struct err *e)
{
    struct run_spec spec;
    v->folder = folder;
    const int rc = read_folder(v, cli, &spec, e);
    if (rc)
        return err_prefix(e, "%s", folder);
    const struct msg_manifest *m = &v->manifest;
    v->source = (struct serve_source){.name = m->run,
                                      .experts = (uint32_t)m->experts,
                                      .prefix = (uint32_t)m->prefix,
                                      .random = strcmp(m->routing, "random") == 0,
                                      .seed = m->seed,
                                      .arithmetic = spec_engine_arithmetic(&spec),
                                      .tokenizer = v->tokenizer,
                                      .load = load_of_folder,
                                      .arg = v};
    manifest_shape(m, TARGET_EXPERT, &v->source.expert);
    v->source.router = v->source.expert;
    if (m->router_model)
        manifest_shape(m, TARGET_ROUTER, &v->source.router);
    return 0;
}

int serving_open(struct serving *v, struct cli *cli, const char *what, struct err *e)
{
    *v = (struct serving){0};
    return env_dir_exists(what) ? open_folder(v, cli, what, e) : open_run(v, cli, what, e);
}

void serving_close(struct serving *v)
{
    tokenizer_close(v->tokenizer);
    mixture_close(&v->mixture);
}

int serving_size(const char *option, const char *arg, uint64_t *out, struct err *e)
{
    static const char units[] = "KMGT";
    char digits[24];
    const size_t len = strlen(arg);
    const char *unit = len > 0 ? strchr(units, arg[len - 1]) : NULL;
    const size_t count = len - (unit && *unit);
    const unsigned shift = unit && *unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (count < sizeof digits) {
        memcpy(digits, arg, count);
        digits[count] = 0;
        if (text_to_u64(digits, out) && *out > 0 && *out <= UINT64_MAX >> 8 >> shift) {
            *out <<= shift;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "%s %s: bytes are wanted, such as 512M or 2G", option, arg);
}

void serving_defaults(struct serve_options *o)
{
    const uint64_t half = env_memory_bytes() / 2;
    *o = (struct serve_options){.memory = half < MEMORY_DEFAULT ? half : MEMORY_DEFAULT,
                                .threads = env_cpu_count(),
                                .slots = 16,
                                .queue = 256,
                                .mix = 1,
                                .timeout_ms = TIMEOUT_DEFAULT_MS};
}
