/* Reading and writing specs from one table of keys. What follows from a spec (shapes, costs, checks
 * against a data set) is in specshape.c. */
#include "core/protocol/spec.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/ini_text.h"
#include "core/base/text.h"

enum key_type { KEY_NAME, KEY_U32, KEY_U64, KEY_DOUBLE, KEY_WORD, KEY_BOOL, KEY_NEEDS };
enum key_need {
    OPTIONAL,
    REQUIRED,
    REQUIRED_EM, /* only where routers are trained */
};

struct key {
    const char *section, *name;
    enum key_type type;
    enum key_need need;
    size_t offset;
    uint64_t min, max; /* whole numbers */
    double low, high;  /* numbers: low (included or not) … high (included or not) */
    bool above, below; /* low, high themselves are not accepted */
    const char *const *words;
    const char *given;   /* the default, or for required keys what the template shows */
    const char *derived; /* in words, where the default follows from other keys */
    const char *help;
};

static const char *const arithmetic_words[] = {"exact", "blas", NULL};
static const char *const precision_words[] = {"f32", "bf16", NULL};
static const char *const optimizer_words[] = {"adamw", "muon", NULL}; /* enum optimizer's order */
static const char *const mode_words[] = {"em", "random", NULL};
static const char *const match_words[] = {"tokens", "both", NULL};
static const char *const sections[] = {"run", "router", "expert", "dense", "checkpoint", "eval"};
#define SECTION_COUNT (sizeof sections / sizeof sections[0])

/* Limits of shapes are model_config_check's; of steps and counts, what 64-bit products allow. */
#define HIDDEN_MAX (1u << 15)
#define LAYERS_MAX 512
#define HEADS_MAX 512
#define FFN_MAX (1u << 17)
#define BATCH_MAX (1u << 16)
#define STEPS_MAX 1000000000ull
/* Of a round or chunk, which are assigned at once: 2E+16 bytes a sequence in the coordinator's
 * memory, and assign.h takes less than 2^32. */
#define CHUNK_MAX (1ull << 28)
#define EVERY_STEPS_DEFAULT 250

#define AT(f) .offset = offsetof(struct run_spec, f)
#define WHOLE32(s, n, f, lo, hi, def, text)                                                        \
    {                                                                                              \
        .section = s, .name = n, .type = KEY_U32, AT(f), .min = lo, .max = hi, .given = def,       \
        .help = text                                                                               \
    }
#define WHOLE64(s, n, f, lo, hi, def, text)                                                        \
    {                                                                                              \
        .section = s, .name = n, .type = KEY_U64, AT(f), .min = lo, .max = hi, .given = def,       \
        .help = text                                                                               \
    }
#define SIZE(s, n, f, hi, need_, example, text)                                                    \
    {                                                                                              \
        .section = s, .name = n, .type = KEY_U32, .need = need_, AT(f), .min = 1, .max = hi,       \
        .given = example, .help = text                                                             \
    }
#define NUMBER(s, n, f, lo, open_lo, hi, open_hi, def, text)                                       \
    {                                                                                              \
        .section = s, .name = n, .type = KEY_DOUBLE, AT(f), .low = lo, .high = hi,                 \
        .above = open_lo, .below = open_hi, .given = def, .help = text                             \
    }

