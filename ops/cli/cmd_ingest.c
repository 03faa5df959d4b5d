/* tacit ingest: from text to a data set that runs can name. */
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"
#include "core/data/ingest.h"
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"
#include "ops/cli/command.h"
#include "ops/cli/folder.h"
#include "ops/cli/format.h"
#include "ops/cli/progress.h"
#include "ops/cli/upload.h"

#define VOCAB_DEFAULT 4096
#define SEQ_DEFAULT 128
#define HOLDOUT_DEFAULT 0.05
#define DOCUMENT_MIB_DEFAULT 16
/* Of many labels, the first so many are named. */
#define LABELS_SHOWN 16

enum {
    INGEST_VOCAB = OPTION_FIRST,
    INGEST_SEQ,
    INGEST_TOKENIZER,
    INGEST_HOLDOUT,
    INGEST_FIELD_TEXT,
    INGEST_FIELD_SOURCE,
    INGEST_THREADS,
    INGEST_WORK,
    INGEST_MAX
};

struct ingest_input {
    uint64_t vocab, seq, threads, max_mib;
    double holdout;
    const char *tokenizer, *field_text, *field_source, *work;
};

static int set_ingest(void *input, int key, const char *arg, struct err *e)
{
    struct ingest_input *in = input;
    switch (key) {
    case INGEST_VOCAB:
        return cli_u64("--vocab", arg, 2, 1u << 20, &in->vocab, e);
    case INGEST_SEQ:
        return cli_u64("--seq", arg, 2, 1u << 16, &in->seq, e);
    case INGEST_HOLDOUT:
        return cli_double("--holdout", arg, 0, 0.99, &in->holdout, e);
    case INGEST_THREADS:
        return cli_u64("--threads", arg, 1, 1024, &in->threads, e);
    case INGEST_MAX:
        return cli_u64("--document-max", arg, 1, 1024, &in->max_mib, e);
    case INGEST_TOKENIZER:
        in->tokenizer = arg;
        return 0;
    case INGEST_FIELD_TEXT:
        in->field_text = arg;
        return 0;
    case INGEST_FIELD_SOURCE:
        in->field_source = arg;
        return 0;
    default:
        in->work = arg;
        return 0;
    }
}

/* --- before minutes of work ------------------------------------------------------------------- */

/* The coordinator answers, and the name is free. */
static int check_name(struct cli *cli, const char *name, struct err *e)
{
    struct msg_dataset d;
    if (!text_is_name(name))
        return err_set(e, ERR_INVALID,
                       "'%s' is no name for a data set: up to 64 letters, digits, '.', '_', '-', "
                       "not starting with '.' or '-'",
                       name);
    int rc = client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", name, ""), NULL, NULL,
                         &message_dataset, &d, &cli->arena, 0, e);
    if (rc == ERR_NOT_FOUND)
        return 0;
    return rc ? rc
              : err_set(e, ERR_EXISTS,
                        "a data set '%s' exists already: choose another name (`tacit datasets` "
                        "lists them)",
                        name);
}

/* --- publishing ------------------------------------------------------------------------------- */

struct publish {
    struct cli *cli;
    struct msg_dataset dataset;
    bool sent; /* an earlier attempt may have come through unanswered */
};

static int publish_once(void *arg, struct err *e)
{
    struct publish *p = arg;
    struct msg_dataset out;
    struct cli *cli = p->cli;
    int rc = client_call(cli->client, "POST", "/v1/datasets", &message_dataset, &p->dataset,
                         &message_dataset, &out, &cli->arena, 0, e);
    if (rc != ERR_EXISTS || !p->sent) {
        p->sent = true;
        return rc;
    }
    int seen = client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", p->dataset.name, ""),
                           NULL, NULL, &message_dataset, &out, &cli->arena, 0, e);
    if (seen)
        return seen;
    bool ours = digest_equal(&out.tokenizer, &p->dataset.tokenizer) &&
                out.train_sequences == p->dataset.train_sequences &&
                out.heldout_sequences == p->dataset.heldout_sequences;
    return ours ? 0
                : err_set(e, ERR_EXISTS, "another data set '%s' was made meanwhile",
                          p->dataset.name);
}

static int fill_shards(struct cli *cli, const struct ingest_result *r, int split,
                       struct msg_shard **out, uint32_t *count, struct err *e)
{
    *count = r->shard_count[split];
    *out = arena_alloc_array(&cli->arena, *count + 1, sizeof **out);
    if (!*out)
        return err_set(e, ERR_NO_MEMORY, "no memory for %u shards", *count);
    for (uint32_t i = 0; i < *count; i++) {
        const struct ingest_shard *x = &r->shards[split][i];
        (*out)[i] = (struct msg_shard){x->digest, x->bytes, x->sequences};
    }
    return 0;
}

