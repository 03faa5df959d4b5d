#include "tests/sim/operator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/client/client.h"
#include "core/data/shard.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/protocol/messages.h"
#include "tests/sim/ledger.h"
#include "tests/sim/net.h"

#define OPERATOR_URL "http://coordinator:8420"
#define AGAIN_MS 2000
#define LOOK_MS 7000
#define TEXT_BYTES 40
#define RETRIES_MAX 100
#define LABELS 2

struct operator_spec {
    uint32_t seq, train, heldout; /* of the data set */
    const char *text;
};

/* Small, and between them every kind of job and every way in which they hang together. */
static const struct operator_spec specs[OPERATOR_SPECS] = {
    {16, 160, 24,
     "[run]\nname = sim\ndataset = corpus\nexperts = 2\nseed = 1\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 2\nsequences = 40\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nbatch = 4\nsteps = 24\nlearning_rate = 1e-2\n"
     "warmup = 2\n[dense]\nmatch = tokens\n"
     "[checkpoint]\nevery_steps = 4\npublish_steps = 8\n"},
    {16, 200, 24,
     "[run]\nname = sim\ndataset = corpus\nexperts = 3\nseed = 2\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 3\nsequences = 48\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 4\nsteps = 20\nlearning_rate = 1e-2\n"
     "warmup = 2\n[dense]\nmatch = both\n"
     "[checkpoint]\nevery_steps = 3\npublish_steps = 10\n"},
    {16, 160, 24,
     "[run]\nname = sim\ndataset = corpus\nexperts = 2\nseed = 3\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 8\nrounds = 1\nsequences = 40\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nbatch = 4\nsteps = 40\nlearning_rate = 1e-2\n"
     "warmup = 2\nchunk = 60\n[dense]\nmatch = tokens\n"
     "[checkpoint]\nevery_steps = 5\npublish_steps = 10\n[eval]\nevery_steps = 20\n"},
    {16, 120, 24,
     "[run]\nname = sim\ndataset = corpus\nexperts = 2\nseed = 4\n"
     "[router]\nmode = random\nprefix = 4\n"
     "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 2\nsteps = 30\nlearning_rate = 1e-2\n"
     "warmup = 2\n[dense]\nenabled = no\n"
     "[checkpoint]\nevery_steps = 7\npublish_steps = 15\n"},
    {16, 240, 32,
     "[run]\nname = sim\ndataset = corpus\nexperts = 4\nseed = 5\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 2\nsequences = 64\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 4\nsteps = 12\nlearning_rate = 1e-2\n"
     "warmup = 2\nchunk = 100\n[dense]\nmatch = tokens\n"
     "[checkpoint]\nevery_steps = 4\npublish_steps = 6\n"},
    {16, 96, 16,
     "[run]\nname = sim\ndataset = corpus\nexperts = 2\nseed = 6\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 2\nsequences = 24\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 32\nlayers = 2\nheads = 2\nbatch = 4\nsteps = 12\nlearning_rate = 1e-2\n"
     "warmup = 2\n[dense]\nenabled = no\n"
     "[checkpoint]\nevery_steps = 2\npublish_steps = 4\n"},
    {16, 160, 24,
     "[run]\nname = sim\ndataset = corpus\nexperts = 2\nseed = 7\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 2\nsequences = 40\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 8\nlayers = 1\nheads = 2\nbatch = 4\nsteps = 32\nlearning_rate = 1e-2\n"
     "warmup = 2\n[dense]\nmatch = both\n"
     "[checkpoint]\nevery_steps = 32\npublish_steps = 32\n"},
    /* For hundreds of agents: many short chains. */
    {16, 480, 32,
     "[run]\nname = sim\ndataset = corpus\nexperts = 48\nseed = 8\n"
     "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 1\nsequences = 480\n"
     "batch = 4\nlearning_rate = 1e-2\nwarmup = 1\n"
     "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 2\nsteps = 10\nlearning_rate = 1e-2\n"
     "warmup = 2\n[dense]\nenabled = no\n"
     "[checkpoint]\nevery_steps = 5\npublish_steps = 5\n"},
};