/* One row each. */
static const struct key keys[] = {
    {.section = "run",
     .name = "name",
     .type = KEY_NAME,
     .need = REQUIRED,
     AT(name),
     .given = "my-run",
     .help = "what the run is called; no other run may have this name"},
    {.section = "run",
     .name = "dataset",
     .type = KEY_NAME,
     .need = REQUIRED,
     AT(dataset),
     .given = "my-data",
     .help = "the data set, as given to `tacit ingest`"},
    {.section = "run",
     .name = "experts",
     .type = KEY_U32,
     .need = REQUIRED,
     AT(experts),
     .min = 2,
     .max = 1024,
     .given = "4",
     .help = "experts of the mixture; as many routers"},
    WHOLE64("run", "seed", seed, 0, INT64_MAX, "1",
            "every random choice follows from it: same seed, same result"),
    {.section = "run",
     .name = "require",
     .type = KEY_NEEDS,
     AT(needs),
     .given = "",
     .help = "labels that an agent must have to get jobs of the run (`tacit agents label`)"},
    {.section = "run",
     .name = "arithmetic",
     .type = KEY_WORD,
     AT(arithmetic),
     .words = arithmetic_words,
     .given = "exact",
     .help = "exact: the same bits on every machine; blas: OpenBLAS's own order"},
    {.section = "run",
     .name = "precision",
     .type = KEY_WORD,
     AT(precision),
     .words = precision_words,
     .given = "f32",
     .help =
         "bf16: matrix products of bfloat16, all else float32; exact, and faster with AVX512-BF16"},

    {.section = "router",
     .name = "mode",
     .type = KEY_WORD,
     AT(router.mode),
     .words = mode_words,
     .given = "em",
     .help = "em: learnt routers; random: a control that routes by a hash"},
    SIZE("router", "hidden", router.hidden, HIDDEN_MAX, REQUIRED_EM, "16",
         "width of a router; a multiple of twice its heads. Small is enough"),
    SIZE("router", "layers", router.layers, LAYERS_MAX, REQUIRED_EM, "1", "layers of a router"),
    SIZE("router", "heads", router.heads, HEADS_MAX, REQUIRED_EM, "2",
         "attention heads of a router"),
    WHOLE32("router", "prefix", router.prefix, 2, 1u << 16, "32",
            "tokens at a sequence's start that decide its expert"),
    WHOLE32("router", "rounds", router.rounds, 1, 4096, "8",
            "training rounds, each on newly drawn sequences"),
    WHOLE64("router", "sequences", router.sequences, 2, CHUNK_MAX, "4096",
            "sequences drawn for a round, over all routers"),
    WHOLE32("router", "passes", router.passes, 1, 1000, "1",
            "times that a router goes through its sequences in a round"),
    WHOLE32("router", "batch", router.batch, 1, BATCH_MAX, "16", "sequences a step of a router"),
    NUMBER("router", "learning_rate", router.learning_rate, 0, true, 1, false, "0.003",
           "constant after the warm-up"),
    WHOLE32("router", "warmup", router.warmup, 0, STEPS_MAX, "20", "steps of linear warm-up"),
    NUMBER("router", "grad_clip", router.grad_clip, 0, false, 1e6, false, "1",
           "largest norm of a gradient; 0: no limit"),
    {.section = "router",
     .name = "optimizer",
     .type = KEY_WORD,
     AT(router.optimizer),
     .words = optimizer_words,
     .given = "adamw",
     .help = "as [expert] optimizer, of routers"},

    SIZE("expert", "hidden", expert.hidden, HIDDEN_MAX, REQUIRED, "32",
         "width of an expert; a multiple of twice its heads"),
    SIZE("expert", "layers", expert.layers, LAYERS_MAX, REQUIRED, "2", "layers of an expert"),
    SIZE("expert", "heads", expert.heads, HEADS_MAX, REQUIRED, "2", "attention heads of an expert"),
    {.section = "expert",
     .name = "ffn",
     .type = KEY_U32,
     AT(expert.ffn),
     .min = 1,
     .max = FFN_MAX,
     .derived = "4 times hidden",
     .help = "width of the feed-forward layers"},
    WHOLE32("expert", "batch", expert.batch, 1, BATCH_MAX, "8", "sequences a step of an expert"),
    WHOLE64("expert", "steps", expert.steps, 1, STEPS_MAX, "4000", "steps of each expert"),
    NUMBER("expert", "learning_rate", expert.learning_rate, 0, true, 1, false, "0.005",
           "the peak, after the warm-up; then a cosine down to zero"),
    WHOLE32("expert", "warmup", expert.warmup, 0, STEPS_MAX, "100", "steps of linear warm-up"),
    NUMBER("expert", "grad_clip", expert.grad_clip, 0, false, 1e6, false, "1",
           "largest norm of a gradient; 0: no limit"),
    {.section = "expert",
     .name = "optimizer",
     .type = KEY_WORD,
     AT(expert.optimizer),
     .words = optimizer_words,
     .given = "adamw",
     .help =
         "muon: orthogonal steps (arXiv 2502.16982) of the layers' matrices, AdamW of the rest"},
    NUMBER("expert", "weight_decay", expert.weight_decay, 0, false, 1, false, "0.1",
           "the optimizer's, for experts, routers and dense alike"),
    NUMBER("expert", "beta1", expert.beta1, 0, false, 1, true, "0.9", "AdamW's, for all models"),
    NUMBER("expert", "beta2", expert.beta2, 0, false, 1, true, "0.99", "AdamW's, for all models"),
    WHOLE64("expert", "chunk", expert.chunk, 2, CHUNK_MAX, "1048576",
            "sequences assigned to experts at a time: bounds the coordinator's memory"),

    {.section = "dense",
     .name = "enabled",
     .type = KEY_BOOL,
     AT(dense.enabled),
     .given = "yes",
     .help = "also train one dense model of an expert's shape on the same tokens, to compare"},
    {.section = "dense",
     .name = "batch",
     .type = KEY_U32,
     AT(dense.batch),
     .min = 0,
     .max = 1u << 26,
     .given = "0",
     .help = "sequences a step of the dense model; 0: experts times an expert's batch"},
    {.section = "dense",
     .name = "match",
     .type = KEY_WORD,
     AT(dense.match),
     .words = match_words,
     .given = "tokens",
     .help = "both: a second dense model, with as many steps more as the routers cost"},

    {.section = "checkpoint",
     .name = "every_steps",
     .type = KEY_U64,
     AT(checkpoint.every_steps),
     .min = 1,
     .max = STEPS_MAX,
     .derived = "250, or publish_steps where that is less",
     .help = "steps between an agent's saves to its own disk"},
    WHOLE64("checkpoint", "publish_steps", checkpoint.publish_steps, 1, STEPS_MAX, "500",
            "steps of one job: what an agent uploads, and another can go on from"),
    WHOLE64("checkpoint", "keep", checkpoint.keep, 1, STEPS_MAX, "2",
            "newest checkpoints of each model (of a router: rounds) that the coordinator keeps"),
    WHOLE64("checkpoint", "milestone_steps", checkpoint.milestone_steps, 0, STEPS_MAX, "0",
            "keep those at multiples of so many steps, too, a multiple of publish_steps; 0: none"),

    WHOLE64("eval", "every_steps", eval.every_steps, 0, STEPS_MAX, "0",
            "steps between points of the validation curve, a multiple of publish_steps; 0: none"),
};
#define KEY_COUNT (sizeof keys / sizeof keys[0])