static uint64_t skipped(const struct ingest_result *r)
{
    return r->skipped_empty + r->skipped_utf8 + r->skipped_long + r->skipped_json;
}

static int publish(struct upload *u, const char *name, uint32_t vocab, uint32_t seq,
                   const struct ingest_result *r, struct err *e)
{
    struct cli *cli = u->cli;
    struct publish p = {.cli = cli,
                        .dataset = {.name = name,
                                    .vocab = vocab,
                                    .seq = seq,
                                    .tokenizer = r->tokenizer,
                                    .tokenizer_bytes = r->tokenizer_bytes,
                                    .train_sequences = r->sequences[INGEST_TRAIN],
                                    .heldout_sequences = r->sequences[INGEST_HELDOUT],
                                    .train_text_bytes = r->text_bytes[INGEST_TRAIN],
                                    .heldout_text_bytes = r->text_bytes[INGEST_HELDOUT],
                                    .documents = r->documents[0] + r->documents[1],
                                    .skipped = skipped(r)}};
    struct msg_dataset *d = &p.dataset;
    int rc = fill_shards(cli, r, INGEST_TRAIN, &d->train, &d->train_count, e);
    if (!rc)
        rc = fill_shards(cli, r, INGEST_HELDOUT, &d->heldout, &d->heldout_count, e);
    if (rc)
        return rc;
    d->label_count = r->label_count;
    d->labels = arena_alloc_array(&cli->arena, r->label_count + 1, sizeof *d->labels);
    if (!d->labels)
        return err_set(e, ERR_NO_MEMORY, "no memory for labels");
    for (uint32_t i = 0; i < r->label_count; i++)
        d->labels[i].name = r->labels[i];
    return upload_persist(u, publish_once, &p, e);
}

/* --- what came of it -------------------------------------------------------------------------- */

static void print_skipped(struct arena *a, const struct ingest_result *r)
{
    const struct {
        uint64_t count;
        const char *why;
    } reasons[] = {{r->skipped_empty, "empty"},
                   {r->skipped_utf8, "not valid UTF-8"},
                   {r->skipped_long, "too long (--document-max)"},
                   {r->skipped_json, "lines that are no JSON with the text field"}};
    printf("skipped    %s", format_count(a, skipped(r)));
    const char *between = ": ";
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].count) {
            printf("%s%s %s", between, format_count(a, reasons[i].count), reasons[i].why);
            between = ", ";
        }
    putchar('\n');
}

static void print_split(struct arena *a, const char *name, const struct ingest_result *r, int split)
{
    printf("%-10s %s documents, %s sequences, %s tokens, %s of text\n", name,
           format_count(a, r->documents[split]), format_count(a, r->sequences[split]),
           format_count(a, r->tokens[split]), format_bytes(a, (double)r->text_bytes[split]));
}

static void print_result(struct cli *cli, const char *name, const struct ingest_result *r,
                         uint32_t vocab, uint32_t seq, double seconds, uint64_t moved)
{
    struct arena *a = &cli->arena;
    uint64_t tokens = r->tokens[0] + r->tokens[1], bytes = r->text_bytes[0] + r->text_bytes[1];
    printf("data set %s: vocabulary %s, %u tokens a sequence, made in %s, %s uploaded\n", name,
           format_count(a, vocab), seq, format_duration(a, seconds),
           format_bytes(a, (double)moved));
    print_split(a, "train", r, INGEST_TRAIN);
    print_split(a, "held out", r, INGEST_HELDOUT);
    print_skipped(a, r);
    printf("a token    %s bytes of text on average\n",
           format_number(a, tokens ? (double)bytes / (double)tokens : 0, 2));
    printf("labels     %u:", r->label_count);
    for (uint32_t i = 0; i < r->label_count && i < LABELS_SHOWN; i++)
        printf("%s %s", i ? "," : "", r->labels[i]);
    printf(r->label_count > LABELS_SHOWN ? ", …\n" : "\n");
}

/* --- the command ------------------------------------------------------------------------------ */

static int on_progress(void *arg, const char *phase, uint64_t done, uint64_t total,
                       const char *unit)
{
    progress_update(arg, phase, done, total, unit);
    return env_stop_requested();
}

