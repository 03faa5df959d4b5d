/* tacit eval: a run or an exported folder on a task, its mixture beside dense models and experts.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ops/cli/eval.h"
#include "ops/cli/format.h"
#include "ops/cli/text_table.h"

enum { EVAL_LIMIT = OPTION_FIRST, EVAL_EXPERTS, EVAL_SEED };

struct eval_input {
    uint64_t limit, top, seed;
};

struct evaluating {
    struct cli *cli;
    const struct eval_input *in;
    const char *file;
    struct mixture mixture;
    struct eval_task task;
    struct eval_run run;
    struct eval_system *systems;
    uint32_t system_count, base; /* base: the dense model, or the mixture */
    struct eval_figure *values[EVAL_MEASURES], *gaps[EVAL_MEASURES]; /* NULL: none such */
};

static const char *const measure_words[EVAL_MEASURES] = {"accuracy", "accuracy_by_length",
                                                         "perplexity", "bits_per_byte"};

static int set_eval(void *input, int key, const char *arg, struct err *e)
{
    struct eval_input *in = input;
    switch (key) {
    case EVAL_LIMIT:
        return cli_u64("--limit", arg, 1, UINT32_MAX, &in->limit, e);
    case EVAL_EXPERTS:
        return cli_u64("--experts", arg, 1, EVAL_CHOICES_MAX, &in->top, e);
    default:
        return cli_u64("--seed", arg, 0, INT64_MAX, &in->seed, e);
    }
}

/* --- figures ---------------------------------------------------------------------------------- */

static int measure(struct evaluating *x, enum eval_measure m, struct err *e)
{
    bool any = false;
    for (uint32_t s = 0; s < x->system_count; s++)
        any |= x->systems[s].parts[m] != NULL;
    if (!any)
        return 0;
    x->values[m] = arena_alloc_array(&x->cli->arena, x->system_count, sizeof **x->values);
    x->gaps[m] = arena_alloc_array(&x->cli->arena, x->system_count, sizeof **x->gaps);
    if (!x->values[m] || !x->gaps[m])
        return err_set(e, ERR_NO_MEMORY, "no memory for figures");
    return eval_bootstrap(x->systems, x->system_count, m, x->task.count, x->base, x->in->seed,
                          x->values[m], x->gaps[m], e);
}

static int measure_all(struct evaluating *x, struct err *e)
{
    int rc = eval_systems(&x->run, (uint32_t)x->in->top, &x->cli->arena, &x->systems,
                          &x->system_count, e);
    x->base = (uint32_t)x->in->top < x->run.experts ? (uint32_t)x->in->top : x->run.experts;
    if (!x->run.dense[0] && !x->run.dense[1])
        x->base = 0;
    for (int m = 0; !rc && m < EVAL_MEASURES; m++)
        rc = measure(x, m, e);
    return rc;
}

/* --- groups: the paper's claim ---------------------------------------------------------------- */

struct group {
    const char *name;
    uint32_t items;
    struct eval_part mixture, base;
};

/* Subjects in the order in which they are met; by accuracy where the task has one, else by loss. */
static uint32_t find_groups(const struct evaluating *x, struct group **out)
{
    const int m = x->values[EVAL_RAW] ? EVAL_RAW : EVAL_PERPLEXITY;
    uint32_t count = 0;
    struct group *list = calloc(x->task.count, sizeof *list);
    for (uint32_t i = 0; list && i < x->task.count; i++) {
        const char *name = x->task.items[i].group;
        uint32_t g = 0;
        if (!name)
            continue;
        while (g < count && strcmp(list[g].name, name) != 0)
            g++;
        count += g == count;
        list[g].name = name;
        list[g].items++;
        list[g].mixture.above += x->systems[0].parts[m][i].above;
        list[g].mixture.below += x->systems[0].parts[m][i].below;
        list[g].base.above += x->systems[x->base].parts[m][i].above;
        list[g].base.below += x->systems[x->base].parts[m][i].below;
    }
    *out = list;
    return count;
}

/* Above 0: the mixture is better. Accuracies are the higher the better, losses the lower. */
static double ahead(const struct evaluating *x, const struct group *g)
{
    const double gap = g->mixture.above / g->mixture.below - g->base.above / g->base.below;
    return x->values[EVAL_RAW] ? gap : -gap;
}

static const char *group_figure(struct evaluating *x, const struct eval_part *p)
{
    struct arena *a = &x->cli->arena;
    return x->values[EVAL_RAW] ? format_percent(a, p->above / p->below)
                               : format_number(a, exp(p->above / p->below), 3);
}