struct desk {
    struct operator_run *run;
    const struct operator_spec *spec;
    struct client *client;
    struct arena arena;
};

static void must(int rc, const struct err *e, const char *what)
{
    if (rc)
        world_violation("the operator can't %s: %s", what, e->message);
}

/* Until it succeeds: whatever the coordinator and the way to it go through meanwhile. */
#define AGAIN(o, e, what, call)                                                                    \
    do {                                                                                           \
        int rc_;                                                                                   \
        for (unsigned times_ = 0; (rc_ = (call)) < 0 && times_ < 100000; times_++) {               \
            arena_reset(&(o)->arena);                                                              \
            if (rc_ != ERR_UNAVAILABLE && rc_ != ERR_NO_SPACE && rc_ != ERR_IO && rc_ != ERR_BUSY) \
                break;                                                                             \
            env_sleep_ms(AGAIN_MS);                                                                \
        }                                                                                          \
        must(rc_ < 0 ? rc_ : 0, (e), (what));                                                      \
    } while (0)

static void open_client(struct desk *o)
{
    struct buf token;
    struct err e = {0};
    struct machine *me;
    for (;;) { /* the key lies on the coordinator's disk once it has started */
        me = world_enter(net_coordinator);
        int rc = env_file_read("/data/admin.token", 4096, &token, &e);
        world_enter(me);
        if (!rc)
            break;
        env_sleep_ms(100);
    }
    token.data[strcspn(token.data, "\r\n")] = 0;
    struct client_options options = {.url = OPERATOR_URL, .token = token.data};
    must(client_open(&o->client, &options, &e), &e, "open a client");
    buf_free(&token);
}

static struct msg_shard put(struct desk *o, const char *path, const void *data, size_t len,
                            uint64_t sequences)
{
    struct msg_shard s = {.bytes = len, .sequences = sequences};
    uint64_t moved = 0;
    struct err e = {0};
    digest_of(data, len, &s.digest);
    must(env_file_write_atomic(path, data, len, 0600, &e), &e, "write a file");
    AGAIN(o, &e, "upload",
          client_blob_put(o->client, &s.digest, path, len, NULL, NULL, &moved, &e));
    return s;
}

static struct msg_shard put_shard(struct desk *o, uint32_t n, uint32_t first)
{
    const struct operator_spec *spec = o->spec;
    struct shard_shape shape = {.seq = spec->seq, .vocab = 64, .labels = LABELS};
    struct shard_builder b;
    struct buf bytes;
    struct err e = {0};
    digest_of("words", 5, &shape.tokenizer);
    must(shard_builder_init(&b, &shape, n, &e), &e, "make a shard");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tokens[512];
        for (uint32_t k = 0; k < spec->seq; k++)
            tokens[k] = ((first + i) * 2654435761u + k * 40503u) >> 7 & 63;
        shard_builder_add(&b, tokens, TEXT_BYTES, i % LABELS);
    }
    buf_init(&bytes, 16u << 20);
    must(shard_builder_finish(&b, &bytes, &e), &e, "make a shard");
    shard_builder_free(&b);
    struct msg_shard s = put(o, "/shard", bytes.data, bytes.len, n);
    buf_free(&bytes);
    return s;
}