/* In a working folder that is there. */
static int ingest_in(struct cli *cli, const struct ingest_input *in, const char *work,
                     struct err *e)
{
    struct progress progress;
    struct ingest_result r = {0};
    const char *name = cli->args[0];
    double began = env_monotonic_s();
    progress_init(&progress);
    struct upload u = {.cli = cli, .progress = &progress};
    struct ingest_options o = {
        .inputs = (const char *const *)cli->args + 1,
        .input_count = (uint32_t)cli->arg_count - 1,
        .vocab = (uint32_t)in->vocab,
        .seq = (uint32_t)in->seq,
        .tokenizer_path = in->tokenizer,
        .holdout = in->holdout,
        .field_text = in->field_text,
        .field_source = in->field_source,
        .document_bytes_max = in->max_mib << 20,
        .threads = (int)in->threads,
        .work_dir = work,
        .shards_max = PROTOCOL_SHARDS_MAX,
        .progress = on_progress,
        .progress_arg = &progress,
    };
    int rc = ingest_run(&o, &r, e);
    if (!rc)
        rc = upload_ingest(&u, &r, e);
    if (!rc)
        rc = publish(&u, name, o.vocab, o.seq, &r, e);
    progress_finish(&progress);
    if (!rc)
        print_result(cli, name, &r, o.vocab, o.seq, env_monotonic_s() - began, u.moved);
    ingest_result_free(&r);
    return rc;
}

static int ingest(struct cli *cli, const struct ingest_input *in, struct err *e)
{
    struct folder_work work;
    int rc = cli_connect(cli, e);
    if (!rc)
        rc = check_name(cli, cli->args[0], e);
    if (!rc)
        rc = folder_work_make(&work, &cli->arena, in->work, e);
    if (rc)
        return rc;
    rc = ingest_in(cli, in, work.path, e);
    struct err cleaning = {0};
    if (folder_work_remove(&work, &cleaning))
        fprintf(stderr, "%s: %s is left behind: %s\n", cli->command, work.path, cleaning.message);
    if (rc == ERR_STOPPED)
        err_set(e, ERR_STOPPED,
                "stopped; no data set '%s' was made. The same command makes it, and sends only "
                "what the coordinator does not have yet",
                cli->args[0]);
    return rc;
}

int cmd_ingest(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"vocab", INGEST_VOCAB, "V", 0, "Pieces of the tokenizer's vocabulary (4096)", 1},
        {"seq", INGEST_SEQ, "S", 0, "Tokens a sequence (128)", 1},
        {"tokenizer", INGEST_TOKENIZER, "FILE", 0,
         "A SentencePiece .model with V pieces instead of training one", 1},
        {"holdout", INGEST_HOLDOUT, "SHARE", 0, "Share of documents held out for comparing (0.05)",
         1},
        {"field-text", INGEST_FIELD_TEXT, "NAME", 0, "JSONL: the field that holds the text (text)",
         2},
        {"field-source", INGEST_FIELD_SOURCE, "NAME", 0,
         "JSONL: the field that reports sort by (source)", 2},
        {"document-max", INGEST_MAX, "MIB", 0, "Skip documents longer than this (16)", 2},
        {"threads", INGEST_THREADS, "N", 0, "Tokenize on so many (all processors)", 3},
        {"work", INGEST_WORK, "DIR", 0, "Keep temporary files below it ($TMPDIR, or /tmp)", 3},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .args = "NAME FILE|DIR|-...",
        .doc = "Makes a data set from text: trains a tokenizer, cuts documents into sequences, "
               "uploads them. Reads JSONL and plain text, in folders, .gz, .xz, .zst and .tar; "
               "\"-\" is standard input. Same input, same data set. An interrupted one leaves "
               "nothing behind and can be run again.\v"
               "Examples:\n  tacit ingest books shelf/ --vocab 4096 --seq 128\n"
               "  tacit ingest web crawl-1.jsonl.zst crawl-2.jsonl.zst --holdout 0.02\n"
               "  zcat dump.gz | tacit ingest dump - --field-text body",
        .args_min = 2,
        .args_max = -1,
        .set = set_ingest,
    };
    struct ingest_input in = {.vocab = VOCAB_DEFAULT,
                              .seq = SEQ_DEFAULT,
                              .holdout = HOLDOUT_DEFAULT,
                              .max_mib = DOCUMENT_MIB_DEFAULT};
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    return ingest(cli, &in, &e) ? cli_fail(cli, &e) : 0;
}
