#include "tests/fuzz/api_world.h"

#include <pthread.h>
#include <unistd.h>
#include "core/data/shard.h"
#include "core/env/clock.h"
#include "coordinator/lease/lease.h"
#include "coordinator/log.h"
#include "coordinator/run/works.h"
#include "coordinator/store/blobs.h"
#include "tests/coordinator/store/temp_dir.h"
#include "tests/fuzz/fuzz.h"

enum { SEQ = 16, VOCAB = 64, TRAIN = 64, HELDOUT = 8 };

static const char spec[] = "[run]\nname = seed\ndataset = corpus\nexperts = 2\n"
                           "[router]\nhidden = 4\nlayers = 1\nheads = 1\nprefix = 4\nrounds = 1\n"
                           "sequences = 16\nbatch = 4\n"
                           "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nbatch = 4\nsteps = 4\n"
                           "[checkpoint]\nevery_steps = 2\npublish_steps = 2\n";

/* In the place of the coordinator's: its lines are of no use here. */
void log_event(const char *level, const char *fmt, ...)
{
    (void)level;
    (void)fmt;
}

/* --- one request ------------------------------------------------------------------------------ */

struct wait {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool suspended;
};

static void on_suspend(void *shell)
{
    struct wait *w = shell;

    pthread_mutex_lock(&w->mutex);
    w->suspended = true;
    pthread_mutex_unlock(&w->mutex);
}

static void on_resume(void *shell)
{
    struct wait *w = shell;

    pthread_mutex_lock(&w->mutex);
    w->suspended = false;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

/* Claims that find nothing would wait for a minute: their time is up at once. */
static void wait_resumed(struct world *w, struct wait *wait)
{
    int64_t next;

    pthread_mutex_lock(&wait->mutex);
    while (wait->suspended) {
        struct timespec soon;
        pthread_mutex_unlock(&wait->mutex);
        api_tick(w->api, INT64_MAX - 1, &next);
        pthread_mutex_lock(&wait->mutex);
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 1000000;
        soon.tv_sec += soon.tv_nsec / 1000000000;
        soon.tv_nsec %= 1000000000;
        if (wait->suspended)
            pthread_cond_timedwait(&wait->cond, &wait->mutex, &soon);
    }
    pthread_mutex_unlock(&wait->mutex);
}

static void put_body(struct world *w, struct api_exchange *x, struct wait *wait, const char *data,
                     size_t len)
{
    size_t taken = 0;
    enum api_step step;

    do {
        step = api_put_take(x, data, len, &taken);
        data += taken;
        len -= taken;
        if (step == API_WAIT)
            wait_resumed(w, wait);
    } while (step != API_REPLY && len > 0);
    while (step != API_REPLY) {
        step = api_put_end(x);
        if (step == API_WAIT)
            wait_resumed(w, wait);
    }
}

static void get_body(struct world *w, const struct api_exchange *x, struct buf *answer)
{
    static char data[1u << 16];
    uint64_t at = 0;
    size_t got = 0;
    struct err e = {0};

    while (at < x->blob.count) {
        size_t cap = x->blob.count - at < sizeof data ? (size_t)(x->blob.count - at) : sizeof data;
        FUZZ_OK(
            blob_read(w->service.store, &x->blob.digest, x->blob.first + at, data, cap, &got, &e),
            &e);
        FUZZ_CHECK(got == cap);
        at += got;
        if (answer)
            FUZZ_OK(buf_append(answer, data, got, &e), &e);
    }
}

int world_ask(struct world *w, const struct api_request *head, const void *body, size_t len,
              struct buf *answer)
{
    struct wait wait = {.suspended = false};
    struct api_exchange *x = api_exchange_create(w->api);
    struct err e = {0};

    FUZZ_CHECK(x);
    pthread_mutex_init(&wait.mutex, NULL);
    pthread_cond_init(&wait.cond, NULL);
    x->suspend = on_suspend;
    x->resume = on_resume;
    x->shell = &wait;
    x->request = *head;
    enum api_step step = api_begin(x);
    if (step == API_BODY) {
        if (body && buf_append(&x->body, body, len, &e))
            step = api_body_too_large(x);
        else
            step = api_handle(x);
        if (step == API_WAIT) {
            wait_resumed(w, &wait);
            step = api_handle(x);
        }
        FUZZ_CHECK(step == API_REPLY || step == API_STREAM);
        if (step == API_STREAM) { /* its first words; what comes later comes of itself */
            char words[64];
            FUZZ_CHECK(api_stream_read(x, words, sizeof words) > 0);
        }
    } else if (step == API_BLOB_PUT) {
        put_body(w, x, &wait, body ? body : "", len);
    } else if (step == API_BLOB_GET) {
        get_body(w, x, answer);
    }
    int status = x->reply.status;
    if (answer && x->reply.body && step != API_BLOB_GET)
        FUZZ_OK(buf_append(answer, x->reply.body, x->reply.len, &e), &e);
    api_exchange_end(x);
    pthread_cond_destroy(&wait.cond);
    pthread_mutex_destroy(&wait.mutex);
    return status;
}

/* --- the world -------------------------------------------------------------------------------- */

static void world_open(struct world *w)
{
    struct err e = {0};

    w->service = (struct service){.dir = w->dir, .started_ms = env_monotonic_ms()};
    FUZZ_OK(store_open(&w->service.store, w->dir, &e), &e);
    FUZZ_OK(lease_clock_create(&w->service.leases, &e), &e);
    FUZZ_OK(
        api_create(&w->api, &w->service, &(struct api_tokens){WORLD_ADMIN, WORLD_JOIN, NULL}, &e),
        &e);
    FUZZ_OK(works_create(&w->service.works, &w->service, &e), &e);
}

static void world_close(struct world *w)
{
    api_stop(w->api);
    works_destroy(w->service.works);
    store_close(w->service.store);
    api_destroy(w->api);
    lease_clock_destroy(w->service.leases);
}

static void copy(const char *from_dir, const char *to_dir, const char *name)
{
    char from[96], to[96];
    static char data[1u << 16];
    size_t n;

    snprintf(from, sizeof from, "%s/%s", from_dir, name);
    snprintf(to, sizeof to, "%s/%s", to_dir, name);
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    FUZZ_CHECK(in && out);
    while ((n = fread(data, 1, sizeof data, in)) > 0)
        FUZZ_CHECK(fwrite(data, 1, n, out) == n);
    FUZZ_CHECK(fclose(in) == 0 && fclose(out) == 0);
}

void world_reset(struct world *w)
{
    world_close(w);
    temp_dir_remove(w->dir);
    FUZZ_CHECK(mkdir(w->dir, 0700) == 0);
    copy(w->start, w->dir, "tacit.db");
    copy(w->start, w->dir, "blobs.db");
    world_open(w);
}

void world_remove(struct world *w)
{
    world_close(w);
    temp_dir_remove(w->dir);
    temp_dir_remove(w->start);
}

static void must(struct world *w, const char *path, const char *token, const char *json,
                 struct buf *answer)
{
    char bearer[160];
    struct api_request head = {.method = "POST", .path = path, .authorization = bearer};

    snprintf(bearer, sizeof bearer, "Bearer %s", token);
    buf_reset(answer);
    int status = world_ask(w, &head, json, strlen(json), answer);
    if (status != 200) {
        fprintf(stderr, "%s: %d %s\n", path, status, answer->len ? answer->data : "");
        abort();
    }
}

static struct msg_shard put_shard(struct world *w, uint32_t n)
{
    struct shard_builder b;
    struct shard_shape shape = {.seq = SEQ, .vocab = VOCAB, .labels = 1};
    struct msg_shard out = {.sequences = n};
    struct buf bytes;
    struct err e = {0};

    digest_of("words", 5, &shape.tokenizer);
    FUZZ_OK(shard_builder_init(&b, &shape, n, &e), &e);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t tokens[SEQ];
        for (uint32_t k = 0; k < SEQ; k++)
            tokens[k] = (i * 7 + k) % VOCAB;
        shard_builder_add(&b, tokens, 20, 0);
    }
    buf_init(&bytes, 1u << 20);
    FUZZ_OK(shard_builder_finish(&b, &bytes, &e), &e);
    shard_builder_free(&b);
    FUZZ_OK(blob_put(w->service.store, bytes.data, bytes.len, &out.digest, &e), &e);
    out.bytes = bytes.len;
    buf_free(&bytes);
    return out;
}

