/* Writes the seeds of tests/fuzz/corpus with the project's own writers: `make fuzz-corpus`.
 *   make_corpus FOLDER */
#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/base/le.h"
#include "core/checkpoint/checkpoint.h"
#include "core/checkpoint/meta.h"
#include "core/data/shard.h"
#include "core/mixture/assign.h"
#include "core/mixture/evalblob.h"
#include "core/protocol/manifest.h"
#include "core/protocol/messages.h"
#include "core/protocol/spec.h"
#include "tests/fuzz/small_model.h"

static const char *folder;

static void put(const char *target, const char *name, const void *data, size_t len)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", folder, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s_%s", folder, target, target, name);
    FILE *f = fopen(path, "wb");
    FUZZ_CHECK(f && fwrite(data, 1, len, f) == len && fclose(f) == 0);
}

static void put_text(const char *target, const char *name, const char *text)
{
    put(target, name, text, strlen(text));
}

/* What stands before the data tells the target how to read it. */
static void put_after(const char *target, const char *name, const void *before, size_t before_len,
                      const void *data, size_t len)
{
    struct buf b;
    struct err e = {0};

    buf_init(&b, 64u << 20);
    FUZZ_OK(buf_append(&b, before, before_len, &e), &e);
    FUZZ_OK(buf_append(&b, data, len, &e), &e);
    put(target, name, b.data, b.len);
    buf_free(&b);
}

/* --- messages --------------------------------------------------------------------------------- */

#define DEPTH_MAX 6

static void fill(const struct message *m, char *value, struct arena *a, int depth);

static void fill_field(const struct field *f, char *value, struct arena *a, int depth)
{
    void *at = value + f->offset;
    uint32_t one = 1;

    switch (f->type) {
    case FIELD_U64:
        *(uint64_t *)at = f->min > 0 ? f->min : 1;
        break;
    case FIELD_DOUBLE:
        *(double *)at = 0.5;
        break;
    case FIELD_BOOL:
        *(bool *)at = true;
        break;
    case FIELD_STRING:
        *(const char **)at = "a \"b\"\n\xc3\xa9";
        break;
    case FIELD_WORD:
        *(int *)at = 0;
        break;
    case FIELD_DIGEST:
        digest_of(f->name, strlen(f->name), at);
        break;
    case FIELD_OBJECT:
        if (depth == 0)
            break;
        *(void **)at = arena_alloc(a, f->of->size);
        fill(f->of, *(void **)at, a, depth - 1);
        break;
    case FIELD_ARRAY:
        if (depth == 0)
            break;
        *(void **)at = arena_alloc(a, f->of->size);
        fill(f->of, *(void **)at, a, depth - 1);
        memcpy(value + f->count_offset, &one, sizeof one);
        break;
    case FIELD_DOUBLES:
        *(double **)at = arena_alloc(a, sizeof(double));
        **(double **)at = -1.25;
        memcpy(value + f->count_offset, &one, sizeof one);
        break;
    }
}

static void fill(const struct message *m, char *value, struct arena *a, int depth)
{
    for (uint32_t i = 0; i < m->field_count; i++)
        fill_field(&m->fields[i], value, a, depth);
}

static void messages(void)
{
    static const struct message *const all[] = {
#define CORPUS_MESSAGE_(name) &message_##name,
        MESSAGES(CORPUS_MESSAGE_)
#undef CORPUS_MESSAGE_
    };

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct arena a;
        struct buf json;
        struct err e = {0};
        char name[80];

        arena_init(&a, 16u << 20);
        buf_init(&json, 16u << 20);
        char *value = arena_alloc(&a, all[i]->size);
        fill(all[i], value, &a, DEPTH_MAX);
        FUZZ_OK(message_encode(all[i], value, &json, &e), &e);
        snprintf(name, sizeof name, "%s\n", all[i]->name);
        put_after("messages", all[i]->name, name, strlen(name), json.data, json.len);
        buf_free(&json);
        arena_free(&a);
    }
}

/* --- blobs ------------------------------------------------------------------------------------ */

