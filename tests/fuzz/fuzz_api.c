/* Requests to a coordinator that has a data set, a run and an agent with a job. An input is one or
 * more of them, with a line "--" between two: a line "METHOD PATH", lines "name: value" of its
 * head, an empty line, and the body. "authorization: admin", "join" and "agent" stand for the
 * tokens.
 *
 * Nothing may be answered with an internal error, and every refusal is a problem document. After an
 * input that changed anything the coordinator begins anew, so that inputs do not depend on each
 * other. */
#include <strings.h>
#include "tests/fuzz/api_world.h"
#include "tests/fuzz/fuzz.h"

static struct world world;

static void end(void)
{
    world_remove(&world);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    world_make(&world);
    atexit(end);
    return 0;
}

#define HEAD_LINES_MAX 16
struct head {
    struct api_request request;
    char *lines[HEAD_LINES_MAX], bearer[160];
    uint32_t count;
};

static const char *bearer(struct head *h, const char *word)
{
    const char *token = strcmp(word, "admin") == 0   ? WORLD_ADMIN
                        : strcmp(word, "join") == 0  ? WORLD_JOIN
                        : strcmp(word, "agent") == 0 ? world.agent
                                                     : NULL;
    if (!token)
        return word;
    snprintf(h->bearer, sizeof h->bearer, "Bearer %s", token);
    return h->bearer;
}

static void set(struct head *h, const char *name, const char *value)
{
    const struct {
        const char *name, **at;
    } fields[] = {
        {"content-length", &h->request.content_length},
        {"transfer-encoding", &h->request.transfer_encoding},
        {"range", &h->request.range},
        {"upload-offset", &h->request.upload_offset},
        {"upload-length", &h->request.upload_length},
        {"host", &h->request.host},
        {"origin", &h->request.origin},
        {"cookie", &h->request.cookie},
        {"if-none-match", &h->request.if_none_match},
        {"last-event-id", &h->request.last_event_id},
        {"x-tacit-request", &h->request.intent},
        {"run", &h->request.query_run},
        {"state", &h->request.query_state},
        {"limit", &h->request.query_limit},
        {"after", &h->request.query_after},
    };

    if (strcasecmp(name, "authorization") == 0)
        h->request.authorization = bearer(h, value);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (strcasecmp(name, fields[i].name) == 0)
            *fields[i].at = value;
}

/* False where there is no first line "METHOD /PATH". */
static bool read_head(struct head *h, const uint8_t **data, size_t *size)
{
    while (*size > 0 && h->count < HEAD_LINES_MAX) {
        char *line = h->lines[h->count] = fuzz_line(data, size), *value;
        if (h->count++ == 0) {
            value = strchr(line, ' ');
            if (!value)
                return false;
            *value = 0;
            h->request.method = line;
            h->request.path = value + 1;
        } else if (line[0] == 0) {
            break;
        } else if ((value = strstr(line, ": ")) != NULL) {
            *value = 0;
            set(h, line, value + 2);
        }
    }
    return h->request.path && h->request.path[0] == '/';
}

/* The length of the first request of several. */
static size_t first_request(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 4 <= size; i++)
        if (memcmp(data + i, "\n--\n", 4) == 0)
            return i;
    return size;
}

static void check_problem(const struct buf *answer)
{
    struct msg_problem p;
    struct arena a;
    struct err e = {0};

    arena_init(&a, 1u << 20);
    FUZZ_OK(message_decode(&message_problem, answer->data, answer->len, &p, &a, &e), &e);
    FUZZ_CHECK(p.detail && p.detail[0] && p.code && p.code[0]);
    arena_free(&a);
}

/* True where it changed something. */
static bool request(const uint8_t *data, size_t size)
{
    struct head h = {.count = 0};
    struct buf answer;
    bool changed = false;

    buf_init(&answer, 128u << 20);
    if (read_head(&h, &data, &size)) {
        int status = world_ask(&world, &h.request, size > 0 ? data : NULL, size, &answer);
        FUZZ_CHECK(status >= 200 && status < 600 && status != 500);
        if (status >= 400)
            check_problem(&answer);
        /* 204: a claim that found nothing. */
        changed = strcmp(h.request.method, "PUT") == 0 ||
                  (strcmp(h.request.method, "POST") == 0 && status < 400 && status != 204);
    }
    for (uint32_t i = 0; i < h.count; i++)
        free(h.lines[i]);
    buf_free(&answer);
    return changed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool changed = false;

    while (size > 0) {
        size_t n = first_request(data, size);
        changed |= request(data, n);
        n = n + 4 < size ? n + 4 : size;
        data += n;
        size -= n;
    }
    if (changed)
        world_reset(&world);
    return 0;
}