static const struct key *key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* --- one value ------------------------------------------------------------------------------- */

static void words_join(const char *const *words, char *out, size_t cap)
{
    size_t used = 0;

    out[0] = 0;
    for (int i = 0; words[i] && used < cap; i++)
        used += (size_t)snprintf(out + used, cap - used, "%s%s", i ? " or " : "", words[i]);
}

/* "a whole number from 1 to 512" */
static void key_accepted(const struct key *k, char *out, size_t cap)
{
    switch (k->type) {
    case KEY_NAME:
        snprintf(out, cap, "1 to 64 letters, digits, '.', '_' and '-', the first not '.' or '-'");
        return;
    case KEY_U32:
    case KEY_U64:
        snprintf(out, cap, "a whole number from %llu to %llu", (unsigned long long)k->min,
                 (unsigned long long)k->max);
        return;
    case KEY_DOUBLE:
        snprintf(out, cap, "a number %s %.15g %s %.15g", k->above ? "above" : "from", k->low,
                 k->below ? "and below" : "to", k->high);
        return;
    case KEY_WORD:
        words_join(k->words, out, cap);
        return;
    case KEY_BOOL:
        snprintf(out, cap, "yes or no");
        return;
    case KEY_NEEDS:
        snprintf(out, cap, "name=value, several with commas between them, or nothing");
        return;
    }
}