static void shard(const char *name, uint32_t vocab, uint32_t count)
{
    struct shard_builder b;
    struct shard_shape shape = {.seq = 5, .vocab = vocab, .labels = 2};
    struct buf out;
    struct err e = {0};

    FUZZ_OK(shard_builder_init(&b, &shape, count + 1, &e), &e);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tokens[5] = {0, 1, i, vocab - 1, 2};
        shard_builder_add(&b, tokens, 10 + i, i % 2);
    }
    buf_init(&out, 1u << 20);
    FUZZ_OK(shard_builder_finish(&b, &out, &e), &e);
    put("shard", name, out.data, out.len);
    buf_free(&out);
    shard_builder_free(&b);
}

static void scores(const char *name, uint32_t n, uint32_t routers)
{
    uint8_t blob[1024];
    float row[16];

    scores_header_write(blob, n, routers);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t r = 0; r < routers; r++)
            row[r] = -10.0f - (float)((i * 7 + r * 3) % 5);
        scores_row_write(blob + SCORES_HEADER + i * SCORES_ROW(routers), row, routers);
    }
    put("scores", name, blob, SCORES_HEADER + n * SCORES_ROW(routers));
    assign_header_write(blob, n, routers);
    for (uint32_t i = 0; i < n; i++)
        le16_put(blob + ASSIGN_HEADER + 2 * i, (uint16_t)(i % routers));
    put("assignment", name, blob, ASSIGN_HEADER + 2 * n);
}

static void evaluations(void)
{
    uint8_t blob[256];
    const float cumulative[4] = {0, -1.5f, -2, -4.25f};

    evalblob_header_write(blob, EVALBLOB_ROUTER, 2, 4);
    for (int i = 0; i < 2; i++)
        evalblob_router_row_write(blob + EVALBLOB_HEADER + 16 * i, cumulative, 4);
    put("evalblob", "router", blob, EVALBLOB_HEADER + 32);
    evalblob_header_write(blob, EVALBLOB_MODEL, 2, 2);
    for (int i = 0; i < 2; i++)
        evalblob_model_row_write(blob + EVALBLOB_HEADER + 16 * i, 12.5, 7.25);
    put("evalblob", "model", blob, EVALBLOB_HEADER + 32);
}

/* --- checkpoints ------------------------------------------------------------------------------ */

static void read_whole(const char *path, struct buf *out)
{
    char data[4096];
    size_t n;
    struct err e = {0};
    FILE *f = fopen(path, "rb");

    FUZZ_CHECK(f);
    buf_init(out, 16u << 20);
    while ((n = fread(data, 1, sizeof data, f)) > 0)
        FUZZ_OK(buf_append(out, data, n, &e), &e);
    fclose(f);
}

/* The archive's inner layers, by libarchive: the tar without its compression, and its second file.
 */
static void unpack(const struct buf *archive, bool tar, struct buf *out)
{
    struct archive *a = archive_read_new();
    struct archive_entry *entry;
    char data[4096];
    la_ssize_t n;
    struct err e = {0};

    buf_init(out, 16u << 20);
    archive_read_support_filter_zstd(a);
    if (tar)
        archive_read_support_format_raw(a);
    else
        archive_read_support_format_tar(a);
    FUZZ_CHECK(archive_read_open_memory(a, archive->data, archive->len) == ARCHIVE_OK);
    FUZZ_CHECK(archive_read_next_header(a, &entry) == ARCHIVE_OK);
    if (!tar)
        FUZZ_CHECK(archive_read_next_header(a, &entry) == ARCHIVE_OK);
    while ((n = archive_read_data(a, data, sizeof data)) > 0)
        FUZZ_OK(buf_append(out, data, (size_t)n, &e), &e);
    archive_read_free(a);
}

