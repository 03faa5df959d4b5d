#include "core/data/ingest.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/data/ingest_parts.h"
#include "core/data/ingest_write.h"
#include "core/env/clock.h"
#include "core/env/process.h"

#define DOCUMENT_BYTES_MAX (16u << 20)
#define TOKENIZER_BYTES_MAX (64u << 20)
#define SEQ_MAX (1u << 20)
#define PROGRESS_MS 250
/* Lines of a JSONL file that may be bad before most of it being bad is taken for a mistake. */
#define BAD_LINES_MIN 10
/* An estimate above the limit by as much is beyond doubt. */
#define TOO_LONG 1.25

struct ingest {
    const struct ingest_options *o;
    struct ingest_result *r;
    struct document_rules rules;
    struct pool *pool;
    struct batch batch;
    struct sample sample;
    struct tokenizer *tokenizer;
    struct pack packs[2];
    struct labels labels;
    char **paths; /* what is read: the input or, of a stream, its copy; owned */
    const char *phase, *unit;
    uint64_t done, total;
    int64_t shown_ms;
    uint64_t good, bad; /* lines of the JSONL file being read */
    uint64_t text;      /* bytes of the documents that were sampled from */
    uint32_t vocab;
    bool sampling;
    bool began; /* the working folder is ours to clean */
};

/* -- Progress ---------------------------------------------------------------------------------- */

static int show(struct ingest *g, bool always, struct err *e)
{
    int64_t now = env_monotonic_ms();
    if (!g->o->progress || (!always && now - g->shown_ms < PROGRESS_MS))
        return 0;
    g->shown_ms = now;
    if (g->o->progress(g->o->progress_arg, g->phase, g->done, g->total, g->unit))
        return err_set(e, ERR_STOPPED, "ingest was stopped");
    return 0;
}

static int begin_phase(struct ingest *g, const char *phase, uint64_t total, const char *unit,
                       struct err *e)
{
    g->phase = phase;
    g->unit = unit;
    g->total = total;
    g->done = 0;
    return show(g, true, e);
}

/* -- The limit on shards ------------------------------------------------------------------------
 */

static int too_many(const struct ingest *g, const char *what, double tokens, struct err *e)
{
    uint32_t each = shard_sequences(g->o->seq, g->vocab);
    char have[32], most[32];
    text_count((uint64_t)tokens, have);
    text_count(g->o->shards_max * each * g->o->seq, most);
    return err_set(e, ERR_TOO_LARGE,
                   "the text gives %s %s tokens, and a data set holds at most %s (%llu shards): "
                   "give less text",
                   what, have, most, (unsigned long long)g->o->shards_max);
}

/* Before hours of tokenizing, where the sample tells. */
static int check_sample(const struct ingest *g, struct err *e)
{
    double tokens, per_shard = (double)shard_sequences(g->o->seq, g->vocab) * g->o->seq;
    double most = (double)g->o->shards_max * per_shard;
    if (!g->o->shards_max || (double)g->text < most) /* a token is a byte at least */
        return 0;
    int rc = sample_estimate(&g->sample, g->tokenizer, g->text, &tokens, e);
    return !rc && tokens > TOO_LONG * most ? too_many(g, "about", tokens, e) : rc;
}

static int check_packs(const struct ingest *g, struct err *e)
{
    uint32_t each = shard_sequences(g->o->seq, g->vocab);
    uint64_t shards = 0, sequences = 0;
    for (int s = 0; s < 2; s++) {
        sequences += g->packs[s].sequences;
        shards += (g->packs[s].sequences + each - 1) / each;
    }
    return g->o->shards_max && shards > g->o->shards_max
               ? too_many(g, "more than", (double)sequences * g->o->seq, e)
               : 0;
}

/* -- Reading ----------------------------------------------------------------------------------- */