static bool word_find(const char *const *words, const char *text, int *out)
{
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool bool_find(const char *text, bool *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", NULL};
    int i;

    if (!word_find(words, text, &i))
        return false;
    *out = i % 2;
    return true;
}

bool spec_need_next(const char **at, struct spec_need *out)
{
    size_t len = strcspn(*at, ","), name = strcspn(*at, "=,");
    if (**at == 0)
        return false;
    snprintf(out->name, sizeof out->name, "%.*s", (int)name, *at);
    snprintf(out->value, sizeof out->value, "%.*s", name < len ? (int)(len - name - 1) : 0,
             *at + name + 1);
    *at += len + ((*at)[len] == ',');
    return true;
}

/* "gpu=no, site=lab" as "gpu=no,site=lab": one canonical form but for the order. */
static const char *needs_set(const char *text, char *out)
{
    struct spec_need need, earlier;
    size_t n = 0;
    if (strlen(text) > SPEC_NEEDS_MAX)
        return "is too long";
    for (; *text; text++)
        if (*text != ' ' && *text != '\t')
            out[n++] = *text;
    out[n] = 0;
    for (const char *at = out; *at;) {
        const char *here = at;
        size_t name = strcspn(at, "=,"), len = strcspn(at, ",");
        if (name > 64 || name == len || len - name > 65 || !spec_need_next(&at, &need) ||
            !text_is_name(need.name) || !text_is_name(need.value) || (at[-1] == ',' && !*at))
            return "is no list of labels";
        for (const char *before = out; before < here && spec_need_next(&before, &earlier);)
            if (strcmp(earlier.name, need.name) == 0)
                return "has a label twice";
    }
    return NULL;
}

/* NULL where text fits and *spec has it; otherwise what is wrong with it. */
static const char *key_set(const struct key *k, const char *text, struct run_spec *spec)
{
    char *at = (char *)spec + k->offset;
    uint64_t n;
    double x;

    switch (k->type) {
    case KEY_NAME:
        if (!text_is_name(text))
            return "is not a name";
        snprintf(at, sizeof spec->name, "%s", text);
        return NULL;
    case KEY_U32:
    case KEY_U64:
        if (!text_to_u64(text, &n))
            return "is not a whole number";
        if (n < k->min || n > k->max)
            return "is out of range";
        if (k->type == KEY_U32)
            *(uint32_t *)(void *)at = (uint32_t)n;
        else
            *(uint64_t *)(void *)at = n;
        return NULL;
    case KEY_DOUBLE:
        if (!text_to_double(text, &x))
            return "is not a number";
        if (x < k->low || x > k->high || (k->above && x <= k->low) || (k->below && x >= k->high))
            return "is out of range";
        *(double *)(void *)at = x == 0 ? 0 : x; /* -0 is 0: one canonical form */
        return NULL;
    case KEY_WORD:
        return word_find(k->words, text, (int *)(void *)at) ? NULL : "is not known";
    case KEY_BOOL:
        return bool_find(text, (bool *)at) ? NULL : "is neither yes nor no";
    case KEY_NEEDS:
        return needs_set(text, at);
    }
    return "has no type";
}

static int key_write(const struct key *k, const struct run_spec *spec, struct buf *out,
                     struct err *e)
{
    const char *at = (const char *)spec + k->offset;
    char text[40];

    switch (k->type) {
    case KEY_NAME:
        return buf_printf(out, e, "%s = %s\n", k->name, at);
    case KEY_NEEDS: /* a spec without any reads as it did before there were needs */
        return *at ? buf_printf(out, e, "%s = %s\n", k->name, at) : 0;
    case KEY_U32:
        return buf_printf(out, e, "%s = %u\n", k->name, *(const uint32_t *)(const void *)at);
    case KEY_U64:
        return buf_printf(out, e, "%s = %llu\n", k->name,
                          *(const unsigned long long *)(const void *)at);
    case KEY_DOUBLE:
        /* The shortest form that reads back as the same number. */
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, *(const double *)(const void *)at);
            if (strtod(text, NULL) == *(const double *)(const void *)at)
                break;
        }
        return buf_printf(out, e, "%s = %s\n", k->name, text);
    case KEY_WORD:
        return buf_printf(out, e, "%s = %s\n", k->name, k->words[*(const int *)(const void *)at]);
    case KEY_BOOL:
        return buf_printf(out, e, "%s = %s\n", k->name, *(const bool *)at ? "yes" : "no");
    }
    return err_set(e, ERR_INTERNAL, "key %s has no type", k->name);
}