static void layers(const char *path, uint8_t kind)
{
    static const char *const names[2][3] = {{"model", "model-tar", "model-content"},
                                            {"state", "state-tar", "state-content"}};
    struct buf archive, tar, content;

    read_whole(path, &archive);
    unpack(&archive, true, &tar);
    unpack(&archive, false, &content);
    const struct buf *all[] = {&archive, &tar, &content};
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t first = (uint8_t)(kind | i << 1);
        put_after("archive", names[kind][i], &first, 1, all[i]->data, all[i]->len);
    }
    put_after("tensors", names[kind][0], &kind, 1, content.data + 8,
              (size_t)le64_get((const uint8_t *)content.data));
    buf_free(&archive);
    buf_free(&tar);
    buf_free(&content);
}

static void checkpoints(void)
{
    float zeros[SMALL_PARAMETERS_MAX] = {0};
    struct checkpoint_position p = {.step = 12, .round_step = 3, .stream = MODEL_STREAM_EXPERT};
    struct checkpoint_digests d;
    char path[512];
    struct err e = {0};

    FUZZ_CHECK(model_parameters(&small_model) <= SMALL_PARAMETERS_MAX);
    snprintf(path, sizeof path, "%s/checkpoint", folder);
    FUZZ_OK(checkpoint_model_write(path, false, &small_model, zeros, &d, &e), &e);
    layers(path, 0);
    FUZZ_OK(checkpoint_state_write(path, false, &small_model, OPTIMIZER_ADAMW, zeros, zeros, &p,
                                   &d.content, &d, &e),
            &e);
    layers(path, 1);
    unlink(path);
}

/* --- text ------------------------------------------------------------------------------------- */

static la_ssize_t on_bytes(struct archive *a, void *arg, const void *data, size_t len)
{
    struct err e = {0};

    (void)a;
    FUZZ_OK(buf_append(arg, data, len, &e), &e);
    return (la_ssize_t)len;
}

static void packed(const char *name, bool tar, const char *text)
{
    struct archive *a = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    struct buf out;

    buf_init(&out, 1u << 20);
    if (tar)
        archive_write_set_format_pax_restricted(a);
    else
        archive_write_set_format_raw(a);
    archive_write_add_filter_gzip(a);
    archive_write_set_filter_option(a, "gzip", "timestamp", NULL);
    archive_write_set_bytes_in_last_block(a, 1);
    FUZZ_CHECK(archive_write_open(a, &out, NULL, on_bytes, NULL) == ARCHIVE_OK);
    archive_entry_set_pathname(entry, "folder/a.jsonl");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_size(entry, (la_int64_t)strlen(text));
    FUZZ_CHECK(archive_write_header(a, entry) == ARCHIVE_OK);
    archive_write_data(a, text, strlen(text));
    archive_entry_free(entry);
    FUZZ_CHECK(archive_write_close(a) == ARCHIVE_OK);
    archive_write_free(a);
    put_after("document", name, "f", 1, out.data, out.len);
    buf_free(&out);
}

static void texts(void)
{
    static const char lines[] = "{\"text\":\"one \\u00e9 word\",\"source\":\"here\"}\n\n"
                                "{\"text\":\" \"}\n[1]\n{\"text\":\"two\"}";

    put_text("document", "json", "j{\"text\":\"a \\ud83d\\ude00 b\",\"source\":\"web\",\"id\":7}");
    put_text("document", "plain", "tSome words.\r\nMore w\xc3\xb6rds.\n");
    put_after("document", "lines", "f", 1, lines, sizeof lines - 1);
    put_text("document", "file", "fNo lines of JSON,\nbut text.\n");
    packed("lines-gz", false, lines);
    packed("lines-tar", true, lines);

    put_text("text", "names",
             "run-1.a_b\n.hidden\nc\xc3\xa9t\xc3\xa9\nLatin \xe9t\xe9\nlearning_rat\n");
    put_text("text", "numbers",
             "18446744073709551615\n-9223372036854775808\n1e-3\n+5\n0x10\nnan\n");

    put_text("reply", "success", "200\ntacit-protocol: 1\ncontent-length: 2\n\n{}");
    put_text("reply", "problem",
             "409\ntacit-protocol: 1\nupload-offset: 77\n\n{\"type\":\"about:blank\",\"title\":"
             "\"Conflict\",\"status\":409,\"detail\":\"the lease is another's\",\"code\":"
             "\"ERR_FENCED\"}");
    put_text("reply", "range", "206\ntacit-protocol: 1\ncontent-range: bytes 3-7/40\n\nabcde");
    put_text("reply", "proxy", "502\nserver: nginx\n\n<html>Bad Gateway</html>");
    put_text("reply", "newer", "404\ntacit-protocol: 2\n\n");
}