static int take_item(struct ingest *g, struct batch_item *it, struct err *e)
{
    switch (it->status) {
    case DOCUMENT_EMPTY:
        g->r->skipped_empty++;
        break;
    case DOCUMENT_UTF8:
        g->r->skipped_utf8++;
        break;
    case DOCUMENT_LONG:
        g->r->skipped_long++;
        break;
    case DOCUMENT_JSON:
        g->r->skipped_json++;
        break;
    case DOCUMENT_OK:
        break;
    }
    g->good += it->status != DOCUMENT_JSON;
    g->bad += it->status == DOCUMENT_JSON;
    if (it->status != DOCUMENT_OK)
        return 0;
    if (g->sampling) {
        g->text += it->text_bytes;
        return sample_add(&g->sample, &it->lines, e);
    }
    const struct reader_file *f = &g->batch.files[it->file];
    const char *file = it->json ? f->stem : f->place;
    const uint8_t labels[LABEL_LEVELS] = {
        [LABEL_SOURCE] =
            labels_number(&g->labels, LABEL_SOURCE, it->has_source ? it->source : file),
        [LABEL_FILE] = labels_number(&g->labels, LABEL_FILE, file),
        [LABEL_INPUT] = labels_number(&g->labels, LABEL_INPUT, f->input),
    };
    return pack_add(&g->packs[it->heldout], it->ids, it->id_count, it->text_bytes, labels, e);
}

static int run_batch(struct ingest *g, struct err *e)
{
    g->batch.threshold = g->sample.threshold;
    int rc = batch_run(&g->batch, e);
    for (uint32_t i = 0; i < g->batch.count && !rc; i++)
        rc = take_item(g, &g->batch.items[i], e);
    batch_clear(&g->batch);
    if (!rc && !g->sampling)
        rc = check_packs(g, e);
    return rc ? rc : show(g, false, e);
}

static int on_record(void *arg, const struct reader_file *f, const struct reader_record *record,
                     struct err *e)
{
    struct ingest *g = arg;
    if (batch_is_full(&g->batch, record->data ? record->len : 0)) {
        int rc = run_batch(g, e);
        if (rc)
            return rc;
    }
    return batch_add(&g->batch, record, f, e);
}

static int on_file_end(void *arg, const struct reader_file *f, struct err *e)
{
    struct ingest *g = arg;
    if (!f->json)
        return 0;
    int rc = run_batch(g, e);
    if (!rc && g->bad > g->good && g->bad >= BAD_LINES_MIN)
        rc = err_set(
            e, ERR_FORMAT,
            "%s: %llu of %llu lines are no JSON objects with a field \"%s\": check the file",
            f->name, (unsigned long long)g->bad, (unsigned long long)(g->bad + g->good),
            g->rules.field_text);
    g->good = g->bad = 0;
    return rc;
}

static int on_tick(void *arg, size_t bytes, struct err *e)
{
    struct ingest *g = arg;
    g->done += bytes;
    return show(g, false, e);
}

static const char *input_name(const struct ingest *g, uint32_t i)
{
    return strcmp(g->o->inputs[i], "-") ? g->o->inputs[i] : "standard input";
}

/* Bytes to be read, or 0 where a stream is among the inputs. */
static int measure(const struct ingest *g, uint64_t *total, struct err *e)
{
    uint64_t sum = 0;
    *total = 0;
    for (uint32_t i = 0; i < g->o->input_count; i++) {
        enum env_path_kind kind = ENV_PATH_STREAM;
        uint64_t bytes;
        int rc = strcmp(g->paths[i], "-") ? env_path_kind(g->paths[i], &kind, e) : 0;
        if (rc || kind == ENV_PATH_STREAM)
            return rc;
        rc = reader_total(g->paths[i], &bytes, e);
        if (rc)
            return rc;
        sum += bytes;
    }
    *total = sum;
    return 0;
}