/* --- a file ---------------------------------------------------------------------------------- */

struct parse {
    const char *file;
    int line;             /* that is being read; 0: none */
    int given[KEY_COUNT]; /* line where a key stands; 0: not given */
    struct run_spec *spec;
    struct err *e;
    int rc;
};

static int wrong(struct parse *p, const struct key *k, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The first error wins; "FILE:LINE: [section] key: …", the line left out where the key is absent.
 */
static int wrong(struct parse *p, const struct key *k, const char *fmt, ...)
{
    char what[320], where[24] = "";
    int line = k ? p->given[k - keys] : p->line;
    va_list args;

    if (p->rc)
        return p->rc;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    if (line)
        snprintf(where, sizeof where, ":%d", line);
    if (k)
        p->rc = err_set(p->e, ERR_INVALID, "%.120s%s: [%s] %s: %s", p->file, where, k->section,
                        k->name, what);
    else
        p->rc = err_set(p->e, ERR_INVALID, "%.120s%s: %s", p->file, where, what);
    return p->rc;
}

static void unknown_section(struct parse *p, const char *section)
{
    const char *near = text_nearest(section, sections, SECTION_COUNT);
    char all[120];

    if (section[0] == 0) {
        wrong(p, NULL, "a key before the first section; accepted: [run], [router] … above it");
        return;
    }
    snprintf(all, sizeof all, "[run], [router], [expert], [dense], [checkpoint], [eval]");
    if (near)
        wrong(p, NULL, "unknown section [%.60s]; did you mean [%s]?", section, near);
    else
        wrong(p, NULL, "unknown section [%.60s]; accepted: %s", section, all);
}

/* Names the nearest key: of the section, else a key of that very name elsewhere. */
static void unknown_key(struct parse *p, const char *section, const char *name)
{
    const char *near[KEY_COUNT], *found;
    size_t count = 0;

    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(keys[i].section, section) == 0)
            near[count++] = keys[i].name;
    found = text_nearest(name, near, count);
    if (found) {
        wrong(p, NULL, "[%s] %.60s: unknown key; did you mean %s?", section, name, found);
        return;
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            wrong(p, NULL, "[%s] %.60s: unknown key; [%s] has one of this name", section, name,
                  keys[i].section);
            return;
        }
    }
    for (size_t i = 0; i < KEY_COUNT; i++)
        near[i] = keys[i].name;
    found = text_nearest(name, near, KEY_COUNT);
    for (size_t i = 0; found && i < KEY_COUNT; i++) {
        if (keys[i].name == found) {
            wrong(p, NULL, "[%s] %.60s: unknown key; did you mean [%s] %s?", section, name,
                  keys[i].section, found);
            return;
        }
    }
    wrong(p, NULL, "[%s] %.60s: unknown key; `tacit run spec` prints all keys", section, name);
}

static int on_value(void *arg, const char *section, const char *name, const char *value, int line,
                    struct err *e)
{
    struct parse *p = arg;
    const struct key *k = key_find(section, name);
    const char *problem;
    char accepted[160];

