/* tacit export: a run's models as files that other programs load. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "ops/cli/export_files.h"
#include "ops/cli/format.h"

enum { EXPORT_FORMAT = OPTION_FIRST, EXPORT_TYPE, EXPORT_MODEL, EXPORT_FORCE };

/* --- options ---------------------------------------------------------------------------------- */

static int set_word(const char *option, const char *arg, const char *const *words, int *out,
                    struct err *e)
{
    for (*out = 0; words[*out]; (*out)++)
        if (strcmp(words[*out], arg) == 0)
            return 0;
    return err_set(e, ERR_INVALID, "%s %s: there are %s, %s and %s", option, arg, words[0],
                   words[1], words[2]);
}

/* "all", "dense", "dense-flops", "expert:3", "router:0". */
static int set_model(const char *arg, struct export_input *in, struct err *e)
{
    const char *colon = strchr(arg, ':');
    if (strcmp(arg, "all") == 0) {
        in->target = TARGET_NONE;
        return 0;
    }
    for (in->target = TARGET_ROUTER; in->target <= TARGET_DENSE_FLOPS; in->target++) {
        const char *word = job_target_words[in->target];
        const bool indexed = in->target <= TARGET_EXPERT;
        const size_t len = colon ? (size_t)(colon - arg) : strlen(arg);
        if (strlen(word) == len && strncmp(word, arg, len) == 0 && indexed == (colon != NULL))
            return indexed ? cli_u64("--model", colon + 1, 0, 1023, &in->index, e) : 0;
    }
    return err_set(e, ERR_INVALID,
                   "--model %s: there are all, dense, dense-flops, expert:N and router:N", arg);
}

static int set_export(void *input, int key, const char *arg, struct err *e)
{
    struct export_input *in = input;
    switch (key) {
    case EXPORT_FORMAT:
        return set_word("--format", arg, manifest_layout_words, &in->layout, e);
    case EXPORT_TYPE:
        return set_word("--type", arg, export_type_words, &in->type, e);
    case EXPORT_MODEL:
        return set_model(arg, in, e);
    default:
        in->force = true;
        return 0;
    }
}

static int input_check(const struct export_input *in, struct err *e)
{
    if (in->layout == LAYOUT_SAFETENSORS && in->type != EXPORT_F32)
        return err_set(e, ERR_INVALID,
                       "--type %s: the layout safetensors is the exact one, f32 alone; take hf or "
                       "gguf",
                       export_type_words[in->type]);
    if (in->layout == LAYOUT_HF && in->type == EXPORT_Q8_0)
        return err_set(e, ERR_INVALID, "--type q8_0 is of the layout gguf; hf has f32 and bf16");
    return 0;
}

/* --- the folder ------------------------------------------------------------------------------- */

const char *export_path(struct exporting *x, const char *name, struct err *e)
{
    const char *path = arena_printf(&x->cli->arena, "%s/%s", x->folder, name);
    if (!path)
        err_set(e, ERR_NO_MEMORY, "no memory for a path");
    return path;
}

int export_text(struct exporting *x, const char *name, const void *data, size_t len, struct err *e)
{
    const char *path = export_path(x, name, e);
    return path ? env_file_write_atomic(path, data, len, 0644, e) : ERR_NO_MEMORY;
}

/* With --force the old manifest goes first: half of one export and half of another is none. */
static int folder_prepare(struct exporting *x, struct err *e)
{
    char **names;
    size_t count;
    int rc = env_dir_make(x->folder, e);
    if (!rc)
        rc = env_dir_list(x->folder, &names, &count, e);
    if (rc)
        return rc;
    env_dir_list_free(names, count);
    if (count > 0 && !x->in->force)
        return err_set(e, ERR_EXISTS,
                       "%s is not empty: name another folder, or write over its files with --force",
                       x->folder);
    const char *manifest = export_path(x, MANIFEST_FILE, e);
    return manifest ? env_file_remove(manifest, e) : ERR_NO_MEMORY;
}

/* --- models ----------------------------------------------------------------------------------- */