static void publish(struct desk *o)
{
    const struct operator_spec *spec = o->spec;
    struct msg_label labels[LABELS] = {{"even"}, {"odd"}};
    struct msg_shard tokenizer = put(o, "/tokenizer", "words", 5, 0);
    struct msg_shard train = put_shard(o, spec->train, 0);
    struct msg_shard heldout = put_shard(o, spec->heldout, spec->train);
    struct msg_dataset m = {.name = "corpus",
                            .vocab = 64,
                            .seq = spec->seq,
                            .tokenizer = tokenizer.digest,
                            .tokenizer_bytes = 5,
                            .train = &train,
                            .heldout = &heldout,
                            .train_count = 1,
                            .heldout_count = 1,
                            .labels = labels,
                            .label_count = LABELS,
                            .train_sequences = spec->train,
                            .heldout_sequences = spec->heldout,
                            .train_text_bytes = (uint64_t)spec->train * TEXT_BYTES,
                            .heldout_text_bytes = (uint64_t)spec->heldout * TEXT_BYTES,
                            .documents = spec->train + spec->heldout},
                       out;
    struct err e = {0};
    AGAIN(o, &e, "publish the data set",
          client_call(o->client, "POST", "/v1/datasets", &message_dataset, &m, &message_dataset,
                      &out, &o->arena, 0, &e));
}

static void create(struct desk *o)
{
    struct msg_run_create m = {.spec = o->spec->text, .file = "sim.ini"};
    struct msg_run out;
    struct err e = {0};
    AGAIN(o, &e, "start the run",
          client_call(o->client, "POST", "/v1/runs", &message_run_create, &m, &message_run, &out,
                      &o->arena, 0, &e));
}

/* What machines that die and disks that fail make an operator do: the run says why it stopped, and
 * is told to go on. */
static void retry(struct desk *o, const char *reason)
{
    struct msg_run run;
    struct err e = {0};
    if (!strstr(reason, "went silent") && !ledger_expects_io_errors())
        world_violation("the run stopped: %s", reason);
    if (++o->run->retries > RETRIES_MAX)
        world_violation("the run stops however often it is told to go on: %s", reason);
    world_note("the operator tells the run to go on that stopped: %s", reason);
    AGAIN(o, &e, "tell the run to go on",
          client_call(o->client, "POST", "/v1/runs/sim/retry", NULL, NULL, &message_run, &run,
                      &o->arena, 0, &e));
}

static void look(struct desk *o)
{
    struct msg_run run;
    struct err e = {0};
    arena_reset(&o->arena);
    int rc = client_call(o->client, "GET", "/v1/runs/sim", NULL, NULL, &message_run, &run,
                         &o->arena, 0, &e);
    if (rc)
        return; /* the next look tells */
    o->run->done = run.jobs_done;
    o->run->waiting = run.jobs_waiting;
    o->run->leased = run.jobs_leased;
    o->run->state = run.state;
    o->run->ended = run.state == RUN_DONE || run.state == RUN_CANCELLED;
    snprintf(o->run->reason, sizeof o->run->reason, "%s", run.reason ? run.reason : "");
    if (run.state == RUN_FAILED)
        retry(o, o->run->reason);
}

/* Links of two minutes: J. W. Young's optimum where publishing takes five seconds, and a machine
 * ends without a notice every twenty minutes. */
static const struct operator_spec *long_chains(unsigned experts)
{
    static char text[1000];
    static struct operator_spec spec = {.seq = 16, .heldout = 16, .text = text};
    spec.train = 4 * experts;
    snprintf(text, sizeof text,
             "[run]\nname = sim\ndataset = corpus\nexperts = %u\nseed = 9\n"
             "[router]\nmode = random\nprefix = 4\n"
             "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 1\nsteps = 100000\n"
             "learning_rate = 1e-2\nwarmup = 2\n[dense]\nenabled = no\n"
             "[checkpoint]\nevery_steps = 30\npublish_steps = 60\n",
             experts);
    return &spec;
}

static void operate(void *arg)
{
    struct desk o = {.run = arg};
    o.spec = o.run->experts ? long_chains(o.run->experts) : &specs[o.run->spec];
    arena_init(&o.arena, 64u << 20);
    open_client(&o);
    publish(&o);
    create(&o);
    o.run->started = true;
    while (!o.run->ended) {
        env_sleep_ms(LOOK_MS);
        look(&o);
    }
}

void operator_start(struct machine *m, struct operator_run *r)
{
    world_spawn(m, operate, r, "the operator");
}
