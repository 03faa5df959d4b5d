#include "ops/serve/serve_metrics.h"

#include "core/env/process.h"
#include "core/version.h"

static void one(struct buf *out, const char *name, const char *type, const char *help, double v)
{
    struct err ignored = {0};
    (void)!buf_printf(out, &ignored,
                      "# HELP tacit_serve_%s %s\n# TYPE tacit_serve_%s %s\ntacit_serve_%s %.17g\n",
                      name, help, name, type, name, v);
}

void metrics_write(struct serve *s, const _Atomic uint64_t responses[4], struct buf *out)
{
    static const char *const classes[] = {"2xx", "3xx", "4xx", "5xx"};
    struct serve_figures *f = serve_figures_of(s);
    struct err ignored = {0};
    (void)!buf_printf(out, &ignored,
                      "# HELP tacit_serve_build_info 1, labelled with version and model.\n"
                      "# TYPE tacit_serve_build_info gauge\n"
                      "tacit_serve_build_info{version=\"%s\",model=\"%s\"} 1\n"
                      "# HELP tacit_serve_http_responses_total Answers over HTTP, by class.\n"
                      "# TYPE tacit_serve_http_responses_total counter\n",
                      TACIT_VERSION, serve_source_of(s)->name);
    for (int i = 0; i < 4; i++)
        (void)!buf_printf(out, &ignored, "tacit_serve_http_responses_total{code=\"%s\"} %llu\n",
                          classes[i], (unsigned long long)responses[i]);
    one(out, "answers_total", "counter", "Questions that were taken.", (double)f->answers);
    one(out, "answers_failed_total", "counter", "Of these, failed or given up.", (double)f->failed);
    one(out, "rejected_total", "counter", "Questions refused since too many waited.",
        (double)f->rejected);
    one(out, "prompt_tokens_total", "counter", "Tokens of prompts.", (double)f->prompt_tokens);
    one(out, "prompt_tokens_cached_total", "counter", "Of these, known from before.",
        (double)f->cached_tokens);
    one(out, "answer_tokens_total", "counter", "Tokens of answers.", (double)f->answer_tokens);
    one(out, "steps_total", "counter", "Steps of an expert.", (double)f->steps);
    one(out, "step_tokens_total", "counter", "Tokens computed by them.", (double)f->step_rows);
    one(out, "expert_loads_total", "counter", "Experts whose weights were brought.",
        (double)f->loads);
    one(out, "expert_evictions_total", "counter", "Experts that had to make room.",
        (double)f->evictions);
    one(out, "texts_waiting", "gauge", "Texts that wait for a slot or an expert.", f->waiting);
    one(out, "texts_active", "gauge", "Texts that are being continued.", f->active);
    one(out, "experts_resident", "gauge", "Experts whose weights are in memory.", f->resident);
    one(out, "expert_bytes", "gauge", "Memory that they take.", (double)f->weight_bytes);
    one(out, "memory_peak_bytes", "gauge", "Largest resident memory so far.",
        (double)env_memory_peak());
}