static const char *file_name(struct exporting *x, int target, uint64_t index, struct err *e)
{
    struct arena *a = &x->cli->arena;
    const bool indexed = target == TARGET_ROUTER || target == TARGET_EXPERT;
    const char *word = job_target_words[target], *name;
    const char *stem = indexed ? arena_printf(a, "%s-%llu", word, (unsigned long long)index) : word;
    if (x->in->layout == LAYOUT_HF)
        name = arena_printf(a, "%s/model.safetensors", stem);
    else if (x->in->layout == LAYOUT_GGUF)
        name = arena_printf(a, "%s.gguf", stem);
    else if (indexed)
        name = arena_printf(a, "%ss/%llu.safetensors", word, (unsigned long long)index);
    else
        name = arena_printf(a, "%s.safetensors", word);
    if (!stem || !name)
        err_set(e, ERR_NO_MEMORY, "no memory for a path");
    return stem ? name : NULL;
}

static int write_buf(struct exporting *x, const char *folder, const char *name, int rc,
                     struct buf *b, struct err *e)
{
    const char *path = arena_printf(&x->cli->arena, "%s/%s", folder, name);
    if (!rc && !path)
        rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc)
        rc = export_text(x, path, b->data, b->len, e);
    buf_reset(b);
    return rc;
}

/* What transformers wants beside the weights, in the folder of each model. */
static int write_hf_texts(struct exporting *x, const struct model_config *c, const char *file,
                          struct err *e)
{
    const char *folder = arena_strndup(&x->cli->arena, file, (size_t)(strrchr(file, '/') - file));
    const struct pieces *p = &x->pieces;
    struct buf b;
    int rc = 0;
    if (!folder)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    buf_init(&b, 1u << 30);
    rc =
        write_buf(x, folder, "config.json", export_hf_config(c, x->in->type, p->end, &b, e), &b, e);
    if (!rc)
        rc = write_buf(x, folder, "generation_config.json", export_hf_generation(p->end, &b, e), &b,
                       e);
    if (!rc)
        rc = write_buf(x, folder, "tokenizer_config.json",
                       export_hf_tokenizer_config(p, c->seq, &b, e), &b, e);
    if (!rc && !x->no_tokenizer_json)
        rc = write_buf(x, folder, "tokenizer.json", export_hf_tokenizer(p, &b, e), &b, e);
    if (!rc)
        rc = buf_append(&b, x->mixture.tokenizer_model.data, x->mixture.tokenizer_model.len, e);
    if (!rc)
        rc = write_buf(x, folder, "tokenizer.model", rc, &b, e);
    buf_free(&b);
    return rc;
}

static int write_weights(struct exporting *x, const struct model_config *c, const char *file,
                         const float *parameters, struct export_file *out, struct err *e)
{
    const char *path = export_path(x, file, e), *slash = strrchr(file, '/');
    const char *name = arena_printf(&x->cli->arena, "%s %.*s", x->mixture.run.name,
                                    (int)strcspn(file, "/."), file);
    if (!path || !name)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (slash) {
        const char *folder = arena_strndup(&x->cli->arena, path, strlen(path) - strlen(slash));
        int rc = folder ? env_dir_make(folder, e) : err_set(e, ERR_NO_MEMORY, "no memory");
        if (rc)
            return rc;
    }
    switch (x->in->layout) {
    case LAYOUT_HF:
        return export_hf(path, c, parameters, x->in->type, out, e);
    case LAYOUT_GGUF:
        return export_gguf(path, c, parameters, x->in->type, &x->pieces, name, out, e);
    default:
        return export_safetensors(path, c, parameters, out, e);
    }
}

static int export_one(struct exporting *x, const struct msg_model_progress *p, float *parameters,
                      struct err *e)
{
    struct mixture *m = &x->mixture;
    struct model_config c;
    struct export_file written;
    const char *file = file_name(x, p->target, p->index, e);
    if (!file)
        return ERR_NO_MEMORY;
    manifest_shape(&x->manifest, p->target, &c);
    int rc = mixture_model(m, p->target, (uint32_t)p->index, &c, parameters, e);
    if (!rc)
        rc = write_weights(x, &c, file, parameters, &written, e);
    if (!rc && x->in->layout == LAYOUT_HF)
        rc = write_hf_texts(x, &c, file, e);
    if (!rc && x->in->layout == LAYOUT_SAFETENSORS && !digest_equal(&written.digest, &p->content))
        rc = err_set(e, ERR_INTERNAL, "%s does not have the digest of its checkpoint", file);
    if (rc)
        return rc;
    x->manifest.models[x->manifest.model_count++] = (struct msg_exported){.target = p->target,
                                                                          .index = p->index,
                                                                          .step = p->step,
                                                                          .content = p->content,
                                                                          .file = file,
                                                                          .bytes = written.bytes,
                                                                          .digest = written.digest};
    x->done += 4 * model_parameters(&c);
    progress_update(&x->progress, "exporting", x->done, x->total, "bytes");
    return env_stop_requested() ? err_set(e, ERR_STOPPED, "stopped on request") : 0;
}

