/* tacit report: a finished run's mixture against dense models, on the terminal or as a page. */
#include <stdio.h>
#include <string.h>
#include "core/env/file.h"
#include "ops/cli/mixture.h"
#include "ops/cli/report.h"

#define SAMPLES_DEFAULT 6
#define SAMPLES_MAX 64
#define SAMPLE_TOKENS 48

enum { REPORT_HTML = OPTION_FIRST, REPORT_MD, REPORT_SAMPLES };

struct report_input {
    const char *html, *md;
    uint64_t samples;
};

static int set_report(void *input, int key, const char *arg, struct err *e)
{
    struct report_input *in = input;
    switch (key) {
    case REPORT_HTML:
        in->html = arg;
        return 0;
    case REPORT_MD:
        in->md = arg;
        return 0;
    default:
        return cli_u64("--samples", arg, 0, SAMPLES_MAX, &in->samples, e);
    }
}

static int put_out(const struct doc *d, const char *path, struct err *e)
{
    if (strcmp(path, "-") == 0) {
        fwrite(d->out.data, 1, d->out.len, stdout);
        return fflush(stdout) ? err_set(e, ERR_IO, "cannot write to standard output") : 0;
    }
    int rc = env_file_write_atomic(path, d->out.data, d->out.len, 0644, e);
    if (!rc)
        fprintf(stderr, "wrote %s\n", path);
    return rc;
}

static int write_as(struct cli *cli, const struct report_facts *f, enum doc_form form,
                    const char *path, struct err *e)
{
    struct doc d;
    const char *title = arena_printf(
        &cli->arena, form == DOC_TEXT ? "report of %s" : "Mixture of experts: %s", f->report.run);
    doc_begin(&d, form, cli->color, &cli->arena, title ? title : "report");
    report_write(&d, f);
    int rc = doc_end(&d, e);
    if (!rc)
        rc = put_out(&d, path, e);
    buf_free(&d.out);
    return rc;
}

/* What a page has beyond the report itself. */
static int add_samples(struct cli *cli, const char *run, uint64_t wanted, struct report_facts *f,
                       struct err *e)
{
    struct mixture m;
    struct buf spec;
    buf_init(&spec, SPEC_BYTES_MAX);
    int rc = mixture_open(&m, cli, run, e);
    if (!rc)
        rc = spec_canonical(&m.spec, &spec, e);
    if (!rc && !(f->spec = arena_strndup(&cli->arena, spec.data, spec.len)))
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a spec");
    if (!rc)
        rc = report_samples_get(&m, (uint32_t)wanted, SAMPLE_TOKENS, f, e);
    mixture_close(&m);
    buf_free(&spec);
    return rc;
}

int cmd_report(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"html", REPORT_HTML, "FILE", 0,
         "Write one page, with charts, that needs nothing else and can be sent on (-: standard "
         "output)",
         1},
        {"md", REPORT_MD, "FILE", 0, "The same as Markdown, without charts", 1},
        {"samples", REPORT_SAMPLES, "N", 0,
         "Held-out beginnings that mixture and dense model continue in a page (6); 0 downloads no "
         "models",
         1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN",
        .doc = "A finished run: the mixture against dense models at equal tokens and equal FLOPs, "
               "what each expert has specialised in, what routing cost. As a page also: learning "
               "curves, sample continuations, the machines that took part, lineage, and the "
               "spec.\v"
               "Examples:\n  tacit report my-run\n"
               "  tacit report my-run --html my-run.html\n"
               "  tacit report my-run --json | jq '.mixture.perplexity / .dense.perplexity'",
        .args_min = 1,
        .args_max = 1,
        .json = true,
        .set = set_report,
    };
    struct report_input in = {.samples = SAMPLES_DEFAULT};
    struct report_facts f;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    bool page = in.html || in.md;
    int rc = cli_connect(cli, &e);
    if (!rc && cli->json && !page) {
        rc = cli_print_raw(cli, cli_path(cli, "/v1/runs/", cli->args[0], "/report"), &e);
        return rc ? cli_fail(cli, &e) : 0;
    }
    if (!rc)
        rc = report_facts_get(cli, cli->args[0], page, &f, &e);
    if (!rc && page)
        rc = add_samples(cli, cli->args[0], in.samples, &f, &e);
    if (!rc && in.html)
        rc = write_as(cli, &f, DOC_HTML, in.html, &e);
    if (!rc && in.md)
        rc = write_as(cli, &f, DOC_MARKDOWN, in.md, &e);
    if (!rc && !page)
        rc = write_as(cli, &f, DOC_TEXT, "-", &e);
    return rc ? cli_fail(cli, &e) : 0;
}