    (void)e;
    p->line = line;
    if (!k) {
        size_t i = 0;
        while (i < SECTION_COUNT && strcmp(sections[i], section) != 0)
            i++;
        if (i == SECTION_COUNT)
            unknown_section(p, section);
        else
            unknown_key(p, section, name);
        return p->rc;
    }
    if (p->given[k - keys]) {
        int before = p->given[k - keys];
        p->given[k - keys] = p->line;
        wrong(p, k, "given twice, first in line %d", before);
        return p->rc;
    }
    p->given[k - keys] = p->line;
    problem = key_set(k, value, p->spec);
    if (problem) {
        key_accepted(k, accepted, sizeof accepted);
        wrong(p, k, "\"%.60s\" %s; accepted: %s", value, problem, accepted);
    }
    return p->rc;
}

static void set_defaults(struct parse *p)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const struct key *k = &keys[i];
        char accepted[160];

        if (p->given[i])
            continue;
        if (k->need == REQUIRED || (k->need == REQUIRED_EM && p->spec->router.mode == SPEC_EM)) {
            key_accepted(k, accepted, sizeof accepted);
            wrong(p, k, "missing; accepted: %s", accepted);
            return;
        }
        if (k->need == OPTIONAL && k->given)
            (void)key_set(k, k->given, p->spec); /* the table's own: a test parses them all */
    }
}

static void check_shape(struct parse *p, const char *section, uint32_t hidden, uint32_t heads)
{
    const struct key *k = key_find(section, "hidden");

    if (heads && hidden % (2 * heads) != 0)
        wrong(p, k, "%u does not divide into %u heads of even size; accepted: a multiple of %u",
              hidden, heads, 2 * heads);
}

/* Models are evaluated at every point of the curve, the longest trained the most often. */
static void check_curve(struct parse *p)
{
    const struct run_spec *s = p->spec;
    uint64_t every = s->eval.every_steps, publish = s->checkpoint.publish_steps;
    uint64_t longest = s->expert.steps, least;

    if (s->dense.enabled && spec_dense_steps(s) > longest)
        longest = spec_dense_steps(s);
    if (s->checkpoint.milestone_steps % publish != 0)
        wrong(p, key_find("checkpoint", "milestone_steps"),
              "%llu is not a multiple of publish_steps, %llu",
              (unsigned long long)s->checkpoint.milestone_steps, (unsigned long long)publish);
    if (every % publish != 0)
        wrong(p, key_find("eval", "every_steps"),
              "%llu is not a multiple of [checkpoint] publish_steps, %llu",
              (unsigned long long)every, (unsigned long long)publish);
    if (every == 0 || longest / every <= SPEC_CURVE_MAX)
        return;
    least = (longest + SPEC_CURVE_MAX - 1) / SPEC_CURVE_MAX;
    wrong(p, key_find("eval", "every_steps"),
          "%llu makes %llu points of the longest model's %llu steps, more than %u; accepted: at "
          "least %llu",
          (unsigned long long)every, (unsigned long long)(longest / every),
          (unsigned long long)longest, SPEC_CURVE_MAX,
          (unsigned long long)((least + publish - 1) / publish * publish));
}

