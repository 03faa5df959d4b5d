/* Answers as a client meets them: a line with the status, header lines "name: value", an empty
 * line, a body. Whatever comes ends in a success or in an error that says something. */
#include "core/client/http_reply.h"
#include "core/protocol/messages.h"
#include "tests/fuzz/fuzz.h"

static void take_headers(struct reply *r, const uint8_t **data, size_t *size)
{
    while (*size > 0) {
        char *line = fuzz_line(data, size), *value = strstr(line, ": ");
        bool end = line[0] == 0;
        if (value) {
            *value = 0;
            reply_header(r, line, value + 2);
        }
        free(line);
        if (end)
            return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reply r;
    struct err e = {0};
    char *line = fuzz_line(&data, &size);
    int status = (int)strtoul(line, NULL, 10) % 1000;

    free(line);
    reply_init(&r);
    take_headers(&r, &data, &size);
    FUZZ_CHECK(reply_take(&r, (const char *)data, size) == 0);
    int rc = reply_check(&r, "http://127.0.0.1:1", status, 0, &e);
    if (rc)
        fuzz_refused(rc, &e);
    else
        FUZZ_CHECK(r.versioned && r.version == PROTOCOL_VERSION && status / 100 == 2);
    reply_free(&r);
    return 0;
}