static bool is_wanted(const struct exporting *x, const struct msg_model_progress *p)
{
    return x->in->target == TARGET_NONE || (p->target == x->in->target && p->index == x->in->index);
}

/* Every wanted model must be there, before the first is written. */
static int wanted_check(struct exporting *x, struct err *e)
{
    const struct msg_run *run = &x->mixture.run;
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < run->model_count; i++) {
        const struct msg_model_progress *p = &run->models[i];
        struct model_config c;
        if (!is_wanted(x, p))
            continue;
        if (p->model_bytes == 0)
            return err_set(e, ERR_CONFLICT,
                           "%s %llu of run %s has not been published yet: `tacit run wait %s` "
                           "waits for it, --model takes another",
                           job_target_words[p->target], (unsigned long long)p->index, run->name,
                           run->name);
        manifest_shape(&x->manifest, p->target, &c);
        x->total += 4 * model_parameters(&c);
        wanted++;
    }
    if (wanted == 0)
        return err_set(e, ERR_NOT_FOUND, "%s has no %s %llu",
                       x->mixture.folder ? x->mixture.folder : run->name,
                       job_target_words[x->in->target], (unsigned long long)x->in->index);
    return 0;
}

static int export_models(struct exporting *x, struct err *e)
{
    struct model_config c;
    const struct msg_run *run = &x->mixture.run;
    manifest_shape(&x->manifest, TARGET_EXPERT, &c);
    uint64_t most = model_parameters(&c);
    manifest_shape(&x->manifest, TARGET_ROUTER, &c);
    most = model_parameters(&c) > most ? model_parameters(&c) : most;
    float *parameters = malloc(most * sizeof *parameters);
    int rc = parameters ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a model");
    for (uint32_t i = 0; !rc && i < run->model_count; i++)
        if (is_wanted(x, &run->models[i]))
            rc = export_one(x, &run->models[i], parameters, e);
    free(parameters);
    progress_finish(&x->progress);
    return rc;
}

/* --- the rest --------------------------------------------------------------------------------- */

static const struct msg_shape *shape_of(struct exporting *x, const struct model_config *c)
{
    struct msg_shape *s = arena_alloc(&x->cli->arena, sizeof *s);
    if (s)
        *s = (struct msg_shape){.vocab = c->vocab,
                                .seq = c->seq,
                                .hidden = c->hidden,
                                .layers = c->layers,
                                .heads = c->heads,
                                .ffn = c->ffn};
    return s;
}

static int manifest_begin(struct exporting *x, struct err *e)
{
    const struct mixture *m = &x->mixture;
    const uint32_t vocab = (uint32_t)m->dataset.vocab, seq = (uint32_t)m->dataset.seq;
    struct model_config expert, router;
    spec_expert_model(&m->spec, vocab, seq, &expert);
    spec_router_model(&m->spec, vocab, seq, &router);
    x->manifest =
        (struct msg_manifest){.format = MANIFEST_FORMAT,
                              .version = MANIFEST_VERSION,
                              .layout = x->in->layout,
                              .type = x->in->type,
                              .run = m->run.name,
                              .dataset = m->dataset.name,
                              .spec = m->run.spec,
                              .experts = m->spec.experts,
                              .prefix = m->spec.router.prefix,
                              .routing = m->spec.router.mode == SPEC_EM ? "em" : "random",
                              .seed = m->spec.seed,
                              .tokenizer = m->dataset.tokenizer,
                              .end = tokenizer_end(m->tokenizer),
                              .expert_model = shape_of(x, &expert),
                              .router_model = shape_of(x, &router),
                              .models = arena_alloc_array(&x->cli->arena, m->run.model_count + 1,
                                                          sizeof *x->manifest.models)};
    if (!x->manifest.expert_model || !x->manifest.router_model || !x->manifest.models)
        return err_set(e, ERR_NO_MEMORY, "no memory for a list of models");
    return 0;
}