static void print_groups(struct evaluating *x)
{
    static const char *const titles[] = {"group", ">items", ">mixture", ">dense", "", NULL};
    struct arena *a = &x->cli->arena;
    struct group *list;
    struct table t;
    uint32_t count = find_groups(x, &list), better = 0, equal = 0;
    table_init(&t, a, titles);
    for (uint32_t g = 0; g < count; g++) {
        const double gap = ahead(x, &list[g]);
        better += gap > 0;
        equal += gap == 0;
        const char *cells[] = {format_plain(a, list[g].name), format_count(a, list[g].items),
                               group_figure(x, &list[g].mixture), group_figure(x, &list[g].base),
                               gap > 0   ? "mixture"
                               : gap < 0 ? "dense"
                                         : "equal"};
        table_row(&t, cells);
    }
    if (count > 1 && x->base > 0) {
        printf("\n");
        table_print(&t, stdout, x->cli->color);
        printf("\nThe mixture is better on %u of %u groups, equal on %u (%.0f %% better or equal)."
               "\n",
               better, count, equal, 100.0 * (better + equal) / count);
    }
    free(list);
}

/* --- the table -------------------------------------------------------------------------------- */

static const char *value_words(struct arena *a, enum eval_measure m, const struct eval_figure *f)
{
    if (isnan(f->value))
        return NULL;
    if (m == EVAL_RAW || m == EVAL_BY_LENGTH)
        return arena_printf(a, "%.1f %% (%.1f–%.1f)", 100 * f->value, 100 * f->low, 100 * f->high);
    const int digits = m == EVAL_BITS ? 4 : 3;
    return arena_printf(a, "%.*f (%.*f–%.*f)", digits, f->value, digits, f->low, digits, f->high);
}

/* Points of percent for accuracies, percent for the others; * where zero is not within. */
static const char *gap_words(struct arena *a, const struct eval_figure *f)
{
    if (isnan(f->value))
        return NULL;
    return arena_printf(a, "%+.1f (%+.1f–%+.1f)%s", 100 * f->value, 100 * f->low, 100 * f->high,
                        f->low > 0 || f->high < 0 ? " *" : "");
}

/* The measures first…last, each with its distance to the dense model. */
static void print_table(struct evaluating *x, int first, int last)
{
    static const char *const columns[EVAL_MEASURES] = {">accuracy", ">by length", ">perplexity",
                                                       ">bits/byte"};
    const char *titles[2 * EVAL_MEASURES + 2] = {"model"};
    struct arena *a = &x->cli->arena;
    struct table t;
    int n = 1;
    for (int m = first; m <= last; m++) {
        if (!x->values[m])
            continue;
        titles[n++] = columns[m];
        if (x->base > 0 && m != EVAL_BITS)
            titles[n++] = ">to dense";
    }
    if (n == 1)
        return;
    table_init(&t, a, titles);
    for (uint32_t s = 0; s < x->system_count; s++) {
        const char *cells[2 * EVAL_MEASURES + 2] = {x->systems[s].name};
        n = 1;
        for (int m = first; m <= last; m++) {
            if (!x->values[m])
                continue;
            cells[n++] = value_words(a, m, &x->values[m][s]);
            if (x->base > 0 && m != EVAL_BITS)
                cells[n++] = s == x->base ? "" : gap_words(a, &x->gaps[m][s]);
        }
        table_row(&t, cells);
    }
    table_print(&t, stdout, x->cli->color);
    printf("\n");
}