static void specs(void)
{
    struct buf b;
    struct err e = {0};

    buf_init(&b, SPEC_BYTES_MAX);
    FUZZ_OK(spec_template(&b, &e), &e);
    put("spec", "template", b.data, b.len);
    buf_free(&b);
    put_text("spec", "small",
             "[run]\nname = r\ndataset = d\nexperts = 3\nseed = 11\narithmetic = exact\n"
             "[router]\nhidden = 8\nlayers = 1\nheads = 2\nprefix = 16\nrounds = 3\n"
             "sequences = 1500\nbatch = 8\nlearning_rate = 3e-3\nwarmup = 5\n"
             "[expert]\nhidden = 16\nlayers = 1\nheads = 2\nbatch = 8\nsteps = 300\nchunk = 5000\n"
             "[dense]\nmatch = both\n[checkpoint]\nevery_steps = 20\npublish_steps = 60\n"
             "[eval]\nevery_steps = 60\n");
    put_text("spec", "random",
             "; a control\n[run]\nname: r\ndataset = d\nexperts = 2\n[router]\nmode = random\n"
             "[expert]\nhidden = 4\nlayers = 1\nheads = 1\nsteps = 1\n[dense]\nenabled = no\n");
}

/* --- requests --------------------------------------------------------------------------------- */