/* One pass over all documents. */
static int read_all(struct ingest *g, const char *phase, struct err *e)
{
    const struct reader_sink sink = {
        .arg = g, .record = on_record, .file_end = on_file_end, .tick = on_tick};
    uint64_t total;
    struct ingest_result *r = g->r;
    g->batch.before = 0;
    int rc = measure(g, &total, e);
    if (!rc)
        rc = begin_phase(g, phase, total, "bytes", e);
    r->skipped_empty = r->skipped_utf8 = r->skipped_long = r->skipped_json = 0;
    for (uint32_t i = 0; i < g->o->input_count && !rc; i++)
        rc = reader_walk(g->paths[i], input_name(g, i), &g->rules, &sink, e);
    return rc ? rc : run_batch(g, e);
}

/* What can be read once alone is copied first where two passes are needed. */
static int spool(struct ingest *g, uint32_t i, struct err *e)
{
    struct env_reader in;
    struct env_file_new out;
    struct buf path;
    size_t n = 1;
    char *block = malloc(1u << 20);
    buf_init(&path, 1u << 16);
    int rc = block ? 0 : err_set(e, ERR_NO_MEMORY, "no memory to read %s", input_name(g, i));
    if (!rc)
        rc = buf_printf(&path, e, "%s/ingest-input-%u", g->o->work_dir, i);
    if (!rc)
        rc = env_reader_open(&in, g->o->inputs[i], e);
    if (rc)
        goto done;
    rc = env_file_new_open(&out, path.data, 0600, e);
    while (!rc && n) {
        rc = env_reader_next(&in, block, 1u << 20, &n, e);
        if (!rc && n)
            rc = env_file_new_write(&out, block, n, e);
        if (!rc)
            rc = on_tick(g, n, e);
    }
    if (!rc)
        rc = env_file_new_commit(&out, e);
    env_file_new_abandon(&out);
    env_reader_close(&in);
    free(g->paths[i]);
    g->paths[i] = buf_take(&path);
    if (!rc && !g->paths[i])
        rc = err_set(e, ERR_NO_MEMORY, "no memory to read %s", input_name(g, i));
done:
    free(block);
    buf_free(&path);
    return rc;
}

static int spool_streams(struct ingest *g, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; i < g->o->input_count && !rc; i++) {
        enum env_path_kind kind = ENV_PATH_STREAM;
        if (strcmp(g->o->inputs[i], "-"))
            rc = env_path_kind(g->o->inputs[i], &kind, e);
        if (!rc && kind == ENV_PATH_STREAM) {
            rc = begin_phase(g, "sample", 0, "bytes", e);
            if (!rc)
                rc = spool(g, i, e);
        }
    }
    return rc;
}

static int no_documents(const struct ingest *g, struct err *e)
{
    const struct ingest_result *r = g->r;
    return err_set(
        e, ERR_INVALID,
        "no document in the input: %llu are empty, %llu not UTF-8, %llu longer than %llu "
        "bytes, %llu not JSON",
        (unsigned long long)r->skipped_empty, (unsigned long long)r->skipped_utf8,
        (unsigned long long)r->skipped_long, (unsigned long long)g->rules.bytes_max,
        (unsigned long long)r->skipped_json);
}

/* -- The tokenizer ----------------------------------------------------------------------------- */

struct training {
    const char *sample;
    uint32_t vocab;
    struct buf model;
    struct err err;
    int rc;
    bool done; /* with rc, err, model: guarded by lock until it is set */
    pthread_mutex_t lock;
};