static void print_all(struct evaluating *x)
{
    static const char *const kind_words[] = {"multiple choice", "cloze (all tokens likeliest)",
                                             "texts"};
    uint32_t kinds[3] = {0};
    for (uint32_t i = 0; i < x->task.count; i++)
        kinds[x->task.items[i].kind]++;
    printf("%s on %s: %s items", x->mixture.run.name, x->file,
           format_count(&x->cli->arena, x->task.count));
    for (int k = 0; k < 3; k++)
        if (kinds[k])
            printf(", %u %s", kinds[k], kind_words[k]);
    printf("; routed on the first %u tokens\n\n", x->mixture.spec.router.prefix);
    print_table(x, EVAL_RAW, EVAL_BY_LENGTH);
    print_table(x, EVAL_PERPLEXITY, EVAL_BITS);
    if (x->base > 0)
        printf("In brackets: 95 %% intervals, %d resamples of the items. To %s: points of "
               "accuracy, percent of perplexity; *: zero is not within.\n",
               EVAL_RESAMPLES, x->systems[x->base].name);
    else
        printf("In brackets: 95 %% intervals, %d resamples of the items.\n", EVAL_RESAMPLES);
    print_groups(x);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static json_t *figure_json(const struct eval_figure *f)
{
    if (isnan(f->value))
        return json_null();
    return json_pack("{s:f,s:f,s:f}", "value", f->value, "low", f->low, "high", f->high);
}

static json_t *system_json(const struct evaluating *x, uint32_t s)
{
    json_t *out = json_pack("{s:s}", "name", x->systems[s].name);
    for (int m = 0; m < EVAL_MEASURES; m++)
        if (x->values[m]) {
            json_t *f = figure_json(&x->values[m][s]);
            if (x->base > 0 && json_is_object(f))
                json_object_set_new(f, "against_dense", figure_json(&x->gaps[m][s]));
            json_object_set_new(out, measure_words[m], f);
        }
    return out;
}

static int print_json(struct evaluating *x, struct err *e)
{
    struct group *list;
    const uint32_t count = find_groups(x, &list);
    json_t *systems = json_array(), *groups = json_array();
    for (uint32_t s = 0; s < x->system_count; s++)
        json_array_append_new(systems, system_json(x, s));
    for (uint32_t g = 0; g < count; g++)
        json_array_append_new(groups, json_pack("{s:s,s:I,s:f,s:f,s:b}", "group", list[g].name,
                                                "items", (json_int_t)list[g].items, "mixture",
                                                list[g].mixture.above / list[g].mixture.below,
                                                "dense", list[g].base.above / list[g].base.below,
                                                "mixture_not_worse", ahead(x, &list[g]) >= 0));
    free(list);
    json_t *root = json_pack("{s:s,s:s,s:I,s:I,s:I,s:o,s:o}", "run", x->mixture.run.name, "task",
                             x->file, "items", (json_int_t)x->task.count, "prefix",
                             (json_int_t)x->mixture.spec.router.prefix, "seed",
                             (json_int_t)x->in->seed, "systems", systems, "groups", groups);
    const int rc = root ? json_dumpf(root, stdout, JSON_COMPACT) : -1;
    json_decref(root);
    putchar('\n');
    return rc ? err_set(e, ERR_IO, "cannot write the figures as JSON") : 0;
}

int cmd_eval(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"limit", EVAL_LIMIT, "N", 0, "The first N items alone", 1},
        {"experts", EVAL_EXPERTS, "K", 0,
         "Mixtures of the 2 to K best experts, too, by the routers' posterior (1)", 1},
        {"seed", EVAL_SEED, "N", 0, "Of the intervals' resamples (1)", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "RUN|DIR FILE",
        .doc = "Judges a run, or a folder of `tacit export` (a name with a slash), on a task: the "
               "mixture, dense models and every single expert side by side, on this machine. "
               "Answers are judged by their likelihood after the prompt, and by that per byte; the "
               "expert is chosen by the prompt's first tokens, as in an answer.\n"
               "FILE has a JSON object a line: {\"prompt\", \"choices\", \"answer\"}, {\"prompt\", "
               "\"target\"} (cloze), {\"text\"} (perplexity), each with a \"group\" if one likes; "
               "or is one of ARC, HellaSwag, SciQ or MMLU as published.\v"
               "Examples:\n  tacit eval my-run arc-easy.jsonl\n"
               "  tacit eval ./out heldout.jsonl --experts 3 --limit 500\n"
               "  tacit eval my-run mmlu.csv --json | jq '.systems[0].accuracy.value'",
        .args_min = 2,
        .args_max = 2,
        .json = true,
        .set = set_eval,
    };
    struct eval_input in = {.top = 1, .seed = 1};
    struct evaluating x = {.cli = cli, .in = &in};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    x.file = cli->args[1];
    int rc = eval_task_read(&x.task, x.file, in.limit, &e);
    if (!rc)
        rc = mixture_open(&x.mixture, cli, cli->args[0], &e);
    if (!rc)
        rc = eval_run_all(&x.run, &x.mixture, &x.task, &e);
    if (!rc)
        rc = measure_all(&x, &e);
    if (!rc && cli->json)
        rc = print_json(&x, &e);
    else if (!rc)
        print_all(&x);
    eval_run_free(&x.run);
    eval_task_free(&x.task);
    mixture_close(&x.mixture);
    return rc ? cli_fail(cli, &e) : 0;
}