static void requests(void)
{
#define OPERATOR "authorization: admin\n"
#define AGENT "authorization: agent\n"
#define FENCE "\"fence\":{\"incarnation\":1,\"counter\":1}"
#define DIGEST "6f3a02a6c3a5dd0a1e8b2e9a9f1ad2b2b0cbea29b8e95e9f1cdd0f0f4d2bb3f1"
    static const struct {
        const char *name, *text;
    } all[] = {
        {"health", "GET /healthz\n\n"},
        {"join", "POST /v1/agents\nauthorization: join\n\n{\"identity\":\"" DIGEST
                 "\",\"name\":\"two\",\"host\":\"h\",\"threads\":2,\"memory\":1}"},
        {"agents", "GET /v1/agents\n" OPERATOR "\n"},
        {"claim", "POST /v1/claims\n" AGENT "\n{\"wait_ms\":0}"},
        {"heartbeat", "POST /v1/jobs/1/heartbeat\n" AGENT "\n{" FENCE
                      ",\"step\":1,\"total\":4,\"loss\":2.5,\"rate\":100}"},
        {"complete", "POST /v1/jobs/1/complete\n" AGENT "\n{" FENCE
                     ",\"outputs\":[{\"role\":\"model\",\"index\":0,\"digest\":\"" DIGEST
                     "\",\"content\":\"" DIGEST "\",\"bytes\":100},{\"role\":\"state\",\"digest\":"
                     "\"" DIGEST "\",\"content\":\"" DIGEST "\",\"bytes\":100}],\"loss\":1.5,"
                     "\"seconds\":2,\"tokens\":64}"},
        {"fail", "POST /v1/jobs/1/fail\n" AGENT "\n{" FENCE ",\"error\":\"broken\"}"},
        {"release-claim", "POST /v1/jobs/1/release\n" AGENT "\n{" FENCE
                          "}\n--\nPOST /v1/claims\n" AGENT "\n{\"wait_ms\":5}"},
        {"jobs", "GET /v1/jobs\n" OPERATOR "run: seed\nstate: waiting\nlimit: 5\n\n"},
        {"datasets", "GET /v1/datasets\n" OPERATOR "\n"},
        {"dataset", "GET /v1/datasets/corpus\n" OPERATOR "\n"},
        {"publish", "POST /v1/datasets\n" OPERATOR
                    "\n{\"name\":\"other\",\"vocab\":64,\"seq\":16,\"tokenizer\":\"" DIGEST
                    "\",\"tokenizer_bytes\":5,\"train\":[{\"digest\":\"" DIGEST
                    "\",\"bytes\":100,\"sequences\":2}],\"heldout\":[{\"digest\":\"" DIGEST
                    "\",\"bytes\":100,\"sequences\":2}],\"labels\":[{\"name\":\"all\"}],"
                    "\"train_sequences\":2,\"heldout_sequences\":2,\"train_text_bytes\":1,"
                    "\"heldout_text_bytes\":1,\"documents\":1}"},
        {"create", "POST /v1/runs\n" OPERATOR
                   "\n{\"spec\":\"[run]\\nname = r\\ndataset = corpus\\nexperts = 2\\n[router]\\n"
                   "mode = random\\n[expert]\\nhidden = 4\\nlayers = 1\\nheads = 1\\nbatch = 4\\n"
                   "steps = 2\\n\",\"file\":\"a.ini\",\"dry_run\":false}"},
        {"runs", "GET /v1/runs\n" OPERATOR "\n"},
        {"run", "GET /v1/runs/seed\n" OPERATOR "\n"},
        {"cancel",
         "POST /v1/runs/seed/cancel\n" OPERATOR "\n\n--\nGET /v1/runs/seed\n" OPERATOR "\n"},
        {"report", "GET /v1/runs/seed/report\n" OPERATOR "\n"},
        {"job", "GET /v1/jobs/1\n" OPERATOR "\n\n--\nGET /v1/jobs/1/attempts\n" OPERATOR
                "\n\n--\nGET /v1/jobs/1/made\n" OPERATOR "\n"},
        {"words",
         "POST /v1/jobs/1/words\n" AGENT "\n{" FENCE ",\"words\":\"killed\",\"log\":\"a\"}"},
        {"handover", "POST /v1/jobs/1/release\n" AGENT "\n{" FENCE
                     ",\"step\":1,\"outputs\":[{\"role\":\"model\",\"digest\":\"" DIGEST
                     "\",\"content\":\"" DIGEST "\",\"bytes\":100},{\"role\":\"state\",\"digest\":"
                     "\"" DIGEST "\",\"content\":\"" DIGEST "\",\"bytes\":100}]}"},
        {"offer", "POST /v1/claims\n" AGENT "\n{\"wait_ms\":0,\"saves\":[{\"job\":1,\"step\":1}]}"},
        {"retry",
         "POST /v1/jobs/1/retry\n" OPERATOR "\n\n--\nPOST /v1/runs/seed/retry\n" OPERATOR "\n"},
        {"unbench", "POST /v1/agents/one/unbench\n" OPERATOR "\n"},
        {"results", "GET /v1/runs/seed/results\n" OPERATOR "\n"},
        {"lineage", "GET /v1/lineage/" DIGEST "\n" OPERATOR "\n"},
        {"gc", "GET /v1/gc\n" OPERATOR "\n\n--\nPOST /v1/gc\n" OPERATOR "\n"},
        {"scrub", "GET /v1/scrub\n" OPERATOR "\n\n--\nPOST /v1/scrub\n" OPERATOR "\n{}"},
        {"status", "GET /v1/status\n" OPERATOR "\n"},
        {"events", "GET /v1/events\n" OPERATOR "last-event-id: 0\n\n--\nGET /v1/history\n" OPERATOR
                   "after: 1\n"},
        {"session",
         "POST /v1/session\nhost: a\norigin: http://a\n\n{\"token\":\"admin-token\"}\n--\n"
         "DELETE /v1/session\ncookie: b=1; tacit_session=0\nx-tacit-request: 1\n"},
        {"views",
         "GET /v1/runs/seed/timeline\n" OPERATOR "\n\n--\nGET /v1/runs/seed/parting\n" OPERATOR
         "\n\n--\nGET /v1/runs/seed/costs\n" OPERATOR "\n\n--\nGET /v1/overview\n" OPERATOR
         "\n\n--\nGET /v1/transfers\n" OPERATOR "\n"},
        {"page", "GET /\nif-none-match: \"x\"\n\n--\nGET /assets/uPlot.css\nhost: a\n"},
        {"method", "DELETE /v1/runs/seed\n" OPERATOR "\n"},
        {"version", "GET /v2/status\n" OPERATOR "\n"},
    };
    struct digest d;
    char hex[DIGEST_HEX + 1], text[1024];

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        put_text("api", all[i].name, all[i].text);
    digest_to_hex((digest_of("hello world", 11, &d), &d), hex);
    snprintf(text, sizeof text,
             "PUT /v1/blobs/%s\n" AGENT "content-length: 11\n\nhello world\n--\n"
             "HEAD /v1/blobs/%s\n" AGENT "\n\n--\n"
             "GET /v1/blobs/%s\n" AGENT "range: bytes=3-7\n\n",
             hex, hex, hex);
    put_text("api", "blob", text);
    snprintf(text, sizeof text,
             "PUT /v1/blobs/%s\n" AGENT "content-length: 5\nupload-length: 11\nupload-offset: 0\n\n"
             "hello\n--\nPUT /v1/blobs/%s\n" AGENT
             "content-length: 6\nupload-length: 11\nupload-offset: 5\n\n world",
             hex, hex);
    put_text("api", "upload", text);
}