static void *train_thread(void *arg)
{
    struct training *t = arg;
    int rc = tokenizer_train(t->sample, t->vocab, &t->model, &t->err);
    pthread_mutex_lock(&t->lock);
    t->rc = rc;
    t->done = true;
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

static bool training_done(struct training *t)
{
    pthread_mutex_lock(&t->lock);
    bool done = t->done;
    pthread_mutex_unlock(&t->lock);
    return done;
}

/* Trains in a thread of its own, so that progress is shown and a stop is noticed (though the
 * library's work cannot be cut short). */
static int train(struct ingest *g, const char *sample, struct buf *model, struct err *e)
{
    struct training t = {.sample = sample, .vocab = g->o->vocab};
    pthread_t thread;
    struct err stop = {0};
    int64_t began = env_monotonic_ms(), wait = 1;
    int rc = begin_phase(g, "tokenizer", 0, "ms", e);
    if (rc)
        return rc;
    buf_init(&t.model, TOKENIZER_BYTES_MAX);
    pthread_mutex_init(&t.lock, NULL);
    if (pthread_create(&thread, NULL, train_thread, &t))
        return err_set(e, ERR_NO_MEMORY, "cannot start a thread to train the tokenizer");
    while (!training_done(&t)) {
        env_sleep_ms(wait);
        wait = wait < 50 ? wait * 2 : 50;
        g->done = (uint64_t)(env_monotonic_ms() - began);
        if (!rc)
            rc = show(g, false, &stop);
    }
    pthread_join(thread, NULL);
    pthread_mutex_destroy(&t.lock);
    if (t.rc && !rc) {
        rc = t.rc;
        stop = t.err;
    }
    if (rc && e)
        *e = stop;
    *model = t.model;
    return rc;
}

static int learn_tokenizer(struct ingest *g, struct buf *model, struct err *e)
{
    char *sample = env_path_join(g->o->work_dir, "ingest-sample");
    if (!sample)
        return err_set(e, ERR_NO_MEMORY, "no memory for the tokenizer's sample");
    g->sampling = true;
    int rc = spool_streams(g, e);
    if (!rc)
        rc = read_all(g, "sample", e);
    if (!rc && !g->sample.lines)
        rc = no_documents(g, e);
    if (!rc)
        rc = sample_write(&g->sample, sample, e);
    if (!rc)
        rc = train(g, sample, model, e);
    if (!rc)
        rc = env_file_remove(sample, e);
    g->sampling = false;
    free(sample);
    return rc;
}

static int get_tokenizer(struct ingest *g, struct err *e)
{
    const char *given = g->o->tokenizer_path;
    struct buf model;
    buf_init(&model, TOKENIZER_BYTES_MAX);
    int rc = given ? env_file_read(given, TOKENIZER_BYTES_MAX, &model, e)
                   : learn_tokenizer(g, &model, e);
    if (!rc) {
        rc = tokenizer_open(&g->tokenizer, model.data, model.len, e);
        if (rc && given)
            err_prefix(e, "%s", given);
    }
    if (!rc) {
        g->vocab = tokenizer_vocab(g->tokenizer);
        if (g->o->vocab && g->o->vocab != g->vocab)
            rc = err_set(e, ERR_INVALID,
                         "the tokenizer %s has %u pieces, not %u: ask for a vocabulary of %u",
                         given ? given : "", g->vocab, g->o->vocab, g->vocab);
    }
    if (!rc) {
        g->r->tokenizer_path = env_path_join(g->o->work_dir, "ingest-tokenizer.model");
        g->r->tokenizer_bytes = model.len;
        digest_of(model.data, model.len, &g->r->tokenizer);
        rc = g->r->tokenizer_path
                 ? env_file_write_atomic(g->r->tokenizer_path, model.data, model.len, 0600, e)
                 : err_set(e, ERR_NO_MEMORY, "no memory for the tokenizer's name");
    }
    if (!rc && !given)
        rc = check_sample(g, e);
    sample_free(&g->sample);
    buf_free(&model);
    return rc;
}

/* -- Tokens, shards ---------------------------------------------------------------------------- */

static int pack_all(struct ingest *g, struct err *e)
{
    static const char *const names[2] = {"ingest-train.pack", "ingest-heldout.pack"};
    int rc = 0;
    for (int s = 0; s < 2 && !rc; s++) {
        char *path = env_path_join(g->o->work_dir, names[s]);
        rc = path ? pack_init(&g->packs[s], path, g->tokenizer, g->vocab, g->o->seq, e)
                  : err_set(e, ERR_NO_MEMORY, "no memory for a file's name");
        free(path);
    }
    g->batch.tokenizer = g->tokenizer;
    if (!rc)
        rc = read_all(g, "tokens", e);
    for (int s = 0; s < 2 && !rc; s++)
        rc = pack_finish(&g->packs[s], e);
    if (rc)
        return rc;
    if (!g->packs[0].documents && !g->packs[1].documents)
        return no_documents(g, e);
    for (int s = 0; s < 2; s++) {
        const struct pack *p = &g->packs[s];
        bool needed = s == INGEST_TRAIN || g->rules.holdout > 0;
        if (needed && !p->sequences)
            return err_set(e, ERR_INVALID,
                           "the text %s has %llu tokens, less than one sequence of %u: give more "
                           "text%s",
                           s == INGEST_TRAIN ? "to train on" : "held out",
                           (unsigned long long)p->total_tokens, g->o->seq,
                           s == INGEST_TRAIN ? "" : ", or hold out a larger share");
    }
    return 0;
}

static int set_labels(struct ingest *g, enum label_level level, struct err *e)
{
    struct ingest_result *r = g->r;
    const struct label_table *t = level < LABEL_LEVELS ? &g->labels.level[level] : NULL;
    r->label_count = t ? t->count : 1;
    for (uint32_t i = 0; i < r->label_count; i++) {
        r->labels[i] = strdup(t ? t->names[i] : "all");
        if (!r->labels[i])
            return err_set(e, ERR_NO_MEMORY, "no memory for labels");
    }
    return 0;
}

struct writing_tick {
    struct ingest *g;
    uint64_t before; /* sequences of the splits that are done */
};

static int on_written(void *arg, uint64_t sequences, struct err *e)
{
    struct writing_tick *t = arg;
    t->g->done = t->before + sequences;
    return show(t->g, false, e);
}

static int write_all(struct ingest *g, struct err *e)
{
    struct ingest_result *r = g->r;
    enum label_level level = labels_choose(&g->labels);
    struct writing_tick tick = {.g = g};
    int rc = set_labels(g, level, e);
    if (!rc)
        rc =
            begin_phase(g, "shards", g->packs[0].sequences + g->packs[1].sequences, "sequences", e);
    for (int s = 0; s < 2 && !rc; s++) {
        struct pack *p = &g->packs[s];
        const struct shard_writing w = {
            .shape = {.seq = g->o->seq,
                      .vocab = g->vocab,
                      .labels = r->label_count,
                      .tokenizer = r->tokenizer},
            .folder = g->o->work_dir,
            .split = (enum ingest_split)s,
            .level = level,
            .tick = on_written,
            .arg = &tick,
        };
        rc = ingest_write_shards(&w, p, &r->shards[s], &r->shard_count[s], e);
        tick.before += p->sequences;
        r->sequences[s] = p->sequences;
        r->tokens[s] = p->total_tokens;
        r->text_bytes[s] = p->text_bytes;
        r->documents[s] = p->documents;
    }
    return rc ? rc : show(g, true, e);
}

/* -- All of it --------------------------------------------------------------------------------- */

static int check_options(const struct ingest_options *o, struct err *e)
{
    if (!o->input_count)
        return err_set(e, ERR_INVALID,
                       "nothing to ingest: name files, folders, or - for standard "
                       "input");
    if (o->seq < 2 || o->seq > SEQ_MAX)
        return err_set(e, ERR_RANGE, "sequences of %u tokens: give 2 to %u", o->seq, SEQ_MAX);
    if (!(o->holdout >= 0 && o->holdout < 1))
        return err_set(e, ERR_RANGE, "a hold-out share of %g: give at least 0 and less than 1",
                       o->holdout);
    uint32_t stdins = 0;
    for (uint32_t i = 0; i < o->input_count; i++)
        stdins += !strcmp(o->inputs[i], "-");
    if (stdins > 1)
        return err_set(e, ERR_INVALID, "standard input (-) is named twice");
    return 0;
}

/* Files of ours in the working folder: of an ingest that was killed, or all of them. */
static int clean(const char *folder, struct err *e)
{
    char **names;
    size_t count;
    int rc = env_dir_list(folder, &names, &count, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < count && !rc; i++) {
        if (strncmp(names[i], "ingest-", 7))
            continue;
        char *path = env_path_join(folder, names[i]);
        rc = path ? env_file_remove(path, e) : err_set(e, ERR_NO_MEMORY, "no memory to clean up");
        free(path);
    }
    env_dir_list_free(names, count);
    return rc;
}

static int prepare(struct ingest *g, struct err *e)
{
    const struct ingest_options *o = g->o;
    int rc = check_options(o, e);
    if (!rc)
        rc = env_dir_make(o->work_dir, e);
    if (!rc)
        rc = clean(o->work_dir, e);
    if (rc)
        return rc;
    g->began = true;
    g->rules = (struct document_rules){
        .field_text = o->field_text ? o->field_text : "text",
        .field_source = o->field_source ? o->field_source : "source",
        .bytes_max = o->document_bytes_max ? o->document_bytes_max : DOCUMENT_BYTES_MAX,
        .holdout = o->holdout,
    };
    sample_init(&g->sample, o->vocab);
    g->paths = calloc(o->input_count, sizeof *g->paths);
    for (uint32_t i = 0; g->paths && i < o->input_count; i++)
        if (!(g->paths[i] = strdup(o->inputs[i])))
            return err_set(e, ERR_NO_MEMORY, "no memory for the names of inputs");
    if (!g->paths)
        return err_set(e, ERR_NO_MEMORY, "no memory for the names of inputs");
    g->pool = pool_create(o->threads > 0 ? o->threads : env_cpu_count(), e);
    if (!g->pool)
        return e && e->code ? e->code : ERR_NO_MEMORY;
    return batch_init(&g->batch, g->pool, &g->rules, e);
}

static void finish(struct ingest *g)
{
    for (int s = 0; s < 2; s++)
        pack_free(&g->packs[s]);
    for (uint32_t i = 0; g->paths && i < g->o->input_count; i++)
        free(g->paths[i]);
    free(g->paths);
    sample_free(&g->sample);
    batch_free(&g->batch);
    tokenizer_close(g->tokenizer);
    pool_destroy(g->pool);
}

int ingest_run(const struct ingest_options *o, struct ingest_result *r, struct err *e)
{
    memset(r, 0, sizeof *r);
    struct ingest *g = calloc(1, sizeof *g);
    if (!g)
        return err_set(e, ERR_NO_MEMORY, "no memory to ingest");
    g->o = o;
    g->r = r;
    int rc = prepare(g, e);
    if (!rc)
        rc = get_tokenizer(g, e);
    if (!rc)
        rc = pack_all(g, e);
    if (!rc)
        rc = write_all(g, e);
    finish(g);
    if (rc) {
        ingest_result_free(r);
        /* A failure here matters less than rc, and the next ingest cleans up too. */
        if (g->began && clean(o->work_dir, NULL)) {
        }
    }
    free(g);
    return rc;
}

void ingest_result_free(struct ingest_result *r)
{
    free(r->tokenizer_path);
    for (int s = 0; s < 2; s++) {
        for (uint32_t i = 0; r->shards[s] && i < r->shard_count[s]; i++)
            free(r->shards[s][i].path);
        free(r->shards[s]);
    }
    for (uint32_t i = 0; i < r->label_count; i++)
        free(r->labels[i]);
    memset(r, 0, sizeof *r);
}
