/* The README.md of an export: what it is, how to use it, its figures, what it was made of. */
#include "ops/cli/export_files.h"
#include "ops/cli/format.h"
#include "ops/cli/report.h"

static const char *const how_safetensors =
    "python3 route.py \"Once upon a time\"          # PyTorch and NumPy alone\n"
    "tacit sample ./THIS-FOLDER \"Once upon a time\"\n"
    "tacit export ./THIS-FOLDER gguf --format gguf # for llama.cpp";
static const char *const how_hf =
    "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
    "model = AutoModelForCausalLM.from_pretrained(\"expert-0\")\n"
    "tokenizer = AutoTokenizer.from_pretrained(\"expert-0\")\n"
    "\n"
    "python3 route.py \"Once upon a time\"          # routes and answers with PyTorch alone";
static const char *const how_gguf = "llama-cli -m expert-0.gguf -p \"Once upon a time\"";

static void say_shape(struct doc *d, const char *what, const struct msg_shape *s)
{
    struct arena *a = d->arena;
    const struct model_config c = {.vocab = (uint32_t)s->vocab,
                                   .seq = (uint32_t)s->seq,
                                   .hidden = (uint32_t)s->hidden,
                                   .layers = (uint32_t)s->layers,
                                   .heads = (uint32_t)s->heads,
                                   .ffn = (uint32_t)s->ffn};
    doc_say(d,
            "%s: a decoder of %s parameters: hidden size %llu, %llu layer%s, %llu heads, "
            "feed-forward width %llu; LayerNorm without bias before each part, rotary positions "
            "(half-split, base 10,000), GELU (tanh), tied embeddings, no biases.",
            what, format_count(a, model_parameters(&c)), (unsigned long long)s->hidden,
            (unsigned long long)s->layers, s->layers == 1 ? "" : "s", (unsigned long long)s->heads,
            (unsigned long long)s->ffn);
}

static void say_files(struct doc *d, const struct exporting *x)
{
    static const char *const titles[] = {"model",  "file",           ">bytes",
                                         ">steps", "content digest", NULL};
    struct arena *a = d->arena;
    struct table t;
    table_init(&t, a, titles);
    for (uint32_t i = 0; i < x->manifest.model_count; i++) {
        const struct msg_exported *m = &x->manifest.models[i];
        const bool indexed = m->target == TARGET_ROUTER || m->target == TARGET_EXPERT;
        char hex[DIGEST_HEX + 1];
        const char *cells[] = {indexed ? arena_printf(a, "%s %llu", job_target_words[m->target],
                                                      (unsigned long long)m->index)
                                       : job_target_words[m->target],
                               m->file, format_count(a, m->bytes), format_count(a, m->step),
                               arena_printf(a, "%s", digest_to_hex(&m->content, hex))};
        table_row(&t, cells);
    }
    doc_heading(d, "Models");
    doc_table(d, &t);
    doc_say(d,
            "The digest is the BLAKE2b-256 of the model's content as its run published it: "
            "tacit lineage DIGEST tells what it was made of, by whom, down to the shards of "
            "text.%s",
            x->in->layout == LAYOUT_SAFETENSORS ? " It is that of the file, too (b2sum -l 256)."
                                                : "");
}

static void say_use(struct doc *d, const struct exporting *x)
{
    static const char *const how[] = {how_safetensors, how_hf, how_gguf};
    const struct msg_manifest *m = &x->manifest;
    struct arena *a = d->arena;
    doc_heading(d, "Use");
    doc_code(d, how[x->in->layout]);
    doc_say(d,
            "To route: add up the log-probabilities that each router gives to tokens 2 to %llu of "
            "a prompt, each given those before it; the expert of the router with the highest sum "
            "answers (on equal sums the lower number). Shorter prompts are judged by what there "
            "is; of one "
            "token, expert 0 answers. Texts have no token at their beginning; %llu ends them.",
            (unsigned long long)m->prefix, (unsigned long long)m->end);
    if (m->type != EXPORT_F32)
        doc_say(d, "These are rounded weights (%s): %s.", export_type_words[m->type],
                "perplexities may differ from the figures below in their third digit");
    doc_say(d, "Longest text: %s tokens.", format_count(a, m->expert_model->seq));
}

/* Reports are of runs that are done. */
static int say_figures(struct doc *d, struct exporting *x, struct err *e)
{
    struct report_facts f;
    struct err why = {0};
    const char *run = x->mixture.run.name;
    if (x->mixture.folder) {
        doc_say(d, "Made from an export of run %s, whose README.md has figures and lineage.", run);
        return 0;
    }
    int rc = report_facts_get(x->cli, run, false, &f, &why);
    if (rc == ERR_NOT_FOUND || rc == ERR_CONFLICT) {
        doc_heading(d, "Figures");
        doc_say(d, "The run was not done when this was written: there are no figures yet.");
        return 0;
    }
    if (rc) {
        *e = why;
        return rc;
    }
    report_write(d, &f);
    return 0;
}

static void say_lineage(struct doc *d, const struct exporting *x)
{
    const struct mixture *m = &x->mixture;
    char spec[DIGEST_HEX + 1], tokenizer[DIGEST_HEX + 1];
    doc_heading(d, "Lineage");
    doc_say(d,
            "Run %s on data set %s (%s training sequences of %llu tokens). Spec %s, tokenizer %s.",
            m->run.name, m->dataset.name, format_count(d->arena, m->dataset.train_sequences),
            (unsigned long long)m->dataset.seq, digest_to_hex(&m->run.spec, spec),
            digest_to_hex(&m->dataset.tokenizer, tokenizer));
    const char *sources = "";
    for (uint32_t i = 0; i < m->dataset.label_count && sources; i++)
        sources =
            arena_printf(d->arena, "%s%s%s", sources, i ? ", " : "", m->dataset.labels[i].name);
    doc_say(d,
            "Sources: %s. The licence of this text is not known here: whoever passes the models on "
            "should say it.",
            sources && *sources ? sources : "not named");
    doc_heading(d, "Spec");
    const char *text = m->spec_text.data;
    const size_t len = m->spec_text.len;
    text = arena_strndup(d->arena, text, len - (len > 0 && text[len - 1] == '\n'));
    doc_code(d, text ? text : "");
}

int export_card(struct exporting *x, struct err *e)
{
    struct doc d;
    struct arena *a = &x->cli->arena;
    const struct msg_manifest *m = &x->manifest;
    const char *title = arena_printf(a, "%s: a mixture of %llu language models", m->run,
                                     (unsigned long long)m->experts);
    doc_begin(&d, DOC_MARKDOWN, false, a, title ? title : m->run);
    doc_say(&d,
            "Trained by tacit: %llu experts, each on its own part of the text, and as many "
            "small routers that choose which of them answers. Nothing but this choice joins "
            "them; one expert answers a prompt (Filippova et al., arXiv 2410.03529).",
            (unsigned long long)m->experts);
    say_shape(&d, "Experts", m->expert_model);
    say_shape(&d, "Routers", m->router_model);
    say_files(&d, x);
    say_use(&d, x);
    int rc = say_figures(&d, x, e);
    if (!rc && !x->mixture.folder)
        say_lineage(&d, x);
    struct err late = {0};
    int end = doc_end(&d, rc ? &late : e);
    if (!rc && !(rc = end))
        rc = export_text(x, "README.md", d.out.data, d.out.len, e);
    buf_free(&d.out);
    return rc;
}