/* --- exported folders ------------------------------------------------------------------------- */

static void exported(void)
{
    static const struct msg_shape shape = {300, 32, 16, 1, 2, 64};
    struct msg_exported models[] = {
        {.target = TARGET_EXPERT, .index = 1, .step = 9, .file = "experts/1.safetensors"},
        {.target = TARGET_DENSE, .file = "dense.safetensors"}};
    const struct msg_manifest m = {.format = MANIFEST_FORMAT,
                                   .version = MANIFEST_VERSION,
                                   .run = "r",
                                   .dataset = "d",
                                   .experts = 2,
                                   .prefix = 16,
                                   .routing = "em",
                                   .end = 2,
                                   .expert_model = &shape,
                                   .router_model = &shape,
                                   .models = models,
                                   .model_count = 2};
    /* Six pieces ("<unk>", "<s>", "</s>", "a", "b", "ab"), BPE, no rules. */
    static const char pieces[] = "\x0a\x09\x0a\x05<unk>\x18\x02"
                                 "\x0a\x07\x0a\x03<s>\x18\x03"
                                 "\x0a\x08\x0a\x04</s>\x18\x03"
                                 "\x0a\x08\x0a\x01"
                                 "a\x15\0\0\x80\xbf"
                                 "\x0a\x08\x0a\x01"
                                 "b\x15\0\0\0\xc0"
                                 "\x0a\x09\x0a\x02"
                                 "ab\x15\0\0\0\0"
                                 "\x12\x05\x18\x02\x98\x02\x01"
                                 "\x1a\x04\x18\0\x20\0";
    struct buf b;
    struct err e = {0};
    for (int i = 0; i < 2; i++)
        memset(&models[i].content, 7, DIGEST_BYTES), memset(&models[i].digest, 7, DIGEST_BYTES);
    buf_init(&b, MANIFEST_BYTES_MAX);
    struct msg_manifest named = m;
    memset(&named.spec, 7, DIGEST_BYTES);
    memset(&named.tokenizer, 7, DIGEST_BYTES);
    FUZZ_OK(message_encode(&message_manifest, &named, &b, &e), &e);
    put_after("exported", "manifest", "m", 1, b.data, b.len);
    put_after("exported", "pieces", "p", 1, pieces, sizeof pieces - 1);
    buf_free(&b);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_corpus FOLDER\n");
        return 64;
    }
    folder = argv[1];
    mkdir(folder, 0777);
    messages();
    specs();
    shard("narrow", 300, 3);
    shard("wide", 70000, 2);
    shard("empty", 300, 0);
    scores("two", 6, 2);
    scores("five", 7, 5);
    scores("none", 0, 2);
    evaluations();
    checkpoints();
    texts();
    exported();
    requests();
    return 0;
}