/* What one key says about another, and defaults that follow from others. */
static void check_together(struct parse *p)
{
    struct run_spec *s = p->spec;
    uint64_t in_all;

    if (s->expert.ffn == 0)
        s->expert.ffn = 4 * s->expert.hidden;
    if (s->dense.batch == 0)
        s->dense.batch = s->experts * s->expert.batch;
    if (s->checkpoint.every_steps == 0)
        s->checkpoint.every_steps = s->checkpoint.publish_steps < EVERY_STEPS_DEFAULT
                                        ? s->checkpoint.publish_steps
                                        : EVERY_STEPS_DEFAULT;
    check_shape(p, "router", s->router.hidden, s->router.heads);
    check_shape(p, "expert", s->expert.hidden, s->expert.heads);
    if (s->precision == SPEC_BF16 && s->arithmetic == SPEC_BLAS)
        wrong(p, key_find("run", "precision"),
              "OpenBLAS has no products of bf16 that add up in float32 the same everywhere; "
              "accepted: f32, or bf16 with arithmetic = exact");
    if (s->router.sequences < s->experts)
        wrong(p, key_find("router", "sequences"),
              "%llu sequences cannot be parted among %u routers; accepted: at least %u",
              (unsigned long long)s->router.sequences, s->experts, s->experts);
    if (s->expert.chunk < s->experts)
        wrong(p, key_find("expert", "chunk"),
              "%llu sequences cannot be parted among %u experts; accepted: at least %u",
              (unsigned long long)s->expert.chunk, s->experts, s->experts);
    in_all = (uint64_t)s->experts * s->expert.batch * s->expert.steps;
    if (in_all % s->dense.batch != 0)
        wrong(p, key_find("dense", "batch"),
              "%u does not divide the %llu sequences of all experts' training, so tokens cannot be "
              "equal; accepted: a divisor, such as %llu",
              s->dense.batch, (unsigned long long)in_all,
              (unsigned long long)s->experts * s->expert.batch);
    if (s->checkpoint.every_steps > s->checkpoint.publish_steps)
        wrong(p, key_find("checkpoint", "every_steps"),
              "%llu is more than publish_steps, %llu; accepted: at most that",
              (unsigned long long)s->checkpoint.every_steps,
              (unsigned long long)s->checkpoint.publish_steps);
    if ((uint64_t)s->experts * s->router.prefix > SPEC_SCORES_MAX)
        wrong(p, key_find("router", "prefix"),
              "%u tokens for %u experts are more than %u scores a sequence; accepted: at most %u",
              s->router.prefix, s->experts, SPEC_SCORES_MAX, SPEC_SCORES_MAX / s->experts);
    check_curve(p);
}

int spec_parse(const char *text, size_t len, const char *file, struct run_spec *out, struct err *e)
{
    struct parse p = {.file = file ? file : "spec", .spec = out, .e = e};

    memset(out, 0, sizeof *out);
    if (len > SPEC_BYTES_MAX)
        return wrong(&p, NULL, "larger than %u bytes: is this a spec?", SPEC_BYTES_MAX);
    if (!text_is_utf8(text, len))
        return wrong(&p, NULL, "not UTF-8 text: is this a spec?");
    int rc = ini_text_read(text, len, p.file, on_value, &p, e);
    if (rc)
        return rc;
    p.line = 0;
    set_defaults(&p);
    if (!p.rc)
        check_together(&p);
    return p.rc;
}

int spec_canonical(const struct run_spec *s, struct buf *out, struct err *e)
{
    const char *section = "";
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < KEY_COUNT; i++) {
        const struct key *k = &keys[i];
        if (strcmp(section, k->section) != 0)
            rc = buf_printf(out, e, "[%s]\n", k->section);
        section = k->section;
        /* Without learnt routers their sizes may be missing. */
        if (k->need == REQUIRED_EM &&
            *(const uint32_t *)(const void *)((const char *)s + k->offset) == 0)
            continue;
        if (rc == 0)
            rc = key_write(k, s, out, e);
    }
    return rc;
}

int spec_template(struct buf *out, struct err *e)
{
    const char *section = "";
    char accepted[160];
    int rc = buf_printf(out, e,
                        "; A run of tacit. Change what is marked as required; the other values\n"
                        "; are the defaults, and their lines may be left out.\n");

    for (size_t i = 0; rc == 0 && i < KEY_COUNT; i++) {
        const struct key *k = &keys[i];
        if (strcmp(section, k->section) != 0)
            rc = buf_printf(out, e, "\n[%s]\n", k->section);
        section = k->section;
        key_accepted(k, accepted, sizeof accepted);
        if (rc == 0)
            rc = buf_printf(out, e, "; %s.\n; %s%s\n", k->help, accepted,
                            k->need == OPTIONAL ? "" : "; required");
        if (rc == 0 && k->given)
            rc = buf_printf(out, e, "%s = %s\n", k->name, k->given);
        else if (rc == 0)
            rc = buf_printf(out, e, "; %s = … (default: %s)\n", k->name, k->derived);
    }
    return rc;
}