static void make_dataset(struct world *w, struct buf *answer)
{
    struct msg_label label = {"all"};
    struct msg_shard train = put_shard(w, TRAIN), heldout = put_shard(w, HELDOUT);
    struct msg_dataset d = {.name = "corpus",
                            .vocab = VOCAB,
                            .seq = SEQ,
                            .tokenizer_bytes = 5,
                            .train = &train,
                            .train_count = 1,
                            .heldout = &heldout,
                            .heldout_count = 1,
                            .labels = &label,
                            .label_count = 1,
                            .train_sequences = TRAIN,
                            .heldout_sequences = HELDOUT,
                            .train_text_bytes = TRAIN * 20,
                            .heldout_text_bytes = HELDOUT * 20,
                            .documents = 1};
    struct buf json;
    struct err e = {0};

    FUZZ_OK(blob_put(w->service.store, "words", 5, &d.tokenizer, &e), &e);
    buf_init(&json, 1u << 20);
    FUZZ_OK(message_encode(&message_dataset, &d, &json, &e), &e);
    must(w, "/v1/datasets", WORLD_ADMIN, json.data, answer);
    buf_free(&json);
}

static void make_folder(char dir[64])
{
    /* In memory where there is such a place: what is synced here need not last. */
    snprintf(dir, 64, "%s/tacit-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(dir));
}

void world_make(struct world *w)
{
    struct msg_run_create run = {.spec = spec, .file = "seed.ini"};
    struct msg_joined joined;
    struct buf json, answer;
    struct arena a;
    struct err e = {0};

    make_folder(w->dir);
    make_folder(w->start);
    buf_init(&json, 1u << 20);
    buf_init(&answer, 1u << 20);
    arena_init(&a, 1u << 20);
    world_open(w);
    make_dataset(w, &answer);
    FUZZ_OK(message_encode(&message_run_create, &run, &json, &e), &e);
    must(w, "/v1/runs", WORLD_ADMIN, json.data, &answer);
    must(w, "/v1/agents", WORLD_JOIN,
         "{\"identity\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\","
         "\"name\":\"one\",\"threads\":1}",
         &answer);
    FUZZ_OK(message_decode(&message_joined, answer.data, answer.len, &joined, &a, &e), &e);
    snprintf(w->agent, sizeof w->agent, "%s", joined.token);
    must(w, "/v1/claims", w->agent, "{\"wait_ms\":0}", &answer);
    world_close(w);
    copy(w->dir, w->start, "tacit.db");
    copy(w->dir, w->start, "blobs.db");
    world_open(w);
    arena_free(&a);
    buf_free(&json);
    buf_free(&answer);
}