static int read_pieces(struct exporting *x, struct err *e)
{
    struct buf b;
    struct err why = {0};
    if (x->in->layout == LAYOUT_SAFETENSORS)
        return 0;
    int rc =
        pieces_read(&x->pieces, x->mixture.tokenizer_model.data, x->mixture.tokenizer_model.len, e);
    if (rc || x->in->layout != LAYOUT_HF)
        return rc;
    buf_init(&b, 1u << 30);
    rc = export_hf_tokenizer(&x->pieces, &b, &why);
    x->no_tokenizer_json = rc == ERR_INVALID;
    if (x->no_tokenizer_json)
        fprintf(stderr, "no tokenizer.json: %s\n", why.message);
    else if (rc)
        *e = why;
    buf_free(&b);
    return x->no_tokenizer_json ? 0 : rc;
}

static int write_manifest(struct exporting *x, struct err *e)
{
    struct buf b;
    buf_init(&b, MANIFEST_BYTES_MAX);
    int rc = message_encode(&message_manifest, &x->manifest, &b, e);
    if (!rc)
        rc = buf_append(&b, "\n", 1, e);
    if (!rc)
        rc = export_text(x, MANIFEST_FILE, b.data, b.len, e);
    buf_free(&b);
    return rc;
}

static int export_all(struct exporting *x, struct err *e)
{
    const struct buf *tokenizer = &x->mixture.tokenizer_model, *spec = &x->mixture.spec_text;
    int rc = manifest_begin(x, e);
    if (!rc)
        rc = wanted_check(x, e);
    if (!rc)
        rc = read_pieces(x, e);
    if (!rc)
        rc = folder_prepare(x, e);
    if (!rc)
        rc = export_models(x, e);
    if (!rc)
        rc = export_text(x, "tokenizer.model", tokenizer->data, tokenizer->len, e);
    if (!rc)
        rc = export_text(x, "spec.ini", spec->data, spec->len, e);
    if (!rc && x->in->layout != LAYOUT_GGUF)
        rc = export_text(x, "route.py", export_route, (size_t)(export_route_end - export_route), e);
    if (!rc)
        rc = export_card(x, e);
    return rc ? rc : write_manifest(x, e);
}

static void tell(struct exporting *x)
{
    uint64_t bytes = 0;
    char size[16];
    for (uint32_t i = 0; i < x->manifest.model_count; i++)
        bytes += x->manifest.models[i].bytes;
    printf("%s: %u model%s of run %s as %s %s, %s; README.md says how to use them\n", x->folder,
           x->manifest.model_count, x->manifest.model_count == 1 ? "" : "s", x->mixture.run.name,
           manifest_layout_words[x->in->layout], export_type_words[x->in->type],
           text_bytes(bytes, size));
}

int cmd_export(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"format", EXPORT_FORMAT, "hf|gguf|safetensors", 0,
         "For transformers, for llama.cpp, or our own, which `tacit` reads again (safetensors)", 1},
        {"type", EXPORT_TYPE, "f32|bf16|q8_0", 0,
         "Numbers of the weights (f32): hf has f32 and bf16, gguf all three", 1},
        {"model", EXPORT_MODEL, "MODEL", 0, "all, dense, dense-flops, expert:N or router:N (all)",
         2},
        {"force", EXPORT_FORCE, NULL, 0, "Write into a folder that is not empty", 2},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN|DIR DIR",
        .doc = "Writes a run's newest models into a folder: each expert, router and dense model as "
               "others load it, the tokenizer, tacit.json (what is what, with digests), and "
               "README.md with figures and lineage. A folder of --format safetensors can be given "
               "in a run's place where its name has a slash: no coordinator is asked then.\v"
               "Examples:\n  tacit export my-run out\n"
               "  tacit export my-run gguf --format gguf --type q8_0\n"
               "  tacit export my-run hf --format hf --model expert:2\n"
               "  tacit export ./out gguf --format gguf",
        .args_min = 2,
        .args_max = 2,
        .set = set_export,
    };
    struct export_input in = {0};
    struct exporting x = {.cli = cli, .in = &in};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    x.folder = cli->args[1];
    progress_init(&x.progress);
    int rc = input_check(&in, &e);
    if (!rc)
        rc = mixture_open(&x.mixture, cli, cli->args[0], &e);
    if (!rc)
        rc = export_all(&x, &e);
    pieces_free(&x.pieces);
    mixture_close(&x.mixture);
    if (rc)
        return cli_fail(cli, &e);
    tell(&x);
    return 0;
}
