/* Bodies of the API: every message. The first line names it ("complete"), the rest is JSON. What
 * the reader takes is written out, and reads back as the same. */
#include "core/protocol/messages.h"
#include "tests/fuzz/fuzz.h"

static const struct message *const messages[] = {
#define FUZZ_MESSAGE_(name) &message_##name,
    MESSAGES(FUZZ_MESSAGE_)
#undef FUZZ_MESSAGE_
    & message_dataset_listed};

static const struct message *message_of(const char *name)
{
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++)
        if (strcmp(messages[i]->name, name) == 0)
            return messages[i];
    return NULL;
}

/* Decodes and encodes; false where the reader refuses. */
static bool again(const struct message *m, const char *json, size_t len, struct buf *out)
{
    struct arena a;
    struct err e = {0};
    void *value = calloc(1, m->size);
    arena_init(&a, 64u << 20);
    int rc = message_decode(m, json, len, value, &a, &e);

    if (rc)
        fuzz_refused(rc, &e);
    else
        FUZZ_OK(message_encode(m, value, out, &e), &e);
    arena_free(&a);
    free(value);
    return rc == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_line(&data, &size);
    const struct message *m = message_of(name);
    struct buf first, second;

    free(name);
    if (!m)
        return -1;
    buf_init(&first, 64u << 20);
    buf_init(&second, 64u << 20);
    if (again(m, (const char *)data, size, &first)) {
        FUZZ_CHECK(again(m, first.data, first.len, &second));
        FUZZ_CHECK(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    }
    buf_free(&first);
    buf_free(&second);
    return 0;
}
